"""What every likelihood p(x|z) offers: its heads, its own parameters, and four functions.

A likelihood turns the decoder's outputs into a distribution of each feature. It says which outputs it
needs (``heads``), which parameters of its own are learnt with the weights (``parameters``), and computes

    nll_b = -log p(x_b | z_b)        in nats, summed over features, one number a row: shape (B,)

with the gradient by the outputs and by its own parameters. ``npvae/mathematics/model.py`` makes one dense layer a head.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from npvae.errors import InputError
from npvae.support import check


class Likelihood(ABC):
    """Base class. A subclass sets ``name`` and writes the methods below; nothing else is asked of it."""

    name: str
    #: What the printed reconstruction term is, in words: read by summaries and plots.
    reconstruction_label = "-log p(x|z)"
    #: Whether ``mean`` takes curves, and which columns are wanted: of columns of several kinds.
    has_curves = False
    #: Whether the term of a column depends on the numbers of that column alone: of every head, and of its own
    #: parameters that have as many; all others are one number. Such a likelihood of one column is a column of the
    #: likelihood of many.
    elementwise = False
    #: Whether the data are counts, of which an encoder sees the logarithm (encoder_view.py), and the biases fit the
    #: data by default.
    counts = False

    def config(self) -> dict:
        """The constructor's arguments, JSON-able: ``type(self)(**config)`` is an equal object."""
        return {}

    @abstractmethod
    def heads(self, n_features: int) -> dict[str, int]:
        """The decoder's outputs: name and width of each."""

    def parameters(self, n_features: int) -> dict[str, np.ndarray]:
        """The likelihood's own learnt parameters: name and initial value of each."""
        return {}

    def count_columns(self, n_features: int) -> np.ndarray:
        """Which features are counts, (I,), booleans."""
        return np.full(n_features, self.counts)

    @abstractmethod
    def negative_log_likelihood(self, ops, outputs, x, parameters, gradient=True, observed=None):
        """Return ``(nll, backward)``; ``backward(dnll)`` gives ``(doutputs, dparameters)``.

        outputs: a tuple of arrays, one a head, in the order of ``heads``. x: (B, I). parameters: mapping
        of the names in ``parameters``. nll, dnll: (B,); dnll may be one float for all rows. doutputs is a
        tuple like ``outputs``, dparameters a dict. With ``gradient=False`` nothing is kept for it, and
        ``backward`` is None. observed: (B, I), booleans: features where it is False add nothing to nll, and their
        outputs' derivatives are exactly 0, whatever finite number x holds there; None: all are observed.
        """

    @abstractmethod
    def mean(self, ops, outputs, parameters):
        """E[x|z], (B, I)."""

    def quadrature(self, ops, outputs, parameters):
        """Pairs of a weight and points (B, I), such that E[f(x)|z] is about the weighted sum of f(points), for smooth f
        elementwise.

        A likelihood that knows no better gives its mean, of weight 1.
        """
        yield 1.0, self.mean(ops, outputs, parameters)

    @abstractmethod
    def draw(self, outputs, parameters, stream) -> np.ndarray:
        """One draw from p(x|z), (B, I), from NumPy arrays and the noise of a :class:`npvae.random.Stream`."""

    def joined(self, columns: int, other: Likelihood, other_columns: int) -> Likelihood | None:
        """One likelihood of so many columns of this one, and then as many of another; None: there is none. By default
        of an equal one whose columns share nothing."""
        return self if self.elementwise and self == other and not self.parameters(1) else None

    def of_columns(self, columns: slice) -> Likelihood:
        """Of an elementwise likelihood that of some of its columns."""
        return self

    def variables(self, n_features: int) -> list[slice]:
        """The columns of every variable, in order: given z, variables are independent. By default each column is
        one.
        """
        return [slice(i, i + 1) for i in range(n_features)]

    def losses_by_variable(self, ops, outputs, x, parameters, observed=None) -> list:
        """-log p(x_v | z) of every variable v of :meth:`variables`, (B,) each: the terms of the nll. Arguments as
        there.
        """
        if self.elementwise:
            pieces = [(tuple(head[:, v] for head in outputs), x[:, v], v) for v in self.variables(x.shape[1])]
            return [
                self.of_columns(v).negative_log_likelihood(
                    ops,
                    heads,
                    values,
                    {name: own[v] if own.shape == (x.shape[1],) else own for name, own in parameters.items()},
                    False,
                    *(() if observed is None else (observed[:, v],)),
                )[0]
                for heads, values, v in pieces
            ]
        losses = []
        for v in self.variables(x.shape[1]):
            only = ops.xp.zeros(x.shape, dtype=bool)
            only[:, v] = True if observed is None else observed[:, v]
            losses.append(self.negative_log_likelihood(ops, outputs, x, parameters, False, only)[0])
        return losses

    def initial_biases(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Biases of heads, (width,) by name, at which outputs that know nothing of z fit x (N, I) as well as they can.

        Heads that are not named start at 0. Training that starts there spends its first steps on what z is for.
        """
        return {}

    def initial_own(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Values of the likelihood's own parameters, by name, that go with ``initial_biases``; x (N, I) has NaN where
        it is missing.

        Parameters that are not named start as ``parameters`` says.
        """
        return {}

    def linear_start(self, mean, V, noise) -> dict[str, dict[str, np.ndarray]]:
        """Where x is about N(mean + z V, diag(noise)): tensors at which p(x|z) is that, or near it.

        mean, noise: (I,), V: (Z, I), NumPy arrays. "path": linear paths by head; "bias": biases by head; "parameters":
        its own by name. A likelihood that knows no better says nothing, and starts without.
        """
        return {}

    def check_data(self, x: np.ndarray, column_names=None) -> None:  # noqa: B027
        """InputError naming the column if x lies outside the support; any finite x is inside by default. NaN is
        missing.
        """

    @classmethod
    def example(cls, n_features: int) -> Likelihood:
        """One that fits so many features, for the gradient checks."""
        return cls()

    def __repr__(self) -> str:
        arguments = ", ".join(f"{key}={value!r}" for key, value in self.config().items())
        return f"{type(self).__name__}({arguments})"

    def __eq__(self, other) -> bool:
        return type(other) is type(self) and other.config() == self.config()

    def __hash__(self) -> int:
        return hash(repr(self))


#: Gauss-Hermite quadrature of the standard normal distribution: exact for polynomials of degree 9.
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(5)
NORMAL_QUADRATURE = [
    (float(weight), float(node)) for weight, node in zip(_WEIGHTS / _WEIGHTS.sum(), _NODES, strict=True)
]


def normal_quadrature(mean, deviation):
    """Weights and points (B, I) for N(mean, deviation^2); see :meth:`Likelihood.quadrature`."""
    for weight, node in NORMAL_QUADRATURE:
        yield weight, mean + node * deviation


def check_upstream(nll, dnll) -> None:
    """InputError, InputTypeError unless dnll is like nll, or one float for all rows."""
    if not isinstance(dnll, float):
        check.same_shape(nll=nll, dnll=dnll)


def column_label(column: int, column_names=None) -> str:
    """A column as messages name it: by its name, or by its number, from 0, where it has none."""
    return f"column {int(column)}" if column_names is None else f"column {column_names[column]!r}"


def refuse_outside(x: np.ndarray, low: float, high: float, name: str, advice: str, column_names=None) -> None:
    """InputError naming the first column of x with a value outside [low, high]; ``name`` is what needs it."""
    outside = (x < low) | (x > high)
    if not outside.any():
        return
    row, column = np.argwhere(outside)[0]
    label = column_label(column, column_names)
    raise InputError(
        f"X holds {float(x[row, column])!r} in {label} (row {row}), but {name} needs values from {low:g} to {high:g}; "
        f"{advice}"
    )
