"""The options of a command line, by a parser that is handed in: commands that read the command line of an earlier run
need no import of all the commands."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

from npvae.cli import presets

#: What the options hold besides the flags' values.
NO_FLAGS = ("run", "parser", "command", "words", "make_parser")


def read(words: Sequence[str], make_parser: Callable[[Sequence[str]], argparse.ArgumentParser]) -> argparse.Namespace:
    """The options, where a preset has taken the place of the defaults."""
    parser = make_parser(words)
    options = parser.parse_args(words)
    if getattr(options, "preset", None) is not None:
        options.parser.set_defaults(**presets.PRESETS[options.preset].options)
        options = parser.parse_args(words)
    options.words, options.make_parser = words, make_parser  # for --resume: see resuming.py
    return options
