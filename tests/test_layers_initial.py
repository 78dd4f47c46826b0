"""Where weights and biases start."""

import math

import numpy as np
import pytest
from small import grey_rows, small_vae

from npvae import VAE
from npvae.backend.base import Ops
from npvae.errors import UnknownNameError
from npvae.mathematics.layers.initial import RULES, limits
from npvae.mathematics.model import Architecture, Model


@pytest.mark.parametrize(
    ("rule", "variance", "of_biases"),
    [
        ("glorot", lambda i, o: 2.0 / (i + o), lambda _: 0.0),
        ("he", lambda i, _: 2.0 / i, lambda _: 0.0),
        ("fan_in", lambda i, _: 1.0 / (3.0 * i), lambda i: 1.0 / (3.0 * i)),
    ],
)
def test_moments_and_ends_of_every_tensor(rule, variance, of_biases):
    """A uniform distribution's variance is r^2 / 3, and it has no tails; the mean is within five standard errors of
    0.
    """
    model = Model(Architecture(300, 40, (200, 150)), Ops(np))
    views = model.views(model.initial_parameters(7, "float64", rule=rule))
    for layer in model.architecture.dense_layers():
        wanted = variance(layer.inputs, layer.outputs)
        W = views[layer.W]
        assert W.var() == pytest.approx(wanted, rel=6 / math.sqrt(W.size))
        assert abs(W.mean()) < 5 * math.sqrt(wanted / W.size) and abs(W).max() <= math.sqrt(3 * wanted)
        b, wanted = views[layer.b], of_biases(layer.inputs)
        assert b.var() == pytest.approx(wanted, rel=6 / math.sqrt(b.size)) and abs(b).max() <= math.sqrt(3 * wanted)
    tensors = [views[name].ravel()[:40] for layer in model.architecture.dense_layers() for name in (layer.W, layer.b)]
    drawn = [tensor / np.linalg.norm(tensor) for tensor in tensors if tensor.any()]
    for i, a in enumerate(drawn):  # no two tensors have the same numbers
        assert all(abs(a @ b) < 0.9 for b in drawn[:i])


def test_a_run_starts_by_its_rule(tmp_path):
    x, found = grey_rows(), {}
    for rule in RULES:
        vae = small_vae(initial_weights=rule, learning_rate=1e-30, epochs=1, dtype="float64").fit(x)
        wanted = vae.model_.initial_parameters(vae.seed_, "float64", rule=rule)
        np.testing.assert_allclose(vae.theta_, wanted, rtol=1e-12, atol=1e-25)
        found[rule] = vae.theta_
    vae.save(tmp_path / "m.npz")
    assert VAE.load(tmp_path / "m.npz").initial_weights == "fan_in"
    assert not np.allclose(found["glorot"], found["he"])


def test_a_rule_that_nobody_knows_is_refused():
    with pytest.raises(UnknownNameError, match="initial_weights 'xavier'; known: 'glorot', 'he', 'fan_in'"):
        small_vae(initial_weights="xavier").fit(grey_rows())


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [("glorot", (math.sqrt(6 / 25), 0.0)), ("he", (math.sqrt(6 / 9), 0.0)), ("fan_in", (1 / 3, 1 / 3))],
)
def test_limits(rule, wanted):
    assert limits(rule, 9, 16) == pytest.approx(wanted, rel=1e-15)
