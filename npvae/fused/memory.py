"""The arrays of a compiled program, laid out in one piece of memory."""

from __future__ import annotations

import numpy as np

from npvae.kernels.cpu.target import CACHE_LINE


class Memory:
    """One piece of memory, in numbers of one dtype, from which cache-line aligned arrays are taken."""

    def __init__(self, itemsize: int) -> None:
        self._line = CACHE_LINE // itemsize
        self._itemsize = itemsize
        self._size = 0

    def take(self, numbers: int) -> int:
        """The place of a new array, in numbers; with a line's room behind it, since vectors may end beyond it."""
        place = self._size
        self._size += (numbers + 2 * self._line - 1) // self._line * self._line
        return place

    def allocate(self, dtype) -> None:
        """Make the memory; afterwards ``address`` knows where places are."""
        self._array = np.zeros(self._size + self._line, dtype)
        self._start = -(-self._array.ctypes.data // CACHE_LINE) * CACHE_LINE

    def address(self, place: int) -> int:
        """The address of a place."""
        return self._start + place * self._itemsize
