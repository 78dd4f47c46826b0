"""Accuracy of a vote of the nearest neighbours in latent space: whether rows of one class lie together."""

from __future__ import annotations

import numpy as np

from npvae import check
from npvae.batches import batches
from npvae.errors import InputError

#: Numbers of a block of distances: 64 MiB of float64.
BLOCK = 2**23


def neighbour_accuracy(train_z, train_labels, test_z, test_labels, neighbours: int = 15) -> float:
    """The part of the test rows whose label is that of most of their ``neighbours`` nearest training rows.

        distance^2 = |t|^2 - 2 t.z + |z|^2              Euclidean; a tie of votes goes to the smallest label

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
    squares, right = np.sum(train_z**2, axis=1), 0
    for part in batches(len(test_z), max(1, BLOCK // len(train_z))):
        distances = squares - 2.0 * (test_z[part] @ train_z.T)  # |t|^2 changes no order
        nearest = np.argpartition(distances, neighbours - 1, axis=1)[:, :neighbours]
        votes = np.zeros((len(nearest), len(classes)), np.int64)
        np.add.at(votes, (np.arange(len(nearest))[:, None], votes_of[nearest]), 1)
        right += int(np.sum(classes[votes.argmax(axis=1)] == np.asarray(test_labels)[part]))
    return right / len(test_z)
