"""The compiled program on this machine: compile it once with Numba, keep the machine code, load it in milliseconds.

Compiling takes seconds, importing Numba half a second, loading kept machine code with llvmlite (the part of Numba that
holds the compiler) a few milliseconds. So the machine code is kept in a file, named after everything it depends on:
these sources, Numba's and llvmlite's versions, the processor and its features. Machine code is run as it is, so it is
taken only from a file and a folder that belong to the user and that nobody else may write to. Where there is no such
folder, or it cannot be written to, the program is compiled anew in every process and works all the same.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import importlib.metadata
import os
import platform
import stat
import tempfile
import threading
import time
from pathlib import Path

from npvae.kernels.cpu.target import Target, of_machine

_MAGIC = b"npvae machine code 1\n"
_loaded: dict = {}
_loading: threading.Lock


def _renew_lock() -> None:
    global _loading
    _loading = threading.Lock()


_renew_lock()
if hasattr(os, "register_at_fork"):  # in a child nobody would open the lock that another thread of its parent holds
    os.register_at_fork(after_in_child=_renew_lock)


class Program:
    """``run(plan, thread)`` in machine code, for arrays of one dtype; it lets other Python threads run meanwhile."""

    def __init__(self, target: Target, address: int, keep, origin: str) -> None:
        self.target = target
        self.origin = origin  #: "compiled" or "cache"
        self._keep = keep  # whatever owns the machine code
        pointer, integer = ctypes.c_void_p, ctypes.c_int64
        # Numba's calling convention: places for a result and an exception, of which there is neither here.
        self._function = ctypes.CFUNCTYPE(ctypes.c_int32, pointer, pointer, integer, integer)(address)
        self._nothing = (ctypes.c_int64 * 2)()
        self._places = (ctypes.addressof(self._nothing), ctypes.addressof(self._nothing) + 8)

    def run(self, plan: int, thread: int = 0) -> None:
        """Run the plan at an address."""
        self._function(*self._places, plan, thread)


def loaded(dtype: str) -> Program | None:
    """The program for a dtype if this process has it already."""
    return _loaded.get(dtype)


def load(dtype: str, folder: Path | None = None, announce=None, remedy: str = "") -> Program:
    """The program for a dtype: the one of this process, of the folder, or compiled now and kept in the folder.

    ``announce`` is called with a line of text before and after compiling; where the code cannot be kept it says why,
    and ``remedy``, what to do about it. ImportError: Numba or llvmlite cannot be imported.
    """
    if dtype not in _loaded:
        with _loading:
            if dtype not in _loaded:
                _loaded[dtype] = _load(dtype, folder, announce or (lambda text: None), remedy)
    return _loaded[dtype]


def kept(dtype: str, folder: Path | None = None) -> Program | None:
    """The program for a dtype if there is one that need not be compiled: of this process, or of the folder."""
    if dtype not in _loaded and _loading.acquire(blocking=False):  # somebody who is compiling is not waited for
        try:
            program, _ = (None, None) if dtype in _loaded else _of_folder(dtype, folder, machine())
            if program is not None:
                _loaded[dtype] = program
        finally:
            _loading.release()
    return _loaded.get(dtype)


def machine() -> tuple[str, str, str]:
    """LLVM's names of the system, the processor and its features, as Numba will see them."""
    import llvmlite.binding as llvm

    name, features = os.environ.get("NUMBA_CPU_NAME"), os.environ.get("NUMBA_CPU_FEATURES")
    if features is None:
        features = "" if name == "generic" else llvm.get_host_cpu_features().flatten()
    return llvm.get_process_triple(), name or llvm.get_host_cpu_name(), features


def _load(dtype, folder, announce, remedy) -> Program:
    names = machine()
    program, why_not = _of_folder(dtype, folder, names)
    if program is not None:
        return program
    remedy = remedy and f"; {remedy}"
    obstacle = _reason_against_keeping(folder)
    if why_not and obstacle is None:  # otherwise the reason is the same
        announce(why_not)
    announce(
        f"compiling for {dtype}, "
        + ("once on this machine ..." if obstacle is None else f"for this process alone, since {obstacle}{remedy} ...")
    )
    started = time.perf_counter()
    target = _target(dtype, names)
    code, name, address, keep = _compile(target)
    lost = _keep(_path(dtype, folder, names), name, code) if obstacle is None else None
    announce(
        f"compiled for {dtype} in {time.perf_counter() - started:.1f} s"
        + ("" if lost is None else f", but it cannot be kept in {folder}: {lost}{remedy}")
    )
    return Program(target, address, keep, "compiled")


def _target(dtype, names) -> Target:
    triple, _, features = names
    return of_machine(dtype, triple, features)


def is_kept(dtype: str, folder: Path | None) -> bool:
    """Whether the folder holds the machine code of this version for this machine, and may be trusted."""
    if folder is None:
        return False
    path = _path(dtype, folder, machine())
    try:
        return not any(_reason_against_trusting(each, os.stat(each)) for each in (folder, path))
    except OSError:
        return False


def _of_folder(dtype, folder: Path | None, names) -> tuple[Program | None, str | None]:
    """The program that the folder holds, or None, and then, if there is one that may not be used, why."""
    if folder is None:
        return None, None
    path = _path(dtype, folder, names)
    try:
        with open(path, "rb") as file:
            for each, status in ((folder, os.stat(folder)), (path, os.fstat(file.fileno()))):
                reason = _reason_against_trusting(each, status)
                if reason is not None:
                    return None, f"the compiled code there is not used, since {reason}"
            content = file.read()
    except OSError:  # there is no file, or it may not be looked at
        return None, None
    return _program_in(content, _target(dtype, names)), None


def _reason_against_trusting(path: Path, status: os.stat_result) -> str | None:
    """Why somebody else could have put there what is there, or None."""
    if os.name != "posix":
        return None
    if status.st_uid != os.geteuid():
        return f"{path} belongs to another user"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"others may write to {path} (mode {stat.S_IMODE(status.st_mode):o})"
    return None


def _reason_against_keeping(folder: Path | None) -> str | None:
    """Why machine code cannot be kept in a folder, which is made if it can be, or None."""
    if folder is None:
        return "there is no home folder to keep it in"
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        reason = _reason_against_trusting(folder, os.stat(folder))
    except OSError as error:
        return f"the folder {folder} cannot be made: {error.strerror or error}"
    if reason is None and not os.access(folder, os.W_OK | os.X_OK):
        return f"the folder {folder} cannot be written to"
    return reason


def _path(dtype: str, folder: Path, names) -> Path:
    return folder / f"{dtype}-{_fingerprint(*names)}.bin"


def fingerprint() -> str:
    """A short name for the program on this machine: of its sources, of what compiles them, and of the processor."""
    return _fingerprint(*machine())


@functools.cache
def _fingerprint(*machine: str) -> str:
    """Everything that the machine code depends on, as a short name."""
    digest = hashlib.sha256(repr(machine).encode())
    for package in ("numba", "llvmlite"):
        digest.update(importlib.metadata.version(package).encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:20]


def _compile(target: Target):
    """``(object code, symbol, address, owner)``."""
    from numba.core import config
    from numba.core.compiler_lock import global_compiler_lock

    from npvae.kernels.cpu import program
    from npvae.kernels.cpu.loops import compiled

    with global_compiler_lock:
        before = config.OPT, config.LOOP_VECTORIZE, config.SLP_VECTORIZE
        try:
            # Vectors are written out, so nothing is left for LLVM to vectorise; and what a part is inlined into is
            # optimised again, so that the parts need little: both for the sake of compile time.
            config.LOOP_VECTORIZE = config.SLP_VECTORIZE = 0
            config.OPT = type(before[0])(1)
            run = program.make(target, platform.machine().lower() in ("x86_64", "amd64", "i386", "i686"))
            config.OPT = before[0]
            dispatcher = compiled(2)(run)
            (result,) = dispatcher.overloads.values()
            library, name = result.library, result.fndesc.mangled_name
            address = library.get_pointer_to_function(name)
        finally:
            config.OPT, config.LOOP_VECTORIZE, config.SLP_VECTORIZE = before
        return library._get_compiled_object(), name, address, dispatcher


def _keep(path: Path, name: str, code: bytes) -> str | None:
    """Write the machine code; a folder that cannot be written to only means no cache. Why it cannot, or None."""
    body = name.encode() + b"\n" + code
    content = _MAGIC + hashlib.sha256(body).digest() + body
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)  # for the user alone to read and write
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            os.replace(temporary, path)
        except OSError:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        return error.strerror or str(error)
    return None


def _program_in(content: bytes, target: Target) -> Program | None:
    """The program in what a file holds, or None if that is not whole."""
    import llvmlite.binding as llvm

    body = content[len(_MAGIC) + 32 :]
    if content[: len(_MAGIC)] != _MAGIC or content[len(_MAGIC) : len(_MAGIC) + 32] != hashlib.sha256(body).digest():
        return None
    name, code = body.split(b"\n", 1)
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine()
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    address = engine.get_function_address(name.decode())
    return Program(target, address, engine, "cache") if address else None
