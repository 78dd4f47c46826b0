"""``npvae impute``: tables in files."""

import csv
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from small import grey_rows

from npvae import SemiSupervisedVAE
from npvae.cli import impute, main, parse
from npvae.errors import InputError, TrainingInterrupted
from npvae.estimators.tables import TableImputer

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
    assert (
        main(
            [
                "impute",
                "--data",
                str(table),
                "--out",
                str(out),
                "--draws",
                "3",
                "--intervals",
                str(intervals),
                "--save",
                str(model),
                "--kind",
                "price=positive",
                *QUICK,
            ]
        )
        == 0
    )
    printed = capsys.readouterr().out
    for words in (
        "9 rows, 5 columns, names in line 1; 6 cells filled in",
        "price: positive, 2 missing (1 empty, 1 null)",
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
    assert ends[0][:4] == ["name of town set", "height low", "height high", "smokes set"] and ends[4][0] in (
        "A",
        "B",
        "A | B",
        "B | A",
    )
    assert (
        float(ends[2][1]) < float(ends[2][2])
        and float(ends[1][1]) == float(ends[1][2]) == 1.5
        and ends[1][0] == before[1][0]
    )
    again = tmp_path / "again.csv"
    assert (
        main(
            [
                "impute",
                "--data",
                str(table),
                "--out",
                str(again),
                "--model",
                str(model),
                "--backend",
                "numpy",
                "--quiet",
            ]
        )
        == 0
    )
    assert again.read_text() == out.read_text() and capsys.readouterr().out == ""


def test_numbers_in_numpy_files(tmp_path, rng):
    x = rng.standard_normal((40, 3))
    x[rng.random(x.shape) < 0.2] = np.nan
    np.save(tmp_path / "x.npy", x)
    assert main(["impute", "--data", str(tmp_path / "x.npy"), "--out", str(tmp_path / "y.npy"), *QUICK, "--quiet"]) == 0
    y = np.load(tmp_path / "y.npy")
    np.testing.assert_array_equal(y[~np.isnan(x)], x[~np.isnan(x)])
    assert np.isfinite(y).all()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--out", "table.csv"], "is read from; choose another name, or say --overwrite"),
        (["--out", "x.npy"], "of the kind of --data"),
        (["--out", "x.xlsx"], "end in .csv or"),
        (["--out", "nowhere/x.csv"], "does not exist"),
        (["--out", "folder.csv"], "is a folder"),
        (["--out", "x.csv", "--intervals", "folder.csv"], "is a folder"),
        (["--out", "x.csv", "--kind", "price"], "COLUMN=KIND"),
        (["--out", "x.csv", "--kind", "prize=counts"], "'prize'"),
        (["--out", "x.csv", "--kind", "price=count"], "kind of column"),
        (["--out", "x.csv", "--kind", "smokes=continuous"], "the text 'yes' in line 2"),
        (["--out", "x.csv", "--draws", "-1"], "--draws"),
        (["--out", "x.csv", "--intervals", "x.csv"], "written twice"),
        (["--out", "x.csv", "--save", "x.csv"], "written twice"),
        (["--out", "x.csv", "--overwrite", "--intervals", "table.csv"], "is read from"),
        (["--out", "x.csv", "--model", "m.npz", "--save", "n.npz"], "leave out --save"),
        (["--out", "x.csv", "--model", "m.npz"], "--members"),
    ],
)
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
    assert (
        main(
            [
                "impute",
                "--data",
                str(tmp_path / "t.tsv"),
                "--out",
                str(tmp_path / "o.tsv"),
                "--kind",
                "code=categorical",
                "--quiet",
                *QUICK,
            ]
        )
        == 0
    )
    found = cells(tmp_path / "o.tsv", "\t")
    assert found[0] == ["\ufeffcode", "size"] and {row[0] for row in found[1:]} == {"01", "02", "03"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (-3.0, "-3"),
        (1600000123.5, "1600000123.5"),
        (1e20, "1e+20"),
        ("a b", "a b"),
        (999999999999999.0, "999999999999999"),
        (1e15, "1e+15"),
        (-1e15, "-1e+15"),
        (np.inf, "inf"),
        (-np.inf, "-inf"),
        (np.float32(0.5), "0.5"),
        (np.float64(3), "3"),
        (1 / 3, "0.333333333333"),
        (0.0, "0"),
        ("", ""),
    ],
)
def test_ends_of_intervals_and_values_as_text(value, text):
    assert impute._as_text(value) == text


# its steps, one by one, without training


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--out o.csv", "--data is required; see 'npvae impute --help'"),
        ("--data t.csv", "--out is required; see 'npvae impute --help'"),
        ("--data t.csv --out o.tsv", None),
        ("--data t.csv --out -", None),
        ("--data X.NPY --out o.npz", None),
        ("--data t.tsv --out o.CSV", None),
        (
            "--data t.csv --out o.npy",
            "--out o.npy must be of the kind of --data t.csv, and end in .csv or .tsv or .tab or .txt or .dat or .data "
            "or .gz or .xz or .zip",
        ),
        ("--data X.NPY --out o.csv", "--out o.csv must be of the kind of --data X.NPY, and end in .npy or .npz"),
        (
            "--data t.csv --out - --draws 1",
            "--draws writes files beside --out, but --out - is a stream: give it a name",
        ),
        ("--data t.csv --out - --draws 0", None),
        ("--data t.csv --out o.tsv --draws 2 --intervals i.csv --save s.npz --checkpoint c.npz", None),
        ("--data t.csv --out m.csv --draws 1", None),
        ("--data t.csv --out m.csv --draws 2", "--draws m-2.csv holds a model of npvae"),
        ("--data t.csv --out o.csv --intervals i.txt", "--intervals i.txt must end in .csv"),
        ("--data t.csv --out o.csv --save s.csv", "--save s.csv must end in .npz"),
        ("--data t.csv --out o.csv --checkpoint c.csv", "--checkpoint c.csv must end in .npz"),
        ("--data t.csv --out o.csv --draws 2 --intervals i.txt", "--intervals i.txt must end in .csv"),
        (
            "--data t.csv --out o.csv --save m.npz",
            "--save m.npz holds a model of npvae, which is not written over; choose another name, or say --overwrite",
        ),
        ("--data t.csv --out o.csv --save m.npz --overwrite", None),
        ("--data t.csv --out o.csv --save m.npz --resume", None),
        (
            "--data t.csv --out o.csv --checkpoint m.npz --overwrite",
            "--checkpoint m.npz holds a model of npvae, not a checkpoint",
        ),
        (
            "--data t.csv --out t.csv",
            "--out t.csv is the file of --data: t.csv is read from; choose another name, or say --overwrite",
        ),
        ("--data t.csv --out t.csv --overwrite", None),
        ("--data t.csv --out t.csv --overwrite --resume", None),
        (
            "--data t.csv --out t.csv --resume",
            "--out t.csv is the file of --data: t.csv is read from; choose another name",
        ),
        (
            "--data t.csv --out o.csv --overwrite --intervals t.csv",
            "--intervals t.csv is the file of --data: t.csv is read from; choose another name",
        ),
        ("--data t.csv --out o.csv --model m.npz --intervals i.csv --draws 3", None),
        *(
            (
                f"--data t.csv --out o.csv --model m.npz {more}",
                "--model uses a trained imputer as it is; leave out --save, --kind, --members and --epochs",
            )
            for more in ("--save s.npz", "--kind a=counts", "--members 2", "--epochs 2")
        ),
        ("--data X.NPY --out o.npy --header no", "--header: for text tables, not for X.NPY"),
        ("--data X.NPY --out o.npy --missing=-", "--missing: for text tables, not for X.NPY"),
        ("--data X.NPY --out o.npy --report r.txt", "--report: for text tables, not for X.NPY"),
        (
            "--data X.NPY --out o.npy --header-rows 2 --missing=- --report r.txt",
            "--header-rows, --missing, --report: for text tables, not for X.NPY",
        ),
        ("--data t.csv --out o.csv --header yes --missing=-", None),
        ("--data t.csv --out o.csv.gz --report r.json", None),
        ("--data - --out o.csv", None),
        (
            "--data t.csv --out o.csv --overwrite --report t.csv",
            "--report t.csv is the file of --data: t.csv is read from; choose another name",
        ),
        (
            "--data - --out o.csv --checkpoint c.npz",
            "--data -: standard input cannot be read again, as --checkpoint needs it; give it a name",
        ),
    ],
)
def test_what_is_refused_before_the_table_is_read(tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    model = SemiSupervisedVAE(latent_dim=1, hidden=(), epochs=1, backend="numpy", random_state=0).fit(
        grey_rows(8), np.arange(8) % 2
    )
    for name in ("m.npz", "m-2.csv"):
        model.save(name)
    for name in ("t.csv", "t.tsv", "X.NPY"):
        Path(name).write_bytes(b"1,2")
    options = parse(["impute", *words.split()])
    if message is None:
        impute._check(options)
    else:
        with pytest.raises(InputError) as error:
            impute._check(options)
        text = str(error.value)
        assert text == message or text.startswith(message) and "model" in message, text


class Imputer:
    """What a command gives to an imputer and asks of it; a table is filled by 7."""

    imputation_samples, members_ = 50, [SimpleNamespace(error=0.5, normal_error=1.0)]

    def __init__(self, kinds=None, members=5, **arguments):
        self.asked, self.members = [("made", kinds, members, arguments)], members

    def fit(self, table, **how):
        self.asked.append(("fit", how))
        self.table, names = table, getattr(table, "columns", ["0", "1"])
        self.schema_ = SimpleNamespace(columns=[SimpleNamespace(name=name, kind="counts", values=()) for name in names])

    def save(self, path):
        self.asked.append(("save", path))

    def set_params(self, **arguments):
        self.asked.append(("set", arguments))
        return self

    def impute(self, table, draws, random_state):
        self.asked.append(("impute", draws, random_state))
        names, table = getattr(table, "columns", ["0", "1"]), np.array(np.asarray(table).tolist(), float)
        observed = ~np.isnan(table)
        filled = [np.where(observed, table, value) for value in (7.0, *range(draws))]
        return SimpleNamespace(
            filled=filled[0],
            draws=filled[1:],
            columns=names,
            observed=observed,
            filled_in=~observed,
            effective_sample_size=np.full(len(table), 9.0),
            interval=lambda level: (filled[0] - level, filled[0] + level),
            smallest_sets=lambda level: {},
        )


def test_what_an_imputer_is_made_with_and_asked(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    found = []
    monkeypatch.setattr(impute, "TableImputer", lambda *args, **more: found.append(Imputer(*args, **more)) or found[-1])
    Path("t.csv").write_text("a,b\n1,2\n3,\n5,4\n")
    Path("n.csv").write_text("1,2\n3,\n5,4\n9,3\n")
    with open("X.NPZ", "wb") as file:
        np.savez(file, x=np.array([[1, 2], [3, 4]], np.float32), y=[5, 6])
    line = ["impute", "--data", "t.csv", "--backend", "numpy", "--seed", "3"]
    assert (
        main(
            [
                *line,
                "--out",
                "o.csv",
                "--draws",
                "2",
                "--save",
                "s.npz",
                "--kind",
                "a=counts",
                "--members",
                "2",
                "--epochs",
                "9",
                "--threads",
                "1",
            ]
        )
        == 0
    )
    arguments = {"unseen": "error", "epochs": 9, "backend": "numpy", "threads": 1, "random_state": 3, "verbose": True}
    how = {"checkpoint": None, "checkpoint_seconds": 10.0, "resume": False}
    assert found[-1].asked == [
        ("made", {"a": "counts"}, 2, arguments),
        ("fit", how),
        ("save", "s.npz"),
        ("impute", 2, 3),
    ]
    assert [Path(name).read_text() for name in ("o.csv", "o-1.csv", "o-2.csv")] == [
        f"a,b\n1,2\n3,{value}\n5,4\n" for value in (7, 0, 1)
    ]
    out = capsys.readouterr().out.splitlines()
    assert (
        out[0] == "3 rows, 2 columns, names in line 1; 1 cells filled in" and out[-1] == "wrote o.csv, o-1.csv, o-2.csv"
    )
    assert out[1:3] == ["  a: counts, 0 missing", "  b: counts, 1 missing (empty)"]
    Path("o-2.csv").unlink()
    assert main([*line, "--out", "o.csv", "--intervals", "i.csv", "--draws", "1", "--quiet", "--header", "yes"]) == 0
    assert found[-1].asked[0] == (
        "made",
        {},
        5,
        {**arguments, "epochs": None, "threads": None, "verbose": False},
    ) and found[-1].asked[-1] == ("impute", 200, 3)
    assert Path("i.csv").read_text() == "a low,a high,b low,b high\n0.1,1.9,1.1,2.9\n2.1,3.9,6.1,7.9\n4.1,5.9,3.1,4.9\n"
    assert not Path("o-2.csv").exists() and capsys.readouterr() == ("", "")
    assert main(["impute", "--data", "X.NPZ", "--out", "o.npz"]) == 0
    assert found[-1].table.dtype == np.float64
    assert main([*line, "--out", "b.csv", "--backend", "numba:products=own", "--quiet"]) == 0
    assert found[-1].asked[0][-1]["backend"] == {"name": "numba", "products": "own"}
    with np.load("o.npz") as file:
        assert file["x"].tolist() == [[1, 2], [3, 4]] and file["y"].tolist() == [5, 6]
    assert capsys.readouterr().out.startswith("2 rows, 2 columns; 0 cells filled in\n")
    Path("spaces.txt").write_text("1 2\n3 ?\n5 4\n")
    assert main(["impute", "--data", "spaces.txt", "--out", "-", "--quiet"]) == 0 and capsys.readouterr() == (
        "1 2\n3 7\n5 4\n",
        "",
    )
    assert main(["impute", "--data", "n.csv", "--out", "-", "--header", "no", "--missing=3"]) == 0
    said = capsys.readouterr()
    assert (
        said.out == "1,2\n7,7\n5,4\n9,7\n"
        and said.err.startswith("4 rows, 2 columns, no names; 3 cells")
        and "wrote" not in said.err
    )


def test_an_imputer_that_is_there_and_one_that_was_interrupted(tmp_path, monkeypatch, capsys):
    loaded = Imputer()
    monkeypatch.setattr(impute.TableImputer, "load", lambda path, **where: loaded.asked.append((path, where)) or loaded)
    for quiet in ([], ["--quiet"]):
        options = parse(
            [
                "impute",
                "--data",
                "t.csv",
                "--out",
                "o.csv",
                "--model",
                "i.npz",
                "--threads",
                "2",
                "--backend",
                "numpy",
                *quiet,
            ]
        )
        del loaded.asked[:]
        assert impute._imputer(options, None) == (loaded, None, 0)
        assert loaded.asked == [
            ("i.npz", {"backend": "numpy", "threads": 2}),
            ("set", {"verbose": not quiet, "unseen": "error"}),
        ]

    class Interrupted(Imputer):
        def fit(self, table, **how):
            raise TrainingInterrupted("training interrupted", self)

    monkeypatch.setattr(impute, "TableImputer", Interrupted)
    imputer, _, code = impute._imputer(
        parse(["impute", "--data", "t.csv", "--out", "o.csv", "--checkpoint", "c.npz", "--save", "s.npz"]), None
    )
    assert code == 130 and imputer.asked[-1] == ("save", "s.npz")
    assert (
        capsys.readouterr().err == "npvae: interrupted at model 1 of 5; filling in by what there is; "
        "'npvae impute --checkpoint c.npz --resume' goes on\n"
    )
