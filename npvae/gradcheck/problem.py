"""A function under the gradient checker: fixed inputs, a fixed upstream gradient, and what it must not do.

The function and its backward get copies at every call, so whatever they change, every number that is compared belongs
to the inputs as they were given. What they do change, and whether it changes their answers, is found out and said:

    the function changes its inputs, or answers differently to the same inputs       refused
    backward, run again from the start, answers differently to the same inputs       refused
    backward changes inputs, output or upstream gradient, or cannot be called twice  a note in the report
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from npvae.errors import InputError, InputTypeError

#: Gradients of two equal runs may differ by rounding in another order, relative to the largest element.
REPEATED = 1e-9


class Problem:
    """The function with its inputs and upstream gradient fixed: a scalar function of a displacement."""

    def __init__(self, function, backward, inputs, generator, upstream=None) -> None:
        self.inputs = inputs
        self._function, self._backward = function, backward
        if not callable(function) or not (backward is None or callable(backward)):
            raise InputTypeError("function and backward must be callable")
        self._gives_backward = backward is None and generator is not None
        copies = self._copies()
        result = function(*copies)
        if not all(map(np.array_equal, self.inputs, copies)):
            raise InputError("the function changes its inputs; a derivative at a point that moves means nothing")
        if self._gives_backward and not (isinstance(result, tuple) and len(result) == 2):
            raise InputTypeError("the function must return (output, backward), or backward must be given")
        output, second = result if self._gives_backward else (result, None)
        self._output_is_tuple = isinstance(output, tuple)
        outputs = _copied(self._parts(output), "an output")
        self._refuse_useless(self._parts(output), outputs)
        self._scalar_value = self._gives_backward and not callable(second)
        if self._scalar_value and any(part.ndim for part in outputs):
            raise InputError("a function that returns (value, gradient) must return a scalar value")
        self.upstream = self._make_upstream(outputs, generator, upstream)

    def _copies(self) -> list:
        """The inputs for one call: float64 arrays, and those of whole numbers as they came, a number for one without
        axes.
        """
        return [x.copy() if x.dtype.kind == "f" else x.copy()[()] for x in self.inputs]

    def _parts(self, output) -> tuple:
        return output if self._output_is_tuple else (output,)

    def _refuse_useless(self, parts, outputs) -> None:
        """InputError for outputs of which no difference can be taken."""
        if not sum(part.size for part in outputs):
            raise InputError("the function's output is empty: there is nothing to check")
        for part in parts:
            dtype = getattr(part, "dtype", None)
            if dtype is not None and np.dtype(dtype).kind == "f" and np.dtype(dtype).itemsize < 8:
                raise InputError(f"an output is {dtype}: differences need float64, which the inputs are")
        again = self._function(*self._copies())
        again = again[0] if self._gives_backward else again
        for part, repeated in zip(outputs, self._parts(again), strict=True):
            if not np.array_equal(part, np.asarray(repeated), equal_nan=True):
                raise InputError("the function gives different results for the same inputs: hold its noise fixed")

    def _make_upstream(self, outputs, generator, upstream):
        if upstream is not None:
            given = upstream if isinstance(upstream, tuple) else (upstream,)
            made = [np.array(part, np.float64) for part in given]
            if [part.shape for part in made] != [part.shape for part in outputs]:
                raise InputError(
                    f"upstream has shapes {[p.shape for p in made]}, the output {[p.shape for p in outputs]}"
                )
            return made
        if generator is None or self._scalar_value:
            return [np.ones(part.shape) for part in outputs]
        return [generator.standard_normal(part.shape) for part in outputs]

    def analytic(self, names: Sequence[str]) -> tuple[list, list[str]]:
        """The gradients that the code under test gives, checked for number and shape, and notes on what it changes.

        InputError: run again from the start, it gives others.
        """
        gradients, notes = self._run(names)
        again, _ = self._run(names)
        for name, first, second in zip(names, gradients, again, strict=True):
            if not _same(first, second):
                raise InputError(
                    f"the gradient of {name} is another one when function and backward run again on the same inputs: "
                    "backward keeps a state, or adds to an array that it does not begin with zeros"
                )
        return gradients, notes

    def _run(self, names) -> tuple[list, list[str]]:
        """Function and backward once, on copies of everything; the gradients, and notes."""
        inputs = self._copies()
        result = self._function(*inputs)
        output, second = result if self._gives_backward else (result, None)
        if self._scalar_value:
            return self._checked(second, names), []
        parts = self._parts(output)
        before = _copied(parts, "an output")

        def backward():
            # 0-d outputs get Python-like scalars, as a caller would pass.
            upstream = [part.copy()[()] for part in self.upstream]
            if second is not None:
                return second(*upstream), upstream
            return self._backward(tuple(upstream) if self._output_is_tuple else upstream[0], *inputs), upstream

        gradients, upstream = backward()
        gradients = self._checked(gradients, names)
        changed = [name for name, x, now in zip(names, self.inputs, inputs, strict=True) if not np.array_equal(x, now)]
        if not all(map(np.array_equal, before, parts)):
            changed.append("the output")
        if not all(map(np.array_equal, self.upstream, upstream)):
            changed.append("the upstream gradient")
        notes = []
        if changed:
            notes.append(
                f"backward changes its arguments in place: {', '.join(changed)}. Here it worked on copies; a caller "
                f"that "
                "needs them again finds other numbers"
            )
        if second is not None and not self._repeats(backward, gradients, names):
            notes.append(
                "backward gives other gradients at a second call: it changes what it computes with, and can be "
                "called once only"
            )
        return gradients, notes

    def _repeats(self, backward, gradients, names) -> bool:
        """Whether a second call of one backward gives the same; one that refuses it says so itself."""
        try:
            with np.errstate(all="ignore"):
                again = self._checked(backward()[0], names)
        except Exception:
            return True
        return all(map(_same, gradients, again))

    def _checked(self, gradients, names) -> list:
        """A float64 copy of the gradient of each input, None where it has none."""
        if not isinstance(gradients, (tuple, list)):
            gradients = (gradients,)
        real = [x.dtype.kind == "f" for x in self.inputs]
        if len(gradients) == sum(real) < len(real):  # those of whole numbers left out
            given = iter(gradients)
            gradients = [next(given) if is_real else None for is_real in real]
        if len(gradients) != len(self.inputs):
            raise InputError(f"backward returned {len(gradients)} gradients for {len(self.inputs)} inputs")
        checked = []
        for name, x, gradient in zip(names, self.inputs, gradients, strict=True):
            if gradient is not None:
                gradient = _copied([gradient], "a gradient")[0]
                if gradient.shape != x.shape:
                    raise InputError(f"a gradient has shape {gradient.shape}, its input {x.shape}")
            if gradient is not None and x.dtype.kind != "f":
                if gradient.any():
                    raise InputError(
                        f"backward gives a gradient for {name}, which holds {x.dtype} numbers: they are passed on as "
                        f"they "
                        f"are, as labels and indices have to be, and have no gradient. Return None for it, or give "
                        f"{name} "
                        "as floats to have its gradient checked"
                    )
                gradient = None
            checked.append(gradient)
        return checked

    def along(self, index: int, direction: np.ndarray) -> Callable[[float], np.ndarray]:
        """t -> u * f(x + t direction), all outputs in one row, for a direction in one input."""

        def f(t: float) -> np.ndarray:
            moved = self._copies()
            moved[index] += t * direction
            with np.errstate(all="ignore"):  # a step may leave the domain; a smaller one is tried then
                result = self._function(*moved)
            outputs = self._parts(result[0] if self._gives_backward else result)
            return np.concatenate(
                [(u * np.asarray(part, np.float64)).reshape(-1) for u, part in zip(self.upstream, outputs, strict=True)]
            )

        return f


def checked_arguments(inputs, rtol, step) -> tuple[list[np.ndarray], float, float | None]:
    """The inputs, real numbers as float64, whole ones as they are; and the checked numbers."""
    if isinstance(inputs, np.ndarray) or not isinstance(inputs, Sequence):
        raise InputTypeError(f"inputs must be a list of arrays, [x] for one; got {type(inputs).__name__}")
    if not inputs:
        raise InputError("inputs is empty: there is nothing to check")
    for name, value in (("rtol", rtol), ("step", step)):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise InputError(f"{name} must be finite and above 0, got {value!r}")
    inputs = [_as_input(value, index) for index, value in enumerate(inputs)]
    if all(x.dtype.kind != "f" for x in inputs):
        raise InputError(
            "every input holds whole numbers or booleans, which are passed on as they are and have no gradient: there "
            "is "
            "nothing to check; give floats, 3.0 for 3"
        )
    return inputs, rtol, step


def _same(first, second) -> bool:
    """Whether two gradients, arrays or None, are equal but for rounding."""
    if first is None or second is None:
        return first is second
    if np.array_equal(first, second, equal_nan=True):
        return True
    with np.errstate(all="ignore"):
        return bool(np.abs(first - second).max() <= REPEATED * np.abs(first).max())


def _real(value, what: str) -> np.ndarray:
    """The value as an array; InputTypeError if it is not real."""
    array = np.asarray(value)
    if array.dtype.kind not in "buif":
        raise InputTypeError(f"{what} must hold real numbers, got dtype {array.dtype}")
    return array


def _copied(values, what: str) -> list[np.ndarray]:
    """float64 copies: what is returned may be a view of an input, or of a buffer that the next call writes to."""
    return [np.array(_real(value, what), np.float64) for value in values]


def _as_input(value, index: int) -> np.ndarray:
    array = _real(value, f"input {index}")
    if array.dtype.kind != "f":
        return array
    array = np.array(array, np.float64)
    if not np.isfinite(array).all():
        raise InputError(f"input {index} holds NaN or infinity")
    return array
