"""A process that tries damaged files one after the other and writes what became of each, a line of JSON a file.

It is told on its standard input, one a line, the kind of a file that lies in its folder, and whether its numbers may
differ from the honest one's, and answers on its standard output. It may die: whoever started it counts that.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
import warnings
from pathlib import Path

import numpy as np

from fuzzing import honest
from npvae.errors import NpvaeError


def main(folder: Path) -> None:
    """Answer until the standard input ends."""
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the library prints is no answer
    kinds = honest.kinds()
    scratch = folder / f"trial-{os.getpid()}"
    scratch.mkdir(exist_ok=True)
    expected, memory = {}, {}
    for _ in range(2):  # the second time nothing is allocated for good any more
        for name, kind in kinds.items():
            path = scratch / name
            path.write_bytes((folder / name).read_bytes())
            forget_peak()
            expected[name] = kind.use(kind.load(path))
            memory[name] = peak()
    answers.write("ready\n")
    answers.flush()
    for line in sys.stdin:
        name, may_differ = line.split()
        forget_peak()
        outcome, words = tried(kinds[name], scratch / name, expected[name], may_differ == "True")
        answers.write(json.dumps({"outcome": outcome, "words": words, "over": peak() - memory[name]}) + "\n")
        answers.flush()


def tried(kind, path: Path, expected: list, may_differ: bool) -> tuple[str, str]:
    """``(outcome, words)`` of one file."""
    stage = "load"
    try:
        loaded = kind.load(path)
        stage = "use"
        numbers = kind.use(loaded)
    except (NpvaeError, OSError) as error:
        line = str(error).splitlines()[0] if str(error) else ""
        if any(ord(c) < 32 or 127 <= ord(c) < 160 for c in line):
            return f"traceback at {stage}", f"control characters in the message {line!r}"
        return f"refused at {stage}", type(error).__name__
    except BaseException:  # any other is a traceback
        return f"traceback at {stage}", traceback.format_exc()[-2000:]
    if not all(np.isfinite(array).all() for array in numbers) and any(np.isfinite(array).all() for array in expected):
        if not all(
            np.isfinite(array).all()
            for array, honest_one in zip(numbers, expected, strict=False)
            if np.isfinite(honest_one).all()
        ):
            return "not finite", ""
    same = len(numbers) == len(expected) and all(
        np.array_equal(a, b, equal_nan=True) for a, b in zip(numbers, expected, strict=True)
    )
    if not same and kind.sealed and not may_differ:
        return "silent loss", ""
    return ("used, same numbers" if same else "used, other numbers"), ""


def forget_peak() -> None:
    """Let the peak of the resident memory begin anew."""
    with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")


def peak() -> int:
    """The peak of the resident memory, in bytes."""
    with open("/proc/self/status", encoding="ascii") as file:
        return next(1024 * int(line.split()[1]) for line in file if line.startswith("VmHWM"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
