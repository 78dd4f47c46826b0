"""Small runs of the training loop, on the compiled program and step by step through the specification.

Importing this skips a test file where the program cannot run.
"""

from __future__ import annotations

from unittest import mock

import compiled  # noqa: F401  (skips)
import numpy as np

from npvae import backend
from npvae.backend.base import Ops
from npvae.mathematics import optimizers, random
from npvae.mathematics.model import Architecture, Model
from npvae.mathematics.optimizers import SGD, Adam, RMSprop
from npvae.training import TrainingSettings, train
from npvae.training.loop import initial_state
from npvae.training.steps import Stepper

#: Features of the data that these runs train on.
FEATURES = 11


def grey(rows: int, features: int = FEATURES, seed: int = 8, dtype="float64") -> np.ndarray:
    """Grey values with black pixels among them: a third of all, and one column."""
    generator = np.random.default_rng(seed)
    x = generator.random((rows, features))
    x[generator.random(x.shape) < 1 / 3] = 0.0
    x[:, features // 2] = 0.0
    return x.astype(dtype)


def real(rows: int, features: int = FEATURES, seed: int = 9, dtype="float64") -> np.ndarray:
    """Real numbers for the Gaussian likelihoods."""
    return np.random.default_rng(seed).standard_normal((rows, features)).astype(dtype)


def make(ops, x, architecture=None, **settings):
    """A model for x and settings: few rows a batch, some hidden units, whatever is asked for instead."""
    shape = {"latent_dim": 2, "hidden": (9,), **(architecture or {})}
    defaults = {"seed": 3, "epochs": 2, "batch_size": 7, "optimizer": "rmsprop", "learning_rate": 0.01}
    return Model(Architecture(x.shape[1], **shape), ops), TrainingSettings(**{**defaults, **settings})


def run(ops, x, x_valid=None, architecture=None, state=None, callbacks=(), **settings):
    """The state after a run."""
    model, settings = make(ops, x, architecture, **settings)
    return train(model, settings, x, x_valid, state=state, callbacks=callbacks)


def start(ops, x, architecture=None, **settings):
    """The state before a run."""
    model, settings = make(ops, x, architecture, **settings)
    return initial_state(model, settings, x)


def noise(seed: int, step: int, shape, dtype="float64") -> np.ndarray:
    """The noise of a training step."""
    return random.normal(seed, "latent noise", step, shape, dtype)


def specification() -> Ops:
    return Ops(np)


def on_numba(threads: int = 1) -> Ops:
    """The compiled backend: on one thread, so that tests do not wait for a busy machine's cores."""
    return backend.get("numba", threads=threads)


def check(x, x_valid=None, **settings):
    """Train by the specification and by the program, and compare; the specification's state."""
    wanted = run(specification(), x, x_valid, **settings)
    with only_the_program():
        found = run(on_numba(), x, x_valid, **settings)
    assert_close(found, wanted)
    return wanted


def only_the_program():
    """A context in which a step taken outside the compiled program is an error."""
    return mock.patch.object(Stepper, "_take_one", side_effect=AssertionError("a step outside the program"))


def columns(history) -> dict:
    """The history without the seconds."""
    return {name: column for name, column in history.columns().items() if name != "seconds"}


def assert_close(found, wanted, rtol=1e-11, atol=1e-12) -> None:
    """Two states: parameters, accumulators, history, and how the run ended."""
    np.testing.assert_allclose(found.theta, wanted.theta, rtol=rtol, atol=atol)
    assert found.optimizer_state.keys() == wanted.optimizer_state.keys()
    for name, value in wanted.optimizer_state.items():
        np.testing.assert_allclose(found.optimizer_state[name], value, rtol=rtol, atol=atol, err_msg=name)
    ours, theirs = columns(found.history), columns(wanted.history)
    assert ours.keys() == theirs.keys()
    for name, column in theirs.items():
        np.testing.assert_allclose(ours[name], column, rtol=rtol, atol=atol, err_msg=name)
    for name in ("epoch", "step", "stop_reason", "best_epoch"):
        assert getattr(found, name) == getattr(wanted, name), name


def assert_same_bits(found, wanted) -> None:
    """Two states that differ in nothing but the time they took."""
    assert found.theta.tobytes() == wanted.theta.tobytes()
    assert found.theta.dtype == wanted.theta.dtype
    for name, value in wanted.optimizer_state.items():
        assert found.optimizer_state[name].tobytes() == value.tobytes(), name
    assert columns(found.history) == columns(wanted.history)


#: Optimisers whose states shrink fast where gradients are zero.
DECAYING = [
    Adam(beta1=0.5, beta2=0.6),
    Adam(beta1=0.6, beta2=0.5),
    RMSprop(rho=0.5, epsilon_inside=False),
    SGD(momentum=0.5),
]


def decayed(first: float, decay: float, interval: int, steps: int) -> list[float]:
    """What is left of a number after each step, if it shrinks by a factor and every so many steps is flushed."""
    values = []
    for step in range(1, steps + 1):
        first *= decay
        if step % interval == 0 and abs(first) < optimizers.TINY:
            first = 0.0
        values.append(first)
    return values


def check_that_accumulators_never_become_denormal(ops, optimizer, first: float) -> None:
    """Where a pixel stays black its weights' gradient is zero for good, and its accumulators decay from what they
    were: to zero, without passing the numbers on which a processor is slow. ``first``: what they are before."""
    x = grey(20, dtype="float32")
    dead = x.shape[1] // 2
    assert not x[:, dead].any()
    x = ops.asarray(x)
    model, _ = make(ops, x)
    width = model.architecture.hidden[0]
    place = model.layout.slices["encoder/0/W"].start + dead * width
    state = start(ops, x, optimizer=optimizer)
    decays, intervals, steps = optimizer._decaying(), optimizer.flush_intervals(), 130
    left = {name: decayed(first, decays[name], intervals[name], steps) for name in decays}
    # A mean of gradients has either sign.
    signs = {name: (-1.0) ** np.arange(width) if name in ("m", "velocity") else np.ones(width) for name in decays}
    for name in decays:
        state.optimizer_state[name][place : place + width] = ops.asarray(np.float32(first * signs[name]))
    smallest = float(np.finfo(np.float32).tiny)

    def look(state):
        for name in decays:
            values = ops.to_numpy(state.optimizer_state[name])
            size = np.abs(values)
            assert not ((size > 0) & (size < smallest)).any(), f"{name} after {state.step} steps"
            np.testing.assert_allclose(
                values[place : place + width], left[name][state.step - 1] * signs[name], rtol=1e-4
            )

    with only_the_program():
        run(ops, x, state=state, callbacks=[look], optimizer=optimizer, batch_size=20, epochs=steps)
    assert state.step == steps
