"""A seeded sample of faults over all folders, and for each the tests that execute its line, the fastest first."""

from __future__ import annotations

import ast
import math
import random
import re
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path

from mutation.copies import sources
from mutation.operators import Fault, faults, is_readable

#: Tests whose recorded times together are longer than this are left to the whole suite, seconds.
LONGEST = 150.0
#: Files of kernels/ that Numba compiles: what they do at run time executes no line of Python.
COMPILED = {
    "arithmetic",
    "bodies",
    "division",
    "elementary",
    "gemm",
    "importance_weighted",
    "loops",
    "packing",
    "philox",
    "program",
    "sizes",
    "threads",
    "tiles",
    "training",
    "update",
    "vector",
}
#: What the tests of compiled code are called.
OF_COMPILED = re.compile(r"test_kernels_|test_numba_|test_products|test_worker_pool")
#: The tests that read signatures and fields, which executes none of their lines.
OF_SIGNATURES = re.compile(r"test_defaults")


@dataclass(frozen=True)
class Mutant:
    """A fault in a file."""

    path: str
    fault: Fault
    before: str  #: the line as it is
    after: str

    @property
    def name(self) -> str:
        return f"{self.path}:{self.fault.line}:{self.fault.start}:{self.fault.kind}:{self.fault.new}"

    def as_record(self) -> dict:
        return {"path": self.path, **asdict(self.fault), "before": self.before, "after": self.after}

    @classmethod
    def of_record(cls, record: dict) -> Mutant:
        fault = Fault(*(record[name] for name in ("line", "start", "end", "new", "kind")))
        return cls(record["path"], fault, record["before"], record["after"])


def purposes(tree: Path) -> tuple[str, ...]:
    """The purposes of random numbers, as npvae/mathematics/random.py lists them."""
    for node in ast.parse((tree / "npvae" / "mathematics" / "random.py").read_text()).body:
        targets = getattr(node, "targets", [getattr(node, "target", None)])
        if any(getattr(target, "id", "") == "PURPOSES" for target in targets):
            return tuple(
                each.value
                for each in ast.walk(node.value)
                if isinstance(each, ast.Constant) and isinstance(each.value, str)
            )
    return ()


def sample(tree: Path, seed: int, count: int, pattern: str = "") -> list[Mutant]:
    """``count`` mutants, no two of one line: as many of every folder, and in a folder of every kind a share that grows
    with the square root of how many there are. pattern: a regular expression of paths, where not all are wanted."""
    generator, known = random.Random(seed), purposes(tree)
    texts = {name: (tree / name).read_text() for name in sources(tree) if re.search(pattern, name)}
    folders: dict[str, dict[str, list]] = defaultdict(lambda: defaultdict(list))
    for name, text in texts.items():
        for fault in faults(text, known):
            folders[str(Path(name).parent)][fault.kind].append((name, fault))
    chosen, taken, names = [], set(), sorted(folders)
    # As many of every folder as of any other, and one more of the first where that does not come out even.
    wanted = {folder: count // len(names) + (i < count % len(names)) for i, folder in enumerate(names)}
    for folder, number in wanted.items():
        kinds, left = folders[folder], number
        kind_names = sorted(kinds)
        weights = [math.sqrt(len(kinds[kind])) for kind in kind_names]
        for _ in range(100 * number):
            if not left:
                break
            path, fault = generator.choice(kinds[generator.choices(kind_names, weights)[0]])
            if (path, fault.line) not in taken and is_readable(fault, texts[path]):
                taken.add((path, fault.line))
                before, after = (
                    text.splitlines()[fault.line - 1].strip() for text in (texts[path], fault.applied(texts[path]))
                )
                chosen.append(Mutant(path, fault, before, after))
                left -= 1
    generator.shuffle(chosen)  # so that the first hundred are a sample too
    return chosen


class Sources:
    """What of each source a line stands in."""

    def __init__(self, tree: Path) -> None:
        self.texts = {name: (tree / name).read_text() for name in sources(tree)}
        self.trees = {name: ast.parse(text) for name, text in self.texts.items()}

    def statement(self, path: str, line: int) -> tuple[list[int], bool, tuple[str, ...]]:
        """Of the innermost statement around a line: its lines, or those of its head; whether it runs as the module is
        imported; the names that it defines, if it does."""
        best, inside = None, False
        stack = [(self.trees[path], False)]
        while stack:
            node, in_function = stack.pop()
            for child in ast.iter_child_nodes(node):
                function = in_function or isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
                start = (
                    min([child.lineno, *(d.lineno for d in getattr(child, "decorator_list", []))])
                    if hasattr(child, "lineno")
                    else None
                )
                if isinstance(child, ast.stmt) and start <= line <= child.end_lineno:
                    best, inside = child, in_function
                stack.append((child, function))
        if best is None:
            return [line], True, ()
        body = getattr(best, "body", None)
        if isinstance(best, (ast.FunctionDef, ast.AsyncFunctionDef)):  # a default: whoever runs the function
            return list(range(body[0].lineno, best.end_lineno + 1)), False, ()
        if isinstance(best, ast.ClassDef):
            return list(range(best.lineno, best.end_lineno + 1)), False, ()
        last = body[0].lineno - 1 if isinstance(body, list) and body else best.end_lineno
        names = tuple(
            each.id
            for target in getattr(best, "targets", [getattr(best, "target", None)])
            if target is not None
            for each in ast.walk(target)
            if isinstance(each, ast.Name)
        )
        return list(range(best.lineno, max(last, line) + 1)), not inside, names

    def function(self, path: str, line: int) -> list[int]:
        """The lines of the innermost function around a line."""
        around = [
            node
            for node in ast.walk(self.trees[path])
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.lineno <= line <= node.end_lineno
        ]
        return (
            []
            if not around
            else list(range(max(node.lineno for node in around) + 1, min(node.end_lineno for node in around) + 1))
        )

    def users(self, names: tuple[str, ...]) -> dict[str, list[int]]:
        """The lines of functions, by file, in which one of the names stands."""
        found: dict[str, list[int]] = {}
        for path, tree in self.trees.items():
            if not any(name in self.texts[path] for name in names):
                continue
            for node in ast.walk(tree):
                if isinstance(node, (ast.Name, ast.Attribute)) and (
                    getattr(node, "id", None) in names or getattr(node, "attr", None) in names
                ):
                    lines, at_import, _ = self.statement(path, node.lineno)
                    if not at_import:
                        found.setdefault(path, []).extend(lines)
        return found


def tests_of(mutant: Mutant, known: Sources, contexts) -> tuple[list[str], str]:
    """The tests that execute the line, fastest first, and how they were found."""
    path, line = mutant.path, mutant.fault.line
    if path.startswith("kernels/") and Path(path).stem in COMPILED:
        tests = contexts.of_files(OF_COMPILED)
        found = fastest(tests | contexts.of_lines(path, [line]), contexts)
        # Each dtype is a program of its own, to be compiled first: those of one dtype together.
        return sorted(found, key=lambda test: "float32" in test), "compiled"
    lines, at_import, names = known.statement(path, line)
    signatures = contexts.of_files(OF_SIGNATURES) if at_import or mutant.fault.kind == "default changed" else set()
    if not at_import:
        tests = contexts.of_lines(path, lines) | signatures
        if tests:
            return fastest(tests, contexts), "line"
        # No test is known to execute it, or none since it was changed: those of its function, or else of its file.
        return fastest(
            contexts.of_lines(path, known.function(path, line)) or contexts.of_lines(path, None), contexts
        ), "neighbours"
    # It runs in every process that imports the module; what matters is who uses what it defines.
    tests: set[str] = set()
    for user, at in known.users(names).items() if names else ():
        tests |= contexts.of_lines(user, at)
    if tests:
        return fastest(tests | signatures, contexts), "names"
    return fastest((contexts.of_lines(path, lines) or contexts.of_lines(path, None)) | signatures, contexts), "file"


def fastest(tests: set[str], contexts, longest: float = LONGEST) -> list[str]:
    """Files of tests that take little in all first; of each file the quickest tests first; all together not longer
    than that.
    """
    chosen, seconds = [], 0.0
    for test in sorted(tests, key=lambda name: (contexts.seconds(name), name)):
        if chosen and seconds + contexts.seconds(test) > longest:
            break
        seconds += contexts.seconds(test)
        chosen.append(test)
    files: dict[str, list[str]] = defaultdict(list)
    for test in chosen:
        files[test.partition("::")[0]].append(test)
    return [
        test
        for _, tests in sorted(files.items(), key=lambda item: sum(map(contexts.seconds, item[1])))
        for test in tests
    ]
