"""Fixtures of all tests: the backends, the dtypes, a seeded generator, and strict floating-point errors."""

import os

# Before anything imports matplotlib: tests must not look for a display.
os.environ["MPLBACKEND"] = "Agg"
# Before anything imports NumPy: where every core has a worker, threads of BLAS would only wait for one another.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import sys
from concurrent.futures import ThreadPoolExecutor

import gpu_backends
import numpy as np
import processes
import pytest

from npvae import backend
from npvae.backend.base import Ops

#: Name and maker of every backend that is installed: one line each.
BACKENDS = {"reference": lambda: Ops(np), "numpy": lambda: backend.get("numpy")}
if backend.reason_against("numba") is None:
    BACKENDS["numba"] = lambda: backend.get("numba", threads=2)
if gpu_backends.NO_GPU is None or gpu_backends.NO_STANDIN is None:
    BACKENDS["cupy"] = lambda: gpu_backends.ThroughDevice(gpu_backends.on_gpu_or_standin())


def pytest_configure(config):
    """Before pytest-xdist starts its workers: compile what each of them would otherwise compile for itself."""
    if getattr(config.option, "numprocesses", None) and not hasattr(config, "workerinput"):
        with ThreadPoolExecutor() as pool:  # what fails here fails again in the tests that are about it
            if "numba" in BACKENDS:
                pool.submit(processes.run, [sys.executable, "-m", "npvae", "warmup"])
            if gpu_backends.NO_GPU is not None and gpu_backends.NO_STANDIN is None:
                pool.submit(gpu_backends.host_kernels)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """A file's tests stay together: what its fixtures train is then trained once."""
    if config.getvalue("dist") == "load":
        from xdist.scheduler import LoadFileScheduling

        return LoadFileScheduling(config, log)
    return None


def _parameter(name: str):
    on_gpu = name == "cupy" and gpu_backends.NO_GPU is None
    return pytest.param(name, marks=[pytest.mark.cuda] if on_gpu else [])


@pytest.fixture(params=map(_parameter, BACKENDS))
def ops(request):
    """Every backend in turn; the first is the specification itself. CuPy's without a GPU: see cuda_on_cpu/."""
    return BACKENDS[request.param]()


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    return np.dtype(request.param)


@pytest.fixture
def rng():
    """A generator with the same seed in every test, so that no test depends on which ran before."""
    return np.random.default_rng(1406)


FIRST_MINUTE = pytest.param(60.0, id="first_minute", marks=pytest.mark.slow)
WHOLE = pytest.param(float("inf"), id="whole", marks=pytest.mark.campaign)


@pytest.fixture(params=[FIRST_MINUTE, WHOLE])
def campaign_seconds(request):
    """How long a campaign may go on beginning new cases: its first minute, as a slow test, or all of it."""
    return request.param


@pytest.fixture(autouse=True)
def floating_point_errors_raise():
    """Overflow, division by zero and invalid operations are errors; a test of overflow relaxes this itself."""
    with np.errstate(all="raise", under="ignore"):
        yield


@pytest.fixture(autouse=True)
def gpu_tests_need_a_gpu(request):
    """Tests marked ``cuda`` are skipped, with the reason, where there is no GPU."""
    if request.node.get_closest_marker("cuda") and gpu_backends.NO_GPU is not None:
        pytest.skip(f"no GPU: {gpu_backends.NO_GPU}")
