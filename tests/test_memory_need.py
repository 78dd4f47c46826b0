"""Samples that do not fit into memory are refused in words, before anything is computed."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
from small import grey_rows, small_vae

from npvae import evaluation
from npvae.backend.base import Ops
from npvae.errors import InputError
from npvae.mathematics.model import Architecture, Model
from npvae.support import cgroup, machine_memory, memory_need


@pytest.fixture
def little_memory(monkeypatch):
    """A machine with 100,000 bytes left."""
    monkeypatch.setattr(machine_memory, "available_bytes", lambda: 100_000)


def test_the_machine_says_what_it_has():
    assert (cgroup.MEMBERSHIP, cgroup.MOUNT) == (Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"))
    free = machine_memory.available_bytes()
    assert free is None or 2**20 < free < 2**60


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"samples": 10**9, "at_once": 1}, "samples"),
        ({"samples": 10, "at_once": 10**9}, None),  # no more are decoded than there are
        ({"samples": 200, "at_once": 50}, "samples"),
        ({"samples": 80, "at_once": 10**9}, "at_once"),
    ],
)
def test_a_run_whose_samples_do_not_fit(little_memory, arguments, name):
    vae = small_vae(objective={"name": "importance_weighted", **arguments})
    if name is None:
        vae.fit(grey_rows())
        return
    words = rf"{name}=\d+ needs about [\d,]+ bytes .*, but 100,000 are free; try {name}=\d+$"
    with pytest.raises(InputError, match=words) as info:
        vae.fit(grey_rows())
    suggested = int(re.search(r"try \w+=(\d+)", str(info.value))[1])
    small_vae(objective={"name": "importance_weighted", **arguments, name: suggested}).build(grey_rows())


def test_an_estimate_whose_pieces_do_not_fit(little_memory):
    model = Model(Architecture(6, 2, (5,)), Ops(np))
    theta, x = model.initial_parameters(0, "float64"), grey_rows(4)
    with pytest.raises(InputError, match=r"at_once=4000 needs about [\d,]+ bytes for the samples"):
        evaluation.log_likelihood(model, theta, x, 0, 1000, at_once=10_000)
    evaluation.log_likelihood(model, theta, x, 0, 1000, at_once=100)


def test_where_not_even_one_fits(monkeypatch):
    monkeypatch.setattr(machine_memory, "available_bytes", lambda: 1_400)
    with pytest.raises(InputError, match="not even one fits"):
        small_vae(objective={"name": "importance_weighted", "samples": 50}, batch_size=100).fit(grey_rows())


def test_where_nobody_says_nothing_is_refused(monkeypatch):
    monkeypatch.setattr(machine_memory, "available_bytes", lambda: None)
    small_vae(objective={"name": "importance_weighted", "samples": 3}).fit(grey_rows())


def test_more_samples_than_there_is_memory(monkeypatch):
    vae = small_vae().fit(grey_rows())
    monkeypatch.setattr(machine_memory, "available_bytes", lambda: 100_000)
    with pytest.raises(
        InputError, match="n=2147483647 needs about [\\d,]+ bytes for the samples, but 100,000 are free; try n=1041$"
    ):
        vae.sample(2**31 - 1)
    assert vae.sample(1041).shape == (1041, 6)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"latent_dim": 2000}, "latent_dim=2000 or hidden=5$"),
        ({"hidden": (100, 99)}, "latent_dim=2 or hidden=100,99$"),
        ({"decoder_hidden": 2000}, "latent_dim=2 or hidden=5 or decoder_hidden=2000$"),
    ],
)
def test_a_model_that_does_not_fit(little_memory, arguments, words):
    with pytest.raises(
        InputError,
        match=r"a model of [\d,]+ parameters needs at least [\d,]+ bytes, but 100,000 are free; "
        f"choose less than {words}",
    ):
        small_vae(**arguments).fit(grey_rows())


@pytest.mark.parametrize(
    ("free", "advice"),
    [
        (None, None),
        (30, None),
        (29, "try n=1"),
        (20, "try n=1"),
        (19, "not even one fits: use a smaller model or batch"),
    ],
)
def test_what_fits_into_half_of_what_is_free_is_advised(monkeypatch, free, advice):
    monkeypatch.setattr(machine_memory, "available_bytes", lambda: free)
    if advice is None:
        memory_need.refuse_what_does_not_fit(machine_memory, "n", 3, 10, "for it")
        return
    with pytest.raises(InputError) as error:
        memory_need.refuse_what_does_not_fit(machine_memory, "n", 3, 10, "for it")
    assert str(error.value) == f"n=3 needs about 30 bytes for it, but {free} are free; {advice}"


@pytest.mark.parametrize(("dtype", "bytes_of_a_parameter"), [("float32", 12), ("float64", 24)])
def test_a_model_needs_parameters_gradients_and_a_state_of_each(monkeypatch, dtype, bytes_of_a_parameter):
    parameters = (6 + 1) * 5 + 2 * (5 + 1) * 2 + (2 + 1) * 5 + (5 + 1) * 6
    model, itemsize = Model(Architecture(6, 2, (5,)), Ops(np)), np.dtype(dtype).itemsize
    assert model.layout.size == parameters
    monkeypatch.setattr(machine_memory, "available_bytes", lambda: bytes_of_a_parameter * parameters)
    memory_need.refuse_large_model(model, itemsize)
    monkeypatch.setattr(machine_memory, "available_bytes", lambda: bytes_of_a_parameter * parameters - 1)
    with pytest.raises(
        InputError,
        match=f"a model of {parameters} parameters needs at least {bytes_of_a_parameter * parameters:,} bytes",
    ):
        memory_need.refuse_large_model(model, itemsize)


@pytest.mark.parametrize(
    ("text", "free"),
    [
        ("MemTotal:  9 kB\nMemAvailable:       5 kB\nMemFree: 3 kB\n", 5120),
        ("MemTotal: 9 kB\n", 12),
        ("MemAvailable:\n", 12),
        ("MemAvailable: x kB\n", 12),
        (None, 12),
    ],
)
def test_free_memory_by_linux_s_estimate_or_else_its_free_pages(monkeypatch, text, free):
    def opened(path, **how):
        assert path == "/proc/meminfo"
        if text is None:
            raise FileNotFoundError(path)
        return io.StringIO(text)

    monkeypatch.setattr(machine_memory, "open", opened, raising=False)
    monkeypatch.setattr(machine_memory.os, "sysconf", {"SC_AVPHYS_PAGES": 3, "SC_PAGE_SIZE": 4}.__getitem__)
    assert machine_memory._of_machine() == free
    monkeypatch.setattr(machine_memory.os, "sysconf", lambda name: int("x"))
    assert machine_memory._of_machine() == (free if free == 5120 else None)


def test_numbers_of_a_sample():
    architecture = Architecture(6, 2, (5,))
    assert memory_need.numbers_a_sample(architecture) == 6 * 2 + 8
    assert memory_need.numbers_a_decoded_sample(architecture, False) == 4 * 2 + (5 + 6) + 3 * 6
    assert memory_need.numbers_a_decoded_sample(architecture, True) == 4 * 2 + 2 * (5 + 6) + 3 * 6
