"""The backend interface, and its specification: every operation over ``self.xp``, by the reference functions.

``Ops(xp)`` with any array-API module is a working backend. A faster backend subclasses it and overrides
operations; an override may change speed, never meaning. Arrays are values: neither side changes one after
handing it over, except the optimiser steps and ``flush_tiny``, which work in place. A result may be an argument
itself where the equation says so (dmu = dz).

    asarray  copy  to_numpy  dtype_name        in and out of the backend's memory
    sorting_order                              an epoch's order of rows, from random words
    take_rows  concat  memory_guard  available_bytes   a minibatch; room for it
    never_compile  compile_when_needed         whether code that is not there yet may take seconds
    dense_forward      dense_backward          y = f(x W + b)
    outer_forward      activation_gradient     y = f(x + offset), every row with every offset; dy f'(a)
    sample_forward     sample_backward         z = mu + exp(logvar / 2) eps
    kl_forward         kl_backward             KL(N(mu, exp(logvar)) || N(0, 1)), by dimension
    bernoulli_nll  squared_error  gaussian_nll     -log p(x|z) by row, and its elementwise derivatives
    scale_rows                                 the chain rule from a row's loss to its elements
    rmsprop_step  adam_step  sgd_step  flush_tiny  one pass over the flat vector of parameters

Matrix products stand inside the dense operations, not beside them, because a compiled backend works on
bias, activation and column sums while a tile of the product is in registers, and because CUDA graphs
need products of our own. Sums, slices, transposes and small arithmetic are ``xp``'s.
"""

from __future__ import annotations

import contextlib

import numpy as np

from npvae.mathematics import optimizers
from npvae.mathematics.layers import activations, kl, sampling
from npvae.mathematics.layers import dense as dense_layer
from npvae.mathematics.likelihoods import bernoulli, gaussian_fixed, gaussian_learned
from npvae.support import machine_memory


class Ops:
    """The specification: each operation through the reference function of its layer."""

    name = "reference"
    #: Whether to read a number from the backend's memory is to wait for all work that was given to it before.
    reads_wait = False

    def __init__(self, xp) -> None:
        self.xp = xp

    def description(self) -> str:
        """What runs, in words, for ``npvae info``."""
        return self.name

    # in and out

    def asarray(self, array, dtype=None):
        """The array in the backend's memory, of the given dtype (a name such as "float32")."""
        return self.xp.asarray(array, dtype=None if dtype is None else getattr(self.xp, dtype))

    def copy(self, array, dtype=None):
        """A new array of the same numbers in the backend's memory, laid out as its operations like it best."""
        array = self.asarray(array, dtype)
        new = self.xp.empty_like(array)
        new[...] = array
        return new

    def to_numpy(self, array) -> np.ndarray:
        """The array as a NumPy array; it may share memory with its argument."""
        return np.asarray(array)

    def dtype_name(self, array) -> str:
        """ "float32" or "float64", whatever the backend calls its dtypes."""
        return str(array.dtype).rpartition(".")[2]

    def take_rows(self, x, indices):
        """x[indices], (B, I), for whole numbers from 0 to N - 1."""
        return self.xp.take(x, indices, axis=0)

    def concat(self, arrays, axis: int = 0):
        """Arrays one behind the other. An operation because NumPy 1 and CuPy 13 do not know it by its name in the
        array API.
        """
        concat = self.xp.concat if hasattr(self.xp, "concat") else self.xp.concatenate
        return concat(arrays, axis=axis)

    def sorting_order(self, words: np.ndarray):
        """The order that sorts NumPy's ``words``, uint64 (N,), ties in their order: int64 (N,), on the device.

        An operation because at 60,000 rows the sort would cost a GPU's run a fifth of its time on the host.
        """
        return self.asarray(np.argsort(words, kind="stable"))

    def memory_guard(self, rows: int, argument: str = "batch_size"):
        """A context in which running out of the backend's own memory, at work on ``rows`` rows at a time, is explained.
        ``argument``: the name of what decides how many they are.

        DeviceMemoryError: there is none left.
        """
        return contextlib.nullcontext()

    def available_bytes(self) -> int | None:
        """How many bytes of the backend's memory are free; None where nobody says."""
        return machine_memory.available_bytes()

    def bits_depend_on(self) -> dict[str, str]:
        """What the bits of results depend on beside what the operations are given, by name: a run that is resumed where
        these are others would not end with the bits of one that was never interrupted."""
        return {"array module": f"{self.xp.__name__} {getattr(self.xp, '__version__', '')}".strip()}

    # compiled code

    def never_compile(self) -> None:
        """Do without compiled code that is not there yet, until training is asked for; nothing where nothing takes
        seconds.
        """

    def compile_when_needed(self) -> None:
        """Compile from now on what is not there yet."""

    # layers

    def dense_forward(self, x, W, b, activation):
        """f(x W + b), (B, out)."""
        return dense_layer.dense_forward(self.xp, x, W, b, activation)

    def dense_backward(self, dy, x, y, W, activation, need_dx, out=None):
        """``(dx, dW, db)``; ``out=(dW, db)`` are overwritten and returned in the place of new arrays."""
        dx, dW, db = dense_layer.dense_backward(self.xp, dy, x, y, W, activation, need_dx)
        if out is None:
            return dx, dW, db
        out[0][...] = dW
        out[1][...] = db
        return dx, *out

    def outer_forward(self, x, offsets, activation):
        """f(x_u + offset_c) for x (U, H) and offsets (C, H), (C U, H): all rows with the first offset, then with the
        second.
        """
        y = activations.FORWARD[activation](self.xp, x[None, :, :] + offsets[:, None, :])
        return self.xp.reshape(y, (-1, x.shape[1]))

    def activation_gradient(self, dy, y, activation):
        """dy f'(a), written in y = f(a), (B, H)."""
        return activations.BACKWARD[activation](self.xp, dy, y)

    def sample_forward(self, mu, logvar, eps):
        """mu + exp(logvar / 2) eps, (B, Z)."""
        return sampling.sample_forward(self.xp, mu, logvar, eps)

    def sample_backward(self, dz, logvar, eps):
        """``(dmu, dlogvar)``, both (B, Z)."""
        return sampling.sample_backward(self.xp, dz, logvar, eps)

    def kl_forward(self, mu, logvar):
        """KL divergence from the prior by latent dimension, (B, Z)."""
        return kl.kl_forward(self.xp, mu, logvar)

    def kl_backward(self, dkl, mu, logvar):
        """``(dmu, dlogvar)``, both (B, Z)."""
        return kl.kl_backward(self.xp, dkl, mu, logvar)

    # likelihoods

    def bernoulli_nll(self, logits, x, gradient):
        """``(nll, residual)``: -log p(x|z), (B,), and its derivative by the logits, (B, I), or None."""
        nll = bernoulli.bernoulli_nll(self.xp, logits, x)
        return nll, bernoulli.bernoulli_residual(self.xp, logits, x) if gradient else None

    def squared_error(self, mean, x):
        """``(sse, difference)``: the row sums of (mean - x)^2, (B,), and mean - x, (B, I)."""
        return gaussian_fixed.squared_error(self.xp, mean, x)

    def gaussian_nll(self, mean, logvar, x, gradient):
        """``(nll, d_mean, d_logvar)``: -log N(x; mean, exp(logvar)), (B,), and its elementwise derivatives."""
        nll = gaussian_learned.gaussian_nll(self.xp, mean, logvar, x)
        if not gradient:
            return nll, None, None
        return nll, *gaussian_learned.gaussian_derivatives(self.xp, mean, logvar, x)

    def scale_rows(self, x, factor):
        """Each row of x (B, I) times its element of factor (B,), or times the number ``factor``."""
        return x * (factor if isinstance(factor, float) else factor[:, None])

    # optimisers: in place on theta and the accumulators; the gradient is read only

    def rmsprop_step(self, theta, gradient, accumulator, learning_rate, rho, epsilon, epsilon_inside):
        """One step of ``optim.rmsprop_step``."""
        optimizers.rmsprop_step(self.xp, theta, gradient, accumulator, learning_rate, rho, epsilon, epsilon_inside)

    def adam_step(self, theta, gradient, m, v, learning_rate, beta1, beta2, epsilon, step):
        """One step of ``optim.adam_step``."""
        optimizers.adam_step(self.xp, theta, gradient, m, v, learning_rate, beta1, beta2, epsilon, step)

    def sgd_step(self, theta, gradient, velocity, learning_rate, momentum):
        """One step of ``optim.sgd_step``."""
        optimizers.sgd_step(self.xp, theta, gradient, velocity, learning_rate, momentum)

    def flush_tiny(self, array):
        """Set to 0, in place, every element nearer to 0 than ``optim.TINY``."""
        optimizers.flush_tiny(self.xp, array)
