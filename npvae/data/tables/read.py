"""``read_table``: a table's text to columns, by the rules of evidence.py."""

from __future__ import annotations

import os
from collections import Counter

import numpy as np

from npvae.data.source import read_source
from npvae.data.tables import evidence
from npvae.data.tables.carried import are_few_others, why_carried
from npvae.data.tables.content import Column
from npvae.data.tables.encoding import decode
from npvae.data.tables.form import Form
from npvae.data.tables.notation import (
    LARGEST_WHOLE,
    Notation,
    find_notation,
    is_code,
    marks_of,
    plain_float,
    plain_numbers,
)
from npvae.data.tables.spellings import spellings, texts_of
from npvae.data.tables.splitter import split
from npvae.data.tables.table import Table
from npvae.errors import DataFileError, InputError, UnknownNameError
from npvae.support import check

#: Cells whose numbers are read in one go; rows and columns that have a say in the decimal separator.
BLOCK, VOTERS = 1 << 15, 1000
SEPARATORS = {"tab": "\t", "\\t": "\t", "blank": " ", "space": " "}
#: Decimals, and significant digits, of numbers that are filled in, at most.
MOST_PLACES = 12
_HEADS = np.isin(np.arange(256), list(b"0123456789+-."))


def read_table(
    path,
    *,
    encoding=None,
    separator=None,
    decimal=None,
    skip=None,
    comment=None,
    header=None,
    header_rows=None,
    missing=(),
    observed=(),
    ignore=(),
    sheet=None,
) -> Table:
    """The table in a file, ``-`` for standard input, or a binary file object: text that may be packed, or a workbook.

    encoding, separator ("," ";" "|" "tab" "blank"), decimal ("." or ","), header (whether there are names), header_rows
    (lines of names): by default found by evidence, as are lines above and below the table. skip: lines above the names.
    comment: how lines that are no rows begin. missing, observed: texts of cells that are missing, too, or are not
    though they are among ``spellings.SPELLINGS``. ignore: names of columns to be carried. sheet: of a workbook, a name
    or a number counted from 1, by default the first. What was found is in :meth:`Table.describe`.

    DataFileError naming the line: no table. InputError, InputTypeError, UnknownNameError: an argument. OSError: it
    cannot be read.
    """
    name = str(getattr(path, "name", "the file")) if hasattr(path, "read") else os.fspath(path)
    separator = SEPARATORS.get(separator, separator)
    if separator is not None and (len(separator) != 1 or not separator.isascii() or separator in '"\r\n'):
        raise InputError(f"separator must be one character, tab or blank, got {separator!r}")
    if decimal is not None:
        check.one_of("decimal", decimal, (".", ","))
    nothing, ignored = spellings(missing, observed), texts_of("ignore", ignore)
    data, words = read_source(path, sheet)
    decoded = decode(name, data, encoding)
    cells = split(decoded.text, separator or evidence.find_separator(decoded.text))
    if cells.unclosed >= 0:
        raise DataFileError(
            f"{name}: line {cells.line(cells.unclosed)}: the quote that opens here is never closed; close it, or "
            f"remove it"
        )
    form = Form(name, cells, skip, comment, header, header_rows, nothing)
    values, decimals = np.empty((len(form.rows), form.width)), np.empty((len(form.rows), form.width), np.int8)
    for i in range(0, len(values), step := max(1, BLOCK // form.width)):
        rows = np.arange(i, min(i + step, len(values)))
        values[rows], decimals[rows] = plain_numbers(cells.bytes, *form.spans(rows[:, None], np.arange(form.width)))
    mark = decimal or _decimal_mark(form, decimals, nothing)
    reader = _ColumnReader(form, nothing, mark)
    columns = [
        reader.read(Column(inside, written, values[:, j]), j, decimals[:, j])
        for j, (inside, written) in enumerate(zip(form.names, form.written, strict=True))
    ]
    for text in sorted(ignored):
        named = [column for column in columns if text in (column.name, column.written)]
        if not named:
            raise UnknownNameError("column", text, form.names)
        for column in named:
            column.carried = "as said"
    return Table(name, words, decoded, mark, form, columns)


def _decimal_mark(form: Form, decimals, nothing) -> str:
    """The table's decimal separator: each column has a vote, those of plain numbers if they have not three decimals
    throughout.
    """
    votes: Counter = Counter()
    for j in range(min(form.width, VOTERS)):
        places = set(decimals[:VOTERS, j].tolist())
        if -1 in places:
            found = marks_of(
                text for text in form.texts(np.flatnonzero(decimals[:VOTERS, j] < 0), j) if text not in nothing
            )
            votes[found.pop() if len(found) == 1 else ""] += 1
        elif places - {0, 3}:
            votes["."] += 1
    return "," if votes[","] > votes["."] or (votes[","] == votes["."] and form.cells.separator == ";") else "."


class _ColumnReader:
    """Reads columns, each from its plain numbers and the texts of its other cells."""

    def __init__(self, form: Form, nothing: frozenset[str], mark: str) -> None:
        self._form, self._nothing, self._mark = form, nothing, mark
        self._numbers = {number: text for text in nothing if (number := plain_float(text)) is not None}

    def read(self, column: Column, j: int, decimals) -> Column:
        """Complete column j, which has plain numbers for values, with ``decimals`` places, -1 elsewhere."""
        for number, text in self._numbers.items():
            self._miss(column, np.flatnonzero(column.values == number), text)
        rest = np.flatnonzero((decimals < 0) & ~column.missing)
        wild = self._floats(column.values, rest, j)
        rest = rest[np.isnan(column.values[rest])]
        texts = self._form.texts(rest, j)
        for text in set(texts) & self._nothing:
            self._miss(column, rest[[each == text for each in texts]], text)
        plain = decimals[(decimals >= 0) & ~column.missing]
        places = set(np.unique(plain).tolist())
        if not self._nothing.issuperset(texts) or (
            self._mark == "," and 3 in places <= {0, 3} and not len(wild)
        ):  # 1.234 may be a thousand
            rows = np.flatnonzero(~column.missing)
            self._read_texts(column, rows, self._form.texts(rows, j), self._mark != ",")
        else:
            found = _notation(self._form.texts(wild[:VOTERS], j))
            if not found.digits and len(wild) <= len(plain):  # 0.30000000000000004 among tenths is one of them
                places |= {found.decimals} if len(wild) and found.decimals < MOST_PLACES else set()
                found = Notation(max(places, default=0), len(places) < 2)
            column.notation = found
        name = column.name if self._form.has_names else ""
        column.carried = why_carried(name, column.values, column.observed, j == 0, "--missing={}") or ""
        if column.kind == "number" and not column.carried:
            column.suspicious = evidence.suspicious(column.values[column.observed])
        return column

    def _miss(self, column: Column, rows, text: str) -> None:
        if len(rows):
            column.missing[rows], column.values[rows] = True, np.nan
            column.spellings[text] = column.spellings.get(text, 0) + len(rows)

    def _floats(self, values, rows, j: int) -> np.ndarray:
        """Read numbers with an exponent, or to the last bit, if all that begin like numbers are such; their rows, or
        none.
        """
        cells, (start, end) = self._form.cells, self._form.spans(rows, j)
        there = _HEADS[cells.bytes.take(start, mode="clip")] & (end > start)
        rows, texts = (
            rows[there],
            [cells.text[a:b] for a, b in zip(start[there].tolist(), end[there].tolist(), strict=True)],
        )
        try:
            found = np.fromiter(map(float, texts), float, len(texts))
        except ValueError:
            return rows[:0]
        code = any(b"_" in text or (text[:1] == b"0" and len(text) > 1 and text[:2].isdigit()) for text in texts)
        if code or not (np.abs(found) < LARGEST_WHOLE).all():
            return rows[:0]
        values[rows] = found
        return rows

    def _read_texts(self, column: Column, rows, texts: list[str], plainly: bool) -> None:
        """Read observed cells that are not all plain numbers. plainly: whether those that are plain are what they
        look like.
        """
        counts = Counter(texts)
        floats = {text: plain_float(text) for text in counts}
        lower = {text.lower() for text in counts}
        if any(map(is_code, counts)):
            self._keep(column, "text", rows, texts, counts)
        elif (
            None not in floats.values()
            and all(text.lstrip("+-").isdecimal() for text in counts)
            and max(abs(value) for value in floats.values() if value is not None) >= LARGEST_WHOLE
        ):
            self._keep(column, "identifier", rows, [*map(int, texts)], counts)
        elif None not in floats.values() and plainly:
            column.values[rows], column.notation = [floats[text] for text in texts], _notation(texts[:VOTERS])
        elif dates := evidence.read_dates(texts, counts):
            column.kind, column.unit, column.values[rows], column.example = "date", *dates, texts[0]
        elif lower <= {"true", "false"} and len(lower) == len(counts):
            self._keep(column, "truth", rows, [text.lower() == "true" for text in texts], counts)
        else:
            notation = find_notation(counts, self._mark)
            readings = [(notation, {text: notation.read(text) for text in counts})] if notation else []
            for notation, reading in [
                *readings,
                (_notation([text for text in texts[:VOTERS] if floats[text] is not None]), floats),
            ]:
                others = Counter({text: counts[text] for text, value in reading.items() if value is None})
                if not others or are_few_others(others, len(texts) - sum(others.values())):
                    column.values[rows] = [np.nan if reading[text] is None else reading[text] for text in texts]
                    column.notation, column.others = notation, dict(others)
                    return
            self._keep(column, "text", rows, texts, counts)

    def _keep(self, column: Column, kind: str, rows, found: list, counts: Counter) -> None:
        column.kind, column.counts, column.values = kind, counts, np.full(len(column.values), None, object)
        column.values[rows] = found


def _notation(texts) -> Notation:
    """The notation of numbers that are not plain: as many significant digits, where some have an exponent, else
    decimals; at most MOST_PLACES.
    """
    if any("e" in text.lower() for text in texts):
        return Notation(
            digits=max(
                min(MOST_PLACES, len(text.lower().partition("e")[0].lstrip("+-0.").replace(".", ""))) for text in texts
            )
        )
    places = {len(text.partition(".")[2]) for text in texts}
    return Notation(min(MOST_PLACES, max(places, default=0)), len(places) < 2)
