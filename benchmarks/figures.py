"""Figures that a change of the code's structure must keep, measured without a clock, and compared with those of before.

    python benchmarks/figures.py --out FILE [--only instructions,bits,house]
    python benchmarks/figures.py --against FILE [--only ...]

instructions   optimised LLVM instructions of every compiled function, for AVX2 and AVX-512 (instructions.py)
bits           a hash of the parameters after 100 steps of every kind of model on every backend that runs here (bits.py)
house          lines of code, entries, import circles, upward imports (house.py)

``--against`` prints what differs and ends with status 1 if a function has more instructions or the bits of a model are
others. ``benchmarks/figures.json`` has the figures of the commit that it was last written at: its bits are of that
machine's processor, so make a file of the commit before on the machine where a change is tried.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import bits
import house
import instructions

KINDS = ("instructions", "bits", "house")


def measure(kinds) -> dict:
    """The figures of some kinds."""
    found = {}
    if "instructions" in kinds:
        found["instructions"] = {target: instructions.of_target(target) for target in instructions.TARGETS}
    if "bits" in kinds:
        found["bits"] = bits.hashes()
    if "house" in kinds:
        found["house"] = house.figures()
    return found


def compare(before: dict, now: dict) -> bool:
    """Print what differs; whether nothing has got worse: no instruction more, no bit another."""
    worse = 0
    for target, counts in now.get("instructions", {}).items():
        old = before["instructions"][target]
        for name in sorted(counts.keys() | old.keys()):
            if counts.get(name) != old.get(name):
                print(f"{target} {name}: {old.get(name, 'none')} -> {counts.get(name, 'none')} instructions")
                worse += name in counts and name in old and counts[name] > old[name]
    for name, value in now.get("bits", {}).items():
        if before["bits"].get(name) != value:
            print(f"{name}: {'other bits' if name in before['bits'] else 'not there before'}")
            worse += name in before["bits"]
    for name in before.get("bits", {}) if "bits" in now else ():
        if name not in now["bits"]:
            print(f"{name}: gone")
    for name, value in now.get("house", {}).items():
        old = before["house"][name]
        if isinstance(value, list):
            print(f"{name}: {len(old)} -> {len(value)}")
            print("".join(f"    gone  {each}\n" for each in old if each not in value), end="")
            print("".join(f"    new   {each}\n" for each in value if each not in old), end="")
        else:
            print(f"{name}: {old} -> {value}")
    return not worse


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the figures to this file")
    parser.add_argument("--against", type=Path, metavar="FILE", help="compare with the figures in this file")
    parser.add_argument(
        "--only", default=",".join(KINDS), metavar="KINDS", help="which figures, by commas (default: all)"
    )
    options = parser.parse_args()
    kinds = options.only.split(",")
    for kind in kinds:
        if kind not in KINDS:
            parser.error(f"--only: unknown kind {kind!r}; known: {', '.join(KINDS)}")
    before = None if options.against is None else json.loads(options.against.read_text(encoding="utf-8"))
    now = measure(kinds)
    if options.out is not None:
        options.out.write_text(json.dumps(now, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if before is not None:
        return 0 if compare(before, now) else 1
    if options.out is None:
        print(json.dumps(now, indent=1, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
