"""Poisson likelihood of counts, from the logarithm of the rate.

    p(x|z)  = prod_i r_i^x_i exp(-r_i) / x_i!                r = exp(l)
    nll     = sum_i exp(l_i) - x_i l_i + log Gamma(x_i + 1)
    dl_i    = dnll * (exp(l_i) - x_i)                        l, x, dl (B, I); nll, dnll (B,)

exp(l) overflows past l = 88 in float32, 709 in float64.
"""

from __future__ import annotations

import numpy as np

from npvae import check, special
from npvae.errors import InputError
from npvae.likelihoods.base import Likelihood, check_upstream, column_label
from npvae.missing import keep

#: Counts of a larger rate are drawn as sums of counts of smaller ones, so that exp(-rate) does not vanish ...
LARGEST_RATE = 64.0
#: ... and those of a rate above this by the normal distribution and its first correction, for skewness.
NORMAL_RATE = 4096.0


class Poisson(Likelihood):
    """Counts: 0, 1, 2, ... One head: the logarithm of the rate."""

    name = "poisson"

    def heads(self, n_features):
        return {"log_rate": n_features}

    def negative_log_likelihood(self, ops, outputs, x, parameters, gradient=True, observed=None):
        (log_rate,) = outputs
        check.same_shape(x=x, log_rate=log_rate)
        xp = ops.xp
        rate = xp.exp(log_rate)
        nll = xp.sum(keep(xp, observed, (rate - x * log_rate) + special.log_gamma(xp, x + 1.0)), axis=1)

        def backward(dnll):
            check_upstream(nll, dnll)
            return (ops.scale_rows(keep(xp, observed, rate - x), dnll),), {}

        return nll, (backward if gradient else None)

    def initial_biases(self, x):
        return {"log_rate": np.log(np.maximum(np.mean(x, axis=0, dtype=np.float64), 1e-3))}

    def linear_start(self, mean, V, noise):
        """The log-normal rate of that mean and variance: r = exp(a + z b) with z ~ N(0, I) has

            E[r] = exp(a + b b^T / 2) = mean        Var[r] = mean^2 (exp(b b^T) - 1) = s^2,  s^2 = V^T V of the column
            b = V sqrt(log(1 + s^2 / mean^2)) / s   which is V / mean for small s, and grows no faster than a logarithm
        """
        rate = np.maximum(mean, 0.1)
        s = np.sqrt((V * V).sum(axis=0))
        log_variance = np.log1p((s / rate) ** 2)
        slope = np.sqrt(log_variance) / np.maximum(s, 1e-30)
        return {"path": {"log_rate": V * slope}, "bias": {"log_rate": np.log(rate) - log_variance / 2.0}}

    def mean(self, ops, outputs, parameters):
        return ops.xp.exp(outputs[0])

    def draw(self, outputs, parameters, stream):
        """Exactly up to a rate of 4096, above by r + sqrt(r) n + (n^2 - 1) / 6, rounded, for a normal number n.

        InputError: a rate is not finite.
        """
        with np.errstate(over="ignore"):
            rate = np.exp(outputs[0].astype(np.float64))
        if not np.isfinite(rate).all():
            raise InputError(f"a Poisson rate of exp({float(outputs[0].max()):g}) cannot be drawn from")
        is_large = rate > NORMAL_RATE
        small = np.where(is_large, 0.0, rate)
        pieces = max(1, int(np.ceil(small.max(initial=0.0) / LARGEST_RATE)))
        counts = np.zeros(rate.shape)
        for _ in range(pieces):
            counts += _draw_small(small / pieces, stream.uniform(rate.shape))
        n = stream.normal(rate.shape)
        many = np.floor(rate + np.sqrt(rate) * n + (n * n - 1.0) / 6.0 + 0.5)
        return np.where(is_large, many, counts).astype(outputs[0].dtype)

    def check_data(self, x, column_names=None):
        outside = (x < 0) | (x != np.trunc(x)) & ~np.isnan(x)
        if outside.any():
            row, column = np.argwhere(outside)[0]
            raise InputError(
                f"X holds {float(x[row, column])!r} in {column_label(column, column_names)} (row {row}), but the poisson "
                "likelihood needs counts (0, 1, 2, ...); leave counts undivided (divide_by=1), or use a gaussian likelihood"
            )


def _draw_small(rate, u):
    """The smallest k with P(x <= k) > u: the distribution function, added up term by term."""
    count = np.zeros(rate.shape)
    term = total = np.exp(-rate)
    for k in range(1, 1000):
        left = u >= total
        if not left.any():
            break
        term = term * rate / k
        total = total + term
        count = np.where(left, k, count)
    return count
