"""Numbers of any distribution: x is the normal score of v, the normal quantile of its rank; Gaussian, or bounded where
v has an end.

    x = Phi^-1(F(v))         F: the column's own distribution function, straight between at most KNOTS quantiles
    v = F^-1(Phi(x))         beyond the largest and the smallest number straight on, at the slope there; never below 0
                             where none is

A value that more than SHARE_OF_ATOM of the cells have keeps its share: it is the answer for a whole interval of x, in
the middle of which it is put; the interval of the smallest or largest value, if it is an end (0 where nothing was
sold), goes on for ever, and the likelihood is of all of it. So draws are distributed as the column is, if the model's x
are distributed as a normal score.

Source: the normal scores of van der Waerden; as marginals of a joint normal distribution, the Gaussian copula.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np

from npvae.data.tables.kinds.base import NumberColumn
from npvae.data.tables.kinds.bounded import FINE
from npvae.data.tables.kinds.continuous import moments
from npvae.data.tables.kinds.ends import SHARE_OF_END
from npvae.data.tables.kinds.normal_quantiles import quantile
from npvae.data.tables.kinds.reading import decimals_of, numbers
from npvae.errors import InputError
from npvae.support.fields import Field, Flag, ListOf, Real

#: Quantiles at most, and the share of the cells above which a value is an atom.
KNOTS, SHARE_OF_ATOM = 100, 0.01
#: Fewer quantiles where there are fewer cells: straight lines between all of few numbers would say more than they know.
FEWEST_KNOTS, CELLS_OF_KNOT = 10, 10
#: How far an end is put from where its neighbour's interval begins: enough for a float32 to tell them apart.
ASIDE = 1e-3
#: Beyond the others: the slope is that of so many of the outermost knots' scores, in scores.
OUTERMOST = 0.7


@dataclass(frozen=True)
class Shaped(NumberColumn):
    """scores, quantiles: knots (x, v) in order, equal v at both sides of an atom's interval; positive: whether nothing
    is below 0; ends: whether the smallest and the largest value are ends; center, scale: of the numbers x."""

    scores: tuple[float, ...] = (-1.0, 1.0)
    quantiles: tuple[float, ...] = (-1.0, 1.0)
    positive: bool = False
    ends: tuple[bool, ...] = (False, False)
    center: float = 0.0
    scale: float = 1.0

    kind: ClassVar[str] = "shaped"
    default_likelihood: ClassVar[str] = "gaussian_decoder"
    entries: ClassVar[dict[str, Field]] = {
        **NumberColumn.entries,
        "scores": ListOf(Real(), shortest=2, longest=4 * KNOTS),
        "quantiles": ListOf(Real(), shortest=2, longest=4 * KNOTS),
        "positive": Flag(),
        "ends": ListOf(Flag(), shortest=2, longest=2),
        "center": Real(),
        "scale": Real(above=0.0),
    }
    is_curved: ClassVar[bool] = True

    @classmethod
    def fit(cls, name, cells, observed, knots=None):
        """knots: of so many quantiles, and without atoms but at the ends: the broad shape alone."""
        v = numbers(cells, observed, name)[observed]
        ends = tuple(bool((v == end).mean() >= SHARE_OF_END) for end in (v.min(), v.max()))
        scores, quantiles = knots_of(v, knots, ends)
        kept = slice(int(ends[0]), len(scores) - int(ends[1]))  # an end goes on for ever
        scores, quantiles = scores[kept], quantiles[kept]
        scores[0] -= ASIDE * ends[0]
        scores[-1] += ASIDE * ends[1]
        column = cls(
            name,
            scores=tuple(scores.tolist()),
            quantiles=tuple(quantiles.tolist()),
            positive=bool(v.min() >= 0.0),
            ends=ends,
        )
        center, scale = moments(column.numbers_of(v), name)
        return replace(column, decimals=decimals_of(v), center=center, scale=scale)

    def modelled_by(self, continuous):
        if not any(self.ends):
            return continuous
        low, high = (x if end else None for x, end in zip((self.scores[0], self.scores[-1]), self.ends, strict=True))
        return {
            "name": "bounded",
            "low": low,
            "high": high,
            "step": (high - low) / FINE if all(self.ends) else 1.0 / FINE,
        }

    def check(self):
        scores, quantiles = np.array(self.scores), np.array(self.quantiles)
        if (
            len(scores) != len(quantiles)
            or (np.diff(scores) < 0.0).any()
            or (np.diff(quantiles) < 0.0).any()
            or quantiles[0] == quantiles[-1]
        ):
            raise InputError("scores and quantiles must be as many, and in order")

    @property
    def shift(self):
        return 0.5 * (self.quantiles[0] + self.quantiles[-1])

    @property
    def unit(self):
        return 0.5 * (self.quantiles[-1] - self.quantiles[0])

    @property
    def slopes(self) -> tuple[float, float]:
        """Of v by x below the first knot and above the last."""
        scores, quantiles = np.array(self.scores), np.array(self.quantiles)
        below, above = (np.interp(x, scores, quantiles) for x in (scores[0] + OUTERMOST, scores[-1] - OUTERMOST))
        lower, upper = float(below - quantiles[0]) / OUTERMOST, float(quantiles[-1] - above) / OUTERMOST
        return 0.0 if self.ends[0] else lower, 0.0 if self.ends[1] else upper

    def curve(self, xp, x):
        scores, quantiles = (xp.asarray(np.array(each)) for each in (self.scores, self.quantiles))
        lower, upper = self.slopes
        first, last = self.scores[0], self.scores[-1]
        below, above = xp.minimum(x - first, 0.0), xp.maximum(x - last, 0.0)
        v = xp.interp(x, scores, (quantiles - self.shift) / self.unit) + above * (upper / self.unit)
        if not self.positive:
            return (v + below * (lower / self.unit)).astype(x.dtype)
        if self.quantiles[0] > 0.0:  # to 0, and never there
            v = v + (self.quantiles[0] / self.unit) * xp.expm1(below * (lower / self.quantiles[0]))
        return v.astype(x.dtype)

    def numbers_of(self, v):
        return 0.5 * (self.limit(v, "left") + self.limit(v, "right"))

    def limit(self, v: np.ndarray, side: Literal["left", "right"]) -> np.ndarray:
        """x at v (N,) as v is reached from below, side "left", or from above, "right": the two sides of an atom's
        interval.
        """
        scores = np.array(self.scores)
        values, begins, counts = np.unique(np.array(self.quantiles), return_index=True, return_counts=True)
        low, high = scores[begins], scores[begins + counts - 1]
        place = np.searchsorted(values, v, side)
        left, right = np.clip(place - 1, 0, len(values) - 1), np.clip(place, 0, len(values) - 1)
        share = (v - values[left]) / np.where(left < right, values[right] - values[left], 1.0)
        x = np.where(
            left < right, high[left] + share * (low[right] - high[left]), np.where(place == 0, low[0], high[-1])
        )
        lower, upper = self.slopes
        first, last = values[0], values[-1]
        if self.positive:
            below = (
                np.log(np.maximum(v, 1e-6 * first) / first) * (first / lower) if first > 0.0 and lower > 0.0 else 0.0
            )
        else:
            below = (v - first) / lower if lower > 0.0 else 0.0
        above = (v - last) / upper if upper > 0.0 else 0.0
        x = np.where(v < first, low[0] + below, np.where(v > last, high[-1] + above, x))
        return np.where(np.isnan(v), np.nan, x)


def knots_of(v: np.ndarray, knots: int | None, ends: tuple[bool, bool]) -> tuple[np.ndarray, np.ndarray]:
    """``(scores, quantiles)`` of numbers v (n,), two knots for an end; knots: as of ``fit``."""
    values, counts = np.unique(v, return_counts=True)
    after, before = np.cumsum(counts) / len(v), (np.cumsum(counts) - counts) / len(v)
    atoms = (counts > max(SHARE_OF_ATOM * len(v), 2.0)) & (knots is None)
    atoms[0], atoms[-1] = atoms[0] | ends[0], atoms[-1] | ends[1]
    kept = atoms.copy()
    kept[[0, -1]] = True
    knots = min(KNOTS, max(FEWEST_KNOTS, len(v) // CELLS_OF_KNOT)) if knots is None else knots
    kept[np.searchsorted(after, (np.arange(knots) + 0.5) / knots)] = True
    middle = 0.5 * (before + after)[kept]
    low, high = np.where(atoms[kept], before[kept], middle), np.where(atoms[kept], after[kept], middle)
    edge = 0.25 / len(v)  # so that no score is infinite
    p = np.clip(np.stack([low, high], axis=1), edge, 1.0 - edge).ravel()
    twice = np.repeat(values[kept], 2)
    keep = np.ones(len(p), bool)
    keep[1::2] = atoms[kept]
    return quantile(p[keep]), twice[keep]
