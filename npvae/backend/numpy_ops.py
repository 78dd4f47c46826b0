"""The NumPy backend: the reference's arithmetic, in place, on buffers that are used again.

What makes it faster than the reference, by what was measured at the sizes of a 784-256-2 model:
no page faults (buffers.py); one exp where the reference has two, and one logarithm for every 8 pixels;
row and column sums through matrix-vector products; optimiser passes over pieces that stay in the cache.
"""

from __future__ import annotations

import contextlib
import math

import numpy as np

from npvae.backend import bits, blas, codes, pieces
from npvae.backend.base import Ops
from npvae.backend.buffers import BufferPool, SequencePool, empty_aligned
from npvae.backend.threads import asked_of_blas, available_cores, limit_blas
from npvae.errors import MissingDependencyError

#: Elements of a piece of the flat parameter vector, at most: large enough that calls cost little, small enough for the
#: caches.
PIECE = 131072

#: The activations that are written here in place.
ACTIVATIONS = ("identity", "relu", "tanh", "softplus")
BOOLEAN = np.dtype(bool)

#: Numbers up to which a BLAS takes a sum or a matrix-vector product on one thread by itself.
LONGEST_ALONE = 8192

#: log(1 + t) is summed as the logarithm of a product of this many factors from [1/2, 1].
FACTORS = 8


def row_dots(a, b):
    """sum_j a_bj b_bj, (B,), by BLAS, which is faster than einsum."""
    if a.shape[1] <= LONGEST_ALONE:
        return np.matmul(a[:, None, :], b[:, :, None])[:, 0, 0]
    with blas.one_thread():
        return np.matmul(a[:, None, :], b[:, :, None])[:, 0, 0]


def _steady(numbers: int):
    """A matrix-vector product of so many numbers, or a sum of so many, on one thread where a BLAS would take several:
    then its bits do not depend on how many."""
    return blas.one_thread() if numbers > LONGEST_ALONE else contextlib.nullcontext()


class NumpyOps(Ops):
    """NumPy alone. Values agree with the reference to rounding; see each method for where they may differ."""

    name = "numpy"
    _pool: type[BufferPool | SequencePool] = BufferPool  #: what large results are taken from

    def __init__(self, threads: int | None = None) -> None:
        """threads: of NumPy's BLAS, in this whole process; None takes ``NPVAE_NUM_THREADS``, or leaves them as they
        are.
        """
        super().__init__(np)
        self._asked_threads = threads
        number = asked_of_blas(threads)
        if number is not None and not limit_blas(number) and threads is not None:
            raise MissingDependencyError(
                "the number of threads of NumPy's BLAS cannot be set from here: set OPENBLAS_NUM_THREADS, "
                "MKL_NUM_THREADS or "
                'OMP_NUM_THREADS before Python starts, or try python -m pip install "npvae[threads]"'
            )
        #: How many threads large products and training are divided among, at most.
        self.threads = min(blas.held.usual(), available_cores()) if number is None else number
        self._buffers = self._pool()
        self._constants: dict = {}

    @classmethod
    def reason_against(cls) -> str | None:
        """Why this backend cannot run here, in words; None if it can."""
        return None

    def description(self) -> str:
        return "NumPy and its BLAS"

    def bits_depend_on(self) -> dict[str, str]:
        return bits.of_numpy(blas_threads=True)

    def asarray(self, array, dtype=None):
        return np.asarray(array, dtype=dtype)

    def copy(self, array, dtype=None):
        array = np.asarray(array)
        new = empty_aligned(array.shape, dtype or array.dtype)
        new[...] = array
        return new

    def __reduce__(self):
        # Copies and pickles, such as a parallel grid search makes, get buffers of their own.
        return type(self), (self._asked_threads,)

    def release_memory(self) -> None:
        """Give the buffers back to the operating system."""
        self._buffers.clear()
        self._constants.clear()

    def _constant(self, value: float, length: int, dtype) -> np.ndarray:
        """A read-only vector of one value, kept."""
        try:
            return self._constants[value, length, dtype]
        except KeyError:
            if len(self._constants) > 100:  # of sizes long gone
                self._constants.clear()
            vector = np.full(length, value, dtype)
            vector.flags.writeable = False
            self._constants[value, length, dtype] = vector
            return vector

    def _sum_rows(self, x):
        """The sum of each row, (B,), by a matrix-vector product."""
        with _steady(x.size):
            return x @ self._constant(1.0, x.shape[1], x.dtype)

    def _sum_row_logarithms(self, factors):
        """sum_i log f_i of each row, (B,), for factors from [1/2, 1]; they are overwritten."""
        rows, columns = factors.shape
        width = columns // FACTORS
        if width < FACTORS:
            return self._sum_rows(np.log(factors, out=factors))
        # The product of eight wide parts of the row: whole vectors are multiplied, and no sum runs along a row.
        products = np.multiply.reduce(factors[:, : FACTORS * width].reshape(rows, FACTORS, width), axis=1)
        rest = columns - FACTORS * width
        if rest:
            products[:, :rest] *= factors[:, -rest:]
        return self._sum_rows(np.log(products, out=products))

    def take_rows(self, x, indices):
        out = self._buffers.empty((len(indices), *x.shape[1:]), x.dtype)
        # "clip" skips a copy that "raise" makes to protect out; the caller's indices are in range.
        return np.take(x, indices, axis=0, out=out, mode="clip")

    def concat(self, arrays, axis=0):
        first = arrays[0]
        if any(array.dtype != first.dtype for array in arrays):
            return super().concat(arrays, axis)
        shape = list(first.shape)
        shape[axis] = sum(array.shape[axis] for array in arrays)
        return np.concatenate(arrays, axis=axis, out=self._buffers.empty(tuple(shape), first.dtype))

    # dense layers

    def dense_forward(self, x, W, b, activation):
        a = self._product(x, W)
        a += b
        return self.activate(a, activation)

    def activate(self, a, activation):
        """f(a), in place."""
        if activation == "identity":
            pass
        elif activation == "relu":
            np.maximum(a, self._constant(0.0, a.shape[1], a.dtype), out=a)
        elif activation == "tanh":
            np.tanh(a, out=a)
        elif activation == "softplus":
            self._softplus(a)
        else:
            raise codes.unknown("activation", activation, ACTIVATIONS, self.name)
        return a

    def _softplus(self, a):
        """a = max(a, 0) + log1p(exp(-|a|)), in place."""
        t = np.abs(a, out=self._buffers.like(a))
        np.negative(t, out=t)
        np.exp(t, out=t)
        np.log1p(t, out=t)
        np.maximum(a, self._constant(0.0, a.shape[1], a.dtype), out=a)
        a += t

    def dense_backward(self, dy, x, y, W, activation, need_dx, out=None):
        da = dy if activation == "identity" else self.activation_gradient(dy, y, activation)
        dW, db = (None, None) if out is None else out
        dx = self._product(da, W.T) if need_dx else None
        dW = self._product(x.T, da, np.empty_like(W) if dW is None else dW)
        with _steady(da.size):
            return dx, dW, np.matmul(self._constant(1.0, da.shape[0], da.dtype), da, out=db)

    def _product(self, a, b, out=None):
        """a b, in pieces that are the same on any number of threads."""
        if out is None:
            out = self._buffers.empty((a.shape[0], b.shape[1]), a.dtype)
        pieces.multiply(a, b, out, self.threads)
        return out

    def outer_forward(self, x, offsets, activation):
        y = self._buffers.empty((len(offsets) * len(x), x.shape[1]), x.dtype)
        np.add(x, offsets[:, None, :], out=y.reshape(len(offsets), *x.shape))
        return self.activate(y, activation)

    def activation_gradient(self, dy, y, activation):
        da = self._buffers.like(dy)
        np.copyto(da, dy)
        return self.activation_backward(da, y, activation)

    def activation_backward(self, da, y, activation):
        """dy f'(a) in the place of dy."""
        if activation == "identity":
            return da
        if activation == "relu":
            da *= np.greater(y, 0, out=self._buffers.empty(y.shape, BOOLEAN))
            return da
        slope = self._buffers.like(y)
        if activation == "tanh":
            np.multiply(y, y, out=slope)
            np.subtract(1.0, slope, out=slope)
        elif activation == "softplus":
            np.negative(y, out=slope)
            np.expm1(slope, out=slope)
            np.negative(slope, out=slope)
        else:
            raise codes.unknown("activation", activation, ACTIVATIONS, self.name)
        da *= slope
        return da

    # likelihoods

    def bernoulli_nll(self, logits, x, gradient):
        """The reference's values from one exp and few logarithms.

            s        = 1 / (1 + exp(-l))                 residual = s - x
            log(1 + exp(-|l|)) = -log max(s, 1 - s)      summed as the logarithm of a product

        Each factor is rounded to the dtype, so nll carries an absolute error of up to I eps nats, which shows
        only in rows whose whole loss is that small. exp(-l) may overflow to inf: s is then 0, where
        the reference has a denormal number.
        """
        with np.errstate(over="ignore", under="ignore"):
            return self._bernoulli_nll(logits, x, gradient)

    def _bernoulli_nll(self, logits, x, gradient):
        """``bernoulli_nll`` where overflow gives no warning."""
        new = self._buffers.like
        s = np.negative(logits, out=new(logits))
        np.exp(s, out=s)
        s += 1.0
        np.divide(1.0, s, out=s)
        factors = np.subtract(1.0, s, out=new(logits))
        np.maximum(s, factors, out=factors)
        logarithms = self._sum_row_logarithms(factors)
        # max(l, 0) - x l = l ([l > 0] - x) is never negative for x in [0, 1]: nothing cancels in its sum.
        positive = np.greater(logits, 0, out=self._buffers.empty(logits.shape, BOOLEAN))
        nll = row_dots(logits, np.subtract(positive, x, out=factors))
        nll -= logarithms
        if not gradient:
            return nll, None
        s -= x
        return nll, s

    def squared_error(self, mean, x):
        difference = np.subtract(mean, x, out=self._buffers.like(mean))
        return row_dots(difference, difference), difference

    def scale_rows(self, x, factor):
        if not isinstance(factor, float):
            factor = factor[:, None]
        return np.multiply(x, factor, out=self._buffers.like(x))

    # optimisers

    def _pieces(self, *arrays):
        """Matching pieces of flat arrays, nearly of one size, followed by a scratch array of the piece's size."""
        size = arrays[0].size
        count = -(-size // PIECE)
        length = -(-size // count)
        scratch = self._buffers.empty((length,), arrays[0].dtype)
        if count == 1:
            yield *arrays, scratch
            return
        for start in range(0, size, length):
            stop = min(start + length, size)
            yield *[array[start:stop] for array in arrays], scratch[: stop - start]

    def rmsprop_step(self, theta, gradient, accumulator, learning_rate, rho, epsilon, epsilon_inside):
        # As arrays once: NumPy would convert a Python number again in every call.
        learning_rate, decay, share, epsilon = (
            np.asarray(number, theta.dtype) for number in (learning_rate, rho, 1.0 - rho, epsilon)
        )
        for w, g, v, t in self._pieces(theta, gradient, accumulator):
            np.multiply(g, g, out=t)
            if epsilon_inside:
                t += epsilon
            t *= share
            v *= decay
            v += t
            np.sqrt(v, out=t)
            if not epsilon_inside:
                t += epsilon
            np.divide(g, t, out=t)
            t *= learning_rate
            w -= t

    def adam_step(self, theta, gradient, m, v, learning_rate, beta1, beta2, epsilon, step):
        root_scale = 1.0 / math.sqrt(1.0 - beta2**step)
        rate = learning_rate / (1.0 - beta1**step)
        for w, g, m_, v_, t in self._pieces(theta, gradient, m, v):
            np.multiply(g, 1.0 - beta1, out=t)
            m_ *= beta1
            m_ += t
            np.multiply(g, g, out=t)
            t *= 1.0 - beta2
            v_ *= beta2
            v_ += t
            np.sqrt(v_, out=t)
            t *= root_scale
            t += epsilon
            np.divide(m_, t, out=t)
            t *= rate
            w -= t

    def sgd_step(self, theta, gradient, velocity, learning_rate, momentum):
        if velocity is None:
            for w, g, t in self._pieces(theta, gradient):
                np.multiply(g, learning_rate, out=t)
                w -= t
            return
        for w, g, v, t in self._pieces(theta, gradient, velocity):
            v *= momentum
            v += g
            np.multiply(v, learning_rate, out=t)
            w -= t
