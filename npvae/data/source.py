"""The bytes of a table: of a file, of standard input, unpacked, or of a workbook that pandas turns into text.

    .gz, .xz, .zip with one member     known by their first bytes, whatever the name
    .xlsx, .parquet, .feather          read only, through pandas with openpyxl or pyarrow
    -                                  standard input
"""

from __future__ import annotations

import csv
import gzip
import io
import lzma
import os
import sys
import zipfile
import zlib
from pathlib import Path

from npvae import machine_memory
from npvae.errors import DataFileError, MissingDependencyError
from npvae.reading import open_file

FRAME_SUFFIXES = (".xlsx", ".parquet", ".feather")
PACKED_SUFFIXES = (".gz", ".xz", ".zip")
TEXT_SUFFIXES = (".csv", ".tsv", ".txt", ".data")
#: More unpacked bytes are read only if they are at most so many times as many as in the file: what grows more is no table.
MOST_UNPACKED, LARGEST_RATIO = 1 << 28, 100
_GZIP, _XZ, _ZIP = b"\x1f\x8b", b"\xfd7zXZ\0", b"PK\x03\x04"


def text_suffix(path) -> str:
    """The suffix that says what kind of file it is, lower case, without that of its packing: ".csv" of "a.CSV.gz"; "" of "-"."""
    path = Path(os.fspath(path))
    return Path(path.stem).suffix.lower() if path.suffix.lower() in PACKED_SUFFIXES else path.suffix.lower()


def read_source(path) -> bytes:
    """All bytes of a table's file, or of a binary file object. DataFileError: damaged, no ordinary file, or too large for the memory."""
    name = getattr(path, "name", "the file") if hasattr(path, "read") else os.fspath(path)
    if hasattr(path, "read"):
        data = path.read()
        data = data.encode() if isinstance(data, str) else data
    elif name == "-":
        if sys.stdin is None:
            raise DataFileError("- is standard input, which is closed")
        data = sys.stdin.buffer.read()
    elif text_suffix(path) in FRAME_SUFFIXES:
        return _frame_as_text(Path(name), text_suffix(path))
    else:
        file, size = open_file(path, DataFileError)
        with file:
            _refuse_beyond_memory(name, size)
            data = file.read()
    try:
        return _unpacked(name, data)
    except (EOFError, OSError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, RuntimeError, NotImplementedError, ValueError) as error:
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
    if data.startswith(_GZIP):
        stream = gzip.GzipFile(fileobj=io.BytesIO(data))
    elif data.startswith(_XZ):
        stream = lzma.LZMAFile(io.BytesIO(data))
    elif data.startswith(_ZIP):
        archive = zipfile.ZipFile(io.BytesIO(data))
        members = [member for member in archive.namelist() if not member.endswith("/") and not member.startswith("__MACOSX/")]
        if len(members) != 1:
            listed = ", ".join(map(repr, members[:5])) + (", ..." if len(members) > 5 else "")
            raise DataFileError(f"{name}: expected a zip with one table, got {len(members)} files ({listed}); unpack the one that is meant")
        stream = archive.open(members[0])
    else:
        return data
    most = max(MOST_UNPACKED, LARGEST_RATIO * len(data))
    with stream:
        found = stream.read(most + 1)
    if len(found) > most:
        raise DataFileError(f"{name}: its {len(data)} bytes unpack to more than {LARGEST_RATIO} times as many; if that is meant, unpack it first")
    return found


def _refuse_beyond_memory(name, size: int) -> None:
    free = machine_memory.available_bytes()
    if free is not None and size > free:
        raise DataFileError(f"{name}: its {size / 1e9:.1f} GB do not fit into the {free / 1e9:.1f} GB of memory that are free; use fewer rows")


def _frame_as_text(path: Path, suffix: str) -> bytes:
    """A workbook's first sheet, or a frame, as comma-separated text in UTF-8."""
    file, size = open_file(path, DataFileError)
    with file:
        _refuse_beyond_memory(path, size)
        data = file.read()
    if suffix == ".xlsx" and not zipfile.is_zipfile(io.BytesIO(data)):
        raise DataFileError(f"{path}: expected a workbook, got a cut or damaged one, or none")
    try:
        import pandas

        if suffix == ".xlsx":
            frame = pandas.read_excel(io.BytesIO(data), header=None, dtype=object, engine="openpyxl", keep_default_na=False)
        else:
            frame = {".parquet": pandas.read_parquet, ".feather": pandas.read_feather}[suffix](io.BytesIO(data))
    except ImportError as error:
        raise MissingDependencyError(
            f"{path}: {suffix} files are read through pandas and {'openpyxl' if suffix == '.xlsx' else 'pyarrow'}: install npvae[tables], "
            f"or save the table as .csv ({error})"
        ) from None
    except Exception as error:  # each library has its own for a damaged file
        raise DataFileError(f"{path}: expected a whole {suffix} file, got a damaged one or none ({type(error).__name__}: {error})") from None
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if suffix != ".xlsx":
        writer.writerow(frame.columns)
    for row in frame.itertuples(index=False, name=None):
        writer.writerow(["" if cell is None or cell != cell else _cell(cell) for cell in row])
    return text.getvalue().encode()


def _cell(cell) -> str:
    """A cell as text: a date without the time of midnight, a whole number without a point."""
    text = str(cell)
    return text[: -len(" 00:00:00")] if text.endswith(" 00:00:00") else text
