"""What a table's imputer gives back."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

from npvae import check
from npvae.tables.frames import as_cells

#: Columns of more different values have intervals, and no sets.
FEW_VALUES = 20


@dataclass(frozen=True)
class TableImputation:
    """A completed table, N rows of C columns; what was observed is in its place, to the bit."""

    filled: object  #: the table with best guesses in its gaps: of the kind that came, or that ``set_output`` asked for
    draws: list  #: M tables like it, drawn from the distribution of what is missing given what is observed
    effective_sample_size: np.ndarray  #: (N,): of how many samples of z a row's answer consists, the least of all members
    columns: list[str]
    is_numeric: list[bool]  #: by column: whether its values are numbers, two of them perhaps, and not names; not of carried ones
    observed: np.ndarray  #: (N, C): not missing
    filled_in: np.ndarray | None = None  #: (N, C): missing, and in a column that is modelled

    def interval(self, level: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper ends, (N, C) floats, of a cell's central interval of that probability, from M draws in order:

            k = floor((M + 1) (1 - level) / 2)      the k-th from below to the k-th from above

        A further draw lies in it with the probability 1 - 2 k / (M + 1), at least the level; with a higher one where draws
        are equal, as of counts.

        NaN in columns of names and in those that are carried; both the value itself where it is observed; of dates days since
        1970-01-01. InputError: fewer draws than such an interval needs.
        """
        self._check(level)
        k = math.floor(round((len(self.draws) + 1) * (1.0 - level) / 2.0, 6))
        ends = np.full((2, *self.observed.shape), np.nan)
        tables = [as_cells(draw) for draw in self.draws]
        for i in np.flatnonzero(self.is_numeric):
            ordered = np.sort([_floats(table.columns[i].cells) for table in tables], axis=0)
            ends[:, :, i] = ordered[k - 1], ordered[-k]
        return ends[0], ends[1]

    def smallest_sets(self, level: float = 0.9) -> dict[str, list[tuple]]:
        """By the name of each column that is modelled and has at most FEW_VALUES different ones: for every row the fewest values, the most
        frequent first, that so large a part of the draws have; the value itself where it is observed.

        For such columns they say more than an interval: "no", or 1 and 3 without 2. InputError: fewer draws than an interval needs.
        """
        self._check(level)
        tables, sets = [as_cells(draw) for draw in self.draws], {}
        modelled = np.ones(len(self.columns), bool) if self.filled_in is None else self.filled_in.any(axis=0)
        for i in np.flatnonzero(modelled):
            drawn = [table.columns[i].cells for table in tables]
            places: dict = {}
            for cell in itertools.chain.from_iterable(column.tolist() for column in drawn):
                if cell is not None and cell == cell:
                    places.setdefault(cell, len(places))
                if len(places) > FEW_VALUES:
                    break
            else:
                sets[self.columns[i]] = _sets(drawn, places, level)
        return sets

    def _check(self, level: float) -> None:
        check.real_number("level", level, above=0.0, below=1.0)
        needed = math.ceil(round(2.0 / (1.0 - level), 6)) - 1
        check.whole_number("the number of draws", len(self.draws), needed)


def _sets(drawn: list[np.ndarray], places: dict, level: float) -> list[tuple]:
    """For every row of M draws (N,) the fewest values that so large a part of them have; places: of the values, in any order."""
    values = sorted(places, key=lambda value: (isinstance(value, str), value))
    number = {value: i for i, value in enumerate(values)}
    counts = np.zeros((len(drawn[0]), len(values)), int)
    for column in drawn:
        for row, cell in enumerate(column.tolist()):
            if cell in number:
                counts[row, number[cell]] += 1
    order = np.argsort(-counts, axis=1, kind="stable")
    reached = np.cumsum(np.take_along_axis(counts, order, axis=1), axis=1)
    sizes = (reached < np.round(level * counts.sum(axis=1, keepdims=True), 9)).sum(axis=1) + (counts.sum(axis=1) > 0)
    return [tuple(values[i] for i in row[:size]) for row, size in zip(order, sizes, strict=True)]


def _floats(cells: np.ndarray) -> np.ndarray:
    """Cells (N,), floats or objects, as floats; NaN for words among them."""
    if cells.dtype.kind == "f":
        return cells
    return np.array([np.nan if cell is None or isinstance(cell, str) else cell for cell in cells], np.float64)
