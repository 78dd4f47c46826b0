"""Softmax regression: its gradient, its minimum, and against scikit-learn's."""

import numpy as np
import pytest

from npvae import check_gradient
from npvae.semisupervised.softmax_regression import fit_softmax_regression, softmax_regression_loss


def test_the_gradient_is_that_of_differences(rng):
    x, one_hot = rng.standard_normal((7, 3)), np.eye(4)[rng.integers(0, 4, 7)]
    check_gradient(lambda W, b: softmax_regression_loss(W, b, x, one_hot, 0.3), [rng.standard_normal((3, 4)), rng.standard_normal(4)])


def test_the_loss_is_the_mean_of_minus_log_p(rng):
    x, W, b = rng.standard_normal((5, 2)), rng.standard_normal((2, 3)), rng.standard_normal(3)
    labels = rng.integers(0, 3, 5)
    p = np.exp(x @ W + b)
    p /= p.sum(axis=1, keepdims=True)
    expected = -np.log(p[np.arange(5), labels]).mean() + 0.5 * 0.7 * (W**2).sum()
    assert softmax_regression_loss(W, b, x, np.eye(3)[labels], 0.7)[0] == pytest.approx(expected, rel=1e-12)


def test_it_ends_at_the_minimum_also_of_features_of_unlike_size(rng):
    x = rng.standard_normal((200, 4)) * [10.0, 1.0, 0.1, 1.0] + [0.0, 3.0, 0.0, 0.0]
    labels = (x @ rng.standard_normal((4, 3)) + rng.standard_normal((200, 3))).argmax(axis=1)
    W, b = fit_softmax_regression(x, labels, 3, l2=0.01, iterations=100_000)
    _, (dW, db) = softmax_regression_loss(W, b, x, np.eye(3)[labels], 0.01)
    assert max(np.abs(dW).max(), np.abs(db).max()) < 1e-6
    linear_model = pytest.importorskip("sklearn.linear_model")
    other = linear_model.LogisticRegression(C=1.0 / (0.01 * 200), tol=1e-10, max_iter=10_000).fit(x, labels)
    np.testing.assert_allclose(W.T - W.T.mean(axis=0), other.coef_ - other.coef_.mean(axis=0), atol=1e-4)
