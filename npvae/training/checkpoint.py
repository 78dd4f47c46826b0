"""Checkpoints: a run killed at any moment and resumed ends with the bits of one never interrupted.

A checkpoint is the state at the end of an epoch. It is written to a temporary name and renamed, so a
kill leaves the one before. Resuming refuses other data, another model or other settings: the run would
not be the same run.
"""

from __future__ import annotations

import hashlib
import math
import time
from pathlib import Path

from npvae import check, io
from npvae.errors import InputError, ModelFileError, UnknownNameError
from npvae.training.history import History
from npvae.training.settings import TrainingSettings
from npvae.training.state import TrainingState
from npvae.training.step_trial import WAYS


def data_fingerprint(x) -> str:
    """SHA-256 of a NumPy array's shape, dtype and bytes."""
    digest = hashlib.sha256(f"{x.shape} {x.dtype}".encode())
    digest.update(memoryview(x if x.flags.c_contiguous else x.copy()).cast("B"))
    return digest.hexdigest()


def data_fingerprints(x, x_valid) -> dict[str, str]:
    """The fingerprints of the data of a run; ``x_valid`` may be None."""
    parts = {"x": x} if x_valid is None else {"x": x, "x_valid": x_valid}
    return {name: data_fingerprint(part) for name, part in parts.items()}


class Checkpointer:
    """A callback that writes the state to ``path``, at most every ``seconds``, and always at the end."""

    def __init__(self, path, model, settings, fingerprints: dict, seconds: float = 10.0) -> None:
        self.path = Path(path)
        if not self.path.parent.is_dir():
            raise FileNotFoundError(f"the folder {self.path.parent} for checkpoints does not exist")
        self._model = model
        self._settings = settings
        self._fingerprints = fingerprints
        self._seconds = check.real_number("checkpoint_seconds", seconds, minimum=0.0)
        self._written = -math.inf

    def __call__(self, state: TrainingState) -> None:
        last = state.epoch >= self._settings.epochs or state.stop_reason is not None
        if last or time.monotonic() - self._written >= self._seconds:
            self.write(state)

    def write(self, state: TrainingState) -> None:
        """Write the state now."""
        to_numpy = self._model.ops.to_numpy
        arrays = {"theta": to_numpy(state.theta)}
        arrays.update({f"optimizer/{name}": to_numpy(a) for name, a in state.optimizer_state.items()})
        if state.best_theta is not None:
            arrays["best_theta"] = to_numpy(state.best_theta)
        header = {
            "architecture": self._model.architecture.config(),
            "settings": self._settings.config(),
            "data": self._fingerprints,
            "epoch": state.epoch,
            "step": state.step,
            "history": state.history.columns(),
            "best_elbo": state.best_elbo if state.best_theta is not None else None,
            "best_epoch": state.best_epoch,
            "steps_by": state.steps_by,
            "stop_reason": state.stop_reason,
        }
        io.save(self.path, "checkpoint", header, arrays)
        self._written = time.monotonic()


def read_checkpoint(path, model, settings: TrainingSettings, fingerprints: dict) -> TrainingState:
    """The state in a checkpoint of this very run; ``settings.epochs`` may be larger than it was,
    unless the learning-rate schedule depends on it.

    FileNotFoundError, ModelFileError: no readable checkpoint. InputError: it is of another model, other
    settings or other data; the message says which.
    """
    header, arrays = io.load(path, "checkpoint")
    try:
        # Only a schedule that looks at the run's length makes a longer run another run from the start.
        free = () if settings.schedule.depends_on_length else ("epochs",)
        _refuse_difference(path, "model", header["architecture"], model.architecture.config())
        _refuse_difference(path, "settings", header["settings"], settings.config(), free)
        _refuse_difference(path, "data", header["data"], fingerprints)
        copy = model.ops.copy
        state = TrainingState(
            theta=copy(arrays["theta"]),
            optimizer_state={
                name.removeprefix("optimizer/"): copy(array)
                for name, array in arrays.items() if name.startswith("optimizer/")
            },
            epoch=header["epoch"],
            step=header["step"],
            history=History(header["history"]),
            best_epoch=header["best_epoch"],
            steps_by=None if header["steps_by"] is None else check.one_of("steps_by", header["steps_by"], WAYS),
            stop_reason=header["stop_reason"],
        )
        if "best_theta" in arrays:
            state.best_theta = copy(arrays["best_theta"])
            state.best_elbo = header["best_elbo"]
    except (KeyError, TypeError, AttributeError, UnknownNameError) as error:
        raise ModelFileError(f"{path} lacks what a checkpoint must hold: {error}") from error
    if state.epoch > settings.epochs:
        raise InputError(f"{path} is of epoch {state.epoch}, but this run has only {settings.epochs}")
    return state


def _refuse_difference(path, what: str, found: dict, wanted: dict, free=()) -> None:
    for key in sorted(found.keys() | wanted.keys()):
        if key not in free and found.get(key) != wanted.get(key):
            if what == "data":
                raise InputError(
                    f"{path} cannot be resumed: the {'validation' if key == 'x_valid' else 'training'} data are not "
                    "those it was made with (or divide_by, dtype or validation_fraction differ)"
                )
            raise InputError(
                f"{path} cannot be resumed: its {what} has {key} = {found.get(key)!r}, "
                f"this run has {wanted.get(key)!r}"
            )
