"""Turning what a user passes as data into rows of finite floating-point numbers, or saying why not."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np

from npvae.errors import DataConversionWarning, InputError, InputTypeError
from npvae.mathematics import random

DTYPES = ("float32", "float64")


@dataclass(frozen=True)
class Rows:
    """Data as (N, I), the shape of one sample as it came, and the columns' names if they had any."""

    values: np.ndarray
    sample_shape: tuple[int, ...]
    column_names: list[str] | None


def as_rows(
    X,
    dtype: str,
    *,
    name: str = "X",
    n_features: int | None = None,
    divide_by: float = 1.0,
    model="VAE",
    missing: bool = False,
) -> Rows:
    """X as finite numbers of shape (N, I) and the given dtype, divided by ``divide_by``.

    X: (N, I), or (N, ...) to be flattened; an array, a list of lists, or a table with ``columns``.
    Whole numbers and booleans are converted, with a DataConversionWarning unless ``divide_by`` says that
    they were expected. X itself is never modified. missing: NaN is what is missing, and stays.
    InputTypeError: sparse, masked, text or object data. InputError: complex data, wrong shape, no rows, NaN
    or infinity, or (given ``n_features``) another number of features.
    """
    column_names = _column_names(X)
    array = _as_array(X, name)
    values = _as_two_dimensional(array, name)
    if column_names is not None and len(column_names) != values.shape[1]:
        raise InputError(f"{name} has {len(column_names)} column names for {values.shape[1]} columns")
    if n_features is not None and values.shape[1] != n_features:
        raise InputError(
            f"{name} has {values.shape[1]} features, but {model} is expecting {n_features} features as input"
        )
    if array.dtype.kind in "bui" and divide_by == 1.0:
        warnings.warn(
            f"{name} holds {array.dtype} numbers; they are converted to {dtype}", DataConversionWarning, stacklevel=4
        )
    with np.errstate(over="ignore"):  # what is too large for the dtype is refused in words
        values = values.astype(dtype)
    refuse_non_finite(values, name, column_names, missing, advise=model == "VAE")
    if divide_by != 1.0:
        values /= np.asarray(divide_by, dtype)
    return Rows(values, array.shape[1:], column_names)


def rows_of(X, name: str = "X") -> int:
    """How many rows X has. InputError, InputTypeError: it is no array of rows."""
    return _as_two_dimensional(_as_array(X, name), name).shape[0]


def held_out_rows(fraction: float, rows: int, seed: int) -> tuple[np.ndarray, np.ndarray] | None:
    """The rows to train and those to validate on, at least one of each, at the seed's choice; None: none are held
    out.
    """
    if fraction == 0.0:
        return None
    held_out = round(rows * fraction)
    if not 0 < held_out < rows:
        raise InputError(f"validation_fraction={fraction:g} of {rows} rows leaves a part without rows")
    order = random.permutation(seed, "validation split", 0, rows)
    return order[held_out:], order[:held_out]


def _as_array(X, name: str) -> np.ndarray:
    if hasattr(X, "toarray"):
        raise InputTypeError(f"{name} is a sparse matrix; pass dense data, for instance {name}.toarray()")
    if isinstance(X, np.ma.MaskedArray):
        raise InputTypeError(f"{name} is a masked array, whose mask would be lost; fill it first")
    try:
        array = np.asarray(X)
    except ValueError as error:
        raise InputError(f"{name} is not a rectangular array of numbers: {error}") from None
    if array.dtype.kind == "c":
        raise InputError(f"Complex data not supported: {name} has dtype {array.dtype}")
    if array.dtype.kind not in "buif":
        advice = "; a table of names and numbers needs likelihood='auto'" if name == "X" else ""
        raise InputTypeError(f"{name} must hold numbers, got dtype {array.dtype}{advice}")
    return array


def _as_two_dimensional(array: np.ndarray, name: str) -> np.ndarray:
    if array.ndim < 2:
        raise InputError(
            f"{name} must have shape (rows, features) or (rows, ...), got {array.shape}. Reshape your data: "
            f"{name}.reshape(1, -1) if it is one row, {name}.reshape(-1, 1) if it is one feature"
        )
    width = math.prod(array.shape[1:])
    if array.shape[0] == 0 or width == 0:
        found = "0 sample(s)" if array.shape[0] == 0 else "0 feature(s)"
        raise InputError(f"Found array with {found} (shape={array.shape}) while a minimum of 1 is required: {name}")
    return array.reshape(array.shape[0], width)


def refuse_non_finite(
    values: np.ndarray, name: str, column_names=None, missing: bool = False, advise: bool = True
) -> None:
    """InputError naming count, first row and column, if any value is infinite, or NaN and not allowed to be missing."""
    finite = np.isfinite(values) | (np.isnan(values) & missing)
    if finite.all():
        return
    row, column = np.argwhere(~finite)[0]
    label = column if column_names is None else repr(column_names[column])
    nan = 0 if missing else np.isnan(values).sum()
    raise InputError(
        f"{name} contains NaN or infinity: {nan} NaN and {int((~finite).sum()) - nan} infinite (or too large for "
        f"{values.dtype}), the first in row {row}, column {label}; fill or remove them first"
        + ("" if nan == 0 or not advise else ", or train on what is observed: VAE(missing=True)")
    )


def _column_names(X) -> list[str] | None:
    names = getattr(X, "columns", None)
    if names is None:
        return None
    names = list(names)
    return names if all(isinstance(entry, str) for entry in names) else None
