"""npvae's files: NumPy's .npz with a JSON header, trusted only as far as it was checked.

A file is a zip whose members are stored without compression. The first, ``header.npy``, is a uint8 array of JSON in
UTF-8:

    format           "npvae-model", "npvae-latent-classifier", "npvae-imputer" or "npvae-checkpoint"
    format_version   2
    library_version  of the npvae that wrote it
    arrays           {name: {"dtype": "<f4" or "<f8", "shape": [...], "sha256": of the numbers' bytes}}, for every other
                     member
    ...              what the kind of file declares: see model_file.py, imputer_file.py, latent_classifier.py,
                     checkpoint.py

The other members are ``NAME.npy``, in C order. So NumPy alone can read a file, and any program that knows SHA-256 and
how a zip is laid out can write one. On reading, the header comes first, within bounds; then every array that it names,
of exactly the stated length and type, and its digest is compared. What is missing, beside, twice or different is
refused. JSON has no NaN: where a number may be one, null is in its place.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np

from npvae._version import __version__
from npvae.errors import InputError, ModelFileError
from npvae.support import npy
from npvae.support.fields import Digest, Field, ListOf, MapOf, OneOf, Record, Text, Whole, shown
from npvae.support.files import write_atomically
from npvae.support.npy import BadHeader
from npvae.support.reading import open_file
from npvae.support.zip_members import STORED, BadZip, ZipMembers

FORMAT_VERSION = 2

#: Bytes of a header, and values in it: those of a history of 400,000 epochs.
LONGEST_HEADER, MOST_VALUES = 1 << 28, 1 << 23

_ARRAYS = MapOf(
    Record({"dtype": OneOf(("<f4", "<f8")), "shape": ListOf(Whole(0), longest=2), "sha256": Digest()}), longest=10_000
)
_OWN = ("format", "format_version", "library_version", "arrays")


def save(path, kind: str, header: dict, arrays: dict[str, np.ndarray], declared: Field) -> None:
    """Write ``arrays`` and ``header`` to ``path``, atomically.

    OSError: it cannot be written. InputError: the header is not as declared, so that it could not be read again.
    """
    arrays = {name: np.ascontiguousarray(array, array.dtype.newbyteorder("<")) for name, array in arrays.items()}
    stated = {
        name: {"dtype": array.dtype.str, "shape": list(array.shape), "sha256": hashlib.sha256(array.data).hexdigest()}
        for name, array in arrays.items()
    }
    header = json.loads(json.dumps(_without_nan(header)))  # as it will be read
    declared.read("", header)
    _ARRAYS.read("arrays", stated)
    own = {
        "format": f"npvae-{kind}",
        "format_version": FORMAT_VERSION,
        "library_version": __version__,
        "arrays": stated,
    }
    text = json.dumps({**own, **header}).encode("ascii")
    _bounded(text)
    named: dict[str, Any] = {"header": np.frombuffer(text, np.uint8), **arrays}
    write_atomically(path, lambda file: np.savez(file, **named))


def load(path, kind: str, declared: Field, estimator: str | None = None) -> tuple[dict, dict[str, np.ndarray]]:
    """The header and the arrays of a file written by :func:`save` with the same ``kind``, both checked: the header
    against what is declared, the arrays, of the machine's byte order, against the header. estimator: the class that it
    has to be of.

    FileNotFoundError: no such file. ModelFileError: it is damaged, of another kind or of another version.
    """
    path = Path(path)
    with _opened(path, f"{kind} file") as (members, _):
        header = _header(members, kind)
        if estimator is not None and header.get("estimator") != estimator:
            raise ModelFileError(f"it holds a {shown(header.get('estimator')).strip(chr(39))}, not a {estimator}")
        checked = declared.read("", {name: value for name, value in header.items() if name not in _OWN})
        arrays = _read_arrays(members, _ARRAYS.read("arrays", header.get("arrays")))
    return {**{name: header[name] for name in _OWN}, **checked}, arrays


def kind_of(path) -> tuple[str, str]:
    """``(kind, estimator)`` that the header of a file states, unchecked; empty texts where there is none."""
    try:
        with _opened(Path(path), "npvae file") as (members, _):
            header = _header(members, None)
    except (ModelFileError, OSError):
        return "", ""
    estimator = header.get("estimator")
    return header["format"].removeprefix("npvae-"), estimator if isinstance(estimator, str) else ""


def seal_of(path) -> str:
    """In words, what :func:`load` has compared in a file that it could read."""
    with _opened(Path(path), "npvae file") as (members, size):
        stated = _ARRAYS.read("arrays", _header(members, None).get("arrays"))
    numbers = sum(math.prod(entry["shape"]) * int(entry["dtype"][2:]) for entry in stated.values())
    arrays = f"{len(stated)} array{'s' if len(stated) != 1 else ''} of {numbers:,} bytes"
    whose = "its" if len(stated) == 1 else "their"
    return f"format version {FORMAT_VERSION}, {size:,} bytes; the header's fields, {arrays} and {whose} SHA-256"


def within(name: str, arrays: dict) -> dict:
    """Arrays of a model inside another's file, under names that begin with its own."""
    return {f"{name}/{key}": array for key, array in arrays.items()}


def taken_out(name: str, arrays: dict) -> dict:
    """The inverse of :func:`within`, of all arrays of a file."""
    return {key.removeprefix(f"{name}/"): array for key, array in arrays.items() if key.startswith(f"{name}/")}


class _opened:
    """The members of a file; whatever is wrong with it becomes a ModelFileError that names it."""

    def __init__(self, path: Path, what: str) -> None:
        self._path, self._what = path, what
        self._file: BufferedReader  # while it is entered

    def __enter__(self):
        if not self._path.exists():
            raise FileNotFoundError(f"no {self._what} at {os.fspath(self._path)!r}")
        self._file, size = open_file(self._path, ModelFileError)
        try:
            if self._file.read(len(npy.MAGIC)) == npy.MAGIC:
                raise BadZip("it is a single array")
            return ZipMembers(self._file, size), size
        except BadZip as error:
            self._file.close()
            raise self._damaged(error) from None
        except BaseException:
            self._file.close()
            raise

    def __exit__(self, kind, error, traceback) -> None:
        self._file.close()
        if isinstance(error, (BadZip, BadHeader)):
            raise self._damaged(error) from None
        if isinstance(error, InputError):
            raise ModelFileError(f"{self._path}: {error}") from None

    def _damaged(self, error) -> ModelFileError:
        return ModelFileError(f"{self._path} is damaged or not an npvae {self._what}: {error}")


def _header(members: ZipMembers, kind: str | None) -> dict:
    """The header's JSON, its form and version checked."""
    data = _read_member(members, "header", np.dtype("u1"), None, LONGEST_HEADER)[0].tobytes()
    _bounded(data)
    try:
        header = json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"its header is no JSON: {shown(str(error), 100)}") from None
    if not isinstance(header, dict):
        raise ModelFileError("its header is no JSON object")
    form, version = header.get("format"), header.get("format_version")
    if not isinstance(form, str) or not re.fullmatch("npvae-[a-z-]{1,30}", form):
        raise ModelFileError(f"it is of the form {shown(form)}, which is none of npvae's")
    if kind is not None and form != f"npvae-{kind}":
        raise ModelFileError(f"it is a file of the form {form!r}; expected 'npvae-{kind}'")
    if type(version) is not int or version < 1:
        raise ModelFileError(f"it has the format version {shown(version)}; expected {FORMAT_VERSION}")
    if version > FORMAT_VERSION:
        raise ModelFileError(
            f"it has format version {version}, but npvae {__version__} reads version {FORMAT_VERSION}: install a newer "
            f"npvae"
        )
    if version < FORMAT_VERSION:
        raise ModelFileError(
            f"it has format version {version}, of an npvae before its first release, and npvae {__version__} reads "
            f"version "
            f"{FORMAT_VERSION}: train again with this version"
        )
    Text(100, plain=True).read("library_version", header.get("library_version"))
    return header


def _read_arrays(members: ZipMembers, stated: dict) -> dict[str, np.ndarray]:
    there, wanted = members.members.keys(), {"header.npy", *(f"{name}.npy" for name in stated)}
    for name in sorted(wanted - there):
        raise ModelFileError(f"its array {shown(name.removesuffix('.npy'))} is missing")
    for name in sorted(there - wanted):
        raise ModelFileError(f"it holds {shown(name)}, which its header does not name")
    arrays = {}
    for name, entry in stated.items():
        dtype, shape = np.dtype(entry["dtype"]), tuple(entry["shape"])
        array, digest = _read_member(members, name, dtype, shape, math.prod(shape) * dtype.itemsize)
        if digest != entry["sha256"]:
            raise ModelFileError(f"its array {shown(name)} is damaged: it has not the SHA-256 that the header states")
        arrays[name] = np.asarray(array, dtype.newbyteorder("="))
    return arrays


def _read_member(members: ZipMembers, name: str, dtype: np.dtype, shape, longest: int) -> tuple[np.ndarray, str]:
    """An array of that type and shape, (N,) of any length if None, and its SHA-256."""
    member = members.members.get(f"{name}.npy")
    if member is None:
        raise ModelFileError(f"it holds no {name!r}")
    if member.method != STORED:
        raise ModelFileError(
            f"its array {shown(name)} is compressed; npvae writes and reads its own files without compression"
        )
    stream = members.open(f"{name}.npy")
    found = npy.read_header(stream.read)
    if (
        found.dtype.str != dtype.str
        or found.fortran_order
        or (found.shape != shape if shape is not None else len(found.shape) != 1)
    ):
        expected = "bytes" if shape is None else f"{dtype.str} of shape {shape}"
        raise ModelFileError(
            f"its array {shown(name)} is {found.dtype.str} of shape {found.shape}; expected {expected}, in C order"
        )
    if found.nbytes != stream.left or found.nbytes > longest:
        raise ModelFileError(
            f"its array {shown(name)} has {stream.left} bytes of numbers, {found.nbytes} by its header"
        )
    digest, array = hashlib.sha256(), np.empty(found.shape, dtype)
    stream.read_into(array.reshape(-1).view(np.uint8).data, digest.update)
    stream.finish()
    return array, digest.hexdigest()


def _bounded(text: bytes) -> None:
    values = text.count(b",") + text.count(b"[") + text.count(b"{")
    if len(text) > LONGEST_HEADER or values > MOST_VALUES:
        raise InputError(
            f"a header of {len(text)} bytes and {values} values is too long: at most {LONGEST_HEADER} and "
            f"{MOST_VALUES}; the history "
            "of so many epochs does not fit into a file"
        )


def _unique(pairs) -> dict:
    entries = dict(pairs)
    if len(entries) != len(pairs):
        raise ValueError("an object has two entries of one name")
    return entries


def _no_constant(name: str):
    raise ValueError(f"{name} is not JSON")


def _without_nan(value):
    """JSON has neither NaN nor infinity: null in their place."""
    if isinstance(value, dict):
        return {key: _without_nan(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
