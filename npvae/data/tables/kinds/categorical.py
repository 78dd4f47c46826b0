"""Several values without order: x one-hot, a number a value; categorical. The best guess is the likeliest one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from npvae.data.tables.kinds.base import LevelsColumn


@dataclass(frozen=True)
class Categorical(LevelsColumn):
    """Values of which none is between others."""

    kind: ClassVar[str] = "categorical"
    default_likelihood: ClassVar[str] = "categorical"
    stands_alone: ClassVar[bool] = True

    @property
    def width(self):
        return len(self.values)

    def numbers_of_places(self, places):
        return np.eye(len(self.values))[places]

    def probabilities(self, expected):
        return expected
