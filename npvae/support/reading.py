"""Opening what somebody gave for a file: only ordinary files, and without waiting."""

from __future__ import annotations

import os
import stat
from io import BufferedReader

from npvae.errors import InputError

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a folder",
}


def open_file(path, error: type[Exception] = InputError) -> tuple[BufferedReader, int]:
    """``(file, size)`` of an ordinary file, open to read bytes; a pipe or device might never end, or never begin.

    FileNotFoundError, PermissionError, ...: it cannot be opened. ``error``: it is not an ordinary file.
    """
    if os.path.isdir(path):  # which not every system opens
        raise error(f"{os.fspath(path)} is a folder, not a file")
    # A pipe without a writer would keep the process waiting.
    handle = os.open(
        path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    )
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            kind = _KINDS.get(stat.S_IFMT(found.st_mode), "not an ordinary file")
            raise error(f"{os.fspath(path)} is {kind}; expected an ordinary file: copy its contents into one first")
        return os.fdopen(handle, "rb"), found.st_size
    except BaseException:
        os.close(handle)
        raise
