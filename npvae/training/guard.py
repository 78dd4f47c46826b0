"""The guard against numbers that are not finite: where the first one is, and what likely made it."""

from __future__ import annotations

from npvae.errors import NonFiniteError
from npvae.mathematics import missing

_ADVICE = {
    "x": "the data hold values that are not finite, or too large for the dtype",
    "theta": "the last update overflowed: lower learning_rate",
    "logvar": "the encoder's output exploded: scale the data, lower learning_rate, or set clip_norm",
    "mu": "the encoder's output exploded: scale the data, lower learning_rate, or set clip_norm",
    "z": "exp(logvar / 2) overflowed: scale the data, lower learning_rate, or set clip_norm",
    "kl": "exp(logvar) or mu^2 overflowed: lower learning_rate, or set clip_norm",
    "logits": "the classifier's output exploded: lower learning_rate, or set clip_norm",
    "decoder": "the decoder's output exploded: lower learning_rate, or set clip_norm",
    "nll": "the likelihood overflowed: scale the data, lower learning_rate, or set clip_norm",
    "gradient": "the gradient overflowed: set clip_norm, lower learning_rate, or train in float64",
}


def first_non_finite(model, objective, theta, x, eps, beta) -> tuple[str, str]:
    """The first tensor, in order of computation, with an element that is not finite; and advice.

    ``("", "")`` if all are finite.
    """
    xp = model.ops.xp
    views = model.views(theta)

    def tensors():
        yield "x", "the minibatch x", given(model, x)
        for name, value in views.items():
            yield "theta", f"the parameter {name}", value
        yield from objective.tensors(model, views, x, eps)
        terms, backward = objective.loss(model, theta, x, eps, beta)
        yield "nll", "the reconstruction term", terms.nll_rows
        yield "kl", "the KL divergence", terms.kl_rows
        for name, value in model.views(backward()).items():
            yield "gradient", f"the gradient of {name}", value

    for kind, name, value in tensors():
        if not xp.all(xp.isfinite(value)):
            return name, _ADVICE[kind]
    return "", ""


def given(model, x):
    """x without its NaN where they only say what is missing."""
    return missing.split(model.ops.xp, x)[0] if model.architecture.missing else x


def raise_non_finite(model, objective, theta, x, eps, beta, epoch: int, step: int) -> None:
    """NonFiniteError naming epoch, step, tensor and likely cause. Epochs and steps count from 1."""
    name, advice = first_non_finite(model, objective, theta, x, eps, beta)
    if not name:  # the tensors are finite, a sum of them is not
        name, advice = "the loss", _ADVICE["nll"]
    if step == 1 and not model.architecture.completed:
        largest = float(model.ops.xp.max(model.ops.xp.abs(given(model, x))))
        advice = (
            f"the data are not scaled for a network (the largest value is {largest:g}): divide them, with divide_by, "
            "or standardise their columns"
        )
    raise NonFiniteError(
        f"epoch {epoch}, step {step}: {name} holds a number that is not finite; likely cause: {advice}. "
        "The parameters are put back to the last that were seen to be good."
    )


def refuse_non_finite_theta(model, theta, epoch: int, step: int) -> None:
    """NonFiniteError if the update of an epoch's last step, which no loss has seen yet, was not finite."""
    xp = model.ops.xp
    if not xp.all(xp.isfinite(theta)):
        names = [name for name, view in model.views(theta).items() if not xp.all(xp.isfinite(view))]
        raise NonFiniteError(
            f"epoch {epoch}, step {step}: the update made the parameter {names[0]} not finite; likely cause: "
            f"{_ADVICE['theta']}"
        )
