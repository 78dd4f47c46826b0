"""What a table's text is evidence of. Each rule has an option that overrules it.

what                 evidence                                                                              option
separator            cuts most lines into equally many cells; of equals tab ; | , before blanks, unless    separator
                     most lines have runs of blanks within a cell
title lines          above the names, of one cell with text, or with fewer cells than names and rows       skip
notes                below the last row, the same
comment lines        begin with #, and have not as many cells as the rows                                  comment
names                no cell is a number or missing, and one stands above numbers, or no column has        header
                     numbers and the names do not recur below; or numbers in equal steps (years) that
                     do not go on below
second row of names  no cell is a number, two and all columns of numbers below have text there             header_rows
names of rows        all rows have one cell more than the names                                            header
decimal separator    the only one that all numbers of a column can be read with, by most such columns;     decimal
                     without such a column the comma where cells are separated by ; and the point elsewhere
number               a plain number, or one with separators, prefix and suffix that all cells share        kind
other spellings      few texts in few cells of a number, see carried.py                                    missing
code                 a whole number with a leading zero: text                                              kind
date                 2024-01-31, with a time perhaps, or 2024-01, in all cells                             kind
truth values         true and false                                                                        kind
carried              empty, constant, identifiers, names, free text, ..., see carried.py                   kind
suspicious number    the smallest or largest, given several times, farther off than the others' range,     missing
                     or the only negative one
suspicious spelling  a word for missing in SHARE_OF_WORD of the cells of categories                        observed
"""

from __future__ import annotations

import re
from collections import Counter

import numpy as np

from npvae.data.tables.notation import find_notation, is_number, plain_float
from npvae.data.tables.splitter import split

SHARE_OF_WORD, FEWEST_REPEATED = 0.05, 3
#: Rows and bytes looked at for the form of a table; rows above the names, at most.
ROWS, BYTES, TITLES = 200, 1 << 20, 30
SEPARATORS = ("\t", ";", "|", ",", " ")
_DATE = re.compile(
    r"[12]\d{3}-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01])"
    r"([T ]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,6})?)?( ?(Z|UTC)|\+00:?00)?)?)?"
)


def find_separator(text: bytes) -> str:
    """The separator of a table's text."""
    sample = text[:BYTES]
    if len(text) > BYTES:
        sample = sample[: max(sample.rfind(b"\n"), sample.rfind(b"\r"))] or sample
    best, most = ",", 0.0
    for separator in SEPARATORS:
        cells = split(sample, separator)
        filled = np.concatenate([[0], np.cumsum(cells.length > 0)])
        rows = np.flatnonzero(np.diff(filled[cells.rows]) > 0)[:ROWS]
        widths = np.diff(cells.rows)[rows]
        if not len(widths) or widths.max() < 2:
            continue
        usual = Counter(widths.tolist()).most_common(1)[0]
        share = usual[1] / len(widths) if usual[0] > 1 else 0.5 / len(widths)
        if separator != " " and 2 * sum("  " in "\0".join(cells.row(r, 64)) for r in rows) > len(rows):
            share /= 2  # blanks separate as well
        elif separator == " " and (
            0.0 < most > share - 0.4 or (widths[1:].max(initial=1) == 1 and not is_number(cells.row(rows[0], 1)[0]))
        ):
            continue  # words of a text, or of a header above a single column
        if share > most:
            best, most = separator, share
    return best


def usual_width(widths: np.ndarray) -> int:
    """The number of cells of most rows, of equals the larger."""
    counts = np.bincount(np.minimum(widths, 1 << 24))
    return int(len(counts) - 1 - counts[::-1].argmax())


def is_note(row: list[str], several: int, width: int) -> bool:
    """Whether a row of so many cells is a line of text about a table of this width, and none of it."""
    texts = [cell for cell in row if cell]
    return width > 1 and len(texts) == 1 and not is_number(texts[0]) and (several < width or width > 2)


def are_names(first: list[str], below: list[list[str]], nothing, quotes_differ: bool = False) -> bool:
    """Whether a first row has the names of the columns. quotes_differ: whether it alone stands in quotes."""
    columns = [[row[j] for row in below[:ROWS] if j < len(row) and row[j] not in nothing] for j in range(len(first))]
    notations = [find_notation(Counter(column), ".") for column in columns]
    numeric = [
        sum(plain_float(cell) is not None or (how is not None and how.read(cell) is not None) for cell in column)
        > len(column) / 2
        for column, how in zip(columns, notations, strict=True)
    ]
    numbers = [
        plain_float(cell) if plain_float(cell) is not None else how and how.read(cell)
        for cell, how in zip(first, notations, strict=True)
    ]
    nameless = (
        len(first) > 1
        and not first[0]
        and all(first[1:])
        and len({*first}) == len(first)
        and (len(first) > 2 or not any(numbers))
    )
    corner = nameless and len(columns[0]) == len({*columns[0]}) == len(below[:ROWS])  # above the names of the rows
    if below and (corner or (quotes_differ and any(numeric))):
        return True
    if any(number is not None for number in numbers):
        return _are_numbered(numbers, columns)
    if not any(first) or any(
        cell and (cell in nothing or cell.lower().lstrip("+-") in ("inf", "infinity")) for cell in first
    ):
        return False
    if any(numeric):
        return any(name and number for name, number in zip(first, numeric, strict=True))
    recurring = sum(name in column for name, column in zip(first, columns, strict=True))
    return recurring <= len(first) / 2 and all(first)


def _are_numbered(numbers: list, columns: list[list[str]]) -> bool:
    """Whether the numbers of a first row are a year, or several in equal steps, or number three columns and more
    from 0, unlike what is below.
    """
    there = [(number, column) for number, column in zip(numbers, columns, strict=True) if number is not None]
    found = [number for number, _ in there]
    steps = {b - a for a, b in zip(found, found[1:], strict=False)}
    years, counted = all(1000 <= number <= 2999 for number in found), len(found) > 2 and found == [*range(len(found))]
    if not (years or counted) or len(steps) > 1 or 0.0 in steps or any(number % 1 for number in found):
        return False
    unlike = 0
    for number, column in there:
        below = [value for value in map(plain_float, column) if value is not None]
        if below and len(found) == 1 and all(1000 <= value <= 2999 for value in below):
            return False  # a year above years
        unlike += bool(column) and (
            not below or any(value % 1 for value in below) or not min(below) <= number <= max(below)
        )
    return 2 * unlike > len(found)


def is_second_header(second: list[str], below: list[list[str]], nothing) -> bool:
    """Whether a row below the names, of units perhaps, is no data: text above at least two, and all, columns of
    numbers.
    """
    columns = [[row[j] for row in below[:ROWS] if j < len(row) and row[j] not in nothing] for j in range(len(second))]
    numeric = [bool(column) and all(map(is_number, column)) for column in columns]
    texts = [cell not in nothing and not is_number(cell) for cell in second]
    return (
        sum(a and b for a, b in zip(numeric, texts, strict=True)) >= 2
        and not any(map(is_number, second))
        and len(below) > 1
    )


def read_dates(texts: list[str], counts) -> tuple[str, np.ndarray] | None:
    """``(unit, numbers)`` of dates as in ISO 8601, counted since 1970 in "M", "D", "s" or "us"; None: one is none,
    or they differ in form.
    """
    first = _DATE.fullmatch(texts[0])
    if not first or len({re.sub(r"\d", "0", text) for text in counts}) > 1 or not all(map(_DATE.fullmatch, counts)):
        return None
    unit, end = "us" if first[7] else "s" if first[4] else "D" if first[2] else "M", date_length(texts[0])
    try:
        return unit, np.array([text[:end].replace(" ", "T") for text in texts], f"M8[{unit}]").astype(np.int64)
    except ValueError:  # 30 February
        return None


def date_length(text: str) -> int:
    """Characters of a date without its time zone."""
    found = re.match(r"[\d\-T:. ]*\d", text)
    assert found is not None, text
    return len(found[0])


def suspicious(values: np.ndarray) -> list[float]:
    """Numbers that look like a sign for missing: the smallest or largest, whole, given several times, far from all
    others or the only one below 0; a positive one of nines or eights alone."""
    found = []
    for end, other in ((values.min(), np.min), (values.max(), np.max)):
        rest = values[values != end]
        sign = end < 0.0 or (end > 10.0 and set(f"{end:.15g}") in ({"9"}, {"8"}))
        if sign and end == np.rint(end) and len(values) - len(rest) >= FEWEST_REPEATED and len(rest):
            gap, breadth = abs(end - other(rest)), rest.max() - rest.min()
            lone = end < 0.0 <= rest.min() and len(set(rest[:1000].tolist())) >= 10
            if breadth > 0.0 and (gap > breadth or lone):
                found.append(float(end))
    return found
