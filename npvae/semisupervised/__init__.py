"""Learning classes from few labels: the models M1, M2 and M1+M2."""

from __future__ import annotations

from npvae.semisupervised.model import SemiSupervisedArchitecture, SemiSupervisedModel

__all__ = ["SemiSupervisedArchitecture", "SemiSupervisedModel"]
