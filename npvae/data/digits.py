"""The digits that come with the package; see digits.NOTICE.md for their origin and licence."""

from __future__ import annotations

import io
import pkgutil

import numpy as np

from npvae.data.dataset import Dataset

TRAIN_ROWS = 4000


def load_digits() -> Dataset:
    """Return the embedded 5,000 MNIST digits: 4,000 to train (400 a class), 1,000 to test (100 a class).

    The label of row i is ``i % 10`` in both parts, so every prefix is balanced to within one image a class.
    """
    packed = pkgutil.get_data("npvae.data", "digits.npz")
    assert packed is not None  # of a package, which has it
    with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
        x, y = arrays["x"], arrays["y"]
    return Dataset(
        name="digits",
        x_train=x[:TRAIN_ROWS].copy(),  # copies, so that keeping one part does not keep both alive
        y_train=y[:TRAIN_ROWS].copy(),
        x_test=x[TRAIN_ROWS:].copy(),
        y_test=y[TRAIN_ROWS:].copy(),
        image_shape=(28, 28),
        divide_by=255.0,
        description="The first 500 images of each class of the MNIST training set; row i shows the digit "
        "i % 10. Embedded in npvae, offline.",
    )
