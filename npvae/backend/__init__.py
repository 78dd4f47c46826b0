"""The backends: where the arithmetic runs. ``get(name)`` makes one; nothing is global."""

from __future__ import annotations

from npvae.backend.base import Ops
from npvae.backend.numpy_ops import NumpyOps
from npvae.errors import InputTypeError, UnknownNameError

KNOWN = {"numpy": NumpyOps}


def get(backend="auto") -> Ops:
    """A backend by name, or the object itself. ``"auto"`` is the fastest that works here.

    UnknownNameError: no such name.
    """
    if isinstance(backend, Ops):
        return backend
    if not isinstance(backend, str):
        raise InputTypeError(f"backend must be a name or an Ops object, got {type(backend).__name__}")
    if backend == "auto":
        backend = "numpy"
    if backend not in KNOWN:
        raise UnknownNameError("backend", backend, ["auto", *KNOWN])
    return KNOWN[backend]()
