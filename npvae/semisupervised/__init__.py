"""Learning classes from few labels: the models M1, M2 and M1+M2."""

from __future__ import annotations

from npvae.semisupervised.estimator import SemiSupervisedVAE
from npvae.semisupervised.latent_classifier import LatentClassifier
from npvae.semisupervised.model import SemiSupervisedArchitecture, SemiSupervisedModel
from npvae.semisupervised.softmax_regression import SoftmaxRegression

__all__ = [
    "LatentClassifier",
    "SemiSupervisedArchitecture",
    "SemiSupervisedModel",
    "SemiSupervisedVAE",
    "SoftmaxRegression",
]
