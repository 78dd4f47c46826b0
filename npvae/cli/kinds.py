"""What a file is, by its first bytes or npvae's header in it, and which commands it is for; refusing what a command
cannot take.

Only what is certain is refused here. A damaged file, or a kind that is not known, is left to whoever reads it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from npvae.data import DATASETS
from npvae.errors import InputError
from npvae.support import npz_file
from npvae.support.reading import open_file
from npvae.support.zip_members import BadZip, ZipMembers

#: Of npvae's own files, by the class or the form in the header: in words, and which commands they are for.
_OWN = {
    "VAE": (
        "a VAE",
        "'npvae sample {0}', 'npvae encode {0}', 'npvae reconstruct {0}', 'npvae evaluate {0}' or 'npvae score --model "
        "{0}'",
    ),
    "SemiSupervisedVAE": (
        "a SemiSupervisedVAE",
        "'npvae classify --model {0}', 'npvae sample {0}' or 'npvae encode {0}'",
    ),
    "LatentClassifier": ("a LatentClassifier", "'npvae classify --model {0}'"),
    "OutlierVAE": ("an OutlierVAE", "'npvae score --model {0}'"),
    "imputer": ("a TableImputer", "'npvae impute --model {0}' or 'npvae sample {0}'"),
    "checkpoint": (
        "a checkpoint of training",
        "'npvae train --resume', 'npvae classify --resume' or 'npvae score --resume', whichever wrote it",
    ),
    "imputer-checkpoint": ("a checkpoint of a TableImputer", "'npvae impute --checkpoint {0} --resume'"),
}
#: First bytes of files that hold no numbers npvae reads.
_SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"GIF8": "a GIF picture",
    b"%PDF": "a PDF document",
    b"\x89HDF\r\n\x1a\n": "an HDF5 file",
    b"SQLite format 3\0": "an SQLite database",
    **dict.fromkeys((b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"), "pickled data"),
}
#: First bytes of files of data.
_DATA = {
    b"\x93NUMPY": "an array",
    b"\x1f\x8b": "data compressed by gzip",
    b"\xfd7zXZ\0": "data compressed by xz",
    b"PAR1": "a Parquet table",
    b"ARROW1": "a Feather table",
    b"\0\0\x08": "an IDX file of bytes",
}
#: What options of commands take: of npvae's own kinds, or data.
_MODELS = {
    "evaluate": ("VAE",),
    "reconstruct": ("VAE",),
    "gradcheck": ("VAE",),
    "sample": ("VAE", "SemiSupervisedVAE", "imputer"),
    "encode": ("VAE", "SemiSupervisedVAE"),
    "classify": ("SemiSupervisedVAE", "LatentClassifier"),
    "impute": ("imputer",),
    "score": ("OutlierVAE", "VAE"),
}
_CHECKPOINTS = {
    "train": ("checkpoint",),
    "classify": ("checkpoint",),
    "score": ("checkpoint",),
    "impute": ("imputer-checkpoint",),
}
_DATA_COMMANDS = "'npvae train --data {0}' or 'npvae impute --data {0}'"
_TABLE_COMMANDS = "'npvae table {0}', " + _DATA_COMMANDS


@dataclass(frozen=True)
class FileKind:
    """name: of one of npvae's own kinds, "data", or "other"; what it is, in words; commands that it is for, if any."""

    name: str
    what: str
    commands: str = ""


def kind_of(path) -> FileKind | None:
    """What the file is; None: there is none, it is empty, or npvae's own, or a zip, and damaged. OSError, InputError:
    it is no ordinary file, or cannot be opened."""
    if not Path(path).exists():
        return None
    form, estimator = npz_file.kind_of(path)
    for name in (estimator, form):
        if name in _OWN:
            what, commands = _OWN[name]
            return FileKind(name, what, commands.format(path))
    file, _ = open_file(path)
    with file:
        start = file.read(1 << 16)
    if start.startswith(b"PK\x03\x04"):
        return _of_zip(path, start)
    for signatures, name, commands in ((_SIGNATURES, "other", ""), (_DATA, "data", _TABLE_COMMANDS)):
        found = next((what for signature, what in signatures.items() if start.startswith(signature)), None)
        if found is not None:
            commands = _DATA_COMMANDS if found in ("an array", "an IDX file of bytes") else commands
            return FileKind(name, found + _size_of_picture(start), commands.format(path))
    if not start:
        return None
    if b"\0" in start and not start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return FileKind("other", "a binary file of a kind that npvae does not know")
    return FileKind("data", "text", _TABLE_COMMANDS.format(path))


def refuse_other_kinds(options) -> None:
    """InputError: a file that an option names is of another kind than the command takes; the message says which
    command takes it.
    """
    command = options.command
    if command == "info":
        return
    resumed = getattr(options, "checkpoint", None) if getattr(options, "resume", False) else None
    for flag, value, taken in (
        ("model", getattr(options, "model", None), _MODELS.get(command)),
        ("checkpoint", resumed, _CHECKPOINTS.get(command)),
        ("data", getattr(options, "data", None), ("data",)),
        ("predict", getattr(options, "predict", None), ("data",)),
    ):
        if not value or not taken or value == "-" or value in DATASETS:
            continue
        path = Path(value)
        path = path / "model.npz" if flag == "model" and path.is_dir() else path
        try:
            found = kind_of(path)
        except (InputError, OSError):  # no ordinary file: the command says so
            continue
        if found is not None and found.name not in taken:
            needed = "data" if taken == ("data",) else " or ".join(_OWN[name][0] for name in taken)
            positional = flag == "model" and command not in ("impute", "classify", "gradcheck", "score")
            where = f"'npvae {command}'" if positional else f"--{flag} of 'npvae {command}'"
            purpose = f"it is for {found.commands}" if found.commands else "npvae has no use for it"
            raise InputError(f"{value} holds {found.what}, but {where} needs {needed}; {purpose}")


def _of_zip(path, start: bytes) -> FileKind | None:
    name = (
        start[30 : 30 + struct.unpack_from("<H", start, 26)[0]].decode("utf-8", "replace") if len(start) >= 30 else ""
    )
    if name == "header.npy" or not name:
        return None
    if name.endswith(".npy"):
        if {"header.npy", "theta.npy"} <= _members(path):
            return None
        return FileKind("data", "arrays", _DATA_COMMANDS.format(path))
    if name in ("[Content_Types].xml", "_rels/.rels") or name.startswith(("xl/", "docProps/")):
        return FileKind("data", "an Excel workbook", _TABLE_COMMANDS.format(path))
    return FileKind("data", "a zip archive", _TABLE_COMMANDS.format(path))


def _members(path) -> set[str]:
    """The names of a zip's members; none of one that is damaged."""
    file, size = open_file(path)
    with file:
        try:
            return set(ZipMembers(file, size).members)
        except BadZip:
            return set()


def _size_of_picture(start: bytes) -> str:
    if not start.startswith(b"\x89PNG") or len(start) < 24:
        return ""
    width, height = struct.unpack_from(">II", start, 16)
    return f" of {width} x {height} pixels"
