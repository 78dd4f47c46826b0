"""The code that docs/frames.md shows runs, and does what is said beside it."""

import datetime
import re
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "frames.md"


def test_the_code_of_the_page():
    names: dict = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.S):
        exec(block, names)
    table, filled = names["table"], names["filled"]
    assert names["imputer"].carried_ == {"customer_id": "ignored, as was said"} and [*filled] == [*table]
    for name, kind in (("customer_id", int), ("day", datetime.date), ("age", int), ("region", str)):
        assert {type(cell) for cell in filled[name]} == {kind}
        assert all(new is old for new, old in zip(filled[name], table[name], strict=True) if old is not None)
