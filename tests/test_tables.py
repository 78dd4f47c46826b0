"""Tables with missing cells: kinds of columns, what comes in and goes out, and that the fills are worth something."""

import numpy as np
import pytest

from npvae import TableImputer
from npvae.errors import InputError, InputTypeError, ModelFileError, NotFittedError
from npvae.impute import fit_normal
from npvae.tables.columns import Column, fit_column
from npvae.tables.member import Standard, hide
from npvae.tables.schema import Schema, as_cells

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
    holed = {name: [None if gone else v for v, gone in zip(values, hidden[:, i], strict=True)]
             for i, (name, values) in enumerate(columns.items())}
    return Frame(holed), np.asarray(complete), hidden


# Kinds


@pytest.mark.parametrize(("values", "kind"), [
    ([0.5, 1.5, -2.0], "continuous"), ([0.0, 1.0, 1.0], "binary"), (["a", "b", "a"], "binary"), (["a", "b", "c"], "categorical"),
    ([0.0, 1.0, 2.0, 1.0, 3.0], "counts"), ([0.0, 100.0, 2.0, 900.0], "continuous"), ([True, False, True], "binary"),
    ([1.5, 100.0, 3000.0], "continuous"), (["1", "x", "2"], "categorical"),
])
def test_guessed_kinds(values, kind):
    cells = np.array(values, dtype=object)
    assert fit_column("c", cells, np.ones(len(cells), bool)).kind == kind


@pytest.mark.parametrize(("column", "values"), [
    (Column("c", "continuous", mean=3.0, deviation=2.0), [1.0, 3.5, -7.25]),
    (Column("c", "positive", mean=0.5, deviation=1.5), [0.25, 3.5, 100.0]),
    (Column("c", "counts", mean=2.0, deviation=1.0, whole=True), [0.0, 3.0, 7.0]),
    (Column("c", "binary", ("no", "yes")), ["yes", "no", "no"]),
    (Column("c", "categorical", ("a", "b", "c")), ["c", "a", "b"]),
    (Column("c", "categorical", (1.0, 2.0, 5.0)), [5.0, 1.0, 2.0]),
])
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


@pytest.mark.parametrize(("values", "kind", "words"), [
    ([1.0, 1.0], None, "one value, 1.0"), ([None, None], None, "is empty"), ([1.0, -1.0, 2.0], "positive", "row 1.*above 0"),
    ([1.0, 2.5, 3.0], "counts", "2.5 in row 1"), ([1.0, np.inf, 3.0], None, "inf in row 1"), ([1.0, 2.0, 3.0], "binary", "3 values"),
    ([1.0, "x", 3.0], "continuous", "the text 'x' in row 1"), ([*map(str, "abcdefghijklmnopqrstuvwxyz")], None, "most likely a name"),
    ([*map(float, range(20)), "x"], None, "the text 'x' in row 20 among numbers"),
])
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
        "continuous", "positive", "counts", "binary", "categorical", "continuous"
    ]
    again = Schema.from_config(schema.config())
    assert again.columns == schema.columns and again.likelihood() == schema.likelihood() and schema.width == 8
    x = schema.encode(table)
    assert np.array_equal(np.isnan(x[:, 0]), ~table.observed[:, 0])
    schema.likelihood().check_data(x)
    standard = Standard(schema.center, schema.scale).of(x)
    assert (abs(np.nanmean(standard, axis=0)) < 1.0).all() and (np.nanstd(standard, axis=0) < 1.5).all()


def test_held_out_cells_are_whole_cells_of_what_is_observed(rng):
    x = np.where(rng.random((400, 5)) < 0.5, np.nan, 1.0)
    x[:, 3:] = x[:, 3:4]
    blocks = [slice(0, 1), slice(1, 2), slice(2, 3), slice(3, 5)]
    hidden = hide(x, blocks, 0.2, seed=1)
    assert not (hidden & np.isnan(x)).any() and (hidden[:, 3] == hidden[:, 4]).all()
    seen = ~np.isnan(x)
    assert 0.1 < hidden.sum() / seen.sum() < 0.25
    assert ((seen & ~hidden).any(axis=1) == seen.any(axis=1)).all()


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
    again = TableImputer.load(tmp_path / "imputer.npz", backend=imputer.members_[0].model.ops.name).impute(frame, draws=2)
    assert (again.filled == found.filled).all()
    with pytest.raises(InputError, match="'town' holds 'D' in row 0"):
        given[0, 4] = "D"
        imputer.transform(Frame(dict(zip(frame.columns, given.T, strict=True))))
    with pytest.raises(InputError, match="columns should be those"):
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


@pytest.mark.parametrize(("x", "error", "words"), [
    (np.zeros((0, 3)), InputError, "rows and columns"), (np.zeros(3), InputError, "rows and columns"),
    ([[1.0, 2.0], [3.0]], InputError, "rectangular"), (np.ma.masked_array([[1.0]]), InputTypeError, "MaskedArray"),
    (np.array([[1.0, np.nan], [2.0, np.nan]]), InputError, "column '1' is empty"),
    (np.array([[1.0, 3.0], [2.0, 3.0]]), InputError, "column '1' has one value"),
])
def test_tables_that_cannot_be(x, error, words):
    with pytest.raises(error, match=words):
        TableImputer(**QUICK).fit(x)


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
    imputer = TableImputer(**QUICK).fit(x)
    with pytest.raises(InputError, match="number of draws must be at least 20"):
        imputer.impute(x, draws=5).interval(0.9)
    imputer.save(tmp_path / "m.npz")
    content = (tmp_path / "m.npz").read_bytes()
    (tmp_path / "m.npz").write_bytes(content[:len(content) // 2])
    with pytest.raises(ModelFileError):
        TableImputer.load(tmp_path / "m.npz")
