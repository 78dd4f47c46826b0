"""The whole model: layout, initial weights, and the negative ELBO with its gradient."""

import json
import math

import numpy as np
import pytest

from npvae.backend.base import Ops
from npvae.errors import InputError, InputTypeError, UnknownNameError
from npvae.gradcheck.checker import check_gradient
from npvae.gradcheck.own_gradients import draw_data
from npvae.mathematics import likelihoods
from npvae.mathematics.layers import activations
from npvae.mathematics.model import Architecture, Layout, Model
from npvae.mathematics.objectives import negative_elbo, value_and_gradient

ARCHITECTURES = [
    Architecture(4, 2, ()),
    Architecture(4, 3, (5,), activation="tanh"),
    Architecture(4, 1, (5, 6), activation="softplus", likelihood="gaussian"),
    Architecture(4, 2, (5,), decoder_hidden=(3, 7), activation="relu", likelihood="gaussian_decoder"),
    Architecture(4, 2, (), decoder_hidden=(3,), activation="identity", likelihood="gaussian_per_feature"),
    Architecture(4, 2, (6,), decoder_hidden=(), activation="tanh", likelihood="gaussian_one_variance"),
]

every_architecture = pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda a: f"{a.hidden}-{a.activation}")
every_likelihood = pytest.mark.parametrize("likelihood", likelihoods.KNOWN)


def point(architecture, rng, rows=5, dtype=np.float64):
    """theta, x, eps."""
    model = Model(architecture, Ops(np))
    theta = model.initial_parameters(3, "float64") + 0.2 * rng.standard_normal(model.layout.size)
    x = draw_data(architecture.likelihood, rng, rows, architecture.n_features)
    eps = rng.standard_normal((rows, architecture.latent_dim))
    return [array.astype(dtype) for array in (theta, x, eps)]


# Architecture and layout


def test_names_shapes_and_order():
    architecture = Architecture(7, 2, (5, 4), decoder_hidden=(3,), likelihood="gaussian_per_feature")
    assert list(Model(architecture, Ops(np)).layout.shapes.items()) == [
        ("encoder/0/W", (7, 5)),
        ("encoder/0/b", (5,)),
        ("encoder/1/W", (5, 4)),
        ("encoder/1/b", (4,)),
        ("encoder/mean/W", (4, 2)),
        ("encoder/mean/b", (2,)),
        ("encoder/logvar/W", (4, 2)),
        ("encoder/logvar/b", (2,)),
        ("decoder/0/W", (2, 3)),
        ("decoder/0/b", (3,)),
        ("decoder/mean/W", (3, 7)),
        ("decoder/mean/b", (7,)),
        ("likelihood/raw_logvar", (7,)),
    ]


def test_size_of_the_usual_model():
    model = Model(Architecture(784), Ops(np))
    assert model.layout.size == 784 * 256 + 256 + 2 * (256 * 2 + 2) + 2 * 256 + 256 + 256 * 784 + 784 == 404_244


def test_views_are_views():
    layout = Layout({"a": (2, 3), "empty": (0, 4), "b": (4,)})
    flat = np.arange(10.0)
    views = layout.views(np, flat)
    assert layout.size == 10 and {name: v.shape for name, v in views.items()} == layout.shapes
    np.testing.assert_array_equal(views["a"], [[0, 1, 2], [3, 4, 5]])
    views["a"][1, 0] = -1.0
    views["b"][...] = 9.0
    np.testing.assert_array_equal(flat, [0, 1, 2, -1, 4, 5, 9, 9, 9, 9])


def test_the_decoder_mirrors_the_encoder_unless_told():
    assert Architecture(9, 2, [8, 4]).decoder_hidden == (4, 8)
    assert Architecture(9, 2, [8, 4], decoder_hidden=[]).decoder_hidden == ()
    assert Architecture(9, 2, 8, decoder_hidden=5).hidden == (8,)


def test_one_hidden_layer_as_a_number():
    assert Architecture(9, 2, 8) == Architecture(9, 2, (8,))


def test_sizes_may_be_numpy_integers():
    architecture = Architecture(np.int64(9), np.int64(2))
    assert json.loads(json.dumps(architecture.config()))["n_features"] == 9


@every_architecture
def test_config_round_trip(architecture):
    assert Architecture.from_config(json.loads(json.dumps(architecture.config()))) == architecture


def test_bad_architectures():
    for arguments, message in [
        ({"n_features": 0}, "n_features must be at least 1, got 0"),
        ({"latent_dim": 0}, "latent_dim must be at least 1"),
        ({"hidden": (3, 0)}, "each of hidden must be at least 1"),
        ({"decoder_hidden": (-1,)}, "each of decoder_hidden must be at least 1"),
    ]:
        with pytest.raises(InputError, match=message):
            Architecture(**{"n_features": 4, **arguments})
    with pytest.raises(InputTypeError, match="each of hidden must be a whole number"):
        Architecture(4, 2, (2.5,))
    with pytest.raises(UnknownNameError, match="unknown activation 'sigmoid'; known: 'identity', 'relu'"):
        Architecture(4, activation="sigmoid")
    with pytest.raises(UnknownNameError, match="unknown likelihood"):
        Architecture(4, likelihood="cauchy")


# Initial parameters


def test_initial_weights_are_glorot_uniform_and_biases_zero(ops):
    model = Model(Architecture(300, 10, (200,), likelihood="gaussian_per_feature"), ops)
    theta = model.initial_parameters(0, "float64")
    for name, value in model.views(theta).items():
        if name.endswith("/W"):
            limit = math.sqrt(6 / sum(value.shape))
            assert np.abs(value).max() < limit and np.abs(value).max() > 0.99 * limit
            n = value.size
            assert abs(value.mean()) < 5 * limit / math.sqrt(3 * n)
            # w^2 / limit^2 has mean 1/3 and variance 4/45.
            assert abs((value**2).mean() / limit**2 - 1 / 3) < 5 * math.sqrt(4 / 45 / n)
        else:
            assert not value.any()


def test_seeds_and_layers_differ_and_repeat(ops):
    model = Model(Architecture(6, 4, (4,)), ops)
    a, b, again = (model.initial_parameters(seed) for seed in (0, 1, 0))
    assert a.dtype == np.float32
    np.testing.assert_array_equal(a, again)
    weights = [value for name, value in model.views(a).items() if name.endswith("/W")]
    others = [value for name, value in model.views(b).items() if name.endswith("/W")]
    assert all((v != w).all() for v, w in zip(weights, others, strict=True))
    mean, logvar = (model.views(a)[f"encoder/{head}/W"] for head in ("mean", "logvar"))
    assert (mean != logvar).all()
    np.testing.assert_array_equal(model.initial_parameters(0, "float64").astype(np.float32), a)


# The gradient


@every_architecture
def test_gradient_of_every_tensor_with_a_random_upstream(ops, rng, architecture):
    model = Model(architecture, ops)
    theta, x, eps = point(architecture, rng)
    names = list(model.layout.shapes)

    def function(*tensors):
        terms, backward = negative_elbo(model, np.concatenate([t.ravel() for t in tensors]), x, eps, beta=1.7)
        return terms.loss, lambda dloss: tuple(model.views(backward(dloss)).values())

    report = check_gradient(function, list(model.views(theta).values()), names=names, rtol=1e-6)
    assert [row.name for row in report.rows] == names


def test_gradient_at_full_size(ops, rng):
    """Random directions through all 404 244 parameters at once, and some elements alone."""
    architecture = Architecture(784, 2, (256,))
    model = Model(architecture, ops)
    theta, x, eps = point(architecture, rng, rows=8)

    def function(theta):
        terms, backward = negative_elbo(model, theta, x, eps)
        return terms.loss, backward

    report = check_gradient(function, [theta], rtol=1e-7)
    assert report.rows[0].checked.startswith("6 directions")


@every_likelihood
@pytest.mark.parametrize("activation", activations.NAMES)
def test_loss_and_gradient_equal_automatic_differentiation(ops, rng, likelihood, activation):
    autograd = pytest.importorskip("autograd")
    import autodiff

    architecture = Architecture(
        6, 3, (5, 4), decoder_hidden=(7,), activation=activation, likelihood=likelihoods.KNOWN[likelihood].example(6)
    )
    theta, x, eps = point(architecture, rng)
    loss, gradient = value_and_gradient(Model(architecture, ops), theta, x, eps, beta=0.6)
    wanted, slope = autograd.value_and_grad(lambda t: autodiff.negative_elbo(architecture, t, x, eps, 0.6))(theta)
    assert float(loss) == pytest.approx(float(wanted), rel=1e-13)
    assert np.linalg.norm(gradient - slope) < 1e-12 * np.linalg.norm(slope)
    np.testing.assert_allclose(gradient, slope, rtol=1e-10, atol=1e-13 * float(np.abs(slope).max()))


class Watched(Ops):
    """Notes the inputs of the dense layers whose dx is asked for, and of the others."""

    def __init__(self):
        super().__init__(np)
        self.with_dx, self.without_dx = [], []

    def dense_backward(self, dy, x, y, W, activation, need_dx, out=None):
        (self.with_dx if need_dx else self.without_dx).append(x)
        return super().dense_backward(dy, x, y, W, activation, need_dx, out)


@every_architecture
def test_the_gradient_by_the_data_alone_is_not_computed(rng, architecture):
    watched = Watched()
    theta, x, eps = point(architecture, rng)
    value_and_gradient(Model(architecture, watched), theta, x, eps)
    assert watched.without_dx and all(array is x for array in watched.without_dx)
    assert watched.with_dx and not any(array is x for array in watched.with_dx)


def test_views_of_several_vectors_are_kept_apart(ops, rng):
    model = Model(ARCHITECTURES[1], ops)
    vectors = rng.standard_normal((4, model.layout.size))
    rows = [vectors[i] for i in (0, 1, 2, 0, 3, 1)]
    for flat in [*rows, rows[0].copy(), *rows]:
        for name, view in model.views(flat).items():
            assert np.shares_memory(view, flat) and view.shape == model.layout.shapes[name]
            np.testing.assert_array_equal(view.ravel(), flat[model.layout.slices[name]])


@every_architecture
def test_float32_is_float64(ops, rng, architecture):
    model = Model(architecture, ops)
    arrays = point(architecture, rng, rows=20, dtype=np.float32)
    loss, gradient = value_and_gradient(model, *arrays)
    wanted, slope = value_and_gradient(model, *(a.astype(np.float64) for a in arrays))
    assert gradient.dtype == np.float32
    assert float(loss) == pytest.approx(float(wanted), rel=1e-5)
    assert np.linalg.norm(gradient - slope) < 1e-5 * np.linalg.norm(slope)


# The loss


def test_the_loss_is_its_parts(ops, rng):
    architecture = ARCHITECTURES[1]
    model = Model(architecture, ops)
    theta, x, eps = point(architecture, rng)
    terms, _ = negative_elbo(model, theta, x, eps, beta=2.5)
    assert terms.loss == pytest.approx(terms.reconstruction + 2.5 * terms.kl, rel=1e-15)
    assert terms.nll_rows.shape == (5,) and terms.kl_rows.shape == terms.mu.shape == (5, 3)
    assert terms.reconstruction == pytest.approx(terms.nll_rows.mean(), rel=1e-14)
    assert terms.kl == pytest.approx(terms.kl_rows.sum(axis=1).mean(), rel=1e-14)
    (mu, _), _ = model.encode(model.views(theta), x)
    np.testing.assert_array_equal(terms.mu, mu)


def test_beta_weighs_the_kl_alone(ops, rng):
    architecture = ARCHITECTURES[1]
    model = Model(architecture, ops)
    arrays = point(architecture, rng)
    zero, one, three = (value_and_gradient(model, *arrays, beta=beta) for beta in (0.0, 1.0, 3.0))
    kl = negative_elbo(model, *arrays)[0].kl
    assert three[0] - zero[0] == pytest.approx(3 * kl, rel=1e-13)
    # The gradient is linear in beta, and beta is not without effect on the encoder.
    np.testing.assert_allclose(three[1] - zero[1], 3 * (one[1] - zero[1]), rtol=1e-10, atol=1e-13)
    moved = model.views(one[1] - zero[1])
    assert all((np.abs(moved[name]) > 0).any() == name.startswith("encoder") for name in moved)


@every_likelihood
def test_a_mean_over_rows_not_a_sum(ops, rng, likelihood):
    architecture = Architecture(4, 2, (5,), likelihood=likelihoods.KNOWN[likelihood].example(4))
    model = Model(architecture, ops)
    theta, x, eps = point(architecture, rng)
    once = value_and_gradient(model, theta, x, eps)
    twice = value_and_gradient(model, theta, np.concatenate([x, x]), np.concatenate([eps, eps]))
    assert twice[0] == pytest.approx(once[0], rel=1e-13)
    np.testing.assert_allclose(twice[1], once[1], rtol=1e-11, atol=1e-14)
    # And the mean of the losses of single rows.
    rows = [value_and_gradient(model, theta, x[i : i + 1], eps[i : i + 1]) for i in range(5)]
    assert once[0] == pytest.approx(np.mean([loss for loss, _ in rows]), rel=1e-13)
    np.testing.assert_allclose(once[1], np.mean([g for _, g in rows], axis=0), rtol=1e-10, atol=1e-13)


def test_out_is_overwritten_and_arguments_stay(ops, dtype, rng):
    architecture = Architecture(40, 3, (50,), likelihood="gaussian_per_feature")
    model = Model(architecture, ops)
    arrays = point(architecture, rng, rows=200, dtype=dtype)
    before = [a.copy() for a in arrays]
    loss, fresh = value_and_gradient(model, *arrays)
    out = np.full_like(fresh, np.nan)
    for _ in range(2):
        again, result = value_and_gradient(model, *arrays, out=out)
        assert result is out and again == loss
        np.testing.assert_array_equal(out, fresh)
    for a, b in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_without_gradient(ops, rng):
    architecture = ARCHITECTURES[3]
    model = Model(architecture, ops)
    arrays = point(architecture, rng)
    terms, backward = negative_elbo(model, *arrays, gradient=False)
    assert backward is None and terms.loss == negative_elbo(model, *arrays)[0].loss


def linear_gaussian(rng, variance):
    """A linear model with orthogonal factors, whose posterior is diagonal, and its exact log p(x)."""
    latent, features = 2, 5
    architecture = Architecture(features, latent, (), likelihood=likelihoods.Gaussian(variance))
    W = np.linalg.qr(rng.standard_normal((features, latent)))[0].T * np.array([[1.5], [0.4]])
    b = rng.standard_normal(features)
    x = rng.standard_normal((6, features)) + b
    covariance = W.T @ W + variance * np.eye(features)
    _, log_determinant = np.linalg.slogdet(covariance)
    centred = x - b
    mahalanobis = np.einsum("ij,ij->i", centred @ np.linalg.inv(covariance), centred)
    log_p = -0.5 * (mahalanobis + log_determinant + features * math.log(2 * math.pi))
    posterior = np.linalg.inv(np.eye(latent) + W @ W.T / variance)
    return architecture, W, b, x, log_p, posterior


def expected_elbo(model, theta, x):
    """The ELBO averaged over the noise exactly: the loss is quadratic in it, so 2 Z points suffice."""
    latent = model.architecture.latent_dim
    points = [sign * math.sqrt(latent) * np.eye(latent)[j] for j in range(latent) for sign in (-1.0, 1.0)]
    losses = [negative_elbo(model, theta, x, np.tile(p, (len(x), 1)))[0].loss for p in points]
    return -float(np.mean(losses))


@pytest.mark.parametrize("variance", [0.1, 1.0, 3.0])
def test_the_elbo_bounds_the_exact_likelihood_and_reaches_it(ops, rng, variance):
    architecture, W, b, x, log_p, posterior = linear_gaussian(rng, variance)
    model = Model(architecture, ops)
    theta = np.zeros(model.layout.size)
    views = model.views(theta)
    views["decoder/mean/W"][...], views["decoder/mean/b"][...] = W, b
    gain = W.T @ posterior / variance
    views["encoder/mean/W"][...], views["encoder/mean/b"][...] = gain, -b @ gain
    views["encoder/logvar/b"][...] = np.log(np.diag(posterior))
    assert abs(posterior[0, 1]) < 1e-12
    assert expected_elbo(model, theta, x) == pytest.approx(log_p.mean(), rel=1e-12)
    # By drawn noise the same, within five standard errors.
    draws = 1_000 if ops.name == "cupy" else 20_000  # the stand-in for a GPU is slow
    eps = rng.standard_normal((draws * len(x), 2))
    terms, _ = negative_elbo(model, theta, np.tile(x, (draws, 1)), eps, gradient=False)
    elbo = -(terms.nll_rows + terms.kl_rows.sum(axis=1)).reshape(draws, len(x)).mean(axis=1)
    assert abs(elbo.mean() - log_p.mean()) < 5 * elbo.std() / math.sqrt(draws)
    # The gradient by the encoder, averaged over the noise, vanishes at the exact posterior.
    points = [sign * math.sqrt(2) * np.eye(2)[j] for j in range(2) for sign in (-1.0, 1.0)]
    slope = np.mean([value_and_gradient(model, theta, x, np.tile(p, (6, 1)))[1] for p in points], axis=0)
    assert all(np.abs(v).max() < 1e-12 for name, v in model.views(slope).items() if name.startswith("encoder"))
    # Any other posterior gives less.
    for _ in range(5):
        moved = theta.copy()
        for name, view in model.views(moved).items():
            if name.startswith("encoder"):
                view += 0.2 * rng.standard_normal(view.shape)
        assert expected_elbo(model, moved, x) < log_p.mean() - 1e-6


# Errors


def test_wrong_arguments_are_named(ops, rng):
    architecture = ARCHITECTURES[1]
    model = Model(architecture, ops)
    theta, x, eps = point(architecture, rng)
    with pytest.raises(InputError, match=r"x must have shape \(rows, 4\), got \(5, 3\)"):
        value_and_gradient(model, theta, x[:, :3], eps)
    with pytest.raises(InputError, match=r"x must have shape \(rows, 4\), got \(4,\)"):
        value_and_gradient(model, theta, x[0], eps)
    with pytest.raises(InputError, match=r"eps has shape \(5, 2\), but mu has shape \(5, 3\)"):
        value_and_gradient(model, theta, x, eps[:, :2])
    with pytest.raises(InputError, match=r"eps has shape \(4, 3\), but mu has shape \(5, 3\)"):
        value_and_gradient(model, theta, x, eps[:4])
    with pytest.raises(InputError, match="the number of rows of x must be at least 1, got 0"):
        value_and_gradient(model, theta, x[:0], eps[:0])
    with pytest.raises(InputTypeError, match="x has dtype float32, but theta has dtype float64"):
        value_and_gradient(model, theta, x.astype(np.float32), eps)
    with pytest.raises(InputTypeError, match="eps has dtype float32, but mu has dtype float64"):
        value_and_gradient(model, theta, x, eps.astype(np.float32))


def test_a_network_has_at_most_a_thousand_layers():
    assert len(Architecture(2, 1, [1] * 1000, decoder_hidden=[]).hidden) == 1000
    for more in ({"hidden": [1] * 1001}, {"decoder_hidden": [1] * 1001}):
        with pytest.raises(
            InputError,
            match=f"the number of layers in {next(iter(more))} must be at most 1000 \\(a network that deep is not "
            f"trained\\), got 1001",
        ):
            Architecture(2, 1, **more)
    for wrong in ("256", 2.5, None):
        with pytest.raises(InputTypeError, match="hidden must be a list of whole numbers, got"):
            Architecture(2, 1, wrong)


def test_rows_with_missing_entries_and_those_completed():
    plain, holes, completed = (
        Architecture(4, 2, (3,), missing=missing, completed=done)
        for missing, done in ((False, False), (True, False), (True, True))
    )
    assert [(each.data_columns, each.encoder_inputs, each.decoder_inputs) for each in (plain, holes, completed)] == [
        (4, 4, 2),
        (4, 8, 2),
        (8, 8, 2),
    ]
    assert plain.config().keys() == {"n_features", "latent_dim", "hidden", "decoder_hidden", "activation", "likelihood"}
    assert completed.config() == {**plain.config(), "missing": True, "completed": True}
    assert Architecture(4, 2, (3,), linear_path=True).config() == {**plain.config(), "linear_path": True}
    seen = Architecture(4, 2, (3,), completed=True)
    assert (seen.data_columns, seen.encoder_inputs) == (8, 4) and seen.config() == {**plain.config(), "completed": True}
    for name in ("missing", "linear_path", "completed"):
        with pytest.raises(InputTypeError, match=f"{name} must be True or False, got 1 of type int"):
            Architecture(4, **{"missing": True, name: 1})


def test_weights_of_which_entries_are_observed_start_at_zero_and_no_others():
    model = Model(Architecture(4, 2, (9, 7), missing=True), Ops(np))
    views = model.views(model.initial_parameters(3, "float64"))
    assert not views["encoder/0/W"][4:].any()
    assert (
        all(views[name][...].all() for name in views if name.endswith("/W") and name != "encoder/0/W")
        and views["encoder/0/W"][:4].all()
    )
    # With data, their means count, of what is observed, whatever else stands behind the features.
    x = np.array([[0.2, np.nan, 0.5, 1.0, 9.0], [0.6, 0.25, 0.5, 0.0, 9.0], [0.4, np.nan, 0.5, 0.5, 9.0]])
    biases = model.views(model.initial_parameters(3, "float64", x))["decoder/logits/b"]
    means = np.array([0.4, 0.25, 0.5, 0.5])
    np.testing.assert_allclose(1 / (1 + np.exp(-biases)), means, atol=0.02)


def test_vectors_of_parameters_are_of_two_types(ops):
    model = Model(Architecture(3, 1, ()), ops)
    for dtype in (np.int64, np.float16):
        with pytest.raises(
            InputTypeError, match=f"a vector of parameters must be float32 or float64, got {np.dtype(dtype)}"
        ):
            model.views(np.zeros(model.layout.size, dtype))
    layout = Layout(shapes := {"a": (2,)})
    shapes["b"] = (3,)
    assert layout.shapes == {"a": (2,)}  # its own
