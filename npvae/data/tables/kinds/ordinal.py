"""A few values in an order: x_k = 1 where v is the k-th value or a later one, else 0; cumulative logits.

The best guess is the likeliest value of at most GUESSED_BY_PROBABILITY, and of more the one nearest to the expected
value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from npvae.data.tables.kinds.base import Column, LevelsColumn
from npvae.data.tables.kinds.reading import numbers
from npvae.errors import InputError

#: So many values at most are guessed by their probability.
GUESSED_BY_PROBABILITY = 10


@dataclass(frozen=True)
class Ordinal(LevelsColumn):
    """Numbers: grades, answers on a scale, small whole numbers."""

    kind: ClassVar[str] = "ordinal"
    default_likelihood: ClassVar[str] = "ordinal"
    stands_alone: ClassVar[bool] = True

    @classmethod
    def refuse_values(cls, name, values):
        super().refuse_values(name, values)
        names = [value for value in values if not isinstance(value, float)]
        if names:
            raise InputError(
                f"column {name!r} holds {names[0]!r}, but the values of an ordinal column are numbers, whose order is "
                f"known"
            )

    def check(self):
        super().check()
        if list(self.values) != sorted(self.values):
            raise InputError("the values of an ordinal column are not in order")

    def unseen(self, cells, observed):
        """Texts alone: a number that was not there in fit is taken for the nearest level."""
        return Column.unseen(self, cells, observed)

    def encode(self, cells, observed):
        x, v = np.full((len(cells), self.width), np.nan), numbers(cells, observed, self.name)
        x[observed] = self.numbers_of_places(self._nearest(v[observed]))
        return x

    def _nearest(self, v: np.ndarray) -> np.ndarray:
        """Of numbers (n,), where the nearest level is among the values."""
        values = np.array(self.values)
        return np.searchsorted(0.5 * (values[1:] + values[:-1]), v)

    @property
    def width(self):
        return len(self.values) - 1

    def numbers_of_places(self, places):
        return (places[:, None] >= np.arange(1, len(self.values))).astype(np.float64)

    def probabilities(self, expected):
        reached = np.concatenate([np.ones((len(expected), 1)), expected, np.zeros((len(expected), 1))], axis=1)
        return reached[:, :-1] - reached[:, 1:]

    def guess(self, expected):
        if len(self.values) <= GUESSED_BY_PROBABILITY:
            return super().guess(expected)
        values = np.array(self.values)
        v = values[0] + expected.astype(np.float64) @ np.diff(values)
        return values[self._nearest(v)]

    def decode(self, x):
        return self.of_places(self.probabilities(x).argmax(axis=1))
