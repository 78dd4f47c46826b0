"""Originals beside their reconstructions."""

from __future__ import annotations

import numpy as np

from npvae.plots.canvas import image_grid, new_axes, picture_shape


def plot_reconstructions(vae, X, ax=None, columns: int = 10, **how):
    """Originals above their reconstructions, in pairs of rows; whole rows of ``columns`` only, if there is one.

    ``how`` goes to ``vae.reconstruct``. InputError: the samples are not pictures.
    """
    shape = picture_shape(vae)
    X = np.asarray(X)[: columns * (len(X) // columns) or len(X)]
    columns = min(columns, len(X))
    pairs = np.stack([X.reshape(-1, columns, *shape), vae.reconstruct(X, **how).reshape(-1, columns, *shape)], axis=1)
    images = pairs.reshape(-1, columns, *shape)
    ax = new_axes(ax, (0.7 * columns, 0.75 * len(images)))
    ax.imshow(image_grid(images), cmap="gray_r", interpolation="nearest")
    ax.set_xticks([])
    names = ["original", "reconstruction"] * len(pairs)
    ax.set_yticks((np.arange(len(images)) + 0.5) * shape[0] - 0.5, names)
    for pair in range(1, len(pairs)):
        ax.axhline(2 * pair * shape[0] - 0.5, color="C0", linewidth=1.5)
    return ax
