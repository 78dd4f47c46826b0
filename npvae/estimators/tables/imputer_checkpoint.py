"""Checkpoints of a table's imputer: the members that are done, and the state of the one that is being trained.

As of checkpoints of a single model (npvae/training/checkpoint.py): a run that is killed at any moment and resumed ends
with the bits of one never interrupted, and one that would not is refused.
"""

from __future__ import annotations

import dataclasses
import os

import numpy as np

from npvae import backend as backends
from npvae.errors import ModelFileError
from npvae.estimators.tables import imputer_file
from npvae.estimators.tables.member import Member, Recipe, settings_of
from npvae.mathematics.model import Architecture, Model
from npvae.support import npz_file, registry
from npvae.support.fields import Digest, Either, ListOf, MapOf, Maybe, OneOf, Real, Record, Whole
from npvae.training import checkpoint, declared
from npvae.training.checkpoint_fields import COMMAND, ENVIRONMENT, check_state
from npvae.training.state import STEPS_BY, TrainingState

KIND = "imputer-checkpoint"
#: The header; architecture, recipe and schema are compared with those of the run that goes on.
DECLARATION = Record(
    {
        "command": COMMAND,
        "environment": ENVIRONMENT,
        "data": MapOf(Digest(), longest=10),
        "architecture": Record(declared.ARCHITECTURE, declared.ARCHITECTURE_OPTIONS),
        "recipe": Record(
            {
                "latent_dim": Whole(1),
                "hidden": Either(Whole(1), declared.WIDTHS),
                "samples": Whole(1),
                "learning_rate": Real(above=0.0),
                "batch_size": Whole(1),
                "epochs": Whole(1),
                "held_out": Real(above=0.0, maximum=0.5),
                "every": Whole(1),
                "patience": Whole(1),
                "seed": declared.SEED,
            }
        ),
        "schema": ListOf(imputer_file.ColumnField(), shortest=1),
        "members": ListOf(imputer_file.MEMBER, longest=3000),
        "state": Maybe(
            Record(
                {
                    "epoch": Whole(0),
                    "step": Whole(0),
                    "history": declared.HISTORY,
                    "best_elbo": Maybe(Real()),
                    "best_epoch": Whole(0),
                    "steps_by": Maybe(OneOf(STEPS_BY)),
                    "stop_reason": declared.REASON,
                    "hidden_error": Maybe(Real(minimum=0.0)),
                    "hidden_epoch": Whole(0),
                }
            )
        ),
    }
)


def command_of(path) -> list[str] | None:
    """The command line that a checkpoint remembers. FileNotFoundError, ModelFileError: it cannot be read."""
    return npz_file.load(path, KIND, DECLARATION)[0]["command"]


def inspect(path) -> tuple[int, int]:
    """``(members, epochs)``: how many members are done, and epochs of the next one; checked as before a run goes on
    from it.

    FileNotFoundError, ModelFileError: it cannot be read, or contradicts itself.
    """
    header, arrays = npz_file.load(path, KIND, DECLARATION)
    with imputer_file.refusing(path):
        theta = arrays.get("theta", arrays.get("theta_0", np.zeros(0)))
        if theta.size:
            model = Model(
                declared.build_architecture(Architecture, header["architecture"], theta.size), backends.get("numpy")
            )
            recipe = {name: value for name, value in header["recipe"].items() if name != "seed"}
            _checked(header, arrays, model, None, settings_of(Recipe(**recipe), 0), None)
        elif header["members"] or header["state"] or arrays:
            raise ModelFileError("its parameters are missing")
    return len(header["members"]), header["state"]["epoch"] if header["state"] else 0


def _checked(header: dict, arrays: dict, model, standard, settings, data) -> tuple[list[Member], dict]:
    """The members, and the arrays of the state. ModelFileError: they do not fit together, or not the model."""
    mine = {name: array for name, array in arrays.items() if name.rpartition("_")[2].isdecimal() and "/" not in name}
    state, more = header["state"], {name: array for name, array in arrays.items() if name not in mine}
    members = imputer_file.members_of(header["members"], mine, model, standard)
    if state is None:
        if more:
            raise ModelFileError("it has arrays of a state, but no state")
        return members, {}
    theta = more.pop("hidden_theta", np.zeros(0))
    check_state({**state, "data": {}}, more, model, settings, data)
    if theta.shape != (model.layout.size,) or theta.dtype != more["theta"].dtype or not np.isfinite(theta).all():
        raise ModelFileError("the parameters that were best for the hidden cells do not fit the model")
    if not state["hidden_epoch"] <= state["epoch"] <= settings.epochs:
        raise ModelFileError(
            f"epoch {state['hidden_epoch']} of {state['epoch']}, of {settings.epochs} at most, cannot be"
        )
    return members, {**more, "hidden_theta": theta}


class ImputerCheckpoint(checkpoint.Keeper):
    """Keeps a run's members in a file: ask :meth:`members` or :meth:`begin` once, then tell what happens.

    x: (N, D) with NaN, what the members are trained on; schema, recipe, seed: how.
    """

    def __init__(self, file, model, x: np.ndarray, schema, recipe, seed: int, seconds: float) -> None:
        super().__init__(self._save, seconds)
        self._file, self._model, self._recipe, self._seed = checkpoint.CheckpointFile.of(file), model, recipe, seed
        self._fixed = {
            "command": self._file.command,
            "environment": checkpoint.environment(model.ops),
            "data": checkpoint.data_fingerprints(x, None),
            "architecture": model.architecture.config(),
            "recipe": registry.plain({**dataclasses.asdict(recipe), "seed": seed}),
            "schema": schema.config(),
        }
        self._done: list[Member] = []
        self._begun: tuple[dict, dict] | None = None  # header and arrays of a state to go on from

    def begin(self) -> None:
        """A run that starts anew."""
        self._keep(None, {}, now=True)

    def members(self, standard, anyway: bool) -> list[Member]:
        """The members that are done in the file; the next one goes on from the state that is there. Errors as of
        ``read_checkpoint``.
        """
        path = os.fspath(self._file)
        header, arrays = npz_file.load(path, KIND, DECLARATION)
        for name in ("architecture", "recipe"):
            checkpoint.refuse_difference(
                path, "model" if name == "architecture" else name, header[name], self._fixed[name]
            )
        checkpoint.refuse_other_data(path, header["data"], self._fixed["data"])
        columns = ({column["name"]: column for column in each} for each in (header["schema"], self._fixed["schema"]))
        checkpoint.refuse_difference(path, "table", *columns)
        checkpoint.refuse_other_environment(path, header["environment"], self._fixed["environment"], anyway)
        settings = settings_of(self._recipe, self._seed)
        with imputer_file.refusing(path):
            self._done, more = _checked(header, arrays, self._model, standard, settings, None)
        self._begun = None if header["state"] is None else (header["state"], more)
        return self._done

    def state(self, watch) -> TrainingState | None:
        """The state from which the next member goes on, and what was seen of its hidden cells in ``watch``; None:
        from the start.
        """
        if self._begun is None:
            return None
        (header, arrays), self._begun = self._begun, None
        error = header["hidden_error"]
        watch.theta, watch.epoch, watch.error = (
            arrays.pop("hidden_theta"),
            header["hidden_epoch"],
            np.inf if error is None else error,
        )
        return checkpoint.restore_state(self._model.ops, header, arrays)

    def keep_state(self, state: TrainingState, watch) -> None:
        """At the end of an epoch."""
        header, arrays = checkpoint.describe_state(self._model.ops, state)
        self._keep(
            {**header, "hidden_error": watch.error, "hidden_epoch": watch.epoch},
            {**arrays, "hidden_theta": watch.theta},
        )

    def done(self, member: Member) -> None:
        """A member is done."""
        self._done.append(member)
        self._keep(None, {}, now=True)

    def _keep(self, state, arrays, now: bool = False) -> None:
        self.keep({"state": state}, arrays, now)

    def _save(self, header: dict, arrays: dict) -> None:
        members, more = imputer_file.described(self._done)
        state = header["state"] and checkpoint.plain_history(header["state"])
        npz_file.save(
            self._file.path, KIND, {**self._fixed, "members": members, "state": state}, {**arrays, **more}, DECLARATION
        )
