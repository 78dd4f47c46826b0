"""Importance weights of samples of z, and what is averaged with them.

    log w_k = log p(x|z_k) + log p(z_k) - log q(z_k|x)             z_k = mu + s eps_k,  s = exp(logvar / 2)
            = -nll_k + sum_j [ eps_kj^2 + logvar_j - z_kj^2 ] / 2

The constants (Z/2) log(2 pi) of p(z) and q(z|x) cancel, and so does the quadratic form of q: (z - mu)^2 / s^2 = eps^2.
Sums of weights are taken with the largest taken out, so that none overflows:

    log (1/K) sum_k w_k = m + log sum_k exp(log w_k - m) - log K          m = max_k log w_k

Source: Burda, Grosse & Salakhutdinov (2016), "Importance weighted autoencoders", eq. 8.
"""

from __future__ import annotations

import math


def samples_of(xp, mu, logvar, eps):
    """z = mu + exp(logvar / 2) eps for mu, logvar (B, Z) and eps (K, B, Z): z (K, B, Z), and s (B, Z)."""
    s = xp.exp(0.5 * logvar)
    return mu + s * eps, s


def log_prior_ratio(xp, z, logvar, eps):
    """log p(z) - log q(z|x), (K, B), for z, eps (K, B, Z) and logvar (B, Z)."""
    return 0.5 * xp.sum(eps * eps - z * z + logvar, axis=2)


def log_mean_exp(xp, log_weights):
    """log (1/K) sum_k w_k, (B,), and the weights divided by their sum, (K, B), from log w (K, B)."""
    largest = xp.max(log_weights, axis=0)
    weights = xp.exp(log_weights - largest)
    total = xp.sum(weights, axis=0)
    return largest + xp.log(total) - math.log(log_weights.shape[0]), weights / total
