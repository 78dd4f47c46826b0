"""The negative binomial likelihood, and the draws of counts: against 50 digits, sums over the support, moments, chi
squares.
"""

import decimal
import math

import numpy as np
import pytest

from npvae import VAE
from npvae.backend.base import Ops
from npvae.gradcheck.checker import check_gradient
from npvae.mathematics import likelihoods, optimizers, random, special
from npvae.mathematics.likelihoods import count_draws
from npvae.mathematics.likelihoods.negative_binomial import negative_binomial_terms
from npvae.mathematics.model import Architecture, Model

OPS = Ops(np)
D = decimal.Decimal
#: B_2k / (2 k (2 k - 1)), of Stirling's series.
BERNOULLI = [
    D(1) / 12,
    D(-1) / 360,
    D(1) / 1260,
    D(-1) / 1680,
    D(1) / 1188,
    D(-691) / 360360,
    D(1) / 156,
    D(-3617) / 122400,
]


def exact_log_gamma(x: decimal.Decimal) -> decimal.Decimal:
    """log Gamma(x) by Stirling's series 60 steps further up: to 25 digits behind the point."""
    product, y = D(1), x
    while y < 60:
        product, y = product * y, y + 1
    two_pi = D("6.283185307179586476925286766559005768394338798750211641949889")
    series = sum(c / y ** (2 * i + 1) for i, c in enumerate(BERNOULLI))
    return (y - D("0.5")) * y.ln() - y + two_pi.ln() / 2 + series - product.ln()


def exact_term(log_mean, log_size, x: float) -> decimal.Decimal:
    """-log p(x) by the definition."""
    mean, size, count = D(log_mean).exp(), D(log_size).exp(), D(x)
    log_p = exact_log_gamma(count + size) - exact_log_gamma(size) - exact_log_gamma(count + 1)
    return -(log_p + size * (size / (size + mean)).ln() + count * (mean / (size + mean)).ln())


MEANS = [1e-6, 1e-2, 1.0, 30.0, 1e3, 1e6]
SIZES = [1e-3, 0.1, 1.0, 7.99, 8.01, 100.0, 1e4, 1e6]


@pytest.mark.parametrize("mean", MEANS)
def test_terms_and_derivatives_are_exact_from_the_geometric_distribution_to_poisson_s(mean):
    """In double precision by definition and quotients of differences with 50 digits; in single precision to what its
    numbers say.
    """
    generator = np.random.default_rng(3)
    with decimal.localcontext() as context, np.errstate(all="raise", under="ignore"):
        context.prec = 50
        for size in SIZES:
            x = np.unique(
                [0.0, 1.0, 2.0, 1e3, 1e6, np.floor(mean), *generator.negative_binomial(size, size / (size + mean), 2)]
            )
            for dtype, rtol, slope_rtol in ((np.float64, 2e-12, 1e-11), (np.float32, 5e-5, 5e-4)):
                l, k = dtype(math.log(mean)), dtype(math.log(size))  # noqa: E741
                found = negative_binomial_terms(np, np.full(x.shape, l), np.full(x.shape, k), x.astype(dtype))
                assert {array.dtype for array in found} == {np.dtype(dtype)}
                step = D("1e-12")
                for i, count in enumerate(x):
                    point = D(float(l)), D(float(k))
                    at = f"mean {mean:g}, size {size:g}, count {count:g}, {np.dtype(dtype)}"
                    # In single precision log_mean itself says no more than m to a millionth.
                    slack = 0.02 if dtype is np.float32 and mean > 1e5 else 0.0
                    assert float(found[0][i]) == pytest.approx(
                        float(exact_term(*point, count)), rel=rtol, abs=rtol + slack
                    ), at
                    for j, (dl, dk) in enumerate(((step, 0), (0, step))):
                        ahead, behind = (exact_term(point[0] + s * dl, point[1] + s * dk, count) for s in (1, -1))
                        wanted = float((ahead - behind) / (2 * step))
                        scale = max(float(count), mean) * (1e-6 if dtype is np.float32 else 1e-14)
                        assert float(found[1 + j][i]) == pytest.approx(
                            wanted, rel=slope_rtol, abs=1e-11 if dtype is np.float64 else 1e-6 + 3 * scale
                        ), at


def test_the_derivative_by_the_size_keeps_its_digits_in_the_poisson_limit():
    """r (e - log(1 + e)) - x / (x + r) / 2 + ... is about ((x - m)^2 - x) / (2 r) there."""
    x = np.array([0.0, 1.0, 5.0, 9.0])
    for size in (1e6, 1e8):
        found = negative_binomial_terms(np, np.full(4, math.log(5.0)), np.full(4, math.log(size)), x)[2]
        np.testing.assert_allclose(found, ((x - 5.0) ** 2 - x) / (2.0 * size), rtol=1e-4)


def loss(log_mean, log_size, x, observed=None, dtype=np.float64, ops=OPS):
    return likelihoods.NegativeBinomial().negative_log_likelihood(
        ops,
        (np.asarray(log_mean, dtype),),
        np.asarray(x, dtype),
        {"log_size": np.asarray(log_size, dtype)},
        True,
        observed,
    )


@pytest.mark.parametrize(("mean", "size"), [(0.3, 0.2), (4.0, 1.0), (9.0, 500.0), (2.0, 1e9)])
def test_probabilities_add_up_to_one_with_their_mean_and_variance(mean, size):
    x = np.arange(4000.0)[:, None]
    p = np.exp(-loss(np.full(x.shape, math.log(mean)), [math.log(size)], x)[0])
    assert p.sum() == pytest.approx(1.0, abs=1e-10)
    assert p @ x[:, 0] == pytest.approx(mean, rel=1e-9)
    assert p @ (x[:, 0] - mean) ** 2 == pytest.approx(mean + mean**2 / size, rel=1e-9)
    mean_of = likelihoods.NegativeBinomial().mean(OPS, (np.full((1, 1), math.log(mean)),), {"log_size": np.zeros(1)})
    assert mean_of == pytest.approx(mean)


def test_a_large_size_is_the_poisson_distribution(rng):
    log_mean = rng.standard_normal((5, 4))
    x = rng.poisson(np.exp(log_mean)).astype(float)
    dnll = rng.standard_normal(5)
    wanted, wanted_backward = likelihoods.Poisson().negative_log_likelihood(OPS, (log_mean,), x, {})
    found, backward = loss(log_mean, np.full(4, 30.0), x)
    np.testing.assert_allclose(found, wanted, rtol=1e-11)
    np.testing.assert_allclose(backward(dnll)[0][0], wanted_backward(dnll)[0][0], rtol=1e-11)
    assert np.abs(backward(dnll)[1]["log_size"]).max() < 1e-11


def test_gradients_with_missing_entries_and_any_strides(ops, rng):
    """Against differences: with random upstream derivatives, of arrays that lie in memory in any way."""
    log_mean, x = rng.standard_normal((4, 6, 2))[::1], rng.poisson(2.0, (6, 4)).astype(float)
    log_mean, log_size = np.asfortranarray(log_mean[..., 0]), rng.standard_normal((8,))[::2]
    log_mean = np.ascontiguousarray(log_mean.T)[:, ::-1]
    observed = rng.random((6, 4)) < 0.6
    for there in (None, observed):

        def function(log_mean, log_size, there=there):
            nll, backward = loss(log_mean, log_size, x, there)
            return nll, lambda dnll: (backward(dnll)[0][0], backward(dnll)[1]["log_size"])

        assert check_gradient(function, [log_mean, log_size], names=["log_mean", "log_size"])
    nll, backward = loss(log_mean, log_size, x, observed, ops=ops)
    for b in range(6):
        wanted = sum(float(exact_term(log_mean[b, i], log_size[i], x[b, i])) for i in range(4) if observed[b, i])
        assert float(nll[b]) == pytest.approx(wanted, rel=1e-10, abs=1e-12)
    assert not backward(1.0)[0][0][~observed].any()


@pytest.mark.parametrize("log_mean", [-300.0, -80.0, 80.0, 300.0])
def test_outputs_far_out_overflow_nowhere(log_mean):
    """exp(log_mean) is not finite in float32; the loss grows as a straight line, and its slope is r."""
    x = np.array([[0.0, 3.0, 1e6]], np.float32)
    with np.errstate(all="raise", under="ignore"):
        nll, backward = loss(np.full((1, 3), log_mean), [-20.0, 0.0, 12.0], x, dtype=np.float32)
        (d_log_mean,), own = backward(1.0)
    assert np.isfinite(nll).all() and np.isfinite(own["log_size"]).all()
    np.testing.assert_allclose(
        d_log_mean[0], np.exp([-20.0, 0.0, 12.0]) if log_mean > 0 else -x[0], rtol=1e-5, atol=1e-30
    )


# Starts


def test_the_size_starts_by_moments():
    generator = np.random.default_rng(0)
    x = np.stack(
        [generator.negative_binomial(3.0, 3.0 / 13.0, 60_000), generator.poisson(4.0, 60_000), np.zeros(60_000)], axis=1
    )
    own = likelihoods.NegativeBinomial().initial_own(x)["log_size"]
    assert np.exp(own[0]) == pytest.approx(3.0, rel=0.05) and np.exp(own[1]) > 100.0 and np.isfinite(own).all()
    holes = np.where(generator.random(x.shape) < 0.4, np.nan, x)  # the moments of what is there
    np.testing.assert_allclose(likelihoods.NegativeBinomial().initial_own(holes)["log_size"][0], own[0], atol=0.05)
    table = likelihoods.Table([("poisson", 1), ("negative_binomial", 2)])
    np.testing.assert_array_equal(
        table.initial_own(x)["part1_log_size"], likelihoods.NegativeBinomial().initial_own(x[:, 1:])["log_size"]
    )
    model = Model(Architecture(3, 1, (2,), likelihood=table, missing=True), OPS)
    views = model.views(model.initial_parameters(0, "float64", holes))
    np.testing.assert_array_equal(views["likelihood/part1_log_size"], table.initial_own(holes)["part1_log_size"])
    np.testing.assert_allclose(views["decoder/part1_log_mean/b"], np.log([np.nanmean(holes[:, 1]), 1e-3]))
    assert not model.views(model.initial_parameters(0, "float64"))["likelihood/part1_log_size"].any()


def test_the_linear_start_has_the_columns_mean_and_the_noise(rng):
    """By averages over z: E[m] is the mean, E[m + m^2 / r] the noise where that is above the mean."""
    mean, V, noise = (
        np.array([2.0, 50.0, 6.0]),
        np.array([[0.3, 20.0, 0.5], [0.4, -30.0, 0.0]]),
        np.array([5.0, 2000.0, 1.0]),
    )
    start = likelihoods.NegativeBinomial().linear_start(mean, V, noise)
    m = np.exp(rng.standard_normal((300_000, 2)) @ start["path"]["log_mean"] + start["bias"]["log_mean"])
    np.testing.assert_allclose(m.mean(axis=0), mean, rtol=0.015)
    np.testing.assert_allclose(m.std(axis=0), np.sqrt((V * V).sum(axis=0)), rtol=0.03)
    size = np.exp(start["parameters"]["log_size"])
    np.testing.assert_allclose((m + m**2 / size).mean(axis=0)[:2], noise[:2], rtol=0.04)
    assert size[2] == pytest.approx(1e4)  # less noise than a Poisson distribution's: as good as that


# Draws


def chi_square_fits(drawn, p) -> None:
    """Whole numbers from 0 against their probabilities: cells of at least 10 expected, the rest in one."""
    stats = pytest.importorskip("scipy.stats")
    expected = p * drawn.size
    wide = expected >= 10.0
    found = np.bincount(np.minimum(drawn.astype(int), p.size), minlength=p.size + 1)[: p.size]
    found, expected = (
        np.append(found[wide], drawn.size - found[wide].sum()),
        np.append(expected[wide], drawn.size - expected[wide].sum()),
    )
    statistic = ((found - expected) ** 2 / np.maximum(expected, 1e-9)).sum()
    assert expected[-1] < 0.02 * drawn.size and stats.chi2.sf(statistic, found.size - 1) > 1e-6


@pytest.mark.parametrize("rate", [70.0, 400.0, 5000.0])
def test_counts_of_large_rates_are_drawn_exactly(rate):
    stats = pytest.importorskip("scipy.stats")
    drawn = count_draws.draw_poisson(np.full(80_000, math.log(rate)), random.Stream(1, "data sample", 0))
    chi_square_fits(drawn, stats.poisson.pmf(np.arange(int(rate + 10 * math.sqrt(rate))), rate))


class Evenly:
    """A stream whose uniform numbers, taken in pairs, fill the square evenly: the shares of draws are those of areas,
    to a thousandth.

    Source: Roberts (2018), "The unreasonable effectiveness of quasirandom sequences": multiples of powers of the
    plastic number.
    """

    def __init__(self):
        self.first, self.axis, self.pending = 1, 0, 0

    def uniform(self, shape):
        count = math.prod(shape)
        if self.pending != count:
            self.axis, self.pending = 0, count
        u = (0.5 + np.arange(self.first, self.first + count) / 1.324717957244746 ** (self.axis + 1)) % 1.0
        self.axis += 1
        if self.axis == 2:
            self.first, self.axis, self.pending = self.first + count, 0, 0
        return u.reshape(shape)


@pytest.mark.parametrize("rate", [65.0, 300.0])
def test_rejection_has_the_algorithm_s_constants(rate):
    """A hat that is a little off, in a or b, shows here, and in no number of random draws that a test has time for."""
    stats = pytest.importorskip("scipy.stats")
    mean = np.full(400_000, rate)
    drawn = count_draws._by_rejection(mean, np.log(mean), Evenly())
    k = np.arange(int(rate - 2 * math.sqrt(rate)), int(rate + 2 * math.sqrt(rate)))
    found = np.bincount(drawn.astype(int), minlength=k[-1] + 1)[k] / mean.size
    np.testing.assert_allclose(found, stats.poisson.pmf(k, rate), rtol=0.0085)


def test_counts_of_very_large_rates_have_their_moments():
    for log_rate in (14.0, 30.0, 600.0):
        drawn = count_draws.draw_poisson(np.full(100_000, log_rate), random.Stream(2, "data sample", 0))
        scaled = (drawn - math.exp(log_rate)) / math.exp(log_rate / 2)
        if log_rate < 36:
            assert abs(scaled.mean()) < 5 / math.sqrt(1e5) and abs(scaled.var() - 1) < 5 * math.sqrt(2e-5)
        assert np.isfinite(drawn).all()


@pytest.mark.parametrize("shape", [1e-3, 0.3, 1.0, 4.0, 1e6])
def test_logarithms_of_gamma_numbers_have_their_moments(shape):
    """Mean psi(k), variance psi'(k), and the distribution function."""
    stats, functions = pytest.importorskip("scipy.stats"), pytest.importorskip("scipy.special")
    drawn = count_draws.draw_gamma(np.full((100_000, 1), shape), random.Stream(3, "data sample", 0))[:, 0]
    variance = float(functions.polygamma(1, shape))
    assert abs(drawn.mean() - float(functions.digamma(shape))) < 5 * math.sqrt(variance / drawn.size)
    assert drawn.var() == pytest.approx(variance, rel=0.06)
    if shape >= 0.3:
        assert stats.kstest(np.exp(drawn), stats.gamma(shape).cdf).pvalue > 1e-6
    assert np.isfinite(drawn).all()


@pytest.mark.parametrize(("mean", "size"), [(0.5, 0.05), (3.0, 0.7), (20.0, 5.0), (150.0, 1e4)])
def test_draws_have_the_probabilities(mean, size):
    x = np.arange(3000.0)[:, None]
    p = np.exp(-loss(np.full(x.shape, math.log(mean)), [math.log(size)], x)[0])
    outputs, own = (
        (np.full((60_000, 2), math.log(mean), np.float32),),
        {"log_size": np.full(2, math.log(size), np.float32)},
    )
    drawn = likelihoods.NegativeBinomial().draw(outputs, own, random.Stream(4, "data sample", 0))
    assert drawn.dtype == np.float32
    chi_square_fits(drawn[:, 0], p)
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 5 / math.sqrt(len(drawn))


def test_a_rate_that_is_not_finite_cannot_be_drawn_from():
    with pytest.raises(ValueError, match=r"a Poisson rate of exp\(.*\) cannot be drawn from"):
        likelihoods.NegativeBinomial().draw(
            (np.full((1, 1), 900.0),), {"log_size": np.zeros(1)}, random.Stream(0, "data sample", 0)
        )


# Training


def test_rates_up_to_a_million_are_fitted_in_single_precision(ops):
    """By Adam, as of a decoder that is its biases: finite all the way, from 0 and from the data; from near the data
    to the optimum.
    """
    generator = np.random.default_rng(0)
    mean, size = np.array([0.05, 3.0, 1e3, 1e6]), np.array([0.5, 2.0, 5.0, 50.0])
    counts = generator.negative_binomial(size, size / (size + mean), (400, 4)).astype(np.float32).astype(float)
    x = counts.astype(np.float32)
    likelihood, adam = likelihoods.NegativeBinomial(), optimizers.Adam()
    start = np.concatenate([*likelihood.initial_biases(counts).values(), *likelihood.initial_own(counts).values()])
    for theta in (np.zeros(8, np.float32), (start + 0.3).astype(np.float32)):
        state = adam.initial_state(OPS, theta)
        for step in range(1, 201):
            log_mean = np.ascontiguousarray(np.broadcast_to(theta[:4], x.shape))
            nll, backward = likelihood.negative_log_likelihood(ops, (log_mean,), x, {"log_size": theta[4:]})
            (d_log_mean,), own = backward(1.0 / 400)
            gradient = np.concatenate([d_log_mean.sum(axis=0), own["log_size"]])
            assert np.isfinite(nll).all() and np.isfinite(gradient).all()
            adam.update(OPS, theta, gradient, state, 0.05 if step < 150 else 0.01, step)
    found = theta
    np.testing.assert_allclose(found[:4], np.log(counts.mean(axis=0)), atol=0.03)
    np.testing.assert_allclose(found[5:], np.log(size[1:]), atol=0.3)


def test_a_model_is_trained_saved_and_drawn_from(tmp_path):
    generator = np.random.default_rng(0)
    x = generator.negative_binomial(
        2.0, 2.0 / (2.0 + np.exp([0.0, 1.0, 2.0] + generator.standard_normal((100, 1))))
    ).astype(float)
    vae = VAE(
        1, (4,), likelihood="negative_binomial", epochs=20, batch_size=20, learning_rate=0.01, random_state=0
    ).fit(x)
    assert vae.history_["loss"][-1] < vae.history_["loss"][0]
    assert vae.parameters_["likelihood/log_size"].any()
    vae.save(tmp_path / "m.npz")
    drawn = vae.sample(50, mean=False)
    np.testing.assert_array_equal(VAE.load(tmp_path / "m.npz").sample(50, mean=False), drawn)
    assert (drawn >= 0).all() and (drawn == np.floor(drawn)).all() and drawn.any()


def test_only_counts_are_taken():
    for value in (0.5, -1.0):
        with pytest.raises(
            ValueError, match=r"in column 'b' \(row 0\), but the negative_binomial likelihood needs counts"
        ):
            likelihoods.NegativeBinomial().check_data(np.array([[1.0, value]]), ["a", "b"])
    likelihoods.NegativeBinomial().check_data(np.array([[0.0, np.nan, 1e6]]))


# Special functions


def test_what_is_left_of_stirling_s_formula(dtype):
    x = np.array([1e-3, 0.1, 0.5, 1.0, 2.0, 7.5, 7.999, 8.0, 8.5, 30.0, 1e3, 1e6])
    found, slope = (
        special.stirling_remainder(np, x.astype(dtype)),
        special.stirling_remainder_slope(np, x.astype(dtype)),
    )
    assert found.dtype == slope.dtype == dtype
    with decimal.localcontext() as context:
        context.prec = 50

        def exact(v):
            two_pi = D("6.283185307179586476925286766559005768394338798750211641949889")
            return exact_log_gamma(v) - (v - D("0.5")) * v.ln() + v - two_pi.ln() / 2

        for i, v in enumerate(x.astype(dtype)):
            v = D(float(v))
            h = v * D("1e-12")
            wanted = float((exact(v + h) - exact(v - h)) / (2 * h))
            tiny = 1e-14 if dtype == np.float64 else 4e-6
            assert float(found[i]) == pytest.approx(float(exact(v)), rel=tiny, abs=tiny)
            assert float(slope[i]) * float(v) == pytest.approx(wanted * float(v), rel=10 * tiny, abs=3 * tiny)
            if v >= 8:
                assert float(slope[i]) == pytest.approx(wanted, rel=30 * tiny)


def test_log1p_falls_short_of_its_argument_by_half_the_square():
    e = np.array([-0.999, -0.5, -0.1001, -0.0999, -1e-3, -1e-9, 0.0, 1e-12, 1e-4, 0.0999, 0.1001, 3.0, 1e10])
    found = special.log1p_shortfall(np, e, np.log1p(e))
    for i, value in enumerate(e):
        with decimal.localcontext() as context:
            context.prec = 60
            wanted = float(D(float(value)) - (1 + D(float(value))).ln())
        assert found[i] == pytest.approx(wanted, rel=1e-14, abs=0.0)
    np.testing.assert_allclose(
        special.log1p_shortfall(np, e.astype(np.float32), np.log1p(e).astype(np.float32)), found, rtol=3e-6
    )
