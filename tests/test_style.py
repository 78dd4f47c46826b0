"""The rules of ruff that pyproject.toml names hold in every file, and its format."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def ruff() -> list[str]:
    """How ruff is started; skips where it is not installed."""
    if importlib.util.find_spec("ruff"):
        return [sys.executable, "-m", "ruff"]
    program = shutil.which("ruff")
    if program is None:
        pytest.skip("ruff is not installed: python -m pip install 'npvae[test]'")
    return [program]


@pytest.mark.parametrize(
    "command", [["check", "--output-format", "concise"], ["format", "--check"]], ids=["check", "format"]
)
def test_ruff_finds_nothing(command):
    done = subprocess.run([*ruff(), *command, "--no-cache", "."], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
