"""What is missing of a table: the one definition for tables and labels in memory; files add the texts that stand for
it.

    None                                     also polars' and pyarrow's null, which their lists and columns give as None
    NaN                                      of every floating type, and Decimal's
    NaT, pandas.NA, numpy.ma.masked          without importing the library they are of

A text is never missing by itself: "NA" may be Namibia, "" a blank answer. Who says ``missing=("NA", -999)`` adds values
that are.
"""

from __future__ import annotations

import decimal
from collections.abc import Iterable

import numpy as np

from npvae.errors import InputTypeError

#: The names of the types of pandas' and NumPy's cells for nothing.
_NOTHING = ("NAType", "NaTType", "MaskedConstant")


def is_missing(cell) -> bool:
    """Whether a cell or label stands for nothing."""
    if cell is None:
        return True
    if isinstance(cell, (float, np.floating)):
        return bool(cell != cell)
    if isinstance(cell, (str, int)):
        return False
    if isinstance(cell, (np.datetime64, np.timedelta64)):
        return bool(np.isnat(cell))
    if isinstance(cell, decimal.Decimal):
        return cell.is_nan()
    return type(cell).__name__ in _NOTHING


def missing_among(cells: np.ndarray, also=()) -> np.ndarray:
    """Which of cells (N,), of any dtype, are missing: booleans. also: values that are missing, too, see
    :func:`values_of`.
    """
    kind = cells.dtype.kind
    if kind == "f":
        found = np.isnan(cells)
    elif kind in "mM":
        found = np.isnat(cells)
    elif kind == "O":
        found = np.fromiter((is_missing(cell) for cell in cells), bool, len(cells))
    else:
        found = np.zeros(len(cells), bool)
    if also:
        texts = {value for value in also if isinstance(value, str)}
        numbers = {value for value in also if not isinstance(value, str)}
        for row in np.flatnonzero(~found):
            cell = cells[row]
            if isinstance(cell, str):
                found[row] = cell in texts
            elif (
                numbers
                and isinstance(cell, (int, float, np.integer, np.floating, decimal.Decimal))
                and not isinstance(cell, bool)
            ):
                found[row] = cell in numbers
    return found


def values_of(missing) -> tuple:
    """The values of an argument ``missing``: one text or number, or a list of them. InputTypeError: it is something
    else.
    """
    if missing is None:
        return ()
    values = tuple(missing) if isinstance(missing, Iterable) and not isinstance(missing, str) else (missing,)
    for value in values:
        if isinstance(value, bool) or not isinstance(value, (str, int, float, np.integer, np.floating)):
            raise InputTypeError(
                f"missing must be texts or numbers that stand for what is missing, such as ('NA', -999), got {value!r} "
                f"of type "
                f"{type(value).__name__}; None, NaN, NaT and pandas.NA always do"
            )
    return values
