"""Model and checkpoint files: NumPy's .npz with a JSON header, without pickle.

A file is a zip of arrays; the array ``header`` holds UTF-8 JSON with at least

    format           "npvae-model" or "npvae-checkpoint"
    format_version   a whole number; files of a later version are refused
    library_version  of the npvae that wrote it
"""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from npvae._version import __version__
from npvae.errors import ModelFileError
from npvae.files import write_atomically

FORMAT_VERSION = 1

#: What reading a damaged zip of arrays can raise.
_DAMAGE = (
    ValueError, KeyError, TypeError, AttributeError, EOFError, OSError, OverflowError, MemoryError, RuntimeError,
    zipfile.BadZipFile, zlib.error,
)


def save(path, kind: str, header: dict, arrays: dict[str, np.ndarray]) -> None:
    """Write ``arrays`` and ``header`` to ``path``, atomically. OSError: it cannot be written."""
    header = {"format": f"npvae-{kind}", "format_version": FORMAT_VERSION, "library_version": __version__, **header}
    text = json.dumps(header, allow_nan=True).encode("utf-8")
    packed = {"header": np.frombuffer(text, np.uint8), **arrays}
    write_atomically(path, lambda file: np.savez(file, **packed))


def estimator_of(path) -> str:
    """The name of the estimator that a file holds; "" if it holds none."""
    try:
        with np.load(path, allow_pickle=False) as file:
            header = json.loads(file["header"].tobytes().decode("utf-8"))
        return str(header["estimator"])
    except _DAMAGE:
        return ""


def load(path, kind: str) -> tuple[dict, dict[str, np.ndarray]]:
    """The header and the arrays of a file written by :func:`save` with the same ``kind``.

    FileNotFoundError: no such file. ModelFileError: it is damaged, of another kind, or of a later version.
    """
    path = Path(path)
    if path.is_dir():
        raise ModelFileError(f"{path} is a folder, not a {kind} file")
    if not path.exists():
        raise FileNotFoundError(f"no {kind} file at {os.fspath(path)!r}")
    try:
        # Opened here, so that it is closed whatever np.load makes of it.
        with open(path, "rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if not isinstance(loaded, Mapping):
                raise ModelFileError(f"{path} is not an npvae {kind} file: it is a single array")
            arrays = {name: loaded[name] for name in loaded}
        header = json.loads(arrays.pop("header").tobytes().decode("utf-8"))
        form, version = header["format"], header["format_version"]
    except ModelFileError:
        raise
    except _DAMAGE as error:
        # NumPy's own words would advise to read it with pickle.
        reason = "it is no .npz file" if "pickle" in str(error) else error
        raise ModelFileError(f"{path} is damaged or not an npvae {kind} file: {reason}") from error
    if form != f"npvae-{kind}":
        raise ModelFileError(f"{path} is a file of the form {form!r}; expected 'npvae-{kind}'")
    if not isinstance(version, int) or not 1 <= version <= FORMAT_VERSION:
        raise ModelFileError(
            f"{path} has format version {version!r}, but npvae {__version__} reads versions 1 to {FORMAT_VERSION}; "
            "install a newer npvae"
        )
    return header, arrays
