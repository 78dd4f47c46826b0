"""Pictures of a model, drawn on ``ax`` (a new one by default) and returned; never shown, no global style.

matplotlib is imported inside the functions: nothing else in npvae needs it.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

from npvae.errors import InputError, MissingDependencyError

#: Ten colours that are told apart on white, and in grey by their lightness and marker.
COLORS = ("#1f4fd8", "#ff8c00", "#0b8a3e", "#d11f2f", "#9a5be0", "#7a4a1e", "#ff7ac6", "#222222", "#a8b400", "#19b8cf")
MARKERS = ("o", "^", "s", "D", "v", "P", "X", "<", "*", ">")
#: Labels in a column of the legend, and at most in all of it.
LEGEND_ROWS, MOST_IN_LEGEND = 25, 100


def _new_axes(ax, figsize, **subplot):
    if ax is not None:
        return ax
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError(
            f"pictures need matplotlib, which cannot be imported ({error}): pip install 'npvae[plot]'"
        ) from None
    # A Figure of its own, not pyplot's: no window, no backend, nothing to close.
    return Figure(figsize=figsize, layout="constrained").add_subplot(**subplot)


def image_shape(sample_shape) -> tuple[int, int] | None:
    """Height and width if a sample is a picture: two axes, or a row whose length is the square of 8 or more."""
    if len(sample_shape) == 2:
        return tuple(sample_shape)
    if len(sample_shape) == 1:
        side = math.isqrt(sample_shape[0])
        if side >= 8 and side * side == sample_shape[0]:
            return side, side
    return None


def plot_loss(history, ax=None):
    """The loss by epoch, in nats: training and, if there is any, validation."""
    ax = _new_axes(ax, (6, 4))
    epochs = history["epoch"]
    ax.plot(epochs, history["loss"], label="training (mean over the epoch)", color="C0")
    if "val_loss" in history:
        ax.plot(epochs, history["val_loss"], label="validation (at its end)", color="C1")
    ax.set_xlabel("epoch")
    ax.xaxis.get_major_locator().set_params(integer=True)
    if "error" in history:
        words = "labelled, unlabelled and classifier's term"
    else:
        words = "minus the importance-weighted bound" if "bound" in history else "-log p(x|z) + KL"
    ax.set_ylabel(f"loss: {words}, nats a row")
    ax.grid(alpha=0.3)
    ax.legend(frameon=False)
    return ax


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
    ax = _new_axes(ax, (6.0 + 0.6 * columns, 5.5), **({"projection": "3d"} if points.shape[1] == 3 else {}))
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


def mark_of(i: int) -> tuple[str, str]:
    """Colour and marker of label number i: pairs that are all different up to 100."""
    return COLORS[i % 10], MARKERS[(i % 10 + i // 10) % 10]


def manifold(vae, side: int = 15, dimensions=(0, 1)) -> np.ndarray:
    """E[x|z] on a grid of normal quantiles, (side, side, *sample_shape).

    The grid's coordinates are the quantiles 0.05 to 0.95 of N(0, 1), so that every cell stands for the
    same share of the prior; the latent dimensions not on the grid are 0. Rows go down as the second
    dimension falls, as on a map.
    """
    latent_dim = vae.model_.architecture.latent_dim
    if latent_dim < 2:
        raise InputError("a manifold grid needs a model with at least two latent dimensions")
    quantiles = np.array([NormalDist().inv_cdf(p) for p in np.linspace(0.05, 0.95, side)])
    z = np.zeros((side, side, latent_dim))
    z[:, :, dimensions[0]] = quantiles[None, :]
    z[:, :, dimensions[1]] = quantiles[::-1, None]
    return vae.inverse_transform(z.reshape(side * side, latent_dim)).reshape(side, side, *vae.sample_shape_)


def image_grid(images) -> np.ndarray:
    """One picture of many: images (rows, columns, height, width) side by side, without gaps."""
    rows, columns, height, width = images.shape
    return images.transpose(0, 2, 1, 3).reshape(rows * height, columns * width)


def plot_manifold(vae, ax=None, side: int = 15, dimensions=(0, 1)):
    """The pictures of :func:`manifold`, in their places. InputError: the samples are not pictures."""
    shape = _picture_shape(vae)
    images = manifold(vae, side, dimensions).reshape(side, side, *shape)
    ax = _new_axes(ax, (7, 7))
    ax.imshow(image_grid(images), cmap="gray_r", interpolation="nearest")
    ticks = np.linspace(0, side - 1, 5).round().astype(int)
    values = [NormalDist().inv_cdf(0.05 + 0.9 * t / (side - 1)) for t in ticks]
    ax.set_xticks((ticks + 0.5) * shape[1] - 0.5, [f"{v:.1f}" for v in values])
    ax.set_yticks((ticks + 0.5) * shape[0] - 0.5, [f"{v:.1f}" for v in values[::-1]])
    ax.set_xlabel(f"latent dimension {dimensions[0]}")
    ax.set_ylabel(f"latent dimension {dimensions[1]}")
    return ax


def plot_reconstructions(vae, X, ax=None, columns: int = 10, **how):
    """Originals above their reconstructions, in pairs of rows; whole rows of ``columns`` only, if there is one.

    ``how`` goes to ``vae.reconstruct``. InputError: the samples are not pictures.
    """
    shape = _picture_shape(vae)
    X = np.asarray(X)[: columns * (len(X) // columns) or len(X)]
    columns = min(columns, len(X))
    pairs = np.stack([X.reshape(-1, columns, *shape), vae.reconstruct(X, **how).reshape(-1, columns, *shape)], axis=1)
    images = pairs.reshape(-1, columns, *shape)
    ax = _new_axes(ax, (0.7 * columns, 0.75 * len(images)))
    ax.imshow(image_grid(images), cmap="gray_r", interpolation="nearest")
    ax.set_xticks([])
    names = ["original", "reconstruction"] * len(pairs)
    ax.set_yticks((np.arange(len(images)) + 0.5) * shape[0] - 0.5, names)
    for pair in range(1, len(pairs)):
        ax.axhline(2 * pair * shape[0] - 0.5, color="C0", linewidth=1.5)
    return ax


def plot_samples(images, ax=None, columns: int = 10):
    """Pictures (N, height, width) in a grid; the last row may have empty places."""
    images = np.asarray(images)
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    padded = np.zeros((rows * columns, *images.shape[1:]))
    padded[: len(images)] = images
    ax = _new_axes(ax, (0.7 * columns, 0.7 * rows))
    ax.imshow(image_grid(padded.reshape(rows, columns, *images.shape[1:])), cmap="gray_r", interpolation="nearest")
    ax.set_axis_off()
    return ax


def plot_rows(rows: dict, ax=None, lines=()):
    """Rows of pictures under each other, named: ``{"original": images, "given": images with NaN, ...}``, all (N,
    height, width).

    What is NaN is blue. lines: after which rows to draw a line.
    """
    names, images = list(rows), np.stack([*rows.values()])
    count, columns, height, _ = images.shape
    grid = image_grid(images)
    ax = _new_axes(ax, (0.7 * columns + 1.2, 0.72 * count))
    ax.imshow(np.ma.masked_invalid(grid), cmap=_with_blue("gray_r"), interpolation="nearest")
    ax.set_xticks([])
    ax.set_yticks((np.arange(count) + 0.5) * height - 0.5, names)
    ax.tick_params(length=0)
    for row in lines:
        ax.axhline(row * height - 0.5, color="C0", linewidth=1.5)
    return ax


def plot_classes(model, ax=None, columns: int = 10, mean: bool | None = None, random_state=None):
    """Samples of every class of a :class:`npvae.SemiSupervisedVAE`: a row a class, a column for each z. mean: as of
    ``model.sample``; None: features of M1+M2 are drawn, and of M2 the mean is shown.

    InputError: the samples are not pictures.
    """
    shape = _picture_shape(model)
    how = {"mean": model.features_ is None if mean is None else mean, "random_state": random_state}
    rows = {
        str(label): model.sample(label, columns, **how).reshape(columns, *shape) for label in model.classes_.tolist()
    }
    return plot_rows(rows, ax)


def plot_analogies(model, X, y=None, ax=None):
    """Originals, and each of them in every class: a row an original, whose style its analogies keep.

    y: the rows' classes, by default those predicted. InputError: the samples are not pictures.
    """
    shape = _picture_shape(model)
    originals = np.asarray(X).reshape(-1, 1, *shape)
    images = np.concatenate([originals, model.analogies(X, y).reshape(len(originals), -1, *shape)], axis=1)
    ax = _new_axes(ax, (0.7 * images.shape[1] + 0.4, 0.72 * len(images) + 0.4))
    ax.imshow(image_grid(images), cmap="gray_r", interpolation="nearest")
    ax.axvline(shape[1] - 0.5, color="C0", linewidth=1.5)
    ax.set_xticks((np.arange(images.shape[1]) + 0.5) * shape[1] - 0.5, ["original", *map(str, model.classes_.tolist())])
    ax.set_yticks([])
    ax.tick_params(length=0, labeltop=True, labelbottom=False)
    return ax


def _with_blue(name: str):
    """One of matplotlib's colour maps, with blue for what is masked."""
    import matplotlib as mpl

    return mpl.colormaps[name].with_extremes(bad="#9ec5e8")


def save(ax, path) -> None:
    """Write the figure of ``ax`` to ``path`` (.png, .pdf, .svg), whole or not at all."""
    from pathlib import Path

    from npvae.files import write_atomically

    kind = Path(path).suffix.lstrip(".") or "png"
    write_atomically(path, lambda file: ax.figure.savefig(file, format=kind, dpi=120))


def _picture_shape(vae) -> tuple[int, int]:
    shape = image_shape(vae.sample_shape_)
    if shape is None:
        raise InputError(f"samples of shape {tuple(vae.sample_shape_)} are not pictures")
    return shape
