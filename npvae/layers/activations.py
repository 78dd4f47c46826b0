"""Elementwise activations y = f(a), and dL/da from dL/dy and the *output* y.

    name       f(a)                 f'(a) written in y
    identity   a                    1
    relu       max(a, 0)            1 if y > 0 else 0        (0 is taken at a = 0)
    tanh       tanh(a)              1 - y^2
    softplus   log(1 + exp(a))      1 - exp(-y)

Writing the derivative in y means that a layer has to keep only its output. It is exact in the tails: for
softplus, 1 - exp(-y) = sigmoid(a), computed as -expm1(-y), is y itself where y is small.
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


FORWARD = {
    "identity": identity_forward,
    "relu": relu_forward,
    "tanh": tanh_forward,
    "softplus": softplus_forward,
}
BACKWARD = {
    "identity": identity_backward,
    "relu": relu_backward,
    "tanh": tanh_backward,
    "softplus": softplus_backward,
}
NAMES = tuple(FORWARD)
