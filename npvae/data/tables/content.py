"""The columns of a table that was read, and where their cells stand in its text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from npvae.data.tables.encoding import Decoded
from npvae.data.tables.evidence import date_length
from npvae.data.tables.form import Form
from npvae.data.tables.notation import Notation
from npvae.errors import MissingDependencyError, UnknownNameError


@dataclass(eq=False)
class Column:
    """A column of N cells. name: inside, no two alike; written: as in the file. kind: "number", "date", "truth", "text"
    or "identifier".

    values: floats with NaN where nothing is read, dates as numbers of ``unit`` since 1970; of the other kinds objects
    with None. missing: what is to be filled in, by ``spellings`` counted. others: texts among numbers, which stay.
    carried: why it cannot be modelled.
    """

    name: str
    written: str
    values: np.ndarray
    kind: str = "number"
    notation: Notation = Notation()
    unit: str = ""
    example: str = ""
    carried: str = ""
    spellings: dict = field(default_factory=dict)
    others: dict = field(default_factory=dict)
    counts: dict = field(default_factory=dict)
    suspicious: list = field(default_factory=list)

    def __post_init__(self) -> None:
        self.missing = np.zeros(len(self.values), bool)

    @property
    def observed(self) -> np.ndarray:
        """(N,): where there is a value."""
        return (
            ~np.isnan(self.values)
            if self.values.dtype.kind == "f"
            else ~np.equal(self.values, cast(Any, None)).astype(bool)
        )

    def plain(self):
        """The values as an array of their own type: whole numbers where all are and none is missing, dates, objects."""
        if self.kind == "date":
            whole = np.where(np.isnan(self.values), 0, self.values).astype(np.int64).astype(f"M8[{self.unit}]")
            return np.where(np.isnan(self.values), np.datetime64("NaT"), whole)
        if self.kind == "number" and self.is_whole and self.observed.all():
            return self.values.astype(np.int64)
        return self.values.copy()

    @property
    def is_whole(self) -> bool:
        """Whether all numbers are written as whole ones."""
        return self.kind == "number" and not self.notation.decimals and not self.notation.digits

    def as_floats(self, table: Content) -> np.ndarray:
        """The values as floats, of text too where it is numbers. ValueError(row, text): a cell is none, the first."""
        if self.kind in ("number", "date") and not self.others:
            return self.values
        j, rows = table.columns.index(self), np.flatnonzero(~self.missing)
        texts, found = table.form.texts(rows, j), np.full(len(self.values), np.nan)
        for row, text in zip(rows.tolist(), texts, strict=True):
            try:
                if "_" in text:
                    raise ValueError
                found[row] = {"true": 1.0, "false": 0.0}[text.lower()] if self.kind == "truth" else float(text)
            except ValueError:
                raise ValueError(row, text) from None
        return found

    def write(self, value) -> str:
        """A value as the column's cells have it."""
        if self.kind == "date":
            end = date_length(self.example)
            return (
                str(np.datetime64(int(round(value)), cast(Any, self.unit)))[:end].replace(
                    "T", self.example[10:11] or "T"
                )
                + self.example[end:]
            )
        if self.kind == "truth":
            return next(text for text in self.counts if (text.lower() == "true") == value)
        return self.notation.write(float(value)) if self.kind == "number" else str(value)


class Content:
    """What a table holds: ``columns``, a list of :class:`Column`, and where their cells stand in its text."""

    def __init__(self, name, sheet: str, decoded: Decoded, mark: str, form: Form, columns: list[Column]) -> None:
        self.name, self.sheet, self.decoded, self.mark, self.form, self.columns = (
            name,
            sheet,
            decoded,
            mark,
            form,
            columns,
        )

    def __len__(self) -> int:
        return len(self.form.rows)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}: {len(self)} rows, {len(self.columns)} columns)"

    def __getitem__(self, name: str) -> Column:
        """The column of that name. UnknownNameError."""
        found = [column for column in self.columns if column.name == name] or [
            column for column in self.columns if column.written == name
        ]
        if not found:
            raise UnknownNameError("column", name, [column.name for column in self.columns])
        return found[0]

    def line(self, row: int) -> int:
        """The number of the line of a row, which is counted from 0."""
        return self.form.line(self.form.rows[row])

    def modelled(self, also=()) -> list[Column]:
        """The columns that are not carried, and those named ``also``."""
        return [column for column in self.columns if not column.carried or column.name in also]

    def to_dict(self) -> dict[str, np.ndarray]:
        """By name, the values: whole numbers, floats with NaN, datetime64 with NaT; text, truth values and
        identifiers with None.
        """
        return {column.name: column.plain() for column in self.columns}

    def to_frame(self):
        """A pandas DataFrame; whole numbers with gaps are of its type Int64. MissingDependencyError: pandas is not
        installed.
        """
        try:
            import pandas
        except ImportError:
            raise MissingDependencyError("to_frame() needs pandas; to_dict() needs nothing") from None
        whole = {column.name: "Int64" for column in self.columns if column.is_whole and not column.observed.all()}
        return pandas.DataFrame(self.to_dict()).astype(whole)
