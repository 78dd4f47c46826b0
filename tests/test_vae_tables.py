"""``VAE(likelihood="auto")``: tables of every kind in, and tables of that kind out; files, checkpoints,
scikit-learn's conventions.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from npvae import VAE
from npvae.errors import (
    CarriedColumnsWarning,
    FewSamplesWarning,
    FitWarning,
    InputError,
    InputTypeError,
    ModelFileError,
)
from npvae.estimators.tables.vae import choices, convergence
from npvae.estimators.tables.vae.combinations import Combinations, blocks
from npvae.estimators.tables.vae.configuration import Auto
from npvae.estimators.tables.vae.frame import FrameKind
from npvae.estimators.tables.vae.marginals import Marginal
from npvae.estimators.tables.vae.nearness import distances, nearness, share_to_exchange

SMALL = {"likelihood": "auto", "hidden": (8,), "latent_dim": 2, "epochs": 4, "backend": "numpy", "random_state": 0}


def columns(rows: int = 120) -> dict:
    """A table of columns of several kinds; the region says what income and age are about, and who owns."""
    random = np.random.default_rng(1)
    north = random.random(rows) < 0.5
    income = np.round(np.exp(7.0 + 0.8 * north + 0.3 * random.normal(size=rows)), 2)
    return {
        "region": np.where(north, "North", "South").astype(object),
        "income": income,
        "age": np.clip(np.rint(40 + 15 * north + 5 * random.normal(size=rows)), 18, 90).astype(np.int64),
        "owner": random.random(rows) < 0.2 + 0.6 * north,
        "day": np.datetime64("2024-01-01") + random.integers(0, 300, rows).astype("m8[D]"),
    }


def fitted(table, **arguments) -> VAE:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        return VAE(**{**SMALL, **arguments}).fit(table)


@pytest.fixture(scope="module")
def of_frame():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(columns())
    frame["level"] = pandas.Categorical(
        np.where(frame["age"] > 50, "high", "low"), ["low", "middle", "high"], ordered=True
    )
    frame["children"] = pandas.array([None if i % 7 == 0 else i % 3 for i in range(len(frame))], "Int64")
    frame.loc[3, "income"], frame.loc[5, "region"] = np.nan, None
    return frame, fitted(frame)


def test_a_sample_of_a_frame_is_a_frame_of_its_types(of_frame):
    frame, model = of_frame
    drawn = model.sample(200)
    assert list(drawn) == list(frame) and (drawn.dtypes == frame.dtypes).all() and len(drawn) == 200
    assert drawn["level"].cat.categories.tolist() == ["low", "middle", "high"] and drawn["level"].cat.ordered
    assert not drawn.isna().any().any()
    for name in ("income", "age", "day", "children"):
        assert frame[name].min() <= drawn[name].min() and drawn[name].max() <= frame[name].max()
    assert (drawn["income"] == drawn["income"].round(2)).all() and set(drawn["children"]) <= {0, 1, 2}
    assert drawn.equals(model.sample(200)) and not drawn.equals(model.sample(200, random_state=1))
    assert 0.3 < (drawn["region"] == "North").mean() < 0.7


def test_frames_in_every_method(of_frame):
    frame, model = of_frame
    z = model.transform(frame)
    assert z.shape == (len(frame), 2) and np.array_equal(z, model.transform(frame[frame.columns[::-1]]))
    some = frame.iloc[[7, 3, 5]]
    again = model.reconstruct(some)
    assert list(again.index) == [7, 3, 5] and (again.dtypes == frame.dtypes).all()
    assert model.score_samples(some, samples=10).shape == (3,) and np.isfinite(model.elbo(frame))
    filled = model.impute(some, draws=2, samples=50)
    assert filled.filled["region"].notna().all() and filled.filled["income"].notna().all() and len(filled.draws) == 2
    assert filled.filled.loc[7].drop("children").equals(frame.loc[7].drop("children"))
    with pytest.raises(InputError, match="importance sampling"):
        model.impute(some, method="metropolis")
    with pytest.raises(InputError, match="'West'"):
        model.transform(frame.assign(region="West"))
    with pytest.raises(InputError, match="'age' missing"):
        model.transform(frame.drop(columns="age"))


def test_a_file_gives_the_same_model_back(of_frame, tmp_path):
    frame, model = of_frame
    model.save(tmp_path / "model.npz")
    again = VAE.load(tmp_path / "model.npz", backend="numpy")
    assert again.sample(50).equals(model.sample(50)) and np.array_equal(again.transform(frame), model.transform(frame))
    assert again.get_params()["likelihood"] == "auto" and again.nearness_ == model.nearness_ and again.latent_dim_ == 2
    assert (again.epochs_, again.batch_size_, again.hidden_) == (4, 64, (8,))
    again.save(tmp_path / "again.npz")
    assert VAE.load(tmp_path / "again.npz").sample(5).equals(model.sample(5))


@pytest.mark.parametrize(
    ("container", "wanted"),
    [
        ("dict", {"region": object, "income": np.float64, "age": np.int64, "owner": bool, "day": "M8[D]"}),
        ("records", list),
        ("array", object),
        ("polars", None),
        ("pyarrow", None),
    ],
)
def test_other_kinds_of_tables_come_back(container, wanted):
    table = columns(60)
    if container == "dict":
        drawn = fitted(table).sample(30)
        assert {name: column.dtype for name, column in drawn.items()} == {
            name: np.dtype(kind) for name, kind in wanted.items()
        }
    elif container == "records":
        records = [
            dict(zip(table, row, strict=True))
            for row in zip(*(column.tolist() for column in table.values()), strict=True)
        ]
        drawn = fitted(records).sample(30)
        assert len(drawn) == 30 and {key: type(value) for key, value in drawn[0].items()} == {
            key: type(value) for key, value in records[0].items()
        }
    elif container == "array":
        numbers = np.column_stack([table["income"], table["age"]])
        drawn = fitted(numbers).sample(30)
        assert drawn.shape == (30, 2) and drawn.dtype == np.float64 and (drawn[:, 1] == np.rint(drawn[:, 1])).all()
        whole = fitted(np.column_stack([table["age"], 2 * table["age"]]).astype(np.int32)).sample(4)
        assert whole.dtype == np.int32
    else:
        library = pytest.importorskip(container)
        frame = library.DataFrame(table) if container == "polars" else library.table(table)
        drawn = fitted(frame).sample(30)
        assert type(drawn) is type(frame) and drawn.schema == frame.schema and len(drawn) == 30


def test_rows_of_given_columns_are_distributed_as_the_others_that_have_them():
    table = columns(400)
    model = fitted({name: table[name] for name in ("region", "income", "age")}, epochs=30)
    every = model.sample(20_000)
    for wanted in ({"region": "North"}, {"region": "South", "age": 40}):
        drawn = model.sample(4000, given=wanted)
        assert all((drawn[name] == value).all() for name, value in wanted.items())
        here = np.all([every[name] == value for name, value in wanted.items()], axis=0)
        error = np.log(every["income"][here]).std() * np.sqrt(
            1 / here.sum() + 1 / 1000
        )  # resampled draws are worth fewer
        assert abs(np.log(drawn["income"]).mean() - np.log(every["income"][here]).mean()) < 5 * error
    with pytest.raises(InputError, match="'county'"):
        model.sample(given={"county": "x"})
    with pytest.raises(InputError, match="'West'"):
        model.sample(given={"region": "West"})
    with pytest.raises(InputTypeError, match="mapping"):
        model.sample(given=["region"])
    with pytest.warns(FewSamplesWarning, match="effective samples"):
        model.sample(given={"region": "South", "income": 1e5})


def test_what_the_user_gives_wins_and_the_rest_is_chosen(monkeypatch):
    table = columns(60)
    model = fitted(table, latent_dim=None, hidden=None, batch_size=7)
    assert model.hidden_ == (128, 128) and model.latent_dim_ in model.table_.tried and len(model.table_.tried) == 3
    assert model.batch_size_ == 7 and model.epochs_ == 4 and model.model_.architecture.linear_path
    given = fitted(table, linear_path=False, activation="relu", objective="elbo", validation_fraction=0.0)
    assert (
        not given.model_.architecture.linear_path
        and given.nearness_ is None
        and "val_elbo" not in given.history_.columns()
    )
    assert choices.latent_dims(40) == [8, 12, 16] and choices.latent_dims(1) == [1] and choices.batch_size(100) == 64
    assert choices.batch_size(10**6) == 512


def test_the_study_note_s_model_is_what_it_was():
    model = VAE()
    assert [model.argument(name) for name in ("latent_dim", "hidden", "epochs", "optimizer")] == [
        2,
        (256,),
        50,
        "rmsprop",
    ]
    assert repr(VAE(likelihood="auto")) == "VAE(likelihood='auto')"
    with pytest.raises(InputError, match="likelihood='auto'"):
        model.fit(np.array([[0.5, 3.0], [0.1, 0.2]]))
    with pytest.raises(InputTypeError, match="likelihood='auto'"):
        model.fit(np.array([["a", "b"]]))
    with pytest.raises(AttributeError, match="models of tables"):
        _ = model.schema_
    with pytest.raises(InputError, match="given is for models of tables"):
        VAE(epochs=1, hidden=(2,), backend="numpy").fit(np.full((4, 3), 0.5)).sample(given={})
    for wrong in ({"divide_by": 255.0}, {"binarize": "dynamic"}):
        with pytest.raises(InputError, match="no use"):
            VAE(**SMALL, **wrong).fit(columns(30))


def test_a_killed_run_goes_on_to_the_same_bits(tmp_path):
    table, path = columns(60), tmp_path / "checkpoint.npz"

    class Killed(Exception):
        pass

    def kill(state):
        if state.epoch == 2:
            raise Killed

    whole = fitted(table, latent_dim=None)
    with pytest.raises(Killed):
        VAE(**{**SMALL, "latent_dim": None}).fit(table, callbacks=[kill], checkpoint=path, checkpoint_seconds=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        resumed = VAE(**{**SMALL, "latent_dim": None}).fit(table, checkpoint=path, resume=True)
    assert np.array_equal(whole.theta_, resumed.theta_)
    assert all(np.array_equal(whole.sample(9)[name], resumed.sample(9)[name]) for name in table)


def test_the_representation_of_a_fitted_table_holds_no_arrays():
    model = VAE(likelihood="auto", hidden=(4,), epochs=1, random_state=0).fit(
        np.random.default_rng(0).normal(size=(60, 3))
    )
    table = model.table_
    table.recorded[0] = np.arange(9.0)
    assert table.latents is not None and table.marginals
    for part in (table, table.rows, table.rows.normal, table.latents, *table.marginals.values()):
        assert "array([" not in repr(part) and "latents=" not in repr(part) and len(repr(part)) < 500
        assert type(part).__name__ in repr(part)


def test_scikit_learn_s_conventions():
    sklearn = pytest.importorskip("sklearn.base")
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    table = columns(60)
    model = sklearn.clone(fitted(table))
    assert model.get_params() == VAE(**SMALL).get_params() and not hasattr(model, "theta_")
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(table)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        pipeline = make_pipeline(model, LogisticRegression()).fit(frame.drop(columns="owner"), frame["owner"])
    assert pipeline.predict(frame.drop(columns="owner")).shape == (60,) and pipeline[0].n_features_in_ == 4
    assert list(pipeline[0].feature_names_in_) == ["region", "income", "age", "day"]
    assert pipeline[0].set_params(backend="numpy").transform(frame.drop(columns="owner")).shape == (60, 2)


def test_carried_columns_are_named_and_left_out():
    table = {"id": np.arange(60), "constant": np.ones(60), **columns(60)}
    with pytest.warns(CarriedColumnsWarning, match="'id'.*'constant'"):
        model = fitted(table)
    assert set(model.carried_) == {"id", "constant"} and list(model.sample(3)) == list(columns(3))
    with pytest.raises(InputError, match="carried"):
        model.sample(given={"id": 3})
    quiet = fitted(table, likelihood={"name": "auto", "ignore": ["id", "constant"], "missing": [18]})
    assert quiet.get_params()["likelihood"]["ignore"] == ["id", "constant"]


def test_bounded_columns_after_columns_of_several_features():
    random = np.random.default_rng(0)
    table = {
        "kind": random.choice(["x", "y", "z", "w"], 60).astype(object),
        "sort": random.choice(["p", "q", "s"], 60).astype(object),
        "share": np.round(random.random(60), 2),
    }
    model = fitted(table, epochs=1, likelihood={"name": "auto", "kinds": {"share": "bounded"}})
    assert 0.0 <= min(model.sample(50)["share"]) <= max(model.sample(50)["share"]) <= 1.0


def test_the_arguments_of_auto():
    assert Auto.of("bernoulli") is None and Auto.of({"name": "poisson"}) is None and Auto.of("auto") == Auto()
    auto = Auto.of({"name": "auto", "kinds": {"age": "continuous"}, "missing": (np.float64(-1),), "unseen": "missing"})
    assert Auto.of(auto.config()).config() == auto.config() and auto.config()["missing"] == [-1.0]
    with pytest.raises(InputError, match="no argument 'kind'"):
        Auto.of({"name": "auto", "kind": 3})
    with pytest.raises(InputError, match="unseen"):
        Auto.of({"name": "auto", "unseen": "never"})


def test_marginals_are_the_recorded_ones():
    class Tenths:
        @staticmethod
        def rounded(v):
            return np.round(v, 1)

    random = np.random.default_rng(0)
    recorded = random.choice([0.0, 1.0, 5.0], 2000, p=[0.5, 0.3, 0.2])
    x = random.normal(size=20_000)
    marginal = Marginal.fit(x, recorded)
    v = marginal.of(Tenths, x, random.random(len(x)))
    assert marginal.steps and set(v) == {0.0, 1.0, 5.0}
    for value in (0.0, 1.0, 5.0):
        assert abs((v == value).mean() - (recorded == value).mean()) < 0.01
    order = np.argsort(x)
    assert (np.diff(v[order]) >= 0.0).all()  # ranks stay
    smooth = np.round(np.exp(random.normal(size=3000)), 3)
    marginal = Marginal.fit(x, smooth)
    v = marginal.of(Tenths, x, random.random(len(x)))
    assert not marginal.steps and np.allclose(
        np.quantile(v, [0.1, 0.5, 0.9]), np.quantile(smooth, [0.1, 0.5, 0.9]), rtol=0.02, atol=0.06
    )
    counts = random.poisson(0.7, 20_000).astype(
        float
    )  # ties: the shares of the recorded values, whatever those of the draws
    v = Marginal.fit(counts, recorded).of(Tenths, counts, random.random(len(counts)))
    assert abs((v == 0.0).mean() - (recorded == 0.0).mean()) < 0.01


def prices(rows: int = 300) -> dict:
    """Shops with their town and price, a discount, and what is paid: all of it by shop and discount; and a number
    that depends on the town.
    """
    random = np.random.default_rng(2)
    shop, discount = random.integers(0, 6, rows), random.choice([0.0, 0.1, 0.25], rows)
    price = np.array([1.75, 1.99, 1.86, 2.09, 1.69, 1.89])[shop]
    return {
        "shop": shop + 1.0,
        "town": np.array(["Ulm", "Hof"], object)[shop % 2],
        "price": price,
        "discount": discount,
        "paid": np.round(price - discount, 2),
        "income": np.round(random.normal(size=rows) + 2.0 * (shop % 2), 3),
    }


def test_columns_that_depend_on_each_other_agree_in_synthetic_rows(tmp_path):
    table = prices()
    model = fitted(table, epochs=2)
    fitted_table, recorded = model.table_, set(zip(*(table[name].tolist() for name in list(table)[:5]), strict=True))
    assert [sorted(block.columns) for block in fitted_table.combinations] == [[0, 1, 2, 3, 4]]
    fitted_table.exchanged = 1.0
    drawn = model.sample(400)
    assert set(zip(*(drawn[name].tolist() for name in list(table)[:5]), strict=True)) <= recorded
    assert np.allclose(drawn["paid"], drawn["price"] - drawn["discount"]) and len(set(drawn["income"])) > 200
    hof = model.sample(300, given={"town": "Hof", "discount": 0.25})
    assert (
        set(hof["shop"]) == {2.0, 4.0, 6.0}
        and np.allclose(hof["paid"], hof["price"] - 0.25)
        and set(hof["town"]) == {"Hof"}
    )
    fitted_table.exchanged = 0.5
    half = model.sample(400)
    agree = np.isclose(half["paid"], half["price"] - half["discount"])
    assert 0.5 <= agree.mean() < 0.9
    model.save(tmp_path / "model.npz")
    again = VAE.load(tmp_path / "model.npz", backend="numpy")
    assert again.table_.exchanged == 0.5
    assert all(np.array_equal(value, model.sample(50)[name]) for name, value in again.sample(50).items())


def test_combinations_are_drawn_as_often_as_recorded_and_the_nearest_of_them():
    class Number:
        is_numeric = True

    class Schema:
        columns = (Number, Number)

    random = np.random.default_rng(0)
    own = np.array([[0.0, 0.0], [0.0, 4.0], [4.0, 4.0]])[random.choice(3, 900, p=[0.6, 0.3, 0.1])]
    drawn = own[random.permutation(900)] + 0.3 * random.normal(size=(900, 2))
    found = Combinations.fit(Schema, [0, 1], own, drawn, 1.0)
    every = np.ones(3, bool)
    taken = found.of(drawn, random.random(900), every)
    assert np.abs(taken - drawn).max() < 2.0  # of combinations 4 apart
    off = random.normal(size=(2000, 2)) + 2.0  # draws that are distributed otherwise
    off_taken = Combinations.fit(Schema, [0, 1], own, off, 1.0).of(off, random.random(2000), every)
    for combination in ([0.0, 0.0], [0.0, 4.0], [4.0, 4.0]):
        share = (own == combination).all(axis=1).mean()
        assert abs((off_taken == combination).all(axis=1).mean() - share) < 0.03
    flat = Combinations.fit(Schema, [0, 1], own, off, 0.5).of(off, random.random(2000), every)
    roots = np.sqrt([(own == c).all(axis=1).mean() for c in ([0.0, 0.0], [4.0, 4.0])])
    shares = [(flat == c).all(axis=1).mean() for c in ([0.0, 0.0], [4.0, 4.0])]
    assert abs(shares[0] / shares[1] / (roots[0] / roots[1]) - 1.0) < 0.25
    which = np.array([False, True, False])
    assert (found.of(drawn, random.random(900), which) == found.values[1]).all()
    expected = (off_taken == found.values[1]).all(axis=1).mean()
    some = Combinations.fit(Schema, [0, 1], own, off, 1.0)
    assert abs(np.exp(some.log_probability(off, which)).mean() - expected) < 0.02


def test_blocks_are_of_columns_that_depend_on_each_other():
    random = np.random.default_rng(0)
    a, b, alone = random.integers(0, 8, 600), random.integers(0, 4, 600), random.integers(0, 5, 600)
    own = np.stack([alone, a, (a + b) % 7, b, random.random(600)], axis=1).astype(float)
    assert [sorted(block) for block in blocks(own, [0, 1, 2, 3], 0)] == [[1, 2, 3]]
    assert blocks(own[:, [0, 1, 3]], [0, 1, 2], 0) == [] and blocks(own, [1], 0) == []
    own[::3, 2] = np.nan
    assert [sorted(block) for block in blocks(own, [0, 1, 2, 3], 0)] == [[1, 2, 3]]


def test_few_enough_rows_are_exchanged_that_none_too_many_are_near():
    random = np.random.default_rng(0)
    trained, new = random.normal(size=(1000, 6)), random.normal(size=(1000, 6))
    far = 3.0 * random.normal(size=(1000, 6))
    assert share_to_exchange(new, new, trained) == 1.0 or abs(share_to_exchange(far, new, trained) - 1.0) < 0.3
    share = share_to_exchange(far, trained[:1000] + 1e-6, trained)
    assert 0.03 < share < 0.06  # copies: as many as may be near
    assert share_to_exchange(trained, trained, trained) == 0.0


def test_nearness_of_copies_and_of_new_rows():
    random = np.random.default_rng(0)
    trained, held_out, new = (random.normal(size=(count, 3)) for count in (900, 900, 2000))
    wanted = np.sqrt(np.square(new[:50, None] - trained).sum(axis=2)).min(axis=1)
    assert np.allclose(distances(new[:50], trained), wanted)
    copies = nearness(trained[:500], trained, held_out)
    assert copies.share == 1.0 and copies.copies == 500
    fresh = nearness(new, trained, held_out)
    assert 0.03 < fresh.share < 0.07 and fresh.copies == 0 and "of 2000 synthetic rows" in str(fresh)


def test_a_word_about_training_that_has_not_ended_well():
    rising = {"bound": [-9.0, -8.0, -7.0], "val_bound": [-9.0, -8.0, -7.0]}
    assert "not converged" in convergence.words_about(rising, 5, "finished", None)[0]
    assert convergence.words_about(rising, 5, "no better validation ELBO", 3) == []
    gap = {"bound": [-9.0, -3.0], "val_bound": [-9.0, -9.0]}
    assert "overfits" in convergence.words_about(gap, 5, "no better validation ELBO", 2)[0]
    assert convergence.words_about({"elbo": [-3.0]}, 5, "finished", None) == []
    with pytest.warns(FitWarning, match="not converged"):
        VAE(**{**SMALL, "epochs": 2, "learning_rate": 0.02}).fit(columns(400))


def test_kinds_of_frames_without_their_library(monkeypatch):
    kind = FrameKind("pandas", ({"type": "float64"},))

    class Column:
        name, form, values, whole = "a", "number", (), True

    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    made = kind.table([Column], [np.array([1.0, 2.0])])
    assert list(made) == ["a"] and made["a"].dtype == np.int64


def test_a_file_whose_table_does_not_fit_is_refused(tmp_path):
    from npvae.estimators import model_file
    from npvae.support import npz_file

    model = fitted(prices(80))
    header, arrays = model_file.describe(model)
    for change, match in (
        (lambda h, a: a.pop("latents/mean"), "posteriors are not whole"),
        (lambda h, a: a.update(other=np.zeros(2)), "no use"),
        (lambda h, a: h["table"]["frame"]["types"].pop(), "as many as"),
        (lambda h, a: h["parameters"].update(likelihood={"name": "poisson"}), "auto"),
        (lambda h, a: a.update({"latents/mean": a["latents/mean"][:, :1]}), "does not fit the model"),
        (lambda h, a: a.update({"marginal_5/drawn": a["marginal_5/drawn"][::-1]}), "in order"),
        (lambda h, a: a.pop("combinations_0/scale"), "not whole"),
        (lambda h, a: h["table"]["combinations"][0].append(77), "not whole"),
        (lambda h, a: a.update({"combinations_0/values": a["combinations_0/values"] + 0.5}), "has not"),
        (
            lambda h, a: a.update({"combinations_0/log_weights": a["combinations_0/log_weights"][:-1]}),
            "finite numbers of the shape",
        ),
    ):
        import copy

        h, a = copy.deepcopy(header), dict(arrays)
        change(h, a)
        npz_file.save(tmp_path / "bad.npz", "model", h, a, model_file.declaration(VAE))
        with pytest.raises(ModelFileError, match=match):
            VAE.load(tmp_path / "bad.npz")
