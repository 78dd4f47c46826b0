"""The methods by name, for a model of complete rows or of incomplete ones.

    single_pass     E[x|z] at z = mu(x with zeros for what is missing): one pass through the network, as in the study
                    note and its code; the encoder takes the zeros for data
    pseudo_gibbs    chains.py, every proposal accepted
    metropolis      chains.py, Metropolis-within-Gibbs: exact in the long run, for models of complete rows
    importance      importance.py: exact for many samples; for models of complete rows the encoder proposes from what
                    twenty steps of pseudo-Gibbs filled in
    auto            metropolis for a model of complete rows, importance for one that was trained on incomplete ones

A model that was trained with ``missing`` has an encoder for incomplete rows, so no chain is needed to complete them
first.
"""

from __future__ import annotations

import numpy as np

from npvae.errors import InputError
from npvae.imputation.chains import chain_imputation
from npvae.imputation.importance import importance_imputation
from npvae.imputation.imputation import Imputation
from npvae.mathematics import random
from npvae.mathematics.model import Model
from npvae.support import check

METHODS = ("auto", "single_pass", "pseudo_gibbs", "metropolis", "importance")
#: Steps of pseudo-Gibbs from whose result the encoder of a model of complete rows proposes.
STEPS_TO_COMPLETE = 20
#: Draws from the prior whose mean is where chains begin.
PRIOR_DRAWS = 1000


class OnIncompleteRows(Model):
    """A model of complete rows, asked about incomplete ones: rows are x with NaN, and behind it what the encoder sees
    of x completed, (B, 2 I).

    The encoder sees the completed row, the likelihood what is observed.
    """

    def __init__(self, architecture, ops) -> None:
        super().__init__(architecture, ops)
        self._has_holes = self._has_completed = True


def impute(
    model,
    theta,
    x: np.ndarray,
    seed: int,
    method: str = "auto",
    *,
    draws: int = 0,
    samples: int = 1000,
    steps: int = 200,
    warm_up: int = 50,
    chains: int = 1,
    proposals: int = 10,
    progress=None,
    view=None,
) -> Imputation:
    """Fill in x (N, I), NumPy, of theta's dtype, with NaN; theta: (P,), on the backend; view: the EncoderView of a
    model with one.

    samples: of importance. steps, warm_up, chains: of the chains; proposals: a step of "metropolis". progress: called
    with the number of rows done. InputError, UnknownNameError: an argument is not what it must be, or the method does
    not suit the model.
    """
    incomplete = model.architecture.missing
    check.one_of("method", method, METHODS)
    numbers = {"samples": samples, "steps": steps, "chains": chains, "proposals": proposals}
    for name, value in numbers.items():
        check.whole_number(name, value, 4 if name == "steps" else 1)
    check.whole_number("warm_up", warm_up, 0)
    if method == "auto":
        method = "importance" if incomplete else "metropolis"
    if method == "importance" and incomplete:
        rows = x if view is None else view.beside(x)
        return importance_imputation(model, theta, model.ops.asarray(rows), seed, samples, draws, progress=progress)
    if method == "single_pass":
        check.at_most("draws", draws, 0, "a single pass has none")
        return _single_pass(model, theta, x, view)
    if incomplete:
        raise InputError(
            f"method {method!r} needs a model of complete rows; this one was trained with missing=True: "
            "use 'importance'"
        )
    start = np.broadcast_to(_prior_mean(model, theta, seed, x.dtype), x.shape)
    if method == "importance":
        found = chain_imputation(
            model,
            theta,
            x,
            start,
            seed,
            metropolis=False,
            steps=STEPS_TO_COMPLETE,
            warm_up=STEPS_TO_COMPLETE,
            view=view,
        )
        seen = found.mean if view is None else view.of(found.mean).astype(x.dtype)
        rows = model.ops.asarray(np.concatenate([x, seen], axis=1))
        asked = OnIncompleteRows(model.architecture, model.ops)
        return importance_imputation(asked, theta, rows, seed, samples, draws, progress=progress)
    return chain_imputation(
        model,
        theta,
        x,
        start,
        seed,
        metropolis=method == "metropolis",
        steps=steps,
        warm_up=warm_up,
        chains=chains,
        proposals=proposals,
        draws=draws,
        progress=progress,
        view=view,
    )


def _single_pass(model, theta, x, view) -> Imputation:
    views, ops = model.views(theta), model.ops
    observed = ~np.isnan(x)
    given = x if model.architecture.missing else np.where(observed, x, np.zeros((), x.dtype))
    (mu, _), _ = model.encode(views, ops.asarray(given if view is None else view.beside(x)))
    return Imputation(np.where(observed, x, ops.to_numpy(model.expected(views, mu))), None, {})


def _prior_mean(model, theta, seed: int, dtype) -> np.ndarray:
    """E[x], (I,), from draws of z."""
    views, ops = model.views(theta), model.ops
    z = random.normal(seed, "imputation chain", 0, (PRIOR_DRAWS, model.architecture.latent_dim), dtype, draw=1 << 20)
    return ops.to_numpy(model.expected(views, ops.asarray(z))).mean(axis=0)
