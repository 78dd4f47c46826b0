"""The backends: where the arithmetic runs. ``get(name)`` makes one; nothing is global."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
from collections.abc import Mapping

from npvae.backend.base import Ops
from npvae.backend.numpy_ops import NumpyOps as NumpyOps
from npvae.errors import InputError, InputTypeError, MissingDependencyError, UnknownNameError
from npvae.support.announce import announce

#: Name, module and class of every backend, the fastest first: the order in which "auto" tries them.
KNOWN = {
    "cupy": ("npvae.backend.cupy_ops", "CupyOps"),
    "numba": ("npvae.backend.numba_ops", "NumbaOps"),
    "numpy": ("npvae.backend.numpy_ops", "NumpyOps"),
}


def get(backend="auto", threads: int | None = None) -> Ops:
    """A backend by name, by ``{"name": ..., argument: value}``, or the object itself. ``"auto"`` is the fastest that
    works here.

    threads: how many to run on; None leaves it to the environment and the machine (see threads.py).
    UnknownNameError: no such name. InputError: an argument that the backend does not take. MissingDependencyError: the
    backend cannot run here; the message says why.
    """
    if isinstance(backend, Ops):
        return backend
    arguments = {} if threads is None else {"threads": threads}
    name = backend
    if isinstance(backend, Mapping):
        arguments = {**arguments, **backend}
        name = arguments.pop("name", None)
    elif not isinstance(backend, str):
        raise InputTypeError(f"backend must be a name, a mapping or an Ops object, got {type(backend).__name__}")
    automatic = name == "auto"
    if automatic:
        name = _fastest()
    if name not in KNOWN:
        raise UnknownNameError("backend", name, ["auto", *KNOWN])
    reason = reason_against(name)
    if reason is not None:
        raise MissingDependencyError(f"the backend {name!r} cannot run here: {reason}")
    kind = _class_of(name)
    accepted = inspect.signature(kind).parameters
    if automatic:  # threads are nothing to a GPU
        arguments = {key: value for key, value in arguments.items() if key in accepted or key != "threads"}
    for argument in arguments:
        if argument not in accepted:
            raise InputError(f"backend {name!r} takes no argument {argument!r}; it takes: {', '.join(accepted)}")
    return kind(**arguments)


def for_use(backend="auto", threads: int | None = None) -> Ops:
    """As :func:`get`, for a model that is there to be used: until training compiles them, operations are NumPy's,
    unless compiled code is kept on this machine. An object of a backend is taken as it is.
    """
    ops = get(backend, threads)
    if ops is not backend:
        ops.never_compile()
    return ops


def _fastest() -> str:
    """The first of ``KNOWN`` that can run here. That there is a CuPy which cannot is said, once.

    A backend has the name of its package: where that is not installed, the backend need not be loaded to know.
    """
    installed = [name for name in KNOWN if importlib.util.find_spec(name) is not None]
    name = next(each for each in installed if reason_against(each) is None)
    if name != "cupy" and "cupy" in installed:
        _say_once(f"the GPU is not used, the backend is {name}: {reason_against('cupy')}")
    return name


@functools.cache
def _say_once(text: str) -> None:
    announce(text)


def reason_against(name: str) -> str | None:
    """Why a backend cannot run on this machine, or None if it can."""
    return _class_of(name).reason_against()


def _class_of(name: str):
    module, kind = KNOWN[name]
    return getattr(importlib.import_module(module), kind)
