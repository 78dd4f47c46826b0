"""Which columns of a table are carried: kept as they are because a model can learn nothing of them, or nothing can be learnt at all.

    evidence, in this order                                             reason
    no cell is observed                                                 empty
    one value in every row                                              constant
    one value in some rows, nothing in the others                       ticked or empty
    a cell is neither number, text, truth value, date nor duration      cells of that type
    a whole number that a float does not hold, above 2^53               identifiers
    whole numbers, all different, under the name of an identifier       identifiers
    text, all numerals, as many as make no categories                   numbers written as text
    text, every answer another, or so many that few recur               names or free text
    text among more numbers than categories have                        text among numbers

A few words in a column of numbers, such as "unknown", do not make it text: :func:`words_among_numbers` says which cells stay as they
are while the rest of the column is modelled.
"""

from __future__ import annotations

import numbers
import re

import numpy as np

#: A column of text with more values than this is most likely no category but a name.
MOST_VALUES = 100
#: With so many values or fewer, text is a category though most answers are given once.
FEW_VALUES = 20
#: A column with text in it whose numbers are more is one of numbers with words among them.
MOST_NUMBERS = 10
#: So many different words, in at most this share of the observed cells, leave a column one of numbers.
MOST_WORDS, SHARE_OF_WORDS = 3, 0.05
#: Whole numbers above it are not all floats.
LARGEST_WHOLE = 2**53
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
    if len(texts) < len(there):
        return _why_mixture_carried(there, texts, cells, observed)
    values = set(texts)
    if len(values) == 1:
        return _constant(texts[0], bool(observed.all()))
    recurring = len(values) <= MOST_VALUES and (len(values) <= FEW_VALUES or len(values) <= len(texts) / 2)
    if recurring and (len(values) < len(texts) or len(texts) < 4):
        return None
    if all(_is_numeral(value) for value in values):
        return f"numbers written as text, such as {texts[0]!r}: convert them to numbers first"
    different = f"{len(values)} different answers" if len(values) < len(texts) else "every answer is another"
    return f"names or free text: {different} in {len(texts)} rows, such as {_short(texts[0])}"


def words_among_numbers(cells: np.ndarray, observed: np.ndarray) -> np.ndarray | None:
    """Which cells of a column of numbers are words that stay as they are, (N,) booleans; None: there are none, or so many that
    it is no column of numbers."""
    if cells.dtype.kind != "O":
        return None
    words = np.fromiter((bool(seen) and isinstance(cell, str) for cell, seen in zip(cells, observed, strict=True)), bool, len(cells))
    if not words.any() or words.sum() > SHARE_OF_WORDS * observed.sum() or len(set(cells[words])) > MOST_WORDS:
        return None
    rest = cells[observed & ~words]
    if not all(map(_is_number, rest)) or len(set(rest)) <= MOST_NUMBERS:
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


def _why_mixture_carried(there, texts, cells, observed) -> str | None:
    rest = {cell for cell in there if not isinstance(cell, str)}
    if len(rest) <= MOST_NUMBERS or words_among_numbers(cells, observed) is not None:
        return None
    return f"text among numbers, such as {_short(texts[0])}"


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
