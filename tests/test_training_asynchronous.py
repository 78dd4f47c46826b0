"""Steps whose numbers are read once in a while: the same run as with a look at every step."""

import numpy as np
import pytest
import trained

from npvae.backend.base import Ops
from npvae.errors import NonFiniteError
from npvae.training import asynchronous
from npvae.training.asynchronous import AsynchronousTrainer


class Distant(Ops):
    """The specification on NumPy, with memory far away."""

    reads_wait = True

    def __init__(self) -> None:
        super().__init__(np)


RUNS = [
    ({}, {}),
    ({"likelihood": "gaussian_decoder"}, {"optimizer": "adam", "clip_norm": 0.5}),
    ({}, {"objective": {"name": "importance_weighted", "samples": 3}, "beta": 0.7}),
    ({}, {"objective": {"name": "elbo", "free_bits": 0.3}}),
    ({"hidden": ()}, {"optimizer": "sgd", "binarize": "dynamic", "beta": 0.5, "kl_warmup": 1}),
]


@pytest.mark.parametrize(("architecture", "settings"), RUNS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_run_has_the_bits_of_one_with_a_look_at_every_step(architecture, settings, dtype):
    x, x_valid = trained.grey(40, dtype=dtype), trained.grey(9, seed=2, dtype=dtype)
    with trained.only_the_program():
        found = trained.run(Distant(), x, x_valid, architecture, **settings)
    wanted = trained.run(Ops(np), x, x_valid, architecture, **settings)
    # A float32 gradient is clipped by a length in float32 here, in float64 there.
    assert found.theta.tobytes() == wanted.theta.tobytes() or ("clip_norm" in settings and dtype == "float32")
    tolerances = {"rtol": 1e-5, "atol": 1e-6} if dtype == "float32" else {"rtol": 1e-12}
    trained.assert_close(found, wanted, **tolerances)


@pytest.mark.parametrize("most", [1, 2, 5])
def test_no_sum_depends_on_how_steps_are_cut_into_calls(most, monkeypatch):
    whole = trained.run(Distant(), trained.grey(40), batch_size=3)
    monkeypatch.setattr(asynchronous, "MOST_STEPS", most)
    trained.assert_same_bits(trained.run(Distant(), trained.grey(40), batch_size=3), whole)


@pytest.mark.parametrize("bad", [0, 4, 5])
def test_steps_before_one_that_is_not_finite_are_taken_and_no_other(bad):
    x = trained.grey(12)
    x[2 * bad] = np.nan
    model, settings = trained.make(Distant(), x, batch_size=2)
    trainer, reference = AsynchronousTrainer(model, settings, x), trained.grey(12)
    theta = model.initial_parameters(3, "float64")
    state = settings.optimizer.initial_state(model.ops, theta)
    order = np.arange(12)
    with np.errstate(invalid="ignore"):
        result = trainer.take_steps(theta, np.zeros_like(theta), state, order, 0, 0, [0.01] * 6, [1.0] * 6)
    assert result.done == len(result.losses) == len(result.norms) == bad
    rows, sums = trainer.take_sums()
    assert rows == 2 * bad and trainer.take_sums() == (0, {})
    other = AsynchronousTrainer(model, settings, reference)
    wanted = model.initial_parameters(3, "float64")
    wanted_state = settings.optimizer.initial_state(model.ops, wanted)
    if bad:
        other.take_steps(wanted, np.zeros_like(theta), wanted_state, order, 0, 0, [0.01] * bad, [1.0] * bad)
        assert sums["loss"] == other.take_sums()[1]["loss"] and np.isfinite(sums["loss"])
    assert theta.tobytes() == wanted.tobytes()
    assert state["accumulator"].tobytes() == wanted_state["accumulator"].tobytes()


def test_the_error_is_that_of_a_run_with_a_look_at_every_step():
    x = trained.grey(40)
    x[17] = np.inf
    errors = []
    for ops in (Distant(), Ops(np)):
        with pytest.raises(NonFiniteError) as error:
            trained.run(ops, x, batch_size=3)
        errors.append(str(error.value))
    assert errors[0] == errors[1]


def test_a_gradient_whose_square_overflows_is_clipped_all_the_same():
    x, likelihood = trained.real(12, dtype="float32"), {"name": "gaussian", "variance": 1e-24}
    settings = {"architecture": {"likelihood": likelihood}, "clip_norm": 1.0, "batch_size": 4, "epochs": 1}
    found, wanted = trained.run(Distant(), x, **settings), trained.run(Ops(np), x, **settings)
    assert found.theta.tobytes() == wanted.theta.tobytes() and found.step == wanted.step
