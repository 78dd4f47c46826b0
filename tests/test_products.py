"""Matrix products of NumPy arrays by the compiled program: which arrays it reads where they are, and on how many
threads.

What the products are is tested in test_kernels_gemm.py.
"""

import sys

import numpy as np
import processes
import pytest
from compiled import bits, program

from npvae import backend
from npvae.backend import products
from npvae.backend.base import Ops
from npvae.backend.buffers import BufferPool
from npvae.kernels.cpu import sizes
from npvae.kernels.cpu.plan import Epilogue


@pytest.fixture(autouse=True)
def none_is_too_small(monkeypatch):
    monkeypatch.setattr(products, "FEWEST", 0)


def whole_numbers(generator, shape, dtype):
    return generator.integers(-4, 5, shape).astype(dtype)


def multiply(form, a, b, out, threads=1, epilogue=Epilogue.NONE, bias=None):
    return products.multiply(program(out.dtype), BufferPool(), threads, form, a, b, out, epilogue, bias)


@pytest.mark.parametrize(
    "view",
    [lambda x: x, lambda x: x[:, :-3], lambda x: x[::2], lambda x: x[3:, 2:], lambda x: x[:1, 1:], lambda x: x[:, :1]],
    ids=["whole", "columns", "every other row", "corner", "one row", "one column"],
)
def test_rows_may_lie_apart(view, dtype):
    generator = np.random.default_rng(0)
    x = view(whole_numbers(generator, (37, 53), dtype))
    m, k = x.shape
    W, other = whole_numbers(generator, (k, 29), dtype), whole_numbers(generator, (m, 29), dtype)
    cases = [
        (sizes.PLAIN, x, W, x @ W),
        (sizes.B_TRANSPOSED, other, W, other @ W.T),
        (sizes.A_TRANSPOSED, x, other, x.T @ other),
    ]
    for form, a, b, wanted in cases:
        out = np.full(wanted.shape, np.nan, dtype)
        assert multiply(form, a, b, out)
        np.testing.assert_array_equal(out, wanted)


@pytest.mark.parametrize(
    "array",
    [
        np.ones((4, 5))[::-1],
        np.ones((4, 5))[:, ::-1],
        np.ones((5, 4)).T,
        np.broadcast_to(np.ones((1, 5)), (4, 5)),
        np.ones((4, 10))[:, ::2],
        np.ones((4, 5), np.float16),
        np.ones((4, 5), np.int64),
        np.ones((4, 5), complex),
        np.ones(5),
        np.lib.stride_tricks.sliding_window_view(np.ones(8), 5),
        np.frombuffer(bytes(161), np.uint8)[1:].view(np.float64).reshape(4, 5),
        np.ones((4, 5), ">f8" if sys.byteorder == "little" else "<f8"),
    ],
    ids=[
        "backwards",
        "mirrored",
        "turned",
        "one row again and again",
        "gaps",
        "half",
        "integers",
        "complex",
        "vector",
        "windows",
        "askew",
        "swapped",
    ],
)
def test_others_are_left_to_numpy(array):
    assert products.row_length(array) is None
    if array.ndim == 2:
        out = np.full((4, 3), 7.0)
        assert not multiply(sizes.PLAIN, array, np.ones((5, 3)), out)
        np.testing.assert_array_equal(out, 7.0)


def test_two_dtypes_and_nothing_are_left_to_numpy():
    out = np.full((4, 3), 7.0)
    assert not multiply(sizes.PLAIN, np.ones((4, 5), np.float32), np.ones((5, 3)), out)
    assert not multiply(sizes.PLAIN, np.ones((4, 0)), np.ones((0, 3)), out)
    np.testing.assert_array_equal(out, 7.0)


@pytest.mark.parametrize(
    ("form", "a", "b"),
    [
        (sizes.PLAIN, (4, 5), (6, 3)),
        (sizes.PLAIN, (5, 4), (4, 3)),
        (sizes.PLAIN, (4, 5), (5, 2)),
        (sizes.B_TRANSPOSED, (4, 5), (5, 3)),
        (sizes.B_TRANSPOSED, (4, 6), (3, 5)),
        (sizes.A_TRANSPOSED, (4, 5), (4, 3)),
        (sizes.A_TRANSPOSED, (5, 4), (6, 3)),
    ],
)
def test_what_does_not_fit_is_not_read(form, a, b):
    out = np.full((4, 3), 7.0)
    assert not multiply(form, np.ones(a), np.ones(b), out)
    np.testing.assert_array_equal(out, 7.0)


def test_a_bias_that_does_not_fit_is_not_read():
    out = np.full((4, 3), 7.0)
    for bias in (np.ones(2), np.ones(4), np.ones(3, np.float32), np.ones((1, 3)), np.ones(6)[::2]):
        assert not multiply(sizes.PLAIN, np.ones((4, 5)), np.ones((5, 3)), out, epilogue=Epilogue.IDENTITY, bias=bias)
    np.testing.assert_array_equal(out, 7.0)


def test_operations_refuse_what_does_not_fit():
    """As NumPy does, also where compiled code would read on."""
    ops = backend.get("numba")
    x, W, b, dy = np.ones((4, 6)), np.ones((5, 3)), np.ones(3), np.ones((9, 3))
    with pytest.raises(ValueError):
        ops.dense_forward(x, W, b, "relu")
    with pytest.raises(ValueError):
        ops.dense_forward(x[:, :5], W, np.ones(2), "relu")
    with pytest.raises(ValueError):
        ops.dense_backward(dy, x[:, :5], dy, W, "identity", False)
    with pytest.raises(ValueError):
        ops.dense_backward(dy[:4], x[:, :5], dy[:4], W, "identity", True, (np.ones((6, 3)), np.ones(3)))
    with pytest.raises(ValueError):
        ops.outer_forward(x, np.ones((3, 2)), "relu")
    with pytest.raises(ValueError):
        ops.scale_rows(x, np.ones(3))


def test_small_products_are_left_to_numpy(monkeypatch):
    monkeypatch.undo()
    for m, own in ((64, False), (65, True)):  # 2^18 multiplications and more
        out = np.full((m, 64), 7.0)
        assert multiply(sizes.PLAIN, np.ones((m, 64)), np.ones((64, 64)), out) == own
        assert (out == (64.0 if own else 7.0)).all()


@pytest.mark.parametrize(
    ("m", "n", "k"), [(1, 1, 1), (7, 2, 300), (200, 3, 40), (101, 130, 70), (64, 1000, 9), (300, 33, 513)]
)
def test_any_number_of_threads_gives_the_same_bits(m, n, k, dtype, monkeypatch):
    """Also more threads than there are tiles."""
    monkeypatch.setattr(products, "WORK_OF_A_THREAD", 1.0)
    generator = np.random.default_rng(1)
    shapes = {sizes.PLAIN: ((m, k), (k, n)), sizes.B_TRANSPOSED: ((m, k), (n, k)), sizes.A_TRANSPOSED: ((k, m), (k, n))}
    bias = generator.standard_normal(n).astype(dtype)
    for form, (first, second) in shapes.items():
        a, b = generator.standard_normal(first).astype(dtype), generator.standard_normal(second).astype(dtype)
        results = []
        for threads in (1, 2, 3, 8):
            out = np.full((m, n), np.nan, dtype)
            assert multiply(form, a, b, out, threads, Epilogue.SOFTPLUS, bias)
            results.append(bits(out))
        for other in results[1:]:
            np.testing.assert_array_equal(other, results[0])


@pytest.mark.parametrize("form", [sizes.PLAIN, sizes.A_TRANSPOSED])
def test_each_thread_has_scratch_memory_of_its_own(monkeypatch, form, dtype):
    """One thread after the other, each on its share of the tiles, and within its part of the scratch memory."""
    monkeypatch.setattr(products, "WORK_OF_A_THREAD", 1.0)
    taken, used = [], []

    class Pool:
        def empty(self, shape, dtype):
            taken.append(np.full(shape, 7.0, dtype))
            return taken[-1]

    def run(work, count):
        parts = taken[-1].reshape(count, -1)
        for thread in range(count):
            parts[...] = 7.0
            work(thread)
            used.append([bool((part != 7.0).any()) for part in parts])

    monkeypatch.setattr(products.worker_pool, "run", run)
    a, b, out = np.ones((40, 40), dtype), np.ones((40, 50), dtype), np.empty((40, 50), dtype)
    assert products.multiply(program(dtype), Pool(), 3, form, a, b, out)
    assert used == np.eye(3, dtype=bool).tolist() and (out == 40.0).all()


def test_threads_help_with_much_work_alone(monkeypatch):
    seen = []
    alone = products.worker_pool.run
    monkeypatch.setattr(products.worker_pool, "run", lambda work, count: (seen.append(count), alone(work, count)))
    for m in (10, 1000):
        multiply(
            sizes.PLAIN,
            np.ones((m, 300), np.float32),
            np.ones((300, 400), np.float32),
            np.empty((m, 400), np.float32),
            threads=4,
        )
    assert seen == [4]  # 2.4 and 240 million additions and multiplications


@pytest.mark.parametrize("products_of", ["own", "blas", "autotune"])
@pytest.mark.parametrize("activation", ["identity", "softplus"])
def test_a_dense_layer_by_whichever_product(products_of, activation, dtype):
    """With the label's column beside the features, as a semi-supervised batch has it, and the gradient's place
    given.
    """
    generator, eps = np.random.default_rng(2), float(np.finfo(dtype).eps)
    ops = backend.get({"name": "numba", "products": products_of})
    x = generator.standard_normal((33, 18)).astype(dtype)[:, :17]
    W, b = generator.standard_normal((17, 12)).astype(dtype), generator.standard_normal(12).astype(dtype)
    dy = generator.standard_normal((33, 12)).astype(dtype)
    wide = [values.astype(np.float64) for values in (x, W, b, dy)]
    y = ops.dense_forward(x, W, b, activation)
    wanted = Ops(np).dense_forward(*wide[:3], activation)
    np.testing.assert_allclose(y, wanted, rtol=64 * eps, atol=64 * eps)
    out = np.empty_like(W), np.empty_like(b)
    found = ops.dense_backward(dy, x, y, W, activation, True, out)
    assert found[1] is out[0] and found[2] is out[1]
    for ours, theirs in zip(
        found, Ops(np).dense_backward(wide[3], wide[0], wanted, wide[1], activation, True), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=64 * eps * np.abs(theirs).max())


#: Each matrix at the end of a page, behind which memory may not be read: whoever reads on is killed by the system.
AT_THE_EDGE = """
import ctypes, mmap, sys
import numpy as np
from npvae import backend
from npvae.backend import products
from npvae.backend.buffers import BufferPool
from npvae.kernels.cpu import sizes

products.FEWEST = 0
libc, page, kept = ctypes.CDLL(None, use_errno=True), mmap.PAGESIZE, []

def at_the_edge(values):
    length = -(-values.nbytes // page) * page
    memory = mmap.mmap(-1, length + page)
    whole = np.frombuffer(memory, np.uint8)
    if libc.mprotect(ctypes.c_void_p(whole.ctypes.data + length), ctypes.c_size_t(page), 0):
        sys.exit("mprotect failed")
    array = whole[length - values.nbytes:length].view(values.dtype).reshape(values.shape)
    array[...] = values
    kept.append((memory, whole))
    return array

for dtype in ("float32", "float64"):
    program = backend.get("numba").program(dtype)
    generator = np.random.default_rng(0)
    for m in (1, 2, 3, 5, 9, 11, 31, 47):
        for k in (1, 2, 7, 40):
            for n in (1, 3, 33):
                a, b = generator.integers(-4, 5, (m, k)).astype(dtype), generator.integers(-4, 5, (k, n)).astype(dtype)
                forms = {sizes.PLAIN: (a, b), sizes.B_TRANSPOSED: (a, b.T), sizes.A_TRANSPOSED: (a.T, b)}
                for form, matrices in forms.items():
                    first, second = (at_the_edge(np.ascontiguousarray(each)) for each in matrices)
                    out = at_the_edge(np.zeros((m, n), dtype))
                    assert products.multiply(program, BufferPool(), 1, form, first, second, out)
                    np.testing.assert_array_equal(out, a @ b)
                    del kept[:]
print("whole")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="guards memory as Linux does")
def test_nothing_is_read_or_written_past_the_end():
    done = processes.run([sys.executable, "-c", AT_THE_EDGE])
    assert done.returncode == 0 and done.stdout == "whole\n", (done.returncode, done.stderr[-2000:])
