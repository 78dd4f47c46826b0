"""What every estimator that trains a model shares: training with checkpoints, its file, and data in and out."""

from __future__ import annotations

import contextlib
import math
import os
from typing import Any, TypeVar

import numpy as np

from npvae import backend as backends
from npvae.errors import InputError, InputTypeError, ModelFileError, NonFiniteError, TrainingInterrupted
from npvae.estimators import inputs, model_file, preparation
from npvae.estimators.sklearn_protocol import WHERE, SklearnProtocol
from npvae.mathematics import likelihoods, random
from npvae.mathematics.encoder_view import EncoderView
from npvae.mathematics.model import Architecture, Model
from npvae.support import check
from npvae.support.progress import progress_reporter
from npvae.training import TrainingState, train
from npvae.training.checkpoint import Checkpointer, CheckpointFile, check_resume, data_fingerprints, read_checkpoint
from npvae.training.history import History
from npvae.training.loop import initial_state
from npvae.training.state import FAILED, NOT_FINITE, interruption

E = TypeVar("E", bound="Estimator")


class Estimator(SklearnProtocol):
    """The base of estimators with one trained model; ``fit`` and ``load`` set the attributes that end in an
    underscore.
    """

    # arguments of every subclass, in its constructor or as they are fixed

    likelihood: Any
    dtype: Any
    divide_by: float
    binarize: str
    backend: Any
    threads: int | None
    verbose: bool

    # what a fitted one has

    model_: Model
    theta_: np.ndarray
    encoder_view_: EncoderView | None
    history_: History
    seed_: int
    divide_by_: float
    binarize_: str
    stop_reason_: str | None
    best_epoch_: int | None
    sample_shape_: tuple[int, ...]
    n_features_in_: int

    @property
    def parameters_(self) -> dict:
        """The parameters by name, as views of ``theta_``."""
        self._check_fitted()
        return self.model_.layout.views(np, self.theta_)

    # what a subclass may do in another way: see preparation.py and model_file.py

    #: Arguments of training that a subclass may have in its constructor.
    missing: Any = False
    linear_path: bool | None = False
    objective: Any = "elbo"

    @property
    def noisy_features(self) -> bool:
        """Whether the model is trained on features that are drawn anew at every step."""
        return False

    #: What arguments that are None stand for, by name.
    _defaults: dict = {}

    def argument(self, name: str):
        """A constructor's argument, or what it stands for where it is None."""
        value = getattr(self, name)
        return self._defaults.get(name) if value is None else value

    def rows_for_training(self):
        """What reads and scales the rows of a new run and chooses its model: the estimator itself, or an object with
        the same methods, which :meth:`_keep_rows` keeps once the model is trained."""
        return self

    def _keep_rows(self, run: preparation.Run) -> None:
        """Keep of :meth:`rows_for_training` what the fitted model needs; the other attributes are set."""

    def read_rows(self, X, name: str, n_features: int | None = None) -> inputs.Rows:
        """X as rows of what the model is trained on."""
        return inputs.as_rows(
            X,
            self.dtype,
            name=name,
            n_features=n_features,
            divide_by=self.divide_by,
            model=type(self).__name__,
            missing=bool(self.missing),
        )

    def learn_scale(self, x: np.ndarray) -> None:
        """Learn from the rows to train on, (N, I), how :meth:`scaled` scales rows. Here nothing is learnt."""

    def scaled(self, x: np.ndarray) -> np.ndarray:
        """Rows as the model sees them."""
        return x

    def held_out_rows(self, x: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray] | None:
        """Which rows of x (N, I) to train and which to validate on, where validation rows are held out at the seed's
        choice; None: none are, and all are trained on."""
        return inputs.held_out_rows(self.argument("validation_fraction"), len(x), seed)

    def choose_model(self, settings, x: np.ndarray, x_valid: np.ndarray | None, ops):
        """``(model, settings)`` to train on the scaled rows x (N, columns): here those that the arguments describe."""
        return self._model_type(self.build_architecture(x.shape[1]), ops), settings

    def start(self, model: Model, theta) -> None:
        """Change the initial parameters theta (P,) in place. Here they stay."""

    def learn_view(self, model: Model, x: np.ndarray) -> EncoderView | None:
        """What makes rows of the model from the scaled rows x (N, I), of which it is learnt; None: the encoder sees
        them as they are.
        """
        counts = model.likelihood.count_columns(model.architecture.n_features)
        return EncoderView.fit(x, counts) if model.architecture.completed else None

    def build_architecture(self, columns: int) -> Architecture:
        """The architecture that the arguments describe, for rows of so many numbers; the arguments are checked."""
        likelihood = likelihoods.get(self.likelihood)
        return Architecture(
            columns,
            self.argument("latent_dim"),
            self.argument("hidden"),
            self.argument("decoder_hidden"),
            self.argument("activation"),
            likelihood,
            self.missing,
            self.argument("linear_path"),
            self._sees_counts(likelihood, columns),
        )

    def _sees_counts(self, likelihood, columns: int) -> bool:
        """Whether some features are counts, of which the encoder is to see logarithms: see encoder_view.py. What is
        binarised is none.
        """
        return self.binarize == "none" and bool(likelihood.count_columns(columns).any())

    def is_described(self, architecture: Architecture) -> bool:
        """Whether an architecture is the one that the arguments and what was learnt of the rows describe."""
        return self.build_architecture(self._widths_of(architecture)[0]).config() == architecture.config()

    def arguments_as_fitted(self) -> dict:
        """The arguments that decide what the model does to data, by name, as they were when it was fitted."""
        arguments = self.get_params(deep=False)
        built = {name: value for name, value in self.model_.architecture.config().items() if name in arguments}
        return {"divide_by": self.divide_by_, "binarize": self.binarize_, "dtype": str(self.theta_.dtype), **built}

    def _widths_of(self, architecture) -> tuple[int, int]:
        """What :meth:`build_architecture` was given for it, and how many features the data have that the user gives."""
        return architecture.n_features, architecture.n_features

    #: Arguments that its file need not have.
    later_arguments: tuple[str, ...] = ()

    #: The classes of the architecture and of the model.
    _architecture_type: type[Architecture] = Architecture
    _model_type: type[Model] = Model

    #: What the header of its file holds beside what every estimator's does, or may hold, and the architecture in it:
    #: npvae.support.fields by name.
    _more_header: dict = {}
    _header_options: dict = {}
    _more_architecture: dict = {}

    def _more_for_file(self) -> tuple[dict, dict]:
        """What the file holds beside what every estimator's does: entries of the header, and arrays."""
        return {}, {}

    def _describe_view(self) -> dict:
        """The entry of the header for ``encoder_view_``, if it has one."""
        return {} if self.encoder_view_ is None else {"encoder_view": self.encoder_view_.config()}

    def _restore_view(self, header: dict, architecture) -> EncoderView | None:
        """``encoder_view_`` of a file. ModelFileError: it does not fit the architecture."""
        view = header.get("encoder_view")
        if architecture.completed != (view is not None):
            raise ModelFileError(
                "its encoder's view of counts is missing" if view is None else "its encoder sees the data as they are"
            )
        return None if view is None else EncoderView.from_config(view, architecture.n_features)

    def _restore_more(self, header: dict, arrays: dict, backend, threads) -> None:
        """Take back what :meth:`_more_for_file` gave. ModelFileError: it does not fit, or there are other arrays."""
        model_file.refuse_other_arrays(arrays, ("theta",))

    # learning

    def fit_prepared(
        self, run: preparation.Run, *, callbacks=(), checkpoint=None, checkpoint_seconds=10.0, resume=False
    ):
        """``fit`` on what :func:`npvae.estimators.preparation.prepare` made of this estimator and its data.

        checkpoint: a path, or a :class:`npvae.training.checkpoint.CheckpointFile`.
        """
        settings, model = run.settings, run.model
        if not all(map(callable, callbacks)):
            raise InputTypeError("callbacks must be a list of functions")
        check_resume(resume)
        with contextlib.ExitStack() as stack:
            state, hooks = None, list(callbacks)
            if checkpoint is not None:
                file = CheckpointFile.of(checkpoint)
                stack.enter_context(file.held())
                fingerprints = data_fingerprints(run.x, run.x_valid)
                keeper = stack.enter_context(Checkpointer(file, model, settings, fingerprints, checkpoint_seconds))
                hooks.append(keeper)
                if resume and file.path.exists():
                    state = read_checkpoint(file, model, settings, fingerprints, run.x, resume == "anyway")
            x, x_valid = model.ops.asarray(run.x), None if run.x_valid is None else model.ops.asarray(run.x_valid)
            if state is None:
                state = initial_state(model, settings, x)
                run.rows.start(model, state.theta)
                if checkpoint is not None:
                    keeper.write(state)
            try:
                with progress_reporter(self.verbose, settings.epochs, state) as report:
                    train(model, settings, x, x_valid, state, [report, *hooks])
            except BaseException as error:
                state.stop(NOT_FINITE if isinstance(error, NonFiniteError) else f"{FAILED}{error!r}")
                raise
            finally:
                self._keep(run, state)
        if state.interrupted:
            raise TrainingInterrupted(interruption(state, settings.epochs), self)
        return self

    def _keep(self, run: preparation.Run, state: TrainingState) -> None:
        self.model_, self.encoder_view_ = run.model, run.encoder_view
        self.theta_ = run.model.ops.to_numpy(state.theta)
        self.history_ = state.history
        self.seed_ = run.settings.seed
        vars(self).pop("trained_on_", None)  # the command line says it of its own data
        self.divide_by_ = float(self.divide_by)
        self.binarize_ = self.binarize
        self.stop_reason_ = state.stop_reason
        self.best_epoch_ = state.best_epoch or None
        self.sample_shape_ = run.sample_shape
        self.n_features_in_ = math.prod(run.sample_shape)
        self._set_feature_names(run.column_names)
        self._keep_rows(run)

    def fit_transform(self, X, y=None, **arguments):
        """``fit`` and then ``transform``."""
        return self.fit(X, y, **arguments).transform(X)

    # files

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to one .npz file, without pickle. OSError: it cannot be written."""
        model_file.save(self, path)

    @classmethod
    def load(cls: type[E], path: str | os.PathLike[str], *, backend: Any = "auto", threads: int | None = None) -> E:
        """The model of a file written by ``save``, to run on ``backend`` and so many threads.

        FileNotFoundError, ModelFileError: it cannot be read.
        """
        return model_file.load(cls, path, backend, threads)

    def set_params(self: E, **parameters: Any) -> E:
        """Change constructor arguments; ``backend`` and ``threads`` also of the fitted model. InputError on a name
        there is not.
        """
        super().set_params(**parameters)
        if hasattr(self, "theta_") and not parameters.keys().isdisjoint(WHERE):
            self.model_ = type(self.model_)(self.model_.architecture, backends.for_use(self.backend, self.threads))
        return self

    # helpers

    def _check_fitted(self) -> None:
        if not hasattr(self, "theta_"):
            raise self._not_fitted_error(f"this {type(self).__name__} is not fitted yet: call fit or load first")

    def _input(self, X, missing: bool = False) -> np.ndarray:
        """Data for the fitted model, as it was fitted: arguments may have been changed since. missing: allow NaN."""
        self._check_fitted()
        rows = inputs.as_rows(
            X,
            str(self.theta_.dtype),
            n_features=self.n_features_in_,
            divide_by=self.divide_by_,
            model=type(self).__name__,
            missing=missing or self.model_.architecture.missing,
        )
        fitted = getattr(self, "feature_names_in_", None)
        if fitted is not None and rows.column_names is not None and rows.column_names != list(fitted):
            raise InputError(
                "The feature names should match those that were passed during fit, in the same order; "
                f"expected {list(fitted)}, got {rows.column_names}"
            )
        return rows.values

    def model_input(self, X, draw: int = 0):
        """X on the device, checked against the likelihood, and binarised if the model was trained so; ``draw``: of
        several data sets that are compared each has its own."""
        x = self._rows(self._checked_input(X, draw=draw))
        return self.model_.ops.asarray(x)

    def _rows(self, x: np.ndarray) -> np.ndarray:
        """x (N, I) as rows of the model: beside what the encoder sees of it, where that is something else."""
        return x if self.encoder_view_ is None else self.encoder_view_.beside(x)

    def _checked_input(self, X, missing: bool = False, draw: int = 0) -> np.ndarray:
        x = self._input(X, missing)
        names = getattr(self, "feature_names_in_", None)
        self.model_.likelihood.check_data(x, None if names is None else list(names))
        return x if self.binarize_ == "none" else random.bernoulli(self.seed_, "evaluation binarize", 0, x, draw)

    def device_theta(self):
        """The fitted parameters in the backend's memory, (P,)."""
        self._check_fitted()
        return self.model_.ops.asarray(self.theta_)

    def _output(self, x) -> np.ndarray:
        """Model output in the data's units and shape. NonFiniteError: there is none."""
        check.finite_result("the result", x)
        return (x * np.asarray(self.divide_by_, x.dtype)).reshape(len(x), *self.sample_shape_)

    def seed_of(self, random_state) -> int:
        """The seed that ``random_state`` means: the model's own for None."""
        self._check_fitted()
        return self.seed_ if random_state is None else random.seed_from(random_state)
