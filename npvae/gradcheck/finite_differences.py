"""The derivative of a smooth function of one number, by differences, with a bound on its own error.

    wide     = (f(h) - f(-h)) / 2h              = f' + h^2 f''' / 6 + O(h^4)
    narrow   = (f(h/2) - f(-h/2)) / h           = f' + h^2 f''' / 24 + O(h^4)
    estimate = narrow + (narrow - wide) / 3     = f' + O(h^4)                    (Richardson 1911)

f may be a sum over many outputs, which is then taken of the differences: an output that no step changes adds no
rounding. Each of the others adds about eps |f| / h. At a kink the estimate means nothing, and two signs give it away:

    wide and narrow differ by more than h^2 f''' / 8 could
    bend(h) = (f(h) - 2 f(0) + f(-h)) / h is proportional to h where f is smooth, but at a kink it is the
    jump of the slope, whatever h: there bend(h) - 2 bend(h/2) is the jump too

A kink near the point, but not at it, is stepped around by a smaller h; so is a bend too sharp for the step. What bends
on the scale of the point itself, as log x and sqrt x do near 0 and x^3 does in proportion, needs steps relative to |x|:
they follow where the absolute ones fail, or drown the derivative in rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from npvae.errors import InputError, KinkError

#: Rounding errors in f, in units of eps max|f|, that are still taken for rounding.
ROUNDING = 16.0
EPSILON = 2.0**-52
#: How often a step that shows a kink, or meets a value that is not finite, is divided by ten.
SHRINKS = 6
#: Steps relative to the point, tried after those.
RELATIVE_STEPS = (1e-2, 1e-3, 1e-4, 1e-5)


@dataclass(frozen=True)
class Derivative:
    """An estimate of f'(0), and what it was made with."""

    estimate: float
    rounding: float  #: what rounding may have added to it
    unseen: float  #: what rounding may have taken from it, in outputs that no step changed
    step: float
    size: float  #: of f there


def derivative(
    f: Callable[[float], float | np.ndarray], step: float, tolerance: float, scale: float, what: str, at: float = 0.0
) -> Derivative:
    """f'(0), of the sum of f's outputs where it has several; accurate to ``tolerance`` times the larger of |f'(0)| and
    ``scale`` / 1000, apart from rounding.

    ``what`` names the point in messages. at: the size |x| of the point, in units of the direction, where f is
    t -> g(x + t): x + t is rounded to eps |x|, and steps relative to |x| are tried too. KinkError: f has no derivative
    at 0, or none that differences of this precision can find. InputError: f is not finite near 0.
    """
    at_steps = _Steps(f, tolerance, scale, what, at)
    best: Derivative | None = None
    problem: Exception | None = None
    for h in (step / 10.0**shrink for shrink in range(SHRINKS + 1)):
        best, problem = at_steps(h)
        if best is not None:
            break
    if best is not None and at >= h:
        return best
    for h in (at * relative for relative in RELATIVE_STEPS if 0.0 < at * relative < h):
        found, _ = at_steps(h)
        if found is None:
            continue
        wanted = tolerance * max(abs(found.estimate), 1e-3 * scale)
        if best is not None and abs(found.estimate - best.estimate) > 10 * wanted + 4 * (
            found.rounding + best.rounding
        ):
            # A place narrower than the absolute steps, which step over it.
            problem = KinkError(
                f"no derivative found at {what}: the slope is {best.estimate:.6g} by steps of {best.step:g} and "
                f"{found.estimate:.6g}, to within {found.rounding:.1g}, by steps of {h:g}. If the function has a "
                "kink near there, move the point; if it is smooth, give a smaller step"
            )
            best = None
        # So small a step passes for smooth whatever rounding hides: here rounding must leave the derivative.
        if found.rounding <= 1e3 * wanted and (best is None or found.rounding < best.rounding):
            best = found
    if best is None:
        assert problem is not None
        raise problem
    return best


class _Steps:
    """f at 0 and some steps from it."""

    def __init__(self, f, tolerance, scale, what, at) -> None:
        self._f, self._tolerance, self._scale, self._what, self._at = f, tolerance, scale, what, at
        self._centre = np.asarray(f(0.0))
        self._changed = np.zeros(self._centre.shape, bool)  # outputs that some step has changed
        self._longest = 0.0

    def __call__(self, h: float) -> tuple[Derivative | None, Exception | None]:
        """The derivative by steps of h and h / 2, or what is wrong with it."""
        values = [self._centre, *(np.asarray(self._f(t)) for t in (h, -h, h / 2, -h / 2))]
        for value in values[1:]:
            self._changed |= value != self._centre
        self._longest = max(self._longest, h)
        if not all(np.isfinite(value).all() for value in values):
            return None, InputError(f"the function is not finite within {h:g} of {self._what}")
        with np.errstate(all="ignore"):
            return self._judge(h, values)

    def _judge(self, h, values):
        up, down, half_up, half_down = (value - self._centre for value in values[1:])
        size = np.max(np.abs(values), axis=0)
        largest = _norm(size)
        wide = float(np.sum(up - down)) / (2 * h)
        narrow = float(np.sum(half_up - half_down)) / h
        bend_wide = float(np.sum(up + down)) / h
        bend_narrow = 2 * float(np.sum(half_up + half_down)) / h
        estimate = narrow + (narrow - wide) / 3
        rounding = ROUNDING * EPSILON * _norm(size[self._changed]) / h + EPSILON * self._at / h * abs(estimate)
        unseen = ROUNDING * EPSILON * _norm(size[~self._changed]) / self._longest
        # A tolerance in which the whole function disappears would pass any step.
        wanted = min(1e-3 * self._tolerance * self._scale, 1e-3 * largest / h)
        allowed = max(self._tolerance * abs(estimate), wanted) + 4 * rounding
        # Richardson's step leaves much less than |wide - narrow|; a kink leaves all of it.
        if abs(wide - narrow) <= 10 * allowed and abs(bend_wide - 2 * bend_narrow) <= 10 * allowed:
            return Derivative(estimate, rounding, unseen, h, largest), None
        return None, KinkError(
            f"no derivative found at {self._what}: the slope is {(0.0 - np.sum(half_down)) / (h / 2):.6g} to the left "
            f"and "
            f"{np.sum(half_up) / (h / 2):.6g} to the right, at a distance of {h / 2:g}. If the function has a "
            "kink there, move the point; if it is smooth, give a smaller step"
        )


def _norm(x: np.ndarray) -> float:
    """sqrt(sum(x^2)), for numbers at least 0 of any size: what independent rounding errors of such sizes come to."""
    largest = float(x.max()) if x.size else 0.0
    return largest * float(np.sqrt(np.sum((x / largest) ** 2))) if largest > 0.0 else 0.0
