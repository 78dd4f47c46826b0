"""The cases of ``npvae gradcheck``: what their titles say is what is checked, and a seed is the same point
everywhere.
"""

from __future__ import annotations

import re

import numpy as np
import pytest

from npvae import backend
from npvae.backend.base import Ops
from npvae.gradcheck import own_gradients
from npvae.gradcheck.checker import ELEMENTWISE_LIMIT, check_gradient
from npvae.mathematics import likelihoods, objectives, random
from npvae.mathematics.model import Architecture, Model

#: The function's value, or the sum of its values, at the point of every case with seed 3: whoever reports a wrong
#: gradient names a case and a seed, and others look for it at the same point. Of a model the parameters' number comes
#: first.
VALUES = {
    "dense layer, identity": (35, 7.98956602711),
    "dense layer, relu": (35, 18.4711244477),
    "dense layer, tanh": (35, 3.42553327717),
    "dense layer, softplus": (35, 15.0607813756),
    "sample z": (30, 0.0808158381902),
    "KL divergence": (30, 8.16864203017),
    "likelihood, bernoulli": (20, 16.9768627294),
    "likelihood, squared_error": (20, 27.7699222188),
    "likelihood, gaussian": (20, 51.0190433264),
    "likelihood, gaussian_one_variance": (21, 33.6194835103),
    "likelihood, gaussian_per_feature": (24, 75.1474330881),
    "likelihood, gaussian_decoder": (40, 38.0127606279),
    "likelihood, continuous_bernoulli": (20, 0.819287444979),
    "likelihood, student_t": (60, 43.7341761258),
    "likelihood, bounded": (40, 70.4183705237),
    "likelihood, categorical": (20, 8.36152200142),
    "likelihood, ordinal": (9, 13.0923105525),
    "likelihood, poisson": (20, 39.1022321517),
    "likelihood, negative_binomial": (24, 31.4324827195),
    "likelihood, multinomial": (22, 18.4128433409),
    "likelihood, dirichlet_multinomial": (22, 40.0162091647),
    "likelihood, table": (26, 26.7884614894),
    "negative ELBO, 5-6-4-3, identity, bernoulli": (175, 4.51076489491),
    "importance-weighted bound, 3 samples, bernoulli": (322, 3.7862266794),
    "negative ELBO, 5-6-4-3, relu, squared_error": (175, 4.77104806713),
    "importance-weighted bound, 3 samples, squared_error": (322, 5.64467447865),
    "negative ELBO, 5-6-4-3, tanh, gaussian": (175, 10.3952741259),
    "importance-weighted bound, 3 samples, gaussian": (322, 8.03395335782),
    "negative ELBO, 5-6-4-3, softplus, gaussian_one_variance": (176, 16.9698357078),
    "importance-weighted bound, 3 samples, gaussian_one_variance": (323, 12.0128157087),
    "negative ELBO, 5-6-4-3, identity, gaussian_per_feature": (180, 19.6437640312),
    "importance-weighted bound, 3 samples, gaussian_per_feature": (327, 9.00435854309),
    "negative ELBO, 5-6-4-3, relu, gaussian_decoder": (210, 25.0918080549),
    "importance-weighted bound, 3 samples, gaussian_decoder": (372, 9.96082536604),
    "negative ELBO, 5-6-4-3, tanh, continuous_bernoulli": (175, 0.29563730126),
    "importance-weighted bound, 3 samples, continuous_bernoulli": (322, 0.1679548908),
    "negative ELBO, 5-6-4-3, softplus, student_t": (245, 11.6574580097),
    "importance-weighted bound, 3 samples, student_t": (422, 20.5965882273),
    "negative ELBO, 5-6-4-3, identity, bounded": (210, 13.0873778495),
    "importance-weighted bound, 3 samples, bounded": (372, 9.34085352044),
    "negative ELBO, 5-6-4-3, relu, categorical": (175, 1.62104462619),
    "importance-weighted bound, 3 samples, categorical": (322, 1.83377800617),
    "negative ELBO, 5-6-4-3, tanh, ordinal": (152, 2.33387608356),
    "importance-weighted bound, 3 samples, ordinal": (287, 2.06225792001),
    "negative ELBO, 5-6-4-3, softplus, poisson": (175, 14.8217781169),
    "importance-weighted bound, 3 samples, poisson": (322, 13.7125669397),
    "negative ELBO, 5-6-4-3, identity, negative_binomial": (180, 14.9152424494),
    "importance-weighted bound, 3 samples, negative_binomial": (327, 16.836372904),
    "negative ELBO, 5-6-4-3, relu, multinomial": (177, 8.19393358416),
    "importance-weighted bound, 3 samples, multinomial": (324, 4.3796605338),
    "negative ELBO, 5-6-4-3, tanh, dirichlet_multinomial": (177, 5.06820683296),
    "importance-weighted bound, 3 samples, dirichlet_multinomial": (324, 4.21637643038),
    "negative ELBO, 5-6-4-3, softplus, table": (183, 13.7136582774),
    "importance-weighted bound, 3 samples, table": (333, 34.0475211876),
    "M2, labelled rows, 5-6-4-2, 3 classes": (305, 22.9742234738),
    "M2, unlabelled rows, 5-6-4-2, 3 classes": (305, 22.2456108247),
    "M2, both, 5-6-4-2, 3 classes": (305, 18.675577423),
    "negative ELBO, 784-256-2, full size": (404244, 615.875678449),
}


@pytest.fixture(scope="module")
def cases():
    return list(own_gradients.cases(Ops(np), 3))


def test_a_seed_is_the_same_point_everywhere(cases):
    found = {}
    for case in cases:
        size = sum(array.size for array in case.inputs.values())
        found[case.title] = (size, float(np.sum(case.function(*case.inputs.values())[0])))
    assert list(found) == list(VALUES)
    for title, (size, value) in VALUES.items():
        assert found[title] == (size, pytest.approx(value, rel=1e-9)), title
    other = next(case for case in own_gradients.cases(Ops(np), 4) if case.title == "sample z")
    assert float(np.sum(other.function(*other.inputs.values())[0])) != pytest.approx(VALUES["sample z"][1])
    default, zero = (next(own_gradients.cases(*arguments)) for arguments in ((), (None, 0)))
    np.testing.assert_array_equal(default.inputs["x"], zero.inputs["x"])


def test_the_tensors_have_the_sizes_of_the_title(cases):
    """Layers from the data to z, then back: 5-6-4-3 has W of (5, 6), (6, 4), (4, 3) and (3, 4), (4, 6), (6, 5)."""
    for case in cases:
        if (sizes := re.search(r", ([\d-]+-[\d-]+)", case.title)) is None:
            continue
        widths = [int(size) for size in sizes[1].split("-")]
        classes = 3 if case.title.startswith("M2") else 0
        shapes = {name: array.shape for name, array in case.inputs.items()}
        *hidden, latent = widths[1:]
        encoder = [shapes[f"encoder/{i}/W"] for i in range(len(hidden))] + [shapes["encoder/mean/W"]]
        decoder = [shapes[f"decoder/{i}/W"] for i in range(len(hidden))]
        assert encoder == list(zip([widths[0] + classes, *hidden], widths[1:], strict=True)), case.title
        assert decoder == list(zip([latent + classes, *hidden[::-1]], hidden[::-1], strict=False)), case.title
        outputs = {
            shape
            for name, shape in shapes.items()
            if re.fullmatch(r"decoder/(logits|mean|location|log_rate|log_mean|log_concentration)/W", name)
        }
        assert outputs <= {(hidden[0], 1 if case.title.endswith("ordinal") else widths[0])}, case.title
        if classes:
            assert shapes["classifier/logits/W"] == (hidden[-1], classes)
        assert case.rtol == (1e-7 if "full size" in case.title else 1e-6)


def test_bounds_are_checked_along_directions(cases):
    """Element by element they would take most of the time of all."""
    assert all(
        case.inputs["theta"].size > ELEMENTWISE_LIMIT for case in cases if case.title.startswith("importance-weighted")
    )


def test_a_case_is_checked_as_it_says():
    x = np.arange(1.0, 4.0)
    case = own_gradients.Case(
        "wrong by 1e-4", lambda x: (np.sin(x), lambda u: 1.0001 * u * np.cos(x)), {"angle": x}, 1e-3
    )
    report = case.check(seed=4)
    assert report.passed and report.rtol == 1e-3 and [row.name for row in report.rows] == ["angle"]
    assert (
        str(report)
        == str(check_gradient(case.function, [x], names=["angle"], rtol=1e-3, seed=4))
        != str(case.check(seed=5))
    )
    assert str(case.check()) == str(case.check(seed=0))
    assert not own_gradients.Case("the same", case.function, case.inputs).check().passed  # said, not raised
    assert own_gradients.Case("the same", case.function, case.inputs).rtol == 1e-6


def test_a_model_at_parameters_and_rows_that_are_given():
    """What ``npvae gradcheck --model`` checks: the negative ELBO at its parameters, for its kind of data."""
    architecture, generator = Architecture(5, 2, (3,)), np.random.default_rng(0)
    model = Model(architecture, Ops(np))
    theta, x = model.initial_parameters(1, "float64"), np.full((7, 5), 0.25)
    case = own_gradients.model_case(Ops(np), architecture, generator, rows=4, theta=theta, x=x)
    eps = np.random.default_rng(0).standard_normal((7, 2))
    value, gradients = case.function(*case.inputs.values())
    wanted, gradient = objectives.value_and_gradient(model, theta, x, eps, 1.0)
    assert value == wanted and (case.title, case.rtol) == ("", 1e-6)
    np.testing.assert_array_equal(np.concatenate([part.reshape(-1) for part in gradients]), gradient)
    np.testing.assert_array_equal(np.concatenate([part.reshape(-1) for part in case.inputs.values()]), theta)
    drawn = own_gradients.model_case(Ops(np), architecture, np.random.default_rng(0), rows=4, theta=theta)
    generator = np.random.default_rng(0)
    x = own_gradients.draw_data(architecture.likelihood, generator, 4, 5)
    eps = generator.standard_normal((4, 2))
    assert drawn.function(*drawn.inputs.values())[0] == objectives.value_and_gradient(model, theta, x, eps, 1.0)[0]


@pytest.mark.skipif(backend.reason_against("numba") is not None, reason="no numba")
@pytest.mark.parametrize("objective", [objectives.ELBO(), objectives.ImportanceWeighted(3)], ids=repr)
def test_the_compiled_step_is_checked_at_the_noise_of_seed_and_step_zero(objective):
    architecture, ops = Architecture(5, 3, (6, 4), activation="tanh"), backend.get("numba", threads=1)
    case = own_gradients.fused_case(ops, architecture, np.random.default_rng(5), rows=4, beta=0.7, objective=objective)
    generator = np.random.default_rng(5)
    x = own_gradients.draw_data(architecture.likelihood, generator, 4, 5)
    model = Model(architecture, Ops(np))
    theta = model.initial_parameters(0, "float64") + 0.1 * generator.standard_normal(model.layout.size)
    np.testing.assert_array_equal(np.concatenate([part.reshape(-1) for part in case.inputs.values()]), theta)
    shape = (4, 3) if objective.name == "elbo" else (3, 4, 3)
    eps = random.normal(0, "latent noise", 0, shape)
    value, gradients = case.function(*case.inputs.values())
    if objective.name == "elbo":
        wanted, gradient = objectives.value_and_gradient(model, theta, x, eps, 0.7)
    else:
        terms, backward = objectives.importance_weighted_loss(model, theta, x, eps, 0.7)
        wanted, gradient = terms.loss, backward()
    assert value == pytest.approx(wanted, rel=1e-9) and isinstance(gradients, tuple)
    np.testing.assert_allclose(np.concatenate([part.reshape(-1) for part in gradients]), gradient, rtol=1e-6, atol=1e-9)
    samples = "" if objective.name == "elbo" else ", 3 samples"
    assert case.title == f"fused training step{samples}, 5-6-4-3, tanh, bernoulli"
    assert own_gradients.fused_case(Ops(np), architecture, generator, rows=4, beta=0.7, objective=objective) is None


def test_data_that_a_likelihood_takes():
    for kind in likelihoods.KNOWN.values():
        likelihood = kind.example(4)
        x = own_gradients.draw_data(likelihood, np.random.default_rng(1), 6, 4)
        likelihood.check_data(x)
        assert x.shape == (6, 4)
        values = set(np.unique(x))
        if likelihood.name == "bernoulli":  # which takes grey values too: they say more than zeros and ones
            assert len(values) == 24 and 0.0 <= min(values) and max(values) < 1.0
        if likelihood.name in ("poisson", "negative_binomial"):
            assert values <= set(range(50))
