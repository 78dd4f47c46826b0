"""The order of an epoch's rows, and what is drawn for a step: zeros and ones from grey values, and noise."""

from __future__ import annotations

from npvae import random


def epoch_order(ops, seed: int, epoch: int, rows: int):
    """The rows' order in epoch number ``epoch`` (from 0), int64 (rows,), on the device: that of ``random.permutation``."""
    return ops.sorting_order(random.words(seed, "shuffle", epoch, rows))


def draw(ops, x, rows, settings, latent_dim: int, step: int):
    """The rows of x, (B, I), binarised where ``settings`` say so, and noise for them, of the objective's shape, after
    ``step`` steps.
    """
    batch = ops.take_rows(x, rows)
    if settings.binarize == "dynamic":
        batch = binarize(ops, batch, settings.seed, "binarize", step)
    shape = settings.objective.noise_shape(batch.shape[0], latent_dim)
    return batch, ops.asarray(random.normal(settings.seed, "latent noise", step, shape, ops.dtype_name(batch)))


def binarize(ops, x, seed: int, purpose: str, step: int):
    """Zeros and ones, one with probability x, (B, I); a pure function of (x, seed, purpose, step). NaN stays NaN."""
    u = ops.asarray(random.uniform(seed, purpose, step, x.shape, "float32"))
    return ops.xp.where(u < x, ops.xp.ones_like(x), 0.0 * x)
