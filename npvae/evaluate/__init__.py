"""What a trained model is judged by, one measure a file."""

from __future__ import annotations

from npvae.evaluate.aggregate_posterior import AggregatePosterior, aggregate_posterior
from npvae.evaluate.contributions import Contributions, contributions
from npvae.evaluate.elbo import ACTIVE_VARIANCE, ElboAverages, elbo_rows, evaluate_elbo
from npvae.evaluate.log_likelihood import LogLikelihood, log_likelihood
from npvae.evaluate.neighbours import neighbour_accuracy
from npvae.evaluate.posterior import posterior

__all__ = [
    "ACTIVE_VARIANCE",
    "AggregatePosterior",
    "Contributions",
    "ElboAverages",
    "LogLikelihood",
    "aggregate_posterior",
    "contributions",
    "elbo_rows",
    "evaluate_elbo",
    "log_likelihood",
    "neighbour_accuracy",
    "posterior",
]
