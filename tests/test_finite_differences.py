"""Finite differences of functions whose differences are known in closed form: steps, rounding, and what still passes
for smooth.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from npvae.errors import InputError, KinkError
from npvae.gradcheck.finite_differences import derivative

EPS = 2.0**-52


def taken(f, *arguments):
    """The distances at which f is called, in order, without the point itself; and what comes of it."""
    seen = []

    def watched(t):
        seen.append(t)
        return f(t)

    try:
        found = derivative(watched, *arguments)
    except (KinkError, InputError) as error:
        found = error
    assert seen[0] == 0.0 and seen[1::4] == [-t for t in seen[2::4]] and seen[3::4] == [-t for t in seen[4::4]]
    assert seen[3::4] == [t / 2 for t in seen[1::4]]
    return seen[1::4], found


@pytest.mark.parametrize(
    ("at", "more"), [(0.0, []), (1e-7, [1e-10, 1e-11, 1e-12]), (1e-9, [1e-11, 1e-12, 1e-13, 1e-14]), (1e-3, [])]
)
def test_steps_at_a_kink_shrink_seven_times_then_follow_the_size_of_the_point(at, more):
    steps, error = taken(lambda t: abs(t), 1e-3, 1e-7, 1.0, "t", at)
    assert steps == pytest.approx([1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, *more], rel=1e-6, abs=0.0)
    assert isinstance(error, KinkError) and "at t: the slope is -1 to the left and 1 to the right" in str(error)


@pytest.mark.parametrize(("at", "count"), [(1e-3, 1), (2.0, 1), (0.9e-3, 5), (0.0, 1)])
def test_one_step_is_enough_where_it_is_no_longer_than_the_point_is_far(at, count):
    steps, found = taken(lambda t: 2 * t, 1e-3, 1e-7, 1.0, "t", at)
    assert len(steps) == count and found.estimate == pytest.approx(2.0)


def test_rounding_is_of_the_outputs_that_change_and_of_the_point():
    """16 units in the last place of an output, and one of the point, over the step; in what does not change it may
    hide a slope.
    """
    h = 2.0**-10
    found = derivative(lambda t: np.array([3.0 + t, 4.0 - 2 * t, 5.0]), h, 1e-7, 1.0, "t")
    assert (found.estimate, found.step) == (-1.0, h)
    assert found.size == pytest.approx(math.sqrt((3 + h) ** 2 + (4 + 2 * h) ** 2 + 25), rel=1e-15)
    assert found.rounding == pytest.approx(16 * EPS * math.hypot(3 + h, 4 + 2 * h) / h, rel=1e-12)
    assert found.unseen == pytest.approx(16 * EPS * 5 / h, rel=1e-12)
    assert {type(number) for number in dataclasses.astuple(found)} == {float}
    assert derivative(lambda t: -np.array([3.0 + t, 4.0 - 2 * t, 5.0]), h, 1e-7, 1.0, "t").rounding == found.rounding
    far = derivative(lambda t: np.array([3.0 - 2.0 * t]), h, 1e-7, 1.0, "t", 8.0)
    assert (
        far.rounding == pytest.approx(16 * EPS * (3 + 2 * h) / h + EPS * 8.0 / h * 2.0, rel=1e-12) and far.unseen == 0.0
    )


def test_an_output_changed_by_a_longer_step_hides_nothing_later():
    """Flat nearby: the long step sees a kink and the short one nothing; what no step changed is judged by the
    longest.
    """
    found = derivative(lambda t: np.array([max(abs(t) - 7.5e-4, 0.0), 5.0]), 1e-3, 1e-7, 1.0, "t")
    assert found.step == pytest.approx(1e-4) and found.rounding == 0.0
    assert found.unseen == pytest.approx(16 * EPS * 5 / 1e-3)


#: A function, the tolerance and the scale; and whether the first step of 0.1 passes for smooth. Each twice, close to a
#: limit.
LIMITS = {
    # Two steps differ by 3/4 c h^2 of a cubic term: up to ten times the tolerance.
    "cubic within": (lambda t: t + 1.30 * t**3, 1e-3, 0.0, True),
    "cubic beyond": (lambda t: t + 1.37 * t**3, 1e-3, 0.0, False),
    "cubic falling": (lambda t: -t - 1.30 * t**3, 1e-3, 0.0, True),
    "cubic against": (lambda t: t - 1.37 * t**3, 1e-3, 0.0, False),
    # A bend alone is none of their business.
    "square": (lambda t: t + t**2, 1e-3, 0.0, True),
    "square of four": (lambda t: np.array([t + t**2, 0.0, 0.0, 0.0]), 1e-3, 0.0, True),
    "one of four": (lambda t: np.array([t + 0.0052 * abs(t), 0.0, 0.0, 0.0]), 1e-3, 0.0, False),
    # The jump of the slope at a kink, 2 k, likewise.
    "kink within": (lambda t: t + 0.0048 * abs(t), 1e-3, 0.0, True),
    "kink beyond": (lambda t: t + 0.0052 * abs(t), 1e-3, 0.0, False),
    "kink of the other sign": (lambda t: -t - 0.0052 * abs(t), 1e-3, 0.0, False),
    # A slope of nothing is measured against a thousandth of the scale,
    "scale within": (lambda t: 1000 + t**3, 1e-3, 780.0, True),
    "scale beyond": (lambda t: 1000 + t**3, 1e-3, 720.0, False),
    # but never against more than a thousandth of what the whole function comes to over a step.
    "values within": (lambda t: 0.077 + t**3, 1e-3, 1e9, True),
    "values beyond": (lambda t: 0.071 + t**3, 1e-3, 1e9, False),
    # Four times the rounding is allowed beside: 40 * 16 eps 1e10 / h.
    "rounding within": (lambda t: 1e10 + 0.0068 * abs(t), 1e-15, 0.0, True),
    "rounding beyond": (lambda t: 1e10 + 0.0074 * abs(t), 1e-15, 0.0, False),
}


@pytest.mark.parametrize("name", LIMITS)
def test_what_passes_for_smooth(name):
    f, tolerance, scale, passes = LIMITS[name]
    try:
        step = derivative(f, 0.1, tolerance, scale, "t").step
    except KinkError:
        step = None
    assert (step == 0.1) is passes


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("jump", "believed"), [(0.95e-3, False), (1.05e-3, True), (-0.95e-3, False), (-1.05e-3, True)])
def test_a_place_between_the_steps_is_believed_where_its_slope_is_another(sign, jump, believed):
    """Within 1e-7 of the point the slope is another: ten tolerances tell whether that is a place of its own."""
    found = derivative(lambda t: sign * (t + jump * min(max(t, -1e-7), 1e-7)), 1e-3, 1e-4, 1.0, "t", 1e-6)
    assert found.estimate == pytest.approx(sign * (1.0 + jump * believed), rel=1e-5)
    assert found.step == pytest.approx(1e-8 if believed else 1e-3, abs=0.0)


@pytest.mark.parametrize(("jump", "hidden"), [(1.35e-9, True), (1.5e-9, False)])
def test_a_place_between_the_steps_is_none_where_rounding_may_have_made_it(jump, hidden):
    """Four times the rounding, here of 16 eps 1e-3 / 1e-8. Beyond it neither slope is to be believed."""

    def f(t):
        return 1e-3 + t + jump * min(max(t, -1e-7), 1e-7)

    if hidden:
        assert derivative(f, 1e-3, 1e-15, 1.0, "t", 1e-6).step == 1e-3
    else:
        with pytest.raises(
            KinkError, match="the slope is 1 by steps of 0.001 and 1, to within 4e-10, by steps of 1e-08"
        ):
            derivative(f, 1e-3, 1e-15, 1.0, "t", 1e-6)


def test_one_output_that_is_not_finite_is_enough():
    with pytest.raises(InputError, match="the function is not finite within 1e-09 of t"):
        derivative(lambda t: np.array([t, math.inf if t else 0.0]), 1e-3, 1e-7, 1.0, "t")


@pytest.mark.parametrize(
    ("tolerance", "scale", "found"), [(3e-17, 1.0, True), (2e-17, 1.0, False), (3e-20, 1e6, True), (2e-20, 1e6, False)]
)
def test_a_step_relative_to_the_point_must_leave_the_derivative_in_its_rounding(tolerance, scale, found):
    """Rounding, here 116 eps, is at most a thousand tolerances. The absolute steps leave the domain."""

    def f(t):
        return t if abs(t) < 1e-7 else math.inf

    if found:
        assert derivative(f, 1.0, tolerance, scale, "t", 1e-6).step == pytest.approx(1e-8)
    else:
        with pytest.raises(InputError, match="the function is not finite within .* of t"):
            derivative(f, 1.0, tolerance, scale, "t", 1e-6)


def test_an_overflow_inside_a_difference_is_no_floating_point_error():
    """Two values of opposite sign near the largest: their difference is infinite, and no derivative is found."""
    with pytest.raises(KinkError):
        derivative(lambda t: math.copysign(1.5e308, t), 1e-3, 1e-7, 1.0, "t")
