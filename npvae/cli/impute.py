"""``npvae impute``: fill in what is missing of a table."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path
from typing import Any

import numpy as np

from npvae.cli import choices, columns, common, numbers, output, outputs, reading, resuming
from npvae.data import load_file, save_array
from npvae.data.own_files import NUMPY_SUFFIXES, TEXT_SUFFIXES
from npvae.data.source import PACKED_SUFFIXES, text_suffix
from npvae.data.tables import report
from npvae.data.tables.read import read_table
from npvae.data.tables.table import Selection, Table
from npvae.data.tables.write import write_table
from npvae.errors import InputError, TrainingInterrupted
from npvae.estimators.tables import TableImputer, imputer_checkpoint
from npvae.support.files import write_text_atomically

#: A row whose effective sample size is below this is spoken of.
FEW_SAMPLES = 5
#: Draws for intervals, where fewer tables are asked for.
INTERVAL_DRAWS = 200


def add_parser(commands) -> None:
    parser = commands.add_parser(
        "impute",
        help="fill in what is missing of a table",
        description="Train on what is observed of a table and fill in the rest; every other cell is written as it was, "
        "byte for byte. "
        "Columns that cannot be modelled stay as they are, and are named. Without --model a new one is trained on the "
        "table itself.",
    )
    common.add_data_file(
        parser,
        "the table: text (.csv, .tsv, .txt, packed or not), .xlsx, .parquet, .feather, numbers in .npy, .npz, or -",
    )
    parser.add_argument(
        "--out",
        type=outputs.output_file,
        help="where to write the completed table, of the same kind, or - for standard output",
    )
    parser.add_argument(
        "--draws",
        type=numbers.whole(0, 100_000),
        default=0,
        help="write so many tables drawn as well: OUT-1.csv, OUT-2.csv, ...",
    )
    parser.add_argument(
        "--intervals",
        type=outputs.output_file,
        help="write 90%% intervals of the numbers to this .csv, or -; of columns of few values the smallest sets with "
        "90%%",
    )
    columns.add_options(parser)
    reading.add_options(parser)
    reading.add_report(parser)
    parser.add_argument("--model", help="use this imputer, which --save left, instead of training one")
    parser.add_argument("--save", type=outputs.output_file, help="keep the trained imputer in this .npz")
    parser.add_argument(
        "--time",
        type=numbers.real(above=0.0),
        metavar="SECONDS",
        help="take about so long in all: the best until then is the answer, which another run may not repeat (default: "
        "until nothing gets better)",
    )
    parser.add_argument("--members", type=numbers.whole(1), help="models that are averaged (default 5)")
    parser.add_argument(
        "--epochs", type=numbers.whole(1), help="of each of them, at most (default: 400, of long tables fewer)"
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="let --out be the file of --data, and --save replace an imputer that is there",
    )
    resuming.add_checkpoint(parser)
    common.add_seed(parser)
    common.add_backend(parser)
    parser.add_argument(
        "--threads", type=numbers.threads, help="how many to run on (default: all cores this process may use)"
    )
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    parser.set_defaults(run=run_command, parser=parser)


def run_command(options) -> int:
    options = resuming.of_checkpoint(options, command_of=imputer_checkpoint.command_of)
    _check(options)
    if _is_numpy(options):
        loaded = load_file(options.data)
        table: Any = loaded.x.astype(np.float64)
        labels, text = loaded.y, None
    else:
        text, labels = read_table(options.data, **reading.arguments(options)), None
        columns.write_report(options, text, columns.kinds_said(options))
        reading.say_what_was_read((lambda line: None) if options.quiet else output.say, text)
        table = text
    with columns.naming_lines(text):
        imputer, table, code = _imputer(options, table)
        draws = max(options.draws, INTERVAL_DRAWS if options.intervals is not None else 0)
        found = imputer.impute(table, draws=draws, random_state=options.seed)
    names = [options.out]
    _write(outputs.target(options.out, _suffix(options)), text, table, labels, found.filled)
    for i, draw in enumerate(found.draws[: options.draws], start=1):
        names.append(_numbered(options.out, i))
        _write(names[-1], text, table, labels, draw)
    if options.intervals is not None:
        _write_intervals(outputs.target(options.intervals), found, table)
        names.append(options.intervals)
    if not options.quiet:
        _report(imputer, found, text, table, names)
    return code


def _imputer(options, table):
    """``(imputer, table, exit code)``: the imputer of ``--model``, or one that is trained on the table, and saved where
    that is asked for; of a text table the columns that are modelled."""
    if options.model is not None:
        imputer = TableImputer.load(options.model, **common.where_to_run(options))
        table = columns.of_model(imputer.schema_, table) if isinstance(table, Table) else table
        limit = {} if options.time is None else {"time": options.time}
        return imputer.set_params(verbose=not options.quiet, unseen=options.unseen, **limit), table, 0
    kinds = columns.kinds_said(options)
    if isinstance(table, Table):
        table = columns.modelled(table, kinds)
    imputer = TableImputer(
        kinds,
        unseen=options.unseen,
        epochs=options.epochs,
        backend=choices.parse_choice(options.backend),
        threads=options.threads,
        random_state=options.seed,
        verbose=not options.quiet,
        **{name: value for name in ("members", "time") if (value := getattr(options, name)) is not None},
    )
    code = 0
    try:
        imputer.fit(
            table,
            checkpoint=resuming.file_of(options),
            checkpoint_seconds=options.checkpoint_seconds,
            resume=resuming.mode(options),
        )
    except TrainingInterrupted:
        output.tell(
            f"npvae: interrupted at model {len(imputer.members_)} of {imputer.members}; filling in by what there is"
            f"{resuming.how_to_go_on(options)}"
        )
        code = 130
    if options.time is not None and imputer.out_of_time_ and not options.quiet:
        output.tell(
            f"npvae: --time {options.time:g} ended training in member {len(imputer.members_)} of {imputer.members}; "
            f"more time may give better "
            "answers, and another run other ones"
        )
    if options.save is not None:
        imputer.save(options.save)
    if isinstance(table, Selection):
        table.modelled = {column.name for column in imputer.schema_.columns}
    return imputer, table, code


def _report(imputer, found, text, table, names) -> None:
    """What was filled in, how well cells held out were, and where it was written."""
    there = {column.name: column for column in table.chosen} if text is not None else {}
    gone = {
        name: int(there[name].missing.sum()) if text is not None else int(found.filled_in[:, i].sum())
        for i, name in enumerate(found.columns)
    }
    modelled = [column.name for column in imputer.schema_.columns]
    missing = found.filled_in
    header = "" if text is None else f", {report.names(text)}"
    width, total = missing.shape[1] if text is None else len(text.columns), sum(gone[name] for name in modelled)
    output.say(f"{len(missing)} rows, {width} columns{header}; {total} cells filled in")
    for column in imputer.schema_.columns:
        values = ", ".join(map(_as_text, column.values[:6])) + (", ..." if len(column.values) > 6 else "")
        words = (
            report.missing(there[column.name])
            if text is not None and gone[column.name]
            else f"{gone[column.name]} missing"
        )
        output.say(f"  {column.name}: {column.kind}{f' ({values})' if values else ''}, {words}")
    better = [(member.error, member.normal_error) for member in imputer.members_]
    ours, normal = np.mean(better, axis=0)
    output.say(
        f"squared error of cells held out, standardised (of names: of their probabilities): {ours:.3f}; of a normal "
        f"distribution: {normal:.3f}"
    )
    few = (missing.any(axis=1) & (found.effective_sample_size < FEW_SAMPLES)).sum()
    if few:
        output.say(
            f"of the rows filled in, {few} rest{'s' if few == 1 else ''} on fewer than {FEW_SAMPLES} "
            f"effective samples of z: unlike the others, or with a wild cell"
        )
    if files := outputs.written_words(names):
        output.say(f"wrote {files}")


def _check(options) -> None:
    """Refuse what would be found out only after training. InputError, FileNotFoundError."""
    for name in ("data", "out"):
        if getattr(options, name) is None:
            raise InputError(f"--{name} is required; see 'npvae impute --help'")
    if options.data == "-" and options.checkpoint is not None:
        raise InputError("--data -: standard input cannot be read again, as --checkpoint needs it; give it a name")
    if options.draws and outputs.written_words([options.out]) == "":
        raise InputError(f"--draws writes files beside --out, but --out {options.out} is a stream: give it a name")
    written = [outputs.Output("--out", options.out)]
    written += [outputs.Output("--draws", _numbered(options.out, i + 1)) for i in range(options.draws)]
    if options.intervals is not None:
        written.append(outputs.Output("--intervals", options.intervals))
    if options.report is not None:
        written.append(outputs.Output("--report", options.report))
    if options.save is not None:
        written.append(outputs.Output("--save", options.save, model=True))
    if options.checkpoint is not None:
        written.append(outputs.Output("--checkpoint", options.checkpoint, model=True))
    outputs.refuse(
        written,
        [("--data", options.data), ("--model", options.model)],
        overwrite=options.overwrite or options.resume,
        replaceable=("--out", "--data") if options.overwrite or not options.resume else None,
    )
    training = (options.save, options.kind or None, options.members, options.epochs)
    if options.model is not None and any(value is not None for value in training):
        raise InputError("--model uses a trained imputer as it is; leave out --save, --kind, --members and --epochs")
    allowed = NUMPY_SUFFIXES if _is_numpy(options) else TEXT_SUFFIXES + PACKED_SUFFIXES
    outputs.refuse_suffix(written[0], allowed, f"be of the kind of --data {options.data}, and ")
    for one in written[1 + options.draws :]:
        if one.flag != "--report":
            outputs.refuse_suffix(one, (".npz",) if one.model else (".csv",))
    if _is_numpy(options) and (reading.arguments(options) or options.report is not None):
        said = [*reading.arguments(options)] + (["report"] if options.report is not None else [])
        raise InputError(
            f"{', '.join('--' + name.replace('_', '-') for name in said)}: for text tables, not for {options.data}"
        )


def _is_numpy(options) -> bool:
    return text_suffix(options.data) in NUMPY_SUFFIXES


def _suffix(options) -> str:
    """The suffix of what is written to a stream."""
    return text_suffix(options.data) if _is_numpy(options) else ".csv"


def _numbered(out: str, number: int) -> str:
    path = Path(out)
    suffixes = "".join(path.suffixes[-2:]) if path.suffix.lower() in PACKED_SUFFIXES else path.suffix
    return str(path.with_name(f"{path.name.removesuffix(suffixes)}-{number}{suffixes}"))


def _write(path, text, table, labels, filled) -> None:
    if text is None:
        save_array(path, filled, y=labels)
    else:
        chosen = [i for i, column in enumerate(table.chosen) if column.name in table.modelled]
        write_table(path, text, [table.chosen[i] for i in chosen], np.asarray(filled, object)[:, chosen])


def _write_intervals(path, found, table) -> None:
    """Write ``NAME low`` and ``NAME high``, the ends of the intervals of a column of numbers, or of one of few values
    ``NAME set``, the smallest set of values; columns that are not filled in have the value, or nothing."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    written = (
        [column.write if column.kind == "date" else _as_text for column in table.chosen]
        if isinstance(table, Selection)
        else [_as_text] * len(found.columns)
    )
    low, high = found.interval(0.9)
    names, texts = [], []
    sets = found.smallest_sets(0.9)
    for i, (name, write) in enumerate(zip(found.columns, written, strict=True)):
        if name in sets:
            names.append(f"{name} set")
            texts.append([" | ".join(map(write, values)) for values in sets[name]])
        else:
            names += [f"{name} low", f"{name} high"]
            texts += [["" if np.isnan(value) else write(value) for value in ends[:, i]] for ends in (low, high)]
    writer.writerow(names)
    writer.writerows(zip(*texts, strict=True))
    write_text_atomically(path, stream.getvalue())


def _as_text(value) -> str:
    """Twelve digits of a number, whole ones without a point."""
    if isinstance(value, str):
        return value
    value = float(value)
    return str(int(value)) if math.isfinite(value) and value == int(value) and abs(value) < 1e15 else f"{value:.12g}"
