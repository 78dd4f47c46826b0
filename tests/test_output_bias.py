"""Biases of the decoder's outputs that start where they fit the data's columns."""

import numpy as np
import pytest
from small import grey_rows, small_vae

from npvae import VAE, likelihoods
from npvae.backend.base import Ops
from npvae.errors import UnknownNameError
from npvae.model import Architecture, Model
from npvae.objectives import negative_elbo
from npvae.selfcheck import draw_data


@pytest.mark.parametrize("name", [name for name in likelihoods.KNOWN if name != "student_t"])
def test_without_z_no_bias_fits_better(rng, name):
    """With weights of 0 the outputs are the biases: the loss's derivative by those that are set is 0."""
    likelihood = likelihoods.KNOWN[name].example(5)
    x = draw_data(likelihood, rng, 400, 5)
    model = Model(Architecture(5, 2, (4,), likelihood=likelihood), Ops(np))
    theta = model.initial_parameters(0, "float64", x)
    views = model.views(theta)
    for tensor, view in views.items():
        if tensor.startswith("decoder/") and tensor.endswith("/W"):
            view[...] = 0.0
    gradient = model.views(negative_elbo(model, theta, x, rng.standard_normal((400, 2)))[1]())
    named = likelihood.initial_biases(x)
    assert named
    for head in named:
        assert np.abs(gradient[f"decoder/{head}/b"]).max() < 1e-12


def test_the_location_of_student_s_t_is_the_median(rng):
    x = rng.standard_normal((99, 3))
    np.testing.assert_array_equal(likelihoods.StudentT().initial_biases(x)["location"], np.median(x, axis=0))


def test_pixels_that_never_change_are_cut():
    x = np.array([[0.0, 1.0], [0.0, 1.0]])
    for name in ("bernoulli", "continuous_bernoulli"):
        low, high = likelihoods.get(name).initial_biases(x)["logits"]
        assert np.isfinite([low, high]).all() and low == pytest.approx(-high)
    assert likelihoods.Bernoulli().initial_biases(x)["logits"][1] == pytest.approx(np.log(0.999 / 0.001))


def test_a_run_starts_there_and_fits_sooner(tmp_path):
    x = np.clip(grey_rows(200) * np.array([0.1, 0.2, 0.1, 1.0, 0.9, 1.0]), 0, 1)
    arguments = {"epochs": 1, "batch_size": 20, "learning_rate": 1e-4}
    zero, data = small_vae(**arguments).fit(x), small_vae(**arguments, output_bias="data").fit(x)
    assert data.history_["loss"][0] < zero.history_["loss"][0] - 0.1
    data.save(tmp_path / "m.npz")
    assert VAE.load(tmp_path / "m.npz").output_bias == "data"


def test_what_is_neither_is_refused():
    with pytest.raises(UnknownNameError, match="output_bias"):
        small_vae(output_bias="mean").fit(grey_rows())


def test_adam_s_second_moment_starts_where_it_is_told(ops):
    from npvae.optim import Adam

    theta = ops.copy(np.zeros(3))
    state = Adam(initial_accumulator=0.25).initial_state(ops, theta)
    assert state["m"].tolist() == [0.0] * 3 and state["v"].tolist() == [0.25] * 3
    Adam(initial_accumulator=0.25, epsilon=1e-30).update(ops, theta, ops.copy(np.full(3, 0.5)), state, 0.1, 1)
    # v = 0.999/4 + 0.001/4 = 1/4, and over 1 - 0.999 it is 250: the first step is small.
    np.testing.assert_allclose(theta, -0.1 * 0.5 / np.sqrt(250.0), rtol=1e-12)
