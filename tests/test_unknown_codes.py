"""A formula that a backend has no code for is refused by its name; compiled code given such a code writes NaN."""

import gpu_backends
import numpy as np
import pytest
import trained

from npvae import backend, fused
from npvae.backend import codes
from npvae.errors import InputError
from npvae.fused import on_cupy, on_numba, program_fields
from npvae.mathematics import likelihoods, optimizers
from npvae.mathematics.layers import activations
from npvae.mathematics.objectives.importance_weighted import encoder_gradient

PLACES = {
    "numpy": lambda: backend.get("numpy", threads=1),
    "numba": trained.on_numba,
    "cupy": gpu_backends.on_gpu_or_standin,
}


@pytest.fixture
def silu(monkeypatch):
    """An activation that stands in the table alone."""
    for table in (activations.FORWARD, activations.BACKWARD):
        monkeypatch.setitem(table, "silu", table["tanh"])
    monkeypatch.setattr(activations, "NAMES", tuple(activations.FORWARD))
    return "silu"


@pytest.mark.parametrize("place", PLACES)
def test_an_activation_without_code_is_refused(place, silu):
    ops = PLACES[place]()
    x, W, b = (ops.asarray(np.ones(shape)) for shape in ((7, 11), (11, 5), (5,)))
    y = ops.asarray(np.ones((7, 5)))
    for call in (
        lambda: ops.dense_forward(x, W, b, silu),
        lambda: ops.activation_gradient(y, y, silu),
        lambda: ops.dense_backward(y, x, y, W, silu, True),
    ):
        with pytest.raises(InputError, match=f"activation='silu' has no code on the backend '{place}'"):
            call()
    rows = ops.asarray(trained.grey(14))
    model, settings = trained.make(ops, rows, {"activation": silu})
    with pytest.raises(InputError, match="activation='silu'"):
        trainer = fused.trainer_for(ops, model, settings, rows)
        theta = model.initial_parameters(3, "float64")
        state = settings.optimizer.initial_state(ops, theta)
        trainer.take_steps(theta, ops.copy(theta), state, ops.asarray(np.arange(14)), 0, 0, [0.01], [1.0])


def test_an_outer_sum_s_activation_without_code_is_refused(silu):
    for place in ("numpy", "numba"):
        with pytest.raises(InputError, match="activation='silu'"):
            PLACES[place]().outer_forward(np.ones((7, 5)), np.ones((3, 5)), silu)


def test_likelihoods_optimisers_and_estimators_without_code_are_refused(monkeypatch):
    class Nesterov(optimizers.Optimizer):
        name = "nesterov"

    with pytest.raises(InputError, match="likelihood='poisson' has no code"):
        program_fields.likelihood_code(likelihoods.get("poisson"))
    with pytest.raises(InputError, match="optimizer='nesterov' has no code"):
        program_fields.rule(Nesterov())
    with pytest.raises(InputError, match="estimator"):
        encoder_gradient(np, None, 0.0, np.ones((2, 3)), np.ones((2, 3)), 1.0, "vimco")


@pytest.mark.parametrize("what", ["activation", "likelihood", "optimizer"])
@pytest.mark.parametrize("place", ["numba", "cupy"])
def test_compiled_steps_given_an_unknown_code_write_nan(place, what, monkeypatch):
    ops = PLACES[place]()
    x = ops.asarray(trained.grey(14))
    model, settings = trained.make(ops, x, optimizer="sgd")
    if what == "activation":
        monkeypatch.setattr(codes, "code_of", lambda *arguments: 99)
    elif what == "likelihood":
        monkeypatch.setattr(on_numba, "Code", {"BERNOULLI": 99})
        monkeypatch.setattr(on_cupy, "Likelihood", {"BERNOULLI": 99})
    else:
        known = program_fields.settings_fields
        monkeypatch.setattr(program_fields, "settings_fields", lambda *arguments: known(*arguments) | {"OPTIMIZER": 99})
    trainer = fused.trainer_for(ops, model, settings, x)
    theta = model.initial_parameters(3, "float64")
    before = ops.to_numpy(theta).copy()
    state, order = settings.optimizer.initial_state(ops, theta), ops.asarray(np.arange(14))
    taken = trainer.take_steps(theta, ops.copy(theta), state, order, 0, 0, [0.01], [1.0])
    if what == "optimizer":
        assert np.isnan(ops.to_numpy(theta)).all()
    else:  # the guard against NaN refuses the step
        assert taken.done == 0
        np.testing.assert_array_equal(ops.to_numpy(theta), before)


@pytest.mark.parametrize("columns", [3, 64])
def test_a_compiled_operation_given_an_unknown_code_writes_nan(columns, monkeypatch):
    ops = PLACES["numba"]()
    monkeypatch.setattr(codes, "code_of", lambda *arguments: 99)
    assert np.isnan(ops.dense_forward(np.ones((70, 64)), np.ones((64, columns)), np.ones(columns), "relu")).all()
