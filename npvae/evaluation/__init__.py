"""What a trained model is judged by, one measure a file."""

from __future__ import annotations

from npvae.evaluation.aggregate_posterior import AggregatePosterior, aggregate_posterior
from npvae.evaluation.contributions import Contributions, contributions
from npvae.evaluation.elbo import ACTIVE_VARIANCE, ElboAverages, elbo_rows, evaluate_elbo
from npvae.evaluation.log_likelihood import LogLikelihood, log_likelihood
from npvae.evaluation.neighbours import neighbour_accuracy
from npvae.evaluation.posterior import posterior

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
