"""Text tables of numbers and names with missing cells: read cell by cell, and written so that what was there is unchanged."""

from __future__ import annotations

import csv
import io
import math
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from npvae.data.sniff import MISSING, delimiter_of, looks_like_header
from npvae.data.table import rows_of
from npvae.errors import DataFileError
from npvae.files import write_text_atomically
from npvae.tables.schema import numbered

#: Cells that stand for nothing.
NOTHING = MISSING | {"N/A", "n/a", "#N/A", "<NA>", "NULL", "null", "None", "-nan", "NaT"}


@dataclass(frozen=True)
class TextTable:
    """A table as it stands in its file: text cells; the names of its columns, if the file has them; its delimiter; the cells
    that stand for nothing."""

    text: list[list[str]]
    columns: list[str]
    has_names: bool
    delimiter: str
    nothing: frozenset[str] = NOTHING

    def __array__(self, dtype=None, copy=None):
        """(N, C) objects: numbers as floats, names as text, None where nothing is."""
        return np.array([[_value(cell, self.nothing) for cell in row] for row in self.text], dtype=object)

    def __len__(self) -> int:
        return len(self.text)


def read_text_table(path, header: bool | None = None, missing=()) -> TextTable:
    """The table of a file: comma, semicolon, tab or runs of spaces; names in the first row if no cell of it is a number or
    stands for nothing, and one of them, that is not empty, is above numbers.

    A table of names alone has no such sign, and its first row is taken for names: say ``header=True`` or ``False``. missing:
    texts of cells that stand for nothing, beside ``NOTHING``.
    DataFileError: it is empty or ragged, or no text. FileNotFoundError: no such file.
    """
    with closing(rows_of(path)) as lines:
        rows = list(lines)
    if not rows:
        raise DataFileError(f"{path}: expected a table, got an empty file")
    width = len(rows[0][1])
    for line, cells in rows:
        if len(cells) != width:
            raise DataFileError(f"{path}: line {line} has {len(cells)} columns, expected {width} as in the first row")
    text = [[cell.strip() for cell in cells] for _, cells in rows]
    nothing = NOTHING | {cell.strip() for cell in missing}
    has_names = _looks_like_names(text, nothing) if header is None else header
    columns = text.pop(0) if has_names else numbered(width)
    if not text:
        raise DataFileError(f"{path}: expected rows of data, got only the header row")
    return TextTable(text, columns, has_names, _delimiter(path), nothing)


def write_text_table(path, table: TextTable, filled: np.ndarray, observed: np.ndarray) -> None:
    """Write the table with ``filled`` (N, C) in the place of what is not observed; every other cell is the text it was.

    Between the cells are tabs in a .tsv, else what was there in the file that was read; commas in a .csv of spaces or tabs.
    """
    stream, suffix = io.StringIO(), Path(path).suffix.lower()
    delimiter = "\t" if suffix == ".tsv" else "," if suffix == ".csv" and table.delimiter in " \t" else table.delimiter
    writer = csv.writer(stream, delimiter=delimiter, lineterminator="\n")
    if table.has_names:
        writer.writerow(table.columns)
    # A value that the column has is written as the column has it: a category 3 as 03.
    known = [{_value(cell, table.nothing): cell for cell in reversed(column)} for column in zip(*table.text, strict=True)]
    for row, values, there in zip(table.text, filled, observed, strict=True):
        writer.writerow([
            cell if seen else spelled.get(value, as_text(value))
            for cell, value, seen, spelled in zip(row, values, there, known, strict=True)
        ])
    write_text_atomically(path, stream.getvalue())


def write_numbers(path, columns: list[str], arrays: dict[str, np.ndarray]) -> None:
    """Write a file of (N, C) arrays side by side, columns ``NAME SUFFIX`` for every suffix, empty cells for NaN."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([f"{name} {suffix}" for name in columns for suffix in arrays])
    for rows in zip(*arrays.values(), strict=True):
        writer.writerow(["" if np.isnan(value) else as_text(value) for cells in zip(*rows, strict=True) for value in cells])
    write_text_atomically(path, stream.getvalue())


def as_text(value) -> str:
    """A filled cell: twelve digits of a number, whole ones without a point."""
    if isinstance(value, str):
        return value
    if math.isfinite(value) and value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return f"{value:.12g}"


def _looks_like_names(text: list[list[str]], nothing) -> bool:
    first, below = text[0], text[1:]
    if not looks_like_header(first) or any(cell in nothing and cell for cell in first):
        return False
    numeric = [any(isinstance(_value(row[i], nothing), float) for row in below) for i in range(len(first))]
    return any(name and number for name, number in zip(first, numeric, strict=True)) or not any(numeric)


def _value(cell: str, nothing):
    if cell in nothing:
        return None
    if "_" not in cell:  # float() reads "1_000", which is a Python literal and no datum
        try:
            return float(cell)
        except ValueError:
            pass
    return cell


def _delimiter(path) -> str:
    with open(Path(path), encoding="utf-8-sig", newline="") as file:
        return delimiter_of(file) or ","
