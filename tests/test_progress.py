"""Progress on the terminal: what is said of an epoch, of rows that are done and of a download, with tqdm, without it and not at all."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace

import pytest

from npvae import progress
from npvae.cli import common


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Bar:
    """In the place of tqdm's bar: remembers what it was told."""

    made: list = []

    def __init__(self, **arguments) -> None:
        self.arguments, self.n, self.words = arguments, arguments.get("initial", 0), []
        self.made.append(self)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.ended = True

    def update(self, by) -> None:
        self.n += by

    def set_postfix_str(self, text, refresh=True) -> None:
        self.words.append((text, refresh))


@pytest.fixture
def bars(monkeypatch):
    """Call it in the test: a terminal and tqdm, and the bars that are made."""

    def on_a_terminal():
        monkeypatch.setattr(sys, "stderr", Terminal())
        monkeypatch.setattr(progress, "_tqdm", lambda: Bar)
        Bar.made = []
        return Bar.made

    return on_a_terminal


def state_of(epoch: int, **row):
    """A state whose last epoch was that row."""
    row = {"loss": 12.3456, "kl": 1.5, **row}
    return SimpleNamespace(epoch=epoch, history=SimpleNamespace(row=lambda i: row if i == -1 else None))


@pytest.mark.parametrize(("row", "words"), [
    ({}, "loss 12.35, KL 1.50"), ({"val_loss": 13.0}, "loss 12.35, KL 1.50, validation 13.00"),
    ({"error": 0.25}, "loss 12.35, KL 1.50, errors 25.0 %"),
    ({"error": 0.25, "val_error": 0.5, "val_loss": 13.0}, "loss 12.35, KL 1.50, validation 13.00, errors 25.0 %, in validation 50.0 %"),
    ({"val_error": float("nan")}, "loss 12.35, KL 1.50"), ({"val_error": None}, "loss 12.35, KL 1.50"),
])
def test_an_epoch_in_words(row, words):
    assert progress.describe({"loss": 12.3456, "kl": 1.5, **row}) == words


def test_bars_of_epochs_begin_where_the_run_does(bars):
    bars = bars()
    with progress.progress_reporter(True, 10, SimpleNamespace(epoch=4)) as report:
        report(state_of(5))
        report(state_of(6, val_loss=2.0))
    (bar,) = bars
    assert (bar.arguments["total"], bar.arguments["initial"], bar.arguments["unit"]) == (10, 4, "epoch") and bar.n == 6 and bar.ended
    assert bar.arguments["file"] is sys.stderr
    assert bar.words == [("loss 12.35, KL 1.50", False), ("loss 12.35, KL 1.50, validation 2.00", False)]


def test_bars_of_rows_are_told_how_many_are_done(bars):
    bars = bars()
    with progress.progress_bar(True, 30, "row") as report:
        for done in (4, 12, 30):
            report(done)
            assert bars[0].n == done
    assert (bars[0].arguments["total"], bars[0].arguments["unit"]) == (30, "row") and bars[0].ended


def test_without_a_terminal_there_are_lines(monkeypatch, capsys):
    monkeypatch.setattr(progress, "_tqdm", lambda: pytest.fail("there is no terminal"))
    with progress.progress_bar(True, 40, "row") as report:
        for done in (1, 3, 4, 5, 7, 8, 20, 40):
            report(done)
    assert capsys.readouterr().err.splitlines() == [f"{done} of 40 rows" for done in (4, 8, 20, 40)]


def test_without_tqdm_there_are_lines_on_a_terminal_too(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with progress.progress_bar(True, 10, "row") as report:
        report(10)
    assert sys.stderr.getvalue() == "10 of 10 rows\n"
    monkeypatch.undo()
    assert progress._tqdm() is None or progress._tqdm().__name__ == "tqdm"


def test_silence(bars):
    bars = bars()
    with progress.progress_bar(False, 10, "row") as report:
        report(10)
    with progress.progress_reporter(False, 10, SimpleNamespace(epoch=0)) as report:
        report(state_of(1))
    assert bars == [] and sys.stderr.getvalue() == ""


def test_a_reader_that_has_gone_ends_nothing(monkeypatch):
    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Gone())
    with progress.progress_bar(True, 10, "row") as report:
        report(10)


@pytest.mark.parametrize(("total", "lines"), [
    (4_000_000, "\rfetching x.gz:  25%\rfetching x.gz: 100%\n"), (None, "\rfetching x.gz: 1.0 MB\rfetching x.gz: 4.0 MB"),
])
def test_a_download_on_a_terminal(monkeypatch, total, lines):
    monkeypatch.setattr(sys, "stderr", Terminal())
    show = common._download_progress()
    show(1_000_000, total, "x.gz")
    show(4_000_000, total, "x.gz")
    assert sys.stderr.getvalue() == lines
    for none in (None, io.StringIO()):
        monkeypatch.setattr(sys, "stderr", none)
        assert common._download_progress() is None
