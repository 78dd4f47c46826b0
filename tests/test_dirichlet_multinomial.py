"""The Dirichlet-multinomial likelihood: against loops over Python floats, sums over all rows of counts, draws,
limits.
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
LIKELIHOOD = likelihoods.DirichletMultinomial()


def wanted_nll(log_a, log_mean, log_size, x):
    """-log p of one row, by the definition."""
    a, mean, size, n = [math.exp(v) for v in log_a], math.exp(log_mean), math.exp(log_size), sum(x)
    log_p = math.lgamma(n + size) - math.lgamma(size) - math.lgamma(n + 1) + size * math.log(size / (size + mean))
    log_p += n * math.log(mean / (size + mean)) + math.lgamma(n + 1) + math.lgamma(sum(a)) - math.lgamma(n + sum(a))
    return -log_p - sum(math.lgamma(v + b) - math.lgamma(b) - math.lgamma(v + 1) for v, b in zip(x, a, strict=True))


def own(log_mean, log_size, dtype=np.float64):
    return {"log_total_mean": np.array([log_mean], dtype), "log_total_size": np.array([log_size], dtype)}


def nll_of(log_a, parameters, x, observed=None, ops=OPS):
    return LIKELIHOOD.negative_log_likelihood(ops, (log_a,), x, parameters, True, observed)


def test_probabilities_of_all_rows(ops, rng):
    """By the definition; those of up to 40 counts add up to nearly one, and give the mean."""
    log_a = rng.standard_normal(3)
    x = np.array([row for row in itertools.product(range(41), repeat=3) if sum(row) <= 40], float)
    parameters, outputs = own(0.7, 0.4), np.tile(log_a, (len(x), 1))
    nll = nll_of(outputs, parameters, x, ops=ops)[0]
    np.testing.assert_allclose(nll[::97], [wanted_nll(log_a, 0.7, 0.4, row) for row in x[::97]], rtol=1e-11)
    p = np.exp(-nll)
    assert p.sum() == pytest.approx(1.0, abs=1e-6)
    np.testing.assert_allclose(p @ x, LIKELIHOOD.mean(ops, (outputs[:1],), parameters)[0], rtol=1e-4)


def test_gradients_with_missing_rows(ops, rng):
    log_a, x = rng.standard_normal((6, 4)), rng.poisson(2.0, (6, 4)).astype(float)
    x[2] = 0.0
    observed = np.repeat(rng.random((6, 1)) < 0.6, 4, axis=1)
    observed[2], observed[3] = True, False
    parameters = own(1.3, 0.2)
    for mask in (None, observed):

        def function(log_a, mean, size, mask=mask):
            nll, backward = nll_of(log_a, {"log_total_mean": mean, "log_total_size": size}, x, mask)
            return nll, lambda dnll: (
                backward(dnll)[0][0],
                backward(dnll)[1]["log_total_mean"],
                backward(dnll)[1]["log_total_size"],
            )

        assert check_gradient(function, [log_a, *parameters.values()], names=["log_a", *parameters])
    nll, backward = nll_of(log_a, parameters, x, observed, ops)
    for b in range(6):
        assert float(nll[b]) == pytest.approx(
            wanted_nll(log_a[b], 1.3, 0.2, x[b]) if observed[b, 0] else 0.0, rel=1e-11
        )
    assert not backward(1.0)[0][0][~observed].any()


def test_large_concentrations_are_a_multinomial_distribution_s(rng):
    logits, x, parameters = rng.standard_normal((5, 6)), rng.poisson(30.0, (5, 6)).astype(float), own(4.0, 0.5)
    nll, backward = nll_of(logits + 22.0, parameters, x)
    wanted, wanted_backward = likelihoods.Multinomial().negative_log_likelihood(OPS, (logits,), x, parameters)
    np.testing.assert_allclose(nll, wanted, rtol=1e-5)
    np.testing.assert_allclose(backward(1.0)[0][0], wanted_backward(1.0)[0][0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("scale", [1.0, 1e5])
def test_large_counts_keep_their_digits_in_single_precision(rng, scale):
    log_a = rng.standard_normal((5, 6)).astype(np.float32)
    x = rng.poisson(scale * rng.gamma(np.exp(log_a.astype(float)))).astype(np.float32)
    log_mean = math.log(float(x.sum(axis=1).mean()) + 1.0)
    wanted = [
        wanted_nll(row.astype(float), log_mean, 1.0, counts.astype(float)) for row, counts in zip(log_a, x, strict=True)
    ]
    np.testing.assert_allclose(nll_of(log_a, own(log_mean, 1.0, np.float32), x)[0], wanted, rtol=2e-5)


def test_concentrations_far_out_overflow_nowhere():
    x = np.array([[0.0, 5.0, 2.0], [0.0, 0.0, 0.0]], np.float32)
    with np.errstate(all="raise", under="ignore"):
        nll, backward = nll_of(np.array([[1e4, 0.0, -1e4]] * 2, np.float32), own(2.0, 0.0, np.float32), x)
        (d_log_a,), _ = backward(1.0)
    assert np.isfinite(nll).all() and np.isfinite(d_log_a).all() and not d_log_a[:, [0, 2]].any()


def test_draws_are_in_bursts(rng):
    """Given the total n, the shares' p = a / A: mean n p, covariance n (n + A) / (1 + A) (diag(p) - p p^T)."""
    a = np.array([1.5, 0.25, 0.75])
    outputs = np.tile(np.log(a).astype(np.float32), (100_000, 1))
    drawn = LIKELIHOOD.draw(
        (outputs,), own(math.log(6.0), math.log(2.0), np.float32), random.Stream(1, "data sample", 0)
    )
    assert drawn.dtype == np.float32
    LIKELIHOOD.check_data(drawn)
    total, p = drawn.sum(axis=1, dtype=np.float64), a / a.sum()
    assert total.mean() == pytest.approx(6.0, rel=0.02) and total.var() == pytest.approx(6.0 + 18.0, rel=0.05)
    some = drawn[total == 6]
    np.testing.assert_allclose(some.mean(axis=0), 6 * p, atol=0.15)
    np.testing.assert_allclose(
        np.cov(some.T), 6 * (6 + a.sum()) / (1 + a.sum()) * (np.diag(p) - np.outer(p, p)), atol=0.3
    )


def test_starts_and_data(rng):
    x = rng.poisson([3.0, 1.0, 0.5], (400, 3)).astype(float)
    multinomial = likelihoods.Multinomial()
    bias = LIKELIHOOD.initial_biases(x)["log_concentration"]
    np.testing.assert_allclose(bias, multinomial.initial_biases(x)["logits"] - 2.0)
    arguments = x.mean(axis=0), np.array([[0.5, 0.2, 0.1]]), x.var(axis=0)
    found, wanted = LIKELIHOOD.linear_start(*arguments), multinomial.linear_start(*arguments)
    np.testing.assert_array_equal(found["path"]["log_concentration"], wanted["path"]["logits"])
    np.testing.assert_allclose(found["bias"]["log_concentration"], wanted["bias"]["logits"] - 2.0)
    with pytest.raises(InputError, match="the dirichlet_multinomial likelihood needs a row's total"):
        LIKELIHOOD.check_data(np.array([[1.0, np.nan]]))


def test_bursts_are_learnt_and_saved(rng, tmp_path):
    """Of rows that differ by bursts alone it is far ahead of the multinomial likelihood."""
    shares = rng.dirichlet(np.full(12, 0.3), 200)
    x = np.stack([rng.multinomial(40, p) for p in shares]).astype(float)
    arguments = {"latent_dim": 1, "hidden": (8,), "epochs": 30, "batch_size": 50, "random_state": 0}
    bursts, none = (VAE(likelihood=name, **arguments).fit(x) for name in ("dirichlet_multinomial", "multinomial"))
    assert bursts.history_["loss"][-1] < none.history_["loss"][-1] - 10.0
    bursts.save(tmp_path / "m.npz")
    np.testing.assert_array_equal(VAE.load(tmp_path / "m.npz").sample(20, mean=False), bursts.sample(20, mean=False))
