"""The tool that puts one-line faults into the sources (tools/mutants.py): its kinds of faults, and that it tells what
tests notice.

Started by hand, ``pytest -m campaign tests/test_campaign_mutants.py`` runs 300 of them, for hours: see
benchmarks/RESULTS.md.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).parent / "tools"
sys.path.insert(0, str(TOOLS))

from mutation.contexts import _moved  # noqa: E402
from mutation.operators import faults, is_readable  # noqa: E402

SOURCE = '''"""Words, 1 + 1."""
from random import normal

LIMIT = 10


def draw(seed, options, count=3, *, scale=1.0, quiet=False):
    """Words, 1 + 1."""
    if count < 2 and not quiet:
        raise ValueError(f"count is {count + 1}")
    x = normal(seed, "noise", options.step) * -scale
    total = options.start
    for i in range(count):
        total += x[:, i].sum(axis=1)
    sort(total)
    return clip(total, low=x[-1], high=LIMIT), x
'''


def test_every_kind_of_fault():
    found = {
        (fault.kind, fault.applied(SOURCE).splitlines()[fault.line - 1].strip())
        for fault in faults(SOURCE, ("noise", "split"))
    }
    for kind, line in [
        ("constant", "LIMIT = 11"),
        ("default changed", "def draw(seed, options, count=4, *, scale=1.0, quiet=False):"),
        ("default changed", "def draw(seed, options, count=3, *, scale=1.0, quiet=True):"),
        ("comparison", "if count <= 2 and not quiet:"),
        ("boolean", "if count < 2 or not quiet:"),
        ("boolean", "if count < 2 and quiet:"),
        ("statement removed", "pass"),
        ("sign", 'x = normal(seed, "noise", options.step) * scale'),
        ("draws merged", 'x = normal(seed, "split", options.step) * -scale'),
        ("draws merged", 'x = normal(seed, "noise", 0) * -scale'),
        ("arguments swapped", 'x = normal("noise", seed, options.step) * -scale'),
        ("other attribute", 'x = normal(seed, "noise", options.start) * -scale'),
        ("off by one", "for i in range(count - 1):"),
        ("arithmetic", "total -= x[:, i].sum(axis=1)"),
        ("index", "total += x[i, :].sum(axis=1)"),
        ("axis", "total += x[:, i].sum(axis=0)"),
        ("function", "total += x[:, i].mean(axis=1)"),
        ("keyword not forwarded", "total += x[:, i].sum()"),
        ("call removed", "total += x[:, i]"),
        ("keyword given another's value", "return clip(total, low=LIMIT, high=x[-1]), x"),
        ("keyword not forwarded", "return clip(total, high=LIMIT), x"),
        ("other value returned", "return x, clip(total, low=x[-1], high=LIMIT)"),
        ("index", "return clip(total, low=x[0], high=LIMIT), x"),
        ("condition", "if not (count < 2 and not quiet):"),
    ]:
        assert (kind, line) in found, (kind, line)
    changed = {line for _, line in found}
    assert not any(line.startswith(('"""', "from")) for line in changed)  # neither words nor imports
    assert all(is_readable(fault, SOURCE) for fault in faults(SOURCE))


def test_lines_are_found_again_after_changes(tmp_path):
    old, new = tmp_path / "old.py", tmp_path / "new.py"
    old.write_text("a\nb\nc\nd\n")
    new.write_text("a\nx\ny\nc\nnew\nd\n")
    moved = _moved(old, new)
    assert moved[1][0] == 1 and moved[3][0] == 4 and moved[4] == [6]
    assert {2, 3} <= set(moved[2]) and 5 in moved[3]  # of changed lines the neighbours


def tool(command: str, state: Path, *more: str, limit: int) -> str:
    """What a run of the tool prints."""
    if not (TOOLS.parents[1] / ".git").exists():
        pytest.skip("the tool copies what git knows, and this is no clone")
    pytest.importorskip("coverage")
    # Of a variable that was set for tests of this process its tests must know nothing.
    variables = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "MUTATION_", "COVERAGE_"))
    }
    done = subprocess.run(
        [sys.executable, str(TOOLS / "mutants.py"), command, "--state", str(state), *more],
        capture_output=True,
        text=True,
        timeout=limit,
        env=variables,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def write_plan(state: Path, seed: int, mutants: list[tuple[str, str, str]]) -> None:
    """A sample that is no sample: these faults, each the text of a line, what of it goes, and what comes in its
    place.
    """
    from mutation.copies import ROOT, copy_tree

    folder = state / f"seed-{seed}"
    copy_tree(folder / "tree")
    records = []
    for line, old, new in mutants:
        lines = (ROOT / "npvae" / "mathematics" / "schedules.py").read_text().splitlines()
        number = next(i for i, each in enumerate(lines) if each.strip() == line)
        start = lines[number].index(old)
        records.append(
            {
                "path": "npvae/mathematics/schedules.py",
                "line": number + 1,
                "start": start,
                "end": start + len(old),
                "new": new,
                "kind": "by hand",
                "before": line,
                "after": line.replace(old, new),
            }
        )
    (folder / "plan.json").write_text(json.dumps(records))


KNOWN = [
    ("return self.decay**epoch", "**", "*"),
    ("return self.decay**epoch", "self.decay**epoch", "(self.decay)**epoch"),
]


@pytest.mark.slow
def test_a_minute_of_it(tmp_path):
    """A known fault is noticed, one that changes nothing is not, and of a small sample nearly all are."""
    tool("collect", tmp_path, "--tests", "test_schedules.py", "test_kl_warmup.py", limit=600)
    write_plan(tmp_path, 1, KNOWN)
    tool("run", tmp_path, "--seed", "1", limit=900)
    rows = tool("report", tmp_path, "--seed", "1", limit=60).splitlines()
    assert next(row.split() for row in rows if row.startswith("all")) == ["all", "2", "1", "0", "1", "0", "50", "%"]
    results = [json.loads(line) for line in (tmp_path / "seed-1" / "results-1.jsonl").read_text().splitlines()]
    assert [(each["verdict"], each["new"]) for each in results] == [
        ("killed", "*"),
        ("survived", "(self.decay)**epoch"),
    ]
    assert "test_schedules" in results[0]["by"] and results[1]["ran"] > 0
    tool(
        "run",
        tmp_path,
        "--seed",
        "2",
        "--count",
        "12",
        "--seconds",
        "60",
        "--only",
        r"npvae/mathematics/(schedules|kl_warmup)\.py",
        limit=1800,
    )
    drawn = json.loads((tmp_path / "seed-2" / "plan.json").read_text())
    results = [json.loads(line) for line in (tmp_path / "seed-2" / "results-1.jsonl").read_text().splitlines()]
    assert len(drawn) == 12 and len({(each["path"], each["line"]) for each in drawn}) == 12 and results
    assert sum(each["verdict"] in ("killed", "timeout") for each in results) >= 0.6 * len(results)
    # Started again it goes on where it was, and with everything done there is nothing left.
    tool("run", tmp_path, "--seed", "2", limit=1800)
    assert "nothing is left" in tool("run", tmp_path, "--seed", "2", limit=600)


@pytest.mark.campaign
def test_three_hundred_mutants():
    """The full length, in the folder .mutants of the clone: it goes on where an earlier run ended. The seed:
    NPVAE_CAMPAIGN_SEED.
    """
    state, seed = TOOLS.parents[1] / ".mutants", os.environ.get("NPVAE_CAMPAIGN_SEED", "0")
    day = 24 * 3600
    tool("collect", state, limit=day)
    tool("run", state, "--seed", seed, limit=day)
    tool("whole", state, "--seed", seed, limit=day)
    said = tool("report", state, "--seed", seed, limit=600)
    print(said)
    (rate,) = [line.split()[-2] for line in said.split("\n\n")[0].splitlines() if line.startswith("all")]
    assert float(rate) >= 97, said
