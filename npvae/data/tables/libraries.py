"""Columns of pandas, polars and pyarrow, read and given back by their own methods: npvae imports none of these
libraries.
"""

from __future__ import annotations

import importlib
import numbers
import sys

import numpy as np

from npvae.data.tables.cells import Given, boxed, of_array, of_objects

#: What libraries raise where a type does not hold a value.
_DOES_NOT_FIT = (TypeError, ValueError, OverflowError, NotImplementedError)
#: Of pandas' types of whole numbers with gaps, those that hold fractions, too.
_WIDER = {f"{sign}Int{bits}": ("Float64",) for sign in ("", "U") for bits in (8, 16, 32, 64)}
_WIDER |= {f"{sign}int{bits}[pyarrow]": ("double[pyarrow]",) for sign in ("", "u") for bits in (8, 16, 32, 64)}


def library_of(thing) -> str:
    """The package that a thing's type, or one that it derives from, is defined in."""
    roots = {base.__module__.partition(".")[0] for base in type(thing).__mro__}
    return next((name for name in ("pandas", "polars", "pyarrow") if name in roots), "")


def of_column(column, also=()) -> Given:
    """Of a column in whatever holds one: an array (N,), a Series, a list, ... also: values that are missing, too."""
    library = library_of(column)
    if library == "pandas" and hasattr(column, "iloc"):
        return _of_pandas(column, also)
    if library == "polars":
        return _of_polars(column, also)
    if library == "pyarrow":
        return _of_arrow(column, also)
    if isinstance(column, np.ndarray):
        return of_array(column, also)
    return of_objects(boxed(list(column)), also, tuple if isinstance(column, tuple) else list)


def _of_pandas(series, also) -> Given:
    dtype = series.dtype

    def rebuild(values):
        for wanted in (dtype, *_WIDER.get(str(dtype), ())):
            try:
                return type(series)(values, index=series.index, dtype=wanted, name=series.name)
            except _DOES_NOT_FIT:
                continue
        return type(series)(values, index=series.index, dtype=object, name=series.name)

    if isinstance(dtype, np.dtype):
        given = of_array(series.to_numpy(), also)

        def replace(rows, values):
            new = given.replace(rows, values)
            return type(series)(new, index=series.index, dtype=new.dtype, name=series.name)

        return Given(given.cells, given.missing, replace, given.form)
    given = of_objects(series.to_numpy(dtype=object), also, rebuild)
    if hasattr(dtype, "categories"):  # not an interval's: what is filled in is one of these, or becomes one
        cells = boxed([_plain_category(cell) for cell in series.to_numpy(dtype=object)])
        return Given(cells, given.missing, lambda rows, values: _in_categories(series, rows, values), declared=True)
    return given


def _in_categories(series, rows, values):
    """A pandas Series of categories with values in some rows; those that are none yet come after the others, in
    order of occurrence.
    """
    known = {_plain_category(category): category for category in series.cat.categories}
    values = [
        value if value in known or not isinstance(value, float) or value != int(value) else int(value)
        for value in values
    ]
    new = series.cat.add_categories(list(dict.fromkeys(value for value in values if value not in known)))
    new = new.copy()
    new.iloc[rows] = [known.get(value, value) for value in values]
    return new


def _plain_category(category):
    """A category as the model has it: of intervals, times and the like their text."""
    return (
        category if category is None or isinstance(category, (str, bool, numbers.Number, np.bool_)) else str(category)
    )


def _of_polars(series, also) -> Given:
    polars, dtype = sys.modules["polars"], series.dtype
    plain = dtype.is_float() or (dtype.is_integer() and not series.null_count())
    given = of_array(series.to_numpy(), also) if plain else of_objects(boxed(series.to_list()), also)

    def replace(rows, values):
        objects = given.replace(rows, values)
        mask, sparse = _sparse(len(series), rows, objects[rows].tolist())
        for wanted in (dtype, None)[dtype == polars.Null :]:
            try:
                new = polars.Series(series.name, sparse, dtype=wanted)
                return new.zip_with(polars.Series(mask), series if wanted is not None else series.cast(new.dtype))
            except (*_DOES_NOT_FIT, polars.exceptions.PolarsError):
                continue
        return polars.Series(series.name, objects.tolist(), dtype=polars.Object)

    return Given(given.cells, given.missing, replace, given.form, str(dtype).startswith(("Categorical", "Enum")))


def _of_arrow(column, also) -> Given:
    arrow, kind = sys.modules["pyarrow"], column.type
    fine = arrow.types.is_timestamp(kind) or arrow.types.is_duration(kind)
    coarse = (
        (arrow.timestamp("us", kind.tz) if arrow.types.is_timestamp(kind) else arrow.duration("us")) if fine else None
    )
    given = of_objects(
        boxed((column.cast(coarse, safe=False) if fine else column).to_pylist()), also
    )  # Python knows no nanoseconds

    def replace(rows, values):
        objects = given.replace(rows, values)
        mask, sparse = _sparse(len(column), rows, objects[rows].tolist())
        if arrow.types.is_dictionary(kind):
            return _in_dictionary(arrow, column, rows, objects[rows])
        if_else = importlib.import_module("pyarrow.compute").if_else
        try:
            return if_else(arrow.array(mask), arrow.array(sparse, kind), column)
        except (*_DOES_NOT_FIT, arrow.ArrowException):
            new = arrow.array(sparse)
            return if_else(arrow.array(mask), new, column.cast(new.type))

    return Given(given.cells, given.missing, replace, given.form, arrow.types.is_dictionary(kind))


def _in_dictionary(arrow, column, rows, values):
    """A column of pyarrow's dictionary type with values in some rows; new ones come after the others."""
    whole = column.combine_chunks() if hasattr(column, "chunks") else column
    whole = whole.unify_dictionaries() if hasattr(whole, "unify_dictionaries") else whole
    whole = whole.chunk(0) if hasattr(whole, "chunks") else whole
    known = whole.dictionary.to_pylist()
    known += dict.fromkeys(value for value in values if value not in known)
    places = whole.indices.to_pylist()
    for row, value in zip(rows, values, strict=True):
        places[row] = known.index(value)
    kind = whole.type
    new = arrow.DictionaryArray.from_arrays(
        arrow.array(places, kind.index_type), arrow.array(known, kind.value_type), ordered=kind.ordered
    )
    return arrow.chunked_array([new]) if hasattr(column, "chunks") else new


def _sparse(count: int, rows, values) -> tuple[list, list]:
    """Which of ``count`` rows are among ``rows``; and values at these, None elsewhere."""
    mask, sparse = [False] * count, [None] * count
    for row, value in zip(rows, values, strict=True):
        mask[row], sparse[row] = True, value
    return mask, sparse
