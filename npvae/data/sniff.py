"""Guessing the delimiter and the presence of a header row of a text table."""

from __future__ import annotations

import csv
from collections import Counter

#: Lines of a file, and characters, from which its delimiter is guessed.
SNIFFED_LINES, SNIFFED_CHARACTERS = 50, 1 << 22

MISSING = frozenset({"", "NA", "NaN", "nan", "?"})


def find_delimiter(lines: list[str]) -> str | None:
    """Return tab, semicolon, comma or space, whichever cuts these lines most evenly; None: a single column.

    Delimiters inside quotes do not count. Where two cut equally evenly the first in the order above wins.
    One that occurs at all is preferred to none, so that a ragged table is seen as ragged.
    """
    best, best_score = None, 0
    for delimiter in "\t;,":
        try:
            widths = [len(row) for row in csv.reader(lines, delimiter=delimiter) if row]
        except csv.Error:  # for one: a long line, not cut, is above the module's limit for one cell
            continue
        if any(width > 1 for width in widths):
            most_common, score = Counter(widths).most_common()[0]
            score = score if most_common > 1 else 1
            if score > best_score:
                best, best_score = delimiter, score
    if best is None and lines:
        first, *rest = [line.split() for line in lines]
        # A header of several words over a single column of numbers is no reason to cut at spaces.
        if any(len(row) > 1 for row in rest) or (len(first) > 1 and not looks_like_header(first)):
            best = " "
    return best


def delimiter_of(file) -> str | None:
    """``find_delimiter`` of the first lines of an open text file, which is read again from its start."""
    lines, length = [], 0
    while len(lines) < SNIFFED_LINES and length < SNIFFED_CHARACTERS and (line := file.readline(SNIFFED_CHARACTERS)):
        length += len(line)
        lines += [line] if line.strip() else []
    file.seek(0)
    return find_delimiter(lines)


def looks_like_header(cells: list[str]) -> bool:
    """Return whether some cell is text and none is a number or a sign for a missing value."""
    cells = [cell.strip() for cell in cells]
    return any(cells) and not any(cell and (cell in MISSING or _is_number(cell)) for cell in cells)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
