"""The model and the training that suit a table of so many rows and columns. Arguments that the user gave win.

latent_dim            of three sizes the largest whose bound on rows held out is, after a short training, not worse than
                      that of the best by more than the standard error of the difference
hidden, activation    two layers of 128, tanh, beside linear paths that start at the normal distribution that fits
objective             the ELBO, whose encoder is nearer to the posterior than the importance-weighted bound's: synthetic
                      rows are drawn from posteriors (latents.py)
batch_size            64 rows; more for long tables, up to 512
epochs                at most 300, and of a long table as many as make 30,000 steps, at least 10
validation_fraction   a tenth, at most 2,000 rows; none of a table of fewer than 20 rows
patience              a tenth of the epochs, at least 3
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

#: What stands in the place of arguments that are None, as far as no data are needed to know it.
DEFAULTS = {
    "hidden": (128, 128),
    "activation": "tanh",
    "linear_path": True,
    "objective": "elbo",
    "optimizer": "adam",
    "clip_norm": 100.0,
    "epochs": 300,
    "batch_size": 64,
    "validation_fraction": 0.1,
}
MOST_BATCH, ROWS_A_STEP_OF = 512, 100
MOST_STEPS, FEWEST_EPOCHS = 30_000, 10
#: Rows of a table that is too short for any to be held out, and rows held out at most.
TOO_SHORT, MOST_HELD_OUT = 20, 2000
#: Latent dimensions: at most, and the parts of the table's numbers that are tried.
MOST_LATENTS, PARTS = 16, (0.5, 0.75, 1.0)
#: Epochs of the short training, as a part of all, and steps of it at least and at most.
TRIAL, TRIAL_STEPS = 0.2, (200, 1500)


def latent_dims(width: int) -> list[int]:
    """Sizes of the latent space to choose among, ascending, for rows of so many numbers."""
    most = min(width, MOST_LATENTS)
    return sorted({max(1, min(most, round(part * most))) for part in PARTS})


def batch_size(rows: int) -> int:
    """Rows a step: a power of two, of which a hundred make an epoch, within bounds."""
    return int(min(MOST_BATCH, max(DEFAULTS["batch_size"], 2 ** round(math.log2(max(rows / ROWS_A_STEP_OF, 1.0))))))


def settled(settings, rows: int, validated: bool, given):
    """The settings of training with what suits so many rows in the place of what is not ``given``, names of
    arguments.
    """
    new = {}
    if "batch_size" not in given:
        new["batch_size"] = batch_size(rows)
    steps = math.ceil(rows / new.get("batch_size", settings.batch_size))
    if "epochs" not in given:
        new["epochs"] = max(FEWEST_EPOCHS, min(DEFAULTS["epochs"], MOST_STEPS // steps))
    if "patience" not in given and validated:
        new["patience"] = max(3, new.get("epochs", settings.epochs) // 10)
    return dataclasses.replace(settings, **new)


def trial(settings, rows: int):
    """The settings of the short training by which a size of the latent space is chosen."""
    steps = math.ceil(rows / settings.batch_size)
    fewest, most = (max(1, round(count / steps)) for count in TRIAL_STEPS)
    epochs = min(settings.epochs, most, max(fewest, round(TRIAL * settings.epochs)))
    return dataclasses.replace(settings, epochs=epochs)


def best_size(bounds: dict[int, np.ndarray]) -> int:
    """The number of latent dimensions, by bounds of the same rows held out, (M,), by number."""
    best = max(bounds, key=lambda size: bounds[size].mean())
    return max(size for size, rows in bounds.items() if size == best or not _is_worse(rows, bounds[best]))


def _is_worse(rows: np.ndarray, best: np.ndarray) -> bool:
    """Whether bounds (M,) are lower than others by more than the standard error of the difference."""
    difference = best - rows
    if not np.isfinite(difference).all():
        return True
    return bool(difference.mean() > difference.std() / math.sqrt(len(difference)))
