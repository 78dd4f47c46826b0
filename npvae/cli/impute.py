"""``npvae impute``: fill in what is missing of a table."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from npvae.cli import choices, common, numbers, output, outputs, resuming
from npvae.data import load_file, save_array
from npvae.data.own_files import NUMPY_SUFFIXES, TEXT_SUFFIXES
from npvae.errors import InputError, TrainingInterrupted
from npvae.tables import TableImputer, imputer_checkpoint
from npvae.tables.table_file import as_text, read_text_table, write_numbers, write_text_table

#: A row whose effective sample size is below this is spoken of.
FEW_SAMPLES = 5
#: Draws for intervals, where fewer tables are asked for.
INTERVAL_DRAWS = 200


def add_parser(commands) -> None:
    parser = commands.add_parser(
        "impute", help="fill in what is missing of a table",
        description="Train on what is observed of a table and fill in the rest. Cells that are empty, ?, NA, N/A, NaN, None or null "
        "are missing; every other cell is written as it was. Without --model a new one is trained on the table itself.",
    )
    parser.add_argument("--data", help="the table: .csv, .tsv, .txt, .data, or numbers in .npy, .npz")
    parser.add_argument(
        "--out", type=outputs.output_file,
        help="where to write the completed table, of the same kind, or - for standard output",
    )
    parser.add_argument("--draws", type=numbers.whole(0, 100_000), default=0, help="write so many tables drawn as well: OUT-1.csv, OUT-2.csv, ...")
    parser.add_argument("--intervals", type=outputs.output_file, help="write 90%% intervals of the numeric cells to this .csv, or -")
    parser.add_argument(
        "--kind", action="append", default=[], metavar="COLUMN=KIND",
        help="of a column: continuous, positive, counts, binary or categorical (default: guessed; may be given several times)",
    )
    parser.add_argument(
        "--missing", action="append", default=[], metavar="TEXT",
        help="cells of this text are missing, too, such as - or -999 (may be given several times; write --missing=-999)",
    )
    parser.add_argument(
        "--header", choices=("yes", "no"),
        help="whether the first row has names (default: if no cell of it is a number, or stands for what is missing)",
    )
    parser.add_argument("--model", help="use this imputer, which --save left, instead of training one")
    parser.add_argument("--save", type=outputs.output_file, help="keep the trained imputer in this .npz")
    parser.add_argument("--members", type=numbers.whole(1), help="models that are averaged (default 5)")
    parser.add_argument("--epochs", type=numbers.whole(1), help="of each of them, at most (default: 400, of long tables fewer)")
    parser.add_argument(
        "--overwrite", action="store_true", help="let --out be the file of --data, and --save replace an imputer that is there"
    )
    resuming.add_checkpoint(parser)
    common.add_seed(parser)
    common.add_backend(parser)
    parser.add_argument("--threads", type=numbers.threads, help="how many to run on (default: all cores this process may use)")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    parser.set_defaults(run=run_command, parser=parser)


def run_command(options) -> int:
    options = resuming.of_checkpoint(options, command_of=imputer_checkpoint.command_of)
    _check(options)
    text = labels = None
    if Path(options.data).suffix.lower() in NUMPY_SUFFIXES:
        loaded = load_file(options.data)
        table, labels = loaded.x.astype(np.float64), loaded.y
    else:
        table = text = read_text_table(options.data, {"yes": True, "no": False, None: None}[options.header], options.missing)
    imputer, code = _imputer(options, table)
    draws = max(options.draws, INTERVAL_DRAWS if options.intervals is not None else 0)
    found = imputer.impute(table, draws=draws, random_state=options.seed)
    names = [options.out]
    _write(outputs.target(options.out, Path(options.data).suffix), text, labels, found.filled, found)
    for i, draw in enumerate(found.draws[:options.draws], start=1):
        names.append(_numbered(options.out, i))
        _write(names[-1], text, labels, draw, found)
    if options.intervals is not None:
        low, high = found.interval(0.9)
        write_numbers(outputs.target(options.intervals), found.columns, {"low": low, "high": high})
        names.append(options.intervals)
    if not options.quiet:
        _report(imputer, found, text, names)
    return code


def _imputer(options, table):
    """``(imputer, exit code)``: the one of ``--model``, or one that is trained on the table, and saved where that is asked for."""
    if options.model is not None:
        imputer = TableImputer.load(options.model, **common.where_to_run(options))
        return imputer.set_params(verbose=not options.quiet), 0
    imputer = TableImputer(
        dict(_kind(entry) for entry in options.kind), epochs=options.epochs, backend=choices.parse_choice(options.backend),
        threads=options.threads, random_state=options.seed, verbose=not options.quiet,
        **({} if options.members is None else {"members": options.members}),
    )
    code = 0
    try:
        imputer.fit(
            table, checkpoint=resuming.file_of(options), checkpoint_seconds=options.checkpoint_seconds, resume=resuming.mode(options)
        )
    except TrainingInterrupted:
        output.tell(
            f"npvae: interrupted at model {len(imputer.members_)} of {imputer.members}; filling in by what there is"
            f"{resuming.how_to_go_on(options)}"
        )
        code = 130
    if options.save is not None:
        imputer.save(options.save)
    return imputer, code


def _report(imputer, found, text, names) -> None:
    """What was filled in, how well cells held out were, and where it was written."""
    missing = ~found.observed
    header = "" if text is None else ", names in the first row" if text.has_names else ", no names in the first row"
    output.say(f"{len(missing)} rows, {missing.shape[1]} columns{header}; {int(missing.sum())} cells filled in")
    for i, column in enumerate(imputer.schema_.columns):
        values = ", ".join(map(as_text, column.values[:6])) + (", ..." if len(column.values) > 6 else "")
        output.say(f"  {column.name}: {column.kind}{f' ({values})' if values else ''}, {int(missing[:, i].sum())} missing")
    better = [(member.error, member.normal_error) for member in imputer.members_]
    ours, normal = np.mean(better, axis=0)
    output.say(
        f"squared error of cells held out, standardised (of names: of their probabilities): {ours:.3f}; of a normal "
        f"distribution: {normal:.3f}"
    )
    few = (missing.any(axis=1) & (found.effective_sample_size < FEW_SAMPLES)).sum()
    if few:
        output.say(
            f"of the rows filled in, {few} rest{'s' if few == 1 else ''} on fewer than {FEW_SAMPLES} of "
            f"{imputer.imputation_samples} samples: unlike the others, or with a wild cell"
        )
    if files := outputs.written_words(names):
        output.say(f"wrote {files}")


def _check(options) -> None:
    """Refuse what would be found out only after training. InputError, FileNotFoundError."""
    for name in ("data", "out"):
        if getattr(options, name) is None:
            raise InputError(f"--{name} is required; see 'npvae impute --help'")
    if options.draws and outputs.written_words([options.out]) == "":
        raise InputError(f"--draws writes files beside --out, but --out {options.out} is a stream: give it a name")
    written = [outputs.Output("--out", options.out)]
    written += [outputs.Output("--draws", _numbered(options.out, i + 1)) for i in range(options.draws)]
    if options.intervals is not None:
        written.append(outputs.Output("--intervals", options.intervals))
    if options.save is not None:
        written.append(outputs.Output("--save", options.save, model=True))
    if options.checkpoint is not None:
        written.append(outputs.Output("--checkpoint", options.checkpoint, model=True))
    outputs.refuse(
        written, [("--data", options.data), ("--model", options.model)], overwrite=options.overwrite or options.resume,
        replaceable=("--out", "--data") if options.overwrite or not options.resume else None,
    )
    training = (options.save, options.kind or None, options.members, options.epochs)
    if options.model is not None and any(value is not None for value in training):
        raise InputError("--model uses a trained imputer as it is; leave out --save, --kind, --members and --epochs")
    numpy_data = Path(options.data).suffix.lower() in NUMPY_SUFFIXES
    allowed = NUMPY_SUFFIXES if numpy_data else TEXT_SUFFIXES
    outputs.refuse_suffix(written[0], allowed, f"be of the kind of --data {options.data}, and ")
    for one in written[1 + options.draws:]:
        outputs.refuse_suffix(one, (".npz",) if one.model else (".csv",))
    if numpy_data and (options.header is not None or options.missing):
        raise InputError("--header and --missing are for text tables")


def _kind(entry: str) -> tuple[str, str]:
    name, equals, kind = entry.rpartition("=")
    if not equals or not name:
        raise InputError(f"--kind must be COLUMN=KIND, got {entry!r}")
    return name, kind


def _numbered(out: str, number: int) -> str:
    path = Path(out)
    return str(path.with_name(f"{path.stem}-{number}{path.suffix}"))


def _write(path, text, labels, filled, found) -> None:
    if text is None:
        save_array(path, filled, y=labels)
    else:
        write_text_table(path, text, filled, found.observed)
