"""Distribution function and quantiles of the standard normal distribution, by NumPy alone.

Phi(a) by the series and the continued fraction's rational fit of W. J. Cody would be exact to the last bit; here erfc
is Chebyshev's fit of "Numerical Recipes" (third edition, section 6.2.2), whose relative error is at most 1.2e-7 in both
tails. The quantile is the rational fit of P. J. Acklam (2003), of relative error 1.15e-9.
"""

from __future__ import annotations

import math

import numpy as np

_ERFC = (
    -1.26551223,
    1.00002368,
    0.37409196,
    0.09678418,
    -0.18628806,
    0.27886807,
    -1.13520398,
    1.48851587,
    -0.82215223,
    0.17087277,
)
_A = (
    -3.969683028665376e01,
    2.209460984245205e02,
    -2.759285104469687e02,
    1.383577518672690e02,
    -3.066479806614716e01,
    2.506628277459239e00,
)
_B = (
    -5.447609879822406e01,
    1.615858368580409e02,
    -1.556989798598866e02,
    6.680131188771972e01,
    -1.328068155288572e01,
    1.0,
)
_C = (
    -7.784894002430293e-03,
    -3.223964580411365e-01,
    -2.400758277161838e00,
    -2.549732539343734e00,
    4.374664141464968e00,
    2.938163982698783e00,
)
_D = (7.784695709041462e-03, 3.224671290700398e-01, 2.445134137142996e00, 3.754408661907416e00, 1.0)
#: Below this the quantile is fitted in sqrt(-2 log p).
_TAIL = 0.02425


def log_upper_tail(a: np.ndarray) -> np.ndarray:
    """log(1 - Phi(a)) for a >= 0."""
    x = np.minimum(a, 1e8) / math.sqrt(2.0)
    t = 1.0 / (1.0 + 0.5 * x)
    return np.log(0.5 * t) - x * x + np.polynomial.polynomial.polyval(t, _ERFC)


def log_between(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """log(Phi(high) - Phi(low)), elementwise, for low <= high, infinite perhaps; the density times the width where
    that is small.
    """
    with np.errstate(all="ignore"):  # of infinities
        return _log_between(low, high)


def _log_between(low, high):
    swap = low + high < 0.0  # so that the nearer end is positive, or both lie around 0
    near, far = np.where(swap, -high, low), np.where(swap, -low, high)
    positive = np.maximum(near, 0.0)
    tail, beyond = log_upper_tail(positive), np.where(np.isfinite(far), log_upper_tail(np.maximum(far, 0.0)), -np.inf)
    apart = tail + np.log1p(-np.exp(np.minimum(beyond - tail, -1e-15)))
    around = np.log1p(-np.exp(log_upper_tail(np.maximum(-near, 0.0))) - np.exp(beyond))
    width, middle = far - near, 0.5 * (near + far)
    small = np.log(np.maximum(width, 1e-300)) - 0.5 * middle * middle - 0.5 * math.log(2.0 * math.pi)
    narrow = np.isfinite(middle) & (width * np.maximum(1.0, np.abs(np.where(np.isfinite(middle), middle, 0.0))) < 1e-2)
    return np.where(narrow, small, np.where(near >= 0.0, apart, around))


def quantile(p: np.ndarray) -> np.ndarray:
    """Phi^-1(p), elementwise, for 0 < p < 1."""
    p = np.asarray(p, np.float64)
    tail = np.minimum(p, 1.0 - p)
    q = np.sqrt(-2.0 * np.log(tail))
    outer = np.polyval(_C, q) / np.polyval(_D, q)  # of the lower tail
    r = p - 0.5
    inner = r * np.polyval(_A, r * r) / np.polyval(_B, r * r)
    return np.where(tail < _TAIL, np.where(p < 0.5, outer, -outer), inner)
