"""Filling in by importance sampling: against a linear-Gaussian model's exact conditional distribution."""

import numpy as np
import pytest
from linear_gaussian import VARIANCE, LinearGaussian

from npvae.backend.base import Ops
from npvae.errors import InputError
from npvae.imputation import fit_normal, importance_imputation, start_from
from npvae.imputation.factor_analysis import factors_of
from npvae.imputation.normal import Normal
from npvae.mathematics import likelihoods
from npvae.mathematics.encoder_view import EncoderView
from npvae.mathematics.model import Architecture, Model


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


def test_rows_take_more_samples_only_while_these_are_not_effective(rng):
    """By 20, 80 or all 400 of them: the answers are those of so many, and the normal distribution's within their
    error.
    """
    known = LinearGaussian(missing=True)
    x = rows_of(known, rng, 60)
    sizes, seen = {}, []
    for samples in (20, 80, 400):
        sizes[samples] = importance_imputation(known.model, known.theta, x, 5, samples, draws=2)
    found = importance_imputation(known.model, known.theta, x, 5, 400, draws=2, enough=15.0, progress=seen.append)
    took, size = set(), found.diagnostics["effective_sample_size"]
    for row in np.flatnonzero(np.isnan(x).any(axis=1)):
        samples = next((s for s in (20, 80) if sizes[s].diagnostics["effective_sample_size"][row] >= 15.0), 400)
        took.add(samples)
        np.testing.assert_allclose(found.mean[row], sizes[samples].mean[row], rtol=1e-12)
        np.testing.assert_allclose(found.draws[:, row], sizes[samples].draws[:, row], rtol=1e-12)
        assert size[row] == pytest.approx(sizes[samples].diagnostics["effective_sample_size"][row])
    assert {20, 80} <= took and seen == sorted(seen) and seen[-1] == 60
    alike = importance_imputation(known.model, known.theta, x[:0], 5, 400, enough=15.0)
    assert alike.mean.shape == (0, x.shape[1])


def test_progress_and_bad_numbers(rng):
    known, seen = LinearGaussian(missing=True), []
    x = rows_of(known, rng)
    importance_imputation(known.model, known.theta, x, 0, samples=100, at_once=100, progress=seen.append)
    rows = [row + 1 for row in range(12) if np.isnan(x[row]).any()]
    assert seen == rows and {type(row) for row in seen} == {int}
    for name, least in (("samples", 1), ("at_once", 4), ("draws", 0)):
        importance_imputation(known.model, known.theta, x[:2], 0, **{"samples": 5, name: least})
        with pytest.raises(InputError, match=f"^{name} must be at least {least}, got {least - 1}"):
            importance_imputation(known.model, known.theta, x, 0, **{name: least - 1})
    assert len(importance_imputation(known.model, known.theta, x[:2], 0, draws=1).draws) == 1
    assert importance_imputation(known.model, known.theta, x[:2], 0).draws is None
    far = np.array(
        [[1.0, 2.0, 3.0], [1.0, np.nan, 3.0], [1e200, np.nan, 3.0], [1e200, np.nan, 3.0]]
    )  # the first is complete
    with pytest.raises(InputError, match="^a log-weight of row 2 is not finite"), np.errstate(all="ignore"):
        importance_imputation(known.model, known.theta, far, 0, samples=20)
    known.theta[:] = np.inf
    with pytest.raises(InputError, match="a log-weight of row 0 is not finite"), np.errstate(all="ignore"):
        importance_imputation(known.model, known.theta, x, 0)


def test_what_is_expected_of_a_row_may_be_beyond_the_dtype():
    model = Model(Architecture(2, 1, (), likelihood="poisson", missing=True), Ops(np))
    theta = np.zeros(model.layout.size)
    model.views(theta)["decoder/log_rate/b"][...] = [0.0, 1e4]
    with pytest.raises(InputError, match="^what is expected of row 1 is not finite"), np.errstate(all="ignore"):
        importance_imputation(model, theta, np.array([[1.0, 2.0], [2.0, np.nan]]), 0, samples=5)


@pytest.mark.parametrize(
    ("at_once", "kept", "together"),
    [
        (100, 1 << 22, 1),
        (199, 1 << 22, 1),
        (200, 1 << 22, 2),
        (399, 1 << 22, 3),
        (10_000, 1 << 22, 10),
        (10_000, 3 * 100 * 2, 3),
        (10_000, 3 * 100 * 2 - 1, 2),
        (10_000, 1, 1),
    ],
)
def test_rows_are_worked_on_together_as_many_as_fit(monkeypatch, at_once, kept, together):
    """By the samples that are decoded at a time, and by the numbers of samples that are kept: K (Z + 1) a row."""
    known, seen, holed = LinearGaussian(missing=True), [], np.arange(10)
    monkeypatch.setattr("npvae.imputation.importance.KEPT", kept)
    x = np.tile([0.5, np.nan, 1.0], (10, 1))
    found = importance_imputation(
        known.model, known.theta, x, 3, samples=100, draws=2, at_once=at_once, progress=seen.append
    )
    assert seen == [int(holed[i : i + together][-1]) + 1 for i in range(0, 10, together)]
    monkeypatch.undo()
    whole = importance_imputation(known.model, known.theta, x, 3, samples=100, draws=2)
    np.testing.assert_allclose(found.mean, whole.mean, rtol=1e-12)
    np.testing.assert_allclose(found.draws, whole.draws, rtol=1e-12)


def test_samples_are_drawn_again_by_their_shares():
    """u below the first share is the first sample, and so on; a sample without weight is nobody's."""
    from npvae.imputation.importance import _Weighted

    z = np.arange(8.0).reshape(4, 2, 1)  # four samples of two rows
    shares = np.array([[0.25, 0.0], [0.5, 0.5], [0.125, 0.0], [0.125, 0.5]])
    with np.errstate(divide="ignore"):
        found = _Weighted(z, 700.0 + np.log(shares), None)
    np.testing.assert_allclose(found.effective_sample_size, 1.0 / (shares**2).sum(axis=0), rtol=1e-12)
    last = 1.0 - 2.0**-53
    u = np.array([[0.0, 0.24, 0.26, 0.74, 0.76, 0.88, last], [0.0, 0.49, 0.51, 0.6, 0.7, 0.8, last]])
    np.testing.assert_array_equal(
        found.resample(u)[:, :, 0], np.array([[0, 0, 2, 2, 4, 6, 6], [3, 3, 7, 7, 7, 7, 7]]).T
    )


def test_a_single_sample_is_all_that_is_known():
    known = LinearGaussian(missing=True)
    found = importance_imputation(
        known.model, known.theta, np.array([[0.5, np.nan, 1.0], [1.0, 2.0, 3.0]]), 3, samples=1
    )
    np.testing.assert_array_equal(found.diagnostics["effective_sample_size"], [1.0, 1.0])


def test_the_effective_sample_size_is_that_of_the_weights(rng):
    """1 / sum of squared shares, from the densities themselves, of the samples that the seed gives."""
    from npvae.mathematics import random

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


@pytest.mark.parametrize(
    ("log_weights", "expected", "words"),
    [
        ([0.0, np.inf, 0.0], [1.0, 1.0, 1.0], "a log-weight"),
        ([np.inf] * 3, [1.0] * 3, "a log-weight"),
        ([0.0, np.nan, 0.0], [1.0] * 3, "a log-weight"),
        ([-np.inf] * 3, [1.0] * 3, "a log-weight"),
        ([0.0, 0.0, 1.0], [1.0, np.inf, 1.0], "what is expected"),
        ([0.0, -np.inf, 1.0], [1.0, np.inf, 2.0], None),
        ([-2000.0, -np.inf, -2001.0], [1.0, np.nan, 2.0], None),
    ],
)
def test_which_weights_and_expectations_there_may_be(monkeypatch, log_weights, expected, words):
    """Of three samples of the second of two rows; of two features, one of which is always 5."""
    from types import SimpleNamespace

    from npvae.imputation import importance

    columns = np.array([[0.5, 0.25, 0.0], log_weights]).T
    mean = np.full((3, 2, 2), 5.0)
    mean[:, 1, 1] = expected
    known = LinearGaussian(missing=True)
    monkeypatch.setattr(
        importance,
        "Decoding",
        lambda *a, gradient: SimpleNamespace(
            log_prior_ratio=columns,
            nll=np.zeros((3, 2)),
            z=np.arange(6.0).reshape(3, 2, 1),
            mean=lambda curves, wanted: mean,
        ),
    )
    asked = (
        known.model,
        known.model.views(known.theta),
        np.array([[1.0, np.nan, 0.0]] * 2),
        0,
        "imputation noise",
        np.array([4, 7]),
        3,
        4,
        {},
        None,
    )
    if words:
        with (
            np.errstate(all="ignore"),
            pytest.raises(InputError, match=f"^{words} of row 7 is not finite: the model's parameters or the data"),
        ):
            importance._weighted(*asked)
        return
    found, w = importance._weighted(*asked), np.exp(np.array(log_weights) - max(log_weights))
    wanted = sum(each * value for each, value in zip(w, expected, strict=True) if each) / w.sum()
    np.testing.assert_allclose(found.mean, [[5.0, 5.0], [5.0, wanted]], rtol=1e-12)
    assert found.effective_sample_size[1] == pytest.approx(w.sum() ** 2 / (w**2).sum())


def test_weights_may_come_late():
    """The first pieces have none at all: with them the sums begin when there is one."""
    model = Model(Architecture(2, 1, (), likelihood="poisson", missing=True), Ops(np))
    theta = np.zeros(model.layout.size)
    views = model.views(theta)
    views["decoder/log_rate/W"][...] = [[400.0, 0.5]]
    views["encoder/mean/b"][...], views["encoder/logvar/b"][...] = 6.0, 2.0
    x = np.array([[1.0, np.nan]])
    with np.errstate(over="ignore"):
        pieces, whole = (
            importance_imputation(model, theta, x, 0, samples=200, draws=3, at_once=at_once) for at_once in (4, 10_000)
        )
        with pytest.raises(InputError, match="a log-weight of row 0 is not finite"):
            importance_imputation(model, theta, x, 0, samples=4)
    assert np.isfinite(pieces.mean).all()
    np.testing.assert_allclose(pieces.mean, whole.mean, rtol=1e-12)
    np.testing.assert_array_equal(pieces.draws, whole.draws)
    np.testing.assert_allclose(
        pieces.diagnostics["effective_sample_size"], whole.diagnostics["effective_sample_size"], rtol=1e-12
    )


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
    np.testing.assert_allclose(
        fit_normal(x, 2).covariance - found.covariance, 1e-3 * np.diag(x.var(axis=0)), atol=1e-14
    )
    np.testing.assert_allclose(
        fit_normal(np.ones((10, 2))).covariance, 1e-3 * np.eye(2)
    )  # columns of one value: of variance 1


def test_one_step_of_em_by_its_definition(rng):
    """Row by row with the conditional mean and covariance; also of float32, and in pieces of one row."""
    known = LinearGaussian()
    x = rows_of(known, rng, 40, share=0.4).astype(np.float32)
    assert len({*np.isnan(x).sum(axis=1)}) == 4
    begin = fit_normal(x, 0, ridge=0.01)
    floor = 0.01 * np.nanvar(x.astype(np.float64), axis=0)
    np.testing.assert_allclose(np.diag(begin.covariance), 101 * floor, rtol=1e-12)
    np.testing.assert_allclose(begin.mean, np.nanmean(x.astype(np.float64), axis=0), rtol=1e-12)
    m, S = begin.mean, begin.covariance
    for _ in range(2):
        completed, left = x.astype(np.float64), np.zeros((3, 3))
        for row in completed:
            h, o = np.flatnonzero(np.isnan(row)), np.flatnonzero(~np.isnan(row))
            gain = S[np.ix_(h, o)] @ np.linalg.inv(S[np.ix_(o, o)])
            row[h] = m[h] + gain @ (row[o] - m[o])
            left[np.ix_(h, h)] += S[np.ix_(h, h)] - gain @ S[np.ix_(o, h)]
        m = completed.mean(axis=0)
        S = ((completed - m).T @ (completed - m) + left) / 40 + np.diag(floor)
    for found in (fit_normal(x, 2, ridge=0.01), in_pieces_of_one(lambda: fit_normal(x, 2, ridge=0.01))):
        np.testing.assert_allclose(found.mean, m, rtol=1e-10)
        np.testing.assert_allclose(found.covariance, S, rtol=1e-9, atol=1e-12)
    completed = Normal(m, S).complete(x)
    assert completed.dtype == np.float64
    np.testing.assert_array_equal(completed, Normal(m, S).complete(x.astype(np.float64)))


def factors(covariance, count, iterations=200, **more):
    return factors_of(lambda Q: covariance @ Q, np.diag(covariance), count, iterations, **more)


def in_pieces_of_one(what):
    from npvae.imputation import normal

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(normal, "PIECE", 1)
        return what()


def test_factor_analysis_finds_the_factors_of_a_covariance(rng):
    V, noise = rng.standard_normal((2, 7)), 0.2 + rng.random(7)
    found, left = factors(V.T @ V + np.diag(noise), 2, iterations=3000, tolerance=0.0)
    np.testing.assert_allclose(left, noise, rtol=1e-3)
    np.testing.assert_allclose(found.T @ found, V.T @ V, atol=1e-3)


def test_factors_step_by_step(rng):
    """The first step by its definition, 200 steps at most unless it is told otherwise, and noise of a hundredth of the
    variance at least."""
    A = rng.standard_normal((5, 5))
    covariance = A @ A.T + np.diag([0.1, 1.0, 2.0, 3.0, 4.0])
    variance = np.diag(covariance)
    noise = 0.5 * variance
    values, vectors = np.linalg.eigh(covariance / np.sqrt(np.outer(noise, noise)))
    first, second = (
        np.sqrt(values[-1] - 1.0) * vectors[:, -1] * np.sqrt(noise),
        np.sqrt(values[-2] - 1.0) * vectors[:, -2] * np.sqrt(noise),
    )
    explained = np.outer(first, first) + np.outer(second, second)
    V, left = factors(covariance, 2, iterations=1)
    np.testing.assert_allclose(V.T @ V, explained, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(left, np.maximum(variance - np.diag(explained), 0.01 * variance), rtol=1e-9)
    by_default = factors(covariance, 2, tolerance=0.0)[1]
    assert [
        np.array_equal(by_default, factors(covariance, 2, steps, tolerance=0.0)[1]) for steps in (199, 200, 201)
    ] == [False, True, False]
    noises = [factors(covariance, 2, steps, tolerance=0.0)[1] for steps in range(1, 60)]
    changes = [np.abs(np.log(b / a)).max() for a, b in zip(noises[:-1], noises[1:], strict=True)]
    ended = int(np.argmax(np.array(changes) < 0.05)) + 1  # of the first step that changes less
    assert 2 < ended < 58 and np.array_equal(factors(covariance, 2, tolerance=0.05)[1], noises[ended])
    alike = np.ones((3, 3)) + 1e-6 * np.eye(3)  # one factor leaves nothing
    for floor, more in ((0.01, {}), (0.05, {"floor": 0.05})):
        V, left = factors(alike, 1, **more)
        np.testing.assert_allclose(left, floor, rtol=1e-5)
        V, left = factors(np.diag([1.0, 2.0]), 4, **more)  # more factors than columns, and nothing for any of them
        assert V.shape == (4, 2) and not V[2:].any()


# The start


def test_parameters_to_begin_with_by_their_definition(rng):
    """Latent dimensions that the table has no use for begin as the prior."""
    normal = Normal(rng.standard_normal(3), np.diag([1.0, 2.0, 3.0]) + 0.5)
    architecture = Architecture(
        3, 5, (4,), likelihood="gaussian_per_feature", missing=True, completed=True, linear_path=True
    )
    model = Model(architecture, Ops(np))
    theta = model.initial_parameters(3, "float32")
    before, views = {name: view.copy() for name, view in model.views(theta).items()}, model.views(theta)
    start_from(model, theta, normal)
    V, noise = normal.factors(5)
    C = np.linalg.inv(np.eye(5) + V @ np.diag(1 / noise) @ V.T)
    N = np.diag(1 / noise) @ V.T @ C
    A = (V**2 / noise).T
    used = A.sum(axis=0) > 0.0
    assert 0 < used.sum() < 5
    slopes = np.zeros((3, 5))
    slopes[:, used] = np.log(np.diag(C)[used]) * A[:, used] / A[:, used].sum(axis=0)
    close = {"rtol": 1e-5, "atol": 1e-6}
    np.testing.assert_allclose(
        views["encoder/linear/mean/V"], np.concatenate([N, before["encoder/linear/mean/V"][3:]]), **close
    )
    np.testing.assert_allclose(views["encoder/mean/b"], -normal.mean @ N, **close)
    np.testing.assert_allclose(
        views["encoder/linear/logvar/V"], np.concatenate([before["encoder/linear/logvar/V"][:3], slopes]), **close
    )
    np.testing.assert_allclose(views["encoder/logvar/b"], np.full(5, 0.2), **close)
    np.testing.assert_allclose(views["decoder/linear/mean/V"], V, **close)
    np.testing.assert_allclose(views["decoder/mean/b"], normal.mean, **close)
    for head in ("encoder/mean", "encoder/logvar", "decoder/mean"):
        np.testing.assert_allclose(views[f"{head}/W"], 0.1 * before[f"{head}/W"], rtol=1e-6)


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
    """The normal distribution is of (x - center) / scale, and so are the completed rows; the likelihood's numbers
    are not.
    """
    V, noise = rng.standard_normal((2, 5)), 0.2 + rng.random(5)
    normal = Normal(rng.standard_normal(5), V.T @ V + np.diag(noise))
    center, scale = 10.0 * rng.standard_normal(5), 0.5 + 3.0 * rng.random(5)
    standard = rng.multivariate_normal(normal.mean, normal.covariance, 6)
    standard[rng.random(standard.shape) < 0.3] = np.nan
    for likelihood in ({"name": "gaussian_per_feature", "floor": 0.0}, {"name": "gaussian_decoder", "floor": 0.0}):
        architecture = Architecture(5, 2, (), likelihood=likelihood, missing=True, completed=True, linear_path=True)
        model = Model(architecture, Ops(np))
        theta = model.initial_parameters(0, "float64")
        start_from(model, theta, normal, EncoderView(center, scale))
        views = model.views(theta)
        for head in ("encoder/mean", "encoder/logvar", *(f"decoder/{head}" for head in model.likelihood.heads(5))):
            views[f"{head}/W"][...] = 0.0
        completed = normal.complete(standard)
        data = np.concatenate([center + scale * standard, completed], axis=1)
        found = importance_imputation(model, theta, data, 1, samples=20000)
        np.testing.assert_allclose((found.mean - center) / scale, completed, atol=0.12)
        wanted, left = normal.factors(2)
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
    model = Model(
        Architecture(6, 2, (), likelihood=likelihood, missing=True, completed=True, linear_path=True), Ops(np)
    )
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
    V, noise = factors(known.covariance, 1, iterations=2000, tolerance=0.0)
    np.testing.assert_allclose(noise, VARIANCE, rtol=1e-3)
    np.testing.assert_allclose(V.T @ V, known.V.T @ known.V, atol=1e-3)
