"""Matrix products of NumPy arrays by the compiled program, on as many threads as there is work for.

Their bits do not depend on the number of threads, and those of all but the smallest not on which BLAS NumPy has. Where
that BLAS does not know the processor, they are also faster: benchmarks/RESULTS.md.
"""

from __future__ import annotations

import numpy as np

from npvae.backend import worker_pool
from npvae.kernels.cpu import sizes
from npvae.kernels.cpu.plan import Epilogue, Operation, Product
from npvae.kernels.cpu.target import CACHE_LINE

#: Multiplications and additions for which one more thread is asked to help: about a tenth of a millisecond, where
#: asking takes some hundredths.
WORK_OF_A_THREAD = 2e7

#: Products of at most so many multiplications are left to NumPy: they are over before the program has been told what to
#: do, and so small that a BLAS takes them on one thread.
FEWEST = 2**18

#: The dtypes that are compiled for.
DTYPES = (np.dtype(np.float32), np.dtype(np.float64))

_PLACES = {field.name: int(field) for field in Product}


def row_length(array: np.ndarray) -> int | None:
    """Numbers from one row of a matrix to the next, or None if the program cannot read it where it is."""
    flags = array.flags
    if array.ndim != 2 or array.dtype not in DTYPES or not flags.aligned:
        return None
    columns = array.shape[1]
    if flags.c_contiguous:
        return columns
    between, beside = array.strides
    if columns > 1 and beside != array.itemsize:
        return None
    if between % array.itemsize or between < columns * array.itemsize:
        return None
    return between // array.itemsize


def multiply(program, buffers, threads: int, form: int, a, b, out, epilogue=Epilogue.NONE, bias=None) -> bool:
    """out = a b in one of the forms PLAIN, B_TRANSPOSED and A_TRANSPOSED of npvae/kernels/cpu/sizes.py, then the
    epilogue.

    a, b, out: matrices as they are stored, out (m, n); bias (n,), contiguous, for a forward epilogue. buffers: a pool
    for scratch memory. Return False, and leave ``out`` as it is, for what the program cannot read, what does not fit,
    and what is as well left to NumPy.
    """
    m, n = out.shape
    (k, rows) = a.shape if form == sizes.A_TRANSPOSED else a.shape[::-1]
    if m * n * k <= FEWEST:
        return False
    if rows != m or b.shape != ((n, k) if form == sizes.B_TRANSPOSED else (k, n)):
        return False
    lda, ldb, ldc = row_length(a), row_length(b), row_length(out)
    if lda is None or ldb is None or ldc is None or not a.dtype == b.dtype == out.dtype:
        return False
    if bias is not None and not (bias.shape == (n,) and bias.dtype == out.dtype and bias.flags.c_contiguous):
        return False
    threads = int(max(1, min(threads, 2.0 * m * n * k // WORK_OF_A_THREAD)))
    share = -(-sizes.scratch_numbers(program.target, n) * out.itemsize // CACHE_LINE) * CACHE_LINE // out.itemsize
    scratch = buffers.empty((threads * share,), out.dtype)
    plan = fields(
        THREADS=threads,
        SCRATCH=scratch.ctypes.data,
        SCRATCH_BYTES=share * out.itemsize,
        A=a.ctypes.data,
        LDA=lda,
        B=b.ctypes.data,
        LDB=ldb,
        C=out.ctypes.data,
        LDC=ldc,
        M=m,
        N=n,
        K=k,
        FORM=form,
        EPILOGUE=epilogue,
        P=0 if bias is None else bias.ctypes.data,
    )
    address = plan.ctypes.data
    if threads == 1:
        program.run(address)
    else:

        def share_of(thread, held=(plan, scratch, a, b, out, bias)):
            program.run(address, thread)

        worker_pool.run(share_of, threads)
    return True


def fields(**values: int) -> np.ndarray:
    """The plan of a product, by the names of its fields; what is not named is 0."""
    numbers = [0] * len(_PLACES)
    numbers[Product.OPERATION], numbers[Product.THREADS] = Operation.PRODUCT, 1
    for name, value in values.items():
        numbers[_PLACES[name]] = value
    return np.array(numbers, np.int64)
