"""What a whole process costs: started, imported, compiled, and one epoch of 784-256-2 trained on the embedded digits.

    python benchmarks/peers/first_epoch.py MODULE

Prints the loss and the peak of its memory, in MiB.
"""

from __future__ import annotations

import dataclasses
import importlib
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))


def peak_mebibytes() -> float:
    """Of this program alone: getrusage would count what the process that started it had in memory."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) / 1024


def main() -> None:
    from npvae import load_dataset
    from peers.spec import SPECS

    x = (load_dataset("digits").x_train.reshape(4000, -1) / 255.0).astype(np.float32)
    spec = dataclasses.replace(SPECS["784-256-2"], steps=len(x) // 100)
    print(importlib.import_module(f"peers.{sys.argv[1]}").Runner(spec, x).epoch(), peak_mebibytes())


if __name__ == "__main__":
    main()
