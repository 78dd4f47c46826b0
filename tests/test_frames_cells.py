"""What is missing, which columns are carried, and columns of every type with values in the place of their gaps."""

from __future__ import annotations

import datetime as dt
import decimal
import fractions

import numpy as np
import pytest

from npvae.data.tables import times
from npvae.data.tables.carried import names_identifiers, why_carried, words_among_numbers
from npvae.data.tables.libraries import of_column
from npvae.data.tables.missing import is_missing, missing_among, values_of
from npvae.errors import InputTypeError

D, UTC = decimal.Decimal, dt.timezone.utc
EAST = dt.timezone(dt.timedelta(hours=5))


def box(*values) -> np.ndarray:
    cells = np.empty(len(values), object)
    for i, value in enumerate(values):
        cells[i] = value
    return cells


# what is missing


@pytest.mark.parametrize(
    ("cell", "missing"),
    [
        (None, True),
        (float("nan"), True),
        (np.float32("nan"), True),
        (np.datetime64("NaT"), True),
        (np.timedelta64("NaT"), True),
        (D("NaN"), True),
        (np.ma.masked, True),
        ("", False),
        ("NA", False),
        ("nan", False),
        (0, False),
        (False, False),
        (np.False_, False),
        (float("inf"), False),
        (D("1"), False),
        (dt.date(2024, 1, 1), False),
        ([], False),
    ],
)
def test_what_stands_for_nothing(cell, missing):
    assert is_missing(cell) is missing
    assert missing_among(box("x", cell)).tolist() == [False, missing]


def test_nothing_of_other_libraries_is_known_by_its_type():
    for name in ("NAType", "NaTType"):
        assert is_missing(type(name, (), {})())
    pandas = pytest.importorskip("pandas")
    assert is_missing(pandas.NA) and is_missing(pandas.NaT)


def test_values_that_are_missing_too():
    assert missing_among(box("NA", "x", -999, -999.0, D(-999), None, True, 1), ("NA", -999, 1)).tolist() == [
        True,
        False,
        *[True] * 4,
        False,
        True,
    ]
    assert missing_among(np.array([1.0, -999.0, np.nan]), (-999,)).tolist() == [False, True, True]
    assert missing_among(np.array([1, -999], np.int16), (-999,)).tolist() == [False, True]
    assert (values_of("NA"), values_of(-1), values_of(None), values_of(["?", 0.5])) == (("NA",), (-1,), (), ("?", 0.5))
    for wrong in ([None], [b"x"], True, [[1]]):
        with pytest.raises(InputTypeError, match="missing must be texts or numbers"):
            values_of(wrong)


# what is carried


@pytest.mark.parametrize(
    ("name", "values", "reason"),
    [
        ("a", [None, None], "empty"),
        ("a", [3.0, 3.0], "constant: always 3"),
        ("a", ["x", "x"], "constant: always 'x'"),
        ("a", ["x", None, "x"], "ticked or empty: 'x'"),
        ("a", [1, None], "ticked or empty: 1"),
        ("a", [b"x", b"y"], "cells of the type bytes"),
        ("a", [dt.time(1), dt.time(2)], "cells of the type time"),
        ("a", [[1], [2]], "cells of the type list"),
        ("a", [1j, 2j], "cells of the type complex"),
        ("a", [2**60 + 1, 2**60 + 3, None], "identifiers: whole numbers of more digits"),
        ("a", [2**53, 1, 5], None),
        ("id", [3, 1, 2], "identifiers: whole numbers, all different"),
        ("id", [3.0, 1.0, 2.0], "identifiers"),
        ("id", [3, 1, 2, None], None),
        ("id", [3, 1, 1], None),
        ("id", [0.5, 1.0, 2.0], None),
        ("", [1, 2, 3], None),
        ("a", [1, 2, 3], None),
        ("a", [*"abcdef"], "names or free text"),
        ("a", [*"ababcc"], None),
        ("a", [*"ab"], "names or free text: all 2"),
        ("a", [*"abcdeff"], "names or free text"),
        ("a", [f"2024/3/{i}" for i in range(1, 30)], "dates in another form"),
        ("a", [5] * 40 + ["?"], "ticked or empty: 5"),
        ("a", [*map(str, range(30))], "numbers written as text, such as '0': convert"),
        ("a", ["1", "2"] * 4, None),
        ("a", [True, False], None),
        ("a", [*range(30), *"vwxyz"], "numbers with 5 other texts among them: 'v'"),
        ("a", [*range(30), "?"], None),
        ("a", [1, 2, 3, "x", "x", 1], None),
        ("a", [D(1), D(2), D(3)], None),
    ],
)
def test_columns_that_are_carried(name, values, reason):
    cells = box(*values)
    observed = np.array([value is not None for value in values])
    found = why_carried(name, cells, observed)
    assert found is None if reason is None else found.startswith(reason), found


def test_names_of_identifiers():
    for name in ("id", "ID", "customer_id", "CustomerID", "Unnamed: 0", "Patient ID", "user.id", "index", "No."):
        assert names_identifiers(name), name
    for name in ("paid", "acid", "2018", "", "price index", "valid", "humidity", "grid", "Madrid"):
        assert not names_identifiers(name), name


def test_a_few_words_among_numbers_stay():
    def words(values):
        found = words_among_numbers(box(*values), np.array([value is not None for value in values]))
        return None if found is None else np.flatnonzero(found).tolist()

    assert words([*range(40), "unknown", None, "-"]) == [40, 42]
    assert words([*range(40)]) is None and words([*range(19), "x", "y"]) is None  # 2 of 21 are above 5 %
    assert words([*range(8), "x"]) == [8] and words([*range(7), "x"]) is None
    assert words([*range(200), "a", "b", "c"]) == [200, 201, 202] and words([*range(200), "a", "b", "c", "d"]) is None
    assert words([1, 2] * 50 + ["x"]) == [100] and words([1, dt.date(2024, 1, 1)] * 50 + ["x"]) is None
    assert words_among_numbers(np.arange(40.0), np.ones(40, bool)) is None


# columns with values in some cells

NAN = float("nan")
FILLED = [  # a column, the model's values for its gaps, and what then stands there
    ([1, None, 3], [2.0], [2]),
    ([1, None, 3], [2.5], [2.5]),
    ([1.5, None], [2.0], [2.0]),
    ([1, 2.5, None], [3.0], [3.0]),
    ([np.int16(1), None], [7.0], [np.int16(7)]),
    ([np.int8(1), None], [1000.0], [1000]),
    ([np.float32(1.5), None], [0.25], [np.float32(0.25)]),
    ([True, None], [False], [False]),
    ([True, None], [1.0], [True]),
    ([np.True_, None], [0.0], [False]),
    (["a", None], ["b"], ["b"]),
    ([D("1.50"), D("2.255"), None], [3.14159], [D("3.142")]),
    ([D("10"), None], [3.7], [D("4")]),
    ([D("1E+2"), None], [3.7], [D("4")]),
    ([fractions.Fraction(1, 3), None], [0.5], [0.5]),
    ([1, "unknown", None], [2.0], [2]),
    ([0.5, "x", NAN], [2.0], [2.0]),
    ([dt.date(2024, 3, 1), None], [19783.4], [dt.date(2024, 3, 1)]),
    ([dt.date(1, 1, 1), None], [-1e9], [dt.date(1, 1, 1)]),
    ([dt.datetime(2024, 3, 1, 6, 30), None], [19783.5], [dt.datetime(2024, 3, 1, 12)]),
    ([dt.datetime(2024, 3, 1, 6, 30, tzinfo=EAST), None], [19783.5], [dt.datetime(2024, 3, 1, 17, tzinfo=EAST)]),
    ([dt.timedelta(hours=3), None], [0.5001], [dt.timedelta(hours=12)]),
    ([None, None], [2.0, 3.5], [2.0, 3.5]),
    ([None, NAN], ["x", 1.0], ["x", 1.0]),
    ([np.datetime64("2024-03-01"), None], [19784.2], [np.datetime64("2024-03-02")]),
]


@pytest.mark.parametrize("kind", [list, tuple, lambda values: box(*values)])
@pytest.mark.parametrize(("column", "values", "wanted"), FILLED)
def test_objects_come_back_as_they_are_and_gaps_as_the_others(kind, column, values, wanted):
    given = kind(column)
    read = of_column(given)
    rows = np.flatnonzero(read.missing)
    assert rows.tolist() == [i for i, cell in enumerate(column) if is_missing(cell)]
    found = read.replace(
        rows, np.array(values, object) if isinstance(values[0], (str, bool)) else np.array(values, float)
    )
    assert type(found) is type(given) and len(found) == len(given)
    for i, cell in enumerate(column):
        if i not in rows:
            assert found[i] is cell
    there = [found[i] for i in rows]
    assert there == wanted and [type(cell) for cell in there] == [type(cell) for cell in wanted]
    assert [*map(repr, given)] == [*map(repr, kind(column))]  # not modified


@pytest.mark.parametrize(
    ("column", "values", "wanted"),
    [
        (np.array([1.5, np.nan], np.float32), [0.1], np.array([1.5, 0.1], np.float32)),
        (np.array([1.5, np.nan]), ["x"], box(1.5, "x")),
        (np.array([1, -9, 3], np.int8), [100.0], np.array([1, 100, 3], np.int8)),
        (np.array([1, -9, 3], np.int8), [200.0], np.array([1.0, 200.0, 3.0])),
        (np.array([1, -9]), [2.5], np.array([1.0, 2.5])),
        (np.array(["2024-03-01", "NaT"], "M8[D]"), [19784.4], np.array(["2024-03-01", "2024-03-02"], "M8[D]")),
        (np.array(["2024-03", "NaT"], "M8[M]"), [19784.4], np.array(["2024-03", "2024-03"], "M8[M]")),
        (
            np.array(["2024-03-01T06", "NaT"], "M8[ns]"),
            [19784.52],
            np.array(["2024-03-01T06", "2024-03-02T12"], "M8[ns]"),
        ),
        (
            np.array(["2024-03-01T06:00:01.25", "NaT"], "M8[us]"),
            [19784.0],
            np.array(["2024-03-01T06:00:01.25", "2024-03-02"], "M8[us]"),
        ),
        (np.array([3600, "NaT"], "m8[s]"), [0.26], np.array([3600, 6 * 3600], "m8[s]")),
        (np.array(["a", "?"]), ["bcd"], box("a", "bcd")),
        (np.array([1.5, np.nan]), [dt.date(2024, 3, 1)], box(1.5, dt.date(2024, 3, 1))),
    ],
)
def test_arrays_keep_their_type_where_it_holds_the_values(column, values, wanted):
    before = column.copy()
    read = of_column(column, (-9, "?"))
    found = read.replace(np.flatnonzero(read.missing), box(*values))
    assert found.dtype == wanted.dtype
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(column, before)


@pytest.mark.parametrize(
    ("column", "cells", "form"),
    [
        (np.array([3, 1], np.uint8), [3.0, 1.0], "number"),
        (np.array([0.5, np.nan], np.float32), [0.5, NAN], "number"),
        ([D("0.1"), 2, None], [0.1, 2.0, NAN], "number"),
        (np.array(["2024-03-01", "NaT"], "M8[us]"), [19783.0, NAN], "date"),
        ([dt.date(1970, 1, 3), None], [2.0, NAN], "date"),
        ([dt.datetime(1970, 1, 2, 12, tzinfo=UTC), None], [1.5, NAN], "date"),
        ([dt.datetime(1970, 1, 2, 3, tzinfo=EAST)], [dt.timedelta(hours=22) / dt.timedelta(days=1)], "date"),
        ([dt.timedelta(hours=36)], [1.5], "duration"),
        (np.array([90], "m8[m]"), [90 / 1440], "duration"),
        (["1", None], ["1", None], "number"),
        ([2**60 + 1, None], [2**60 + 1, None], "number"),
        (np.array([2**60 + 1]), [2**60 + 1], "number"),
        ([True, None], [True, None], "number"),
        ([dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 1, tzinfo=UTC)],) * 2 + ("number",),
        ([10**400, 1], [10**400, 1], "number"),
        ([1, "x"], [1, "x"], "number"),
        ([dt.date(2024, 1, 1), 5], [dt.date(2024, 1, 1), 5], "number"),
    ],
)
def test_what_the_model_reads(column, cells, form):
    read = of_column(column)
    np.testing.assert_array_equal(read.cells, np.array(cells, read.cells.dtype))
    assert read.form == form and (read.cells.dtype.kind == "f") == all(isinstance(cell, float) for cell in cells)


def test_days_and_back():
    for unit in ("D", "h", "m", "s", "ms", "us", "ns"):
        moments = np.array(["1066-10-14" if unit != "ns" else "1970-01-01", "2024-02-29"], f"M8[{unit}]")
        days = times.to_days(moments)
        assert days[1] == 19782.0 and (
            unit == "ns" or days[0] == dt.date(1066, 10, 14).toordinal() - dt.date(1970, 1, 1).toordinal()
        )
        np.testing.assert_array_equal(times.from_days(days, moments), moments)
    none = np.array([], "M8[s]")
    assert times.from_days(np.array([0.25]), none)[0] == np.datetime64("1970-01-01T06:00:00")
    assert times.in_python(np.array([1.0]), "date", True).tolist() == [dt.date(1970, 1, 2)]
    assert times.in_python(np.array([1.5]), "date", False).tolist() == [dt.datetime(1970, 1, 2, 12)]
    assert times.in_python(np.array([1.5]), "duration", False).tolist() == [dt.timedelta(hours=36)]
