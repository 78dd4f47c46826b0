"""Columns of a text table for a model: those that can be modelled, or those that a model has, by name; rows in messages as lines."""

from __future__ import annotations

import contextlib
import re

from npvae.data.tables.table import Selection, Table
from npvae.errors import InputError


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
    absent = [column.name for column in schema.columns if column.name not in there]
    if absent:
        raise InputError(
            f"{table.name} has no column {', '.join(map(repr, absent[:20]))}, which the model has; it has {', '.join(map(repr, [*there][:20]))}"
        )
    names = {column.name for column in schema.columns if any(isinstance(value, str) for value in column.values)}
    columns = [there[column.name] for column in schema.columns]
    return Selection(columns, names & {column.name for column in columns if column.kind in ("number", "date")})


def with_lines(message: str, table: Table) -> str:
    """A message with the lines of the file in the place of rows."""
    def line(found) -> str:
        return f"in line {table.line(int(found[1]))}" if int(found[1]) < len(table) else found[0]

    return re.sub(r"\bin row (\d+)\b", line, message)


@contextlib.contextmanager
def naming_lines(table: Table | None):
    """A context in which an InputError about rows of the table speaks of lines of its file; without a table it stays as it is."""
    try:
        yield
    except InputError as error:
        raise error if table is None else InputError(with_lines(str(error), table)) from None
