"""JAX: one compiled function a step."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp

from peers.spec import EPSILON, RATE, RHO, initial_weights


def version() -> str:
    return jax.__version__


def forward(parameters, x, eps, depth, activation):
    """mu, logvar, z, and -log p(x|z) by row: (B,) for eps (B, Z), (K, B) for eps (K, B, Z); the encoder once a row."""
    f = {"relu": jax.nn.relu, "tanh": jnp.tanh}[activation]
    h = x
    for W, b in parameters[:depth]:
        h = f(h @ W + b)
    (Wm, bm), (Wv, bv) = parameters[depth : depth + 2]
    mu, logvar = h @ Wm + bm, h @ Wv + bv
    z = h = mu + jnp.exp(0.5 * logvar) * eps
    for W, b in parameters[depth + 2 : -1]:
        h = f(h @ W + b)
    W, b = parameters[-1]
    logits = h @ W + b
    nll = jnp.sum(jnp.maximum(logits, 0) - x * logits + jnp.log1p(jnp.exp(-jnp.abs(logits))), axis=-1)
    return mu, logvar, z, nll


def loss_function(parameters, x, eps, depth, activation):
    """The negative ELBO, mean over rows."""
    mu, logvar, _, nll = forward(parameters, x, eps, depth, activation)
    return jnp.mean(nll + 0.5 * jnp.sum(mu**2 + jnp.exp(logvar) - 1 - logvar, axis=1))


def bound_loss(parameters, x, eps, depth, activation):
    """The negative importance-weighted bound, mean over rows."""
    _, logvar, z, nll = forward(parameters, x, eps, depth, activation)
    log_weights = 0.5 * jnp.sum(eps**2 + logvar - z**2, axis=2) - nll
    return -jnp.mean(jax.nn.logsumexp(log_weights, axis=0) - jnp.log(eps.shape[0]))


def update(state, x, key, depth, activation, latent, samples):
    """One RMSprop step: ``(state, loss)``."""
    parameters, accumulators = state
    loss, shape = (bound_loss, (samples, x.shape[0], latent)) if samples else (loss_function, (x.shape[0], latent))
    eps = jax.random.normal(key, shape)
    loss, gradients = jax.value_and_grad(loss)(parameters, x, eps, depth, activation)
    accumulators = jax.tree.map(lambda v, g: RHO * v + (1 - RHO) * g * g, accumulators, gradients)
    parameters = jax.tree.map(lambda p, g, v: p - RATE * g / jnp.sqrt(v + EPSILON), parameters, gradients, accumulators)
    return (parameters, accumulators), loss


class Runner:
    """A call a step."""

    def __init__(self, spec, x) -> None:
        self.spec, self.x = spec, jnp.asarray(x)
        parameters = [(jnp.asarray(W), jnp.zeros(W.shape[1], jnp.float32)) for W in initial_weights(spec)]
        self.state = (parameters, jax.tree.map(jnp.zeros_like, parameters))
        self.key = jax.random.PRNGKey(0)
        self.compile()

    def constants(self) -> dict:
        return {
            "depth": len(self.spec.hidden),
            "activation": self.spec.activation,
            "latent": self.spec.latent,
            "samples": self.spec.samples,
        }

    def compile(self) -> None:
        step = partial(update, **self.constants())

        @partial(jax.jit, donate_argnums=0)
        def compiled(state, x, indices, key):
            return step(state, x[indices], key)

        self.step = compiled

    def epoch(self) -> float:
        self.key, shuffle, noise = jax.random.split(self.key, 3)
        order = jax.random.permutation(shuffle, self.x.shape[0]).reshape(self.spec.steps, self.spec.batch)
        keys = jax.random.split(noise, self.spec.steps)
        total = 0.0
        for i in range(self.spec.steps):
            self.state, loss = self.step(self.state, self.x, order[i], keys[i])
            total = total + loss
        return float(total) / self.spec.steps
