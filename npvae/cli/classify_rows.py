"""Rows and labels of ``npvae classify``: which labels are missing, and what the classes are."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from npvae.cli import columns, common, output, reading
from npvae.data import DATASETS
from npvae.data.own_files import labels_of, numbers_of
from npvae.data.tables.read import read_table
from npvae.data.tables.table import Table
from npvae.errors import DataFileError, InputError, NpvaeError
from npvae.estimators.semisupervised.continuous import why_continuous
from npvae.estimators.semisupervised.labels import (
    balanced_choice,
    is_unlabelled,
    read_labels,
    refuse_other_kind,
    refuse_unusable,
)

#: Labels that are kept of a known data set, where the command does not say how many.
DATASET_LABELS = 200


@dataclass(frozen=True)
class Rows:
    """Rows as they were read, an array or columns of a text table; codes (N,) and classes of their labels, None
    where there are none.
    """

    x: Any  #: an array, a Selection, or columns by name
    codes: np.ndarray | None
    classes: np.ndarray | None
    names: list[str] | None
    divide_by: float | None
    what: str = "with a label"
    unlabelled: str = ""  #: rows without a label by what stands there, in words
    table: Table | None = None  #: the text table, of which every column is modelled by its own kind

    def width(self) -> int:
        """How many numbers a row has."""
        return math.prod(self.x.shape[1:])

    def without(self, given) -> Rows:
        """The same rows, but their labels only where they were not given to the model."""
        assert self.codes is not None  # or none could have been given
        return replace(self, codes=np.where(given, -1, self.codes), what="whose label was not given")

    def data(self):
        """The rows in the form that the model takes them."""
        return self.x if self.table is not None else common.with_names(self.x, self.names)

    def content(self) -> np.ndarray:
        """What tells these rows from others."""
        return self.x if self.table is None else np.frombuffer(self.table.form.cells.text, np.uint8)


def read_rows(options, source: str, part: str, width: int | None = None) -> Rows:
    """A data set's part, or a file. width: how many numbers a row must have; a file with just so many columns has no
    labels.

    The rows to train on (no width) are those of a text table with text, gaps or numbers that are not all from 0 to 1,
    and nothing is said of the numbers.
    """
    text_file = columns.is_text(source)
    if text_file and width is None:
        return _of_text(options, source, part)
    if options.kind and part == "train":
        raise InputError(f"--kind: for text tables, not for {source}")
    found = None
    if text_file:
        try:
            found = common.read_data(options, part, source, labelled=False)
        except DataFileError:  # texts in its column of labels
            pass
    if found is None or found[0].shape[1] != width:
        found = common.read_data(options, part, source, labelled=text_file)
    x, y, names, divide_by = found
    rows = Rows(x, None, None, names, divide_by)
    if width is not None and rows.width() != width:
        raise InputError(f"a row of {source} has {rows.width()} numbers, but the model's have {width}")
    return _labelled(rows, options, source, part, y)


def read_rows_like(options, source: str, table) -> Rows:
    """Rows for a model of a table, by its :class:`npvae.estimators.tables.rows.TableRows`: of a text table the columns
    of these names, in any order. It has labels if it has ``--label-column`` beside them."""
    if not columns.is_text(source):
        x, y, names, divide_by = common.read_data(options, "test", source)
        return _labelled(Rows(x, None, None, names, divide_by), options, source, "test", y)
    text = _read_text(options, source)
    label, y = None, None
    with contextlib.suppress(InputError):  # it has none
        label, y = labels_of(text, common.label_column(options))
    if label is not None and label.name in {column.name for column in table.schema.columns}:
        y = None
    rows = Rows(columns.of_model(table.schema, text), None, None, None, None, table=text)
    with columns.naming_lines(text):  # before anything is trained
        table.read(rows.x, options.unseen)
    return _labelled(rows, options, source, "test", y)


def _read_text(options, source: str) -> Table:
    common.refuse_no_file(options, source)
    return read_table(source, **reading.arguments(options))


def _of_text(options, source: str, part: str) -> Rows:
    """The rows of a text table to train on."""
    text = _read_text(options, source)
    with common.naming_label_column():
        label, y = labels_of(text, common.label_column(options))
    say = (lambda line: None) if options.quiet else output.say
    of_numbers = [
        f"--{name.replace('_', '-')}" for name in ("likelihood", "divide_by") if getattr(options, name) is not None
    ]
    try:
        x, names = numbers_of(text, label)
    except DataFileError as error:
        if of_numbers:
            raise DataFileError(
                f"{error}; or leave out {', '.join(of_numbers)}: then every column is modelled by its own kind"
            ) from None
        x = None
    if x is not None and np.isnan(x).any() and of_numbers:
        gaps = [
            repr(name) for name, gone in zip(names or range(x.shape[1]), np.isnan(x).any(axis=0), strict=True) if gone
        ]
        raise InputError(
            f"{source}: cells of {', '.join(gaps[:20])} are missing; leave out {', '.join(of_numbers)}: then every "
            f"column is "
            "modelled by its own kind, and what is missing is left out of the likelihood"
        )
    if of_numbers and options.kind:
        raise InputError(
            f"--kind is for tables of which every column is modelled by its own kind: leave out {', '.join(of_numbers)}"
        )
    if x is not None and (of_numbers or (not options.kind and x.min() >= 0.0 and x.max() <= 1.0)):
        reading.say_what_was_read(say, text, carried=False)
        return _labelled(Rows(x, None, None, names, None), options, source, part, y)
    if label is not None:
        label.carried = ""  # it is looked at
    reading.say_what_was_read(say, text)
    chosen = columns.modelled(text, columns.kinds_said(options), without=[label])
    return _labelled(Rows(chosen, None, None, None, None, table=text), options, source, part, y)


def _labelled(rows: Rows, options, source: str, part: str, y) -> Rows:
    """The rows with their labels."""
    if y is None:
        return rows
    try:
        labels, unlabelled = without_missing(options, y)
        if part == "train" and source not in DATASETS:
            labels = names_of_classes(options, labels)
        special = any(
            map(is_unlabelled, {label for label in labels if label is not None})
        )  # the user's own NA, or the sign -1
        codes, classes = read_labels(
            labels, len(y), sorted({label for label in labels if label is not None}) if special else None
        )
    except NpvaeError as error:
        raise type(error)(f"{source}: {error}") from None
    return replace(rows, codes=codes, classes=classes, unlabelled=unlabelled)


def refuse_other_labels(judged: Rows, classes) -> None:
    """InputTypeError: the rows to judge by have texts for labels where the model has numbers, or the other way
    round.
    """
    if judged.classes is not None:
        refuse_other_kind(judged.classes, classes)


def without_missing(options, y) -> tuple[list, str]:
    """Labels as they are written, None for none; and how many rows have none, in words.

    -1 means that there is none, unless it is one of the signs -1, 0, +1, written so, or ``--observed`` has it.
    """
    y = y.tolist()
    is_class = "-1" in options.observed or {"0", "+1"} <= set(y)
    minus = [str(label) == "-1" and not is_class for label in y]
    missing = [
        str(label) != "-1" and is_unlabelled(label) and (label == "" or label not in options.observed) for label in y
    ]
    words = [f"{sum(missing)} missing"] if any(missing) else []
    words += [f"{sum(minus)} of -1 (if that is a class: --observed=-1)"] if any(minus) else []
    labels = [None if gone or none else label for label, gone, none in zip(y, missing, minus, strict=True)]
    if all(label is None or _is_plain_integer(str(label)) for label in labels):
        labels = [None if label is None else int(label) for label in labels]
    return labels, ", ".join(words)


def _is_plain_integer(text: str) -> bool:
    """Whether a text is how Python writes a whole number that a float holds."""
    return text.lstrip("-").isdecimal() and len(text) < 20 and str(int(text)) == text and abs(int(text)) < 2**53


def names_of_classes(options, labels: list) -> list:
    """``labels`` as names of classes. InputError: they look like numbers that are measured, and ``--classes`` does
    not say otherwise.
    """
    given = [label for label in labels if label is not None]
    why = why_continuous(given, len(labels))
    if why is None:
        return labels
    if not options.classes:
        column = "the array y" if options.label_column is None else f"--label-column {options.label_column}"
        raise InputError(
            f"{column} looks continuous, not like a class: {why}; each would be a class of its own. Put its values "
            f"into a few "
            "classes first, such as low and high, or name another column; if they are names of classes, say --classes"
        )
    if any(isinstance(label, float) for label in given):
        return [None if label is None else repr(label) for label in labels]
    return labels


def given_labels(options, rows: Rows) -> np.ndarray:
    """The codes of the labels to learn from, (N,), -1 for none. InputError: there are none."""
    if rows.codes is None or rows.classes is None:
        raise InputError(
            f"{options.data} has no labels: name their column with --label-column, or put them in an .npz as y"
        )
    if options.labels is None and options.data not in DATASETS:
        codes = rows.codes
    else:
        count = DATASET_LABELS if options.labels is None else options.labels
        codes = balanced_choice(rows.codes, count, options.seed, rows.classes)
    refuse_unusable(codes, rows.classes)
    return codes
