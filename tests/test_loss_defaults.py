"""The losses with nothing said of beta, estimator or weights are those with 1, "standard" and 1; and all they give
is of the data's dtype.
"""

from __future__ import annotations

import numpy as np
import pytest
from test_semi_supervised_loss import problem

from npvae import backend
from npvae.mathematics.model import Architecture, Model
from npvae.mathematics.objectives import importance_weighted_loss, negative_elbo, semi_supervised_loss


def vae(dtype):
    """``(model, theta, x, eps of one sample, eps of three)``."""
    generator = np.random.default_rng(0)
    model = Model(Architecture(5, 2, (4,)), backend.get("numpy"))
    theta = model.initial_parameters(3, dtype)
    theta += 0.1 * generator.standard_normal(theta.shape).astype(dtype)
    x, eps = generator.random((6, 5)).astype(dtype), generator.standard_normal((3, 6, 2)).astype(dtype)
    return model, theta, x, eps[0], eps


def classes(dtype):
    model, theta, batch, eps = problem([0, 1, -1, 2, 3, -1])
    return model, theta.astype(dtype), batch.astype(dtype), eps.astype(dtype)


LOSSES = {
    "elbo": (
        lambda given, *a, **k: negative_elbo(*given[:4], *a, **k),
        vae,
        {"beta": 1.0, "gradient": True, "free_bits": 0.0},
    ),
    "importance_weighted": (
        lambda given, *a, **k: importance_weighted_loss(*given[:3], given[4], *a, **k),
        vae,
        {"beta": 1.0, "gradient": True, "estimator": "standard", "at_once": 8192},
    ),
    "semi_supervised": (
        lambda given, *a, **k: semi_supervised_loss(*given, *a, **k),
        classes,
        {"beta": 1.0, "classifier_weight": 1.0, "gradient": True},
    ),
}


@pytest.mark.parametrize("name", LOSSES)
def test_defaults_of_a_loss(name):
    loss, make, defaults = LOSSES[name]
    given = make("float64")
    found, backward = loss(given)
    wanted, its_backward = loss(given, **defaults)
    assert float(found.loss) == float(wanted.loss)
    np.testing.assert_array_equal(backward(), its_backward())
    np.testing.assert_array_equal(backward(), backward(1.0))
    for argument, other in (("beta", 0.5), ("classifier_weight", 0.5), ("free_bits", 1.0)):
        if argument in defaults:
            assert float(loss(given, **{argument: other})[0].loss) != float(found.loss)
    if "estimator" in defaults:
        assert not np.allclose(loss(given, estimator="dreg")[1](), backward())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "more"), [*((name, {}) for name in LOSSES), ("importance_weighted", {"at_once": 6})])
def test_everything_is_of_the_data_s_dtype(name, more, dtype):
    loss, make, _ = LOSSES[name]
    for gradient in (True, False):
        terms, backward = loss(make(dtype), gradient=gradient, **more)
        for field in ("loss", "reconstruction", "kl", "kl_rows", "mu", "nll_rows", "bound"):
            value = getattr(terms, field)
            assert value is None or np.asarray(value).dtype == dtype, field
        assert (backward is None) if not gradient else backward().dtype == dtype
