"""Which kind of table came, and tables of that kind again, of as many rows as are wanted.

    container      a column's type that is kept
    pandas         its dtype: nullable, of Arrow, categories with their order
    polars         its dtype: categories, Enum, Date, Datetime, ...
    pyarrow        its type
    dict           arrays of NumPy's dtype, or lists
    records        a list of mappings
    array          an array

Kept as text, so that a file holds it; where the library is not there, or has no such type, columns are as NumPy has
them.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from npvae.data.tables.cells import boxed, in_numpy
from npvae.data.tables.libraries import library_of
from npvae.support.fields import Either, Flag, ListOf, OneOf, Real, Record, Text

CONTAINERS = ("pandas", "polars", "pyarrow", "dict", "records", "array")
#: In the header of a file.
DECLARATION = Record(
    {
        "container": OneOf(CONTAINERS),
        "types": ListOf(
            Record({"type": Text(1000)}, {"categories": ListOf(Either(Flag(), Real(), Text())), "ordered": Flag()})
        ),
    }
)


@dataclass(frozen=True)
class FrameKind:
    """container: see above; types: of every modelled column its type as text, of categories these and whether they
    are ordered.
    """

    container: str
    types: tuple[dict, ...]

    @classmethod
    def of(cls, X, schema) -> FrameKind:
        """Of the table X, whose modelled columns are those of the schema."""
        library = library_of(X)
        if not library and isinstance(X, Mapping):
            columns = list(X.values())
            return cls("dict", tuple(_type_of(columns[i], "") for i in _places(schema)))
        if not library and isinstance(X, (list, tuple)) and len(X) and isinstance(X[0], Mapping):
            return cls("records", tuple({"type": "list"} for _ in schema.columns))
        if library not in CONTAINERS or not hasattr(X, "columns"):
            array = {"type": str(X.dtype) if isinstance(X, np.ndarray) else "list"}
            return cls("array" if not hasattr(X, "columns") else "dict", tuple(array for _ in schema.columns))
        columns = (
            [X.iloc[:, i] for i in range(X.shape[1])]
            if library == "pandas"
            else list(X.get_columns() if library == "polars" else X.columns)
        )
        return cls(library, tuple(_type_of(columns[i], library) for i in _places(schema)))

    def config(self) -> dict:
        """As ``DECLARATION`` says; ``FrameKind(**config)`` is an equal one, with ``types`` a tuple again."""
        return {"container": self.container, "types": list(self.types)}

    def table(self, columns, values: list[np.ndarray]):
        """A table of values (N,) of every column, floats or objects, as the columns of a schema decode them."""
        names, plain = (
            [column.name for column in columns],
            [in_numpy(*pair) for pair in zip(columns, values, strict=True)],
        )
        try:
            library: Any = importlib.import_module(self.container) if self.container in CONTAINERS[:3] else None
        except ImportError:
            return dict(zip(names, plain, strict=True))
        if self.container == "pandas":
            return library.DataFrame(
                {n: _in_pandas(library, v, t, c) for n, v, t, c in zip(names, plain, self.types, columns, strict=True)}
            )
        if self.container == "polars":
            return library.DataFrame(
                [_in_polars(library, n, v, t) for n, v, t in zip(names, plain, self.types, strict=True)]
            )
        if self.container == "pyarrow":
            return library.table(
                {n: _in_arrow(library, v, t) for n, v, t in zip(names, plain, self.types, strict=True)}
            )
        if self.container == "records":
            return [dict(zip(names, row, strict=True)) for row in zip(*map(_objects, plain), strict=True)]
        if self.container == "array":
            return _in_array(plain, self.types[0]["type"])
        return {
            n: _objects(v) if t["type"] == "list" else _cast(v, t["type"])
            for n, v, t in zip(names, plain, self.types, strict=True)
        }


def _places(schema) -> list[int]:
    """Where the modelled columns are among all."""
    modelled = {column.name for column in schema.columns}
    return [i for i, name in enumerate(schema.names) if name in modelled]


def _type_of(column, library: str) -> dict:
    if not library:
        return {"type": str(column.dtype) if isinstance(column, np.ndarray) else "list"}
    if library == "pandas" and hasattr(column.dtype, "categories"):
        categories = [c if isinstance(c, (str, bool, int, float)) else str(c) for c in column.dtype.categories.tolist()]
        return {"type": "category", "categories": categories, "ordered": bool(column.dtype.ordered)}
    if library == "polars" and str(column.dtype).startswith("Enum"):
        return {"type": "Enum", "categories": column.dtype.categories.to_list()}
    return {"type": str(column.type if library == "pyarrow" else column.dtype)}


def _objects(v: np.ndarray) -> list:
    """Python's values; of dates its dates and times."""
    return v.tolist()


def _cast(v: np.ndarray, wanted: str) -> np.ndarray:
    """In NumPy's type of that name, if there is one that holds them."""
    try:
        return v if wanted.startswith(("<U", "object")) else v.astype(np.dtype(wanted))
    except (TypeError, ValueError):
        return v


def _in_array(plain: list[np.ndarray], wanted: str) -> np.ndarray:
    if all(v.dtype.kind in "iuf" for v in plain):
        return _cast(np.column_stack(plain), wanted if wanted != "list" else str(np.result_type(*plain)))
    cells = np.empty((len(plain[0]), len(plain)), object)
    for j, v in enumerate(plain):
        cells[:, j] = boxed(_objects(v))
    return cells


def _in_pandas(pandas, v: np.ndarray, described: dict, column):
    if described["type"] == "category":
        known = {
            (float(c) if isinstance(c, (int, float)) and not isinstance(c, bool) else c): i
            for i, c in enumerate(described["categories"])
        }
        codes = [known[float(x) if isinstance(x, (int, float)) and not isinstance(x, bool) else x] for x in v.tolist()]
        return pandas.Categorical.from_codes(codes, described["categories"], ordered=described.get("ordered", False))
    if described["type"] == "object" and column.form != "number":
        return pandas.Series(boxed(_objects(v)), dtype=object)
    try:
        return pandas.Series(v, dtype=object if described["type"] == "object" else None).astype(described["type"])
    except (TypeError, ValueError, ImportError):
        return pandas.Series(v)


def _in_polars(polars, name: str, v: np.ndarray, described: dict):
    kind, arguments = described["type"].partition("(")[::2]
    series = polars.Series(name, _objects(v) if v.dtype == object else v)
    try:
        if kind == "Enum":
            return series.cast(polars.Enum(described["categories"]))
        if kind in ("Datetime", "Duration"):
            found, zone = re.search(r"time_unit='(\w+)'", arguments), re.search(r"time_zone='([^']+)'", arguments)
            if found is None:
                return series
            unit = found[1]
            series = series.cast(polars.Datetime(unit) if kind == "Datetime" else polars.Duration(unit))
            return series.dt.replace_time_zone("UTC").dt.convert_time_zone(zone[1]) if zone else series
        return series.cast(getattr(polars, kind))
    except (AttributeError, TypeError, polars.exceptions.PolarsError):
        return series


def _in_arrow(arrow, v: np.ndarray, described: dict):
    made = arrow.array(_objects(v) if v.dtype == object else v)
    try:
        if described["type"].startswith("dictionary"):
            return made.dictionary_encode()
        zone = re.fullmatch(r"timestamp\[(\w+), tz=(.+)\]", described["type"])
        return made.cast(
            arrow.timestamp(zone[1], zone[2]) if zone else arrow.type_for_alias(described["type"]), safe=False
        )
    except (ValueError, arrow.ArrowException):
        return made
