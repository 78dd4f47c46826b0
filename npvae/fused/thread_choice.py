"""How many of the allowed threads a program runs fastest on, by measuring it as it runs.

A small model's step is over in less time than two cores need to hand each other its numbers, and how long that is
depends on where the system has put them; and a core that other work keeps busy makes all others wait for it. So the
number is not computed but tried: all threads first, then half as many, and on in the direction that was faster. What
was slower is tried again when that costs no more than a hundredth of the time, so that a change of the machine is
noticed; and at once, if the number in use has become much slower than it was. Results do not depend on the number of
threads, so none of their bits depends on the clock.
"""

from __future__ import annotations

import math

#: A number of threads is judged by so many seconds of work: long beside the start of threads and a core's waking up.
TRIAL_SECONDS = 0.02
#: The part of all time that may be lost by trying slower numbers again.
SHARE_FOR_TRIALS = 0.01
#: Trials of as fast a number cost nothing, but stretches of so many trials' length lie between them all the same.
FEWEST_BETWEEN = 10
#: A number in use whose time has grown by this factor since its last trial may no longer be the best: the others are
#: tried.
ALARM = 1.6
#: A number takes the place of the one in use if its time is less than this part of the other's.
MARGIN = 0.97


class ThreadChoice:
    """Which of ``most``, ``most`` / 2, ..., 1 threads to run on next: ask ``number``, run, and tell ``ran``."""

    def __init__(self, most: int) -> None:
        self._numbers = [most]
        while self._numbers[-1] > 1:
            self._numbers.append(self._numbers[-1] // 2)
        self._best = self._place = 0  # places among the numbers
        self._times: dict[int, float] = {}  # by place: seconds a step when it was last tried
        self._due: dict[int, float] = {}  # by place: the time from which it may be tried again
        self._clock = self._seconds = self._alarm_due = 0.0
        self._steps, self._warm = 0, False

    @property
    def number(self) -> int:
        """The number of threads to run on next."""
        return self._numbers[self._place]

    @property
    def is_trial(self) -> bool:
        """Whether ``number`` is being tried in the place of the one in use: it may be much slower."""
        return self._place != self._best

    def steps_of_trial(self) -> int | None:
        """How many steps to take in a trial before ``ran`` is told, by the time of the number in use; None where it
        is no trial.
        """
        if not self.is_trial:
            return None
        return max(1, math.ceil((TRIAL_SECONDS - self._seconds) / self._times[self._best]))

    def ran(self, seconds: float, steps: int) -> None:
        """So many steps have taken so many seconds on ``number`` threads."""
        self._clock += seconds
        self._seconds += seconds
        self._steps += steps
        if self._seconds < TRIAL_SECONDS or self._steps == 0:
            return
        trial, time = self._seconds, self._seconds / self._steps
        self._seconds, self._steps = 0.0, 0
        if not self._warm:  # the first steps meet cold caches and new memory
            self._warm = True
            return
        best_time = self._times.get(self._best, time)
        if self._place == self._best and time > ALARM * best_time and self._clock >= self._alarm_due:
            self._due.clear()
            self._alarm_due = self._clock + trial * FEWEST_BETWEEN
        self._times[self._place] = time
        if self._place != self._best:
            lost = max(0.0, 1.0 - best_time / time)
            self._due[self._place] = self._clock + trial * max(lost / SHARE_FOR_TRIALS, FEWEST_BETWEEN)
            if time < MARGIN * best_time:
                self._due[self._best] = self._clock + trial * FEWEST_BETWEEN
                self._best = self._place
                return
        neighbours = (self._best + 1, self._best - 1)
        self._place = next(filter(self._is_due, neighbours), self._best)

    def _is_due(self, place: int) -> bool:
        return 0 <= place < len(self._numbers) and self._clock >= self._due.get(place, 0.0)
