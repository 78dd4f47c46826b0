"""Two runs do not write to one path: the second is refused, and told who holds it, until the first ends, however it
ends.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading

import numpy as np
import pytest
from small import grey_rows, small_vae

from npvae.cli import main
from npvae.errors import InputError
from npvae.support import locks

pytest.importorskip("fcntl")

#: Holds the lock of a path until it is killed, or its standard input is closed.
HOLDER = """
import sys
from npvae.support import locks
with locks.held(sys.argv[1], "wait"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds ``run/checkpoint.npz``."""
    (tmp_path / "run").mkdir()
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "run" / "checkpoint.npz")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.wait(timeout=600)
        process.stdin.close()
        process.stdout.close()


def train(folder, *more):
    return main(["train", "--out", str(folder), "--quiet", "--no-plots", "--epochs", "1", "--hidden", "8", *more])


@pytest.mark.parametrize("flags", [[], ["--overwrite"], ["--resume"]])
def test_the_second_is_refused_and_told_who_holds_it(tmp_path, holder, capsys, flags):
    folder = tmp_path / "run"
    about = f"is being written to by process {holder.pid} on {socket.gethostname()}, since 2"
    assert train(folder, *flags) == 2
    assert about in capsys.readouterr().err
    with pytest.raises(InputError, match=about):
        small_vae().fit(grey_rows(), checkpoint=folder / "checkpoint.npz")
    assert [path.name for path in folder.iterdir()] == [".checkpoint.npz.lock"]


@pytest.mark.parametrize("number", [signal.SIGKILL, None])
def test_a_lock_ends_with_its_process_and_leaves_no_file(tmp_path, holder, number):
    if number is not None:
        holder.send_signal(number)
    holder.communicate(timeout=600)
    assert train(tmp_path / "run") == 0
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"checkpoint.npz", "history.csv", "model.npz"}


def test_a_symbolic_link_is_seen_through(tmp_path, holder):
    (tmp_path / "link").symlink_to(tmp_path / "run")
    with pytest.raises(InputError, match="is being written to"):
        small_vae().fit(grey_rows(), checkpoint=tmp_path / "link" / "checkpoint.npz")


def test_other_threads_are_refused_and_the_own_is_not(tmp_path):
    path, found = tmp_path / "c.npz", []

    def other():
        try:
            with locks.held(path, "wait"):
                found.append("held")
        except InputError as error:
            found.append(str(error))

    with locks.held(path, "wait"), locks.held(tmp_path / "." / "c.npz", "wait"):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert "another thread of this process is writing to" in found[0] and found[1:] == ["held"]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "who"),
    [
        (b"", "another process"),
        (b"{", "another process"),
        (b"[1]", "another process"),
        (b'{"pid": "x"}', "another process"),
        (b'{"pid": 1, "host": "a"}', "another process"),
        (b'{"pid": 1, "host": "a", "since": 3}' + b" " * 5000, "process 1 on a, since 3"),
        (b" " * 4096 + b'{"pid": 1, "host": "a", "since": 3}', "another process"),
        (b'{"pid": 1, "host": "a", "since": 3}'.rjust(4096), "process 1 on a, since 3"),
        (b'{"pid": 1, "host": "a", "since": 3}'.rjust(4097), "another process"),
        (b'{"pid": 1, "host": "\\u001b[31m", "since": "\\u009b"}', "process 1 on \\x1b[31m, since \\x9b"),
    ],
)
def test_what_a_lock_s_file_says_is_not_trusted(tmp_path, text, who):
    import fcntl

    file = tmp_path / ".c.npz.lock"
    file.write_bytes(text)
    handle = os.open(file, os.O_RDWR)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(InputError) as caught, locks.held(tmp_path / "c.npz", "wait"):
            pass
        assert str(caught.value) == f"{tmp_path.resolve() / 'c.npz'} is being written to by {who}: wait"
    finally:
        os.close(handle)
    with locks.held(tmp_path / "c.npz", "wait"):
        pass
    assert not file.exists()


def test_a_full_disk_takes_no_lock_away(tmp_path, monkeypatch):
    def full(handle, data):
        raise OSError(28, "No space left on device")

    path = tmp_path / "c.npz"
    monkeypatch.setattr(os, "write", full)
    with locks.held(path, "wait"):
        assert [each.name for each in tmp_path.iterdir()] == [".c.npz.lock"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["SemiSupervisedVAE", "TableImputer", "VAE", "LatentClassifier"])
def test_a_second_fit_on_a_checkpoint_is_refused_before_anything_is_trained(tmp_path, kind, monkeypatch):
    import npvae
    from npvae.training import loop

    monkeypatch.setattr(loop, "_run", lambda *arguments: pytest.fail("something is trained"))
    x, path, caught = np.random.default_rng(0).random((30, 4)), tmp_path / "c.npz", []
    features = npvae.VAE(latent_dim=2, hidden=(3,), epochs=1, random_state=0)
    model = {
        "SemiSupervisedVAE": lambda: npvae.SemiSupervisedVAE(
            features, latent_dim=2, hidden=(3,), epochs=1, random_state=1
        ),
        "LatentClassifier": lambda: npvae.LatentClassifier(features),
        "VAE": lambda: features,
        "TableImputer": lambda: npvae.TableImputer(members=1, epochs=1, random_state=1),
    }[kind]()

    def second():
        try:
            model.fit(
                np.where(np.eye(30, 4), np.nan, x) if kind == "TableImputer" else x, np.arange(30) % 2, checkpoint=path
            )
        except InputError as error:
            caught.append(str(error))

    with locks.held(path, "wait"):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
    assert len(caught) == 1 and "c.npz" in caught[0] and "wait for it to end, or choose another path" in caught[0]
    assert not list(tmp_path.iterdir())


def test_where_there_are_no_locks_nothing_is_locked(tmp_path, monkeypatch):
    """No folder, a file system that knows none, a system that knows none."""
    import fcntl

    with locks.held(tmp_path / "no" / "c.npz", "wait"):
        assert not list(tmp_path.iterdir())

    def none(handle, how):
        assert how == fcntl.LOCK_EX | fcntl.LOCK_NB
        raise OSError(95, "Operation not supported")

    before = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0
    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", none)
        with locks.held(tmp_path / "c.npz", "wait"):
            assert not list(tmp_path.iterdir())
    with monkeypatch.context() as patch:
        patch.setattr(locks, "fcntl", None)
        with locks.held(tmp_path / "c.npz", "wait"):
            assert not list(tmp_path.iterdir())
    assert before == (len(os.listdir("/proc/self/fd")) if before else 0) and locks._held == {}


def test_a_lock_whose_file_its_last_holder_removed_is_taken_anew(tmp_path, monkeypatch):
    looked, is_there = [], locks._is_there

    def there(handle, file):
        looked.append(handle)
        if len(looked) == 1:
            file.unlink()  # after it was opened
        return is_there(handle, file)

    monkeypatch.setattr(locks, "_is_there", there)
    with locks.held(tmp_path / "c.npz", "wait"):
        assert len(looked) == 2 and [each.name for each in tmp_path.iterdir()] == [".c.npz.lock"]
        about = json.loads((tmp_path / ".c.npz.lock").read_text())
        assert about["pid"] == os.getpid() and about["host"] == socket.gethostname() and len(about["since"]) == 19
    assert not list(tmp_path.iterdir())


def test_a_lock_s_file_is_no_link_and_holds_nothing_of_an_earlier_one(tmp_path):
    (tmp_path / ".c.npz.lock").write_text("x" * 1000)
    with locks.held(tmp_path / "c.npz", "wait"):
        assert "x" not in json.loads((tmp_path / ".c.npz.lock").read_text())["since"]
    (tmp_path / "other").write_text("other")
    (tmp_path / ".c.npz.lock").symlink_to(tmp_path / "other")
    with locks.held(tmp_path / "c.npz", "wait"):
        assert (tmp_path / "other").read_text() == "other"
