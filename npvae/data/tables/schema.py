"""A table's columns together: from cells to the numbers that a model is trained on, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np

from npvae.data.tables.carried import why_carried, words_among_numbers
from npvae.data.tables.frames import Cells, column_name, numbered
from npvae.data.tables.kinds import KINDS, Column, decisions, from_config
from npvae.data.tables.kinds.base import values_of
from npvae.errors import InputError, InputTypeError, RowError
from npvae.mathematics import likelihoods
from npvae.mathematics.encoder_view import EncoderView
from npvae.mathematics.likelihoods import Table
from npvae.support import registry

#: What is done with a value that a column of names had not when the model was fitted.
UNSEEN = ("error", "missing")
#: The reason of columns that ``ignore`` names.
IGNORED = "ignored, as was said"
#: What a column's cells are called in messages.
_FORMS = {"number": "numbers or names", "date": "dates", "duration": "durations"}


class Schema:
    """The columns of a table that are modelled, each with its kind and likelihood.

    names: of all of the table's columns, in its order; carried: of those that are not modelled, and why.
    """

    def __init__(
        self, columns: list[Column], names: list[str] | None = None, carried: dict[str, str] | None = None
    ) -> None:
        self.columns = columns
        self.names = [column.name for column in columns] if names is None else names
        self.carried = carried or {}
        ends = np.cumsum([column.width for column in columns])
        self.slices = [slice(end - c.width, end) for end, c in zip(ends, columns, strict=True)]
        self.width = int(ends[-1])

    @property
    def named(self) -> bool:
        """Whether the table's columns had names, and not only numbers."""
        return self.names != numbered(len(self.names))

    @classmethod
    def fit(
        cls,
        table: Cells,
        kinds=None,
        continuous_likelihood="gaussian_decoder",
        ignore=(),
        numbers_are: str | None = None,
        enough: Callable | None = None,
    ) -> Schema:
        """The schema of a table; kinds: a mapping of columns' names to kinds, or to ``{"kind": ..., "likelihood":
        ...}``, which are then modelled whatever they look like; ignore: names of columns to be carried; numbers_are:
        the kind of columns of more than two numbers of which nothing is said, in the place of the evidence; enough:
        says that there is no time for more evidence.

        InputError: no column can be modelled, one has values that its kind has not, or a name that no column has.
        """
        wanted, ignored = _wanted(kinds, table.names), _ignored(ignore, table.names)
        for name in ignored & wanted.keys():
            raise InputError(f"kinds and ignore both name the column {name!r}; leave out one of them")
        chosen, carried = [], {}
        for name, given in zip(table.names, table.columns, strict=True):
            entry, observed = wanted.get(name, {}), ~given.missing
            reason = IGNORED if name in ignored else None
            if reason is None and not entry:
                reason = why_carried(name if table.named else "", given.cells, observed)
            if reason is not None:
                carried[name] = reason
                continue
            words = words_among_numbers(given.cells, observed) if entry.get("kind") != "categorical" else None
            if words is not None:
                observed = observed & ~words
            if numbers_are is not None and not entry and not given.declared and given.form == "number":
                values = values_of(given.cells, observed, name)
                entry = (
                    {"kind": numbers_are}
                    if len(values) > 2 and all(isinstance(value, float) for value in values)
                    else entry
                )
            chosen.append((name, given, observed, entry, words))
        if not chosen:
            listed = "; ".join(f"{name!r}: {reason}" for name, reason in carried.items())
            size = f"{table.rows} sample{'s' if table.rows > 1 else ''}"
            raise InputError(f"no column of the table of {size} can be modelled: {listed}")
        found = decisions(
            [
                (name, given.cells, observed, _said(given, observed, entry))
                for name, given, observed, entry, _ in chosen
            ],
            enough,
        )
        columns = [
            _fit_column(*each, decision, continuous_likelihood) for each, decision in zip(chosen, found, strict=True)
        ]
        return cls(columns, list(table.names), carried)

    def likelihood(self) -> Table:
        """A likelihood for every column; neighbours with the same one share it."""
        entries: list = []
        for column in self.columns:
            like_last = entries and entries[-1][0] == column.likelihood and not column.stands_alone
            if like_last:
                entries[-1][1] += 1
            else:
                entries.append([column.likelihood, column.width])
        return Table([{"likelihood": likelihood, "columns": count} for likelihood, count in entries])

    @property
    def curves(self) -> dict:
        """By number, where what is expected of a column is not of the likelihood's number but of its curve: the
        curve.
        """
        return {
            block.start: column.curve
            for column, block in zip(self.columns, self.slices, strict=True)
            if column.is_curved
        }

    def places(self, table: Cells) -> list[int]:
        """Where the modelled columns are in a table: by name, where both have names, else in the order of the fitted
        table. Those that are carried need not be there.

        InputError: columns are missing, others are there, or one holds dates where it held numbers: all of them named.
        """
        if not (table.named and self.named):
            if len(table.names) != len(self.names):
                raise InputError(
                    f"X has {len(table.names)} features, but TableImputer is expecting {len(self.names)} features as "
                    f"input"
                )
            place = {name: i for i, name in enumerate(self.names)}
        else:
            self.refuse_others(table.names, [name for name in table.names if name not in set(self.names)])
            place = {name: i for i, name in enumerate(table.names)}
        others = []
        for column in self.columns:
            given = table.columns[place[column.name]]
            if given.form != column.form and not given.missing.all():
                others.append(
                    f"column {column.name!r} holds {_FORMS[given.form]}, but {_FORMS[column.form]} when the model was "
                    f"fitted"
                )
        if others:
            raise InputError("; ".join(others))
        return [place[column.name] for column in self.columns]

    def refuse_others(self, names: list[str], unknown=()) -> None:
        """InputError: a modelled column is not among the names of a table's, or there are unknown ones; all of them
        named.
        """
        missing = [column.name for column in self.columns if column.name not in set(names)]
        if missing or unknown:
            said = [
                f"{_listed(some)} {words}"
                for some, words in ((missing, "missing"), (unknown, "not seen in fit"))
                if some
            ]
            raise InputError(f"the columns should be those of the fitted table: {'; '.join(said)}")

    def encode(self, table: Cells, unseen: str = "error") -> np.ndarray:
        """(N, width) float64 with NaN, in the likelihoods' numbers. unseen: "missing" for taking values that a column
        of names had not for missing ones here, which leaves them in the table; InputError, naming all such columns, for
        "error"."""
        parts, complaints = [], []
        for column, place in zip(self.columns, self.places(table), strict=True):
            cells, observed = table.columns[place].cells, ~table.columns[place].missing
            new = column.unseen(cells, observed)
            if column.words:
                words = np.fromiter(
                    (isinstance(cell, str) and cell in column.words for cell in cells), bool, len(cells)
                )
                observed, new = observed & ~words, new & ~words
            if new.any() and unseen == "missing":
                observed = observed & ~new
            try:
                parts.append(column.encode(cells, observed))
            except InputError as error:
                if not new.any():
                    raise
                complaints += ["; ", *(error.parts if isinstance(error, RowError) else error.args)]
        if complaints:
            raise RowError(
                *complaints[1:], '. With unseen="missing" such cells stay as they are, and the model does without them'
            )
        return np.concatenate(parts, axis=1)

    @property
    def view(self) -> EncoderView:
        """What the encoder sees of the likelihoods' numbers."""
        center, scale, log1p = (
            [getattr(c, name) for c in self.columns for _ in range(c.width)] for name in ("center", "scale", "log1p")
        )
        return EncoderView(np.array(center), np.array(scale), np.array(log1p))

    def config(self) -> list[dict]:
        """JSON-able; :meth:`from_config` is the inverse."""
        return [column.config() for column in self.columns]

    @classmethod
    def from_config(cls, config, names=None, carried=None) -> Schema:
        """The schema of :meth:`config`, and of the names of all columns and reasons of those that are carried."""
        return cls([from_config(entry) for entry in config], names, carried)


def _wanted(kinds, names: list[str]) -> dict[str, dict]:
    """What is said of columns: {name: {"kind": ..., perhaps "likelihood": ...}}."""
    if kinds is not None and not isinstance(kinds, Mapping):
        raise InputTypeError(f"kinds must be a mapping of columns' names to kinds, got {kinds!r}")
    kinds = dict(kinds or {})
    unknown = [name for name in kinds if column_name(name) not in names]
    if unknown:
        raise InputError(f"kinds names the column {unknown[0]!r}, but the columns are {_listed(names)}")
    wanted = {column_name(name): entry if isinstance(entry, dict) else {"kind": entry} for name, entry in kinds.items()}
    for name, entry in wanted.items():
        if "kind" not in entry or not set(entry) <= {"kind", "likelihood"}:
            raise InputError(
                f"kinds[{name!r}] must be a kind, or have a 'kind' and perhaps a 'likelihood', got {entry!r}"
            )
    return wanted


def _ignored(ignore, names: list[str]) -> set[str]:
    """The names of columns to be carried, one or a list of them."""
    ignore = (
        [ignore] if isinstance(ignore, (str, int, tuple)) and ignore != () and column_name(ignore) in names else ignore
    )
    if ignore is None or isinstance(ignore, str) or not isinstance(ignore, Iterable):
        ignore = [] if ignore is None else [ignore]
    ignored = [column_name(name) for name in ignore]
    unknown = [name for name in ignored if name not in names]
    if unknown:
        raise InputError(f"ignore names the column {unknown[0]!r}, but the columns are {_listed(names)}")
    return set(ignored)


def _said(given, observed: np.ndarray, entry: dict) -> str | None:
    """The kind of a column that its cells need not be asked for."""
    if entry.get("kind") is None and given.declared and observed.any():
        return "categorical" if len(set(given.cells[observed])) > 2 else "binary"
    return entry.get("kind", "continuous" if given.form != "number" else None)


def _fit_column(name: str, given, observed: np.ndarray, entry: dict, words, decision, continuous_likelihood) -> Column:
    column = KINDS[decision.kind].fit(name, given.cells, observed)
    column.encode(given.cells, observed)
    found = () if words is None else tuple(sorted(set(given.cells[words])))
    column = replace(column, form=given.form, words=found, why=decision.why, rivals=decision.rivals)
    said = entry.get("likelihood")
    said = column.modelled_by(continuous_likelihood) if said is None else said
    config = registry.to_config(likelihoods.get(said))
    column = replace(column, likelihood=config)
    encoded = column.encode(given.cells, observed)
    likelihoods.get(config).check_data(encoded, [name] * column.width)  # poisson for standardised numbers, say
    return column


def _listed(names: list[str]) -> str:
    return ", ".join(map(repr, names[:20])) + (", ..." if len(names) > 20 else "")
