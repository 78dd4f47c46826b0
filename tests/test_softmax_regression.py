"""Softmax regression: its gradient, its minimum, and against scikit-learn's."""

import numpy as np
import pytest

from npvae import LatentClassifier, SemiSupervisedVAE, SoftmaxRegression, check_gradient
from npvae.errors import InputError, NonFiniteError, NotFittedError
from npvae.estimators.semisupervised.softmax_regression import fit_softmax_regression, softmax_regression_loss


def test_the_gradient_is_that_of_differences(rng):
    x, one_hot = rng.standard_normal((7, 3)), np.eye(4)[rng.integers(0, 4, 7)]
    check_gradient(
        lambda W, b: softmax_regression_loss(W, b, x, one_hot, 0.3),
        [rng.standard_normal((3, 4)), rng.standard_normal(4)],
    )


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


@pytest.mark.parametrize("iterations", [1, 2, 3, 10, 60])
def test_the_descent_is_nesterov_s_with_restarts(rng, iterations):
    """Written out: steps of 1 / L, the momentum t -> (1 + sqrt(1 + 4 t^2)) / 2 begun anew where it leads uphill."""
    x, labels = rng.standard_normal((40, 3)) * [3.0, 1.0, 0.5] + 1.0, rng.integers(0, 3, 40)
    one_hot = np.eye(3)[labels]
    lipschitz = 0.5 * np.linalg.eigvalsh(np.c_[x, np.ones(40)].T @ np.c_[x, np.ones(40)] / 40).max() + 0.2

    def gradient(v):
        p = np.exp(x @ v[:3] + v[3])
        d = (p / p.sum(axis=1, keepdims=True) - one_hot) / 40
        return np.vstack([x.T @ d + 0.2 * v[:3], d.sum(axis=0)])

    here = ahead = np.zeros((4, 3))
    t, restarts = 1.0, 0
    for _ in range(iterations):
        g = gradient(ahead)
        there = ahead - g / lipschitz
        if np.vdot(g, there - here) > 0:
            t, restarts = 1.0, restarts + 1
        after = (1 + np.sqrt(1 + 4 * t * t)) / 2
        ahead, here, t = there + (t - 1) / after * (there - here), there, after
    W, b = fit_softmax_regression(x, labels, 3, 0.2, iterations, 0.0)
    np.testing.assert_allclose(np.vstack([W, b]), here, rtol=1e-9, atol=1e-12)
    assert restarts > 0 or iterations < 60


def test_the_descent_ends_where_no_element_of_the_gradient_is_above_the_tolerance(rng):
    x, labels = rng.standard_normal((40, 3)), rng.integers(0, 3, 40)
    for tolerance in (1e-2, 1e-5):
        W, b = fit_softmax_regression(x, labels, 3, 0.2, 100_000, tolerance)
        _, (dW, db) = softmax_regression_loss(W, b, x, np.eye(3)[labels], 0.2)
        assert 1e-3 * tolerance < max(np.abs(dW).max(), np.abs(db).max()) < tolerance


def test_an_element_of_the_gradient_below_minus_the_tolerance_is_above_it():
    """One of five classes has most rows: a step before the end its element of db is -4 times the others'."""
    x, labels = np.zeros((50, 1)), np.repeat([0, 1, 2, 3, 4], [46, 1, 1, 1, 1])
    one_hot = np.eye(5)[labels]
    for tolerance in (0.5, 0.1, 1e-2, 1e-3, 1e-4):
        W, b = fit_softmax_regression(x, labels, 5, 0.2, 100_000, tolerance)
        assert np.abs(softmax_regression_loss(W, b, x, one_hot, 0.2)[1][1]).max() < tolerance
    # The same of W, whose rows are what tells the classes apart.
    x = np.repeat([[1.0], [-1.0]], [46, 4], axis=0)
    for tolerance in (0.5, 0.1, 1e-2, 1e-3, 1e-4):
        W, b = fit_softmax_regression(x, labels, 5, 0.2, 100_000, tolerance)
        assert np.abs(softmax_regression_loss(W, b, x, one_hot, 0.2)[1][0]).max() < tolerance


def test_errors_name_the_classifier_and_probabilities_may_vanish():
    model = SoftmaxRegression().fit(np.eye(4)[:, :2], [0, 1, 0, 1])
    with pytest.raises(InputError, match="X has 3 features, but SoftmaxRegression is expecting 2 features"):
        model.predict(np.zeros((2, 3)))
    with pytest.raises(InputError, match="NaN"):
        model.predict(np.full((1, 2), np.nan))
    model.coef_ = np.array([[1e308, -1e308], [0.0, 0.0]])
    with np.errstate(over="ignore"):
        assert model.predict_log_proba(np.array([[1.0, 0.0]])).tolist() == [[0.0, -np.inf]]
        model.coef_ *= 10.0
        with pytest.raises(NonFiniteError, match=r"log p\(y\|x\) would not be finite"), np.errstate(invalid="ignore"):
            model.predict_log_proba(np.array([[1.0, 0.0]]))


@pytest.mark.parametrize("l2", [0.0, -1.0])
def test_without_a_weight_there_may_be_no_smallest_loss(l2):
    with pytest.raises(InputError, match="l2 must be finite and above 0"):
        SoftmaxRegression(l2).fit(np.eye(4), [0, 1, 0, 1])
    with pytest.raises(NotFittedError, match="SoftmaxRegression is not fitted yet: call fit first"):
        SoftmaxRegression().predict(np.eye(4))


def test_what_scikit_learn_is_told():
    pytest.importorskip("sklearn", minversion="1.6")
    from sklearn import utils

    for model in (SemiSupervisedVAE(), LatentClassifier(), SoftmaxRegression()):
        tags = utils.get_tags(model)
        assert tags.estimator_type == "classifier" and tags.classifier_tags.multi_class and tags.target_tags.required


def test_rows_without_a_label_have_no_part_in_it(rng):
    x, y = rng.standard_normal((30, 2)), np.tile([4, 7, -1], 10)
    some, all_of_them = SoftmaxRegression(0.1).fit(x[y > 0], y[y > 0]), SoftmaxRegression(0.1).fit(x, y)
    np.testing.assert_array_equal(some.coef_, all_of_them.coef_)
    assert (
        all_of_them.classes_.tolist() == [4, 7]
        and all_of_them.n_features_in_ == 2
        and all_of_them.coef_.shape == (2, 2)
    )
