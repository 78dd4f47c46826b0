"""Matrix products of NumPy arrays by the compiled program, on as many threads as there is work for.

Their bits depend neither on the number of threads nor on which BLAS NumPy has; where that BLAS does not know the processor,
they are also faster: benchmarks/RESULTS.md.
"""

from __future__ import annotations

import numpy as np

from npvae.backend import crew
from npvae.kernels import sizes
from npvae.kernels.plan import Epilogue, Operation, Product
from npvae.kernels.target import CACHE_LINE

#: Multiplications and additions for which one more thread is asked to help: about a tenth of a millisecond, where asking takes
#: some hundredths.
WORK_OF_A_THREAD = 2e7

#: The dtypes that are compiled for.
DTYPES = ("float32", "float64")


def row_length(array: np.ndarray) -> int | None:
    """Numbers from one row of a matrix to the next, or None if the program cannot read it where it is."""
    if array.ndim != 2 or array.dtype.name not in DTYPES or not array.flags.aligned:
        return None
    rows, columns = array.shape
    between, beside = array.strides
    if columns > 1 and beside != array.itemsize:
        return None
    if rows <= 1:
        return max(columns, 1)
    if between % array.itemsize or between < columns * array.itemsize:
        return None
    return between // array.itemsize


def multiply(program, buffers, threads: int, form: int, a, b, out, epilogue=Epilogue.NONE, bias=None) -> bool:
    """out = a b in one of the forms PLAIN, B_TRANSPOSED and A_TRANSPOSED of npvae/kernels/sizes.py, then the epilogue.

    a, b, out: matrices as they are stored, out (m, n) contiguous by rows; bias (n,) for a forward epilogue. buffers: a pool for
    scratch memory. Return False, and leave ``out`` as it is, for what the program cannot read or what is empty.
    """
    lengths = row_length(a), row_length(b), row_length(out)
    m, n = out.shape
    k = a.shape[0 if form == sizes.A_TRANSPOSED else 1]
    if None in lengths or not m * n * k or not a.dtype == b.dtype == out.dtype:
        return False
    threads = int(max(1, min(threads, 2.0 * m * n * k // WORK_OF_A_THREAD)))
    share = -(-sizes.scratch_numbers(program.target, n) * out.itemsize // CACHE_LINE) * CACHE_LINE // out.itemsize
    scratch = buffers.empty((threads * share,), out.dtype)
    plan = fields(
        THREADS=threads, SCRATCH=scratch.ctypes.data, SCRATCH_BYTES=share * out.itemsize,
        A=a.ctypes.data, LDA=lengths[0], B=b.ctypes.data, LDB=lengths[1], C=out.ctypes.data, LDC=lengths[2],
        M=m, N=n, K=k, FORM=form, EPILOGUE=epilogue, P=0 if bias is None else bias.ctypes.data,
    )
    address = plan.ctypes.data
    if threads == 1:
        program.run(address)
    else:
        def share(thread, held=(plan, scratch, a, b, out, bias)):
            program.run(address, thread)

        crew.run(share, threads)
    return True


def fields(**values: int) -> np.ndarray:
    """The plan of a product, by the names of its fields; what is not named is 0."""
    plan = np.zeros(len(Product), np.int64)
    plan[Product.OPERATION] = Operation.PRODUCT
    plan[Product.THREADS] = 1
    for name, value in values.items():
        plan[Product[name]] = value
    return plan
