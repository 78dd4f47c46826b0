"""JAX on the GPU: a whole epoch in one compiled scan."""

from __future__ import annotations

from peers import jax_scan
from peers.gpu_jax_step import use_gpu, version  # noqa: F401


class Runner(jax_scan.Runner):
    """As on the CPU."""

    def __init__(self, spec, x) -> None:
        use_gpu()
        super().__init__(spec, x)
