"""Synthetic rows of which some columns are given: z by its distribution given these, then the other columns.

    z_k ~ q(z), the aggregate posterior (latents.py)          k = 1 .. K
    w_k = p(x_o | z_k)                                        x_o the numbers of the given columns
    z   = z_j, j drawn with the probability w_j / sum_k w_k   sampling-importance-resampling
    x_h ~ p(x_h | z)

    ESS = 1 / sum_k v_k^2,  v the weights in shares           of how many samples the rows consist

Given columns of a block of which combinations are drawn (combinations.py) have, in the place of p(x_o|z), the
probability that the block's combination is one that agrees, given values v that are drawn from p(x|z) and kept; of the
rows that are not exchanged it stays p(x_o|z).

It becomes exact as K grows. The given values are in the rows as they were given.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from npvae.data.tables.cells import of_objects
from npvae.data.tables.frames import column_name
from npvae.errors import FewSamplesWarning, InputError, InputTypeError
from npvae.mathematics import random
from npvae.support.batches import batches

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
            why = (
                f": it is carried ({schema.carried[name]}), so that the model knows nothing of it"
                if name in schema.carried
                else ""
            )
            raise InputError(
                f"given names the column {name!r}, but the model's columns are {', '.join(map(repr, known[:20]))}{why}"
            )
    return found


def row_of(given: dict, table) -> np.ndarray:
    """The given values as a row (1, D) of the likelihoods' numbers, NaN for the others. InputError: values that the
    columns have not.
    """
    for column in table.schema.columns:
        value = given.get(column.name)
        cells = of_objects(np.array([value, None], object)[:1])
        if len(column.values) and not cells.missing[0] and column.unseen(cells.cells, ~cells.missing)[0]:
            raise InputError(
                f"given: the column {column.name!r} has no value {value!r}; it has "
                f"{', '.join(map(repr, column.values[:20]))}"
            )
    return table.read(
        {column.name: np.array([given.get(column.name)], object) for column in table.schema.columns},
        np.float64,
        "given",
    )


def latents_given(model, theta, table, row: np.ndarray, n: int, seed: int) -> tuple[np.ndarray, Exchange]:
    """z (n, Z) given the row (1, D) with NaN, and what goes with it. FewSamplesWarning: few samples agree with it."""
    count = min(MOST, max(SAMPLES, SAMPLES_A_ROW * n))
    z = table.latents.draw(count, random.seed_for_part(seed, "given columns", 0))
    given = table.given_values(row)
    alone, blocks, is_exchanged, drawn = _log_weights(model, theta, z, row), table.blocks_given(given), None, {}
    log_weights = alone
    if blocks:
        rest = row.copy()
        for k in blocks:
            for i in table.combinations[k].columns:
                rest[:, table.schema.slices[i]] = np.nan
        exchanged = _log_weights(model, theta, z, rest)
        x = model.draw(model.views(theta), z.astype(str(theta.dtype)), random.Stream(seed, "given columns", 2))
        for k, which in blocks.items():
            drawn[k] = table.block_numbers(x, k, random.Stream(seed, "given columns", 3))
            exchanged += table.combinations[k].log_probability(drawn[k], which)
        with np.errstate(divide="ignore"):
            exchanged, alone = exchanged + np.log(table.exchanged), alone + np.log1p(-table.exchanged)
        log_weights = np.logaddexp(exchanged, alone)
    log_weights = np.where(np.isfinite(log_weights), log_weights, -np.inf)
    if not np.isfinite(log_weights.max()):
        raise InputError(
            "the model gives the given values no probability at all: they are too far from what it was trained on"
        )
    weights = np.exp(log_weights - log_weights.max())
    effective = weights.sum() ** 2 / np.square(weights).sum()
    if effective < FEW:
        warnings.warn(
            f"the rows rest on {effective:.0f} effective samples of {count}: rows with the given values are rare, and "
            f"these are alike",
            FewSamplesWarning,
            stacklevel=4,
        )
    ends = np.cumsum(weights)
    u = random.uniform(seed, "given columns", 1, (n,))
    rows = np.minimum(np.searchsorted(ends, u * ends[-1], side="right"), count - 1)
    if blocks:
        chance = np.exp(np.where(np.isfinite(exchanged), exchanged - log_weights, -np.inf)[rows])
        is_exchanged = random.uniform(seed, "given columns", 4, (n,)) < chance
    return z[rows], Exchange({k: own[rows] for k, own in drawn.items()}, is_exchanged)


@dataclass(frozen=True)
class Exchange:
    """What has been drawn for blocks of columns that are exchanged (combinations.py). drawn: of blocks, by their
    places, what the model draws, (n, columns); is_exchanged: of which rows they are exchanged, (n,), or None: of some
    at random."""

    drawn: dict[int, np.ndarray] = field(default_factory=dict)
    is_exchanged: np.ndarray | None = None


def _log_weights(model, theta, z: np.ndarray, row: np.ndarray) -> np.ndarray:
    """log p(x_o|z) of what the row (1, D) has, for every z (K, Z), (K,); minus infinity where it is not finite."""
    views, ops, found = model.views(theta), model.ops, np.zeros(len(z))
    x = np.concatenate([row, np.zeros_like(row)], axis=1).astype(ops.dtype_name(theta))
    if not np.isnan(row).all():
        for part in batches(len(z), AT_ONCE):
            here = z[part].astype(x.dtype)
            outputs, _ = model.decode(views, ops.asarray(here))
            nll, _ = model.negative_log_likelihood(views, outputs, ops.asarray(np.repeat(x, len(here), axis=0)), False)
            found[part] = -ops.to_numpy(nll)
    return np.where(np.isfinite(found), found, -np.inf)
