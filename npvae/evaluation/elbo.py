"""The ELBO and its parts over a set of data, batch by batch."""

from __future__ import annotations

import numpy as np

from npvae.fused import evaluator_for
from npvae.mathematics import objectives, random
from npvae.support.batches import batches

#: A latent dimension is active if the variance of its posterior mean over the data is above this.
#: Source: Burda, Grosse & Salakhutdinov (2016), "Importance weighted autoencoders", section 5.2.
ACTIVE_VARIANCE = 0.01


class ElboAverages:
    """Means over rows of the parts of the ELBO, gathered batch by batch without leaving the device."""

    def __init__(self, xp) -> None:
        self._xp = xp
        self._rows = 0
        self._sums: dict = {}

    def add(self, terms: objectives.Terms) -> None:
        """Count a batch; its rows weigh the same as any others."""
        rows = terms.nll_rows.shape[0]
        xp = self._xp
        self._rows += rows
        mu = xp.asarray(
            terms.mu, dtype=xp.float64
        )  # the variance is a difference: squares of float32 would leave nothing of it
        self._add("loss", terms.loss * rows)
        self._add("reconstruction", terms.reconstruction * rows)
        self._add("kl_per_dimension", xp.sum(xp.asarray(terms.kl_rows, dtype=xp.float64), axis=0))
        self._add("mu", xp.sum(mu, axis=0))
        self._add("mu_squared", xp.sum(mu * mu, axis=0))
        if terms.bound is not None:
            self._add("bound", terms.bound * rows)
        if terms.labelled is not None:
            for name, value in zip(("labelled", "wrong", "cross_entropy"), terms.labelled, strict=True):
                self._add(name, value)

    def add_sums(self, rows: int, **sums) -> None:
        """Count rows whose sums are known: of loss, reconstruction, kl_per_dimension, mu, mu_squared, perhaps bound,
        and perhaps labelled, wrong, cross_entropy."""
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
        """loss, elbo, reconstruction, kl (nats a row), kl_per_dimension (list), active_units (count); and ``bound``,
        where the objective has another than the ELBO; and where rows have labels, ``error``, the share of the labelled
        rows that are taken for another class, and their ``cross_entropy``, NaN where no row has one.
        """
        mean = {name: to_numpy(total) / self._rows for name, total in self._sums.items()}
        kl = mean["kl_per_dimension"]
        variance = mean["mu_squared"] - mean["mu"] ** 2
        return {
            "loss": float(mean["loss"]),
            "elbo": -float(mean["reconstruction"] + kl.sum()),
            **({"bound": float(mean["bound"])} if "bound" in mean else {}),
            **self._of_labelled(),
            "reconstruction": float(mean["reconstruction"]),
            "kl": float(kl.sum()),
            "active_units": int((variance > ACTIVE_VARIANCE).sum()),
            "kl_per_dimension": [float(value) for value in kl],
        }

    def _of_labelled(self) -> dict:
        if "labelled" not in self._sums:
            return {}
        count, *sums = (float(self._sums[name]) for name in ("labelled", "wrong", "cross_entropy"))
        return dict(
            zip(("error", "cross_entropy"), (value / count if count else float("nan") for value in sums), strict=True)
        )


def evaluate_elbo(
    model,
    theta,
    x,
    seed: int,
    beta: float = 1.0,
    batch_size: int = 1000,
    purpose: str = "evaluation noise",
    objective: objectives.Objective | None = None,
) -> dict:
    """The parts of the ELBO on x (N, I), one noise draw a row: see :meth:`ElboAverages.result`. Of another
    objective its loss and bound, with as many draws as it takes.

    The noise is a function of (seed, purpose, batch), so two calls with one seed compare like with like.
    """
    averages = ElboAverages(model.ops.xp)
    objective = objective or objectives.ELBO()
    plain = x.shape[0] and objective == objectives.ELBO()
    evaluator = evaluator_for(model.ops, model, x, batch_size) if plain else None
    if evaluator is not None:
        rows, sums = evaluator.evaluate(theta, seed, purpose, beta)
        averages.add_sums(rows, **sums)
        return averages.result(model.ops.to_numpy)
    with model.ops.memory_guard(batch_size):
        for step, part in enumerate(batches(x.shape[0], batch_size)):
            averages.add(_batch(model, objective, theta, x[part, ...], seed, purpose, step, beta))
    return averages.result(model.ops.to_numpy)


def elbo_rows(
    model, theta, x, seed: int, draws: int = 1, batch_size: int = 1000, purpose: str = "evaluation noise"
) -> np.ndarray:
    """The ELBO of each row, (N,) float64, averaged over ``draws`` of the noise."""
    total = np.zeros(x.shape[0])
    parts = list(batches(x.shape[0], batch_size))
    for draw in range(draws):
        for index, part in enumerate(parts):
            step = draw * len(parts) + index
            terms = _batch(model, objectives.ELBO(), theta, x[part, ...], seed, purpose, step, 1.0)
            kl = model.ops.to_numpy(terms.kl_rows).astype(np.float64)
            total[part] -= model.ops.to_numpy(terms.nll_rows) + kl.sum(axis=1)
    return total / draws


def _batch(model, objective, theta, x, seed, purpose, step, beta):
    shape = objective.noise_shape(x.shape[0], model.architecture.latent_dim)
    eps = model.ops.asarray(random.normal(seed, purpose, step, shape, model.ops.dtype_name(x)))
    return objective.loss(model, theta, x, eps, beta, gradient=False)[0]
