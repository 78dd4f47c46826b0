"""No import circles: every import counts, those inside functions and those for type checkers too."""

import ast
import graphlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def modules(root: Path) -> dict[str, Path]:
    """Every module of npvae and of npvae.kernels by its name."""
    found = {}
    for folder, package in ((root / "npvae", "npvae"), (root / "kernels", "npvae.kernels")):
        for path in sorted(folder.rglob("*.py")):
            parts = [package, *path.relative_to(folder).with_suffix("").parts]
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


def imports(path: Path, known) -> set[str]:
    """The modules among ``known`` that a file imports anywhere; a name that is no module counts for the module that
    has it.
    """
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names} & known
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import, which this test does not follow"
            for alias in node.names:
                inside = f"{node.module}.{alias.name}"
                names |= {inside if inside in known else node.module} & known
    return names


def arrows(root: Path) -> dict[str, set[str]]:
    """By module, what it imports. The package itself is left out: it imports its public names at their first use."""
    known = modules(root)
    del known["npvae"]
    return {name: imports(path, known.keys()) - {name} for name, path in known.items()}


def circle(arrows) -> list[str]:
    """The modules of a circle in order, or []."""
    try:
        graphlib.TopologicalSorter(arrows).prepare()
    except graphlib.CycleError as error:
        return error.args[1][::-1]
    return []


def test_there_is_no_circle():
    found = arrows(ROOT)
    assert len(found) > 100
    assert not circle(found), " -> ".join(circle(found))


@pytest.mark.parametrize(
    "inner",
    [
        "from npvae import a",
        "import npvae.a",
        "from npvae.a import thing",
        "def f():\n    from npvae import a",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from npvae.a import T",
    ],
)
def test_a_circle_is_found_however_it_is_imported(tmp_path, inner):
    for name, text in {"__init__": "", "a": "from npvae import b", "b": "from npvae import c", "c": inner}.items():
        (tmp_path / "npvae").mkdir(exist_ok=True)
        (tmp_path / "npvae" / f"{name}.py").write_text(text)
    assert circle(arrows(tmp_path)) in [[f"npvae.{name}" for name in names] for names in ("abca", "bcab", "cabc")]
    (tmp_path / "npvae" / "c.py").write_text("import npvae")
    assert circle(arrows(tmp_path)) == []
