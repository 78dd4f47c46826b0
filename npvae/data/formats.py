"""Reading the file formats of the public data sets: idx and amat, plain or gzip-compressed."""

from __future__ import annotations

import gzip
import hashlib
import math
import zlib

import numpy as np

from npvae.data.published import PublishedFile
from npvae.errors import DataFileError
from npvae.support.reading import open_file

PIXELS = 784
UINT8_CODE = 8  # the third byte of an idx file names the type of its numbers


def read_bytes(path, most: int, published: PublishedFile | None = None) -> bytes:
    """Return the contents of a file, unpacked if it is gzip-compressed, whatever its name says; at most one byte more
    than ``most``, so that a longer one is seen to be longer.

    published: what the file has to be, to the bit. DataFileError: it is not, the compressed stream is cut or damaged,
    or it is no ordinary file. OSError: the file cannot be read.
    """
    file, size = open_file(path, DataFileError)
    with file:
        if published is not None:
            _refuse_other_contents(path, file, size, published)
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if not packed:
            return file.read(most + 1)
        try:
            # Reading from it unpacks so much and no more, whatever the rest would come to.
            return gzip.GzipFile(fileobj=file).read(most + 1)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise DataFileError(
                f"{path}: expected a whole gzip file, got a cut or damaged one of {size} bytes ({error})"
            ) from error


def _refuse_other_contents(path, file, size: int, published: PublishedFile) -> None:
    digest = hashlib.sha256()
    if size == published.size:
        while block := file.read(1 << 20):
            digest.update(block)
        file.seek(0)
        if digest.hexdigest() == published.sha256:
            return
    raise DataFileError(
        f"{path}: expected the {published.size} bytes that were published, with the SHA-256 {published.sha256}, "
        f"got other contents of {size} bytes"
    )


def read_idx(path, shape: tuple[int, ...], published: PublishedFile | None = None) -> np.ndarray:
    """Return the uint8 array of ``shape`` in an idx file.

    An idx file is: two zero bytes, a code for the type, the number of axes, the length of each axis as a
    big-endian 32-bit integer, then the numbers. DataFileError: any of these is not as expected.
    """
    header = 4 + 4 * len(shape)
    length = header + math.prod(shape)
    data = read_bytes(path, length, published)
    magic, expected_magic = data[:4], bytes([0, 0, UINT8_CODE, len(shape)])
    if magic != expected_magic:
        raise DataFileError(
            f"{path}: expected the idx magic number {expected_magic.hex()} at its start, "
            f"got {magic.hex() or 'an empty file'}"
        )
    found = tuple(int.from_bytes(data[at : at + 4], "big") for at in range(4, header, 4))
    if found != shape:
        raise DataFileError(f"{path}: expected an array of shape {tuple(shape)}, got {found}")
    if len(data) != length:
        raise DataFileError(
            f"{path}: expected {length} bytes for an array of shape {found}, got {_count(data, length)}"
        )
    return np.frombuffer(bytearray(data), np.uint8, offset=header).reshape(shape)


def read_labels(path, rows: int, published: PublishedFile | None = None) -> np.ndarray:
    """Return the (rows,) uint8 labels in an idx file; DataFileError also if one is above 9."""
    labels = read_idx(path, (rows,), published)
    if rows and labels.max() > 9:
        at = int(labels.argmax())
        raise DataFileError(f"{path}: expected labels from 0 to 9, got {labels[at]} in row {at}")
    return labels


def read_amat(path, rows: int, published: PublishedFile | None = None) -> np.ndarray:
    """Return the (rows, 784) uint8 array of 0 and 1 in an amat file: digits, one space between, a line a row.

    DataFileError: another number of bytes, or anything else than 0, 1, space and line end in its place.
    """
    line = 2 * PIXELS
    most = rows * (line + 1)  # with the line ends of Windows
    data = read_bytes(path, most, published)
    cut = len(data) > most
    data = data.replace(b"\r\n", b"\n")
    if data and not data.endswith(b"\n"):
        data += b"\n"
    if len(data) != rows * line or cut:
        raise DataFileError(
            f"{path}: expected {rows} lines of {PIXELS} digits, {rows * line} bytes in all, "
            f"got {'more than ' if cut else ''}{len(data)} bytes"
        )
    text = np.frombuffer(data, np.uint8).reshape(rows, line)
    digits = text[:, ::2] - np.uint8(ord("0"))  # wraps below "0", so that every other byte is above 1
    between = np.full(PIXELS, ord(" "), np.uint8)
    between[-1] = ord("\n")
    wrong = np.flatnonzero((digits > 1).any(axis=1) | (text[:, 1::2] != between).any(axis=1))
    if wrong.size:
        raise DataFileError(
            f"{path}: expected {PIXELS} digits 0 or 1 with one space between, "
            f"got {bytes(text[wrong[0], :24])!r}... in line {wrong[0] + 1}"
        )
    return digits


def _count(data: bytes, expected: int) -> str:
    """How many bytes there are, as far as they were read."""
    return f"more than {expected}" if len(data) > expected else str(len(data))
