"""The record in which every data set is handed over."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """A data set as stored: raw rows, not scaled.

    x_train (N, I), x_test (M, I), x_valid (V, I) or None: uint8, C-contiguous, one image a row, its pixels
    row by row. y_train (N,), y_test (M,): uint8 class labels, or None where the set has none.
    ``divide_by`` maps the rows to 0..1: 255.0 for 8-bit grey values, 1.0 for rows that are 0 and 1.
    ``image_shape`` is (height, width). ``description`` says where the rows come from and in what order they
    lie. The arrays belong to the caller and may be changed.
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray | None
    x_test: np.ndarray
    y_test: np.ndarray | None
    x_valid: np.ndarray | None = None
    image_shape: tuple[int, int] | None = None
    divide_by: float = 1.0
    description: str = ""

    def __repr__(self) -> str:
        valid = "" if self.x_valid is None else f"x_valid {self.x_valid.shape}, "
        labels = "no labels" if self.y_train is None else "labels"
        return (
            f"Dataset({self.name!r}: x_train {self.x_train.shape}, {valid}x_test {self.x_test.shape}, "
            f"{labels}, divide_by {self.divide_by})"
        )
