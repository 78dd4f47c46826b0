"""How many threads run, and which backend: what was asked for, the environment, and what the machine allows."""

import builtins
import importlib.util
import os
import sys
import threading
import types

import numpy as np
import processes
import pytest

from npvae import backend
from npvae.backend import blas, numba_ops, threads
from npvae.errors import InputError, InputTypeError, MissingDependencyError
from npvae.fused import parallel
from npvae.support import cgroup, machine_memory


@pytest.fixture(autouse=True)
def plain_machine(monkeypatch, tmp_path):
    """Eight cores, no variable set, no container."""
    for name in threads.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    monkeypatch.setattr(cgroup, "MEMBERSHIP", tmp_path / "membership")
    monkeypatch.setattr(cgroup, "MOUNT", tmp_path / "cgroup")


# How many


def test_what_is_asked_for_comes_first(monkeypatch):
    monkeypatch.setenv("NPVAE_NUM_THREADS", "3")
    assert threads.number_of_threads(5) == 5
    assert threads.number_of_threads(20) == 20  # more than there are cores: asked for is asked for
    assert threads.number_of_threads(np.int64(2)) == 2


@pytest.mark.parametrize(
    ("wrong", "error"),
    [(0, InputError), (-1, InputError), (1.5, InputTypeError), ("2", InputTypeError), (True, InputTypeError)],
)
def test_what_cannot_be_asked_for(wrong, error):
    with pytest.raises(error, match="threads"):
        threads.number_of_threads(wrong)


def test_the_variables_in_their_order(monkeypatch):
    assert threads.VARIABLES == ("NPVAE_NUM_THREADS", "NUMBA_NUM_THREADS", "OMP_NUM_THREADS")
    assert threads.number_of_threads() == 8
    for number, name in ((4, "OMP_NUM_THREADS"), (3, "NUMBA_NUM_THREADS"), (2, "NPVAE_NUM_THREADS")):
        monkeypatch.setenv(name, str(number))
        assert threads.number_of_threads() == number
        assert threads.explain() == (number, f"{name}={number}")
    monkeypatch.setenv("NPVAE_NUM_THREADS", "")  # an empty one counts as none
    assert threads.number_of_threads() == 3


@pytest.mark.parametrize(("text", "number"), [("2", 2), (" 2 ", 2), ("3,2,1", 3), ("08", 8), ("64", 8)])
def test_what_a_variable_may_hold(monkeypatch, text, number):
    """OpenMP allows a list, for nested loops; no variable gives more threads than there are cores."""
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    assert threads.number_of_threads() == number


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", "0x2", "2 threads", "\u00b2", "\u0662", "1" * 400])
@pytest.mark.parametrize("name", threads.VARIABLES)
def test_what_a_variable_may_not_hold(monkeypatch, name, text):
    monkeypatch.setenv(name, text)
    with pytest.raises(InputError, match=f"the environment variable {name} must be a whole number from 1, got"):
        threads.number_of_threads()


# What the machine allows


def test_the_cores_that_the_process_may_use(monkeypatch):
    assert threads.explain() == (8, "the cores this process may use")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {1, 5, 6}, raising=False)
    assert threads.available_cores() == 3


def test_a_system_that_does_not_say(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert threads.available_cores() == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert threads.available_cores() == 1


def group(membership: str, **files: str) -> None:
    """A container: what the kernel says of its groups, and their files, by path with dots."""
    cgroup.MEMBERSHIP.write_text(membership)
    for name, text in files.items():
        path = cgroup.MOUNT / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


SHARES = [
    ("200000 100000\n", 2),
    ("150000 100000\n", 2),
    ("50000 100000\n", 1),
    ("1600000 100000\n", 8),
    ("max 100000\n", 8),
    ("", 8),
    ("nonsense\n", 8),
    ("100000\n", 8),
    ("a b\n", 8),
    ("-1 100000\n", 8),
    ("0 100000", 8),
    ("100000 0", 8),
]


@pytest.mark.parametrize(("text", "cores"), SHARES)
def test_the_share_of_a_container_of_version_2(text, cores):
    group("0::/\n", cpu_DOT_max=text)
    assert threads.available_cores() == cores


@pytest.mark.parametrize("mount", ["cpu", "cpu,cpuacct"])
@pytest.mark.parametrize(("text", "cores"), SHARES)
def test_the_share_of_a_container_of_version_1(text, cores, mount):
    """The group of a container that sees no others lies at the root, whatever the kernel calls it."""
    quota, _, period = text.partition(" ")
    group(
        f"3:memory:/\n2:{mount}:/docker/0123\n1:name=systemd:/\n0::/\n",
        **{f"{mount}__cpu_DOT_cfs_quota_us": quota, f"{mount}__cpu_DOT_cfs_period_us": period},
    )
    assert threads.available_cores() == cores


def test_the_least_share_of_all_groups_around_holds():
    group(
        "0::/user.slice/job\n",
        user_DOT_slice__cpu_DOT_max="300000 100000",
        user_DOT_slice__job__cpu_DOT_max="max 100000",
    )
    assert threads.available_cores() == 3
    group("0::/user.slice/job\n", user_DOT_slice__job__cpu_DOT_max="200000 100000")
    assert threads.available_cores() == 2
    group("0::/../elsewhere\n", cpu_DOT_max="500000 100000")
    assert threads.available_cores() == 5


def test_every_group_says_its_version_and_what_its_files_hold():
    group("0::/a/b\n", a__x="1", a__b__x="2", unified__a__x="3", x="4")
    assert list(cgroup.limits("cpu", ("y",), ("x",))) == [(2, ["2"]), (2, ["1"]), (2, ["4"]), (2, ["3"])]
    group(
        "3:cpu,cpuacct:/a\n5:memory:/a\n",
        **{"cpu,cpuacct__a__y": "5", "cpu__y": "6", "memory__a__y": "7", "cpu,cpuacct__a__z": "8"},
    )
    assert list(cgroup.limits("cpu", ("y", "z"), ("x",))) == [(1, ["5", "8"])]
    assert list(cgroup.limits("cpuacct", ("y",), ("x",))) == [(1, ["5"])]
    group("3:cpu:/a\n", cpu__a__y="\u00e9", cpu__y="6")  # what is not ASCII is no limit
    assert list(cgroup.limits("cpu", ("y",), ("x",))) == [(1, ["6"])]
    cgroup.MEMBERSHIP.unlink()
    assert list(cgroup.limits("cpu", ("y",), ("x",))) == []


def test_the_memory_of_a_container(monkeypatch):
    monkeypatch.setattr(machine_memory, "_of_machine", lambda: 10**9)
    assert machine_memory.available_bytes() == 10**9
    group("0::/\n", memory_DOT_max="900\n", memory_DOT_current="500\n", memory_DOT_stat="anon 3\ninactive_file 100\n")
    assert machine_memory.available_bytes() == 900 - 500 + 100
    group("0::/\n", memory_DOT_max="max\n")
    assert machine_memory.available_bytes() == 10**9
    group(
        "4:memory:/docker/0123\n0::/\n",
        **{
            f"memory__memory_DOT_{name}": text
            for name, text in (
                ("limit_in_bytes", "800"),
                ("usage_in_bytes", "900"),
                ("stat", "inactive_file 7\ntotal_inactive_file 300\n"),
            )
        },
    )
    assert machine_memory.available_bytes() == 200
    monkeypatch.setattr(machine_memory, "_of_machine", lambda: None)
    assert machine_memory.available_bytes() == 200


def test_the_blas_of_numpy_is_limited_without_an_extra():
    """In a process of its own, in which threadpoolctl cannot be imported and BLAS begins with two threads."""
    program = """
import sys
sys.modules["threadpoolctl"] = None
from npvae import backend; from npvae.support import cgroup, machine_memory
from npvae.backend import blas, threads

known = blas.threads()
assert known.get() == 2, known.get()
backend.get("numpy")
assert known.get() == 2, "nothing was asked for"
backend.get("numpy", threads=1)
assert known.get() == 1
assert threads.limit_blas(2) and known.get() == 2
"""
    check_in_process(program, OPENBLAS_NUM_THREADS="2", MKL_NUM_THREADS="2", OMP_NUM_THREADS="2")


@pytest.mark.parametrize("name", ["numpy", "numba"])
def test_the_environment_limits_the_blas_of_every_backend(name):
    if backend.reason_against(name) is not None:
        pytest.skip(f"{name} does not run here")
    program = f"""
from npvae import backend; from npvae.support import cgroup, machine_memory
from npvae.backend import blas

backend.get({name!r})
assert blas.threads().get() == 1, blas.threads().get()
"""
    check_in_process(program, NPVAE_NUM_THREADS="1", OPENBLAS_NUM_THREADS="2", MKL_NUM_THREADS="2")


def check_in_process(program, **variables):
    """Run a program whose BLAS has a number of threads that can be set."""
    if blas.threads() is None:
        pytest.skip("the number of threads of this BLAS cannot be set")
    environment = {key: value for key, value in os.environ.items() if not key.endswith("_NUM_THREADS")}
    done = processes.run([sys.executable, "-c", program], env={**environment, **variables})
    assert done.returncode == 0, done.stderr


class Library:
    """Stands for a shared library that has functions of these names; what they hold is one number."""

    def __init__(self, set_name: str, get_name: str, number: int) -> None:
        self._functions = {set_name: self._setter(), get_name: self._getter()}
        self.number = number

    def _setter(self):
        def set_number(number):
            self.number = number

        return set_number

    def _getter(self):
        return lambda: self.number

    def __getattr__(self, name):
        try:
            return self._functions[name]
        except KeyError:
            raise AttributeError(name) from None

    def __getitem__(self, name):
        return self._functions[name]


@pytest.mark.parametrize(
    ("set_name", "get_name"),
    [
        ("scipy_openblas_set_num_threads64_", "scipy_openblas_get_num_threads64_"),
        ("openblas_set_num_threads64_", "openblas_get_num_threads64_"),
        ("scipy_openblas_set_num_threads", "scipy_openblas_get_num_threads"),
        ("openblas_set_num_threads", "openblas_get_num_threads"),
        ("MKL_Set_Num_Threads", "MKL_Get_Max_Threads"),
        ("bli_thread_set_num_threads", "bli_thread_get_num_threads"),
        ("flexiblas_set_num_threads", "flexiblas_get_num_threads"),
    ],
)
def test_the_blas_libraries_that_are_known(monkeypatch, set_name, get_name):
    library = Library(set_name, get_name, 4)
    monkeypatch.setattr(blas, "_libraries", lambda: ["a path"])
    monkeypatch.setattr(blas.ctypes, "CDLL", lambda path: library)
    known = blas.threads.__wrapped__()
    assert known.get() == 4 and known.set(3) and library.number == known.get() == 3


def test_accelerate_knows_one_thread_or_as_many_as_it_likes(monkeypatch):
    library = Library(*blas.ACCELERATE, 0)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    known = blas._functions(library)
    assert known.get() == 6
    assert known.set(1) and library.number == 1 and known.get() == 1
    assert not known.set(3) and library.number == 0  # more than three: what was asked for is not what runs
    assert known.set(6) and known.get() == 6


def test_a_blas_that_is_not_known_is_left_to_threadpoolctl(monkeypatch):
    def set_limits(number, user_api):
        pools[1]["num_threads"] = number
        return True

    pools = [{"user_api": "openmp", "num_threads": 8}, {"user_api": "blas", "num_threads": 5}]
    module = types.SimpleNamespace(threadpool_info=lambda: pools, threadpool_limits=set_limits)
    monkeypatch.setitem(sys.modules, "threadpoolctl", module)
    monkeypatch.setattr(blas, "_libraries", lambda: [])
    known = blas.threads.__wrapped__()
    assert known.get() == 5 and known.set(2) and known.get() == 2
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    monkeypatch.setattr(blas, "threads", blas.threads.__wrapped__)
    assert blas.threads() is None and not threads.limit_blas(3)
    with pytest.raises(MissingDependencyError, match=r"cannot be set .*OPENBLAS_NUM_THREADS.*npvae\[threads\]"):
        backend.get("numpy", threads=3)
    monkeypatch.setenv("NPVAE_NUM_THREADS", "3")
    assert backend.get("numpy").name == "numpy"


# Which backend


def without(monkeypatch, package):
    """As if it were not installed, and everything else were."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == package else object())


def importing_numba_fails(monkeypatch, error):
    """As when Numba does not know the NumPy that there is; and no code is kept that would run without it."""
    original = builtins.__import__

    def fail(name, *rest):
        if name == "numba" or name.startswith("numba."):
            raise error
        return original(name, *rest)

    monkeypatch.setattr(builtins, "__import__", fail)
    monkeypatch.setattr(numba_ops.library, "is_kept", lambda dtype, folder: False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: object())


@pytest.mark.parametrize("package", ["numba", "llvmlite"])
def test_without_numba_auto_is_numpy_and_numba_says_why(monkeypatch, package):
    without(monkeypatch, package)
    assert f"{package} is not installed" in backend.reason_against("numba")
    assert backend.reason_against("numpy") is None
    assert backend.get("auto").name == backend.get().name == "numpy"
    with pytest.raises(MissingDependencyError, match=rf"'numba' cannot run here: {package} .*npvae\[numba\]"):
        backend.get("numba")


@pytest.mark.parametrize(
    "error",
    [
        ImportError("Numba needs NumPy 1.26 or less. Got NumPy 9.0."),
        SystemError("initialization failed"),
        AttributeError("module 'numpy' has no attribute 'x'"),
    ],
)
def test_where_numba_cannot_be_imported_auto_is_numpy_and_numba_says_why(monkeypatch, error):
    importing_numba_fails(monkeypatch, error)
    assert backend.get("auto").name == "numpy"
    with pytest.raises(MissingDependencyError) as caught:
        backend.get("numba")
    assert str(error) in str(caught.value) and "cannot run here" in str(caught.value)


needs_numba = pytest.mark.skipif(backend.reason_against("numba") is not None, reason="numba does not run here")


@needs_numba
def test_a_user_without_a_home_has_a_backend(monkeypatch):
    """As in a container that runs as a number without a name."""

    for name in ("NPVAE_HOME", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert numba_ops.program_folder() is None
    ops = backend.get("auto")
    assert ops.squared_error(np.ones((1, 2)), np.zeros((1, 2)))[0] == 2.0


@needs_numba
def test_auto_is_the_fastest_that_runs():
    assert list(backend.KNOWN) == ["cupy", "numba", "numpy"]
    fastest = "numba" if backend.reason_against("cupy") else "cupy"
    assert backend.get("auto").name == backend.get().name == fastest


@needs_numba
def test_the_backend_takes_its_number_from_the_same_places(monkeypatch):
    limits = []
    monkeypatch.setattr(threads, "limit_blas", lambda number: limits.append(number) or True)
    monkeypatch.setenv("NUMBA_NUM_THREADS", "3")
    ops = backend.get("numba")
    assert ops.threads == 3 and "3 threads (NUMBA_NUM_THREADS=3)" in ops.description()
    assert limits == []  # nothing was asked for, so BLAS stays as it is
    ops = backend.get("numba", threads=1)
    assert ops.threads == 1 and "1 thread (asked for)" in ops.description() and limits == [1]
    monkeypatch.setenv("NPVAE_NUM_THREADS", "4")  # npvae's own variable is meant for its BLAS, too
    assert backend.get("numba").threads == 4 and limits == [1, 4]
    with pytest.raises(InputError, match="threads must be at least 1, got 0"):
        backend.get("numba", threads=0)


@needs_numba
def test_a_run_starts_so_many_threads_and_they_end_with_it(monkeypatch):
    from trained import grey, run

    monkeypatch.setattr(threads, "limit_blas", lambda number: True)
    before, started, calls = threading.active_count(), [], []
    start, parallel_run = threading.Thread.start, parallel.run

    def count(self):
        started.append(self)
        start(self)

    def note(program, plan, number):
        started.clear()
        parallel_run(program, plan, number)
        calls.append((number, len(started), sum(thread.is_alive() for thread in started)))

    monkeypatch.setattr(threading.Thread, "start", count)
    monkeypatch.setattr(parallel, "run", note)
    for number in (1, 2, 4):
        calls.clear()
        run(backend.get("numba", threads=number), grey(20), epochs=1)
        assert calls[0] == (number, number - 1, 0) and all(most <= number for most, _, _ in calls)
        assert threading.active_count() == before
