"""How near synthetic rows are to the rows that a model was trained on: a copy is no synthesis.

    d(a) = min_n |a - x_n|        of a row a to the nearest row trained on, in standard units; one-hot for names
    q    = the 5 % quantile of d over rows held out, which the model has not seen
    share of synthetic rows with d < q

Rows drawn from the distribution itself have a share of 5 %; copies have 100 %.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from npvae.support.batches import batches

QUANTILE = 0.05
#: Rows of each part, at most, and rows whose distances are computed together.
MOST, AT_ONCE = 4000, 500


@dataclass(frozen=True)
class Nearness:
    """share: of synthetic rows that are nearer to a row trained on than ``quantile``, the distance that 5 % of the rows
    held out fall below; rows, held_out: how many of each; copies: how many synthetic ones are equal to a row trained
    on."""

    share: float
    quantile: float
    rows: int
    copies: int
    held_out: int

    def config(self) -> dict:
        """JSON-able."""
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"{100 * self.share:.1f} % of {self.rows} synthetic rows are nearer to a row trained on than 5 % of "
            f"{self.held_out} rows held out "
            f"are (of new rows 5 +- {100 * self.standard_error:.1f} % would be); {self.copies} are equal to one"
        )

    @property
    def standard_error(self) -> float:
        """Of the share, of rows drawn from the distribution itself."""
        return float(np.sqrt(QUANTILE * (1.0 - QUANTILE) * (1.0 / self.rows + 1.0 / self.held_out)))


def distances(x: np.ndarray, trained: np.ndarray, others: bool = False) -> np.ndarray:
    """Of rows x (n, D), the distance to the nearest of the rows ``trained`` (M, D), (n,); others: x are the first of
    these, without it.
    """
    size, found = np.square(trained).sum(axis=1), np.empty(len(x))
    for part in batches(len(x), AT_ONCE):
        squares = size - 2.0 * (x[part] @ trained.T)
        if others:
            squares[np.arange(len(squares)), np.arange(len(x))[part]] = np.inf
        nearest = squares.argmin(axis=1)
        found[part] = np.sqrt(
            np.square(x[part] - trained[nearest]).sum(axis=1)
        )  # without the rounding of the expansion
    return found


def share_to_exchange(left: np.ndarray, exchanged: np.ndarray, trained: np.ndarray) -> float:
    """Of synthetic rows (n, D) as they are drawn and with their columns exchanged (combinations.py), the share that can
    be exchanged so that no more are nearer to a row ``trained`` (M, D) than 5 % of these are to each other, with a
    standard error."""
    trained = trained[:MOST].astype(np.float64)
    quantile = np.quantile(distances(trained, trained, others=True), QUANTILE)
    before, after = (
        float((distances(part.astype(np.float64), trained) < quantile).mean()) for part in (left, exchanged)
    )
    most = QUANTILE + np.sqrt(QUANTILE * (1.0 - QUANTILE) / len(trained))
    return (
        1.0
        if after <= most
        else float(np.clip((most - before) / (after - before), 0.0, 1.0))
        if after > before
        else 0.0
    )


def nearness(synthetic: np.ndarray, trained: np.ndarray, held_out: np.ndarray) -> Nearness:
    """Of rows (n, D), (M, D) and (m, D) in standard units, without gaps."""
    trained = trained[:MOST].astype(np.float64)
    ours, theirs = (distances(part[:MOST].astype(np.float64), trained) for part in (synthetic, held_out))
    quantile = float(np.quantile(theirs, QUANTILE))
    return Nearness(float((ours < quantile).mean()), quantile, len(ours), int((ours < 1e-6).sum()), len(theirs))
