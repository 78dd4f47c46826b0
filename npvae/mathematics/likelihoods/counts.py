"""What likelihoods of counts share: which data they take, where they start, and the terms of their probabilities.

    D(x, m)  = x log(x / m) + m - x                             half the deviance of a Poisson distribution
    e(x)     = log x! - x log x + x  =  log(2 pi x)/2 + delta(x)                                   delta: special.py
    -log P(x) of a Poisson distribution of mean m = D(x, m) + e(x);  D(0, m) = m,  e(0) = 0

Neither term has digits to lose where x log m and log x!, of which the definition takes the difference, are large.

Source: Loader (2000), "Fast and accurate computation of binomial probabilities".
"""

from __future__ import annotations

import math

import numpy as np

from npvae.errors import InputError
from npvae.mathematics import special
from npvae.mathematics.likelihoods.base import column_label

#: A rate below this is one as good as 0: of biases, and of starts.
SMALLEST_RATE = 1e-3


def refuse_all_but_counts(x: np.ndarray, name: str, column_names=None) -> None:
    """InputError naming the first column of x with something else than 0, 1, 2, ...; ``name`` is the likelihood's."""
    outside = (x < 0) | (x != np.trunc(x)) & ~np.isnan(x)
    if outside.any():
        row, column = np.argwhere(outside)[0]
        raise InputError(
            f"X holds {float(x[row, column])!r} in {column_label(column, column_names)} (row {row}), but the {name} "
            "likelihood needs counts (0, 1, 2, ...); leave counts undivided (divide_by=1), or use a gaussian likelihood"
        )


def log_mean(x: np.ndarray) -> np.ndarray:
    """The logarithm of each column's mean, (I,)."""
    return np.log(np.maximum(np.mean(x, axis=0, dtype=np.float64), SMALLEST_RATE))


def log_rate_start(mean, V) -> tuple[np.ndarray, np.ndarray]:
    """Bias a and linear path b of a log-normal rate that has that mean and variance: r = exp(a + z b), z ~ N(0, I), has

    E[r] = exp(a + b b^T / 2) = mean        Var[r] = mean^2 (exp(b b^T) - 1) = s^2,  s^2 = V^T V of the column
    b = V sqrt(log(1 + s^2 / mean^2)) / s   which is V / mean for small s, and grows no faster than a logarithm
    """
    rate = np.maximum(mean, 0.1)
    s = np.sqrt((V * V).sum(axis=0))
    log_variance = np.log1p((s / rate) ** 2)
    slope = np.sqrt(log_variance) / np.maximum(s, 1e-30)
    return np.log(rate) - log_variance / 2.0, V * slope


def half_deviance(xp, x, mean, log_ratio):
    """D(x, m) for x, m > 0; log_ratio: log(m / x)."""
    return x * special.log1p_shortfall(xp, (mean - x) / x, log_ratio)


def log_factorial_remainder(xp, x):
    """e(x) for x > 0."""
    return 0.5 * xp.log(2.0 * math.pi * x) + special.stirling_remainder(xp, x)


def poisson_terms(xp, x, mean, log_mean):
    """D(x, m) + e(x), elementwise, for x >= 0; in large matrices of counts most are 0, and only the others are
    computed with.
    """
    there = x > 0.0
    term, x = mean + 0.0, x[there]
    term[there] = half_deviance(xp, x, mean[there], log_mean[there] - xp.log(x)) + log_factorial_remainder(xp, x)
    return term
