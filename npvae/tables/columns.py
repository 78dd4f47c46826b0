"""The kinds of a table's columns: how a column's values become numbers that a likelihood can produce, and back.

    kind          numbers                                 likelihood          best guess                      typical columns
    continuous    (v - mean) / deviation                  gaussian_decoder    expected value                  measurements
    positive      (log v - mean) / deviation              gaussian_decoder    exp of the expected logarithm   amounts, times
    counts        v                                       poisson             expected value                  0, 1, 2, ...
    binary        0 for the first value, 1 for the other  bernoulli           the likelier value              two values
    categorical   one-hot, a column a value               categorical         the likeliest value             several values

``center`` and ``scale`` turn a kind's numbers into ones of about unit size, which is what the encoder sees; they are 0 and 1
but for counts. Numbers that are all whole are whole again on the way out. Dates are numbers of days (times.py). Which columns are
modelled at all: carried.py.
"""

from __future__ import annotations

import decimal
import numbers as number_types
from dataclasses import dataclass

import numpy as np

from npvae import check
from npvae.errors import InputError, InputTypeError

KINDS = ("continuous", "positive", "counts", "binary", "categorical")
LIKELIHOODS = {
    "continuous": "gaussian_decoder", "positive": "gaussian_decoder", "counts": "poisson", "binary": "bernoulli",
    "categorical": "categorical",
}
#: Numbers that are farther from a column's mean, in its deviations, and larger counts leave a float32.
FARTHEST = 1e15
#: Whole numbers from 0 are counts if their variance is at most so many times their mean: a Poisson distribution's is equal.
LARGEST_DISPERSION = 3.0


@dataclass(frozen=True)
class Column:
    """One column of a table, as it was when the model was fitted. ``values``: the two or more of a binary or categorical one; form:
    what its cells are, see cells.py; words: texts among its numbers that stay as they are."""

    name: str
    kind: str
    values: tuple = ()
    mean: float = 0.0
    deviation: float = 1.0
    whole: bool = False
    likelihood: str | dict = ""
    form: str = "number"
    words: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """How many numbers a value becomes."""
        return len(self.values) if self.kind == "categorical" else 1

    @property
    def center(self) -> float:
        """What the encoder's numbers are less."""
        return self.mean if self.kind == "counts" else 0.0

    @property
    def scale(self) -> float:
        """What the encoder's numbers are divided by."""
        return self.deviation if self.kind == "counts" else 1.0

    @property
    def is_numeric(self) -> bool:
        """Whether its values are numbers, and not names."""
        return self.kind in ("continuous", "positive", "counts")

    @property
    def is_binary_number(self) -> bool:
        """Whether its values are two numbers."""
        return self.kind == "binary" and all(isinstance(value, float) for value in self.values)

    def unseen(self, cells: np.ndarray, observed: np.ndarray) -> np.ndarray:
        """Which of the observed cells (N,) are values that a column of names had not, or texts among numbers, booleans (N,)."""
        if self.is_numeric and cells.dtype.kind == "f":
            return np.zeros(len(cells), bool)
        if self.is_numeric:
            return observed & np.fromiter((isinstance(cell, str) for cell in cells), bool, len(cells))
        found = np.zeros(len(cells), bool)
        found[observed] = self._places(cells[observed]) < 0
        return found

    def _places(self, there: np.ndarray) -> np.ndarray:
        """Of cells (n,), where they are among the values, -1 for those that are not."""
        known = {value: i for i, value in enumerate(self.values)}
        place = {cell: known.get(_plain(cell, self.name), -1) for cell in _different(there)}
        return np.fromiter((place[cell] for cell in there.tolist()), int, len(there))

    def encode(self, cells: np.ndarray, observed: np.ndarray) -> np.ndarray:
        """(N, width) float64 of cells (N,), floats or objects; NaN where they are not observed.

        InputError naming column and row: a value that the kind has not, or that was not there when the model was fitted.
        """
        x = np.full((len(cells), self.width), np.nan)
        if not self.is_numeric:
            rows, places = np.flatnonzero(observed), self._places(cells[observed])
            if (places < 0).any():
                row = rows[np.argmax(places < 0)]
                known = ", ".join(map(repr, self.values[:10])) + (", ..." if len(self.values) > 10 else "")
                raise InputError(
                    f"column {self.name!r} holds {_plain(cells[row], self.name)!r} in row {row}, which it did not when the model was "
                    f"fitted; known: {known}"
                )
            if self.kind == "binary":
                x[rows, 0] = places
            else:
                x[rows] = 0.0
                x[rows, places] = 1.0
            return x
        v = given = numbers(cells, observed, self.name)
        if self.kind == "positive":
            refuse(v <= 0.0, v, self.name, "a positive column needs values above 0")
            v = np.log(v)
        if self.kind == "counts":
            refuse((v < 0.0) | ((v != np.floor(v)) & observed), v, self.name, "a column of counts needs 0, 1, 2, ...")
            x[:, 0] = v
        else:
            x[:, 0] = (v - self.mean) / self.deviation
        refuse(np.abs(x[:, 0]) > FARTHEST, given, self.name, "too far from all others")
        return x

    def decode(self, x: np.ndarray) -> np.ndarray:
        """Values (N,) from numbers (N, width): of one draw, or expected ones; names where the kind has names."""
        x = x.astype(np.float64)  # a float32 times a deviation would lose what a large mean needs
        if self.kind == "binary":
            return np.array(self.values, object)[(x[:, 0] > 0.5).astype(int)]
        if self.kind == "categorical":
            return np.array(self.values, object)[x.argmax(axis=1)]
        if self.kind == "counts":
            return np.maximum(np.rint(x[:, 0]), 0.0) if self.whole else np.maximum(x[:, 0], 0.0)
        v = x[:, 0] * self.deviation + self.mean
        return np.exp(v) if self.kind == "positive" else v

    def round(self, v: np.ndarray) -> np.ndarray:
        """Numbers as the column has them: whole where all were."""
        if not self.whole or not self.is_numeric:
            return v
        return np.maximum(np.rint(v), 1.0) if self.kind == "positive" else np.rint(v)

    def config(self) -> dict:
        """The fields, JSON-able; ``Column(**config)`` is an equal one, with ``values`` a tuple again."""
        later = {"form": self.form, "words": list(self.words)}  # left out where they say nothing
        return {
            "name": self.name, "kind": self.kind, "values": list(self.values), "mean": self.mean, "deviation": self.deviation,
            "whole": self.whole, "likelihood": self.likelihood,
            **{name: value for name, value in later.items() if value not in ("number", [])},
        }


def fit_column(name: str, cells: np.ndarray, observed: np.ndarray, kind: str | None = None, likelihood=None) -> Column:
    """The column of cells (N,), floats or objects; the kind is guessed where none is given.

    InputError naming the column: nothing is observed, all values are equal, or they are not of the kind.
    """
    if not observed.any():
        raise InputError(f"column {name!r} is empty: nothing can be learnt of it; remove it first")
    if kind is not None:
        check.one_of(f"kind of column {name!r}", kind, KINDS)
    values = _different(cells[observed])
    if cells.dtype.kind != "f":
        values = sorted({_plain(cell, name) for cell in values}, key=lambda v: (isinstance(v, str), v))
    if len(values) == 1:
        raise InputError(f"column {name!r} has one value, {values[0]!r}: nothing can be learnt of it; remove it first")
    kind = kind or guess(name, cells, observed, values)
    if kind in ("binary", "categorical"):
        if kind == "binary" and len(values) != 2:
            raise InputError(f"column {name!r} has {len(values)} values, but a binary column has two")
        return Column(name, kind, tuple(values), likelihood=likelihood or LIKELIHOODS[kind])
    v = numbers(cells, observed, name)
    whole = bool((v == np.rint(v))[observed].all())
    if kind == "positive":
        refuse(v <= 0.0, v, name, "a positive column needs values above 0")
        v = np.log(v)
    with np.errstate(over="ignore"):
        mean, deviation = float(v[observed].mean()), float(v[observed].std())
    if not np.isfinite(deviation):
        raise InputError(f"column {name!r} has values so large that their variance is not finite: use other units")
    column = Column(name, kind, (), mean, deviation or 1.0, whole, likelihood or LIKELIHOODS[kind])
    column.encode(cells, observed)
    return column


def guess(name: str, cells: np.ndarray, observed: np.ndarray, values: list) -> str:
    """The kind that the values look like."""
    if any(isinstance(value, str) for value in values):
        return "binary" if len(values) == 2 else "categorical"
    if len(values) == 2:
        return "binary"
    v = np.array(values, float)
    if (v >= 0.0).all() and (v == np.rint(v)).all():
        all_of_them = numbers(cells, observed, name)[observed]
        if all_of_them.var() <= LARGEST_DISPERSION * all_of_them.mean() and v.max() <= 1000:
            return "counts"
    return "continuous"


def numbers(cells: np.ndarray, observed: np.ndarray, name: str) -> np.ndarray:
    """Cells (N,) as float64, NaN where not observed. InputError naming column and row: one is text, or infinite."""
    if cells.dtype.kind == "f":
        v = np.where(observed, cells, np.nan).astype(np.float64)
    else:
        v = np.full(len(cells), np.nan)
        for row in np.flatnonzero(observed):
            cell = _plain(cells[row], name)
            if isinstance(cell, str):
                raise InputError(f"column {name!r} holds the text {cell!r} in row {row}, but it is a column of numbers")
            v[row] = cell
    refuse(np.isinf(v), v, name, "infinity is not a value")
    return v


def refuse(wrong: np.ndarray, v: np.ndarray, name: str, why: str) -> None:
    """InputError naming the first row where something is wrong."""
    if wrong.any():
        row = np.argmax(wrong)
        raise InputError(f"column {name!r} holds {v[row]:g} in row {row}; {why}")


def _different(there: np.ndarray) -> list:
    """The different ones of cells (n,), floats in order."""
    if there.dtype.kind == "f":
        return np.unique(there).tolist()
    try:
        return [*dict.fromkeys(there.tolist())]
    except TypeError:  # of a kind that is refused afterwards
        return there.tolist()


def _plain(cell, name: str):
    """A cell as Python has it: a bool, a number as float, text. InputTypeError: it is something else."""
    if isinstance(cell, (bool, np.bool_)):
        return bool(cell)
    if isinstance(cell, (number_types.Real, decimal.Decimal)):
        try:
            return float(cell)
        except OverflowError:
            raise InputError(f"column {name!r} holds a whole number too large for a float") from None
    if isinstance(cell, str):
        return str(cell)
    raise InputTypeError(f"column {name!r} holds {cell!r} of type {type(cell).__name__}; cells are numbers, text or bools")
