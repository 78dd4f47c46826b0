"""What of an estimator goes into its file, and back."""

from __future__ import annotations

import numpy as np

from npvae import backend as backends
from npvae import check, io, likelihoods, registry
from npvae.errors import InputError, ModelFileError, NpvaeError
from npvae.model import Architecture, Model
from npvae.training.history import History


def save(estimator, path) -> None:
    """Write a fitted estimator: its parameters, its architecture, and what it does to data before and after.

    NotFittedError: it is not fitted. InputError: its likelihood is not a known one. OSError: it cannot be written.
    """
    estimator._check_fitted()
    likelihood = estimator.model_.likelihood
    if likelihoods.KNOWN.get(likelihood.name) is not type(likelihood):
        raise InputError(
            f"the likelihood {likelihood!r} is not one of npvae.likelihoods.KNOWN: its file could not be read again"
        )
    header = {
        "estimator": type(estimator).__name__,
        "architecture": estimator.model_.architecture.config(),
        "parameters": {name: _plain(value) for name, value in estimator.get_params().items()},
        "seed": estimator.seed_,
        "sample_shape": list(estimator.sample_shape_),
        "column_names": list(getattr(estimator, "feature_names_in_", [])) or None,
        "stop_reason": estimator.stop_reason_,
        "best_epoch": estimator.best_epoch_,
        "history": estimator.history_.columns(),
    }
    io.save(path, "model", header, {"theta": estimator.theta_})


def load(cls, path, backend):
    """The estimator of a file, ready to use on ``backend``.

    FileNotFoundError: no such file. ModelFileError: damaged, of another kind or version, or incomplete.
    """
    header, arrays = io.load(path, "model")
    ops = backends.get(backend)
    try:
        if header["estimator"] != cls.__name__:
            raise ModelFileError(f"{path} holds a {header['estimator']}, not a {cls.__name__}")
        estimator = cls(**{**header["parameters"], "backend": backend})
        model = Model(Architecture.from_config(header["architecture"]), ops)
        theta = arrays["theta"]
        if theta.shape != (model.layout.size,) or str(theta.dtype) != estimator.dtype:
            raise ModelFileError(
                f"{path}: theta is {theta.dtype} of shape {theta.shape}; the model needs {estimator.dtype} "
                f"of shape ({model.layout.size},)"
            )
        if not np.isfinite(theta).all():
            raise ModelFileError(f"{path}: the parameters are not all finite")
        estimator.model_ = model
        estimator.theta_ = theta
        estimator.history_ = History(header["history"])
        estimator.seed_ = check.whole_number("seed", header["seed"], 0)
        estimator.stop_reason_ = header["stop_reason"]
        estimator.best_epoch_ = header["best_epoch"]
        estimator.n_features_in_ = model.architecture.n_features
        estimator.sample_shape_ = tuple(header["sample_shape"])
        if header["column_names"]:
            estimator.feature_names_in_ = np.array(header["column_names"], dtype=object)
    except ModelFileError:
        raise
    except (KeyError, TypeError, AttributeError, NpvaeError) as error:
        raise ModelFileError(f"{path} lacks or contradicts what a model must hold: {error!r}") from error
    return estimator


def _plain(value):
    """A constructor argument as JSON can hold it: objects as their configuration, the backend as its name."""
    if isinstance(value, backends.Ops):
        return value.name
    if hasattr(value, "config") and hasattr(value, "name"):
        return registry.to_config(value)
    if isinstance(value, tuple):
        return list(value)
    if hasattr(value, "item"):  # a NumPy scalar
        return value.item()
    return value if isinstance(value, (str, int, float, bool, list, dict, type(None))) else None
