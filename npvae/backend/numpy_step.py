"""Loss and gradient of a batch on NumPy: one flat sequence of calls, bound once to arrays that are made once.

The same arithmetic as the operations one by one (objectives/elbo.py says which), without the closures, checks and look-ups
between them. The likelihood is called as everywhere, so all of them are known here.

    forward    y = f(x W + b) layer by layer;  z = mu + s eps, s = exp(logvar / 2)
    backward   da = (da' W'^T) f'(a);  dW = x^T da, db = sum of da's rows
               dmu = dz + (beta/B) mu;  dlogvar = dz eps s/2 + (beta/B) (exp(logvar) - 1)/2
"""

from __future__ import annotations

import functools

import numpy as np

from npvae import likelihoods, optim
from npvae.backend.buffers import empty_aligned
from npvae.backend.step_ops import StepOps, identical


class Tape:
    """Calls, each bound to its arrays once, and made in order at every step."""

    def __init__(self) -> None:
        self._calls: list = []

    def __call__(self, function, *arguments) -> None:
        self._calls.append(functools.partial(function, *arguments))

    def run(self) -> None:
        """Make them all."""
        for call in self._calls:
            call()


class GradientOfBatch:
    """Loss and gradient for batches of so many rows, bound to the vectors theta and gradient."""

    def __init__(self, model, ops, rows: int, theta, gradient) -> None:
        architecture, latent_dim = model.architecture, model.architecture.latent_dim
        self._model, self.theta, self.gradient = model, theta, gradient
        self._views, self._into = model.views(theta), model.views(gradient)
        self._ops = StepOps()
        # Of a likelihood that is not ours nobody knows whether it looks at a derivative or a result again.
        ours = type(model.likelihood) in likelihoods.KNOWN.values()
        self._likelihood_ops = self._ops if ours else ops
        self._likelihood_parameters = model.likelihood_parameters(self._views)
        self._rows, self._ones = rows, np.ones(rows, theta.dtype)
        new = self._new
        self.x, self.eps = new(architecture.n_features), new(latent_dim)
        self.latent = np.empty((3, rows, latent_dim), theta.dtype)  # KL, mu, mu^2
        self._kl = self.latent[0].reshape(-1)
        self._beta_over_rows, self._half_beta_over_rows = np.empty((2, 1), theta.dtype)

        (hidden, (mean, log_variance)), (decoder_hidden, output_layers) = architecture.encoder(), architecture.decoder()
        self._forward, self._inner_backward = Tape(), Tape()
        inputs, outputs = {}, {}

        def dense(layer, x, y):
            self._dense(self._forward, layer, x, y)
            inputs[layer], outputs[layer] = x, y
            return y

        h = self.x
        for layer in hidden:
            h = dense(layer, h, new(layer.outputs))
        mu, logvar = dense(mean, h, self.latent[1]), dense(log_variance, h, new(latent_dim))
        z, growth, half_noise = new(latent_dim), new(latent_dim), new(latent_dim)
        self._sample_and_kl(self._forward, mu, logvar, z, growth, half_noise)
        h = z
        for layer in decoder_hidden:
            h = dense(layer, h, new(layer.outputs))
        self._outputs = tuple(dense(layer, h, new(layer.outputs)) for layer in output_layers)
        self._output_layers, self._below, self._dbelow = output_layers, h, new(h.shape[1])
        self._doutputs, self._output_backward = (), Tape()

        call, dh = self._inner_backward, self._dbelow
        for layer in reversed(decoder_hidden):
            dh = self._dense_backward(call, layer, inputs[layer], outputs[layer], dh, new(layer.inputs))
        dmu, dlogvar = new(latent_dim), new(latent_dim)
        self._sample_and_kl_backward(call, dh, mu, growth, half_noise, dmu, dlogvar)
        dh = new(mean.inputs) if hidden else None  # nobody asks for the gradient by the data
        self._heads_backward(call, (mean, log_variance), inputs[mean], (dmu, dlogvar), dh)
        for layer in reversed(hidden):
            dx = None if inputs[layer] is self.x else new(layer.inputs)
            dh = self._dense_backward(call, layer, inputs[layer], outputs[layer], dh, dx)

    def run(self, beta: float):
        """Write the gradient for ``x`` and ``eps``; loss, length of the gradient, and sum of the reconstruction terms.

        ``latent`` then has KL, mu and mu^2, each (B, Z).
        """
        self._ops.begin()
        self._forward.run()
        nll, doutputs, dparameters = self._likelihood()
        for name, value in dparameters.items():
            self._into[f"likelihood/{name}"][...] = value
        if not identical(doutputs, self._doutputs):
            self._bind_outputs(doutputs)
        self._output_backward.run()
        self._beta_over_rows[...] = beta / self._rows
        self._half_beta_over_rows[...] = 0.5 * (beta / self._rows)
        self._inner_backward.run()
        reconstruction, kl = float(np.add.reduce(nll)), float(np.add.reduce(self._kl))
        return (reconstruction + beta * kl) / self._rows, optim.global_norm(np, self.gradient), reconstruction

    def _likelihood(self):
        """-log p(x|z) by row, and the loss's derivatives by the outputs and by the likelihood's own parameters."""
        nll, backward = self._model.likelihood.negative_log_likelihood(
            self._likelihood_ops, self._outputs, self.x, self._likelihood_parameters
        )
        return nll, *backward(1.0 / self._rows)

    def _bind_outputs(self, doutputs) -> None:
        """Bind the part of the backward pass that begins with these arrays."""
        self._doutputs, self._output_backward = tuple(doutputs), Tape()
        self._heads_backward(self._output_backward, self._output_layers, self._below, doutputs, self._dbelow)

    def _new(self, columns: int):
        return empty_aligned((self._rows, columns), self.theta.dtype)

    # The parts, each with its equation: they put calls on a tape

    def _dense(self, call, layer, x, y) -> None:
        """y = f(x W + b)."""
        call(np.matmul, x, self._views[layer.W], y)
        call(np.add, y, self._views[layer.b], y)
        if layer.activation != "identity":
            call(self._ops.activate, y, layer.activation)

    def _dense_backward(self, call, layer, x, y, dy, dx):
        """da = dy f'(a), in the place of dy; dW = x^T da, db = sum_b da_b; dx = da W^T, unless it is None."""
        if layer.activation != "identity":
            call(self._ops.activation_backward, dy, y, layer.activation)
        self._parameters_backward(call, layer, x, dy)
        if dx is not None:
            call(np.matmul, dy, self._views[layer.W].T, dx)
        return dx

    def _parameters_backward(self, call, layer, x, da) -> None:
        """dW = x^T da, db = sum_b da_b."""
        call(np.matmul, x.T, da, self._into[layer.W])
        call(np.matmul, self._ones, da, self._into[layer.b])

    def _heads_backward(self, call, layers, x, das, dx) -> None:
        """Of layers side by side on x, without activations; dx = sum_k da_k W_k^T, unless it is None."""
        for k, (layer, da) in enumerate(zip(layers, das, strict=True)):
            self._parameters_backward(call, layer, x, da)
            if dx is None:
                continue
            part = self._new(layer.inputs) if k else dx
            call(np.matmul, da, self._views[layer.W].T, part)
            if k:
                call(np.add, dx, part, dx)

    def _sample_and_kl(self, call, mu, logvar, z, growth, half_noise) -> None:
        """z = mu + s eps, s = exp(logvar / 2); kl = (mu^2 + exp(logvar) - 1 - logvar) / 2."""
        half = np.asarray(0.5, mu.dtype)
        call(np.multiply, logvar, half, half_noise)
        call(np.exp, half_noise, half_noise)
        call(np.multiply, half_noise, self.eps, half_noise)
        call(np.add, mu, half_noise, z)
        call(np.multiply, half_noise, half, half_noise)
        kl, _, mu_squared = self.latent
        call(np.expm1, logvar, growth)
        call(np.multiply, mu, mu, mu_squared)
        call(np.subtract, growth, logvar, kl)
        call(np.add, mu_squared, kl, kl)
        call(np.multiply, kl, half, kl)

    def _sample_and_kl_backward(self, call, dz, mu, growth, half_noise, dmu, dlogvar) -> None:
        """dmu = dz + (beta/B) mu;  dlogvar = dz eps s/2 + (beta/B) (exp(logvar) - 1)/2."""
        call(np.multiply, mu, self._beta_over_rows, dmu)
        call(np.add, dz, dmu, dmu)
        call(np.multiply, dz, half_noise, dlogvar)
        call(np.multiply, growth, self._half_beta_over_rows, growth)
        call(np.add, dlogvar, growth, dlogvar)
