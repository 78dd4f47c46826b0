"""What an epoch's batches hold: every row once, labelled rows in every batch, features drawn from their means and
deviations.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from npvae import TrainingSettings, backend
from npvae.backend.base import Ops
from npvae.estimators.semisupervised import SemiSupervisedArchitecture
from npvae.mathematics import random
from npvae.training import minibatches

OPS = backend.get("numpy")


@pytest.mark.parametrize(
    ("labelled", "rows", "batch"), [(10, 100, 10), (7, 50, 5), (1, 20, 10), (20, 20, 5), (33, 101, 10)]
)
def test_every_batch_has_its_share_of_labelled_rows(labelled, rows, batch):
    labelled_rows = np.zeros(rows, bool)
    labelled_rows[np.random.default_rng(1).permutation(rows)[:labelled]] = True
    for epoch in range(3):
        order = minibatches.epoch_order(OPS, 5, epoch, rows, labelled_rows)
        assert sorted(order.tolist()) == list(range(rows))
        counts = [labelled_rows[order[start : start + batch]].sum() for start in range(0, rows - rows % batch, batch)]
        assert max(counts) - min(counts) <= 1 and abs(np.mean(counts) - labelled * batch / rows) <= 1
    assert (
        minibatches.epoch_order(OPS, 5, 0, rows, labelled_rows)
        != minibatches.epoch_order(OPS, 5, 1, rows, labelled_rows)
    ).any()


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


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_drawn_by_its_formula(dtype):
    architecture = SemiSupervisedArchitecture(3, 2, (4,), likelihood="squared_error", n_classes=2)
    data = np.random.default_rng(0).random((6, 7)).astype(dtype)
    rows = np.array([4, 1, 5])
    batch, eps = minibatches.draw(OPS, data, rows, noisy(), architecture, 2)
    mean, deviation, label = data[rows, :3], data[rows, 3:6], data[rows, 6:]
    wanted = np.concatenate([mean + deviation * random.normal(3, "feature noise", 2, (3, 3), dtype), label], axis=1)
    np.testing.assert_array_equal(batch, wanted)
    np.testing.assert_array_equal(eps, random.normal(3, "latent noise", 2, (3, 2), dtype))
    once = minibatches.drawn_once(OPS, data, noisy(), architecture)
    noise = random.normal(3, "validation feature noise", 0, (6, 3), dtype)
    np.testing.assert_array_equal(once, np.concatenate([data[:, :3] + data[:, 3:6] * noise, data[:, 6:]], axis=1))
    assert batch.dtype == eps.dtype == once.dtype == dtype

    grey = data[:, :4]
    for purpose, step, found in (
        (
            "binarize",
            2,
            minibatches.draw(OPS, grey, rows, TrainingSettings(seed=3, binarize="dynamic"), architecture, 2)[0],
        ),
        (
            "static binarize",
            1,
            minibatches.drawn_once(OPS, grey[rows], TrainingSettings(seed=3, binarize="dynamic"), architecture),
        ),
    ):
        ones = random.uniform(3, purpose, step, (3, 3), "float32") < grey[rows, :3]
        np.testing.assert_array_equal(found, np.concatenate([ones, grey[rows, 3:]], axis=1))
        assert found.dtype == dtype
    whole = np.where(np.eye(4) == 1, np.nan, 0.5).astype(dtype)
    drawn = minibatches.binarize(OPS, whole, 3, "binarize", 0)
    np.testing.assert_array_equal(np.isnan(drawn), np.eye(4) == 1)
    ones = random.uniform(3, "binarize", 0, (4, 4), "float32") < 0.5
    np.testing.assert_array_equal(drawn[np.eye(4) == 0], ones[np.eye(4) == 0])
    for settings in (TrainingSettings(seed=3), TrainingSettings(seed=3, binarize="static")):
        np.testing.assert_array_equal(minibatches.draw(OPS, data, rows, settings, architecture, 2)[0], data[rows])
        assert minibatches.drawn_once(OPS, data, settings, architecture) is data


def test_what_is_drawn_is_drawn_for_any_array_api_module():
    strict = pytest.importorskip("array_api_strict")
    ops, architecture = Ops(strict), SemiSupervisedArchitecture(3, 2, (4,), likelihood="squared_error", n_classes=2)
    data, rows = np.random.default_rng(0).random((6, 7)), np.array([4, 1, 5])
    for settings in (noisy(), TrainingSettings(seed=3, binarize="dynamic")):
        found = minibatches.draw(ops, ops.asarray(data), ops.asarray(rows), settings, architecture, 2)
        for array, wanted in zip(found, minibatches.draw(OPS, data, rows, settings, architecture, 2), strict=True):
            np.testing.assert_array_equal(ops.to_numpy(array), wanted)
        once = minibatches.drawn_once(ops, ops.asarray(data), settings, architecture)
        np.testing.assert_array_equal(ops.to_numpy(once), minibatches.drawn_once(OPS, data, settings, architecture))
    for spread in (None, np.arange(6) < 2):
        order = minibatches.epoch_order(ops, 3, 1, 6, spread)
        np.testing.assert_array_equal(ops.to_numpy(order), minibatches.epoch_order(OPS, 3, 1, 6, spread))


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
