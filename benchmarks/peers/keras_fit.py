"""Keras on JAX: ``fit`` with a custom loss layer."""

from __future__ import annotations

import os

os.environ["KERAS_BACKEND"] = "jax"

import keras
from keras import ops

from peers.spec import EPSILON, RATE, RHO, initial_weights


def version() -> str:
    return keras.__version__


class Network(keras.Model):
    """The dense VAE; ``call(x)`` adds the negative ELBO as its loss."""

    def __init__(self, spec) -> None:
        super().__init__()
        dense = keras.layers.Dense
        self.encoder = [dense(units, spec.activation) for units in spec.hidden]
        self.mean, self.logvar = dense(spec.latent), dense(spec.latent)
        self.decoder = [dense(units, spec.activation) for units in spec.hidden[::-1]]
        self.logits = dense(spec.inputs)
        self.seeds = keras.random.SeedGenerator(0)

    def call(self, x):
        h = x
        for layer in self.encoder:
            h = layer(h)
        mu, logvar = self.mean(h), self.logvar(h)
        h = mu + ops.exp(0.5 * logvar) * keras.random.normal(ops.shape(mu), seed=self.seeds)
        for layer in self.decoder:
            h = layer(h)
        logits = self.logits(h)
        nll = ops.sum(ops.maximum(logits, 0.0) - x * logits + ops.log1p(ops.exp(-ops.abs(logits))), axis=1)
        kl = 0.5 * ops.sum(mu**2 + ops.exp(logvar) - 1 - logvar, axis=1)
        self.add_loss(ops.mean(nll + kl))
        return logits


class Runner:
    """One call of ``fit`` an epoch."""

    def __init__(self, spec, x) -> None:
        self.spec, self.x = spec, x
        self.network = Network(spec)
        self.network(x[: spec.batch])
        layers = [*self.network.encoder, self.network.mean, self.network.logvar, *self.network.decoder]
        for layer, W in zip([*layers, self.network.logits], initial_weights(spec), strict=True):
            layer.kernel.assign(W)
        self.network.compile(optimizer=keras.optimizers.RMSprop(RATE, rho=RHO, epsilon=EPSILON))

    def epoch(self) -> float:
        history = self.network.fit(self.x, batch_size=self.spec.batch, epochs=1, shuffle=True, verbose=0)
        return float(history.history["loss"][0])
