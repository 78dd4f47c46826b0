"""From a table to a run that can start: the hooks that :func:`npvae.estimators.preparation.prepare` calls, for a
table.
"""

from __future__ import annotations

import contextlib
import warnings

import numpy as np

from npvae import evaluation
from npvae.errors import InputError, NonFiniteError, PosteriorCollapseWarning
from npvae.estimators.inputs import Rows, held_out_rows
from npvae.estimators.tables.rows import TableRows
from npvae.estimators.tables.vae import choices, marginals
from npvae.estimators.tables.vae.frame import FrameKind
from npvae.estimators.tables.vae.table import FittedTable
from npvae.imputation import start_from
from npvae.mathematics.model import Architecture, Model
from npvae.training import train
from npvae.training.loop import initial_state

#: Of z for each row held out, by which sizes of the latent space are compared.
DRAWS = 20
#: Arguments that a table's own scale and likelihoods leave no use for, with the values that they may have.
NO_USE = {"divide_by": (1.0,), "binarize": ("none",), "output_bias": ("auto", "zero")}


class TablePreparation:
    """Reads a table for training and chooses its model; the methods are those of
    :class:`npvae.estimators.base.Estimator`.
    """

    def __init__(self, estimator, auto) -> None:
        self._estimator, self._auto = estimator, auto
        self._table: FittedTable | None = None
        self._given = {name for name in estimator.get_params(deep=False) if getattr(estimator, name) is not None}
        for name, possible in NO_USE.items():
            if getattr(estimator, name) not in possible:
                raise InputError(
                    f'{name}={getattr(estimator, name)!r} is of no use with likelihood="auto", which scales the '
                    f"columns of a table itself; "
                    "leave it out"
                )

    @property
    def table(self) -> FittedTable:
        """What is known of the table, once its rows were read."""
        assert self._table is not None
        return self._table

    def read_rows(self, X, name: str, n_features: int | None = None) -> Rows:
        """X in the numbers of the likelihoods, NaN where something is missing; of the first table the schema is
        learnt.
        """
        if self._table is None:
            rows = TableRows.fit(X, self._auto.kinds, self._auto.ignore, self._auto.missing)
            self._table = FittedTable(rows, FrameKind.of(X, rows.schema), self._auto.unseen)
            self.table.recorded = marginals.recorded(rows.schema, rows.cells(X))
        rows = self.table.rows
        return Rows(self.table.read(X, np.float64, name), (len(rows.schema.names),), rows.names)

    def held_out_rows(self, x, seed):
        """Rows at the seed's choice, without any by which too little of a column would be observed."""
        fraction = self._estimator.argument("validation_fraction")
        if "validation_fraction" not in self._given:
            if len(x) < choices.TOO_SHORT:
                return None
            fraction = min(fraction, choices.MOST_HELD_OUT / len(x))
        parts = held_out_rows(fraction, len(x), seed)
        return None if parts is None else _with_observed_columns(x, *parts)

    def learn_scale(self, x) -> None:
        """The normal distribution that completes rows for the encoder, and that training starts from."""
        self.table.rows = self.table.rows.fitted(x)

    def scaled(self, x):
        return x.astype(self._estimator.dtype)

    def learn_view(self, model, x) -> TableRows:
        """What puts completed rows beside the rows x."""
        return self.table.rows

    def choose_model(self, settings, x, x_valid, ops):
        """The model of the best size on the rows held out, and the settings that suit the table."""
        settings = choices.settled(settings, len(x), x_valid is not None, self._given)
        self.table.batch_size, self.table.epochs = settings.batch_size, settings.epochs
        if "latent_dim" in self._given:
            return self._model(self._estimator.latent_dim, ops), settings
        sizes = choices.latent_dims(self.table.schema.width)
        if x_valid is None or len(sizes) == 1:
            return self._model(sizes[len(sizes) // 2], ops), settings
        rows = [ops.asarray(self.table.rows.beside(part)) for part in (x, x_valid)]
        short = choices.trial(settings, len(x))
        bounds = {size: self._trial(self._model(size, ops), short, *rows) for size in sizes}
        self.table.tried = {size: float(rows.mean()) for size, rows in bounds.items()}
        return self._model(choices.best_size(bounds), ops), settings

    def start(self, model, theta) -> None:
        """Begin at the normal distribution, where there are linear paths for it."""
        if model.architecture.linear_path:
            normal = self.table.rows.normal
            assert normal is not None  # see learn_scale
            start_from(model, theta, normal, self.table.schema.view)

    def _model(self, latent_dim: int, ops) -> Model:
        chosen, schema = self._estimator, self.table.schema
        return Model(
            Architecture(
                schema.width,
                latent_dim,
                chosen.argument("hidden"),
                chosen.decoder_hidden,
                chosen.argument("activation"),
                schema.likelihood(),
                missing=True,
                linear_path=chosen.argument("linear_path"),
                completed=True,
            ),
            ops,
        )

    def _trial(self, model: Model, settings, x, x_valid) -> np.ndarray:
        """The ELBO of the rows held out, (M,), after a short training; minus infinity where it is not finite."""
        state = initial_state(model, settings, x)
        self.start(model, state.theta)
        with warnings.catch_warnings(), contextlib.suppress(NonFiniteError):
            warnings.simplefilter("ignore", PosteriorCollapseWarning)
            train(model, settings, x, x_valid, state)
        if state.interrupted:
            raise KeyboardInterrupt
        with np.errstate(all="ignore"):
            bounds = evaluation.elbo_rows(model, state.theta, x_valid, settings.seed, DRAWS)
        return np.where(np.isfinite(bounds), bounds, -np.inf)


def _with_observed_columns(x: np.ndarray, training: np.ndarray, held_out: np.ndarray):
    """The two parts of the rows of x (N, D), where every column that is observed in two rows or more is so in two
    rows to train on.
    """
    for column in range(x.shape[1]):
        observed = ~np.isnan(x[:, column])
        lacking = min(2, int(observed.sum())) - int(observed[training].sum())
        if lacking > 0:
            moved = held_out[observed[held_out]][:lacking]
            training, held_out = np.concatenate([training, moved]), held_out[~np.isin(held_out, moved)]
    return (training, held_out) if len(held_out) else None
