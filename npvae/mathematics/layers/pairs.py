"""Rows and classes: which of them a minibatch pairs, and how arrays go from rows to pairs and back.

    a labelled row       one pair: the row with its label
    an unlabelled row    C pairs: the row with every class, since its label is summed out

    pairs: labelled rows in order, then unlabelled rows with class 0, then with class 1, ...       P = L + C U

What depends on x alone is computed once a row and spread over its pairs; backwards the pairs' gradients of a row add
up.
"""

from __future__ import annotations

import numpy as np


class Pairs:
    """The pairs of a batch whose first rows are labelled.

    labels: (L,), NumPy, whole numbers below ``classes``. unlabelled: U. one_hot: (P, C), on the device, of ``dtype``.
    """

    def __init__(self, ops, labels: np.ndarray, unlabelled: int, classes: int, dtype: str) -> None:
        self._ops, self._xp = ops, ops.xp
        self.labelled, self.unlabelled, self.classes = len(labels), unlabelled, classes
        every = np.concatenate([labels, np.repeat(np.arange(classes), unlabelled)])
        self.one_hot = ops.asarray(np.eye(classes, dtype=dtype)[every])
        self.one_hot_labels = self.one_hot[: self.labelled, :]  #: (L, C)

    def spread(self, rows):
        """(P, K) of (L + U, K): each row for each of its pairs."""
        if not self.unlabelled:
            return rows
        return self._ops.concat([rows[: self.labelled, :], *[rows[self.labelled :, :]] * self.classes])

    def gather(self, pairs):
        """(L + U, K) of (P, K): the sum over each row's pairs."""
        if not self.unlabelled:
            return pairs
        return self._ops.concat([pairs[: self.labelled, :], self._xp.sum(self.by_class(pairs), axis=0)])

    def by_class(self, pairs):
        """(C, U, ...) of (P, ...): those of the unlabelled rows."""
        return self._xp.reshape(pairs[self.labelled :, ...], (self.classes, self.unlabelled, *pairs.shape[1:]))

    def join(self, labelled, by_class):
        """(P, ...) of (L, ...) and (C, U, ...)."""
        return self._ops.concat([labelled, self._xp.reshape(by_class, (-1, *by_class.shape[2:]))])
