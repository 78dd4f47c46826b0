"""The Bernoulli likelihood from logits."""

import math

import naive
import numpy as np
import pytest

from npvae.errors import InputError, InputTypeError
from npvae.gradcheck.checker import check_gradient
from npvae.mathematics.likelihoods import Bernoulli
from npvae.mathematics.random import Stream

#: Rows and features; the widths stand around the number of factors that share a logarithm.
SHAPES = [(0, 3), (1, 1), (5, 3), (4, 31), (4, 32), (4, 33), (3, 63), (5, 64), (4, 71), (3, 97), (13, 20)]


def nll_and_residual(ops, logits, x):
    """-log p(x|z) and its derivative by the logits, each row's upstream gradient being 1."""
    nll, backward = Bernoulli().negative_log_likelihood(ops, (logits,), x, {})
    doutputs, dparameters = backward(np.ones_like(nll))
    assert dparameters == {}
    return nll, doutputs[0]


def grey_and_binary(rng, shape, dtype):
    """Random grey values with exact 0 and 1 among them."""
    x = rng.random(shape)
    return np.where(x < 0.3, 0.0, np.where(x > 0.7, 1.0, x)).astype(dtype)


@pytest.mark.parametrize("shape", SHAPES)
def test_values_are_the_definition(ops, dtype, rng, shape):
    logits = (3.0 * rng.standard_normal(shape)).astype(dtype)
    x = grey_and_binary(rng, shape, dtype)
    nll, dlogits = nll_and_residual(ops, logits, x)
    eps = np.finfo(dtype).eps
    wanted = [naive.bernoulli_nll(*row) for row in zip(logits, x, strict=True)]
    np.testing.assert_allclose(nll, wanted, rtol=16 * eps, atol=2 * shape[1] * eps)
    wanted = [naive.sigmoid(logit) - float(value) for logit, value in zip(logits.flat, x.flat, strict=True)]
    np.testing.assert_allclose(dlogits, np.reshape(wanted, shape), rtol=4 * eps, atol=4 * eps)
    assert nll.dtype == dlogits.dtype == dtype and nll.shape == shape[:1]


def test_a_probability_is_a_probability(ops):
    """Over all outcomes of four pixels, exp(-nll) adds up to 1."""
    outcomes = np.array([[k >> i & 1 for i in range(4)] for k in range(16)], np.float64)
    logits = np.tile([-2.0, 0.3, 1.0, 4.0], (16, 1))
    nll, _ = nll_and_residual(ops, logits, outcomes)
    assert math.fsum(np.exp(-nll)) == pytest.approx(1.0, abs=1e-14)


def test_gradient_with_a_random_upstream(ops, rng):
    x = grey_and_binary(rng, (6, 5), np.float64)
    check_gradient(
        lambda logits: _flat(Bernoulli().negative_log_likelihood(ops, (logits,), x, {})),
        [2.0 * rng.standard_normal((6, 5))],
        names=["logits"],
    )


def _flat(result):
    nll, backward = result
    return nll, lambda dnll: backward(dnll)[0]


@pytest.mark.parametrize("logit", [20.0, 80.0, 1e4])
def test_tails(ops, dtype, logit):
    """Right and wrong confident logits, and grey values, at both ends."""
    x = np.array([[1.0, 0.0], [0.0, 1.0], [0.25, 0.25], [1.0, 1.0]], dtype)
    logits = np.tile(np.array([logit, -logit], dtype), (4, 1))
    nll, dlogits = nll_and_residual(ops, logits, x)
    eps = np.finfo(dtype).eps
    wanted = [naive.bernoulli_nll(*row) for row in zip(logits, x, strict=True)]
    np.testing.assert_allclose(nll, wanted, rtol=8 * eps, atol=2 * eps)
    # Without the absolute tolerance for the logits that are right: their residual is a difference.
    slopes = [[naive.sigmoid(a) - float(b) for a, b in zip(*row, strict=True)] for row in zip(logits, x, strict=True)]
    np.testing.assert_allclose(dlogits, slopes, rtol=4 * eps, atol=eps)


def test_infinite_loss_is_not_nan(ops, dtype):
    largest = np.finfo(dtype).max
    with np.errstate(over="ignore"):
        nll, dlogits = nll_and_residual(ops, np.array([[largest, -largest]], dtype), np.array([[0.5, 0.5]], dtype))
    assert not np.isnan(nll).any() and nll[0] > 0
    np.testing.assert_array_equal(dlogits, [[0.5, -0.5]])


@pytest.mark.parametrize("logit", [5.0, 17.0, 30.0, 80.0])
def test_the_reference_keeps_the_tiny_loss_of_a_confident_right_logit(dtype, logit):
    from npvae.backend.base import Ops

    logits = np.array([[logit, -logit]], dtype)
    nll, _ = nll_and_residual(Ops(np), logits, np.array([[1.0, 0.0]], dtype))
    assert nll[0] == pytest.approx(2 * naive.exact_softplus(-logit), rel=8 * float(np.finfo(dtype).eps))


@pytest.mark.parametrize("scale", [1.0, 8.0, 100.0])
def test_confident_rows_within_the_documented_error(ops, dtype, rng, scale):
    """All pixels right: the loss is small, and what matters is its absolute error, some eps a feature."""
    logits = (scale * rng.standard_normal((8, 784))).astype(dtype)
    x = (logits > 0).astype(dtype)
    nll, _ = nll_and_residual(ops, logits, x)
    # A right logit's loss is log(1 + exp(-|l|)), which this form has to full relative precision.
    wanted = np.array([math.fsum(naive.activation("softplus", -abs(float(v))) for v in row) for row in logits])
    eps = np.finfo(dtype).eps
    assert (np.abs(nll - wanted) <= 784 * eps / 2 + 8 * eps * wanted).all()
    assert (nll >= 0).all()


def test_float32_backward_is_float64_backward(ops, rng):
    logits = rng.standard_normal((40, 60)).astype(np.float32)
    x = grey_and_binary(rng, (40, 60), np.float32)
    _, found = nll_and_residual(ops, logits, x)
    _, wanted = nll_and_residual(ops, logits.astype(np.float64), x.astype(np.float64))
    assert np.linalg.norm(found - wanted) < 1e-6 * np.linalg.norm(wanted)


def test_without_gradient_the_value_is_the_same(ops, dtype, rng):
    logits, x = rng.standard_normal((2, 5, 40)).astype(dtype)
    nll, backward = Bernoulli().negative_log_likelihood(ops, (logits,), np.abs(x), {}, gradient=False)
    assert backward is None
    np.testing.assert_array_equal(nll, nll_and_residual(ops, logits, np.abs(x))[0])


def test_inputs_stay_and_backward_can_be_called_twice(ops, dtype, rng):
    logits = rng.standard_normal((40, 300)).astype(dtype)
    x = grey_and_binary(rng, (40, 300), dtype)
    before = logits.copy(), x.copy()
    _, backward = Bernoulli().negative_log_likelihood(ops, (logits,), x, {})
    dnll = rng.standard_normal(40).astype(dtype)
    first = backward(dnll)[0][0]
    kept = first.copy()
    second = backward(2 * dnll)[0][0]
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_allclose(second, 2 * first, rtol=1e-6)
    np.testing.assert_array_equal(logits, before[0])
    np.testing.assert_array_equal(x, before[1])


def test_mean_is_the_sigmoid_everywhere(ops, dtype):
    logits = np.array([[-np.inf, -1e4, -90.0, -1.5, 0.0, 1.5, 90.0, 1e4, np.inf]], dtype)
    mean = Bernoulli().mean(ops, (logits,), {})
    wanted = [[0.0, *(naive.sigmoid(v) for v in logits[0, 1:-1]), 1.0]]
    np.testing.assert_allclose(mean, wanted, rtol=4 * np.finfo(dtype).eps, atol=1e-44)
    assert mean.dtype == dtype


def test_draws_are_zeros_and_ones_with_the_right_mean(dtype):
    logits = np.tile(np.array([-3.0, 0.0, 1.0, np.inf, -np.inf], dtype), (40_000, 1))
    x = Bernoulli().draw((logits,), {}, Stream(3, "data sample", 0))
    assert x.dtype == dtype and set(np.unique(x)) == {0.0, 1.0}
    p = np.array([naive.sigmoid(v) for v in (-3.0, 0.0, 1.0)] + [1.0, 0.0])
    error = np.abs(x.mean(axis=0, dtype=np.float64) - p)
    assert (error <= 5 * np.sqrt(p * (1 - p) / len(x))).all()
    np.testing.assert_array_equal(x, Bernoulli().draw((logits,), {}, Stream(3, "data sample", 0)))
    assert (x != Bernoulli().draw((logits,), {}, Stream(3, "data sample", 1))).any()


def test_data_outside_the_support_name_column_row_and_remedy():
    bernoulli = Bernoulli()
    bernoulli.check_data(np.array([[0.0, 0.5], [1.0, 1.0]]))
    bernoulli.check_data(np.zeros((0, 3)))
    with pytest.raises(InputError, match=r"holds 255.0 in column 1 \(row 2\).*from 0 to 1.*divide_by=255"):
        bernoulli.check_data(np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 255.0]]))
    with pytest.raises(InputError, match=r"holds -0.5 in column 'width' \(row 0\).*gaussian_per_feature"):
        bernoulli.check_data(np.array([[0.0, -0.5]]), ["height", "width"])
    with pytest.raises(InputError, match="gaussian_per_feature"):
        bernoulli.check_data(np.array([[256.0]]))


@pytest.mark.parametrize(
    ("row", "eight_bit"),
    [
        ([0.0, 2.0], True),
        ([1.0, 255.0], True),
        ([np.nan, 255.0], True),
        ([0.0, 256.0], False),
        ([-1.0, 255.0], False),
        ([0.5, 255.0], False),
    ],
)
def test_only_whole_numbers_up_to_255_are_taken_for_8_bit_images(row, eight_bit):
    with pytest.raises(InputError) as error:
        Bernoulli().check_data(np.array([row]))
    assert ("divide_by=255" in str(error.value)) is eight_bit
    assert "use likelihood='gaussian_per_feature', or for a table likelihood='auto'" in str(error.value)
    Bernoulli().check_data(np.full((1, 2), np.nan))


def test_wrong_shapes_and_dtypes_name_the_argument(ops):
    logits, x = np.zeros((5, 3)), np.zeros((5, 3))
    evaluate = Bernoulli().negative_log_likelihood
    with pytest.raises(InputError, match=r"logits has shape \(5, 3\), but x has shape \(5, 2\)"):
        evaluate(ops, (logits,), x[:, :2], {})
    with pytest.raises(InputTypeError, match=r"logits has dtype float32, but x has dtype float64"):
        evaluate(ops, (logits.astype(np.float32),), x, {})
    _, backward = evaluate(ops, (logits,), x, {})
    with pytest.raises(InputError, match=r"dnll has shape \(5, 1\), but nll has shape \(5,\)"):
        backward(np.zeros((5, 1)))
