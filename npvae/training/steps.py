"""Taking training steps: one by one through the operations of any backend, or many in one call where it can.

The second by a fused trainer, or, where reading a number waits for the device, by operations whose numbers are read
once in a while (asynchronous.py). Both take the same steps; the second says what it cannot take, a step whose loss or
gradient is not finite, and the first then takes it, and meets the guard.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

from npvae import evaluation
from npvae.fused import trainer_for
from npvae.fused.base import FusedTrainer
from npvae.mathematics import optimizers
from npvae.mathematics.model import Model
from npvae.support.batches import batches
from npvae.training import guard, minibatches
from npvae.training.asynchronous import AsynchronousTrainer
from npvae.training.settings import TrainingSettings

#: Steps between copies of the parameters, each taken where the loss and gradient were seen to be finite.
SNAPSHOT_STEPS = 50

#: A compiled call lasts about so many seconds: long beside the start of threads, short for whoever presses Ctrl-C.
CALL_SECONDS = 0.05


@dataclass
class Epoch:
    """One pass over the data: its order, and what has been summed up so far."""

    model: Model
    settings: TrainingSettings
    x: Any  #: (N, I), on the device
    order: Any  #: (N,), whole numbers, on the device
    averages: evaluation.ElboAverages
    norm_sum: float = 0.0

    def __post_init__(self) -> None:
        self.parts = list(batches(self.x.shape[0], self.settings.batch_size))

    def time(self, state, index: int) -> float:
        """The time of the epoch's step number ``index``, in epochs."""
        return state.epoch + index / len(self.parts)

    def beta(self, state, index: int) -> float:
        """The weight of the KL divergence at that step."""
        return self.settings.beta * self.settings.kl_warmup.weight(self.time(state, index))

    def rate(self, state, index: int) -> float:
        """The learning rate at that step."""
        factor = self.settings.schedule.factor(self.time(state, index), self.settings.epochs)
        return self.settings.learning_rate * factor


class Stepper:
    """Takes the steps of a run; it holds the gradient's memory and the last good parameters.

    ``fused``: whether steps are taken by a fused trainer where there is one.
    """

    def __init__(self, model, settings, x, state, fused: bool = True) -> None:
        self._model, self._settings = model, settings
        copy = model.ops.copy
        self._gradient, self._good = copy(state.theta), copy(state.theta)
        self._trainer = trainer_for(model.ops, model, settings, x) if fused else None
        if self._trainer is None and model.ops.reads_wait:
            self._trainer = AsynchronousTrainer(model, settings, x)
        self._candidate: Any = None if self._trainer is None else copy(state.theta)
        self._steps_a_call = 1  # of the next one
        self._copied = None  # the step at which ``_good`` was last copied

    def put_back(self, state) -> None:
        """The parameters of the last copy."""
        state.theta[...] = self._good

    def _copy_is_due(self, state) -> bool:
        return self._copied is None or state.step >= self._copied + SNAPSHOT_STEPS

    def take(self, epoch: Epoch, state, index: int) -> int:
        """Take the epoch's step number ``index``, and as many after it as go together: how many were taken.

        Changes theta, the optimiser's state, ``state.step`` and the epoch's sums. NonFiniteError: see the guard.
        """
        if self._trainer is not None:
            taken = self._take_many(self._trainer, epoch, state, index)
            if taken:
                return taken
        self._take_one(epoch, state, index)
        return 1

    def finish(self, epoch: Epoch) -> None:
        """Add what the trainer has summed to the epoch's averages.

        It sums over the whole epoch, so that no sum depends on how many steps a call happened to take.
        """
        if self._trainer is not None:
            rows, sums = self._trainer.take_sums()
            if rows:
                epoch.averages.add_sums(rows, **sums)

    def _take_one(self, epoch: Epoch, state, index: int) -> None:
        model, settings, ops = self._model, self._settings, self._model.ops
        beta = epoch.beta(state, index)
        rows = epoch.order[epoch.parts[index]]
        batch, eps = minibatches.draw(ops, epoch.x, rows, settings, model.architecture, state.step)
        terms, backward = settings.objective.loss(model, state.theta, batch, eps, beta)
        backward(out=self._gradient)
        norm = optimizers.global_norm(ops.xp, self._gradient)
        if not math.isfinite(norm + float(terms.loss)):
            guard.raise_non_finite(
                model, settings.objective, state.theta, batch, eps, beta, state.epoch + 1, state.step + 1
            )
        if self._copy_is_due(state):
            self._good[...] = state.theta
            self._copied = state.step
        optimizers.clip_by_global_norm(self._gradient, norm, settings.clip_norm)
        state.step += 1
        settings.optimizer.update(
            ops, state.theta, self._gradient, state.optimizer_state, epoch.rate(state, index), state.step
        )
        epoch.averages.add(terms)
        epoch.norm_sum += norm

    def _take_many(self, trainer: FusedTrainer, epoch: Epoch, state, index: int) -> int:
        """As ``take``; 0 if the first step is one that is left to ``_take_one``."""
        steps = range(index, min(index + self._steps_a_call, len(epoch.parts)))
        copy, step = self._copy_is_due(state), state.step
        if copy:
            self._candidate[...] = state.theta  # good if the first step finds its loss and gradient finite
        started = time.perf_counter()
        result = trainer.take_steps(
            state.theta,
            self._gradient,
            state.optimizer_state,
            epoch.order,
            epoch.parts[index].start,
            state.step,
            [epoch.rate(state, i) for i in steps],
            [epoch.beta(state, i) for i in steps],
        )
        if not result.done:
            return 0
        if copy:
            self._good, self._candidate, self._copied = self._candidate, self._good, step
        seconds = (time.perf_counter() - started) / result.done
        self._steps_a_call = max(1, min(4 * self._steps_a_call, int(CALL_SECONDS / seconds)))
        state.step += result.done
        for norm in result.norms:
            epoch.norm_sum += float(norm)
        return result.done
