"""The backends: where the arithmetic runs. ``get(name)`` makes one; nothing is global."""

from __future__ import annotations

import importlib

from npvae.backend.base import Ops
from npvae.backend.numpy_ops import NumpyOps
from npvae.errors import InputTypeError, MissingDependencyError, UnknownNameError

#: Name, module and class of every backend, the fastest first: the order in which "auto" tries them.
KNOWN = {"numba": ("npvae.backend.numba_ops", "NumbaOps"), "numpy": ("npvae.backend.numpy_ops", "NumpyOps")}


def get(backend="auto", threads: int | None = None) -> Ops:
    """A backend by name, or the object itself. ``"auto"`` is the fastest that works here.

    threads: how many to run on; None leaves it to the environment and the machine (see threads.py).
    UnknownNameError: no such name. MissingDependencyError: the backend cannot run here; the message says why.
    """
    if isinstance(backend, Ops):
        return backend
    if not isinstance(backend, str):
        raise InputTypeError(f"backend must be a name or an Ops object, got {type(backend).__name__}")
    if backend == "auto":
        backend = next(name for name in KNOWN if reason_against(name) is None)
    if backend not in KNOWN:
        raise UnknownNameError("backend", backend, ["auto", *KNOWN])
    reason = reason_against(backend)
    if reason is not None:
        raise MissingDependencyError(f"the backend {backend!r} cannot run here: {reason}")
    return _class_of(backend)(threads=threads)


def reason_against(name: str) -> str | None:
    """Why a backend cannot run on this machine, or None if it can."""
    return _class_of(name).reason_against()


def _class_of(name: str):
    module, kind = KNOWN[name]
    return getattr(importlib.import_module(module), kind)
