"""Columns of a table as outliers are looked for in them: numbers as they are, by Student's t.

    column                      kind                        likelihood
    numbers, dates              continuous, x = (v - m) / s student_t
    two numbers                 binary                      bernoulli
    text, truth values          binary or categorical       bernoulli, categorical

m and s are the mean and deviation of what lies from the 1st to the 99th percentile: one wild value in a hundred does
not set the scale of all others, unless nearly all values are one. No logarithm, no quantiles, no bounds: a
transformation by which a column's own values look normal would hide those that are not. The tail of Student's t makes a
cell's share in a row's score grow with the logarithm of its distance, so that no single one outweighs all others. Kinds
that the user names are as named.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from npvae.data.tables.frames import Cells
from npvae.data.tables.kinds.continuous import Continuous
from npvae.data.tables.kinds.reading import numbers
from npvae.data.tables.schema import Schema

#: Percentiles between which a column's mean and deviation are taken.
PERCENTILES = 1.0, 99.0
#: A column that has one value between these, such as 0 and few others, has no scale but that of all of its values.
MIDDLE = 5.0, 95.0


def fit_schema(table: Cells, kinds=None, ignore=()) -> Schema:
    """The schema of a table; kinds, ignore: as of :meth:`Schema.fit`, as are the errors."""
    schema = Schema.fit(table, kinds, "student_t", ignore, numbers_are="continuous")
    said = {str(name) for name in kinds or {}}
    given = dict(zip(table.names, table.columns, strict=True))
    columns = [
        _straight(column, given[column.name]) if isinstance(column, Continuous) and column.name not in said else column
        for column in schema.columns
    ]
    return Schema(columns, schema.names, schema.carried)


def _straight(column: Continuous, given) -> Continuous:
    """The column without a bend at 0, on a scale that few wild values do not set."""
    observed = ~given.missing
    if column.words:
        observed = observed & np.fromiter((not isinstance(cell, str) for cell in given.cells), bool, len(given.cells))
    v = numbers(given.cells, observed, column.name)[observed]
    low, first, last, high = np.percentile(v, [PERCENTILES[0], *MIDDLE, PERCENTILES[1]])
    inner = v[(low <= v) & (v <= high)] if first < last else v
    inner = inner if inner.min() < inner.max() else v  # of a handful of values, perhaps
    return replace(column, soft=None, half=0.0, mean=float(inner.mean()), deviation=float(inner.std()))
