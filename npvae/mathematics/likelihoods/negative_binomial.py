"""Negative binomial likelihood: counts that vary more than a Poisson distribution's, from the logarithm of the mean.

    p(x|z)  = prod_i Gamma(x_i + r_i) / (Gamma(r_i) x_i!) (1 - w_i)^r_i w_i^x_i
                    m = exp(l), r = exp(k), w = m / (m + r)

This is a Poisson distribution whose rate has a gamma distribution of mean m and shape r. Its mean is m, its variance m
+ m^2 / r: the smaller the size r the wider, and as r grows it goes to a Poisson distribution. k is a parameter of its
own for every feature.

    nll     = sum_i D(x_i, m_i) - D(x_i + r_i, m_i + r_i) + [log(1 + x_i / r_i) + log(2 pi x_i)] / 2
                    + delta(x_i) + delta(r_i) - delta(x_i + r_i)                        D: counts.py, delta: special.py
            = r log(1 + m / r)  where x = 0
    dl_i    = dnll * r (m - x) / (m + r)
    dk_i    = sum_b dnll_b * [ r (e - log(1 + e)) - x / (x + r) / 2 + r (delta'(r) - delta'(x + r)) ]
                    e = (x - m) / (m + r)

l, x, dl (B, I); k, dk (I,); nll, dnll (B,). No term is a small difference of large ones, if D where
m is far above r is taken as

    D(x, m) - D(x + r, m + r) = r log(m / x) - (x + r) log(1 + r w / x - (1 - w))

Nothing overflows where exp(l) would.

Source: Lawless (1987), "Negative binomial and mixed Poisson regression"; of the form of nll, Loader (2000), "Fast and
accurate computation of binomial probabilities"; as the decoder of counts, Lopez et al. (2018), "Deep generative
modeling for single-cell transcriptomics".
"""

from __future__ import annotations

import math

import numpy as np

from npvae.mathematics import missing, special
from npvae.mathematics.layers.activations import softplus_forward
from npvae.mathematics.likelihoods import counts
from npvae.mathematics.likelihoods.base import Likelihood, check_upstream
from npvae.mathematics.likelihoods.count_draws import draw_gamma, draw_poisson
from npvae.mathematics.missing import keep
from npvae.support import check

#: Sizes that moments are taken for: beyond them counts are as good as Poisson's, or as good as always 0.
SIZES = (1e-2, 1e4)
#: From so many times the size on the mean is far above it.
FAR_ABOVE = 10.0


def negative_binomial_terms(xp, log_mean, log_size, x):
    """-log p elementwise, and its derivatives by log_mean and log_size, all of the shape of log_mean and x; log_size
    broadcasts to it.
    """
    t = log_mean - log_size
    growth = xp.exp(xp.minimum(xp.maximum(t, -80.0), 80.0))  # m / r, where w or 1 - w makes a difference
    w_left = 1.0 / (1.0 + growth)  # 1 - w
    w, log_growth = growth * w_left, softplus_forward(xp, t)  # the logarithm of 1 + m / r
    far_above = t > math.log(FAR_ABOVE)
    size = xp.exp(log_size)
    of_size = special.stirling_remainder(xp, size), size * special.stirling_remainder_slope(xp, size)
    # Never larger than is of use, so that it does not overflow.
    mean = xp.exp(xp.minimum(log_mean, log_size + (math.log(FAR_ABOVE) + 1.0)))
    d_log_mean = xp.where(far_above, size * w - x * w_left, (mean - x) * w_left)
    excess = -d_log_mean / size
    log_total = xp.log1p(x / size)
    d_log_size = size * special.log1p_shortfall(xp, excess, log_total - log_growth)
    term = size * log_growth

    there = x > 0.0  # most counts are 0 in large matrices of them: the rest is for the others alone
    remainder, slope, size = (xp.broadcast_to(array, x.shape)[there] for array in (*of_size, size))
    x, log_mean, log_growth = x[there], log_mean[there], log_growth[there]
    mean, w, w_left, log_total = mean[there], w[there], w_left[there], log_total[there]
    log_x, total = xp.log(x), x + size
    near = counts.half_deviance(xp, x, mean, log_mean - log_x) - counts.half_deviance(
        xp, total, mean + size, log_growth - log_total
    )
    far = size * (log_mean - log_x) - total * xp.log1p(
        xp.where(far_above[there], size * w / x - w_left, xp.zeros_like(x))
    )
    remainder = remainder - special.stirling_remainder(xp, total) + counts.log_factorial_remainder(xp, x)
    term[there] = xp.where(far_above[there], far, near) + 0.5 * log_total + remainder
    d_log_size[there] += slope - size * special.stirling_remainder_slope(xp, total) - 0.5 * x / total
    return term, d_log_mean, d_log_size


def size_of_moments(mean, variance) -> np.ndarray:
    """The size at which a count of that mean has that variance: r = mean^2 / (variance - mean)."""
    beyond = np.maximum(variance - mean, 1e-30)
    return np.clip(mean * mean / beyond, *SIZES)


class NegativeBinomial(Likelihood):
    """Counts: 0, 1, 2, ..., of any variance above their mean. One head: the logarithm of the mean. Own: each
    feature's size.
    """

    name = "negative_binomial"
    elementwise = True
    counts = True

    def heads(self, n_features):
        return {"log_mean": n_features}

    def parameters(self, n_features):
        return {"log_size": np.zeros(n_features)}

    def negative_log_likelihood(self, ops, outputs, x, parameters, gradient=True, observed=None):
        (log_mean,) = outputs
        check.same_shape(x=x, log_mean=log_mean)
        xp = ops.xp
        term, d_log_mean, d_log_size = negative_binomial_terms(xp, log_mean, parameters["log_size"], x)
        nll = xp.sum(keep(xp, observed, term), axis=1)

        def backward(dnll):
            check_upstream(nll, dnll)
            by_row = xp.full_like(nll, dnll) if isinstance(dnll, float) else dnll
            return (ops.scale_rows(keep(xp, observed, d_log_mean), dnll),), {
                "log_size": by_row @ keep(xp, observed, d_log_size)
            }

        return nll, (backward if gradient else None)

    def initial_biases(self, x):
        return {"log_mean": counts.log_mean(x)}

    def initial_own(self, x):
        """By moments: the variance includes what z will explain, so that sizes can only grow."""
        filled, observed = missing.split(np, x.astype(np.float64))
        number = np.maximum(observed.sum(axis=0), 1)
        mean = filled.sum(axis=0) / number
        variance = (np.where(observed, x - mean, 0.0) ** 2).sum(axis=0) / number
        return {"log_size": np.log(size_of_moments(mean, variance))}

    def linear_start(self, mean, V, noise):
        """The rate of :func:`counts.log_rate_start`, and the size at which E[m + m^2 / r] is the noise, E[m^2] =
        mean^2 + s^2.
        """
        bias, path = counts.log_rate_start(mean, V)
        rate = np.maximum(mean, 0.1)
        beyond = np.maximum(noise - rate, 1e-30)
        size = np.clip((rate * rate + (V * V).sum(axis=0)) / beyond, *SIZES)
        return {"path": {"log_mean": path}, "bias": {"log_mean": bias}, "parameters": {"log_size": np.log(size)}}

    def mean(self, ops, outputs, parameters):
        return ops.xp.exp(outputs[0])

    def draw(self, outputs, parameters, stream):
        """A Poisson count whose rate is drawn from the gamma distribution. InputError: a rate is not finite."""
        log_mean = outputs[0].astype(np.float64)
        log_size = np.broadcast_to(parameters["log_size"].astype(np.float64), log_mean.shape)
        log_rate = log_mean - log_size + draw_gamma(np.exp(log_size), stream)
        return draw_poisson(log_rate, stream).astype(outputs[0].dtype)

    def check_data(self, x, column_names=None):
        counts.refuse_all_but_counts(x, self.name, column_names)
