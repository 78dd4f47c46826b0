"""The defaults of what people call, written out: whoever leaves an argument away gets these, and no change of one goes by unseen."""

from __future__ import annotations

import importlib
import inspect

import pytest

TRAINED = {"beta": 1.0, "kl_warmup": 0, "learning_rate": 1e-3, "schedule": "constant", "clip_norm": None, "batch_size": 100,
           "validation_fraction": 0.0, "patience": None, "min_delta": 0.0, "binarize": "none", "initial_weights": "glorot",
           "output_bias": "zero", "divide_by": 1.0, "backend": "auto", "threads": None, "dtype": "float32", "random_state": None,
           "verbose": False}
CHECKPOINTS = {"callbacks": (), "checkpoint": None, "checkpoint_seconds": 10.0, "resume": False}

DEFAULTS = {
    "estimator:VAE": {"latent_dim": 2, "hidden": (256,), "decoder_hidden": None, "activation": "relu", "missing": False,
                      "linear_path": False, "likelihood": "bernoulli", "objective": "elbo", "optimizer": "rmsprop", "epochs": 50, **TRAINED},
    "estimator:VAE.fit": CHECKPOINTS,
    "fitted:FittedVAE.reconstruct": {"sample": False}, "fitted:FittedVAE.sample": {"n": 1, "mean": True},
    "fitted:FittedVAE.impute": {"draws": 0, "method": "auto", "samples": 1000, "steps": 200, "warm_up": 50, "chains": 1, "proposals": 10},
    "fitted:FittedVAE.elbo": {"draws": 1}, "fitted:FittedVAE.score_samples": {"samples": 100},
    "fitted:FittedVAE.log_likelihood": {"samples": 5000, "at_once": None},
    "semisupervised.estimator:SemiSupervisedVAE": {
        "features": None, "latent_dim": 50, "hidden": (500,), "decoder_hidden": None, "classifier_hidden": None, "activation": "softplus",
        "likelihood": None, "alpha": 1.0, "classes": None, "class_prior": None, "standardize": False, "optimizer": "adam", "epochs": 100,
        **TRAINED,
    },
    "semisupervised.estimator:SemiSupervisedVAE.fit": CHECKPOINTS,
    "semisupervised.estimator:SemiSupervisedVAE.sample": {"label": None, "n": 1, "mean": True},
    "semisupervised.latent_classifier:LatentClassifier": {"features": None, "classifier": None, "samples": 0},
    "semisupervised.softmax_regression:SoftmaxRegression": {"l2": 1e-3},
    "semisupervised.softmax_regression:fit_softmax_regression": {"l2": 1e-3, "iterations": 5000, "tolerance": 1e-7},
    "tables.imputer:TableImputer": {
        "kinds": None, "continuous_likelihood": "gaussian_decoder", "latent_dim": None, "hidden": (128, 128), "members": 5, "samples": 20,
        "learning_rate": 1e-3, "batch_size": 64, "epochs": None, "held_out": 0.1, "every": None, "patience": 6,
        "imputation_samples": 2000, "backend": "auto", "random_state": None, "verbose": False,
    },
    "tables.imputer:TableImputer.impute": {"draws": 0}, "tables.imputer:TableImputation.interval": {"level": 0.9},
    "plots:manifold": {"side": 15, "dimensions": (0, 1)}, "plots:plot_manifold": {"side": 15, "dimensions": (0, 1)},
    "plots:plot_reconstructions": {"columns": 10}, "plots:plot_samples": {"columns": 10}, "plots:plot_classes": {"columns": 10, "mean": None},
    "impute.chains:chain_imputation": {"metropolis": True, "steps": 200, "warm_up": 50, "chains": 1, "proposals": 1, "draws": 0},
    "impute.methods:impute": {"method": "auto", "draws": 0, "samples": 1000, "steps": 200, "warm_up": 50, "chains": 1, "proposals": 10},
    "impute.importance:importance_imputation": {"samples": 1000, "draws": 0},
    "impute.normal:factors": {"iterations": 200, "floor": 0.01}, "impute.normal:fit_normal": {"iterations": None, "ridge": 1e-3},
    "impute.start:start_from": {"center": 0.0, "scale": 1.0},
    "objectives.elbo:ELBO": {"free_bits": 0.0}, "objectives.elbo:value_and_gradient": {"beta": 1.0},
    "objectives.importance_weighted:ImportanceWeighted": {"samples": 5, "estimator": "standard"},
    "objectives.semi_supervised:SemiSupervised": {"classifier_weight": 1.0},
    "evaluate.elbo:elbo_rows": {"draws": 1}, "evaluate.elbo:evaluate_elbo": {"beta": 1.0},
    "evaluate.log_likelihood:log_likelihood": {"samples": 5000}, "evaluate.aggregate_posterior:aggregate_posterior": {"samples": 10_000},
    "evaluate.neighbours:neighbour_accuracy": {"neighbours": 15}, "report:evaluate_model": {"samples": 5000},
    "optim:Adam": {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "initial_accumulator": 0.0},
    "optim:RMSprop": {"rho": 0.9, "epsilon": 1e-7, "epsilon_inside": True, "initial_accumulator": 0.0}, "optim:SGD": {"momentum": 0.0},
    "schedules:Cosine": {"final": 0.0}, "kl_warmup:Cyclic": {"rise": 0.5}, "kl_warmup:Linear": {"epochs": 0.0},
    "gradcheck:check_gradient": {"rtol": 1e-6, "step": None, "seed": 0, "raise_on_failure": True},
    "model:Architecture": {"latent_dim": 2, "hidden": (256,), "activation": "relu", "missing": False, "linear_path": False, "completed": False},
    "model:Model.initial_parameters": {"dtype": "float32", "x": None, "rule": "glorot"},
    "likelihoods.gaussian_fixed:Gaussian": {"variance": 0.5}, "likelihoods.gaussian_learned:GaussianDecoder": {"floor": 1e-3},
    "likelihoods.student_t:StudentT": {"floor": 1e-3, "smallest": 2.0}, "likelihoods.categorical:Categorical": {"sizes": None},
    "training.settings:TrainingSettings": {
        "epochs": 50, "batch_size": 100, "learning_rate": 1e-3, "beta": 1.0, "clip_norm": None, "patience": None, "min_delta": 0.0,
        "binarize": "none", "initial_weights": "glorot", "output_bias": "zero", "noisy_features": False,
    },
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_defaults(name):
    module, _, path = name.partition(":")
    thing = importlib.import_module(f"npvae.{module}")
    for part in path.split("."):
        thing = getattr(thing, part)
    found = {each.name: each.default for each in inspect.signature(thing).parameters.values()}
    wanted = DEFAULTS[name]
    assert {key: found.get(key, "no such argument") for key in wanted} == wanted
