"""Filling in by a Markov chain: z given the completed row, what is missing given z, and again.

    x = (x_o, x_h)                                   x_o observed, x_h missing, at first what ``completed`` holds
    z~ ~ q(z|x)                                      a proposal from the encoder
    z  <- z~  with probability a, else it stays
    x_h ~ p(x_h|z)

**pseudo-Gibbs**: a = 1. The chain's distribution is p(x_h|x_o) only if q(z|x) is the posterior; the worse the encoder,
the further off.

**Metropolis-within-Gibbs**: q(z|x) is only what proposes. With the joint density of z and x_h given x_o for target,

    log a = min(0, r(z~) - r(z)),     r(z) = log p(x|z) + log p(z) - log q(z|x)

at one and the same x, which both r are of: the encoder sees it once. r is a log-weight (importance_weights.py), so a
proposal of higher weight is always taken. Whatever the encoder, the chain's distribution becomes p(z, x_h|x_o). A chain
that begins far away stays there for long, since a bad z has filled in what fits it; so it begins with some steps of
pseudo-Gibbs.

With several proposals z~_1 .. z~_N a step, one of them or the present z is chosen with probability v, their share of
the weights exp(r): iterated sampling-importance-resampling, which keeps the same distribution and moves more often.
Where much is missing, x_h binds z to what it was, and a single proposal is seldom taken.

A row whose numbers leave the dtype, as a decoder may drive them that was never trained there, begins anew.

What is kept: the mean of E[x_h|z] over the steps after those (each the expectation of that step's draw: less noise than
the draws), draws at equal distances, and by row: how often a proposal was accepted; the effective sample size and the
spread between chains, both of the sum of the row's missing features.

    ESS    = T W / (b var(means of stretches of b steps))     T steps, W the variance over them, b = floor(sqrt(T))
    spread = sqrt(1 + var(means of chains) / W)               near 1 if all chains tell the same (Gelman and Rubin's R)

Sources: Rezende, Mohamed & Wierstra (2014), appendix F, for pseudo-Gibbs; Mattei & Frellsen (2018), "Leveraging the
exact likelihood of deep latent variable models", section 4.2; Andrieu, Doucet & Holenstein (2010), "Particle Markov
chain Monte Carlo methods", section 4.1, for several proposals; Gelman & Rubin (1992), "Inference from iterative
simulation".
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from npvae.imputation.imputation import Imputation
from npvae.mathematics import random
from npvae.mathematics.objectives.decoding import Decoding
from npvae.support import check
from npvae.support.batches import batches
from npvae.support.memory_need import numbers_a_decoded_sample, refuse_what_does_not_fit

#: Rows whose chains run together.
ROWS = 1000


def chain_imputation(
    model,
    theta,
    x,
    completed,
    seed: int,
    *,
    metropolis: bool = True,
    steps: int = 200,
    warm_up: int = 50,
    chains: int = 1,
    proposals: int = 1,
    draws: int = 0,
    progress=None,
    view=None,
) -> Imputation:
    """Fill in x (N, I) with NaN by ``chains`` chains of ``steps`` steps each, after ``warm_up`` steps of pseudo-Gibbs.

    model: of complete rows (``Architecture.missing`` False). x, completed: NumPy arrays of theta's dtype; completed: x
    with numbers in the place of NaN, where the chains begin. view: the EncoderView of a model with one. proposals: N, a
    step of Metropolis-within-Gibbs. draws: M, at most chains * steps, equally far from each other. diagnostics:
    ``acceptance``, ``effective_sample_size`` (of all chains together), ``spread`` (nan for one chain). InputError: a
    number is out of range, or so many proposals do not fit into memory.
    """
    steps, warm_up = check.whole_number("steps", steps, 4), check.whole_number("warm_up", warm_up, 0)
    chains, draws = check.whole_number("chains", chains, 1), check.whole_number("draws", draws, 0)
    proposals = check.whole_number("proposals", proposals, 1)
    check.at_most("draws", draws, chains * steps, "one a step of every chain")
    rows, features = x.shape
    mean, drawn = np.empty((rows, features), x.dtype), np.empty((draws, rows, features), x.dtype)
    diagnostics = {name: np.empty(rows) for name in ("acceptance", "effective_sample_size", "spread")}
    refuse_what_does_not_fit(
        model.ops,
        "proposals",
        proposals,
        min(rows, ROWS) * x.itemsize * numbers_a_decoded_sample(model.architecture, False),
        f"for those of {min(rows, ROWS)} rows",
    )
    views = model.views(theta)
    wanted = {place: draw for draw, place in enumerate(_places(chains * steps, draws))}
    for piece, part in enumerate(batches(rows, ROWS)):
        runs = []
        for number in range(chains):
            stream = random.Stream(seed, "imputation chain", piece * chains + number)
            chain = Chain(model, views, x[part], completed[part], stream, view)
            for _ in range(warm_up):
                chain.step(0)
            moments = _Moments(chain.missing, steps)
            for step in range(steps):
                chain.step(proposals if metropolis else 0)
                moments.add(chain.expected, chain.accepted)
                draw = wanted.get(number * steps + step)
                if draw is not None:
                    drawn[draw, part] = chain.x
            runs.append(moments)
        expected = sum(run.total for run in runs) / (chains * steps)
        mean[part] = np.where(runs[0].missing, expected, x[part])
        with np.errstate(all="ignore"):  # the square of a number may be beyond the dtype where the number is not
            for name, values in _diagnose(runs).items():
                diagnostics[name][part] = values
        if progress is not None:
            progress(part.stop)
    return Imputation(mean, drawn if draws else None, diagnostics)


def _places(total: int, count: int) -> list[int]:
    """``count`` of ``total`` steps, equally far from each other, the last one among them."""
    return [total * (i + 1) // count - 1 for i in range(count)]


class Chain:
    """One chain for each of some rows."""

    def __init__(self, model, views, x: np.ndarray, completed: np.ndarray, stream, view=None) -> None:
        self._model, self._views, self._stream, self._view = model, views, stream, view
        self.missing = np.isnan(x)
        self._start = np.where(self.missing, completed, x)
        self.x = self._start  #: (B, I), the completed rows
        self.z: Any = None  #: (B, Z)
        self.accepted = np.ones(len(x), bool)  #: (B,), whether the last step's proposal was
        self.expected = self.x  #: (B, I), E[x|z] of the last step

    def step(self, proposals: int) -> None:
        """z, and then what is missing. proposals: of Metropolis-within-Gibbs; 0 is a step of pseudo-Gibbs."""
        with np.errstate(all="ignore"):  # what is not finite is seen to below
            self._step(proposals)

    def _step(self, proposals: int) -> None:
        to_numpy = self._model.ops.to_numpy
        x = self._model.ops.asarray(self.x if self._view is None else self._view.beside(self.x))
        (mu, logvar), _ = self._model.encode(self._views, x)
        mu_here, deviation = to_numpy(mu), np.exp(0.5 * to_numpy(logvar))
        eps = self._stream.normal((max(proposals, 1), *mu_here.shape), mu_here.dtype)
        if proposals == 0 or self.z is None:
            self.accepted, self.z = np.ones(len(self.x), bool), mu_here + deviation * eps[0]
        else:
            # All samples of every row at once: the proposals, and last where the chain stands, as what it is an eps of.
            every = np.concatenate([eps, ((self.z - mu_here) / deviation)[None]])
            decoding = Decoding(self._model, self._views, x, mu, logvar, self._model.ops.asarray(every), gradient=False)
            chosen = self._choose(to_numpy(decoding.log_prior_ratio - decoding.nll).astype(np.float64))
            self.accepted = chosen < proposals
            moved = mu_here + deviation * every[chosen, np.arange(len(chosen))]
            self.z = np.where(self.accepted[:, None], moved, self.z)
        self.expected = to_numpy(self._model.expected(self._views, self._model.ops.asarray(self.z)))
        self.x = np.where(self.missing, self._model.draw(self._views, self.z, self._stream), self.x)
        lost = ~np.all(np.isfinite(self.x) & np.isfinite(self.expected), axis=1)
        if lost.any():
            self.x = np.where(lost[:, None], self._start, self.x)
            self.expected = np.where(lost[:, None], self._start, self.expected)
            self.z = np.where(lost[:, None], 0.0, self.z)

    def _choose(self, log_weights: np.ndarray) -> np.ndarray:
        """The number of the sample to go to, (B,), from log-weights (N + 1, B), the present one's last."""
        u = self._stream.uniform(log_weights.shape[1:])
        log_weights = np.where(np.isnan(log_weights), -math.inf, log_weights)
        log_weights[-1] = np.maximum(log_weights[-1], -1e300)  # where no sample has a weight it stays
        if (
            len(log_weights) == 2
        ):  # Metropolis: the proposal with probability min(1, exp(proposed - present)); 1 - u is never 0
            return np.where(np.log1p(-u) < log_weights[0] - log_weights[1], 0, 1)
        weights = np.exp(log_weights - log_weights.max(axis=0))
        ends = np.cumsum(weights, axis=0)
        return (ends <= u * ends[-1]).sum(axis=0)  # u is at most 1 - 2^-53, so the product is below the last


class _Moments:
    """Sums over a chain's steps: of E[x|z], of the row's sum of what is missing and its stretches, of acceptances."""

    def __init__(self, missing: np.ndarray, steps: int) -> None:
        self.missing, self.steps, self.total = missing, steps, np.zeros(missing.shape)
        self._stretch, self._counted = math.isqrt(steps), 0
        self._sums, self.accepted = np.empty((steps, len(missing))), np.zeros(len(missing))

    def add(self, expected: np.ndarray, accepted: np.ndarray) -> None:
        """Count a step."""
        self._sums[self._counted] = np.where(self.missing, expected, 0.0).sum(axis=1)
        self.total += expected
        self.accepted += accepted
        self._counted += 1

    @property
    def mean(self) -> np.ndarray:
        """Of the row's sum."""
        return self._sums.mean(axis=0)

    @property
    def variance(self) -> np.ndarray:
        """Of the row's sum over the steps."""
        return self._sums.var(axis=0, ddof=1)

    @property
    def effective_sample_size(self) -> np.ndarray:
        """From 1 to the number of steps."""
        whole = self.steps // self._stretch
        means = self._sums[: whole * self._stretch].reshape(whole, self._stretch, -1).mean(axis=1)
        between = self._stretch * means.var(axis=0, ddof=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            size = self.steps * self.variance / between
        moves = self.variance > 1e-20 * np.square(self._sums).mean(
            axis=0
        )  # a mean of equal numbers may be a rounding off
        return np.clip(np.where(moves, size, 1.0), 1.0, self.steps)


def _diagnose(runs: list[_Moments]) -> dict[str, np.ndarray]:
    within = np.mean([run.variance for run in runs], axis=0)
    spread = np.full(len(within), math.nan)
    if len(runs) > 1:
        between = np.var([run.mean for run in runs], axis=0, ddof=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            spread = np.where(between > 1e-20 * np.square(runs[0].mean), np.sqrt(1.0 + between / within), 1.0)
    steps = sum(run.steps for run in runs)
    size = sum(run.effective_sample_size for run in runs)
    accepted: np.ndarray = sum((run.accepted for run in runs[1:]), start=runs[0].accepted)
    return {
        "acceptance": accepted / steps,
        "spread": spread,
        "effective_sample_size": np.where(
            runs[0].missing.any(axis=1), size, steps
        ),  # complete rows have nothing to be asked
    }
