"""Checks on arguments, each with a message that names the argument, what was expected and what came."""

from __future__ import annotations

import math
import numbers

import numpy as np

from npvae.errors import InputError, InputTypeError, NonFiniteError, UnknownNameError


def same_shape(**arrays) -> None:
    """InputError unless all arrays have one shape; InputTypeError unless all have one dtype."""
    first_name, first = next(iter(arrays.items()))
    for name, array in arrays.items():
        if array.shape != first.shape:
            raise InputError(
                f"{name} has shape {array.shape}, but {first_name} has shape {first.shape}; they must be equal"
            )
        if array.dtype != first.dtype:
            same_dtype(first_name, first, name, array)


def same_dtype(first_name: str, first, name: str, array) -> None:
    """InputTypeError unless both arrays have one dtype."""
    if array.dtype != first.dtype:
        raise InputTypeError(
            f"{name} has dtype {array.dtype}, but {first_name} has dtype {first.dtype}; they must be equal"
        )


def matrix(name: str, array, columns: int | None = None) -> None:
    """InputError unless ``array`` is (B, columns); any number of columns when ``columns`` is None."""
    if len(array.shape) != 2 or (columns is not None and array.shape[1] != columns):
        wanted = "(rows, columns)" if columns is None else f"(rows, {columns})"
        raise InputError(f"{name} must have shape {wanted}, got {tuple(array.shape)}")


def whole_number(name: str, value, minimum: int = 0) -> int:
    """``value`` as an int; InputTypeError unless it is a whole number, InputError below ``minimum``."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise InputTypeError(f"{name} must be a whole number, got {value!r} of type {type(value).__name__}")
    if value < minimum:
        raise InputError(f"{name} must be at least {minimum}, got {value}")
    return int(value)


def at_most(name: str, value, maximum, why: str):
    """``value``; InputError if it is above ``maximum``; why, in words, there is such a thing."""
    if value > maximum:
        raise InputError(f"{name} must be at most {maximum} ({why}), got {value}")
    return value


def real_number(
    name: str,
    value,
    *,
    above: float | None = None,
    minimum: float | None = None,
    below: float | None = None,
    maximum: float | None = None,
) -> float:
    """``value`` as a float inside the given bounds, else InputTypeError or InputError."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise InputTypeError(f"{name} must be a number, got {value!r} of type {type(value).__name__}")
    value = float(value)
    bounds = []
    if above is not None:
        bounds.append((value > above, f"above {above:g}"))
    if minimum is not None:
        bounds.append((value >= minimum, f"at least {minimum:g}"))
    if below is not None:
        bounds.append((value < below, f"below {below:g}"))
    if maximum is not None:
        bounds.append((value <= maximum, f"at most {maximum:g}"))
    if not math.isfinite(value) or not all(holds for holds, _ in bounds):
        wanted = " and ".join(["finite", *(words for _, words in bounds)])
        raise InputError(f"{name} must be {wanted}, got {value!r}")
    return value


def true_or_false(name: str, value) -> bool:
    """``value``; InputTypeError unless it is True or False."""
    if not isinstance(value, bool):
        raise InputTypeError(f"{name} must be True or False, got {value!r} of type {type(value).__name__}")
    return value


def one_of(what: str, value, known):
    """``value`` if it is in ``known``, else UnknownNameError listing them."""
    if not isinstance(value, str) or value not in known:
        raise UnknownNameError(what, value, known)
    return value


def finite_result(what: str, *arrays, infinite: bool = False):
    """The first of some arrays of results; NonFiniteError if there is NaN in any of them, or infinity unless it may
    be.
    """
    for array in arrays:
        if not (np.isfinite(array).all() or (infinite and not np.isnan(array).any())):
            raise NonFiniteError(
                f"{what} would not be finite: the model's parameters are too large, or the data are far from what it "
                f"was trained on"
            )
    return arrays[0]
