"""Progress without a terminal: the first epochs and the last, and in between a number of lines that hardly grows
with the work.
"""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import ClassVar

import pytest
from small import grey_rows

from npvae import VAE
from npvae.support.progress import FIRST_LINES, Pace, _tqdm, describe, progress_bar, progress_reporter


class Clock:
    def __init__(self):
        self.seconds = 5000.0

    def __call__(self):
        return self.seconds


@pytest.mark.parametrize(
    ("epochs", "seconds", "least", "most"),
    [
        (1000, 0.001, 4, 5),
        (1000, 0.1, 18, 25),
        (100, 1.0, 15, 25),
        (10, 30.0, 8, 10),
        (3, 1e-6, 3, 3),
        (86400, 1.0, 40, 60),
        (200, 3600.0, 20, 60),
        (10**6, 2.6, 40, 70),
    ],
)
def test_lines_by_time(epochs, seconds, least, most):
    clock = Clock()
    pace, said = Pace(clock), []
    for epoch in range(1, epochs + 1):
        clock.seconds += seconds
        if pace.due(epoch == epochs):
            said.append(epoch)
    assert said[:FIRST_LINES] == [1, 2, 3][:epochs] and said[-1] == epochs
    assert least <= len(said) <= most, len(said)


def epochs_said(err: str) -> list[int]:
    return [int(line.split()[1].split("/")[0]) for line in err.splitlines() if line.startswith("epoch ")]


def test_many_epochs_write_few_lines_and_the_last(capsys, monkeypatch):
    clock = Clock()
    monkeypatch.setattr("npvae.support.progress.Pace.__init__.__defaults__", (clock,))

    def later(state):
        clock.seconds += 0.05

    how = {"latent_dim": 2, "hidden": (4,), "backend": "numpy", "random_state": 0, "verbose": True}
    VAE(epochs=300, **how).fit(grey_rows(), callbacks=[later])
    said = epochs_said(capsys.readouterr().err)
    assert said[:3] == [1, 2, 3] and said[-1] == 300 and len(said) < 20


def test_an_epoch_that_turns_out_to_be_the_last_is_said(capsys):
    class Enough(Exception):
        pass

    def stop(state):
        if state.epoch == 40:
            raise Enough

    how = {"latent_dim": 2, "hidden": (4,), "backend": "numpy", "random_state": 0, "verbose": True}
    with pytest.raises(Enough):
        VAE(epochs=300, **how).fit(grey_rows(), callbacks=[stop])
    said = epochs_said(capsys.readouterr().err)
    assert said[-1] == 40 and said[:3] == [1, 2, 3]


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({}, "loss 12.35, KL 4.57"),
        ({"val_loss": 1.005}, "loss 12.35, KL 4.57, validation 1.00"),
        ({"error": 0.123}, "loss 12.35, KL 4.57, errors 12.3 %"),
        ({"error": 0.5, "val_error": 0.25}, "loss 12.35, KL 4.57, errors 50.0 %, in validation 25.0 %"),
        ({"val_error": float("nan")}, "loss 12.35, KL 4.57"),
        ({"val_error": None}, "loss 12.35, KL 4.57"),
        (
            {"val_loss": 2.0, "error": 0.0, "val_error": 0.0},
            "loss 12.35, KL 4.57, validation 2.00, errors 0.0 %, in validation 0.0 %",
        ),
    ],
)
def test_an_epoch_in_words(row, text):
    assert describe({"loss": 12.345678, "kl": 4.567, **row}) == text


def test_when_a_line_is_due():
    """Three at once; then after a second, or a fifth of the time so far; the last always."""
    clock = Clock()
    pace = Pace(clock)
    for seconds, due in (
        (0, True),
        (0, True),
        (0, True),
        (0, False),
        (0.99, False),
        (0.01, True),
        (0.5, False),
        (0.5, True),
        (0.9, False),
    ):
        clock.seconds += seconds
        assert pace.due() is due, clock.seconds
    clock.seconds = 5100.0
    assert pace.due() and not pace.due() and pace.due(last=True)
    clock.seconds = 5124.9
    assert not pace.due()
    clock.seconds = 5125.0
    assert pace.due()


@pytest.mark.parametrize(
    ("total", "said"),
    [(20, [2, 4, 6, 8, 10, 12, 14, 16, 18, 20]), (3, [1, 2, 3]), (25, [3, 5, 8, 10, 13, 15, 18, 20, 23, 25])],
)
def test_a_line_every_tenth(total, said, capsys):
    with progress_bar(True, total, "row") as progress:
        for done in range(1, total + 1):
            progress(done)
    assert capsys.readouterr().err.splitlines() == [f"{done} of {total} rows" for done in said]
    with progress_bar(False, total, "row") as progress:
        progress(total)
    assert capsys.readouterr() == ("", "")


class Bar:
    """What is used of tqdm's."""

    made: ClassVar[list] = []

    def __init__(self, **how):
        self.how, self.n, self.said = how, how.get("initial", 0), []
        Bar.made.append(self)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.said.append("closed")

    def update(self, more):
        self.n += more
        self.said.append(self.n)

    def set_postfix_str(self, text, refresh):
        assert refresh is False
        self.said.append(text)


def test_on_a_terminal_tqdm_s_bar(monkeypatch, capsys):
    monkeypatch.setattr(Bar, "made", [])
    monkeypatch.setattr("npvae.support.progress._tqdm", lambda: Bar)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    state = SimpleNamespace(epoch=4, history=SimpleNamespace(row=lambda index: {"loss": [3, 7, 1.5][index], "kl": 2.0}))
    with progress_reporter(True, 9, state) as report:
        report(state)
        report(state)
    with progress_bar(True, 30, "row") as progress:
        progress(7)
        progress(30)
    epochs, rows = Bar.made
    assert epochs.how == {"total": 9, "initial": 4, "unit": "epoch", "file": sys.stderr, "dynamic_ncols": True}
    assert epochs.said == ["loss 1.50, KL 2.00", 5, "loss 1.50, KL 2.00", 6, "closed"]
    assert rows.how == {"total": 30, "unit": "row", "file": sys.stderr, "dynamic_ncols": True} and rows.said == [
        7,
        30,
        "closed",
    ]
    with progress_reporter(False, 9, state) as report, progress_bar(False, 9, "row") as progress:
        report(state)
        progress(3)
    assert len(Bar.made) == 2 and capsys.readouterr() == ("", "")


def test_progress_that_nobody_reads_any_more_ends_nothing(monkeypatch):
    class Closed:
        def isatty(self):
            return False

        def write(self, text):
            raise BrokenPipeError

    for stream in (Closed(), None):
        monkeypatch.setattr("sys.stderr", stream)
        with progress_bar(True, 1, "row") as progress:
            progress(1)


def test_the_lines_of_a_run_are_the_first_the_last_and_one_that_was_the_last(monkeypatch, capsys):
    """At a clock that stands still: three lines, then the last epoch, or that in which the run was stopped, or ended
    otherwise.
    """
    monkeypatch.setattr("npvae.support.progress.Pace.__init__.__defaults__", (Clock(),))
    rows = {"loss": 1.0, "kl": 2.0}

    def said(epochs, last, stop_reason):
        state = SimpleNamespace(epoch=0, stop_reason=None, history=SimpleNamespace(row=lambda index: rows))
        with progress_reporter(True, epochs, state) as report:
            for epoch in range(1, last + 1):
                state.epoch, state.stop_reason = epoch, stop_reason if epoch == last else None
                state.history = {"seconds": [0.25] * (epoch - 1) + [float(epoch)]}
                state.history = type("History", (dict,), {"row": lambda self, index: rows})(state.history)
                report(state)
        return capsys.readouterr().err.splitlines()

    def line(epoch, epochs):
        return f"epoch {epoch}/{epochs}  loss 1.00, KL 2.00, {epoch:.2f} s"

    assert said(9, 9, None) == said(9, 9, "finished") == [line(epoch, 9) for epoch in (1, 2, 3, 9)]
    assert said(9, 6, "patience") == said(9, 6, None) == [line(epoch, 9) for epoch in (1, 2, 3, 6)]
    assert said(2, 2, None) == [line(1, 2), line(2, 2)] and said(9, 0, None) == []


def test_tqdm_s_bar_is_for_terminals_alone(monkeypatch, capsys):
    monkeypatch.setattr(Bar, "made", [])
    monkeypatch.setitem(sys.modules, "tqdm", SimpleNamespace(tqdm=Bar))
    assert _tqdm() is Bar
    state = SimpleNamespace(
        epoch=1,
        stop_reason=None,
        history=type("History", (dict,), {"row": lambda self, index: {"loss": 1.0, "kl": 2.0}})(seconds=[0.5]),
    )
    for terminal in (False, None):  # none at all
        if terminal is None:
            monkeypatch.setattr("sys.stderr", None)
        with progress_reporter(True, 9, state) as report, progress_bar(True, 1, "row") as progress:
            report(state)
            progress(1)
    assert Bar.made == []
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert _tqdm() is None
