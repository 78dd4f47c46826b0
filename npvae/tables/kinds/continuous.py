"""Numbers on the real line: x = (v - mean) / deviation; Gaussian, its mean and variance from the decoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from npvae.errors import InputError
from npvae.fields import Field, Real
from npvae.tables.kinds.base import NumberColumn
from npvae.tables.kinds.reading import decimals_of, numbers


@dataclass(frozen=True)
class Continuous(NumberColumn):
    """Measurements."""

    mean: float = 0.0
    deviation: float = 1.0

    kind: ClassVar[str] = "continuous"
    default_likelihood: ClassVar[str] = "gaussian_decoder"
    entries: ClassVar[dict[str, Field]] = {**NumberColumn.entries, "mean": Real(), "deviation": Real(above=0.0)}

    @classmethod
    def fit(cls, name, cells, observed):
        v = numbers(cells, observed, name)[observed]
        mean, deviation = moments(v, name)
        return cls(name, decimals=decimals_of(v), mean=mean, deviation=deviation)

    @property
    def shift(self):
        return self.mean

    @property
    def unit(self):
        return self.deviation

    def numbers_of(self, v):
        return (v - self.mean) / self.deviation


def moments(v: np.ndarray, name: str) -> tuple[float, float]:
    """Mean and deviation of numbers v (n,), 1 for a deviation of 0. InputError: it is not finite."""
    with np.errstate(over="ignore"):
        mean, deviation = float(v.mean()), float(v.std())
    if not np.isfinite(deviation):
        raise InputError(f"column {name!r} has values so large that their variance is not finite: use other units")
    return mean, deviation or 1.0
