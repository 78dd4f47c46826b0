"""More rows than are worked on at a time: the results are those of the pieces, and of each row for itself."""

import math

import numpy as np
import pytest
from small import grey_rows, small_vae

from npvae import LatentClassifier, SemiSupervisedVAE, evaluation
from npvae.backend.base import Ops
from npvae.evaluation import report
from npvae.evaluation.summary import model_summary
from npvae.mathematics import random
from npvae.mathematics.model import Architecture, Model

#: More than two pieces of a thousand, the last one short.
ROWS = 2077
PIECES = [slice(0, 1000), slice(1000, 2000), slice(2000, ROWS)]


@pytest.fixture(scope="module")
def x():
    return grey_rows(ROWS, seed=8)


@pytest.fixture(scope="module")
def vae():
    return small_vae(epochs=5, dtype="float64", backend="numpy").fit(grey_rows())


def close(found, wanted):
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)


def test_encoding_decoding_and_rebuilding(vae, x):
    for method in (vae.transform, lambda part: vae.encode(part)[1], vae.reconstruct):
        close(method(x), np.concatenate([method(x[part]) for part in PIECES]))
    z = np.random.default_rng(0).standard_normal((ROWS, 2))
    close(vae.inverse_transform(z), np.concatenate([vae.inverse_transform(z[part]) for part in PIECES]))
    close(vae.sample(ROWS), vae.inverse_transform(random.normal(vae.seed_, "prior sample", 0, (ROWS, 2), np.float64)))


def test_draws_beyond_what_is_decoded_at_once(vae, monkeypatch):
    whole = vae.sample(300, mean=False)
    monkeypatch.setattr("npvae.mathematics.model.DECODED_AT_ONCE", 70)
    np.testing.assert_array_equal(vae.sample(300, mean=False), whole)


def test_the_parts_of_the_elbo_are_means_over_all_rows(vae, x):
    eps = np.concatenate(
        [random.normal(4, "evaluation noise", step, (part.stop - part.start, 2)) for step, part in enumerate(PIECES)]
    )
    mu, logvar = vae.encode(x)
    z = mu + np.exp(logvar / 2) * eps
    p = vae.inverse_transform(z)
    nll = -np.sum(x * np.log(p) + (1 - x) * np.log1p(-p), axis=1)
    kl = 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar)
    found = evaluation.evaluate_elbo(vae.model_, vae.theta_, x, 4)
    close(found["reconstruction"], nll.mean())
    close(found["kl_per_dimension"], kl.mean(axis=0))
    close(found["kl"], kl.sum(axis=1).mean())
    close(found["elbo"], -(nll + kl.sum(axis=1)).mean())
    close(found["loss"], (nll + kl.sum(axis=1)).mean())
    assert found["active_units"] == (mu.var(axis=0) > 0.01).sum()
    close(evaluation.elbo_rows(vae.model_, vae.theta_, x, 4), -(nll + kl.sum(axis=1)))
    close(vae.elbo(x, random_state=4), found["elbo"])


def test_log_likelihoods(vae, x):
    """A row's noise is that of its place: computed here from the definition."""
    found = vae.log_likelihood(x, samples=8, random_state=3)
    mu, logvar = vae.encode(x)
    for row in (0, 999, 1000, 2000, ROWS - 1):
        eps = random.normal(3, "likelihood noise", row, (8, 2))
        z = mu[row] + np.exp(logvar[row] / 2) * eps
        p = vae.inverse_transform(z)
        logs = (x[row] * np.log(p) + (1 - x[row]) * np.log1p(-p)).sum(axis=1) + 0.5 * (eps**2 + logvar[row] - z**2).sum(
            axis=1
        )
        close(found.rows[row], np.log(np.exp(logs).mean()))
    close(found.mean, found.rows.mean())
    close(found.standard_error, np.sqrt(np.sum((found.rows - found.rows.mean()) ** 2) / (ROWS - 1) / ROWS))
    close(found.sampling_error, np.sqrt(np.sum(found.errors**2)) / ROWS)
    close(vae.score_samples(x, samples=8, random_state=3), found.rows)
    close(vae.score(x[:1100]), vae.score_samples(x[:1100]).mean())


def test_every_figure_of_an_evaluation(vae, x):
    """15-nearest-neighbour accuracy, squared error and the sizes of samples, each by its definition."""
    train, labels = grey_rows(200, seed=1), np.random.default_rng(0).integers(0, 3, 200)
    wanted = np.random.default_rng(1).integers(0, 3, ROWS)
    found = report.evaluate_model(vae, x, wanted, train, labels, samples=8, random_state=3)
    mu = vae.transform(x)
    train_mu, right = vae.transform(train), 0
    for z, label in zip(mu, wanted, strict=True):
        nearest = np.argsort(((train_mu - z) ** 2).sum(axis=1), kind="stable")[:15]
        right += int(np.bincount(labels[nearest], minlength=3).argmax() == label)
    assert found["neighbour_accuracy"] == right / ROWS
    close(found["squared_error"], np.mean(np.sum((x - vae.reconstruct(x)) ** 2, axis=1)))
    sizes = vae.log_likelihood(x, samples=8, random_state=3).effective_sample_size
    close(
        [found["effective_sample_size_median"], found["effective_sample_size_smallest"]],
        [np.median(sizes), sizes.min()],
    )
    described = report.describe(found)
    for name, digits in (
        ("elbo", 3),
        ("log_likelihood", 3),
        ("standard_error", 3),
        ("sampling_error", 3),
        ("squared_error", 3),
        ("aggregate_kl", 3),
        ("mutual_information", 3),
        ("aggregate_standard_error", 3),
    ):
        assert f"{found[name]:.{digits}f}" in described, name
    assert f"{100 * right / ROWS:.2f} %" in described and f"{math.log(ROWS):.2f}" in described


@pytest.mark.parametrize("method", ["single_pass", "pseudo_gibbs", "metropolis", "importance"])
def test_filling_in_more_rows_than_run_together(vae, method):
    """Rows of one piece do not depend on there being others; those of the next have noise of their own."""
    x = grey_rows(1040, seed=4)
    x[:, 1] = np.nan
    more = {"steps": 5, "warm_up": 2, "proposals": 2, "samples": 8, "draws": 0 if method == "single_pass" else 3}
    whole, first = (vae.impute(rows, method=method, **more) for rows in (x, x[:1000]))
    close(whole.mean[:1000], first.mean)
    assert whole.mean.shape == x.shape and not np.isnan(whole.mean).any()
    for name, values in first.diagnostics.items():
        close(whole.diagnostics[name][:1000], values)
    if more["draws"]:
        assert whole.draws.shape == (3, *x.shape) and not np.isnan(whole.draws).any()
        # Equal rows, in the first piece and in the second, are drawn apart.
        x[1000:1030] = x[:30]
        found = vae.impute(x, method=method, **{**more, "draws": 5}).mean
        assert not np.isclose(found[1000:1030, 1], found[:30, 1], rtol=1e-12).any()


def test_classes_of_more_rows(x):
    labels = np.where(np.arange(40) < 20, np.arange(40) % 2, -1)
    model = SemiSupervisedVAE(
        latent_dim=2, hidden=(5,), epochs=3, random_state=0, dtype="float64", backend="numpy"
    ).fit(grey_rows(), labels)
    close(model.predict_proba(x), np.concatenate([model.predict_proba(x[part]) for part in PIECES]))
    close(model.analogies(x[:1005]), np.concatenate([model.analogies(x[:1000]), model.analogies(x[1000:1005])]))
    vae = small_vae(epochs=30, optimizer="adam", learning_rate=0.02, dtype="float64", backend="numpy").fit(grey_rows())
    classifier = LatentClassifier(vae).fit(grey_rows(), labels)
    close(classifier.predict_proba(x), np.concatenate([classifier.predict_proba(x[part]) for part in PIECES]))


def test_parameter_counts_are_those_of_the_matrices():
    """7-5-4-2 and back by 6: weights and biases counted one by one."""
    model = Model(Architecture(7, 2, (5, 4), decoder_hidden=(6,), likelihood="gaussian_one_variance"), Ops(np))
    encoder = (7 * 5 + 5) + (5 * 4 + 4) + 2 * (4 * 2 + 2)
    decoder = (2 * 6 + 6) + (6 * 7 + 7)
    text = model_summary(model)
    assert model.layout.size == encoder + decoder + 1
    assert text.splitlines()[-1].startswith(f"{encoder + decoder + 1:,} parameters")
    counts = [int(line.split()[-1].replace(",", "")) for line in text.splitlines()[2:-2]]
    assert sum(counts) == encoder + decoder + 1 and counts[0] == 7 * 5 + 5
