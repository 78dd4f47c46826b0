"""Two values: x = 0 for the first, 1 for the other; Bernoulli. The best guess is the likelier one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from npvae.data.tables.kinds.base import LevelsColumn
from npvae.errors import InputError


@dataclass(frozen=True)
class Binary(LevelsColumn):
    """Two values, names or numbers."""

    kind: ClassVar[str] = "binary"
    default_likelihood: ClassVar[str] = "bernoulli"

    @classmethod
    def refuse_values(cls, name, values):
        if len(values) != 2:
            raise InputError(f"column {name!r} has {len(values)} values, but a binary column has two")

    def numbers_of_places(self, places):
        return places[:, None].astype(np.float64)

    def probabilities(self, expected):
        return np.concatenate([1.0 - expected, expected], axis=1)
