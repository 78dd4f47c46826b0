"""Every example runs as it stands."""

from __future__ import annotations

import sys
from pathlib import Path

import processes
import pytest

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))


SLOW = ("few_labels.py",)


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=pytest.mark.slow if path.name in SLOW else []) for path in EXAMPLES],
    ids=[path.name for path in EXAMPLES],
)
def test_example_runs(path, tmp_path):
    command = [sys.executable, "-W", "error", path, "--epochs", "1"]  # as the index promises of each
    done = processes.run(command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_there_are_examples_and_their_index_lists_them_all():
    index = (Path(__file__).parent.parent / "examples" / "README.md").read_text(encoding="utf-8")
    assert len(EXAMPLES) >= 4
    assert [path.name for path in EXAMPLES if path.name not in index] == []
