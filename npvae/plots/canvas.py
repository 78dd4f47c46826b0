"""What every picture is drawn on, in which colours, and how it is written to a file."""

from __future__ import annotations

import math

import numpy as np

from npvae.errors import InputError, MissingDependencyError

#: Ten colours that are told apart on white, and in grey by their lightness and marker.
COLORS = ("#1f4fd8", "#ff8c00", "#0b8a3e", "#d11f2f", "#9a5be0", "#7a4a1e", "#ff7ac6", "#222222", "#a8b400", "#19b8cf")
MARKERS = ("o", "^", "s", "D", "v", "P", "X", "<", "*", ">")


def new_axes(ax, figsize, **subplot):
    """``ax``, or new axes of a figure of that size. MissingDependencyError: matplotlib cannot be imported."""
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


def picture_shape(vae) -> tuple[int, int]:
    """Height and width of a model's samples. InputError: they are not pictures."""
    shape = image_shape(vae.sample_shape_)
    if shape is None:
        raise InputError(f"samples of shape {tuple(vae.sample_shape_)} are not pictures")
    return shape


def image_grid(images) -> np.ndarray:
    """One picture of many: images (rows, columns, height, width) side by side, without gaps."""
    rows, columns, height, width = images.shape
    return images.transpose(0, 2, 1, 3).reshape(rows * height, columns * width)


def mark_of(i: int) -> tuple[str, str]:
    """Colour and marker of label number i: pairs that are all different up to 100."""
    return COLORS[i % 10], MARKERS[(i % 10 + i // 10) % 10]


def save(ax, path) -> None:
    """Write the figure of ``ax`` to ``path`` (.png, .pdf, .svg), whole or not at all."""
    from pathlib import Path

    from npvae.support.files import write_atomically

    kind = Path(path).suffix.lstrip(".") or "png"
    write_atomically(path, lambda file: ax.figure.savefig(file, format=kind, dpi=120))
