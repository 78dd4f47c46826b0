"""What a trained M2 says of rows: the classes, and the latent vector with a class or without.

    log q(y|x) = log softmax(classifier(x))
    E[z|x] = sum_y q(y|x) mu(x, y)

NumPy arrays in and out, a thousand rows at a time.
"""

from __future__ import annotations

import numpy as np

from npvae.mathematics.layers.pairs import Pairs
from npvae.mathematics.layers.softmax import log_softmax
from npvae.support.batches import batches

ROWS_AT_ONCE = 1000


def log_probabilities(model, theta, x: np.ndarray) -> np.ndarray:
    """log q(y|x), (N, C), for x (N, I)."""
    ops, views = model.ops, model.views(theta)
    return np.concatenate(
        [
            ops.to_numpy(log_softmax(ops.xp, model.classify(views, ops.asarray(x[part]))[0]))
            for part in batches(len(x), ROWS_AT_ONCE)
        ]
    )


def posterior_of_labelled(model, theta, x: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``(mu, logvar)`` of q(z|x, y), both (N, Z), for x (N, I) and classes (N,)."""
    ops, views, parts = model.ops, model.views(theta), []
    for part in batches(len(x), ROWS_AT_ONCE):
        pairs = Pairs(ops, codes[part], 0, model.architecture.n_classes, ops.dtype_name(theta))
        parts.append(tuple(map(ops.to_numpy, model.encode_pairs(views, ops.asarray(x[part]), pairs)[0])))
    mu, logvar = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return mu, logvar


def expected_latent(model, theta, x: np.ndarray) -> np.ndarray:
    """E[z|x], (N, Z), the class summed out, for x (N, I)."""
    ops, views, parts = model.ops, model.views(theta), []
    none = np.zeros(0, np.int64)
    for part in batches(len(x), ROWS_AT_ONCE):
        rows = ops.asarray(x[part])
        pairs = Pairs(ops, none, rows.shape[0], model.architecture.n_classes, ops.dtype_name(theta))
        q = ops.xp.exp(log_softmax(ops.xp, model.classify(views, rows)[0]))
        (mu, _), _ = model.encode_pairs(views, rows, pairs)
        parts.append(ops.to_numpy(ops.xp.sum(q.T[:, :, None] * pairs.by_class(mu), axis=0)))
    return np.concatenate(parts)


def with_class(model, z: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """What the decoder sees: (z, one-hot class), (N, Z + C)."""
    return np.concatenate([z, np.eye(model.architecture.n_classes, dtype=z.dtype)[codes]], axis=1)
