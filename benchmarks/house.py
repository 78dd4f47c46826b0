"""The shape of the package: lines of code, entries, import circles and imports that point up.

    python benchmarks/house.py

Lines are those of npvae/ and kernels/ that hold code: no docstrings, comments or blank lines. Circles and imports that
point up are found as tests/test_floors.py finds them.
"""

from __future__ import annotations

import ast
import io
import json
import sys
import tokenize
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
from import_graph import circle, floors, graph, modules, upward


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


def figures() -> dict:
    """All of them."""
    arrows = graph(ROOT)
    entries = [path for path in (ROOT / "npvae").iterdir() if not path.name.startswith(("__pycache__", "."))]
    return {
        "lines of code": sum(map(code_lines, modules(ROOT).values())),
        "entries under npvae/": len(entries),
        "import circles": circle(arrows),
        "upward imports": upward(arrows, floors()),
    }


if __name__ == "__main__":
    print(json.dumps(figures(), indent=2))
