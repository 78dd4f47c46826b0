"""Frames, columns, records and arrays: read, filled in and given back as what they were."""

from __future__ import annotations

import datetime as dt
import decimal
import sys
import warnings

import numpy as np
import processes
import pytest

import npvae
from npvae import TableImputer
from npvae.data.tables.frames import as_cells
from npvae.errors import CarriedColumnsWarning, InputError, InputTypeError, MissingDependencyError, UnknownNameError

QUICK = {
    "members": 1,
    "epochs": 2,
    "hidden": (4,),
    "imputation_samples": 30,
    "random_state": 0,
    "samples": 3,
    "backend": "numpy",
}
ROWS = 40
HOLES = np.arange(ROWS) % 7 == 0
ZONE = dt.timezone.utc


def table() -> dict:
    """A column of every sort, None in every seventh row of all but the first."""
    a = np.random.default_rng(0).normal(size=ROWS)
    k = np.rint(20 + 5 * a).astype(int).tolist()
    columns = {
        "x": (a + 1.0).tolist(),
        "f": a.tolist(),
        "i": k,
        "s": [f"town {n % 3}" for n in k],
        "b": [v > 0 for v in a.tolist()],
        "d": [dt.date(2024, 1, 1) + dt.timedelta(days=n) for n in k],
        "t": [dt.datetime(2024, 1, 1, n % 24, 30) for n in k],
        "z": [dt.datetime(2024, 1, 1, n % 24, 30, tzinfo=ZONE) for n in k],
        "u": [dt.timedelta(minutes=15 * n) for n in k],
        "m": [decimal.Decimal(f"{v:.2f}") for v in a.tolist()],
    }
    return {
        name: [None if gone and name != "x" else cell for cell, gone in zip(cells, HOLES, strict=True)]
        for name, cells in columns.items()
    }


COLUMNS = table()


def pandas_frame(column: str, dtype):
    pandas = pytest.importorskip("pandas")
    if isinstance(dtype, str) and "pyarrow" in dtype:
        pytest.importorskip("pyarrow")
    if callable(dtype):
        dtype = dtype(pandas)
    rows = [f"r{i}" for i in range(ROWS)]
    frame = pandas.DataFrame(
        {"x": COLUMNS["x"], column: pandas.Series(COLUMNS[column], dtype=dtype).to_list()}, index=rows
    )
    frame[column] = pandas.Series(COLUMNS[column], dtype=dtype, index=rows)
    return frame


def arrow_type(name, *arguments):
    return lambda pandas: pandas.ArrowDtype(getattr(pytest.importorskip("pyarrow"), name)(*arguments))


@pytest.mark.parametrize(
    ("column", "dtype"),
    [
        *(("f", dtype) for dtype in ("float64", "float32", "Float64", "Float32", "double[pyarrow]", "object")),
        *(("i", dtype) for dtype in ("float64", "Int64", "UInt8", "int32[pyarrow]", "object")),
        *(("s", dtype) for dtype in ("str", "object", "string", "category", "string[pyarrow]")),
        *(("b", dtype) for dtype in ("boolean", "bool[pyarrow]", "object")),
        *(("d", dtype) for dtype in ("object", "datetime64[s]", "date32[pyarrow]")),
        *(("t", dtype) for dtype in ("datetime64[s]", "datetime64[ns]", "object", arrow_type("timestamp", "ns"))),
        *(("z", dtype) for dtype in ("datetime64[us, UTC]", "datetime64[ns, Asia/Tokyo]")),
        *(("u", dtype) for dtype in ("timedelta64[ns]", "object")),
        ("m", "object"),
        ("m", arrow_type("decimal128", 8, 2)),
    ],
)
def test_frames_of_pandas_keep_index_types_and_what_is_observed(column, dtype):
    frame = pandas_frame(column, dtype)
    before = frame.copy()
    found = TableImputer(**QUICK).fit(frame).impute(frame, draws=2)
    for filled in (found.filled, *found.draws):
        assert type(filled) is type(frame) and filled.index.equals(frame.index) and filled.columns.equals(frame.columns)
        assert (filled.dtypes == frame.dtypes).all() and not filled.isna().any().any()
        old, new = frame[column].to_numpy(dtype=object), filled[column].to_numpy(dtype=object)
        assert all(type(a) is type(b) and repr(a) == repr(b) for a, b in zip(old[~HOLES], new[~HOLES], strict=True))
        assert {type(a) for a in new[HOLES]} == {type(a) for a in new[~HOLES]}
        if column == "i":
            assert all(cell == round(cell) for cell in new)
        if column in "tz":
            assert all(cell.minute in (0, 30) or cell.second == 0 for cell in new[HOLES])
    assert before.equals(frame)
    assert (found.filled_in == np.stack([np.zeros(ROWS, bool), HOLES], axis=1)).all()


def test_pandas_columns_of_categories_keep_them_in_their_order():
    pandas = pytest.importorskip("pandas")
    codes = [None if gone else n for n, gone in zip([90, 11, 24] * 13 + [11], HOLES, strict=True)]
    frame = pandas.DataFrame({"code": pandas.Categorical(codes, [90, 24, 7, 11], ordered=True), "x": COLUMNS["x"]})
    imputer = TableImputer(**QUICK).fit(frame)
    filled = imputer.transform(frame)
    assert imputer.schema_.columns[0].kind == "categorical" and filled["code"].dtype == frame["code"].dtype
    assert (filled["code"].cat.codes[~HOLES] == frame["code"].cat.codes[~HOLES]).all() and set(filled["code"]) <= {
        90,
        24,
        11,
    }
    other = pandas.DataFrame({"code": pandas.Categorical([None, None], ["new"]), "x": [0.0, 1.0]})
    there = imputer.transform(other)["code"]
    assert (
        there.cat.categories[0] == "new"
        and set(there) <= {90, 11, 24}
        and all(isinstance(value, int) for value in there)
    )


def test_categories_of_pandas_may_be_intervals_or_times():
    pandas = pytest.importorskip("pandas")
    x = np.array(COLUMNS["x"])
    for categories in (pandas.cut(x, 3), pandas.Categorical(np.datetime64("2024-01-01") + (x > 1).astype(int) * 366)):
        column = pandas.Series(categories)
        column[HOLES] = None
        frame = pandas.DataFrame({"x": x, "c": column})
        imputer = TableImputer(**QUICK).fit(frame)
        filled = imputer.transform(frame)
        assert imputer.carried_ == {} and filled["c"].dtype == frame["c"].dtype and not filled["c"].isna().any()
        assert (filled["c"].cat.codes[~HOLES] == frame["c"].cat.codes[~HOLES]).all()


def test_a_table_of_nothing_is_filled_in():
    polars = pytest.importorskip("polars")
    imputer = TableImputer(**QUICK).fit({"x": COLUMNS["x"], "s": COLUMNS["s"], "d": COLUMNS["d"]})
    filled = imputer.transform(polars.DataFrame({name: [None, None] for name in ("x", "s", "d")}))
    assert filled.dtypes == [polars.Float64, polars.String, polars.Date] and not any(filled.null_count().row(0))
    with pytest.raises(InputError, match="Call its method to_frame"):
        imputer.transform(polars.Series([1.0]))


def test_a_type_that_does_not_hold_the_values_gives_way_to_one_that_does():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {
            "a": pandas.Series([1, None, 7], dtype="Int64"),
            "b": [0.5, np.nan, 1.5],
            "c": pandas.Series([1, None, 2], dtype="UInt8"),
        }
    )
    given = as_cells(frame)
    rows = np.array([1])
    new = {
        0: given.columns[0].replace(rows, np.array([2.5])),
        1: given.columns[1].replace(rows, np.array(["x"], object)),
        2: given.columns[2].replace(rows, np.array([300.0])),
    }
    found = given.rebuild(new)
    assert [str(dtype) for dtype in found.dtypes] == ["Float64", "object", "Float64"] and found.iloc[1].tolist() == [
        2.5,
        "x",
        300.0,
    ]
    assert [str(dtype) for dtype in frame.dtypes] == ["Int64", "float64", "UInt8"]


def test_names_of_pandas_columns_may_be_anything():
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(1)
    for names in ([2018, 2019, "b"], pandas.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)]), [0, 1, 2]):
        frame = pandas.DataFrame(np.where(rng.random((30, 3)) < 0.2, np.nan, rng.normal(size=(30, 3))), columns=names)
        imputer = TableImputer(**QUICK).fit(frame)
        assert imputer.transform(frame).columns.equals(frame.columns)
        assert imputer.transform(frame.iloc[:, ::-1]).columns.equals(frame.columns[::-1])
    with pytest.raises(InputError, match="two columns of X are named '1'"):
        TableImputer(**QUICK).fit(pandas.DataFrame([[1.0, 2.0]], columns=[1, "1"]))


def test_a_frame_s_subclass_attributes_and_untouched_columns_stay():
    pandas = pytest.importorskip("pandas")

    class Mine(pandas.DataFrame):
        @property
        def _constructor(self):
            return Mine

    frame = Mine(
        {
            "x": COLUMNS["x"],
            "f": np.array(COLUMNS["f"], float),
            "id": np.arange(ROWS) * 1001 + 2**60 + 1,
            "span": pandas.period_range("2024-01", periods=ROWS, freq="M"),
        }
    )
    frame.attrs["source"] = "here"
    with pytest.warns(
        CarriedColumnsWarning, match=r"2 columns.*'id' \(identifiers.*'span' \(cells of the type Period\)"
    ):
        found = TableImputer(**QUICK).fit(frame).transform(frame)
    assert type(found) is Mine and found.attrs == {"source": "here"} and found["id"].dtype == np.int64
    assert found["id"].equals(frame["id"]) and found["span"].equals(frame["span"]) and not found["f"].isna().any()


@pytest.mark.parametrize("column", [*COLUMNS][1:])
@pytest.mark.parametrize("library", ["polars", "pyarrow"])
def test_frames_of_polars_and_pyarrow_keep_types_and_what_is_observed(library, column):
    module = pytest.importorskip(library)
    data = {"x": COLUMNS["x"], column: COLUMNS[column]}
    frame = module.DataFrame(data) if library == "polars" else module.table(data)
    found = TableImputer(**QUICK).fit(frame).impute(frame, draws=1)
    for filled in (found.filled, *found.draws):
        assert type(filled) is type(frame) and filled.schema == frame.schema
        old, new = (
            each[column].to_list() if library == "polars" else each[column].to_pylist() for each in (frame, filled)
        )
        assert [*map(repr, np.array(old, object)[~HOLES])] == [
            *map(repr, np.array(new, object)[~HOLES])
        ] and None not in new
        assert {type(new[i]) for i in np.flatnonzero(HOLES)} == {type(new[1])}


def test_categories_of_polars_and_pyarrow():
    polars, arrow = pytest.importorskip("polars"), pytest.importorskip("pyarrow")
    wanted = polars.Series(COLUMNS["s"])
    for dtype in (polars.Categorical, polars.Enum(["town 2", "town 1", "town 0", "none"])):
        frame = polars.DataFrame({"x": COLUMNS["x"], "s": wanted.cast(dtype)})
        imputer = TableImputer(**QUICK).fit(frame)
        filled = imputer.transform(frame)
        assert (
            filled.schema == frame.schema
            and filled["s"].null_count() == 0
            and imputer.schema_.columns[1].kind == "categorical"
        )
        assert filled["s"].cast(polars.String).to_list()[1] == COLUMNS["s"][1]
    for column in (
        arrow.array(COLUMNS["s"]).dictionary_encode(),
        arrow.chunked_array([COLUMNS["s"][:9], COLUMNS["s"][9:]]).dictionary_encode(),
    ):
        frame = arrow.table({"x": COLUMNS["x"], "s": column})
        filled = TableImputer(**QUICK).fit(frame).transform(frame)
        assert filled.schema == frame.schema and filled["s"].null_count == 0
        assert [a for a, gone in zip(filled["s"].to_pylist(), HOLES, strict=True) if not gone] == [
            a for a in COLUMNS["s"] if a is not None
        ]


def test_nanoseconds_that_python_does_not_know_stay():
    polars, arrow = pytest.importorskip("polars"), pytest.importorskip("pyarrow")
    moments = np.arange(ROWS) * 86_400 * 10**9 + 1_700_000_000_000_000_001
    times = np.where(HOLES, np.datetime64("NaT"), moments.astype("M8[ns]"))
    for frame in (
        polars.DataFrame({"x": COLUMNS["x"], "t": times}),
        arrow.table({"x": COLUMNS["x"], "t": arrow.array(times)}),
    ):
        filled = TableImputer(**QUICK).fit(frame).transform(frame)
        after = np.asarray(filled["t"].to_numpy()).astype("M8[ns]").view(np.int64)
        assert (after[~HOLES] == moments[~HOLES]).all() and filled.schema == frame.schema
    with pytest.raises(InputTypeError, match="LazyFrame: call its method collect"):
        TableImputer(**QUICK).fit(polars.DataFrame({"x": [1.0]}).lazy())


# what needs no library


def test_a_mapping_of_columns_comes_back_as_a_dict_of_columns_of_their_kinds():
    given = {
        "x": np.array(COLUMNS["x"], np.float32),
        "i": COLUMNS["i"],
        "s": tuple(COLUMNS["s"]),
        "f": np.array(COLUMNS["f"], float),
    }
    filled = TableImputer(**QUICK).fit(given).transform(given)
    assert [*filled] == [*given] and [type(column) for column in filled.values()] == [
        np.ndarray,
        list,
        tuple,
        np.ndarray,
    ]
    assert (
        filled["x"].dtype == np.float32
        and all(type(n) is int for n in filled["i"])
        and set(filled["s"]) <= {"town 0", "town 1", "town 2"}
    )
    assert (
        all(a is b for a, b, gone in zip(given["s"], filled["s"], HOLES, strict=True) if not gone)
        and given["i"][0] is None
    )
    for wrong, words in (
        ({"a": [1.0, 2.0], "b": [1.0]}, "of one length: 'a' has 2 cells, 'b' 1"),
        ({"a": []}, "rows and columns"),
        ({}, "rows and columns"),
    ):
        with pytest.raises(InputError, match=words):
            TableImputer(**QUICK).fit(wrong)
    with pytest.raises(InputTypeError, match=r"X\['a'\] must be a column: .* got str"):
        TableImputer(**QUICK).fit({"a": "abc"})


def test_a_text_table_that_was_read_comes_back_as_columns(tmp_path):
    lines = [
        f"{i},{'' if HOLES[i] else 'uvw'[i % 3]},2024-01-{1 + i % 28:02d},"
        f"{'' if i % 9 == 1 else '?x' if i == 5 else i * 1.5}"
        for i in range(ROWS)
    ]
    (tmp_path / "t.csv").write_text("a,kind,day,price\n" + "\n".join(lines) + "\n")
    table = npvae.read_table(tmp_path / "t.csv")
    imputer = TableImputer(**QUICK).fit(table)
    filled = imputer.transform(table)
    assert (
        [*filled] == ["a", "kind", "day", "price"] and filled["a"].dtype == np.int64 and filled["day"].dtype == "M8[D]"
    )
    assert (
        set(filled["kind"]) <= {*"uvw"} and filled["price"][5] == "?x" and imputer.schema_.columns[-1].words == ("?x",)
    )
    assert all(type(cell) is float for i, cell in enumerate(filled["price"]) if i != 5) and filled["price"][2] == 3.0


def test_records_come_back_as_records():
    records = [
        {"name": f"n{i}", "i": n, "s": s} for i, (n, s) in enumerate(zip(COLUMNS["i"], COLUMNS["s"], strict=True))
    ]
    del records[0]["s"], records[1]["name"]
    with pytest.warns(
        CarriedColumnsWarning, match="1 column cannot be modelled and is kept as it is: 'name' .names or free text"
    ):
        imputer = TableImputer(**QUICK).fit(records)
    filled = imputer.transform(records)
    assert (
        type(filled) is list
        and [*filled[0]] == ["name", "i", "s"]
        and type(filled[0]["i"]) is int
        and "name" not in filled[1]
    )
    assert filled[2] == records[2] and "s" not in records[0]
    one = imputer.transform([{"s": None, "i": 3, "name": "new"}])
    assert [*one[0]] == ["s", "i", "name"] and one[0]["s"] in {"town 0", "town 1", "town 2"}


def test_lists_of_rows_come_back_as_arrays():
    rows = [[n, s, f] for n, s, f in zip(COLUMNS["i"], COLUMNS["s"], COLUMNS["f"], strict=True)]
    imputer = TableImputer(**QUICK).fit(rows)
    filled = imputer.transform(rows)
    assert (
        filled.dtype == object
        and filled.shape == (ROWS, 3)
        and type(filled[0, 0]) is int
        and type(filled[0, 2]) is float
    )
    assert filled[1, 1] is COLUMNS["s"][1] and [column.kind for column in imputer.schema_.columns][1] == "categorical"
    assert imputer.transform([[1, "town 0", float("nan")]])[0, :2].tolist() == [1, "town 0"]
    numbers = [[float(n), 2.0 * n + n % 3] for n in range(20)] + [[3.0, float("nan")]]
    assert TableImputer(**QUICK).fit_transform(numbers).dtype == np.float64


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint8, bool])
def test_arrays_keep_their_type(dtype):
    array = (np.random.default_rng(3).random((30, 3)) * 5).astype(dtype)
    if dtype is bool:
        array = np.random.default_rng(3).random((30, 3)) < 0.5
    found = TableImputer(**QUICK).fit(array).transform(array)
    assert found.dtype == array.dtype and found is not array and (found == array).all()
    if array.dtype.kind == "f":
        array[0, 0] = np.nan
        assert TableImputer(**QUICK).fit(array).transform(array).dtype == dtype


def fake(module: str, name: str, **members):
    """A class of that module and name, as a library would have it."""
    return type(name, (), {"__module__": module, **members})


class Positions:
    """``iloc``: a frame's columns, by place."""

    def __init__(self, columns) -> None:
        self._columns = columns

    def __getitem__(self, place):
        return self._columns[place[1]]


def fake_pandas_frame(columns: dict, index):
    """The little of pandas that npvae asks for."""

    def series_init(self, values, index=None, dtype=None, name=None):
        self.values, self.index, self.dtype, self.name, self.iloc = (
            np.array(values, dtype),
            index,
            np.dtype(dtype),
            name,
            None,
        )

    series = fake(
        "pandas.core.series",
        "Series",
        __init__=series_init,
        to_numpy=lambda self: self.values,
        __len__=lambda self: len(self.values),
    )

    def frame_init(self, columns, index):
        self._columns, self.index = dict(columns), index
        self.columns, self.shape, self.iloc = (
            [*columns],
            (len(index), len(columns)),
            Positions([*self._columns.values()]),
        )

    def isetitem(self, place, column):
        self._columns[self.columns[place]] = column

    frame = fake(
        "pandas.core.frame",
        "DataFrame",
        __init__=frame_init,
        isetitem=isetitem,
        copy=lambda self: type(self)(self._columns, self.index),
        __getitem__=lambda self, name: self._columns[name],
    )
    return frame(
        {name: series(values, index, np.asarray(values).dtype, name) for name, values in columns.items()}, index
    )


def test_a_frame_is_known_by_the_module_of_its_type():
    f, s = np.array(COLUMNS["f"], float), np.array(COLUMNS["s"], object)
    frame = fake_pandas_frame({"x": np.array(COLUMNS["x"]), "f": f, "s": s}, range(5, ROWS + 5))
    filled = TableImputer(**QUICK).fit(frame).transform(frame)
    assert type(filled) is type(frame) and filled.index == range(5, ROWS + 5) and filled.columns == ["x", "f", "s"]
    assert (
        filled["f"].values.dtype == np.float64
        and (filled["f"].values[~HOLES] == f[~HOLES]).all()
        and np.isfinite(filled["f"].values).all()
    )
    assert (
        filled["s"].name == "s"
        and set(filled["s"].values) <= {"town 0", "town 1", "town 2"}
        and np.isnan(frame["f"].values[0])
    )


def test_no_library_is_imported_for_frames():
    done = processes.run(
        [
            sys.executable,
            "-c",
            (
                "import sys, numpy as np; from npvae import TableImputer; x = np.random.default_rng(0).normal(size=30);"
                "t = {'a': x, 'b': np.where(x > 1, np.nan, x)}; TableImputer(members=1, epochs=1, "
                "backend='numpy').fit(t).transform(t);"
                "found = {'pandas', 'polars', 'pyarrow', 'sklearn'} & set(sys.modules); assert not found, found"
            ),
        ]
    )
    assert done.returncode == 0, done.stderr


def test_one_table_in_every_form_is_filled_in_alike():
    data = {name: COLUMNS[name] for name in ("x", "i", "s", "b", "d", "u")}
    rows = [*zip(*data.values(), strict=True)]
    forms = {"columns": data, "records": [dict(zip(data, row, strict=True)) for row in rows], "rows": rows}
    for library in ("pandas", "polars"):
        module = pytest.importorskip(library)
        forms[library] = module.DataFrame(data, dtype=object) if library == "pandas" else module.DataFrame(data)
    forms["pyarrow"] = pytest.importorskip("pyarrow").table(data)
    found = {}
    for name, form in forms.items():
        filled = TableImputer(**QUICK).fit(form).transform(form)
        if name in ("rows", "pandas"):
            found[name] = np.asarray(filled, object).tolist()
        elif name == "records":
            found[name] = [[*record.values()] for record in filled]
        else:
            found[name] = [
                list(row)
                for row in zip(
                    *(list(c.to_pylist() if name == "pyarrow" else c) for c in (filled[key] for key in data)),
                    strict=True,
                )
            ]
    for name, table in found.items():
        assert table == found["columns"], name
        assert [[type(cell) for cell in row] for row in table] == [
            [type(cell) for cell in row] for row in found["columns"]
        ], name


# names, categories, what is missing


@pytest.fixture(scope="module")
def fitted():
    return TableImputer(**QUICK).fit({name: COLUMNS[name] for name in ("x", "s", "d")})


def test_columns_are_found_by_name_in_any_order(fitted):
    given = {"d": [None, dt.date(2024, 1, 9)], "x": [0.5, None], "s": ["town 1", None]}
    filled = fitted.transform(given)
    assert (
        [*filled] == ["d", "x", "s"]
        and type(filled["d"][0]) is dt.date
        and type(filled["x"][1]) is float
        and filled["s"][0] == "town 1"
    )
    same = fitted.transform({name: given[name] for name in ("x", "s", "d")})
    assert {name: filled[name] for name in same} == same
    assert fitted.impute(given).columns == ["d", "x", "s"] and fitted.impute(given).is_numeric == [True, True, False]


def test_columns_that_are_others_are_named_all_at_once(fitted):
    with pytest.raises(InputError, match="'s', 'd' missing; 'S', 'new' not seen in fit"):
        fitted.transform({"x": [1.0], "S": ["a"], "new": [1]})
    with pytest.raises(
        InputError,
        match="column 'x' holds dates, but numbers or names when the model was fitted; column 'd' holds numbers or "
        "names, but dates",
    ):
        fitted.transform({"x": [dt.date(2024, 1, 1)], "s": ["town 0"], "d": [3.0]})
    with pytest.raises(InputError, match="X has 2 features, but TableImputer is expecting 3 features as input"):
        fitted.transform(np.zeros((1, 2)))
    assert (
        type(fitted.transform([[1.0, "town 0", None]])[0, 2]) is dt.date
    )  # without names by place; of a type where none is there


def test_categories_that_are_new_are_named_or_stay(fitted):
    given = {"x": [0.5, "?", None], "s": ["town 9", None, "town 8"], "d": COLUMNS["d"][1:4]}
    with pytest.raises(
        InputError, match="column 'x' holds the text '.'.*; column 's' holds 'town 9' in row 0.*unseen=\"missing\""
    ) as said:
        fitted.transform(given)
    lines = said.value.message(lambda row: f"line {row + 2}")
    assert (
        "holds the text '?' in line 3, but" in lines
        and "holds 'town 9' in line 2, which" in lines
        and lines.endswith("the model does without them")
    )
    with pytest.raises(UnknownNameError, match="unseen"):
        TableImputer(unseen="ignore", **QUICK).fit(np.eye(4))
    lenient = TableImputer(unseen="missing", **QUICK).fit({name: COLUMNS[name] for name in ("x", "s", "d")})
    filled = lenient.transform(given)
    assert (
        filled["s"][0] == "town 9" and filled["s"][2] == "town 8" and filled["s"][1] in {"town 0", "town 1", "town 2"}
    )
    assert filled["x"][:2] == [0.5, "?"] and type(filled["x"][2]) is float
    as_gap = lenient.transform({**given, "x": [0.5, None, None], "s": [None, None, None]})
    assert as_gap["x"][2] == filled["x"][2]  # the model was given the same


def test_words_and_carried_columns_and_what_is_missing_are_kept_in_the_file(tmp_path):
    given = {
        "notes": [f"note {i}" for i in range(ROWS)],
        "x": COLUMNS["x"],
        "i": [*COLUMNS["i"][:-1], "unknown"],
        "c": ["NA", "ZA"] * (ROWS // 2),
    }
    given["x"] = [-999.0 if gone else value for value, gone in zip(given["x"], HOLES, strict=True)]
    imputer = TableImputer(ignore=["notes"], missing=-999, unseen="missing", **QUICK)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        imputer.fit(given)
    filled = imputer.transform(given)
    assert (
        imputer.carried_ == {"notes": "ignored, as was said"}
        and filled["notes"] == given["notes"]
        and filled["i"][-1] == "unknown"
    )
    assert filled["c"] == given["c"] and -999.0 not in filled["x"] and imputer.schema_.columns[1].words == ("unknown",)
    imputer.save(tmp_path / "m.npz")
    again = TableImputer.load(tmp_path / "m.npz", backend="numpy")
    assert again.carried_ == imputer.carried_ and again.missing == (-999,) and again.unseen == "missing"
    assert again.transform(given) == filled and list(again.feature_names_in_) == [*given]
    assert again.transform({**given, "i": ["unknown"] * ROWS})["i"] == ["unknown"] * ROWS
    assert TableImputer(missing="NA", **QUICK).fit(
        {"x": COLUMNS["f"], "c": ["NA", "ZA", "BW", "ZA"] * (ROWS // 4)}
    ).schema_.columns[1].values == ("BW", "ZA")


def test_columns_are_carried_with_a_warning_and_kinds_overrule():
    given = {
        "id": [*range(ROWS)],
        "x": COLUMNS["x"],
        "f": COLUMNS["f"],
        "none": [None] * ROWS,
        "tick": ["x" if gone else None for gone in HOLES],
    }
    with pytest.warns(
        CarriedColumnsWarning, match="3 columns.*'id' .identifiers.*'none' .empty.*'tick' .ticked or empty: 'x'"
    ) as seen:
        imputer = TableImputer(**QUICK).fit(given)
    assert seen[0].filename == __file__
    found = imputer.impute(given)
    assert (
        [*imputer.carried_] == ["id", "none", "tick"]
        and found.filled["tick"] == given["tick"]
        and found.filled["none"] == given["none"]
    )
    less = imputer.transform({"f": COLUMNS["f"], "x": COLUMNS["x"], "tick": given["tick"]})
    assert [*less] == ["f", "x", "tick"] and less["f"] == found.filled["f"]
    assert found.is_numeric == [False, True, True, False, False] and found.filled_in.sum(axis=0).tolist() == [
        0,
        0,
        HOLES.sum(),
        0,
        0,
    ]
    with pytest.warns(CarriedColumnsWarning, match="1 column "):
        imputer = TableImputer({"id": "continuous"}, ignore="tick", **QUICK).fit(given)
    assert [column.name for column in imputer.schema_.columns] == ["id", "x", "f"]
    for arguments, words in (
        ({"ignore": ["X"]}, "ignore names the column 'X', but the columns are 'id', 'x'"),
        ({"ignore": ["x"], "kinds": {"x": "continuous"}}, "kinds and ignore both name the column 'x'"),
    ):
        with pytest.raises(InputError, match=words):
            TableImputer(**arguments, **QUICK).fit(given)
    with pytest.raises(
        InputError, match="no column of the table of 3 samples can be modelled: 'a': empty; 'b': constant: always 1"
    ):
        TableImputer(**QUICK).fit({"a": [None] * 3, "b": [1] * 3})


def test_intervals_of_frames_are_floats(fitted):
    given = {name: COLUMNS[name] for name in ("x", "s", "d")}
    found = fitted.impute(given, draws=25)
    low, high = found.interval(0.9)
    assert (
        low.dtype == high.dtype == np.float64
        and np.isnan(low[:, 1]).all()
        and (low[:, [0, 2]] <= high[:, [0, 2]]).all()
    )
    assert (
        low[1, 2] == high[1, 2] == (COLUMNS["d"][1] - dt.date(1970, 1, 1)).days
        and (low[HOLES, 2] < high[HOLES, 2]).any()
    )
    assert all(type(draw["d"][0]) is dt.date and draw["s"][1] is COLUMNS["s"][1] for draw in found.draws)


# set_output


@pytest.mark.parametrize("wanted", ["pandas", "polars"])
def test_set_output_overrides_the_kind(wanted):
    library = pytest.importorskip(wanted)
    data = {name: COLUMNS[name] for name in ("x", "i", "s")}
    forms = [
        data,
        [dict(zip(data, row, strict=True)) for row in zip(*data.values(), strict=True)],
        [*zip(*data.values(), strict=True)],
    ]
    forms += [pytest.importorskip(other).DataFrame(data) for other in ("pandas", "polars")]
    for X in forms:
        imputer = TableImputer(**QUICK).set_output(transform=wanted).fit(X)
        found = imputer.impute(X, draws=1)
        for filled in (found.filled, *found.draws, imputer.transform(X)):
            assert isinstance(filled, library.DataFrame) and filled.shape == (ROWS, 3)
            assert [*filled.columns] == (
                ["x0", "x1", "x2"] if isinstance(X, list) and not isinstance(X[0], dict) else [*data]
            )
            values = filled.iloc[:, 2].tolist() if wanted == "pandas" else filled[filled.columns[2]].to_list()
            assert values[1] == COLUMNS["s"][1] and None not in values
        assert imputer.set_output(transform="default").set_output().transform(X).__class__ is (
            np.ndarray if isinstance(X, list) and not isinstance(X[0], dict) else type(X)
        )


def test_outputs_that_there_are_not(monkeypatch):
    with pytest.raises(UnknownNameError, match="unknown output 'frame'; known: 'default', 'pandas', 'polars'"):
        TableImputer().set_output(transform="frame")
    x = np.where(np.arange(60).reshape(20, 3) % 7 == 0, np.nan, np.random.default_rng(0).standard_normal((20, 3)))
    imputer = TableImputer(**QUICK).fit(x).set_output(transform="polars")
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(
        MissingDependencyError, match=r'set_output\(transform="polars"\) needs polars, which is not installed'
    ):
        imputer.transform(x)


def test_names_of_columns_out():
    imputer = TableImputer(**QUICK).fit(np.random.default_rng(0).standard_normal((20, 2)))
    assert imputer.get_feature_names_out().tolist() == ["x0", "x1"] and imputer.get_feature_names_out(
        ["a", "b"]
    ).tolist() == ["a", "b"]
    with pytest.raises(InputError, match="length equal to number of features .2., got 1"):
        imputer.get_feature_names_out(["a"])
    named = TableImputer(**QUICK).fit({"x": COLUMNS["x"], "f": COLUMNS["f"]})
    assert named.get_feature_names_out().tolist() == named.get_feature_names_out(["x", "f"]).tolist() == ["x", "f"]
    with pytest.raises(InputError, match="input_features is not equal to feature_names_in_"):
        named.get_feature_names_out(["f", "x"])


CHECKS = """
import os, warnings
warnings.simplefilter("ignore")
os.environ["SCIPY_ARRAY_API"] = "1"
from sklearn.utils.estimator_checks import check_estimator
from npvae import TableImputer
results = check_estimator(
    TableImputer(members=1, epochs=1, hidden=(4,), imputation_samples=10, random_state=0, samples=3, backend="numpy"),
    on_fail=None,
)
failed = [r for r in results if r["status"] == "failed"]
for r in failed:
    print(r["check_name"], repr(r["exception"]))
raise SystemExit(bool(failed) or len(results) < 30)
"""
SKLEARN = """
import numpy as np, pandas, sklearn
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from npvae import TableImputer
quick = dict(members=1, epochs=1, hidden=(4,), imputation_samples=10, random_state=0, samples=3, backend="numpy")
rng = np.random.default_rng(0)
frame = pandas.DataFrame(rng.normal(size=(40, 3)), columns=["a", "b", "c"], index=[f"r{i}" for i in range(40)])
frame.iloc[::6, 1] = np.nan
imputer = TableImputer(**quick)
both = make_column_transformer((imputer, ["b", "a"]), remainder="passthrough")
assert both.fit(frame).get_feature_names_out().tolist() == ["tableimputer__b", "tableimputer__a", "remainder__c"]
assert np.isfinite(np.asarray(both.transform(frame))).all()
out = both.set_output(transform="pandas").transform(frame)
assert out.index.equals(frame.index) and not out.isna().any().any()
pipe = make_pipeline(StandardScaler(), imputer).set_output(transform="pandas")
out = pipe.fit_transform(frame)
assert list(out.columns) == ["a", "b", "c"] and out.index.equals(frame.index)
assert list(pipe.get_feature_names_out()) == ["a", "b", "c"]
copied = clone(TableImputer(**quick).set_output(transform="pandas"))
assert isinstance(copied.fit_transform(frame.to_numpy()), pandas.DataFrame)
with sklearn.config_context(transform_output="pandas"):
    assert isinstance(TableImputer(**quick).fit_transform(frame.to_numpy()), pandas.DataFrame)
"""


@pytest.mark.parametrize(
    "program", [SKLEARN, pytest.param(CHECKS, marks=pytest.mark.slow)], ids=["transformer", "own_checks"]
)
def test_in_scikit_learn_as_a_transformer(program):
    """In a process of its own, since scikit-learn must not be imported by the tests around it."""
    if "pandas" in program:
        pytest.importorskip("pandas")
    pytest.importorskip("sklearn", minversion="1.6")
    done = processes.run([sys.executable, "-c", program])
    assert done.returncode == 0, done.stdout + done.stderr
