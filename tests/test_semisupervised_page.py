"""The code that docs/semisupervised.md shows runs."""

import re
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "semisupervised.md"


def test_the_code_of_the_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    block, of_tables = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.S)
    names: dict = {}
    exec(of_tables, names)
    assert names["model"].predict_proba(names["table"]).shape == (160, 2)
    assert {name: len(column) for name, column in names["model"].sample("yes", 3).items()} == {
        "age": 3,
        "region": 3,
        "owner": 3,
    }
    exec(block, names)
    assert (tmp_path / "digits-m2.npz").exists()
    model, digits = names["model"], names["digits"]
    assert model.predict(digits.x_test).shape == (1000,) and model.sample(3, 5).shape == (5, 784)
    assert model.analogies(digits.x_test[:2]).shape == (2, 10, 784)
