"""Choices with arguments, as one word: ``name`` or ``name:key=value,key=value``; and the types of the options that
take them.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

from npvae import backend as backends
from npvae.cli import numbers
from npvae.errors import InputError, NpvaeError, UnknownNameError
from npvae.estimators import inputs
from npvae.estimators.preparation import OUTPUT_BIAS_OR_AUTO
from npvae.mathematics import kl_warmup, likelihoods, objectives, optimizers, schedules
from npvae.mathematics.layers import activations, initial
from npvae.support import check, registry
from npvae.support.fields import shown
from npvae.training.settings import BINARIZE

#: A larger value is a slip of the hand: its square is infinite, and an int of that size is no float.
_LARGEST_VALUE = 1e150


def parse_choice(text: str) -> str | dict:
    """``"adam"`` as it is, ``"adam:epsilon=1e-4"`` as ``{"name": "adam", "epsilon": 0.0001}``; the value none is None.

    InputError: not of that form.
    """
    name, colon, rest = text.partition(":")
    if not colon:
        return name
    arguments: dict = {"name": name}
    for part in filter(None, rest.split(",")):
        key, equals, value = part.partition("=")
        if not equals or not key:
            raise InputError(f"{shown(text)} is not of the form name:key=value,key=value (at {shown(part)})")
        if key in arguments:
            raise InputError(f"{shown(text)} gives {shown(key)} twice")
        arguments[key] = None if value.lower() == "none" else _value(value, text)
    return arguments


def parse_schedule(text: str) -> str | dict:
    """Like :func:`parse_choice`; the pairs of ``steps:10=0.5,20=0.1`` are epochs and factors."""
    choice = parse_choice(text)
    if isinstance(choice, dict) and choice["name"] == "steps":
        factors = {key: value for key, value in choice.items() if key != "name"}
        if not factors or any((numbers.read_whole(key) or 0) < 1 for key in factors):
            raise InputError(f"{shown(text)} is not of the form steps:EPOCH=FACTOR,EPOCH=FACTOR")
        return {"name": "steps", "factors": factors}
    return choice


def parse_warmup(text: str) -> float | str | dict:
    """A number of epochs, or like :func:`parse_choice`."""
    choice = parse_choice(text)
    return _value(choice, text) if isinstance(choice, str) else choice


def parse_widths(text: str, option: str = "--hidden") -> tuple[int, ...]:
    """``"500,200"`` as (500, 200); ``"none"`` as (). InputError: anything else."""
    if text.lower() in ("none", ""):
        return ()
    read = [numbers.read_whole(part.strip()) for part in text.split(",")]
    widths = tuple(width for width in read if width is not None and 1 <= width <= numbers.LARGEST_COUNT)
    if len(widths) != len(read):
        raise InputError(f"{option} must be widths of at least 1 such as 256 or 500,200, or none, got {shown(text)}")
    return widths


def _value(text: str, whole: str):
    """A value of ``whole``, the text of the choice. InputError: a number that no argument takes."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    value: float | None = numbers.read_whole(text)
    if value is None:
        value = numbers.read_real(text)
    if value is None and (text.lower().lstrip("+-") in numbers.NOT_FINITE or numbers.is_long_number(text)):
        value = math.inf
    if value is not None:
        if not abs(value) < _LARGEST_VALUE:
            raise InputError(f"{shown(whole)} has a number that is not finite or far too large: {shown(text)}")
        return value
    parts = [numbers.read_whole(part) for part in text.split("+")]
    return text if None in parts else parts


def _checked(meaning: Callable[[str], object]) -> Callable[[str], str]:
    """The type of an option that keeps its text as it is, once ``meaning`` has made something of it: errors name the
    option.
    """

    def read(text: str) -> str:
        try:
            meaning(text)
        except NpvaeError as error:
            raise argparse.ArgumentTypeError(str(error)) from None
        return text

    return read


def _word(what: str, known) -> Callable[[str], str]:
    return _checked(lambda text: check.one_of(what, text, known))


def _refuse_unknown_backend(text: str) -> None:
    """Its name only: whether it can run here, and with these arguments, is seen where it is made."""
    choice = parse_choice(text)
    name = choice if isinstance(choice, str) else choice["name"]
    if name not in ("auto", *backends.KNOWN):
        raise UnknownNameError("backend", name, ["auto", *backends.KNOWN])


def _refuse_unknown_likelihood(text: str) -> None:
    if text != "auto":  # the columns of a table choose
        registry.build("likelihood", parse_choice(text), likelihoods.KNOWN, likelihoods.Likelihood)


activation = _word("activation", activations.NAMES)
backend = _checked(_refuse_unknown_backend)
binarize = _word("choice", BINARIZE)
dtype = _word("dtype", inputs.DTYPES)
initial_weights = _word("rule", initial.RULES)
likelihood = _checked(_refuse_unknown_likelihood)
objective = _checked(lambda text: objectives.get(parse_choice(text)))
optimizer = _checked(lambda text: optimizers.get(parse_choice(text)))
output_bias = _word("choice", OUTPUT_BIAS_OR_AUTO)
schedule = _checked(lambda text: schedules.get(parse_schedule(text)))
warmup = _checked(lambda text: kl_warmup.get(parse_warmup(text)))
