"""The options that say how a text table is read, and what is said of one that was."""

from __future__ import annotations

from npvae.cli import numbers, outputs
from npvae.data.tables import report

#: Arguments of ``npvae.read_table``, each an option.
ARGUMENTS = (
    "encoding",
    "separator",
    "decimal",
    "skip",
    "comment",
    "header",
    "header_rows",
    "missing",
    "observed",
    "ignore",
    "sheet",
)


def add_options(parser) -> None:
    """The options, in a group of their own."""
    group = parser.add_argument_group(
        "how a text table is read (by default found by evidence; 'npvae table FILE' says what was found)"
    )
    group.add_argument("--encoding", metavar="NAME", help="encoding of the text: utf-8, gb18030, cp1252, latin-1, ...")
    group.add_argument(
        "--separator", metavar="TEXT", help="what separates cells: a character, tab, or blank (runs of blanks and tabs)"
    )
    group.add_argument("--decimal", choices=(".", ","), metavar="MARK", help="decimal separator of numbers: . or ,")
    group.add_argument(
        "--skip", type=numbers.whole(0), metavar="LINES", help="lines above the names, which are kept as they are"
    )
    group.add_argument("--comment", metavar="TEXT", help="beginning of lines that are kept as they are")
    group.add_argument("--header", choices=("yes", "no"), help="whether the first row has the names of the columns")
    group.add_argument(
        "--header-rows", type=numbers.whole(0, 100), metavar="ROWS", help="number of rows with names, which are joined"
    )
    for flag, text in (
        (
            "--missing",
            "text of cells that are missing, beside empty ones, ?, NA, N/A, NaN, None, null (write --missing=-999)",
        ),
        ("--observed", "text of cells that are not missing, such as NA or None"),
    ):
        group.add_argument(
            flag, action="append", default=[], metavar="TEXT", help=f"{text}; may be given several times"
        )
    group.add_argument("--sheet", metavar="NAME", help="sheet of an .xlsx, by its name or number (default: the first)")
    group.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="NAME",
        help="column to leave out of the model; may be given several times",
    )


def add_report(
    parser, text: str = "write what was read, column by column, to this file: .json, else text; or -"
) -> None:
    """``--report``."""
    parser.add_argument("--report", type=outputs.output_file, metavar="FILE", help=text)


def arguments(options) -> dict:
    """The arguments of ``read_table`` that the options give."""
    given = {name: getattr(options, name, None) for name in ARGUMENTS}
    given = {name: value for name, value in given.items() if value is not None and value != []}
    return given | ({"header": given["header"] == "yes"} if "header" in given else {})


def say_what_was_read(say, table, carried: bool = True) -> None:
    """Say what is unusual about a table: its encoding, lines that are no rows, columns that are carried, cells to look
    at.

    carried: whether the command leaves such columns alone.
    """
    if table.sheet:
        say(f"read {table.sheet} (--sheet NAME)")
    if table.decoded.why:
        say(f"read as {table.decoded.encoding} ({table.decoded.why}; --encoding NAME)")
    if table.form.outside:
        say(f"kept as they are: {report.outside(table)}")
    if carried and (named := report.carried(table)):
        say(named)
    for note in report.notes(table):
        say(note)
