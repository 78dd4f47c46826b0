"""Cells of one column as numbers, names or truth values, and what is wrong with them."""

from __future__ import annotations

import decimal
import numbers as number_types

import numpy as np

from npvae.errors import InputError, InputTypeError, RowError

#: Most decimals that a column is said to have; a column with more is not rounded.
MOST_DECIMALS = 8


def numbers(cells: np.ndarray, observed: np.ndarray, name: str) -> np.ndarray:
    """Cells (N,) as float64, NaN where not observed. InputError naming column and row: one is text, or infinite."""
    if cells.dtype.kind == "f":
        v = np.where(observed, cells, np.nan).astype(np.float64)
    else:
        v = np.full(len(cells), np.nan)
        for row in np.flatnonzero(observed):
            cell = plain(cells[row], name)
            if isinstance(cell, str):
                raise RowError(
                    f"column {name!r} holds the text {cell!r} in ", int(row), ", but it is a column of numbers"
                )
            v[row] = cell
    refuse(np.isinf(v), v, name, "infinity is not a value")
    return v


def refuse(wrong: np.ndarray, v: np.ndarray, name: str, why: str) -> None:
    """InputError naming the first row where something is wrong."""
    if wrong.any():
        row = int(np.argmax(wrong))
        raise RowError(f"column {name!r} holds {v[row]:g} in ", row, f"; {why}")


def different(there: np.ndarray) -> list:
    """The different ones of cells (n,), floats in order."""
    if there.dtype.kind == "f":
        return np.unique(there).tolist()
    try:
        return [*dict.fromkeys(there.tolist())]
    except TypeError:  # of a kind that is refused afterwards
        return there.tolist()


def plain(cell, name: str):
    """A cell as Python has it: a bool, a number as float, text. InputTypeError: it is something else."""
    if isinstance(cell, (bool, np.bool_)):
        return bool(cell)
    if isinstance(cell, (number_types.Real, decimal.Decimal)):
        try:
            return float(cell)
        except OverflowError:
            raise InputError(f"column {name!r} holds a whole number too large for a float") from None
    if isinstance(cell, str):
        return str(cell)
    raise InputTypeError(
        f"column {name!r} holds {cell!r} of type {type(cell).__name__}; cells are numbers, text or bools"
    )


def decimals_of(v: np.ndarray, share: float = 1.0) -> int | None:
    """The fewest decimals that this share of the numbers v (n,) have, at most MOST_DECIMALS; None: they have more."""
    for decimals in range(MOST_DECIMALS + 1):
        if (np.round(v, decimals) == v).mean() >= share:
            return decimals
    return None
