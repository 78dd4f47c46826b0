"""Rows and classes: which are paired, in what order, and sums over the pairs of a row."""

from __future__ import annotations

import numpy as np
import pytest

from npvae.backend.base import Ops
from npvae.mathematics.layers.pairs import Pairs


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("labels", "unlabelled"), [((2, 0), 3), ((1,), 0), ((), 2), ((2, 2, 0), 1)])
def test_pairs_by_lists(labels, unlabelled, dtype):
    """Labelled rows in order, then unlabelled rows with class 0, then with class 1, ..."""
    pairs = Pairs(Ops(np), np.array(labels, np.int64), unlabelled, 3, dtype)
    known, rows = len(labels), len(labels) + unlabelled
    wanted = [(i, c) for i, c in enumerate(labels)] + [(known + u, c) for c in range(3) for u in range(unlabelled)]
    assert (pairs.labelled, pairs.unlabelled, pairs.classes) == (known, unlabelled, 3)
    np.testing.assert_array_equal(pairs.one_hot, np.eye(3)[[c for _, c in wanted]])
    np.testing.assert_array_equal(pairs.one_hot_labels, np.eye(3)[list(labels)].reshape(known, 3))
    assert pairs.one_hot.dtype == dtype
    values = np.arange(2.0 * rows).reshape(rows, 2).astype(dtype)
    spread = pairs.spread(values)
    np.testing.assert_array_equal(spread, values[[i for i, _ in wanted]])
    some = np.random.default_rng(0).integers(0, 9, (len(wanted), 2)).astype(dtype)
    summed = np.zeros((rows, 2))
    for (i, _), value in zip(wanted, some, strict=True):
        summed[i] += value
    np.testing.assert_array_equal(pairs.gather(some), summed)
    by_class = pairs.by_class(some)
    assert by_class.shape == (3, unlabelled, 2) and pairs.by_class(some[:, 0]).shape == (3, unlabelled)
    np.testing.assert_array_equal(pairs.join(some[:known], by_class), some)
    np.testing.assert_array_equal(pairs.join(some[:known, 0], pairs.by_class(some[:, 0])), some[:, 0])
    assert spread.dtype == pairs.gather(some).dtype == dtype
