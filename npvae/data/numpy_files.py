"""Reading .npy and .npz files, without ever reading pickled data, and without believing what they say of their size.

An array is made only once the file was seen to hold as many bytes as its header states. Of a compressed member more
than ``MOST_UNPACKED`` bytes are read only if they are at most ``LARGEST_RATIO`` times as many as it takes in the file:
nothing but zeros is packed better.
"""

from __future__ import annotations

import os
from io import BufferedReader

import numpy as np

from npvae.errors import DataFileError, InputError, UnknownNameError
from npvae.support import machine_memory, npy
from npvae.support.npy import ArrayHeader, BadHeader
from npvae.support.reading import open_file
from npvae.support.zip_members import DEFLATED, BadZip, ZipMembers

MOST_UNPACKED, LARGEST_RATIO = 1 << 28, 100
#: Names that a message lists.
_LISTED = 50


def read_numpy_file(path, key: str | None = None) -> tuple[np.ndarray, np.ndarray | None]:
    """Return ``(x, y)`` from a .npy or .npz file; ``y`` is None where there are no labels.

    DataFileError: damaged, pickled, empty, not of real numbers, too large for the memory, or no ordinary file.
    UnknownNameError: ``key`` is not there, or no key is given and there are several arrays. InputError: a key for a
    .npy file. OSError: the file cannot be opened.
    """
    file, size = open_file(path, DataFileError)
    with file:
        try:
            is_array = file.read(len(npy.MAGIC)) == npy.MAGIC
            file.seek(0)
            if is_array and key is not None:
                raise InputError(f"{path} holds one array without a name, so key={key!r} cannot be chosen")
            return (_read_npy(path, file, size), None) if is_array else _read_npz(path, ZipMembers(file, size), key)
        except BadHeader as error:
            raise DataFileError(f"{path}: expected real numbers: {error}") from None
        except BadZip as error:
            start = os.pread(file.fileno(), 2, 0) if hasattr(os, "pread") else b""
            what = "" if start == b"PK" else "; pickled data are never read"
            raise DataFileError(
                f"{path}: expected a whole NumPy file, got a damaged one or none: {error}{what}"
            ) from None


def _read_npy(path, file: BufferedReader, size: int) -> np.ndarray:
    header = npy.read_header(file.read)
    _refuse_no_data(path, header)
    if size - header.length != header.nbytes:
        raise DataFileError(
            f"{path}: expected {header.nbytes} bytes for an array of shape {header.shape}, got {size - header.length}: "
            f"it is cut, or "
            "its header is damaged"
        )
    x, view = _empty(path, header)
    if file.readinto(view) != len(view):
        raise DataFileError(f"{path}: expected {len(view)} bytes, got fewer: it is cut")
    return _native(x, header)


def _read_npz(path, members: ZipMembers, key: str | None) -> tuple[np.ndarray, np.ndarray | None]:
    names: dict[str, str] = {}
    for member in members.members:
        if names.setdefault(member.removesuffix(".npy"), member) != member:
            raise DataFileError(f"{path}: it has two arrays named {member.removesuffix('.npy')!r}")
    key = _choose(path, list(names), key)
    x, _ = _read_member(f"{path}, array {key!r}", members, names[key])
    if key == "y" or "y" not in names:
        return x, None
    y, _ = _read_member(f"{path}, array 'y'", members, names["y"], labels_of=(len(x), key))
    return x, y


def _choose(path, names: list[str], key: str | None) -> str:
    if key is None:
        others = [name for name in names if name != "y"]
        key = others[0] if len(others) == 1 else "x"
    if key not in names:
        raise UnknownNameError(f"array in {path}:", key, names[:_LISTED])
    return key


def _read_member(where: str, members: ZipMembers, name: str, labels_of=None) -> tuple[np.ndarray, ArrayHeader]:
    """An array; labels_of: (rows, name) of the array whose labels it has to be."""
    member = members.members[name]
    if member.method == DEFLATED and member.size > max(MOST_UNPACKED, LARGEST_RATIO * member.packed):
        raise DataFileError(
            f"{where}: its {member.packed} bytes unpack to {member.size}, more than {LARGEST_RATIO} times as many; if "
            f"that is meant, "
            "write it without compression (numpy.savez)"
        )
    stream = members.open(name)
    try:
        header = npy.read_header(stream.read)
    except BadHeader as error:
        raise DataFileError(f"{where}: expected real numbers: {error}") from None
    if labels_of is None:
        _refuse_no_data(where, header)
    elif len(header.shape) == 0 or header.shape[0] != labels_of[0] or 0 in header.shape:
        raise DataFileError(
            f"{where}: expected one label for each of the {labels_of[0]} rows of {labels_of[1]!r}, got 'y' of shape "
            f"{header.shape}"
        )
    if header.nbytes != stream.left:
        raise DataFileError(
            f"{where}: expected {header.nbytes} bytes for an array of shape {header.shape}, got {stream.left}: its "
            f"header is damaged"
        )
    x, view = _empty(where, header)
    stream.read_into(view)
    stream.finish()
    return _native(x, header), header


def _refuse_no_data(where, header: ArrayHeader) -> None:
    if header.dtype.kind not in "biuf":
        raise DataFileError(f"{where}: expected real numbers, got dtype {header.dtype}")
    if not header.shape or 0 in header.shape:
        raise DataFileError(f"{where}: expected at least one row of data, got an array of shape {header.shape}")


def _empty(where, header: ArrayHeader) -> tuple[np.ndarray, memoryview]:
    """Memory for an array whose bytes are there, and the same as bytes. DataFileError: there is not so much."""
    free = machine_memory.available_bytes()
    if free is not None and header.nbytes > free:
        raise DataFileError(
            f"{where}: its {header.nbytes / 1e9:.1f} GB do not fit into the {free / 1e9:.1f} GB of memory that are "
            f"free; use fewer rows, or "
            "smaller numbers such as float32 or uint8"
        )
    raw = np.empty(header.nbytes, np.uint8)
    return raw, raw.data


def _native(raw: np.ndarray, header: ArrayHeader) -> np.ndarray:
    """The array of these bytes, in the machine's byte order."""
    if header.dtype.kind == "b":
        raw = (raw != 0).view(np.uint8)  # another byte than 0 or 1 is no bool
    x = raw.view(header.dtype)
    x = x.reshape(header.shape[::-1]).T if header.fortran_order else x.reshape(header.shape)
    return x.astype(x.dtype.newbyteorder("="), copy=False)
