"""Gaussian likelihood of fixed variance: squared error.

    p(x|z)   = N(x; m, v I)                                   m (B, I) the head, v > 0 a constant
    sse      = sum_i (m_i - x_i)^2
    nll      = sse / (2 v) + (I / 2) log(2 pi v)
    dm       = dnll * (m - x) / v                             nll, dnll (B,)

At v = 1/2 the first term is the squared error itself, and nll = sse + (I / 2) log(pi): "784 times the mean
squared error plus KL" is a negative ELBO up to that constant, 448.734 nats at I = 784. ``Gaussian`` counts
the constant, ``SquaredError`` (v = 1/2) leaves it out; their gradients are equal.
"""

from __future__ import annotations

import math

import numpy as np

from npvae.mathematics.likelihoods.base import Likelihood, check_upstream, normal_quadrature
from npvae.mathematics.missing import as_numbers, keep
from npvae.support import check


def squared_error(xp, mean, x):
    """Squared error of each row, (B,), and the differences mean - x, (B, I)."""
    difference = mean - x
    return xp.sum(difference * difference, axis=1), difference


class Gaussian(Likelihood):
    """Real-valued data with noise of one known variance. One head: the mean."""

    name = "gaussian"
    elementwise = True

    def __init__(self, variance: float = 0.5) -> None:
        self.variance = check.real_number("variance", variance, above=0.0)

    def config(self):
        return {"variance": self.variance}

    def heads(self, n_features):
        return {"mean": n_features}

    def constant(self, n_features: int) -> float:
        """The part of nll that no parameter changes, in nats."""
        return 0.5 * n_features * math.log(2.0 * math.pi * self.variance)

    def negative_log_likelihood(self, ops, outputs, x, parameters, gradient=True, observed=None):
        (mean,) = outputs
        check.same_shape(x=x, mean=mean)
        sse, difference = ops.squared_error(mean, keep(ops.xp, observed, x, mean))
        if observed is None:
            constant = self.constant(x.shape[1])
        else:
            constant = self.constant(1) * ops.xp.sum(as_numbers(ops.xp, observed, x), axis=1)
        nll = sse * (0.5 / self.variance) + constant

        def backward(dnll):
            check_upstream(nll, dnll)
            return (ops.scale_rows(difference, dnll * (1.0 / self.variance)),), {}

        return nll, (backward if gradient else None)

    def initial_biases(self, x):
        return {"mean": np.mean(x, axis=0, dtype=np.float64)}

    def linear_start(self, mean, V, noise):
        return {"path": {"mean": V}, "bias": {"mean": mean}}

    def mean(self, ops, outputs, parameters):
        return outputs[0]

    def quadrature(self, ops, outputs, parameters):
        return normal_quadrature(outputs[0], math.sqrt(self.variance))

    def draw(self, outputs, parameters, stream):
        (mean,) = outputs
        noise = stream.normal(mean.shape, mean.dtype)
        return mean + noise * np.asarray(math.sqrt(self.variance), dtype=mean.dtype)


class SquaredError(Gaussian):
    """The Gaussian of variance 1/2 without its constant: the printed reconstruction is the squared error."""

    name = "squared_error"
    reconstruction_label = "squared error"

    def __init__(self) -> None:
        super().__init__(variance=0.5)

    def config(self):
        return {}

    def constant(self, n_features):
        return 0.0
