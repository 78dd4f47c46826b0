"""Tables with missing cells: kinds of columns, what comes in and goes out, and that the fills are worth something."""

import numpy as np
import pytest

from npvae import TableImputer
from npvae.data.tables.frames import as_cells
from npvae.data.tables.kinds import KINDS, fit_column
from npvae.data.tables.schema import Schema
from npvae.errors import InputError, InputTypeError, ModelFileError, NotFittedError
from npvae.estimators.tables import TableImputation
from npvae.imputation import fit_normal
from npvae.mathematics.likelihoods import StudentT

QUICK = {"members": 1, "epochs": 20, "hidden": (16,), "imputation_samples": 200, "random_state": 0, "every": 5}


class Frame:
    """The little of a data frame that npvae asks for."""

    def __init__(self, columns: dict) -> None:
        self.columns = list(columns)
        self._cells = np.array(list(columns.values()), dtype=object).T

    def __array__(self, dtype=None, copy=None):
        return self._cells if dtype is None else self._cells.astype(dtype)


def mixed(rng, rows=300, share=0.3):
    """One hidden cause, a column of every kind; and the complete one."""
    z = rng.standard_normal(rows)
    columns = {
        "height": 170 + 10 * z + 2 * rng.standard_normal(rows),
        "income": np.exp(10 + 0.8 * z + 0.1 * rng.standard_normal(rows)),
        "children": rng.poisson(np.exp(0.5 * z)).astype(float),
        "smokes": np.where(z + 0.3 * rng.standard_normal(rows) > 0, "yes", "no"),
        "town": np.array(["A", "B", "C"])[np.clip(np.rint(z + 1 + 0.2 * rng.standard_normal(rows)), 0, 2).astype(int)],
        "age": np.rint(40 + 12 * z + rng.standard_normal(rows)),
    }
    complete = Frame(columns)
    hidden = rng.random((rows, len(columns))) < share
    holed = {
        name: [None if gone else v for v, gone in zip(values, hidden[:, i], strict=True)]
        for i, (name, values) in enumerate(columns.items())
    }
    return Frame(holed), np.asarray(complete), hidden


# Kinds


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([0.5, 1.5, -2.0], "continuous"),
        ([0.0, 1.0, 1.0], "binary"),
        (["a", "b", "a"], "binary"),
        (["a", "b", "c"], "categorical"),
        ([0.0, 1.0, 2.0, 1.0, 4.0], "counts"),
        ([1.0, 2.0, 3.0, 2.0, 3.0], "continuous"),
        ([0.0, 100.0, 2.0, 900.0], "continuous"),
        ([True, False, True], "binary"),
        ([1.5, 100.0, 3000.0], "continuous"),
        (["1", "x", "2"], "categorical"),
    ],
)
def test_guessed_kinds(values, kind):
    cells = np.array(values, dtype=object)
    assert fit_column("c", cells, np.ones(len(cells), bool)).kind == kind


@pytest.mark.parametrize(
    ("column", "values"),
    [
        (KINDS["continuous"]("c", mean=3.0, deviation=2.0), [1.0, 3.5, -7.25]),
        (KINDS["positive"]("c", mean=0.5, deviation=1.5), [0.25, 3.5, 100.0]),
        (KINDS["counts"]("c", mean=2.0, deviation=1.0), [0.0, 3.0, 7.0]),
        (KINDS["binary"]("c", values=("no", "yes")), ["yes", "no", "no"]),
        (KINDS["categorical"]("c", values=("a", "b", "c")), ["c", "a", "b"]),
        (KINDS["categorical"]("c", values=(1.0, 2.0, 5.0)), [5.0, 1.0, 2.0]),
    ],
)
def test_numbers_of_a_column_and_back(column, values):
    cells = np.array([*values, None], dtype=object)
    observed = np.array([*[True] * len(values), False])
    x = column.encode(cells, observed)
    assert x.shape == (len(values) + 1, column.width) and np.isnan(x[-1]).all()
    back = column.decode(x[:-1])
    if column.is_numeric:
        np.testing.assert_allclose(back.astype(float), values, rtol=1e-12)
    else:
        assert list(back) == values


@pytest.mark.parametrize(
    ("values", "kind", "words"),
    [
        ([1.0, 1.0], None, "one value, 1.0"),
        ([None, None, 1.0, -1.0, 2.0], "positive", "-1 in row 3"),
        ([None, None], None, "is empty"),
        ([1.0, -1.0, 2.0], "positive", "row 1.*above 0"),
        ([1.0, 2.5, 3.0], "counts", "2.5 in row 1"),
        ([1.0, np.inf, 3.0], None, "inf in row 1"),
        ([1.0, 2.0, 3.0], "binary", "3 values"),
        ([1.0, "x", 3.0], "continuous", "the text 'x' in row 1"),
        ([1e200, -1e200, 3.0], None, "use other units"),
        ([1.0, 2.5, 10**400], None, "too large for a float"),
    ],
)
def test_columns_that_cannot_be_learnt_from(values, kind, words):
    cells = np.array(values, dtype=object)
    observed = np.array([value is not None for value in values])
    with pytest.raises(InputError, match="column 'c'.*" + words):
        fit_column("c", cells, observed, kind)


def test_a_schema_of_every_kind(rng):
    frame, _, _ = mixed(rng)
    table = as_cells(frame)
    schema = Schema.fit(table, {"income": "positive", "height": {"kind": "continuous", "likelihood": "student_t"}})
    assert [column.kind for column in schema.columns] == [
        "continuous",
        "positive",
        "counts",
        "binary",
        "categorical",
        "continuous",
    ]
    again = Schema.from_config(schema.config())
    assert again.columns == schema.columns and again.likelihood() == schema.likelihood() and schema.width == 8
    x = schema.encode(table)
    assert np.array_equal(np.isnan(x[:, 0]), ~table.observed[:, 0])
    schema.likelihood().check_data(x)
    standard = schema.view.of(x)
    assert (abs(np.nanmean(standard, axis=0)) < 1.0).all() and (np.nanstd(standard, axis=0) < 1.5).all()


# Filling in


def test_a_mixed_table(rng, tmp_path):
    frame, complete, hidden = mixed(rng)
    imputer = TableImputer({"income": "positive"}, **{**QUICK, "members": 2, "epochs": 60}).fit(frame)
    found = imputer.impute(frame, draws=60)
    given = np.asarray(frame)
    assert (found.filled[~hidden] == given[~hidden]).all() and found.filled.dtype == object
    for draw in found.draws:
        assert (draw[~hidden] == given[~hidden]).all()
        assert set(draw[:, 3]) <= {"yes", "no"} and set(draw[:, 4]) <= {"A", "B", "C"}
        assert all(v >= 0 and v == round(v) for v in draw[:, 2]) and all(v > 0 for v in draw[:, 1])
        assert all(v == round(v) for v in draw[:, 5])
    for i in (0, 1, 5):  # the squared error is well below that of the column's mean
        truth, mean = complete[hidden[:, i], i].astype(float), np.mean([v for v in given[:, i] if v is not None])
        assert np.mean((found.filled[hidden[:, i], i].astype(float) - truth) ** 2) < 0.5 * np.mean((mean - truth) ** 2)
    for i, most in ((3, 0.5), (4, 0.45)):
        assert np.mean(found.filled[hidden[:, i], i] == complete[hidden[:, i], i]) > most + 0.2
    low, high = found.interval(0.9)
    assert np.isnan(low[:, 3:5]).all() and (low[:, 0] <= high[:, 0]).all()
    truth = complete[hidden[:, 0], 0].astype(float)
    assert 0.75 < np.mean((low[hidden[:, 0], 0] <= truth) & (truth <= high[hidden[:, 0], 0])) <= 1.0
    assert (low[~hidden[:, 0], 0] == given[~hidden[:, 0], 0]).all()
    imputer.save(tmp_path / "imputer.npz")
    again = TableImputer.load(tmp_path / "imputer.npz", backend=imputer.members_[0].model.ops.name).impute(
        frame, draws=2
    )
    assert (again.filled == found.filled).all()
    with pytest.raises(InputError, match="'town' holds 'D' in row 0"):
        given[0, 4] = "D"
        imputer.transform(Frame(dict(zip(frame.columns, given.T, strict=True))))
    with pytest.raises(InputError, match="X has 5 features, but TableImputer is expecting 6 features as input"):
        imputer.transform(given[:, :5])


def test_a_table_of_numbers_is_one_again_and_at_least_as_good_as_the_normal_distribution(rng):
    V = rng.standard_normal((2, 6))
    complete = rng.standard_normal((250, 2)) @ V + 0.3 * rng.standard_normal((250, 6)) + 5.0
    hidden = rng.random(complete.shape) < 0.3
    x = np.where(hidden, np.nan, complete)
    before = x.copy()
    filled = TableImputer(**{**QUICK, "members": 2, "imputation_samples": 1000}).fit_transform(x)
    np.testing.assert_array_equal(x, before)
    assert filled.dtype == np.float64
    np.testing.assert_array_equal(filled[~hidden], x[~hidden])
    ours, normal = (np.square(f - complete)[hidden].mean() for f in (filled, fit_normal(x).complete(x)))
    assert ours < 1.1 * normal


def test_names_of_columns_that_have_some(rng):
    x = np.where(rng.random((40, 2)) < 0.2, np.nan, rng.standard_normal((40, 2)))
    named = type("Numbers", (), {"columns": ["a", "b"], "__array__": lambda self, *a, **k: x})()
    imputer = TableImputer(**QUICK).fit(named)
    assert list(imputer.feature_names_in_) == ["a", "b"] and imputer.transform(named).dtype == np.float64
    assert not hasattr(imputer.fit(x), "feature_names_in_")


def test_the_same_seed_gives_the_same_table(rng):
    x = np.where(rng.random((60, 3)) < 0.3, np.nan, rng.standard_normal((60, 3)))
    a, b, c = (TableImputer(**{**QUICK, "random_state": seed}).fit(x).impute(x, 2) for seed in (1, 1, 2))
    np.testing.assert_array_equal(a.draws, b.draws)
    assert not np.array_equal(a.filled, c.filled)


def test_rows_of_nothing_and_rows_of_everything(rng):
    x = rng.standard_normal((60, 3)) + [0.0, 10.0, 20.0]
    x[0] = np.nan
    filled = TableImputer(**QUICK).fit_transform(x)
    np.testing.assert_array_equal(filled[1:], x[1:])
    np.testing.assert_allclose(filled[0], [0.0, 10.0, 20.0], atol=1.0)


@pytest.mark.parametrize(
    ("x", "error", "words"),
    [
        (np.zeros((0, 3)), InputError, "rows and columns"),
        (np.zeros(3), InputError, "rows and columns"),
        ([[1.0, 2.0], [3.0]], InputError, "rectangular"),
        (np.ma.masked_array([[1.0]]), InputTypeError, "MaskedArray"),
        (
            np.full((2, 2), np.nan),
            InputError,
            "no column of the table of 2 samples can be modelled: '0': empty; '1': empty",
        ),
        (np.array([[np.nan, 3.0], [np.nan, 3.0]]), InputError, "'0': empty; '1': constant: always 3"),
        (np.array([[1.0 + 2.0j, 3.0], [1.0, 3.0]]), InputError, "Complex data not supported"),
    ],
)
def test_tables_that_cannot_be(x, error, words):
    with pytest.raises(error, match=words):
        TableImputer(**QUICK).fit(x)


def test_a_column_far_from_zero_keeps_its_digits(rng):
    x = np.array([1.6e9, 0.0]) + np.rint(1000 * rng.standard_normal((80, 1)) + rng.standard_normal((80, 2)))
    x[:20, 0] = np.nan
    found = TableImputer(**QUICK).fit(x).impute(x, draws=5)
    fills = np.concatenate([found.filled[:20, 0], *(draw[:20, 0] for draw in found.draws)])
    assert (fills == np.rint(fills)).all() and (fills % 4 != 0).any() and (abs(fills - 1.6e9) < 1e4).all()


def test_intervals_hold_what_they_promise_from_few_draws():
    """A further draw of the same distribution lies inside with the probability that was asked for, of ones and zeros
    at least.
    """
    rng = np.random.default_rng(0)
    draws = list(rng.standard_normal((19, 4000, 1)))
    found = TableImputation(draws[0], draws, np.ones(4000), ["a"], [True], np.zeros((4000, 1), bool))
    low, high = found.interval(0.9)
    truth = rng.standard_normal((4000, 1))
    assert np.mean((low < truth) & (truth < high)) == pytest.approx(0.9, abs=0.02)
    for p in (0.02, 0.3):
        ones = list((rng.random((30, 4000, 1)) < p).astype(float))
        low, high = TableImputation(ones[0], ones, np.ones(4000), ["a"], [True], np.zeros((4000, 1), bool)).interval(
            0.9
        )
        truth = rng.random((4000, 1)) < p
        assert np.mean((low <= truth) & (truth <= high)) > 0.9 and set(np.unique([low, high])) <= {0.0, 1.0}
    names = TableImputation(draws[0], draws, np.ones(4000), ["a"], [False], np.zeros((4000, 1), bool))
    assert np.isnan(names.interval(0.9)[0]).all()


def test_columns_of_two_numbers_have_intervals(rng):
    x = rng.standard_normal((40, 2))
    x[:, 1] = 3.0 + 2.0 * (x[:, 1] > 0.0)
    x[:5, 1] = np.nan
    low, high = TableImputer(**QUICK).fit(x).impute(x, draws=40).interval(0.9)
    assert set(low[:, 1]) | set(high[:, 1]) == {3.0, 5.0} and (low <= high).all()


def test_bools_names_and_whole_positive_numbers(rng):
    cells = np.empty((60, 3), dtype=object)
    cells[:, 0] = list(rng.random(60) < 0.5)
    cells[:, 1] = np.exp(rng.standard_normal(60)).round() + 1.0
    cells[:, 2] = rng.standard_normal(60)
    cells[:20, 0] = cells[20:40, 1] = None
    found = TableImputer({"1": "positive"}, **QUICK).fit(cells).impute(cells, draws=20)
    assert all(type(value) is bool for value in found.filled[:20, 0])
    assert all(value >= 1 and value == round(value) for draw in found.draws for value in draw[:, 1])
    named = np.where(cells[:, :1] == np.array(None), "x", "y").astype(object)
    table = np.concatenate([named, cells[:, 2:]], axis=1)
    imputer = TableImputer(**QUICK).fit(table)
    assert set(imputer.transform(np.array([[np.nan, 1.0], [np.nan, -1.0]]))[:, 0]) <= {"x", "y"}


def test_in_scikit_learn_s_pipelines(rng):
    sklearn = pytest.importorskip("sklearn")
    from sklearn.pipeline import make_pipeline
    from sklearn.utils.validation import check_is_fitted

    x = np.where(rng.random((60, 3)) < 0.2, np.nan, rng.standard_normal((60, 3)))
    imputer = TableImputer(**QUICK)
    with pytest.raises(sklearn.exceptions.NotFittedError):
        check_is_fitted(imputer)
    assert np.isfinite(make_pipeline(imputer).fit_transform(x)).all()
    check_is_fitted(imputer)
    assert sklearn.clone(imputer).get_params() == imputer.get_params()


def test_other_bad_input(rng, tmp_path):
    x = rng.standard_normal((30, 2))
    with pytest.raises(NotFittedError):
        TableImputer().transform(x)
    with pytest.raises(NotFittedError):
        TableImputer().save(tmp_path / "m.npz")
    for name, value in (("members", 0), ("held_out", 0.0), ("held_out", 0.9), ("latent_dim", 0), ("samples", 0)):
        with pytest.raises(InputError, match=name):
            TableImputer(**{**QUICK, name: value}).fit(x)
    with pytest.raises(InputError, match="kinds names the column 'z'"):
        TableImputer({"z": "counts"}, **QUICK).fit(x)
    with pytest.raises(InputError, match="named 'a'"):
        TableImputer(**QUICK).fit(type("Twice", (), {"columns": ["a", "a"], "__array__": lambda self, *a, **k: x})())
    with pytest.raises(InputTypeError, match="kinds must be a mapping"):
        TableImputer(["counts"], **QUICK).fit(x)
    for entry in ({"kin": "counts"}, {"likelihood": "student_t"}):
        with pytest.raises(InputError, match=r"kinds\['0'\]"):
            TableImputer({"0": entry}, **QUICK).fit(x)
    for likelihood in ("poisson", "bernoulli"):  # of standardised numbers
        with pytest.raises(InputError, match=f"in column '0'.*{likelihood}"):
            TableImputer(continuous_likelihood=likelihood, **QUICK).fit(x)
    with pytest.raises(InputError, match="imputation_samples"):
        TableImputer(**{**QUICK, "imputation_samples": 0}).fit(x)
    with pytest.raises(InputError, match="1 column names for 2 columns"):
        TableImputer(**QUICK).fit(type("Short", (), {"columns": ["a"], "__array__": lambda self, *a, **k: x})())
    with pytest.raises(InputError, match="in column '0'.*poisson"):
        TableImputer({"0": {"kind": "continuous", "likelihood": "poisson"}}, **QUICK).fit(x)
    imputer = TableImputer(continuous_likelihood=StudentT(), **{**QUICK, "members": np.int64(1)}).fit(x)
    with pytest.raises(InputError, match="number of draws must be at least 19"):
        imputer.impute(x, draws=5).interval(0.9)
    imputer.save(tmp_path / "m.npz")
    TableImputer.load(tmp_path / "m.npz")
    content = (tmp_path / "m.npz").read_bytes()
    (tmp_path / "m.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelFileError):
        TableImputer.load(tmp_path / "m.npz")


@pytest.mark.parametrize(
    ("name", "least", "wrong"),
    [
        *(
            (name, 1, 0)
            for name in (
                "members",
                "latent_dim",
                "samples",
                "batch_size",
                "epochs",
                "every",
                "patience",
                "imputation_samples",
            )
        ),
        ("held_out", 0.5, 0.51),
        ("held_out", 1e-9, 0.0),
        ("learning_rate", 1e-30, 0.0),
    ],
)
def test_limits_of_an_imputer_s_arguments(name, least, wrong):
    x = np.where(np.arange(60).reshape(20, 3) % 7 == 0, np.nan, np.random.default_rng(0).standard_normal((20, 3)))
    small = {"members": 1, "epochs": 1, "imputation_samples": 1, "hidden": (2,), "random_state": 0, "backend": "numpy"}
    TableImputer(**{**small, name: least}).fit(x).transform(x)
    with pytest.raises(InputError, match=f"^{name} must be"):
        TableImputer(**{**small, name: wrong}).fit(x)


@pytest.mark.parametrize(
    ("value", "fits"),
    [(0.99e15, True), (1e15, True), (-1e15, True), (1.01e15, False), (-0.99e15, True), (-1.01e15, False)],
)
def test_numbers_far_from_all_others(value, fits):
    column = KINDS["continuous"]("a", mean=0.0, deviation=2.0)
    if fits:
        assert column.encode(np.array([2.0 * value]), np.array([True]))[0, 0] == value
    else:
        with pytest.raises(InputError, match=r"column 'a' holds -?2.02e\+15 in row 0; too far from all others"):
            column.encode(np.array([2.0 * value]), np.array([True]))
        with pytest.raises(InputError, match="^column 'a' holds the text 'x' in row 0"):
            column.encode(np.array(["x"], dtype=object), np.array([True]))


@pytest.mark.parametrize(
    ("kind", "values", "row"),
    [
        ("positive", [1.0, 0.0], 1),
        ("positive", [-1.0, 1.0], 0),
        ("counts", [1.0, -1.0], 1),
        ("counts", [0.5, 2.0], 0),
        ("counts", [2.0, 3.5], 1),
    ],
)
def test_values_that_a_kind_has_not_are_named_by_their_row(kind, values, row):
    column = KINDS[kind]("a")
    with pytest.raises(InputError, match=f"column 'a' holds {values[row]:g} in row {row}; a (positive )?column"):
        column.encode(np.array(values), np.array([True, True]))
    seen = np.arange(2) != row
    assert np.isnan(column.encode(np.array(values), seen)[row, 0]) and not np.isnan(
        column.encode(np.array(values), seen)[1 - row, 0]
    )


def test_at_most_ten_known_values_are_named():
    for count, shown in ((10, "8.0, 9.0$"), (11, r"8.0, 9.0, \.\.\.$")):
        column = KINDS["categorical"]("a", values=tuple(map(float, range(count))))
        with pytest.raises(
            InputError,
            match="column 'a' holds 99.0 in row 1, which it did not when the model was fitted; known: 0.0, 1.0.*"
            + shown,
        ):
            column.encode(np.array([1.0, 99.0]), np.array([True, True]))


def test_what_scikit_learn_is_told_of_an_imputer():
    pytest.importorskip("sklearn")
    tags = TableImputer().__sklearn_tags__()
    assert tags.input_tags.allow_nan and tags.input_tags.string and tags.input_tags.categorical
    assert tags.estimator_type is None and not tags.target_tags.required and tags.transformer_tags.preserves_dtype == []
    assert not TableImputer().__sklearn_is_fitted__()


def test_synthetic_rows_of_an_imputer_are_like_its_table(rng, tmp_path):
    first = rng.normal(50.0, 10.0, 400)
    region = np.where(first + rng.normal(0.0, 4.0, 400) > 50.0, "north", "south").astype(object)
    table = {
        "first": first.round(1),
        "count": rng.poisson(np.exp(first / 20.0)).astype(float),
        "region": region,
        "id": np.arange(400.0),
    }
    table["first"][::7] = np.nan
    imputer = TableImputer(
        members=2, epochs=20, hidden=(16,), ignore="id", imputation_samples=300, random_state=0, backend="numpy"
    ).fit(table)
    rows = imputer.sample(801, random_state=1)
    assert list(rows) == ["first", "count", "region"] and rows["count"].dtype == np.int64 and len(rows["count"]) == 801
    assert abs(rows["first"].mean() - 50.0) < 2.5 and 7.0 < rows["first"].std() < 14.0 and rows["count"].min() >= 0
    assert abs((rows["region"] == "north").mean() - (region == "north").mean()) < 0.1
    assert rows["first"][rows["region"] == "north"].mean() > rows["first"][rows["region"] == "south"].mean() + 8.0
    np.testing.assert_array_equal(rows["first"], rows["first"].round(1))
    imputer.save(tmp_path / "imputer.npz")
    again = TableImputer.load(tmp_path / "imputer.npz", backend="numpy").sample(801, random_state=1)
    assert all(np.array_equal(rows[name], again[name]) for name in rows) and not np.array_equal(
        rows["first"], imputer.sample(801)["first"]
    )
    given = imputer.sample(60, given={"first": 70.0})
    assert set(given["first"]) == {70.0} and (given["region"] == "north").mean() > 0.8 and len(set(given["count"])) > 10
    for wrong, words in (
        ({"region": "east"}, "'region' has no value 'east'; it has 'north', 'south'"),
        ({"id": 3}, "it is carried"),
        ("first", "a mapping"),
    ):
        with pytest.raises((InputError, TypeError), match=words):
            imputer.sample(3, given=wrong)
    array = TableImputer(members=1, epochs=2, hidden=(4,), random_state=0, backend="numpy").fit(
        rng.normal(size=(40, 3))
    )
    assert (
        array.sample(5).shape == (5, 3)
        and np.isfinite(array.sample(1)).all()
        and array.sample(2, given={0: 0.5})[:, 0].tolist() == [0.5, 0.5]
    )
