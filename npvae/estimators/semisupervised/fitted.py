"""What a fitted M2, or M1+M2, can do: classes, its latent space, and rows of a class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from npvae.errors import InputError, ModelFileError
from npvae.estimators import model_file
from npvae.estimators.semisupervised import features as latent_features
from npvae.estimators.semisupervised import inference
from npvae.estimators.semisupervised.classifier import Classifier
from npvae.estimators.semisupervised.labels import read_labels
from npvae.estimators.semisupervised.tables import TakesTables
from npvae.estimators.vae import VAE
from npvae.mathematics import random
from npvae.mathematics.semi_supervised import SemiSupervisedModel
from npvae.support import check, npz_file
from npvae.support.batches import batches
from npvae.support.fields import ListOf, Maybe, Real, Record, Whole
from npvae.support.memory_need import refuse_too_many_samples
from npvae.training import declared


class FittedSemiSupervisedVAE(Classifier, TakesTables):
    """The methods of a :class:`npvae.SemiSupervisedVAE` that need it fitted; ``fit`` and ``load`` set the attributes
    that end in an underscore."""

    model_: SemiSupervisedModel

    def predict_log_proba(self, X: ArrayLike | Mapping[str, Any]) -> np.ndarray:
        """log q(y|x) of every class, (N, C), in the order of ``classes_``. Of grey values as they are, also if training
        drew them.

        NotFittedError, and the errors of ``fit`` about data; the same for every method that takes X.
        """
        x = self._input(X)
        log_q = inference.log_probabilities(self.model_, self.device_theta(), x)
        return check.finite_result("log q(y|x)", log_q, infinite=True)

    def encode(self, X: ArrayLike | Mapping[str, Any], y: ArrayLike | None = None) -> tuple[NDArray[Any], NDArray[Any]]:
        """``(mu, logvar)`` of q(z|x, y), each (N, Z); y (N,): classes, by default those predicted."""
        x = self._input(X)
        mu, logvar = inference.posterior_of_labelled(self.model_, self.device_theta(), x, self._codes(x, y))
        check.finite_result("q(z|x, y)", mu, logvar)
        return mu, logvar

    def transform(self, X: ArrayLike | Mapping[str, Any]) -> NDArray[Any]:
        """E[z|x], (N, Z), under q, the class summed out: the same every call."""
        x = self._input(X)
        return check.finite_result("E[z|x]", inference.expected_latent(self.model_, self.device_theta(), x))

    def sample(self, label: Any = None, n: int = 1, *, mean: bool | None = None, random_state: Any = None) -> Any:
        """``n`` new rows of the class ``label``: z from the prior N(0, I), then E[x|y, z], or a draw if ``mean=False``.
        Of a model of a table a table of the kind that was fitted, without the columns that are carried: of draws, or of
        best guesses if ``mean=True``.

        label: one of ``classes_``; a list of them, one a row; None: drawn from p(y). With ``random_state=None`` the
        model's own seed is used. Of M1+M2 the features are expected or drawn, then the VAE's data.
        """
        self._check_fitted()
        n = check.whole_number("n", n if label is None or np.ndim(label) == 0 else len(label), 1)
        refuse_too_many_samples(self.model_, n)
        seed = self.seed_of(random_state)
        z = random.normal(seed, "prior sample", 0, (n, self.model_.architecture.latent_dim), self.theta_.dtype)
        if label is None:
            u = random.uniform(seed, "class sample", 0, (n,))
            ends = np.cumsum(np.exp(self.model_.architecture.log_prior()))
            codes = np.minimum((u[:, None] >= ends).sum(axis=1), len(self.classes_) - 1)
        else:
            codes = self._given_codes([label] * n if np.ndim(label) == 0 else label, n, "label")
        mean = self.table_ is None if mean is None else mean
        return self._decode(z, codes, None if mean else seed)

    def analogies(self, X: ArrayLike | Mapping[str, Any], y: ArrayLike | None = None) -> Any:
        """Every row of X in every class: E[x|c, z] at z = the mean of q(z|x, y), so that what is not the class stays.

        y (N,): the rows' classes, by default those predicted. Returns (N, C, ...), in the data's units and shape; of a
        model of a table a list of C tables of N rows, one a class, in the order of ``classes_``.
        """
        mu, _ = self.encode(X, y)
        count = len(self.classes_)
        if self.table_ is not None or getattr(self.features_, "table_", None) is not None:
            return [self._decode(mu, np.full(len(mu), code)) for code in range(count)]
        made = self._decode(np.repeat(mu, count, axis=0), np.tile(np.arange(count), len(mu)))
        return made.reshape(len(mu), count, *self.sample_shape_)

    # helpers

    def _output(self, x):
        return super()._output(x if self.center_ is None else (x * self.scale_ + self.center_).astype(x.dtype))

    def _input(self, X, missing=False):
        if getattr(self, "features_", None) is None:
            return self._rows(self.scaled(super()._input(X, missing)))
        self._check_fitted()
        return latent_features.mean_and_deviation(self.features_, X, self.used_dimensions_)[0].astype(self.theta_.dtype)

    def _codes(self, x, y) -> np.ndarray:
        if y is None:
            return inference.log_probabilities(self.model_, self.device_theta(), x).argmax(axis=1)
        return self._given_codes(y, len(x), "y")

    def _given_codes(self, labels, rows: int, name: str) -> np.ndarray:
        codes, _ = read_labels(labels, rows, self.classes_.tolist(), name)
        if (codes < 0).any():
            raise InputError(f"{name} must be a class for every row, but row {int(np.argmax(codes < 0))} has none")
        return codes

    def _decode(self, z, codes, draw_seed: int | None = None) -> np.ndarray:
        """E[x|y, z], or a draw, in the data's units and shape."""
        model, ops, views = self.model_, self.model_.ops, self.model_.views(self.device_theta())
        seen = inference.with_class(model, z, codes)
        if self.table_ is not None:
            return self._table_given(seen, draw_seed)
        if draw_seed is not None:
            x = model.draw(views, seen, random.Stream(draw_seed, "data sample", 0))
        else:
            x = np.concatenate(
                [
                    ops.to_numpy(model.expected(views, ops.asarray(seen[part])))
                    for part in batches(len(seen), inference.ROWS_AT_ONCE)
                ]
            )
        if self.features_ is None:
            return self._output(x)
        check.finite_result("the features", x)
        return latent_features.decode(self.features_, x, self.used_dimensions_)

    def set_params(self, **parameters):
        """Change constructor arguments; ``backend`` and ``threads`` also of the fitted models."""
        super().set_params(**parameters)
        if hasattr(self, "features_"):
            self.features_ = latent_features.moved(self.features_, parameters)
        return self

    # its file

    _more_architecture = declared.CLASSES_OF_ARCHITECTURE
    _more_header = {
        "classes": ListOf(declared.LABEL, shortest=2),
        "class_prior": ListOf(Real(above=0.0)),
        "features": Maybe(
            Record({"header": model_file.declaration(VAE), "used_dimensions": ListOf(Whole(0), shortest=1)})
        ),
    }

    def _widths_of(self, architecture):
        if self.table_ is not None:
            return architecture.n_features, len(self.table_.schema.names)
        if self.features_ is None:
            return super()._widths_of(architecture)
        return 2 * architecture.n_features, self.features_.n_features_in_

    def _more_for_file(self):
        header = {"classes": self.classes_.tolist(), "class_prior": self.class_prior_.tolist(), "features": None}
        if self.features_ is None:
            scale = {} if self.center_ is None else {"center": self.center_, "scale": self.scale_}
            return header, {**scale, **self._arrays_of_table()}
        inner, arrays = model_file.describe(self.features_)
        header["features"] = {"header": inner, "used_dimensions": self.used_dimensions_.tolist()}
        return header, npz_file.within("features", arrays)

    def _restore_more(self, header, arrays, backend, threads):
        _, self.classes_ = read_labels(header["classes"], len(header["classes"]), header["classes"])
        self.class_prior_ = np.array(header["class_prior"], np.float64)
        if not len(self.classes_) == len(self.class_prior_) == header["architecture"]["n_classes"]:
            raise ModelFileError(f"it has {len(self.classes_)} classes and a prior of {len(self.class_prior_)}")
        self.features_ = self.used_dimensions_ = None
        self.center_, self.scale_ = arrays.get("center"), arrays.get("scale")
        features, used = header["features"], ["theta", *self._restore_table(header, arrays)]
        # As it was fitted, whatever the argument was since.
        self.standardize = features is None and not (self.center_ is None and self.scale_ is None)
        if self.standardize:
            used += ["center", "scale"]
        if features is not None:
            inner = npz_file.taken_out("features", arrays)
            used += npz_file.within("features", inner)
        model_file.refuse_other_arrays(arrays, used)
        if self.standardize:
            latent_features.check_scale(self.center_, self.scale_, self.n_features_in_)
        if features is not None:
            self.features_ = self.features = model_file.restore(VAE, features["header"], inner, backend, threads)
            self.used_dimensions_ = latent_features.checked_dimensions(self.features_, features["used_dimensions"])
            if len(self.used_dimensions_) != header["architecture"]["n_features"]:
                raise ModelFileError("its architecture is for another number of features")
