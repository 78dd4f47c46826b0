"""A run killed at any moment and resumed ends with the same bits as one never interrupted."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from small import grey_rows, small_vae

from npvae import VAE
from npvae.errors import InputError, ModelFileError

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
            [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent
        )

    whole = start(tmp_path / "whole.npz")
    whole.communicate()
    assert whole.returncode == 0

    killed = tmp_path / "killed.npz"
    for epochs, pause in ((3, 0.0), (30, 0.003), (40, 0.011)):
        process = start(killed)
        for _ in range(epochs):
            process.stdout.readline()
        time.sleep(pause)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    last = start(killed)
    first_epoch = int(last.communicate()[0].split()[0])
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


@pytest.mark.parametrize(("changes", "words"), [
    ({"learning_rate": 0.5}, "learning_rate = 0.001, this run has 0.5"),
    ({"hidden": (4,)}, "hidden"),
    ({"random_state": 9}, "seed = 1"),
    ({"optimizer": "adam"}, "optimizer"),
    ({"x": grey_rows(seed=8)}, "data"),
])
def test_another_run_cannot_be_resumed(tmp_path, changes, words):
    path = tmp_path / "c.npz"
    fit(path)
    with pytest.raises(InputError) as error:
        fit(path, **changes)
    assert words in str(error.value)


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
