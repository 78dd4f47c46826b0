"""Which training steps can be fused: the one place that decides, and says why others cannot.

With ``numba:products=autotune`` a trial (training/autotune.py) then chooses between fused steps and operations by their
time.
"""

from __future__ import annotations

import sys

from npvae import backend
from npvae.backend.numpy_ops import NumpyOps
from npvae.fused.program_fields import LIKELIHOODS, STATES
from npvae.mathematics.objectives import ELBO, ImportanceWeighted


def backend_of(ops) -> str | None:
    """The backend whose fused steps are for these operations; None: none are."""
    for name, (module, kind) in backend.KNOWN.items():
        loaded = sys.modules.get(module)
        if loaded is not None and isinstance(ops, getattr(loaded, kind)):
            # A subclass of NumPy's may have operations of its own, which its fused steps would not call.
            return None if name == "numpy" and type(ops) is not NumpyOps else name
    return None


def reason_against(ops, model, settings, x) -> str | None:
    """What there is no fused step for, of steps with these settings on x (N, I), in words; None if they are fused.

    settings None: why the ELBO of x is not evaluated in one call.
    """
    place = backend_of(ops)
    if place is None:
        return f"the backend {ops.name!r}"
    if settings is not None and getattr(ops, "products", "own") == "blas":
        return "products=blas"
    reason = _against_objective(place, settings, len(x)) or _against_model(place, model) or _against_data(place, x)
    if reason is None and place != "numpy" and settings is not None and type(settings.optimizer) not in STATES:
        reason = f"the optimizer {settings.optimizer.name!r}"
    return reason


def describe(ops, model, settings, x) -> str:
    """How steps are taken, in words."""
    reason = reason_against(ops, model, settings, x)
    if reason is not None:
        return f"one operation at a time on {ops.name} (no fused step for {reason})"
    if getattr(ops, "products", "own") == "autotune":
        return f"fused on {ops.name}, or one operation at a time: a trial decides"
    return f"fused on {ops.name}"


def _against_objective(place: str, settings, rows: int) -> str | None:
    objective = ELBO() if settings is None else settings.objective
    if objective == ELBO():
        return None
    if place == "numba" and type(objective) is ImportanceWeighted:
        rows = min(settings.batch_size, rows)
        if rows * objective.samples <= objective.at_once:
            return None
        return f"{objective.samples} samples of {rows} rows, more than {objective.at_once} together"
    return "free bits" if type(objective) is ELBO else f"the objective {objective.name!r}"


def _against_model(place: str, model) -> str | None:
    architecture = model.architecture
    if architecture.missing:
        return "missing values"
    if architecture.completed:
        return "an encoder with a view of its own"
    if architecture.linear_path:
        return "linear paths"
    if place != "numpy" and type(model.likelihood) not in LIKELIHOODS:
        return f"the likelihood {model.likelihood.name!r}"
    return None


def _against_data(place: str, x) -> str | None:
    if x.dtype.name not in ("float32", "float64"):
        return f"data of dtype {x.dtype.name}"
    if place != "numpy" and not (x.flags.c_contiguous and len(x)):
        return "rows that do not lie one behind the other in memory"
    return None
