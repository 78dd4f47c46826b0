"""The header of an .npy array, read without evaluating anything.

    "\\x93NUMPY"  version, 2 bytes  length of the header: 2 bytes (version 1), 4 bytes (versions 2 and 3), little-endian
    {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }  spaces, a line end
    the numbers

The header is a Python literal; of such literals only what NumPy writes is understood here, and no more than ``LONGEST``
bytes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

MAGIC = b"\x93NUMPY"
LONGEST = 10_000  #: bytes of a header
MOST_AXES = 32
#: Types of numbers and of texts: little- or big-endian, or of single bytes.
_DESCR = re.compile(r"[<>|=]?(?:[biufc][0-9]{1,2}|[US][0-9]{1,9}|\?)")
_HEADER = re.compile(r"\s*\{(.*)\}\s*", re.DOTALL)
_ENTRY = re.compile(
    r"""\s*(?P<q>['"])(?P<key>descr|fortran_order|shape)(?P=q)\s*:\s*"""
    r"""(?:(?P<r>['"])(?P<text>[^'"\\]*)(?P=r)|(?P<flag>True|False)|\((?P<axes>[0-9L,\s]*)\)|(?P<fields>\[.*\]))\s*(?:,|$)""",
    re.DOTALL,
)


class BadHeader(ValueError):
    """These bytes are no header of an array of numbers or texts; the text says why."""


class ArrayHeader(NamedTuple):
    """What an .npy array says of itself, and how many bytes it took to say so."""

    dtype: np.dtype
    shape: tuple[int, ...]
    fortran_order: bool
    length: int

    @property
    def nbytes(self) -> int:
        """Of the numbers that follow."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_header(read: Callable[[int], bytes]) -> ArrayHeader:
    """The header at the start of what ``read(n)`` gives, n bytes or, at the end, fewer. BadHeader."""
    start = read(8)
    if len(start) < 8 or start[:6] != MAGIC:
        raise BadHeader("it is no .npy array")
    if start[6:] not in (b"\x01\x00", b"\x02\x00", b"\x03\x00"):
        raise BadHeader(f"version {start[6]}.{start[7]} of .npy is not known")
    width = 2 if start[6] == 1 else 4
    length = int.from_bytes(read(width), "little")
    if length > LONGEST:
        raise BadHeader(f"its .npy header of {length} bytes is longer than {LONGEST}")
    text = read(length)
    if len(text) < length:
        raise BadHeader("its .npy header is cut")
    try:
        entries = _entries(text.decode("utf-8" if start[6] == 3 else "latin-1"))
    except UnicodeDecodeError:
        raise BadHeader("its .npy header is damaged") from None
    return ArrayHeader(
        _dtype(entries["descr"]), _shape(entries["shape"]), entries["fortran_order"] == "True", 8 + width + length
    )


def _entries(text: str) -> dict[str, str]:
    whole, entries = _HEADER.fullmatch(text), {}
    inside, at = whole[1] if whole else "", 0
    wanted = {"descr": ("text", "fields"), "fortran_order": ("flag",), "shape": ("axes",)}
    while found := _ENTRY.match(inside, at):
        if found["key"] in entries or found.lastgroup not in wanted[found["key"]]:
            break
        entries[found["key"]] = found[found.lastgroup]
        at = found.end()
    if len(entries) != 3 or inside[at:].strip():
        raise BadHeader("its .npy header is damaged")
    return entries


def _dtype(descr: str) -> np.dtype:
    if re.search("(^|')[|<>=]?O[0-9]*('|$)", descr):
        raise BadHeader("it holds Python objects; pickled data are never read")
    if not _DESCR.fullmatch(descr):
        raise BadHeader(f"it has the dtype {ascii(descr[:60])}")
    try:
        dtype = np.dtype(descr)
    except (TypeError, ValueError, OverflowError):
        dtype = np.dtype("V0")
    if not dtype.itemsize:
        raise BadHeader(f"it has the dtype {ascii(descr[:60])}")
    return dtype


def _shape(axes: str) -> tuple[int, ...]:
    parts = [part.strip().removesuffix("L") for part in axes.split(",")]  # Python 2 wrote 10L
    if parts and not parts[-1]:
        parts.pop()
    if len(parts) > MOST_AXES or not all(part.isdigit() and len(part) <= 19 for part in parts):
        raise BadHeader(f"its .npy header states the shape {ascii(f'({axes[:60]})')}")
    return tuple(int(part) for part in parts)
