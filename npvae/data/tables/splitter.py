"""Text to cells: where each begins and ends in the text, so that what is kept is copied and never written anew.

    text         bytes in UTF-8, where separators, quotes and line ends are single bytes that are part of no other character
    separator    a byte; " " stands for runs of blanks and tabulators
    quotes       a cell that begins with " ends at the next " that is not doubled: separators and line ends in it are text
    line ends    \\n, \\r\\n and \\r

A cell's span is its content, without its quotes and the blanks around it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_SEPARATOR, _LINE_END, _QUOTE = 1, 2, 3
#: Bytes looked at in one go, and blanks around a cell that are taken off here (more are when it is read).
CHUNK, MOST_BLANKS = 1 << 20, 64
BLANKS = np.isin(np.arange(256), [9, 32])


@dataclass(frozen=True, eq=False)
class Cells:
    """Spans of M cells in R rows: those of row r are ``rows[r]`` to ``rows[r + 1]``. unclosed: where a quote opens that never closes, or -1."""

    separator: str
    text: bytes
    bytes: np.ndarray  # the same as numbers
    start: np.ndarray  # (M,)
    end: np.ndarray  # (M,)
    rows: np.ndarray  # (R + 1,)
    row_start: np.ndarray  # (R,)
    row_end: np.ndarray  # (R,), without the line end
    unclosed: int
    has_quotes: bool

    def of(self, starts, ends) -> list[str]:
        """The texts of some cells."""
        found = [self.text[a:b].decode("utf-8").strip() for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]
        if self.has_quotes:  # doubled in a quoted cell
            return [cell.replace('""', '"') if inside and '"' in cell else cell for cell, inside in zip(found, self.quoted(starts, ends), strict=True)]
        return found

    def row(self, r: int, most: int = 1000) -> list[str]:
        """The texts of a row, the first ``most``."""
        part = slice(self.rows[r], min(self.rows[r + 1], self.rows[r] + most))
        return self.of(self.start[part], self.end[part])

    def quoted(self, starts, ends) -> np.ndarray:
        """Which cells stand in quotes."""
        before, after = self.bytes.take(starts - 1, mode="clip"), self.bytes.take(ends, mode="clip")
        return (before == ord('"')) & (after == ord('"')) & (starts > 0) & (ends < len(self.text))

    def line(self, at: int) -> int:
        """The number of the line of a place in the text, as the file counts them."""
        return 1 + self.text.count(b"\n", 0, at) + self.text.count(b"\r", 0, at) - self.text.count(b"\r\n", 0, at)


def split(text: bytes, separator: str) -> Cells:
    """The cells of a text."""
    a, size = np.frombuffer(text, np.uint8), np.int32 if len(text) < 2**31 - 2 else np.int64
    kinds = np.zeros(256, np.uint8)
    kinds[[10, 13]], kinds[ord('"')], kinds[[9, 32] if separator == " " else [ord(separator)]] = _LINE_END, _QUOTE, _SEPARATOR
    at = np.concatenate([np.zeros(0, size), *(np.flatnonzero(kinds[a[i:i + CHUNK]]).astype(size) + size(i) for i in range(0, len(a), CHUNK))])
    pairs = b"\r\n" in text
    if pairs:  # a line end of two bytes is at its first
        at = at[(a[at] != 10) | (a[np.maximum(at, 1) - 1] != 13) | (at == 0)]
    kind, unclosed, has_quotes = kinds[a[at]], -1, b'"' in text
    if has_quotes:
        outside, unclosed = _outside_quotes(text, a, at, kind, kinds)
        at, kind = at[outside], kind[outside]
    ends_line = kind == _LINE_END
    start, end = np.zeros(len(at) + 1, size), np.append(at, size(len(text)))
    np.add(at, 1, out=start[1:])
    if pairs:
        start[1:] += ends_line & (a[at] == 13) & (a.take(at + 1, mode="clip") == 10) & (at + 1 < len(text))
    rows = np.concatenate([[0], np.flatnonzero(ends_line) + 1, [len(start)]]).astype(np.int64)
    if start[-1] == len(text) and (not len(at) or ends_line[-1]):  # nothing after the last line end
        start, end, rows = start[:-1], end[:-1], rows[:-1]
    del at, kind, ends_line
    row_start, row_end = start[rows[:-1]], end[rows[1:] - 1]
    if separator == " ":  # between two separators is nothing
        there = end > start
        rows, start, end = np.concatenate([[0], np.cumsum(there)])[rows], start[there], end[there]
    for i in range(0, len(start), CHUNK):
        _trim(a, start[i:i + CHUNK], end[i:i + CHUNK])
    if has_quotes:
        inside = ((end - start >= 2) & (a.take(start, mode="clip") == ord('"')) & (a.take(end - 1, mode="clip") == ord('"'))).astype(size)
        start, end = start + inside, end - inside
    return Cells(separator, text, a, start, end, rows, row_start, row_end, unclosed, has_quotes)


def _trim(a, start, end) -> None:
    """Take blanks off both ends of spans, in place."""
    for ends, step in ((start, 1), (end, -1)):
        which = np.flatnonzero((start < end) & BLANKS[a.take(ends - (step < 0), mode="clip")])
        for _ in range(MOST_BLANKS if len(which) else 0):
            ends[which] += step
            which = which[(start[which] < end[which]) & BLANKS[a.take(ends[which] - (step < 0), mode="clip")]]


def _outside_quotes(text, a, at, kind, kinds) -> tuple[np.ndarray, int]:
    """Which separators and line ends are no part of a quoted cell, and where a quote is never closed.

    Where all quotes stand at the ends of cells, or are doubled, those after an even number of quotes; else one after the other.
    """
    quote = kind == _QUOTE
    inside = np.cumsum(quote, dtype=np.int64) & 1
    if not inside[-1] and _at_the_end(a, at[quote & (inside == 1)], -1, kinds) and _at_the_end(a, at[quote & (inside == 0)], 1, kinds):
        return ~quote & (inside == 0), -1
    outside, within, plain, doubled, begin, opened = ~quote, False, False, -1, 0, -1
    for i in range(0, len(at), CHUNK):
        for j, (place, what) in enumerate(zip(at[i:i + CHUNK].tolist(), kind[i:i + CHUNK].tolist(), strict=True), start=i):
            if what != _QUOTE and within:
                outside[j] = False
            elif what != _QUOTE:
                begin, plain = place + 1, False
            elif within and place != doubled:
                if text[place + 1:place + 2] == b'"':
                    doubled = place + 1
                else:
                    within, plain = False, True
            elif not within and not plain:
                within = not text[begin:place].strip()
                plain, opened = not within, place
    return outside, opened if within else -1


def _at_the_end(a, at, step: int, kinds) -> bool:
    """Whether beyond each of these quotes, and blanks, a cell ends; or at once another quote comes."""
    at = at + step
    at = at[(at >= 0) & (at < len(a))]
    at = at[a[at] != ord('"')]
    for _ in range(MOST_BLANKS):
        at = at[kinds[a[at]] == 0]
        if not len(at) or not BLANKS[a[at]].all():
            return not len(at)
        at = at + step
        at = at[(at >= 0) & (at < len(a))]
    return False
