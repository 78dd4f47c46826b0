"""What a fused trainer does: whole training steps in one call, on data that it is made for."""

from __future__ import annotations

import abc
from dataclasses import dataclass

import numpy as np


@dataclass
class StepsTaken:
    """What a call for many steps came to."""

    done: int  #: steps taken; fewer than asked for where the next one's loss or gradient is not finite
    losses: np.ndarray  #: (done,), in nats a row
    norms: np.ndarray  #: (done,), lengths of the gradients before clipping


class FusedTrainer(abc.ABC):
    """A model and settings, ready to be trained on the rows of x (N, I), which must stay as they are.

    A step here is the step that the operations take one by one: the same rows, the same noise, a pure function of
    (seed, purpose, step), and the same numbers to rounding. In all that follows

    theta, gradient   flat vectors of the backend; ``gradient`` is overwritten
    order             the epoch's rows, int64 (N,); ``start`` is the place of the first to be taken
    step              the number of steps taken before
    """

    @abc.abstractmethod
    def take_steps(self, theta, gradient, state, order, start: int, step: int, rates, betas) -> StepsTaken:
        """Take ``len(rates)`` steps, or some of them: change theta and the arrays of the optimiser's ``state`` in
        place.

        rates, betas: the learning rate and the weight of the KL divergence of each step. A step whose loss or gradient
        is not finite is not taken, and none behind it; it is the caller's to find out why. ``gradient`` is then the
        last step's.
        """

    @abc.abstractmethod
    def take_gradient(self, theta, gradient, order, start: int, step: int, beta: float) -> StepsTaken:
        """The first half of a step: write its gradient, not clipped, and change neither theta nor a state.

        For whoever does something with the gradient before it is applied, such as to average it over machines. The loss
        is not finite, or a number of the gradient: nothing is done, as in :meth:`take_steps`.
        """

    @abc.abstractmethod
    def take_sums(self) -> tuple[int, dict]:
        """The rows since the last call of this, and their sums in nats: loss, reconstruction, kl_per_dimension, mu,
        mu_squared; and bound, where what is trained on is not the ELBO."""
