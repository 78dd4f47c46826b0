"""CUDA's runtime compiler from its wheel, by ctypes: it needs no GPU and no driver."""

from __future__ import annotations

import ctypes
import functools
import importlib.util
from pathlib import Path


@functools.cache
def library():
    """The compiler, or None where no wheel of it is installed."""
    spec = importlib.util.find_spec("nvidia")
    for folder in spec.submodule_search_locations if spec else ():
        for path in sorted(Path(folder).glob("**/libnvrtc.so.*")):
            if ".alt." not in path.name:
                return ctypes.CDLL(str(path))
    return None


def architectures() -> list[int]:
    """The compute capabilities that the compiler knows, from Volta on, as 70, 75, ..."""
    count = ctypes.c_int()
    assert library().nvrtcGetNumSupportedArchs(ctypes.byref(count)) == 0
    all_of_them = (ctypes.c_int * count.value)()
    assert library().nvrtcGetSupportedArchs(all_of_them) == 0
    return [number for number in all_of_them if number >= 70]


def compile_cubin(source: str, names, options, architecture: int) -> int:
    """Compile a source as CuPy does; the bytes of machine code. AssertionError with the compiler's log."""
    nvrtc, program = library(), ctypes.c_void_p()
    text = source.encode()
    assert nvrtc.nvrtcCreateProgram(ctypes.byref(program), text, b"kernels.cu", 0, None, None) == 0
    try:
        for name in names:
            assert nvrtc.nvrtcAddNameExpression(program, name.encode()) == 0
        # -ftz is what CuPy adds by itself.
        flags = [f"-arch=sm_{architecture}".encode(), b"-ftz=true", *(option.encode() for option in options)]
        result = nvrtc.nvrtcCompileProgram(program, len(flags), (ctypes.c_char_p * len(flags))(*flags))
        size = ctypes.c_size_t()
        nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
        log = ctypes.create_string_buffer(size.value)
        nvrtc.nvrtcGetProgramLog(program, log)
        assert result == 0, log.value.decode()
        for name in names:
            lowered = ctypes.c_char_p()
            assert nvrtc.nvrtcGetLoweredName(program, name.encode(), ctypes.byref(lowered)) == 0, name
        assert nvrtc.nvrtcGetCUBINSize(program, ctypes.byref(size)) == 0
        return size.value
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
