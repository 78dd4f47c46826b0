"""``--resume``: the options of the run that a checkpoint belongs to, as the checkpoint keeps them."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
from pathlib import Path

from npvae.cli import command_line, numbers, outputs
from npvae.cli.command_line import NO_FLAGS
from npvae.data import DATASETS
from npvae.errors import InputError, ModelFileError
from npvae.support.fields import shown
from npvae.training import checkpoint

#: Options of the command line itself, which no checkpoint keeps.
_NOT_KEPT = (*NO_FLAGS, "resume", "resume_anyway")
#: Options that name files.
_PATHS = ("data", "predict", "out", "save", "intervals", "pictures", "checkpoint")
#: Options that say how a run goes on, and not what it is. That data that have moved are the same is seen by their
#: digest.
_FREE = (
    "data",
    "out",
    "overwrite",
    "epochs",
    "threads",
    "quiet",
    "no_plots",
    "checkpoint",
    "checkpoint_seconds",
    "save",
    "pictures",
    "draws",
    "intervals",
    "predict",
)
#: Options that decide the bits, which only --resume-anyway changes.
_ELSEWHERE = ("backend",)
#: Words of a command line, at most.
MOST_WORDS = 1000


def add_options(parser, of: str) -> None:
    """``--resume`` and what belongs to it; ``of``: what the run goes on from."""
    parser.add_argument("--resume", action="store_true", help=f"go on from {of}, with its options, to the same bits")
    parser.add_argument(
        "--resume-anyway",
        action="store_true",
        help="the same, also where the bits will be others: on another backend, NumPy or processor",
    )
    parser.add_argument(
        "--checkpoint-seconds",
        type=numbers.real(minimum=0.0),
        default=10.0,
        help="time between checkpoints (default 10)",
    )


def add_checkpoint(parser) -> None:
    """``--checkpoint FILE`` and the rest, of a command whose outputs are no folder."""
    parser.add_argument(
        "--checkpoint",
        type=outputs.output_file,
        metavar="FILE",
        help="keep the state of the training in this .npz, so that it can be resumed",
    )
    add_options(parser, "the file of --checkpoint")


def of_checkpoint(options, *beside: str, command_of=checkpoint.command_of):
    """The options, of a run that is resumed those that it was begun with. beside: names of its checkpoints beside
    ``--checkpoint``.

    InputError: see :func:`resumed`, and options that need or exclude each other.
    """
    options.resume |= options.resume_anyway
    if options.resume and options.checkpoint is None:
        raise InputError("--resume needs --checkpoint: the file of the run to go on with")
    if options.checkpoint is not None and getattr(options, "model", None) is not None:
        raise InputError("--model uses a trained model as it is; leave out --checkpoint")
    if options.checkpoint == "-":
        raise InputError("--checkpoint -: a checkpoint is read back from an ordinary file; give it a name")
    if not options.resume:
        return options
    file = checkpoint.CheckpointFile.of(options.checkpoint)
    return resumed(options, file.path, *(file.beside(name).path for name in beside), command_of=command_of)


def file_of(options) -> checkpoint.CheckpointFile | None:
    """The argument ``checkpoint`` of ``fit``."""
    return (
        None if options.checkpoint is None else checkpoint.CheckpointFile(Path(options.checkpoint), words_of(options))
    )


def how_to_go_on(options) -> str:
    """What to say of a run that Ctrl-C ended."""
    if options.checkpoint is None:
        return ""
    return f"; 'npvae {options.command} --checkpoint {options.checkpoint} --resume' goes on"


def mode(options):
    """The argument ``resume`` of ``fit``."""
    return "anyway" if options.resume_anyway else options.resume


def words_of(options) -> list[str] | None:
    """The command line that makes these options, with absolute paths; None where it cannot be kept as text."""
    words = [options.command]
    for name, value in sorted(vars(options).items()):
        flag = "--" + name.replace("_", "-")
        if name in _NOT_KEPT or value is None or value is False:
            continue
        if value is True:
            words.append(flag)
            continue
        for entry in value if isinstance(value, list) else [value]:
            words.append(f"{flag}={_absolute(name, entry)}")
    try:
        "".join(words).encode()
    except UnicodeEncodeError:
        return None
    return words if len(words) <= MOST_WORDS else None


def identity(options, *arrays) -> str:
    """A SHA-256 of all that decides what a command trains: its options, but those of _FREE that change nothing, and
    its data.
    """
    unimportant = set(_FREE) - {"epochs"} | {"resume", "resume_anyway", *NO_FLAGS} - {"command"}
    chosen = {name: str(value) for name, value in sorted(vars(options).items()) if name not in unimportant}
    digests = [checkpoint.data_fingerprint(array) for array in arrays]
    return hashlib.sha256(json.dumps([chosen, digests]).encode()).hexdigest()


def resumed(options, *files, command_of=checkpoint.command_of):
    """The options of the run of the first of the checkpoints ``files`` that is there, but those given now that may be
    others.

    command_of: reads the command line that a checkpoint remembers. InputError: an option that was given differs from
    the run's, or its data are gone. ModelFileError, OSError: the checkpoint cannot be read.
    """
    path = next((path for path in files if path.exists()), None)
    words = None if path is None else command_of(path)
    if words is None:
        return options
    kept, given = _parsed(path, words, options), _given(options)
    for name, value in given.items():
        before = getattr(kept, name, None)
        free = name in _FREE or (name in _ELSEWHERE and options.resume_anyway)
        if not free and value != before:
            flag = "--" + name.replace("_", "-")
            instead = "without it" if before is None or before is False else f"with {before}"
            anyway = ", or give --resume-anyway" if name in _ELSEWHERE else ""
            raise InputError(
                f"{flag} {value}: the run in {path} was begun {instead}; leave {flag} out{anyway}, or begin another run"
            )
        setattr(kept, name, value)
    for name in ("command", "words", "resume", "resume_anyway"):
        setattr(kept, name, getattr(options, name))
    if kept.data not in DATASETS and not Path(kept.data).exists():
        raise InputError(
            f"the run in {path} was begun on {kept.data}, which is gone: put it back, or say with --data where it is"
        )
    return kept


def _absolute(name: str, value) -> str:
    text = str(value)
    if name not in _PATHS or text in DATASETS or text == "-":
        return text
    return str(Path(text).absolute())


def _parsed(path, words, options) -> argparse.Namespace:
    """The options that a checkpoint keeps. ModelFileError: they are none of this command."""
    command = options.command
    if words[0] != command:
        raise ModelFileError(f"{path} belongs to a run of npvae {shown(words[0])[1:-1]}, not of npvae {command}")
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # of --help
            return command_line.read(words, options.make_parser)
    except (InputError, SystemExit) as error:
        reason = shown(str(error), 300)[1:-1]
        raise ModelFileError(f"{path} keeps a command line that npvae {command} does not take: {reason}") from None


def _given(options) -> dict:
    """Those options that the command line itself names."""
    parser = options.make_parser()
    parser.parse_args(options.words).parser.set_defaults(**dict.fromkeys(vars(options)))
    return {
        name: value
        for name, value in vars(parser.parse_args(options.words)).items()
        if value is not None and name not in _NOT_KEPT
    }
