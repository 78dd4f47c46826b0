"""Small data and models that several tests share."""

from __future__ import annotations

import numpy as np

from npvae import VAE


def grey_rows(rows: int = 40, columns: int = 6, seed: int = 3) -> np.ndarray:
    """Grey values from 0 to 1 with some structure: two kinds of rows."""
    generator = np.random.default_rng(seed)
    kind = generator.integers(0, 2, rows)[:, None]
    return np.clip(
        0.5
        + 0.4 * (2 * kind - 1) * np.sign(np.arange(columns) - 2.5)
        + 0.05 * generator.standard_normal((rows, columns)),
        0.0,
        1.0,
    )


def small_vae(**changes) -> VAE:
    """A VAE that trains on :func:`grey_rows` in milliseconds."""
    settings = {"latent_dim": 2, "hidden": (5,), "batch_size": 7, "epochs": 3, "random_state": 1, **changes}
    return VAE(**settings)
