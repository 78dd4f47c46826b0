"""Which lines of a text are names, rows, and neither."""

from __future__ import annotations

import numpy as np

from npvae.data.tables import evidence
from npvae.data.tables.notation import is_number
from npvae.data.tables.splitter import Cells, split
from npvae.errors import DataFileError
from npvae.support import check

#: Cells looked at for the names; columns of a table, at most; of lines that are no part of it, so many are named.
LOOKED_AT, MOST_COLUMNS, MOST_OUTSIDE = 20_000, 1 << 18, 100


class Form:
    """The form of a table. rows: those of data, as numbers of ``cells.rows``; names: no two alike; written: the same as
    in the file; present: how many cells each row has; outside: lines that are no part of the table, and why."""

    def __init__(self, name, cells: Cells, skip, comment, header, header_rows, nothing) -> None:
        self.name, self.cells, self.widths = name, cells, np.diff(cells.rows)
        self.outside: list = []
        rows = self._without_comments(self._not_blank(), skip, comment)
        if not len(rows):
            raise DataFileError(f"{name}: expected a table, got an empty file")
        width = evidence.usual_width(self.widths[rows])
        top, bottom = 0, len(rows)
        while skip is None and top < min(evidence.TITLES, bottom - 1) and self._is_title(rows[top:bottom], width):
            top += 1
        while (
            bottom > top + 2
            and self.widths[rows[bottom - 1]] < width > 2
            and evidence.is_note(cells.row(rows[bottom - 1], 64), 1, width)
        ):
            bottom -= 1
        end = bottom
        while width > 1 and bottom > top + 2 and self._is_empty(rows[bottom - 1], width):
            bottom -= 1
        self._leave_out(rows[:top], "title")
        self._leave_out(rows[end:], "note")
        self._leave_out(rows[bottom:end], "empty")
        self._find_names(rows[top:bottom], width, header, header_rows, nothing)
        if not len(self.rows):
            raise DataFileError(f"{name}: expected rows of data, got only the header row")
        if self.width > MOST_COLUMNS:
            raise DataFileError(
                f"{name}: line {self.line(self.rows[0])} has {self.width} columns, more than {MOST_COLUMNS}; expected "
                f"a table of text"
            )
        self.present = np.minimum(self.widths[self.rows], self.width)
        self._refuse_long_rows()

    def line(self, r) -> int:
        """The number of a row's first line."""
        return self.cells.line(int(self.cells.row_start[r]))

    def spans(self, rows, j) -> tuple[np.ndarray, np.ndarray]:
        """Starts and ends of the cells of rows of data in column j, both perhaps arrays; of a cell that its row does
        not have, the row's end.
        """
        cells, there = self.cells, j < self.present[rows]
        place = np.where(there, cells.rows[self.rows[rows]] + j, 0)
        start = np.where(there, cells.start[place], cells.row_end[self.rows[rows]])
        return start, start + np.where(there, cells.length[place], 0)

    def texts(self, rows, j: int) -> list[str]:
        """The texts of the cells of rows of data in column j."""
        return self.cells.texts(*self.spans(rows, j))

    def _not_blank(self) -> np.ndarray:
        cells, first = self.cells, np.minimum(self.cells.rows[:-1], max(0, len(self.cells.start) - 1))
        if not len(cells.start):
            return first[:0]
        nothing = (cells.length[first] == 0) & ~cells.quoted(cells.start[first], cells.start[first])
        return np.flatnonzero(~((self.widths == 0) | ((self.widths == 1) & nothing)))

    def _without_comments(self, rows, skip, comment) -> np.ndarray:
        if skip is not None and check.whole_number("skip", skip, 0):
            drop = next((i for i, r in enumerate(rows) if self.line(r) > skip), len(rows))
            self._leave_out(rows[:drop], "skipped")
            rows = rows[drop:]
        begin, marked = (comment or "#").encode(), np.zeros(len(rows), bool)
        if begin in self.cells.text:
            marked[:] = [self.cells.text.startswith(begin, place) for place in self.cells.row_start[rows].tolist()]
        if comment is None and marked.any() and not marked.all():
            first = int(marked.argmin())  # names may begin with #, right above numbers, and rows, below
            names = any(map(is_number, self.cells.row(rows[first], 64)))
            as_wide = self.widths[rows] == evidence.usual_width(self.widths[rows[~marked]])
            marked &= ~as_wide | (np.arange(len(rows)) < first - names)
        if comment is not None or not marked.all():
            self._leave_out(rows[marked], "comment")
            rows = rows[~marked]
        return rows

    def _leave_out(self, rows, why: str) -> None:
        self.outside += [(self.line(r), why) for r in rows[:MOST_OUTSIDE]]

    def _is_empty(self, r, width: int) -> bool:
        """Whether a row has separators alone, of any kind, as spreadsheets leave them."""
        return not "".join(self.cells.row(r, width)).strip(",;|\t ")

    def _is_title(self, rows, width: int) -> bool:
        """Whether the first of these rows is above the table."""
        row, several = self.cells.row(rows[0], 64), self.widths[rows[0]]
        if width > 1 and self._is_empty(rows[0], width):
            return True
        if evidence.is_note(row, several, width):
            return self._names_otherwise_separated(rows[0], rows[1], width) is None
        later = self.widths[rows[1 : evidence.TITLES]]
        return several <= width / 2 and bool((later >= width - 1).any()) and not any(map(is_number, row[:1]))

    def _names_otherwise_separated(self, r, following, width: int) -> list[str] | None:
        """Names that another separator cuts into as many as the rows have cells; None: it does not, or no row with a
        number follows.
        """
        text = self.cells.text[self.cells.row_start[r] : self.cells.row_end[r]]
        if self.widths[r] == 1 < width and any(map(is_number, self.cells.row(following))):
            for separator in evidence.SEPARATORS:
                names = split(text, separator).row(0)
                if len(names) == width and all(names):
                    return names
        return None

    def _find_names(self, rows, width: int, header, header_rows, nothing) -> None:
        cells = self.cells
        below = [cells.row(r, MOST_COLUMNS) for r in rows[1 : 1 + max(3, min(evidence.ROWS, LOOKED_AT // width))]]
        first = (self._names_otherwise_separated(rows[0], rows[1], width) if len(rows) > 1 else None) or cells.row(
            rows[0], MOST_COLUMNS + 1
        )
        full = [row for row in below if len(row) == width]
        if len(first) == width - 1 and full and not any(row[-1] for row in full):  # a separator at the end of every row
            width -= 1
        while len(first) > width and not first[-1]:
            first.pop()
        if header is None:
            header = (
                evidence.are_names(first, below, nothing, self._quotes_differ(rows))
                if header_rows is None
                else check.whole_number("header_rows", header_rows, 0) > 0
            )
            if header and header_rows is None and below and evidence.is_second_header(below[0], below[1:], nothing):
                shown = ", ".join(repr(cell) for cell in below[0][:3] if cell)
                raise DataFileError(
                    f"{self.name}: line {self.line(rows[1])} looks like a second row of names ({shown}, above "
                    f"numbers): say header_rows=2, or "
                    "header_rows=1 if it is a row of data"
                )
        count = (header_rows or 1) if header else 0
        width = max(width, len(first)) if header else width
        names = (
            [first, *(cells.row(r, MOST_COLUMNS + 1) for r in rows[1:count])]
            if header
            else [[str(j) for j in range(width)]]
        )
        if (
            header and len(first) == width - 1 and full and len(full) == len(below)
        ):  # rows begin with their names, of which none is named
            names = [["", *row] if len(row) == width - 1 else row for row in names]
        names = [row[:width] + [""] * (width - len(row)) for row in names]
        self.names_line = self.line(rows[0])
        self.has_names, self.rows, self.width = bool(header), rows[count:], width
        self.written = [" ".join(dict.fromkeys(filter(None, parts))) for parts in zip(*names, strict=True)]
        self.names = _distinct(self.written)

    def _quotes_differ(self, rows) -> bool:
        """Whether all cells of the first row stand in quotes, and those of the next ones do not."""
        quoted = [self.cells.quoted(*self.cells.spans(r, MOST_COLUMNS)) for r in rows[:3]]
        return (
            self.cells.has_quotes
            and len(quoted) == 3
            and bool(quoted[0].all())
            and not any(row[1:].any() for row in quoted[1:])
        )

    def _refuse_long_rows(self) -> None:
        cells = self.cells
        parts = (
            (r, slice(cells.rows[r] + self.width, cells.rows[r + 1]))
            for r in self.rows[self.widths[self.rows] > self.width]
        )
        long = [r for r, part in parts if cells.length[part].any()]
        if long:
            more = f", as have {len(long) - 1} more lines" if len(long) > 1 else ""
            raise DataFileError(
                f"{self.name}: line {self.line(long[0])} has {self.widths[long[0]]} columns, expected "
                f"{self.width}{more}: a cell with the "
                "separator in it must stand in quotes; if another character separates the cells, say separator="
            )


def _distinct(written: list[str]) -> list[str]:
    """Names of which no two are alike: those that are double, or empty, numbered."""
    names, taken = [], set(written)
    last: dict[str, int] = {}
    for j, text in enumerate(written):
        base, number = text or f"column {j + 1}", last.get(text, 1)
        inside = base
        while inside in taken and (not text or text in last):
            number += 1
            inside = f"{base} ({number})"
        last[text] = number if text else 1
        taken.add(inside)
        names.append(inside)
    return names
