"""Filling in by importance sampling: what is missing, given what is observed, from weighted samples of z.

    z_k ~ q(z|x_o),   w_k = p(x_o|z_k) p(z_k) / q(z_k|x_o),   v_k = w_k / sum_l w_l          k = 1 .. K

    E[x_h | x_o]  ~  sum_k v_k E[x_h | z_k]                        single imputation
    x_h           ~  p(x_h | z_j),  j drawn with probability v_j   multiple imputation: sampling-importance-resampling

Both become exact as K grows: the posterior is then the model's own, not the encoder's. ESS = 1 / sum_k v_k^2 says of
how many samples a row's answer consists; where it is near 1, one sample has decided.

With ``enough``, a row begins with a twentieth of the samples, and takes a fifth and then all of them only while its ESS
is below that: the error that sampling leaves in E[x_h | x_o] is of 1 / ESS times the variance that x_h has anyway.

The samples of some rows at a time are kept: K (Z + 1) numbers each.

Sources: Mattei & Frellsen (2019), "MIWAE", section 3; Rubin (1987), "The SIR algorithm", comment on Tanner & Wong.
"""

from __future__ import annotations

import math

import numpy as np

from npvae.errors import InputError
from npvae.imputation.imputation import Imputation
from npvae.mathematics import random
from npvae.mathematics.objectives.decoding import Decoding
from npvae.support import check
from npvae.support.batches import batches
from npvae.support.memory_need import numbers_a_decoded_sample, refuse_what_does_not_fit

#: Samples of z that are decoded at a time.
AT_ONCE = 1024
#: Rows whose samples are kept together: as many as have so many numbers.
KEPT = 1 << 22


def importance_imputation(
    model,
    theta,
    x,
    seed: int,
    samples: int = 1000,
    draws: int = 0,
    at_once: int = AT_ONCE,
    progress=None,
    purpose: str = "imputation noise",
    curves=None,
    enough: float | None = None,
) -> Imputation:
    """Fill in x (N, D), an array of the backend, NaN where something is missing, from ``samples`` samples of z a row.

    draws: M, how many times. purpose: of the samples' random numbers. progress: called with the number of rows done.
    curves: functions of the array module and an array, by column: there the mean is E[curve(x_h) | x_o]. enough: the
    effective sample size with which a row needs no more samples; None: all rows take all. diagnostics:
    ``effective_sample_size``. InputError: a number is out of range.
    """
    samples = check.whole_number("samples", samples, 1)
    draws = check.whole_number("draws", draws, 0)
    at_once = check.whole_number("at_once", at_once, 4)
    ops, architecture = model.ops, model.architecture
    rows, latent_dim, features = x.shape[0], architecture.latent_dim, architecture.n_features
    dtype = ops.dtype_name(x)
    refuse_what_does_not_fit(
        ops,
        "at_once",
        min(at_once, rows * samples),
        np.dtype(dtype).itemsize * numbers_a_decoded_sample(architecture, False),
        "for the samples that are decoded together",
    )
    views = model.views(theta)
    observed_x = ops.to_numpy(x)[:, :features]
    observed = ~np.isnan(observed_x)
    holed = np.flatnonzero(~observed.all(axis=1))  # complete rows have nothing to be asked
    mean, size = observed_x.copy(), np.full(rows, float(samples))
    chosen = np.zeros((draws, rows, latent_dim), dtype)
    pending, done = holed, rows - len(holed)
    with ops.memory_guard(at_once, "at_once"):
        for count in [samples] if enough is None else sorted({-(-samples // 20), -(-samples // 5), samples}):
            # A piece of a row's samples begins where a block of its random words does: at a multiple of four.
            piece = min(count, at_once // 4 * 4)
            of_rows = min(at_once // piece, KEPT // (count * (latent_dim + 1)) or 1)
            for part in batches(len(pending), of_rows):
                here = pending[part]
                gone = ~observed[here].all(axis=0)
                curved = {i: curve for i, curve in (curves or {}).items() if gone[i]}
                found = _weighted(
                    model, views, ops.take_rows(x, ops.asarray(here)), seed, purpose, here, count, piece, curved, gone
                )
                mean[here], size[here] = found.mean, found.effective_sample_size
                if draws:
                    u = np.stack([random.uniform(seed, "imputation choice", row, (draws,)) for row in here])
                    chosen[:, here] = found.resample(u)
                done += len(here) if count == samples else int((size[here] >= enough).sum())
                if progress is not None:
                    progress(int(here[-1]) + 1 if enough is None else done)
            if count < samples:
                pending = pending[size[pending] < enough]
    drawn = None
    if draws:
        drawn = np.stack(
            [
                np.where(observed, observed_x, model.draw(views, z, random.Stream(seed, "imputation draw", i)))
                for i, z in enumerate(chosen)
            ]
        )
    return Imputation(np.where(observed, observed_x, mean), drawn, {"effective_sample_size": size})


class _Weighted:
    """The samples of some rows with their weights, and what they expect of x."""

    def __init__(self, z, log_weights, mean) -> None:
        self._z, self._log_weights, self.mean = z, log_weights, mean

    @property
    def _shares(self) -> np.ndarray:
        weights = np.exp(self._log_weights - self._log_weights.max(axis=0))
        return weights / weights.sum(axis=0)

    @property
    def effective_sample_size(self) -> np.ndarray:
        return 1.0 / (self._shares**2).sum(axis=0)

    def resample(self, u: np.ndarray) -> np.ndarray:
        """For uniform u (B, M) samples (M, B, Z), each chosen with the probability that is its share."""
        ends = np.cumsum(self._shares, axis=0)
        rows = range(len(u))
        # u is at most 1 - 2^-53, so the product is below the last of the ends.
        places = np.stack([np.searchsorted(ends[:, b], u[b] * ends[-1, b], side="right") for b in rows])
        return self._z[places.T, np.arange(len(u))]


def _weighted(model, views, x, seed, purpose, places, samples, piece, curves, wanted) -> _Weighted:
    """``samples`` samples of z for the rows x, which stand at ``places`` among all, decoded ``piece`` at a time; sums
    have the largest weight taken out."""
    ops, latent_dim = model.ops, model.architecture.latent_dim
    dtype, rows = ops.dtype_name(x), len(places)
    (mu, logvar), _ = model.encode(views, x)
    kept, log_weights = np.empty((samples, rows, latent_dim), dtype), np.empty((samples, rows))
    weighted: np.ndarray | float = 0.0
    total, largest = np.zeros(rows), np.full(rows, -math.inf)
    for some in batches(samples, piece):
        noise = random.normal_of_rows(seed, purpose, places, some.start, some.stop - some.start, latent_dim, dtype)
        decoding = Decoding(model, views, x, mu, logvar, ops.asarray(noise), gradient=False)
        found = ops.to_numpy(decoding.log_prior_ratio - decoding.nll).astype(np.float64)
        _refuse_not_finite(found.max(axis=0) < math.inf, places, "a log-weight")
        kept[some], log_weights[some] = ops.to_numpy(decoding.z), found
        before, largest = largest, np.maximum(largest, found.max(axis=0))
        safe = np.where(largest > -math.inf, largest, 0.0)
        shrunk, weights = np.exp(before - safe), np.exp(found - safe)
        expected = ops.to_numpy(decoding.mean(curves, wanted)).astype(np.float64)
        total = total * shrunk + weights.sum(axis=0)
        # A sample without weight has no say, also where what it expects is beyond the dtype.
        expected = np.where(weights[:, :, None] > 0.0, expected, 0.0)
        weighted = weighted * shrunk[:, None] + (weights[:, :, None] * expected).sum(axis=0)
    _refuse_not_finite(largest > -math.inf, places, "a log-weight")
    weighted = weighted / total[:, None]
    _refuse_not_finite(np.all(np.isfinite(weighted), axis=1), places, "what is expected")
    return _Weighted(kept, log_weights, weighted)


def _refuse_not_finite(fine: np.ndarray, places, what: str) -> None:
    """InputError naming the first row that is not fine."""
    if not fine.all():
        row = places[np.argmin(fine)]
        raise InputError(f"{what} of row {row} is not finite: the model's parameters or the data are out of range")
