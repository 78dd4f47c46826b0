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
    mu, logvar = vae.encode(x)
    vae.inverse_transform(mu)
    vae.reconstruct(x, sample=True, random_state=0)
    vae.impute(x, 2, samples=10)
    vae.elbo(x, draws=2)
    print(vae.log_likelihood(x, samples=10).mean, vae.score_samples(x).max(), vae.get_params()["latent_dim"])
    VAE.load("m.npz").set_params(threads=1).score(x)
    semi_supervised = SemiSupervisedVAE(epochs=1).fit(x, labels)
    semi_supervised.predict(x)
    semi_supervised.predict_log_proba(x).argmax(axis=1)
    semi_supervised.encode(x, labels)
    semi_supervised.analogies(x)
    features = LatentClassifier(VAE(epochs=1), SoftmaxRegression())
    features.fit_transform(x, labels)
    features.fit(x, labels).predict_proba(x)
    features.predict(x)
    SoftmaxRegression().fit(x, labels).score(x, labels)
    imputer = TableImputer(epochs=1).set_output(transform="pandas").fit(x)
    imputer.transform(x)
    imputer.sample(3)
    imputer.impute({"a": [1.0, None]}, 2).interval(0.9)
    detector = OutlierVAE(epochs=1).fit(x)
    detector.score_samples(x)
    detector.predict(x)
    print(detector.explain(x).largest)


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
