"""What of an estimator goes into its file, and back."""

from __future__ import annotations

import math

import numpy as np

from npvae import backend as backends
from npvae import check, io, likelihoods, registry
from npvae.errors import InputError, ModelFileError, NpvaeError
from npvae.training.history import History
from npvae.training.settings import BINARIZE


def save(estimator, path) -> None:
    """Write a fitted estimator: its parameters, its architecture, and what it does to data before and after.

    NotFittedError: it is not fitted. InputError: its likelihood is not a known one. OSError: it cannot be written.
    """
    io.save(path, "model", *describe(estimator))


def load(cls, path, backend):
    """The estimator of a file, ready to use on ``backend``.

    FileNotFoundError: no such file. ModelFileError: damaged, of another kind or version, or incomplete.
    """
    header, arrays = io.load(path, "model")
    try:
        return restore(cls, header, arrays, backend)
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from error
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError, NpvaeError) as error:
        raise ModelFileError(f"{path} lacks or contradicts what a model must hold: {error!r}") from error


def describe(estimator) -> tuple[dict, dict]:
    """``(header, arrays)`` of a fitted estimator's file; errors as :func:`save`."""
    estimator._check_fitted()
    likelihood = estimator.model_.likelihood
    if not _can_be_read_again(likelihood):
        raise InputError(
            f"the likelihood {likelihood!r} is not one of npvae.likelihoods.KNOWN: its file could not be read again"
        )
    more, arrays = estimator._more_for_file()
    header = {
        "estimator": type(estimator).__name__,
        "architecture": estimator.model_.architecture.config(),
        "parameters": registry.plain({**estimator.get_params(deep=False), **_fitted_arguments(estimator)}),
        "seed": estimator.seed_,
        "sample_shape": list(estimator.sample_shape_),
        "column_names": list(getattr(estimator, "feature_names_in_", [])) or None,
        "stop_reason": estimator.stop_reason_,
        "best_epoch": estimator.best_epoch_,
        "history": estimator.history_.columns(),
        **more,
    }
    return header, {"theta": estimator.theta_, **arrays}


def restore(cls, header: dict, arrays: dict, backend):
    """The estimator that :func:`describe` described. ModelFileError, and what other errors a header of another form leads to."""
    ops = backends.get(backend)
    if header["estimator"] != cls.__name__:
        raise ModelFileError(f"it holds a {header['estimator']}, not a {cls.__name__}")
    estimator = cls(**{**header["parameters"], "backend": backend, "threads": None})
    model = cls._model_type(cls._architecture_type.from_config(header["architecture"]), ops)
    estimator.sample_shape_ = tuple(header["sample_shape"])
    estimator.n_features_in_ = math.prod(estimator.sample_shape_)
    estimator._restore_more(header, arrays, backend)
    columns, features = estimator._widths_of(model)
    if estimator.n_features_in_ != features:
        raise ModelFileError(f"sample_shape {estimator.sample_shape_} does not have the model's features")
    if estimator.build_architecture(columns).config() != model.architecture.config():
        raise ModelFileError("its parameters describe another architecture than the one it states")
    theta = arrays["theta"]
    if theta.shape != (model.layout.size,) or str(theta.dtype) != estimator.dtype:
        raise ModelFileError(
            f"theta is {theta.dtype} of shape {theta.shape}; the model needs {estimator.dtype} of shape ({model.layout.size},)"
        )
    if not np.isfinite(theta).all():
        raise ModelFileError("the parameters are not all finite")
    estimator.model_ = model
    estimator.theta_ = theta
    estimator.history_ = History(header["history"])
    estimator.seed_ = check.whole_number("seed", header["seed"], 0)
    estimator.stop_reason_ = header["stop_reason"]
    estimator.best_epoch_ = header["best_epoch"]
    estimator.divide_by_ = check.real_number("divide_by", header["parameters"]["divide_by"], above=0.0)
    estimator.binarize_ = check.one_of("binarize", header["parameters"]["binarize"], BINARIZE)
    names = header["column_names"]
    if names and len(names) != estimator.n_features_in_:
        raise ModelFileError(f"{len(names)} column names for {estimator.n_features_in_} features")
    estimator._set_feature_names(names or None)
    return estimator


def within(name: str, arrays: dict) -> dict:
    """Arrays of a model inside another's file, under names that begin with its own."""
    return {f"{name}/{key}": array for key, array in arrays.items()}


def taken_out(name: str, arrays: dict) -> dict:
    """The inverse of :func:`within`, of all arrays of a file."""
    return {key.removeprefix(f"{name}/"): array for key, array in arrays.items() if key.startswith(f"{name}/")}


def _can_be_read_again(likelihood) -> bool:
    """Whether the likelihood's configuration makes an equal one: a table may hold others that nobody knows."""
    try:
        return likelihoods.get(registry.to_config(likelihood)) == likelihood
    except NpvaeError:
        return False


def _fitted_arguments(estimator) -> dict:
    """The arguments that decide what the model does to data, as they were when it was fitted."""
    arguments = estimator.get_params(deep=False)
    built = {name: value for name, value in estimator.model_.architecture.config().items() if name in arguments}
    return {
        "divide_by": estimator.divide_by_, "binarize": estimator.binarize_, "dtype": str(estimator.theta_.dtype), **built,
    }
