"""What every kind of column offers: its cells as numbers that a likelihood can produce, and back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

from npvae.data.tables.kinds.reading import MOST_DECIMALS, different, numbers, plain, refuse
from npvae.errors import InputError, RowError
from npvae.support.fields import Either, Field, Flag, ListOf, Maybe, Real, Text, Whole

#: Numbers that are farther from a column's mean, in its deviations, and larger counts leave a float32.
FARTHEST = 1e15


@dataclass(frozen=True)
class Column(ABC):
    """One column of a table, as it was when the model was fitted. form: what its cells are, see cells.py; words: texts
    among its numbers that stay as they are; why: what speaks for its kind; rivals: other kinds for which about as much
    speaks."""

    name: str
    likelihood: str | dict = ""
    form: str = "number"
    words: tuple[str, ...] = ()
    why: str = ""
    rivals: tuple[str, ...] = ()

    kind: ClassVar[str]
    #: What it is modelled by where nothing else is said.
    default_likelihood: ClassVar[str]
    #: The kind's own entries in a file, beside those that all have.
    entries: ClassVar[dict[str, Field]]
    #: Whether values come of a curve of the likelihood's numbers, so that what is expected of them is not that of the
    #: numbers.
    is_curved: ClassVar[bool] = False
    #: Whether its numbers are one variable of its likelihood, which no other column's can be joined to.
    stands_alone: ClassVar[bool] = False
    #: Whether the encoder sees the logarithm of 1 + x, and center and scale are of that.
    log1p: ClassVar[bool] = False

    @classmethod
    @abstractmethod
    def fit(cls, name: str, cells: np.ndarray, observed: np.ndarray) -> Column:
        """The column of cells (N,), floats or objects, some of which are observed. InputError naming the column:
        they are not of the kind.
        """

    def check(self) -> None:  # noqa: B027
        """InputError: entries of a file do not fit together."""

    @property
    def values(self) -> tuple:
        """The different values of a kind that has few."""
        return ()

    @property
    def whole(self) -> bool:
        """Whether its values are whole numbers."""
        return False

    def modelled_by(self, continuous):
        """The likelihood where none is said of the column, a name or a configuration; continuous: of those that are
        Gaussian by default.
        """
        return continuous if self.default_likelihood == "gaussian_decoder" else self.default_likelihood

    @property
    def width(self) -> int:
        """How many numbers a value becomes."""
        return 1

    @property
    def center(self) -> float:
        """What the encoder's numbers are less."""
        return 0.0

    @property
    def scale(self) -> float:
        """What the encoder's numbers are divided by."""
        return 1.0

    @property
    def is_numeric(self) -> bool:
        """Whether its values are numbers, and not names."""
        return True

    def unseen(self, cells: np.ndarray, observed: np.ndarray) -> np.ndarray:
        """Which of the observed cells (N,) are values that a column of names had not, or texts among numbers,
        booleans (N,).
        """
        if cells.dtype.kind == "f":
            return np.zeros(len(cells), bool)
        return observed & np.fromiter((isinstance(cell, str) for cell in cells), bool, len(cells))

    @abstractmethod
    def encode(self, cells: np.ndarray, observed: np.ndarray) -> np.ndarray:
        """(N, width) float64 of cells (N,), floats or objects; NaN where they are not observed.

        InputError naming column and row: a value that the kind has not, or that was not there when the model was
        fitted.
        """

    def curve(self, xp, x):
        """Of numbers x of any shape, arrays of xp."""
        return x

    @abstractmethod
    def decode(self, x: np.ndarray) -> np.ndarray:
        """Values (N,) of numbers (N, width), such as a likelihood draws: floats, or names where the kind has names."""

    @abstractmethod
    def guess(self, expected: np.ndarray) -> np.ndarray:
        """The best guesses (N,) from what is expected (N, width): of the numbers' curve where the kind has one, else
        of the numbers.
        """

    def config(self) -> dict:
        """The fields, JSON-able; those that say nothing are left out. ``from_config`` of kinds is the inverse."""
        entries: dict[str, Any] = {"name": self.name, "kind": self.kind}
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name != "name" and (field.name == "likelihood" or value != field.default):
                entries[field.name] = list(value) if isinstance(value, tuple) else value
        return entries


@dataclass(frozen=True)
class NumberColumn(Column):
    """Numbers v = shift + unit * curve(x), rounded to as many decimals as the column has; None for not rounding."""

    decimals: int | None = None

    entries: ClassVar[dict[str, Field]] = {"decimals": Maybe(Whole(0, MOST_DECIMALS))}

    @property
    def whole(self):
        return self.decimals == 0

    @property
    def shift(self) -> float:
        """What the curve's values are more."""
        return 0.0

    @property
    def unit(self) -> float:
        """What the curve's values are multiplied by."""
        return 1.0

    @abstractmethod
    def numbers_of(self, v: np.ndarray) -> np.ndarray:
        """Numbers x (N,) of values v (N,) with NaN that the kind has."""

    def refuse_others(self, v: np.ndarray) -> None:
        """InputError naming the first of values v (N,) with NaN that the kind has not."""

    def encode(self, cells, observed):
        v = numbers(cells, observed, self.name)
        self.refuse_others(v)
        x = self.numbers_of(v)
        refuse(np.abs(x) > FARTHEST, v, self.name, "too far from all others")
        return x[:, None]

    def decode(self, x):
        return self.guess(
            self.curve(np, x.astype(np.float64))
        )  # a float32 times a deviation would lose what a large mean needs

    def guess(self, expected):
        return self.rounded(self.shift + self.unit * expected[:, 0].astype(np.float64))

    def rounded(self, v: np.ndarray) -> np.ndarray:
        """v (N,) with as many decimals as the column has."""
        return v if self.decimals is None else np.round(v, self.decimals)


@dataclass(frozen=True)
class LevelsColumn(Column):
    """One of some values: numbers, names or truth values."""

    values: tuple = ()

    entries: ClassVar[dict[str, Field]] = {"values": ListOf(Either(Flag(), Real(), Text()))}

    @property
    def is_numeric(self):
        return all(isinstance(value, float) for value in self.values)

    def unseen(self, cells, observed):
        found = np.zeros(len(cells), bool)
        found[observed] = self._places(cells[observed]) < 0
        return found

    def _places(self, there: np.ndarray) -> np.ndarray:
        """Of cells (n,), where they are among the values, -1 for those that are not."""
        known = {value: i for i, value in enumerate(self.values)}
        place = {cell: known.get(plain(cell, self.name), -1) for cell in different(there)}
        return np.fromiter((place[cell] for cell in there.tolist()), int, len(there))

    def encode(self, cells, observed):
        x = np.full((len(cells), self.width), np.nan)
        rows, places = np.flatnonzero(observed), self._places(cells[observed])
        if (places < 0).any():
            row = rows[np.argmax(places < 0)]
            known = ", ".join(map(repr, self.values[:10])) + (", ..." if len(self.values) > 10 else "")
            raise RowError(
                f"column {self.name!r} holds {plain(cells[row], self.name)!r} in ",
                row,
                f", which it did not when the model was fitted; known: {known}",
            )
        x[rows] = self.numbers_of_places(places)
        return x

    @abstractmethod
    def numbers_of_places(self, places: np.ndarray) -> np.ndarray:
        """(n, width) of places (n,) among the values."""

    @abstractmethod
    def probabilities(self, expected: np.ndarray) -> np.ndarray:
        """(N, number of values) from what is expected of the numbers, (N, width)."""

    def decode(self, x):
        return self.guess(x)

    def guess(self, expected):
        return self.of_places(self.probabilities(expected.astype(np.float64)).argmax(axis=1))

    def of_places(self, places: np.ndarray) -> np.ndarray:
        """Values (n,): floats where all are numbers, else objects."""
        return np.array(self.values, np.float64 if self.is_numeric else object)[places]

    @classmethod
    def fit(cls, name, cells, observed):
        values = values_of(cells, observed, name)
        cls.refuse_values(name, values)
        return cls(name, values=tuple(values))

    @classmethod
    def refuse_values(cls, name: str, values: list) -> None:
        """InputError: so many different values, or such ones, are not the kind's."""
        if len(values) < 2:
            raise InputError(f"column {name!r} has {len(values)} values, but a {cls.kind} column has two or more")

    def check(self):
        if len(set(self.values)) != len(self.values):
            raise InputError(
                f"the values of the column are not all different: {len(self.values)}, {len(set(self.values))} of them "
                f"different"
            )
        self.refuse_values(self.name, list(self.values))


def values_of(cells: np.ndarray, observed: np.ndarray, name: str) -> list:
    """The different values of observed cells as Python has them, numbers first and in order."""
    values = different(cells[observed])
    if cells.dtype.kind != "f":
        values = sorted({plain(cell, name) for cell in values}, key=lambda v: (isinstance(v, str), v))
    return values
