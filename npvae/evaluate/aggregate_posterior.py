"""The aggregate posterior: how q(z) = (1/N) sum_n q(z|x_n) lies to the prior, and what z says about x.

    (1/N) sum_n KL(q(z|x_n) || p(z)) = KL(q(z) || p(z)) + I(n; z)

The mean KL term of the ELBO falls into the divergence of the aggregate posterior from the prior, which is what makes
samples from the prior fall between the data, and the mutual information of z and the row it was encoded from, at most
log N, which is what the latent space is for. The left side is known exactly. The information is estimated by samples,

    I(n; z) ~ (1/S) sum_s [ log q(z_s|x_n) - log q(z_s) ]              z_s ~ q(z|x_n), all rows n in turn

with the mixture of all N Gaussians evaluated exactly; the divergence is what is left. (Samples of log q(z) - log p(z) would
estimate the same, with a variance that grows with the square of how far the posteriors lie from the prior.)

Source: Hoffman & Johnson (2016), "ELBO surgery: yet another way to carve up the variational evidence lower bound".
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from npvae import check, random
from npvae.batches import batches
from npvae.layers.kl import kl_forward

#: Numbers of a block of the matrix of log-densities: 64 MiB of float64.
BLOCK = 2**23


@dataclass(frozen=True)
class AggregatePosterior:
    """In nats."""

    mutual_information: float  #: I(n; z), of z and the row; an estimate, so it may be a little below 0
    standard_error: float  #: of it, and of ``kl``, from the samples
    mean_kl: float  #: the mean over rows of KL(q(z|x) || p(z))

    @property
    def kl(self) -> float:
        """KL(q(z) || p(z))."""
        return self.mean_kl - self.mutual_information


def aggregate_posterior(mu, logvar, seed: int, samples: int = 10_000) -> AggregatePosterior:
    """The measures above for the posteriors N(mu_n, diag(exp(logvar_n))); mu, logvar (N, Z), NumPy arrays.

    The time grows with N times ``samples``. InputError: fewer than 2 samples, or no rows.
    """
    check.same_shape(mu=mu, logvar=logvar)
    rows = check.whole_number("the number of rows of mu", len(mu), 1)
    samples = check.whole_number("samples", samples, 2)
    mu, logvar = mu.astype(np.float64), logvar.astype(np.float64)
    # Every row in turn, in a random order: of fewer samples than rows, a random part.
    row = np.resize(random.permutation(seed, "aggregate posterior order", 0, rows), samples)
    eps = random.normal(seed, "aggregate posterior noise", 0, (samples, mu.shape[1]))
    z = mu[row] + np.exp(0.5 * logvar[row]) * eps
    log_own = -0.5 * np.sum(eps * eps + logvar[row], axis=1)  # this and the mixture lack (Z/2) log(2 pi)
    log_aggregate = np.empty(samples)
    precision = np.exp(-logvar)
    constant = np.sum(mu * mu * precision + logvar, axis=1)
    for part in batches(samples, max(1, BLOCK // rows)):
        quadratic = (z[part] ** 2) @ precision.T - 2.0 * (z[part] @ (mu * precision).T)
        log_density = -0.5 * (quadratic + constant)
        largest = log_density.max(axis=1)
        total = np.exp(log_density - largest[:, None]).sum(axis=1)
        log_aggregate[part] = largest + np.log(total) - math.log(rows)
    ratio = log_own - log_aggregate
    return AggregatePosterior(
        float(ratio.mean()), float(ratio.std(ddof=1) / math.sqrt(samples)),
        float(kl_forward(np, mu, logvar).sum(axis=1).mean()),
    )
