"""The semi-supervised model M2: a class and a latent vector make x.

    p(y) = pi_y        p(z) = N(0, I)        p(x|y, z)  the likelihood at the decoder's outputs for (z, y)
    q(y|x) = softmax(classifier(x))          q(z|x, y) = N(mu, diag(exp(logvar))),  the encoder for (x, y)

y is one-hot where a network sees it. Of a row with missing entries both networks see what completes it and which
entries are observed, as of any model (model.py). The encoder's first layer is a product with x, the same for every
class, and a row of a second matrix for the class:

    h = f(x W_x + b + W_y[y])          ds = sum over the pairs of a row of da,   dW_x = x^T ds,   db = sum ds
                                       dW_y[c] = sum over the pairs of class c of da

so that for an unlabelled row, whose C classes are all looked at, x W_x is computed once.

Source: Kingma, Rezende, Mohamed & Welling (2014), "Semi-supervised learning with deep generative models", sections 2
and 3.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from npvae.errors import InputError, InputTypeError
from npvae.mathematics.layers import activations, network
from npvae.mathematics.layers.network import DenseLayer
from npvae.mathematics.layers.pairs import Pairs
from npvae.mathematics.model import Architecture, Model, _widths
from npvae.support import check


@dataclass(frozen=True)
class SemiSupervisedArchitecture(Architecture):
    """An architecture with classes. A row of data is its features and, last, its label: -1 for none.

    n_classes: C. classifier_hidden: widths of q(y|x)'s hidden layers, by default the encoder's. class_prior: p(y), C
    positive numbers of sum 1; None: all alike.
    """

    n_classes: int = 2
    classifier_hidden: tuple[int, ...] | None = None
    class_prior: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "n_classes", check.whole_number("n_classes", self.n_classes, 2))
        widths = self.hidden if self.classifier_hidden is None else self.classifier_hidden
        object.__setattr__(self, "classifier_hidden", _widths("classifier_hidden", widths))
        if self.linear_path:
            raise InputError("a semi-supervised model knows no linear_path")
        if self.class_prior is not None:
            object.__setattr__(self, "class_prior", probabilities("class_prior", self.class_prior, self.n_classes))

    def config(self) -> dict:
        assert self.classifier_hidden is not None  # see __post_init__
        return {
            **super().config(),
            "n_classes": self.n_classes,
            "classifier_hidden": list(self.classifier_hidden),
            "class_prior": None if self.class_prior is None else list(self.class_prior),
        }

    @property
    def data_columns(self) -> int:
        return super().data_columns + 1

    @property
    def row_inputs(self) -> int:
        """How many numbers of a row the classifier sees, and the encoder before the class."""
        return super().encoder_inputs

    @property
    def encoder_inputs(self) -> int:
        return self.row_inputs + self.n_classes

    @property
    def decoder_inputs(self) -> int:
        return self.latent_dim + self.n_classes

    def classifier(self) -> tuple[list[DenseLayer], list[DenseLayer]]:
        """The classifier's hidden layers, and its head."""
        assert self.classifier_hidden is not None  # see __post_init__
        hidden = network.chain("classifier", self.row_inputs, self.classifier_hidden, self.activation)
        width = self.classifier_hidden[-1] if hidden else self.row_inputs
        return hidden, [DenseLayer("classifier/logits", width, self.n_classes)]

    def layers_on_rows(self) -> list[DenseLayer]:
        hidden, heads = self.classifier()
        return [*super().layers_on_rows(), *(hidden[:1] or heads)]

    def dense_layers(self) -> list[DenseLayer]:
        return [*super().dense_layers(), *(layer for part in self.classifier() for layer in part)]

    def log_prior(self) -> np.ndarray:
        """log p(y), (C,)."""
        if self.class_prior is None:
            return np.full(self.n_classes, -np.log(self.n_classes))
        return np.log(self.class_prior)


def probabilities(name: str, values, count: int) -> tuple[float, ...]:
    """``count`` positive numbers of sum 1. InputError, InputTypeError: they are not."""
    if isinstance(values, (str, Mapping)) or not isinstance(values, Iterable):
        raise InputTypeError(f"{name} must be a list of numbers, got {values!r}")
    values = tuple(check.real_number(f"each of {name}", value, above=0.0) for value in values)
    if len(values) != count or abs(sum(values) - 1.0) > 1e-6:
        raise InputError(f"{name} must be {count} numbers of sum 1, got {list(values)}")
    return values


class SemiSupervisedModel(Model):
    """M2 on a backend."""

    architecture: SemiSupervisedArchitecture

    def __init__(self, architecture: SemiSupervisedArchitecture, ops) -> None:
        super().__init__(architecture, ops)
        self._classifier = architecture.classifier()

    def classify(self, parameters, x):
        """Return ``(logits, backward)`` for x (B, I), or (B, 2 I), completed; logits (B, C). ``backward(dlogits,
        gradient)`` overwrites the classifier's tensors in ``gradient``."""
        x = self.encoder_input(x)
        (logits,), network_backward = network.network(self.ops, parameters, x, *self._classifier, need_dx=False)
        return logits, lambda dlogits, gradient: network_backward((dlogits,), gradient)

    def encode_pairs(self, parameters, x, pairs: Pairs):
        """Return ``((mu, logvar), backward)``, both (P, Z), for x (L + U, I), or (L + U, 2 I), completed;
        ``backward`` as that of ``encode``.
        """
        x = self.encoder_input(x)
        hidden, heads = self._encoder
        first, rest = (hidden[:1], hidden[1:]) if hidden else (heads, [])
        entered = [self._enter(parameters, layer, x, pairs) for layer in first]
        if not hidden:

            def backward_heads(dmu, dlogvar, gradient):
                for d, (_, backward) in zip((dmu, dlogvar), entered, strict=True):
                    backward(d, gradient)

            return tuple(output for output, _ in entered), backward_heads
        ((h, enter_backward),) = entered
        outputs, rest_backward = network.network(self.ops, parameters, h, rest, heads, need_dx=True)

        def backward(dmu, dlogvar, gradient):
            enter_backward(rest_backward((dmu, dlogvar), gradient), gradient)

        return outputs, backward

    def _enter(self, parameters, layer: DenseLayer, x, pairs: Pairs):
        """A first layer: f(x W_x + b + W_y[y]) for every pair, (P, H)."""
        ops, xp, features, known = self.ops, self.ops.xp, self.architecture.row_inputs, pairs.labelled
        W, b = parameters[layer.W], parameters[layer.b]
        by_row, by_class = ops.dense_forward(x, W[:features, :], b, "identity"), W[features:, :]
        labelled = activations.FORWARD[layer.activation](xp, by_row[:known, :] + pairs.one_hot_labels @ by_class)
        y = ops.concat([labelled, ops.outer_forward(by_row[known:, :], by_class, layer.activation)])

        def backward(dy, gradient):
            da = ops.activation_gradient(dy, y, layer.activation)
            dW, db, dby_row = gradient[layer.W], gradient[layer.b], pairs.gather(da)
            ops.dense_backward(dby_row, x, by_row, W[:features, :], "identity", False, (dW[:features, :], db))
            of_unlabelled = xp.sum(pairs.by_class(da), axis=1)
            dW[features:, :] = of_unlabelled + pairs.one_hot_labels.T @ da[:known, :]

        return y, backward

    def decode_pairs(self, parameters, z, pairs: Pairs):
        """``decode`` for z (P, Z) with the classes of the pairs; its backward returns dz."""
        outputs, decoder_backward = self.decode(parameters, self.ops.concat([z, pairs.one_hot], axis=1))
        latent_dim = self.architecture.latent_dim
        return outputs, lambda doutputs, gradient: decoder_backward(doutputs, gradient)[:, :latent_dim]
