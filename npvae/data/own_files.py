"""Reading a user's own data file and writing an array, by the suffix of the file's name."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from npvae.data.numpy_files import read_numpy_file
from npvae.data.table import read_table
from npvae.errors import InputError, InputTypeError, UnknownNameError
from npvae.files import write_atomically, write_text_atomically

NUMPY_SUFFIXES = (".npy", ".npz")
TEXT_SUFFIXES = (".csv", ".tsv", ".txt", ".data")
SAVE_SUFFIXES = (".npy", ".npz", ".csv")


@dataclass(frozen=True, eq=False)
class LoadedFile:
    """What a data file holds.

    x: (N, ...). y: (N, ...) labels, or None. column_names: those of the columns of x, or None.
    """

    x: np.ndarray
    y: np.ndarray | None = None
    column_names: list[str] | None = None


def load_file(path, *, key: str | None = None, label_column: int | str | None = None,
              header: bool | None = None) -> LoadedFile:
    """Read a data file.

    ``.npy``: the array. ``.npz``: the array ``key``; by default "x", or the only one beside "y"; labels from
    "y" if there. Both keep the file's dtype; pickled data are never read.

    ``.csv``, ``.tsv``, ``.txt``, ``.data``: a text table in UTF-8, given as float64 (N, columns). Comma,
    semicolon, tab or runs of spaces are told apart from the text. The first row is taken for column names if
    none of its cells is a number; ``header`` decides it by hand. An empty cell, NA, NaN, nan and ? are
    missing and become NaN, which is kept. Blank lines are skipped. ``label_column``, a name or a number
    counted from 0 (negative: from the end), is split off as ``y``: int64 if all labels are integers, float64
    if all are finite numbers, otherwise strings as they stand. Messages count lines and columns from 1.

    FileNotFoundError: no such file. UnknownNameError: suffix, key or column. DataFileError: damaged, empty,
    ragged, or text in a column of numbers. InputError: an option that the kind of file does not have.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix in NUMPY_SUFFIXES:
        if label_column is not None or header is not None:
            raise InputError(f"label_column and header are for text tables, not for {suffix} files")
        return LoadedFile(*read_numpy_file(path, key))
    if suffix in TEXT_SUFFIXES:
        if key is not None:
            raise InputError(f"key is for .npz files, not for {suffix} files")
        return LoadedFile(*read_table(path, label_column, header))
    raise UnknownNameError("file type", suffix, NUMPY_SUFFIXES + TEXT_SUFFIXES)


def save_array(path, x, column_names=None, y=None) -> None:
    """Write the array ``x`` of numbers to ``path``, whole or not at all.

    ``.npy`` and ``.npz`` (key "x", and "y" for labels ``y``, which the others have no place for) keep dtype and shape. ``.csv`` takes (N,) as one column or (N, columns),
    and writes every number so that it is read back exactly; ``column_names`` become its first row (the other
    formats have no place for them). A name that is itself a number is read back with ``header=True`` only.
    UnknownNameError: another suffix. InputTypeError: not real numbers. InputError: shapes.
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
