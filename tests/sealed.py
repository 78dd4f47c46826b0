"""npvae's files read and written by NumPy and hashlib alone: what a program that is not npvae does, or somebody who
forges one.
"""

from __future__ import annotations

import hashlib
import json

import numpy as np


def read(path) -> tuple[dict, dict[str, np.ndarray]]:
    """``(header, arrays)`` of a file, unchecked."""
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    return json.loads(arrays.pop("header").tobytes().decode("utf-8")), arrays


def stated(arrays) -> dict:
    """What the header says of the arrays."""
    return {
        name: {
            "dtype": a.dtype.str,
            "shape": list(a.shape),
            "sha256": hashlib.sha256(np.ascontiguousarray(a).tobytes()).hexdigest(),
        }
        for name, a in arrays.items()
    }


def write(path, header: dict, arrays, digests: bool = True) -> None:
    """A file of these; its digests made to fit, or left as the header has them."""
    if digests:
        header = {**header, "arrays": stated(arrays)}
    text = np.frombuffer(json.dumps(header).encode("utf-8"), np.uint8)
    with open(path, "wb") as file:
        np.savez(file, header=text, **arrays)


def edit(path, changed=None, digests: bool = True, **changes) -> None:
    """The file with other entries of its header, and other arrays; None removes one. ``a__b`` is a place
    deeper in it."""
    header, there = read(path)
    for place, value in changes.items():
        *outer, name = place.split("__")
        inside = header
        for key in outer:
            inside = inside[int(key) if isinstance(inside, list) else key]
        if value is REMOVED:
            del inside[name]
        else:
            inside[int(name) if isinstance(inside, list) else name] = value
    for name, array in (changed or {}).items():
        if array is None:
            del there[name]
        else:
            there[name] = array
    write(path, header, there, digests)


REMOVED = object()
