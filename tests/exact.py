"""Functions of one number in decimal arithmetic, and the distance of a float from what it should be.

The argument is a float, taken exactly, or a Decimal; the result is a Decimal with some hundred right digits.
"""

from __future__ import annotations

import math
from decimal import Decimal

import numpy as np
from naive import DIGITS

PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899")
#: Beyond this no exponential is a float in either direction; decimals could not hold it either.
FAR = Decimal(100_000)
#: Below this 1 + x has not enough digits for x, and two terms of a series do.
NEAR = Decimal("1e-50")


def exp(x):
    return DIGITS.exp(min(max(Decimal(x), DIGITS.minus(FAR)), FAR))


def expm1(x):
    x = Decimal(x)
    if x.copy_abs() < NEAR:
        return DIGITS.add(x, DIGITS.divide(DIGITS.multiply(x, x), 2))
    return DIGITS.subtract(exp(x), 1)


def log(x):
    return DIGITS.ln(Decimal(x))


def log1p(x):
    x = Decimal(x)
    if x.copy_abs() < NEAR:
        return DIGITS.subtract(x, DIGITS.divide(DIGITS.multiply(x, x), 2))
    return DIGITS.ln(DIGITS.add(1, x))


def tanh(x):
    """(e^2x - 1) / (e^2x + 1)"""
    e = expm1(DIGITS.multiply(2, Decimal(x)))
    return DIGITS.divide(e, DIGITS.add(e, 2))


def sigmoid(x):
    return DIGITS.divide(1, DIGITS.add(1, exp(Decimal(x).copy_negate())))


def softplus(x):
    return Decimal(x) if x > FAR else log1p(exp(x))


def sine_of_turns(u):
    """sin(2 pi u) by its series, |u| <= 1; the terms grow to 86, which costs two digits."""
    angle = DIGITS.multiply(2, DIGITS.multiply(PI, Decimal(u)))
    square = DIGITS.multiply(angle, angle)
    term = total = angle
    for k in range(1, 60):
        term = DIGITS.divide(DIGITS.multiply(term, square), -2 * k * (2 * k + 1))
        total = DIGITS.add(total, term)
    return total


def cosine_of_turns(u):
    """cos(2 pi u) = sin(2 pi (1/4 - u))"""
    return sine_of_turns(DIGITS.subtract(Decimal("0.25"), Decimal(u)))


def spacing(value, dtype) -> float:
    """The distance between neighbouring numbers of the dtype where ``value`` lies: a unit in the last place."""
    info = np.finfo(dtype)
    exponent = math.frexp(float(value))[1] - info.nmant - 1
    return math.ldexp(1.0, max(exponent, info.minexp - info.nmant))


def distance(found, wanted: Decimal, dtype) -> float:
    """|found - wanted| in units in the last place of ``wanted``."""
    difference = DIGITS.subtract(Decimal(float(found)), wanted).copy_abs()
    return float(DIGITS.divide(difference, Decimal(spacing(wanted, dtype))))
