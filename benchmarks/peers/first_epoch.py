"""What a whole process costs: started, imported, compiled, and one epoch of 784-256-2 trained on the embedded digits.

    python benchmarks/peers/first_epoch.py MODULE
"""

from __future__ import annotations

import dataclasses
import importlib
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))


def main() -> None:
    from peers.spec import SPECS

    from npvae import load_dataset

    x = (load_dataset("digits").x_train.reshape(4000, -1) / 255.0).astype(np.float32)
    spec = dataclasses.replace(SPECS["784-256-2"], steps=len(x) // 100)
    print(importlib.import_module(f"peers.{sys.argv[1]}").Runner(spec, x).epoch())


if __name__ == "__main__":
    main()
