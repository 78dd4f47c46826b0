"""Runs on the compiled training program: the same bits however they are cut, divided, resumed or joined by others."""

import ctypes
import math
import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import processes
import pytest
from small import grey_rows, small_vae
from trained import (
    assert_close,
    assert_same_bits,
    columns,
    grey,
    make,
    on_numba,
    only_the_program,
    real,
    run,
    specification,
    start,
)

from npvae import fused
from npvae.errors import NonFiniteError, TrainingInterrupted
from npvae.evaluation import evaluate_elbo
from npvae.fused import parallel, thread_choice
from npvae.fused.on_numba import NumbaTrainer
from npvae.kernels.cpu import sizes
from npvae.kernels.cpu.plan import Train
from npvae.kernels.cpu.sizes import NORM_BLOCK
from npvae.kernels.cpu.target import CACHE_LINE
from npvae.mathematics.likelihoods import Gaussian
from npvae.training import steps

SHAPES = [
    {"hidden": (9,), "latent_dim": 2},
    {"hidden": (33, 6), "decoder_hidden": (17,), "latent_dim": 5, "activation": "softplus"},
    {"hidden": (), "likelihood": "squared_error", "latent_dim": 3},
]


# How a run is divided


@pytest.fixture
def all_threads(monkeypatch):
    """No trials of fewer threads than were asked for."""
    monkeypatch.setattr(thread_choice, "TRIAL_SECONDS", math.inf)


@pytest.mark.parametrize("architecture", SHAPES)
@pytest.mark.parametrize("rows", [1, 3, 40])
def test_the_number_of_threads_changes_no_bit(architecture, rows, dtype, all_threads):
    """Also of more threads than there are rows, tiles or cores."""
    x = grey(rows, dtype=dtype)
    settings = {"optimizer": "adam", "clip_norm": 2.0, "binarize": "dynamic", "batch_size": 17}
    wanted = run(on_numba(1), x, architecture=architecture, **settings)
    for threads in (2, 3, 7):
        assert_same_bits(run(on_numba(threads), x, architecture=architecture, **settings), wanted)


@pytest.mark.parametrize("hidden", [(120, 31), (97, 20, 15)])
def test_the_number_of_threads_changes_no_bit_of_a_large_model(all_threads, hidden):
    """Whose layers have several panels and blocks, and whose parameters several blocks."""
    x = grey(300, 200, dtype="float32")
    settings = {"architecture": {"hidden": hidden}, "batch_size": 211, "clip_norm": 1.0}
    wanted = run(on_numba(1), x, **settings)
    assert wanted.theta.size > 5 * NORM_BLOCK
    for threads in (2, 3):
        assert_same_bits(run(on_numba(threads), x, **settings), wanted)


def test_a_number_of_threads_that_changes_on_the_way_changes_no_bit(monkeypatch):
    x = grey(90, dtype="float32")
    wanted = run(on_numba(1), x, epochs=8)
    used, original = [], parallel.run

    def note(program, plan, threads):
        used.append(threads)
        original(program, plan, threads)

    monkeypatch.setattr(parallel, "run", note)
    monkeypatch.setattr(thread_choice, "TRIAL_SECONDS", 0.0)
    monkeypatch.setattr(thread_choice, "FEWEST_BETWEEN", 0)
    assert_same_bits(run(on_numba(4), x, epochs=8), wanted)
    assert len(set(used)) > 1


def calls(monkeypatch):
    """The list of the lengths of the program's calls, filled while a run goes on."""
    lengths, original = [], NumbaTrainer.take_steps

    def train(self, *arguments):
        stretch = original(self, *arguments)
        lengths.append(stretch.done)
        return stretch

    monkeypatch.setattr(NumbaTrainer, "take_steps", train)
    return lengths


@pytest.mark.parametrize("optimizer", ["rmsprop", "adam", {"name": "sgd", "momentum": 0.9}])
def test_the_length_of_a_call_changes_no_bit(monkeypatch, optimizer, dtype):
    """One step a call, or as many as there are: the sums of the history, too, are the same to the bit."""
    x, states = grey(200, dtype=dtype), []
    settings = {"optimizer": optimizer, "epochs": 3, "kl_warmup": 2.0, "schedule": "cosine", "binarize": "dynamic"}
    lengths = calls(monkeypatch)
    for seconds in (0.0, 1e9):
        lengths.clear()
        monkeypatch.setattr(steps, "CALL_SECONDS", seconds)
        with only_the_program():
            states.append(run(on_numba(), x, **settings))
        assert sum(lengths) == 3 * math.ceil(200 / 7)
        assert set(lengths) == {1} if seconds == 0.0 else max(lengths) >= 20
    assert_same_bits(*states)


def test_a_trial_of_fewer_threads_is_short(monkeypatch):
    """So many steps as the choice says, not all that were asked for."""
    x = grey(40)
    model, settings = make(on_numba(2), x, batch_size=4)
    trainer, state = fused.trainer_for(model.ops, model, settings, x), start(model.ops, x)
    for trial, done in ((2, 2), (None, 5)):
        monkeypatch.setattr(trainer._choice, "steps_of_trial", lambda trial=trial: trial)
        stretch = trainer.take_steps(
            state.theta, np.empty_like(state.theta), state.optimizer_state, np.arange(40), 0, 0, [0.1] * 5, [1.0] * 5
        )
        assert stretch.done == len(stretch.losses) == len(stretch.norms) == done


def test_where_no_thread_can_be_started_a_run_goes_on_alone(monkeypatch):
    x = grey(40)
    wanted = run(on_numba(1), x)
    started = []

    class Refused(threading.Thread):
        def start(self):
            started.append(self)
            if len(started) % 2 == 0:
                raise RuntimeError("can't start new thread")
            super().start()

    ops = on_numba(3)
    monkeypatch.setattr(parallel.threading, "Thread", Refused)
    assert_same_bits(run(ops, x), wanted)
    assert len(started) >= 2


# Threads that are late


@pytest.mark.parametrize("each", [2, 5])
def test_the_number_of_shares_changes_no_bit(monkeypatch, all_threads, each):
    x = grey(60, 40, dtype="float32")
    settings = {"architecture": {"hidden": (37, 20)}, "batch_size": 23, "clip_norm": 1.0}
    wanted = run(on_numba(1), x, **settings)
    monkeypatch.setattr(NumbaTrainer, "_shares_of_a_thread", lambda self: each)
    for threads in (2, 3):
        assert_same_bits(run(on_numba(threads), x, **settings), wanted)


@pytest.mark.parametrize(
    ("threads", "rows", "samples", "shares"),
    [
        (2, 2**13, 0, 4),
        (2, 2**13 - 1, 0, 1),
        (2, 2**11, 4, 4),
        (2, 2**11 - 1, 4, 1),
        (2, 2**13, 1, 4),
        (8, 2**13, 0, 2),
        (5, 2**13, 0, 3),
        (16, 2**13, 0, 1),
        (64, 2**20, 0, 1),
    ],
)
def test_long_phases_have_several_shares_a_thread(threads, rows, samples, shares):
    """From 2^26 multiplications of the largest product, here of 64 x 128 numbers of W: four, together not more than
    16.
    """
    layers = [SimpleNamespace(inputs=64, outputs=128), SimpleNamespace(inputs=128, outputs=3)]
    model = SimpleNamespace(architecture=SimpleNamespace(dense_layers=lambda: layers))
    program = SimpleNamespace(_model=model, _batch=rows, _samples=samples, _threads=threads)
    assert NumbaTrainer._shares_of_a_thread(program) == shares


@pytest.mark.parametrize(("features", "hidden"), [(7, (300,)), (300, (7,))])
def test_the_memory_of_a_run(features, hidden):
    """Scratch memory for the widest product; counters a line of the cache each, wherever the first line begins;
    gradients only where there is training."""
    x = grey(40, features)
    model, settings = make(on_numba(3), x, {"hidden": hidden})
    trainer = fused.trainer_for(model.ops, model, settings, x)
    assert trainer._scratch >= sizes.scratch_numbers(trainer._program.target, 300)
    assert trainer._counters.nbytes >= (sizes.TAKEN + 3) * CACHE_LINE + CACHE_LINE - trainer._counters.itemsize
    evaluation = fused.evaluator_for(model.ops, model, x, trainer._batch)
    assert trainer._memory._size - evaluation._memory._size >= trainer._batch * (hidden[0] + 2)


def never(program, plan, threads):
    """All threads but the first never come."""
    program.run(plan.ctypes.data, 0)


def afterwards(program, plan, threads):
    """They come when everything is done."""
    for thread in range(threads):
        program.run(plan.ctypes.data, thread)


def held_up(program, plan, threads):
    """The second thread does its share of the first phase, and while it waits for the others' it is put aside until
    they have done everything."""
    first = ctypes.c_int64.from_address(int(plan[Train.SYNC]) + sizes.TAKEN * CACHE_LINE)
    first.value = 1  # as if the first thread had taken its share of phase 1
    waits = []

    @ctypes.CFUNCTYPE(ctypes.c_int)
    def put_aside():
        waits.append(1)
        if len(waits) == 1:
            first.value = 0
            program.run(plan.ctypes.data, 0)
        return 0

    plan[Train.FUTEX], plan[Train.YIELD] = 0, ctypes.cast(put_aside, ctypes.c_void_p).value
    program.run(plan.ctypes.data, 1)
    assert waits == [1]


@pytest.mark.parametrize("late", [never, afterwards, held_up])
@pytest.mark.parametrize("each", [1, 3])
@pytest.mark.parametrize("objective", ["elbo", {"name": "importance_weighted", "samples": 3}])
def test_what_a_late_thread_leaves_is_done_by_the_others(monkeypatch, all_threads, late, each, objective):
    x = grey(40, dtype="float32")
    settings = {"optimizer": "adam", "binarize": "dynamic", "batch_size": 17, "clip_norm": 2.0, "objective": objective}
    wanted = run(on_numba(1), x, **settings)
    calls = []

    def run_late(program, plan, threads):
        plan[Train.THREADS] = threads
        calls.append(threads)
        late(program, plan, threads)

    monkeypatch.setattr(parallel, "run", run_late)
    monkeypatch.setattr(NumbaTrainer, "_shares_of_a_thread", lambda self: each)
    with only_the_program():
        assert_same_bits(run(on_numba(3), x, **settings), wanted)
    assert set(calls) == {3}


def test_each_thread_has_scratch_memory_of_its_own(monkeypatch, all_threads):
    """The second of three does everything, and touches neither the first's nor the third's."""
    x = grey(40, dtype="float32")
    wanted = run(on_numba(1), x, binarize="dynamic")

    def only_the_second(program, plan, threads):
        plan[Train.THREADS] = threads
        each = int(plan[Train.SCRATCH_BYTES])
        scratch = np.frombuffer((ctypes.c_uint8 * (3 * each)).from_address(int(plan[Train.SCRATCH])), np.uint8).reshape(
            3, each
        )
        scratch[...] = 165
        program.run(plan.ctypes.data, 1)
        assert [(part != 165).any() for part in scratch] == [False, True, False]

    monkeypatch.setattr(parallel, "run", only_the_second)
    with only_the_program():
        assert_same_bits(run(on_numba(3), x, binarize="dynamic"), wanted)


def test_what_the_system_is_asked_for_where_a_thread_waits(monkeypatch, all_threads):
    """Linux's futex(2) for threads of one process: to wait (128) while the counter of shares is as it was seen, without
    a limit of time, and to wake (129) everybody who waits for it."""
    x, asked = grey(40, dtype="float32"), []

    def with_a_system_of_our_own(program, plan, threads):
        plan[Train.THREADS], plan[Train.FUTEX_CALL] = threads, 12345
        sync = int(plan[Train.SYNC])
        first = ctypes.c_int64.from_address(sync + sizes.TAKEN * CACHE_LINE)
        first.value = 1  # as if the first thread had taken its share of phase 1
        calls = []

        @ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * 5)
        def system(*arguments):
            calls.append(arguments)
            if len(calls) == 1:
                first.value = 0
                program.run(plan.ctypes.data, 0)
            return 0

        plan[Train.FUTEX], plan[Train.YIELD] = ctypes.cast(system, ctypes.c_void_p).value, 0
        program.run(plan.ctypes.data, 1)
        done = sync + sizes.DONE * CACHE_LINE
        assert calls[0] == (12345, done, 128, 1, 0) and set(calls[1:]) == {(12345, done, 129, 2**31 - 1, 0)}
        assert ctypes.c_int64.from_address(sync + sizes.SLEEPERS * CACHE_LINE).value == 0
        asked.append(len(calls))

    wanted = run(on_numba(1), x)
    monkeypatch.setattr(parallel, "run", with_a_system_of_our_own)
    assert_same_bits(run(on_numba(2), x), wanted)
    assert asked


def test_a_thread_that_can_neither_sleep_nor_give_way_looks_again(monkeypatch, all_threads):
    x = grey(40, dtype="float32")

    def run_one_later(program, plan, threads):
        plan[Train.THREADS], plan[Train.FUTEX], plan[Train.YIELD] = threads, 0, 0
        first = ctypes.c_int64.from_address(int(plan[Train.SYNC]) + sizes.TAKEN * CACHE_LINE)
        done = ctypes.c_int64.from_address(int(plan[Train.SYNC]) + sizes.DONE * CACHE_LINE)
        first.value = 1  # as if the first thread had taken its share of phase 1
        second = threading.Thread(target=program.run, args=(plan.ctypes.data, 1), daemon=True)
        second.start()
        end = time.monotonic() + 60.0
        while done.value == 0:
            assert time.monotonic() < end
            time.sleep(0.001)
        time.sleep(0.005)  # in which it looks many times
        first.value = 0
        program.run(plan.ctypes.data, 0)
        second.join(60.0)
        assert not second.is_alive()

    wanted = run(on_numba(1), x)
    monkeypatch.setattr(parallel, "run", run_one_later)
    assert_same_bits(run(on_numba(2), x), wanted)


def test_a_late_thread_of_a_refused_step_ends(monkeypatch, all_threads):
    """Its numbers are not finite: the others return in the middle of the call, and so does it."""
    x = grey(40)
    x[20, 3] = np.nan
    monkeypatch.setattr(
        parallel,
        "run",
        lambda program, plan, threads: (plan.__setitem__(Train.THREADS, threads), afterwards(program, plan, threads)),
    )
    with pytest.raises(NonFiniteError):
        run(on_numba(2), x)


def test_a_thread_that_waits_sleeps_until_it_is_woken(monkeypatch, all_threads):
    """The second thread sleeps, as the first has not done its share, and is woken when it has."""
    if parallel.futex() == (0, 0):
        pytest.skip("a system without Linux's futex")
    slept = []

    def run_one_later(program, plan, threads):
        plan[Train.THREADS] = threads
        counters = (ctypes.c_int64 * 64).from_address(int(plan[Train.SYNC]))
        line = CACHE_LINE // 8
        counters[sizes.TAKEN * line] = 1  # as if the first thread had taken its share of phase 1
        second = threading.Thread(target=program.run, args=(plan.ctypes.data, 1), daemon=True)
        second.start()
        end = time.monotonic() + 60.0
        while counters[sizes.SLEEPERS * line] == 0:
            assert second.is_alive() and time.monotonic() < end
            time.sleep(0.001)
        slept.append(counters[sizes.DONE * line])
        counters[sizes.TAKEN * line] = 0
        program.run(plan.ctypes.data, 0)
        second.join(60.0)
        assert not second.is_alive() and counters[sizes.SLEEPERS * line] == 0

    x = grey(40, dtype="float32")
    wanted = run(on_numba(1), x)
    monkeypatch.setattr(parallel, "run", run_one_later)
    assert_same_bits(run(on_numba(2), x), wanted)
    assert set(slept) == {1}  # its own share alone was done


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("platform.machine", lambda: "riscv64"),
        ("sys.platform", "darwin"),
        ("sys.maxsize", 2**31 - 1),
        ("sys.byteorder", "big"),
    ],
)
def test_where_there_is_no_futex_that_is_known(monkeypatch, name, value):
    """Another system, another processor, one of 32 bits, or one whose lower half of a number comes last."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(parallel.platform, "machine", lambda: "AMD64")
    if sys.maxsize > 2**32 and sys.byteorder == "little":
        assert parallel.futex()[1] == 202 and parallel.futex()[0] != 0
    module, _, field = name.partition(".")
    monkeypatch.setattr(getattr(parallel, module), field, value)
    assert parallel.futex() == (0, 0)


def test_a_c_library_without_these_functions(monkeypatch):
    if sys.platform != "win32":
        assert parallel.yield_address() == ctypes.cast(ctypes.CDLL(None).sched_yield, ctypes.c_void_p).value
    monkeypatch.setattr(sys, "platform", "linux")
    for library in (SimpleNamespace(), None):

        def load(name, library=library):
            if library is None:
                raise OSError("no library")
            return library

        monkeypatch.setattr(parallel.ctypes, "CDLL", load)
        assert parallel.yield_address() == 0 and parallel.futex() == (0, 0)


# How a run is cut


@pytest.mark.parametrize("optimizer", ["rmsprop", "adam", {"name": "sgd", "momentum": 0.9}])
def test_a_resumed_run_has_the_bits_of_one_that_was_not_cut(tmp_path, optimizer):
    settings = {
        "backend": "numba",
        "threads": 2,
        "optimizer": optimizer,
        "binarize": "dynamic",
        "kl_warmup": 3,
        "validation_fraction": 0.25,
        "clip_norm": 5.0,
    }
    whole = small_vae(epochs=5, **settings).fit(grey_rows())
    path = tmp_path / "checkpoint.npz"
    small_vae(epochs=3, **settings).fit(grey_rows(), checkpoint=path)
    resumed = small_vae(epochs=5, **settings).fit(grey_rows(), checkpoint=path, resume=True)
    assert resumed.theta_.tobytes() == whole.theta_.tobytes()
    assert columns(resumed.history_) == columns(whole.history_)
    assert whole.history_.epochs == 5


def test_ctrl_c_between_epochs_leaves_a_usable_model():
    vae, handler = small_vae(epochs=1000, backend="numba"), signal.getsignal(signal.SIGINT)

    def press(state):
        if state.epoch == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(TrainingInterrupted, match="epoch 3 of 1000") as caught:
        vae.fit(grey_rows(), callbacks=[press])
    assert caught.value.estimator is vae and isinstance(caught.value, KeyboardInterrupt)
    assert vae.stop_reason_ == "interrupted" and vae.history_.epochs == 2
    assert np.isfinite(vae.transform(grey_rows())).all()
    assert signal.getsignal(signal.SIGINT) is handler


@pytest.mark.parametrize(("step", "epochs"), [(3, 1), (4, 1), (6, 2)])
def test_ctrl_c_ends_the_run_after_the_call(monkeypatch, step, epochs):
    """Three steps an epoch, one a call: in step 3 or 6 it ends a whole epoch, in step 4 it cuts the second short."""
    monkeypatch.setattr(steps, "CALL_SECONDS", 0.0)
    original = NumbaTrainer.take_steps

    def train(self, theta, gradient, state, order, start, before, rates, betas):
        result = original(self, theta, gradient, state, order, start, before, rates, betas)
        if before + 1 == step:
            os.kill(os.getpid(), signal.SIGINT)
        return result

    monkeypatch.setattr(NumbaTrainer, "take_steps", train)
    state = run(on_numba(), grey(16), epochs=9)
    assert state.stop_reason == "interrupted"
    assert state.epoch == state.history.epochs == epochs and state.step == step


# What is not finite


def test_a_step_that_is_not_finite_is_named_and_the_last_good_parameters_put_back():
    """The first update ruins the parameters; the second step sees it."""
    for ops in (specification(), on_numba()):
        settings = {"optimizer": "sgd", "learning_rate": 1e200, "epochs": 3}
        state = start(ops, grey(20), **settings)
        before = state.theta.copy()
        with pytest.raises(NonFiniteError, match=r"epoch 1, step 2: .* not finite; likely cause: .*learning_rate"):
            run(ops, grey(20), state=state, **settings)
        np.testing.assert_array_equal(state.theta, before)
        assert state.step == 1


def test_a_loss_that_is_not_finite_though_its_gradient_is():
    """Squares beyond float32, of differences that a large variance makes small in the gradient."""
    x, shape = (1e20 * real(20)).astype(np.float32), {"likelihood": Gaussian(1e30)}
    for ops in (specification(), on_numba()):
        state = start(ops, x, shape, optimizer="sgd")
        state.theta[:] = 0.0
        with pytest.raises(NonFiniteError, match="epoch 1, step 1: the reconstruction term"):
            run(ops, x, architecture=shape, state=state, optimizer="sgd")
        assert not state.theta.any() and state.step == 0


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
@pytest.mark.parametrize("snapshot_steps", [1, 4, 50])
def test_in_the_middle_of_a_call_the_steps_before_are_done(monkeypatch, value, snapshot_steps):
    """A bad row in the third batch of the second epoch: the copy put back is one that the run went through."""
    monkeypatch.setattr(steps, "SNAPSHOT_STEPS", snapshot_steps)
    monkeypatch.setattr(steps, "CALL_SECONDS", 1e9)
    x, seen = real(70), []
    shape, settings = {"likelihood": "squared_error"}, {"epochs": 3, "optimizer": "adam"}
    good = [start(on_numba(), x, shape, **settings).theta]
    with monkeypatch.context() as patch:
        patch.setattr(steps, "CALL_SECONDS", 0.0)
        original = NumbaTrainer.take_steps

        def train(self, theta, *rest):
            result = original(self, theta, *rest)
            good.append(theta.copy())
            return result

        patch.setattr(NumbaTrainer, "take_steps", train)
        run(on_numba(), x, architecture=shape, **settings)
    assert len(good) == 31

    state = start(on_numba(), x, shape, **settings)
    model, made = make(on_numba(), x, shape, **settings)
    from npvae.mathematics import random

    bad = random.permutation(made.seed, "shuffle", 1, 70)[14:21]

    def spoil(state):
        seen.append(state.epoch)
        if state.epoch == 1:
            x[bad[3], 4] = value

    with pytest.raises(NonFiniteError, match="epoch 2, step 13: "):
        run(on_numba(), x, architecture=shape, state=state, callbacks=[spoil], **settings)
    assert seen == [1] and state.step == 12
    assert any(np.array_equal(state.theta, each) for each in good[:13])


def test_a_refused_step_changes_nothing():
    """Neither parameters nor accumulators nor sums: another step can be taken in its place."""
    x = grey(20)
    model, settings = make(on_numba(2), x, optimizer="adam", batch_size=10)
    trainer = fused.trainer_for(model.ops, model, settings, x)
    state = start(model.ops, x, optimizer="adam")
    arrays = [state.theta, *state.optimizer_state.values()]
    order = np.arange(20)
    trainer.take_steps(state.theta, np.empty_like(state.theta), state.optimizer_state, order, 0, 0, [0.1], [1.0])
    trainer.take_sums()
    before = [array.copy() for array in arrays]
    for beta in (np.inf, np.nan):
        stretch = trainer.take_steps(
            state.theta, np.empty_like(state.theta), state.optimizer_state, order, 10, 1, [0.1], [beta]
        )
        assert stretch.done == 0 and not stretch.losses.size and not stretch.norms.size
        for array, kept in zip(arrays, before, strict=True):
            np.testing.assert_array_equal(array, kept)
        rows, sums = trainer.take_sums()
        assert rows == 0 and sums["loss"] == 0.0 and not sums["kl_per_dimension"].any()


def test_the_parameters_put_back_make_a_finite_model():
    x = grey(20)
    state = start(on_numba(), x, optimizer="sgd")
    with pytest.raises(NonFiniteError):
        run(on_numba(), x, state=state, optimizer="sgd", learning_rate=1e200)
    model, _ = make(on_numba(), x)
    assert math.isfinite(evaluate_elbo(model, state.theta, x, 0)["elbo"])


# Others in the same process


def test_two_threads_train_two_models_at_once():
    """Each with two threads of its own, on one backend object and on two."""
    x = grey(60, 40)
    wanted = [run(on_numba(1), x, seed=seed, epochs=4) for seed in (1, 2)]
    shared = on_numba(2)
    for backends in ((shared, shared), (on_numba(2), on_numba(2))):
        found = {}

        def work(number, ops, found=found):
            found[number] = run(ops, x, seed=number + 1, epochs=4)

        threads = [threading.Thread(target=work, args=(i, ops)) for i, ops in enumerate(backends)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for number in (0, 1):
            assert_same_bits(found[number], wanted[number])


FORK = """
import os, sys
from trained import grey, on_numba, run
x = grey(40, dtype="float32")
wanted = run(on_numba(2), x).theta.tobytes()
reader, writer = os.pipe()
child = os.fork()
if child == 0:
    os.write(writer, run(on_numba(2), x).theta.tobytes())
    os._exit(0)
os.close(writer)
found = b""
while piece := os.read(reader, 65536):
    found += piece
assert os.waitpid(child, 0)[1] == 0
assert found == wanted and len(wanted) > 100
assert run(on_numba(2), x).theta.tobytes() == wanted
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_trains_after_its_parent():
    """In a process of its own, so that a child that waits for ever is found."""
    processes.run([sys.executable, "-c", FORK], cwd=Path(__file__).parent, check=True)


def test_a_copied_estimator_trains_alike():
    """As a grid search does, by pickle."""
    import pickle

    vae = small_vae(backend="numba", threads=2)
    again = pickle.loads(pickle.dumps(vae))
    assert again.fit(grey_rows()).theta_.tobytes() == vae.fit(grey_rows()).theta_.tobytes()
    loaded = pickle.loads(pickle.dumps(vae))
    np.testing.assert_array_equal(loaded.transform(grey_rows()), vae.transform(grey_rows()))
    assert pickle.loads(pickle.dumps(loaded.model_.ops)).threads == 2


def test_the_step_by_step_path_of_the_backend_agrees_with_its_program(monkeypatch):
    """Which a step that the program refuses takes."""
    x = grey(40)
    program = run(on_numba(), x, optimizer="adam", binarize="dynamic", epochs=3)
    monkeypatch.setattr("npvae.training.steps.trainer_for", lambda *_: None)
    assert_close(run(on_numba(), x, optimizer="adam", binarize="dynamic", epochs=3), program)
