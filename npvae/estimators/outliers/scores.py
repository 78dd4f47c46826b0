"""How unlike the others rows are, and by which columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: What the part of a score is called that no column has: see evaluation/contributions.py.
LATENT = "latent"


@dataclass(frozen=True)
class OutlierScores:
    """Of N rows and C columns that are modelled, float64, in nats:

        score = -log p(x) = sum of ``contributions`` over columns and latent space                        (N,)

    columns : the C names, and "latent" as the last.
    contributions : (N, C + 1): E_p(z|x)[-log p(x_c | z)] of column c, 0 where it is missing; KL(p(z|x) || p(z)) as the
        last.
    typical : (C + 1,): the medians of ordinary rows' contributions, of which none is 0: that of a column of numbers
        depends on its units, that of names on how many there are.
    standard_error : (N,), of the score, from the samples of z; effective_sample_size : (N,). See
        evaluation/contributions.py.
    """

    score: np.ndarray
    standard_error: np.ndarray
    effective_sample_size: np.ndarray
    columns: list[str]
    contributions: np.ndarray
    typical: np.ndarray
    observed: np.ndarray  #: (N, C): which cells are there

    @classmethod
    def of(cls, found, columns: list[str], observed: np.ndarray, typical: np.ndarray | None = None) -> OutlierScores:
        """From :class:`npvae.evaluation.Contributions`; typical: None for the medians of these rows themselves."""
        parts = np.concatenate([found.by_variable, found.latent[:, None]], axis=1)
        typical = medians(parts, observed) if typical is None else typical
        return cls(
            found.score, found.standard_error, found.effective_sample_size, [*columns, LATENT], parts, typical, observed
        )

    @property
    def excess(self) -> np.ndarray:
        """(N, C + 1): contributions less what is typical of the column, 0 where it is missing: what makes a row
        unlike the others.
        """
        return np.where(_with_latent(self.observed), self.contributions - self.typical, 0.0)

    @property
    def largest(self) -> list[str]:
        """By row, the name of the column, the latent space aside, with the largest excess."""
        return [self.columns[place] for place in self.excess[:, :-1].argmax(axis=1)]


def medians(parts: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """(C + 1,), of contributions (N, C + 1) of what is observed (N, C); 0 of a column that never is."""
    there = _with_latent(observed)
    return np.array(
        [np.median(column[seen]) if seen.any() else 0.0 for column, seen in zip(parts.T, there.T, strict=True)]
    )


def _with_latent(observed: np.ndarray) -> np.ndarray:
    return np.concatenate([observed, np.ones((len(observed), 1), bool)], axis=1)
