"""The model: a flat vector theta with named views, and the encoder and decoder that read it.

    encoder   h = f(... f(x W_0 + b_0) ...)          mu = h W_mean + b_mean
                                                     logvar = h W_logvar + b_logvar
    decoder   h = f(... f(z W_0 + b_0) ...)          one output (logits, mean, ...) = h W + b a head

q(z|x) = N(mu, diag(exp(logvar))) approximates the posterior p(z|x), which cannot be computed; p(z) = N(0, I);
p(x|z) is the likelihood at the decoder's outputs.

All parameters lie in one contiguous vector, (P,), under names such as ``encoder/0/W``; a gradient is a
vector of the same layout. So a finite difference can test all of it at once, an optimiser is one pass,
and a file is one array and a header.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from npvae.errors import InputTypeError
from npvae.mathematics import likelihoods, missing, random
from npvae.mathematics.layers import activations, initial, network
from npvae.mathematics.layers.network import DenseLayer, LinearPath
from npvae.mathematics.likelihoods import Likelihood
from npvae.support import check, registry
from npvae.support.batches import batches

#: Rows that are decoded at a time for a draw of all of them.
DECODED_AT_ONCE = 8192
#: Hidden layers of one network.
MOST_LAYERS = 1000


@dataclass(frozen=True)
class Architecture:
    """The sizes and choices that define a model.

    ``hidden`` lists the widths of the encoder's hidden layers from the data on; ``decoder_hidden`` those of the decoder
    from the latent space on, by default the encoder's in reverse. Either may be empty: the model is then linear.
    ``missing``: NaN in the data is what is missing (missing.py). ``linear_path``: linear layers from the data to the
    posterior's mean and log-variance, and from z to what the likelihood's mean depends on, beside the hidden ones.
    ``completed``: a row of data is its features, and behind them the same features as the encoder is to see them: on
    another scale (encoder_view.py), or completed where they are missing. InputError, InputTypeError, UnknownNameError:
    a size or name that cannot be.
    """

    n_features: int
    latent_dim: int = 2
    hidden: tuple[int, ...] = (256,)
    decoder_hidden: tuple[int, ...] | None = None
    activation: str = "relu"
    likelihood: Likelihood = field(default_factory=likelihoods.Bernoulli)
    missing: bool = False
    linear_path: bool = False
    completed: bool = False

    def __post_init__(self) -> None:
        for name in ("n_features", "latent_dim"):
            object.__setattr__(self, name, check.whole_number(name, getattr(self, name), 1))
        object.__setattr__(self, "hidden", _widths("hidden", self.hidden))
        mirrored = self.hidden[::-1] if self.decoder_hidden is None else self.decoder_hidden
        object.__setattr__(self, "decoder_hidden", _widths("decoder_hidden", mirrored))
        check.one_of("activation", self.activation, activations.NAMES)
        for name in ("missing", "linear_path", "completed"):
            check.true_or_false(name, getattr(self, name))
        object.__setattr__(self, "likelihood", likelihoods.get(self.likelihood))

    def config(self) -> dict:
        """The fields, JSON-able; :meth:`from_config` is the inverse."""
        assert self.decoder_hidden is not None  # see __post_init__
        return {
            "n_features": self.n_features,
            "latent_dim": self.latent_dim,
            "hidden": list(self.hidden),
            "decoder_hidden": list(self.decoder_hidden),
            "activation": self.activation,
            "likelihood": registry.to_config(self.likelihood),
            **{name: True for name in ("missing", "linear_path", "completed") if getattr(self, name)},
        }

    @classmethod
    def from_config(cls, config: Mapping) -> Architecture:
        """The architecture of :meth:`config`."""
        return cls(**config)

    @property
    def data_columns(self) -> int:
        """How many numbers a row of data has."""
        return 2 * self.n_features if self.completed else self.n_features

    @property
    def encoder_inputs(self) -> int:
        """How many numbers of a row the encoder sees: its features, and where some may be missing, which are
        observed.
        """
        return 2 * self.n_features if self.missing else self.n_features

    @property
    def decoder_inputs(self) -> int:
        """How many numbers the decoder sees."""
        return self.latent_dim

    def encoder(self) -> tuple[list[DenseLayer], list[DenseLayer]]:
        """The encoder's hidden layers, and its heads: mean and log-variance."""
        hidden = network.chain("encoder", self.encoder_inputs, self.hidden, self.activation)
        width = self.hidden[-1] if hidden else self.encoder_inputs
        return hidden, [DenseLayer(f"encoder/{head}", width, self.latent_dim) for head in ("mean", "logvar")]

    def decoder(self) -> tuple[list[DenseLayer], list[DenseLayer]]:
        """The decoder's hidden layers, and its heads: those of the likelihood."""
        assert self.decoder_hidden is not None  # see __post_init__
        hidden = network.chain("decoder", self.decoder_inputs, self.decoder_hidden, self.activation)
        width = self.decoder_hidden[-1] if hidden else self.decoder_inputs
        outputs = self.likelihood.heads(self.n_features)
        return hidden, [DenseLayer(f"decoder/{head}", width, units) for head, units in outputs.items()]

    def layers_on_rows(self) -> list[DenseLayer]:
        """Those whose input is a row of data, and not what a layer has made of it."""
        hidden, heads = self.encoder()
        return hidden[:1] or heads

    def dense_layers(self) -> list[DenseLayer]:
        """Every dense layer in order of evaluation."""
        return [layer for part in (*self.encoder(), *self.decoder()) for layer in part]

    def linear_paths(self) -> tuple[tuple[LinearPath | None, ...], ...]:
        """Those of the encoder and of the decoder, one or None for each head; empty where there are none.

        Of the decoder all heads but those of spread, which are called raw_...
        """
        if not self.linear_path:
            return (), ()
        encoder = tuple(
            LinearPath(f"encoder/linear/{head}", self.encoder_inputs, self.latent_dim) for head in ("mean", "logvar")
        )
        heads = self.likelihood.heads(self.n_features).items()
        return encoder, tuple(
            None if "raw_" in name else LinearPath(f"decoder/linear/{name}", self.latent_dim, width)
            for name, width in heads
        )

    def all_layers(self) -> list[DenseLayer | LinearPath]:
        """Every layer with parameters: the dense ones, then the linear paths."""
        paths = [path for part in self.linear_paths() for path in part if path is not None]
        return [*self.dense_layers(), *paths]


def _widths(name: str, widths) -> tuple[int, ...]:
    """Widths of hidden layers as a tuple; a single number is one layer."""
    if isinstance(widths, numbers.Integral):
        widths = (widths,)
    if isinstance(widths, str) or not isinstance(widths, Iterable):
        raise InputTypeError(f"{name} must be a list of whole numbers, got {widths!r}")
    widths = tuple(check.whole_number(f"each of {name}", width, 1) for width in widths)
    check.at_most(f"the number of layers in {name}", len(widths), MOST_LAYERS, "a network that deep is not trained")
    return widths


class Layout:
    """Where each named tensor lies in the flat vector: in the order given, without gaps."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.shapes = dict(shapes)
        self.slices = {}
        start = 0
        for name, shape in self.shapes.items():
            stop = start + math.prod(shape)
            self.slices[name] = slice(start, stop)
            start = stop
        self.size = start

    def views(self, xp, flat) -> dict:
        """Name to view: writing to a view writes to ``flat``, (P,)."""
        return {name: xp.reshape(flat[self.slices[name]], shape) for name, shape in self.shapes.items()}


class Model:
    """An architecture on a backend: functions of (theta, data, noise) that keep no state but a cache of views."""

    def __init__(self, architecture: Architecture, ops) -> None:
        self.architecture = architecture
        self.likelihood = architecture.likelihood
        self.ops = ops
        self._has_holes, self._has_completed = (
            architecture.missing,
            architecture.completed,
        )  # of the rows that it is asked about
        self._encoder = architecture.encoder()
        self._decoder = architecture.decoder()
        own = self.likelihood.parameters(architecture.n_features)
        shapes = {}
        self._encoder_paths, self._decoder_paths = architecture.linear_paths()
        for layer in architecture.all_layers():
            shapes.update(layer.shapes())
        shapes.update({f"likelihood/{name}": value.shape for name, value in own.items()})
        self.layout = Layout(shapes)
        self._likelihood_names = list(own)
        self._recent_views: list[tuple] = []

    def __getstate__(self) -> dict:
        # A copied or unpickled vector is the base of none of the views cached here.
        return {**self.__dict__, "_recent_views": []}

    def initial_parameters(self, seed: int, dtype="float32", x=None, rule: str = "glorot"):
        """A new theta, (P,): weights and biases by a rule of layers/initial.py, the likelihood's own initial values.

        With data x, a NumPy array whose first columns are the features, the biases of the decoder's outputs are the
        likelihood's ``initial_biases``, its own parameters its ``initial_own``. Weights of which entries are observed
        start at 0.
        """
        theta = np.zeros(self.layout.size)
        views = self.layout.views(np, theta)
        for step, layer in enumerate(self.architecture.dense_layers()):
            starts = zip((layer.W, layer.b), ("initial weights", "initial biases"), strict=True)
            for (name, purpose), r in zip(starts, initial.limits(rule, layer.inputs, layer.outputs), strict=True):
                if r > 0.0:
                    views[name][...] = r * (2.0 * random.uniform(seed, purpose, step, views[name].shape) - 1.0)
        if self.architecture.missing:
            features = self.architecture.n_features
            for layer in self.architecture.layers_on_rows():
                views[layer.W][features : 2 * features] = 0.0  # or what is missing by chance would be noise at first
        for name, value in self.likelihood.parameters(self.architecture.n_features).items():
            views[f"likelihood/{name}"][...] = value
        if x is not None:
            x = x[:, : self.architecture.n_features]
            for name, value in self.likelihood.initial_own(x).items():
                views[f"likelihood/{name}"][...] = value
            if self.architecture.missing:
                x = missing.fill_with_means(x)
            for name, value in self.likelihood.initial_biases(x).items():
                views[f"decoder/{name}/b"][...] = value
        return self.ops.copy(theta, dtype)

    def views(self, flat) -> dict:
        """The named tensors of theta, or of a gradient, as views; not to be changed as a mapping.

        InputTypeError: the vector is neither float32 nor float64.
        """
        # A run asks for the views of the same two vectors, theta and its gradient, at every step.
        for known, views in self._recent_views:
            if known is flat:
                return views
        if self.ops.dtype_name(flat) not in ("float32", "float64"):
            raise InputTypeError(f"a vector of parameters must be float32 or float64, got {flat.dtype}")
        views = self.layout.views(self.ops.xp, flat)
        self._recent_views = [(flat, views), *self._recent_views[:1]]
        return views

    def encode(self, parameters, x):
        """Return ``((mu, logvar), backward)`` for x (B, I), NaN where something is missing, or (B, 2 I), completed;
        both are (B, Z).

        ``backward(dmu, dlogvar, gradient)`` overwrites the encoder's tensors in ``gradient``, a mapping of
        views by name. The gradient by x is not computed.
        """
        x = self.encoder_input(x)
        outputs, network_backward = network.network(
            self.ops, parameters, x, *self._encoder, need_dx=False, paths=self._encoder_paths
        )

        def backward(dmu, dlogvar, gradient):
            network_backward((dmu, dlogvar), gradient)

        return outputs, backward

    def decode(self, parameters, z):
        """Return ``(outputs, backward)`` for z (B, Z): a tuple with one array a head of the likelihood.

        ``backward(doutputs, gradient)`` overwrites the decoder's tensors in ``gradient`` and returns dz.
        """
        return network.network(self.ops, parameters, z, *self._decoder, need_dx=True, paths=self._decoder_paths)

    def expected(self, parameters, z):
        """E[x|z], (B, I), for z (B, Z), arrays of the backend."""
        outputs, _ = self.decode(parameters, z)
        return self.likelihood.mean(self.ops, outputs, self.likelihood_parameters(parameters))

    def draw(self, parameters, z: np.ndarray, stream) -> np.ndarray:
        """A draw from p(x|z), (N, I), for every row of z (N, Z), NumPy arrays, with a :class:`npvae.random.Stream`'s
        noise.
        """
        to_numpy = self.ops.to_numpy
        pieces = [self.decode(parameters, self.ops.asarray(z[part]))[0] for part in batches(len(z), DECODED_AT_ONCE)]
        outputs = tuple(np.concatenate([to_numpy(piece) for piece in head]) for head in zip(*pieces, strict=True))
        own = {name: to_numpy(value) for name, value in self.likelihood_parameters(parameters).items()}
        return self.likelihood.draw(outputs, own, stream)

    def negative_log_likelihood(self, parameters, outputs, x, gradient=True):
        """The likelihood's (see there) at outputs and x (B, I): of what is observed, where something may be missing."""
        own, (x, _) = self.likelihood_parameters(parameters), self._parts(x)
        if not self._has_holes:
            return self.likelihood.negative_log_likelihood(self.ops, outputs, x, own, gradient)
        filled, observed = missing.split(self.ops.xp, x)
        return self.likelihood.negative_log_likelihood(self.ops, outputs, filled, own, gradient, observed)

    def losses_by_variable(self, parameters, outputs, x) -> list:
        """The terms of :meth:`negative_log_likelihood`, (B,) each, of the likelihood's variables."""
        own, (x, _), observed = self.likelihood_parameters(parameters), self._parts(x), None
        if self._has_holes:
            x, observed = missing.split(self.ops.xp, x)
        return self.likelihood.losses_by_variable(self.ops, outputs, x, own, observed)

    def encoder_input(self, x):
        """What the first layer sees of rows of data, (B, encoder's inputs) for a plain architecture."""
        features, seen = self._parts(x)
        if self.architecture.missing:
            return missing.encoder_input(self.ops.xp, features, seen)
        return features if seen is None else seen

    def _parts(self, x):
        """The features of rows of data, and what the encoder sees of them, None where it sees them as they are."""
        features = self.architecture.n_features
        return (x[:, :features], x[:, features:]) if self._has_completed else (x, None)

    def likelihood_parameters(self, views) -> dict:
        """The likelihood's own tensors under the names it gave them."""
        return {name: views[f"likelihood/{name}"] for name in self._likelihood_names}
