"""Bounded likelihood: a logistic distribution recorded to a step, with what lies beyond an end recorded as the end.

    F(v)    = sigmoid((v - m) / s)                          s = floor + exp(c)
    P(x|z)  = F(x + h) - F(x - h)                           h = step / 2;  low < x < high
            = F(low + h)  at x = low        1 - F(high - h)  at x = high

So shares, percentages and ratings keep to their range by themselves, and the probability of an end is that of all the
tail: a column where many values are at an end is no odd one. A step far below s makes a density times the step of it.
The values are low, low + step, ..., high; without an end they go on, and without any they are the multiples of the
step.

    a       = (x + h - m) / s,  b = (x - h - m) / s,  q = step / s
    nll     = sum_i softplus(-a) + softplus(b) - log(1 - exp(-q))
    dm      = dnll * [sigmoid(-a) - sigmoid(b)] / s
    ds      = dnll * [a sigmoid(-a) - b sigmoid(b) + q / (exp(q) - 1)] / s                dc = ds exp(c)

At low the terms of b and q are 0, at high those of a and q. m, c, x (B, I); nll, dnll (B,); low, high, step one number
for all columns or (I,), no end an infinite one.

    E[x|z]  = low + step sum_j sigmoid((m - low - (j - 1/2) step) / s),  j = 1, ..., (high - low) / step
            ~ low + s [softplus((m - low) / s) - softplus((m - high) / s)]     for a step that is small beside s

Source: of the form, Salimans et al. (2017), "PixelCNN++", section 2.1.
"""

from __future__ import annotations

import math

import numpy as np

from npvae.errors import InputError
from npvae.mathematics.layers.activations import sigmoid, softplus_forward
from npvae.mathematics.likelihoods.base import Likelihood, check_upstream, refuse_outside
from npvae.mathematics.likelihoods.columns import put, take
from npvae.mathematics.missing import keep
from npvae.support import check

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

    low, high: the smallest and the largest value; None for no end. step: the distance between two values; if there are
    both ends it divides their distance. Each of the three may be a list, with an entry a column. floor: the smallest
    scale.
    """

    name = "bounded"
    elementwise = True

    def __init__(self, low=0.0, high=1.0, step=0.01, floor: float = 1e-3) -> None:
        self.low, self.high = (_by_column(name, end, _end) for name, end in (("low", low), ("high", high)))
        self.step = _by_column("step", step, lambda name, value: check.real_number(name, value, above=0.0))
        self.floor = check.real_number("floor", floor, above=0.0)
        columns = self._columns()
        for ends in zip(*(self._spread(each, columns or 1) for each in (self.low, self.high, self.step)), strict=True):
            _refuse_partial_steps(*ends)

    def _columns(self) -> int | None:
        """How many columns the lists are of, None where there are none. InputError: they differ."""
        lengths = {
            name: len(value) for name in ("low", "high", "step") if isinstance(value := getattr(self, name), list)
        }
        if len(set(lengths.values())) > 1:
            raise InputError(
                f"low, high and step must have as many entries, got "
                f"{', '.join(f'{n} {name}' for name, n in lengths.items())}"
            )
        return next(iter(lengths.values()), None)

    @staticmethod
    def _spread(value, columns: int) -> list:
        return value if isinstance(value, list) else [value] * columns

    def _arrays(self, n_features: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """low, high, infinite where there is no end, and step, (I,). InputError: they are of another number of
        columns.
        """
        if self._columns() not in (None, n_features):
            raise InputError(
                f"the bounded likelihood has low, high and step for {self._columns()} columns, but X has {n_features}"
            )
        low, high, step = (self._spread(each, n_features) for each in (self.low, self.high, self.step))
        return (
            np.array([-math.inf if end is None else end for end in low]),
            np.array([math.inf if end is None else end for end in high]),
            np.array(step),
        )

    def joined(self, columns, other, other_columns):
        if not isinstance(other, Bounded) or other.floor != self.floor:
            return None
        ends = (
            [*self._spread(getattr(self, name), columns), *self._spread(getattr(other, name), other_columns)]
            for name in ("low", "high", "step")
        )
        return Bounded(*ends, self.floor)

    def of_columns(self, columns):
        """The likelihood of some of the columns, a slice of them."""
        return Bounded(
            *(value[columns] if isinstance(value, list) else value for value in (self.low, self.high, self.step)),
            self.floor,
        )

    def config(self):
        return {"low": self.low, "high": self.high, "step": self.step, "floor": self.floor}

    def heads(self, n_features):
        self._arrays(n_features)
        return {"location": n_features, "raw_log_scale": n_features}

    def negative_log_likelihood(self, ops, outputs, x, parameters, gradient=True, observed=None):
        xp, (location, raw) = ops.xp, outputs
        check.same_shape(x=x, location=location)
        grown = xp.exp(raw)
        low, high, step = (ops.asarray(each.astype(ops.dtype_name(x))) for each in self._arrays(x.shape[1]))
        scale, half = self.floor + grown, 0.5 * step
        above_low, below_high = x > low + half, x < high - half
        a, b, q = (x + half - location) / scale, (x - half - location) / scale, step / scale

        def within(values):
            return keep(xp, above_low, keep(xp, below_high, values))

        share = -xp.expm1(-q)
        term = (
            keep(xp, below_high, softplus_forward(xp, -a))
            + keep(xp, above_low, softplus_forward(xp, b))
            - within(xp.log(share))
        )
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
        low, high, step = self._arrays(location.shape[1])
        count = np.where(np.isfinite(high - low), np.rint((high - low) / step), 0.0)
        cases: dict = {}
        for i, steps in enumerate(count):
            cases.setdefault(
                (math.isfinite(low[i]), math.isfinite(high[i]), int(steps) if steps <= MOST_STEPS else 0), []
            ).append(i)
        if len(cases) == 1:
            (case,) = cases
            return _means(ops, location, scale, low, high, step, *case)
        result = xp.empty_like(location)
        for case, some in cases.items():
            put(
                result,
                some,
                _means(
                    ops, take(ops, location, some), take(ops, scale, some), low[some], high[some], step[some], *case
                ),
            )
        return result

    def quadrature(self, ops, outputs, parameters):
        """Quantiles in the middle of equal shares, stretched to the variance of the distribution, what is beyond an
        end at the end.
        """
        xp, scale = ops.xp, self.floor + ops.xp.exp(outputs[1])
        low, high, _ = (ops.asarray(each.astype(ops.dtype_name(scale))) for each in self._arrays(scale.shape[1]))
        for node in LOGISTIC_QUADRATURE:
            yield 1.0 / len(LOGISTIC_QUADRATURE), xp.minimum(xp.maximum(outputs[0] + node * scale, low), high)

    def draw(self, outputs, parameters, stream):
        location, raw = (output.astype(np.float64) for output in outputs)
        u = np.maximum(stream.uniform(location.shape), 2.0**-54)
        x = location + (self.floor + np.exp(raw)) * (np.log(u) - np.log1p(-u))
        low, high, step = self._arrays(location.shape[1])
        origin = np.where(np.isfinite(low), low, np.where(np.isfinite(high), high, 0.0))
        return np.clip(origin + step * np.rint((x - origin) / step), low, high).astype(outputs[0].dtype)

    def check_data(self, x, column_names=None):
        low, high, _ = self._arrays(x.shape[1])
        for i in range(x.shape[1]):
            # The ends as the data's dtype has them, so that those of single precision are not outside of themselves.
            ends = (float(np.asarray(end, x.dtype)) for end in (low[i], high[i]))
            names = [i if column_names is None else column_names[i]]
            refuse_outside(x[:, i : i + 1], *ends, "the bounded likelihood", "see its arguments low and high", names)


def _means(ops, location, scale, low, high, step, has_low: bool, has_high: bool, steps: int):
    """E[x|z] (B, C) of columns that all have the same ends and, both of them, the same number of steps; 0 steps: too
    many to add up.
    """
    xp = ops.xp
    low, high, step = (ops.asarray(each.astype(ops.dtype_name(location))) for each in (low, high, step))
    if not has_low and not has_high:
        return location
    if not has_high:
        return low + scale * softplus_forward(xp, (location - low) / scale)
    if not has_low:
        return high - scale * softplus_forward(xp, (high - location) / scale)
    if steps:
        return low + step * sum(sigmoid(xp, (location - (low + (j + 0.5) * step)) / scale) for j in range(steps))
    # From the end that is nearer, so that no digits are lost where the location is far beyond it.
    half, middle = 0.5 * (high - low), low + 0.5 * (high - low)
    distance = xp.abs(location - middle)
    short = scale * (softplus_forward(xp, (half - distance) / scale) - softplus_forward(xp, (-half - distance) / scale))
    return middle + xp.sign(location - middle) * (half - short)


def _end(name: str, value) -> float | None:
    return None if value is None else check.real_number(name, value)


def _refuse_partial_steps(low: float | None, high: float | None, step: float) -> None:
    if low is None or high is None:
        return
    steps = (high - low) / step
    if steps < 0.5 or abs(steps - round(steps)) > 1e-6 * steps:
        raise InputError(
            f"high must be above low by a whole number of steps, got low={low:g}, high={high:g}, step={step:g}"
        )


def _by_column(name: str, value, checked):
    """One value for all columns, or a list of them. InputError, InputTypeError: one is refused."""
    if not isinstance(value, (list, tuple, np.ndarray)):
        return checked(name, value)
    if not len(value):
        raise InputError(f"{name} is empty: it must be a number, or a list of an entry a column")
    return [checked(f"each of {name}", each) for each in value]
