"""The CuPy backend: cuBLAS for matrix products, our own kernels for everything around them.

One operation at a time, a product is cuBLAS's (in float32 with all its bits: CuPy uses the shorter TF32 only where the
environment variable CUPY_TF32 asks for it) and the rest of the operation one kernel of npvae/kernels/*.cu. Training
takes whole steps, with products of its own: see npvae/fused/.

Arrays that are not contiguous are copied first; others than float32 and float64 take the specification's way.
"""

from __future__ import annotations

import contextlib
import math

from npvae.backend import codes, gpu
from npvae.backend.base import Ops
from npvae.errors import DeviceMemoryError, InputError
from npvae.kernels.gpu.launch import Kernels, blocks_for
from npvae.kernels.gpu.records import ACTIVATIONS, SUM_COLUMNS, THREADS
from npvae.kernels.gpu.sources import KERNELS, fingerprint
from npvae.mathematics import optimizers
from npvae.support import check

DTYPES = ("float32", "float64")

#: How the launches of fused training steps reach the GPU: as graphs of many steps, as one launch of blocks that stay,
#: or one by one.
LAUNCHES = ("graph", "cooperative", "single")


class CupyOps(Ops):
    """A GPU by CuPy. Values agree with the reference to rounding; denormal float32 numbers are taken for zero.

    device: the number of the GPU, which becomes the current one of this thread; None takes the one that is.
    launch: one of ``LAUNCHES``.
    """

    name = "cupy"
    reads_wait = True

    def __init__(self, device: int | None = None, launch: str = "graph") -> None:
        cupy = gpu.import_cupy()
        self.launch_mode = check.one_of("launch", launch, LAUNCHES)
        self._asked_device = device
        if device is not None:
            count = cupy.cuda.runtime.getDeviceCount()
            if check.whole_number("device", device, 0) >= count:
                raise InputError(f"device must be below {count}, the number of GPUs here, got {device}")
            cupy.cuda.Device(device).use()
        super().__init__(cupy)
        self.device = cupy.cuda.runtime.getDevice()
        self.kernels = Kernels(cupy)

    def __reduce__(self):
        return type(self), (self._asked_device, self.launch_mode)

    @classmethod
    def reason_against(cls) -> str | None:
        """Why this backend cannot run here, in words; None if it can."""
        return gpu.reason_against()

    def description(self) -> str:
        return gpu.description(self.device)

    def bits_depend_on(self) -> dict[str, str]:
        return {**gpu.identity(self.xp, self.device), "program": fingerprint()}

    def release_memory(self) -> None:
        """Give memory that is free in CuPy's pool back to the GPU."""
        self.xp.get_default_memory_pool().free_all_blocks()

    def available_bytes(self) -> int:
        return gpu.available_bytes(self.xp)

    @contextlib.contextmanager
    def memory_guard(self, rows: int, argument: str = "batch_size"):
        """A context in which running out of the GPU's memory is explained, for work on ``rows`` rows at a time.

        DeviceMemoryError: it ran out; the message has the bytes and a batch size to try.
        """
        free = gpu.available_bytes(self.xp)
        try:
            yield
        except self.xp.cuda.memory.OutOfMemoryError as error:
            needed = max(1, free - gpu.available_bytes(self.xp)) + gpu.bytes_asked(error)
            smaller = min(rows // 2, rows * free // needed)
            advice = (
                f"try {argument}={2 ** int(math.log2(smaller))}"
                if smaller >= 1
                else "the model itself does not fit: use a smaller one, or the CPU (backend='numba' or 'numpy')"
            )
            raise DeviceMemoryError(
                f"the GPU has no memory left for {rows} rows at a time: {needed:,} bytes or more are needed, {free:,} "
                f"were free; {advice}"
            ) from error

    # in and out

    def asarray(self, array, dtype=None):
        with self._array_guard():
            return self.xp.asarray(array, dtype=dtype)

    def copy(self, array, dtype=None):
        with self._array_guard():
            return self.xp.array(array, dtype=dtype, copy=True, order="C")

    @contextlib.contextmanager
    def _array_guard(self):
        """A context in which an array that does not fit is explained."""
        try:
            yield
        except self.xp.cuda.memory.OutOfMemoryError as error:
            raise DeviceMemoryError(
                f"an array of {gpu.bytes_asked(error):,} bytes does not fit on the GPU, which has "
                f"{gpu.available_bytes(self.xp):,} free: use fewer rows or a smaller model, or the CPU "
                "(backend='numba' or 'numpy')"
            ) from error

    def to_numpy(self, array):
        return self.xp.asnumpy(array)

    def dtype_name(self, array) -> str:
        self.kernels.check_on_device("the array", array)
        return array.dtype.name

    def sorting_order(self, words):
        return self.xp.argsort(self.asarray(words), kind="stable")

    def take_rows(self, x, indices):
        if x.dtype.name not in DTYPES or x.ndim != 2:
            return super().take_rows(x, indices)
        x, indices = self._contiguous(x), self.xp.ascontiguousarray(indices, dtype="int64")
        rows, columns = len(indices), x.shape[1]
        out = self.xp.empty((rows, columns), x.dtype)
        self._launch("take_rows", x, (x, indices, out), (x.shape[0], columns, rows), blocks=blocks_for(rows * columns))
        return out

    def _launch(self, name, like, arrays, integers=(), numbers=(), *, blocks, threads_share: int = 0) -> None:
        """A kernel for the dtype of ``like``; ``threads_share`` numbers of it are shared memory for every thread."""
        shared = threads_share * THREADS * like.dtype.itemsize
        self.kernels.launch(name, like.dtype.name, arrays, integers, numbers, blocks=blocks, shared=shared)

    def _contiguous(self, array):
        return array if array.flags.c_contiguous else self.xp.ascontiguousarray(array)

    def _ready(self, name: str, *arrays):
        """A kernel's inputs, contiguous, if they are of one shape and one dtype that is compiled for; else None."""
        for spec, array in zip(KERNELS[name].arrays, arrays, strict=False):
            self.kernels.check_on_device(f"{name}: {spec.name}", array)
        first = arrays[0]
        if first.dtype.name not in DTYPES or any(a.shape != first.shape or a.dtype != first.dtype for a in arrays):
            return None
        return [self._contiguous(array) for array in arrays]

    def _check_on_device(self, operation: str, **arrays) -> None:
        for name, array in arrays.items():
            self.kernels.check_on_device(f"{operation}: {name}", array)

    def _elementwise(self, name, inputs, outputs: int, numbers=()):
        """A kernel that makes arrays like its inputs."""
        out = tuple(self.xp.empty_like(inputs[0]) for _ in range(outputs))
        n = inputs[0].size
        self._launch(name, inputs[0], (*inputs, *out), (n,), numbers, blocks=blocks_for(n))
        return out

    # dense layers

    def dense_forward(self, x, W, b, activation):
        self._check_on_device("dense_forward", x=x, W=W, b=b)
        if b.dtype.name not in DTYPES:
            return super().dense_forward(x, W, b, activation)
        a = self._contiguous(x @ W)
        self._launch(
            "add_bias_and_activate",
            a,
            (a, self._contiguous(b)),
            (a.size, a.shape[1], self._code(activation)),
            blocks=blocks_for(a.size),
        )
        return a

    def dense_backward(self, dy, x, y, W, activation, need_dx, out=None):
        self._check_on_device("dense_backward", x=x, W=W)
        ready = self._ready("activation_backward", dy, y)
        if ready is None:
            return super().dense_backward(dy, x, y, W, activation, need_dx, out)
        dy, y = ready
        da = dy if activation == "identity" else self.activation_gradient(dy, y, activation)
        xp, (rows, columns) = self.xp, da.shape
        dW, db = (xp.empty_like(W, order="C"), xp.empty(columns, da.dtype)) if out is None else out
        xp.matmul(x.T, da, out=dW)
        sums = db if db.flags.c_contiguous else xp.empty(columns, da.dtype)
        self._launch("column_sums", da, (da, sums), (rows, columns), blocks=-(-columns // SUM_COLUMNS), threads_share=1)
        if sums is not db:
            db[...] = sums
        return da @ W.T if need_dx else None, dW, db

    def _code(self, activation: str) -> int:
        return codes.code_of("activation", activation, ACTIVATIONS, self.name)

    def activation_gradient(self, dy, y, activation):
        ready = self._ready("activation_backward", dy, y)
        if ready is None:
            return super().activation_gradient(dy, y, activation)
        dy, y = ready
        da = self.xp.empty_like(dy)
        self._launch(
            "activation_backward", da, (dy, y, da), (da.size, self._code(activation)), blocks=blocks_for(da.size)
        )
        return da

    # latent space

    def sample_forward(self, mu, logvar, eps):
        ready = self._ready("sample_forward", mu, logvar, eps)
        if ready is None:
            return super().sample_forward(mu, logvar, eps)
        return self._elementwise("sample_forward", ready, 1)[0]

    def sample_backward(self, dz, logvar, eps):
        ready = self._ready("sample_backward", dz, logvar, eps)
        if ready is None:
            return super().sample_backward(dz, logvar, eps)
        return dz, self._elementwise("sample_backward", ready, 1)[0]

    def kl_forward(self, mu, logvar):
        ready = self._ready("kl_forward", mu, logvar)
        if ready is None:
            return super().kl_forward(mu, logvar)
        return self._elementwise("kl_forward", ready, 1)[0]

    def kl_backward(self, dkl, mu, logvar):
        number = isinstance(dkl, float)
        name, inputs = ("kl_backward_of_number", (mu, logvar)) if number else ("kl_backward", (dkl, mu, logvar))
        ready = self._ready(name, *inputs)
        if ready is None:
            return super().kl_backward(dkl, mu, logvar)
        return self._elementwise(name, ready, 2, (dkl,) if number else ())

    # likelihoods

    def _by_rows(self, name, inputs, derivatives) -> object:
        """A kernel that sums over the rows of its inputs; derivatives: arrays for them, or None."""
        rows, columns = inputs[0].shape
        sums = self.xp.empty(rows, inputs[0].dtype)
        self._launch(name, inputs[0], (*inputs, sums, *derivatives), (rows, columns), blocks=rows, threads_share=1)
        return sums

    def bernoulli_nll(self, logits, x, gradient):
        ready = self._ready("bernoulli_nll", logits, x)
        if ready is None:
            return super().bernoulli_nll(logits, x, gradient)
        residual = self.xp.empty_like(ready[0]) if gradient else None
        return self._by_rows("bernoulli_nll", ready, (residual,)), residual

    def squared_error(self, mean, x):
        ready = self._ready("squared_error", mean, x)
        if ready is None:
            return super().squared_error(mean, x)
        difference = self.xp.empty_like(ready[0])
        return self._by_rows("squared_error", ready, (difference,)), difference

    def gaussian_nll(self, mean, logvar, x, gradient):
        ready = self._ready("gaussian_nll", mean, self.xp.broadcast_to(logvar, mean.shape), x)
        if ready is None:
            return super().gaussian_nll(mean, logvar, x, gradient)
        derivatives = [self.xp.empty_like(ready[0]) if gradient else None for _ in range(2)]
        return self._by_rows("gaussian_nll", ready, derivatives), *derivatives

    def scale_rows(self, x, factor):
        number = isinstance(factor, float)
        ready = self._ready("scale", x)
        if ready is None or not (number or (factor.dtype == x.dtype and factor.shape == x.shape[:1])):
            return super().scale_rows(x, factor)
        if number:
            return self._elementwise("scale", ready, 1, (factor,))[0]
        out = self.xp.empty_like(ready[0])
        self._launch("scale_rows", out, (*ready, self._contiguous(factor), out), x.shape, blocks=blocks_for(x.size))
        return out

    # optimisers

    def _update(self, name, arrays, numbers) -> None:
        self._launch(name, arrays[0], arrays, (arrays[0].size,), numbers, blocks=blocks_for(arrays[0].size))

    def rmsprop_step(self, theta, gradient, accumulator, learning_rate, rho, epsilon, epsilon_inside):
        if not _in_place(theta, gradient, accumulator):
            return super().rmsprop_step(theta, gradient, accumulator, learning_rate, rho, epsilon, epsilon_inside)
        name = "rmsprop_inside_step" if epsilon_inside else "rmsprop_outside_step"
        return self._update(name, (theta, gradient, accumulator), (learning_rate, rho, 1.0 - rho, epsilon))

    def adam_step(self, theta, gradient, m, v, learning_rate, beta1, beta2, epsilon, step):
        if not _in_place(theta, gradient, m, v):
            return super().adam_step(theta, gradient, m, v, learning_rate, beta1, beta2, epsilon, step)
        rate, root_scale = learning_rate / (1.0 - beta1**step), 1.0 / math.sqrt(1.0 - beta2**step)
        numbers = (rate, beta1, 1.0 - beta1, beta2, 1.0 - beta2, epsilon, root_scale)
        return self._update("adam_step", (theta, gradient, m, v), numbers)

    def sgd_step(self, theta, gradient, velocity, learning_rate, momentum):
        if not _in_place(theta, gradient) or not (velocity is None or _in_place(theta, velocity)):
            return super().sgd_step(theta, gradient, velocity, learning_rate, momentum)
        if velocity is None:
            return self._update("sgd_step", (theta, gradient), (learning_rate,))
        return self._update("momentum_step", (theta, gradient, velocity), (learning_rate, momentum))

    def flush_tiny(self, array):
        if not _in_place(array):
            return super().flush_tiny(array)
        return self._update("flush_tiny", (array,), (optimizers.TINY,))


def _in_place(*arrays) -> bool:
    """Whether a kernel can change these flat arrays where they are."""
    first = arrays[0]
    return first.dtype.name in DTYPES and all(
        array.flags.c_contiguous and array.dtype == first.dtype and array.shape == first.shape for array in arrays
    )
