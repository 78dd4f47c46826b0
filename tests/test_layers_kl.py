"""The KL divergence from N(mu, exp(logvar)) to N(0, 1)."""

import math

import naive
import numpy as np
import pytest

from npvae.errors import InputError, InputTypeError
from npvae.gradcheck.checker import check_gradient
from npvae.mathematics.layers.kl import kl_divergence

SHAPES = [(0, 3), (1, 1), (5, 3), (57, 20)]


def arrays(rng, shape, dtype=np.float64):
    """mu, logvar, dkl."""
    return rng.standard_normal((3, *shape)).astype(dtype)


@pytest.mark.parametrize("shape", SHAPES)
def test_forward_is_the_definition(ops, dtype, rng, shape):
    mu, logvar, _ = arrays(rng, shape, dtype)
    kl, _ = kl_divergence(ops, mu, logvar)
    wanted = [naive.kl(m, v) for m, v in zip(mu.flat, logvar.flat, strict=True)]
    tolerance = 8 * np.finfo(dtype).eps
    np.testing.assert_allclose(kl, np.reshape(wanted, shape), rtol=tolerance, atol=tolerance)
    assert kl.dtype == dtype


@pytest.mark.parametrize("mu", [0.0, -1.3, 2.0])
@pytest.mark.parametrize("logvar", [-3.0, -0.4, 0.0, 1.7])
def test_forward_is_the_integral(ops, mu, logvar):
    kl, _ = kl_divergence(ops, np.array([[mu]]), np.array([[logvar]]))
    assert kl[0, 0] == pytest.approx(naive.kl_quadrature(mu, logvar), rel=1e-10, abs=1e-12)


def test_zero_at_the_prior_and_nowhere_negative(ops, dtype, rng):
    zero = np.zeros((1, 2), dtype)
    kl, backward = kl_divergence(ops, zero, zero)
    assert not kl.any()
    assert not any(gradient.any() for gradient in backward(np.ones_like(zero)))
    # From 1e-12 to 30 on both sides: near 0 both parts of exp(v) - 1 - v cancel.
    logvar = np.geomspace(1e-12, 30.0, 20_001)
    logvar = np.concatenate([-logvar, logvar]).astype(dtype)[:, None]
    kl, _ = kl_divergence(ops, np.zeros_like(logvar), logvar)
    assert (kl >= 0).all()
    far = np.abs(logvar) > 2 * math.sqrt(np.finfo(dtype).eps)
    assert (kl[far] > 0).all()


@pytest.mark.parametrize("logvar", [1e-3, -1e-4, 1e-5])
def test_digits_are_kept_near_the_prior(ops, logvar):
    """kl is v^2 / 4 there, some 1e-11: computed as exp(v) - 1 - v it would have lost six of its digits."""
    kl, _ = kl_divergence(ops, np.zeros((1, 1)), np.array([[logvar]]))
    assert kl[0, 0] == pytest.approx(naive.kl(0.0, logvar), rel=2 * 2.0**-52 / abs(logvar))


def test_gradient(ops, rng):
    check_gradient(lambda mu, logvar: kl_divergence(ops, mu, logvar), list(arrays(rng, (6, 4))[:2]))


@pytest.mark.parametrize("logvar", [-80.0, -20.0, 20.0, 80.0])
def test_tails_are_right(ops, dtype, logvar):
    mu = np.array([[0.0, 30.0]], dtype)
    dkl = np.array([[1.0, -3.0]], dtype)
    kl, backward = kl_divergence(ops, mu, np.full_like(mu, logvar))
    dmu, dlogvar = backward(dkl)
    rtol = 8 * np.finfo(dtype).eps
    np.testing.assert_allclose(kl, [[naive.kl(m, logvar) for m in (0.0, 30.0)]], rtol=rtol)
    np.testing.assert_array_equal(dmu, [[0.0, -90.0]])
    slope = (math.exp(logvar) - 1.0) / 2.0
    np.testing.assert_allclose(dlogvar, [[slope, -3.0 * slope]], rtol=rtol)


def test_the_whole_range_gives_inf_where_it_must_and_no_nan(ops, dtype):
    largest = np.finfo(dtype).max
    logvar = np.array([[-largest, -1e4, 1e4, largest]], dtype)
    with np.errstate(over="ignore"):
        kl, backward = kl_divergence(ops, np.zeros_like(logvar), logvar)
        _, dlogvar = backward(np.ones_like(kl))
        huge_mean, _ = kl_divergence(ops, np.full_like(logvar, largest), np.zeros_like(logvar))
    np.testing.assert_allclose(kl, [[largest / 2, 4999.5, np.inf, np.inf]], rtol=1e-6)
    np.testing.assert_array_equal(dlogvar, [[-0.5, -0.5, np.inf, np.inf]])
    assert np.isposinf(huge_mean).all()


def test_float32_backward_is_float64_backward(ops, rng):
    mu, logvar, dkl = arrays(rng, (60, 20), np.float32)
    found = kl_divergence(ops, mu, logvar)[1](dkl)
    wanted = kl_divergence(ops, mu.astype(np.float64), logvar.astype(np.float64))[1](dkl.astype(np.float64))
    for a, b in zip(found, wanted, strict=True):
        assert a.dtype == np.float32
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_strided_inputs_equal_their_copies_and_inputs_stay(ops, dtype, rng):
    whole = arrays(rng, (12, 10), dtype)
    views = [[a[:, ::2] for a in whole], [a.T for a in whole], [a[::-1, 3:] for a in whole]]
    for mu, logvar, dkl in views:
        copies = [a.copy("C") for a in (mu, logvar, dkl)]
        kl, backward = kl_divergence(ops, mu, logvar)
        kl_copy, backward_copy = kl_divergence(ops, *copies[:2])
        for a, b in zip([kl, *backward(dkl)], [kl_copy, *backward_copy(copies[2])], strict=True):
            np.testing.assert_allclose(a, b, rtol=8 * np.finfo(dtype).eps, atol=8 * np.finfo(dtype).eps)
        for a, b in zip((mu, logvar, dkl), copies, strict=True):
            np.testing.assert_array_equal(a, b)


def test_wrong_shapes_and_dtypes_name_the_argument(ops):
    a = np.zeros((5, 3))
    with pytest.raises(InputError, match=r"logvar has shape \(5, 2\), but mu has shape \(5, 3\)"):
        kl_divergence(ops, a, a[:, :2])
    with pytest.raises(InputTypeError, match=r"logvar has dtype float32, but mu has dtype float64"):
        kl_divergence(ops, a, a.astype(np.float32))
    _, backward = kl_divergence(ops, a, a)
    with pytest.raises(InputError, match=r"dkl has shape \(5,\)"):
        backward(np.zeros(5))
    with pytest.raises(InputTypeError, match=r"dkl has dtype float32"):
        backward(a.astype(np.float32))
