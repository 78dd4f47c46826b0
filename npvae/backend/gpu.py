"""Whether there is a GPU that CuPy can use, why not, and what it has."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import re

from npvae.errors import MissingDependencyError

#: The packages that CuPy comes in.
WHEELS = ("cupy-cuda11x", "cupy-cuda12x", "cupy-cuda13x", "cupy")

#: The oldest compute capability that the kernels are compiled for in our checks (Volta), and the oldest that the
#: compiler of CUDA 13 knows (Turing).
OLDEST, OLDEST_CUDA_13 = 70, 75

INSTALL = 'python -m pip install "npvae[cuda12]" or "npvae[cuda13]", by the CUDA version that nvidia-smi shows'


def import_cupy():
    """The module cupy. MissingDependencyError: it is not installed, or does not import."""
    try:
        return importlib.import_module("cupy")
    except Exception as error:  # a broken installation may raise anything
        raise MissingDependencyError(f"import cupy failed: {error}") from error


def reason_against() -> str | None:
    """Why there is no GPU to be used, with the remedy, or None if there is one.

    The GPU is really used for the answer, once a process: that CuPy imports means nothing.
    """
    if importlib.util.find_spec("cupy") is None:
        return f"cupy is not installed: {INSTALL}"
    return _reason_against_installed()


@functools.cache
def _reason_against_installed() -> str | None:
    try:
        cupy = import_cupy()
    except MissingDependencyError as error:
        return f"{error}; install it anew: {INSTALL}"
    return _reason_against_device(cupy) or _reason_against_kernels(cupy)


def _reason_against_device(cupy) -> str | None:
    runtime = cupy.cuda.runtime
    try:
        driver = runtime.driverGetVersion()
    except Exception as error:
        return f"the CUDA driver does not answer: {error}"
    if driver == 0:
        return "there is no NVIDIA driver on this machine: install one, or use the CPU"
    wanted = runtime.runtimeGetVersion()
    if driver // 1000 < wanted // 1000:
        return (
            f"the NVIDIA driver is for CUDA {_version(driver)}, but {_wheel()} needs CUDA {_version(wanted)}: install "
            f"npvae[cuda{driver // 1000}] in its place, or a newer driver"
        )
    try:
        count = runtime.getDeviceCount()
    except Exception as error:
        return f"no GPU can be used: {error}"
    if count == 0:
        return "there is no NVIDIA GPU on this machine, or CUDA_VISIBLE_DEVICES hides it"
    device = cupy.cuda.Device()
    capability = int(device.compute_capability)
    oldest = OLDEST_CUDA_13 if wanted >= 13000 else OLDEST
    if capability < oldest:
        newer = "; with npvae[cuda12] it can be used" if OLDEST <= capability else ""
        return (
            f"GPU {device.id} ({_name(cupy, device.id)}) has compute capability {capability / 10:g}, but "
            f"{oldest / 10:g} or newer is needed{newer}"
        )
    return None


def _reason_against_kernels(cupy) -> str | None:
    """Compile and run a kernel: what fails on machines fails here."""
    from npvae.kernels.gpu.launch import Kernels

    try:
        x = cupy.arange(3, dtype=cupy.float32)
        out = cupy.empty_like(x)
        Kernels(cupy).launch("scale", "float32", (x, out), (3,), (2.0,), blocks=1)
        found = cupy.asnumpy(out).tolist()
        product = float((x[None, :] @ x[:, None])[0, 0])
    except cupy.cuda.memory.OutOfMemoryError as error:
        return f"the GPU has no memory left: {error}; end other programs that use it"
    except Exception as error:
        text = str(error).strip().splitlines() or [type(error).__name__]
        return (
            f"a trial kernel failed: {text[0]}; does {_wheel()} fit the driver, and was it installed with [ctk]? "
            f"{INSTALL}"
        )
    if found != [0.0, 2.0, 4.0] or product != 5.0:
        return f"a trial kernel gave wrong numbers: {found}, {product}"
    return None


def description(device: int) -> str:
    """A GPU in words."""
    cupy = import_cupy()
    free, total = cupy.cuda.Device(device).mem_info
    runtime = cupy.cuda.runtime
    return (
        f"GPU {device}, {_name(cupy, device)}, {free / 2**30:.1f} of {total / 2**30:.1f} GiB free; cupy "
        f"{cupy.__version__}, "
        f"CUDA {_version(runtime.runtimeGetVersion())}, driver for CUDA {_version(runtime.driverGetVersion())}"
    )


def identity(cupy, device: int) -> dict[str, str]:
    """What a GPU's results depend on beside the program, by name."""
    runtime = cupy.cuda.runtime
    capability = str(cupy.cuda.Device(device).compute_capability)
    return {
        "GPU": f"{_name(cupy, device)}, compute capability {capability[:-1]}.{capability[-1:]}",
        "CuPy": cupy.__version__,
        "CUDA": _version(runtime.runtimeGetVersion()),
    }


def available_bytes(cupy) -> int:
    """Memory of the current GPU that can still be had: free on it, or free in CuPy's pool."""
    free, _ = cupy.cuda.Device().mem_info
    return int(free) + int(cupy.get_default_memory_pool().free_bytes())


def bytes_asked(error) -> int:
    """The bytes that an OutOfMemoryError of CuPy's was about, 0 where its message does not say."""
    match = re.search(r"allocating ([\d,]+) bytes", str(error))
    return int(match[1].replace(",", "")) if match else 0


def _name(cupy, device: int) -> str:
    name = cupy.cuda.runtime.getDeviceProperties(device)["name"]
    return name.decode() if isinstance(name, bytes) else name


def _version(number: int) -> str:
    """12040 as "12.4"."""
    return f"{number // 1000}.{number % 1000 // 10}"


def _wheel() -> str:
    """The installed package of CuPy."""
    import importlib.metadata  # costs as much as all of npvae.backend

    for package in WHEELS:
        try:
            return f"{package} {importlib.metadata.version(package)}"
        except importlib.metadata.PackageNotFoundError:
            continue
    return "this cupy"
