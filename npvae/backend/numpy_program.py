"""Training steps on NumPy as one flat sequence of calls, on arrays that are made once.

The same arithmetic as the operations one by one (objectives.py says which), without the closures and checks between
them: a few hundredths of a large model's step, half of a small one's. The likelihood and the optimiser are called as
everywhere, so all of them are known here.

    forward    y = f(x W + b) layer by layer;  z = mu + s eps, s = exp(logvar / 2)
    backward   da = (da' W'^T) f'(a);  dW = x^T da, db = sum of da's rows
               dmu = dz + (beta/B) mu;  dlogvar = dz eps s/2 + (beta/B) (exp(logvar) - 1)/2
"""

from __future__ import annotations

import math

import numpy as np

from npvae import likelihoods, optim, random
from npvae.backend.buffers import empty_aligned
from npvae.backend.numpy_ops import NumpyOps
from npvae.backend.stretch import Stretch


class InPlaceOps(NumpyOps):
    """NumPy's operations for a likelihood whose backward is called once: it scales its derivatives where they are."""

    def scale_rows(self, x, factor):
        return np.multiply(x, factor if isinstance(factor, float) else factor[:, None], out=x)


class Batch:
    """The arrays of a batch of so many rows: outputs of every layer, and gradients of those before the last."""

    def __init__(self, architecture, rows: int, dtype) -> None:
        def new(columns: int):
            return empty_aligned((rows, columns), dtype)

        self.rows = rows
        self.x = new(architecture.n_features)
        self.outputs = [new(layer.outputs) for layer in architecture.dense_layers()]
        # The likelihood brings the decoder's outputs' own.
        inner = architecture.dense_layers()[:-len(architecture.decoder()[1])]
        self.gradients = [new(layer.outputs) for layer in inner]
        self.second = new(architecture.encoder()[1][0].inputs)
        self.z, self.dz, self.noise_part = (new(architecture.latent_dim) for _ in range(3))
        self.latent = np.empty((3, rows, architecture.latent_dim), dtype)  # KL, mu, mu^2
        self.ones = np.ones(rows, dtype)


class NumpyProgram:
    """A model and settings, ready to be trained on the rows of x (N, I)."""

    def __init__(self, ops, model, x, batch_size: int, settings) -> None:
        self._ops, self._model, self._settings, self._x = ops, model, settings, x
        # Of a likelihood that is not ours nobody knows whether it looks at a derivative again.
        ours = type(model.likelihood) in likelihoods.KNOWN.values()
        self._likelihood_ops = InPlaceOps() if ours else ops
        self._batch_size = min(batch_size, len(x))
        self._batches: dict[int, Batch] = {}
        hidden, heads = model.architecture.encoder()
        self._heads = len(hidden)  # the place of the first head among the layers
        self._decoder = self._heads + len(heads)
        self._outputs = self._decoder + len(model.architecture.decoder_hidden)
        self._layers = model.architecture.dense_layers()
        self._clear_sums()

    def _clear_sums(self) -> None:
        self._rows, self._loss, self._reconstruction = 0, 0.0, 0.0
        # Of KL, mu and mu^2, a row for each place in a batch: they are added up once an epoch, not at every step.
        self._latent_sums = np.zeros((3, self._batch_size, self._model.architecture.latent_dim))

    def take_sums(self) -> tuple[int, dict]:
        """The rows since the last call of this, and their sums in nats: see numba_program.py."""
        kl, mu, mu_squared = self._latent_sums.sum(axis=1)
        rows, sums = self._rows, {
            "loss": self._loss, "reconstruction": self._reconstruction, "kl_per_dimension": kl, "mu": mu,
            "mu_squared": mu_squared,
        }
        self._clear_sums()
        return rows, sums

    def train(self, theta, gradient, state, order, start, step, rates, betas) -> Stretch:
        """Take ``len(rates)`` steps: change theta and the optimiser's state in place; see :class:`Stretch`."""
        losses, norms = [], []
        optimizer, clip_norm = self._settings.optimizer, self._settings.clip_norm
        for rate, beta in zip(rates, betas, strict=True):
            rows = order[start:start + self._batch_size]
            loss, norm, reconstruction, latent = self._gradient(theta, gradient, rows, step, beta)
            if not math.isfinite(loss + norm):
                break
            optim.clip_by_global_norm(gradient, norm, clip_norm)
            step += 1
            optimizer.update(self._ops, theta, gradient, state, rate, step)
            self._add(len(rows), loss, reconstruction, latent)
            losses.append(loss)
            norms.append(norm)
            start += len(rows)
        return Stretch(len(losses), np.array(losses), np.array(norms))

    def _add(self, rows, loss, reconstruction, latent) -> None:
        self._rows += rows
        self._loss += loss * rows
        self._reconstruction += reconstruction
        sums = self._latent_sums[:, :rows]
        np.add(sums, latent, out=sums)

    def _gradient(self, theta, gradient, indices, step: int, beta: float):
        """Loss and length of the gradient, which is written; the reconstruction term, and KL, mu and mu^2 by row."""
        model, settings = self._model, self._settings
        batch = self._batches.get(len(indices)) or self._new_batch(len(indices), theta.dtype)
        views, into = model.views(theta), model.views(gradient)
        rows, x, outputs = batch.rows, batch.x, batch.outputs
        np.take(self._x, indices, axis=0, out=x, mode="clip")
        if settings.binarize == "dynamic":
            np.less(random.uniform(settings.seed, "binarize", step, x.shape, "float32"), x, out=x, casting="unsafe")
        eps = random.normal(settings.seed, "latent noise", step, batch.z.shape, theta.dtype)

        h = x
        for i in range(self._heads):
            h = self._forward(views, i, h, outputs[i])
        mu = self._forward(views, self._heads, h, outputs[self._heads])
        logvar = self._forward(views, self._heads + 1, h, outputs[self._heads + 1])
        half_noise = np.multiply(np.exp(0.5 * logvar), eps, out=batch.noise_part)
        z = np.add(mu, half_noise, out=batch.z)
        half_noise *= 0.5
        growth = np.expm1(logvar)
        kl, _, mu_squared = batch.latent
        batch.latent[1] = mu
        np.multiply(mu, mu, out=mu_squared)
        np.add(mu_squared, growth - logvar, out=kl)
        kl *= 0.5
        h = z
        for i in range(self._decoder, self._outputs):
            h = self._forward(views, i, h, outputs[i])
        for i in range(self._outputs, len(outputs)):
            self._forward(views, i, h, outputs[i])
        nll, nll_backward = model.likelihood.negative_log_likelihood(
            self._likelihood_ops, tuple(outputs[self._outputs:]), x, model.likelihood_parameters(views)
        )

        doutputs, dparameters = nll_backward(1.0 / rows)
        for name, value in dparameters.items():
            into[f"likelihood/{name}"][...] = value
        self._backward(views, into, batch, list(doutputs), mu, growth, half_noise, beta)

        reconstruction = float(nll.sum(dtype=np.float64))
        loss = (reconstruction + beta * float(kl.sum(dtype=np.float64))) / rows
        return loss, optim.global_norm(np, gradient), reconstruction, batch.latent

    def _new_batch(self, rows: int, dtype) -> Batch:
        if len(self._batches) > 1:  # a full one and a last one are all that an epoch has
            self._batches.clear()
        batch = self._batches[rows] = Batch(self._model.architecture, rows, dtype)
        return batch

    def _forward(self, views, i: int, x, out):
        """y = f(x W + b), for layer number i."""
        layer = self._layers[i]
        np.matmul(x, views[layer.W], out=out)
        out += views[layer.b]
        return self._ops.activate(out, layer.activation)

    def _parameters_backward(self, into, layer, x, da, ones) -> None:
        """dW and db."""
        np.matmul(x.T, da, out=into[layer.W])
        np.matmul(ones, da, out=into[layer.b])

    def _backward(self, views, into, batch, doutputs, mu, growth, half_noise, beta: float) -> None:
        """All of the gradient from that by the outputs."""
        layers, outputs, gradients, ones = self._layers, batch.outputs, batch.gradients, batch.ones
        first = self._outputs
        below = outputs[first - 1] if first > self._decoder else batch.z
        dh = gradients[first - 1] if first > self._decoder else batch.dz
        for i, da in enumerate(doutputs, first):
            self._parameters_backward(into, layers[i], below, da, ones)
            if i == first:
                np.matmul(da, views[layers[i].W].T, out=dh)
            else:
                dh += da @ views[layers[i].W].T
        for i in range(first - 1, self._decoder - 1, -1):
            da = self._ops.activation_backward(gradients[i], outputs[i], layers[i].activation)
            last = i == self._decoder
            self._parameters_backward(into, layers[i], batch.z if last else outputs[i - 1], da, ones)
            np.matmul(da, views[layers[i].W].T, out=batch.dz if last else gradients[i - 1])

        weight, heads = beta / batch.rows, self._heads
        dmu = np.add(batch.dz, weight * mu, out=gradients[heads])
        dlogvar = np.multiply(batch.dz, half_noise, out=gradients[heads + 1])
        growth *= 0.5 * weight
        dlogvar += growth
        below = outputs[heads - 1] if heads else batch.x
        for i, da in ((heads, dmu), (heads + 1, dlogvar)):
            self._parameters_backward(into, layers[i], below, da, ones)
        if heads == 0:
            return
        np.matmul(dmu, views[layers[heads].W].T, out=gradients[heads - 1])
        gradients[heads - 1] += np.matmul(dlogvar, views[layers[heads + 1].W].T, out=batch.second)
        for i in range(heads - 1, -1, -1):
            da = self._ops.activation_backward(gradients[i], outputs[i], layers[i].activation)
            self._parameters_backward(into, layers[i], outputs[i - 1] if i else batch.x, da, ones)
            if i:
                np.matmul(da, views[layers[i].W].T, out=gradients[i - 1])
