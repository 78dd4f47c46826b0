"""Compile the CUDA sources for the CPU, and run their kernels on NumPy's memory: see cuda_on_cpu.h."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from npvae.kernels.gpu import sources

HERE = Path(__file__).parent
#: What to instrument the kernels with: nothing, or a sanitizer.
SANITIZERS = {
    "none": [],
    "address": ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
    "thread": ["-fsanitize=thread"],
}


def compiler() -> str | None:
    """The C++ compiler, or None."""
    return os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")


def library_of(sanitizer: str) -> str | None:
    """The sanitizer's own library, which must be in a process before all others; None where there is none."""
    name = {"address": "libasan.so", "thread": "libtsan.so"}[sanitizer]
    path = subprocess.run([compiler(), f"-print-file-name={name}"], capture_output=True, text=True).stdout.strip()
    return path if os.path.isabs(path) and os.path.exists(path) else None


def all_names() -> list[str]:
    """Every kernel of the library for every dtype."""
    return [name for file in sources.files() for name in sources.instantiations(file)]


def text(source: str, names) -> str:
    """A source and the tables of its kernels as one C++ file."""
    kinds = [name[name.index("<") + 1 : -1] for name in names]
    calls = ",\n".join(f"    [](void** arguments) {{ run_kernel(&{name}, arguments); }}" for name in names)
    signatures = ", ".join(f"signature<{kind}>(&{name})" for name, kind in zip(names, kinds, strict=True))
    return (
        f'#include "cuda_on_cpu.h"\n{source}\n'
        f'extern "C" void (*const KERNELS[])(void**) = {{\n{calls}\n}};\n'
        f'extern "C" const char* signature_of(int which) {{\n'
        f"    static const char* const all[] = {{{signatures}}};\n    return all[which];\n}}\n"
    )


def build(folder: Path, sanitizer: str = "none", source: str | None = None, names=None) -> Path:
    """A library of kernels, by default of all there are, compiled now or found in the folder by what it is made of."""
    source = text(source or sources.source(*sources.files()), names or all_names())
    made_of = [source, *((HERE / name).read_text() for name in ("cuda_on_cpu.h", "blocks.cpp")), compiler(), sanitizer]
    library = folder / f"kernels-{sanitizer}-{hashlib.sha256(repr(made_of).encode()).hexdigest()[:16]}.so"
    if library.exists():
        return library
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        here = Path(temporary)
        (here / "kernels.cpp").write_text(source)
        common = [compiler(), "-std=c++17", "-O1", "-g1", "-fPIC", f"-I{HERE}", "-Wall", "-Wno-unknown-pragmas"]
        flags = SANITIZERS[sanitizer]
        for command in (
            [*common, *flags, "-c", str(here / "kernels.cpp"), "-o", str(here / "kernels.o")],
            [*common, "-c", str(HERE / "blocks.cpp"), "-o", str(here / "blocks.o")],
            [
                *common,
                *flags,
                "-shared",
                "-pthread",
                str(here / "kernels.o"),
                str(here / "blocks.o"),
                "-o",
                str(here / "kernels.so"),
            ],
        ):
            result = subprocess.run(command, capture_output=True, text=True)
            if result.returncode:
                raise RuntimeError(f"{' '.join(command)}\n{result.stderr}")
        os.replace(here / "kernels.so", library)
    return library


class HostKernels:
    """The kernels of a built library, by the names that C++ gives them."""

    def __init__(self, library: Path, names=None) -> None:
        self._library, names = ctypes.CDLL(str(library)), names or all_names()
        self._places = {name: place for place, name in enumerate(names)}
        self._kernels = (ctypes.c_void_p * len(names)).in_dll(self._library, "KERNELS")
        self._library.signature_of.restype = ctypes.c_char_p
        self._library.run_grid.argtypes = [
            ctypes.c_void_p,
            ctypes.c_uint,
            ctypes.c_uint,
            ctypes.c_size_t,
            ctypes.c_void_p,
            ctypes.c_int,
            ctypes.c_int,
            ctypes.c_int,
        ]
        self.order = 0  #: of threads and blocks: 0 forwards, 1 backwards, others shuffled by that seed

    def signature(self, name: str) -> str:
        """A letter an argument: see cuda_on_cpu.h."""
        return self._library.signature_of(self._places[name]).decode()

    def launch(self, name: str, grid: int, block: int, arguments, shared: int = 0, cooperative: bool = False) -> None:
        """Run a kernel. Arguments: an array for its address, None for a null address, a NumPy scalar, or a record.

        Numbers must have the size that the kernel expects, as in CUDA; here that is checked.
        """
        signature = self.signature(name)
        assert len(arguments) == len(signature), f"{name} takes {len(signature)} arguments, got {len(arguments)}"
        kind = np.dtype(np.float32 if name.endswith("<float>") else np.float64)
        held, addresses = [], (ctypes.c_void_p * max(1, len(arguments)))()
        for i, (letter, argument) in enumerate(zip(signature, arguments, strict=True)):
            if letter in "rwRW":
                wanted = kind if letter in "rw" else np.dtype(np.int64)
                assert argument is None or argument.dtype == wanted, f"{name}: argument {i} is {argument.dtype}"
                value = np.array([0 if argument is None else argument.ctypes.data], np.uint64)
            elif letter == "s":
                value = argument
            else:
                wanted = kind if letter == "t" else np.dtype(np.int64)
                fits = isinstance(argument, np.generic) and argument.dtype == wanted
                assert fits, f"{name}: argument {i}: {argument!r}"
                value = np.array([argument])
            held.append(value)
            addresses[i] = value.ctypes.data
        kernel = self._kernels[self._places[name]]
        flush = kind == np.float32  # CuPy compiles every kernel with -ftz=true, which is about float32
        if self._library.run_grid(kernel, grid, block, shared, addresses, cooperative, self.order, flush):
            raise ValueError(
                f"{name}: a launch of {grid} blocks of {block} threads with {shared} bytes each is not possible"
            )
