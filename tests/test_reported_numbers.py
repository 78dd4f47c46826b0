"""Figures that are reported and not used, and defaults: each against a definition written out."""

import math

import numpy as np
import pytest
from small import grey_rows, small_vae

from npvae import VAE, LatentClassifier, SemiSupervisedVAE, backend
from npvae.imputation.chains import Chain, chain_imputation
from npvae.mathematics import objectives, random
from npvae.mathematics.model import Architecture, Model
from npvae.mathematics.optimizers import SGD
from npvae.training import TrainingSettings, train


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.skipif(backend.reason_against(name) is not None, reason=f"no {name}"))
        for name in ("numpy", "numba")
    ],
)
@pytest.mark.parametrize("clip", [None, 0.05])
def test_the_gradient_norm_is_the_mean_of_the_steps_before_clipping(name, clip):
    ops = backend.get(name, threads=1 if name == "numba" else None)
    model, x = Model(Architecture(6, 2, (5,)), ops), grey_rows(16)
    settings = TrainingSettings(seed=5, epochs=2, batch_size=7, optimizer=SGD(), learning_rate=0.01, clip_norm=clip)
    history = train(model, settings, x).history
    theta, step = model.initial_parameters(5, "float64"), 0
    for epoch in range(2):
        order, norms = random.permutation(5, "shuffle", epoch, 16), []
        for start in (0, 7, 14):
            batch = x[order[start : start + 7]]
            eps = random.normal(5, "latent noise", step, (len(batch), 2))
            _, gradient = objectives.value_and_gradient(model, theta, batch, eps)
            norms.append(math.sqrt(math.fsum(float(g) ** 2 for g in gradient)))
            theta = theta - 0.01 * gradient * (1.0 if clip is None else min(1.0, clip / norms[-1]))
            step += 1
        assert history["gradient_norm"][epoch] == pytest.approx(sum(norms) / 3, rel=1e-7)
        assert clip is None or min(norms) > clip


def test_error_and_cross_entropy_are_of_the_labelled_rows_alone():
    """Steps so short that the classifier is the same in all of the epoch."""
    x, y = grey_rows(41), np.arange(41) % 3
    y[7:30] = -1
    x_valid, y_valid = grey_rows(25, seed=6), np.arange(25) % 3
    y_valid[:9] = -1
    model = SemiSupervisedVAE(
        latent_dim=2,
        hidden=(5,),
        batch_size=7,
        epochs=1,
        learning_rate=1e-12,
        random_state=3,
        dtype="float64",
        backend="numpy",
    ).fit(x, y, X_valid=x_valid, y_valid=y_valid)
    for prefix, rows, labels in (("", x, y), ("val_", x_valid, y_valid)):
        known = labels >= 0
        log_p = model.predict_log_proba(rows)[known]
        wrong = [int(row.argmax() != label) for row, label in zip(log_p, labels[known], strict=True)]
        assert 0 < sum(wrong) < len(wrong)
        assert model.history_[prefix + "error"][0] == pytest.approx(sum(wrong) / len(wrong))
        entropy = [-row[label] for row, label in zip(log_p, labels[known], strict=True)]
        assert model.history_[prefix + "cross_entropy"][0] == pytest.approx(sum(entropy) / len(entropy), rel=1e-6)


@pytest.mark.parametrize(("chains", "metropolis", "proposals"), [(1, False, 1), (3, True, 1), (3, True, 4)])
def test_diagnostics_of_several_chains(chains, metropolis, proposals):
    """Effective sample size, spread and acceptance, from chains run one by one."""
    vae = small_vae(likelihood="gaussian_decoder", dtype="float64", backend="numpy").fit(grey_rows())
    model, views = vae.model_, vae.model_.views(vae.theta_)
    x = grey_rows(4, seed=7)
    x[:3, 1:4] = np.nan  # the last row is complete
    start, steps, warm_up, seed = np.where(np.isnan(x), 0.5, x), 30, 3, 11
    found = chain_imputation(
        model,
        vae.theta_,
        x,
        start,
        seed,
        metropolis=metropolis,
        steps=steps,
        warm_up=warm_up,
        chains=chains,
        proposals=proposals,
    )
    sums, accepted, means = np.empty((chains, steps, 4)), np.zeros(4), np.zeros(x.shape)
    for c in range(chains):
        chain = Chain(model, views, x, start, random.Stream(seed, "imputation chain", c))
        for _ in range(warm_up):
            chain.step(0)
        for t in range(steps):
            chain.step(proposals if metropolis else 0)
            sums[c, t] = np.where(np.isnan(x), chain.expected, 0.0).sum(axis=1)
            accepted += chain.accepted
            means += chain.expected / (chains * steps)
    np.testing.assert_allclose(found.mean, np.where(np.isnan(x), means, x), rtol=1e-9)
    np.testing.assert_allclose(found.diagnostics["acceptance"], accepted / (chains * steps))
    for row in range(3):
        size = 0.0
        for c in range(chains):
            values = sums[c, :, row].tolist()
            stretches = [sum(values[i : i + 5]) / 5 for i in range(0, 30, 5)]  # 5 = floor(sqrt(30)), six of them
            between = sum((s - sum(stretches) / 6) ** 2 for s in stretches) / 5
            within = sum((v - sum(values) / 30) ** 2 for v in values) / 29
            size += min(max(30 * within / (5 * between), 1.0), 30.0)
        assert found.diagnostics["effective_sample_size"][row] == pytest.approx(size, rel=1e-6)
        within = np.mean([sums[c, :, row].var(ddof=1) for c in range(chains)])
        spread = math.sqrt(1 + sums[:, :, row].mean(axis=1).var(ddof=1) / within) if chains > 1 else math.nan
        assert found.diagnostics["spread"][row] == pytest.approx(spread, rel=1e-6, nan_ok=True)
    assert found.diagnostics["effective_sample_size"][3] == chains * steps


# Defaults


def test_classes_are_alike_by_default_and_have_the_labels_shares_where_asked():
    x, y = grey_rows(), np.where(np.arange(40) < 30, 0, np.arange(40) % 2)
    quick = {"latent_dim": 2, "hidden": (5,), "epochs": 1, "random_state": 0}
    plain = SemiSupervisedVAE(**quick).fit(x, y)
    np.testing.assert_array_equal(plain.class_prior_, [0.5, 0.5])
    np.testing.assert_allclose(np.exp(plain.model_.architecture.log_prior()), [0.5, 0.5])
    shares = SemiSupervisedVAE(**quick, class_prior="labels").fit(x, y)
    np.testing.assert_allclose(shares.class_prior_, [35 / 40, 5 / 40])
    drawn = shares.sample(n=4000, random_state=1)
    assert drawn.shape == (4000, 6) and shares.predict_proba(x).shape == (40, 2)


def test_seeds_that_nobody_gives_are_fresh_and_kept():
    x, y = grey_rows(), np.arange(40) % 2
    for make in (
        lambda: VAE(2, (5,), epochs=1).fit(x),
        lambda: SemiSupervisedVAE(latent_dim=2, hidden=(5,), epochs=1).fit(x, y),
        lambda: (
            LatentClassifier(VAE(2, (5,), epochs=40, beta=0.01, optimizer="adam", learning_rate=0.05))
            .fit(x, y)
            .features_
        ),
    ):
        first, second = make(), make()
        assert first.seed_ != second.seed_ and 0 <= first.seed_ < 2**63
        assert first.theta_.tobytes() != second.theta_.tobytes()
    again = VAE(2, (5,), epochs=1, random_state=first.seed_).fit(x)
    assert again.seed_ == first.seed_


def test_linear_paths_start_at_zero():
    """So that before training a model with linear paths is the model without them."""
    with_paths, without = (
        Model(Architecture(6, 2, (5,), linear_path=paths), backend.get("numpy")) for paths in (True, False)
    )
    views, plain = (model.views(model.initial_parameters(3, "float64")) for model in (with_paths, without))
    assert {name for name in views} - {name for name in plain} == {
        "encoder/linear/mean/V",
        "encoder/linear/logvar/V",
        "decoder/linear/logits/V",
    }
    for name, value in plain.items():
        np.testing.assert_array_equal(views[name], value, err_msg=name)
    for name in views.keys() - plain.keys():
        assert not views[name].any(), name
    # From then on they count: the decoder's adds z V to the logits.
    z, V = np.random.default_rng(0).standard_normal((2, 4, 6))
    z = z[:, :2]
    views["decoder/linear/logits/V"][...] = V[:2]
    hidden = np.maximum(z @ plain["decoder/0/W"], 0.0)
    logits = hidden @ plain["decoder/logits/W"] + z @ V[:2]
    np.testing.assert_allclose(with_paths.expected(views, z), 1 / (1 + np.exp(-logits)), rtol=1e-12)
