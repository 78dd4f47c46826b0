"""Giving a table back: its text copied from cell to cell, with only the missing ones filled in, each as its column
is written.
"""

from __future__ import annotations

import numpy as np

from npvae.data.source import packed
from npvae.data.tables.content import Column, Content
from npvae.support.files import write_atomically

#: Cells of a column by which it is seen whether all stand in quotes.
LOOKED_AT = 1000


def write_table(path, table: Content, columns: list[Column], filled: np.ndarray) -> None:
    """Write the table with ``filled`` (N, len(columns)) in the missing cells of these columns, whole or not at all,
    packed as the suffix says. OSError: it cannot be written."""
    data = packed(path, table.decoded.encode(fill(table, columns, filled)))
    write_atomically(path, lambda file: file.write(data))


def fill(table: Content, columns: list[Column], filled: np.ndarray) -> bytes:
    """The text of the table, in UTF-8, with ``filled`` in the missing cells of these columns."""
    form, cells, width = table.form, table.form.cells, len(table.columns)
    separator, places, parts = cells.separator.encode(), {id(column): j for j, column in enumerate(table.columns)}, {}
    for k, column in enumerate(columns):
        j, rows = places[id(column)], np.flatnonzero(column.missing)
        start, end = form.spans(rows, j)
        inside = cells.quoted(start, end) & (j < form.present[rows])
        seen = np.flatnonzero(column.observed)[:LOOKED_AT]
        all_quoted = len(seen) > 0 and bool(cells.quoted(*form.spans(seen, j)).all())
        for row, *span, value, quoted in zip(
            rows.tolist(), start.tolist(), end.tolist(), filled[rows, k].tolist(), inside.tolist(), strict=True
        ):
            cell = column.write(value).encode()
            if quoted or all_quoted or _needs_quotes(cell, separator):
                cell = cell.replace(b'"', b'""')
                cell = cell if quoted else b'"' + cell + b'"'
            parts[row * width + j] = *span, cell
    pieces, at, last = [], 0, (-1, 0)
    for key in sorted(parts):
        (row, j), (start, end, cell) = divmod(key, width), parts[key]
        pieces.append(cells.text[at:start])
        if j >= form.present[row]:  # the row ends before this cell
            pieces.append(
                separator
                * (j - (last[1] if last[0] == row and last[1] >= form.present[row] else int(form.present[row]) - 1))
            )
        pieces.append(cell)
        at, last = end, (row, j)
    return b"".join([*pieces, cells.text[at:]])


def _needs_quotes(cell: bytes, separator: bytes) -> bool:
    return (
        separator in cell
        or b"\n" in cell
        or b"\r" in cell
        or cell[:1] == b'"'
        or (separator == b" " and (not cell or b"\t" in cell))
    )
