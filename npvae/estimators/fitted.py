"""What a fitted VAE can do: its latent space, samples, scores, and filling in what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from npvae import evaluation
from npvae.estimators import inputs
from npvae.estimators.base import Estimator
from npvae.imputation import Imputation, methods
from npvae.mathematics import random
from npvae.support import check
from npvae.support.batches import batches
from npvae.support.memory_need import refuse_too_many_samples
from npvae.support.progress import progress_bar


class FittedVAE(Estimator):
    """The methods of a :class:`npvae.VAE` that need it fitted; ``fit`` and ``load`` set the attributes that end in an
    underscore."""

    def encode(self, X: ArrayLike | Mapping[str, Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """``(mu, logvar)`` of q(z|x), each (N, Z), of the model's dtype.

        NotFittedError, and the errors of ``fit`` about data; the same for every method that takes X.
        """
        x = self._rows(self._input(X))
        mu, logvar = evaluation.posterior(self.model_, self.device_theta(), x)
        check.finite_result("q(z|x)", mu, logvar)
        return mu, logvar

    def transform(self, X: ArrayLike | Mapping[str, Any]) -> NDArray[Any]:
        """The posterior means, (N, Z): the same every call."""
        return self.encode(X)[0]

    def inverse_transform(self, Z: ArrayLike) -> Any:
        """E[x|z] for Z (N, latent_dim), in the data's units and shape."""
        self._check_fitted()
        z = inputs.as_rows(Z, str(self.theta_.dtype), name="Z", n_features=self.model_.architecture.latent_dim).values
        views, ops = self.model_.views(self.device_theta()), self.model_.ops
        parts = [ops.to_numpy(self.model_.expected(views, ops.asarray(z[part]))) for part in batches(len(z), 1000)]
        return self._output(np.concatenate(parts))

    def reconstruct(self, X: ArrayLike | Mapping[str, Any], *, sample: bool = False, random_state: Any = None) -> Any:
        """E[x|z] at z = mu(x), in the data's units and shape; with ``sample=True`` at z drawn from q(z|x)."""
        mu, logvar = self.encode(X)
        if not sample:
            return self.inverse_transform(mu)
        eps = random.normal(self.seed_of(random_state), "reconstruction noise", 0, mu.shape, mu.dtype)
        return self.inverse_transform(mu + np.exp(0.5 * logvar) * eps)

    def sample(self, n: int = 1, *, mean: bool = True, random_state: Any = None) -> Any:
        """``n`` new samples: z from the prior N(0, I), then E[x|z], or a draw from p(x|z) if ``mean=False``.

        With ``random_state=None`` the model's own seed is used, so the call repeats itself.
        """
        self._check_fitted()
        n = check.whole_number("n", n, 1)
        seed = self.seed_of(random_state)
        refuse_too_many_samples(self.model_, n)
        shape = (n, self.model_.architecture.latent_dim)
        z = random.normal(seed, "prior sample", 0, shape, self.theta_.dtype)
        if mean:
            return self.inverse_transform(z)
        views = self.model_.views(self.device_theta())
        return self._output(self.model_.draw(views, z, random.Stream(seed, "data sample", 0)))

    def impute(
        self,
        X: ArrayLike | Mapping[str, Any],
        draws: int = 0,
        *,
        method: str = "auto",
        samples: int = 1000,
        steps: int = 200,
        warm_up: int = 50,
        chains: int = 1,
        proposals: int = 10,
        random_state: Any = None,
        verbose: bool = False,
    ) -> Any:
        """Fill in X (N, ...) where it is NaN: a :class:`npvae.imputation.Imputation` in the data's units and shape,
        with the best guesses ``mean``, ``draws`` tables drawn, and by row what the method says of itself.

        What is observed comes back as it is in the model's dtype; X is not modified. method: "single_pass",
        "pseudo_gibbs", "metropolis", "importance", or "auto" (imputation/methods.py). samples: of z a row, for
        "importance". steps, warm_up, chains: of the two chains; proposals: a step of "metropolis", of which several
        move it more often. For tables of columns of several kinds see :class:`npvae.TableImputer`.
        """
        x = self._checked_input(X, missing=True)
        with progress_bar(verbose, len(x), "row") as progress:
            found = methods.impute(
                self.model_,
                self.device_theta(),
                x,
                self.seed_of(random_state),
                method,
                draws=draws,
                samples=samples,
                steps=steps,
                warm_up=warm_up,
                chains=chains,
                proposals=proposals,
                progress=progress,
                view=self.encoder_view_,
            )
        given = np.asarray(X, dtype=x.dtype).reshape(len(x), *self.sample_shape_)

        def in_place(filled):
            return np.where(np.isnan(given), self._output(filled.astype(x.dtype)), given)

        drawn = None if found.draws is None else np.stack([in_place(draw) for draw in found.draws])
        return Imputation(in_place(found.mean), drawn, found.diagnostics)

    def elbo(self, X: ArrayLike | Mapping[str, Any], *, draws: int = 1, random_state: Any = None) -> float:
        """The mean ELBO of the rows of X, in nats, with ``draws`` noise draws a row.

        It is of the data as the model sees them: divided by ``divide_by``, and binarised if training was. With
        "squared_error" it lacks the constant (I/2) log(pi); of grey values with "bernoulli" it is not a bound
        on a log-likelihood (see the likelihoods).
        """
        x = self.model_input(X)
        draws = check.whole_number("draws", draws, 1)
        rows = evaluation.elbo_rows(self.model_, self.device_theta(), x, self.seed_of(random_state), draws)
        return float(rows.mean())

    def score_samples(
        self, X: ArrayLike | Mapping[str, Any], *, samples: int = 100, random_state: Any = None
    ) -> NDArray[np.float64]:
        """log p(x) of each row, (N,) float64, in nats, by importance sampling with ``samples`` draws a row.

        In expectation a lower bound; larger ``samples`` bring it nearer. A row's noise depends on its place among the
        rows, so its score in other company differs by the estimate's own noise. The density is that of the data as the
        model sees them; what :meth:`elbo` says of constants holds here too. See :meth:`log_likelihood` for how far off
        it may be.
        """
        return self.log_likelihood(X, samples=samples, random_state=random_state).rows

    def log_likelihood(
        self,
        X: ArrayLike | Mapping[str, Any],
        *,
        samples: int = 5000,
        at_once: int | None = None,
        random_state: Any = None,
        verbose: bool = False,
    ) -> evaluation.LogLikelihood:
        """log p(x) by importance sampling: a :class:`npvae.evaluation.LogLikelihood` with the rows' values, their mean
        with its standard error, sampling errors and effective sample sizes, in nats.

        at_once: samples decoded at a time, 1024 by default: the memory, not the result. verbose: show progress.
        """
        x = self.model_input(X)
        more = {} if at_once is None else {"at_once": at_once}
        with progress_bar(verbose, x.shape[0], "row") as progress:
            return evaluation.log_likelihood(
                self.model_, self.device_theta(), x, self.seed_of(random_state), samples, progress=progress, **more
            )

    def score(self, X: ArrayLike | Mapping[str, Any], y: ArrayLike | None = None) -> float:
        """The mean of ``score_samples(X)``."""
        return float(self.score_samples(X).mean())
