"""The model once more, on an automatic differentiator: an oracle for the hand-written gradients.

It is written from the definitions and shares no code with npvae. Needs the packages ``autograd`` and ``scipy``.
"""

from __future__ import annotations

import math

import autograd.numpy as anp
from autograd.scipy.special import gammaln


class Tensors:
    """The flat vector theta, taken tensor by tensor as npvae lays it out."""

    def __init__(self, theta) -> None:
        self._theta, self._place = theta, 0

    def take(self, *shape):
        size = math.prod(shape)
        tensor = anp.reshape(self._theta[self._place : self._place + size], shape)
        self._place += size
        return tensor

    def dense(self, h, outputs, activation=None):
        return self.layer(h.shape[1], outputs, activation)(h)

    def layer(self, inputs, outputs, activation=None):
        """A dense layer as a function of its input, for those that are used more than once."""
        W, b = self.take(inputs, outputs), self.take(outputs)

        def apply(h):
            a = anp.dot(h, W) + b
            if activation == "relu":
                return anp.where(a > 0, a, 0.0)
            if activation == "softplus":
                return anp.logaddexp(0.0, a)
            return anp.tanh(a) if activation == "tanh" else a

        return apply

    def network(self, inputs, hidden, heads, activation):
        """Hidden layers and then heads, as a function of the input that gives a list."""
        layers = []
        for units in hidden:
            layers.append(self.layer(inputs, units, activation))
            inputs = units
        ends = [self.layer(inputs, outputs) for outputs in heads]

        def apply(h):
            for layer in layers:
                h = layer(h)
            return [end(h) for end in ends]

        return apply

    def assert_all_taken(self) -> None:
        assert self._place == self._theta.size


def encode(architecture, tensors, x):
    """mu and logvar."""
    h = x
    for units in architecture.hidden:
        h = tensors.dense(h, units, architecture.activation)
    return tensors.dense(h, architecture.latent_dim), tensors.dense(h, architecture.latent_dim)


def negative_log_likelihood(architecture, tensors, z, x):
    """-log p(x|z) by row; takes the decoder's tensors, and the likelihood's, which are the last."""
    h = z
    for units in architecture.decoder_hidden:
        h = tensors.dense(h, units, architecture.activation)
    parts = [(architecture.likelihood, x)]
    if architecture.likelihood.name == "table":
        parts = [(part, x[:, columns]) for _, part, columns in architecture.likelihood.parts(x.shape[1])]
    # All heads come before all parameters of likelihoods.
    heads = [[tensors.dense(h, width) for width in part.heads(own.shape[1]).values()] for part, own in parts]
    raw = [
        {name: tensors.take(*value.shape) for name, value in part.parameters(own.shape[1]).items()}
        for part, own in parts
    ]
    tensors.assert_all_taken()
    return sum(minus_log_density(part, own, *a, **b) for (part, own), a, b in zip(parts, heads, raw, strict=True))


def log_negative_binomial(x, mean, size):
    log_p = gammaln(x + size) - gammaln(size) - gammaln(x + 1) + size * anp.log(size / (size + mean))
    return log_p + x * anp.log(mean / (size + mean))


def log_logistic(a):
    return -anp.logaddexp(0.0, -a)


def minus_log_density(
    likelihood,
    x,
    head,
    second=None,
    third=None,
    raw_logvar=None,
    log_size=None,
    raw_thresholds=None,
    log_total_mean=None,
    log_total_size=None,
):
    """-log p(x|z) by row from the decoder's outputs, by the textbook."""
    kind = likelihood.name
    if kind == "bernoulli":
        p = 1 / (1 + anp.exp(-head))
        return -anp.sum(x * anp.log(p) + (1 - x) * anp.log(1 - p), axis=1)
    if kind == "continuous_bernoulli":
        p = 1 / (1 + anp.exp(-head))
        normaliser = 2 * anp.arctanh(1 - 2 * p) / (1 - 2 * p)
        return -anp.sum(anp.log(normaliser) + x * anp.log(p) + (1 - x) * anp.log(1 - p), axis=1)
    if kind == "categorical":
        blocks = likelihood.sizes or [x.shape[1]]
        total, start = 0.0, 0
        for size in blocks:
            part = head[:, start : start + size]
            p = anp.exp(part) / anp.sum(anp.exp(part), axis=1, keepdims=True)
            total, start = total - anp.log(anp.sum(p * x[:, start : start + size], axis=1)), start + size
        return total
    if kind == "poisson":
        rate = anp.exp(head)
        return -anp.sum(x * anp.log(rate) - rate - gammaln(x + 1), axis=1)
    if kind == "negative_binomial":
        return -anp.sum(log_negative_binomial(x, anp.exp(head), anp.exp(log_size)), axis=1)
    if kind == "multinomial":
        total, p = x.sum(axis=1), anp.exp(head) / anp.sum(anp.exp(head), axis=1, keepdims=True)
        shares = gammaln(total + 1) + anp.sum(x * anp.log(p) - gammaln(x + 1), axis=1)
        return -shares - log_negative_binomial(total, anp.exp(log_total_mean), anp.exp(log_total_size))
    if kind == "dirichlet_multinomial":
        total, a = x.sum(axis=1), anp.exp(head)
        shares = gammaln(total + 1) + gammaln(anp.sum(a, axis=1)) - gammaln(total + anp.sum(a, axis=1))
        shares = shares + anp.sum(gammaln(x + a) - gammaln(a) - gammaln(x + 1), axis=1)
        return -shares - log_negative_binomial(total, anp.exp(log_total_mean), anp.exp(log_total_size))
    if kind == "ordinal":
        total, start = 0.0, 0
        for i, size in enumerate(likelihood.sizes or [x.shape[1]]):
            raw, part = raw_thresholds[start : start + size], x[:, start : start + size]
            steps = [raw[0], *(1e-3 + anp.exp(a) for a in raw[1:])]
            above = [1 / (1 + anp.exp(sum(steps[: k + 1]) - head[:, i])) for k in range(size)]
            levels = [a - b for a, b in zip([1.0, *above], [*above, 0.0], strict=True)]
            level = part.sum(axis=1)
            total, start = total - anp.log(sum((level == v) * p for v, p in enumerate(levels))), start + size
        return total
    if kind == "bounded":
        scale, half = likelihood.floor + anp.exp(second), likelihood.step / 2
        is_low, is_high = x <= likelihood.low + half, x >= likelihood.high - half
        # Mirrored so that x is below the location: of the tail that is the smaller, digits are left; in logarithms it
        # never underflows.
        is_below = x < head
        distance = anp.where(is_below, x - head, head - x)
        upper = anp.where(anp.where(is_below, is_high, is_low), 0.0, log_logistic((distance + half) / scale))
        no_lower = anp.where(is_below, is_low, is_high)
        ratio = anp.where(no_lower, -1.0, log_logistic((distance - half) / scale) - upper)
        return -anp.sum(upper + anp.where(no_lower, 0.0, anp.log(-anp.expm1(ratio))), axis=1)
    if kind == "student_t":
        scale, n = likelihood.floor + anp.logaddexp(0.0, second), likelihood.smallest + anp.logaddexp(0.0, third)
        density = (
            gammaln((n + 1) / 2)
            - gammaln(n / 2)
            - anp.log(anp.sqrt(n * math.pi) * scale)
            - (n + 1) / 2 * anp.log(1 + ((x - head) / scale) ** 2 / n)
        )
        return -anp.sum(density, axis=1)
    if kind == "squared_error":
        return anp.sum((x - head) ** 2, axis=1)
    if kind == "gaussian":
        variance = likelihood.variance * anp.ones(x.shape)
    else:
        variance = likelihood.floor + anp.exp(
            (second if kind == "gaussian_decoder" else raw_logvar) * anp.ones(x.shape)
        )
    return anp.sum((x - head) ** 2 / (2 * variance) + 0.5 * anp.log(2 * math.pi * variance), axis=1)


def negative_elbo(architecture, theta, x, eps, beta):
    """The loss of the flat vector theta, laid out as npvae lays it out."""
    tensors = Tensors(theta)
    mu, logvar = encode(architecture, tensors, x)
    z = mu + anp.sqrt(anp.exp(logvar)) * eps
    kl = 0.5 * anp.sum(mu**2 + anp.exp(logvar) - logvar - 1, axis=1)
    return anp.mean(negative_log_likelihood(architecture, tensors, z, x) + beta * kl)


def semi_supervised_loss(architecture, theta, batch, eps, beta, weight):
    """The loss of M2: every row with every class, of which a label leaves one."""
    tensors, likelihood = Tensors(theta), architecture.likelihood
    features, latent, classes = architecture.n_features, architecture.latent_dim, architecture.n_classes
    encode_pair = tensors.network(features + classes, architecture.hidden, (latent, latent), architecture.activation)
    decode_pair = tensors.network(
        latent + classes, architecture.decoder_hidden, likelihood.heads(features).values(), architecture.activation
    )
    classify = tensors.network(features, architecture.classifier_hidden, (classes,), architecture.activation)
    raw = {name: tensors.take(*value.shape) for name, value in likelihood.parameters(features).items()}
    tensors.assert_all_taken()
    x, labels = batch[:, :features], batch[:, features]
    q = anp.exp(classify(x)[0])
    q = q / anp.sum(q, axis=1, keepdims=True)
    prior = architecture.class_prior or [1 / classes] * classes
    total = 0.0
    for c in range(classes):
        y = anp.zeros((len(x), classes)) + anp.eye(classes)[c]
        mu, logvar = encode_pair(anp.concatenate([x, y], axis=1))
        z = mu + anp.sqrt(anp.exp(logvar)) * eps
        kl = 0.5 * anp.sum(mu**2 + anp.exp(logvar) - logvar - 1, axis=1)
        nll = minus_log_density(likelihood, x, *decode_pair(anp.concatenate([z, y], axis=1)), **raw)
        bound = -nll - beta * kl + math.log(prior[c])
        of_labelled = -bound - weight * anp.log(q[:, c])
        of_unlabelled = q[:, c] * (anp.log(q[:, c]) - bound)
        total = total + anp.sum(anp.where(labels == c, of_labelled, 0.0) + anp.where(labels < 0, of_unlabelled, 0.0))
    return total / len(x)


def log_normal(z, mean, variance):
    return anp.sum(-0.5 * (z - mean) ** 2 / variance - 0.5 * anp.log(2 * math.pi * variance), axis=-1)


def log_weights(architecture, theta, x, eps, beta, score_theta=None):
    """log w, (K, B), from the densities as they stand. score_theta: the parameters that log q(z|x) has at fixed z, so
    that its direct dependence on theta is not differentiated.
    """
    tensors = Tensors(theta)
    mu, logvar = encode(architecture, tensors, x)
    z = mu + anp.exp(logvar / 2) * eps
    samples, rows, latent = eps.shape
    nll = negative_log_likelihood(
        architecture, tensors, anp.reshape(z, (samples * rows, latent)), anp.concatenate([x] * samples)
    )
    if score_theta is not None:
        mu, logvar = encode(architecture, Tensors(score_theta), x)
    ratio = log_normal(z, 0.0, 1.0) - log_normal(z, mu, anp.exp(logvar))
    return beta * ratio - anp.reshape(nll, (samples, rows))


def importance_weighted_loss(architecture, theta, x, eps, beta):
    """-(1/B) sum_b log (1/K) sum_k w_bk."""
    return -anp.mean(anp.log(anp.mean(anp.exp(log_weights(architecture, theta, x, eps, beta)), axis=0)))
