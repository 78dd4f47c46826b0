"""Writing files so that a crash never leaves half of one: temporary name first, then rename."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO


def write_atomically(path, write: Callable[[BinaryIO], None]) -> None:
    """Call ``write(file)`` on a new binary file and move it to ``path`` once it is complete.

    The temporary file lies in the same folder, so that the rename is atomic; it is removed on any
    error (full disk, Ctrl-C), and an older file at ``path`` then stays as it was. The bytes are flushed
    to the disk before the rename. OSError: the folder is missing or cannot be written.
    """
    path = Path(path)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp makes private files; be like open()
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise


def write_text_atomically(path, text: str) -> None:
    """Write ``text`` as UTF-8 with Unix line ends, through :func:`write_atomically`."""
    write_atomically(path, lambda file: file.write(text.encode("utf-8")))


def _umask() -> int:
    # The umask can only be read by setting it; set it back at once.
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
