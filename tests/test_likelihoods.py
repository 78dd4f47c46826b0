"""What all likelihoods share: names, configurations, heads."""

import json
from unittest import mock

import numpy as np
import pytest

from npvae.backend.base import Ops
from npvae.errors import InputError, InputTypeError, UnknownNameError
from npvae.gradcheck.own_gradients import draw_data
from npvae.mathematics import likelihoods, random

EXAMPLES = [
    likelihoods.Bernoulli(),
    likelihoods.SquaredError(),
    likelihoods.Gaussian(),
    likelihoods.Gaussian(0.1),
    likelihoods.GaussianOneVariance(),
    likelihoods.GaussianPerFeature(0.01),
    likelihoods.GaussianDecoder(0.0),
    likelihoods.ContinuousBernoulli(),
    likelihoods.StudentT(0.01, smallest=1.0),
    likelihoods.Categorical(),
    likelihoods.Categorical([3, 4]),
    likelihoods.Poisson(),
    likelihoods.NegativeBinomial(),
    likelihoods.Multinomial(),
    likelihoods.DirichletMultinomial(),
    likelihoods.Ordinal(),
    likelihoods.Ordinal([3, 4]),
    likelihoods.Bounded(),
    likelihoods.Bounded(None, 2.0, 0.5, floor=0.1),
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
    assert set(widths.values()) == {1 if name == "ordinal" else 7} and len(widths) == {
        "gaussian_decoder": 2,
        "student_t": 3,
        "bounded": 2,
    }.get(name, 1)
    shapes = {key: value.shape for key, value in likelihood.parameters(7).items()}
    own = {
        "gaussian_one_variance": {"raw_logvar": (1,)},
        "gaussian_per_feature": {"raw_logvar": (7,)},
        "negative_binomial": {"log_size": (7,)},
        "ordinal": {"raw_thresholds": (7,)},
        "multinomial": {"log_total_mean": (1,), "log_total_size": (1,)},
        "dirichlet_multinomial": {"log_total_mean": (1,), "log_total_size": (1,)},
    }
    assert shapes == own.get(name, {})
    assert likelihood.reconstruction_label
    if name.startswith(("gaussian", "squared", "student")):
        likelihood.check_data(np.array([[-1e5, 3.0]]))


@pytest.mark.parametrize("features", [1, 2, 3, 4, 6])
def test_examples_fit_any_number_of_features(features):
    for kind in likelihoods.KNOWN.values():
        example = kind.example(features)
        assert isinstance(example, kind)
        widths = list(example.heads(features).values())
        if kind is not likelihoods.Table:
            assert set(widths) == {1 if kind is likelihoods.Ordinal else features}
    counts = [entry["columns"] for entry in likelihoods.Table.example(features).config()["columns"]]
    assert counts == [1] * min(features - 1, 3) + [max(1, features - 3)]


def test_errors_name_what_is_known():
    with pytest.raises(UnknownNameError, match="unknown likelihood 'cauchy'; known: 'bernoulli', 'squared_error'"):
        likelihoods.get("cauchy")
    with pytest.raises(InputError, match="'gaussian' takes no argument 'floor'; it takes: variance"):
        likelihoods.get({"name": "gaussian", "floor": 1.0})
    with pytest.raises(InputError, match="'bernoulli' takes no argument 'floor'; it takes: none"):
        likelihoods.get({"name": "bernoulli", "floor": 1.0})
    with pytest.raises(
        InputTypeError, match="likelihood must be a name, a mapping or an object of Likelihood, got int"
    ):
        likelihoods.get(3)
    with pytest.raises(InputError, match="floor must be finite and at least 0"):
        likelihoods.GaussianDecoder(-1e-3)


@mock.patch.dict(likelihoods.KNOWN)
@pytest.mark.parametrize("name", ["", None, 3, "a:b", "a,b", "a=b"])
def test_a_name_to_be_registered_is_a_text_that_the_command_line_can_say(monkeypatch, name):
    kind = type("Mine", (likelihoods.Bernoulli,), {"name": name})
    with pytest.raises(InputError, match="Mine.name must be a text without ':', ',' and '=', got "):
        likelihoods.register(kind)
    kind.name = "mine"
    assert (
        likelihoods.unknown_kinds(kind()) == "Mine"
        and likelihoods.register(kind) is kind
        and likelihoods.unknown_kinds(kind()) == ""
    )
    other = type("Other", (likelihoods.Bernoulli,), {"name": "other"})
    table = likelihoods.Table([(kind(), 1), (other(), 1), ("poisson", 1), (other(), 2)])
    assert (
        likelihoods.unknown_kinds(table) == "Other"
        and likelihoods.unknown_kinds(likelihoods.Table([("poisson", 1)])) == ""
    )


@pytest.mark.parametrize("name", likelihoods.KNOWN)
def test_everything_is_of_the_data_s_dtype_and_of_its_shape(ops, dtype, rng, name):
    """Losses, derivatives, means and draws; with values missing or none, the upstream derivative one number or an
    array.
    """
    likelihood = likelihoods.KNOWN[name].example(5)
    x = draw_data(likelihood, rng, 6, 5).astype(dtype)
    outputs = tuple(rng.standard_normal((6, width)).astype(dtype) for width in likelihood.heads(5).values())
    own = {key: value.astype(dtype) for key, value in likelihood.parameters(5).items()}
    there = rng.random((6, 5)) < 0.5
    for observed in ((), (there,)):
        nll, backward = likelihood.negative_log_likelihood(ops, outputs, x, own, True, *observed)
        alone, nothing = likelihood.negative_log_likelihood(ops, outputs, x, own, False, *observed)
        assert nll.dtype == alone.dtype == dtype and nll.shape == alone.shape == (6,) and nothing is None
        for dnll in (0.5, np.full(6, 0.5, dtype)):
            doutputs, dparameters = backward(dnll)
            assert isinstance(doutputs, tuple) and dparameters.keys() == own.keys()
            for found, like in (*zip(doutputs, outputs, strict=True), *((dparameters[key], own[key]) for key in own)):
                assert found.dtype == dtype and found.shape == like.shape
        if observed and name not in (
            "gaussian_one_variance",
            "gaussian_per_feature",
            "multinomial",
            "dirichlet_multinomial",
            "ordinal",
            "table",
        ):
            for found in doutputs:
                assert not found[~there].any() and found[there].any()
    mean = likelihood.mean(ops, outputs, own)
    drawn = likelihood.draw(outputs, own, random.Stream(0, "data sample", 0))
    assert mean.dtype == drawn.dtype == dtype and mean.shape == drawn.shape == (6, 5)


@pytest.mark.parametrize("likelihood", EXAMPLES, ids=repr)
def test_what_is_not_like_the_data_is_refused_by_its_name(likelihood):
    ops = Ops(np)
    features = 3 if isinstance(likelihood, likelihoods.Table) else 7
    x = np.zeros((4, features))
    outputs = tuple(np.zeros((4, width)) for width in likelihood.heads(features).values())
    own = likelihood.parameters(features)
    nll, backward = likelihood.negative_log_likelihood(ops, outputs, x, own)
    with pytest.raises(InputError, match=r"dnll has shape \(3,\), but nll has shape \(4,\)"):
        backward(np.zeros(3))
    with pytest.raises(InputTypeError, match="dnll has dtype float32, but nll has dtype float64"):
        backward(np.zeros(4, np.float32))
    with pytest.raises(InputError, match=r"has shape \(4, .\), but x has shape \(3, .\)"):
        likelihood.negative_log_likelihood(ops, outputs, x[:3], own)
    with pytest.raises(InputError, match=r"has shape \(1, .\), but x has shape \(4, .\)"):
        likelihood.negative_log_likelihood(ops, (outputs[0][:1], *outputs[1:]), x, own)


@pytest.mark.parametrize(
    ("kind", "argument", "lowest", "refused"),
    [
        ("gaussian", "variance", 1e-300, [0.0, -1.0]),
        ("gaussian_one_variance", "floor", 0.0, [-1e-9]),
        ("gaussian_per_feature", "floor", 0.0, [-1e-9]),
        ("gaussian_decoder", "floor", 0.0, [-1e-9]),
        ("student_t", "floor", 0.0, [-1e-9]),
        ("student_t", "smallest", 1e-300, [0.0, -1.0]),
    ],
)
def test_ranges_of_arguments(kind, argument, lowest, refused):
    for value in (lowest, 0.7, 1e3):
        assert likelihoods.get({"name": kind, argument: value}).config()[argument] == value
    for value in (*refused, np.inf, np.nan):
        with pytest.raises(InputError, match=f"{argument} must be finite and"):
            likelihoods.get({"name": kind, argument: value})
    for sizes in ([1], [1, 4]):
        for name in ("categorical", "ordinal"):
            assert likelihoods.get({"name": name, "sizes": sizes}).config() == {"sizes": sizes}
