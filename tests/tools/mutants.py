"""Mutation testing: how many one-line faults in npvae/ and kernels/ the tests notice.

    python tests/tools/mutants.py collect --state S           record which tests execute which lines (once; again after
                                                              changes)
    python tests/tools/mutants.py run --state S --seed 7      draw 300 mutants and run the tests of each; started again,
                                                              it goes on
    python tests/tools/mutants.py whole --state S --seed 7    the survivors, once more, against every other test, but
                                                              equivalents
    python tests/tools/mutants.py report --state S --seed 7   tables by kind and folder, and the survivors

Everything happens in copies of the tree, in the folder S: it must be outside the repository, or ignored by git.
``--equivalents`` names a .json of ``{mutant: reason}``: those that change nothing that anybody could see.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from mutation import contexts, copies, plan, run, table  # noqa: E402


def main(arguments=None) -> int:
    """Run a command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("collect", "run", "whole", "report"))
    parser.add_argument("--state", type=Path, required=True, help="the folder of copies, records and results")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--count", type=int, default=300, help="mutants in the sample (default 300)")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no mutant after so many seconds")
    parser.add_argument("--only", default="", metavar="REGEX", help="of paths: put faults into these sources only")
    parser.add_argument(
        "--tests", nargs="*", metavar="FILE", help="collect: these files of tests only, such as test_optim.py"
    )
    parser.add_argument(
        "--again", action="store_true", help="whole, run: the survivors once more, after tests were added"
    )
    parser.add_argument(
        "--worker", default="1/1", metavar="I/N", help="run every N-th mutant, the I-th first: for several processes"
    )
    parser.add_argument("--equivalents", type=Path, help="a .json of mutants that change nothing, with reasons")
    options = parser.parse_args(arguments)
    options.state = options.state.resolve()
    options.state.mkdir(parents=True, exist_ok=True)
    return {"collect": _collect, "run": _run, "whole": _run, "report": _report}[options.command](options)


def _collect(options) -> int:
    tree = copies.copy_tree(options.state / "tree")
    contexts.collect(tree, options.state, options.tests)
    return 0


def _run(options) -> int:
    """Run, or run again, the mutants of a sample; results are added to its file one by one."""
    folder = _folder(options)
    plan_file = folder / "plan.json"
    if not plan_file.exists():
        tree = copies.copy_tree(folder / "tree")
        mutants = plan.sample(tree, options.seed, options.count, options.only)
        plan_file.write_text(json.dumps([mutant.as_record() for mutant in mutants], indent=1))
        print(f"{len(mutants)} mutants drawn with seed {options.seed}", flush=True)
    mutants = [plan.Mutant.of_record(record) for record in json.loads(plan_file.read_text())]
    first, _, step = options.worker.partition("/")
    done = _results(folder)
    todo = [
        mutant
        for mutant in mutants[int(first) - 1 :: int(step)]
        if _is_due(options, mutant.name, done.get(mutant.name))
    ]
    todo.sort(key=lambda mutant: mutant.path.startswith("kernels/"))  # each has to be compiled: last
    recorded = contexts.Contexts(folder / "tree", options.state)
    known, name = plan.Sources(folder / "tree"), f"worker-{first}"
    tree = run.copy_of(folder / "tree", folder / name / "tree")
    runner = run.Runner(tree, folder / name / "home", folder / name, recorded.seconds)
    if todo:
        run.preload()
        if not options.only:
            runner.warm_up(options.state / "programs")
    started = time.monotonic()
    for i, mutant in enumerate(todo):
        if time.monotonic() - started > options.seconds:
            break
        tests, how = plan.tests_of(mutant, known, recorded)
        limit = run.LIMIT
        if options.command == "whole":
            tests, limit = plan.fastest(recorded.all() - set(tests), recorded, longest=float("inf")), 6 * run.LIMIT
        result = runner.verdict(mutant, tests, limit)
        result = {"name": mutant.name, **mutant.as_record(), "how": how, "stage": options.command, **result}
        with open(folder / f"results-{first}.jsonl", "a") as file:
            file.write(json.dumps(result) + "\n")
        print(
            f"{i + 1}/{len(todo)} {result['verdict']:<10} {result['seconds']:6.1f} s  {mutant.name}  "
            f"{result['by'][:90]}",
            flush=True,
        )
    else:
        print("nothing is left to run", flush=True)
    return 0


def _is_due(options, name: str, result: dict | None) -> bool:
    if options.command == "run":
        return result is None or (options.again and result["verdict"] not in table.KILLED)
    return (
        result is not None
        and name not in _equivalents(options)
        and result["verdict"] not in table.KILLED
        and (options.again or result["stage"] != "whole")
    )


def _report(options) -> int:
    print(table.report(list(_results(_folder(options)).values()), _equivalents(options)))
    return 0


def _equivalents(options) -> dict[str, str]:
    return json.loads(options.equivalents.read_text()) if options.equivalents else {}


def _folder(options) -> Path:
    folder = options.state / f"seed-{options.seed}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _results(folder: Path) -> dict[str, dict]:
    """The last result of each mutant."""
    found = {}
    for path in sorted(folder.glob("results-*.jsonl")):
        for line in path.read_text().splitlines():
            result = json.loads(line)
            found[result["name"]] = result
    return found


if __name__ == "__main__":
    sys.exit(main())
