"""The loss of one competitor at parameters, a batch and noise that are the same for all.

python benchmarks/peers/m2_loss.py MODULE SPEC
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from peers.m2_spec import M2_SPECS, problem  # noqa: E402


def main() -> None:
    module, name = sys.argv[1:3]
    spec = M2_SPECS[name]
    print(repr(importlib.import_module(f"peers.{module}").loss_at(spec, *problem(spec))))


if __name__ == "__main__":
    main()
