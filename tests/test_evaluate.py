"""Log-likelihood by importance sampling, the aggregate posterior, nearest neighbours: against exact answers."""

import math

import numpy as np
import pytest

from npvae import VAE, evaluate, random
from npvae.backend.base import Ops
from npvae.errors import InputError, InputTypeError
from npvae.model import Architecture, Model


class LinearGaussian:
    """A linear model with noise of a fixed variance, whose marginal is a normal distribution.

        x = z W + b + sqrt(v) noise        so x ~ N(b, W^T W + v I)
    """

    def __init__(self, rng, ops, features=5, latent=2, variance=0.4, off=0.5) -> None:
        self.model = Model(
            Architecture(features, latent, (), likelihood={"name": "gaussian", "variance": variance}), ops
        )
        self.theta = np.zeros(self.model.layout.size)
        views = self.model.views(self.theta)
        self.W, self.b = rng.standard_normal((latent, features)), rng.standard_normal(features)
        views["decoder/mean/W"][...], views["decoder/mean/b"][...] = self.W, self.b
        # The exact posterior has the covariance (I + W W^T / v)^-1; the encoder has its diagonal, times something.
        covariance = np.linalg.inv(np.eye(latent) + self.W @ self.W.T / variance)
        views["encoder/mean/W"][...] = self.W.T @ covariance / variance
        views["encoder/mean/b"][...] = -self.b @ self.W.T @ covariance / variance
        views["encoder/logvar/b"][...] = np.log(np.diag(covariance)) + off
        self.covariance = self.W.T @ self.W + variance * np.eye(features)

    def sample(self, rng, rows):
        return rng.multivariate_normal(self.b, self.covariance, rows)

    def log_likelihood(self, x):
        d = x - self.b
        quadratic = np.einsum("ni,ij,nj->n", d, np.linalg.inv(self.covariance), d)
        return -0.5 * (quadratic + np.linalg.slogdet(2 * math.pi * self.covariance)[1])


# Log-likelihood


def test_the_known_answer_of_a_linear_gaussian_model(ops, rng):
    """The ELBO is below the exact value, and the importance estimate goes to it as K grows, as its errors say."""
    case = LinearGaussian(rng, ops)
    x = case.sample(rng, 12 if ops.name == "cupy" else 40)  # the stand-in for a GPU is slow
    exact = case.log_likelihood(x)
    elbo = evaluate.elbo_rows(case.model, case.theta, x, 0, draws=50)
    assert np.mean(exact - elbo) > 0.05
    gaps = []
    for samples in (8, 200, 2000 if ops.name == "cupy" else 5000):
        found = evaluate.log_likelihood(case.model, case.theta, x, 0, samples)
        gaps.append(abs(found.mean - exact.mean()))
        assert gaps[-1] < 4 * found.sampling_error + np.mean(found.errors**2)
        z = (found.rows - exact) / found.errors
        assert 0.5 < np.sqrt(np.mean(z**2)) < 2.0  # the errors of the rows are the errors of the rows
    assert gaps[-1] < 0.02 and found.sampling_error < 0.02


def test_an_exact_posterior_needs_one_sample(ops, rng):
    case = LinearGaussian(rng, ops, latent=1, off=0.0)  # one dimension: the diagonal is all there is
    x = case.sample(rng, 7)
    found = evaluate.log_likelihood(case.model, case.theta, x, 0, 3)
    np.testing.assert_allclose(found.rows, case.log_likelihood(x), rtol=1e-12)
    np.testing.assert_allclose(found.effective_sample_size, 3.0, rtol=1e-9)
    assert found.sampling_error < 1e-7


def test_training_reaches_the_maximum_of_probabilistic_pca():
    """Tipping & Bishop (1999): the maximum likelihood of a linear model with noise of one variance, in closed form.

    A VAE reaches it if its posterior can be exact: it can with a diagonal covariance, since W is free to turn.
    """
    rng = np.random.default_rng(3)
    W = rng.standard_normal((2, 6)) * np.array([[2.0], [1.0]])
    x = rng.standard_normal((400, 2)) @ W + 0.5 * rng.standard_normal((400, 6))
    x = (x - x.mean(axis=0)) / x.std()
    values = np.linalg.eigvalsh(x.T @ x / len(x))[::-1]
    noise = values[2:].mean()
    maximum = -0.5 * (6 * math.log(2 * math.pi) + np.log(values[:2]).sum() + 4 * math.log(noise) + 6)
    vae = VAE(
        latent_dim=2, hidden=(), likelihood="gaussian_one_variance", epochs=4000, batch_size=400, optimizer="adam",
        learning_rate=0.02, schedule="cosine", dtype="float64", random_state=0, backend="numpy",
    ).fit(x)
    found = vae.log_likelihood(x, samples=100)
    # Full batches, but one noise draw a step: what is left is the noise of the gradient.
    assert maximum - 0.03 < found.mean < maximum + 2 * found.sampling_error
    assert maximum - 0.06 < vae.elbo(x, draws=50) < maximum


@pytest.mark.parametrize("at_once", [4, 7, 64, 1000])
def test_pieces_change_nothing(ops, rng, at_once):
    case = LinearGaussian(rng, ops)
    x = case.sample(rng, 5)
    whole = evaluate.log_likelihood(case.model, case.theta, x, 3, 101, at_once=8192)
    pieces = evaluate.log_likelihood(case.model, case.theta, x, 3, 101, at_once=at_once)
    for name in ("rows", "effective_sample_size", "errors"):
        np.testing.assert_allclose(getattr(pieces, name), getattr(whole, name), rtol=1e-9)


def test_the_estimate_in_python_floats(rng):
    case = LinearGaussian(rng, Ops(np))
    x = case.sample(rng, 3)
    samples, seed = 9, 5
    found = evaluate.log_likelihood(case.model, case.theta, x, seed, samples)
    (mu, logvar), _ = case.model.encode(case.model.views(case.theta), x)
    for row in range(3):
        eps = random.normal(seed, "likelihood noise", row, (samples, 2))
        z = mu[row] + np.exp(logvar[row] / 2) * eps
        means = z @ case.W + case.b
        logs = [
            -sum((x[row, i] - means[k, i]) ** 2 / 0.8 + math.log(2 * math.pi * 0.4) / 2 for i in range(5))
            - sum(z[k, j] ** 2 / 2 for j in range(2)) + sum((eps[k, j] ** 2 + logvar[row, j]) / 2 for j in range(2))
            for k in range(samples)
        ]
        weights = [math.exp(log) for log in logs]
        assert found.rows[row] == pytest.approx(math.log(math.fsum(weights) / samples), rel=1e-12)
        ess = math.fsum(weights) ** 2 / math.fsum(w * w for w in weights)
        assert found.effective_sample_size[row] == pytest.approx(ess, rel=1e-9)
        mean = math.fsum(weights) / samples
        deviation = math.sqrt(math.fsum((w - mean) ** 2 for w in weights) / (samples - 1))
        assert found.errors[row] == pytest.approx(deviation / math.sqrt(samples) / mean, rel=1e-9)


def test_a_row_s_score_does_not_depend_on_the_rows_after_it(rng):
    case = LinearGaussian(rng, Ops(np))
    x = case.sample(rng, 30)
    full = evaluate.log_likelihood(case.model, case.theta, x, 0, 50, at_once=200)
    np.testing.assert_allclose(
        evaluate.log_likelihood(case.model, case.theta, x[:4], 0, 50, at_once=200).rows, full.rows[:4], rtol=1e-12
    )


def test_weights_of_any_size_are_summed(rng):
    """Likelihoods far below the smallest float, and the first samples the worst."""
    case = LinearGaussian(rng, Ops(np))
    x = 1e3 * case.sample(rng, 4)
    found = evaluate.log_likelihood(case.model, case.theta, x, 0, 400, at_once=4)
    assert np.isfinite(found.rows).all() and found.rows.max() < -1e4
    np.testing.assert_allclose(found.rows, evaluate.log_likelihood(case.model, case.theta, x, 0, 400).rows, rtol=1e-9)


def test_one_sample_is_the_elbo_s_own_draw_and_has_no_error(rng):
    case = LinearGaussian(rng, Ops(np))
    found = evaluate.log_likelihood(case.model, case.theta, case.sample(rng, 3), 0, 1)
    np.testing.assert_allclose(found.effective_sample_size, 1.0)
    assert np.isnan(found.errors).all()


def test_progress_is_told(rng):
    case, told = LinearGaussian(rng, Ops(np)), []
    evaluate.log_likelihood(case.model, case.theta, case.sample(rng, 10), 0, 40, at_once=100, progress=told.append)
    assert told == [2, 4, 6, 8, 10]


@pytest.mark.parametrize(("change", "error", "words"), [
    ({"samples": 0}, InputError, "samples must be at least 1"),
    ({"samples": 1.5}, InputTypeError, "samples must be a whole number"),
    ({"at_once": 3}, InputError, "at_once must be at least 4"),
    ({"x": np.zeros((0, 5))}, InputError, "the number of rows of x must be at least 1"),
])
def test_bad_numbers_are_refused(rng, change, error, words):
    case = LinearGaussian(rng, Ops(np))
    arguments = {"x": np.zeros((2, 5)), "seed": 0, "samples": 4, **change}
    with pytest.raises(error, match=words):
        evaluate.log_likelihood(case.model, case.theta, **arguments)


def test_weights_that_are_not_finite_are_refused(rng):
    case = LinearGaussian(rng, Ops(np))
    with np.errstate(all="ignore"), pytest.raises(InputError, match="a log-weight is not finite"):
        evaluate.log_likelihood(case.model, case.theta, np.full((2, 5), 1e200), 0, 4)


# Noise by row


def test_a_row_s_noise_is_its_stream_cut_anywhere(dtype):
    whole = random.normal_of_rows(9, "likelihood noise", range(3, 6), 0, 11, 3, dtype)
    assert whole.shape == (11, 3, 3) and whole.dtype == dtype
    for i, row in enumerate(range(3, 6)):
        np.testing.assert_array_equal(whole[:, i], random.normal(9, "likelihood noise", row, (11, 3), dtype))
    np.testing.assert_array_equal(random.normal_of_rows(9, "likelihood noise", range(4, 6), 4, 5, 3, dtype), whole[4:9, 1:])
    with pytest.raises(InputError, match="first must be a multiple of 4, got 2"):
        random.normal_of_rows(9, "likelihood noise", range(1), 2, 4, 3)


# The aggregate posterior


def test_posteriors_that_are_all_the_prior_have_no_divergence():
    found = evaluate.aggregate_posterior(np.zeros((50, 3)), np.zeros((50, 3)), 0, 200)
    assert abs(found.kl) < 1e-12 and found.mean_kl == 0.0 and abs(found.mutual_information) < 1e-12


def test_one_row_is_the_kl_of_two_gaussians(rng):
    mu, logvar = rng.standard_normal((1, 3)), rng.standard_normal((1, 3))
    found = evaluate.aggregate_posterior(mu, logvar, 0, 100)
    assert found.kl == pytest.approx(found.mean_kl, rel=1e-12) and found.standard_error < 1e-12


def test_posteriors_far_apart_share_nothing(rng):
    """Then I(n; z) = log N."""
    mu = 100.0 * np.arange(8)[:, None]
    found = evaluate.aggregate_posterior(mu, np.zeros((8, 1)), 0, 8000)
    assert found.mutual_information == pytest.approx(math.log(8), abs=1e-6)


def test_a_mixture_of_two_by_quadrature():
    mu, logvar = np.array([[-1.0], [2.0]]), np.array([[-0.5], [0.3]])
    z = np.linspace(-15, 15, 200_001)
    density = np.mean([np.exp(-((z - m) ** 2) / (2 * np.exp(v))) / np.sqrt(2 * math.pi * np.exp(v))
                       for m, v in zip(mu[:, 0], logvar[:, 0], strict=True)], axis=0)
    prior = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    with np.errstate(all="ignore"):
        exact = np.sum(np.where(density > 0, density * np.log(density / prior), 0.0)) * (z[1] - z[0])
    found = evaluate.aggregate_posterior(mu, logvar, 1, 200_000)
    assert abs(found.kl - exact) < 4 * found.standard_error and found.standard_error < 0.01


def test_fewer_samples_than_rows_are_of_all_rows():
    """Two groups far apart, one after the other: of the first alone z would say less by log 2."""
    mu = np.where(np.arange(4000) < 2000, -50.0, 50.0)[:, None]
    found = evaluate.aggregate_posterior(mu, np.zeros((4000, 1)), 0, 400)
    assert found.mutual_information == pytest.approx(math.log(2), abs=4 * found.standard_error + 1e-9)
    mu = np.where(np.arange(4000) < 3000, 0.0, 50.0)[:, None]  # I = -3/4 log(3/4) - 1/4 log(1/4)
    found = evaluate.aggregate_posterior(mu, np.zeros((4000, 1)), 0, 400)
    exact = -0.75 * math.log(0.75) - 0.25 * math.log(0.25)
    assert abs(found.mutual_information - exact) < 4 * found.standard_error and found.standard_error < 0.05


def test_fewer_samples_than_rows_and_bad_numbers(rng):
    mu, logvar = rng.standard_normal((50, 2)), rng.standard_normal((50, 2))
    assert math.isfinite(evaluate.aggregate_posterior(mu, logvar, 0, 20).kl)
    with pytest.raises(InputError, match="samples must be at least 2"):
        evaluate.aggregate_posterior(mu, logvar, 0, 1)
    with pytest.raises(InputError, match="logvar has shape"):
        evaluate.aggregate_posterior(mu, logvar[:3], 0)


# Nearest neighbours


@pytest.mark.parametrize("neighbours", [1, 4, 15])
def test_neighbours_vote_as_in_scikit_learn(rng, neighbours):
    sklearn = pytest.importorskip("sklearn.neighbors")
    train, test = rng.standard_normal((300, 3)), rng.standard_normal((70, 3))
    labels, wanted = rng.integers(3, 7, 300), rng.integers(3, 7, 70)
    other = sklearn.KNeighborsClassifier(neighbours).fit(train, labels).score(test, wanted)
    assert evaluate.neighbour_accuracy(train, labels, test, wanted, neighbours) == pytest.approx(other)


def test_labels_may_be_words(rng):
    z = np.array([[0.0], [0.1], [5.0], [5.1]])
    assert evaluate.neighbour_accuracy(z, ["a", "a", "b", "b"], z, ["a", "a", "b", "c"], 2) == 0.75


def test_neighbours_that_are_not_there_are_refused():
    z = np.zeros((3, 2))
    with pytest.raises(InputError, match="4 neighbours need as many training rows"):
        evaluate.neighbour_accuracy(z, [0, 1, 2], z, [0, 1, 2], 4)
    with pytest.raises(InputError, match="test_z has 3 rows, but test_labels has 2"):
        evaluate.neighbour_accuracy(z, [0, 1, 2], z, [0, 1], 2)
