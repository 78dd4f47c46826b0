"""Every backend is the specification: same methods, same values, no surprises with memory."""

import inspect
import math
import pickle
import sys
import threading
import weakref
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import BACKENDS

from npvae import backend
from npvae.backend import bits, blas, buffers, products
from npvae.backend.base import Ops
from npvae.backend.buffers import SMALLEST_POOLED, BufferPool, SequencePool
from npvae.backend.cupy_ops import CupyOps
from npvae.backend.numba_ops import NumbaOps
from npvae.backend.numpy_ops import NumpyOps
from npvae.errors import InputTypeError, UnknownNameError
from npvae.fused import program_fields
from npvae.fused.memory import Memory
from npvae.fused.numpy_step_ops import identical
from npvae.gradcheck.own_gradients import draw_data
from npvae.kernels.cpu import sizes, target
from npvae.mathematics import likelihoods, objectives, optimizers, random
from npvae.mathematics.layers import activations
from npvae.mathematics.model import Architecture, Model
from npvae.training import TrainingSettings

#: Empty, one, odd, just past a multiple of 32, large enough for pooled memory in both dtypes.
SHAPES = [(0, 3), (1, 1), (5, 3), (4, 65), (257, 40)]
#: Operations that a backend may add to those of the specification.
EXTRA = {"release_memory", "reason_against", "program", "is_compiled", "description", "activate", "activation_backward"}


def public_methods(thing):
    return {name for name, value in inspect.getmembers(thing, callable) if not name.startswith("_")}


def calls(rng, shape, dtype):
    """Name, positional arguments of every operation that returns something; B rows of I columns in ``shape``."""
    rows, columns = shape

    def normal(*size):
        return rng.standard_normal(size).astype(dtype)

    a, b, c, grey = normal(*shape), normal(*shape), normal(*shape), rng.random(shape).astype(dtype)
    W, bias, dy = normal(columns, 7), normal(7), normal(rows, 7)
    yield "take_rows", (a, rng.integers(0, rows, 2 * rows) if rows else np.zeros(0, np.int64))
    for name in activations.NAMES:
        y = Ops(np).dense_forward(a, W, bias, name)
        yield "dense_forward", (a, W, bias, name)
        yield "dense_backward", (dy, a, y, W, name, True)
        yield "dense_backward", (dy, a, y, W, name, False)
        yield "outer_forward", (a, normal(3, columns), name)
        yield "activation_gradient", (dy, y, name)
    yield "sample_forward", (a, b, c)
    yield "sample_backward", (a, b, c)
    yield "kl_forward", (a, b)
    yield "kl_backward", (a, b, c)
    for gradient in (True, False):
        yield "bernoulli_nll", (3 * a, grey, gradient)
        for logvar in (b, b[:1] if rows else b, b[0] if rows else normal(columns), normal(1)):
            yield "gaussian_nll", (a, logvar, c, gradient)
    yield "squared_error", (a, b)
    yield "scale_rows", (a, normal(rows))


def results_of(ops, name, arguments):
    result = getattr(ops, name)(*arguments)
    return list(result) if isinstance(result, tuple) else [result]


def assert_same(found, wanted, dtype, message=""):
    """Equal to rounding; sums over rows and columns differ by the order of their terms."""
    tolerance = 64 * np.finfo(dtype).eps
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted, strict=True):
        if b is None:
            assert a is None, message
            continue
        assert a.dtype == b.dtype and a.shape == b.shape, message
        size = max(1.0, float(np.abs(b).max())) if b.size else 1.0
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * size, err_msg=message)


# The interface


@pytest.mark.parametrize("kind", [NumpyOps, NumbaOps, CupyOps])
def test_overrides_have_the_arguments_of_the_specification(kind):
    assert public_methods(kind) - public_methods(Ops) <= EXTRA
    for method in public_methods(Ops):
        ours = inspect.signature(getattr(kind, method)).parameters.values()
        theirs = inspect.signature(getattr(Ops, method)).parameters.values()
        assert [(p.name, p.default, p.kind) for p in ours] == [(p.name, p.default, p.kind) for p in theirs], method


def test_every_operation_is_compared_below(rng):
    compared = {name for name, _ in calls(rng, (2, 3), np.float64)}
    elsewhere = {
        "memory_guard",
        "available_bytes",
        "sorting_order",
        "concat",
        "asarray",
        "copy",
        "to_numpy",
        "dtype_name",
        "rmsprop_step",
        "adam_step",
        "sgd_step",
        "flush_tiny",
        "never_compile",
        "compile_when_needed",
        "bits_depend_on",
        "description",
    }
    assert compared | elsewhere == public_methods(Ops)


def test_get():
    ops = backend.get("numpy")
    assert backend.get(ops) is ops and backend.get("numpy") is not ops
    assert isinstance(backend.get(), Ops) and set(backend.KNOWN) <= {*BACKENDS}
    with pytest.raises(UnknownNameError, match="unknown backend 'torch'; known: 'auto', 'cupy', 'numba', 'numpy'"):
        backend.get("torch")
    with pytest.raises(InputTypeError, match="backend must be a name, a mapping or an Ops object, got module"):
        backend.get(np)


@pytest.mark.parametrize("name", ["numpy", "numba"])
def test_a_copy_of_a_backend_is_another_of_the_same_arguments(name):
    if backend.reason_against(name) is not None:
        pytest.skip(f"{name} does not run here")
    for threads in (None, 1):
        made = backend.get(name)
        made._asked_threads = threads  # without the process's BLAS being told
        again = pickle.loads(pickle.dumps(made))
        assert type(again) is type(made) and again is not made and again._asked_threads == threads


def test_in_and_out(ops, rng):
    values = rng.standard_normal((3, 4))
    for name in ("float32", "float64"):
        array = ops.asarray(values, name)
        assert ops.dtype_name(array) == name
        np.testing.assert_array_equal(ops.to_numpy(array), values.astype(name))
        assert isinstance(ops.to_numpy(array), np.ndarray)
    assert ops.dtype_name(ops.asarray(values.astype(np.float32))) == "float32"


@pytest.mark.parametrize("dtype", [None, "float32", "float64"])
def test_a_copy_is_of_its_own(ops, rng, dtype):
    values = rng.standard_normal((6, 4)).astype(np.float32)[::2, 1:]
    array = ops.asarray(values)
    new = ops.copy(array, dtype)
    assert ops.dtype_name(new) == (dtype or "float32")
    new *= 2.0
    np.testing.assert_array_equal(ops.to_numpy(new), 2.0 * values)
    np.testing.assert_array_equal(ops.to_numpy(array), values)


@pytest.mark.parametrize("size", [1, 77, 100_000])
def test_copies_on_numpy_start_at_a_line_of_the_cache(size):
    new = backend.get("numpy").copy(np.ones(size, np.float32))
    assert new.ctypes.data % 64 == 0 and new.flags.c_contiguous and new.flags.writeable


# Values


@pytest.mark.parametrize("shape", SHAPES)
def test_every_operation_equals_the_specification(ops, dtype, rng, shape):
    for name, arguments in calls(rng, shape, dtype):
        before = [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
        found = results_of(ops, name, arguments)
        assert_same(found, results_of(Ops(np), name, before), dtype, name)
        for a, b in zip(arguments, before, strict=True):
            assert np.array_equal(a, b), f"{name} modified an argument"


def test_strided_arguments(ops, dtype, rng):
    def spread(array):
        """The same values with a gap after each element of every row."""
        wide = np.empty((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
        wide[..., ::2] = array
        return wide[..., ::2]

    for form in (np.asfortranarray, spread):
        for name, arguments in calls(rng, (6, 5), dtype):
            moved = [form(a) if isinstance(a, np.ndarray) and a.ndim else a for a in arguments]
            assert_same(results_of(ops, name, moved), results_of(Ops(np), name, arguments), dtype, name)


@pytest.mark.parametrize("dtypes", [("float64", "float32"), ("float32", "float64"), ("float16", "float16")])
def test_arrays_of_two_dtypes_or_of_none_thatis_compiled(ops, rng, dtypes):
    """Whatever has no compiled code goes the specification's way: the same values, of the same dtype."""
    one, two = (rng.random((3, 4)).astype(dtype) for dtype in dtypes)
    for name, arguments in (
        ("take_rows", (one[0], np.array([2, 0]))),
        ("take_rows", (one[None], np.array([0, 0]))),
        ("sample_forward", (one, two, one)),
        ("sample_backward", (one, two, one)),
        ("kl_forward", (one, two)),
        ("kl_backward", (two, one, one)),
        ("kl_backward", (0.5, one, two)),
        ("kl_backward", (0.5, one, one)),
        ("scale_rows", (one, 0.5)),
    ):
        for found, wanted in zip(results_of(ops, name, arguments), results_of(Ops(np), name, arguments), strict=True):
            assert found.dtype == wanted.dtype and found.shape == wanted.shape, name
            np.testing.assert_allclose(
                found, wanted, rtol=5e-3 if "float16" in dtypes else 1e-6, atol=1e-6, err_msg=name
            )


def test_arrays_one_behind_the_other(ops, rng, dtype):
    """Also a single one, and of two dtypes: then the wider one's."""
    a, b, wide, other = (rng.random(shape).astype(dtype) for shape in ((2, 3), (4, 3), (2, 5), (1, 3)))
    other = other.astype("float32" if dtype == "float64" else "float64")
    for arrays, axis in (((a, b), 0), ((a,), 0), ((b, a, b), 0), ((a, wide), 1), ((a, b, other), 0), ((a[0], b[1]), 0)):
        found, wanted = ops.concat(arrays, axis=axis), np.concatenate(arrays, axis=axis)
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(ops.concat((a, b)), np.vstack((a, b)))


def steps_of(theta, gradient, first, second):
    """Every step of an optimizer, with its arguments."""
    yield "rmsprop_step", (theta, gradient, first, 0.1, 0.9, 1e-3, True)
    yield "rmsprop_step", (theta, gradient, first, 0.1, 0.9, 1e-3, False)
    yield "adam_step", (theta, gradient, first, second, 0.1, 0.9, 0.99, 1e-3, 2)
    yield "sgd_step", (theta, gradient, None, 0.1, 0.0)
    yield "sgd_step", (theta, gradient, first, 0.1, 0.9)
    yield "flush_tiny", (theta,)


def test_tiny_numbers_are_flushed_in_place(ops, rng):
    """Whole vectors and a rest of single numbers: 0 below the limit, the limit itself and NaN stay; nothing beyond
    the array is touched.
    """
    for dtype in ("float32", "float64"):
        limit = np.dtype(dtype).type(optimizers.TINY)
        below = np.nextafter(limit, np.dtype(dtype).type(0))
        kept = np.array([limit, -limit, 1.0, -3.0, np.nan, 0.0, np.inf], dtype)
        around = ops.asarray(np.tile(np.concatenate([kept, [below, -below, 1e-37]]).astype(dtype), 9))
        array = around[:83]
        ops.flush_tiny(array)
        wanted = np.tile(np.concatenate([kept, np.zeros(3, dtype)]), 9)
        wanted[83:] = np.tile(np.concatenate([kept, [below, -below, 1e-37]]).astype(dtype), 9)[83:]
        np.testing.assert_array_equal(ops.to_numpy(around), wanted)


def test_steps_on_arrays_that_are_not_alike(ops, rng):
    """Strided, or of two dtypes: changed where they are, as the specification changes them; of two lengths: refused."""
    wide, dtypes = rng.random((4, 12)), [("float64", "float32"), ("float32", "float64"), ("float64", "float64")]
    wide[0, 3] = wide[0, 6] = 1e-30  # in either of theta's forms the fourth number is to be flushed
    for which in range(4):
        for odd, other in dtypes:
            arrays = [wide[i].astype(odd)[::2] if i == which else wide[i, :6].astype(other) for i in range(4)]
            for k in range(6):
                ours, theirs = (
                    [a.copy("K") if a.flags.c_contiguous else np.repeat(a, 2)[::2] for a in arrays],
                    [a.copy() for a in arrays],
                )
                (name, arguments), (_, given) = list(steps_of(*ours))[k], list(steps_of(*theirs))[k]
                getattr(ops, name)(*arguments)
                getattr(Ops(np), name)(*given)
                for a, b in zip(ours, theirs, strict=True):
                    assert a.dtype == b.dtype
                    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7, err_msg=f"{name}, array {which} odd")
                    np.testing.assert_array_equal(a == 0, b == 0, f"{name}, array {which} odd")
    theta, gradient, short = np.ones(64), np.ones(64), np.ones(3)
    for name, arguments in (
        ("rmsprop_step", (theta, gradient, short, 0.1, 0.9, 1e-3, True)),
        ("sgd_step", (theta, gradient, short, 0.1, 0.9)),
        ("adam_step", (theta, gradient, gradient, short, 0.1, 0.9, 0.99, 1e-3, 2)),
    ):
        with pytest.raises(ValueError, match="shape|broadcast"):
            getattr(ops, name)(*arguments)


def compiled_operations(ops, monkeypatch) -> list:
    """What a compiled backend is asked to run from now on, one after another."""
    asked = []
    place, name = (ops, "_run") if isinstance(ops, NumbaOps) else (ops.ops.kernels, "launch")
    original = getattr(place, name)

    def run(*arguments, **named):
        asked.append(arguments)
        return original(*arguments, **named)

    monkeypatch.setattr(place, name, run)
    return asked


def test_compiled_code_does_what_it_can(ops, dtype, rng, monkeypatch):
    """Where the operations of another backend would have the same values, and take longer."""
    if ops.name not in ("numba", "cupy"):
        pytest.skip("nothing is compiled")
    asked, own = compiled_operations(ops, monkeypatch), vars(NumbaOps if ops.name == "numba" else CupyOps)
    flat = [rng.random(7).astype(dtype) for _ in range(4)]
    more = [
        ("kl_backward", (0.5, flat[0][None], flat[1][None])),
        ("scale_rows", (flat[0][None], 0.5)),
        *steps_of(*flat),
    ]
    for name, arguments in (*calls(rng, (5, 3), dtype), *more):
        if name not in own or (ops.name == "numba" and name == "dense_backward" and arguments[4] == "identity"):
            continue
        asked.clear()
        getattr(ops, name)(*arguments)
        assert asked, name


@pytest.mark.parametrize("activation", ["identity", "relu"])
def test_products_that_are_large_enough_are_the_program_s(dtype, rng, monkeypatch, activation):
    if backend.reason_against("numba") is not None:
        pytest.skip("numba does not run here")
    ops, made, original = backend.get("numba"), [], products.multiply
    monkeypatch.setattr(products, "multiply", lambda *arguments: made.append(original(*arguments)) or made[-1])
    x, W, b = (rng.standard_normal(shape).astype(dtype) for shape in ((70, 70), (70, 70), 70))
    y = ops.dense_forward(x, W, b, activation)
    assert made == [True]
    for need_dx in (False, True):
        made.clear()
        ops.dense_backward(y, x, y, W, activation, need_dx)
        assert made == [True] * (1 + need_dx)


@pytest.mark.parametrize("size", [20.0, 60.0])
def test_tails_equal_the_specification(ops, dtype, size):
    a = np.array([[size, -size, size, -size]], dtype)
    x = np.array([[1.0, 1.0, 0.0, 0.0]], dtype)
    identity, zero = np.eye(4, dtype=dtype), np.zeros(4, dtype)
    cases = [
        ("bernoulli_nll", (a, x, True)),
        ("gaussian_nll", (a, a, x, True)),
        ("kl_forward", (a, a)),
        ("kl_backward", (x, a, a)),
        ("sample_forward", (a, a, x)),
        ("sample_backward", (a, a, x)),
        *(("dense_forward", (a, identity, zero, name)) for name in activations.NAMES),
    ]
    for name, arguments in cases:
        for found, wanted in zip(results_of(ops, name, arguments), results_of(Ops(np), name, arguments), strict=True):
            np.testing.assert_allclose(
                found, wanted, rtol=16 * np.finfo(dtype).eps, atol=2 * np.finfo(dtype).eps, err_msg=name
            )


def test_nan_is_not_hidden(ops, dtype):
    """Training is stopped by a loss that is NaN, so no operation may swallow one."""
    a, one = np.array([[np.nan, 1.0]], dtype), np.ones((1, 2), dtype)
    with np.errstate(invalid="ignore"):
        for name, arguments in [
            ("bernoulli_nll", (a, one, True)),
            ("squared_error", (a, one)),
            ("gaussian_nll", (a, one, one, True)),
            ("gaussian_nll", (one, a, one, True)),
            ("kl_forward", (a, one)),
            ("kl_forward", (one, a)),
            ("sample_forward", (a, one, one)),
            ("scale_rows", (a, one[:, 0])),
        ]:
            for result in results_of(ops, name, arguments):
                assert np.isnan(result).any(), name


@pytest.mark.parametrize("count", [1, 2, 1000])
def test_an_epoch_s_order_is_the_permutation_of_the_library(ops, count):
    words = random.words(3, "shuffle", 5, count)
    order = ops.sorting_order(words)
    assert order.dtype == np.int64 and sorted(order) == list(range(count))
    np.testing.assert_array_equal(order, random.permutation(3, "shuffle", 5, count))
    assert ops.sorting_order(np.array([7, 3, 7, 3], np.uint64)).tolist() == [1, 3, 0, 2]
    ties = np.arange(1000, dtype=np.uint64) % 3
    assert ops.sorting_order(ties).tolist() == sorted(range(1000), key=lambda i: i % 3)


# Memory


def hold_and_compare(ops, seed, failures):
    """Make many results, keep some of them or views of them, and see whether later calls change any."""
    generator = np.random.default_rng(seed)
    held = []
    for _ in range(6):
        for name, arguments in calls(generator, (257, 40), np.float64):
            for result in results_of(ops, name, arguments):
                if result is None or generator.random() < 0.3:
                    continue
                view = [result, result[1:], result.T, result.reshape(-1)[::3]][int(generator.integers(4))]
                held.append((name, view, view.copy()))
            del result
            if len(held) > 40:
                # Dropped at random, so that the pool gets memory back in every order.
                held.pop(int(generator.integers(len(held))))
        failures.extend(name for name, view, copy in held if not np.array_equal(view, copy))


def test_results_stay_while_later_calls_run(ops):
    failures = []
    hold_and_compare(ops, 1, failures)
    assert failures == []


def test_results_stay_in_two_threads(ops):
    failures = []
    threads = [threading.Thread(target=hold_and_compare, args=(ops, seed, failures)) for seed in (2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_result_of_one_thread_is_not_reused_by_another():
    ops = backend.get("numpy")
    x = np.ones((257, 40))
    box = []
    thread = threading.Thread(target=lambda: box.append(ops.scale_rows(x, np.full(257, 2.0))))
    thread.start()
    thread.join()
    for factor in (3.0, 4.0, 5.0):
        ops.scale_rows(x, np.full(257, factor))
    np.testing.assert_array_equal(box[0], 2.0 * x)


needs_counts = pytest.mark.skipif(not BufferPool()._trusted, reason="no reference counts in this interpreter")


@needs_counts
def test_the_pool_uses_dropped_memory_again_and_held_memory_never():
    pool = BufferPool()
    first = pool.empty((100, 100), np.float64)
    address = first.ctypes.data
    second = pool.empty((100, 100), np.float64)
    assert not np.shares_memory(first, second)
    view = first[3:]
    del first
    assert pool.empty((100, 100), np.float64).ctypes.data != address  # the view still holds it
    del view
    again = pool.like(second)
    assert again.ctypes.data == address
    assert pool.empty((100, 100), np.float32).dtype == np.float32
    assert pool.empty((50, 200), np.float64).shape == (50, 200)


@needs_counts
@pytest.mark.parametrize("shape", [(100, 100), (257, 41)])
def test_pooled_arrays_start_at_a_line_of_the_cache(shape):
    pool = BufferPool()
    arrays = [pool.empty(shape, dtype) for dtype in (np.float32, np.float64, np.uint8, np.float32) for _ in range(3)]
    large = [array for array in arrays if array.nbytes >= SMALLEST_POOLED]
    assert large and all(array.ctypes.data % 64 == 0 and array.flags.c_contiguous for array in large)


def test_a_sequence_of_requests_gets_the_same_arrays_every_time():
    pool = SequencePool()
    shapes = [((3, 4), np.dtype("float32")), ((3, 4), np.dtype("float32")), ((5,), np.dtype(bool))]
    first = [pool.empty(*shape) for shape in shapes]
    assert len({array.ctypes.data for array in first}) == 3
    assert all(array.ctypes.data % 64 == 0 for array in first)
    pool.begin()
    assert all(pool.empty(*shape) is array for shape, array in zip(shapes, first, strict=True))
    pool.begin()
    other = pool.empty((4, 3), np.float32)  # another sequence: an array that fits
    assert other.shape == (4, 3) and pool.empty((3, 4), np.float64).dtype == np.float64
    assert pool.like(first[2]) is first[2]
    pool.clear()
    assert pool.empty((4, 3), np.float32) is not other


@needs_counts
def test_the_very_same_objects():
    a, b, c = np.zeros(2), np.zeros(2), np.zeros(2)
    assert identical((a, b), [a, b]) and identical((), ())
    assert not any(
        (identical((a, b), (a, c)), identical((a, b), (c, b)), identical((a, b), (a,)), identical((a,), (a, b)))
    )


def test_clearing_the_pool_forgets_free_arrays_and_spares_held_ones():
    pool = BufferPool()
    held, free = pool.empty((100, 100), np.float64), pool.empty((100, 100), np.float64)
    held[...] = 5.0
    gone = weakref.ref(free)
    del free
    assert gone() is not None
    pool.clear()
    assert gone() is None
    assert not np.shares_memory(held, pool.empty((100, 100), np.float64))
    assert (held == 5.0).all()


@needs_counts
def test_each_thread_has_a_pool_of_its_own():
    """Between the count of references and the hand-over another thread might take the same array."""
    pool, made, done = BufferPool(), threading.Event(), threading.Event()
    addresses = []

    def work():
        addresses.append(pool.empty((100, 100), np.float64).ctypes.data)
        made.set()
        done.wait(30)

    thread = threading.Thread(target=work)
    thread.start()
    made.wait(30)
    mine = pool.empty((100, 100), np.float64)
    done.set()
    thread.join()
    # The other thread's array is free, but lives on in its pool as long as the thread does.
    assert mine.ctypes.data not in addresses


def test_small_arrays_are_not_pooled():
    pool = BufferPool()
    count = SMALLEST_POOLED // 8
    pool.empty((count - 1,), np.float64)
    assert not pool._arrays()
    assert pool.empty((0, 3), np.float32).shape == (0, 3)


def test_where_reference_counts_can_be_trusted(monkeypatch):
    """On CPython with its global lock: elsewhere a count may be another thread's, or none."""
    if sys.implementation.name == "cpython" and getattr(sys, "_is_gil_enabled", lambda: True)():
        assert buffers._counts_can_be_trusted() is True and BufferPool()._trusted
    monkeypatch.setattr(sys, "implementation", SimpleNamespace(name="cpython"))
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: True, raising=False)
    monkeypatch.setattr(sys, "getrefcount", lambda value: 3, raising=False)
    assert buffers._counts_can_be_trusted() is True
    for name, value in (
        ("implementation", SimpleNamespace(name="pypy")),
        ("_is_gil_enabled", lambda: False),
        ("getrefcount", None),
    ):
        with monkeypatch.context() as patch:
            patch.delattr(sys, name) if value is None else patch.setattr(sys, name, value)
            assert buffers._counts_can_be_trusted() is False and not BufferPool()._trusted


@needs_counts
@pytest.mark.parametrize("more", [(1, 0), (0, 1), (50, 50)])
def test_counts_that_mean_something_else_are_not_used(more):
    """Where arrays in use look free, or free ones in use, none is handed out a second time."""

    class Pool(BufferPool):
        def _measure_free_counts(self):
            return tuple(a + b for a, b in zip(super()._measure_free_counts(), more, strict=True))

    assert BufferPool()._trusted and not Pool()._trusted


def test_without_reference_counts_every_array_is_new(monkeypatch):
    monkeypatch.setattr("npvae.backend.buffers._counts_can_be_trusted", lambda: False)
    pool = BufferPool()
    pool.empty((100, 100), np.float64)
    assert not pool._arrays()
    assert pool.empty((100, 100), np.float64).shape == (100, 100)


@needs_counts
def test_release_memory_gives_free_arrays_back(rng):
    ops = backend.get("numpy")
    x = rng.standard_normal((257, 40))
    gone = weakref.ref(ops.scale_rows(x, x[:, 0]))
    assert gone() is not None
    ops.release_memory()
    assert gone() is None


def test_release_memory_leaves_a_working_backend(rng):
    ops = backend.get("numpy")
    x = rng.standard_normal((257, 40))
    before, _ = ops.squared_error(x, 2 * x)
    ops.release_memory()
    np.testing.assert_array_equal(ops.squared_error(x, 2 * x)[0], before)


# Another array library


@pytest.mark.parametrize("activation", activations.NAMES)
@pytest.mark.parametrize("likelihood", likelihoods.KNOWN)
def test_the_specification_runs_on_any_array_api(rng, likelihood, activation):
    """On a library that has the array API and nothing else, with NumPy's values."""
    strict = pytest.importorskip("array_api_strict")
    architecture = Architecture(
        5, 2, (6, 4), activation=activation, likelihood=likelihoods.KNOWN[likelihood].example(5)
    )
    x = draw_data(architecture.likelihood, rng, 4, 5)
    eps = rng.standard_normal((4, 2))
    model, strict_model = Model(architecture, Ops(np)), Model(architecture, Ops(strict))
    theta = model.initial_parameters(3, "float64") + 0.1 * rng.standard_normal(model.layout.size)
    loss, gradient = objectives.value_and_gradient(model, theta, x, eps, beta=0.7)
    strict_loss, strict_gradient = objectives.value_and_gradient(
        strict_model, *(strict.asarray(a) for a in (theta, x, eps)), beta=0.7
    )
    assert type(strict_gradient) is type(strict.asarray(0.0))
    assert float(strict_loss) == pytest.approx(float(loss), rel=1e-12)
    np.testing.assert_allclose(strict_model.ops.to_numpy(strict_gradient), gradient, rtol=1e-12, atol=1e-13)
    assert strict_model.ops.dtype_name(strict_model.initial_parameters(0)) == "float32"


def test_what_the_bits_of_the_specification_depend_on():
    for library, words in (
        (SimpleNamespace(__name__="arrays", __version__="1.2"), "arrays 1.2"),
        (SimpleNamespace(__name__="arrays"), "arrays"),
    ):
        assert Ops(library).bits_depend_on() == {"array module": words}


def test_array_libraries_that_join_arrays_by_the_name_of_old(rng):
    """NumPy 1 and CuPy 13 have concatenate, a library of the array API has concat."""
    a, b = rng.standard_normal((2, 3)), rng.standard_normal((4, 3))
    for name in ("concat", "concatenate"):
        ops = Ops(SimpleNamespace(**{name: np.concatenate}))
        np.testing.assert_array_equal(ops.concat([a, b]), np.vstack([a, b]))
        np.testing.assert_array_equal(ops.concat([a, a], axis=1), np.hstack([a, a]))


@pytest.mark.parametrize(
    ("simd", "words"),
    [({"baseline": ["SSE", "SSE2"], "found": ["AVX"]}, "SSE SSE2 AVX"), ({"found": ["NEON"]}, "NEON")],
)
def test_the_instructions_that_numpy_uses(monkeypatch, simd, words):
    monkeypatch.setattr(np, "show_config", lambda mode: {"SIMD Extensions": simd})
    assert bits.of_numpy(blas_threads=False)["instructions"] == words


@pytest.mark.parametrize("config", [lambda mode: {}, lambda: None])
def test_a_numpy_that_does_not_say_how_it_was_built(monkeypatch, config):
    """As one without that part of its configuration, or whose function takes no mode."""
    monkeypatch.setattr(np, "show_config", config)
    monkeypatch.setattr(blas, "_libraries", lambda: [])
    found = bits.of_numpy(blas_threads=False)
    assert found == {"NumPy": np.__version__, "instructions": "", "BLAS": "unknown"}


def test_the_blas_that_numpy_was_built_with_where_none_can_be_asked(monkeypatch):
    build = {"Build Dependencies": {"blas": {"name": "mkl", "version": "2024.1"}}}
    monkeypatch.setattr(np, "show_config", lambda mode="stdout": build if mode == "dicts" else None)
    monkeypatch.setattr(blas, "_libraries", lambda: [])
    assert blas.name() == "mkl 2024.1"


def test_the_pool_does_not_grow_with_the_number_of_sizes(monkeypatch):
    monkeypatch.setattr(buffers, "LARGEST_POOL", 10 * SMALLEST_POOLED)
    pool = BufferPool()
    held = pool.empty((SMALLEST_POOLED,), np.uint8)
    held.fill(7)
    for size in range(300):
        pool.empty((SMALLEST_POOLED + size,), np.uint8).fill(1)
        kept = [array for arrays in pool._arrays().values() for array, _ in arrays]
        assert sum(array.nbytes for array in kept) <= 10 * SMALLEST_POOLED
    assert (held == 7).all()


def test_constants_do_not_grow_with_the_number_of_sizes():
    ops = backend.get("numpy")
    for columns in range(1, 400):
        ops.dense_forward(np.ones((1, 2)), np.ones((2, columns)), np.ones(columns), "relu")
    assert len(ops._constants) <= 102


# What the compiled programs are told


def test_the_numbers_of_a_program():
    def model_of(likelihood):
        return Model(Architecture(6, 2, (3,), likelihood=likelihood), Ops(np))

    none = program_fields.constants(model_of("bernoulli"), None)
    assert none == {
        "tiny": optimizers.TINY,
        "likelihood_scale": 1.0,
        "likelihood_factor": 1.0,
        "likelihood_constant": 0.0,
    }
    gaussian = program_fields.constants(model_of({"name": "gaussian", "variance": 0.25}), None)
    constant = 3.0 * math.log(2 * math.pi * 0.25)
    assert (gaussian["likelihood_scale"], gaussian["likelihood_factor"]) == (4.0, 2.0)
    assert gaussian["likelihood_constant"] == pytest.approx(constant)
    squared = program_fields.constants(model_of("squared_error"), None)
    assert [squared[f"likelihood_{name}"] for name in ("scale", "factor", "constant")] == [2.0, 1.0, 0.0]
    for optimizer, wanted in (
        (optimizers.RMSprop(0.8, 1e-4), {"rho": 0.8, "epsilon": 1e-4}),
        (optimizers.SGD(0.7), {"momentum": 0.7}),
        (optimizers.Adam(0.8, 0.95, 1e-5), {"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-5}),
    ):
        for clip_norm, longest in ((2.5, 2.5), (None, optimizers.LONGEST_GRADIENT)):
            found = program_fields.constants(
                model_of("bernoulli"), TrainingSettings(seed=0, optimizer=optimizer, clip_norm=clip_norm)
            )
            assert found == {**none, **wanted, "longest": longest}


def test_the_fields_and_rates_of_an_optimizer():
    codes = {"RMSPROP_INSIDE": 11, "RMSPROP_OUTSIDE": 12, "MOMENTUM": 13, "SGD": 14, "ADAM": 15}
    for optimizer, code, intervals in (
        (optimizers.RMSprop(), 11, 0),
        (optimizers.RMSprop(epsilon_inside=False), 12, 1),
        (optimizers.SGD(0.5), 13, 1),
        (optimizers.SGD(), 14, 0),
        (optimizers.Adam(), 15, 2),
    ):
        for binarize in ("none", "dynamic"):
            fields = program_fields.settings_fields(
                TrainingSettings(seed=9, optimizer=optimizer, binarize=binarize), codes
            )
            flush = [*optimizer.flush_intervals().values(), 0, 0]
            assert len(flush) == intervals + 2
            assert fields == {
                "OPTIMIZER": code,
                "FLUSH": flush[0],
                "FLUSH_2": flush[1],
                "SEED": 9,
                "NOISE_PURPOSE": random.PURPOSES["latent noise"],
                "BINARIZE_PURPOSE": random.PURPOSES["binarize"] if binarize == "dynamic" else 0,
            }
    rates = [0.1, 0.2]
    np.testing.assert_array_equal(program_fields.update_rates(optimizers.SGD(), rates, 3), [[0.1, 1.0], [0.2, 1.0]])
    wanted = [[rate / (1 - 0.8**step), 1 / math.sqrt(1 - 0.9**step)] for rate, step in ((0.1, 4), (0.2, 5))]
    np.testing.assert_allclose(program_fields.update_rates(optimizers.Adam(0.8, 0.9), rates, 3), wanted, rtol=1e-14)


def test_sums_by_their_names():
    latent = np.arange(6.0).reshape(3, 2)
    found = program_fields.sums_by_name(np.array([1.0, 2.0]), latent)
    assert type(found["loss"]) is float
    assert {name: found[name] for name in found if isinstance(found[name], float)} == {
        "loss": 1.0,
        "reconstruction": 2.0,
    }
    assert [found[name].tolist() for name in ("kl_per_dimension", "mu", "mu_squared")] == latent.tolist()
    assert program_fields.sums_by_name((1.0, 2.0, 3.0), latent)["bound"] == 3.0


def test_the_memory_of_a_program():
    """Every array starts at a line of the cache and has a line's room behind it, and all lie within what was
    allocated.
    """
    for dtype in ("float32", "float64"):
        itemsize = np.dtype(dtype).itemsize
        memory, sizes, line = Memory(itemsize), [1, 0, 15, 16, 17, 1000, 8], 64 // itemsize
        places = [memory.take(size) for size in sizes]
        memory.allocate(dtype)
        for place, following, size in zip(places, [*places[1:], memory._size], sizes, strict=True):
            assert memory.address(place) % 64 == 0 and size + line <= following - place < size + 2 * line
        start, stop = memory._array.ctypes.data, memory._array.ctypes.data + memory._array.nbytes
        assert start <= memory.address(places[0]) and memory.address(places[-1] + sizes[-1] + line) <= stop
        assert memory._array.dtype == dtype and not memory._array.any()


def test_threads_that_numpy_s_backend_divides_its_work_among(monkeypatch):
    for usual, cores, wanted in ((3, 8, 3), (8, 3, 3)):
        monkeypatch.delenv("NPVAE_NUM_THREADS", raising=False)
        monkeypatch.setattr("npvae.backend.numpy_ops.blas.held", SimpleNamespace(usual=lambda usual=usual: usual))
        monkeypatch.setattr("npvae.backend.numpy_ops.available_cores", lambda cores=cores: cores)
        assert NumpyOps().threads == wanted


@pytest.mark.parametrize(
    ("triple", "features", "vector_bytes", "registers", "tile_rows"),
    [
        ("x86_64-unknown-linux-gnu", "+sse2,-avx,-avx512f", 16, 16, 6),
        ("x86_64-unknown-linux-gnu", "+avx,-avx512f,+avx2", 32, 16, 6),
        ("x86_64-unknown-linux-gnu", "+avx,+avx2,+avx512f", 64, 32, 10),
        ("arm64-apple-darwin22", "+neon", 16, 32, 10),
        ("aarch64-unknown-linux-gnu", "+neon", 16, 32, 10),
        ("x86_64-pc-windows-msvc", "", 16, 16, 6),
    ],
)
def test_what_compiled_code_counts_on(triple, features, vector_bytes, registers, tile_rows):
    for dtype, itemsize in (("float32", 4), ("float64", 8)):
        machine = target.of_machine(dtype, triple, features)
        assert (machine.dtype, machine.vector_bytes, machine.registers, machine.tile_rows) == (
            dtype,
            vector_bytes,
            registers,
            tile_rows,
        )
        assert (machine.itemsize, machine.lanes, machine.panel) == (
            itemsize,
            vector_bytes // itemsize,
            2 * vector_bytes // itemsize,
        )
        # Accumulators, a row of B and a broadcast number of A have to fit into the registers.
        assert machine.tile_rows * machine.tile_vectors + machine.tile_vectors + 1 <= registers
        assert sizes.BLOCK_K % machine.lanes == 0  # blocks are rounded up to whole vectors
        # A list of m rows: values, 32-bit indices, and a count a row and block of k, of 64 bits.
        for m, k, blocks in ((1, 1, 1), (7, 256, 1), (7, 257, 2), (192, 784, 4)):
            needed = m * k * (itemsize + 4) + 8 * m * blocks
            assert needed <= sizes.sparse_bytes(machine, m, k) <= needed + 8 * m + 16
        for columns in (1, machine.panel, machine.panel + 1, 1000):
            panels = math.ceil(columns / machine.panel)
            least = sizes.BLOCK_K * (panels * machine.panel + sizes.BLOCK_M)
            assert least < sizes.scratch_numbers(machine, columns) < least + sizes.BLOCK_K * 110 + 800
