"""What a trained model is judged by: the ELBO and its parts, and the log-likelihood by importance sampling."""

from __future__ import annotations

import math

import numpy as np

from npvae import objectives, random

#: A latent dimension is active if the variance of its posterior mean over the data is above this.
#: Source: Burda, Grosse & Salakhutdinov (2016), "Importance weighted autoencoders", section 5.2.
ACTIVE_VARIANCE = 0.01


class ElboAverages:
    """Means over rows of the parts of the ELBO, gathered batch by batch without leaving the device."""

    def __init__(self, xp) -> None:
        self._xp = xp
        self._rows = 0
        self._sums: dict = {}

    def add(self, terms: objectives.ElboTerms) -> None:
        """Count a batch; its rows weigh the same as any others."""
        rows = terms.nll_rows.shape[0]
        xp = self._xp
        self._rows += rows
        self._add("loss", terms.loss * rows)
        self._add("reconstruction", terms.reconstruction * rows)
        self._add("kl_per_dimension", xp.sum(terms.kl_rows, axis=0))
        self._add("mu", xp.sum(terms.mu, axis=0))
        self._add("mu_squared", xp.sum(terms.mu * terms.mu, axis=0))

    def add_sums(self, rows: int, **sums) -> None:
        """Count rows whose sums are known: of loss, reconstruction, kl_per_dimension, mu, mu_squared."""
        self._rows += rows
        for name, value in sums.items():
            self._add(name, value)

    def sums(self) -> tuple[int, dict]:
        """The rows and their sums so far, float64 on the device."""
        return self._rows, dict(self._sums)

    def _add(self, name, value) -> None:
        value = self._xp.asarray(value, dtype=self._xp.float64)
        self._sums[name] = value if name not in self._sums else self._sums[name] + value

    def result(self, to_numpy) -> dict:
        """loss, elbo, reconstruction, kl (nats a row), kl_per_dimension (list), active_units (count)."""
        mean = {name: to_numpy(total) / self._rows for name, total in self._sums.items()}
        kl = mean["kl_per_dimension"]
        variance = mean["mu_squared"] - mean["mu"] ** 2
        return {
            "loss": float(mean["loss"]),
            "elbo": -float(mean["reconstruction"] + kl.sum()),
            "reconstruction": float(mean["reconstruction"]),
            "kl": float(kl.sum()),
            "active_units": int((variance > ACTIVE_VARIANCE).sum()),
            "kl_per_dimension": [float(value) for value in kl],
        }


def batches(rows: int, batch_size: int):
    """Slices that cover ``rows`` in order."""
    for start in range(0, rows, batch_size):
        yield slice(start, min(start + batch_size, rows))


def evaluate_elbo(
    model, theta, x, seed: int, beta: float = 1.0, batch_size: int = 1000, purpose: str = "evaluation noise"
) -> dict:
    """The parts of the ELBO on x (N, I), one noise draw a row: see :meth:`ElboAverages.result`.

    The noise is a function of (seed, purpose, batch), so two calls with one seed compare like with like.
    """
    averages = ElboAverages(model.ops.xp)
    program = model.ops.evaluation_program(model, x, batch_size) if x.shape[0] else None
    if program is not None:
        rows, sums = program.evaluate(theta, seed, purpose, beta)
        averages.add_sums(rows, **sums)
        return averages.result(model.ops.to_numpy)
    with model.ops.memory_guard(batch_size):
        for step, part in enumerate(batches(x.shape[0], batch_size)):
            averages.add(_elbo_batch(model, theta, x[part, ...], seed, purpose, step, beta))
    return averages.result(model.ops.to_numpy)


def elbo_rows(
    model, theta, x, seed: int, draws: int = 1, batch_size: int = 1000, purpose: str = "evaluation noise"
) -> np.ndarray:
    """The ELBO of each row, (N,) float64, averaged over ``draws`` of the noise."""
    total = np.zeros(x.shape[0])
    parts = list(batches(x.shape[0], batch_size))
    for draw in range(draws):
        for index, part in enumerate(parts):
            terms = _elbo_batch(model, theta, x[part, ...], seed, purpose, draw * len(parts) + index, 1.0)
            kl = model.ops.to_numpy(terms.kl_rows).astype(np.float64)
            total[part] -= model.ops.to_numpy(terms.nll_rows) + kl.sum(axis=1)
    return total / draws


def _elbo_batch(model, theta, x, seed, purpose, step, beta):
    shape = (x.shape[0], model.architecture.latent_dim)
    eps = model.ops.asarray(random.normal(seed, purpose, step, shape, model.ops.dtype_name(x)))
    return objectives.negative_elbo(model, theta, x, eps, beta, gradient=False)[0]


def log_likelihood_rows(model, theta, x, seed: int, samples: int, batch_size: int = 100) -> np.ndarray:
    """log p(x) of each row by importance sampling from the posterior, (N,) float64, in nats.

        log p(x) ~ log (1/K) sum_k w_k          w_k = p(x|z_k) p(z_k) / q(z_k|x),  z_k ~ q(z|x)
        log w_k  = -nll_k - sum_j z_kj^2 / 2 + sum_j (eps_kj^2 + logvar_j) / 2

    A lower bound in expectation for any K, the ELBO at K = 1, log p(x) as K grows.

    Source: Burda, Grosse & Salakhutdinov (2016), eq. 8.
    """
    ops, xp = model.ops, model.ops.xp
    views = model.views(theta)
    own = model.likelihood_parameters(views)
    dtype = ops.dtype_name(x)
    result = np.empty(x.shape[0])
    for index, part in enumerate(batches(x.shape[0], batch_size)):
        rows = x[part, ...]
        (mu, logvar), _ = model.encode(views, rows)
        log_weights = np.empty((samples, rows.shape[0]))
        for k in range(samples):
            noise = random.normal(seed, "evaluation noise", index * samples + k, mu.shape, dtype)
            eps = ops.asarray(noise)
            z = ops.sample_forward(mu, logvar, eps)
            outputs, _ = model.decode(views, z)
            nll, _ = model.likelihood.negative_log_likelihood(ops, outputs, rows, own, gradient=False)
            log_ratio = 0.5 * xp.sum(eps * eps + logvar - z * z, axis=1)
            log_weights[k] = ops.to_numpy(log_ratio - nll)
        largest = log_weights.max(axis=0)
        result[part] = largest + np.log(np.exp(log_weights - largest).sum(axis=0)) - math.log(samples)
    return result
