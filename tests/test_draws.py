"""What is drawn: moments of 10^5 draws, and independence along every axis along which there are draws."""

import math

import numpy as np
import pytest
from small import grey_rows, small_vae

from npvae import VAE, TableImputer
from npvae.backend.base import Ops
from npvae.imputation.chains import Chain
from npvae.mathematics import likelihoods, random
from npvae.mathematics.model import Architecture, Model
from npvae.mathematics.objectives import ImportanceWeighted
from npvae.training import TrainingSettings, minibatches

DRAWS = 100_000
#: Standard errors that a mean may be off: once in two million cases.
ERRORS = 5.0


def assert_independent(draws, what: str) -> None:
    """Columns of draws (N, C) have correlations, of their values and of the sizes of those, as small as chance
    leaves them.
    """
    draws = np.asarray(draws, np.float64)
    for values in (draws, np.abs(draws - draws.mean(axis=0))):
        correlations = np.corrcoef(values, rowvar=False)
        np.fill_diagonal(correlations, 0.0)
        assert np.abs(correlations).max() < ERRORS / math.sqrt(len(draws)), what


def draw_many(likelihood, outputs, parameters=None, dtype=np.float64):
    """DRAWS draws of one row."""
    heads = tuple(np.broadcast_to(np.asarray(o, dtype), (DRAWS, len(o))) for o in outputs)
    return likelihood.draw(heads, parameters or {}, random.Stream(5, "data sample", 0))


def check_moments(drawn, mean, variance, fourth=3.0) -> None:
    """Mean and variance of draws (N, C); fourth: an upper bound of the kurtosis."""
    drawn = np.asarray(drawn, np.float64)
    mean, variance = np.asarray(mean), np.asarray(variance)
    assert (np.abs(drawn.mean(axis=0) - mean) <= ERRORS * np.sqrt(variance / len(drawn)) + 1e-12).all()
    error = variance * math.sqrt((fourth - 1.0) / len(drawn))
    assert (np.abs(drawn.var(axis=0) - variance) <= ERRORS * error + 1e-12).all()


def test_moments_of_every_likelihood_s_draws():
    logits, means = np.array([-1.5, 0.0, 2.0]), np.array([1.0, -2.0, 0.0])
    p = 1 / (1 + np.exp(-logits))
    drawn = draw_many(likelihoods.get("bernoulli"), [logits])
    check_moments(drawn, p, p * (1 - p), fourth=10.0)
    assert_independent(drawn, "bernoulli")
    for name, own, variance in (
        ({"name": "gaussian", "variance": 0.04}, {}, 0.04),
        ("squared_error", {}, 0.5),
        ({"name": "gaussian_one_variance", "floor": 1e-6}, {"raw_logvar": np.array([-3.0])}, math.exp(-3.0)),
        (
            {"name": "gaussian_per_feature", "floor": 1e-6},
            {"raw_logvar": np.array([-3.0, 0.0, 1.0])},
            np.exp([-3.0, 0.0, 1.0]),
        ),
    ):
        drawn = draw_many(likelihoods.get(name), [means], own)
        check_moments(drawn, means, np.full(3, variance) + (0.0 if not own else 1e-6))
        assert_independent(drawn, str(name))
    drawn = draw_many(likelihoods.get({"name": "gaussian_decoder", "floor": 1e-6}), [means, np.array([-3.0, 0.0, 1.0])])
    check_moments(drawn, means, np.exp([-3.0, 0.0, 1.0]) + 1e-6)
    rates = np.array([0.1, 3.0, 5000.0])
    drawn = draw_many(likelihoods.get("poisson"), [np.log(rates)])
    check_moments(drawn, rates, rates, fourth=13.1)
    assert_independent(drawn, "poisson")
    drawn = draw_many(likelihoods.get("continuous_bernoulli"), [logits])
    grid = (np.arange(20_000) + 0.5) / 20_000
    density = np.exp(np.outer(grid, logits))
    density /= density.mean(axis=0)
    mean = (grid[:, None] * density).mean(axis=0)
    check_moments(drawn, mean, (grid[:, None] ** 2 * density).mean(axis=0) - mean**2)
    assert_independent(drawn, "continuous_bernoulli")


def test_moments_of_student_s_t():
    likelihood = likelihoods.get("student_t")
    outputs = [np.array([1.0, -2.0]), np.array([0.3, -0.5]), np.array([8.0, 20.0])]
    location, scale, freedom = likelihood.distribution(np, tuple(np.asarray(o)[None] for o in outputs))
    drawn = draw_many(likelihood, outputs)
    variance = (scale**2 * freedom / (freedom - 2.0))[0]
    assert (freedom > 5.0).all()
    check_moments(drawn, location[0], variance, fourth=3.0 + float(np.max(6.0 / (freedom - 4.0))))
    assert_independent(drawn, "student_t")


def test_shares_and_independence_of_categorical_blocks():
    likelihood = likelihoods.get({"name": "categorical", "sizes": [3, 3, 2]})
    logits = np.log([0.2, 0.3, 0.5, 0.2, 0.3, 0.5, 0.6, 0.4])
    drawn = draw_many(likelihood, [logits])
    assert (drawn[:, :3].sum(axis=1) == 1).all() and (drawn[:, 6:].sum(axis=1) == 1).all()
    p = np.exp(logits)
    check_moments(drawn, p, p * (1 - p), fourth=6.0)
    assert_independent(drawn[:, [0, 2, 3, 5, 6]][:, ::2], "blocks")
    assert_independent(np.stack([drawn[:, 2], drawn[:, 5], drawn[:, 6]], axis=1), "blocks")


def test_columns_of_several_likelihoods_are_drawn_apart():
    likelihood = likelihoods.get(
        {
            "name": "table",
            "columns": [
                ("gaussian_decoder", 2),
                ("poisson", 1),
                ("gaussian_decoder", 1),
                ("bernoulli", 2),
                ("categorical", 2),
                ("student_t", 1),
                ("bernoulli", 1),
            ],
        }
    )
    # The heads of columns that are computed together are one head, over all of them.
    outputs = [
        np.zeros(3),
        np.zeros(3),
        np.log([3.0]),
        np.zeros(3),
        np.zeros(2),
        np.zeros(1),
        np.zeros(1),
        np.full(1, 20.0),
    ]
    assert [len(output) for output in outputs] == list(likelihood.heads(10).values())
    drawn = draw_many(likelihood, outputs)
    assert_independent(np.delete(drawn, 7, axis=1), "columns")  # the second of a one-hot pair is what the first leaves


@pytest.fixture(scope="module")
def spread_vae():
    """A VAE whose posterior and p(x|z) are known: q(z|x) = N(x W, diag(0.01, 0.25)), p(x|z) = N(z, 0.09)."""
    vae = VAE(
        2,
        (),
        likelihood={"name": "gaussian", "variance": 0.09},
        epochs=1,
        random_state=0,
        dtype="float64",
        backend="numpy",
    )
    vae.fit(np.random.default_rng(0).standard_normal((20, 2)))
    views = vae.model_.views(vae.theta_)
    vae.theta_[...] = 0.0
    views["encoder/mean/W"][...] = views["decoder/mean/W"][...] = np.eye(2)
    views["encoder/logvar/b"][...] = np.log([0.01, 0.25])
    return vae


def test_reconstructions_by_sampling_have_the_posterior_s_deviation(spread_vae):
    x = np.broadcast_to([1.0, -2.0], (DRAWS, 2))
    drawn = spread_vae.reconstruct(x, sample=True)
    check_moments(drawn, [1.0, -2.0], [0.01, 0.25])
    assert_independent(drawn, "latent dimensions")
    again = spread_vae.reconstruct(x, sample=True, random_state=7)
    assert_independent(np.stack([drawn[:, 0], again[:, 0]], axis=1), "seeds")


def test_samples_have_the_prior_s_and_the_likelihood_s_variance(spread_vae):
    means, draws = spread_vae.sample(DRAWS), spread_vae.sample(DRAWS, mean=False)
    check_moments(means, [0.0, 0.0], [1.0, 1.0])
    check_moments(draws, [0.0, 0.0], [1.09, 1.09])
    check_moments(draws - means, [0.0, 0.0], [0.09, 0.09])  # around the same z
    assert_independent(np.concatenate([means, draws - means], axis=1), "z and x given z")
    assert_independent(means.reshape(-1, 4), "rows")
    assert_independent((draws - means).reshape(-1, 4), "rows of draws")


def test_noisy_features_have_the_deviation_that_they_are_given():
    batch = np.concatenate(
        [np.full((DRAWS, 2), 3.0), np.tile([0.1, 2.0], (DRAWS, 1)), np.arange(DRAWS)[:, None]], axis=1
    )
    drawn = minibatches.draw_features(Ops(np), batch, 2, 4, "feature noise", 9)
    check_moments(drawn[:, :2], [3.0, 3.0], [0.01, 4.0])
    np.testing.assert_array_equal(drawn[:, 2], np.arange(DRAWS))
    later = minibatches.draw_features(Ops(np), batch, 2, 4, "feature noise", 10)
    validation = minibatches.draw_features(Ops(np), batch, 2, 4, "validation feature noise", 9)
    assert_independent(np.concatenate([drawn[:, :2], later[:, :2], validation[:, :2]], axis=1), "steps and purposes")


def test_imputations_are_drawn_apart_along_rows_columns_and_draws():
    """Where the encoder answers with the prior all weights are equal, and every draw takes a sample at random."""
    vae = VAE(
        2,
        (),
        likelihood={"name": "gaussian", "variance": 0.09},
        missing=True,
        epochs=1,
        random_state=0,
        dtype="float64",
        backend="numpy",
    ).fit(np.random.default_rng(0).standard_normal((20, 2)))
    vae.theta_[...] = 0.0
    vae.model_.views(vae.theta_)["decoder/mean/W"][...] = np.eye(2)
    found = vae.impute(np.full((2000, 2), np.nan), 4, method="importance", samples=400)
    np.testing.assert_allclose(found.diagnostics["effective_sample_size"], 400.0)
    assert_independent(np.concatenate(list(found.draws), axis=1), "draws and columns")
    assert_independent(found.draws[0].reshape(-1, 8), "rows")
    check_moments(found.draws.reshape(-1, 2), [0.0, 0.0], [1.09, 1.09])


def test_chains_and_proposals_are_independent(spread_vae):
    x = np.full((3000, 2), np.nan)
    start = np.zeros((3000, 2))
    views = spread_vae.model_.views(spread_vae.theta_)
    states = []
    for number in range(3):
        chain = Chain(spread_vae.model_, views, x, start, random.Stream(1, "imputation chain", number))
        chain.step(0)
        states.append(np.concatenate([chain.z, chain.x], axis=1)[:, [0, 2, 1, 3]])
        np.testing.assert_array_equal(chain.expected, chain.z)
        states[-1][:, 1::2] -= states[-1][:, ::2]  # x given z
    assert_independent(np.concatenate(states, axis=1), "chains, z and x given z")
    stream = random.Stream(1, "imputation chain", 9)
    assert_independent(np.concatenate(list(stream.normal((5, 3000, 2))), axis=1), "proposals")


def test_training_noise_is_independent_along_rows_steps_and_samples():
    model = Model(Architecture(3, 2, ()), Ops(np))
    settings = TrainingSettings(seed=3, objective=ImportanceWeighted(3))
    x, rows = np.zeros((4000, 3)), np.arange(4000)
    noise = [minibatches.draw(Ops(np), x, rows, settings, model.architecture, step)[1] for step in (0, 1)]
    assert noise[0].shape == (3, 4000, 2)
    assert_independent(np.concatenate([*noise[0], *noise[1]], axis=1), "samples and steps")
    assert_independent(noise[0][0].reshape(-1, 8), "rows")


def test_binarisation_is_drawn_anew_by_step_and_apart_for_validation():
    x = np.full((5000, 3), 0.5, np.float32)
    parts = [
        minibatches.binarize(Ops(np), x, 2, purpose, step)
        for purpose, step in (
            ("binarize", 0),
            ("binarize", 1),
            ("static binarize", 0),
            ("static binarize", 1),
            ("evaluation binarize", 0),
        )
    ]
    assert_independent(np.concatenate(parts, axis=1), "steps and purposes")


def test_members_of_a_table_draw_apart():
    x = np.random.default_rng(3).standard_normal((300, 2))
    x[:250, 1] = np.nan
    imputer = TableImputer(
        members=2, epochs=2, every=1, hidden=(4,), imputation_samples=100, random_state=0, backend="numpy"
    ).fit(x)
    draws = np.stack([draw[:250, 1] for draw in imputer.impute(x, draws=4).draws], axis=1)
    assert_independent(draws, "draws by members in turn")


def test_the_check_of_independence_sees_what_is_the_same():
    z = random.normal(0, "latent noise", 0, (5000, 2))
    with pytest.raises(AssertionError, match="the same"):
        assert_independent(np.concatenate([z, z[:, :1]], axis=1), "the same")
    with pytest.raises(AssertionError, match="opposite in sign at random"):
        assert_independent(np.stack([z[:, 0], z[:, 0] * np.sign(z[:, 1])], axis=1), "opposite in sign at random")


def test_rows_beyond_a_piece_are_drawn_apart():
    vae = small_vae(likelihood="gaussian_decoder").fit(grey_rows())
    drawn = vae.sample(2400, mean=False) - vae.sample(2400)
    assert_independent(np.concatenate([drawn[:1200, :2], drawn[1200:, :2]], axis=1), "pieces")
