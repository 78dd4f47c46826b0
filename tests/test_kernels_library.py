"""Compiled code that is kept: made once, loaded without Numba, and never loaded where it does not belong."""

import ctypes
import hashlib
import os
import re
import shutil
import sys
import tempfile
import threading
from pathlib import Path

import compiled
import numpy as np
import processes
import pytest

from npvae.backend import numba_ops
from npvae.kernels.cpu import library, target
from npvae.kernels.cpu.plan import Operation

DTYPE = "float32"
SOURCES = Path(library.__file__).parent


@pytest.fixture(scope="module", params=compiled.DTYPES)
def machine_code(request):
    """``(object code, symbol)`` of each dtype's program, from the file that it is kept in."""
    return code_of(request.param)


def code_of(dtype):
    folder = numba_ops.program_folder()
    if not library.is_kept(dtype, folder):
        library._load(dtype, folder, print, "")
    if not library.is_kept(dtype, folder):
        try:
            tempfile.TemporaryFile(dir=folder).close()
        except OSError:
            pytest.skip(f"{folder} cannot be written to")
        pytest.fail(f"{folder} can be written to, but the code is not kept")
    body = library._path(dtype, folder, library.machine()).read_bytes()[len(library._MAGIC) + 32 :]
    name, code = body.split(b"\n", 1)
    return code, name.decode()


class Compilations(list):
    """Stands in for the compiler: answers with the program that there already is, and counts."""

    def __init__(self, monkeypatch) -> None:
        super().__init__()
        code, name = code_of(DTYPE)
        real = compiled.program(DTYPE)
        address = ctypes.cast(real._function, ctypes.c_void_p).value
        monkeypatch.setattr(library, "_loaded", {})
        monkeypatch.setattr(library, "_compile", lambda target: self.append(target) or (code, name, address, real))


@pytest.fixture
def compilations(monkeypatch):
    return Compilations(monkeypatch)


def fresh(folder, announce=None):
    """Load as a new process would."""
    library._loaded.clear()
    return library.load(DTYPE, folder, announce)


def works(program) -> bool:
    """Whether it computes: e^x of three numbers."""
    x, y = np.array([0.0, 1.0, -np.inf], np.float32), np.empty(3, np.float32)
    plan = numba_ops.plan_of(Operation.ELEMENTARY, 3, 0, x.ctypes.data, y.ctypes.data)
    program.run(ctypes.addressof(plan))
    return y[0] == 1.0 and abs(y[1] - np.e) < 1e-6 and y[2] == 0.0


def only_file(folder) -> Path:
    (path,) = folder.iterdir()
    return path


# Compiled once


def test_the_first_load_compiles_says_so_and_keeps_the_code_and_the_next_reads_it(compilations, tmp_path):
    folder, said = tmp_path / "a" / "b", []
    assert not library.is_kept(DTYPE, folder)
    first = fresh(folder, said.append)
    assert first.origin == "compiled" and works(first) and len(compilations) == 1
    assert "compiling for float32" in said[0] and re.search(r"compiled for float32 in \d+\.\d s", said[1])
    assert library.is_kept(DTYPE, folder)
    second = fresh(folder, said.append)
    assert second.origin == "cache" and works(second)
    assert len(compilations) == 1 and len(said) == 2
    assert second.target == first.target == compilations[0]


def test_a_process_loads_once(compilations, tmp_path):
    assert library.load(DTYPE, tmp_path) is library.load(DTYPE, tmp_path / "another")
    assert len(compilations) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system does not fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_finds_the_lock_open():
    """Another thread of its parent may have been loading; in the child it is not there to open the lock again."""
    with library._loading:
        child = os.fork()
        if not child:
            os._exit(0 if library._loading.acquire(blocking=False) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_threads_that_come_together_compile_once(compilations, tmp_path, monkeypatch):
    compile_now, waiting = library._compile, threading.Event()

    def slowly(target):
        waiting.wait(0.2)
        return compile_now(target)

    monkeypatch.setattr(library, "_compile", slowly)
    found = []
    threads = [threading.Thread(target=lambda: found.append(library.load(DTYPE, tmp_path))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(compilations) == 1 and len(found) == 4 and len(set(map(id, found))) == 1


def test_who_looks_for_kept_code_waits_for_nobody(compilations, tmp_path):
    """Not for one who is compiling."""
    fresh(tmp_path)
    library._loaded.clear()
    found = []
    look = threading.Thread(target=lambda: found.append(library.kept(DTYPE, tmp_path)), daemon=True)
    with library._loading:
        look.start()
        look.join(30.0)
        assert found == [None]
    assert library.kept(DTYPE, tmp_path) is library.load(DTYPE, None) and len(compilations) == 1


def test_kept_code_that_another_thread_has_just_loaded_is_not_loaded_again(compilations, tmp_path, monkeypatch):
    program = fresh(tmp_path)
    library._loaded.clear()

    class Lock:
        def acquire(self, blocking):
            library._loaded[DTYPE] = program
            return True

        def release(self):
            pass

    monkeypatch.setattr(library, "_loading", Lock())
    assert library.kept(DTYPE, tmp_path) is program


def test_files_are_named_after_the_dtype_and_what_they_depend_on(tmp_path):
    names = library.machine()
    paths = {dtype: library._path(dtype, tmp_path, names) for dtype in compiled.DTYPES}
    assert all(path.name.startswith(f"{dtype}-") for dtype, path in paths.items())
    (other,) = {library._path(DTYPE, tmp_path, (*names[:2], "+something"))} - {*paths.values()}
    assert other.name.startswith("float32-") and other.name != paths[DTYPE].name


# Files that are not whole, or not ours


def spoiled(content: bytes):
    """Ways in which a file can be wrong."""
    magic = len(library._MAGIC)
    for length in (0, 1, magic, magic + 31, magic + 32, magic + 40, len(content) // 2, len(content) - 1):
        yield f"cut at {length}", content[:length]
    for place in (0, magic + 3, magic + 33, magic + 300, len(content) - 1):
        yield f"changed at {place}", content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
    yield "longer", content + b"\0"
    yield "of another program", b"\x7fELF" + content[4:]
    yield "of another version", content.replace(library._MAGIC, b"npvae machine code 0\n", 1)


def test_a_file_that_is_not_whole_is_made_again(compilations, tmp_path):
    fresh(tmp_path)
    path = only_file(tmp_path)
    good = path.read_bytes()
    for number, (what, content) in enumerate(spoiled(good), start=2):
        path.write_bytes(content)
        program = fresh(tmp_path)
        assert program.origin == "compiled" and len(compilations) == number, what
        assert works(program) and path.read_bytes() == good, what
    assert fresh(tmp_path).origin == "cache"


def test_a_file_without_the_function_is_made_again(compilations, tmp_path):
    """Whole, but of something else: it has no function of the name that it says."""
    fresh(tmp_path)
    path = only_file(tmp_path)
    code, _ = code_of(DTYPE)
    body = b"no_such_function\n" + code
    path.write_bytes(library._MAGIC + hashlib.sha256(body).digest() + body)
    assert fresh(tmp_path).origin == "compiled" and len(compilations) == 2


def test_the_code_of_another_machine_is_not_looked_at(compilations, tmp_path, monkeypatch):
    fresh(tmp_path)
    triple, name, _ = library.machine()
    monkeypatch.setattr(library, "machine", lambda: (triple, name, "+avx512f,+fma"))
    assert not library.is_kept(DTYPE, tmp_path)
    assert fresh(tmp_path).origin == "compiled" and compilations[1].vector_bytes == 64
    assert len(list(tmp_path.iterdir())) == 2


# Folders that cannot be used


def test_without_a_folder_it_compiles_in_every_process(compilations):
    assert library.is_kept(DTYPE, None) is False and library.kept(DTYPE, None) is None
    assert works(fresh(None)) and works(fresh(None))
    assert len(compilations) == 2


def test_a_folder_that_cannot_be_made(compilations, tmp_path):
    (tmp_path / "file").write_text("in the way")
    folder = tmp_path / "file" / "kernels"
    assert library.is_kept(DTYPE, folder) is False
    assert works(fresh(folder)) and works(fresh(folder))
    assert len(compilations) == 2 and (tmp_path / "file").read_text() == "in the way"


@pytest.mark.parametrize("step", ["mkstemp", "fdopen", "replace"])
def test_a_folder_that_cannot_be_written_to(compilations, tmp_path, monkeypatch, step):
    """A read-only folder, a full disk, a name that another process holds: nothing half done stays behind."""

    def fail(*arguments, **options):
        if step == "fdopen":
            os.close(arguments[0])
        raise OSError("no")

    monkeypatch.setattr(library.tempfile if step == "mkstemp" else library.os, step, fail)
    assert works(fresh(tmp_path)) and works(fresh(tmp_path))
    assert len(compilations) == 2 and list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_looked_into(compilations, tmp_path, monkeypatch):
    """As one of another user: each look into it is an error."""
    folder, stat = tmp_path / "closed", os.stat

    def refuse(path, *rest, **options):
        if str(path).startswith(str(folder)):
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, *rest, **options)

    monkeypatch.setattr(os, "stat", refuse)
    assert not library.is_kept(DTYPE, folder)
    assert works(fresh(folder))


posix = pytest.mark.skipif(os.name != "posix", reason="who owns a file is not asked on this system")


def test_what_is_kept_is_for_the_user_alone(compilations, tmp_path):
    """Whatever the umask says: with that of many systems others of the group could write to new folders."""
    before = os.umask(0o002)
    try:
        fresh(tmp_path / "kernels")
    finally:
        os.umask(before)
    assert library.is_kept(DTYPE, tmp_path / "kernels")
    if os.name == "posix":
        modes = [path.stat().st_mode & 0o777 for path in (tmp_path / "kernels", only_file(tmp_path / "kernels"))]
        assert modes == [0o700, 0o600]


@posix
@pytest.mark.parametrize("mode", [0o020, 0o002])
@pytest.mark.parametrize("what", ["folder", "file"])
def test_what_others_may_write_to_is_not_run(compilations, tmp_path, mode, what):
    folder, said = tmp_path / "kernels", []
    fresh(folder)
    good = only_file(folder).read_bytes()
    place = folder if what == "folder" else only_file(folder)
    place.chmod(place.stat().st_mode | mode)
    assert not library.is_kept(DTYPE, folder) and library.kept(DTYPE, folder) is not None  # this process has it already
    library._loaded.clear()
    assert library.kept(DTYPE, folder) is None
    program = fresh(folder, said.append)
    assert program.origin == "compiled" and works(program) and len(compilations) == 2
    assert f"since others may write to {place} (mode " in said[0]
    if what == "folder":  # nothing is written there either
        assert "for this process alone" in said[0] and len(said) == 2 and only_file(folder).read_bytes() == good
    else:  # made again
        assert "is not used" in said[0] and "once on this machine" in said[1]
        assert only_file(folder).stat().st_mode & 0o777 == 0o600 and fresh(folder).origin == "cache"


@posix
def test_what_belongs_to_another_user_is_not_run(compilations, tmp_path, monkeypatch):
    folder, said = tmp_path / "kernels", []
    fresh(folder)
    user = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    assert not library.is_kept(DTYPE, folder)
    assert fresh(folder, said.append).origin == "compiled"
    assert f"for this process alone, since {folder} belongs to another user" in said[0]


def test_where_it_cannot_be_kept_the_message_names_the_folder_and_what_to_do(compilations, tmp_path, monkeypatch):
    def said_by_load(folder):
        said = []
        library._loaded.clear()
        assert works(library.load(DTYPE, folder, said.append, "set THIS"))
        return said

    (tmp_path / "file").write_text("in the way")
    folder = tmp_path / "file" / "kernels"
    assert said_by_load(folder)[0].startswith(
        f"compiling for float32, for this process alone, since the folder {folder} cannot be made: "
    )
    assert said_by_load(None)[0].endswith(", since there is no home folder to keep it in; set THIS ...")
    said = []
    fresh(None, said.append)
    assert said[0].endswith(", since there is no home folder to keep it in ...")
    for refused in (
        os.W_OK,
        os.X_OK,
    ):  # a folder that may be looked into but not changed, and one that may not be entered
        with monkeypatch.context() as patch:
            patch.setattr(os, "access", lambda path, mode, refused=refused: not mode & refused)
            assert f"since the folder {tmp_path} cannot be written to; set THIS ..." in said_by_load(tmp_path)[0]
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", lambda *paths: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        first, last = said_by_load(tmp_path)
        assert "once on this machine" in first
        assert last.endswith(f", but it cannot be kept in {tmp_path}: No space left on device; set THIS")


def test_the_file_is_made_in_its_own_folder(compilations, tmp_path, monkeypatch):
    """From another file system it could not be moved there."""
    monkeypatch.setattr(library.tempfile, "tempdir", str(tmp_path / "nowhere"))
    assert fresh(tmp_path / "kernels").origin == "compiled" and fresh(tmp_path / "kernels").origin == "cache"


def test_a_file_that_cannot_be_readis_compiled_for(compilations, tmp_path):
    fresh(tmp_path)
    path = only_file(tmp_path)
    path.unlink()
    path.mkdir()
    assert works(fresh(tmp_path)) and len(compilations) == 2


# What the name depends on


def fingerprint(*names):
    """Without what is remembered of earlier calls."""
    return library._fingerprint.__wrapped__(*(names or library.machine()))


@pytest.mark.parametrize("position", range(3))
def test_the_fingerprint_depends_on_the_machine(position):
    names = list(library.machine())
    before = fingerprint(*names)
    assert before == fingerprint(*names)
    names[position] += ",-x"
    assert fingerprint(*names) != before


@pytest.mark.parametrize("package", ["numba", "llvmlite"])
def test_the_fingerprint_depends_on_the_compiler(package, monkeypatch):
    before, version = fingerprint(), library.importlib.metadata.version
    monkeypatch.setattr(
        library.importlib.metadata, "version", lambda name: version(name) + ("1" if name == package else "")
    )
    assert fingerprint() != before


@pytest.mark.parametrize("source", sorted(path.name for path in SOURCES.glob("*.py")))
def test_the_fingerprint_depends_on_every_source(source, tmp_path, monkeypatch):
    for path in SOURCES.glob("*.py"):
        shutil.copy(path, tmp_path)
    monkeypatch.setattr(library, "__file__", str(tmp_path / "library.py"))
    before = fingerprint()
    with (tmp_path / source).open("a") as file:
        file.write("#\n")
    assert fingerprint() != before


def test_the_fingerprint_does_not_depend_on_the_order_of_a_folder(monkeypatch):
    """Which is the file system's."""
    glob, found = Path.glob, set()
    for reverse in (False, True):
        monkeypatch.setattr(
            Path, "glob", lambda path, pattern, reverse=reverse: sorted(glob(path, pattern), reverse=reverse)
        )
        found.add(fingerprint())
    assert len(found) == 1


# Another process


TRAIN = """
import sys
import numpy as np
from npvae import VAE
x = np.random.default_rng(0).random((30, 6))
vae = VAE(latent_dim=2, hidden=(5,), epochs=2, batch_size=7, backend="numba", threads=2, dtype=sys.argv[1],
          random_state=0).fit(x)
print(repr(vae.history_["loss"][-1]), vae.score(x) < 0, "numba" in sys.modules)
"""


def in_a_process(script, *arguments, **environment):
    done = processes.run([sys.executable, "-c", script, *arguments], env={**os.environ, **environment})
    assert done.returncode == 0, done.stderr
    return done


def test_kept_code_is_loaded_in_a_process_that_never_imports_numba(tmp_path):
    """Whole training runs, in both dtypes, with the bits of this process."""
    folder = tmp_path / "kernels"
    folder.mkdir()
    for dtype in compiled.DTYPES:
        code_of(dtype)  # so that there is one
        shutil.copy(library._path(dtype, numba_ops.program_folder(), library.machine()), folder)
        done = in_a_process(TRAIN, dtype, NPVAE_HOME=str(tmp_path))
        loss, negative, imported = done.stdout.split()
        assert negative == "True" and imported == "False" and done.stderr == ""
        assert in_a_process(TRAIN, dtype).stdout.split()[0] == loss
    assert len(list(folder.iterdir())) == 2


# The machine


@pytest.mark.parametrize(
    ("triple", "features", "vector_bytes", "registers"),
    [
        ("x86_64-unknown-linux-gnu", "+sse2,+avx,+avx2,+fma,+avx512f,+avx512vl", 64, 32),
        ("x86_64-unknown-linux-gnu", "+sse2,+avx,+avx2,+fma,-avx512f", 32, 16),
        ("x86_64-pc-windows-msvc", "+avx", 32, 16),
        ("x86_64-unknown-linux-gnu", "+sse4.2,-avx,-avx2", 16, 16),
        ("x86_64-unknown-linux-gnu", "", 16, 16),
        ("aarch64-unknown-linux-gnu", "+neon,+fp-armv8", 16, 32),
        ("arm64-apple-darwin24", "", 16, 32),
        ("armv7-unknown-linux-gnueabihf", "+neon", 16, 16),
        ("powerpc64le-unknown-linux-gnu", "+vsx", 16, 16),
    ],
)
def test_the_target_of_a_machine(triple, features, vector_bytes, registers):
    for dtype, size in (("float32", 4), ("float64", 8)):
        made = target.of_machine(dtype, triple, features)
        assert (made.vector_bytes, made.registers, made.itemsize) == (vector_bytes, registers, size)
        assert made.lanes == vector_bytes // size and made.panel == 2 * made.lanes
        # A tile, two vectors of B and one of A fit in the registers, and there are enough sums to keep busy.
        assert made.tile_rows * made.tile_vectors + made.tile_vectors + 1 <= registers
        assert made.tile_rows * made.tile_vectors >= 8


def test_the_environment_names_another_processor(monkeypatch):
    for name in ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES"):
        monkeypatch.delenv(name, raising=False)
    triple, name, features = library.machine()
    assert triple and name
    monkeypatch.setenv("NUMBA_CPU_NAME", "generic")
    assert library.machine() == (triple, "generic", "")
    monkeypatch.setenv("NUMBA_CPU_FEATURES", "+sse2")
    assert library.machine() == (triple, "generic", "+sse2")
    monkeypatch.delenv("NUMBA_CPU_NAME")
    assert library.machine() == (triple, name, "+sse2")


# The machine code itself


def tool(name, *arguments) -> str:
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    return processes.run([name, *arguments], check=True).stdout


@pytest.fixture
def object_file(machine_code, tmp_path):
    if not sys.platform.startswith("linux"):
        pytest.skip("reads ELF")
    path = tmp_path / "program.o"
    path.write_bytes(machine_code[0])
    return path


def test_the_code_calls_nothing_but_the_c_library(object_file):
    """No Python, no Numba runtime: what is kept can be loaded without either."""
    undefined = {line.split()[-1] for line in tool("nm", "--undefined-only", str(object_file)).splitlines() if line}
    assert undefined <= {"memset", "memcpy", "memmove", "_GLOBAL_OFFSET_TABLE_"}


def test_products_are_fused_multiply_adds_on_whole_registers(object_file, machine_code):
    """Every height of a tile has its own, in all the registers of its sums."""
    triple, _, features = library.machine()
    have = set(features.split(","))
    made = target.of_machine(DTYPE, triple, features)
    if triple.startswith("aarch64"):
        pattern = r"\bfmla\s+v(\d+)\.(?:4s|2d)"
    elif triple.startswith("x86_64") and ("+fma" in have or "+avx512f" in have):
        register = {64: "zmm", 32: "ymm", 16: "xmm"}[made.vector_bytes]
        pattern = rf"\bvfmadd\d+p[sd]\s.*%{register}(\d+)$"
    else:
        pytest.skip("the processor has no fused multiply-add")
    text = tool("objdump", "-d", "--no-show-raw-insn", str(object_file))
    sums = re.findall(pattern, text, re.MULTILINE)
    assert len(sums) > 500
    assert len(set(sums)) >= made.tile_rows * made.tile_vectors
