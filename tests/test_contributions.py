"""What each variable contributes to -log p(x): terms of likelihoods, and the equation, on a model of which all is
known.
"""

import numpy as np
import pytest
from linear_gaussian import VARIANCE, LinearGaussian

from npvae import evaluation
from npvae.backend.base import Ops
from npvae.errors import InputError
from npvae.gradcheck.own_gradients import draw_data
from npvae.mathematics import likelihoods

OPS = Ops(np)
FEATURES = 7
EXAMPLES = [
    *(kind.example(FEATURES) for kind in likelihoods.KNOWN.values() if kind is not likelihoods.Table),
    likelihoods.Categorical([3, 4]),
    likelihoods.Ordinal([3, 4]),
    likelihoods.Table([("student_t", 2), ("gaussian_one_variance", 1), (likelihoods.Categorical([2, 2]), 4)]),
    likelihoods.Table([("multinomial", 3), ("gaussian_per_feature", 4)]),
]


@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("likelihood", EXAMPLES, ids=repr)
def test_terms_of_variables_are_what_each_adds_to_the_loss(likelihood, holes, rng):
    """A variable's term is the loss where it alone is observed, for every likelihood, and all of them sum to the
    loss.
    """
    x = draw_data(likelihood, rng, 5, FEATURES)
    outputs = tuple(0.5 * rng.standard_normal((5, width)) for width in likelihood.heads(FEATURES).values())
    own = {name: 0.3 * rng.standard_normal(value.shape) for name, value in likelihood.parameters(FEATURES).items()}
    variables = likelihood.variables(FEATURES)
    assert np.array_equal(np.concatenate([np.arange(FEATURES)[v] for v in variables]), np.arange(FEATURES))
    observed = None
    if holes:
        observed = np.ones((5, FEATURES), bool)
        observed[1:3, variables[-1]] = False
    losses = likelihood.losses_by_variable(OPS, outputs, x, own, observed)
    whole, _ = likelihood.negative_log_likelihood(OPS, outputs, x, own, False, observed)
    assert len(losses) == len(variables)
    np.testing.assert_allclose(sum(losses), whole, rtol=1e-11, atol=1e-11)
    for v, loss in zip(variables, losses, strict=True):
        only = np.zeros((5, FEATURES), bool)
        only[:, v] = True if observed is None else observed[:, v]
        alone, _ = likelihood.negative_log_likelihood(OPS, outputs, x, own, False, only)
        np.testing.assert_allclose(loss, alone, rtol=1e-11, atol=1e-11)


def exact(case, x):
    """-log p(x) of one row, and of every feature E_p(z|x)[-log p(x_i | z)], 0 where it is missing."""
    o = ~np.isnan(x)
    difference = (x - case.b)[o]
    covariance = case.covariance[np.ix_(o, o)]
    score = 0.5 * (difference @ np.linalg.solve(covariance, difference) + np.linalg.slogdet(2 * np.pi * covariance)[1])
    V = case.V[0, o]
    variance = 1.0 / (1.0 + V @ V / VARIANCE)
    mean = variance * V @ difference / VARIANCE
    terms = np.zeros(3)
    terms[o] = 0.5 * ((difference - mean * V) ** 2 + variance * V**2) / VARIANCE + 0.5 * np.log(2 * np.pi * VARIANCE)
    return score, terms, 0.5 * (mean**2 + variance - 1.0 - np.log(variance))


def test_contributions_are_those_of_the_exact_posterior_and_sum_to_the_score():
    """A linear-Gaussian model whose encoder is wrong: only the weights make it right."""
    case = LinearGaussian(missing=True)
    x = np.array([[0.4, -1.2, 2.5], [3.0, 2.0, -1.0], [np.nan, 0.0, 2.2], [0.5, np.nan, np.nan]])
    found = evaluation.contributions(case.model, case.theta, x, seed=1, samples=40_000)
    for row, values in enumerate(x):
        score, terms, divergence = exact(case, values)
        assert found.score[row] == pytest.approx(score, abs=0.03)
        np.testing.assert_allclose(found.by_variable[row], terms, atol=0.06)
        assert found.latent[row] == pytest.approx(divergence, abs=0.06)
    np.testing.assert_allclose(found.by_variable.sum(axis=1) + found.latent, found.score, rtol=1e-12)
    assert (found.by_variable[np.isnan(x)] == 0.0).all()


def test_scores_and_errors_are_those_of_the_log_likelihood():
    """The same samples, whatever the pieces in which they are decoded."""
    case = LinearGaussian()
    x = np.random.default_rng(5).standard_normal((30, 3))
    found = evaluation.contributions(case.model, case.theta, x, seed=3, samples=200)
    other = evaluation.log_likelihood(case.model, case.theta, x, seed=3, samples=200, at_once=16)
    np.testing.assert_allclose(found.score, -other.rows, rtol=1e-12)
    np.testing.assert_allclose(found.standard_error, other.errors, rtol=1e-9)
    np.testing.assert_allclose(found.effective_sample_size, other.effective_sample_size, rtol=1e-9)


def test_numbers_that_cannot_be_are_refused():
    case = LinearGaussian()
    with pytest.raises(InputError, match="samples must be at least 1"):
        evaluation.contributions(case.model, case.theta, np.zeros((2, 3)), 0, samples=0)
    with pytest.raises(InputError, match="the number of rows of x must be at least 1"):
        evaluation.contributions(case.model, case.theta, np.zeros((0, 3)), 0)
