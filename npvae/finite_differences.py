"""The derivative of a smooth function of one number, by differences, with a bound on its own error.

    wide     = (f(h) - f(-h)) / 2h              = f' + h^2 f''' / 6 + O(h^4)
    narrow   = (f(h/2) - f(-h/2)) / h           = f' + h^2 f''' / 24 + O(h^4)
    estimate = narrow + (narrow - wide) / 3     = f' + O(h^4)                    (Richardson 1911)

Rounding adds about eps |f| / h. At a kink the estimate means nothing, and two signs give it away:

    wide and narrow differ by more than h^2 f''' / 8 could
    bend(h) = (f(h) - 2 f(0) + f(-h)) / h is proportional to h where f is smooth, but at a kink it is the
    jump of the slope, whatever h: there bend(h) - 2 bend(h/2) is the jump too

A kink near the point, but not at it, is stepped around by a smaller h; so is a bend too sharp for the step.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from npvae.errors import InputError, KinkError

#: Rounding errors in f, in units of eps max|f|, that are still taken for rounding.
ROUNDING = 16.0
EPSILON = 2.0**-52
#: How often a step that shows a kink, or meets a value that is not finite, is divided by ten.
SHRINKS = 6


@dataclass(frozen=True)
class Derivative:
    """An estimate of f'(0), what rounding may have added to it, the step it was made with, the size of f there."""

    estimate: float
    rounding: float
    step: float
    size: float


def derivative(f: Callable[[float], float], step: float, tolerance: float, scale: float, what: str) -> Derivative:
    """f'(0), accurate to ``tolerance`` times the larger of |f'(0)| and ``scale`` / 1000, apart from rounding.

    ``what`` names the point in messages. KinkError: f has no derivative at 0, or none that differences of
    this precision can find. InputError: f is not finite near 0.
    """
    centre = f(0.0)
    problem = None
    for shrink in range(SHRINKS + 1):
        h = step / 10.0**shrink
        up, down, half_up, half_down = f(h), f(-h), f(h / 2), f(-h / 2)
        values = (centre, up, down, half_up, half_down)
        largest = max(map(abs, values))
        if not all(map(math.isfinite, values)):
            problem = InputError(f"the function is not finite within {h:g} of {what}")
            continue
        wide = (up - down) / (2 * h)
        narrow = (half_up - half_down) / h
        bend_wide = (up - 2 * centre + down) / h
        bend_narrow = 2 * (half_up - 2 * centre + half_down) / h
        estimate = narrow + (narrow - wide) / 3
        rounding = ROUNDING * EPSILON * largest / h
        allowed = tolerance * max(abs(estimate), 1e-3 * scale) + 4 * rounding
        # Richardson's step leaves much less than |wide - narrow|; a kink leaves all of it.
        if abs(wide - narrow) <= 10 * allowed and abs(bend_wide - 2 * bend_narrow) <= 10 * allowed:
            return Derivative(estimate, rounding, h, largest)
        problem = KinkError(
            f"no derivative found at {what}: the slope is {(centre - half_down) / (h / 2):.6g} to the left and "
            f"{(half_up - centre) / (h / 2):.6g} to the right, at a distance of {h / 2:g}. If the function has a "
            "kink there, move the point; if it is smooth, give a smaller step"
        )
    raise problem
