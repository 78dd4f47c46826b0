"""Some columns of an array of any array module: a slice of them, or a list of their numbers."""

from __future__ import annotations

import numpy as np


def take(ops, x, columns: slice | list[int]):
    """x[:, columns]; of a slice a view."""
    return x[:, columns] if isinstance(columns, slice) else ops.xp.take(x, ops.asarray(np.array(columns)), axis=1)


def put(x, columns: slice | list[int], values) -> None:
    """x[:, columns] = values; column by column, where they are a list: not all array modules take one for an index."""
    if isinstance(columns, slice):
        x[:, columns] = values
        return
    for place, column in enumerate(columns):
        x[:, column] = values[:, place]
