"""What training minimises, by name: the negative of a lower bound on log p(x). A new objective is a file and a line in
``KNOWN``.
"""

from __future__ import annotations

from npvae.mathematics.objectives.base import Objective, Terms
from npvae.mathematics.objectives.elbo import ELBO, negative_elbo, value_and_gradient
from npvae.mathematics.objectives.importance_weighted import ImportanceWeighted, importance_weighted_loss
from npvae.mathematics.objectives.semi_supervised import SemiSupervised, semi_supervised_loss
from npvae.support import registry

KNOWN: dict[str, type[Objective]] = {kind.name: kind for kind in (ELBO, ImportanceWeighted, SemiSupervised)}


def get(objective) -> Objective:
    """The objective of a name, of ``{"name": ..., argument: value}``, or the object itself."""
    return registry.build("objective", objective, KNOWN, Objective)


__all__ = [
    "ELBO",
    "KNOWN",
    "ImportanceWeighted",
    "Objective",
    "SemiSupervised",
    "Terms",
    "get",
    "importance_weighted_loss",
    "negative_elbo",
    "semi_supervised_loss",
    "value_and_gradient",
]
