"""kill -9 at random moments: what is resumed must end with the same bits, and leave no file behind.

    python tests/tools/kills.py --state S --seed 7              200 kills; started again, it goes on
    python tests/tools/kills.py --state S --seed 7 --report     the table of what was killed where, and what went wrong

Every trial runs one of ``train``, ``classify`` (m2, m1+m2), ``impute`` and ``fit(checkpoint=)`` on one backend, kills
it up to four times, each time resuming, and lets it end. The process tells its steps (killed.py), so that moments are
drawn among steps and not among seconds: of 20 kills 17 between the first step and the last, one before, two while
outputs are written. After every kill each output that is there must be whole; at the end all of them, the checkpoints
too, must be those of a run that nobody killed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
BACKENDS = ("numpy", "numba")
PHASES = ("before the first step", "between the first and the last step", "after the last step")
KILLS_OF_A_TRIAL = 4
#: One thread of each kind: the moments are the campaign's, not the scheduler's.
ONE_THREAD = {"NPVAE_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
#: A process that says nothing for so many seconds hangs.
PATIENCE = 600


def scenarios(data: Path) -> dict[str, tuple[list[str], list[str]]]:
    """By name the words that begin a run, and those that resume it. Everything is in the working folder but the
    data.
    """
    few = ["--quiet", "--checkpoint-seconds", "0"]
    digits = [
        "--data",
        str(data / "digits.npz"),
        "--divide-by",
        "255",
        "--hidden",
        "20",
        "--latent-dim",
        "3",
        "--seed",
        "2",
    ]
    found = {}
    for backend in BACKENDS:
        on = ["--backend", backend]
        train = ["train", *digits, *few, *on, "--epochs", "40", "--batch-size", "20", "--no-plots", "--out", "run"]
        found[f"train, {backend}"] = train, ["train", "--out", "run", "--resume"]
        for method, epochs in (("m2", "10"), ("m1+m2", "8")):
            words = [
                "classify",
                *digits,
                *few,
                *on,
                "--labels",
                "50",
                "--epochs",
                epochs,
                "--batch-size",
                "20",
                "--method",
                method,
            ]
            words += ["--out", "classes.csv", "--save", "model.npz", "--checkpoint", "c.npz"]
            found[f"classify {method}, {backend}"] = words, ["classify", "--checkpoint", "c.npz", "--resume"]
        words = [
            "impute",
            "--data",
            str(data / "table.csv"),
            *few,
            *on,
            "--members",
            "2",
            "--epochs",
            "30",
            "--draws",
            "1",
            "--out",
            "full.csv",
        ]
        words += ["--save", "imputer.npz", "--checkpoint", "c.npz"]
        found[f"impute, {backend}"] = words, ["impute", "--checkpoint", "c.npz", "--resume"]
        found[f"fit, {backend}"] = (["fit", "c.npz", backend],) * 2
    return found


def make_data(folder: Path) -> None:
    """The digits' first 200 rows, and a table with gaps."""
    from npvae import load_dataset

    digits, rng = load_dataset("digits"), np.random.default_rng(3)
    np.savez(folder / "digits.npz", x=digits.x_train[:200].reshape(200, -1), y=digits.y_train[:200].astype(np.int64))
    x = rng.standard_normal((60, 1)) * np.ones(4) + 0.1 * rng.standard_normal((60, 4))
    cells = np.where(rng.random(x.shape) < 0.2, "", np.char.mod("%.4f", x))
    (folder / "table.csv").write_text("a,b,c,d\n" + "\n".join(",".join(row) for row in cells) + "\n")


class Run:
    """A process of killed.py, and what it has told so far."""

    def __init__(self, words: list[str], folder: Path) -> None:
        read, write = os.pipe()
        self._errors = open(folder.parent / f"{folder.name}.stderr", "w+")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "killed.py"), str(write), *words],
            cwd=folder,
            pass_fds=[write],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
            env={**os.environ, **ONE_THREAD},
        )
        os.close(write)
        self._pipe, self._rest = read, b""
        self._selector = selectors.DefaultSelector()
        self._selector.register(read, selectors.EVENT_READ)
        self.steps: list[tuple[str, int]] = []  # the trainings in their order, and the last step of each
        self.ended = False

    def listen(self, until, seconds: float = PATIENCE) -> bool:
        """Read what the process tells until ``until(self)`` or it ends, for so many seconds; whether it goes on."""
        end = time.monotonic() + seconds
        while not until(self):
            if not self._selector.select(max(0.0, end - time.monotonic())):
                return True
            text = os.read(self._pipe, 1 << 16)
            if not text:
                self.ended = True
                return False
            *lines, self._rest = (self._rest + text).split(b"\n")
            for line in lines:
                word, *more = line.decode().split()
                if word == "step":
                    if not self.steps or self.steps[-1][0] != more[0]:
                        self.steps.append((more[0], 0))
                    self.steps[-1] = more[0], int(more[1])
        return True

    def end(self, kill: bool) -> tuple[int, str]:
        """Kill the process, or wait for its end: exit code and what it said."""
        if kill:
            self._process.send_signal(signal.SIGKILL)
        self.listen(lambda run: False)
        try:
            code = self._process.wait(PATIENCE)
        finally:
            self._process.kill()
            os.close(self._pipe)
            self._selector.close()
        self._errors.seek(0)
        with self._errors:
            return code, self._errors.read()


class Whole:
    """A run that nobody kills: its files, its steps, and its seconds before the first and after the last."""

    def __init__(self, words: list[str], folder: Path) -> None:
        folder.mkdir()
        run, started = Run(words, folder), time.monotonic()
        run.listen(lambda run: run.steps)
        self.before = time.monotonic() - started
        last = time.monotonic()
        while run.listen(lambda run, count=run.steps[-1]: run.steps[-1] != count) and not run.ended:
            last = time.monotonic()
        self.after = time.monotonic() - last
        code, errors = run.end(kill=False)
        if code:
            raise RuntimeError(f"{' '.join(words)}: exit {code}: {errors}")
        self.files = contents(folder)
        self._first, total = {}, 0
        for key, count in run.steps:
            self._first[key] = total
            total += count
        self.steps = total

    def place(self, run: Run) -> int:
        """How many of all steps a run has behind it; 0 before its own first."""
        return self._first[run.steps[-1][0]] + run.steps[-1][1] if run.steps else 0


def contents(folder: Path) -> dict[str, object]:
    """Files by name, without what the clock decides and what tells where they are."""
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = str(path.relative_to(folder))
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                arrays = {
                    each: (str(file[each].dtype), file[each].shape, file[each].tobytes())
                    for each in file
                    if each != "header"
                }
                found[name] = arrays, _timeless(json.loads(file["header"].tobytes()))
        elif path.name == "history.csv":
            rows = [line.split(",") for line in path.read_text().splitlines()]
            at = rows[0].index("seconds")
            found[name] = [row[:at] + row[at + 1 :] for row in rows]
        else:
            found[name] = path.read_bytes()
    return found


def _timeless(value):
    if isinstance(value, dict):
        return {name: _timeless(entry) for name, entry in value.items() if name not in ("seconds", "command")}
    return [_timeless(entry) for entry in value] if isinstance(value, list) else value


def trial(name: str, whole: Whole, words, draw: random.Random, folder: Path, kills: int) -> dict:
    """Kill and resume a run, ``kills`` times at most, and compare: ``{"name", "phases", "left", "wrong"}``."""
    folder.mkdir()
    phases, wrong, left = [], [], 0
    begin, resume = words
    checkpoints = ("c.npz", "c-features.npz", "run/checkpoint.npz")
    for _ in range(kills):
        there = any((folder / checkpoint).exists() for checkpoint in checkpoints)
        run, kind = Run(resume if there else begin, folder), draw.choices((0, 1, 2), (1, 17, 2))[0]
        if kind == 0:
            run.listen(lambda run: run.steps, draw.uniform(0.0, whole.before))
        elif kind == 1:
            target = draw.randrange(1, whole.steps)
            run.listen(lambda run, target=target: whole.place(run) >= target)
            run.listen(lambda run: False, draw.uniform(0.0, 0.004))
        else:
            run.listen(lambda run: whole.place(run) >= whole.steps)
            run.listen(lambda run: False, draw.uniform(0.0, 1.1 * whole.after))
        code, errors = run.end(kill=True)
        if code != -signal.SIGKILL:
            if code:
                wrong.append(f"exit {code}: {errors[-300:]}")
            break  # it had ended before
        place = whole.place(run)
        phases.append(PHASES[0 if place == 0 else 1 if place < whole.steps else 2])
        left += len(leftovers(folder, whole))
        for file, found in contents(folder).items():
            if file in whole.files and not file.endswith(checkpoints) and found != whole.files[file]:
                wrong.append(f"after a kill {file} is not what it will be")
    there = any((folder / checkpoint).exists() for checkpoint in checkpoints)
    code, errors = Run(resume if there else begin, folder).end(kill=False)
    if code:
        wrong.append(f"resumed: exit {code}: {errors[-300:]}")
    found = contents(folder)
    wrong += [f"left behind: {file}" for file in found.keys() - whole.files.keys()]
    wrong += [f"{file} differs" for file, value in whole.files.items() if found.get(file) != value]
    return {"name": name, "phases": phases, "left": left, "wrong": wrong}


def leftovers(folder: Path, whole: Whole) -> list[str]:
    """Files that a whole run does not leave."""
    return [
        str(path) for path in folder.rglob("*") if path.is_file() and str(path.relative_to(folder)) not in whole.files
    ]


def campaign(state: Path, seed: int, kills: int, seconds: float = float("inf"), say=print) -> list[dict]:
    """The results of all trials until there are so many kills, or no more time; those of an earlier call are kept in
    ``state``.
    """
    state.mkdir(parents=True, exist_ok=True)
    record, started = state / f"kills-{seed}.json", time.monotonic()
    results = json.loads(record.read_text()) if record.exists() else []
    work = state / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    make_data(work)
    wholes: dict[str, Whole] = {}
    names = scenarios(work)
    while sum(len(result["phases"]) for result in results) < kills and time.monotonic() - started < seconds:
        number = len(results)
        name = list(names)[number % len(names)]
        if name not in wholes:
            wholes[name] = Whole(names[name][0], work / f"whole-{len(wholes)}")
        missing = kills - sum(len(result["phases"]) for result in results)
        folder = work / f"trial-{number}"
        result = trial(
            name, wholes[name], names[name], random.Random(f"{seed} {number}"), folder, min(KILLS_OF_A_TRIAL, missing)
        )
        results.append(result)
        if not result["wrong"]:
            shutil.rmtree(folder)
        temporary = record.with_suffix(".part")
        temporary.write_text(json.dumps(results, indent=1))
        temporary.replace(record)
        say(f"{number}: {name}: {len(result['phases'])} kills {'; '.join(result['wrong'])}".rstrip())
    return results


def report(results: list[dict]) -> str:
    """The table of kills by command and phase, as text."""
    counts = {name: Counter() for name in sorted({result["name"] for result in results})}
    for result in results:
        counts[result["name"]].update(result["phases"])
    lines = ["| command, backend | " + " | ".join(PHASES) + " |", "| --- |" + " ---: |" * len(PHASES)]
    lines += [
        f"| {name} | " + " | ".join(str(count[phase]) for phase in PHASES) + " |" for name, count in counts.items()
    ]
    total = sum(counts.values(), Counter())
    lines.append("| together | " + " | ".join(str(total[phase]) for phase in PHASES) + " |")
    wrong = [
        f"{number} ({result['name']}): {text}" for number, result in enumerate(results) for text in result["wrong"]
    ]
    lines += [
        "",
        f"{sum(total.values())} kills in {len(results)} runs; {sum(result['left'] for result in results)} temporary "
        f"files and locks lay "
        f"there after kills, none after resumed runs but what is named here; {len(wrong)} things wrong.",
        *wrong,
    ]
    return "\n".join(lines)


def main(arguments=None) -> int:
    """Run a command line; return 1 where anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--state", type=Path, required=True, help="the folder of data, runs and results")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--kills", type=int, default=200, help="how many (default 200)")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no trial after so many seconds")
    parser.add_argument("--report", action="store_true", help="only print the table of what was run")
    options = parser.parse_args(arguments)
    record = options.state / f"kills-{options.seed}.json"
    if options.report:
        results = json.loads(record.read_text())
    else:
        results = campaign(options.state.resolve(), options.seed, options.kills, options.seconds)
    print(report(results))
    return int(any(result["wrong"] for result in results))


if __name__ == "__main__":
    sys.exit(main())
