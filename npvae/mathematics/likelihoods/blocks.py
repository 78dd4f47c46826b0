"""What likelihoods share whose columns are blocks: the columns of one variable each."""

from __future__ import annotations

import itertools
import numbers
from collections.abc import Iterable

import numpy as np

from npvae.errors import InputError, InputTypeError
from npvae.mathematics.likelihoods.base import Likelihood, column_label
from npvae.support import check


class InBlocks(Likelihood):
    """Columns in blocks. sizes: the number of columns of each block, in order; None for one block of all columns."""

    def __init__(self, sizes=None) -> None:
        if isinstance(sizes, numbers.Integral):
            sizes = [sizes]
        if sizes is not None and (isinstance(sizes, str) or not isinstance(sizes, Iterable)):
            raise InputTypeError(f"sizes must be a list of whole numbers, got {sizes!r}")
        self.sizes = None if sizes is None else [check.whole_number("each of sizes", size, 1) for size in sizes]

    def config(self):
        return {"sizes": self.sizes}

    def blocks(self, n_features: int) -> list[slice]:
        """The columns of every block. InputError: they are not as many as X has."""
        sizes = [n_features] if self.sizes is None else self.sizes
        if sum(sizes) != n_features:
            raise InputError(
                f"the {self.name} likelihood has blocks of {sizes}, {sum(sizes)} columns, but X has {n_features}"
            )
        return [slice(end - size, end) for end, size in zip(itertools.accumulate(sizes), sizes, strict=True)]

    def variables(self, n_features):
        return self.blocks(n_features)

    def joined(self, columns, other, other_columns):
        if type(other) is not type(self):
            return None
        return type(self)([*(self.sizes or [columns]), *(other.sizes or [other_columns])])

    def block_of_columns(self, n_features: int) -> np.ndarray:
        """The number of every column's block, (I,)."""
        sizes = [block.stop - block.start for block in self.blocks(n_features)]
        return np.repeat(np.arange(len(sizes)), sizes)

    def refuse_all_but_0_and_1(self, x: np.ndarray, block: slice, what: str, column_names=None) -> np.ndarray:
        """The rows that have the variable of a block, (N,), booleans.

        InputError: a row has some of its columns and not all, or something else than 0 and 1; ``what`` the columns are
        called.
        """
        part = x[:, block]
        there = ~np.isnan(part)
        if (there.any(axis=1) != there.all(axis=1)).any():
            row = np.argmax(there.any(axis=1) != there.all(axis=1))
            raise InputError(
                f"row {row} of X lacks some of {block_label(block, column_names)}, and not all: they are one variable, "
                f"which is "
                "missing or is not"
            )
        wrong = there & (part != 0) & (part != 1)
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            where = column_label(block.start + column, column_names)
            raise InputError(
                f"X holds {float(part[row, column])!r} in {where} (row {row}), but the {self.name} likelihood needs "
                f"{what}: "
                "0 or 1"
            )
        return there[:, 0]


def block_label(block: slice, column_names=None) -> str:
    """A block's columns as messages name them: "column 2 to column 4"."""
    return " to ".join(column_label(end, column_names) for end in (block.start, block.stop - 1))
