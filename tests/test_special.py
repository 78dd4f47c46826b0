"""log Gamma and its derivative, against SciPy's and against exact values."""

import math
from fractions import Fraction

import numpy as np
import pytest

from npvae.mathematics import special

#: Small, large, whole, halves, and both sides of where the series begins.
POINTS = np.concatenate([np.geomspace(1e-6, 1e8, 500), [0.5, 1.0, 1.5, 2.0, 3.0, 7.9999999, 8.0, 8.0000001]])


def test_log_gamma_and_digamma_are_scipy_s():
    scipy = pytest.importorskip("scipy.special")
    for ours, theirs in ((special.log_gamma, scipy.gammaln), (special.digamma, scipy.digamma)):
        wanted = theirs(POINTS)
        assert np.max(np.abs(ours(np, POINTS) - wanted) / np.maximum(1.0, np.abs(wanted))) < 1e-14


def bernoulli_numbers(count: int) -> list[Fraction]:
    """B_0, B_1, ... by their recurrence, sum_k binomial(n + 1, k) B_k = 0."""
    found = [Fraction(1)]
    for n in range(1, count):
        found.append(-sum(math.comb(n + 1, k) * found[k] for k in range(n)) / (n + 1))
    return found


def test_the_coefficients_are_those_of_bernoulli_s_numbers():
    """Abramowitz & Stegun (1964): 6.1.41, 6.3.18; and 6.1.47 with B_2k(1/2) = -(1 - 2^(1 - 2k)) B_2k, 23.1.21."""
    B = bernoulli_numbers(15)
    for k in range(1, 8):
        half = -(1 - Fraction(2, 4**k)) * B[2 * k]
        assert special._LOG_GAMMA[k - 1] == float(B[2 * k] / (2 * k * (2 * k - 1)))
        assert special._DIGAMMA[k - 1] == float(-B[2 * k] / (2 * k))
        assert special._HALF_STEP[k - 1] == float((half - B[2 * k]) / (2 * k * (2 * k - 1)))
    assert {len(each) for each in (special._LOG_GAMMA, special._DIGAMMA, special._HALF_STEP)} == {7}


def test_factorials():
    found = special.log_gamma(np, np.arange(1.0, 30.0))
    assert all(
        value == pytest.approx(math.log(math.factorial(n)), rel=1e-14, abs=1e-14) for n, value in enumerate(found)
    )


def test_half_steps_are_the_differences_and_keep_their_digits():
    small = POINTS[POINTS < 1e3]
    difference = [math.lgamma(x + 0.5) - math.lgamma(x) for x in small]
    np.testing.assert_allclose(special.log_gamma_half_step(np, small), difference, rtol=1e-10, atol=1e-12)
    scipy = pytest.importorskip("scipy.special")
    difference = scipy.digamma(small + 0.5) - scipy.digamma(small)
    np.testing.assert_allclose(special.digamma_half_step(np, small), difference, rtol=1e-9)
    # Far out, where the difference of two logarithms of Gamma has lost them: the limits, with their next term.
    x = np.array([1e6, 1e8])
    np.testing.assert_allclose(special.log_gamma_half_step(np, x), 0.5 * np.log(x) - 1 / (8 * x), rtol=1e-15)
    np.testing.assert_allclose(special.digamma_half_step(np, x), 1 / (2 * x) + 1 / (8 * x * x), rtol=1e-14)


def test_half_steps_add_up_to_a_step():
    """Gamma(x + 1) = x Gamma(x)."""
    two = special.log_gamma_half_step(np, POINTS) + special.log_gamma_half_step(np, POINTS + 0.5)
    np.testing.assert_allclose(two, np.log(POINTS), rtol=1e-13, atol=1e-14)
    two = special.digamma_half_step(np, POINTS) + special.digamma_half_step(np, POINTS + 0.5)
    np.testing.assert_allclose(two, 1 / POINTS, rtol=1e-13)


def test_float32_stays_float32_to_its_last_places():
    x = POINTS.astype(np.float32)
    for function in (special.log_gamma, special.digamma, special.log_gamma_half_step, special.digamma_half_step):
        found, wanted = function(np, x), function(np, x.astype(np.float64))
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, wanted, rtol=3e-6, atol=3e-6)


def test_on_a_library_with_the_array_api_alone():
    strict = pytest.importorskip("array_api_strict")
    for function in (special.log_gamma, special.digamma, special.log_gamma_half_step, special.digamma_half_step):
        np.testing.assert_array_equal(np.asarray(function(strict, strict.asarray(POINTS))), function(np, POINTS))
