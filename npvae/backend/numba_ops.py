"""The Numba backend: compiled matrix products, and one compiled pass for everything around them.

One operation at a time, a dense layer's products are the program's own (or NumPy's BLAS's, if asked for), and the rest
of an operation is a single compiled loop. Training takes whole steps in one compiled call: see npvae/fused/.

Arrays that are not contiguous are copied first; others than float32 and float64 take the NumPy backend's way.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import math
from pathlib import Path

import numpy as np

from npvae.backend import bits, codes, products
from npvae.backend import threads as thread_count
from npvae.backend.numpy_ops import NumpyOps
from npvae.data.places import REMEDY, cache_folder
from npvae.kernels.cpu import library, sizes
from npvae.kernels.cpu.plan import BACKWARD, FORWARD, RATE, Constant, Epilogue, Operation
from npvae.mathematics import optimizers
from npvae.support import check
from npvae.support.announce import announce

DTYPES = ("float32", "float64")

#: Whose matrix products are used.
PRODUCTS = ("own", "blas", "autotune")


@functools.lru_cache(maxsize=64)
def name_of(dtype: np.dtype) -> str:
    """A dtype's name; NumPy makes it anew each time, which takes longer than a small operation."""
    return dtype.name


def program_folder() -> Path | None:
    """Where compiled programs are kept; None for a user without a home, who keeps none."""
    folder = cache_folder()
    return None if folder is None else folder / "kernels"


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

    threads: of the compiled program, at most, and of NumPy's BLAS where that can be set; None asks the environment
    and the machine.

    products: whose matrix products it runs on. "own": the compiled program's, so that a run has the same bits every
    time. "blas": NumPy's BLAS, operation by operation in training too. "autotune": BLAS's, but fused training where a
    trial on the run's own model, batch and machine finds that faster, which may differ between runs; a checkpoint
    remembers which it was.
    """

    name = "numba"

    def __init__(self, threads: int | None = None, products: str = "own") -> None:
        super().__init__()
        self.products = check.one_of("products of the backend 'numba':", products, PRODUCTS)
        self._asked_threads = threads
        self.threads = thread_count.number_of_threads(threads)
        self._may_compile = True
        self._looked_for: set[str] = set()  # dtypes whose program was looked for and not found
        number = thread_count.asked_of_blas(threads)
        if number is not None:
            thread_count.limit_blas(number)  # where that cannot be set, BLAS keeps its own number

    def __reduce__(self):
        # Whoever reads it uses a model of another process, or trains one, which compiles.
        return type(self), (self._asked_threads, self.products), {"_may_compile": False}

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

    def description(self) -> str:
        number, reason = thread_count.explain(self._asked_threads)
        kept = [dtype for dtype in DTYPES if library.is_kept(dtype, program_folder())]
        code = f"compiled for {', '.join(kept)}" if kept else "not compiled yet (npvae warmup)"
        return f"{code}; {'up to ' if number > 1 else ''}{number} thread{'s' if number > 1 else ''} ({reason})"

    def bits_depend_on(self) -> dict[str, str]:
        """Its own products have the same bits on any number of threads, and the smallest, left to BLAS, run on one."""
        own = {"products": self.products, "program": library.fingerprint()}
        return {**own, **bits.of_numpy(blas_threads=self.products != "own")}

    def program(self, dtype: str) -> library.Program:
        """The compiled program for a dtype: from this process, from the cache, or compiled now."""
        return library.loaded(dtype) or library.load(dtype, program_folder(), announce, REMEDY)

    def never_compile(self) -> None:
        self._may_compile = False

    def compile_when_needed(self) -> None:
        self._may_compile = True

    def is_compiled(self, dtype: str) -> bool:
        """Whether there is a program for a dtype: found, or compiled now if that may be done."""
        if dtype not in DTYPES:
            return False
        if library.loaded(dtype) is None:
            if self._may_compile:
                self.program(dtype)
            elif dtype not in self._looked_for and library.kept(dtype, program_folder()) is None:
                self._looked_for.add(dtype)
        return library.loaded(dtype) is not None

    def _run(self, dtype, *fields: int) -> None:
        plan = plan_of(*fields)
        self.program(name_of(dtype)).run(ctypes.addressof(plan))

    def asarray(self, array, dtype=None):
        array = np.asarray(array, dtype=dtype)
        return array if array.flags.c_contiguous else np.ascontiguousarray(array)

    # dense layers

    def dense_forward(self, x, W, b, activation):
        ready = self._ready(b)
        if ready is None or b.shape != W.shape[1:] or not b.dtype == W.dtype == x.dtype:
            return super().dense_forward(x, W, b, activation)
        a = self._buffers.empty((x.shape[0], W.shape[1]), x.dtype)
        if self._multiply(sizes.PLAIN, x, W, a, self._code(FORWARD, activation), ready[0]):
            return a
        np.matmul(x, W, out=a)
        self._run(
            a.dtype,
            Operation.ACTIVATION,
            self._code(FORWARD, activation),
            a.ctypes.data,
            *a.shape,
            ready[0].ctypes.data,
        )
        return a

    def dense_backward(self, dy, x, y, W, activation, need_dx, out=None):
        if self.products != "own" or not self.is_compiled(name_of(x.dtype)):
            return super().dense_backward(dy, x, y, W, activation, need_dx, out)
        da = dy if activation == "identity" else self.activation_gradient(dy, y, activation)
        dx = self._buffers.empty(x.shape, x.dtype) if need_dx else None
        dW, db = (np.empty_like(W), np.empty(W.shape[1], W.dtype)) if out is None else out
        if need_dx and not self._multiply(sizes.B_TRANSPOSED, da, W, dx):
            np.matmul(da, W.T, out=dx)
        if not self._multiply(sizes.A_TRANSPOSED, x, da, dW):
            np.matmul(x.T, da, out=dW)
        return dx, dW, np.add.reduce(da, axis=0, out=db)

    def _code(self, known, activation: str) -> int:
        return codes.code_of("activation", activation, known, self.name)

    def _multiply(self, form, a, b, out, epilogue=Epilogue.NONE, bias=None) -> bool:
        """Whether the program's own product, if those are wanted, has made ``out``."""
        if self.products != "own" or out.dtype not in products.DTYPES or not self.is_compiled(name_of(out.dtype)):
            return False
        program = self.program(name_of(out.dtype))
        return products.multiply(program, self._buffers, self.threads, form, a, b, out, epilogue, bias)

    def outer_forward(self, x, offsets, activation):
        ready = self._ready(x)
        if ready is None or offsets.dtype != x.dtype or offsets.shape[1:] != x.shape[1:]:
            return super().outer_forward(x, offsets, activation)
        (offsets,) = self._ready(offsets)
        code = self._code(FORWARD, activation)
        y = self._buffers.empty((len(offsets) * len(x), x.shape[1]), x.dtype)
        for part, offset in zip(y.reshape(len(offsets), *x.shape), offsets, strict=True):
            np.copyto(part, ready[0])  # a part is still in the cache when the activation comes
            self._run(x.dtype, Operation.ACTIVATION, code, part.ctypes.data, *x.shape, offset.ctypes.data)
        return y

    def activation_gradient(self, dy, y, activation):
        ready = self._ready(y, dy)
        if ready is None:
            return super().activation_gradient(dy, y, activation)
        da = self._buffers.like(ready[0])
        np.copyto(da, dy)
        self._run(
            da.dtype,
            Operation.ACTIVATION,
            self._code(BACKWARD, activation),
            da.ctypes.data,
            *da.shape,
            ready[0].ctypes.data,
        )
        return da

    # latent space

    def sample_forward(self, mu, logvar, eps):
        ready = self._ready(mu, logvar, eps)
        if ready is None:
            return super().sample_forward(mu, logvar, eps)
        return self._elementwise(Operation.SAMPLE, 1, *ready)[0]

    def sample_backward(self, dz, logvar, eps):
        ready = self._ready(dz, logvar, eps)
        if ready is None:
            return super().sample_backward(dz, logvar, eps)
        return dz, self._elementwise(Operation.SAMPLE_BACKWARD, 1, *ready)[0]

    def kl_forward(self, mu, logvar):
        ready = self._ready(mu, logvar)
        if ready is None:
            return super().kl_forward(mu, logvar)
        return self._elementwise(Operation.KL, 1, *ready)[0]

    def kl_backward(self, dkl, mu, logvar):
        number = isinstance(dkl, float)
        ready = self._ready(mu, logvar) if number else self._ready(dkl, mu, logvar)
        if ready is None:
            return super().kl_backward(dkl, mu, logvar)
        if not number:
            return self._elementwise(Operation.KL_BACKWARD, 2, *ready)
        mu, logvar = ready
        out = np.empty_like(mu), np.empty_like(mu)
        constant = np.array([dkl])
        self._run(
            mu.dtype,
            Operation.KL_BACKWARD_SCALED,
            mu.size,
            mu.ctypes.data,
            logvar.ctypes.data,
            out[0].ctypes.data,
            out[1].ctypes.data,
            constant.ctypes.data,
        )
        return out

    def _elementwise(self, operation, outputs: int, *inputs):
        out = tuple(self._buffers.like(inputs[0]) for _ in range(outputs))
        self._run(inputs[0].dtype, operation, inputs[0].size, *(array.ctypes.data for array in (*inputs, *out)))
        return out

    # likelihoods

    def bernoulli_nll(self, logits, x, gradient):
        ready = self._ready(logits, x)
        if ready is None:
            return super().bernoulli_nll(logits, x, gradient)
        residual = self._buffers.like(ready[0]) if gradient else None
        operation = Operation.BERNOULLI if gradient else Operation.BERNOULLI_VALUE
        return self._likelihood(operation, *ready, None, residual, None), residual

    def squared_error(self, mean, x):
        ready = self._ready(mean, x)
        if ready is None:
            return super().squared_error(mean, x)
        difference = self._buffers.like(ready[0])
        return self._likelihood(Operation.SQUARED_ERROR, *ready, None, difference, None), difference

    def gaussian_nll(self, mean, logvar, x, gradient):
        ready = self._ready(mean, x, np.broadcast_to(logvar, mean.shape))
        if ready is None:
            return super().gaussian_nll(mean, logvar, x, gradient)
        mean, x, logvar = ready
        d_mean, d_logvar = self._buffers.like(mean), self._buffers.like(mean)
        nll = self._likelihood(Operation.GAUSSIAN, mean, x, logvar, d_mean, d_logvar)
        nll += np.asarray(mean.shape[1] * math.log(2.0 * math.pi), nll.dtype)
        nll *= np.asarray(0.5, nll.dtype)
        return (nll, d_mean, d_logvar) if gradient else (nll, None, None)

    def _likelihood(self, operation, output, x, second, derivative, derivative_2):
        """The sums over rows; derivatives go to the arrays given for them."""
        sums = np.empty(len(x), x.dtype)
        arrays = (output, x, second, sums, derivative, derivative_2)
        addresses = (0 if array is None else array.ctypes.data for array in arrays)
        self._run(x.dtype, operation, *x.shape, *addresses)
        return sums

    def scale_rows(self, x, factor):
        one = isinstance(factor, float)
        ready, factors = self._ready(x), np.full(1, factor, x.dtype) if one else np.ascontiguousarray(factor)
        if ready is None or factors.dtype != x.dtype or not (one or factors.shape == x.shape[:1]):
            return super().scale_rows(x, factor)
        out = self._buffers.like(ready[0])
        self._run(
            x.dtype,
            Operation.SCALE_ROWS,
            *x.shape,
            ready[0].ctypes.data,
            factors.ctypes.data,
            0 if one else 1,
            out.ctypes.data,
        )
        return out

    # optimisers

    def rmsprop_step(self, theta, gradient, accumulator, learning_rate, rho, epsilon, epsilon_inside):
        if not self._in_place(theta, gradient, accumulator):
            return super().rmsprop_step(theta, gradient, accumulator, learning_rate, rho, epsilon, epsilon_inside)
        operation = Operation.RMSPROP_INSIDE if epsilon_inside else Operation.RMSPROP_OUTSIDE
        constants = constants_of(learning_rate, rho=rho, epsilon=epsilon)
        return self._update(operation, theta, gradient, accumulator, None, constants)

    def adam_step(self, theta, gradient, m, v, learning_rate, beta1, beta2, epsilon, step):
        if not self._in_place(theta, gradient, m, v):
            return super().adam_step(theta, gradient, m, v, learning_rate, beta1, beta2, epsilon, step)
        constants = constants_of(
            learning_rate / (1.0 - beta1**step),
            1.0 / math.sqrt(1.0 - beta2**step),
            beta_1=beta1,
            beta_2=beta2,
            epsilon=epsilon,
        )
        return self._update(Operation.ADAM, theta, gradient, m, v, constants)

    def sgd_step(self, theta, gradient, velocity, learning_rate, momentum):
        if not self._in_place(theta, gradient, *([] if velocity is None else [velocity])):
            return super().sgd_step(theta, gradient, velocity, learning_rate, momentum)
        operation = Operation.SGD if velocity is None else Operation.MOMENTUM
        return self._update(operation, theta, gradient, velocity, None, constants_of(learning_rate, momentum=momentum))

    def _update(self, operation, theta, gradient, state, state_2, constants):
        states = (0 if array is None else array.ctypes.data for array in (state, state_2))
        self._run(
            theta.dtype, operation, theta.size, theta.ctypes.data, gradient.ctypes.data, *states, constants.ctypes.data
        )

    def flush_tiny(self, array):
        if not self._in_place(array):
            return super().flush_tiny(array)
        constants = constants_of(tiny=optimizers.TINY)
        return self._run(array.dtype, Operation.FLUSH, array.size, array.ctypes.data, 0, 0, 0, constants.ctypes.data)

    # what compiled code takes

    def _ready(self, *arrays):
        """The arrays, contiguous, if they are of one shape and one dtype that there is a program for; else None."""
        first = arrays[0]
        if any(a.shape != first.shape or a.dtype != first.dtype for a in arrays) or not self.is_compiled(
            name_of(first.dtype)
        ):
            return None
        return [a if a.flags.c_contiguous else np.ascontiguousarray(a) for a in arrays]

    def _in_place(self, *arrays) -> bool:
        """Whether compiled code can change these flat arrays where they are."""
        first = arrays[0]
        return all(
            array.flags.c_contiguous and array.dtype == first.dtype and array.shape == first.shape for array in arrays
        ) and self.is_compiled(name_of(first.dtype))
