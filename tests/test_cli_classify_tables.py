"""``npvae classify`` on tables as people have them: text, gaps, decimal commas, quoted cells, columns that are
carried.
"""

from __future__ import annotations

import csv
import random
from pathlib import Path

import numpy as np
import pytest

from npvae import SemiSupervisedVAE
from npvae.cli import main

QUICK = [
    "--epochs",
    "30",
    "--hidden",
    "20",
    "--latent-dim",
    "2",
    "--learning-rate",
    "0.01",
    "--batch-size",
    "50",
    "--backend",
    "numpy",
]
NAMES = ["id", "a", "b", "farbe", "ja"]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def rows(count=120, seed=0, labels=("007", "010")):
    """Identifiers, numbers with decimal commas and gaps, text, and labels of a third of the rows; and all of the
    labels.
    """
    g, found, truth = random.Random(seed), [], []
    for i in range(count):
        k = i % 2
        truth.append(labels[k])
        found.append(
            [
                f"P{i:03}",
                f"{g.gauss(3 * k, 0.5):.2f}".replace(".", ","),
                "" if i % 9 == 4 else f"{g.gauss(-k, 0.5):.1f}".replace(".", ","),
                ("rot", '"grün, hell"')[k] if i % 7 else "?",
                labels[k] if i % 3 == 0 else ("", "NA")[k],
            ]
        )
    return found, truth


def write(path, found, names=NAMES, separator=";", encoding="latin-1"):
    order = [NAMES.index(name) for name in names]
    text = separator.join(names) + "\n" + "".join(separator.join(row[j] for j in order) + "\n" for row in found)
    Path(path).write_bytes(text.encode(encoding))


def classes(path):
    with open(path, newline="") as file:
        return [row[0] for row in csv.reader(file)][1:]


def test_a_table_of_text_gaps_and_decimal_commas_and_the_model_on_another(capsys):
    found, truth = rows()
    write("t.csv", found)
    before = Path("t.csv").read_bytes()
    assert main(["classify", "t.csv", "--label-column", "ja", "--save", "m.npz", *QUICK]) == 0
    said = capsys.readouterr().out
    assert (
        "carried as they are: id (names or free text" in said
        and "120 rows, 40 of them with a label; without: 80 missing" in said
    )
    assert np.mean(np.array(classes("classes.csv")) == truth) > 0.9 and set(truth) == set(classes("classes.csv"))
    assert Path("t.csv").read_bytes() == before
    model = SemiSupervisedVAE.load("m.npz", backend="numpy")
    assert [c.name for c in model.table_.schema.columns] == ["a", "b", "farbe"] and model.classes_.tolist() == [
        "007",
        "010",
    ]
    # The same rows with columns in another order, another separator and no labels, and one column more.
    write("n.tsv", found, ["farbe", "b", "id", "a"], "\t", "utf-8")
    assert main(["classify", "n.tsv", "--model", "m.npz", "--out", "n-classes.csv", "--backend", "numpy"]) == 0
    assert Path("n-classes.csv").read_bytes() == Path("classes.csv").read_bytes()
    assert (
        main(
            [
                "classify",
                "t.csv",
                "--label-column",
                "ja",
                "--model",
                "m.npz",
                "--out",
                "again.csv",
                "--backend",
                "numpy",
            ]
        )
        == 0
    )
    assert "of 40 rows with a label, 0.00 %" in capsys.readouterr().out
    assert main(["classify", "t.csv", "--label-column", "ja", "--predict", "n.tsv", "--out", "p.csv", *QUICK]) == 0
    assert Path("p.csv").read_bytes() == Path("classes.csv").read_bytes()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "farbe,a,b\nviolett,1.0,2.0\nrot,x,1\n",
            [
                "new.csv: column 'a' holds the text 'x' in line 3",
                "'farbe' holds 'violett' in line 2",
                '--unseen="missing"',
            ],
        ),
        (
            "farbe,c\nrot,1\n",
            ["new.csv: the columns should be those of the fitted table: 'a', 'b' missing; it has 'farbe', 'c'"],
        ),
        ("farbe,a,b\n", ["only the header row"]),
    ],
)
def test_a_model_given_another_table_says_all_that_is_in_the_way_before_anything_is_trained(text, words, capsys):
    found, _ = rows(40)
    write("t.csv", found)
    Path("new.csv").write_text(text)
    assert (
        main(["classify", "t.csv", "--label-column", "ja", "--save", "m.npz", "--quiet", *QUICK, "--epochs", "1"]) == 0
    )
    trained = ["classify", "t.csv", "--label-column", "ja", "--predict", "new.csv", "--save", "other.npz"]
    for line in (["classify", "new.csv", "--model", "m.npz"], trained):
        assert main([*line, "--out", "c.csv", "--quiet", "--backend", "numpy"]) == 2
        said = capsys.readouterr().err
        assert said.startswith("npvae: ") and said.count("\n") == 1 and all(word in said for word in words), said
    assert not Path("other.npz").exists() and not Path("c.csv").exists()


@pytest.mark.parametrize(
    ("text", "more", "words"),
    [
        ("kind\nx\ny\n", [], "expected a column of data beside the label column, got none"),
        ("a,b,kind\n", [], "only the header row"),
        ("a,b,kind\n,,x\n,,y\n,,x\n", [], "no column can be modelled: a (empty), b (empty)"),
        ("a,b,kind\n1,u,\n2,v,\n3,u,\n", [], "no labelled row"),
        (
            "a,b,kind\n1,u,x\n2,v,y\n3,u,x\n",
            ["--likelihood", "gaussian"],
            "line 2, column 2 ('b'): expected a number, got 'u'",
        ),
        ("a,b,kind\n1,2,x\n2,,y\n3,4,x\n", ["--divide-by", "2"], "cells of 'b' are missing; leave out --divide-by"),
        ("a,b,kind\n1,u,x\n2,v,y\n3,u,x\n", ["--pictures", "p"], "rows of a table are not pictures"),
        (
            "a,b,kind\n1,2,x\n2,3,y\n3,4,x\n",
            ["--kind", "a=counts", "--likelihood", "gaussian"],
            "leave out --likelihood",
        ),
        (
            "a,b,kind\n1,2,x\n2,3,y\n3,4,x\n",
            ["--kind", "c=counts"],
            "--kind names the column 'c', but the columns are 'b'",
        ),
    ],
)
def test_what_cannot_be_learnt_from_is_said_in_one_line(text, more, words, capsys):
    Path("t.csv").write_text(text)
    assert (
        main(["classify", "t.csv", "--label-column", "kind", "--quiet", "--epochs", "1", "--backend", "numpy", *more])
        == 2
    )
    said = capsys.readouterr().err
    assert said.startswith("npvae: ") and said.count("\n") == 1 and words in said, said


@pytest.mark.parametrize("method", ["m1", "m2", "m1+m2"])
def test_every_method_on_a_table(method, capsys):
    found, _ = rows(60)
    write("t.csv", found)
    write("n.tsv", found, ["farbe", "b", "a"], "\t", "utf-8")
    assert (
        main(
            [
                "classify",
                "t.csv",
                "--label-column",
                "ja",
                "--method",
                method,
                "--save",
                "m.npz",
                "--quiet",
                *QUICK,
                "--epochs",
                "3",
            ]
        )
        == 0
    )
    assert main(["classify", "n.tsv", "--model", "m.npz", "--out", "again.csv", "--backend", "numpy"]) == 0
    assert Path("again.csv").read_bytes() == Path("classes.csv").read_bytes()
    capsys.readouterr()
    if method != "m1":
        assert main(["sample", "m.npz", "--label", "010", "-n", "4", "--out", "s.csv", "--backend", "numpy"]) == 0
        with open("s.csv", newline="") as file:
            names, *drawn = csv.reader(file)
        assert (
            names == ["a", "b", "farbe"] and len(drawn) == 4 and all(row[2] in ("rot", "grün, hell") for row in drawn)
        )
        assert (
            main(["sample", "m.npz", "--given", "a=1", "--backend", "numpy"]) == 2
            and "say --label CLASS" in capsys.readouterr().err
        )


def test_only_text_and_labels_as_they_are_written_are_enough(capsys):
    for labels in (("yes", "no"), ("-1", "+1"), ("1", "2")):
        lines = [f"{'uv'[i % 2]},{'pqr'[i % 3]},{labels[i % 2] if i < 20 else '?'}" for i in range(40)]
        Path("t.csv").write_text("\n".join(["a,b,kind", *lines]) + "\n")
        more = ["--observed=-1"] if "-1" in labels else []
        assert main(["classify", "t.csv", "--label-column", "kind", *QUICK, *more]) == 0, capsys.readouterr().err
        assert classes("classes.csv") == [labels[i % 2] for i in range(40)]


def test_an_array_with_gaps_and_unseen_values(capsys):
    g = np.random.default_rng(0)
    y = np.arange(90) % 2
    x = g.normal(3.0 * y[:, None], 0.5, (90, 3))
    x[g.random(x.shape) < 0.2] = np.nan
    np.savez("d.npz", x=x, y=np.where(y < 30, y, -1))
    assert main(["classify", "d.npz", "--out", "c.npz", *QUICK]) == 0
    with np.load("c.npz") as found:
        assert np.mean(found["y"] == y) > 0.9
    found, _ = rows(40)
    write("t.csv", found)
    assert (
        main(["classify", "t.csv", "--label-column", "ja", "--save", "m.npz", "--quiet", *QUICK, "--epochs", "1"]) == 0
    )
    Path("new.csv").write_text("farbe,a,b\nviolett,1.0,2.0\n,1.0,2.0\n")
    assert (
        main(["classify", "new.csv", "--model", "m.npz", "--unseen", "missing", "--out", "u.csv", "--backend", "numpy"])
        == 0
    )
    first, second = Path("u.csv").read_text().splitlines()[1:]
    assert first == second
    capsys.readouterr()
