"""The order of an epoch's rows, and zeros and ones drawn from grey values."""

from __future__ import annotations

from npvae import random


def epoch_order(ops, seed: int, epoch: int, rows: int):
    """The order of the rows in epoch number ``epoch`` (from 0), int64 (rows,), on the device: ``random.permutation``."""
    return ops.sorting_order(random.words(seed, "shuffle", epoch, rows))


def binarize(ops, x, seed: int, purpose: str, step: int):
    """Zeros and ones, one with probability x, (B, I); a pure function of (x, seed, purpose, step)."""
    u = ops.asarray(random.uniform(seed, purpose, step, x.shape, "float32"))
    return ops.xp.where(u < x, ops.xp.ones_like(x), ops.xp.zeros_like(x))
