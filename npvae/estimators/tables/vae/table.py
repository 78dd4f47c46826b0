"""What a VAE keeps of the table that it was fitted to, beside its network; and its part of the model's file."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from npvae.data.tables.kinds.base import LevelsColumn
from npvae.errors import ModelFileError
from npvae.estimators.tables import rows as table_rows
from npvae.estimators.tables.rows import TableRows
from npvae.estimators.tables.vae import combinations, frame, marginals, nearness
from npvae.estimators.tables.vae.combinations import Combinations
from npvae.estimators.tables.vae.frame import FrameKind
from npvae.estimators.tables.vae.given import Exchange
from npvae.estimators.tables.vae.latents import Latents
from npvae.estimators.tables.vae.marginals import Marginal
from npvae.mathematics import random
from npvae.support import check, npz_file
from npvae.support.batches import batches
from npvae.support.fields import ListOf, Maybe, Real, Record, Whole

#: Rows that are decoded together.
AT_ONCE = 1000
#: In the header of a file.
DECLARATION = Record(
    {
        "rows": table_rows.DECLARATION,
        "frame": frame.DECLARATION,
        "marginals": ListOf(Record({"column": Whole(0), "steps": Whole(0, 1)})),
        "combinations": ListOf(ListOf(Whole(0), 2)),
        "exchanged": Real(minimum=0.0, maximum=1.0),
        "batch_size": Whole(1),
        "epochs": Whole(1),
        "tried": ListOf(Record({"latent_dim": Whole(1), "bound": Maybe(Real())})),
    }
)


@dataclass
class FittedTable:
    """rows: its schema and what completes its rows; frame: its kind; tried: validation bounds by size of the latent
    space. After training, latents: where to draw z from; marginals: the columns' own distributions, by their places;
    combinations: of columns whose values recur together."""

    rows: TableRows
    frame: FrameKind
    unseen: str = "error"
    batch_size: int = 1  #: and epochs at most: of the training
    epochs: int = 1
    tried: dict[int, float] = field(default_factory=dict)
    latents: Latents | None = field(default=None, repr=False)
    marginals: dict[int, Marginal] = field(default_factory=dict, repr=False)
    combinations: list[Combinations] = field(default_factory=list, repr=False)
    exchanged: float = 1.0  #: share of the rows of which these columns are exchanged
    recorded: dict[int, np.ndarray] = field(
        default_factory=dict, repr=False
    )  #: until it is trained, the values of columns of numbers

    @property
    def schema(self):
        return self.rows.schema

    def read(self, X, dtype, name: str = "X") -> np.ndarray:
        """X in the likelihoods' numbers, (N, D), NaN where something is missing. InputError: it does not fit the
        fitted table.
        """
        return self.rows.read(X, self.unseen, name).astype(dtype)

    def learn_to_sample(self, model, theta, x: np.ndarray, seed: int) -> None:
        """From rows of the model x (N, 2 D), trained on, learn where to draw z from and how to move what is drawn."""
        recorded, self.recorded = self.recorded, {}
        self.marginals, self.combinations, self.latents = {}, [], Latents.fit(model, theta, x, seed)
        if self.latents is None:
            return
        stream = random.Stream(seed, "marginal sample", 0)
        with np.errstate(all="ignore"):
            drawn = model.draw(model.views(theta), self.latents.draw(marginals.DRAWS, seed), stream)
        self.marginals = marginals.fit(self.schema, recorded, drawn)
        self._learn_combinations(x, recorded, drawn[: combinations.DRAWS], seed)

    def _learn_combinations(self, x: np.ndarray, recorded: dict[int, np.ndarray], drawn: np.ndarray, seed: int) -> None:
        """Of rows of the model x (N, 2 D), recorded values of columns of numbers, and draws (M, D) of the model."""
        width, columns, places = self.schema.width, self.schema.columns, range(len(self.schema.columns))
        if not np.isfinite(drawn).all():
            return
        if len(x) > combinations.MOST_ROWS:
            x = x[random.permutation(seed, "marginal sample", 7, len(x))[: combinations.MOST_ROWS]]
        own = self._recorded_numbers(x[:, :width].astype(np.float64), recorded)
        moved = self._values_alone(drawn, random.Stream(seed, "marginal sample", 1))
        blocks = combinations.blocks(own, [i for i in places if self._recurs(i)], seed)
        for power in combinations.POWERS if blocks else ():
            self.combinations, self.exchanged = [], 1.0
            for block in blocks:
                there = own[:, block][~np.isnan(own[:, block]).any(axis=1)]
                pairs = [combinations.values_of(columns[i], moved[i]) for i in block]
                found = Combinations.fit(self.schema, block, there, np.stack(pairs, axis=1), power)
                self.combinations += [] if found is None else [found]
            left = self._seen(moved, x.dtype)
            exchanged = self._seen(self.drawn_values(drawn, seed), x.dtype)
            self.exchanged = nearness.share_to_exchange(left, exchanged, x[:, width:])
            if self.exchanged == 1.0:
                break

    def _seen(self, values: list[np.ndarray], dtype) -> np.ndarray:
        """The columns' values (N,) as the encoder sees them, (N, D)."""
        parts = [
            column.encode(own, np.ones(len(own), bool)) for column, own in zip(self.schema.columns, values, strict=True)
        ]
        return self.rows.beside(np.concatenate(parts, axis=1).astype(dtype))[:, self.schema.width :]

    def _recurs(self, i: int) -> bool:
        """Whether a column has a few values again and again."""
        return self.marginals[i].steps if i in self.marginals else isinstance(self.schema.columns[i], LevelsColumn)

    def _recorded_numbers(self, x: np.ndarray, recorded: dict[int, np.ndarray]) -> np.ndarray:
        """Rows x (N, D), NaN where something is missing, in the numbers of combinations, (N, columns): the recorded
        ones, to the last digit.
        """
        found = np.full((len(x), len(self.schema.columns)), np.nan)
        for i, (column, block) in enumerate(zip(self.schema.columns, self.schema.slices, strict=True)):
            there = ~np.isnan(x[:, block]).any(axis=1)
            own = combinations.values_of(column, column.decode(x[there, block]))
            if i in recorded and len(recorded[i]):
                values = np.unique(recorded[i])
                own = values[np.searchsorted(0.5 * (values[1:] + values[:-1]), own)]
            found[there, i] = own
        return found

    def table(self, values: list[np.ndarray]):
        """A table of the kind that was fitted, of the columns' values (N,)."""
        return self.frame.table(self.schema.columns, values)

    def expected_values(self, model, theta, z: np.ndarray) -> list[np.ndarray]:
        """The columns' best guesses (N,) given z (N, Z): numbers as expected in their own units, the likeliest of
        names.
        """
        views, ops, parts = model.views(theta), model.ops, []
        for part in batches(len(z), AT_ONCE):
            outputs, _ = model.decode(views, ops.asarray(z[part]))
            expected = model.likelihood.mean(
                ops, outputs, model.likelihood_parameters(views), curves=self.schema.curves
            )
            parts.append(ops.to_numpy(expected))
        x = check.finite_result("the result", np.concatenate(parts))
        return [
            column.guess(x[:, block]) for column, block in zip(self.schema.columns, self.schema.slices, strict=True)
        ]

    def drawn_values(
        self, x: np.ndarray, seed: int, given: dict | None = None, exchange: Exchange | None = None
    ) -> list[np.ndarray]:
        """The columns' values (N,) of draws (N, D); given: values (1,) by places of columns, and what goes with
        them.
        """
        check.finite_result("the sample", x)
        columns, exchange, n = self.schema.columns, exchange or Exchange(), len(x)
        values, numbers = (
            self._values_alone(x, random.Stream(seed, "marginal sample", 1)),
            self.given_numbers(given or {}),
        )
        stream = random.Stream(seed, "marginal sample", 2)
        is_exchanged = stream.uniform((n,)) < self.exchanged if exchange.is_exchanged is None else exchange.is_exchanged
        for k, block in enumerate(self.combinations):
            u, which = stream.uniform((n,)), block.agreeing(numbers)
            own = np.stack([combinations.values_of(columns[i], values[i]) for i in block.columns], axis=1)
            if which.any():
                own = np.where(is_exchanged[:, None], block.of(exchange.drawn.get(k, own), u, which), own)
            for j, i in enumerate(block.columns):
                values[i] = combinations.decoded(columns[i], own[:, j])
        return values

    def blocks_given(self, given: dict[int, np.ndarray]) -> dict[int, np.ndarray]:
        """By places among the blocks of columns, of those that hold given ones, which combinations agree with them,
        (C,).
        """
        numbers = self.given_numbers(given)
        return {
            k: block.agreeing(numbers)
            for k, block in enumerate(self.combinations)
            if numbers.keys() & set(block.columns)
        }

    def given_numbers(self, given: dict[int, np.ndarray]) -> dict[int, float]:
        """Given values (1,) in the numbers of combinations."""
        return {i: float(combinations.values_of(self.schema.columns[i], value)[0]) for i, value in given.items()}

    def block_numbers(self, x: np.ndarray, k: int, stream) -> np.ndarray:
        """Of draws (N, D), the columns of a block, each moved by itself, (N, columns)."""
        values = self._values_alone(x, stream)
        return np.stack(
            [combinations.values_of(self.schema.columns[i], values[i]) for i in self.combinations[k].columns], axis=1
        )

    def given_values(self, row: np.ndarray) -> dict[int, np.ndarray]:
        """By the places of columns the values (1,) that a row (1, D) has."""
        pairs = enumerate(zip(self.schema.columns, self.schema.slices, strict=True))
        return {i: column.decode(row[:, block]) for i, (column, block) in pairs if not np.isnan(row[:, block]).any()}

    def _values_alone(self, x: np.ndarray, stream) -> list[np.ndarray]:
        """The columns' values (N,) of draws (N, D), each moved by itself."""
        values = []
        for i, (column, block) in enumerate(zip(self.schema.columns, self.schema.slices, strict=True)):
            if i in self.marginals:
                values.append(
                    self.marginals[i].of(column, x[:, block.start].astype(np.float64), stream.uniform((len(x),)))
                )
            else:
                values.append(column.decode(x[:, block]))
        return values

    # its part of the model's file

    def describe(self) -> tuple[dict, dict]:
        """``(entry, arrays)``: the entry as ``DECLARATION`` says."""
        entry, arrays = self.rows.described()
        arrays = npz_file.within("table", arrays)
        if self.latents is not None:
            arrays |= npz_file.within("latents", {"mean": self.latents.mean, "logvar": self.latents.logvar})
        for i, marginal in self.marginals.items():
            arrays |= npz_file.within(f"marginal_{i}", marginal.arrays())
        for i, block in enumerate(self.combinations):
            arrays |= npz_file.within(f"combinations_{i}", block.arrays())
        return {
            "rows": entry,
            "frame": self.frame.config(),
            "batch_size": self.batch_size,
            "epochs": self.epochs,
            "marginals": [{"column": i, "steps": int(marginal.steps)} for i, marginal in self.marginals.items()],
            "combinations": [list(block.columns) for block in self.combinations],
            "exchanged": self.exchanged,
            "tried": [
                {"latent_dim": size, "bound": bound if np.isfinite(bound) else None}
                for size, bound in self.tried.items()
            ],
        }, arrays

    @classmethod
    def restore(cls, entry: dict, arrays: dict, auto) -> FittedTable:
        """The table that :meth:`describe` described, of an entry that is as declared. ModelFileError: it does not
        fit together.
        """
        parts_of_rows = npz_file.taken_out("table", arrays)
        rows, kind = TableRows.restored(entry["rows"], parts_of_rows, auto.missing), FrameKind(**entry["frame"])
        if len(kind.types) != len(rows.schema.columns):
            raise ModelFileError("the types of its columns are not as many as its columns")
        found = {one["column"]: one for one in entry["marginals"]}
        table = cls(
            rows,
            FrameKind(kind.container, tuple(kind.types)),
            auto.unseen,
            entry["batch_size"],
            entry["epochs"],
            {one["latent_dim"]: -np.inf if one["bound"] is None else one["bound"] for one in entry["tried"]},
        )
        for i, one in found.items():
            parts = npz_file.taken_out(f"marginal_{i}", arrays)
            if (
                sorted(parts) != ["drawn", "probabilities", "values"]
                or i >= len(rows.schema.columns)
                or not marginals.is_moved(rows.schema.columns[i])
            ):
                raise ModelFileError(f"the distribution of column {i} is not whole, or of no use to it")
            table.marginals[i] = Marginal.restored(parts, bool(one["steps"]))
        table.exchanged = entry["exchanged"]
        for i, columns in enumerate(entry["combinations"]):
            parts = npz_file.taken_out(f"combinations_{i}", arrays)
            if (
                sorted(parts) != ["log_weights", "scale", "values"]
                or max(columns) >= len(rows.schema.columns)
                or len(set(columns)) != len(columns)
            ):
                raise ModelFileError("the combinations of columns are not whole, or of other columns than there are")
            table.combinations.append(Combinations.restored(parts, columns, rows.schema))
        latents = npz_file.taken_out("latents", arrays)
        if latents:
            if sorted(latents) != ["logvar", "mean"]:
                raise ModelFileError("its posteriors are not whole")
            table.latents = Latents(**latents)
        known = {"theta", *npz_file.within("table", parts_of_rows), *npz_file.within("latents", latents)}
        known |= {f"marginal_{i}/{name}" for i in found for name in ("drawn", "values", "probabilities")}
        known |= {
            f"combinations_{i}/{name}"
            for i in range(len(table.combinations))
            for name in ("values", "scale", "log_weights")
        }
        for name in sorted(set(arrays) - known):
            raise ModelFileError(f"the array {name!r} is of no use to it")
        return table
