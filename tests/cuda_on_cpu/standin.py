"""A stand-in for the part of CuPy that npvae uses: arrays that are NumPy's inside, kernels built for the CPU.

It lets the Python side of the CUDA backend run where there is no GPU. It says nothing about CuPy itself, drivers or
speed: the tests marked ``cuda`` do, on a GPU. It is stricter than CuPy where CuPy would go wrong silently, and keeps
count of what a GPU makes one pay for: copies between host and device, launches, memory.

Like CuPy it refuses NumPy's arrays in its functions, and allocation, copies and matrix products while a graph is
captured.
"""

from __future__ import annotations

import importlib.machinery
import math
import types
import weakref
from contextlib import contextmanager

import numpy as np

#: The functions of the module that are NumPy's own, on arrays of here.
FUNCTIONS = (
    "abs",
    "all",
    "any",
    "argsort",
    "exp",
    "expm1",
    "isfinite",
    "isnan",
    "log",
    "log1p",
    "logical_not",
    "matmul",
    "max",
    "maximum",
    "minimum",
    "reshape",
    "sqrt",
    "sum",
    "take",
    "tanh",
    "where",
    "zeros_like",
    "ones_like",
    "empty_like",
    "full_like",
    "broadcast_to",
    "concatenate",
)
DTYPES = ("float32", "float64", "int64", "bool_")
ALIGNMENT = 256


class OutOfMemoryError(MemoryError):
    """As CuPy's, with its message."""

    def __init__(self, size: int, total: int) -> None:
        super().__init__(f"Out of memory allocating {size:,} bytes (allocated so far: {total:,} bytes).")


class Standin(types.ModuleType):
    """The module: ``Standin(kernels)`` in the place of ``import cupy``. kernels: a HostKernels."""

    def __init__(
        self, kernels, devices: int = 2, memory: int = 2**30, driver: int = 12040, runtime: int = 12090
    ) -> None:
        super().__init__("cupy")
        self.__spec__ = importlib.machinery.ModuleSpec("cupy", None)
        self.__version__ = "0 (stand-in)"
        self.kernels = kernels
        self.count = {"to_host": 0, "to_device": 0, "launches": 0, "graphs": 0}
        self.memory, self.used, self.most_used = memory, 0, 0
        self.current_device, self.devices, self.capability = 0, devices, "80"
        self.capturing: list | None = None
        self.launched: list[str] = []
        self.compiled: list[str] = []
        self.versions = {"driver": driver, "runtime": runtime}
        standin = self

        class Array(ndarray):
            module = standin

        self.ndarray = Array
        for name in FUNCTIONS:
            setattr(self, name, self._function(getattr(np, name)))
        for name in DTYPES:
            setattr(self, name, getattr(np, name))
        self.RawModule = lambda **arguments: RawModule(self, **arguments)
        self.cuda = _cuda(self)

    # arrays

    def _function(self, function):
        def call(*arguments, **named):
            if function is np.matmul:
                self.refuse_while_capturing("cuBLAS")
            named = {key: self._inside(value) for key, value in named.items()}
            result = function(*map(self._inside, arguments), **named)
            # A view, or what was given as ``out``, is no new memory.
            given = [a.inside for a in arguments if isinstance(a, ndarray)] + [named.get("out")]
            shares = any(a is not None and np.may_share_memory(result, a) for a in given)
            return self.wrap(result, copy=not shares)

        return call

    def _inside(self, value):
        """NumPy's array of one of here; other values as they are."""
        if isinstance(value, ndarray):
            if value.device.id != self.current_device:
                raise ValueError(f"an array of device {value.device.id} on device {self.current_device}")
            return value.inside
        if isinstance(value, np.ndarray):
            raise TypeError(f"Unsupported type {type(value)}")
        return type(value)(map(self._inside, value)) if isinstance(value, (tuple, list)) else value

    def wrap(self, result, copy: bool = True):
        """A new array of here, in memory of its own, or on the very memory of the result."""
        result = np.asarray(result)
        if not copy:
            return self.ndarray(result, self.current_device)
        inside = self.allocate(result.shape, result.dtype)
        inside[...] = result
        return self.ndarray(inside, self.current_device)

    def allocate(self, shape, dtype) -> np.ndarray:
        """Memory on the device, of undefined content."""
        self.refuse_while_capturing("allocation")
        dtype = np.dtype(dtype)
        size = math.prod(np.atleast_1d(shape).tolist()) * dtype.itemsize if shape != () else dtype.itemsize
        if self.used + size > self.memory:
            raise OutOfMemoryError(size, self.used)
        block = np.empty(size + ALIGNMENT, np.uint8)
        block[:] = 0xFF  # NaN: whoever reads what nobody wrote, shows
        start = -block.ctypes.data % ALIGNMENT
        self.used += size
        self.most_used = max(self.most_used, self.used)
        weakref.finalize(block, self._give_back, size)
        return block[start : start + size].view(dtype).reshape(shape)

    def _give_back(self, size: int) -> None:
        self.used -= size

    def refuse_while_capturing(self, what: str) -> None:
        if self.capturing is not None:
            raise RuntimeError(f"{what} is not possible while a graph is captured")

    def empty(self, shape, dtype=float):
        return self.ndarray(self.allocate(shape, dtype), self.current_device)

    def zeros(self, shape, dtype=float):
        array = self.empty(shape, dtype)
        array.inside[...] = 0
        return array

    def arange(self, stop, dtype=np.int64):
        return self.wrap(np.arange(stop, dtype=dtype))

    def asarray(self, a, dtype=None):
        if isinstance(a, ndarray):
            return a if dtype is None or a.dtype == dtype else a.astype(dtype)
        self.refuse_while_capturing("a copy")
        self.count["to_device"] += 1
        return self.wrap(np.asarray(a, dtype=dtype))

    def array(self, a, dtype=None, copy=True, order="C"):
        assert copy and order == "C"
        if isinstance(a, ndarray):
            return self.wrap(a.inside.astype(dtype or a.dtype))
        return self.asarray(a, dtype)

    def ascontiguousarray(self, a, dtype=None):
        a = self.asarray(a, dtype)
        return a if a.flags.c_contiguous else self.wrap(np.ascontiguousarray(a.inside))

    def asnumpy(self, a) -> np.ndarray:
        if not isinstance(a, ndarray):
            return np.asarray(a)
        self.refuse_while_capturing("a copy")
        self.count["to_host"] += 1
        return a.inside.copy()

    def get_default_memory_pool(self):
        return types.SimpleNamespace(free_bytes=lambda: 0, used_bytes=lambda: self.used, free_all_blocks=lambda: None)


class ndarray:
    """An array on the device. ``inside`` is NumPy's array of the same memory."""

    module: Standin
    __array_priority__ = 100

    def __init__(self, inside: np.ndarray, device: int) -> None:
        self.inside = inside
        self.device = types.SimpleNamespace(id=device)

    for _name in ("dtype", "shape", "ndim", "size", "itemsize", "nbytes", "strides", "flags"):
        locals()[_name] = property(lambda self, name=_name: getattr(self.inside, name))

    @property
    def data(self):
        return types.SimpleNamespace(ptr=self.inside.ctypes.data)

    @property
    def T(self):
        return self._view(self.inside.T)

    def _view(self, inside):
        return type(self)(inside, self.device.id)

    def __array__(self, *rest, **named):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`")

    def __len__(self) -> int:
        return len(self.inside)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __float__(self) -> float:
        return float(self.module.asnumpy(self))

    def __int__(self) -> int:
        return int(self.module.asnumpy(self))

    def __bool__(self) -> bool:
        return bool(self.module.asnumpy(self))

    def _key(self, key):
        return tuple(map(self.module._inside, key)) if isinstance(key, tuple) else self.module._inside(key)

    def __getitem__(self, key):
        result = self.inside[self._key(key)]
        view = isinstance(result, np.ndarray) and np.may_share_memory(result, self.inside)
        return self._view(result) if view else self.module.wrap(result)

    def __setitem__(self, key, value):
        self.inside[self._key(key)] = self.module._inside(value)

    def reshape(self, *shape):
        return self._view(self.inside.reshape(*shape))

    def astype(self, dtype):
        return self.module.wrap(self.inside.astype(dtype))

    def copy(self):
        return self.module.wrap(self.inside)

    def fill(self, value):
        self.inside.fill(value)

    def get(self) -> np.ndarray:
        return self.module.asnumpy(self)

    def set(self, values: np.ndarray) -> None:
        self.module.refuse_while_capturing("a copy")
        assert isinstance(values, np.ndarray) and values.dtype == self.dtype and values.shape == self.shape
        assert self.flags.c_contiguous
        self.module.count["to_device"] += 1
        self.inside[...] = values


def _operator(name: str):
    in_place = name.startswith("__i") and name != "__invert__"

    def operate(self, *others):
        if "matmul" in name:
            self.module.refuse_while_capturing("cuBLAS")
        result = getattr(self.inside, name)(*map(self.module._inside, others))
        if result is NotImplemented:
            return NotImplemented
        return self if in_place else self.module.wrap(result)

    return operate


for _name in (
    *(f"__{prefix}{name}__" for name in ("add", "sub", "mul", "truediv", "matmul", "pow") for prefix in ("", "r", "i")),
    *(f"__{name}__" for name in ("lt", "le", "gt", "ge", "eq", "ne", "and", "or", "neg", "invert")),
):
    setattr(ndarray, _name, _operator(_name))
ndarray.__hash__ = None


class RawModule:
    """Sources, whose kernels were built for the CPU beforehand."""

    def __init__(self, standin, *, code, options, name_expressions, enable_cooperative_groups=False) -> None:
        self._standin, self._code, self._names = standin, code, name_expressions
        self._cooperative = enable_cooperative_groups
        assert "-std=c++17" in options

    def get_function(self, name: str):
        assert name in self._names and f" {name.partition('<')[0]}(" in self._code
        return RawKernel(self._standin, name, self._cooperative)


class RawKernel:
    """A kernel: launched at once, or put into the graph that is captured."""

    def __init__(self, standin, name: str, cooperative: bool) -> None:
        self._standin, self._name, self._cooperative = standin, name, cooperative
        self.kernel = types.SimpleNamespace(ptr=hash(name))

    def compile(self) -> None:
        """Nothing is left to be compiled: it is written down that it was asked for."""
        self._standin.compiled.append(self._name)

    def __call__(self, grid, block, arguments, *, shared_mem=0) -> None:
        standin = self._standin
        for argument in arguments:  # a record is passed by value, an array of the host not at all
            if isinstance(argument, np.ndarray) and argument.shape != ():
                raise TypeError(f"Unsupported type {type(argument)}")
        held = [a.inside if isinstance(a, ndarray) else a.copy() if isinstance(a, np.ndarray) else a for a in arguments]

        def launch():
            standin.count["launches"] += 1
            standin.launched.append(self._name)
            standin.kernels.launch(self._name, *grid, *block, held, shared_mem, self._cooperative)

        if standin.capturing is None:
            launch()
        else:
            standin.capturing.append(launch)


class Graph:
    """Launches, to be repeated."""

    def __init__(self, standin, launches) -> None:
        self._standin, self._launches = standin, launches

    def launch(self, stream) -> None:
        self._standin.count["graphs"] += 1
        for launch in self._launches:
            launch()


def _cuda(standin: Standin):
    """The module's ``cuda``."""

    class Stream:
        def __init__(self, non_blocking: bool = False) -> None:
            self.non_blocking = non_blocking

        def __enter__(self):
            return self

        def __exit__(self, *exception) -> None:
            pass

        def begin_capture(self) -> None:
            assert self.non_blocking and standin.capturing is None
            standin.capturing = []

        def end_capture(self):
            graph, standin.capturing = Graph(standin, standin.capturing), None
            return graph

        def synchronize(self) -> None:
            pass

    class Device:
        def __init__(self, number: int | None = None) -> None:
            self.id = standin.current_device if number is None else number
            self.attributes = {"MultiProcessorCount": 3, "CooperativeLaunch": 1}
            self.compute_capability = standin.capability

        @property
        def mem_info(self):
            return standin.memory - standin.used, standin.memory

        def use(self) -> None:
            standin.current_device = self.id

        def __enter__(self):
            self._before, standin.current_device = standin.current_device, self.id
            return self

        def __exit__(self, *exception) -> None:
            standin.current_device = self._before

        def synchronize(self) -> None:
            pass

    stream = Stream()
    runtime = types.SimpleNamespace(
        getDevice=lambda: standin.current_device,
        getDeviceCount=lambda: standin.devices,
        driverGetVersion=lambda: standin.versions["driver"],
        runtimeGetVersion=lambda: standin.versions["runtime"],
        getDeviceProperties=lambda number: {"name": b"a CPU"},
        deviceSynchronize=lambda: None,
    )
    return types.SimpleNamespace(
        Stream=Stream,
        Device=Device,
        runtime=runtime,
        get_current_stream=lambda: stream,
        memory=types.SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
        is_available=lambda: standin.devices > 0,
        driver=types.SimpleNamespace(occupancyMaxActiveBlocksPerMultiprocessor=lambda function, block, shared: 1),
    )


@contextmanager
def installed(module):
    """A context in which ``import cupy`` gives this module."""
    import sys

    from npvae.backend import gpu

    before = sys.modules.get("cupy")
    sys.modules["cupy"] = module
    gpu._reason_against_installed.cache_clear()
    try:
        yield module
    finally:
        gpu._reason_against_installed.cache_clear()
        if before is None:
            del sys.modules["cupy"]
        else:
            sys.modules["cupy"] = before
