"""Columns of numbers as the table has them: draws of a model, moved rank by rank to the values that were recorded.

    v = Q(F(x))         F: distribution function of the model's draws x,  Q: quantile function of the recorded values

A likelihood is smooth where recorded values are not: rounded, at the ends of a scale, a few of them again and again.
The map is monotone, so that what the model says of columns together stays, and a column's values, ends and shares of
frequent values are the table's. Where values recur, fewer being different than half of the cells, Q has steps, and only
values that were recorded occur; else it is straight between quantiles, and the column's decimals are kept.

Columns of few values are left as the model draws them: its probabilities are what they are distributed by.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from npvae.data.tables.kinds.base import NumberColumn
from npvae.errors import ModelFileError

#: Draws from which F is learnt, and its quantiles; quantiles of values that do not recur, and values that do, at most.
DRAWS, KNOTS, VALUES = 20_000, 501, 5000


@dataclass(frozen=True, eq=False, repr=False)
class Marginal:
    """drawn: quantiles of the model's draws, (K,), ascending; values: in order, (J,), with the probability, (J,), of no
    more than each; or, of a column whose values do not recur, with that at which its quantile is each. steps: which of
    the two."""

    drawn: np.ndarray
    values: np.ndarray
    probabilities: np.ndarray
    steps: bool

    @classmethod
    def fit(cls, x: np.ndarray, v: np.ndarray) -> Marginal | None:
        """Of draws x (M,) and recorded values v (n,); None: there is nothing to move."""
        if len(v) < 2 or not np.isfinite(x).all():
            return None
        drawn = np.quantile(x, np.linspace(0.0, 1.0, KNOTS))
        values, counts = np.unique(v, return_counts=True)
        steps = len(values) <= min(VALUES, 0.5 * len(v))
        if steps:
            return cls(drawn, values, np.cumsum(counts) / len(v), True)
        p = np.linspace(0.0, 1.0, min(KNOTS, len(v)))
        return cls(drawn, np.quantile(v, p), p, False)

    def of(self, column, x: np.ndarray, u: np.ndarray) -> np.ndarray:
        """Values (n,) of the column of draws x (n,); u: uniform numbers (n,), by which draws that are equal are told
        apart.
        """
        first, end = (np.searchsorted(self.drawn, x, side) for side in ("left", "right"))
        places = np.where(
            end - first > 1, first + u * (end - 1 - first), np.interp(x, self.drawn, np.arange(len(self.drawn)))
        )
        p = np.clip(places / (len(self.drawn) - 1), 0.0, 1.0)
        if not self.steps:
            return column.rounded(np.interp(p, self.probabilities, self.values))
        return self.values[np.minimum(np.searchsorted(self.probabilities, p, side="left"), len(self.values) - 1)]

    def arrays(self) -> dict[str, np.ndarray]:
        """In a file."""
        return {"drawn": self.drawn, "values": self.values, "probabilities": self.probabilities}

    @classmethod
    def restored(cls, arrays: dict[str, np.ndarray], steps: bool) -> Marginal:
        """ModelFileError: the arrays are not those of one."""
        for name, array in arrays.items():
            if (
                array.ndim != 1
                or array.dtype != np.float64
                or len(array) < 1
                or not np.isfinite(array).all()
                or (np.diff(array) < 0.0).any()
            ):
                raise ModelFileError(f"the {name} of a column's distribution must be numbers in order")
        if len(arrays["values"]) != len(arrays["probabilities"]) or len(arrays["drawn"]) < 2:
            raise ModelFileError("the values of a column's distribution are not as many as their probabilities")
        return cls(**arrays, steps=steps)


def is_moved(column) -> bool:
    """Whether a column's draws are moved to the recorded values: numbers on a line."""
    return isinstance(column, NumberColumn)


def recorded(schema, table) -> dict[int, np.ndarray]:
    """The values of the columns that are moved, by their places in the schema, as they were recorded in a table of
    cells.
    """
    found = {}
    for i, (column, place) in enumerate(zip(schema.columns, schema.places(table), strict=True)):
        if is_moved(column):
            given = table.columns[place]
            there = given.cells[~given.missing]
            found[i] = np.array([cell for cell in there.tolist() if not isinstance(cell, str)], np.float64)
    return found


def fit(schema, values: dict[int, np.ndarray], drawn: np.ndarray) -> dict[int, Marginal]:
    """Of columns by their places: recorded values, and draws (M, D) of the model in the likelihoods' numbers."""
    found = {i: Marginal.fit(drawn[:, schema.slices[i].start].astype(np.float64), v) for i, v in values.items()}
    return {i: marginal for i, marginal in found.items() if marginal is not None}
