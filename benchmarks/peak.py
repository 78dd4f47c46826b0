"""The peak rate of multiply-adds: independent ones on vector registers, with nothing to load, on all threads."""

from __future__ import annotations

import threading
import time

import numpy as np
from numba import int64, njit, types

from npvae.kernels.cpu import library, vector
from npvae.kernels.cpu.loops import Range, make_intrinsic
from npvae.kernels.cpu.target import of_machine
from npvae.kernels.cpu.vector import Vector, integer

CHAINS = 12  #: independent sums: enough for two multiply-adds a cycle of latency 4, and few enough for the registers


def gigaflops(dtype: str, threads: int, seconds: float = 0.5) -> float:
    """Billions of multiplications and additions a second on so many threads together."""
    triple, _, features = library.machine()
    target = of_machine(dtype, triple, features)

    def codegen(context, builder, _, arguments):
        start = [vector.constant(dtype, target.lanes, float(i)) for i in range(CHAINS)]
        turns = Range(builder, integer(0), arguments[0], 1, start)
        factor = vector.constant(dtype, target.lanes, 1.0000001)
        turns.close(
            [
                Vector(builder, dtype, target.lanes, value)
                .fma(Vector(builder, dtype, target.lanes, factor), Vector(builder, dtype, target.lanes, factor))
                .value
                for value in turns.carried
            ]
        )
        total = turns.carried[0]
        for value in turns.carried[1:]:
            total = builder.fadd(total, value)
        return Vector(builder, dtype, target.lanes, total).sum_lanes().value

    kernel = make_intrinsic(getattr(types, dtype)(int64), codegen)
    run = njit(getattr(types, dtype)(int64), nogil=True)(lambda n: kernel(n))
    count = 1 << 20
    while True:
        workers = [threading.Thread(target=run, args=(count,)) for _ in range(threads)]
        started = time.perf_counter()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        elapsed = time.perf_counter() - started
        if elapsed > seconds:
            return 2.0 * CHAINS * target.lanes * count * threads / elapsed / 1e9
        count *= 2


if __name__ == "__main__":
    for dtype in ("float32", "float64"):
        print(f"{dtype}: {np.median([gigaflops(dtype, 1) for _ in range(5)]):.0f} GFLOP/s on one thread")
