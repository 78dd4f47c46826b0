"""Whose products a run takes its steps with: as the backend was told, or as a trial finds."""

import pickle
import time
from types import SimpleNamespace

import numpy as np
import pytest
from trained import assert_close, assert_same_bits, grey, make, run, start

from npvae import VAE, backend
from npvae.cli import main
from npvae.errors import InputError, NonFiniteError, UnknownNameError
from npvae.training import autotune, checkpoint
from npvae.training.state import STEPS_BY
from npvae.training.steps import Stepper


def with_products(products):
    return backend.get({"name": "numba", "products": products, "threads": 1})


@pytest.fixture
def quick(monkeypatch):
    """Trials that do not wait."""
    monkeypatch.setattr(autotune, "ROUNDS", 2)
    monkeypatch.setattr(autotune, "TURN_SECONDS", 0.001)
    monkeypatch.setattr(autotune, "PAUSE_SECONDS", 0.0)


@pytest.fixture
def ways(monkeypatch):
    """Which way every step has been taken."""
    taken = []
    for name, way in (("_take_many", "fused"), ("_take_one", "operations")):
        original = getattr(Stepper, name)

        def note(self, *arguments, original=original, way=way):
            taken.append(way)
            return original(self, *arguments)

        monkeypatch.setattr(Stepper, name, note)
    return taken


def faster(monkeypatch, way):
    """As if a trial had found that way to be the faster."""
    seconds = {each: 1e-3 if each == way else 2e-3 for each in STEPS_BY}
    trials = []
    monkeypatch.setattr(autotune, "measure", lambda *arguments: trials.append(arguments) or seconds)
    return trials


@pytest.mark.parametrize(("products", "way"), [("own", "fused"), ("blas", "operations")])
def test_what_was_asked_for_is_taken_without_a_trial(monkeypatch, ways, products, way):
    trials = faster(monkeypatch, "operations")
    state = run(with_products(products), grey(20))
    assert set(ways) == {way} and not trials and state.steps_by is None


def test_own_products_are_the_default():
    assert backend.get("numba").products == "own"
    assert backend.get({"name": "numba"}, threads=3).threads == 3


@pytest.mark.parametrize("way", STEPS_BY)
def test_the_faster_way_is_taken_and_remembered(monkeypatch, ways, capsys, way):
    trials = faster(monkeypatch, way)
    state = run(with_products("autotune"), grey(20))
    assert set(ways) == {way} and len(trials) == 1 and state.steps_by == way
    fused, operations, words = (1, 2, "takes fused steps") if way == "fused" else (2, 1, "goes by operations")
    assert capsys.readouterr().err == (
        f"npvae: a step takes {fused} ms fused, {operations} ms by operations with BLAS: this run {words}\n"
    )


def test_both_ways_train_alike():
    x = grey(30)
    assert_close(run(with_products("blas"), x), run(with_products("own"), x))


def test_a_trial_takes_both_ways_and_changes_nothing(quick, ways):
    x = grey(20)
    for optimizer in ("rmsprop", "adam", {"name": "sgd", "momentum": 0.9}):
        ops = with_products("autotune")
        model, settings = make(ops, x, optimizer=optimizer)
        state, untouched = (start(ops, x, optimizer=optimizer) for _ in range(2))
        seconds = autotune.measure(model, settings, x, state)
        assert seconds.keys() == set(STEPS_BY) and min(seconds.values()) > 0.0
        assert_same_bits(state, untouched)
        assert (state.step, state.epoch) == (0, 0)
    assert set(ways) == set(STEPS_BY)


def test_a_trial_waits_before_every_turn_and_takes_both_ways_in_each(monkeypatch):
    x, ops, pauses = grey(20), with_products("autotune"), []
    monkeypatch.setattr(autotune, "time", SimpleNamespace(sleep=pauses.append, perf_counter=time.perf_counter))
    model, settings = make(ops, x)
    seconds = autotune.measure(model, settings, x, start(ops, x))
    assert len(pauses) == 2 * autotune.ROUNDS > 2 and all(0 < seconds < 0.03 for seconds in seconds.values())
    assert len(set(pauses)) == 1 and pauses[0] > 0


def test_the_best_turn_counts(monkeypatch):
    """By a clock that a step moves: of the program's turns one is fast."""
    x, ops, now = grey(20), with_products("autotune"), [0.0]
    monkeypatch.setattr(autotune, "time", SimpleNamespace(sleep=lambda seconds: None, perf_counter=lambda: now[0]))
    turns = iter([4.0, 4.0, 1.0, 4.0, 4.0])
    cost = {"fused": None, "operations": 2.0}

    def take(self, epoch, state, index):
        way = "operations" if self._trainer is None else "fused"
        now[0] += next(turns) if way == "fused" else cost[way]
        state.step += 1
        return 1

    monkeypatch.setattr(Stepper, "take", take)
    model, settings = make(ops, x)
    assert autotune.measure(model, settings, x, start(ops, x)) == {"fused": 1.0, "operations": 2.0}


@pytest.mark.parametrize("rows", [1, 5, 7, 8])
def test_a_trial_of_few_rows(quick, rows):
    state = run(with_products("autotune"), grey(rows))
    assert state.steps_by in STEPS_BY and state.stop_reason == "finished"


def test_a_trial_finds_the_slow_way_slow(quick, monkeypatch):
    """Steps of the program that take a hundred times as long."""
    original = Stepper._take_many

    def slow(self, *arguments):
        time.sleep(0.05)
        return original(self, *arguments)

    monkeypatch.setattr(Stepper, "_take_many", slow)
    monkeypatch.setattr("npvae.training.steps.CALL_SECONDS", 0.0)
    assert run(with_products("autotune"), grey(20), epochs=1).steps_by == "operations"


def test_a_run_that_breaks_breaks_by_itself_and_not_in_the_trial(quick):
    x = grey(20)
    x[3, 4] = np.nan
    with pytest.raises(NonFiniteError, match="epoch 1, step"):
        run(with_products("autotune"), x)


@pytest.mark.parametrize("way", STEPS_BY)
def test_a_resumed_run_goes_on_the_way_it_began(monkeypatch, ways, tmp_path, way):
    """Whatever a new trial would find: to the same bits."""
    x, ops = grey(20), with_products("autotune")
    faster(monkeypatch, way)
    whole = run(ops, x, epochs=4)
    model, settings = make(ops, x, epochs=4)
    path, fingerprints = tmp_path / "checkpoint.npz", {"x": 64 * "0"}
    first = checkpoint.Checkpointer(path, model, settings, fingerprints, 0.0)
    run(ops, x, epochs=4, callbacks=[lambda state: state.epoch == 2 and (first.write(state), state.stop("killed"))])
    ways.clear()
    trials = faster(monkeypatch, next(other for other in STEPS_BY if other != way))
    state = checkpoint.read_checkpoint(path, model, settings, fingerprints)
    state.stop_reason = None
    assert_same_bits(run(ops, x, epochs=4, state=state), whole)
    assert not trials and set(ways) == {way}


def test_a_checkpoint_of_an_unknown_way_is_refused(monkeypatch, tmp_path):
    x, ops = grey(20), with_products("autotune")
    model, settings = make(ops, x)
    state = start(ops, x)
    state.steps_by = "magic"
    with pytest.raises(InputError, match="steps_by must be one of .* got 'magic'"):
        checkpoint.Checkpointer(tmp_path / "c.npz", model, settings, {}).write(state)


def test_what_cannot_be_asked_for():
    with pytest.raises(UnknownNameError, match="products.*'fast'.*own.*blas.*autotune"):
        with_products("fast")
    with pytest.raises(InputError, match="'numpy' takes no argument 'products'"):
        backend.get({"name": "numpy", "products": "own"})
    with pytest.raises(UnknownNameError, match="'nunba'"):
        backend.get({"name": "nunba"})
    with pytest.raises(UnknownNameError, match="None"):
        backend.get({"products": "own"})


def test_the_estimator_and_its_file(quick, tmp_path):
    x = grey(30, dtype="float32")
    choice = {"name": "numba", "products": "autotune"}
    vae = VAE(hidden=(5,), epochs=2, backend=choice, threads=1, random_state=0).fit(x)
    vae.save(tmp_path / "m.npz")
    assert VAE.load(tmp_path / "m.npz", backend={"name": "numba", "products": "blas"}).model_.ops.products == "blas"


def test_copies_keep_what_was_asked_for():
    copy = pickle.loads(pickle.dumps(with_products("blas")))
    assert (copy.products, copy.threads) == ("blas", 1)


def test_the_command_line(quick, tmp_path, capsys):
    np.save(tmp_path / "x.npy", grey(30, dtype="float32"))
    train = ["train", "--data", str(tmp_path / "x.npy"), "--epochs", "2", "--hidden", "5", "--no-plots", "--quiet"]
    assert main([*train, "--out", str(tmp_path / "a"), "--backend", "numba:products=autotune"]) == 0
    assert "ms by operations with BLAS" in capsys.readouterr().err
    assert main([*train, "--out", str(tmp_path / "b"), "--backend", "numba:products=fast"]) == 2
    assert main([*train, "--out", str(tmp_path / "b"), "--backend", "numpy:products=own"]) == 2
    assert main([*train, "--out", str(tmp_path / "b"), "--backend", "numba:products"]) == 2
