"""Labels as users give them, and as a model sees them: codes 0 to C - 1, and -1 for a row without one."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

import numpy as np

from npvae.data.tables.missing import is_missing
from npvae.data.tables.spellings import SPELLINGS
from npvae.errors import DataConversionWarning, InputError, InputTypeError, ManyClassesWarning
from npvae.mathematics import random

#: Texts that mean no label: what is missing in a table, and the "-1" that NumPy makes of -1 in a list of texts.
UNLABELLED_TEXTS = SPELLINGS | {"-1"}
#: :func:`warn_of_many_classes` speaks where the classes are more than this share of the labelled rows, and more than so
#: many.
MOST_CLASSES_A_ROW, FEW_CLASSES = 0.5, 10


def read_labels(y, rows: int, classes=None, name: str = "y") -> tuple[np.ndarray, np.ndarray]:
    """``(codes, classes)``: codes (N,) int64, the place of each row's label in ``classes``, or -1; classes sorted, or
    those given.

    y: (N,) whole numbers or texts; unlabelled rows are -1 or missing: None, NaN, pandas' NA
    (npvae/data/tables/missing.py), among texts also what is missing in a file: an empty text, NA, NaN, ?, ...
    (spellings.py). What is in ``classes`` is a label, whatever it is. InputError: another length, a class there is not,
    numbers that are not whole. InputTypeError: neither numbers nor texts.
    """
    values = _values(y, rows, name)
    classes = None if classes is None else _classes(classes)
    known = set() if classes is None else set(classes.tolist())
    labelled = np.array(
        [(isinstance(value, (str, int)) and value in known) or not is_unlabelled(value) for value in values.tolist()],
        dtype=bool,
    )
    given = _of_one_type(values[labelled], name)
    classes = np.unique(given) if classes is None else classes
    place = {label: code for code, label in enumerate(classes.tolist())}
    found = np.array([place.get(label, -1) for label in given.tolist()], np.int64)
    unknown = np.unique(given[found < 0])
    if len(unknown):
        verb = "is" if len(unknown) == 1 else "are"
        raise InputError(f"{name} holds {_listed(unknown)}, which {verb} not among the classes {_listed(classes)}")
    codes = np.full(rows, -1, np.int64)
    codes[labelled] = found
    return codes, classes


def refuse_other_kind(labels: np.ndarray, classes: np.ndarray) -> None:
    """InputTypeError: labels are texts and classes are not, or the other way round, so that none could ever be
    equal.
    """
    if len(labels) and (labels.dtype.kind == "U") != (classes.dtype.kind == "U"):
        raise InputTypeError(
            f"labels such as {labels[0].item()!r} cannot be compared with classes such as {classes[0].item()!r}"
        )


def refuse_unusable(codes: np.ndarray, classes: np.ndarray) -> None:
    """InputError: fewer than two classes, or one without a labelled row."""
    if not (codes >= 0).any():
        raise InputError("y has no labelled row: every label is -1 or missing; label at least one row of every class")
    if len(classes) < 2:
        beside = ", and -1, which means no label: give that class another number" if (codes < 0).any() else ""
        raise InputError(
            f"Classifier can't train when only one class is present: y holds {_listed(classes)} alone{beside}"
        )
    empty = classes[np.bincount(codes[codes >= 0], minlength=len(classes)) == 0]
    if len(empty):
        raise InputError(
            f"no labelled row of the class{'es' if len(empty) > 1 else ''} {_listed(empty)} is left to learn from"
        )


def frequencies(codes: np.ndarray, count: int) -> np.ndarray:
    """The share of each class among the labelled rows, (count,)."""
    counts = np.bincount(codes[codes >= 0], minlength=count)
    return counts / counts.sum()


def balanced_choice(codes: np.ndarray, count: int, seed: int, names=None) -> np.ndarray:
    """``codes`` with ``count`` labels kept, as many of every class (the first classes one more if need be), the rest
    -1. names: of the classes, for the message.

    InputError: a class has too few, or there are fewer labels than classes.
    """
    classes = int(codes.max(initial=-1)) + 1
    if count < classes:
        raise InputError(f"{count} labels are fewer than the {classes} classes")
    kept = np.full_like(codes, -1)
    for c in range(classes):
        wanted = count // classes + (c < count % classes)
        members = np.flatnonzero(codes == c)
        if len(members) < wanted:
            raise InputError(
                f"{count} labels need {wanted} rows of class {c if names is None else names[c]}, but it has "
                f"{len(members)}"
            )
        kept[members[random.permutation(seed, "label choice", c, len(members))[:wanted]]] = c
    return kept


def _values(y, rows: int, name: str) -> np.ndarray:
    if y is None:
        raise InputError(
            f"requires {name} to be passed, but the target {name} is None: give labels, -1 for rows without one"
        )
    values = _list_array(y) if isinstance(y, list) else np.asarray(y)
    if values.ndim == 2 and values.shape[1] == 1:
        warnings.warn(
            f"A column-vector {name} was passed when a 1d array was expected: {values.shape}",
            DataConversionWarning,
            stacklevel=4,
        )
        values = values[:, 0]
    if values.ndim != 1:
        raise InputError(f"{name} must have shape (rows,), got {values.shape}")
    if len(values) != rows:
        raise InputError(
            f"Found input variables with inconsistent numbers of samples: X has {rows} rows, {name} has {len(values)}"
        )
    if values.dtype.kind == "f":
        if (nan := np.isnan(values)).any():
            whole = _values(np.where(nan, 0.0, values), rows, name).astype(object)
            whole[nan] = None
            return whole
        if not np.isfinite(values).all() or (values != np.trunc(values)).any():
            wrong = values[~(np.isfinite(values) & (values == np.trunc(values)))]
            raise InputError(
                f"Unknown label type: {name} is continuous, it holds {wrong[0].item()!r}; labels are whole numbers or "
                f"texts"
            )
        if (np.abs(values) > 2.0**53).any():
            raise InputError(f"{name} holds {np.abs(values).max():g}: labels must be at most 2^53, or texts")
        return values.astype(np.int64)
    if values.dtype.kind not in "biuUO":
        raise InputTypeError(f"{name} must hold whole numbers or texts, got dtype {values.dtype}")
    return values


def _list_array(y: list) -> np.ndarray:
    """A list as NumPy makes it if that loses nothing, else as objects: [1.5, None], ["a", -1]."""
    if any(isinstance(v, (list, tuple, np.ndarray)) for v in y):
        try:
            return np.asarray(y)
        except ValueError:
            raise InputError("labels must be one a row, got lists of several lengths among them") from None
    if all(isinstance(v, (bool, np.bool_, int, float, np.number)) for v in y):
        return np.asarray(y)
    values = np.empty(len(y), dtype=object)
    values[:] = y
    return values


def is_unlabelled(value) -> bool:
    """Whether a label means that there is none."""
    if is_missing(value):
        return True
    if isinstance(value, str):
        return value.strip() in UNLABELLED_TEXTS
    return isinstance(value, (int, float, np.integer, np.floating)) and value == -1


def warn_of_many_classes(codes: np.ndarray, classes: np.ndarray) -> None:
    """ManyClassesWarning: hardly two labelled rows a class, as where the labels are measured, or number the rows."""
    labelled = int((codes >= 0).sum())
    if len(classes) > max(FEW_CLASSES, MOST_CLASSES_A_ROW * labelled):
        warnings.warn(
            f"y holds {len(classes)} classes in {labelled} labelled rows; is it a number to be predicted, rather than "
            f"a class?",
            ManyClassesWarning,
            stacklevel=4,
        )


def _of_one_type(given: np.ndarray, name: str) -> np.ndarray:
    """Labels as int64, bool or text."""
    if given.dtype.kind != "O":
        return given.astype(np.int64) if given.dtype.kind in "iu" else given
    values = given.tolist()
    if all(isinstance(v, str) for v in values):
        return np.array(values, dtype=str) if values else np.zeros(0, np.int64)
    if all(
        isinstance(v, (int, float, np.integer, np.floating))
        and not isinstance(v, bool)
        and abs(v) < 2**53
        and v == np.trunc(v)
        for v in values
    ):
        return np.array(values, np.int64)
    if all(isinstance(v, (bool, np.bool_)) for v in values):
        return np.array(values, bool)
    if large := [v for v in values if isinstance(v, int) and abs(v) >= 2**53]:
        raise InputError(f"{name} holds {large[0]:.6g}: labels must be less than 2^53, or texts")
    kinds = sorted({type(v).__name__ for v in values})
    raise InputTypeError(f"labels in {name} must all be whole numbers or all texts, got {', '.join(kinds)}")


def _classes(classes) -> np.ndarray:
    if isinstance(classes, str) or not isinstance(classes, Iterable):
        raise InputTypeError(f"classes must be a list of labels, got {classes!r}")
    values = _of_one_type(np.array([*classes, None], dtype=object)[:-1], "classes")
    if len(np.unique(values)) != len(values):
        raise InputError(f"classes holds a class twice: {_listed(values)}")
    if "" in values.tolist():
        raise InputError(f"classes must not hold {_listed(values)}: an empty text means no label")
    return values


def _listed(values, most: int = 10) -> str:
    shown = ", ".join(repr(value) for value in values[:most].tolist())
    return shown + (", ..." if len(values) > most else "")
