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

import numpy as np

from npvae import backend as backends
from npvae import check, declared, io
from npvae.errors import InputError, ModelFileError, NpvaeError
from npvae.model import Architecture, Model
from npvae.training.checkpoint_fields import DECLARATION, check_state
from npvae.training.history import History
from npvae.training.settings import TrainingSettings
from npvae.training.state import TrainingState


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
            "stop_reason": declared.plain_reason(state.stop_reason),
        }
        io.save(self.path, "checkpoint", header, arrays, DECLARATION)
        self._written = time.monotonic()


def read_checkpoint(path, model, settings: TrainingSettings, fingerprints: dict, x=None) -> TrainingState:
    """The state in a checkpoint of this very run; ``settings.epochs`` may be larger than it was,
    unless the learning-rate schedule depends on it.

    x: (N, data columns), what the run is trained on, of the parameters' dtype; None: not looked at. FileNotFoundError, ModelFileError: no readable checkpoint. InputError: it is of another
    model, other settings or other data; the message says which.
    """
    header, arrays = io.load(path, "checkpoint", DECLARATION)
    # Only a schedule that looks at the run's length makes a longer run another run from the start.
    free = () if settings.schedule.depends_on_length else ("epochs",)
    _refuse_difference(path, "model", header["architecture"], model.architecture.config())
    _refuse_difference(path, "settings", header["settings"], settings.config(), free)
    _refuse_difference(path, "data", header["data"], fingerprints)
    try:
        check_state(header, arrays, model, settings, x)
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from None
    state = _state(model.ops, header, arrays)
    if state.epoch > settings.epochs:
        raise InputError(f"{path} is of epoch {state.epoch}, but this run has only {settings.epochs}")
    return state


def _state(ops, header: dict, arrays: dict) -> TrainingState:
    """The state that was checked, in the backend's memory."""
    state = TrainingState(
        theta=ops.copy(arrays["theta"]),
        optimizer_state={
            name.removeprefix("optimizer/"): ops.copy(array) for name, array in arrays.items() if name.startswith("optimizer/")
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


def inspect_checkpoint(path, with_classes=Architecture):
    """``(state, model, settings)`` of a checkpoint, on NumPy, checked as before a run goes on from it; with_classes: the architecture of
    a model with classes.

    FileNotFoundError, ModelFileError: it cannot be read, or contradicts itself.
    """
    header, arrays = io.load(path, "checkpoint", DECLARATION)
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
    return _state(model.ops, header, arrays), model, settings


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
