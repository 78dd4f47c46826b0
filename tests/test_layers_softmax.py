"""The logarithm of the softmax: against sums in floats, for rows of very unlike size."""

from __future__ import annotations

import math

import numpy as np
import pytest

from npvae.mathematics.layers.softmax import log_softmax


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_row_by_itself(dtype):
    logits = np.array(
        [[0.3, -1.2, 2.0], [1e4, 1e4 - 3.0, 1e4 - 1.0], [-1e4, -1e4 + 2.0, -1e4], [0.0, 0.0, 0.0], [1e4, 0.0, -1e4]],
        dtype,
    )
    found = log_softmax(np, logits)
    for row, values in zip(found.astype(float), logits.astype(float).tolist(), strict=True):
        largest = max(values)
        total = math.log(math.fsum(math.exp(v - largest) for v in values))
        np.testing.assert_allclose(
            row, [(v - largest) - total for v in values], rtol=4 * np.finfo(dtype).eps, atol=4 * np.finfo(dtype).eps
        )
    assert found.dtype == dtype and found.shape == (5, 3)
