"""npvae's M2 through the public training loop: on Numba, or on CuPy where the spec is for a GPU."""

from __future__ import annotations

import numpy as np

from npvae import __version__
from npvae.mathematics.objectives import SemiSupervised
from npvae.mathematics.objectives.semi_supervised import semi_supervised_loss
from npvae.mathematics.optimizers import Adam
from npvae.training import TrainingSettings
from npvae.training.loop import initial_state
from peers import m2_spec
from peers.npvae_backend import HeldRun

BACKENDS = {"cpu": "numba", "gpu": "cupy"}


def version() -> str:
    return __version__


def loss_at(spec, tensors, x, labels, eps, backend: str | None = None) -> float:
    """The loss of a batch whose first rows have the labels."""
    model = m2_spec.model(spec, backend or BACKENDS[spec.device])
    asarray, known = model.ops.asarray, np.full(len(x), -1.0, np.float32)
    known[: len(labels)] = labels
    theta = asarray(np.concatenate([tensors[name].ravel() for name in model.layout.shapes]))
    batch = asarray(np.concatenate([x, known[:, None]], axis=1))
    return float(semi_supervised_loss(model, theta, batch, asarray(eps), 1.0, spec.weight, gradient=False)[0].loss)


class Runner(HeldRun):
    """M2 of a spec."""

    backend: str | None = None

    def __init__(self, spec, images) -> None:
        model, rows = m2_spec.model(spec, self.backend or BACKENDS[spec.device]), m2_spec.rows(spec, images)
        settings = TrainingSettings(
            seed=0,
            epochs=10**9,
            batch_size=spec.batch,
            learning_rate=m2_spec.RATE,
            optimizer=Adam(*m2_spec.BETAS, m2_spec.EPSILON),
            objective=SemiSupervised(spec.weight),
            noisy_features=spec.noisy,
        )
        x = model.ops.asarray(rows)
        super().__init__(model, settings, x, initial_state(model, settings, x))
