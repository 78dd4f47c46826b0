"""JAX on the GPU: one compiled function a step, with products in float32 as everybody else's.

JAX takes three quarters of the GPU's memory when it starts unless it is told otherwise, and makes products shorter on
GPUs that can.
"""

from __future__ import annotations

import os

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import jax  # noqa: E402

from peers import jax_step  # noqa: E402
from peers.jax_step import version  # noqa: E402, F401


def use_gpu() -> None:
    """RuntimeError: this JAX has no GPU."""
    if jax.default_backend() != "gpu":
        raise RuntimeError(f"JAX {jax.__version__} runs on {jax.default_backend()} here, not on the GPU")
    jax.config.update("jax_default_matmul_precision", "highest")


class Runner(jax_step.Runner):
    """As on the CPU."""

    def __init__(self, spec, x) -> None:
        use_gpu()
        super().__init__(spec, x)
