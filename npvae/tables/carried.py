"""Which columns of a table are carried: kept as they are because a model can learn nothing of them, or nothing can be learnt at all.

    evidence, in this order                                             reason
    no cell is observed                                                 empty
    one value in every row                                              constant
    one value in some rows, nothing in the others                       ticked or empty
    a cell is neither number, text, truth value, date nor duration      cells of that type
    a whole number that a float does not hold, above 2^53               identifiers
    whole numbers, all different, under the name of an identifier       identifiers
    text, or text among numbers, in which too few answers recur         names or free text; numbers written as text

A few words in a column of numbers, such as "unknown", do not make it text: :func:`words_among_numbers` says which cells stay as they
are while the rest of the column is modelled. What recurs enough, and how few words are few, is the same for files: evidence.py.
"""

from __future__ import annotations

import numbers
import re
from collections import Counter

import numpy as np

from npvae.data.tables.evidence import are_few_others, why_no_categories
from npvae.data.tables.notation import LARGEST_WHOLE

#: Names of columns that identify rows: the whole name, or its last word.
_WHOLE_NAMES = re.compile(r"unnamed: \d+|index|idx|key|nr|no|number|row|row ?names?", re.IGNORECASE)
_LAST_WORDS = re.compile(r"(.*[\W_])?(id|ids|uuid|guid|nr|no)|.*[a-z](ID|Id)", re.DOTALL)


def why_carried(name: str, cells: np.ndarray, observed: np.ndarray) -> str | None:
    """Why the column of cells (N,), floats or objects, cannot be modelled, in a few words; None: it can.

    name: of the column; "" where it has none, and then nothing is concluded from it.
    """
    there = cells[observed]
    if not len(there):
        return "empty"
    if there.dtype.kind == "f":
        return _why_numbers_carried(name, there, bool(observed.all()))
    other = next((cell for cell in there if not isinstance(cell, (str, bool, np.bool_)) and not _is_number(cell)), None)
    if other is not None:
        return f"cells of the type {type(other).__name__}"
    texts = [cell for cell in there if isinstance(cell, str)]
    if not texts:
        if any(isinstance(cell, numbers.Integral) and abs(int(cell)) > LARGEST_WHOLE for cell in there):
            return "identifiers: whole numbers of more digits than a float holds"
        return _why_numbers_carried(name, there, bool(observed.all()))
    if len(set(there)) == 1:
        return _constant(texts[0], bool(observed.all()))
    if len(texts) < len(there) and (words := words_among_numbers(cells, observed)) is not None:
        return _why_numbers_carried(name, cells[observed & ~words], False)
    reason = why_no_categories(Counter(map(str, there)))
    if reason is not None and all(map(_is_numeral, texts)):
        return f"numbers written as text, such as {texts[0]!r}: convert them to numbers first"
    return reason


def words_among_numbers(cells: np.ndarray, observed: np.ndarray) -> np.ndarray | None:
    """Which cells of a column of numbers are words that stay as they are, (N,) booleans; None: there are none, or so many that
    it is no column of numbers."""
    if cells.dtype.kind != "O":
        return None
    words = np.fromiter((bool(seen) and isinstance(cell, str) for cell, seen in zip(cells, observed, strict=True)), bool, len(cells))
    rest = cells[observed & ~words]
    if not words.any() or not are_few_others(Counter(cells[words]), len(rest)) or not all(map(_is_number, rest)):
        return None
    return words


def names_identifiers(name: str) -> bool:
    """Whether a column of this name says that it identifies rows: id, customer_id, CustomerID, "Unnamed: 0", ..."""
    name = name.strip(" .:#")
    return bool(_WHOLE_NAMES.fullmatch(name) or _LAST_WORDS.fullmatch(name) or _LAST_WORDS.fullmatch(name.lower()))


def _why_numbers_carried(name: str, there: np.ndarray, complete: bool) -> str | None:
    if (there == there[0]).all():
        return _constant(there[0], complete)
    if not complete or len(there) < 3 or not names_identifiers(name):
        return None
    values = set(there.tolist())
    if len(values) == len(there) and all(abs(value) != float("inf") and value == value // 1 for value in values):
        return "identifiers: whole numbers, all different"
    return None


def _constant(value, complete: bool) -> str:
    shown = f"{value:g}" if isinstance(value, float) else _short(value)
    return f"constant: always {shown}" if complete else f"ticked or empty: {shown} and nothing else"


def _is_number(cell) -> bool:
    return isinstance(cell, numbers.Number) and not isinstance(cell, (complex, np.complexfloating, bool, np.bool_))


def _is_numeral(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _short(value) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
