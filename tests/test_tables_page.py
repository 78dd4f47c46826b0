"""The code that docs/tables.md shows runs, and does what is said beside it."""

import re
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "tables.md"


def test_the_code_of_the_page(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.S)
    exec(block, names)
    assert (tmp_path / "filled.csv").read_bytes() == names["text"].replace(b";;", b";1,88;")
    assert "1.5 to 2.25; decimal ','; 1 missing (empty)" in capsys.readouterr().out
