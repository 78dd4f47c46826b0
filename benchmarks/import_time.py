"""Is ``import npvae`` slower than ``import numpy``, and how long do commands of a saved model take? Runs in fresh
processes.

python benchmarks/import_time.py [--pairs 40] [--model FOLDER]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

#: Commands of a saved model; they leave files in the folder.
COMMANDS = {
    "npvae sample": "sample {model} --out samples.csv",
    "npvae score": "score table.csv --model {model} --out scores.csv",
    "npvae encode": "encode {model} table.csv --out latent.csv",
}


def seconds(statement: str) -> float:
    """The time of a fresh interpreter that runs ``statement``."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument(
        "--model", help="also time commands of this model of a table, in the folder that it was trained in on table.csv"
    )
    options = parser.parse_args()
    pairs, model = options.pairs, options.model
    statements = {
        "nothing": "pass",
        "import numpy": "import numpy",
        "import numpy, npvae": "import numpy, npvae",
        "from npvae import VAE": "from npvae import VAE",
        **{
            name: f"from npvae.cli import main; raise SystemExit(main({line.format(model=model).split()!r}))"
            for name, line in COMMANDS.items()
            if model
        },
    }
    times = {name: [] for name in statements}
    for name in statements:
        seconds(statements[name])
    for _ in range(pairs):
        for name, statement in statements.items():
            times[name].append(seconds(statement))
    for name, values in times.items():
        print(f"{name:<24} median {statistics.median(values) * 1e3:7.1f} ms  fastest {min(values) * 1e3:7.1f} ms")
    differences = [(b - a) * 1e3 for a, b in zip(times["import numpy"], times["import numpy, npvae"], strict=True)]
    error = statistics.stdev(differences) / len(differences) ** 0.5
    print(f"npvae on top of numpy, paired: mean {statistics.mean(differences):+.2f} ms, standard error {error:.2f}")


if __name__ == "__main__":
    main()
