"""mypy finds nothing in the package, and mypy --strict nothing in a user's program that touches every public name."""

import ast
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import npvae

ROOT = Path(__file__).parent.parent
PROGRAM = ROOT / "tests" / "typing" / "user_program.py"


def mypy() -> list[str]:
    """How mypy is started; skips where it is not installed."""
    if importlib.util.find_spec("mypy"):
        return [sys.executable, "-m", "mypy"]
    program = shutil.which("mypy")
    if program is None:
        pytest.skip("mypy is not installed: python -m pip install 'npvae[test]'")
    return [program, "--python-executable", sys.executable]


def test_the_program_touches_every_public_name():
    names = {node.attr for node in ast.walk(ast.parse(PROGRAM.read_text())) if isinstance(node, ast.Attribute)}
    names |= {node.id for node in ast.walk(ast.parse(PROGRAM.read_text())) if isinstance(node, ast.Name)}
    assert set(npvae.__all__) <= names


@pytest.fixture
def tree(tmp_path):
    """A folder with the package as it is installed: npvae.kernels inside npvae."""
    package = tmp_path / "npvae"
    shutil.copytree(ROOT / "npvae", package, ignore=shutil.ignore_patterns("__pycache__", "kernels"))
    shutil.copytree(ROOT / "kernels", package / "kernels", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def checked(tree, *arguments) -> subprocess.CompletedProcess:
    return subprocess.run(
        [*mypy(), "--config-file", ROOT / "pyproject.toml", "--cache-dir", tree / "cache", *arguments],
        cwd=tree,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.slow
@pytest.mark.parametrize(("more", "message"), [("", ""), ("\n\nVAE(latent_dim='two')\n", 'expected "int | None"')])
def test_a_user_s_program_has_no_type_errors(tree, more, message):
    (tree / "program.py").write_text(PROGRAM.read_text() + more)
    done = checked(tree, "--strict", "--follow-imports", "silent", "program.py")
    assert (done.returncode == 0) == (not message) and message in done.stdout, done.stdout + done.stderr


@pytest.mark.slow
def test_the_package_has_no_type_errors(tree):
    done = checked(tree, "npvae")
    assert done.returncode == 0, done.stdout + done.stderr
