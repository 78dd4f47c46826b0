"""Running tests on a copy with a fault in it: each time in a process forked from one that has imported what npvae
imports.

A test that runs much longer than it did while it was recorded counts as hanging: a fault may make a loop endless.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mutation.copies import environment

#: The longest that the tests of one mutant may run, seconds; those that did not get their turn are left to the whole
#: suite.
LIMIT = 300.0
#: A test hangs when it takes longer than this, and this many times what it took when it was recorded.
PATIENCE, SLOWER = 60.0, 20.0
#: Where the compiled program has changed, a test may have to wait until it is compiled, twice.
COMPILING = 240.0


def preload() -> None:
    """Import what tests import beside npvae, once, before processes are forked."""
    import importlib

    for name in (
        "numpy",
        "numpy.testing",
        "numpy.lib.format",
        "llvmlite.binding",
        "csv",
        "zipfile",
        "http.server",
        "matplotlib.figure",
        "sklearn.base",
        "autograd.numpy",
    ):
        try:
            importlib.import_module(name)
        except ImportError:
            pass


class Chosen:
    """A pytest plugin: only these tests, in this order; each is written down as it starts, and what failed."""

    def __init__(self, tests: list[str], log: Path) -> None:
        self.order = {test: i for i, test in enumerate(tests)}
        self.log = log

    def _write(self, **entry) -> None:
        with open(self.log, "a") as file:
            file.write(json.dumps(entry) + "\n")

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config, items):
        kept = sorted((item for item in items if item.nodeid in self.order), key=lambda item: self.order[item.nodeid])
        items[:] = kept
        self._write(collected=len(kept))

    def pytest_runtest_logstart(self, nodeid):
        self._write(started=nodeid)

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self._write(failed=report.nodeid)


class Runner:
    """Runs tests on one copy of the tree."""

    def __init__(self, tree: Path, home: Path, scratch: Path, seconds_of) -> None:
        self.tree, self.home, self.scratch, self.seconds_of = tree, home, scratch, seconds_of
        self.sound: set[str] = set()  #: tests that passed without a fault
        self.unsound: set[str] = (
            set()
        )  #: tests that failed without one, as some do in a forked process: they prove nothing
        self._clock = 0
        scratch.mkdir(parents=True, exist_ok=True)

    def verdict(self, mutant, tests: list[str], limit: float = LIMIT) -> dict:
        """The verdict on a mutant: "killed" by a test, "timeout", "survived", or "unfinished" where the limit came
        first. The test that kills it must pass without the fault."""
        while True:
            tests = [test for test in tests if test not in self.unsound]
            if not tests:
                return {"verdict": "survived", "by": "", "ran": 0, "seconds": 0.0}
            result = self._with_fault(mutant, tests, limit + (COMPILING if mutant.path.startswith("kernels/") else 0.0))
            by = result["by"]
            if result["verdict"] not in ("killed", "timeout") or by not in tests or by in self.sound:
                return result
            if self.run([by])["verdict"] == "survived":
                self.sound.add(by)
                return result
            self.unsound.add(by)
            print(f"left out, as it fails without a fault: {by}", flush=True)

    def _with_fault(self, mutant, tests: list[str], limit: float) -> dict:
        path = self.tree / mutant.path
        text, times, kept = path.read_text(), path.stat(), self._programs()
        self._clock += 1
        try:
            path.write_text(mutant.fault.applied(text))
            # A time of its own, so that no byte code of another mutant, written in the same second, is taken for this
            # one's.
            os.utime(path, (times.st_atime, times.st_mtime + 10 * self._clock))
            return self.run(tests, limit, PATIENCE + (COMPILING if mutant.path.startswith("kernels/") else 0.0))
        finally:
            path.write_text(text)
            os.utime(path, (times.st_atime, times.st_mtime))
            for program in self._programs() - kept:
                program.unlink(missing_ok=True)

    def warm_up(self, kept: Path) -> None:
        """Compile what the compiled backends need, and keep it, before any test waits for it; ``kept``: where others
        may have.
        """
        kept.mkdir(parents=True, exist_ok=True)
        shutil.copytree(kept, self.home / "kernels", dirs_exist_ok=True)
        subprocess.run(
            [sys.executable, "-m", "npvae", "warmup"],
            cwd=self.tree,
            env=environment(self.tree, self.home),
            capture_output=True,
            timeout=1200,
        )
        shutil.copytree(self.home / "kernels", kept, dirs_exist_ok=True)

    def run(self, tests: list[str], limit: float = LIMIT, patience: float = PATIENCE) -> dict:
        """The verdict of these tests on the copy as it is."""
        log, out = self.scratch / "log.jsonl", self.scratch / "output.txt"
        log.unlink(missing_ok=True)
        started = time.monotonic()
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            _child(self.tree, self.home, tests, log, out)
        code, verdict = None, None
        while code is None:
            time.sleep(0.02)
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                code = os.waitstatus_to_exitcode(status)
            elif time.monotonic() - started > limit:
                verdict = "unfinished"
            elif log.exists() and (test := self._running(log)) is not None:
                if time.time() - log.stat().st_mtime > patience + SLOWER * self.seconds_of(test):
                    verdict = "timeout"
            elif time.monotonic() - started > 2 * PATIENCE + patience:
                verdict = "timeout"  # while it imports
            if verdict:
                break
        _end(pid)
        entries = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        failed = [entry["failed"] for entry in entries if "failed" in entry]
        ran = [entry["started"] for entry in entries if "started" in entry]
        if failed:
            verdict = "killed"
        elif verdict is None:
            # 0: all passed; 5: none was found; anything else: it could not even be imported, or the process died.
            verdict = "survived" if code in (0, 5) else "killed"
        by = (
            failed[0]
            if failed
            else (ran[-1] if verdict == "timeout" and ran else ("" if verdict != "killed" else f"exit code {code}"))
        )
        return {"verdict": verdict, "by": by, "ran": len(ran), "seconds": round(time.monotonic() - started, 1)}

    def _running(self, log: Path) -> str | None:
        lines = log.read_text().splitlines()
        started = [json.loads(line).get("started") for line in lines[-1:] if line.endswith("}")]
        return started[0] if started else None

    def _programs(self) -> set[Path]:
        """What is in the cache of machine code."""
        return set((self.home / "kernels").glob("*"))


def _child(tree: Path, home: Path, tests, log: Path, out: Path) -> None:
    """The forked process: becomes pytest and never returns."""
    code = 70
    try:
        os.setsid()
        to, nothing = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0), os.dup2(to, 1), os.dup2(to, 2)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.environ.clear()
        os.environ.update(_BEFORE | environment(tree, home))
        os.chdir(tree)
        sys.path[:0] = [str(tree)]
        sys.dont_write_bytecode = True
        files = list(dict.fromkeys(test.partition("::")[0] for test in tests))
        code = int(
            pytest.main(
                ["-x", "-q", "--tb=short", "-p", "no:cacheprovider", f"--basetemp={log.parent / 'tmp'}", *files],
                plugins=[Chosen(tests, log)],
            )
        )
    finally:
        os._exit(code)


_BEFORE = dict(os.environ)


def _end(pid: int) -> None:
    """End the process and all that it started, which are a group of their own."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        pass


def copy_of(tree: Path, folder: Path) -> Path:
    """Another copy of the copied tree: a new one, since a run that was killed leaves its last fault in it."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(tree, folder, symlinks=True)
    return folder
