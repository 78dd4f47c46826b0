"""The model once more, on an automatic differentiator: an oracle for the hand-written gradients.

It is written from the definitions and shares no code with npvae. Needs the package ``autograd``.
"""

from __future__ import annotations

import math

import autograd.numpy as anp


def negative_elbo(architecture, theta, x, eps, beta):
    """The loss of the flat vector theta, laid out as npvae lays it out."""
    place = 0

    def take(*shape):
        nonlocal place
        size = math.prod(shape)
        tensor = anp.reshape(theta[place:place + size], shape)
        place += size
        return tensor

    def dense(h, outputs, activation=None):
        a = anp.dot(h, take(h.shape[1], outputs)) + take(outputs)
        if activation == "relu":
            return anp.where(a > 0, a, 0.0)
        if activation == "softplus":
            return anp.logaddexp(0.0, a)
        return anp.tanh(a) if activation == "tanh" else a

    kind, width = architecture.likelihood.name, architecture.n_features
    h = x
    for units in architecture.hidden:
        h = dense(h, units, architecture.activation)
    mu, logvar = dense(h, architecture.latent_dim), dense(h, architecture.latent_dim)
    z = mu + anp.sqrt(anp.exp(logvar)) * eps
    kl = 0.5 * anp.sum(mu**2 + anp.exp(logvar) - logvar - 1, axis=1)
    h = z
    for units in architecture.decoder_hidden:
        h = dense(h, units, architecture.activation)
    head = dense(h, width)
    if kind == "bernoulli":
        p = 1 / (1 + anp.exp(-head))
        nll = -anp.sum(x * anp.log(p) + (1 - x) * anp.log(1 - p), axis=1)
    elif kind == "squared_error":
        nll = anp.sum((x - head) ** 2, axis=1)
    else:
        if kind == "gaussian":
            variance = architecture.likelihood.variance * anp.ones(x.shape)
        else:
            if kind == "gaussian_decoder":
                raw = dense(h, width)
            else:
                raw = take(1 if kind == "gaussian_one_variance" else width) * anp.ones(x.shape)
            variance = architecture.likelihood.floor + anp.exp(raw)
        nll = anp.sum((x - head) ** 2 / (2 * variance) + 0.5 * anp.log(2 * math.pi * variance), axis=1)
    assert place == theta.size
    return anp.mean(nll + beta * kl)
