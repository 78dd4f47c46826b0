"""What the compiled code may count on: the machine's vectors, and the sizes that follow from them.

lanes       numbers in one vector register: 16 float32 with AVX-512, 8 with AVX, 4 otherwise (SSE, NEON)
registers   how many such registers there are: 32 with AVX-512 and on ARM, 16 otherwise
"""

from __future__ import annotations

from dataclasses import dataclass

#: Bytes of a cache line, for buffers that two threads write to.
CACHE_LINE = 64


@dataclass(frozen=True)
class Target:
    """A number format on a machine."""

    dtype: str  #: "float32" or "float64"
    vector_bytes: int
    registers: int

    @property
    def itemsize(self) -> int:
        return 4 if self.dtype == "float32" else 8

    @property
    def lanes(self) -> int:
        return self.vector_bytes // self.itemsize

    @property
    def tile_rows(self) -> int:
        """Rows of a tile of a matrix product: see gemm.py."""
        return 10 if self.registers == 32 else 6

    @property
    def tile_vectors(self) -> int:
        """Vectors in a row of a tile."""
        return 2

    @property
    def panel(self) -> int:
        """Columns of a tile."""
        return self.tile_vectors * self.lanes


def of_machine(dtype: str, triple: str, features: str) -> Target:
    """The target of a dtype, from LLVM's names: ``features`` is like "+avx2,-avx512f,...".

    >>> of_machine("float32", "x86_64-unknown-linux-gnu", "+avx,+avx2").lanes
    8
    """
    have = set(features.split(","))
    if "+avx512f" in have:
        return Target(dtype, 64, 32)
    if "+avx" in have:
        return Target(dtype, 32, 16)
    return Target(dtype, 16, 32 if triple.startswith(("aarch64", "arm64")) else 16)
