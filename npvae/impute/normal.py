"""A multivariate normal distribution of rows with missing entries, fitted by expectation and maximisation.

    x ~ N(m, S);   of one row, with o its observed and h its missing entries,
    E[x_h | x_o]   = m_h + S_ho S_oo^-1 (x_o - m_o)                        what completes the row
    Cov[x_h | x_o] = S_hh - S_ho S_oo^-1 S_oh

    m <- mean of the completed rows
    S <- mean of (completed - m)(completed - m)^T + Cov[x_h | x_o] at its place, + ridge

It is the linear-Gaussian model with as many latent dimensions as features, its maximum found without a gradient. To a
network it gives a start: a completed row for the encoder to see, and by factor analysis the linear paths (start.py).

Rows are worked on together: with B = S_oo^-1 put back among zeros, S_ho S_oo^-1 (x_o - m_o) is S B (x - m) for every row,
whatever its pattern. Memory for that is D^2 numbers a row, so rows go in pieces.

Sources: Little & Rubin (2002), "Statistical analysis with missing data", section 11.2; Joreskog (1967), "Some
contributions to maximum likelihood factor analysis", for ``factors``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from npvae.batches import batches
from npvae.missing import fill_with_means, split

#: Numbers of a piece's matrices.
PIECE = 1 << 20
#: Multiplications that fitting may take, counted as D^3 a row and step.
OPERATIONS = 10**11


@dataclass(frozen=True)
class Normal:
    """N(mean, covariance): (D,) and (D, D), float64."""

    mean: np.ndarray
    covariance: np.ndarray

    def complete(self, x: np.ndarray) -> np.ndarray:
        """x (N, D) with E[x_h | x_o] in the place of its NaN, float64."""
        return self._expect(x)[0]

    def _expect(self, x):
        """The completed rows, and the sum over them of Cov[x_h | x_o], (D, D)."""
        dimension = len(self.mean)
        completed, spread = np.empty(x.shape), np.zeros((dimension, dimension))
        for part in batches(len(x), max(1, PIECE // dimension**2)):
            filled, observed = split(np, x[part].astype(np.float64))
            both = observed[:, :, None] & observed[:, None, :]
            # Of what is missing an identity is inverted, and left out again.
            inverse = np.linalg.inv(np.where(both, self.covariance, np.eye(dimension)))
            pull = np.where(both, inverse, 0.0)
            difference = np.where(observed, filled - self.mean, 0.0)
            expected = self.mean + (pull @ difference[:, :, None])[:, :, 0] @ self.covariance
            completed[part] = np.where(observed, filled, expected)
            neither = (~observed[:, :, None]) & ~observed[:, None, :]
            spread += np.where(neither, self.covariance - self.covariance @ pull @ self.covariance, 0.0).sum(axis=0)
        return completed, spread


def fit_normal(x: np.ndarray, iterations: int | None = None, ridge: float = 1e-3) -> Normal:
    """The normal distribution of x (N, D) with NaN after so many steps of EM from independent columns; None: 50, or as many
    of a table of hundreds of columns as take about a minute, at least 3.

    ridge: added to the variance of every column, times that column's own: where columns determine each other, the
    likelihood would grow without end.
    """
    if iterations is None:
        iterations = int(np.clip(OPERATIONS // (len(x) * x.shape[1] ** 3), 3, 50))
    filled = fill_with_means(x.astype(np.float64))
    variance = np.nanvar(x, axis=0, dtype=np.float64)
    floor = ridge * np.where(variance > 0.0, variance, 1.0)
    normal = Normal(filled.mean(axis=0), np.diag(variance + floor))
    for _ in range(iterations):
        completed, spread = normal._expect(x)
        mean = completed.mean(axis=0)
        difference = completed - mean
        normal = Normal(mean, (difference.T @ difference + spread) / len(x) + np.diag(floor))
    return normal


def factors(covariance: np.ndarray, count: int, iterations: int = 200, floor: float = 0.01):
    """``(V, noise)``, (count, D) and (D,): V^T V + diag(noise) near the covariance (D, D), by the fixed point of the likelihood's
    equations: factors of the covariance scaled by the noise, then the noise from what they leave.

    noise is at least ``floor`` times each column's variance. More factors than columns are zero.
    """
    variance = np.diag(covariance)
    noise = 0.5 * variance
    for _ in range(iterations):
        scale = np.sqrt(noise)
        values, vectors = np.linalg.eigh(covariance / np.outer(scale, scale))
        values, vectors = values[::-1][:count], vectors[:, ::-1][:, :count]
        V = (vectors * np.sqrt(np.maximum(values - 1.0, 0.0))).T * scale
        noise = np.maximum(variance - (V * V).sum(axis=0), floor * variance)
    return np.concatenate([V, np.zeros((count - len(V), len(variance)))]), noise
