"""What a table's imputer gives back."""

from __future__ import annotations

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
        for i in range(len(self.columns)):
            gone = ~self.observed[:, i]
            if self.filled_in is not None and not self.filled_in[:, i].any():
                continue
            drawn = [table.columns[i].cells[gone].tolist() for table in tables]
            kept = tables[0].columns[i].cells[~gone].tolist()
            values: set = set()
            for column in (kept, *drawn):
                values.update(cell for cell in column if cell is not None and cell == cell)
                if len(values) > FEW_VALUES:
                    break
            else:
                found = iter(_sets(drawn, sorted(values, key=lambda value: (isinstance(value, str), value)), level))
                there = iter(kept)
                sets[self.columns[i]] = [next(found) if missing else (next(there),) for missing in gone]
        return sets

    def _check(self, level: float) -> None:
        check.real_number("level", level, above=0.0, below=1.0)
        needed = math.ceil(round(2.0 / (1.0 - level), 6)) - 1
        check.whole_number("the number of draws", len(self.draws), needed)


def _sets(drawn: list[list], values: list, level: float) -> list[tuple]:
    """For every row of M draws, lists of n cells, the fewest of the values that so large a part of them have."""
    number = {value: i for i, value in enumerate(values)}
    counts = np.zeros((len(drawn[0]), len(values) + 1), int)
    rows = np.arange(len(drawn[0]))
    for column in drawn:
        counts[rows, [number.get(cell, -1) for cell in column]] += 1  # what is none of them, of a carried cell, in the last place
    counts = counts[:, :-1]
    order = np.argsort(-counts, axis=1, kind="stable")
    reached = np.cumsum(np.take_along_axis(counts, order, axis=1), axis=1)
    total = counts.sum(axis=1, keepdims=True)
    sizes = ((reached < np.round(level * total, 9)).sum(axis=1) + 1) * (total[:, 0] > 0)
    return [tuple(values[i] for i in row[:size]) for row, size in zip(order, sizes, strict=True)]


def _floats(cells: np.ndarray) -> np.ndarray:
    """Cells (N,), floats or objects, as floats; NaN for words among them."""
    if cells.dtype.kind == "f":
        return cells
    return np.array([np.nan if cell is None or isinstance(cell, str) else cell for cell in cells], np.float64)
