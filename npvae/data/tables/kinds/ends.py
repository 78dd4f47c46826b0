"""Where the numbers of a column end: at a value that many cells have, or at the end of a scale that is known."""

from __future__ import annotations

import numpy as np

#: The share of the cells, at least, that are at an end.
SHARE_OF_END = 0.02


def ends_of(v: np.ndarray) -> tuple[float | None, float | None]:
    """The lower and the upper end of numbers v (n,), None where there is none. Scales are from 0 to 1, with
    decimals, and from 0 to 100.
    """
    low, high = float(v.min()), float(v.max())
    top = None
    if 0.0 <= low and 0.5 < high <= 1.0 and (v != np.rint(v)).any():
        top = 1.0
    elif 0.0 <= low <= 20.0 and 90.0 <= high <= 100.0:
        top = 100.0
    first = low if (v == low).mean() >= SHARE_OF_END else None if top is None else 0.0
    last = high if (v == high).mean() >= SHARE_OF_END else top
    return first, last
