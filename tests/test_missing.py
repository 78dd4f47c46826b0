"""Missing entries: what is not observed adds nothing, pulls at nothing, and is seen by the encoder as missing."""

import math

import numpy as np
import pytest

from npvae import VAE
from npvae.backend.base import Ops
from npvae.errors import InputError, InputTypeError
from npvae.evaluation import evaluate_elbo, log_likelihood
from npvae.gradcheck.checker import check_gradient
from npvae.gradcheck.own_gradients import draw_data
from npvae.mathematics import likelihoods, missing
from npvae.mathematics.model import Architecture, Model
from npvae.mathematics.objectives import importance_weighted_loss, negative_elbo
from npvae.training import TrainingSettings, train

N_FEATURES = 5


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_the_encoder_sees_and_what_means_are_filled_in(dtype):
    """NaN is 0, or what somebody else completed, and marked; a column's mean is of what is observed of it, summed in
    float64.
    """
    x = np.array([[16777216, 5, np.nan], [1, np.nan, np.nan], [1, np.nan, np.nan], [np.nan, np.nan, np.nan]], dtype)
    observed = ~np.isnan(x)
    filled, there = missing.split(np, x)
    assert filled.dtype == dtype and there.tolist() == observed.tolist()
    assert filled.tolist() == [[16777216, 5, 0], [1, 0, 0], [1, 0, 0], [0, 0, 0]]
    seen = missing.encoder_input(np, x)
    assert seen.dtype == dtype and seen.tolist() == np.hstack([filled, observed]).tolist()
    completed = np.full((4, 3), 7, dtype)
    assert missing.encoder_input(np, x, completed).tolist() == np.hstack([completed, observed]).tolist()
    means = missing.fill_with_means(x)
    assert means.dtype == dtype
    mean = np.array(16777218 / 3).astype(dtype)
    np.testing.assert_array_equal(means, [[16777216, 5, 0], [1, 5, 0], [1, 5, 0], [mean, 5, 0]])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_keeping_what_is_observed(dtype):
    values, observed = np.array([1.0, np.inf, 3.0], dtype), np.array([True, False, True])
    for otherwise, wanted in (({}, 0.0), ({"otherwise": 2.0}, 2.0), ({"otherwise": np.array([7, 8, 9], dtype)}, 8.0)):
        kept = missing.keep(np, observed, values, **otherwise)
        assert kept.dtype == dtype and kept.tolist() == [1.0, wanted, 3.0]
    assert missing.keep(np, None, values) is values


def pattern(kind, generator, rows, share=0.4):
    """Which entries are observed, (rows, 5): the columns of one variable together; one row of nothing, one of
    everything.
    """
    observed = generator.random((rows, N_FEATURES)) > share
    if kind.name in ("categorical", "multinomial", "dirichlet_multinomial", "ordinal"):
        observed[:] = observed[:, :1]
    if kind.name == "table":  # its example has one column each of three kinds, then a block
        observed[:, 3:] = observed[:, 3:4]
    observed[0], observed[1] = False, True
    return observed


def some(likelihood, generator, rows=7):
    """Outputs, own parameters, data."""
    outputs = tuple(generator.standard_normal((rows, width)) for width in likelihood.heads(N_FEATURES).values())
    own = {k: v + generator.standard_normal(v.shape) for k, v in likelihood.parameters(N_FEATURES).items()}
    return outputs, own, draw_data(likelihood, generator, rows, N_FEATURES)


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in likelihoods.KNOWN
        if name not in ("categorical", "multinomial", "dirichlet_multinomial", "ordinal", "table")
    ],
)
def test_a_likelihood_of_what_is_observed_is_that_of_fewer_features(ops, rng, name):
    """Row by row: the observed columns alone, in a likelihood of so many features."""
    likelihood = likelihoods.get(name)
    outputs, own, x = some(likelihood, rng)
    observed = pattern(likelihood, rng, len(x))
    dnll = rng.standard_normal(len(x))
    nll, backward = likelihood.negative_log_likelihood(ops, outputs, x, own, True, observed)
    doutputs, dparameters = backward(dnll)
    wanted = {k: np.zeros_like(v) for k, v in own.items()}
    for b, there in enumerate(observed):
        if not there.any():
            assert nll[b] == pytest.approx(0.0, abs=1e-14)
            continue
        part = tuple(output[b : b + 1, there] for output in outputs)
        mine = {k: v[there] if v.shape == (N_FEATURES,) else v for k, v in own.items()}
        value, value_backward = likelihood.negative_log_likelihood(Ops(np), part, x[b : b + 1, there], mine)
        assert nll[b] == pytest.approx(float(value[0]), rel=1e-12)
        by_outputs, by_parameters = value_backward(dnll[b : b + 1])
        for found, by_output in zip(doutputs, by_outputs, strict=True):
            np.testing.assert_allclose(found[b, there], by_output[0], rtol=1e-11, atol=1e-13)
        for k, v in by_parameters.items():
            wanted[k][there if v.shape == (int(there.sum()),) and len(own[k]) == N_FEATURES else ...] += v
    for k, v in wanted.items():
        np.testing.assert_allclose(dparameters[k], v, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("name", likelihoods.KNOWN)
def test_derivatives_are_exactly_zero_where_something_is_missing(ops, rng, name):
    """Whatever the outputs are there, and whatever x holds there."""
    likelihood = likelihoods.KNOWN[name].example(N_FEATURES)
    outputs, own, x = some(likelihood, rng)
    observed, dnll = pattern(likelihood, rng, len(x)), rng.standard_normal(len(x))
    losses = []
    for value in (0.0, 1.0):
        filled = np.where(observed, x, value)
        nll, backward = likelihood.negative_log_likelihood(ops, outputs, filled, own, True, observed)
        for doutput in backward(dnll)[0]:
            if name == "ordinal":
                assert (doutput[~observed[:, 0]] == 0.0).all() and (doutput[observed[:, 0]] != 0.0).all()
                continue
            assert doutput.shape == observed.shape or name == "table"
            if doutput.shape == observed.shape:
                assert (doutput[~observed] == 0.0).all() and (doutput[observed] != 0.0).any()
        losses.append(np.array(nll))
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("name", likelihoods.KNOWN)
@pytest.mark.parametrize("linear_path", [False, True])
def test_gradient_of_both_bounds_with_missing_entries(ops, rng, name, linear_path):
    """The reference's against differences, every backend's against the reference's."""
    likelihood = likelihoods.KNOWN[name].example(N_FEATURES)
    shape = {"activation": "tanh", "likelihood": likelihood, "missing": True, "linear_path": linear_path}
    model = Model(Architecture(N_FEATURES, 3, (6,), **shape), Ops(np))
    theta = model.initial_parameters(0, "float64") + 0.3 * rng.standard_normal(model.layout.size)
    x = draw_data(likelihood, rng, 7, N_FEATURES)
    x = np.where(pattern(likelihood, rng, 7), x, np.nan)
    eps = rng.standard_normal((3, 7, 3))

    other = Model(model.architecture, ops)
    to_device, to_numpy = ops.asarray, ops.to_numpy
    for bound, noise in ((importance_weighted_loss, eps), (negative_elbo, eps[0])):

        def function(theta, bound=bound, noise=noise):
            terms, backward = bound(model, theta, x, noise, 0.7)
            return terms.loss, lambda dloss: (backward(dloss),)

        if ops.name == "reference":
            assert check_gradient(function, [theta], names=["theta"])
        wanted = bound(model, theta, x, noise, 0.7)[1]()
        found = bound(other, to_device(theta), to_device(x), to_device(noise), 0.7)[1]()
        np.testing.assert_allclose(to_numpy(found), wanted, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("hidden", [(), (4,)])
def test_at_first_which_entries_are_observed_makes_no_difference(rng, hidden):
    model = Model(Architecture(N_FEATURES, 2, hidden, missing=True, linear_path=True), Ops(np))
    views = model.views(model.initial_parameters(0, "float64"))
    x = rng.random((5, N_FEATURES))
    x[:, 2] = 0.0
    with_nan = x.copy()
    with_nan[:, 2] = np.nan
    for a, b in zip(model.encode(views, x)[0], model.encode(views, with_nan)[0], strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.std() > 0


def test_the_encoder_sees_numbers_and_what_is_missing():
    x = np.array([[1.0, np.nan, -2.0], [np.nan] * 3])
    np.testing.assert_array_equal(missing.encoder_input(np, x), [[1, 0, -2, 1, 0, 1], [0] * 6])
    means = missing.fill_with_means(np.array([[1.0, np.nan, np.nan], [3.0, 5.0, np.nan]], np.float32))
    np.testing.assert_array_equal(means, [[1, 5, 0], [3, 5, 0]])
    assert means.dtype == np.float32


def log_normal(x, mean, covariance) -> float:
    difference = x - mean
    quadratic = difference @ np.linalg.inv(covariance) @ difference if len(x) else 0.0
    return -0.5 * float(quadratic + np.linalg.slogdet(2 * math.pi * covariance)[1])


@pytest.mark.parametrize("hidden", [(), (4,)])
def test_log_p_of_the_observed_entries_of_a_linear_model(rng, hidden):
    """x_obs ~ N(b, V V^T + v I) without the rows and columns of what is missing; hidden layers of weight zero change
    nothing.
    """
    shape = {"likelihood": {"name": "gaussian", "variance": 0.3}, "missing": True, "linear_path": bool(hidden)}
    model = Model(Architecture(N_FEATURES, 2, hidden, **shape), Ops(np))
    theta = 0.7 * rng.standard_normal(model.layout.size)
    views = model.views(theta)
    if hidden:
        views["decoder/mean/W"][...] = 0.0
    V = views["decoder/linear/mean/V" if hidden else "decoder/mean/W"]
    for name, view in views.items():  # a posterior near the prior, so that the weights are tame
        if name.startswith("encoder/"):
            view *= 0.3 if "mean" in name else 0.0
    x = rng.standard_normal((6, N_FEATURES))
    x[rng.random(x.shape) < 0.4] = np.nan
    found = log_likelihood(model, theta, x, 0, samples=40000)
    covariance = V.T @ V + 0.3 * np.eye(N_FEATURES)
    for b, row in enumerate(x):
        there = ~np.isnan(row)
        wanted = log_normal(row[there], views["decoder/mean/b"][there], covariance[np.ix_(there, there)])
        assert found.rows[b] == pytest.approx(wanted, abs=max(5 * found.errors[b], 1e-9))
    assert evaluate_elbo(model, theta, x, 0)["elbo"] < found.mean


@pytest.mark.parametrize("settings", [{}, {"objective": {"name": "importance_weighted", "samples": 3}}])
@pytest.mark.parametrize("binarize", ["none", "dynamic"])
def test_training_agrees_between_backends_and_fits_what_is_observed(ops, rng, settings, binarize):
    x = np.clip(0.15 + 0.7 * (rng.random((60, 1)) < 0.5) + 0.1 * rng.random((60, 6)), 0, 1)
    x = np.where(rng.random(x.shape) < 0.3, np.nan, x)
    architecture = Architecture(6, 2, (8,), activation="tanh", missing=True, linear_path=True)
    made = TrainingSettings(
        seed=1,
        epochs=40,
        batch_size=20,
        optimizer="adam",
        learning_rate=0.02,
        binarize=binarize,
        output_bias="data",
        **settings,
    )
    states = [train(Model(architecture, each), made, each.asarray(x)) for each in (Ops(np), ops)]
    np.testing.assert_allclose(states[1].theta, states[0].theta, rtol=1e-8, atol=1e-10)
    losses = states[0].history["loss"]
    assert losses[-1] < losses[0] - 0.2 and all(map(math.isfinite, losses))


def test_an_estimator_for_incomplete_data(tmp_path, rng):
    x = rng.random((40, 5))
    x[rng.random(x.shape) < 0.3] = np.nan
    with pytest.raises(InputError, match="missing=True"):
        VAE().fit(x)
    vae = VAE(2, (7,), missing=True, linear_path=True, epochs=3, batch_size=10, random_state=0).fit(x)
    vae.save(tmp_path / "m.npz")
    again = VAE.load(tmp_path / "m.npz")
    np.testing.assert_array_equal(again.transform(x), vae.transform(x))
    assert again.missing and again.linear_path
    assert np.isfinite(vae.transform(x)).all() and np.isfinite(vae.score(x)) and np.isfinite(vae.elbo(x))
    assert vae.reconstruct(x).shape == x.shape and np.isfinite(vae.reconstruct(x)).all()
    complete = VAE(2, (7,), epochs=1, random_state=0).fit(np.nan_to_num(x))
    with pytest.raises(InputError, match="NaN"):
        complete.transform(x)


def test_what_cannot_be_learnt_from_is_refused(rng):
    x = rng.random((20, 3))
    x[:, 1] = np.nan
    with pytest.raises(InputError, match="column 1.*nothing"):
        VAE(missing=True).fit(x)
    x[:, 1] = np.inf
    with pytest.raises(InputError, match="infinit"):
        VAE(missing=True).fit(x)
    for name in ("missing", "linear_path"):
        with pytest.raises(InputTypeError, match=f"{name} must be True or False"):
            VAE(**{name: 1}).fit(rng.random((20, 3)))


def test_a_categorical_variable_is_missing_as_a_whole(rng):
    x = np.eye(3)[rng.integers(0, 3, 20)]
    x[4, 1] = np.nan
    with pytest.raises(InputError, match="row 4 of X lacks some of column 0 to column 2"):
        VAE(missing=True, likelihood="categorical").fit(x)
    x[4] = np.nan
    VAE(missing=True, likelihood="categorical", epochs=1).fit(x)
