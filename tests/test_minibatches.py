"""What an epoch's batches hold: every row once, labelled rows in every batch, features drawn from their means and deviations."""

from __future__ import annotations

import math

import numpy as np
import pytest

from npvae import TrainingSettings, backend, random
from npvae.semisupervised import SemiSupervisedArchitecture
from npvae.training import minibatches

OPS = backend.get("numpy")


@pytest.mark.parametrize(("labelled", "rows", "batch"), [(10, 100, 10), (7, 50, 5), (1, 20, 10), (20, 20, 5), (33, 101, 10)])
def test_every_batch_has_its_share_of_labelled_rows(labelled, rows, batch):
    labelled_rows = np.zeros(rows, bool)
    labelled_rows[np.random.default_rng(1).permutation(rows)[:labelled]] = True
    for epoch in range(3):
        order = minibatches.epoch_order(OPS, 5, epoch, rows, labelled_rows)
        assert sorted(order.tolist()) == list(range(rows))
        counts = [labelled_rows[order[start:start + batch]].sum() for start in range(0, rows - rows % batch, batch)]
        assert max(counts) - min(counts) <= 1 and abs(np.mean(counts) - labelled * batch / rows) <= 1
    assert (minibatches.epoch_order(OPS, 5, 0, rows, labelled_rows) != minibatches.epoch_order(OPS, 5, 1, rows, labelled_rows)).any()


def test_over_epochs_a_labelled_row_is_as_likely_in_every_batch():
    labelled_rows = np.arange(10) == 0
    places = [minibatches.epoch_order(OPS, 0, epoch, 10, labelled_rows).tolist().index(0) for epoch in range(400)]
    counts = np.bincount(places, minlength=10)
    assert counts.min() > 20 and counts.max() < 65  # 40 expected, a deviation of 6


def test_where_none_is_spread_the_order_is_the_permutation():
    order = minibatches.epoch_order(OPS, 5, 2, 30)
    np.testing.assert_array_equal(order, random.permutation(5, "shuffle", 2, 30))


def noisy(**more):
    return TrainingSettings(seed=3, objective="semi_supervised", noisy_features=True, **more)


def test_features_are_drawn_anew_from_mean_and_deviation():
    architecture = SemiSupervisedArchitecture(3, 2, (4,), likelihood="squared_error", n_classes=2)
    mean, deviation = np.array([1.0, -2.0, 5.0]), np.array([0.5, 0.0, 2.0])
    data = np.tile(np.concatenate([mean, deviation, [1.0]]), (4000, 1))
    drawn = [minibatches.draw(OPS, data, np.arange(4000), noisy(), architecture, step)[0] for step in (0, 1, 0)]
    assert drawn[0].shape == (4000, 4) and (drawn[0][:, 3] == 1.0).all()
    np.testing.assert_array_equal(drawn[0], drawn[2])
    assert (drawn[0][:, 0] != drawn[1][:, 0]).all() and (drawn[0][:, 1] == -2.0).all()
    np.testing.assert_allclose(drawn[0][:, :3].mean(axis=0), mean, atol=0.15)
    np.testing.assert_allclose(drawn[0][:, :3].std(axis=0), deviation, atol=0.1)


def test_validation_features_are_drawn_once():
    architecture = SemiSupervisedArchitecture(3, 2, (4,), likelihood="squared_error", n_classes=2)
    data = np.concatenate([np.zeros((50, 3)), np.ones((50, 3)), np.full((50, 1), -1.0)], axis=1)
    first, second = (minibatches.drawn_once(OPS, data, noisy(), architecture) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.shape == (50, 4) and first[:, :3].std() > 0.7


@pytest.mark.parametrize(("rows", "labelled"), [(10, 3), (7, 7), (50, 1), (23, 10)])
def test_places_of_spread_rows_by_their_formula(rows, labelled):
    spread = np.random.default_rng(1).permutation(np.arange(rows) < labelled)
    for epoch in (0, 5):
        shuffled = random.permutation(3, "shuffle", epoch, rows)
        u = float(random.uniform(3, "shuffle offset", epoch, ()))
        some, others = list(shuffled[spread[shuffled]]), list(shuffled[~spread[shuffled]])
        places = {math.floor((i + u) * rows / labelled) for i in range(labelled)}
        wanted = [some.pop(0) if place in places else others.pop(0) for place in range(rows)]
        assert minibatches.epoch_order(backend.get("numpy"), 3, epoch, rows, spread).tolist() == wanted
