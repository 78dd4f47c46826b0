"""Every argument of every estimator: set to a value that is not its default, it changes what training is given as it is
meant to, and nothing else; and the arguments of methods change what is predicted of them.

As in test_cli_flags.py: a description of what training was given, without the argument and with it, may differ only as
the table says.
"""

from __future__ import annotations

import inspect
from types import SimpleNamespace

import numpy as np
import pytest
from linear_gaussian import LinearGaussian
from small import grey_rows, small_vae

from npvae import VAE, LatentClassifier, SemiSupervisedVAE, SoftmaxRegression, TableImputer, backend
from npvae.estimators import base, fitted
from npvae.estimators.tables import imputer as imputer_module
from npvae.imputation import chain_imputation, chains, methods
from npvae.imputation.imputation import Imputation
from npvae.mathematics import random
from npvae.support import registry

X = np.round(grey_rows(40), 3)
Y = np.array([0, 1] * 10 + [-1] * 20)
#: Small networks on NumPy, so that nothing takes long.
SMALL = {"hidden": (5,), "backend": "numpy", "random_state": 3}


def weighted_sum(x) -> float:
    """A number that depends on every entry and its place."""
    return float(np.nansum(x.astype(np.float64) * np.cos(np.arange(x.size)).reshape(x.shape)))


class Seen(dict):
    """What training was given."""

    def __init__(self, patch) -> None:
        get = backend.get

        def known(choice="auto", threads=None):
            if isinstance(choice, backend.Ops):
                return choice
            self.setdefault("backend", (choice, threads))
            return get("numpy")

        patch.setattr(backend, "get", known)

    def take_run(self, model, settings, x, x_valid, *rest) -> None:
        self.update({f"settings.{name}": value for name, value in settings.config().items()})
        self.update({f"architecture.{name}": value for name, value in model.architecture.config().items()})
        for name, rows in (("rows", x), ("valid", x_valid)):
            if rows is not None:
                self[name] = {"shape": rows.shape, "dtype": rows.dtype.name, "sum": weighted_sum(rows)}


def given_to_training(estimator, monkeypatch, *data, **more) -> Seen:
    """What the estimator's fit hands to training, which is not done."""
    with monkeypatch.context() as patch:
        seen = Seen(patch)
        patch.setattr(
            base, "train", lambda model, settings, x, x_valid, *rest: seen.take_run(model, settings, x, x_valid)
        )
        reporter = base.progress_reporter

        def reported(verbose, epochs, state):
            seen.update({"progress.verbose": verbose, "progress.epochs": epochs})
            return reporter(False, epochs, state)

        patch.setattr(base, "progress_reporter", reported)
        estimator.fit(*data, **more)
    return seen


def settings(**changes) -> dict:
    return {f"settings.{name}": value for name, value in changes.items()}


def architecture(**changes) -> dict:
    return {f"architecture.{name}": value for name, value in changes.items()}


def config(kind: str, **arguments) -> dict:
    """The configuration of a choice with arguments."""
    from npvae.mathematics import kl_warmup, likelihoods, objectives, optimizers, schedules

    module = {
        "optimizer": optimizers,
        "schedule": schedules,
        "objective": objectives,
        "likelihood": likelihoods,
        "warmup": kl_warmup,
    }[kind]
    return registry.to_config(module.get(arguments))


#: Arguments that VAE and SemiSupervisedVAE share: value, what changes, what else has to be given.
SHARED = {
    "latent_dim": (3, architecture(latent_dim=3), {}),
    "hidden": ((6, 4), architecture(hidden=[6, 4], decoder_hidden=[4, 6]), {}),
    "decoder_hidden": ((7, 8), architecture(decoder_hidden=[7, 8]), {}),
    "activation": ("tanh", architecture(activation="tanh"), {}),
    "likelihood": ("squared_error", architecture(likelihood=config("likelihood", name="squared_error")), {}),
    "beta": (1.5, settings(beta=1.5), {}),
    "kl_warmup": (4, settings(kl_warmup=config("warmup", name="linear", epochs=4)), {}),
    "optimizer": ("sgd", settings(optimizer=config("optimizer", name="sgd")), {}),
    "learning_rate": (0.004, settings(learning_rate=0.004), {}),
    "schedule": (
        {"name": "steps", "factors": {3: 0.5}},
        settings(schedule=config("schedule", name="steps", factors={3: 0.5})),
        {},
    ),
    "clip_norm": (2.5, settings(clip_norm=2.5), {}),
    "batch_size": (13, settings(batch_size=13), {}),
    "epochs": (9, {**settings(epochs=9), "progress.epochs": 9}, {}),
    "patience": (6, settings(patience=6), {"validation_fraction": 0.25}),
    "min_delta": (0.125, settings(min_delta=0.125), {}),
    "binarize": ("static", settings(binarize="static"), {}),
    "initial_weights": ("he", settings(initial_weights="he"), {}),
    "output_bias": ("data", settings(output_bias="data"), {}),
    "backend": ("numba", {"backend": ("numba", None)}, {}),
    "threads": (2, {"backend": ("numpy", 2)}, {}),
    "random_state": (11, settings(seed=11), {}),
    "verbose": (True, {"progress.verbose": True}, {}),
}


def rows_as(x, dtype="float32"):
    return {"shape": x.shape, "dtype": dtype, "sum": pytest.approx(weighted_sum(x), abs=1e-4)}


def held_out(x, count: int, seed: int = 3):
    """The rows to train on, and to validate on, of a split by the seed."""
    order = random.permutation(seed, "validation split", 0, len(x))
    return {"rows": rows_as(x[order[count:]]), "valid": rows_as(x[order[:count]])}


OF_VAE = {
    **SHARED,
    "missing": (True, architecture(missing=True), {}),
    "linear_path": (True, architecture(linear_path=True), {}),
    "objective": (
        {"name": "importance_weighted", "samples": 3},
        settings(objective=config("objective", name="importance_weighted", samples=3)),
        {},
    ),
    "validation_fraction": (0.25, held_out(X, 10), {}),
    "divide_by": (2.0, {"rows": rows_as(X / 2)}, {}),
    "dtype": ("float64", {"rows": rows_as(X, "float64")}, {}),
}


def check_arguments(kind, table, fit, base, name) -> None:
    value, changes, beside = table[name]
    without = fit(kind(**{**base, **beside}))
    found = fit(kind(**{**base, **beside, name: value}))
    assert dict(found) == {**without, **changes}
    assert all(without.get(key) != wanted for key, wanted in changes.items()), (
        "a value that is the default shows nothing"
    )


@pytest.mark.parametrize("name", OF_VAE)
def test_arguments_of_a_vae(name, monkeypatch):
    check_arguments(VAE, OF_VAE, lambda vae: given_to_training(vae, monkeypatch, X), SMALL, name)


def labelled(x, dtype="float32"):
    """Rows that end in their labels, as M2 is given them."""
    return rows_as(np.concatenate([x, Y[:, None]], axis=1).astype(dtype), dtype)


def weight(alpha: float, rows: int = 40, labels: int = 20) -> dict:
    return settings(objective={"name": "semi_supervised", "classifier_weight": alpha * rows / labels})


FEATURES = small_vae(backend="numpy").fit(X)


def deviations() -> np.ndarray:
    """Means and deviations of the feature, for the VAE uses one of its two dimensions, and labels."""
    mu, logvar = FEATURES.encode(X)
    assert (mu.std(axis=0) > 0.1).tolist() == [True, False]
    return np.concatenate([mu[:, :1], np.exp(0.5 * logvar[:, :1]), Y[:, None].astype(np.float32)], axis=1)


OF_M2 = {
    **SHARED,
    "features": (
        FEATURES,
        {
            **architecture(n_features=1, likelihood=config("likelihood", name="gaussian_decoder")),
            **settings(noisy_features=True),
            "rows": rows_as(deviations()),
        },
        {},
    ),
    "classifier_hidden": ((3, 2), architecture(classifier_hidden=[3, 2]), {}),
    "hidden": ((6, 4), architecture(hidden=[6, 4], decoder_hidden=[4, 6], classifier_hidden=[6, 4]), {}),
    "alpha": (0.25, weight(0.25), {}),
    "classes": ([1, 0], {"rows": rows_as(np.concatenate([X, np.where(Y < 0, -1, 1 - Y)[:, None]], axis=1))}, {}),
    "class_prior": ([0.25, 0.75], architecture(class_prior=[0.25, 0.75]), {}),
    "standardize": (
        True,
        {
            "rows": labelled((X - X.mean(axis=0)) / X.std(axis=0)),
            **architecture(likelihood=config("likelihood", name="gaussian_decoder")),
        },
        {},
    ),
    "validation_fraction": (0.25, None, {}),
    "divide_by": (2.0, {"rows": labelled(X / 2)}, {}),
    "dtype": ("float64", {"rows": labelled(X, "float64")}, {}),
}


@pytest.mark.parametrize("name", OF_M2)
def test_arguments_of_a_semi_supervised_vae(name, monkeypatch):
    def fit(model):
        return given_to_training(model, monkeypatch, X, Y)

    if name != "validation_fraction":
        check_arguments(SemiSupervisedVAE, OF_M2, fit, SMALL, name)
        return
    without, found = fit(SemiSupervisedVAE(**SMALL)), fit(SemiSupervisedVAE(**SMALL, validation_fraction=0.25))
    order = random.permutation(3, "validation split", 0, len(X))
    rows = np.concatenate([X, Y[:, None]], axis=1).astype("float32")
    left = int((Y[order[10:]] >= 0).sum())
    assert dict(found) == {
        **without,
        "rows": rows_as(rows[order[10:]]),
        "valid": rows_as(rows[order[:10]]),
        **weight(1.0, 30, left),
    }


def test_both_kinds_of_a_class_prior_and_none(monkeypatch):
    y = np.where(np.arange(40) % 4 == 0, 0, 1)
    y[20:] = -1
    for prior, wanted in ((None, [0.5, 0.5]), ("labels", [0.25, 0.75]), ([0.1, 0.9], [0.1, 0.9])):
        model = SemiSupervisedVAE(class_prior=prior, **SMALL)
        found = given_to_training(model, monkeypatch, X, y)
        assert found["architecture.class_prior"] == pytest.approx(wanted) and model.class_prior_ == pytest.approx(
            wanted
        )


def test_rows_to_validate_on_take_their_labels_along(monkeypatch):
    model = SemiSupervisedVAE(**SMALL)
    more = grey_rows(7, seed=5)
    for y_valid, ends in ((None, [-1] * 7), ([0, 1, -1, 0, 0, 1, 1],) * 2):
        found = given_to_training(model, monkeypatch, X, Y, X_valid=more, y_valid=y_valid)
        rows = np.concatenate([more, np.array(ends, float)[:, None]], axis=1)
        assert found["valid"] == rows_as(rows) and found["rows"] == labelled(X)
    assert given_to_training(VAE(**SMALL), monkeypatch, X, X_valid=more)["valid"] == rows_as(more)


# TableImputer

TABLE = np.where(
    np.random.default_rng(1).random((50, 3)) < 0.2, np.nan, np.random.default_rng(2).lognormal(size=(50, 3))
)


OBSERVED = int((~np.isnan(TABLE)).sum())


class Member:
    """In the place of a trained model: fills in 1, and remembers how it was asked."""

    error, normal_error = 1.0, 2.0

    def __init__(self, seen) -> None:
        self.seen = seen

    def impute(self, x, seed, samples, draws, progress=None, curves=None, members=1):
        self.seen["asked"] = (x.shape, samples)
        self.seen.setdefault("seeds of members", []).append(seed)
        self.seen.setdefault("draws of members", []).append(draws)
        return Imputation(
            np.where(np.isnan(x), 0.0, x), np.zeros((draws, *x.shape)), {"effective_sample_size": np.ones(len(x))}
        )


def given_to_members(imputer, monkeypatch, draws=0, table=TABLE, **more) -> dict:
    with monkeypatch.context() as patch:
        seen = Seen(patch)

        def trained(x, likelihood, blocks, standard, recipe, ops, seed, report, keeper, first, enough):
            report(SimpleNamespace(epoch=1))
            seen["ends by the clock"] = enough is not None
            seen.update({f"recipe.{name}": value for name, value in vars(recipe).items()})
            seen.update(
                {
                    "likelihood": registry.to_config(likelihood),
                    "width": x.shape[1],
                    "observed": int((~np.isnan(x)).sum()),
                }
            )
            seen.setdefault("seeds", []).append(seed)
            return Member(seen), SimpleNamespace(interrupted=False, stop_reason="finished")

        class Recorded(imputer_module.Stages):
            def __init__(self, verbose, limit=None) -> None:
                seen.setdefault("progress", []).append((verbose, limit is not None))
                super().__init__(False)

            def begin(self, name, total=0, unit="", after=0, done=0) -> None:
                if total:
                    seen["progress"].append((name, total, unit, after))

        encode = imputer_module.Schema.encode

        def encoded(schema, table, unseen="error"):
            seen["unseen"] = unseen
            return encode(schema, table, unseen)

        patch.setattr(imputer_module.Schema, "encode", encoded)
        patch.setattr(imputer_module, "train_member", trained)
        patch.setattr(imputer_module, "Stages", Recorded)
        # What calibrates intervals asks members too: test_calibration.py has it.
        patch.setattr(imputer_module.calibration, "calibrate", lambda *asked: None)
        patch.setattr(imputer_module.TableImputer, "_rows_to_calibrate", lambda *asked: 0)
        imputer.fit(table)
        seen["kinds"] = [column.kind for column in imputer.schema_.columns]
        imputer.impute(table, draws, **more)
    return seen


def recipe(**changes) -> dict:
    return {f"recipe.{name}": value for name, value in changes.items()}


def seeds(seed: int, members: int) -> list[int]:
    return [imputer_module.seed_of_member(seed, i) for i in range(members)]


def rounds(epochs: int, members: int, verbose=False, limited=False) -> list:
    """What is said of fitting and of filling in: whether at all, whether time is limited, and by stage its name, its
    units, and how many of them come after it."""
    fitting = [(f"member {i + 1} of {members}", epochs, "epoch", (members - 1 - i) * epochs) for i in range(members)]
    rows = len(TABLE)
    filling = [
        (f"filling in, member {i + 1} of {members}", rows, "row", (members - 1 - i) * rows) for i in range(members)
    ]
    return [(verbose, limited), *fitting, (verbose, limited), *filling]


def every_column(name: str, count: int = 3) -> dict:
    return config("likelihood", name="table", columns=[{"likelihood": {"name": name}, "columns": count}])


OF_IMPUTER = {
    "kinds": ({"1": "continuous"}, {"kinds": ["continuous", "continuous", "positive"]}, {}),
    "ignore": (
        ["1"],
        {
            "kinds": ["continuous", "positive"],
            "width": 2,
            "observed": OBSERVED - int((~np.isnan(TABLE[:, 1])).sum()),
            "asked": ((50, 2), 2000),
            "likelihood": every_column("gaussian_decoder", 2),
            **recipe(latent_dim=2),
        },
        {},
    ),
    "missing": ([float(np.nanmax(TABLE))], {"observed": OBSERVED - 1}, {}),
    "unseen": ("missing", {"unseen": "missing"}, {}),
    "continuous_likelihood": ("student_t", {"likelihood": every_column("student_t")}, {}),
    "latent_dim": (2, recipe(latent_dim=2), {}),
    "hidden": ((6, 4), recipe(hidden=(6, 4)), {}),
    "members": (
        3,
        {
            "seeds": seeds(3, 3),
            "seeds of members": seeds(3, 3),
            "draws of members": [0] * 3,
            "progress": rounds(400, 3),
        },
        {},
    ),
    "samples": (7, recipe(samples=7), {}),
    "learning_rate": (0.004, recipe(learning_rate=0.004), {}),
    "batch_size": (13, recipe(batch_size=13), {}),
    "epochs": (80, {**recipe(epochs=80, every=2), "progress": rounds(80, 5)}, {}),
    "held_out": (0.25, recipe(held_out=0.25), {}),
    "every": (3, recipe(every=3), {}),
    "patience": (2, recipe(patience=2), {}),
    "imputation_samples": (77, {"asked": (TABLE.shape, 77)}, {}),
    "time": (
        1e9,
        {  # the first that is filled in is the trial
            "progress": rounds(400, 5, limited=True),
            "ends by the clock": True,
            "seeds of members": [3, *seeds(3, 5)],
            "draws of members": [0] * 6,
        },
        {},
    ),
    "backend": ("numba", {"backend": ("numba", None)}, {}),
    "threads": (2, {"backend": ("numpy", 2)}, {}),
    "random_state": (11, {"seeds": seeds(11, 5), "seeds of members": seeds(11, 5)}, {}),
    "verbose": (True, {"progress": rounds(400, 5, True)}, {}),
}


@pytest.mark.parametrize("name", OF_IMPUTER)
def test_arguments_of_a_table_imputer(name, monkeypatch):
    base = {"backend": "numpy", "random_state": 3}
    check_arguments(TableImputer, OF_IMPUTER, lambda imputer: given_to_members(imputer, monkeypatch), base, name)


def test_a_table_imputer_s_defaults(monkeypatch):
    seen = given_to_members(TableImputer(random_state=3), monkeypatch)
    wanted = {
        **recipe(
            latent_dim=3,
            hidden=(128, 128),
            samples=5,
            learning_rate=2e-3,
            batch_size=64,
            epochs=400,
            held_out=0.1,
            every=10,
            patience=6,
        ),
        "asked": (TABLE.shape, 2000),
        "backend": ("auto", None),
    }
    assert {name: seen[name] for name in wanted} == wanted
    wide = np.random.default_rng(0).standard_normal((40, 14))
    assert given_to_members(TableImputer(random_state=3), monkeypatch, table=wide)["recipe.latent_dim"] == 10
    # As many epochs as make 40,000 steps of 64 rows: 157 steps an epoch; and never fewer than ten.
    for rows, epochs in ((10_000, 254), (26_000, 98), (400_000, 10)):
        assert TableImputer()._recipe(SimpleNamespace(width=2), rows).epochs == epochs


def test_draws_are_shared_out_among_the_members_in_turns(monkeypatch):
    seen = given_to_members(TableImputer(members=3, random_state=3), monkeypatch, draws=8)
    assert seen["draws of members"] == [3, 3, 2]
    other = given_to_members(TableImputer(members=3, random_state=3), monkeypatch, random_state=5)
    assert other["seeds"] == seeds(3, 3) and other["seeds of members"] == seeds(5, 3)
    assert len({*seeds(3, 50), *seeds(4, 50)}) == 100


def test_every_argument_is_in_a_table():
    of_tables = {"kinds", "ignore", "missing", "unseen"}  # see test_semi_supervised_tables.py
    for kind, table in ((VAE, set(OF_VAE)), (SemiSupervisedVAE, {*OF_M2, *of_tables}), (TableImputer, set(OF_IMPUTER))):
        assert set(inspect.signature(kind).parameters) == table


# LatentClassifier, SoftmaxRegression


def test_arguments_of_a_latent_classifier():
    plain = LatentClassifier(FEATURES).fit(X, Y)
    assert plain.features_ is FEATURES and type(plain.classifier_) is SoftmaxRegression and plain.classifier_.l2 == 1e-3
    strong = LatentClassifier(FEATURES, SoftmaxRegression(5.0)).fit(X, Y)
    assert (
        strong.classifier_.l2 == 5.0
        and np.abs(strong.classifier_.coef_).max() < 0.2 * np.abs(plain.classifier_.coef_).max()
    )
    rows = {}

    class Counting(SoftmaxRegression):
        def fit(self, X, y):
            rows[self.l2] = (len(X), np.bincount(y).tolist())
            return super().fit(X, y)

    for samples in (0, 4):
        LatentClassifier(FEATURES, Counting(1.0 + samples), samples=samples).fit(X, Y)
    assert rows == {1.0: (20, [10, 10]), 5.0: (80, [40, 40])}


def test_a_latent_classifier_s_own_vae(monkeypatch):
    made = {}

    def note(vae, X, **arguments):
        made.update(vae.get_params())
        raise InterruptedError

    from npvae.estimators.semisupervised import latent_classifier

    monkeypatch.setattr(latent_classifier.latent_features, "fitted", note)
    with pytest.raises(InterruptedError):
        LatentClassifier().fit(X, Y)
    assert made == {**VAE().get_params(), "latent_dim": 50, "hidden": (500, 500), "activation": "softplus"}


# arguments of methods


#: By method of a VAE's arguments that go on to a function: value, and under which name the function gets it.
OF_IMPUTE = {
    "draws": 3,
    "method": "metropolis",
    "samples": 11,
    "steps": 13,
    "warm_up": 17,
    "chains": 19,
    "proposals": 23,
    "random_state": 29,
}


def test_arguments_of_impute_arrive(monkeypatch):
    given = {}

    def note(model, theta, x, seed, method, *, progress, view, **arguments):
        given.update({**arguments, "method": method, "random_state": seed})
        return Imputation(np.nan_to_num(x), np.zeros((3, *x.shape)), {})

    monkeypatch.setattr(fitted.methods, "impute", note)
    FEATURES.impute(X, **OF_IMPUTE)
    assert given == OF_IMPUTE
    given.clear()
    FEATURES.impute(X)
    assert given == {
        "draws": 0,
        "method": "auto",
        "samples": 1000,
        "steps": 200,
        "warm_up": 50,
        "chains": 1,
        "proposals": 10,
        "random_state": FEATURES.seed_,
    }
    assert set(inspect.signature(VAE.impute).parameters) == {"self", "X", "verbose", *OF_IMPUTE}


@pytest.mark.parametrize("method", ["metropolis", "pseudo_gibbs"])
def test_arguments_of_the_chains_arrive(method, monkeypatch):
    given, known = {}, LinearGaussian()

    def note(model, theta, x, completed, seed, **arguments):
        given.update({**arguments, "seed": seed})

    monkeypatch.setattr(methods, "chain_imputation", note)
    methods.impute(
        known.model,
        known.theta,
        np.full((2, 3), np.nan),
        29,
        method,
        draws=3,
        steps=13,
        warm_up=17,
        chains=19,
        proposals=23,
    )
    assert (
        given.pop("progress") is None
        and given.pop("view") is None
        and given
        == {
            "metropolis": method == "metropolis",
            "steps": 13,
            "warm_up": 17,
            "chains": 19,
            "proposals": 23,
            "draws": 3,
            "seed": 29,
        }
    )


@pytest.fixture
def steps(monkeypatch):
    """By chain the numbers of proposals of its steps, in their order, and where it was after each."""
    seen: dict = {}
    original = chains.Chain.step

    def noted(self, proposals):
        original(self, proposals)
        seen.setdefault(id(self), [self, []])[1].append((proposals, self.x.copy(), self.expected.copy()))

    monkeypatch.setattr(chains.Chain, "step", noted)
    return seen


@pytest.mark.parametrize(
    ("warm_up", "number", "proposals", "metropolis"), [(0, 1, 1, True), (7, 3, 4, True), (2, 2, 5, False)]
)
def test_the_chains_take_the_steps_they_are_told_to(steps, warm_up, number, proposals, metropolis):
    """So many of pseudo-Gibbs, which count for nothing, then so many of the method; the mean is of those, over all
    chains.
    """
    known, x = LinearGaussian(), np.array([[0.9, np.nan, np.nan], [np.nan, 1.0, 2.0]])
    found = chain_imputation(
        known.model,
        known.theta,
        x,
        np.zeros_like(x),
        3,
        metropolis=metropolis,
        steps=6,
        warm_up=warm_up,
        chains=number,
        proposals=proposals,
        draws=2 * number,
    )
    taken = [each for _, each in steps.values()]
    assert [[step[0] for step in each] for each in taken] == [
        [0] * warm_up + [proposals if metropolis else 0] * 6
    ] * number
    kept = [step for each in taken for step in each[warm_up:]]
    missing = np.isnan(x)
    np.testing.assert_allclose(found.mean[missing], np.mean([step[2] for step in kept], axis=0)[missing], rtol=1e-12)
    # Draws at equal distances: the third and the last step of every chain.
    np.testing.assert_array_equal(found.draws, [kept[i][1] for i in range(2, 6 * number, 3)])
    beginnings = {each[0][1].tobytes() for each in taken}
    assert len(beginnings) == number  # each chain with numbers of its own


def test_the_defaults_of_the_chains(steps):
    known, x = LinearGaussian(), np.array([[0.9, np.nan, np.nan]])
    chain_imputation(known.model, known.theta, x, np.zeros_like(x), 3)
    (taken,) = [each for _, each in steps.values()]
    assert [step[0] for step in taken] == [0] * 50 + [1] * 200


def test_importance_of_a_model_of_complete_rows_begins_with_twenty_steps_of_pseudo_gibbs(steps):
    known, x = LinearGaussian(), np.array([[0.9, np.nan, np.nan]])
    methods.impute(known.model, known.theta, x, 3, "importance", samples=10)
    (taken,) = [each for _, each in steps.values()]
    assert [step[0] for step in taken] == [0] * 40  # twenty that count for nothing before


def test_numbers_of_samples_and_draws_of_the_other_methods_arrive(monkeypatch):
    from npvae import evaluation

    given = {}
    monkeypatch.setattr(
        evaluation,
        "log_likelihood",
        lambda model, theta, x, seed, samples, **more: given.update({"seed": seed, "samples": samples, **more}),
    )
    FEATURES.log_likelihood(X, samples=7, at_once=64, random_state=5)
    assert given.pop("progress") is not None and given == {"seed": 5, "samples": 7, "at_once": 64}
    given.clear()
    FEATURES.log_likelihood(X)
    del given["progress"]
    assert given == {"seed": FEATURES.seed_, "samples": 5000}
    monkeypatch.setattr(
        evaluation,
        "log_likelihood",
        lambda model, theta, x, seed, samples, **more: SimpleNamespace(rows=(seed, samples)),
    )
    assert FEATURES.score_samples(X) == (FEATURES.seed_, 100) and FEATURES.score_samples(
        X, samples=7, random_state=5
    ) == (5, 7)
    monkeypatch.setattr(evaluation, "elbo_rows", lambda model, theta, x, seed, draws: np.array([seed, draws]))
    assert FEATURES.elbo(X, draws=6, random_state=5) == 5.5 and FEATURES.elbo(X) == (FEATURES.seed_ + 1) / 2


def test_bounds_of_json_that_a_class_checks():
    """Ten deep and a million values unless it says otherwise: what a file may hold without a reader drowning in it."""
    from npvae.errors import InputError
    from npvae.support.fields import Anything

    def nested(depth: int):
        value = 1
        for _ in range(depth - 1):
            value = [value]
        return value

    assert Anything().read("v", nested(10)) == nested(10) and Anything(3).read("v", {"a": [1]}) == {"a": [1]}
    assert Anything(1).read("v", 5) == 5 and Anything(2, 4).read("v", [1, 2, 3]) == [1, 2, 3]
    for field, value in ((Anything(), nested(11)), (Anything(1), [1]), (Anything(2, 4), [1, 2, 3, 4])):
        with pytest.raises(InputError, match="^v must be JSON of at most"):
            field.read("v", value)


#: What entries of files' headers may be, and what not: just inside and just outside.
WHOLE_FROM_0, WHOLE_FROM_1 = ([0, 1], [-1, 1.0, "1", True]), ([1, 2], [0, -1, 1.0, "1", True])
ABOVE_0, HELD_OUT = ([1e-300, 1, 2.5], [0.0, -1.0, None, "1"]), ([1e-9, 0.5], [0.0, 0.50001, None])
NONE_TOO = ([None], [])
MAYBE_FROM_1, MAYBE_FROM_0 = (
    tuple(a + b for a, b in zip(WHOLE_FROM_1, NONE_TOO, strict=True)),
    tuple(a + b for a, b in zip(WHOLE_FROM_0, NONE_TOO, strict=True)),
)
ERROR = ([0.0, 2.0, None], [-1e-9, "0"])
FROM_0, LAYERS = ([0, 0.0, 2.5], [-1e-9, None, "1"]), ([7, [], [5, 4]], [0, [0], "7", 2.5])
HEADERS = {
    "npvae.estimators.model_file:ARGUMENTS": {
        **dict.fromkeys(("latent_dim", "batch_size", "epochs", "patience", "threads"), MAYBE_FROM_1),
        "random_state": MAYBE_FROM_0,
        **dict.fromkeys(("beta", "min_delta", "alpha"), FROM_0),
        "divide_by": ABOVE_0,
        **dict.fromkeys(("learning_rate", "clip_norm"), ([None, 1e-300, 2.5], [0.0, -1.0, "1"])),
        **dict.fromkeys(("hidden", "decoder_hidden", "classifier_hidden"), ([*LAYERS[0], None], LAYERS[1])),
        "validation_fraction": ([0, 1.0, 0.5, None], [-1e-9, 1.00001]),
        "activation": (["relu", "softplus", None], ["sigmoid"]),
        "binarize": (["none", "static", "dynamic"], ["always", None]),
        "initial_weights": (["glorot", "he", "fan_in"], ["zero", None]),
        "output_bias": (["auto", "zero", "data"], ["none", None]),
        "dtype": (["float32", "float64"], ["float16", None]),
        "standardize": ([True, False], [0, None]),
        "linear_path": ([True, False, None], [0]),
        "missing": ([True, False, [], ["NA", -999]], [0, None, "NA"]),
        **dict.fromkeys(("kinds", "ignore"), ([None, {}], [])),
        "unseen": (["error", "missing"], [None, "x"]),
        "likelihood": ([{"name": "x"}, "auto"], ["bernoulli", None, {}]),
        "verbose": ([True, 0, None], [[1]]),
        "features": ([None, ""], ["x", 3]),
        "backend": ([None, "numpy", "x" * 100, {"name": "numba", "threads": 2}], ["x" * 101, "a\x1b", 3, {}]),
        "objective": ([None, "elbo", {"name": "elbo", "free_bits": 0.5}], ["nothing", 3, {"name": "elbo", "bits": 1}]),
        "kl_warmup": ([None, 4, 2.5, {"name": "cyclic", "period": 3}], [-1, "slow", {"name": "cyclic"}]),
        "optimizer": ([None, "sgd", {"name": "adam", "beta1": 0.5}], ["adagrad", 3, {"name": "adam", "beta1": 2}]),
        "schedule": ([None, "cosine", {"name": "cosine", "final": 0.5}], ["linear", 3, {"name": "cosine", "final": 2}]),
        "classes": ([None, [1, "a", True]], [[1.5], "ab"]),
        "class_prior": ([None, "labels", [0.25, 1]], ["equal", [0.0], 3]),
    },
    "npvae.estimators.model_file:declaration(__import__('npvae').VAE)": {
        "estimator": (["VAE"], ["SemiSupervisedVAE", None]),
        "seed": WHOLE_FROM_0,
        "sample_shape": ([[1], [2] * 32], [[], [0], [1] * 33, 6]),
        "column_names": ([None, ["a"]], [[]]),
        "stop_reason": ([None, "finished"], ["\x1b"]),
        "best_epoch": MAYBE_FROM_1,
        "architecture.n_features": WHOLE_FROM_1,
        "architecture.latent_dim": WHOLE_FROM_1,
        "architecture.hidden": ([[], [5]], [[0], 5, None]),
        "architecture.decoder_hidden": ([[], [5]], [[0], 5, None]),
        "architecture.activation": (["tanh"], ["sigmoid"]),
        "architecture.likelihood": ([{"name": "x"}], ["bernoulli", {}]),
        **dict.fromkeys(
            ("architecture.missing", "architecture.linear_path", "architecture.completed"), ([True, False], [0, None])
        ),
        "trained_on": ([None, {"data": "digits", "label_column": None}], [{}, "digits"]),
        "parameters.latent_dim": MAYBE_FROM_1,
    },
    "npvae.training.declared:CLASSES_OF_ARCHITECTURE": {
        "n_classes": ([2, 3], [1, 2.0, None]),
        "classifier_hidden": ([[], [5]], [[0], 5]),
        "class_prior": ([[], [0.5, 1]], [[0.0], None]),
    },
    "npvae.estimators.tables.imputer_file:DECLARATION": {
        **dict.fromkeys(
            (f"parameters.{name}" for name in ("members", "samples", "batch_size", "patience", "imputation_samples")),
            WHOLE_FROM_1,
        ),
        **dict.fromkeys((f"parameters.{name}" for name in ("latent_dim", "epochs", "every", "threads")), MAYBE_FROM_1),
        "parameters.random_state": MAYBE_FROM_0,
        "parameters.learning_rate": ABOVE_0,
        "parameters.held_out": HELD_OUT,
        "parameters.hidden": ([7, [5, 4]], [0, [0], "7"]),
        "parameters.continuous_likelihood": (["gaussian", None, {"name": "x"}], [3, "a\x1b"]),
        "parameters.ignore": ([None, []], []),
        "parameters.missing": ([[], ["NA", -999, 0.5]], [[None], [[]], "NA"]),
        "parameters.unseen": (["error", "missing"], ["ignore", None]),
        "columns": ([["a", "b"]], [[], [1], "a"]),
        "carried": ([{}, {"a": "empty"}], [{"a": 1}, []]),
        "parameters.kinds": ([None, {}], []),
        "parameters.verbose": ([True, 0], [[1]]),
        "seed": WHOLE_FROM_0,
        "members": (
            [[{"error": 0.0, "normal_error": 1.0, "epoch": 0}] * n for n in (1, 3000)],
            [[], [{"error": 0.0, "normal_error": 1.0, "epoch": 0}] * 3001],
        ),
        "members.error": ERROR,
        "members.normal_error": ERROR,
        "members.epoch": WHOLE_FROM_0,
        "schema": ([], [[]]),
    },
    "npvae.estimators.tables.imputer_checkpoint:DECLARATION": {
        **dict.fromkeys(
            (f"recipe.{name}" for name in ("latent_dim", "samples", "batch_size", "epochs", "every", "patience")),
            WHOLE_FROM_1,
        ),
        "recipe.learning_rate": ABOVE_0,
        "recipe.held_out": HELD_OUT,
        "recipe.seed": WHOLE_FROM_0,
        "recipe.hidden": ([7, [5, 4]], [0, [0], "7"]),
        **dict.fromkeys((f"state.{name}" for name in ("epoch", "step", "best_epoch", "hidden_epoch")), WHOLE_FROM_0),
        "state.steps_by": ([None, "fused", "operations"], ["magic"]),
        "state.best_elbo": ([None, -3.0], ["1"]),
        "state.hidden_error": ([None, 0.0, 1.5], [-1e-9]),
        "state": ([None], [3]),
        "schema": ([], [[]]),
        "members": (
            [[], [{"error": 0.0, "normal_error": 1.0, "epoch": 0}] * 3000],
            [[{"error": 0.0, "normal_error": 1.0, "epoch": 0}] * 3001],
        ),
        "data": ([{}, dict.fromkeys("abcdefghij", "0" * 64)], [dict.fromkeys("abcdefghijk", "0" * 64), {"x": "0"}]),
        "command": ([None, ["a"], ["x" * 10_000] * 2], [[], ["x" * 10_001], "a"]),
    },
    "npvae.training.checkpoint_fields:DECLARATION": {
        **dict.fromkeys(("epoch", "step", "best_epoch"), WHOLE_FROM_0),
        "steps_by": ([None, "fused", "operations"], ["magic"]),
        "best_elbo": ([None, -3.0], ["1"]),
        "command": ([None, ["a"] * 10_000], [[], ["a"] * 10_001]),
        "data": ([dict.fromkeys("abcdefghij", "0" * 64)], [dict.fromkeys("abcdefghijk", "0" * 64)]),
        "environment": (
            [dict.fromkeys(map(str, range(100)), "x" * 1000)],
            [dict.fromkeys(map(str, range(101)), "x"), {"a": "x" * 1001}, {"a": "\x1b"}],
        ),
    },
    "npvae.estimators.semisupervised:LatentClassifier._declaration()": {
        "l2": ABOVE_0,
        "samples": WHOLE_FROM_0,
        "used_dimensions": ([[0], [3, 4]], [[], [-1]]),
        "estimator": (["LatentClassifier"], ["VAE"]),
        "classes": ([[1, 2], ["a", "b"], [True, False]], [[1], [], [1.5, 2.5]]),
    },
    "npvae.estimators.semisupervised:SemiSupervisedVAE._more_header": {
        "classes": ([[1, 2], ["a", "b"]], [[1], []]),
        "class_prior": ([[0.5], []], [[0.0], [-1.0]]),
        "features": ([None], [3]),
        "features.used_dimensions": ([[0], [3, 4]], [[], [-1]]),
    },
    "npvae.estimators.tables.imputer_file:ColumnField._entries": {
        "kind": (["continuous", "categorical"], ["other"]),
        "deviation": ABOVE_0,
        "mean": ([0.0, -1e300], [None, "1"]),
        "decimals": ([None, 0, 8], [-1, 9, True]),
        "form": (["number", "date", "duration"], ["text", None]),
        "words": ([[], ["a", "b", "c"]], [["a", "b", "c", "d"], [1]]),
        "values": ([[], [1, 2.5], [True, "a"]], [[None], "ab"]),
        "likelihood": (["", "poisson", {"name": "x"}], [None, {}]),
    },
}


def entry_of(declaration, path: str):
    """The field of an entry within records, lists and what may be null."""
    field = declaration
    for name in path.split("."):
        while not isinstance(field, dict) and not hasattr(field, "entries"):
            field = field._field
        field = (field if isinstance(field, dict) else field.entries)[name]
    return field


@pytest.mark.parametrize("declaration", HEADERS)
def test_bounds_of_headers(declaration):
    import importlib

    from npvae.errors import InputError

    module, _, name = declaration.partition(":")
    declared = eval(name, vars(importlib.import_module(module)))
    for path, (accepted, refused) in HEADERS[declaration].items():
        field = entry_of(declared, path)
        for value in accepted:
            np.testing.assert_equal(
                field.read(path, value), float("nan") if value is None and path.startswith("members.") else value
            )
        for value in refused:
            with pytest.raises(InputError):
                field.read(path, value)
                pytest.fail(f"{path} takes {str(value)[:50]}")


@pytest.mark.parametrize(
    ("kind", "values", "fits"),
    [
        ("binary", [0, 1], True),
        ("binary", ["a", "b"], True),
        ("binary", [0], False),
        ("binary", [0, 1, 2], False),
        ("binary", [0, 0], False),
        ("categorical", [0, 1], True),
        ("categorical", ["a", "b", "c"], True),
        ("categorical", ["a"], False),
        ("categorical", ["a", "b", "b"], False),
        ("counts", [], True),
        ("counts", [1], False),
        ("continuous", [], True),
        ("positive", [0, 1], False),
    ],
)
def test_values_of_columns_in_files(kind, values, fits):
    from npvae.errors import InputError
    from npvae.estimators.tables.imputer_file import ColumnField

    entry = {
        "name": "n",
        "kind": kind,
        "likelihood": "x",
        **({"values": values} if values or kind in ("binary", "categorical") else {}),
    }
    if fits:
        found = ColumnField().read("schema[0]", entry)
        assert found == entry and [type(v) for v in found.get("values", [])] == [
            float if type(v) is int else type(v) for v in values
        ]
    else:
        with pytest.raises(InputError, match=r"schema\[0\].*values"):
            ColumnField().read("schema[0]", entry)


@pytest.mark.parametrize(
    ("covariance", "fits"),
    [
        (np.eye(3), True),
        ([[4.0, 1.0], [1.0, 1.0]], True),
        ([[4.0, 2.0], [2.0, 1.0]], False),
        ([[1.0, 0.5], [0.4, 1.0]], False),
        (-np.eye(2), False),
        ([[1.0, 1e-9], [0.0, 1.0]], True),
        ([[1e-4, 1e-9], [0.0, 1e-4]], False),
        ([[1e-4, 1e-13], [0.0, 1e-4]], True),
        ([[2.0]], True),
        ([[1.0, 1e-7], [0.0, 100.0]], True),
        ([[1.0, 2e-8], [2e-8, 1.0]], True),
        ([[-1e3, 1.0], [1.0, 1.0]], False),
        ([[1.0, 2e-8], [0.0, 1.0]], False),
        ([[1e8, 0.5], [0.0, 1e8]], True),
        ([[1e8, 2.0], [0.0, 1e8]], False),
    ],
)
def test_what_a_covariance_is(covariance, fits):
    from npvae.estimators.tables.imputer_file import _is_covariance

    assert _is_covariance(np.array(covariance, float)) is fits
