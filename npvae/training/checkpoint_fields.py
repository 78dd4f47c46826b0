"""What a checkpoint's header may hold, and what of it must fit together before a run goes on from it.

Compiled code takes the arrays by their addresses: here they are seen to have the length, the type and the numbers that
it expects.
"""

from __future__ import annotations

import math

import numpy as np

from npvae.errors import ModelFileError
from npvae.support.fields import Anything, Digest, ListOf, MapOf, Maybe, OneOf, Real, Record, Text, Whole, shown
from npvae.training import declared
from npvae.training.state import STEPS_BY

#: What the bits of a run depend on beside model, settings and data, by name.
ENVIRONMENT = MapOf(Text(1000, plain=True), longest=100)
#: The words of the command line that began the run, if one did.
COMMAND = Maybe(ListOf(Text(10_000), shortest=1, longest=10_000))
#: The header of a checkpoint; the settings are compared with those of the run that goes on.
DECLARATION = Record(
    {
        "architecture": Record(
            declared.ARCHITECTURE, {**declared.ARCHITECTURE_OPTIONS, **declared.CLASSES_OF_ARCHITECTURE}
        ),
        "settings": MapOf(Anything()),
        "data": MapOf(Digest(), longest=10),
        "environment": ENVIRONMENT,
        "command": COMMAND,
        "epoch": Whole(0),
        "step": Whole(0),
        "history": declared.HISTORY,
        "best_elbo": Maybe(Real()),
        "best_epoch": Whole(0),
        "steps_by": Maybe(OneOf(STEPS_BY)),
        "stop_reason": declared.REASON,
    }
)


def check_state(header: dict, arrays: dict, model, settings, x) -> None:
    """ModelFileError: the parts of a state contradict each other, or would not fit the run's arrays."""
    epoch, step, history = header["epoch"], header["step"], header["history"]
    if len(history.get("epoch", ())) != epoch:
        raise ModelFileError(f"it is of epoch {epoch}, but its history has {len(history.get('epoch', ()))}")
    steps = step // max(epoch, 1) if x is None else math.ceil(len(x) / settings.batch_size)
    if step != epoch * steps or step < epoch:
        raise ModelFileError(f"it is of epoch {epoch}, but of step {step}: an epoch's steps are equally many")
    declared.check_latent_dim(history, model.architecture.latent_dim)
    if epoch:
        wanted = _columns(settings, "x_valid" in header["data"])
        for name in sorted(
            (wanted ^ history.keys()) - (_OPTIONAL if settings.objective.more_columns is None else set())
        ):
            raise ModelFileError(
                f"its history {'lacks' if name in wanted else 'has'} the column {name!r}, unlike this run's"
            )
    best = (header["best_epoch"] > 0, header["best_elbo"] is not None, "best_theta" in arrays)
    if any(best) != all(best) or header["best_epoch"] > epoch or (all(best) and settings.patience is None):
        raise ModelFileError("its best parameters, their epoch and their validation ELBO do not belong together")
    watched = history.get("val_bound", history.get("val_elbo"))
    if all(best) and (watched is None or watched[header["best_epoch"] - 1] != header["best_elbo"]):
        raise ModelFileError(f"its best validation ELBO is not that of epoch {header['best_epoch']} in its history")
    theta = arrays.get("theta")
    dtype = str(x.dtype) if x is not None else None if theta is None else str(theta.dtype)
    needed = {f"optimizer/{name}" for name in settings.optimizer.initial_state(_NumpyArrays, np.zeros(1))}
    needed |= {"theta", *(["best_theta"] if all(best) else [])}
    for name in sorted(arrays.keys() ^ needed):
        raise ModelFileError(f"the array {shown(name)} " + ("is of no use to it" if name in arrays else "is missing"))
    for name, array in arrays.items():
        if array.shape != (model.layout.size,) or str(array.dtype) != dtype:
            raise ModelFileError(
                f"{name} is {array.dtype} of shape {array.shape}; this run has {dtype} of shape ({model.layout.size},)"
            )
        if not np.isfinite(array).all():
            raise ModelFileError(f"{name} is not finite everywhere")
        if name.removeprefix("optimizer/") in settings.optimizer.never_negative and (array < 0.0).any():
            raise ModelFileError(f"{name} is a mean of squares, but negative somewhere")


#: Columns that an objective of somebody's own may have or not.
_OPTIONAL = {f"{prefix}{name}" for prefix in ("", "val_") for name in ("bound", "error", "cross_entropy")}


def _columns(settings, validated: bool) -> set[str]:
    """The names of the history's columns."""
    measured = {
        "loss",
        "elbo",
        "reconstruction",
        "kl",
        "active_units",
        "kl_per_dimension",
        *(settings.objective.more_columns or ()),
    }
    more = {f"val_{name}" for name in measured} if validated else set()
    return {"epoch", "gradient_norm", "beta", "learning_rate", "seconds"} | measured | more


class _NumpyArrays:
    """What an optimiser needs to say which arrays it has."""

    xp, copy = np, np.copy
