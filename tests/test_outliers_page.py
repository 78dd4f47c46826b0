"""The code that docs/outliers.md shows runs, and does what is said beside it."""

import re
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "outliers.md"


def test_the_code_of_the_page():
    names: dict = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.S):
        exec(block, names)
    labels, found = names["labels"], names["found"]
    assert (labels == -1).sum() == 2 and labels[17] == labels[40] == -1
    assert found.largest[17] == "weight" and found.largest[40] in ("height", "weight")
    assert abs(found.contributions.sum(axis=1) - found.score).max() < 1e-9
