"""Rows of a model from rows of a table: what an estimator keeps of the table that it was fitted to.

    a frame, columns, records, ... --Schema--> x (N, D), NaN where a cell is missing --beside--> (x, seen), (N, 2 D)

    seen = clip(E[v | v_o], -20, 20),  v = (x - center) / scale     what the encoder sees, by a normal distribution of v

The likelihood is of x alone, and of what is observed (``Architecture(missing=True, completed=True)``).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import numpy as np

from npvae.data.tables.frames import Cells, as_cells
from npvae.data.tables.missing import values_of
from npvae.data.tables.schema import IGNORED, Schema
from npvae.data.tables.table import Table
from npvae.errors import CarriedColumnsWarning, ModelFileError
from npvae.estimators import inputs
from npvae.estimators.tables import imputer_file
from npvae.estimators.tables.linear import fit_unwatched
from npvae.estimators.tables.member import FARTHEST
from npvae.imputation import FactorAnalysis, Normal
from npvae.support.fields import Record

#: A table in the header of a model's file.
DECLARATION = Record(*imputer_file.SCHEMA)


def is_plain(X) -> bool:
    """Whether X is plain numbers of any shape, all of them there."""
    array = _array_of(X)
    return array is not None and array.dtype.kind in "buif" and not (array.dtype.kind == "f" and np.isnan(array).any())


def is_table(X) -> bool:
    """Whether X is a table by what it holds: text, dates or gaps in rows and columns, or names and numbers that are not
    all from 0 to 1. Else it is plain numbers, or pictures."""
    if hasattr(X, "toarray"):  # of scipy.sparse, one kind is a mapping: refused where rows are read
        return False
    if isinstance(X, (Table, Mapping)) or (
        isinstance(X, (list, tuple)) and len(X) and all(isinstance(row, Mapping) for row in X)
    ):
        return True
    array, named = _array_of(X), hasattr(X, "columns") or hasattr(X, "column_names")
    if array is None and named:
        return True
    if array is None or array.ndim != 2 or array.dtype.kind not in "buifOUmM":
        return False
    if not is_plain(array):
        return True
    return bool(named and array.size and (array.min() < 0 or array.max() > 1))


def _array_of(X) -> np.ndarray | None:
    """X as NumPy sees it; None: that is no array of cells."""
    if hasattr(X, "toarray") or isinstance(X, np.ma.MaskedArray):
        return None
    try:
        return np.asarray(X)
    except (ValueError, TypeError):  # rows of several lengths; dates beside numbers in a frame
        return None


def rows_of(X, name: str = "X") -> int:
    """How many rows a table or an array has. InputError, InputTypeError: it is neither."""
    return as_cells(X, name).rows if is_table(X) else inputs.rows_of(X, name)


@dataclass(frozen=True, eq=False)
class TableRows:
    """The schema of a table, the values that are missing in it beside None and NaN, and, once it is fitted to the rows
    to train on, the normal distribution of their standardised numbers, which completes them. farthest: in standard
    units, what the encoder sees at most."""

    schema: Schema
    missing: tuple = ()
    normal: Normal | FactorAnalysis | None = None
    farthest: float = FARTHEST

    @classmethod
    def fit(cls, X, kinds=None, ignore=(), missing=()) -> TableRows:
        """The schema of the table X, its normal distribution still to be fitted. kinds, ignore, missing: as of
        :class:`npvae.TableImputer`, as are the CarriedColumnsWarning, and InputError and InputTypeError of a table that
        is none."""
        also = values_of(missing)
        schema = Schema.fit(as_cells(X, also=also), kinds, ignore=ignore)
        warn_of_carried(schema.carried, stacklevel=6)
        return cls(schema, also)

    def fitted(self, x: np.ndarray) -> TableRows:
        """The same, with the normal distribution of rows x (N, D) with NaN."""
        return replace(self, normal=fit_unwatched(self.schema.view.of(x)))

    @property
    def names(self) -> list[str] | None:
        """The names of the table's columns, those that are carried among them; None: it had none."""
        return list(self.schema.names) if self.schema.named else None

    @property
    def names_of_numbers(self) -> list[str]:
        """Of each of the D numbers of a row, its column's name."""
        return [column.name for column in self.schema.columns for _ in range(column.width)]

    def cells(self, X, name: str = "X") -> Cells:
        """X as cells."""
        return as_cells(X, name, self.missing)

    def read(self, X, unseen: str = "error", name: str = "X") -> np.ndarray:
        """X as (N, D) float64, NaN where a cell is missing, in the likelihoods' numbers. unseen: as of
        :meth:`Schema.encode`.

        InputError naming column and row: other columns than the fitted table's, values that they had not.
        """
        return self.schema.encode(self.cells(X, name), unseen)

    def beside(self, x: np.ndarray) -> np.ndarray:
        """Rows of a model: x (N, D) and, beside it, what the encoder sees of it, (N, 2 D), of x's dtype."""
        assert self.normal is not None  # fitted
        seen = np.clip(self.normal.complete(self.schema.view.of(x)), -self.farthest, self.farthest)
        return np.concatenate([x, seen.astype(x.dtype)], axis=1)

    def described(self) -> tuple[dict, dict]:
        """``(entry, arrays)`` in a model's file: as ``DECLARATION`` says, and the normal distribution."""
        schema = self.schema
        assert self.normal is not None  # fitted
        entry = {"schema": schema.config(), "columns": schema.names, "carried": schema.carried}
        return entry, {field.name: getattr(self.normal, field.name) for field in fields(self.normal)}

    @classmethod
    def restored(cls, entry: dict, arrays: dict, missing=()) -> TableRows:
        """The inverse of :meth:`described`. ModelFileError: it does not fit together."""
        schema, kind = imputer_file.schema_of(entry), Normal if "covariance" in arrays else FactorAnalysis
        names = [field.name for field in fields(kind)]
        if sorted(names) != sorted(arrays):
            raise ModelFileError("it has a table, but not the arrays of what completes its rows, and no others")
        return cls(
            schema,
            values_of(missing),
            imputer_file.normal_of(kind, [arrays[name] for name in names], schema.width, "its table"),
        )


def warn_of_carried(carried: dict[str, str], stacklevel: int = 3) -> None:
    """CarriedColumnsWarning, naming columns and reasons, if there are any that were not said to be ignored."""
    carried = {name: reason for name, reason in carried.items() if reason != IGNORED}
    if carried:
        listed = "; ".join(f"{name!r} ({reason})" for name, reason in carried.items())
        what = "1 column cannot be modelled and is kept as it is"
        if len(carried) > 1:
            what = f"{len(carried)} columns cannot be modelled and are kept as they are"
        warnings.warn(
            f"{what}: {listed}; to model one all the same, say its kind with kinds; to carry it without a word, name "
            f"it with ignore",
            CarriedColumnsWarning,
            stacklevel=stacklevel,
        )
