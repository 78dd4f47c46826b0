"""A linear-Gaussian model, x = z V + b + noise, of which everything is known exactly; its encoder is wrong on
purpose.
"""

from __future__ import annotations

import numpy as np

from npvae.backend.base import Ops
from npvae.mathematics.model import Architecture, Model

VARIANCE = 0.3


class LinearGaussian:
    """Three features, one latent dimension."""

    def __init__(self, missing: bool = False, completed: bool = False, ops=None) -> None:
        shape = {"likelihood": {"name": "gaussian", "variance": VARIANCE}, "missing": missing, "completed": completed}
        self.model = Model(Architecture(3, 1, (), **shape), ops or Ops(np))
        self.theta = np.zeros(self.model.layout.size)
        views = self.model.views(self.theta)
        self.V, self.b = np.array([[1.0, -0.8, 0.6]]), np.array([0.5, -1.0, 2.0])
        views["decoder/mean/W"][...], views["decoder/mean/b"][...] = self.V, self.b
        # The posterior's mean off by a factor and a shift, its deviation by a factor; of rows with nothing it is the
        # prior's.
        precision = 1.0 + (self.V @ self.V.T).item() / VARIANCE
        weights = self.V.T / VARIANCE / precision
        views["encoder/mean/W"][:3] = 0.6 * weights
        views["encoder/mean/b"][...] = 0.3 - 0.6 * self.b @ weights
        views["encoder/logvar/b"][...] = 0.3 if missing else np.log(1.0 / precision) + 0.8
        self.covariance = self.V.T @ self.V + VARIANCE * np.eye(3)

    def conditional(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and covariance of what is missing of a row, given what is observed."""
        o = ~np.isnan(x)
        gain = self.covariance[np.ix_(~o, o)] @ np.linalg.inv(self.covariance[np.ix_(o, o)])
        mean = self.b[~o] + gain @ (x[o] - self.b[o])
        return mean, self.covariance[np.ix_(~o, ~o)] - gain @ self.covariance[np.ix_(o, ~o)]
