"""Arrays that do not fit: the message names the one that differs and the one it is compared with, as the function
calls them.
"""

from __future__ import annotations

import numpy as np
import pytest

from npvae import evaluation
from npvae.backend.base import Ops
from npvae.errors import InputError, InputTypeError
from npvae.mathematics import likelihoods
from npvae.mathematics.layers.dense import dense
from npvae.mathematics.layers.kl import kl_divergence
from npvae.mathematics.layers.sampling import sample

OPS = Ops(np)


def ones(*shape, dtype=np.float64):
    return np.ones(shape, dtype)


def message(array: str, shape, other: str, than) -> str:
    return f"{array} has shape {shape}, but {other} has shape {than}; they must be equal"


#: Of every likelihood, but a table of others, the output that is compared with the data.
HEADS = {
    "bernoulli": "logits",
    "continuous_bernoulli": "logits",
    "squared_error": "mean",
    "gaussian": "mean",
    "gaussian_one_variance": "mean",
    "gaussian_per_feature": "mean",
    "gaussian_decoder": "mean",
    "student_t": "location",
    "poisson": "log_rate",
    "categorical": "logits",
    "negative_binomial": "log_mean",
    "bounded": "location",
    "multinomial": "logits",
    "dirichlet_multinomial": "log_concentration",
}


@pytest.mark.parametrize("name", sorted(set(likelihoods.KNOWN) - {"table"}))
def test_outputs_that_are_not_like_the_data(name):
    likelihood = likelihoods.KNOWN[name].example(4)
    outputs = tuple(ones(3, width) for width in likelihood.heads(4).values())
    parameters = {
        key: np.broadcast_to(value, np.shape(value)).astype(float) for key, value in likelihood.parameters(4).items()
    }
    x = np.eye(4)[:3] if name != "ordinal" else np.tri(4)[:3]
    nll, backward = likelihood.negative_log_likelihood(OPS, outputs, x, parameters)
    assert nll.shape == (3,)
    with pytest.raises(InputError) as error:
        backward(ones(2))
    assert str(error.value) == message("dnll", (2,), "nll", (3,))
    with pytest.raises(InputTypeError, match="^dnll has dtype float32, but nll has dtype float64"):
        backward(ones(3, dtype=np.float32))
    with pytest.raises(InputError) as error:
        likelihood.negative_log_likelihood(OPS, outputs, x[:2], parameters)
    if name == "ordinal":
        words = (
            "location has shape (3, 1), but x has shape (2, 4); it must have as many rows, and a column for each of 1 "
            "variables"
        )
        assert str(error.value) == words
    else:
        assert str(error.value) == message(HEADS[name], (3, 4), "x", (2, 4))


def test_layers():
    mu, logvar, eps = ones(3, 2), ones(3, 2), ones(3, 2)
    for arguments, words in (
        ((mu, ones(3, 1), eps), message("logvar", (3, 1), "mu", (3, 2))),
        ((mu, logvar, ones(2, 2)), message("eps", (2, 2), "mu", (3, 2))),
    ):
        with pytest.raises(InputError) as error:
            sample(OPS, *arguments)
        assert str(error.value) == words
    _, backward = sample(OPS, mu, logvar, eps)
    with pytest.raises(InputError) as error:
        backward(ones(3, 1))
    assert str(error.value) == message("dz", (3, 1), "z", (3, 2))
    with pytest.raises(InputError) as error:
        kl_divergence(OPS, mu, ones(3, 1))
    assert str(error.value) == message("logvar", (3, 1), "mu", (3, 2))
    _, backward = kl_divergence(OPS, mu, logvar)
    with pytest.raises(InputError) as error:
        backward(ones(1, 2))
    assert str(error.value) == message("dkl", (1, 2), "kl", (3, 2))
    _, backward = dense(OPS, ones(3, 4), ones(4, 2), ones(2), "relu")
    with pytest.raises(InputError) as error:
        backward(ones(3, 1))
    assert str(error.value) == message("dy", (3, 1), "y", (3, 2))
    with pytest.raises(InputError) as error:
        evaluation.aggregate_posterior(mu, ones(3, 1), 0)
    assert str(error.value) == message("logvar", (3, 1), "mu", (3, 2))
