"""Progress on the terminal: tqdm where it is installed and there is a terminal, else a line an epoch."""

from __future__ import annotations

import sys
from contextlib import contextmanager


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
    """A context that gives a callback which reports every epoch to standard error; silent if not verbose."""
    if not verbose:
        yield lambda state: None
        return
    tqdm = _tqdm() if sys.stderr is not None and sys.stderr.isatty() else None
    if tqdm is None:
        yield lambda state: _print_line(state, epochs)
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


def _print_line(state, epochs: int) -> None:
    seconds = state.history["seconds"][-1]
    _print(f"epoch {state.epoch}/{epochs}  {describe(state.history.row(-1))}, {seconds:.2f} s")


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
