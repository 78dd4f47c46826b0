"""Writing files so that a crash never leaves half of one: temporary name first, then rename."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

#: Temporary files are called ``.NAME.RANDOM.part``, NAME cut to this length.
_NAME_LENGTH = 60


def write_atomically(path, write: Callable[[BinaryIO], None]) -> None:
    """Call ``write(file)`` on a new binary file and move it to ``path`` once it is complete.

    The temporary file lies in the same folder, so that the rename is atomic; it is removed on any
    error (full disk, Ctrl-C), and an older file at ``path`` then stays as it was. The bytes are flushed
    to the disk before the rename. A symbolic link is followed. OSError: the folder is missing or cannot be
    written, or what is at ``path`` is write-protected or not an ordinary file (a folder, a device).
    """
    path = Path(os.path.realpath(path))
    if not path.parent.is_dir():
        raise FileNotFoundError(f"the folder {path.parent} does not exist")
    if path.exists() and not path.is_file():
        raise OSError(f"{path} is not an ordinary file and is not replaced by one")
    if path.exists() and not os.access(path, os.W_OK):
        raise PermissionError(f"{path} is write-protected")
    temporary = path.parent / f".{path.name[:_NAME_LENGTH]}.{secrets.token_hex(4)}.part"
    try:
        with open(temporary, "xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def remove_leftovers(path) -> None:
    """Remove temporary files for ``path`` that a killed process may have left."""
    path = Path(path)
    for part in path.parent.glob(f".{path.name[:_NAME_LENGTH]}.*.part"):
        part.unlink(missing_ok=True)


def write_text_atomically(path, text: str) -> None:
    """Write ``text`` as UTF-8 with Unix line ends, through :func:`write_atomically`."""
    write_atomically(path, lambda file: file.write(text.encode("utf-8")))
