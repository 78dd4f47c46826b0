"""How often something happened: x = v; negative binomial, its mean from the decoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from npvae.data.tables.kinds.base import NumberColumn
from npvae.data.tables.kinds.continuous import moments
from npvae.data.tables.kinds.reading import numbers, refuse
from npvae.support.fields import Field, Real


@dataclass(frozen=True)
class Counts(NumberColumn):
    """0, 1, 2, ... mean, deviation: of log(1 + v), of which the encoder sees the standardised."""

    decimals: int | None = 0
    mean: float = 0.0
    deviation: float = 1.0

    kind: ClassVar[str] = "counts"
    default_likelihood: ClassVar[str] = "negative_binomial"
    log1p: ClassVar[bool] = True
    entries: ClassVar[dict[str, Field]] = {**NumberColumn.entries, "mean": Real(), "deviation": Real(above=0.0)}

    @classmethod
    def fit(cls, name, cells, observed):
        v = numbers(cells, observed, name)
        cls(name).refuse_others(v)
        mean, deviation = moments(np.log1p(v[observed]), name)
        return cls(name, mean=mean, deviation=deviation)

    @property
    def center(self):
        return self.mean

    @property
    def scale(self):
        return self.deviation

    def numbers_of(self, v):
        return v

    def rounded(self, v):
        return np.maximum(np.rint(v), 0.0)  # another likelihood, if one is said, knows nothing of 0

    def refuse_others(self, v):
        refuse((v < 0.0) | ((v != np.floor(v)) & ~np.isnan(v)), v, self.name, "a column of counts needs 0, 1, 2, ...")
