"""Commands on models of tables: encode, evaluate and reconstruct take the same kind of table as the one that was
trained on.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from npvae import VAE, SemiSupervisedVAE, read_table
from npvae.cli import columns, main

NAMES = ["id", "price", "colour", "day"]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(path, names=NAMES, separator=";"):
    rows = [
        [
            f"P{i:03}",
            "" if i % 9 == 4 else f"{i % 17 + 0.25:.2f}".replace(".", ","),
            ["red", "blue", '"a;b"'][i % 3] if i % 7 else "?",
            f"2024-01-{i % 28 + 1:02}",
        ]
        for i in range(60)
    ]
    order = [NAMES.index(name) for name in names]
    Path(path).write_text(
        separator.join(names) + "\n" + "".join(separator.join(row[j] for j in order) + "\n" for row in rows)
    )


@pytest.fixture
def model():
    """Of t.csv, beside n.tsv with the same rows, columns in another order."""
    write("t.csv")
    write("n.tsv", ["day", "colour", "price"], "\t")
    found = VAE(likelihood="auto", latent_dim=2, hidden=(8,), epochs=3, random_state=0, backend="numpy").fit(
        columns.modelled(read_table("t.csv"))
    )
    found.save("m.npz")
    return found


def test_encode_and_evaluate(model, capsys):
    for name in ("t.csv", "n.tsv"):
        assert main(["encode", "m.npz", name, "--out", "l.csv", "--backend", "numpy"]) == 0
        found = np.loadtxt("l.csv", delimiter=",", skiprows=1)
        np.testing.assert_allclose(found, model.transform(columns.of_model(model.schema_, read_table(name))), rtol=1e-6)
    assert (
        main(
            ["evaluate", "m.npz", "t.csv", "--samples", "20", "--json", "e.json", "--rows", "50", "--backend", "numpy"]
        )
        == 0
    )
    found = json.loads(Path("e.json").read_text())
    assert (
        found["rows"] == 50
        and found["log_likelihood"] >= found["elbo"] - 1.0
        and "observed cells alone" in found["notes"][-1]
    )
    x = model.table_.read(columns.of_model(model.schema_, read_table("t.csv")), np.float64)[:50]
    mu = model.transform(columns.of_model(model.schema_, read_table("t.csv")))[:50]
    views = model.model_.layout.views(np, model.theta_)
    expected, view = model.model_.expected(views, mu), model.schema_.view
    difference = (expected - x) / view.scale if not np.any(view.log1p) else view.of(expected) - view.of(x)
    assert found["squared_error"] == pytest.approx(np.nansum(difference**2) / 50, rel=1e-5)
    capsys.readouterr()


def test_reconstruct_writes_cells_as_their_columns_do(model, capsys):
    assert main(["reconstruct", "m.npz", "t.csv", "--out", "r.csv", "--backend", "numpy"]) == 0
    with open("r.csv", newline="") as file:
        names, *rows = csv.reader(file)
    assert names == ["price", "colour", "day"] and len(rows) == 60
    for price, colour, day in rows:
        assert "," in price and colour in ("red", "blue", "a;b") and day[:4] in ("2023", "2024") and len(day) == 10
    assert main(["reconstruct", "m.npz", "t.csv", "--out", "r.npy", "--backend", "numpy"]) == 2
    assert "rows of a table are written as text" in capsys.readouterr().err


def test_what_does_not_fit_is_said_in_one_line(model, capsys):
    Path("bad.csv").write_text("price,colour,day\n1,red,2024-01-01\nx,violet,2024-01-02\n")
    Path("other.csv").write_text("price,size\n1,2\n3,4\n")
    for command in ("encode", "evaluate", "reconstruct"):
        for name, words in (
            ("bad.csv", ("column 'price' holds the text 'x' in line 3", "'colour' holds 'violet' in line 3")),
            ("other.csv", ("other.csv", "'colour', 'day' missing")),
        ):
            assert main([command, "m.npz", name, "--backend", "numpy"]) == 2
            said = capsys.readouterr().err
            assert said.startswith("npvae: ") and said.count("\n") == 1 and all(word in said for word in words), said


def test_encode_by_a_classifier_of_tables(capsys):
    write("t.csv")
    table = read_table("t.csv")
    y = ["x" if i % 2 else "y" for i in range(60)]
    model = SemiSupervisedVAE(latent_dim=2, hidden=(8,), epochs=1, random_state=0, backend="numpy").fit(
        columns.modelled(table), y
    )
    model.save("m2.npz")
    assert main(["encode", "m2.npz", "t.csv", "--out", "l.csv", "--backend", "numpy"]) == 0
    found = np.loadtxt("l.csv", delimiter=",", skiprows=1)
    np.testing.assert_allclose(found, model.encode(columns.modelled(table))[0], rtol=1e-6)
    for command in ("evaluate", "reconstruct"):
        assert main([command, "m2.npz", "t.csv"]) == 2
        assert f"'npvae {command}' needs a VAE; it is for 'npvae classify --model m2.npz'" in capsys.readouterr().err
