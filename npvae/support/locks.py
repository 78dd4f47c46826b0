"""Locks on paths that a run writes to again and again: a second run on one is refused, and told who holds it.

The lock of ``FOLDER/NAME`` is the system's, on the file ``FOLDER/.NAME.lock``, which says whose it is. It vanishes with
its process, however that ends; the file of a killed one is taken over, and removed, by the next.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from pathlib import Path

from npvae.errors import InputError

try:
    import fcntl
except ImportError:  # no such locks on this system
    fcntl = None  # type: ignore[assignment]

#: Bytes of a lock's file that are read.
_LONGEST = 4096
#: What this process holds: the thread and how many times it took it, by path.
_held: dict[Path, tuple[int, int]] = {}
_guard = threading.Lock()


@contextlib.contextmanager
def held(path, advice: str):
    """A context in which nobody else holds ``path``, which need not exist. The thread that holds it may hold it again.

    InputError: another process or thread holds it; ``advice`` says what to do. Where the system or the file system
    knows no locks, nothing is locked.
    """
    path, thread = Path(os.path.realpath(path)), threading.get_ident()
    with _guard:
        owner, times = _held.get(path, (thread, 0))
        if owner != thread:
            raise InputError(f"another thread of this process is writing to {path}: {advice}")
        handle = _take(path, advice) if times == 0 else None
        _held[path] = thread, times + 1
    try:
        yield
    finally:
        with _guard:
            _held[path] = thread, times
            if times == 0:
                del _held[path]
                if handle is not None:
                    _give_back(path, handle)


def _file_of(path: Path) -> Path:
    return path.parent / f".{path.name}.lock"


def _take(path: Path, advice: str) -> int | None:
    """The open file of the lock, or None where there are none."""
    if fcntl is None:
        return None
    file = _file_of(path)
    while True:
        try:
            handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        except OSError:  # no folder, or one that may not be written to: whoever writes there will say so
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            who = _holder(handle)
            os.close(handle)
            raise InputError(f"{path} is being written to by {who}: {advice}") from None
        except OSError:  # a file system without locks
            os.close(handle)
            file.unlink(missing_ok=True)
            return None
        if _is_there(handle, file):
            break
        os.close(handle)  # its last holder removed it between our two calls
    about = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
    with contextlib.suppress(OSError):  # a full disk: the lock holds, and only whose it is stays unsaid
        os.ftruncate(handle, 0)
        os.write(handle, json.dumps(about).encode())
    return handle


def _is_there(handle: int, file: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.stat(file))
    except OSError:
        return False


def _holder(handle: int) -> str:
    """Who holds a lock, in words."""
    try:
        about = json.loads(os.pread(handle, _LONGEST, 0))
        pid, host, since = int(about["pid"]), ascii(str(about["host"]))[1:-1], ascii(str(about["since"]))[1:-1]
        return f"process {pid} on {host}, since {since}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def _give_back(path: Path, handle: int) -> None:
    with contextlib.suppress(OSError):
        _file_of(path).unlink()  # while it is still ours
    os.close(handle)
