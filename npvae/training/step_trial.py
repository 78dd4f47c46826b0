"""Whether a run's steps are faster by the backend's program or by its operations: measured, not guessed.

The program has matrix products of its own, the operations those of the BLAS that NumPy came with. Which is faster depends
on the model, the batch, the number of cores and the BLAS. Both compute the same to rounding, but not to the bit, so a
trial is made only where the backend was told to (``products="measured"``), and the state keeps its outcome.
"""

from __future__ import annotations

import dataclasses
import time

from npvae import evaluate
from npvae.announce import announce
from npvae.errors import NonFiniteError

WAYS = ("program", "operations")

#: Turns of each, the least seconds of a turn, and of the pause before it, in which BLAS's threads stop spinning.
ROUNDS, TURN_SECONDS, PAUSE_SECONDS = 5, 0.03, 0.1


def decide(model, settings, x, state) -> bool:
    """Whether to take steps by the program. Where a trial is to decide, ``state.steps_by`` keeps or gets its outcome."""
    ops = model.ops
    if ops.takes_programs is not None:
        return ops.takes_programs
    if state.steps_by is None:
        seconds = measure(model, settings, x, state)
        state.steps_by = min(WAYS, key=seconds.get)
        program, operations = (1e3 * seconds[way] for way in WAYS)
        announce(
            f"a step takes {program:.3g} ms by the program, {operations:.3g} ms by operations with BLAS: "
            f"the {state.steps_by} take{'s' if state.steps_by == 'program' else ''} them"
        )
    return state.steps_by == "program"


def measure(model, settings, x, state) -> dict[str, float]:
    """Seconds a step of each of ``WAYS`` in its best turn; they take turns, on copies of the state."""
    from npvae.training.steps import Epoch, Stepper  # they import this file

    def rows(epoch: Epoch, stepper: Stepper, copy, index: int) -> int:
        """Take steps from number ``index`` of the epoch, from the start again at its end; the next step's number."""
        return (index + stepper.take(epoch, copy, index)) % len(epoch.parts)

    order = model.ops.asarray(range(x.shape[0]))
    runs = {}
    for way in WAYS:
        copy = dataclasses.replace(
            state, theta=model.ops.copy(state.theta),
            optimizer_state={name: model.ops.copy(array) for name, array in state.optimizer_state.items()},
        )
        stepper = Stepper(model, settings, x, copy, by_program=way == "program")
        runs[way] = Epoch(model, settings, x, order, evaluate.ElboAverages(model.ops.xp)), stepper, copy
    times = {way: [] for way in WAYS}
    index = dict.fromkeys(WAYS, 0)
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
        return {"program": 0.0, "operations": 1.0}  # the run itself will meet it, and say where
    return {way: min(each) for way, each in times.items()}
