"""Numbers above 0, skewed: x = (log v - mean) / deviation; Gaussian, so that v is log-normal. Mean and deviation are of the logarithms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from npvae.fields import Field, Real
from npvae.tables.kinds.base import NumberColumn
from npvae.tables.kinds.continuous import moments
from npvae.tables.kinds.reading import decimals_of, numbers, refuse


@dataclass(frozen=True)
class Positive(NumberColumn):
    """Amounts, times."""

    mean: float = 0.0
    deviation: float = 1.0

    kind: ClassVar[str] = "positive"
    default_likelihood: ClassVar[str] = "gaussian_decoder"
    entries: ClassVar[dict[str, Field]] = {**NumberColumn.entries, "mean": Real(), "deviation": Real(above=0.0)}
    is_curved: ClassVar[bool] = True

    @classmethod
    def fit(cls, name, cells, observed):
        v = numbers(cells, observed, name)
        cls(name).refuse_others(v)
        mean, deviation = moments(np.log(v[observed]), name)
        return cls(name, decimals=decimals_of(v[observed]), mean=mean, deviation=deviation)

    @property
    def unit(self):
        return float(np.exp(self.mean))

    def curve(self, xp, x):
        return xp.exp(self.deviation * x)

    def numbers_of(self, v):
        return (np.log(v) - self.mean) / self.deviation

    def refuse_others(self, v):
        refuse(v <= 0.0, v, self.name, "a positive column needs values above 0")

    def rounded(self, v):
        # What is nearer to 0 than to the smallest number of so many decimals would be recorded as that.
        return v if self.decimals is None else np.maximum(np.round(v, self.decimals), 10.0**-self.decimals)
