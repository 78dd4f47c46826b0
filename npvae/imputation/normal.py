"""A multivariate normal distribution of rows with missing entries, fitted by expectation and maximisation.

    x ~ N(m, S);   of one row, with o its observed and h its missing entries,
    E[x_h | x_o]   = m_h + S_ho S_oo^-1 (x_o - m_o)                        what completes the row
    Cov[x_h | x_o] = S_hh - S_ho S_oo^-1 S_oh

    m <- mean of the completed rows
    S <- mean of (completed - m)(completed - m)^T + Cov[x_h | x_o] at its place, + ridge

It is the linear-Gaussian model with as many latent dimensions as features, its maximum found without a gradient. To a
network it gives a start: a completed row for the encoder to see, and by factor analysis (factor_analysis.py) the linear
paths (start.py).

Both come from the precision P = S^-1, which is computed once a step: with P_hh the block of what is missing,

    Cov[x_h | x_o] = P_hh^-1        E[x_h | x_o] = m_h - P_hh^-1 P_ho (x_o - m_o)

so a row costs the inverse of a matrix as large as its missing entries are many, and a complete row nothing. Rows with
equally many missing entries are worked on together, in pieces.

Source: Little & Rubin (2002), "Statistical analysis with missing data", section 11.2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from npvae.imputation.factor_analysis import factors_of
from npvae.mathematics.missing import fill_with_means, split
from npvae.support.batches import batches

#: Numbers of a piece's matrices.
PIECE = 1 << 20
#: Multiplications that fitting may take, counted as h^3 a step for a row with h missing entries.
OPERATIONS = 3 * 10**11


@dataclass(frozen=True, repr=False)
class Normal:
    """N(mean, covariance): (D,) and (D, D), float64."""

    mean: np.ndarray
    covariance: np.ndarray

    def complete(self, x: np.ndarray) -> np.ndarray:
        """x (N, D) with E[x_h | x_o] in the place of its NaN, float64."""
        return self._expect(x)[0]

    def factors(self, count: int):
        """``(V, noise)``, (count, D) and (D,): V^T V + diag(noise) near the covariance."""
        return factors_of(lambda Q: self.covariance @ Q, np.diag(self.covariance), count)

    def _expect(self, x):
        """The completed rows, and the sum over them of Cov[x_h | x_o], (D, D)."""
        dimension = len(self.mean)
        precision = np.linalg.inv(self.covariance)
        completed, observed = split(np, x.astype(np.float64))
        # Of row n, at its missing entries: P_ho (x_o - m_o).
        pull = np.where(observed, completed - self.mean, 0.0) @ precision
        spread = np.zeros(dimension**2)
        count = (~observed).sum(axis=1)
        for h in np.unique(count[count > 0]):
            alike = np.flatnonzero(count == h)
            for part in batches(len(alike), max(1, PIECE // h**2)):
                rows = alike[part]
                missing = np.nonzero(~observed[rows])[1].reshape(-1, h)
                block = missing[:, :, None] * dimension + missing[:, None, :]
                covariance = np.linalg.inv(precision.ravel()[block])
                places = rows[:, None], missing
                completed[places] = self.mean[missing] - (covariance @ pull[places][:, :, None])[:, :, 0]
                spread += np.bincount(block.ravel(), covariance.ravel(), minlength=dimension**2)
        return completed, spread.reshape(dimension, dimension)


def operations_of(x: np.ndarray) -> float:
    """Multiplications that a step of EM takes for x (N, D) with NaN: h^3 for a row with h missing entries."""
    return float((np.isnan(x).sum(axis=1, dtype=np.float64) ** 3).sum())


def fit_normal(
    x: np.ndarray, iterations: int | None = None, ridge: float = 1e-3, enough: Callable | None = None
) -> Normal:
    """The normal distribution of x (N, D) with NaN after so many steps of EM from independent columns; None: 50, or as
    many of a table of hundreds of columns as take about a minute, at least 3.

    ridge: added to the variance of every column, times that column's own: where columns determine each other, the
    likelihood would grow without end. enough: says before a step that there is no time for it; without any step columns
    are independent, with the means and variances of what is observed.
    """
    if iterations is None:
        iterations = int(np.clip(OPERATIONS // max(operations_of(x), 1.0), 3, 50))
    x = x.astype(np.float64)
    filled = fill_with_means(x)
    variance = np.nanvar(x, axis=0)
    floor = ridge * np.where(variance > 0.0, variance, 1.0)
    normal = Normal(filled.mean(axis=0), np.diag(variance + floor))
    for _ in range(iterations):
        if enough is not None and enough():
            break
        completed, spread = normal._expect(x)
        mean = completed.mean(axis=0)
        difference = completed - mean
        normal = Normal(mean, (difference.T @ difference + spread) / len(x) + np.diag(floor))
    return normal
