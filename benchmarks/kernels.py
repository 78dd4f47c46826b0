"""Every compiled kernel against its limit: memory traffic for the loops, the peak of multiply-adds for the products.

    python benchmarks/kernels.py [--dtype float32]

A loop's limit is the time that copying as many bytes takes (NumPy's copyto, arrays of the same sizes, so in the same
cache or memory); "of limit" is that time over the kernel's. Loops with an exponential or a logarithm are bound by
arithmetic, not memory: their time a number is what counts. All on one thread, medians of 15, alternating with the copy.
"""

from __future__ import annotations

import argparse
import ctypes
import statistics
import time

import numpy as np
from peak import gigaflops

from npvae import backend
from npvae.backend.numba_ops import constants_of, plan_of
from npvae.backend.products import fields
from npvae.kernels.cpu import sizes
from npvae.kernels.cpu.plan import Epilogue, Operation

ROWS = {"cache": 100, "memory": 20000}
COLUMNS = 784


def median_times(functions, repeats: int, rounds: int = 15) -> list[float]:
    """Median seconds a call of each, in turns."""
    times = [[] for _ in functions]
    for _ in range(rounds):
        for function, seconds in zip(functions, times, strict=True):
            started = time.perf_counter()
            for _ in range(repeats):
                function()
            seconds.append((time.perf_counter() - started) / repeats)
    return [statistics.median(each) for each in times]


def loops(program, rows: int, dtype: str):
    """``(name, plan, arrays read, arrays written)``; the arrays are returned too, to be kept alive."""
    n = rows * COLUMNS
    generator = np.random.default_rng(0)
    a, b, c, d, e = (generator.random((rows, COLUMNS)).astype(dtype) + 0.1 for _ in range(5))
    sums, bias, factors = np.zeros(rows, dtype), np.zeros(COLUMNS, dtype), np.ones(rows, dtype)
    rates = constants_of(1e-9, 1.0, rho=0.9, epsilon=1e-7, beta_1=0.9, beta_2=0.999, momentum=0.9, tiny=1e-30)
    at = [each.ctypes.data for each in (a, b, c, d, e)]
    shape = rows, COLUMNS
    activation = Operation.ACTIVATION

    def update(operation):
        return plan_of(operation, n, *at[:4], rates.ctypes.data)

    cases = [
        ("bias", plan_of(activation, Epilogue.IDENTITY, at[0], *shape, bias.ctypes.data), 1, 1),
        ("bias, relu", plan_of(activation, Epilogue.RELU, at[0], *shape, bias.ctypes.data), 1, 1),
        ("bias, tanh", plan_of(activation, Epilogue.TANH, at[0], *shape, bias.ctypes.data), 1, 1),
        ("bias, softplus", plan_of(activation, Epilogue.SOFTPLUS, at[0], *shape, bias.ctypes.data), 1, 1),
        ("relu backward", plan_of(activation, Epilogue.RELU_BACKWARD, at[0], *shape, at[1]), 2, 1),
        ("tanh backward", plan_of(activation, Epilogue.TANH_BACKWARD, at[0], *shape, at[1]), 2, 1),
        ("softplus backward", plan_of(activation, Epilogue.SOFTPLUS_BACKWARD, at[0], *shape, at[1]), 2, 1),
        ("sample", plan_of(Operation.SAMPLE, n, *at[:4]), 3, 1),
        ("sample backward", plan_of(Operation.SAMPLE_BACKWARD, n, *at[:4]), 3, 1),
        ("KL", plan_of(Operation.KL, n, *at[:3]), 2, 1),
        ("KL backward", plan_of(Operation.KL_BACKWARD, n, *at[:4], at[4]), 3, 2),
        (
            "Bernoulli, gradient",
            plan_of(Operation.BERNOULLI, *shape, at[0], at[1], 0, sums.ctypes.data, at[2], 0),
            2,
            1,
        ),
        ("Bernoulli, value", plan_of(Operation.BERNOULLI_VALUE, *shape, at[0], at[1], 0, sums.ctypes.data, 0, 0), 2, 0),
        ("squared error", plan_of(Operation.SQUARED_ERROR, *shape, at[0], at[1], 0, sums.ctypes.data, at[2], 0), 2, 1),
        ("Gaussian", plan_of(Operation.GAUSSIAN, *shape, at[0], at[1], at[2], sums.ctypes.data, at[3], at[4]), 3, 2),
        ("scale rows", plan_of(Operation.SCALE_ROWS, *shape, at[0], factors.ctypes.data, 1, at[1]), 1, 1),
        ("RMSprop", update(Operation.RMSPROP_INSIDE), 3, 2),
        ("Adam", update(Operation.ADAM), 4, 3),
        ("SGD", update(Operation.SGD), 2, 1),
        ("momentum", update(Operation.MOMENTUM), 3, 2),
        ("flush", plan_of(Operation.FLUSH, n, at[0], 0, 0, 0, rates.ctypes.data), 1, 1),
    ]
    scratch = np.zeros(sizes.NORMAL_BYTES // 8)
    cases.append(("normal numbers", plan_of(Operation.NORMAL, 1, 3, 1, at[0], 0, n, scratch.ctypes.data), 0, 1))
    cases.append(("Bernoulli draws", plan_of(Operation.DRAW_BERNOULLI, 1, 4, 1, at[0], 0, n), 1, 1))
    return cases, (a, b, c, d, e, sums, bias, factors, rates, scratch)


def loops_table(program, dtype: str) -> None:
    for where, rows in ROWS.items():
        cases, keep = loops(program, rows, dtype)
        n = rows * COLUMNS
        repeats = max(1, 2_000_000 // n)
        print(f"\nloops on {rows} x {COLUMNS} {dtype}, in {where}")
        print(f"{'':<22} {'us':>9} {'ns a number':>12} {'GB/s':>7} {'of limit':>9}")
        for name, plan, reads, writes in cases:
            address = ctypes.addressof(plan)
            half = n * (reads + writes) // 2
            source, out = np.ones(half, dtype), np.ones(half, dtype)
            kernel, copy = median_times(
                [lambda address=address: program.run(address), lambda s=source, o=out: np.copyto(o, s)], repeats
            )
            moved = n * (reads + writes) * source.itemsize
            print(
                f"{name:<22} {kernel * 1e6:9.1f} {kernel / n * 1e9:12.2f} {moved / kernel / 1e9:7.1f} "
                f"{copy / kernel:8.0%}"
            )
        del keep


def products_table(program, dtype: str) -> None:
    peak = gigaflops(dtype, 1)
    print(f"\nproducts on one thread, {dtype}; peak {peak:.0f} GFLOP/s, BLAS with its own number of threads")
    print(f"{'':<24} {'m, n, k':<18} {'GFLOP/s':>8} {'of peak':>8} {'BLAS':>8}")
    generator = np.random.default_rng(0)
    forms = {
        "A B": sizes.PLAIN,
        "A B^T": sizes.B_TRANSPOSED,
        "A^T B": sizes.A_TRANSPOSED,
        "sparse A, A B": sizes.SPARSE,
    }
    for m, n, k in [
        (100, 256, 784),
        (100, 784, 256),
        (784, 256, 100),
        (100, 200, 200),
        (512, 1000, 1000),
        (982, 784, 500),
        (100, 2, 256),
    ]:
        for name, form in forms.items():
            a = generator.standard_normal((k, m) if form == sizes.A_TRANSPOSED else (m, k)).astype(dtype)
            b = generator.standard_normal((n, k) if form == sizes.B_TRANSPOSED else (k, n)).astype(dtype)
            if form == sizes.SPARSE:  # four columns of five are zero, as pixels beside a digit
                a[:, generator.random(k) < 0.8] = 0.0
            c = np.zeros((m, n), dtype)
            scratch = np.zeros(sizes.scratch_numbers(program.target, n), dtype)
            room = np.zeros(sizes.sparse_bytes(program.target, m, k), np.uint8)
            plan = fields(
                A=a.ctypes.data,
                LDA=a.shape[1],
                B=b.ctypes.data,
                LDB=b.shape[1],
                C=c.ctypes.data,
                LDC=n,
                M=m,
                N=n,
                K=k,
                FORM=form,
                SCRATCH=scratch.ctypes.data,
                SPARSE=room.ctypes.data,
            )
            left = a.T if form == sizes.A_TRANSPOSED else a
            right = b.T if form == sizes.B_TRANSPOSED else b
            operations = 2.0 * m * n * k
            kernel, blas = median_times(
                [
                    lambda p=plan.ctypes.data: program.run(p),
                    lambda left=left, right=right, c=c: np.matmul(left, right, out=c),
                ],
                max(1, int(2e8 / operations)),
            )
            rate = operations / kernel / 1e9
            print(f"{name:<24} {f'{m}, {n}, {k}':<18} {rate:8.0f} {rate / peak:8.0%} {operations / blas / 1e9:8.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    options = parser.parse_args()
    program = backend.get("numba", threads=1).program(options.dtype)
    loops_table(program, options.dtype)
    products_table(program, options.dtype)


if __name__ == "__main__":
    main()
