"""One model of a table, trained on what is observed but for some cells, by which it is known when to stop.

1. A tenth of the observed cells are hidden: they decide when to stop, and nobody looks at what was missing to begin with.
2. A normal distribution is fitted to the rest by EM; it completes the rows for the encoder and gives the network its start.
3. The network is trained on the importance-weighted bound of the rest, K = 20.
4. Every so many epochs the hidden cells are filled in; the best parameters are kept, and training ends when none were
   better for long.

Several members, each with another tenth hidden, make a model of a table together: what one has not seen the others have.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from npvae import random
from npvae.errors import PosteriorCollapseWarning
from npvae.impute import Imputation, Normal, fit_normal, importance_imputation, start_from
from npvae.model import Architecture, Model
from npvae.objectives import ImportanceWeighted
from npvae.training import TrainingSettings, train
from npvae.training.state import TrainingState

#: Rows at most on which the hidden cells are filled in during training, and samples of z for each.
WATCHED_ROWS, WATCHED_SAMPLES = 1000, 100
#: No gradient is longer: at the first steps an importance weight may be as large as it likes.
LONGEST_GRADIENT = 100.0


@dataclass(frozen=True)
class Standard:
    """From the likelihoods' numbers to ones of about unit size, (D,) each."""

    center: np.ndarray
    scale: np.ndarray

    def of(self, x: np.ndarray) -> np.ndarray:
        """(x - center) / scale"""
        return (x - self.center) / self.scale


@dataclass(frozen=True)
class Member:
    """A trained model of a table's numbers: the network and the normal distribution that completes its rows."""

    model: Model
    theta: np.ndarray
    normal: Normal
    standard: Standard
    error: float  #: of the hidden cells, in squared standard units
    normal_error: float  #: that of the normal distribution on the same cells
    epoch: int  #: after which that was

    def data(self, x: np.ndarray):
        """x (N, D) with NaN as the network takes it, on the backend: beside the completed rows."""
        return _with_completed(self.model, x, self.normal, self.standard)

    def impute(self, x: np.ndarray, seed: int, samples: int, draws: int, progress=None) -> Imputation:
        """Fill in x (N, D) with NaN, in the likelihoods' numbers."""
        theta = self.model.ops.asarray(self.theta)
        return importance_imputation(self.model, theta, self.data(x), seed, samples, draws, progress=progress)


def _with_completed(model, x, normal, standard):
    both = np.concatenate([x, normal.complete(standard.of(x))], axis=1)
    return model.ops.asarray(both.astype(np.float32))


def hide(x: np.ndarray, blocks: list[slice], share: float, seed: int) -> np.ndarray:
    """Which entries of x (N, D) to hide: ``share`` of the observed cells at random, (N, D), booleans; a cell is a block.

    Every row keeps a cell, and every column most of its own.
    """
    observed = np.stack([~np.isnan(x[:, block.start]) for block in blocks], axis=1)
    hidden = observed & (random.uniform(seed, "held-out cells", 0, observed.shape) < share)
    alone = (observed & ~hidden).sum(axis=1) == 0
    hidden[alone] = False
    result = np.zeros(x.shape, bool)
    for i, block in enumerate(blocks):
        result[:, block] = hidden[:, i:i + 1]
    return result


class _Watch:
    """The callback that fills in hidden cells and remembers the best parameters."""

    def __init__(self, model, x, data, hidden, standard, seed, every, patience, report) -> None:
        rows = np.flatnonzero(hidden.any(axis=1))[:WATCHED_ROWS]
        self._model, self._data, self._seed, self._standard = model, data[rows], seed, standard
        self._wanted, self._hidden = standard.of(x[rows]), hidden[rows]
        self._every, self._patience, self._report = every, patience, report
        self.error, self.theta, self.epoch = np.inf, None, 0

    def error_of(self, filled: np.ndarray) -> float:
        """The mean squared error of hidden cells, in standard units."""
        return float(np.square(self._standard.of(filled) - self._wanted)[self._hidden].mean())

    def __call__(self, state) -> None:
        if self._report is not None:
            self._report(state)
        if state.epoch % self._every:
            return
        found = importance_imputation(self._model, state.theta, self._data, self._seed, WATCHED_SAMPLES)
        error = self.error_of(found.mean)
        if error < self.error:
            self.error, self.epoch = error, state.epoch
            self.theta = self._model.ops.to_numpy(state.theta).copy()
        elif state.epoch >= self.epoch + self._patience * self._every:
            state.stop(f"hidden cells no better for {self._patience * self._every} epochs")


@dataclass(frozen=True)
class Recipe:
    """How a member is made."""

    latent_dim: int
    hidden: tuple[int, ...]
    samples: int
    learning_rate: float
    batch_size: int
    epochs: int
    held_out: float
    every: int  #: epochs between two looks at the hidden cells
    patience: int  #: looks without a better one, before training ends


def train_member(x: np.ndarray, likelihood, blocks, standard: Standard, recipe: Recipe, ops, seed: int, report=None) -> Member:
    """A member for x (N, D) with NaN, float64, in the numbers of ``likelihood``; blocks: the columns of each cell.

    report: called with the TrainingState after every epoch. NonFiniteError: a number became infinite or NaN.
    """
    hidden = hide(x, blocks, recipe.held_out, seed)
    rest = np.where(hidden, np.nan, x)
    normal = fit_normal(standard.of(rest))
    architecture = Architecture(
        x.shape[1], recipe.latent_dim, recipe.hidden, activation="tanh", likelihood=likelihood, missing=True, completed=True,
        linear_path=True,
    )
    model = Model(architecture, ops)
    settings = TrainingSettings(
        seed=seed, epochs=recipe.epochs, batch_size=recipe.batch_size, learning_rate=recipe.learning_rate, optimizer="adam",
        objective=ImportanceWeighted(recipe.samples), clip_norm=LONGEST_GRADIENT,
    )
    theta = model.initial_parameters(seed, "float32")
    start_from(model, theta, normal, standard.center, standard.scale)
    data = _with_completed(model, rest, normal, standard)
    watch = _Watch(model, x, data, hidden, standard, seed, recipe.every, recipe.patience, report)
    state = TrainingState(theta, settings.optimizer.initial_state(ops, theta))
    watch(state)  # the start counts: where the network learns nothing it stays
    with warnings.catch_warnings():
        # A latent dimension that a table has no use for is no accident here.
        warnings.simplefilter("ignore", PosteriorCollapseWarning)
        train(model, settings, data, state=state, callbacks=[watch])
    rows = np.flatnonzero(hidden.any(axis=1))[:WATCHED_ROWS]
    completed = normal.complete(standard.of(rest[rows])) * standard.scale + standard.center
    return Member(model, watch.theta, normal, standard, watch.error, watch.error_of(completed), watch.epoch)
