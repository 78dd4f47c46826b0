"""Dirichlet-multinomial likelihood: rows of counts that come in bursts, which features they belong to and how many
there are.

    p(x|z)  = p(n) n! Gamma(A) / Gamma(n + A) prod_i Gamma(x_i + a_i) / (Gamma(a_i) x_i!)
                    a = exp(l),  A = sum_i a_i,  n = sum_i x_i
    p(n)    = the negative binomial distribution of mean M = exp(u) and size R = exp(v), the same for all z

This is a multinomial distribution whose shares have a Dirichlet distribution of concentrations a. What a row has one
count of it is likely to have more of, and the more so the smaller a_i is. As A grows with a_i / A the same it goes to a
multinomial distribution. u and v are parameters of its own, (1,) each.

Negative binomial counts of sizes a_i and one odds m_i / a_i for all i have this distribution given their total, which
is a negative binomial count of size A, whatever the odds are. With NB(x; m, r) = -log p of negative_binomial.py and the
odds n / A

    nll     = NB(n; M, R) + sum_i NB(x_i; a_i n / A, a_i) - NB(n; n, A)             where n is 0, odds of 1 / A
    dl_i    = dnll * (g_i - h a_i / A)
                    g_i, h: the slopes of NB(x_i; ..) by log a_i, NB(n; ..) by log A, at fixed odds
    du, dv: negative_binomial.py

since the derivative by the odds is 0. l, x, dl (B, I); nll, dnll (B,). No term is a small difference of large
factorials' logarithms.

Source: Madsen, Kauchak & Elkan (2005), "Modeling word burstiness using the Dirichlet distribution".
"""

from __future__ import annotations

import math

import numpy as np

from npvae.mathematics.layers.softmax import log_softmax
from npvae.mathematics.likelihoods import counts
from npvae.mathematics.likelihoods.base import check_upstream
from npvae.mathematics.likelihoods.count_draws import draw_gamma, draw_poisson
from npvae.mathematics.likelihoods.multinomial import Multinomial
from npvae.mathematics.likelihoods.negative_binomial import negative_binomial_terms
from npvae.mathematics.missing import keep
from npvae.support import check

#: Concentrations start at so much of the columns' means: counts then vary by 1 + 1 / START times their mean.
START = math.exp(-2.0)
#: Concentrations are computed with between exp(-LARGEST) and exp(LARGEST): beyond, a row is as good as one feature's,
#: or as multinomial.
LARGEST = 30.0


class DirichletMultinomial(Multinomial):
    """Counts in bursts, of which z says the shares. One head: the logarithm of the concentrations. Own: mean and
    size of a row's total.
    """

    name = "dirichlet_multinomial"

    def heads(self, n_features):
        return {"log_concentration": n_features}

    def negative_log_likelihood(self, ops, outputs, x, parameters, gradient=True, observed=None):
        (given,) = outputs
        check.same_shape(x=x, log_concentration=given)
        xp = ops.xp
        whole = None if observed is None else xp.all(observed, axis=1)
        total = xp.sum(x, axis=1)
        log_mean, log_size = xp.broadcast_to(parameters["log_total_mean"], total.shape), parameters["log_total_size"]
        of_total, d_mean, d_size = negative_binomial_terms(xp, log_mean, log_size, total)
        log_a = xp.minimum(xp.maximum(given, -LARGEST), LARGEST)
        log_sum = (log_a - log_softmax(xp, log_a))[:, 0]  # log A
        log_n = xp.log(xp.maximum(total, xp.ones_like(total)))
        terms, by_mean, by_size = negative_binomial_terms(xp, log_a + (log_n - log_sum)[:, None], log_a, x)
        of_sum, sum_by_mean, sum_by_size = negative_binomial_terms(xp, log_n, log_sum, total)
        nll = keep(xp, whole, of_total + xp.sum(terms, axis=1) - of_sum)

        def backward(dnll):
            check_upstream(nll, dnll)
            by_row = xp.full_like(nll, dnll) if isinstance(dnll, float) else dnll
            d_log_a = by_mean + by_size - (sum_by_mean + sum_by_size)[:, None] * xp.exp(log_a - log_sum[:, None])
            kept = log_a == given if whole is None else (log_a == given) & whole[:, None]
            d_log_a = xp.where(kept, d_log_a, xp.zeros_like(d_log_a))
            own = {"log_total_mean": d_mean, "log_total_size": d_size}
            own = {name: xp.sum(by_row * keep(xp, whole, d), keepdims=True) for name, d in own.items()}
            return (ops.scale_rows(d_log_a, dnll),), own

        return nll, (backward if gradient else None)

    def initial_biases(self, x):
        return {"log_concentration": counts.log_mean(x) + math.log(START)}

    def linear_start(self, mean, V, noise):
        """The multinomial distribution's, of concentrations START times its rates."""
        start = super().linear_start(mean, V, noise)
        path, bias = start["path"]["logits"], start["bias"]["logits"]
        return {**start, "path": {"log_concentration": path}, "bias": {"log_concentration": bias + math.log(START)}}

    def draw(self, outputs, parameters, stream):
        """The shares by gamma numbers of shapes a, the counts as the multinomial likelihood's. InputError: a rate is
        not finite.
        """
        log_a = np.clip(outputs[0].astype(np.float64), -LARGEST, LARGEST)
        shares = log_softmax(np, draw_gamma(np.exp(log_a), stream))
        log_mean, log_size = (float(parameters[f"log_total_{name}"][0]) for name in ("mean", "size"))
        log_g = log_mean - log_size + draw_gamma(np.full((len(shares), 1), math.exp(log_size)), stream)
        return draw_poisson(shares + log_g, stream).astype(outputs[0].dtype)
