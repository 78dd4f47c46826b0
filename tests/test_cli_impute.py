"""``npvae impute``: tables in files."""

import csv

import numpy as np
import pytest

from npvae.cli import main
from npvae.errors import TrainingInterrupted
from npvae.tables import TableImputer

QUICK = ["--members", "1", "--epochs", "10", "--backend", "numpy"]

TABLE = """name of town;height;smokes;children;price
A;1.50;yes;0;10.0
B;;no;1;2.0e1
A;1.75;?;2;30
;1.25;no;NA;40
B;1.60;yes;3;null
A;1.70;yes;1;35.5
B;1.40;no;0;12
B;1.45;no;2;
A;1.65;yes;1;33
"""


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(TABLE)
    return path


def cells(path, delimiter=";"):
    with open(path, newline="") as file:
        return list(csv.reader(file, delimiter=delimiter))


def test_a_table_of_names_and_numbers(table, tmp_path, capsys):
    out, intervals, model = tmp_path / "filled.csv", tmp_path / "intervals.csv", tmp_path / "imputer.npz"
    assert main([
        "impute", "--data", str(table), "--out", str(out), "--draws", "3", "--intervals", str(intervals), "--save", str(model),
        "--kind", "price=positive", *QUICK,
    ]) == 0
    printed = capsys.readouterr().out
    for words in (
        "9 rows, 5 columns, names in the first row; 6 cells filled in", "price: positive, 2 missing (1 empty, 1 null)",
        "name of town: binary (A, B), 1 missing (empty)",
    ):
        assert words in printed
    before, after = cells(table), cells(out)
    assert table.read_text() == TABLE
    for old, new in zip(before, after, strict=True):
        for a, b in zip(old, new, strict=True):
            assert a == b or (a in ("", "?", "NA", "null") and b not in ("", "?", "NA", "null", "nan"))
    assert after[4][0] in ("A", "B") and after[3][2] in ("yes", "no") and float(after[5][4]) > 0
    assert [cells(tmp_path / f"filled-{i}.csv")[0] for i in (1, 2, 3)] == [before[0]] * 3
    ends = cells(intervals, ",")
    assert ends[0][2:4] == ["height low", "height high"] and ends[1][0] == ends[1][1] == ""
    assert float(ends[2][2]) < float(ends[2][3]) and float(ends[1][2]) == float(ends[1][3]) == 1.5
    again = tmp_path / "again.csv"
    assert main([
        "impute", "--data", str(table), "--out", str(again), "--model", str(model), "--backend", "numpy", "--quiet",
    ]) == 0
    assert again.read_text() == out.read_text() and capsys.readouterr().out == ""


def test_numbers_in_numpy_files(tmp_path, rng):
    x = rng.standard_normal((40, 3))
    x[rng.random(x.shape) < 0.2] = np.nan
    np.save(tmp_path / "x.npy", x)
    assert main(["impute", "--data", str(tmp_path / "x.npy"), "--out", str(tmp_path / "y.npy"), *QUICK, "--quiet"]) == 0
    y = np.load(tmp_path / "y.npy")
    np.testing.assert_array_equal(y[~np.isnan(x)], x[~np.isnan(x)])
    assert np.isfinite(y).all()


@pytest.mark.parametrize(("arguments", "words"), [
    (["--out", "table.csv"], "is read from; choose another name, or say --overwrite"), (["--out", "x.npy"], "of the kind of --data"),
    (["--out", "x.xlsx"], "end in .csv or"), (["--out", "nowhere/x.csv"], "does not exist"), (["--out", "folder.csv"], "is a folder"),
    (["--out", "x.csv", "--intervals", "folder.csv"], "is a folder"), (["--out", "x.csv", "--kind", "price"], "COLUMN=KIND"),
    (["--out", "x.csv", "--kind", "prize=counts"], "'prize'"), (["--out", "x.csv", "--kind", "price=count"], "kind of column"),
    (["--out", "x.csv", "--kind", "smokes=continuous"], "the text 'yes' in line 2"), (["--out", "x.csv", "--draws", "-1"], "--draws"),
    (["--out", "x.csv", "--intervals", "x.csv"], "written twice"), (["--out", "x.csv", "--save", "x.csv"], "written twice"),
    (["--out", "x.csv", "--overwrite", "--intervals", "table.csv"], "is read from"),
    (["--out", "x.csv", "--model", "m.npz", "--save", "n.npz"], "leave out --save"), (["--out", "x.csv", "--model", "m.npz"], "--members"),
])
def test_bad_usage_is_one_line_and_nothing_is_lost(table, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(table.parent)
    (table.parent / "folder.csv").mkdir()
    assert main(["impute", "--data", "table.csv", *arguments, *QUICK]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1
    assert table.read_text() == TABLE and not (table.parent / "x.csv").exists()


def test_what_is_no_imputer_and_what_numpy_files_have_no_place_for(table, tmp_path, capsys):
    assert main(["impute", "--data", str(table), "--out", str(tmp_path / "o.csv"), "--model", str(table)]) == 2
    assert "table.csv holds text, but --model of 'npvae impute' needs a TableImputer" in capsys.readouterr().err
    np.save(tmp_path / "x.npy", np.zeros((3, 2)))
    assert main(["impute", "--data", str(tmp_path / "x.npy"), "--out", str(tmp_path / "y.npy"), "--missing", "-"]) == 2
    assert "text tables" in capsys.readouterr().err


def test_labels_beside_numbers_are_kept(tmp_path, rng):
    x, y = rng.standard_normal((40, 2)), np.arange(40)
    x[0, 0] = np.nan
    np.savez(tmp_path / "d.npz", x=x, y=y)
    assert main(["impute", "--data", str(tmp_path / "d.npz"), "--out", str(tmp_path / "o.npz"), *QUICK, "--quiet"]) == 0
    with np.load(tmp_path / "o.npz") as found:
        np.testing.assert_array_equal(found["y"], y)
        assert np.isfinite(found["x"]).all()


def test_ctrl_c_is_said_and_the_exit_code_tells(table, tmp_path, capsys, monkeypatch):
    fit = TableImputer.fit

    def interrupted(self, table, **more):
        fit(self, table, **more)
        self.members = 5
        raise TrainingInterrupted("training interrupted", self)

    monkeypatch.setattr(TableImputer, "fit", interrupted)
    assert main(["impute", "--data", str(table), "--out", str(tmp_path / "o.csv"), *QUICK, "--quiet"]) == 130
    assert "interrupted at model 1 of 5" in capsys.readouterr().err and (tmp_path / "o.csv").exists()


def test_the_file_s_own_input_may_be_overwritten_if_asked_for(table):
    assert main(["impute", "--data", str(table), "--out", str(table), "--overwrite", "--quiet", *QUICK]) == 0
    assert cells(table)[0] == TABLE.splitlines()[0].split(";") and "?" not in table.read_text()


def test_codes_keep_their_spelling_and_files_their_delimiters(tmp_path, rng):
    rows = ["\ufeffcode\tsize"]
    for i in range(60):
        rows.append(f"{'' if i % 7 == 0 else f'0{i % 3 + 1}'}\t{i % 3 + 0.1 * rng.standard_normal():.3f}")
    (tmp_path / "t.tsv").write_text("\n".join(rows), encoding="utf-8")
    assert main([
        "impute", "--data", str(tmp_path / "t.tsv"), "--out", str(tmp_path / "o.tsv"), "--kind", "code=categorical", "--quiet", *QUICK,
    ]) == 0
    found = cells(tmp_path / "o.tsv", "\t")
    assert found[0] == ["\ufeffcode", "size"] and {row[0] for row in found[1:]} == {"01", "02", "03"}
