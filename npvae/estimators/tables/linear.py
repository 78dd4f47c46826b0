"""The linear-Gaussian model that a table's networks start from: with a full covariance, or of few factors.

A full covariance is all there is to know where rows are many and columns few. Of wide tables it is not learnt: factor
analysis then predicts better, and costs less. How many factors there are is decided by the cells that are held out.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from npvae.imputation import FactorAnalysis, Normal, fit_factor_analysis, fit_normal
from npvae.imputation.normal import operations_of

#: Tables of at most so many columns, and more rows than that, have a full covariance.
FEW_COLUMNS = 20
#: Numbers of factors that are tried.
FACTORS = 2, 5, 10, 20
#: Multiplications that a step of EM with a full covariance may take, and rows at most that the model is fitted to.
LARGEST_STEP, MOST_ROWS = 2 * 10**9, 50_000


def fit_linear(x: np.ndarray, factors: int | None, enough: Callable | None = None) -> Normal | FactorAnalysis:
    """The model of x (N, D) with NaN; factors: how many, None for a full covariance; enough: says that there is no time
    for another step of EM."""
    x = x[:: -(-len(x) // MOST_ROWS)]
    return fit_normal(x, enough=enough) if factors is None else fit_factor_analysis(x, factors, enough=enough)


def fit_unwatched(x: np.ndarray) -> Normal | FactorAnalysis:
    """The model of x (N, D) with NaN where no cells are held out to choose it by: a full covariance, if the rows
    bear it, or ten factors.
    """
    return fit_linear(x, None if _bears_full_covariance(x) else min(FACTORS[2], max(1, x.shape[1] // 2)))


def _bears_full_covariance(x: np.ndarray) -> bool:
    return len(x) > x.shape[1] and operations_of(x) <= LARGEST_STEP


def choose_linear(
    x: np.ndarray, error_of: Callable, enough: Callable | None = None
) -> tuple[Normal | FactorAnalysis, int | None]:
    """``(model, factors)``: the one of the least ``error_of(model)``; more factors are tried as long as they do better.
    enough: says after a model, or a step of one, that there is no time for another."""
    columns, full = x.shape[1], _bears_full_covariance(x)
    if columns <= FEW_COLUMNS and full:
        return fit_linear(x, None, enough), None
    best = np.inf
    for factors in ([None] if full else []) + [count for count in FACTORS if count <= max(FACTORS[0], columns // 2)]:
        model = fit_linear(x, factors, enough)
        error = error_of(model)
        if error < best:
            best, found = error, (model, factors)
        elif factors is not None and found[1] is not None:
            break
        if enough is not None and enough():
            break
    return found
