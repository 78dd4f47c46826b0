"""The code that docs/missing.md shows runs."""

import re
from pathlib import Path

import numpy as np

PAGE = Path(__file__).parent.parent / "docs" / "missing.md"


def test_the_code_of_the_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.S)
    assert len(blocks) == 2
    names: dict = {}
    for block in blocks:
        exec(block, names)
    assert (tmp_path / "imputer.npz").exists()
    missing = np.isnan(names["table"])
    assert np.isfinite(names["found"].mean).all() and names["found"].draws.shape == (3, 300, 4)
    assert (names["low"][missing] < names["high"][missing]).all()
