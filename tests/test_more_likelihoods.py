"""Continuous Bernoulli, Student's t, categorical, Poisson, and tables: densities, tails, draws, supports.

Their gradients are compared with automatic differentiation in test_model.py and with differences in test_gradcheck.py.
"""

import decimal
import fractions
import math

import numpy as np
import pytest

from npvae import VAE
from npvae.backend.base import Ops
from npvae.errors import InputError, InputTypeError
from npvae.mathematics import likelihoods, random
from npvae.mathematics.likelihoods import continuous_bernoulli
from npvae.mathematics.likelihoods.student_t import student_t_terms

OPS = Ops(np)


def density(likelihood, x, *outputs):
    """exp(-nll) of each row."""
    return np.exp(-likelihood.negative_log_likelihood(OPS, outputs, x, {}, gradient=False)[0])


class Given:
    """A stream of random numbers that are given, in the order in which they are asked for."""

    def __init__(self, **numbers) -> None:
        self.left = {name: list(arrays) for name, arrays in numbers.items()}

    def _next(self, name, shape):
        number = self.left[name].pop(0)
        assert np.shape(number) == tuple(shape)
        return np.asarray(number)

    def uniform(self, shape, dtype=None):
        return self._next("uniform", shape)

    def normal(self, shape, dtype=None):
        return self._next("normal", shape)


def draws(likelihood, outputs, rows=200_000):
    """Many draws at one point."""
    return likelihood.draw(tuple(np.tile(o, (rows, 1)) for o in outputs), {}, random.Stream(3, "data sample", 0))


# Continuous Bernoulli

#: Through s = 1/2, near it and far from it.
LOGITS = [
    0.0,
    5e-324,
    1e-300,
    1e-15,
    1e-10,
    1e-8,
    1e-6,
    1e-4,
    1e-3,
    0.01,
    0.1,
    0.5,
    0.999,
    1.0,
    1.001,
    2.0,
    10.0,
    80.0,
    700.0,
]


def exact_log_normaliser(logit: float) -> decimal.Decimal:
    """log((exp(l) - 1) / l) with 80 digits."""
    with decimal.localcontext() as context:
        context.prec = 80
        l = decimal.Decimal(logit)  # noqa: E741
        if abs(l) < decimal.Decimal("1e-30"):
            return l / 2
        return ((l.exp() - 1) / l).ln()


@pytest.mark.parametrize("sign", [1, -1])
def test_the_normaliser_is_exact_through_one_half(sign):
    logits = sign * np.array(LOGITS)
    found = continuous_bernoulli.log_normaliser(np, logits)
    wanted = np.array([float(exact_log_normaliser(logit)) for logit in logits])
    assert np.abs(found - wanted).max() < 1e-13 * 700 and np.abs(found - wanted)[np.abs(logits) < 2].max() < 1e-15
    single = continuous_bernoulli.log_normaliser(np, logits.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, wanted, rtol=2e-7, atol=2e-7)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_mean_is_the_normaliser_s_derivative_through_one_half(sign):
    logits = sign * np.array(LOGITS)
    found = continuous_bernoulli.mean_of(np, logits)
    wanted = []
    for logit in logits:
        with decimal.localcontext() as context:
            context.prec = 80
            l = decimal.Decimal(logit)  # noqa: E741
            small = abs(l) < decimal.Decimal("1e-30")
            wanted.append(float(decimal.Decimal("0.5") + l / 12 if small else 1 / (1 - (-l).exp()) - 1 / l))
    np.testing.assert_allclose(found, wanted, rtol=2e-15)
    np.testing.assert_allclose(continuous_bernoulli.mean_of(np, logits.astype(np.float32)), wanted, rtol=5e-7)


@pytest.mark.parametrize("logit", [-6.0, -0.3, 0.0, 1e-9, 2.0])
def test_the_continuous_bernoulli_is_a_density_with_its_mean_and_draws(logit):
    x = (np.arange(20_000) + 0.5) / 20_000
    p = density(likelihoods.ContinuousBernoulli(), x[:, None], np.full((20_000, 1), logit))
    assert p.mean() == pytest.approx(1.0, abs=1e-7)
    mean = float(continuous_bernoulli.mean_of(np, np.array([logit]))[0])
    assert (x * p).mean() == pytest.approx(mean, abs=1e-7)
    drawn = draws(likelihoods.ContinuousBernoulli(), [np.array([[logit]])])[:, 0]
    assert drawn.min() >= 0 and drawn.max() <= 1
    distribution = np.cumsum(p) / 20_000
    for point in (0.1, 0.5, 0.9):
        wanted = distribution[int(point * 20_000) - 1]
        assert abs((drawn < point).mean() - wanted) < 5 * math.sqrt(0.25 / drawn.size)


def test_a_density_is_more_than_the_cross_entropy_by_its_normaliser(rng):
    """At s = 1/2 by log 2 a pixel, which the plain Bernoulli lacks on grey values."""
    logits, x = np.zeros((1, 5)), rng.uniform(size=(1, 5))
    plain = likelihoods.Bernoulli().negative_log_likelihood(OPS, (logits,), x, {})[0]
    proper = likelihoods.ContinuousBernoulli().negative_log_likelihood(OPS, (logits,), x, {})[0]
    assert plain[0] - proper[0] == pytest.approx(5 * math.log(2))


def test_the_coefficients_of_langevin_s_function_are_those_of_bernoulli_numbers():
    """c_n = 4^n B_2n / (2n)!, with sum_k (m + 1 choose k) B_k = 0."""
    numbers = [fractions.Fraction(1)]
    for m in range(1, 21):
        numbers.append(-sum(math.comb(m + 1, k) * numbers[k] for k in range(m)) / (m + 1))
    assert continuous_bernoulli._LANGEVIN == tuple(
        float(4**n * numbers[2 * n] / math.factorial(2 * n)) for n in range(1, 11)
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_greys_are_drawn_by_the_inverse_of_their_distribution_function(dtype):
    """log((exp(l) - 1) u + 1) / l, and u itself at l = 0; the logits of one sign are mirrored."""
    logits = np.array([[-1000.0, -3.0, -1e-3, 0.0, 1e-3, 3.0, 50.0]], dtype)
    for u in (0.0, 0.3, 1.0 - float(np.finfo(dtype).epsneg)):
        found = likelihoods.ContinuousBernoulli().draw((logits,), {}, Given(uniform=[np.full(logits.shape, u, dtype)]))
        assert found.dtype == dtype and found.min() >= 0.0 and found.max() <= 1.0
        a = np.abs(logits[0].astype(np.float64))
        y = np.array([-math.log1p(u * math.expm1(-v)) / v if v else u for v in a])
        np.testing.assert_allclose(
            found[0], np.where(logits[0] > 0, 1.0 - y, y), rtol=1e-5, atol=8 * np.finfo(dtype).eps
        )


# Student's t


@pytest.mark.parametrize("freedom", [2.5, 7.0, 1e3])
def test_the_t_distribution_is_a_density_with_its_quantiles(freedom):
    stats = pytest.importorskip("scipy.stats")
    raw_scale, raw_freedom = 0.3, math.log(math.expm1(freedom - 2.0)) if freedom < 50 else freedom - 2.0
    scale = 1e-3 + math.log1p(math.exp(0.3))
    x = np.linspace(-40, 40, 9)[:, None]
    outputs = [np.full(x.shape, value) for value in (1.5, raw_scale, raw_freedom)]
    found = density(likelihoods.StudentT(), x, *outputs)
    np.testing.assert_allclose(found, stats.t.pdf(x[:, 0], freedom, loc=1.5, scale=scale), rtol=1e-10)
    drawn = draws(likelihoods.StudentT(), [np.array([[value]]) for value in (1.5, raw_scale, raw_freedom)])[:, 0]
    for q in (0.01, 0.2, 0.5, 0.9):
        point = stats.t.ppf(q, freedom, loc=1.5, scale=scale)
        assert abs((drawn < point).mean() - q) < 5 * math.sqrt(q * (1 - q) / drawn.size)


def test_with_many_degrees_of_freedom_it_is_the_normal_one_and_keeps_its_digits(rng):
    x, location = rng.standard_normal((2, 4, 3))
    for dtype, tolerance in ((np.float64, 1e-7), (np.float32, 1e-5)):
        a = [array.astype(dtype) for array in (location, np.full((4, 3), 0.7), np.full((4, 3), 1e8))]
        term = student_t_terms(np, *a, x.astype(dtype))[0]
        normal = 0.5 * ((x - location) / 0.7) ** 2 + math.log(0.7) + 0.5 * math.log(2 * math.pi)
        np.testing.assert_allclose(term, normal, rtol=tolerance, atol=tolerance)


def test_an_outlier_pulls_less_the_farther_it_is():
    x = np.array([[1.0], [10.0], [1e3], [1e6], [1e12]])
    _, pull, _, _ = student_t_terms(np, np.zeros_like(x), np.ones_like(x), np.full_like(x, 3.0), x)
    assert (np.diff(np.abs(pull[1:, 0])) < 0).all() and np.isfinite(pull).all()


# Categorical


def test_categorical_probabilities_and_draws(rng):
    likelihood = likelihoods.Categorical([2, 3])
    logits = rng.standard_normal((1, 5))
    p = likelihood.mean(OPS, (logits,), {})
    assert p[0, :2].sum() == pytest.approx(1) and p[0, 2:].sum() == pytest.approx(1)
    total = 0.0
    for i in range(2):
        for j in range(3):
            x = np.zeros((1, 5))
            x[0, i] = x[0, 2 + j] = 1.0
            found = density(likelihood, x, logits)[0]
            assert found == pytest.approx(p[0, i] * p[0, 2 + j])
            total += found
    assert total == pytest.approx(1.0)
    drawn = draws(likelihood, [logits])
    assert (drawn[:, :2].sum(axis=1) == 1).all() and (drawn[:, 2:].sum(axis=1) == 1).all()
    assert np.abs(drawn.mean(axis=0) - p[0]).max() < 5 * math.sqrt(0.25 / len(drawn))


def test_confident_logits_do_not_overflow():
    logits, x = np.array([[1e4, 0.0, -1e4]]), np.array([[0.0, 1.0, 0.0]])
    nll, backward = likelihoods.Categorical().negative_log_likelihood(OPS, (logits,), x, {})
    assert nll[0] == pytest.approx(1e4) and backward(1.0)[0][0].tolist() == [[1.0, -1.0, 0.0]]


def test_the_category_drawn_is_the_first_that_the_probabilities_exceed():
    """P(up to j) > u; also where a rounding leaves all of them together below u."""
    likelihood = likelihoods.Categorical([1, 4])
    logits = np.zeros((6, 5))
    u = np.array([[0.0, 0.0], [0.9, 0.25], [0.5, np.nextafter(0.25, 0.0)], [0.0, 0.5], [0.2, 0.99], [0.1, 1.0]])
    found = likelihood.draw((logits,), {}, Given(uniform=[u]))
    assert (found[:, 0] == 1.0).all() and (found.sum(axis=1) == 2.0).all()
    assert found[:, 1:].argmax(axis=1).tolist() == [0, 1, 0, 2, 3, 3]


def test_one_number_is_one_block():
    assert likelihoods.Categorical(3).config() == {"sizes": [3]} and likelihoods.Categorical(
        np.int8(3)
    ) == likelihoods.Categorical([3])


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ([1, 0, 1, np.nan, 0], "row 1 of X lacks some of column 2 to column 4, and not all"),
        ([1, 0, 1, 0, 0.5], r"X holds 0.5 in column 4 \(row 1\)"),
        ([1, 0, 0, 1, 1], "row 1 of X has 2 ones from column 2 to column 4"),
        ([1, 0, np.nan, np.nan, np.nan], None),
        ([np.nan, np.nan, 0, 0, 1], None),
    ],
)
def test_blocks_after_the_first_are_looked_at(row, words):
    x = np.array([[0.0, 1, 0, 1, 0], row, [1, 0, 1, 0, 0]])
    likelihood = likelihoods.Categorical([2, 3])
    if words is None:
        likelihood.check_data(x)
    else:
        with pytest.raises(InputError, match=words):
            likelihood.check_data(x)
    likelihoods.Categorical([1, 2]).check_data(np.array([[1.0, 0, 1], [np.nan, 1, 0]]))


# Poisson


def test_counts_are_drawn_by_the_inverse_of_the_distribution_function():
    """The smallest k with P(x <= k) > u, up to a rate of 64."""
    stats = pytest.importorskip("scipy.stats")
    generator = np.random.default_rng(0)
    rates = np.array([[1e-3, 0.5, 1.0, 20.0, 63.9]])
    u = generator.random((500, 5))
    u[:3, 2] = [0.0, np.exp(-1.0), np.nextafter(np.exp(-1.0), 0.0)]
    log_rates = np.tile(np.log(rates), (500, 1))
    found = likelihoods.Poisson().draw((log_rates,), {}, Given(uniform=[u]))
    np.testing.assert_array_equal(found[3:], stats.poisson.ppf(u[3:], np.exp(log_rates[3:])))
    assert found[:3, 2].tolist() == [0.0, 1.0, 0.0]
    assert likelihoods.Poisson().draw((np.zeros((0, 3)),), {}, random.Stream(0, "data sample", 0)).shape == (0, 3)


def test_rates_of_single_precision_are_taken_in_double():
    log_rate = np.full((500, 2), [16.1, 3.3], np.float32)
    found, wanted = (
        likelihoods.Poisson().draw((log_rate.astype(dtype),), {}, random.Stream(3, "data sample", 0))
        for dtype in (np.float32, np.float64)
    )
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("rate", [0.01, 3.0, 64.5, 900.0])
def test_poisson_probabilities_and_draws(rate):
    stats = pytest.importorskip("scipy.stats")
    x = np.arange(0, 1200, 7.0)[:, None]
    nll = likelihoods.Poisson().negative_log_likelihood(OPS, (np.full(x.shape, math.log(rate)),), x, {})[0]
    np.testing.assert_allclose(nll, -stats.poisson.logpmf(x[:, 0], rate), rtol=1e-11, atol=1e-12)
    drawn = draws(likelihoods.Poisson(), [np.array([[math.log(rate)]])], rows=20_000)[:, 0]
    assert abs(drawn.mean() - rate) < 5 * math.sqrt(rate / drawn.size)
    assert abs(drawn.var() - rate) < 5 * math.sqrt((2 * rate**2 + rate) / drawn.size)
    assert (drawn == np.floor(drawn)).all()


# Tables


def table(rng):
    categorical = {"name": "categorical", "sizes": [2, 2]}
    likelihood = likelihoods.Table([("poisson", 1), (categorical, 4), ("gaussian_per_feature", 2)])
    x = np.array([[3.0, 1, 0, 0, 1, 0.5, -2.0], [0.0, 0, 1, 1, 0, 1.5, 0.25]])
    outputs = tuple(rng.standard_normal((2, width)) for width in likelihood.heads(7).values())
    return likelihood, x, outputs, {"part2_raw_logvar": rng.standard_normal(2)}


def test_a_table_is_the_sum_of_its_parts(rng):
    likelihood, x, outputs, own = table(rng)
    assert likelihood.heads(7) == {"part0_log_rate": 1, "part1_logits": 4, "part2_mean": 2}
    parts = [
        likelihoods.Poisson().negative_log_likelihood(OPS, outputs[:1], x[:, :1], {}),
        likelihoods.Categorical([2, 2]).negative_log_likelihood(OPS, outputs[1:2], x[:, 1:5], {}),
        likelihoods.GaussianPerFeature().negative_log_likelihood(
            OPS, outputs[2:], x[:, 5:], {"raw_logvar": own["part2_raw_logvar"]}
        ),
    ]
    nll, backward = likelihood.negative_log_likelihood(OPS, outputs, x, own)
    np.testing.assert_allclose(nll, sum(part for part, _ in parts), rtol=1e-14)
    dnll = rng.standard_normal(2)
    doutputs, dparameters = backward(dnll)
    for found, (_, part_backward) in zip(doutputs, parts, strict=True):
        np.testing.assert_array_equal(found, part_backward(dnll)[0][0])
    np.testing.assert_array_equal(dparameters["part2_raw_logvar"], parts[2][1](dnll)[1]["raw_logvar"])
    mean = likelihood.mean(OPS, outputs, own)
    np.testing.assert_array_equal(mean[:, 0], np.exp(outputs[0][:, 0]))
    np.testing.assert_array_equal(mean[:, 5:], outputs[2])
    likelihood.check_data(likelihood.draw(outputs, own, random.Stream(0, "data sample", 0)))


def test_a_table_is_trained_saved_and_drawn_from(rng, tmp_path):
    x = np.stack([rng.poisson(4.0, 60), rng.integers(0, 2, 60), rng.standard_normal(60)], axis=1).astype(float)
    vae = VAE(
        latent_dim=1,
        hidden=(4,),
        epochs=2,
        random_state=0,
        likelihood={"name": "table", "columns": [["poisson", 1], ["bernoulli", 1], ["gaussian_decoder", 1]]},
    ).fit(x)
    vae.save(tmp_path / "m.npz")
    np.testing.assert_array_equal(VAE.load(tmp_path / "m.npz").sample(5, mean=False), vae.sample(5, mean=False))
    drawn = vae.sample(50, mean=False)
    assert (drawn[:, 0] >= 0).all() and set(np.unique(drawn[:, 1])) <= {0.0, 1.0}


# What all share


@pytest.mark.parametrize("name", likelihoods.KNOWN)
def test_the_mean_is_that_of_many_draws(name):
    """E[x|z], which reconstructions and samples show, and not the mode or the parameter."""
    likelihood = likelihoods.KNOWN[name].example(4)
    generator = np.random.default_rng(5)
    outputs = tuple(
        np.tile(generator.uniform(-1.0, 1.5, width), (100_000, 1)) for width in likelihood.heads(4).values()
    )
    if name == "student_t":
        outputs[2][...] = 8.0  # degrees of freedom, so that the variance is small enough to see the mean
    own = likelihood.parameters(4)
    drawn = likelihood.draw(outputs, own, random.Stream(0, "data sample", 0))
    mean = likelihood.mean(OPS, tuple(output[:1] for output in outputs), own)[0]
    errors = drawn.std(axis=0) / math.sqrt(len(drawn))
    assert np.all(np.abs(drawn.mean(axis=0) - mean) <= 5 * errors)  # a block of one column is always 1


def test_counts_of_any_rate_are_drawn_in_no_time():
    log_rates = np.array([[0.0, math.log(5000.0), 12.0, 25.0]])
    drawn = draws(likelihoods.Poisson(), [log_rates], rows=20_000)
    rates = np.exp(log_rates[0])
    assert (drawn == np.floor(drawn)).all()
    assert np.all(np.abs(drawn.mean(axis=0) - rates) < 5 * np.sqrt(rates / len(drawn)))
    assert np.all(np.abs(drawn.var(axis=0) / rates - 1) < 0.06)
    third = np.mean((drawn[:, 1] - rates[1]) ** 3) / rates[1] ** 1.5
    assert abs(third - 1 / math.sqrt(rates[1])) < 5 * math.sqrt(6 / len(drawn))
    with pytest.raises(InputError, match=r"a Poisson rate of exp\(800\) cannot be drawn from"):
        draws(likelihoods.Poisson(), [np.array([[800.0]])], rows=1)


# What cannot be


@pytest.mark.parametrize(
    ("likelihood", "row", "words"),
    [
        ("continuous_bernoulli", [0.5, 1.5], r"X holds 1.5 in column 1 \(row 1\), but .* needs values from 0 to 1"),
        ("poisson", [3.0, 0.5], r"X holds 0.5 in column 1 \(row 1\), but the poisson likelihood needs counts"),
        ("poisson", [-1.0, 0.0], r"X holds -1.0 in column 0 \(row 1\)"),
        (
            "categorical",
            [0.5, 0.5],
            r"X holds 0.5 in column 0 \(row 1\), but the categorical likelihood needs one-hot columns",
        ),
        (
            "categorical",
            [1.0, 1.0],
            "row 1 of X has 2 ones from column 0 to column 1, but .* exactly one in each block",
        ),
        ("categorical", [0.0, 0.0], "row 1 of X has 0 ones"),
        ({"name": "categorical", "sizes": [2, 3]}, [0.0, 1.0], r"blocks of \[2, 3\], 5 columns, but X has 2"),
        (
            {"name": "table", "columns": [["bernoulli", 1], ["poisson", 1]]},
            [1.0, -2.0],
            r"X holds -2.0 in column 1 \(row 1\)",
        ),
        ({"name": "table", "columns": [["bernoulli", 1]]}, [1.0, 1.0], "describes 1 columns, but X has 2"),
    ],
)
def test_data_outside_the_support_are_refused_by_column(likelihood, row, words):
    x = np.array([[1.0, 0.0], row])
    with pytest.raises(InputError, match=words):
        VAE(likelihood=likelihood, hidden=(3,), epochs=1).fit(x)


def test_columns_are_called_by_their_names():
    class Named:
        columns = ["age", "visits"]

        def __array__(self, dtype=None, copy=None):
            return np.array([[1.0, 2.0], [1.0, 0.5]])

    table = {"name": "table", "columns": [["gaussian_per_feature", 1], ["poisson", 1]]}
    with pytest.raises(InputError, match="X holds 0.5 in column 'visits'"):
        VAE(likelihood=table, epochs=1).fit(Named())
    with pytest.raises(InputError, match="from column 'age' to column 'visits'"):
        likelihoods.Categorical().check_data(np.ones((1, 2)), Named.columns)


@pytest.mark.parametrize(
    ("choice", "error", "words"),
    [
        ({"name": "table", "columns": []}, InputError, "columns is empty"),
        ({"name": "table", "columns": "bernoulli"}, InputTypeError, "columns must be a list of likelihoods"),
        (
            {"name": "table", "columns": ["bernoulli"]},
            InputTypeError,
            "entry 0 of columns must be a likelihood and its number",
        ),
        (
            {"name": "table", "columns": [["bernoulli", 1, 1]]},
            InputTypeError,
            "entry 0 of columns must be a likelihood and its number",
        ),
        (
            {"name": "table", "columns": [["bernoulli", 1], ["poisson", 0]]},
            InputError,
            "the number of columns of entry 1 of columns must be at least 1",
        ),
        ({"name": "table", "columns": [["bernoulli", 0]]}, InputError, "entry 0 of columns must be at least 1"),
        (
            {"name": "table", "columns": [{"likelihood": "poisson"}]},
            InputError,
            "must have the keys 'likelihood' and 'columns'",
        ),
        (
            {"name": "table", "columns": [[{"name": "table", "columns": [["poisson", 1]]}, 1]]},
            InputError,
            "entry 0 of columns is a table",
        ),
        (
            {"name": "table", "columns": [[{"name": "categorical", "sizes": [2]}, 3]]},
            InputError,
            r"blocks of \[2\], 2 columns, but X has 3",
        ),
        ({"name": "categorical", "sizes": "2+3"}, InputTypeError, "sizes must be a list of whole numbers"),
        ({"name": "categorical", "sizes": [2, 0]}, InputError, "each of sizes must be at least 1"),
        ({"name": "student_t", "smallest": 0}, InputError, "smallest must be finite and above 0"),
        ({"name": "student_t", "floor": -1}, InputError, "floor must be finite and at least 0"),
    ],
)
def test_bad_arguments_are_refused(choice, error, words):
    with pytest.raises(error, match=words):
        likelihoods.get(choice)
