"""Copies of the tree to put faults into, so that nothing in use is ever changed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def copy_tree(folder: Path) -> Path:
    """The files of the working tree that git knows or would add, copied into a new folder."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    shutil.rmtree(folder, ignore_errors=True)
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    if not (folder / "npvae" / "kernels").exists():
        os.symlink("../kernels", folder / "npvae" / "kernels")  # where the installed package has it
    return folder


def environment(tree: Path, home: Path, **more: str) -> dict[str, str]:
    """The environment in which the copy is what ``import npvae`` finds, with a cache of machine code of its own."""
    tools = Path(__file__).resolve().parents[1]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, (tree, tools))),
        "NPVAE_HOME": str(home),
        "PYTHONDONTWRITEBYTECODE": "1",
        **more,
    }


def sources(tree: Path) -> list[str]:
    """The Python files that faults are put into, by their names in the tree."""
    found = [path for folder in ("npvae", "kernels") for path in (tree / folder).rglob("*.py")]
    return sorted(str(path.relative_to(tree)) for path in found if "kernels" not in path.relative_to(tree).parts[1:])
