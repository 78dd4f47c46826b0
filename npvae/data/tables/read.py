"""``read_table``: a table's text to columns, by the rules of evidence.py."""

from __future__ import annotations

import os
from collections import Counter

import numpy as np

from npvae import check
from npvae.data.source import read_source
from npvae.data.tables import evidence
from npvae.data.tables.encoding import decode
from npvae.data.tables.form import Form
from npvae.data.tables.notation import LARGEST_WHOLE, Notation, find_notation, is_code, marks_of, plain_float, plain_numbers
from npvae.data.tables.spellings import spellings, texts_of
from npvae.data.tables.splitter import Cells, split
from npvae.data.tables.table import Column, Table
from npvae.errors import DataFileError, InputError, UnknownNameError

#: Cells whose numbers are read in one go; rows and columns that have a say in the decimal separator.
BLOCK, VOTERS = 1 << 15, 1000
SEPARATORS = {"tab": "\t", "\\t": "\t", "blank": " ", "space": " "}
#: Decimals, and significant digits, of numbers that are filled in, at most.
MOST_PLACES = 12
_HEADS, _DIGITS = (np.isin(np.arange(256), list(some)) for some in (b"0123456789+-.", b"0123456789"))


def read_table(
    path, *, encoding=None, separator=None, decimal=None, skip=None, comment=None, header=None, header_rows=None, missing=(), observed=(),
    ignore=(),
) -> Table:
    """The table in a file, ``-`` for standard input, or a binary file object: text that may be packed, or a workbook.

    encoding, separator ("," ";" "|" "tab" "blank"), decimal ("." or ","), header (whether there are names), header_rows (lines of names):
    by default found by evidence, as are lines above and below the table. skip: lines above the names. comment: how lines that are no
    rows begin. missing, observed: texts of cells that are missing, too, or are not though they are among ``spellings.SPELLINGS``.
    ignore: names of columns to be carried. What was found is in :meth:`Table.describe`.

    DataFileError naming the line: no table. InputError, InputTypeError, UnknownNameError: an argument. OSError: it cannot be read.
    """
    name = str(getattr(path, "name", "the file")) if hasattr(path, "read") else os.fspath(path)
    separator = SEPARATORS.get(separator, separator)
    if separator is not None and (len(separator) != 1 or not separator.isascii() or separator in '"\r\n'):
        raise InputError(f"separator must be one character, tab or blank, got {separator!r}")
    if decimal is not None:
        check.one_of("decimal", decimal, (".", ","))
    nothing, ignored = spellings(missing, observed), texts_of("ignore", ignore)
    decoded = decode(name, read_source(path), encoding)
    cells = split(decoded.text, separator or evidence.find_separator(decoded.text))
    if cells.unclosed >= 0:
        raise DataFileError(f"{name}: line {cells.line(cells.unclosed)}: the quote that opens here is never closed; close it, or remove it")
    form = Form(name, cells, skip, comment, header, header_rows, nothing)
    start, end = form.spans()
    values, decimals = np.empty(start.shape), np.empty(start.shape, np.int8)
    for i in range(0, len(start), rows := max(1, BLOCK // form.width)):
        found = plain_numbers(cells.bytes, start[i:i + rows].ravel(), end[i:i + rows].ravel())
        values[i:i + rows], decimals[i:i + rows] = (array.reshape(-1, form.width) for array in found)
    mark = decimal or _decimal_mark(cells, start, end, decimals, nothing)
    reader = _ColumnReader(cells, nothing, mark)
    columns = [
        reader.read(Column(inside, written, values[:, j]), start[:, j], end[:, j], decimals[:, j], j == 0)
        for j, (inside, written) in enumerate(zip(form.names, form.written, strict=True))
    ]
    for text in sorted(ignored):
        named = [column for column in columns if text in (column.name, column.written)]
        if not named:
            raise UnknownNameError("column", text, form.names)
        for column in named:
            column.carried = "as said"
    return Table(name, decoded, cells, mark, form, start, end, columns)


def _decimal_mark(cells: Cells, start, end, decimals, nothing) -> str:
    """The table's decimal separator: each column has a vote, those of plain numbers if they have not three decimals throughout."""
    votes: Counter = Counter()
    for j in range(min(start.shape[1], VOTERS)):
        places = set(decimals[:VOTERS, j].tolist())
        if -1 in places:
            rest = np.flatnonzero(decimals[:VOTERS, j] < 0)
            found = marks_of(text for text in cells.of(start[rest, j], end[rest, j]) if text not in nothing)
            votes[found.pop() if len(found) == 1 else ""] += 1
        elif places - {0, 3}:
            votes["."] += 1
    return "," if votes[","] > votes["."] or (votes[","] == votes["."] and cells.separator == ";") else "."


class _ColumnReader:
    """Reads columns, each from its plain numbers and the spans of its cells."""

    def __init__(self, cells: Cells, nothing: frozenset[str], mark: str) -> None:
        self._cells, self._nothing, self._mark = cells, nothing, mark
        self._underscores = b"_" in cells.text
        self._numbers = {number: text for text in nothing if (number := plain_float(text)) is not None}

    def read(self, column: Column, start, end, decimals, first: bool) -> Column:
        """Complete the column, which has plain numbers for values, with ``decimals`` places, -1 elsewhere. first: whether it is the first."""
        for number, text in self._numbers.items():
            self._miss(column, np.flatnonzero(column.values == number), text)
        rest = np.flatnonzero((decimals < 0) & ~column.missing)
        wild = self._floats(column.values, rest, start, end)
        rest = rest[np.isnan(column.values[rest])]
        if "" in self._nothing:
            empty = start[rest] == end[rest]
            self._miss(column, rest[empty], "")
            rest = rest[~empty]
        texts = self._cells.of(start[rest], end[rest])
        for text in set(texts) & self._nothing:
            self._miss(column, rest[[each == text for each in texts]], text)
        plain = decimals[(decimals >= 0) & ~column.missing]
        places = set(np.unique(plain).tolist())
        if not self._nothing.issuperset(texts) or (self._mark == "," and 3 in places <= {0, 3} and not len(wild)):  # 1.234 may be a thousand
            rows = np.flatnonzero(~column.missing)
            self._read_texts(column, rows, self._cells.of(start[rows], end[rows]), self._mark != ",")
        else:
            found = _notation(self._cells.of(start[wild[:VOTERS]], end[wild[:VOTERS]]))
            if not found.digits and len(wild) <= len(plain):  # 0.30000000000000004 among tenths is one of them
                places |= {found.decimals} if len(wild) and found.decimals < MOST_PLACES else set()
                found = Notation(max(places, default=0), len(places) < 2)
            column.notation = found
        self._judge(column, first)
        return column

    def _miss(self, column: Column, rows, text: str) -> None:
        if len(rows):
            column.missing[rows], column.values[rows] = True, np.nan
            column.spellings[text] = column.spellings.get(text, 0) + len(rows)

    def _floats(self, values, rows, start, end) -> np.ndarray:
        """Read numbers with an exponent, or to the last bit, if all that begin like numbers are such; their rows, or none."""
        a, text = self._cells.bytes, self._cells.text
        rows = rows[_HEADS[a.take(start[rows], mode="clip")] & (end[rows] > start[rows])]
        raw = [text[i:j] for i, j in zip(start[rows].tolist(), end[rows].tolist(), strict=True)]
        try:
            found = np.fromiter(map(float, raw), float, len(raw))
        except ValueError:
            return rows[:0]
        code = (a.take(start[rows], mode="clip") == ord("0")) & _DIGITS[a.take(start[rows] + 1, mode="clip")] & (end[rows] > start[rows] + 1)
        if code.any() or not (np.abs(found) < LARGEST_WHOLE).all() or (self._underscores and any(b"_" in each for each in raw)):
            return rows[:0]
        values[rows] = found
        return rows

    def _read_texts(self, column: Column, rows, texts: list[str], plainly: bool) -> None:
        """Read observed cells that are not all plain numbers. plainly: whether those that are plain are what they look like."""
        counts = Counter(texts)
        floats = {text: plain_float(text) for text in counts}
        lower = {text.lower() for text in counts}
        if any(map(is_code, counts)):
            self._keep(column, "text", rows, texts, counts)
        elif None not in floats.values() and any(text.lstrip("+-").isdecimal() and abs(floats[text]) >= LARGEST_WHOLE for text in counts):
            self._keep(column, "identifier", rows, [*map(int, texts)] if all(map(str.isdecimal, counts)) else texts, counts)
        elif None not in floats.values() and plainly:
            column.values[rows], column.notation = [floats[text] for text in texts], _notation(texts[:VOTERS])
        elif dates := evidence.read_dates(texts, counts):
            column.kind, column.unit, column.values[rows], column.example = "date", *dates, texts[0]
        elif lower <= {"true", "false"} and len(lower) == len(counts):
            self._keep(column, "truth", rows, [text.lower() == "true" for text in texts], counts)
        else:
            notation = find_notation(counts, self._mark)
            readings = [(notation, {text: notation.read(text) for text in counts})] if notation else []
            for notation, reading in [*readings, (_notation([text for text in texts[:VOTERS] if floats[text] is not None]), floats)]:
                others = Counter({text: counts[text] for text, value in reading.items() if value is None})
                if not others or evidence.are_few_others(others, len(texts) - sum(others.values())):
                    column.values[rows] = [np.nan if reading[text] is None else reading[text] for text in texts]
                    column.notation, column.others = notation, dict(others)
                    return
            self._keep(column, "text", rows, texts, counts)

    def _keep(self, column: Column, kind: str, rows, found: list, counts: Counter) -> None:
        column.kind, column.counts, column.values = kind, counts, np.full(len(column.values), None, object)
        column.values[rows] = found

    def _judge(self, column: Column, first: bool) -> None:
        """Say why a column is carried, and what is suspicious in it."""
        seen = column.values[column.observed]
        if not len(seen):
            column.carried = "empty"
        elif (seen == seen[0]).all():
            column.carried = "ticked or empty" if column.missing.any() else "constant"
        elif column.kind == "identifier":
            column.carried = "identifiers: whole numbers of more digits than a float holds"
        elif column.kind == "text":
            column.carried = evidence.why_no_categories(column.counts, "--missing={}") or ""
        elif column.kind == "number" and first and len(seen) == len(column.values) and evidence.counts_rows(seen):
            column.carried = "numbers of the rows"
        elif column.kind == "number":
            column.suspicious = evidence.suspicious(seen)


def _notation(texts) -> Notation:
    """The notation of numbers that are not plain: as many significant digits, where some have an exponent, else decimals; at most MOST_PLACES."""
    if any("e" in text.lower() for text in texts):
        return Notation(digits=max(min(MOST_PLACES, len(text.lower().partition("e")[0].lstrip("+-0.").replace(".", ""))) for text in texts))
    places = {len(text.partition(".")[2]) for text in texts}
    return Notation(min(MOST_PLACES, max(places, default=0)), len(places) < 2)
