"""Everything on a device that is not the host: an array of it that is used as NumPy's, or the other way round, is an
error.

The device is one of array-api-strict's, which refuses to mix arrays of two devices and to become NumPy's by itself, as
a GPU does.
"""

from __future__ import annotations

import functools

import numpy as np
import pytest
from small import grey_rows, small_vae

from npvae import LatentClassifier, SemiSupervisedVAE, TableImputer, backend, plots
from npvae.backend.base import Ops
from npvae.evaluation import report

strict = pytest.importorskip("array_api_strict")

DEVICE, HOST = strict.Device("device1"), strict.Device("CPU_DEVICE")
#: Functions that make arrays of nothing, and know no device but the one that they are told.
MAKERS = ("arange", "empty", "eye", "full", "linspace", "ones", "zeros")


class Namespace:
    """array-api-strict, whose new arrays are on the device."""

    def __getattr__(self, name):
        value = getattr(strict, name)
        return functools.partial(value, device=DEVICE) if name in MAKERS else value


class Apart(Ops):
    """The specification on the device."""

    name = "apart"

    def asarray(self, array, dtype=None):
        if not isinstance(array, type(strict.ones(1))):
            array = np.asarray(array)
        return strict.asarray(array, dtype=None if dtype is None else getattr(strict, dtype), device=DEVICE)

    def to_numpy(self, array):
        return np.array(strict.asarray(array, device=HOST))


X = grey_rows()
Y = np.array([0, 1] * 20)
HOLED = X.copy()
HOLED[::3, 1] = np.nan
MIXED = np.empty((30, 3), dtype=object)
MIXED[:, 0], MIXED[:, 1] = ["abc"[i % 3] for i in range(30)], [float(i % 5) for i in range(30)]
MIXED[:, 2] = np.random.default_rng(0).standard_normal(30)
MIXED[3, 0] = MIXED[4, 1] = MIXED[5, 2] = None


def arrays(found):
    """What a method gave, as a list of arrays."""
    if isinstance(found, dict):
        return [
            np.asarray(v, float) for k, v in sorted(found.items()) if k not in ("seconds", "notes") and v is not None
        ]
    if hasattr(found, "draws"):
        return [
            np.asarray(found.mean if hasattr(found, "mean") else found.filled),
            *map(np.asarray, [] if found.draws is None else found.draws),
        ]
    if hasattr(found, "rows"):
        return [found.rows, found.effective_sample_size]
    return [np.asarray(part) for part in found] if isinstance(found, tuple) else [np.asarray(found)]


def check_uses(make, uses) -> None:
    """An estimator made for a backend, and what it is used for: the same on the device as on the host."""
    host, apart = make(Ops(np)), make(Apart(Namespace()))
    for use in uses:
        for a, b in zip(arrays(use(host)), arrays(use(apart)), strict=True):
            assert type(b) is np.ndarray
            if a.dtype.kind == "O":
                assert [v for v in a.ravel() if isinstance(v, str)] == [v for v in b.ravel() if isinstance(v, str)]
                a, b = ([v for v in values.ravel() if not isinstance(v, str)] for values in (a, b))
            np.testing.assert_allclose(np.asarray(b, float), np.asarray(a, float), rtol=2e-4, atol=1e-5)


def test_a_vae():
    check_uses(
        lambda ops: small_vae(backend=ops, dtype="float64").fit(X),
        [
            lambda vae: vae.encode(X),
            lambda vae: vae.reconstruct(X),
            lambda vae: vae.reconstruct(X, sample=True),
            lambda vae: vae.sample(5),
            lambda vae: vae.sample(5, mean=False),
            lambda vae: vae.elbo(X, draws=2),
            lambda vae: vae.theta_,
            lambda vae: vae.log_likelihood(X, samples=20),
            lambda vae: vae.score_samples(X, samples=8),
            lambda vae: report.evaluate_model(vae, X, Y, X, Y, samples=10),
            *(
                lambda vae, method=method: vae.impute(
                    HOLED, 0 if method == "single_pass" else 3, method=method, steps=6, warm_up=2, samples=20
                )
                for method in ("single_pass", "pseudo_gibbs", "metropolis", "importance")
            ),
        ],
    )


@pytest.mark.parametrize(
    "more",
    [
        {
            "validation_fraction": 0.2,
            "patience": 2,
            "kl_warmup": 1,
            "clip_norm": 1.0,
            "optimizer": "adam",
            "output_bias": "data",
            "binarize": "dynamic",
        },
        {
            "objective": {"name": "importance_weighted", "samples": 3, "estimator": "dreg"},
            "optimizer": "sgd",
            "binarize": "static",
            "validation_fraction": 0.2,
        },
        {"likelihood": "gaussian_decoder", "objective": {"name": "elbo", "free_bits": 0.1}, "activation": "tanh"},
        {"likelihood": "student_t", "initial_weights": "fan_in"},
        {"likelihood": "continuous_bernoulli", "activation": "softplus"},
    ],
)
def test_training(more):
    check_uses(
        lambda ops: small_vae(backend=ops, dtype="float64", **more).fit(X),
        [
            lambda vae: vae.theta_,
            lambda vae: {name: column for name, column in vae.history_.columns().items() if name != "seconds"},
            lambda vae: vae.sample(4, mean=False),
        ],
    )


@pytest.mark.parametrize(
    "likelihood", ["bounded", "dirichlet_multinomial", "multinomial", "negative_binomial", "ordinal"]
)
def test_training_by_likelihoods_of_whole_numbers(likelihood):
    counts = np.floor(4.0 * X)
    if likelihood == "ordinal":
        counts = (counts[:, :1] > np.arange(3)).astype(float)
    if likelihood == "bounded":
        counts = counts / 4.0
    check_uses(
        lambda ops: small_vae(backend=ops, dtype="float64", likelihood=likelihood, output_bias="data").fit(counts),
        [
            lambda vae: vae.theta_,
            lambda vae: vae.elbo(counts),
            lambda vae: vae.sample(4, mean=False),
            lambda vae: vae.sample(4),
        ],
    )


def test_missing_entries():
    check_uses(
        lambda ops: small_vae(backend=ops, dtype="float64", missing=True, linear_path=True).fit(HOLED),
        [lambda vae: vae.encode(HOLED), lambda vae: vae.impute(HOLED, 3, samples=20), lambda vae: vae.elbo(HOLED)],
    )


def test_checkpoints(tmp_path):
    def resumed(ops):
        path = tmp_path / f"{ops.name}.npz"
        small_vae(backend=ops, epochs=2).fit(X, checkpoint=path, checkpoint_seconds=0)
        return small_vae(backend=ops, epochs=4).fit(X, checkpoint=path, checkpoint_seconds=0, resume=True)

    check_uses(resumed, [lambda vae: vae.theta_])


def test_classes():
    def make(ops):
        model = SemiSupervisedVAE(None, 2, (4,), epochs=2, dtype="float64", backend=ops, random_state=0)
        return model.fit(X, np.where(np.arange(40) < 9, Y, -1))

    check_uses(
        make,
        [
            lambda model: model.predict_proba(X),
            lambda model: model.encode(X),
            lambda model: model.transform(X),
            lambda model: model.analogies(X),
            lambda model: model.sample(0, 3, mean=False),
            lambda model: model.sample(n=3),
            lambda model: model.history_["error"],
        ],
    )
    check_uses(
        lambda ops: LatentClassifier(small_vae(backend=ops, dtype="float64"), samples=2).fit(X, Y),
        [lambda model: model.predict_proba(X), lambda model: model.transform(X)],
    )
    check_uses(
        lambda ops: SemiSupervisedVAE(
            small_vae(backend=ops, dtype="float64"), 2, (4,), epochs=2, dtype="float64", backend=ops, random_state=0
        ).fit(X, Y),
        [lambda model: model.predict_proba(X), lambda model: model.sample(1, 3)],
    )


def test_tables():
    quick = {
        "members": 2,
        "epochs": 3,
        "every": 1,
        "hidden": (3,),
        "random_state": 0,
        "imputation_samples": 20,
        "samples": 3,
    }
    check_uses(
        lambda ops: TableImputer(backend=ops, **quick).fit(MIXED),
        [lambda imputer: imputer.impute(MIXED, 3), lambda imputer: imputer.members_[1].theta],
    )


def test_pictures():
    pytest.importorskip("matplotlib")
    images = np.tile(X, (1, 11))[:, :64].reshape(40, 8, 8)
    check_uses(
        lambda ops: small_vae(backend=ops, dtype="float64").fit(images),
        [
            lambda vae: plots.manifold(vae, side=3),
            lambda vae: plots.plot_reconstructions(vae, images[:4]).images[0].get_array().data,
        ],
    )


def test_the_device_tells():
    """What these tests rest on: a forgotten transfer is an error, in either direction."""
    ops = Apart(Namespace())
    assert backend.get(ops) is ops
    here, there = np.ones(3), ops.asarray(np.ones(3))
    for forgotten in (
        lambda: np.square(there),
        lambda: np.asarray(there),
        lambda: ops.xp.exp(here),
        lambda: there + strict.ones(3),
    ):
        with pytest.raises((TypeError, ValueError, RuntimeError, AttributeError)):
            forgotten()
