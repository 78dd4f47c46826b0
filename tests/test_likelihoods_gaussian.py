"""The Gaussian likelihoods: fixed variance, and the three with a learnt one."""

import math

import naive
import numpy as np
import pytest

from npvae.errors import InputError, InputTypeError
from npvae.gradcheck.checker import check_gradient
from npvae.mathematics.likelihoods import (
    Gaussian,
    GaussianDecoder,
    GaussianOneVariance,
    GaussianPerFeature,
    SquaredError,
    gaussian_learned,
)
from npvae.mathematics.random import Stream

SHAPES = [(0, 3), (1, 1), (5, 3), (57, 20)]
LEARNED = [GaussianOneVariance, GaussianPerFeature, GaussianDecoder]

every_learned = pytest.mark.parametrize("kind", LEARNED)


def point(kind, rng, shape, dtype=np.float64):
    """``(outputs, x, parameters)`` for a likelihood with a learnt variance."""
    columns = shape[1]
    mean, x = rng.standard_normal((2, *shape)).astype(dtype)
    raw_shape = {GaussianOneVariance: (1,), GaussianPerFeature: (columns,), GaussianDecoder: shape}[kind]
    raw = rng.standard_normal(raw_shape).astype(dtype)
    return ((mean, raw), x, {}) if kind is GaussianDecoder else ((mean,), x, {"raw_logvar": raw})


def raw_of(outputs, parameters):
    return parameters["raw_logvar"] if parameters else outputs[1]


def flat_gradients(likelihood, ops, x):
    """The likelihood as a function of all its arrays, in the form that the checker takes."""

    def function(*arrays):
        if isinstance(likelihood, GaussianOneVariance | GaussianPerFeature):
            nll, backward = likelihood.negative_log_likelihood(ops, arrays[:1], x, {"raw_logvar": arrays[1]})
            return nll, lambda dnll: (backward(dnll)[0][0], backward(dnll)[1]["raw_logvar"])
        nll, backward = likelihood.negative_log_likelihood(ops, arrays, x, {})
        return nll, lambda dnll: backward(dnll)[0]

    return function


# Fixed variance


@pytest.mark.parametrize("variance", [0.5, 0.01, 7.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_fixed_variance_is_the_definition(ops, dtype, rng, shape, variance):
    mean, x = rng.standard_normal((2, *shape)).astype(dtype)
    nll, backward = Gaussian(variance).negative_log_likelihood(ops, (mean,), x, {})
    # The density itself underflows for small variances; its logarithm is taken factor by factor.
    wanted = [
        naive.gaussian_nll(m, [variance] * shape[1], v)
        for m, v in zip(mean.astype(float), x.astype(float), strict=True)
    ]
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(nll, wanted, rtol=16 * eps, atol=16 * shape[1] * eps)
    dnll = rng.standard_normal(shape[0]).astype(dtype)
    wanted = (mean.astype(float) - x) / variance * dnll[:, None]
    doutputs, dparameters = backward(dnll)
    np.testing.assert_allclose(doutputs[0], wanted, rtol=8 * eps, atol=8 * eps / variance)
    assert nll.dtype == doutputs[0].dtype == dtype and dparameters == {} and len(doutputs) == 1


def test_at_variance_one_half_it_is_the_squared_error_and_a_constant(ops, rng):
    mean, x = rng.standard_normal((2, 7, 784))
    sse = np.array([math.fsum((a - b) ** 2 for a, b in zip(*rows, strict=True)) for rows in zip(mean, x, strict=True)])
    constant = 784 / 2 * math.log(math.pi)
    assert constant == pytest.approx(448.734, abs=5e-4)
    nll, _ = Gaussian(0.5).negative_log_likelihood(ops, (mean,), x, {})
    np.testing.assert_allclose(nll, sse + constant, rtol=1e-14)
    assert Gaussian(0.5).constant(784) == pytest.approx(constant, rel=1e-15)
    printed, _ = SquaredError().negative_log_likelihood(ops, (mean,), x, {})
    np.testing.assert_allclose(printed, sse, rtol=1e-14)


def test_squared_error_has_the_gradient_of_the_gaussian(ops, rng):
    mean, x = rng.standard_normal((2, 5, 4))
    dnll = rng.standard_normal(5)
    found, wanted = (
        likelihood.negative_log_likelihood(ops, (mean,), x, {})[1](dnll)[0][0]
        for likelihood in (SquaredError(), Gaussian())
    )
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_allclose(found, 2 * (mean - x) * dnll[:, None], rtol=1e-14)


@pytest.mark.parametrize("likelihood", [Gaussian(0.5), Gaussian(3.0), SquaredError()], ids=repr)
def test_gradient_of_fixed_variance(ops, rng, likelihood):
    mean, x = rng.standard_normal((2, 6, 5))
    check_gradient(flat_gradients(likelihood, ops, x), [mean], names=["mean"])


@pytest.mark.parametrize("variance", [0.0, -1.0, math.inf, math.nan])
def test_a_variance_must_be_positive_and_finite(variance):
    with pytest.raises(InputError, match="variance must be finite and above 0"):
        Gaussian(variance)
    with pytest.raises(InputTypeError, match="variance must be a number"):
        Gaussian("0.5")


def test_draws_of_fixed_variance(dtype):
    mean = np.tile(np.array([0.0, 5.0], dtype), (40_000, 1))
    x = Gaussian(4.0).draw((mean,), {}, Stream(5, "data sample", 0))
    assert x.dtype == dtype
    x = x.astype(np.float64)
    assert (np.abs(x.mean(axis=0) - [0.0, 5.0]) < 5 * math.sqrt(4.0 / len(x))).all()
    assert (np.abs(x.var(axis=0) - 4.0) < 5 * 4.0 * math.sqrt(2 / len(x))).all()


# Learnt variance


@every_learned
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("floor", [0.0, 0.3])
def test_learnt_variance_is_the_definition(ops, dtype, rng, kind, shape, floor):
    outputs, x, parameters = point(kind, rng, shape, dtype)
    nll, _ = kind(floor).negative_log_likelihood(ops, outputs, x, parameters)
    raw = np.broadcast_to(raw_of(outputs, parameters), shape).astype(float)
    wanted = [
        naive.gaussian_nll(m, [floor + math.exp(a) for a in r], v)
        for m, r, v in zip(outputs[0].astype(float), raw, x.astype(float), strict=True)
    ]
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(nll, wanted, rtol=16 * eps, atol=16 * shape[1] * eps)
    assert nll.dtype == dtype


@every_learned
@pytest.mark.parametrize("floor", [0.0, 1e-3, 0.5])
def test_gradient_of_learnt_variance(ops, rng, kind, floor):
    outputs, x, parameters = point(kind, rng, (6, 5))
    arrays = [*outputs, *parameters.values()]
    report = check_gradient(flat_gradients(kind(floor), ops, x), arrays, names=["mean", "raw_logvar"])
    assert [row.name for row in report.rows] == ["mean", "raw_logvar"]


@every_learned
def test_float32_gradient_is_float64_gradient(ops, rng, kind):
    outputs, x, parameters = point(kind, rng, (40, 30), np.float32)
    arrays = [*outputs, *parameters.values()]
    dnll = rng.standard_normal(40).astype(np.float32)
    found = flat_gradients(kind(), ops, x)(*arrays)[1](dnll)
    wanted = flat_gradients(kind(), ops, x.astype(np.float64))(*(a.astype(np.float64) for a in arrays))[1](
        dnll.astype(np.float64)
    )
    for a, b in zip(found, wanted, strict=True):
        assert a.dtype == np.float32
        assert np.linalg.norm(a - b) < 1e-5 * np.linalg.norm(b)


@pytest.mark.parametrize("floor", [1e-6, 1e-3, 2.0])
@pytest.mark.parametrize("raw", [-1e4, -90.0, -7.0, 0.0, 3.0, 80.0])
def test_floored_logvar_is_log_of_floor_plus_exp(dtype, floor, raw):
    logvar, slope = gaussian_learned.floored_logvar(np, np.array([raw], dtype), floor)
    rtol = 4 * float(np.finfo(dtype).eps)
    wanted = raw if raw > 60 else math.log(floor + math.exp(raw))
    assert logvar[0] == pytest.approx(wanted, rel=rtol, abs=rtol * abs(math.log(floor)))
    wanted = naive.sigmoid(raw - math.log(floor))
    # The argument of the sigmoid carries a rounding of its own size.
    assert slope[0] == pytest.approx(wanted, rel=rtol * (4 + abs(raw)), abs=1e-44)
    assert logvar.dtype == slope.dtype == dtype


@every_learned
def test_extreme_raw_variances_stay_finite(ops, dtype, rng, kind):
    outputs, x, parameters = point(kind, rng, (4, 3), dtype)
    for raw in (-1e4, 80.0):
        outputs = (outputs[0], np.full_like(outputs[1], raw)) if kind is GaussianDecoder else outputs
        parameters = {name: np.full_like(value, raw) for name, value in parameters.items()}
        nll, backward = kind().negative_log_likelihood(ops, outputs, x, parameters)
        doutputs, dparameters = backward(np.ones_like(nll))
        for array in (nll, *doutputs, *dparameters.values()):
            assert np.isfinite(array).all()


@pytest.mark.parametrize("kind", [GaussianOneVariance, GaussianPerFeature])
def test_the_best_variance_is_the_mean_square(ops, rng, kind):
    """Setting v to the empirical mean square makes the gradient zero, and any other v has a larger loss."""
    mean, x = rng.standard_normal((2, 50, 4)) * [1.0, 2.0, 3.0, 0.1]
    likelihood = kind(floor=1e-6)
    axis = None if kind is GaussianOneVariance else 0
    best = np.log(np.mean((mean - x) ** 2, axis=axis).reshape(-1) - 1e-6)

    def loss_and_slope(raw):
        nll, backward = likelihood.negative_log_likelihood(ops, (mean,), x, {"raw_logvar": raw})
        return nll.sum(), backward(np.ones_like(nll))[1]["raw_logvar"]

    smallest, slope = loss_and_slope(best)
    np.testing.assert_allclose(slope, 0.0, atol=1e-11)
    for i in range(best.size):
        for sign in (-1.0, 1.0):
            moved = best.copy()
            moved[i] += 0.1 * sign
            loss, slope = loss_and_slope(moved)
            assert loss > smallest and np.sign(slope[i]) == sign


@every_learned
def test_draws_of_learnt_variance(dtype, kind):
    rows = 40_000
    mean = np.tile(np.array([1.0, -2.0], dtype), (rows, 1))
    raw = np.array([0.0, 0.0] if kind is GaussianOneVariance else [0.0, 1.2], dtype)
    outputs, parameters = (mean,), {"raw_logvar": raw[:1] if kind is GaussianOneVariance else raw}
    if kind is GaussianDecoder:
        outputs, parameters = (mean, np.tile(raw, (rows, 1))), {}
    x = kind(floor=0.25).draw(outputs, parameters, Stream(1, "data sample", 2))
    assert x.dtype == dtype and x.shape == mean.shape
    x = x.astype(np.float64)
    variance = 0.25 + np.exp(raw.astype(np.float64))
    assert (np.abs(x.mean(axis=0) - [1.0, -2.0]) < 5 * np.sqrt(variance / rows)).all()
    assert (np.abs(x.var(axis=0) - variance) < 5 * variance * math.sqrt(2 / rows)).all()


@every_learned
def test_without_gradient_the_value_is_the_same(ops, dtype, rng, kind):
    outputs, x, parameters = point(kind, rng, (5, 4), dtype)
    nll, backward = kind().negative_log_likelihood(ops, outputs, x, parameters, gradient=False)
    assert backward is None
    np.testing.assert_array_equal(nll, kind().negative_log_likelihood(ops, outputs, x, parameters)[0])


@every_learned
def test_inputs_stay(ops, dtype, rng, kind):
    outputs, x, parameters = point(kind, rng, (90, 110), dtype)
    arrays = [*outputs, x, *parameters.values()]
    before = [a.copy() for a in arrays]
    nll, backward = kind(0.0).negative_log_likelihood(ops, outputs, x, parameters)
    backward(np.ones_like(nll))
    for a, b in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", [Gaussian, SquaredError, *LEARNED])
def test_mean_is_the_head_and_wrong_shapes_are_named(ops, rng, kind):
    mean, x = rng.standard_normal((2, 4, 3))
    own = {name: value[()] for name, value in kind().parameters(3).items()}
    outputs = (mean, mean) if kind is GaussianDecoder else (mean,)
    np.testing.assert_array_equal(kind().mean(ops, outputs, own), mean)
    with pytest.raises(InputError, match=r"mean has shape \(4, 3\), but x has shape \(4, 2\)"):
        kind().negative_log_likelihood(ops, outputs, x[:, :2], own)
    with pytest.raises(InputTypeError, match="mean has dtype float64, but x has dtype float32"):
        kind().negative_log_likelihood(ops, outputs, x.astype(np.float32), own)
    _, backward = kind().negative_log_likelihood(ops, outputs, x, own)
    with pytest.raises(InputError, match=r"dnll has shape \(3,\), but nll has shape \(4,\)"):
        backward(np.zeros(3))


@pytest.mark.parametrize(
    ("logvar", "difference", "wanted"),
    [
        (-100.0, 0.0, -100.0),
        (-170.0, 0.0, -170.0),
        (-100.0, 1e-20, 100.0 * 0 - 100.0 + 1e-40 * math.exp(100.0)),
        (140.0, 1e30, 140.0 + 1e60 * math.exp(-140.0)),
    ],
)
def test_without_a_floor_the_ratio_is_formed_before_it_is_squared(ops, logvar, difference, wanted):
    """In float32 the square of the difference, or exp(-logvar), leaves the dtype where their product does not."""
    mean, x = np.array([[difference]], np.float32), np.zeros((1, 1), np.float32)
    nll, _, d_logvar = ops.gaussian_nll(mean, np.array([logvar], np.float32), x, True)
    assert nll[0] == pytest.approx(0.5 * (wanted + math.log(2 * math.pi)), rel=1e-4)
    assert d_logvar[0, 0] == pytest.approx(0.5 * (1 - (wanted - logvar)), rel=1e-4)
