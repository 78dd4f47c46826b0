"""Columns of a text table for a model: those that can be modelled, or those that a model has, by name; rows in
messages as lines.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from npvae.cli import common, output, outputs, reading
from npvae.data import DATASETS
from npvae.data.own_files import NUMPY_SUFFIXES
from npvae.data.tables import report
from npvae.data.tables.content import Column
from npvae.data.tables.frames import as_cells, columns_of_text
from npvae.data.tables.kinds import KINDS
from npvae.data.tables.notation import plain_float
from npvae.data.tables.read import read_table
from npvae.data.tables.schema import UNSEEN, Schema
from npvae.data.tables.table import Selection, Table
from npvae.errors import DataFileError, InputError, RowError
from npvae.support.files import write_text_atomically


def add_options(parser) -> None:
    """``--kind`` and ``--unseen``."""
    parser.add_argument(
        "--kind",
        action="append",
        default=[],
        metavar="COLUMN=KIND",
        help=f"of a column of a table: {', '.join(KINDS)} (default: by evidence; may be given several times)",
    )
    add_unseen(parser)


def add_unseen(parser) -> None:
    """``--unseen``."""
    parser.add_argument(
        "--unseen",
        choices=UNSEEN,
        default="error",
        help="of values of a table's columns that the model has not seen: error (default), or missing: do without them",
    )


def kinds_said(options) -> dict[str, str]:
    """What ``--kind`` says, by column. InputError: it is not COLUMN=KIND."""
    return dict(map(_kind, options.kind))


def _kind(entry: str) -> tuple[str, str]:
    name, equals, kind = entry.rpartition("=")
    if not equals or not name:
        raise InputError(f"--kind must be COLUMN=KIND, got {entry!r}")
    return name, kind


def modelled(table: Table, also=(), without=()) -> Selection:
    """The columns that are not carried, and those named ``also``, but for the columns ``without``. InputError: there
    are none.
    """
    columns = [column for column in table.modelled(also) if column not in without]
    if not set(table.columns) - {*without}:
        raise DataFileError(f"{table.name}: expected a column of data beside the label column, got none")
    if not columns:
        reasons = ", ".join(
            f"{column.name} ({column.carried})" for column in table.columns[:20] if column not in without
        )
        raise InputError(
            f"{table.name}: no column can be modelled: {reasons}; a kind that is said overrules that: --kind NAME=KIND"
        )
    return Selection(columns)


def of_model(schema, table: Table) -> Selection | dict:
    """The columns of a table that a model of this schema has, in its order. InputError: some are not there, all of
    them named.
    """
    there = {column.name: column for column in table.columns}
    try:
        schema.refuse_others([*there])
    except InputError as error:
        raise InputError(f"{table.name}: {error}; it has {', '.join(map(repr, [*there][:20]))}") from None
    if any(column.form != "number" for column in schema.columns):  # a model that was trained on dates as dates
        return columns_of_text(table, {column.name for column in schema.columns})
    names = {column.name for column in schema.columns if any(isinstance(value, str) for value in column.values)}
    columns = [
        _as_numbers(there[column.name]) if column.is_numeric else there[column.name] for column in schema.columns
    ]
    return Selection(columns, names & {column.name for column in columns if column.kind in ("number", "date")})


def kinds_of(table: Table, kinds=None) -> dict[str, str]:
    """By column of a table that can be modelled, what it is modelled as and why; nothing where a model would refuse the
    table. kinds: those that are said."""
    try:
        schema = Schema.fit(as_cells(modelled(table, kinds or {})), kinds)
    except InputError:
        return {}
    return {column.name: kind_in_words(column) for column in schema.columns}


def write_report(options, table, kinds=None) -> None:
    """Write the file of ``--report``, if it is asked for. kinds: that are said of columns."""
    if options.report is not None:
        found = kinds_of(table, kinds)
        suffix = outputs.suffix_of(options.report, ".txt")
        text = (
            json.dumps(report.to_json(table, found), indent=2, ensure_ascii=False)
            if suffix == ".json"
            else output.printable(report.describe(table, found))
        )
        write_text_atomically(outputs.target(options.report, ".txt"), text + "\n")


def kind_in_words(column) -> str:
    """A column's kind, what speaks for it, and which other kinds may be."""
    rivals = f"; {' or '.join(column.rivals)} would do as well" if column.rivals else ""
    return f"{column.kind}: {column.why}{rivals}"


def _as_numbers(column: Column) -> Column:
    """A column that was read as text with the numbers among its cells as such, so that what is refused is the text
    beside them.
    """
    if column.kind != "text":
        return column
    read = [None if text is None else plain_float(text) for text in column.values.tolist()]
    values = np.array(
        [text if number is None else number for text, number in zip(column.values.tolist(), read, strict=True)]
        + [None],
        object,
    )[:-1]
    numbers = replace(column, values=values)
    numbers.missing = column.missing
    return numbers


@dataclass(frozen=True)
class Data:
    """Rows for a trained model: X in the form that it takes them, how many they are; of a text table given to a model
    of tables the table; else the names of columns, and labels, if there are any."""

    X: object
    rows: int
    table: Table | None = None
    names: list[str] | None = None
    labels: np.ndarray | None = None


def read_for(model, options) -> Data:
    """``--data`` for a trained model: of a model of tables the columns that it has, in any order, with text and
    gaps; else numbers.
    """
    fitted = getattr(model, "table_", None)
    if fitted is None or not is_text(options.data):
        x, labels, names, _ = common.read_data(options, options.part)
        return Data(common.with_names(x, names), len(x), None, names, labels)
    common.refuse_no_file(options, options.data)
    table = read_table(options.data, **reading.arguments(options))
    if not getattr(options, "quiet", False):
        reading.say_what_was_read(output.say, table, carried=False)
    if "unseen" in model.get_params(deep=False):
        model.set_params(unseen=options.unseen)
    else:
        fitted.unseen = options.unseen
    return Data(of_model(fitted.schema, table), len(table), table)


def write_like(path, chosen: list[Column], values: dict) -> None:
    """Write columns of a model's output, by name, as text, each cell as its column of the table that was read has
    its own.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([column.written for column in chosen])
    cells = [
        [column.write(value) for value in _as_read(column, np.asarray(values[column.name])).tolist()]
        for column in chosen
    ]
    writer.writerows(zip(*cells, strict=True))
    write_text_atomically(path, stream.getvalue())


def _as_read(column: Column, values: np.ndarray) -> np.ndarray:
    """Values (N,) as the column has them inside: dates as numbers of its unit."""
    return values.astype(f"M8[{column.unit}]").astype(np.int64) if values.dtype.kind == "M" else values


def is_text(source: str) -> bool:
    """Whether a source is a text table: no known data set, no array."""
    return source not in DATASETS and Path(source).suffix.lower() not in NUMPY_SUFFIXES


@contextlib.contextmanager
def naming_lines(table: Table | None):
    """A context in which an error about rows of the table speaks of its file and its lines; without a table it stays
    as it is.
    """
    try:
        yield
    except RowError as error:
        raise (
            error
            if table is None
            else InputError(f"{table.name}: " + error.message(lambda row: f"line {table.line(row)}"))
        ) from None
