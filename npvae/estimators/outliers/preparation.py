"""From a table to a run that trains on its support: the hooks that :func:`npvae.estimators.preparation.prepare`
calls.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from npvae import backend as backends
from npvae.data.tables.frames import as_cells
from npvae.data.tables.missing import values_of
from npvae.estimators.inputs import Rows, held_out_rows
from npvae.estimators.outliers.columns import fit_schema
from npvae.estimators.outliers.support import support_rows
from npvae.estimators.tables.rows import TableRows, warn_of_carried
from npvae.imputation import start_from
from npvae.mathematics.model import Architecture, Model
from npvae.support import check

#: Steps of training by default, epochs at most, and rows of the support with which a part of it is held out to stop
#: early by.
STEPS, MOST_EPOCHS, ENOUGH_ROWS = 300, 200, 50
#: In standard units: the encoder sees nothing farther from the mean, so that the z it proposes for an outlier is one of
#: an ordinary row.
FARTHEST = 3.0
#: Epochs without a better bound on the rows held out, before training ends.
PATIENCE = 10


class SupportPreparation:
    """Reads a table and keeps the rows to train on; the methods are those of
    :class:`npvae.estimators.base.Estimator`.
    """

    def __init__(self, estimator) -> None:
        self._estimator = estimator
        self._table: TableRows | None = None
        self.x: np.ndarray | None = None  #: all rows, (N, D) float32
        self.support: np.ndarray | None = None  #: the places of those that are trained on, or held out from it

    @property
    def table(self) -> TableRows:
        """What is known of the table, once its rows were read."""
        assert self._table is not None
        return self._table

    def read_rows(self, X, name: str, n_features: int | None = None) -> Rows:
        """All rows of the table, (N, D)."""
        chosen, also = self._estimator, values_of(self._estimator.missing)
        cells = as_cells(X, name, also)
        schema = fit_schema(cells, chosen.kinds, chosen.ignore)
        warn_of_carried(schema.carried, stacklevel=6)
        self._table = TableRows(schema, also, farthest=FARTHEST)
        x = schema.encode(cells)
        self.x = x.astype(np.float32)
        return Rows(x, (len(schema.names),), self.table.names)

    def held_out_rows(self, x, seed):
        """The support in two parts: to train on, and, unless it is too small, to know when training has to stop."""
        chosen = self._estimator
        model = self._model(backends.get(chosen.backend, chosen.threads))
        self.support = support_rows(
            self.table,
            model,
            x,
            check.real_number("support_fraction", chosen.support_fraction, above=0.0, maximum=1.0),
            seed,
        )
        fraction = chosen.validation_fraction if len(self.support) >= ENOUGH_ROWS else 0.0
        parts = held_out_rows(fraction, len(self.support), seed)
        return (self.support, self.support[:0]) if parts is None else tuple(self.support[part] for part in parts)

    def learn_scale(self, x) -> None:
        """The normal distribution that completes rows for the encoder, and that training starts from."""
        self._table = self.table.fitted(x)

    def scaled(self, x):
        return x.astype(np.float32)

    def choose_model(self, settings, x, x_valid, ops):
        """The model, and the settings for so many rows."""
        if self._estimator.epochs is None:
            settings = replace(
                settings, epochs=min(MOST_EPOCHS, math.ceil(STEPS / math.ceil(len(x) / settings.batch_size)))
            )
        return self._model(ops), settings if x_valid is None else replace(settings, patience=PATIENCE)

    def learn_view(self, model, x) -> TableRows:
        """What puts completed rows beside the rows x."""
        return self.table

    def start(self, model, theta) -> None:
        """Begin at the normal distribution."""
        normal = self.table.normal
        assert normal is not None  # see learn_scale
        start_from(model, theta, normal, self.table.schema.view)

    def _model(self, ops) -> Model:
        chosen, schema = self._estimator, self.table.schema
        return Model(architecture_of(schema, chosen.latent_dim, chosen.hidden), ops)


def architecture_of(schema, latent_dim: int, hidden) -> Architecture:
    """Of a table of this schema."""
    return Architecture(
        schema.width,
        latent_dim,
        hidden,
        activation="tanh",
        likelihood=schema.likelihood(),
        missing=True,
        linear_path=True,
        completed=True,
    )
