"""The floor: the matrix products of a step alone, through NumPy's BLAS. Its "loss" is nothing."""

from __future__ import annotations

import numpy as np

from peers.spec import shapes


def version() -> str:
    return np.__version__


def operations(spec) -> float:
    """Multiplications and additions of a step's products: three a layer, but for the first, which needs no dx."""
    sizes = [2.0 * spec.batch * inputs * outputs for inputs, outputs in shapes(spec)]
    return 3.0 * sum(sizes) - sizes[0]


class Runner:
    """y = x W, dW = x^T dy, dx = dy W^T for every layer, into arrays made once."""

    def __init__(self, spec, x) -> None:
        self.spec = spec
        generator = np.random.default_rng(0)
        self.products = []
        for i, (inputs, outputs) in enumerate(shapes(spec)):
            a, W, dy = (
                generator.standard_normal(shape).astype(np.float32)
                for shape in ((spec.batch, inputs), (inputs, outputs), (spec.batch, outputs))
            )
            pairs = [(a, W), (a.T, dy), (dy, W.T)][: 2 if i == 0 else 3]
            self.products += [
                (left, right, np.empty((left.shape[0], right.shape[1]), np.float32)) for left, right in pairs
            ]

    def epoch(self) -> float:
        for _ in range(self.spec.steps):
            for left, right, out in self.products:
                np.matmul(left, right, out=out)
        return float("nan")
