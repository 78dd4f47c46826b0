"""The multinomial likelihood with a row's total: against loops over Python floats, sums over all rows of counts,
draws, starts.
"""

import itertools
import math

import numpy as np
import pytest

from npvae import VAE
from npvae.backend.base import Ops
from npvae.errors import InputError
from npvae.gradcheck.checker import check_gradient
from npvae.mathematics import likelihoods, random

OPS = Ops(np)


def wanted_nll(logits, log_mean, log_size, x):
    """-log p of one row, by the definition."""
    mean, size, n = math.exp(log_mean), math.exp(log_size), sum(x)
    log_total = math.lgamma(n + size) - math.lgamma(size) - math.lgamma(n + 1) + size * math.log(size / (size + mean))
    log_total += n * math.log(mean / (size + mean))
    log_sum = math.log(sum(math.exp(v) for v in logits))
    return (
        -log_total
        - math.lgamma(n + 1)
        + sum(math.lgamma(v + 1) - v * (a - log_sum) for a, v in zip(logits, x, strict=True))
    )


def own(log_mean, log_size, dtype=np.float64):
    return {"log_total_mean": np.array([log_mean], dtype), "log_total_size": np.array([log_size], dtype)}


def nll_of(logits, parameters, x, observed=None, ops=OPS):
    return likelihoods.Multinomial().negative_log_likelihood(ops, (logits,), x, parameters, True, observed)


def test_probabilities_of_all_rows(ops, rng):
    """By the definition; those of up to 40 counts add up to nearly one, and give the mean."""
    logits = rng.standard_normal(3)
    x = np.array([row for row in itertools.product(range(41), repeat=3) if sum(row) <= 40], float)
    parameters, outputs = own(0.7, 0.4), np.tile(logits, (len(x), 1))
    nll = nll_of(outputs, parameters, x, ops=ops)[0]
    np.testing.assert_allclose(nll[::97], [wanted_nll(logits, 0.7, 0.4, row) for row in x[::97]], rtol=1e-11)
    p = np.exp(-nll)
    assert p.sum() == pytest.approx(1.0, abs=1e-6)
    mean = likelihoods.Multinomial().mean(ops, (outputs[:1],), parameters)
    np.testing.assert_allclose(p @ x, mean[0], rtol=1e-4)
    assert mean.sum() == pytest.approx(math.exp(0.7))


def test_gradients_with_missing_rows(ops, rng):
    logits, x = rng.standard_normal((4, 6)).T[::-1], rng.poisson(2.0, (6, 4)).astype(float)
    x[2] = 0.0
    observed = np.repeat(rng.random((6, 1)) < 0.6, 4, axis=1)
    observed[2], observed[3] = True, False
    parameters = own(1.3, 0.2)
    for mask in (None, observed):

        def function(logits, mean, size, mask=mask):
            nll, backward = nll_of(logits, {"log_total_mean": mean, "log_total_size": size}, x, mask)
            return nll, lambda dnll: (
                backward(dnll)[0][0],
                backward(dnll)[1]["log_total_mean"],
                backward(dnll)[1]["log_total_size"],
            )

        assert check_gradient(function, [logits, *parameters.values()], names=["logits", *parameters])
    nll, backward = nll_of(logits, parameters, x, observed, ops)
    for b in range(6):
        assert float(nll[b]) == pytest.approx(
            wanted_nll(logits[b], 1.3, 0.2, x[b]) if observed[b, 0] else 0.0, rel=1e-11
        )
    assert not backward(1.0)[0][0][~observed].any()


@pytest.mark.parametrize("scale", [1.0, 1e5])
def test_large_counts_keep_their_digits_in_single_precision(rng, scale):
    """log n! - sum log x_i! is of the size of n log n; what is left of it here is of some ten nats."""
    logits = (rng.standard_normal((5, 6)) + 1.0).astype(np.float32)
    x = rng.poisson(scale * np.exp(logits.astype(float))).astype(np.float32)
    log_mean = math.log(float(x.sum(axis=1).mean()))
    wanted = [
        wanted_nll(row.astype(float), log_mean, 1.0, counts.astype(float))
        for row, counts in zip(logits, x, strict=True)
    ]
    found = nll_of(logits, own(log_mean, 1.0, np.float32), x)[0]
    np.testing.assert_allclose(found, wanted, rtol=1e-5 if scale == 1.0 else 0.01)


def test_logits_far_out_overflow_nowhere():
    x = np.array([[0.0, 5.0, 2.0], [0.0, 0.0, 0.0]], np.float32)
    with np.errstate(all="raise", under="ignore"):
        nll, backward = nll_of(np.array([[1e4, 0.0, -1e4]] * 2, np.float32), own(2.0, 0.0, np.float32), x)
        (d_logits,), _ = backward(1.0)
    assert nll[0] == pytest.approx(5e4 + 4e4, rel=1e-3)
    np.testing.assert_allclose(d_logits, [[7.0, -5.0, -2.0], [0.0, 0.0, 0.0]])


def test_draws_have_the_total_s_and_the_shares_distribution(rng):
    logits, log_mean, log_size = np.array([0.5, -1.0, 0.0]), math.log(6.0), math.log(2.0)
    parameters, p = own(log_mean, log_size, np.float32), np.exp(logits) / np.exp(logits).sum()
    outputs = np.tile(logits.astype(np.float32), (100_000, 1))
    drawn = likelihoods.Multinomial().draw((outputs,), parameters, random.Stream(1, "data sample", 0))
    assert drawn.dtype == np.float32
    likelihoods.Multinomial().check_data(drawn)
    total = drawn.sum(axis=1, dtype=np.float64)
    for n in (0, 1, 6, 20):
        # All ways in which the features share a total are as likely together as the total is.
        wanted = math.exp(math.lgamma(n + 2) - math.lgamma(2) - math.lgamma(n + 1)) * (2 / 8) ** 2 * (6 / 8) ** n
        assert abs((total == n).mean() - wanted) < 5 * math.sqrt(wanted / len(total))
    some = drawn[total == 6]
    np.testing.assert_allclose(some.mean(axis=0), 6 * p, atol=0.1)
    np.testing.assert_allclose(np.cov(some.T), 6 * (np.diag(p) - np.outer(p, p)), atol=0.12)


def test_starts(rng):
    total = rng.negative_binomial(4.0, 4.0 / 104.0, 50_000)
    x = rng.multinomial(total, [0.5, 0.3, 0.2]).astype(float)
    likelihood = likelihoods.Multinomial()
    parameters = likelihood.initial_own(x)
    assert np.exp(parameters["log_total_mean"]) == pytest.approx(total.mean()) and np.exp(
        parameters["log_total_size"]
    ) == pytest.approx(4.0, rel=0.1)
    (d_logits,), d_own = nll_of(np.tile(likelihood.initial_biases(x)["logits"], (len(x), 1)), parameters, x)[1](
        1.0 / len(x)
    )
    assert (
        np.abs(d_logits.sum(axis=0)).max() < 1e-9
        and abs(d_own["log_total_mean"][0]) < 1e-9
        and abs(d_own["log_total_size"][0]) < 0.1
    )
    holes = np.where(rng.random((len(x), 1)) < 0.5, np.nan, x)
    np.testing.assert_allclose(likelihood.initial_own(holes)["log_total_size"], parameters["log_total_size"], atol=0.1)
    assert likelihood.initial_own(np.full((2, 3), np.nan)) == {}
    assert likelihood.parameters(5)["log_total_mean"] == pytest.approx(math.log(5.0))
    mean, V, noise = x.mean(axis=0), np.array([[3.0, 2.0, 1.0], [1.0, -1.0, 0.5]]), np.array([900.0, 800.0, 300.0])
    start = likelihood.linear_start(mean, V, noise)
    poisson = likelihoods.Poisson().linear_start(mean, V, noise)
    for kind in ("path", "bias"):
        np.testing.assert_array_equal(start[kind]["logits"], poisson[kind]["log_rate"])
    m, variance = mean.sum(), V.sum(axis=1) @ V.sum(axis=1) + noise.sum()
    assert np.exp(start["parameters"]["log_total_mean"]) == pytest.approx(m)
    assert m + m**2 / np.exp(start["parameters"]["log_total_size"]) == pytest.approx(variance)


def test_only_whole_rows_of_counts_are_taken():
    likelihood = likelihoods.Multinomial()
    likelihood.check_data(np.array([[1.0, 0.0], [np.nan, np.nan]]))
    with pytest.raises(
        InputError,
        match="row 1 of X lacks some of its counts, and not all: the multinomial likelihood needs a row's total",
    ):
        likelihood.check_data(np.array([[1.0, 0.0], [np.nan, 2.0]]))
    with pytest.raises(
        InputError, match=r"X holds 0.5 in column 'b' \(row 0\), but the multinomial likelihood needs counts"
    ):
        likelihood.check_data(np.array([[1.0, 0.5]]), ["a", "b"])


def test_topics_are_learnt_saved_and_drawn_from(rng, tmp_path):
    topics = rng.dirichlet(np.full(12, 0.3), 2)
    x = rng.multinomial(rng.integers(20, 60, 200), topics[rng.integers(0, 2, 200)]).astype(float)
    vae = VAE(
        1,
        (8,),
        likelihood="multinomial",
        epochs=30,
        optimizer="adam",
        learning_rate=0.01,
        batch_size=50,
        random_state=0,
    ).fit(x)
    assert vae.history_["loss"][-1] < vae.history_["loss"][0] - 5.0
    vae.save(tmp_path / "m.npz")
    drawn = VAE.load(tmp_path / "m.npz").sample(300, mean=False)
    np.testing.assert_array_equal(drawn, vae.sample(300, mean=False))
    assert (
        drawn.sum(axis=1).mean() == pytest.approx(x.sum(axis=1).mean(), rel=0.15) and (drawn == np.floor(drawn)).all()
    )
