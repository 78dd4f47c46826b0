"""The CUDA backend for tests: on a GPU where there is one, else on the stand-in with kernels built for the CPU."""

from __future__ import annotations

import functools
import os
from pathlib import Path

import numpy as np
from cuda_on_cpu import build
from cuda_on_cpu.standin import Standin, installed

from npvae.backend import gpu
from npvae.backend.base import Ops
from npvae.backend.cupy_ops import CupyOps

#: Where kernels built for the CPU are kept between runs of the tests.
FOLDER = Path(__file__).parent.parent / ".pytest_cache" / "cuda_on_cpu"

#: Why there is no GPU here; None if there is one.
NO_GPU = gpu.reason_against()
#: Why there is no stand-in here either.
NO_STANDIN = None if build.compiler() else "no C++ compiler: set CXX, or install g++ or clang++"


@functools.cache
def host_kernels() -> build.HostKernels:
    """The kernels built for the CPU; instrumented, if the environment says so (see test_cuda_sanitizers.py)."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    return build.HostKernels(build.build(FOLDER, os.environ.get("NPVAE_TEST_SANITIZER", "none")))


def standin(**arguments) -> Standin:
    """A new stand-in for the module cupy: its counts start at nothing."""
    return Standin(host_kernels(), **arguments)


def on_standin(module: Standin | None = None, **arguments) -> CupyOps:
    """The backend on a stand-in."""
    with installed(module or standin()):
        return CupyOps(**arguments)


def on_gpu_or_standin(**arguments) -> CupyOps:
    """The backend on the GPU, or on a stand-in where there is none."""
    return CupyOps(**arguments) if NO_GPU is None else on_standin(**arguments)


def to_device(ops, array: np.ndarray):
    """The array on the device, with gaps and order as it has them."""
    if array.flags.c_contiguous:
        return ops.asarray(array)
    if array.T.flags.c_contiguous:
        return ops.asarray(array.T).T
    wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
    wide[..., ::2] = array
    return ops.asarray(wide)[..., ::2]


class ThroughDevice(Ops):
    """A device's operations for tests that have NumPy's arrays: arguments go to the device, results come back."""

    name = "cupy"

    def __init__(self, ops: CupyOps) -> None:
        super().__init__(np)
        self.ops = ops

    def __getattribute__(self, name):
        operations = Ops.__dict__.keys() - {"asarray", "copy", "to_numpy", "dtype_name", "memory_guard"}
        if name.startswith("_") or name not in operations or not callable(Ops.__dict__[name]):
            return super().__getattribute__(name)
        return functools.partial(self._call, name)

    def _call(self, name, *arguments, **named):
        """The operation; NumPy's arrays that it changes in place are changed here too."""
        pairs = []

        def over(value):
            if isinstance(value, tuple):
                return tuple(map(over, value))
            if not isinstance(value, np.ndarray):
                return value
            pairs.append((value, to_device(self.ops, value)))
            return pairs[-1][1]

        def back(value):
            if isinstance(value, tuple):
                return tuple(map(back, value))
            for host, device in pairs:
                if value is device:
                    return host
            return self.ops.to_numpy(value) if isinstance(value, self.ops.xp.ndarray) else value

        result = getattr(self.ops, name)(*map(over, arguments), **{key: over(value) for key, value in named.items()})
        for host, device in pairs:
            if host.flags.writeable:
                host[...] = self.ops.to_numpy(device)
        return back(result)
