"""Activations, alone and as every backend applies them inside a dense layer."""

import math

import naive
import numpy as np
import pytest

from npvae.gradcheck.checker import check_gradient
from npvae.mathematics.layers import activations
from npvae.mathematics.layers.dense import dense

SHAPES = [(0, 3), (1, 1), (5, 3), (257, 20), (3, 401)]
TAILS = [20.0, 90.0, 1e4, math.inf]

every_activation = pytest.mark.parametrize("name", activations.NAMES)


def apply(ops, name, a):
    """``(y, backward)`` of the activation on each element of a, which comes in as the bias of a dense layer.

    Not as x times a weight of 1: products of infinities raise flags of their own.
    """
    x, W = np.zeros((1, 1), a.dtype), np.ones((1, a.size), a.dtype)
    y, backward = dense(ops, x, W, a.reshape(-1), name, need_dx=False)
    return y.reshape(a.shape), lambda dy: backward(dy.reshape(1, -1))[2].reshape(a.shape)


@every_activation
@pytest.mark.parametrize("shape", SHAPES)
def test_forward_and_slope_are_the_definition(ops, dtype, rng, name, shape):
    a = (3.0 * rng.standard_normal(shape)).astype(dtype)
    dy = rng.standard_normal(shape).astype(dtype)
    y, backward = apply(ops, name, a)
    dx = backward(dy)
    assert y.dtype == dx.dtype == dtype
    eps = np.finfo(dtype).eps
    wanted = np.array([naive.activation(name, float(v)) for v in a.flat]).reshape(shape)
    np.testing.assert_allclose(y, wanted, rtol=8 * eps, atol=8 * eps if name == "tanh" else 0.0)
    slope = np.array([naive.activation_slope(name, float(v)) for v in a.flat]).reshape(shape)
    # tanh' = 1 - y^2 is exact to eps, not relative to itself.
    np.testing.assert_allclose(dx, slope * dy, rtol=8 * eps, atol=32 * eps if name == "tanh" else 0.0)


@every_activation
def test_gradient(ops, rng, name):
    check_gradient(lambda a: apply(ops, name, a), [rng.standard_normal((6, 5))], names=["a"])


@every_activation
def test_float32_backward_is_float64_backward(ops, rng, name):
    a, dy = rng.standard_normal((2, 40, 30))
    a, dy = a.astype(np.float32), dy.astype(np.float32)
    wanted = apply(ops, name, a.astype(np.float64))[1](dy.astype(np.float64))
    found = apply(ops, name, a)[1](dy)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_relu_takes_slope_zero_at_zero(ops, dtype):
    a = np.array([[0.0, -0.0, np.finfo(dtype).tiny]], dtype)
    y, backward = apply(ops, "relu", a)
    np.testing.assert_array_equal(y, [[0.0, 0.0, np.finfo(dtype).tiny]])
    np.testing.assert_array_equal(backward(np.full_like(a, 3.0)), [[0.0, 0.0, 3.0]])


@pytest.mark.parametrize("size", TAILS)
def test_tails(ops, dtype, size):
    a = np.array([[size, -size]], dtype)
    dy = np.array([[2.0, 2.0]], dtype)
    results = {name: apply(ops, name, a) for name in activations.NAMES}
    np.testing.assert_array_equal(results["identity"][0], a)
    np.testing.assert_array_equal(results["relu"][0], [[size, 0.0]])
    np.testing.assert_array_equal(results["relu"][1](dy), [[2.0, 0.0]])
    np.testing.assert_array_equal(results["tanh"][0], [[1.0, -1.0]])
    np.testing.assert_array_equal(results["tanh"][1](dy), [[0.0, 0.0]])
    finite = math.isfinite(size)
    values = [naive.exact_softplus(a) for a in (size, -size)] if finite else [size, 0.0]
    slopes = [naive.sigmoid(a) for a in (size, -size)] if finite else [1.0, 0.0]
    y, backward = results["softplus"]
    # Denormal numbers, at -90 in float32, have few digits: the least of them is the tolerance there. On a GPU they are
    # 0.
    limits = np.finfo(dtype)
    rtol, least = 4 * limits.eps, float(limits.tiny if ops.name == "cupy" else limits.smallest_subnormal)
    np.testing.assert_allclose(y, [values], rtol=rtol, atol=2 * least)
    np.testing.assert_allclose(backward(dy), [[2.0 * slope for slope in slopes]], rtol=rtol, atol=4 * least)


@pytest.mark.parametrize("a", [-40.0, -30.0, -17.5, -9.0])
def test_softplus_keeps_its_digits_where_it_is_small(ops, dtype, a):
    y, backward = apply(ops, "softplus", np.array([[a]], dtype))
    rtol = 8 * float(np.finfo(dtype).eps)
    assert y[0, 0] == pytest.approx(naive.exact_softplus(a), rel=rtol)
    assert backward(np.ones((1, 1), dtype))[0, 0] == pytest.approx(naive.sigmoid(a), rel=rtol)


@every_activation
def test_a_nan_is_passed_on(ops, dtype, name):
    y, _ = apply(ops, name, np.array([[np.nan, 1.0]], dtype))
    assert np.isnan(y[0, 0]) and np.isfinite(y[0, 1])


@every_activation
def test_reference_functions_take_strided_arrays_and_leave_them_alone(dtype, rng, name):
    whole, dwhole = rng.standard_normal((2, 6, 8)).astype(dtype)
    for a, dy in [(whole[:, ::2], dwhole[:, ::2]), (whole.T, dwhole.T), (whole[::-1], dwhole[::-1])]:
        before, dbefore = a.copy(), dy.copy()
        y = activations.FORWARD[name](np, a)
        dx = activations.BACKWARD[name](np, dy, y)
        np.testing.assert_array_equal(y, activations.FORWARD[name](np, before))
        np.testing.assert_array_equal(dx, activations.BACKWARD[name](np, dbefore, y.copy()))
        np.testing.assert_array_equal(a, before)
        np.testing.assert_array_equal(dy, dbefore)


def test_every_name_has_both_directions():
    assert set(activations.FORWARD) == set(activations.BACKWARD) == set(activations.NAMES)
