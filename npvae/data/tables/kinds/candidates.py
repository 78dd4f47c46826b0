"""The probability of recorded cells under each kind that a column of numbers may be of, given what the other columns
predict.

A cell v of a column with d decimals stands for all numbers in [v - h, v + h], h = 10^-d / 2, so that densities and
probabilities compare:

    continuous, positive, shaped   x(v + h) - x(v - h) of a normal distribution, in the kind's own numbers x
    bounded                        the same of v, the ends taking the tails
    counts                         the negative binomial probability of v, log mean linear
    ordinal                        cumulative logits        categorical    multinomial logits

Location and, where there is one, the logarithm of the scale are linear in the predictions. Every one is fitted to half
of the rows and gives the log-probabilities of the others: ``log_probabilities``.
"""

from __future__ import annotations

import math

import numpy as np

from npvae.data.tables.kinds import normal_quantiles
from npvae.data.tables.kinds.continuous import Continuous
from npvae.data.tables.kinds.positive import Positive
from npvae.data.tables.kinds.shaped import Shaped

#: Steps of the fits that take several, and what is added to their curvature.
STEPS, RIDGE = 12, 1e-2
#: Numbers without so many decimals are taken to be recorded to this part of their deviation.
FINEST = 1e-6


#: Quantiles of the shape that is judged: values that recur here and there are no reason to bend a whole axis.
SHAPE = 10
_NORMAL = {kind.kind: kind for kind in (Continuous, Positive, Shaped)}


def by_normal(kind: str, v: np.ndarray, half: float, z: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Log-probabilities of v (n,) by a column of the kind, fitted to v[train], Gaussian in its numbers given z (n,
    q).
    """
    column = Shaped.fit("", v, train, SHAPE) if kind == "shaped" else _NORMAL[kind].fit("", v, train)
    x, low, high = column.numbers_of(v), edge(column, v - half, False), edge(column, v + half, True)
    location, scale = _linear_normal(x, z, train)
    return normal_quantiles.log_between((low - location) / scale, (high - location) / scale)


def edge(column, v: np.ndarray, upper: bool) -> np.ndarray:
    """The number x up to which (upper) or from which on v is recorded; infinite where the kind has nothing beyond."""
    if not isinstance(column, Shaped):
        floor = 0.0 if isinstance(column, Positive) else -column.half if column.is_curved else -np.inf
        least = floor + 1e-9 * column.unit
        return np.where(v <= least, -np.inf, column.numbers_of(np.maximum(v, least)))
    lower, above = column.slopes
    x = column.limit(v, "left" if upper else "right")
    x = np.where((v < column.quantiles[0]) & (lower == 0.0), -np.inf, x)
    x = np.where((v > column.quantiles[-1]) & (above == 0.0), np.inf, x)
    return np.where((v <= 0.0) & column.positive, -np.inf, x)


def by_bounded(v, half, z, train, ends) -> np.ndarray:
    """Log-probabilities of v (n,) between ends (low, high): a normal distribution whose tails are at the ends."""
    low, high = ends
    at_low, at_high = v <= low, v >= high
    x = v.copy()
    for _ in range(4):  # what is at an end is put where it is expected beyond
        location, scale = _linear_normal(x, z, train)
        a, b = (low - location) / scale, (high - location) / scale
        x = np.where(at_low, location - scale * _hazard(-a), np.where(at_high, location + scale * _hazard(b), v))
    return normal_quantiles.log_between(
        np.where(at_low, -np.inf, (v - half - location) / scale),
        np.where(at_high, np.inf, (v + half - location) / scale),
    )


def _hazard(a: np.ndarray) -> np.ndarray:
    """phi(a) / (1 - Phi(a)): how far beyond a a standard normal number is expected that is beyond it."""
    log_tail = np.where(
        a > 0.0,
        normal_quantiles.log_upper_tail(np.maximum(a, 0.0)),
        np.log1p(-np.exp(normal_quantiles.log_upper_tail(np.maximum(-a, 0.0)))),
    )
    return np.exp(np.minimum(-0.5 * a * a - 0.5 * math.log(2.0 * math.pi) - log_tail, 5.0))


def _linear_normal(x, z, train):
    """Location and scale, (n,) each, of x (n,): least squares, then weighted by a scale whose logarithm is linear."""
    w = np.ones(len(x))
    least = 1e-4 * max(float(x[train].std()), 1e-12)
    for _ in range(3):
        location = z @ _least_squares(z[train], x[train], w[train])
        residual = np.abs(x - location)
        slope = _least_squares(
            z[train],
            np.log(np.maximum(residual[train], 0.05 * residual[train].mean() + least)),
            np.ones(int(train.sum())),
        )
        log_scale = np.clip(z @ slope, *np.quantile(z[train] @ slope, (0.02, 0.98)))
        shape = np.exp(log_scale - log_scale[train].mean())
        w = 1.0 / shape**2
    scale = shape * math.sqrt(float(np.mean((residual[train] / shape[train]) ** 2)))
    return location, np.maximum(scale, least)


def _least_squares(z, y, w):
    weighted = z * w[:, None]
    return np.linalg.solve(weighted.T @ z + RIDGE * np.eye(z.shape[1]), weighted.T @ y)


def by_counts(v, z, train) -> np.ndarray:
    """Log-probabilities of counts v (n,): negative binomial, of the size that fits v[train] best."""
    log_mean = np.log(max(float(v[train].mean()), 1e-3))
    beta = _least_squares(z[train], np.log(v[train] + 0.5), np.ones(int(train.sum())))
    beta[0] += log_mean - np.log(np.mean(np.exp(np.clip(z[train] @ beta, -20.0, 20.0))))
    best, result = -np.inf, np.full(len(v), np.nan)
    for size in (0.3, 1.0, 3.0, 10.0, 1e3):
        b = beta.copy()
        for _ in range(4):
            mean = np.exp(np.clip(z[train] @ b, log_mean - 12.0, log_mean + 12.0))
            slope = (v[train] - mean) * size / (size + mean)
            curvature = (z[train] * (mean * size / (size + mean))[:, None]).T @ z[train] + RIDGE * np.eye(z.shape[1])
            b = b + np.clip(np.linalg.solve(curvature, z[train].T @ slope), -2.0, 2.0)
        mean = np.exp(np.clip(z @ b, log_mean - 12.0, log_mean + 12.0))
        found = (
            _log_gamma(v + size)
            - _log_gamma(np.full(1, size))
            - _log_gamma(v + 1.0)
            + size * np.log(size / (size + mean))
            + v * np.log(mean / (size + mean))
        )
        if found[train].mean() > best:
            best, result = found[train].mean(), found
    return result


def _log_gamma(x: np.ndarray) -> np.ndarray:
    from npvae.mathematics import special

    return special.log_gamma(np, x)


def by_levels(places, count, z, train, ordered: bool) -> np.ndarray:
    """Log-probabilities of places (n,) among ``count`` levels: cumulative logits, or multinomial ones.

    Steps of Newton's method in which the curvature is the sum of the rows' products of derivatives.
    """
    shares = (np.bincount(places[train], minlength=count) + 0.5) / (train.sum() + 0.5 * count)
    slopes = z[:, 1:]
    if ordered:
        below = np.clip(np.cumsum(shares)[:-1], 1e-4, 1 - 1e-4)
        parameters = np.concatenate([np.log(below / (1.0 - below)), np.zeros(slopes.shape[1])])
        terms = _cumulative
    else:
        parameters = np.zeros((count, z.shape[1]))
        parameters[:, 0] = np.log(shares)
        parameters = parameters.ravel()
        terms = _multinomial
    value, step = -np.inf, 1.0
    best, direction = parameters, np.zeros_like(parameters)
    for _ in range(STEPS):
        log_p, scores = terms(parameters, places[train], count, z[train])
        if not log_p.sum() > value - 1e-9:  # too far: half of the way back
            step *= 0.5
            parameters = best + step * direction
            continue
        value, best, step = log_p.sum(), parameters, 1.0
        curvature = scores.T @ scores + RIDGE * max(1.0, len(scores) / 100.0) * np.eye(scores.shape[1])
        try:
            direction = np.linalg.solve(curvature, scores.sum(axis=0))
        except np.linalg.LinAlgError:  # where levels are all but impossible the ridge is lost in rounding
            direction = np.linalg.lstsq(curvature, scores.sum(axis=0))[0]
        direction *= min(1.0, 2.0 / np.abs(direction).max(initial=1e-12))
        parameters = best + direction
    return terms(best, places, count, z)[0]


def _cumulative(parameters, places, count, z):
    theta = np.concatenate([[-np.inf], np.maximum.accumulate(parameters[: count - 1]), [np.inf]])
    slopes = z[:, 1:]
    location = slopes @ parameters[count - 1 :]
    upper, lower = (1.0 / (1.0 + np.exp(-np.clip(theta[places + i] - location, -40.0, 40.0))) for i in (1, 0))
    p = np.maximum(upper - lower, 1e-9)
    up, low = upper * (1.0 - upper) / p, lower * (1.0 - lower) / p
    scores = np.zeros((len(places), len(parameters)))
    rows = np.arange(len(places))
    inner = places < count - 1
    scores[rows[inner], places[inner]] += up[inner]
    inner = places > 0
    scores[rows[inner], places[inner] - 1] -= low[inner]
    scores[:, count - 1 :] = -slopes * (up - low)[:, None]
    return np.log(p), scores


def _multinomial(parameters, places, count, z):
    logits = z @ parameters.reshape(count, -1).T
    logits -= logits.max(axis=1, keepdims=True)
    p = np.exp(logits)
    p /= p.sum(axis=1, keepdims=True)
    rows = np.arange(len(places))
    difference = -p
    difference[rows, places] += 1.0
    return np.log(np.maximum(p[rows, places], 1e-9)), (difference[:, :, None] * z[:, None, :]).reshape(len(places), -1)
