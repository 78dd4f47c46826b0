"""The likelihoods by name, and making one: below the likelihoods that are made of others. The package fills the
table.
"""

from __future__ import annotations

from npvae.errors import UnknownNameError
from npvae.mathematics.likelihoods.base import Likelihood
from npvae.support import registry

KNOWN: dict[str, type[Likelihood]] = {}


def get(likelihood) -> Likelihood:
    """The likelihood of a name, of ``{"name": ..., argument: value}``, or the object itself."""
    try:
        return registry.build("likelihood", likelihood, KNOWN, Likelihood)
    except UnknownNameError as error:
        error.args = (f"{error}; a class of one's own is made known by npvae.likelihoods.register(CLASS)",)
        raise
