"""The semi-supervised models whose training steps are compared, their data and their first parameters.

Importing this adds them to ``SPECS``, where ``worker.py`` looks a competitor's model up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from peers.spec import SPECS

RATE, BETAS, EPSILON = 1e-3, (0.9, 0.999), 1e-8

#: Steps of an epoch over MNIST's 50,000 training rows.
EPOCH_STEPS = 500

#: The least variance that npvae's Gaussian decoder gives.
FLOOR = 1e-3


@dataclass(frozen=True)
class M2Spec:
    """M2 with one hidden layer in encoder, decoder and classifier, softplus, all classes alike a priori.

    Of a batch's rows ``labelled`` have a label: 1,000 of 50,000 are 2 of 100. weight: of the classifier's term. noisy:
    features are drawn anew every step, from means and deviations.
    """

    inputs: int
    likelihood: str
    noisy: bool
    steps: int  #: a round's steps; few enough that turns of a second are possible
    device: str = "cpu"
    classes: int = 10
    latent: int = 50
    hidden: int = 500
    batch: int = 100
    labelled: int = 2
    weight: float = 5.0
    data: str = "mnist"  #: what ``spec.load`` reads for ``worker.py``


M2_SPECS = {
    "m2": M2Spec(784, "bernoulli", noisy=False, steps=20),
    "m1m2": M2Spec(21, "gaussian_decoder", noisy=True, steps=50),
}
#: On a GPU an epoch is as long as in earnest: npvae and JAX run ahead of the device, and wait for it once an epoch.
M2_SPECS |= {f"{name}-gpu": replace(spec, device="gpu", steps=EPOCH_STEPS) for name, spec in M2_SPECS.items()}
SPECS.update(M2_SPECS)


def rows(spec: M2Spec, images: np.ndarray) -> np.ndarray:
    """The rows of a round as npvae takes them: features (means and deviations if ``noisy``), and last the label, -1 for
    none.

    images: pixels, (N, 784), in place of which a noisy model gets random numbers of the size of latent features.
    """
    count, generator = spec.batch * spec.steps, np.random.default_rng(0)
    features, labels = images, generator.integers(0, spec.classes, count)
    if spec.noisy:
        means, deviations = (
            generator.normal(0.0, 0.9, (count, spec.inputs)),
            generator.uniform(0.1, 0.5, (count, spec.inputs)),
        )
        features = np.concatenate([means, deviations], axis=1)
    else:
        labels = np.resize(digits(), count).astype(np.int64)  # bytes know no -1
    known = np.arange(count) % (spec.batch // spec.labelled) == 0
    return np.concatenate([features, np.where(known, labels, -1)[:, None]], axis=1).astype(np.float32)


def digits() -> np.ndarray:
    """The labels of the images that ``spec.load`` reads."""
    from npvae import load_dataset

    try:
        return load_dataset("mnist").y_train
    except Exception:  # load has said so
        return load_dataset("digits").y_train


def model(spec: M2Spec, backend: str = "numpy"):
    """npvae's model."""
    from npvae import backend as backends
    from npvae.estimators.semisupervised import SemiSupervisedArchitecture, SemiSupervisedModel

    architecture = SemiSupervisedArchitecture(
        spec.inputs,
        spec.latent,
        (spec.hidden,),
        activation="softplus",
        likelihood=spec.likelihood,
        n_classes=spec.classes,
    )
    return SemiSupervisedModel(architecture, backends.get(backend))


def initial(spec: M2Spec) -> dict[str, np.ndarray]:
    """npvae's initial tensors by their names, float32: where all competitors start."""
    each = model(spec)
    return each.views(each.initial_parameters(0))


def split(spec: M2Spec, tensors: dict) -> dict:
    """The tensors with each matrix that sees a class in two: NAME/W for the rest of its input, NAME/Wy, a row a
    class.
    """
    found = dict(tensors)
    for name, width in (("encoder/0", spec.inputs), ("decoder/0", spec.latent)):
        found[f"{name}/W"], found[f"{name}/Wy"] = tensors[f"{name}/W"][:width], tensors[f"{name}/W"][width:]
    return found


def problem(spec: M2Spec):
    """``(tensors, x, labels, eps)`` at which losses are compared: biases are not 0, the labelled rows come first."""
    generator = np.random.default_rng(1)
    tensors = {
        name: (value + 0.05 * generator.standard_normal(value.shape)).astype(np.float32)
        for name, value in initial(spec).items()
    }
    x = (
        generator.normal(0.0, 1.0, (spec.batch, spec.inputs))
        if spec.noisy
        else generator.random((spec.batch, spec.inputs))
    )
    labels = generator.integers(0, spec.classes, spec.labelled)
    eps = generator.standard_normal((spec.batch, spec.latent))
    return tensors, x.astype(np.float32), labels, eps.astype(np.float32)
