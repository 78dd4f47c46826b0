"""Accuracy of a vote of the nearest neighbours in latent space: whether rows of one class lie together."""

from __future__ import annotations

import math

import numpy as np

from npvae.errors import InputError
from npvae.support import check
from npvae.support.batches import batches

#: Numbers of a block of distances: 64 MiB of float64.
BLOCK = 2**23


def neighbour_accuracy(train_z, train_labels, test_z, test_labels, neighbours: int = 15) -> float:
    """The part of the test rows whose label is that of most of their ``neighbours`` nearest training rows.

        distance^2 = |t|^2 - 2 t.z + |z|^2              Euclidean; a tie of votes goes to the smallest label

    with the training rows' mean for origin, and error eps (Z + 4) (|t| + |z|)^2 at most. Where that leaves it open
    which rows are the nearest, those in question are measured as sum_j (t_j - z_j)^2; of equal distances the first in
    order count.

    train_z (N, Z), test_z (M, Z), NumPy arrays; labels (N,), (M,). InputError: lengths do not fit, or there are fewer
    training rows than neighbours.
    """
    neighbours = check.whole_number("neighbours", neighbours, 1)
    train_z, test_z = np.asarray(train_z, np.float64), np.asarray(test_z, np.float64)
    for name, z, labels in (("train", train_z, train_labels), ("test", test_z, test_labels)):
        if len(z) != len(labels):
            raise InputError(f"{name}_z has {len(z)} rows, but {name}_labels has {len(labels)}")
    if len(train_z) < neighbours or not len(test_z):
        raise InputError(
            f"{neighbours} neighbours need as many training rows, and test rows; got {len(train_z)} and {len(test_z)}"
        )
    classes, votes_of = np.unique(np.asarray(train_labels), return_inverse=True)
    origin = train_z.mean(axis=0)
    train_z, test_z = train_z - origin, test_z - origin
    squares, right = np.sum(train_z**2, axis=1), 0
    rounding = np.finfo(np.float64).eps * (train_z.shape[1] + 4)
    for part in batches(len(test_z), max(1, BLOCK // len(train_z))):
        distances = squares - 2.0 * (test_z[part] @ train_z.T)  # |t|^2 changes no order
        nearest = np.argpartition(distances, neighbours - 1, axis=1)[:, :neighbours]
        largest = np.sqrt(np.sum(test_z[part] ** 2, axis=1)) + math.sqrt(squares.max())
        farthest = np.take_along_axis(distances, nearest, axis=1).max(axis=1) + 2.0 * rounding * largest**2
        for i in np.flatnonzero((distances <= farthest[:, None]).sum(axis=1) > neighbours):
            close = np.flatnonzero(distances[i] <= farthest[i])
            exact = np.sum((train_z[close] - test_z[part][i]) ** 2, axis=1)
            nearest[i] = close[np.argsort(exact, kind="stable")[:neighbours]]
        votes = np.zeros((len(nearest), len(classes)), np.int64)
        np.add.at(votes, (np.arange(len(nearest))[:, None], votes_of[nearest]), 1)
        right += int(np.sum(classes[votes.argmax(axis=1)] == np.asarray(test_labels)[part]))
    return right / len(test_z)
