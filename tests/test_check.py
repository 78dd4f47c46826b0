"""Checks on arguments: what passes, and what the messages say."""

import math
from fractions import Fraction

import numpy as np
import pytest

from npvae.errors import InputError, InputTypeError, NonFiniteError, UnknownNameError
from npvae.support import check


def test_same_shape_names_the_one_that_differs():
    a = np.zeros((2, 3))
    check.same_shape(a=a)
    check.same_shape(a=a, b=a, c=np.ones((2, 3)))
    with pytest.raises(InputError, match=r"^c has shape \(3, 2\), but a has shape \(2, 3\); they must be equal$"):
        check.same_shape(a=a, b=a, c=a.T)
    with pytest.raises(InputTypeError, match="^b has dtype float32, but a has dtype float64; they must be equal$"):
        check.same_shape(a=a, b=a.astype(np.float32))


def test_matrix():
    check.matrix("x", np.zeros((0, 3)))
    check.matrix("x", np.zeros((2, 3)), 3)
    with pytest.raises(InputError, match=r"^x must have shape \(rows, columns\), got \(3,\)$"):
        check.matrix("x", np.zeros(3))
    with pytest.raises(InputError, match=r"^x must have shape \(rows, 4\), got \(2, 3\)$"):
        check.matrix("x", np.zeros((2, 3)), 4)
    with pytest.raises(InputError):
        check.matrix("x", np.zeros((2, 3, 1)), 3)


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3)])
def test_whole_numbers(value):
    result = check.whole_number("n", value, 3)
    assert result == 3 and type(result) is int


@pytest.mark.parametrize("value", [3.0, "3", True, np.bool_(True), None, Fraction(3, 1), np.array(3)])
def test_what_is_no_whole_number(value):
    with pytest.raises(InputTypeError, match="^n must be a whole number, got .* of type"):
        check.whole_number("n", value)


def test_whole_numbers_have_a_minimum():
    assert check.whole_number("n", 0) == 0
    with pytest.raises(InputError, match="^n must be at least 0, got -1$"):
        check.whole_number("n", -1)
    with pytest.raises(InputError, match="^n must be at least 5, got 4$"):
        check.whole_number("n", 4, 5)


@pytest.mark.parametrize("value", [2, 2.0, np.float32(2), np.int8(2), Fraction(2)])
def test_real_numbers(value):
    result = check.real_number("r", value, above=1, minimum=2, below=3, maximum=2)
    assert result == 2.0 and type(result) is float


@pytest.mark.parametrize(
    "bounds, value, words",
    [
        ({}, math.inf, "finite"),
        ({}, math.nan, "finite"),
        ({"above": 0.0}, 0.0, "finite and above 0"),
        ({"minimum": 0.5}, 0.25, "finite and at least 0.5"),
        ({"below": 1.0}, 1.0, "finite and below 1"),
        ({"maximum": 1.0}, 1.5, "finite and at most 1"),
        ({"minimum": 0.0, "below": 1.0}, -1, "at least 0 and below 1"),
        ({"above": 0.0, "maximum": 1.0}, math.nan, "above 0 and at most 1"),
    ],
)
def test_real_numbers_out_of_bounds(bounds, value, words):
    with pytest.raises(InputError, match=f"^r must be .*{words}, got "):
        check.real_number("r", value, **bounds)


@pytest.mark.parametrize("value", ["1", None, True, 1j, [1.0]])
def test_what_is_no_real_number(value):
    with pytest.raises(InputTypeError, match="^r must be a number, got"):
        check.real_number("r", value)


def test_one_of():
    assert check.one_of("colour", "red", ("red", "green")) == "red"
    for value in ("blue", None, 3, ["red"]):
        with pytest.raises(UnknownNameError, match="^unknown colour .*; known: 'red', 'green'$"):
            check.one_of("colour", value, ("red", "green"))


def test_errors_are_the_built_in_ones_too():
    for ours, builtin in [(InputError, ValueError), (InputTypeError, TypeError), (UnknownNameError, ValueError)]:
        assert issubclass(ours, builtin)


def test_at_most():
    assert check.at_most("n", 5, 5, "so many there are") == 5 and check.at_most("n", -1, 5, "so many there are") == -1
    with pytest.raises(InputError, match=r"^n must be at most 5 \(so many there are\), got 6$"):
        check.at_most("n", 6, 5, "so many there are")


def test_true_or_false():
    assert check.true_or_false("flag", True) is True and check.true_or_false("flag", False) is False
    for wrong in (1, 0, None, "true", np.bool_(True)):
        with pytest.raises(InputTypeError, match="^flag must be True or False, got .* of type"):
            check.true_or_false("flag", wrong)


def test_results_are_finite_or_perhaps_infinite():
    fine, infinite, wrong = np.ones(3), np.array([1.0, np.inf, -np.inf]), np.array([1.0, np.nan])
    assert check.finite_result("it", fine) is fine and check.finite_result("it", fine, 2 * fine) is fine
    assert check.finite_result("it", fine, infinite, infinite=True) is fine
    for arrays, how in (
        ((infinite,), {}),
        ((fine, infinite), {}),
        ((wrong, fine), {}),
        ((fine, wrong), {"infinite": True}),
        ((infinite, wrong), {"infinite": True}),
    ):
        with pytest.raises(
            NonFiniteError, match="^it would not be finite: the model's parameters are too large, or the data"
        ):
            check.finite_result("it", *arrays, **how)


def test_dtypes_are_compared_by_name():
    check.same_dtype("a", np.ones(1), "b", np.zeros(3))
    with pytest.raises(InputTypeError, match="^b has dtype int64, but a has dtype float64; they must be equal$"):
        check.same_dtype("a", np.ones(1), "b", np.zeros(3, np.int64))
