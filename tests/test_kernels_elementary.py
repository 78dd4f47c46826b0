"""The compiled exponential, logarithm and their relatives: how far they are from the exact values, everywhere.

Errors are in units in the last place (ulp) of the exact result. float32 is held against NumPy's float64, whose own
error is some 2^-29 of that unit; float64 against decimal arithmetic.
"""

import math
from decimal import Decimal

import exact
import numpy as np
import pytest
from compiled import DTYPES, FUNCTIONS, Guarded, bits, function

#: The largest error of a function, in ulp: what was measured is a quarter less.
LIMIT = {
    "exp": 1.5,
    "expm1": 2.0,
    "log": 2.5,
    "log1p_of_fraction": 2.5,
    "tanh": 3.0,
    "sigmoid": 3.0,
    "softplus": 3.5,
    "sine_of_turns": 2.5,
    "cosine_of_turns": 2.5,
}
#: The same functions in float64 arithmetic, where that is exact enough for float32.
WIDE = {
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p_of_fraction": np.log1p,
    "tanh": np.tanh,
    "sigmoid": lambda x: np.exp(-np.logaddexp(0.0, -x)),
    "softplus": lambda x: np.logaddexp(0.0, x),
    "sine_of_turns": lambda u: np.sin(2 * math.pi * u),
    "cosine_of_turns": lambda u: np.cos(2 * math.pi * u),
}
EXACT = {
    "exp": exact.exp,
    "expm1": exact.expm1,
    "log": exact.log,
    "log1p_of_fraction": exact.log1p,
    "tanh": exact.tanh,
    "sigmoid": exact.sigmoid,
    "softplus": exact.softplus,
    "sine_of_turns": exact.sine_of_turns,
    "cosine_of_turns": exact.cosine_of_turns,
}


def inside(name, x):
    """Those of the numbers for which the function is made."""
    x = x[~np.isnan(x)]
    if name == "log":
        return x[(x >= np.finfo(x.dtype).tiny) & np.isfinite(x)]
    if name == "log1p_of_fraction":
        return x[(x >= 0) & (x <= 1)]
    if name.endswith("of_turns"):
        # Multiples of a quarter have a test of their own.
        return x[(x > 0) & (x < 1) & (x != 0.25) & (x != 0.5) & (x != 0.75)]
    return x


def any_bits(generator, dtype, count):
    """Numbers of every size, among them denormal ones, infinities and NaN: random bit patterns."""
    size = np.dtype(dtype).itemsize
    return np.frombuffer(generator.bytes(count * size), dtype)


def points(name, dtype, count):
    """Numbers close together where the function bends, and from its whole range; beyond it, too."""
    generator = np.random.default_rng(11)
    edge = float(np.log(np.finfo(dtype).max))
    parts = [
        np.linspace(low, high, count, dtype=dtype)
        for low, high in [
            (-1e-3, 1e-3),
            (0.0, 1.0),
            (-3.0, 3.0),
            (-20.0, 20.0),
            (-1.1 * edge, 1.1 * edge),
            (-1.2 * edge, -0.95 * edge),
        ]
    ]
    # A range reduction is at its worst where one range meets the next.
    turns = np.arange(-60, 60) + 0.5
    for start in (turns * math.log(2.0), np.sqrt(2.0) * 2.0 ** turns[40:80], [math.sqrt(2.0) - 1.0], [0.125, 0.375]):
        near = np.repeat(np.asarray(start, dtype), max(1, count // 100))
        parts.append(near * (1 + np.finfo(dtype).eps * generator.integers(-9, 9, near.size).astype(dtype)))
    x = inside(name, np.concatenate([*parts, any_bits(generator, dtype, count)]).astype(dtype))
    assert x.size >= count // 4
    return x


@pytest.mark.parametrize("name", FUNCTIONS)
def test_float32_everywhere(name):
    x = points(name, np.float32, 2**18)
    with np.errstate(all="ignore"):
        wide = WIDE[name](x.astype(np.float64))
        rounded = wide.astype(np.float32)
    found = function(name, x)
    np.testing.assert_array_equal(np.isinf(found), np.isinf(rounded))
    finite = np.isfinite(rounded)
    unit = np.spacing(np.abs(rounded[finite])).astype(np.float64)
    errors = np.abs(found[finite].astype(np.float64) - wide[finite]) / unit
    worst = int(np.argmax(errors))
    assert errors[worst] <= LIMIT[name], f"{name}({x[finite][worst]!r}) is {errors[worst]:.2f} ulp off"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_float64_against_decimals(name):
    x = points(name, np.float64, 60)
    found = function(name, x)
    overflow = Decimal(float(np.finfo(np.float64).max))
    for value, result in zip(x.tolist(), found.tolist(), strict=True):
        if math.isinf(value):
            continue
        wanted = EXACT[name](value)
        if wanted > overflow:
            assert result == math.inf, value
        else:
            error = exact.distance(result, wanted, np.float64)
            assert error <= LIMIT[name], f"{name}({value!r}) is {error:.2f} ulp off"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_two_oracles_agree(name):
    """Of each other they know nothing, so neither is mistaken."""
    x = points(name, np.float64, 20)
    x = x[np.abs(x) < 300]
    for value, wide in zip(x.tolist(), WIDE[name](x).tolist(), strict=True):
        assert wide == pytest.approx(float(EXACT[name](value)), rel=1e-13, abs=1e-15), value


@pytest.mark.parametrize("dtype", DTYPES)
def test_series_are_cut_where_the_next_term_is_below_a_quarter_of_the_rounding(dtype):
    """The next term beside the first one, at the end of the range to which the argument is brought."""
    pytest.importorskip("numba")
    from npvae.kernels.cpu.elementary import TERMS

    terms, quarter = TERMS[dtype], np.finfo(dtype).eps / 8
    assert (math.log(2) / 2) ** terms["expm1"] / math.factorial(terms["expm1"] + 1) < quarter
    largest = (math.sqrt(2) - 1) / (math.sqrt(2) + 1)
    assert largest ** (2 * terms["artanh"]) / (2 * terms["artanh"] + 1) < quarter
    assert (math.pi / 4) ** (2 * terms["sine"]) / math.factorial(2 * terms["sine"]) / math.cos(math.pi / 4) < quarter


# Where nothing is rounded


VALUES = {
    "exp": [(-math.inf, 0.0), (math.inf, math.inf), (0.0, 1.0), (-0.0, 1.0)],
    "expm1": [(-math.inf, -1.0), (math.inf, math.inf), (0.0, 0.0)],
    "log": [(1.0, 0.0)],
    "log1p_of_fraction": [(0.0, 0.0), (1.0, math.log(2.0))],
    "tanh": [(-math.inf, -1.0), (math.inf, 1.0), (0.0, 0.0), (-0.0, -0.0), (100.0, 1.0), (-100.0, -1.0)],
    "sigmoid": [(-math.inf, 0.0), (math.inf, 1.0), (0.0, 0.5), (-0.0, 0.5)],
    "softplus": [(-math.inf, 0.0), (math.inf, math.inf), (0.0, math.log(2.0))],
    "sine_of_turns": [(0.0, 0.0), (0.25, 1.0), (0.5, 0.0), (0.75, -1.0), (1.0, 0.0)],
    "cosine_of_turns": [(0.0, 1.0), (0.25, 0.0), (0.5, -1.0), (0.75, 0.0), (1.0, 1.0)],
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_that_are_known(name, dtype):
    """At every place of a vector, and alone."""
    for value, wanted in VALUES[name]:
        for count in (1, 37):
            found = function(name, np.full(count, value, dtype))
            np.testing.assert_array_equal(found, np.full(count, wanted, dtype), f"{name}({value})")
    signed = function("tanh", np.array([-0.0, 0.0], dtype))
    assert np.signbit(signed).tolist() == [True, False]


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - {"log"}))  # which is for normal numbers alone
def test_nan_is_kept(name, dtype):
    x = np.full(37, 0.25, dtype)
    x[[0, 20, 36]] = np.nan, -np.nan, np.nan
    assert np.flatnonzero(np.isnan(function(name, x))).tolist() == [0, 20, 36]


def test_exp_goes_to_infinity_and_to_the_denormals_where_it_should(dtype):
    info = np.finfo(dtype)
    largest = np.nextafter(np.array(math.log(float(info.max)), dtype), dtype.type(0))
    x = np.array([largest, float(largest) * (1 + 1e-6)], dtype)
    found = function("exp", x)
    assert np.isfinite(found[0]) and found[0] > 0.99 * info.max and found[1] == np.inf
    # Through all the denormal numbers down to the smallest, and to nothing.
    exponents = np.arange(info.minexp + 1, info.minexp - info.nmant - 3, -1)
    x = (exponents * math.log(2.0)).astype(dtype)
    found = function("exp", x)
    for value, result in zip(x.tolist(), found.tolist(), strict=True):
        assert exact.distance(result, exact.exp(value), dtype) <= 1.0
    assert 0 < found[-4] < info.tiny and found[-1] == 0.0


def test_small_numbers_lose_nothing(dtype):
    """f(x) = x to the last digit for a tiny x, where 1 + x is 1."""
    tiny = np.array([1e-30, 1e-25, 3e-18], dtype)
    for name in ("expm1", "log1p_of_fraction", "tanh"):
        np.testing.assert_array_max_ulp(function(name, tiny), tiny, 1)


# The loop


@pytest.mark.parametrize("name", FUNCTIONS)
def test_any_length_gives_the_same_bits(name, dtype):
    """Whole vectors and the numbers that are left over go by the same arithmetic; nothing else is written."""
    x = np.random.default_rng(5).random(40).astype(dtype) * dtype.type(0.9) + dtype.type(0.05)
    whole = function(name, x)
    for start in (0, 1):  # aligned or not
        for length in range(41 - start):
            out = Guarded(1, length, dtype, shift=start)
            function(name, x[start : start + length], out.array[0])
            np.testing.assert_array_equal(bits(out.array[0]), bits(whole[start : start + length]))
            assert out.intact()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_output_may_be_the_input(name, dtype):
    x = np.random.default_rng(6).random(37).astype(dtype)
    wanted = function(name, x)
    function(name, x, x)
    np.testing.assert_array_equal(bits(x), bits(wanted))


def test_both_dtypes_are_compiled():
    assert {function("exp", np.zeros(1, dtype)).dtype.name for dtype in DTYPES} == {"float32", "float64"}
