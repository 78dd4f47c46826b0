"""Continuous Bernoulli likelihood from logits: what the Bernoulli's cross-entropy is for grey values, made a density.

    p(x|z)  = prod_i C(l_i) s_i^x_i (1 - s_i)^(1 - x_i)      x from 0 to 1, s = sigmoid(l), l the logits
            = prod_i exp(x_i l_i) / Z(l_i)                   Z(l) = int_0^1 exp(x l) dx = (exp(l) - 1) / l
    nll     = sum_i log Z(l_i) - x_i l_i
    dl_i    = dnll * (m(l_i) - x_i)                          m = E[x] = d log Z / dl = 1 / (1 - exp(-l)) - 1 / l

Z and m are 0 / 0 at l = 0, which is s = 1/2, where the usual form log C = log(2 atanh(1 - 2 s) / (1 - 2 s)) loses all
its digits on the way. With a = |l| / 2

    log Z   = max(l, 0) + log((1 - exp(-2 a)) / (2 a))
    m       = 1/2 + sign(l) L(a) / 2,   L(a) = coth(a) - 1 / a = a / 3 - a^3 / 45 + 2 a^5 / 945 - ...     a < 1/2
            = h for l < 0, 1 - h for l > 0,   h = 1 / (2 a) - 1 / (exp(2 a) - 1)                          a >= 1/2

which have an error of a rounding everywhere.

Source: Loaiza-Ganem & Cunningham (2019), "The continuous Bernoulli: fixing a pervasive error in variational
autoencoders".
"""

from __future__ import annotations

import numpy as np

from npvae.mathematics.likelihoods.base import Likelihood, check_upstream, refuse_outside
from npvae.mathematics.missing import keep
from npvae.support import check

#: Of L(a) = sum_n c_n a^(2n - 1), c_n = 4^n B_2n / (2n)!: enough of them for float64 up to a = 1/2.
_LANGEVIN = (
    1 / 3,
    -1 / 45,
    2 / 945,
    -1 / 4725,
    2 / 93555,
    -1382 / 638512875,
    4 / 18243225,
    -3617 / 162820783125,
    87734 / 38979295480125,
    -349222 / 1531329465290625,
)


def log_normaliser(xp, logits):
    """log Z(l), elementwise."""
    size = xp.abs(logits)
    safe = xp.where(size > 0.0, size, xp.ones_like(size))
    ratio = xp.where(size > 0.0, -xp.expm1(-safe) / safe, xp.ones_like(size))
    return xp.maximum(logits, xp.zeros_like(logits)) + xp.log(ratio)


def mean_of(xp, logits):
    """m(l) = E[x], elementwise."""
    a = 0.5 * xp.abs(logits)
    near = xp.where(a < 0.5, a, xp.zeros_like(a))
    series = xp.full_like(a, _LANGEVIN[-1])
    for coefficient in reversed(_LANGEVIN[:-1]):
        series = series * (near * near) + coefficient
    far = xp.where(a < 0.5, xp.ones_like(a), a)
    decay = xp.exp(-2.0 * far)
    lower = 0.5 / far - decay / (1.0 - decay)
    return xp.where(a < 0.5, 0.5 + 0.5 * xp.sign(logits) * (series * near), xp.where(logits < 0.0, lower, 1.0 - lower))


def _logits_of(mean: np.ndarray) -> np.ndarray:
    """The logits of a mean m, by halving intervals."""
    low, high = np.full(mean.shape, -1100.0), np.full(mean.shape, 1100.0)
    for _ in range(60):
        middle = 0.5 * (low + high)
        below = mean_of(np, middle) < mean
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return 0.5 * (low + high)


class ContinuousBernoulli(Likelihood):
    """Values from 0 to 1, with their proper density. One head: the logits."""

    name = "continuous_bernoulli"
    elementwise = True

    def heads(self, n_features):
        return {"logits": n_features}

    def negative_log_likelihood(self, ops, outputs, x, parameters, gradient=True, observed=None):
        (logits,) = outputs
        check.same_shape(x=x, logits=logits)
        nll = ops.xp.sum(keep(ops.xp, observed, log_normaliser(ops.xp, logits) - x * logits), axis=1)

        def backward(dnll):
            check_upstream(nll, dnll)
            return (ops.scale_rows(keep(ops.xp, observed, mean_of(ops.xp, logits) - x), dnll),), {}

        return nll, (backward if gradient else None)

    def initial_biases(self, x):
        """The logits whose m is the columns' mean, cut to 0.001 and 0.999, by halving intervals."""
        return {"logits": _logits_of(np.clip(np.mean(x, axis=0, dtype=np.float64), 1e-3, 1.0 - 1e-3))}

    def linear_start(self, mean, V, noise):
        """Of a mean m(l): dl = dm / m'(l), the slope by differences."""
        logits = _logits_of(np.clip(mean, 0.01, 0.99))
        slope = 500.0 * (mean_of(np, logits + 1e-3) - mean_of(np, logits - 1e-3))
        return {"path": {"logits": V / slope}, "bias": {"logits": logits}}

    def mean(self, ops, outputs, parameters):
        return mean_of(ops.xp, outputs[0])

    def draw(self, outputs, parameters, stream):
        """By the inverse of the distribution function; of a negative logit, mirrored:

        F(y) = (1 - exp(-a y)) / (1 - exp(-a))        y = x for l = -a < 0, 1 - x for l = a > 0
        """
        logits = outputs[0]
        u = stream.uniform(logits.shape, logits.dtype)
        a = np.abs(logits)
        safe = np.where(a > 0.0, a, 1.0)
        y = np.where(a > 0.0, -np.log1p(u * np.expm1(-safe)) / safe, u)
        return np.clip(np.where(logits > 0.0, 1.0 - y, y), 0.0, 1.0)

    def check_data(self, x, column_names=None):
        refuse_outside(
            x,
            0.0,
            1.0,
            "the continuous_bernoulli likelihood",
            "scale the column to that range (divide_by=255 for 8-bit images)",
            column_names,
        )
