"""Reading a user's own data file and writing an array, by the suffix of the file's name."""

from __future__ import annotations

import csv
import io
import operator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from npvae.data.numpy_files import read_numpy_file
from npvae.data.source import FRAME_SUFFIXES, text_suffix
from npvae.data.tables.content import Column
from npvae.data.tables.read import read_table
from npvae.data.tables.table import Table
from npvae.errors import DataFileError, InputError, InputTypeError, UnknownNameError
from npvae.support.files import write_atomically, write_text_atomically

NUMPY_SUFFIXES = (".npy", ".npz")
TEXT_SUFFIXES = (".csv", ".tsv", ".tab", ".txt", ".dat", ".data")
SAVE_SUFFIXES = (".npy", ".npz", ".csv")
#: Characters of a label, at most: an array gives every label the room of the longest.
LONGEST_LABEL = 10_000


@dataclass(frozen=True, eq=False)
class LoadedFile:
    """What a data file holds.

    x: (N, ...). y: (N, ...) labels, or None. column_names: those of the columns of x, or None. table: a text table as
    it was read, or None.
    """

    x: np.ndarray
    y: np.ndarray | None = None
    column_names: list[str] | None = None
    table: Table | None = None


def load_file(path, *, key: str | None = None, label_column: int | str | None = None, **reading) -> LoadedFile:
    """Read a data file.

    ``.npy``: the array. ``.npz``: the array ``key``; by default "x", or the only one beside "y"; labels from
    "y" if there. Both keep the file's dtype; pickled data are never read.

    A text table, packed perhaps or a workbook, or ``-`` for standard input: its columns, of numbers all, as float64 (N,
    columns) with NaN for what is missing. It is read by :func:`npvae.read_table`, to which ``reading`` goes: encoding,
    separator, decimal, skip, comment, header, header_rows, missing, observed, and ignore for columns that are left out.
    ``label_column``, a name or a number counted from 0 (negative: from the end), is split off as ``y``: int64 if all
    labels are written as integers, else texts as they stand, "" for those that are missing. Messages count lines and
    columns from 1.

    FileNotFoundError: no such file. UnknownNameError: suffix, key or column. DataFileError: damaged, empty, or text in
    columns of numbers. InputError: an option that the kind of file does not have.
    """
    path = "-" if path == "-" else Path(path)
    suffix = "" if path == "-" else text_suffix(path)
    if suffix in NUMPY_SUFFIXES:
        if label_column is not None or reading:
            given = (["label_column"] if label_column is not None else []) + [*reading]
            raise InputError(f"{', '.join(given)}: for text tables, not for {suffix} files")
        return LoadedFile(*read_numpy_file(path, key))
    if path == "-" or suffix in TEXT_SUFFIXES + FRAME_SUFFIXES:
        if key is not None:
            raise InputError(f"key is for .npz files, not for {suffix} files")
        table = read_table(path, **reading)
        label, y = labels_of(table, label_column)
        x, names = numbers_of(table, label)
        return LoadedFile(x, y, names, table)
    raise UnknownNameError("file type", suffix, NUMPY_SUFFIXES + TEXT_SUFFIXES + FRAME_SUFFIXES)


def labels_of(table: Table, label_column) -> tuple[Column | None, np.ndarray | None]:
    """The column of labels of a text table and the labels, as of :func:`load_file`; None and None for
    ``label_column=None``.
    """
    if label_column is None:
        return None, None
    label = table.columns[_position(label_column, table)]
    return label, _labels(label, table)


def numbers_of(table: Table, label: Column | None = None) -> tuple[np.ndarray, list[str] | None]:
    """The numbers of a text table but for the column of labels, and the columns' names, if it has any. DataFileError: a
    column of text, or nothing beside the labels."""
    columns = [column for column in table.columns if column is not label and column.carried != "as said"]
    if not columns:
        raise DataFileError(f"{table.name}: expected a column of data beside the label column, got none")
    found, wrong = [], []
    for column in columns:
        try:
            found.append(column.as_floats(table))
        except ValueError as error:
            wrong.append((table.columns.index(column), *error.args))
    if wrong:
        raise DataFileError(f"{table.name}: " + _text_among_numbers(table, wrong))
    whole = found[0].base  # of plain numbers alone there is no need of a copy
    as_read = len(columns) == len(table.columns) and all(one.base is whole for one in found)
    x = whole if whole is not None and as_read else np.column_stack(found)
    names = [column.written for column in columns] if table.form.has_names else None
    return x, names


def _text_among_numbers(table: Table, wrong: list[tuple[int, int, str]]) -> str:
    """The message about cells ``(column, row, text)`` that should be numbers, the first of each column."""
    (j, row, text), *others = wrong
    text = text if len(text) <= 60 else f"{text[:60]}..."
    named = f" ({table.columns[j].written!r})" if table.form.has_names else ""
    more = ", ".join(repr(table.columns[i].name) for i, _, _ in others[:20]) + (", ..." if len(others) > 20 else "")
    return (
        f"line {table.line(row)}, column {j + 1}{named}: expected a number, got {text!r}"
        + (f"; the same in {len(others)} more: {more}" if more else "")
        + f"; leave such columns out by ignore={table.columns[j].name!r}, say missing={text!r} if that is what it "
        "means, or name the label column"
    )


def _position(label_column: int | str, table: Table) -> int:
    names, width = [column.written for column in table.columns], len(table.columns)
    if isinstance(label_column, str):
        if table.form.has_names and names.count(label_column) == 1:
            return names.index(label_column)
        if table.form.has_names and label_column in names:
            raise InputError(f"several columns are named {label_column!r}; give the label column by number")
        try:
            label_column = int(label_column)
        except ValueError:
            if not table.form.has_names:
                raise InputError(f"label_column={label_column!r} is a name, but the table has no header row") from None
            raise UnknownNameError("column", label_column, names) from None
    position = operator.index(label_column)
    if not -width <= position < width:
        raise InputError(f"label_column={position} is outside a table of {width} columns (0 to {width - 1})")
    return position % width


def _labels(label: Column, table: Table) -> np.ndarray:
    """Labels as they are written; whole numbers where none is written otherwise, or missing."""
    j = table.columns.index(label)
    texts = [
        "" if gone else text
        for text, gone in zip(table.form.texts(np.arange(len(table)), j), label.missing.tolist(), strict=True)
    ]
    for row, text in enumerate(texts):
        if len(text) > LONGEST_LABEL:
            raise DataFileError(
                f"{table.name}: line {table.line(row)}: expected a label of at most {LONGEST_LABEL:,} characters, got "
                f"{len(text):,}"
            )
    if all(
        text.lstrip("-").isdecimal() and len(text) < 20 and str(int(text)) == text and abs(int(text)) <= 2**53
        for text in set(texts)
    ):
        return np.array([*map(int, texts)], np.int64)
    return np.array(texts)


def save_array(path, x, column_names=None, y=None) -> None:
    """Write the array ``x`` of numbers to ``path``, whole or not at all.

    ``.npy`` and ``.npz`` (key "x", and "y" for labels ``y``, which the others have no place for) keep dtype and shape.
    ``.csv`` takes (N,) as one column or (N, columns), and writes every number so that it is read back exactly;
    ``column_names`` become its first row (the other formats have no place for them). A name that is itself a number is
    read back with ``header=True`` only. UnknownNameError: another suffix. InputTypeError: not real numbers. InputError:
    shapes.
    """
    x, suffix = np.asarray(x), Path(path).suffix.lower()
    if suffix not in SAVE_SUFFIXES:
        raise UnknownNameError("file type", suffix, SAVE_SUFFIXES)
    if x.dtype.kind not in "biuf":
        raise InputTypeError(f"x must be an array of real numbers, got dtype {x.dtype}")
    if suffix == ".npy":
        write_atomically(path, lambda file: np.save(file, x, allow_pickle=False))
    elif suffix == ".npz":
        write_atomically(path, lambda file: np.savez(file, x=x, **({} if y is None else {"y": y})))
    else:
        write_text_atomically(path, _csv_text(x, column_names))


def _csv_text(x: np.ndarray, column_names) -> str:
    if x.ndim not in (1, 2):
        raise InputError(f"a .csv file holds one or two axes, got an array of shape {x.shape}")
    table = x if x.ndim == 2 else x[:, np.newaxis]
    if x.dtype.kind == "b":
        table = table.astype(np.uint8)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if column_names is not None:
        names = [str(name) for name in column_names]
        if len(names) != table.shape[1]:
            raise InputError(f"{len(names)} column_names for {table.shape[1]} columns")
        writer.writerow(names)
    writer.writerows(table.tolist())  # Python numbers, which csv writes by repr: the shortest exact form
    return text.getvalue()
