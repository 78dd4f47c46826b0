"""npvae on its CuPy backend, launch="single"."""

from __future__ import annotations

from peers import npvae_backend
from peers.npvae_cupy import between, record, version  # noqa: F401


class Runner(npvae_backend.Runner):
    backend = {"name": "cupy", "launch": "single"}
