"""A run killed at any moment and resumed ends with the same bits as one never interrupted."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import processes
import pytest
import sealed
from small import grey_rows, small_vae

from npvae import VAE, TableImputer
from npvae import backend as backends
from npvae.errors import InputError, ModelFileError, ResumedElsewhereWarning, TrainingInterrupted
from npvae.estimators import preparation
from npvae.training import train
from npvae.training.checkpoint import (
    Checkpointer,
    CheckpointFile,
    Copies,
    Keeper,
    _is_foreign,
    check_resume,
    data_fingerprint,
    data_fingerprints,
    describe_state,
    inspect_checkpoint,
    plain_history,
    read_checkpoint,
    refuse_difference,
    refuse_other_data,
    refuse_other_environment,
    restore_state,
)
from npvae.training.history import History
from npvae.training.loop import initial_state

PROGRAM = """
import sys
from small import grey_rows, small_vae
vae = small_vae(epochs=120, optimizer={optimizer!r}, validation_fraction=0.25, patience=120, kl_warmup=3,
                schedule={{"name": "exponential", "decay": 0.99}}, binarize="dynamic", clip_norm=5.0)
def report(state):
    print(state.epoch, flush=True)
vae.fit(grey_rows(), callbacks=[report], checkpoint={path!r}, checkpoint_seconds=0.0, resume=True)
vae.save({path!r} + ".model.npz")
"""


@pytest.mark.parametrize("optimizer", ["rmsprop", "adam"])
def test_killed_and_resumed_is_never_interrupted(tmp_path, optimizer):
    """Three SIGKILLs at arbitrary moments, then the bits of parameters and history are compared."""

    def start(path):
        program = PROGRAM.format(path=str(path), optimizer=optimizer)
        return subprocess.Popen(
            [sys.executable, "-c", program],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parent,
            start_new_session=True,
        )

    whole = start(tmp_path / "whole.npz")
    processes.finish(whole)
    assert whole.returncode == 0

    killed = tmp_path / "killed.npz"
    for epochs, pause in ((3, 0.0), (30, 0.003), (40, 0.011)):
        process = start(killed)
        for _ in range(epochs):
            process.stdout.readline()
        time.sleep(pause)
        process.send_signal(signal.SIGKILL)
        processes.finish(process)
        assert process.returncode == -signal.SIGKILL
    last = start(killed)
    first_epoch = int(processes.finish(last)[0].split()[0])
    assert last.returncode == 0
    assert first_epoch > 3  # it went on, it did not start again

    a, b = VAE.load(tmp_path / "whole.npz.model.npz"), VAE.load(tmp_path / "killed.npz.model.npz")
    np.testing.assert_array_equal(a.theta_.view(np.uint32), b.theta_.view(np.uint32))
    for name in a.history_:
        if name != "seconds":
            assert a.history_[name] == b.history_[name], name


def fit(path, x=None, resume=True, **changes):
    return small_vae(**changes).fit(grey_rows() if x is None else x, checkpoint=path, resume=resume)


def test_more_epochs_go_on_from_the_end(tmp_path):
    path = tmp_path / "c.npz"
    fit(path, epochs=2)
    seen = []
    more = small_vae(epochs=5).fit(
        grey_rows(), checkpoint=path, resume=True, callbacks=[lambda state: seen.append(state.epoch)]
    )
    assert seen == [3, 4, 5]
    np.testing.assert_array_equal(more.theta_, small_vae(epochs=5).fit(grey_rows()).theta_)


def test_a_finished_run_is_not_run_again(tmp_path):
    path = tmp_path / "c.npz"
    first = fit(path)
    seen = []
    second = small_vae().fit(grey_rows(), checkpoint=path, resume=True, callbacks=[seen.append])
    assert not seen
    np.testing.assert_array_equal(first.theta_, second.theta_)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"learning_rate": 0.5}, "learning_rate = 0.001, this run has 0.5"),
        ({"hidden": (4,)}, "hidden"),
        ({"random_state": 9}, "seed = 1"),
        ({"optimizer": "adam"}, "optimizer"),
        ({"x": grey_rows(seed=8)}, "data"),
    ],
)
def test_another_run_cannot_be_resumed(tmp_path, changes, words):
    path = tmp_path / "c.npz"
    fit(path)
    with pytest.raises(InputError) as error:
        fit(path, **changes)
    assert words in str(error.value) and str(error.value).startswith(f"{path} cannot be resumed: ")
    what = "model" if "hidden" in changes else "settings"
    assert "x" in changes or f": its {what} has " in str(error.value)


def test_the_length_is_part_of_a_cosine_run(tmp_path):
    path = tmp_path / "c.npz"
    fit(path, schedule="cosine")
    with pytest.raises(InputError, match="epochs = 3, this run has 6"):
        fit(path, schedule="cosine", epochs=6)


def test_a_damaged_checkpoint_is_refused_and_kept(tmp_path):
    path = tmp_path / "c.npz"
    fit(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelFileError, match="damaged"):
        fit(path)
    assert path.read_bytes() == whole[: len(whole) // 2]


def test_without_resume_the_run_starts_again(tmp_path):
    path = tmp_path / "c.npz"
    fit(path)
    seen = []
    small_vae().fit(grey_rows(), checkpoint=path, callbacks=[lambda state: seen.append(state.epoch)])
    assert seen == [1, 2, 3]


def test_the_first_checkpoint_is_of_the_start(tmp_path):
    """A run that ends in its first epoch goes on from there, to the same bits; random numbers of its own make it no
    other run.
    """
    path, whole = tmp_path / "c.npz", small_vae().fit(grey_rows())

    class Ended(Exception):
        pass

    def end(state):
        raise Ended

    with pytest.raises(Ended):
        small_vae().fit(grey_rows(), checkpoint=path, callbacks=[end])
    assert inspect_checkpoint(path)[0].epoch == 0
    np.testing.assert_array_equal(fit(path).theta_, whole.theta_)


@pytest.mark.parametrize("patience", [None, 30])
def test_what_ends_a_run_loses_no_epoch(tmp_path, patience):
    """Checkpoints are due every hour; when an error or Ctrl-C ends the run the last whole epoch is kept all the
    same.
    """
    changes = {"epochs": 7, "optimizer": "adam", "validation_fraction": 0.25, "patience": patience}
    whole = small_vae(**changes).fit(grey_rows())
    for number, error in enumerate((KeyboardInterrupt, RuntimeError, None)):
        path, seen = tmp_path / f"{number}.npz", []

        def end(state, error=error):
            if state.epoch == 5:
                if error is not None:
                    raise error
                os.kill(os.getpid(), signal.SIGINT)

        with pytest.raises(error or TrainingInterrupted):
            small_vae(**changes).fit(grey_rows(), checkpoint=path, checkpoint_seconds=3600, callbacks=[end])
        state = inspect_checkpoint(path)[0]
        assert state.epoch == state.history.epochs == (5 if error is None else 4)
        resumed = small_vae(**changes).fit(
            grey_rows(), checkpoint=path, resume=True, callbacks=[lambda state, seen=seen: seen.append(state.epoch)]
        )
        assert seen == list(range(state.epoch + 1, 8))
        np.testing.assert_array_equal(resumed.theta_, whole.theta_)
        assert {name: whole.history_[name] for name in whole.history_ if name != "seconds"} == {
            name: resumed.history_[name] for name in resumed.history_ if name != "seconds"
        }


@pytest.mark.parametrize(
    ("backend", "name", "value"),
    [
        ("numpy", "NumPy", "9.9.9"),
        ("numpy", "threads of BLAS", "64"),
        ("numpy", "BLAS", "another"),
        ("numpy", "instructions", "none"),
        ("numba", "products", "blas"),
        ("numba", "program", "another"),
        ("numba", "BLAS", "another"),
    ],
)
def test_a_run_is_not_resumed_where_it_would_have_other_bits(monkeypatch, tmp_path, backend, name, value):
    """Unless its user insists, and then with a warning; on the number of the program's own threads no bit depends."""
    if backends.reason_against(backend) is not None:
        pytest.skip(f"no {backend} here")
    path = tmp_path / "c.npz"
    fit(path, backend=backend, threads=1)
    ops = backends.get(backend, threads=1)
    assert name in ops.bits_depend_on() and ("threads of BLAS" in ops.bits_depend_on()) == (backend == "numpy")
    before = ops.bits_depend_on()
    monkeypatch.setattr(type(ops), "bits_depend_on", lambda self: {**before, name: value})
    words = re.escape(f"{name} was {before[name]}, here {value}")
    with pytest.raises(InputError, match=f'to the same bits: {words}; .*resume="anyway"'):
        fit(path, backend=backend, epochs=5)
    with pytest.warns(ResumedElsewhereWarning, match=words):
        assert fit(path, backend=backend, epochs=5, resume="anyway").history_.epochs == 5


def test_a_run_begun_on_numba_is_another_on_numpy(tmp_path):
    if backends.reason_against("numba") is not None:
        pytest.skip("no numba here")
    path = tmp_path / "c.npz"
    fit(path, backend="numba")
    with pytest.raises(InputError, match="backend was numba, here numpy"):
        fit(path, backend="numpy", epochs=4)
    with pytest.warns(ResumedElsewhereWarning):
        fit(path, backend="numpy", epochs=4, resume="anyway")
    fit(path, backend="numpy", epochs=5)  # now it is one of NumPy's
    for resume in ("yes", 1, None):
        with pytest.raises(InputError, match='resume must be False, True or "anyway"'):
            fit(path, resume=resume)


def edited(path, changed=None, **changes):
    """The checkpoint of a run with Adam and early stopping, whose header or arrays are changed, and its digests made
    right.
    """
    arguments = {"optimizer": "adam", "validation_fraction": 0.25, "patience": 9}
    fit(path, **arguments)
    arrays = sealed.read(path)[1]
    sealed.edit(
        path,
        {name: None if change is None else change(arrays[name]) for name, change in (changed or {}).items()},
        **changes,
    )
    return {**arguments, "epochs": 4}


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"optimizer/m": None}, "the array 'optimizer/m' is missing"),
        (
            {"optimizer/m": lambda m: m[:3]},
            r"optimizer/m is float32 of shape \(3,\); this run has float32 of shape \(110,\)",
        ),
        ({"optimizer/v": lambda v: v[:0]}, r"optimizer/v is float32 of shape \(0,\)"),
        ({"optimizer/m": lambda m: m.astype("f8")}, "optimizer/m is float64"),
        ({"optimizer/m": lambda m: m.reshape(2, -1)}, "of shape"),
        (
            {"optimizer/v": lambda v: np.where(np.arange(v.size) == 3, -1e-30, v).astype("f4")},
            "optimizer/v is a mean of squares, but negative",
        ),
        ({"optimizer/v": lambda v: -1 - v}, "optimizer/v is a mean of squares, but negative"),
        ({"optimizer/m": lambda m: m * np.nan}, "optimizer/m is not finite"),
        ({"theta": lambda theta: theta.astype("f8")}, "theta is float64"),
        ({"theta": lambda theta: np.concatenate([theta, theta])}, "theta is float32 of shape"),
        ({"theta": lambda theta: theta * np.inf}, "theta is not finite"),
        ({"theta": None}, "'theta' is missing"),
        ({"best_theta": None}, "do not belong together"),
        ({"best_theta": lambda theta: theta[1:]}, "best_theta is float32 of shape"),
    ],
)
def test_arrays_that_do_not_fit_never_reach_compiled_code(tmp_path, backend, changed, words):
    path = tmp_path / "c.npz"
    arguments = edited(path, changed)
    if backend == "numba":
        pytest.importorskip("numba")
        arguments = {**arguments, "backend": "numba"}
    with pytest.raises(ModelFileError, match=words):
        fit(path, **arguments)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"epoch": "1"}, "epoch must be a whole number"),
        ({"epoch": -3}, "epoch must be"),
        ({"epoch": 1.5}, "epoch must be"),
        ({"epoch": 0}, "of epoch 0, but its history has 3"),
        ({"epoch": 2}, "of epoch 2, but its history has 3"),
        ({"step": 1}, "of epoch 3, but of step 1"),
        ({"step": 24}, "of epoch 3, but of step 24"),
        ({"step": 10**30}, "step must be"),
        ({"history": {}}, "of epoch 3, but its history has 0"),
        ({"history__val_elbo": sealed.REMOVED}, "history lacks the column 'val_elbo'|not that of"),
        ({"history__bound": [1.0] * 3}, "has the column 'bound'"),
        ({"history__loss": [1.0, None, 2.0]}, r"history\.loss\[1\] must be a finite number"),
        ({"best_elbo": None}, "do not belong together"),
        ({"best_elbo": 1.0}, "best validation ELBO is not that of epoch"),
        ({"best_epoch": 7}, "do not belong together"),
        ({"best_epoch": 0}, "do not belong together"),
        ({"stop_reason": [1]}, "stop_reason"),
        ({"stop_reason": "\x1b[2J"}, "stop_reason"),
        ({"steps_by": "magic"}, "steps_by"),
        ({"data": {"x": "0"}}, "SHA-256"),
        ({"unknown": 1}, "unknown entry"),
        ({"data": {str(i): "0" * 64 for i in range(11)}}, "data must be"),
        ({"command": []}, "command must be"),
        ({"best_epoch": 4}, "do not belong together"),
        ({"best_epoch": -1}, "best_epoch must be"),
    ],
)
def test_a_header_that_contradicts_itself_is_refused(tmp_path, changes, words):
    path = tmp_path / "c.npz"
    arguments = edited(path, **changes)
    with pytest.raises(ModelFileError, match=words):
        fit(path, **arguments)


@pytest.mark.parametrize("resume", [False, True, "anyway"])
@pytest.mark.parametrize("kind", ["model", "imputer"])
def test_a_checkpoint_takes_no_place_of_a_model(tmp_path, kind, resume):
    x, path = grey_rows(), tmp_path / "kept.npz"
    holes = np.where(np.arange(x.size).reshape(x.shape) % 7 == 0, np.nan, x)
    imputer = TableImputer(members=1, epochs=1, imputation_samples=5, random_state=0, backend="numpy")
    (small_vae(epochs=1).fit(x) if kind == "model" else imputer.fit(holes)).save(path)
    before = path.read_bytes()
    words = rf"kept.npz holds an? {kind} of npvae, not a checkpoint: choose another path"
    for fit in (lambda **k: small_vae(epochs=1).fit(x, **k), lambda **k: imputer.fit(holes, **k)):
        with pytest.raises(InputError, match=words):
            fit(checkpoint=path, resume=resume)
        assert path.read_bytes() == before and [each.name for each in tmp_path.iterdir()] == ["kept.npz"]


@pytest.mark.parametrize("name", ["data.npz", "data.npy", "data.csv"])
def test_a_checkpoint_takes_no_place_of_data(tmp_path, name):
    x, path = grey_rows(), tmp_path / name
    {".npz": lambda: np.savez(path, x=x), ".npy": lambda: np.save(path, x), ".csv": lambda: np.savetxt(path, x)}[
        path.suffix
    ]()
    before = path.read_bytes()
    with pytest.raises(
        InputError,
        match=f"{name} is no checkpoint of npvae, and is not written over: choose another path, or remove it",
    ):
        small_vae(epochs=1).fit(x, checkpoint=path)
    assert path.read_bytes() == before and [each.name for each in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("start", [b"", bytes(1000)])
def test_a_checkpoint_takes_the_place_of_an_empty_file(tmp_path, start):
    path = tmp_path / "c.npz"
    path.write_bytes(start)
    small_vae(epochs=1).fit(grey_rows(), checkpoint=path)
    assert inspect_checkpoint(path)[0].epoch == 1


@pytest.mark.parametrize(
    ("resume", "fits"),
    [(False, True), (True, True), ("anyway", True), (0, False), (1, False), (None, False), ("yes", False), ("", False)],
)
def test_how_a_run_may_be_taken_up_again(resume, fits):
    if fits:
        assert check_resume(resume) is resume
    else:
        with pytest.raises(InputError, match='^resume must be False, True or "anyway", got '):
            check_resume(resume)


def test_what_is_kept_is_written_when_it_is_time_and_the_latest_at_the_end(monkeypatch):
    now, written = [100.0], []
    monkeypatch.setattr("npvae.training.checkpoint.time.monotonic", lambda: now[0])

    def write(header, arrays):
        written.append((header, arrays["a"].tolist()))

    array = np.zeros(1)
    with Keeper(write, 10.0) as keeper:
        for i, seconds in enumerate((0.0, 9.9, 0.1, 1.0, 1.0, 3.0)):
            now[0] += seconds
            array[0] = i
            keeper.keep(i, {"a": array}, now=i == 4)
        array[0] = 99  # what is to be written is what was kept
    assert written == [(0, [0]), (2, [2]), (4, [4]), (5, [5])]
    with Keeper(write, 10.0) as keeper:
        keeper.keep(6, {"a": array})
    assert len(written) == 5 and written[-1][0] == 6  # nothing is written twice
    for error in (None, OSError):

        def full(header, arrays):
            raise OSError("no space left")

        with pytest.raises(KeyError if error else OSError), Keeper(full, 10.0) as keeper:
            keeper._waiting = (0, {})
            if error:
                raise KeyError  # what ended the run is said, not that it could not be written
    for seconds in (-1.0, -1e-9):
        with pytest.raises(InputError, match="checkpoint_seconds must be"):
            Keeper(write, seconds)
    with Keeper(write, 0.0) as keeper:
        for i in (7, 8):
            keeper.keep(i, {"a": array})
    assert [header for header, _ in written[-2:]] == [7, 8] and len(written) == 7


def test_without_the_data_arrays_are_to_fit_the_parameters(tmp_path):
    path = tmp_path / "c.npz"
    run = preparation.prepare(small_vae(optimizer="adam", backend="numpy"), grey_rows())
    written = Checkpointer(path, run.model, run.settings, {}, 0.0)
    written.write(initial_state(run.model, run.settings, run.x))
    assert read_checkpoint(path, run.model, run.settings, {}).step == 0
    for change, words in (
        ({"theta": None}, "the array 'theta' is missing"),
        ({"optimizer/m": np.zeros(110)}, "optimizer/m is float64"),
    ):
        written.write(initial_state(run.model, run.settings, run.x))
        sealed.edit(path, change)
        with pytest.raises(ModelFileError, match=f"c.npz: {words}"):
            read_checkpoint(path, run.model, run.settings, {})


def test_copies_are_of_what_was_last_given():
    copies = Copies()
    for array in (np.zeros(2), np.ones(2), np.ones(3), np.ones((3, 1)), np.ones(3, np.float32), np.full(3, 2.0)):
        found = copies.of({"a": array, "b": array})
        for name in ("a", "b"):
            np.testing.assert_array_equal(found[name], array)
            assert found[name].dtype == array.dtype and not np.shares_memory(found[name], array)
    assert copies.of({"b": array}).keys() == {"b"}


def test_the_last_state_is_written_at_once(tmp_path):
    """Whether the run's epochs are over or something stopped it; others when it is time."""
    run = preparation.prepare(small_vae(epochs=3, dtype="float64", backend="numpy"), grey_rows())
    for stopped, wanted in ((None, [1, 1, 3]), ("enough", [1, 2])):
        path, seen = tmp_path / f"{stopped}.npz", []
        write = Checkpointer(path, run.model, run.settings, data_fingerprints(run.x, None), 3600.0)

        def look(state, write=write, path=path, seen=seen, stopped=stopped):
            if state.epoch == 2 and stopped:
                state.stop(stopped)
            write(state)
            seen.append(inspect_checkpoint(path)[0].epoch)

        train(run.model, run.settings, run.x, state=initial_state(run.model, run.settings, run.x), callbacks=[look])
        assert seen == wanted
    write.write(initial_state(run.model, run.settings, run.x))
    assert inspect_checkpoint(path)[0].epoch == 0


def test_a_state_that_comes_back_is_in_memory_of_its_own():
    run = preparation.prepare(small_vae(optimizer="adam", dtype="float64", backend="numpy"), grey_rows())
    state = initial_state(run.model, run.settings, run.x)
    state.best_theta, state.best_elbo, state.best_epoch, state.epoch, state.step = state.theta + 1.0, -3.5, 1, 2, 12
    state.steps_by, state.stop_reason, state.history = (
        "fused",
        "enough",
        History({"epoch": [1, 2, 3], "loss": [0.5, 0.25, 0.125]}),
    )
    header, arrays = describe_state(run.model.ops, state)
    assert header["best_elbo"] == -3.5 and set(arrays) == {"theta", "best_theta", "optimizer/m", "optimizer/v"}
    before = {name: array.copy() for name, array in arrays.items()}
    again = restore_state(run.model.ops, plain_history(header), arrays)
    np.testing.assert_array_equal(again.best_theta, state.best_theta)
    for name in ("best_elbo", "best_epoch", "epoch", "step", "steps_by", "stop_reason"):
        assert getattr(again, name) == getattr(state, name), name
    assert again.history == {"epoch": [1, 2], "loss": [0.5, 0.25]}  # the third is of an epoch that had not ended
    for array in (again.theta, again.best_theta, *again.optimizer_state.values()):
        array += 1.0
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, before[name])
    state.best_theta = None
    assert describe_state(run.model.ops, state)[0]["best_elbo"] is None


def test_fingerprints_are_of_shape_dtype_and_numbers():
    x = np.arange(24.0).reshape(4, 6)
    known = [x, x.reshape(6, 4), x.astype(np.float32), x + 1, x[:, ::2], np.zeros((0, 6)), np.zeros((0, 5))]
    found = [data_fingerprint(array) for array in known]
    assert len(set(found)) == len(known) and all(len(digest) == 64 for digest in found)
    assert data_fingerprint(x[:, ::2]) == data_fingerprint(x[:, ::2].copy()) and data_fingerprint(
        x.T.copy().T
    ) == data_fingerprint(x)
    assert data_fingerprints(x, None) == {"x": found[0]} and data_fingerprints(x, x + 1) == {
        "x": found[0],
        "x_valid": found[3],
    }


@pytest.mark.parametrize(
    ("start", "foreign"),
    [
        (b"", False),
        (bytes(9), False),
        (b"a,b\n", True),
        (b'PK "npvae-checkpoint', False),
        (b"x" * 40_000 + b'"npvae-model', False),
        (b"x" * 70_000 + b'"npvae-model', True),
        (b"x" * 130_000 + b'"npvae-model', True),
    ],
)
def test_files_of_others_are_told_by_their_beginning(tmp_path, start, foreign):
    path = tmp_path / "f"
    path.write_bytes(start)
    assert _is_foreign(path) is foreign and _is_foreign(tmp_path / "nothing") is False


def test_differences_are_named_in_order_and_from_both_sides():
    both = {"b": 1, "a": 1, "c": 1}
    refuse_difference("p", "model", both, dict(both))
    refuse_difference("p", "model", both, {**both, "a": 2}, free=("a",))
    for found, wanted, words in (
        (both, {"a": 2, "b": 2, "c": 2}, "p cannot be resumed: its model has a = 1, this run has 2"),
        (both, {"a": 1, "b": 1}, "c = 1, this run has None"),
        ({"a": 1, "b": 1}, both, "c = None, this run has 1"),
        ({"seed": 1}, {"seed": 2}, "seed = 1, this run has 2; give random_state, or a seed, to resume"),
        ({"a": 1}, {"a": 2}, "this run has 2$"),
    ):
        with pytest.raises(InputError, match=words):
            refuse_difference("p", "model", found, wanted)
    for found, wanted, words in (
        ({"x": 1}, {"x": 2}, "the training data"),
        ({"x": 1, "x_valid": 1}, {"x": 1, "x_valid": 2}, "the validation data"),
        ({"x": 1}, {"x": 1, "x_valid": 1}, "the validation data"),
        ({"x": 1, "x_valid": 1}, {"x": 1}, "the validation data"),
        ({"x": 1, "x_valid": 1}, {"x": 2, "x_valid": 2}, "the training data"),
    ):
        with pytest.raises(InputError, match=f"^p cannot be resumed: {words} are not those it was made with"):
            refuse_other_data("p", found, wanted)
    refuse_other_data("p", {"x": 1}, {"x": 1})
    many = {f"y{i}": 1 for i in range(50)}
    with pytest.raises(InputError, match="the validation data"):  # the first in alphabetical order of many
        refuse_other_data("p", {"x_valid": 1, **many}, {})
    with pytest.raises(InputError, match="its model has a = 1"):
        refuse_difference("p", "model", {**many, "a": 1}, {})
    here = {"backend": "numpy", "npvae": "1", "BLAS": "b"}
    for found, words in (
        (
            {**here, "BLAS": "c", "npvae": "0", "z": "1", "y": "2"},
            "npvae was 0, here 1, BLAS was c, here b, y was 2, here none, z was 1, here none;",
        ),
        ({"backend": "numba", "threads": "1"}, "backend was numba, here numpy;"),
        ({"backend": "numpy", "BLAS": "b"}, "npvae was none, here 1;"),
    ):
        with pytest.raises(InputError, match=f"^p cannot be resumed to the same bits: {words}"):
            refuse_other_environment("p", found, here, False)
        with pytest.warns(
            ResumedElsewhereWarning, match=f"^p is resumed elsewhere, not to the same bits: {words[:-1]}$"
        ):
            refuse_other_environment("p", found, here, True)
    refuse_other_environment("p", dict(here), here, False)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"step": 0}, "of epoch 3, but of step 0"),
        ({"step": 2}, "of epoch 3, but of step 2"),
        ({"step": 10}, "of epoch 3, but of step 10"),
        ({"step": 3}, None),
        ({"step": 12}, None),
        ({"settings__epochs": 0}, "contradicts itself: epochs must be"),
        ({"architecture__likelihood": {"name": "cauchy"}}, "cauchy"),
        ({"architecture__latent_dim": 3}, ""),
        (None, "too large for its 0 parameters"),
    ],
)
def test_a_checkpoint_is_looked_at_without_its_data(tmp_path, changes, words):
    path = tmp_path / "c.npz"
    edited(path, {"theta": None} if changes is None else {}, **(changes or {}))
    if words is None:
        state, model, settings = inspect_checkpoint(path)
        assert (state.epoch, state.step, state.history.epochs, settings.patience) == (3, changes["step"], 3, 9)
        assert state.best_elbo == max(state.history["val_elbo"]) and state.theta.shape == (model.layout.size,)
    else:
        with pytest.raises(ModelFileError, match=f"c.npz.*{words}"):
            inspect_checkpoint(path)


def test_a_run_that_watches_a_bound_of_its_own_goes_on_and_fewer_epochs_are_refused(tmp_path):
    path, arguments = (
        tmp_path / "c.npz",
        {"objective": "importance_weighted", "validation_fraction": 0.25, "patience": 9},
    )
    fit(path, **arguments)
    state = inspect_checkpoint(path)[0]
    assert state.best_elbo == max(state.history["val_bound"]) == state.history["val_bound"][state.best_epoch - 1]
    more = fit(path, epochs=5, **arguments)
    np.testing.assert_array_equal(more.theta_, small_vae(epochs=5, **arguments).fit(grey_rows()).theta_)
    with pytest.raises(InputError, match="is of epoch 5, but this run has only 4"):
        fit(path, epochs=4, **arguments)


def test_what_a_killed_run_left_behind_goes_when_a_checkpoint_s_place_is_taken(tmp_path):
    left = tmp_path / ".c.npz.0123abcd.part"
    left.write_bytes(b"half")
    with CheckpointFile(tmp_path / "c.npz").held():
        assert not left.exists()
    with (
        pytest.raises(FileNotFoundError, match="for checkpoints does not exist"),
        CheckpointFile(tmp_path / "no" / "c.npz").held(),
    ):
        pass
