"""The importance-weighted bound: its value, its gradient, and the estimators whose expectation is that gradient."""

import math

import naive
import numpy as np
import pytest

from npvae import VAE
from npvae.backend.base import Ops
from npvae.errors import InputError, InputTypeError, UnknownNameError
from npvae.gradcheck.checker import check_gradient
from npvae.gradcheck.own_gradients import draw_data
from npvae.mathematics import likelihoods
from npvae.mathematics.model import Architecture, Model
from npvae.mathematics.objectives import ImportanceWeighted, get, importance_weighted_loss
from npvae.mathematics.objectives.importance_weighted import ESTIMATORS


def point(architecture, rng, rows=4, samples=3):
    """A theta away from its initial zeros, data and noise, float64."""
    model = Model(architecture, Ops(np))
    theta = model.initial_parameters(1, "float64") + 0.3 * rng.standard_normal(model.layout.size)
    x = draw_data(architecture.likelihood, rng, rows, architecture.n_features)
    return theta, x, rng.standard_normal((samples, rows, architecture.latent_dim))


def gradient_of(model, theta, x, eps, beta=1.0, **named):
    return importance_weighted_loss(model, theta, x, eps, beta, **named)[1]()


# The value


@pytest.mark.parametrize("beta", [1.0, 0.6])
def test_the_loss_is_the_definition_in_python_floats(ops, rng, beta):
    """Full densities with all their constants, one number at a time."""
    architecture = Architecture(4, 2, (3,), activation="tanh")
    theta, x, eps = point(architecture, rng, rows=3, samples=4)
    model = Model(architecture, ops)
    (mu, logvar), _ = model.encode(model.views(theta), x)
    bounds, plain, nlls = [], [], []
    for b in range(3):
        weights, plain_weights = [], []
        for k in range(4):
            z = [mu[b, j] + math.exp(logvar[b, j] / 2) * eps[k, b, j] for j in range(2)]
            (logits,), _ = model.decode(model.views(theta), np.array([z]))
            log_likelihood = sum(
                math.log(p if value else 1 - p) * 1.0
                if value in (0.0, 1.0)
                else value * math.log(p) + (1 - value) * math.log(1 - p)
                for value, p in zip(x[b], (1 / (1 + math.exp(-a)) for a in logits[0]), strict=True)
            )
            log_prior = sum(-(z_j**2) / 2 - math.log(2 * math.pi) / 2 for z_j in z)
            log_posterior = sum(
                -((z[j] - mu[b, j]) ** 2) / (2 * math.exp(logvar[b, j])) - (math.log(2 * math.pi) + logvar[b, j]) / 2
                for j in range(2)
            )
            weights.append(math.exp(log_likelihood + beta * (log_prior - log_posterior)))
            plain_weights.append(math.exp(log_likelihood + log_prior - log_posterior))
            nlls.append(-log_likelihood)
        bounds.append(math.log(math.fsum(weights) / 4))
        plain.append(math.log(math.fsum(plain_weights) / 4))
    terms, _ = importance_weighted_loss(model, theta, x, eps, beta)
    assert float(terms.loss) == pytest.approx(-math.fsum(bounds) / 3, rel=1e-12)
    assert float(terms.bound) == pytest.approx(math.fsum(plain) / 3, rel=1e-12)
    assert float(terms.reconstruction) == pytest.approx(math.fsum(nlls) / 12, rel=1e-12)
    assert float(terms.kl) == pytest.approx(sum(map(naive.kl, mu.ravel(), logvar.ravel())) / 3, rel=1e-12)


def test_a_bound_on_astronomic_weights_does_not_overflow(ops, rng):
    architecture = Architecture(300, 2, (3,), likelihood="squared_error")
    theta, x, eps = point(architecture, rng)
    model = Model(architecture, ops)
    model.views(theta)["decoder/mean/b"][...] = 1e3
    terms, backward = importance_weighted_loss(model, theta, x, eps)
    assert 1e7 < float(terms.loss) < 1e9 and np.isfinite(backward()).all()


def test_more_samples_make_the_bound_tighter(rng):
    architecture = Architecture(5, 2, (4,), activation="tanh")
    model = Model(architecture, Ops(np))
    theta, x, _ = point(architecture, rng, rows=2)
    theta, x = 2.0 * theta, np.repeat(np.round(x), 3000, axis=0)
    means, errors = [], []
    for samples in (1, 4, 32):
        eps = rng.standard_normal((samples, len(x), 2))
        rows = [
            float(importance_weighted_loss(model, theta, part, e, gradient=False)[0].bound)
            for part, e in zip(np.split(x, 60), np.split(eps, 60, axis=1), strict=True)
        ]
        means.append(np.mean(rows))
        errors.append(
            np.std(rows[:30]) / math.sqrt(30) + np.std(rows[30:]) / math.sqrt(30)
        )  # the halves are of other rows
    assert means[1] - means[0] > 3 * errors[0] and means[2] - means[1] > 3 * errors[1], (means, errors)


# The gradient


@pytest.mark.parametrize("beta", [1.0, 0.6])
@pytest.mark.parametrize("hidden", [(), (4,), (5, 3)])
def test_standard_gradient_of_every_tensor_with_a_random_upstream(ops, rng, hidden, beta):
    architecture = Architecture(5, 2, hidden, activation="tanh")
    model = Model(architecture, ops)
    theta, x, eps = point(architecture, rng)
    names = list(model.layout.shapes)

    def function(*tensors):
        terms, backward = importance_weighted_loss(model, np.concatenate([t.ravel() for t in tensors]), x, eps, beta)
        return terms.loss, lambda dloss: tuple(model.views(backward(dloss)).values())

    report = check_gradient(function, list(model.views(theta).values()), names=names)
    assert [row.name for row in report.rows] == names


@pytest.mark.parametrize("likelihood", likelihoods.KNOWN)
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_every_estimator_is_what_automatic_differentiation_makes_of_its_definition(ops, rng, likelihood, estimator):
    """Decoder: sum v_k log w_k. Encoder, "stl": the same with log q's direct part held; "dreg": with factors v_k
    q_k.
    """
    autograd = pytest.importorskip("autograd")
    import autodiff
    from autograd import numpy as anp

    architecture = Architecture(
        6, 3, (5,), decoder_hidden=(4,), activation="softplus", likelihood=likelihoods.KNOWN[likelihood].example(6)
    )
    theta, x, eps = point(architecture, rng)
    beta = 0.7
    model = Model(architecture, ops)
    found = gradient_of(model, theta, x, eps, beta, estimator=estimator)
    standard = autograd.grad(lambda t: autodiff.importance_weighted_loss(architecture, t, x, eps, beta))(theta)
    if estimator == "standard":
        wanted = standard
    else:
        weights = np.exp(autodiff.log_weights(architecture, theta, x, eps, beta))
        v = weights / weights.sum(axis=0)
        factor = v if estimator == "stl" else v - beta * (v - v**2)
        path = autograd.grad(
            lambda t: -anp.sum(factor * autodiff.log_weights(architecture, t, x, eps, beta, score_theta=theta)) / len(x)
        )(theta)
        encoder = np.zeros(theta.size, bool)
        for name, place in model.layout.slices.items():
            encoder[place] = name.startswith("encoder/")
        wanted = np.where(encoder, path, standard)
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12 * np.abs(wanted).max())


def mean_of_gradients(estimator, samples, beta, draws=24, copies=400):
    """The mean gradient over many draws of eps, and its standard errors."""
    generator = np.random.default_rng(7)
    architecture = Architecture(4, 2, (3,), activation="tanh")
    theta, x, _ = point(architecture, generator, rows=1)
    model = Model(architecture, Ops(np))
    rows = np.repeat(np.round(x), copies, axis=0)
    found = np.array(
        [
            gradient_of(model, theta, rows, generator.standard_normal((samples, copies, 2)), beta, estimator=estimator)
            for _ in range(draws)
        ]
    )
    encoder = slice(0, model.layout.slices["decoder/0/W"].start)
    return found[:, encoder].mean(axis=0), found[:, encoder].std(axis=0, ddof=1) / math.sqrt(draws)


def largest_difference(one, other) -> float:
    """In standard errors; a gradient that is always 0 (of a pixel that is 0) differs by nothing."""
    error = np.hypot(one[1], other[1])
    return float(np.max(np.abs(one[0] - other[0]) / np.where(error > 0, error, np.inf)))


@pytest.mark.parametrize(("samples", "beta"), [(1, 1.0), (3, 1.0), (3, 0.6), (8, 1.3)])
def test_dreg_is_unbiased(samples, beta):
    difference = largest_difference(
        mean_of_gradients("dreg", samples, beta), mean_of_gradients("standard", samples, beta)
    )
    assert difference < 4.5


def test_stl_is_unbiased_for_one_sample_and_biased_for_more():
    assert largest_difference(mean_of_gradients("stl", 1, 1.0), mean_of_gradients("standard", 1, 1.0)) < 4.5
    assert largest_difference(mean_of_gradients("stl", 3, 1.0), mean_of_gradients("standard", 3, 1.0)) > 10


def test_on_a_trained_model_dreg_is_far_less_noisy():
    generator = np.random.default_rng(2)
    x = (generator.uniform(size=(200, 8)) < np.where(generator.uniform(size=(200, 1)) < 0.5, 0.1, 0.8)).astype(float)
    vae = VAE(
        latent_dim=2,
        hidden=(8,),
        epochs=60,
        optimizer="adam",
        learning_rate=0.01,
        random_state=0,
        dtype="float64",
        backend="numpy",
    ).fit(x)
    ratios = []
    for samples in (2, 16, 128):
        noise = [
            np.var(
                [
                    gradient_of(
                        vae.model_, vae.theta_, x[:20], generator.standard_normal((samples, 20, 2)), estimator=estimator
                    )[: vae.model_.layout.slices["decoder/0/W"].start]
                    for _ in range(200)
                ],
                axis=0,
            ).sum()
            for estimator in ("dreg", "standard")
        ]
        ratios.append(noise[0] / noise[1])
    assert max(ratios) < 0.3, ratios


def test_for_one_sample_dreg_is_stl(ops, rng):
    architecture = Architecture(5, 2, (4,))
    theta, x, eps = point(architecture, rng, samples=1)
    model = Model(architecture, ops)
    np.testing.assert_allclose(
        gradient_of(model, theta, x, eps, estimator="dreg"),
        gradient_of(model, theta, x, eps, estimator="stl"),
        rtol=1e-12,
    )


@pytest.mark.parametrize("estimator", ["stl", "dreg"])
@pytest.mark.parametrize("samples", [1, 4])
def test_without_score_the_gradient_vanishes_where_q_is_the_posterior(estimator, samples, rng):
    """A linear model whose decoder is orthogonal: the posterior has a diagonal covariance, and the encoder can be
    exact.
    """
    variance, scale = 0.5, 1.3
    architecture = Architecture(4, 2, (), likelihood={"name": "gaussian", "variance": variance})
    model = Model(architecture, Ops(np))
    theta = np.zeros(model.layout.size)
    views = model.views(theta)
    W = scale * np.linalg.qr(rng.standard_normal((4, 2)))[0].T  # (Z, I), W W^T = scale^2
    views["decoder/mean/W"][...] = W
    precision = 1.0 + scale**2 / variance
    views["encoder/mean/W"][...] = W.T / variance / precision
    views["encoder/logvar/b"][...] = -math.log(precision)
    x, eps = rng.standard_normal((5, 4)), rng.standard_normal((samples, 5, 2))
    gradient = model.views(gradient_of(model, theta, x, eps, estimator=estimator))
    standard = model.views(gradient_of(model, theta, x, eps))
    for name in ("encoder/mean/W", "encoder/mean/b", "encoder/logvar/W", "encoder/logvar/b"):
        assert np.abs(gradient[name]).max() < 1e-14 < 1e-3 < np.abs(standard[name]).max()
    # And every weight is p(x): the bound is the log-likelihood, for any number of samples.
    covariance = W.T @ W + variance * np.eye(4)
    exact = -0.5 * (np.sum(x @ np.linalg.inv(covariance) * x, axis=1) + np.linalg.slogdet(2 * math.pi * covariance)[1])
    assert float(importance_weighted_loss(model, theta, x, eps)[0].bound) == pytest.approx(exact.mean(), rel=1e-13)


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian_one_variance", "gaussian_decoder"])
@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("at_once", [1, 3, 7, 12, 34])
def test_pieces_of_any_size_give_the_same(ops, rng, likelihood, estimator, at_once):
    architecture = Architecture(5, 2, (4,), likelihood=likelihood)
    theta, x, eps = point(architecture, rng, rows=5, samples=7)
    model = Model(architecture, ops)
    terms, backward = importance_weighted_loss(model, theta, x, eps, 0.8, estimator=estimator)
    pieces, pieces_backward = importance_weighted_loss(model, theta, x, eps, 0.8, estimator=estimator, at_once=at_once)
    for name in ("loss", "reconstruction", "kl", "bound", "nll_rows", "kl_rows", "mu"):
        np.testing.assert_allclose(getattr(pieces, name), getattr(terms, name), rtol=1e-12)
    wanted = backward(1.9)
    np.testing.assert_allclose(pieces_backward(1.9), wanted, rtol=1e-10, atol=1e-13 * np.abs(wanted).max())
    without, none = importance_weighted_loss(model, theta, x, eps, 0.8, gradient=False, at_once=at_once)
    assert none is None and float(without.loss) == pytest.approx(float(terms.loss), rel=1e-12)


@pytest.mark.parametrize(
    ("at_once", "decoded"),
    [
        (8192, [30]),
        (30, [30]),
        (29, [25, 5]),
        (10, [10] * 3),
        (5, [5] * 6),
        (3, [3, 2, 3, 2] * 6),  # for the weights, and for the gradient
    ],
)
def test_the_encoder_sees_a_row_once_and_no_more_samples_are_decoded_than_allowed(rng, monkeypatch, at_once, decoded):
    architecture = Architecture(5, 2, (4,))
    theta, x, eps = point(architecture, rng, rows=6, samples=5)
    ops, seen = Ops(np), {5: [], 2: []}
    forward = ops.dense_forward
    monkeypatch.setattr(
        ops, "dense_forward", lambda a, W, b, f: (seen.get(W.shape[0], []).append(len(a)), forward(a, W, b, f))[1]
    )
    importance_weighted_loss(Model(architecture, ops), theta, x, eps, at_once=at_once)[1]()
    assert seen[5] == [6] and seen[2] == decoded and max(seen[2]) <= at_once


def test_float32_stays_float32_and_is_near_float64(ops, rng):
    architecture = Architecture(6, 2, (5,))
    arrays = point(architecture, rng, samples=5)
    model = Model(architecture, ops)
    single = [a.astype(np.float32) for a in arrays]
    for estimator in ESTIMATORS:
        terms, backward = importance_weighted_loss(model, *single, estimator=estimator)
        gradient = backward()
        assert gradient.dtype == np.float32 and terms.nll_rows.dtype == np.float32
        wanted = gradient_of(model, *(a.astype(np.float64) for a in single), estimator=estimator)
        np.testing.assert_allclose(gradient, wanted, rtol=2e-4, atol=2e-6 * np.abs(wanted).max() + 1e-6)


def test_strided_data_and_an_out_vector(ops, rng):
    architecture = Architecture(5, 2, (4,))
    theta, x, eps = point(architecture, rng)
    model = Model(architecture, ops)
    wanted = gradient_of(model, theta, x, eps)
    wide = np.repeat(x, 2, axis=1)[:, ::2]
    out = np.full(theta.size, np.nan)
    assert importance_weighted_loss(model, theta, wide, eps)[1](out=out) is out
    np.testing.assert_allclose(out, wanted, rtol=1e-12)


# As an objective


def test_its_history_has_its_bound_and_training_raises_it(rng):
    x = (rng.uniform(size=(60, 6)) < 0.4).astype(float)
    vae = VAE(
        hidden=(6,),
        epochs=12,
        batch_size=20,
        learning_rate=0.02,
        optimizer="adam",
        random_state=0,
        objective={"name": "importance_weighted", "samples": 6, "estimator": "dreg"},
        backend="numpy",
    ).fit(x, X_valid=x)
    history = vae.history_
    assert history["bound"][-1] > history["bound"][0] + 0.1
    np.testing.assert_allclose(history["bound"], [-loss for loss in history["loss"]], rtol=1e-6)
    # A bound with more samples is above the ELBO on the same data, clearly so on average.
    assert np.mean(np.subtract(history["val_bound"], history["val_elbo"])) > 0
    assert vae.get_params()["objective"]["samples"] == 6


def test_early_stopping_watches_its_bound(rng):
    x = (rng.uniform(size=(60, 6)) < 0.4).astype(float)
    vae = VAE(
        hidden=(6,),
        epochs=30,
        batch_size=20,
        learning_rate=0.3,
        optimizer="adam",
        random_state=0,
        patience=2,
        objective={"name": "importance_weighted", "samples": 3},
        backend="numpy",
    ).fit(x[:40], X_valid=x[40:])
    assert vae.best_epoch_ == int(np.argmax(vae.history_["val_bound"])) + 1


def test_the_same_seed_gives_the_same_run_on_every_backend(ops, rng):
    from npvae.training import TrainingSettings, train

    x = rng.uniform(size=(30, 5))
    settings = TrainingSettings(seed=4, epochs=2, batch_size=7, objective={"name": "importance_weighted", "samples": 3})
    states = [train(Model(Architecture(5, 2, (4,)), each), settings, x) for each in (ops, Ops(np))]
    np.testing.assert_allclose(states[0].theta, states[1].theta, rtol=1e-9)
    np.testing.assert_allclose(states[0].history["bound"], states[1].history["bound"], rtol=1e-9)


def test_the_guard_looks_through_a_batch_with_several_samples(ops, rng):
    from npvae.training.guard import first_non_finite

    architecture = Architecture(5, 2, (4,))
    model, objective = Model(architecture, ops), ImportanceWeighted(3)
    theta, x, eps = point(architecture, rng)
    assert first_non_finite(model, objective, theta, x, eps, 1.0) == ("", "")
    with np.errstate(all="ignore"):
        model.views(theta)["encoder/logvar/b"][...] = 1600.0
        assert first_non_finite(model, objective, theta, x, eps, 1.0)[0] == "the latent sample z"


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize(
    "objective",
    [{"name": "elbo", "free_bits": 0.4}, {"name": "importance_weighted", "samples": 3, "estimator": "dreg"}],
)
def test_no_fast_path_forgets_the_objective(rng, backend, objective):
    """Training and validation are the specification's: by the backend's program they would be the plain ELBO's."""
    from npvae import backend as backends
    from npvae.training import TrainingSettings, train

    if backends.reason_against(backend) is not None:
        pytest.skip(backends.reason_against(backend))
    x, x_valid = rng.uniform(size=(30, 5)), rng.uniform(size=(9, 5))
    settings = TrainingSettings(seed=4, epochs=2, batch_size=7, objective=objective)
    found, wanted = (
        train(Model(Architecture(5, 2, (4,)), each), settings, x, x_valid) for each in (backends.get(backend), Ops(np))
    )
    np.testing.assert_allclose(found.theta, wanted.theta, rtol=1e-9)
    for name in ("loss", "val_loss", "val_elbo"):
        np.testing.assert_allclose(found.history[name], wanted.history[name], rtol=1e-9)
    plain = train(
        Model(Architecture(5, 2, (4,)), Ops(np)), TrainingSettings(seed=4, epochs=2, batch_size=7), x, x_valid
    )
    assert abs(plain.history["val_loss"][-1] - found.history["val_loss"][-1]) > 1e-3


@pytest.mark.parametrize("rows", [3, 40])
def test_validation_takes_no_more_samples_at_a_time_than_training_s(rng, monkeypatch, rows):
    from npvae.training import loop

    monkeypatch.setattr(loop, "VALIDATION_SAMPLES", 12)
    seen, original = [], ImportanceWeighted.loss
    monkeypatch.setattr(
        ImportanceWeighted,
        "loss",
        lambda self, model, theta, x, *rest, **named: (
            seen.append(len(x)),
            original(self, model, theta, x, *rest, **named),
        )[1],
    )
    VAE(
        hidden=(3,),
        epochs=1,
        batch_size=30,
        random_state=0,
        objective={"name": "importance_weighted", "samples": 4},
        backend="numpy",
    ).fit(rng.uniform(size=(30, 5)), X_valid=rng.uniform(size=(rows, 5)))
    assert seen[0] == 30 and max(seen[1:]) == 3 and sum(seen[1:]) == rows


def test_a_resumed_run_has_the_same_bits(rng, tmp_path):
    x = rng.uniform(size=(30, 5))
    objective = {"name": "importance_weighted", "samples": 3}
    arguments = {"hidden": (4,), "objective": objective, "random_state": 0, "backend": "numpy"}
    VAE(epochs=2, **arguments).fit(x, checkpoint=tmp_path / "c.npz")
    resumed = VAE(epochs=4, **arguments).fit(x, checkpoint=tmp_path / "c.npz", resume=True)
    np.testing.assert_array_equal(resumed.theta_, VAE(epochs=4, **arguments).fit(x).theta_)
    other = VAE(epochs=4, **{**arguments, "objective": {"name": "importance_weighted", "samples": 4}})
    with pytest.raises(InputError, match="its settings has objective = .*'samples': 3.*this run has .*'samples': 4"):
        other.fit(x, checkpoint=tmp_path / "c.npz", resume=True)


@pytest.mark.parametrize(
    ("choice", "error", "words"),
    [
        ({"name": "importance_weighted", "samples": 0}, InputError, "samples must be at least 1, got 0"),
        ({"name": "importance_weighted", "samples": 2.5}, InputTypeError, "samples must be a whole number"),
        ({"name": "importance_weighted", "estimator": "best"}, UnknownNameError, "'standard', 'stl', 'dreg'"),
        ({"name": "importance_weighted", "at_once": 0}, InputError, "at_once must be at least 1"),
        ("iwae", UnknownNameError, "known: 'elbo', 'importance_weighted'"),
        (3, InputTypeError, "objective must be a name, a mapping or an object of Objective, got int"),
    ],
)
def test_bad_choices_are_refused(choice, error, words):
    with pytest.raises(error, match=words):
        get(choice)


def test_arguments_that_do_not_fit_are_refused(rng):
    architecture = Architecture(5, 2, (4,))
    theta, x, eps = point(architecture, rng)
    model = Model(architecture, Ops(np))
    for bad, words in (
        ((theta, x, eps[0]), r"eps must have shape \(samples, 4, 2\), got \(4, 2\)"),
        ((theta, x, eps[:, :3]), r"eps must have shape \(samples, 4, 2\), got \(3, 3, 2\)"),
        ((theta, x, eps[:0]), r"eps must have shape"),
        ((theta, x[:0], eps[:, :0]), "the number of rows of x must be at least 1"),
        ((theta, x[:, :3], eps), r"x must have shape \(rows, 5\)"),
    ):
        with pytest.raises(InputError, match=words):
            importance_weighted_loss(model, *bad)
    with pytest.raises(InputTypeError, match="eps has dtype float32"):
        importance_weighted_loss(model, theta, x, eps.astype(np.float32))


def test_objectives_compare_by_their_arguments():
    assert ImportanceWeighted(3) == ImportanceWeighted(3) != ImportanceWeighted(4)
    assert get("elbo") != ImportanceWeighted(1) and hash(ImportanceWeighted(3)) == hash(ImportanceWeighted(3))
    assert repr(ImportanceWeighted(3)) == "ImportanceWeighted(samples=3, estimator='standard', at_once=8192)"
