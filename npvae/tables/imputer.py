"""``TableImputer``: a table with missing cells in, completed tables out, and how sure they are."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass, replace

import numpy as np

from npvae import backend as backends
from npvae import check, random
from npvae.errors import TrainingInterrupted
from npvae.model import Model
from npvae.progress import progress_bar
from npvae.sklearn_protocol import WHERE, SklearnProtocol
from npvae.tables import imputer_file
from npvae.tables.imputer_checkpoint import ImputerCheckpoint
from npvae.tables.member import Member, Recipe, Standard, model_of, train_member
from npvae.tables.schema import Cells, Schema, as_cells, numbered
from npvae.training.checkpoint import CheckpointFile, check_resume
from npvae.training.state import INTERRUPTED

#: Widest latent space by default.
MOST_LATENTS = 10
#: Epochs and steps of a member, at most, and looks at the cells held out, by default; epochs of even the longest table.
MOST_EPOCHS, MOST_STEPS, LOOKS, FEWEST_EPOCHS = 400, 40_000, 40, 10


@dataclass(frozen=True)
class TableImputation:
    """A completed table, N rows of C columns; what was observed is in its place, to the bit."""

    filled: np.ndarray  #: (N, C), floats or objects as the table came: best guesses
    draws: list[np.ndarray]  #: M tables like it, drawn from the distribution of what is missing given what is observed
    effective_sample_size: np.ndarray  #: (N,): of how many samples of z a row's answer consists, the least of all members
    columns: list[str]
    is_numeric: list[bool]  #: by column: whether its values are numbers, two of them perhaps, and not names
    observed: np.ndarray  #: (N, C)

    def interval(self, level: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper ends, (N, C) floats, of a cell's central interval of that probability, from M draws in order:

            k = floor((M + 1) (1 - level) / 2)      the k-th from below to the k-th from above

        A further draw lies in it with the probability 1 - 2 k / (M + 1), at least the level; with a higher one where draws
        are equal, as of counts.

        NaN in columns of names; both the value itself where it is observed. InputError: fewer draws than such an interval needs.
        """
        check.real_number("level", level, above=0.0, below=1.0)
        needed = math.ceil(round(2.0 / (1.0 - level), 6)) - 1
        check.whole_number("the number of draws", len(self.draws), needed)
        k = math.floor(round((len(self.draws) + 1) * (1.0 - level) / 2.0, 6))
        ends = np.full((2, *self.observed.shape), np.nan)
        for i in np.flatnonzero(self.is_numeric):
            ordered = np.sort([draw[:, i].astype(float) for draw in self.draws], axis=0)
            ends[:, :, i] = ordered[k - 1], ordered[-k]
        return ends[0], ends[1]


def seed_of_member(seed: int, i: int) -> int:
    """A seed of its own for member number i."""
    return random.seed_for_part(seed, "members", i)


class TableImputer(SklearnProtocol):
    """Fills in tables by variational autoencoders that are trained on what is observed.

    Parameters
    ----------
    kinds : a mapping of columns' names (or numbers, as text) to "continuous", "positive", "counts", "binary" or
        "categorical", or to ``{"kind": ..., "likelihood": ...}``; guessed for the others (columns.py).
    continuous_likelihood : of continuous and positive columns: "gaussian_decoder", "student_t", ...
    latent_dim, hidden : of every member; None: as many latent dimensions as the table has numbers, at most 10.
    members : models that are trained, each with other cells held out, and averaged.
    samples : K of the bound. learning_rate, batch_size, epochs : of training, at most so many epochs; None: 400, of a long
        table as many as make 40,000 steps, at least 10.
    held_out : share of the observed cells that are hidden to know when to stop.
    every, patience : epochs between two looks at them, None: a fortieth of all; and looks without a better one before training
        ends.
    imputation_samples : of z for each row and member, when cells are filled in.
    backend, threads, random_state, verbose : as for VAE.

    Attributes
    ----------
    schema_, members_, seed_, n_features_in_; feature_names_in_, if the table's columns have names.
    interrupted_ : after fit, whether Ctrl-C ended it; there are then fewer members, or a shorter training of the last.

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
        samples=20, learning_rate=1e-3, batch_size=64, epochs=None, held_out=0.1, every=None, patience=6,
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

    def fit(self, X, y=None, *, checkpoint=None, checkpoint_seconds=10.0, resume=False):
        """Learn from a table X (N, C): numbers with NaN, or numbers and text with None. Return self; y is ignored.

        checkpoint, checkpoint_seconds, resume: as of :meth:`npvae.VAE.fit`; one file for all members. Resuming needs a ``random_state``.
        Ctrl-C ends training after the current step: the imputer keeps what there is, and a TrainingInterrupted is raised, which is
        a KeyboardInterrupt. InputError, InputTypeError: an argument or the table is not what it must be; the message names column
        and row.
        """
        members = check.whole_number("members", self.members, 1)
        check_resume(resume)
        table = as_cells(X)
        schema = Schema.fit(table, self.kinds, self.continuous_likelihood)
        recipe = self._recipe(schema, len(table.cells))
        seed = random.seed_from(self.random_state)
        ops = backends.get(self.backend, self.threads)
        x, likelihood = schema.encode(table), schema.likelihood()
        standard = Standard(schema.center, schema.scale)
        with contextlib.ExitStack() as stack:
            keeper, trained, interrupted = None, [], False
            if checkpoint is not None:
                file, model = CheckpointFile.of(checkpoint), model_of(x.shape[1], likelihood, recipe, ops)
                stack.enter_context(file.held())
                keeper = stack.enter_context(ImputerCheckpoint(file, model, x, schema, recipe, seed, checkpoint_seconds))
                if resume and file.path.exists():
                    trained = keeper.members(standard, resume == "anyway")[:members]
                else:
                    keeper.begin()
            progress = stack.enter_context(progress_bar(self.verbose, members * recipe.epochs, "epoch"))
            for i in range(len(trained), members):
                def report(state, i=i):
                    if progress is not None:
                        progress(i * recipe.epochs + state.epoch)

                member, state = train_member(
                    x, likelihood, schema.slices, standard, recipe, ops, seed_of_member(seed, i), report, keeper
                )
                trained.append(member)
                interrupted = state.interrupted
                if keeper is not None and state.stop_reason != INTERRUPTED:
                    keeper.done(member)
                if interrupted:
                    break
        self._keep(schema, trained, seed)
        self.interrupted_ = interrupted
        if interrupted:
            raise TrainingInterrupted(f"training interrupted in model {len(trained)} of {members}", self)
        return self

    def set_params(self, **parameters):
        """Change constructor arguments; ``backend`` and ``threads`` also of the fitted models. InputError on a name there is not."""
        super().set_params(**parameters)
        if hasattr(self, "members_") and not parameters.keys().isdisjoint(WHERE):
            ops = backends.for_use(self.backend, self.threads)
            self.members_ = [replace(each, model=Model(each.model.architecture, ops)) for each in self.members_]
        return self

    def _keep(self, schema: Schema, members: list[Member], seed: int) -> None:
        self.schema_, self.members_, self.seed_ = schema, members, seed
        self.n_features_in_ = len(schema.columns)
        names = [column.name for column in schema.columns]
        self._set_feature_names(None if names == numbered(len(names)) else names)

    def _recipe(self, schema: Schema, rows: int) -> Recipe:
        whole = check.whole_number
        whole("imputation_samples", self.imputation_samples, 1)
        batch_size = whole("batch_size", self.batch_size, 1)
        if self.epochs is None:
            epochs = min(MOST_EPOCHS, max(FEWEST_EPOCHS, MOST_STEPS // math.ceil(rows / batch_size)))
        else:
            epochs = whole("epochs", self.epochs, 1)
        every = max(1, epochs // LOOKS) if self.every is None else whole("every", self.every, 1)
        latent_dim = min(schema.width, MOST_LATENTS) if self.latent_dim is None else whole("latent_dim", self.latent_dim, 1)
        return Recipe(
            latent_dim, self.hidden, whole("samples", self.samples, 1),
            check.real_number("learning_rate", self.learning_rate, above=0.0), batch_size, epochs,
            check.real_number("held_out", self.held_out, above=0.0, maximum=0.5), every, whole("patience", self.patience, 1),
        )

    def transform(self, X) -> np.ndarray:
        """X (N, C) with its missing cells filled in by their best guesses; a new table, of the same kind."""
        return self.impute(X).filled

    def fit_transform(self, X, y=None, **fit_arguments) -> np.ndarray:
        """``fit`` and then ``transform``."""
        return self.fit(X, y, **fit_arguments).transform(X)

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
        count, means, drawn, sizes = len(self.members_), [], [], []
        with progress_bar(self.verbose, count * len(x), "row") as progress:
            for i, member in enumerate(self.members_):
                def report(row, i=i):
                    if progress is not None:
                        progress(i * len(x) + row)

                mine = len(range(i, draws, count))  # members take turns
                found = member.impute(x, seed_of_member(seed, i), self.imputation_samples, mine, report)
                means.append(found.mean)
                drawn.append([] if found.draws is None else list(found.draws))
                sizes.append(found.diagnostics["effective_sample_size"])
        tables = [self._cells(table, drawn[i % count][i // count]) for i in range(draws)]
        filled = self._cells(table, np.mean(means, axis=0, dtype=np.float64))
        numeric = [column.is_numeric or column.is_binary_number for column in self.schema_.columns]
        return TableImputation(filled, tables, np.min(sizes, axis=0), table.names, numeric, table.observed)

    def _cells(self, table: Cells, x: np.ndarray) -> np.ndarray:
        """The table with numbers x (N, D) in the place of what is missing; what is observed stays as it came."""
        names = any(isinstance(value, (str, bool)) for column in self.schema_.columns for value in column.values)
        result = table.cells.astype(object) if names else table.cells.copy()
        for i, (column, block) in enumerate(zip(self.schema_.columns, self.schema_.slices, strict=True)):
            there = table.observed[:, i]
            if there.all():
                continue
            check.finite_result(f"column {column.name!r}", x[~there, block])
            values = column.round(column.decode(x[:, block]))[~there]
            if values.dtype != object:
                check.finite_result(f"column {column.name!r}", values)
            result[~there, i] = values
        return result

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "members_")

    def __sklearn_tags__(self):
        from sklearn.utils import InputTags, Tags, TargetTags, TransformerTags

        return Tags(
            estimator_type=None, target_tags=TargetTags(required=False), transformer_tags=TransformerTags(preserves_dtype=[]),
            input_tags=InputTags(allow_nan=True, string=True, categorical=True),
        )

    def save(self, path) -> None:
        """Write the imputer to one .npz file, without pickle. OSError: it cannot be written."""
        imputer_file.save(self, path)

    @classmethod
    def load(cls, path, *, backend="auto", threads=None) -> TableImputer:
        """The imputer of a file written by ``save``, to run on ``backend`` and so many threads.

        FileNotFoundError, ModelFileError: it cannot be read.
        """
        return imputer_file.load(cls, path, backend, threads)
