"""What became of the mutants, by kind and by folder, and those that live."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

KILLED = ("killed", "timeout")


def table(results: Iterable[dict], equivalents: dict[str, str], of) -> str:
    """Rows of killed, timeout, survived, equivalent by what ``of`` says of a mutant."""
    counts: dict[str, Counter] = {}
    for result in results:
        counts.setdefault(of(result), Counter())[_verdict(result, equivalents)] += 1
        counts.setdefault("all", Counter())[_verdict(result, equivalents)] += 1
    columns = ("killed", "timeout", "survived", "equivalent")
    width = max(map(len, counts), default=4)
    lines = [f"{'':<{width}} {'mutants':>8}" + "".join(f"{column:>11}" for column in columns) + f"{'kill rate':>11}"]
    for name in sorted(counts, key=lambda each: (each == "all", each)):
        row = counts[name]
        real = sum(row.values()) - row["equivalent"]
        rate = f"{100 * (row['killed'] + row['timeout']) / real:.0f} %" if real else "-"
        lines.append(
            f"{name:<{width}} {sum(row.values()):>8}" + "".join(f"{row[c]:>11}" for c in columns) + f"{rate:>11}"
        )
    return "\n".join(lines)


def survivors(results: Iterable[dict], equivalents: dict[str, str]) -> str:
    """The mutants that live, each with its line before and after."""
    lines = []
    for result in results:
        if _verdict(result, equivalents) in ("survived", "equivalent"):
            reason = equivalents.get(result["name"])
            lines += [
                f"{result['path']}:{result['line']}  {result['kind']}  ({result['ran']} tests ran, {result['how']})"
                + (f"  equivalent: {reason}" if reason else ""),
                f"  - {result['before']}",
                f"  + {result['after']}",
                f"  {result['name']}",
            ]
    return "\n".join(lines)


def report(results: list[dict], equivalents: dict[str, str]) -> str:
    """All of it."""
    return "\n\n".join(
        filter(
            None,
            (
                table(results, equivalents, lambda result: result["kind"]),
                table(results, equivalents, lambda result: str(Path(result["path"]).parent)),
                survivors(results, equivalents),
            ),
        )
    )


def _verdict(result: dict, equivalents: dict[str, str]) -> str:
    if result["verdict"] in KILLED:
        return result["verdict"]
    return "equivalent" if result["name"] in equivalents else "survived"
