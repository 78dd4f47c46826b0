"""The choice of the number of threads: on imagined machines, of which the time of a step is known."""

import math

import numpy as np
import pytest

from npvae.fused.thread_choice import SHARE_FOR_TRIALS, TRIAL_SECONDS, ThreadChoice


def run(choice, seconds_a_step, duration, stretch=0.05):
    """Run on an imagined machine; ``{number of threads: seconds spent}`` and the steps taken."""
    spent, clock, steps = {}, 0.0, 0
    while clock < duration:
        number = choice.number
        time = seconds_a_step(number, clock) if callable(seconds_a_step) else seconds_a_step[number]
        count = max(1, round(stretch / time))
        choice.ran(count * time, count)
        spent[number] = spent.get(number, 0.0) + count * time
        clock += count * time
        steps += count
    return spent, steps


def test_the_numbers_are_halved_down_to_one():
    seen = set()
    run(ThreadChoice(12), lambda number, _: seen.add(number) or number * 1e-4, 2.0)
    assert seen == {12, 6, 3, 1}


def test_one_thread_has_no_choice():
    assert run(ThreadChoice(1), {1: 1e-3}, 1.0)[0].keys() == {1}


@pytest.mark.parametrize(
    ("times", "best"),
    [
        ({4: 1e-3, 2: 2e-3, 1: 4e-3}, 4),  # work that divides well
        ({4: 3e-4, 2: 2e-4, 1: 1e-4}, 1),  # a model too small to be divided
        ({4: 3e-3, 2: 1e-3, 1: 1.7e-3}, 2),  # two of the four cores are busy with other work
        ({4: 0.2, 2: 0.3, 1: 0.5}, 4),  # a single step is longer than a trial
    ],
)
def test_the_fastest_number_is_found_and_kept(times, best):
    choice = ThreadChoice(4)
    run(choice, times, 40 * max(0.05, times[best]))  # while it learns
    duration = 2000 * max(0.05, times[best])
    spent, steps = run(choice, times, duration)
    assert spent[best] > 0.9 * duration
    # All that is lost to trials, of two neighbours, is about what was allowed for each.
    assert steps * times[best] > (1.0 - 3 * SHARE_FOR_TRIALS) * duration


def test_numbers_that_are_as_fast_are_not_tried_all_the_time():
    choice = ThreadChoice(2)
    spent, _ = run(choice, {2: 1e-3, 1: 1e-3}, 20.0)
    assert spent[2] > 0.85 * 20.0


def test_a_change_of_the_machine_is_noticed():
    """Another program takes a core at second 10 and gives it back at second 20."""
    choice = ThreadChoice(2)

    def seconds_a_step(number, clock):
        return {2: 2.4e-3, 1: 1.9e-3}[number] if 10.0 < clock < 20.0 else {2: 1.0e-3, 1: 1.9e-3}[number]

    spent, _ = run(choice, seconds_a_step, 30.0)
    assert 7.0 < spent[1] < 14.0
    assert choice.number == 2


def test_noise_does_not_stop_the_search():
    """With times that scatter by a third, most of the time goes to the fastest all the same."""
    generator = np.random.default_rng(0)
    choice = ThreadChoice(8)
    times = {8: 1.6e-3, 4: 1.0e-3, 2: 1.5e-3, 1: 3e-3}
    spent, _ = run(choice, lambda number, _: times[number] * float(np.exp(0.15 * generator.standard_normal())), 60.0)
    assert spent[4] > 0.8 * 60.0


def test_the_first_steps_count_for_nothing():
    """They meet cold caches: were they believed, two threads would look slower than one."""
    choice = ThreadChoice(2)
    choice.ran(0.05, 1)
    assert choice.number == 2
    choice.ran(0.05, 50)
    assert choice.number == 1
    choice.ran(0.05, 30)
    assert choice.number == 2


def test_short_runs_are_put_together_to_a_trial():
    choice = ThreadChoice(2)
    for _ in range(2 * 20 - 1):
        choice.ran(TRIAL_SECONDS / 20, 3)
        assert choice.number == 2
    choice.ran(TRIAL_SECONDS / 10, 3)
    assert choice.number == 1


def test_a_run_that_took_no_step_says_nothing():
    choice = ThreadChoice(2)
    for _ in range(5):
        choice.ran(1.0, 0)
    assert choice.number == 2


def test_a_number_that_becomes_much_slower_is_doubted_at_once():
    """A busy process beside makes two threads wait for each other: whatever was found about one thread before, it is
    tried now, and so is the way back soon after."""
    choice = ThreadChoice(2)
    run(choice, {2: 1.0e-3, 1: 9.0e-3}, 5.0)  # so that one thread would not be tried again for a long time
    spent, _ = run(choice, {2: 12.0e-3, 1: 9.0e-3}, 0.5)
    assert choice.number == 1 and spent[1] > 0.2
    spent, _ = run(choice, {2: 1.0e-3, 1: 9.0e-3}, 5.0)
    assert choice.number == 2 and spent[2] > 3.0


def test_a_trial_is_short_however_slow():
    """A call asks how many steps to take: those that would last a trial in the time of the number in use."""
    choice = ThreadChoice(2)
    assert choice.steps_of_trial() is None and not choice.is_trial
    for _ in range(2):
        choice.ran(0.05, 50)
    assert choice.number == 1 and choice.is_trial
    assert choice.steps_of_trial() == math.ceil(TRIAL_SECONDS / 1e-3)
    choice.ran(0.9 * TRIAL_SECONDS, 1)
    assert 1 <= choice.steps_of_trial() <= 3
    choice.ran(1.0, 2)
    assert choice.number == 2 and choice.steps_of_trial() is None


def test_a_trial_that_has_taken_no_step_takes_one():
    choice = ThreadChoice(2)
    for _ in range(2):
        choice.ran(0.05, 50)
    choice.ran(10 * TRIAL_SECONDS, 0)  # as where the first was refused
    assert choice.is_trial and choice.steps_of_trial() == 1


@pytest.mark.parametrize(
    ("steps", "best", "trials"),
    [
        (128, 1, 10),  # faster: in its place, and the other one's turn comes after the fewest trials that lie between
        (66, 1, 10),
        (65, 2, 10),
        (64, 2, 10),  # as it must be faster by three hundredths at least
        (32, 2, 50),
        (16, 2, 75),  # slower: until what was lost is a hundredth of the time
    ],
)
def test_how_long_the_other_number_is_left_alone(steps, best, trials):
    """One thread takes so many steps in the time in which two take 64; all others are as fast as the number in use."""
    choice, seconds = ThreadChoice(2), 0.03125
    for taken in (64, 64, steps):
        choice.ran(seconds, taken)
    assert choice.number == best
    count = 0
    while choice.number == best:
        choice.ran(seconds, max(steps, 64))
        count += 1
    assert count == trials
