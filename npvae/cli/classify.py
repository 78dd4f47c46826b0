"""``npvae classify``: learn classes from rows of which few have a label, and write the class of every row."""

from __future__ import annotations

from pathlib import Path

from npvae.cli import (
    choices,
    classes_out,
    classify_rows,
    classify_train,
    columns,
    common,
    numbers,
    output,
    outputs,
    resuming,
)
from npvae.data import DATASETS
from npvae.errors import InputError, NpvaeError
from npvae.estimators.semisupervised import LatentClassifier, SemiSupervisedVAE
from npvae.support import npz_file as io_files
from npvae.training.checkpoint import CheckpointFile

NO_PICTURES = "a model m1 makes no rows of a class: --pictures needs m2 or m1+m2"


def add_parser(commands) -> None:
    parser = commands.add_parser(
        "classify",
        help="learn classes from few labelled rows and many without a label",
        description="Train a classifier on labelled and unlabelled rows, and write the class of every row with its "
        "probabilities. "
        "Rows whose label is -1 or empty are unlabelled. Tables may have text and gaps; columns that cannot be "
        "modelled are named. Alone, it keeps the labels of 200 of the digits that come with npvae and "
        "classifies their test part.",
    )
    common.add_data(parser, default="digits")
    parser.add_argument(
        "--labels",
        type=numbers.whole(2),
        help="keep only so many labels, as many of every class (of a data set: default 200)",
    )
    parser.add_argument(
        "--classes",
        action="store_true",
        help="take every label for the name of a class, also where they look like numbers",
    )
    parser.add_argument(
        "--predict",
        help="classify the rows of this file (default: of a data set its test part, else all rows of --data)",
    )
    parser.add_argument(
        "--out",
        type=outputs.output_file,
        default="classes.csv",
        help="where to write the classes: .csv or .npz, or - for standard output (default classes.csv)",
    )
    parser.add_argument("--save", type=outputs.output_file, help="keep the trained model in this .npz")
    parser.add_argument("--overwrite", action="store_true", help="let --save replace a model that is there")
    parser.add_argument("--model", help="use this model, which --save left, instead of training one")
    parser.add_argument(
        "--pictures",
        type=outputs.output_folder,
        metavar="FOLDER",
        help="leave pictures there: samples of every class, and analogies",
    )
    parser.add_argument(
        "--method",
        default="m2",
        choices=classify_train.METHODS,
        help="m2 (default): on the data; m1: softmax regression on the latent features of a VAE of all rows; m1+m2: m2 "
        "on them",
    )
    parser.add_argument("--latent-dim", type=numbers.whole(1), default=50, help="latent dimensions (default 50)")
    parser.add_argument("--hidden", default="500", help="widths of the encoder: 500, or 500,200, or none (default 500)")
    parser.add_argument(
        "--likelihood",
        type=choices.likelihood,
        help="of the data, as in 'npvae train' (default: bernoulli for data from 0 to 1; of other text "
        "tables one a column, by its kind; of other arrays gaussian_decoder on standardised columns)",
    )
    parser.add_argument(
        "--alpha", type=numbers.real(minimum=0.0), default=1.0, help="weight of the classifier's term (default 1)"
    )
    parser.add_argument(
        "--epochs",
        type=numbers.whole(1),
        default=50,
        help="passes over the data, of m1+m2 for each of both (default 50)",
    )
    parser.add_argument(
        "--batch-size", type=numbers.whole(1), help="rows a step (default 50 for m2 with bernoulli, else 100)"
    )
    parser.add_argument(
        "--learning-rate",
        type=numbers.real(above=0.0),
        help="of Adam (default 0.003 for m2 with bernoulli, else 0.001)",
    )
    parser.add_argument(
        "--schedule",
        type=choices.schedule,
        help="of the learning rate: as in 'npvae train' (default cosine for m2 with bernoulli, else constant)",
    )
    columns.add_options(parser)
    parser.add_argument("--divide-by", type=numbers.real(above=0.0), help="scale the data: 255 for 8-bit images")
    resuming.add_checkpoint(parser)
    common.add_seed(parser)
    common.add_backend(parser)
    parser.add_argument(
        "--threads", type=numbers.threads, help="how many to run on (default: all cores this process may use)"
    )
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    parser.set_defaults(run=run_command, parser=parser)


def run_command(options) -> int:
    options = resuming.of_checkpoint(options, "features")
    _check(options)
    say = (lambda text: None) if options.quiet else output.say
    code, written = 0, []
    if options.model is not None:
        model = _loaded(options)
        source, table = options.predict or options.data, _table_of(model)
        if table is None:
            judged = classify_rows.read_rows(options, source, "test", model.n_features_in_)
        else:
            judged = classify_rows.read_rows_like(options, source, table)
        classify_rows.refuse_other_labels(judged, model.classes_)
    else:
        rows = classify_rows.read_rows(options, options.data, "train")
        given = classify_rows.given_labels(options, rows)
        if options.predict is not None:
            if rows.table is None:
                judged = classify_rows.read_rows(options, options.predict, "test", rows.width())
            else:
                judged = classify_rows.read_rows_like(options, options.predict, classify_train.table_of(options, rows))
            classify_rows.refuse_other_labels(judged, rows.classes)
        else:
            judged = (
                classify_rows.read_rows(options, options.data, "test")
                if options.data in DATASETS
                else rows.without(given >= 0)
            )
        if options.pictures is not None:
            classes_out.picture_folder(options, () if rows.table is not None else rows.x.shape[1:])
        run = resuming.identity(options, rows.content(), given)
        if options.save is not None and run != _run_that_left(options.save):
            outputs.refuse([_saved(options)], overwrite=options.overwrite or options.resume)
        say(
            f"{len(rows.x)} rows, {int((given >= 0).sum())} of them with a label"
            + (f"; without: {rows.unlabelled}" if rows.unlabelled else "")
        )
        model, code = classify_train.train(options, rows, given)
    if options.save is not None:
        for part in filter(None, (model, getattr(model, "features_", None))):
            common.remember_data(options, part)
            part.trained_on_["run"] = run
        model.save(options.save)
        written.append(options.save)
    with columns.naming_lines(judged.table):
        p = model.predict_proba(judged.data())
    classes_out.write(options.out, model.classes_, p)
    written.append(options.out)
    classes_out.report(say, model.classes_, model.classes_[p.argmax(axis=1)], judged)
    if options.pictures is not None:
        written += classes_out.pictures(model, judged.x, options)
    if files := outputs.written_words(written):
        say(f"wrote {files}")
    return code


def _saved(options) -> outputs.Output:
    return outputs.Output("--save", options.save, model=True)


def _run_that_left(path) -> str | None:
    """The digest of the run that saved a model there, which the same run may make anew; None: there is none, or
    nobody knows.
    """
    kinds = {kind.__name__: kind for kind in (SemiSupervisedVAE, LatentClassifier)}
    kind = kinds.get(io_files.kind_of(path)[1])
    try:
        model = None if kind is None else kind.load(path, backend="numpy")
    except (NpvaeError, OSError):
        return None
    part = model.features_ if isinstance(model, LatentClassifier) else model
    return (getattr(part, "trained_on_", None) or {}).get("run")


def _loaded(options):
    """The model of ``--model``. InputError: it makes no pictures where they are asked for."""
    model = common.load_model(options, "SemiSupervisedVAE", "LatentClassifier")
    if options.pictures is not None:
        if isinstance(model, LatentClassifier):
            raise InputError(NO_PICTURES)
        classes_out.picture_folder(options, () if _table_of(model) is not None else model.sample_shape_)
    if isinstance(model, SemiSupervisedVAE):
        model.set_params(unseen=options.unseen)
    if getattr(model.features_, "table_", None) is not None:
        model.features_.table_.unseen = options.unseen
    return model


def _table_of(model):
    """What a model, or the VAE of its features, knows of a table; None: it is one of plain numbers."""
    table = getattr(model, "table_", None)
    of_features = getattr(model.features_, "table_", None)
    return table if of_features is None else of_features.rows


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
        written += [outputs.Output("--pictures", path) for path in classes_out.picture_files(options)]
    read = [("--data", options.data), ("--predict", options.predict), ("--model", options.model)]
    overwrite = options.overwrite or options.resume
    if (
        options.save is not None and _run_that_left(options.save) is not None
    ):  # perhaps this very run: seen once the data are read
        outputs.refuse(written, read, overwrite=True)
        del written[1]
    outputs.refuse(written, read, overwrite=overwrite)
    if options.model is not None and (options.save is not None or options.labels is not None or options.classes):
        raise InputError("--model uses a trained model as it is; leave out --save and --labels, and --classes")
    if options.pictures is not None and options.model is None and options.method == "m1":
        raise InputError(NO_PICTURES)
