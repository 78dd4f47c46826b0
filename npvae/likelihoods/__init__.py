"""The likelihoods p(x|z) by name. One distribution a file; a new one is a file and a line in ``KNOWN``."""

from __future__ import annotations

from npvae import registry
from npvae.likelihoods.base import Likelihood
from npvae.likelihoods.bernoulli import Bernoulli
from npvae.likelihoods.categorical import Categorical
from npvae.likelihoods.continuous_bernoulli import ContinuousBernoulli
from npvae.likelihoods.gaussian_fixed import Gaussian, SquaredError
from npvae.likelihoods.gaussian_learned import (
    GaussianDecoder,
    GaussianOneVariance,
    GaussianPerFeature,
)
from npvae.likelihoods.poisson import Poisson
from npvae.likelihoods.student_t import StudentT
from npvae.likelihoods.table import Table

KNOWN: dict[str, type[Likelihood]] = {
    kind.name: kind
    for kind in (
        Bernoulli, SquaredError, Gaussian, GaussianOneVariance, GaussianPerFeature, GaussianDecoder, ContinuousBernoulli,
        StudentT, Categorical, Poisson, Table,
    )
}


def get(likelihood) -> Likelihood:
    """The likelihood of a name, of ``{"name": ..., argument: value}``, or the object itself."""
    return registry.build("likelihood", likelihood, KNOWN, Likelihood)


__all__ = [
    "KNOWN", "Bernoulli", "Categorical", "ContinuousBernoulli", "Gaussian", "GaussianDecoder", "GaussianOneVariance",
    "GaussianPerFeature", "Likelihood", "Poisson", "SquaredError", "StudentT", "Table", "get",
]
