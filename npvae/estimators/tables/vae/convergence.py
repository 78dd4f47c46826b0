"""A plain word where the training of a table's model has not converged, or the model knows the rows it was trained
on better than others.
"""

from __future__ import annotations

import warnings

import numpy as np

from npvae.errors import FitWarning
from npvae.training.state import FINISHED

#: Nats a row that the bound may still gain in the last tenth of the epochs, and as a part of the numbers of a row.
STILL_GAINED, OF_NUMBERS = 0.1, 0.01
#: Nats a row by which the bound of rows trained on may be above that of rows held out, and the same.
LARGEST_GAP, GAP_OF_NUMBERS = 2.0, 0.1


def words_about(history: dict, numbers: int, stop_reason: str | None, best_epoch: int | None) -> list[str]:
    """Sentences about a training that ended, of the columns of its history; numbers: of a row."""
    name = "bound" if "bound" in history else "elbo"
    trained, held_out = history.get(name, []), history.get(f"val_{name}", [])
    watched, found = np.array(held_out or trained), []
    tenth = max(1, len(watched) // 10)
    if stop_reason == FINISHED and len(watched) >= 2:
        gained = float(np.max(watched[-tenth:]) - np.max(watched[:-tenth]))
        if gained > max(STILL_GAINED, OF_NUMBERS * numbers):
            epochs = "epoch" if tenth == 1 else f"{tenth} epochs"
            found.append(
                f"training has not converged: in the last {epochs} the bound still rose by {gained:.2g} nats a row; "
                f"give it more epochs "
                f"than {len(watched)}"
            )
    if held_out:
        at = (best_epoch or len(held_out)) - 1
        gap = trained[at] - held_out[at]
        if gap > max(LARGEST_GAP, GAP_OF_NUMBERS * numbers):
            found.append(
                f"the model overfits: rows it was trained on have a bound {gap:.2g} nats above that of rows held out; "
                f"more rows, fewer "
                "columns, or a smaller latent_dim and hidden would help"
            )
    return found


def warn(history: dict, numbers: int, stop_reason: str | None, best_epoch: int | None, stacklevel: int) -> None:
    """FitWarning, one for each of :func:`words_about`."""
    for words in words_about(history, numbers, stop_reason, best_epoch):
        warnings.warn(words, FitWarning, stacklevel=stacklevel + 1)
