"""What ``npvae classify`` leaves: the class of every row, a report, and pictures."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

from npvae.cli import common, outputs
from npvae.cli.classify_rows import Rows
from npvae.errors import InputError
from npvae.support.files import write_atomically, write_text_atomically

#: Classes that are counted in the report.
MOST_LISTED = 12


def report(say, classes, predicted, judged: Rows) -> None:
    counts = [f"{label} {int((predicted == label).sum())}" for label in classes.tolist()]
    say(
        f"classes of {len(predicted)} rows: "
        + ", ".join(counts[:MOST_LISTED] + (["..."] if len(counts) > MOST_LISTED else []))
    )
    if judged.codes is None or judged.classes is None or not (known := judged.codes >= 0).any():
        return
    wrong = np.mean(judged.classes[judged.codes[known]] != predicted[known])
    say(f"of {int(known.sum())} rows {judged.what}, {100 * wrong:.2f} % are taken for another class")


def write(path, classes, p) -> None:
    """Class and probabilities of every row."""
    best = classes[p.argmax(axis=1)]
    path, suffix = outputs.target(path), outputs.suffix_of(path)
    if suffix == ".npz":
        write_atomically(path, lambda file: np.savez(file, y=best, probabilities=p, classes=classes))
        return
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["class", *(f"p({label})" for label in classes.tolist())])
    for label, row in zip(best.tolist(), p, strict=True):
        writer.writerow([label, *(f"{value:.6g}" for value in row)])
    write_text_atomically(path, text.getvalue())


def picture_folder(options, shape) -> Path:
    """The folder of ``--pictures``, made if need be. InputError: rows of that shape are no pictures. OSError: it
    cannot be made.
    """
    from npvae import plots

    if plots.image_shape(shape) is None:
        raise InputError(f"--pictures: rows of {f'shape {tuple(shape)}' if shape else 'a table'} are not pictures")
    return common.writable_folder(options.pictures)


def pictures(model, x, options) -> list[Path]:
    """Samples of every class, and the first rows in every class."""
    from npvae import plots

    classes, analogies = picture_files(options)
    plots.save(plots.plot_classes(model, random_state=options.seed), classes)
    plots.save(plots.plot_analogies(model, x[:10]), analogies)
    return [classes, analogies]


def picture_files(options) -> list[Path]:
    return [Path(options.pictures) / name for name in ("classes.png", "analogies.png")]
