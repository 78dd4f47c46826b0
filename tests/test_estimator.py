"""The public face: conventions, shapes, units, files, and errors that name what is wrong."""

from __future__ import annotations

import sys

import numpy as np
import processes
import pytest
from small import grey_rows, small_vae

from npvae import VAE
from npvae.errors import (
    DataConversionWarning,
    DataScaleWarning,
    InputError,
    InputTypeError,
    NonFiniteError,
    NotFittedError,
)


def test_fit_returns_self_and_the_same_seed_gives_the_same_run():
    x = grey_rows()
    first, second, other = small_vae().fit(x), small_vae().fit(x), small_vae(random_state=2).fit(x)
    np.testing.assert_array_equal(first.theta_, second.theta_)
    assert not np.array_equal(first.theta_, other.theta_)


def test_a_fresh_seed_is_kept_and_repeats_the_run():
    x = grey_rows()
    first = small_vae(random_state=None).fit(x)
    np.testing.assert_array_equal(first.theta_, small_vae(random_state=first.seed_).fit(x).theta_)


def test_the_global_generator_is_not_touched():
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    small_vae().fit(grey_rows()).sample(3)
    np.testing.assert_array_equal(before, np.random.get_state()[1])


def test_transform_reconstruct_and_sample_repeat_themselves():
    vae, x = small_vae().fit(grey_rows()), grey_rows(5)
    np.testing.assert_array_equal(vae.transform(x), vae.transform(x))
    np.testing.assert_array_equal(vae.reconstruct(x), vae.inverse_transform(vae.transform(x)))
    np.testing.assert_array_equal(vae.sample(4), vae.sample(4))
    assert not np.array_equal(vae.sample(4), vae.sample(4, random_state=7))
    assert not np.array_equal(vae.reconstruct(x, sample=True), vae.reconstruct(x))


def test_encode_in_batches_is_encode_at_once():
    vae = small_vae().fit(grey_rows())
    x = grey_rows(2003)
    mu, logvar = vae.encode(x)
    assert mu.shape == logvar.shape == (2003, 2)
    np.testing.assert_allclose(mu[1500:1503], vae.transform(x[1500:1503]), rtol=1e-5)


def test_samples_without_noise_are_means_and_with_noise_are_data():
    vae = small_vae().fit(grey_rows())
    assert set(np.unique(vae.sample(50, mean=False))) == {0.0, 1.0}
    mean = vae.sample(50)
    assert mean.min() > 0 and mean.max() < 1
    gaussian = small_vae(likelihood={"name": "gaussian", "variance": 0.25}).fit(grey_rows())
    noise = gaussian.sample(4000, mean=False) - gaussian.sample(4000)
    assert noise.var() == pytest.approx(0.25, rel=5 * np.sqrt(2 / noise.size))


def test_images_keep_their_shape_and_units():
    images = (grey_rows(30).reshape(30, 2, 3) * 255).round().astype(np.uint8)
    vae = small_vae(divide_by=255).fit(images)
    assert vae.sample_shape_ == (2, 3) and vae.n_features_in_ == 6
    assert vae.sample(4).shape == (4, 2, 3)
    made = vae.reconstruct(images)
    assert made.shape == images.shape and made.max() > 1 and made.dtype == np.float32
    np.testing.assert_allclose(
        vae.transform(images),
        small_vae().fit(images.reshape(30, 6) / 255).transform(images.reshape(30, 6) / 255),
        rtol=1e-5,
        atol=1e-7,
    )


def test_dtype_is_kept():
    for dtype in ("float32", "float64"):
        vae = small_vae(dtype=dtype).fit(grey_rows())
        assert vae.theta_.dtype == vae.transform(grey_rows()).dtype == vae.sample(2).dtype == dtype


def test_parameters_are_views_of_theta():
    vae = small_vae().fit(grey_rows())
    vae.parameters_["decoder/logits/b"][...] = 7.0
    assert (vae.theta_ == 7.0).sum() == 6


def test_elbo_bounds_the_importance_estimate_and_more_samples_bring_it_up():
    vae, x = small_vae(dtype="float64", epochs=20).fit(grey_rows(200)), grey_rows(50, seed=9).round()
    elbo = vae.elbo(x, draws=200)
    few, many = vae.score_samples(x, samples=5).mean(), vae.score(x)
    assert elbo < few + 0.02 and few < many + 0.02 and elbo < many


def test_importance_estimate_is_the_exact_log_likelihood_of_a_linear_gaussian_model():
    """x ~ N(b, W W^T + v I) exactly; the estimate at 20,000 samples against it, and the ELBO below."""
    vae = small_vae(hidden=(), likelihood={"name": "gaussian", "variance": 0.3}, dtype="float64", epochs=30)
    x = grey_rows(12, seed=5)
    vae.fit(grey_rows(200))
    W, b = vae.parameters_["decoder/mean/W"], vae.parameters_["decoder/mean/b"]
    covariance = W.T @ W + 0.3 * np.eye(6)
    _, log_determinant = np.linalg.slogdet(2 * np.pi * covariance)
    centred = x - b
    exact = -0.5 * (np.sum(centred @ np.linalg.inv(covariance) * centred, axis=1) + log_determinant)
    np.testing.assert_allclose(vae.score_samples(x, samples=20000), exact, atol=0.03)
    assert vae.elbo(x, draws=500) < exact.mean()


def test_validation_rows_are_held_out_from_training():
    x = grey_rows(40)
    vae = small_vae(validation_fraction=0.25).fit(x)
    assert "val_elbo" in vae.history_
    given = small_vae().fit(x, X_valid=grey_rows(10, seed=8))
    assert "val_elbo" in given.history_


def test_get_params_set_params_and_clone():
    vae = small_vae(activation="tanh")
    parameters = vae.get_params()
    assert parameters["activation"] == "tanh" and VAE(**parameters).get_params() == parameters
    assert vae.set_params(latent_dim=3) is vae and vae.latent_dim == 3
    assert "latent_dim=3" in repr(vae) and "beta" not in repr(vae)
    with pytest.raises(InputError, match="latent_dims"):
        vae.set_params(latent_dims=3)


def test_before_fit_every_method_says_so():
    for call in ("transform", "encode", "reconstruct", "inverse_transform", "elbo", "score_samples"):
        with pytest.raises(NotFittedError, match="call fit"):
            getattr(VAE(), call)(grey_rows())
    with pytest.raises(NotFittedError):
        VAE().sample()
    with pytest.raises(NotFittedError):
        VAE().save("never.npz")


def test_a_run_that_blows_up_keeps_the_last_good_parameters():
    vae = small_vae(learning_rate=1e30, optimizer="sgd", epochs=20)
    with pytest.raises(NonFiniteError):
        vae.fit(grey_rows())
    assert np.isfinite(vae.theta_).all() and "not finite" in vae.stop_reason_


BAD_DATA = {
    "one axis": (np.zeros(6), InputError, "Reshape your data"),
    "no rows": (np.zeros((0, 6)), InputError, "0 sample"),
    "no columns": (np.zeros((6, 0)), InputError, "0 feature"),
    "NaN": (np.array([[0.5, np.nan], [0.1, np.inf]]), InputError, "1 NaN and 1 infinite"),
    "above 1": (np.array([[0.5, 0.5], [0.1, 1.5]]), InputError, "1.5 in column 1 (row 1)"),
    "8-bit": (np.array([[0.0, 255.0]]), InputError, "divide_by=255"),
    "a table": (np.array([[0.5, 200.0]]), InputError, "gaussian_per_feature"),
    "negative": (np.array([[0.5, -3.0]]), InputError, "gaussian_per_feature"),
    "objects": (np.array([[0.5, "a"]], dtype=object), InputTypeError, "object"),
    "text": (np.array([["a", "b"]]), InputTypeError, "must hold numbers"),
    "complex": (np.array([[1j]]), InputError, "Complex data not supported"),
    "ragged": ([[0.1, 0.2], [0.3]], InputError, "rectangular"),
    "masked": (np.ma.masked_array([[0.5, 0.5]], [[True, False]]), InputTypeError, "mask"),
}


@pytest.mark.parametrize("name", BAD_DATA)
def test_data_that_cannot_be_is_refused_and_the_message_says_why(name):
    x, kind, words = BAD_DATA[name]
    with pytest.raises(kind) as error:
        small_vae().fit(x)
    assert words in str(error.value)


def test_whole_numbers_and_booleans_are_converted_and_said_once():
    for x in (np.eye(6, dtype=int), np.eye(6, dtype=bool)):
        with pytest.warns(DataConversionWarning, match="converted to float32") as caught:
            vae = small_vae().fit(x)
        assert len(caught) == 1
        np.testing.assert_array_equal(vae.theta_, small_vae().fit(np.eye(6)).theta_)


def test_data_far_from_unit_size_draw_a_warning():
    x = 25 * np.random.default_rng(0).standard_normal((40, 6))
    with pytest.warns(DataScaleWarning, match="root mean square.*standardise"):
        small_vae(likelihood="gaussian_per_feature", epochs=1).fit(x)
    small_vae(likelihood="gaussian_per_feature", epochs=1, divide_by=25).fit(x)  # no warning


BAD_ARGUMENTS = {
    "seed too large": ({"random_state": 2**63}, InputError, "below 2**63"),
    "binarize what is no grey value": (
        {"binarize": "dynamic", "likelihood": "gaussian", "divide_by": 0.1},
        InputError,
        "to binarize",
    ),
    "latent size 0": ({"latent_dim": 0}, InputError, "latent_dim must be at least 1, got 0"),
    "latent size text": ({"latent_dim": "2"}, InputTypeError, "latent_dim must be a whole number"),
    "hidden 0": ({"hidden": (5, 0)}, InputError, "hidden"),
    "zero epochs": ({"epochs": 0}, InputError, "epochs must be at least 1, got 0"),
    "activation": ({"activation": "swish"}, InputError, "known: 'identity', 'relu', 'tanh', 'softplus'"),
    "likelihood": ({"likelihood": "poison"}, InputError, "known: 'bernoulli'"),
    "argument": ({"likelihood": {"name": "gaussian", "sigma": 1}}, InputError, "it takes: variance"),
    "backend": ({"backend": "tpu"}, InputError, "known: 'auto', 'cupy', 'numba', 'numpy'"),
    "dtype": ({"dtype": "float16"}, InputError, "known: 'float32', 'float64'"),
    "seed": ({"random_state": -1}, InputError, "random_state"),
    "fraction": ({"validation_fraction": 0.001}, InputError, "leaves a part without rows"),
    "patience": ({"patience": 3}, InputError, "validation_fraction"),
    "divide_by": ({"divide_by": 0}, InputError, "divide_by"),
}


@pytest.mark.parametrize("name", BAD_ARGUMENTS)
def test_arguments_that_cannot_be_are_refused_before_training(name):
    change, kind, words = BAD_ARGUMENTS[name]
    vae = small_vae(**change)
    with pytest.raises(kind) as error:
        vae.fit(grey_rows())
    assert words in str(error.value) and not hasattr(vae, "theta_")


def test_callbacks_and_checkpoints_are_looked_at_before_training(tmp_path):
    with pytest.raises(InputTypeError, match="callbacks"):
        small_vae().fit(grey_rows(), callbacks=[3])
    with pytest.raises(FileNotFoundError, match="for checkpoints"):
        small_vae().fit(grey_rows(), checkpoint=tmp_path / "no" / "c.npz")
    with pytest.raises(InputError, match="checkpoint_seconds"):
        small_vae().fit(grey_rows(), checkpoint=tmp_path / "c.npz", checkpoint_seconds=float("nan"))


def test_a_callback_that_raises_leaves_the_model_so_far():
    vae = small_vae()

    def fail(state):
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        vae.fit(grey_rows(), callbacks=[fail])
    assert vae.history_.epochs == 1 and "mine" in vae.stop_reason_
    assert np.isfinite(vae.transform(grey_rows())).all()


def test_another_number_of_features_is_refused():
    vae = small_vae().fit(grey_rows())
    with pytest.raises(InputError, match="7 features, but VAE is expecting 6"):
        vae.transform(np.zeros((3, 7)))
    with pytest.raises(InputError, match="expecting 2 features"):
        vae.inverse_transform(np.zeros((3, 5)))


def test_input_is_not_modified():
    x = grey_rows()
    before = x.copy()
    for dtype in ("float32", "float64"):
        vae = small_vae(dtype=dtype, divide_by=2.0).fit(x)
        vae.transform(x), vae.elbo(x)
    np.testing.assert_array_equal(x, before)


def test_strided_and_fortran_data_are_the_same_data():
    x = grey_rows()
    wide = np.zeros((40, 12))
    wide[:, ::2] = x
    for same in (wide[:, ::2], np.asfortranarray(x), x.tolist()):
        np.testing.assert_array_equal(small_vae().fit(x).theta_, small_vae().fit(same).theta_)


class Table:
    """Rows with named columns, as a data frame has them."""

    def __init__(self, values, columns):
        self.values, self.columns = values, columns

    def __array__(self, dtype=None, copy=None):
        return self.values


def test_column_names_are_kept_compared_and_forgotten():
    x, names = grey_rows(), list("abcdef")
    vae = small_vae().fit(Table(x, names))
    assert vae.feature_names_in_.tolist() == names
    vae.transform(x), vae.transform(Table(x, names))
    with pytest.raises(InputError, match="feature names should match"):
        vae.transform(Table(x, names[::-1]))
    with pytest.raises(InputError, match="column 'c'"):
        vae.elbo(Table(np.where(np.arange(6) == 2, 3.0, x), names))
    assert not hasattr(vae.fit(x), "feature_names_in_")


def test_copies_and_pickles_are_models_of_their_own():
    import copy
    import pickle

    vae, x = small_vae().fit(grey_rows()), grey_rows(5)
    z = vae.transform(x)
    for twin in (copy.deepcopy(vae), pickle.loads(pickle.dumps(vae))):
        np.testing.assert_array_equal(twin.transform(x), z)
        twin.theta_[...] = 0.0
        assert (twin.transform(x) == 0).all()
    np.testing.assert_array_equal(vae.transform(x), z)


def test_two_threads_train_the_models_that_one_would():
    import threading

    alone = [small_vae(random_state=seed, hidden=(200,)).fit(grey_rows()).theta_ for seed in (0, 1)]
    models = [small_vae(random_state=seed, hidden=(200,)) for seed in (0, 1)]
    threads = [threading.Thread(target=model.fit, args=(grey_rows(),)) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for theta, model in zip(alone, models, strict=True):
        np.testing.assert_array_equal(theta, model.theta_)


SKLEARN_CHECKS = """
import os, warnings
warnings.simplefilter("ignore")
os.environ["SCIPY_ARRAY_API"] = "1"
from sklearn.utils.estimator_checks import check_estimator
from npvae import VAE
reasons = {
    "check_dtype_object": "object arrays are refused, whatever they hold",
    "check_methods_sample_order_invariance": "score_samples draws its noise by a row's place",
    "check_methods_subset_invariance": "score_samples draws its noise by a row's place",
}
results = check_estimator(
    VAE(epochs=2, hidden=(8,), likelihood="gaussian_per_feature", random_state=0), on_fail=None,
    expected_failed_checks=reasons,
)
failed = [r for r in results if r["status"] == "failed"]
for r in failed:
    print(r["check_name"], repr(r["exception"]))
print(len(results), "checks", len(failed), "failed", sum(r["status"] == "xfail" for r in results), "expected")
raise SystemExit(bool(failed) or len(results) < 30)
"""


def test_scikit_learns_own_checks():
    """In a process of its own, since scikit-learn must not be imported by the tests around it."""
    pytest.importorskip("sklearn", minversion="1.6")
    done = processes.run([sys.executable, "-c", SKLEARN_CHECKS])
    assert done.returncode == 0, done.stdout + done.stderr


TAGS = """
from npvae import VAE
from npvae.estimators.sklearn_protocol import SklearnProtocol

class Plain(SklearnProtocol):
    pass

tags = VAE(dtype="float64").__sklearn_tags__()
assert tags.estimator_type is None and tags.target_tags.required is False
assert tags.transformer_tags.preserves_dtype == ["float64"]
plain = Plain()
assert plain.__sklearn_tags__().transformer_tags is None
Plain.transform = lambda self, X: X
assert plain.__sklearn_tags__().transformer_tags.preserves_dtype == []
"""


def test_pipeline_clone_and_tags():
    pytest.importorskip("sklearn")
    program = (
        "from sklearn.pipeline import make_pipeline; from sklearn.base import clone;"
        "from sklearn.preprocessing import StandardScaler; from npvae import VAE; import numpy as np;"
        "x = np.random.default_rng(0).normal(size=(50, 4));"
        "p = make_pipeline(StandardScaler(), VAE(3, (8,), likelihood='squared_error', epochs=2, random_state=0));"
        "assert clone(p).fit_transform(x).shape == (50, 3)\n"
    ) + TAGS
    done = processes.run([sys.executable, "-W", "error::UserWarning", "-c", program])
    assert done.returncode == 0, done.stderr


def test_every_draw_of_a_fitted_model_is_that_of_its_purpose():
    """By the formulas: z or x from the seed's random numbers for that purpose."""
    from npvae.mathematics import random

    x = grey_rows()
    vae = small_vae(binarize="dynamic", dtype="float64", backend="numpy").fit(x)
    mu, logvar = vae.encode(x)
    for seed, how in ((vae.seed_, {}), (5, {"random_state": 5})):
        z = random.normal(seed, "prior sample", 0, (4, 2), "float64")
        np.testing.assert_array_equal(vae.sample(4, **how), vae.inverse_transform(z))
        drawn = vae.model_.draw(vae.model_.views(vae.theta_), z, random.Stream(seed, "data sample", 0))
        np.testing.assert_array_equal(vae.sample(4, mean=False, **how), drawn)
        eps = random.normal(seed, "reconstruction noise", 0, mu.shape, "float64")
        np.testing.assert_array_equal(
            vae.reconstruct(x, sample=True, **how), vae.inverse_transform(mu + np.exp(logvar / 2) * eps)
        )
    for draw in (0, 1):
        np.testing.assert_array_equal(
            vae.model_input(x, draw=draw), random.bernoulli(vae.seed_, "evaluation binarize", 0, x, draw)
        )
    plain = small_vae(dtype="float64", backend="numpy").fit(x)
    np.testing.assert_array_equal(plain.model_input(x), x)


def test_what_is_learnt_has_plain_types_and_callbacks_stay_as_they_are(tmp_path):
    x, path = grey_rows(), tmp_path / "c.npz"
    seen = []
    callbacks = [lambda state: seen.append(path.exists())]
    vae = small_vae(divide_by=2, epochs=2)
    assert vae.fit(x, callbacks=callbacks, checkpoint=path, checkpoint_seconds=1e9) is vae
    assert seen == [True, True] and len(callbacks) == 1  # a checkpoint is there from the start
    assert type(vae.divide_by_) is float and vae.best_epoch_ is None and vae.binarize_ == "none"
    assert type(vae.elbo(x)) is float and type(vae.score(x)) is float
    assert vae.score(x) == vae.score_samples(x).mean()
    with pytest.raises(InputTypeError, match="callbacks must be a list of functions"):
        vae.fit(x, callbacks=[print, 3])
    vae.trained_on_ = {"data": "digits", "label_column": None}
    assert not hasattr(vae.fit(x), "trained_on_")
    np.testing.assert_array_equal(small_vae().fit_transform(x), small_vae().fit(x).transform(x))


def test_numbers_below_1_and_latent_rows_of_another_width_are_refused():
    vae = small_vae().fit(grey_rows())
    for call, words in (
        (lambda: vae.sample(0), "n must be at least 1, got 0"),
        (lambda: vae.elbo(grey_rows(), draws=0), "draws must be at least 1, got 0"),
        (lambda: vae.inverse_transform(np.zeros((3, 5))), "Z has 5 features, but VAE is expecting 2 features as input"),
        (lambda: vae.log_likelihood(grey_rows(), at_once=0), "at_once"),
    ):
        with pytest.raises(InputError, match=words):
            call()
    assert vae.sample().shape == vae.sample(1).shape == (1, 6)
    x = grey_rows(5)
    np.testing.assert_array_equal(vae.log_likelihood(x, samples=7).rows, vae.score_samples(x, samples=7))
    np.testing.assert_array_equal(
        vae.log_likelihood(x, samples=7, random_state=3).rows, vae.score_samples(x, samples=7, random_state=3)
    )


def test_nothing_may_be_missing_where_nothing_was():
    vae, x = small_vae().fit(grey_rows()), np.where(np.arange(6) == 1, np.nan, grey_rows(3))
    for call in (vae.transform, vae.reconstruct, vae.elbo, vae.score_samples, vae.model_input):
        with pytest.raises(InputError, match="X contains NaN or infinity: 3 NaN"):
            call(x)
    assert np.isfinite(vae.impute(x, method="pseudo_gibbs", steps=4, warm_up=1).mean).all()


def test_progress_is_of_rows(capsys):
    vae, x = small_vae().fit(grey_rows()), grey_rows(30)
    vae.log_likelihood(x, samples=5)
    holes = np.where(np.arange(180).reshape(30, 6) % 7 == 0, np.nan, x)
    vae.impute(holes, method="importance", samples=5)
    assert capsys.readouterr() == ("", "")
    vae.log_likelihood(x, samples=5, verbose=True)
    assert capsys.readouterr().err.splitlines()[-1] == "30 of 30 rows"
    vae.impute(holes, method="importance", samples=5, verbose=True)
    assert capsys.readouterr().err.splitlines()[-1] == "30 of 30 rows"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_imputed_tables_have_the_model_s_dtype_and_the_data_s_units(dtype):
    x = grey_rows(30).reshape(30, 2, 3) * 255
    x[::3, 1, 1] = np.nan
    vae = small_vae(divide_by=255.0, dtype=dtype, missing=True).fit(x)
    found = vae.impute(x, 2, method="importance", samples=5)
    there = ~np.isnan(x)
    for table in (found.mean, *found.draws):
        assert table.dtype == dtype and table.shape == x.shape
        np.testing.assert_array_equal(table[there], x[there].astype(dtype))
    assert found.mean[~there].min() > 1.0  # of 255: not a share
    assert vae.impute(x, method="importance", samples=5).draws is None


def test_where_a_model_runs_is_all_that_rebuilds_it():
    assert VAE().set_params(backend="numpy", threads=1).backend == "numpy"
    vae = small_vae(backend="numpy").fit(grey_rows())
    model = vae.model_
    assert vae.set_params(beta=2.0, latent_dim=3).model_ is model
    assert vae.set_params(threads=1).model_ is not model and vae.model_.architecture is model.architecture
    np.testing.assert_allclose(
        vae.transform(grey_rows(3)), small_vae(backend="numpy").fit(grey_rows()).transform(grey_rows(3)), rtol=1e-5
    )
