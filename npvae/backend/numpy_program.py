"""Training steps on NumPy without the closures, checks and look-ups of the operations one by one.

That is a few hundredths of a large model's step, half of a small one's. Loss and gradient are numpy_step.py's; here
are a batch's rows, its noise, the optimiser's step and the sums for the history.
"""

from __future__ import annotations

import math

import numpy as np

from npvae import optim, random
from npvae.backend.compiled import sums_by_name
from npvae.backend.numpy_step import GradientOfBatch
from npvae.backend.step_ops import UpdateOps
from npvae.backend.stretch import Stretch

#: The noise of so many steps is drawn at once, or of as many as have so many numbers.
NOISE_STEPS, NOISE_NUMBERS = 16, 65536


class LatentNoise:
    """The noise of every step, (B, Z), drawn for many steps at once."""

    def __init__(self, seed: int, rows: int, latent_dim: int, dtype) -> None:
        self._seed, self._shape, self._dtype = seed, (rows, latent_dim), dtype
        # Blocks begin at multiples of their length: where a run is taken up again changes nothing.
        self._length = max(1, min(NOISE_STEPS, NOISE_NUMBERS // (rows * latent_dim)))
        self._block, self._noise = -1, None

    def of(self, step: int, rows: int):
        """The noise of a step with so many rows: ``random.normal`` of that step."""
        block, place = divmod(step, self._length)
        if block != self._block:
            self._noise = random.normal_of_steps(
                self._seed, "latent noise", block * self._length, self._length, self._shape, self._dtype
            )
            self._block = block
        return self._noise[place, :rows]


class NumpyProgram:
    """A model and settings, ready to be trained on the rows of x (N, I)."""

    def __init__(self, ops, model, x, batch_size: int, settings) -> None:
        self._model, self._ops, self._settings, self._x = model, ops, settings, x
        self._batch_size = min(batch_size, len(x))
        self._update_ops = UpdateOps()
        self._noise = LatentNoise(settings.seed, self._batch_size, model.architecture.latent_dim, x.dtype)
        self._bound: dict[int, GradientOfBatch] = {}
        self._clear_sums()

    def _clear_sums(self) -> None:
        self._rows, self._loss, self._reconstruction = 0, 0.0, 0.0
        # Of KL, mu and mu^2, a row for each place in a batch: they are added up once an epoch, not at every step.
        self._latent_sums = np.zeros((3, self._batch_size, self._model.architecture.latent_dim))

    def take_sums(self) -> tuple[int, dict]:
        """The rows since the last call of this, and their sums in nats: see numba_program.py."""
        rows, sums = self._rows, sums_by_name((self._loss, self._reconstruction), self._latent_sums.sum(axis=1))
        self._clear_sums()
        return rows, sums

    def train(self, theta, gradient, state, order, start, step, rates, betas) -> Stretch:
        """Take ``len(rates)`` steps: change theta and the optimiser's state in place; see :class:`Stretch`."""
        losses, norms = [], []
        settings, update_ops = self._settings, self._update_ops
        # Overflow is for the guard to find: it shows as a loss or a gradient that is not finite.
        with np.errstate(all="ignore"):
            for rate, beta in zip(rates, betas, strict=True):
                indices = order[start:start + self._batch_size]
                rows = len(indices)
                bound = self._bind(rows, theta, gradient)
                x = self._x.take(indices, 0, bound.x, "clip")
                if settings.binarize == "dynamic":
                    np.less(random.uniform(settings.seed, "binarize", step, x.shape, "float32"), x, x, casting="unsafe")
                bound.eps[...] = self._noise.of(step, rows)
                loss, norm, reconstruction = bound.run(beta)
                if not math.isfinite(loss + norm):
                    break
                optim.clip_by_global_norm(gradient, norm, settings.clip_norm)
                step += 1
                settings.optimizer.update(update_ops, theta, gradient, state, rate, step)
                self._add(rows, loss, reconstruction, bound.latent)
                losses.append(loss)
                norms.append(norm)
                start += rows
        return Stretch(len(losses), np.array(losses), np.array(norms))

    def _bind(self, rows: int, theta, gradient) -> GradientOfBatch:
        bound = self._bound.get(rows)
        if bound is not None and bound.theta is theta and bound.gradient is gradient:
            return bound
        if len(self._bound) > 1:  # a full one and a last one are all that an epoch has
            self._bound.clear()
        bound = self._bound[rows] = GradientOfBatch(self._model, self._ops, rows, theta, gradient)
        return bound

    def _add(self, rows, loss, reconstruction, latent) -> None:
        self._rows += rows
        self._loss += loss * rows
        self._reconstruction += reconstruction
        sums = self._latent_sums[:, :rows]
        np.add(sums, latent, sums)
