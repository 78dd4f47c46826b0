"""What the header of a file may hold: one declaration a kind of file, and a check of every value against it.

A field says which JSON value it takes; ``read(name, value)`` gives the value back in its plain form, or raises
InputError with the value's place, as in ``history.loss[3]``, what was expected and what came. A record's unknown
entries are refused: what a later version adds comes with a later format version.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

from npvae.errors import InputError, NpvaeError

LARGEST_WHOLE = 2**63 - 1
#: Characters that are not text but commands to a terminal, or turn its direction of writing.
COMMANDS = {*range(32), *range(127, 160), 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)}


class Field(ABC):
    """A kind of JSON value."""

    expected: str  #: in words, for messages

    @abstractmethod
    def read(self, name: str, value):
        """The value, checked. InputError naming it."""

    def refuse(self, name: str, value) -> InputError:
        """The error about a value."""
        return InputError(f"{name} must be {self.expected}, got {shown(value)}")


def shown(value, longest: int = 60) -> str:
    """A value as a message has it: short, and in plain characters."""
    text = ascii(value)
    return text if len(text) <= longest else f"{text[:longest]}..."


class Whole(Field):
    """A whole number."""

    def __init__(self, minimum: int = 0, maximum: int = LARGEST_WHOLE) -> None:
        self.minimum, self.maximum = minimum, maximum
        self.expected = f"a whole number of at least {minimum}" + (
            "" if maximum == LARGEST_WHOLE else f" and at most {maximum}"
        )

    def read(self, name, value):
        if type(value) is not int or not self.minimum <= value <= self.maximum:
            raise self.refuse(name, value)
        return value


class Real(Field):
    """A finite number; NaN, where it may be, is null in the file."""

    def __init__(
        self, *, minimum: float = -math.inf, above: float = -math.inf, maximum: float = math.inf, nan: bool = False
    ) -> None:
        self._minimum, self._above, self._maximum, self._nan = minimum, above, maximum, nan
        bounds = [
            words
            for limit, words in (
                (minimum, f"at least {minimum:g}"),
                (above, f"above {above:g}"),
                (maximum, f"at most {maximum:g}"),
            )
            if math.isfinite(limit)
        ]
        self.expected = " and ".join(["a finite number", *bounds])

    def read(self, name, value):
        if value is None and self._nan:
            return math.nan
        if type(value) not in (int, float) or not -1e308 <= value <= 1e308:
            raise self.refuse(name, value)
        if not (self._minimum <= value <= self._maximum and value > self._above):
            raise self.refuse(name, value)
        return value


class Flag(Field):
    """true or false."""

    expected = "true or false"

    def read(self, name, value):
        if not isinstance(value, bool):
            raise self.refuse(name, value)
        return value


class Text(Field):
    """Some characters. ``plain``: none of them a command to a terminal."""

    def __init__(self, longest: int = 10_000, plain: bool = False) -> None:
        self._longest, self._plain = longest, plain
        self.expected = f"a text of at most {longest} characters" + (" without control characters" if plain else "")

    def read(self, name, value):
        if not isinstance(value, str) or len(value) > self._longest or any(0xD800 <= ord(c) < 0xE000 for c in value):
            raise self.refuse(name, value)
        if self._plain and not COMMANDS.isdisjoint(map(ord, value)):
            raise self.refuse(name, value)
        return value


class OneOf(Field):
    """One of some texts."""

    def __init__(self, known) -> None:
        self._known = tuple(known)
        self.expected = f"one of {', '.join(map(repr, self._known))}"

    def read(self, name, value):
        if not isinstance(value, str) or value not in self._known:
            raise self.refuse(name, value)
        return value


class Digest(Field):
    """A SHA-256 in hexadecimal digits."""

    expected = "a SHA-256 of 64 hexadecimal digits"

    def read(self, name, value):
        if not isinstance(value, str) or len(value) != 64 or not set(value) <= set("0123456789abcdef"):
            raise self.refuse(name, value)
        return value


class Maybe(Field):
    """Another field, or null."""

    def __init__(self, field: Field) -> None:
        self._field, self.expected = field, f"{field.expected}, or null"

    def read(self, name, value):
        return None if value is None else self._field.read(name, value)


class Either(Field):
    """The first of some fields that takes the value."""

    def __init__(self, *choices: Field) -> None:
        self._choices, self.expected = choices, ", or ".join(field.expected for field in choices)

    def read(self, name, value):
        for field in self._choices:
            try:
                return field.read(name, value)
            except InputError:
                continue
        raise self.refuse(name, value)


class ListOf(Field):
    """A list, every entry of one kind."""

    def __init__(self, field: Field, shortest: int = 0, longest: int = 10_000_000) -> None:
        self._field, self._shortest, self._longest = field, shortest, longest
        self.expected = f"a list of {shortest} to {longest} entries"

    def read(self, name, value):
        if not isinstance(value, list) or not self._shortest <= len(value) <= self._longest:
            raise self.refuse(name, value)
        try:
            return [self._field.read("", entry) for entry in value]
        except InputError:  # once more, slowly, for the entry's place
            return [self._field.read(f"{name}[{i}]", entry) for i, entry in enumerate(value)]


class MapOf(Field):
    """An object of any names, every value of one kind."""

    expected = "an object"

    def __init__(self, field: Field, longest: int = 100_000) -> None:
        self._field, self._longest, self._key = field, longest, Text(1000)

    def read(self, name, value):
        if not isinstance(value, dict) or len(value) > self._longest:
            raise self.refuse(name, value)
        return {
            self._key.read(f"a name in {name}", key): self._field.read(f"{name}[{shown(key)}]", entry)
            for key, entry in value.items()
        }


class Record(Field):
    """An object of known names: all of ``entries``, and perhaps some of ``optional``."""

    def __init__(self, entries: Mapping[str, Field], optional: Mapping[str, Field] | None = None) -> None:
        self._required, self.entries = set(entries), {**entries, **(optional or {})}
        self.expected = f"an object with {', '.join(entries)}"

    def read(self, name, value):
        if not isinstance(value, dict):
            raise self.refuse(name, value)
        for missing in sorted(self._required - value.keys()):
            raise InputError(f"{_place(name, missing)} is missing")
        for unknown in value.keys() - self.entries.keys():
            raise InputError(f"{name or 'the header'} has the unknown entry {shown(unknown)}")
        return {key: self.entries[key].read(_place(name, key), entry) for key, entry in value.items()}


class Built(Field):
    """The configuration of an object: whatever ``build`` makes one of. ``inner`` bounds it before."""

    def __init__(self, what: str, build: Callable, inner: Field | None = None) -> None:
        self._build, self._inner, self.expected = build, inner, f"the configuration of {what}"

    def read(self, name, value):
        value = value if self._inner is None else self._inner.read(name, value)
        try:
            self._build(value)
        except NpvaeError as error:
            raise InputError(f"{name} must be {self.expected}: {str(error)[:300]}") from error
        except (TypeError, ValueError, AttributeError, KeyError, OverflowError, RecursionError, MemoryError) as error:
            raise self.refuse(name, value) from error
        return value


class Anything(Field):
    """JSON that is bounded in depth and number of values; for configurations that their class checks."""

    def __init__(self, deepest: int = 10, most: int = 1_000_000) -> None:
        self._deepest, self._most = deepest, most
        self.expected = f"JSON of at most {most} values, {deepest} deep, its numbers finite"

    def read(self, name, value):
        layer, count = [value], 0
        for _ in range(self._deepest):
            count += len(layer)
            if count > self._most:
                raise self.refuse(name, value)
            following = []
            for entry in layer:
                if isinstance(entry, dict):
                    following += entry.values()
                elif isinstance(entry, list):
                    following += entry
                elif isinstance(entry, float) and not math.isfinite(entry):
                    raise self.refuse(name, value)
                elif isinstance(entry, int) and abs(entry) > LARGEST_WHOLE:
                    raise self.refuse(name, value)
            if not following:
                return value
            layer = following
        raise self.refuse(name, value)


def _place(name: str, key: str) -> str:
    return f"{name}.{key}" if name else key
