"""Sizes that compiled code and the Python around it must agree on; nothing here needs Numba."""

from __future__ import annotations

#: k of a panel: 256 x 16 numbers of float32 are 16 KiB, half a first-level cache.
BLOCK_K = 256
#: Rows of A that run over all panels of one block of k: 256 x 192 numbers of float32 are 192 KiB.
BLOCK_M = 192
#: The most tiles that ``BLOCK_M`` rows can have.
ROW_TILES = BLOCK_M // 6 + 3


#: Forms of a product: see ``make``.
PLAIN, B_TRANSPOSED, A_TRANSPOSED, SPARSE, SPARSE_TRANSPOSED = range(5)


def sparse_bytes(target, m: int, k: int) -> int:
    """Bytes of the list of a sparse (m, k) matrix: values, indices, counts."""
    return target.itemsize * m * k + 4 * m * k + 16 + 8 * m * (-(-k // BLOCK_K) + 1)


def scratch_numbers(target, columns: int) -> int:
    """Numbers of scratch memory that one thread needs for products of up to ``columns`` columns."""
    panels = -(-columns // target.panel)
    return (
        BLOCK_K * target.panel * panels  # panels of B
        + BLOCK_K * (BLOCK_M + 2 * target.tile_rows)  # columns of A
        + target.tile_rows * target.panel
        + 4 * target.panel  # an edge's tile; vectors written past an end
        + 2 * BLOCK_K * (ROW_TILES + 4)  # lists of a sparse A
    )


#: Pairs of normal numbers that are made at a time.
PAIRS = 256
#: Bytes of scratch memory that making them takes.
NORMAL_BYTES = 4 * 8 * PAIRS

#: Elements of a block whose squares are summed together for the gradient's norm, and which one thread updates: small,
#: so that the threads have equal shares of a small model too.
NORM_BLOCK = 1024
#: float64 numbers at a training plan's SUMS before those by latent dimension: loss, reconstruction, bound.
SUMS_HEAD = 3

#: The counters of threads that run together, a line of the cache each: shares that are done, threads that sleep, and
#: behind them for every share the phase in which it was last taken.
DONE, SLEEPERS, TAKEN = 0, 1, 2
