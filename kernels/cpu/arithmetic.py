"""The loops over bodies.py that both the training program and the single operations call, with their dispatch."""

from __future__ import annotations

import math
from types import SimpleNamespace

from numba import types

from npvae.kernels.cpu import bodies
from npvae.kernels.cpu.loops import compiled, loop, make_access, panel_loop
from npvae.kernels.cpu.plan import Constant, Epilogue, Operation
from npvae.kernels.cpu.target import Target


def make(target):
    """The loops of a target, and ``epilogue`` and ``update``, which choose among them by a code."""
    _, put = make_access(target)
    get_wide, _ = make_access(Target("float64", target.vector_bytes, target.registers))
    number, size = getattr(types, target.dtype), target.itemsize
    activations = (
        bodies.bias,
        bodies.relu,
        bodies.tanh_forward,
        bodies.softplus,
        bodies.relu_backward,
        bodies.tanh_backward,
        bodies.softplus_backward,
    )
    bias, relu, tanh, softplus, relu_backward, tanh_backward, softplus_backward = (
        loop(target, 2, 1, 0, body) for body in activations
    )
    (
        panel_bias,
        panel_relu,
        panel_tanh,
        panel_softplus,
        panel_relu_backward,
        panel_tanh_backward,
        panel_softplus_backward,
    ) = (panel_loop(target, body) for body in activations)
    panel = target.panel
    rmsprop, rmsprop_outside = (loop(target, 3, 2, 5, body) for body in (bodies.rmsprop, bodies.rmsprop_outside))
    adam = loop(target, 4, 3, 8, bodies.adam)
    sgd, momentum = loop(target, 2, 1, 2, bodies.sgd), loop(target, 3, 2, 3, bodies.momentum)

    @compiled(2)
    def spoil(n, address):
        """NaN in the place of what a code asks for that is not known here: compiled code cannot raise."""
        for i in range(n):
            put(address, i, number(math.nan))

    @compiled(9)
    def epilogue(code, c, ldc, rows, columns, row, column, p, q):
        """Finish rows x columns numbers at c, which stand at (row, column) of their matrix.

        Forwards p is the bias; backwards it is the outputs y, (., q).
        """
        if code == Epilogue.NONE:
            return
        # What stands beside c: the same row of p for all rows, or a matrix of its own.
        backwards = code >= Epilogue.RELU_BACKWARD
        stride = q if backwards else 0
        beside = p + size * (column + (row * q if backwards else 0))
        if columns == panel:
            if code == Epilogue.IDENTITY:
                panel_bias(rows, c, ldc, beside, stride)
            elif code == Epilogue.RELU:
                panel_relu(rows, c, ldc, beside, stride)
            elif code == Epilogue.TANH:
                panel_tanh(rows, c, ldc, beside, stride)
            elif code == Epilogue.SOFTPLUS:
                panel_softplus(rows, c, ldc, beside, stride)
            elif code == Epilogue.RELU_BACKWARD:
                panel_relu_backward(rows, c, ldc, beside, stride)
            elif code == Epilogue.TANH_BACKWARD:
                panel_tanh_backward(rows, c, ldc, beside, stride)
            elif code == Epilogue.SOFTPLUS_BACKWARD:
                panel_softplus_backward(rows, c, ldc, beside, stride)
            else:
                for i in range(rows):
                    spoil(columns, c + size * ldc * i)
            return
        for i in range(rows):
            here, other = c + size * ldc * i, beside + size * stride * i
            if code == Epilogue.IDENTITY:
                bias(columns, here, other, here)
            elif code == Epilogue.RELU:
                relu(columns, here, other, here)
            elif code == Epilogue.TANH:
                tanh(columns, here, other, here)
            elif code == Epilogue.SOFTPLUS:
                softplus(columns, here, other, here)
            elif code == Epilogue.RELU_BACKWARD:
                relu_backward(columns, here, other, here)
            elif code == Epilogue.TANH_BACKWARD:
                tanh_backward(columns, here, other, here)
            elif code == Epilogue.SOFTPLUS_BACKWARD:
                softplus_backward(columns, here, other, here)
            else:
                spoil(columns, here)

    @compiled(7, types.float64, types.float64, types.float64)
    def update(kind, n, theta, gradient, state, state_2, constants, rate, root_scale, factor):
        """One step of an optimiser on n parameters; the gradient is taken times ``factor``.

        For Adam ``rate`` is lr / (1 - beta1^t) and ``root_scale`` 1 / sqrt(1 - beta2^t).
        """
        scale = number(factor)
        if kind == Operation.RMSPROP_INSIDE or kind == Operation.RMSPROP_OUTSIDE:
            rho = get_wide(constants, Constant.RHO)
            epsilon = number(get_wide(constants, Constant.EPSILON))
            if kind == Operation.RMSPROP_INSIDE:
                rmsprop(
                    n,
                    theta,
                    gradient,
                    state,
                    theta,
                    state,
                    number(rate),
                    number(rho),
                    number(1.0 - rho),
                    epsilon,
                    scale,
                )
            else:
                rmsprop_outside(
                    n,
                    theta,
                    gradient,
                    state,
                    theta,
                    state,
                    number(rate),
                    number(rho),
                    number(1.0 - rho),
                    epsilon,
                    scale,
                )
        elif kind == Operation.ADAM:
            beta1, beta2 = get_wide(constants, Constant.BETA_1), get_wide(constants, Constant.BETA_2)
            adam(
                n,
                theta,
                gradient,
                state,
                state_2,
                theta,
                state,
                state_2,
                number(rate),
                number(beta1),
                number(1.0 - beta1),
                number(beta2),
                number(1.0 - beta2),
                number(root_scale),
                number(get_wide(constants, Constant.EPSILON)),
                scale,
            )
        elif kind == Operation.SGD:
            sgd(n, theta, gradient, theta, number(rate), scale)
        elif kind == Operation.MOMENTUM:
            momentum(
                n,
                theta,
                gradient,
                state,
                theta,
                state,
                number(rate),
                number(get_wide(constants, Constant.MOMENTUM)),
                scale,
            )
        else:
            spoil(n, theta)

    return SimpleNamespace(
        epilogue=epilogue,
        update=update,
        bernoulli=loop(target, 2, 1, 1, bodies.bernoulli, sums=True),
        bernoulli_value=loop(target, 2, 0, 0, bodies.bernoulli_value, sums=True),
        squared_error=loop(target, 2, 1, 1, bodies.squared_error, sums=True),
        gaussian=loop(target, 3, 2, 1, bodies.gaussian, sums=True),
        scale=loop(target, 1, 1, 1, bodies.scale),
        sample=loop(target, 3, 1, 0, bodies.sample),
        sample_backward=loop(target, 3, 1, 0, bodies.sample_backward),
        kl=loop(target, 2, 1, 0, bodies.kl),
        kl_backward=loop(target, 3, 2, 0, bodies.kl_backward),
        kl_backward_scaled=loop(target, 2, 2, 1, bodies.kl_backward_scaled),
        flush=loop(target, 1, 1, 1, bodies.flush),
    )
