"""M2 in JAX: one compiled function a step."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from peers import m2_spec
from peers.m2_spec import BETAS, EPSILON, FLOOR, RATE


def version() -> str:
    return jax.__version__


def use(device: str) -> None:
    """Before anything is computed. RuntimeError: there is no GPU."""
    if device == "cpu":
        jax.config.update("jax_platforms", "cpu")
        return
    from peers.gpu_jax_step import use_gpu

    use_gpu()


def dense(parameters, name, x):
    return x @ parameters[f"{name}/W"] + parameters[f"{name}/b"]


def bernoulli(parameters, h, x):
    """-log p(x|h) of each pair."""
    logits = dense(parameters, "decoder/logits", h)
    return jnp.sum(jax.nn.softplus(logits) - x * logits, axis=-1)


def gaussian(parameters, h, x):
    """The same, with a variance above the floor: log(floor + exp(raw))."""
    mean, raw = dense(parameters, "decoder/mean", h), dense(parameters, "decoder/raw_logvar", h)
    logvar = jnp.logaddexp(raw, np.log(FLOOR))
    return 0.5 * jnp.sum((x - mean) ** 2 * jnp.exp(-logvar) + logvar + np.log(2 * np.pi), axis=-1)


NLL = {"bernoulli": bernoulli, "gaussian_decoder": gaussian}


def cost(parameters, spec, x, by_row, encoder_class, decoder_class, eps):
    """-L(x, y): (L,) for a class a row, (C, U) for classes (C, 1, H) that are broadcast over rows (U, H)."""
    h = jax.nn.softplus(by_row + encoder_class)
    mu, logvar = dense(parameters, "encoder/mean", h), dense(parameters, "encoder/logvar", h)
    z = mu + jnp.exp(0.5 * logvar) * eps
    h = jax.nn.softplus(dense(parameters, "decoder/0", z) + decoder_class)
    kl = 0.5 * jnp.sum(mu**2 + jnp.exp(logvar) - 1 - logvar, axis=-1)
    return NLL[spec.likelihood](parameters, h, x) + kl + np.log(spec.classes)


def loss_function(parameters, spec, x, labels, eps):
    """The loss of rows of which the first have the labels; x W_x is computed once a row."""
    known = labels.shape[0]
    log_q = jax.nn.log_softmax(
        dense(parameters, "classifier/logits", jax.nn.softplus(dense(parameters, "classifier/0", x)))
    )
    by_row = dense(parameters, "encoder/0", x)
    of_class = parameters["encoder/0/Wy"], parameters["decoder/0/Wy"]
    labelled = cost(parameters, spec, x[:known], by_row[:known], *(W[labels] for W in of_class), eps[:known])
    every = cost(parameters, spec, x[known:], by_row[known:], *(W[:, None, :] for W in of_class), eps[known:])
    log_q_every = log_q[known:].T
    free = jnp.sum(jnp.exp(log_q_every) * (every + log_q_every))
    cross_entropy = -jnp.sum(jnp.take_along_axis(log_q[:known], labels[:, None], axis=1))
    return (jnp.sum(labelled) + free + spec.weight * cross_entropy) / x.shape[0]


def loss_at(spec, tensors, x, labels, eps) -> float:
    """See ``m2_npvae.loss_at``."""
    use(spec.device)
    parameters = {name: jnp.asarray(value) for name, value in m2_spec.split(spec, tensors).items()}
    return float(jax.jit(loss_function, static_argnums=1)(parameters, spec, x, labels, eps))


def update(state, data, order, keys, i, spec):
    """One step of Adam on the rows that ``order`` names for step i, the labelled ones first: ``(state, loss)``."""
    parameters, m, v, t = state
    rows, key = order[i], keys[i]
    x, labels = data[0][rows], data[1][rows[: spec.labelled]]
    latent, features = jax.random.split(key)
    if spec.noisy:
        x = x[:, : spec.inputs] + x[:, spec.inputs :] * jax.random.normal(features, (spec.batch, spec.inputs))
    eps = jax.random.normal(latent, (spec.batch, spec.latent))
    loss, gradient = jax.value_and_grad(loss_function)(parameters, spec, x, labels, eps)
    t = t + 1
    rate, root = RATE / (1 - BETAS[0] ** t), 1 / jnp.sqrt(1 - BETAS[1] ** t)
    m = jax.tree.map(lambda m, g: BETAS[0] * m + (1 - BETAS[0]) * g, m, gradient)
    v = jax.tree.map(lambda v, g: BETAS[1] * v + (1 - BETAS[1]) * g * g, v, gradient)
    parameters = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) * root + EPSILON), parameters, m, v)
    return (parameters, m, v, t), loss


class Runner:
    """A call a step."""

    def __init__(self, spec, images) -> None:
        use(spec.device)
        self.spec, rows = spec, m2_spec.rows(spec, images)
        self.data = jnp.asarray(rows[:, :-1]), jnp.asarray(rows[:, -1].astype(np.int32))
        self.known, self.unknown = (jnp.asarray(np.flatnonzero(which)) for which in (rows[:, -1] >= 0, rows[:, -1] < 0))
        parameters = {name: jnp.array(value) for name, value in m2_spec.split(spec, m2_spec.initial(spec)).items()}
        m, v = (jax.tree.map(jnp.zeros_like, parameters) for _ in range(2))
        self.state, self.key = (parameters, m, v, jnp.zeros((), jnp.float32)), jax.random.PRNGKey(0)
        self.step = jax.jit(partial(update, spec=spec), donate_argnums=0)

    def epoch(self) -> float:
        self.key, first, second, noise = jax.random.split(self.key, 4)
        steps = self.spec.steps
        parts = jax.random.permutation(first, self.known), jax.random.permutation(second, self.unknown)
        order = jnp.concatenate([part.reshape(steps, -1) for part in parts], axis=1)
        keys, total = jax.random.split(noise, steps), 0.0
        for i in range(steps):
            self.state, loss = self.step(self.state, self.data, order, keys, i)
            total = total + loss
        return float(total) / steps
