"""Time of using a model beside other programs: encoding and scoring 400 rows at once, microseconds a row.

    python benchmarks/scoring.py [--busy 1] [--backend numpy] [--rounds 15]

784-256-2 after one epoch on the embedded digits; ``--busy N``: once more beside N processes that are busy all the time.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

from npvae import VAE, load_dataset

ROWS = 400


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--busy", type=int, default=1, metavar="N")
    parser.add_argument("--backend", default="numpy")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    x = load_dataset("digits").x_train[:ROWS].reshape(ROWS, -1)
    vae = VAE(latent_dim=2, hidden=(256,), divide_by=255, epochs=1, random_state=0, backend=options.backend).fit(x)
    for busy in sorted({0, options.busy}):
        others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(busy)]
        try:
            encoding = microseconds(lambda: vae.transform(x), options.rounds)
            scoring = microseconds(lambda: vae.score_samples(x, samples=10), options.rounds)
        finally:
            for other in others:
                other.kill()
                other.wait()
        print(f"{options.backend}, {busy} busy: transform {encoding:.1f}, score_samples {scoring:.0f} us a row")


def microseconds(call, rounds: int) -> float:
    """The median time of a call, for each row."""
    call()
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return 1e6 * statistics.median(times) / ROWS


if __name__ == "__main__":
    main()
