"""Poisson likelihood of counts, from the logarithm of the rate.

    p(x|z)  = prod_i r_i^x_i exp(-r_i) / x_i!                r = exp(l)
    nll     = sum_i exp(l_i) - x_i l_i + log x_i!  =  sum_i D(x_i, r_i) + e(x_i)                        D, e: counts.py
    dl_i    = dnll * (exp(l_i) - x_i)                        l, x, dl (B, I); nll, dnll (B,)

The second form keeps the digits that the first loses at large counts. exp(l) overflows past l = 88 in float32, 709 in
float64.
"""

from __future__ import annotations

from npvae.mathematics.likelihoods import counts
from npvae.mathematics.likelihoods.base import Likelihood, check_upstream
from npvae.mathematics.likelihoods.count_draws import draw_poisson
from npvae.mathematics.missing import keep
from npvae.support import check


class Poisson(Likelihood):
    """Counts: 0, 1, 2, ... One head: the logarithm of the rate."""

    name = "poisson"
    elementwise = True
    counts = True

    def heads(self, n_features):
        return {"log_rate": n_features}

    def negative_log_likelihood(self, ops, outputs, x, parameters, gradient=True, observed=None):
        (log_rate,) = outputs
        check.same_shape(x=x, log_rate=log_rate)
        xp = ops.xp
        rate = xp.exp(log_rate)
        nll = xp.sum(keep(xp, observed, counts.poisson_terms(xp, x, rate, log_rate)), axis=1)

        def backward(dnll):
            check_upstream(nll, dnll)
            return (ops.scale_rows(keep(xp, observed, rate - x), dnll),), {}

        return nll, (backward if gradient else None)

    def initial_biases(self, x):
        return {"log_rate": counts.log_mean(x)}

    def linear_start(self, mean, V, noise):
        bias, path = counts.log_rate_start(mean, V)
        return {"path": {"log_rate": path}, "bias": {"log_rate": bias}}

    def mean(self, ops, outputs, parameters):
        return ops.xp.exp(outputs[0])

    def draw(self, outputs, parameters, stream):
        """InputError: a rate is not finite."""
        return draw_poisson(outputs[0], stream).astype(outputs[0].dtype)

    def check_data(self, x, column_names=None):
        counts.refuse_all_but_counts(x, self.name, column_names)
