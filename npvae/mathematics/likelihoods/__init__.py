"""The likelihoods p(x|z) by name. One distribution a file; a new one is a file and a line in ``KNOWN``."""

from __future__ import annotations

from npvae.errors import InputError, InputTypeError, NpvaeError
from npvae.mathematics.likelihoods.base import Likelihood
from npvae.mathematics.likelihoods.bernoulli import Bernoulli
from npvae.mathematics.likelihoods.bounded import Bounded
from npvae.mathematics.likelihoods.categorical import Categorical
from npvae.mathematics.likelihoods.continuous_bernoulli import ContinuousBernoulli
from npvae.mathematics.likelihoods.dirichlet_multinomial import DirichletMultinomial
from npvae.mathematics.likelihoods.gaussian_fixed import Gaussian, SquaredError
from npvae.mathematics.likelihoods.gaussian_learned import GaussianDecoder, GaussianOneVariance, GaussianPerFeature
from npvae.mathematics.likelihoods.known import KNOWN, get
from npvae.mathematics.likelihoods.multinomial import Multinomial
from npvae.mathematics.likelihoods.negative_binomial import NegativeBinomial
from npvae.mathematics.likelihoods.ordinal import Ordinal
from npvae.mathematics.likelihoods.poisson import Poisson
from npvae.mathematics.likelihoods.student_t import StudentT
from npvae.mathematics.likelihoods.table import Table
from npvae.support import registry

KNOWN.update(
    (kind.name, kind)
    for kind in (
        Bernoulli,
        SquaredError,
        Gaussian,
        GaussianOneVariance,
        GaussianPerFeature,
        GaussianDecoder,
        ContinuousBernoulli,
        StudentT,
        Bounded,
        Categorical,
        Ordinal,
        Poisson,
        NegativeBinomial,
        Multinomial,
        DirichletMultinomial,
        Table,
    )
)


def register(kind: type[Likelihood]) -> type[Likelihood]:
    """Make a likelihood of one's own known by its ``name``: to ``VAE(likelihood=...)``, to saving and to loading. Also
    a decorator.

    It holds for this process: a program that loads such a model registers the class first. InputError: it has no name,
    or one that another class has. InputTypeError: it is no subclass of :class:`Likelihood`.
    """
    if not (isinstance(kind, type) and issubclass(kind, Likelihood)):
        raise InputTypeError(f"register takes a subclass of npvae.likelihoods.Likelihood, got {kind!r}")
    name = getattr(kind, "name", None)
    if not isinstance(name, str) or not name or set(name) & set(":,="):
        raise InputError(f"{kind.__name__}.name must be a text without ':', ',' and '=', got {name!r}")
    other = KNOWN.get(name)
    if other is not None and (other.__module__, other.__qualname__) != (kind.__module__, kind.__qualname__):
        raise InputError(f"the name {name!r} is that of {other.__name__}; give {kind.__name__}.name another value")
    KNOWN[name] = kind
    return kind


def is_known(likelihood: Likelihood) -> bool:
    """Whether the likelihood's name and configuration make an equal one: a table may hold others that nobody knows."""
    try:
        return get(registry.to_config(likelihood)) == likelihood
    except NpvaeError:
        return False


def unknown_kinds(likelihood: Likelihood) -> str:
    """The names of the classes that :func:`register` would have to be told of; "" if there are none."""
    if is_known(likelihood):
        return ""
    parts = [part for part, _ in likelihood._parts] if isinstance(likelihood, Table) else [likelihood]
    return ", ".join(dict.fromkeys(type(part).__name__ for part in parts if not is_known(part)))


__all__ = [
    "KNOWN",
    "Bernoulli",
    "Bounded",
    "Categorical",
    "ContinuousBernoulli",
    "DirichletMultinomial",
    "Gaussian",
    "GaussianDecoder",
    "GaussianOneVariance",
    "GaussianPerFeature",
    "Likelihood",
    "Multinomial",
    "NegativeBinomial",
    "Ordinal",
    "Poisson",
    "SquaredError",
    "StudentT",
    "Table",
    "get",
    "is_known",
    "register",
    "unknown_kinds",
]
