"""What all likelihoods share: names, configurations, heads."""

import json

import numpy as np
import pytest

from npvae import likelihoods
from npvae.errors import InputError, InputTypeError, UnknownNameError

EXAMPLES = [
    likelihoods.Bernoulli(), likelihoods.SquaredError(), likelihoods.Gaussian(), likelihoods.Gaussian(0.1),
    likelihoods.GaussianOneVariance(), likelihoods.GaussianPerFeature(0.01), likelihoods.GaussianDecoder(0.0),
    likelihoods.ContinuousBernoulli(), likelihoods.StudentT(0.01, smallest=1.0), likelihoods.Categorical(),
    likelihoods.Categorical([3, 4]), likelihoods.Poisson(),
    likelihoods.Table([("bernoulli", 2), {"likelihood": {"name": "gaussian", "variance": 0.5}, "columns": 1}]),
]


def test_every_known_likelihood_is_among_the_examples():
    assert {type(example) for example in EXAMPLES} == set(likelihoods.KNOWN.values())
    assert all(kind.name == name for name, kind in likelihoods.KNOWN.items())


@pytest.mark.parametrize("likelihood", EXAMPLES, ids=repr)
def test_config_survives_json_and_makes_an_equal_object(likelihood):
    config = json.loads(json.dumps({"name": likelihood.name, **likelihood.config()}))
    again = likelihoods.get(config)
    assert again == likelihood and hash(again) == hash(likelihood) and type(again) is type(likelihood)
    assert eval(repr(likelihood), vars(likelihoods).copy()) == likelihood
    assert likelihoods.get(likelihood) is likelihood


def test_different_arguments_and_kinds_are_unequal():
    assert likelihoods.Gaussian(0.5) != likelihoods.Gaussian(0.25)
    assert likelihoods.GaussianOneVariance(0.1) != likelihoods.GaussianPerFeature(0.1)
    assert likelihoods.Bernoulli() != "bernoulli"


@pytest.mark.parametrize("name", [name for name in likelihoods.KNOWN if name != "table"])
def test_by_name(name):
    likelihood = likelihoods.get(name)
    assert type(likelihood) is likelihoods.KNOWN[name]
    widths = likelihood.heads(7)
    assert set(widths.values()) == {7} and len(widths) == {"gaussian_decoder": 2, "student_t": 3}.get(name, 1)
    shapes = {key: value.shape for key, value in likelihood.parameters(7).items()}
    own = {"gaussian_one_variance": {"raw_logvar": (1,)}, "gaussian_per_feature": {"raw_logvar": (7,)}}
    assert shapes == own.get(name, {})
    assert likelihood.reconstruction_label
    if name.startswith(("gaussian", "squared", "student")):
        likelihood.check_data(np.array([[-1e5, 3.0]]))


def test_errors_name_what_is_known():
    with pytest.raises(UnknownNameError, match="unknown likelihood 'cauchy'; known: 'bernoulli', 'squared_error'"):
        likelihoods.get("cauchy")
    with pytest.raises(InputError, match="'gaussian' takes no argument 'floor'; it takes: variance"):
        likelihoods.get({"name": "gaussian", "floor": 1.0})
    with pytest.raises(InputError, match="'bernoulli' takes no argument 'floor'; it takes: none"):
        likelihoods.get({"name": "bernoulli", "floor": 1.0})
    with pytest.raises(InputTypeError, match="likelihood must be a name, a mapping or an object of Likelihood, got int"):
        likelihoods.get(3)
    with pytest.raises(InputError, match="floor must be finite and at least 0"):
        likelihoods.GaussianDecoder(-1e-3)
