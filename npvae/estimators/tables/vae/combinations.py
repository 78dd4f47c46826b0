"""Columns whose values recur together: what a model draws of them is exchanged for a combination of values that was
recorded.

    P(c | v) = w_c exp(-d(v, c)^2 / (2 T)) / sum_c' w_c' exp(-d(v, c')^2 / (2 T))

v: values drawn of a block of columns; c: combinations recorded; d: distance of numbers in deviations, 2 for d^2 of
names that differ. The weights w are such that each combination is drawn as often as it was recorded, or see below.
Columns that are sums, differences or tables of others (prices with their discounts, a shop with its town) then agree to
the last digit; columns outside the block stay as they are drawn. It is to several columns what quantiles are to one
(marginals.py): the entropic optimal transport of the model's draws to the recorded combinations.

    blocks      greedily: the two columns whose dependence is the surest, then the column of the surest dependence on
                those in the block, as long as the estimated probability of combinations that were not recorded, N_1 / N
                (Good and Turing; N_1 of N rows have a combination that no other has), is at most MISSING. How sure: by
                how many of its deviations, sqrt(f / 2) / N with f degrees of freedom, the mutual information is above
                that of permuted rows; at least LEAST
    weights     by Sinkhorn's iterations, of one side: the other one is the draws

A row whose columns are exchanged can be nearer to a row trained on than a new one would be: a combination is recorded
often where it is likely, and where by chance it was. If more rows are too near than of new ones would be (nearness.py),
w is such that combinations are drawn as the square root of how often they were recorded, and if that is not enough,
some rows, at random, stay as the model draws them.

Sources: Good (1953), Biometrika 40; Cuturi (2013), "Sinkhorn distances".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from npvae.data.tables.kinds.base import LevelsColumn
from npvae.errors import ModelFileError
from npvae.mathematics import random
from npvae.support.batches import batches

#: Of blocks: probability of other combinations at most, deviations of dependence at least; columns and rows that are
#: looked at, combinations.
MISSING, LEAST, MOST_COLUMNS, MOST_ROWS, MOST = 0.2, 5.0, 40, 5000, 1000
PERMUTATIONS = 3
#: Powers of counts, in the order in which they are tried.
POWERS = (1.0, 0.5)
#: T; draws and iterations by which weights are found; rows at a time.
TEMPERATURE, DRAWS, ITERATIONS, AT_ONCE = 0.1, 2000, 60, 500
FLOOR = -60.0  #: logarithm of weights, at least


@dataclass(frozen=True, eq=False, repr=False)
class Combinations:
    """columns: their places in the schema; values: (C, columns), numbers, or of names their places among the column's;
    scale: (columns,), what numbers are divided by, 0 for names; log_weights: (C,)."""

    columns: tuple[int, ...]
    values: np.ndarray
    scale: np.ndarray
    log_weights: np.ndarray

    @classmethod
    def fit(cls, schema, columns: list[int], own: np.ndarray, drawn: np.ndarray, power: float) -> Combinations | None:
        """Of values own (n, columns) recorded, and drawn (M, columns) of the model; combinations are to be drawn as
        this power of their counts. None: there are too many combinations, or one."""
        values, counts = np.unique(own, axis=0, return_counts=True)
        if not 1 < len(values) <= MOST:
            return None
        numeric = [is_number(schema.columns[i]) for i in columns]
        found = cls(tuple(columns), values, np.where(numeric, own.std(axis=0), 0.0), np.zeros(len(values)))
        share = counts**power
        log_share = np.log(share / share.sum())
        affinity, log_weights = found.affinity(drawn[:DRAWS]), log_share.copy()
        for _ in range(ITERATIONS):
            reached = _shares(affinity + log_weights).mean(axis=0)
            log_weights += log_share - np.log(reached + 1e-9)
            log_weights = np.maximum(log_weights - log_weights.max(), FLOOR)
        return cls(found.columns, values, found.scale, log_weights)

    def affinity(self, v: np.ndarray) -> np.ndarray:
        """-d^2 / (2 T) of values v (n, columns) to the combinations, (n, C)."""
        squares = np.zeros((len(v), len(self.values)))
        for j, scale in enumerate(self.scale):
            apart = v[:, j, None] - self.values[None, :, j]
            squares += np.square(apart / scale) if scale > 0.0 else 2.0 * (apart != 0.0)
        return squares / (-2.0 * TEMPERATURE)

    def agreeing(self, given: dict[int, float]) -> np.ndarray:
        """Which combinations (C,) have given numbers, by places of columns."""
        found = np.ones(len(self.values), bool)
        for j, column in enumerate(self.columns):
            if column in given:
                found &= self.values[:, j] == given[column]
        return found

    def log_probability(self, v: np.ndarray, which: np.ndarray) -> np.ndarray:
        """Of values v (n, columns), log of the probability that one of the combinations ``which`` (C,) takes their
        place, (n,).
        """
        found = np.empty(len(v))
        for part in batches(len(v), AT_ONCE):
            found[part] = _shares(self.affinity(v[part]) + self.log_weights) @ which
        return np.log(np.maximum(found, np.finfo(float).tiny))

    def of(self, v: np.ndarray, u: np.ndarray, which: np.ndarray) -> np.ndarray:
        """Combinations (n, columns) of those ``which`` (C,) in the place of values v, by uniform numbers u (n,)."""
        log_weights, found = np.where(which, self.log_weights, -np.inf), np.empty_like(v)
        for part in batches(len(v), AT_ONCE):
            ends = np.cumsum(_shares(self.affinity(v[part]) + log_weights), axis=1)
            places = (ends < u[part, None] * ends[:, -1:]).sum(axis=1)
            found[part] = self.values[np.minimum(places, len(self.values) - 1)]
        return found

    def arrays(self) -> dict[str, np.ndarray]:
        """In a file."""
        return {"values": self.values, "scale": self.scale, "log_weights": self.log_weights}

    @classmethod
    def restored(cls, arrays: dict[str, np.ndarray], columns: list[int], schema) -> Combinations:
        """ModelFileError: the arrays are not those of one."""
        shapes = {
            "values": (len(arrays["values"]), len(columns)),
            "scale": (len(columns),),
            "log_weights": (len(arrays["values"]),),
        }
        for name, array in arrays.items():
            if array.shape != shapes[name] or array.dtype != np.float64 or not np.isfinite(array).all():
                raise ModelFileError(
                    f"the {name} of combinations of columns must be finite numbers of the shape {shapes[name]}"
                )
        for j, i in enumerate(columns):
            column, own = schema.columns[i], arrays["values"][:, j]
            if not is_number(column) and not np.isin(own, np.arange(len(column.values))).all():
                raise ModelFileError(f"combinations of columns hold a value that the column {column.name!r} has not")
        if not len(arrays["values"]):
            raise ModelFileError("combinations of columns are none")
        return cls(tuple(columns), **arrays)


def is_number(column) -> bool:
    """Whether a column's values are numbers, not names."""
    return column.is_numeric or not isinstance(column, LevelsColumn)


def values_of(column, values: np.ndarray) -> np.ndarray:
    """Values (n,) in a combination's numbers (n,)."""
    if is_number(column):
        return values.astype(np.float64)
    places = {value: i for i, value in enumerate(column.values)}
    return np.array([places[value] for value in values.tolist()], np.float64)


def decoded(column, numbers: np.ndarray) -> np.ndarray:
    """The values (n,) of a combination's numbers (n,)."""
    return numbers if is_number(column) else column.of_places(numbers.astype(int))


def blocks(own: np.ndarray, candidates: list[int], seed: int) -> list[list[int]]:
    """Places of columns, block by block, of values own (N, columns) with NaN where something is missing."""
    orders = [random.permutation(seed, "marginal sample", 3 + i, len(own)) for i in range(PERMUTATIONS)]
    codes = {i: np.unique(own[:, i], return_inverse=True)[1] for i in candidates[:MOST_COLUMNS]}
    left, found = [i for i, code in codes.items() if code.max() > 0], []
    pairs = {(i, k): _gain(codes[i], codes[k], orders) for i in left for k in left if i < k}
    while pairs and max(pairs.values()) >= LEAST:
        surest = max(pairs, key=pairs.__getitem__)
        block = [*surest]
        joint = _joint(codes[block[0]], codes[block[1]])
        while gains := {i: gain for i in left if i not in block and (gain := _gain(joint, codes[i], orders)) >= LEAST}:
            block.append(max(gains, key=gains.__getitem__))
            joint = _joint(joint, codes[block[-1]])
        found.append(block)
        left = [i for i in left if i not in block]
        pairs = {pair: gain for pair, gain in pairs.items() if not set(pair) & set(block)}
    return found


def _joint(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Codes of the pairs of codes a and b (N,)."""
    return np.unique(a * (b.max() + 1) + b, return_inverse=True)[1]


def _gain(a: np.ndarray, b: np.ndarray, orders: list[np.ndarray]) -> float:
    """By how many deviations the mutual information of codes (N,) is above that of permuted rows; minus infinity:
    too few recur.
    """
    joint = _joint(a, b)
    if (np.bincount(joint) == 1).sum() > MISSING * len(a) or joint.max() >= MOST:
        return -np.inf
    information = np.mean([_entropy(_joint(a, b[order])) for order in orders]) - _entropy(joint)
    return float(information * len(a) / np.sqrt(0.5 * max(1, a.max() * b.max())))


def _entropy(codes: np.ndarray) -> float:
    p = np.bincount(codes) / len(codes)
    return float(-(p * np.log(np.where(p > 0.0, p, 1.0))).sum())


def _shares(logits: np.ndarray) -> np.ndarray:
    """Of (n, C), in each row."""
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)
