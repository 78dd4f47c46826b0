"""``npvae train``, ``sample`` and ``info`` with tables: text columns, gaps, dates and carried columns, at the first
try.
"""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest

from npvae import VAE
from npvae.cli import main


def write_table(path, rows: int = 240) -> None:
    """Semicolons, decimal commas, gaps, dates, an identifier."""
    random = np.random.default_rng(0)
    lines = ["id;region;income;age;day;owner"]
    for i in range(rows):
        north = random.random() < 0.5
        income = (
            "" if random.random() < 0.1 else f"{np.exp(7 + 0.8 * north + 0.3 * random.normal()):.2f}".replace(".", ",")
        )
        day = np.datetime64("2024-01-01") + int(random.integers(0, 300))
        lines.append(
            f"{1000 + i};{'North' if north else 'South'};{income};{int(40 + 15 * north + 5 * random.normal())};{day};"
            f"{('true', 'false')[i % 2]}"
        )
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a run on such a table, and what was printed."""
    folder = tmp_path_factory.mktemp("run")
    write_table(folder / "table.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        printed = io.StringIO()
        patch.setattr("sys.stdout", printed)
        code = main("train table.csv --out model --epochs 3 --hidden 8 --no-plots --backend numpy".split())
    assert code == 0
    return folder, printed.getvalue()


def test_train_says_what_it_chose(run):
    folder, printed = run
    assert "carried as they are: id (identifiers" in printed
    assert "likelihood auto: 5 columns" in printed and "latent dimensions" in printed and "24 rows held out" in printed
    assert "of 24 rows held out" in printed and "npvae sample model" in printed
    assert sorted(path.name for path in (folder / "model").iterdir()) == ["checkpoint.npz", "history.csv", "model.npz"]
    model = VAE.load(folder / "model" / "model.npz")
    assert model.hidden_ == (8,) and len(model.table_.tried) == 3


def test_synthetic_rows_in_the_table_s_units(run, tmp_path, monkeypatch, capsys):
    folder, _ = run
    monkeypatch.chdir(tmp_path)
    model = str(folder / "model")
    line = [
        "sample",
        model,
        "-n",
        "50",
        "--out",
        "s.csv",
        "--given",
        "region=North",
        "--given",
        "day=2024-03-01",
        "--report",
        "r.json",
    ]
    assert main(line) == 0, capsys.readouterr().err
    rows = list(csv.DictReader((tmp_path / "s.csv").read_text().splitlines()))
    assert len(rows) == 50 and list(rows[0]) == ["region", "income", "age", "day", "owner"]
    assert {row["region"] for row in rows} == {"North"} and {row["day"] for row in rows} == {"2024-03-01"}
    assert {row["owner"] for row in rows} == {"true", "false"} and all(row["age"].isdecimal() for row in rows)
    assert all(len(row["income"].partition(".")[2]) <= 2 for row in rows)
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["rows"] == 50 and report["given"]["region"] == "North" and 0 <= report["nearness"]["share"] <= 1
    assert report["nearness"]["of"].startswith("rows drawn when the model was trained")
    capsys.readouterr()
    assert main(["sample", model, "-n", "2", "--out", "-"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "region,income,age,day,owner"
    for words, message in (
        (["--given", "region=West"], "'West'; it has 'North', 'South'"),
        (["--given", "region"], "--given must be COLUMN=VALUE"),
        (["--given", "age=old"], "expected a number"),
        (["--given", "day=noon"], "expected a date"),
        (["--given", "id=3"], "'id'"),
        (["--given", "age=3", "--given", "age=4"], "twice"),
        (["--out", "s.npy"], "other than numbers"),
        (["--label", "x"], "--given"),
        (["--out", "s.png"], "must end in"),
    ):
        assert main(["sample", model, *words]) == 2
        error = capsys.readouterr().err
        assert error.startswith("npvae: ") and error.count("\n") == 1 and message in error, error


def test_info_lists_the_columns(run, capsys):
    folder, _ = run
    assert main(["info", str(folder / "model")]) == 0
    said = capsys.readouterr().out
    assert (
        "rows of a table of 5 columns" in said
        and "region: binary (North, South)" in said
        and "nearness" in said
        and "verified" in said
    )


def test_other_commands_take_the_table_s_dates(run, tmp_path, monkeypatch, capsys):
    folder, _ = run
    monkeypatch.chdir(tmp_path)
    model, table = str(folder / "model"), str(folder / "table.csv")
    assert main(["encode", model, "--data", table, "--out", "z.npy"]) == 0, capsys.readouterr().err
    assert len(np.load("z.npy")) == 240
    assert main(["reconstruct", model, "--data", table, "--out", "r.csv"]) == 0, capsys.readouterr().err
    lines = (tmp_path / "r.csv").read_text().splitlines()
    assert lines[0] == "region,income,age,day,owner" and len(lines) == 241 and ",2024-" in lines[1]


def test_resume_of_a_table_and_what_is_no_table(run, tmp_path, monkeypatch, capsys):
    folder, _ = run
    monkeypatch.chdir(folder)
    assert main("train --out model --resume --epochs 4 --quiet --no-plots".split()) == 0, capsys.readouterr().err
    assert VAE.load("model/model.npz").history_.epochs == 4
    np.save(tmp_path / "shares.npy", np.random.default_rng(0).random((20, 3)))
    monkeypatch.chdir(tmp_path)
    assert main("train shares.npy --out plain --epochs 1 --hidden 4 --quiet --no-plots".split()) == 0
    assert VAE.load("plain/model.npz").table_ is None
    assert main("train shares.npy --out plain2 --kind a=counts".split()) == 2
    assert "--likelihood auto" in capsys.readouterr().err
    assert main("sample plain --given a=1".split()) == 2
    assert "models of tables" in capsys.readouterr().err
    np.save(tmp_path / "measured.npy", 100.0 + np.random.default_rng(0).normal(size=(40, 3)))
    assert main("train measured.npy --out of-array --epochs 1 --hidden 4 --quiet --no-plots".split()) == 0
    assert main("sample of-array -n 5 --out s.npy".split()) == 0 and np.load("s.npy").shape == (5, 3)


def test_synthetic_rows_of_an_imputer_s_file(run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    table = str(run[0] / "table.csv")
    line = [
        "impute",
        table,
        "--out",
        "f.csv",
        "--save",
        "i.npz",
        "--members",
        "2",
        "--epochs",
        "2",
        "--backend",
        "numpy",
        "--quiet",
    ]
    assert main(line) == 0
    assert (
        main(["sample", "i.npz", "-n", "30", "--given", "region=South", "--report", "r.txt", "--backend", "numpy"]) == 0
    ), capsys.readouterr().err
    assert ": 30 synthetic rows" in capsys.readouterr().out
    rows = list(csv.DictReader((tmp_path / "samples.csv").read_text().splitlines()))
    assert (
        len(rows) == 30
        and {row["region"] for row in rows} == {"South"}
        and {row["owner"] for row in rows} == {"true", "false"}
    )
    assert all(np.datetime64(row["day"]) and int(row["age"]) for row in rows)
    assert "30 synthetic rows, given region = South" in (tmp_path / "r.txt").read_text()
    assert (
        main(["sample", "i.npz", "--label", "a"]) == 2
        and "--label needs a model of 'npvae classify'" in capsys.readouterr().err
    )
