"""What a run is at the end of an epoch: all that is needed to go on, and nothing else."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from npvae.training.history import History

#: Reasons for which a run ends; others are those of early stopping and of callbacks.
FINISHED, INTERRUPTED, NOT_FINITE, FAILED = "finished", "interrupted", "a number was not finite", "ended by "
OUT_OF_TIME = "out of time"

#: What a run's steps may be taken by.
STEPS_BY = ("fused", "operations")


def is_failure(reason: str | None) -> bool:
    """Whether a run ended for this reason where nobody wanted it to."""
    return reason is None or reason == NOT_FINITE or reason.startswith(FAILED)


def interruption(state: TrainingState, epochs: int) -> str:
    """When Ctrl-C ended a run of so many epochs, in words."""
    if state.stop_reason == INTERRUPTED:
        return f"training interrupted in epoch {state.epoch + 1} of {epochs}"
    return "interrupted as the training ended"


@dataclass
class TrainingState:
    """The parameters and everything that changes with them. Callbacks get it after every epoch."""

    theta: Any  #: (P,), changed in place by every step
    optimizer_state: dict  #: flat arrays by name, changed in place
    epoch: int = 0  #: epochs completed
    step: int = 0  #: steps completed
    history: History = field(default_factory=History)
    best_theta: Any = None  #: theta at the best validation ELBO, when the run watches it
    best_elbo: float = -math.inf
    best_epoch: int = 0
    steps_by: str | None = None  #: one of STEPS_BY, where a trial was to decide: see autotune.py
    stop_reason: str | None = None  #: None while the run goes on
    interrupted: bool = False  #: whether Ctrl-C was pressed, be it after the last step; not kept

    def stop(self, reason: str) -> None:
        """End the run after this epoch; for callbacks."""
        self.stop_reason = reason
