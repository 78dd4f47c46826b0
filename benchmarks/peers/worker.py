"""One competitor in a process of its own: trains whenever a line comes in: whole epochs, at least
so many ("epochs 2") or for so long ("seconds 1.0"). It answers with the time of a step and the last epoch's loss.

    python benchmarks/peers/worker.py MODULE SPEC

In processes apart, nobody's idle threads stand in anybody's way, and each is alone while it runs.
"""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from peers.spec import SPECS, load  # noqa: E402


def main() -> None:
    module, name = sys.argv[1:3]
    peer = importlib.import_module(f"peers.{module}")
    spec = SPECS[name]
    runner = peer.Runner(spec, load(spec))
    print(peer.version(), flush=True)
    for line in sys.stdin:
        unit, amount = line.split()
        started, epochs = time.perf_counter(), 0
        while not epochs or (epochs if unit == "epochs" else time.perf_counter() - started) < float(amount):
            loss = runner.epoch()
            epochs += 1
        print((time.perf_counter() - started) / (epochs * spec.steps) * 1e3, loss, flush=True)


if __name__ == "__main__":
    main()
