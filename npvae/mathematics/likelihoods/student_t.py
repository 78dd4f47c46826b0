"""Student's t likelihood: location, scale and degrees of freedom from the decoder; for data with heavy tails.

    t       = (x - m) / s            s = floor + softplus(a)            n = smallest + softplus(c)
    nll     = sum_i (n + 1)/2 log(1 + t^2 / n) + log s + log(pi n)/2 - G(n / 2)
    G(h)    = log Gamma(h + 1/2) - log Gamma(h)                        special.py, with its derivative G'

    dm      = -dnll * (n + 1) t / (n + t^2) / s
    ds      =  dnll * (1 - (n + 1) t^2 / (n + t^2)) / s                da = ds sigmoid(a)
    dn      =  dnll * [ log(1 + t^2 / n) - (n + 1) t^2 / (n (n + t^2)) + 1 / n - G'(n / 2) ] / 2     dc = dn sigmoid(c)

m, a, c, x (B, I); nll, dnll (B,). The floor bounds the density; with more than ``smallest`` = 2 degrees of freedom the
variance s^2 n / (n - 2) exists, and as n grows the distribution goes to a normal one.

Source: Lange, Little & Taylor (1989), "Robust statistical modeling using the t distribution"; as the decoder of tables,
Mattei & Frellsen (2019), "MIWAE", section 4.
"""

from __future__ import annotations

import math

import numpy as np

from npvae.mathematics import special
from npvae.mathematics.layers.activations import sigmoid, softplus_forward
from npvae.mathematics.likelihoods.base import Likelihood, check_upstream
from npvae.mathematics.missing import keep
from npvae.support import check


def student_t_terms(xp, location, scale, freedom, x):
    """-log p elementwise, and its derivatives by location, scale and degrees of freedom; all (B, I)."""
    t = (x - location) / scale
    square = t * t
    log_tail = xp.log1p(square / freedom)
    term = (
        (0.5 * (freedom + 1.0)) * log_tail
        + xp.log(scale)
        + 0.5 * xp.log(math.pi * freedom)
        - special.log_gamma_half_step(xp, 0.5 * freedom)
    )
    # Past 1e19 in float32 t^2 overflows: nll is then inf, and training stops before it uses a derivative.
    pull = (freedom + 1.0) * t / (freedom + square)
    d_location = -pull / scale
    d_scale = (1.0 - pull * t) / scale
    d_freedom = 0.5 * (log_tail - pull * t / freedom + 1.0 / freedom - special.digamma_half_step(xp, 0.5 * freedom))
    return term, d_location, d_scale, d_freedom


class StudentT(Likelihood):
    """Real-valued data with heavy tails. Three heads.

    floor: the smallest scale. smallest: the smallest number of degrees of freedom.
    """

    name = "student_t"
    elementwise = True

    def __init__(self, floor: float = 1e-3, smallest: float = 2.0) -> None:
        self.floor = check.real_number("floor", floor, minimum=0.0)
        self.smallest = check.real_number("smallest", smallest, above=0.0)

    def config(self):
        return {"floor": self.floor, "smallest": self.smallest}

    def heads(self, n_features):
        return {"location": n_features, "raw_scale": n_features, "raw_freedom": n_features}

    def distribution(self, xp, outputs):
        """Location, scale and degrees of freedom, (B, I) each."""
        location, raw_scale, raw_freedom = outputs
        return location, self.floor + softplus_forward(xp, raw_scale), self.smallest + softplus_forward(xp, raw_freedom)

    def negative_log_likelihood(self, ops, outputs, x, parameters, gradient=True, observed=None):
        xp = ops.xp
        check.same_shape(x=x, location=outputs[0])
        term, d_location, d_scale, d_freedom = student_t_terms(xp, *self.distribution(xp, outputs), x)
        nll = xp.sum(keep(xp, observed, term), axis=1)

        def backward(dnll):
            check_upstream(nll, dnll)
            by_outputs = d_location, d_scale * sigmoid(xp, outputs[1]), d_freedom * sigmoid(xp, outputs[2])
            return tuple(ops.scale_rows(keep(xp, observed, derivative), dnll) for derivative in by_outputs), {}

        return nll, (backward if gradient else None)

    def initial_biases(self, x):
        return {"location": np.median(x, axis=0).astype(np.float64)}

    def linear_start(self, mean, V, noise):
        """A scale whose variance is the noise, at the degrees of freedom of c = 2, some four: s^2 = noise (n - 2) /
        n.
        """
        c = 2.0
        freedom = self.smallest + softplus_forward(np, np.full(mean.shape, c))
        scale = np.sqrt(noise * np.maximum(freedom - 2.0, 0.5) / freedom)
        above = np.maximum(scale - self.floor, 1e-3 * scale)
        raw = above + np.log(-np.expm1(-above))  # log(exp(above) - 1), which overflows
        bias = {"location": mean, "raw_scale": raw, "raw_freedom": np.full(mean.shape, c)}
        return {"path": {"location": V}, "bias": bias}

    def mean(self, ops, outputs, parameters):
        """The location, which is the mean for more than 1 degree of freedom and the median for any."""
        return outputs[0]

    def draw(self, outputs, parameters, stream):
        """Bailey's polar form of a t number from two uniform ones:

            t = sqrt(n (u^(-2/n) - 1)) cos(2 pi v)

        Source: Bailey (1994), "Polar generation of random variates with the t-distribution".
        """
        location, scale, freedom = self.distribution(np, tuple(np.asarray(o, np.float64) for o in outputs))
        u, v = 1.0 - stream.uniform(location.shape), stream.uniform(location.shape)
        t = np.sqrt(freedom * np.expm1(-2.0 * np.log(u) / freedom)) * np.cos(2.0 * math.pi * v)
        return (location + scale * t).astype(outputs[0].dtype)
