"""Numbers above 0, skewed: x = (log v - mean) / deviation; Gaussian, so that v is log-normal. Mean and deviation are of
the logarithms.

    v = exp(mean + deviation x)                                  up to the largest number that was there, of x = top
    v = exp(mean + deviation top) (1 + deviation (x - top))      beyond: the tangent

A log-normal distribution's largest numbers, and with them its expected value, hang on a tail that nobody has seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from npvae.data.tables.kinds.base import NumberColumn
from npvae.data.tables.kinds.continuous import moments
from npvae.data.tables.kinds.reading import decimals_of, numbers, refuse
from npvae.support.fields import Field, Real


@dataclass(frozen=True)
class Positive(NumberColumn):
    """Amounts, times."""

    mean: float = 0.0
    deviation: float = 1.0
    top: float = 10.0

    kind: ClassVar[str] = "positive"
    default_likelihood: ClassVar[str] = "gaussian_decoder"
    entries: ClassVar[dict[str, Field]] = {
        **NumberColumn.entries,
        "mean": Real(),
        "deviation": Real(above=0.0),
        "top": Real(minimum=-1e6, maximum=1e6),
    }
    is_curved: ClassVar[bool] = True

    @classmethod
    def fit(cls, name, cells, observed):
        v = numbers(cells, observed, name)
        cls(name).refuse_others(v)
        logarithms = np.log(v[observed])
        mean, deviation = moments(logarithms, name)
        return cls(
            name,
            decimals=decimals_of(v[observed]),
            mean=mean,
            deviation=deviation,
            top=float((logarithms.max() - mean) / deviation),
        )

    @property
    def unit(self):
        return float(np.exp(self.mean + self.deviation * self.top))

    def curve(self, xp, x):
        beyond = self.deviation * (x - self.top)
        return xp.exp(xp.minimum(beyond, 0.0)) + xp.maximum(beyond, 0.0)

    def numbers_of(self, v):
        x = (np.log(v) - self.mean) / self.deviation
        return np.where(x > self.top, self.top + (v / self.unit - 1.0) / self.deviation, x)

    def refuse_others(self, v):
        refuse(v <= 0.0, v, self.name, "a positive column needs values above 0")

    def rounded(self, v):
        # What is nearer to 0 than to the smallest number of so many decimals would be recorded as that.
        return v if self.decimals is None else np.maximum(np.round(v, self.decimals), 10.0**-self.decimals)
