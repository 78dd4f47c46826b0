"""Reading a text table of numbers, with an exact place in every complaint."""

from __future__ import annotations

import csv
import io
import operator
from array import array
from collections.abc import Iterator
from contextlib import closing
from itertools import chain

import numpy as np

from npvae.data.sniff import MISSING, delimiter_of, looks_like_header
from npvae.errors import DataFileError, InputError, UnknownNameError
from npvae.reading import open_file

NAN = float("nan")
#: Characters of a line: a row of a million numbers.
LONGEST_LINE = 1 << 24


def read_table(path, label_column: int | str | None = None, header: bool | None = None):
    """Return ``(x, y, column_names)`` of a text table; see :func:`npvae.data.load_file` for the rules.

    x: (N, columns) float64 with NaN where a cell is missing; y: (N,) or None; column_names: those of x.
    """
    values, labels = array("d"), []  # no object a row: a table of millions of rows is its numbers
    with closing(rows_of(path)) as rows:  # closes the file also when a row is refused
        line, first = next(rows, (None, []))
        if not first:
            raise DataFileError(f"{path}: expected a table, got an empty file")
        if header is None:
            header = looks_like_header(first)
        width = len(first)
        names = [cell.strip() for cell in first] if header else None
        label = None if label_column is None else _label_position(label_column, names, width)
        for line, cells in rows if header else chain([(line, first)], rows):
            if len(cells) != width:
                raise DataFileError(f"{path}: line {line} has {len(cells)} columns, expected {width} as in "
                                    "the first row")
            if label is not None:
                labels.append(cells[label].strip())
                cells[label] = "0"  # a number in its place keeps the column numbers of messages right
            values.frombytes(_numbers(path, line, cells, names).tobytes())
    if not values:
        raise DataFileError(f"{path}: expected rows of data, got only the header row")
    x = np.frombuffer(values).reshape(-1, width)
    if label is None:
        return x, None, names
    if width == 1:
        raise DataFileError(f"{path}: expected a column of data beside the label column, got none")
    return np.delete(x, label, axis=1), _labels(labels), names and names[:label] + names[label + 1 :]


def rows_of(path) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, cells) of each row that is not blank."""
    with io.TextIOWrapper(open_file(path, DataFileError)[0], encoding="utf-8-sig", newline="") as file:  # with or without a byte order mark
        try:
            delimiter = delimiter_of(file)
            lines = bounded_lines(path, file)
            lines = (line.strip() for line in lines) if delimiter == " " else lines
            # A table of one column needs a delimiter that no text contains.
            reader = csv.reader(lines, delimiter=delimiter or "\x1f", skipinitialspace=True, strict=True)
            for cells in reader:
                if cells and (len(cells) > 1 or cells[0].strip()):
                    yield reader.line_num, cells
        except csv.Error as error:
            raise DataFileError(f"{path}: line {reader.line_num}: {error}") from error
        except UnicodeDecodeError as error:
            byte = error.object[error.start]
            raise DataFileError(f"{path}: expected text in UTF-8, got the byte 0x{byte:02x}") from error


def bounded_lines(path, file) -> Iterator[str]:
    """The lines of an open text file. DataFileError: one is so long that this is no table."""
    number = 0
    while line := file.readline(LONGEST_LINE):
        number += 1
        if len(line) == LONGEST_LINE and not line.endswith(("\n", "\r")):
            raise DataFileError(f"{path}: line {number} is longer than {LONGEST_LINE} characters; expected a table of text")
        yield line


def _label_position(label_column: int | str, names: list[str] | None, width: int) -> int:
    if isinstance(label_column, str):
        if names is not None and names.count(label_column) == 1:
            return names.index(label_column)
        if names is not None and label_column in names:
            raise InputError(f"several columns are named {label_column!r}; give the label column by number")
        try:
            label_column = int(label_column)
        except ValueError:
            if names is None:
                raise InputError(f"label_column={label_column!r} is a name, but the table has no header row"
                                 ) from None
            raise UnknownNameError("column", label_column, names) from None
    position = operator.index(label_column)
    if not -width <= position < width:
        raise InputError(f"label_column={position} is outside a table of {width} columns (0 to {width - 1})")
    return position % width


def _numbers(path, line: int, cells: list[str], names: list[str] | None) -> np.ndarray:
    # float() reads "1_000", which is a Python literal and no datum; such rows go the slow way to their error.
    if "_" not in "".join(cells):
        try:
            return np.array([*map(float, cells)])
        except ValueError:
            pass
        try:
            return np.array([NAN if cell in MISSING else float(cell) for cell in cells])
        except ValueError:
            pass
    return np.array([_number(path, line, column, cell, names) for column, cell in enumerate(cells)])


def _number(path, line: int, column: int, cell: str, names: list[str] | None) -> float:
    if cell.strip() in MISSING:
        return NAN
    try:
        if "_" not in cell:
            return float(cell)
    except ValueError:
        pass
    named = f" ({names[column]!r})" if names else ""
    raise DataFileError(f"{path}: line {line}, column {column + 1}{named}: expected a number, got {cell!r}; if the "
                        "column holds labels, name it as the label column")


def _labels(texts: list[str]) -> np.ndarray:
    """Return int64 if all labels are integers, float64 if all are finite numbers, otherwise strings."""
    if not any("_" in text for text in texts):
        try:
            numbers = np.array([float(text) for text in texts])
        except ValueError:
            return np.array(texts)
        if np.isfinite(numbers).all():
            # Beyond 2**53 a float no longer holds every integer; such labels are names rather than numbers.
            if (np.abs(numbers) > 2.0**53).any():
                return np.array(texts)
            return numbers if (numbers % 1).any() else numbers.astype(np.int64)
    return np.array(texts)
