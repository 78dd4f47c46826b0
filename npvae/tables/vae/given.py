"""Synthetic rows of which some columns are given: z by its distribution given these, then the other columns.

    z_k ~ q(z), the aggregate posterior (latents.py)          k = 1 .. K
    w_k = p(x_o | z_k)                                        x_o the numbers of the given columns
    z   = z_j, j drawn with the probability w_j / sum_k w_k   sampling-importance-resampling
    x_h ~ p(x_h | z)

    ESS = 1 / sum_k v_k^2,  v the weights in shares           of how many samples the rows consist

It becomes exact as K grows. The given values are in the rows as they were given.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np

from npvae import random
from npvae.batches import batches
from npvae.errors import FewSamplesWarning, InputError, InputTypeError
from npvae.tables.cells import of_objects
from npvae.tables.frames import column_name

#: Samples of z: at least, a row, and at most; decoded at a time.
SAMPLES, SAMPLES_A_ROW, MOST, AT_ONCE = 20_000, 10, 500_000, 4096
#: Effective samples below which a word is said.
FEW = 50


def values_of(given, schema) -> dict:
    """The given values by the names of columns. InputError, InputTypeError: that are none."""
    if not isinstance(given, Mapping):
        raise InputTypeError(f"given must be a mapping of columns' names to values, got {given!r}")
    found = {column_name(name): value for name, value in given.items()}
    known = [column.name for column in schema.columns]
    for name in found:
        if name not in known:
            why = f": it is carried ({schema.carried[name]}), so that the model knows nothing of it" if name in schema.carried else ""
            raise InputError(f"given names the column {name!r}, but the model's columns are {', '.join(map(repr, known[:20]))}{why}")
    return found


def row_of(given: dict, table) -> np.ndarray:
    """The given values as a row (1, D) of the likelihoods' numbers, NaN for the others. InputError: values that the columns have not."""
    for column in table.schema.columns:
        value = given.get(column.name)
        cells = of_objects(np.array([value, None], object)[:1])
        if len(column.values) and not cells.missing[0] and column.unseen(cells.cells, ~cells.missing)[0]:
            raise InputError(f"given: the column {column.name!r} has no value {value!r}; it has {', '.join(map(repr, column.values[:20]))}")
    return table.read({column.name: np.array([given.get(column.name)], object) for column in table.schema.columns}, np.float64, "given")


def latents_given(model, theta, table, row: np.ndarray, n: int, seed: int) -> np.ndarray:
    """z (n, Z) given the row (1, D) with NaN. FewSamplesWarning: few samples agree with it."""
    count = min(MOST, max(SAMPLES, SAMPLES_A_ROW * n))
    z = table.latents.draw(count, random.seed_for_part(seed, "given columns", 0))
    views, ops = model.views(theta), model.ops
    x = np.concatenate([row, np.zeros_like(row)], axis=1).astype(ops.dtype_name(theta))
    log_weights = np.empty(count)
    for part in batches(count, AT_ONCE):
        here = z[part].astype(x.dtype)
        outputs, _ = model.decode(views, ops.asarray(here))
        nll, _ = model.negative_log_likelihood(views, outputs, ops.asarray(np.repeat(x, len(here), axis=0)), False)
        log_weights[part] = -ops.to_numpy(nll)
    log_weights = np.where(np.isfinite(log_weights), log_weights, -np.inf)
    if not np.isfinite(log_weights.max()):
        raise InputError("the model gives the given values no probability at all: they are too far from what it was trained on")
    weights = np.exp(log_weights - log_weights.max())
    effective = weights.sum() ** 2 / np.square(weights).sum()
    if effective < FEW:
        warnings.warn(
            f"the rows rest on {effective:.0f} effective samples of {count}: rows with the given values are rare, and these are alike",
            FewSamplesWarning, stacklevel=4,
        )
    ends = np.cumsum(weights)
    u = random.uniform(seed, "given columns", 1, (n,))
    return z[np.minimum(np.searchsorted(ends, u * ends[-1], side="right"), count - 1)]
