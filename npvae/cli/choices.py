"""Choices with arguments, as one word: ``name`` or ``name:key=value,key=value``."""

from __future__ import annotations

from npvae.errors import InputError


def parse_choice(text: str) -> str | dict:
    """``"adam"`` as it is, ``"adam:epsilon=1e-4"`` as ``{"name": "adam", "epsilon": 0.0001}``.

    InputError: not of that form.
    """
    name, colon, rest = text.partition(":")
    if not colon:
        return name
    arguments: dict = {"name": name}
    for part in filter(None, rest.split(",")):
        key, equals, value = part.partition("=")
        if not equals or not key:
            raise InputError(f"{text!r} is not of the form name:key=value,key=value (at {part!r})")
        if key in arguments:
            raise InputError(f"{text!r} gives {key} twice")
        arguments[key] = _value(value)
    return arguments


def parse_schedule(text: str) -> str | dict:
    """Like :func:`parse_choice`; the pairs of ``steps:10=0.5,20=0.1`` are epochs and factors."""
    choice = parse_choice(text)
    if isinstance(choice, dict) and choice["name"] == "steps":
        factors = {key: value for key, value in choice.items() if key != "name"}
        if not factors or not all(key.isdigit() for key in factors):
            raise InputError(f"{text!r} is not of the form steps:EPOCH=FACTOR,EPOCH=FACTOR")
        return {"name": "steps", "factors": factors}
    return choice


def parse_warmup(text: str) -> float | str | dict:
    """A number of epochs, or like :func:`parse_choice`."""
    choice = parse_choice(text)
    return _value(choice) if isinstance(choice, str) else choice


def parse_widths(text: str) -> tuple[int, ...]:
    """``"500,200"`` as (500, 200); ``"none"`` as (). InputError: anything else."""
    if text.lower() in ("none", ""):
        return ()
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"{text!r} is not a list of widths such as 256 or 500,200, or none") from None


def _value(text: str):
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        pass
    parts = text.split("+")
    return [int(part) for part in parts] if len(parts) > 1 and all(part.isdigit() for part in parts) else text
