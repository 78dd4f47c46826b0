"""Samples in a grid."""

from __future__ import annotations

import numpy as np

from npvae.plots.canvas import image_grid, new_axes


def plot_samples(images, ax=None, columns: int = 10):
    """Pictures (N, height, width) in a grid; the last row may have empty places."""
    images = np.asarray(images)
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    padded = np.zeros((rows * columns, *images.shape[1:]))
    padded[: len(images)] = images
    ax = new_axes(ax, (0.7 * columns, 0.7 * rows))
    ax.imshow(image_grid(padded.reshape(rows, columns, *images.shape[1:])), cmap="gray_r", interpolation="nearest")
    ax.set_axis_off()
    return ax
