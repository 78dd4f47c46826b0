"""One competitor in a process of its own: trains whenever a line comes in: whole epochs, at least so many ("epochs 2")
or for so long ("seconds 1.0"). It answers with the time of a step, the last epoch's loss, and the time of a step
between two events on the device, where the competitor has such (``record`` and ``between``), else nan.

    python benchmarks/peers/worker.py MODULE SPEC

In processes apart, nobody's idle threads stand in anybody's way, and each is alone while it runs.
"""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from peers.spec import BOUNDS, SPECS, load  # noqa: E402


def main() -> None:
    module, name = sys.argv[1:3]
    peer = importlib.import_module(f"peers.{module}")
    spec = {**SPECS, **BOUNDS}[name]
    runner = peer.Runner(spec, load(spec))
    print(peer.version(), flush=True)
    for line in sys.stdin:
        unit, amount = line.split()
        first = peer.record() if hasattr(peer, "record") else None
        started, epochs = time.perf_counter(), 0
        while not epochs or (epochs if unit == "epochs" else time.perf_counter() - started) < float(amount):
            loss = runner.epoch()
            epochs += 1
        steps, milliseconds = epochs * spec.steps, (time.perf_counter() - started) * 1e3
        on_device = float("nan") if first is None else peer.between(first, peer.record())
        print(milliseconds / steps, loss, on_device / steps, flush=True)


if __name__ == "__main__":
    main()
