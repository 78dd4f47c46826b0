"""The gradient checker itself: it passes what is right, and fails what is wrong in the ways that happen."""

import math

import gpu_backends
import numpy as np
import pytest

from npvae.backend.base import Ops
from npvae.errors import GradientCheckError, GradientCheckWarning, InputError, InputTypeError, KinkError
from npvae.gradcheck import own_gradients
from npvae.gradcheck.checker import check_gradient, numerical_gradient
from npvae.gradcheck.finite_differences import derivative
from npvae.mathematics import likelihoods
from npvae.mathematics.layers import activations


def product(x, W):
    """x W and its right gradients."""
    return x @ W, lambda dy: (dy @ W.T, x.T @ dy)


def arrays(rng, rows=4, columns=3):
    """x and a square W: a transposed gradient then has the right shape."""
    return [rng.standard_normal((rows, columns)), rng.standard_normal((columns, columns))]


# What is right


def test_a_right_gradient_passes_in_every_form(rng):
    x, W = arrays(rng)
    check_gradient(product, [x, W])
    check_gradient(lambda x, W: x @ W, [x, W], lambda dy, x, W: (dy @ W.T, x.T @ dy))
    check_gradient(lambda x: (float(np.sum(x**3)), 3 * x**2), [x])
    check_gradient(lambda x, W: (np.sum(x) * np.sum(W**2), [np.full(x.shape, np.sum(W**2)), 2 * W * x.sum()]), [x, W])


def test_tuples_of_outputs(rng):
    a, b = rng.standard_normal((2, 3))

    def function(a, b):
        return (a * b, np.sum(a**2)), lambda u, v: (u * b + 2 * v * a, u * a)

    assert check_gradient(function, [a, b]).passed
    assert check_gradient(
        lambda a, b: (a * b, np.sum(a**2)), [a, b], lambda u, a, b: (u[0] * b + 2 * u[1] * a, u[0] * a)
    ).passed
    with pytest.raises(GradientCheckError):  # the second output's part left out
        check_gradient(lambda a, b: ((a * b, np.sum(a**2)), lambda u, v: (u * b, u * a)), [a, b])


def test_an_input_without_gradient_is_left_out(rng):
    x, W = arrays(rng)
    report = check_gradient(lambda x, W: (x @ W, lambda dy: (None, x.T @ dy)), [x, W])
    assert [row.name for row in report.rows] == ["W"]


def test_numbers_without_axes_and_empty_arrays(rng):
    assert check_gradient(lambda t: (t * t, lambda u: 2 * t * u), [1.5]).rows[0].shape == ()
    assert check_gradient(lambda t: (np.sum(t), np.ones(t.shape)), [np.zeros((0, 3))]).passed
    assert check_gradient(lambda t: (t * t, lambda u: 2 * t * u), [rng.random(3).astype(np.float32)]).passed


def test_names(rng):
    x, W = arrays(rng)
    assert [row.name for row in check_gradient(product, [x, W]).rows] == ["x", "W"]
    assert [row.name for row in check_gradient(product, [x, W], names=["data", "weights"]).rows] == ["data", "weights"]
    assert [row.name for row in check_gradient(lambda *both: product(*both), [x, W]).rows] == ["input 0", "input 1"]
    with pytest.raises(InputError, match="names has 1 entries for 2 inputs"):
        check_gradient(product, [x, W], names=["data"])


def test_the_report(rng):
    report = check_gradient(product, arrays(rng))
    assert report.passed and report.worst.error <= 1e-6 and report.rtol == 1e-6
    lines = str(report).splitlines()
    assert len(lines) == 2 and all(" ok " in line for line in lines) and "12 elements" in lines[0]
    large = check_gradient(lambda x: (np.sum(x**2), 2 * x), [rng.standard_normal((20, 30))])
    assert large.rows[0].checked == "6 directions, 12 elements"


def test_right_gradients_of_very_different_sizes_pass(rng):
    for scale in (1e-12, 1e-4, 1e4, 1e12):
        check_gradient(lambda x, scale=scale: (scale * np.sin(x), lambda u: scale * u * np.cos(x)), [rng.random(9)])
    # Elements that are exactly zero among others, and a gradient that is zero everywhere.
    check_gradient(lambda x: (x[0] ** 2, np.array([2 * x[0], 0.0, 0.0])), [rng.random(3)])
    check_gradient(lambda x: (3.0 + 0.0 * np.sum(x), np.zeros(3)), [rng.random(3)])


def test_inputs_are_not_modified_and_the_check_repeats(rng):
    x, W = arrays(rng)
    before = x.copy(), W.copy()
    first, second = (str(check_gradient(product, [x, W], seed=4)) for _ in range(2))
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(W, before[1])
    assert first == second


# What is wrong

WRONG = {
    "a factor of 1.001": lambda dy, x, W: (dy @ W.T, 1.001 * (x.T @ dy)),
    "a wrong sign": lambda dy, x, W: (-dy @ W.T, x.T @ dy),
    "the upstream gradient forgotten": lambda dy, x, W: (np.ones_like(dy) @ W.T, x.T @ np.ones_like(dy)),
    "a transposed weight": lambda dy, x, W: (dy @ W, x.T @ dy),
    "a transposed gradient": lambda dy, x, W: (dy @ W.T, (x.T @ dy).T),
    "half": lambda dy, x, W: (dy @ W.T, 0.5 * (x.T @ dy)),
    "one element": lambda dy, x, W: (dy @ W.T, x.T @ dy + 1e-5 * np.eye(len(W), k=2)),
    "zero": lambda dy, x, W: (dy @ W.T, np.zeros_like(W)),
    "not a number": lambda dy, x, W: (dy @ W.T, np.full_like(W, np.nan)),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_gradient_fails(rng, wrong):
    x, W = arrays(rng)
    report = check_gradient(lambda x, W: x @ W, [x, W], WRONG[wrong], raise_on_failure=False)
    assert not report.passed and report.worst.error > 1e-6
    with pytest.raises(GradientCheckError):
        check_gradient(lambda x, W: x @ W, [x, W], WRONG[wrong])


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_gradient_of_a_large_tensor_fails(rng, wrong):
    x, W = arrays(rng, rows=5, columns=30)
    with pytest.raises(GradientCheckError):
        check_gradient(lambda x, W: np.sin(x @ W), [x, W], lambda dy, x, W: WRONG[wrong](dy * np.cos(x @ W), x, W))


def test_one_wrong_row_of_a_large_tensor_fails(rng):
    x = rng.standard_normal((300, 4))

    def wrong(x):
        gradient = 3 * x**2
        gradient[17] *= 1.05
        return float(np.sum(x**3)), gradient

    report = check_gradient(wrong, [x], raise_on_failure=False)
    assert not report.passed and report.worst.where.startswith("direction")


@pytest.mark.parametrize("scale", [1e-12, 1e-4, 1e4, 1e12])
def test_a_wrong_gradient_fails_whatever_its_size(rng, scale):
    """No absolute tolerance: under one, no gradient below it would ever be tested."""
    with pytest.raises(GradientCheckError):
        check_gradient(lambda x: (scale * np.sin(x), lambda u: 1.001 * scale * u * np.cos(x)), [rng.random(9)])


def test_a_large_tensor_is_moved_in_every_direction_and_at_different_elements(rng):
    x = rng.standard_normal((20, 30))
    elements, whole = set(), set()

    def function(moved):
        difference = moved - x
        if np.count_nonzero(difference) == 1:
            elements.add(int(np.flatnonzero(difference)[0]))
        elif difference.any():
            assert difference.all()
            whole.add(np.sign(difference * difference[0, 0]).tobytes())
        return float(np.sum(moved**2)), 2 * moved

    check_gradient(function, [x])
    assert len(elements) == 12 and len(whole) == 6


def test_swapped_gradients_fail(rng):
    a, b = rng.standard_normal((2, 3))
    with pytest.raises(GradientCheckError):
        check_gradient(lambda a, b: (a * b * b, lambda u: (2 * u * a * b, u * b * b)), [a, b])


def test_a_factor_within_the_tolerance_passes_and_beyond_it_fails(rng):
    def off_by(factor):
        return lambda x: (np.exp(x), lambda u: factor * u * np.exp(x))

    x = rng.standard_normal(5)
    assert check_gradient(off_by(1 + 1e-7), [x], rtol=1e-6).passed
    assert not check_gradient(off_by(1 + 1e-5), [x], rtol=1e-6, raise_on_failure=False).passed
    assert check_gradient(off_by(1 + 1e-5), [x], rtol=1e-4).passed


def test_the_message_names_tensor_index_and_both_numbers():
    def wrong(a, weights):
        return float(np.sum(a * weights)), (weights, a + np.array([0.0, 0.0, 1.0]))

    with pytest.raises(GradientCheckError, match="wrong gradient") as caught:
        check_gradient(wrong, [np.array([1.0, 2.0, 4.0]), np.array([0.5, 0.25, 8.0])])
    message = str(caught.value)
    last = message.splitlines()[-1]
    assert len(message.splitlines()) == 2 and last.startswith("weights") and "FAIL" in last
    index, analytic, numeric = last.split("  ")[-1].replace("and", ":").split(":")
    assert index.strip().endswith("[2]")
    assert float(analytic) == 5.0 and float(numeric) == pytest.approx(4.0, rel=1e-9)
    assert caught.value.report.worst.name == "weights"


# What cannot be checked


def test_a_kink_at_the_point_is_refused_by_name():
    with pytest.raises(
        KinkError, match=r"no derivative found at x\[1, 0\]: the slope is -1 to the left and 1 to the right"
    ):
        check_gradient(lambda x: (float(np.abs(x).sum()), np.sign(x)), [np.array([[1.0], [0.0]])])
    with pytest.raises(KinkError, match=r"bias\[0\]: the slope is 0 to the left and 1 to the right"):
        check_gradient(lambda bias: (float(np.maximum(bias, 0).sum()), 1.0 * (bias > 0)), [np.zeros(1)])
    with pytest.raises(KinkError):
        check_gradient(lambda x: (np.abs(x), lambda u: u * np.sign(x)), [np.zeros(2)])
    with pytest.raises(KinkError):
        numerical_gradient(np.abs, [np.zeros(2)])


def test_a_kink_near_the_point_is_stepped_around():
    x = np.array([3e-5, -3e-5, 1.0])
    report = check_gradient(lambda x: (np.maximum(x, 0), lambda u: u * (x > 0)), [x])
    assert report.passed
    np.testing.assert_allclose(numerical_gradient(lambda x: np.maximum(x, 0), [x])[0], [1, 0, 1], atol=1e-9)


def test_a_noisy_function_is_refused(rng):
    with pytest.raises(InputError, match="different results for the same inputs"):
        check_gradient(lambda x: (np.sum(x**2) + 1e-3 * rng.standard_normal(), 2 * x), [np.ones(3)])
    with pytest.raises(InputError, match="output is float32"):
        check_gradient(lambda x: ((x**2).astype("float32"), lambda u: 2 * x * u), [np.ones(3)])
    with pytest.raises(InputError, match="output is empty"):
        check_gradient(lambda x: (x[:0], lambda u: 0 * x), [np.ones(3)])


# Backward passes that work in place


def square_into_upstream(x):
    def backward(u):
        u *= 2 * x
        return u

    return x * x, backward


def square_into_input(x):
    def backward(u):
        return np.multiply(2 * u, x, out=x)

    return x * x, backward


def exp_into_output(x):
    y = np.exp(x)

    def backward(u):
        y[...] *= u
        return y

    return y, backward


def square_into_saved(x):
    slope = 2 * x

    def backward(u):
        nonlocal slope
        slope = slope * u
        return slope

    return x * x, backward


def product_into_both(x, W):
    """The gradient of x in its own memory, after that of W has used it; the output is a view of a third array."""
    y = np.concatenate([x @ W, x @ W])[: len(x)]

    def backward(u):
        dW = x.T @ u
        x[...] = u @ W.T
        y[...] = 0.0
        return x, dW

    return y, backward


def flat_view(x):
    """The output is a view of the input, and the gradient the upstream itself."""
    return x.reshape(-1), lambda u: u.reshape(x.shape)


IN_PLACE = [
    (square_into_upstream, 1, ["in place: the upstream gradient"]),
    (square_into_input, 1, ["in place: x", "a second call"]),
    (exp_into_output, 1, ["in place: the output", "a second call"]),
    (square_into_saved, 1, ["a second call"]),
    (product_into_both, 2, ["in place: x, the output", "a second call"]),
]


@pytest.mark.parametrize(("function", "inputs", "words"), IN_PLACE)
def test_a_backward_that_works_in_place_is_right_and_said_to_do_so(rng, function, inputs, words):
    given = arrays(rng)[:inputs]
    before = [x.copy() for x in given]
    with pytest.warns(GradientCheckWarning) as caught:
        report = check_gradient(function, given)
    assert report.passed and len(report.notes) == len(words) == len(caught)
    assert all(word in note for word, note in zip(words, report.notes, strict=True))
    assert str(report).splitlines()[inputs:] == [f"note: {note}" for note in report.notes]
    assert all(map(np.array_equal, given, before))


@pytest.mark.parametrize(("function", "inputs", "words"), IN_PLACE)
def test_a_wrong_backward_that_works_in_place_is_wrong(rng, function, inputs, words):
    def wrong(*given):
        output, backward = function(*given)

        def wrong_backward(u):
            gradients = backward(u)
            return tuple(1.001 * g for g in gradients) if isinstance(gradients, tuple) else 1.001 * gradients

        return output, wrong_backward

    with pytest.raises(GradientCheckError, match=f"note: backward [^\n]*{words[0]}"):
        check_gradient(wrong, arrays(rng)[:inputs], names=["x", "W"][:inputs])


def test_a_backward_given_apart_may_work_in_place_too(rng):
    def in_place(u, x, W):
        dW = x.T @ u
        x[...] = u @ W.T
        return x, dW

    with pytest.warns(GradientCheckWarning, match="in place: x"):
        assert check_gradient(lambda x, W: x @ W, arrays(rng), in_place).passed


@pytest.mark.parametrize("factor", [0.5, 2.0, -1.0])
def test_a_gradient_that_is_right_only_where_backward_moved_the_input_to_is_wrong(rng, factor):
    """The gradient of x^2 at factor x, where backward leaves x."""

    def moved(x):
        def backward(u):
            x[...] = factor * x
            return 2 * x * u

        return x * x, backward

    def moved_apart(u, x):
        x *= factor
        return 2 * x * u

    x = rng.standard_normal(3)
    for arguments in ((moved, [x]), (lambda x: x * x, [x], moved_apart)):
        with pytest.raises(GradientCheckError):
            check_gradient(*arguments)


def test_views_and_shared_buffers(rng):
    x = rng.standard_normal((2, 3))
    assert check_gradient(flat_view, [x]).notes == ()
    assert check_gradient(lambda x: (x, lambda u: u), [x]).notes == ()
    output, gradient = np.empty((2, 3)), np.empty((2, 3))  # written to anew at every call

    def into_buffers(x):
        np.sin(x, out=output)

        def backward(u):
            return np.multiply(u, np.cos(x), out=gradient)

        return output, backward

    assert check_gradient(into_buffers, [x]).notes == ()

    def one_buffer_for_two(a, b):
        def backward(u):
            np.multiply(u, b, out=gradient)
            return gradient, np.multiply(u, a, out=gradient)

        return a * b, backward

    with pytest.raises(GradientCheckError, match="FAIL"):
        check_gradient(one_buffer_for_two, [x, x + 1.0])

    def noisy_buffer(x):
        np.add(np.sin(x), 1e-3 * rng.standard_normal(x.shape), out=output)
        return output, lambda u: u * np.cos(x)

    with pytest.raises(InputError, match="different results for the same inputs"):
        check_gradient(noisy_buffer, [x])


def test_a_backward_that_adds_to_what_it_left_is_refused(rng):
    total = np.zeros(3)

    def square(x):
        def backward(u):
            nonlocal total
            total += 2 * x * u
            return total

        return x * x, backward

    with pytest.raises(InputError, match="the gradient of x is another one when function and backward run again"):
        check_gradient(square, [rng.standard_normal(3)])


def test_a_backward_that_refuses_a_second_call_is_left_alone(rng):
    def once(x):
        saved = [2 * x]
        return x * x, lambda u: u * saved.pop()

    assert check_gradient(once, [rng.standard_normal(3)]).notes == ()


# Labels and indices


def cross_entropy(logits, labels):
    assert labels.dtype == np.int32
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    rows = np.arange(len(labels))

    def backward(u):
        residual = p.copy()
        residual[rows, labels] -= 1.0
        return u * residual / len(labels)

    return -np.log(p[rows, labels]).mean(), backward


@pytest.mark.parametrize("of_labels", ["none", "left out", "zeros"])
def test_labels_stay_whole_numbers_and_have_no_gradient(rng, of_labels):
    given = [rng.standard_normal((4, 3)), np.array([0, 2, 1, 1], np.int32)]

    def function(logits, labels):
        value, backward = cross_entropy(logits, labels)
        more = {"none": (None,), "left out": (), "zeros": (np.zeros(4),)}[of_labels]
        return value, lambda u: (backward(u), *more)

    report = check_gradient(function, given)
    assert [row.name for row in report.rows] == ["logits"] and report.rows[0].checked == "12 elements"
    with pytest.raises(GradientCheckError):
        check_gradient(lambda logits, labels: (cross_entropy(logits, labels)[0], lambda u: (0 * logits, None)), given)


def test_masks_indices_and_plain_numbers_are_passed_on(rng):
    table = rng.standard_normal((5, 2))

    def look_up(places, table, mask, power):
        assert mask.dtype == bool and mask.shape == (3,) and list(range(power)) == [0, 1, 2]
        rows = table[places] ** power * mask[:, None]

        def backward(u):
            gradient = np.zeros_like(table)
            np.add.at(gradient, places, u * power * table[places] ** (power - 1) * mask[:, None])
            return None, gradient, None, None

        return rows, backward

    assert check_gradient(look_up, [[4, 0, 4], table, [True, True, False], 3]).passed
    found = numerical_gradient(lambda places, table: table[places], [[4, 0, 4], table])
    assert found[0] is None
    np.testing.assert_allclose(found[1], np.array([1, 0, 0, 0, 2.0])[:, None] * np.ones(2), atol=1e-9)


def test_a_gradient_of_whole_numbers_is_refused(rng):
    with pytest.raises(InputError, match="backward gives a gradient for t, which holds int64 numbers"):
        check_gradient(lambda x, t: (x * t, lambda u: (u * t, u * x)), [rng.standard_normal(2), np.array([3, -2])])
    for function in (check_gradient, numerical_gradient):
        with pytest.raises(InputError, match="every input holds whole numbers or booleans"):
            function(lambda t: (t * t, lambda u: 2 * t * u), [np.array([3, -2])])


def test_huge_values_hide_nothing():
    """The root mean square of 1e154 overflows if it is formed naively, and every error is then 0."""
    with pytest.raises(GradientCheckError):
        check_gradient(lambda x: (1e155 * x**2, lambda u: 3e155 * x * u), [np.arange(1.0, 4.0)])
    with pytest.raises(GradientCheckError):
        check_gradient(lambda x: (np.exp(x), lambda u: -u * np.exp(x)), [np.array([1.0, 400.0])])


def test_tiny_scales_are_resolved_or_refused_but_never_called_wrong():
    assert check_gradient(lambda x: (np.sin(x / 1e-6), lambda u: u * np.cos(x / 1e-6) / 1e-6), [np.zeros(1)]).passed
    with pytest.raises((KinkError, InputError)):
        check_gradient(lambda x: (np.sin(x / 1e-12), lambda u: u * np.cos(x / 1e-12) / 1e-12), [np.array([0.3])])
    for arguments in ({}, {"step": 1e-20}):
        with pytest.raises((GradientCheckError, InputError)):
            check_gradient(lambda x: (x**2, lambda u: 3 * x * u), [np.array([1.0, 2.0]) * 1e-6], **arguments)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_function_that_is_not_finite_is_refused(bad):
    with pytest.raises(InputError, match=r"not finite within 1e-10 of x\[0\]"):
        check_gradient(lambda x: (float(np.where(x[0] > 1.0, bad, x[0])), np.ones(1)), [np.ones(1)])


def test_bad_arguments(rng):
    x, W = arrays(rng)
    with pytest.raises(InputError, match=r"a gradient has shape \(3, 4\), its input \(4, 3\)"):
        check_gradient(lambda x, W: (x @ W, lambda dy: ((dy @ W.T).T, x.T @ dy)), [x, W])
    with pytest.raises(InputError, match="backward returned 1 gradients for 2 inputs"):
        check_gradient(lambda x, W: (x @ W, lambda dy: dy @ W.T), [x, W])
    with pytest.raises(InputError, match="must return a scalar value"):
        check_gradient(lambda x: (x, np.ones(x.shape)), [x])
    with pytest.raises(InputTypeError, match=r"must return \(output, backward\), or backward must be given"):
        check_gradient(lambda x: x, [x])
    with pytest.raises(InputTypeError, match="input 1 must hold real numbers, got dtype <U5"):
        check_gradient(product, [x, "words"])
    with pytest.raises(InputTypeError, match="input 0 must hold real numbers, got dtype complex128"):
        check_gradient(product, [x + 1j, W])
    with pytest.raises(InputError, match="input 1 holds NaN or infinity"):
        check_gradient(product, [x, np.full((3, 3), np.nan)])
    with pytest.raises(InputError, match=r"upstream has shapes \[\(2,\)\], the output \[\(3,\)\]"):
        numerical_gradient(np.exp, [np.zeros(3)], np.zeros(2))


# The differences themselves


def test_numerical_gradient_of_closed_forms(rng):
    x = rng.standard_normal((2, 3))
    np.testing.assert_allclose(numerical_gradient(np.exp, [x])[0], np.exp(x), rtol=1e-9)
    np.testing.assert_allclose(numerical_gradient(lambda x: x**3, [x])[0], 3 * x**2, rtol=1e-8, atol=1e-9)
    upstream = rng.standard_normal((2, 3))
    np.testing.assert_allclose(numerical_gradient(np.exp, [x], upstream)[0], upstream * np.exp(x), rtol=1e-9)
    x, W = arrays(rng)
    upstream = rng.standard_normal((4, 3))
    dx, dW = numerical_gradient(lambda x, W: x @ W, [x, W], upstream)
    np.testing.assert_allclose(dx, upstream @ W.T, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(dW, x.T @ upstream, rtol=1e-8, atol=1e-9)
    a, b = numerical_gradient(lambda a, b: (a * b, a), [2.0, 5.0], (3.0, 7.0))
    assert a.shape == b.shape == () and a == pytest.approx(22.0) and b == pytest.approx(6.0)


@pytest.mark.parametrize(
    "f, slope",
    [
        (math.exp, 1.0),
        (lambda t: math.sin(1 + t), math.cos(1.0)),
        (lambda t: (2 + t) ** 5, 80.0),
        (lambda t: 1e8 + t, 1.0),
        (lambda t: 1 / (1 + t), -1.0),
        (lambda t: 4.0, 0.0),
    ],
)
def test_derivative_is_as_good_as_it_says(f, slope):
    found = derivative(f, 1e-3, 1e-7, 1.0, "t")
    # Richardson's step leaves h^4 f^(5) / 480: below 1e-12 for these.
    assert abs(found.estimate - slope) <= 1e-11 * max(1.0, abs(slope)) + found.rounding
    assert found.step == 1e-3


def test_the_extrapolation_removes_the_cubic_term():
    found = derivative(lambda t: t + t**3 / 6, 0.5, 1.0, 1.0, "t")
    assert found.estimate == pytest.approx(1.0, rel=1e-14)


def test_kinks_on_both_sides_of_the_point_are_stepped_around():
    """A flat place between two equal slopes: odd about the point, so that only the two slopes tell."""
    found = derivative(lambda t: math.copysign(max(abs(t) - 7.5e-4, 0.0), t), 1e-3, 1e-7, 1.0, "t")
    assert found.estimate == 0.0 and found.step == pytest.approx(1e-4)


# The cases of the package


def small_cases(ops):
    return [case for case in own_gradients.cases(ops) if "full size" not in case.title]


def test_every_case_passes_and_reports_every_tensor(ops):
    for case in small_cases(ops):
        if (
            ops.name == "cupy"
            and gpu_backends.NO_GPU is not None
            and case.title.startswith(("negative ELBO", "importance-weighted", "M2"))
        ):
            continue  # the stand-in for a GPU is slow; those of models are in test_model.py
        report = case.check(seed=1)
        assert report.passed, f"{case.title}\n{report}"
        assert [row.name for row in report.rows] == list(case.inputs), case.title


def test_the_cases_cover_every_layer_activation_and_likelihood():
    titles = [case.title for case in own_gradients.cases()]
    for name in activations.NAMES:
        assert f"dense layer, {name}" in titles
        assert any(f", {name}, " in title for title in titles if title.startswith("negative ELBO"))
    for name in likelihoods.KNOWN:
        assert f"likelihood, {name}" in titles
        for kind in ("negative ELBO", "importance-weighted bound"):
            assert any(title.endswith(f", {name}") for title in titles if title.startswith(kind))
    assert "sample z" in titles and "KL divergence" in titles and sum(title.startswith("M2") for title in titles) == 3
    assert sum("784-256-2" in title for title in titles) == 1


class WrongKL(Ops):
    """The factor 1/2 left out."""

    def kl_backward(self, dkl, mu, logvar):
        return dkl * mu, dkl * np.expm1(logvar)


class WrongSample(Ops):
    """The derivative of exp(logvar) in the place of that of exp(logvar / 2)."""

    def sample_backward(self, dz, logvar, eps):
        return dz, dz * eps * np.exp(0.5 * logvar)


class WrongDense(Ops):
    """The activation's slope forgotten."""

    def dense_backward(self, dy, x, y, W, activation, need_dx, out=None):
        return super().dense_backward(dy, x, y, W, "identity", need_dx, out)


class WrongResidual(Ops):
    """The residual of the other sign."""

    def bernoulli_nll(self, logits, x, gradient):
        nll, residual = super().bernoulli_nll(logits, x, gradient)
        return nll, -residual if gradient else None


@pytest.mark.parametrize(
    "sabotaged, titles",
    [
        (WrongKL, {"KL divergence"}),
        (WrongSample, {"sample z"}),
        (WrongDense, {"dense layer, relu", "dense layer, tanh", "dense layer, softplus"}),
        (WrongResidual, {"likelihood, bernoulli"}),
    ],
)
def test_a_wrong_operation_fails_its_cases(sabotaged, titles):
    failed = {case.title for case in small_cases(sabotaged(np)) if not case.check().passed}
    models = {title for title in failed if title.startswith(("negative ELBO", "importance-weighted", "M2"))}
    assert failed - models == titles
    assert len(models) >= (1 if sabotaged is WrongResidual else 4)


def test_a_gradient_hidden_by_rounding_is_refused_not_passed():
    with pytest.raises(InputError, match="rounding error"):
        check_gradient(lambda x: (1e12 + x * x, lambda u: 2.2 * x * u), [np.array([1.0, 2.0])])


def test_a_gradient_claimed_where_there_is_next_to_none_is_wrong_not_hidden():
    with pytest.raises(GradientCheckError):
        check_gradient(lambda x: (1e6 + 1e-6 * x * x, lambda u: u), [np.array([1.0, 2.0])])


def test_a_zero_gradient_under_a_large_value_is_right():
    assert check_gradient(lambda x: (0 * x + 1e12, lambda u: 0 * u), [np.array([1.0, 2.0])]).passed


@pytest.mark.parametrize(
    ("function", "slope", "at"),
    [(np.sin, np.cos, 1e5), (np.log, lambda x: 1 / x, 1e-5), (np.reciprocal, lambda x: -1 / x**2, 1e-4)],
)
def test_smooth_functions_far_from_1_are_not_refused(function, slope, at):
    assert check_gradient(lambda x: (function(x), lambda u: u * slope(x)), [np.array([at, 2 * at])]).passed
    with pytest.raises(GradientCheckError):
        check_gradient(lambda x: (function(x), lambda u: 1.001 * u * slope(x)), [np.array([at, 2 * at])])


#: A function that is smooth above 0, and its slope.
SMOOTH = {
    "log": (np.log, np.reciprocal),
    "sqrt": (np.sqrt, lambda x: 0.5 / np.sqrt(x)),
    "reciprocal": (np.reciprocal, lambda x: -1 / x**2),
    "square": (np.square, lambda x: 2 * x),
    "cube": (lambda x: x**3, lambda x: 3 * x**2),
    "x log x": (lambda x: x * np.log(x), lambda x: 1 + np.log(x)),
}


@pytest.mark.parametrize("scale", [1e-12, 1e-9, 1e-5, 1e4, 1e9, 1e12])
@pytest.mark.parametrize("name", SMOOTH)
def test_steps_follow_the_size_of_the_inputs(rng, name, scale):
    function, slope = SMOOTH[name]
    for shape in ((), (3,), (3, 100)):  # elements, and directions through all of them
        x = scale * rng.uniform(0.5, 2.0, shape)
        assert check_gradient(lambda x: (function(x), lambda u: u * slope(x)), [x]).passed
        assert not check_gradient(
            lambda x: (function(x), lambda u: 1.001 * u * slope(x)), [x], raise_on_failure=False
        ).passed
        if x.size <= 3:
            np.testing.assert_allclose(numerical_gradient(function, [x])[0], slope(x), rtol=1e-6)


@pytest.mark.parametrize("name", ["log", "sqrt"])
@pytest.mark.parametrize("size", [5, 300])
def test_elements_of_very_different_sizes(rng, name, size):
    function, slope = SMOOTH[name]
    x = np.logspace(-12, 12, size)
    assert check_gradient(lambda x: (function(x), lambda u: u * slope(x)), [x]).passed
    with pytest.raises(GradientCheckError):
        check_gradient(lambda x: (function(x), lambda u: 1.001 * u * slope(x)), [x])


def test_a_pole_that_the_absolute_steps_step_over():
    """1 / x at 1e-9 beside 1e-12: at a distance of 1e-4 on both sides it is as flat as one likes."""
    x = np.array([1e-12, 1e-9, 1.0])
    assert check_gradient(lambda x: (1 / x, lambda u: -u / x**2), [x]).passed
    found = derivative(lambda t: 1 / (1e-15 + t), 1e-4, 1e-7, 1e30, "t", 1e-15)
    assert found.estimate == pytest.approx(-1e30, rel=1e-6)


def test_a_slope_below_the_rounding_of_a_large_input_is_refused():
    with pytest.raises(InputError, match="rounding error"):
        check_gradient(lambda x: (np.arctan(x), lambda u: 1.1 * u / (1 + x * x)), [np.array([1e10])])


def test_calls_that_mean_nothing_are_refused():
    def identity(x):
        return x, lambda u: u

    def in_place(x):
        x += 1.0
        return x, lambda u: u

    x = np.array([1.0, 2.0])
    for function, inputs, words, arguments in (
        (lambda x: (x, lambda u: None), [x], "every gradient is None", {}),
        (identity, [], "empty", {}),
        (in_place, [x], "changes its inputs", {}),
        (identity, [x], "rtol must be", {"rtol": 0.0}),
        (identity, [x], "step must be", {"step": -1.0}),
    ):
        with pytest.raises(InputError, match=words):
            check_gradient(function, inputs, **arguments)
    with pytest.raises(InputTypeError, match=r"\[x\] for one; got ndarray"):
        check_gradient(identity, x)
    with pytest.raises(InputTypeError, match="an output must hold real numbers"):
        check_gradient(lambda x: (1j * x, lambda u: u), [x])


# Sizes, steps and limits


@pytest.mark.parametrize(("size", "checked"), [(200, "200 elements"), (201, "6 directions, 12 elements")])
def test_tensors_of_up_to_200_elements_are_checked_one_by_one(rng, size, checked):
    x = rng.standard_normal(size)
    assert check_gradient(lambda x: (np.sum(x**2), 2 * x), [x]).rows[0].checked == checked


def moved_by(rng, x, **how) -> tuple[list, list]:
    """The first step of every element by its index, and along every direction, as the function sees them."""
    elements, directions = {}, []

    def function(moved):
        difference = moved - x
        if np.count_nonzero(difference) == 1:
            i = int(np.flatnonzero(difference)[0])
            elements.setdefault(i, difference.reshape(-1)[i])
        elif difference.any():
            directions.append(difference)
        return float(np.sum(moved**2)), 2 * moved

    check_gradient(function, [x], **how)
    return elements, directions[::4]


def test_the_first_steps_are_relative_to_sizes_above_1(rng):
    x = np.array([0.25, -0.5, 1.0, 40.0, -3.0])
    elements, _ = moved_by(rng, x)
    assert list(elements) == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(list(elements.values()), [1e-4, 1e-4, 1e-4, 4e-3, 3e-4], rtol=1e-9)
    elements, _ = moved_by(rng, x, step=1e-2)
    np.testing.assert_allclose(list(elements.values()), 1e-2, rtol=1e-9)


@pytest.mark.parametrize("step", [None, 1e-2])
def test_directions_are_unit_vectors_of_which_every_element_has_a_part_by_its_size(rng, step):
    x = np.where(np.arange(300) % 3 == 0, 50.0, 0.5)
    elements, directions = moved_by(rng, x, **({} if step is None else {"step": step}))
    assert len(elements) == 12 and len(directions) == 6
    for moved in directions:
        v = moved / np.maximum(x, 1.0) / (1e-3 if step is None else step)
        assert np.linalg.norm(v) == pytest.approx(1.0, rel=1e-6)
        part = np.abs(v) * math.sqrt(300)  # between 1/2 and 3/2, over their root mean square
        assert 0.45 < part.min() < 0.55 and 1.35 < part.max() < 1.55 and 0.3 < (v > 0).mean() < 0.7


def test_an_element_is_measured_against_the_root_mean_square_of_its_tensor():
    weights = np.array([4.0, 0.0, 0.0])
    report = check_gradient(
        lambda x: (float(x @ weights), weights + np.array([0, 1e-3, 0])), [np.ones(3) / 2], raise_on_failure=False
    )
    row = report.worst
    assert row.error == pytest.approx(1e-3 / (4.0 / math.sqrt(3)), rel=1e-6) and row.where == "[1]"
    assert (row.analytic, row.numeric) == (1e-3, pytest.approx(0.0, abs=1e-9))
    assert {type(number) for number in (row.error, row.analytic, row.numeric)} == {float}
    large = check_gradient(lambda x: (float(x @ weights), 2 * weights), [np.ones(3) / 2], raise_on_failure=False)
    assert large.worst.error == pytest.approx(0.5) and large.worst.where == "[0]"


def test_what_rounding_could_add_is_not_held_against_a_gradient():
    """16 eps 1000 / 1e-4 = 3.55e-8, over rtol = 1e-6: smaller gradients are measured against that."""
    report = check_gradient(
        lambda x: (1000.0 + 1e-5 * float(x.sum()), np.full(1, 2e-5)), [np.array([0.5])], raise_on_failure=False
    )
    assert report.worst.error == pytest.approx(1e-5 / (16 * 2.0**-52 * 1e3 / 1e-4 / 1e-6), rel=1e-2)


@pytest.mark.parametrize(("slope", "refused"), [(3.5e-8, True), (3.6e-8, False), (-3.6e-8, False)])
def test_a_slope_that_no_step_sees_is_refused_up_to_what_rounding_hides(slope, refused):
    """16 eps 1000 / 1e-4 = 3.55e-8: a gradient of that size would change no value."""
    error, words = (
        (InputError, "leave differences a rounding error of 3.6e-08") if refused else (GradientCheckError, "FAIL")
    )
    with pytest.raises(error, match=words):
        check_gradient(lambda x: (1000.0 + 0.0 * float(x.sum()), np.full(1, slope)), [np.array([0.5])])


@pytest.mark.parametrize(("slope", "refused"), [(3.4e-6, True), (3.7e-6, False)])
def test_a_gradient_must_be_a_hundred_times_its_rounding(slope, refused):
    """Rounding of 3.55e-8 under a value of 1000. What is a multiple of its own step can be told apart nevertheless."""

    def function(x):
        return 1000.0 + slope * float(x.sum()), np.full(1, slope)

    if refused:
        with pytest.raises(
            InputError, match=f"the gradient of x is of the size {slope:.2g}, but the function's values of 1e\\+03"
        ):
            check_gradient(function, [np.array([0.5])])
    else:
        assert check_gradient(function, [np.array([0.5])]).passed


def test_a_gradient_of_nothing_has_a_place_too():
    row = check_gradient(lambda x: (3.0 + 0.0 * np.sum(x), np.zeros(3)), [np.ones(3)]).rows[0]
    assert row.where in ("[0]", "[1]", "[2]") and (row.error, row.analytic, row.numeric) == (0.0, 0.0, 0.0)


def test_the_differences_of_a_check_are_ten_times_as_exact_as_it(monkeypatch, rng):
    """And of a numerical gradient as exact as was asked for; along a direction the gradient's length is the scale."""
    asked = []

    def watched(f, step, tolerance, scale, what, at):
        asked.append((step, tolerance, scale, what, at))
        return derivative(f, step, tolerance, scale, what, at)

    monkeypatch.setattr("npvae.gradcheck.checker.derivative", watched)
    x = np.array([[0.5, -4.0]])
    check_gradient(lambda data: (float(np.sum(data**2)), 2 * data), [x], rtol=1e-5)
    scale = math.sqrt((1.0**2 + 8.0**2) / 2)
    assert asked == [
        (1e-4, pytest.approx(1e-6), pytest.approx(scale), "data[0, 0]", 0.5),
        (4e-4, pytest.approx(1e-6), pytest.approx(scale), "data[0, 1]", 4.0),
    ]
    asked.clear()
    numerical_gradient(np.square, [x], rtol=1e-5)
    assert asked == [(1e-4, 1e-5, 0.0, "an input[0, 0]", 0.5), (4e-4, 1e-5, 0.0, "an input[0, 1]", 4.0)]
    asked.clear()
    x = rng.uniform(2.0, 3.0, 300)
    check_gradient(lambda data: (float(np.sum(data**2)), 2 * data), [x], rtol=1e-5)
    assert len(asked) == 18
    for step, tolerance, scale, what, at in asked[12:]:
        assert (step, tolerance, what) == (1e-3, pytest.approx(1e-6), "data + t v, a direction")
        # Parts of x v with v between 1/2 and 3/2 over sqrt(300): 2 x x v in all, and x / (x v) at most.
        assert 0.9 < scale / math.sqrt(np.mean((2 * x * x) ** 2)) < 1.1 and 1.7 < at / math.sqrt(300) < 2.2


# What functions and backward passes may do, each in one of several arrays only


def test_what_is_called_must_be_callable(rng):
    for arguments in ((3, [np.ones(2)]), (product, arrays(rng), 3)):
        with pytest.raises(InputTypeError, match="function and backward must be callable"):
            check_gradient(*arguments)


@pytest.mark.parametrize("value", [0, -1.0, math.inf, math.nan])
def test_tolerance_and_step_are_finite_and_above_0(value):
    for name in ("rtol", "step"):
        with pytest.raises(InputError, match=f"{name} must be finite and above 0, got"):
            check_gradient(lambda x: (x * x, lambda u: 2 * x * u), [np.ones(2)], **{name: value})
    assert check_gradient(lambda x: (x * x, lambda u: 2 * x * u), [np.ones(2)], rtol=0.5, step=0.5).passed


def test_inputs_are_a_sequence():
    with pytest.raises(InputTypeError, match=r"inputs must be a list of arrays, \[x\] for one; got list_iterator"):
        check_gradient(lambda x: (x, lambda u: u), iter([np.ones(2)]))
    assert check_gradient(lambda x: (x, lambda u: u), (np.ones(2),)).passed


@pytest.mark.parametrize("which", [0, 1])
def test_a_function_that_changes_one_of_its_inputs_is_refused(which):
    def function(x, labels):
        given = (x, labels)[which]
        given += 1
        return x * labels, lambda u: (u * labels, None)

    with pytest.raises(InputError, match="the function changes its inputs"):
        check_gradient(function, [np.ones(2), np.array([1, 2])])


def test_numbers_without_axes_are_arrays_if_they_are_moved_and_numbers_if_not():
    def power(x, n):
        assert isinstance(x, np.ndarray) and x.shape == () and isinstance(n, np.integer)
        return x**n, lambda u: (u * n * x ** (n - 1), None)

    assert check_gradient(power, [1.5, 3]).passed


def test_one_of_two_arrays_is_enough_for_a_note(rng):
    a, b = rng.uniform(1.0, 2.0, (2, 3))

    def outputs(a, b):
        first, second = a * b, a + b

        def backward(u, v):
            second[...] = 0.0
            return u * b + v, u * a + v

        return (first, second), backward

    def upstreams(a, b):
        def backward(u, v):
            v *= 2
            return u * b + v / 2, u * a + v / 2

        return (a * b, a + b), backward

    def second_call(a, b):
        saved = [a]
        return a * b, lambda u: (u * b, u * (saved.pop() if saved else b))

    def infinite_second_call(a, b):
        calls = []

        def backward(u):
            calls.append(0.0 if calls else 1.0)
            return u * b, u * a / np.float64(calls[-1])

        return a * b, backward

    for function, words in (
        (outputs, "in place: the output."),
        (upstreams, "in place: the upstream gradient."),
        (second_call, "other gradients at a second call"),
        (infinite_second_call, "other gradients at a second call"),
    ):
        with pytest.warns(GradientCheckWarning, match=words):
            assert len(check_gradient(function, [a, b]).notes) == 1


def test_a_value_with_its_gradient_is_one_number():
    with pytest.raises(InputError, match="a function that returns \\(value, gradient\\) must return a scalar value"):
        check_gradient(lambda x: ((1.0, x), [x]), [np.ones(2)])


def test_a_function_that_is_not_a_number_at_the_point_is_not_finite():
    with pytest.raises(InputError, match="the function is not finite within"):
        check_gradient(lambda x: (float("nan") + 0 * x, lambda u: u), [np.ones(1)])


@pytest.mark.parametrize(("change", "same"), [(1.8e-9, True), (2.2e-9, False), (-2.2e-9, False)])
def test_two_runs_may_differ_by_rounding(change, same):
    """By 1e-9 of the largest element, here of -2; and in the first element alone."""
    runs = []

    def square(x):
        runs.append(None)
        return float(x @ x), 2 * x + np.array([change * len(runs), 0.0])

    if same:
        assert check_gradient(square, [np.array([-1.0, 0.25])]).passed
    else:
        with pytest.raises(InputError, match="the gradient of x is another one when function and backward run again"):
            check_gradient(square, [np.array([-1.0, 0.25])])


def test_a_gradient_in_one_run_alone_is_no_gradient():
    runs = []

    def square(x, y):
        runs.append(None)
        return float(x @ x), (2 * x, 0 * y if len(runs) % 2 else None)

    with pytest.raises(InputError, match="the gradient of y is another one"):
        check_gradient(square, [np.ones(2), np.ones(2)])


def test_a_gradient_of_one_whole_number_is_refused(rng):
    with pytest.raises(InputError, match="backward gives a gradient for t, which holds int64 numbers"):
        check_gradient(
            lambda x, t: (x * t, lambda u: (u * t, np.array([0.0, 1.0]))), [rng.standard_normal(2), np.array([3, -2])]
        )


def test_large_tensors_of_zeros_or_with_some(rng):
    """Directions take parts in proportion to the sizes; of nothing, or where something is 0, there are none."""
    assert check_gradient(lambda x: (np.sin(x), lambda u: u * np.cos(x)), [np.zeros(300)]).passed
    odd = np.arange(300) % 2 == 1
    x = np.where(odd, 0.0, rng.uniform(1e-9, 2e-9, 300))  # log x, and x itself where that is 0

    def function(x):
        return np.where(
            odd, x, np.log(np.where(odd, 1.0, x))
        ), lambda u: u * np.where(odd, 1.0, 1 / np.where(odd, 1.0, x))

    assert check_gradient(function, [x]).passed
    with pytest.raises(GradientCheckError):
        check_gradient(lambda x: (function(x)[0], lambda u: 1.001 * function(x)[1](u)), [x])


@pytest.mark.parametrize(("left", "refused"), [(0.02, False), (-0.02, False), (0.024, True), (-0.024, True)])
def test_what_rounding_leaves_of_a_zero_gradient_is_no_gradient(left, refused):
    """Values of 1e12 step by 2^-13, which is all that changes here, and a backward may leave 100 eps 1e12 = 0.022."""

    def function(x):
        return 1e12 + 2.0**-13 * float(x[0] != 0.3), np.full(1, left)

    if refused:
        with pytest.raises(
            InputError, match="the gradient of x is of the size 0.024, but the function's values of 1e\\+12"
        ):
            check_gradient(function, [np.array([0.3])])
    else:
        assert check_gradient(function, [np.array([0.3])]).passed


def test_a_kink_that_only_directions_meet_is_refused_by_name(rng):
    """At an element that is not among those moved alone."""
    x = rng.uniform(1.0, 2.0, 300)
    elements, _ = moved_by(rng, x)
    at = next(i for i in range(300) if i not in elements)
    x[at] = 0.0
    with pytest.raises(KinkError, match=r"no derivative found at data \+ t v, a direction: the slope is"):
        check_gradient(lambda data: (float(np.sum(data**2) + 1e4 * abs(data[at])), 2 * data), [x])
