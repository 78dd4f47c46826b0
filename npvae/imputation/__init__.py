"""Filling in what is missing: one method a file, each with its derivation.

methods       all of them by name, for a model and what it was trained on
importance    weighted samples of z: E[x_h|x_o], and draws by resampling
chains        pseudo-Gibbs and Metropolis-within-Gibbs
normal        a multivariate normal distribution by EM: a start, and a rival
factor_analysis   the same with a covariance of few factors, for wide tables
start         a network's parameters from it
"""

from __future__ import annotations

from npvae.imputation.chains import chain_imputation
from npvae.imputation.factor_analysis import FactorAnalysis, fit_factor_analysis
from npvae.imputation.importance import importance_imputation
from npvae.imputation.imputation import Imputation
from npvae.imputation.normal import Normal, fit_normal
from npvae.imputation.start import start_from

__all__ = [
    "FactorAnalysis",
    "Imputation",
    "Normal",
    "chain_imputation",
    "fit_factor_analysis",
    "fit_normal",
    "importance_imputation",
    "start_from",
]
