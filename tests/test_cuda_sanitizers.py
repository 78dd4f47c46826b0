"""The CUDA kernels under sanitizers: no race within a block or between blocks, nothing outside its memory.

They are built for the CPU with GCC's or Clang's thread, address and undefined-behaviour sanitizers, and run in a
process of their own, since a sanitizer must be there before Python. First, that the checks find what they are for.
"""

import os
import sys
from pathlib import Path

import gpu_backends
import numpy as np
import processes
import pytest
from cuda_on_cpu import build

if gpu_backends.NO_STANDIN is not None:
    pytest.skip(gpu_backends.NO_STANDIN, allow_module_level=True)

from npvae.kernels.gpu import sources
from npvae.kernels.gpu.records import THREADS, TILE_BYTES

HERE = Path(__file__).parent
FAULTY = (HERE / "cuda_on_cpu" / "faulty.cu").read_text(encoding="utf-8")
FAULTS = (
    "race_in_a_block",
    "no_race",
    "race_of_blocks",
    "beyond_shared",
    "beyond_array",
    "half_a_barrier",
    "two_barriers",
    "nobody_wrote",
)
NAMES = [f"{name}<double>" for name in FAULTS]
OPTIONS = {
    "address": {"ASAN_OPTIONS": "detect_leaks=0", "UBSAN_OPTIONS": "print_stacktrace=1"},
    "thread": {"TSAN_OPTIONS": "exitcode=66"},
    "none": {},
}


def faulty_library(sanitizer):
    source = sources.source("device.cu") + FAULTY.replace('#include "device.cu"\n', "")
    gpu_backends.FOLDER.mkdir(parents=True, exist_ok=True)
    return build.build(gpu_backends.FOLDER, sanitizer, source, NAMES)


def run(command, sanitizer):
    """A Python command with the sanitizer in its process."""
    environment = {**os.environ, **OPTIONS[sanitizer], "NPVAE_TEST_SANITIZER": sanitizer, "PYTHONPATH": str(HERE)}
    if sanitizer != "none":
        library = build.library_of(sanitizer)
        if library is None:
            pytest.skip(f"no {sanitizer} sanitizer beside {build.compiler()}")
        environment["LD_PRELOAD"] = library
    return processes.run([sys.executable, *command], cpu_seconds=3600.0, env=environment, cwd=HERE)


def run_fault(name, sanitizer, blocks=1):
    script = (
        f"import numpy as np; from cuda_on_cpu import build; "
        f"kernels = build.HostKernels({str(faulty_library(sanitizer))!r}, {NAMES!r}); x = np.arange({THREADS}.0); "
        f"kernels.launch('{name}<double>', {blocks}, {THREADS}, [x], shared={8 * THREADS}); print('done', x[:2])"
    )
    return run(["-c", script], sanitizer)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "sanitizer", "words"),
    [
        ("race_in_a_block", "thread", "ThreadSanitizer: data race"),
        ("race_of_blocks", "thread", "ThreadSanitizer: data race"),
        ("beyond_shared", "address", "AddressSanitizer: heap-buffer-overflow"),
        ("beyond_array", "address", "AddressSanitizer: heap-buffer-overflow"),
        ("half_a_barrier", "none", "threads of a block part at a barrier"),
        ("two_barriers", "none", "threads of a block meet at different barriers"),
    ],
)
def test_a_fault_is_found(name, sanitizer, words):
    result = run_fault(name, sanitizer, blocks=3)
    assert words in result.stderr and result.returncode != 0, result.stdout + result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("sanitizer", ["thread", "address", "none"])
def test_what_is_right_is_not_taken_for_a_fault(sanitizer):
    result = run_fault("no_race", sanitizer)
    assert result.returncode == 0 and "done [1. 2.]" in result.stdout, result.stdout + result.stderr


def test_shared_memory_that_nobody_wrote_is_nan():
    kernels, x = build.HostKernels(faulty_library("none"), NAMES), np.zeros(THREADS)
    kernels.launch("nobody_wrote<double>", 1, THREADS, [x], shared=8 * THREADS)
    assert np.isnan(x).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sanitizer", "tests"),
    [
        (
            "address",
            [
                "test_cuda_kernels.py",
                "test_cupy_training.py",
                "test_backends.py",
                "-k",
                "(cupy or cuda) and not two_threads and not later_calls and not copies_to_the_host and not shape4 "
                "and not denormal and not same_bits and not graphs",  # no kernel that others do not run
            ],
        ),
        ("thread", ["test_cuda_sanitizers.py", "test_cupy_training.py", "-k", "every_kernel_once or races"]),
    ],
)
def test_the_kernels_are_clean(sanitizer, tests):
    result = run(
        ["-m", "pytest", "-q", "-x", "-s", "-p", "no:cacheprovider", "-m", "not slow and not campaign", *tests],
        sanitizer,
    )
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-6000:]
    assert " passed" in result.stdout and "WARNING: ThreadSanitizer" not in result.stdout + result.stderr


@pytest.mark.parametrize("name", [name for name in sources.KERNELS if not name.startswith(("run_", "advance"))])
def test_every_kernel_once(name):
    """On two blocks, with arrays of an odd size: what the thread sanitizer looks at."""
    kernel, kernels = sources.KERNELS[name], gpu_backends.host_kernels()
    sizes = {"n": 299, "columns": 23, "rows": 13, "m": 33, "k": 35, "kind": 2, "form": 0, "seed": 1, "purpose": 3}
    if kernel.file == "product.cu":
        sizes["n"] = 37
    if name == "take_rows":
        sizes["n"] = 13
    arrays = []
    for spec in kernel.arrays:
        length = int(np.prod([sizes[each] for each in spec.size]))
        arrays.append(np.arange(13) if spec.dtype else np.linspace(0.1, 0.9, length))
    integers = [np.int64(sizes.get(each, 1)) for each in kernel.integers]
    numbers = [np.float64(0.5)] * len(kernel.numbers)
    kernels.launch(f"{name}<double>", 2, THREADS, [*arrays, *integers, *numbers], shared=TILE_BYTES)
    written = [array for spec, array in zip(kernel.arrays, arrays, strict=True) if spec.written]
    assert all(np.isfinite(array).all() for array in written)
