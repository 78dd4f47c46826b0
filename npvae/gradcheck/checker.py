"""Checking gradients, for any function of arrays, against finite differences in float64.

For inputs x and a random upstream gradient u the checker compares

    analytic   backward(u)                         what the code under test says
    numeric    d/dt  sum(u * f(x + t v))  at 0     by differences, for directions v

v runs over every element of a small array; over random directions, and some elements, of a large one. The
upstream gradient is random because a backward that forgets it is right for ones. The comparison is

    error = |analytic - numeric| / max(|analytic|, |numeric|, rms(numeric), floor)       <= rtol

so an element is measured against at least the root mean square of its tensor. ``floor`` is what rounding
in the function could add, over rtol. A tensor whose gradient is lost in that rounding is refused, not passed.

Function and backward get copies at every call: a gradient is judged at the inputs as they were given, also where
backward computes in place. That it does so is noted in the report, and warned of.

The checker (this file, problem.py, finite_differences.py) needs NumPy alone, and nothing of the rest of
npvae but its errors.
"""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from npvae.errors import GradientCheckError, GradientCheckWarning, InputError, KinkError
from npvae.gradcheck.finite_differences import Derivative, derivative
from npvae.gradcheck.problem import Problem, checked_arguments

#: Arrays of up to this many elements are checked element by element.
ELEMENTWISE_LIMIT = 200
#: What is checked of a larger one: so many random directions, and so many elements.
DIRECTIONS = 6
SAMPLED_ELEMENTS = 12
#: First steps: of one element, and along a unit vector; each element's times its size where that is above 1.
ELEMENT_STEP = 1e-4
DIRECTION_STEP = 1e-3


@dataclass(frozen=True)
class TensorReport:
    """The worst disagreement found in one input."""

    name: str
    shape: tuple[int, ...]
    checked: str  #: "24 elements" or "6 directions, 12 elements"
    error: float  #: the relative error above
    where: str  #: an index such as "[2, 0]", or "direction 3"
    analytic: float
    numeric: float
    passed: bool

    def __str__(self) -> str:
        verdict = "ok" if self.passed else "FAIL"
        return (
            f"{self.name:<28} {str(self.shape):<14} {self.checked:<26} {self.error:9.2e}  {verdict:<4} "
            f"{self.where}: {self.analytic:.10g} and {self.numeric:.10g}"
        )


@dataclass(frozen=True)
class GradientReport:
    """One row a tensor. ``passed`` says whether all did; ``str`` gives a table, the notes below it."""

    rows: list[TensorReport] = field(default_factory=list)
    rtol: float = 1e-6
    notes: tuple[str, ...] = ()  #: what backward changes that a caller might need again

    @property
    def passed(self) -> bool:
        return all(row.passed for row in self.rows)

    @property
    def worst(self) -> TensorReport:
        """The row with the largest error."""
        return max(self.rows, key=lambda row: row.error)

    def __str__(self) -> str:
        return "\n".join([*map(str, self.rows), *(f"note: {note}" for note in self.notes)])


def check_gradient(
    function: Callable[..., Any],
    inputs: Sequence[ArrayLike],
    backward: Callable[..., Any] | None = None,
    *,
    names: Sequence[str] | None = None,
    rtol: float = 1e-6,
    step: float | None = None,
    seed: int = 0,
    raise_on_failure: bool = True,
) -> GradientReport:
    """Check the gradient of ``function`` at ``inputs``; GradientCheckError if it is wrong.

    Three forms of function are understood, of any number of array inputs:

        function(*inputs) -> (output, backward)         backward(u) gives a gradient for each input
        function(*inputs) -> (scalar, gradients)        a value and its gradient
        function(*inputs) -> output,  with the argument backward(u, *inputs)

    ``output`` may be a tuple of arrays; backward then takes one u for each. A gradient may be None for an
    input that has none, which is then not checked. Real numbers are converted to float64 copies. Inputs of whole
    numbers or booleans, labels and indices, are passed on as they are, are not moved, and have no gradient: backward
    gives None for them, or leaves all of them out.

    names: of the inputs, for the report; by default those of the function's parameters. rtol: see the
    module. step: of the differences, chosen by default. seed: of upstream gradient and directions.
    raise_on_failure: with False the report is returned whatever it says.

    GradientCheckWarning: the gradient is right, but backward changes its inputs, its output or the upstream
    gradient in place, or is right at its first call only.

    KinkError: the function has no derivative at the point. InputError, InputTypeError: an input is not an
    array of real numbers, a gradient has the wrong shape or number, there is nothing to check, the function
    changes its inputs, two equal calls give different results or gradients, or the function's values are so
    large that rounding hides the gradient.

    >>> import numpy as np
    >>> square = lambda x: (x * x, lambda u: 2 * x * u)
    >>> check_gradient(square, [np.array([1.0, -2.0])]).passed
    True
    """
    inputs, rtol, step = checked_arguments(inputs, rtol, step)
    names = list(names) if names is not None else _parameter_names(function, len(inputs))
    if len(names) != len(inputs):
        raise InputError(f"names has {len(names)} entries for {len(inputs)} inputs")
    generator = np.random.default_rng(seed)
    problem = Problem(function, backward, inputs, generator)
    gradients, notes = problem.analytic(names)
    rows = []
    for index, (name, gradient) in enumerate(zip(names, gradients, strict=True)):
        if gradient is not None:
            rows.append(_check_tensor(problem, index, name, gradient, rtol, step, generator))
    if not rows:
        raise InputError("there is nothing to check: every gradient is None")
    report = GradientReport(rows, rtol, tuple(notes))
    if raise_on_failure and not report.passed:
        failed = GradientReport([row for row in rows if not row.passed], rtol, report.notes)
        raise GradientCheckError(f"wrong gradient (analytic and numeric at the end):\n{failed}", report)
    if report.passed:
        for note in notes:
            warnings.warn(note, GradientCheckWarning, stacklevel=2)
    return report


def numerical_gradient(
    function: Callable[..., Any],
    inputs: Sequence[ArrayLike],
    upstream: Any = None,
    *,
    step: float | None = None,
    rtol: float = 1e-6,
) -> tuple[np.ndarray | None, ...]:
    """d/dx sum(upstream * function(*inputs)) for each input x, float64, element by element; None for one of whole
    numbers or booleans, which is passed on as it is.

    ``function`` returns an array, a scalar, or a tuple of arrays; ``upstream`` has the same form, and is 1
    by default. ``step`` is the first step of the differences, chosen by default. Five calls an element, and four
    more for every step that has to be smaller.
    Accurate to ``rtol`` where rounding in the function allows it, or KinkError.

    >>> import numpy as np
    >>> numerical_gradient(lambda x: x**3, [np.array([1.0, 2.0])])[0].round(6).tolist()
    [3.0, 12.0]
    """
    inputs, rtol, step = checked_arguments(inputs, rtol, step)
    problem = Problem(function, None, inputs, None, upstream)
    return tuple(
        _elementwise(problem, index, range(x.size), step, rtol, 0.0)[0].reshape(x.shape)
        if x.dtype.kind == "f"
        else None
        for index, x in enumerate(inputs)
    )


def _check_tensor(problem, index, name, gradient, rtol, step, generator) -> TensorReport:
    x = problem.inputs[index]
    scale = _root_mean_square(gradient)
    if x.size <= ELEMENTWISE_LIMIT:
        elements, directions = np.arange(x.size), []
        checked = f"{x.size} elements"
    else:
        elements = generator.choice(x.size, SAMPLED_ELEMENTS, replace=False)
        directions = [_unit_direction(x.shape, generator) for _ in range(DIRECTIONS)]
        checked = f"{DIRECTIONS} directions, {SAMPLED_ELEMENTS} elements"

    numeric, *noise = _elementwise(problem, index, elements, step, 0.1 * rtol, scale, name)
    labels = ["[" + ", ".join(map(str, np.unravel_index(i, x.shape))) + "]" for i in elements]
    reach = np.maximum(np.abs(x.reshape(-1)[elements]), 1.0)
    groups = [(gradient.reshape(-1)[elements], numeric, *noise, reach, labels)]
    if directions:
        directions, found = _along(problem, index, directions, gradient, step or DIRECTION_STEP, 0.1 * rtol, name)
        groups.append(
            (
                np.array([np.sum(gradient * v) for v in directions]),
                *_numbers(found),
                np.ones(len(found)),
                [f"direction {i}" for i in range(len(found))],
            )
        )
    worst = (0.0, "", 0.0, 0.0)
    for analytic, numbers, noise, unseen, values, reach, where in groups:
        if not len(numbers):
            continue
        _refuse_if_hidden(name, analytic, numbers, noise, values, reach)
        size = np.maximum(np.maximum(np.abs(analytic), np.abs(numbers)), _root_mean_square(numbers))
        size = np.maximum(size, np.maximum(noise / rtol, np.finfo(np.float64).tiny))
        with np.errstate(invalid="ignore"):  # an infinite gradient is infinitely wrong
            errors = np.abs(analytic - numbers) / size
        errors[np.isnan(errors)] = np.inf
        wrong = errors > rtol
        if wrong.any() and (np.abs(analytic - numbers) <= unseen)[wrong].all():
            _refuse_hidden(name, analytic, unseen, values)
        i = int(np.argmax(errors))
        if errors[i] >= worst[0]:
            worst = (float(errors[i]), where[i], float(analytic[i]), float(numbers[i]))
    return TensorReport(name, x.shape, checked, *worst, passed=worst[0] <= rtol)


def _elementwise(problem, index, elements, step, tolerance, scale, name="an input"):
    """Derivatives by single elements of one input: see _numbers."""
    x = problem.inputs[index]
    found = []
    for i in elements:
        direction = np.zeros(x.shape)
        direction.reshape(-1)[i] = 1.0
        at = abs(x.reshape(-1)[i])
        h = step or ELEMENT_STEP * max(1.0, at)
        place = ", ".join(map(str, np.unravel_index(i, x.shape)))
        found.append(derivative(problem.along(index, direction), h, tolerance, scale, f"{name}[{place}]", at))
    return _numbers(found)


def _numbers(found: list[Derivative]) -> tuple[np.ndarray, ...]:
    """The estimates, the rounding in each, and what it may hide, the function's size: four arrays."""
    return tuple(np.array([getattr(d, part) for d in found]) for part in ("estimate", "rounding", "unseen", "size"))


def _along(problem, index, directions, gradient, step, tolerance, name):
    """The directions, an element's part in proportion to its size where that is above 1, and the derivatives along
    them; where there are none, those for parts in proportion to the sizes of all."""
    x = np.abs(problem.inputs[index])
    sizes = [np.maximum(x, 1.0)]
    if 0.0 < x.max() and x[x > 0.0].min() < 1.0:
        sizes.append(np.where(x > 0.0, x, x[x > 0.0].min()))
    problems = []
    for size in sizes:
        scaled = [size * v for v in directions]
        try:
            return scaled, [
                derivative(
                    problem.along(index, v),
                    step,
                    tolerance,
                    _norm(gradient * v),
                    f"{name} + t v, a direction",
                    (x / np.abs(v)).max(),
                )
                for v in scaled
            ]
        except (KinkError, InputError) as error:
            problems.append(error)
    raise problems[0]


def _refuse_if_hidden(name, analytic, numeric, rounding, values, reach) -> None:
    """InputError if a gradient that is not zero is no larger than what rounding adds to its difference; reach: how far
    a change of the input's own size goes."""
    largest = max(np.abs(analytic).max(), np.abs(numeric).max())
    # What is left of a zero gradient after rounding in the backward itself.
    zero = 1e2 * np.finfo(np.float64).eps * values.max()
    if rounding.max() > 1e-2 * largest and (np.abs(analytic) * reach).max() > zero:
        _refuse_hidden(name, analytic, rounding, values)


def _refuse_hidden(name, analytic, rounding, values) -> None:
    raise InputError(
        f"the gradient of {name} is of the size {np.abs(analytic).max():.2g}, but the function's values of "
        f"{values.max():.2g} leave differences a rounding error of {rounding.max():.2g}: subtract a constant "
        "from the function, scale its inputs, or give a larger step"
    )


def _root_mean_square(x: np.ndarray) -> float:
    """sqrt(mean(x^2)), also where the squares would overflow or vanish; 0 for nothing, inf for anything infinite."""
    largest = float(np.abs(x).max()) if x.size else 0.0
    if largest == 0.0 or not math.isfinite(largest):
        return 0.0 if largest == 0.0 else math.inf
    return largest * float(np.sqrt(np.mean((x / largest) ** 2)))


def _norm(x: np.ndarray) -> float:
    """sqrt(sum(x^2)), likewise."""
    return _root_mean_square(x) * math.sqrt(x.size)


def _unit_direction(shape, generator) -> np.ndarray:
    """A random unit vector with no component near zero, so that every element takes part."""
    v = generator.uniform(0.5, 1.5, shape) * generator.choice([-1.0, 1.0], shape)
    return v / np.linalg.norm(v)


def _parameter_names(function, count: int) -> list[str]:
    try:
        names = [
            p.name
            for p in inspect.signature(function).parameters.values()
            if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        ]
    except (TypeError, ValueError):
        names = []
    return names if len(names) == count else [f"input {i}" for i in range(count)]
