"""Softmax regression: the plain classifier on top of latent features, where no other is at hand.

    p(y|x) = softmax(x W + b)
    loss   = -(1/N) sum_n log p(y_n|x_n) + l2/2 ||W||^2                 x (N, I), W (I, C), b (C,), nats a row

    dlogits = (p - onehot) / N,   dW = x^T dlogits + l2 W,   db = sum of dlogits over rows

The loss is convex, its curvature at most half the largest eigenvalue of x^T x / N (with a column of ones for b) plus
l2, so accelerated gradient descent with one over that as its step converges without a rate to choose.

Sources: Bohning (1992), "Multinomial logistic regression algorithm", for the bound; Nesterov (1983), and O'Donoghue &
Candes (2015), "Adaptive restart for accelerated gradient schemes", for the descent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from npvae.estimators import inputs
from npvae.estimators.semisupervised.classifier import Classifier
from npvae.estimators.semisupervised.labels import read_labels, refuse_unusable
from npvae.mathematics.layers.softmax import log_softmax
from npvae.support import check


def softmax_regression_loss(W, b, x, one_hot, l2: float):
    """``(loss, (dW, db))``, float64."""
    log_p = log_softmax(np, x @ W + b)
    loss = -np.sum(one_hot * log_p) / len(x) + 0.5 * l2 * np.sum(W * W)
    dlogits = (np.exp(log_p) - one_hot) / len(x)
    return loss, (x.T @ dlogits + l2 * W, dlogits.sum(axis=0))


def fit_softmax_regression(x, labels, classes: int, l2: float = 1e-3, iterations: int = 5000, tolerance: float = 1e-7):
    """``(W, b)``, float64, of the smallest loss on x (N, I) with labels (N,), whole numbers below ``classes``: the
    descent ends when no element of the gradient is above ``tolerance``, or after so many iterations."""
    x = np.asarray(x, np.float64)
    one_hot = np.eye(classes)[labels]
    extended = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    step = 1.0 / (0.5 * np.linalg.norm(extended, 2) ** 2 / len(x) + l2)
    W, b = np.zeros((x.shape[1], classes)), np.zeros(classes)
    ahead, momentum = (W, b), 1.0
    for _ in range(iterations):
        _, (dW, db) = softmax_regression_loss(*ahead, x, one_hot, l2)
        if max(np.abs(dW).max(), np.abs(db).max()) < tolerance:
            return ahead
        new = ahead[0] - step * dW, ahead[1] - step * db
        moved = new[0] - W, new[1] - b
        if np.sum(dW * moved[0]) + np.sum(db * moved[1]) > 0.0:  # it runs uphill: begin to gather speed anew
            momentum = 1.0
        following = 0.5 * (1.0 + np.sqrt(1.0 + 4.0 * momentum**2))
        share = (momentum - 1.0) / following
        ahead, momentum = (new[0] + share * moved[0], new[1] + share * moved[1]), following
        W, b = new
    return W, b


class SoftmaxRegression(Classifier):
    """A linear classifier, p(y|x) = softmax(x W + b), fitted to labelled rows; rows with the label -1 are left out.

    l2: weight of ||W||^2 / 2, in nats a row; of the smallest loss there is one if it is above 0. Fitted: ``coef_`` W,
    (I, C), ``intercept_`` b, (C,), ``classes_``, ``n_features_in_``.
    """

    def __init__(self, l2: float = 1e-3) -> None:
        self.l2 = l2

    def fit(self, X: ArrayLike | Mapping[str, Any], y: ArrayLike) -> SoftmaxRegression:
        """Fit to X (N, I) and y (N,). InputError, InputTypeError: as of SemiSupervisedVAE. Return self."""
        l2 = check.real_number("l2", self.l2, above=0.0)
        x = inputs.as_rows(X, "float64", model=type(self).__name__).values
        codes, classes = read_labels(y, len(x))
        refuse_unusable(codes, classes)
        labelled = codes >= 0
        self.coef_, self.intercept_ = fit_softmax_regression(x[labelled], codes[labelled], len(classes), l2)
        self.classes_, self.n_features_in_ = classes, x.shape[1]
        return self

    def predict_log_proba(self, X: ArrayLike | Mapping[str, Any]) -> np.ndarray:
        """log p(y|x) of every class, (N, C). NotFittedError: it is not fitted."""
        if not hasattr(self, "coef_"):
            raise self._not_fitted_error("this SoftmaxRegression is not fitted yet: call fit first")
        x = inputs.as_rows(X, "float64", n_features=self.n_features_in_, model=type(self).__name__).values
        return check.finite_result("log p(y|x)", log_softmax(np, x @ self.coef_ + self.intercept_), infinite=True)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "coef_")
