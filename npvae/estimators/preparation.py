"""From an estimator's arguments and a user's data to a run that can start: everything is checked here."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from npvae import backend as backends
from npvae.errors import DataScaleWarning, InputError, UnregisteredLikelihoodWarning
from npvae.estimators import inputs
from npvae.mathematics import likelihoods, random
from npvae.mathematics.encoder_view import EncoderView
from npvae.mathematics.likelihoods.base import column_label, refuse_outside
from npvae.mathematics.model import Model
from npvae.support import check
from npvae.support.memory_need import refuse_large_model
from npvae.training.settings import OUTPUT_BIAS, TrainingSettings

#: Data whose root mean square is above this draw a warning.
LARGEST_SCALE = 20.0
#: An estimator's ``output_bias``: one of training's, or "auto", which is "data" for likelihoods of counts, "zero" for
#: others.
OUTPUT_BIAS_OR_AUTO = ("auto", *OUTPUT_BIAS)


@dataclass(frozen=True)
class Run:
    """What training needs, and what of the data the estimator remembers."""

    settings: TrainingSettings
    model: Model
    x: np.ndarray  #: (N, data columns), to train on
    x_valid: np.ndarray | None  #: (M, data columns), to validate on
    sample_shape: tuple[int, ...]
    column_names: list[str] | None
    encoder_view: (
        EncoderView | None
    )  #: what makes rows of the model, or something else with its ``beside``; None: rows are as they are
    rows: Any  #: what read and scaled them: see :meth:`npvae.estimators.base.Estimator.rows_for_training`


def prepare(estimator, X, X_valid=None, labels=None, labels_valid=None) -> Run:
    """The run that the arguments and the data describe, validation rows held out.

    labels, labels_valid: whole numbers, one a row, for a model whose rows end in a label.
    InputError, InputTypeError, UnknownNameError: an argument or the data are not what they must be.
    """
    settings, by = training_settings(estimator), estimator.rows_for_training()
    rows = by.read_rows(X, "X")
    x, x_valid = rows.values, None
    if X_valid is not None:
        x_valid = by.read_rows(X_valid, "X_valid", math.prod(rows.sample_shape)).values
    elif (parts := by.held_out_rows(x, settings.seed)) is not None:
        x, x_valid = (x[part] for part in parts)
        x_valid = x_valid if len(x_valid) else None
        if labels is not None:
            labels, labels_valid = (labels[part] for part in parts)
    if settings.patience is not None and x_valid is None:
        raise InputError("patience needs validation data: set validation_fraction, or give X_valid")
    if estimator.missing:
        refuse_empty_columns(x, rows.column_names)
    by.learn_scale(x)
    x, x_valid = by.scaled(x), None if x_valid is None else by.scaled(x_valid)
    model, settings = by.choose_model(settings, x, x_valid, backends.get(estimator.backend, estimator.threads))
    features = model.architecture.n_features
    if estimator.output_bias == "auto" and model.likelihood.count_columns(features).any():
        settings = replace(settings, output_bias="data")
    refuse_large_model(model, x.dtype.itemsize)
    for values in (x, x_valid):
        if values is not None:
            _check_values(model, settings, values[:, :features], rows.column_names)
    settings.objective.check_memory(model, min(settings.batch_size, len(x)), x.dtype.itemsize)
    _warn_of_unknown(model.likelihood)
    view = by.learn_view(model, x)
    if view is not None:
        x, x_valid = view.beside(x), None if x_valid is None else view.beside(x_valid)
    _warn_of_scale(x if view is None else x[:, features:])
    if labels is not None:
        x = with_labels(x, labels)
        x_valid = None if x_valid is None else with_labels(x_valid, labels_valid)
    return Run(settings, model, x, x_valid, rows.sample_shape, rows.column_names, view, by)


def with_labels(x: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Rows that end in their labels."""
    return np.concatenate([x, labels.astype(x.dtype)[:, None]], axis=1)


def _check_values(model: Model, settings: TrainingSettings, values: np.ndarray, column_names) -> None:
    """InputError: the features are not what is binarised, or not what the likelihood takes."""
    if settings.binarize != "none":
        refuse_outside(values, 0.0, 1.0, "to binarize", "scale the data, or leave binarize='none'", column_names)
    if column_names is not None and len(column_names) != values.shape[1]:
        column_names = None  # of a table's columns, some of which are several features
    model.likelihood.check_data(values, column_names)


def training_settings(estimator) -> TrainingSettings:
    """The estimator's arguments about training, checked; the seed drawn if there is none."""
    check.one_of("dtype", estimator.dtype, inputs.DTYPES)
    check.real_number("divide_by", estimator.divide_by, above=0.0)
    check.one_of("output_bias", estimator.output_bias, OUTPUT_BIAS_OR_AUTO)
    check.real_number("validation_fraction", estimator.argument("validation_fraction"), minimum=0.0, below=1.0)
    names = (
        "epochs",
        "batch_size",
        "learning_rate",
        "optimizer",
        "schedule",
        "beta",
        "kl_warmup",
        "clip_norm",
        "patience",
        "min_delta",
        "binarize",
        "initial_weights",
        "output_bias",
        "objective",
        "noisy_features",
    )
    arguments = {name: estimator.argument(name) for name in names}
    if estimator.output_bias == "auto":
        arguments["output_bias"] = "zero"
    return TrainingSettings(seed=random.seed_from(estimator.random_state), **arguments)


def refuse_empty_columns(x: np.ndarray, column_names) -> None:
    """InputError naming the first column of which nothing is observed."""
    empty = np.isnan(x).all(axis=0)
    if empty.any():
        label = column_label(int(np.argmax(empty)), column_names)
        raise InputError(f"{label} of X holds nothing but NaN: nothing can be learnt of it; remove it first")


def _warn_of_unknown(likelihood) -> None:
    """A model whose likelihood no file can name is trained, but cannot be saved: better said before than after."""
    if not likelihoods.is_known(likelihood):
        kind = likelihoods.unknown_kinds(likelihood)
        warnings.warn(
            f"this model cannot be saved: its likelihood {likelihood!r} is not known by its name; to change that, call "
            f"npvae.likelihoods.register({kind})",
            UnregisteredLikelihoodWarning,
            stacklevel=4,
        )


def _warn_of_scale(x: np.ndarray) -> None:
    """Of what the encoder sees: initial weights suit data of about unit size; far above it the first losses are
    astronomic.
    """
    size = np.sqrt(np.nanmean(np.square(x, dtype=np.float64)))
    if size > LARGEST_SCALE:
        warnings.warn(
            f"the data are of the size {size:.3g} (root mean square); a network trains badly on them: divide them, "
            "with divide_by, or standardise their columns first",
            DataScaleWarning,
            stacklevel=4,
        )
