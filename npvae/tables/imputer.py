"""``TableImputer``: a table with missing cells in, completed tables out, and how sure they are."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from npvae import backend as backends
from npvae import check, random
from npvae.progress import progress_bar
from npvae.sklearn_protocol import SklearnProtocol
from npvae.tables import imputer_file
from npvae.tables.member import Member, Recipe, Standard, train_member
from npvae.tables.schema import Cells, Schema, as_cells

#: Draws from which the expected value of a column whose logarithm is modelled is taken.
DRAWS_FOR_A_MEAN = 200
#: Widest latent space by default.
MOST_LATENTS = 10


@dataclass(frozen=True)
class TableImputation:
    """A completed table, N rows of C columns; what was observed is in its place, to the bit."""

    filled: np.ndarray  #: (N, C), floats or objects as the table came: best guesses
    draws: list[np.ndarray]  #: M tables like it, drawn from the distribution of what is missing given what is observed
    effective_sample_size: np.ndarray  #: (N,): of how many samples of z a row's answer consists, the least of all members
    columns: list[str]
    observed: np.ndarray  #: (N, C)

    def interval(self, level: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper ends, (N, C) floats, of a cell's central interval of that probability, from the draws.

        NaN in columns of names; both the value itself where it is observed. InputError: fewer draws than such an interval needs.
        """
        check.real_number("level", level, above=0.0, below=1.0)
        needed = math.ceil(round(2.0 / (1.0 - level), 6))
        check.whole_number("the number of draws", len(self.draws), needed)
        ends = np.full((2, *self.observed.shape), np.nan)
        for i in range(len(self.columns)):
            try:
                values = np.stack([draw[:, i].astype(float) for draw in self.draws])
            except ValueError:
                continue  # names
            ends[:, :, i] = np.quantile(values, [0.5 - level / 2, 0.5 + level / 2], axis=0)
        return ends[0], ends[1]


class TableImputer(SklearnProtocol):
    """Fills in tables by variational autoencoders that are trained on what is observed.

    Parameters
    ----------
    kinds : a mapping of columns' names (or numbers, as text) to "continuous", "positive", "counts", "binary" or
        "categorical", or to ``{"kind": ..., "likelihood": ...}``; guessed for the others (columns.py).
    continuous_likelihood : of continuous and positive columns: "gaussian_decoder", "student_t", ...
    latent_dim, hidden : of every member; None: as many latent dimensions as the table has numbers, at most 10.
    members : models that are trained, each with other cells held out, and averaged.
    samples : K of the bound. learning_rate, batch_size, epochs : of training, at most so many epochs.
    held_out : share of the observed cells that are hidden to know when to stop.
    every, patience : epochs between two looks at them, and looks without a better one before training ends.
    imputation_samples : of z for each row and member, when cells are filled in.
    backend, threads, random_state, verbose : as for VAE.

    Attributes
    ----------
    schema_, members_, seed_, n_features_in_, feature_names_in_.

    Examples
    --------
    >>> import numpy as np
    >>> from npvae import TableImputer
    >>> x = np.random.default_rng(0).normal(size=(200, 1)) * np.ones(3)
    >>> x[:100, 2] = np.nan
    >>> filled = TableImputer(members=1, epochs=20, random_state=0).fit_transform(x)
    >>> bool(abs(filled - filled[:, :1]).max() < 0.5)
    True
    """

    def __init__(
        self, kinds=None, *, continuous_likelihood="gaussian_decoder", latent_dim=None, hidden=(128, 128), members=5,
        samples=20, learning_rate=1e-3, batch_size=64, epochs=400, held_out=0.1, every=10, patience=6,
        imputation_samples=2000, backend="auto", threads=None, random_state=None, verbose=False,
    ):
        self.kinds = kinds
        self.continuous_likelihood = continuous_likelihood
        self.latent_dim = latent_dim
        self.hidden = hidden
        self.members = members
        self.samples = samples
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.epochs = epochs
        self.held_out = held_out
        self.every = every
        self.patience = patience
        self.imputation_samples = imputation_samples
        self.backend = backend
        self.threads = threads
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X, y=None):
        """Learn from a table X (N, C): numbers with NaN, or numbers and text with None. Return self; y is ignored.

        InputError, InputTypeError: an argument or the table is not what it must be; the message names column and row.
        """
        members = check.whole_number("members", self.members, 1)
        table = as_cells(X)
        schema = Schema.fit(table, self.kinds, self.continuous_likelihood)
        recipe = self._recipe(schema)
        seed = random.seed_from(self.random_state)
        ops = backends.get(self.backend, self.threads)
        x, likelihood = schema.encode(table), schema.likelihood()
        standard = Standard(schema.center, schema.scale)
        trained = []
        with progress_bar(self.verbose, members * recipe.epochs, "epoch") as progress:
            for i in range(members):
                def report(state, i=i):
                    if progress is not None:
                        progress(i * recipe.epochs + state.epoch)

                trained.append(train_member(x, likelihood, schema.slices, standard, recipe, ops, (seed + i) % 2**63, report))
        self._keep(schema, trained, seed)
        return self

    def _keep(self, schema: Schema, members: list[Member], seed: int) -> None:
        self.schema_, self.members_, self.seed_ = schema, members, seed
        self.n_features_in_ = len(schema.columns)
        self.feature_names_in_ = np.array([column.name for column in schema.columns], dtype=object)

    def _recipe(self, schema: Schema) -> Recipe:
        whole = check.whole_number
        latent_dim = min(schema.width, MOST_LATENTS) if self.latent_dim is None else whole("latent_dim", self.latent_dim, 1)
        return Recipe(
            latent_dim, self.hidden, whole("samples", self.samples, 1),
            check.real_number("learning_rate", self.learning_rate, above=0.0), whole("batch_size", self.batch_size, 1),
            whole("epochs", self.epochs, 1), check.real_number("held_out", self.held_out, above=0.0, maximum=0.5),
            whole("every", self.every, 1), whole("patience", self.patience, 1),
        )

    def transform(self, X) -> np.ndarray:
        """X (N, C) with its missing cells filled in by their best guesses; a new table, of the same kind."""
        return self.impute(X).filled

    def fit_transform(self, X, y=None) -> np.ndarray:
        """``fit`` and then ``transform``."""
        return self.fit(X, y).transform(X)

    def impute(self, X, draws: int = 0, *, random_state=None) -> TableImputation:
        """Fill in X (N, C), which need not be what was fitted: best guesses, and ``draws`` tables drawn.

        NotFittedError. InputError: other columns than the fitted table's, names that it did not have, text among numbers.
        """
        if not hasattr(self, "members_"):
            raise self._not_fitted_error("this TableImputer is not fitted yet: call fit or load first")
        draws = check.whole_number("draws", draws, 0)
        table = as_cells(X)
        self.schema_.check(table)
        x = self.schema_.encode(table)
        seed = self.seed_ if random_state is None else random.seed_from(random_state)
        by_draws = any(column.kind == "positive" for column in self.schema_.columns)
        wanted = max(draws, DRAWS_FOR_A_MEAN) if by_draws else draws
        count, means, drawn, sizes = len(self.members_), [], [], []
        with progress_bar(self.verbose, count * len(x), "row") as progress:
            for i, member in enumerate(self.members_):
                def report(row, i=i):
                    if progress is not None:
                        progress(i * len(x) + row)

                mine = wanted * (i + 1) // count - wanted * i // count
                found = member.impute(x, (seed + i) % 2**63, self.imputation_samples, mine, report)
                means.append(found.mean)
                drawn += [] if found.draws is None else list(found.draws)
                sizes.append(found.diagnostics["effective_sample_size"])
        # Members take turns, so that the first draws are of all of them.
        drawn = [drawn[j] for j in np.argsort([j % max(1, -(-wanted // count)) for j in range(len(drawn))], kind="stable")]
        filled = self._cells(table, np.mean(means, axis=0), drawn)
        tables = [self._cells(table, draw) for draw in drawn[:draws]]
        return TableImputation(filled, tables, np.min(sizes, axis=0), table.names, table.observed)

    def _cells(self, table: Cells, x: np.ndarray, draws=()) -> np.ndarray:
        """The table with numbers x (N, D) in the place of what is missing; what is observed stays as it came."""
        result = table.cells.copy()
        for i, (column, block) in enumerate(zip(self.schema_.columns, self.schema_.slices, strict=True)):
            there = table.observed[:, i]
            if there.all():
                continue
            if column.kind == "positive" and len(draws):
                values = np.mean([column.decode(draw[:, block]) for draw in draws], axis=0)
            else:
                values = column.decode(x[:, block])
            result[~there, i] = column.round(values)[~there]
        return result

    def save(self, path) -> None:
        """Write the imputer to one .npz file, without pickle. OSError: it cannot be written."""
        imputer_file.save(self, path)

    @classmethod
    def load(cls, path, *, backend="auto") -> TableImputer:
        """The imputer of a file written by ``save``. FileNotFoundError, ModelFileError: it cannot be read."""
        return imputer_file.load(cls, path, backend)
