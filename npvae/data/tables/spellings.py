"""What stands for nothing in text: in a table's cells, and among labels."""

from __future__ import annotations

from npvae.errors import InputTypeError

#: Cells that are missing unless the user says otherwise.
SPELLINGS = frozenset(
    {"", "?", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "-nan", "NaT", "NULL", "Null", "null", "None"}
)


def spellings(missing=(), observed=()) -> frozenset[str]:
    """The spellings with those of ``missing`` and without those of ``observed``, one text or several.
    InputTypeError: they are none.
    """
    added, taken = (texts_of(name, texts) for name, texts in (("missing", missing), ("observed", observed)))
    return (SPELLINGS | added) - taken


def texts_of(name: str, texts) -> frozenset[str]:
    """An argument that is a text, a number, or several, as texts without blanks around. InputTypeError: it is
    something else.
    """
    several = [texts] if isinstance(texts, (str, int, float)) else list(texts or ())
    if not all(isinstance(text, (str, int, float)) for text in several):
        raise InputTypeError(f"{name} must be texts, got {several!r}")
    return frozenset(str(text).strip() for text in several)
