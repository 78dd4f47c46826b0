"""The manifold that a model has learnt: E[x|z] on a grid of the prior's quantiles."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from npvae.errors import InputError
from npvae.plots.canvas import image_grid, new_axes, picture_shape


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


def plot_manifold(vae, ax=None, side: int = 15, dimensions=(0, 1)):
    """The pictures of :func:`manifold`, in their places. InputError: the samples are not pictures."""
    shape = picture_shape(vae)
    images = manifold(vae, side, dimensions).reshape(side, side, *shape)
    ax = new_axes(ax, (7, 7))
    ax.imshow(image_grid(images), cmap="gray_r", interpolation="nearest")
    ticks = np.linspace(0, side - 1, 5).round().astype(int)
    values = [NormalDist().inv_cdf(0.05 + 0.9 * t / (side - 1)) for t in ticks]
    ax.set_xticks((ticks + 0.5) * shape[1] - 0.5, [f"{v:.1f}" for v in values])
    ax.set_yticks((ticks + 0.5) * shape[0] - 0.5, [f"{v:.1f}" for v in values[::-1]])
    ax.set_xlabel(f"latent dimension {dimensions[0]}")
    ax.set_ylabel(f"latent dimension {dimensions[1]}")
    return ax
