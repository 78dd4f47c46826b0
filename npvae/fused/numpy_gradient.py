"""Loss and gradient of a batch on NumPy: one flat sequence of calls, bound once to arrays that are made once.

The same arithmetic as the operations one by one (objectives/elbo.py says which), without the closures, checks and
look-ups between them. The likelihood is called as everywhere, so all of them are known here.

    forward    y = f(x W + b) layer by layer;  z = mu + s eps, s = exp(logvar / 2)
    backward   da = (da' W'^T) f'(a);  dW = x^T da, db = sum of da's rows
               dmu = dz + (beta/B) mu;  dlogvar = dz eps s/2 + (beta/B) (exp(logvar) - 1)/2
"""

from __future__ import annotations

import functools

import numpy as np

from npvae.backend import pieces, summation
from npvae.backend.buffers import empty_aligned
from npvae.backend.threads import available_cores
from npvae.fused.numpy_step_ops import StepOps, identical
from npvae.mathematics import likelihoods, optimizers

#: Numbers of the data in a part of the batch that goes through the likelihood at a time, and how many parts there are
#: at most.
ELEMENTS_OF_A_PART, MOST_PARTS = 32768, 16

#: Multiplications of a layer's largest product, from which its parts are given to several threads.
SMALLEST_BESIDE = 2**22

#: The ways: see GradientOfBatch.
ALONE, BLAS, PIECES = "alone", "blas", "pieces"

#: The largest product of a step, in multiplications, up to which each runs on one thread, and up to which on the
#: BLAS's: beyond that the time in which a thread of our own wakes up is small beside a product's.
LARGEST_ALONE, LARGEST_OF_BLAS = 2**18, 2**26


def way_of(architecture, rows: int) -> str:
    """The way of a step with so many rows."""
    largest = max(layer.inputs * layer.outputs for layer in architecture.dense_layers()) * rows
    if largest <= LARGEST_ALONE:
        return ALONE
    return BLAS if largest <= LARGEST_OF_BLAS else PIECES


class Tape:
    """Calls, each bound to its arrays once, and made in order at every step."""

    def __init__(self) -> None:
        self._calls: list = []

    def __call__(self, function, *arguments) -> None:
        self._calls.append(functools.partial(function, *arguments))

    def beside(self, team, tapes) -> None:
        """Tapes that are independent of one another: on the threads of a team, or one after another if there is only
        one.
        """
        if len(tapes) == 1:
            self.one_after_another(tapes)
        else:
            self._calls.append(functools.partial(team.run, [(tape.run,) for tape in tapes]))

    def one_after_another(self, tapes) -> None:
        """The calls of these tapes."""
        for tape in tapes:
            self._calls += tape._calls

    def run(self) -> None:
        """Make them all."""
        for call in self._calls:
            call()


class Team:
    """How many threads the parts of a step run on; it may change between two steps, and no bit depends on it."""

    def __init__(self, threads: int = 1) -> None:
        self.threads = threads

    def run(self, calls) -> None:
        """``pieces.run`` on so many threads."""
        pieces.run(calls, self.threads)


class GradientOfBatch:
    """Loss and gradient for batches of so many rows, bound to the vectors theta and gradient.

    There are three ways, and none of them lets a bit depend on the number of threads:

    ALONE   small products, each on one thread
    BLAS    each product on the threads of the BLAS, its sums cut so that they are added in one order: summation.py
    PIECES  large products are divided into pieces, for threads of our own; each piece goes on, while its numbers are in
            the cache, to what follows the product: bias and activation, or the activation's derivative. The likelihood
            is divided by rows. Which pieces there are depends on the sizes only: pieces.py
    """

    def __init__(self, model, ops, rows: int, theta, gradient, way=None, team=None) -> None:
        architecture, latent_dim = model.architecture, model.architecture.latent_dim
        self._model, self.theta, self.gradient = model, theta, gradient
        self.way, self._team = way_of(architecture, rows) if way is None else way, team or Team()
        self._views, self._into = model.views(theta), model.views(gradient)
        self._ops = StepOps()
        # Of a likelihood that is not ours nobody knows whether it looks at a derivative or a result again.
        ours = type(model.likelihood) in likelihoods.KNOWN.values()
        self._likelihood_ops = self._ops if ours else ops
        self._likelihood_parameters = model.likelihood_parameters(self._views)
        self._rows, self._ones = rows, np.ones(rows, theta.dtype)
        self._nll, self._row_parts = np.empty(rows, theta.dtype), None
        if self.way == PIECES and ours and not self._likelihood_parameters:
            self._row_parts = self._divide_rows(rows, architecture.n_features)
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
        self._doutputs_by_rows: tuple = tuple(np.empty_like(output) for output in self._outputs)
        self._output_layers, self._below, self._dbelow = output_layers, h, new(h.shape[1])
        self._below_activation = decoder_hidden[-1].activation if decoder_hidden else "identity"
        self._doutputs, self._output_backward = (), Tape()

        def activation_below(layers):
            return layers[-1].activation if layers else "identity"

        call, da = self._inner_backward, self._dbelow
        for place, layer in reversed([*enumerate(decoder_hidden)]):
            dx = new(layer.inputs)
            self._backward(call, (layer,), inputs[layer], (da,), dx, activation_below(decoder_hidden[:place]))
            da = dx
        dmu, dlogvar = new(latent_dim), new(latent_dim)
        self._sample_and_kl_backward(call, da, mu, growth, half_noise, dmu, dlogvar)
        dh = new(mean.inputs) if hidden else None  # nobody asks for the gradient by the data
        self._backward(call, (mean, log_variance), inputs[mean], (dmu, dlogvar), dh, activation_below(hidden))
        for place, layer in reversed([*enumerate(hidden)]):
            dx = None if inputs[layer] is self.x else new(layer.inputs)
            self._backward(call, (layer,), inputs[layer], (dh,), dx, activation_below(hidden[:place]))
            dh = dx

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
        return (reconstruction + beta * kl) / self._rows, optimizers.global_norm(np, self.gradient), reconstruction

    def _likelihood(self):
        """-log p(x|z) by row, and the loss's derivatives by the outputs and by the likelihood's own parameters."""
        if self._row_parts is not None:
            self._team.run([(self._likelihood_of_rows, *part) for part in self._row_parts])
            return self._nll, self._doutputs_by_rows, {}
        nll, backward = self._model.likelihood.negative_log_likelihood(
            self._likelihood_ops, self._outputs, self.x, self._likelihood_parameters
        )
        return nll, *backward(1.0 / self._rows)

    def _divide_rows(self, rows: int, features: int):
        """Slices of the batch, and operations for each: a likelihood of rows looks at no other rows. None for a
        small batch.
        """
        count = min(MOST_PARTS, rows * features // ELEMENTS_OF_A_PART)
        self._doutputs_by_rows = ()
        return [(part, StepOps()) for part in pieces.cuts(rows, count)] if count > 1 else None

    def _likelihood_of_rows(self, part: slice, ops) -> None:
        ops.begin()
        nll, backward = self._model.likelihood.negative_log_likelihood(
            ops, tuple(output[part] for output in self._outputs), self.x[part], {}
        )
        doutputs, _ = backward(1.0 / self._rows)
        self._nll[part] = nll
        for whole, derivative in zip(self._doutputs_by_rows, doutputs, strict=True):
            whole[part] = derivative

    def _bind_outputs(self, doutputs) -> None:
        """Bind the part of the backward pass that begins with these arrays."""
        self._doutputs, self._output_backward = tuple(doutputs), Tape()
        self._backward(
            self._output_backward, self._output_layers, self._below, doutputs, self._dbelow, self._below_activation
        )

    def _new(self, columns: int):
        return empty_aligned((self._rows, columns), self.theta.dtype)

    # The parts, each with its equation: they put calls on a tape

    def _dense(self, call, layer, x, y) -> None:
        """y = f(x W + b)."""
        W, b, tapes = self._views[layer.W], self._views[layer.b], []
        for part in self._cuts(layer.outputs, self._rows, layer.outputs, layer.inputs):
            tape, here = Tape(), y[:, part]
            self._product(tape, x, W[:, part], here)
            tape(np.add, here, b[part], here)
            if layer.activation != "identity":
                self._elementwise(tape, "activate", here, layer.activation)
            tapes.append(tape)
        call.beside(self._team, tapes)

    def _backward(self, call, layers, x, das, dx, activation) -> None:
        """Of layers side by side on x = f(a), from the derivatives by their products:

        dx = sum_k da_k W_k^T, then times f'(a), unless it is None;  dW_k = x^T da_k, db_k = sum of da_k's rows
        """
        tapes = []
        if dx is not None:
            work = sum(layer.outputs for layer in layers)
            terms = [dx, *(self._new(x.shape[1]) for _ in layers[1:])]
            for part in self._cuts(x.shape[1], self._rows, x.shape[1], work):
                tape, here = Tape(), dx[:, part]
                for layer, da, term in zip(layers, das, terms, strict=True):
                    self._product(tape, da, self._views[layer.W][part].T, term[:, part])
                    if term is not dx:
                        tape(np.add, here, term[:, part], here)
                if activation != "identity":
                    self._elementwise(tape, "activation_backward", here, x[:, part], activation)
                tapes.append(tape)
        for layer, da in zip(layers, das, strict=True):
            tapes += self._parameters_backward(layer, x, da)
        if self.way == PIECES and max(layer.inputs * layer.outputs for layer in layers) * self._rows >= SMALLEST_BESIDE:
            call.beside(self._team, tapes)
        else:
            call.one_after_another(tapes)

    def _parameters_backward(self, layer, x, da):
        """dW = x^T da, db = sum_b da_b, in pieces of W's longer side."""
        dW, tapes = self._into[layer.W], []
        for part in self._cuts(max(dW.shape), *dW.shape, self._rows):
            tape = Tape()
            if layer.inputs > layer.outputs:
                self._product(tape, x[:, part].T, da, dW[part])
            else:
                self._product(tape, x.T, da[:, part], dW[:, part])
            tapes.append(tape)
        tapes[-1](np.matmul, self._ones, da, self._into[layer.b])
        return tapes

    def _cuts(self, length: int, m: int, n: int, k: int) -> list[slice]:
        """What a product (m, k) (k, n) is divided into along a side of this length."""
        return pieces.cuts(length, pieces.number(m, n, k) if self.way == PIECES else 1)

    def _product(self, tape, a, b, out) -> None:
        """out = a b."""
        k, left = len(b), 0
        if self.way == BLAS:
            turned = not a.flags.c_contiguous, not b.flags.c_contiguous
            left = summation.rest(k, *turned, out.dtype.name, available_cores())
        tape(np.matmul, a[:, : k - left], b[: k - left], out)
        if left:
            term = empty_aligned(out.shape, out.dtype)
            tape(np.matmul, a[:, k - left :], b[k - left :], term)
            tape(np.add, out, term, out)

    def _elementwise(self, tape, operation: str, *arguments) -> None:
        """An operation, of a piece perhaps: then its scratch memory is its own."""
        ops = self._ops
        if self.way == PIECES:
            ops = StepOps()
            tape(ops.begin)
        tape(getattr(ops, operation), *arguments)

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
