"""Elementwise activations y = f(a), and dL/da from dL/dy and the *output* y.

    name       f(a)                 f'(a) written in y
    identity   a                    1
    relu       max(a, 0)            1 if y > 0 else 0        (0 is taken at a = 0)
    tanh       tanh(a)              1 - y^2
    softplus   log(1 + exp(a))      1 - exp(-y)

Writing the derivative in y means that a layer has to keep only its output. For softplus it is exact in both
tails: 1 - exp(-y) = sigmoid(a), computed as -expm1(-y), is y itself where y is small. For tanh it is as exact
as y: near |y| = 1 its error is the rounding of y, about 1e-7 in float32.
"""

from __future__ import annotations


def identity_forward(xp, a):
    return a


def identity_backward(xp, dy, y):
    return dy


def relu_forward(xp, a):
    # maximum, not a * (a > 0): that would turn -inf into NaN.
    return xp.maximum(a, xp.zeros_like(a))


def relu_backward(xp, dy, y):
    return xp.where(y > 0, dy, xp.zeros_like(dy))


def tanh_forward(xp, a):
    return xp.tanh(a)


def tanh_backward(xp, dy, y):
    return dy * (1.0 - y * y)


def softplus_forward(xp, a):
    # log(1 + exp(a)), which overflows past 88 in float32, rewritten so that exp only sees numbers <= 0.
    return relu_forward(xp, a) + xp.log1p(xp.exp(-xp.abs(a)))


def softplus_backward(xp, dy, y):
    return dy * -xp.expm1(-y)


def sigmoid(xp, a):
    """1 / (1 + exp(-a)), from exp of numbers <= 0 alone, so it is exact in both tails."""
    t = xp.exp(-xp.abs(a))
    return xp.where(a >= 0, xp.ones_like(t), t) / (1.0 + t)


FORWARD = {"identity": identity_forward, "relu": relu_forward, "tanh": tanh_forward, "softplus": softplus_forward}
BACKWARD = {"identity": identity_backward, "relu": relu_backward, "tanh": tanh_backward, "softplus": softplus_backward}
NAMES = tuple(FORWARD)
