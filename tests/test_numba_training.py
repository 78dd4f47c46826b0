"""The compiled training program takes the steps of the specification, whatever the model, optimiser and settings."""

import math

import numpy as np
import pytest
from trained import (
    DECAYING,
    assert_close,
    check,
    check_that_accumulators_never_become_denormal,
    grey,
    make,
    on_numba,
    real,
    run,
    specification,
    start,
)

from npvae import backend, fused, load_dataset
from npvae.evaluation import evaluate_elbo
from npvae.kernels.cpu.sizes import NORM_BLOCK
from npvae.mathematics import likelihoods, objectives, optimizers, random
from npvae.mathematics.layers import activations
from npvae.mathematics.likelihoods import Bernoulli, Gaussian
from npvae.mathematics.optimizers import SGD, Adam, RMSprop

# Equal to the specification in float64


@pytest.mark.parametrize(
    "optimizer",
    [
        RMSprop(),
        RMSprop(epsilon_inside=False),
        RMSprop(rho=0.99, epsilon=1e-3, initial_accumulator=1.0),
        RMSprop(rho=0.0, epsilon=1e-2),
        RMSprop(rho=0.5, epsilon_inside=False, initial_accumulator=0.3),
        Adam(),
        Adam(beta1=0.5, beta2=0.9, epsilon=1e-4),
        Adam(beta1=0.0, beta2=0.0, epsilon=1e-2),
        SGD(),
        SGD(momentum=0.9),
    ],
    ids=repr,
)
def test_every_optimiser(optimizer):
    check(grey(23), optimizer=optimizer, epochs=3)


@pytest.mark.parametrize("likelihood", [Bernoulli(), Gaussian(0.5), Gaussian(2.0), Gaussian(0.05), "squared_error"])
def test_every_likelihood_that_the_program_knows(likelihood):
    check(
        grey(23) if isinstance(likelihood, Bernoulli) else real(23),
        architecture={"likelihood": likelihood},
        optimizer="adam",
    )


@pytest.mark.parametrize("name", activations.NAMES)
@pytest.mark.parametrize(
    ("hidden", "decoder_hidden"),
    [((), ()), ((5,), ()), ((), (4,)), ((9, 4), (3,)), ((20, 3, 7), (6, 17, 2)), ((1,), (1, 1))],
)
def test_every_activation_and_depth(name, hidden, decoder_hidden):
    shape = {"activation": name, "hidden": hidden, "decoder_hidden": decoder_hidden}
    check(grey(23), architecture=shape, optimizer="adam")


@pytest.mark.parametrize("latent_dim", range(1, 8))
def test_every_latent_dimension(latent_dim):
    check(grey(23), architecture={"latent_dim": latent_dim}, optimizer=SGD(momentum=0.5))


@pytest.mark.parametrize(
    ("rows", "batch_size"), [(1, 1), (1, 5), (2, 1), (5, 100), (10, 10), (15, 7), (23, 7), (24, 23), (64, 32), (61, 20)]
)
def test_every_kind_of_last_batch(rows, batch_size):
    """One that is full, one row, more rows than there are."""
    state = check(grey(rows), batch_size=batch_size, epochs=3)
    assert state.step == 3 * math.ceil(rows / batch_size)


@pytest.mark.parametrize("features", [1, 2, 7, 8, 16, 33])
def test_every_width_of_the_data(features):
    check(grey(9, features), optimizer="adam")


@pytest.mark.parametrize(
    "settings",
    [
        {"beta": 0.0},
        {"beta": 0.3, "epochs": 3},
        {"beta": 4.0, "kl_warmup": 2.5, "epochs": 4},
        {"schedule": "cosine", "epochs": 3},
        {"schedule": {"name": "exponential", "decay": 0.5}},
        {"schedule": {"name": "steps", "factors": {1: 0.1, 2: 0.3}}, "epochs": 3},
        {"binarize": "dynamic", "epochs": 3},
        {"binarize": "static"},
        {"kl_warmup": 1.5, "schedule": "cosine", "clip_norm": 1.0, "binarize": "dynamic", "epochs": 3},
        {"seed": 2**63 - 1, "binarize": "dynamic"},
    ],
    ids=str,
)
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_every_setting(settings, optimizer):
    check(grey(23), optimizer=optimizer, **settings)


@pytest.mark.parametrize(
    "optimizer", [SGD(), SGD(momentum=0.9), Adam(), RMSprop(), RMSprop(epsilon_inside=False)], ids=repr
)
def test_a_clipped_gradient(optimizer):
    """Every step's gradient is longer than what is allowed; the history has its length before."""
    state = check(grey(23), optimizer=optimizer, clip_norm=0.05)
    assert min(state.history["gradient_norm"]) > 0.05
    unclipped = run(specification(), grey(23), optimizer=optimizer)
    assert not np.allclose(state.theta, unclipped.theta, rtol=1e-6)


@pytest.mark.parametrize("binarize", ["none", "static", "dynamic"])
def test_validation_and_early_stopping(binarize):
    state = check(
        grey(40),
        grey(9, seed=4),
        optimizer=Adam(),
        learning_rate=0.2,
        epochs=30,
        patience=2,
        beta=0.5,
        binarize=binarize,
    )
    assert state.epoch < 30 and "val_elbo" in state.history


def test_a_model_of_several_blocks():
    """Products of several blocks of rows, of columns and of k; more parameters than one block of the norm."""
    x = grey(421, 300)
    shape = {"hidden": (70, 37), "latent_dim": 5, "activation": "tanh"}
    state = check(x, architecture=shape, batch_size=211, optimizer="adam")
    assert state.theta.size > 3 * NORM_BLOCK


def test_a_run_goes_on_from_a_state():
    """Adam's corrections and the noise depend on the steps before."""
    x, both = grey(23), []
    for ops in (specification(), on_numba()):
        state = run(ops, x, optimizer="adam", epochs=2)
        state.stop_reason = None
        both.append(run(ops, x, optimizer="adam", epochs=5, state=state))
    assert both[0].step == 20
    assert_close(both[1], both[0])
    assert_close(run(on_numba(), x, optimizer="adam", epochs=5), both[0])


# What the program leaves to the steps one by one


class Careful(Adam):
    """Half of Adam's step: the program must not take it for Adam."""

    name = "careful"

    def _step(self, ops, theta, gradient, state, learning_rate, step):
        super()._step(ops, theta, gradient, state, 0.5 * learning_rate, step)


class Doubled(Bernoulli):
    """A likelihood that a user wrote."""

    name = "doubled"

    def negative_log_likelihood(self, ops, outputs, x, parameters, gradient=True):
        nll, backward = super().negative_log_likelihood(ops, outputs, x, parameters, gradient)
        return 2.0 * nll, lambda dnll: backward(2.0 * dnll)


def test_likelihoods_with_more_than_one_head_or_parameters_of_their_own():
    unknown = [kind() for name, kind in likelihoods.KNOWN.items() if name.startswith("gaussian_")]
    assert len(unknown) == 3
    for likelihood in (*unknown, Doubled()):
        x, shape = grey(23), {"likelihood": likelihood}
        model, settings = make(on_numba(), x, shape, optimizer="adam")
        assert fused.trainer_for(model.ops, model, settings, x) is None
        assert fused.evaluator_for(model.ops, model, x, 10) is None
        assert_close(
            run(on_numba(), x, architecture=shape, optimizer="adam"),
            run(specification(), x, architecture=shape, optimizer="adam"),
            rtol=1e-9,
        )


def test_optimisers_that_a_user_wrote():
    x = grey(23)
    model, settings = make(on_numba(), x, optimizer=Careful())
    assert fused.trainer_for(model.ops, model, settings, x) is None
    found = run(on_numba(), x, optimizer=Careful())
    assert_close(found, run(specification(), x, optimizer=Careful()), rtol=1e-9)
    assert not np.allclose(found.theta, run(on_numba(), x, optimizer=Adam()).theta, rtol=1e-4)


def test_data_that_are_not_in_one_piece():
    x = grey(23)
    for strided in (np.asfortranarray(x), np.repeat(x, 2, axis=1)[:, ::2]):
        model, settings = make(on_numba(), x)
        assert fused.trainer_for(model.ops, model, settings, strided) is None
        assert_close(run(on_numba(), strided), run(specification(), x), rtol=1e-9)


def test_no_rows_and_other_dtypes_are_left_to_the_operations():
    model, settings = make(on_numba(), grey(5))
    for x in (grey(5)[:0], grey(5).astype(np.float16)):
        assert fused.trainer_for(model.ops, model, settings, x) is None
        assert fused.evaluator_for(model.ops, model, x, 5) is None
    assert fused.evaluator_for(model.ops, model, grey(5), 5) is not None


def test_what_the_program_knows_it_takes():
    for likelihood in (Bernoulli(), Gaussian(), "squared_error"):
        for optimizer in optimizers.KNOWN:
            model, settings = make(on_numba(), grey(5), {"likelihood": likelihood}, optimizer=optimizer)
            assert fused.trainer_for(model.ops, model, settings, grey(5)) is not None


def test_a_gradient_whose_square_is_beyond_the_dtype():
    """In float32 1e20 squared is infinite, yet the gradient is finite: such steps are taken one by one, and count."""
    x = (1e15 * real(23)).astype(np.float32)
    shape = {"likelihood": "squared_error", "activation": "identity", "latent_dim": 1, "hidden": ()}
    states = []
    for ops in (specification(), on_numba()):
        model, _ = make(ops, x, shape)
        state = start(ops, x, shape, optimizer="sgd")
        model.views(state.theta)["encoder/logvar/W"][...] = 0.0
        states.append(run(ops, x, architecture=shape, state=state, optimizer="sgd", learning_rate=1e-33, epochs=2))
    assert min(states[0].history["gradient_norm"]) > 1e20
    assert_close(states[1], states[0], rtol=1e-5)


# The gradient itself


@pytest.mark.parametrize("likelihood", ["bernoulli", "squared_error", "gaussian"])
@pytest.mark.parametrize("name", activations.NAMES)
def test_the_gradient_that_the_program_leaves(likelihood, name):
    """After a step of next to no length: against the specification, and against differences of the program's loss."""
    x = grey(9) if likelihood == "bernoulli" else real(9)
    shape = {"likelihood": likelihood, "activation": name, "hidden": (6, 4), "latent_dim": 3}
    model, settings = make(on_numba(), x, shape, optimizer="sgd", batch_size=9)
    trainer = fused.trainer_for(model.ops, model, settings, x)
    generator = np.random.default_rng(2)
    theta = model.initial_parameters(0, "float64") + 0.1 * generator.standard_normal(model.layout.size)
    order = generator.permutation(9)

    def step(at):
        """Loss and gradient."""
        gradient = np.full_like(at, np.nan)
        stretch = trainer.take_steps(at.copy(), gradient, {}, order, 0, 41, [1e-300], [0.7])
        assert stretch.done == 1
        assert stretch.norms[0] == pytest.approx(np.linalg.norm(gradient), rel=1e-13)
        return stretch.losses[0], gradient

    loss, gradient = step(theta)
    reference, _ = make(specification(), x, shape)
    eps = random.normal(settings.seed, "latent noise", 41, (9, 3))
    wanted_loss, wanted = objectives.value_and_gradient(reference, theta, x[order], eps, beta=0.7)
    assert loss == pytest.approx(float(wanted_loss), rel=1e-13)
    np.testing.assert_allclose(gradient, wanted, rtol=1e-11, atol=1e-13)

    if name == "relu":  # at whose kinks differences are no derivative
        return
    for _ in range(5):
        direction = generator.standard_normal(theta.size)
        difference = (step(theta + 1e-5 * direction)[0] - step(theta - 1e-5 * direction)[0]) / 2e-5
        assert difference == pytest.approx(float(gradient @ direction), rel=1e-6, abs=1e-7)


# float32


@pytest.mark.parametrize(
    ("activation", "settings", "names", "bound"),
    [
        ("tanh", {"optimizer": "rmsprop"}, ("loss", "reconstruction", "kl", "elbo"), 1e-6),
        ("softplus", {"optimizer": "adam", "binarize": "dynamic"}, ("loss", "reconstruction", "kl", "elbo"), 1e-6),
        # Where a rounding moves a unit over the kink of relu, a run takes another way: rarely, and by this much.
        ("relu", {"optimizer": "rmsprop"}, ("loss", "elbo"), 1e-3),
    ],
)
def test_loss_curves_of_the_digits_agree_between_backends(activation, settings, names, bound):
    """Same seed, float32, five epochs: relative differences, epoch by epoch, a fifth of the bound when measured."""
    digits = load_dataset("digits").x_train
    x = (digits.reshape(len(digits), -1) / 255).astype(np.float32)
    shape = {"hidden": (64,), "activation": activation}
    curves = [
        run(ops, x, architecture=shape, epochs=5, batch_size=64, learning_rate=1e-3, **settings).history
        for ops in (backend.get("numpy"), on_numba())
    ]
    for name in names:
        np.testing.assert_allclose(curves[1][name], curves[0][name], rtol=bound, err_msg=name)
    assert curves[0]["loss"][-1] < 0.9 * curves[0]["loss"][0]


@pytest.mark.parametrize("optimizer", DECAYING, ids=repr)
@pytest.mark.parametrize("first", [1e-24, 3e-30])
def test_accumulators_never_become_denormal(optimizer, first):
    check_that_accumulators_never_become_denormal(on_numba(), optimizer, first)


# Evaluation


@pytest.mark.parametrize("likelihood", ["bernoulli", "squared_error", "gaussian"])
@pytest.mark.parametrize(("rows", "batch_size"), [(1, 5), (10, 10), (23, 7), (15, 7), (300, 1000)])
def test_evaluation_is_the_specification_s(likelihood, rows, batch_size):
    x, x_before = grey(rows), grey(rows)
    shape = {"likelihood": likelihood, "hidden": (9, 4), "decoder_hidden": (5,)}
    results = []
    for ops in (specification(), on_numba(1), on_numba(2), on_numba(3)):
        model, _ = make(ops, x, shape)
        theta = model.initial_parameters(4, "float64") * 3
        before = theta.copy()
        results.append(evaluate_elbo(model, theta, x, 6, beta=0.4, batch_size=batch_size))
        np.testing.assert_array_equal(theta, before)
        np.testing.assert_array_equal(x, x_before)
    for name, value in results[0].items():
        np.testing.assert_allclose(results[1][name], value, rtol=1e-11, err_msg=name)
    assert results[1] == results[2] == results[3]


def test_evaluation_of_what_is_not_finite_says_so():
    x = grey(23)
    x[20, 3] = np.nan
    model, _ = make(on_numba(), x)
    result = evaluate_elbo(model, model.initial_parameters(0, "float64"), x, 1)
    assert math.isnan(result["loss"]) and math.isnan(result["elbo"])
