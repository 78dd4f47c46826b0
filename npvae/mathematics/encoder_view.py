"""What an encoder sees of its data where they are no numbers of about unit size.

    seen_i = (t_i(x_i) - center_i) / scale_i         t_i(x) = log(1 + x) for counts, else x

Counts span orders of magnitude: of a rate of 10^6 a network makes nothing, of a logarithm it does. The likelihood is of
the counts themselves, so a model's row has both, side by side: (x, seen), of which the decoder's likelihood takes the
first half and the encoder the second (``Architecture.completed``).

    estimator       which columns are counts                             center, scale
    VAE             those of a count likelihood (``Likelihood.counts``)  of those columns: see :meth:`EncoderView.fit`
    TableImputer    those of the kind counts                             of these columns the same; see
                                                                         npvae/data/tables/kinds/
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from npvae.errors import InputError, ModelFileError
from npvae.mathematics.likelihoods.base import column_label
from npvae.support.fields import Flag, ListOf, Real, Record

#: A view in the header of a file.
DECLARATION = Record(
    {
        "center": ListOf(Real(), shortest=1),
        "scale": ListOf(Real(above=0.0), shortest=1),
        "log1p": ListOf(Flag(), shortest=1),
    }
)

#: A count's logarithm has to vary by so many deviations of its own noise to be seen with unit deviation.
NOISE_DEVIATIONS = 5.0


@dataclass(frozen=True, eq=False)
class EncoderView:
    """From data to what an encoder sees of them, column by column.

    center, scale : (I,), subtracted, and divided by.
    log1p : (I,), booleans: columns of which the logarithm of x + 1 is taken first; None: none.
    """

    center: np.ndarray
    scale: np.ndarray
    log1p: np.ndarray | None = None

    @classmethod
    def fit(cls, x: np.ndarray, log1p: np.ndarray) -> EncoderView:
        """The view of x (N, I), NaN where something is missing, in which the columns ``log1p`` have mean 0, and the
        others stay as they are.

            scale = max(s, min(1, 5 / sqrt(1 + m)))          s: deviation of log(1 + x), m: mean of x

        1 / sqrt(1 + m) is about what the logarithm of a Poisson count of mean m varies by itself. Logarithms that vary
        by little more are not stretched to unit deviation: most columns of a large matrix are of rare words or genes,
        whose few counts would then be far out, and a network would learn them by heart (measured: docs/counts.md).
        Those of large counts are standardised.
        """
        view = cls(np.zeros(x.shape[1]), np.ones(x.shape[1]), log1p)
        for column in np.flatnonzero(log1p):
            counts = x[:, column].astype(np.float64)
            counts = counts[~np.isnan(counts)]
            if len(counts):
                seen = np.log1p(counts)
                view.center[column] = seen.mean()
                view.scale[column] = max(seen.std(), min(1.0, NOISE_DEVIATIONS / np.sqrt(1.0 + counts.mean())))
        return view

    def of(self, x: np.ndarray) -> np.ndarray:
        """What is seen of x (N, I), float64; NaN stays NaN. InputError: a count is negative."""
        if self.log1p is not None and self.log1p.any():
            counts = np.where(self.log1p, x, 0.0)
            if (counts < 0.0).any():
                row, column = np.argwhere(counts < 0.0)[0]
                raise InputError(
                    f"X holds {float(x[row, column])!r} in {column_label(column)} (row {row}), but counts are not "
                    f"negative"
                )
            x = np.where(self.log1p, np.log1p(counts), x)
        return (x - self.center) / self.scale

    def inverse(self, seen: np.ndarray) -> np.ndarray:
        """The x (N, I) of which ``seen`` would be seen."""
        x = seen * self.scale + self.center
        return x if self.log1p is None else np.where(self.log1p, np.expm1(np.where(self.log1p, x, 0.0)), x)

    def moments(self, mean: np.ndarray, V: np.ndarray, noise: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of x, where what is seen of it is mean + z V + noise: mean (I,), V (Z, I) and the variances of the noise (I,)
        of the same kind.

        Of counts 1 + x is then log-normal: with s^2 what z explains of its logarithm, n what the noise does, and m its
        mean,

            E[1 + x] = exp(m + (s^2 + n) / 2) = e
            what z explains: e^2 (exp(s^2) - 1)       the rest: e^2 exp(s^2) (exp(n) - 1)
        """
        mean, V, noise = mean * self.scale + self.center, V * self.scale, noise * self.scale**2
        if self.log1p is None or not self.log1p.any():
            return mean, V, noise
        explained = np.minimum((V * V).sum(axis=0), 20.0)
        rest = np.minimum(noise, 20.0)
        level = np.exp(np.minimum(mean + 0.5 * (explained + rest), 60.0))
        longer = level * np.sqrt(np.expm1(explained) / np.maximum(explained, 1e-30))
        of_counts = level - 1.0, V * longer, level**2 * np.exp(explained) * np.expm1(rest)
        pairs = zip(of_counts, (mean, V, noise), strict=True)
        mean, V, noise = (np.where(self.log1p, *pair) for pair in pairs)
        return mean, V, noise

    def beside(self, x: np.ndarray) -> np.ndarray:
        """Rows of a model with ``completed``: x (N, I) and, beside it, what is seen of it, 0 where it is missing:
        (N, 2 I), of x's dtype.
        """
        seen = self.of(x)
        return np.concatenate([x, np.where(np.isnan(seen), 0.0, seen).astype(x.dtype)], axis=1)

    def config(self) -> dict:
        """JSON-able, as ``DECLARATION`` says; :meth:`from_config` is the inverse."""
        log1p = np.zeros(len(self.center), bool) if self.log1p is None else self.log1p
        return {"center": self.center.tolist(), "scale": self.scale.tolist(), "log1p": log1p.tolist()}

    @classmethod
    def from_config(cls, config: Mapping, n_features: int) -> EncoderView:
        """The view of :meth:`config`. ModelFileError: it is not one of so many features."""
        arrays = {
            name: np.array(config[name], bool if name == "log1p" else np.float64)
            for name in ("center", "scale", "log1p")
        }
        for name, array in arrays.items():
            if array.shape != (n_features,):
                raise ModelFileError(
                    f"the {name} of the encoder's view has {len(array)} entries for {n_features} features"
                )
        return cls(**arrays)
