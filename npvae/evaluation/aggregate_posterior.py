"""The aggregate posterior: how q(z) = (1/N) sum_n q(z|x_n) lies to the prior, and what z says about x.

    (1/N) sum_n KL(q(z|x_n) || p(z)) = KL(q(z) || p(z)) + I(n; z)

The mean KL term of the ELBO falls into the divergence of the aggregate posterior from the prior, which is what makes
samples from the prior fall between the data, and the mutual information of z and the row it was encoded from, at most
log N, which is what the latent space is for. The left side is known exactly. The information is estimated by samples,

    I(n; z) ~ (1/S) sum_s [ log q(z_s|x_n) - log q(z_s) ]              z_s ~ q(z|x_n), all rows n in turn

with the mixture of all N Gaussians evaluated exactly; the divergence is what is left. (Samples of log q(z) - log p(z)
would estimate the same, with a variance that grows with the square of how far the posteriors lie from the prior.)

z itself is never formed, and no square is multiplied out: with z_s = mu_n + s_n eps,

    log q(z_s|x_m) = -sum_j [ (((mu_n - mu_m) + s_n eps) / s_m)^2 + logvar_m ]_j / 2   - (Z/2) log(2 pi)
    log q(z_s|x_n) = -sum_j [ eps_j^2 + logvar_nj ] / 2                                - (Z/2) log(2 pi)

so posteriors as narrow as rounding in mu keep their digits, and, a row's own density being one of the N,
no sample's term is above log N.

Source: Hoffman & Johnson (2016), "ELBO surgery: yet another way to carve up the variational evidence lower bound".
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from npvae.errors import InputError
from npvae.mathematics import random
from npvae.mathematics.layers.kl import kl_forward
from npvae.support import check
from npvae.support.batches import batches

#: Numbers of a block of the matrix of log-densities: 1 MiB of float64, which stays in the cache.
BLOCK = 2**17
#: Standard errors by which an estimate may be outside its bounds: beyond, it is not sampling.
MOST_ERRORS = 10.0


@dataclass(frozen=True)
class AggregatePosterior:
    """In nats."""

    estimate: float  #: of I(n; z), of z and the row: by samples, so it may be a little outside its bounds
    standard_error: float  #: of it, and of ``kl``, from the samples
    mean_kl: float  #: the mean over rows of KL(q(z|x) || p(z))
    rows: int  #: N

    @property
    def mutual_information(self) -> float:
        """I(n; z): the estimate, held to 0 <= I <= log N and to I <= the mean KL, since KL(q(z) || p(z)) >= 0."""
        return min(max(self.estimate, 0.0), self._upper)

    @property
    def kl(self) -> float:
        """KL(q(z) || p(z)), at least 0."""
        return max(self.mean_kl - self.mutual_information, 0.0)

    @property
    def _upper(self) -> float:
        return min(math.log(self.rows), self.mean_kl)

    @property
    def note(self) -> str | None:
        """Words, if the estimate was outside its bounds by more than rounding, and is given as the bound."""
        if abs(self.estimate - self.mutual_information) <= 1e-9 * max(1.0, self.estimate):
            return None
        bound = "0" if self.estimate < 0.0 else f"log N = {math.log(self.rows):.6g}"
        if self.estimate > self.mean_kl:
            bound = f"the mean KL of {self.mean_kl:.6g}"
        return (
            f"the samples' estimate of I(row; z) is {self.estimate:.6g} +- {self.standard_error:.2g}, outside its "
            f"bound "
            f"{bound}, which is given instead"
        )

    def check(self) -> AggregatePosterior:
        """Self. InputError: the estimate is not finite, or farther outside its bounds than samples can put it."""
        allowed = MOST_ERRORS * self.standard_error + 1e-9 * max(1.0, self._upper)
        if not (math.isfinite(self.mean_kl) and -allowed <= self.estimate <= self._upper + allowed):
            raise InputError(
                f"I(row; z) is estimated as {self.estimate:.6g} +- {self.standard_error:.2g}, with a mean KL of "
                f"{self.mean_kl:.6g}, where 0 <= I <= log N = {math.log(self.rows):.6g} must hold: the posteriors' "
                f"means and "
                "log variances are too large to be computed with"
            )
        return self


def aggregate_posterior(mu, logvar, seed: int, samples: int = 10_000) -> AggregatePosterior:
    """The measures above for the posteriors N(mu_n, diag(exp(logvar_n))); mu, logvar (N, Z), NumPy arrays.

    The time grows with N times Z times ``samples``; the memory with N and with ``samples``. InputError: fewer than 2
    samples, no rows, a number that is not finite, or an estimate outside its bounds.
    """
    check.same_shape(mu=mu, logvar=logvar)
    rows = check.whole_number("the number of rows of mu", len(mu), 1)
    samples = check.whole_number("samples", samples, 2)
    mu, logvar = mu.astype(np.float64), logvar.astype(np.float64)
    for name, array in (("mean", mu), ("log variance", logvar)):
        if not np.isfinite(array).all():
            wrong = int(np.argmin(np.isfinite(array).all(axis=1)))
            raise InputError(f"the posterior of row {wrong} has a {name} that is not finite")
    # Every row in turn, in a random order: of fewer samples than rows, a random part.
    row = np.resize(random.permutation(seed, "aggregate posterior order", 0, rows), samples)
    eps = random.normal(seed, "aggregate posterior noise", 0, (samples, mu.shape[1]))
    with np.errstate(over="ignore"):  # a density may be 0, and a divergence too large for a float: see check
        log_own = -0.5 * np.sum(eps * eps + logvar[row], axis=1)  # this and the mixture lack (Z/2) log(2 pi)
        log_aggregate = np.empty(samples)
        for part in batches(samples, max(1, BLOCK // rows)):
            log_density = _log_densities(mu, logvar, row[part], eps[part])
            log_density[np.arange(len(log_density)), row[part]] = log_own[part]
            largest = log_density.max(axis=1)
            total = np.exp(log_density - largest[:, None]).sum(axis=1)
            log_aggregate[part] = largest + np.log(total) - math.log(rows)
        ratio = log_own - log_aggregate
        mean_kl = float(kl_forward(np, mu, logvar).sum(axis=1).mean())
    error = float(ratio.std(ddof=1) / math.sqrt(samples))
    return AggregatePosterior(float(ratio.mean()), error, mean_kl, rows).check()


def _log_densities(mu, logvar, row, eps) -> np.ndarray:
    """log q(z_s|x_m) + (Z/2) log(2 pi), (S, N), of the samples of noise eps (S, Z) of the rows ``row`` (S,)."""
    displacement = np.exp(0.5 * logvar[row]) * eps
    precision = np.exp(-0.5 * logvar)
    total = np.zeros((len(row), len(mu)))
    total += logvar.sum(axis=1)
    term = np.empty_like(total)
    for j in range(mu.shape[1]):
        np.subtract(mu[row, j][:, None], mu[:, j], out=term)
        term += displacement[:, j][:, None]
        term *= precision[:, j]
        term *= term
        total += term
    total *= -0.5
    return total
