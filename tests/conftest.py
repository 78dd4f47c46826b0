"""Fixtures of all tests: the backends, the dtypes, a seeded generator, and strict floating-point errors."""

import os

# Before anything imports matplotlib: tests must not look for a display.
os.environ["MPLBACKEND"] = "Agg"

import numpy as np
import pytest

from npvae import backend
from npvae.backend.base import Ops

#: Name and maker of every backend that is installed: one line each.
BACKENDS = {
    "reference": lambda: Ops(np),
    "numpy": lambda: backend.get("numpy"),
}
if backend.reason_against("numba") is None:
    BACKENDS["numba"] = lambda: backend.get("numba", threads=2)


@pytest.fixture(params=list(BACKENDS))
def ops(request):
    """Every backend in turn; the first is the specification itself."""
    return BACKENDS[request.param]()


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    return np.dtype(request.param)


@pytest.fixture
def rng():
    """A generator with the same seed in every test, so that no test depends on which ran before."""
    return np.random.default_rng(1406)


@pytest.fixture(autouse=True)
def floating_point_errors_raise():
    """Overflow, division by zero and invalid operations are errors; a test of overflow relaxes this itself."""
    with np.errstate(all="raise", under="ignore"):
        yield
