"""Training steps by operations whose numbers are read once in a while: for backends where reading waits.

On a GPU the host runs ahead of the device, and to look at every step's loss would make it wait every time. Here a
run of steps is taken without a look, losses and gradient lengths stay on the device, and are read at its end. If one
is not finite, parameters and optimiser are put back to where the call began, and the steps before it are taken
again: every random number is a function of the step, so they are the same steps.
"""

from __future__ import annotations

import math

import numpy as np

from npvae.evaluation import ElboAverages
from npvae.fused import FusedTrainer, StepsTaken
from npvae.mathematics import optimizers
from npvae.training import minibatches

#: A call's steps, at most: what may have to be taken again.
MOST_STEPS = 256


class AsynchronousTrainer(FusedTrainer):
    """What a fused trainer does, for any model, by the operations of any backend."""

    def __init__(self, model, settings, x) -> None:
        self._model, self._settings, self._x = model, settings, x
        self._ops = model.ops
        self._averages = ElboAverages(self._ops.xp)

    def take_steps(self, theta, gradient, state, order, start, step, rates, betas) -> StepsTaken:
        """Take ``len(rates)`` steps, or the first ``MOST_STEPS`` of them; see :class:`FusedTrainer`."""
        rates, betas = rates[:MOST_STEPS], betas[:MOST_STEPS]
        copy = self._ops.copy
        before = copy(theta), {name: copy(array) for name, array in state.items()}, self._averages.sums()
        losses, norms = self._take(theta, gradient, state, order, start, step, rates, betas)
        finite = np.isfinite(losses + norms)
        done = len(rates) if finite.all() else int(np.argmin(finite))
        if done < len(rates):
            theta[...] = before[0]
            for name, array in before[1].items():
                state[name][...] = array
            rows, sums = before[2]
            self._averages = ElboAverages(self._ops.xp)
            self._averages.add_sums(rows, **sums)
            if done:
                self._take(theta, gradient, state, order, start, step, rates[:done], betas[:done])
        return StepsTaken(done, losses[:done], norms[:done])

    def take_gradient(self, theta, gradient, order, start, step, beta) -> StepsTaken:
        """See :class:`FusedTrainer`; this waits for the device."""
        terms, norm, _ = self._gradient(theta, gradient, order, start, step, beta)
        loss, norm = float(terms.loss), float(norm)
        if not math.isfinite(loss + norm):
            return StepsTaken(0, np.zeros(0), np.zeros(0))
        self._averages.add(terms)
        return StepsTaken(1, np.array([loss]), np.array([norm]))

    def _take(self, theta, gradient, state, order, start, step, rates, betas):
        """Take all steps; their losses and the lengths of their gradients."""
        ops, xp, settings = self._ops, self._ops.xp, self._settings
        numbers = xp.zeros((2, len(rates)), dtype=xp.float64)
        for i, (rate, beta) in enumerate(zip(rates, betas, strict=True)):
            terms, norm, rows = self._gradient(theta, gradient, order, start, step, beta)
            start += rows
            numbers[0, i], numbers[1, i] = terms.loss, norm
            self._clip(gradient, norm)
            step += 1
            settings.optimizer.update(ops, theta, gradient, state, rate, step)
            self._averages.add(terms)
        return ops.to_numpy(numbers)

    def _gradient(self, theta, gradient, order, start, step, beta):
        """Write the gradient of a batch: its terms, the gradient's length on the device, and the number of rows."""
        rows = order[start : start + self._settings.batch_size]
        batch, eps = minibatches.draw(self._ops, self._x, rows, self._settings, self._model.architecture, step)
        terms, backward = self._settings.objective.loss(self._model, theta, batch, eps, beta)
        backward(out=gradient)
        return terms, self._ops.xp.sqrt(gradient @ gradient), batch.shape[0]

    def _clip(self, gradient, norm) -> None:
        """``optim.clip_by_global_norm`` for a norm on the device: a shorter gradient is multiplied by 1."""
        maximum = optimizers.longest_gradient(self._settings.clip_norm)
        gradient *= self._ops.xp.minimum(maximum / norm, self._ops.xp.ones_like(norm))

    def take_sums(self) -> tuple[int, dict]:
        """The rows since the last call of this, and their sums in nats, on the device."""
        averages, self._averages = self._averages, ElboAverages(self._ops.xp)
        return averages.sums()
