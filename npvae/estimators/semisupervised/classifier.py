"""What every classifier here offers: classes from log-probabilities, by scikit-learn's conventions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from npvae.errors import InputError
from npvae.estimators.semisupervised.labels import read_labels, refuse_other_kind
from npvae.estimators.sklearn_protocol import SklearnProtocol


class Classifier(SklearnProtocol, ABC):
    """The base of classifiers: a subclass has ``classes_``, (C,), and ``predict_log_proba``."""

    classes_: np.ndarray

    @abstractmethod
    def predict_log_proba(self, X: ArrayLike | Mapping[str, Any]) -> np.ndarray:
        """log p(y|x) of every class, (N, C), in the order of ``classes_``."""

    def predict_proba(self, X: ArrayLike | Mapping[str, Any]) -> np.ndarray:
        """p(y|x) of every class, (N, C), in the order of ``classes_``."""
        return np.exp(self.predict_log_proba(X))

    def predict(self, X: ArrayLike | Mapping[str, Any]) -> np.ndarray:
        """The most probable class of every row, (N,), one of ``classes_``."""
        best = self.predict_log_proba(X).argmax(axis=1)
        return self.classes_[best]

    def score(self, X: ArrayLike | Mapping[str, Any], y: ArrayLike) -> float:
        """The share of rows whose class is predicted; rows without a label are not counted.

        A label that is not among the classes counts as wrong. InputError: no row has a label. InputTypeError: texts
        where the classes are numbers, or the other way round.
        """
        predicted = self.predict(X)
        codes, labels = read_labels(y, len(predicted))
        labelled = codes >= 0
        refuse_other_kind(labels, self.classes_)
        if not labelled.any():
            raise InputError("y has no labelled row to judge by: every label is -1")
        return float(np.mean(labels[codes[labelled]] == predicted[labelled]))

    def __sklearn_tags__(self):
        from sklearn.utils import ClassifierTags

        tags = super().__sklearn_tags__()
        tags.estimator_type, tags.classifier_tags, tags.target_tags.required = "classifier", ClassifierTags(), True
        return tags
