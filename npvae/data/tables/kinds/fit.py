"""From a table's cells to the kinds of its columns."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from npvae.data.tables.kinds.base import Column, values_of
from npvae.data.tables.kinds.evidence import Asked, Decision, decide
from npvae.data.tables.kinds.reading import numbers, plain
from npvae.data.tables.kinds.table import KINDS
from npvae.errors import InputError
from npvae.support import check


def decisions(
    columns: list[tuple[str, np.ndarray, np.ndarray, str | None]], enough: Callable | None = None
) -> list[Decision]:
    """The kinds of columns: each a name, cells (N,), floats or objects, which are observed, and its kind if that is
    said. enough: says that there is no time for more evidence.

    InputError naming the column: nothing is observed, all values are equal, or one is infinite.
    """
    asked = [_asked(*column) for column in columns]
    found = []
    for (_, _, observed, kind), column, decision in zip(columns, asked, decide(asked, enough), strict=True):
        if decision is None and kind is not None:
            decision = Decision(kind, "as was said")
        elif decision is None:
            assert column.places is not None  # about numbers there is a decision
            count = len(np.unique(column.places[observed]))
            decision = Decision("binary", "two values") if count == 2 else Decision("categorical", "names")
        found.append(decision)
    return found


def fit_column(name: str, cells: np.ndarray, observed: np.ndarray, kind: str | None = None) -> Column:
    """The column of cells (N,), floats or objects, of a kind; None: of the one for which the evidence speaks, other
    columns aside.

    InputError naming the column: nothing is observed, all values are equal, or they are not of the kind.
    """
    (decision,) = decisions([(name, cells, observed, kind)])
    column = KINDS[decision.kind].fit(name, cells, observed)
    column.encode(cells, observed)
    return column


def _asked(name: str, cells: np.ndarray, observed: np.ndarray, kind: str | None) -> Asked:
    if not observed.any():
        raise InputError(f"column {name!r} is empty: nothing can be learnt of it; remove it first")
    if kind is not None:
        check.one_of(f"kind of column {name!r}", kind, tuple(KINDS))
    values = values_of(cells, observed, name)
    if len(values) == 1:
        raise InputError(f"column {name!r} has one value, {values[0]!r}: nothing can be learnt of it; remove it first")
    if all(isinstance(value, float) for value in values):
        return Asked(numbers(cells, observed, name), open=kind is None)
    known = {value: i for i, value in enumerate(values)}
    places = np.zeros(len(cells), int)
    places[observed] = [known[plain(cell, name)] for cell in cells[observed]]
    return Asked(None, places, observed)
