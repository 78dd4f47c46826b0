"""One model of a table, trained on what is observed but for some cells, by which it is known when to stop.

1. A tenth of the observed cells are hidden (of a thousand rows, where there are more): they decide when to stop, and
   nobody looks at what was missing to begin with.
2. A normal distribution, of wide tables factor analysis (linear.py), is fitted to the rest by EM; it completes the rows
   for the encoder and gives the network its start.
3. The network is trained on the importance-weighted bound of the rest.
4. Every so many epochs the hidden cells are filled in; the best parameters are kept, and training ends when none were
   better for long, or where a number is not finite.

Several members, each with another tenth hidden, make a model of a table together: what one has not seen the others
have.
"""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from npvae.errors import InputError, NonFiniteError, PosteriorCollapseWarning
from npvae.estimators.tables.linear import choose_linear, fit_linear
from npvae.imputation import FactorAnalysis, Imputation, Normal, importance_imputation, start_from
from npvae.mathematics import random
from npvae.mathematics.encoder_view import EncoderView
from npvae.mathematics.model import Architecture, Model
from npvae.mathematics.objectives import ImportanceWeighted
from npvae.mathematics.optimizers import Adam
from npvae.training import TrainingSettings, train
from npvae.training.state import OUT_OF_TIME, TrainingState

#: Rows at most that have cells hidden, which are filled in during training, and samples of z for each.
WATCHED_ROWS, WATCHED_SAMPLES = 1000, 100
#: Of a row whose effective sample size is at least ENOUGH no more samples are taken; where several members are
#: averaged, whose samples err apart, of each at ENOUGH_OF_ALL shared among them.
ENOUGH, ENOUGH_OF_ALL = 100, 200
#: Samples of z that are decoded at a time: many more leave the caches, far fewer spend their time on calls.
AT_ONCE = 2048
#: In standard units: the encoder sees nothing farther from the mean, so that one wild cell cannot drive it anywhere.
#: What is expected of the row's other cells is then as of this.
FARTHEST = 20.0
#: No gradient is longer: at the first steps an importance weight may be as large as it likes.
LONGEST_GRADIENT = 100.0


@dataclass(frozen=True)
class Member:
    """A trained model of a table's numbers: the network and the normal distribution that completes its rows."""

    model: Model
    theta: np.ndarray
    normal: Normal | FactorAnalysis
    standard: EncoderView
    error: float  #: of the hidden cells, in squared standard units
    normal_error: float  #: that of the normal distribution on the same cells
    epoch: int  #: after which that was

    def data(self, x: np.ndarray):
        """x (N, D) with NaN as the network takes it, on the backend: beside the completed rows."""
        return _with_completed(self.model, x, self.normal, self.standard)

    def impute(
        self, x: np.ndarray, seed: int, samples: int, draws: int, progress=None, curves=None, members: int = 1
    ) -> Imputation:
        """Fill in x (N, D) with NaN, in the likelihoods' numbers, by ``samples`` of z a row, or fewer where they are
        effective; with what is expected of their curves in columns that have one. members: how many are averaged."""
        theta = self.model.ops.asarray(self.theta)
        return importance_imputation(
            self.model,
            theta,
            self.data(x),
            seed,
            samples,
            draws,
            AT_ONCE,
            progress,
            curves=curves,
            enough=enough_of(members),
        )

    def sample(self, n: int, seed: int, row: np.ndarray | None = None, samples: int = 0) -> tuple[np.ndarray, float]:
        """``(x, effective sample size)``: x (n, D) from the model, z from the prior; row: (1, D) with NaN, numbers that
        all rows have, for which so many samples of z are weighted."""
        theta = self.model.ops.asarray(self.theta)
        if row is not None:
            found = importance_imputation(self.model, theta, self.data(row), seed, samples, n)
            assert found.draws is not None  # n of them
            return found.draws[:, 0], float(found.diagnostics["effective_sample_size"][0])
        z = random.normal(seed, "prior sample", 0, (n, self.model.architecture.latent_dim), self.theta.dtype)
        return self.model.draw(self.model.views(theta), z, random.Stream(seed, "data sample", 0)), math.inf


def enough_of(members: int) -> float | None:
    """The effective sample size with which a row needs no more samples of a member, where so many are averaged."""
    return min(ENOUGH, ENOUGH_OF_ALL / members)


def _with_completed(model, x, normal, standard):
    completed = np.clip(normal.complete(standard.of(x)), -FARTHEST, FARTHEST)
    both = np.concatenate([x, completed], axis=1)
    return model.ops.asarray(both.astype(np.float32))


def hide(x: np.ndarray, blocks: list[slice], share: float, seed: int) -> np.ndarray:
    """Which entries of x (N, D) to hide: ``share`` of the observed cells of some rows at random, (N, D), booleans; a
    cell is a block.

    Only rows that are watched lose any, every row keeps a cell, unless it has but one column, and every column two, and
    half of its own. Where the draws hide nothing, the cell of the smallest draw among those that can be hidden is.
    InputError: nothing can be.
    """
    observed = np.stack([~np.isnan(x[:, block.start]) for block in blocks], axis=1)
    u = random.uniform(seed, "held-out cells", 0, observed.shape)
    watched = random.permutation(seed, "held-out cells", 1, len(x))[:WATCHED_ROWS]
    hidden = np.zeros(observed.shape, bool)
    hidden[watched] = (observed & (u < share))[watched]
    beside = len(blocks) > 1
    if beside:
        hidden[(observed & ~hidden).sum(axis=1) == 0] = False
    seen = observed.sum(axis=0)
    most = np.maximum(np.minimum(seen // 2, seen - 2), 0)
    for column in range(len(blocks)):
        gone = np.flatnonzero(hidden[:, column])
        hidden[gone[np.argsort(u[gone, column])][most[column] :], column] = False
    if not hidden.any():
        possible = observed & (observed.sum(axis=1) > beside)[:, None] & (most > 0)
        hidden.flat[np.argmin(np.where(possible, u, np.inf))] = possible.any()
    if not hidden.any():
        raise InputError(
            f"the table of {len(x)} rows and {len(blocks)} columns that can be modelled is too small: no observed cell "
            f"can be held out to "
            "know when training has to stop; it needs three observed cells in a column, one of them in a row with "
            "another"
        )
    result = np.zeros(x.shape, bool)
    for i, block in enumerate(blocks):
        result[:, block] = hidden[:, i : i + 1]
    return result


class _Watch:
    """The callback that fills in hidden cells and remembers the best parameters; theta is what they are at first."""

    def __init__(self, model, theta, x, data, hidden, standard, seed, recipe, report) -> None:
        self.rows = np.flatnonzero(hidden.any(axis=1))
        self._model, self._seed, self._standard = model, seed, standard
        self._data = model.ops.take_rows(data, model.ops.asarray(self.rows))
        self._wanted, self._hidden = standard.of(x[self.rows]), hidden[self.rows]
        self._recipe, self._report = recipe, report
        self.error, self.theta, self.epoch = np.inf, model.ops.to_numpy(theta).copy(), 0

    def error_of(self, filled: np.ndarray) -> float:
        """The mean squared error of hidden cells, in standard units."""
        return float(np.square(self._standard.of(filled) - self._wanted)[self._hidden].mean())

    def __call__(self, state) -> None:
        if self._report is not None:
            self._report(state)
        every = self._recipe.every
        if state.epoch % every == 0 or state.epoch == self._recipe.epochs:
            self.look(state)
            if state.epoch >= self.epoch + self._recipe.patience * every:
                state.stop(f"hidden cells no better for {self._recipe.patience * every} epochs")

    def look(self, state) -> None:
        """Fill in the hidden cells, and keep the parameters if they are the best."""
        found = importance_imputation(
            self._model, state.theta, self._data, self._seed, WATCHED_SAMPLES, at_once=AT_ONCE, purpose="held-out noise"
        )
        error = self.error_of(found.mean)
        if error < self.error:
            self.error, self.epoch = error, state.epoch
            self.theta = self._model.ops.to_numpy(state.theta).copy()


@dataclass(frozen=True)
class Recipe:
    """How a member is made."""

    latent_dim: int
    hidden: Any  #: widths as the user said them
    samples: int
    learning_rate: float
    batch_size: int
    epochs: int
    held_out: float
    every: int  #: epochs between two looks at the hidden cells
    patience: int  #: looks without a better one, before training ends


def model_of(columns: int, likelihood, recipe: Recipe, ops) -> Model:
    """The network of every member, for rows of so many numbers."""
    return Model(
        Architecture(
            columns,
            recipe.latent_dim,
            recipe.hidden,
            activation="relu",
            likelihood=likelihood,
            missing=True,
            completed=True,
            linear_path=True,
        ),
        ops,
    )


def settings_of(recipe: Recipe, seed: int) -> TrainingSettings:
    """How a member is trained."""
    return TrainingSettings(
        seed=seed,
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        optimizer=Adam(),
        objective=ImportanceWeighted(recipe.samples),
        clip_norm=LONGEST_GRADIENT,
    )


def train_member(
    x: np.ndarray,
    likelihood,
    blocks,
    standard: EncoderView,
    recipe: Recipe,
    ops,
    seed: int,
    report=None,
    checkpoint=None,
    first=None,
    enough=None,
):
    """``(member, state)`` for x (N, D) with NaN, float64, in the numbers of ``likelihood``; blocks: the columns of each
    cell. The state says whether Ctrl-C ended its training; the member is then what it was so far.

    report: called with the TrainingState after every epoch. checkpoint: an ImputerCheckpoint, to go on from and to keep
    the states in. first: the first of the members, whose kind of linear model this one has too. enough: says when
    training has to end, whatever it has come to. InputError: the table is too small.
    """
    hidden = hide(x, blocks, recipe.held_out, seed)
    rest = np.where(hidden, np.nan, x)
    watched = np.flatnonzero(hidden.any(axis=1))
    wanted, where = standard.of(x[watched]), hidden[watched]

    def linear_error(normal) -> float:
        return float(np.square(normal.complete(standard.of(rest[watched])) - wanted)[where].mean())

    if first is None:
        normal, _ = choose_linear(standard.of(rest), linear_error, enough)
    else:
        normal = fit_linear(
            standard.of(rest), len(first.normal.loadings) if isinstance(first.normal, FactorAnalysis) else None, enough
        )
    model = model_of(x.shape[1], likelihood, recipe, ops)
    settings = settings_of(recipe, seed)
    theta = model.initial_parameters(seed, "float32")
    start_from(model, theta, normal, standard)
    data = _with_completed(model, rest, normal, standard)
    watch = _Watch(model, theta, x, data, hidden, standard, seed, recipe, report)
    callbacks: list[Callable[[TrainingState], object]] = [watch]
    state = None if checkpoint is None else checkpoint.state(watch)
    if state is None:
        state = TrainingState(theta, settings.optimizer.initial_state(ops, theta))
        if enough is not None and enough():
            # No time even to look: the start stays, which is the linear model as far as the latent dimensions go.
            state.stop(OUT_OF_TIME)
            error = linear_error(normal)
            return Member(model, watch.theta, normal, standard, error, error, 0), state
        watch(state)  # the start counts: where the network learns nothing it stays
    if checkpoint is not None:
        callbacks.append(lambda state: checkpoint.keep_state(state, watch))
    with warnings.catch_warnings():
        # A latent dimension that a table has no use for is no accident here.
        warnings.simplefilter("ignore", PosteriorCollapseWarning)
        with contextlib.suppress(NonFiniteError):  # training ends there; the best parameters until then are kept
            started = state.step
            train(model, settings, data, state=state, callbacks=callbacks, enough=enough)
            if state.stop_reason == OUT_OF_TIME and state.step > started:
                watch.look(state)
    return Member(model, watch.theta, normal, standard, watch.error, linear_error(normal), watch.epoch), state
