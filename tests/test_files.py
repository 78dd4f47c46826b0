"""Writing files: modes and links kept, the temporary files of dead writers removed and those of living ones left."""

from __future__ import annotations

import errno
import io
import os
import re
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from npvae.errors import DataFileError, InputError
from npvae.support.files import (
    Stream,
    _keep_owner_and_mode,
    is_stream,
    remove_leftovers,
    write_atomically,
    write_text_atomically,
)
from npvae.support.reading import open_file

#: Writes half a file, says so, and waits to be killed.
WRITER = """
import sys
from npvae.support.files import write_atomically
def write(file):
    file.write(b"half"); file.flush(); print("writing", flush=True); sys.stdin.read()
write_atomically(sys.argv[1], write)
"""


@pytest.mark.skipif(os.name != "posix", reason="modes are of POSIX")
@pytest.mark.parametrize(("mask", "new"), [(0o027, 0o640), (0, 0o666)])
def test_an_old_files_mode_is_kept_and_a_new_one_has_the_umasks(tmp_path, mask, new):
    old_mask = os.umask(mask)
    try:
        for mode in (0o600, 0o644, 0o660, 0o755):
            path = tmp_path / f"{mode:o}"
            path.write_text("old")
            path.chmod(mode)
            seen = []
            write_atomically(path, lambda file, seen=seen: seen.append(stat.S_IMODE(os.fstat(file.fileno()).st_mode)))
            assert stat.S_IMODE(path.stat().st_mode) == mode and seen == [0o600]
        write_text_atomically(tmp_path / "new", "text")
        assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == new
    finally:
        os.umask(old_mask)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may give files away")
def test_the_owner_is_kept(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    os.chown(path, 1234, 4321)
    write_text_atomically(path, "new")
    assert (path.stat().st_uid, path.stat().st_gid) == (1234, 4321) and path.read_text() == "new"


def test_links_are_followed(tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "dangling").symlink_to("later")
    write_text_atomically(tmp_path / "link", "new")
    write_text_atomically(tmp_path / "dangling", "new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_text() == "new" == (
        tmp_path / "later"
    ).read_text()


def test_dead_writers_files_are_removed_and_living_ones_left(tmp_path):
    pytest.importorskip("fcntl")
    for name in ("target [1].npz", "m" * 200):
        path = tmp_path / name
        path.write_text("old")
        arguments = [sys.executable, "-c", WRITER, str(path)]
        with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
            try:
                assert writer.stdout.readline() == "writing\n"
                write_text_atomically(path, "new")
                remove_leftovers(path)
                assert len(list(tmp_path.glob("*.part"))) == 1
            finally:
                writer.send_signal(signal.SIGKILL)
                writer.communicate(timeout=30)
        others = tmp_path / ".other.npz.12345678.part"
        others.write_text("not ours")
        write_text_atomically(path, "newer")
        assert (
            sorted(entry.name for entry in tmp_path.iterdir()) == sorted([others.name, path.name])
            and path.read_text() == "newer"
        )
        path.unlink()
        others.unlink()


def test_a_failing_writer_leaves_the_old_file_and_names_it(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def full(file):
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    def short(file):
        raise OSError("392000 requested and 3040 written")

    for write, words in (
        (full, "No space left on device: '.*file'"),
        (short, "file cannot be written, the disk may be full: 392000"),
    ):
        with pytest.raises(OSError, match=words):
            write_atomically(path, write)
    assert path.read_text() == "old" and [entry.name for entry in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("code", [errno.EXDEV, errno.EBUSY, errno.EPERM])
def test_where_nothing_can_be_renamed(tmp_path, monkeypatch, code):
    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="the file is complete, but cannot take its name here"):
        write_text_atomically(tmp_path / "file", "text")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not os.path.exists("/dev/stdout"), reason="no such names here")
def test_streams_are_known_by_any_name_and_never_replaced(tmp_path):
    (tmp_path / "out").symlink_to("/dev/stdout")
    (tmp_path / "file").write_text("")
    os.mkfifo(tmp_path / "pipe")
    for name in ("/dev/stdout", "/dev/fd/1", "/dev/null", "/proc/self/fd/2", tmp_path / "out", tmp_path / "pipe"):
        assert is_stream(name) is True, name
        with pytest.raises(OSError, match="not an ordinary file"):
            write_text_atomically(name, "text")
    for name in (tmp_path / "file", tmp_path, tmp_path / "nowhere", "/dev/fd/x", ""):
        assert is_stream(name) is False, name


def test_what_goes_to_a_stream_goes_whole_or_not_at_all(capsys):
    def fail(file):
        file.write(b"half")
        raise ValueError

    with pytest.raises(ValueError):
        write_atomically(Stream("-"), fail)
    write_atomically(Stream("-"), lambda file: file.write(b"whole"))
    assert capsys.readouterr().out == "whole"


def test_what_was_printed_before_comes_before(monkeypatch):
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", out)
    print("before")
    write_text_atomically(Stream("-"), "text")
    assert out.buffer.getvalue() == b"before\ntext"
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(OSError, match="it is closed: 'standard output'"):
        write_text_atomically(Stream("-"), "text")


@pytest.mark.skipif(not os.path.exists("/dev/fd/1"), reason="no such names here")
def test_as_many_links_are_followed_as_linux_follows(tmp_path, monkeypatch):
    """Forty; a folder on the way may be one too, and a link may be relative to its own."""
    target = "/dev/fd/1"
    for i in range(40):
        (tmp_path / f"link{i}").symlink_to(target)
        target = f"link{i}"
    assert Stream(tmp_path / "link38").is_stdout and not Stream(tmp_path / "link39").is_stdout
    (tmp_path / "folder").symlink_to("/dev/fd")
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "up").symlink_to("../link0")
    assert Stream(tmp_path / "folder" / "1").is_stdout and Stream(tmp_path / "inner" / "up").is_stdout
    monkeypatch.chdir(tmp_path / "inner")
    assert Stream("up").is_stdout and Stream("/dev/fd/1/").is_stdout
    assert not Stream(tmp_path / "1").is_stdout and not Stream("/dev/fd/2").is_stdout


def test_temporary_files_are_hidden_and_named_after_the_path(tmp_path):
    for name, start in (("short.npz", ".short.npz."), ("m" * 200, "." + "m" * 60 + ".")):
        seen = []
        write_atomically(
            tmp_path / name, lambda file, seen=seen: seen.extend(entry.name for entry in tmp_path.glob(".*"))
        )
        assert len(seen) == 1 and re.fullmatch(re.escape(start) + r"[0-9a-f]{8}\.part", seen[0])


@pytest.mark.parametrize("taken", [1, 3, None])
def test_a_pipe_may_take_a_part_at_a_time(monkeypatch, taken):
    """As a raw standard output does; None: all of it."""

    class Raw(io.RawIOBase):
        parts, flushed = b"", 0

        def write(self, data):
            self.parts += bytes(data[:taken])
            return taken if taken is None else min(taken, len(data))

        def flush(self):
            self.flushed += 1

    raw = Raw()
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=raw, flush=lambda: None))
    write_text_atomically(Stream("-"), "0123456789")
    assert raw.parts == b"0123456789" and raw.flushed == 1


@pytest.mark.parametrize(
    ("name", "suffix", "path"), [("-", ".npz", "-.npz"), ("/dev/fd/9", "", "/dev/fd/9"), ("a.npz", ".npz", "a.npz")]
)
def test_a_stream_as_a_path(name, suffix, path):
    stream = Stream(name, suffix)
    assert os.fspath(Stream(Path(name), suffix)) == path  # as a path, too
    assert os.fspath(stream) == path and repr(stream) == f"Stream({name!r})" and stream.is_stdout is (name == "-")


def test_an_open_file_is_written_to_where_it_is(tmp_path):
    pytest.importorskip("fcntl")
    if not os.path.exists("/dev/fd"):
        pytest.skip("no such names here")
    with open(tmp_path / "file", "w+b", buffering=0) as file:
        file.write(b"before ")
        stream = Stream(f"/dev/fd/{file.fileno()}")
        assert not stream.is_stdout
        write_text_atomically(stream, "text")
        file.write(b" after")
        assert (tmp_path / "file").read_bytes() == b"before text after"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (BrokenPipeError(32, "Broken pipe"), (32, "Broken pipe", "standard output")),
        (OSError(5, "Input/output error"), (5, "Input/output error", "standard output")),
        (OSError(2, "No such file", "other"), (2, "No such file", "other")),
        (OSError("words alone"), (None, None, None)),
    ],
)
def test_an_error_of_a_stream_names_it(monkeypatch, error, said):
    def fail(data):
        raise error

    monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=SimpleNamespace(write=fail), flush=lambda: None))
    with pytest.raises(type(error)) as caught:
        write_text_atomically(Stream("-"), "text")
    assert (caught.value.errno, caught.value.strerror, caught.value.filename) == said


# How a file is written


def test_a_file_is_on_the_disk_and_locked_before_it_has_its_name(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")
    events, files = [], []
    replace, fsync = os.replace, os.fsync

    def synced(handle):
        events.append(("synced", os.fstat(handle).st_size))
        fsync(handle)

    def replaced(old, new):
        with open(old, "rb") as other:
            try:
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
                events.append("not locked")
            except BlockingIOError:
                events.append(("named", os.stat(old).st_size, files[0].closed))
        replace(old, new)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)

    def write(file):
        files.append(file)
        file.write(b"1234")

    write_atomically(tmp_path / "file", write)
    assert events == [("synced", 4), ("named", 4, False)] and (tmp_path / "file").read_bytes() == b"1234"


def test_without_locks_a_file_is_closed_before_it_has_its_name(tmp_path, monkeypatch):
    """As Windows wants it; and there nobody removes what is open."""
    monkeypatch.setattr("npvae.support.files.fcntl", None)
    files, replace = [], os.replace
    monkeypatch.setattr(os, "replace", lambda old, new: (files.append(files[0].closed), replace(old, new)))
    (tmp_path / ".file.01234567.part").write_text("left")
    write_atomically(tmp_path / "file", lambda file: files.append(file))
    assert files[1] is True and [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_another_error_comes_through_also_where_the_temporary_file_is_gone(tmp_path):
    def fail(file):
        for entry in tmp_path.glob(".file.*.part"):
            entry.unlink()
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        write_atomically(tmp_path / "file", fail)
    with pytest.raises(FileNotFoundError) as caught:
        write_atomically(tmp_path / "file", lambda file: open(tmp_path / "nowhere"))
    assert caught.value.filename == str(tmp_path / "nowhere")


def test_what_is_write_protected_is_left_alone(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_text("old")
    monkeypatch.setattr(os, "access", lambda path, how: how != os.W_OK)  # which root always has
    with pytest.raises(PermissionError, match="file is write-protected"):
        write_text_atomically(path, "new")
    write_text_atomically(tmp_path / "other", "new")
    assert path.read_text() == "old" and (tmp_path / "other").read_text() == "new"


def test_leftovers_are_known_by_their_whole_name(tmp_path):
    pytest.importorskip("fcntl")
    (tmp_path / "folder").mkdir()
    path = tmp_path / "folder" / "a+b (1).npz"
    (tmp_path / "link").symlink_to(path)
    others = [
        ".a+b (1).npz.0123456.part",
        ".a+b (1).npz.0123456g.part",
        ".aab (1).npz.01234567.part",
        "x.a+b (1).npz.01234567.part",
        ".a+b (1).npz.01234567.party",
        "a+b (1).npz",
    ]
    for name in [*others, ".a+b (1).npz.01234567.part", ".a+b (1).npz.fedcba98.part"]:
        (path.parent / name).write_text("")
    (path.parent / ".a+b (1).npz.aaaaaaaa.part").symlink_to(path)  # not ours: what we make is no link
    before = descriptors()
    remove_leftovers(tmp_path / "link")
    assert sorted(entry.name for entry in path.parent.iterdir()) == sorted([*others, ".a+b (1).npz.aaaaaaaa.part"])
    assert descriptors() == before
    remove_leftovers(tmp_path / "no such folder" / "file")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_among_the_leftovers_keeps_nobody_waiting(tmp_path):
    os.mkfifo(tmp_path / ".file.01234567.part")
    thread = threading.Thread(target=remove_leftovers, args=(tmp_path / "file",), daemon=True)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()


def test_a_temporary_name_that_is_taken_is_not_taken_again(tmp_path, monkeypatch):
    names = iter(["01234567", "01234567", "89abcdef"])
    monkeypatch.setattr("npvae.support.files.secrets.token_hex", lambda count: next(names)[: 2 * count])
    monkeypatch.setattr("npvae.support.files.remove_leftovers", lambda path: None)
    taken = tmp_path / ".file.01234567.part"
    taken.write_text("somebody else's")
    write_text_atomically(tmp_path / "file", "text")
    assert taken.read_text() == "somebody else's" and (tmp_path / "file").read_text() == "text" and list(names) == []


def test_a_temporary_file_taken_for_a_dead_writer_s_is_made_anew(tmp_path, monkeypatch):
    """Between its making and its locking; and where the file system knows no locks it is used as it is."""
    fcntl = pytest.importorskip("fcntl")
    made = []

    def lock(file, how):
        made.append(file)
        assert how == fcntl.LOCK_EX
        if len(made) == 1:
            os.unlink(next(tmp_path.glob(".file.*.part")))

    monkeypatch.setattr("npvae.support.files.fcntl.flock", lock)
    write_text_atomically(tmp_path / "file", "text")
    assert len(made) == 2 and made[0].closed and (tmp_path / "file").read_text() == "text"

    def no_locks(file, how):
        raise OSError(errno.ENOTSUP, "no locks")

    monkeypatch.setattr("npvae.support.files.fcntl.flock", no_locks)
    write_text_atomically(tmp_path / "file", "again")
    assert (tmp_path / "file").read_text() == "again"


@pytest.mark.skipif(not hasattr(os, "fchown"), reason="no owners here")
def test_the_group_is_kept_where_the_owner_cannot_be(tmp_path, monkeypatch):
    path, calls = tmp_path / "file", []
    path.write_text("old")
    stat_of = path.stat()

    def refuse(handle, owner, group):
        calls.append((owner, group))
        if owner != -1:
            raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "fchown", refuse)
    write_text_atomically(path, "new")
    assert calls == []  # the owner is the same
    fake = os.stat_result((stat_of.st_mode, 0, 0, 1, 1234, 4321, 0, 0, 0, 0))
    with open(path, "rb") as file:
        _keep_owner_and_mode(file.fileno(), fake)
        assert calls == [(1234, 4321), (-1, 4321)]
        monkeypatch.setattr(os, "fchown", lambda *call: calls.append(call[1:]))
        _keep_owner_and_mode(file.fileno(), fake)
    assert calls[2:] == [(1234, 4321)]


# Reading


def descriptors() -> list[str]:
    """The open files of this process."""
    return sorted(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else []


def test_an_ordinary_file_is_opened_with_its_size(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    file, size = open_file(path)
    with file:
        assert size == 5 and file.read() == b"12345" and os.get_inheritable(file.fileno()) is False


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(InputError, match="is a folder, not a file$"):
        open_file(tmp_path)
    with pytest.raises(DataFileError, match="is a folder, not a file$"):
        open_file(tmp_path, DataFileError)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (stat.S_IFIFO, "a named pipe"),
        (stat.S_IFCHR, "a device"),
        (stat.S_IFBLK, "a device"),
        (stat.S_IFSOCK, "a socket"),
        (stat.S_IFDIR, "a folder"),
        (0, "not an ordinary file"),
    ],
)
def test_what_is_no_ordinary_file_is_said_and_closed(tmp_path, monkeypatch, kind, words):
    path = tmp_path / "file"
    path.write_bytes(b"")
    before = descriptors()
    with monkeypatch.context() as patch, pytest.raises(InputError) as error:
        patch.setattr("npvae.support.reading.os.fstat", lambda handle: SimpleNamespace(st_mode=kind | 0o644))
        open_file(path)
    assert str(error.value) == f"{path} is {words}; expected an ordinary file: copy its contents into one first"
    assert descriptors() == before
