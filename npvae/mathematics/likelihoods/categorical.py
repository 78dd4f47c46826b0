"""Categorical likelihood of one-hot blocks, from logits.

    p(x|z)  = prod over blocks of p_c,    p = softmax(l) over the block's columns, c the one that is 1
    nll     = sum over blocks of log sum_j exp(l_j) - sum_j x_j l_j
    dl_j    = dnll * (p_j - x_j)                             l, x, dl (B, I); nll, dnll (B,)

A block is the columns of one variable: column j is 1 where the variable has its j-th value, and all others are 0.
"""

from __future__ import annotations

import numpy as np

from npvae.errors import InputError
from npvae.mathematics.layers.softmax import log_softmax
from npvae.mathematics.likelihoods.base import check_upstream
from npvae.mathematics.likelihoods.blocks import InBlocks, block_label
from npvae.mathematics.missing import keep
from npvae.support import check


class Categorical(InBlocks):
    """One-hot columns. sizes: the number of columns of each block, in order; None for one block of all columns."""

    name = "categorical"

    def heads(self, n_features):
        self.blocks(n_features)
        return {"logits": n_features}

    def _log_probabilities(self, xp, logits):
        """log softmax over every block."""
        result = xp.empty_like(logits)
        for block in self.blocks(logits.shape[1]):
            result[:, block] = log_softmax(xp, logits[:, block])
        return result

    def negative_log_likelihood(self, ops, outputs, x, parameters, gradient=True, observed=None):
        (logits,) = outputs
        check.same_shape(x=x, logits=logits)
        xp = ops.xp
        log_p = self._log_probabilities(xp, logits)
        nll = -xp.sum(keep(xp, observed, x * log_p), axis=1)

        def backward(dnll):
            check_upstream(nll, dnll)
            return (ops.scale_rows(keep(xp, observed, xp.exp(log_p) - x), dnll),), {}

        return nll, (backward if gradient else None)

    def initial_biases(self, x):
        return {"logits": np.log(np.maximum(np.mean(x, axis=0, dtype=np.float64), 1e-3))}

    def linear_start(self, mean, V, noise):
        """Of probabilities p = softmax(l) near their mean: dp_j = p_j dl_j, up to what all columns of a block share."""
        p = np.clip(mean, 0.01, 0.99)
        return {"path": {"logits": V / p}, "bias": {"logits": np.log(p)}}

    def mean(self, ops, outputs, parameters):
        return ops.xp.exp(self._log_probabilities(ops.xp, outputs[0]))

    def draw(self, outputs, parameters, stream):
        probabilities = np.exp(self._log_probabilities(np, outputs[0]))
        x = np.zeros_like(probabilities)
        u = stream.uniform((len(x), len(self.blocks(x.shape[1]))))
        for i, block in enumerate(self.blocks(x.shape[1])):
            below = np.cumsum(probabilities[:, block], axis=1) <= u[:, i : i + 1]
            chosen = np.minimum(below.sum(axis=1), block.stop - block.start - 1)  # the sum may end a rounding below 1
            x[np.arange(len(x)), block.start + chosen] = 1.0
        return x

    def check_data(self, x, column_names=None):
        for block in self.blocks(x.shape[1]):
            there = self.refuse_all_but_0_and_1(x, block, "one-hot columns", column_names)
            ones = np.where(there, x[:, block].sum(axis=1), 1.0)
            if (ones != 1).any():
                row = np.argmax(ones != 1)
                raise InputError(
                    f"row {row} of X has {int(ones[row])} ones from {block_label(block, column_names)}, but the "
                    f"categorical likelihood "
                    "needs exactly one in each block: see its argument sizes"
                )
