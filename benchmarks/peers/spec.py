"""The models that are compared, and their data."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np

RATE, RHO, EPSILON = 1e-3, 0.9, 1e-7


@dataclass(frozen=True)
class Spec:
    """A dense VAE with a Bernoulli likelihood, mirrored: inputs - hidden - latent - reversed hidden - inputs."""

    inputs: int
    hidden: tuple[int, ...]
    latent: int
    activation: str
    batch: int
    steps: int  #: a round's steps: one epoch over as many rows as they need
    data: str
    samples: int = 0  #: of z a row for the importance-weighted bound; 0 for the ELBO


SPECS = {
    "784-256-2": Spec(784, (256,), 2, "relu", 100, 200, "mnist"),
    "64-64-2": Spec(64, (64,), 2, "relu", 64, 600, "small"),
    "784-200-200-50": Spec(784, (200, 200), 50, "tanh", 100, 200, "mnist"),
    "784-1000-1000-64": Spec(784, (1000, 1000), 64, "relu", 512, 10, "mnist"),
}

#: The importance-weighted bound with K samples: the model and the batch of Burda et al. (2016).
BOUNDS = {
    f"bound-{samples}": Spec(784, (200, 200), 50, "tanh", 20, 200 if samples < 50 else 40, "mnist", samples)
    for samples in (1, 5, 10, 25, 50)
}


def load(spec: Spec) -> np.ndarray:
    """The rows of a round, float32 in [0, 1]: MNIST, or its embedded part where MNIST is not at hand, repeated.

    "small" are the images cut to their middle 24 x 24 pixels and averaged over squares of 3 x 3.
    """
    from npvae import load_dataset

    try:
        images = load_dataset("mnist").x_train
    except Exception as error:  # offline, without files
        print(f"MNIST is not at hand ({error}): the embedded digits are taken instead", file=sys.stderr)
        images = load_dataset("digits").x_train
    rows = spec.batch * spec.steps
    x = (np.resize(images, (rows, 784)) / 255.0).astype(np.float32)
    if spec.data == "small":
        x = x.reshape(-1, 28, 28)[:, 2:26, 2:26].reshape(-1, 8, 3, 8, 3).mean(axis=(2, 4)).reshape(-1, 64)
    return np.ascontiguousarray(x, dtype=np.float32)


def shapes(spec: Spec) -> list[tuple[int, int]]:
    """Inputs and outputs of every dense layer: encoder, mean, log-variance, decoder, logits."""
    down = [spec.inputs, *spec.hidden]
    up = [spec.latent, *spec.hidden[::-1], spec.inputs]
    heads = [(spec.hidden[-1], spec.latent)] * 2
    return [*zip(down[:-1], down[1:], strict=True), *heads, *zip(up[:-1], up[1:], strict=True)]


def initial_weights(spec: Spec, seed: int = 0) -> list[np.ndarray]:
    """Glorot-uniform weights in the order of :func:`shapes`, float32."""
    generator = np.random.default_rng(seed)
    limit = [np.sqrt(6.0 / sum(shape)) for shape in shapes(spec)]
    return [generator.uniform(-r, r, shape).astype(np.float32) for r, shape in zip(limit, shapes(spec), strict=True)]
