"""What the command line says of models of tables, and writes of their samples."""

from __future__ import annotations

import csv
import io
import json

import numpy as np

from npvae.cli import numbers, outputs
from npvae.data import save_array
from npvae.data.tables.frames import as_columns
from npvae.errors import InputError
from npvae.support.files import write_text_atomically

#: Columns that are listed, at most.
MOST_COLUMNS = 30


def chosen(run) -> str:
    """What was chosen by a table, of a run that is to start."""
    table, architecture, settings = run.rows.table, run.model.architecture, run.settings
    held_out = 0 if run.x_valid is None else len(run.x_valid)
    widths = ",".join(map(str, architecture.hidden)) or "none"
    lines = [
        f"likelihood auto: {kinds(table.schema)}",
        f"latent dimensions {architecture.latent_dim}{tried(table)}, hidden {widths} {architecture.activation}, "
        f"batches of "
        f"{settings.batch_size}, at most {settings.epochs} epochs"
        + (
            f", {held_out} rows held out; ends after {settings.patience} epochs that are no better for them"
            if settings.patience
            else ""
        ),
    ]
    return "\n".join(lines)


def kinds(schema) -> str:
    """How many columns there are of each kind."""
    found = [column.kind for column in schema.columns]
    return f"{len(found)} columns: " + ", ".join(f"{found.count(kind)} {kind}" for kind in dict.fromkeys(found))


def tried(table) -> str:
    """The validation bounds by which the number of latent dimensions was chosen, in brackets; "" if it was given."""
    if not table.tried:
        return ""
    bounds = ", ".join(f"{size}: {bound:.2f}" for size, bound in table.tried.items())
    return f" (validation bounds after a short training: {bounds})"


#: Of which rows the nearness is that a model keeps.
OF_NEARNESS = (
    "rows drawn when the model was trained (it keeps no rows of the table, to which those written now could be "
    "compared)"
)


def nearness_of(model):
    """What a model knows of the nearness of rows that it draws to those it was trained on; None: nothing, as an
    imputer.
    """
    return getattr(model, "nearness_", None)


def info(model) -> list[str]:
    """Lines about the table that a model was fitted to."""
    lines = columns_of(model.schema_)
    lines.append(
        f"chosen      latent dimensions {model.latent_dim_}{tried(model.table_)}, batches of {model.batch_size_}, "
        f"{model.epochs_} epochs at most"
    )
    return lines + ([] if model.nearness_ is None else [f"nearness    of {OF_NEARNESS}: {model.nearness_}"])


def columns_of(schema) -> list[str]:
    """Lines about the columns of a schema, and those that are carried."""
    lines = [
        f"columns     {kinds(schema)}",
        *(f"  {column.name}: {of_column(column)}" for column in schema.columns[:MOST_COLUMNS]),
    ]
    if len(schema.columns) > MOST_COLUMNS:
        lines.append(f"  ... and {len(schema.columns) - MOST_COLUMNS} more")
    carried = list(schema.carried.items())
    if carried:
        lines.append(
            f"carried     {len(carried)}: {', '.join(f'{name} ({why})' for name, why in carried[:MOST_COLUMNS])}"
        )
    return lines


def of_column(column) -> str:
    """A modelled column's kind and values."""
    values = ", ".join(map(str, column.values[:6])) + (", ..." if len(column.values) > 6 else "")
    of = "" if column.form == "number" else f" of {column.form}s"
    return f"{column.kind}{of}{f' ({values})' if values else ''}"


def given(entries: list[str], schema) -> dict | None:
    """The values of ``--given COLUMN=VALUE``, each as its column has values; None: there are none. InputError: one
    is not of that form.
    """
    known, found = {column.name: column for column in schema.columns}, {}
    for entry in entries:
        cut = next((i for i, c in enumerate(entry) if c == "=" and entry[:i] in known), entry.find("="))
        name, text = entry[:cut], entry[cut + 1 :]
        if cut <= 0:
            raise InputError(f"--given must be COLUMN=VALUE, got {entry!r}")
        if name in found:
            raise InputError(f"--given names the column {name!r} twice")
        found[name] = _value(text, known[name]) if name in known else text
    return found or None


def _value(text: str, column):
    """A value that the user wrote, as the column has it."""
    for value in column.values:
        if text in (str(value), str(value).lower() if isinstance(value, bool) else None):
            return value
    if column.form == "date":
        try:
            return np.datetime64(text)
        except ValueError:
            raise InputError(f"--given {column.name}: expected a date such as 2024-01-31, got {text!r}") from None
    if column.is_numeric and column.form == "number":
        number = numbers.read_real(text)
        if number is None:
            raise InputError(f"--given {column.name}: expected a number, got {text!r}")
        return float(number)
    return text


def write(out, table, schema) -> None:
    """Write synthetic rows to a file or a stream: columns by name, or an array. InputError: text into a file of
    numbers.
    """
    names = [column.name for column in schema.columns]
    columns = (
        {name: table[:, i] for i, name in enumerate(names)} if isinstance(table, np.ndarray) else as_columns(table)
    )
    if outputs.suffix_of(out) != ".csv":
        arrays = {name: np.asarray(column) for name, column in columns.items()}
        words = [name for name, column in arrays.items() if column.dtype.kind not in "biuf"]
        if words:
            raise InputError(f"--out {out}: the column {words[0]!r} holds other than numbers; give it a .csv name")
        save_array(outputs.target(out), np.column_stack(list(arrays.values())))
        return
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    whole = [
        column.whole
        or (column.is_numeric and bool(column.values) and all(value == int(value) for value in column.values))
        for column in schema.columns
    ]
    cells = [
        [_text(value, only_whole) for value in column]
        for column, only_whole in zip(columns.values(), whole, strict=True)
    ]
    writer.writerows(zip(*cells, strict=True))
    write_text_atomically(outputs.target(out), stream.getvalue())


def _text(value, whole: bool) -> str:
    """A value as a cell: the shortest text of a number, true and false, ISO dates; whole: without a point."""
    value = value.item() if isinstance(value, (np.number, np.bool_)) else value
    if whole and isinstance(value, float):
        return str(int(value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def write_report(path, model, rows: int, wanted: dict | None) -> None:
    """Write what is to be known of synthetic rows: .json, else text."""
    found = {
        "rows": rows,
        "given": {name: str(value) for name, value in (wanted or {}).items()},
        "columns": {column.name: column.kind for column in model.schema_.columns},
        "left out": model.carried_,
        "nearness": None if nearness_of(model) is None else {"of": OF_NEARNESS, **nearness_of(model).config()},
    }
    if outputs.suffix_of(path, ".txt") == ".json":
        text = json.dumps(found, indent=2, ensure_ascii=False)
    else:
        text = "\n".join(
            [
                f"{rows} synthetic rows"
                + (f", given {', '.join(f'{n} = {v}' for n, v in found['given'].items())}" if wanted else ""),
                *(info(model) if hasattr(model, "table_") else columns_of(model.schema_)),
            ]
        )
    write_text_atomically(outputs.target(path, ".txt"), text + "\n")
