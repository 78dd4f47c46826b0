"""A function under the gradient checker: fixed inputs, a fixed upstream gradient, and what it must not do."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from npvae.errors import InputError, InputTypeError


class Problem:
    """The function with its inputs and upstream gradient fixed: a scalar function of a displacement."""

    def __init__(self, function, backward, inputs, generator, upstream=None) -> None:
        self.inputs = inputs
        self._function = function
        if not callable(function) or not (backward is None or callable(backward)):
            raise InputTypeError("function and backward must be callable")
        before = [x.copy() for x in inputs]
        self._result = function(*inputs)
        if not all(map(np.array_equal, before, inputs)):
            raise InputError("the function changes its inputs; a derivative at a point that moves means nothing")
        self._backward = backward
        self._second = None
        output = self._result
        if backward is None and generator is not None:
            if not (isinstance(output, tuple) and len(output) == 2):
                raise InputTypeError("the function must return (output, backward), or backward must be given")
            output, self._second = output
        self._output_is_tuple = isinstance(output, tuple)
        outputs = [_real(part, "an output") for part in (output if self._output_is_tuple else (output,))]
        self._refuse_useless(output, outputs)
        self._scalar_value = self._second is not None and not callable(self._second)
        if self._scalar_value and any(part.ndim for part in outputs):
            raise InputError("a function that returns (value, gradient) must return a scalar value")
        self.upstream = self._make_upstream(outputs, generator, upstream)

    def _refuse_useless(self, output, outputs) -> None:
        """InputError for outputs of which no difference can be taken."""
        if not sum(part.size for part in outputs):
            raise InputError("the function's output is empty: there is nothing to check")
        for part in output if self._output_is_tuple else (output,):
            dtype = getattr(part, "dtype", None)
            if dtype is not None and np.dtype(dtype).kind == "f" and np.dtype(dtype).itemsize < 8:
                raise InputError(f"an output is {dtype}: differences need float64, which the inputs are")
        again = self._function(*self.inputs)
        again = again[0] if self._second is not None else again
        for part, repeated in zip(outputs, again if self._output_is_tuple else (again,), strict=True):
            if not np.array_equal(part, np.asarray(repeated), equal_nan=True):
                raise InputError("the function gives different results for the same inputs: hold its noise fixed")

    def _make_upstream(self, outputs, generator, upstream):
        if upstream is not None:
            given = upstream if isinstance(upstream, tuple) else (upstream,)
            made = [np.asarray(part, np.float64) for part in given]
            if [part.shape for part in made] != [part.shape for part in outputs]:
                raise InputError(
                    f"upstream has shapes {[p.shape for p in made]}, the output {[p.shape for p in outputs]}"
                )
            return made
        if generator is None or self._scalar_value:
            return [np.ones(part.shape) for part in outputs]
        return [generator.standard_normal(part.shape) for part in outputs]

    def analytic(self) -> list:
        """The gradients that the code under test gives, checked for number and shape."""
        # 0-d outputs get Python-like scalars, as a caller would pass.
        upstream = [part.copy()[()] for part in self.upstream]  # copies: a backward may work in place
        if self._backward is not None:
            gradients = self._backward(upstream[0] if not self._output_is_tuple else tuple(upstream), *self.inputs)
        elif self._scalar_value:
            gradients = self._second
        else:
            gradients = self._second(*upstream)
        if not isinstance(gradients, (tuple, list)):
            gradients = (gradients,)
        if len(gradients) != len(self.inputs):
            raise InputError(f"backward returned {len(gradients)} gradients for {len(self.inputs)} inputs")
        checked = []
        for x, gradient in zip(self.inputs, gradients, strict=True):
            if gradient is not None:
                gradient = _real(gradient, "a gradient").copy()
                if gradient.shape != x.shape:
                    raise InputError(f"a gradient has shape {gradient.shape}, its input {x.shape}")
            checked.append(gradient)
        return checked

    def along(self, index: int, direction: np.ndarray) -> Callable[[float], float]:
        """t -> sum(u * f(x + t direction)), for a direction in one input."""

        def f(t: float) -> float:
            moved = list(self.inputs)
            moved[index] = moved[index] + t * direction
            with np.errstate(all="ignore"):  # a step may leave the domain; a smaller one is tried then
                result = self._function(*moved)
            if self._second is not None:
                result = result[0]
            outputs = result if self._output_is_tuple else (result,)
            # fsum: the differences must not lose digits in the sum over outputs.
            return math.fsum(
                float(np.sum(u * np.asarray(part, np.float64)))
                for u, part in zip(self.upstream, outputs, strict=True)
            )

        return f


def checked_arguments(inputs, rtol, step) -> tuple[list[np.ndarray], float, float | None]:
    """The inputs as float64 copies, and the checked numbers."""
    if isinstance(inputs, np.ndarray) or not isinstance(inputs, Sequence):
        raise InputTypeError(f"inputs must be a list of arrays, [x] for one; got {type(inputs).__name__}")
    if not inputs:
        raise InputError("inputs is empty: there is nothing to check")
    for name, value in (("rtol", rtol), ("step", step)):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise InputError(f"{name} must be finite and above 0, got {value!r}")
    return [_as_float64(value, index) for index, value in enumerate(inputs)], rtol, step


def _real(value, what: str) -> np.ndarray:
    """The value as a float64 array; InputTypeError if it is not real."""
    array = np.asarray(value)
    if array.dtype.kind not in "buif":
        raise InputTypeError(f"{what} must hold real numbers, got dtype {array.dtype}")
    return array.astype(np.float64, copy=False)


def _as_float64(value, index: int) -> np.ndarray:
    array = _real(value, f"input {index}").copy()
    if not np.isfinite(array).all():
        raise InputError(f"input {index} holds NaN or infinity")
    return array
