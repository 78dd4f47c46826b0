"""Learning classes from few labels: the models M1, M2 and M1+M2."""

from __future__ import annotations

from npvae.estimators.semisupervised.estimator import SemiSupervisedVAE
from npvae.estimators.semisupervised.latent_classifier import LatentClassifier
from npvae.estimators.semisupervised.softmax_regression import SoftmaxRegression
from npvae.mathematics.semi_supervised import SemiSupervisedArchitecture, SemiSupervisedModel

__all__ = [
    "LatentClassifier",
    "SemiSupervisedArchitecture",
    "SemiSupervisedModel",
    "SemiSupervisedVAE",
    "SoftmaxRegression",
]
