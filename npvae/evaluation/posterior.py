"""The approximate posteriors of many rows."""

from __future__ import annotations

import numpy as np

from npvae.support.batches import batches


def posterior(model, theta, x) -> tuple[np.ndarray, np.ndarray]:
    """``(mu, logvar)`` of q(z|x), NumPy arrays (N, Z), for x (N, I), NumPy's or the backend's; a thousand rows at
    once.
    """
    ops, views, parts = model.ops, model.views(theta), []
    for part in batches(x.shape[0], 1000):
        outputs, _ = model.encode(views, ops.asarray(x[part, ...]))
        parts.append(tuple(map(ops.to_numpy, outputs)))
    mu, logvar = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return mu, logvar
