"""Training steps by operations whose numbers are read once in a while: for backends where reading waits.

On a GPU the host runs ahead of the device, and to look at every step's loss would make it wait every time. Here a
stretch of steps is taken without a look, losses and gradient lengths stay on the device, and are read at its end. If one
is not finite, parameters and optimiser are put back to where the stretch began, and the steps before it are taken
again: every random number is a function of the step, so they are the same steps.
"""

from __future__ import annotations

import numpy as np

from npvae import optim
from npvae.backend.stretch import Stretch
from npvae.evaluate import ElboAverages
from npvae.training import minibatches

#: A call's steps, at most: what may have to be taken again.
MOST_STEPS = 256


class DeferredProgram:
    """What a backend's ``training_program`` offers, for any model, by the operations of any backend."""

    def __init__(self, model, settings, x) -> None:
        self._model, self._settings, self._x = model, settings, x
        self._ops = model.ops
        self._averages = ElboAverages(self._ops.xp)

    def train(self, theta, gradient, state, order, start, step, rates, betas) -> Stretch:
        """Take ``len(rates)`` steps, or the first ``MOST_STEPS`` of them; see ``numba_program.py``."""
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
        return Stretch(done, losses[:done], norms[:done])

    def _take(self, theta, gradient, state, order, start, step, rates, betas):
        """Take all steps; their losses and the lengths of their gradients."""
        ops, xp, settings = self._ops, self._ops.xp, self._settings
        numbers = xp.zeros((2, len(rates)), dtype=xp.float64)
        batch_size = settings.batch_size
        for i, (rate, beta) in enumerate(zip(rates, betas, strict=True)):
            rows = order[start:start + batch_size]
            batch, eps = minibatches.draw(ops, self._x, rows, settings, self._model.architecture, step)
            start += batch.shape[0]
            terms, backward = settings.objective.loss(self._model, theta, batch, eps, beta)
            backward(out=gradient)
            norm = xp.sqrt(gradient @ gradient)
            numbers[0, i], numbers[1, i] = terms.loss, norm
            self._clip(gradient, norm)
            step += 1
            settings.optimizer.update(ops, theta, gradient, state, rate, step)
            self._averages.add(terms)
        return ops.to_numpy(numbers)

    def _clip(self, gradient, norm) -> None:
        """``optim.clip_by_global_norm`` for a norm on the device: a shorter gradient is multiplied by 1."""
        maximum = optim.longest_gradient(self._settings.clip_norm)
        gradient *= self._ops.xp.minimum(maximum / norm, self._ops.xp.ones_like(norm))

    def take_sums(self) -> tuple[int, dict]:
        """The rows since the last call of this, and their sums in nats, on the device."""
        averages, self._averages = self._averages, ElboAverages(self._ops.xp)
        return averages.sums()
