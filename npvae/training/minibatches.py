"""The minibatches of an epoch: which rows, in which order, and binarised how."""

from __future__ import annotations

from npvae import random


def epoch_order(seed: int, epoch: int, rows: int):
    """The order of the rows in epoch number ``epoch`` (from 0), int64 (rows,)."""
    return random.permutation(seed, "shuffle", epoch, rows)


def steps_per_epoch(rows: int, batch_size: int) -> int:
    """How many minibatches cover the rows; the last may be partial."""
    return -(-rows // batch_size)


def binarize(ops, x, seed: int, purpose: str, step: int):
    """Zeros and ones, one with probability x, (B, I); a pure function of (x, seed, purpose, step)."""
    u = ops.asarray(random.uniform(seed, purpose, step, x.shape, "float32"))
    return ops.xp.where(u < x, ops.xp.ones_like(x), ops.xp.zeros_like(x))


def minibatch(ops, x, order, index: int, batch_size: int):
    """Minibatch number ``index`` of the epoch: the rows of x (N, I) at the given places of ``order``."""
    return ops.take_rows(x, order[index * batch_size:(index + 1) * batch_size])
