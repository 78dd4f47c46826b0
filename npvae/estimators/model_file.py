"""What of an estimator goes into its file, and back."""

from __future__ import annotations

import math

import numpy as np

from npvae import backend as backends
from npvae.data.tables.schema import UNSEEN
from npvae.errors import InputError, ModelFileError, NpvaeError
from npvae.estimators import inputs
from npvae.estimators.preparation import OUTPUT_BIAS_OR_AUTO
from npvae.mathematics import encoder_view, kl_warmup, likelihoods, objectives, optimizers, schedules
from npvae.mathematics.layers import activations, initial
from npvae.support import npz_file, registry
from npvae.support.fields import Anything, Built, Either, Flag, ListOf, Maybe, OneOf, Real, Record, Text, Whole, shown
from npvae.training import declared
from npvae.training.history import History
from npvae.training.settings import BINARIZE


def _built(what: str, get) -> Maybe:
    """The configuration of one of npvae's own; null for somebody else's, which no file can name."""
    return Maybe(Built(what, get, Anything()))


#: The arguments of estimators.
ARGUMENTS = {
    "latent_dim": Maybe(Whole(1)),
    "hidden": Maybe(Either(Whole(1), declared.WIDTHS)),
    "decoder_hidden": Maybe(Either(Whole(1), declared.WIDTHS)),
    "classifier_hidden": Maybe(Either(Whole(1), declared.WIDTHS)),
    "activation": Maybe(OneOf(activations.NAMES)),
    "missing": Either(Flag(), ListOf(Either(Text(), Real()))),
    "linear_path": Maybe(Flag()),
    "likelihood": Either(OneOf(("auto",)), declared.Configuration()),
    "kinds": Maybe(Anything()),
    "ignore": Maybe(Anything()),
    "unseen": OneOf(UNSEEN),
    "objective": _built("an objective", objectives.get),
    "beta": Real(minimum=0.0),
    "kl_warmup": _built("a warm-up of the KL term", kl_warmup.get),
    "optimizer": _built("an optimizer", optimizers.get),
    "learning_rate": Maybe(Real(above=0.0)),
    "schedule": _built("a learning-rate schedule", schedules.get),
    "clip_norm": Maybe(Real(above=0.0)),
    "batch_size": Maybe(Whole(1)),
    "epochs": Maybe(Whole(1)),
    "validation_fraction": Maybe(Real(minimum=0.0, maximum=1.0)),
    "patience": Maybe(Whole(1)),
    "min_delta": Real(minimum=0.0),
    "binarize": OneOf(BINARIZE),
    "initial_weights": OneOf(initial.RULES),
    "output_bias": OneOf(OUTPUT_BIAS_OR_AUTO),
    "divide_by": Real(above=0.0),
    "backend": Maybe(Either(Text(100, plain=True), declared.Configuration())),
    "threads": Maybe(Whole(1)),
    "dtype": OneOf(inputs.DTYPES),
    "random_state": Maybe(Whole(0)),
    "verbose": Anything(1),
    "features": Maybe(Text(0)),
    "alpha": Real(minimum=0.0),
    "classes": Maybe(ListOf(declared.LABEL)),
    "class_prior": Maybe(Either(OneOf(("labels",)), ListOf(Real(above=0.0)))),
    "standardize": Flag(),
    "contamination": Real(above=0.0, maximum=0.5),
    "support_fraction": Real(above=0.0, maximum=1.0),
    "samples": Whole(1),
}


def declaration(cls) -> Record:
    """The header of a file of this class of estimator; beside what every one has, what the class says of itself."""
    names = [*cls._parameter_defaults()]
    arguments = Record(
        {name: ARGUMENTS[name] for name in names if name not in cls.later_arguments},
        {name: ARGUMENTS[name] for name in names if name in cls.later_arguments},
    )
    return Record(
        {
            "estimator": OneOf((cls.__name__,)),
            "architecture": Record({**declared.ARCHITECTURE, **cls._more_architecture}, declared.ARCHITECTURE_OPTIONS),
            "parameters": arguments,
            "seed": declared.SEED,
            "sample_shape": ListOf(Whole(1), shortest=1, longest=32),
            "column_names": declared.COLUMN_NAMES,
            "stop_reason": declared.REASON,
            "best_epoch": Maybe(Whole(1)),
            "history": declared.HISTORY,
            **cls._more_header,
        },
        {"trained_on": declared.TRAINED_ON, "encoder_view": encoder_view.DECLARATION, **cls._header_options},
    )


def save(estimator, path) -> None:
    """Write a fitted estimator: its parameters, its architecture, and what it does to data before and after.

    NotFittedError: it is not fitted. InputError: its likelihood is not a known one. OSError: it cannot be written.
    """
    header, arrays = describe(estimator)
    npz_file.save(path, "model", header, arrays, declaration(type(estimator)))


def load(cls, path, backend, threads=None):
    """The estimator of a file, ready to use on ``backend``.

    FileNotFoundError: no such file. ModelFileError: damaged, of another kind or version, or incomplete.
    """
    backends.for_use(backend, threads)  # refuses what cannot run here; later that would be the file's fault
    header, arrays = npz_file.load(path, "model", declaration(cls), cls.__name__)
    with refusing(path):
        return restore(cls, header, arrays, backend, threads)


class refusing:
    """What was read from a file contradicts itself: an InputError inside becomes a ModelFileError that names the
    file.
    """

    def __init__(self, path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind, error, traceback) -> None:
        if isinstance(error, ModelFileError):
            raise ModelFileError(f"{self._path}: {error}") from None
        if isinstance(error, (InputError, TypeError)) and isinstance(error, NpvaeError):
            raise ModelFileError(f"{self._path} contradicts itself: {str(error)[:500]}") from error


def describe(estimator) -> tuple[dict, dict]:
    """``(header, arrays)`` of a fitted estimator's file; errors as :func:`save`."""
    estimator._check_fitted()
    likelihood = estimator.model_.likelihood
    if not likelihoods.is_known(likelihood):
        raise InputError(
            f"the likelihood {likelihood!r} is not known by its name, so that its file could not be read again: "
            f"call npvae.likelihoods.register({likelihoods.unknown_kinds(likelihood)}) and save again"
        )
    more, arrays = estimator._more_for_file()
    header = {
        "estimator": type(estimator).__name__,
        "architecture": estimator.model_.architecture.config(),
        "parameters": _arguments(estimator),
        "seed": estimator.seed_,
        "sample_shape": list(estimator.sample_shape_),
        "column_names": list(getattr(estimator, "feature_names_in_", [])) or None,
        "stop_reason": declared.plain_reason(estimator.stop_reason_),
        "best_epoch": estimator.best_epoch_,
        "history": estimator.history_.columns(),
        **more,
    }
    if getattr(estimator, "trained_on_", None) is not None:
        header["trained_on"] = estimator.trained_on_
    header |= estimator._describe_view()
    return header, {"theta": estimator.theta_, **arrays}


def restore(cls, header: dict, arrays: dict, backend, threads=None):
    """The estimator that :func:`describe` described, of a header that is as declared. InputError, among them
    ModelFileError: what it holds does not fit together.
    """
    ops = backends.for_use(backend, threads)
    theta = arrays.get("theta")
    if theta is None or theta.ndim != 1:
        raise ModelFileError("it needs the parameters theta, one axis")
    estimator = cls(**{**header["parameters"], "backend": backend, "threads": threads})
    architecture = declared.build_architecture(cls._architecture_type, header["architecture"], theta.size)
    estimator.sample_shape_ = tuple(header["sample_shape"])
    estimator.n_features_in_ = math.prod(estimator.sample_shape_)
    estimator._restore_more(header, arrays, backend, threads)
    if estimator.n_features_in_ != estimator._widths_of(architecture)[1]:
        raise ModelFileError(f"sample_shape {estimator.sample_shape_} does not have the model's features")
    if not estimator.is_described(architecture):
        raise ModelFileError("its parameters describe another architecture than the one it states")
    estimator.encoder_view_ = estimator._restore_view(header, architecture)
    model = cls._model_type(architecture, ops)
    if theta.size != model.layout.size or str(theta.dtype) != estimator.dtype:
        raise ModelFileError(
            f"theta is {theta.dtype} of shape {theta.shape}; the model needs {estimator.dtype} of shape "
            f"({model.layout.size},)"
        )
    if not np.isfinite(theta).all():
        raise ModelFileError("the parameters are not all finite")
    names = header["column_names"]
    if names and len(names) != estimator.n_features_in_:
        raise ModelFileError(f"{len(names)} column names for {estimator.n_features_in_} features")
    history = header["history"]
    declared.check_latent_dim(history, architecture.latent_dim)
    if (header["best_epoch"] or 0) > len(history.get("epoch", ())):
        raise ModelFileError(f"its best epoch {header['best_epoch']} is none of its history")
    estimator.model_, estimator.theta_, estimator.history_ = model, theta, History(history)
    estimator.seed_, estimator.stop_reason_, estimator.best_epoch_ = (
        header["seed"],
        header["stop_reason"],
        header["best_epoch"],
    )
    estimator.divide_by_ = float(header["parameters"].get("divide_by", 1.0))
    estimator.binarize_ = header["parameters"].get("binarize", "none")
    estimator._set_feature_names(names or None)
    if header.get("trained_on") is not None:
        estimator.trained_on_ = header["trained_on"]
    return estimator


def refuse_other_arrays(arrays: dict, names) -> None:
    """ModelFileError: the arrays are not those of these names."""
    for name in sorted(arrays.keys() ^ set(names)):
        raise ModelFileError(f"the array {shown(name)} " + ("is of no use to it" if name in arrays else "is missing"))


def _arguments(estimator) -> dict:
    """The constructor's arguments as a file holds them."""
    arguments = registry.plain({**estimator.get_params(deep=False), **estimator.arguments_as_fitted()})
    for name in ("objective", "kl_warmup", "optimizer", "schedule"):  # somebody's own cannot be made again of its name
        try:
            if name in arguments:
                ARGUMENTS[name].read(name, arguments[name])
        except InputError:
            arguments[name] = None
    return {**arguments, "features": None} if "features" in arguments else arguments
