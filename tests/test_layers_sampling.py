"""The sampling layer z = mu + exp(logvar / 2) eps."""

import math

import naive
import numpy as np
import pytest

from npvae.errors import InputError, InputTypeError
from npvae.gradcheck.checker import check_gradient
from npvae.mathematics.layers.sampling import sample

SHAPES = [(0, 3), (1, 1), (5, 3), (257, 20), (7001, 1)]


def arrays(rng, shape, dtype=np.float64):
    """mu, logvar, eps, dz."""
    return rng.standard_normal((4, *shape)).astype(dtype)


@pytest.mark.parametrize("shape", SHAPES)
def test_forward_is_the_definition(ops, dtype, rng, shape):
    mu, logvar, eps, _ = arrays(rng, shape, dtype)
    z, _ = sample(ops, mu, logvar, eps)
    wanted = [naive.sample(*map(float, three)) for three in zip(mu.flat, logvar.flat, eps.flat, strict=True)]
    tolerance = 8 * np.finfo(dtype).eps
    np.testing.assert_allclose(z, np.reshape(wanted, shape), rtol=tolerance, atol=4 * tolerance)
    assert z.dtype == dtype


@pytest.mark.parametrize("logvar", [-3.0, 0.0, 1.0, 2.5])
def test_mean_and_variance_are_mu_and_exp_logvar(ops, rng, logvar):
    draws = 400_000
    eps = rng.standard_normal((draws, 1))
    z, _ = sample(ops, np.full((draws, 1), 0.7), np.full((draws, 1), logvar), eps)
    variance = math.exp(logvar)
    assert abs(z.mean() - 0.7) < 5 * math.sqrt(variance / draws)
    # The variance of a sample variance of n normal numbers is 2 v^2 / n.
    assert abs(z.var() - variance) < 5 * variance * math.sqrt(2 / draws)


def test_gradient(ops, rng):
    mu, logvar, eps, _ = arrays(rng, (6, 4))
    check_gradient(lambda mu, logvar: sample(ops, mu, logvar, eps), [mu, logvar])


def test_backward_is_the_derivative_of_the_definition(ops, dtype, rng):
    """By differences of the naive function, so that a wrong forward cannot hide in its own backward."""
    mu, logvar, eps, dz = arrays(rng, (4, 3), dtype)
    dmu, dlogvar = sample(ops, mu, logvar, eps)[1](dz)
    h = 1e-5
    wanted = [
        d * (naive.sample(float(m), v + h, e) - naive.sample(float(m), v - h, e)) / (2 * h)
        for m, v, e, d in zip(
            map(float, mu.flat), map(float, logvar.flat), map(float, eps.flat), map(float, dz.flat), strict=True
        )
    ]
    np.testing.assert_array_equal(dmu, dz)
    np.testing.assert_allclose(dlogvar, np.reshape(wanted, dz.shape), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("logvar", [-170.0, -80.0, -20.0, 20.0, 80.0, 170.0])
def test_tails_are_right(ops, dtype, logvar):
    mu, eps = np.array([[0.0, 0.0]], dtype), np.array([[1.5, -0.25]], dtype)
    z, backward = sample(ops, mu, np.full_like(mu, logvar), eps)
    # Half of logvar in the exponent: its relative error in float32 is |logvar| / 2 of its own rounding, zero here.
    s = math.exp(logvar / 2)
    rtol = 8 * np.finfo(dtype).eps
    np.testing.assert_allclose(z, [[1.5 * s, -0.25 * s]], rtol=rtol)
    dz = np.array([[1.0, 3.0]], dtype)
    np.testing.assert_allclose(backward(dz)[1], [[0.75 * s, -0.375 * s]], rtol=rtol)


def test_the_whole_range_gives_no_nan(ops, dtype):
    largest = np.finfo(dtype).max
    logvar = np.array([[-largest, -1e4, 1e4, largest]], dtype)
    mu, eps = np.ones_like(logvar), np.full_like(logvar, -2.0)
    with np.errstate(over="ignore"):
        z, backward = sample(ops, mu, logvar, eps)
        dmu, dlogvar = backward(np.ones_like(z))
    np.testing.assert_array_equal(z, [[1.0, 1.0, -np.inf, -np.inf]])
    np.testing.assert_array_equal(dmu, np.ones_like(z))
    np.testing.assert_array_equal(dlogvar, [[0.0, 0.0, -np.inf, -np.inf]])


def test_float32_backward_is_float64_backward(ops, rng):
    mu, logvar, eps, dz = arrays(rng, (60, 20), np.float32)
    found = sample(ops, mu, logvar, eps)[1](dz)
    wanted = sample(ops, *(a.astype(np.float64) for a in (mu, logvar, eps)))[1](dz.astype(np.float64))
    for a, b in zip(found, wanted, strict=True):
        assert a.dtype == np.float32
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_strided_inputs_equal_their_copies_and_inputs_stay(ops, dtype, rng):
    whole = arrays(rng, (12, 10), dtype)
    for pick in (np.s_[:, ::2], np.s_[::-1], np.s_[1:, 3:]):
        four = [a[pick] for a in whole]
        four_transposed = [a[pick].T for a in whole]
        for mu, logvar, eps, dz in (four, four_transposed):
            copies = [a.copy("C") for a in (mu, logvar, eps, dz)]
            z, backward = sample(ops, mu, logvar, eps)
            z_copy, backward_copy = sample(ops, *copies[:3])
            results, wanted = [z, *backward(dz)], [z_copy, *backward_copy(copies[3])]
            for a, b in zip(results, wanted, strict=True):
                np.testing.assert_allclose(a, b, rtol=4 * np.finfo(dtype).eps)
            for a, b in zip((mu, logvar, eps, dz), copies, strict=True):
                np.testing.assert_array_equal(a, b)


def test_wrong_shapes_and_dtypes_name_the_argument(ops):
    a = np.zeros((5, 3))
    with pytest.raises(InputError, match=r"logvar has shape \(5, 2\), but mu has shape \(5, 3\)"):
        sample(ops, a, a[:, :2], a)
    with pytest.raises(InputError, match=r"eps has shape \(3, 5\)"):
        sample(ops, a, a, a.T)
    with pytest.raises(InputTypeError, match=r"eps has dtype float32, but mu has dtype float64"):
        sample(ops, a, a, a.astype(np.float32))
    _, backward = sample(ops, a, a, a)
    with pytest.raises(InputError, match=r"dz has shape \(5, 2\)"):
        backward(a[:, :2])
    with pytest.raises(InputTypeError, match=r"dz has dtype float32"):
        backward(a.astype(np.float32))
