"""The ordinal likelihood: probabilities of levels by their definition, tails, thresholds, starts, draws."""

import itertools
import math

import numpy as np
import pytest

from npvae import VAE
from npvae.backend.base import Ops
from npvae.errors import InputError
from npvae.gradcheck.checker import check_gradient
from npvae.mathematics import likelihoods, random
from npvae.mathematics.likelihoods.ordinal import SMALLEST_GAP

OPS = Ops(np)
SIZES = [3, 1, 2]


def sigmoid(a):
    return 1.0 / (1.0 + math.exp(-a)) if a > -700 else 0.0


def levels_of(location, raw):
    """P(v) of all levels of one variable, by the definition."""
    thresholds, total = [], 0.0
    for i, a in enumerate(raw):
        total = a if i == 0 else total + SMALLEST_GAP + math.exp(a)
        thresholds.append(total)
    above = [1.0, *(sigmoid(location - t) for t in thresholds), 0.0]
    return [above[v] - above[v + 1] for v in range(len(raw) + 1)]


def columns_of(levels, sizes=SIZES):
    """Cumulative indicators of levels (B, C)."""
    return np.concatenate([levels[:, i : i + 1] > np.arange(size) for i, size in enumerate(sizes)], axis=1).astype(
        float
    )


def nll_of(likelihood, location, raw, x, observed=None, ops=OPS):
    return likelihood.negative_log_likelihood(ops, (location,), x, {"raw_thresholds": raw}, True, observed)


def test_probabilities_of_all_levels(ops, rng):
    """Loops over Python floats; of every combination of levels, which add up to one."""
    likelihood, raw = likelihoods.Ordinal(SIZES), rng.standard_normal(6)
    levels = np.array(list(itertools.product(range(4), range(2), range(3))))
    location = np.tile(rng.standard_normal((1, 3)), (len(levels), 1))
    x = columns_of(levels)
    likelihood.check_data(x)
    nll = nll_of(likelihood, location, raw, x, ops=ops)[0]
    tables = [levels_of(at, widths) for at, widths in zip(location[0], (raw[:3], raw[3:4], raw[4:]), strict=True)]
    wanted = [-sum(math.log(table[v]) for table, v in zip(tables, row, strict=True)) for row in levels]
    np.testing.assert_allclose(nll, wanted, rtol=1e-12)
    assert np.exp(-nll).sum() == pytest.approx(1.0, rel=1e-12)
    means = likelihood.mean(ops, (location,), {"raw_thresholds": raw})
    np.testing.assert_allclose(means[0], np.exp(-nll) @ x, rtol=1e-12)


def test_gradients_with_missing_variables(ops, rng):
    likelihood, raw = likelihoods.Ordinal(SIZES), rng.standard_normal(6)
    levels, location = (
        np.stack([rng.integers(0, n + 1, 9) for n in SIZES], axis=1),
        np.asfortranarray(rng.standard_normal((9, 3))),
    )
    x, there = columns_of(levels), rng.random((9, 3)) < 0.6
    observed = np.repeat(there, SIZES, axis=1)
    for mask in (None, observed):

        def function(location, raw, mask=mask):
            nll, backward = nll_of(likelihood, location, raw, x, mask)
            return nll, lambda dnll: (backward(dnll)[0][0], backward(dnll)[1]["raw_thresholds"])

        assert check_gradient(function, [location, raw], names=["location", "raw_thresholds"])
    nll, backward = nll_of(likelihood, location, raw, x, observed, ops)
    for b in range(9):
        wanted = 0.0
        for i, block in enumerate((slice(0, 3), slice(3, 4), slice(4, 6))):
            wanted -= math.log(levels_of(location[b, i], raw[block])[levels[b, i]]) if there[b, i] else 0.0
        assert float(nll[b]) == pytest.approx(wanted, rel=1e-12, abs=1e-14)
    assert not backward(1.0)[0][0][~there].any()
    empty = np.where(observed, x, 1.0)  # whatever stands where something is missing
    np.testing.assert_allclose(nll_of(likelihood, location, raw, empty, observed, ops)[0], nll, rtol=1e-14)


def test_tails_are_straight_lines_in_single_precision():
    likelihood, raw = likelihoods.Ordinal([3]), np.array([-1.0, 0.0, 90.0], np.float32)
    x = columns_of(np.arange(4)[:, None], [3]).astype(np.float32)
    for location in (-1e4, 1e4):
        with np.errstate(all="raise", under="ignore"):
            nll, backward = nll_of(
                likelihood, np.full((4, 1), location, np.float32), np.array([-1.0, 0.0, 3.0], np.float32), x
            )
            (d_location,), own = backward(1.0)
        t = np.cumsum([-1.0, 1.0 + SMALLEST_GAP, math.exp(3.0) + SMALLEST_GAP])
        ahead = [0.0, *(t + 1e4)] if location < 0 else [*(1e4 - t), 0.0]
        np.testing.assert_allclose(nll, np.maximum(ahead, 0.0), rtol=1e-4, atol=1e-3)
        np.testing.assert_allclose(d_location[:, 0], [0, -1, -1, -1] if location < 0 else [1, 1, 1, 0], atol=1e-6)
        assert np.isfinite(own["raw_thresholds"]).all()
    with np.errstate(
        all="raise", under="ignore"
    ):  # thresholds so close, or so far, that their exponentials leave the dtype
        for a in (-200.0, 80.0):
            nll, backward = nll_of(likelihood, np.zeros((4, 1), np.float32), np.array([0.0, a, 0.0], np.float32), x)
            assert np.isfinite(nll).all() and np.isfinite(backward(1.0)[1]["raw_thresholds"]).all()
    assert raw.dtype == np.float32


def test_thresholds_start_where_the_shares_are(rng):
    """Without z every level has the share that it has in the data; one that never occurs has a little."""
    levels = rng.choice(4, 3000, p=[0.5, 0.1, 0.0, 0.4])[:, None]
    likelihood, x = likelihoods.Ordinal([3]), columns_of(levels, [3])
    holes = np.where(rng.random((3000, 1)) < 0.3, np.nan, x)
    for data in (x, holes, x.astype(np.float32)):
        raw = likelihood.initial_own(data)["raw_thresholds"]
        assert raw.dtype == np.float64 and likelihood.initial_biases(data)["location"].tolist() == [0.0]
        there = ~np.isnan(data[:, 0])
        shares = np.bincount(levels[there, 0], minlength=4) / there.sum()
        np.testing.assert_allclose(levels_of(0.0, raw), shares, atol=2e-3)
        assert levels_of(0.0, raw)[2] > 1e-4
    _, backward = nll_of(likelihood, np.zeros((3000, 1)), likelihood.initial_own(x)["raw_thresholds"], x)
    assert (
        abs(backward(1.0 / 3000)[0][0].sum()) < 1e-3 and np.abs(backward(1.0 / 3000)[1]["raw_thresholds"]).max() < 2e-3
    )
    np.testing.assert_allclose(
        levels_of(0.0, likelihoods.Ordinal([4]).parameters(4)["raw_thresholds"]), np.full(5, 0.2), rtol=1e-9
    )
    np.testing.assert_array_equal(likelihoods.Ordinal([1, 2]).parameters(3)["raw_thresholds"][:1], [0.0])


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.5])
def test_the_linear_start_has_means_and_covariances_of_the_data(rng, strength):
    """Of data that are ordinal given z: what is found from their means and covariances with z gives these, and
    nearly b.
    """
    z = rng.standard_normal((150_000, 2))
    b = strength * np.array([0.8, -0.6])
    noise = np.log(1 / rng.random(len(z)) - 1)
    levels = ((z @ b + noise)[:, None] > np.array([-1.0, 0.5, 1.2])).sum(axis=1)[:, None]
    x = np.concatenate([columns_of(levels, [3]), columns_of((levels > 1) * 1, [1])], axis=1)
    mean, V = x.mean(axis=0), z.T @ (x - x.mean(axis=0)) / len(z)
    start = likelihoods.Ordinal([3, 1]).linear_start(mean, V, np.ones(4))
    path, raw = start["path"]["location"], start["parameters"]["raw_thresholds"]
    assert path.shape == (2, 2) and start["bias"]["location"].tolist() == [0.0, 0.0]
    np.testing.assert_allclose(path[:, 0], b, rtol=0.05, atol=0.02)
    p = likelihoods.Ordinal([3, 1]).mean(OPS, (z @ path,), {"raw_thresholds": raw})
    np.testing.assert_allclose(p.mean(axis=0), mean, atol=0.01)
    np.testing.assert_allclose(z.T @ p / len(z), V, atol=0.012)
    certain = likelihoods.Ordinal([1]).linear_start(np.array([0.5]), np.array([[10.0]]), np.ones(1))["path"]["location"]
    assert certain == pytest.approx(np.sqrt(10.0))


def test_draws_are_levels_with_their_probabilities(rng):
    likelihood, raw = likelihoods.Ordinal(SIZES), rng.standard_normal(6).astype(np.float32)
    location = np.tile(rng.standard_normal((1, 3)), (100_000, 1)).astype(np.float32)
    drawn = likelihood.draw((location,), {"raw_thresholds": raw}, random.Stream(1, "data sample", 0))
    assert drawn.dtype == np.float32
    likelihood.check_data(drawn)
    blocks = (slice(0, 3), slice(3, 4), slice(4, 6))
    for i, block in enumerate(blocks):
        p = np.array(levels_of(float(location[0, i]), raw[block].astype(float)))
        found = np.bincount(drawn[:, block].sum(axis=1).astype(int), minlength=len(p)) / len(drawn)
        assert (np.abs(found - p) < 5 * np.sqrt(p * (1 - p) / len(drawn))).all()
    assert np.abs(
        np.corrcoef(np.stack([drawn[:, block].sum(axis=1) for block in blocks])) - np.eye(3)
    ).max() < 5 / math.sqrt(len(drawn))


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (
            [0, 1, 0, 1, 1],
            r"row 1 of X rises from 0 to 1 within column 'a' to column 'b', but the ordinal likelihood needs columns "
            r"\[v >= 1\]",
        ),
        ([1, 0, 1, 0, 1], "row 1 of X rises from 0 to 1 within column 'c' to column 'e'"),
        ([1, 0, 1, 1, 2], r"X holds 2.0 in column 'e' \(row 1\), but"),
        ([1, 0, 1, np.nan, 0], "row 1 of X lacks some of column 'c' to column 'e', and not all"),
        ([np.nan, np.nan, 1, 1, 0], None),
    ],
)
def test_only_cumulative_columns_are_taken(row, words):
    likelihood, x = likelihoods.Ordinal([2, 3]), np.array([[1.0, 0, 1, 1, 1], row])
    if words is None:
        likelihood.check_data(x, list("abcde"))
    else:
        with pytest.raises(InputError, match=words):
            likelihood.check_data(x, list("abcde"))
    with pytest.raises(InputError, match=r"the ordinal likelihood has blocks of \[2, 3\], 5 columns, but X has 4"):
        likelihood.heads(4)


def test_as_columns_of_a_table_it_learns_an_order(rng, tmp_path):
    z = rng.standard_normal(300)
    levels = (z[:, None] + 0.3 * rng.standard_normal((300, 1)) > [-1.0, 0.0, 1.0]).sum(axis=1)[:, None]
    x = np.concatenate([z[:, None], columns_of(levels, [3])], axis=1)
    columns = [["gaussian_per_feature", 1], [{"name": "ordinal", "sizes": [3]}, 3]]
    vae = VAE(
        1,
        (8,),
        likelihood={"name": "table", "columns": columns},
        epochs=40,
        optimizer="adam",
        learning_rate=0.01,
        batch_size=50,
        output_bias="data",
        random_state=0,
        missing=True,
    )
    vae.fit(np.where(np.repeat(rng.random((300, 2)) < 0.1, [1, 3], axis=1), np.nan, x))
    vae.save(tmp_path / "m.npz")
    found = VAE.load(tmp_path / "m.npz").reconstruct(
        np.concatenate([[[-1.5], [0.5], [1.5]], np.full((3, 3), np.nan)], axis=1)
    )[:, 1:]
    assert (np.diff(found, axis=1) <= 0).all() and (np.diff(found.sum(axis=1)) > 0.3).all()
    assert vae.history_["loss"][-1] < vae.history_["loss"][0] - 0.3
