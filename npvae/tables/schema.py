"""A table's columns together: from cells to the numbers that a model is trained on, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from npvae import likelihoods, registry
from npvae.errors import InputError, InputTypeError
from npvae.likelihoods import Table
from npvae.tables.columns import Column, fit_column


@dataclass(frozen=True)
class Cells:
    """A table as it came: cells (N, C), floats or objects; which are observed; the columns' names."""

    cells: np.ndarray
    observed: np.ndarray
    names: list[str]


def as_cells(X, name: str = "X") -> Cells:
    """X as cells: an array of numbers with NaN, an array or list of rows of numbers and text with None, or a table with
    ``columns``. It is not modified.

    InputError, InputTypeError: not a table, no rows or no columns, two columns of one name.
    """
    names = getattr(X, "columns", None)
    if hasattr(X, "toarray") or isinstance(X, np.ma.MaskedArray):
        raise InputTypeError(f"{name} must be a table with NaN or None for what is missing, got {type(X).__name__}")
    try:
        cells = np.asarray(X)
        if cells.dtype.kind == "U" and not isinstance(X, (list, tuple)):
            cells = np.where(cells == "nan", None, cells)  # which NumPy makes of NaN beside text
        elif cells.dtype.kind not in "fiub":
            cells = np.asarray(X, dtype=object)  # also of lists of numbers and text, so that numbers do not become text
    except ValueError as error:
        raise InputError(f"{name} is not a rectangular table: {error}") from None
    if cells.dtype.kind in "iub":
        cells = cells.astype(np.float64)
    if cells.ndim != 2 or 0 in cells.shape:
        raise InputError(f"{name} must have rows and columns, got shape {cells.shape}")
    if names is not None and len(names) != cells.shape[1]:
        raise InputError(f"{name} has {len(names)} column names for {cells.shape[1]} columns")
    if cells.dtype == object:
        observed = np.array([[not _is_missing(cell) for cell in row] for row in cells])
    else:
        observed = ~np.isnan(cells)
    names = numbered(cells.shape[1]) if names is None else [str(entry) for entry in names]
    if len(set(names)) != len(names):
        twice = next(entry for entry in names if names.count(entry) > 1)
        raise InputError(f"two columns of {name} are named {twice!r}")
    return Cells(cells, observed, names)


def numbered(count: int) -> list[str]:
    """The names of columns that have none."""
    return [str(i) for i in range(count)]


def _is_missing(cell) -> bool:
    return cell is None or (isinstance(cell, (float, np.floating)) and np.isnan(cell)) or type(cell).__name__ in ("NAType", "NaTType")


class Schema:
    """The columns of a table, each with its kind and likelihood."""

    def __init__(self, columns: list[Column]) -> None:
        self.columns = columns
        ends = np.cumsum([column.width for column in columns])
        self.slices = [slice(end - c.width, end) for end, c in zip(ends, columns, strict=True)]
        self.width = int(ends[-1])

    @classmethod
    def fit(cls, table: Cells, kinds=None, continuous_likelihood="gaussian_decoder") -> Schema:
        """The schema of a table; kinds: a mapping of columns' names to kinds, or to ``{"kind": ..., "likelihood": ...}``.

        InputError: a column that cannot be learnt from (see ``fit_column``), or a name that no column has.
        """
        if kinds is not None and not isinstance(kinds, Mapping):
            raise InputTypeError(f"kinds must be a mapping of columns' names to kinds, got {kinds!r}")
        kinds = dict(kinds or {})
        unknown = [name for name in kinds if str(name) not in table.names]
        if unknown:
            raise InputError(f"kinds names the column {unknown[0]!r}, but the columns are {table.names}")
        wanted = {str(name): entry if isinstance(entry, dict) else {"kind": entry} for name, entry in kinds.items()}
        for name, entry in wanted.items():
            if "kind" not in entry or not set(entry) <= {"kind", "likelihood"}:
                raise InputError(f"kinds[{name!r}] must be a kind, or have a 'kind' and perhaps a 'likelihood', got {entry!r}")
        columns = []
        for i, name in enumerate(table.names):
            entry = wanted.get(name, {})
            column = fit_column(name, table.cells[:, i], table.observed[:, i], entry.get("kind"), entry.get("likelihood"))
            said = entry.get("likelihood")
            if said is None and column.kind in ("continuous", "positive"):
                said = continuous_likelihood
            if said is not None:
                config = registry.to_config(likelihoods.get(said))
                column = replace(column, likelihood=config)
                encoded = column.encode(table.cells[:, i], table.observed[:, i])
                likelihoods.get(config).check_data(encoded, [name] * column.width)  # poisson for standardised numbers, say
            columns.append(column)
        return cls(columns)

    def likelihood(self) -> Table:
        """A likelihood for every column; neighbours with the same one share it."""
        entries: list = []
        for column in self.columns:
            like_last = entries and entries[-1][0] == column.likelihood and column.kind != "categorical"
            if like_last:
                entries[-1][1] += 1
            else:
                entries.append([column.likelihood, column.width])
        return Table([{"likelihood": likelihood, "columns": count} for likelihood, count in entries])

    def check(self, table: Cells) -> None:
        """InputError: the table's columns are not these."""
        expected = [column.name for column in self.columns]
        if table.names != expected:
            raise InputError(f"the columns should be those of the fitted table, {expected}, got {table.names}")

    def encode(self, table: Cells) -> np.ndarray:
        """(N, width) float64 with NaN, in the likelihoods' numbers."""
        parts = [column.encode(table.cells[:, i], table.observed[:, i]) for i, column in enumerate(self.columns)]
        return np.concatenate(parts, axis=1)

    @property
    def center(self) -> np.ndarray:
        """(width,): what is taken off the likelihoods' numbers for the encoder's."""
        return np.concatenate([np.full(column.width, column.center) for column in self.columns])

    @property
    def scale(self) -> np.ndarray:
        """(width,): what they are divided by."""
        return np.concatenate([np.full(column.width, column.scale) for column in self.columns])

    def config(self) -> list[dict]:
        """JSON-able; :meth:`from_config` is the inverse."""
        return [column.config() for column in self.columns]

    @classmethod
    def from_config(cls, config) -> Schema:
        """The schema of :meth:`config`."""
        return cls([Column(**{**entry, "values": tuple(entry["values"])}) for entry in config])
