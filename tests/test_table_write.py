"""Tables given back: with nothing filled in the same bytes; with cells filled in, those spans alone are others."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import zipfile

import numpy as np
import pytest
from test_table_read import read

import npvae
from npvae.cli import main
from npvae.data.tables.table import Selection
from npvae.data.tables.write import fill, write_table
from npvae.support.files import Stream

QUICK = ["--members", "1", "--epochs", "2", "--backend", "numpy", "--quiet"]


def random_table(generator) -> tuple[bytes, list[list[str]], dict]:
    """A table in some encoding, separator, quoting and line end: its bytes, its cells, and how it was made."""
    encoding = generator.choice(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252", "gb18030"])
    separator, end = generator.choice([",", ";", "\t", "|"]), generator.choice(["\n", "\r\n", "\r"])
    words = {"cp1252": ["rosé", "café", "brûlé"], "gb18030": ["红色", "蓝色", "绿色"]}.get(
        str(encoding), ["rosé", "中文", "a b"]
    )
    mark = "," if separator != "," and generator.random() < 0.3 else "."
    rows = []
    for _ in range(int(generator.integers(8, 30))):
        number = f"{generator.normal(20, 5):.2f}".replace(".", mark)
        rows.append(
            [
                str(generator.choice(words)),
                number,
                f"{generator.integers(100, 999)}",
                f"2024-{generator.integers(1, 12):02d}-11",
            ]
        )
    gone = [(int(generator.integers(len(rows))), int(generator.integers(4))) for _ in range(6)]
    for row, column in gone:
        rows[row][column] = str(generator.choice(["", "NA", "?"]))
    lines = []
    for row in rows:
        cells = [f'"{cell}"' if generator.random() < 0.2 else cell for cell in row]
        lines.append(separator.join(f" {cell} " if generator.random() < 0.1 else cell for cell in cells))
    lines.insert(int(generator.integers(len(lines))), "") if generator.random() < 0.3 else None
    title = ["the café's table" if encoding != "gb18030" else "表"] if generator.random() < 0.3 else []
    text = end.join([*title, separator.join(["color", "x", "n", "day"]), *lines]) + (
        end if generator.random() < 0.7 else ""
    )
    return text.encode(str(encoding)), rows, {"separator": separator, "mark": mark, "encoding": str(encoding)}


@pytest.mark.parametrize("seed", range(60))
def test_only_the_cells_filled_in_are_others(seed):
    data, rows, made = random_table(np.random.default_rng(seed))
    table = read(data)
    assert table.decoded.encode(fill(table, [], np.empty((len(table), 0)))) == data
    assert (len(table), table.form.cells.separator) == (len(rows), made["separator"])
    names, missing = ["color", "x", "n", "day"], [[cell in ("", "NA", "?") for cell in row] for row in rows]
    assert [[bool(table[name].missing[i]) for name in names] for i in range(len(rows))] == missing
    columns = [table[name] for name in names]
    fills = {
        "color": next(row[0] for row, gone in zip(rows, missing, strict=True) if not gone[0]),
        "x": 7.126,
        "n": 42.4,
        "day": 19500.2,
    }
    filled = np.tile(np.array([fills[name] for name in names], object), (len(rows), 1))
    written = {"color": fills["color"], "x": f"7{made['mark']}13", "n": "42", "day": "2023-05-23"}
    text, expected = table.decoded.text, b""
    at = 0
    for i in range(len(rows)):
        for j, name in enumerate(names):
            if missing[i][j]:
                (start,), (end,) = table.form.spans(np.array([i]), j)
                expected += text[at:start] + written[name].encode()
                at = int(end)
    expected += text[at:]
    assert fill(table, columns, filled) == expected
    again = read(table.decoded.encode(expected))
    assert [column.missing.any() for column in again.columns] == [False] * 4


def filled(text, values, **how) -> str:
    """The text with some values in the missing cells of its columns, in order."""
    table = read(text, **how)
    columns = [table[name] for name in values]
    array = np.tile(np.array([*values.values()], object), (len(table), 1))
    return table.decoded.encode(fill(table, columns, array)).decode()


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ('a,b\n"1.5",x\n"",y\n"2.25",x\n', {"a": 3.14159}, 'a,b\n"1.5",x\n"3.14",y\n"2.25",x\n'),
        ('a,b\n"1.5",x\n,y\n"2.5",x\n', {"a": 3}, 'a,b\n"1.5",x\n"3.0",y\n"2.5",x\n'),
        (
            's,b\n"x, ""y""",1\n,2\n"x, ""y""",3.5\n',
            {"s": 'x, "y"'},
            's,b\n"x, ""y""",1\n"x, ""y""",2\n"x, ""y""",3.5\n',
        ),
        ('p,b\n"1,5",x\n,y\n"2,0",x\n', {"p": 1.25}, 'p,b\n"1,5",x\n"1,2",y\n"2,0",x\n'),
        ("a b\nx 1\nNA 2\nx 3.5\n", {"a": "x"}, "a b\nx 1\nx 2\nx 3.5\n"),
        ("a,b,c\n1,2,3\n4\n5,6\n7,8,10\n", {"b": 9, "c": 9}, "a,b,c\n1,2,3\n4,9,9\n5,6,9\n7,8,10\n"),
        ("a,b,c\n1,2,3\n4\n5,6,9\n7,8,10\n", {"c": 9}, "a,b,c\n1,2,3\n4,,9\n5,6,9\n7,8,10\n"),
        ("# note\na,b\n1,x\n,y\n3,x", {"a": 2.0}, "# note\na,b\n1,x\n2,y\n3,x"),
        ("t\n\nTRUE\nFALSE\nNA\nTRUE\n", {"t": False}, "t\n\nTRUE\nFALSE\nFALSE\nTRUE\n"),
        (
            "d,b\n2024-01-31 10:00,1\n,2\n2024-01-31 11:30,3.5\n",
            {"d": 28445000.0 * 60},
            "d,b\n2024-01-31 10:00,1\n2024-01-31 11:20,2\n2024-01-31 11:30,3.5\n",
        ),
        (
            "d,b\n2024-01-31 10:00:00 UTC,1\n,2\n2024-01-31 11:30:00 UTC,3.5\n",
            {"d": 28445000.0 * 60},
            "d,b\n2024-01-31 10:00:00 UTC,1\n2024-01-31 11:20:00 UTC,2\n2024-01-31 11:30:00 UTC,3.5\n",
        ),
        ("d,b\n2024-01,1\n,2\n2024-03,3.5\n", {"d": 649.2}, "d,b\n2024-01,1\n2024-02,2\n2024-03,3.5\n"),
        ("a,b\n1.50,x\n2.00,y\n,x\n", {"a": 3.0}, "a,b\n1.50,x\n2.00,y\n3.00,x\n"),
        ("a,b\n1.5,x\n2,y\n,x\n", {"a": 3.0}, "a,b\n1.5,x\n2,y\n3,x\n"),
        ("a;b\n-1,5;x\n2;y\n;x\n", {"a": -0.01}, "a;b\n-1,5;x\n2;y\n0;x\n"),
        # Blanks around cells are none of theirs, and stay; a code is a text, whatever number it looks like.
        (
            "code , x\n 03,NA \n3 , 1.50\n03,\n,2.00\n",
            {"code": "03", "x": 1.5},
            "code , x\n 03,1.50 \n3 , 1.50\n03,1.50\n03,2.00\n",
        ),
    ],
)
def test_cells_are_written_as_their_column_is(text, values, expected):
    assert filled(text, values) == expected


@pytest.mark.parametrize("suffix", [".gz", ".xz", ".zip"])
def test_tables_are_packed_as_the_suffix_says(tmp_path, suffix):
    table = read("a,b\n1,x\n,y\n")
    write_table(tmp_path / f"o.csv{suffix}", table, [table["a"]], np.array([[0], [5.0]]))
    data = (tmp_path / f"o.csv{suffix}").read_bytes()
    if suffix == ".zip":
        archive = zipfile.ZipFile(io.BytesIO(data))
        assert archive.namelist() == ["o.csv"] and archive.read("o.csv") == b"a,b\n1,x\n5,y\n"
    else:
        assert (gzip.decompress if suffix == ".gz" else lzma.decompress)(data) == b"a,b\n1,x\n5,y\n"
    assert npvae.read_table(tmp_path / f"o.csv{suffix}")["a"].values.tolist() == [1, 5]


def test_a_selection_is_what_models_take():
    table = read("x,s,t,d\n1.5,a,TRUE,2024-01-01\n,b,,2024-01-03\n2.5,,FALSE,\n1,a,TRUE,2024-01-01\n")
    cells = np.asarray(Selection(table.columns))
    assert cells.tolist() == [
        [1.5, "a", True, 19723.0],
        [None, "b", None, 19725.0],
        [2.5, None, False, None],
        [1.0, "a", True, 19723.0],
    ]
    assert np.asarray(Selection([table["x"]])).dtype == np.float64
    assert np.asarray(Selection([table["x"]], ["x"]))[:, 0].tolist() == ["1.5", None, "2.5", "1"]


# the command line


def run(capsys, *arguments) -> tuple[int, str, str]:
    code = main(list(map(str, arguments)))
    said = capsys.readouterr()
    return code, said.out, said.err


TABLE = "id;share;day;kind;note\n" + "".join(
    f"P{i:03d};{'' if i % 7 == 3 else f'{20 + 7 * np.sin(i):.1f}'.replace('.', ',') + '%'};"
    f"{'' if i % 9 == 4 else f'2024-01-{1 + i % 28:02d}'};"
    f"{'' if i % 8 == 5 else 'xyz'[i % 3]};{'tick' if i % 5 == 0 else ''}\n"
    for i in range(60)
)


def test_a_file_comes_back_with_only_its_gaps_filled(tmp_path, capsys):
    (tmp_path / "t.csv").write_bytes(b"\xef\xbb\xbf" + TABLE.replace("\n", "\r\n").encode())
    code, said, error = run(
        capsys, "impute", tmp_path / "t.csv", "--out", tmp_path / "o.csv", "--report", tmp_path / "r.json", *QUICK[:-1]
    )
    assert code == 0, error
    assert (
        "carried as they are: id (names or free text: all 60 differ, such as 'P000'), note (ticked or empty: 'tick' "
        "and nothing else)" in said
    )
    before, after = (tmp_path / "t.csv").read_bytes(), (tmp_path / "o.csv").read_bytes()
    assert after.startswith(b"\xef\xbb\xbfid;") and after.count(b"\r\n") == before.count(b"\r\n") == after.count(b"\n")
    for a, b in zip(before.decode().split("\r\n"), after.decode().split("\r\n"), strict=True):
        for j, (old, new) in enumerate(zip(a.split(";"), b.split(";"), strict=True)):
            assert old == new or (old == "" and j in (1, 2, 3) and new)
    shares = [line.split(";")[1] for line in after.decode().split("\r\n")[1:-1]]
    assert all(share.endswith("%") and share[-3] == "," for share in shares)
    found = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert [column["kind"] for column in found["columns"]] == ["text", "number", "date", "text", "text"] and found[
        "columns"
    ][1]["missing"] == 9


def test_a_table_through_standard_input_and_output(tmp_path, capsysbinary, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(TABLE.encode())))
    assert main(["impute", "-", "--out", "-", *QUICK]) == 0
    assert capsysbinary.readouterr().out.count(b"\n") == TABLE.count("\n")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a,b\n1,2\n")))
    assert main(["table", "-"]) == 0


def test_the_table_command_says_what_was_read(tmp_path, capsys):
    (tmp_path / "t.csv").write_bytes("Größen\na;b;c\n1,5;NA;x\n2,5;3;y\n;4;x\n".encode("cp1252"))
    code, said, _ = run(capsys, "table", tmp_path / "t.csv")
    assert code == 0
    for words in (
        "3 rows, 3 columns; cp1252",
        "--encoding",
        "separator ';'",
        "names in line 2",
        "title: line 1",
        "1.5 to 2.5; decimal ','; 1 missing (empty)",
        "1 missing (NA)",
    ):
        assert words in said
    code, said, error = run(capsys, "table", tmp_path / "t.csv", "--data", "x.csv")
    assert code == 2 and "--data is given twice" in error
    assert run(capsys, "table")[0] == 2


@pytest.mark.parametrize(
    ("text", "more", "words"),
    [
        ("a,b\n1,2\n3,4\n5,6,7\n", [], "line 4 has 3 columns"),
        ("a,b\nx,u\ny,v\nz,w\n", [], "no column can be modelled: a (names or free text: all 3 differ"),
        ("", [], "empty file"),
        ("a,b\n", [], "only the header row"),
        ("a,b\n1,2\n3,\n", ["--ignore", "c"], "unknown column 'c'"),
        ("a,b\n1,2\n3,\n", ["--encoding", "klingon"], "--encoding='klingon' is not known"),
        ("a\n\n\n", [], "only the header row"),
        ("id,h,w\n,cm,kg\nx,1,2\ny,3,4\nz,5,\n", [], "--header-rows=2"),
        ("NA,NA\nNA,NA\n", [], "no column can be modelled: 0 (empty), 1 (empty)"),
        ("a,b\n1,2\n3,\n4,4\n", ["--separator", ";;"], "separator must be one character"),
        ('a,b\n1,"2\n3,\n', [], "line 2: the quote that opens here"),
    ],
)
def test_tables_that_are_none_are_one_message(tmp_path, capsys, text, more, words):
    (tmp_path / "t.csv").write_text(text)
    code, _, error = run(capsys, "impute", "--data", tmp_path / "t.csv", "--out", tmp_path / "o.csv", *more, *QUICK)
    assert code == 2 and words in error and error.count("\n") == 1
    assert not (tmp_path / "o.csv").exists() and (tmp_path / "t.csv").read_text() == text


def test_a_model_takes_the_columns_by_name(tmp_path, capsys):
    rows = [(i % 3, 10 + i % 3 + 0.1 * (i % 7), "uv"[i % 2]) for i in range(40)]
    (tmp_path / "t.csv").write_text(
        "a,b,c\n" + "".join(f"{a + 2},{'' if i == 5 else f'{b:.1f}'},{c}\n" for i, (a, b, c) in enumerate(rows))
    )
    (tmp_path / "u.csv").write_text("z,c,b,a\nn1,u,,3\nn2,,11.5,2\n")
    assert (
        run(capsys, "impute", tmp_path / "t.csv", "--out", tmp_path / "o.csv", "--save", tmp_path / "m.npz", *QUICK)[0]
        == 0
    )
    code, _, error = run(
        capsys,
        "impute",
        tmp_path / "u.csv",
        "--out",
        tmp_path / "o2.csv",
        "--model",
        tmp_path / "m.npz",
        "--backend",
        "numpy",
        "--quiet",
    )
    assert code == 0, error
    lines = (tmp_path / "o2.csv").read_text().split("\n")
    assert lines[0] == "z,c,b,a" and lines[1].startswith("n1,u,1") and lines[2] in ("n2,u,11.5,2", "n2,v,11.5,2")
    (tmp_path / "u.csv").write_text("z,c\nn1,u\n")
    code, _, error = run(
        capsys,
        "impute",
        tmp_path / "u.csv",
        "--out",
        tmp_path / "o3.csv",
        "--model",
        tmp_path / "m.npz",
        "--backend",
        "numpy",
    )
    assert code == 2 and "the columns should be those of the fitted table: 'a', 'b' missing" in error


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch, capsys):
    (tmp_path / "t.csv").write_text(TABLE)
    (tmp_path / "o.csv").write_text("old")

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("npvae.support.files.os.fsync", full)
    code, _, error = run(capsys, "impute", tmp_path / "t.csv", "--out", tmp_path / "o.csv", *QUICK)
    assert (
        code == 2
        and "No space left" in error
        and (tmp_path / "o.csv").read_text() == "old"
        and sorted(p.name for p in tmp_path.iterdir()) == ["o.csv", "t.csv"]
    )


def test_a_stream_without_a_suffix_is_not_packed(tmp_path, capsysbinary):
    table = read("a,b\n1,x\n,y\n")
    write_table(Stream("-", ".csv"), table, [table["a"]], np.array([[0], [5.0]]))
    assert capsysbinary.readouterr().out == b"a,b\n1,x\n5,y\n"


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["007", "1E2", "7"], "class,p(007),p(1E2),p(7)"),
        (["-1", "0", "+1"], "class,p(+1),p(-1),p(0)"),
        (["-1", "0", "1"], "class,p(0),p(1)"),
        (["a", "NA", "b"], "class,p(a),p(b)"),
        (["0", "1", ""], "class,p(0),p(1)"),
    ],
)
def test_labels_stay_as_written(tmp_path, capsys, labels, classes):
    generator = np.random.default_rng(0)
    rows = [f"{generator.normal(i % 3):.3f},{generator.normal():.3f},{labels[i % 3]}" for i in range(60)]
    (tmp_path / "t.csv").write_text("a,b,y\n" + "\n".join(rows) + "\n")
    quick = ["--epochs", "1", "--backend", "numpy", "--latent-dim", "2", "--hidden", "4"]
    code, said, error = run(
        capsys, "classify", tmp_path / "t.csv", "--label-column", "y", "--out", tmp_path / "c.csv", *quick
    )
    assert code == 0, error
    assert (tmp_path / "c.csv").read_text().split("\n")[0] == classes
    if labels == ["-1", "0", "1"]:
        assert "without: 20 of -1 (if that is a class: --observed=-1)" in said
    if labels == ["a", "NA", "b"]:
        assert "without: 20 missing" in said
        code, said, error = run(
            capsys,
            "classify",
            tmp_path / "t.csv",
            "--label-column",
            "y",
            "--out",
            tmp_path / "c.csv",
            "--observed",
            "NA",
            "--save",
            tmp_path / "m.npz",
            *quick,
        )
        assert code == 0 and (tmp_path / "c.csv").read_text().startswith("class,p(NA),p(a),p(b)")
        assert (
            run(
                capsys,
                "classify",
                tmp_path / "t.csv",
                "--label-column",
                "y",
                "--out",
                tmp_path / "c.csv",
                "--observed",
                "NA",
                "--model",
                tmp_path / "m.npz",
                "--backend",
                "numpy",
            )[0]
            == 0
        )
