"""The CUDA backend's face: what it refuses and why, when it is chosen, and what it says when it cannot run."""

import copy
import importlib.machinery
import importlib.metadata
import pickle
import re
import sys
from types import SimpleNamespace

import gpu_backends
import numpy as np
import pytest
from cuda_on_cpu.standin import installed

from npvae import VAE, backend
from npvae.backend import gpu
from npvae.backend.base import Ops
from npvae.backend.cupy_ops import CupyOps
from npvae.errors import DeviceMemoryError, InputError, MissingDependencyError, UnknownNameError
from npvae.kernels.gpu.launch import MOST_BLOCKS
from npvae.kernels.gpu.records import THREADS
from npvae.mathematics import objectives
from npvae.mathematics.model import Architecture, Model

if gpu_backends.NO_STANDIN is not None:
    pytest.skip(gpu_backends.NO_STANDIN, allow_module_level=True)


@pytest.fixture
def module():
    """A stand-in for cupy, imported by its name."""
    backend._say_once.cache_clear()
    with installed(gpu_backends.standin()) as module:
        yield module
    backend._say_once.cache_clear()


@pytest.fixture
def device_ops(module):
    return backend.get("cupy")


# Arrays


def test_numpy_arrays_are_refused_by_name(device_ops, dtype):
    a = np.ones((2, 3), dtype)
    b = device_ops.asarray(a)
    for arrays, name in (((a, b, b), "mu"), ((b, a, b), "logvar"), ((b, b, a), "eps")):
        with pytest.raises(TypeError, match=rf"sample_forward: {name} must be .* on the GPU.*numpy\.ndarray.*asarray"):
            device_ops.sample_forward(*arrays)
    W, bias, dy = (np.ones(shape, dtype) for shape in ((3, 1), 1, (2, 1)))
    for operation, arrays, more in (
        ("dense_forward", {"x": a, "W": W, "b": bias}, ("relu",)),
        ("dense_backward", {"dy": dy, "x": a, "y": dy, "W": W}, ("relu", True)),
    ):
        for name in arrays:
            given = [array if each == name else device_ops.asarray(array) for each, array in arrays.items()]
            with pytest.raises(TypeError, match=rf"\w+: {name} must be an array on the GPU"):
                getattr(device_ops, operation)(*given, *more)
    with pytest.raises(TypeError, match="the array must be an array on the GPU"):
        Model(Architecture(3), device_ops).views(np.zeros(2000))


def test_arrays_on_another_gpu_are_refused_by_number(module, device_ops):
    here = device_ops.asarray(np.ones((2, 3)))
    with module.cuda.Device(1):
        there = device_ops.asarray(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"logvar is on GPU 1, but the current one is GPU 0: copy it there, or work"):
        device_ops.kl_forward(here, there)
    with module.cuda.Device(1), pytest.raises(ValueError, match=r"mu is on GPU 0, but the current one is GPU 1"):
        device_ops.kl_forward(here, there)


def test_a_kernel_refuses_what_would_be_a_wrong_result(device_ops):
    launch, zeros = device_ops.kernels.launch, device_ops.xp.zeros
    x, y = zeros((4, 6), "float64"), zeros((4, 6), "float64")
    cases = [
        (("scale", "float64", (x[:, ::2], y), (12,), (2.0,)), ValueError, r"scale: x must be contiguous, got strides"),
        (("scale", "float64", (x, y[:2]), (24,), (2.0,)), ValueError, r"scale: out must have 24 elements, got 12"),
        (("scale", "float32", (x, y), (24,), (2.0,)), TypeError, r"scale: x must have dtype float32, got float64"),
        (("scale", "float64", (x,), (24,), (2.0,)), ValueError, r"scale takes \(2, 1, 1\) arrays, whole numbers"),
        (("take_rows", "float64", (x, x, y), (4, 6, 4)), TypeError, r"take_rows: indices must have dtype int64"),
        (("scale", "float64", (None, y), (24,), (2.0,)), TypeError, r"scale: x must be an array on the GPU"),
    ]
    for arguments, error, words in cases:
        with pytest.raises(error, match=words):
            launch(*arguments, blocks=1)
    launch("bernoulli_nll", "float64", (x, y, zeros(4), None), (4, 6), blocks=4, shared=8 * THREADS)  # None may be


def test_nothing_is_launched_for_nothing(module, device_ops):
    empty = device_ops.asarray(np.zeros((0, 3)))
    before = module.count["launches"]
    assert device_ops.kl_forward(empty, empty).shape == (0, 3)
    nll, _ = device_ops.bernoulli_nll(empty, empty, True)
    assert nll.shape == (0,) and module.count["launches"] == before


def test_more_elements_than_threads(device_ops, monkeypatch, rng):
    """A grid is never larger than MOST_BLOCKS: each thread then has several elements."""
    monkeypatch.setattr("npvae.kernels.gpu.launch.MOST_BLOCKS", 2)
    a, b = rng.standard_normal((2, 7, 301))
    for name, arguments in (("kl_forward", (a, b)), ("squared_error", (a, b)), ("scale_rows", (a, b[:, 0]))):
        found = getattr(device_ops, name)(*map(device_ops.asarray, arguments))
        wanted = getattr(Ops(np), name)(*arguments)
        for one, other in zip(*(r if isinstance(r, tuple) else (r,) for r in (found, wanted)), strict=True):
            np.testing.assert_allclose(device_ops.to_numpy(one), other, rtol=1e-12)
    assert MOST_BLOCKS > 2


def test_the_specification_stands_in_for_other_dtypes(module, device_ops):
    """As on the other backends: what no kernel is compiled for goes the reference's way."""
    a = device_ops.xp.array(np.array([[0.5, 1.0]], np.float16))
    assert device_ops.scale_rows(a, 2.0).dtype == np.float16
    assert device_ops.to_numpy(device_ops.kl_forward(a, a)).tolist() == [
        [pytest.approx(0.5 * (v * v + np.expm1(v) - v), rel=2e-3) for v in (0.5, 1.0)]
    ]


@pytest.mark.parametrize("dtypes", [("float16", "float16"), ("float64", "float32"), ("int64", "float32")])
def test_every_operation_on_dtypes_without_kernels_is_the_specification_s(module, device_ops, rng, dtypes):
    """Arrays of another dtype, or of two in one call: the result has the dtype and the values that it has on NumPy."""
    one, two = ((4 * rng.random((3, 4))).astype(dtype) for dtype in dtypes)
    W, b = np.ones((4, 2), dtypes[1]), np.ones(2, dtypes[1])
    for name, arguments in (
        ("take_rows", (one, np.array([2, 0]))),
        ("take_rows", (two[0], np.array([2, 0]))),
        ("take_rows", (one[None], np.array([0, 0]))),
        ("sample_forward", (one, two, one)),
        ("sample_backward", (one, two, one)),
        ("kl_forward", (one, two)),
        ("kl_backward", (one, two, two)),
        ("squared_error", (one, two)),
        ("gaussian_nll", (one, two, two, True)),
        ("gaussian_nll", (one, two, two, False)),
        ("bernoulli_nll", (one, two, True)),
        ("bernoulli_nll", (one, two, False)),
        ("scale_rows", (one, two[:, 0])),
        ("activation_gradient", (one, two, "tanh")),
        ("dense_forward", (two, W, b, "relu")),
    ):
        wanted = getattr(Ops(np), name)(*arguments)
        on_device = [device_ops.xp.array(a) if isinstance(a, np.ndarray) else a for a in arguments]
        found = getattr(device_ops, name)(*on_device)
        pairs = zip(found, wanted, strict=True) if isinstance(wanted, tuple) else [(found, wanted)]
        for ours, theirs in pairs:
            assert (ours is None) == (theirs is None), name
            if theirs is not None:
                assert ours.dtype == theirs.dtype, name
                np.testing.assert_allclose(
                    device_ops.to_numpy(ours), theirs, rtol=5e-3 if "float16" in dtypes else 1e-5, err_msg=name
                )


def test_numbers_reach_a_kernel_in_its_own_dtype(module, device_ops):
    """A Python float would arrive as a double, and be read as something else."""
    x = device_ops.asarray(np.full(3, 2.0, np.float32))
    assert device_ops.to_numpy(device_ops.scale_rows(x[None, :], 0.1)).tolist() == [[np.float32(0.1) * 2] * 3]
    theta, g = device_ops.copy(x), device_ops.copy(x)
    device_ops.sgd_step(theta, g, None, 0.25, 0.0)
    assert device_ops.to_numpy(theta).tolist() == [1.5] * 3


def test_a_gradient_on_the_device_is_the_reference_s(device_ops, rng):
    architecture = Architecture(5, 2, (4,), likelihood="gaussian_decoder")
    x, eps = rng.standard_normal((3, 5)), rng.standard_normal((3, 2))
    ours, theirs = Model(architecture, device_ops), Model(architecture, Ops(np))
    theta = theirs.initial_parameters(1, "float64")
    loss, gradient = objectives.value_and_gradient(ours, *map(device_ops.asarray, (theta, x, eps)))
    wanted_loss, wanted = objectives.value_and_gradient(theirs, theta, x, eps)
    assert float(loss) == pytest.approx(float(wanted_loss), rel=1e-13)
    np.testing.assert_allclose(device_ops.to_numpy(gradient), wanted, rtol=1e-11, atol=1e-13)


# Choosing it


def test_auto_takes_the_gpu_where_there_is_one(module, capsys):
    ops = backend.get()
    assert ops.name == "cupy" and backend.get("auto", threads=2).name == "cupy"
    assert capsys.readouterr().err == ""
    assert "GPU 0, a CPU" in ops.description() and "CUDA 12.9, driver for CUDA 12.4" in ops.description()


def test_arguments(module):
    assert backend.get({"name": "cupy", "launch": "cooperative"}).launch_mode == "cooperative"
    assert backend.get({"name": "cupy", "device": 1}).device == module.current_device == 1
    with pytest.raises(InputError, match="device must be below 2, the number of GPUs here, got 2"):
        backend.get({"name": "cupy", "device": 2})
    with pytest.raises(UnknownNameError, match="unknown launch 'fast'; known: 'graph', 'cooperative', 'single'"):
        backend.get({"name": "cupy", "launch": "fast"})
    with pytest.raises(InputError, match="backend 'cupy' takes no argument 'threads'"):
        backend.get("cupy", threads=2)


def test_copies_and_pickles_are_backends_of_the_same_kind(module):
    ops = backend.get({"name": "cupy", "launch": "single"})
    for other in (copy.deepcopy(ops), pickle.loads(pickle.dumps(ops))):
        assert other.launch_mode == "single" and other.name == "cupy" and other.xp is ops.xp


BROKEN = {
    "no driver": ({"driver": 0}, "there is no NVIDIA driver on this machine"),
    "old driver": (
        {"driver": 12040, "runtime": 13000},
        r"the NVIDIA driver is for CUDA 12\.4, but .* needs CUDA 13\.0: install npvae\[cuda12\] in its place",
    ),
    "no GPU": ({"devices": 0}, "there is no NVIDIA GPU on this machine, or CUDA_VISIBLE_DEVICES hides it"),
    "old GPU": ({"capability": "61"}, r"GPU 0 \(a CPU\) has compute capability 6\.1, but 7 or newer is needed$"),
    "old GPU for CUDA 13": (
        {"capability": "70", "driver": 13000, "runtime": 13000},
        r"has compute capability 7, but 7\.5 or newer is needed; with npvae\[cuda12\] it can be used",
    ),
    "no memory": ({"memory": 10}, r"the GPU has no memory left: .*end other programs"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_wrong_is_said_with_the_remedy(case, capsys):
    arguments, words = dict(BROKEN[case][0]), BROKEN[case][1]
    capability = arguments.pop("capability", "80")
    module = gpu_backends.standin(**arguments)
    module.capability = capability
    backend._say_once.cache_clear()
    with installed(module):
        with pytest.raises(MissingDependencyError, match=f"the backend 'cupy' cannot run here: .*{words}"):
            backend.get("cupy")
        for _ in range(2):
            assert backend.get("auto").name != "cupy"
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and said.startswith("npvae: the GPU is not used, the backend is ")
    backend._say_once.cache_clear()


def test_a_kernel_that_does_not_compile_or_is_wrong_is_found(module, monkeypatch):
    def fail(self, *arguments, **named):
        raise RuntimeError("nvrtc: error: failed to open libnvrtc-builtins.so.12.9\nmore")

    with monkeypatch.context() as patch:
        patch.setattr("npvae.kernels.gpu.launch.Kernels.launch", fail)
        reason = gpu.reason_against()
    assert reason.startswith("a trial kernel failed: nvrtc: error: failed to open") and "[ctk]" in reason
    assert "more" not in reason
    gpu._reason_against_installed.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr("npvae.kernels.gpu.launch.Kernels.launch", lambda *arguments, **named: None)
        assert "a trial kernel gave wrong numbers" in gpu.reason_against()


class Wrong(np.ndarray):
    """Arrays of a GPU whose products are wrong."""

    def __matmul__(self, other):
        return super().__matmul__(other) + 1


@pytest.mark.parametrize(
    ("kind", "factor", "error", "words"),
    [
        (np.ndarray, 1.0, None, None),
        (np.ndarray, 1.5, None, r"gave wrong numbers: \[0\.0, 3\.0, 6\.0\], 5\.0$"),
        (Wrong, 1.0, None, r"gave wrong numbers: \[0\.0, 2\.0, 4\.0\], 6\.0$"),
        (np.ndarray, 1.0, RuntimeError(" "), "failed: RuntimeError;"),
        (np.ndarray, 1.0, RuntimeError("\n one\ntwo"), "failed: one;"),
        (np.ndarray, 1.0, MemoryError("10 bytes"), "no memory left: 10 bytes; end other"),
    ],
)
def test_what_a_trial_kernel_shows(monkeypatch, kind, factor, error, words):
    class Kernels:
        def __init__(self, cupy) -> None:
            pass

        def launch(self, name, dtype, arrays, integers, numbers, *, blocks):
            if error is not None:
                raise error
            arrays[1][...] = factor * numbers[0] * arrays[0]

    monkeypatch.setattr("npvae.kernels.gpu.launch.Kernels", Kernels)
    cupy = SimpleNamespace(
        arange=lambda count, dtype: np.arange(count, dtype=dtype).view(kind),
        float32=np.float32,
        empty_like=np.empty_like,
        asnumpy=np.asarray,
        cuda=SimpleNamespace(memory=SimpleNamespace(OutOfMemoryError=MemoryError)),
    )
    found = gpu._reason_against_kernels(cupy)
    assert found is None if words is None else re.search(words, found)


def fails(*arguments):
    raise RuntimeError("boom")


@pytest.mark.parametrize(
    ("driver", "runtime", "count", "capability", "words"),
    [
        (12080, 12000, 1, "70", None),
        (12990, 12990, 1, "70", None),
        (12000, 12080, 1, "120", None),
        (13000, 13000, 1, "75", None),
        (13000, 12090, 1, "70", None),
        (fails, 12000, 1, "70", "the CUDA driver does not answer: boom"),
        (0, 12000, 1, "70", "there is no NVIDIA driver on this machine"),
        (
            12080,
            13000,
            1,
            "90",
            r"the NVIDIA driver is for CUDA 12\.8, but .* needs CUDA 13\.0: install npvae\[cuda12\]",
        ),
        (
            11990,
            12000,
            1,
            "90",
            r"the NVIDIA driver is for CUDA 11\.99, but .* needs CUDA 12\.0: install npvae\[cuda11\]",
        ),
        (12080, 12000, fails, "70", "no GPU can be used: boom"),
        (12080, 12000, 0, "70", "there is no NVIDIA GPU on this machine"),
        (12080, 12000, 1, "61", r"GPU 3 \(Tesla\) has compute capability 6\.1, but 7 or newer is needed$"),
        (
            13000,
            13000,
            1,
            "72",
            r"compute capability 7\.2, but 7\.5 or newer is needed; with npvae\[cuda12\] it can be used$",
        ),
        (13000, 13000, 1, "70", r"compute capability 7, but 7\.5 or newer is needed; with npvae\[cuda12\]"),
        (13000, 13000, 1, "69", r"compute capability 6\.9, but 7\.5 or newer is needed$"),
    ],
)
def test_what_a_machine_lacks(driver, runtime, count, capability, words):
    def answer(value):
        return value if callable(value) else lambda: value

    cuda_runtime = SimpleNamespace(
        driverGetVersion=answer(driver),
        runtimeGetVersion=answer(runtime),
        getDeviceCount=answer(count),
        getDeviceProperties=lambda device: {"name": b"Tesla" if device == 3 else b"another"},
    )
    device = SimpleNamespace(id=3, compute_capability=capability)
    found = gpu._reason_against_device(
        SimpleNamespace(cuda=SimpleNamespace(runtime=cuda_runtime, Device=lambda: device))
    )
    assert found is None if words is None else re.search(words, found)


def test_what_a_gpu_is_called(monkeypatch):
    runtime = SimpleNamespace(
        getDeviceProperties=lambda device: {"name": f"Tesla {device}"},
        runtimeGetVersion=lambda: 12040,
        driverGetVersion=lambda: 13010,
    )

    def device(number):
        return SimpleNamespace(mem_info=(3 * 2**29, 4 * 2**30), compute_capability=f"{number}05")

    cupy = SimpleNamespace(__version__="13.1.0", cuda=SimpleNamespace(runtime=runtime, Device=device))
    monkeypatch.setattr(gpu, "import_cupy", lambda: cupy)
    assert gpu.description(1) == "GPU 1, Tesla 1, 1.5 of 4.0 GiB free; cupy 13.1.0, CUDA 12.4, driver for CUDA 13.1"
    assert gpu.identity(cupy, 1) == {"GPU": "Tesla 1, compute capability 10.5", "CuPy": "13.1.0", "CUDA": "12.4"}


def test_the_installed_package_of_cupy(monkeypatch):
    versions = {}

    def version(package):
        if package not in versions:
            raise importlib.metadata.PackageNotFoundError(package)
        return versions[package]

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert gpu._wheel() == "this cupy"
    for package in (
        "cupy",
        "cupy-cuda13x",
        "cupy-cuda12x",
        "cupy-cuda11x",
    ):  # built by hand, or one that is made for a CUDA
        versions[package] = "13.1"
        assert gpu._wheel() == f"{package} 13.1"


class Full(Exception):
    """A stand-in for CuPy's OutOfMemoryError."""


def of_memory(*free):
    """An Ops of a GPU with so many bytes free each time it is asked, half of them in CuPy's pool."""
    left = list(free)
    device = SimpleNamespace(
        Device=lambda: SimpleNamespace(mem_info=(left[0] // 2, 10**9)), memory=SimpleNamespace(OutOfMemoryError=Full)
    )
    pool = SimpleNamespace(free_bytes=lambda: left.pop(0) // 2)
    return SimpleNamespace(xp=SimpleNamespace(cuda=device, get_default_memory_pool=lambda: pool))


@pytest.mark.parametrize(
    ("rows", "before", "after", "asked", "needed", "advice"),
    [
        (1000, 4000, 1000, "5,000", "8,000", "try batch_size=256"),
        (1000, 4000, 1000, "13,000", "16,000", "try batch_size=128"),
        (1000, 4000, 4000, "1,000", "1,001", "try batch_size=256"),
        (1000, 4000, 5000, "7,999", "8,000", "try batch_size=256"),
        (2, 4000, 0, "0", "4,000", "try batch_size=1"),
        (1, 4000, 0, "0", "4,000", "the model itself does not fit"),
        (3, 1000, 0, "2,001", "3,001", "the model itself does not fit"),
        (3, 1000, 0, "2,000", "3,000", "try batch_size=1"),
    ],
)
def test_advice_where_the_memory_ran_out(rows, before, after, asked, needed, advice):
    words = (
        rf"no memory left for {rows} rows at a time: {needed} bytes or more are needed, {before:,} were free; {advice}"
    )
    with pytest.raises(DeviceMemoryError, match=words), CupyOps.memory_guard(of_memory(before, after), rows):
        raise Full(f"Out of memory allocating {asked} bytes (allocated so far: 7 bytes).")
    with pytest.raises(DeviceMemoryError, match="an array of 12,345 bytes does not fit on the GPU, which has 600 free"):
        with CupyOps._array_guard(of_memory(600)):
            raise Full("Out of memory allocating 12,345 bytes")
    assert gpu.bytes_asked(Full("words")) == 0


def test_a_cupy_that_does_not_import(monkeypatch):
    class Finder:
        @staticmethod
        def find_spec(name, path=None, target=None):
            return importlib.machinery.ModuleSpec(name, Finder) if name == "cupy" else None

        @staticmethod
        def create_module(spec):
            raise ImportError("libcuda.so.1: cannot open shared object file")

        @staticmethod
        def exec_module(module):
            raise AssertionError("not reached")

    gpu._reason_against_installed.cache_clear()
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder, *sys.meta_path])
    reason = gpu.reason_against()
    gpu._reason_against_installed.cache_clear()
    assert reason.startswith("import cupy failed: libcuda.so.1: cannot open") and "npvae[cuda12]" in reason


def test_without_cupy_nothing_is_said(monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "cupy" else object())
    monkeypatch.setattr("npvae.backend.numba_ops.NumbaOps.reason_against", classmethod(lambda cls: "not today"))
    assert backend.get("auto").name == "numpy" and capsys.readouterr().err == ""
    assert gpu.reason_against().startswith('cupy is not installed: python -m pip install "npvae[cuda12]"')


def test_the_command_line_names_it(module, tmp_path):
    from npvae.cli import main

    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((30, 6)))
    arguments = ["train", "--data", str(tmp_path / "x.npy"), "--hidden", "4", "--epochs", "1", "--quiet"]
    out = tmp_path / "run"
    assert main([*arguments, "--backend", "cupy:launch=single", "--out", str(out)]) == 0
    assert module.count["launches"] > 0 and VAE.load(out / "model.npz", backend="numpy").theta_.size > 0


def test_warm_up_compiles_every_source(module, capsys):
    from npvae.cli import main
    from npvae.kernels.gpu import sources

    assert main(["warmup"]) == 0
    said = capsys.readouterr().out
    assert all(f"{file}: loaded, " in said for file in sources.files())
    assert sorted(module.compiled) == sorted(name for file in sources.files() for name in sources.instantiations(file))


def test_one_sourceis_compiled_without_the_others(module):
    from npvae.kernels.gpu import launch, sources

    launch.Kernels(module).compile("latent.cu")
    assert sorted(module.compiled) == sorted(sources.instantiations("latent.cu"))
