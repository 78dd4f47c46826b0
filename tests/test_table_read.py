"""Reading text tables: what is found by evidence, what overrules it, and what is refused."""

from __future__ import annotations

import datetime as dt
import gzip
import io
import lzma
import sys
import zipfile

import numpy as np
import processes
import pytest

import npvae
from npvae.cli import main
from npvae.data import source
from npvae.data.tables import form
from npvae.data.tables.encoding import decode
from npvae.data.tables.notation import Notation, find_notation, plain_numbers
from npvae.data.tables.splitter import split
from npvae.errors import DataFileError, InputError, InputTypeError, NpvaeError, UnknownNameError

NAN = float("nan")


def read(text, **how):
    """The table of a text, or of bytes."""
    return npvae.read_table(io.BytesIO(text if isinstance(text, bytes) else text.encode()), **how)


def values(table, name):
    """The values of a column, None for what is not there."""
    column = table[name]
    return [
        value if seen else None for value, seen in zip(column.values.tolist(), column.observed.tolist(), strict=True)
    ]


# cells


@pytest.mark.parametrize(
    ("text", "separator", "rows"),
    [
        ("a,b\n1,2", ",", [["a", "b"], ["1", "2"]]),
        ("a,b\r\n1,2\r\n", ",", [["a", "b"], ["1", "2"]]),
        ("a\rb\r", ",", [["a"], ["b"]]),
        ('a,"x, ""y""\nz" ,c\n1,,', ",", [["a", 'x, "y"\nz', "c"], ["1", "", ""]]),
        (' 1  2 \n"a b"\t3\n', " ", [["1", "2"], ["a b", "3"]]),
        ('5" x,6\n"a,b",7\n', ",", [['5" x', "6"], ["a,b", "7"]]),
        ('he said "a, b",1\n', ",", [['he said "a', 'b"', "1"]]),
        ('"a"b,c\n', ",", [['"a"b', "c"]]),
        ("", ",", []),
        ("\r\n", ",", [[""]]),
        ('""', ",", [[""]]),
        ("é|中\n", "|", [["é", "中"]]),
    ],
)
def test_cells_of_a_text(text, separator, rows):
    cells = split(text.encode(), separator)
    assert [cells.row(r) for r in range(len(cells.rows) - 1)] == rows and cells.unclosed == -1


def test_lines_are_counted_as_the_file_has_them():
    cells = split(b'a\r\n"x\ny"\rb\n', ",")
    assert [cells.line(int(place)) for place in cells.row_start] == [1, 2, 4]
    table = read('a,b\n\n"x\ny",1\n\nu,2\n')
    assert [table.line(row) for row in range(2)] == [3, 6]


def test_plain_numbers_are_what_float_makes_of_them():
    generator = np.random.default_rng(0)
    texts = [
        f"{generator.normal() * 10.0 ** generator.integers(-3, 8):.{generator.integers(0, 7)}f}" for _ in range(2000)
    ]
    texts += ["0", "-0", "1.", ".5", "123456789012345", "-.25"]
    other = ["007", "1e5", "", "-", ".", "1.2.3", "+1", "1234567890123456", "00", "0x1", "1_0", "12a", "--1"]
    data = ",".join(texts + other).encode()
    cells = split(data, ",")
    found, decimals = plain_numbers(cells.bytes, cells.start, cells.start + cells.length)
    np.testing.assert_array_equal(found[: len(texts)], [float(text) for text in texts])
    assert (
        np.signbit(found[texts.index("-0")])
        and np.isnan(found[len(texts) :]).all()
        and (decimals[len(texts) :] == -1).all()
    )
    assert decimals[: len(texts)].tolist() == [len(text.partition(".")[2]) for text in texts]


# encodings


@pytest.mark.parametrize(
    ("text", "encoding", "found"),
    [
        ("Größe;Höhe\n1;2\n", "latin-1", "cp1252"),
        ("Prix (€);Durée\n1;2\n", "cp1252", "cp1252"),
        ("长度,重量,颜色\n1,2,红\n", "gb18030", "gb18030"),
        ("名前,たかさ\n山田,1\n", "cp932", "cp932"),
        ("ひらがな,2\nカタカナ,3\n", "cp932", "cp932"),
        ("Рост,Вес,Город\n1,2,Москва\n", "cp1251", "cp1251"),
        ("a,b\n1,é\n", "utf-8", "utf-8"),
        ("a,b\n1,é\n", "utf-16-le", "utf-16-le"),
        ("a,b\n1,é\n", "utf-16-be", "utf-16-be"),
        ("温度 °C,b\n1,2\n", "utf-8", "utf-8"),
        ("T (°C),b\n1,2\n", "cp1252", "cp1252"),
        ("x\u0081é,b\n1,2\n", "latin-1", "latin-1"),
    ],
)
def test_encodings_are_guessed_and_encode_back(text, encoding, found):
    data = text.encode(encoding)
    decoded = decode("t", data)
    assert decoded.encoding == found and decoded.text.decode() == text and decoded.encode(decoded.text) == data
    assert decode("t", data, encoding).text.decode() == text


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_byte_order_marks(encoding):
    data = "a,é\n1,2\n".encode(encoding)
    decoded = decode("t", data)
    assert (
        decoded.text.decode() == "a,é\n1,2\n"
        and decoded.encode(decoded.text) == data
        and "byte order mark" in decoded.why
    )
    assert decode("t", data, encoding.removesuffix("-sig")).encode(decoded.text) == data


def test_encodings_that_are_none():
    with pytest.raises(InputError, match="encoding='klingon' is not known"):
        read("a\n1\n", encoding="klingon")
    with pytest.raises(DataFileError, match="line 2: expected text in utf-8, got other bytes"):
        read(b"a\n\xff\n", encoding="utf-8")
    with pytest.raises(DataFileError, match="line 2: expected a table of text, got a zero byte"):
        read(b"abc,d\n1\0,2,3,4,5,6\n")
    for name in ("utf-7", "base64", "rot13"):  # what does not encode back, or is no text
        with pytest.raises(NpvaeError, match=name):
            read(b"a,b\n+AGEAYgBj-,2\n", encoding=name)


# the form of a table


@pytest.mark.parametrize(
    ("text", "names", "rows"),
    [
        ("state,2018\nA,R+27\nB,D+3\nC,R+1\n", ["state", "2018"], 3),
        ("name,2015\na,2014\nb,2013\nc,2012\n", ["0", "1"], 4),
        ("state,2018\nA,27.5\nB,13\n", ["state", "2018"], 2),
        ("word,0,1,2\na,.5,.25,1.5\nb,.1,.2,.3\n", ["word", "0", "1", "2"], 2),
        ("0,1,2,class\n.5,.25,1.5,x\n.1,.2,.3,y\n", ["0", "1", "2", "class"], 2),
        ("a,1,2\nb,0,4\nc,5,1\n", ["0", "1", "2"], 3),
        ("region,2018,2019,2020\nnorth,50.1,51.2,49.9\nsouth,48.2,,47.0\n", ["region", "2018", "2019", "2020"], 2),
        ("0,1,2,3\n5.5,6,7,8\n4.5,6,9,8\n", ["0", "1", "2", "3"], 2),
        ("3,1,2,3\n5.5,6,7,8\n", ["0", "1", "2", "3"], 2),
        ('"","16.5","17.25"\n"71",0,1\n"70",2,3\n', ["", "16.5", "17.25"], 2),
        ("a,b\nx,y\nz,y\n", ["a", "b"], 2),
        ("x,y\nx,z\ny,y\nx,z\n", ["0", "1"], 4),
        ("A,,yes\nB,1.5,no\n", ["0", "1", "2"], 2),
        ("A,null,yes\nB,1.5,no\n", ["0", "1", "2"], 2),
        ('"a" "b"\n"r" 2 3\n"s" 4 5\n', ["", "a", "b"], 2),
        ("a b c\n1,2,3\n3,4,5\n", ["a", "b", "c"], 2),
        ("a,b,\n1,2,\n3,4,\n", ["a", "b", ""], 2),
        ("a,b\n1,2,\n3,4,\n", ["a", "b"], 2),
        ("#a,b\n1,2\n3,4\n", ["#a", "b"], 2),
        ("90%,10%\n1.5,2\n3,4\n", ["90%", "10%"], 2),
        ("inf,1\n2,3\n", ["0", "1"], 2),
    ],
)
def test_names_of_columns(text, names, rows):
    table = read(text)
    assert [column.written if table.form.has_names else column.name for column in table.columns] == names and len(
        table
    ) == rows


def test_names_that_are_double_or_empty_are_numbered_inside():
    table = read("a,a,,a (2),b,\n1,2,3,4,5,6\n2,4,1,5,2,9\n")
    assert [column.name for column in table.columns] == ["a", "a (3)", "column 3", "a (2)", "b", "column 6"]
    assert [column.written for column in table.columns] == ["a", "a", "", "a (2)", "b", ""]


@pytest.mark.parametrize(
    ("text", "outside"),
    [
        ("Sales of all shops\na,b,c\n1,2,x\n3,4,y\n", [(1, "title")]),
        ("Sales,,\n\na,b,c\n1,2,x\n3,4,y\n", [(1, "title")]),
        ("# one, two, three\n# four\na,b,c\n1,2,3\n", [(1, "comment"), (2, "comment")]),
        ("a,b,c\n1,2,3\n4,5,6\nSource: us\n", [(4, "note")]),
        ("Name:,x\nUnit:,m\na,b,c,d\n1,2,3,4\n5,6,7,8\n", [(1, "title"), (2, "title")]),
        ("a,b\n1,2\n# end\n3,4\n", [(3, "comment")]),
        ("#1,x\n#2,y\n", []),
        ("a,b\n1,2\n3,4\n,\n,\n", [(4, "empty"), (5, "empty")]),
        (",\n,\na,b\n1,2\n", [(1, "title"), (2, "title")]),
        ("a;b;,,,\n1,5;2;,\n2,5;3;\n1,5;4;,,\n;;,,,\n;;,,,\n", [(5, "empty"), (6, "empty")]),
        ("body height\n1\n2\n", []),
    ],
)
def test_lines_that_are_no_part_of_the_table(text, outside):
    assert read(text).form.outside == outside


def test_lines_are_left_out_as_said():
    assert [column.written for column in read("1,2\n3,4\na,b\n5,6\n", skip=2).columns] == ["a", "b"]
    assert len(read("a,b\n//1,2\n3,4\n", comment="//")) == 1
    assert len(read("x y\na,b\n1,2\n", skip=0, header=False)) == 3


def test_a_second_row_of_names_is_refused_until_it_is_said():
    text = "id,height,weight\n,cm,kg\nx,1,2\ny,3,4\nz,5,\n"
    with pytest.raises(DataFileError, match="line 2 looks like a second row of names .*'cm', 'kg'.*header_rows=2"):
        read(text)
    assert [column.written for column in read(text, header_rows=2).columns] == ["id", "height cm", "weight kg"]
    assert len(read(text, header_rows=1)) == 4 and len(read(text, header_rows=0)) == 5
    assert len(read("a,b\nUnknown,2\n3,4\n5,6\n")) == 3  # one column is no evidence


def test_what_separates_cells():
    assert (
        read("a;b\n1,5;2\n").form.cells.separator == ";"
        and read("a|b\n1|2\n").form.cells.separator == "|"
        and read("1 2\n3 4\n").form.cells.separator == " "
    )
    assert read("a,b;c\n1,2;3\n", separator=";")["a,b"].values.tolist() == [1.2]
    assert (
        len(read("a\tb c\n1\t2 3\n", separator="tab").columns) == 2
        and len(read("a\tb c\n1\t2 3\n", separator="blank").columns) == 3
    )
    mixed = "x\ty z\tname\n" + "".join(
        f'{i}.0   {i + 1}\t{2 * i}  \t"a b"\n' for i in range(5)
    )  # tabs and blanks, as columns of equal width have
    assert [column.name for column in read(mixed).columns] == ["x", "y", "z", "name"] and read(
        mixed
    ).form.cells.separator == " "
    assert (
        read("k\tv w\n" + "".join(f"{i}\tsome text of {'many' * i} words\n" for i in range(5))).form.cells.separator
        == "\t"
    )
    for wrong in (";;", '"', "\n", ""):
        with pytest.raises(InputError, match="separator must be one character"):
            read("a,b\n1,2\n", separator=wrong)


# numbers


@pytest.mark.parametrize(
    ("cells", "numbers", "written"),
    [
        (["52.88%", "3.1%"], [52.88, 3.1], (7.126, "7.13%")),
        (["$4.99", "-$3.50"], [4.99, -3.5], (-1234.5, "-$1234.50")),
        (["$-4.99", "$3.50"], [-4.99, 3.5], (-2, "$-2.00")),
        (["10,000+", "500+"], [10000, 500], (1234567, "1,234,567+")),
        (["12,7", "3,0"], [12.7, 3.0], (1.26, "1,3")),
        (["1.234,5", "20,0"], [1234.5, 20], (9876.54, "9.876,5")),
        (["59.11平米", "60平米"], [59.11, 60], (1.5, "1.5平米")),
        (["1 234", "56"], [1234, 56], (78901.4, "78 901")),
        (["15,656", "900"], [15656, 900], (1000, "1,000")),
        (["1'234.5", "2.5"], [1234.5, 2.5], (1, "1.0")),
        (["−3,5", "2,5"], [-3.5, 2.5], (0.04, "0,0")),
        (["€ 5", "€ 7"], [5, 7], (-0.3, "€ 0")),
        (["4WD", "2WD"], [4, 2], (3, "3WD")),
    ],
)
def test_notations_are_read_and_written(cells, numbers, written):
    notation = find_notation(dict.fromkeys(cells, 1), ".")
    assert [notation.read(cell) for cell in cells] == numbers
    assert notation.write(written[0]) == written[1]
    assert [notation.read(notation.write(number)) for number in numbers] == numbers


@pytest.mark.parametrize(
    "cells",
    [
        ["$1K", "$2M"],
        ["P001", "P002"],
        ["2020-01-01", "2021-01-01"],
        ["12:30", "12:45"],
        ["10-20", "20-30"],
        ["v1.2", "v1.3"],
        ["1/2", "3/4"],
        ["Grade 1", "Grade 2"],
        ["12,34,56", "1,2,3"],
        ["007", "021"],
        ["10.0.0.1", "10.0.0.2"],
    ],
)
def test_what_is_no_number_in_a_notation(cells):
    notation = find_notation(dict.fromkeys(cells, 1), ".")
    assert notation is None or None in [notation.read(cell) for cell in cells]


def test_the_decimal_separator_is_the_table_s():
    table = read("a;b;c\n1.234;1,5;x\n2.500;2,5;y\n3.125;;x\n")
    assert values(table, "a") == [1234, 2500, 3125] and values(table, "b") == [1.5, 2.5, None] and table.mark == ","
    assert values(read("a;b\n1,234;x\n2,500;y\n"), "a") == [1.234, 2.5]  # between semicolons
    assert values(read('a,b\n"1,234",x\n"2,500",y\n'), "a") == [1234, 2500]
    assert values(read('a,b\n"1,234",1.5\n"2,500",2.5\n', decimal=","), "a") == [1.234, 2.5]
    assert values(read("a;b\n0,5;x\n1,0;y\n0,5;x\n"), "a") == [0.5, 1.0, 0.5]
    with pytest.raises(UnknownNameError, match="decimal"):
        read("a\n1\n", decimal=";")


def test_numbers_in_floats_notation():
    table = read("a,b,c\n1e-5,0.12345678901234567,+1\n2.5E3,-7.1,2\n,1e300,3\n")
    assert values(table, "a") == [1e-5, 2500.0, None] and values(table, "b") == [0.12345678901234567, -7.1, 1e300]
    assert table["a"].notation.write(1 / 3) == "0.33" and Notation(digits=12).write(1 / 3) == "0.333333333333"
    assert table["b"].notation.digits == 12 and table["c"].notation.write(12.3) == "12"
    artefact = column_of(["0.1", "0.30000000000000004", "0.2", "0.5"])
    assert artefact.notation.write(0.4321) == "0.4" and artefact.values[1] == 0.1 + 0.2
    assert column_of(["0.10000000000000001", "0.30000000000000004", "0.2"]).notation.write(1 / 3) == "0.333333333333"
    assert (
        column_of(["+1", "+2", "10"]).notation.write(123.4) == "123"
        and column_of(["+1.5", "2"]).notation.write(123.44) == "123.4"
    )


# what columns are


def column_of(cells, **how):
    """The column of some cells, beside one of numbers."""
    return read("x,y\n" + "".join(f"{cell},{i + 0.5}\n" for i, cell in enumerate(cells)), header=True, **how)["x"]


@pytest.mark.parametrize(
    ("cells", "kind", "carried"),
    [
        (["a", "b", "a", "b"], "text", ""),
        (["a", "b", "c", "d"], "text", "names or free text: all 4 differ"),
        (["", "NA", "?"], "number", "empty"),
        (["3", "3", "3"], "number", "constant"),
        (["x", "", "x"], "text", "ticked or empty"),
        (["1", "2", "3", "4"], "number", "numbers of the rows"),
        (["2", "3", "4"], "number", ""),
        (["007", "021", "007", "021"], "text", ""),
        (["1582218195625930001", "1582218195625930002"], "identifier", "identifiers"),
        (["2024-01-31", "2024-02-28", ""], "date", ""),
        (["2024-01", "2024-03"], "date", ""),
        (["2024-01-31T10:00:00Z", "2024-01-31T11:30:00Z"], "date", ""),
        ([f"{i + 1}/1/85" for i in range(12)] + [f"{i + 1}/1/86" for i in range(12)], "text", "dates in another form"),
        (["TRUE", "FALSE", "TRUE"], "truth", ""),
        (["2024-01-31 10:00:00 UTC", "2024-01-31 11:30:00 UTC"], "date", ""),
        (["2024-02-30", "2024-02-28"] * 3, "text", ""),
        (["2024-01-31", "2024-02"] * 3, "text", ""),
        (["True", "TRUE", "False"] * 2, "text", ""),
        ([f"{i % 9}.5" for i in range(40)] + ["-"] * 9, "text", ""),
        (
            [f"{i}.25" for i in range(40)] + ["-"] * 9,
            "text",
            "numbers with 1 other text among them: '-' in 9 cells; if it means missing: --missing=-",
        ),
        ([f"n{i % 101}" for i in range(300)], "text", "names or free text: 101 different ones in 300 cells"),
        ([f"n{i % 100}" for i in range(300)], "text", ""),
        ([f"n{i % 30}" for i in range(50)], "text", "names or free text"),
        (["Infinity", "1", "2"], "text", "numbers with 1 other text"),
    ],
)
def test_kinds_of_columns(cells, kind, carried):
    column = column_of(cells)
    assert column.kind == kind and column.carried.startswith(carried) and bool(column.carried) == bool(carried)


def test_other_spellings_among_numbers_stay_and_are_named():
    cells = [str(10 + i % 17) for i in range(38)]
    column = column_of([*cells, "Unknown", "-"])
    assert (
        column.kind == "number"
        and column.others == {"Unknown": 1, "-": 1}
        and not column.missing.any()
        and column.observed.sum() == 38
    )
    assert (
        "Unknown" in column_of([*cells, "Unknown", "Unknown", "-"]).carried
        or column_of([*cells, "Unknown", "Unknown", "-"]).kind == "text"
    )
    assert column_of([*cells, "Unknown", "-"], missing=["Unknown"]).spellings == {"Unknown": 1}
    table = read("x,y\n" + "".join(f"{cell},1.5\n" for cell in [*cells, "Unknown"]) + "3,2\n")
    assert (
        "x: 'Unknown' in 1 cell among numbers, first in line 40, stays as written; if that is missing: "
        "--missing=Unknown" in table.describe()
    )


@pytest.mark.parametrize(
    ("cells", "found"),
    [
        ([*range(1, 30), *[-200] * 3], [-200]),
        ([*range(1, 30), *[9999] * 4], [9999]),
        ([*range(1, 30), 9999], []),
        ([*range(100), *[-1] * 5], [-1]),
        ([-2, -1, 0, 1, 2] * 4, []),
        ([*range(20), *[0] * 9], []),
        ([*range(90), *[99] * 5], []),
        ([*range(10, 30), *[64] * 5], []),
    ],
)
def test_suspicious_numbers_are_pointed_out_and_never_assumed(cells, found):
    column = column_of(list(map(str, cells)))
    assert column.suspicious == found and column.observed.all()
    said = read("x,y\n" + "".join(f"{cell},{cell}\n" for cell in cells), header=True).describe()
    assert all(
        f"{value} is far from all other numbers of x ({cells.count(value)} cells), y (" in said for value in found
    ) and ("far from" in said) == bool(found)


# what is missing


def test_what_is_missing_is_counted_by_spelling():
    table = read("a,b\n1,x\nNA,None\n,y\n?,None\n-999,x\n2,y\n3,x\n")
    assert table["a"].spellings == {"NA": 1, "": 1, "?": 1} and table["b"].spellings == {"None": 2}
    assert "3 missing (1 empty, 1 NA, 1 ?)" in table.describe() or "3 missing (" in table.describe()
    assert "b: None is taken for missing in 2 of 7 cells; if it is an answer: --observed=None" in table.describe()
    table = read("a,b\n1,x\nNA,None\n,y\n?,None\n-999,x\n2,y\n3,x\n", missing=["-999", "y"], observed="None")
    assert table["a"].spellings == {"-999": 1, "NA": 1, "": 1, "?": 1} and values(table, "b") == [
        "x",
        "None",
        None,
        "None",
        "x",
        None,
        "x",
    ]
    assert values(read("a,b\n1.0,x\n-999.0,y\n", missing=[-999]), "a") == [1.0, None]
    with pytest.raises(InputTypeError, match="missing must be texts"):
        read("a\n1\n", missing=[["x"]])


def test_identifiers_keep_every_digit_between_semicolons_too():
    table = read("id;x\n1582218195625930001;1,5\n1582218195625930002;2,5\n;3,5\n")
    assert table["id"].kind == "identifier" and table.to_dict()["id"].tolist() == [
        1582218195625930001,
        1582218195625930002,
        None,
    ]


def test_columns_are_ignored_as_said():
    table = read("a,b,b\n1,2,5\n3,4,7\n5,5,5\n", ignore=["b"])
    assert [column.carried for column in table.columns] == ["", "as said", "as said"] and [
        column.name for column in table.modelled()
    ] == ["a"]
    with pytest.raises(UnknownNameError, match="unknown column 'c'"):
        read("a,b\n1,2\n", ignore="c")


# in Python


def test_values_as_arrays_and_as_a_frame():
    text = "i,x,d,t,s,n\n1,1.5,2024-01-31,TRUE,a,7\n5,,2024-02-28,FALSE,b,\n7,2.5,,,a,9\n2,3,2024-02-28,TRUE,,11\n"
    found = read(text).to_dict()
    assert (
        found["i"].dtype == np.int64
        and found["i"].tolist() == [1, 5, 7, 2]
        and found["d"].dtype == "M8[D]"
        and np.isnat(found["d"][2])
    )
    assert (
        found["t"].tolist() == [True, False, None, True]
        and found["s"].tolist() == ["a", "b", "a", None]
        and np.isnan(found["x"][1])
    )
    assert read("id\n1582218195625930001\n1582218195625930002\n").to_dict()["id"].tolist() == [
        1582218195625930001,
        1582218195625930002,
    ]
    pytest.importorskip("pandas")
    frame = read(text).to_frame()
    assert list(frame.columns) == list("ixdtsn") and str(frame["n"].dtype) == "Int64" and frame["n"].isna().sum() == 1


# files


def packed(suffix: str, data: bytes) -> bytes:
    if suffix == ".gz":
        return gzip.compress(data)
    if suffix == ".xz":
        return lzma.compress(data)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("t.csv", data)
    return stream.getvalue()


@pytest.mark.parametrize("suffix", [".gz", ".xz", ".zip"])
def test_packed_tables(tmp_path, monkeypatch, suffix):
    path = tmp_path / f"t.csv{suffix}"
    data = packed(suffix, b"a,b\n1,2\n3,4\n" * 50)
    path.write_bytes(data)
    assert len(npvae.read_table(path)) == 149
    for cut in (data[:-5], data[: len(data) // 2], data[:7]):
        path.write_bytes(cut)
        with pytest.raises(DataFileError, match="t.csv"):
            npvae.read_table(path)
    monkeypatch.setattr(source, "MOST_UNPACKED", 1000)
    monkeypatch.setattr(source, "LARGEST_RATIO", 5)
    path.write_bytes(packed(suffix, b"a,b\n" + b"0,0\n" * 100_000))
    with pytest.raises(DataFileError, match="unpack to more than 5 times"):
        npvae.read_table(path)


def test_a_zip_of_several_files_is_refused_by_their_names(tmp_path):
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("a.csv", "a\n1\n")
        archive.writestr("b.csv", "b\n1\n")
    with pytest.raises(DataFileError, match="expected a zip with one table, got 2 files \\('a.csv', 'b.csv'\\)"):
        npvae.read_table(tmp_path / "t.zip")


def test_workbooks_and_frames(tmp_path):
    (tmp_path / "t.xlsx").write_bytes(b"PK\x03\x04\x92")
    with pytest.raises(DataFileError, match="t.xlsx: expected a workbook, got a cut or damaged one"):
        npvae.read_table(tmp_path / "t.xlsx")
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    day = pandas.to_datetime
    frame = pandas.DataFrame(
        {
            "a": pandas.array([1, None, 4], "Int64"),
            "b": [0.5, None, 1.5],
            "c": ["x", "y", None],
            "d": day(["2024-01-01", None, "2024-01-03"]),
            "t": day(["2024-01-01 00:00", "2024-01-02 10:30", "2024-01-03 11:00"]),
        },
        index=pandas.Index(["u", "v", "w"], name="key"),
    )
    for suffix, write in ((".parquet", frame.to_parquet), (".feather", frame.reset_index().to_feather)):
        write(tmp_path / f"t{suffix}")
        table = npvae.read_table(tmp_path / f"t{suffix}")
        assert [column.name for column in table.columns] == ["key", "a", "b", "c", "d", "t"] and table[
            "key"
        ].counts == {"u": 1, "v": 1, "w": 1}
        assert values(table, "a") == [1.0, None, 4.0] and table["a"].is_whole and values(table, "b") == [0.5, None, 1.5]
        assert (
            table["d"].unit == "D"
            and table["t"].unit == "s"
            and table["t"].write(table["t"].values[0]) == "2024-01-01 00:00:00"
        )
    with pytest.raises(InputError, match="sheet='a': for .xlsx files"):
        npvae.read_table(tmp_path / "t.parquet", sheet="a")
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataFileError, match="t.parquet"):
        npvae.read_table(tmp_path / "t.parquet")


def test_workbooks_of_several_sheets(tmp_path, capsys):
    """Rows above the names, merged and empty; dates, truth values, times and formulas; the sheet that is read is
    said.
    """
    openpyxl = pytest.importorskip("openpyxl")
    pytest.importorskip("pandas")
    book = openpyxl.Workbook()
    first = book.active
    first.title = "Sales"
    first["A1"] = "Sales of all shops"
    first.merge_cells("A1:E1")
    first.append([])
    first.append(["day", "open", "sold", "share", "shop"])
    days = [dt.datetime(2024, 1, 1 + i) for i in range(20)]
    for i, day in enumerate(days):
        first.append(
            [day if i != 3 else None, i % 4 > 0, i * i if i != 5 else None, 0.25 * i, "north" if i % 2 else "south"]
        )
    first["F3"], first["F4"] = "double", "=2*C4"  # no program has computed it: there is no result to read
    other = book.create_sheet("Time")
    other.append(["at", "n"])
    for i in range(4):
        other.append([dt.time(i, 30), i])
    book.create_sheet("Empty")
    book.save(tmp_path / "t.xlsx")
    table = npvae.read_table(tmp_path / "t.xlsx")
    assert [column.name for column in table.columns][:5] == ["day", "open", "sold", "share", "shop"] and len(
        table
    ) == 20
    assert (
        table["day"].kind == "date"
        and table["day"].unit == "D"
        and table["day"].missing.sum() == 1
        and table["open"].kind == "truth"
    )
    assert (
        table["sold"].is_whole
        and values(table, "sold")[4:7] == [16.0, None, 36.0]
        and table["double"].carried == "empty"
    )
    assert "sheet 'Sales' of 3 (--sheet NAME), 20 rows, 6 columns" in table.describe() and table.form.outside[0] == (
        1,
        "title",
    )
    for sheet in ("Time", 2, "2"):
        assert values(npvae.read_table(tmp_path / "t.xlsx", sheet=sheet), "n") == [0.0, 1.0, 2.0, 3.0]
    with pytest.raises(UnknownNameError, match="unknown sheet 4; known: 'Sales', 'Time', 'Empty'"):
        npvae.read_table(tmp_path / "t.xlsx", sheet=4)
    with pytest.raises(
        DataFileError, match="expected a table in sheet 'Empty', which is empty; the sheets are 'Sales'"
    ):
        npvae.read_table(tmp_path / "t.xlsx", sheet="Empty")
    quick = ["--members", "1", "--epochs", "1", "--backend", "numpy"]
    assert main(["impute", str(tmp_path / "t.xlsx"), "--out", str(tmp_path / "o.csv"), *quick]) == 0
    said, lines = capsys.readouterr().out, (tmp_path / "o.csv").read_text().splitlines()
    assert (
        "read sheet 'Sales' of 3 (--sheet NAME)" in said
        and lines[0].startswith("Sales of all shops,")
        and len(lines) == 23
    )
    assert (
        lines[3].startswith("2024-01-01,False,0,0,south")
        and lines[6].startswith("2024-01-")
        and lines[8].split(",")[2].isdecimal()
    )


# hostile texts


@pytest.mark.parametrize(
    "text",
    [
        '"' * 100_001,
        '"a,' * 20_001,
        '"a",' * 10_000 + "\n",
        'x"' * 100_000,
        '"",' * 50_000 + '"',
        "," * 20_000 + "\n",
        " " * 1_000_000,
        "\n" * 1_000_000 + "1\n",
        "a" * 1_000_000,
        ",".join(["a"] * 3000) + "\n" + "1," * 3000,
        "1" * 1_000_000 + ",2\n",
        "# " * 20_000,
        "#\n" * 100_000,
        ('"' + "\n" * 50 + '",') * 2000,
        "\ufeff\ufeff\n\x0b\x0c\x1c",
        "1,000" * 5_000,
        ("1 " * 50 + "x,") * 200 + "\n",
        "-\n" * 1000,
        "9" * 400 + "\n1e999\n",
        "NA\n" * 100,
        ("jan " * 50_000 + "x\n") * 3 + "y\n" * 3,
        "z" * 100_000 + ",b\n1,2\n3,4\n",
        "1\r" * 1000,
        " 1" * 1000 + "\n" + "\t2" * 999,
    ],
    ids=range(24),
)
def test_whatever_the_text_is_it_is_a_table_or_one_message(text):
    """In bounded time: each of these takes long where something is looked at again and again."""
    for data in (text.encode(), text.encode("utf-16")):
        try:
            table = read(data)
        except NpvaeError as error:
            assert len(str(error)) < 1000
        else:
            assert len(table.describe()) < 1000 + 200 * len(table.columns)


def test_too_many_columns_are_refused(monkeypatch):
    monkeypatch.setattr(form, "MOST_COLUMNS", 10)
    with pytest.raises(DataFileError, match="line 1 has 11 columns, more than 10"):
        read(",".join("1" * 11) + "\n")


@pytest.mark.parametrize(
    "cell", [b"x", b"1", b" ", b"-", b"jan ", b"1.", b"$", b'"', b'""', b"a1", b"\xe9", b"\xb0\xa1", b"\x83\x41"]
)
def test_reading_takes_time_in_proportion_to_a_cell(tmp_path, cell):
    """A cell of two million bytes in a table with a byte that is not UTF-8: what takes its square takes hours."""
    (tmp_path / "long.csv").write_bytes(b"a,b\n1,\xe9t\n" + b"2," + cell * (2_000_000 // len(cell)) + b"\n3,c\n")
    program = (
        "import npvae, sys\ntry: print(len(npvae.read_table(sys.argv[1]).describe()) > 0)\n"
        "except npvae.NpvaeError as error: print(error)"
    )
    said = processes.run([sys.executable, "-c", program, tmp_path / "long.csv"], cpu_seconds=30.0, check=True)
    assert said.stdout.strip()
