"""A table that was read: what it holds, said in words, and written back with its gaps filled."""

from __future__ import annotations

import numpy as np

from npvae.data.tables import report
from npvae.data.tables.content import Column, Content
from npvae.data.tables.write import write_table
from npvae.errors import InputError


class Table(Content):
    """What :func:`npvae.read_table` returns: ``columns``, a list of :class:`Column`, and all that writing the table
    again needs.
    """

    def write(self, path, values) -> None:
        """Write the table with ``values``, a mapping of names to (N,) as :meth:`to_dict` has them, in its missing
        cells; those of columns whose values are not complete, or not given, stay missing. UnknownNameError, OSError."""
        columns, filled = [], []
        for name in values:
            column, found = self[name], np.asarray(values[name])
            found = found.astype(f"M8[{column.unit}]") if column.kind == "date" else found
            there = (
                ~np.isnat(found)
                if column.kind == "date"
                else np.array([cell is not None and cell == cell for cell in found.tolist()])
            )
            if column.missing.any() and there[column.missing].all():
                columns.append(column)
                filled.append((found.astype(np.int64) if column.kind == "date" else found).astype(object))
        write_table(path, self, columns, np.array(filled, object).reshape(len(columns), len(self)).T)

    def describe(self) -> str:
        """What was read and why, column by column, with the options that overrule it."""
        return report.describe(self)


class Selection:
    """Columns of a table in the form that models take: ``columns``, and an array of floats, or of objects with None.
    modelled: the names of those that a model has."""

    def __init__(self, columns: list[Column], as_text=()) -> None:
        if not columns:
            raise InputError("no column of the table can be modelled")
        self.chosen, self.columns = columns, [column.name for column in columns]
        self.modelled = {*self.columns}
        self._as_text = frozenset(as_text)

    def __len__(self) -> int:
        return len(self.chosen[0].values)

    def __array__(self, dtype=None, copy=None):
        if all(column.values.dtype.kind == "f" for column in self.chosen) and not self._as_text:
            return np.column_stack([column.values for column in self.chosen])
        cells = np.empty((len(self), len(self.chosen)), object)
        for j, column in enumerate(self.chosen):
            found = [column.write(value) if column.name in self._as_text else value for value in column.values.tolist()]
            cells[:, j] = [value if seen else None for value, seen in zip(found, column.observed.tolist(), strict=True)]
        return cells
