"""Multinomial likelihood of rows of counts: which feature each of a row's counts belongs to, and how many there are.

    p(x|z)  = p(n) n! prod_i p_i^x_i / x_i!                  p = softmax(l),  n = sum_i x_i
    p(n)    = the negative binomial distribution of mean M = exp(u) and size R = exp(v), the same for all z

u and v are parameters of its own, (1,) each. So z says only in which shares a row's counts fall, as a topic does of a
text's words, and p(x|z) is still a whole distribution of counts. It is that of Poisson counts of the rates g p_i, for a
g that a row's features share and that has a gamma distribution of mean M and shape R: this is how it is drawn.

    nll     = -log p(n) + sum_i D(x_i, n p_i) + e(x_i) - e(n)
    dl_i    = dnll * (n p_i - x_i)                           du, dv: negative_binomial.py

D and e: counts.py; l, x, dl (B, I); nll, dnll (B,). log n! - sum log x_i! is not taken as it stands, since its terms
would lose the digits of the whole.
"""

from __future__ import annotations

import math

import numpy as np

from npvae.errors import InputError
from npvae.mathematics.layers.softmax import log_softmax
from npvae.mathematics.likelihoods import counts
from npvae.mathematics.likelihoods.base import Likelihood, check_upstream
from npvae.mathematics.likelihoods.count_draws import draw_gamma, draw_poisson
from npvae.mathematics.likelihoods.negative_binomial import negative_binomial_terms, size_of_moments
from npvae.mathematics.missing import keep
from npvae.support import check


class Multinomial(Likelihood):
    """Counts of which z says the shares. One head: logits. Own: the mean and the size of a row's total."""

    name = "multinomial"
    counts = True

    def heads(self, n_features):
        return {"logits": n_features}

    def parameters(self, n_features):
        return {"log_total_mean": np.full(1, math.log(n_features)), "log_total_size": np.zeros(1)}

    def variables(self, n_features):
        """One: a row's counts share its total."""
        return [slice(0, n_features)]

    def negative_log_likelihood(self, ops, outputs, x, parameters, gradient=True, observed=None):
        (logits,) = outputs
        check.same_shape(x=x, logits=logits)
        xp = ops.xp
        whole = None if observed is None else xp.all(observed, axis=1)
        total = xp.sum(x, axis=1)
        log_mean, log_size = xp.broadcast_to(parameters["log_total_mean"], total.shape), parameters["log_total_size"]
        of_total, d_mean, d_size = negative_binomial_terms(xp, log_mean, log_size, total)
        log_p = log_softmax(xp, logits)
        expected, there = xp.exp(log_p) * total[:, None], total > 0.0
        some = xp.where(there, total, xp.ones_like(total))
        terms = counts.poisson_terms(xp, x, expected, log_p + xp.log(some)[:, None])
        shares = xp.sum(terms, axis=1) - keep(xp, there, counts.log_factorial_remainder(xp, some))
        nll = keep(xp, whole, of_total + shares)

        def backward(dnll):
            check_upstream(nll, dnll)
            by_row = xp.full_like(nll, dnll) if isinstance(dnll, float) else dnll
            d_logits = expected - x
            if whole is not None:
                d_logits = xp.where(whole[:, None], d_logits, xp.zeros_like(d_logits))
            own = {"log_total_mean": d_mean, "log_total_size": d_size}
            own = {name: xp.sum(by_row * keep(xp, whole, d), keepdims=True) for name, d in own.items()}
            return (ops.scale_rows(d_logits, dnll),), own

        return nll, (backward if gradient else None)

    def initial_biases(self, x):
        return {"logits": counts.log_mean(x)}

    def initial_own(self, x):
        total = x.astype(np.float64).sum(axis=1)
        total = total[~np.isnan(total)]
        if not total.size:
            return {}
        return {
            "log_total_mean": counts.log_mean(total[:, None]),
            "log_total_size": np.log(size_of_moments(total.mean(), total.var()))[None],
        }

    def linear_start(self, mean, V, noise):
        """The rates of :func:`counts.log_rate_start`; the total's variance is what V and the noise come to."""
        bias, path = counts.log_rate_start(mean, V)
        total = np.maximum(mean, counts.SMALLEST_RATE).sum()
        variance = (V.sum(axis=1) ** 2).sum() + noise.sum()
        own = {"log_total_mean": np.log(total)[None], "log_total_size": np.log(size_of_moments(total, variance))[None]}
        return {"path": {"logits": path}, "bias": {"logits": bias}, "parameters": own}

    def mean(self, ops, outputs, parameters):
        return ops.xp.exp(log_softmax(ops.xp, outputs[0]) + parameters["log_total_mean"])

    def draw(self, outputs, parameters, stream):
        """InputError: a rate is not finite."""
        logits = outputs[0].astype(np.float64)
        log_mean, log_size = (float(parameters[f"log_total_{name}"][0]) for name in ("mean", "size"))
        log_g = log_mean - log_size + draw_gamma(np.full((len(logits), 1), math.exp(log_size)), stream)
        return draw_poisson(log_softmax(np, logits) + log_g, stream).astype(outputs[0].dtype)

    def check_data(self, x, column_names=None):
        counts.refuse_all_but_counts(x, self.name, column_names)
        gaps = np.isnan(x)
        some = gaps.any(axis=1) & ~gaps.all(axis=1)
        if some.any():
            raise InputError(
                f"row {np.argmax(some)} of X lacks some of its counts, and not all: the {self.name} likelihood needs a "
                f"row's total; "
                "use negative_binomial where single counts are missing"
            )
