"""The order of an epoch's rows, and what is drawn for a step: features that are drawn anew, and noise."""

from __future__ import annotations

import numpy as np

from npvae.mathematics import random


def epoch_order(ops, seed: int, epoch: int, rows: int, spread: np.ndarray | None = None):
    """The rows' order in epoch number ``epoch`` (from 0), int64 (rows,), on the device: that of ``random.permutation``.

    spread: (rows,), bool, NumPy: L rows of which every batch is to have its share, such as the few that are labelled.
    The i-th of them in the order is put into place floor((i + u) N / L), u one random number an epoch; the others fill
    the rest.
    """
    words = random.words(seed, "shuffle", epoch, rows)
    if spread is None or not spread.any():
        return ops.sorting_order(words)
    order = np.argsort(words, kind="stable")
    count = spread.sum()
    u = random.uniform(seed, "shuffle offset", epoch, ())
    taken = np.zeros(rows, bool)
    taken[np.minimum((np.arange(count) + u) * rows / count, rows - 1).astype(np.int64)] = True
    placed = np.empty(rows, np.int64)
    placed[taken], placed[~taken] = order[spread[order]], order[~spread[order]]
    return ops.asarray(placed)


def draw(ops, x, rows, settings, architecture, step: int):
    """The rows of x, (B, data columns), features drawn anew where ``settings`` say so, and noise for them, of the
    objective's shape, after ``step`` steps.
    """
    batch, features = ops.take_rows(x, rows), architecture.n_features
    if settings.noisy_features:
        batch = draw_features(ops, batch, features, settings.seed, "feature noise", step)
    elif settings.binarize == "dynamic":
        batch = binarize(ops, batch, settings.seed, "binarize", step, features)
    shape = settings.objective.noise_shape(batch.shape[0], architecture.latent_dim)
    return batch, ops.asarray(random.normal(settings.seed, "latent noise", step, shape, ops.dtype_name(batch)))


def drawn_once(ops, x, settings, architecture):
    """Rows of validation data, features drawn once where training draws them anew."""
    features = architecture.n_features
    if settings.noisy_features:
        return draw_features(ops, x, features, settings.seed, "validation feature noise", 0)
    if settings.binarize == "dynamic":
        return binarize(ops, x, settings.seed, "static binarize", 1, features)
    return x


def binarize(ops, x, seed: int, purpose: str, step: int, features: int | None = None):
    """Zeros and ones, one with probability x, (B, I); a pure function of (x, seed, purpose, step). NaN stays NaN.

    features: how many columns are drawn, the first ones; None: all.
    """
    xp, drawn = ops.xp, x if features is None else x[:, :features]
    u = ops.asarray(random.uniform(seed, purpose, step, drawn.shape, "float32"))
    drawn = xp.where(u < drawn, xp.ones_like(drawn), 0.0 * drawn)
    return drawn if drawn.shape == x.shape else ops.concat([drawn, x[:, features:]], axis=1)


def draw_features(ops, batch, features: int, seed: int, purpose: str, step: int):
    """Of rows (mean, deviation, rest), each (B, I) but the rest: (mean + deviation eps, rest)."""
    shape = (batch.shape[0], features)
    eps = ops.asarray(random.normal(seed, purpose, step, shape, ops.dtype_name(batch)))
    x = batch[:, :features] + batch[:, features : 2 * features] * eps
    return ops.concat([x, batch[:, 2 * features :]], axis=1)
