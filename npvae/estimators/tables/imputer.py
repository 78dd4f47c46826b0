"""``TableImputer``: a table with missing cells in, completed tables out, and how sure they are."""

from __future__ import annotations

import contextlib
import math
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from npvae import backend as backends
from npvae.data.tables import times
from npvae.data.tables.cells import in_numpy
from npvae.data.tables.frames import OUTPUTS, as_cells, column_name, in_container
from npvae.data.tables.missing import values_of
from npvae.data.tables.schema import UNSEEN, Schema
from npvae.errors import FewSamplesWarning, InputError, InputTypeError, TrainingInterrupted
from npvae.estimators.sklearn_protocol import WHERE, SklearnProtocol
from npvae.estimators.tables import calibration, imputer_file
from npvae.estimators.tables.budget import SHARE_OF_TRAINING, Budget, is_good_enough, relative_error
from npvae.estimators.tables.completed import TableImputation
from npvae.estimators.tables.imputer_checkpoint import ImputerCheckpoint
from npvae.estimators.tables.member import Member, Recipe, hide, model_of, train_member
from npvae.estimators.tables.rows import warn_of_carried
from npvae.mathematics import random
from npvae.mathematics.model import Model
from npvae.support import check
from npvae.support.progress import Stages
from npvae.training.checkpoint import CheckpointFile, check_resume
from npvae.training.state import INTERRUPTED, OUT_OF_TIME

#: Widest latent space by default.
MOST_LATENTS = 10
#: Effective samples of z of rows with given columns, below which a word is said.
FEW_EFFECTIVE = 50
#: Epochs and steps of a member, at most, and looks at the cells held out, by default; epochs of even the longest table.
MOST_EPOCHS, MOST_STEPS, LOOKS, FEWEST_EPOCHS = 400, 40_000, 40, 10


def seed_of_member(seed: int, i: int) -> int:
    """A seed of its own for member number i."""
    return random.seed_for_part(seed, "members", i)


class TableImputer(SklearnProtocol):
    """Fills in tables by variational autoencoders that are trained on what is observed.

    A table is a frame (pandas, polars, pyarrow), a mapping of columns, a list of records, an array or a list of rows;
    it comes back as what it was, with its names, index and types, and with its gaps alone changed (frames.py).
    ``set_output`` overrides the kind.

    Missing are None, NaN, NaT, pandas.NA and null. A text never is, unless ``missing`` says so: "NA" and "" are values.

    Parameters
    ----------
    kinds : a mapping of columns' names (or numbers, as text) to "continuous", "positive", "counts", "bounded",
        "shaped", "ordinal", "binary" or "categorical", or to ``{"kind": ..., "likelihood": ...}``; by evidence for the
        others (kinds/). ``schema_.columns`` say why.
    ignore : names of columns that are not modelled but carried as they are, one or a list. Empty and constant columns,
        identifiers, names and free text always are, unless ``kinds`` names them (carried.py); a CarriedColumnsWarning
        says which, and why.
    missing : values that are missing, too, one or a list: ``("NA", "?", -999)``.
    unseen : "error", or "missing": what to do in ``transform`` with categories that the fitted table had not: refuse
        them by name, or leave them as they are and do without them.
    continuous_likelihood : of continuous, positive and shaped columns: "gaussian_decoder", "student_t", ...
    latent_dim, hidden : of every member; None: as many latent dimensions as the table has numbers, at most 10.
    members : models that are trained, each with other cells held out, and averaged.
    samples : K of the bound. learning_rate, batch_size, epochs : of training, at most so many epochs; None: 400, of a
        long table as many as make 40,000 steps, at least 10.
    held_out : share of the observed cells that are hidden to know when to stop.
    every, patience : epochs between two looks at them, None: a fortieth of all; and looks without a better one before
        training ends.
    imputation_samples : of z for each row and member, when cells are filled in, at most.
    time : seconds that ``fit_transform`` may take in all, or None. A first answer is that of a normal distribution,
        fitted by as many steps as there is time for: without any, means and frequencies. Then members are trained as
        long as there is time, and the best so far is the answer. What fits into the time depends on the machine and on
        what else it does: such a run is not repeatable bit by bit.
    backend, threads, random_state, verbose : as for VAE.

    Attributes
    ----------
    schema_, members_, seed_, n_features_in_; feature_names_in_, if the table's columns have names.
    calibration_ : by column, to which levels of draws those of intervals become (calibration.py); None after Ctrl-C: to
        the same.
    carried_ : of the columns that are not modelled, the reason, by name.
    interrupted_ : after fit, whether Ctrl-C ended it; there are then fewer members, or a shorter training of the last.
    out_of_time_ : whether ``time`` ended training: with more of it the answer may be better, and in another run it may
        be another.

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
        self,
        kinds: Mapping[Any, Any] | None = None,
        *,
        ignore: Iterable[Any] = (),
        missing: Any = (),
        unseen: str = "error",
        continuous_likelihood: str | Mapping[str, Any] = "gaussian_decoder",
        latent_dim: int | None = None,
        hidden: int | Sequence[int] | None = (128, 128),
        members: int = 5,
        samples: int = 5,
        learning_rate: float | None = 2e-3,
        batch_size: int | None = 64,
        epochs: int | None = None,
        held_out: float = 0.1,
        every: int | None = None,
        patience: int | None = 6,
        imputation_samples: int = 2000,
        time: float | None = None,
        backend: Any = "auto",
        threads: int | None = None,
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.kinds = kinds
        self.ignore = ignore
        self.missing = missing
        self.unseen = unseen
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
        self.time = time
        self.backend = backend
        self.threads = threads
        self.random_state = random_state
        self.verbose = verbose

    def fit(
        self,
        X: ArrayLike | Mapping[str, Any],
        y: ArrayLike | None = None,
        *,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_seconds: float = 10.0,
        resume: bool | str = False,
    ) -> TableImputer:
        """Learn from a table X of N rows and C columns. Return self; y is ignored.

        checkpoint, checkpoint_seconds, resume: as of :meth:`npvae.VAE.fit`; one file for all members. Resuming needs a
        ``random_state``. Ctrl-C ends training after the current step: the imputer keeps what there is, and a
        TrainingInterrupted is raised, which is a KeyboardInterrupt. InputError, InputTypeError: an argument or the
        table is not what it must be; the message names column and row.
        """
        members, budget = check.whole_number("members", self.members, 1), Budget(self._time())
        check_resume(resume)
        check.one_of("unseen", self.unseen, UNSEEN)
        table = as_cells(X, also=values_of(self.missing))
        schema = Schema.fit(
            table,
            self.kinds,
            self.continuous_likelihood,
            self.ignore,
            enough=budget.evidence_is_over if budget.is_limited else None,
        )
        recipe = self._recipe(schema, table.rows)
        warn_of_carried(schema.carried)
        seed = random.seed_from(self.random_state)
        ops = backends.get(self.backend, self.threads)
        x, likelihood = schema.encode(table), schema.likelihood()
        standard = schema.view
        with contextlib.ExitStack() as stack:
            keeper, trained, interrupted = None, [], False
            if checkpoint is not None:
                file, model = CheckpointFile.of(checkpoint), model_of(x.shape[1], likelihood, recipe, ops)
                stack.enter_context(file.held())
                keeper = stack.enter_context(
                    ImputerCheckpoint(file, model, x, schema, recipe, seed, checkpoint_seconds)
                )
                if resume and file.path.exists():
                    trained = keeper.members(standard, resume == "anyway")[:members]
                else:
                    keeper.begin()
            stages, late, took = (
                stack.enter_context(Stages(self.verbose, budget.left if budget.is_limited else None)),
                False,
                0.0,
            )
            for i in range(len(trained), members):
                if late := late or bool(trained) and not budget.begins_another(took):
                    break
                left = budget.left_for_training()
                name = f"member {i + 1} of {members}"
                stages.begin(f"{name}: start, a normal distribution of {len(x)} rows of {x.shape[1]} numbers")
                begun = False

                def report(state, name=name, i=i):
                    nonlocal begun
                    if not begun:
                        stages.begin(name, recipe.epochs, "epoch", (members - 1 - i) * recipe.epochs, state.epoch)
                    begun = True
                    stages.report(state.epoch)

                member, state = train_member(
                    x,
                    likelihood,
                    schema.slices,
                    standard,
                    recipe,
                    ops,
                    seed_of_member(seed, i),
                    report,
                    keeper,
                    trained[0] if trained else None,
                    budget.training_is_over if budget.is_limited else None,
                )
                late = state.stop_reason == OUT_OF_TIME
                if not late or is_good_enough(member, trained):
                    trained.append(member)
                interrupted = state.interrupted
                if keeper is not None and state.stop_reason not in (INTERRUPTED, OUT_OF_TIME):
                    keeper.done(member)
                if interrupted:
                    break
                took = left - budget.left_for_training() if budget.is_limited else 0.0
            self.calibration_ = None
            if not interrupted:
                seeds = [seed_of_member(seed, i) for i in range(len(trained))]
                stages.begin("intervals of cells held out")

                def hidden(i):
                    return hide(x, schema.slices, recipe.held_out, seeds[i])

                most = self._rows_to_calibrate(x, trained[0], len(trained), budget) if budget.is_limited else None
                self.calibration_ = calibration.calibrate(x, schema, trained, hidden, seeds, most)
        self.out_of_time_ = late
        self._keep(schema, trained, seed)
        self.interrupted_ = interrupted
        if interrupted:
            raise TrainingInterrupted(f"training interrupted in model {len(trained)} of {members}", self)
        return self

    def set_params(self, **parameters):
        """Change constructor arguments; ``backend`` and ``threads`` also of the fitted models. InputError on a name
        there is not.
        """
        super().set_params(**parameters)
        if hasattr(self, "members_") and not parameters.keys().isdisjoint(WHERE):
            ops = backends.for_use(self.backend, self.threads)
            self.members_ = [replace(each, model=Model(each.model.architecture, ops)) for each in self.members_]
        return self

    def set_output(self, *, transform: str | None = None) -> TableImputer:
        """In what form ``transform``, ``fit_transform`` and ``impute`` give tables back: "default", what came;
        "pandas"; "polars"; None: as before. Return self."""
        if transform is not None:
            self._sklearn_output_config = {"transform": check.one_of("output", transform, OUTPUTS)}
        return self

    def get_feature_names_out(self, input_features=None) -> np.ndarray:
        """The columns' names, (C,) objects: those of the fitted table, or x0, x1, ..., or ``input_features``, where it
        had none.

        InputError: input_features are others than the fitted table's, or not as many.
        """
        self._check_fitted()
        fitted = getattr(self, "feature_names_in_", None)
        if input_features is None:
            return np.array([f"x{i}" for i in range(self.n_features_in_)], object) if fitted is None else fitted.copy()
        given = np.array(list(input_features), object)
        if fitted is not None and given.tolist() != fitted.tolist():
            raise InputError("input_features is not equal to feature_names_in_")
        if len(given) != self.n_features_in_:
            raise InputError(
                f"input_features should have length equal to number of features ({self.n_features_in_}), got "
                f"{len(given)}"
            )
        return given

    def _keep(self, schema: Schema, members: list[Member], seed: int) -> None:
        self.schema_, self.members_, self.seed_, self.carried_ = schema, members, seed, dict(schema.carried)
        self.n_features_in_ = len(schema.names)
        self._set_feature_names(schema.names if schema.named else None)

    def _check_fitted(self) -> None:
        if not hasattr(self, "members_"):
            raise self._not_fitted_error("this TableImputer is not fitted yet: call fit or load first")

    def _time(self) -> float | None:
        return None if self.time is None else check.real_number("time", self.time, above=0.0)

    def _recipe(self, schema: Schema, rows: int) -> Recipe:
        whole = check.whole_number
        whole("imputation_samples", self.imputation_samples, 1)
        batch_size = whole("batch_size", self.batch_size, 1)
        if self.epochs is None:
            epochs = min(MOST_EPOCHS, max(FEWEST_EPOCHS, MOST_STEPS // math.ceil(rows / batch_size)))
        else:
            epochs = whole("epochs", self.epochs, 1)
        every = max(1, epochs // LOOKS) if self.every is None else whole("every", self.every, 1)
        latent_dim = (
            min(schema.width, MOST_LATENTS) if self.latent_dim is None else whole("latent_dim", self.latent_dim, 1)
        )
        return Recipe(
            latent_dim,
            self.hidden,
            whole("samples", self.samples, 1),
            check.real_number("learning_rate", self.learning_rate, above=0.0),
            batch_size,
            epochs,
            check.real_number("held_out", self.held_out, above=0.0, maximum=0.5),
            every,
            whole("patience", self.patience, 1),
        )

    def transform(self, X: ArrayLike | Mapping[str, Any]) -> Any:
        """X with its missing cells filled in by their best guesses: a new table, of the same kind or of that of
        ``set_output``.
        """
        return self.impute(X).filled

    def fit_transform(self, X: ArrayLike | Mapping[str, Any], y: ArrayLike | None = None, **fit_arguments: Any) -> Any:
        """``fit`` and then ``transform``."""
        return self.fit(X, y, **fit_arguments).transform(X)

    def impute(self, X: ArrayLike | Mapping[str, Any], draws: int = 0, *, random_state: Any = None) -> TableImputation:
        """Fill in X, which need not be what was fitted: best guesses, and ``draws`` tables drawn. Where both have
        names, columns are found by them, in any order.

        NotFittedError. InputError: other columns than the fitted table's, names that it did not have, text among
        numbers.
        """
        self._check_fitted()
        draws = check.whole_number("draws", draws, 0)
        check.one_of("unseen", self.unseen, UNSEEN)
        table = as_cells(X, also=values_of(self.missing))
        places = self.schema_.places(table)
        x = self.schema_.encode(table, self.unseen)
        seed = self.seed_ if random_state is None else random.seed_from(random_state)
        means, drawn, sizes = [], [], []
        limit = self._time()
        budget = Budget(None if limit is None else (1.0 - SHARE_OF_TRAINING) * limit)
        members, samples = self._chosen(x, budget)
        count = len(members)
        with Stages(self.verbose, budget.left if budget.is_limited else None) as stages:
            for i, member in enumerate(members):
                stages.begin(f"filling in, member {i + 1} of {count}", len(x), "row", (count - 1 - i) * len(x))
                mine = len(range(i, draws, count))  # members take turns
                found = member.impute(
                    x, seed_of_member(seed, i), samples, mine, stages.report, self.schema_.curves, count
                )
                means.append(found.mean)
                drawn.append([] if found.draws is None else list(found.draws))
                sizes.append(found.diagnostics["effective_sample_size"])
        levels = {} if self.calibration_ is None else dict(zip(places, self.calibration_, strict=True))
        tables = [self._table(X, table, places, drawn[i % count][i // count]) for i in range(draws)]
        filled = self._table(X, table, places, np.asarray(np.mean(means, axis=0, dtype=np.float64)), best=True)
        numeric, modelled = [False] * len(table.names), np.zeros(len(table.names), bool)
        for column, place in zip(self.schema_.columns, places, strict=True):
            numeric[place], modelled[place] = column.is_numeric, True
        observed = table.observed
        return TableImputation(
            filled, tables, np.min(sizes, axis=0), table.names, numeric, observed, ~observed & modelled, levels
        )

    def sample(self, n: int = 1, *, given: Mapping[str, Any] | None = None, random_state: Any = None) -> Any:
        """``n`` synthetic rows: of each, a member in turn draws z from the prior, and the row given z. Columns are in
        the table's units, with its names, categories and ranges, and without gaps; those that are carried are left out.

        A mapping of columns to arrays, of a table without names an array; a frame, if ``set_output`` says so. given:
        values of some columns by name, ``{"region": "North"}``, which all rows then have. The members are trained to
        fill in gaps: rows that resemble the table's more are drawn by ``VAE(likelihood="auto")``, from where its rows
        are encoded (tables/vae/).

        NotFittedError. InputError: columns or values that the table has not. FewSamplesWarning: rows with the given
        values are rare.
        """
        self._check_fitted()
        n, schema = check.whole_number("n", n, 1), self.schema_
        seed = self.seed_ if random_state is None else random.seed_from(random_state)
        row, members = None if given is None else self._given(given), self.members_[:n]
        x, effective = np.empty((n, schema.width)), 0.0
        for i, member in enumerate(members):
            mine = x[i :: len(members)]
            mine[:], size = member.sample(len(mine), seed_of_member(seed, i), row, self.imputation_samples)
            effective += size
        if effective < FEW_EFFECTIVE:
            warnings.warn(
                f"the rows rest on {effective:.0f} effective samples: rows with the given values are rare, and these "
                f"are alike",
                FewSamplesWarning,
                stacklevel=2,
            )
        if row is not None:
            x = np.where(np.isnan(row), x, row)  # as it was given, without rounding
        check.finite_result("the sample", x)
        columns = {
            column.name: in_numpy(column, column.decode(x[:, block]))
            for column, block in zip(schema.columns, schema.slices, strict=True)
        }
        if self._transform_output() == "default" and not schema.named:
            numbers = all(values.dtype.kind in "iufb" for values in columns.values())
            return np.stack([values.astype(np.float64 if numbers else object) for values in columns.values()], axis=1)
        names = dict(zip(schema.names, self.get_feature_names_out().tolist(), strict=True))
        return in_container(
            {names[name]: values for name, values in columns.items()}, self._transform_output(), [], None
        )

    def _given(self, given) -> np.ndarray:
        """The given values as a row (1, D) with NaN. InputError, InputTypeError: that are none of the columns'."""
        if not isinstance(given, Mapping):
            raise InputTypeError(f"given must be a mapping of columns' names to values, got {given!r}")
        found, known = (
            {column_name(name): value for name, value in given.items()},
            {column.name: column for column in self.schema_.columns},
        )
        for name, value in found.items():
            if name not in known:
                why = (
                    f": it is carried ({self.carried_[name]}), so that the model knows nothing of it"
                    if name in self.carried_
                    else ""
                )
                raise InputError(
                    f"given names the column {name!r}, but the model's columns are "
                    f"{', '.join(map(repr, [*known][:20]))}{why}"
                )
            cells = as_cells({name: [value]}).columns[0]
            values = known[name].values
            if len(values) and not cells.missing[0] and known[name].unseen(cells.cells, ~cells.missing)[0]:
                raise InputError(
                    f"given: the column {name!r} has no value {value!r}; it has {', '.join(map(repr, values[:20]))}"
                )
        return self.schema_.encode(as_cells({name: [found.get(name)] for name in self.schema_.names}))

    def _chosen(self, x: np.ndarray, budget: Budget) -> tuple[list[Member], int]:
        """The members that fill in x (N, D), and how many samples of z: all of them, or what there is time for; the
        best members then.
        """
        rows = x[np.isnan(x).any(axis=1)]
        if not budget.is_limited or not len(rows):
            return self.members_, self.imputation_samples
        best = sorted(self.members_, key=relative_error)

        def fill(some: int, samples: int) -> None:
            best[0].impute(rows[:some], self.seed_, samples, 0, curves=self.schema_.curves, members=len(best))

        count, samples = budget.samples(fill, len(rows), len(best), self.imputation_samples)
        return (self.members_ if count == len(best) else best[:count]), samples

    def _rows_to_calibrate(self, x: np.ndarray, member: Member, count: int, budget: Budget) -> int:
        """How many rows of each member intervals are calibrated by in a limited time."""

        def fill(rows: int) -> None:
            member.impute(x[:rows], 0, calibration.SAMPLES, calibration.DRAWS, members=count)

        return budget.rows_to_calibrate(fill, len(x), count)

    def _table(self, X, table, places: list[int], x: np.ndarray, best: bool = False):
        """The table with numbers x (N, D), drawn or expected, in the place of what is missing; what is observed
        stays as it came.
        """
        new = {}
        for column, block, place in zip(self.schema_.columns, self.schema_.slices, places, strict=True):
            given = table.columns[place]
            rows = np.flatnonzero(given.missing)
            if not len(rows):
                continue
            check.finite_result(f"column {column.name!r}", x[rows, block])
            values = (column.guess if best else column.decode)(x[rows, block])
            if values.dtype != object:
                check.finite_result(f"column {column.name!r}", values)
            if column.form != given.form:  # nothing of the column is there to say what its cells are
                values = times.in_python(values, column.form, column.whole)
            new[place] = given.replace(rows, values)
        names = table.names if table.named else self.get_feature_names_out().tolist()
        return in_container(table.rebuild(new), self._transform_output(), names, X)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "members_")

    def __sklearn_tags__(self):
        from sklearn.utils import InputTags, Tags, TargetTags, TransformerTags

        return Tags(
            estimator_type=None,
            target_tags=TargetTags(required=False),
            transformer_tags=TransformerTags(preserves_dtype=[]),
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
