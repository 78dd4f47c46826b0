"""The latent space: posterior means as points."""

from __future__ import annotations

import numpy as np

from npvae.plots.canvas import mark_of, new_axes

#: Labels in a column of the legend, and at most in all of it.
LEGEND_ROWS, MOST_IN_LEGEND = 25, 100


def plot_latent(mu, labels=None, ax=None, dimensions=None):
    """Posterior means as points, coloured by label: in a plane, or in space if there are three dimensions.

    mu: (N, Z). labels: (N,) or None; up to 100 different ones have a colour and a marker each, more of them a shade in
    their order, with a colour bar if they are numbers. dimensions: which two (or three) of more to draw; by default
    those of the largest variance.
    """
    mu = np.asarray(mu)
    if dimensions is None:
        count = 3 if mu.shape[1] == 3 else min(2, mu.shape[1])
        dimensions = np.sort(np.argsort(mu.var(axis=0))[::-1][:count])
    points = mu[:, list(dimensions)]
    if points.shape[1] == 1:
        points = np.column_stack([points[:, 0], np.zeros(len(points))])
    classes = np.unique([] if labels is None else np.asarray(labels))
    columns = -(-len(classes) // LEGEND_ROWS) if len(classes) <= MOST_IN_LEGEND else 1
    ax = new_axes(ax, (6.0 + 0.6 * columns, 5.5), **({"projection": "3d"} if points.shape[1] == 3 else {}))
    size = 9 if len(mu) > 1000 else 16
    if labels is None:
        ax.scatter(*points.T, s=size, alpha=0.6, linewidths=0)
    elif len(classes) > MOST_IN_LEGEND:
        numeric = classes.dtype.kind in "buif"
        shade = np.asarray(labels, float) if numeric else np.searchsorted(classes, np.asarray(labels))
        drawn = ax.scatter(*points.T, s=size, alpha=0.8, linewidths=0, c=shade, cmap="viridis")
        if numeric:
            ax.figure.colorbar(drawn, ax=ax, label="label")
    else:
        labels = np.asarray(labels)
        for i, label in enumerate(classes):
            color, marker = mark_of(i)
            ax.scatter(
                *points[labels == label].T,
                s=size,
                alpha=0.8,
                linewidths=0,
                color=color,
                marker=marker,
                label=str(label),
            )
        legend = ax.legend(
            title="label",
            loc="center left",
            bbox_to_anchor=(1.02, 0.5),
            frameon=False,
            markerscale=2,
            ncols=columns,
            fontsize="medium" if columns == 1 and len(classes) <= 20 else "small",
            columnspacing=1.0,
            handletextpad=0.2,
        )
        for handle in legend.legend_handles:
            handle.set_alpha(1.0)
    for axis, dimension in zip("xyz", dimensions, strict=False):
        getattr(ax, f"set_{axis}label")(f"mean of latent dimension {dimension}")
    if points.shape[1] == 2:
        ax.grid(alpha=0.3)
    return ax
