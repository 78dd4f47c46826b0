"""How a column writes its numbers: decimals, decimal and thousands separators, a prefix and a suffix; read, and written
again.

52.88%   $4.99   10,000+   -1.234,5   59.11 m²   1 234.5   12.7
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np

#: Digits of a number that a float holds, whatever they are.
MOST_DIGITS = 15
LONGEST = 40
#: Larger whole numbers are not all floats.
LARGEST_WHOLE = 2**53
_POWERS = 10.0 ** np.arange(MOST_DIGITS + 1)
_AFFIXED = re.compile(
    r"([+\-−]?)([^\d.,+\-−]*)([+\-−]?)((?:\d|[.,]\d)(?:[\d.,'’\u00a0\u202f ]*\d)?)([^\d].*|)", re.DOTALL
)
_GROUPS = ",.'’\u00a0\u202f "
#: What may stand before a number: a currency, perhaps with letters, or a sign; and after it: a unit, but no further
#: number or date.
_PREFIX = re.compile(r"(?:[A-Za-z]{0,3}\s?[$€£¥₹₽₩₺฿¢￥]|USD|EUR|GBP|CHF|CNY|RMB|JPY|INR|Rs\.?|[~≈#])?\s?")
_SUFFIX = re.compile(r"(?:\s?[^\d\s.,:/\\\-][^\d]{0,11}[23]?)?")


def plain_numbers(a, start, end) -> tuple[np.ndarray, np.ndarray]:
    """``(values, decimals)`` of spans of the bytes a: [-]digits[.digits] of at most 15 digits, no leading zeros; other
    cells are NaN, -1.

    The digits are a whole number below 2^53 and so exact, and so is the power of ten it is divided by: the quotient is
    rounded once.
    """
    length = end - start
    negative = (a.take(start, mode="clip") == ord("-")) & (length > 0)
    start, length = start + negative, length - negative
    good = (length > 0) & (length <= MOST_DIGITS + 1)
    whole, decimals, point = (
        np.zeros(start.shape, np.int64),
        np.zeros(start.shape, np.int8),
        np.zeros(start.shape, bool),
    )
    leading = a.take(start, mode="clip") == ord("0")
    for i in range(int(min(length.max(initial=0), MOST_DIGITS + 1))):
        byte = a.take(start + i, mode="clip")
        live = length > i
        digit = (byte - np.uint8(48) < 10) & live
        dot = (byte == ord(".")) & live
        good &= digit | ~live | (dot & ~point)
        whole = np.where(digit, 10 * whole + (byte - np.uint8(48)), whole)
        decimals += digit & point
        point |= dot
    digits = length - point
    good &= (digits > 0) & (digits <= MOST_DIGITS) & ~(leading & (digits - decimals > 1))
    values = whole / _POWERS[np.where(good, decimals, 0)]
    return np.where(good, np.where(negative, -values, values), np.nan), np.where(good, decimals, np.int8(-1))


def plain_float(text: str) -> float | None:
    """The finite number that a text is in any notation of Python's float, but for 1_000; None: it is none."""
    try:
        value = float(text) if "_" not in text else np.inf
    except ValueError:
        return None
    return value if abs(value) < np.inf else None


def is_code(text: str) -> bool:
    """Whether digits begin with a zero, as of a postcode."""
    return len(text) > 1 and text[0] == "0" and text.isdecimal()


@dataclass(frozen=True)
class Notation:
    """How a column writes numbers. decimals: the most; fixed: whether all cells have as many. digits: significant ones,
    of numbers with an exponent, in the place of decimals."""

    decimals: int = 0
    fixed: bool = True
    mark: str = "."
    group: str = ""
    prefix: str = ""
    suffix: str = ""
    inner_sign: bool = False
    digits: int = 0

    def read(self, text: str) -> float | None:
        """The number; None: the text is none in this notation."""
        found = _AFFIXED.fullmatch(text) if len(text) <= LONGEST else None
        if found is None or (found[2], found[5]) != (self.prefix, self.suffix) or (found[1] and found[3]):
            return None
        parts = _parts(found[4], self.mark)
        if parts is None or parts[2] not in ("", self.group) or is_code(parts[0]):
            return None
        value = float(f"{parts[0] or 0}.{parts[1] or 0}")
        return -value if (found[1] or found[3]) in "-−" and (found[1] or found[3]) else value

    def write(self, value: float) -> str:
        """A number as the column has them, rounded to its decimals."""
        if self.digits:
            text = f"{abs(value):.{self.digits}g}"
            return ("-" if value < 0 else "") + (text if self.mark == "." else text.replace(".", self.mark))
        whole, _, rest = f"{abs(value):.{self.decimals}f}".partition(".")
        negative = value < 0 and (int(whole) or rest.strip("0"))
        rest = rest if self.fixed else rest.rstrip("0")
        if self.group:
            whole = f"{int(whole):,}".replace(",", self.group)
        signs = ("-", "")[:: -1 if self.inner_sign else 1] if negative else ("", "")
        return f"{signs[0]}{self.prefix}{signs[1]}{whole}{self.mark + rest if rest else ''}{self.suffix}"


def marks_of(texts) -> set[str]:
    """The decimal separators with which all numbers among the texts can be read; none are said where no text has
    one.
    """
    cores = [found[4] for text in texts if len(text) <= LONGEST and (found := _AFFIXED.fullmatch(text))]
    marked = [core for core in cores if not core.isdecimal()]
    return {mark for mark in ".," if marked and all(_parts(core, mark) for core in marked)}


def find_notation(counts: Counter, mark: str) -> Notation | None:
    """The notation of most of the texts that are numbers; None: they share none. mark: the decimal separator where
    both would do.
    """
    found = {
        text: match
        for text in counts
        if len(text) <= LONGEST and (match := _AFFIXED.fullmatch(text)) and not (match[1] and match[3])
    }
    affixes: Counter = Counter()
    for text, match in found.items():
        affixes[match[2], match[5]] += counts[text]
    if not affixes:
        return None
    (prefix, suffix), _ = affixes.most_common(1)[0]
    if not (_PREFIX.fullmatch(prefix) and _SUFFIX.fullmatch(suffix)):
        return None
    shared = [match for match in found.values() if (match[2], match[5]) == (prefix, suffix)]
    readings: dict[str, list[tuple[str, str, str]]] = {}
    for each in ".,":
        parts = [part for match in shared if (part := _parts(match[4], each)) is not None]
        if (
            len(parts) == len(shared)
            and len({part[2] for part in parts} - {""}) <= 1
            and not any(is_code(part[0]) for part in parts)
        ):
            readings[each] = parts
    if not readings:
        return None
    if len(readings) == 2:  # all have three digits behind each separator: of decimals some would have fewer
        grouped = [each for each, parts in readings.items() if any(part[2] for part in parts)]
        if len(grouped) == 1 and any(not part[2] for part in readings[grouped[0]]):
            mark = grouped[0]
    mark = mark if mark in readings else next(iter(readings))
    decimals = [len(part[1]) for part in readings[mark]]
    group = next((part[2] for part in readings[mark] if part[2]), "")
    inner = any(match[3] and match[2] for match in shared)
    return Notation(max(decimals), min(decimals) == max(decimals), mark, group, prefix, suffix, inner)


def is_number(text: str) -> bool:
    """Whether a text is a number in any notation that is known here."""
    return plain_float(text) is not None or find_notation(Counter([text]), ".") is not None


def _parts(core: str, mark: str) -> tuple[str, str, str] | None:
    """``(digits, decimals, thousands separator)`` of a number, read with this decimal separator; None: it cannot be."""
    whole, _, rest = core.partition(mark)
    groups = set(whole) & set(_GROUPS)
    if (rest and not rest.isdecimal()) or len(groups) > 1:
        return None
    group = groups.pop() if groups else ""
    if group and not re.fullmatch(rf"[1-9]\d{{0,2}}(?:{re.escape(group)}\d{{3}})+", whole):
        return None
    return whole.replace(group, "") if group else whole, rest, group
