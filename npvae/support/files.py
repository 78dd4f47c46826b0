"""Writing files so that a crash never leaves half of one: temporary name first, then rename.

What is not an ordinary file, a pipe or a device, and what a name such as ``/dev/stdout`` stands for, is never replaced
by one. Who wants to write there says so with a :class:`Stream`: nothing is renamed then.
"""

from __future__ import annotations

import errno
import io
import os
import re
import secrets
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # no such locks on this system
    fcntl = None  # type: ignore[assignment]

#: Temporary files are called ``.NAME.RANDOM.part``, NAME cut to this length.
_NAME_LENGTH = 60
#: Symbolic links that are followed to find out what a name stands for; Linux follows as many.
_MOST_LINKS = 40


def write_atomically(path, write: Callable[[BinaryIO], object]) -> None:
    """Call ``write(file)`` on a new binary file and move it to ``path`` once it is complete.

    The temporary file lies in the same folder, so that the rename is atomic; it is removed on any error (full disk,
    Ctrl-C), and an older file at ``path`` then stays as it was. The bytes are flushed to the disk before the rename. A
    symbolic link is followed. The new file has the mode of the old one, and its owner where the system allows it;
    without an old one the mode is the umask's. What killed writers of the same path left is removed. A :class:`Stream`
    is written to as it is. OSError: the folder is missing or cannot be written, or what is at ``path`` is
    write-protected or not an ordinary file (a folder, a pipe, a device).
    """
    if isinstance(path, Stream):
        path.take(write)
        return
    stream, path = is_stream(path), Path(os.path.realpath(path))
    if not path.parent.is_dir():
        raise FileNotFoundError(f"the folder {path.parent} does not exist")
    old = path.stat() if path.exists() else None
    if stream or old is not None and not stat.S_ISREG(old.st_mode):
        raise OSError(f"{path} is not an ordinary file and is not replaced by one")
    if old is not None and not os.access(path, os.W_OK):
        raise PermissionError(f"{path} is write-protected")
    remove_leftovers(path)
    # Nobody may read the new bytes who may not read the old ones, not even while they are written.
    file, temporary = _temporary_file(path, 0o666 if old is None else 0o600)
    try:
        with file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
            if old is not None:
                _keep_owner_and_mode(file.fileno(), old)
            _move(temporary, path, file)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:  # a full disk, for one
            if error.errno is None:  # NumPy's own words: how many numbers went in
                raise OSError(f"{path} cannot be written, the disk may be full: {error}") from error
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def write_text_atomically(path, text: str) -> None:
    """Write ``text`` as UTF-8 with Unix line ends, through :func:`write_atomically`."""
    write_atomically(path, lambda file: file.write(text.encode("utf-8")))


def remove_leftovers(path) -> None:
    """Remove temporary files for ``path`` whose writers are dead: a living one holds a lock on its own."""
    path = Path(os.path.realpath(path))
    ours = re.compile(re.escape(f".{path.name[:_NAME_LENGTH]}.") + r"[0-9a-f]{8}\.part")
    try:
        names = [name for name in os.listdir(path.parent) if ours.fullmatch(name)]
    except OSError:  # the folder is not there, or may not be read: then there is nothing that we could remove
        return
    for name in names:
        try:
            _remove_if_dead(path.parent / name)
        except OSError:
            pass  # gone, or not ours, or on a file system that cannot say whether its writer lives


def is_stream(path) -> bool:
    """Whether ``path`` is written to as it is: a pipe or a character device, or a name of an open file such as
    /dev/stdout.
    """
    if _descriptor(path) is not None:
        return True
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


class Stream(os.PathLike):
    """A stream as the target of :func:`write_atomically`: ``-`` for standard output, or what :func:`is_stream` says is
    one.

    As a path it ends in ``suffix``, for functions that go by a file's suffix.
    """

    def __init__(self, name, suffix: str = "") -> None:
        self.name = os.fspath(name)
        self._suffix = suffix

    def __fspath__(self) -> str:
        return self.name if self.name.endswith(self._suffix) else self.name + self._suffix

    def __repr__(self) -> str:
        return f"Stream({self.name!r})"

    @property
    def is_stdout(self) -> bool:
        """Whether it is standard output, under whatever name."""
        return self.name == "-" or _descriptor(self.name) == 1

    def take(self, write: Callable[[BinaryIO], object]) -> None:
        """Send what ``write(file)`` writes, all at once at the end: half of it is not sent because an error came.

        OSError: nobody reads (BrokenPipeError), or it cannot be written to.
        """
        whole = io.BytesIO()  # a zip and an array want to seek, which a pipe does not
        write(whole)
        try:
            self._send(whole.getbuffer())
        except OSError as error:
            if error.filename is not None or error.errno is None:
                raise
            raise OSError(error.errno, error.strerror, "standard output" if self.name == "-" else self.name) from error

    def _send(self, data: memoryview) -> None:
        if self.is_stdout:
            if sys.stdout is None:
                raise OSError(errno.EBADF, "it is closed")
            sys.stdout.flush()
            _write_all(sys.stdout.buffer, data)
            return
        number = _descriptor(self.name)
        with open(self.name if number is None else os.dup(number), "wb") as file:
            _write_all(file, data)


def _write_all(file: BinaryIO, data: memoryview) -> None:
    """Write every byte: a standard output without a buffer (``python -u``) takes as many as the pipe has room for."""
    while len(data):
        written = file.write(data)
        data = data[len(data) if written is None else written :]
    file.flush()


def _descriptor(path) -> int | None:
    """The number of the open file of this process that ``path`` is a name of, by way of links or not; None: of none.

    Such a name must not be resolved to the file behind it: standard output may be in the middle of that.
    """
    name = os.path.abspath(os.fspath(path))
    for _ in range(_MOST_LINKS):
        folder, last = os.path.split(name)
        if last.isascii() and last.isdigit() and os.path.realpath(folder) in ("/dev/fd", f"/proc/{os.getpid()}/fd"):
            return int(last)
        try:
            name = os.path.join(folder, os.readlink(name))
        except (OSError, ValueError):
            return None  # no link
    return None


def _temporary_file(path: Path, mode: int) -> tuple[BinaryIO, Path]:
    """A new file beside ``path``, locked as long as it is open, and its name."""
    while True:
        temporary = path.parent / f".{path.name[:_NAME_LENGTH]}.{secrets.token_hex(4)}.part"
        try:
            file = open(
                os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode), "wb"
            )
        except FileExistsError:
            continue
        except OSError as error:
            raise OSError(
                error.errno, f"no temporary file can be made beside it ({error.strerror})", str(path)
            ) from error
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
            except OSError:
                pass  # a file system without locks: nobody takes an unlocked file there for a dead writer's
        if os.fstat(file.fileno()).st_nlink:
            return file, temporary
        file.close()  # between its making and its locking somebody took it for a dead writer's


def _remove_if_dead(temporary: Path) -> None:
    """Remove it unless its writer lives. OSError: it is not known."""
    if fcntl is None:
        temporary.unlink()  # Windows refuses this while the file is open
        return
    handle = os.open(temporary, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        temporary.unlink()
    finally:
        os.close(handle)


def _keep_owner_and_mode(handle: int, old: os.stat_result) -> None:
    new = os.fstat(handle)
    if hasattr(os, "fchown") and (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
        for owner, group in ((old.st_uid, old.st_gid), (-1, old.st_gid)):
            try:
                os.fchown(handle, owner, group)
                break
            except OSError:
                pass  # only root may give files away
    if hasattr(os, "fchmod"):
        os.fchmod(handle, stat.S_IMODE(old.st_mode))


def _move(temporary: Path, path: Path, file: BinaryIO) -> None:
    """Give the complete file its name, while it is locked: where there are locks, open files can be renamed."""
    if fcntl is None:
        file.close()
    try:
        os.replace(temporary, path)
    except OSError as error:
        raise OSError(
            error.errno,
            f"the file is complete, but cannot take its name here ({error.strerror}); write to another folder",
            str(path),
        ) from error
