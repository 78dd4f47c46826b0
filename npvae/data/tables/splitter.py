"""Text to cells: where each begins and ends in the text, so that what is kept is copied and never written anew.

    text         bytes in UTF-8, where separators, quotes and line ends are single bytes that are part of no other
                 character
    separator    a byte; " " stands for runs of blanks and tabulators
    quotes       a cell that begins with " ends at the next " that is not doubled: separators and line ends in it are
                 text
    line ends    \\n, \\r\\n and \\r

A cell's span is its content, without its quotes and the blanks around it.
"""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass

import numpy as np

_SEPARATOR, _LINE_END = 1, 2
#: Bytes looked at in one go, and blanks around a cell that are taken off here (more are when it is read).
CHUNK, MOST_BLANKS = 1 << 20, 64
BLANKS = np.isin(np.arange(256), [9, 32])
_QUOTED = re.compile(rb'"[^"]*(?:""[^"]*)*("?)')


@dataclass(frozen=True, eq=False)
class Cells:
    """Spans of M cells in R rows: those of row r are ``rows[r]`` to ``rows[r + 1]``. unclosed: where a quote opens
    that never closes, or -1.
    """

    separator: str
    text: bytes
    bytes: np.ndarray  # the same as numbers
    start: np.ndarray  # (M,)
    length: np.ndarray  # (M,)
    rows: np.ndarray  # (R + 1,)
    row_start: np.ndarray  # (R,)
    row_end: np.ndarray  # (R,), without the line end
    unclosed: int
    has_quotes: bool

    def texts(self, starts, ends) -> list[str]:
        """The texts of some spans."""
        found = [self.text[a:b].decode("utf-8").strip() for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]
        if self.has_quotes:  # doubled in a quoted cell
            return [
                cell.replace('""', '"') if inside and '"' in cell else cell
                for cell, inside in zip(found, self.quoted(starts, ends), strict=True)
            ]
        return found

    def spans(self, r: int, most: int = 1000) -> tuple[np.ndarray, np.ndarray]:
        """Starts and ends of the cells of a row, the first ``most``."""
        part = slice(self.rows[r], min(self.rows[r + 1], self.rows[r] + most))
        return self.start[part], self.start[part] + self.length[part]

    def row(self, r: int, most: int = 1000) -> list[str]:
        """The texts of a row, the first ``most``."""
        return self.texts(*self.spans(r, most))

    def quoted(self, starts, ends) -> np.ndarray:
        """Which spans stand in quotes."""
        before, after = self.bytes.take(starts - 1, mode="clip"), self.bytes.take(ends, mode="clip")
        return (before == ord('"')) & (after == ord('"')) & (starts > 0) & (ends < len(self.text))

    def line(self, at: int) -> int:
        """The number of the line of a place in the text, as the file counts them."""
        return 1 + self.text.count(b"\n", 0, at) + self.text.count(b"\r", 0, at) - self.text.count(b"\r\n", 0, at)


def split(text: bytes, separator: str) -> Cells:
    """The cells of a text."""
    a, size = np.frombuffer(text, np.uint8), np.int32 if len(text) < 2**31 - 2 else np.int64
    kinds = np.zeros(256, np.uint8)
    kinds[[10, 13]], kinds[[9, 32] if separator == " " else [ord(separator)]] = _LINE_END, _SEPARATOR
    at = np.concatenate(
        [
            np.zeros(0, size),
            *(np.flatnonzero(kinds[a[i : i + CHUNK]]).astype(size) + size(i) for i in range(0, len(a), CHUNK)),
        ]
    )
    if b"\r\n" in text:  # a line end of two bytes is at its second
        at = at[(a[at] != 13) | (a.take(at + 1, mode="clip") != 10) | (at + 1 == len(a))]
    unclosed, has_quotes = -1, b'"' in text
    if has_quotes:
        at, unclosed = _outside_quotes(text, a, at)
    ends_line = kinds[a[at]] == _LINE_END
    rows = np.concatenate([[0], np.flatnonzero(ends_line) + 1, [len(at) + 1]]).astype(size)
    start, end = _between(a, at)
    if start[-1] == len(text) and (not len(at) or ends_line[-1]):  # nothing after the last line end
        start, end, rows = start[:-1], end[:-1], rows[:-1]
    del at, ends_line
    row_start, row_end = start[rows[:-1]], end[rows[1:] - 1]
    if separator == " ":  # between two separators is nothing
        there = end > start
        rows, start, end = np.concatenate([[0], np.cumsum(there)]).astype(size)[rows], start[there], end[there]
    _trim(a, start, end)
    if has_quotes:
        inside = (
            (end - start >= 2) & (a.take(start, mode="clip") == ord('"')) & (a.take(end - 1, mode="clip") == ord('"'))
        )
        start, end = start + inside, end - inside
    end -= start
    return Cells(
        separator,
        text,
        a,
        start,
        end.astype(np.min_scalar_type(end.max(initial=0))),
        rows,
        row_start,
        row_end,
        unclosed,
        has_quotes,
    )


def _between(a, at) -> tuple[np.ndarray, np.ndarray]:
    """Starts and ends of what is between separators and line ends."""
    line_ends = np.flatnonzero(a[at] == 10)
    start, end = np.zeros(len(at) + 1, at.dtype), np.append(at, at.dtype.type(len(a)))
    np.add(at, 1, out=start[1:])
    end[line_ends] -= (a.take(at[line_ends] - 1, mode="clip") == 13) & (at[line_ends] > 0)
    return start, end


def _trim(a, start, end) -> None:
    """Take blanks off both ends of spans, in place."""
    for i in range(0, len(start), CHUNK):
        some = start[i : i + CHUNK], end[i : i + CHUNK]
        for ends, step in zip(some, (1, -1), strict=True):
            which = np.flatnonzero((some[0] < some[1]) & BLANKS[a.take(ends - (step < 0), mode="clip")])
            for _ in range(MOST_BLANKS if len(which) else 0):
                ends[which] += step
                which = which[(some[0][which] < some[1][which]) & BLANKS[a.take(ends[which] - (step < 0), mode="clip")]]


def _outside_quotes(text: bytes, a, at) -> tuple[np.ndarray, int]:
    """Separators and line ends that are no part of a quoted cell, and where a quote opens that never closes, or -1."""
    start, end = _between(a, at)
    _trim(a, start, end)
    opening = start[a.take(start, mode="clip") == ord('"')]
    spans, last, unclosed = array("q"), 0, -1
    for i in range(0, len(opening), CHUNK):
        for place in opening[i : i + CHUNK].tolist():
            if last <= place < len(text):
                found = _QUOTED.match(text, place)
                assert found is not None  # it begins with a quote
                last, unclosed = found.end(), -1 if found[1] else place
                spans.extend((place, last))
    if not spans:
        return at, -1
    begin, end = np.array(spans).reshape(-1, 2).T
    which = np.searchsorted(begin, at, "right") - 1
    return at[(which < 0) | (at >= end[which])], unclosed
