"""Large temporary arrays that are used again once nobody holds them.

A training step makes a dozen arrays of a few hundred kilobytes, the same every step. The C library gives
memory of that size back to the operating system and asks for it again, and every page is then faulted in
anew: a third of the step's time at the sizes of a small VAE. This pool keeps the arrays instead.

An array is handed out again only when the pool holds the last reference to it, read off CPython's
reference count; a view counts as a reference to its base. So a caller may keep any array as long as it
likes, and never sees it change. Interpreters without such counts get new arrays every time.
"""

from __future__ import annotations

import math
import sys
import threading

import numpy as np

#: Smaller arrays come from the C library's own free lists, which keep them anyway.
SMALLEST_POOLED = 32 * 1024

#: When a thread's arrays come to more bytes than this, all that are free are given back before one more is made.
LARGEST_POOL = 256 * 2**20


def _counts_can_be_trusted() -> bool:
    if sys.implementation.name != "cpython" or not getattr(sys, "_is_gil_enabled", lambda: True)():
        return False
    return hasattr(sys, "getrefcount")


class BufferPool:
    """``empty(shape, dtype)`` like ``numpy.empty``, from arrays that are free. Each thread has its own."""

    def __init__(self) -> None:
        self._trusted = _counts_can_be_trusted()
        self._local = threading.local()
        self._free_count = self._measure_free_count() if self._trusted else None
        self._trusted = self._trusted and self._works()

    def empty(self, shape: tuple[int, ...], dtype) -> np.ndarray:
        """An array of undefined content that nobody else holds."""
        dtype = np.dtype(dtype)
        if math.prod(shape) * dtype.itemsize < SMALLEST_POOLED or not self._trusted:
            return np.empty(shape, dtype)
        try:
            arrays = self._local.arrays[shape, dtype]
        except (AttributeError, KeyError):
            arrays = self._arrays().setdefault((shape, dtype), [])
        free_count, count = self._free_count, sys.getrefcount
        for array in arrays:
            if count(array) == free_count:
                return array
        array = np.empty(shape, dtype)
        self._add(arrays, array)
        return array

    def like(self, array: np.ndarray) -> np.ndarray:
        """``empty`` of the shape and dtype of ``array``."""
        return self.empty(array.shape, array.dtype)

    def clear(self) -> None:
        """Forget every array of this thread; those in use live on with their holders."""
        self._arrays().clear()
        self._local.size = 0

    def _arrays(self) -> dict:
        """This thread's arrays by shape and dtype."""
        try:
            return self._local.arrays
        except AttributeError:
            self._local.arrays, self._local.size = {}, 0
            return self._local.arrays

    def _add(self, arrays: list, array: np.ndarray) -> None:
        if self._local.size + array.nbytes > LARGEST_POOL:
            self.clear()  # sizes have changed, or are many: start again with those in use now
            arrays = self._local.arrays.setdefault((array.shape, array.dtype), [])
        arrays.append(array)
        self._local.size += array.nbytes

    def _measure_free_count(self) -> int:
        # The count as `empty` sees it for an array that only the list holds: measured by the same loop, since
        # what the interpreter adds for a loop variable and an argument differs between versions.
        for array in [np.empty(1)]:
            return sys.getrefcount(array)

    def _works(self) -> bool:
        """Whether counts mean here what this file takes them for: a held array is not handed out, a dropped one is."""
        shape = (SMALLEST_POOLED,)
        held = self.empty(shape, np.uint8)
        other = self.empty(shape, np.uint8)
        apart = other is not held
        place = other.ctypes.data
        del other
        again = self.empty(shape, np.uint8).ctypes.data == place
        self.clear()
        return apart and again
