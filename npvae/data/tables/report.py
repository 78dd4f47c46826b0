"""What was read of a table and why, in words and as JSON."""

from __future__ import annotations

import numpy as np

from npvae.data.tables.carried import short
from npvae.data.tables.content import Column, Content
from npvae.data.tables.evidence import SHARE_OF_WORD
from npvae.data.tables.notation import Notation

_SEPARATORS = {"\t": "tab", " ": "blank"}
#: Values and lines named, characters of a name, and carried columns named.
FEW, LONGEST, MOST_NAMED = 5, 60, 100


def describe(table: Content, kinds=None) -> str:
    """A line about the text, one for what was left out of it, one a column, and what to look at. kinds: by column, what
    it is modelled as, in words."""
    lines = [how_read(table)]
    if table.form.outside:
        lines.append("lines that are no rows, kept as they are: " + outside(table) + " (--skip N, --comment TEXT)")
    width = min(30, max(len(column.name) for column in table.columns))
    lines += [
        f"  {column.name[:LONGEST]:{width}} {summary(column)}{modelled(kinds, column)}" for column in table.columns
    ]
    lines += ["kinds are chosen by evidence; another is said by --kind NAME=KIND"] if kinds else []
    return "\n".join([*lines, *notes(table)])


def how_read(table: Content) -> str:
    """The text's encoding, separator, names and decimal separator."""
    sheet = f"{table.sheet} (--sheet NAME), " if table.sheet else ""
    why = f" ({table.decoded.why}; --encoding NAME)" if table.decoded.why else ""
    separator = _SEPARATORS.get(table.form.cells.separator, table.form.cells.separator)
    decimal = f", decimal {table.mark!r} (--decimal)" if table.mark != "." else ""
    return (
        f"{table.name}: {sheet}{len(table)} rows, {len(table.columns)} columns; {table.decoded.encoding}{why}, "
        f"separator {separator!r} "
        "(--separator), "
        f"{names(table)} (--header yes|no){decimal}"
    )


def names(table: Content) -> str:
    """Where the names of the columns are."""
    return f"names in line {table.form.names_line}" if table.form.has_names else "no names"


def outside(table: Content) -> str:
    """The lines that are no rows."""
    by: dict[str, list[int]] = {}
    for line, why in sorted(table.form.outside):
        by.setdefault(why, []).append(line)
    return "; ".join(
        f"{why}: line {', '.join(map(str, lines[:FEW]))}{', ...' if len(lines) > FEW else ''}"
        for why, lines in by.items()
    )


def summary(column: Column) -> str:
    """The kind of a column, how it is written, and what of it is missing."""
    kind = {
        "number": "whole numbers" if column.is_whole else "numbers",
        "date": "dates",
        "truth": "truth values",
        "text": "categories",
    }
    parts = [
        f"carried, {column.carried} (--kind {column.name[:LONGEST]}=KIND)" if column.carried else kind[column.kind]
    ]
    if column.kind == "number" and not column.carried:
        seen = column.values[column.observed]
        parts += [f"{seen.min():.6g} to {seen.max():.6g}", _words(column.notation)]
    elif column.kind == "date":
        seen = column.values[column.observed]
        parts += [f"{column.write(seen.min())} to {column.write(seen.max())}"] if len(seen) else []
    elif not column.carried:
        values = [short(text) for text, _ in sorted(column.counts.items(), key=lambda item: -item[1])[:FEW]]
        parts.append(", ".join(values) + (f", ... ({len(column.counts)})" if len(column.counts) > FEW else ""))
    return "; ".join(filter(None, [*parts, missing(column)]))


def _words(notation: Notation) -> str:
    """What is unusual about a notation; "" where nothing is."""
    said = [
        f"decimal {notation.mark!r}" if notation.mark != "." else "",
        f"thousands {notation.group!r}" if notation.group else "",
    ]
    affixes = [f"{name} {text!r}" for name, text in (("prefix", notation.prefix), ("suffix", notation.suffix)) if text]
    return ", ".join(filter(None, [*said, *affixes]))


def modelled(kinds, column: Column) -> str:
    """What a column is modelled as, if that is known."""
    return f"; modelled as {kinds[column.name]}" if kinds and column.name in kinds else ""


def missing(column: Column) -> str:
    """How many cells are missing, by spelling: "26,937 missing (N/A)"."""
    total = int(column.missing.sum())
    spelled = {
        text or "empty": count for text, count in sorted(column.spellings.items(), key=lambda item: (-item[1], item[0]))
    }
    if len(spelled) == 1:
        return f"{total:,} missing ({next(iter(spelled))})"
    return f"{total:,} missing ({', '.join(f'{count:,} {text}' for text, count in spelled.items())})" if total else ""


def carried(table: Content) -> str:
    """The carried columns in a line, each with the reason; "" if there are none."""
    named = [f"{column.name[:LONGEST]} ({column.carried})" for column in table.columns if column.carried]
    more = f", and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
    return f"carried as they are: {', '.join(named[:MOST_NAMED])}{more}" if named else ""


def notes(table: Content) -> list[str]:
    """What the user should look at, a line each, with the option that is the way out."""
    found: list[str] = []
    far: dict[float, list[str]] = {}
    for column in table.columns:
        for value in column.suspicious:
            far.setdefault(value, []).append(f"{column.name} ({int((column.values == value).sum()):,} cells)")
        if column.others:
            rows = np.flatnonzero(~column.observed & ~column.missing)
            texts = [
                f"{short(text)} in {count} cell{'s' if count > 1 else ''}" for text, count in column.others.items()
            ]
            option = next(iter(column.others))
            found.append(
                f"{column.name}: {' and '.join(texts)} among numbers, first in line {table.line(int(rows[0]))}, "
                f"stay{'' if len(rows) > 1 else 's'} "
                f"as written; if that is missing: --missing={option}"
            )
        words = {text: count for text, count in column.spellings.items() if text.isalpha() and text.lower() != "nan"}
        if column.kind == "text" and not column.carried:
            for text, count in words.items():
                if count >= SHARE_OF_WORD * len(table):
                    found.append(
                        f"{column.name}: {text} is taken for missing in {count:,} of {len(table):,} cells; if it is an "
                        f"answer: --observed={text}"
                    )
    for value, names in far.items():
        shown = ", ".join(names[:FEW]) + (f", ... ({len(names)} columns)" if len(names) > FEW else "")
        found.append(
            f"{value:.15g} is far from all other numbers of {shown}; if that means missing: --missing={value:.15g}"
        )
    return found


def to_json(table: Content, kinds=None) -> dict:
    """The same for programs."""
    return {
        "file": table.name,
        "sheet": table.sheet,
        "rows": len(table),
        "encoding": table.decoded.encoding,
        "why": table.decoded.why,
        "separator": table.form.cells.separator,
        "decimal": table.mark,
        "names": table.form.has_names,
        "outside": [{"line": line, "why": why} for line, why in sorted(table.form.outside)],
        "columns": [
            {
                "name": column.name,
                "written": column.written,
                "kind": column.kind,
                "carried": column.carried,
                "notation": _words(column.notation),
                "decimals": column.notation.decimals if column.kind == "number" else None,
                "missing": int(column.missing.sum()),
                "modelled": (kinds or {}).get(column.name),
                "spellings": column.spellings,
                "others": column.others,
                "suspicious": column.suspicious,
                "values": dict(sorted(column.counts.items(), key=lambda item: -item[1])[:FEW])
                if column.kind == "text"
                else {},
            }
            for column in table.columns
        ],
        "notes": notes(table),
    }
