"""What every objective offers to the training loop: the loss of a minibatch, its parts, and its gradient."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import partial
from typing import Any

from npvae.mathematics.layers.sampling import sample
from npvae.support import check


@dataclass
class Terms:
    """The loss and its parts, means over the rows, in nats; scalars of the backend (0-d arrays)."""

    loss: Any
    reconstruction: Any  #: mean of -log p(x|z)
    kl: Any  #: mean KL divergence, summed over latent dimensions, without beta
    kl_rows: Any  #: (B, Z), by row and latent dimension
    mu: Any  #: (B, Z), the posterior means
    nll_rows: Any  #: (B,), of several samples of z their mean
    bound: Any = None  #: the lower bound on log p(x) with beta = 1, where it is not the ELBO
    labelled: tuple[Any, Any, Any] | None = (
        None  #: how many rows have a label, how many of them are taken for another class, and
    )
    #: their sum of -log q(y|x); None where rows have no labels


class Objective(ABC):
    """Base class. A subclass sets ``name`` and writes ``loss``."""

    name: str
    #: Samples of z for each row.
    samples = 1
    #: Columns of the history beside the ELBO's: "bound", "error", "cross_entropy". None: any of them, or none.
    more_columns: tuple[str, ...] | None = None

    def config(self) -> dict:
        """The constructor's arguments, JSON-able: ``type(self)(**config)`` is an equal object."""
        return {}

    def noise_shape(self, rows: int, latent_dim: int) -> tuple[int, ...]:
        """The shape of the noise eps for so many rows."""
        return rows, latent_dim

    def check_memory(self, model, rows: int, itemsize: int) -> None:  # noqa: B027
        """InputError if a batch of ``rows`` needs more memory than there is, by what this objective can change."""

    def spread(self, model, x):
        """Bool (N,), NumPy: the rows of the data of which every batch is to have its share; None: any order will do."""
        return None

    @abstractmethod
    def loss(self, model, theta, x, eps, beta: float = 1.0, gradient: bool = True):
        """Return ``(terms, backward)``; ``backward(dloss=1.0, out=None)`` gives dtheta, (P,).

        theta: (P,). x: (B, I). eps: of ``noise_shape``, standard normal. beta: the weight of what ties q(z|x) to the
        prior. ``out`` is a vector like theta to be overwritten. With ``gradient=False``, ``backward`` is None.
        """

    def tensors(self, model, views, x, eps):
        """Yield ``(kind, name, array)`` of what is computed on the way to the loss, in order: where the guard looks for
        the first number that is not finite. kind: "mu", "logvar", "z", "decoder", "logits"."""
        (mu, logvar), _ = model.encode(views, x)
        # Of several samples of z, (K, B, Z), the first stands for all: the loss and the gradient see the others.
        yield from self._latent_tensors(
            model, mu, logvar, eps if len(eps.shape) == 2 else eps[0, ...], partial(model.decode, views)
        )

    @staticmethod
    def _latent_tensors(model, mu, logvar, eps, decode):
        yield "mu", "the posterior mean mu", mu
        yield "logvar", "the posterior log-variance", logvar
        z, _ = sample(model.ops, mu, logvar, eps)
        yield "z", "the latent sample z", z
        outputs, _ = decode(z)
        for head, value in zip(model.likelihood.heads(model.architecture.n_features), outputs, strict=True):
            yield "decoder", f"the decoder's output {head}", value

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{key}={value!r}' for key, value in self.config().items())})"

    def __eq__(self, other) -> bool:
        return type(other) is type(self) and other.config() == self.config()

    def __hash__(self) -> int:
        return hash(repr(self))


def check_batch(model, theta, x) -> None:
    """InputError, InputTypeError: x is no matrix of the model's features, has no rows, or is not of theta's dtype."""
    check.matrix("x", x, model.architecture.data_columns)
    if x.shape[0] == 0:
        check.whole_number("the number of rows of x", 0, 1)
    check.same_dtype("theta", theta, "x", x)
