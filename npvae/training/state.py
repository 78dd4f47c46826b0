"""What a run is at the end of an epoch: all that is needed to go on, and nothing else."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from npvae.training.history import History


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
    steps_by: str | None = None  #: "program" or "operations", where a trial was to decide: see step_trial.py
    stop_reason: str | None = None  #: None while the run goes on

    def stop(self, reason: str) -> None:
        """End the run after this epoch; for callbacks."""
        self.stop_reason = reason
