"""Exponential, logarithm and their relatives on vectors, from the four operations alone.

    exp(x)     x = n log 2 + r, n whole, |r| <= (log 2)/2;   exp(x) = 2^n (1 + p(r))
    expm1(x)   = 2^n p(r) + (2^n - 1)                         p(r) = exp(r) - 1, by its Taylor series
    log(x)     x = m 2^e, m in [sqrt(1/2), sqrt(2));          log(x) = e log 2 + 2 artanh((m - 1)/(m + 1))
    log1p(t)   for t in [0, 1]:  2 artanh(t/(2 + t)), or log 2 + 2 artanh((t - 1)/(t + 3)) for the larger t
    tanh(x)    = expm1(2|x|) / (expm1(2|x|) + 2), with the sign of x

artanh(s) = s + s^3/3 + s^5/5 + ..., here with |s| < 0.172. Series are cut where the next term is below a quarter of the
dtype's rounding. All are within a few units in the last place over the whole range, and keep infinities
and NaN; exp reaches into the denormal numbers and to infinity.
"""

from __future__ import annotations

import math

from npvae.kernels.cpu.vector import Vector

#: log 2 as a short number, which n multiplies exactly, and the rest.
LOG2 = {
    "float32": (0.693359375, math.log(2.0) - 0.693359375),
    "float64": (0.693145751953125, 1.42860682030941723212e-6),
}
#: Where exp has left the dtype on either side, with room to spare.
EXP_RANGE = {"float32": (-120.0, 100.0), "float64": (-800.0, 720.0)}
#: Terms of the series: of exp(r) - 1 with |r| <= 0.347, of artanh(s)/s with |s| <= 0.172, and of sine and cosine.
TERMS = {"float32": {"expm1": 7, "artanh": 5, "sine": 6}, "float64": {"expm1": 14, "artanh": 11, "sine": 10}}


def _polynomial(x: Vector, coefficients) -> Vector:
    """c_0 + c_1 x + c_2 x^2 + ..., by Horner's rule."""
    *rest, last = coefficients
    result = x.like(last)
    for coefficient in reversed(rest):
        result = result.fma(x, coefficient)
    return result


def _reduce(x: Vector):
    """``(p, n)`` with exp(x) = 2^n (1 + p), n a vector of integers; x inside ``EXP_RANGE``."""
    n, integers = (x * (1.0 / math.log(2.0))).round_to_integer()
    high, low = LOG2[x.dtype]
    r = (-n).fma(high, x)
    r = (-n).fma(low, r)
    terms = TERMS[x.dtype]["expm1"]
    # r + r^2 (1/2 + r/6 + ...): the small terms first, then r.
    tail = _polynomial(r, [1.0 / math.factorial(k) for k in range(2, terms + 1)])
    return (r * r).fma(tail, r), integers


def _clamped(x: Vector) -> Vector:
    low, high = EXP_RANGE[x.dtype]
    return x.at_least(low).at_most(high)


def exp(x: Vector) -> Vector:
    """e^x."""
    p, n = _reduce(_clamped(x))
    # 2^n alone may leave the dtype where the result does not.
    first, second = x.halves(n)
    return (p + 1.0) * x.power_of_two(first) * x.power_of_two(second)


def expm1(x: Vector) -> Vector:
    """e^x - 1."""
    p, n = _reduce(_clamped(x))
    first, second = x.halves(n)
    one = x.power_of_two(x.negated(second))
    scale = x.power_of_two(first)
    return p.fma(scale, scale - one) * x.power_of_two(second)


def _twice_artanh(s: Vector) -> Vector:
    """2 artanh(s) for |s| < 0.172."""
    terms = TERMS[s.dtype]["artanh"]
    square = s * s
    tail = _polynomial(square, [2.0 / (2 * k + 1) for k in range(1, terms)])
    return (s * square).fma(tail, s + s)


def log(x: Vector) -> Vector:
    """The logarithm of normal numbers > 0."""
    m, e = x.mantissa_and_exponent()
    high, low = LOG2[x.dtype]
    return e.fma(high, e.fma(low, _twice_artanh((m - 1.0) / (m + 1.0))))


def log1p_of_fraction(t: Vector) -> Vector:
    """log(1 + t) for t in [0, 1]; NaN stays NaN."""
    large = t.greater(math.sqrt(2.0) - 1.0)
    s = (t - 1.0).where(large, t) / (t + 3.0).where(large, t + 2.0)
    return _twice_artanh(s) + t.like(math.log(2.0)).where(large, 0.0)


def tanh(x: Vector) -> Vector:
    """The hyperbolic tangent."""
    # Beyond 20 it is 1 in either dtype; without the bound infinity would be divided by itself.
    e = expm1(abs(x).at_most(20.0) * 2.0)
    return (e / (e + 2.0)).with_sign_of(x)


def sigmoid_and_softplus(x: Vector) -> tuple[Vector, Vector]:
    """1 / (1 + exp(-x)) and log(1 + exp(x)), from one exponential of a number <= 0."""
    t = exp(-abs(x))
    positive = x.greater(0.0)
    sigmoid = x.like(1.0).where(positive, t) / (t + 1.0)
    return sigmoid, x.at_least(0.0) + log1p_of_fraction(t)


def sine_and_cosine_of_turns(u: Vector) -> tuple[Vector, Vector]:
    """sin(2 pi u) and cos(2 pi u) for u in [0, 1].

    With k the nearest whole number to 4 u and r = 2 pi (u - k/4), |r| <= pi/4, they are the sine and cosine
    of r, swapped for odd k, and with the signs of k's quarter.
    """
    k, _ = (u * 4.0).round_to_integer()
    r = (u - k * 0.25) * (2.0 * math.pi)
    square = r * r
    terms = TERMS[u.dtype]["sine"]
    sine = (r * square).fma(_polynomial(square, [(-1.0) ** j / math.factorial(2 * j + 1) for j in range(1, terms)]), r)
    cosine = square.fma(_polynomial(square, [(-1.0) ** j / math.factorial(2 * j) for j in range(1, terms)]), 1.0)
    # k is 0 to 4. Distances tell the quarters apart without integers.
    odd = abs(abs(k - 2.0) - 1.0)  # 0 for k = 1 and 3, 1 for the others
    even = odd.greater(0.5)
    result_sine, result_cosine = sine.where(even, cosine), cosine.where(even, sine)
    keep_sine = (abs(k - 2.5)).greater(1.0)  # true for k = 0, 1, 4: those keep their sign
    keep_cosine = (abs(k - 1.5)).greater(1.0)  # true for k = 0, 3, 4: those keep theirs
    return result_sine.where(keep_sine, -result_sine), result_cosine.where(keep_cosine, -result_cosine)
