"""M1: the latent features of a VAE, for a classifier or for another model on top.

Of a row x the features are q(z|x) = N(mu(x), diag(exp(logvar(x)))), in the dimensions that the VAE uses: those whose
mean mu_j has a standard deviation above ``SMALLEST_DEVIATION`` over the data. The others are noise.

Source: Kingma, Rezende, Mohamed & Welling (2014), "Semi-supervised learning with deep generative models", section 3.1;
the limit is that of the authors' code.
"""

from __future__ import annotations

import copy
import numbers
import warnings

import numpy as np

from npvae.errors import DataConversionWarning, InputError, InputTypeError, ModelFileError
from npvae.estimators.sklearn_protocol import WHERE
from npvae.estimators.vae import VAE
from npvae.mathematics import random

SMALLEST_DEVIATION = 0.1


def unfrozen(features):
    """What is in scikit-learn's FrozenEstimator, in which a fitted VAE stays fitted where estimators are copied;
    else the argument.
    """
    return features.estimator if type(features).__name__ == "FrozenEstimator" else features


def fitted(vae: VAE, X, taken_seed=None, **fit_arguments) -> VAE:
    """The VAE itself if it is fitted, else a copy of it that is, on X. InputTypeError: it is none.

    taken_seed: the ``random_state`` of the model on top. If the VAE's is the same number, its seed is derived from it:
    the two trainings are one run, which uses no random number twice.
    """
    if not isinstance(vae, VAE):
        raise InputTypeError(f"features must be a VAE, got {type(vae).__name__}")
    if hasattr(vae, "theta_"):
        return vae
    arguments = vae.get_params(deep=False)
    if isinstance(taken_seed, numbers.Integral) and vae.random_state == taken_seed:
        arguments["random_state"] = random.seed_for_part(random.seed_from(taken_seed), "features", 0)
    return type(vae)(**arguments).fit(X, **fit_arguments)


def moved(vae: VAE | None, parameters: dict) -> VAE | None:
    """The fitted VAE where those among the arguments say that are given to ``set_params`` of an estimator on its
    features.

    A copy, if they say anything, with the same parameters: the VAE may be somebody's own.
    """
    where = {name: parameters[key] for name in WHERE for key in (name, f"features__{name}") if key in parameters}
    return copy.copy(vae).set_params(**where) if where and vae is not None else vae


def used_dimensions(mu: np.ndarray) -> np.ndarray:
    """The latent dimensions that vary over the data, by their means (N, Z). InputError: there is none."""
    used = np.flatnonzero(mu.std(axis=0) > SMALLEST_DEVIATION)
    if not len(used):
        raise InputError(
            f"the VAE of features has collapsed: the mean of no latent dimension has a standard deviation above "
            f"{SMALLEST_DEVIATION}"
        )
    return used


def mean_and_deviation(vae: VAE, X, used: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means and standard deviations of q(z|x) in the dimensions ``used``, both (N, D)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataConversionWarning)  # said when the VAE was fitted
        mu, logvar = vae.encode(X)
    return mu[:, used], np.exp(0.5 * logvar[:, used])


def decode(vae: VAE, features: np.ndarray, used: np.ndarray) -> np.ndarray:
    """E[x|z] of features (N, D), the dimensions that are not used at 0, in the units and shape of the VAE's data."""
    z = np.zeros((len(features), vae.model_.architecture.latent_dim), vae.theta_.dtype)
    z[:, used] = features
    return vae.inverse_transform(z)


def check_scale(center, scale, features: int) -> None:
    """ModelFileError: these are no means and deviations, float64, of so many columns."""
    for array in (center, scale):
        if array.shape != (features,) or array.dtype != np.float64 or not np.isfinite(array).all():
            raise ModelFileError("its means and deviations do not fit its features")
    if (scale <= 0.0).any():
        raise ModelFileError("its deviations are not all above 0")


def checked_dimensions(vae: VAE, used) -> np.ndarray:
    """The dimensions that a file names, in order. ModelFileError: the VAE has no such, or one comes twice."""
    if used != sorted(set(used)) or not 0 <= used[0] <= used[-1] < vae.model_.architecture.latent_dim:
        raise ModelFileError(f"its features {str(used)[:100]} are no dimensions of its VAE")
    return np.array(used, np.int64)
