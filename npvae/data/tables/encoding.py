"""Bytes to text by evidence: a byte order mark, else UTF-8, else what most characters above ASCII then are.

    UTF-16    every second byte is zero
    GB18030   hanzi of the first level of GB 2312, or its punctuation
    CP932     kana, kanji of JIS level 1, fullwidth punctuation (Shift-JIS as Windows has it)
    CP1251    Cyrillic letters beside Cyrillic letters
    CP1252    letters beside ASCII letters; signs such as degree and currency alone
    Latin-1   the rest: every byte is a character

No guess is accepted unless the text encodes back to the same bytes, so that a wrong one harms no cell: what is kept is
written as the bytes that it was.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from npvae.errors import DataFileError, InputError

#: Bytes of a file from which its encoding is guessed, and the least share of usual characters for a guess.
SAMPLE, LEAST_SHARE = 1 << 20, 0.5
_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_BYTES = {
    "cp1251": rb"[\xc0-\xff\xa8\xb8]{3,}",
    "cp1252": rb"(?<=[A-Za-z])[\x8a\x8c\x8e\x9a\x9c\x9e\x9f\xc0-\xff]{1,2}(?![\x80-\xff])"
    rb"|(?<![\x80-\xff])[\xc0-\xff]{1,2}(?=[A-Za-z])"
    rb"|(?<![\x80-\xff])[\x80\x91-\x97\xa0\xa3\xa7\xa9\xab\xb0-\xb3\xb5\xbb\xd7](?![\x80-\xff])",
}
_PAIRS = {
    "gb18030": lambda a, b: (0xB0 <= a <= 0xD7 or 0xA1 <= a <= 0xA3) and b >= 0xA1,
    "cp932": lambda a, b: a <= 0x83 or 0x88 <= a <= 0x97,
}


@dataclass(frozen=True)
class Decoded:
    """Text as UTF-8; the encoding and byte order mark of its file; why this encoding, in words."""

    text: bytes
    encoding: str
    mark: bytes
    why: str

    def encode(self, text: bytes) -> bytes:
        """Text in UTF-8 as the file has it."""
        return self.mark + (text if self.encoding == "utf-8" else text.decode("utf-8").encode(self.encoding))


def decode(name, data: bytes, encoding: str | None = None) -> Decoded:
    """The text of a file's bytes. InputError: no such encoding. DataFileError: it is not in this encoding, or no
    text.
    """
    mark = next((mark for mark in _MARKS if data.startswith(mark)), b"")
    if encoding is not None:
        try:
            kind = codecs.lookup(encoding).name
        except (LookupError, ValueError):
            raise InputError(
                f"encoding={encoding!r} is not known; utf-8, utf-16, gb18030, cp932, cp1252 and latin-1 are, and "
                f"others of Python"
            ) from None
        mark = mark if mark and _MARKS[mark].startswith(kind[:6]) and kind != "utf-8-sig" else b""
        try:
            return _decoded(data, _MARKS.get(mark, kind), mark, "as said")
        except (UnicodeError, LookupError, TypeError) as error:
            where = f"line {_line(data[len(mark) :], error.start)}: " if isinstance(error, UnicodeDecodeError) else ""
            raise DataFileError(
                f"{name}: {where}expected text in {encoding}, got other bytes ({error}); leave encoding= out to have "
                f"it guessed"
            ) from None
    guesses = [(_MARKS[mark], mark, "by its byte order mark")] if mark else []
    if b"\0" in data:
        zeros = data[1:SAMPLE:2].count(0), data[:SAMPLE:2].count(0)
        if not mark and max(zeros) > 0.3 * len(data[:SAMPLE:2]) and not min(zeros):
            guesses.append(("utf-16-le" if zeros[0] else "utf-16-be", b"", "guessed: every second byte is zero"))
        if not guesses:
            raise DataFileError(
                f"{name}: line {_line(data, data.index(0))}: expected a table of text, got a zero byte: it is no text, "
                f"or damaged"
            )
    elif not mark and data.isascii():
        return Decoded(data, "utf-8", b"", "")
    guesses += [("utf-8", b"", "")]
    for guess in guesses:
        try:
            return _decoded(data, *guess)
        except UnicodeError:
            continue
    # Lines without a character above ASCII say nothing of it.
    lines = b"\n".join(line for line in re.split(rb"[\r\n]+", data[: 16 * SAMPLE]) if not line.isascii())[:SAMPLE]
    shares = sorted(((_share(kind, lines), kind) for kind in (*_PAIRS, *_BYTES)), reverse=True)
    for share, kind in [*(each for each in shares if each[0] >= LEAST_SHARE), (0.0, "cp1252"), (0.0, "latin-1")]:
        try:
            return _decoded(
                data,
                kind,
                b"",
                f"guessed: {share:.0%} of its characters above ASCII are usual ones" if share else "guessed",
            )
        except UnicodeError:
            continue
    raise DataFileError(f"{name}: expected a table of text")


def _decoded(data: bytes, encoding: str, mark: bytes, why: str) -> Decoded:
    """The text; UnicodeError unless it encodes back to these bytes."""
    data = data[len(mark) :]
    text = data.decode(encoding)
    if encoding == "utf-8":  # whose decoder takes nothing that does not encode back
        return Decoded(data, encoding, mark, why)
    if text.encode(encoding) != data:
        raise UnicodeError("the text does not encode back to the same bytes")
    return Decoded(text.encode("utf-8"), encoding, mark, why)


def _line(data: bytes, at: int) -> int:
    return data.count(b"\n", 0, at) + 1


def _share(encoding: str, lines: bytes) -> float:
    """The share of usual characters among those above ASCII."""
    if encoding in _BYTES:
        usual = sum(len(re.findall(rb"[\x80-\xff]", part)) for part in re.findall(_BYTES[encoding], lines))
        return usual / max(1, len(re.findall(rb"[\x80-\xff]", lines)))
    above = [char.encode(encoding, "replace") for char in lines.decode(encoding, "replace") if char > "\x7f"]
    return sum(len(pair) == 2 and _PAIRS[encoding](*pair) for pair in above) / max(1, len(above))
