"""A record of every random word that is drawn: for which seed, purpose, step and draw, and by whom."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import dataclass
from unittest import mock

import numpy as np

from npvae.mathematics import random

PURPOSE_OF = {number: name for name, number in random.PURPOSES.items()}


@dataclass(frozen=True)
class Drawn:
    """Blocks ``first`` to ``last`` of four words each of one place of the generator."""

    place: tuple[int, str, int, int]  #: seed, purpose, step, draw
    first: int
    last: int
    by: str  #: the function outside random.py that asked


@contextmanager
def recorded():
    """A list that is added to while random numbers are drawn."""
    drawn: list[Drawn] = []

    class Recording(np.random.Philox):
        def random_raw(self, size=None, output=True):
            state = self.state["state"]
            block, step, draw, _ = (int(word) for word in state["counter"])
            seed, purpose = (int(word) for word in state["key"])
            if size:
                frame = sys._getframe(1)
                while frame.f_code.co_filename.endswith("/npvae/mathematics/random.py") or frame.f_code.co_name in (
                    "<listcomp>",
                    "<genexpr>",
                ):
                    frame = frame.f_back
                by = f"{frame.f_code.co_filename.rpartition('/npvae/')[2]}: {frame.f_code.co_name}"
                drawn.append(Drawn((seed, PURPOSE_OF[purpose], step, draw), block + 1, block + -(-int(size) // 4), by))
            return super().random_raw(size, output)

    with mock.patch.object(np.random, "Philox", Recording):
        yield drawn


def used_twice(drawn: list[Drawn], repeated=()) -> list[str]:
    """Places whose words were drawn more than once; ``repeated``: purposes of which the same function may draw the
    same words again.
    """
    by_place: dict[tuple, list[Drawn]] = {}
    for entry in drawn:
        by_place.setdefault(entry.place, []).append(entry)
    found = []
    for place, entries in by_place.items():
        entries = sorted(entries, key=lambda entry: entry.first)
        for before, after in zip(entries, entries[1:], strict=False):
            if after.first <= before.last and not (place[1] in repeated and before == after):
                found.append(f"{place}: by {before.by} and by {after.by}")
    return found
