"""Counts and their rates drawn from numbers of a :class:`npvae.random.Stream`: exactly, as far as double precision
goes.
"""

from __future__ import annotations

import numpy as np

from npvae.errors import InputError
from npvae.mathematics.likelihoods.counts import half_deviance, log_factorial_remainder

#: Counts of a mean up to this are drawn by adding up probabilities, those of a larger one by rejection.
LARGEST_SUMMED = 64.0


def draw_poisson(log_mean, stream) -> np.ndarray:
    """Poisson counts of the array shape of log_mean, float64. InputError: a mean is not finite."""
    log_mean = np.asarray(log_mean, np.float64)
    with np.errstate(over="ignore"):
        mean = np.exp(log_mean)
    if not np.isfinite(mean).all():
        raise InputError(f"a Poisson rate of exp({float(log_mean.max()):g}) cannot be drawn from")
    large = mean > LARGEST_SUMMED
    counts = _by_summing(np.where(large, 0.0, mean), stream.uniform(mean.shape))
    counts[large] = _by_rejection(mean[large], log_mean[large], stream)
    return counts


def _by_summing(mean, u):
    """The smallest k with P(x <= k) > u: the distribution function, added up term by term."""
    count = np.zeros(mean.shape)
    term = total = np.exp(-mean)
    for k in range(1, 1000):
        left = u >= total
        if not left.any():
            break
        term = term * mean / k
        total = total + term
        count = np.where(left, k, count)
    return count


def _by_rejection(mean, log_mean, stream):
    """Transformed rejection, for means (N,) of at least 10.

        k = floor((2 a / s + b) u + mean + 0.43),  s = 1/2 - |u|,  u uniform on [-1/2, 1/2), v on (0, 1] k is taken if v
        c / (a / s^2 + b) <= P(k); without looking at P(k) if s >= 0.07 and v <= r; never if s < 0.013 and v > s

    Source: Hörmann (1993), "The transformed rejection method for generating Poisson random variables", algorithm PTRS.
    """
    counts = np.empty(mean.shape)
    b = 0.931 + 2.53 * np.sqrt(mean)
    a, c, r = 0.02483 * b - 0.059, 1.1239 + 1.1328 / (b - 3.4), 0.9277 - 3.6224 / (b - 2.0)
    waiting = np.arange(mean.size)
    while waiting.size:
        a_w, b_w, mean_w = a[waiting], b[waiting], mean[waiting]
        u, v = stream.uniform(waiting.shape) - 0.5, 1.0 - stream.uniform(waiting.shape)
        s = np.maximum(0.5 - np.abs(u), 1e-20)
        k = np.floor((2.0 * a_w / s + b_w) * u + mean_w + 0.43)
        positive = np.maximum(k, 1.0)
        log_p = -half_deviance(np, positive, mean_w, log_mean[waiting] - np.log(positive)) - log_factorial_remainder(
            np, positive
        )
        log_p = np.where(k > 0.0, log_p, -mean_w)
        fits = np.log(v) + np.log(c[waiting]) - np.log(a_w / (s * s) + b_w) <= log_p
        taken = (s >= 0.07) & (v <= r[waiting]) | (k >= 0.0) & ~((s < 0.013) & (v > s)) & fits
        counts[waiting[taken]] = k[taken]
        waiting = waiting[~taken]
    return counts


def draw_gamma(shape, stream) -> np.ndarray:
    """log G for G ~ Gamma(shape, scale 1), of the shape's array shape, float64: exactly, by rejection.

        d = k - 1/3,  v = (1 + n / sqrt(9 d))^3,  G = d v  if v > 0 and log u < n^2/2 + d - d v + d log v,  n ~ N(0, 1)

    with k = shape, or shape + 1 below 1: there Gamma(shape + 1) u^(1/shape) has the distribution, and its logarithm no
    underflow.

    Source: Marsaglia & Tsang (2000), "A simple method for generating gamma variables".
    """
    boosted = shape < 1.0
    d = np.where(boosted, shape + 1.0, shape).reshape(-1) - 1.0 / 3.0
    log_g = np.empty(d.shape)
    waiting = np.arange(d.size)
    while waiting.size:
        n, u = stream.normal(waiting.shape), 1.0 - stream.uniform(waiting.shape)
        root, own = 1.0 + n / np.sqrt(9.0 * d[waiting]), d[waiting]
        log_v = 3.0 * np.log(np.maximum(root, 1e-300))
        accepted = (root > 0.0) & (np.log(u) < 0.5 * n * n + own * (1.0 - root**3 + log_v))
        log_g[waiting[accepted]] = np.log(own[accepted]) + log_v[accepted]
        waiting = waiting[~accepted]
    log_u = np.log(1.0 - stream.uniform(shape.shape))
    return log_g.reshape(shape.shape) + np.where(boosted, log_u / np.where(boosted, shape, 1.0), 0.0)
