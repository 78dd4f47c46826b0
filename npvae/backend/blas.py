"""The number of threads of the BLAS that NumPy calls, read and set in the running process.

Each BLAS has functions for it, under names of its own. They are looked up through NumPy's extension module: on Linux
and macOS the search for a symbol in a library goes on in those that it was linked with, so what is found belongs to the
very BLAS that NumPy calls, and not to another one of the process, such as SciPy's. Windows searches no further than the
library itself; there NumPy's wheels keep their BLAS in a folder ``numpy.libs``.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

#: OpenBLAS is built with prefixes and suffixes around the names of its functions: NumPy's wheels, their 64-bit
#: integers, conda.
_OPENBLAS = [
    (f"{prefix}openblas_set_num_threads{suffix}", f"{prefix}openblas_get_num_threads{suffix}", ctypes.c_int)
    for prefix in ("scipy_", "")
    for suffix in ("64_", "_64", "")
]

#: Functions that set and get the number, and the type of that number, in the order in which they are looked for.
FUNCTIONS = [
    *_OPENBLAS,
    ("MKL_Set_Num_Threads", "MKL_Get_Max_Threads", ctypes.c_int),
    ("bli_thread_set_num_threads", "bli_thread_get_num_threads", ctypes.c_int64),
    ("flexiblas_set_num_threads", "flexiblas_get_num_threads", ctypes.c_int),
]

#: Accelerate, macOS's own BLAS from version 15 on, knows two states: 0, on as many threads as it likes, and 1, on one.
ACCELERATE = ("BLASSetThreading", "BLASGetThreading")


class Threads(NamedTuple):
    """``get()`` is the number of threads of NumPy's BLAS; ``set(number)`` says whether it could be set."""

    get: Callable[[], int]
    set: Callable[[int], bool]


@functools.cache
def threads() -> Threads | None:
    """How to read and set the number of threads of NumPy's BLAS, or None if this BLAS has no known way."""
    for path in _libraries():
        try:
            library = ctypes.CDLL(str(path))
        except OSError:
            continue
        found = _functions(library)
        if found is not None:
            return found
    return _by_threadpoolctl()


def name() -> str:
    """Which BLAS NumPy calls, its version, and, of OpenBLAS, the processor whose kernels it runs."""
    for path in _libraries():
        try:
            library = ctypes.CDLL(str(path))
        except OSError:
            continue
        for setter, _, _ in _OPENBLAS:
            function = getattr(library, setter.replace("set_num_threads", "get_config"), None)
            if function is not None:
                function.argtypes, function.restype = [], ctypes.c_char_p
                return " ".join(function().decode("ascii", "replace").split())
    try:
        known = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
        return f"{known['name']} {known['version']}"
    except (KeyError, TypeError):
        return "unknown"


def _libraries() -> list[Path]:
    """NumPy's extension module that calls BLAS; on Windows the libraries beside the package instead."""
    package = Path(np.__file__).parent
    if sys.platform == "win32":
        return sorted((package.parent / "numpy.libs").glob("*.dll"))
    core = np._core if hasattr(np, "_core") else np.core  # NumPy 2, NumPy 1
    return [Path(core._multiarray_umath.__file__)]


def _without_answer(setter, getter) -> Threads:
    """Of a setter that returns nothing."""
    return Threads(lambda: max(1, int(getter())), lambda number: setter(number) is None)


def _functions(library) -> Threads | None:
    """The functions of the first BLAS of ``FUNCTIONS`` that the library has or was linked with."""
    for set_name, get_name, kind in FUNCTIONS:
        if hasattr(library, set_name) and hasattr(library, get_name):
            setter, getter = library[set_name], library[get_name]
            setter.argtypes, setter.restype, getter.argtypes, getter.restype = [kind], None, [], kind
            return _without_answer(setter, getter)
    if all(hasattr(library, name) for name in ACCELERATE):
        setter, getter = (library[name] for name in ACCELERATE)
        setter.argtypes, setter.restype, getter.argtypes, getter.restype = (
            [ctypes.c_uint],
            ctypes.c_int,
            [],
            ctypes.c_uint,
        )
        most = os.cpu_count() or 1

        def set_threading(number: int) -> bool:
            setter(1 if number == 1 else 0)
            return number == 1 or number >= most

        return Threads(lambda: 1 if getter() == 1 else most, set_threading)
    return None


def _by_threadpoolctl() -> Threads | None:
    """Through threadpoolctl, where it is installed and knows a BLAS that is not known here."""
    try:
        import threadpoolctl
    except ImportError:
        return None

    def libraries() -> list[int]:
        return [pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]

    if not libraries():
        return None
    return Threads(
        lambda: max(libraries()), lambda number: bool(threadpoolctl.threadpool_limits(number, user_api="blas"))
    )


class _Held:
    """``with held:`` what follows may call ``held.use(number)``; the number of threads of before is set again at its
    end.

    May be entered again, and by several threads, for all of which the last call of ``use`` holds: so only by those
    whose results do not depend on the number. Where it cannot be set nothing changes.
    """

    def __init__(self) -> None:
        self._lock, self._depth, self._before, self._now = threading.Lock(), 0, 1, 1

    def __enter__(self) -> None:
        with self._lock:
            self._depth += 1
            known = threads()
            if self._depth == 1 and known is not None:
                self._before = self._now = known.get()

    def __exit__(self, *error) -> None:
        with self._lock:
            self._depth -= 1
            if self._depth == 0:
                self._set(self._before)

    def use(self, number: int) -> int:
        """Let BLAS run on so many threads; on how many it did before."""
        with self._lock:
            before = self._now
            if threads() is not None:
                self._set(number)
            return before

    def _set(self, number: int) -> None:
        if number != self._now and (known := threads()) is not None:
            known.set(number)
            self._now = number

    def usual(self) -> int:
        """The number of threads that is set outside, 1 where it is not known."""
        with self._lock:
            known = threads()
            return self._before if self._depth else 1 if known is None else known.get()

    def limit(self, number: int) -> bool:
        """Set the number that holds outside; False where it cannot be set."""
        with self._lock:
            known = threads()
            if known is None:
                return False
            if self._depth:
                self._before = number
                return True
            return known.set(number)

    def begin_anew(self) -> None:
        """In a forked child, whose parent's threads are not there to leave."""
        self._lock, held = threading.Lock(), self._depth > 0
        self._depth = 0
        if held:
            self._set(self._before)


held = _Held()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=held.begin_anew)


@contextlib.contextmanager
def one_thread():
    """NumPy's BLAS runs on the thread that calls it, for all threads of the process meanwhile.

    A BLAS of two threads lets them spin on each other's parts, and where another program takes one of their cores a
    product lasts several times as long as on one thread.
    """
    with held:
        before = held.use(1)
        try:
            yield
        finally:
            held.use(before)
