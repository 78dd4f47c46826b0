"""The public face of M2, and of M1+M2: a semi-supervised classifier that also generates, with scikit-learn's
conventions.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from npvae.errors import InputError
from npvae.estimators import inputs, preparation
from npvae.estimators.semisupervised import features as latent_features
from npvae.estimators.semisupervised.fitted import FittedSemiSupervisedVAE
from npvae.estimators.semisupervised.labels import frequencies, read_labels, refuse_unusable, warn_of_many_classes
from npvae.estimators.tables.rows import rows_of
from npvae.mathematics import likelihoods
from npvae.mathematics.likelihoods import Likelihood
from npvae.mathematics.objectives import SemiSupervised
from npvae.mathematics.optimizers import Optimizer
from npvae.mathematics.schedules import Schedule
from npvae.mathematics.semi_supervised import SemiSupervisedArchitecture, SemiSupervisedModel, probabilities
from npvae.support import check
from npvae.training.checkpoint import CheckpointFile


class SemiSupervisedVAE(FittedSemiSupervisedVAE):
    """A classifier that learns from labelled and unlabelled rows, and generates rows of a class: M2, or M1+M2.

    A class y and a latent vector z make x. Training maximises, in nats a row,

        L(x, y) = E_q(z|x,y)[log p(x|y, z)] + log p(y) - KL(q(z|x, y) || p(z))   of a labelled row,
                  plus alpha N/N_l log q(y|x)
        U(x) = sum_y q(y|x) (L(x, y) - log q(y|x))                               of an unlabelled one

    with a classifier q(y|x), N rows and N_l labelled ones. See npvae/mathematics/objectives/semi_supervised.py.

    X is an array of numbers or pictures, or a table as :class:`npvae.TableImputer` takes it: a frame, columns, records
    or rows with text, truth values, dates and gaps, or named numbers that are not all from 0 to 1. Of a table every
    column is scaled and modelled by its own kind; log p(x|y, z) is of the cells that are observed, and q(y|x) and
    q(z|x, y) see what a normal distribution expects in the gaps.

    Parameters
    ----------
    features : None: x are the data (M2). A VAE: x are its latent features, a fresh sample of q(z1|x) at every step, and
        their mean where they are looked at (M1+M2). A fitted one is used as it is; of another a copy is fitted, on all
        rows of X. Scikit-learn's ``clone``, and so cross-validation, makes an unfitted one of it, unless it is in a
        ``FrozenEstimator``.
    latent_dim, hidden, decoder_hidden, activation : of the encoder q(z|x, y) and the decoder, as in :class:`npvae.VAE`.
    classifier_hidden : widths of the classifier q(y|x); None for those of the encoder.
    likelihood : as in VAE; None for "bernoulli" on data, "gaussian_decoder" on features and on standardised data, and
        of tables one a column; "auto": X is a table, whatever it holds.
    kinds, ignore, missing, unseen : of tables, as in :class:`npvae.TableImputer`: kinds of columns; columns that are
        not to be looked at, as those never are that cannot be modelled, which a CarriedColumnsWarning names; values
        that are missing, beside None and NaN; "error" or "missing" for categories that the fitted table had not.
    alpha : weight of the classifier's term; the authors take 0.1, with which few rows of one's own are soon outvoted.
    classes : the classes, in the order that ``classes_`` is to have, every one with a labelled row; None for those that
        occur in y, sorted, as scikit-learn's scorers expect.
    class_prior : p(y): None for all alike, "labels" for their shares among the labels, or C numbers of sum 1.
    standardize : subtract every column's mean and divide by its deviation first, those of the rows that are trained on;
        what is generated is put back.
    beta, kl_warmup, optimizer, learning_rate, schedule, clip_norm, batch_size, epochs, validation_fraction, patience,
    min_delta, binarize, initial_weights, output_bias, divide_by, backend, threads, dtype, random_state, verbose : as in
        VAE. With ``features``, ``divide_by``, ``binarize`` and ``standardize`` are of no use here: its VAE sees the
        data. A VAE of features with the same number as ``random_state`` is trained with a seed derived from it.

    Attributes
    ----------
    classes_ : (C,), in the order of the columns of ``predict_proba``. features_ : the fitted VAE of M1+M2, else None.
    center_, scale_ : means and deviations of the columns, if they are standardised, else None. table_ : of tables the
        schema, and what completes rows, else None (npvae/estimators/tables/rows.py).
    used_dimensions_ : those of its latent dimensions that are features. class_prior_ : p(y), (C,).
    theta_, parameters_, model_, history_, seed_, n_features_in_, sample_shape_, stop_reason_, best_epoch_ : as in VAE.

    Examples
    --------
    >>> from npvae import SemiSupervisedVAE, load_dataset
    >>> digits = load_dataset("digits")
    >>> y = digits.y_train.astype(int)
    >>> y[200:] = -1  # 200 labels, the rest unlabelled
    >>> model = SemiSupervisedVAE(latent_dim=10, hidden=(100,), epochs=1, divide_by=255, random_state=0)
    >>> model.fit(digits.x_train, y).predict(digits.x_test[:3]).shape
    (3,)
    """

    linear_path, objective = False, "semi_supervised"
    _architecture_type, _model_type = SemiSupervisedArchitecture, SemiSupervisedModel

    def __init__(
        self,
        features: Any = None,
        latent_dim: int | None = 50,
        hidden: int | Sequence[int] | None = (500,),
        *,
        decoder_hidden: int | Sequence[int] | None = None,
        classifier_hidden: int | Sequence[int] | None = None,
        activation: str | None = "softplus",
        likelihood: str | Mapping[str, Any] | Likelihood | None = None,
        kinds: Mapping[Any, Any] | None = None,
        ignore: Iterable[Any] = (),
        missing: Any = (),
        unseen: str = "error",
        alpha: float = 1.0,
        classes: ArrayLike | None = None,
        class_prior: ArrayLike | str | None = None,
        standardize: bool = False,
        beta: float = 1.0,
        kl_warmup: Any = 0,
        optimizer: str | Mapping[str, Any] | Optimizer | None = "adam",
        learning_rate: float | None = 1e-3,
        schedule: str | Mapping[str, Any] | Schedule = "constant",
        clip_norm: float | None = None,
        batch_size: int | None = 100,
        epochs: int | None = 100,
        validation_fraction: float | None = 0.0,
        patience: int | None = None,
        min_delta: float = 0.0,
        binarize: str = "none",
        initial_weights: str = "glorot",
        output_bias: str = "auto",
        divide_by: float = 1.0,
        backend: Any = "auto",
        threads: int | None = None,
        dtype: DTypeLike = "float32",
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.features = features
        self.latent_dim = latent_dim
        self.hidden = hidden
        self.decoder_hidden = decoder_hidden
        self.classifier_hidden = classifier_hidden
        self.activation = activation
        self.likelihood = likelihood
        self.kinds = kinds
        self.ignore = ignore
        self.missing = missing
        self.unseen = unseen
        self.alpha = alpha
        self.classes = classes
        self.class_prior = class_prior
        self.standardize = standardize
        self.beta = beta
        self.kl_warmup = kl_warmup
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.clip_norm = clip_norm
        self.batch_size = batch_size
        self.epochs = epochs
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.min_delta = min_delta
        self.binarize = binarize
        self.initial_weights = initial_weights
        self.output_bias = output_bias
        self.divide_by = divide_by
        self.backend = backend
        self.threads = threads
        self.dtype = dtype
        self.random_state = random_state
        self.verbose = verbose

    # learning

    def fit(
        self,
        X: ArrayLike | Mapping[str, Any],
        y: ArrayLike,
        *,
        X_valid: ArrayLike | Mapping[str, Any] | None = None,
        y_valid: ArrayLike | None = None,
        callbacks: Iterable[Callable[..., Any]] = (),
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_seconds: float = 10.0,
        resume: bool | str = False,
    ) -> SemiSupervisedVAE:
        """Train on X (N, ...) and labels y (N,), -1 for a row without one; texts may be labels, then None is none too.

        Every class needs a labelled row; no row need be unlabelled. X_valid, y_valid: rows to validate on, with labels
        or without. callbacks, checkpoint, resume: as of :meth:`npvae.VAE.fit`; a VAE of features that is not fitted yet
        is checkpointed beside, as NAME-features.npz. Return self.

        Resuming needs a ``random_state`` here and in ``features``. ``patience`` watches the validation bound, which
        says how well the rows are explained, not how well they are classified.

        InputError, InputTypeError: an argument, the data or the labels are not what they must be. NonFiniteError, and
        Ctrl-C: as in VAE; but after a Ctrl-C while the VAE of features is trained this model is what it was before.
        """
        before, checkpoints = dict(vars(self)), {"checkpoint_seconds": checkpoint_seconds, "resume": resume}
        held = contextlib.nullcontext() if checkpoint is None else CheckpointFile.of(checkpoint).held()
        try:
            with held:
                run = self.prepare(X, y, X_valid, y_valid, checkpoint=checkpoint, **checkpoints)
                return self.fit_prepared(run, callbacks=callbacks, checkpoint=checkpoint, **checkpoints)
        except BaseException:
            if vars(self).get("theta_") is before.get(
                "theta_"
            ):  # refused before it was trained: what was fitted stays as it was
                vars(self).clear()
                vars(self).update(before)
            raise

    def prepare(self, X, y, X_valid=None, y_valid=None, **checkpoints) -> preparation.Run:
        """Check the arguments, the data and the labels, fit the VAE of features if there is one that is not, and return
        the run that :meth:`fit_prepared` takes. Sets what ``fit`` learns before it trains: classes, prior, features.
        """
        check.true_or_false("standardize", self.standardize)
        self._check_arguments(y_valid, X_valid)
        self.table_ = self._table_of(X)
        codes, classes = read_labels(y, rows_of(X), self.classes)
        refuse_unusable(codes, classes)
        warn_of_many_classes(codes, classes)
        codes_valid = None
        if X_valid is not None:
            rows = rows_of(X_valid, "X_valid")
            codes_valid = np.full(rows, -1) if y_valid is None else read_labels(y_valid, rows, classes, "y_valid")[0]
        self.classes_ = classes
        self.class_prior_ = self._prior(codes)
        self.features_, self.used_dimensions_ = self._fit_features(X, **checkpoints)
        run = preparation.prepare(self, X, X_valid, codes, codes_valid)
        codes = run.x[:, -1].astype(np.int64)  # those that are not held out
        refuse_unusable(codes, classes)
        weight = check.real_number("alpha", self.alpha, minimum=0.0) * len(codes) / (codes >= 0).sum()
        return replace(run, settings=replace(run.settings, objective=SemiSupervised(weight)))

    @property
    def noisy_features(self):
        return self.features is not None

    def read_rows(self, X, name, n_features=None):
        """Of M1+M2 the means and deviations of the features, (N, 2 D)."""
        if self.features_ is None:
            return super().read_rows(X, name, n_features)
        parts = latent_features.mean_and_deviation(self.features_, X, self.used_dimensions_)
        names = getattr(self.features_, "feature_names_in_", None)
        return inputs.Rows(
            np.concatenate(parts, axis=1).astype(self.dtype),
            self.features_.sample_shape_,
            None if names is None else list(names),
        )

    def learn_scale(self, x):
        """Mean and deviation of the columns, if they are to be standardised; of one that is constant the deviation
        is taken for 1.
        """
        super().learn_scale(x)
        self.center_ = self.scale_ = None
        if self.standardize:
            self.center_, deviation = x.mean(axis=0, dtype=np.float64), x.std(axis=0, dtype=np.float64)
            # Not by its deviation: the mean of equal numbers is rounded.
            self.scale_ = np.where(x.min(axis=0) < x.max(axis=0), deviation, 1.0)

    def scaled(self, x):
        """(x - mean) / deviation by column, if they were standardised."""
        return x if self.center_ is None else ((x - self.center_) / self.scale_).astype(x.dtype)

    def build_architecture(self, columns):
        """As of :class:`npvae.estimators.base.Estimator`; a row of M1+M2 has means and deviations."""
        likelihood = self.likelihood
        if self.table_ is not None:
            likelihood = self.table_.schema.likelihood()
        elif likelihood is None:
            likelihood = "bernoulli" if self.features is None and not self.standardize else "gaussian_decoder"
        likelihood = likelihoods.get(likelihood)
        return SemiSupervisedArchitecture(
            columns if self.features is None else columns // 2,
            self.latent_dim,
            self.hidden,
            self.decoder_hidden,
            self.activation,
            likelihood,
            missing=self.table_ is not None,
            completed=self.table_ is not None or (self.features is None and self._sees_counts(likelihood, columns)),
            n_classes=len(self.classes_),
            classifier_hidden=self.classifier_hidden,
            class_prior=tuple(self.class_prior_.tolist()),
        )

    def _check_arguments(self, y_valid, X_valid) -> None:
        if y_valid is not None and X_valid is None:
            raise InputError("y_valid needs X_valid")
        for name in (*self._said_of_numbers(), *self._said_of_tables()) if self.features is not None else ():
            raise InputError(f"{name} is an argument of the VAE of features, which sees the data: give it there")

    def _prior(self, codes) -> np.ndarray:
        """p(y), (C,), by ``class_prior``."""
        count = len(self.classes_)
        if self.class_prior is None:
            return np.full(count, 1.0 / count)
        if isinstance(self.class_prior, str):
            check.one_of("class_prior", self.class_prior, ("labels",))
            return frequencies(codes, count)
        return np.array(probabilities("class_prior", self.class_prior, count))

    def _fit_features(self, X, checkpoint=None, **checkpoints):
        if self.features is None:
            return None, None
        beside = None if checkpoint is None else CheckpointFile.of(checkpoint).beside("features")
        vae = latent_features.unfrozen(self.features)
        vae = latent_features.fitted(vae, X, self.random_state, checkpoint=beside, **checkpoints)
        return vae, latent_features.used_dimensions(vae.transform(X))
