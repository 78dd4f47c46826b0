"""The history of a run: a dict of equally long columns, one entry an epoch."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping

from npvae.support.files import write_text_atomically


class History(dict):
    """Columns by name; each is a list with one entry an epoch. ``pandas.DataFrame(history)`` has a row an epoch.

    The columns: epoch; loss (with the KL weighted as in training), elbo (unweighted), bound (the objective's own, where
    it is not the ELBO), error (of the labelled rows, the share taken for another class) and their cross_entropy,
    reconstruction, kl, active_units, kl_per_dimension (a list a row); gradient_norm (mean over the steps, before
    clipping); beta and learning_rate at the epoch's last step; seconds; and the measured ones again on the validation
    data, with the prefix ``val_``, if there are any. Training figures are means over the epoch while the parameters
    change; validation figures are taken at its end. Nats a row.
    """

    def __init__(self, columns: Mapping[str, list] | None = None) -> None:
        super().__init__({name: list(values) for name, values in (columns or {}).items()})

    def append(self, row: Mapping) -> None:
        """Add an epoch. ValueError: the names are not those of the epochs before."""
        if not self:
            self.update((name, []) for name in row)
        if row.keys() != self.keys():
            raise ValueError(f"an epoch's columns {list(row)} differ from {list(self)}")
        for name, value in row.items():
            self[name].append(value)

    def __repr__(self) -> str:
        return f"History({self.epochs} epochs: {', '.join(self)})"

    @property
    def epochs(self) -> int:
        """How many epochs there are."""
        return len(next(iter(self.values()), []))

    def row(self, index: int) -> dict:
        """One epoch, by position; -1 is the last."""
        return {name: values[index] for name, values in self.items()}

    def columns(self, epochs: int | None = None) -> dict[str, list]:
        """A plain dict of the columns, JSON-able; of the first so many epochs."""
        return {name: values[:epochs] for name, values in self.items()}

    def to_dict(self) -> dict[str, list]:
        """The columns, by pandas' name for them."""
        return self.columns()

    def write_csv(self, path) -> None:
        """Write a table: a line an epoch, ``kl_per_dimension`` spread over ``kl_0``, ``kl_1``, ..."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        for index in range(self.epochs):
            flat = self._flat_row(index)
            if index == 0:
                writer.writerow(flat)
            writer.writerow(flat.values())
        write_text_atomically(path, text.getvalue())

    def _flat_row(self, index: int) -> dict:
        flat = {}
        for name, value in self.row(index).items():
            if isinstance(value, list):
                stem = name.removesuffix("_per_dimension")
                flat.update({f"{stem}_{j}": entry for j, entry in enumerate(value)})
            else:
                flat[name] = value
        return flat
