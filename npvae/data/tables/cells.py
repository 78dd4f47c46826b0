"""Columns of cells in memory: what a model reads of them, and the same columns with values in the place of some cells.

    a column of                      the model reads            values in it become
    floats                           the floats                 floats of that type
    whole numbers                    floats                     whole numbers of that type
    truth values, text               themselves                 the same
    Decimals                         floats                     Decimals of as many digits
    dates, times, durations          days, see times.py         dates, times, durations
    several of these, anything else  themselves                 what they are

A value that the column's type does not hold, such as 2.5 among whole numbers, makes it a column of floats, or of
objects. What is observed is never taken through the model's form: it stays the object, or the bits, that it was.
"""

from __future__ import annotations

import datetime
import decimal
import numbers
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from npvae.data.tables import times
from npvae.data.tables.missing import missing_among
from npvae.data.tables.notation import LARGEST_WHOLE

#: What a column's cells are, if not names: a model of dates takes no plain numbers, nor the other way round.
FORMS = ("number", "date", "duration")
_TRUTHS = (bool, np.bool_)


@dataclass(frozen=True)
class Given:
    """A column as it came: cells (N,), floats with NaN or objects; which are missing; what they are; and of rows (n,)
    and values (n,), floats or objects, the column with these values there. declared: it is one of declared
    categories."""

    cells: np.ndarray
    missing: np.ndarray
    replace: Callable[[np.ndarray, np.ndarray], object]
    form: str = "number"
    declared: bool = False


def of_array(column: np.ndarray, also=()) -> Given:
    """Of a NumPy array (N,) of any type. also: values that are missing, too."""
    kind, missing = column.dtype.kind, missing_among(column, also)

    def replace(rows, values):
        return _replaced(column, rows, values)

    if kind == "f" or (kind in "iu" and not _has_large(column)):
        return Given(np.where(missing, np.nan, column.astype(np.float64)), missing, replace)
    if kind in "mM" and np.datetime_data(column.dtype)[0] != "generic":
        days = np.where(missing, np.nan, times.to_days(column))
        return Given(days, missing, replace, "date" if kind == "M" else "duration")
    return of_objects(column, also) if kind == "O" else Given(column.astype(object), missing, replace)


def of_objects(cells: np.ndarray, also=(), rebuild=None) -> Given:
    """Of objects (N,). rebuild: what a column is made by, of all objects (N,); without it they are the column."""
    missing = missing_among(cells, also)
    there = cells[~missing]
    form, read, write = _reading(there)
    seen = cells
    if read is not None:
        seen = np.full(len(cells), np.nan)
        seen[~missing] = read

    def replace(rows, values):
        new = cells.copy()
        new[rows] = boxed([value if isinstance(value, str) else write(value) for value in values])
        return new if rebuild is None else rebuild(new)

    return Given(seen, missing, replace, form)


def _reading(there: np.ndarray):
    """``(form, numbers, write)`` of observed objects: what they are; as floats, None where they are not numbers; what
    makes of a value one of theirs."""
    types = set(map(type, there))
    if str in types and len(types) > 1:  # words among numbers
        form, _, write = _reading(boxed([cell for cell in there if not isinstance(cell, str)]))
        return form, None, write

    def all_are(wanted, unwanted=()):
        return bool(types) and all(issubclass(one, wanted) and not issubclass(one, unwanted) for one in types)

    one = next(iter(types)) if len(types) == 1 else None
    try:
        if all_are(_TRUTHS):
            return "number", None, bool
        if all_are(numbers.Integral, bool):
            return (
                "number",
                None if _has_large(there) else there.astype(np.float64),
                lambda value: _whole(value, one or int),
            )
        if all_are(decimal.Decimal):
            digits = min(cell.as_tuple().exponent for cell in there)
            return (
                "number",
                there.astype(np.float64),
                lambda value: decimal.Decimal(f"{float(value):.{max(0, -digits)}f}"),
            )
        if all_are((numbers.Real, decimal.Decimal), bool):
            return (
                "number",
                there.astype(np.float64),
                one if one is not None and issubclass(one, (float, np.floating)) else float,
            )
        if all_are((datetime.date, datetime.timedelta)) and (one or all_are(datetime.datetime)):
            array = times.as_array(list(there))
            form = "duration" if array.dtype.kind == "m" else "date"
            return (
                form,
                times.to_days(array),
                lambda value: times.as_objects(times.from_days(np.array([value]), array), there[0])[0],
            )
        if all_are((np.datetime64, np.timedelta64)) and one is not None:
            array = np.array(list(there))
            form = "duration" if array.dtype.kind == "m" else "date"
            return form, times.to_days(array), lambda value: times.from_days(np.array([value]), array)[0]
    except (
        OverflowError,
        TypeError,
        ValueError,
        KeyError,
    ):  # too large for a float; a zone in some times only; infinity in Decimals
        pass
    return "number", None, lambda value: value.item() if isinstance(value, np.generic) else value


def _replaced(column: np.ndarray, rows: np.ndarray, values: np.ndarray) -> np.ndarray:
    """A copy of an array with values, floats or objects, in some rows: of its type if that holds them, else of
    floats or objects.
    """
    kind, values = column.dtype.kind, np.asarray(values)
    numeric = values.dtype.kind == "f" or all(isinstance(value, (numbers.Real, np.bool_)) for value in values)
    new = column.copy()
    if kind in "mM" and numeric:
        new[rows] = times.from_days(values.astype(np.float64), column[~np.isnat(column)])
    elif kind == "f" and numeric:
        new[rows] = values.astype(np.float64)
    elif kind in "iu" and numeric:
        v = values.astype(np.float64)
        bounds = np.iinfo(column.dtype)
        fits = (v == np.rint(v)).all() and (v >= bounds.min).all() and (v <= bounds.max).all()
        new = new if fits else new.astype(np.float64)
        new[rows] = v
    else:
        new = column.astype(object)
        new[rows] = boxed(values)
    return new


def boxed(values) -> np.ndarray:
    """Objects (n,), whatever they are."""
    box = np.empty(len(values), object)
    for i, value in enumerate(values):
        box[i] = value
    return box


def _whole(value, one: type):
    """A value as a whole number of type ``one``, if it is one."""
    if value != np.rint(value):
        return float(value)
    try:
        return one(int(value))
    except (OverflowError, TypeError):
        return int(value)


def _has_large(cells: np.ndarray) -> bool:
    """Whether one of some whole numbers is more than a float holds."""
    return len(cells) > 0 and max(abs(int(cells.max())), abs(int(cells.min()))) > LARGEST_WHOLE


def in_numpy(column, values: np.ndarray) -> np.ndarray:
    """Values (N,) that a modelled column decodes, as NumPy has them: whole numbers, floats, truth values, dates,
    durations, or text.
    """
    if column.form in ("date", "duration"):
        unit = "D" if column.whole else "us"
        return times.from_days(
            values.astype(np.float64), np.zeros(0, f"{'M' if column.form == 'date' else 'm'}8[{unit}]")
        )
    if values.dtype.kind == "f" or all(type(value) is float for value in values):
        v = values.astype(np.float64)
        of_column = np.array(column.values, np.float64) if len(column.values) else v
        whole = (
            (column.whole or len(column.values))
            and (of_column == np.rint(of_column)).all()
            and (np.abs(v) < 2.0**53).all()
        )
        return v.astype(np.int64) if whole else v
    return values.astype(bool) if all(isinstance(value, bool) for value in values) else values
