"""Numbers with an end, or two, at which many may be: x = (v - mean) / deviation; logistic, recorded to the last
decimal, and what lies beyond an end recorded as the end. Shares, percentages, amounts that are 0 or more and often 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from npvae.data.tables.kinds.base import NumberColumn
from npvae.data.tables.kinds.continuous import moments
from npvae.data.tables.kinds.ends import ends_of
from npvae.data.tables.kinds.reading import decimals_of, numbers
from npvae.errors import InputError
from npvae.support.fields import Field, Maybe, Real

#: Steps between two ends, or in a deviation, of numbers with more decimals than are counted.
FINE = 4096


@dataclass(frozen=True)
class Bounded(NumberColumn):
    """low, high: the ends, None for none."""

    mean: float = 0.0
    deviation: float = 1.0
    low: float | None = None
    high: float | None = None

    kind: ClassVar[str] = "bounded"
    default_likelihood: ClassVar[str] = "bounded"
    entries: ClassVar[dict[str, Field]] = {
        **NumberColumn.entries,
        "mean": Real(),
        "deviation": Real(above=0.0),
        "low": Maybe(Real()),
        "high": Maybe(Real()),
    }

    @classmethod
    def fit(cls, name, cells, observed):
        v = numbers(cells, observed, name)[observed]
        mean, deviation = moments(v, name)
        low, high = ends_of(v)
        if low is None and high is None:  # as was said: then the ends are where the numbers end
            low, high = (0.0 if v.min() >= 0.0 else float(v.min())), float(v.max())
        return cls(name, decimals=decimals_of(v), mean=mean, deviation=deviation, low=low, high=high)

    def check(self):
        if self.low is not None and self.high is not None and not self.low < self.high:
            raise InputError("low must be below high")

    def modelled_by(self, continuous):
        low, high = (None if end is None else (end - self.mean) / self.deviation for end in (self.low, self.high))
        if self.decimals is not None:
            step = 10.0**-self.decimals / self.deviation
        else:
            step = 1.0 / FINE if low is None or high is None else (high - low) / FINE
        return {"name": "bounded", "low": low, "high": high, "step": step}

    @property
    def shift(self):
        return self.mean

    @property
    def unit(self):
        return self.deviation

    def numbers_of(self, v):
        if self.low is not None or self.high is not None:
            v = np.clip(v, self.low, self.high)  # of another table than the fitted one: as the end
        return (v - self.mean) / self.deviation
