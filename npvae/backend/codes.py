"""Codes of formulas in compiled code: looked up on the host before a call, so that what has no code there is refused.

A compiled function cannot raise. Given a code that it does not know, it writes NaN.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from npvae.errors import InputError


def unknown(kind: str, name: str, known: Iterable[str], place: str) -> InputError:
    """The error for a formula that a backend has no code for, to be raised."""
    return InputError(
        f"{kind}={name!r} has no code on the backend {place!r}, which has {', '.join(known)}: "
        f"add it there, or use the backend 'reference'"
    )


def code_of(kind: str, name: str, codes: Mapping[str, int], place: str) -> int:
    """The code of the formula of this name; InputError where there is none."""
    if name not in codes:
        raise unknown(kind, name, codes, place)
    return codes[name]
