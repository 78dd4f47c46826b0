"""Published log-likelihoods, reproduced: train by a preset, evaluate with 5,000 importance samples, print a row.

    NPVAE_DATA=... python benchmarks/papers.py EXPERIMENT [EXPERIMENT ...] [--folder runs] [--threads N] [--seed 0]

Each experiment is two commands, ``npvae train`` and ``npvae evaluate``, which are printed. Training goes on from its
checkpoint if it was ended before; an experiment that is done is only printed.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Experiment:
    """What is trained, and what is wanted."""

    train: str
    target: str


def _weighted(samples: int, estimator: str = "standard") -> str:
    return f"--objective importance_weighted:samples={samples},estimator={estimator}"


EXPERIMENTS = {
    "iwae-364-k1": Experiment("--preset iwae-364", "at least -88.2, 19 +- 3 active"),
    "iwae-364-k5": Experiment(f"--preset iwae-364 {_weighted(5)}", "at least -86.9, 22 +- 3 active"),
    "iwae-364-k5-dreg": Experiment(f"--preset iwae-364 {_weighted(5, 'dreg')}", "0.2 better than k5"),
    "iwae-364-k5-stl": Experiment(f"--preset iwae-364 {_weighted(5, 'stl')}", "none: biased for k > 1"),
    "iwae-k1": Experiment("--preset iwae", "-86.76 +- 0.4"),
    "iwae-k5": Experiment(f"--preset iwae {_weighted(5)}", "-85.54 +- 0.4"),
    "iwae-k50": Experiment(f"--preset iwae {_weighted(50)}", "-84.78 +- 0.4"),
    "static-mnist": Experiment("--preset static-mnist", "-89.8 +- 0.6"),
}


def run(name: str, folder: Path, options) -> dict:
    """Train and evaluate, or what an earlier call found."""
    out, result = folder / name, folder / f"{name}.json"
    if result.exists():
        return json.loads(result.read_text())
    data = "binarized-mnist" if name == "static-mnist" else "mnist"
    threads = [] if options.threads is None else ["--threads", str(options.threads)]
    train = [
        "train",
        *EXPERIMENTS[name].train.split(),
        "--out",
        str(out),
        "--resume",
        "--overwrite",
        "--quiet",
        "--no-plots",
        "--seed",
        str(options.seed),
        "--checkpoint-seconds",
        "60",
        *threads,
    ]
    evaluate = ["evaluate", str(out), "--data", data, "--samples", "5000", "--json", str(result), "--quiet"]
    seconds = []
    for command in (train, evaluate):
        print("npvae", shlex.join(command), file=sys.stderr, flush=True)
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "npvae", *command], check=True)
        seconds.append(time.perf_counter() - started)
    found = json.loads(result.read_text())
    found["command_seconds"] = dict(zip(("train", "evaluate"), seconds, strict=True))
    result.write_text(json.dumps(found, indent=2) + "\n")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiments", nargs="+", choices=EXPERIMENTS)
    parser.add_argument("--folder", type=Path, default=Path("papers"))
    parser.add_argument("--threads", type=int)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.folder.mkdir(exist_ok=True)
    print("| experiment | log p(x) | over rows | over samples | active | train, minutes | target |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name in options.experiments:
        found = run(name, options.folder, options)
        print(
            f"| {name} | {found['log_likelihood']:.2f} | +- {found['standard_error']:.2f} | "
            f"+- {found['sampling_error']:.3f} | {found['active_units']} | "
            f"{found['command_seconds']['train'] / 60:.0f} | "
            f"{EXPERIMENTS[name].target} |",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
