"""Matrix products of NumPy arrays in fixed pieces, each by a BLAS on one thread: see blas.py for why.

The pieces depend on the sizes alone. So the bits of a product depend neither on how many threads there are nor on who
computes which piece.
"""

from __future__ import annotations

import numpy as np

from npvae.backend import worker_pool
from npvae.backend.blas import one_thread

#: Multiplications and additions from which a product is cut in two: halves of a tenth of a millisecond, where asking a
#: thread takes some hundredths. Each cut makes the copying that a BLAS begins with dearer by some hundredths of the
#: product, so the number of pieces doubles only with eight times the work.
WORK_OF_TWO, MORE_WORK, MOST = 3e7, 8.0, 16

#: Multiplications up to which a BLAS takes a product on one thread by itself.
SMALL = 2**18

#: Rows or columns of a piece are a multiple of this, but for the last: whole tiles of a BLAS, whole lines of the cache.
MULTIPLE = 16

#: The shortest side of a piece: with fewer rows or columns, copying the other matrix costs as much as multiplying by
#: it.
SHORTEST = 96


def cuts(length: int, count: int) -> list[slice]:
    """0 .. length in so many slices of nearly the same length, or in as many as there are multiples of ``MULTIPLE``."""
    units = -(-length // MULTIPLE)
    count = max(1, min(count, units))
    edges = [min(length, units * i // count * MULTIPLE) for i in range(count + 1)]
    return [slice(start, stop) for start, stop in zip(edges[:-1], edges[1:], strict=True)]


def number(m: int, n: int, k: int) -> int:
    """The number of pieces of a product (m, k) (k, n): a power of two."""
    work, count, needed = 2.0 * m * n * k, 1, WORK_OF_TWO
    while count < MOST and work >= needed and max(m, n) >= 2 * count * SHORTEST:
        count, needed = 2 * count, needed * MORE_WORK
    return count


def multiply(a, b, out, threads: int) -> None:
    """out = a b, all matrices, on so many threads at most."""
    m, n = out.shape
    k = a.shape[1]
    if m * n * k <= SMALL:
        np.matmul(a, b, out=out)
        return
    count = number(m, n, k)
    with one_thread():
        if count == 1:
            np.matmul(a, b, out=out)
            return
        parts = cuts(max(m, n), count)
        if m > n:
            run([(np.matmul, a[part], b, out[part]) for part in parts], threads)
        else:
            run([(np.matmul, a, b[:, part], out[:, part]) for part in parts], threads)


def run(calls, threads: int) -> None:
    """Make calls, (function, *arguments), which are independent of one another, in any order on so many threads at
    most.

    What NumPy does about overflow and the like is the same on every thread.
    """
    if threads == 1 or len(calls) == 1:
        for function, *arguments in calls:
            function(*arguments)
        return
    states = np.geterr()

    def work(place: int) -> None:
        function, *arguments = calls[place]
        with np.errstate(**states):
            function(*arguments)

    worker_pool.run(work, len(calls), threads)
