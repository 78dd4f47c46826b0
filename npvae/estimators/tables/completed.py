"""What a table's imputer gives back."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from npvae.data.tables.frames import as_cells
from npvae.estimators.tables.calibration import FEW_VALUES, share_of_draws
from npvae.support import check


@dataclass(frozen=True)
class TableImputation:
    """A completed table, N rows of C columns; what was observed is in its place, to the bit."""

    filled: object  #: the table with best guesses in its gaps: of the kind that came, or that ``set_output`` asked for
    draws: list  #: M tables like it, drawn from the distribution of what is missing given what is observed
    effective_sample_size: (
        np.ndarray
    )  #: (N,): of how many samples of z a row's answer consists, the least of all members
    columns: list[str]
    is_numeric: list[
        bool
    ]  #: by column: whether its values are numbers, two of them perhaps, and not names; not of carried ones
    observed: np.ndarray  #: (N, C): not missing
    filled_in: np.ndarray | None = None  #: (N, C): missing, and in a column that is modelled
    calibration: dict[int, dict] = field(
        default_factory=dict
    )  #: by number of column, how levels become those of draws (calibration.py)

    def interval(self, level: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper ends, (N, C) floats, of a cell's interval of that probability, from M draws in order:

            k = floor((M + 1) p), at least 1     the k-th from below to the k-th from above,  p of each side for itself

        p is where (1 - level) / 2 of the cells that were held out in training were beyond (calibration.py), so that so
        large a part of the column's cells lie inside; where fewer draws than that needs are there, the outermost.
        Without calibration p is (1 - level) / 2 itself; a further draw then lies inside with the probability 1 - 2 k /
        (M + 1), at least the level.

        NaN in columns of names and in those that are carried; both the value itself where it is observed; of dates days
        since 1970-01-01. InputError: fewer draws than such an interval needs.
        """
        self._check(level)
        ends = np.full((2, *self.observed.shape), np.nan)
        tables = [as_cells(draw) for draw in self.draws]
        for i in np.flatnonzero(self.is_numeric):
            ordered = np.sort([_floats(table.columns[i].cells) for table in tables], axis=0)
            low, high = (
                self._order(share_of_draws(self.calibration.get(int(i)), side, (1.0 - level) / 2.0))
                for side in ("below", "above")
            )
            ends[:, :, i] = ordered[low - 1], ordered[-high]
        return ends[0], ends[1]

    def smallest_sets(self, level: float = 0.9) -> dict[str, list[tuple]]:
        """By the name of each column that is modelled and has at most FEW_VALUES different ones: for every row the
        fewest values, the most frequent first, that so large a part of the draws have; the value itself where it is
        observed. How large the part must be says the calibration, if there is one.

        For such columns they say more than an interval: "no", or 1 and 3 without 2. InputError: fewer draws than an
        interval needs.
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
                part = 1.0 - share_of_draws(self.calibration.get(i), "sets", 1.0 - level)
                found = iter(_sets(drawn, sorted(values, key=lambda value: (isinstance(value, str), value)), part))
                there = iter(kept)
                sets[self.columns[i]] = [next(found) if missing else (next(there),) for missing in gone]
        return sets

    def _order(self, share: float) -> int:
        """The number, from outside, of the draw that has such a share of them beyond it: never past the middle."""
        return max(1, math.floor(round((len(self.draws) + 1) * min(share, 0.5), 6)))

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
        counts[rows, [number.get(cell, -1) for cell in column]] += (
            1  # what is none of them, of a carried cell, in the last place
        )
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
