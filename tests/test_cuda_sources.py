"""The CUDA sources and the table of their kernels agree, and compile for every architecture."""

import re
from concurrent.futures import ThreadPoolExecutor
from importlib import resources

import gpu_backends
import nvrtc
import pytest

from npvae.kernels.gpu import records, sources
from npvae.kernels.gpu.launch import OPTIONS
from npvae.kernels.gpu.sources import KERNELS
from npvae.mathematics.layers import activations

FOLDER = resources.files("npvae.kernels.gpu")
SOURCES = sorted(entry.name for entry in FOLDER.iterdir() if entry.name.endswith(".cu"))

needs_compiler = pytest.mark.skipif(gpu_backends.NO_STANDIN is not None, reason=str(gpu_backends.NO_STANDIN))
needs_nvrtc = pytest.mark.skipif(
    nvrtc.library() is None, reason="no CUDA compiler: python -m pip install nvidia-cuda-nvrtc-cu12"
)


def text_of(name: str) -> str:
    return FOLDER.joinpath(name).read_text(encoding="utf-8")


def test_every_kernel_is_in_the_table_and_the_reverse():
    found = {}
    for name in SOURCES:
        for kernel in re.findall(r"__global__ void (?:__launch_bounds__\([^)]*\) )?(\w+)\(", text_of(name)):
            assert found.setdefault(kernel, name) == name, f"{kernel} is in two sources"
    assert found == {kernel.name: kernel.file for kernel in KERNELS.values()}


@pytest.mark.parametrize("file", sources.files())
def test_a_source_stands_alone_with_each_file_once(file):
    text = sources.source(file)
    assert "#include" not in text and text.count("inline T block_sum(") == 1
    for kernel in (k for k in KERNELS.values() if k.file == file):
        assert f" {kernel.name}(" in text


def test_there_is_a_float_and_a_double_of_every_kernel():
    names = [name for file in sources.files() for name in sources.instantiations(file)]
    assert sorted(names) == sorted(f"{name}<{kind}>" for name in KERNELS for kind in ("float", "double"))


def test_what_a_line_of_the_table_says():
    """Arrays that are written, of whole numbers, of any size, or not needed; whole numbers, numbers, and a record by
    value.
    """
    array = sources.Array
    assert KERNELS["take_rows"] == sources.Kernel(
        "take_rows",
        "rows.cu",
        (
            array("x", False, None, ("n", "columns"), False),
            array("indices", False, "int64", ("rows",), False),
            array("out", True, None, ("rows", "columns"), False),
        ),
        ("n", "columns", "rows"),
        (),
        (),
    )
    assert KERNELS["bernoulli_nll"].arrays[-1] == array("residual", True, None, ("rows", "columns"), True)
    assert KERNELS["advance"].arrays == (array("call", True, "int64", (), False),)
    assert KERNELS["sgd_step"].numbers == ("rate",) and KERNELS["run_phase"].records == ("phase",)
    assert sources.files() == sorted({kernel.file for kernel in KERNELS.values()})


@pytest.mark.parametrize("file", sources.files())
def test_the_fingerprint_depends_on_every_source(file, monkeypatch):
    source, before = sources.source, sources.fingerprint.__wrapped__()
    monkeypatch.setattr(sources, "source", lambda name: source(name) + "//" * (name == file))
    assert sources.fingerprint.__wrapped__() != before


def test_no_literal_is_of_another_type_than_its_kernel():
    """``0.5 * x`` would compute in double what is float: numbers in templates are T(...), or are in double on
    purpose.
    """
    doubles = {"philox.cu", "step_records.cu", "step_forward.cu", "step_backward.cu", "step_update.cu", "device.cu"}
    for name in set(SOURCES) - doubles:
        code = re.sub(r"//.*|#define.*", "", text_of(name))
        bare = re.findall(r"(?<!T\()(?<!T\(-)(?<![\w.])\d+\.\d*f?", code)
        assert bare == [], f"{name}: {bare}"


@needs_compiler
@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("kind", ["float", "double"])
def test_arguments_are_those_of_the_table(name, kind):
    kernel = KERNELS[name]
    arrays = [("Ww" if array.written else "Rr")[array.dtype is None] for array in kernel.arrays]
    wanted = "s" * len(kernel.records) + "".join(arrays) + "i" * len(kernel.integers) + "t" * len(kernel.numbers)
    assert gpu_backends.host_kernels().signature(f"{name}<{kind}>") == wanted


def test_codes_of_activations_are_their_names():
    assert [entry.name.lower() for entry in records.Activation] == list(activations.NAMES)


def test_a_record_is_laid_out_as_the_source_has_it():
    dtype = records.PHASE
    words = len(records.Plan) + 2 + records.MOST_TASKS * len(records.Task)
    assert dtype.itemsize == 8 * words <= 4096, "more than a launch can be given"
    assert list(dtype.names) == ["plan", "tasks", "tiles", "task"]
    assert "Index plan[plan::FIELDS], tasks, tiles, task[MOST_TASKS][task::FIELDS];" in text_of("step_records.cu")
    text = records.definitions()
    for kind in (records.Task, records.Plan, records.Call):
        assert [entry.value for entry in kind] == list(range(len(kind)))
        assert f"namespace {kind.__name__.lower()} {{ enum {{ {next(iter(kind)).name} = 0," in text
        assert f"FIELDS = {len(kind)} }}" in text


def test_numbers_that_python_repeats_are_those_of_the_sources():
    product = text_of("product.cu")
    assert "DEPTH = 16384 / (SIDE * sizeof(T));" in product and "PITCH = SIDE + 4;" in product
    assert "NUMBERS = 2 * DEPTH * PITCH;" in product
    sizes = {
        (side, itemsize): 2 * (16384 // (side * itemsize)) * (side + 4) * itemsize
        for side in records.SIDES
        for itemsize in (4, 8)
    }
    assert records.TILE_BYTES == max(sizes.values())
    assert records.TILE_BYTES + records.PHASE.itemsize <= 48 * 1024


#: One GPU of every generation from Volta on; what lies between differs in sizes, not in instructions that we use.
GENERATIONS = (70, 75, 80, 89, 90, 100, 120)


def compile_all(architectures) -> None:
    """Every kernel for some architectures, on two threads: the compiler does not hold Python's lock."""
    jobs = [(file, architecture) for file in sources.files() for architecture in architectures]

    def compile_one(job):
        file, architecture = job
        names = sources.instantiations(file)
        return nvrtc.compile_cubin(sources.source(file), names, OPTIONS, architecture)

    with ThreadPoolExecutor(2) as pool:
        assert all(size > 1000 for size in pool.map(compile_one, sorted(jobs, key=lambda job: job[0], reverse=True)))


@needs_nvrtc
@pytest.mark.slow
def test_compiles_for_the_oldest_gpu():
    compile_all(nvrtc.architectures()[:1])


@needs_nvrtc
@pytest.mark.slow
def test_compiles_for_every_generation():
    known = nvrtc.architectures()
    assert {75, 80, 90} <= set(known)
    compile_all([each for each in GENERATIONS if each in known[1:]])


@needs_nvrtc
def test_the_compiler_reports_what_is_wrong():
    with pytest.raises(AssertionError, match="undefined"):
        nvrtc.compile_cubin("template <typename T> __global__ void f(T* x) { x[0] = undefined; }", ["f<float>"], (), 80)
