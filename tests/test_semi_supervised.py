"""The semi-supervised estimators: what they learn, what comes back from their files, and what they refuse."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from pathlib import Path

import numpy as np
import processes
import pytest

from npvae import VAE, LatentClassifier, SemiSupervisedVAE, SoftmaxRegression
from npvae.errors import (
    DataScaleWarning,
    InputError,
    InputTypeError,
    ManyClassesWarning,
    ModelFileError,
    NonFiniteError,
    NotFittedError,
    PosteriorCollapseWarning,
    TrainingInterrupted,
)
from npvae.estimators.semisupervised.features import used_dimensions
from npvae.mathematics import random
from npvae.mathematics.objectives import SemiSupervised

pytestmark = pytest.mark.filterwarnings(f"ignore::{PosteriorCollapseWarning.__module__}.PosteriorCollapseWarning")


TESTS = str(Path(__file__).parent)


def patterns(seed: int, rows: int = 600, flipped: float = 0.25, labels: int = 3):
    """``(x, y, truth)``: three patterns of 30 zeros and ones, of which every row has some the other way round."""
    rng = np.random.default_rng(seed)
    truth = np.arange(rows) % 3
    x = ((rng.random((3, 30)) < 0.5)[truth] ^ (rng.random((rows, 30)) < flipped)).astype(float)
    return x, np.where(np.arange(rows) < labels, truth, -1), truth


def blobs(rows: int = 200, labels: int = 20, seed: int = 0):
    """``(x, y, truth)``: grey pictures (rows, 2, 3) of three classes."""
    rng = np.random.default_rng(seed)
    centers = np.array([[1, 1, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 1, 1]], float)
    truth = rng.integers(0, 3, rows)
    truth[:3] = (0, 1, 2)
    x = np.clip(0.1 + 0.8 * centers[truth] + 0.1 * rng.standard_normal((rows, 6)), 0.0, 1.0)
    y = truth.copy()
    y[labels:] = -1
    return x.reshape(-1, 2, 3), y, truth


def small(features=None, **changes):
    settings = {"latent_dim": 2, "hidden": (8,), "epochs": 3, "batch_size": 20, "random_state": 1, **changes}
    return SemiSupervisedVAE(features, **settings)


def small_features(**changes):
    settings = {
        "latent_dim": 3,
        "hidden": (6,),
        "activation": "softplus",
        "optimizer": "adam",
        "learning_rate": 0.01,
        "batch_size": 20,
        "epochs": 15,
        "random_state": 2,
        **changes,
    }
    return VAE(**settings)


# What it learns


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_unlabelled_rows_help(seed):
    """One labelled row a class says little of the class's pattern; the 597 others say the rest."""
    x, y, truth = patterns(seed)
    model = SemiSupervisedVAE(
        latent_dim=1, hidden=(10,), epochs=40, learning_rate=0.01, batch_size=50, random_state=0, dtype="float64"
    ).fit(x, y)
    assert model.score(x, truth) > 0.92 > 0.9 > SoftmaxRegression().fit(x, y).score(x, truth)


@pytest.mark.parametrize("labels", [200, 6])
def test_with_all_labels_or_few_classes_are_found(labels):
    x, y, truth = blobs(labels=labels)
    model = small(epochs=60, learning_rate=0.01).fit(x, y)
    assert model.score(x, truth) > 0.98
    assert model.history_["error"][-1] < 0.05 and model.history_["cross_entropy"][-1] < 0.3


def test_the_classifier_s_weight_is_alpha_times_rows_a_label():
    x, y, _ = blobs(200, 20)
    run = small(alpha=0.3).prepare(x, y)
    assert run.settings.objective == SemiSupervised(0.3 * 200 / 20)
    held = small(alpha=0.3, validation_fraction=0.5).prepare(*blobs(200, 200)[:2])
    assert held.settings.objective == SemiSupervised(0.3) and held.x.shape == held.x_valid.shape == (100, 7)


def test_unbalanced_priors():
    x, y, truth = blobs(labels=20)
    model = small(class_prior="labels").fit(x, y)
    shares = np.bincount(truth[:20]) / 20
    np.testing.assert_allclose(np.exp(model.model_.architecture.log_prior()), shares)
    rare = small(class_prior=(0.998, 0.001, 0.001)).fit(x, y)
    drawn = rare.sample(n=30, random_state=4)
    np.testing.assert_array_equal(drawn, rare.sample(0, n=30, random_state=4))


def test_stacked_on_features_it_learns_and_generates():
    x, y, truth = patterns(0, flipped=0.1, labels=9)
    model = small(small_features(epochs=20), epochs=60, learning_rate=0.01).fit(x, y)
    assert model.score(x, truth) > 0.98
    assert model.features_ is not model.features and not hasattr(model.features, "theta_")
    assert model.n_features_in_ == 30 and model.transform(x).shape == (600, 2)
    for label in range(3):  # what is made of a class looks like it
        made = model.sample(label, 40)
        assert made.shape == (40, 30) and np.mean(model.predict(made) == label) > 0.9


def test_a_fitted_vae_of_features_is_used_as_it_is():
    x, y, _ = blobs()
    vae = small_features().fit(x)
    before = vae.theta_.copy()
    model = small(vae).fit(x, y)
    assert model.features_ is vae
    np.testing.assert_array_equal(vae.theta_, before)


def test_features_are_the_dimensions_that_are_used():
    x, y, _ = blobs()
    vae = small_features(latent_dim=6, epochs=40).fit(x)
    vae.theta_ = vae.theta_.copy()
    views = vae.parameters_
    views["encoder/mean/W"][:, 2] = views["encoder/mean/b"][2] = 0.0  # a dimension that says nothing
    model = small(vae).fit(x, y)
    assert 2 not in model.used_dimensions_ and model.model_.architecture.n_features == len(model.used_dimensions_)
    assert (LatentClassifier(vae).fit(x, y).used_dimensions_ == model.used_dimensions_).all()
    for name in ("W", "b"):
        views[f"encoder/mean/{name}"][...] = 0.0
    with pytest.raises(InputError, match="collapsed"):
        small(vae).fit(x, y)


# Conventions


def test_probabilities_and_predictions_agree():
    x, y, _ = blobs()
    model = small().fit(x, y)
    p = model.predict_proba(x)
    np.testing.assert_allclose(p.sum(axis=1), 1.0, rtol=1e-5)
    np.testing.assert_array_equal(model.predict(x), model.classes_[p.argmax(axis=1)])
    np.testing.assert_allclose(np.log(p), model.predict_log_proba(x), rtol=1e-4)


def test_texts_are_labels():
    x, y, truth = blobs(labels=20)
    names = np.array(["round", "flat", "long"])
    texts = [names[c] if c >= 0 else None for c in y]
    model = small(epochs=40, learning_rate=0.01).fit(x, texts)
    assert model.classes_.tolist() == ["flat", "long", "round"]
    assert model.score(x, names[truth]) > 0.95 and set(model.predict(x)) <= set(names)
    assert model.sample("flat", 2).shape == (2, 2, 3)


def test_the_latent_mean_is_that_over_the_classes():
    x, y, _ = blobs()
    model = small(dtype="float64").fit(x, y)
    by_class = np.stack([model.encode(x, np.full(len(x), c))[0] for c in range(3)], axis=1)
    np.testing.assert_allclose(
        model.transform(x), (model.predict_proba(x)[:, :, None] * by_class).sum(axis=1), rtol=1e-8, atol=1e-12
    )
    np.testing.assert_array_equal(model.encode(x)[0], model.encode(x, model.predict(x))[0])


def test_analogies_keep_the_style_and_change_the_class():
    x, y, _ = blobs()
    model = small(epochs=60, learning_rate=0.01).fit(x, y)
    made = model.analogies(x[:5])
    assert made.shape == (5, 3, 2, 3)
    for c in range(3):
        assert (model.predict(made[:, c]) == c).all()
    given = model.analogies(x[:5], [0, 1, 2, 0, 1])
    z = model.encode(x[:5], [0, 1, 2, 0, 1])[0]
    np.testing.assert_allclose(given[2, 1], model._decode(z[2:3], np.array([1]))[0], rtol=1e-5)


def test_samples_repeat_themselves_and_draws_are_data():
    x, y, _ = blobs()
    model = small().fit(x, y)
    np.testing.assert_array_equal(model.sample(1, 4), model.sample(1, 4))
    assert (model.sample(1, 4, random_state=8) != model.sample(1, 4)).any()
    np.testing.assert_array_equal(model.sample([0, 2], 2)[1], model.sample(2, 2)[1])
    assert set(np.unique(model.sample(n=6, mean=False))) <= {0.0, 1.0}


def test_units_and_shape_come_back():
    x, y, _ = blobs()
    model = small(divide_by=255).fit((255 * x).astype(np.uint8), y)
    assert model.sample(0, 3).shape == (3, 2, 3) and 5.0 < model.sample(0, 3).max() <= 255.0


def test_columns_are_standardised_and_put_back(tmp_path):
    x, y, truth = blobs()
    wild = x.reshape(-1, 6) * [1, 10, 100, 1, 1000, 1] + [0, 5, 0, -3, 0, 0]
    arguments = {"likelihood": "gaussian_decoder", "epochs": 40, "learning_rate": 0.01}
    with pytest.warns(DataScaleWarning), pytest.raises(NonFiniteError, match="standardise"):
        small(**arguments).fit(wild, y)
    model = small(standardize=True, **arguments).fit(wild, y)
    plain = small(**arguments).fit((wild - wild.mean(axis=0)) / wild.std(axis=0), y)
    np.testing.assert_allclose(model.theta_, plain.theta_, rtol=1e-3, atol=1e-4)
    assert model.score(wild, truth) > 0.95
    np.testing.assert_allclose(
        model.sample(1, 4), plain.sample(1, 4) * wild.std(axis=0) + wild.mean(axis=0), rtol=1e-3, atol=1e-2
    )
    model.save(tmp_path / "m.npz")
    np.testing.assert_array_equal(
        SemiSupervisedVAE.load(tmp_path / "m.npz").predict_proba(wild), model.predict_proba(wild)
    )
    constant = np.where(np.arange(6) == 2, 4.0, wild)
    assert np.isfinite(small(standardize=True, **arguments).fit(constant, y).theta_).all()


# Training through the same code as the VAE's


def test_a_resumed_run_ends_with_the_same_bits(tmp_path):
    x, y, _ = blobs()
    for features in (None, small_features()):
        whole = small(features, epochs=4).fit(x, y)
        path = tmp_path / f"{features is None}.npz"

        class Killed(Exception):
            pass

        def kill(state):
            if state.epoch == 2:
                raise Killed

        with pytest.raises(Killed):
            small(features, epochs=4).fit(x, y, checkpoint=path, checkpoint_seconds=0, callbacks=[kill])
        resumed = small(features, epochs=4).fit(x, y, checkpoint=path, checkpoint_seconds=0, resume=True)
        np.testing.assert_array_equal(resumed.theta_, whole.theta_)
        assert resumed.history_["error"] == whole.history_["error"]
        other = np.where(y == 1, -1, y)
        other[np.flatnonzero(y == 1)[0]] = 1
        with pytest.raises(InputError, match="cannot be resumed"):
            small(features, epochs=4).fit(x, other, checkpoint=path, resume=True)


@pytest.mark.parametrize("features", [None, small_features()])
def test_validation_and_early_stopping(features):
    x, y, truth = blobs(300, 60)
    model = small(features, epochs=40, learning_rate=0.02, validation_fraction=0.3, patience=2).fit(x, y)
    assert {"val_bound", "val_error", "val_cross_entropy"} <= set(model.history_)
    assert model.best_epoch_ == 1 + int(np.argmax(model.history_["val_bound"]))
    given = small(features).fit(x, y, X_valid=x[:50], y_valid=truth[:50])
    assert np.isfinite(given.history_["val_error"]).all()
    unlabelled = small(features).fit(x, y, X_valid=x[:50])
    assert np.isnan(unlabelled.history_["val_error"]).all() and np.isfinite(unlabelled.history_["val_bound"]).all()


def test_the_guard_says_where(tmp_path):
    x, y, _ = blobs()
    model = small(optimizer="sgd", learning_rate=1e30, dtype="float32")
    with pytest.raises(NonFiniteError, match="epoch 1"):
        model.fit(x, y)
    assert np.isfinite(model.theta_).all() and model.stop_reason_ == "a number was not finite"


@pytest.mark.parametrize("backend", ["numba"])
def test_a_backend_changes_nothing(backend):
    pytest.importorskip("numba")
    x, y, _ = blobs()
    for binarize in ("none", "dynamic"):
        plain, other = (
            small(backend=name, dtype="float64", binarize=binarize).fit(x, y) for name in ("numpy", backend)
        )
        np.testing.assert_allclose(other.theta_, plain.theta_, rtol=1e-6, atol=1e-9)


# Files


@pytest.mark.parametrize("features", [None, small_features()])
@pytest.mark.parametrize("texts", [False, True])
def test_what_is_saved_comes_back(tmp_path, features, texts):
    x, y, _ = blobs()
    y = [None if c < 0 else "abc"[c] for c in y] if texts else y
    model = small(features, class_prior="labels", classifier_hidden=(4,)).fit(x, y)
    model.save(tmp_path / "m.npz")
    copy = SemiSupervisedVAE.load(tmp_path / "m.npz")
    np.testing.assert_array_equal(copy.predict_proba(x), model.predict_proba(x))
    np.testing.assert_array_equal(copy.analogies(x[:2]), model.analogies(x[:2]))
    np.testing.assert_array_equal(copy.sample(n=3, mean=False), model.sample(n=3, mean=False))
    assert copy.classes_.tolist() == model.classes_.tolist() and copy.classes_.dtype == model.classes_.dtype
    np.testing.assert_equal(dict(copy.history_), dict(model.history_))
    if features is None:
        np.testing.assert_array_equal(copy.fit(x, y).theta_, model.theta_)
    with pytest.raises(ModelFileError, match="SemiSupervisedVAE, not a VAE"):
        VAE.load(tmp_path / "m.npz")


def test_frozen_features_stay_fitted_where_estimators_are_copied(tmp_path):
    """By a stand-in of the same name: scikit-learn's own is used in a process apart, below."""

    class FrozenEstimator:
        def __init__(self, estimator):
            self.estimator = estimator

    x, y, _ = blobs()
    vae = small_features().fit(x)
    vae.stop_reason_ = "interrupted"  # whoever took it as it is has nothing to stop for
    for kind in (small, LatentClassifier):
        model = kind(FrozenEstimator(vae)).fit(x, y)
        assert model.features_ is vae
        model.save(tmp_path / "m.npz")
        copy = type(model).load(tmp_path / "m.npz")
        np.testing.assert_array_equal(copy.predict_proba(x), model.predict_proba(x))


def test_the_vae_of_a_classifier_on_features_is_trained_like_any_other(tmp_path):
    x, y, _ = blobs()
    epochs = []
    whole = LatentClassifier(small_features()).fit(x, y, callbacks=[lambda state: epochs.append(state.epoch)])
    assert epochs == list(range(1, 16)) and whole.sample_shape_ == (2, 3)
    LatentClassifier(small_features(epochs=6)).fit(x, y, checkpoint=tmp_path / "c.npz")
    again = LatentClassifier(small_features()).fit(x, y, checkpoint=tmp_path / "c.npz", resume=True)
    np.testing.assert_array_equal(again.features_.theta_, whole.features_.theta_)
    for argument in ({"checkpoint": tmp_path / "d.npz"}, {"callbacks": [print]}, {"resume": True}):
        with pytest.raises(InputError, match="for a VAE of features that is not fitted yet"):
            LatentClassifier(whole.features_).fit(x, y, **argument)


def test_the_classifier_on_features(tmp_path):
    x, y, truth = blobs()
    model = LatentClassifier(small_features()).fit(x, y)
    assert model.score(x, truth) > 0.95 and model.predict_proba(x).shape == (200, 3)
    model.save(tmp_path / "l.npz")
    copy = LatentClassifier.load(tmp_path / "l.npz")
    np.testing.assert_array_equal(copy.predict_proba(x), model.predict_proba(x))
    assert copy.fit(x, y).features_ is copy.features  # what was loaded is fitted, and used as it is
    with pytest.raises(ModelFileError, match="npvae-latent-classifier"):
        SemiSupervisedVAE.load(tmp_path / "l.npz")


def test_a_classifier_may_learn_from_samples_of_the_features(tmp_path):
    x, y, truth = blobs()

    class Watched(Nearest):
        def fit(self, X, y):
            seen.append((X, y))
            return super().fit(X, y)

    seen = []
    vae = small_features().fit(x)
    model = LatentClassifier(vae, Watched(), samples=50).fit(x, y)
    (X, labels), count = seen[0], int((y >= 0).sum())
    assert X.shape == (50 * count, model.used_dimensions_.size) and (labels.reshape(50, count) == y[:count]).all()
    mu, logvar = (part[:count, model.used_dimensions_] for part in vae.encode(x))
    eps = random.normal(vae.seed_, "feature noise", 0, (50, *mu.shape), "float32")
    np.testing.assert_allclose(X.reshape(50, count, -1), mu + np.exp(0.5 * logvar) * eps, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(X.reshape(50, count, -1).mean(axis=0), mu, atol=0.6)
    np.testing.assert_allclose(X.reshape(50, count, -1).std(axis=0).mean(), np.exp(0.5 * logvar).mean(), rtol=0.1)
    own = LatentClassifier(vae, samples=5).fit(x, y)
    own.save(tmp_path / "l.npz")
    assert LatentClassifier.load(tmp_path / "l.npz").samples == 5
    with pytest.raises(InputError, match="samples"):
        LatentClassifier(vae, samples=-1).fit(x, y)


class Nearest:
    """Scikit-learn's two methods and no more."""

    def fit(self, X, y):
        self.X, self.y = X, y
        return self

    def predict(self, X):
        return self.y[np.square(X[:, None] - self.X).sum(axis=2).argmin(axis=1)]


def test_a_classifier_of_one_s_own(tmp_path):
    x, y, truth = blobs()
    own = Nearest()
    model = LatentClassifier(small_features(), own).fit(x, y)
    assert model.score(x, truth) > 0.95 and not hasattr(own, "X")
    with pytest.raises(InputError, match="Nearest cannot be written without pickle"):
        model.save(tmp_path / "l.npz")
    with pytest.raises(InputTypeError, match="fit and predict, got str"):
        LatentClassifier(small_features(), "svm").fit(x, y)


# What is refused


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.full(200, -1), "no labelled row"),
        (np.full(200, 2), "only one class"),
        (np.full(200, np.nan), "every label is -1 or missing"),
        (np.zeros(199, int), "X has 200 rows, y has 199"),
        (np.linspace(0, 1, 200), "continuous"),
        (None, "requires y"),
    ],
)
def test_bad_labels_are_refused_before_anything_is_trained(labels, words):
    x, *_ = blobs()
    for model in (small(), small(small_features()), LatentClassifier(small_features()), SoftmaxRegression()):
        rows = x if not isinstance(model, SoftmaxRegression) else x.reshape(200, 6)
        with pytest.raises(InputError, match=words):
            model.fit(rows, labels)


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"classes": [0, 1]}, InputError, "not among the classes 0, 1"),
        ({"classes": [0, 1, 2, 3]}, InputError, "no labelled row of the class 3"),
        ({"class_prior": "uniform"}, InputError, "class_prior"),
        ({"class_prior": (0.5, 0.5)}, InputError, "3 numbers of sum 1"),
        ({"alpha": -1.0}, InputError, "alpha"),
        ({"likelihood": "no such"}, InputError, "likelihood"),
        ({"features": 3}, InputTypeError, "features must be a VAE, got int"),
        (
            {"features": small_features(), "divide_by": 255},
            InputError,
            "divide_by is an argument of the VAE of features",
        ),
        (
            {"features": small_features(), "binarize": "dynamic"},
            InputError,
            "binarize is an argument of the VAE of features",
        ),
        ({"patience": 3}, InputError, "validation"),
    ],
)
def test_bad_arguments_are_refused(changes, kind, words):
    x, y, _ = blobs()
    with pytest.raises(kind, match=words):
        small(**changes).fit(x, y)


def test_other_mistakes_are_named():
    x, y, truth = blobs()
    with pytest.raises(NotFittedError):
        small().predict(x)
    with pytest.raises(InputError, match="y_valid needs X_valid"):
        small().fit(x, y, y_valid=y)
    with pytest.raises(InputError, match="y_valid holds 7"):
        small().fit(x, y, X_valid=x, y_valid=np.full(200, 7))
    model = small().fit(x, y)
    with pytest.raises(InputError, match="label holds 9, which is not among the classes 0, 1, 2"):
        model.sample(9)
    assert model.sample([0, 1]).shape == (2, 2, 3)
    with pytest.raises(InputTypeError, match="cannot be compared"):
        model.score(x, truth.astype(str))
    with pytest.raises(InputError, match="row 1 has none"):
        model.encode(x[:2], [0, -1])
    with pytest.raises(InputError, match="no labelled row to judge by"):
        model.score(x, np.full(200, -1))
    with pytest.raises(InputError, match="6 features"):
        model.predict(x.reshape(100, -1))
    assert model.score(x, np.where(truth == 0, 5, truth)) <= np.mean(truth != 0)  # a class there is not is never right


@pytest.mark.parametrize(
    "wrong", [{"classes": 5}, {"class_prior": {0: 0.5, 1: 0.5}}, {"class_prior": iter((0.5, 0.5))}]
)
def test_arguments_of_another_kind_are_refused(wrong):
    x, y, _ = blobs()
    with pytest.raises((InputTypeError, InputError), match=next(iter(wrong))):
        small(**wrong).fit(x, y)


def test_a_refused_fit_leaves_what_was_fitted():
    x, y, _ = blobs()
    more = np.where(np.arange(200) < 20, np.arange(200) % 5, -1)
    for model in (small(standardize=True, likelihood="gaussian_decoder"), small(small_features())):
        model.fit(x, y)
        before = model.predict_proba(x)
        for changes in ({"X_valid": x[:, :1]}, {"checkpoint": "no/such/folder/c.npz"}):
            with pytest.raises((InputError, FileNotFoundError)):
                model.fit(100 * x.clip(0, 0.01) + 0.1, more, **changes)
            np.testing.assert_array_equal(model.predict_proba(x), before)
            assert model.classes_.tolist() == [0, 1, 2]
    latent = LatentClassifier(small_features()).fit(x, y)
    before = latent.predict(x)
    latent.classifier = "svm"
    with pytest.raises(InputTypeError):
        latent.fit(x.reshape(200, 6)[:, :4], y)
    np.testing.assert_array_equal(latent.predict(x), before)


def test_a_refused_fit_leaves_nothing_behind(tmp_path):
    x, y, _ = blobs()
    for model in (
        small(standardize=True),
        small(small_features(epochs=1)),
        LatentClassifier(small_features(), samples=-1),
    ):
        before = dict(vars(model))
        changes = {} if isinstance(model, LatentClassifier) else {"X_valid": x[:, :1]}
        with pytest.raises(InputError):
            model.fit(x, y, **changes)
        assert vars(model) == before
    path = tmp_path / "c.npz"
    path.write_text("somebody's")
    with pytest.raises(InputError, match="is no checkpoint of npvae"):  # before the features are trained
        small(small_features()).fit(x, y, checkpoint=path)
    assert [file.name for file in tmp_path.iterdir()] == ["c.npz"] and path.read_text() == "somebody's"
    for model in (small(), LatentClassifier(small_features())):
        with pytest.raises(InputError, match="checkpoint_seconds must be"):
            model.fit(x, y, checkpoint=tmp_path / "d.npz", checkpoint_seconds=-1.0)


def test_hardly_two_rows_a_class_draw_a_warning_of_fit():
    x, *_ = blobs()
    y = np.where(np.arange(200) < 15, np.arange(200) % 11, -1)
    for model in (small(epochs=1), LatentClassifier(small_features())):
        with pytest.warns(ManyClassesWarning, match="y holds 11 classes in 15 labelled rows"):
            model.fit(x, y)


def test_held_out_rows_may_take_the_last_label_of_a_class():
    x, y, _ = blobs(labels=3)
    with pytest.raises(InputError, match="is left to learn from|no labelled row"):
        small(validation_fraction=0.9).fit(x, y)


def test_nothing_of_an_earlier_fit_stays():
    x, y, _ = blobs()
    model = small(standardize=True, likelihood="gaussian_decoder").fit(x, y)
    assert model.center_.shape == (6,)
    model.set_params(features=small_features(), standardize=False, likelihood=None).fit(x, y)
    assert model.center_ is None and model.features_ is not None
    model.set_params(features=None).fit(x, y)
    assert model.features_ is None and model.used_dimensions_ is None
    np.testing.assert_allclose(model.class_prior_, np.full(3, 1 / 3))


def test_held_out_rows_have_no_part_in_the_scale():
    x, y, _ = blobs()
    model = small(standardize=True, likelihood="gaussian_decoder", validation_fraction=0.25)
    x = 3.0 * x.reshape(200, 6) + 5.0
    run = model.prepare(x, y)
    trained, held_out = run.x[:, :-1], run.x_valid[:, :-1]
    assert len(held_out) == len(x) // 4
    np.testing.assert_allclose(trained.mean(axis=0), 0.0, atol=1e-5)
    np.testing.assert_allclose(trained.std(axis=0), 1.0, rtol=1e-5)
    assert np.abs(held_out.mean(axis=0)).max() > 1e-3
    put_back = np.concatenate([trained, held_out]) * model.scale_ + model.center_
    np.testing.assert_allclose(np.sort(put_back, axis=0), np.sort(x, axis=0), rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_column_of_equal_numbers_is_left_as_large_as_it_is(dtype):
    """Also where their mean is rounded to another number."""
    x, y, _ = blobs()
    x = x.reshape(200, 6).copy()
    x[:, 2] = 0.1
    model = small(standardize=True, likelihood="gaussian_decoder", dtype=dtype).fit(x, y)
    assert model.scale_[2] == 1.0 and (model.scale_ > 1e-3).all()
    x[:, 2] += 1e-6
    assert np.isfinite(model.predict_log_proba(x)).all()
    np.testing.assert_allclose(
        model.predict_proba(x), model.predict_proba(np.where(np.arange(6) == 2, 0.1, x)), atol=1e-4
    )


def test_what_is_saved_is_what_was_fitted(tmp_path):
    x, y, _ = blobs()
    for standardize in (False, True):
        model = small(standardize=standardize).fit(x, y)
        model.set_params(standardize=not standardize, divide_by=7.0, latent_dim=9)
        model.save(tmp_path / "m.npz")
        copy = SemiSupervisedVAE.load(tmp_path / "m.npz")
        assert copy.standardize is standardize
        np.testing.assert_array_equal(copy.predict_proba(x), model.predict_proba(x))


def test_truth_values_are_labels():
    x, y, truth = blobs()
    model = small().fit(x, truth > 0)
    assert model.sample(model.classes_[0], 2).shape == (2, 2, 3) and model.predict(x).dtype == bool
    mixed = [None if i % 2 else np.bool_(label > 0) for i, label in enumerate(truth)]
    assert small().fit(x, mixed).classes_.tolist() == [False, True]


class Pressed(VAE):
    """Ctrl-C comes when its second epoch ends."""

    def fit(self, X, y=None, callbacks=(), **checkpoints):
        def press(state):
            if state.epoch == 2:
                os.kill(os.getpid(), signal.SIGINT)

        return super().fit(X, callbacks=[*callbacks, press], **checkpoints)


def test_ctrl_c_while_features_are_learnt(tmp_path):
    """M1+M2 is what it was before, M1 has a classifier of the features so far; both go on from the checkpoint."""
    x, y, _ = blobs()
    pressed, path = Pressed(**small_features().get_params()), tmp_path / "c.npz"
    model = small(pressed)
    with pytest.raises(TrainingInterrupted):
        model.fit(x, y, checkpoint=path)
    assert not hasattr(model, "theta_") and not path.exists() and (tmp_path / "c-features.npz").exists()
    resumed = small(small_features()).fit(x, y, checkpoint=path, resume=True)
    np.testing.assert_array_equal(resumed.theta_, small(small_features()).fit(x, y).theta_)

    model = LatentClassifier(pressed)
    with pytest.raises(TrainingInterrupted) as caught:
        model.fit(x, y, checkpoint=tmp_path / "m1.npz")
    assert caught.value.estimator is model and model.features_.history_.epochs == 2 and model.predict(x).shape == (200,)
    resumed = LatentClassifier(small_features()).fit(x, y, checkpoint=tmp_path / "m1.npz", resume=True)
    np.testing.assert_array_equal(
        resumed.predict_proba(x), LatentClassifier(small_features()).fit(x, y).predict_proba(x)
    )
    assert {file.name for file in tmp_path.iterdir()} == {"c.npz", "c-features.npz", "m1.npz"}


def test_scikit_learn_s_nested_arguments():
    model = small(small_features())
    assert model.get_params()["features__latent_dim"] == 3 and "features__latent_dim" not in model.get_params(
        deep=False
    )
    model.set_params(features__latent_dim=4, latent_dim=5)
    assert model.features.latent_dim == 4 and model.latent_dim == 5
    with pytest.raises(InputError, match="no_such"):
        model.set_params(features__no_such=1)


SKLEARN_CHECKS = """
import os, warnings
warnings.simplefilter("ignore")
warnings.filterwarnings("always", message="A column-vector")
os.environ["SCIPY_ARRAY_API"] = "1"
from sklearn.utils.estimator_checks import check_estimator
from npvae import LatentClassifier, SemiSupervisedVAE, SoftmaxRegression, VAE
reasons = {
    "check_dtype_object": "object arrays are refused, whatever they hold",
    "check_classifiers_classes": "-1 means no label, as in scikit-learn's own semi-supervised classifiers",
}
features = VAE(
    2, (), epochs=30, dtype="float64", likelihood="gaussian_per_feature", output_bias="data", batch_size=10,
    random_state=0,
)
for model in (
    SoftmaxRegression(), LatentClassifier(features),
    SemiSupervisedVAE(
        latent_dim=2, hidden=(8,), epochs=60, batch_size=10, learning_rate=0.01, likelihood="gaussian_per_feature",
        random_state=0,
    ),
):
    results = check_estimator(model, on_fail=None, expected_failed_checks=reasons)
    failed = [r for r in results if r["status"] == "failed"]
    for r in failed:
        print(type(model).__name__, r["check_name"], repr(r["exception"]))
    assert not failed and len(results) > 45, len(results)

import numpy as np
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import cross_val_score
x = np.random.default_rng(0).normal(0, 1, (60, 2)) + 4 * (np.arange(60) % 2)[:, None]
features.fit(x)
model = SemiSupervisedVAE(
    FrozenEstimator(features), latent_dim=2, hidden=(8,), epochs=20, learning_rate=0.01, random_state=0
)
assert clone(model).fit(x, np.arange(60) % 2).features_ is features
assert cross_val_score(model, x, np.arange(60) % 2, cv=2).mean() > 0.9

# NaN is allowed by what takes tables; infinity never is.
from sklearn.utils import get_tags
x[3, 1] = np.nan
for arguments, taken in (
    ({}, True), ({"likelihood": "auto"}, True), ({"likelihood": "gaussian"}, False), ({"standardize": True}, False)
):
    for wrong in (np.nan, np.inf, -np.inf):
        model = SemiSupervisedVAE(latent_dim=2, hidden=(8,), epochs=1, random_state=0, **arguments)
        assert get_tags(model).input_tags.allow_nan is taken, arguments
        x[3, 1] = wrong
        try:
            model.fit(x, np.arange(60) % 2)
        except ValueError:
            assert not (taken and np.isnan(wrong)), (arguments, wrong)
        else:
            assert taken and np.isnan(wrong), (arguments, wrong)
"""


@pytest.mark.slow
def test_scikit_learns_own_checks():
    """In a process of its own, since scikit-learn must not be imported by the tests around it."""
    pytest.importorskip("sklearn", minversion="1.6")
    done = processes.run([sys.executable, "-c", SKLEARN_CHECKS])
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_global_state_is_touched():
    x, y, _ = blobs()
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", PosteriorCollapseWarning)
        small().fit(x, y).sample(0)
    np.testing.assert_array_equal(before, np.random.get_state()[1])


def test_classes_and_styles_of_samples_are_those_of_their_purposes():
    x, y, _ = blobs()
    model = small(class_prior=(0.2, 0.5, 0.3), dtype="float64", backend="numpy").fit(x, y)
    u, z = random.uniform(1, "class sample", 0, (500,)), random.normal(1, "prior sample", 0, (500, 2), "float64")
    codes = np.array([0 if v < 0.2 else 1 if v < 0.7 else 2 for v in u])
    assert np.bincount(codes).min() > 60
    views = model.model_.views(model.theta_)
    seen = np.concatenate([z, np.eye(3)[codes]], axis=1)
    np.testing.assert_allclose(model.sample(n=500).reshape(500, -1), model.model_.expected(views, seen), rtol=1e-12)
    drawn = model.model_.draw(views, seen, random.Stream(1, "data sample", 0))
    np.testing.assert_array_equal(model.sample(n=500, mean=False).reshape(500, -1), drawn)
    np.testing.assert_array_equal(
        model.sample([2, 0, 1]), np.concatenate([model.sample(c, 3)[i : i + 1] for i, c in enumerate((2, 0, 1))])
    )


def test_the_class_of_a_number_at_an_end_of_its_interval(monkeypatch):
    """Class c has the numbers u from p_0 + ... + p_(c-1), that one included; the last has all that are left."""
    x, y, _ = blobs()
    u = np.array([0.0, 0.25, np.nextafter(0.25, 0.0), 0.5, 0.75, 1.0 - 2.0**-53])
    drawn_by = random.uniform

    def given(seed, purpose, *place, **more):
        return u if purpose == "class sample" else drawn_by(seed, purpose, *place, **more)

    for prior, wanted in (((0.25, 0.5, 0.25), [0, 1, 0, 1, 2, 2]), ((0.25, 0.5, 0.2499995), [0, 1, 0, 1, 2, 2])):
        model = small(class_prior=prior, epochs=1).fit(x, y)
        with monkeypatch.context() as patch:
            patch.setattr(random, "uniform", given)
            drawn = model.sample(n=6)
        np.testing.assert_array_equal(drawn, model.sample(wanted))
        np.testing.assert_array_equal(drawn, model.sample(np.array(wanted)))
    for label in (None, 1):
        with pytest.raises(InputError, match="n must be at least 1, got 0"):
            model.sample(label, 0)
    with pytest.raises(InputError, match="n must be at least 1, got 0"):
        model.sample([])


def test_dimensions_vary_whose_deviation_is_above_the_limit(monkeypatch):
    assert used_dimensions(np.array([[-1.0], [1.0]]) * [0.099, 0.101, 0.0, 3.0]).tolist() == [1, 3]
    monkeypatch.setattr("npvae.estimators.semisupervised.features.SMALLEST_DEVIATION", 0.5)
    mu = np.array([[-0.5, 0.0, -0.75, 7.0], [0.5, 1.5, 0.75, 7.0]])
    assert used_dimensions(mu).tolist() == [1, 2]


def test_probabilities_of_a_classifier_of_one_s_own():
    """From its predict_log_proba, or as the logarithm of its predict_proba, which may be 0."""
    x, y, _ = blobs()

    class Sure(Nearest):
        def predict_proba(self, X):
            return np.eye(3)[self.predict(X)]

    model = LatentClassifier(small_features(), Sure()).fit(x, y)
    np.testing.assert_array_equal(model.predict_log_proba(x), np.where(np.eye(3)[model.predict(x)] == 1, 0.0, -np.inf))
    with pytest.raises(AttributeError, match="predict_proba"):
        LatentClassifier(small_features(), Nearest()).fit(x, y).predict_proba(x)
    for fitted in (model, small().fit(x, y)):
        with pytest.raises(InputError, match="NaN"):
            fitted.predict(np.full((2, 2, 3), np.nan))


def test_ctrl_c_before_there_are_features():
    x, y, _ = blobs()

    class Collapsed(Pressed):
        def transform(self, X):
            return np.zeros((len(X), 3))

    vae = Collapsed(**small_features().get_params())
    model = LatentClassifier(vae)
    with pytest.raises(TrainingInterrupted) as caught:
        model.fit(x, y)
    assert type(caught.value.estimator) is Collapsed and not hasattr(model, "classifier_")


@pytest.mark.parametrize("rows", [7, 200])
def test_how_many_rows_are_looked_at_together_changes_nothing(monkeypatch, rows):
    x, y, _ = blobs()
    model = small(dtype="float64", backend="numpy").fit(x, y)
    whole = [model.predict_log_proba(x), model.transform(x), *model.encode(x), model.analogies(x)]
    monkeypatch.setattr("npvae.estimators.semisupervised.inference.ROWS_AT_ONCE", rows)
    parts = [model.predict_log_proba(x), model.transform(x), *model.encode(x), model.analogies(x)]
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_a_classifier_on_features_that_is_not_fitted_says_so(tmp_path):
    x, *_ = blobs()
    model = LatentClassifier(small_features())
    for use in (model.transform, model.predict, model.predict_log_proba, lambda _: model.save(tmp_path / "l.npz")):
        with pytest.raises(NotFittedError, match="this LatentClassifier is not fitted yet: call fit or load first"):
            use(x)
    assert not list(tmp_path.iterdir())


def test_arguments_of_a_classifier_on_features_are_set_by_name():
    model = LatentClassifier(small_features())
    assert model.set_params(samples=3, features__latent_dim=4) is model and (
        model.samples,
        model.features.latent_dim,
    ) == (3, 4)
    with pytest.raises(InputError, match="Invalid parameter 'no_such'"):
        model.set_params(no_such=1)


def test_a_class_of_no_probability_is_no_error():
    x, y, _ = blobs()
    model = small(backend="numpy", dtype="float64").fit(x, y)
    model.model_.views(model.theta_)["classifier/logits/b"][...] = [1e308, -1e308, 0.0]
    with np.errstate(over="ignore"):
        assert (model.predict_proba(x)[:, 0] == 1.0).all() and (model.predict(x) == 0).all()
        log_p = model.predict_log_proba(x)
    assert (log_p[:, 0] == 0.0).all() and (log_p[:, 1] == -np.inf).all() and np.isfinite(log_p[:, 2]).all()


@pytest.mark.parametrize(
    ("prior", "fits"),
    [
        ((0.2, 0.3, 0.5), True),
        ((0.2, 0.3, 0.5000009), True),
        ((0.2, 0.3, 0.500002), False),
        ((0.2, 0.3, 0.499998), False),
        ((0.5, 0.5, 0.0), False),
        ((0.6, 0.6, -0.2), False),
        ((0.25,) * 4, False),
    ],
)
def test_what_a_prior_of_classes_may_be(prior, fits):
    from npvae.mathematics.semi_supervised import probabilities

    if fits:
        assert probabilities("class_prior", list(prior), 3) == prior
    else:
        with pytest.raises(InputError, match="class_prior must be"):
            probabilities("class_prior", prior, 3)
