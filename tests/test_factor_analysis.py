"""Factor analysis of rows with missing entries, against the same equations row by row and column by column."""

import dataclasses

import numpy as np
import pytest

from npvae import TableImputer
from npvae.errors import ModelFileError
from npvae.estimators.tables import linear
from npvae.estimators.tables.linear import choose_linear, fit_linear
from npvae.imputation import FactorAnalysis, Normal, factor_analysis, fit_factor_analysis


def wide(rng, rows=30, columns=80, factors=3, missing=0.2):
    """Rows of few factors, and the same with cells missing."""
    x = rng.standard_normal((rows, factors)) @ rng.standard_normal((factors, columns)) + 0.3 * rng.standard_normal(
        (rows, columns)
    )
    return x, np.where(rng.random(x.shape) < missing, np.nan, x)


def dense(model) -> Normal:
    return Normal(model.mean, model.loadings.T @ model.loadings + np.diag(model.noise))


@pytest.mark.parametrize("piece", [1, 1 << 20])
def test_rows_are_completed_as_by_the_dense_covariance(rng, monkeypatch, piece):
    monkeypatch.setattr(factor_analysis, "PIECE", piece)
    model = FactorAnalysis(rng.standard_normal(7), rng.standard_normal((3, 7)), 0.1 + rng.random(7))
    x = rng.standard_normal((9, 7)).astype(np.float32)
    x[rng.random(x.shape) < 0.4] = np.nan
    x[0], x[1] = np.nan, 1.0
    np.testing.assert_allclose(model.complete(x), dense(model).complete(x), rtol=1e-9)
    assert model.complete(x).dtype == np.float64


def test_steps_of_em_by_their_definition(rng, monkeypatch):
    _, x = wide(rng, 12, 6, 2, 0.3)
    x = 5.0 + 3.0 * x
    center, scale = np.nanmean(x, axis=0), np.nanstd(x, axis=0)
    y, k = (x - center) / scale, 2
    start = factor_analysis._principal(np.nan_to_num(y), k)
    m, V, n = start.mean, start.loadings, start.noise
    for _ in range(3):
        means, covariances = [], []
        for row in y:
            o = ~np.isnan(row)
            S = V[:, o].T @ V[:, o] + np.diag(n[o])  # the larger side, for once
            gain = V[:, o] @ np.linalg.inv(S)
            means.append(gain @ (row - m)[o])
            covariances.append(np.eye(k) - gain @ V[:, o].T)
        V, m, before = np.empty((k, 6)), np.empty(6), n.copy()
        n = np.empty(6)
        for d in range(6):
            o = np.flatnonzero(~np.isnan(y[:, d]))
            G, r = np.diag([before[d]] * k + [0.0]), np.zeros(k + 1)
            for i in o:
                t = np.append(means[i], 1.0)
                G += np.outer(t, t)
                G[:k, :k] += covariances[i]
                r += y[i, d] * t
            found = np.linalg.inv(G) @ r
            V[:, d], m[d] = found[:k], found[k]
            n[d] = max((np.square(y[o, d]).sum() - r @ found) / len(o), 0.01)
        z, spread = (
            np.mean(means, axis=0),
            np.mean([C + np.outer(mu, mu) for C, mu in zip(covariances, means, strict=True)], axis=0),
        )
        m, V = m + z @ V, np.linalg.cholesky(spread - np.outer(z, z)).T @ V
    for piece in (1, 1 << 20):
        monkeypatch.setattr(factor_analysis, "PIECE", piece)
        model = fit_factor_analysis(x, 2, iterations=3, tolerance=0.0)
        np.testing.assert_allclose(model.mean, center + scale * m, rtol=1e-8)
        np.testing.assert_allclose(model.loadings, scale * V, rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(model.noise, scale**2 * n, rtol=1e-8)


def test_what_there_is_is_found_and_few_cells_do_not_lead_anywhere(rng):
    V, noise = rng.standard_normal((2, 12)), 0.2 + rng.random(12)
    x = 4.0 + rng.standard_normal((5000, 2)) @ V + np.sqrt(noise) * rng.standard_normal((5000, 12))
    x[rng.random(x.shape) < 0.3] = np.nan
    model = fit_factor_analysis(x, 2)
    np.testing.assert_allclose(model.mean, 4.0, atol=0.12)
    np.testing.assert_allclose(model.loadings.T @ model.loadings, V.T @ V, atol=0.35)
    np.testing.assert_allclose(model.noise, noise, atol=0.15)
    assert len(fit_factor_analysis(x[:3], 9).loadings) == 2 and len(fit_factor_analysis(x, 99).loadings) == 12
    x[:, 0], x[:, 1] = np.nan, 7.0
    x[5, 0] = 3.0
    found = fit_factor_analysis(x, 5).complete(x)
    np.testing.assert_allclose(found[:, :2], [[3.0, 7.0]] * len(x), atol=1e-6)
    x[:, 0] = np.nan
    assert np.isfinite(fit_factor_analysis(x, 2).complete(x)).all()


def test_the_subspace_comes_to_the_factors_of_the_whole_decomposition(rng, monkeypatch):
    """Also where the covariance is never there: of a model with more factors than are wanted."""
    V, noise = rng.standard_normal((12, 90)) * np.geomspace(3.0, 0.3, 12)[:, None], 0.3 + rng.random(90)
    model = FactorAnalysis(np.zeros(90), V, noise)
    found, left = model.factors(4)
    monkeypatch.setattr(factor_analysis, "WHOLE", 1000)
    for wanted, rest in (dense(model).factors(4), model.factors(4)):
        np.testing.assert_allclose(found.T @ found, wanted.T @ wanted, atol=0.02)
        np.testing.assert_allclose(left, rest, rtol=0.01)
    padded, same = model.factors(15)
    assert np.array_equal(padded[:12], V) and not padded[12:].any() and same is noise


def test_the_cells_held_out_say_how_many_factors_there_are(rng, monkeypatch):
    x, y = wide(rng)
    gone = np.isnan(y)

    def error_of(model):
        return np.square(model.complete(y) - x)[gone].mean()

    model, factors = choose_linear(y, error_of)
    assert (
        factors == 5
        and error_of(model) < min(error_of(fit_linear(y, count)) for count in (2, 20))
        and error_of(model) < 0.4
    )
    x, y = rng.standard_normal((40, 3)), None
    model, factors = choose_linear(x, None)  # few columns: nothing to choose
    assert factors is None and isinstance(model, Normal)
    monkeypatch.setattr(linear, "LARGEST_STEP", -1)  # too many of them are missing for a full covariance
    assert isinstance(choose_linear(x, lambda model: 1.0)[0], FactorAnalysis)
    monkeypatch.undo()
    x = rng.standard_normal((300, 30)) @ rng.standard_normal((30, 30))  # as many factors as columns
    y = np.where(rng.random(x.shape) < 0.1, np.nan, x)
    assert choose_linear(y, lambda model: np.square(model.complete(y) - x).sum())[1] is None


def test_a_long_table_is_read_in_part(rng, monkeypatch):
    monkeypatch.setattr(linear, "MOST_ROWS", 4)
    x = rng.standard_normal((11, 2))
    np.testing.assert_array_equal(fit_linear(x, None).mean, x[::3].mean(axis=0))


def test_an_imputer_of_a_wide_table_is_saved_without_a_covariance(rng, tmp_path):
    x, y = wide(rng)
    imputer = TableImputer(members=2, epochs=1, hidden=(4,), imputation_samples=100, random_state=0).fit(y)
    assert [len(member.normal.loadings) for member in imputer.members_] == [5, 5]
    filled = imputer.transform(y)
    assert np.square(filled - x)[np.isnan(y)].mean() < 0.15 * x.var()
    imputer.save(tmp_path / "wide.npz")
    with np.load(tmp_path / "wide.npz") as file:
        assert {"loadings_0", "noise_1"} <= {*file} and not any("covariance" in name for name in file)
    np.testing.assert_array_equal(TableImputer.load(tmp_path / "wide.npz").transform(y), filled)
    kept = imputer.members_[1].normal
    for wrong in (
        {"noise": -kept.noise},
        {"noise": kept.noise[1:]},
        {"loadings": kept.loadings[:0]},
        {"loadings": kept.loadings[0]},
    ):
        imputer.members_[1] = dataclasses.replace(imputer.members_[1], normal=dataclasses.replace(kept, **wrong))
        imputer.save(tmp_path / "wrong.npz")
        with pytest.raises(ModelFileError, match="member 1"):
            TableImputer.load(tmp_path / "wrong.npz")


def test_where_time_is_over_the_first_linear_model_is_taken():
    x = np.random.default_rng(3).normal(size=(60, 40))
    x[::7, 3] = np.nan
    tried = []
    model, factors = choose_linear(x, lambda model: tried.append(model) or -len(tried), lambda: True)
    assert tried == [model]
    choose_linear(x, lambda model: tried.append(model) or -len(tried), lambda: False)
    assert len(tried) > 2
