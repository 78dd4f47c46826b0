"""One competitor in a process of its own: trains an epoch whenever a line comes in, and says how long it took.

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
    for _ in sys.stdin:
        started = time.perf_counter()
        loss = runner.epoch()
        print((time.perf_counter() - started) / spec.steps * 1e3, loss, flush=True)


if __name__ == "__main__":
    main()
