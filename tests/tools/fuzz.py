"""Damaged files of every kind that npvae reads, tried by the tens of thousands: none may end in a traceback, a crash,
NaN or a loss.

    python tests/tools/fuzz.py --files 100000 --seed 1 --state FOLDER

A file is damaged in its bytes (zip records, array headers, JSON, gzip, text), or, one in two, in what they mean, and
its checksums and digests are made right again, so that the checks behind them are tried. It is loaded by the library,
and used if that succeeds: rows are encoded, decoded, sampled, filled in, classified, a run goes on for an epoch. File
number i depends on the seed and i alone. A worker process that dies or hangs is counted and replaced. FOLDER holds the
honest files, a line for every file tried, from which the next call goes on, and the files that failed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from fuzzing import damage, honest  # noqa: E402

#: What must not happen, and the column of the table in which it is counted.
FAILURES = ("traceback at load", "traceback at use", "crash", "hang", "not finite", "silent loss", "memory")
#: Bytes over the honest file of the kind that a damaged one may take; seconds that it may take, and the start of a
#: worker, which may compile.
MOST_MEMORY, MOST_SECONDS, MOST_START = 50 << 20, 60, 900


def main(arguments=None) -> int:
    """Run a command line; 0 if nothing failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--state", type=Path, required=True, help="a folder for the honest files and the results")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so many")
    options = parser.parse_args(arguments)
    results = run(options.state, options.seed, options.files, options.workers, options.seconds)
    print(table(results))
    return 1 if failures(results) else 0


def run(state: Path, seed: int, files: int, workers: int = 1, seconds: float = float("inf")) -> list[dict]:
    """The results of files 0 to ``files`` - 1, those that a call before has tried among them."""
    folder, record = state / "honest", state / f"results-{seed}.jsonl"
    if not folder.is_dir():
        honest.write_all(state / "honest.part")
        (state / "honest.part").rename(folder)
    results = [json.loads(line) for line in record.read_text(encoding="utf-8").splitlines()] if record.exists() else []
    done = {result["index"] for result in results}
    waiting = [index for index in range(files) if index not in done]
    end = time.monotonic() + seconds
    with open(record, "a", encoding="utf-8") as out:
        pool = [Worker(folder, seed) for _ in range(min(workers, len(waiting)))]
        try:
            for start in range(0, len(waiting), max(1, len(pool))):
                if time.monotonic() > end:
                    break
                tried = list(zip(pool, waiting[start:], strict=False))
                for worker, index in tried:
                    worker.ask(index)
                for worker, _ in tried:
                    result = worker.answer()
                    results.append(result)
                    out.write(json.dumps(result) + "\n")
                    out.flush()
                    if failed(result):
                        keep(state, worker, result)
        finally:
            for worker in pool:
                worker.end()
    return [result for result in results if result["index"] < files]


class Worker:
    """A process of fuzzing/worker.py, and another when it has died."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder, self._seed, self._process = folder, seed, None

    def ask(self, index: int) -> None:
        """Have a file tried."""
        if self._process is None or self._process.poll() is not None:
            self._start()
        kind = honest.KINDS[index % len(honest.KINDS)]
        whole = (self._folder / kind).read_bytes()
        data, mended = damage.damaged(np.random.default_rng([self._seed, index]), honest.form_of(kind), whole)
        self.file.parent.joinpath(kind).write_bytes(data)
        self.file = self.file.parent / kind
        self._asked = {"index": index, "kind": kind, "mended": mended}
        self.tell(kind, mended or data == whole)

    def tell(self, kind: str, may_differ: bool) -> None:
        """Have the file of that kind tried that lies in the worker's folder."""
        self._process.stdin.write(f"{kind} {may_differ}\n".encode())
        self._process.stdin.flush()

    def kill(self) -> None:
        """As a crash would."""
        self._process.kill()
        self._process.wait()

    def answer(self) -> dict:
        """What became of it."""
        line = self._line(MOST_SECONDS)
        if line:
            return {**self._asked, **json.loads(line)}
        hangs = self._process.poll() is None and line is None
        self._process.kill()
        return {
            **self._asked,
            "outcome": "hang" if hangs else "crash",
            "words": f"exit code {self._process.wait()}",
            "over": 0,
        }

    def _line(self, seconds: float) -> bytes | None:
        """A line of the process; empty if it has died, None if it says nothing for so long."""
        ready, _, _ = select.select([self._process.stdout], [], [], seconds)
        return self._process.stdout.readline() if ready else None

    def end(self) -> None:
        """End the process."""
        if self._process is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
            self._process.wait()
            self._process.stdout.close()
            shutil.rmtree(self.file.parent, ignore_errors=True)

    def _start(self) -> None:
        self.end()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "fuzzing.worker", str(self._folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=HERE,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "NPVAE_NUM_THREADS": "1"},
        )
        self.file = self._folder / f"trial-{self._process.pid}" / "none"
        if self._line(MOST_START) != b"ready\n":
            raise RuntimeError("the worker could not use the honest files")


def keep(state: Path, worker: Worker, result: dict) -> None:
    """A copy of a file that failed."""
    folder = state / "failed"
    folder.mkdir(exist_ok=True)
    if worker.file.exists():
        shutil.copy(worker.file, folder / f"{result['index']}-{result['kind']}")


def failed(result: dict) -> list[str]:
    """The columns of ``FAILURES`` in which a file counts."""
    return [
        name for name in FAILURES if result["outcome"] == name or (name == "memory" and result["over"] > MOST_MEMORY)
    ]


def failures(results: list[dict]) -> list[dict]:
    """The files that count in any of them."""
    return [result for result in results if failed(result)]


def table(results: list[dict]) -> str:
    """Files by kind: tried, refused, used, and what must not happen."""
    lines = [
        "| kind | files | mended | refused | used | "
        + " | ".join(FAILURES)
        + " | most memory over the honest file, MB |"
    ]
    lines.append("| --- " * (len(FAILURES) + 6) + "|")
    for kind in [
        *dict.fromkeys(result["kind"] for result in sorted(results, key=lambda result: result["index"])),
        "all",
    ]:
        mine = [result for result in results if kind in (result["kind"], "all")]
        counts = Counter(name for result in mine for name in failed(result))
        refused = sum(result["outcome"].startswith("refused") for result in mine)
        used = sum(result["outcome"].startswith("used") for result in mine)
        numbers = [
            len(mine),
            sum(bool(result["mended"]) for result in mine),
            refused,
            used,
            *(counts[name] for name in FAILURES),
        ]
        over = max((result["over"] for result in mine), default=0) / 2**20
        lines.append(f"| {kind} | " + " | ".join(f"{number:,}" for number in numbers) + f" | {over:.1f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
