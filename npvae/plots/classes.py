"""Samples of every class of a semi-supervised model."""

from __future__ import annotations

from npvae.plots.canvas import picture_shape
from npvae.plots.rows import plot_rows


def plot_classes(model, ax=None, columns: int = 10, mean: bool | None = None, random_state=None):
    """Samples of every class of a :class:`npvae.SemiSupervisedVAE`: a row a class, a column for each z. mean: as of
    ``model.sample``; None: features of M1+M2 are drawn, and of M2 the mean is shown.

    InputError: the samples are not pictures.
    """
    shape = picture_shape(model)
    how = {"mean": model.features_ is None if mean is None else mean, "random_state": random_state}
    rows = {
        str(label): model.sample(label, columns, **how).reshape(columns, *shape) for label in model.classes_.tolist()
    }
    return plot_rows(rows, ax)
