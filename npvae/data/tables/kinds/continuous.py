"""Numbers of any size: x = (v - mean) / deviation; Gaussian, its mean and variance from the decoder.

Where no number is below 0 none may come out below: with h half of the last decimal if 0 itself is there, else 0,

    x = (u - mean) / deviation,   u = s log(exp((v + h) / s) - 1)         v = s log(1 + exp(u / s)) - h

which is the same line for v some times larger than s, and s is the larger of the smallest v + h and a tenth of the
deviation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from npvae.data.tables.kinds.base import NumberColumn
from npvae.data.tables.kinds.reading import decimals_of, numbers
from npvae.errors import InputError
from npvae.mathematics.layers.activations import softplus_forward
from npvae.support.fields import Field, Maybe, Real

#: A mean that is more deviations above 0 keeps a column from going below.
FAR_ABOVE = 8.0
#: s, at least, in deviations.
SOFTEST = 0.1


@dataclass(frozen=True)
class Continuous(NumberColumn):
    """Measurements. soft: s, where nothing may be below 0; half: h."""

    mean: float = 0.0
    deviation: float = 1.0
    soft: float | None = None
    half: float = 0.0

    kind: ClassVar[str] = "continuous"
    default_likelihood: ClassVar[str] = "gaussian_decoder"
    entries: ClassVar[dict[str, Field]] = {
        **NumberColumn.entries,
        "mean": Real(),
        "deviation": Real(above=0.0),
        "soft": Maybe(Real(above=0.0)),
        "half": Real(minimum=0.0),
    }

    @classmethod
    def fit(cls, name, cells, observed):
        v = numbers(cells, observed, name)[observed]
        decimals = decimals_of(v)
        mean, deviation = moments(v, name)
        smallest = float(v.min())
        if smallest < 0.0 or mean > FAR_ABOVE * deviation:
            return cls(name, decimals=decimals, mean=mean, deviation=deviation)
        half = 0.0
        if smallest == 0.0:
            half = 0.5 * (10.0**-decimals if decimals is not None else float(v[v > 0.0].min()))
        bent = cls(name, decimals=decimals, soft=max(smallest + half, SOFTEST * deviation), half=half)
        mean, deviation = moments(bent.numbers_of(v), name)
        return cls(name, decimals=decimals, mean=mean, deviation=deviation, soft=bent.soft, half=half)

    @property
    def is_curved(self):
        return self.soft is not None

    @property
    def shift(self):
        return self.mean if self.soft is None else -self.half

    @property
    def unit(self):
        return self.deviation if self.soft is None else self.soft

    def curve(self, xp, x):
        return x if self.soft is None else softplus_forward(xp, (self.mean + self.deviation * x) / self.soft)

    def numbers_of(self, v):
        if self.soft is not None:
            ratio = np.maximum((v + self.half) / self.soft, 1e-6)  # of a table not seen in fit, perhaps
            v = self.soft * (ratio + np.log(-np.expm1(-ratio)))
        return (v - self.mean) / self.deviation

    def rounded(self, v):
        if self.decimals is None and self.half > 0.0:
            return np.where(v < self.half, 0.0, v)  # below half of the smallest number that was there: nothing
        return np.maximum(super().rounded(v), 0.0) if self.soft is not None else super().rounded(v)


def moments(v: np.ndarray, name: str) -> tuple[float, float]:
    """Mean and deviation of numbers v (n,), 1 for a deviation of 0. InputError: it is not finite."""
    with np.errstate(over="ignore"):
        mean, deviation = float(v.mean()), float(v.std())
    if not np.isfinite(deviation):
        raise InputError(f"column {name!r} has values so large that their variance is not finite: use other units")
    return mean, deviation or 1.0
