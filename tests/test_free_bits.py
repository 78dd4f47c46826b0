"""Free bits, active units and the warning of a collapse."""

import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from small import grey_rows, small_vae

from npvae.backend.base import Ops
from npvae.errors import InputError, PosteriorCollapseWarning
from npvae.gradcheck.checker import check_gradient
from npvae.mathematics.model import Architecture, Model
from npvae.mathematics.objectives import ELBO, negative_elbo


def point(rng):
    architecture = Architecture(5, 4, (3,), activation="tanh")
    model = Model(architecture, Ops(np))
    return (
        model,
        model.initial_parameters(1, "float64") + 0.5 * rng.standard_normal(model.layout.size),
        rng.uniform(size=(6, 5)),
        rng.standard_normal((6, 4)),
    )


def between(model, theta, x, eps):
    """A number of free bits that some dimensions use and others do not."""
    means = np.sort(negative_elbo(model, theta, x, eps)[0].kl_rows.mean(axis=0))
    assert means[2] - means[1] > 1e-3
    return (means[1] + means[2]) / 2


def test_a_dimension_costs_at_least_its_free_bits(rng):
    model, theta, x, eps = point(rng)
    free = between(model, theta, x, eps)
    plain, _ = negative_elbo(model, theta, x, eps, beta=0.7)
    terms, _ = ELBO(free).loss(model, theta, x, eps, beta=0.7)
    costs = [max(free, float(value)) for value in plain.kl_rows.mean(axis=0)]
    assert float(terms.loss) == pytest.approx(float(plain.reconstruction) + 0.7 * sum(costs), rel=1e-13)
    assert float(terms.kl) == float(plain.kl)  # what the history says is what there is


def test_gradient_with_free_bits(ops, rng):
    model, theta, x, eps = point(rng)
    free = between(model, theta, x, eps)
    on_backend = Model(model.architecture, ops)

    def function(theta):
        terms, backward = negative_elbo(on_backend, theta, x, eps, 0.7, free_bits=free)
        return terms.loss, backward

    check_gradient(function, [theta])


def test_only_dimensions_that_pay_are_drawn_to_the_prior(rng):
    model, theta, x, eps = point(rng)
    free = between(model, theta, x, eps)
    gradients = [
        model.views(negative_elbo(model, theta, x, eps, beta, free_bits=f)[1]())
        for beta, f in ((1.0, free), (0.0, 0.0), (1.0, 0.0))
    ]
    pays = negative_elbo(model, theta, x, eps)[0].kl_rows.mean(axis=0) > free
    for name in ("encoder/mean/b", "encoder/logvar/b"):
        with_free, without_kl, with_kl = (g[name] for g in gradients)
        np.testing.assert_allclose(with_free[pays], with_kl[pays], rtol=1e-12)
        np.testing.assert_allclose(with_free[~pays], without_kl[~pays], rtol=1e-12)


def test_a_run_with_free_bits_keeps_what_a_run_without_gives_up():
    """Data without structure: the ELBO's optimum is to use nothing of z."""
    x = (np.random.default_rng(0).uniform(size=(300, 6)) < 0.5).astype(float)
    arguments = {
        "latent_dim": 3,
        "hidden": (6,),
        "epochs": 60,
        "batch_size": 50,
        "optimizer": "adam",
        "learning_rate": 0.01,
    }
    without = small_vae(**arguments).fit(x)
    with_free = small_vae(**arguments, objective={"name": "elbo", "free_bits": 0.3}).fit(x)
    assert max(without.history_["kl_per_dimension"][-1]) < 0.1
    assert min(with_free.history_["kl_per_dimension"][-1]) > 0.2


def test_free_bits_are_refused_below_zero():
    with pytest.raises(InputError, match="free_bits must be finite and at least 0"):
        ELBO(-0.1)


# Collapse


def collapsing(**changes):
    """A KL term so heavy that nothing is worth its price."""
    return small_vae(beta=1000.0, epochs=8, optimizer="adam", learning_rate=0.05, **changes)


def test_a_collapse_is_named_once():
    with pytest.warns(PosteriorCollapseWarning) as caught:
        vae = collapsing().fit(grey_rows())
    assert vae.history_["active_units"][-1] == 0 and len(caught) == 1
    words = str(caught[0].message)
    assert "posterior collapse: in epochs " in words and "none of the 2 latent dimensions was active" in words
    assert "kl_warmup" in words and "free_bits" in words


def test_no_collapse_no_warning(recwarn):
    vae = small_vae(epochs=8, optimizer="adam", learning_rate=0.02).fit(grey_rows())
    assert vae.history_["active_units"][-1] > 0
    assert not [w for w in recwarn if w.category is PosteriorCollapseWarning]


def test_one_epoch_without_an_active_unit_is_no_collapse(recwarn):
    vae = collapsing().set_params(epochs=2).fit(grey_rows())
    assert vae.history_.epochs == 2
    assert not [w for w in recwarn if w.category is PosteriorCollapseWarning]


def test_active_units_are_burda_s(rng):
    """Of the means of q(z|x) over the data: the variance above 0.01."""
    from npvae import evaluation

    model, theta, x, _ = point(rng)
    (mu, _), _ = model.encode(model.views(theta), x)
    wanted = int((mu.var(axis=0) > 0.01).sum())
    assert evaluation.evaluate_elbo(model, theta, x, 0)["active_units"] == wanted


@pytest.mark.parametrize(
    ("active", "warned"),
    [
        ([], False),
        ([0, 0], False),
        ([0, 0, 0], True),
        ([1, 0, 0], False),
        ([1, 0, 0, 0], True),
        ([0, 0, 0, 0], False),
        ([1, 1, 0, 0], False),
        ([2, 0, 0, 0, 0], False),
        ([0, 0, 0, 1, 0, 0, 0], True),
        ([0, 0, 0, 1, 0, 0], False),
        ([1, 0, 0, 1], False),
        ([1, 1, 0, 0, 0], True),
    ],
)
def test_a_collapse_is_three_epochs_without_an_active_dimension_and_said_once(active, warned):
    from npvae.training import collapse

    history = {"active_units": active, "kl": [0.125] * len(active), "kl_per_dimension": [[0.0] * 4] * len(active)}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        collapse.warn(None, SimpleNamespace(history=history, epoch=len(active) + 10))
    assert len(caught) == warned
    if warned:
        first = (
            f"posterior collapse: in epochs {len(active) + 8} to {len(active) + 10} none of the 4 latent dimensions "
            "was active (KL 0.12 nats a row)"
        )
        assert str(caught[0].message).startswith(first)
