"""A program of a user, which touches every public name: mypy --strict finds nothing in it (tests/test_types.py). It
is not run.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import npvae
from npvae import (
    VAE,
    Architecture,
    LatentClassifier,
    Model,
    OutlierVAE,
    SemiSupervisedVAE,
    SoftmaxRegression,
    TableImputer,
    TrainingSettings,
    backend,
    check_gradient,
    likelihoods,
    load_dataset,
    load_file,
    negative_elbo,
    numerical_gradient,
    optim,
    plots,
    random,
    read_table,
    train,
    value_and_gradient,
)


def models(x: NDArray[np.float64], labels: NDArray[np.int64]) -> None:
    """Estimators."""
    vae = VAE(latent_dim=2, epochs=3).fit(x)
    vae.transform(x)
    vae.sample(5)
    vae.save("m.npz")
    VAE.load("m.npz").score(x)
    SemiSupervisedVAE(epochs=1).fit(x, labels).predict(x)
    LatentClassifier(VAE(epochs=1), SoftmaxRegression()).fit(x, labels).predict_proba(x)
    SoftmaxRegression().fit(x, labels).predict(x)
    TableImputer(epochs=1).fit(x).transform(x)
    OutlierVAE(epochs=1).fit(x).score_samples(x)


def parts(x: NDArray[np.float64]) -> float:
    """The model, its loss and its training by hand."""
    ops = backend.get("numpy")
    model = Model(Architecture(x.shape[1], latent_dim=2), ops)
    settings = TrainingSettings(seed=0, epochs=1)
    state = train(model, settings, x)
    likelihoods.get("bernoulli")
    optim.Adam()
    eps = random.normal(0, "latent noise", 0, (len(x), 2), "float64")
    terms, backward = negative_elbo(model, state.theta, x, eps)
    backward()
    value_and_gradient(model, state.theta, x, eps)
    numerical_gradient(lambda theta: float(theta @ theta), [np.ones(3)])
    check_gradient(lambda theta: float(theta @ theta), [np.ones(3)])
    return float(terms.loss)


def files(path: Path) -> str:
    """Data and pictures."""
    data = load_dataset("digits")
    load_file(path)
    read_table(path).to_dict()
    plots.image_shape((8, 8))
    return f"{npvae.__version__} {data.name}"
