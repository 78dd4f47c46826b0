"""Which module imports which, read from their text: imports in functions and for type checkers count."""

from __future__ import annotations

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parent.parent


def floors() -> list[str]:
    """The rooms from the roof down, as the table in CONTRIBUTING.md has them."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text[text.index("## Rooms") : text.index("## Adding something")]
    return re.findall(r"^\| `(\w+)(?:/|\.py)` \|", section, re.MULTILINE)


def modules(root: Path) -> dict[str, Path]:
    """Every module by its name; ``kernels/`` is installed as npvae.kernels."""
    found = {}
    for folder, name in ((root / "npvae", "npvae"), (root / "kernels", "npvae.kernels")):
        for path in sorted(folder.rglob("*.py")):
            inside = path.relative_to(folder).with_suffix("").parts
            if folder.name == "npvae" and inside[:1] == ("kernels",):
                continue  # an installed copy
            found[".".join([name, *inside]).removesuffix(".__init__")] = path
    return found


def imports(name: str, source: str, known) -> set[str]:
    """The modules that a module imports, wherever in it; a package whose module is imported runs first, so it counts
    too.
    """
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}, line {node.lineno}: a relative import"
            found.update({f"{node.module}.{alias.name}" for alias in node.names})
    found = {next((m for m in _upwards(one) if m in known), None) for one in found} - {None}
    packages = {package for one in found for package in _upwards(one) if package in known}
    return {one for one in found | packages if one != name and one != "npvae" and not name.startswith(one + ".")}


def _upwards(name: str):
    while name:
        yield name
        name = name.rpartition(".")[0]


def graph(root: Path) -> dict[str, set[str]]:
    known = modules(root)
    return {name: imports(name, path.read_text(encoding="utf-8"), known) for name, path in known.items()}


def circle(arrows: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in a circle; [] if there are none."""
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def upward(arrows: dict[str, set[str]], order: list[str]) -> list[str]:
    """The imports that climb: "npvae.data.x imports npvae.cli.y"."""
    floor = {room: number for number, room in enumerate([*order, "_version"])}

    def of(module: str) -> int:
        return floor.get(module.split(".")[1], -1) if "." in module else -1

    return [f"{a} imports {b}" for a, targets in arrows.items() for b in sorted(targets) if of(b) < of(a)]
