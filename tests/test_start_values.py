"""Where training starts, number by number, where nobody says anything about it: weights, biases, linear paths, masks,
the likelihood's own parameters, seeds of parts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from small import grey_rows, small_vae

from npvae import VAE, SemiSupervisedVAE
from npvae.backend.base import Ops
from npvae.estimators.tables.imputer import seed_of_member
from npvae.mathematics import likelihoods, random
from npvae.mathematics.model import Architecture, Model
from npvae.mathematics.semi_supervised import SemiSupervisedArchitecture, SemiSupervisedModel

ARCHITECTURES = {
    "plain": Architecture(6, 2, (5, 4)),
    "linear": Architecture(6, 2, ()),
    "paths": Architecture(6, 2, (5,), linear_path=True),
    "missing": Architecture(6, 2, (5,), missing=True),
    "both": Architecture(6, 2, (5,), missing=True, linear_path=True),
    "linear, missing": Architecture(6, 2, (), missing=True),
    "own parameters": Architecture(6, 2, (5,), likelihood="gaussian_per_feature"),
    "table": Architecture(6, 2, (5,), missing=True, completed=True, linear_path=True, likelihood="student_t"),
    "classes": SemiSupervisedArchitecture(6, 2, (5,), n_classes=3),
}


def model_of(architecture):
    return (SemiSupervisedModel if isinstance(architecture, SemiSupervisedArchitecture) else Model)(
        architecture, Ops(np)
    )


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_tensor_starts_as_its_rule_says(name):
    model = model_of(ARCHITECTURES[name])
    architecture = model.architecture
    views = model.layout.views(np, model.initial_parameters(7, "float64"))
    layers = {layer.W: (step, layer.inputs, layer.outputs) for step, layer in enumerate(architecture.dense_layers())}
    assert layers and set(layers) <= set(views)
    own = likelihoods.get(architecture.likelihood).parameters(architecture.n_features)
    for tensor, view in views.items():
        if tensor in layers:
            step, inputs, outputs = layers[tensor]
            assert view.shape == (inputs, outputs)
            wanted = math.sqrt(6 / (inputs + outputs)) * (
                2 * random.uniform(7, "initial weights", step, view.shape) - 1
            )
            sees_what_is_observed = architecture.missing and tensor.startswith("encoder/") and inputs == 12
            if sees_what_is_observed:
                wanted[6:] = 0.0
            np.testing.assert_allclose(view, wanted, rtol=1e-15)
        elif tensor.startswith("likelihood/"):
            np.testing.assert_array_equal(view, np.broadcast_to(own[tensor.removeprefix("likelihood/")], view.shape))
        else:
            assert tensor.endswith(("/b", "/V")), tensor
            np.testing.assert_array_equal(view, 0.0)
    assert any(tensor.endswith("/V") for tensor in views) == architecture.linear_path


def test_float32_starts_with_the_same_numbers_and_another_seed_with_others():
    model = model_of(ARCHITECTURES["plain"])
    exact = model.initial_parameters(7, "float64")
    np.testing.assert_array_equal(model.initial_parameters(7), exact.astype(np.float32))
    assert model.initial_parameters(7).dtype == np.float32
    weights = exact != 0.0
    assert (model.initial_parameters(8, "float64")[weights] != exact[weights]).all()


def test_biases_that_start_at_the_data_leave_all_else_as_it_is():
    x = grey_rows()
    for name in ("plain", "missing"):
        model = model_of(ARCHITECTURES[name])
        some = x.copy()
        if name == "missing":
            some[::3, 1] = np.nan
        without, found = (model.layout.views(np, model.initial_parameters(7, "float64", data)) for data in (None, some))
        means = np.nanmean(some, axis=0)
        changed = [tensor for tensor in found if not np.array_equal(found[tensor], without[tensor])]
        assert changed == ["decoder/logits/b"]
        np.testing.assert_allclose(found["decoder/logits/b"], np.log(means / (1 - means)), rtol=1e-10)


def test_fits_that_are_told_nothing_begin_and_go_on_as_each_other():
    """The defaults given are the defaults left out, to the bit; what is left out of a rate of nearly 0 is where it
    started.
    """
    x = grey_rows()
    still = small_vae(epochs=1, learning_rate=1e-30, dtype="float64", backend="numpy").fit(x)
    np.testing.assert_allclose(still.theta_, still.model_.initial_parameters(1, "float64"), atol=1e-25)
    plain = small_vae(backend="numpy").fit(x)
    spelled = VAE(
        2,
        (5,),
        decoder_hidden=(5,),
        activation="relu",
        missing=False,
        linear_path=False,
        likelihood="bernoulli",
        objective="elbo",
        beta=1.0,
        kl_warmup=0,
        optimizer="rmsprop",
        learning_rate=1e-3,
        schedule="constant",
        clip_norm=None,
        batch_size=7,
        epochs=3,
        validation_fraction=0.0,
        patience=None,
        min_delta=0.0,
        binarize="none",
        initial_weights="glorot",
        output_bias="zero",
        divide_by=1.0,
        backend="numpy",
        dtype="float32",
        random_state=1,
    ).fit(x)
    np.testing.assert_array_equal(plain.theta_, spelled.theta_)


def test_a_linear_path_that_is_left_at_its_start_changes_nothing():
    """With V at 0 the model computes what it would without: the path is beside the layers, not in them."""
    x = grey_rows(9)
    with_path, without = (model_of(Architecture(6, 2, (5,), linear_path=path)) for path in (True, False))
    outputs = []
    for model in (with_path, without):
        views = model.views(model.initial_parameters(7, "float64"))
        (mu, logvar), _ = model.encode(views, x)
        outputs.append(np.concatenate([mu, logvar, model.expected(views, mu)], axis=1))
    np.testing.assert_allclose(*outputs, rtol=1e-14)


def test_seeds_of_parts_are_their_own():
    """Of every member of a table's imputer, of every estimator that was given none, and of M2's VAE of features."""
    found = [seed_of_member(seed, i) for seed in range(20) for i in range(10)]
    assert len(set(found)) == 200 and all(0 <= seed < 2**63 for seed in found)
    assert seed_of_member(3, 4) == int(random.words(3, "members", 4, 1)[0] >> np.uint64(1))
    x = grey_rows()
    seeds = {small_vae(random_state=None, epochs=1, backend="numpy").fit(x).seed_ for _ in range(3)}
    assert len(seeds) == 3
    y = np.array([0, 1] * 20)
    model = SemiSupervisedVAE(
        small_vae(random_state=5, backend="numpy"), 2, (4,), epochs=1, random_state=9, backend="numpy"
    ).fit(x, y)
    assert (model.features_.seed_, model.seed_) == (5, 9)
    alone = small_vae(random_state=5, backend="numpy").fit(x)
    np.testing.assert_array_equal(model.features_.theta_, alone.theta_)
