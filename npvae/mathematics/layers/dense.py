"""A dense layer with its activation.

    a  = x W + b          x (B, in), W (in, out), b (out,)
    y  = f(a)             f an activation of activations.py

    da = dy * f'(a)
    dx = da W^T           (B, in)
    dW = x^T da           (in, out)
    db = sum over rows of da

Product, bias and activation are one operation of the backend, because a compiled backend adds the bias
and applies f, and takes the column sums of da, while the tile of the product is still in registers.
"""

from __future__ import annotations

from npvae.errors import InputError
from npvae.mathematics.layers import activations
from npvae.support import check


def dense_forward(xp, x, W, b, activation):
    return activations.FORWARD[activation](xp, x @ W + b)


def dense_backward(xp, dy, x, y, W, activation, need_dx):
    da = activations.BACKWARD[activation](xp, dy, y)
    dx = da @ W.T if need_dx else None
    dW = x.T @ da
    db = xp.sum(da, axis=0)
    return dx, dW, db


def dense(ops, x, W, b, activation="identity", need_dx=True):
    """Return ``(y, backward)``; ``backward(dy, out=None)`` gives ``(dx, dW, db)``.

    x: (B, in). W: (in, out). b: (out,). All of one floating dtype, on one device; none is modified, and y
    is never one of them. B may be 0. ``out=(dW, db)`` are arrays to be overwritten with the parameters'
    gradients, new ones otherwise. ``need_dx=False`` leaves out the product for dx, which is then None:
    the first layer has no use for it. InputError, InputTypeError: shapes or dtypes do not fit. UnknownNameError:
    no such activation.
    """
    if x.shape[1:] != W.shape[:1] or b.shape != W.shape[1:] or not x.dtype == W.dtype == b.dtype:
        _refuse(x, W, b)
    if activation not in activations.FORWARD:
        check.one_of("activation", activation, activations.NAMES)
    y = ops.dense_forward(x, W, b, activation)

    def backward(dy, out=None):
        if dy.shape != y.shape or dy.dtype != y.dtype:
            check.same_shape(y=y, dy=dy)
        return ops.dense_backward(dy, x, y, W, activation, need_dx, out)

    return y, backward


def _refuse(x, W, b):
    """The error that says what does not fit."""
    check.matrix("x", x, W.shape[0])
    check.same_dtype("W", W, "x", x)
    check.same_dtype("b", b, "x", x)
    raise InputError(f"b has shape {b.shape}, but W has {W.shape[1]} columns")
