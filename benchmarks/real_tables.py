"""Tables of packages and public repositories, as they are: does ``npvae impute FILE --out FILLED`` fill their gaps, and
nothing else?

    python benchmarks/real_tables.py FOLDER --list           # which columns hold numbers or recurring answers, by this
                                                             # file's own rules
    python benchmarks/real_tables.py FOLDER --results FILE   # run npvae on each table, once, and compare
    ... --reader                                             # read, fill by medians and most frequent values, write: no
                                                             # model

FOLDER holds the files of real_tables.json under their names there, which says where each is from, its SHA-256, how it
is cut into cells, and the columns that are to be filled. Nothing of npvae is used to read them: the cells are cut by a
regular expression, and the lists were written down before npvae was run. Of a table without gaps, one in twenty cells
of the listed columns is emptied first, by seed.

Filled: exit code 0, every missing cell of at least 95 % of the listed columns has a value, and every other byte is as
it was.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

LIST = Path(__file__).with_suffix(".json")
MISSING = {"", "?", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "null", "NULL", "None"}
NUMBER = re.compile(
    r"([^\d+\-.,]{0,4}?)[+-]?(\d{1,3}(?:[, ]\d{3})+(?:\.\d+)?|\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][+-]?\d+)?([^\d]{0,12})"
)
DATE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d)?Z?)?")


def records(data: bytes, separator: bytes) -> list[list[tuple[int, int]]]:
    """Where the cells of every line begin and end, with their quotes; lines in quotes are part of a cell."""
    if separator == b" ":
        lines = re.finditer(rb"[^\r\n]+", data)
        return [
            [(line.start() + at.start(), line.start() + at.end()) for at in re.finditer(rb'"[^"]*"|[^ \t]+', line[0])]
            for line in lines
        ]
    cell = re.compile(rb'("(?:[^"]|"")*"[^%b\r\n]*|[^%b\r\n]*)(%b|\r\n|\n|\r|\Z)' % ((re.escape(separator),) * 3))
    rows, row, at = [], [], 0
    while at < len(data):
        found = cell.match(data, at)
        row.append(found.span(1))
        at = found.end()
        if found[2] != separator:
            rows.append(row)
            row = []
    if data.endswith(separator):
        row.append((len(data), len(data)))
    return [*rows, row] if row else rows


class Real:
    """A table as its entry describes it: first, of the rows; end: how many lines after the last one are no rows."""

    def __init__(self, entry: dict, data: bytes) -> None:
        self.data, self.encoding = data, entry["encoding"]
        self.separator = entry["separator"].encode()
        rows = records(data, self.separator)
        self.rows = rows[entry["first"] : len(rows) - entry.get("end", 0)]
        self.width = Counter(map(len, self.rows)).most_common(1)[0][0]
        self.cells = [[self._text(*span) for span in row] for row in self.rows]

    def _text(self, start: int, end: int) -> str:
        return self.data[start:end].decode(self.encoding).strip().strip('"').strip()

    def column(self, j: int) -> list[str]:
        return [row[j] if j < len(row) else "" for row in self.cells]

    def is_missing(self, i: int, j: int) -> bool:
        return j >= len(self.cells[i]) or self.cells[i][j] in MISSING

    def gaps(self, columns) -> dict[int, list[int]]:
        found = {j: [i for i in range(len(self.rows)) if self.is_missing(i, j)] for j in columns}
        return {j: rows for j, rows in found.items() if rows}

    def kind(self, j: int) -> str:
        """ "number", "date", "answers" (at most 50, recurring) or "" of a column."""
        seen = [text for text in self.column(j) if text not in MISSING]
        counts = Counter(seen)
        if len(counts) < 2:
            return ""
        found = {text: NUMBER.fullmatch(text) for text in counts}
        affixes = Counter((match[1], match[3]) for text in seen if (match := found[text]))
        if affixes:
            usual = affixes.most_common(1)[0][0]
            others = [text for text in counts if not found[text] or (found[text][1], found[text][3]) != usual]
            code = any(text[0] == "0" and len(text) > 1 and text.isdigit() for text in counts)
            if len(others) <= 3 and sum(counts[text] for text in others) <= 0.05 * len(seen) and not code:
                return "number"
        if all(map(DATE.fullmatch, counts)):
            return "date"
        recurring = sum(count for count in counts.values() if count > 1)
        return "answers" if len(counts) <= 50 and 2 * len(counts) <= len(seen) and 2 * recurring > len(seen) else ""

    def observed(self, gaps_of: Real | None = None) -> list[bytes]:
        """The bytes between the cells that are missing, here or in another table of as many cells."""
        parts, last = [], 0
        for i, row in enumerate(self.rows):
            for j, (a, b) in enumerate(row):
                if (gaps_of or self).is_missing(i, j):
                    parts.append(self.data[last:a])
                    last = b
        return [*parts, self.data[last:]]

    def with_gaps(self, columns, seed: int) -> bytes:
        """The bytes with one in twenty cells of these columns emptied."""
        generator, empty = random.Random(seed), b"NA" if self.separator == b" " else b""
        spans = [
            self.rows[i][j]
            for i in range(len(self.rows))
            for j in columns
            if j < len(self.rows[i]) and generator.random() < 0.05
        ]
        data, last = [], 0
        for a, b in sorted(spans):
            data += [self.data[last:a], empty]
            last = b
        return b"".join([*data, self.data[last:]])


def outcome(before: Real, after: Real, gaps: dict[int, list[int]]) -> tuple[str, list[int]]:
    """ "filled", or what is wrong; the columns with gaps that are left."""
    if before.observed() != after.observed(before):
        return "observed cells changed", [*gaps]
    left = [j for j, rows in gaps.items() if any(after.is_missing(i, j) for i in rows)]
    return "filled" if len(left) <= 0.05 * len(gaps) else "columns left", left


def by_reader(source: Path, out: Path) -> str:
    """Fill the columns that npvae would model without a model; what it says if it refuses the table, or ""."""
    import numpy as np

    import npvae

    try:
        table = npvae.read_table(source)
    except npvae.errors.NpvaeError as error:
        return str(error)
    values = {}
    for column in table.modelled():
        seen, plain = column.values[column.observed], column.values
        usual = np.median(seen) if seen.dtype.kind == "f" else Counter(seen.tolist()).most_common(1)[0][0]
        values[column.name] = (
            np.where(column.observed, plain, usual)
            if seen.dtype.kind == "f"
            else [usual if cell is None else cell for cell in plain]
        )
    table.write(out, values)
    return ""


def run(path: Path, entry: dict, folder: Path, options: list[str] | None) -> dict:
    """The outcome of one command on one table; options: None for the reader alone."""
    before = Real(entry, path.read_bytes())
    columns = entry["columns"]
    source = path
    if not before.gaps(columns):
        source = folder / f"gaps-{path.name}"
        source.write_bytes(before.with_gaps(columns, 1))
        before = Real(entry, source.read_bytes())
    out = folder / f"filled-{path.name}"
    begin = time.monotonic()
    if options is None:
        refused = by_reader(source, out)
    else:
        done = subprocess.run(
            ["npvae", "impute", str(source), "--out", str(out), *options], capture_output=True, text=True, timeout=1200
        )
        refused = done.stderr.strip().splitlines()[-1] if done.returncode else ""
    seconds = time.monotonic() - begin
    gaps = before.gaps(columns)
    if refused:
        words, left = refused[-300:], [*gaps]
    else:
        words, left = outcome(before, Real(entry, out.read_bytes()), gaps)
    return {"table": path.name, "outcome": words, "columns": len(gaps), "left": left, "seconds": round(seconds, 1)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--results", type=Path)
    parser.add_argument("--only")
    parser.add_argument("--reader", action="store_true")
    parser.add_argument(
        "--options", nargs=argparse.REMAINDER, default=[], help="of npvae impute, such as --members 1; for a quick look"
    )
    said = parser.parse_args()
    entries, results = json.loads(LIST.read_text(encoding="utf-8")), []
    for name, entry in entries.items():
        path = said.folder / name
        if not path.exists() or (said.only and said.only not in name):
            print(f"{name}: not there; it is {entry['path']} of {entry['from']}") if not path.exists() else None
            continue
        data = path.read_bytes()
        if said.list:
            table = Real(entry, data)
            kinds = {j: table.kind(j) for j in range(table.width)}
            print(
                name,
                len(table.rows),
                "rows:",
                {j: f"{kind} {len(table.gaps([j]).get(j, []))}" for j, kind in kinds.items() if kind},
            )
            continue
        if hashlib.sha256(data).hexdigest() != entry["sha256"]:
            print(f"{name}: another file than that of {entry['from']}")
            continue
        results.append(run(path, entry, Path(said.results).parent, None if said.reader else said.options))
        print(json.dumps(results[-1]), flush=True)
        said.results.write_text(json.dumps(results, indent=1), encoding="utf-8")
    if results:
        print(f"{sum(result['outcome'] == 'filled' for result in results)} of {len(results)} filled")
    return 0


if __name__ == "__main__":
    sys.exit(main())
