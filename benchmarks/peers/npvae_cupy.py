"""npvae on its CuPy backend: graphs of many steps."""

from __future__ import annotations

import cupy

from peers import npvae_backend
from peers.npvae_backend import version  # noqa: F401


def record():
    """An event on the device, now."""
    event = cupy.cuda.Event()
    event.record()
    return event


def between(first, last) -> float:
    """Milliseconds between two events."""
    last.synchronize()
    return cupy.cuda.get_elapsed_time(first, last)


class Runner(npvae_backend.Runner):
    backend = "cupy"
