"""The CUDA kernels, built for the CPU, one by one: products, sums and random numbers against the definitions.

The operations of the backend interface are tested with those of all backends (the parameter ``cupy``); here are the
kernels that no operation calls, edges of memory, and that no result depends on which thread comes first.
"""

import gpu_backends
import naive
import numpy as np
import pytest

if gpu_backends.NO_STANDIN is not None:
    pytest.skip(gpu_backends.NO_STANDIN, allow_module_level=True)

from npvae.kernels.gpu.records import SIDES, THREADS, TILE_BYTES, Product
from npvae.kernels.gpu.sources import DTYPES
from npvae.mathematics import random

#: Before and behind an array: memory that no kernel may touch.
GUARD = 16
#: Forwards, backwards, and shuffled: the orders in which threads and blocks run.
ORDERS = (0, 1, 7)


class Guarded:
    """An array inside memory that is NaN around it."""

    def __init__(self, shape, dtype) -> None:
        size = int(np.prod(shape))
        self._memory = np.full(size + 2 * GUARD, np.nan, dtype)
        self.array = self._memory[GUARD : GUARD + size].reshape(shape)

    def intact(self) -> bool:
        return bool(np.isnan(self._memory[:GUARD]).all() and np.isnan(self._memory[-GUARD:]).all())


@pytest.fixture(params=ORDERS)
def kernels(request):
    kernels = gpu_backends.host_kernels()
    kernels.order = request.param
    yield kernels
    kernels.order = 0


def launch(kernels, name, dtype, arguments, blocks=2, shared_numbers=0):
    integers = [np.int64(argument) if isinstance(argument, int) else argument for argument in arguments]
    kernels.launch(
        f"{name}<{DTYPES[np.dtype(dtype).name]}>",
        blocks,
        THREADS,
        integers,
        shared=shared_numbers * np.dtype(dtype).itemsize,
    )


def tile_numbers(dtype):
    return TILE_BYTES // np.dtype(dtype).itemsize


SHAPES = [
    (1, 1, 1),
    (1, 40, 3),
    (5, 7, 129),
    (32, 32, 64),
    (33, 65, 31),
    (64, 64, 32),
    (65, 31, 66),
    (17, 20, 260),
    (3, 2, 0),
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("form", Product)
def test_products(kernels, dtype, rng, side, shape, form):
    m, n, k = shape
    a, b = rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)
    left = np.ascontiguousarray(a.T) if form == Product.XT_DA else a
    right = np.ascontiguousarray(b.T) if form == Product.DA_WT else b
    c = Guarded((m, n), dtype)
    launch(kernels, f"multiply_{side}", dtype, [left, right, c.array, m, n, k, int(form)], 3, tile_numbers(dtype))
    wanted = np.array(naive.matmul(a, b)) if k else np.zeros((m, n))
    tolerance = 4 * max(1, k) * np.finfo(dtype).eps
    np.testing.assert_allclose(c.array, wanted, rtol=0, atol=tolerance * max(1.0, np.abs(wanted).max()))
    assert c.intact()


@pytest.mark.parametrize("side", SIDES)
def test_products_have_the_same_bits_in_any_order_and_on_any_number_of_blocks(dtype, rng, side):
    kernels = gpu_backends.host_kernels()
    a, b = rng.standard_normal((70, 90)).astype(dtype), rng.standard_normal((90, 70)).astype(dtype)
    results = []
    for order in ORDERS:
        for blocks in (1, 3, 50):
            kernels.order, c = order, np.empty((70, 70), dtype)
            launch(kernels, f"multiply_{side}", dtype, [a, b, c, 70, 70, 90, 0], blocks, tile_numbers(dtype))
            results.append(c.tobytes())
    kernels.order = 0
    assert len(set(results)) == 1


def test_a_nan_spreads_to_its_row_and_nowhere_else(kernels, dtype, rng):
    """What is outside a matrix is 0 in the tiles, and 0 times anything there is never added."""
    a, b = rng.standard_normal((5, 40)).astype(dtype), rng.standard_normal((40, 6)).astype(dtype)
    a[2, 39] = np.nan
    c = np.zeros((5, 6), dtype)
    launch(kernels, "multiply_32", dtype, [a, b, c, 5, 6, 40, 0], 1, tile_numbers(dtype))
    assert np.isnan(c[2]).all() and np.isfinite(np.delete(c, 2, 0)).all()


@pytest.mark.parametrize("shape", [(1, 1), (3, 31), (9, 32), (257, 33), (8, 100)])
def test_column_sums(kernels, dtype, rng, shape):
    x, sums = rng.standard_normal(shape).astype(dtype), Guarded(shape[1], dtype)
    launch(kernels, "column_sums", dtype, [x, sums.array, *shape], 2, THREADS)
    np.testing.assert_allclose(sums.array, x.sum(axis=0, dtype=np.float64), atol=300 * np.finfo(dtype).eps)
    assert sums.intact()


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 1001])
@pytest.mark.parametrize("place", [(0, 0), (2**63 - 1, 2**40)])
def test_normal_numbers_are_those_of_the_library(kernels, dtype, count, place):
    seed, step = place
    out = Guarded(count, dtype)
    launch(kernels, "normal_numbers", dtype, [out.array, count, seed, random.PURPOSES["latent noise"], step])
    wanted = random.normal(seed, "latent noise", step, (count,), dtype)
    np.testing.assert_allclose(out.array, wanted, rtol=4 * np.finfo(dtype).eps, atol=1e-14)  # of the angle
    assert out.intact()


def test_normal_numbers_by_the_published_generator(kernels):
    """The same from Philox on Python's integers: the library could be wrong in the same way."""
    import math

    seed, purpose, step = 12, 3, 5
    out = np.empty(6)
    launch(kernels, "normal_numbers", np.float64, [out, 6, seed, purpose, step])
    words = [w for block in (1, 2) for w in naive.philox4x64((block, step, 0, 0), (seed, purpose))]
    uniform = [(word >> 11) / 2.0**53 for word in words]
    for pair in range(3):
        u1, u2 = uniform[2 * pair], uniform[2 * pair + 1]
        radius = math.sqrt(-2 * math.log(1 - u1))
        assert out[2 * pair] == pytest.approx(radius * math.cos(2 * math.pi * u2), rel=1e-13, abs=1e-14)
        assert out[2 * pair + 1] == pytest.approx(radius * math.sin(2 * math.pi * u2), rel=1e-13, abs=1e-14)


@pytest.mark.parametrize("count", [1, 3, 4, 1002])
def test_bernoulli_numbers_are_those_of_the_library(kernels, dtype, rng, count):
    x = rng.random(count).astype(dtype)
    x[:1] = 0.0
    wanted = random.bernoulli(9, "binarize", 4, x)
    out = Guarded(count, dtype)
    out.array[...] = x
    launch(kernels, "bernoulli_numbers", dtype, [out.array, count, 9, random.PURPOSES["binarize"], 4])
    np.testing.assert_array_equal(out.array, wanted)
    assert out.intact()


def test_rows_by_an_index_outside_are_nan(kernels, dtype):
    x, out = np.ones((3, 2), dtype), np.zeros((4, 2), dtype)
    launch(kernels, "take_rows", dtype, [x, np.array([0, 3, -1, 2]), out, 3, 2, 4])
    np.testing.assert_array_equal(np.isnan(out[:, 0]), [False, True, True, False])


def test_a_launch_that_no_gpu_would_take_is_refused():
    kernels, x = gpu_backends.host_kernels(), np.zeros(4)
    for blocks, threads, shared in ((0, 256, 0), (1, 2048, 0), (1, 256, 49 * 1024)):
        with pytest.raises(ValueError, match="is not possible"):
            kernels.launch("flush_tiny<double>", blocks, threads, [x, np.int64(4), np.float64(1)], shared=shared)
    with pytest.raises(AssertionError, match="argument 2"):  # a number of another size than the kernel's
        kernels.launch("flush_tiny<double>", 1, 256, [x, np.int64(4), np.float32(1)])
