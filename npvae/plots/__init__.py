"""Pictures of a model, drawn on ``ax`` (a new one by default) and returned; never shown, no global style.

matplotlib is imported inside the functions: nothing else in npvae needs it.
"""

from __future__ import annotations

from npvae.plots.analogies import plot_analogies
from npvae.plots.canvas import image_grid, image_shape, mark_of, save
from npvae.plots.classes import plot_classes
from npvae.plots.latent import plot_latent
from npvae.plots.latent_manifold import manifold, plot_manifold
from npvae.plots.loss import plot_loss
from npvae.plots.reconstructions import plot_reconstructions
from npvae.plots.rows import plot_rows
from npvae.plots.samples import plot_samples

__all__ = [
    "image_grid",
    "image_shape",
    "manifold",
    "mark_of",
    "plot_analogies",
    "plot_classes",
    "plot_latent",
    "plot_loss",
    "plot_manifold",
    "plot_reconstructions",
    "plot_rows",
    "plot_samples",
    "save",
]
