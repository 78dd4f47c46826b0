"""Options and steps that several commands share."""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import re
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import npvae
from npvae.cli import choices, numbers, output, reading
from npvae.cli.command_line import NO_FLAGS
from npvae.data import DATASETS, load_dataset, load_file
from npvae.errors import (
    DataConversionWarning,
    DataScaleWarning,
    InputError,
    ManyClassesWarning,
    PosteriorCollapseWarning,
    ResumedElsewhereWarning,
)
from npvae.estimators.vae import VAE
from npvae.support import npz_file
from npvae.training.state import FINISHED, is_failure


def add_backend(parser) -> None:
    parser.add_argument(
        "--backend",
        type=choices.backend,
        default="auto",
        help="auto (default: the fastest that runs here), cupy[:device=N,launch=graph|cooperative|single], "
        "numba[:products=own|blas|autotune], numpy",
    )


def add_seed(parser, default=0) -> None:
    parser.add_argument(
        "--seed",
        type=numbers.seed,
        default=default,
        help="of every random number" + ("" if default is None else f" (default {default})"),
    )


def add_model(parser) -> None:
    parser.add_argument("model", help="a model file, or the folder that 'npvae train' left")


def add_data(parser, default=None) -> None:
    """default: None for the data set that the model was trained on."""
    text = f"a data set ({', '.join(DATASETS)}) or a file: .npy, .npz, a table as text, or - for standard input"
    if default is None:
        text += "; by default the data set that the model was trained on, if it was one"
    add_data_file(parser, text, default)
    parser.add_argument("--label-column", default=None, help="column of a table that holds labels: name or number")
    reading.add_options(parser)


def add_data_file(parser, text: str, default=None) -> None:
    """``--data``, and the same without the option's name."""
    parser.add_argument(
        "data_word",
        nargs="?",
        action=_OneOfData,
        default=argparse.SUPPRESS,
        metavar="DATA",
        help="the same as --data DATA",
    )
    parser.add_argument("--data", action=_OneOfData, default=default, help=text)


class _OneOfData(argparse.Action):
    """Keeps the data, which are given once: by the option, or without its name."""

    def __call__(self, parser, namespace, values, option_string=None):
        before = getattr(namespace, "data_said", None)
        if before is not None and before[0] != bool(option_string):
            parser.error(f"--data is given twice: {before[1]} and {values}")
        namespace.data_said = bool(option_string), values
        namespace.data = values


def add_part(parser) -> None:
    parser.add_argument("--part", default="test", choices=("train", "test"), help="of a data set (default test)")


def read_data(options, part: str, source=None, labelled: bool = True):
    """``(x, labels, column_names, divide_by)`` of ``--data``, or of another source of that kind; of a known data set
    the part asked for. labelled: whether ``--label-column`` is one of the file.

    ``divide_by`` is None for a file: only the user knows what its numbers are.
    """
    source = options.data if source is None else source
    if source in DATASETS:
        data = load_dataset(source, progress=_download_progress())
        x, y = (data.x_train, data.y_train) if part == "train" else (data.x_test, data.y_test)
        assert data.image_shape is not None  # the known ones are of images
        return x.reshape(len(x), *data.image_shape), y, None, data.divide_by
    refuse_no_file(options, source)
    with naming_label_column():
        loaded = load_file(
            source, label_column=label_column(options) if labelled else None, **reading.arguments(options)
        )
    if loaded.table is not None and not getattr(options, "quiet", False):
        reading.say_what_was_read(output.say, loaded.table, carried=False)
    return loaded.x, loaded.y, loaded.column_names, None


def refuse_no_file(options, source) -> None:
    """InputError: a source is neither the name of a data set nor that of a file."""
    if source != "-" and (Path(source).is_dir() or not (Path(source).exists() or Path(source).suffix)):
        flag = "--data" if source == options.data else "--predict"
        raise InputError(f"{flag} {source!r} is neither a known data set ({', '.join(DATASETS)}) nor a file")


def label_column(options) -> str | int | None:
    """``--label-column``: a number, if it is one."""
    number = None if options.label_column is None else numbers.read_whole(options.label_column)
    return options.label_column if number is None else number


@contextlib.contextmanager
def naming_label_column():
    """A context in which an error about ``label_column`` speaks of the option."""
    try:
        yield
    except InputError as error:
        if str(error).startswith("unknown column"):
            raise InputError(f"--label-column: {error}") from None
        if "label_column" in str(error):
            raise InputError(
                str(error).replace("label_column=", "--label-column ").replace("label_column", "--label-column")
            ) from None
        raise


class NamedColumns:
    """Rows with column names, in the form that the estimator takes them: ``columns`` and an array."""

    def __init__(self, values: np.ndarray, columns: list[str]) -> None:
        self._values = values
        self.columns = columns

    def __array__(self, dtype=None, copy=None):
        return self._values if dtype is None else self._values.astype(dtype)

    def __len__(self) -> int:
        return len(self._values)


def with_names(x: np.ndarray, column_names):
    """``x``, with its column names if it has any."""
    return x if column_names is None else NamedColumns(x, column_names)


def load_model(options, *others: str):
    """The model of ``options.model``, a file or ``model.npz`` in a folder: a VAE, or one of the classes of npvae that
    ``others`` names."""
    path = model_path(options.model)
    _, found = npz_file.kind_of(path)
    kind = getattr(npvae, found) if found in others else VAE
    model = kind.load(path, **where_to_run(options))
    _say_if_untrained(model, path)
    return model


def remember_data(options, model) -> None:
    """Let the model know, and its file, which data the command trained it on."""
    model.trained_on_ = {"data": options.data, "label_column": options.label_column}


def choose_data(options, model) -> bool:
    """Where ``--data`` was not said, take the known data set that the model was trained on; whether one was taken.

    InputError: it was trained on a file, which may have moved or changed, or does not say on what.
    """
    if options.data is not None:
        return False
    known = getattr(model, "trained_on_", None)
    if known is None:
        raise InputError(f"--data is needed: {options.model} does not say what it was trained on")
    if known["data"] not in DATASETS:
        labels = "" if known["label_column"] is None else f" --label-column {known['label_column']}"
        raise InputError(
            f"--data is needed: {options.model} was trained on the file {known['data']}; for that file, say --data "
            f"{known['data']}{labels}"
        )
    options.data = known["data"]
    return True


def _say_if_untrained(model, path) -> None:
    """Say of a model, or of the VAE of its features, that its training did not come to its end."""
    parts: tuple[Any, ...] = model, getattr(model, "features_", None)
    for part in parts:
        reason = getattr(part, "stop_reason_", FINISHED)
        if is_failure(reason) or (hasattr(part, "history_") and part.history_.epochs == 0):
            epochs = part.history_.epochs
            output.tell(
                f"npvae: the training of {path} did not end well, after {epochs} epoch{'' if epochs == 1 else 's'}: "
                f"{reason}"
            )


def where_to_run(options) -> dict:
    """What ``--backend`` and, where the command has it, ``--threads`` say, as arguments of ``load``."""
    return {"backend": choices.parse_choice(options.backend), "threads": getattr(options, "threads", None)}


def writable_folder(path) -> Path:
    """The folder, made if it is not there. OSError: it cannot be made or written to."""
    folder = Path(path)
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file, not a folder")
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"the folder {folder} cannot be written to")
    return folder


def model_path(name) -> Path:
    """The file of a model, or ``model.npz`` in its folder."""
    if not name:
        raise InputError("the name of the model is empty")
    path = Path(name)
    return path / "model.npz" if path.is_dir() else path


def next_free_folder(name: str) -> Path:
    """A new folder: ``name``, or ``name-2``, ``name-3``, ..."""
    number, folder = 1, Path(name)
    while True:
        try:
            folder.mkdir()  # fails if another run has just taken it
            return folder
        except FileExistsError:
            number += 1
            folder = Path(f"{name}-{number}")


def with_flags(text: str, options) -> str:
    """A message of the library with the command's options in the place of the arguments that they set: --batch-size for
    batch_size, --allow-missing for missing=True. What is quoted, or part of a name of a file, stays."""
    flags = {name: "--" + name.replace("_", "-") for name in vars(options) if name not in NO_FLAGS}
    flags |= {name: flags[option] for name, option in _OTHER_NAMES.items() if option in flags}
    text = re.sub(r"(?<![\w.])missing=True\b", "--allow-missing" if "allow_missing" in flags else "missing=True", text)
    long = "|".join(name for name in flags if "_" in name or name == "kinds") or "(?!)"
    quoted = r"(?<!\w)('[^']*'|\"[^\"]*\")"
    found = (
        rf"{quoted}|(?<![\w./\\=-])(?:({'|'.join(flags)})(=True\b|(?==))(?<!missing=True)|({long})(?![\w/\\-]|\.\w))"
    )
    return re.sub(found, lambda found: found[1] or flags[found[2] or found[4]], text)


#: Arguments of the library, and the options that set them under other names.
_OTHER_NAMES = {"kinds": "kind", "n": "number", "random_state": "seed"}


def say_conversions_once(options) -> None:
    """Show the library's warnings about data as plain lines, each once, in the words of the command line."""
    _SAID.clear()
    warnings.simplefilter("always", DataConversionWarning)
    warnings.simplefilter("always", DataScaleWarning)
    warnings.simplefilter("always", PosteriorCollapseWarning)
    warnings.simplefilter("always", ResumedElsewhereWarning)
    warnings.simplefilter("ignore", ManyClassesWarning)  # "npvae classify" refuses, or was told to go on
    warnings.showwarning = functools.partial(_show_warning, options)


#: Warnings that were shown, of this command.
_SAID: set[str] = set()


def _show_warning(options, message, *rest, **named) -> None:
    text = with_flags(str(message).replace("X_valid holds", "X holds"), options)  # one set of data to the user
    if text not in _SAID:
        _SAID.add(text)
        output.tell(f"npvae: {text}")


def _download_progress():
    """A callback that shows a download on the terminal, or None where there is no terminal."""
    if sys.stderr is None or not sys.stderr.isatty():
        return None

    def show(done: int, total: int | None, name: str) -> None:
        share = f"{done / total:4.0%}" if total else f"{done / 1e6:.1f} MB"
        end = "\n" if done == total else ""
        print(f"\rfetching {name}: {share}", end=end, file=sys.stderr, flush=True)

    return show
