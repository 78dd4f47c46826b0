"""The bounded likelihood: probabilities of every value, tails at the ends, means, draws, starts."""

import math

import numpy as np
import pytest

from npvae import VAE
from npvae.backend.base import Ops
from npvae.errors import InputError
from npvae.gradcheck.checker import check_gradient
from npvae.mathematics import likelihoods, random

OPS = Ops(np)
ENDS = [(0.0, 1.0, 0.125), (-3.0, None, 0.5), (None, 7.0, 0.5), (None, None, 0.5)]


def logistic(v, m, s):
    t = (v - m) / s
    return 1.0 / (1.0 + math.exp(-t)) if t > 0 else math.exp(t) / (1.0 + math.exp(t))


def probability(v, m, s, low, high, step):
    """By the definition."""
    above = 0.0 if low is not None and v == low else logistic(v - step / 2, m, s)
    below = 1.0 if high is not None and v == high else logistic(v + step / 2, m, s)
    return below - above


def support(low, high, step):
    first = low if low is not None else (high or 0.0) - 400 * step
    last = high if high is not None else (low or 0.0) + 400 * step
    return first + step * np.arange(round((last - first) / step) + 1)


@pytest.mark.parametrize("ends", ENDS)
@pytest.mark.parametrize(("m", "c"), [(0.4, -1.0), (2.0, 0.3), (-4.0, -3.0)])
def test_probabilities_of_all_values(ops, ends, m, c):
    """They are the definition's, and add up to one with the mean and the draws."""
    likelihood, s = likelihoods.Bounded(*ends), 1e-3 + math.exp(c)
    x = support(*ends)[:, None]
    outputs = np.full(x.shape, m), np.full(x.shape, c)
    p = np.exp(-likelihood.negative_log_likelihood(ops, outputs, x, {})[0])
    np.testing.assert_allclose(p, [probability(v, m, s, *ends) for v in x[:, 0]], rtol=1e-9, atol=1e-14)
    assert p.sum() == pytest.approx(1.0, abs=1e-12)
    mean = likelihood.mean(ops, outputs, {})[0, 0]
    wanted = p @ x[:, 0]
    if None in ends:  # of the distribution before it is recorded: off by what recording it does
        assert abs(mean - wanted) < 0.5 * ends[2]
        if s > ends[2]:
            assert mean == pytest.approx(wanted, abs=0.01)
    else:
        assert mean == pytest.approx(wanted, rel=1e-11)
    likelihood.check_data(x)
    drawn = likelihood.draw(tuple(np.full((100_000, 1), v) for v in (m, c)), {}, random.Stream(3, "data sample", 0))[
        :, 0
    ]
    places = np.searchsorted(x[:, 0], drawn - 1e-9)
    np.testing.assert_allclose(x[places, 0], drawn, atol=1e-12)
    found = np.bincount(places, minlength=len(x)) / len(drawn)
    assert (np.abs(found - p) < 5.5 * np.sqrt(p * (1 - p) / len(drawn)) + 1e-4).all()


def test_the_mean_of_many_steps_is_the_integral():
    """Also far beyond the ends, and in single precision; for the ends as for their mirror images."""
    for m in (-50.0, 0.1, 0.5, 0.9, 30.0):
        for c in (-4.0, -1.0, 2.0):
            exact = likelihoods.Bounded(0.0, 1.0, 1 / 128).mean(OPS, (np.full((1, 1), m), np.full((1, 1), c)), {})
            likelihood = likelihoods.Bounded(0.0, 1.0, 1 / 1024)
            for dtype, tolerance in ((np.float64, 1e-4), (np.float32, 2e-4)):
                found = likelihood.mean(OPS, (np.full((1, 1), m, dtype), np.full((1, 1), c, dtype)), {})
                assert found == pytest.approx(exact, abs=tolerance) and found.dtype == dtype and 0.0 <= found <= 1.0
                mirrored = likelihood.mean(OPS, (np.full((1, 1), 1.0 - m, dtype), np.full((1, 1), c, dtype)), {})
                assert mirrored == pytest.approx(1.0 - found, abs=1e-6)


def test_a_small_step_is_the_density_times_the_step(rng):
    x, m, c, step = rng.standard_normal((4, 3)), rng.standard_normal((4, 3)), rng.standard_normal((4, 3)), 1e-9
    s = 1e-3 + np.exp(c)
    t = (x - m) / s
    wanted = (t + 2.0 * np.log1p(np.exp(-t)) + np.log(s) - math.log(step)).sum(axis=1)
    for dtype in (np.float64, np.float32):
        nll = likelihoods.Bounded(None, None, step).negative_log_likelihood(
            OPS, (m.astype(dtype), c.astype(dtype)), x.astype(dtype), {}
        )[0]
        np.testing.assert_allclose(nll, wanted, rtol=1e-7 if dtype == np.float64 else 1e-5)


@pytest.mark.parametrize("ends", ENDS)
def test_gradients_at_the_ends_and_between_with_missing_entries(ops, rng, ends):
    likelihood, values = likelihoods.Bounded(*ends), support(*ends)
    x = rng.choice(values[abs(values) < 8], (6, 4))
    x[0, 0], x[1, 1] = values[0] if ends[0] is not None else 0.0, values[-1] if ends[1] is not None else 0.0
    m, c = rng.standard_normal((4, 6)).T, rng.standard_normal((6, 8))[:, ::2]
    observed = rng.random((6, 4)) < 0.6
    observed[0, 0] = observed[1, 1] = True
    for mask in (None, observed):

        def function(m, c, mask=mask):
            nll, backward = likelihood.negative_log_likelihood(OPS, (m, c), x, {}, True, mask)
            return nll, lambda dnll: backward(dnll)[0]

        assert check_gradient(function, [m, c], names=["location", "raw_log_scale"])
    nll, backward = likelihood.negative_log_likelihood(ops, (m, c), x, {}, True, observed)
    for b in range(6):
        wanted = -sum(
            math.log(probability(x[b, i], m[b, i], 1e-3 + math.exp(c[b, i]), *ends)) for i in range(4) if observed[b, i]
        )
        assert float(nll[b]) == pytest.approx(wanted, rel=1e-7, abs=1e-13)  # the definition loses digits far from m
    assert not backward(1.0)[0][0][~observed].any() and not backward(1.0)[0][1][~observed].any()


def test_locations_far_away_overflow_nowhere():
    """The loss is a straight line, of slope 1 / s, and 0 at the end that the location is beyond."""
    x, likelihood = np.array([[0.0, 0.5, 1.0]], np.float32), likelihoods.Bounded(0.0, 1.0, 0.25)
    for m in (-1e5, 1e5):
        for c in (-20.0, 0.0):
            s = 1e-3 + math.exp(c)
            with np.errstate(all="raise", under="ignore"):
                outputs = np.full((1, 3), m, np.float32), np.full((1, 3), c, np.float32)
                nll, backward = likelihood.negative_log_likelihood(OPS, outputs, x, {})
                d_location, d_raw = backward(1.0)[0]
                mean = likelihood.mean(OPS, outputs, {})
            slope = np.array([0.0, -1.0, -1.0]) if m < 0 else np.array([1.0, 1.0, 0.0])
            np.testing.assert_allclose(d_location[0], slope / s, rtol=1e-5)
            assert nll[0] == pytest.approx(np.abs(slope).sum() * 1e5 / s, rel=1e-4) and np.isfinite(d_raw).all()
            np.testing.assert_allclose(mean, 0.0 if m < 0 else 1.0, atol=1e-6)


def test_the_biases_are_near_the_best(rng):
    """Of data in the middle; a finer search of location and scale gains next to nothing."""
    likelihood = likelihoods.Bounded(0.0, 10.0, 0.5)
    x = likelihood.draw((np.full((4000, 1), 4.0), np.full((4000, 1), -0.5)), {}, random.Stream(0, "data sample", 0))
    for data in (x, x.astype(np.float32)):
        biases = likelihood.initial_biases(data)
        assert {name: value.dtype for name, value in biases.items()} == {
            "location": np.float64,
            "raw_log_scale": np.float64,
        }
        assert biases["location"] == pytest.approx(4.0, abs=0.1) and biases["raw_log_scale"] == pytest.approx(
            -0.5, abs=0.1
        )
    assert np.isfinite(likelihood.initial_biases(np.zeros((3, 1)))["raw_log_scale"]).all()
    V, noise = rng.standard_normal((2, 3)), np.array([0.5, 2.0, 1e-12])
    start = likelihood.linear_start(np.array([1.0, 2.0, 3.0]), V, noise)
    np.testing.assert_array_equal(start["path"]["location"], V)
    np.testing.assert_array_equal(start["bias"]["location"], [1.0, 2.0, 3.0])
    scale = 1e-3 + np.exp(start["bias"]["raw_log_scale"])
    np.testing.assert_allclose(scale[:2] ** 2 * math.pi**2 / 3, noise[:2], rtol=1e-12)
    assert scale[2] == pytest.approx(1.1e-3) and start.keys() == {"path", "bias"}


def test_quadrature_has_the_mean_and_the_variance_and_keeps_to_the_range(ops):
    m, c = np.array([[0.2, -3.0]]), np.array([[0.3, -2.0]])
    weights, points = zip(*likelihoods.Bounded(None, None, 0.1).quadrature(ops, (m, c), {}), strict=True)
    assert sum(weights) == pytest.approx(1.0)
    np.testing.assert_allclose(sum(w * p for w, p in zip(weights, points, strict=True)), m, atol=1e-12)
    variance = (1e-3 + np.exp(c)) ** 2 * math.pi**2 / 3
    np.testing.assert_allclose(
        sum(w * (p - m) ** 2 for w, p in zip(weights, points, strict=True)), variance, rtol=1e-12
    )
    p = np.array(
        [(i + 0.5) / len(points) for i in range(len(points))]
    )  # at the distribution's own quantiles, but for a stretch
    stretched = (np.array(points)[:, 0, 0] - 0.2) / np.log(p / (1 - p), where=p != 0.5, out=np.ones_like(p))
    np.testing.assert_allclose(np.delete(stretched, len(p) // 2), stretched[0], rtol=1e-9)
    for low, high in ((0.0, None), (None, 0.0), (0.0, 0.5)):
        for (_, cut), whole in zip(
            likelihoods.Bounded(low, high, 0.1).quadrature(ops, (m, c), {}), points, strict=True
        ):
            np.testing.assert_array_equal(cut, np.clip(whole, low, high))


def test_what_is_outside_is_refused_by_its_column():
    likelihood = likelihoods.Bounded(0.1, 0.7, 0.1)
    likelihood.check_data(
        np.array([[0.1, 0.7, np.nan]], np.float32)
    )  # which are not the ends' numbers in double precision
    likelihoods.Bounded(None, None, 1.0).check_data(np.array([[-1e30, 1e30]]))
    for value, ends, words in (
        (0.8, (0.1, 0.7, 0.1), "0.1 to 0.7"),
        (-1.0, (0.0, None, 1.0), "0 to inf"),
        (2.0, (None, 1.0, 1.0), "-inf to 1"),
    ):
        with pytest.raises(
            InputError,
            match=rf"in column 'b' \(row 0\), but the bounded likelihood needs values from {words}; see its arg",
        ):
            likelihoods.Bounded(*ends).check_data(np.array([[0.5, value]]), ["a", "b"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"low": 1.0, "high": 0.0}, "high must be above low by a whole number of steps, got low=1, high=0, step=0.01"),
        ({"low": 0.5, "high": 0.5}, "high must be above low"),
        ({"step": 0.3}, "by a whole number of steps, got low=0, high=1, step=0.3"),
        ({"step": 0.0}, "step must be finite and above 0"),
        ({"floor": 0.0}, "floor must be finite and above 0"),
        ({"low": math.inf}, "low must be finite"),
        ({"high": math.nan}, "high must be finite"),
    ],
)
def test_arguments_that_are_refused(arguments, words):
    with pytest.raises(InputError, match=words):
        likelihoods.get({"name": "bounded", **arguments})
    assert likelihoods.Bounded(0.1, 0.7, 0.1).config() == {"low": 0.1, "high": 0.7, "step": 0.1, "floor": 1e-3}


def test_a_column_of_a_table_keeps_to_its_range(rng, tmp_path):
    z = rng.standard_normal((300, 1))
    share = np.clip(np.round(0.6 + 0.4 * z + 0.05 * rng.standard_normal((300, 1)), 1), 0.0, 1.0)
    x = np.concatenate([z, share], axis=1)
    columns = [["gaussian_per_feature", 1], [{"name": "bounded", "step": 0.1}, 1]]
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
    ).fit(x)
    vae.save(tmp_path / "m.npz")
    vae = VAE.load(tmp_path / "m.npz")
    drawn = vae.sample(3000, mean=False)[:, 1]
    np.testing.assert_allclose(np.unique(drawn), np.arange(11) / 10, atol=1e-6)
    for end in (0.0, 1.0):
        assert (drawn == end).mean() == pytest.approx((share == end).mean(), abs=0.06)
    assert vae.history_["loss"][-1] < vae.history_["loss"][0] - 0.5
