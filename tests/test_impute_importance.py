"""Filling in by importance sampling: against a linear-Gaussian model's exact conditional distribution."""

import numpy as np
import pytest
from linear_gaussian import VARIANCE, LinearGaussian

from npvae import likelihoods
from npvae.backend.base import Ops
from npvae.errors import InputError
from npvae.impute import fit_normal, importance_imputation, start_from
from npvae.impute.normal import Normal, factors
from npvae.model import Architecture, Model


def rows_of(known, generator, rows=12, share=0.5):
    x = generator.multivariate_normal(known.b, known.covariance, rows)
    x[generator.random(x.shape) < share] = np.nan
    x[0], x[1] = np.nan, [1.0, 2.0, 3.0]
    return x


def with_completed(x, known):
    return np.concatenate([x, np.where(np.isnan(x), known.b, x)], axis=1)


@pytest.mark.parametrize("completed", [False, True])
def test_means_and_draws_are_those_of_the_exact_distribution(rng, completed):
    known = LinearGaussian(missing=True, completed=completed)
    x = rows_of(known, rng)
    data = with_completed(x, known) if completed else x
    found = importance_imputation(known.model, known.theta, data, seed=5, samples=20000, draws=2000)
    there = ~np.isnan(x)
    np.testing.assert_array_equal(found.mean[there], x[there])
    assert (found.draws[:, there] == x[there]).all()
    for b, observed in enumerate(there):
        if observed.all():
            continue
        mean, covariance = known.conditional(x[b]) if observed.any() else (known.b, known.covariance)
        size = found.diagnostics["effective_sample_size"][b]
        assert 300 < size <= 20000
        deviation = np.sqrt(np.diag(covariance))
        np.testing.assert_allclose(found.mean[b, ~observed], mean, atol=5 * deviation.max() / np.sqrt(size))
        drawn = found.draws[:, b, ~observed]
        np.testing.assert_allclose(drawn.mean(axis=0), mean, atol=6 * deviation.max() / np.sqrt(min(size, 2000)))
        np.testing.assert_allclose(np.atleast_2d(np.cov(drawn.T)), covariance, atol=0.25 * covariance.max())


@pytest.mark.parametrize("completed", [False, True])
def test_backends_agree(ops, rng, completed):
    x = rows_of(LinearGaussian(), rng)
    found = []
    for each in (Ops(np), ops):
        known = LinearGaussian(missing=True, completed=completed, ops=each)
        data = each.asarray(with_completed(x, known) if completed else x)
        found.append(importance_imputation(known.model, each.asarray(known.theta), data, seed=5, samples=40, draws=3))
    np.testing.assert_allclose(found[1].mean, found[0].mean, rtol=1e-9)
    np.testing.assert_allclose(found[1].draws, found[0].draws, rtol=1e-9)


def test_pieces_change_nothing_but_rounding(rng):
    known = LinearGaussian(missing=True)
    x = rows_of(known, rng)
    whole, pieces = (
        importance_imputation(known.model, known.theta, x, seed=5, samples=203, draws=3, at_once=at_once)
        for at_once in (10000, 8)
    )
    np.testing.assert_allclose(whole.mean, pieces.mean, rtol=1e-12)
    np.testing.assert_allclose(whole.draws, pieces.draws, rtol=1e-12)
    other = importance_imputation(known.model, known.theta, x, seed=6, samples=203, draws=3)
    assert not np.allclose(whole.mean, other.mean, rtol=1e-6)


def test_progress_and_bad_numbers(rng):
    known, seen = LinearGaussian(missing=True), []
    x = rows_of(known, rng)
    importance_imputation(known.model, known.theta, x, 0, samples=100, at_once=100, progress=seen.append)
    assert seen == [row + 1 for row in range(12) if np.isnan(x[row]).any()]
    for name in ("samples", "at_once"):
        with pytest.raises(InputError, match=name):
            importance_imputation(known.model, known.theta, x, 0, **{name: 0})
    known.theta[:] = np.inf
    with pytest.raises(InputError, match="row 0 is not finite"), np.errstate(all="ignore"):
        importance_imputation(known.model, known.theta, x, 0)


def test_the_effective_sample_size_is_that_of_the_weights(rng):
    """1 / sum of squared shares, from the densities themselves, of the samples that the seed gives."""
    from npvae import random

    known = LinearGaussian(missing=True)
    x = rows_of(known, rng)[2:3]
    found = importance_imputation(known.model, known.theta, x, seed=5, samples=8)
    (mu, logvar), _ = known.model.encode(known.model.views(known.theta), x)
    eps = random.normal_of_rows(5, "imputation noise", [0], 0, 8, 1)[:, 0, 0]
    s, o = np.exp(0.5 * logvar[0, 0]), ~np.isnan(x[0])
    log_w = []
    for e in eps:
        z = mu[0, 0] + s * e
        nll = sum((known.V[0, o] * z + known.b[o] - x[0, o]) ** 2) / (2 * VARIANCE)
        log_w.append(-nll - z**2 / 2 + e**2 / 2)
    w = np.exp(np.array(log_w) - max(log_w))
    assert found.diagnostics["effective_sample_size"][0] == pytest.approx(w.sum() ** 2 / (w**2).sum(), rel=1e-9)


def test_a_sample_without_weight_has_no_say():
    """Its expectation may be infinite; times a weight of zero it would be NaN."""
    model = Model(Architecture(2, 1, (), likelihood="poisson", missing=True), Ops(np))
    theta = np.zeros(model.layout.size)
    views = model.views(theta)
    views["decoder/log_rate/W"][...] = [[400.0, 400.0]]
    views["encoder/logvar/b"][...] = 2.0
    with np.errstate(over="ignore"):
        found = importance_imputation(model, theta, np.array([[1.0, np.nan]]), 0, samples=200)
    assert np.isfinite(found.mean).all()


# The normal distribution


def test_completing_a_row_is_its_conditional_mean(rng):
    known = LinearGaussian()
    x = rows_of(known, rng, 30)
    completed = Normal(known.b, known.covariance).complete(x)
    for row, full in zip(x, completed, strict=True):
        there = ~np.isnan(row)
        np.testing.assert_array_equal(full[there], row[there])
        if there.any() and not there.all():
            np.testing.assert_allclose(full[~there], known.conditional(row)[0], rtol=1e-10)
    np.testing.assert_allclose(completed[0], known.b)


def test_em_climbs_the_likelihood_of_what_is_observed_and_finds_its_maximum(rng):
    """The gradient of the log-likelihood vanishes there: differences in every direction go down."""
    known = LinearGaussian()
    x = rows_of(known, rng, 400, share=0.3)

    def log_likelihood(mean, covariance):
        total = 0.0
        for row in x:
            o = ~np.isnan(row)
            if o.any():
                d, S = row[o] - mean[o], covariance[np.ix_(o, o)]
                total -= 0.5 * (d @ np.linalg.solve(S, d) + np.linalg.slogdet(2 * np.pi * S)[1])
        return total

    values = [log_likelihood(n.mean, n.covariance) for n in (fit_normal(x, i, ridge=0.0) for i in (1, 3, 10, 300))]
    assert values == sorted(values)
    best = fit_normal(x, 300, ridge=0.0)
    for _ in range(20):
        step = 0.02 * rng.standard_normal((3, 3))
        assert log_likelihood(best.mean, best.covariance + step + step.T) < values[-1]
        assert log_likelihood(best.mean + 0.05 * rng.standard_normal(3), best.covariance) < values[-1]


def test_without_missing_entries_it_is_mean_and_covariance(rng):
    x = rng.standard_normal((50, 4)) @ rng.standard_normal((4, 4))
    found = fit_normal(x, 2, ridge=0.0)
    np.testing.assert_allclose(found.mean, x.mean(axis=0))
    np.testing.assert_allclose(found.covariance, np.cov(x.T, bias=True))
    ridged = fit_normal(x, 2, ridge=0.1)
    np.testing.assert_allclose(ridged.covariance - found.covariance, 0.1 * np.diag(x.var(axis=0)))
    constant = fit_normal(np.ones((10, 2)))
    assert np.isfinite(constant.covariance).all() and (np.diag(constant.covariance) > 0).all()


def test_factor_analysis_finds_the_factors_of_a_covariance(rng):
    V, noise = rng.standard_normal((2, 7)), 0.2 + rng.random(7)
    found, left = factors(V.T @ V + np.diag(noise), 2, iterations=3000)
    np.testing.assert_allclose(left, noise, rtol=1e-3)
    np.testing.assert_allclose(found.T @ found, V.T @ V, atol=1e-3)


# The start


GAUSSIAN = ["squared_error", "gaussian_one_variance", "gaussian_per_feature", "gaussian_decoder"]


@pytest.mark.parametrize("name", [*GAUSSIAN, "student_t"])
def test_training_begins_where_the_normal_distribution_ends(rng, name):
    """E[x_h|x_o] of the network is the normal distribution's, before the first step."""
    V, noise = rng.standard_normal((2, 6)), np.full(6, 0.5)
    normal = Normal(rng.standard_normal(6), V.T @ V + np.diag(noise))
    x = rng.multivariate_normal(normal.mean, normal.covariance, 8)
    x[rng.random(x.shape) < 0.4] = np.nan
    architecture = Architecture(6, 2, (5,), likelihood=name, missing=True, completed=True, linear_path=True)
    model = Model(architecture, Ops(np))
    theta = model.initial_parameters(0, "float64")
    start_from(model, theta, normal)
    views = model.views(theta)
    for head in ("encoder/mean", "encoder/logvar", *(f"decoder/{head}" for head in model.likelihood.heads(6))):
        views[f"{head}/W"][...] = 0.0  # what the hidden layers add; at the start a tenth of what it would be
    completed = normal.complete(x)
    found = importance_imputation(model, theta, np.concatenate([x, completed], axis=1), 1, samples=20000)
    assert found.diagnostics["effective_sample_size"].min() > 200
    np.testing.assert_allclose(found.mean, completed, atol=0.4 if name == "student_t" else 0.06)
    if name in ("gaussian_per_feature", "gaussian_decoder"):
        ends = np.stack([completed[0], np.full(6, np.nan)])
        (_, logvar), _ = model.encode(views, np.concatenate([ends, normal.complete(ends)], axis=1))
        C = np.linalg.inv(np.eye(2) + V @ V.T / 0.5)
        np.testing.assert_allclose(np.exp(logvar[0] - 0.2).sum(), np.trace(C), rtol=0.05)  # all observed
        np.testing.assert_allclose(np.exp(logvar[1] - 0.2), 1.0, rtol=1e-12)  # nothing: the prior's


def test_the_start_in_the_likelihoods_own_units(rng):
    """The normal distribution is of (x - center) / scale, and so are the completed rows; the likelihood's numbers are not."""
    V, noise = rng.standard_normal((2, 5)), 0.2 + rng.random(5)
    normal = Normal(rng.standard_normal(5), V.T @ V + np.diag(noise))
    center, scale = 10.0 * rng.standard_normal(5), 0.5 + 3.0 * rng.random(5)
    standard = rng.multivariate_normal(normal.mean, normal.covariance, 6)
    standard[rng.random(standard.shape) < 0.3] = np.nan
    for likelihood in ({"name": "gaussian_per_feature", "floor": 0.0}, {"name": "gaussian_decoder", "floor": 0.0}):
        architecture = Architecture(5, 2, (), likelihood=likelihood, missing=True, completed=True, linear_path=True)
        model = Model(architecture, Ops(np))
        theta = model.initial_parameters(0, "float64")
        start_from(model, theta, normal, center, scale)
        views = model.views(theta)
        for head in ("encoder/mean", "encoder/logvar", *(f"decoder/{head}" for head in model.likelihood.heads(5))):
            views[f"{head}/W"][...] = 0.0
        completed = normal.complete(standard)
        data = np.concatenate([center + scale * standard, completed], axis=1)
        found = importance_imputation(model, theta, data, 1, samples=20000)
        np.testing.assert_allclose((found.mean - center) / scale, completed, atol=0.12)
        wanted, left = factors(normal.covariance, 2)
        np.testing.assert_allclose(views["decoder/linear/mean/V"], scale * wanted, rtol=1e-9)
        raw = views["likelihood/raw_logvar" if "likelihood/raw_logvar" in views else "decoder/raw_logvar/b"]
        np.testing.assert_allclose(np.exp(raw), scale**2 * left, rtol=1e-9)


@pytest.mark.parametrize("name", ["bernoulli", "continuous_bernoulli", "categorical", "table"])
def test_other_likelihoods_start_near_their_columns_means(rng, name):
    likelihood = likelihoods.KNOWN[name].example(6)
    mean = np.full(6, 1 / 6) if name == "categorical" else np.array([0.3, 0.6, 0.5, 0.4, 0.3, 0.3])
    if name == "table":  # its last three columns are one variable
        mean[3:] = [0.4, 0.3, 0.3]
    V = 0.01 * rng.standard_normal((2, 6))
    model = Model(Architecture(6, 2, (), likelihood=likelihood, missing=True, completed=True, linear_path=True), Ops(np))
    theta = model.initial_parameters(0, "float64")
    start_from(model, theta, Normal(mean, V.T @ V + 0.1 * np.eye(6)))
    views = model.views(theta)
    for head in likelihood.heads(6):
        views[f"decoder/{head}/W"][...] = 0.0
    own = model.likelihood_parameters(views)
    at = {z: likelihood.mean(Ops(np), model.decode(views, np.array([[z, 0.0]]))[0], own)[0] for z in (-1.0, 0.0, 1.0)}
    np.testing.assert_allclose(at[0.0], mean, atol=1e-6)
    slope = 0.5 * (at[1.0] - at[-1.0])
    expected = factors(V.T @ V + 0.1 * np.eye(6), 2)[0][0]
    if name in ("categorical", "table"):  # probabilities of one variable share what they lose
        block = slice(0 if name == "categorical" else 3, 6)
        expected = expected.copy()
        expected[block] -= mean[block] * expected[block].sum()
    np.testing.assert_allclose(slope, expected, rtol=0.1, atol=1e-4)


def test_rates_of_counts_start_with_their_columns_mean_and_variance(rng):
    """However far these are from a Poisson distribution's: by averages over many z."""
    mean, V = np.array([2.0, 5.0, 0.5]), np.array([[0.1, 20.0, 0.0], [0.2, -30.0, 0.0]])
    start = likelihoods.Poisson().linear_start(mean, V, np.ones(3))
    rate = np.exp(rng.standard_normal((2_000_000, 2)) @ start["path"]["log_rate"] + start["bias"]["log_rate"])
    np.testing.assert_allclose(rate.mean(axis=0), mean, rtol=0.02)
    spread = np.sqrt((V * V).sum(axis=0))
    np.testing.assert_allclose(rate.std(axis=0)[[0, 2]], spread[[0, 2]], rtol=0.01, atol=1e-12)
    b = start["path"]["log_rate"][:, 1]
    assert mean[1] * np.sqrt(np.expm1(b @ b)) == pytest.approx(spread[1])  # too skew for an average
    np.testing.assert_allclose(b / np.sqrt(b @ b), V[:, 1] / spread[1])


def test_noise_of_the_linear_gaussian_model_is_what_it_says():
    known = LinearGaussian()
    V, noise = factors(known.covariance, 1, iterations=2000)
    np.testing.assert_allclose(noise, VARIANCE, rtol=1e-3)
    np.testing.assert_allclose(V.T @ V, known.V.T @ known.V, atol=1e-3)
