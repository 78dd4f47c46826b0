"""Bytes to text by evidence: a byte order mark, else UTF-8, else the first of these of which the text has most of its signs.

    encoding        sign: the share of all characters above ASCII that are ...
    UTF-16          (every second byte is zero)
    GB18030         hanzi or punctuation of GB 2312, of its first level
    CP932           kana, kanji of JIS level 1 and fullwidth punctuation (Shift-JIS as Windows has it)
    CP1251          Cyrillic letters beside Cyrillic letters
    CP1252          letters beside ASCII letters; signs such as degree and currency beside anything else
    Latin-1         (the rest: every byte is a character)

No guess is accepted unless the text encodes back to the same bytes, so that a wrong one harms no cell: what is kept is written
as the bytes that it was.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from npvae.errors import DataFileError, InputError

#: Bytes of a file from which its encoding is guessed, and the least share of signs for a guess.
SAMPLE, LEAST_SHARE = 1 << 20, 0.5
_MARKS = [(codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be"),
          (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")]


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
    """The text of a file's bytes. InputError: no such encoding. DataFileError: it is not in this encoding, or no text."""
    if encoding is not None:
        try:
            known = codecs.lookup(encoding).name
        except (LookupError, ValueError):
            raise InputError(f"encoding={encoding!r} is not known; utf-8, utf-16, gb18030, cp932, cp1252 and latin-1 are, and others of Python") from None
        mark = next((mark for mark, kind in _MARKS if data.startswith(mark) and kind.startswith(known[:6].replace("_", "-"))), b"")
        known = next((kind for found, kind in _MARKS if found == mark), known) if mark else known
        try:
            return Decoded(_utf8(data[len(mark):], known), known, mark, "as said")
        except (UnicodeError, LookupError, TypeError) as error:
            where = f"line {_line(data[len(mark):], error.start)}: " if isinstance(error, UnicodeDecodeError) else ""
            raise DataFileError(f"{name}: {where}expected text in {encoding}, got other bytes ({error}); leave encoding= out to have it guessed") from None
    for mark, kind in _MARKS:
        if data.startswith(mark):
            try:
                return Decoded(_utf8(data[len(mark):], kind), kind, mark, "by its byte order mark")
            except UnicodeError:
                break
    if b"\0" not in data and _is_utf8(data):
        return Decoded(data, "utf-8", b"", "")
    zeros = data[1:SAMPLE:2].count(0), data[:SAMPLE:2].count(0)
    guesses = [("utf-16-le" if zeros[0] > zeros[1] else "utf-16-be", 1.0)] if max(zeros) > 0.3 * len(data[:SAMPLE:2]) and not min(zeros) else []
    if not guesses and b"\0" in data:
        raise DataFileError(f"{name}: line {_line(data, data.index(0))}: expected a table of text, got a zero byte: it is no text, or damaged")
    sample = _sample(data)
    guesses = guesses or sorted(((kind, sign(sample)) for kind, sign in _SIGNS.items()), key=lambda guess: -guess[1])
    for kind, share in [*((kind, share) for kind, share in guesses if share >= LEAST_SHARE), ("cp1252", 0.0), ("latin-1", 0.0)]:
        try:
            return Decoded(_utf8(data, kind), kind, b"", f"guessed: {share:.0%} of its characters above ASCII are usual ones" if share else "guessed")
        except UnicodeError:
            continue
    raise DataFileError(f"{name}: expected a table of text")


def _utf8(data: bytes, encoding: str) -> bytes:
    """The text in UTF-8; UnicodeError unless it encodes back to these bytes."""
    text = data.decode(encoding)
    if text.encode(encoding) != data:
        raise UnicodeError("the text does not encode back to the same bytes")
    return data if encoding == "utf-8" else text.encode("utf-8")


def _is_utf8(data: bytes) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        return data.isascii() or not any(decoder.decode(data[i:i + SAMPLE], i + SAMPLE >= len(data)) is None for i in range(0, len(data), SAMPLE))
    except UnicodeDecodeError:
        return False


def _line(data: bytes, at: int) -> int:
    return data.count(b"\n", 0, at) + 1


def _sample(data: bytes) -> bytes:
    """Lines with bytes above ASCII, at most SAMPLE bytes of them."""
    return b"\n".join(re.findall(rb"[^\r\n]*[\x80-\xff][^\r\n]*", data[: 16 * SAMPLE]))[:SAMPLE].rpartition(b"\n")[0] or data[:SAMPLE]


def _of_pairs(encoding: str, usual) -> object:
    """Signs of an encoding with two bytes a character: ``usual(first byte, second byte)``; a single one is none."""
    def sign(sample: bytes) -> float:
        above = [char.encode(encoding) for char in sample.decode(encoding, "replace") if char > "\x7f" and char != "\ufffd"]
        return sum(len(pair) == 2 and usual(*pair) for pair in above) / max(1, len(above) + sample.decode(encoding, "replace").count("\ufffd"))

    return sign


def _share(pattern: bytes):
    """Signs of an encoding with one byte a character: bytes above ASCII inside matches of the pattern."""
    found = re.compile(pattern)

    def sign(sample: bytes) -> float:
        above = sum(map(len, re.findall(rb"[\x80-\xff]+", sample)))
        return sum(len(re.findall(rb"[\x80-\xff]", part)) for part in found.findall(sample)) / max(1, above)

    return sign


_SIGNS = {
    "gb18030": _of_pairs("gb18030", lambda a, b: (0xB0 <= a <= 0xD7 or 0xA1 <= a <= 0xA3) and b >= 0xA1),
    "cp932": _of_pairs("cp932", lambda a, b: a <= 0x83 or 0x88 <= a <= 0x97),
    "cp1251": _share(rb"[\xc0-\xff\xa8\xb8]{3,}"),
    "cp1252": _share(rb"(?<=[A-Za-z])[\x8a\x8c\x8e\x9a\x9c\x9e\x9f\xc0-\xff]{1,2}(?![\x80-\xff])|(?<![\x80-\xff])[\xc0-\xff]{1,2}(?=[A-Za-z])"
                     rb"|(?<![\x80-\xff])[\x80\x91-\x97\xa0\xa3\xa7\xa9\xab\xb0-\xb3\xb5\xbb\xd7](?![\x80-\xff])"),
}
