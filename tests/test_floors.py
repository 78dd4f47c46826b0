"""The house: which room may import which. The floors stand in CONTRIBUTING.md; imports in functions and for type
checkers count.
"""

from __future__ import annotations

import pytest
from import_graph import ROOT, circle, floors, graph, upward

#: What may stand in npvae/ beside the rooms.
FACE = {"__init__", "__main__", "_version", "py.typed"}


def test_no_circle_and_no_arrow_upwards():
    arrows = graph(ROOT)
    assert len(arrows) > 100
    assert circle(arrows) == []
    assert upward(arrows, floors()) == []


def test_every_entry_is_a_room_or_the_face():
    entries = {path.name.removesuffix(".py") for path in (ROOT / "npvae").iterdir()} - {"__pycache__", "kernels"}
    assert entries == {*floors(), *FACE} - {"kernels"}
    assert len(entries) <= 17


def test_kernels_import_nothing_of_the_rest():
    arrows = graph(ROOT)
    for name, targets in arrows.items():
        if name.startswith("npvae.kernels"):
            assert all(target.startswith("npvae.kernels") for target in targets), name


@pytest.mark.parametrize(
    "line",
    ["import npvae.b", "from npvae import b", "def f():\n    from npvae.b import x", "if 0:\n    import npvae.b.c"],
)
def test_a_circle_and_an_arrow_upwards_are_found(tmp_path, line):
    (tmp_path / "npvae").mkdir()
    for name, text in {"__init__": "", "a": line, "b": "from npvae import c", "c": "import npvae.a as a"}.items():
        (tmp_path / "npvae" / f"{name}.py").write_text(text, encoding="utf-8")
    arrows = graph(tmp_path)
    assert {"npvae.a", "npvae.b", "npvae.c"} <= set(circle(arrows))
    assert upward(arrows, ["a", "b", "c"]) == ["npvae.c imports npvae.a"]
    (tmp_path / "npvae" / "c.py").write_text("import os, numpy", encoding="utf-8")
    assert circle(graph(tmp_path)) == [] and upward(graph(tmp_path), ["a", "b", "c"]) == []
    assert upward(graph(tmp_path), ["c", "b", "a"]) == ["npvae.a imports npvae.b", "npvae.b imports npvae.c"]
