"""Outliers of tables: a robust variational autoencoder, scores of rows, and what each column contributes to them."""

from __future__ import annotations

from npvae.estimators.outliers.estimator import OutlierVAE
from npvae.estimators.outliers.scores import OutlierScores

__all__ = ["OutlierScores", "OutlierVAE"]
