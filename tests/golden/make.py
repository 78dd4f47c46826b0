"""Writes the files of this folder: one of every kind that npvae reads, and what comes of using each.

    python tests/golden/make.py

They are of the format version that their names begin with. Files of a version are written once, when it is new, and
stay as they are: a later npvae has to read them, or to refuse them by their number. test_golden.py reads and uses each
on every change.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tools"))

from fuzzing import honest  # noqa: E402

#: The honest files that are npvae's own.
OWN = honest.KINDS[:9]


def used(folder: Path) -> dict[str, list[np.ndarray]]:
    """What comes of loading and using every file of a folder, whose checkpoints are gone on with."""
    kinds = honest.kinds("numpy")
    return {name: kinds[name].use(kinds[name].load(folder / name)) for name in OWN}


def main() -> None:
    """Write the files."""
    warnings.simplefilter("ignore")
    from npvae.support.npz_file import FORMAT_VERSION

    folder, working = HERE / f"version-{FORMAT_VERSION}", HERE / "working"
    if folder.exists():
        sys.exit(f"{folder} is there already: files of a version are not written again")
    honest.write_all(working, goes_on="numpy")
    folder.mkdir()
    for name in OWN:
        (folder / name).write_bytes((working / name).read_bytes())
    np.savez_compressed(
        folder / "expected.npz",
        **{f"{name}:{i}": x for name, found in used(working).items() for i, x in enumerate(found)},
    )
    for path in working.iterdir():
        path.unlink()
    working.rmdir()


if __name__ == "__main__":
    main()
