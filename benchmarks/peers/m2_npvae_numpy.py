"""npvae's M2 on its NumPy backend; also what the other losses are compared with."""

from __future__ import annotations

from functools import partial

from peers import m2_npvae
from peers.m2_npvae import version  # noqa: F401

loss_at = partial(m2_npvae.loss_at, backend="numpy")


class Runner(m2_npvae.Runner):
    backend = "numpy"
