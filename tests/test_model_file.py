"""Model files: what is saved comes back, and a file that is not whole is refused."""

from __future__ import annotations

import io
import json
import os
import sys
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import processes
import pytest
import sealed
from small import grey_rows, small_vae

from npvae import VAE
from npvae.errors import (
    InputError,
    InputTypeError,
    MissingDependencyError,
    ModelFileError,
    NonFiniteError,
    UnregisteredLikelihoodWarning,
)
from npvae.estimators.model_file import refuse_other_arrays, refusing
from npvae.gradcheck.own_gradients import draw_data
from npvae.mathematics import likelihoods
from npvae.mathematics.optimizers import Adam
from npvae.support import npz_file as npvae_io
from npvae.support.files import write_atomically


@pytest.mark.parametrize("likelihood", likelihoods.KNOWN)
def test_a_loaded_model_is_the_saved_one(tmp_path, likelihood):
    likelihood = likelihoods.KNOWN[likelihood].example(6)
    x = draw_data(likelihood, np.random.default_rng(3), 40, 6)
    vae = small_vae(likelihood=likelihood, optimizer=Adam(epsilon=1e-4), schedule="cosine").fit(x)
    vae.save(tmp_path / "m.npz")
    copy = VAE.load(tmp_path / "m.npz")
    np.testing.assert_array_equal(copy.theta_, vae.theta_)
    np.testing.assert_array_equal(copy.transform(x[:5]), vae.transform(x[:5]))
    np.testing.assert_array_equal(copy.sample(3, mean=False), vae.sample(3, mean=False))
    assert copy.elbo(x[:5]) == vae.elbo(x[:5])
    assert dict(copy.history_) == dict(vae.history_)
    assert copy.seed_ == vae.seed_ and copy.stop_reason_ == "finished"
    # ... and can be trained again, to the same parameters.
    np.testing.assert_array_equal(copy.fit(x).theta_, vae.theta_)


def test_shape_units_and_names_come_back(tmp_path):
    images = (grey_rows(20).reshape(20, 2, 3) * 255).astype(np.uint8)
    small_vae(divide_by=255).fit(images).save(tmp_path / "m.npz")
    assert VAE.load(tmp_path / "m.npz").sample(2).shape == (2, 2, 3)

    class Table:
        columns = [f"feature {i}" for i in range(6)]

        def __array__(self, dtype=None, copy=None):
            return grey_rows(20)

    small_vae().fit(Table()).save(tmp_path / "t.npz")
    assert VAE.load(tmp_path / "t.npz").feature_names_in_.tolist() == Table.columns


def test_two_saves_are_the_same_bytes_and_hold_no_pickle(tmp_path):
    vae = small_vae().fit(grey_rows())
    vae.save(tmp_path / "a.npz")
    vae.save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.npz") as file:
        assert sorted(file.namelist()) == ["header.npy", "theta.npy"]
        assert [info.compress_type for info in file.infolist()] == [zipfile.ZIP_STORED] * 2
    header, arrays = sealed.read(tmp_path / "a.npz")
    assert header["format"] == "npvae-model" and header["format_version"] == 2
    assert header["architecture"]["likelihood"] == {"name": "bernoulli"}
    assert header["arrays"] == sealed.stated(arrays)


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "m.npz"
    small_vae().fit(grey_rows()).save(path)
    return path


@pytest.mark.parametrize("keep", [0, 1, 100, 0.5, 0.99, -1])
def test_a_truncated_file_is_refused(saved, keep):
    whole = saved.read_bytes()
    saved.write_bytes(whole[: int(len(whole) * keep) if isinstance(keep, float) else keep])
    with pytest.raises(ModelFileError, match="m.npz"):
        VAE.load(saved)


def test_every_damaged_byte_of_the_parameters_is_noticed(saved):
    whole = bytearray(saved.read_bytes())
    start = whole.index(b"theta.npy") + 200
    whole[start] ^= 0xFF
    saved.write_bytes(bytes(whole))
    with pytest.raises(ModelFileError, match="damaged"):
        VAE.load(saved)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format_version": 3}, "format version 3"),
        ({"format_version": 1}, "train again with this version"),
        ({"format_version": "1"}, "format version"),
        ({"format_version": True}, "format version"),
        ({"format_version": 0}, "it has the format version 0; expected 2"),
        ({"format_version": -1}, "it has the format version -1; expected 2"),
        ({"library_version": "x" * 101}, "library_version must be a text of at most 100 characters"),
        ({"format": "npvae-" + "x" * 31}, "which is none of npvae's"),
        ({"format": None}, "it is of the form None, which is none of npvae's"),
        ({"format": "npvae-checkpoint"}, "npvae-checkpoint"),
        ({"format": "\x1b[31m"}, "'\\x1b[31m', which is none of npvae's"),
        ({"library_version": "\x1b[31m"}, "library_version"),
        ({"estimator": "SomethingElse"}, "SomethingElse"),
        ({"architecture__n_features": 7}, "needs at least 121 parameters, but it has 110"),
        ({"architecture__n_features": 10**12}, "too large"),
        ({"architecture__n_features": 6.0}, "architecture.n_features must be a whole number"),
        ({"architecture__n_features": True}, "architecture.n_features must be a whole number"),
        ({"architecture__latent_dim": 10**30}, "architecture.latent_dim"),
        ({"architecture__hidden": [10**9]}, "too large"),
        ({"architecture__hidden": [1] * 1001}, "architecture.hidden"),
        ({"architecture__hidden": []}, "another architecture"),
        ({"architecture__likelihood": {"name": "nonsense"}}, "nonsense"),
        ({"architecture__likelihood": {"name": "gaussian", "sd": -1.0}}, "sd"),
        ({"architecture__likelihood": {"name": "categorical", "sizes": [10**9]}}, "10"),
        ({"architecture__likelihood": {"name": "table", "columns": [["bernoulli", 1]] * 10**5}}, "too large"),
        ({"architecture__likelihood": [[[[[[[[[[[[1]]]]]]]]]]]]}, "architecture.likelihood"),
        ({"architecture__size": 6}, "size"),
        ({"architecture__hidden": sealed.REMOVED}, "architecture.hidden is missing"),
        ({"parameters__latent": 3}, "latent"),
        ({"parameters__learning_rate": 1e999}, "is not JSON"),
        ({"parameters__learning_rate": "fast"}, "parameters.learning_rate"),
        ({"parameters__dtype": "float64"}, "theta is float32"),
        ({"parameters__optimizer": {"name": "adam", "beta1": 2}}, "parameters.optimizer"),
        ({"parameters__divide_by": 0}, "parameters.divide_by"),
        ({"history": [1]}, "history must be"),
        ({"history__loss": [1.0]}, "history.loss has 1 entries for 3 epochs"),
        ({"history__epoch": [1, 2, 4]}, "history.epoch must be 1, 2, ..., 3"),
        ({"history__kl": [1.0, "x", 2.0]}, "history.kl[1] must be a finite number, got 'x'"),
        ({"history__kl_per_dimension": [[1.0]] * 3}, "1 latent dimensions, its model 2"),
        ({"history__other": [1, 2, 3]}, "other"),
        ({"seed": "x"}, "seed"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**63}, "seed"),
        ({"best_epoch": 4}, "best epoch 4"),
        ({"stop_reason": "\x1b]0;title\x07"}, "stop_reason"),
        ({"sample_shape": [7]}, "sample_shape"),
        ({"sample_shape": "ab"}, "sample_shape must be"),
        ({"column_names": ["a"]}, "1 column names for 6"),
        ({"column_names": [1] * 6}, "column_names[0]"),
        ({"unknown": 1}, "unknown entry 'unknown'"),
        ({"arrays": {}, "digests": False}, "'theta.npy', which its header does not name"),
        ({"arrays__theta__shape": [3], "digests": False}, "expected <f4 of shape (3,)"),
        ({"arrays__theta__dtype": ">f4", "digests": False}, "arrays['theta'].dtype"),
        ({"arrays__theta__sha256": "0" * 64, "digests": False}, "SHA-256"),
        ({"arrays__more": {"dtype": "<f4", "shape": [3], "sha256": "0" * 64}, "digests": False}, "'more' is missing"),
    ],
)
def test_a_header_that_does_not_fit_is_refused(saved, changes, words):
    sealed.edit(saved, **changes)
    with pytest.raises(ModelFileError) as error:
        VAE.load(saved)
    assert words in str(error.value) and str(error.value).startswith(str(saved)) and len(str(error.value)) < 1000


def test_parameters_that_are_not_finite_are_refused(saved):
    theta = sealed.read(saved)[1]["theta"]
    theta[3] = np.nan
    sealed.edit(saved, {"theta": theta})
    with pytest.raises(ModelFileError, match="not all finite"):
        VAE.load(saved)


def test_a_likelihood_that_could_not_be_read_again_is_refused_at_save(tmp_path):
    class Mine(likelihoods.Bernoulli):
        name = "mine"

    with pytest.warns(UnregisteredLikelihoodWarning, match="cannot be saved"):
        vae = small_vae(likelihood=Mine()).fit(grey_rows())
    with pytest.raises(InputError, match=r"npvae.likelihoods.register\(Mine\)"):
        vae.save(tmp_path / "m.npz")
    assert not list(tmp_path.iterdir())


def test_files_that_are_no_model_files(tmp_path):
    with pytest.raises(FileNotFoundError) as missing:
        VAE.load(tmp_path / "nothing.npz")
    assert str(missing.value) == f"no model file at {str(tmp_path / 'nothing.npz')!r}"
    with pytest.raises(FileNotFoundError, match="no model file at 'no such"):
        VAE.load("no such file.npz")
    assert npvae_io.kind_of(tmp_path / "nothing.npz") == npvae_io.kind_of(tmp_path) == ("", "")
    with pytest.raises(ModelFileError, match="folder"):
        VAE.load(tmp_path)
    np.save(tmp_path / "array.npy", np.zeros(3))
    with pytest.raises(ModelFileError, match="single array"):
        VAE.load(tmp_path / "array.npy")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(ModelFileError, match="damaged"):
        VAE.load(tmp_path / "text.npz")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(ModelFileError, match="header"):
        VAE.load(tmp_path / "other.npz")
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(ModelFileError):
        VAE.load(tmp_path / "objects.npy")


def test_a_model_loads_with_another_unknown_backend_refused(saved):
    with pytest.raises(InputError, match="known: 'auto'"):
        VAE.load(saved, backend="tpu")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "f"
    path.write_text("old")

    def fail(file):
        file.write(b"half")
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        write_atomically(path, fail)
    assert path.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["f"]


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path):
    """The operating system refuses to write more than 4 kB to a file: ``save`` raises OSError."""
    pytest.importorskip("resource")
    program = f"""
import resource, signal
from small import grey_rows, small_vae
vae = small_vae(hidden=(400,)).fit(grey_rows())
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    vae.save({str(tmp_path / "m.npz")!r})
except OSError as error:
    print("refused", error.errno)
"""
    (tmp_path / "m.npz").write_text("old")
    done = processes.run([sys.executable, "-c", program], cwd=Path(__file__).parent)
    assert done.stdout.startswith("refused"), done.stderr
    assert (tmp_path / "m.npz").read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["m.npz"]


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="folder .*no does not exist"):
        small_vae().fit(grey_rows()).save(tmp_path / "no" / "m.npz")


def test_what_is_no_ordinary_file_is_left_alone(tmp_path):
    vae = small_vae().fit(grey_rows())
    with pytest.raises(OSError, match="not an ordinary file"):
        vae.save(tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(OSError, match="not an ordinary file"):
            vae.save(tmp_path / "pipe")
    (tmp_path / "real.npz").write_text("old")
    (tmp_path / "link.npz").symlink_to(tmp_path / "real.npz")
    vae.save(tmp_path / "link.npz")
    assert (tmp_path / "link.npz").is_symlink() and VAE.load(tmp_path / "real.npz").n_features_in_ == 6


def test_very_long_names_can_be_written(tmp_path):
    path = tmp_path / ("m" * 240 + ".npz")
    small_vae().fit(grey_rows()).save(path)
    assert VAE.load(path).n_features_in_ == 6


def test_arguments_of_any_kind_are_saved(tmp_path):
    vae = small_vae(
        hidden=np.array([8, 4]),
        latent_dim=np.int64(2),
        optimizer={"name": "adam", "beta1": np.float32(0.5)},
        schedule={"name": "steps", "factors": {np.int64(1): 0.5}},
        epochs=np.int64(3),
        random_state=np.int64(4),
    ).fit(grey_rows(), checkpoint=tmp_path / "c.npz")
    vae.save(tmp_path / "m.npz")
    copy = VAE.load(tmp_path / "m.npz")
    assert list(copy.hidden) == [8, 4] and copy.schedule["factors"] == {"1": 0.5}
    np.testing.assert_array_equal(copy.fit(grey_rows()).theta_, vae.theta_)


def test_arguments_changed_after_the_fit_do_not_change_the_model(tmp_path):
    vae = small_vae(divide_by=2.0).fit(grey_rows())
    z = vae.transform(grey_rows(5))
    vae.set_params(dtype="float64", divide_by=1.0, latent_dim=7)
    np.testing.assert_array_equal(vae.transform(grey_rows(5)), z)
    vae.save(tmp_path / "m.npz")
    np.testing.assert_array_equal(VAE.load(tmp_path / "m.npz").transform(grey_rows(5)), z)


def members_of(path):
    with zipfile.ZipFile(path) as file:
        return [(info.filename, file.read(info)) for info in file.infolist()]


def packed(path, members, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as file:
        for name, data in members:
            file.writestr(name, data)


def of_array(array) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def with_header(text: bytes) -> bytes:
    return of_array(np.frombuffer(text, np.uint8))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m[:1], "'theta' is missing"),
        (lambda m: m[1:], "holds no 'header'"),
        (lambda m: [*m, ("more.npy", m[1][1])], "'more.npy', which its header does not name"),
        (lambda m: [*m, ("README", b"hello")], "'README', which its header does not name"),
        (lambda m: [m[0], ("theta.npy", m[1][1][:-4])], "436 bytes of numbers, 440 by its header"),
        (lambda m: [m[0], ("theta.npy", m[1][1] + bytes(4))], "444 bytes of numbers, 440 by its header"),
        (lambda m: [m[0], ("theta.npy", b"hello")], "no .npy array"),
        (lambda m: [m[0], ("theta.npy", m[1][1].replace(b"'<f4'", b"'>f4'"))], "'theta' is >f4"),
        (lambda m: [m[0], ("theta.npy", m[1][1].replace(b"'<f4'", b"'<i4'"))], "'theta' is <i4"),
        (lambda m: [m[0], ("theta.npy", m[1][1].replace(b"False", b"True "))], "in C order"),
        (lambda m: [("header.npy", with_header(b"[1]")), m[1]], "no JSON object"),
        (lambda m: [("header.npy", with_header(b'{"format": NaN}')), m[1]], "NaN is not JSON"),
        (lambda m: [("header.npy", with_header(b'{"format": "a", "format": "b"}')), m[1]], "two entries of one name"),
        (lambda m: [("header.npy", with_header(b"[" * 100_000)), m[1]], "no JSON"),
        (lambda m: [("header.npy", with_header(b"\xff\xfe")), m[1]], "no JSON"),
        (lambda m: [("header.npy", with_header(b"9" * 5000)), m[1]], "no JSON"),
        (lambda m: [("header.npy", m[1][1]), m[1]], "'header' is <f4"),
        (
            lambda m: [("header.npy", of_array(np.zeros((2, 1), "u1"))), m[1]],
            "'header' is |u1 of shape (2, 1); expected bytes, in C order",
        ),
        (
            lambda m: [("header.npy", of_array(np.zeros((), "u1"))), m[1]],
            "'header' is |u1 of shape (); expected bytes, in C order",
        ),
        (
            lambda m: [m[0], ("theta.npy", of_array(np.zeros((110, 1), "<f4")))],
            "'theta' is <f4 of shape (110, 1); expected <f4 of shape (110,), in C order",
        ),
    ],
)
def test_members_that_are_not_as_the_header_says(saved, change, words):
    packed(saved, change(members_of(saved)))
    with pytest.raises(ModelFileError) as error:
        VAE.load(saved)
    assert words in str(error.value) and len(str(error.value)) < 1000


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressed_members_are_refused_before_they_are_unpacked(saved, method):
    """A bomb would be one: megabytes of zeros as the header, in some kB."""
    (_, _), theta = members_of(saved)
    packed(saved, [("header.npy", with_header(bytes(4 << 20))), theta], method)
    tracemalloc.start()
    try:
        with pytest.raises(ModelFileError, match="'header' is compressed"):
            VAE.load(saved)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_header_of_too_many_values_is_refused_before_it_is_parsed(saved, monkeypatch):
    monkeypatch.setattr(npvae_io, "MOST_VALUES", 50)
    with pytest.raises(ModelFileError, match="values is too long"):
        VAE.load(saved)
    with pytest.raises(InputError, match="values is too long"):  # nor is one written that could not be read
        small_vae().fit(grey_rows()).save(saved)


def test_every_byte_of_the_zip_s_own_records_is_looked_at_or_of_no_consequence(saved):
    """A bit of every byte of the first record and the directory turned over, one at a time: refused, or the same
    model.
    """
    whole, theta = saved.read_bytes(), VAE.load(saved).theta_
    directory = whole.index(b"PK\1\2")
    places = [*range(whole.index(b"header.npy") + 10 + 20), *range(directory, len(whole))]
    refused = 0
    for at in places:
        data = bytearray(whole)
        data[at] ^= 1 << at % 8
        saved.write_bytes(data)
        try:
            np.testing.assert_array_equal(VAE.load(saved).theta_, theta)
        except ModelFileError:
            refused += 1
    assert refused > len(places) / 2


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_pipes_and_devices_are_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe.npz")
    with pytest.raises(ModelFileError, match="a named pipe; expected an ordinary file"):
        VAE.load(tmp_path / "pipe.npz")
    with pytest.raises(ModelFileError, match="a device"):
        VAE.load("/dev/zero")


def test_another_program_can_write_a_model(saved):
    """Its zip with data descriptors, deflate nowhere, the JSON in another order and with other characters than
    ASCII.
    """
    header, arrays = sealed.read(saved)
    header = {**dict(sorted(header.items())), "column_names": [f"größe {i}" for i in range(6)]}
    theta = VAE.load(saved).theta_

    class Stream(io.BytesIO):
        def seekable(self):
            return False

    stream = Stream()
    with zipfile.ZipFile(stream, "w") as file:
        with file.open("header.npy", "w") as member:
            member.write(with_header(json.dumps(header, ensure_ascii=False).encode("utf-8")))
        with file.open("theta.npy", "w") as member:
            np.save(member, arrays["theta"])
    saved.write_bytes(stream.getvalue())
    loaded = VAE.load(saved)
    np.testing.assert_array_equal(loaded.theta_, theta)
    assert loaded.feature_names_in_[2] == "größe 2"


def test_parameters_so_large_that_nothing_comes_of_them_are_an_error_where_they_are_used(saved):
    theta = sealed.read(saved)[1]["theta"]
    sealed.edit(saved, {"theta": np.where(np.arange(theta.size) % 2, -3e38, 3e38).astype("f4")})
    vae = VAE.load(saved)
    with np.errstate(all="ignore"):
        for use in (vae.transform, vae.reconstruct):
            with pytest.raises(NonFiniteError, match="would not be finite: the model's parameters are too large"):
                use(grey_rows(5))


def test_limits_of_headers_and_of_the_arrays_that_they_state():
    """A header of 256 MiB and 2^23 values; up to 10,000 arrays of float32 or float64, with at most two axes."""

    class Header:
        def __init__(self, length, **counts):
            self.length, self.counts = length, counts

        def __len__(self):
            return self.length

        def count(self, what):
            return self.counts.get({b",": "commas", b"[": "lists", b"{": "objects"}[what], 0)

    most = 2**23
    for fine in (
        Header(2**28),
        Header(3, commas=most),
        Header(3, lists=most),
        Header(3, objects=most),
        Header(2**28, commas=most - 3, lists=2, objects=1),
    ):
        npvae_io._bounded(fine)
    for wrong in (
        Header(2**28 + 1),
        Header(3, commas=most + 1),
        Header(3, commas=most - 3, lists=2, objects=2),
        Header(3, commas=1, lists=most),
    ):
        with pytest.raises(
            InputError,
            match=f"a header of {wrong.length} bytes and .* values is too long: at most {2**28} and {most}; the "
            f"history ",
        ):
            npvae_io._bounded(wrong)
    array = {"dtype": "<f4", "shape": [2, 0], "sha256": "0" * 64}
    for fine in (
        {},
        {"a": array},
        {"a": {**array, "shape": [], "dtype": "<f8"}},
        dict.fromkeys(map(str, range(10_000)), array),
    ):
        assert npvae_io._ARRAYS.read("arrays", fine) == fine
    for wrong in (
        {"a": {**array, "shape": [1, 1, 1]}},
        {"a": {**array, "shape": [-1]}},
        {"a": {**array, "dtype": "<i4"}},
        {"a": {**array, "sha256": "0"}},
        dict.fromkeys(map(str, range(10_001)), array),
    ):
        with pytest.raises(InputError):
            npvae_io._ARRAYS.read("arrays", wrong)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ModelFileError("it is cut"), "m.npz: it is cut"),
        (InputError("x" * 600), "m.npz contradicts itself: " + "x" * 500),
        (InputTypeError("a type"), "m.npz contradicts itself: a type"),
        (MissingDependencyError("no cupy"), None),
        (NonFiniteError("nan"), None),
        (TypeError("a fault"), None),
        (KeyError("a fault"), None),
    ],
)
def test_what_contradicts_itself_in_a_file_is_the_file_s_fault_and_nothing_else(error, message):
    with pytest.raises(type(error) if message is None else ModelFileError) as caught, refusing("m.npz"):
        raise error
    assert caught.value is error if message is None else str(caught.value) == message
    with refusing("m.npz") as nothing:
        pass
    assert nothing is None


def test_arrays_of_a_model_inside_another_s_file():
    a, b = np.zeros(1), np.ones(2)
    inside = npvae_io.within("features", {"theta": a, "other": b})
    assert inside == {"features/theta": a, "features/other": b}
    assert npvae_io.taken_out("features", {**inside, "theta": b, "features": b, "more/features/": a}) == {
        "theta": a,
        "other": b,
    }
    refuse_other_arrays({"a": a, "b": b}, ("b", "a"))
    for arrays, words in (
        ({"b": b}, "the array 'a' is missing"),
        ({"a": a, "b": b, "c": b}, "the array 'c' is of no use to it"),
        ({"c": b, "b": b}, "'a' is missing"),
    ):
        with pytest.raises(ModelFileError, match=words):
            refuse_other_arrays(arrays, ("a", "b"))


def test_what_a_file_says_of_itself(saved):
    assert npvae_io.kind_of(saved) == npvae_io.kind_of(str(saved)) == ("model", "VAE")
    size = saved.stat().st_size
    assert (
        npvae_io.seal_of(str(saved))
        == f"format version 2, {size:,} bytes; the header's fields, 1 array of 440 bytes and its SHA-256"
    )
    sealed.edit(saved, {"theta": np.zeros(3, "f4"), "other": np.zeros((2, 300))})
    size = saved.stat().st_size
    assert (
        npvae_io.seal_of(saved)
        == f"format version 2, {size:,} bytes; the header's fields, 2 arrays of 4,812 bytes and their SHA-256"
    )
    sealed.edit(saved, estimator=3, library_version="x" * 100)
    assert npvae_io.kind_of(saved) == ("model", "")


def test_what_json_cannot_hold_is_null():
    value = {"a": [1.5, float("nan"), (float("inf"), -1)], "b": {"c": -float("inf")}, "d": "x", "e": None, "f": True}
    assert npvae_io._without_nan(value) == {
        "a": [1.5, None, [None, -1]],
        "b": {"c": None},
        "d": "x",
        "e": None,
        "f": True,
    }


def test_arrays_longer_than_a_piece_are_read_whole(saved, monkeypatch):
    theta = VAE.load(saved).theta_
    monkeypatch.setattr("npvae.support.zip_members._PIECE", 16)
    np.testing.assert_array_equal(VAE.load(saved).theta_, theta)
