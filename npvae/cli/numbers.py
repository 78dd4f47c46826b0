"""Numbers on the command line: the types of options, each with its range.

A number is written with the digits 0 to 9. What ``int`` and ``float`` read beside, such as "1_000", digits of other
scripts or integers of a thousand digits, is refused, and the message names the option.
"""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable

from npvae.support.fields import shown

#: No count in npvae may be larger: rows, widths, epochs, samples.
LARGEST_COUNT = 2**31 - 1
#: A longer text is no number that is meant.
LONGEST = 40
#: Words that float takes for numbers, in lower case and without a sign.
NOT_FINITE = ("inf", "infinity", "nan")

_WHOLE = re.compile(r"[+-]?[0-9]+")
_REAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def read_whole(text: str) -> int | None:
    """The whole number that a text is; None: it is none, or too long."""
    return int(text) if len(text) <= LONGEST and _WHOLE.fullmatch(text) else None


def read_real(text: str) -> float | None:
    """The number that a text is, which may be infinite; None: it is none, or too long."""
    return float(text) if len(text) <= LONGEST and _REAL.fullmatch(text) else None


def is_long_number(text: str) -> bool:
    """Whether it would be a number, but for its length."""
    return len(text) > LONGEST and (_WHOLE.fullmatch(text) or _REAL.fullmatch(text)) is not None


def whole(minimum: int = 0, maximum: int = LARGEST_COUNT) -> Callable[[str], int]:
    """The type of an option that takes a whole number in this range."""

    def read(text: str) -> int:
        value = read_whole(text)
        if value is None and not is_long_number(text):
            raise argparse.ArgumentTypeError(f"must be a whole number, got {shown(text)}")
        if value is None or not minimum <= value <= maximum:
            small = text.startswith("-") if value is None else value < minimum
            raise argparse.ArgumentTypeError(
                f"must be at {f'least {minimum}' if small else f'most {maximum}'}, got {shown(text)}"
            )
        return value

    return read


def real(
    *,
    above: float | None = None,
    minimum: float | None = None,
    below: float | None = None,
    maximum: float | None = None,
) -> Callable[[str], float]:
    """The type of an option that takes a finite number in this range."""
    bounds = [
        (above, "above", lambda value, bound: value > bound),
        (minimum, "at least", lambda value, bound: value >= bound),
        (below, "below", lambda value, bound: value < bound),
        (maximum, "at most", lambda value, bound: value <= bound),
    ]
    words = " and ".join(["finite", *(f"{word} {bound:g}" for bound, word, _ in bounds if bound is not None)])

    def read(text: str) -> float:
        value = read_real(text)
        if value is None and text.lower().lstrip("+-") not in NOT_FINITE and not is_long_number(text):
            raise argparse.ArgumentTypeError(f"must be a number, got {shown(text)}")
        if (
            value is None
            or not math.isfinite(value)
            or not all(holds(value, bound) for bound, _, holds in bounds if bound is not None)
        ):
            raise argparse.ArgumentTypeError(f"must be {words}, got {shown(text)}")
        return value

    return read


seed = whole(0, 2**63 - 1)
threads = whole(1, 1024)
