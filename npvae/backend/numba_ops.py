"""The Numba backend: NumPy's matrix products, one compiled pass for everything around them, and whole training steps.

One operation at a time, products go through NumPy's BLAS and the rest of an operation is a single compiled loop. For
training there is more: ``training_program`` runs many steps in one compiled call, with products of its own (see
numba_training.py and npvae/kernels/).

Arrays that are not contiguous, or not all of one floating dtype, take the NumPy backend's way.
"""

from __future__ import annotations

import ctypes
import importlib.util
import math
import sys
from pathlib import Path

import numpy as np

from npvae import optim
from npvae.backend import threads as thread_count
from npvae.backend.numpy_ops import NumpyOps
from npvae.data.places import cache_folder
from npvae.kernels import library
from npvae.kernels.plan import BACKWARD, FORWARD, RATE, Constant, Operation

DTYPES = {"float32", "float64"}


def program_folder() -> Path:
    """Where compiled programs are kept."""
    return cache_folder() / "kernels"


def _announce(text: str) -> None:
    print(f"npvae: {text}", file=sys.stderr, flush=True)


def plan_of(*fields: int):
    """A plan in memory: an array of 64-bit integers."""
    return (ctypes.c_int64 * len(fields))(*fields)


def constants_of(rate: float = 0.0, root_scale: float = 0.0, **values: float) -> np.ndarray:
    """The constants of a plan by name, float64; a rate behind them."""
    constants = np.zeros(RATE + 2)
    for name, value in values.items():
        constants[Constant[name.upper()]] = value
    constants[RATE:] = rate, root_scale
    return constants


class NumbaOps(NumpyOps):
    """Compiled loops on the CPU. Values agree with the reference to rounding.

    threads: of the training program, and of BLAS where threadpoolctl is installed; None asks the environment and
    the machine.
    """

    name = "numba"

    def __init__(self, threads: int | None = None) -> None:
        super().__init__()
        self._asked_threads = threads
        self.threads = thread_count.number_of_threads(threads)
        if threads is not None:
            thread_count.limit_blas(threads)  # where threadpoolctl is not installed, BLAS keeps its own number

    @classmethod
    def reason_against(cls) -> str | None:
        for package in ("numba", "llvmlite"):
            if importlib.util.find_spec(package) is None:
                return f'{package} is not installed: python -m pip install "npvae[numba]"'
        if library.is_kept("float32", program_folder()):
            return None  # its machine code needs no Numba to run
        try:
            import numba  # noqa: F401
        except Exception as error:  # Numba refuses a NumPy newer than it knows with an ImportError, or fails otherwise
            return f"import numba failed: {error}"
        return None

    def program(self, dtype: str) -> library.Program:
        """The compiled program for a dtype: from this process, from the cache, or compiled now."""
        return library.load(dtype, program_folder(), _announce)

    def _run(self, dtype, *fields: int) -> None:
        plan = plan_of(*fields)
        self.program(dtype.name).run(ctypes.addressof(plan))

    def training_program(self, model, settings, x):
        from npvae.backend.numba_training import NumbaTraining

        return NumbaTraining.of(self, model, settings, x)

    # dense layers

    def dense_forward(self, x, W, b, activation):
        if not _plain(b) or x.dtype.name != b.dtype.name or x.ndim != 2:
            return super().dense_forward(x, W, b, activation)
        a = np.matmul(x, W, out=self._buffers.empty((x.shape[0], W.shape[1]), x.dtype))
        self._run(a.dtype, Operation.ACTIVATION, FORWARD[activation], a.ctypes.data, *a.shape, b.ctypes.data)
        return a

    def _activation_backward(self, dy, y, activation):
        if not _plain(dy, y):
            return super()._activation_backward(dy, y, activation)
        da = self._buffers.like(dy)
        np.copyto(da, dy)
        self._run(
            da.dtype, Operation.ACTIVATION, BACKWARD[activation], da.ctypes.data, *da.shape, y.ctypes.data
        )
        return da

    # latent space

    def sample_forward(self, mu, logvar, eps):
        if not _plain(mu, logvar, eps):
            return super().sample_forward(mu, logvar, eps)
        return self._elementwise(Operation.SAMPLE, 1, mu, logvar, eps)[0]

    def sample_backward(self, dz, logvar, eps):
        if not _plain(dz, logvar, eps):
            return super().sample_backward(dz, logvar, eps)
        return dz, self._elementwise(Operation.SAMPLE_BACKWARD, 1, dz, logvar, eps)[0]

    def kl_forward(self, mu, logvar):
        if not _plain(mu, logvar):
            return super().kl_forward(mu, logvar)
        return self._elementwise(Operation.KL, 1, mu, logvar)[0]

    def kl_backward(self, dkl, mu, logvar):
        if isinstance(dkl, float) and _plain(mu, logvar):
            out = np.empty_like(mu), np.empty_like(mu)
            number = np.array([dkl])
            self._run(
                mu.dtype, Operation.KL_BACKWARD_SCALED, mu.size, mu.ctypes.data, logvar.ctypes.data, out[0].ctypes.data,
                out[1].ctypes.data, number.ctypes.data,
            )
            return out
        if isinstance(dkl, float) or not _plain(dkl, mu, logvar):
            return super().kl_backward(dkl, mu, logvar)
        return self._elementwise(Operation.KL_BACKWARD, 2, dkl, mu, logvar)

    def _elementwise(self, operation, outputs: int, *inputs):
        out = tuple(self._buffers.like(inputs[0]) for _ in range(outputs))
        self._run(inputs[0].dtype, operation, inputs[0].size, *(array.ctypes.data for array in (*inputs, *out)))
        return out

    # likelihoods

    def bernoulli_nll(self, logits, x, gradient):
        if not _plain(logits, x):
            return super().bernoulli_nll(logits, x, gradient)
        nll = np.empty(logits.shape[0], logits.dtype)
        residual = self._buffers.like(logits) if gradient else None
        operation = Operation.BERNOULLI if gradient else Operation.BERNOULLI_VALUE
        self._likelihood(operation, logits, x, None, nll, residual, None)
        return nll, residual

    def squared_error(self, mean, x):
        if not _plain(mean, x):
            return super().squared_error(mean, x)
        sse, difference = np.empty(mean.shape[0], mean.dtype), self._buffers.like(mean)
        self._likelihood(Operation.SQUARED_ERROR, mean, x, None, sse, difference, None)
        return sse, difference

    def gaussian_nll(self, mean, logvar, x, gradient):
        if not _plain(mean, x) or logvar.dtype != mean.dtype:
            return super().gaussian_nll(mean, logvar, x, gradient)
        logvar = np.ascontiguousarray(np.broadcast_to(logvar, mean.shape))
        nll = np.empty(mean.shape[0], mean.dtype)
        d_mean, d_logvar = self._buffers.like(mean), self._buffers.like(mean)
        self._likelihood(Operation.GAUSSIAN, mean, x, logvar, nll, d_mean, d_logvar)
        nll += np.asarray(mean.shape[1] * math.log(2.0 * math.pi), nll.dtype)
        nll *= np.asarray(0.5, nll.dtype)
        return (nll, d_mean, d_logvar) if gradient else (nll, None, None)

    def _likelihood(self, operation, output, x, second, nll, derivative, derivative_2):
        def address(array):
            return 0 if array is None else array.ctypes.data

        self._run(
            x.dtype, operation, *x.shape, address(output), address(x), address(second), address(nll), address(derivative),
            address(derivative_2),
        )

    def scale_rows(self, x, factor):
        if isinstance(factor, float):
            factor = np.full(1, factor, x.dtype)
        if not _plain(x) or not _plain(factor) or factor.dtype != x.dtype:
            return super().scale_rows(x, factor)
        out = self._buffers.like(x)
        stride = 1 if factor.shape == x.shape[:1] and len(factor) > 1 else 0
        self._run(
            x.dtype, Operation.SCALE_ROWS, *x.shape, x.ctypes.data, factor.ctypes.data, stride, out.ctypes.data
        )
        return out

    # optimisers

    def rmsprop_step(self, theta, gradient, accumulator, learning_rate, rho, epsilon, epsilon_inside):
        if not _plain(theta, gradient, accumulator):
            return super().rmsprop_step(theta, gradient, accumulator, learning_rate, rho, epsilon, epsilon_inside)
        operation = Operation.RMSPROP if epsilon_inside else Operation.RMSPROP_OUTSIDE
        constants = constants_of(learning_rate, rho=rho, epsilon=epsilon)
        return self._update(operation, theta, gradient, accumulator, None, constants)

    def adam_step(self, theta, gradient, m, v, learning_rate, beta1, beta2, epsilon, step):
        if not _plain(theta, gradient, m, v):
            return super().adam_step(theta, gradient, m, v, learning_rate, beta1, beta2, epsilon, step)
        constants = constants_of(
            learning_rate / (1.0 - beta1**step), 1.0 / math.sqrt(1.0 - beta2**step), beta_1=beta1, beta_2=beta2,
            epsilon=epsilon,
        )
        return self._update(Operation.ADAM, theta, gradient, m, v, constants)

    def sgd_step(self, theta, gradient, velocity, learning_rate, momentum):
        if not _plain(theta, gradient) or not (velocity is None or _plain(velocity)):
            return super().sgd_step(theta, gradient, velocity, learning_rate, momentum)
        operation = Operation.SGD if velocity is None else Operation.MOMENTUM
        return self._update(operation, theta, gradient, velocity, None, constants_of(learning_rate, momentum=momentum))

    def _update(self, operation, theta, gradient, state, state_2, constants):
        states = (0 if array is None else array.ctypes.data for array in (state, state_2))
        self._run(
            theta.dtype, operation, theta.size, theta.ctypes.data, gradient.ctypes.data, *states, constants.ctypes.data
        )

    def flush_tiny(self, array):
        if not _plain(array):
            return super().flush_tiny(array)
        constants = constants_of(tiny=optim.TINY)
        return self._run(
            array.dtype, Operation.FLUSH, array.size, array.ctypes.data, 0, 0, 0, constants.ctypes.data
        )


def _plain(*arrays) -> bool:
    """Whether all are contiguous, of one shape and one dtype that is compiled for."""
    first = arrays[0]
    return first.dtype.name in DTYPES and all(
        array.flags.c_contiguous and array.dtype == first.dtype and array.shape == first.shape for array in arrays
    )
