"""From a column's cells to its kind."""

from __future__ import annotations

import numpy as np

from npvae import check
from npvae.errors import InputError
from npvae.tables.kinds.base import Column, values_of
from npvae.tables.kinds.reading import numbers
from npvae.tables.kinds.table import KINDS

#: Whole numbers from 0 are counts if their variance is at most so many times their mean: a Poisson distribution's is equal.
LARGEST_DISPERSION = 3.0


def fit_column(name: str, cells: np.ndarray, observed: np.ndarray, kind: str | None = None) -> Column:
    """The column of cells (N,), floats or objects; the kind is guessed where none is given.

    InputError naming the column: nothing is observed, all values are equal, or they are not of the kind.
    """
    if not observed.any():
        raise InputError(f"column {name!r} is empty: nothing can be learnt of it; remove it first")
    if kind is not None:
        check.one_of(f"kind of column {name!r}", kind, tuple(KINDS))
    values = values_of(cells, observed, name)
    if len(values) == 1:
        raise InputError(f"column {name!r} has one value, {values[0]!r}: nothing can be learnt of it; remove it first")
    column = KINDS[kind or guess(name, cells, observed, values)].fit(name, cells, observed)
    column.encode(cells, observed)
    return column


def guess(name: str, cells: np.ndarray, observed: np.ndarray, values: list) -> str:
    """The kind that the values look like."""
    if any(isinstance(value, str) for value in values):
        return "binary" if len(values) == 2 else "categorical"
    if len(values) == 2:
        return "binary"
    v = np.array(values, float)
    if (v >= 0.0).all() and (v == np.rint(v)).all():
        all_of_them = numbers(cells, observed, name)[observed]
        if all_of_them.var() <= LARGEST_DISPERSION * all_of_them.mean() and v.max() <= 1000:
            return "counts"
    return "continuous"
