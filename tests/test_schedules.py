"""Learning-rate schedules and the weight of the KL term."""

import json
import math

import pytest

from npvae.errors import InputError, InputTypeError, UnknownNameError
from npvae.mathematics import schedules

EXAMPLES = [
    schedules.Constant(),
    schedules.Exponential(0.9),
    schedules.Steps({10: 0.5, 20: 0.1}),
    schedules.Cosine(),
    schedules.Cosine(0.2),
]


def test_constant():
    assert [schedules.Constant().factor(t, 30) for t in (0, 7.5, 30)] == [1.0, 1.0, 1.0]


def test_exponential_is_a_product_of_daily_factors():
    schedule = schedules.Exponential(0.8)
    factor = 1.0
    for epoch in range(5):
        assert schedule.factor(epoch, 5) == pytest.approx(factor, rel=1e-15)
        factor *= 0.8
    assert schedule.factor(0.5, 5) ** 2 == pytest.approx(0.8, rel=1e-15)


def test_steps_change_at_their_boundaries():
    schedule = schedules.Steps({20: 0.1, "10": 0.5})  # in any order, and as JSON gives them
    times = [0.0, 9.999, 10.0, 19.999, 20.0, 1000.0]
    assert [schedule.factor(t, 1000) for t in times] == [1.0, 1.0, 0.5, 0.5, 0.1, 0.1]
    schedule.check_length(21)
    with pytest.raises(InputError, match="schedule=steps changes after epoch 20, but the run has 20 epochs"):
        schedule.check_length(20)


def test_cosine():
    schedule = schedules.Cosine(0.2)
    assert schedule.factor(0.0, 8) == 1.0
    assert schedule.factor(4.0, 8) == pytest.approx(0.6, rel=1e-15)
    assert schedule.factor(2.0, 8) == pytest.approx(0.2 + 0.8 * (1 + math.sqrt(0.5)) / 2, rel=1e-15)
    assert schedule.factor(8.0, 8) == schedule.factor(9.0, 8) == pytest.approx(0.2, rel=1e-15)
    assert schedules.Cosine().factor(8, 8) == 0.0
    values = [schedule.factor(t / 10, 8) for t in range(81)]
    assert values == sorted(values, reverse=True)


def test_only_the_cosine_depends_on_the_length():
    assert {s.name for s in EXAMPLES if s.depends_on_length} == {"cosine"}
    for schedule in EXAMPLES:
        if not schedule.depends_on_length:
            assert schedule.factor(3.5, 10) == schedule.factor(3.5, 1000)


@pytest.mark.parametrize("schedule", EXAMPLES, ids=repr)
def test_configuration_round_trip(schedule):
    again = schedules.get(json.loads(json.dumps({"name": schedule.name, **schedule.config()})))
    assert type(again) is type(schedule) and again.config() == schedule.config()
    assert [again.factor(t, 30) for t in (0, 10, 25.5)] == [schedule.factor(t, 30) for t in (0, 10, 25.5)]
    assert eval(repr(schedule), vars(schedules).copy()).config() == schedule.config()
    schedule.check_length(21)


def test_bad_arguments():
    assert {type(s) for s in EXAMPLES} == set(schedules.KNOWN.values())
    with pytest.raises(UnknownNameError, match="unknown learning-rate schedule 'linear'; known: 'constant'"):
        schedules.get("linear")
    with pytest.raises(InputTypeError, match="must be a name, a mapping or an object of Schedule"):
        schedules.get(0.5)
    for decay in (0.0, 1.1, math.nan):
        with pytest.raises(InputError, match="decay must be finite and above 0 and at most 1"):
            schedules.Exponential(decay)
    for final in (-0.1, 1.5):
        with pytest.raises(InputError, match="final must be"):
            schedules.Cosine(final)
    with pytest.raises(InputError, match="a boundary of factors, in epochs, must be at least 1, got 0"):
        schedules.Steps({0: 0.5})
    with pytest.raises(InputError, match="a factor must be finite and at least 0"):
        schedules.Steps({3: -0.5})


def test_the_ends_of_the_ranges_are_inside():
    assert schedules.Exponential(1.0).factor(7, 9) == 1.0 and schedules.Exponential(1e-9).decay == 1e-9
    assert schedules.Cosine(1.0).factor(3, 9) == 1.0 and schedules.Cosine(0.0).factor(9, 9) == 0.0
    assert schedules.Cosine(0.25).factor(20, 9) == 0.25  # a run that goes on after its length stays there
    stairs = schedules.Steps({20: 3.0, "1": 0.0})
    assert [stairs.factor(epoch, 30) for epoch in (0, 1, 19, 20, 29)] == [1.0, 0.0, 0.0, 3.0, 3.0]
    with pytest.raises(InputError, match="a factor must be finite and at least 0"):
        schedules.Steps({1: -0.1})
    with pytest.raises(InputError, match="a boundary of factors, in epochs, must be at least 1"):
        schedules.Steps({0: 0.5})
    stairs.check_length(21)
    with pytest.raises(InputError, match="schedule=steps changes after epoch 20, but the run has 20 epochs"):
        stairs.check_length(20)
