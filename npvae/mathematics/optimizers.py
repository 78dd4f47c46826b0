"""Optimisers: the update rule, its state, and one call on the flat vector of parameters.

Notation: g gradient, lr learning rate, t the step counted from 1. All arrays are flat, (P,), of one
floating dtype. A step changes theta and the state in place and leaves g alone.

Accumulators decay geometrically wherever a gradient stays zero (the weights of a pixel that is never lit)
and would end in denormal numbers, on which a processor is some fifty times slower. RMSprop with epsilon
inside the root avoids this by storing s + epsilon, which never falls below epsilon; everything else is set
to zero below ``TINY`` before it can get there, at fixed steps, so that the rule is the same everywhere.
"""

from __future__ import annotations

import math

from npvae.support import check, registry

#: Accumulators nearer to zero than this are set to zero: far above the smallest normal float32, 1.2e-38,
#: and far below anything that moves a parameter.
TINY = 1e-30
_SMALLEST_NORMAL = 1.2e-38


# The rules, over xp


def rmsprop_step(xp, theta, gradient, accumulator, learning_rate, rho, epsilon, epsilon_inside):
    """RMSprop.

        s     = rho s + (1 - rho) g^2
        theta = theta - lr g / sqrt(s + epsilon)        epsilon inside the root
        theta = theta - lr g / (sqrt(s) + epsilon)      epsilon outside

    ``accumulator`` holds v = s + epsilon in the first form, whose recurrence is
    v = rho v + (1 - rho) (g^2 + epsilon), and s in the second.
    """
    if epsilon_inside:
        accumulator *= rho
        accumulator += (1.0 - rho) * (gradient * gradient + epsilon)
        theta -= learning_rate * (gradient / xp.sqrt(accumulator))
    else:
        accumulator *= rho
        accumulator += (1.0 - rho) * (gradient * gradient)
        theta -= learning_rate * (gradient / (xp.sqrt(accumulator) + epsilon))


def adam_step(xp, theta, gradient, m, v, learning_rate, beta1, beta2, epsilon, step):
    """Adam.

    m     = beta1 m + (1 - beta1) g            v = beta2 v + (1 - beta2) g^2
    theta = theta - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)
    """
    m *= beta1
    m += (1.0 - beta1) * gradient
    v *= beta2
    v += (1.0 - beta2) * (gradient * gradient)
    root = xp.sqrt(v) * (1.0 / math.sqrt(1.0 - beta2**step)) + epsilon
    theta -= (learning_rate / (1.0 - beta1**step)) * (m / root)


def sgd_step(xp, theta, gradient, velocity, learning_rate, momentum):
    """Gradient descent with momentum: velocity = momentum velocity + g; theta = theta - lr velocity.

    Without momentum ``velocity`` is None.
    """
    if velocity is None:
        theta -= learning_rate * gradient
    else:
        velocity *= momentum
        velocity += gradient
        theta -= learning_rate * velocity


def flush_tiny(xp, array):
    """array = 0 where |array| < TINY, in place."""
    array[...] = xp.where(xp.abs(array) < TINY, xp.zeros_like(array), array)


def _flush_interval(decay: float) -> int:
    """How many steps a number of size TINY takes, at least, to decay into the denormals (at most 64)."""
    if decay <= 0.0:
        return 64
    return max(1, min(64, int(math.log(_SMALLEST_NORMAL / TINY) / math.log(decay))))


# The optimisers: constants, state, and a call


class Optimizer:
    """Base class: constants in attributes, state in a dict of flat arrays that the caller owns."""

    name: str
    #: The arrays of the state that are means of squares.
    never_negative: tuple[str, ...] = ()

    def config(self) -> dict:
        """The constructor's arguments, JSON-able."""
        return dict(vars(self))

    def initial_state(self, ops, theta) -> dict:
        """The state before the first step: arrays like ``theta``."""
        return {}

    def update(self, ops, theta, gradient, state: dict, learning_rate: float, step: int) -> None:
        """Step number ``step`` (from 1): change ``theta`` and ``state`` in place."""
        self._step(ops, theta, gradient, state, learning_rate, step)
        for name, interval in self.flush_intervals().items():
            if step % interval == 0:
                ops.flush_tiny(state[name])

    def _step(self, ops, theta, gradient, state, learning_rate, step) -> None:
        raise NotImplementedError

    def flush_intervals(self) -> dict[str, int]:
        """The accumulators that can reach zero: name, and every how many steps what is tiny in them is set to 0."""
        return {name: _flush_interval(decay) for name, decay in self._decaying().items()}

    def _decaying(self) -> dict[str, float]:
        """The accumulators that can reach zero: name, and factor a step."""
        return {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.config().items())})"


class RMSprop(Optimizer):
    """RMSprop (Tieleman & Hinton 2012); the defaults are those of Keras 3.

    What other libraries do differently, and how to have it:

    ================  =====  ========  ================  ====================
    library           rho    epsilon   place of epsilon  initial accumulator
    ================  =====  ========  ================  ====================
    Keras 3           0.9    1e-7      inside the root   0
    Keras 1 and 2.0   0.9    1e-8      outside           0
    PyTorch           0.99   1e-8      outside           0
    Optax             0.9    1e-8      inside            0
    HIPS autograd     0.9    1e-8      outside           1
    ================  =====  ========  ================  ====================
    """

    name = "rmsprop"
    never_negative = ("accumulator",)

    def __init__(
        self, rho: float = 0.9, epsilon: float = 1e-7, epsilon_inside: bool = True, initial_accumulator: float = 0.0
    ) -> None:
        self.rho = check.real_number("rho", rho, minimum=0.0, below=1.0)
        # epsilon^2 or epsilon itself must not vanish in float32, or 0 / 0 follows at the first zero gradient.
        self.epsilon = check.real_number("epsilon", epsilon, minimum=1e-30)
        self.epsilon_inside = bool(epsilon_inside)
        self.initial_accumulator = check.real_number("initial_accumulator", initial_accumulator, minimum=0.0)

    def initial_state(self, ops, theta):
        start = self.initial_accumulator + (self.epsilon if self.epsilon_inside else 0.0)
        return {"accumulator": ops.copy(ops.xp.zeros_like(theta) + start)}

    def _step(self, ops, theta, gradient, state, learning_rate, step):
        ops.rmsprop_step(
            theta, gradient, state["accumulator"], learning_rate, self.rho, self.epsilon, self.epsilon_inside
        )

    def _decaying(self):
        return {} if self.epsilon_inside else {"accumulator": self.rho}


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015, algorithm 1, and its defaults, which PyTorch shares; Keras has epsilon 1e-7).

    initial_accumulator: where v starts. Above the square of the gradients it makes the first steps small, until beta2^t
    has forgotten it: Burda et al. (2016) start at 1 for gradients that are summed over 20 rows.
    """

    name = "adam"
    never_negative = ("v",)

    def __init__(
        self, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8, initial_accumulator: float = 0.0
    ) -> None:
        self.beta1 = check.real_number("beta1", beta1, minimum=0.0, below=1.0)
        self.beta2 = check.real_number("beta2", beta2, minimum=0.0, below=1.0)
        self.epsilon = check.real_number("epsilon", epsilon, minimum=1e-30)
        self.initial_accumulator = check.real_number("initial_accumulator", initial_accumulator, minimum=0.0)

    def initial_state(self, ops, theta):
        start = {"m": 0.0, "v": self.initial_accumulator}
        return {name: ops.copy(ops.xp.full_like(theta, value)) for name, value in start.items()}

    def _step(self, ops, theta, gradient, state, learning_rate, step):
        ops.adam_step(
            theta, gradient, state["m"], state["v"], learning_rate, self.beta1, self.beta2, self.epsilon, step
        )

    def _decaying(self):
        return {"m": self.beta1, "v": self.beta2}


class SGD(Optimizer):
    """Stochastic gradient descent, with heavy-ball momentum (Polyak 1964; PyTorch's form) if asked for."""

    name = "sgd"

    def __init__(self, momentum: float = 0.0) -> None:
        self.momentum = check.real_number("momentum", momentum, minimum=0.0, below=1.0)

    def initial_state(self, ops, theta):
        return {"velocity": ops.copy(ops.xp.zeros_like(theta))} if self.momentum else {}

    def _step(self, ops, theta, gradient, state, learning_rate, step):
        ops.sgd_step(theta, gradient, state.get("velocity"), learning_rate, self.momentum)

    def _decaying(self):
        return {"velocity": self.momentum} if self.momentum else {}


KNOWN = {kind.name: kind for kind in (RMSprop, Adam, SGD)}


def get(optimizer) -> Optimizer:
    """The optimiser of a name, of ``{"name": ..., argument: value}``, or the object itself."""
    return registry.build("optimizer", optimizer, KNOWN, Optimizer)


def global_norm(xp, gradient) -> float:
    """The length of the gradient, also where the sum of its squares is beyond the dtype."""
    squares = float(gradient @ gradient)
    if math.isfinite(squares):
        return math.sqrt(squares)
    largest = float(xp.max(xp.abs(gradient)))
    if not math.isfinite(largest):
        return largest
    scaled = gradient * (1.0 / largest)
    return largest * math.sqrt(float(scaled @ scaled))


#: No gradient is longer than this for an optimiser: the squares of a longer one would overflow float32 in the
#: accumulators, and a parameter whose accumulator is infinite never moves again.
LONGEST_GRADIENT = 1e15


def longest_gradient(clip_norm: float | None) -> float:
    """The length to which gradients are clipped, given what the user asked for."""
    return LONGEST_GRADIENT if clip_norm is None else min(clip_norm, LONGEST_GRADIENT)


def clip_by_global_norm(gradient, norm: float, maximum: float | None) -> None:
    """Scale ``gradient``, in place, to length ``maximum`` (at most ``LONGEST_GRADIENT``) if it is longer."""
    maximum = longest_gradient(maximum)
    if norm > maximum:
        gradient *= maximum / norm
