"""The training loop: one function that takes a state to the end of its run, epoch by epoch."""

from __future__ import annotations

import math
import time

import numpy as np

from npvae import evaluation
from npvae.errors import InputError, NonFiniteError
from npvae.training import autotune, collapse, guard, minibatches
from npvae.training.interrupt import DeferredInterrupt
from npvae.training.state import FINISHED, INTERRUPTED, OUT_OF_TIME, TrainingState
from npvae.training.steps import Epoch, Stepper

#: Samples of z at a time in validation: rows, of an objective that takes one a row.
VALIDATION_SAMPLES = 1000


def initial_state(model, settings, x) -> TrainingState:
    """The state before the first step on x (N, I), of x's dtype."""
    data = model.ops.to_numpy(x) if settings.output_bias == "data" else None
    theta = model.initial_parameters(settings.seed, model.ops.dtype_name(x), data, settings.initial_weights)
    return TrainingState(theta, settings.optimizer.initial_state(model.ops, theta))


def train(model, settings, x, x_valid=None, state=None, callbacks=(), enough=None) -> TrainingState:
    """Run until ``settings.epochs`` are done, or the run is stopped; return the state.

    x: (N, I), x_valid: (M, I) or None, arrays of the backend, of theta's dtype. ``state`` is one to go on
    from (changed in place), a new one by default: it starts at an epoch's end, and since every random
    number is a function of (seed, purpose, step), the run goes on with the same bits. ``callbacks`` are
    called with the state after every epoch, in order; they may call ``state.stop(reason)``. ``enough`` is asked before
    every step but an epoch's first: whether time is up; the run then ends, in the middle of an epoch perhaps.

    At the end ``state.stop_reason`` says why it ended. With ``patience``, the parameters of the best
    validation ELBO are put back. NonFiniteError: a loss, a gradient or a validation ELBO is not finite; the
    state's parameters are put back to the last at which all was seen to be finite: see steps.py. Ctrl-C ends
    the run after the current step, or the current call for many, without an error: ``state.interrupted`` says so.
    InputError: no rows.
    """
    if settings.patience is not None and x_valid is None:
        raise InputError("patience needs validation data: set validation_fraction, or give x_valid")
    if x.shape[0] == 0:
        raise InputError("x has no rows to train on")
    state = state or initial_state(model, settings, x)
    with model.ops.memory_guard(min(settings.batch_size, x.shape[0])):
        features = model.architecture.n_features
        x = _static(model.ops, x, settings, 0, features)
        x_valid = None if x_valid is None else _static(model.ops, x_valid, settings, 1, features)
        return _run(model, settings, x, x_valid, state, callbacks, enough or (lambda: False))


def _run(model, settings, x, x_valid, state, callbacks, enough) -> TrainingState:
    """``train`` on data as training sees them, from a state."""
    stepper = Stepper(model, settings, x, state, fused=autotune.decide(model, settings, x, state))
    spread = settings.objective.spread(model, x)
    # Overflow is the guard's business: its message says more than NumPy's warning.
    with np.errstate(all="ignore"), DeferredInterrupt() as interrupt:
        try:
            while state.epoch < settings.epochs and state.stop_reason is None:
                row = _epoch(model, settings, x, state, stepper, lambda: interrupt.requested or enough(), spread)
                if row is None:
                    state.stop(INTERRUPTED if interrupt.requested else OUT_OF_TIME)
                    break
                if x_valid is not None:
                    row.update(_validate(model, settings, x_valid, state, row["beta"]))
                state.history.append(row)
                _watch(model.ops, settings, state)
                collapse.warn(settings, state)
                for callback in callbacks:
                    callback(state)
                guard.refuse_non_finite_theta(model, state.theta, state.epoch, state.step)
                if interrupt.requested and state.stop_reason is None and state.epoch < settings.epochs:
                    state.stop(INTERRUPTED)
                elif state.stop_reason is None and state.epoch < settings.epochs and enough():
                    state.stop(OUT_OF_TIME)
        except NonFiniteError:
            stepper.put_back(state)
            raise
        finally:
            state.interrupted = interrupt.requested
    if state.stop_reason is None:
        state.stop(FINISHED)
    if settings.patience is not None and state.best_theta is not None:
        state.theta[...] = state.best_theta
    return state


def _static(ops, x, settings, step, features):
    """The data as training sees them: drawn once as zeros and ones if the settings say so."""
    if settings.binarize != "static":
        return x
    return minibatches.binarize(ops, x, settings.seed, "static binarize", step, features)


def _epoch(model, settings, x, state, stepper, ended, spread) -> dict | None:
    """One pass over x: changes theta, the optimiser's state and ``state.step``.

    Returns the history's row, or None if it was ``ended()`` before its last step.
    """
    started = time.perf_counter()
    ops = model.ops
    order = minibatches.epoch_order(ops, settings.seed, state.epoch, x.shape[0], spread)
    epoch = Epoch(model, settings, x, order, evaluation.ElboAverages(ops.xp))
    steps, index = len(epoch.parts), 0
    while index < steps and not (index and ended()):
        index += stepper.take(epoch, state, index)
    guard.refuse_non_finite_theta(model, state.theta, state.epoch + 1, state.step)
    stepper.finish(epoch)
    if index < steps:
        return None
    row = {
        "epoch": state.epoch + 1,
        **epoch.averages.result(ops.to_numpy),
        "gradient_norm": epoch.norm_sum / steps,
        "beta": epoch.beta(state, steps - 1),
        "learning_rate": epoch.rate(state, steps - 1),
        "seconds": time.perf_counter() - started,
    }
    state.epoch += 1
    return row


def _validate(model, settings, x_valid, state, beta) -> dict:
    """The validation columns. The noise is the same every epoch, so that epochs compare like with like."""
    # What training draws anew is held fixed over epochs for the same reason.
    x_valid = minibatches.drawn_once(model.ops, x_valid, settings, model.architecture)
    rows = max(1, VALIDATION_SAMPLES // settings.objective.samples)
    result = evaluation.evaluate_elbo(
        model, state.theta, x_valid, settings.seed, beta, rows, "validation noise", settings.objective
    )
    if not math.isfinite(result["loss"]):
        raise NonFiniteError(
            f"epoch {state.epoch}: the validation loss is not finite, though every training loss was; likely cause: "
            "the data of both parts differ in scale, or the model has begun to diverge: lower learning_rate"
        )
    return {f"val_{name}": value for name, value in result.items()}


def _watch(ops, settings, state) -> None:
    """Early stopping: remember the best validation bound, stop when it is too long ago.

    It watches the ELBO, or the objective's own bound where it has another, with the KL unweighted, and only once the
    warm-up is over: before, the bound gets worse because its weight rises, not because the model does.
    """
    if settings.patience is None or not settings.kl_warmup.is_over(state.epoch):
        return
    elbo = state.history["val_bound" if "val_bound" in state.history else "val_elbo"][-1]
    if elbo > state.best_elbo + settings.min_delta:
        state.best_elbo, state.best_epoch = elbo, state.epoch
        state.best_theta = ops.copy(state.theta)
        return
    watched = sum(map(settings.kl_warmup.is_over, range(state.best_epoch + 1, state.epoch + 1)))
    if watched >= settings.patience:
        state.stop(f"no better validation ELBO for {settings.patience} epochs; parameters of epoch {state.best_epoch}")
