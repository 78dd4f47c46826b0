"""How far loss curves drift apart between backends: 784-256-2 on the embedded digits, 50 epochs, one seed.

    python benchmarks/agreement.py [--epochs 50]

Backends add the same numbers in another order. Each step's rounding, about 1e-7 in float32, is then carried on by
training, which is chaotic: the curves part slowly, and the same happens between two NumPy backends that differ in
nothing but the order of sums. float64 shows that nothing else differs.
"""

from __future__ import annotations

import argparse

import numpy as np

from npvae import VAE, backend, load_dataset
from npvae.backend.base import Ops


def curve(ops, dtype: str, epochs: int) -> np.ndarray:
    digits = load_dataset("digits")
    vae = VAE(epochs=epochs, divide_by=255, backend=ops, dtype=dtype, random_state=0)
    return np.array(vae.fit(digits.x_train).history_["loss"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=50)
    epochs = parser.parse_args().epochs
    for dtype in ("float32", "float64"):
        wanted = curve(backend.get("numpy"), dtype, epochs)
        for name, ops in {"numba": backend.get("numba"), "reference": Ops(np)}.items():
            apart = np.abs(curve(ops, dtype, epochs) / wanted - 1.0)
            print(
                f"{dtype}, {name:<9} against numpy: relative difference of the epoch's loss at epoch 1 {apart[0]:.1e}, "
                f"5 {apart[min(4, epochs - 1)]:.1e}, {epochs} {apart[-1]:.1e}; largest {apart.max():.1e}"
            )


if __name__ == "__main__":
    main()
