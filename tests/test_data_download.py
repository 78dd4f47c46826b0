"""Fetching data sets, against a server on 127.0.0.1 that cuts, corrupts and ignores."""

import gzip
import hashlib
import os
import socket
import struct
import urllib.request

import numpy as np
import processes
import pytest
from loopback import serve

from npvae.data import load_dataset, published
from npvae.data.places import cache_folder
from npvae.data.published import PublishedFile
from npvae.errors import DownloadError, InputError

ROWS = 3


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with serve() as state:
        yield state


@pytest.fixture
def small_mnist(monkeypatch, tmp_path):
    """Replace MNIST by four tiny files; return their contents by name. The cache is a fresh folder."""
    monkeypatch.setenv("NPVAE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("NPVAE_DATA", raising=False)
    rng = np.random.default_rng(0)
    bodies, files = {}, {}
    for part, name, axes in [
        ("x_train", "xa.gz", (ROWS, 28, 28)),
        ("y_train", "ya.gz", (ROWS,)),
        ("x_test", "xb.gz", (ROWS, 28, 28)),
        ("y_test", "yb.gz", (ROWS,)),
    ]:
        head = bytes([0, 0, 8, len(axes)]) + struct.pack(f">{len(axes)}I", *axes)
        numbers = rng.integers(0, 10, axes, dtype=np.uint8)
        bodies[name] = gzip.compress(head + numbers.tobytes())
        files[part] = PublishedFile(name, hashlib.sha256(bodies[name]).hexdigest(), len(bodies[name]), ROWS)
    monkeypatch.setitem(published.FILES, "mnist", files)
    return bodies


def mirrors(monkeypatch, server, *names):
    """Let the mirrors be the folders ``names`` of the server."""
    monkeypatch.setitem(published.MIRRORS, "mnist", [f"{server.url}{name}/" for name in names])


def offer(server, folder, bodies):
    server.bodies.update({f"/{folder}/{name}": body for name, body in bodies.items()})


def cached():
    return {path.name: path.read_bytes() for path in (cache_folder() / "mnist").glob("*")}


def test_good_mirror_fills_the_cache_and_is_asked_once(monkeypatch, server, small_mnist):
    mirrors(monkeypatch, server, "a", "b")
    offer(server, "a", small_mnist)
    first = load_dataset("mnist")
    assert cached() == small_mnist  # exactly the files: no part file is left
    assert sorted(server.requests) == sorted((f"/a/{name}", None) for name in small_mnist)
    again = load_dataset("mnist", download=False)
    assert len(server.requests) == 4
    expected = np.frombuffer(gzip.decompress(small_mnist["xb.gz"])[16:], np.uint8).reshape(ROWS, 784)
    assert np.array_equal(again.x_test, expected) and np.array_equal(first.x_train, again.x_train)


def test_files_in_the_users_folder_are_not_fetched(monkeypatch, server, small_mnist, tmp_path):
    mirrors(monkeypatch, server, "a")
    offer(server, "a", small_mnist)
    mine = tmp_path / "mine" / "mnist"
    mine.mkdir(parents=True)
    (mine / "xa.gz").write_bytes(small_mnist["xa.gz"])
    (mine / "ya").write_bytes(gzip.decompress(small_mnist["ya.gz"]))  # unpacked is as good
    monkeypatch.setenv("NPVAE_DATA", str(tmp_path / "mine"))
    load_dataset("mnist")
    assert [path for path, _ in server.requests] == ["/a/xb.gz", "/a/yb.gz"]


def test_corrupted_mirror_is_followed_by_the_next(monkeypatch, server, small_mnist):
    mirrors(monkeypatch, server, "bad", "good")
    offer(server, "good", small_mnist)
    offer(server, "bad", {name: body[:-1] + b"!" for name, body in small_mnist.items()})
    load_dataset("mnist")
    assert cached() == small_mnist
    assert ("/good/xa.gz", None) in server.requests  # from the beginning: the bad bytes were dropped


def test_corrupted_everywhere_leaves_nothing_behind(monkeypatch, server, small_mnist):
    mirrors(monkeypatch, server, "bad")
    bad = small_mnist["xa.gz"][:-1] + b"!"
    offer(server, "bad", {"xa.gz": bad})
    with pytest.raises(DownloadError, match="wrong contents") as caught:
        load_dataset("mnist")
    assert hashlib.sha256(bad).hexdigest() in str(caught.value)
    assert cached() == {}
    assert len(server.requests) == 1


def test_cut_transfer_goes_on_where_it_stopped(monkeypatch, server, small_mnist):
    mirrors(monkeypatch, server, "a")
    offer(server, "a", small_mnist)
    server.cut_after["/a/xa.gz"], server.padding = [100, None], "  "
    load_dataset("mnist")
    assert server.requests[:2] == [("/a/xa.gz", None), ("/a/xa.gz", "bytes=100-")]
    assert cached() == small_mnist


def test_next_mirror_goes_on_where_the_first_stopped(monkeypatch, server, small_mnist):
    mirrors(monkeypatch, server, "a", "b")
    offer(server, "a", {"xa.gz": small_mnist["xa.gz"]})
    offer(server, "b", small_mnist)
    server.cut_after["/a/xa.gz"] = [100, 0]
    load_dataset("mnist")
    assert [r for r in server.requests if r[0].endswith("xa.gz")] == [
        ("/a/xa.gz", None),
        ("/a/xa.gz", "bytes=100-"),
        ("/b/xa.gz", "bytes=100-"),
    ]
    assert cached() == small_mnist


def test_next_call_goes_on_where_the_last_stopped(monkeypatch, server, small_mnist):
    mirrors(monkeypatch, server, "a")
    offer(server, "a", small_mnist)
    server.cut_after["/a/xa.gz"] = [50, 50, 50]
    with pytest.raises(DownloadError, match=f"ended after 150 of {len(small_mnist['xa.gz'])} bytes"):
        load_dataset("mnist")
    assert cached() == {"xa.gz.part": small_mnist["xa.gz"][:150]}  # nothing under the final name
    load_dataset("mnist")
    assert server.requests[3] == ("/a/xa.gz", "bytes=150-")
    assert cached() == small_mnist


def test_server_without_ranges_begins_anew(monkeypatch, server, small_mnist):
    server.ranges = False
    mirrors(monkeypatch, server, "a")
    offer(server, "a", small_mnist)
    server.cut_after["/a/xa.gz"] = [100, None]
    load_dataset("mnist")
    assert server.requests[:2] == [("/a/xa.gz", None), ("/a/xa.gz", "bytes=100-")]
    assert len(server.requests) == 2 + 3  # the second request sufficed
    assert cached() == small_mnist


def test_server_that_answers_with_another_range_is_left(monkeypatch, server, small_mnist):
    server.range_shift = -1
    mirrors(monkeypatch, server, "a")
    offer(server, "a", small_mnist)
    server.cut_after["/a/xa.gz"] = [100, None]
    size = len(small_mnist["xa.gz"])
    with pytest.raises(DownloadError, match=f"asked for bytes 100-{size - 1}, was offered 'bytes 99-"):
        load_dataset("mnist")
    assert cached() == {"xa.gz.part": small_mnist["xa.gz"][:100]}


@pytest.mark.parametrize("leftover", ["some bytes", "full length", "too long"])
def test_bad_part_file_of_an_earlier_run_is_dropped(monkeypatch, server, small_mnist, leftover):
    mirrors(monkeypatch, server, "a")
    offer(server, "a", small_mnist)
    size = {"some bytes": 20, "full length": len(small_mnist["xa.gz"]), "too long": 9000}[leftover]
    part = cache_folder() / "mnist" / "xa.gz.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"?" * size)
    load_dataset("mnist")
    assert cached() == small_mnist


@pytest.mark.parametrize("announce", [True, False])
@pytest.mark.parametrize("change", ["longer", "other"])
def test_a_page_in_place_of_the_file_is_refused(monkeypatch, server, small_mnist, announce, change):
    server.announce_length = announce
    mirrors(monkeypatch, server, "portal", "good")
    page = small_mnist["xa.gz"] + b"more" * 50_000 if change == "longer" else b"<html>please log in</html>"
    offer(server, "portal", {"xa.gz": page})
    offer(server, "good", small_mnist)
    load_dataset("mnist")
    assert cached() == small_mnist
    # What follows the bytes of the file is not even asked for, unless its length says before that this is another file.
    assert (("/good/xa.gz", None) in server.requests) == (announce or change == "other")


def test_bytes_are_on_the_disk_before_the_file_has_its_name(monkeypatch, server, small_mnist):
    mirrors(monkeypatch, server, "a")
    offer(server, "a", small_mnist)
    synced = []
    monkeypatch.setattr(os, "fsync", lambda number: synced.append(os.fstat(number).st_size))
    load_dataset("mnist")
    assert synced == [len(body) for body in small_mnist.values()]


def test_message_names_each_mirror_and_its_reason(monkeypatch, server, small_mnist):
    offer(server, "cut", {"xa.gz": small_mnist["xa.gz"]})
    server.cut_after["/cut/xa.gz"] = [0]
    offer(server, "long", {"xa.gz": small_mnist["xa.gz"] + b"x"})
    mirrors(monkeypatch, server, "none", "cut", "long")
    with pytest.raises(DownloadError) as caught:
        load_dataset("mnist")
    size = len(small_mnist["xa.gz"])
    lines = str(caught.value).splitlines()
    assert f"  {server.url}none/: HTTP status 404 Not Found" in lines
    assert f"  {server.url}cut/: the connection ended after 0 of {size} bytes" in lines
    assert f"  {server.url}long/: expected {size} bytes, was offered {size + 1}" in lines


def test_offline_message_says_what_to_put_where(monkeypatch, small_mnist, tmp_path):
    monkeypatch.setenv("no_proxy", "*")
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        address = f"http://127.0.0.1:{reserved.getsockname()[1]}/"
        monkeypatch.setitem(published.MIRRORS, "mnist", [address])
        with pytest.raises(DownloadError) as caught:
            load_dataset("mnist", folder=tmp_path / "mine", timeout=5.0)
    message = str(caught.value)
    assert isinstance(caught.value, OSError)
    assert "refused" in message and address in message and "NPVAE_DATA" in message
    assert str(tmp_path / "mine" / "mnist") in message and str(cache_folder() / "mnist") in message
    for file in published.FILES["mnist"].values():
        assert f"mnist/{file.name}  {file.size} bytes  sha256 {file.sha256}" in message
    assert cached() == {}


def test_what_was_fetched_before_an_error_is_not_missing(monkeypatch, server, small_mnist):
    mirrors(monkeypatch, server, "a")
    offer(server, "a", {name: small_mnist[name] for name in ("xa.gz", "ya.gz")})
    with pytest.raises(DownloadError) as caught:
        load_dataset("mnist")
    assert [line.split()[0] for line in str(caught.value).splitlines()[-2:]] == ["mnist/xb.gz", "mnist/yb.gz"]
    assert "mnist/ya.gz" not in str(caught.value) and set(cached()) == {"xa.gz", "ya.gz"}


def test_only_the_missing_files_are_asked_for(monkeypatch, small_mnist):
    folder = cache_folder() / "mnist"
    folder.mkdir(parents=True)
    (folder / "xa.gz").write_bytes(small_mnist["xa.gz"])
    with pytest.raises(DownloadError, match="download=False") as caught:
        load_dataset("mnist", download=False)
    message = str(caught.value)
    assert "xa.gz" not in message and "ya.gz" in message and "yb.gz" in message


def test_a_silent_server_is_left_after_the_timeout(monkeypatch, small_mnist):
    monkeypatch.setenv("no_proxy", "*")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()  # the system takes the connection, nobody ever answers
        monkeypatch.setitem(published.MIRRORS, "mnist", [f"http://127.0.0.1:{silent.getsockname()[1]}/"])
        opened, waits = urllib.request.urlopen, []
        monkeypatch.setattr(
            urllib.request,
            "urlopen",
            lambda request, timeout: waits.append(timeout) or opened(request, timeout=timeout),
        )
        with pytest.raises(DownloadError, match="timed out"):
            load_dataset("mnist", timeout=0.1)
        assert waits == [0.1]
        monkeypatch.setattr(
            urllib.request, "urlopen", lambda request, timeout: waits.append(timeout) or opened(request, timeout=0.1)
        )
        with pytest.raises(DownloadError, match="timed out"):
            load_dataset("mnist")
        assert waits[1:] == [30.0]


def test_cache_that_cannot_be_written_is_named(monkeypatch, small_mnist, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NPVAE_HOME", str(tmp_path / "file"))
    with pytest.raises(DownloadError, match="Cannot write the cache folder .*file.*\n.*NPVAE_HOME"):
        load_dataset("mnist")


def test_progress_grows_to_the_total_also_after_a_cut(monkeypatch, server, small_mnist):
    mirrors(monkeypatch, server, "a")
    offer(server, "a", small_mnist)
    server.cut_after["/a/xa.gz"] = [100, None]
    seen = []
    load_dataset("mnist", progress=lambda done, total, name: seen.append((name, done, total)))
    size = len(small_mnist["xa.gz"])
    done = [done for name, done, total in seen if name == "xa.gz" and total == size]
    assert done[0] == 100 and done == sorted(set(done)) and done[-1] == size
    assert {name for name, _, _ in seen} == set(small_mnist)


def test_an_interrupt_leaves_a_part_file_that_is_used_later(monkeypatch, server, small_mnist):
    mirrors(monkeypatch, server, "a")
    offer(server, "a", small_mnist)

    def interrupt(done, total, name):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_dataset("mnist", progress=interrupt)
    assert set(cached()) == {"xa.gz.part"}
    load_dataset("mnist")
    assert cached() == small_mnist


def test_nothing_is_printed(monkeypatch, server, small_mnist, capfd):
    mirrors(monkeypatch, server, "a")
    offer(server, "a", small_mnist)
    load_dataset("mnist")
    assert capfd.readouterr() == ("", "")


def test_import_loads_no_network_code():
    import sys

    names = ("urllib.request", "ssl", "http.client")
    code = f"import npvae.data, sys; print([m for m in {names} if m in sys.modules])"
    done = processes.run([sys.executable, "-c", code], check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("home", ["", "nowhere", None])
def test_without_a_home_there_is_no_cache_and_the_variable_is_named(monkeypatch, small_mnist, tmp_path, home):
    """A user without a name in /etc/passwd, where HOME is not set or no path."""
    for name in ("NPVAE_HOME", "XDG_CACHE_HOME", "LOCALAPPDATA", "NPVAE_DATA", "USERPROFILE", "HOMEPATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path.replace("~", "~" if home is None else home))
    monkeypatch.chdir(tmp_path)
    assert cache_folder() is None
    with pytest.raises(DownloadError, match="(?s)Looked in: no folder.*NPVAE_HOME can name another folder"):
        load_dataset("mnist")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder() is None and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["NPVAE_HOME", "NPVAE_DATA"])
def test_a_variable_with_the_home_of_nobody_is_named(monkeypatch, small_mnist, name):
    monkeypatch.setenv(name, "~no-such-user/data")
    with pytest.raises(
        InputError, match=f"{name} begins with a home folder that is not known here: '~no-such-user/data'"
    ):
        load_dataset("mnist")


def test_a_cache_that_may_not_be_looked_into_is_as_if_empty(monkeypatch, small_mnist, tmp_path):
    """Others get a PermissionError of every look into /root."""
    monkeypatch.setenv("NPVAE_HOME", str(tmp_path / "closed"))
    stat = os.stat

    def refuse(path, *rest, **options):
        if str(path).startswith(str(tmp_path / "closed")):
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, *rest, **options)

    monkeypatch.setattr(os, "stat", refuse)
    with pytest.raises(DownloadError, match="download=False"):
        load_dataset("mnist", download=False)


@pytest.mark.parametrize(
    "platform, variables, expected",
    [
        ("linux", {"NPVAE_HOME": "/h", "XDG_CACHE_HOME": "/x"}, "/h"),
        ("linux", {"XDG_CACHE_HOME": "/x"}, "/x/npvae"),
        ("linux", {"HOME": "/home/u"}, "/home/u/.cache/npvae"),
        ("win32", {"LOCALAPPDATA": "/local", "XDG_CACHE_HOME": "/x"}, "/local/npvae"),
    ],
)
def test_cache_folder(monkeypatch, platform, variables, expected):
    for name in ("NPVAE_HOME", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.platform", platform)
    assert cache_folder().as_posix() == expected
