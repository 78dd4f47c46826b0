"""A pytest plugin that writes which lines of npvae each test executes, how long it takes, and whether it passes.

Loaded by ``-p mutation.record`` before anything of npvae is imported. Lines that run while modules are imported belong
to no test. ``MUTATION_RECORD`` names the .json to write, ``MUTATION_TREE`` the tree.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import coverage
import pytest

OUT, TREE = Path(os.environ["MUTATION_RECORD"]), Path(os.environ["MUTATION_TREE"])
CHILDREN = OUT.with_suffix(".children")

_coverage = coverage.Coverage(
    data_file=str(OUT.with_suffix(".coverage")), source=[str(TREE / "npvae"), str(TREE / "kernels")], config_file=False
)
_coverage.start()
_tests: dict[str, dict] = {}
_started = 0.0


def settings_of_children() -> str:
    """The configuration file of coverage in the processes that tests start: each writes a file, in the context of
    its test.
    """
    CHILDREN.mkdir(parents=True, exist_ok=True)
    path = CHILDREN / "coverage.ini"
    path.write_text(
        f"[run]\nparallel = true\ncontext = ${{MUTATION_TEST}}\ndata_file = {CHILDREN / 'data'}\n"
        f"source =\n    {TREE / 'npvae'}\n    {TREE / 'kernels'}\n"
    )
    return str(path)


def pytest_configure(config):
    os.environ["COVERAGE_PROCESS_START"] = settings_of_children()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    global _started
    _coverage.switch_context(item.nodeid)
    os.environ["MUTATION_TEST"] = item.nodeid
    _started = time.perf_counter()
    yield
    _coverage.switch_context("")


def pytest_runtest_logreport(report):
    test = _tests.setdefault(report.nodeid, {"seconds": 0.0, "passed": False})
    test["seconds"] += report.duration
    if report.when == "call":
        test["passed"] = report.passed
    elif not report.passed:
        test["passed"] = False


def pytest_unconfigure(config):
    _coverage.stop()
    found = _coverage.get_data()
    for path in CHILDREN.glob("data*"):
        child = coverage.CoverageData(str(path))
        try:
            child.read()
            found.update(child)
        except coverage.exceptions.CoverageException:
            pass  # of a process that was killed
    lines: dict[str, dict[str, list[int]]] = {}
    for path in found.measured_files():
        resolved = Path(path).resolve()
        if TREE.resolve() in resolved.parents:
            name = str(resolved.relative_to(TREE.resolve()))
            for line, contexts in found.contexts_by_lineno(path).items():
                for test in filter(None, contexts):
                    lines.setdefault(test, {}).setdefault(name, []).append(line)
    result = {name: {**test, "lines": lines.get(name, {})} for name, test in _tests.items()}
    OUT.with_suffix(".part").write_text(json.dumps(result))
    OUT.with_suffix(".part").replace(OUT)
