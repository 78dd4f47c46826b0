"""log Gamma and its derivative, over any array module: NumPy has neither.

    log Gamma(x) = log Gamma(x + n) - log(x (x + 1) ... (x + n - 1))     until x + n is large, then Stirling's series
                 ~ (x - 1/2) log x - x + log(2 pi)/2 + 1/(12 x) - 1/(360 x^3) + 1/(1260 x^5) - ...
    psi(x)       = d/dx log Gamma(x),  psi(x) = psi(x + 1) - 1/x
                 ~ log x - 1/(2 x) - 1/(12 x^2) + 1/(120 x^4) - 1/(252 x^6) + ...

and the differences over half a step, which cancel digits when they are taken of the two large values:

    log Gamma(x + 1/2) - log Gamma(x) ~ log(x)/2 - 1/(8 x) + 1/(192 x^3) - 1/(640 x^5) + ...

What is left of log Gamma beside Stirling's formula, and what is left of log(1 + e) beside e:

    delta(x)     = log Gamma(x) - (x - 1/2) log x + x - log(2 pi)/2
    delta'(x)    = psi(x) - log x + 1/(2 x)
    e - log(1 + e) = e v - 2 v^3 (1/3 + v^2/5 + v^4/7 + ...)                    v = e / (2 + e), for small e

All for x > 0, of a floating dtype, to a few units in its last place; in the differences also relative to them.

Source: Abramowitz & Stegun (1964), 6.1.41, 6.3.18 and 4.1.27; the series of half a step from 6.1.47 and the Bernoulli
polynomials at 1/2. Why probabilities of counts are written in delta and e - log(1 + e): Loader (2000), "Fast and
accurate computation of binomial probabilities".
"""

from __future__ import annotations

import math

#: From here on the series are used as they are.
LARGE = 8.0

_LOG_GAMMA = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)
_DIGAMMA = (-1 / 12, 1 / 120, -1 / 252, 1 / 240, -1 / 132, 691 / 32760, -1 / 12)
_HALF_STEP = (-1 / 8, 1 / 192, -1 / 640, 17 / 14336, -31 / 18432, 691 / 180224, -5461 / 425984)


def _odd_powers(coefficients, inverse):
    """c_0 / x + c_1 / x^3 + ..., for inverse = 1 / x."""
    square, total = inverse * inverse, coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        total = total * square + coefficient
    return total * inverse


def _even_powers(coefficients, inverse):
    """c_0 / x^2 + c_1 / x^4 + ..."""
    return _odd_powers(coefficients, inverse) * inverse


def _raised(xp, x):
    """Whether x is small, x + 8 where it is, and x where it is (1 elsewhere), from which the steps go up."""
    small = x < LARGE
    return small, xp.where(small, x + LARGE, x), xp.where(small, x, xp.ones_like(x))


def _pairs(x):
    """x (x + 7), (x + 1)(x + 6), (x + 2)(x + 5), (x + 3)(x + 4)."""
    first = x * (x + 7.0)
    return first, first + 6.0, first + 10.0, first + 12.0


def _product(x):
    """x (x + 1) ... (x + 7)."""
    a, b, c, d = _pairs(x)
    return a * b * (c * d)


def _sum_of_inverses(x):
    """1/x + 1/(x + 1) + ... + 1/(x + 7)."""
    a, b, c, d = _pairs(x)
    return (2.0 * x + 7.0) * (1.0 / a + 1.0 / b + 1.0 / c + 1.0 / d)


def _where(xp, small, values):
    """values where x is small, else 0."""
    return xp.where(small, values, xp.zeros_like(values))


def log_gamma(xp, x):
    """log Gamma(x) for x > 0."""
    small, raised, low = _raised(xp, x)
    series = (raised - 0.5) * xp.log(raised) - raised + 0.5 * math.log(2.0 * math.pi)
    return series + _odd_powers(_LOG_GAMMA, 1.0 / raised) - _where(xp, small, xp.log(_product(low)))


def digamma(xp, x):
    """psi(x), the derivative of log Gamma, for x > 0."""
    small, raised, low = _raised(xp, x)
    inverse = 1.0 / raised
    return xp.log(raised) - 0.5 * inverse + _even_powers(_DIGAMMA, inverse) - _where(xp, small, _sum_of_inverses(low))


def log_gamma_half_step(xp, x):
    """log Gamma(x + 1/2) - log Gamma(x) for x > 0."""
    small, raised, low = _raised(xp, x)
    series = 0.5 * xp.log(raised) + _odd_powers(_HALF_STEP, 1.0 / raised)
    # Each step down multiplies Gamma(x + 1/2) / Gamma(x) by x / (x + 1/2).
    return series + _where(xp, small, xp.log(_product(low) / _product(low + 0.5)))


def digamma_half_step(xp, x):
    """psi(x + 1/2) - psi(x), the derivative of :func:`log_gamma_half_step`, for x > 0."""
    small, raised, low = _raised(xp, x)
    inverse = 1.0 / raised
    coefficients = tuple(-(2 * i + 1) * coefficient for i, coefficient in enumerate(_HALF_STEP))
    steps = 0.5 / (low * (low + 0.5))
    for i in range(1, int(LARGE)):
        steps = steps + 0.5 / ((low + i) * (low + (i + 0.5)))
    return 0.5 * inverse + _even_powers(coefficients, inverse) + _where(xp, small, steps)


def stirling_remainder(xp, x):
    """delta(x) = log Gamma(x) - (x - 1/2) log x + x - log(2 pi)/2 for x > 0: 1/(12 x) for large x."""
    small, raised, low = _raised(xp, x)
    # What Stirling's formula changes by over the steps, which multiply Gamma by their product.
    change = (low + (LARGE - 0.5)) * xp.log(low + LARGE) - (low - 0.5) * xp.log(low) - LARGE - xp.log(_product(low))
    return _odd_powers(_LOG_GAMMA, 1.0 / raised) + _where(xp, small, change)


def stirling_remainder_slope(xp, x):
    """delta'(x) = psi(x) - log x + 1/(2 x) for x > 0: -1/(12 x^2) for large x."""
    small, raised, low = _raised(xp, x)
    change = xp.log1p(LARGE / low) - 0.5 / (low + LARGE) + 0.5 / low - _sum_of_inverses(low)
    return _even_powers(_DIGAMMA, 1.0 / raised) + _where(xp, small, change)


def log1p_shortfall(xp, e, log):
    """e - log(1 + e) for e > -1, also where both are nearly equal. log: log(1 + e), as exact as it is known, used
    for larger e.
    """
    small = xp.abs(e) < 0.1
    near = _where(xp, small, e)
    v = near / (2.0 + near)
    square = v * v
    total = xp.full_like(square, 1.0 / 17.0)
    for divisor in (15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0):
        total = total * square + 1.0 / divisor
    return xp.where(small, v * (near - 2.0 * square * total), e - log)
