"""Columns of a text table for a model: those that can be modelled, or those that a model has, by name; rows in messages as lines."""

from __future__ import annotations

import contextlib

from npvae.data.tables.table import Selection, Table
from npvae.errors import InputError, RowError
from npvae.tables.frames import as_cells
from npvae.tables.schema import Schema


def modelled(table: Table, also=(), without=()) -> Selection:
    """The columns that are not carried, and those named ``also``, but for the columns ``without``. InputError: there are none."""
    columns = [column for column in table.modelled(also) if column not in without]
    if not columns:
        reasons = ", ".join(f"{column.name} ({column.carried})" for column in table.columns[:20] if column not in without)
        raise InputError(f"{table.name}: no column can be modelled: {reasons}; a kind that is said overrules that: --kind NAME=KIND")
    return Selection(columns)


def of_model(schema, table: Table) -> Selection:
    """The columns of a table that a model of this schema has, in its order. InputError: some are not there, all of them named."""
    there = {column.name: column for column in table.columns}
    schema.refuse_others([*there])
    names = {column.name for column in schema.columns if any(isinstance(value, str) for value in column.values)}
    columns = [there[column.name] for column in schema.columns]
    return Selection(columns, names & {column.name for column in columns if column.kind in ("number", "date")})


def kinds_of(table: Table, kinds=None) -> dict[str, str]:
    """By column of a table that can be modelled, what it is modelled as and why; nothing where a model would refuse the table. kinds: those
    that are said."""
    try:
        schema = Schema.fit(as_cells(modelled(table, kinds or {})), kinds)
    except InputError:
        return {}
    return {column.name: kind_in_words(column) for column in schema.columns}


def kind_in_words(column) -> str:
    """A column's kind, what speaks for it, and which other kinds may be."""
    rivals = f"; {' or '.join(column.rivals)} would do as well" if column.rivals else ""
    return f"{column.kind}: {column.why}{rivals}"


@contextlib.contextmanager
def naming_lines(table: Table | None):
    """A context in which an error about rows of the table speaks of lines of its file; without a table it stays as it is."""
    try:
        yield
    except RowError as error:
        raise error if table is None else InputError(error.message(lambda row: f"line {table.line(row)}")) from None
