"""The NumPy backend's steps on several threads: the specification's numbers, and the same bits on any number,
whoever is late.
"""

import math
import os
import threading

import numpy as np
import pytest

from npvae import backend
from npvae.backend import blas, pieces, summation, worker_pool
from npvae.backend.base import Ops
from npvae.backend.numpy_ops import NumpyOps
from npvae.fused import numpy_gradient, on_numpy
from npvae.mathematics import likelihoods
from npvae.mathematics.model import Architecture, Model
from npvae.training import TrainingSettings, train

SHAPES = [
    {"hidden": (9,), "latent_dim": 2},
    {"hidden": (33, 6), "decoder_hidden": (17,), "latent_dim": 5, "activation": "softplus"},
    {"hidden": (40, 20), "latent_dim": 3, "activation": "tanh", "likelihood": "gaussian_decoder"},
    {"hidden": (), "latent_dim": 3, "likelihood": "squared_error"},
    {"hidden": (20,), "latent_dim": 3, "likelihood": "gaussian_per_feature"},
]


def grey(rows, features=24, dtype="float64"):
    return np.random.default_rng(8).random((rows, features)).astype(dtype)


def run(ops, x, architecture, **settings):
    """The state after a run."""
    settings = {"seed": 3, "epochs": 2, "batch_size": 17, "optimizer": "rmsprop", "learning_rate": 0.01, **settings}
    return train(Model(Architecture(x.shape[1], **architecture), ops), TrainingSettings(**settings), x)


def columns(state):
    """The history without the time."""
    return {name: values for name, values in state.history.items() if name != "seconds"}


def assert_same_bits(a, b):
    assert a.theta.tobytes() == b.theta.tobytes()
    assert columns(a) == columns(b)


@pytest.fixture(autouse=True)
def usual_number():
    """Backends that are asked for a number of threads set that of the process's BLAS."""
    before = blas.held.usual()
    yield
    blas.held.limit(before)


@pytest.fixture
def by_pieces(monkeypatch):
    """Small models take the way of large ones, in several pieces."""
    monkeypatch.setattr(numpy_gradient, "LARGEST_ALONE", 0)
    monkeypatch.setattr(numpy_gradient, "LARGEST_OF_BLAS", 0)
    monkeypatch.setattr(numpy_gradient, "SMALLEST_BESIDE", 0)
    monkeypatch.setattr(numpy_gradient, "ELEMENTS_OF_A_PART", 100)
    monkeypatch.setattr(on_numpy, "PIECE", 100)
    monkeypatch.setattr(pieces, "SMALL", 0)
    monkeypatch.setattr(pieces, "WORK_OF_TWO", 1.0)
    monkeypatch.setattr(pieces, "MORE_WORK", 2.0)
    monkeypatch.setattr(pieces, "MULTIPLE", 2)
    monkeypatch.setattr(pieces, "SHORTEST", 2)


@pytest.fixture
def by_blas(monkeypatch):
    """Small models take the way of those in the middle, with sums that are cut."""
    monkeypatch.setattr(numpy_gradient, "LARGEST_ALONE", 0)
    monkeypatch.setattr(summation, "MULTIPLE", 4)
    monkeypatch.setattr(summation, "rest", lambda k, *others: k % 4 if k > 4 else 0)


def specification_agrees(architecture, **settings):
    x = grey(40)
    wanted = run(Ops(np), x, architecture, **settings)
    found = run(NumpyOps(threads=2), x, architecture, **settings)
    np.testing.assert_allclose(found.theta, wanted.theta, rtol=1e-9, atol=1e-11)
    for name, values in columns(wanted).items():
        np.testing.assert_allclose(found.history[name], values, rtol=1e-9, err_msg=name)


@pytest.mark.parametrize("architecture", SHAPES)
@pytest.mark.parametrize("optimizer", ["rmsprop", "adam", "sgd"])
def test_steps_in_pieces_are_the_specification_s(by_pieces, architecture, optimizer):
    specification_agrees(architecture, optimizer=optimizer, clip_norm=1.0)


@pytest.mark.parametrize("architecture", SHAPES)
def test_steps_with_cut_sums_are_the_specification_s(by_blas, architecture):
    specification_agrees(architecture)


class CalledTwice(likelihoods.Bernoulli):
    """A likelihood that a user wrote, which asks for the derivative a second time and looks at the first one again."""

    name = "called_twice"

    def negative_log_likelihood(self, ops, outputs, x, parameters, gradient=True):
        nll, backward = super().negative_log_likelihood(ops, outputs, x, parameters, gradient)

        def twice(dnll):
            ((first,), nothing), ((second,), _) = backward(dnll), backward(dnll)
            return (0.5 * (first + second),), nothing

        return nll, twice


@pytest.mark.parametrize("way", ["", "by_blas", "by_pieces"])
def test_a_likelihood_of_one_s_own_on_every_way(way, request):
    if way:
        request.getfixturevalue(way)
    specification_agrees({"hidden": (9,), "latent_dim": 2, "likelihood": CalledTwice()})


def test_several_pieces_are_what_was_tested(by_pieces, monkeypatch):
    counts, original = [], pieces.run
    monkeypatch.setattr(pieces, "run", lambda calls, threads: counts.append(len(calls)) or original(calls, threads))
    run(NumpyOps(threads=1), grey(20), SHAPES[0])
    assert max(counts) >= 4


# The same bits


@pytest.mark.parametrize("architecture", SHAPES[:3])
def test_the_number_of_threads_changes_no_bit(by_pieces, architecture):
    wanted = run(NumpyOps(threads=1), grey(40), architecture)
    for threads in (2, 3, 7):
        assert_same_bits(run(NumpyOps(threads=threads), grey(40), architecture), wanted)


@pytest.mark.parametrize(("hidden", "rows"), [((200, 96), 100), ((600, 400), 300)])
def test_the_threads_of_blas_change_no_bit(hidden, rows):
    """Of a model that BLAS divides, and of one that we do; the lengths of their sums are those that OpenBLAS adds
    otherwise.
    """
    if blas.threads() is None:
        pytest.skip("the number of threads of this BLAS cannot be set")
    x, states = grey(rows, 784, "float32"), []
    ways = {numpy_gradient.way_of(Architecture(784, 5, hidden), rows)}
    assert ways == {numpy_gradient.BLAS if rows == 100 else numpy_gradient.PIECES}
    before = blas.threads().get()
    try:
        for threads in (1, 2, 3):
            assert blas.held.limit(threads)
            states.append(
                run(
                    backend.get("numpy"),
                    x,
                    {"hidden": hidden, "latent_dim": 5},
                    batch_size=rows,
                    epochs=3,
                    learning_rate=1e-4,
                )
            )
            assert blas.threads().get() == threads  # as it was before the run
    finally:
        blas.held.limit(before)
    for state in states[1:]:
        assert_same_bits(state, states[0])


def test_a_blas_that_adds_in_another_order_is_not_believed(by_blas, monkeypatch):
    """A step of which several threads make other bits goes by pieces."""
    tried = []

    def another(compute, cores):
        compute()[...] = np.nan
        tried.append(np.isfinite(compute()).all())  # each trial computes the whole gradient
        return False

    monkeypatch.setattr(summation, "same_on_any_number", another)
    found = run(NumpyOps(threads=1), grey(40), SHAPES[0])
    assert tried == [True, True]  # a full batch and the last one
    monkeypatch.setattr(numpy_gradient, "LARGEST_OF_BLAS", 0)
    assert_same_bits(found, run(NumpyOps(threads=1), grey(40), SHAPES[0]))
    assert len(tried) == 2


def test_the_way_of_a_step():
    """By the multiplications of its largest product, here of 64 x 2 numbers a row: up to 2^18, up to 2^26, and
    beyond.
    """
    architecture = Architecture(2, 1, (64,))
    ways = [numpy_gradient.way_of(architecture, rows) for rows in (1, 2**11, 2**11 + 1, 2**19, 2**19 + 1)]
    assert ways == [numpy_gradient.ALONE] * 2 + [numpy_gradient.BLAS] * 2 + [numpy_gradient.PIECES]


def test_another_order_is_seen(monkeypatch):
    """What is tried notices a result that depends on the number of threads, and restores that number."""
    if blas.threads() is None:
        pytest.skip("the number of threads of this BLAS cannot be set")
    known = blas.threads()
    before = known.get()
    assert summation.same_on_any_number(lambda: np.ones(3), 2)
    assert not summation.same_on_any_number(lambda: np.array([float(known.get())]), 2)
    assert known.get() == before


# Threads that are late


def backwards(work, count, threads=None):
    for number in reversed(range(count)):
        work(number)


def the_caller_last(work, count, threads=None):
    """The first share is held up until all others are done."""
    others = threading.Thread(target=lambda: [work(number) for number in range(1, count)])
    others.start()
    others.join()
    work(0)


@pytest.mark.parametrize("order", [backwards, the_caller_last])
def test_the_order_of_the_pieces_changes_no_bit(by_pieces, monkeypatch, order):
    wanted = run(NumpyOps(threads=1), grey(40), SHAPES[1])
    calls = []

    def run_late(work, count, threads=None):
        calls.append(count)
        order(work, count, threads)

    monkeypatch.setattr(worker_pool, "run", run_late)
    assert_same_bits(run(NumpyOps(threads=2), grey(40), SHAPES[1]), wanted)
    assert max(calls) > 2


def test_a_helper_that_comes_too_late_finds_its_shares_done():
    """It begins one share and is held up in it; the caller does all the others meanwhile."""
    each, begun, go_on, done = worker_pool.WorkerPool(), threading.Event(), threading.Event(), []
    caller = threading.get_ident()

    def work(number):
        if threading.get_ident() != caller:
            begun.set()
            assert go_on.wait(60.0)
        elif number == 0:
            assert begun.wait(60.0)  # until the helper has begun one
        else:
            done.append(number)
            if len(done) == 6:
                go_on.set()

    each.run(work, 8, threads=2)
    assert len(done) == 6


def test_no_more_threads_than_were_asked_for():
    each, seen, meeting = worker_pool.WorkerPool(), set(), threading.Barrier(2, timeout=60.0)

    def work(number):
        seen.add(threading.get_ident())
        if number < 2:
            meeting.wait()

    each.run(work, 9, threads=2)
    assert len(seen) == 2
    each.run(lambda number: seen.add(threading.get_ident()), 9, threads=1)
    assert len(seen) == 2


def test_warnings_are_the_same_on_every_thread():
    """Overflow in a piece is what the caller has said that it is."""
    meeting = threading.Barrier(2, timeout=60.0)

    def overflow():
        meeting.wait()
        np.exp(np.full(1000, 1e4))

    with np.errstate(all="ignore"):
        pieces.run([(overflow,)] * 2, 2)
    with np.errstate(all="raise"), pytest.raises(FloatingPointError):
        pieces.run([(overflow,)] * 2, 2)


# Products


@pytest.mark.parametrize("shape", [(100, 784, 256), (784, 100, 256), (512, 500, 600), (1, 3000, 2000), (2000, 3, 2000)])
def test_products_in_pieces(shape, dtype):
    m, k, n = shape
    generator = np.random.default_rng(0)
    a, b = generator.standard_normal((m, k)).astype(dtype), generator.standard_normal((k, n)).astype(dtype)
    turned = np.ascontiguousarray(a.T).T, np.ascontiguousarray(b.T).T
    wanted = a.astype("float64") @ b.astype("float64")
    for left, right in ((a, b), (turned[0], b), (a, turned[1])):
        results = []
        for threads in (1, 2, 3):
            out = np.full((m, n), np.nan, dtype)
            pieces.multiply(left, right, out, threads)
            results.append(out.tobytes())
        assert len(set(results)) == 1
        np.testing.assert_allclose(out, wanted, rtol=0, atol=100 * math.sqrt(k) * np.finfo(dtype).eps)


@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, 100, 784, 1000])
@pytest.mark.parametrize("count", [1, 2, 3, 16])
def test_cuts_are_the_whole(length, count):
    parts = pieces.cuts(length, count)
    assert [i for part in parts for i in range(part.start, part.stop)] == list(range(length))
    assert len(parts) <= max(1, count) and all(part.start % pieces.MULTIPLE == 0 for part in parts)


@pytest.mark.parametrize(
    ("m", "n", "k", "count"),
    [
        (192, 1, 78125, 2),
        (192, 1, 78124, 1),
        (191, 1, 10**6, 1),
        (1, 192, 78125, 2),
        (384, 1, 312500, 4),
        (384, 1, 312499, 2),
        (383, 383, 10**6, 2),
        (768, 1, 1250000, 8),
        (768, 1, 1249999, 4),
        (1536, 1, 5000000, 16),
        (1, 1535, 5010000, 8),
        (10**6, 10**6, 10**6, 16),
        (0, 5, 5, 1),
    ],
)
def test_the_number_of_pieces(m, n, k, count):
    """Twice as many with eight times the work, from 3e7 multiplications and additions, none narrower than 96."""
    assert pieces.number(m, n, k) == count


@pytest.mark.parametrize(
    ("length", "count", "edges"),
    [
        (100, 2, [0, 48, 100]),
        (96, 3, [0, 32, 64, 96]),
        (33, 16, [0, 16, 32, 33]),
        (16, 4, [0, 16]),
        (0, 3, [0, 0]),
        (250, 4, [0, 64, 128, 192, 250]),
    ],
)
def test_where_cuts_are(length, count, edges):
    assert [(part.start, part.stop) for part in pieces.cuts(length, count)] == list(zip(edges, edges[1:], strict=False))


def test_the_numbers_of_threads_that_are_tried():
    assert [summation.numbers(cores) for cores in (1, 2, 3, 4, 64)] == [[1, 2], [1, 2], [1, 2], [1, 2, 4], [1, 2, 4]]


@pytest.mark.parametrize(
    ("k", "same", "left"),
    [
        (128, False, 0),
        (129, False, 1),
        (129, True, 0),
        (160, False, 0),
        (159, False, 31),
        (64, False, 0),
        (1001, False, 9),
        (1001, True, 0),
    ],
)
def test_what_is_left_of_a_sum(monkeypatch, k, same, left):
    """What the length is beyond a multiple of 32, where the orders of adding differ, on the sides that it has in
    memory.
    """
    computed = []
    monkeypatch.setattr(
        summation, "same_on_any_number", lambda compute, cores: computed.append((compute(), cores)) or same
    )
    for turned in ((False, False), (True, False), (False, True), (True, True)):
        summation.rest.cache_clear()
        assert summation.rest(k, *turned, "float32", 3) == left
    assert all(
        product.shape == (128, 128) and product.dtype == np.float32 and cores == 3 for product, cores in computed
    )
    assert len(computed) == (4 if k > 128 and k % 32 else 0)
    summation.rest.cache_clear()


# The number of threads of BLAS, for a while


@pytest.fixture
def counted(monkeypatch):
    """A BLAS whose number of threads is 5 at first, and what it has been set to."""
    numbers = [5]
    monkeypatch.setattr(blas, "threads", lambda: blas.Threads(lambda: numbers[-1], lambda n: numbers.append(n) is None))
    monkeypatch.setattr(blas, "held", blas._Held())
    return numbers


def test_one_thread_for_a_while(counted):
    assert blas.held.usual() == 5
    with blas.one_thread():
        assert counted[-1] == 1 and blas.held.usual() == 5
        with blas.one_thread():
            assert counted[-1] == 1
        assert counted[-1] == 1
    assert counted == [5, 1, 5] and blas.held.usual() == 5


def test_within_another_number(counted):
    with blas.held:
        assert blas.held.use(2) == 5
        with blas.one_thread():
            assert counted[-1] == 1
        assert counted[-1] == 2
    assert counted == [5, 2, 1, 2, 5]


def test_a_limit_that_is_set_meanwhile_holds_afterwards(counted):
    with blas.one_thread():
        assert blas.held.limit(3)
        assert counted[-1] == 1 and blas.held.usual() == 3
    assert counted[-1] == 3
    assert blas.held.limit(4)
    with blas.one_thread():
        assert blas.held.usual() == 4
    assert counted[-1] == 4


def test_what_fails_leaves_the_number_as_it_was(counted):
    with pytest.raises(ValueError, match="inside"), blas.one_thread():
        raise ValueError("inside")
    assert counted[-1] == 5


def test_a_blas_that_cannot_be_told_is_left_alone(monkeypatch):
    monkeypatch.setattr(blas, "threads", lambda: None)
    held = blas._Held()
    with held:
        held.use(2)
    assert held.usual() == 1 and not held.limit(3)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system does not fork")
def test_a_forked_child_has_the_usual_number(counted):
    with blas.one_thread():
        blas.held.begin_anew()
        assert counted[-1] == 5 and blas.held.usual() == 5


def test_sums_of_single_numbers_go_on_in_double():
    """Of a float32 run too: what is added up over an epoch must not lose the digits of a batch."""
    model = Model(Architecture(24, 2, (9,)), NumpyOps(threads=1))
    theta = model.initial_parameters(0, "float32")
    bound = numpy_gradient.GradientOfBatch(model, model.ops, 17, theta, np.empty_like(theta))
    bound.x[...], bound.eps[...] = grey(17, dtype="float32"), 0.5
    loss, _, reconstruction = bound.run(0.3)
    assert type(loss) is type(reconstruction) is float
    kl = np.add.reduce(bound.latent[0].reshape(-1))
    assert loss == (reconstruction + 0.3 * float(kl)) / 17


def test_likelihoods_with_parameters_are_not_divided(by_pieces):
    assert "gaussian_per_feature" in likelihoods.KNOWN
    model = Model(Architecture(24, 2, (9,), likelihood="gaussian_per_feature"), NumpyOps(threads=1))
    theta = model.initial_parameters(0, "float64")
    bound = numpy_gradient.GradientOfBatch(model, model.ops, 17, theta, np.empty_like(theta))
    assert bound.way == numpy_gradient.PIECES and bound._row_parts is None
