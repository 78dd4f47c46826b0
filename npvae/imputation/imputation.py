"""What every method of filling in answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Imputation:
    """What a method found, for N rows of I features; what was observed is in its place, to the bit."""

    mean: np.ndarray  #: (N, I): E[x_h | x_o], or the method's estimate of it
    draws: np.ndarray | None  #: (M, N, I): draws from p(x_h | x_o), None if none were asked for
    diagnostics: dict[str, np.ndarray]  #: by row, (N,): how much to believe
