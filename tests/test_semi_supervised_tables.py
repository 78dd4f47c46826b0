"""SemiSupervisedVAE on tables: text, truth values, dates and gaps, in whatever holds them."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from npvae import VAE, LatentClassifier, SemiSupervisedVAE
from npvae.errors import CarriedColumnsWarning, InputError, ModelFileError, RowError
from npvae.estimators.tables.rows import is_plain, is_table

pd = pytest.importorskip("pandas")
QUICK = {"latent_dim": 2, "hidden": (8,), "epochs": 2, "backend": "numpy", "random_state": 0}


def mixed(rows=120, seed=0, gaps=0.15):
    """``(frame, class)``: a number, a text, a date, a truth value, a count, and identifiers; each but the last
    depends on the class.
    """
    rng = np.random.default_rng(seed)
    k = rng.integers(0, 2, rows)
    frame = pd.DataFrame(
        {
            "size": rng.normal(2.0 * k, 0.6),
            "colour": np.where(rng.random(rows) < 0.8, np.array(["red", "blue"])[k], "green"),
            "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 30, rows) + 20 * k, "D"),
            "new": rng.random(rows) < 0.2 + 0.6 * k,
            "visits": rng.poisson(1 + 3 * k),
            "id": [f"P-{i:04}" for i in range(rows)],
        }
    )
    return frame.mask(rng.random(frame.shape) < gaps).assign(id=frame["id"]), k


def labelled(k, count=20):
    """Labels of the first rows as texts, None for the others."""
    return [("no", "yes")[c] if i < count else None for i, c in enumerate(k)]


def fitted(X, y, **arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CarriedColumnsWarning)
        return SemiSupervisedVAE(**{**QUICK, **arguments}).fit(X, y)


def test_columns_of_all_kinds_with_gaps_are_learnt_from():
    frame, k = mixed(400)
    with pytest.warns(CarriedColumnsWarning, match="'id'") as seen:
        model = SemiSupervisedVAE(**{**QUICK, "epochs": 30, "learning_rate": 3e-3}).fit(frame, labelled(k, 40))
    assert __file__ == seen[0].filename
    later, truth = mixed(400, seed=1)
    assert model.score(later, np.array(["no", "yes"])[truth]) > 0.85
    assert model.classes_.tolist() == ["no", "yes"] and model.n_features_in_ == 6
    assert model.feature_names_in_.tolist() == [*frame] and model.transform(later).shape == (400, 2)


def test_every_container_and_order_of_columns_is_the_same_table(tmp_path):
    pl, pa = pytest.importorskip("polars"), pytest.importorskip("pyarrow")
    frame, k = mixed()
    y, plain = labelled(k), frame.drop(columns="id").astype({"visits": "Int64", "new": "boolean"})
    columns = {name: [None if pd.isna(cell) else cell for cell in plain[name]] for name in plain}
    records = [
        {name: cells[i] for name, cells in columns.items() if i == 0 or cells[i] is not None} for i in range(len(plain))
    ]
    model = fitted(plain, y)
    wanted = model.predict_proba(plain)
    for X in (columns, records, pl.DataFrame(columns), pa.table(columns)):
        np.testing.assert_array_equal(fitted(X, y).theta_, model.theta_)
        np.testing.assert_array_equal(model.predict_proba(X), wanted)
    rows = [list(row) for row in zip(*columns.values(), strict=True)]
    np.testing.assert_array_equal(model.predict_proba(rows), wanted)  # no names: in the order of the fitted table
    model.save(tmp_path / "m.npz")
    again = SemiSupervisedVAE.load(tmp_path / "m.npz", backend="numpy")
    np.testing.assert_array_equal(again.predict_proba(plain[[*plain][::-1]]), wanted)
    assert (again.likelihood, again.kinds, again.table_.names) == ("auto", None, [*plain])


def test_arguments_of_tables():
    frame, k = mixed()
    y, gone = labelled(k), frame["size"].isna()
    model = fitted(frame.fillna({"size": -999.0}), y, missing=-999)
    np.testing.assert_array_equal(model.theta_, fitted(frame, y).theta_)
    np.testing.assert_array_equal(
        model.predict_proba(frame.assign(size=frame["size"].where(~gone, -999.0))), model.predict_proba(frame)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = SemiSupervisedVAE(**QUICK, ignore=["id", "day"], kinds={"visits": "continuous"}, unseen="missing").fit(
            frame, y
        )
    assert {c.name: c.kind for c in model.table_.schema.columns} == {
        "size": "continuous",
        "colour": "categorical",
        "new": "binary",
        "visits": "continuous",
    }
    assert set(model.table_.schema.carried) == {"id", "day"}
    unknown = model.predict_proba(frame.assign(colour="violet"))
    np.testing.assert_array_equal(unknown, model.predict_proba(frame.assign(colour=None)))


def test_a_missing_cell_adds_nothing_to_the_likelihood():
    frame, k = mixed()
    y = labelled(k, len(k))
    model = fitted(frame[["size", "colour"]], y, epochs=1)
    x = model.table_.read(frame[["size", "colour"]])
    both = model.table_.beside(x)
    assert (
        np.isnan(both[:, :4]).sum() == frame["size"].isna().sum() + 3 * frame["colour"].isna().sum()
        and not np.isnan(both[:, 4:]).any()
    )
    seen = ~np.isnan(x)
    np.testing.assert_allclose(
        both[:, 4:][seen], x[seen], atol=1e-12
    )  # of these kinds the encoder sees the likelihood's numbers
    architecture = model.model_.architecture
    assert architecture.missing and architecture.completed and architecture.n_features == 4


def test_rows_of_a_class_are_tables_of_the_kind_that_was_fitted(tmp_path):
    frame, k = mixed(300)
    frame = frame.astype({"colour": "category", "visits": "Int64", "new": "boolean"}).drop(columns="id")
    model = fitted(frame, labelled(k, 300), epochs=20, batch_size=20, learning_rate=5e-3)
    model.save(tmp_path / "m.npz")
    drawn = model.sample("yes", 200)
    assert (
        isinstance(drawn, pd.DataFrame)
        and drawn.dtypes.equals(frame.dtypes)
        and not drawn.isna().any(axis=None)
        and len(drawn) == 200
    )
    pd.testing.assert_frame_equal(SemiSupervisedVAE.load(tmp_path / "m.npz", backend="numpy").sample("yes", 200), drawn)
    other = model.sample("no", 200)
    assert drawn["size"].mean() > other["size"].mean() + 0.2 and drawn["visits"].mean() > other["visits"].mean() + 0.2
    assert set(drawn["colour"].unique()) <= {"red", "blue", "green"} and (drawn["visits"] >= 0).all()
    as_no, as_yes = model.analogies(frame[:20])
    assert len(as_no) == len(as_yes) == 20 and as_yes["size"].mean() > as_no["size"].mean() + 0.2
    np.testing.assert_array_equal(
        model.sample("yes", 5, mean=True, random_state=3)["colour"],
        model.sample("yes", 5, mean=True, random_state=3)["colour"],
    )


@pytest.mark.parametrize(
    ("X", "plain", "table"),
    [
        (np.zeros((3, 2)), True, False),
        (np.full((3, 2), 7), True, False),
        (np.zeros((3, 2, 2)), True, False),
        ([[0.0, 1.0]], True, False),
        (np.array([[0.0, np.nan]]), False, True),
        (np.full((1, 2, 2), np.nan), False, False),
        ([[0.0, None]], False, True),
        ([["a", 1.0]], False, True),
        ({"a": [1]}, True, True),
        ([{"a": 1}], False, True),
        (pd.DataFrame({"a": [0.5, 1.0]}), True, False),
        (pd.DataFrame({"a": [0.5, 2.0]}), True, True),
        (pd.DataFrame({"a": ["x"]}), False, True),
        (pd.DataFrame({"a": [-1]}), True, True),
        (pd.DataFrame({"a": [None, 1.0]}), False, True),
        (np.ma.array([[1.0]]), False, False),
        ([1.0, 2.0], True, False),
        ([[1.0], [1.0, 2.0]], False, False),
        ("text", False, False),
    ],
)
def test_what_is_a_table(X, plain, table):
    assert is_table(X) is table
    if not isinstance(X, dict):
        assert is_plain(X) is plain


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f.drop(columns=["size", "colour"]), "'size', 'colour' missing"),
        (lambda f: f.assign(more=1, yet=2), "'more', 'yet' not seen in fit"),
        (
            lambda f: f.assign(colour="violet", new="perhaps"),
            "'colour' holds 'violet' in row 0.*'new' holds 'perhaps'.*unseen=\"missing\"",
        ),
        (lambda f: f.assign(size="large"), "'size' holds the text 'large' in row 0"),
        (lambda f: f.assign(day=3.0), "'day' holds numbers or names, but dates"),
        (lambda f: f.iloc[:0], "0 sample"),
        (lambda f: np.zeros((3, 2)), "X has 2 features, but .* is expecting 6"),
    ],
)
def test_another_table_is_refused_with_all_that_is_in_the_way(change, words):
    frame, k = mixed()
    model = fitted(frame, labelled(k))
    with pytest.raises(InputError, match=words) as found:
        model.predict(change(frame))
    assert not isinstance(found.value, RowError) or "row 0" in str(found.value)


@pytest.mark.parametrize(
    ("frame", "arguments", "words"),
    [
        (lambda f: f, {"likelihood": "bernoulli"}, "text, dates or gaps.*leave out likelihood"),
        (lambda f: f, {"standardize": True, "divide_by": 2.0}, "leave out divide_by, standardize"),
        (
            lambda f: f[["new"]].fillna(False).astype(float),
            {"ignore": "new", "binarize": "static"},
            "ignore is for tables.*leave out binarize",
        ),
        (lambda f: f, {"likelihood": "auto", "ignore": "nothing"}, "ignore names the column 'nothing'"),
        (lambda f: f[["id"]], {}, "no column of the table of 120 samples can be modelled: 'id'"),
        (lambda f: f[["size"]] * np.nan, {}, "no column .* can be modelled: 'size': empty"),
        (lambda f: f.iloc[:0], {}, "0 sample"),
    ],
)
def test_what_cannot_be_fitted_is_refused_and_leaves_the_model_as_it_was(frame, arguments, words):
    table, k = mixed()
    model = SemiSupervisedVAE(**QUICK, **arguments)
    X = frame(table)
    with pytest.raises(InputError, match=words):
        model.fit(X, labelled(k)[: len(X)])
    assert not hasattr(model, "theta_") and model.table_ is None


def test_numbers_are_as_they_were():
    """Complete numbers from 0 to 1, named or not, and what says how they are scaled, are no table."""
    rng = np.random.default_rng(0)
    x, y = rng.random((60, 4)), rng.integers(0, 2, 60)
    plain = fitted(x, y)
    assert plain.table_ is None and plain.model_.likelihood.name == "bernoulli"
    np.testing.assert_array_equal(fitted(pd.DataFrame(x, columns=list("abcd")), y).theta_, plain.theta_)
    frame = pd.DataFrame(9 * x, columns=list("abcd"))
    assert fitted(frame, y, divide_by=9.0).table_ is None and fitted(frame, y, standardize=True).table_ is None
    assert fitted(frame, y, likelihood="gaussian_decoder").table_ is None and fitted(frame, y).table_.schema.width == 4
    assert fitted(x, y, likelihood="auto").table_.names is None
    with pytest.raises(InputError, match="from 0 to 1"):
        fitted(9 * x, y)
    table = fitted(frame, y)
    assert table.fit(x, y).table_ is None and "table" not in (table.encoder_view_ or {})


def test_a_file_whose_table_does_not_fit_its_model_is_refused(tmp_path):
    import sealed

    frame, k = mixed()
    model = fitted(frame, labelled(k))
    model.save(tmp_path / "m.npz")
    header, arrays = sealed.read(tmp_path / "m.npz")
    for change, words in (
        (lambda h, a: h["table"]["schema"].pop(), "contradicts|columns"),
        (lambda h, a: a.pop("table/mean"), "arrays"),
        (lambda h, a: a.update({"table/covariance": -a["table/covariance"]}), "covariance of its table"),
        (lambda h, a: h.pop("table"), "array"),
    ):
        h, a = __import__("copy").deepcopy(header), dict(arrays)
        change(h, a)
        sealed.write(tmp_path / "bad.npz", h, a)
        with pytest.raises(ModelFileError, match=words):
            SemiSupervisedVAE.load(tmp_path / "bad.npz", backend="numpy")


def test_a_classifier_on_features_of_a_table(tmp_path):
    """M1 and M1+M2: the VAE of features is one of tables, with or without being named."""
    frame, k = mixed(200)
    frame, y = frame.drop(columns=["id", "day"]), labelled(k, 60)
    quick = {"latent_dim": 2, "hidden": (8,), "epochs": 10, "random_state": 0, "backend": "numpy"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        vae = VAE(likelihood="auto", **quick).fit(frame)
    m1 = LatentClassifier(vae).fit(frame, y)
    assert m1.score(frame, np.array(["no", "yes"])[k]) > 0.75
    m1.save(tmp_path / "m1.npz")
    again = LatentClassifier.load(tmp_path / "m1.npz", backend="numpy")
    np.testing.assert_array_equal(again.predict_proba(frame[[*frame][::-1]]), m1.predict_proba(frame))
    both = SemiSupervisedVAE(vae, **QUICK).fit(frame, y)
    assert both.table_ is None and both.transform(frame).shape == (200, 2)
    assert isinstance(both.sample("yes", 3), pd.DataFrame) and [len(table) for table in both.analogies(frame[:4])] == [
        4,
        4,
    ]
    both.save(tmp_path / "both.npz")
    np.testing.assert_array_equal(
        SemiSupervisedVAE.load(tmp_path / "both.npz", backend="numpy").predict_proba(frame), both.predict_proba(frame)
    )
    with pytest.raises(InputError, match="ignore is an argument of the VAE of features"):
        SemiSupervisedVAE(vae, ignore="size", **QUICK).fit(frame, y)
