"""The steps of ``npvae classify``: which leave the fewest training rows without a label in a wrong class.

    python benchmarks/classify_steps.py [--seeds 0 1]

The embedded digits with 200 labels, by M2 on pixels and by M1 with softmax regression, widths and epochs as the
command's; and scikit-learn's 8 x 8 digits with 50 labels, standardised, by M2 with the Gaussian whose variance the
decoder gives. Labels are class-balanced; the seed is that of their choice and of training. No test row is looked at.
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np
from sklearn.datasets import load_digits

from npvae import VAE, LatentClassifier, SemiSupervisedVAE, load_dataset
from npvae.errors import PosteriorCollapseWarning
from npvae.estimators.semisupervised.labels import balanced_choice

STEPS = {
    "0.001, constant, 100": {"learning_rate": 1e-3, "schedule": "constant", "batch_size": 100},
    "0.003, cosine, 100": {"learning_rate": 3e-3, "schedule": "cosine", "batch_size": 100},
    "0.002, cosine, 50": {"learning_rate": 2e-3, "schedule": "cosine", "batch_size": 50},
    "0.003, cosine, 50": {"learning_rate": 3e-3, "schedule": "cosine", "batch_size": 50},
}
COMMON = {"latent_dim": 50, "hidden": (500,), "epochs": 50, "activation": "softplus", "optimizer": "adam"}


def m2(seed, steps):
    return SemiSupervisedVAE(divide_by=255, random_state=seed, **COMMON, **steps)


def m1(seed, steps):
    return LatentClassifier(
        VAE(likelihood="bernoulli", divide_by=255, binarize="dynamic", random_state=seed, **COMMON, **steps)
    )


def gaussian(seed, steps):
    return SemiSupervisedVAE(standardize=True, random_state=seed, **COMMON, **steps)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    options = parser.parse_args()
    warnings.simplefilter("ignore", PosteriorCollapseWarning)
    embedded, small = load_dataset("digits"), load_digits()
    cases = {
        "M2, embedded digits, 200 labels": (m2, embedded.x_train, embedded.y_train, 200),
        "M1, embedded digits, 200 labels": (m1, embedded.x_train, embedded.y_train, 200),
        "M2, 8 x 8 digits, Gaussian, 50 labels": (gaussian, small.data, small.target, 50),
    }
    print(
        "error of the unlabelled training rows, %; rate, schedule, batch | seeds " + ", ".join(map(str, options.seeds))
    )
    for name, (model, x, truth, count) in cases.items():
        truth = truth.astype(np.int64)
        for label, steps in STEPS.items():
            errors = []
            for seed in options.seeds:
                y = balanced_choice(truth, count, seed)
                unlabelled = y < 0
                errors.append(100.0 * (1.0 - model(seed, steps).fit(x, y).score(x[unlabelled], truth[unlabelled])))
            print(f"{name:<38} {label:<22} " + ", ".join(f"{error:.1f}" for error in errors), flush=True)


if __name__ == "__main__":
    main()
