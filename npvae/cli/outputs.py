"""What a command writes: one rule for all commands and all their outputs, applied before anything is computed.

An output is refused if it is a file that the command reads, seen through symbolic and hard links; if it holds a model,
a checkpoint or an imputer, unless the command trains and puts a new one there with ``--overwrite``; or if two outputs
are one file.

``-`` is standard output. It, and whatever else is no ordinary file, is a stream: nothing is renamed, and what the
command has to say beside goes to standard error. Where the reader of a stream has gone, the command ends quietly with
exit code 141, which is what a shell reports of a program that the signal SIGPIPE ended.
"""

from __future__ import annotations

import argparse
import os
import re
import stat
import sys
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from npvae import data
from npvae.cli import output
from npvae.data import DATASETS, save_array
from npvae.data.places import find, search_folders
from npvae.data.published import FILES
from npvae.errors import InputError
from npvae.support.files import Stream, is_stream

#: Bytes at the beginning of a file, and of its header, among which the name of its format is looked for.
_HEADER_BYTES = 1 << 16


def output_file(text: str) -> str:
    """The type of an option that names a file to write, or ``-``. By it a test finds all of them."""
    if not text:
        raise argparse.ArgumentTypeError("expected the name of a file, got an empty text")
    return text


def output_folder(text: str) -> str:
    """The type of an option that names a folder to write files to."""
    if text in ("", "-"):
        raise argparse.ArgumentTypeError(f"expected the name of a folder, got {text!r}")
    return text


@dataclass(frozen=True)
class Output:
    """A file to write: the option that asks for it, as the user writes it, and its name. model: whether a new model,
    checkpoint or imputer goes there."""

    flag: str
    path: str | Path
    model: bool = False

    def __str__(self) -> str:
        return f"{self.flag} {self.path}"


def refuse(
    written: Iterable[Output | None],
    read: Iterable[tuple[str, object]] = (),
    *,
    overwrite: bool | None = None,
    replaceable: tuple[str, str] | None = None,
) -> None:
    """Refuse outputs that cannot be written, or would take the place of what must stay. None are left out.

    read: the option and the name of everything that the command reads: a file, a data set, the folder of a model, or
    None. overwrite: whether the user said ``--overwrite``; None: the command has no such option. replaceable: an output
    and an input, by their options, of which the first may be the second if the user says ``--overwrite``. InputError,
    FileNotFoundError, PermissionError.
    """
    outputs = [one for one in written if one is not None]
    for one in outputs:
        _refuse_unwritable(one)
    inputs = [(flag, name, file) for flag, name in read if name not in (None, "-") for file in _files_read(str(name))]
    for one in outputs:
        for flag, name, file in inputs:
            if not _same_file(one.path, file):
                continue
            could = replaceable == (one.flag, flag) and overwrite is not None
            if not (could and overwrite):
                raise InputError(
                    f"{one} is the file of {flag}: {name} is read from; choose another name"
                    + (", or say --overwrite" if could else "")
                )
        kind = npvae_format(one.path)
        if one.flag == "--checkpoint" and kind and not kind.endswith("checkpoint"):
            raise InputError(f"{one} holds {_article(kind)} {kind} of npvae, not a checkpoint; choose another name")
        if kind and not (one.model and overwrite):
            way = ", or say --overwrite" if one.model and overwrite is not None else ""
            raise InputError(
                f"{one} holds {_article(kind)} {kind} of npvae, which is not written over; choose another name{way}"
            )
    for i, one in enumerate(outputs):
        for other in outputs[:i]:
            if _same_file(one.path, other.path):
                kind = "stream" if _is_stream(one.path) else "file"
                raise InputError(
                    f"{other} and {one} are one {kind}: {one.path} would be written twice; choose other names"
                )
    if any(_is_stdout(one.path) for one in outputs):
        output.keep_stdout_for_data()


def refuse_suffix(one: Output, suffixes: tuple[str, ...], of_kind: str = "") -> None:
    """InputError unless the name ends in one of ``suffixes``, or is a stream's, or a folder's, which is refused in
    other words. of_kind: what else it must do, in words."""
    if not _is_stream(one.path) and not Path(one.path).is_dir() and Path(one.path).suffix.lower() not in suffixes:
        raise InputError(f"{one} must {of_kind}end in {' or '.join(suffixes)}")


def suffix_of(path, default: str = ".csv") -> str:
    """The suffix that says in which form a file is written, lower case; of a stream without one, ``default``."""
    suffix = Path(path).suffix.lower()
    return suffix or default if _is_stream(path) else suffix


def target(path, default: str = ".csv"):
    """What to give to a function that writes to ``path``: for a stream, one that has a suffix."""
    return Stream(path, suffix_of(path, default)) if _is_stream(path) else path


def write_array(path, x, column_names=None) -> None:
    """Write an array to a file, or to a stream: by its suffix, or as rows of numbers without names."""
    if suffix_of(path) == ".csv":
        x = x.reshape(len(x), -1)
    save_array(target(path), x, None if _is_stream(path) else column_names)


def written_words(outputs: Iterable) -> str:
    """The names of the files among ``outputs``, in a line; "" if all are streams."""
    names = [str(name) for name in outputs if not _is_stream(name)]
    return ", ".join(names if len(names) <= 4 else [*names[:2], "...", names[-1]])


def npvae_format(path) -> str:
    """What a file holds that npvae wrote, whole or damaged: "model", "checkpoint", "imputer", ...; "" of any other,
    and of none.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return ""
        with open(path, "rb") as file:
            start = file.read(_HEADER_BYTES)
        if start[:2] != b"PK":
            return ""
        found = _FORMAT.search(start)
        if found is None:
            with zipfile.ZipFile(path) as members, members.open("header.npy") as header:
                found = _FORMAT.search(header.read(_HEADER_BYTES))
    except (OSError, ValueError, KeyError, EOFError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error):
        return ""
    return "" if found is None else found[1].decode("ascii")


_FORMAT = re.compile(rb'"format"\s*:\s*"npvae-([a-z-]{1,40})"')


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def _refuse_unwritable(one: Output) -> None:
    if one.path == "-":
        if sys.stdout is None:
            raise InputError(f"{one} is standard output, which is closed")
        return
    if not str(one.path):
        raise InputError(f"{one.flag} is empty: it must name a file")
    path = Path(one.path)
    if _is_stream(path):
        if one.model:
            raise InputError(f"{one} is no ordinary file, and a model is read back from one; choose another name")
        return
    if path.is_dir():
        raise InputError(f"{one} is a folder; choose another name")
    if path.exists() and not path.is_file():
        raise InputError(f"{one} is neither a file nor a stream; choose another name")
    folder = Path(os.path.realpath(path)).parent
    if not folder.is_dir():
        raise FileNotFoundError(f"the folder of {one} does not exist")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"the folder of {one} cannot be written to")
    if path.exists() and not os.access(path, os.W_OK):
        raise PermissionError(f"{one} is write-protected")


def _files_read(name: str) -> list[Path]:
    """The files that an input names."""
    if name in FILES:
        found = (find(file.name, search_folders(name)) for file in FILES[name].values())
        return [path for path in found if path is not None]
    if name in DATASETS:
        return [Path(data.__file__).parent / f"{name}.npz"]
    path = Path(name)
    return [path / "model.npz" if path.is_dir() else path]


def _is_stream(path) -> bool:
    return path == "-" or is_stream(path)


def _is_stdout(path) -> bool:
    return _is_stream(path) and Stream(path).is_stdout


def _status(path):
    """What the system says of the file behind a name, of standard output too; None: there is none."""
    try:
        return os.fstat(sys.stdout.fileno()) if path == "-" else os.stat(path)
    except (OSError, ValueError, AttributeError):
        return None


def _same_file(path, other) -> bool:
    if _is_stdout(path) and _is_stdout(other):
        return True
    one, two = _status(path), _status(other)
    if one is not None and two is not None:
        return (one.st_dev, one.st_ino) == (two.st_dev, two.st_ino) and not _is_null(one)
    return "-" not in (path, other) and _full_name(path) == _full_name(other)


def _is_null(status) -> bool:
    """Whether it is the device that keeps nothing: many outputs may go there."""
    return stat.S_ISCHR(status.st_mode) and os.path.exists(os.devnull) and os.path.samestat(status, os.stat(os.devnull))


def _full_name(path) -> str:
    return os.path.normcase(os.path.realpath(path))
