"""Large temporary arrays that are used again once nobody holds them.

A training step makes a dozen arrays of a few hundred kilobytes, the same every step. The C library gives
memory of that size back to the operating system and asks for it again, and every page is then faulted in
anew: a third of the step's time at the sizes of a small VAE. This pool keeps the arrays instead.

An array is handed out again only when the pool holds the last reference to it and to its memory, read off
CPython's reference counts; a view is a reference to the memory. So a caller may keep any array as long as it
likes, and never sees it change. Interpreters without such counts get new arrays every time.

All start at the beginning of a line of the cache, which NumPy's own do not: full-width loads and stores then touch one
line, not two.
"""

from __future__ import annotations

import math
import sys
import threading

import numpy as np

#: Smaller arrays come from the C library's own free lists, which keep them anyway.
SMALLEST_POOLED = 32 * 1024

#: Bytes of a line of the cache.
ALIGNMENT = 64

#: When a thread's arrays come to more bytes than this, all that are free are given back before one more is made.
LARGEST_POOL = 256 * 2**20


def empty_aligned(shape: tuple[int, ...], dtype) -> np.ndarray:
    """An array of undefined content, at the beginning of a line of the cache; its base is the memory."""
    dtype = np.dtype(dtype)
    length = math.prod(shape) * dtype.itemsize
    block = np.empty(length + ALIGNMENT, np.uint8)
    start = -block.ctypes.data % ALIGNMENT
    return block[start : start + length].view(dtype).reshape(shape)


def _counts_can_be_trusted() -> bool:
    if sys.implementation.name != "cpython" or not getattr(sys, "_is_gil_enabled", lambda: True)():
        return False
    return hasattr(sys, "getrefcount")


class BufferPool:
    """``empty(shape, dtype)`` like ``numpy.empty``, from arrays that are free. Each thread has its own."""

    def __init__(self) -> None:
        self._trusted = _counts_can_be_trusted()
        self._local = threading.local()
        self._free_counts = self._measure_free_counts() if self._trusted else None
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
        free_counts, count = self._free_counts, sys.getrefcount
        for array, memory in arrays:
            if (count(array), count(memory)) == free_counts:
                return array
        array = empty_aligned(shape, dtype)
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
        arrays.append((array, array.base))
        self._local.size += array.nbytes

    def _measure_free_counts(self) -> tuple[int, int]:
        # The counts as `empty` sees them for an array that only the list holds: measured by the same loop, since
        # what the interpreter adds for a loop variable and an argument differs between versions.
        arrays = [(array, array.base) for array in (empty_aligned((1,), np.uint8),)]
        count, found = sys.getrefcount, (0, 0)
        for array, memory in arrays:
            found = count(array), count(memory)
        return found

    def _works(self) -> bool:
        """Whether counts mean here what this file takes them for: what is held is not handed out, what is dropped
        is.
        """
        shape = (SMALLEST_POOLED,)
        held = self.empty(shape, np.uint8)
        view = self.empty(shape, np.uint8)[1:]
        other = self.empty(shape, np.uint8)
        place = other.ctypes.data
        apart = len({held.ctypes.data, view.ctypes.data - 1, place}) == 3
        del other
        again = self.empty(shape, np.uint8).ctypes.data == place
        self.clear()
        return apart and again


class SequencePool:
    """For whoever asks for the same arrays in the same order again and again: each request gets what it got before.

    All are handed out again after ``begin``, whoever holds them.
    """

    def __init__(self) -> None:
        self._arrays: list = []
        self._next = 0

    def begin(self) -> None:
        """The sequence begins anew."""
        self._next = 0

    def empty(self, shape: tuple[int, ...], dtype) -> np.ndarray:
        """An array of undefined content that has not been handed out since ``begin``."""
        place = self._next
        self._next = place + 1
        if place == len(self._arrays):
            self._arrays.append(empty_aligned(shape, dtype))
        array = self._arrays[place]
        if array.shape != shape or array.dtype != dtype:
            array = self._arrays[place] = empty_aligned(shape, dtype)
        return array

    def like(self, array: np.ndarray) -> np.ndarray:
        """``empty`` of the shape and dtype of ``array``."""
        return self.empty(array.shape, array.dtype)

    def clear(self) -> None:
        """Forget every array."""
        self._arrays.clear()
        self._next = 0
