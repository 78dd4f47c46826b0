"""Making an object from a name, a mapping ``{"name": ..., argument: value}``, or the object itself."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

import numpy as np

from npvae.errors import InputError, InputTypeError, UnknownNameError


def build(what: str, choice, known: Mapping[str, type], base: type):
    """The object that ``choice`` means.

    UnknownNameError: no such name. InputError: an argument the class does not take.
    InputTypeError: ``choice`` is none of the three forms.
    """
    if isinstance(choice, base):
        return choice
    if isinstance(choice, str):
        name, arguments = choice, {}
    elif isinstance(choice, Mapping):
        arguments = dict(choice)
        name = arguments.pop("name", None)
    else:
        raise InputTypeError(
            f"{what} must be a name, a mapping or an object of {base.__name__}, got {type(choice).__name__}"
        )
    if not isinstance(name, str) or name not in known:
        raise UnknownNameError(what, name, known)
    accepted = inspect.signature(known[name]).parameters
    for argument in arguments:
        if argument not in accepted:
            raise InputError(
                f"{what} {name!r} takes no argument {argument!r}; it takes: {', '.join(accepted) or 'none'}"
            )
    for argument, parameter in accepted.items():
        if parameter.default is parameter.empty and argument not in arguments:
            raise InputError(f"{what} {name!r} needs the argument {argument!r}")
    return known[name](**arguments)


def to_config(thing) -> dict:
    """The mapping from which :func:`build` makes an equal object; JSON-able."""
    return {"name": thing.name, **thing.config()}


def plain(value):
    """A value as JSON can hold it: objects as their configuration or, having none, their name; None for what has
    neither, such as a generator as seed."""
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple, range, np.ndarray)):
        return [plain(entry) for entry in value]
    if isinstance(value, np.generic):
        return value.item()
    if hasattr(value, "config"):
        return plain(to_config(value))
    return value if isinstance(value, (str, int, float, bool)) else getattr(value, "name", None)
