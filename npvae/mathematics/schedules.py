"""How the learning rate changes over a run.

A schedule is a factor on it as a function of t, the time in epochs since the start (a step
in the middle of the third epoch has t = 2.5), and T, the run's length in epochs.

    constant      1
    exponential   decay^t                       decay a factor an epoch
    steps         the factor of the last boundary passed, 1 before the first
    cosine        final + (1 - final) (1 + cos(pi t / T)) / 2      from 1 to final
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from npvae.errors import InputError
from npvae.support import check, registry


class Schedule:
    """Base class: ``factor(t, T)``."""

    name: str
    #: Whether ``factor`` looks at T.
    depends_on_length = False

    def config(self) -> dict:
        """The constructor's arguments, JSON-able."""
        return {}

    def factor(self, epoch: float, epochs: int) -> float:
        """The factor on the learning rate at time ``epoch`` of a run of ``epochs``."""
        return 1.0

    def check_length(self, epochs: int) -> None:
        """InputError if part of the schedule would never happen in a run of ``epochs``."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.config().items())})"


class Constant(Schedule):
    """The same learning rate throughout."""

    name = "constant"


class Exponential(Schedule):
    """The learning rate times ``decay`` every epoch, smoothly."""

    name = "exponential"

    def __init__(self, decay: float) -> None:
        self.decay = check.real_number("decay", decay, above=0.0, maximum=1.0)

    def config(self):
        return {"decay": self.decay}

    def factor(self, epoch, epochs):
        return self.decay**epoch


class Steps(Schedule):
    """Stairs: ``{10: 0.5, 20: 0.1}`` halves the learning rate after epoch 10 and takes a tenth after 20."""

    name = "steps"

    def __init__(self, factors: Mapping) -> None:
        pairs = [(_boundary(epoch), factor) for epoch, factor in factors.items()]
        self.factors = {epoch: check.real_number("a factor", factor, minimum=0.0) for epoch, factor in sorted(pairs)}

    def config(self):
        return {"factors": {str(epoch): factor for epoch, factor in self.factors.items()}}

    def factor(self, epoch, epochs):
        result = 1.0
        for boundary, factor in self.factors.items():
            if epoch >= boundary:
                result = factor
        return result

    def check_length(self, epochs):
        late = [boundary for boundary in self.factors if boundary >= epochs]
        if late:
            raise InputError(f"schedule={self.name} changes after epoch {late[0]}, but the run has {epochs} epochs")


def _boundary(epoch) -> int:
    """A boundary as a whole number of epochs; JSON has only strings as keys, so "10" is 10."""
    if isinstance(epoch, str) and epoch.isdigit():
        epoch = int(epoch)
    return check.whole_number("a boundary of factors, in epochs,", epoch, 1)


class Cosine(Schedule):
    """Half a cosine from the learning rate down to ``final`` times it at the run's end."""

    name = "cosine"
    depends_on_length = True

    def __init__(self, final: float = 0.0) -> None:
        self.final = check.real_number("final", final, minimum=0.0, maximum=1.0)

    def config(self):
        return {"final": self.final}

    def factor(self, epoch, epochs):
        return self.final + (1.0 - self.final) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, epoch / epochs)))


KNOWN = {kind.name: kind for kind in (Constant, Exponential, Steps, Cosine)}


def get(schedule) -> Schedule:
    """The schedule of a name, of ``{"name": ..., argument: value}``, or the object itself."""
    return registry.build("learning-rate schedule", schedule, KNOWN, Schedule)
