"""Tables in memory of many kinds: read column by column, and given back as what they were.

    X                                           given back as
    pandas.DataFrame                            one with its index, names and types
    polars.DataFrame, pyarrow.Table             the same
    a mapping of columns, npvae.read_table's    a dict of columns of their own kinds
    a list of records (mappings)                a list of dicts; what a record lacks is missing
    an array, a list of rows, anything with ``columns`` that NumPy makes an array of      an array

A column whose type holds the values keeps it (cells.py); every other column is as it was.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from npvae.data.tables.cells import Given, boxed
from npvae.data.tables.libraries import library_of, of_column
from npvae.data.tables.table import Table
from npvae.errors import InputError, InputTypeError, MissingDependencyError

#: What :meth:`TableImputer.set_output` takes.
OUTPUTS = ("default", "pandas", "polars")


@dataclass(frozen=True)
class Cells:
    """A table as it came: its columns, their names as text, whether the table has such, and what makes a table of its
    kind, with some columns, by their places, replaced."""

    columns: list[Given]
    names: list[str]
    named: bool
    rows: int
    rebuild: Callable[[dict[int, object]], object]

    @property
    def observed(self) -> np.ndarray:
        """(N, C), booleans."""
        return ~np.stack([column.missing for column in self.columns], axis=1)


def as_cells(X, name: str = "X", also=()) -> Cells:
    """X as cells, see above; it is not modified. also: values that are missing beside None, NaN, NaT and NA.

    InputError, InputTypeError: not a table, no rows or no columns, two columns of one name, complex numbers.
    """
    if hasattr(X, "toarray") or isinstance(X, np.ma.MaskedArray):
        raise InputTypeError(
            f"{name} must be a dense table with NaN or None for what is missing, got a sparse matrix or masked array: "
            f"{type(X).__name__}"
        )
    X = columns_of_text(X) if isinstance(X, Table) else X
    library = library_of(X)
    if library and hasattr(X, "collect") and not hasattr(X, "get_columns"):
        raise InputTypeError(
            f"{name} must be a table in memory, got a {type(X).__name__}: call its method collect() first"
        )
    names: Any
    if library == "pandas" and hasattr(X, "isetitem"):
        names, columns, rebuild = (
            list(X.columns),
            [X.iloc[:, i] for i in range(X.shape[1])],
            lambda new: _pandas_with(X, new),
        )
    elif library == "polars" and hasattr(X, "get_columns"):
        names, columns = X.columns, X.get_columns()
        rebuild = lambda new: X.with_columns([column.alias(names[i]) for i, column in new.items()])  # noqa: E731
    elif library == "pyarrow" and hasattr(X, "column_names"):
        names, columns, rebuild = X.column_names, X.columns, lambda new: _arrow_with(X, new)
    elif isinstance(X, Mapping):
        names, columns = list(X), list(X.values())
        _check_columns(names, columns, name)
        rebuild = lambda new: {key: new.get(i, column) for i, (key, column) in enumerate(X.items())}  # noqa: E731
    elif isinstance(X, (list, tuple)) and len(X) and all(isinstance(row, Mapping) for row in X):
        names = list(dict.fromkeys(key for row in X for key in row))
        columns, rebuild = (
            [boxed([row.get(key) for row in X]) for key in names],
            lambda new: _records_with(X, names, new),
        )
    else:
        names = getattr(X, "columns", None)
        array = _as_array(X, name)
        columns, rebuild = list(array.T), lambda new: _array_with(array, new)
    rows = len(columns[0]) if len(columns) else 0
    if not rows:
        raise InputError(_nothing(name, rows, len(columns)))
    named, names = (
        names is not None,
        numbered(len(columns)) if names is None else [column_name(entry) for entry in names],
    )
    if len(names) != len(columns):
        raise InputError(f"{name} has {len(names)} column names for {len(columns)} columns")
    if len(set(names)) != len(names):
        twice = next(entry for entry in names if names.count(entry) > 1)
        raise InputError(f"two columns of {name} are named {twice!r}; rename one of them")
    return Cells([of_column(column, also) for column in columns], names, named, rows, rebuild)


def numbered(count: int) -> list[str]:
    """The names of columns that have none."""
    return [str(i) for i in range(count)]


def in_container(table, wanted: str, names: list[str], X):
    """A table in the form that :meth:`TableImputer.set_output` asked for. names: of its columns, where it has none; X:
    the table that it was made of, whose index it keeps. MissingDependencyError: the library is not installed."""
    if wanted == "default" or library_of(table) == wanted:
        return table
    try:
        library = importlib.import_module(wanted)
    except ImportError:
        raise MissingDependencyError(
            f'set_output(transform="{wanted}") needs {wanted}, which is not installed: pip install {wanted}, or '
            'set_output(transform="default")'
        ) from None
    if isinstance(table, np.ndarray):
        columns = dict(zip(names, table.T, strict=True))
    else:
        columns = as_columns(table)
    if wanted == "pandas":
        return library.DataFrame(columns, index=getattr(X, "index", None) if library_of(X) == "pandas" else None)
    return library.DataFrame({name: _as_list(column) for name, column in columns.items()}, strict=False)


def columns_of_text(table: Table, names=None) -> dict:
    """The columns of a text table by name, or those ``names`` of them, with the words that stand among numbers."""
    columns = {name: column for name, column in table.to_dict().items() if names is None or name in names}
    for j, column in enumerate(table.columns):
        if column.name not in columns:
            continue
        rows = np.flatnonzero(~column.missing & ~column.observed)
        if column.kind == "number" and len(rows):
            cells = columns[column.name].astype(object)
            cells[rows] = boxed(table.form.texts(rows, j))
            columns[column.name] = cells
    return columns


def as_columns(table) -> dict:
    """The columns of a table that is no array, by their names as text."""
    if isinstance(table, Mapping):
        return {column_name(name): column for name, column in table.items()}
    if isinstance(table, list):
        names = dict.fromkeys(key for record in table for key in record)
        return {column_name(name): [record.get(name) for record in table] for name in names}
    if library_of(table) == "pandas":
        return {column_name(name): table.iloc[:, i] for i, name in enumerate(table.columns)}
    names = table.columns if library_of(table) == "polars" else table.column_names
    return {name: table[name].to_list() if library_of(table) == "polars" else table[name].to_pylist() for name in names}


def _as_list(column) -> list:
    """A column as a list of Python's values, None for a missing one."""
    given = of_column(column)
    values = column.tolist() if hasattr(column, "tolist") else list(column)
    return [None if gone else value for value, gone in zip(values, given.missing, strict=True)]


def _pandas_with(frame, new: dict):
    result = frame.copy()
    for i, column in new.items():
        result.isetitem(i, column)
    return result


def _arrow_with(table, new: dict):
    for i, column in new.items():
        field = table.schema.field(i)
        table = table.set_column(i, field.with_type(column.type), column)
    return table


def _records_with(records, names, new: dict) -> list[dict]:
    result = [dict(record) for record in records]
    for i, column in new.items():
        for record, value in zip(result, column, strict=True):
            record[names[i]] = value
    return result


def _array_with(array: np.ndarray, new: dict) -> np.ndarray:
    if all(column.dtype == array.dtype for column in new.values()):
        result = array.copy()
    elif array.dtype.kind in "iuf" and all(column.dtype.kind in "iuf" for column in new.values()):
        result = array.astype(np.float64)
    else:
        result = array.astype(object)
    for i, column in new.items():
        result[:, i] = column
    return result


def _as_array(X, name: str) -> np.ndarray:
    """X as an array (N, C) of any type; of lists as the cells are, since NumPy makes texts of the numbers beside a
    text.
    """
    try:
        array = np.asarray(X)
        if isinstance(X, (list, tuple)) or array.dtype.kind not in "fiubOUmM":
            flat = [cell for row in X for cell in row] if array.ndim == 2 and not isinstance(X, np.ndarray) else []
            if array.dtype.kind not in "fiu" or any(isinstance(cell, (bool, np.bool_)) for cell in flat):
                array = np.asarray(X, dtype=object)
    except ValueError as error:
        raise InputError(f"{name} is not a rectangular table: {error}") from None
    if array.dtype.kind == "c" or (array.dtype == object and any(isinstance(cell, complex) for cell in array.flat)):
        raise InputError(f"Complex data not supported: {name} has dtype {array.dtype}")
    if array.ndim != 2:
        more = (
            ". Reshape your data: .reshape(-1, 1) if it is one column, .reshape(1, -1) if it is one row"
            if array.ndim == 1
            else ""
        )
        more = ". Call its method to_frame() first" if hasattr(X, "to_frame") else more
        raise InputError(f"{name} must have rows and columns, got shape {array.shape}{more}")
    if 0 in array.shape:
        raise InputError(_nothing(name, *array.shape))
    if array.dtype.kind == "U":
        array = np.where(array == "nan", np.array(None), array.astype(object))  # which NumPy makes of NaN beside text
    return array


def _check_columns(names, columns, name: str) -> None:
    """InputError, InputTypeError: the values of a mapping are not columns of one length."""
    for key, column in zip(names, columns, strict=True):
        if isinstance(column, (str, bytes)) or not hasattr(column, "__len__") or getattr(column, "ndim", 1) != 1:
            raise InputTypeError(
                f"{name}[{key!r}] must be a column: a list, an array of one axis or a Series, got "
                f"{type(column).__name__}"
            )
    lengths = {len(column) for column in columns}
    if len(lengths) > 1:
        odd = next(i for i, column in enumerate(columns) if len(column) != len(columns[0]))
        has = f"{names[0]!r} has {len(columns[0])} cells, {names[odd]!r} {len(columns[odd])}"
        raise InputError(f"the columns of {name} must be of one length: {has}")


def _nothing(name: str, rows: int, columns: int) -> str:
    what = "0 feature(s)" if not columns else "0 sample(s)"
    return (
        f"Found array with {what} (shape=({rows}, {columns})) while a minimum of 1 is required: {name} must have rows "
        "and columns"
    )


def column_name(entry) -> str:
    """A column's name as text; of several levels joined by a slash."""
    return "/".join(map(str, entry)) if isinstance(entry, tuple) else str(entry)
