"""Checkpoints: a run killed at any moment and resumed ends with the bits of one never interrupted.

A checkpoint is the state at the end of an epoch, or before the first. It is written to a temporary name and renamed, so
a kill leaves the one before. Resuming refuses other data, another model or other settings: the run would not be the
same run. It refuses, unless the user insists, another backend, and whatever else the bits depend on.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from npvae import backend as backends
from npvae._version import __version__
from npvae.errors import InputError, ModelFileError, NpvaeError, ResumedElsewhereWarning
from npvae.mathematics.model import Architecture, Model
from npvae.support import check, locks, npz_file
from npvae.support.fields import shown
from npvae.support.files import remove_leftovers
from npvae.training import declared
from npvae.training.checkpoint_fields import DECLARATION, check_state
from npvae.training.history import History
from npvae.training.settings import TrainingSettings
from npvae.training.state import TrainingState

#: How a run may be taken up again: not at all, with the same bits or not at all, or in any case.
RESUME = (False, True, "anyway")


#: Bytes at the beginning of a file, in which a checkpoint has the name of its format.
_START = 1 << 16


@dataclass(frozen=True)
class CheckpointFile(os.PathLike):
    """The path of a checkpoint, and the command line that its file is to remember: its words, or None."""

    path: Path
    command: list[str] | None = None

    @classmethod
    def of(cls, path) -> CheckpointFile:
        """The argument itself, or one of that path."""
        return path if isinstance(path, cls) else cls(Path(path))

    def __fspath__(self) -> str:
        return os.fspath(self.path)

    def beside(self, name: str) -> CheckpointFile:
        """NAME-name.npz, of another stage of the same run."""
        return CheckpointFile(self.path.with_name(f"{self.path.stem}-{name}{self.path.suffix}"), self.command)

    @contextlib.contextmanager
    def held(self):
        """A context in which no other run writes there. FileNotFoundError: its folder does not exist. InputError:
        another does, or what is there is a model or an imputer."""
        if not self.path.parent.is_dir():
            raise FileNotFoundError(f"the folder {self.path.parent} for checkpoints does not exist")
        with locks.held(self.path, "wait for it to end, or choose another path"):
            kind, _ = npz_file.kind_of(self.path)
            if kind and not kind.endswith("checkpoint"):
                raise InputError(
                    f"{self.path} holds {'an' if kind[0] in 'aeiou' else 'a'} {kind} of npvae, not a checkpoint: "
                    f"choose another path"
                )
            if not kind and _is_foreign(self.path):
                raise InputError(
                    f"{self.path} is no checkpoint of npvae, and is not written over: choose another path, or remove it"
                )
            remove_leftovers(self.path)
            yield


def _is_foreign(path: Path) -> bool:
    """Whether a file is there that npvae did not write: data, say. A damaged checkpoint and an empty file are none."""
    try:
        with open(path, "rb") as file:
            start = file.read(_START)
    except OSError:
        return False
    return start.strip(b"\0") != b"" and b'"npvae-' not in start


def check_resume(resume):
    """``resume`` if it is one of ``RESUME``. InputError: it is not."""
    if not any(resume is known for known in RESUME[:2]) and resume != RESUME[2]:
        raise InputError(f'resume must be False, True or "anyway", got {resume!r}')
    return resume


def data_fingerprint(x) -> str:
    """SHA-256 of a NumPy array's shape, dtype and bytes."""
    digest = hashlib.sha256(f"{x.shape} {x.dtype}".encode())
    digest.update(np.ascontiguousarray(x).data)
    return digest.hexdigest()


def data_fingerprints(x, x_valid) -> dict[str, str]:
    """The fingerprints of the data of a run; ``x_valid`` may be None."""
    parts = {"x": x} if x_valid is None else {"x": x, "x_valid": x_valid}
    return {name: data_fingerprint(part) for name, part in parts.items()}


def environment(ops) -> dict[str, str]:
    """What a run's bits depend on beside model, settings and data, by name."""
    return {"backend": ops.name, "npvae": __version__, **ops.bits_depend_on()}


class Copies:
    """NumPy copies of arrays by name, in memory that is used again."""

    def __init__(self) -> None:
        self._arrays: dict[str, np.ndarray] = {}

    def of(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        for name, array in arrays.items():
            mine = self._arrays.get(name)
            if mine is None or mine.shape != array.shape or mine.dtype != array.dtype:
                self._arrays[name] = array.copy()
            else:
                mine[...] = array
        self._arrays = {name: self._arrays[name] for name in arrays}
        return self._arrays


K = TypeVar("K", bound="Keeper")


class Keeper:
    """Calls ``write(header, arrays)`` with what is to be kept, at most every ``seconds``, and with the latest of it at
    the end.

    Used as a context: what was last given and not written is written when it ends, however that happens.
    """

    def __init__(self, write, seconds: float) -> None:
        self._write = write
        self._seconds = check.real_number("checkpoint_seconds", seconds, minimum=0.0)
        self._written = -math.inf
        self._copies = Copies()
        self._waiting: tuple[dict, dict[str, np.ndarray]] | None = None

    def keep(self, header: dict, arrays: dict[str, np.ndarray], now: bool = False) -> None:
        """Write, if it is time or ``now``; else remember."""
        if now or time.monotonic() - self._written >= self._seconds:
            self._waiting = None
            self._write(header, arrays)
            self._written = time.monotonic()
        else:
            self._waiting = header, self._copies.of(arrays)

    def __enter__(self: K) -> K:
        return self

    def __exit__(self, kind, error, trace) -> None:
        if self._waiting is None:
            return
        waiting, self._waiting = self._waiting, None
        # What ended the run is what its user is to be told, and not that its last checkpoint could not be written
        # either.
        with contextlib.suppress(*(() if kind is None else (OSError,))):
            self._write(*waiting)


def describe_state(ops, state: TrainingState) -> tuple[dict, dict]:
    """``(header, arrays)`` of a state; the header holds the history itself, of which :func:`plain_history` takes
    what there was.
    """
    arrays = {"theta": ops.to_numpy(state.theta)}
    arrays.update({f"optimizer/{name}": ops.to_numpy(a) for name, a in state.optimizer_state.items()})
    if state.best_theta is not None:
        arrays["best_theta"] = ops.to_numpy(state.best_theta)
    header = {
        "epoch": state.epoch,
        "step": state.step,
        "history": state.history,
        "best_elbo": state.best_elbo if state.best_theta is not None else None,
        "best_epoch": state.best_epoch,
        "steps_by": state.steps_by,
        "stop_reason": declared.plain_reason(state.stop_reason),
    }
    return header, arrays


def plain_history(header: dict) -> dict:
    """A header of :func:`describe_state`, JSON-able; epochs since then are left out."""
    return {**header, "history": header["history"].columns(header["epoch"])}


def restore_state(ops, header: dict, arrays: dict) -> TrainingState:
    """The state of :func:`describe_state`, in the backend's memory."""
    state = TrainingState(
        theta=ops.copy(arrays["theta"]),
        optimizer_state={
            name.removeprefix("optimizer/"): ops.copy(array)
            for name, array in arrays.items()
            if name.startswith("optimizer/")
        },
        epoch=header["epoch"],
        step=header["step"],
        history=History(header["history"]),
        best_epoch=header["best_epoch"],
        steps_by=header["steps_by"],
        stop_reason=header["stop_reason"],
    )
    if "best_theta" in arrays:
        state.best_theta = ops.copy(arrays["best_theta"])
        state.best_elbo = header["best_elbo"]
    return state


class Checkpointer(Keeper):
    """A callback that writes the state to a file, at most every ``seconds``, and always at the end."""

    def __init__(self, file, model, settings, fingerprints: dict, seconds: float = 10.0) -> None:
        super().__init__(self._save, seconds)
        self.file = CheckpointFile.of(file)
        self._model = model
        self._settings = settings
        self._fixed = {
            "command": self.file.command,
            "architecture": model.architecture.config(),
            "settings": settings.config(),
            "data": fingerprints,
            "environment": environment(model.ops),
        }

    def __call__(self, state: TrainingState) -> None:
        last = state.epoch >= self._settings.epochs or state.stop_reason is not None
        self.keep(*describe_state(self._model.ops, state), now=last)

    def write(self, state: TrainingState) -> None:
        """Write the state now."""
        self.keep(*describe_state(self._model.ops, state), now=True)

    def _save(self, header: dict, arrays: dict) -> None:
        npz_file.save(self.file.path, "checkpoint", {**self._fixed, **plain_history(header)}, arrays, DECLARATION)


def command_of(path) -> list[str] | None:
    """The command line that a checkpoint remembers. FileNotFoundError, ModelFileError: it cannot be read."""
    return npz_file.load(path, "checkpoint", DECLARATION)[0]["command"]


def read_checkpoint(
    path, model, settings: TrainingSettings, fingerprints: dict, x=None, anyway: bool = False
) -> TrainingState:
    """The state in a checkpoint of this very run; ``settings.epochs`` may be larger than it was,
    unless the learning-rate schedule depends on it.

    x: (N, data columns), what the run is trained on, of the parameters' dtype; None: not looked at. FileNotFoundError,
    ModelFileError: no readable checkpoint. InputError: it is of another model, other settings or other data, or of an
    environment that gives other bits; the message says which. anyway: the last is a ResumedElsewhereWarning.
    """
    path = os.fspath(path)
    header, arrays = npz_file.load(path, "checkpoint", DECLARATION)
    # Only a schedule that looks at the run's length makes a longer run another run from the start.
    free = () if settings.schedule.depends_on_length else ("epochs",)
    refuse_difference(path, "model", header["architecture"], model.architecture.config())
    refuse_difference(path, "settings", header["settings"], settings.config(), free)
    refuse_other_data(path, header["data"], fingerprints)
    try:
        check_state(header, arrays, model, settings, x)
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from None
    refuse_other_environment(path, header["environment"], environment(model.ops), anyway)
    state = restore_state(model.ops, header, arrays)
    if state.epoch > settings.epochs:
        raise InputError(f"{path} is of epoch {state.epoch}, but this run has only {settings.epochs}")
    return state


def inspect_checkpoint(path, with_classes=Architecture):
    """``(state, model, settings)`` of a checkpoint, on NumPy, checked as before a run goes on from it; with_classes:
    the architecture of a model with classes.

    FileNotFoundError, ModelFileError: it cannot be read, or contradicts itself.
    """
    header, arrays = npz_file.load(path, "checkpoint", DECLARATION)
    try:
        config = header["architecture"]
        kind = with_classes if "n_classes" in config else Architecture
        theta = arrays.get("theta", np.zeros(0))
        model = Model(declared.build_architecture(kind, config, theta.size), backends.get("numpy"))
        settings = TrainingSettings.from_config(header["settings"])
        check_state(header, arrays, model, settings, None)
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from None
    except (NpvaeError, TypeError) as error:
        raise ModelFileError(f"{path} contradicts itself: {str(error)[:500]}") from error
    return restore_state(model.ops, header, arrays), model, settings


def refuse_difference(path, what: str, found: dict, wanted: dict, free=()) -> None:
    """InputError naming the first entry of a checkpoint's model or settings that this run has in another way."""
    for key in sorted(found.keys() | wanted.keys()):
        if key not in free and found.get(key) != wanted.get(key):
            advice = "; give random_state, or a seed, to resume" if key == "seed" else ""
            raise InputError(
                f"{path} cannot be resumed: its {what} has {key} = {found.get(key)!r}, "
                f"this run has {wanted.get(key)!r}{advice}"
            )


def refuse_other_data(path, found: dict, wanted: dict) -> None:
    """InputError naming the part of the data whose fingerprint is another."""
    for key in sorted(found.keys() | wanted.keys()):
        if found.get(key) != wanted.get(key):
            raise InputError(
                f"{path} cannot be resumed: the {'validation' if key == 'x_valid' else 'training'} data are not "
                "those it was made with (or divide_by, dtype or validation_fraction differ)"
            )


def refuse_other_environment(path, found: dict, here: dict, anyway: bool) -> None:
    """InputError, or where the user goes on anyway a ResumedElsewhereWarning, naming everything that differs."""
    if found == here:
        return
    names = (
        ["backend"]
        if found.get("backend") != here["backend"]
        else [name for name in [*here, *sorted(found.keys() - here.keys())] if found.get(name) != here.get(name)]
    )
    differ = ", ".join(
        f"{shown(name)[1:-1]} was {found.get(name, 'none')}, here {here.get(name, 'none')}" for name in names
    )
    if not anyway:
        raise InputError(
            f"{path} cannot be resumed to the same bits: {differ}; resume it as it was begun, or give "
            '--resume-anyway (resume="anyway") for nearly the same numbers'
        )
    warnings.warn(f"{path} is resumed elsewhere, not to the same bits: {differ}", ResumedElsewhereWarning, stacklevel=4)
