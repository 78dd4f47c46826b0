"""Named rows of pictures, some of whose pixels may be missing."""

from __future__ import annotations

import numpy as np

from npvae.plots.canvas import image_grid, new_axes


def plot_rows(rows: dict, ax=None, lines=()):
    """Rows of pictures under each other, named: ``{"original": images, "given": images with NaN, ...}``, all (N,
    height, width).

    What is NaN is blue. lines: after which rows to draw a line.
    """
    names, images = list(rows), np.stack([*rows.values()])
    count, columns, height, _ = images.shape
    grid = image_grid(images)
    ax = new_axes(ax, (0.7 * columns + 1.2, 0.72 * count))
    ax.imshow(np.ma.masked_invalid(grid), cmap=_with_blue("gray_r"), interpolation="nearest")
    ax.set_xticks([])
    ax.set_yticks((np.arange(count) + 0.5) * height - 0.5, names)
    ax.tick_params(length=0)
    for row in lines:
        ax.axhline(row * height - 0.5, color="C0", linewidth=1.5)
    return ax


def _with_blue(name: str):
    """One of matplotlib's colour maps, with blue for what is masked."""
    import matplotlib as mpl

    return mpl.colormaps[name].with_extremes(bad="#9ec5e8")
