"""How right the gradients are: the worst error of every kind of check, over all likelihoods and activations.

    python benchmarks/gradients.py

finite differences   float64, every element of every tensor of the layers, likelihoods and small models
directions           float64, random unit vectors in each tensor of 784-256-2 at full size, and some elements
automatic            float64, against the reverse-mode library ``autograd`` on an independent forward
float32              the float32 gradient against the float64 one, 784-256-2 at full size and small models

Errors are relative: of an element or direction against at least its tensor's root mean square in the first
two, of a tensor as the length of the difference over the length of the gradient in the last two.
"""

from __future__ import annotations

import sys
from pathlib import Path

import autograd
import numpy as np

from npvae import Architecture, Model, backend, value_and_gradient
from npvae.gradcheck import own_gradients
from npvae.mathematics import likelihoods
from npvae.mathematics.layers import activations

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
import autodiff  # noqa: E402  (the tests' independent forward)


def finite_differences() -> None:
    worst = {"finite differences": [], "directions": []}
    for case in own_gradients.cases():
        kind = "directions" if "full size" in case.title else "finite differences"
        worst[kind] += [(row.error, f"{case.title}: {row.name}") for row in case.check().rows]
    for kind, rows in worst.items():
        error, where = max(rows)
        print(f"{kind:<20} {len(rows):4d} tensors   worst {error:.1e}   {where}")


def points():
    """Models of every likelihood and activation, and the one of 784-256-2, with parameters, data and noise."""
    rng = np.random.default_rng(0)
    architectures = [
        Architecture(6, 3, (5, 4), decoder_hidden=(7,), activation=activation, likelihood=kind.example(6))
        for activation in activations.NAMES
        for kind in likelihoods.KNOWN.values()
    ]
    for architecture in [*architectures, Architecture(784, 2, (256,))]:
        model = Model(architecture, backend.get("numpy"))
        theta = model.initial_parameters(0, "float64") + 0.1 * rng.standard_normal(model.layout.size)
        x = own_gradients.draw_data(architecture.likelihood, rng, 20, architecture.n_features)
        yield model, theta, x, rng.standard_normal((20, architecture.latent_dim))


def relative_errors(model, found, wanted):
    """Length of the difference over length of the gradient, for every tensor."""
    for name, part in model.layout.slices.items():
        yield float(np.linalg.norm(found[part] - wanted[part]) / np.linalg.norm(wanted[part])), name


def automatic_and_float32() -> None:
    worst = {"automatic": [], "float32": []}
    for model, theta, x, eps in points():
        _, gradient = value_and_gradient(model, theta, x, eps)
        slope = autograd.grad(lambda t: autodiff.negative_elbo(model.architecture, t, x, eps, 1.0))(theta)  # noqa: B023
        worst["automatic"] += relative_errors(model, gradient, slope)
        single = [array.astype(np.float32) for array in (theta, x, eps)]
        _, low = value_and_gradient(model, *single)
        _, high = value_and_gradient(model, *(array.astype(np.float64) for array in single))
        worst["float32"] += relative_errors(model, low, high)
    for kind, rows in worst.items():
        error, where = max(rows)
        print(f"{kind:<20} {len(rows):4d} tensors   worst {error:.1e}   {where}")


if __name__ == "__main__":
    finite_differences()
    automatic_and_float32()
