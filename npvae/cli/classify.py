"""``npvae classify``: learn classes from rows of which few have a label, and write the class of every row."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from npvae import io as io_files
from npvae.cli import choices, common, numbers, output, outputs, resuming
from npvae.data import DATASETS
from npvae.data.own_files import NUMPY_SUFFIXES
from npvae.errors import DataFileError, InputError, NpvaeError, TrainingInterrupted
from npvae.estimator import VAE
from npvae.files import write_atomically, write_text_atomically
from npvae.semisupervised import LatentClassifier, SemiSupervisedVAE
from npvae.semisupervised.continuous import why_continuous
from npvae.semisupervised.labels import balanced_choice, is_unlabelled, read_labels, refuse_other_kind, refuse_unusable
from npvae.training.checkpoint import CheckpointFile

METHODS = ("m1", "m2", "m1+m2")
#: Labels that are kept of a known data set, where the command does not say how many.
DATASET_LABELS = 200
#: How m2 is trained on a Bernoulli likelihood, and everything else: with these steps it classifies rows without a label better;
#: m1 does not, and Gaussians with variances of their own do not bear them.
BERNOULLI_STEPS = {"learning_rate": 3e-3, "schedule": "cosine", "batch_size": 50}
OTHER_STEPS = {"learning_rate": 1e-3, "schedule": "constant", "batch_size": 100}
NO_PICTURES = "a model m1 makes no rows of a class: --pictures needs m2 or m1+m2"
#: Classes that are counted in the report.
MOST_LISTED = 12


def add_parser(commands) -> None:
    parser = commands.add_parser(
        "classify", help="learn classes from few labelled rows and many without a label",
        description="Train a classifier on labelled and unlabelled rows, and write the class of every row with its probabilities. "
        "Rows whose label is -1 or empty are unlabelled. Alone, it keeps the labels of 200 of the digits that come with npvae and "
        "classifies their test part.",
    )
    common.add_data(parser, default="digits")
    parser.add_argument("--labels", type=numbers.whole(2), help="keep only so many labels, as many of every class (of a data set: default 200)")
    parser.add_argument("--classes", action="store_true", help="take every label for the name of a class, also where they look like numbers")
    parser.add_argument("--predict", help="classify the rows of this file (default: of a data set its test part, else all rows of --data)")
    parser.add_argument(
        "--out", type=outputs.output_file, default="classes.csv",
        help="where to write the classes: .csv or .npz, or - for standard output (default classes.csv)",
    )
    parser.add_argument("--save", type=outputs.output_file, help="keep the trained model in this .npz")
    parser.add_argument("--overwrite", action="store_true", help="let --save replace a model that is there")
    parser.add_argument("--model", help="use this model, which --save left, instead of training one")
    parser.add_argument("--pictures", type=outputs.output_folder, metavar="FOLDER", help="leave pictures there: samples of every class, and analogies")
    parser.add_argument(
        "--method", default="m2", choices=METHODS,
        help="m2 (default): on the data; m1: softmax regression on the latent features of a VAE of all rows; m1+m2: m2 on them",
    )
    parser.add_argument("--latent-dim", type=numbers.whole(1), default=50, help="latent dimensions (default 50)")
    parser.add_argument("--hidden", default="500", help="widths of the encoder: 500, or 500,200, or none (default 500)")
    parser.add_argument(
        "--likelihood", type=choices.likelihood, help="of the data, as in 'npvae train' (default: bernoulli for data from 0 to 1, else gaussian_decoder on "
        "standardised columns)",
    )
    parser.add_argument("--alpha", type=numbers.real(minimum=0.0), default=1.0, help="weight of the classifier's term (default 1)")
    parser.add_argument("--epochs", type=numbers.whole(1), default=50, help="passes over the data, of m1+m2 for each of both (default 50)")
    parser.add_argument("--batch-size", type=numbers.whole(1), help="rows a step (default 50 for m2 with bernoulli, else 100)")
    parser.add_argument("--learning-rate", type=numbers.real(above=0.0), help="of Adam (default 0.003 for m2 with bernoulli, else 0.001)")
    parser.add_argument("--schedule", type=choices.schedule, help="of the learning rate: as in 'npvae train' (default cosine for m2 with bernoulli, else constant)")
    parser.add_argument("--divide-by", type=numbers.real(above=0.0), help="scale the data: 255 for 8-bit images")
    resuming.add_checkpoint(parser)
    common.add_seed(parser)
    common.add_backend(parser)
    parser.add_argument("--threads", type=numbers.threads, help="how many to run on (default: all cores this process may use)")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    parser.set_defaults(run=run_command, parser=parser)


def run_command(options) -> int:
    options = resuming.of_checkpoint(options, "features")
    _check(options)
    say = (lambda text: None) if options.quiet else output.say
    code, written = 0, []
    if options.model is not None:
        model = _loaded(options)
        judged = _rows(options, options.predict or options.data, "test", model.n_features_in_)
        _refuse_other_labels(judged, model.classes_)
    else:
        rows = _rows(options, options.data, "train")
        given = _given_labels(options, rows)
        if options.predict is not None:
            judged = _rows(options, options.predict, "test", rows.width())
            _refuse_other_labels(judged, rows.classes)
        else:
            judged = _rows(options, options.data, "test") if options.data in DATASETS else rows.without(given >= 0)
        if options.pictures is not None:
            _picture_folder(options, rows.x.shape[1:])
        run = resuming.identity(options, rows.x, given)
        if options.save is not None and run != _run_that_left(options.save):
            outputs.refuse([_saved(options)], overwrite=options.overwrite or options.resume)
        say(f"{len(rows.x)} rows, {int((given >= 0).sum())} of them with a label" + (f"; without: {rows.unlabelled}" if rows.unlabelled else ""))
        model, code = _train(options, rows, given)
    if options.save is not None:
        for part in filter(None, (model, getattr(model, "features_", None))):
            common.remember_data(options, part)
            part.trained_on_["run"] = run
        model.save(options.save)
        written.append(options.save)
    p = model.predict_proba(common.with_names(judged.x, judged.names))
    _write(options.out, model.classes_, p)
    written.append(options.out)
    _report(say, model.classes_, model.classes_[p.argmax(axis=1)], judged)
    if options.pictures is not None:
        written += _pictures(model, judged.x, options)
    if files := outputs.written_words(written):
        say(f"wrote {files}")
    return code


def _saved(options) -> outputs.Output:
    return outputs.Output("--save", options.save, model=True)


def _run_that_left(path) -> str | None:
    """The digest of the run that saved a model there, which the same run may make anew; None: there is none, or nobody knows."""
    kinds = {kind.__name__: kind for kind in (SemiSupervisedVAE, LatentClassifier)}
    kind = kinds.get(io_files.kind_of(path)[1])
    try:
        model = None if kind is None else kind.load(path, backend="numpy")
    except (NpvaeError, OSError):
        return None
    part = model.features_ if isinstance(model, LatentClassifier) else model
    return (getattr(part, "trained_on_", None) or {}).get("run")


@dataclass(frozen=True)
class _Rows:
    """Rows as they were read; codes (N,) and classes of their labels, None where there are none."""

    x: np.ndarray
    codes: np.ndarray | None
    classes: np.ndarray | None
    names: list[str] | None
    divide_by: float | None
    what: str = "with a label"
    unlabelled: str = ""  #: rows without a label by what stands there, in words

    def width(self) -> int:
        """How many numbers a row has."""
        return math.prod(self.x.shape[1:])

    def without(self, given) -> _Rows:
        """The same rows, but their labels only where they were not given to the model."""
        return replace(self, codes=np.where(given, -1, self.codes), what="whose label was not given")


def _rows(options, source: str, part: str, width: int | None = None) -> _Rows:
    """A data set's part, or a file. width: how many numbers a row must have; a file with just so many columns has no labels."""
    text_file = source not in DATASETS and Path(source).suffix.lower() not in NUMPY_SUFFIXES
    found = None
    if text_file and width is not None:
        try:
            found = common.read_data(options, part, source, labelled=False)
        except DataFileError:  # texts in its column of labels
            pass
    if found is None or found[0].shape[1] != width:
        found = common.read_data(options, part, source, labelled=text_file)
    x, y, names, divide_by = found
    rows = _Rows(x, None, None, names, divide_by)
    if width is not None and rows.width() != width:
        raise InputError(f"a row of {source} has {rows.width()} numbers, but the model's have {width}")
    if y is None:
        return rows
    try:
        labels, unlabelled = _without_missing(options, y)
        if part == "train" and source not in DATASETS:
            labels = _names_of_classes(options, labels)
        special = any(map(is_unlabelled, {label for label in labels if label is not None}))  # the user's own NA, or the sign -1
        codes, classes = read_labels(labels, len(x), sorted({label for label in labels if label is not None}) if special else None)
    except NpvaeError as error:
        raise type(error)(f"{source}: {error}") from None
    return replace(rows, codes=codes, classes=classes, unlabelled=unlabelled)


def _refuse_other_labels(judged: _Rows, classes) -> None:
    """InputTypeError: the rows to judge by have texts for labels where the model has numbers, or the other way round."""
    if judged.classes is not None:
        refuse_other_kind(judged.classes, classes)


def _without_missing(options, y) -> tuple[list, str]:
    """Labels as they are written, None for none; and how many rows have none, in words.

    -1 means that there is none, unless it is one of the signs -1, 0, +1, written so, or ``--observed`` has it.
    """
    y = y.tolist()
    is_class = "-1" in options.observed or {"0", "+1"} <= set(y)
    minus = [str(label) == "-1" and not is_class for label in y]
    missing = [str(label) != "-1" and is_unlabelled(label) and (label == "" or label not in options.observed) for label in y]
    words = [f"{sum(missing)} missing"] if any(missing) else []
    words += [f"{sum(minus)} of -1 (if that is a class: --observed=-1)"] if any(minus) else []
    labels = [None if gone or none else label for label, gone, none in zip(y, missing, minus, strict=True)]
    if all(label is None or _is_plain_integer(str(label)) for label in labels):
        labels = [None if label is None else int(label) for label in labels]
    return labels, ", ".join(words)


def _is_plain_integer(text: str) -> bool:
    """Whether a text is how Python writes a whole number that a float holds."""
    return text.lstrip("-").isdecimal() and len(text) < 20 and str(int(text)) == text and abs(int(text)) < 2**53


def _names_of_classes(options, labels: list) -> list:
    """``labels`` as names of classes. InputError: they look like numbers that are measured, and ``--classes`` does not say otherwise."""
    given = [label for label in labels if label is not None]
    why = why_continuous(given, len(labels))
    if why is None:
        return labels
    if not options.classes:
        column = "the array y" if options.label_column is None else f"--label-column {options.label_column}"
        raise InputError(
            f"{column} looks continuous, not like a class: {why}; each would be a class of its own. Put its values into a few "
            "classes first, such as low and high, or name another column; if they are names of classes, say --classes"
        )
    if any(isinstance(label, float) for label in given):
        return [None if label is None else repr(label) for label in labels]
    return labels


def _given_labels(options, rows: _Rows) -> np.ndarray:
    """The codes of the labels to learn from, (N,), -1 for none. InputError: there are none."""
    if rows.codes is None:
        raise InputError(f"{options.data} has no labels: name their column with --label-column, or put them in an .npz as y")
    if options.labels is None and options.data not in DATASETS:
        codes = rows.codes
    else:
        count = DATASET_LABELS if options.labels is None else options.labels
        codes = balanced_choice(rows.codes, count, options.seed, rows.classes)
    refuse_unusable(codes, rows.classes)
    return codes


def _train(options, rows: _Rows, given):
    """``(model, exit code)``."""
    hidden, seed, quiet = choices.parse_widths(options.hidden), options.seed, options.quiet
    divide_by = options.divide_by if options.divide_by is not None else (rows.divide_by or 1.0)
    grey = np.min(rows.x) >= 0.0 and np.max(rows.x) <= divide_by
    likelihood = choices.parse_choice(options.likelihood or ("bernoulli" if grey else "gaussian_decoder"))
    steps = BERNOULLI_STEPS if (options.method, likelihood) == ("m2", "bernoulli") else OTHER_STEPS
    common_arguments = {
        "backend": choices.parse_choice(options.backend), "threads": options.threads, "random_state": seed, "verbose": not quiet,
        "latent_dim": options.latent_dim, "hidden": hidden, "activation": "softplus", "optimizer": "adam",
        "epochs": options.epochs,
        **{name: default if getattr(options, name) is None else getattr(options, name) for name, default in steps.items()},
    }
    common_arguments["schedule"] = choices.parse_schedule(common_arguments["schedule"])
    y = [rows.classes[code].item() if code >= 0 else None for code in given]
    classes = rows.classes.tolist() if any(map(is_unlabelled, rows.classes.tolist())) else None
    standardize = not grey and options.divide_by is None and any(
        word in str(options.likelihood or "gaussian_decoder") for word in ("gaussian", "student_t", "squared_error")
    )
    if options.method == "m2":
        model = SemiSupervisedVAE(
            likelihood=likelihood, alpha=options.alpha, divide_by=divide_by, standardize=standardize, classes=classes, **common_arguments
        )
    else:
        if options.likelihood is None and not grey:
            raise InputError("m1 and m1+m2 need data from 0 to 1, --divide-by, or a --likelihood; of other tables use m2, which standardises them")
        binarize = "dynamic" if likelihood == "bernoulli" else "none"
        vae = VAE(likelihood=likelihood, divide_by=divide_by, binarize=binarize, **common_arguments)
        model = LatentClassifier(vae, classes=classes) if options.method == "m1" else SemiSupervisedVAE(
            vae, alpha=options.alpha, classes=classes, **common_arguments
        )
    try:
        model.fit(
            common.with_names(rows.x, rows.names), y, checkpoint=resuming.file_of(options),
            checkpoint_seconds=options.checkpoint_seconds, resume=resuming.mode(options),
        )
    except TrainingInterrupted as error:
        if error.estimator is not model:  # but its features
            raise KeyboardInterrupt(f"{error}, of the VAE of features: there is no classifier yet{resuming.how_to_go_on(options)}") from None
        epochs = (model if isinstance(model, SemiSupervisedVAE) else model.features_).history_.epochs
        output.tell(f"npvae: interrupted after {epochs} of {options.epochs} epochs; classifying by the model so far{resuming.how_to_go_on(options)}")
        return model, 130
    return model, 0


def _loaded(options):
    """The model of ``--model``. InputError: it makes no pictures where they are asked for."""
    model = common.load_model(options, SemiSupervisedVAE, LatentClassifier)
    if options.pictures is not None:
        if isinstance(model, LatentClassifier):
            raise InputError(NO_PICTURES)
        _picture_folder(options, model.sample_shape_)
    return model


def _report(say, classes, predicted, judged: _Rows) -> None:
    counts = [f"{label} {int((predicted == label).sum())}" for label in classes.tolist()]
    say(f"classes of {len(predicted)} rows: " + ", ".join(counts[:MOST_LISTED] + (["..."] if len(counts) > MOST_LISTED else [])))
    if judged.codes is None or not (known := judged.codes >= 0).any():
        return
    wrong = np.mean(judged.classes[judged.codes[known]] != predicted[known])
    say(f"of {int(known.sum())} rows {judged.what}, {100 * wrong:.2f} % are taken for another class")


def _write(path, classes, p) -> None:
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


def _picture_folder(options, shape) -> Path:
    """The folder of ``--pictures``, made if need be. InputError: rows of that shape are no pictures. OSError: it cannot be made."""
    from npvae import plots

    if plots.image_shape(shape) is None:
        raise InputError(f"--pictures: rows of shape {tuple(shape)} are not pictures")
    return common.writable_folder(options.pictures)


def _pictures(model, x, options) -> list[Path]:
    """Samples of every class, and the first rows in every class."""
    from npvae import plots

    classes, analogies = _picture_files(options)
    plots.save(plots.plot_classes(model, random_state=options.seed), classes)
    plots.save(plots.plot_analogies(model, x[:10]), analogies)
    return [classes, analogies]


def _picture_files(options) -> list[Path]:
    return [Path(options.pictures) / name for name in ("classes.png", "analogies.png")]


def _check(options) -> None:
    """Refuse what would be found out only after training. InputError, FileNotFoundError."""
    written = [outputs.Output("--out", options.out)]
    outputs.refuse_suffix(written[0], (".csv", ".npz"))
    if options.save is not None:
        written.append(_saved(options))
        outputs.refuse_suffix(written[1], (".npz",))
    if options.checkpoint is not None:
        written.append(outputs.Output("--checkpoint", options.checkpoint, model=True))
        outputs.refuse_suffix(written[-1], (".npz",))
        if options.method == "m1+m2":
            beside = CheckpointFile.of(options.checkpoint).beside("features").path
            written.append(outputs.Output("--checkpoint", beside, model=True))
    if options.pictures is not None and Path(options.pictures).is_dir():
        written += [outputs.Output("--pictures", path) for path in _picture_files(options)]
    read = [("--data", options.data), ("--predict", options.predict), ("--model", options.model)]
    overwrite = options.overwrite or options.resume
    if options.save is not None and _run_that_left(options.save) is not None:  # perhaps this very run: seen once the data are read
        outputs.refuse(written, read, overwrite=True)
        del written[1]
    outputs.refuse(written, read, overwrite=overwrite)
    if options.model is not None and (options.save is not None or options.labels is not None or options.classes):
        raise InputError("--model uses a trained model as it is; leave out --save and --labels, and --classes")
    if options.pictures is not None and options.model is None and options.method == "m1":
        raise InputError(NO_PICTURES)
