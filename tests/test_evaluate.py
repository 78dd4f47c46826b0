"""Log-likelihood by importance sampling, the aggregate posterior, nearest neighbours: against exact answers."""

import decimal
import json
import math
import sys
from types import SimpleNamespace

import gpu_backends
import numpy as np
import pytest
from small import grey_rows, small_vae

from npvae import VAE, evaluation
from npvae.backend.base import Ops
from npvae.errors import InputError, InputTypeError
from npvae.evaluation import report
from npvae.evaluation.log_likelihood import Weights
from npvae.mathematics import random
from npvae.mathematics.model import Architecture, Model
from npvae.mathematics.objectives import ImportanceWeighted


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
    elbo = evaluation.elbo_rows(case.model, case.theta, x, 0, draws=50)
    assert np.mean(exact - elbo) > 0.05
    gaps = []
    for samples in (8, 200, 2000 if ops.name == "cupy" else 5000):
        found = evaluation.log_likelihood(case.model, case.theta, x, 0, samples)
        gaps.append(abs(found.mean - exact.mean()))
        assert gaps[-1] < 4 * found.sampling_error + np.mean(found.errors**2)
        z = (found.rows - exact) / found.errors
        assert 0.5 < np.sqrt(np.mean(z**2)) < 2.0  # the errors of the rows are the errors of the rows
    assert gaps[-1] < 0.02 and found.sampling_error < 0.02


def test_an_exact_posterior_needs_one_sample(ops, rng):
    case = LinearGaussian(rng, ops, latent=1, off=0.0)  # one dimension: the diagonal is all there is
    x = case.sample(rng, 7)
    found = evaluation.log_likelihood(case.model, case.theta, x, 0, 3)
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
        latent_dim=2,
        hidden=(),
        likelihood="gaussian_one_variance",
        epochs=4000,
        batch_size=400,
        optimizer="adam",
        learning_rate=0.02,
        schedule="cosine",
        dtype="float64",
        random_state=0,
        backend="numpy",
    ).fit(x)
    found = vae.log_likelihood(x, samples=100)
    # Full batches, but one noise draw a step: what is left is the noise of the gradient.
    assert maximum - 0.03 < found.mean < maximum + 2 * found.sampling_error
    assert maximum - 0.06 < vae.elbo(x, draws=50) < maximum


@pytest.mark.parametrize("at_once", [4, 7, 64, 1000])
def test_pieces_change_nothing(ops, rng, at_once):
    case = LinearGaussian(rng, ops)
    x = case.sample(rng, 5)
    whole = evaluation.log_likelihood(case.model, case.theta, x, 3, 101, at_once=8192)
    pieces = evaluation.log_likelihood(case.model, case.theta, x, 3, 101, at_once=at_once)
    for name in ("rows", "effective_sample_size", "errors"):
        np.testing.assert_allclose(getattr(pieces, name), getattr(whole, name), rtol=1e-9)


def test_the_estimate_in_python_floats(rng):
    case = LinearGaussian(rng, Ops(np))
    x = case.sample(rng, 3)
    samples, seed = 9, 5
    found = evaluation.log_likelihood(case.model, case.theta, x, seed, samples)
    (mu, logvar), _ = case.model.encode(case.model.views(case.theta), x)
    for row in range(3):
        eps = random.normal(seed, "likelihood noise", row, (samples, 2))
        z = mu[row] + np.exp(logvar[row] / 2) * eps
        means = z @ case.W + case.b
        logs = [
            -sum((x[row, i] - means[k, i]) ** 2 / 0.8 + math.log(2 * math.pi * 0.4) / 2 for i in range(5))
            - sum(z[k, j] ** 2 / 2 for j in range(2))
            + sum((eps[k, j] ** 2 + logvar[row, j]) / 2 for j in range(2))
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
    full = evaluation.log_likelihood(case.model, case.theta, x, 0, 50, at_once=200)
    np.testing.assert_allclose(
        evaluation.log_likelihood(case.model, case.theta, x[:4], 0, 50, at_once=200).rows, full.rows[:4], rtol=1e-12
    )


def test_weights_of_any_size_are_summed(rng):
    """Likelihoods far below the smallest float, and the first samples the worst."""
    case = LinearGaussian(rng, Ops(np))
    x = 1e3 * case.sample(rng, 4)
    found = evaluation.log_likelihood(case.model, case.theta, x, 0, 400, at_once=4)
    assert np.isfinite(found.rows).all() and found.rows.max() < -1e4
    np.testing.assert_allclose(found.rows, evaluation.log_likelihood(case.model, case.theta, x, 0, 400).rows, rtol=1e-9)


def test_one_sample_is_the_elbo_s_own_draw_and_has_no_error(rng):
    case = LinearGaussian(rng, Ops(np))
    found = evaluation.log_likelihood(case.model, case.theta, case.sample(rng, 3), 0, 1)
    np.testing.assert_allclose(found.effective_sample_size, 1.0)
    assert np.isnan(found.errors).all()


def test_progress_is_told(rng):
    case, told = LinearGaussian(rng, Ops(np)), []
    evaluation.log_likelihood(case.model, case.theta, case.sample(rng, 10), 0, 40, at_once=100, progress=told.append)
    assert told == [2, 4, 6, 8, 10]


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"samples": 0}, InputError, "samples must be at least 1"),
        ({"samples": 1.5}, InputTypeError, "samples must be a whole number"),
        ({"at_once": 3}, InputError, "at_once must be at least 4"),
        ({"x": np.zeros((0, 5))}, InputError, "the number of rows of x must be at least 1"),
    ],
)
def test_bad_numbers_are_refused(rng, change, error, words):
    case = LinearGaussian(rng, Ops(np))
    arguments = {"x": np.zeros((2, 5)), "seed": 0, "samples": 4, **change}
    with pytest.raises(error, match=words):
        evaluation.log_likelihood(case.model, case.theta, **arguments)


def test_weights_that_are_not_finite_are_refused(rng):
    case = LinearGaussian(rng, Ops(np))
    for x in (np.full((2, 5), 1e200), np.array([[0.0] * 5, [1e200] * 5])):  # all of them, and one beside good ones
        with np.errstate(all="ignore"), pytest.raises(InputError, match="a log-weight is not finite"):
            evaluation.log_likelihood(case.model, case.theta, x, 0, 4)


def test_the_error_of_weights_that_are_almost_equal(rng):
    """A variance of weights of 1e-18 beside a mean of 1: the difference of two sums would be rounding."""
    logs = 1e-9 * rng.standard_normal((40, 3))
    pieces = Weights(3)
    for part in (logs[:8], logs[8:12], logs[12:]):
        pieces.add(part)
    value, effective, error = pieces.result()
    for row in range(3):
        deviations = [math.expm1(log) for log in logs[:, row].tolist()]
        mean = math.fsum(deviations) / 40
        variance = math.fsum((d - mean) ** 2 for d in deviations) / 39
        assert error[row] == pytest.approx(math.sqrt(variance / 40), rel=1e-6)
        assert value[row] == pytest.approx(mean, abs=1e-15) and 40 * (1 - 1e-15) <= effective[row] <= 40
    decided = Weights(1)  # by one sample of a hundred
    decided.add(np.array([[0.0]] + 99 * [[-700.0]]))
    assert decided.result()[1][0] == pytest.approx(1.0, rel=1e-12) and decided.result()[2][0] == pytest.approx(1.0)


def test_an_effective_sample_size_is_at_least_one_whatever_the_rounding():
    for count in range(2, 200):
        weights = Weights(1)
        weights.add(np.array([[0.0]] + [[-800.0]] * (count - 1)))
        assert 1.0 <= weights.result()[1][0] < 1.0 + 1e-12


def test_averages_of_batches_of_any_size_are_those_of_all_rows(rng):
    """Sums in float64, also of float32: at 2^24 the next float32 is 2 more."""
    averages, sizes = evaluation.ElboAverages(np), (3, 1, 5)
    mu = rng.standard_normal((9, 2)).astype(np.float32) * np.array([1.0, 1e-3], np.float32)
    kl = rng.random((9, 2)).astype(np.float32)
    kl[::2, 0] = 2.0**24
    loss, reconstruction, bound = (
        np.float32([2.0**24, 1.0, 0.5]),
        np.float32([1.0, 2.0**24, 3.0]),
        np.float32([5.0, 6.0, 2.0**24]),
    )
    counts = [(2, 1, np.float32(2.0**24)), (0, 0, np.float32(0.0)), (3, 1, np.float32(1.0))]
    for i, stop in enumerate(np.cumsum(sizes)):
        part = slice(stop - sizes[i], stop)
        averages.add(
            SimpleNamespace(
                nll_rows=np.zeros(sizes[i]),
                mu=mu[part],
                kl_rows=kl[part],
                loss=loss[i],
                reconstruction=reconstruction[i],
                bound=bound[i],
                labelled=counts[i],
            )
        )
    rows, sums = averages.sums()
    assert rows == 9 and set(sums) == {
        "loss",
        "reconstruction",
        "kl_per_dimension",
        "mu",
        "mu_squared",
        "bound",
        "labelled",
        "wrong",
        "cross_entropy",
    }
    found = averages.result(np.asarray)
    found["first"], found["second"] = found.pop("kl_per_dimension")
    mean = [
        math.fsum(float(v) * n for v, n in zip(values, sizes, strict=True)) / 9
        for values in (loss, reconstruction, bound)
    ]
    columns = [math.fsum(map(float, kl[:, j])) / 9 for j in range(2)]
    assert found == pytest.approx(
        {
            "loss": mean[0],
            "elbo": -(mean[1] + sum(columns)),
            "bound": mean[2],
            "error": 2 / 5,
            "cross_entropy": (2.0**24 + 1.0) / 5,
            "reconstruction": mean[1],
            "kl": sum(columns),
            "active_units": 1,
            "first": columns[0],
            "second": columns[1],
        },
        rel=1e-15,
    )
    assert type(found.pop("active_units")) is int and {type(value) for value in found.values()} == {
        float
    }  # no numbers of NumPy's


def test_a_dimension_is_active_above_a_hundredth_and_no_label_gives_no_error():
    averages = evaluation.ElboAverages(np)
    averages.add_sums(
        4,
        loss=4.0,
        reconstruction=2.0,
        kl_per_dimension=np.array([4.0, 4.0, 0.0]),
        mu=np.zeros(3),
        mu_squared=4 * np.array([0.01, 0.0101, 0.0]),
        labelled=0.0,
        wrong=0.0,
        cross_entropy=0.0,
    )
    found = averages.result(np.asarray)
    assert found["active_units"] == 1 and found["elbo"] == -2.5 and "bound" not in found
    assert math.isnan(found["error"]) and math.isnan(found["cross_entropy"])


def test_the_elbo_of_every_row_by_its_definition(ops, rng):
    """Every draw of every batch has noise of its own; the KL term is summed over the dimensions in float64."""
    case = LinearGaussian(rng, ops)
    x = case.sample(rng, 7)
    theta = ops.asarray(case.theta)
    found = evaluation.elbo_rows(case.model, theta, ops.asarray(x), 4, draws=3, batch_size=3)
    (mu, logvar), _ = case.model.encode(case.model.views(theta), ops.asarray(x))
    mu, logvar = ops.to_numpy(mu), ops.to_numpy(logvar)
    wanted = np.zeros(7)
    for draw in range(3):
        eps = np.concatenate(
            [random.normal(4, "evaluation noise", 3 * draw + i, (n, 2)) for i, n in enumerate((3, 3, 1))]
        )
        residual = x - ((mu + np.exp(logvar / 2) * eps) @ case.W + case.b)
        wanted -= ((residual**2 / 0.8) + 0.5 * math.log(2 * math.pi * 0.4)).sum(axis=1) / 3
    wanted -= 0.5 * (mu**2 + np.exp(logvar) - 1.0 - logvar).sum(axis=1)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, wanted, rtol=1e-10)
    parts = evaluation.evaluate_elbo(case.model, theta, ops.asarray(x), 4, batch_size=3)
    one = evaluation.elbo_rows(case.model, theta, ops.asarray(x), 4, batch_size=3)
    assert parts["elbo"] == pytest.approx(one.mean(), rel=1e-10) and parts["loss"] == pytest.approx(
        -one.mean(), rel=1e-10
    )
    tempered = evaluation.evaluate_elbo(case.model, theta, ops.asarray(x), 4, beta=0.25, batch_size=3)
    assert tempered["loss"] == pytest.approx(parts["reconstruction"] + 0.25 * parts["kl"], rel=1e-10)


def test_on_the_device_s_own_arrays(rng):
    """Which no function of NumPy takes, and whose functions take none of NumPy's."""
    if gpu_backends.NO_GPU is not None and gpu_backends.NO_STANDIN is not None:
        pytest.skip(gpu_backends.NO_STANDIN)
    case, ops = LinearGaussian(rng, Ops(np)), gpu_backends.on_gpu_or_standin()
    x, model = case.sample(rng, 5), Model(case.model.architecture, ops)
    here, there = (case.model, case.theta, x, 3), (model, ops.asarray(case.theta), ops.asarray(x), 3)
    for more in ({}, {"beta": 0.5, "objective": ImportanceWeighted(3)}):
        found, wanted = (evaluation.evaluate_elbo(*arguments, batch_size=2, **more) for arguments in (there, here))
        assert found.pop("kl_per_dimension") == pytest.approx(wanted.pop("kl_per_dimension"), rel=1e-9)
        assert found == pytest.approx(wanted, rel=1e-9)
    np.testing.assert_allclose(
        evaluation.elbo_rows(*there, batch_size=2), evaluation.elbo_rows(*here, batch_size=2), rtol=1e-9
    )
    np.testing.assert_allclose(
        evaluation.log_likelihood(*there, 20).rows, evaluation.log_likelihood(*here, 20).rows, rtol=1e-9
    )
    for rows in (x, there[2]):
        for found, wanted in zip(
            evaluation.posterior(model, there[1], rows), evaluation.posterior(*here[:3]), strict=True
        ):
            assert type(found) is np.ndarray
            np.testing.assert_allclose(found, wanted, rtol=1e-9)


def test_posteriors_of_many_rows(ops, rng):
    """NumPy's rows or the backend's, more of them than are encoded together."""
    case = LinearGaussian(rng, ops)
    x, theta = case.sample(rng, 1003), ops.asarray(case.theta)
    for rows in (x, ops.asarray(x)):
        mu, logvar = evaluation.posterior(case.model, theta, rows)
        assert type(mu) is type(logvar) is np.ndarray
        views = Model(case.model.architecture, Ops(np)).views(case.theta)
        np.testing.assert_allclose(mu, x @ views["encoder/mean/W"] + views["encoder/mean/b"], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(logvar, np.tile(views["encoder/logvar/b"], (1003, 1)), rtol=1e-12)


def test_what_an_evaluation_does_if_it_is_told_nothing(rng, monkeypatch):
    """Samples, pieces, purposes of the noise and the trade-off of the two terms: the defaults given are the defaults
    left out.
    """
    case = LinearGaussian(rng, Ops(np), latent=1)
    x = case.sample(rng, 1002)  # of more than a batch
    given = case.model, case.theta, x, 3
    asked = {"batch_size": 1000, "purpose": "evaluation noise"}
    assert evaluation.evaluate_elbo(*given) == evaluation.evaluate_elbo(*given, beta=1.0, **asked)
    assert evaluation.evaluate_elbo(*given)["elbo"] != evaluation.evaluate_elbo(*given, batch_size=1001)["elbo"]
    np.testing.assert_array_equal(evaluation.elbo_rows(*given), evaluation.elbo_rows(*given, draws=1, **asked))
    assert not np.array_equal(evaluation.elbo_rows(*given), evaluation.elbo_rows(*given, batch_size=1001))
    few = case.model, case.theta, x[:1], 3
    found = evaluation.log_likelihood(*few)
    assert found.samples == 5000 and found.rows == evaluation.log_likelihood(*few, samples=5000, at_once=1024).rows
    mu, logvar = rng.standard_normal((2, 5, 2))
    assert evaluation.aggregate_posterior(mu, logvar, 1) == evaluation.aggregate_posterior(mu, logvar, 1, 10_000)
    train, labels = rng.standard_normal((60, 2)), rng.integers(0, 4, 60)
    of = [evaluation.neighbour_accuracy(train, labels, train, labels, k) for k in (14, 15, 16)]
    assert evaluation.neighbour_accuracy(train, labels, train, labels) == of[1] and of[1] not in (of[0], of[2])


def test_errors_of_the_mean(rng):
    """From the rows' spread, of which one row has none, and from the samples."""
    rows, errors = rng.standard_normal((2, 5))
    found = evaluation.LogLikelihood(rows, np.ones(5), errors, 9)
    assert found.standard_error == pytest.approx(math.sqrt(sum((rows - rows.mean()) ** 2) / 4 / 5))
    assert found.sampling_error == pytest.approx(math.sqrt(sum(errors**2)) / 5)
    one = evaluation.LogLikelihood(rows[:1], np.ones(1), errors[:1], 9)
    assert {
        type(value) for each in (found, one) for value in (each.mean, each.standard_error, each.sampling_error)
    } == {float}
    assert (
        math.isnan(one.standard_error) and one.sampling_error == pytest.approx(abs(errors[0])) and one.mean == rows[0]
    )


# Noise by row


def test_a_row_s_noise_is_its_stream_cut_anywhere(dtype):
    whole = random.normal_of_rows(9, "likelihood noise", range(3, 6), 0, 11, 3, dtype)
    assert whole.shape == (11, 3, 3) and whole.dtype == dtype
    for i, row in enumerate(range(3, 6)):
        np.testing.assert_array_equal(whole[:, i], random.normal(9, "likelihood noise", row, (11, 3), dtype))
    np.testing.assert_array_equal(
        random.normal_of_rows(9, "likelihood noise", range(4, 6), 4, 5, 3, dtype), whole[4:9, 1:]
    )
    with pytest.raises(InputError, match="first must be a multiple of 4, got 2"):
        random.normal_of_rows(9, "likelihood noise", range(1), 2, 4, 3)


# The aggregate posterior


def test_posteriors_that_are_all_the_prior_have_no_divergence():
    found = evaluation.aggregate_posterior(np.zeros((50, 3)), np.zeros((50, 3)), 0, 200)
    assert abs(found.kl) < 1e-12 and found.mean_kl == 0.0 and abs(found.mutual_information) < 1e-12


def test_one_row_is_the_kl_of_two_gaussians(rng):
    mu, logvar = rng.standard_normal((1, 3)), rng.standard_normal((1, 3))
    found = evaluation.aggregate_posterior(mu, logvar, 0, 100)
    assert {type(value) for value in (found.estimate, found.standard_error, found.mean_kl, found.kl)} == {
        float
    } and found.rows == 1
    assert found.kl == pytest.approx(found.mean_kl, rel=1e-12) and found.standard_error < 1e-12


def test_posteriors_far_apart_share_nothing(rng):
    """Then I(n; z) = log N."""
    mu = 100.0 * np.arange(8)[:, None]
    found = evaluation.aggregate_posterior(mu, np.zeros((8, 1)), 0, 8000)
    assert found.mutual_information == pytest.approx(math.log(8), abs=1e-6)


def test_a_mixture_of_two_by_quadrature():
    mu, logvar = np.array([[-1.0], [2.0]]), np.array([[-0.5], [0.3]])
    z = np.linspace(-15, 15, 200_001)
    density = np.mean(
        [
            np.exp(-((z - m) ** 2) / (2 * np.exp(v))) / np.sqrt(2 * math.pi * np.exp(v))
            for m, v in zip(mu[:, 0], logvar[:, 0], strict=True)
        ],
        axis=0,
    )
    prior = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    with np.errstate(all="ignore"):
        exact = np.sum(np.where(density > 0, density * np.log(density / prior), 0.0)) * (z[1] - z[0])
    found = evaluation.aggregate_posterior(mu, logvar, 1, 200_000)
    assert abs(found.kl - exact) < 4 * found.standard_error and found.standard_error < 0.01


LOG_VARIANCES = [-80.0, -40.0, -20.0, -3.0, 0.0, 3.0, 20.0, 40.0, 80.0]


@pytest.mark.parametrize("logvar", LOG_VARIANCES)
def test_information_is_within_its_bounds_whatever_the_variances(logvar):
    mu = np.random.default_rng(0).standard_normal((500, 2))
    found = evaluation.aggregate_posterior(mu, np.full((500, 2), logvar), 0, 1000)
    assert 0.0 <= found.mutual_information <= math.log(500) and found.kl >= 0.0
    assert found.estimate <= math.log(500) + 1e-12 and abs(found.estimate - found.mutual_information) < 1e-4
    mean_kl = np.mean(np.sum(0.5 * (mu**2 + math.exp(logvar) - 1.0 - logvar), axis=1))
    assert found.mean_kl == pytest.approx(mean_kl, rel=1e-12)
    assert found.kl == pytest.approx(mean_kl - found.mutual_information, rel=1e-12)
    if logvar <= -40.0:  # no two of 500 points are within 1e-6 of each other: z says which row it came from
        assert found.mutual_information == pytest.approx(math.log(500), rel=1e-12)
    if logvar >= 20.0:  # all posteriors are the same as far as anybody can see
        assert found.mutual_information < 1e-4


def test_information_by_its_definition_in_sixty_digits(rng):
    """Variances of very different sizes, two rows equal, and means that rounding keeps apart from z."""
    rows, latent_dim, samples, seed = 6, 2, 12, 3
    mu, logvar = 1e3 * rng.standard_normal((rows, latent_dim)), rng.uniform(-80, 80, (rows, latent_dim))
    mu[1], logvar[1] = mu[0], logvar[0]
    order = random.permutation(seed, "aggregate posterior order", 0, rows)
    eps = random.normal(seed, "aggregate posterior noise", 0, (samples, latent_dim))
    with decimal.localcontext() as context:
        context.prec = 60
        D = decimal.Decimal

        def log_density(z, n):
            return (
                -sum((z[j] - D(mu[n, j])) ** 2 / D(logvar[n, j]).exp() + D(logvar[n, j]) for j in range(latent_dim)) / 2
            )

        terms = []
        for s in range(samples):
            n = int(order[s % rows])
            z = [D(mu[n, j]) + (D(logvar[n, j]) / 2).exp() * D(eps[s, j]) for j in range(latent_dim)]
            mixture = sum(log_density(z, m).exp() for m in range(rows)) / rows
            terms.append(log_density(z, n) - mixture.ln())
        mean = sum(terms) / samples
        error = (sum((term - mean) ** 2 for term in terms) / (samples - 1) / samples).sqrt()
    found = evaluation.aggregate_posterior(mu, logvar, seed, samples)
    assert found.estimate == pytest.approx(float(mean), rel=1e-10)
    assert found.standard_error == pytest.approx(float(error), rel=1e-9)


def test_blocks_of_samples_change_nothing(rng, monkeypatch):
    mu, logvar = rng.standard_normal((50, 3)), rng.standard_normal((50, 3))
    whole = evaluation.aggregate_posterior(mu, logvar, 0, 120)
    for block in (350, 1):  # seven samples a block, and one
        monkeypatch.setattr(sys.modules["npvae.evaluation.aggregate_posterior"], "BLOCK", block)
        assert evaluation.aggregate_posterior(mu, logvar, 0, 120).estimate == pytest.approx(whole.estimate, rel=1e-12)


def test_an_impossible_estimate_is_refused_and_one_by_chance_is_said_to_be_held():
    of = evaluation.AggregatePosterior
    for estimate, error, mean_kl in (
        (-6e63, 0.1, 9.0),
        (8.0, 0.1, 9.0),
        (math.nan, 0.1, 9.0),
        (1.0, 0.01, 0.5),
        (1.0, 0.1, math.inf),
    ):
        with pytest.raises(
            InputError, match=r"I\(row; z\) is estimated as .* where 0 <= I <= log N = 4.60517 must hold"
        ):
            of(estimate, error, mean_kl, 100).check()
    for estimate, held, words in (
        (-0.02, 0.0, "0"),
        (4.7, math.log(100), "log N = 4.60517"),
        (1.01, 1.0, "the mean KL of 1"),
    ):
        found = of(estimate, 0.05, 1.0 if estimate == 1.01 else 9.0, 100).check()
        assert found.mutual_information == held and found.kl == found.mean_kl - held
        assert found.note == (
            f"the samples' estimate of I(row; z) is {estimate} +- 0.05, outside its bound {words}, which is given "
            f"instead"
        )
    assert "outside its bound log N = 0.693147," in of(0.8, 0.05, 9.0, 2).note  # fewer nats than one
    assert "outside its bound log N = 4.60517," in of(4.7, 0.05, 4.7, 100).note  # and not outside that of the mean KL


def test_an_estimate_may_be_ten_errors_and_rounding_outside_its_bounds():
    of, upper = evaluation.AggregatePosterior, math.log(100)
    for estimate, passes in (
        (-0.99, True),
        (-1.01, False),
        (upper + 0.99, True),
        (upper + 1.01, False),
        (-math.inf, False),
        (math.inf, False),
    ):
        found = of(estimate, 0.1, 9.0, 100)
        if passes:
            assert found.check() is found
            continue
        with pytest.raises(InputError, match="too large to be computed with"):
            found.check()
    # Without any error of sampling: rounding alone, of numbers of any size, is neither refused nor noted.
    for estimate, mean_kl, rows in (
        (0.5, 1.0, 100),
        (0.0, 9.0, 1),
        (-5e-10, 9.0, 100),
        (-1e-9, 1.0, 100),
        (1 + 5e-10, 1.0, 100),
        (upper + 2e-9, 9.0, 100),
    ):
        assert of(estimate, 0.0, mean_kl, rows).check().note is None
    assert (
        of(1 + 1e-9, 0.0, 1.0, 100).check() and of(-9e-10, 0.0, 0.5, 100).check().note is None
    )  # just as far as it may be
    assert of(upper + 1e-7, 1.0, 1e3, 100).note is not None  # of the bound's size, not of the mean KL's
    with pytest.raises(InputError, match="must hold"):
        of(upper + 1e-7, 0.0, 1e3, 100).check()
    for estimate, mean_kl in ((-2e-9, 1.0), (1 + 2e-9, 1.0), (upper + 2e-8, 9.0)):
        assert of(estimate, 1.0, mean_kl, 100).note is not None
        with pytest.raises(InputError, match="must hold"):
            of(estimate, 0.0, mean_kl, 100).check()


def test_posteriors_that_are_not_finite_are_refused():
    fine = [[0.0, 0.0]] * 3
    for name, arrays in (
        ("mean", ([[0.0, 0.0], [math.inf, 0.0], [1.0, 0.0]], fine)),
        ("log variance", (fine, [[0.0, 0.0], [0.0, math.nan], [0.0, 1.0]])),
    ):
        with pytest.raises(InputError, match=f"the posterior of row 1 has a {name} that is not finite"):
            evaluation.aggregate_posterior(*map(np.array, arrays), 0, 10)
    with pytest.raises(
        InputError, match="with a mean KL of inf, .* the posteriors' means and log variances are too large"
    ):
        evaluation.aggregate_posterior(
            np.zeros((3, 2)), np.full((3, 2), 1000.0), 0, 10
        )  # whose variances no float holds


@pytest.mark.parametrize("logvar", [-80.0, -40.0, 0.0, 40.0, 80.0])
def test_every_figure_of_a_model_is_possible_whatever_its_variances(logvar):
    vae = small_vae(backend="numpy").fit(grey_rows())
    views = vae.model_.views(vae.theta_)
    views["encoder/logvar/W"][...], views["encoder/logvar/b"][...] = 0.0, logvar
    x, labels = grey_rows(40, seed=2), np.arange(40) % 2
    found = report.evaluate_model(vae, x, labels, grey_rows(), labels, samples=50)
    assert 0.0 <= found["mutual_information"] <= math.log(40) and found["aggregate_kl"] >= 0.0
    assert found["aggregate_kl"] + found["mutual_information"] == pytest.approx(found["kl"], rel=1e-4)
    assert found["kl"] >= 0.5 * 2 * (math.exp(logvar) - 1.0 - logvar) * (1 - 1e-5)
    assert found["log_likelihood"] <= 0.0 and 0.0 <= found["sampling_error"] <= 1.0
    assert 1.0 <= found["effective_sample_size_smallest"] <= found["effective_sample_size_median"] <= 50.0
    assert "I(row; z)" in report.describe(found)
    plain = [value for entry in found.values() for value in (entry if isinstance(entry, list) else [entry])]
    assert {type(value) for value in plain} <= {int, float, str, bool, type(None), dict} and found == json.loads(
        json.dumps(found)
    )


def test_a_figure_that_is_not_finite_is_refused():
    vae = small_vae(backend="numpy").fit(grey_rows())
    vae.model_.views(vae.theta_)["encoder/logvar/b"][...] = 200.0
    with np.errstate(all="ignore"), pytest.raises(InputError, match="finite"):
        report.evaluate_model(vae, grey_rows(40, seed=2), samples=0)


def test_a_dimension_far_from_0_is_active_all_the_same():
    """A mean of 3000 with a deviation of 0.15 or 0.05: squares of float32 leave nothing of either."""
    spread = np.array([0.15, 0.05], np.float32) * np.random.default_rng(0).standard_normal((5000, 2)).astype("float32")
    model = Model(Architecture(2, 2, (), likelihood="gaussian"), Ops(np))
    theta = np.zeros(model.layout.size, "float32")
    views = model.views(theta)
    views["encoder/mean/W"][...], views["encoder/mean/b"][...] = np.eye(2), 3000.0
    assert evaluation.evaluate_elbo(model, theta, spread, 0)["active_units"] == 1


def test_fewer_samples_than_rows_are_of_all_rows():
    """Two groups far apart, one after the other: of the first alone z would say less by log 2."""
    mu = np.where(np.arange(4000) < 2000, -50.0, 50.0)[:, None]
    found = evaluation.aggregate_posterior(mu, np.zeros((4000, 1)), 0, 400)
    assert found.mutual_information == pytest.approx(math.log(2), abs=4 * found.standard_error + 1e-9)
    mu = np.where(np.arange(4000) < 3000, 0.0, 50.0)[:, None]  # I = -3/4 log(3/4) - 1/4 log(1/4)
    found = evaluation.aggregate_posterior(mu, np.zeros((4000, 1)), 0, 400)
    exact = -0.75 * math.log(0.75) - 0.25 * math.log(0.25)
    assert abs(found.mutual_information - exact) < 4 * found.standard_error and found.standard_error < 0.05


def test_fewer_samples_than_rows_and_bad_numbers(rng):
    mu, logvar = rng.standard_normal((50, 2)), rng.standard_normal((50, 2))
    assert math.isfinite(evaluation.aggregate_posterior(mu, logvar, 0, 20).kl)
    assert math.isfinite(evaluation.aggregate_posterior(mu, logvar, 0, 2).standard_error)
    narrow = mu.astype(np.float32), logvar.astype(np.float32)  # are computed with in float64
    assert evaluation.aggregate_posterior(*narrow, 0, 20) == evaluation.aggregate_posterior(
        *(a.astype(np.float64) for a in narrow), 0, 20
    )
    with pytest.raises(InputError, match="samples must be at least 2"):
        evaluation.aggregate_posterior(mu, logvar, 0, 1)
    with pytest.raises(InputError, match="the number of rows of mu must be at least 1, got 0"):
        evaluation.aggregate_posterior(mu[:0], logvar[:0], 0)
    with pytest.raises(InputError, match="logvar has shape"):
        evaluation.aggregate_posterior(mu, logvar[:3], 0)


# Nearest neighbours


@pytest.mark.parametrize("neighbours", [1, 4, 15])
def test_neighbours_vote_as_in_scikit_learn(rng, neighbours):
    sklearn = pytest.importorskip("sklearn.neighbors")
    train, test = rng.standard_normal((300, 3)), rng.standard_normal((70, 3))
    labels, wanted = rng.integers(3, 7, 300), rng.integers(3, 7, 70)
    other = sklearn.KNeighborsClassifier(neighbours).fit(train, labels).score(test, wanted)
    assert evaluation.neighbour_accuracy(train, labels, test, wanted, neighbours) == pytest.approx(other)


def test_rows_in_question_are_those_that_rounding_leaves_open(rng):
    """A ring around 0 and a row in its middle: how the ring's rows lie to z is lost in the squares of their lengths."""
    for _ in range(20):
        angle = rng.uniform(0, np.pi, 20)
        half = 1e8 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        pairs = np.stack([half, -half], axis=1).reshape(40, 2)  # their mean is 0
        train, labels = np.concatenate([pairs, np.zeros((1, 2))]), np.append(rng.integers(0, 2, 40), 1)
        assert not train.mean(axis=0).any()
        z = rng.uniform(-1e-8, 1e-8, (1, 2))
        nearest = np.argsort(np.sum((train - z) ** 2, axis=1), kind="stable")[:4]
        assert evaluation.neighbour_accuracy(train, labels, z, [1], 4) == float(labels[nearest].sum() > 2)


def test_labels_may_be_words(rng):
    z = np.array([[0.0], [0.1], [5.0], [5.1]])
    found = evaluation.neighbour_accuracy(z, ["a", "a", "b", "b"], z, ["a", "a", "b", "c"], 2)
    assert found == 0.75 and type(found) is float


def test_neighbours_that_are_not_there_are_refused():
    z = np.zeros((3, 2))
    with pytest.raises(InputError, match="4 neighbours need as many training rows"):
        evaluation.neighbour_accuracy(z, [0, 1, 2], z, [0, 1, 2], 4)
    with pytest.raises(InputError, match="test_z has 3 rows, but test_labels has 2"):
        evaluation.neighbour_accuracy(z, [0, 1, 2], z, [0, 1], 2)


def test_neighbours_far_from_0_are_the_nearest_all_the_same(rng):
    """Two tight groups far from each other and from 0: products leave nothing of the distances within one."""
    groups = np.where(np.arange(120) < 60, 1e7, 3e7)[:, None] + 1e-3 * np.arange(120)[:, None] * np.array([1.0, 0.0])
    labels = (np.arange(120) // 5) % 2  # stripes of five along each group
    order = rng.permutation(120)
    test = groups + np.array([6e-4, 1e-4])
    distances = [[(t - z) ** 2 for z in groups[:, 0].tolist()] for t in test[:, 0].tolist()]
    right = 0
    for i, row in enumerate(distances):
        nearest = sorted(range(120), key=row.__getitem__)[:3]
        right += int(sum(labels[n] for n in nearest) * 2 > 3) == labels[i]
    assert 0.6 < right / 120 < 1.0
    assert evaluation.neighbour_accuracy(groups[order], labels[order], test, labels, 3) == right / 120


def test_blocks_of_distances_change_nothing(rng, monkeypatch):
    train, test = rng.standard_normal((30, 2)), rng.standard_normal((25, 2))
    labels, wanted = rng.integers(0, 3, 30), rng.integers(0, 3, 25)
    whole = evaluation.neighbour_accuracy(train, labels, test, wanted, 4)
    for block in (1, 100):  # one test row at a time, and three
        monkeypatch.setattr(sys.modules["npvae.evaluation.neighbours"], "BLOCK", block)
        assert evaluation.neighbour_accuracy(train, labels, test, wanted, 4) == whole


@pytest.mark.parametrize(
    ("neighbours", "labels", "winner"),
    [
        (3, [7, 7, 5, 5, 5, 5, 5, 5], 7),
        (4, [7, 7, 5, 5, 5, 5, 5, 5], 5),
        (1, [9, 5, 5, 5, 5, 5, 5, 5], 9),
        (8, [9, 9, 9, 9, 9, 5, 5, 5], 9),
    ],
)
def test_ties_of_distances_and_of_votes(neighbours, labels, winner):
    """Eight training rows at one distance after thirty far ones: the first count, and of equal votes the smallest
    label.
    """
    far = [[side * (50.0 + i), 0.0] for i in range(15) for side in (1, -1)]
    z = np.array([*far, [3, 4], [-3, -4], [5, 0], [-5, 0], [4, 3], [-4, -3], [0, 5], [0, -5]])
    everything = [3] * 30 + labels
    for label in (5, 7, 9):
        right = evaluation.neighbour_accuracy(z, everything, np.zeros((1, 2)), [label], neighbours)
        assert right == float(label == winner)


def test_as_many_training_rows_as_neighbours_are_enough_and_no_test_rows_are_not():
    z = np.array([[0.0], [1.0], [2.0]])
    assert evaluation.neighbour_accuracy(z, [1, 1, 0], z, [1, 1, 0], 3) == 2 / 3
    with pytest.raises(InputError, match="1 neighbours need as many training rows, and test rows; got 3 and 0"):
        evaluation.neighbour_accuracy(z, [1, 1, 0], z[:0], [], 1)
    with pytest.raises(InputError, match="train_z has 3 rows, but train_labels has 2"):
        evaluation.neighbour_accuracy(z, [0, 1], z, [0, 1, 2], 1)
    with pytest.raises(InputError, match="neighbours must be at least 1"):
        evaluation.neighbour_accuracy(z, [0, 1, 2], z, [0, 1, 2], 0)


@pytest.mark.parametrize("rows", [9, 400])
def test_of_equal_distances_the_first_rows_count(rows):
    z = np.zeros((rows, 2))
    assert evaluation.neighbour_accuracy(z, [1, 1, 1] + [0] * (rows - 3), z[:1], [1], 3) == 1.0
    # So far from 0 that those a rounding farther off have to be measured: they stand between the others.
    far = np.where(np.arange(rows // 3 * 3) % 3 == 0, 1e8, np.nextafter(1e8, 2e8)) * np.where(
        np.arange(rows // 3 * 3) % 2, 1.0, -1.0
    )
    far, nearest = np.append(far, -far.sum()), np.flatnonzero(abs(far) == 1e8)
    labels = np.zeros(len(far), int)
    labels[nearest[:2]] = 1
    assert evaluation.neighbour_accuracy(far[:, None], labels, z[:1, :1], [1], 3) == 1.0


def test_neighbours_in_float32_are_those_of_the_same_numbers_in_float64(rng):
    """A grid of 2^-14 around 1000 and -1000: float32 holds the numbers, but not their squares."""
    side = np.where(np.arange(200) % 2, 1000.0, -1000.0)[:, None]
    train, test = (side + rng.integers(0, 300, (2, 200, 2)) * 2.0**-14).astype(np.float32)
    labels, wanted = rng.integers(0, 2, (2, 200))
    accuracy = evaluation.neighbour_accuracy(train, labels, test, wanted, 3)
    exact = ((test[:, None].astype(np.float64) - train) ** 2).sum(axis=2).argsort(axis=1, kind="stable")[:, :3]
    assert accuracy == np.mean((labels[exact].sum(axis=1) > 1.5) == wanted)


FIGURES = {
    "rows": 100,
    "samples": 50,
    "seed": 3,
    "elbo": -90.1234,
    "reconstruction": 80.0,
    "kl": 10.1234,
    "active_units": 1,
    "kl_per_dimension": [10.0, 0.1234],
    "log_likelihood": -88.7654,
    "standard_error": 0.5432,
    "sampling_error": 0.1234,
    "effective_sample_size_median": 12.6,
    "effective_sample_size_smallest": 1.26,
    "squared_error": 7.6543,
    "aggregate_kl": 5.5555,
    "mutual_information": 4.4444,
    "aggregate_standard_error": 0.0123,
    "neighbour_accuracy": 0.87654,
    "is_log_likelihood": True,
    "notes": ["first", "second"],
}


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("kl", 0.0, None),
        ("kl_per_dimension", 0.0, None),
        ("active_units", 0, 2),
        ("standard_error", 0.0, None),
        ("sampling_error", 0.0, 1.0),
        ("effective_sample_size_median", 1.0, 50),
        ("effective_sample_size_smallest", 1.0, 50),
        ("squared_error", 0.0, None),
        ("aggregate_kl", 0.0, None),
        ("aggregate_standard_error", 0.0, None),
        ("mutual_information", 0.0, math.log(100)),
        ("neighbour_accuracy", 0.0, 1.0),
        ("elbo", None, None),
        ("log_likelihood", None, None),
        ("reconstruction", None, None),
    ],
)
def test_bounds_of_figures(name, low, high):
    """With a millionth for rounding, of the figure where that is above 1."""

    def see(value):
        figures = {key: figure for key, figure in FIGURES.items() if key != "notes"}  # they come later
        report._refuse_impossible(
            {**figures, "kl_per_dimension": [1.0, 1.0], name: [0.5, value] if name == "kl_per_dimension" else value}
        )

    fine = [
        *([] if low is None else [low, low - 0.9e-6]),
        *([] if high is None else [high, high + 0.9e-6 * max(1, high)]),
    ]
    wrong = [
        math.nan,
        math.inf,
        -math.inf,
        *([] if low is None else [low - 1.1e-6]),
        *([] if high is None else [high + 1.2e-6 * max(1, high)]),
    ]
    for value in [*fine, *([-1e30] if low is None else []), *([1e30] if high is None else [])]:
        see(value)
    for value in wrong:
        with pytest.raises(InputError, match=f"the figure {name} comes to .*, but must be finite and from "):
            see(value)
    if name != "kl_per_dimension":
        see(None)


def test_an_evaluation_in_a_table():
    assert report.describe(FIGURES).splitlines() == [
        "ELBO                        -90.123  nats a row",
        "  -log p(x|z)                80.000",
        "  KL(q(z|x) || p(z))         10.123",
        "active units                 1 of 2  latent dimensions whose posterior mean has a variance above 0.01",
        "log p(x)                    -88.765  +- 0.543 over rows, +- 0.123 over samples",
        "  samples of z                   50  effective 13 in the median row, 1.3 in the worst",
        "squared error                 7.654  summed over features",
        "KL(q(z) || p(z))              5.556  +- 0.012",
        "I(row; z)                     4.444  at most log N = 4.61",
        "15-NN accuracy              87.65 %  in the latent space",
        "note: first",
        "note: second",
    ]
    less = report.describe(
        {
            **FIGURES,
            "standard_error": None,
            "sampling_error": None,
            "is_log_likelihood": False,
            "neighbour_accuracy": None,
            "notes": [],
        }
    )
    assert (
        less.splitlines()[4]
        == "log p(x)                    -88.765  a cross-entropy of grey values, not a log-likelihood"
    )
    assert "15-NN" not in less and "note" not in less and len(less.splitlines()) == 9
    without = report.describe({**FIGURES, "log_likelihood": None, "aggregate_standard_error": None})
    assert (
        "log p(x)" not in without
        and "samples of z" not in without
        and "KL(q(z) || p(z))              5.556\n" in without
    )


@pytest.mark.parametrize(
    ("x", "how", "said"),
    [
        ([[0.0, 1.0], [0.5, 1.0]], {}, True),
        ([[0.25, 0.75]], {}, True),
        ([[0.0, 1.0], [1.0, 0.0]], {}, False),
        ([[1.0, 1.0]], {}, False),
        ([[0.0, 0.0]], {}, False),
        ([[0.0, 0.5]], {"binarize": "dynamic"}, False),
        ([[0.0, 0.5]], {"likelihood": "gaussian"}, False),
    ],
)
def test_of_grey_values_a_bernoulli_gives_cross_entropies(x, how, said):
    vae = small_vae(epochs=1, backend="numpy", **how).fit(np.array([[0.0, 1.0], [1.0, 0.0]] * 4))
    note = report.cross_entropy_note(vae, np.array(x, np.float32))
    assert note == (
        "of grey values the bernoulli likelihood gives cross-entropies: what is called ELBO and log p(x) is no "
        "log-likelihood"
        if said
        else None
    )


def test_the_elbo_of_plain_rows_is_what_a_program_says_that_there_is(monkeypatch):
    vae, asked = small_vae(epochs=1).fit(grey_rows()), []
    x, model = grey_rows(6).astype(np.float32), vae.model_
    width = model.architecture.latent_dim

    class Program:
        def evaluate(self, theta, seed, purpose, beta):
            asked.append((theta is vae.theta_, seed, beta, purpose))
            return 2, {
                "loss": np.float64(8.0),
                "reconstruction": np.float64(6.0),
                "kl_per_dimension": np.full(width, 1.0),
                "mu": np.full(width, 0.0),
                "mu_squared": np.full(width, 2.0),
            }

    def program(of, rows, batch_size):
        asked.append((of is model, rows is x, batch_size))
        return Program()

    monkeypatch.setattr("npvae.evaluation.elbo.evaluator_for", lambda ops, *arguments: program(*arguments))
    found = evaluation.evaluate_elbo(model, vae.theta_, x, 7, 0.25, 3, "validation noise")
    assert asked == [(True, True, 3), (True, 7, 0.25, "validation noise")]
    assert (found["loss"], found["reconstruction"], found["kl"], found["active_units"]) == (
        4.0,
        3.0,
        0.5 * width,
        width,
    )
    asked.clear()  # of no rows, and of another objective, there is none
    evaluation.evaluate_elbo(model, vae.theta_, x, 7, objective=ImportanceWeighted(2))
    assert not asked
