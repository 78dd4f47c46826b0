"""Reading .npy and .npz files, without ever reading pickled data."""

from __future__ import annotations

import numpy as np

from npvae.errors import DataFileError, InputError, UnknownNameError


def read_numpy_file(path, key: str | None = None) -> tuple[np.ndarray, np.ndarray | None]:
    """Return ``(x, y)`` from a .npy or .npz file; ``y`` is None where there are no labels.

    DataFileError: damaged, pickled, empty, or not of real numbers. UnknownNameError: ``key`` is not there,
    or no key is given and there are several arrays. InputError: a key for a .npy file. OSError: the file
    cannot be opened.
    """
    with open(path, "rb") as file:
        try:
            loaded = np.load(file, allow_pickle=False)
            if not isinstance(loaded, np.lib.npyio.NpzFile):
                x_key, x, y = None, loaded, None
            else:
                x_key = _choose(path, loaded.files, key)
                x, y = loaded[x_key], loaded["y"] if "y" in loaded.files and x_key != "y" else None
        except UnknownNameError:
            raise
        except Exception as error:  # NumPy raises many kinds here; the file itself could be opened
            raise DataFileError(_damage(path, error)) from error
    if x_key is None and key is not None:
        raise InputError(f"{path} holds one array without a name, so key={key!r} cannot be chosen")
    x = _checked(path if x_key is None else f"{path}, array {x_key!r}", x)
    if y is not None and (y.ndim == 0 or len(y) != len(x)):
        raise DataFileError(f"{path}: expected one label for each of the {len(x)} rows of {x_key!r}, "
                            f"got 'y' of shape {y.shape}")
    return x, y


def _choose(path, names: list[str], key: str | None) -> str:
    if key is None:
        others = [name for name in names if name != "y"]
        key = others[0] if len(others) == 1 else "x"
    if key not in names:
        raise UnknownNameError(f"array in {path}:", key, names)
    return key


def _checked(where, x: np.ndarray) -> np.ndarray:
    if x.dtype.kind not in "biuf":
        raise DataFileError(f"{where}: expected real numbers, got dtype {x.dtype}")
    if x.ndim == 0 or x.size == 0:
        raise DataFileError(f"{where}: expected at least one row of data, got an array of shape {x.shape}")
    return x.astype(x.dtype.newbyteorder("="), copy=False)


def _damage(path, error: Exception) -> str:
    if "allow_pickle" in str(error):
        return (f"{path}: expected an array of numbers, got pickled data or no NumPy file; "
                "pickled data are never read")
    return f"{path}: expected a whole NumPy file, got a damaged one ({type(error).__name__}: {error})"
