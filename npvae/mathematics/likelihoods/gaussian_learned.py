"""Gaussian likelihoods with a learnt variance: one for all features, one a feature, one from the decoder.

    v        = floor + exp(a)                                   a learnt, floor >= 0 a constant
    logvar   = log v = log floor + softplus(a - log floor)
    w        = dlogvar/da = exp(a) / v = sigmoid(a - log floor)

    nll      = 1/2 sum_i [ (m_i - x_i)^2 exp(-logvar_i) + logvar_i + log(2 pi) ]
    dm       = dnll * (m - x) exp(-logvar)
    dlogvar  = dnll * (1 - (m - x)^2 exp(-logvar)) / 2          m, x, dm (B, I); nll, dnll (B,)
    da       = dlogvar * w,  summed over whatever shares one a

The floor keeps the density bounded: without one, a feature that is constant in the data drives its
variance to zero and the likelihood to infinity. With a floor of 0, exp(-logvar / 2) overflows below
logvar = -177 in float32, -1419 in float64.

    name                      a
    gaussian_one_variance     (1,)     a parameter
    gaussian_per_feature      (I,)     a parameter
    gaussian_decoder          (B, I)   the decoder's second head

Source of the decoder-given variance: Kingma & Welling (2014), appendix C.2.
"""

from __future__ import annotations

import math
from abc import abstractmethod

import numpy as np

from npvae.mathematics.layers.activations import sigmoid, softplus_forward
from npvae.mathematics.likelihoods.base import Likelihood, check_upstream, normal_quadrature
from npvae.mathematics.missing import keep
from npvae.support import check

LOG_TWO_PI = math.log(2.0 * math.pi)


def gaussian_nll(xp, mean, logvar, x):
    """-log N(x; mean, exp(logvar)) of each row, (B,); logvar is (B, I) or broadcasts to it."""
    # Scaled before it is squared: the square alone could leave the dtype where the ratio does not.
    scaled = (mean - x) * xp.exp(-0.5 * logvar)
    return 0.5 * xp.sum(scaled * scaled + (logvar + LOG_TWO_PI), axis=1)


def gaussian_derivatives(xp, mean, logvar, x):
    """The derivatives of -log N by mean and by each element's logvar, both (B, I)."""
    inverse_deviation = xp.exp(-0.5 * logvar)
    scaled = (mean - x) * inverse_deviation
    return scaled * inverse_deviation, 0.5 * (1.0 - scaled * scaled)


def floored_logvar(xp, raw, floor: float):
    """log(floor + exp(raw)) without overflow, and its derivative by raw."""
    if floor == 0.0:
        return raw, xp.ones_like(raw)
    shifted = raw - math.log(floor)
    return math.log(floor) + softplus_forward(xp, shifted), sigmoid(xp, shifted)


class _LearnedVariance(Likelihood):
    """What the three likelihoods share: the floor, the mean, a draw."""

    def __init__(self, floor: float = 1e-6) -> None:
        self.floor = check.real_number("floor", floor, minimum=0.0)

    def config(self):
        return {"floor": self.floor}

    def heads(self, n_features):
        return {"mean": n_features}

    def initial_biases(self, x):
        return {"mean": np.mean(x, axis=0, dtype=np.float64)}

    def linear_start(self, mean, V, noise):
        raw = np.log(np.maximum(noise - self.floor, 1e-3 * noise))
        return self._with_raw({"path": {"mean": V}, "bias": {"mean": mean}}, raw)

    def _with_raw(self, start: dict, raw) -> dict:
        """The start with a's, which is to be raw (I,)."""
        return {**start, "parameters": {"raw_logvar": raw}}

    def raw_logvar(self, outputs, parameters):
        """The array a of the docstring above."""
        return parameters["raw_logvar"]

    @abstractmethod
    def gradients(self, ops, dnll, d_mean, d_raw):
        """``(doutputs, dparameters)`` from the elementwise derivatives by mean and raw_logvar, (B, I)."""

    def negative_log_likelihood(self, ops, outputs, x, parameters, gradient=True, observed=None):
        mean = outputs[0]
        check.same_shape(x=x, mean=mean)
        logvar, slope = floored_logvar(ops.xp, self.raw_logvar(outputs, parameters), self.floor)
        if observed is not None:
            # Where nothing is observed x is the mean and the variance 1 / (2 pi): -log N is 0.
            x = keep(ops.xp, observed, x, mean)
            logvar = keep(ops.xp, observed, logvar, -LOG_TWO_PI)
        nll, d_mean, d_logvar = ops.gaussian_nll(mean, logvar, x, gradient)

        def backward(dnll):
            check_upstream(nll, dnll)
            if isinstance(dnll, float):
                dnll = ops.xp.full_like(nll, dnll)
            return self.gradients(ops, dnll, d_mean, keep(ops.xp, observed, d_logvar * slope))

        return nll, (backward if gradient else None)

    def mean(self, ops, outputs, parameters):
        return outputs[0]

    def quadrature(self, ops, outputs, parameters):
        logvar, _ = floored_logvar(ops.xp, self.raw_logvar(outputs, parameters), self.floor)
        return normal_quadrature(outputs[0], ops.xp.exp(logvar * 0.5))

    def draw(self, outputs, parameters, stream):
        mean = outputs[0]
        logvar, _ = floored_logvar(np, self.raw_logvar(outputs, parameters), self.floor)
        return mean + stream.normal(mean.shape, mean.dtype) * np.exp(logvar * 0.5)


class GaussianOneVariance(_LearnedVariance):
    """Real-valued data with noise of one unknown variance, learnt."""

    name = "gaussian_one_variance"
    elementwise = True

    def parameters(self, n_features):
        return {"raw_logvar": np.zeros(1)}

    def gradients(self, ops, dnll, d_mean, d_raw):
        d_raw = ops.xp.sum(dnll @ d_raw, keepdims=True)
        return (ops.scale_rows(d_mean, dnll),), {"raw_logvar": d_raw}

    def _with_raw(self, start, raw):
        return {**start, "parameters": {"raw_logvar": np.mean(raw, keepdims=True)}}


class GaussianPerFeature(_LearnedVariance):
    """Real-valued data whose features each have noise of an unknown variance, learnt."""

    name = "gaussian_per_feature"
    elementwise = True

    def parameters(self, n_features):
        return {"raw_logvar": np.zeros(n_features)}

    def gradients(self, ops, dnll, d_mean, d_raw):
        return (ops.scale_rows(d_mean, dnll),), {"raw_logvar": dnll @ d_raw}


class GaussianDecoder(_LearnedVariance):
    """Real-valued data whose noise depends on z: the decoder gives mean and variance."""

    name = "gaussian_decoder"
    elementwise = True

    def __init__(self, floor: float = 1e-3) -> None:
        super().__init__(floor)

    def heads(self, n_features):
        return {"mean": n_features, "raw_logvar": n_features}

    def _with_raw(self, start, raw):
        return {**start, "bias": {**start["bias"], "raw_logvar": raw}}

    def raw_logvar(self, outputs, parameters):
        return outputs[1]

    def gradients(self, ops, dnll, d_mean, d_raw):
        return (ops.scale_rows(d_mean, dnll), ops.scale_rows(d_raw, dnll)), {}
