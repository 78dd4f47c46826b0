"""Many whole training steps, or a whole evaluation, in one call, for the models that a backend has that for.

    base         what a fused trainer does
    coverage     which models, settings and data are covered, and why others are not
    on_numpy     numpy_gradient, numpy_step_ops: loss and gradient as one flat sequence of NumPy's calls
    on_numba     memory, parallel, thread_choice: one compiled program on several threads
    on_cupy      cupy_phases: graphs of kernels, or one cooperative launch
    program_fields   a model and settings as the numbers that the compiled programs take

It stands above the backends, which know arrays and nothing of models. Whoever trains or evaluates asks here first, and
goes operation by operation where the answer is None.
"""

from __future__ import annotations

from npvae.fused import coverage
from npvae.fused.base import FusedTrainer, StepsTaken

__all__ = ["FusedTrainer", "StepsTaken", "coverage", "evaluator_for", "trainer_for"]


def trainer_for(ops, model, settings, x) -> FusedTrainer | None:
    """A trainer of the model on the rows of x (N, I), an array of the backend; None where steps go operation by
    operation, for the reason that ``coverage.reason_against`` gives.

    What must be compiled for it is compiled now.
    """
    if coverage.reason_against(ops, model, settings, x) is not None:
        return None
    place = coverage.backend_of(ops)
    if place == "numpy":
        from npvae.fused.on_numpy import NumpyTrainer

        return NumpyTrainer(ops, model, settings, x)
    if place == "numba":
        from npvae.fused.on_numba import NumbaTrainer

        ops.compile_when_needed()
        return NumbaTrainer(ops, model, settings, x)
    from npvae.fused.on_cupy import CupyTrainer

    return CupyTrainer(ops, model, settings, x)


def evaluator_for(ops, model, x, batch_size: int):
    """What computes the parts of the ELBO on the rows of x (N, I) in one call, by ``evaluate(theta, seed, purpose,
    beta)``; None where the backend has that not."""
    if coverage.backend_of(ops) != "numba" or not ops.is_compiled(ops.dtype_name(x)):
        return None
    if coverage.reason_against(ops, model, None, x) is not None:
        return None
    from npvae.fused.on_numba import NumbaEvaluator

    return NumbaEvaluator(ops, model, x, batch_size)
