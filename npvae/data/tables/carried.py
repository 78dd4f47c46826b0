"""Which columns of a table, in a file or in memory, are carried: kept as they are because a model can learn nothing of
them.

    evidence, in this order                                             reason
    no cell is observed                                                 empty
    a cell is neither number, text, truth value, date nor duration      cells of that type
    text, or text among numbers, in which too few answers recur         names or free text; numbers with texts; dates
    a whole number that a float does not hold, above 2^53               identifiers
    one value in every row                                              constant
    one value in some rows, nothing in the others                       ticked or empty
    0, 1, 2, ... or 1, 2, 3, ... in the first column of a file          numbers of the rows
    whole numbers, all different, under the name of an identifier       identifiers

A few words in a column of numbers, such as "unknown", do not make it text: they stay as they are while the rest is
modelled.
"""

from __future__ import annotations

import numbers
import re
from collections import Counter

import numpy as np

from npvae.data.tables.notation import LARGEST_WHOLE, is_code, is_number, plain_float

#: Texts among numbers, at most, their share of the cells, and numbers, at least.
MOST_OTHERS, SHARE_OF_OTHERS, FEWEST_NUMBERS = 3, 0.05, 8
#: Categories, at most; so few may have many that are given once.
MOST_CATEGORIES, FEW_CATEGORIES = 100, 20
#: Texts that are looked at for dates, and for numbers.
SOME_DATES, SOME_TEXTS = 200, 1000
#: Names of columns that identify rows: the whole name, or its last word.
_WHOLE_NAMES = re.compile(r"unnamed: \d+|index|idx|key|nr|no|number|row|row ?names?", re.IGNORECASE)
_LAST_WORDS = re.compile(r"(.*[\W_])?(id|ids|uuid|guid|nr|no)|.*[a-z](ID|Id)", re.DOTALL)
_DATE = re.compile(
    r"\d{1,4}[/.\-]\d{1,2}[/.\-]\d{1,4}\b.*|.*\b(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\b.*\d.*", re.I
)


def why_carried(
    name: str, cells: np.ndarray, observed: np.ndarray, first: bool = False, option: str = "missing={!r}"
) -> str | None:
    """Why the column of cells (N,), floats or objects, cannot be modelled, in a few words; None: it can.

    name: of the column; "" where it has none, and then nothing is concluded from it. first: whether it is the first of
    a file. option: how the user says that a text is missing.
    """
    there, complete = cells[observed], bool(observed.all())
    if not len(there):
        return "empty"
    if there.dtype.kind != "f":
        other = next(
            (cell for cell in there if not isinstance(cell, (str, bool, np.bool_)) and not _is_number(cell)), None
        )
        if other is not None:
            return f"cells of the type {type(other).__name__}"
        if any(isinstance(cell, str) for cell in there):
            words = words_among_numbers(cells, observed)
            if words is None and len(set(there)) > 1:
                return _why_no_categories(Counter(map(str, there)), option)
            there, complete = (there, complete) if words is None else (cells[observed & ~words], False)
        elif any(isinstance(cell, numbers.Integral) and abs(int(cell)) > LARGEST_WHOLE for cell in there):
            return "identifiers: whole numbers of more digits than a float holds"
    if (there == there[0]).all():
        shown = f"{there[0]:g}" if isinstance(there[0], float) else short(there[0])
        return f"constant: always {shown}" if complete else f"ticked or empty: {shown} and nothing else"
    if not complete or len(there) < 3:
        return None
    if first and there[0] in (0.0, 1.0) and (np.diff(there) == 1.0).all():
        return "numbers of the rows"
    if (
        names_identifiers(name)
        and all(abs(value) != float("inf") and value == value // 1 for value in there)
        and len(set(there.tolist())) == len(there)
    ):
        return "identifiers: whole numbers, all different"
    return None


def words_among_numbers(cells: np.ndarray, observed: np.ndarray) -> np.ndarray | None:
    """Which cells of a column of numbers are words that stay as they are, (N,) booleans; None: there are none, or so
    many that it is no column of numbers."""
    if cells.dtype.kind != "O":
        return None
    words = np.fromiter(
        (bool(seen) and isinstance(cell, str) for cell, seen in zip(cells, observed, strict=True)), bool, len(cells)
    )
    rest = cells[observed & ~words]
    if not words.any() or not are_few_others(Counter(cells[words]), len(rest)) or not all(map(_is_number, rest)):
        return None
    return words


def are_few_others(others: Counter, numbers: int) -> bool:
    """Whether texts among numbers may stay as they are while the rest is modelled."""
    cells = sum(others.values())
    return (
        len(others) <= MOST_OTHERS
        and numbers >= FEWEST_NUMBERS
        and cells <= max(1, SHARE_OF_OTHERS * (cells + numbers))
    )


def names_identifiers(name: str) -> bool:
    """Whether a column of this name says that it identifies rows: id, customer_id, CustomerID, "Unnamed: 0", ..."""
    name = name.strip(" .:#")
    return bool(_WHOLE_NAMES.fullmatch(name) or _LAST_WORDS.fullmatch(name) or _LAST_WORDS.fullmatch(name.lower()))


def short(value) -> str:
    """A value as messages have it."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _why_no_categories(counts: Counter, option: str) -> str | None:
    """Why texts are no categories, in words; None: they are."""
    number, total = len(counts), sum(counts.values())
    recurring = sum(count for count in counts.values() if count > 1)
    if not (
        number == total > 1
        or number > MOST_CATEGORIES
        or (2 * number > total if number > FEW_CATEGORIES else 2 * recurring < total)
    ):
        return None
    example, some = short(next(iter(counts))), dict(counts.most_common(SOME_TEXTS))
    others = Counter({text: count for text, count in some.items() if not is_code(text) and not is_number(text)})
    if all(plain_float(text) is not None and not is_code(text) for text in some):
        return f"numbers written as text, such as {example}: convert them to numbers first"
    if others and 2 * sum(others.values()) < sum(some.values()):
        shown = ", ".join(
            f"{short(text)} in {count:,} cell{'s' if count > 1 else ''}" for text, count in others.most_common(3)
        )
        ways = " ".join(option.format(text) for text, _ in others.most_common())
        way = (
            f"; if {'they mean' if len(others) > 1 else 'it means'} missing: {ways}"
            if len(others) <= MOST_OTHERS
            else ""
        )
        return f"numbers with {len(others)} other text{'s' if len(others) > 1 else ''} among them: {shown}{way}"
    dates = [len(text) <= 40 and bool(_DATE.fullmatch(text)) for text in list(counts)[:SOME_DATES]]
    if sum(dates) > len(dates) / 2:
        return f"dates in another form than 2024-01-31, such as {example}"
    count = f"all {number} differ" if number == total else f"{number} different ones in {total} cells"
    return f"names or free text: {count}, such as {example}"


def _is_number(cell) -> bool:
    return isinstance(cell, numbers.Number) and not isinstance(cell, (complex, np.complexfloating, bool, np.bool_))
