"""What the other columns say of every cell, by a linear prediction that has not seen it: the ground on which kinds
compete.

It is made twice, of numbers standardised as they are (at most so many deviations from the mean) and of their normal
scores; names enter both as indicators of their most frequent values, and what is missing as the mean. With C the
correlations of all that on one half of the rows, shrunk to the identity, and P = C^-1,

    prediction of a column's entries B from all others:   x_B ~ -x_O P_OB (P_BB)^-1

which is the conditional mean of the normal distribution, and it is applied to the other half. Columns are taken some
tens at a time, so that hundreds cost no more than so many times tens.
"""

from __future__ import annotations

import numpy as np

from npvae.data.tables.kinds.normal_quantiles import quantile

#: Rows looked at, of more a sample; columns together; values of a column of names; deviations from the mean.
ROWS, TOGETHER, NAMES, FARTHEST = 2000, 40, 5, 5.0
#: What is added to the variances, at least, of correlations.
SHRINKAGE = 0.02


def some_rows(count: int) -> np.ndarray:
    """Which rows of so many are looked at: ROWS at most, in an order that says nothing."""
    return np.random.default_rng(0).permutation(count)[:ROWS]


def entries_of(v: np.ndarray) -> np.ndarray:
    """(n, 2) of numbers v (n,) with NaN: standardised and normal scores, 0 where missing."""
    there = ~np.isnan(v)
    x = np.zeros((len(v), 2))
    seen = v[there]
    deviation = seen.std()
    if len(seen) < 2 or not deviation > 0.0:
        return x
    x[there, 0] = np.clip((seen - seen.mean()) / deviation, -FARTHEST, FARTHEST)
    _, places, counts = np.unique(seen, return_inverse=True, return_counts=True)
    scores = quantile((np.cumsum(counts) - 0.5 * counts) / len(seen))[places]
    x[there, 1] = (scores - scores.mean()) / (scores.std() or 1.0)
    return x


def indicators_of(values: np.ndarray, there: np.ndarray) -> np.ndarray:
    """(n, at most NAMES) standardised indicators of the most frequent of values (n,), numbered from 0; 0 where
    missing.
    """
    counts = np.bincount(values[there])
    frequent = np.argsort(-counts, kind="stable")[:NAMES]
    x = np.zeros((len(values), len(frequent)))
    for j, value in enumerate(frequent):
        share = counts[value] / max(there.sum(), 1)
        if 0.0 < share < 1.0:
            x[there, j] = ((values[there] == value) - share) / np.sqrt(share * (1.0 - share))
    return x


def predictions(numbers: list[np.ndarray | None], names: list[np.ndarray]) -> list[np.ndarray | None]:
    """Of every column of numbers, entries (n, 2), the predictions (n, 2): of numbers as they are from numbers as they
    are, of normal scores from normal scores, and of both from the indicators of names, (n, width) each. None among the
    numbers stays None."""
    there = [i for i, entries in enumerate(numbers) if entries is not None]
    parts = [*there, *range(-len(names), 0)]  # names count from behind
    order = np.random.default_rng(0).permutation(len(parts))
    found: list = [None if entries is None else np.zeros_like(entries) for entries in numbers]
    for group in np.array_split(order, -(-len(parts) // TOGETHER)):
        mine = [parts[i] for i in group]
        for world in (0, 1):
            blocks = [numbers[i][:, world : world + 1] if i >= 0 else names[i] for i in mine]
            for i, predicted in zip(mine, _predicted(blocks), strict=True):
                if i >= 0:
                    found[i][:, world : world + 1] = predicted
    return found


def _predicted(blocks: list[np.ndarray]) -> list[np.ndarray]:
    x = np.concatenate(blocks, axis=1)
    ends = np.cumsum([block.shape[1] for block in blocks])
    found = [np.zeros_like(block) for block in blocks]
    rows, width = x.shape
    for half in (0, 1):
        fitted, held = x[half::2], slice(1 - half, None, 2)
        shrinkage = max(SHRINKAGE, width / (width + len(fitted)))
        C = fitted.T @ fitted / max(len(fitted), 1)
        P = np.linalg.inv((1.0 - shrinkage) * C + shrinkage * np.eye(width))
        for block, end, into in zip(blocks, ends, found, strict=True):
            own = slice(end - block.shape[1], end)
            weights = P[:, own].copy()
            weights[own] = 0.0
            into[held] = -(x[held] @ weights) @ np.linalg.inv(P[own, own])
    return found
