"""NumPy's operations for a step that is taken again and again: no search for a free buffer, no cutting into pieces."""

from __future__ import annotations

import numpy as np

from npvae.backend.buffers import SequencePool
from npvae.backend.numpy_ops import NumpyOps


def identical(some, others) -> bool:
    """Whether both sequences are of the very same objects."""
    return len(some) == len(others) and all(a is b for a, b in zip(some, others, strict=True))


class StepOps(NumpyOps):
    """For loss and gradient: every step asks for the same operations in the same order, and gets the same arrays.

    Derivatives are scaled where they are: for likelihoods whose backward is called once. Whether overflow warns is
    the caller's choice, made for many steps at once.
    """

    _pool = SequencePool
    _buffers: SequencePool

    def begin(self) -> None:
        """A step begins: all arrays handed out before may be overwritten."""
        self._buffers.begin()

    def bernoulli_nll(self, logits, x, gradient):
        return self._bernoulli_nll(logits, x, gradient)

    def _sum_rows(self, x):
        return x @ self._constant(1.0, x.shape[1], x.dtype)  # the program has chosen BLAS's threads

    def scale_rows(self, x, factor):
        return np.multiply(x, factor if isinstance(factor, float) else factor[:, None], out=x)


class UpdateOps(NumpyOps):
    """For an optimiser: the pieces of its vectors are kept, since they are the same at every step."""

    _divided: tuple = ((), ())

    def _pieces(self, *arrays):
        known, pieces = self._divided
        if not identical(known, arrays):
            pieces = list(super()._pieces(*arrays))
            self._divided = arrays, pieces
        return pieces
