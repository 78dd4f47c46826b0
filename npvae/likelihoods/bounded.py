"""Bounded likelihood: a logistic distribution recorded to a step, with what lies beyond an end recorded as the end.

    F(v)    = sigmoid((v - m) / s)                          s = floor + exp(c)
    P(x|z)  = F(x + h) - F(x - h)                           h = step / 2;  low < x < high
            = F(low + h)  at x = low        1 - F(high - h)  at x = high

So shares, percentages and ratings keep to their range by themselves, and the probability of an end is that of all the tail: a column
where many values are at an end is no odd one. A step far below s makes a density times the step of it. The values are low,
low + step, ..., high; without an end they go on, and without any they are the multiples of the step.

    a       = (x + h - m) / s,  b = (x - h - m) / s,  q = step / s
    nll     = sum_i softplus(-a) + softplus(b) - log(1 - exp(-q))
    dm      = dnll * [sigmoid(-a) - sigmoid(b)] / s
    ds      = dnll * [a sigmoid(-a) - b sigmoid(b) + q / (exp(q) - 1)] / s                dc = ds exp(c)

At low the terms of b and q are 0, at high those of a and q. m, c, x (B, I); nll, dnll (B,).

    E[x|z]  = low + step sum_j sigmoid((m - low - (j - 1/2) step) / s),  j = 1, ..., (high - low) / step
            ~ low + s [softplus((m - low) / s) - softplus((m - high) / s)]                for a step that is small beside s

Source: of the form, Salimans et al. (2017), "PixelCNN++", section 2.1.
"""

from __future__ import annotations

import math

import numpy as np

from npvae import check
from npvae.errors import InputError
from npvae.layers.activations import sigmoid, softplus_forward
from npvae.likelihoods.base import Likelihood, check_upstream, refuse_outside
from npvae.missing import keep

#: Means are added up value by value for so many steps at most; beyond them the integral is at most half a step off.
MOST_STEPS = 128
#: The variance of a logistic distribution of scale 1.
VARIANCE = math.pi**2 / 3.0


def _logistic_nodes(count: int) -> list[float]:
    p = (np.arange(count) + 0.5) / count
    nodes = np.log(p) - np.log1p(-p)
    return (nodes * math.sqrt(VARIANCE / np.mean(nodes**2))).tolist()


LOGISTIC_QUADRATURE = _logistic_nodes(9)


class Bounded(Likelihood):
    """Numbers recorded to a step, from low to high. Two heads: location and the logarithm of the scale.

    low, high: the smallest and the largest value; None for no end. step: the distance between two values; if there are both
    ends it divides their distance. floor: the smallest scale.
    """

    name = "bounded"
    elementwise = True

    def __init__(self, low: float | None = 0.0, high: float | None = 1.0, step: float = 0.01, floor: float = 1e-3) -> None:
        self.low = None if low is None else check.real_number("low", low)
        self.high = None if high is None else check.real_number("high", high)
        self.step = check.real_number("step", step, above=0.0)
        self.floor = check.real_number("floor", floor, above=0.0)
        if self.low is not None and self.high is not None:
            steps = (self.high - self.low) / self.step
            if steps < 0.5 or abs(steps - round(steps)) > 1e-6 * steps:
                raise InputError(
                    f"high must be above low by a whole number of steps, got low={self.low:g}, high={self.high:g}, step={self.step:g}"
                )

    def config(self):
        return {"low": self.low, "high": self.high, "step": self.step, "floor": self.floor}

    def heads(self, n_features):
        return {"location": n_features, "raw_log_scale": n_features}

    def negative_log_likelihood(self, ops, outputs, x, parameters, gradient=True, observed=None):
        xp, (location, raw) = ops.xp, outputs
        check.same_shape(x=x, location=location)
        grown = xp.exp(raw)
        scale, half = self.floor + grown, 0.5 * self.step
        above_low = None if self.low is None else x > self.low + half
        below_high = None if self.high is None else x < self.high - half
        a, b, q = (x + half - location) / scale, (x - half - location) / scale, self.step / scale

        def within(values):
            return keep(xp, above_low, keep(xp, below_high, values))

        share = -xp.expm1(-q)
        term = keep(xp, below_high, softplus_forward(xp, -a)) + keep(xp, above_low, softplus_forward(xp, b)) - within(xp.log(share))
        nll = xp.sum(keep(xp, observed, term), axis=1)

        def backward(dnll):
            check_upstream(nll, dnll)
            pull, push = keep(xp, below_high, sigmoid(xp, -a)), keep(xp, above_low, sigmoid(xp, b))
            d_location = (pull - push) / scale
            d_raw = (a * pull - b * push + within(q * xp.exp(-q) / share)) / scale * grown
            return tuple(ops.scale_rows(keep(xp, observed, d), dnll) for d in (d_location, d_raw)), {}

        return nll, (backward if gradient else None)

    def initial_biases(self, x):
        x = x.astype(np.float64)
        return {"location": x.mean(axis=0), "raw_log_scale": self._raw_of(x.var(axis=0))}

    def linear_start(self, mean, V, noise):
        return {"path": {"location": V}, "bias": {"location": mean, "raw_log_scale": self._raw_of(noise)}}

    def _raw_of(self, variance):
        """c of the scale at which the distribution, as yet without ends, has that variance."""
        scale = np.sqrt(variance / VARIANCE)
        return np.log(np.maximum(scale - self.floor, 0.1 * self.floor))

    def mean(self, ops, outputs, parameters):
        xp, location = ops.xp, outputs[0]
        scale = self.floor + xp.exp(outputs[1])
        if self.low is None and self.high is None:
            return location
        if self.high is None:
            return self.low + scale * softplus_forward(xp, (location - self.low) / scale)
        if self.low is None:
            return self.high - scale * softplus_forward(xp, (self.high - location) / scale)
        steps = round((self.high - self.low) / self.step)
        if steps <= MOST_STEPS:
            total = sum(sigmoid(xp, (location - (self.low + (j + 0.5) * self.step)) / scale) for j in range(steps))
            return self.low + self.step * total
        # From the end that is nearer, so that no digits are lost where the location is far beyond it.
        half, middle = 0.5 * (self.high - self.low), self.low + 0.5 * (self.high - self.low)
        distance = xp.abs(location - middle)
        short = scale * (softplus_forward(xp, (half - distance) / scale) - softplus_forward(xp, (-half - distance) / scale))
        return middle + xp.sign(location - middle) * (half - short)

    def quadrature(self, ops, outputs, parameters):
        """Quantiles in the middle of equal shares, stretched to the variance of the distribution, what is beyond an end at the end."""
        scale = self.floor + ops.xp.exp(outputs[1])
        for node in LOGISTIC_QUADRATURE:
            points = outputs[0] + node * scale
            points = points if self.low is None else ops.xp.maximum(points, self.low)
            yield 1.0 / len(LOGISTIC_QUADRATURE), points if self.high is None else ops.xp.minimum(points, self.high)

    def draw(self, outputs, parameters, stream):
        location, raw = (output.astype(np.float64) for output in outputs)
        u = np.maximum(stream.uniform(location.shape), 2.0**-54)
        x = location + (self.floor + np.exp(raw)) * (np.log(u) - np.log1p(-u))
        origin = self.low if self.low is not None else self.high or 0.0
        x = origin + self.step * np.rint((x - origin) / self.step)
        low, high = (default if end is None else end for end, default in ((self.low, -np.inf), (self.high, np.inf)))
        return np.clip(x, low, high).astype(outputs[0].dtype)

    def check_data(self, x, column_names=None):
        ends = [default if end is None else end for end, default in ((self.low, -math.inf), (self.high, math.inf))]
        # The ends as the data's dtype has them, so that those of single precision are not outside of themselves.
        low, high = (float(np.asarray(end, x.dtype)) for end in ends)
        refuse_outside(x, low, high, "the bounded likelihood", "see its arguments low and high", column_names)
