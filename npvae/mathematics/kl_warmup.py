"""KL warm-up: how the weight of the KL term rises to ``beta``, as a function of t, the time in epochs since the start.

    linear    min(1, t / epochs)                    once, from 0 to 1 in a line; 0 epochs for none
    cyclic    min(1, u / (rise period))             u = t mod period: from 0 anew in every period

At weight 0 the decoder learns to use z before q(z|x) is drawn to the prior; without, a latent dimension that is of no
use yet may be given up for good. Cycles give dimensions that were given up another chance.

Sources: Bowman et al. (2016), "Generating sentences from a continuous space", and Sonderby et al. (2016), "Ladder
variational autoencoders", section 3, for linear; Fu et al. (2019), "Cyclical annealing schedule", eq. 6 and 7, for
cyclic.
"""

from __future__ import annotations

import numbers
from abc import ABC, abstractmethod

from npvae.errors import InputError
from npvae.support import check, registry


class Warmup(ABC):
    """Base class: ``weight(t)``, a factor from 0 to 1 on beta."""

    name: str

    @abstractmethod
    def config(self) -> dict:
        """The constructor's arguments, JSON-able."""

    @abstractmethod
    def weight(self, epoch: float) -> float:
        """The factor at time ``epoch``."""

    @abstractmethod
    def is_over(self, epoch: int) -> bool:
        """Whether the weight was full at the end of epoch number ``epoch``, counted from 1."""

    @abstractmethod
    def check_length(self, epochs: int) -> None:
        """InputError if the run has too few epochs for the whole of it, or of one period."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.config().items())})"


class Linear(Warmup):
    """From 0 to 1 in a line over ``epochs``, then 1."""

    name = "linear"

    def __init__(self, epochs: float | numbers.Real = 0.0) -> None:
        self.epochs = check.real_number("kl_warmup, in epochs,", epochs, minimum=0.0)

    def config(self):
        return {"epochs": self.epochs}

    def weight(self, epoch):
        return 1.0 if epoch >= self.epochs else epoch / self.epochs

    def is_over(self, epoch):
        return epoch >= self.epochs

    def check_length(self, epochs):
        if self.epochs > epochs:
            raise InputError(
                f"kl_warmup is {self.epochs:g} epochs, but the run has {epochs}: the KL term would never have its full "
                "weight"
            )


class Cyclic(Warmup):
    """Every ``period`` epochs from 0 to 1 in a line over the first part ``rise`` of them, then 1."""

    name = "cyclic"

    def __init__(self, period: int, rise: float = 0.5) -> None:
        self.period = check.whole_number("period of the cyclic kl_warmup, in epochs,", period, 1)
        self.rise = check.real_number("rise of the cyclic kl_warmup", rise, minimum=0.0, maximum=1.0)

    def config(self):
        return {"period": self.period, "rise": self.rise}

    def weight(self, epoch):
        rising, since = self.rise * self.period, epoch % self.period
        return 1.0 if since >= rising else since / rising

    def is_over(self, epoch):
        return epoch % self.period == 0 or self.weight(epoch) == 1.0

    def check_length(self, epochs):
        if self.period > epochs:
            raise InputError(f"kl_warmup has a period of {self.period} epochs, but the run has {epochs}")


KNOWN: dict[str, type[Warmup]] = {kind.name: kind for kind in (Linear, Cyclic)}


def get(warmup) -> Warmup:
    """The warm-up of a number of epochs (linear), of ``{"name": ..., argument: value}``, or the object itself."""
    if isinstance(warmup, numbers.Real):
        return Linear(warmup)
    return registry.build("kl_warmup", warmup, KNOWN, Warmup)
