"""A model and settings as the numbers that the compiled programs, Numba's and CUDA's, take."""

from __future__ import annotations

import math

import numpy as np

from npvae.errors import InputError
from npvae.mathematics import optimizers
from npvae.mathematics.likelihoods import Bernoulli, Gaussian, Likelihood, SquaredError
from npvae.mathematics.optimizers import SGD, Adam, RMSprop
from npvae.mathematics.random import PURPOSES

#: The likelihoods that the programs know, and the names of their codes.
LIKELIHOODS: dict[type[Likelihood], str] = {
    Bernoulli: "BERNOULLI",
    Gaussian: "FIXED_VARIANCE",
    SquaredError: "FIXED_VARIANCE",
}
#: The optimisers that the programs know, and the arrays of their states in the programs' order.
STATES = {RMSprop: ("accumulator",), Adam: ("m", "v"), SGD: ("velocity",)}


def constants(model, settings) -> dict[str, float]:
    """The numbers that a program is given, by name."""
    likelihood = model.likelihood
    values = {"tiny": optimizers.TINY, "likelihood_scale": 1.0, "likelihood_factor": 1.0, "likelihood_constant": 0.0}
    if isinstance(likelihood, Gaussian):
        values["likelihood_scale"] = 1.0 / likelihood.variance
        values["likelihood_factor"] = 0.5 / likelihood.variance
        values["likelihood_constant"] = likelihood.constant(model.architecture.n_features)
    if settings is not None:
        optimizer = settings.optimizer
        values["longest"] = optimizers.longest_gradient(settings.clip_norm)
        names = {"rho": "rho", "epsilon": "epsilon", "beta1": "beta_1", "beta2": "beta_2", "momentum": "momentum"}
        values.update({field: getattr(optimizer, name) for name, field in names.items() if hasattr(optimizer, name)})
    return values


def settings_fields(settings, codes) -> dict[str, int]:
    """A plan's fields about the optimiser and random numbers; ``codes``: the program's optimisers by name.

    FLUSH, FLUSH_2: every how many steps the optimiser's states are flushed; there and in BINARIZE_PURPOSE 0 is never.
    """
    flush, flush_2 = [*settings.optimizer.flush_intervals().values(), 0, 0][:2]
    return {
        "OPTIMIZER": codes[rule(settings.optimizer)],
        "FLUSH": flush,
        "FLUSH_2": flush_2,
        "SEED": settings.seed,
        "NOISE_PURPOSE": PURPOSES["latent noise"],
        "BINARIZE_PURPOSE": PURPOSES["binarize"] if settings.binarize == "dynamic" else 0,
    }


def rule(optimizer) -> str:
    """The name of an optimiser's code: one that is written in two ways has two."""
    if isinstance(optimizer, RMSprop):
        return "RMSPROP_INSIDE" if optimizer.epsilon_inside else "RMSPROP_OUTSIDE"
    if isinstance(optimizer, SGD):
        return "MOMENTUM" if optimizer.momentum else "SGD"
    if isinstance(optimizer, Adam):
        return "ADAM"
    raise InputError(f"optimizer={optimizer.name!r} has no code in the fused steps, which have rmsprop, adam, sgd")


def likelihood_code(likelihood) -> str:
    """The name of a likelihood's code."""
    if type(likelihood) not in LIKELIHOODS:
        known = ", ".join(kind.name for kind in LIKELIHOODS)
        raise InputError(f"likelihood={likelihood.name!r} has no code in the fused steps, which have {known}")
    return LIKELIHOODS[type(likelihood)]


def update_rates(optimizer, rates, step: int) -> np.ndarray:
    """The rate of each step, and the scale of Adam's root: (steps, 2), float64; ``step`` steps were taken before."""
    pairs = np.ones((len(rates), 2))
    pairs[:, 0] = rates
    if isinstance(optimizer, Adam):
        for i in range(len(rates)):
            pairs[i, 0] /= 1.0 - optimizer.beta1 ** (step + i + 1)
            pairs[i, 1] = 1.0 / math.sqrt(1.0 - optimizer.beta2 ** (step + i + 1))
    return pairs


def sums_by_name(head, latent) -> dict:
    """A program's sums over rows, in nats: of loss, reconstruction and, where it is not the ELBO, the bound; of KL, mu
    and mu^2 by latent dimension."""
    kl, mu, mu_squared = latent
    numbers = {name: float(value) for name, value in zip(("loss", "reconstruction", "bound"), head, strict=False)}
    return {**numbers, "kl_per_dimension": kl, "mu": mu, "mu_squared": mu_squared}
