"""No random number is used twice in one run, for two quantities: training and what follows it, of every estimator."""

from unittest import mock

import numpy as np
import pytest
from random_record import recorded, used_twice
from small import grey_rows

from npvae import VAE, LatentClassifier, SemiSupervisedVAE, TableImputer
from npvae.estimators.tables import member
from npvae.evaluation import report

#: What the same function draws again for the same rows: validation rows at every look, so that looks can be compared,
#: rows that are evaluated by several measures, a member's seed, and which cells it holds out: for training, and to
#: calibrate intervals.
REPEATED = (
    "validation noise",
    "validation feature noise",
    "static binarize",
    "held-out noise",
    "evaluation binarize",
    "members",
    "held-out cells",
)
QUICK = {"hidden": (5,), "batch_size": 7, "epochs": 3, "random_state": 1, "backend": "numpy"}


@pytest.fixture(autouse=True)
def step_by_step():
    """Several steps in one call draw their noise ahead, and perhaps again."""
    with mock.patch("npvae.training.steps.trainer_for", return_value=None):
        yield


def check(fit, uses) -> None:
    """Of fitting, and of fitting and any one use, which repeats itself with the model's own seed."""
    with recorded() as of_fit:
        model = fit()
    assert of_fit and used_twice(of_fit, REPEATED) == []
    for name, use in uses.items():
        with recorded() as of_use:
            use(model)
        assert used_twice(of_use, REPEATED) == [], name
        assert used_twice([*of_fit, *of_use], REPEATED) == [], name


def holed(rows=20):
    x = grey_rows(rows, seed=5)
    return np.where(np.random.default_rng(0).random(x.shape) < 0.4, np.nan, x)


def evaluations(x, labels):
    return {
        "evaluate": lambda vae: report.evaluate_model(vae, x, labels, grey_rows(), np.arange(40) % 2, samples=30),
        "elbo of several draws": lambda vae: vae.elbo(x, draws=3),
        "score": lambda vae: vae.score_samples(x, samples=30),
        "sample": lambda vae: vae.sample(9),
        "draws": lambda vae: vae.sample(9, mean=False),
        "reconstruct": lambda vae: vae.reconstruct(x, sample=True),
    }


@pytest.mark.parametrize(
    "more",
    [
        {"binarize": "dynamic", "validation_fraction": 0.2},
        {"binarize": "static", "validation_fraction": 0.2, "initial_weights": "he"},
        {"objective": {"name": "importance_weighted", "samples": 3}, "likelihood": "gaussian_decoder"},
        {"likelihood": "student_t", "schedule": "cosine"},
    ],
)
def test_of_a_vae(more):
    x, labels = grey_rows(18, seed=2), np.arange(18) % 2
    check(lambda: VAE(2, **QUICK, **more).fit(grey_rows()), evaluations(x, labels))


@pytest.mark.parametrize("missing", [False, True])
def test_of_filling_in(missing):
    methods = ["importance"] if missing else ["single_pass", "pseudo_gibbs", "metropolis", "importance"]
    more = {"steps": 6, "warm_up": 2, "chains": 3, "proposals": 2, "samples": 12}
    check(
        lambda: VAE(2, missing=missing, likelihood="gaussian_decoder", **QUICK).fit(
            holed(40) if missing else grey_rows()
        ),
        {
            method: lambda vae, method=method: vae.impute(
                holed(), 0 if method == "single_pass" else 5, method=method, **more
            )
            for method in methods
        },
    )


def test_beyond_one_piece_of_rows():
    x = grey_rows(1030, seed=2)
    gaps = np.where(np.arange(6) == 1, np.nan, x)
    more = {"steps": 4, "warm_up": 1, "chains": 3, "proposals": 2}
    check(
        lambda: VAE(2, **QUICK).fit(grey_rows()),
        {
            "elbo of several draws": lambda vae: vae.elbo(x, draws=3),
            "chains": lambda vae: vae.impute(gaps, 5, method="metropolis", **more),
            "weights": lambda vae: vae.impute(gaps, 5, method="importance", samples=8),
            "scores": lambda vae: vae.score_samples(x, samples=8),
            "draws": lambda vae: vae.sample(1030, mean=False),
        },
    )


def labelled():
    labels = np.arange(40) % 3
    labels[20:] = -1
    return labels


def semi_supervised_uses():
    return {
        "sample": lambda model: model.sample(n=30),
        "draws": lambda model: model.sample(n=30, mean=False),
        "classes": lambda model: model.predict_proba(grey_rows(12)),
        "analogies": lambda model: model.analogies(grey_rows(12)),
    }


def test_of_m2():
    check(
        lambda: SemiSupervisedVAE(latent_dim=2, validation_fraction=0.2, binarize="dynamic", **QUICK).fit(
            grey_rows(), labelled()
        ),
        semi_supervised_uses(),
    )


def features(random_state):
    return VAE(3, **{**QUICK, "random_state": random_state, "optimizer": "adam", "learning_rate": 0.02, "epochs": 20})


def test_of_m1_and_m2_on_m1():
    # Fitted before with another seed, or now with the same one.
    for vae in (features(2).fit(grey_rows()), features(QUICK["random_state"])):
        check(
            lambda vae=vae: SemiSupervisedVAE(vae, latent_dim=2, validation_fraction=0.2, **QUICK).fit(
                grey_rows(), labelled()
            ),
            semi_supervised_uses(),
        )
    check(
        lambda: LatentClassifier(features(2).fit(grey_rows()), samples=4).fit(grey_rows(), labelled()),
        {"classes": lambda model: model.predict_proba(grey_rows(12))},
    )


def test_of_an_imputer_of_tables():
    imputer = {**QUICK, "members": 3, "imputation_samples": 40, "samples": 3, "every": 1, "latent_dim": 2}
    # A row that needs more samples is begun again, with those that it had among them: here every row has them all at
    # once.
    with mock.patch.object(member, "enough_of", lambda members: None):
        check(lambda: TableImputer(**imputer).fit(holed(40)), {"impute": lambda model: model.impute(holed(), draws=7)})


def test_the_record_sees_what_is_drawn_twice():
    from npvae.mathematics import random

    with recorded() as drawn:
        random.normal(3, "latent noise", 5, (9,))
        random.uniform(3, "latent noise", 5, (2,), draw=1)
        random.normal_of_rows(3, "likelihood noise", [4], 8, 4, 2)
    assert [(entry.place, entry.first, entry.last) for entry in drawn] == [
        ((3, "latent noise", 5, 0), 1, 3),
        ((3, "latent noise", 5, 1), 1, 1),
        ((3, "likelihood noise", 4, 0), 5, 6),
    ]
    assert used_twice(drawn) == []
    with recorded() as again:
        random.permutation(3, "latent noise", 5, 2)
        random.normal_of_rows(3, "likelihood noise", [4], 0, 4, 2)
    assert len(used_twice([*drawn, *again])) == 1 and "latent noise" in used_twice([*drawn, *again])[0]
