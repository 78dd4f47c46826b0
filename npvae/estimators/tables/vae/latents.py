"""From which z synthetic rows are drawn: the aggregate posterior, which is what the decoder has been trained on.

    q(z) = (1/M) sum_m N(z; mu_m, diag(exp(logvar_m)))          of M rows that were trained on, at most MOST

Where a model is perfect it is the prior N(0, I); of a model that has seen some thousand rows it is not, and rows that
are decoded from where no row was encoded are unlike any. A draw is the posterior of one row: what is decoded from it is
as near to this row as the posterior is narrow, which is why how near synthetic rows are to the rows trained on is
measured (nearness.py).

Source: Tomczak & Welling (2018), "VAE with a VampPrior", section 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from npvae import evaluation
from npvae.errors import ModelFileError
from npvae.mathematics import random

#: Rows whose posteriors are kept, at most.
MOST = 5000


@dataclass(frozen=True, eq=False, repr=False)
class Latents:
    """mean, logvar: (M, Z), float32."""

    mean: np.ndarray
    logvar: np.ndarray

    @classmethod
    def fit(cls, model, theta, x, seed: int) -> Latents | None:
        """Of rows x of the model, (N, columns); None: some posterior is not finite."""
        rows = random.permutation(seed, "posterior of a row", 0, len(x))[:MOST]
        mean, logvar = (part.astype(np.float32) for part in evaluation.posterior(model, theta, x[np.sort(rows)]))
        return cls(mean, logvar) if np.isfinite(mean).all() and np.isfinite(np.exp(logvar)).all() else None

    def draw(self, n: int, seed: int) -> np.ndarray:
        """n of z, (n, Z)."""
        u = random.uniform(seed, "posterior of a row", 1, (n,))
        rows = np.minimum((u * len(self.mean)).astype(int), len(self.mean) - 1)
        eps = random.normal(seed, "prior sample", 0, (n, self.mean.shape[1]), "float32")
        return self.mean[rows] + np.exp(0.5 * self.logvar[rows]) * eps

    def check(self, latent_dim: int) -> None:
        """ModelFileError: they are not those of a model of so many latent dimensions."""
        for name, array in (("mean", self.mean), ("logvar", self.logvar)):
            if (
                array.shape != (len(self.mean), latent_dim)
                or array.dtype != np.float32
                or not len(array)
                or not np.isfinite(array).all()
            ):
                raise ModelFileError(f"the {name} of its posteriors does not fit the model")
