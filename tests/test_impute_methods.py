"""``VAE.impute``: every method on models of complete and of incomplete rows, in the data's units and shape."""

import gpu_backends
import numpy as np
import pytest
from linear_gaussian import LinearGaussian
from small import grey_rows

from npvae import VAE
from npvae.errors import InputError, NotFittedError, UnknownNameError
from npvae.imputation.methods import METHODS, impute
from npvae.mathematics.model import Model


def holes(x, rng, share=0.4):
    return np.where(rng.random(x.shape) < share, np.nan, x)


@pytest.mark.parametrize("method", [name for name in METHODS if name != "single_pass"])
def test_every_method_is_near_the_exact_conditional_mean(rng, method):
    """But for pseudo-Gibbs, which keeps the mistakes of the encoder."""
    known = LinearGaussian()
    x = holes(rng.multivariate_normal(known.b, known.covariance, 30), rng)
    found = impute(known.model, known.theta, x, 3, method, samples=4000, steps=3000, draws=5)
    errors = []
    for b, row in enumerate(x):
        there = ~np.isnan(row)
        np.testing.assert_array_equal(found.mean[b, there], row[there])
        if there.any() and not there.all():
            errors.append(abs(found.mean[b, ~there] - known.conditional(row)[0]).max())
    if method == "pseudo_gibbs":
        assert max(errors) > 0.3
    else:
        assert max(errors) < 0.2, max(errors)
    assert found.draws.shape == (5, *x.shape) and np.isfinite(found.draws).all()


def test_a_single_pass_is_the_reconstruction_of_zeros(rng):
    x = holes(grey_rows(20), rng)
    vae = VAE(2, (7,), epochs=1, random_state=0, dtype="float64").fit(grey_rows(40))
    found = vae.impute(x, method="single_pass")
    wanted = vae.reconstruct(np.nan_to_num(x))
    np.testing.assert_allclose(found.mean, np.where(np.isnan(x), wanted, x), rtol=1e-12)
    with pytest.raises(InputError, match="draws must be at most 0"):
        vae.impute(x, 3, method="single_pass")


@pytest.mark.parametrize("missing", [False, True])
def test_a_single_pass_decodes_the_encoder_s_mean(ops, missing):
    """Of zeros in the place of what is missing, or of an encoder's own way to see it."""
    known = LinearGaussian(missing=missing, ops=ops)
    x = np.array([[0.9, np.nan, np.nan], [np.nan, 1.0, 2.0], [0.1, 0.2, 0.3]])
    found = impute(known.model, ops.asarray(known.theta), x, 3, "single_pass")
    here = LinearGaussian(missing=missing)
    (mu, _), _ = here.model.encode(here.model.views(here.theta), x if missing else np.nan_to_num(x))
    np.testing.assert_allclose(found.mean, np.where(np.isnan(x), mu @ known.V + known.b, x), rtol=1e-12)
    assert found.draws is None and found.diagnostics == {}


@pytest.mark.parametrize(
    ("method", "missing"),
    [(name, False) for name in METHODS if name != "single_pass"] + [("auto", True), ("importance", True)],
)
def test_rows_done_are_counted(method, missing):
    known, seen = LinearGaussian(missing=missing), []
    x = np.array([[0.9, np.nan, np.nan], [np.nan, 1.0, 2.0], [0.1, np.nan, 0.3]])
    impute(known.model, known.theta, x, 3, method, samples=600, steps=4, warm_up=0, progress=seen.append)
    assert seen == ([3] if not missing and method != "importance" else [1, 2, 3])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("missing", [False, True])
def test_backends_and_dtypes_agree(ops, method, missing):
    if missing and method in ("pseudo_gibbs", "metropolis"):
        return
    x = np.array([[0.9, np.nan, np.nan], [np.nan, 1.0, 2.0], [0.1, 0.2, 0.3]])
    known, reference = LinearGaussian(missing=missing, ops=ops), LinearGaussian(missing=missing)
    arguments = {
        "method": method,
        "draws": 0 if method == "single_pass" else 2,
        "samples": 20,
        "steps": 5,
        "warm_up": 1,
    }
    wanted = impute(reference.model, reference.theta, x, 3, **arguments)
    for dtype, close in (("float64", 1e-9), ("float32", 0.05)):
        found = impute(known.model, ops.asarray(known.theta.astype(dtype)), x.astype(dtype), 3, **arguments)
        assert found.mean.dtype == dtype and (found.draws is None or found.draws.dtype == dtype)
        np.testing.assert_allclose(found.mean, wanted.mean, atol=close)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("missing", [False, True])
def test_on_the_device_s_own_arrays(method, missing):
    """Which no function of NumPy takes, and whose functions take none of NumPy's."""
    if missing and method in ("pseudo_gibbs", "metropolis"):
        return
    if gpu_backends.NO_GPU is not None and gpu_backends.NO_STANDIN is not None:
        pytest.skip(gpu_backends.NO_STANDIN)
    x = np.array([[0.1, 0.2, 0.3], [0.9, np.nan, np.nan], [np.nan, 1.0, 2.0]])
    arguments = {
        "method": method,
        "draws": 0 if method == "single_pass" else 2,
        "samples": 20,
        "steps": 5,
        "warm_up": 1,
    }
    known, ops = LinearGaussian(missing=missing), gpu_backends.on_gpu_or_standin()
    found = impute(Model(known.model.architecture, ops), ops.asarray(known.theta), x, 3, **arguments)
    wanted = impute(known.model, known.theta, x, 3, **arguments)
    np.testing.assert_allclose(found.mean, wanted.mean, rtol=1e-9)
    if method != "single_pass":
        np.testing.assert_allclose(found.draws, wanted.draws, rtol=1e-9)


@pytest.mark.parametrize("missing", [False, True])
def test_units_and_shape_of_pictures(rng, missing):
    pictures = rng.integers(0, 256, (30, 2, 3)).astype(float)
    vae = VAE(2, (7,), epochs=2, divide_by=255, binarize="dynamic", missing=missing, random_state=0).fit(pictures)
    x = holes(pictures[:6], rng)
    before = x.copy()
    found = vae.impute(x, 4, samples=50, steps=20)
    np.testing.assert_array_equal(x, before)
    there = ~np.isnan(x)
    assert found.mean.shape == x.shape and found.draws.shape == (4, *x.shape)
    np.testing.assert_array_equal(found.mean[there], x[there].astype(np.float32))
    assert set(np.unique(found.draws[:, ~there])) <= {0.0, 255.0}
    assert ((found.mean[~there] > 0) & (found.mean[~there] < 255)).all()
    again = vae.impute(x, 4, samples=50, steps=20)
    np.testing.assert_array_equal(found.draws, again.draws)
    other = vae.impute(x, 4, samples=50, steps=20, random_state=9)
    assert not np.array_equal(found.draws, other.draws)


def test_complete_rows_come_back_and_missing_ones_are_drawn_from_the_prior(rng):
    x = grey_rows(40)
    vae = VAE(2, (7,), epochs=2, random_state=0).fit(x)
    some = np.stack([x[0], np.full(x.shape[1], np.nan)])
    for method in METHODS:
        found = vae.impute(some, method=method)
        np.testing.assert_array_equal(found.mean[0], some[0].astype(np.float32))
        assert np.isfinite(found.mean).all()


def test_what_does_not_suit_is_refused(rng):
    x = holes(grey_rows(30), rng)
    with pytest.raises(NotFittedError):
        VAE().impute(x)
    vae = VAE(2, (7,), missing=True, epochs=1, random_state=0).fit(x)
    for method in ("metropolis", "pseudo_gibbs"):
        with pytest.raises(InputError, match="needs a model of complete rows"):
            vae.impute(x, method=method)
    for name in ("samples", "steps", "chains", "proposals"):
        with pytest.raises(InputError, match=name):
            vae.impute(x, method="importance", **{name: 0})
    with pytest.raises(UnknownNameError, match="method 'mean'"):
        vae.impute(x, method="mean")
    with pytest.raises(InputError, match="features"):
        vae.impute(x[:, :2])
    x[0, 0] = 3.0
    with pytest.raises(InputError, match="column 0"):
        vae.impute(x)


@pytest.mark.parametrize("method", ["metropolis", "importance"])
def test_chains_begin_at_the_prior_s_mean(monkeypatch, method):
    """By a thousand draws of z that no chain uses."""
    from npvae.imputation import Imputation, methods
    from npvae.mathematics import random

    known, started = LinearGaussian(), []

    def chain(model, theta, x, start, seed, **arguments):
        started.append((start, seed, arguments))
        return Imputation(np.nan_to_num(x), None, {})

    monkeypatch.setattr(methods, "chain_imputation", chain)
    x = np.array([[0.9, np.nan, np.nan], [np.nan, 1.0, 2.0]])
    methods.impute(known.model, known.theta, x, 11, method, samples=5)
    ((start, seed, arguments),) = started
    z = random.normal(11, "imputation chain", 0, (1000, 1), "float64", draw=1 << 20)
    np.testing.assert_allclose(start, np.tile((z @ known.V + known.b).mean(axis=0), (2, 1)))
    assert seed == 11 and arguments["metropolis"] == (method == "metropolis")
    assert (arguments["steps"], arguments["warm_up"]) == ((200, 50) if method == "metropolis" else (20, 20))


@pytest.mark.parametrize(
    ("name", "smallest"), [("samples", 1), ("steps", 4), ("chains", 1), ("proposals", 1), ("warm_up", 0)]
)
def test_limits_of_numbers(name, smallest):
    known, x = LinearGaussian(), np.array([[0.9, np.nan, np.nan]])
    how = {"samples": 4, "steps": 4, "warm_up": 0, name: smallest}
    for method in ("metropolis", "importance"):
        assert np.isfinite(impute(known.model, known.theta, x, 0, method, **how).mean).all()
        with pytest.raises(InputError, match=f"^{name} must be at least {smallest}, got {smallest - 1}$"):
            impute(known.model, known.theta, x, 0, method, **{**how, name: smallest - 1})
