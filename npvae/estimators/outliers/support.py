"""The half of a table's rows that are the least like outliers, by concentration.

    S_0 = all rows
    S_t = the h rows of the largest log p(x), by the linear model that fits S_(t-1)        h = n support_fraction

What is fitted to all rows has been drawn towards the outliers among them, and finds them less unusual than they are; of
a group of them, as usual as everything else. The linear model is the one that training starts from
(imputation/start.py): factors of the normal distribution of the rows, Student's t around them; nothing is trained here.

Source: Rousseeuw & Van Driessen (1999), "A fast algorithm for the minimum covariance determinant estimator", whose
C-steps these are, by the density of a model with few factors in the place of the Mahalanobis distance.
"""

from __future__ import annotations

import numpy as np

from npvae import evaluation
from npvae.imputation import start_from
from npvae.mathematics import random

#: Concentration steps, samples of z a row in each, and the fewest rows that are kept.
STEPS, SAMPLES, FEWEST = 3, 20, 10
#: Rows at most among which the support is looked for; of a longer table others have no part in training.
MOST_ROWS = 20_000


def support_rows(table, model, x: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """The places, in order, of the support among the rows x (N, D) with NaN. table: a TableRows; model: of its rows.

    Every column is observed in two of them, if it is in two rows at all.
    """
    among = np.sort(random.permutation(seed, "support", 0, len(x))[:MOST_ROWS])
    count = min(len(among), max(int(np.ceil(fraction * len(among))), FEWEST))
    chosen = among
    for _ in range(STEPS if count < len(among) else 0):
        fitted, theta = table.fitted(x[chosen]), model.initial_parameters(seed, "float32")
        start_from(model, theta, fitted.normal, table.schema.view)
        rows = model.ops.asarray(fitted.beside(x[among].astype(np.float32)))
        log_p = evaluation.log_likelihood(model, theta, rows, seed, SAMPLES).rows
        order = among[np.argsort(-log_p, kind="stable")]
        chosen = _with_observed_columns(x, order, count)
    return chosen


def _with_observed_columns(x: np.ndarray, order: np.ndarray, count: int) -> np.ndarray:
    """The first ``count`` rows in an order, and the first others without which a column were observed in fewer than
    two.
    """
    chosen = order[:count]
    for column in range(x.shape[1]):
        observed = ~np.isnan(x[:, column])
        lacking = 2 - int(observed[chosen].sum())
        if lacking > 0:
            others = order[count:]
            more = others[observed[others] & ~np.isin(others, chosen)][:lacking]
            chosen = np.concatenate([chosen, more])
    return np.sort(chosen)
