"""The CUDA kernels through CuPy: compiled on first use, checked before every launch.

CuPy passes whatever it is given to a raw kernel, and a wrong array there is a wrong result or a dead process. So
every launch by ``Kernels.launch`` first compares its arguments with the table in ``sources.py``.
"""

from __future__ import annotations

import math

import numpy as np

from npvae.kernels.gpu import sources
from npvae.kernels.gpu.records import THREADS
from npvae.kernels.gpu.sources import COOPERATIVE, DTYPES, KERNELS

OPTIONS = ("-std=c++17",)

#: No launch has more blocks: a block then does several parts.
MOST_BLOCKS = 4096


class Kernels:
    """The kernels, for the devices of one CuPy.

    ValueError: they do not compile; the message has the compiler's first complaint.
    """

    def __init__(self, cupy) -> None:
        self._cupy = cupy
        self._modules: dict = {}
        self._functions: dict = {}

    def function(self, name: str, dtype: str):
        """A kernel for a dtype, to be called with ``(blocks,), (threads,), arguments, shared_mem=bytes``; unchecked."""
        try:
            return self._functions[name, dtype]
        except KeyError:
            file = KERNELS[name].file
            module = self._modules.get(file)
            if module is None:
                module = self._modules[file] = self._cupy.RawModule(
                    code=sources.source(file),
                    options=OPTIONS,
                    name_expressions=sources.instantiations(file),
                    enable_cooperative_groups=file in COOPERATIVE,
                )
            function = self._functions[name, dtype] = module.get_function(f"{name}<{DTYPES[dtype]}>")
            return function

    def compile(self, file: str) -> None:
        """Compile a source now, or find it compiled, and load it: for every dtype."""
        for kernel in KERNELS.values():
            if kernel.file == file:
                for dtype in DTYPES:
                    self.function(kernel.name, dtype).compile()

    def launch(self, name: str, dtype: str, arrays, integers=(), numbers=(), *, blocks: int, shared: int = 0) -> None:
        """Run a kernel on so many blocks, at most ``MOST_BLOCKS``; nothing for none.

        arrays, integers, numbers: in the table's order. Numbers are converted to the dtype. shared: bytes.
        TypeError: an argument is no array of the GPU's, or has another dtype. ValueError: it is on another GPU, not
        contiguous, or of another size.
        """
        self._check(KERNELS[name], dtype, arrays, integers, numbers)
        if blocks == 0:
            return
        scalar = np.dtype(dtype).type
        arguments = (*arrays, *map(np.int64, integers), *map(scalar, numbers))
        self.function(name, dtype)((min(blocks, MOST_BLOCKS),), (THREADS,), arguments, shared_mem=shared)

    def _check(self, kernel, dtype: str, arrays, integers, numbers) -> None:
        counts = (len(arrays), len(integers), len(numbers))
        wanted = (len(kernel.arrays), len(kernel.integers), len(kernel.numbers))
        if counts != wanted:
            raise ValueError(f"{kernel.name} takes {wanted} arrays, whole numbers and numbers, got {counts}")
        sizes = dict(zip(kernel.integers, integers, strict=True))
        device = self._cupy.cuda.runtime.getDevice()
        for spec, array in zip(kernel.arrays, arrays, strict=True):
            if array is None and spec.optional:
                continue
            self.check_array(f"{kernel.name}: {spec.name}", array, spec.dtype or dtype, device)
            size = math.prod(sizes[name] for name in spec.size)
            if spec.size and array.size != size:
                raise ValueError(f"{kernel.name}: {spec.name} must have {size} elements, got {array.size}")

    def check_array(self, what: str, array, dtype: str, device: int | None = None) -> None:
        """The errors of ``launch``: not an array of the current GPU's, of that dtype, contiguous."""
        self.check_on_device(what, array, device)
        if array.dtype != dtype:
            raise TypeError(f"{what} must have dtype {dtype}, got {array.dtype}")
        if not array.flags.c_contiguous:
            raise ValueError(f"{what} must be contiguous, got strides {array.strides} for shape {array.shape}")

    def check_on_device(self, what: str, array, device: int | None = None) -> None:
        """TypeError: not an array of CuPy's. ValueError: on another GPU than the current one."""
        if not isinstance(array, self._cupy.ndarray):
            raise TypeError(
                f"{what} must be an array on the GPU (cupy.ndarray), got {type(array).__module__}."
                f"{type(array).__name__}: move it there with the backend's asarray"
            )
        current = self._cupy.cuda.runtime.getDevice() if device is None else device
        if array.device.id != current:
            raise ValueError(
                f"{what} is on GPU {array.device.id}, but the current one is GPU {current}: copy it there, or work "
                f"inside 'with cupy.cuda.Device({array.device.id})'"
            )


def blocks_for(elements: int) -> int:
    """Blocks for work on so many elements, one a thread."""
    return -(-elements // THREADS)
