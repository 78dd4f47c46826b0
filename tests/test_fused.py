"""Fused trainers: what they cover, and why not the rest; the gradient without the update."""

import ast
from pathlib import Path

import gpu_backends
import numpy as np
import pytest
import trained

from npvae import backend, fused
from npvae.backend.base import Ops
from npvae.backend.numpy_ops import NumpyOps
from npvae.fused import coverage
from npvae.mathematics import objectives
from npvae.training.asynchronous import AsynchronousTrainer


class NumpyWithAnOperation(NumpyOps):
    """What fused steps would not call."""


def places():
    """The backends, by name."""
    return {
        "numpy": backend.get("numpy", threads=1),
        "numba": trained.on_numba(),
        "cupy": gpu_backends.on_gpu_or_standin(),
        "blas": backend.get({"name": "numba", "products": "blas", "threads": 1}),
        "autotune": backend.get({"name": "numba", "products": "autotune", "threads": 1}),
        "reference": Ops(np),
        "subclass": NumpyWithAnOperation(),
    }


SAMPLES = {"name": "importance_weighted", "samples": 5, "at_once": 35}

#: Architecture, settings, and on which of the backends the steps are not fused, for which reason.
COVERED = [
    ({}, {}, {"blas": "products=blas", "reference": "the backend 'reference'", "subclass": "the backend 'numpy'"}),
    ({"likelihood": "gaussian"}, {"optimizer": "sgd"}, {}),
    ({"likelihood": "poisson"}, {}, dict.fromkeys(("numba", "cupy", "autotune"), "the likelihood 'poisson'")),
    ({"missing": True}, {}, dict.fromkeys(("numpy", "numba", "cupy"), "missing values")),
    ({"linear_path": True}, {}, dict.fromkeys(("numpy", "numba", "cupy"), "linear paths")),
    ({}, {"objective": {"name": "elbo", "free_bits": 0.1}}, dict.fromkeys(("numpy", "numba", "cupy"), "free bits")),
    ({}, {"objective": SAMPLES}, dict.fromkeys(("numpy", "cupy"), "the objective 'importance_weighted'")),
    (
        {},
        {"objective": SAMPLES, "batch_size": 8},
        {
            "numba": "5 samples of 8 rows, more than 35 together",
            **dict.fromkeys(("numpy", "cupy"), "the objective 'importance_weighted'"),
        },
    ),
]


@pytest.mark.parametrize(("architecture", "settings", "reasons"), COVERED)
def test_what_is_covered_and_why_the_rest_is_not(architecture, settings, reasons):
    general = {"blas", "reference", "subclass"} - reasons.keys()
    for name, ops in places().items():
        x = ops.asarray(trained.grey(20))
        model, made = trained.make(ops, x, architecture, **settings)
        reason = coverage.reason_against(ops, model, made, x)
        if name in reasons:
            assert reason is not None and reasons[name] in reason, name
        elif name not in general and not (name == "autotune" and "numba" in reasons):
            assert reason is None, name
        assert (fused.trainer_for(ops, model, made, x) is None) == (reason is not None)
        said = coverage.describe(ops, model, made, x)
        if reason is None:
            assert said == f"fused on {ops.name}" + (
                ", or one operation at a time: a trial decides" if name == "autotune" else ""
            )
        else:
            assert said == f"one operation at a time on {ops.name} (no fused step for {reason})"


def test_without_settings_the_question_is_the_elbo():
    for ops in (trained.on_numba(), backend.get({"name": "numba", "products": "blas", "threads": 1})):
        x = trained.grey(20)
        model, _ = trained.make(ops, x, {"likelihood": "gaussian"})
        assert (
            coverage.reason_against(ops, model, None, x) is None and fused.evaluator_for(ops, model, x, 7) is not None
        )


def test_backends_know_no_model_no_objective_and_no_training():
    """Function-level imports included: what knows them stands above the backends."""
    above = {"evaluate", "fused", "model", "objectives", "training"}
    for path in Path(backend.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("npvae"):
                parts = node.module.split(".")[1:2] or [alias.name for alias in node.names]
                assert above.isdisjoint(parts), f"{path.name} imports {parts}"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("place", ["numpy", "numba", "cupy", "asynchronous"])
def test_the_gradient_without_the_update(place, dtype):
    """Of a whole batch and of an epoch's last one: that of the objective; and steps go on as if nobody had asked."""
    ops = Ops(np) if place == "asynchronous" else places()[place]
    x = ops.asarray(trained.grey(17, dtype=dtype))
    model, settings = trained.make(ops, x, optimizer="adam", clip_norm=1e-3)
    made = AsynchronousTrainer if place == "asynchronous" else lambda *arguments: fused.trainer_for(ops, *arguments)
    trainer, other = made(model, settings, x), made(model, settings, x)
    theta, gradient = model.initial_parameters(3, dtype), ops.copy(model.initial_parameters(3, dtype))
    order = ops.asarray(np.arange(17)[::-1].copy())
    specification, _ = trained.make(Ops(np), trained.grey(17))
    for start, step in ((0, 4), (14, 6)):
        before = ops.to_numpy(theta).copy()
        taken = trainer.take_gradient(theta, gradient, order, start, step, 0.7)
        rows = trained.grey(17, dtype=dtype)[::-1][start : start + 7]
        eps = trained.noise(settings.seed, step, (len(rows), 2), dtype)
        terms, backward = objectives.negative_elbo(specification, before, rows, eps, 0.7)
        wanted, rtol = backward(), 2e-4 if dtype == "float32" else 1e-11
        np.testing.assert_allclose(ops.to_numpy(gradient), wanted, rtol=rtol, atol=rtol * np.abs(wanted).max())
        assert taken.done == 1 and taken.losses == pytest.approx([float(terms.loss)], rel=rtol)
        assert taken.norms == pytest.approx([np.linalg.norm(wanted)], rel=rtol)
        np.testing.assert_array_equal(ops.to_numpy(theta), before)
        count, sums = trainer.take_sums()
        assert count == len(rows) and float(sums["loss"]) == pytest.approx(float(terms.loss) * count, rel=rtol)
    results = []
    for each in (trainer, other):
        at, state = ops.copy(theta), settings.optimizer.initial_state(ops, theta)
        each.take_steps(at, gradient, state, order, 0, 0, [0.01] * 2, [1.0] * 2)
        results.append(ops.to_numpy(at).tobytes())
    assert results[0] == results[1]


@pytest.mark.parametrize("place", ["numpy", "numba", "cupy", "asynchronous"])
def test_a_gradient_that_is_not_finite_counts_for_nothing(place):
    ops = Ops(np) if place == "asynchronous" else places()[place]
    rows = trained.grey(14)
    rows[3] = np.nan
    x = ops.asarray(rows)
    model, settings = trained.make(ops, x)
    trainer = (
        AsynchronousTrainer(model, settings, x)
        if place == "asynchronous"
        else fused.trainer_for(ops, model, settings, x)
    )
    theta = model.initial_parameters(3, "float64")
    with np.errstate(invalid="ignore"):
        taken = trainer.take_gradient(theta, ops.copy(theta), ops.asarray(np.arange(14)), 0, 0, 1.0)
    assert taken.done == 0 and trainer.take_sums()[0] == 0
