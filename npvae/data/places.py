"""Where data files may lie on this machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def cache_folder() -> Path:
    """Return the folder for downloads; it need not exist.

    The environment variable ``NPVAE_HOME`` if set; else ``%LOCALAPPDATA%/npvae`` on Windows; elsewhere
    ``$XDG_CACHE_HOME/npvae`` or ``~/.cache/npvae``.
    """
    if os.environ.get("NPVAE_HOME"):
        return Path(os.environ["NPVAE_HOME"]).expanduser()
    base = os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "npvae"


def search_folders(name: str, folder=None) -> list[Path]:
    """Return the folders that may hold the files of data set ``name``, the first to be preferred.

    ``folder``, or else the environment variable ``NPVAE_DATA``, is the user's own collection, with one
    folder for each data set; the cache comes after it.
    """
    collections = [folder or os.environ.get("NPVAE_DATA"), cache_folder()]
    return [Path(each).expanduser() / name for each in collections if each]


def find(file_name: str, folders: list[Path]) -> Path | None:
    """Return the first file of that name, with or without ``.gz``, in ``folders``, or None."""
    plain = file_name.removesuffix(".gz")
    other = plain if file_name.endswith(".gz") else plain + ".gz"
    for folder in folders:
        for candidate in (folder / file_name, folder / other):
            if candidate.is_file():
                return candidate
    return None
