"""Ordinal likelihood of few ordered levels, by cumulative logits, from a location.

    P(v >= k | z) = sigmoid(l - t_k)                         k = 1, ..., K-1;  t_1 < ... < t_(K-1)

    p(v)    = sigmoid(l - t_v) - sigmoid(l - t_(v+1))        t_0 = -infinity, t_K = infinity
    nll     = sum over variables of softplus(t_v - l) + softplus(l - t_(v+1)) - log(1 - exp(t_v - t_(v+1)))
    dl      = dnll * (sigmoid(l - t_(v+1)) - sigmoid(t_v - l))
    dt_v    = dnll * (sigmoid(t_v - l) + 1 / (exp(t_(v+1) - t_v) - 1))
    dt_v+1  = dnll * (-sigmoid(l - t_(v+1)) - 1 / (exp(t_(v+1) - t_v) - 1))         terms with t_0 and t_K are 0

A variable of K levels 0, ..., K-1 has K-1 columns, x_k = 1 where v >= k and 0 elsewhere. So means are probabilities,
and so are averages of them over z: P(v >= k), whose differences are the probabilities of the levels. The decoder has
one number l a variable, (B, C). Thresholds are parameters of its own, a (I,) with the I columns:

    t_1 = a_1,  t_(k+1) = t_k + smallest + exp(a_(k+1))      da_1 = sum_k dt_k,  da_j = exp(a_j) sum_(k >= j) dt_k

Source: McCullagh (1980), "Regression models for ordinal data".
"""

from __future__ import annotations

import math

import numpy as np

from npvae.errors import InputError
from npvae.mathematics import missing
from npvae.mathematics.layers.activations import sigmoid, softplus_forward
from npvae.mathematics.likelihoods.base import check_upstream
from npvae.mathematics.likelihoods.blocks import InBlocks, block_label
from npvae.mathematics.missing import keep
from npvae.support import check

#: The least distance of two thresholds: a level that never occurs keeps a probability.
SMALLEST_GAP = 1e-3
#: The least probability of a level that thresholds start with.
SMALLEST_SHARE = 1e-3
#: The largest variance of the linear path that starts are made with: far more makes every level certain.
LARGEST_VARIANCE = 10.0


class Ordinal(InBlocks):
    """Ordered levels as cumulative indicators. sizes: the columns of each variable, one fewer than its levels; None:
    one variable.
    """

    name = "ordinal"

    def heads(self, n_features):
        return {"location": len(self.blocks(n_features))}

    def parameters(self, n_features):
        """Thresholds at which all levels are equally likely where l = 0."""
        columns = [np.arange(block.stop - block.start, 0, -1) for block in self.blocks(n_features)]
        return {"raw_thresholds": np.concatenate([_raw_of(-_logit(k / (k[0] + 1.0))) for k in columns])}

    def negative_log_likelihood(self, ops, outputs, x, parameters, gradient=True, observed=None):
        (location,) = outputs
        xp, raw, blocks = ops.xp, parameters["raw_thresholds"], self.blocks(x.shape[1])
        _refuse_other_shape(location, x, len(blocks))
        levels = _Levels(self.block_of_columns(x.shape[1]), ops.dtype_name(x), ops.asarray)
        term, d_distance, d_thresholds = _terms(xp, xp.take(location, levels.block, axis=1), raw, x, levels)
        nll = xp.sum(keep(xp, observed, term), axis=1)

        def backward(dnll):
            check_upstream(nll, dnll)
            by_row = xp.full_like(nll, dnll) if isinstance(dnll, float) else dnll
            by_distance, d_location = keep(xp, observed, d_distance), xp.empty_like(location)
            for i, block in enumerate(blocks):
                d_location[:, i] = xp.sum(by_distance[:, block], axis=1)
            d_raw = _by_raw(xp, raw, by_row @ keep(xp, observed, d_thresholds), levels)
            return (ops.scale_rows(d_location, dnll),), {"raw_thresholds": d_raw}

        return nll, (backward if gradient else None)

    def initial_biases(self, x):
        return {"location": np.zeros(len(self.blocks(x.shape[1])))}

    def initial_own(self, x):
        """Thresholds at which the levels have the shares that they have in the data."""
        filled, observed = missing.split(np, x.astype(np.float64))
        p = filled.sum(axis=0) / np.maximum(observed.sum(axis=0), 1)
        thresholds = [-_logit(_cumulative(p[block])) for block in self.blocks(x.shape[1])]
        return {"raw_thresholds": np.concatenate([_raw_of(t) for t in thresholds])}

    def linear_start(self, mean, V, noise):
        """Thresholds t and a path b, l = z b, with the columns' means p and covariances with z. With s^2 = b b^T and z
        ~ N(0, I)

            E[sigmoid(z b - t)] ~ sigmoid(-t / c) = p,  c^2 = 1 + pi s^2 / 8     E[z sigmoid(z b - t)] ~ p (1 - p) b / c

        b / c is the slope that fits all columns of a variable best by least squares.

        Source of the approximation: MacKay (1992), "The evidence framework applied to classification networks", eq. 10.
        """
        path, thresholds = [], []
        for block in self.blocks(len(mean)):
            p = _cumulative(mean[block])
            weight = p * (1.0 - p)
            slope = V[:, block] @ weight / (weight @ weight)
            square = slope @ slope
            variance = min(square / max(1.0 - math.pi / 8.0 * square, 1e-9), LARGEST_VARIANCE)
            path.append(slope * math.sqrt(variance / max(square, 1e-30)))
            thresholds.append(_raw_of(-_logit(p) * math.sqrt(1.0 + math.pi / 8.0 * variance)))
        bias = {"location": np.zeros(len(path))}
        return {
            "path": {"location": np.stack(path, axis=1)},
            "bias": bias,
            "parameters": {"raw_thresholds": np.concatenate(thresholds)},
        }

    def mean(self, ops, outputs, parameters):
        """P(v >= k) of every column."""
        raw = parameters["raw_thresholds"]
        return _reached(
            ops.xp, outputs[0], raw, _Levels(self.block_of_columns(raw.shape[0]), ops.dtype_name(raw), ops.asarray)
        )

    def draw(self, outputs, parameters, stream):
        raw = parameters["raw_thresholds"]
        reached = _reached(np, outputs[0], raw, _Levels(self.block_of_columns(len(raw)), raw.dtype, np.asarray))
        u = stream.uniform(outputs[0].shape)
        # One number for all columns of a variable: where it is below P(v >= k) it is below P(v >= j) for all j < k.
        return (u[:, self.block_of_columns(reached.shape[1])] < reached).astype(outputs[0].dtype)

    def check_data(self, x, column_names=None):
        for block in self.blocks(x.shape[1]):
            there = self.refuse_all_but_0_and_1(x, block, "columns [v >= 1], [v >= 2], ... of a level v", column_names)
            rises = there & (np.diff(x[:, block], axis=1) > 0).any(axis=1)
            if rises.any():
                raise InputError(
                    f"row {np.argmax(rises)} of X rises from 0 to 1 within {block_label(block, column_names)}, but the "
                    f"ordinal "
                    "likelihood needs columns [v >= 1], [v >= 2], ... of a level v: ones, then zeros; see its argument "
                    "sizes"
                )


def _refuse_other_shape(location, x, variables: int) -> None:
    if location.shape != (x.shape[0], variables):
        raise InputError(
            f"location has shape {location.shape}, but x has shape {x.shape}; it must have as many rows, and a column "
            f"for each of "
            f"{variables} variables"
        )
    check.same_dtype("x", x, "location", location)


class _Levels:
    """How columns (I,) are those of variables, as arrays of an array module. block: the number of its variable;
    is_first: whether it is the first column of one, and first, 1 where it is, else 0; inner: 1 where the next column is
    of the same variable, (I - 1,); below: 1 where a column is of the same variable as another, and not after it, (I,
    I)."""

    def __init__(self, block: np.ndarray, dtype, asarray) -> None:
        inner = block[1:] == block[:-1]
        first = np.concatenate([[True], ~inner])
        self.block, self.is_first, self.is_inner = asarray(block), asarray(first), asarray(inner)
        self.inner, self.first = asarray(inner.astype(dtype)), asarray(first.astype(dtype))
        below = np.tril(block[:, None] == block).astype(dtype)
        self.below, self.above = asarray(below), asarray(below.T.copy())


def _thresholds(xp, raw, levels):
    """Thresholds t (I,) of the columns, and the distances to that of the next, (I - 1,), 1 where it is another
    variable's.
    """
    steps = xp.where(levels.is_first, raw, SMALLEST_GAP + xp.exp(raw))
    return levels.below @ steps, xp.where(levels.is_inner, steps[1:], xp.ones_like(steps[1:]))


def _reached(xp, location, raw, levels):
    """P(v >= k) of every column, (B, I), for locations (B, C)."""
    return sigmoid(xp, xp.take(location, levels.block, axis=1) - _thresholds(xp, raw, levels)[0])


def _by_raw(xp, raw, d_thresholds, levels):
    """The derivative by a, (I,), from that by t."""
    above = levels.above @ d_thresholds
    return xp.where(levels.is_first, above, above * xp.exp(raw))


def _terms(xp, location, raw, x, levels):
    """-log p by column, and its derivatives by l - t and by t; all (B, I), as are location and x."""
    thresholds, gaps = _thresholds(xp, raw, levels)
    inner, distance = levels.inner, location - thresholds
    reached, missed = x + 0.0, levels.first - x  # 1 in column v, and in column v + 1
    reached[:, :-1] -= inner * x[:, 1:]
    missed[:, 1:] += inner * x[:, :-1]
    share = -xp.expm1(-gaps)  # 1 - exp(t_v - t_(v+1))
    between = inner * reached[:, :-1]
    term = reached * softplus_forward(xp, -distance) + missed * softplus_forward(xp, distance)
    term[:, :-1] -= between * xp.log(share)
    d_distance = missed * sigmoid(xp, distance) - reached * sigmoid(xp, -distance)
    d_thresholds = -d_distance
    d_gaps = between * (xp.exp(-gaps) / share)
    d_thresholds[:, :-1] += d_gaps
    d_thresholds[:, 1:] -= d_gaps
    return term, d_distance, d_thresholds


def _cumulative(p: np.ndarray) -> np.ndarray:
    """P(v >= k), falling: p, with no level rarer than SMALLEST_SHARE."""
    shares = np.maximum(-np.diff(p, prepend=1.0, append=0.0), SMALLEST_SHARE)
    return 1.0 - np.cumsum(shares)[:-1] / shares.sum()


def _logit(p: np.ndarray) -> np.ndarray:
    return np.log(p) - np.log1p(-p)


def _raw_of(thresholds: np.ndarray) -> np.ndarray:
    """a of thresholds t."""
    gaps = np.maximum(np.diff(thresholds) - SMALLEST_GAP, 1e-6)
    return np.concatenate([thresholds[:1], np.log(gaps)])
