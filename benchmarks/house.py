"""The shape of the package: lines of code, entries, import circles and imports that point up.

    python benchmarks/house.py

Lines are those of npvae/ and kernels/ that hold code: no docstrings, comments or blank lines. All imports count, those
inside functions too, but not those for type checkers. A module may import what stands on its own floor or below:
FLOORS.
"""

from __future__ import annotations

import ast
import io
import json
import re
import tokenize
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

#: The rooms from the roof down, as CONTRIBUTING.md has them.
FLOORS = [
    (room,)
    for room in re.findall(
        r"^\| `(\w+)(?:/|\.py)` \|", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.MULTILINE
    )
]


def code_lines(path: Path) -> int:
    """Lines of a file on which there is code."""
    text = path.read_text(encoding="utf-8")
    lines = set()
    blank = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in blank:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        is_text = (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        )
        if is_text:  # a docstring, or a text that stands for one
            lines.difference_update(range(node.lineno, node.end_lineno + 1))
    return len(lines)


def modules() -> dict[str, Path]:
    """Every module of npvae and of npvae.kernels by its name."""
    found = {}
    for folder, package in ((ROOT / "npvae", "npvae"), (ROOT / "kernels", "npvae.kernels")):
        for path in sorted(folder.rglob("*.py")):
            parts = [package, *path.relative_to(folder).with_suffix("").parts]
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


def imports(path: Path, known) -> set[str]:
    """The modules of npvae that a file imports; a name that is no module counts for the module that has it."""
    names, stack = set(), [ast.parse(path.read_text(encoding="utf-8"))]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            stack += node.orelse
            continue
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module in known:
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            names.update(inside & known.keys())
            if inside - known.keys():
                names.add(node.module)
        stack += ast.iter_child_nodes(node)
    return names


def circles(arrows: dict[str, set[str]]) -> list[list[str]]:
    """The strongly connected parts of more than one module."""

    def reached(start: str) -> set[str]:
        seen, stack = set(), [start]
        while stack:
            for other in arrows[stack.pop()] - seen:
                seen.add(other)
                stack.append(other)
        return seen

    reach = {name: reached(name) for name in arrows}
    parts = {
        frozenset(other for other in reach[name] if name in reach[other]) for name in arrows if name in reach[name]
    }
    return sorted(sorted(part) for part in parts if len(part) > 1)


def floor_of(name: str) -> int | None:
    """How many floors a module stands above the ground, or None."""
    parts = name.split(".")
    room = parts[1] if len(parts) > 1 else ""
    for i, rooms in enumerate(FLOORS):
        if room in rooms:
            return len(FLOORS) - i
    return None


def upward(arrows: dict[str, set[str]]) -> list[str]:
    """``"module -> module"`` of every import from a floor of one above it."""
    found = []
    for name, others in arrows.items():
        for other in others:
            here, there = floor_of(name), floor_of(other)
            if here is not None and there is not None and there > here:
                found.append(f"{name} -> {other}")
    return sorted(found)


def figures() -> dict:
    """All of them."""
    known = modules()
    arrows = {name: imports(path, known) - {name} for name, path in known.items()}
    entries = [path for path in (ROOT / "npvae").iterdir() if not path.name.startswith(("__pycache__", "."))]
    return {
        "lines of code": sum(map(code_lines, known.values())),
        "entries under npvae/": len(entries),
        "import circles": [" ".join(circle) for circle in circles(arrows)],
        "upward imports": upward(arrows),
    }


if __name__ == "__main__":
    print(json.dumps(figures(), indent=2))
