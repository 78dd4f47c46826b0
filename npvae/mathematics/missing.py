"""What is missing: a NaN in the data.

    x = (x_obs, x_mis)          observed_bi = 1 where x_bi is a number, 0 where it is NaN
    filled                      x, with 0 in the place of what is missing: a number that nothing may depend on
    encoder's input             (filled, observed), side by side: (B, 2 I); or (completed, observed), see encoder_input
    -log p(x_obs|z)             the sum over observed features alone

Given z the features are independent, so that p(x_obs|z) is p(x|z) without the factors of what is missing, and a bound
on log p(x_obs) is one that is trained on: whoever hides entries at random, without looking at what is hidden, need not
be modelled. The first layer sees which entries are missing, and so learns, beside how to weigh the others, what to put
in their place: its weights of ``observed`` are as good as a learnt constant for each feature.

Sources: Little & Rubin (2002), "Statistical analysis with missing data", section 6.2, for when the pattern can be left
out; Mattei & Frellsen (2019), "MIWAE: deep generative modelling and imputation of incomplete data sets", eq. 3.
"""

from __future__ import annotations

import numpy as np


def split(xp, x):
    """``(filled, observed)`` of x (B, I) with NaN: numbers, and booleans; both (B, I)."""
    observed = xp.logical_not(xp.isnan(x))
    return xp.where(observed, x, xp.zeros_like(x)), observed


def encoder_input(xp, x, completed=None):
    """What the first layer sees of x (B, I) with NaN: (B, 2 I). completed: (B, I), numbers that are to stand in the
    place of zeros where x is missing, such as what a simpler model expects there."""
    rows, features = x.shape
    both = xp.empty((rows, 2 * features), dtype=x.dtype)
    filled, observed = split(xp, x)
    both[:, :features] = filled if completed is None else completed
    both[:, features:] = as_numbers(xp, observed, x)
    return both


def as_numbers(xp, observed, like):
    """1 where something is observed, 0 where not, of the dtype of ``like``, (B, I)."""
    return xp.where(observed, xp.ones_like(like), xp.zeros_like(like))


def fill_with_means(x: np.ndarray) -> np.ndarray:
    """x (N, I), a NumPy array, with each column's mean in the place of its NaN; 0 where nothing of a column is
    observed.
    """
    filled, observed = split(np, x)
    means = filled.sum(axis=0, dtype=np.float64) / np.maximum(observed.sum(axis=0), 1)
    return np.where(observed, x, means.astype(x.dtype))


def keep(xp, observed, values, otherwise=0.0):
    """``values`` where they are observed, ``otherwise``, a number or an array like them, elsewhere; None: all are
    observed.

    Not a product, which would make NaN of an infinite number in a place that does not count.
    """
    if observed is None:
        return values
    return xp.where(observed, values, xp.full_like(values, otherwise) if isinstance(otherwise, float) else otherwise)
