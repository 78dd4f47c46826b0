"""M1: a classifier on the latent features of a VAE that has seen all rows, labelled or not."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from npvae import backend as backends
from npvae.errors import InputError, InputTypeError, ModelFileError, TrainingInterrupted
from npvae.estimators import model_file
from npvae.estimators.semisupervised import features as latent_features
from npvae.estimators.semisupervised.classifier import Classifier
from npvae.estimators.semisupervised.labels import read_labels, refuse_unusable, warn_of_many_classes
from npvae.estimators.semisupervised.softmax_regression import SoftmaxRegression
from npvae.estimators.tables.rows import is_table, rows_of
from npvae.estimators.vae import VAE
from npvae.mathematics import random
from npvae.support import check, npz_file
from npvae.support.fields import ListOf, OneOf, Real, Record, Whole
from npvae.training import declared


class LatentClassifier(Classifier):
    """M1: a VAE learns features of all rows, a classifier learns from those of the labelled ones.

    Parameters
    ----------
    features : a :class:`npvae.VAE`; a fitted one is used as it is, of another a copy is fitted to all rows. None:
        ``VAE(latent_dim=50, hidden=(500, 500), activation="softplus")``, of a table ``VAE(likelihood="auto")``, which
        takes text and gaps.
    samples : of q(z|x) that are taken of each labelled row to learn from, so that the classifier sees how sure the
        features are; 0: the mean alone.
    classes : the classes, every one with a labelled row, also where they would mean no label, as -1 or "NA"; None for
        those that occur.
    classifier : anything with scikit-learn's ``fit`` and ``predict``, of which a copy is fitted; None: a
        :class:`SoftmaxRegression`.

    Attributes
    ----------
    features_, classifier_ : the fitted ones. used_dimensions_ : the latent dimensions that are features. classes_ :
        (C,).
    n_features_in_, sample_shape_, feature_names_in_ : as the VAE has them.
    """

    def __init__(
        self, features: Any = None, classifier: Any = None, samples: int = 0, classes: ArrayLike | None = None
    ) -> None:
        self.features = features
        self.classifier = classifier
        self.samples = samples
        self.classes = classes

    def fit(
        self,
        X: ArrayLike | Mapping[str, Any],
        y: ArrayLike,
        *,
        callbacks: Iterable[Callable[..., Any]] = (),
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_seconds: float = 10.0,
        resume: bool | str = False,
    ) -> LatentClassifier:
        """Fit to X (N, ...) and labels y (N,), -1 for a row without one; texts may be labels, then None is none too.
        Return self.

        callbacks, checkpoint, resume: as of :meth:`npvae.VAE.fit`, for a VAE of features that is not fitted yet. After
        Ctrl-C, which is raised as there, the classifier is that of the features so far, if there are any.

        InputError, InputTypeError: an argument, the data or the labels are not what they must be.
        """
        codes, classes = read_labels(y, rows_of(X), self.classes)
        refuse_unusable(codes, classes)
        warn_of_many_classes(codes, classes)
        classifier = SoftmaxRegression() if self.classifier is None else copy.deepcopy(self.classifier)
        for method in ("fit", "predict"):
            if not callable(getattr(classifier, method, None)):
                raise InputTypeError(
                    f"classifier must have scikit-learn's fit and predict, got {type(classifier).__name__}"
                )
        samples = check.whole_number("samples", self.samples, 0)
        vae = self.features
        if vae is None:
            vae = (
                VAE(likelihood="auto") if is_table(X) else VAE(latent_dim=50, hidden=(500, 500), activation="softplus")
            )
        vae = latent_features.unfrozen(vae)
        if hasattr(vae, "theta_") and (callbacks or checkpoint is not None or resume):
            raise InputError(
                "callbacks, checkpoint and resume are for a VAE of features that is not fitted yet, and this one is"
            )
        interrupted = None
        try:
            vae = latent_features.fitted(
                vae, X, callbacks=callbacks, checkpoint=checkpoint, checkpoint_seconds=checkpoint_seconds, resume=resume
            )
        except TrainingInterrupted as error:
            interrupted, vae = error, error.estimator
        try:
            used = latent_features.used_dimensions(vae.transform(X))
        except InputError:  # it has not been trained for long enough to have any
            if interrupted is not None:
                raise interrupted from None
            raise
        mu, deviation = latent_features.mean_and_deviation(vae, X, used)
        labelled = codes >= 0
        own = type(classifier) is SoftmaxRegression  # which would take some classes for no label
        mu, deviation, labels = mu[labelled], deviation[labelled], codes[labelled] if own else classes[codes[labelled]]
        if samples:
            eps = random.normal(vae.seed_, "feature noise", 0, (samples, *mu.shape), mu.dtype)
            mu, labels = (mu + deviation * eps).reshape(-1, mu.shape[1]), np.tile(labels, samples)
        self.classifier_ = classifier.fit(mu, labels)
        if own:
            self.classifier_.classes_ = classes
        self.used_dimensions_, self.classes_ = used, classes
        self._take_features(vae)
        if interrupted is not None:
            raise TrainingInterrupted(str(interrupted), self)
        return self

    def transform(self, X: ArrayLike | Mapping[str, Any]) -> Any:
        """The features, (N, D): posterior means of the dimensions that are used."""
        self._check_fitted()
        return latent_features.mean_and_deviation(self.features_, X, self.used_dimensions_)[0]

    def fit_transform(self, X: ArrayLike | Mapping[str, Any], y: ArrayLike, **fit_arguments: Any) -> np.ndarray:
        """``fit`` and then ``transform``."""
        return self.fit(X, y, **fit_arguments).transform(X)

    def predict(self, X: ArrayLike | Mapping[str, Any]) -> np.ndarray:
        """The classifier's class of every row, (N,)."""
        features = self.transform(X)
        return self.classifier_.predict(features)

    def predict_log_proba(self, X: ArrayLike | Mapping[str, Any]) -> np.ndarray:
        """The classifier's log p(y|x), (N, C). AttributeError: it knows no probabilities."""
        features = self.transform(X)
        if hasattr(self.classifier_, "predict_log_proba"):
            return self.classifier_.predict_log_proba(features)
        with np.errstate(divide="ignore"):
            return np.log(self.classifier_.predict_proba(features))

    def set_params(self, **parameters):
        """Change constructor arguments; ``features__backend`` and ``features__threads`` also of the fitted VAE."""
        super().set_params(**parameters)
        if hasattr(self, "features_"):
            self.features_ = latent_features.moved(self.features_, parameters)
        return self

    # its file

    def save(self, path) -> None:
        """Write the model to one .npz file, without pickle. InputError: its classifier is another than the own
        SoftmaxRegression.
        """
        self._check_fitted()
        if type(self.classifier_) is not SoftmaxRegression:
            raise InputError(
                f"a {type(self.classifier_).__name__} cannot be written without pickle: save the VAE, features_, and "
                f"fit the "
                "classifier again"
            )
        inner, arrays = model_file.describe(self.features_)
        header = {
            "estimator": type(self).__name__,
            "features": inner,
            "used_dimensions": self.used_dimensions_.tolist(),
            "classes": self.classes_.tolist(),
            "l2": self.classifier_.l2,
            "samples": self.samples,
        }
        npz_file.save(
            path,
            "latent-classifier",
            header,
            {
                "coef": self.classifier_.coef_,
                "intercept": self.classifier_.intercept_,
                **npz_file.within("features", arrays),
            },
            self._declaration(),
        )

    @classmethod
    def load(cls, path, *, backend="auto", threads=None) -> LatentClassifier:
        """The model of a file written by ``save``, to run on ``backend`` and so many threads. FileNotFoundError,
        ModelFileError: it cannot be read.
        """
        backends.for_use(backend, threads)
        header, arrays = npz_file.load(path, "latent-classifier", cls._declaration())
        with model_file.refusing(path):
            inner = npz_file.taken_out("features", arrays)
            model_file.refuse_other_arrays(arrays, ("coef", "intercept", *npz_file.within("features", inner)))
            vae = model_file.restore(VAE, header["features"], inner, backend, threads)
            self = cls(vae, SoftmaxRegression(header["l2"]), samples=header["samples"])
            self._take_features(vae)
            self.used_dimensions_ = latent_features.checked_dimensions(vae, header["used_dimensions"])
            _, self.classes_ = read_labels(header["classes"], len(header["classes"]), header["classes"])
            own = self.classifier_ = SoftmaxRegression(header["l2"])
            own.coef_, own.intercept_, own.classes_ = arrays["coef"], arrays["intercept"], self.classes_
            own.n_features_in_ = len(self.used_dimensions_)
            shapes = (own.coef_.shape, own.intercept_.shape)
            if shapes != ((own.n_features_in_, len(self.classes_)), (len(self.classes_),)):
                raise ModelFileError(
                    f"its classifier has the shapes {shapes}, which do not fit its features and classes"
                )
            if not all(array.dtype == np.float64 and np.isfinite(array).all() for array in (own.coef_, own.intercept_)):
                raise ModelFileError("its classifier is not of finite float64 numbers")
        return self

    @classmethod
    def _declaration(cls) -> Record:
        """The header of its file."""
        return Record(
            {
                "estimator": OneOf((cls.__name__,)),
                "features": model_file.declaration(VAE),
                "used_dimensions": ListOf(Whole(0), shortest=1),
                "classes": ListOf(declared.LABEL, shortest=2),
                "l2": Real(above=0.0),
                "samples": Whole(0),
            }
        )

    def _take_features(self, vae) -> None:
        """The fitted VAE, and what it says of the data."""
        self.features_, self.n_features_in_, self.sample_shape_ = vae, vae.n_features_in_, vae.sample_shape_
        self._set_feature_names(getattr(vae, "feature_names_in_", None))

    def _check_fitted(self) -> None:
        if not hasattr(self, "classifier_"):
            raise self._not_fitted_error("this LatentClassifier is not fitted yet: call fit or load first")

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "classifier_")
