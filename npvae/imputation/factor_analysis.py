"""Factor analysis: a normal distribution whose covariance is of low rank beside a diagonal; also of rows with missing
entries.

    x = m + z V + noise,   z ~ N(0, I_k),   noise ~ N(0, diag(n))      so x ~ N(m, V^T V + diag(n))

Of one row, with o its observed entries and V_o their columns of V (k, |o|), all that is needed is k x k:

    C = (I + V_o diag(1/n_o) V_o^T)^-1       mu = (x_o - m_o) diag(1/n_o) V_o^T C       z | x_o ~ N(mu, C)
    E[x_h | x_o] = m_h + mu V_h

The maximisation regresses every column, over the rows where it is observed, on t = [z, 1]:

    G_d = sum_n E[t t^T] + n_d diag(1, .., 1, 0)     [V_d, m_d] = G_d^-1 sum_n x_nd E[t]     n_d = residual variance

in units of the columns' deviations, in which a normal prior of unit variance on V, the second part of G_d, keeps a
column of few observed entries in its place. What z was found to be is then standardised, which the model does not see
and which spares many steps (parameter expansion).

A step costs N D k^2 and a fit holds no matrix of D x D: for tables with more columns than a full covariance can be
learnt of.

Sources: Rubin & Thayer (1982), "EM algorithms for ML factor analysis"; Liu, Rubin & Wu (1998), "Parameter expansion to
accelerate EM"; Joreskog (1967), "Some contributions to maximum likelihood factor analysis", for ``factors``; Halko,
Martinsson & Tropp (2011), "Finding structure with randomness", section 4.5, for the subspace iteration.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from npvae.mathematics.missing import split
from npvae.support.batches import batches

#: Numbers of a piece's matrices.
PIECE = 1 << 20
#: Covariances of so many columns are decomposed whole; larger ones by subspace iteration, with so many vectors more
#: than are wanted.
WHOLE, MORE_VECTORS = 64, 8
#: Noise is at least this times its column's variance.
FLOOR = 0.01


@dataclass(frozen=True, repr=False)
class FactorAnalysis:
    """N(mean, loadings^T loadings + diag(noise)): (D,), (k, D) and (D,), float64."""

    mean: np.ndarray
    loadings: np.ndarray
    noise: np.ndarray

    def complete(self, x: np.ndarray) -> np.ndarray:
        """x (N, D) with E[x_h | x_o] in the place of its NaN, float64."""
        filled, observed = split(np, x.astype(np.float64))
        for part in batches(len(x), _rows_of_a_piece(self.loadings)):
            z, _ = self._posterior(filled[part], observed[part])
            filled[part] = np.where(observed[part], filled[part], self.mean + z @ self.loadings)
        return filled

    def factors(self, count: int):
        """``(V, noise)`` with so many factors, (count, D) and (D,)."""
        V, noise = self.loadings, self.noise
        if count >= len(V):
            return np.concatenate([V, np.zeros((count - len(V), V.shape[1]))]), noise
        return factors_of(lambda Q: V.T @ (V @ Q) + noise[:, None] * Q, (V * V).sum(axis=0) + noise, count)

    def _posterior(self, x, observed):
        """mu (B, k) and C (B, k, k) of rows (B, D); x may be anything where it is not observed."""
        count = len(self.loadings)
        weighted = self.loadings / self.noise
        pairs = (self.loadings[:, None, :] * weighted).reshape(count * count, -1)
        C = np.linalg.inv((observed @ pairs.T).reshape(-1, count, count) + np.eye(count))
        pull = np.where(observed, x - self.mean, 0.0) @ weighted.T
        return (pull[:, None, :] @ C)[:, 0], C


def fit_factor_analysis(
    x: np.ndarray, count: int, iterations: int = 100, tolerance: float = 1e-3, enough: Callable | None = None
) -> FactorAnalysis:
    """Factor analysis of x (N, D) with NaN with ``count`` factors, at most N - 1 and D, by so many steps of EM, or
    until the noise changes by less than the share ``tolerance`` in the mean. enough: says before a step that there is
    no time for it; without any step the factors are principal components."""
    rows, columns = x.shape
    filled, observed = split(np, x.astype(np.float64))
    seen = np.maximum(observed.sum(axis=0), 1)
    center = filled.sum(axis=0) / seen
    y = np.where(observed, filled - center, 0.0)
    scale = np.sqrt((y * y).sum(axis=0) / seen)
    scale[scale == 0.0] = 1.0
    y /= scale
    squares = (y * y).sum(axis=0)
    model = _principal(y, max(1, min(count, rows - 1, columns)))
    for _ in range(iterations):
        if enough is not None and enough():
            break
        before = model.noise
        model = _step(model, y, observed, squares, seen)
        if np.abs(np.log(model.noise / before)).mean() < tolerance:
            break
    return FactorAnalysis(center + scale * model.mean, model.loadings * scale, model.noise * scale**2)


def _principal(y, count) -> FactorAnalysis:
    """A start: principal components of rows that are 0 where something is missing, by subspace iteration."""
    rows, columns = y.shape
    basis = _basis(columns, count)
    for _ in range(6):
        basis = np.linalg.qr(y.T @ (y @ basis))[0]
    _, values, vectors = np.linalg.svd(y @ basis, full_matrices=False)
    loadings = (values / np.sqrt(rows))[:, None] * (vectors @ basis.T)
    noise = np.maximum((y * y).mean(axis=0) - (loadings**2).sum(axis=0), 0.1)
    return FactorAnalysis(np.zeros(columns), loadings, noise)


def _step(model: FactorAnalysis, y, observed, squares, seen) -> FactorAnalysis:
    """One step of EM on standardised rows y (N, D), 0 where something is missing."""
    rows, columns = y.shape
    k = len(model.loadings)
    moments, products = np.zeros((columns, (k + 1) ** 2)), np.zeros((columns, k + 1))
    total, second = np.zeros(k), np.zeros((k, k))
    for part in batches(rows, _rows_of_a_piece(model.loadings)):
        z, C = model._posterior(y[part], observed[part])
        t = np.concatenate([z, np.ones((len(z), 1))], axis=1)
        outer = t[:, :, None] * t[:, None, :]
        outer[:, :k, :k] += C
        moments += observed[part].T @ outer.reshape(len(z), -1)
        products += y[part].T @ t
        total, second = total + z.sum(axis=0), second + outer[:, :k, :k].sum(axis=0)
    G = moments.reshape(columns, k + 1, k + 1)
    G[:, range(k), range(k)] += model.noise[:, None]
    G[:, k, k] = seen
    found = np.linalg.solve(G, products[:, :, None])[:, :, 0]
    loadings, mean = found[:, :k].T, found[:, k]
    noise = np.maximum((squares - (products * found).sum(axis=1)) / seen, FLOOR)
    center = total / rows
    root = np.linalg.cholesky(second / rows - np.outer(center, center))
    return FactorAnalysis(mean + center @ loadings, root.T @ loadings, noise)


def factors_of(
    multiply, variance: np.ndarray, count: int, iterations: int = 200, floor: float = FLOOR, tolerance: float = 1e-4
):
    """``(V, noise)``, (count, D) and (D,): V^T V + diag(noise) near a covariance (D, D), by the fixed point of the
    likelihood's equations: factors of the covariance scaled by the noise, then the noise from what they leave.

    multiply(Q): the covariance times Q (D, l). variance: its diagonal. It ends after so many steps, or when no noise
    changes by more than the share ``tolerance``. noise is at least ``floor`` times each column's variance. More factors
    than columns are zero.
    """
    columns, noise = len(variance), 0.5 * variance
    whole = columns <= max(WHOLE, count + MORE_VECTORS)
    if whole:
        covariance = multiply(np.eye(columns))
    else:
        basis = _basis(columns, count + MORE_VECTORS)
    for _ in range(iterations):
        scale, before = np.sqrt(noise), noise
        if whole:
            values, vectors = np.linalg.eigh(covariance / np.outer(scale, scale))
        else:  # a turn of the subspace, which has the one of the step before to begin with, and the covariance in it

            def scaled(Q, scale=scale):
                return multiply(Q / scale[:, None]) / scale[:, None]

            basis = np.linalg.qr(scaled(basis))[0]
            values, within = np.linalg.eigh(basis.T @ scaled(basis))
            vectors = basis = basis @ within
        values, vectors = values[::-1][:count], vectors[:, ::-1][:, :count]
        V = (vectors * np.sqrt(np.maximum(values - 1.0, 0.0))).T * scale
        noise = np.maximum(variance - (V * V).sum(axis=0), floor * variance)
        if np.abs(np.log(noise / before)).max() < tolerance:
            break
    return np.concatenate([V, np.zeros((count - len(V), columns))]), noise


def _basis(columns: int, count: int) -> np.ndarray:
    """Vectors (columns, count) in no particular direction, the same every time."""
    return np.cos(np.arange(1.0, columns + 1.0)[:, None] * np.sqrt(np.arange(2.0, count + 2.0)) + np.arange(count))


def _rows_of_a_piece(loadings: np.ndarray) -> int:
    return max(1, PIECE // (len(loadings) + 1) ** 2)
