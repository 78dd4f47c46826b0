"""``npvae table``: what is read of a text table and why, before anything is trained."""

from __future__ import annotations

from npvae.cli import columns, common, output, outputs, reading
from npvae.data.tables import report
from npvae.data.tables.read import read_table
from npvae.errors import InputError


def add_parser(commands) -> None:
    parser = commands.add_parser(
        "table",
        help="what is read of a text table, and why",
        description="Read a text table and say, column by column, what it was taken for, what of it is missing, and "
        "with which option "
        "that is decided otherwise. Nothing is trained.",
    )
    common.add_data_file(
        parser,
        "the table: .csv, .tsv, .txt, .xlsx, .parquet, .feather, .gz, .xz or .zip of a text, or - for standard input",
    )
    reading.add_options(parser)
    reading.add_report(parser)
    parser.set_defaults(run=run_command)


def run_command(options) -> int:
    if options.data is None:
        raise InputError("--data is required: the table, with or without --data before it; see 'npvae table --help'")
    if options.report is not None:
        outputs.refuse([outputs.Output("--report", options.report)], [("--data", options.data)])
    table = read_table(options.data, **reading.arguments(options))
    columns.write_report(options, table)
    output.say(report.describe(table, columns.kinds_of(table)))
    return 0
