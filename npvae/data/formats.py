"""Reading the file formats of the public data sets: idx and amat, plain or gzip-compressed."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np

from npvae.errors import DataFileError

PIXELS = 784
UINT8_CODE = 8  # the third byte of an idx file names the type of its numbers


def read_bytes(path) -> bytes:
    """Return the contents of a file, unpacked if it is gzip-compressed, whatever its name says.

    DataFileError: the compressed stream is cut or damaged. OSError: the file cannot be read.
    """
    raw = Path(path).read_bytes()
    if raw[:2] != b"\x1f\x8b":
        return raw
    try:
        return gzip.decompress(raw)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataFileError(f"{path}: expected a whole gzip file, got a cut or damaged one of {len(raw)} "
                            f"bytes ({error})") from error


def read_idx(path, shape: tuple[int, ...]) -> np.ndarray:
    """Return the uint8 array of ``shape`` in an idx file.

    An idx file is: two zero bytes, a code for the type, the number of axes, the length of each axis as a
    big-endian 32-bit integer, then the numbers. DataFileError: any of these is not as expected.
    """
    data = read_bytes(path)
    magic, expected_magic = data[:4], bytes([0, 0, UINT8_CODE, len(shape)])
    if magic != expected_magic:
        raise DataFileError(f"{path}: expected the idx magic number {expected_magic.hex()} at its start, "
                            f"got {magic.hex() or 'an empty file'}")
    header = 4 + 4 * len(shape)
    found = tuple(int.from_bytes(data[at : at + 4], "big") for at in range(4, header, 4))
    if found != tuple(shape):
        raise DataFileError(f"{path}: expected an array of shape {tuple(shape)}, got {found}")
    length = header + int(np.prod(shape))
    if len(data) != length:
        raise DataFileError(f"{path}: expected {length} bytes for an array of shape {found}, got {len(data)}")
    return np.frombuffer(bytearray(data), np.uint8, offset=header).reshape(shape)


def read_labels(path, rows: int) -> np.ndarray:
    """Return the (rows,) uint8 labels in an idx file; DataFileError also if one is above 9."""
    labels = read_idx(path, (rows,))
    if rows and labels.max() > 9:
        at = int(labels.argmax())
        raise DataFileError(f"{path}: expected labels from 0 to 9, got {labels[at]} in row {at}")
    return labels


def read_amat(path, rows: int) -> np.ndarray:
    """Return the (rows, 784) uint8 array of 0 and 1 in an amat file: digits, one space between, a line a row.

    DataFileError: another number of bytes, or anything else than 0, 1, space and line end in its place.
    """
    data = read_bytes(path).replace(b"\r\n", b"\n")
    if data and not data.endswith(b"\n"):
        data += b"\n"
    line = 2 * PIXELS
    if len(data) != rows * line:
        raise DataFileError(f"{path}: expected {rows} lines of {PIXELS} digits, {rows * line} bytes in all, "
                            f"got {len(data)} bytes")
    text = np.frombuffer(data, np.uint8).reshape(rows, line)
    digits = text[:, ::2] - np.uint8(ord("0"))  # wraps below "0", so that every other byte is above 1
    between = np.full(PIXELS, ord(" "), np.uint8)
    between[-1] = ord("\n")
    wrong = np.flatnonzero((digits > 1).any(axis=1) | (text[:, 1::2] != between).any(axis=1))
    if wrong.size:
        raise DataFileError(f"{path}: expected {PIXELS} digits 0 or 1 with one space between, "
                            f"got {bytes(text[wrong[0], :24])!r}... in line {wrong[0] + 1}")
    return digits
