"""Whether a BLAS adds up a product's numbers in the same order on one thread and on several, and how to make it do so.

A BLAS divides a product's result among its threads, not its sums, and adds each sum in blocks. But OpenBLAS makes the
last two blocks of equal length, and rounds that length to whole registers on one thread and not on several. Then the
last bits of a result depend on the number of threads. Where the length of the sums is a multiple of 32 both come to the
same; the rest is added as a product of its own.

Whether that is so is not believed but tried, for each length once in a process, with random numbers: another order of
adding shows in some of thousands of sums. And whoever relies on it tries the whole of what it computes once more.
"""

from __future__ import annotations

import functools

import numpy as np

from npvae.backend import blas

#: Lengths of sums that every BLAS adds in one way are multiples of this.
MULTIPLE = 32


def numbers(most: int) -> list[int]:
    """The numbers of threads of a BLAS that are tried, and may then be used: 1, 2 and, on a machine with the cores,
    4.
    """
    return [1, 2] if most < 4 else [1, 2, 4]


#: No BLAS cuts shorter sums; and the sides of a product that is tried, which are long enough for several threads.
SHORT, SIDE = 128, 128


@functools.cache
def rest(k: int, a_turned: bool, b_turned: bool, dtype: str, cores: int) -> int:
    """How many of the k numbers of a product's sums are to be added as a product of their own, so that its bits do not
    depend on the number of threads: 0, or k % 32 if that helps. ``turned``: the matrix is the transpose of one in
    memory.
    """
    left = k % MULTIPLE
    if left == 0 or k <= SHORT:
        return 0
    generator, kind = np.random.default_rng(0), np.dtype(dtype)
    a = generator.random((k, SIDE) if a_turned else (SIDE, k), dtype=kind)
    b = generator.random((SIDE, k) if b_turned else (k, SIDE), dtype=kind)
    a, b = a.T if a_turned else a, b.T if b_turned else b
    return 0 if same_on_any_number(lambda: np.matmul(a, b), cores) else left


def same_on_any_number(compute, cores: int) -> bool:
    """Whether an array that is computed has the same bits on every one of ``numbers``."""
    with blas.held:
        results = []
        for number in numbers(cores):
            blas.held.use(number)
            results.append(compute().tobytes())
    return all(result == results[0] for result in results[1:])
