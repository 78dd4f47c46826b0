"""Rows and labels of ``npvae classify``: which labels are missing, and what the classes are."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from npvae.cli import common
from npvae.data import DATASETS
from npvae.data.own_files import NUMPY_SUFFIXES
from npvae.errors import DataFileError, InputError, NpvaeError
from npvae.semisupervised.continuous import why_continuous
from npvae.semisupervised.labels import balanced_choice, is_unlabelled, read_labels, refuse_other_kind, refuse_unusable

#: Labels that are kept of a known data set, where the command does not say how many.
DATASET_LABELS = 200


@dataclass(frozen=True)
class Rows:
    """Rows as they were read; codes (N,) and classes of their labels, None where there are none."""

    x: np.ndarray
    codes: np.ndarray | None
    classes: np.ndarray | None
    names: list[str] | None
    divide_by: float | None
    what: str = "with a label"
    unlabelled: str = ""  #: rows without a label by what stands there, in words

    def width(self) -> int:
        """How many numbers a row has."""
        return math.prod(self.x.shape[1:])

    def without(self, given) -> Rows:
        """The same rows, but their labels only where they were not given to the model."""
        return replace(self, codes=np.where(given, -1, self.codes), what="whose label was not given")


def read_rows(options, source: str, part: str, width: int | None = None) -> Rows:
    """A data set's part, or a file. width: how many numbers a row must have; a file with just so many columns has no labels."""
    text_file = source not in DATASETS and Path(source).suffix.lower() not in NUMPY_SUFFIXES
    found = None
    if text_file and width is not None:
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
    if y is None:
        return rows
    try:
        labels, unlabelled = without_missing(options, y)
        if part == "train" and source not in DATASETS:
            labels = names_of_classes(options, labels)
        special = any(map(is_unlabelled, {label for label in labels if label is not None}))  # the user's own NA, or the sign -1
        codes, classes = read_labels(labels, len(x), sorted({label for label in labels if label is not None}) if special else None)
    except NpvaeError as error:
        raise type(error)(f"{source}: {error}") from None
    return replace(rows, codes=codes, classes=classes, unlabelled=unlabelled)


def refuse_other_labels(judged: Rows, classes) -> None:
    """InputTypeError: the rows to judge by have texts for labels where the model has numbers, or the other way round."""
    if judged.classes is not None:
        refuse_other_kind(judged.classes, classes)


def without_missing(options, y) -> tuple[list, str]:
    """Labels as they are written, None for none; and how many rows have none, in words.

    -1 means that there is none, unless it is one of the signs -1, 0, +1, written so, or ``--observed`` has it.
    """
    y = y.tolist()
    is_class = "-1" in options.observed or {"0", "+1"} <= set(y)
    minus = [str(label) == "-1" and not is_class for label in y]
    missing = [str(label) != "-1" and is_unlabelled(label) and (label == "" or label not in options.observed) for label in y]
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
    """``labels`` as names of classes. InputError: they look like numbers that are measured, and ``--classes`` does not say otherwise."""
    given = [label for label in labels if label is not None]
    why = why_continuous(given, len(labels))
    if why is None:
        return labels
    if not options.classes:
        column = "the array y" if options.label_column is None else f"--label-column {options.label_column}"
        raise InputError(
            f"{column} looks continuous, not like a class: {why}; each would be a class of its own. Put its values into a few "
            "classes first, such as low and high, or name another column; if they are names of classes, say --classes"
        )
    if any(isinstance(label, float) for label in given):
        return [None if label is None else repr(label) for label in labels]
    return labels


def given_labels(options, rows: Rows) -> np.ndarray:
    """The codes of the labels to learn from, (N,), -1 for none. InputError: there are none."""
    if rows.codes is None:
        raise InputError(f"{options.data} has no labels: name their column with --label-column, or put them in an .npz as y")
    if options.labels is None and options.data not in DATASETS:
        codes = rows.codes
    else:
        count = DATASET_LABELS if options.labels is None else options.labels
        codes = balanced_choice(rows.codes, count, options.seed, rows.classes)
    refuse_unusable(codes, rows.classes)
    return codes
