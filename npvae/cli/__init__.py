"""The command line: parse, call, print. One file a command; each has ``add_parser`` and ``run_command``.

Exit codes: 0 done; 1 a check failed, or training met a number that is not finite; 2 bad usage or bad input, with one
line on standard error; 130 ended by Ctrl-C; 141 where nobody reads the stream that data were written to.
"""

from __future__ import annotations

import argparse
import importlib
import os
import re
import sys
import warnings
from collections.abc import Sequence

from npvae._version import __version__
from npvae.cli import command_line, output
from npvae.errors import InputError, InputTypeError, NonFiniteError, NpvaeError

#: What a shell reports of a program that SIGPIPE ended: see npvae/cli/outputs.py.
CLOSED_PIPE = 141


class Parser(argparse.ArgumentParser):
    """argparse's parser, whose errors are ours: one line that begins with the option as it is written."""

    def error(self, message: str):
        message = re.sub(
            r"^argument ([^:]+): (must )?",
            lambda found: f"{found[1].rpartition('/')[2]}{' must ' if found[2] else ': '}",
            message,
        )
        raise InputError(f"{message}; see '{self.prog} --help'")

    def parse_known_args(self, args=None, namespace=None):
        """argparse's, which takes the data for missing, if no word of theirs comes before the first option."""
        options, rest = super().parse_known_args(args, namespace)
        taken = any(action.dest == "data_word" for action in self._actions)
        if taken and rest and rest[0] != "--" and (rest[0] == "-" or not rest[0].startswith("-")):
            if hasattr(options, "data_said"):
                self.error(f"--data is given twice: {options.data_said[1]} and {rest[0]}")
            options.data, rest = rest[0], rest[1:]
        vars(options).pop("data_said", None)
        return options, rest

    def _get_values(self, action, arg_strings):
        if action.option_strings and arg_strings == [
            "--"
        ]:  # argparse takes it for the end of the options, and gives a list
            raise argparse.ArgumentError(action, "expected a value, got '--'")
        return super()._get_values(action, arg_strings)


#: The commands, in the order of the help; each is a module of its name.
COMMANDS = (
    "train",
    "evaluate",
    "sample",
    "encode",
    "reconstruct",
    "table",
    "impute",
    "score",
    "classify",
    "gradcheck",
    "info",
    "warmup",
)


def build_parser(words: Sequence[str] = ()) -> argparse.ArgumentParser:
    """The parser of ``npvae`` with all its commands, or with that of a command line's ``words`` alone: to import the
    others takes as long as drawing some samples."""
    parser = Parser(
        prog="npvae",
        description="Variational autoencoders in NumPy with every gradient written by hand and checked.",
        epilog="'npvae train' alone trains a model on the digits that come with the package.",
    )
    parser.add_argument("--version", action="version", version=f"npvae {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in words[:1] if words and words[0] in COMMANDS else COMMANDS:
        importlib.import_module(f"npvae.cli.{name}").add_parser(commands)
    return parser


def parse(arguments=None) -> argparse.Namespace:
    """The options of a command line, where a preset has taken the place of the defaults."""
    return command_line.read(sys.argv[1:] if arguments is None else arguments, build_parser)


def main(arguments=None, ready=None) -> int:
    """Run a command line; return the exit code. ``ready`` is called once everything is imported and the options are
    read.
    """
    output.prepare()
    try:
        return _run(arguments, ready)
    except BrokenPipeError:
        return CLOSED_PIPE
    except NonFiniteError as error:
        return _fail(error, 1)
    except (NpvaeError, OSError, MemoryError) as error:
        return _fail(error, 2)
    except KeyboardInterrupt as error:
        return _fail(str(error) or "interrupted", 130)
    finally:
        output.finish()


def _run(arguments, ready) -> int:
    from npvae.cli import common, kinds

    options = parse(arguments)
    if ready is not None:
        ready()
    with warnings.catch_warnings():  # a command's own way with warnings ends with it
        common.say_conversions_once(options)
        try:
            kinds.refuse_other_kinds(options)
            return options.run(options)
        except (InputError, InputTypeError, NonFiniteError) as error:
            error.args = (common.with_flags(str(error), options),)
            raise


def _fail(error, code: int) -> int:
    if isinstance(error, OSError) and isinstance(error.filename, (str, os.PathLike)) and error.strerror:
        error = f"{os.fspath(error.filename)}: {error.strerror}"
    elif isinstance(error, MemoryError) and not isinstance(error, NpvaeError):
        error = f"there is not enough memory: {error}"
    output.tell("npvae: " + (" ".join(str(error).split()) or type(error).__name__))
    return code
