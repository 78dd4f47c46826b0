"""Biases of the decoder's outputs that start where they fit the data's columns, and starts as a linear model."""

import math

import numpy as np
import pytest
from small import grey_rows, small_vae

from npvae import VAE
from npvae.backend.base import Ops
from npvae.errors import UnknownNameError
from npvae.gradcheck.own_gradients import draw_data
from npvae.mathematics import likelihoods
from npvae.mathematics.model import Architecture, Model
from npvae.mathematics.objectives import negative_elbo

#: Their best biases have no closed form.
ABOUT = ("student_t", "bounded", "dirichlet_multinomial")


@pytest.mark.parametrize("name", [name for name in likelihoods.KNOWN if name not in ABOUT])
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


def logit(p):
    return math.log(p / (1.0 - p))


@pytest.mark.parametrize(
    ("name", "column", "head", "wanted"),
    [
        ("bernoulli", [0.0, 0.0, 1.0, 0.0], "logits", logit(0.25)),
        ("bernoulli", [0.0, 0.0], "logits", logit(0.001)),
        ("bernoulli", [1.0, 1.0], "logits", logit(0.999)),
        ("poisson", [0.0, 0.0], "log_rate", math.log(0.001)),
        ("poisson", [1.0, 4.0], "log_rate", math.log(2.5)),
        ("squared_error", [-1.0, 4.0], "mean", 1.5),
        ("gaussian", [-1.0, 4.0], "mean", 1.5),
        ("gaussian_one_variance", [-1.0, 4.0], "mean", 1.5),
        ("gaussian_per_feature", [-1.0, 4.0], "mean", 1.5),
        ("gaussian_decoder", [-1.0, 4.0], "mean", 1.5),
        ("student_t", [-1.0, 0.0, 40.0], "location", 0.0),
    ],
)
def test_biases_of_a_column(name, column, head, wanted):
    biases = likelihoods.get(name).initial_biases(np.array([column]).T)
    assert biases.keys() == {head} and biases[head] == pytest.approx([wanted], rel=1e-12)


def test_a_category_that_never_occurs_and_a_grey_that_is_all_there_is():
    x = np.array([[1.0, 0.0], [1.0, 0.0]])
    np.testing.assert_allclose(
        likelihoods.Categorical().initial_biases(x)["logits"], [0.0, math.log(0.001)], rtol=1e-12
    )
    logits = likelihoods.ContinuousBernoulli().initial_biases(np.array([[0.0, 1.0, 0.5, 0.2], [0.0, 1.0, 0.5, 0.4]]))[
        "logits"
    ]
    assert abs(logits[2]) < 1e-6
    np.testing.assert_allclose(grey_mean(logits[[0, 1, 3]]), [0.001, 0.999, 0.3], rtol=1e-9)


@pytest.mark.parametrize("name", likelihoods.KNOWN)
def test_biases_of_single_precision_data_are_added_up_in_double(rng, name):
    likelihood = likelihoods.KNOWN[name].example(5)
    x = draw_data(likelihood, rng, 4001, 5).astype(np.float32)
    x[:, :3] *= 0.3 if name in ("continuous_bernoulli", "bernoulli") else 1.0
    found, wanted = likelihood.initial_biases(x), likelihood.initial_biases(x.astype(np.float64))
    for head in wanted:
        assert found[head].dtype == np.float64
        np.testing.assert_array_equal(found[head], wanted[head])


# Where p(x|z) starts as a linear model with noise: three columns, the first near an end of its range, the last of
# little noise.
MEAN, V = np.array([0.004, 0.3, 0.75]), np.array([[0.01, -0.2, 0.3], [0.0, 0.1, 0.05]])
NOISE = np.array([0.5, 2e-3, 1e-8])
CUT = np.array([0.01, 0.3, 0.75])


def raw_of(floor):
    """log(noise - floor), where the floor is below the noise; elsewhere a thousandth of the noise is left."""
    return np.log([v - floor if v - floor > 1e-3 * v else 1e-3 * v for v in NOISE])


def grey_mean(logits):
    """The mean of a continuous Bernoulli variable, 1 / (1 - exp(-l)) - 1 / l, from the side where nothing overflows."""
    a = np.abs(logits)
    low = 1.0 / a + np.exp(-a) / np.expm1(-a)
    return np.where(logits < 0.0, low, 1.0 - low)


def slope_of_grey(logits):
    """The variance of a continuous Bernoulli variable: the derivative of its mean by l."""
    return 1.0 / logits**2 - 1.0 / (4.0 * np.sinh(logits / 2.0) ** 2)


def near_gaussian(**more):
    return {"path": {"mean": V}, "bias": {"mean": MEAN}, **more}


STARTS = {
    "bernoulli": ({}, {"path": {"logits": V / (CUT * (1 - CUT))}, "bias": {"logits": np.log(CUT) - np.log1p(-CUT)}}),
    "categorical": ({}, {"path": {"logits": V / CUT}, "bias": {"logits": np.log(CUT)}}),
    "squared_error": ({}, near_gaussian()),
    "gaussian": ({"variance": 0.3}, near_gaussian()),
    "gaussian_one_variance": ({}, near_gaussian(parameters={"raw_logvar": np.array([raw_of(1e-6).mean()])})),
    "gaussian_per_feature": ({"floor": 1e-3}, near_gaussian(parameters={"raw_logvar": raw_of(1e-3)})),
    "gaussian_decoder": ({}, {"path": {"mean": V}, "bias": {"mean": MEAN, "raw_logvar": raw_of(1e-3)}}),
}


@pytest.mark.parametrize("name", STARTS)
def test_linear_starts_number_by_number(name):
    arguments, wanted = STARTS[name]
    found = likelihoods.get({"name": name, **arguments}).linear_start(MEAN, V, NOISE)
    assert {kind: set(tensors) for kind, tensors in found.items()} == {
        kind: set(tensors) for kind, tensors in wanted.items()
    }
    for kind, tensors in wanted.items():
        for tensor, values in tensors.items():
            np.testing.assert_allclose(found[kind][tensor], values, rtol=1e-12, err_msg=f"{kind} {tensor}")
    upper = likelihoods.get({"name": name, **arguments}).linear_start(1.0 - MEAN, V, NOISE)["bias"]
    if name == "bernoulli":
        np.testing.assert_allclose(upper["logits"], -wanted["bias"]["logits"], rtol=1e-12)
    if name == "categorical":
        np.testing.assert_allclose(upper["logits"], np.log([0.99, 0.7, 0.25]), rtol=1e-12)


def test_the_linear_start_of_greys():
    found = likelihoods.ContinuousBernoulli().linear_start(MEAN, V, NOISE)
    logits = found["bias"]["logits"]
    np.testing.assert_allclose(grey_mean(logits), CUT, rtol=1e-9)
    np.testing.assert_allclose(found["path"]["logits"], V / slope_of_grey(logits), rtol=1e-5)
    assert likelihoods.ContinuousBernoulli().linear_start(1.0 - MEAN, V, NOISE)["bias"]["logits"] == pytest.approx(
        -logits, rel=1e-9
    )


@pytest.mark.parametrize(("floor", "smallest"), [(1e-3, 2.0), (0.0, 3.0), (1e-3, 0.1)])
def test_the_variance_of_student_s_t_starts_as_the_noise(floor, smallest):
    """s^2 n / (n - 2), with n counted as 2.5 at least above the line."""
    found = likelihoods.StudentT(floor, smallest).linear_start(MEAN, V, NOISE)
    np.testing.assert_array_equal(found["path"]["location"], V)
    np.testing.assert_array_equal(found["bias"]["location"], MEAN)
    np.testing.assert_array_equal(found["bias"]["raw_freedom"], [2.0] * 3)
    assert found.keys() == {"path", "bias"} and len(found["path"]) == 1 and len(found["bias"]) == 3
    freedom = smallest + math.log1p(math.exp(2.0))
    wanted = np.sqrt(NOISE * max(freedom - 2.0, 0.5) / freedom)
    beyond = np.log1p(np.exp(found["bias"]["raw_scale"]))  # of the floor
    np.testing.assert_allclose(
        beyond, np.where(wanted - floor > 1e-3 * wanted, wanted - floor, 1e-3 * wanted), rtol=1e-9
    )


def test_a_rate_that_is_almost_0_starts_as_a_tenth():
    found = likelihoods.Poisson().linear_start(MEAN, np.array([[0.01, 0.0, 0.3]]), NOISE)
    spread = np.log1p(np.array([0.01 / 0.1, 0.0, 0.3 / 0.75]) ** 2)
    np.testing.assert_allclose(found["bias"]["log_rate"], np.log([0.1, 0.3, 0.75]) - spread / 2, rtol=1e-12)
    np.testing.assert_allclose(found["path"]["log_rate"], [np.sqrt(spread)], rtol=1e-12)


def test_a_table_starts_as_its_parts():
    table = likelihoods.Table([("student_t", 1), ("gaussian_per_feature", 2)])
    found = table.linear_start(MEAN, V, NOISE)
    first = likelihoods.StudentT().linear_start(MEAN[:1], V[:, :1], NOISE[:1])
    second = likelihoods.GaussianPerFeature().linear_start(MEAN[1:], V[:, 1:], NOISE[1:])
    parts = (("part0_", first), ("part1_", second))
    for kind in ("path", "bias", "parameters"):
        wanted = {prefix + name: value for prefix, part in parts for name, value in part.get(kind, {}).items()}
        assert wanted.keys() == found[kind].keys()
        assert all(np.array_equal(value, found[kind][name]) for name, value in wanted.items())
    x = np.array([[1.0, 2.0, 3.0], [5.0, 2.0, 4.0]])
    assert {name: value.tolist() for name, value in table.initial_biases(x).items()} == {
        "part0_location": [3.0],
        "part1_mean": [2.0, 3.5],
    }


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
    from npvae.mathematics.optimizers import Adam

    theta = ops.copy(np.zeros(3))
    state = Adam(initial_accumulator=0.25).initial_state(ops, theta)
    assert state["m"].tolist() == [0.0] * 3 and state["v"].tolist() == [0.25] * 3
    Adam(initial_accumulator=0.25, epsilon=1e-30).update(ops, theta, ops.copy(np.full(3, 0.5)), state, 0.1, 1)
    # v = 0.999/4 + 0.001/4 = 1/4, and over 1 - 0.999 it is 250: the first step is small.
    np.testing.assert_allclose(theta, -0.1 * 0.5 / np.sqrt(250.0), rtol=1e-12)
