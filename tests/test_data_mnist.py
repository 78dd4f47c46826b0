"""The public data sets: their file formats on small files, and the real files where NPVAE_DATA has them."""

import gzip
import hashlib
import os
import shutil
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from npvae.data import catalog, load_dataset, published
from npvae.data.formats import read_amat, read_bytes, read_idx, read_labels
from npvae.errors import DataFileError, DownloadError


def idx(array, code=8):
    return bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def amat(rows, end="\n"):
    return "".join(" ".join(map(str, row)) + end for row in rows.tolist()).encode()


@pytest.fixture
def images():
    return np.random.default_rng(1).integers(0, 256, (3, 28, 28), dtype=np.uint8)


BITS = np.random.default_rng(2).integers(0, 2, (4, 784), dtype=np.uint8)


@pytest.fixture
def bits():
    return BITS.copy()


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_idx_is_read_back(tmp_path, images, pack):
    path = tmp_path / "images"
    path.write_bytes(pack(idx(images)))
    read = read_idx(path, (3, 28, 28))
    assert read.dtype == np.uint8 and np.array_equal(read, images)
    read[:] = 0  # the caller's own


@pytest.mark.parametrize(
    "spoil, words",
    [
        (lambda data: data[:-1], ["expected 2368 bytes", "got 2367"]),
        (lambda data: data + b"\0", ["expected 2368 bytes", "got more than 2368"]),
        (lambda data: data[:9], ["expected an array of shape (3, 28, 28)", "got (3,"]),
        (lambda data: b"", ["expected the idx magic number 00000803", "got an empty file"]),
        (lambda data: b"\0\0\x08\x01" + data[4:], ["expected the idx magic number 00000803", "got 00000801"]),
        (lambda data: b"\0\0\x0d\x03" + data[4:], ["expected the idx magic number 00000803", "got 00000d03"]),
        (lambda data: data[:4] + struct.pack(">I", 2) + data[8:], ["(3, 28, 28)", "got (2, 28, 28)"]),
        (lambda data: data[:4] + struct.pack(">I", 2**24 + 3) + data[8:], ["(3, 28, 28)", "got (16777219, 28, 28)"]),
        (lambda data: data[:8] + struct.pack(">II", 14, 56) + data[16:], ["(3, 28, 28)", "got (3, 14, 56)"]),
        (lambda data: gzip.compress(data)[:-9], ["expected a whole gzip file", "got a cut or damaged one"]),
        (lambda data: gzip.compress(data)[:-8] + bytes(8), ["expected a whole gzip file", "CRC"]),
        (lambda data: gzip.compress(data)[:10] + b"\xff" + gzip.compress(data)[11:], ["whole gzip", "invalid"]),
    ],
    ids="cut long head-only empty labels floats count high shape gz-cut gz-crc gz-bits".split(),
)
def test_damaged_idx_is_named_with_expected_and_got(tmp_path, images, spoil, words):
    path = tmp_path / "images.gz"
    path.write_bytes(spoil(idx(images)))
    with pytest.raises(DataFileError) as caught:
        read_idx(path, (3, 28, 28))
    assert str(caught.value).startswith(f"{path}: ")
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_labels_above_nine_are_refused(tmp_path):
    path = tmp_path / "labels"
    path.write_bytes(idx(np.array([0, 9, 5], np.uint8)))
    assert read_labels(path, 3).tolist() == [0, 9, 5]
    path.write_bytes(idx(np.array([], np.uint8)))
    assert read_labels(path, 0).shape == (0,)
    path.write_bytes(idx(np.array([0, 9, 10], np.uint8)))
    with pytest.raises(DataFileError, match="expected labels from 0 to 9, got 10 in row 2"):
        read_labels(path, 3)


@pytest.mark.parametrize("form", ["unix", "windows", "no last newline", "gzip"])
def test_amat_is_read_back(tmp_path, bits, form):
    data = amat(bits, "\r\n" if form == "windows" else "\n")
    if form == "no last newline":
        data = data[:-1]
    path = tmp_path / "rows.amat"
    path.write_bytes(gzip.compress(data) if form == "gzip" else data)
    read = read_amat(path, 4)
    assert read.dtype == np.uint8 and read.flags.c_contiguous and np.array_equal(read, bits)


@pytest.mark.parametrize(
    "spoil, words",
    [
        (lambda data: data[:-5], ["expected 4 lines", "6272 bytes", "got 6268"]),
        (lambda data: data[:-1568], ["expected 4 lines", "got 4704 bytes"]),
        (lambda data: data + b"1 0 1", ["expected 4 lines", "got more than "]),
        (lambda data: data + b"1 0", ["expected 4 lines", "got 6276 bytes"]),
        (lambda data: b"", ["got 0 bytes"]),
        (
            lambda data: data[:1568] + b"2" + data[1569:],
            ["in line 2", "got " + repr(b"2" + amat(BITS)[1569:1592]) + "..."],
        ),
        (lambda data: data[:1568] + b"/" + data[1569:], ["in line 2"]),
        (lambda data: data[:1569] + b"," + data[1570:], ["in line 2"]),
        (lambda data: data[:1567] + b" " + data[1568:], ["in line 1"]),
        (lambda data: data[:3136] + b" " + data[3136:-2] + b"\n", ["in line 3"]),
    ],
    ids=["cut", "row missing", "long", "longer", "empty", "two", "slash", "comma", "no newline", "shifted"],
)
def test_damaged_amat_is_named_with_expected_and_got(tmp_path, bits, spoil, words):
    path = tmp_path / "rows.amat"
    path.write_bytes(spoil(amat(bits)))
    with pytest.raises(DataFileError) as caught:
        read_amat(path, 4)
    assert str(caught.value).startswith(
        f"{path}: expected 4 lines of 784 digits, 6272 bytes in all, got "
        if "lines" in words[0]
        else f"{path}: expected "
    )
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_gzip_is_recognised_by_contents_not_by_name(tmp_path):
    (tmp_path / "a.gz").write_bytes(b"plain")
    (tmp_path / "b").write_bytes(gzip.compress(b"packed"))
    assert read_bytes(tmp_path / "a.gz", 6) == b"plain" and read_bytes(tmp_path / "b", 6) == b"packed"
    assert read_bytes(tmp_path / "a.gz", 3) == b"plai" and read_bytes(tmp_path / "b", 4) == b"packe"


def test_a_gzip_bomb_is_unpacked_no_farther_than_it_has_to_be(tmp_path):
    """100 kB that unpack to 100 MB, in the place of an image set of 2 kB: beside the 2 kB only the unpacking's own
    pieces are kept.
    """
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(bytes(100 << 20), 1))
    tracemalloc.start()
    try:
        with pytest.raises(DataFileError, match="magic number"):
            read_idx(path, (3, 28, 28))
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


@pytest.fixture
def small_binarized(monkeypatch, tmp_path, bits):
    """Let binarized-mnist have 4, 3 and 2 rows; write it in a folder, the parts in different forms."""
    files = published.FILES["binarized-mnist"]
    rows = {"x_train": 4, "x_valid": 3, "x_test": 2}
    served = {part: amat(bits[4 - count :]) for part, count in rows.items()}
    monkeypatch.setitem(
        published.FILES,
        "binarized-mnist",
        {
            part: files[part]._replace(rows=rows[part], size=len(data), sha256=hashlib.sha256(data).hexdigest())
            for part, data in served.items()
        },
    )
    monkeypatch.setenv("NPVAE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NPVAE_DATA", str(tmp_path / "mine"))
    folder = tmp_path / "mine" / "binarized-mnist"
    folder.mkdir(parents=True)
    (folder / "binarized_mnist_train.amat").write_bytes(amat(bits))
    (folder / "binarized_mnist_valid.amat.gz").write_bytes(gzip.compress(amat(bits[1:])))
    (folder / "binarized_mnist_test.amat.gz").write_bytes(gzip.compress(amat(bits[2:])))
    return folder


def test_binarized_has_three_parts_and_no_labels(small_binarized, bits):
    data = load_dataset("binarized-mnist", download=False)
    assert np.array_equal(data.x_train, bits)
    assert np.array_equal(data.x_valid, bits[1:]) and np.array_equal(data.x_test, bits[2:])
    assert data.y_train is None and data.y_test is None
    assert data.divide_by == 1.0 and data.image_shape == (28, 28)
    assert "order of their classes" in data.description and "x_valid (3, 784)" in repr(data)


def test_files_of_a_user_without_a_home(small_binarized, monkeypatch, bits):
    monkeypatch.setattr(catalog, "cache_folder", lambda: None)
    assert np.array_equal(load_dataset("binarized-mnist", download=False).x_train, bits)
    (small_binarized / "binarized_mnist_train.amat").write_bytes(b"0 1\n")
    with pytest.raises(DataFileError, match="got 4 bytes$"):
        load_dataset("binarized-mnist", download=False)


def test_damage_in_the_users_folder_is_reported_not_replaced(small_binarized, tmp_path):
    shutil.copytree(tmp_path / "mine", tmp_path / "cache")  # a good copy, which comes second
    path = small_binarized / "binarized_mnist_valid.amat.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataFileError) as caught:
        load_dataset("binarized-mnist", download=False)
    assert str(path) in str(caught.value) and "delete" not in str(caught.value)


def test_damage_in_the_cache_tells_to_delete(small_binarized, tmp_path, monkeypatch):
    (tmp_path / "mine").rename(tmp_path / "cache")
    (tmp_path / "cache" / "binarized-mnist" / "binarized_mnist_test.amat.gz").write_bytes(b"0 1\n")
    with pytest.raises(DataFileError, match=r"binarized_mnist_test.*got 4 bytes; delete this file"):
        load_dataset("binarized-mnist", download=False)


def test_what_was_downloaded_is_compared_with_its_digest_again(small_binarized, tmp_path):
    """One digit changed in the cache is as readable as before; in a folder of the user's own it is the user's
    business.
    """
    train = small_binarized / "binarized_mnist_train.amat"
    changed = bytearray(train.read_bytes())
    changed[0] ^= 1
    train.write_bytes(changed)
    load_dataset("binarized-mnist", download=False)
    (tmp_path / "mine").rename(tmp_path / "cache")
    with pytest.raises(
        DataFileError, match="binarized_mnist_train.amat: expected the 6272 bytes that were published.*delete this file"
    ):
        load_dataset("binarized-mnist", download=False)
    changed[0] ^= 1
    (tmp_path / "cache" / "binarized-mnist" / "binarized_mnist_train.amat").write_bytes(changed)
    load_dataset("binarized-mnist", download=False)


def test_the_folder_argument_comes_before_the_environment(small_binarized, tmp_path, bits):
    other = tmp_path / "other" / "binarized-mnist"
    other.mkdir(parents=True)
    (other / "binarized_mnist_train.amat").write_bytes(amat(1 - bits))
    (other / "binarized_mnist_valid.amat").write_bytes(amat(1 - bits[1:]))
    (other / "binarized_mnist_test.amat").write_bytes(amat(1 - bits[2:]))
    data = load_dataset("binarized-mnist", folder=tmp_path / "other", download=False)
    assert np.array_equal(data.x_train, 1 - bits)


#: Bytes and rows of the files of MNIST as on LeCun's page, of the others as they are served; a row of amat is 784
#: digits, each with a character behind it.
PUBLISHED = {
    "mnist": ((9912422, 60000), (28881, 60000), (1648877, 10000), (4542, 10000)),
    "fashion-mnist": ((26421880, 60000), (29515, 60000), (4422102, 10000), (5148, 10000)),
    "binarized-mnist": ((78_400_000, 50000), (15_680_000, 10000), (15_680_000, 10000)),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_files_are_those_that_their_publishers_describe(monkeypatch, tmp_path, name):
    """As the user is told of them where they are missing; and read in their place, by readers that believe in the
    rows they are told.
    """
    monkeypatch.setenv("NPVAE_HOME", str(tmp_path))
    monkeypatch.delenv("NPVAE_DATA", raising=False)
    with pytest.raises(DownloadError) as caught:
        load_dataset(name, download=False)
    lines = str(caught.value).splitlines()[-len(PUBLISHED[name]) :]
    assert [int(line.split()[1]) for line in lines] == [size for size, _ in PUBLISHED[name]]
    monkeypatch.setattr(
        catalog,
        "obtain",
        lambda name, *rest: {part: tmp_path / file.name for part, file in published.FILES[name].items()},
    )
    nothing = np.broadcast_to(np.uint8(0), (60000, 784))
    monkeypatch.setattr(catalog, "read_idx", lambda path, shape, _: nothing[: shape[0]])
    monkeypatch.setattr(catalog, "read_labels", lambda path, rows, _: nothing[:rows, 0])
    monkeypatch.setattr(catalog, "read_amat", lambda path, rows, _: nothing[:rows])
    data = load_dataset(name)
    parts = (
        (data.x_train, data.x_valid, data.x_test)
        if data.y_train is None
        else (data.x_train, data.y_train, data.x_test, data.y_test)
    )
    assert [len(part) for part in parts] == [rows for _, rows in PUBLISHED[name]]
    assert (data.name, data.image_shape, data.divide_by) == (
        name,
        (28, 28),
        1.0 if name == "binarized-mnist" else 255.0,
    )
    assert (
        all(part.shape[1:] == (784,) for part in (data.x_train, data.x_test))
        and data.description == published.DESCRIPTIONS[name]
    )


def test_table_of_published_files_is_consistent():
    files = [file for parts in published.FILES.values() for file in parts.values()]
    assert len({file.sha256 for file in files}) == len(files) == 11
    assert all(len(file.sha256) == 64 and int(file.sha256, 16) for file in files)
    assert set(published.FILES) == set(published.MIRRORS) == set(published.DESCRIPTIONS)
    urls = [url for urls in published.MIRRORS.values() for url in urls]
    assert all(url.startswith("http") and url.endswith("/") for url in urls)


def real(name):
    """Return the real data set, or skip."""
    folder = os.environ.get("NPVAE_DATA")
    if not folder or not (Path(folder) / name).is_dir():
        pytest.skip(f"NPVAE_DATA names no folder with {name}")
    return load_dataset(name, download=False)


@pytest.mark.parametrize(
    "name, train_mean, test_mean", [("mnist", 33.3184, 33.7912), ("fashion-mnist", 72.9404, 73.1466)]
)
def test_real_grey_sets(name, train_mean, test_mean):
    data = real(name)
    assert data.x_train.shape == (60000, 784) and data.x_test.shape == (10000, 784)
    assert data.x_train.dtype == data.y_train.dtype == np.uint8 and data.divide_by == 255.0
    assert data.x_train.min() == 0 and data.x_train.max() == 255
    assert round(float(data.x_train.mean()), 4) == train_mean
    assert round(float(data.x_test.mean()), 4) == test_mean
    train, test = np.bincount(data.y_train), np.bincount(data.y_test)
    if name == "mnist":
        assert train.tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
        assert test.tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    else:
        assert train.tolist() == [6000] * 10 and test.tolist() == [1000] * 10


def test_real_binarized_set():
    data = real("binarized-mnist")
    shapes = [part.shape for part in (data.x_train, data.x_valid, data.x_test)]
    assert shapes == [(50000, 784), (10000, 784), (10000, 784)]
    means = [round(float(part.mean()), 5) for part in (data.x_train, data.x_valid, data.x_test)]
    assert means == [0.13056, 0.13113, 0.13251]
    assert np.unique(data.x_train).tolist() == [0, 1]


def test_embedded_digits_are_the_first_of_each_class_of_the_real_training_set():
    data, digits = real("mnist"), load_dataset("digits")
    first = np.stack([np.flatnonzero(data.y_train == c)[:500] for c in range(10)]).T.ravel()
    assert np.array_equal(data.x_train[first], np.concatenate([digits.x_train, digits.x_test]))
    assert np.array_equal(data.y_train[first], np.concatenate([digits.y_train, digits.y_test]))
