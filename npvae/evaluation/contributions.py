"""What each variable contributes to -log p(x), by importance sampling from the approximate posterior.

    -log p(x) = sum_v c_v + c_z

    c_v = E_p(z|x)[-log p(x_v | z)]         of variable v: a column, or several that belong together
    c_z = KL(p(z|x) || p(z))                of the latent space: how unlike any other row the row's z is

for any model whose variables are independent given z, since log p(x) = log p(x|z) + log p(z) - log p(z|x) for every z.
From samples z_k ~ q(z|x) with weights w_k = p(x|z_k) p(z_k) / q(z_k|x), v_k = w_k / sum_l w_l,

    log p(x) ~ log (1/K) sum_k w_k = L      c_v ~ sum_k v_k (-log p(x_v | z_k))      c_z ~ -L - sum_v c_v

so that the sum is exact for any K. A variable that is missing contributes 0. L, its standard error and the effective
sample size are those of log_likelihood.py, of the same samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from npvae.evaluation.log_likelihood import Weights
from npvae.mathematics import random
from npvae.mathematics.objectives.decoding import Decoding
from npvae.support import check
from npvae.support.batches import batches
from npvae.support.memory_need import numbers_a_decoded_sample, refuse_what_does_not_fit

#: Samples of z that are decoded at a time, if a row has no more.
AT_ONCE = 4096


@dataclass(frozen=True)
class Contributions:
    """Of N rows and V variables, in nats, float64: -log p(x), (N,), its standard error, (N,), and what it is the sum
    of: ``by_variable`` (N, V) and ``latent`` (N,). effective_sample_size: (N,)."""

    score: np.ndarray
    standard_error: np.ndarray
    effective_sample_size: np.ndarray
    by_variable: np.ndarray
    latent: np.ndarray


def contributions(model, theta, x, seed: int, samples: int = 200, progress=None) -> Contributions:
    """Of the rows of x (N, columns), an array of the backend, with ``samples`` samples of z a row, which are kept
    together.

    progress: called with the number of rows done, now and then.
    InputError: a number is out of range, there are no rows, or the samples do not fit in memory.
    """
    samples = check.whole_number("samples", samples, 1)
    rows = check.whole_number("the number of rows of x", x.shape[0], 1)
    ops, latent_dim, dtype = model.ops, model.architecture.latent_dim, model.ops.dtype_name(x)
    at_once = max(AT_ONCE, samples)
    refuse_what_does_not_fit(
        ops,
        "samples",
        samples,
        np.dtype(dtype).itemsize * numbers_a_decoded_sample(model.architecture, gradient=False),
        "for the samples that are decoded together",
    )
    views = model.views(theta)
    variables = model.likelihood.variables(model.architecture.n_features)
    results, by_variable = [np.empty(rows) for _ in range(3)], np.empty((rows, len(variables)))
    with model.ops.memory_guard(at_once, "samples"):
        for part in batches(rows, at_once // samples):
            (mu, logvar), _ = model.encode(views, x[part, ...])
            eps = random.normal_of_rows(
                seed, "likelihood noise", range(part.start, part.stop), 0, samples, latent_dim, dtype
            )
            decoding = Decoding(model, views, x[part, ...], mu, logvar, ops.asarray(eps), gradient=False)
            log_w = ops.to_numpy(decoding.log_prior_ratio - decoding.nll).astype(np.float64)
            weights = Weights(part.stop - part.start)
            weights.add(log_w)
            for result, values in zip(results, weights.result(), strict=True):
                result[part] = values
            shares = np.exp(log_w - log_w.max(axis=0))
            shares /= shares.sum(axis=0)
            for v, loss in enumerate(decoding.losses_by_variable()):
                by_variable[part, v] = (shares * ops.to_numpy(loss)).sum(axis=0)
            if progress is not None:
                progress(part.stop)
    log_p, effective, error = results
    return Contributions(-log_p, error, effective, by_variable, -log_p - by_variable.sum(axis=1))
