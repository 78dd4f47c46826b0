"""Where data files may lie on this machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from npvae.errors import InputError

#: What to do where there is no folder for the cache, or where it cannot be used.
REMEDY = "the environment variable NPVAE_HOME can name another folder"


def cache_folder() -> Path | None:
    """Return the folder for downloads and compiled programs, which need not exist; None for a user without a home.

    The environment variable ``NPVAE_HOME`` if set; else ``%LOCALAPPDATA%/npvae`` on Windows; elsewhere
    ``$XDG_CACHE_HOME/npvae`` or ``~/.cache/npvae``. InputError: ``NPVAE_HOME`` names somebody's home that is not known.
    """
    if os.environ.get("NPVAE_HOME"):
        return _expanded(os.environ["NPVAE_HOME"], "the environment variable NPVAE_HOME")
    base = os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME", "")
    if os.path.isabs(base):  # a relative one is to be ignored, says the XDG specification
        return Path(base, "npvae")
    home = os.path.expanduser("~")  # as it is where nothing says what it stands for, as in many a container
    return Path(home, ".cache", "npvae") if os.path.isabs(home) else None


def _expanded(path, name: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise InputError(
            f"{name} begins with a home folder that is not known here: {str(path)!r}; give the whole path"
        ) from None


def search_folders(name: str, folder=None) -> list[Path]:
    """Return the folders that may hold the files of data set ``name``, the first to be preferred.

    ``folder``, or else the environment variable ``NPVAE_DATA``, is the user's own collection, with one
    folder for each data set; the cache comes after it.
    """
    own = _expanded(folder, "folder") if folder else None
    if own is None and os.environ.get("NPVAE_DATA"):
        own = _expanded(os.environ["NPVAE_DATA"], "the environment variable NPVAE_DATA")
    return [each / name for each in (own, cache_folder()) if each is not None]


def find(file_name: str, folders: list[Path]) -> Path | None:
    """Return the first file of that name, with or without ``.gz``, in ``folders``, or None."""
    plain = file_name.removesuffix(".gz")
    other = plain if file_name.endswith(".gz") else plain + ".gz"
    for folder in folders:
        for candidate in (folder / file_name, folder / other):
            if os.path.isfile(candidate):  # False, not an error, in a folder that may not be looked into
                return candidate
    return None
