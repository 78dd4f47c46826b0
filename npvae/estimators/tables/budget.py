"""Seconds that a table's imputer may take in all, and how they are shared out.

training     until SHARE_OF_TRAINING of them have passed since the beginning
             half of this, at most, for evidence of the columns' kinds
intervals    as many rows of cells held out as SHARE_OF_CALIBRATION of the rest has room for, by a trial
filling in   as many samples of z as what is left has room for, by a trial on some rows
"""

from __future__ import annotations

import math
import time

SHARE_OF_TRAINING, SHARE_OF_EVIDENCE = 0.75, 0.5
#: Of what is left after training, for the calibration of intervals.
SHARE_OF_CALIBRATION = 0.2
#: A member is begun if at least this share of the time that the one before took is left.
SHARE_OF_MEMBER = 0.5
#: Of a member that ran out of time: its error in that of the normal distribution may be so many times the worst of the
#: others'.
WORSE = 1.05
#: Samples of z for a row and member, at least; rows and samples of the trial.
FEWEST_SAMPLES, TRIAL_ROWS, TRIAL_SAMPLES = 20, 50, 20


class Budget:
    """So many seconds from now on; None: no end. now: the clock."""

    def __init__(self, seconds: float | None, now=time.monotonic) -> None:
        self._now, self._began = now, now()
        self.seconds = math.inf if seconds is None else seconds

    @property
    def is_limited(self) -> bool:
        return self.seconds < math.inf

    def left(self) -> float:
        """Seconds until all of it has passed, at least 0."""
        return max(0.0, self.seconds - (self._now() - self._began))

    def left_for_training(self) -> float:
        """Seconds until the part for training has passed."""
        return max(0.0, self.left() - (1.0 - SHARE_OF_TRAINING) * self.seconds) if self.is_limited else math.inf

    def evidence_is_over(self) -> bool:
        return self.left_for_training() <= (1.0 - SHARE_OF_EVIDENCE) * SHARE_OF_TRAINING * self.seconds

    def training_is_over(self) -> bool:
        return self.left_for_training() <= 0.0

    def begins_another(self, took: float) -> bool:
        """Whether there is time for another member, where the last one took so many seconds."""
        return self.left_for_training() > SHARE_OF_MEMBER * took

    def rows_to_calibrate(self, fill, rows: int, members: int) -> int:
        """How many of so many rows each member fills in for the calibration of intervals, by a trial: fill(rows)."""
        few, started = min(rows, TRIAL_ROWS), self._now()
        fill(few)
        each = max(self._now() - started, 1e-9) / few
        return int(min(rows, max(few, SHARE_OF_CALIBRATION * self.left() / (each * members))))

    def samples(self, fill, rows: int, members: int, most: int) -> tuple[int, int]:
        """``(members, samples)`` that fill in so many rows in what is left, by a trial: fill(rows, samples), which the
        first ``rows`` are filled in by. Fewer members where the fewest samples of all of them take too long."""
        if not self.is_limited:
            return members, most
        few, some = min(rows, TRIAL_ROWS), min(most, TRIAL_SAMPLES)
        started = self._now()
        fill(few, some)
        each = max(self._now() - started, 1e-9) / (few * some)  # seconds of a sample
        possible = self.left() / (each * max(rows, 1))
        least = min(FEWEST_SAMPLES, most)
        members = int(min(members, max(1, possible // least)))
        return members, int(min(most, max(least, possible // members)))


def relative_error(member) -> float:
    """Of cells held out, in that of the normal distribution."""
    return member.error / member.normal_error if member.normal_error > 0.0 else 1.0


def is_good_enough(member, others) -> bool:
    """Whether a member that ran out of time may count beside others."""
    return not others or relative_error(member) <= WORSE * max(map(relative_error, others))
