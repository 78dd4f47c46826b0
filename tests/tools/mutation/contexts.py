"""Which tests execute which lines: collected file by file of the tests, kept, and carried over to changed sources."""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from mutation.copies import environment, sources

#: The longest that one file of tests may take while its lines are recorded.
LIMIT = 3600


def collect(tree: Path, state: Path, wanted: list[str] | None = None) -> None:
    """Record every file of tests that is not recorded yet, or has changed since; ``wanted`` names some of them."""
    folder, kept = state / "contexts", state / "sources"
    folder.mkdir(parents=True, exist_ok=True)
    snapshot = hashlib.sha256("".join(map(_digest, (tree / name for name in sources(tree)))).encode()).hexdigest()[:16]
    if not (kept / snapshot).exists():
        for name in sources(tree):
            (kept / snapshot / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(tree / name, kept / snapshot / name)
    for path in sorted((tree / "tests").glob("test_*.py")):
        if wanted and path.name not in wanted:
            continue
        out = folder / f"{path.stem}.json"
        if out.exists() and json.loads(out.read_text())["digest"] == _digest(path):
            continue
        record = state / "record" / f"{path.stem}.json"
        record.parent.mkdir(parents=True, exist_ok=True)
        record.unlink(missing_ok=True)
        shutil.rmtree(record.with_suffix(".children"), ignore_errors=True)
        variables = environment(tree, state / "home", MUTATION_RECORD=str(record), MUTATION_TREE=str(tree))
        variables["PYTHONPATH"] += os.pathsep + str(Path(__file__).parent / "children")
        try:
            done = subprocess.run(
                [
                    sys.executable,
                    "-m",
                    "pytest",
                    "-q",
                    "-p",
                    "no:cacheprovider",
                    "-p",
                    "mutation.record",
                    f"tests/{path.name}",
                ],
                cwd=tree,
                env=variables,
                capture_output=True,
                text=True,
                timeout=LIMIT,
                start_new_session=True,
            )
        except subprocess.TimeoutExpired:
            print(f"{path.name}: more than {LIMIT} s", flush=True)
            continue
        last = (done.stdout.strip().splitlines() or ["no output"])[-1]
        print(f"{path.name}: {last}", flush=True)
        (record.with_suffix(".txt")).write_text(done.stdout + done.stderr)
        if record.exists():
            found = {"digest": _digest(path), "snapshot": snapshot, "tests": json.loads(record.read_text())}
            out.with_suffix(".part").write_text(json.dumps(found))
            out.with_suffix(".part").replace(out)
        shutil.rmtree(record.with_suffix(".children"), ignore_errors=True)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Contexts:
    """What was recorded, for the sources as they are now: unchanged lines keep their tests; a new or changed line has
    those of its neighbours in the same piece of changes."""

    def __init__(self, tree: Path, state: Path) -> None:
        self._tests: dict[str, dict] = {}
        self._by_line: dict[str, dict[int, set[str]]] = {}
        maps: dict[tuple[str, str], dict[int, list[int]]] = {}
        for path in sorted((state / "contexts").glob("*.json")):
            found = json.loads(path.read_text())
            if not (tree / "tests" / f"{path.stem}.py").exists():
                continue
            for test, entry in found["tests"].items():
                if not entry["passed"]:
                    continue
                self._tests[test] = entry
                for source, lines in entry.pop("lines").items():
                    key = (found["snapshot"], source)
                    if key not in maps:
                        maps[key] = _moved(state / "sources" / found["snapshot"] / source, tree / source)
                    here = self._by_line.setdefault(source, {})
                    for line in lines:
                        for new in maps[key].get(line, ()):
                            here.setdefault(new, set()).add(test)

    def of_lines(self, source: str, lines) -> set[str]:
        """The tests that execute one of the lines of a file; None: any line."""
        by_line = self._by_line.get(source, {})
        return set().union(*(by_line.get(line, ()) for line in (by_line if lines is None else lines)))

    def of_files(self, pattern) -> set[str]:
        """The tests of files whose names match."""
        return {test for test in self._tests if pattern.search(test)}

    def all(self) -> set[str]:
        """Every test that passed."""
        return set(self._tests)

    def seconds(self, test: str) -> float:
        """How long it took while its lines were recorded."""
        return self._tests[test]["seconds"]


def _moved(old: Path, new: Path) -> dict[int, list[int]]:
    """Where the lines of an old source are in a new one."""
    if not (old.exists() and new.exists()):
        return {}
    before, after = old.read_text().splitlines(), new.read_text().splitlines()
    found: dict[int, list[int]] = {}
    for tag, a, b, c, d in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag == "equal":
            found.update({a + i + 1: [c + i + 1] for i in range(b - a)})
        else:
            for line in range(max(a, 1), b + 1):  # with the line before: of new ones the tests of what they follow
                found.setdefault(line, []).extend(range(c + 1, d + 1))
    return found
