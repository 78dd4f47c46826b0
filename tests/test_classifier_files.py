"""Files of classifiers, M2, M1+M2 and M1: what comes back of them, and those that contradict themselves."""

from __future__ import annotations

import numpy as np
import pytest
import sealed
from test_semi_supervised import blobs, small

from npvae import VAE, LatentClassifier, SemiSupervisedVAE
from npvae.errors import ModelFileError

KINDS = {"m2": SemiSupervisedVAE, "standardised": SemiSupervisedVAE, "m1+m2": SemiSupervisedVAE, "m1": LatentClassifier}


@pytest.fixture(scope="module")
def models():
    """One of each kind; the VAE of features uses its dimensions 1 and 3 of four."""
    x, y, _ = blobs(60, 20)
    vae = VAE(4, (5,), epochs=1, random_state=2).fit(x)
    weights = vae.parameters_["encoder/mean/W"]
    weights[:, [1, 3]] *= 50.0
    weights[:, [0, 2]] = vae.parameters_["encoder/mean/b"][[0, 2]] = 0.0
    return {
        "m2": small(epochs=1).fit(x, y),
        "standardised": small(standardize=True, epochs=1).fit(x, y),
        "m1+m2": small(vae, epochs=1).fit(x, y),
        "m1": LatentClassifier(vae, samples=3).fit(x, y),
    }


@pytest.mark.parametrize("kind", KINDS)
def test_everything_that_was_learnt_comes_back(models, tmp_path, kind):
    model, path = models[kind], tmp_path / "m.npz"
    model.save(path)
    copy = KINDS[kind].load(path)
    for name in ("classes_", "class_prior_", "center_", "scale_", "used_dimensions_", "theta_"):
        found, wanted = getattr(copy, name, None), getattr(model, name, None)
        if wanted is None:
            assert found is None, name
        else:
            np.testing.assert_array_equal(found, wanted)
            assert found.dtype == wanted.dtype, name
    assert (copy.n_features_in_, copy.sample_shape_) == (model.n_features_in_, model.sample_shape_) == (6, (2, 3))
    x, *_ = blobs(60)
    np.testing.assert_array_equal(copy.predict_log_proba(x), model.predict_log_proba(x))
    if kind != "m2" and kind != "standardised":
        assert model.used_dimensions_.tolist() == [1, 3] and copy.features_ is copy.features
        np.testing.assert_array_equal(copy.features_.theta_, model.features_.theta_)
    if kind == "m1":
        assert (copy.samples, copy.classifier_.l2, copy.classifier_.n_features_in_) == (3, 1e-3, 2)
        np.testing.assert_array_equal(copy.classifier_.predict(copy.transform(x)), copy.predict(x))


def scaled(factor):
    return lambda array: array * factor


def with_one(value):
    return lambda array: np.where(np.arange(array.size).reshape(array.shape) == 1, value, array)


def as_float32(array):
    return array.astype(np.float32)


def without_last(array):
    return array[..., :-1]


@pytest.mark.parametrize(
    ("kind", "changed", "changes", "words"),
    [
        ("standardised", {"center": None}, {}, "the array 'center' is missing"),
        ("standardised", {"scale": None}, {}, "the array 'scale' is missing"),
        *(
            ("standardised", {name: change}, {}, "its means and deviations do not fit its features")
            for name in ("center", "scale")
            for change in (without_last, as_float32, with_one(np.nan), with_one(np.inf))
        ),
        ("standardised", {"scale": scaled(0.0)}, {}, "its deviations are not all above 0"),
        ("standardised", {"scale": scaled([1, 1, -1, 1, 1, 1])}, {}, "its deviations are not all above 0"),
        ("m2", {"center": lambda _: np.zeros(6)}, {}, "the array 'scale' is missing"),
        ("m2", {"scale": lambda _: np.ones(6)}, {}, "'center' is missing"),
        ("m2", {"more": lambda _: np.zeros(1)}, {}, "the array 'more' is of no use to it"),
        ("m2", {}, {"class_prior": [0.5, 0.5]}, "it has 3 classes and a prior of 2"),
        ("m2", {}, {"classes": [0, 1]}, "it has 2 classes and a prior of 3"),
        ("m2", {}, {"classes": [0, 1], "class_prior": [0.5, 0.5]}, "it has 2 classes and a prior of 2"),
        ("m2", {}, {"classes": [0, 1, 1]}, "twice"),
        ("m2", {}, {"classes": [0]}, "classes"),
        ("m2", {}, {"class_prior": [0.0, 0.5, 0.5]}, "class_prior"),
        ("m1+m2", {"center": lambda _: np.zeros(2)}, {}, "the array 'center' is of no use to it"),
        ("m1+m2", {"features/theta": None}, {}, "theta"),
        ("m1+m2", {"features/more": lambda _: np.zeros(1)}, {}, "more"),
        *(
            (kind, {}, {f"{place}used_dimensions": used}, r"its features \[.*\] are no dimensions of its VAE")
            for kind, place in (("m1+m2", "features__"), ("m1", ""))
            for used in ([3, 1], [1, 1], [1, 4], [4])
        ),
        *(
            (kind, {}, {f"{place}used_dimensions": used}, "used_dimensions")
            for kind, place in (("m1+m2", "features__"), ("m1", ""))
            for used in ([], [-1, 3])
        ),
        ("m1+m2", {}, {"features__used_dimensions": [1]}, "its architecture is for another number of features"),
        (
            "m1",
            {},
            {"used_dimensions": [1]},
            r"the shapes \(\(2, 3\), \(3,\)\), which do not fit its features and classes",
        ),
        ("m1", {}, {"classes": [0, 1]}, "which do not fit its features and classes"),
        *(
            ("m1", {name: without_last}, {}, "which do not fit its features and classes")
            for name in ("coef", "intercept")
        ),
        ("m1", {"coef": lambda array: np.ascontiguousarray(array.T)}, {}, "which do not fit its features and classes"),
        *(
            ("m1", {name: change}, {}, "its classifier is not of finite float64 numbers")
            for name in ("coef", "intercept")
            for change in (as_float32, with_one(np.nan), with_one(np.inf))
        ),
        ("m1", {"coef": None}, {}, "the array 'coef' is missing"),
        ("m1", {"intercept": None}, {}, "the array 'intercept' is missing"),
        ("m1", {"more": lambda _: np.zeros(1)}, {}, "the array 'more' is of no use to it"),
        ("m1", {}, {"l2": 0.0}, "l2"),
        ("m1", {}, {"samples": -1}, "samples"),
        ("m1", {}, {"classes": [0]}, "classes"),
    ],
)
def test_what_contradicts_itself_is_refused(models, tmp_path, kind, changed, changes, words):
    path = tmp_path / "m.npz"
    models[kind].save(path)
    arrays = sealed.read(path)[1]
    sealed.edit(
        path,
        {name: None if change is None else np.asarray(change(arrays.get(name))) for name, change in changed.items()},
        **changes,
    )
    with pytest.raises(ModelFileError, match=words):
        KINDS[kind].load(path)


def test_dimensions_up_to_the_last_may_be_features(models, tmp_path):
    path = tmp_path / "m.npz"
    for kind, place in (("m1+m2", "features__"), ("m1", "")):
        models[kind].save(path)
        sealed.edit(path, {}, **{f"{place}used_dimensions": [0, 3]})
        assert KINDS[kind].load(path).used_dimensions_.tolist() == [0, 3]
