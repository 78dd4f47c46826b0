"""What the tests of the compiled program share: single operations by their plan, and memory with guarded edges.

Importing this skips a test file where the program cannot run.
"""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from npvae import backend

REASON = backend.reason_against("numba")
if REASON is not None:
    pytest.skip(f"the compiled program cannot run here: {REASON}", allow_module_level=True)

from npvae.backend import numba_ops
from npvae.kernels.cpu import library
from npvae.kernels.cpu.plan import Operation

DTYPES = ("float32", "float64")
#: The functions of one number, in the order of the program's table.
FUNCTIONS = (
    "exp",
    "expm1",
    "log",
    "log1p_of_fraction",
    "tanh",
    "sigmoid",
    "softplus",
    "sine_of_turns",
    "cosine_of_turns",
)
#: What stands around an array: no result may ever be made of it, nor may it change.
GUARD = 64


def program(dtype) -> library.Program:
    """The compiled program of a dtype."""
    return library.load(np.dtype(dtype).name, numba_ops.program_folder())


def run(dtype, *fields: int) -> None:
    """One operation, by its plan."""
    plan = numba_ops.plan_of(*fields)
    program(dtype).run(ctypes.addressof(plan))


def address(array) -> int:
    """Where an array lies, or 0 for none."""
    return 0 if array is None else array.ctypes.data


def function(name: str, x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """One of ``FUNCTIONS`` on a contiguous array."""
    out = np.empty_like(x) if out is None else out
    run(x.dtype, Operation.ELEMENTARY, x.size, FUNCTIONS.index(name), address(x), address(out))
    return out


class Guarded:
    """A matrix of ``rows`` x ``columns`` inside memory that is NaN everywhere else, also between its rows.

    ``array`` is a view of the matrix; ``intact()`` says whether nothing around it has changed.
    """

    def __init__(self, rows: int, columns: int, dtype, gap: int = 0, values=None, shift: int = 0) -> None:
        self.row_length = columns + gap
        start = GUARD + shift
        self._memory = np.full(start + rows * self.row_length + GUARD, np.nan, dtype)
        inside = self._memory[start : start + rows * self.row_length].reshape(rows, self.row_length)
        self.array = inside[:, :columns]
        if values is not None:
            self.array[...] = values
        self._outside = np.ones(self._memory.shape, bool)
        self._outside[start : start + rows * self.row_length].reshape(rows, self.row_length)[:, :columns] = False

    @property
    def address(self) -> int:
        return self.array.ctypes.data

    def intact(self) -> bool:
        return bool(np.isnan(self._memory[self._outside]).all())


def bits(array: np.ndarray) -> np.ndarray:
    """The bit patterns: NaN equals itself and -0 is not 0."""
    return np.ascontiguousarray(array).view(f"u{array.dtype.itemsize}")
