"""Printing that never stops a run: a closed pipe or terminal makes it silent, not an error.

Names and texts that come from files are shown, not obeyed: control characters appear escaped.
"""

from __future__ import annotations

import os
import sys

from npvae.support.fields import COMMANDS

#: What of a text from a file would command the terminal, escaped; lines and tabulators stay.
_ESCAPED = {code: ascii(chr(code))[1:-1] for code in COMMANDS if chr(code) not in "\n\t"}
_stdout_is_data = False


def say(text: str) -> None:
    """A line to standard output; to standard error where the command's data go there."""
    _print(text, sys.stderr if _stdout_is_data else sys.stdout)


def tell(text: str) -> None:
    """A line to standard error."""
    _print(text, sys.stderr)


def prepare() -> None:
    """Let characters that the terminal cannot show appear escaped; nothing but text goes to standard output yet."""
    global _stdout_is_data
    _stdout_is_data = False
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def keep_stdout_for_data() -> None:
    """From now on :func:`say` leaves standard output alone, until the command ends."""
    global _stdout_is_data
    _stdout_is_data = True


def printable(text: str) -> str:
    """The text with escapes in the place of characters that a terminal would obey: names and files may hold
    anything.
    """
    return text.translate(_ESCAPED)


def finish() -> None:
    """Flush; where the reader is gone, keep Python from complaining of it once more at exit."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            try:
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            except (OSError, ValueError):
                pass


def _print(text: str, stream) -> None:
    try:
        print(printable(text), file=stream, flush=True)
    except (OSError, ValueError):
        pass
