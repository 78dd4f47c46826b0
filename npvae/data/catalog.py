"""The data sets that npvae knows by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from npvae.data.dataset import Dataset
from npvae.data.digits import load_digits
from npvae.data.formats import PIXELS, read_amat, read_idx, read_labels
from npvae.data.obtain import obtain
from npvae.data.places import cache_folder
from npvae.data.published import DESCRIPTIONS, FILES, PublishedFile
from npvae.errors import DataFileError, UnknownNameError

DATASETS = ("digits", *FILES)


def load_dataset(name: str, *, folder=None, download: bool = True, progress=None, timeout: float = 30.0) -> Dataset:
    """Return the data set ``name``, one of ``DATASETS``, as raw uint8 rows.

    "digits" comes with npvae. The others are looked for in ``<folder>/<name>/``, where ``folder`` is by
    default the environment variable ``NPVAE_DATA``; then in the user's cache; then, unless ``download`` is
    false, fetched from public mirrors into the cache and checked by SHA-256. ``progress(done_bytes,
    total_bytes, file_name)`` is called during a download; ``timeout`` is in seconds for each wait on the
    network. UnknownNameError: no such data set. DataFileError: a file is damaged. DownloadError: the
    files are nowhere to be had; the message says how to put them in place by hand.
    """
    if name not in DATASETS:
        raise UnknownNameError("data set", name, DATASETS)
    if name == "digits":
        return load_digits()
    paths = obtain(name, folder, download, progress, timeout)
    parts = {part: _read(part, path, FILES[name][part]) for part, path in paths.items()}
    return Dataset(
        name=name,
        x_train=parts["x_train"],
        y_train=parts.get("y_train"),
        x_test=parts["x_test"],
        y_test=parts.get("y_test"),
        x_valid=parts.get("x_valid"),
        image_shape=(28, 28),
        divide_by=1.0 if name == "binarized-mnist" else 255.0,
        description=DESCRIPTIONS[name],
    )


def _read(part: str, path: Path, file: PublishedFile) -> np.ndarray:
    """A part of a set. What was downloaded is compared with its SHA-256 again: a disk or a person may have changed
    it.
    """
    cache = cache_folder()
    downloaded = cache is not None and path == cache / path.parent.name / file.name
    published = file if downloaded else None
    try:
        if ".amat" in path.suffixes:
            return read_amat(path, file.rows, published)
        if part.startswith("y"):
            return read_labels(path, file.rows, published)
        return read_idx(path, (file.rows, 28, 28), published).reshape(file.rows, PIXELS)
    except DataFileError as error:
        if cache in path.parents:  # None is nobody's
            raise DataFileError(f"{error}; delete this file and it will be fetched again") from error
        raise
