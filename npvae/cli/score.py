"""``npvae score``: how unlike the others every row of a table is, and by which columns."""

from __future__ import annotations

import csv
import io as text_io

import numpy as np

from npvae import evaluation
from npvae.cli import choices, columns, common, numbers, output, outputs, reading, resuming
from npvae.data import DATASETS, load_file
from npvae.data.own_files import NUMPY_SUFFIXES
from npvae.data.source import text_suffix
from npvae.data.tables.read import read_table
from npvae.errors import InputError, TrainingInterrupted
from npvae.estimators.outliers import OutlierScores, OutlierVAE
from npvae.support import npz_file
from npvae.support.files import write_text_atomically
from npvae.support.progress import progress_bar

#: The most unusual rows that are named, and columns of each.
NAMED_ROWS, NAMED_COLUMNS = 5, 3
#: Options of training, for which there has to be no model yet.
TRAINING = ("save", "contamination", "support_fraction", "epochs")


def add_parser(commands) -> None:
    parser = commands.add_parser(
        "score",
        help="how unlike the others every row of a table is, and by which columns",
        description="Write a score for every row, -log p(x) in nats, its standard error, and what each column "
        "contributes to it. Without --model "
        "an OutlierVAE is trained on the table itself, which may hold the outliers; --model may be one that --save "
        "left, or a model of "
        "'npvae train'.",
    )
    common.add_data(parser)
    common.add_part(parser)
    parser.add_argument(
        "--model",
        help="score with this OutlierVAE or VAE (a file, or the folder of 'npvae train') instead of training one",
    )
    parser.add_argument(
        "--out",
        type=outputs.output_file,
        default="scores.csv",
        help=".csv, or - for standard output (default scores.csv)",
    )
    parser.add_argument(
        "--contamination",
        type=numbers.real(above=0.0, maximum=0.5),
        metavar="SHARE",
        help="share of rows that are marked as outliers, at most 0.5 (default 0.1)",
    )
    parser.add_argument(
        "--support-fraction",
        type=numbers.real(above=0.0, maximum=1.0),
        metavar="SHARE",
        help="share of rows to train on, those that fit each other best (default 0.5; 1 where no row is an outlier)",
    )
    parser.add_argument(
        "--epochs", type=numbers.whole(1), help="of training, at most (default: as many as make 300 steps)"
    )
    parser.add_argument("--samples", type=numbers.whole(1), help="samples of z a row (default 200)")
    parser.add_argument("--save", type=outputs.output_file, help="keep the trained OutlierVAE in this .npz")
    parser.add_argument("--overwrite", action="store_true", help="let --save replace a model that is there")
    columns.add_options(parser)
    resuming.add_checkpoint(parser)
    common.add_seed(parser)
    common.add_backend(parser)
    parser.add_argument(
        "--threads", type=numbers.threads, help="number of threads to run on (default: all cores this process may use)"
    )
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    parser.set_defaults(run=run_command, parser=parser)


def run_command(options) -> int:
    options = resuming.of_checkpoint(options)
    _check(options)
    code, offset = 0, None
    kind = None if options.model is None else npz_file.kind_of(common.model_path(options.model))[1]
    if kind in (None, "OutlierVAE"):
        text, table = _read(options)
        with columns.naming_lines(text):
            detector, table, code = _detector(options, text, table)
            found, offset = detector.explain(table), detector.offset_
    else:
        vae = common.load_model(options)
        if common.choose_data(options, vae):
            _check(options)
        text, found = _by_vae(options, vae)
    write_text_atomically(outputs.target(options.out, ".csv"), _as_csv(found, offset))
    if not options.quiet:
        _report(found, offset, text)
        if files := outputs.written_words([options.out, *([] if options.save is None else [options.save])]):
            output.say(f"wrote {files}")
    return code


def _read(options):
    """``(text, table)``: a text table, or None, and what a detector takes: the same, or an array."""
    if options.data is None:
        raise InputError(f"--data is required: {options.model} does not say what it was trained on")
    if text_suffix(options.data) in NUMPY_SUFFIXES:
        if said := reading.arguments(options):
            raise InputError(
                f"{', '.join('--' + name.replace('_', '-') for name in said)}: for text tables, not for {options.data}"
            )
        x = load_file(options.data).x.astype(np.float64)
        return None, x.reshape(len(x), -1)
    common.refuse_no_file(options, options.data)
    text = read_table(options.data, **reading.arguments(options))
    reading.say_what_was_read((lambda line: None) if options.quiet else output.say, text)
    return text, text


def _detector(options, text, table):
    """``(detector, table, exit code)``: the one of ``--model``, or one that is trained on the table, and saved where
    that is asked for.
    """
    more = {} if options.samples is None else {"samples": options.samples}
    if options.model is not None:
        detector = OutlierVAE.load(common.model_path(options.model), **common.where_to_run(options))
        table = table if text is None else columns.of_model(detector.schema_, text)
        return detector.set_params(unseen=options.unseen, verbose=not options.quiet, **more), table, 0
    kinds = columns.kinds_said(options)
    if text is not None:
        table = columns.modelled(text, kinds, () if (label := _label(options, text)) is None else (label,))
    more |= {
        name: value
        for name in ("contamination", "support_fraction", "epochs")
        if (value := getattr(options, name)) is not None
    }
    detector = OutlierVAE(
        kinds=kinds,
        unseen=options.unseen,
        backend=choices.parse_choice(options.backend),
        threads=options.threads,
        random_state=options.seed,
        verbose=not options.quiet,
        **more,
    )
    code = 0
    try:
        detector.fit(
            table,
            checkpoint=resuming.file_of(options),
            checkpoint_seconds=options.checkpoint_seconds,
            resume=resuming.mode(options),
        )
    except TrainingInterrupted as interruption:
        output.tell(f"npvae: {interruption}; scores are by what there is{resuming.how_to_go_on(options)}")
        code = 130
    if options.save is not None:
        detector.save(options.save)
    return detector, table, code


def _label(options, text):
    """The column of ``--label-column``, which is left out of the model; None: none is named. InputError: there is no
    such column.
    """
    said = common.label_column(options)
    if said is None:
        return None
    there = {column.name: column for column in text.columns}
    if isinstance(said, int) and str(said) not in there and -len(text.columns) <= said < len(text.columns):
        return text.columns[said]
    if str(said) not in there:
        raise InputError(
            f"--label-column: {text.name} has no column {said!r}; it has {', '.join(map(repr, [*there][:20]))}"
        )
    return there[str(said)]


def _by_vae(options, vae):
    """``(text, scores)`` by a model of ``npvae train``."""
    table, text = getattr(vae, "table_", None), None
    if table is not None:
        text = read_table(options.data, **reading.arguments(options))
        with columns.naming_lines(text):
            rows = vae.model_input(columns.of_model(table.schema, text))
    else:
        x, _, column_names, _ = common.read_data(options, options.part)
        rows = vae.model_input(common.with_names(x, column_names))
    model, seed = vae.model_, vae.seed_of(options.seed)
    with progress_bar(not options.quiet, rows.shape[0], "row") as progress:
        found = evaluation.contributions(model, vae.device_theta(), rows, seed, options.samples or 200, progress)
    variables = model.likelihood.variables(model.architecture.n_features)
    if table is not None:
        names = [column.name for column in table.schema.columns]
    else:
        known = getattr(vae, "feature_names_in_", range(model.architecture.n_features))
        names = [
            f"{known[v.start]}" if v.stop - v.start == 1 else f"{known[v.start]} to {known[v.stop - 1]}"
            for v in variables
        ]
    seen = ~np.isnan(model.ops.to_numpy(rows)[:, [v.start for v in variables]])
    return text, OutlierScores.of(found, names, seen)


def _as_csv(found: OutlierScores, offset: float | None) -> str:
    """score, standard_error, outlier (of an OutlierVAE), largest, and a column of contributions for each of the
    table's, by row.
    """
    stream = text_io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    marks: list[str | int] = [] if offset is None else ["outlier"]
    writer.writerow(["score", "standard_error", *marks, "largest", *(f"contribution_{name}" for name in found.columns)])
    for score, error, largest, parts in zip(
        found.score, found.standard_error, found.largest, found.contributions, strict=True
    ):
        marks = [] if offset is None else [int(-score < offset)]
        writer.writerow([_digits(score), _digits(error), *marks, largest, *map(_digits, parts)])
    return stream.getvalue()


def _digits(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.6g}"


def _report(found: OutlierScores, offset: float | None, text) -> None:
    """How many rows are outliers, and the most unusual ones with what makes them so."""
    rows = len(found.score)
    said = (
        ""
        if offset is None
        else f", {int((-found.score < offset).sum())} of them outliers: with a score above {-offset:.4g}"
    )
    output.say(f"{rows} rows{said}; the median score is {np.median(found.score):.4g} nats")
    for row in np.argsort(-found.score, kind="stable")[: min(NAMED_ROWS, rows)]:
        excess = found.excess[row]
        order = np.argsort(-excess)[:NAMED_COLUMNS]
        parts = ", ".join(f"{found.columns[place]} {excess[place]:+.1f}" for place in order if excess[place] > 0.0)
        where = f"row {row}" if text is None else f"line {text.line(int(row))}"
        output.say(
            f"  {where}: {found.score[row]:.4g} ({found.standard_error[row]:.2g}){': ' + parts if parts else ''}"
        )


def _check(options) -> None:
    """Refuse what would be found out only after training. InputError, FileNotFoundError."""
    if options.data is None and options.model is None:
        raise InputError("--data is required; see 'npvae score --help'")
    written = [outputs.Output("--out", options.out)]
    if options.save is not None:
        written.append(outputs.Output("--save", options.save, model=True))
        outputs.refuse_suffix(written[-1], (".npz",))
    if options.checkpoint is not None:
        if options.data == "-":
            raise InputError("--data -: standard input cannot be read again, as --checkpoint needs it; give it a name")
        written.append(outputs.Output("--checkpoint", options.checkpoint, model=True))
        outputs.refuse_suffix(written[-1], (".npz",))
    outputs.refuse_suffix(written[0], (".csv",))
    outputs.refuse(
        written, [("--data", options.data), ("--model", options.model)], overwrite=options.overwrite or options.resume
    )
    said = [f"--{name.replace('_', '-')}" for name in TRAINING if getattr(options, name) is not None] + (
        ["--kind"] if options.kind else []
    )
    if options.model is not None and said:
        raise InputError(f"--model scores with a trained model as it is; leave out {', '.join(said)}")
    if options.model is None and options.data in DATASETS:
        raise InputError(
            f"--data {options.data} is a data set of pictures: train a VAE on it first, 'npvae train --data "
            f"{options.data}', and name it with --model"
        )
