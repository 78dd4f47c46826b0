"""Chains: Metropolis-within-Gibbs has the model's exact conditional distribution, whatever its encoder."""

import numpy as np
import pytest
from linear_gaussian import LinearGaussian

from npvae.backend.base import Ops
from npvae.errors import InputError
from npvae.imputation import chain_imputation
from npvae.imputation.chains import Chain
from npvae.mathematics.random import Stream

ROWS = 6000
X = np.array([0.9, np.nan, np.nan])


def last_states(known, proposals: int, steps: int = 60) -> np.ndarray:
    """What is missing of ``ROWS`` equal rows after so many steps from a bad place, (ROWS, 2)."""
    x = np.tile(X, (ROWS, 1))
    chain = Chain(
        known.model, known.model.views(known.theta), x, np.where(np.isnan(x), 5.0, x), Stream(3, "imputation chain", 0)
    )
    for _ in range(steps):
        chain.step(proposals)
    assert (chain.x[:, 0] == 0.9).all()
    return chain.x[:, 1:]


def distance(found: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> float:
    """The largest difference of means and covariances, in standard errors of independent rows."""
    rows = len(found)
    by_mean = abs(found.mean(axis=0) - mean) / np.sqrt(np.diag(covariance) / rows)
    spread = np.sqrt((np.outer(np.diag(covariance), np.diag(covariance)) + covariance**2) / rows)
    return float(max(by_mean.max(), (abs(np.cov(found.T) - covariance) / spread).max()))


@pytest.mark.parametrize("proposals", [1, 2, 7])
def test_metropolis_within_gibbs_has_the_exact_distribution(proposals):
    known = LinearGaussian()
    assert distance(last_states(known, proposals), *known.conditional(X)) < 4.0


def test_several_proposals_move_it_more_often():
    known, accepted = LinearGaussian(), []
    x = np.tile(X, (500, 1))
    for proposals in (1, 5):
        found = chain_imputation(
            known.model, known.theta, x, np.where(np.isnan(x), 0.0, x), seed=1, steps=50, proposals=proposals
        )
        accepted.append(found.diagnostics["acceptance"].mean())
    assert accepted[1] > accepted[0] + 0.1


def test_pseudo_gibbs_has_not_where_the_encoder_is_wrong():
    known = LinearGaussian()
    assert distance(last_states(known, 0), *known.conditional(X)) > 10.0


def test_with_accept_and_reject_swapped_the_distribution_is_wrong(monkeypatch):
    """As in public code: a proposal of lower weight is what is always taken."""
    original = Chain._choose
    monkeypatch.setattr(Chain, "_choose", lambda self, log_weights: original(self, -log_weights))
    known = LinearGaussian()
    assert distance(last_states(known, 1), *known.conditional(X)) > 10.0


@pytest.mark.parametrize("part", ["log_prior_ratio", "nll"])
def test_every_part_of_the_ratio_counts(monkeypatch, part):
    from npvae.mathematics.objectives import decoding

    original = decoding.Decoding.__init__

    def without(self, *arguments, **named):
        original(self, *arguments, **named)
        setattr(self, part, 0.0 * getattr(self, part))

    monkeypatch.setattr(decoding.Decoding, "__init__", without)
    known = LinearGaussian()
    assert distance(last_states(known, 1), *known.conditional(X)) > 10.0


def test_means_draws_and_diagnostics():
    known = LinearGaussian()
    x = np.array([X, [np.nan, -1.0, 2.5], [0.1, 0.2, 0.3], [np.nan] * 3])
    found = chain_imputation(
        known.model, known.theta, x, np.where(np.isnan(x), 0.0, x), seed=1, steps=4000, warm_up=20, chains=3, draws=300
    )
    there = ~np.isnan(x)
    np.testing.assert_array_equal(found.mean[there], x[there])
    assert found.draws.shape == (300, 4, 3) and (found.draws[:, there] == x[there]).all()
    for b in (0, 1, 3):
        mean, covariance = known.conditional(x[b]) if there[b].any() else (known.b, known.covariance)
        size = found.diagnostics["effective_sample_size"][b]
        assert 100 < size < 12000
        np.testing.assert_allclose(found.mean[b, ~there[b]], mean, atol=6 * np.sqrt(np.diag(covariance).max() / size))
        np.testing.assert_allclose(found.draws[:, b, ~there[b]].std(axis=0), np.sqrt(np.diag(covariance)), rtol=0.3)
    acceptance, spread = found.diagnostics["acceptance"], found.diagnostics["spread"]
    assert ((acceptance > 0.2) & (acceptance < 1.0)).all()
    assert (spread[[0, 1, 3]] > 1.0).all() and (spread < 1.1).all() and spread[2] == 1.0
    assert found.diagnostics["effective_sample_size"][2] == 12000  # a complete row
    again = chain_imputation(
        known.model, known.theta, x, np.where(np.isnan(x), 0.0, x), seed=1, steps=50, chains=2, metropolis=False
    )
    assert again.draws is None and (again.diagnostics["acceptance"] == 1.0).all()


def test_chains_that_have_not_met_say_so():
    """Two steps' worth of moves from places far apart: the spread is far from 1, the effective sample size small."""
    known = LinearGaussian()
    known.model.views(known.theta)["encoder/logvar/b"][...] -= 14.0  # proposals that hardly move
    x = np.tile([np.nan, np.nan, 1.0], (200, 1))
    found = chain_imputation(
        known.model, known.theta, x, np.where(np.isnan(x), 0.0, x), seed=1, steps=100, warm_up=0, chains=2, draws=0
    )
    moved = chain_imputation(
        LinearGaussian().model, LinearGaussian().theta, x, np.where(np.isnan(x), 0.0, x), seed=1, steps=100, chains=2
    )
    assert np.median(found.diagnostics["effective_sample_size"]) < 0.5 * np.median(
        moved.diagnostics["effective_sample_size"]
    )
    assert np.median(moved.diagnostics["spread"]) < 1.2 and found.diagnostics["acceptance"].mean() < 0.05


def test_the_spread_is_gelman_and_rubin_s():
    from npvae.imputation.chains import _diagnose, _Moments

    generator = np.random.default_rng(0)
    runs, sums = [], generator.standard_normal((3, 50)) + np.array([0.0, 1.0, 5.0])[:, None]
    for values in sums:
        run = _Moments(np.ones((1, 1), bool), 50)
        for value in values:
            run.add(np.array([[value]]), np.array([True]))
        runs.append(run)
    wanted = np.sqrt(1 + sums.mean(axis=1).var(ddof=1) / sums.var(axis=1, ddof=1).mean())
    assert _diagnose(runs)["spread"][0] == pytest.approx(wanted, rel=1e-12) and wanted > 2


def test_draws_are_the_chain_s_at_equal_distances():
    known, seen = LinearGaussian(), []
    original = Chain.step

    def noted(self, proposals):
        original(self, proposals)
        seen.append(self.x.copy())

    Chain.step = noted
    try:
        found = chain_imputation(known.model, known.theta, X[None], np.zeros((1, 3)), 0, steps=10, warm_up=0, draws=5)
    finally:
        Chain.step = original
    np.testing.assert_array_equal(found.draws[:, 0], [seen[i][0] for i in (1, 3, 5, 7, 9)])


def test_rows_that_leave_the_dtype_begin_anew():
    known = LinearGaussian()
    known.model.views(known.theta)["encoder/mean/W"][...] = 1e200  # every z is beyond a float's square
    x = np.array([X, [0.0, 0.0, 0.0]])
    for metropolis in (False, True):
        found = chain_imputation(
            known.model, known.theta, x, np.nan_to_num(x), 0, steps=20, metropolis=metropolis, draws=3
        )
        assert np.isfinite(found.mean).all() and np.isfinite(found.draws).all()


def test_only_the_row_that_is_lost_begins_anew():
    """Its z at 0, and what is said to be expected of it where it began; the row beside it goes on as without it."""
    known, states = LinearGaussian(), []
    known.model.views(known.theta)["encoder/mean/W"][...] = [[1e300], [0.1], [0.1]]
    for first in (1e300, 0.0):
        x = np.array([[first, np.nan, 1.0], [0.0, np.nan, 1.0]])
        start = np.where(np.isnan(x), 7.0, x)
        chain = Chain(known.model, known.model.views(known.theta), x, start, Stream(3, "imputation chain", 0))
        chain.step(0)
        if first:
            np.testing.assert_array_equal(chain.x[0], start[0])
            np.testing.assert_array_equal(chain.expected[0], start[0])
            assert chain.z[0] == 0.0
        chain.step(2)
        states.append((chain.x[1], chain.expected[1], chain.z[1]))
    np.testing.assert_array_equal(*map(np.concatenate, states))
    assert states[0][0][1] != 7.0 and states[0][2][0] != 0.0


def test_a_row_of_which_what_is_observed_is_expected_beyond_the_dtype_begins_anew():
    """Also where what is missing is not: the next z would be as far off."""
    known = LinearGaussian()
    views = known.model.views(known.theta)
    views["encoder/mean/b"][...], views["decoder/mean/W"][...] = 1e150, [[1e200, 1.0, 1.0]]
    start = np.array([[0.9, 7.0, 7.0]])
    chain = Chain(known.model, views, X[None], start, Stream(3, "imputation chain", 0))
    chain.step(0)
    np.testing.assert_array_equal(chain.x, start)
    np.testing.assert_array_equal(chain.expected, start)


def test_backends_agree_on_chains(ops):
    x = np.array([X, [np.nan, -1.0, 2.5], [0.1, 0.2, 0.3]])
    for arguments in ({"metropolis": False}, {"proposals": 1}, {"proposals": 3}):
        found = []
        for each in (Ops(np), ops):
            known = LinearGaussian(ops=each)
            found.append(
                chain_imputation(
                    known.model,
                    each.asarray(known.theta),
                    x,
                    np.where(np.isnan(x), 0.0, x),
                    4,
                    steps=5,
                    warm_up=2,
                    draws=2,
                    **arguments,
                )
            )
        np.testing.assert_allclose(found[1].mean, found[0].mean, rtol=1e-9)
        np.testing.assert_allclose(found[1].draws, found[0].draws, rtol=1e-9)


def test_proposals_that_do_not_fit_into_memory(monkeypatch):
    known = LinearGaussian()
    numbers = 4 * 1 + 3 + 3 * 3  # of a sample: four of z and of noise, what is decoded, three times the row
    monkeypatch.setattr("npvae.imputation.chains.ROWS", 6)
    for rows in (3, 9):  # as many together as there are, or as run together
        bytes_of_one = 8 * min(rows, 6) * numbers
        monkeypatch.setattr(known.model.ops, "available_bytes", lambda numbers=bytes_of_one: 5 * numbers, raising=False)
        x = np.tile(X, (rows, 1))
        chain_imputation(known.model, known.theta, x, np.zeros_like(x), 0, steps=4, warm_up=0, proposals=5)
        with pytest.raises(
            InputError,
            match=f"^proposals=6 needs about {6 * bytes_of_one:,} bytes for those of {min(rows, 6)} rows, but",
        ):
            chain_imputation(known.model, known.theta, x, np.zeros_like(x), 0, steps=4, warm_up=0, proposals=6)
    monkeypatch.undo()
    monkeypatch.setattr(known.model.ops, "available_bytes", lambda: 100_000, raising=False)
    x = np.tile(X, (10, 1))
    with pytest.raises(InputError, match="proposals=10000 needs about .* bytes for those of 10 rows"):
        chain_imputation(known.model, known.theta, x, np.zeros_like(x), 0, steps=4, proposals=10_000)
    chain_imputation(known.model, known.theta, x, np.zeros_like(x), 0, steps=4, proposals=10)


def test_draws_are_at_most_as_many_as_steps():
    known = LinearGaussian()
    with pytest.raises(InputError, match="draws must be at most 8"):
        chain_imputation(known.model, known.theta, X[None], np.zeros((1, 3)), 0, steps=4, chains=2, draws=9)


class Fixed:
    """A stream whose uniform numbers are given."""

    def __init__(self, u):
        self._u = np.asarray(u, float)

    def uniform(self, shape):
        return np.broadcast_to(self._u, shape)


@pytest.mark.parametrize(
    ("log_weights", "u", "chosen"),
    [
        # Metropolis: the proposal where log(1 - u) is below the difference.
        ([[0.0], [0.0]], 0.0, 1),
        ([[1e-9], [0.0]], 0.0, 0),
        ([[0.0], [0.0]], 1e-9, 0),
        ([[np.log(0.25)], [0.0]], 0.74, 1),
        ([[np.log(0.25)], [0.0]], 0.76, 0),
        ([[np.nan], [0.0]], 0.999, 1),
        ([[-np.inf], [-np.inf]], 0.999, 1),
        ([[-np.inf], [np.nan]], 0.999, 1),
        ([[-5.0], [-np.inf]], 0.0, 0),
        # Several proposals: shares 1/8, 1/2, 3/8 of the places from 0 to 1, the present one last.
        (np.log([[1.0], [4.0], [3.0]]), 0.0, 0),
        (np.log([[1.0], [4.0], [3.0]]), 0.1249, 0),
        (np.log([[1.0], [4.0], [3.0]]), 0.126, 1),
        (np.log([[1.0], [4.0], [3.0]]), 0.624, 1),
        (np.log([[1.0], [4.0], [3.0]]), 0.626, 2),
        (np.log([[1.0], [4.0], [3.0]]), 1 - 1e-16, 2),
        ([[800.0], [800.0], [-np.inf]], 0.4, 0),
        ([[800.0], [800.0], [-np.inf]], 0.6, 1),
        ([[np.nan], [-np.inf], [-np.inf]], 0.5, 2),
        ([[-np.inf], [0.0], [0.0]], 0.0, 1),
    ],
)
def test_which_proposal_is_taken(log_weights, u, chosen):
    chain = Chain.__new__(Chain)
    chain._stream = Fixed(u)
    beside = np.zeros((len(log_weights), 1))  # another row has no say
    beside[0] = 700.0
    assert chain._choose(np.concatenate([np.asarray(log_weights, float), beside], axis=1))[0] == chosen


@pytest.mark.parametrize("steps", [4, 9, 50, 60])
def test_what_is_summed_over_a_chain_s_steps(steps):
    """The effective sample size by means of stretches of sqrt(steps), from the definition; what is observed has no
    part in it.
    """
    from npvae.imputation.chains import _diagnose, _Moments

    generator = np.random.default_rng(1)
    missing = np.array([[True, False, True], [True, True, True], [True, False, False], [False, False, False]])
    expected, accepted = generator.standard_normal((steps, 4, 3)).cumsum(axis=0), generator.random((steps, 4)) < 0.5
    expected[:, 2] = 3.7
    run = _Moments(missing, steps)
    for each in zip(expected, accepted, strict=True):
        run.add(*each)
    np.testing.assert_allclose(run.total, expected.sum(axis=0))
    sums = (expected * missing).sum(axis=2)
    np.testing.assert_allclose(run.mean, sums.mean(axis=0))
    np.testing.assert_allclose(run.variance, sums.var(axis=0, ddof=1), atol=1e-20)
    length = int(steps**0.5)
    means = np.array([sums[i * length : (i + 1) * length].mean(axis=0) for i in range(steps // length)])
    wanted = steps * sums.var(axis=0, ddof=1)[:2] / (length * means.var(axis=0, ddof=1)[:2])
    np.testing.assert_allclose(run.effective_sample_size[:2], wanted.clip(1, steps))
    assert run.effective_sample_size[2] == 1.0  # it has not moved
    found = _diagnose([run, run])
    np.testing.assert_allclose(found["acceptance"], accepted.mean(axis=0))
    np.testing.assert_allclose(found["effective_sample_size"], [*2 * run.effective_sample_size[:3], 2 * steps])
    assert found["spread"].tolist() == [1.0] * 4 and np.isnan(_diagnose([run])["spread"]).all()
    alternating = _Moments(missing[:1], steps)
    for i in range(steps):
        alternating.add(np.full((1, 3), i % 2), accepted[0, :1])
    assert 1.0 <= alternating.effective_sample_size[0] <= steps


@pytest.mark.parametrize("unit", [2.0**-60, 2.0**60])
def test_diagnostics_do_not_depend_on_the_unit(unit):
    """Of rows that move, and of one whose equal numbers have a mean that is a rounding off."""
    from npvae.imputation.chains import _diagnose, _Moments

    expected = np.random.default_rng(2).standard_normal((2, 20, 3, 1)).cumsum(axis=1)
    expected[:, :, 2] = np.array([3.7, 3.7 * (1 + 1e-14)])[:, None, None]
    found = []
    for factor in (1.0, unit):
        runs = []
        for chain in expected:
            runs.append(_Moments(np.ones((3, 1), bool), 20))
            for each in factor * chain:
                runs[-1].add(each, np.ones(3, bool))
        found.append(_diagnose(runs))
    for name in ("effective_sample_size", "spread"):
        np.testing.assert_array_equal(found[1][name], found[0][name])
    assert found[0]["effective_sample_size"][2] == 2.0 and found[0]["spread"][2] == 1.0
    assert (found[0]["effective_sample_size"][:2] > 2.0).all() and (found[0]["spread"][:2] > 1.0).all()


def test_chains_that_stand_still_in_different_places_are_infinitely_far_apart():
    from npvae.imputation.chains import _diagnose, _Moments

    runs = [_Moments(np.ones((1, 2), bool), 9) for _ in range(2)]
    for run, place in zip(runs, (1.0, 2.0), strict=True):
        for _ in range(9):
            run.add(np.full((1, 2), place), np.array([False]))
    found = _diagnose(runs)
    assert found["spread"][0] == np.inf and found["effective_sample_size"][0] == 2.0 and found["acceptance"][0] == 0.0


def test_every_chain_has_its_own_stream_and_steps(monkeypatch):
    from npvae.imputation import chains

    known, streams, steps, done = LinearGaussian(), [], [], []
    monkeypatch.setattr(chains, "ROWS", 3)
    monkeypatch.setattr(chains.random, "Stream", lambda *place: streams.append(place) or Stream(*place))
    original = Chain.step
    monkeypatch.setattr(
        Chain, "step", lambda self, proposals: steps.append((len(self.x), proposals)) or original(self, proposals)
    )
    x = np.tile(X, (7, 1))
    arguments = {"steps": 4, "warm_up": 2, "chains": 2, "proposals": 3}
    found = chain_imputation(
        known.model, known.theta, x, np.zeros_like(x), 9, **arguments, draws=8, progress=done.append
    )
    assert streams == [(9, "imputation chain", i) for i in range(6)] and done == [3, 6, 7]
    assert steps == [(rows, p) for rows in (3, 3, 3, 3, 1, 1) for p in [0] * 2 + [3] * 4]
    assert len({tuple(each) for each in found.draws[:, :, 1]}) == 8 and len({*found.draws[0, :, 1]}) == 7
    np.testing.assert_array_equal(found.mean[:, 0], X[0])
    steps.clear()
    chain_imputation(known.model, known.theta, x[:1], np.zeros((1, 3)), 9, metropolis=False, **arguments)
    assert steps == [(1, 0)] * 12
