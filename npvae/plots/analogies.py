"""The style of originals in every class."""

from __future__ import annotations

import numpy as np

from npvae.plots.canvas import image_grid, new_axes, picture_shape


def plot_analogies(model, X, y=None, ax=None):
    """Originals, and each of them in every class: a row an original, whose style its analogies keep.

    y: the rows' classes, by default those predicted. InputError: the samples are not pictures.
    """
    shape = picture_shape(model)
    originals = np.asarray(X).reshape(-1, 1, *shape)
    images = np.concatenate([originals, model.analogies(X, y).reshape(len(originals), -1, *shape)], axis=1)
    ax = new_axes(ax, (0.7 * images.shape[1] + 0.4, 0.72 * len(images) + 0.4))
    ax.imshow(image_grid(images), cmap="gray_r", interpolation="nearest")
    ax.axvline(shape[1] - 0.5, color="C0", linewidth=1.5)
    ax.set_xticks((np.arange(images.shape[1]) + 0.5) * shape[1] - 0.5, ["original", *map(str, model.classes_.tolist())])
    ax.set_yticks([])
    ax.tick_params(length=0, labeltop=True, labelbottom=False)
    return ax
