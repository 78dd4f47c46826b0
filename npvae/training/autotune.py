"""Whether a run's steps are faster fused or operation by operation: measured, not guessed.

Fused steps have matrix products of their own, the operations those of the BLAS that NumPy came with. Which is faster
depends on the model, the batch, the number of cores and the BLAS. Both compute the same to rounding, but not to the
bit, so a trial is made only where the backend was told to (``products="autotune"``), and the state keeps its outcome.
"""

from __future__ import annotations

import dataclasses
import time

from npvae import evaluation
from npvae.errors import NonFiniteError
from npvae.fused import coverage
from npvae.support.announce import announce
from npvae.training.state import STEPS_BY
from npvae.training.steps import Epoch, Stepper

#: Turns of each, the least seconds of a turn, and of the pause before it, in which BLAS's threads stop spinning.
ROUNDS, TURN_SECONDS, PAUSE_SECONDS = 5, 0.03, 0.1


#: What is said of the outcome.
CHOSEN = {"fused": "this run takes fused steps", "operations": "this run goes by operations"}


def decide(model, settings, x, state) -> bool:
    """Whether to take fused steps where there are any. Where a trial is to decide, ``state.steps_by`` keeps or gets
    its outcome.
    """
    if getattr(model.ops, "products", None) != "autotune":
        return True
    if coverage.reason_against(model.ops, model, settings, x) is not None:
        return False
    if state.steps_by is None:
        seconds = measure(model, settings, x, state)
        state.steps_by = min(STEPS_BY, key=seconds.__getitem__)
        fused, operations = (1e3 * seconds[way] for way in STEPS_BY)
        announce(
            f"a step takes {fused:.3g} ms fused, {operations:.3g} ms by operations with BLAS: {CHOSEN[state.steps_by]}"
        )
    return state.steps_by == "fused"


def measure(model, settings, x, state) -> dict[str, float]:
    """Seconds a step of each of ``STEPS_BY`` in its best turn; they take turns, on copies of the state."""

    def rows(epoch: Epoch, stepper: Stepper, copy, index: int) -> int:
        """Take steps from number ``index`` of the epoch, from the start again at its end; the next step's number."""
        return (index + stepper.take(epoch, copy, index)) % len(epoch.parts)

    order = model.ops.asarray(range(x.shape[0]))
    runs = {}
    for way in STEPS_BY:
        copy = dataclasses.replace(
            state,
            theta=model.ops.copy(state.theta),
            optimizer_state={name: model.ops.copy(array) for name, array in state.optimizer_state.items()},
        )
        stepper = Stepper(model, settings, x, copy, fused=way == "fused")
        runs[way] = Epoch(model, settings, x, order, evaluation.ElboAverages(model.ops.xp)), stepper, copy
    times: dict[str, list[float]] = {way: [] for way in STEPS_BY}
    index = dict.fromkeys(STEPS_BY, 0)
    try:
        for _ in range(ROUNDS):
            for way, run in runs.items():
                time.sleep(PAUSE_SECONDS)
                before, started, seconds = run[2].step, time.perf_counter(), 0.0
                while seconds < TURN_SECONDS:
                    index[way] = rows(*run, index[way])
                    seconds = time.perf_counter() - started
                times[way].append(seconds / (run[2].step - before))
    except NonFiniteError:
        return {"fused": 0.0, "operations": 1.0}  # the run itself will meet it, and say where
    return {way: min(each) for way, each in times.items()}
