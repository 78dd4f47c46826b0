"""What ``npvae train`` trains on: a known data set, an array, or a table; and whether the table's columns choose the
likelihood.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from npvae import plots
from npvae.cli import columns, common, output, reading
from npvae.data import DATASETS, own_files
from npvae.data.own_files import NUMPY_SUFFIXES
from npvae.data.source import FRAME_SUFFIXES, text_suffix
from npvae.data.tables.frames import columns_of_text
from npvae.data.tables.read import read_table
from npvae.data.tables.table import Table
from npvae.errors import InputError
from npvae.support import check

#: Options that say that the data are numbers from 0 to 1, or will be, or are an array with gaps.
_OF_ARRAYS = ("divide_by", "allow_missing", "preset")


class TrainingData:
    """x: what the model is fitted to, ``text`` the table of it, if it was one; what is validated on, and what is drawn.

    is_table: whether the model is one of the table's columns, ``likelihood="auto"``.
    """

    def __init__(self, options, kinds=()) -> None:
        self.x: Any  # rows, or columns by name
        self.x_valid: Any = None
        self.labels_valid: np.ndarray | None
        self.valid_words, self.is_table = "", False
        self.text: Table | None = None
        self.divide_by: float | None = None
        self.labels: np.ndarray | None = None
        self._names: list[str] | None = None
        if options.data in DATASETS:
            self._read_known(options)
        else:
            self._read_file(options, kinds)
            if options.patience is not None and options.validation_fraction in (None, 0.0) and not self.is_table:
                raise InputError(
                    "--patience needs --validation-fraction: what it waits for is a better validation ELBO"
                )
        if options.validation_fraction:
            self.valid_words = f"{options.validation_fraction:g} of them, held out"

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(next(iter(self.x.values()))) if isinstance(self.x, dict) else len(self.x)

    def for_fit(self):
        """X, with the columns' names if they have any."""
        return self.x if isinstance(self.x, dict) else common.with_names(self.x, self._names)

    def first_rows(self, count: int):
        """``(x, labels)`` of so many rows to draw: of those validated on, if they are of their own."""
        x, labels = (self.x, self.labels) if self.x_valid is None else (self.x_valid, self.labels_valid)
        labels = None if labels is None else labels[:count]
        return ({name: column[:count] for name, column in x.items()} if isinstance(x, dict) else x[:count]), labels

    def describe(self, options) -> str:
        """A line about the rows."""
        shape = f"{len(self.x)} columns" if isinstance(self.x, dict) else f"shape {self.x.shape[1:]}"
        return f"data: {options.data}, {self.rows} rows of {shape}" + (
            f", validated on {self.valid_words}" if self.valid_words else ""
        )

    def _read_known(self, options) -> None:
        self.x, self.labels, self._names, self.divide_by = common.read_data(options, "train")
        if options.patience is not None and not options.validation_fraction:
            raise InputError("--patience needs --validation-fraction: the test part must not choose the model")
        if not options.validation_fraction:
            self.x_valid, self.labels_valid, _, _ = common.read_data(options, "test")
            self.valid_words = f"its test part of {len(self.x_valid)} rows"

    def _read_file(self, options, kinds) -> None:
        common.refuse_no_file(options, options.data)
        wanted = options.likelihood == "auto"
        suffix = "" if options.data == "-" else text_suffix(options.data)
        if suffix in NUMPY_SUFFIXES:
            self.x, self.labels, self._names, _ = common.read_data(options, "train")
            self.is_table = wanted or (_may_be_table(options) and _is_table_of(self.x))
            return
        if options.data != "-":
            check.one_of("file type", suffix, NUMPY_SUFFIXES + own_files.TEXT_SUFFIXES + FRAME_SUFFIXES)
        table = read_table(options.data, **reading.arguments(options))
        with common.naming_label_column():
            label, self.labels = own_files.labels_of(table, common.label_column(options))
        chosen = [column for column in table.columns if column is not label and column.carried != "as said"]
        self.is_table = wanted or (_may_be_table(options) and _holds_other_than_shares(chosen))
        if not options.quiet:
            reading.say_what_was_read(output.say, table, carried=self.is_table)
        if not self.is_table:
            self.x, self._names = own_files.numbers_of(table, label)
            return
        self.text = table
        self.x = columns_of_text(table, {column.name for column in columns.modelled(table, kinds, [label]).chosen})


def _may_be_table(options) -> bool:
    """Whether nothing that is said about the data or the likelihood is for other rows than a table's."""
    return (
        options.likelihood is None
        and options.binarize == "none"
        and not any(getattr(options, name) for name in _OF_ARRAYS)
    )


def _holds_other_than_shares(chosen: list) -> bool:
    """Whether a text table's columns hold anything but numbers from 0 to 1, and the pixels of pictures."""
    if any(column.kind != "number" or column.others or column.missing.any() for column in chosen):
        return True
    return bool(chosen) and _is_table_of(np.column_stack([column.values for column in chosen]))


def _is_table_of(x: np.ndarray) -> bool:
    """Whether numbers are those of a table: in rows and columns, not all from 0 to 1, and no pixels of pictures."""
    if x.ndim != 2 or x.dtype.kind not in "biuf" or not x.size:
        return False
    if np.isnan(x).any() if x.dtype.kind == "f" else False:
        return True
    pixels = (
        plots.image_shape(x.shape[1:]) is not None and x.min() >= 0 and x.max() <= 255 and bool((x == np.rint(x)).all())
    )
    return not pixels and bool(x.min() < 0 or x.max() > 1)
