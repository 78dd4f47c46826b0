"""npvae on its NumPy backend."""

from __future__ import annotations

from peers import npvae_backend
from peers.npvae_backend import version  # noqa: F401


class Runner(npvae_backend.Runner):
    backend = "numpy"
