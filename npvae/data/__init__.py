"""Data: the embedded digits, the public sets of digits and clothing, and files of the user's own."""

from npvae.data.catalog import DATASETS, load_dataset
from npvae.data.dataset import Dataset
from npvae.data.own_files import LoadedFile, load_file, save_array

__all__ = ["DATASETS", "Dataset", "LoadedFile", "load_dataset", "load_file", "save_array"]
