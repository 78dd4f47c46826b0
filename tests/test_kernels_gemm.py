"""The compiled matrix products: every shape's edges, every form, what follows a product, and what lies around it.

Matrices of small whole numbers have products that no order of summation rounds, so most results are exact. All
memory around the matrices is NaN: what is read there and used shows, and what is written there, too.
"""

import math

import numpy as np
import pytest
from compiled import GUARD, Guarded, address, bits, program

from npvae.backend.products import fields
from npvae.kernels.cpu import sizes
from npvae.kernels.cpu.plan import Epilogue

FORMS = ("plain", "b_transposed", "a_transposed", "sparse", "sparse_transposed")
SPARSE_FORMS = {"sparse": "plain", "sparse_transposed": "a_transposed"}


def multiply(form, a, b, c, add=False, epilogue=Epilogue.NONE, p=None, q=0):
    """c = a b on :class:`Guarded` matrices, of which a or b may be stored transposed, as the form says."""
    dtype = a.array.dtype
    target = program(dtype).target
    m, n = c.array.shape
    k = a.array.shape[0 if form in ("a_transposed", "sparse_transposed") else 1]
    # Both have just the room that is promised to be enough.
    scratch = Guarded(1, sizes.scratch_numbers(target, n), dtype)
    room = -(-sizes.sparse_bytes(target, m, k) // dtype.itemsize)
    sparse = Guarded(1, room, dtype)
    plan = fields(
        SCRATCH=scratch.address,
        SPARSE=sparse.address,
        A=a.address,
        LDA=a.row_length,
        B=b.address,
        LDB=b.row_length,
        C=c.address,
        LDC=c.row_length,
        M=m,
        N=n,
        K=k,
        FORM=FORMS.index(form),
        ADD=int(add),
        EPILOGUE=epilogue,
        P=address(p),
        Q=q,
    )
    program(dtype).run(plan.ctypes.data)
    assert scratch.intact(), "written past the scratch memory"
    assert sparse.intact(), "written past the room of a sparse matrix"


def whole_numbers(generator, rows, columns, zeros=0.0):
    values = generator.integers(-4, 5, (rows, columns)).astype(np.float64)
    values[generator.random((rows, columns)) < zeros] = 0.0
    return values


def stored(form, a, b, dtype, gap=0, shift=0):
    """Guarded matrices of the values a (m, k) and b (k, n), as the form wants them in memory."""
    if form in ("a_transposed", "sparse_transposed"):
        a = a.T
    if form == "b_transposed":
        b = b.T
    return (Guarded(*a.shape, dtype, gap, a, shift), Guarded(*b.shape, dtype, 2 * gap, b, shift))


def shapes(target):
    """Every kind of edge: tiles of all heights, panels that are full or not, loops over k written out or not."""
    rows, panel, lanes = target.tile_rows, target.panel, target.lanes
    for m in range(1, 2 * rows + 2):
        for n in {1, 2, lanes, panel - 1, panel, panel + 1, 2 * panel + 3}:
            for k in {1, 2, 3, 4, 5, lanes, 2 * lanes + 1}:
                yield m, n, k
    for n in range(1, 2 * panel + 2):
        yield rows + 1, n, 7
    for k in range(1, 4 * lanes):
        yield rows + 3, panel + 2, k


@pytest.mark.parametrize("form", FORMS)
def test_every_small_shape(form, dtype):
    generator = np.random.default_rng(1)
    for number, (m, n, k) in enumerate(shapes(program(dtype).target)):
        a, b = whole_numbers(generator, m, k, zeros=0.5), whole_numbers(generator, k, n)
        gap, add = number % 3, number % 2 == 1
        first, second = stored(form, a, b, dtype, gap, shift=number % 2)
        start = whole_numbers(generator, m, n) if add else np.nan
        c = Guarded(m, n, dtype, gap, start)
        multiply(form, first, second, c, add)
        wanted = a @ b + (start if add else 0.0)
        np.testing.assert_array_equal(c.array, wanted, f"{form} {m} x {n} x {k}, add={add}")
        assert c.intact() and first.intact() and second.intact()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("m", "n", "k"),
    [
        (3, 5, 255),
        (3, 70, 256),
        (13, 37, 257),
        (5, 40, 512),
        (7, 33, 513),
        (2, 3, 900),  # blocks of k
        (191, 3, 5),
        (193, 40, 3),
        (401, 17, 20),  # blocks of rows
        (200, 70, 300),
        (1, 700, 300),
        (397, 35, 519),  # both
        (33, 1, 600),
        (71, 8, 257),
        (130, 4, 1025),
        (65, 16, 300),  # few columns
    ],
)
@pytest.mark.parametrize("add", [False, True])
def test_large_shapes(form, m, n, k, add, dtype):
    generator = np.random.default_rng(2)
    a, b = whole_numbers(generator, m, k, zeros=0.7), whole_numbers(generator, k, n)
    first, second = stored(form, a, b, dtype, gap=3)
    start = whole_numbers(generator, m, n)
    c = Guarded(m, n, dtype, 1, start)
    multiply(form, first, second, c, add)
    np.testing.assert_array_equal(c.array, a @ b + (start if add else 0.0))
    assert c.intact()


@pytest.mark.parametrize("form", ["plain", "b_transposed", "a_transposed"])
def test_few_columns_have_the_bits_of_many(form, dtype):
    """A narrow C is computed by way of its transpose, but each number by the same sums: beside others or not."""
    generator = np.random.default_rng(7)
    a, b = generator.standard_normal((70, 700)).astype(dtype), generator.standard_normal((700, 40)).astype(dtype)
    wide = Guarded(70, 40, dtype)
    multiply(form, *stored(form, a, b, dtype), wide)
    for n in (1, 2, 3, program(dtype).target.lanes):
        c = Guarded(70, n, dtype)
        multiply(form, *stored(form, a, b[:, :n], dtype, gap=1), c)
        np.testing.assert_array_equal(bits(c.array), bits(wide.array[:, :n]))


@pytest.mark.parametrize("form", FORMS)
def test_numbers_that_round(form, dtype):
    """Each element within the bound of any order of summation: k eps sum |a| |b|."""
    generator = np.random.default_rng(3)
    a, b = generator.standard_normal((29, 300)).astype(dtype), generator.standard_normal((300, 41)).astype(dtype)
    first, second = stored(form, a, b, dtype)
    c = Guarded(29, 41, dtype)
    multiply(form, first, second, c)
    for i in (0, 11, 28):
        for j in (0, 16, 40):
            products = [float(x) * float(y) for x, y in zip(a[i], b[:, j], strict=True)]
            bound = 300 * float(np.finfo(dtype).eps) * math.fsum(map(abs, products))
            assert abs(float(c.array[i, j]) - math.fsum(products)) <= bound / 8, (i, j)


# Sparse matrices


@pytest.mark.parametrize("form", SPARSE_FORMS)
@pytest.mark.parametrize("zeros", [0.0, 0.5, 0.95, 1.0])
@pytest.mark.parametrize(("m", "n", "k"), [(1, 1, 1), (6, 16, 8), (23, 35, 70), (100, 33, 300), (250, 17, 260)])
def test_what_is_left_out_changes_no_bit(form, zeros, m, n, k, dtype):
    """Also where zeros are negative, whole rows or columns are zero, and the smallest numbers are not."""
    generator = np.random.default_rng(4)
    a, b = generator.standard_normal((m, k)).astype(dtype), generator.standard_normal((k, n)).astype(dtype)
    a[generator.random((m, k)) < zeros] = 0.0
    a[generator.random((m, k)) < 0.1] *= -0.0
    a[:, ::7] = -0.0
    if zeros < 1.0:
        a[m // 2] = 0.0
        a[-1, -1] = np.finfo(dtype).smallest_subnormal
        b[-1] = 1.0 / np.finfo(dtype).tiny
    results = []
    for each in (SPARSE_FORMS[form], form):
        first, second = stored(each, a, b, dtype)
        c = Guarded(m, n, dtype)
        multiply(each, first, second, c)
        results.append(bits(c.array))
    np.testing.assert_array_equal(*results)
    if zeros == 1.0:
        assert not results[0].any()


# What is not finite


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_reaches_the_result(form, value, dtype):
    """An element of A spoils its row of C, one of B its column; and nothing else."""
    generator = np.random.default_rng(5)
    m, n, k = 23, 37, 265
    for where in ((0, 0), (m - 1, k - 1), (12, 258)):
        a, b = generator.standard_normal((m, k)), generator.standard_normal((k, n))
        a[where] = value
        first, second = stored(form, a, b, dtype)
        c = Guarded(m, n, dtype)
        multiply(form, first, second, c)
        spoilt = np.zeros((m, n), bool)
        spoilt[where[0]] = True
        np.testing.assert_array_equal(~np.isfinite(c.array), spoilt)
    for where in ((0, 0), (k - 1, n - 1), (258, 20)):
        a, b = generator.standard_normal((m, k)), generator.standard_normal((k, n))
        a[::3, where[0]] = 0.0
        b[where] = value
        first, second = stored(form, a, b, dtype)
        c = Guarded(m, n, dtype)
        multiply(form, first, second, c)
        spoilt = np.zeros((m, n), bool)
        spoilt[:, where[1]] = True
        # Where A is zero, 0 times infinity is left out or not.
        certain = (a[:, where[0]] != 0) | (form not in SPARSE_FORMS)
        np.testing.assert_array_equal(~np.isfinite(c.array[certain]), spoilt[certain])
        assert np.isfinite(np.delete(c.array, where[1], axis=1)).all()


# What follows a product


def after(epilogue, value, beside):
    """The definition, of single numbers: ``beside`` is the bias, or backwards the output y."""
    if epilogue == Epilogue.NONE:
        return value
    if epilogue >= Epilogue.RELU_BACKWARD:
        return value * {
            Epilogue.RELU_BACKWARD: lambda y: 1.0 if y > 0 else 0.0,
            Epilogue.TANH_BACKWARD: lambda y: 1.0 - y * y,
            Epilogue.SOFTPLUS_BACKWARD: lambda y: 1.0 - math.exp(-y),
        }[epilogue](beside)
    a = value + beside
    return {
        Epilogue.IDENTITY: lambda: a,
        Epilogue.RELU: lambda: max(a, 0.0),
        Epilogue.TANH: lambda: math.tanh(a),
        Epilogue.SOFTPLUS: lambda: max(a, 0.0) + math.log1p(math.exp(-abs(a))),
    }[epilogue]()


def outputs(epilogue, generator, shape):
    """Outputs y that the activation can have."""
    if epilogue == Epilogue.TANH_BACKWARD:
        return generator.uniform(-1.0, 1.0, shape)
    return np.maximum(generator.standard_normal(shape), 0.0 if epilogue == Epilogue.RELU_BACKWARD else 0.01)


def finish(epilogue, form, m, n, k, add, dtype, gap=1):
    """A product with what follows, and what it should be."""
    generator = np.random.default_rng(6)
    a, b = whole_numbers(generator, m, k, zeros=0.6) / 8, whole_numbers(generator, k, n) / 8
    start = whole_numbers(generator, m, n) if add else np.zeros((m, n))
    backwards = epilogue >= Epilogue.RELU_BACKWARD
    beside = outputs(epilogue, generator, (m, n)) if backwards else generator.standard_normal((1, n))
    other = Guarded(*beside.shape, dtype, 2 * gap, beside)
    first, second = stored(form, a, b, dtype, gap)
    c = Guarded(m, n, dtype, gap, start)
    multiply(form, first, second, c, add, epilogue, other.array, other.row_length if backwards else 0)
    assert c.intact() and other.intact()
    wanted, beside = a @ b + start, np.broadcast_to(other.array.astype(np.float64), (m, n))
    pairs = zip(wanted.ravel().tolist(), beside.ravel().tolist(), strict=True)
    return c.array, np.reshape([after(epilogue, *pair) for pair in pairs], (m, n))


@pytest.mark.parametrize("epilogue", list(Epilogue))
def test_every_epilogue_on_every_edge(epilogue, dtype):
    target = program(dtype).target
    for form in FORMS:
        for add in (False, True):
            for m in (1, target.tile_rows + 3):
                for n in (1, 3, target.panel, 2 * target.panel + 5):
                    found, wanted = finish(epilogue, form, m, n, 9, add, dtype)
                    eps = float(np.finfo(dtype).eps)
                    np.testing.assert_allclose(
                        found, wanted, rtol=8 * eps, atol=2 * eps, err_msg=f"{form}, {m} x {n}, add={add}"
                    )


@pytest.mark.parametrize("epilogue", [Epilogue.TANH, Epilogue.SOFTPLUS_BACKWARD])
@pytest.mark.parametrize("form", FORMS)
def test_an_epilogue_comes_once_and_last(epilogue, form, dtype):
    """With several blocks of k, of rows, and of columns; and with few columns."""
    for n in (53, 3):
        found, wanted = finish(epilogue, form, 211, n, 301, True, dtype)
        eps = float(np.finfo(dtype).eps)
        np.testing.assert_allclose(found, wanted, rtol=16 * eps, atol=8 * eps)


def test_relu_keeps_nan_and_stops_what_is_not_positive(dtype):
    """Forwards NaN stays NaN, and so does a gradient that is NaN where the output is positive."""
    values = np.array([[np.nan, -1.0, 0.0, -0.0, 2.0, np.inf, -np.inf]])
    one = Guarded(1, 1, dtype, values=1.0)
    zero = np.zeros(7, dtype)
    c = Guarded(1, 7, dtype)
    multiply("plain", one, Guarded(1, 7, dtype, values=values), c, False, Epilogue.RELU, zero)
    np.testing.assert_array_equal(c.array, [[np.nan, 0.0, 0.0, 0.0, 2.0, np.inf, 0.0]])
    y = np.array([1.0, 0.0, 1e-30, 0.0, 3.0, 0.0, 0.0], dtype)
    multiply("plain", one, Guarded(1, 7, dtype, values=values), c, False, Epilogue.RELU_BACKWARD, y, 7)
    np.testing.assert_array_equal(c.array, [[np.nan, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0]])


def test_the_guard_would_see_a_single_number():
    c = Guarded(3, 4, np.float32, gap=1, values=0.0)
    assert c.intact()
    c._memory[GUARD + 4] = 1.0  # between the first rows
    assert not c.intact()
