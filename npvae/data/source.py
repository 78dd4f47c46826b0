"""The bytes of a table: of a file, of standard input, unpacked, or of a workbook as text.

.gz, .xz, .zip with one member     known by their first bytes, whatever the name
.xlsx, .parquet, .feather          read only, see workbooks.py
-                                  standard input
"""

from __future__ import annotations

import gzip
import io
import lzma
import os
import sys
import zipfile
import zlib
from pathlib import Path
from typing import IO

from npvae.data.workbooks import frame_as_text
from npvae.errors import DataFileError, InputError
from npvae.support import machine_memory
from npvae.support.reading import open_file

FRAME_SUFFIXES = (".xlsx", ".parquet", ".feather")
PACKED_SUFFIXES = (".gz", ".xz", ".zip")
TEXT_SUFFIXES = (".csv", ".tsv", ".txt", ".data")
#: More unpacked bytes are read only if they are at most so many times as many as in the file: what grows more is no
#: table.
MOST_UNPACKED, LARGEST_RATIO = 1 << 28, 100
_GZIP, _XZ, _ZIP = b"\x1f\x8b", b"\xfd7zXZ\0", b"PK\x03\x04"


def text_suffix(path) -> str:
    """The suffix that says what kind of file it is, lower case, without that of its packing: ".csv" of "a.CSV.gz";
    "" of "-".
    """
    path = Path(os.fspath(path))
    return Path(path.stem).suffix.lower() if path.suffix.lower() in PACKED_SUFFIXES else path.suffix.lower()


def read_source(path, sheet=None) -> tuple[bytes, str]:
    """``(bytes, words)``: all bytes of a table's file, or of a binary file object; which of a workbook's sheets they
    are of.

    DataFileError: damaged, no ordinary file, or too large for the memory. Those of workbooks.py.
    """
    suffix = text_suffix(path) if isinstance(path, (str, os.PathLike)) else ""
    if sheet is not None and suffix != ".xlsx":
        raise InputError(f"sheet={sheet!r}: for .xlsx files")
    name = getattr(path, "name", "the file") if hasattr(path, "read") else os.fspath(path)
    if hasattr(path, "read"):
        data = path.read()
        data = data.encode() if isinstance(data, str) else data
    elif name == "-":
        if sys.stdin is None:
            raise DataFileError("- is standard input, which is closed")
        data = sys.stdin.buffer.read()
    else:
        file, size = open_file(path, DataFileError)
        with file:
            _refuse_beyond_memory(name, size)
            data = file.read()
        if suffix in FRAME_SUFFIXES:
            return frame_as_text(name, suffix, data, sheet)
    try:
        return _unpacked(name, data), ""
    except (
        EOFError,
        OSError,
        zlib.error,
        lzma.LZMAError,
        zipfile.BadZipFile,
        RuntimeError,
        NotImplementedError,
        ValueError,
    ) as error:
        raise DataFileError(f"{name}: expected a whole compressed file, got a cut or damaged one ({error})") from None


def packed(path, data: bytes) -> bytes:
    """Bytes as the suffix of the file that they go to says: packed, or as they are."""
    path = Path(os.fspath(path))
    suffix = path.suffix.lower()
    if suffix == ".gz":
        return gzip.compress(data, mtime=0)
    if suffix == ".xz":
        return lzma.compress(data)
    if suffix == ".zip":
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(path.stem, data)
        return stream.getvalue()
    return data


def _unpacked(name, data: bytes) -> bytes:
    stream: gzip.GzipFile | lzma.LZMAFile | IO[bytes]
    if data.startswith(_GZIP):
        stream = gzip.GzipFile(fileobj=io.BytesIO(data))
    elif data.startswith(_XZ):
        stream = lzma.LZMAFile(io.BytesIO(data))
    elif data.startswith(_ZIP):
        archive = zipfile.ZipFile(io.BytesIO(data))
        members = [
            member for member in archive.namelist() if not member.endswith("/") and not member.startswith("__MACOSX/")
        ]
        if len(members) != 1:
            listed = ", ".join(map(repr, members[:5])) + (", ..." if len(members) > 5 else "")
            raise DataFileError(
                f"{name}: expected a zip with one table, got {len(members)} files ({listed}); unpack the one that is "
                f"meant"
            )
        stream = archive.open(members[0])
    else:
        return data
    most = max(MOST_UNPACKED, LARGEST_RATIO * len(data))
    with stream:
        found = stream.read(most + 1)
    if len(found) > most:
        raise DataFileError(
            f"{name}: its {len(data)} bytes unpack to more than {LARGEST_RATIO} times as many; if that is meant, "
            f"unpack it first"
        )
    return found


def _refuse_beyond_memory(name, size: int) -> None:
    free = machine_memory.available_bytes()
    if free is not None and size > free:
        raise DataFileError(
            f"{name}: its {size / 1e9:.1f} GB do not fit into the {free / 1e9:.1f} GB of memory that are free; use "
            f"fewer rows"
        )
