"""Training steps on NumPy without the closures, checks and look-ups of the operations one by one.

That is a few hundredths of a large model's step, half of a small one's. Loss and gradient are numpy_gradient.py's; here
are a batch's rows, its noise, the optimiser's step and the sums for the history.
"""

from __future__ import annotations

import math
import time

import numpy as np

from npvae.backend import pieces, summation
from npvae.backend.blas import held
from npvae.backend.numpy_ops import PIECE
from npvae.backend.threads import available_cores
from npvae.fused.base import FusedTrainer, StepsTaken
from npvae.fused.numpy_gradient import ALONE, BLAS, PIECES, GradientOfBatch, Team, way_of
from npvae.fused.numpy_step_ops import UpdateOps, identical
from npvae.fused.program_fields import STATES, sums_by_name
from npvae.fused.thread_choice import TRIAL_SECONDS, ThreadChoice
from npvae.mathematics import optimizers, random

#: The noise of so many steps is drawn at once, or of as many as have so many numbers.
NOISE_STEPS, NOISE_NUMBERS = 16, 65536


class LatentNoise:
    """The noise of every step, (B, Z), drawn for many steps at once."""

    def __init__(self, seed: int, rows: int, latent_dim: int, dtype) -> None:
        self._seed, self._shape, self._dtype = seed, (rows, latent_dim), dtype
        # Blocks begin at multiples of their length: where a run is taken up again changes nothing.
        self._length = max(1, min(NOISE_STEPS, NOISE_NUMBERS // (rows * latent_dim)))
        self._block = -1
        self._noise: np.ndarray  # of the block

    def of(self, step: int, rows: int):
        """The noise of a step with so many rows: ``random.normal`` of that step."""
        block, place = divmod(step, self._length)
        if block != self._block:
            self._noise = random.normal_of_steps(
                self._seed, "latent noise", block * self._length, self._length, self._shape, self._dtype
            )
            self._block = block
        return self._noise[place, :rows]


class NumpyTrainer(FusedTrainer):
    """A model and settings, ready to be trained on the rows of x (N, I)."""

    def __init__(self, ops, model, settings, x) -> None:
        self._model, self._ops, self._settings, self._x = model, ops, settings, x
        self._batch_size = min(settings.batch_size, len(x))
        self._team = Team()
        self._ways: dict = {}
        self._tried: set = set()
        most = ops.threads
        if self._way(self._batch_size) == ALONE:
            most = 1
        elif self._way(self._batch_size) == BLAS:
            most = max(number for number in summation.numbers(available_cores()) if number <= most)
        self._choice = ThreadChoice(most)
        self._divided: tuple = ()
        self._updates: list = []
        self._noise = LatentNoise(settings.seed, self._batch_size, model.architecture.latent_dim, x.dtype)
        self._bound: dict[int, GradientOfBatch] = {}
        self._clear_sums()

    def _clear_sums(self) -> None:
        self._rows, self._loss, self._reconstruction = 0, 0.0, 0.0
        # Of KL, mu and mu^2, a row for each place in a batch: they are added up once an epoch, not at every step.
        self._latent_sums = np.zeros((3, self._batch_size, self._model.architecture.latent_dim))

    def take_sums(self) -> tuple[int, dict]:
        rows, sums = self._rows, sums_by_name((self._loss, self._reconstruction), self._latent_sums.sum(axis=1))
        self._clear_sums()
        return rows, sums

    def take_steps(self, theta, gradient, state, order, start, step, rates, betas) -> StepsTaken:
        """See :class:`FusedTrainer`; fewer steps than asked for in a trial of another number of threads."""
        losses, norms = [], []
        settings = self._settings
        started, threads = time.perf_counter(), self._choice.number
        team, update, parts, now = self._team, settings.optimizer.update, self._parts(theta, gradient, state), None
        # Overflow is the caller's to find: it shows as a loss or a gradient that is not finite.
        with np.errstate(all="ignore"), held:
            for rate, beta in zip(rates, betas, strict=True):
                indices = order[start : start + self._batch_size]
                rows, bound = len(indices), self._ready(indices, theta, gradient, step, beta)
                if bound is not now:
                    now = bound
                    self._use_threads(bound, threads)
                loss, norm, reconstruction = bound.run(beta)
                if not math.isfinite(loss + norm):
                    break
                optimizers.clip_by_global_norm(gradient, norm, settings.clip_norm)
                step += 1
                team.run([(update, *part, rate, step) for part in parts])
                self._add(rows, loss, reconstruction, bound.latent)
                losses.append(loss)
                norms.append(norm)
                start += rows
                if self._choice.is_trial and time.perf_counter() - started > TRIAL_SECONDS:
                    break
        self._choice.ran(time.perf_counter() - started, len(losses))
        return StepsTaken(len(losses), np.array(losses), np.array(norms))

    def take_gradient(self, theta, gradient, order, start, step, beta) -> StepsTaken:
        """See :class:`FusedTrainer`."""
        with np.errstate(all="ignore"), held:
            indices = order[start : start + self._batch_size]
            bound = self._ready(indices, theta, gradient, step, beta)
            self._use_threads(bound, self._choice.number)
            loss, norm, reconstruction = bound.run(beta)
        if not math.isfinite(loss + norm):
            return StepsTaken(0, np.zeros(0), np.zeros(0))
        self._add(len(indices), loss, reconstruction, bound.latent)
        return StepsTaken(1, np.array([loss]), np.array([norm]))

    def _ready(self, indices, theta, gradient, step: int, beta: float) -> GradientOfBatch:
        """Loss and gradient of the batch, with its rows and its noise, by the way that its size goes."""
        rows = len(indices)
        bound = self._bind(rows, theta, gradient)
        self._load(bound, indices, step)
        if bound.way == BLAS and rows not in self._tried:
            self._try_blas(bound, beta)
            if bound.way != self._way(rows):
                bound = self._bind(rows, theta, gradient)
                self._load(bound, indices, step)
        return bound

    def _use_threads(self, bound, threads: int) -> None:
        self._team.threads = threads if bound.way == PIECES else 1
        held.use(threads if bound.way == BLAS else 1)

    def _bind(self, rows: int, theta, gradient) -> GradientOfBatch:
        bound, way = self._bound.get(rows), self._way(rows)
        if bound is not None and bound.theta is theta and bound.gradient is gradient and bound.way == way:
            return bound
        if len(self._bound) > 1:  # a full one and a last one are all that an epoch has
            self._bound.clear()
        bound = self._bound[rows] = GradientOfBatch(self._model, self._ops, rows, theta, gradient, way, self._team)
        return bound

    def _way(self, rows: int) -> str:
        way = self._ways.get(rows)
        if way is None:
            way = self._ways[rows] = way_of(self._model.architecture, rows)
        return way

    def _load(self, bound, indices, step: int) -> None:
        """The batch's rows of the data, and its noise."""
        seed = self._settings.seed
        x = self._x.take(indices, 0, bound.x, "clip")
        if self._settings.binarize == "dynamic":
            np.less(random.uniform(seed, "binarize", step, x.shape, "float32"), x, x, casting="unsafe")
        bound.eps[...] = self._noise.of(step, len(indices))

    def _try_blas(self, bound, beta: float) -> None:
        """Whether a whole step has the same bits on every number of BLAS's threads that may be used: else it goes by
        pieces.
        """

        def compute():
            bound.run(beta)
            return bound.gradient

        self._tried.add(len(bound.x))
        if not summation.same_on_any_number(compute, available_cores()):
            self._ways[len(bound.x)] = PIECES

    def _parts(self, theta, gradient, state) -> list:
        """The optimiser's operations and vectors: of optimisers that look at one number of the vectors at a time, in
        parts.
        """
        vectors = theta, gradient, *state.values()
        if not identical(self._divided, vectors):
            count = -(-theta.size // PIECE) if type(self._settings.optimizer) in STATES else 1
            self._divided = vectors
            self._updates = (
                [
                    (UpdateOps(), theta[part], gradient[part], {name: array[part] for name, array in state.items()})
                    for part in pieces.cuts(theta.size, count)
                ]
                if count > 1
                else [(UpdateOps(), theta, gradient, state)]
            )
        return self._updates

    def _add(self, rows, loss, reconstruction, latent) -> None:
        self._rows += rows
        self._loss += loss * rows
        self._reconstruction += reconstruction
        sums = self._latent_sums[:, :rows]
        np.add(sums, latent, sums)
