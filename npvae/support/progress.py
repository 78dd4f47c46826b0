"""Progress on the terminal: tqdm where it is installed and there is a terminal, else some lines, however long the
work is.
"""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager

#: Between two lines pass at least so many seconds, and this share of the time since the beginning: after five seconds a
#: line comes each time a quarter has been added to that time. So an hour makes some 40 lines, and a day 55.
SHORTEST_PAUSE, PAUSE_BY_TIME = 1.0, 0.2
#: Lines that are printed however quickly they follow one another.
FIRST_LINES = 3


class Pace:
    """When a line is due: always the first and the last, and in between never often. now: the clock, in seconds."""

    def __init__(self, now=time.monotonic) -> None:
        self._now = now
        self._started = self._printed = now()
        self._lines = 0

    def due(self, last: bool = False) -> bool:
        """Whether to print now; if so, it is counted as printed."""
        now = self._now()
        pause = max(SHORTEST_PAUSE, PAUSE_BY_TIME * (now - self._started))
        if not last and self._lines >= FIRST_LINES and now - self._printed < pause:
            return False
        self._printed = now
        self._lines += 1
        return True


def describe(row: dict) -> str:
    """One epoch in a few words, in nats."""
    text = f"loss {row['loss']:.2f}, KL {row['kl']:.2f}"
    if "val_loss" in row:
        text += f", validation {row['val_loss']:.2f}"
    if "error" in row:
        text += f", errors {100 * row['error']:.1f} %"
    if row.get("val_error") is not None and row["val_error"] == row["val_error"]:  # NaN where no row has a label
        text += f", in validation {100 * row['val_error']:.1f} %"
    return text


@contextmanager
def progress_reporter(verbose, epochs: int, state):
    """A context that gives a callback which reports epochs to standard error; silent if not verbose."""
    if not verbose:
        yield lambda state: None
        return
    tqdm = _tqdm() if sys.stderr is not None and sys.stderr.isatty() else None
    if tqdm is None:
        pace, unsaid = Pace(), None

        def line(state):
            nonlocal unsaid
            last = state.epoch >= epochs or state.stop_reason is not None
            unsaid = None if pace.due(last) else _line(state, epochs)
            if unsaid is None:
                _print(_line(state, epochs))

        try:
            yield line
        finally:
            if unsaid is not None:  # the run ended in an epoch that nobody knew to be the last
                _print(unsaid)
        return
    with tqdm(total=epochs, initial=state.epoch, unit="epoch", file=sys.stderr, dynamic_ncols=True) as bar:

        def report(state):
            bar.set_postfix_str(describe(state.history.row(-1)), refresh=False)
            bar.update(1)

        yield report


@contextmanager
def progress_bar(verbose, total: int, unit: str):
    """A context that gives a function to be told how many are done: tqdm's bar, or a line every tenth, or neither."""
    if not verbose:
        yield lambda done: None
        return
    tqdm = _tqdm() if sys.stderr is not None and sys.stderr.isatty() else None
    if tqdm is None:
        tenths = 0

        def report(done):
            nonlocal tenths
            if 10 * done // total > tenths:
                tenths = 10 * done // total
                _print(f"{done} of {total} {unit}s")

        yield report
        return
    with tqdm(total=total, unit=unit, file=sys.stderr, dynamic_ncols=True) as bar:
        yield lambda done: bar.update(done - bar.n)


class Stages:
    """Progress of work in several stages on the terminal, each with its name, how much of it is done, and how long it
    may still last: tqdm's bars, or lines at some pace. To be used as a context. limit: gives the seconds that are left,
    where there is a limit."""

    def __init__(self, verbose, limit=None, now=time.monotonic) -> None:
        self._verbose, self._limit, self._now = verbose, limit, now
        self._tqdm = _tqdm() if verbose and sys.stderr is not None and sys.stderr.isatty() else None
        self._bar = None

    def __enter__(self) -> Stages:
        return self

    def __exit__(self, *error) -> None:
        self._close()

    def begin(self, name: str, total: int = 0, unit: str = "", after: int = 0, done: int = 0) -> None:
        """A stage of so many units, of which ``done`` are done; ``after``: units of the same kind that later stages
        may have.
        """
        if not self._verbose:
            return
        self._close()
        self._name, self._total, self._unit, self._after, self._first = name, total, unit, after, done
        self._began, self._pace = self._now(), Pace(self._now)
        if self._tqdm is not None and total:
            self._bar = self._tqdm(desc=name, total=total, initial=done, unit=unit, file=sys.stderr, dynamic_ncols=True)
        else:
            _print(name)

    def report(self, done: int) -> None:
        """So many units of the stage are done."""
        if not self._verbose:
            return
        if self._bar is not None:
            self._bar.update(done - self._bar.n)
        elif self._pace.due(done >= self._total):
            _print(f"{self._name}: {done} of {self._total} {self._unit}s{self._left(done)}")

    def _left(self, done: int) -> str:
        """At most how long it all takes, in words; nothing where there is nothing to go by."""
        more = self._total - done + self._after
        if done <= self._first or not more:
            return ""
        seconds = (self._now() - self._began) / (done - self._first) * more
        if self._limit is not None:
            seconds = min(seconds, self._limit())
        return f", at most {clock(seconds)} left"

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def clock(seconds: float) -> str:
    """Seconds as 0:05, 12:30 or 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _line(state, epochs: int) -> str:
    seconds = state.history["seconds"][-1]
    return f"epoch {state.epoch}/{epochs}  {describe(state.history.row(-1))}, {seconds:.2f} s"


def _print(line: str) -> None:
    try:
        print(line, file=sys.stderr, flush=True)
    except (OSError, ValueError):
        pass  # nobody reads it any more; that is no reason to stop training


def _tqdm():
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    return tqdm
