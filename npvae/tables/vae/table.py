"""What a VAE keeps of the table that it was fitted to, beside its network; and its part of the model's file."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from npvae import check, io, random
from npvae.batches import batches
from npvae.errors import ModelFileError
from npvae.fields import ListOf, Maybe, Real, Record, Whole
from npvae.tables import rows as table_rows
from npvae.tables.rows import TableRows
from npvae.tables.vae import frame, marginals
from npvae.tables.vae.frame import FrameKind
from npvae.tables.vae.latents import Latents
from npvae.tables.vae.marginals import Marginal

#: Rows that are decoded together.
AT_ONCE = 1000
#: In the header of a file.
DECLARATION = Record({
    "rows": table_rows.DECLARATION, "frame": frame.DECLARATION, "marginals": ListOf(Record({"column": Whole(0), "steps": Whole(0, 1)})),
    "batch_size": Whole(1), "epochs": Whole(1), "tried": ListOf(Record({"latent_dim": Whole(1), "bound": Maybe(Real())})),
})


@dataclass
class FittedTable:
    """rows: its schema and what completes its rows; frame: its kind; tried: validation bounds by size of the latent space. After training,
    latents: where to draw z from; marginals: the columns' own distributions, by their places."""

    rows: TableRows
    frame: FrameKind
    unseen: str = "error"
    batch_size: int = 1  #: and epochs at most: of the training
    epochs: int = 1
    tried: dict[int, float] = field(default_factory=dict)
    latents: Latents | None = field(default=None, repr=False)
    marginals: dict[int, Marginal] = field(default_factory=dict, repr=False)
    recorded: dict[int, np.ndarray] = field(default_factory=dict, repr=False)  #: until it is trained, the values of columns of numbers

    @property
    def schema(self):
        return self.rows.schema

    def read(self, X, dtype, name: str = "X") -> np.ndarray:
        """X in the likelihoods' numbers, (N, D), NaN where something is missing. InputError: it does not fit the fitted table."""
        return self.rows.read(X, self.unseen, name).astype(dtype)

    def learn_to_sample(self, model, theta, x: np.ndarray, seed: int) -> None:
        """From rows of the model x (N, 2 D), trained on, learn where to draw z from and how to move what is drawn."""
        recorded, self.recorded = self.recorded, {}
        self.marginals, self.latents = {}, Latents.fit(model, theta, x, seed)
        if self.latents is None:
            return
        stream = random.Stream(seed, "marginal sample", 0)
        with np.errstate(all="ignore"):
            drawn = model.draw(model.views(theta), self.latents.draw(marginals.DRAWS, seed), stream)
        self.marginals = marginals.fit(self.schema, recorded, drawn)

    def table(self, values: list[np.ndarray]):
        """A table of the kind that was fitted, of the columns' values (N,)."""
        return self.frame.table(self.schema.columns, values)

    def expected_values(self, model, theta, z: np.ndarray) -> list[np.ndarray]:
        """The columns' best guesses (N,) given z (N, Z): numbers as expected in their own units, the likeliest of names."""
        views, ops, parts = model.views(theta), model.ops, []
        for part in batches(len(z), AT_ONCE):
            outputs, _ = model.decode(views, ops.asarray(z[part]))
            expected = model.likelihood.mean(ops, outputs, model.likelihood_parameters(views), curves=self.schema.curves)
            parts.append(ops.to_numpy(expected))
        x = check.finite_result("the result", np.concatenate(parts))
        return [column.guess(x[:, block]) for column, block in zip(self.schema.columns, self.schema.slices, strict=True)]

    def drawn_values(self, x: np.ndarray, seed: int) -> list[np.ndarray]:
        """The columns' values (N,) of draws (N, D)."""
        check.finite_result("the sample", x)
        stream, values = random.Stream(seed, "marginal sample", 1), []
        for i, (column, block) in enumerate(zip(self.schema.columns, self.schema.slices, strict=True)):
            if i in self.marginals:
                values.append(self.marginals[i].of(column, x[:, block.start].astype(np.float64), stream.uniform((len(x),))))
            else:
                values.append(column.decode(x[:, block]))
        return values

    # its part of the model's file

    def describe(self) -> tuple[dict, dict]:
        """``(entry, arrays)``: the entry as ``DECLARATION`` says."""
        entry, arrays = self.rows.described()
        arrays = io.within("table", arrays)
        if self.latents is not None:
            arrays |= io.within("latents", {"mean": self.latents.mean, "logvar": self.latents.logvar})
        for i, marginal in self.marginals.items():
            arrays |= io.within(f"marginal_{i}", marginal.arrays())
        return {
            "rows": entry, "frame": self.frame.config(), "batch_size": self.batch_size, "epochs": self.epochs,
            "marginals": [{"column": i, "steps": int(marginal.steps)} for i, marginal in self.marginals.items()],
            "tried": [{"latent_dim": size, "bound": bound if np.isfinite(bound) else None} for size, bound in self.tried.items()],
        }, arrays

    @classmethod
    def restore(cls, entry: dict, arrays: dict, auto) -> FittedTable:
        """The table that :meth:`describe` described, of an entry that is as declared. ModelFileError: it does not fit together."""
        parts_of_rows = io.taken_out("table", arrays)
        rows, kind = TableRows.restored(entry["rows"], parts_of_rows, auto.missing), FrameKind(**entry["frame"])
        if len(kind.types) != len(rows.schema.columns):
            raise ModelFileError("the types of its columns are not as many as its columns")
        found = {one["column"]: one for one in entry["marginals"]}
        table = cls(
            rows, FrameKind(kind.container, tuple(kind.types)), auto.unseen, entry["batch_size"], entry["epochs"],
            {one["latent_dim"]: -np.inf if one["bound"] is None else one["bound"] for one in entry["tried"]},
        )
        for i, one in found.items():
            parts = io.taken_out(f"marginal_{i}", arrays)
            if sorted(parts) != ["drawn", "probabilities", "values"] or i >= len(rows.schema.columns) or not marginals.is_moved(rows.schema.columns[i]):
                raise ModelFileError(f"the distribution of column {i} is not whole, or of no use to it")
            table.marginals[i] = Marginal.restored(parts, bool(one["steps"]))
        latents = io.taken_out("latents", arrays)
        if latents:
            if sorted(latents) != ["logvar", "mean"]:
                raise ModelFileError("its posteriors are not whole")
            table.latents = Latents(**latents)
        known = {"theta", *io.within("table", parts_of_rows), *io.within("latents", latents)}
        known |= {f"marginal_{i}/{name}" for i in found for name in ("drawn", "values", "probabilities")}
        for name in sorted(set(arrays) - known):
            raise ModelFileError(f"the array {name!r} is of no use to it")
        return table
