"""log p(x) by importance sampling from the approximate posterior.

    log p(x) ~ L_K = log (1/K) sum_k w_k            w_k = p(x|z_k) p(z_k) / q(z_k|x),  z_k ~ q(z|x)

A lower bound on log p(x) in expectation for any K, the ELBO at K = 1, log p(x) as K grows. How far it may be off, a
row:

    ESS         = (sum_k w_k)^2 / sum_k w_k^2              effective sample size, from 1 to K
    error       = sd(w) / (sqrt(K) mean(w)) = sqrt((K / ESS - 1) / (K - 1))            at most 1

``error`` is the standard error of the mean weight relative to it, so about that of L_K in nats while it is well below
1, and L_K is then about error^2 / 2 nats below log p(x). A small ESS says that neither can be trusted: a few samples
decide.

Means and squared deviations of weights are kept with the largest so far taken out, so samples can be taken in any
number of pieces; with M = sum_k (w_k - mean)^2, in which nothing cancels where all weights are about equal,

    ESS = K / (1 + M / (K mean^2))          error = sqrt(M / (K (K - 1))) / mean

A row's noise is a function of (seed, place of the row, number of the sample), so pieces change nothing but rounding.

Sources: Burda, Grosse & Salakhutdinov (2016), "Importance weighted autoencoders", eq. 8; Owen (2013), "Monte Carlo
theory, methods and examples", section 9.3, for the effective sample size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from npvae.errors import InputError
from npvae.mathematics import random
from npvae.mathematics.objectives.decoding import Decoding
from npvae.support import check
from npvae.support.batches import batches
from npvae.support.memory_need import numbers_a_decoded_sample, refuse_what_does_not_fit

#: Samples of z that are decoded at a time: enough for the matrix products, few enough for the caches.
AT_ONCE = 1024


@dataclass(frozen=True)
class LogLikelihood:
    """log p(x) of every row, in nats, all (N,) float64, from ``samples`` samples of z a row."""

    rows: np.ndarray
    effective_sample_size: np.ndarray
    errors: np.ndarray  #: the sampling error of each row: see the module
    samples: int

    @property
    def mean(self) -> float:
        """The mean over the rows."""
        return float(self.rows.mean())

    @property
    def standard_error(self) -> float:
        """Of the mean, from the spread of the rows: how far other rows of the same kind might be; nan for one row."""
        return float(self.rows.std(ddof=1) / math.sqrt(len(self.rows))) if len(self.rows) > 1 else math.nan

    @property
    def sampling_error(self) -> float:
        """Of the mean, from the samples of z: how far other samples might be on the same rows."""
        return float(np.sqrt(np.sum(self.errors**2)) / len(self.errors))


class Weights:
    """Mean and squared deviations of importance weights, for some rows, with the largest weight so far taken out."""

    def __init__(self, rows: int) -> None:
        self._largest = np.full(rows, -np.inf)
        self._mean = self._deviations = np.zeros(rows)
        self._samples = 0

    def add(self, log_weights: np.ndarray) -> None:
        """Count more samples, (samples, rows), float64."""
        largest = np.maximum(self._largest, log_weights.max(axis=0))
        if not np.isfinite(largest).all():
            raise InputError("a log-weight is not finite: the model's parameters or the data are out of range")
        shrunk = np.exp(self._largest - largest)
        weights = np.exp(log_weights - largest)
        mean, before, count = weights.mean(axis=0), self._samples, len(log_weights)
        apart = mean - self._mean * shrunk
        # Two sets of samples together: Chan, Golub & LeVeque (1983), "Algorithms for computing the sample variance".
        self._deviations = (
            self._deviations * shrunk**2
            + np.square(weights - mean).sum(axis=0)
            + apart**2 * (before * count / (before + count))
        )
        self._mean = self._mean * shrunk + apart * (count / (before + count))
        self._largest, self._samples = largest, before + count

    def result(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """L_K, the effective sample size, the error, of each row."""
        count = self._samples
        relative = self._deviations / self._mean**2
        effective = np.maximum(count / (1.0 + relative / count), 1.0)  # where one sample decides, but for rounding
        error = np.sqrt(relative / (count * (count - 1))) if count > 1 else np.full(len(relative), np.nan)
        return self._largest + np.log(self._mean), effective, error


def log_likelihood(
    model, theta, x, seed: int, samples: int = 5000, at_once: int = AT_ONCE, progress=None
) -> LogLikelihood:
    """log p(x) of the rows of x (N, I), an array of the backend, with ``samples`` samples of z a row.

    The encoder runs once a row. at_once: samples decoded at a time; the result does not depend on it but by rounding.
    progress: called with the number of rows done, now and then.
    InputError: a number is out of range, or there are no rows.
    """
    samples = check.whole_number("samples", samples, 1)
    at_once = check.whole_number("at_once", at_once, 4)
    rows = check.whole_number("the number of rows of x", x.shape[0], 1)
    refuse_what_does_not_fit(
        model.ops,
        "at_once",
        min(at_once, rows * samples),
        np.dtype(model.ops.dtype_name(x)).itemsize * numbers_a_decoded_sample(model.architecture, gradient=False),
        "for the samples that are decoded together",
    )
    results = np.empty(rows), np.empty(rows), np.empty(rows)
    views = model.views(theta)
    # A piece of a row's samples begins where a block of its random words does: at a multiple of four.
    piece = min(samples, at_once // 4 * 4)
    with model.ops.memory_guard(at_once, "at_once"):
        for part in batches(rows, at_once // piece):
            weights = Weights(part.stop - part.start)
            (mu, logvar), _ = model.encode(views, x[part, ...])
            for some in batches(samples, piece):
                weights.add(_log_weights(model, views, x[part, ...], mu, logvar, seed, part, some))
            for result, values in zip(results, weights.result(), strict=True):
                result[part] = values
            if progress is not None:
                progress(part.stop)
    return LogLikelihood(*results, samples)


def _log_weights(model, views, x, mu, logvar, seed, part, some) -> np.ndarray:
    """log w, (samples, rows) float64, of the samples ``some`` of the rows ``part``."""
    ops = model.ops
    noise = random.normal_of_rows(
        seed,
        "likelihood noise",
        range(part.start, part.stop),
        some.start,
        some.stop - some.start,
        model.architecture.latent_dim,
        ops.dtype_name(x),
    )
    decoding = Decoding(model, views, x, mu, logvar, ops.asarray(noise), gradient=False)
    return ops.to_numpy(decoding.log_prior_ratio - decoding.nll).astype(np.float64)
