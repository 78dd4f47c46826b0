"""The optimisers against their published rules, one parameter at a time in Python floats."""

import math

import naive
import numpy as np
import pytest

from npvae.backend.numpy_ops import PIECE
from npvae.errors import InputError, InputTypeError, UnknownNameError
from npvae.mathematics import optimizers

#: Below, at, and twice past the piece in which the NumPy backend works, with an odd rest.
SIZES = [1, 5, PIECE, 2 * PIECE + 4465]

OPTIMIZERS = [
    optimizers.RMSprop(),
    optimizers.RMSprop(rho=0.99, epsilon=1e-8, epsilon_inside=False),
    optimizers.RMSprop(epsilon=1e-2, epsilon_inside=False),
    optimizers.RMSprop(epsilon=1e-2, initial_accumulator=1.0),
    optimizers.RMSprop(epsilon=1e-8, epsilon_inside=False, initial_accumulator=1.0),
    optimizers.Adam(),
    optimizers.Adam(beta1=0.5, beta2=0.9, epsilon=1e-2),
    optimizers.Adam(beta1=0.0),
    optimizers.SGD(),
    optimizers.SGD(momentum=0.9),
]

every_optimizer = pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)


def by_the_rule(optimizer, theta, gradients, learning_rate):
    """The naive rule with the optimiser's constants, on one parameter."""
    if isinstance(optimizer, optimizers.RMSprop):
        return naive.rmsprop(
            theta,
            gradients,
            learning_rate,
            optimizer.rho,
            optimizer.epsilon,
            optimizer.epsilon_inside,
            optimizer.initial_accumulator,
        )
    if isinstance(optimizer, optimizers.Adam):
        return naive.torch_adam(theta, gradients, learning_rate, optimizer.beta1, optimizer.beta2, optimizer.epsilon)
    return naive.sgd(theta, gradients, learning_rate, optimizer.momentum)


def run(ops, optimizer, theta, gradients, learning_rate=1e-2, first_step=1):
    """theta after one step a gradient, and the state."""
    theta = theta.copy()
    state = optimizer.initial_state(ops, theta)
    for step, gradient in enumerate(gradients, start=first_step):
        optimizer.update(ops, theta, gradient, state, learning_rate, step)
    return theta, state


@every_optimizer
@pytest.mark.parametrize("size", SIZES)
def test_three_steps_are_the_rule(ops, dtype, rng, optimizer, size):
    theta = rng.standard_normal(size).astype(dtype)
    gradients = (rng.standard_normal((3, size)) * 10.0 ** rng.integers(-3, 2, size)).astype(dtype)
    before = gradients.copy()
    result, state = run(ops, optimizer, theta, gradients)
    np.testing.assert_array_equal(gradients, before)
    assert result.dtype == dtype and all(value.dtype == dtype for value in state.values())
    # The rule is the same for every element: those at the borders of the pieces, and some between.
    borders = [i for edge in (0, PIECE, 2 * PIECE, size) for i in range(edge - 2, edge + 2) if 0 <= i < size]
    picked = sorted({*borders, *rng.integers(0, size, 20).tolist()})
    wanted = [by_the_rule(optimizer, float(theta[i]), before[:, i].astype(float).tolist(), 1e-2) for i in picked]
    tolerance = 8 * np.finfo(dtype).eps
    np.testing.assert_allclose(result[picked], wanted, rtol=tolerance, atol=tolerance)
    # And no piece is left out.
    assert (result != theta).mean() >= 0.99


@every_optimizer
def test_every_element_equals_the_specification(ops, dtype, rng, optimizer):
    from npvae.backend.base import Ops

    size = SIZES[-1]
    theta = rng.standard_normal(size).astype(dtype)
    gradients = rng.standard_normal((2, size)).astype(dtype)
    found, wanted = (run(one, optimizer, theta, gradients) for one in (ops, Ops(np)))
    tolerance = 8 * np.finfo(dtype).eps
    np.testing.assert_allclose(found[0], wanted[0], rtol=tolerance, atol=tolerance)
    for name, value in wanted[1].items():
        np.testing.assert_allclose(found[1][name], value, rtol=tolerance, atol=tolerance)


def test_the_defaults_are_those_of_the_libraries_named(ops):
    theta, gradients = 0.3, [0.5, -2.0, 0.01, 0.2]
    arrays = [np.array([g]) for g in gradients]
    found = run(ops, optimizers.RMSprop(), np.array([theta]), arrays, 1e-3)[0]
    assert found[0] == pytest.approx(naive.keras_rmsprop(theta, gradients), rel=1e-14)
    found = run(ops, optimizers.Adam(), np.array([theta]), arrays, 1e-3)[0]
    assert found[0] == pytest.approx(naive.torch_adam(theta, gradients), rel=1e-14)


def test_rmsprop_by_hand(ops):
    """rho = 3/4, epsilon = 1/4 inside, g = 1: s = 1/4, root sqrt(1/2). Outside: s = 1/4, 1/2 + 1/4."""
    g = [np.array([1.0])]
    inside, state = run(ops, optimizers.RMSprop(0.75, 0.25, True), np.array([2.0]), g, 1.0)
    assert inside[0] == pytest.approx(2.0 - math.sqrt(2.0), rel=1e-15)
    assert state["accumulator"][0] == pytest.approx(0.5, rel=1e-15)
    outside, state = run(ops, optimizers.RMSprop(0.75, 0.25, False), np.array([2.0]), g, 1.0)
    assert outside[0] == pytest.approx(2.0 - 4.0 / 3.0, rel=1e-15)
    assert state["accumulator"][0] == 0.25
    # A first accumulator of 1: s = 3/4 + 1/4 = 1.
    one, _ = run(ops, optimizers.RMSprop(0.75, 0.25, False, initial_accumulator=1.0), np.array([2.0]), g, 1.0)
    assert one[0] == pytest.approx(2.0 - 1.0 / 1.25, rel=1e-15)


@pytest.mark.parametrize("g", [-50.0, -1e-3, 1e-3, 1.0])
def test_the_first_step_of_adam_has_the_size_of_the_learning_rate(ops, g):
    theta, _ = run(ops, optimizers.Adam(), np.zeros(3), [np.full(3, g)], 0.01)
    np.testing.assert_allclose(theta, -math.copysign(0.01, g), rtol=2e-5)


def test_sgd_by_hand(ops):
    gradients = [np.array([1.0]), np.array([2.0]), np.array([0.0])]
    assert run(ops, optimizers.SGD(), np.array([1.0]), gradients, 0.25)[0][0] == 0.25
    # Velocities 1, 2.5, 1.25.
    assert run(ops, optimizers.SGD(0.5), np.array([1.0]), gradients, 0.25)[0][0] == 1.0 - 0.25 * 4.75


@every_optimizer
def test_a_zero_gradient_from_the_start_changes_nothing(ops, dtype, optimizer):
    theta = np.array([1.0, -2.0, 0.0], dtype)
    result, _ = run(ops, optimizer, theta, [np.zeros(3, dtype)] * 3)
    np.testing.assert_array_equal(result, theta)


@pytest.mark.parametrize(
    "optimizer",
    [
        optimizers.RMSprop(),
        optimizers.RMSprop(epsilon_inside=False),
        optimizers.RMSprop(rho=0.3, epsilon_inside=False),
        optimizers.Adam(),
        optimizers.Adam(beta1=0.5, beta2=0.8),
        optimizers.SGD(0.9),
        optimizers.SGD(0.05),
    ],
    ids=repr,
)
def test_accumulators_never_hold_denormal_numbers(ops, optimizer):
    """The weights of a pixel that is lit once and never again: one gradient, then zeros."""
    theta = np.zeros(4, np.float32)
    state = optimizer.initial_state(ops, theta)
    zero = np.zeros(4, np.float32)
    tiny = np.finfo(np.float32).tiny
    for step in range(1, 3001):
        gradient = np.array([1.0, -1e-3, 1e3, 0.0], np.float32) if step == 1 else zero
        optimizer.update(ops, theta, gradient, state, 1e-3, step)
        for name, value in state.items():
            size = np.abs(value)
            assert not ((size > 0) & (size < tiny)).any(), f"{name} at step {step}"
    assert np.isfinite(theta).all()


def test_denormal_numbers_of_adam_without_first_moment(ops):
    theta, tiny = np.zeros(1, np.float32), np.finfo(np.float32).tiny
    optimizer = optimizers.Adam(beta1=0.0, beta2=0.5)
    state = optimizer.initial_state(ops, theta)
    for step in range(1, 301):
        optimizer.update(ops, theta, np.full(1, float(step == 1), np.float32), state, 1e-3, step)
        assert state["v"][0] == 0 or state["v"][0] >= tiny


def test_rmsprop_without_memory_meets_a_zero_gradient_after_a_large_one(ops):
    """rho = 0 is allowed: the step is then lr g / sqrt(g^2 + epsilon), and 0 at a gradient of 0."""
    theta = np.zeros(2, np.float32)
    gradients = [np.array([100.0, 1.0], np.float32), np.zeros(2, np.float32)]
    result, _ = run(ops, optimizers.RMSprop(rho=0.0), theta, gradients)
    np.testing.assert_allclose(result, -0.01, rtol=1e-5)


def test_flush_tiny(ops, dtype):
    a = np.array([0.0, 0.99e-30, -0.99e-30, 1.01e-30, -1.01e-30, 1.0, 1e-40], dtype)
    wanted = np.array([0.0, 0.0, 0.0, 1.01e-30, -1.01e-30, 1.0, 0.0], dtype)
    assert ops.flush_tiny(a) is None
    np.testing.assert_array_equal(a, wanted)


def test_clipping_by_the_length(rng):
    for maximum, factor in [(None, 1.0), (10.0, 1.0), (5.0, 1.0), (2.5, 0.5)]:
        g = np.array([3.0, -4.0])
        assert optimizers.clip_by_global_norm(g, 5.0, maximum) is None
        np.testing.assert_allclose(g, [3.0 * factor, -4.0 * factor], rtol=1e-15)


@every_optimizer
def test_configuration_round_trip(optimizer):
    again = optimizers.get({"name": optimizer.name, **optimizer.config()})
    assert type(again) is type(optimizer) and again.config() == optimizer.config()
    optimizer.config().clear()
    assert again.config() == optimizer.config() != {}  # a copy of its own
    assert eval(repr(optimizer), vars(optimizers).copy()).config() == optimizer.config()


def test_get_and_bad_arguments():
    assert {name: type(optimizers.get(name)) for name in optimizers.KNOWN} == optimizers.KNOWN
    with pytest.raises(UnknownNameError, match="unknown optimizer 'adagrad'; known: 'rmsprop', 'adam', 'sgd'"):
        optimizers.get("adagrad")
    with pytest.raises(InputError, match="'sgd' takes no argument 'rho'; it takes: momentum"):
        optimizers.get({"name": "sgd", "rho": 0.9})
    with pytest.raises(
        InputTypeError, match="optimizer must be a name, a mapping or an object of Optimizer, got float"
    ):
        optimizers.get(0.1)
    for kind, argument, value in [
        (optimizers.RMSprop, "rho", 1.0),
        (optimizers.RMSprop, "rho", -0.1),
        (optimizers.RMSprop, "epsilon", 0.0),
        (optimizers.RMSprop, "initial_accumulator", -1.0),
        (optimizers.Adam, "beta1", 1.0),
        (optimizers.Adam, "beta2", -0.5),
        (optimizers.Adam, "epsilon", 0.0),
        (optimizers.SGD, "momentum", 1.0),
        (optimizers.SGD, "momentum", math.nan),
        (optimizers.Adam, "beta2", 1.0),
        (optimizers.Adam, "beta1", -0.1),
        (optimizers.Adam, "initial_accumulator", -1e-9),
        (optimizers.SGD, "momentum", -0.1),
        (optimizers.RMSprop, "epsilon", 0.9e-30),
        (optimizers.Adam, "epsilon", 0.9e-30),
    ]:
        with pytest.raises(InputError, match=f"{argument} must be finite and"):
            kind(**{argument: value})


def test_the_ends_of_the_ranges_are_inside():
    assert optimizers.RMSprop(rho=0.0, epsilon=1e-30, initial_accumulator=0.0).rho == 0.0
    assert optimizers.Adam(beta1=0.0, beta2=0.0, epsilon=1e-30, initial_accumulator=0.0).epsilon == 1e-30
    assert optimizers.SGD(momentum=0.0).momentum == 0.0
    optimizers.RMSprop(rho=0.999, epsilon=2.0, initial_accumulator=3.0)
    optimizers.Adam(beta1=0.999, beta2=0.999, epsilon=2.0, initial_accumulator=3.0)


def test_clipping_begins_above_the_limit():
    gradient = np.array([3.0, -4.0])
    for maximum, wanted in ((5.0, [3.0, -4.0]), (6.0, [3.0, -4.0]), (2.5, [1.5, -2.0])):
        clipped = gradient.copy()
        optimizers.clip_by_global_norm(clipped, 5.0, maximum)
        np.testing.assert_allclose(clipped, wanted, rtol=1e-15)


@pytest.mark.parametrize("kind", [optimizers.RMSprop, optimizers.Adam])
def test_a_gradient_whose_square_is_beyond_float32_freezes_no_parameter(ops, kind):
    """Its norm is finite all the same; clipped, it leaves finite accumulators that later steps still move."""
    gradient = np.array([3e25, -4e25], np.float32)
    with np.errstate(over="ignore"):  # as the training loop does
        norm = optimizers.global_norm(np, gradient)
    assert norm == pytest.approx(5e25)
    optimizers.clip_by_global_norm(gradient, norm, None)
    np.testing.assert_allclose(gradient, [0.6e15, -0.8e15], rtol=1e-6)
    theta, optimizer = np.zeros(2, np.float32), kind()
    state = optimizer.initial_state(ops, theta)
    optimizer.update(ops, theta, gradient, state, 0.1, 1)
    assert all(np.isfinite(array).all() for array in state.values())
    before = theta.copy()
    optimizer.update(ops, theta, gradient, state, 0.1, 2)
    assert (theta != before).all()


def test_the_norm_of_what_is_not_finite_is_not_finite():
    assert optimizers.global_norm(np, np.array([1.0, np.inf])) == np.inf
    assert np.isnan(optimizers.global_norm(np, np.array([1.0, np.nan])))


@pytest.mark.parametrize("decay", [0.0, 1e-12, 1e-9, 0.001, 0.05, 0.3, 0.5, 0.7, 0.75, 0.751, 0.76, 0.9, 0.999])
def test_what_is_tiny_is_set_to_zero_before_it_can_become_denormal(decay):
    """From 1e-30 to the smallest normal float32, 1.2e-38: so many steps, at least one, and at most 64."""
    steps = [n for n in range(1, 65) if 1e-30 * decay**n >= 1.2e-38] if decay else range(1, 65)
    interval = max(steps, default=1)
    assert optimizers.Adam(beta1=decay, beta2=0.999).flush_intervals() == {"m": interval, "v": 64}
    assert optimizers.SGD(decay).flush_intervals() == ({"velocity": interval} if decay else {})
    assert optimizers.RMSprop(decay, epsilon_inside=False).flush_intervals() == {"accumulator": interval}
    assert optimizers.RMSprop(decay).flush_intervals() == {}


def test_states_before_the_first_step_and_what_is_never_negative(ops, dtype):
    theta = np.array([1.0, -2.0], dtype)
    for optimizer, state in (
        (optimizers.RMSprop(epsilon=0.25), {"accumulator": 0.25}),
        (optimizers.RMSprop(epsilon=0.25, initial_accumulator=2.0), {"accumulator": 2.25}),
        (optimizers.RMSprop(epsilon=0.25, epsilon_inside=False, initial_accumulator=2.0), {"accumulator": 2.0}),
        (optimizers.Adam(), {"m": 0.0, "v": 0.0}),
        (optimizers.Adam(initial_accumulator=3.0), {"m": 0.0, "v": 3.0}),
        (optimizers.SGD(), {}),
        (optimizers.SGD(0.5), {"velocity": 0.0}),
    ):
        found = optimizer.initial_state(ops, theta)
        assert {name: value.tolist() for name, value in found.items()} == {
            name: [value] * 2 for name, value in state.items()
        }
        assert all(value.dtype == dtype and not np.shares_memory(value, theta) for value in found.values())
    assert (optimizers.RMSprop.never_negative, optimizers.Adam.never_negative, optimizers.SGD.never_negative) == (
        ("accumulator",),
        ("v",),
        (),
    )


def test_the_norm_where_squares_overflow():
    assert (
        optimizers.global_norm(np, np.array([3.0, -4.0])) == 5.0
        and type(optimizers.global_norm(np, np.array([3.0, -4.0], np.float32))) is float
    )
    with np.errstate(over="ignore"):
        assert optimizers.global_norm(np, np.array([3e30, -4e30], np.float32)) == pytest.approx(5e30, rel=1e-6)
        assert optimizers.global_norm(np, np.array([-4e30, 0, 0, 0], np.float32)) == pytest.approx(4e30, rel=1e-6)
        assert type(optimizers.global_norm(np, np.array([3e30, -4e30], np.float32))) is float
    assert (
        optimizers.longest_gradient(None) == optimizers.longest_gradient(1e16) == 1e15
        and optimizers.longest_gradient(2.5) == 2.5
    )


def test_an_optimiser_of_somebody_s_own_needs_no_state(ops):
    class Signs(optimizers.Optimizer):
        name = "signs"

        def _step(self, ops, theta, gradient, state, learning_rate, step):
            theta -= learning_rate * np.sign(gradient)

    optimizer, theta = Signs(), np.array([1.0, 2.0])
    state = optimizer.initial_state(ops, theta)
    optimizer.update(ops, theta, np.array([3.0, -4.0]), state, 0.5, 64)
    assert (
        state == {}
        and theta.tolist() == [0.5, 2.5]
        and optimizer.flush_intervals() == {}
        and repr(optimizer) == "Signs()"
    )
