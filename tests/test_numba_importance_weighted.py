"""The compiled training program on the importance-weighted bound takes the steps of the specification."""

import math

import numpy as np
import pytest
from trained import (
    assert_close,
    assert_same_bits,
    check,
    grey,
    make,
    on_numba,
    only_the_program,
    real,
    run,
    specification,
    start,
)

from npvae import backend, fused, load_dataset
from npvae.fused import thread_choice
from npvae.gradcheck.checker import check_gradient
from npvae.mathematics import random
from npvae.mathematics.likelihoods import Bernoulli, Gaussian
from npvae.mathematics.objectives import ImportanceWeighted, importance_weighted_loss
from npvae.mathematics.objectives.importance_weighted import ESTIMATORS


@pytest.mark.parametrize("beta", [1.0, 0.4])
@pytest.mark.parametrize("samples", [1, 2, 5, 19])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_every_estimator_and_number_of_samples(estimator, samples, beta):
    state = check(grey(23), objective=ImportanceWeighted(samples, estimator), beta=beta, optimizer="adam", epochs=3)
    assert "bound" in state.history


@pytest.mark.parametrize("likelihood", [Bernoulli(), Gaussian(0.5), Gaussian(2.0), "squared_error"])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_every_likelihood_that_the_program_knows(likelihood, estimator):
    x = grey(23) if isinstance(likelihood, Bernoulli) else real(23)
    check(x, objective=ImportanceWeighted(3, estimator), architecture={"likelihood": likelihood}, optimizer="adam")


@pytest.mark.parametrize(
    "shape",
    [
        {"hidden": ()},
        {"hidden": (9, 4), "decoder_hidden": (3,), "activation": "tanh"},
        {"latent_dim": 1},
        {"latent_dim": 17, "activation": "softplus"},
        {"hidden": (5,), "decoder_hidden": (), "activation": "identity"},
    ],
    ids=str,
)
def test_shapes(shape):
    check(grey(23), objective=ImportanceWeighted(4), architecture=shape, optimizer="adam")


@pytest.mark.parametrize(("rows", "batch_size"), [(1, 1), (1, 5), (5, 100), (15, 7), (24, 23)])
def test_every_kind_of_last_batch(rows, batch_size):
    check(grey(rows), objective=ImportanceWeighted(3, "dreg"), batch_size=batch_size, epochs=3)


@pytest.mark.parametrize(
    "settings",
    [{"binarize": "dynamic"}, {"kl_warmup": 1.5, "beta": 2.0, "epochs": 3}, {"clip_norm": 0.05, "schedule": "cosine"}],
    ids=str,
)
def test_settings_and_validation(settings):
    check(grey(23), grey(9, seed=4), objective=ImportanceWeighted(3), optimizer="adam", **settings)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_any_number_of_threads_gives_the_same_bits(estimator, monkeypatch):
    monkeypatch.setattr(thread_choice, "TRIAL_SECONDS", math.inf)  # no trials of fewer threads than were asked for
    objective, x = ImportanceWeighted(5, estimator), grey(61, 40, dtype="float32")
    shape = {"hidden": (33, 20), "latent_dim": 7}
    one, *others = (
        run(on_numba(threads), x, architecture=shape, objective=objective, optimizer="adam", batch_size=20)
        for threads in (1, 2, 3)
    )
    for other in others:
        assert_same_bits(other, one)


@pytest.mark.parametrize("beta", [1.0, 0.6])
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_the_gradient_that_the_program_leaves(likelihood, beta):
    """Of the standard estimator, against differences of the program's own loss; the loss against the
    specification's.
    """
    x = grey(6) if likelihood == "bernoulli" else real(6)
    shape = {"likelihood": likelihood, "activation": "tanh", "hidden": (6, 4), "latent_dim": 3}
    settings = {"optimizer": "sgd", "batch_size": 6, "objective": ImportanceWeighted(4)}
    model, made = make(on_numba(), x, shape, **settings)
    trainer = fused.trainer_for(model.ops, model, made, x)
    generator = np.random.default_rng(2)
    theta = model.initial_parameters(0, "float64") + 0.1 * generator.standard_normal(model.layout.size)
    order = generator.permutation(6)

    def function(at):
        gradient = np.full_like(at, np.nan)
        stretch = trainer.take_steps(at.copy(), gradient, {}, order, 0, 41, [1e-300], [beta])
        assert stretch.norms[0] == pytest.approx(np.linalg.norm(gradient), rel=1e-13)
        return stretch.losses[0], (gradient,)

    assert check_gradient(function, [theta], names=["theta"])
    eps = random.normal(made.seed, "latent noise", 41, (4, 6, 3))
    terms, backward = importance_weighted_loss(make(specification(), x, shape)[0], theta, x[order], eps, beta)
    loss, (gradient,) = function(theta)
    assert loss == pytest.approx(float(terms.loss), rel=1e-13)
    np.testing.assert_allclose(gradient, backward(), rtol=1e-11, atol=1e-13)
    trainer.take_sums()
    function(theta)
    rows, sums = trainer.take_sums()
    assert rows == 6 and sums["bound"] == pytest.approx(6 * float(terms.bound), rel=1e-12)
    assert sums["reconstruction"] == pytest.approx(6 * float(terms.reconstruction), rel=1e-12)


def test_samples_whose_weights_are_nothing():
    """One sample takes all the weight, as far as the dtype can tell; nothing overflows. Log-weights of millions are
    rounded to 1e-10."""
    x, settings = 100.0 * real(23, 300), {"architecture": {"likelihood": "squared_error"}, "learning_rate": 1e-9}
    for estimator in ESTIMATORS:
        found, wanted = (
            run(ops, x, objective=ImportanceWeighted(5, estimator), **settings) for ops in (on_numba(), specification())
        )
        assert min(wanted.history["loss"]) > 1e5
        assert_close(found, wanted, rtol=1e-8)


def test_log_weights_that_are_thousands_apart():
    """exp of a difference the wrong way round would overflow."""
    x, states = 1e4 * real(23, 300), []
    settings = {
        "architecture": {"likelihood": "squared_error"},
        "learning_rate": 1e-12,
        "objective": ImportanceWeighted(7),
    }
    for ops in (specification(), on_numba()):
        state = start(ops, x, **settings)
        views = make(ops, x, **settings)[0].views(state.theta)
        for head in ("mean", "logvar"):
            views[f"encoder/{head}/W"][...] = 0.0
        states.append(state)
    run(specification(), x, state=states[0], **settings)
    with only_the_program():
        run(on_numba(), x, state=states[1], **settings)
    np.testing.assert_allclose(states[1].history["loss"], states[0].history["loss"], rtol=1e-9)


def test_a_refused_step_changes_nothing():
    x = grey(20)
    settings = {"objective": ImportanceWeighted(3), "optimizer": "adam", "batch_size": 10}
    model, made = make(on_numba(2), x, **settings)
    trainer = fused.trainer_for(model.ops, model, made, x)
    state = start(model.ops, x, **settings)
    before = state.theta.copy()
    stretch = trainer.take_steps(
        state.theta, np.empty_like(before), state.optimizer_state, np.arange(20), 0, 0, [0.1], [np.nan]
    )
    assert stretch.done == 0 and np.array_equal(state.theta, before)
    rows, sums = trainer.take_sums()
    assert rows == 0 and sums["loss"] == sums["bound"] == 0.0


def test_a_batch_that_is_to_be_decoded_in_pieces_is_left_to_the_operations():
    x = grey(23)
    for at_once, known in ((21, True), (20, False)):
        objective = ImportanceWeighted(3, at_once=at_once)
        model, made = make(on_numba(), x, objective=objective)  # of 7 rows a batch
        assert (fused.trainer_for(model.ops, model, made, x) is not None) == known
        assert_close(run(on_numba(), x, objective=objective), run(specification(), x, objective=objective), rtol=1e-9)


class Heavier(ImportanceWeighted):
    """An objective that a user wrote: the program must not take it for its base class."""

    name = "heavier"

    def loss(self, model, theta, x, eps, beta=1.0, gradient=True):
        return super().loss(model, theta, x, eps, 2.0 * beta, gradient)


def test_a_batch_of_fewer_rows_than_were_asked_for():
    """What counts is how many rows are decoded together: all that there are, if a batch were more."""
    for rows, known in ((7, True), (8, False)):
        model, settings = make(on_numba(), grey(rows), objective=ImportanceWeighted(3, at_once=21), batch_size=100)
        assert (fused.trainer_for(model.ops, model, settings, grey(rows)) is not None) == known


def test_objectives_that_a_user_wrote_are_left_to_the_operations():
    x = grey(23)
    model, made = make(on_numba(), x, objective=Heavier(3))
    assert fused.trainer_for(model.ops, model, made, x) is None


def test_loss_curves_of_the_digits_agree_between_backends():
    """Same seed, float32, three epochs: relative differences, at most a fifth of the bound when measured."""
    digits = load_dataset("digits").x_train
    x = (digits.reshape(len(digits), -1) / 255).astype(np.float32)
    shape = {"hidden": (64,), "activation": "tanh", "latent_dim": 5}
    for estimator in ESTIMATORS:
        curves = [
            run(
                ops,
                x,
                architecture=shape,
                epochs=3,
                batch_size=64,
                learning_rate=1e-3,
                optimizer="adam",
                objective=ImportanceWeighted(5, estimator),
                binarize="dynamic",
            ).history
            for ops in (backend.get("numpy"), on_numba())
        ]
        for name, rtol in (("loss", 1e-6), ("bound", 1e-6), ("reconstruction", 2e-6), ("kl", 2e-5)):
            np.testing.assert_allclose(curves[1][name], curves[0][name], rtol=rtol, err_msg=name)
