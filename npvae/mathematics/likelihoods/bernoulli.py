"""Bernoulli likelihood from logits (binary cross-entropy, summed over features).

    p(x|z)  = prod_i s_i^x_i (1 - s_i)^(1 - x_i)         s = sigmoid(l), l the logits
    nll     = sum_i softplus(l_i) - x_i l_i
            = sum_i max(l_i, 0) - x_i l_i + log(1 + exp(-|l_i|))
    dl_i    = dnll * (s_i - x_i)                         l, x, dl (B, I); nll, dnll (B,)

The second form of nll never overflows and keeps a confident, correct logit's tiny loss (a backend may add it
up more coarsely: see the NumPy backend). For x strictly
between 0 and 1 (grey pixels) the sum is a cross-entropy but not a log-likelihood: its normaliser is
missing, and its minimum is the entropy of the pixels, not 0. Binarise the data for likelihood tables.

Source: Kingma & Welling (2014), "Auto-Encoding Variational Bayes", appendix C.1.
"""

from __future__ import annotations

import numpy as np

from npvae.mathematics.layers.activations import sigmoid
from npvae.mathematics.likelihoods.base import Likelihood, check_upstream, refuse_outside
from npvae.mathematics.missing import keep
from npvae.support import check


def bernoulli_nll(xp, logits, x):
    """-log p(x|z), (B,)."""
    zero = xp.zeros_like(logits)
    elementwise = (xp.maximum(logits, zero) - x * logits) + xp.log1p(xp.exp(-xp.abs(logits)))
    return xp.sum(elementwise, axis=1)


def bernoulli_residual(xp, logits, x):
    """The derivative of -log p(x|z) by the logits, (B, I)."""
    return sigmoid(xp, logits) - x


class Bernoulli(Likelihood):
    """Binary data, or grey values from 0 to 1 by their cross-entropy. One head: the logits."""

    name = "bernoulli"
    elementwise = True
    reconstruction_label = "cross-entropy"

    def heads(self, n_features):
        return {"logits": n_features}

    def negative_log_likelihood(self, ops, outputs, x, parameters, gradient=True, observed=None):
        (logits,) = outputs
        check.same_shape(x=x, logits=logits)
        # A logit of -1000 is a probability of 0, to the last digit, and a 0 then costs nothing and pulls at nothing.
        logits, x = keep(ops.xp, observed, logits, -1000.0), keep(ops.xp, observed, x)
        nll, residual = ops.bernoulli_nll(logits, x, gradient)

        def backward(dnll):
            check_upstream(nll, dnll)
            return (ops.scale_rows(residual, dnll),), {}

        return nll, (backward if gradient else None)

    def initial_biases(self, x):
        """Source: Burda et al. (2016), the authors' code: the logits of the pixels' means, cut to 0.001 and 0.999."""
        mean = np.clip(np.mean(x, axis=0, dtype=np.float64), 1e-3, 1.0 - 1e-3)
        return {"logits": np.log(mean / (1.0 - mean))}

    def linear_start(self, mean, V, noise):
        """Of a probability p = sigmoid(l) near its mean: dl = dp / (p (1 - p))."""
        p = np.clip(mean, 0.01, 0.99)
        return {"path": {"logits": V / (p * (1.0 - p))}, "bias": {"logits": np.log(p / (1.0 - p))}}

    def mean(self, ops, outputs, parameters):
        return sigmoid(ops.xp, outputs[0])

    def draw(self, outputs, parameters, stream):
        return stream.bernoulli(sigmoid(np, outputs[0]))

    def check_data(self, x, column_names=None):
        advice = (
            "scale the column to that range, use likelihood='gaussian_per_feature', or for a table likelihood='auto'"
        )
        there = x[~np.isnan(x)]
        if there.size and there.max() <= 255 and there.min() >= 0 and (there == np.trunc(there)).all():
            advice = "divide 8-bit images by 255 (divide_by=255); otherwise " + advice
        refuse_outside(x, 0.0, 1.0, "the bernoulli likelihood", advice, column_names)
