"""The bits of 100 training steps of every kind of model, on every backend that runs here.

    python benchmarks/bits.py

Small models on made-up data, one thread, each trained by its estimator from a fixed seed. What is kept is a hash of the
parameters, in the dtype that they were trained in: a change of the code that is meant to change no number changes none.
They are comparable on one machine alone: processors and BLAS libraries round differently.
"""

from __future__ import annotations

import hashlib
import json
import warnings

import numpy as np

from npvae import VAE, LatentClassifier, SemiSupervisedVAE, TableImputer, backend

STEPS, BATCH, ROWS, FEATURES = 100, 20, 200, 12

#: Ten steps an epoch, the last of them short of rows.
COMMON = {"batch_size": BATCH, "epochs": STEPS * BATCH // ROWS, "threads": 1, "random_state": 5}


def data() -> dict[str, np.ndarray]:
    """Rows for every likelihood, by what they are."""
    rng = np.random.default_rng(11)
    latent = rng.standard_normal((ROWS - 3, 2))
    real = latent @ rng.standard_normal((2, FEATURES)) + 0.3 * rng.standard_normal((ROWS - 3, FEATURES))
    grey = 1.0 / (1.0 + np.exp(-real))
    return {
        "real": real,
        "grey": grey,
        "binary": (grey > 0.5).astype(float),
        "counts": rng.poisson(np.exp(0.5 * real)).astype(float),
        "words": rng.multinomial(30, np.full(FEATURES, 1.0 / FEATURES), ROWS - 3).astype(float),
    }


def models(x):
    """``(name, a function of the backend's name that trains and returns the parameters)``."""

    def vae(rows, **settings):
        def train(name):
            return VAE(2, **{"hidden": (16,), "backend": name, **COMMON, **settings}).fit(rows).theta_

        return train

    likelihoods = {
        "bernoulli": "grey",
        "squared_error": "real",
        "gaussian": "real",
        "gaussian_one_variance": "real",
        "gaussian_per_feature": "real",
        "gaussian_decoder": "real",
        "continuous_bernoulli": "grey",
        "student_t": "real",
        "bounded": "grey",
        "poisson": "counts",
        "negative_binomial": "counts",
        "multinomial": "words",
    }
    objectives = {
        "elbo": "elbo",
        "5 samples": {"name": "importance_weighted", "samples": 5},
        "5 samples, stl": {"name": "importance_weighted", "samples": 5, "estimator": "stl"},
        "5 samples, dreg": {"name": "importance_weighted", "samples": 5, "estimator": "dreg"},
    }
    for objective, specification in objectives.items():
        for likelihood, rows in likelihoods.items():
            yield f"vae {objective} {likelihood}", vae(x[rows], objective=specification, likelihood=likelihood)
    for optimizer, argument in (
        ("adam", {}),
        ("sgd", {}),
        ("sgd", {"momentum": 0.9}),
        ("rmsprop", {"epsilon_inside": True}),
    ):
        specification = {"name": optimizer, **argument}
        yield (
            " ".join(["vae", optimizer, *argument]),
            vae(x["grey"], optimizer=specification, learning_rate=0.01, clip_norm=1.0),
        )
    for activation in ("tanh", "softplus"):
        yield f"vae {activation}, float64", vae(x["grey"], activation=activation, hidden=(16, 9), dtype="float64")
    yield "vae binarize, warm-up", vae(x["grey"], binarize="dynamic", kl_warmup=5, schedule="cosine")
    gaps = np.where(np.random.default_rng(3).random(x["real"].shape) < 0.3, np.nan, x["real"])
    yield "vae with missing", vae(gaps, missing=True, likelihood="gaussian_decoder")
    yield (
        "vae with missing, 5 samples",
        vae(gaps, missing=True, likelihood="gaussian_decoder", objective=objectives["5 samples"]),
    )
    y = np.where(np.arange(len(gaps)) < 40, (x["real"][:, 0] > 0).astype(int), -1)

    def semi_supervised(name):
        return SemiSupervisedVAE(None, 2, (16,), backend=name, **COMMON).fit(x["binary"], y).theta_

    def stacked(name):
        features = VAE(3, (16,), backend=name, **COMMON)
        return SemiSupervisedVAE(features, 2, (16,), backend=name, **COMMON).fit(x["binary"], y).theta_

    def classifier(name):
        fitted = LatentClassifier(VAE(3, (16,), backend=name, **COMMON)).fit(x["binary"], y)
        return fitted.features_.theta_

    yield "M1", classifier
    yield "M2", semi_supervised
    yield "M1+M2", stacked

    def imputer(name):
        table = np.column_stack([gaps[:, :6], np.where(np.isnan(gaps[:, 6]), np.nan, x["binary"][:, 6])])
        fitted = TableImputer(
            hidden=(16,),
            members=1,
            epochs=STEPS * 64 // ROWS,
            imputation_samples=20,
            backend=name,
            threads=1,
            random_state=5,
        ).fit(table)
        return fitted.members_[0].theta

    yield "imputer", imputer


def available() -> list[str]:
    """The backends that run here."""
    return [name for name in ("numpy", "numba", "cupy") if backend.reason_against(name) is None]


def hashes(only: str = "") -> dict[str, str]:
    """``"model on backend": hash`` of every model whose name contains ``only``."""
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, train in models(data()):
            if only in name:
                for place in available():
                    theta = np.ascontiguousarray(train(place))
                    found[f"{name} on {place}"] = hashlib.sha256(theta.tobytes()).hexdigest()[:16]
    return found


if __name__ == "__main__":
    print(json.dumps(hashes(), indent=2))
