"""``npvae score``: scores of rows in files, by a detector that is trained, by one that was kept, and by models of
``npvae train``.
"""

import csv

import numpy as np
import pytest

from npvae import VAE, OutlierVAE
from npvae.cli import main

QUICK = ["--backend", "numpy", "--samples", "50"]


def write_table(path, rows=60, odd=17):
    """Two columns that one number decides, a colour, and identifiers; of the row ``odd`` the second is of another
    row.
    """
    rng = np.random.default_rng(0)
    z = rng.standard_normal(rows)
    second = -z + 0.1 * rng.standard_normal(rows)
    second[odd] += 4.0
    lines = [
        f"{i};{v:.3f};{'' if i == 3 else f'{w:.3f}'};{'red' if v > 0 else 'blue'}"
        for i, (v, w) in enumerate(zip(z, second, strict=True))
    ]
    path.write_text("\n".join(["id;first;second;colour", *lines]) + "\n")


def read(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_table(tmp_path / "table.csv")
    return tmp_path


def test_scores_of_a_table_and_of_the_kept_detector(folder, capsys):
    assert (
        main(
            [
                "score",
                "table.csv",
                "--out",
                "a.csv",
                "--save",
                "d.npz",
                "--contamination",
                "0.05",
                "--epochs",
                "20",
                *QUICK,
            ]
        )
        == 0
    )
    printed = capsys.readouterr().out
    assert "60 rows, 3 of them outliers: with a score above" in printed and "wrote a.csv, d.npz" in printed
    assert "line 19: " in printed.splitlines()[2] and "second +" in printed.splitlines()[2]
    found = read("a.csv")
    assert list(found[0]) == [
        "score",
        "standard_error",
        "outlier",
        "largest",
        "contribution_first",
        "contribution_second",
        "contribution_colour",
        "contribution_latent",
    ]
    scores = np.array([float(row["score"]) for row in found])
    assert len(found) == 60 and scores.argmax() == 17 and found[17]["largest"] in ("first", "second")
    assert sum(int(row["outlier"]) for row in found) == 3 and found[17]["outlier"] == "1"
    parts = np.array([[float(row[name]) for name in row if name.startswith("contribution_")] for row in found])
    np.testing.assert_allclose(parts.sum(axis=1), scores, atol=1e-3)
    assert float(found[3]["contribution_second"]) == 0.0 and all(float(row["standard_error"]) > 0.0 for row in found)
    detector = OutlierVAE.load("d.npz", backend="numpy")
    assert detector.contamination == 0.05 and list(detector.carried_) == []
    assert main(["score", "table.csv", "--model", "d.npz", "--out", "b.csv", "--quiet", *QUICK]) == 0
    assert (folder / "a.csv").read_text() == (folder / "b.csv").read_text() and capsys.readouterr().out == ""
    assert main(["info", "d.npz"]) == 0
    assert (
        "outliers    rows with -log p(x) above" in (said := capsys.readouterr().out)
        and "'npvae score --model d.npz'" in said
    )


def test_models_of_arrays_and_of_tables_and_arrays_without_a_model(folder, capsys):
    x = np.random.default_rng(1).normal(size=(30, 4))
    x[4] = 9.0
    np.save("x.npy", x)
    VAE(latent_dim=1, hidden=(4,), likelihood="gaussian_per_feature", epochs=2, backend="numpy", random_state=0).fit(
        x
    ).save("plain.npz")
    assert main(["score", "x.npy", "--model", "plain.npz", "--out", "a.csv", *QUICK]) == 0
    found = read("a.csv")
    assert list(found[0]) == [
        "score",
        "standard_error",
        "largest",
        *(f"contribution_{i}" for i in (0, 1, 2, 3, "latent")),
    ]
    np.testing.assert_allclose(
        [-float(row["score"]) for row in found],
        VAE.load("plain.npz", backend="numpy").score_samples(x, samples=50, random_state=0),
        rtol=1e-4,
    )
    capsys.readouterr()
    assert main(["score", "x.npy", "--out", "-", "--epochs", "2", *QUICK, "--quiet"]) == 0
    assert capsys.readouterr().out.startswith("score,standard_error,outlier,largest,contribution_0,")
    table = {"first": x[:, 0], "name": np.where(x[:, 1] > 0, "a", "b").astype(object)}
    VAE(likelihood="auto", latent_dim=1, hidden=(4,), epochs=2, backend="numpy", random_state=0).fit(table).save(
        "table.npz"
    )
    (folder / "other.csv").write_text("name,first\na,0.5\nb,-30\n")
    assert main(["score", "other.csv", "--model", "table.npz", "--out", "b.csv", *QUICK]) == 0
    assert float(read("b.csv")[1]["contribution_first"]) > float(read("b.csv")[0]["contribution_first"])


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("score", "--data is required"),
        ("score nothing.csv", "nothing.csv: No such file"),
        ("score table.csv --contamination 0.7", "--contamination must be .*at most 0.5, got '0.7'"),
        ("score table.csv --out scores.npy", "--out scores.npy must end in .csv"),
        ("score table.csv --out table.csv", "--out table.csv is the file of --data"),
        ("score table.csv --save d.npy", "--save d.npy must end in .npz"),
        ("score table.csv --kind first=pretty", "unknown kind of column 'first' 'pretty'"),
        ("score table.csv --model d.npz --epochs 3 --kind first=positive", "leave out --epochs, --kind"),
        (
            "score table.csv --model table.csv",
            "table.csv holds text, but --model of 'npvae score' needs an OutlierVAE or a VAE",
        ),
        ("score digits", "--data digits is a data set of pictures"),
        ("score x.npy --encoding utf-8", "--encoding: for text tables, not for x.npy"),
        ("score names.csv", "no column can be modelled"),
    ],
)
def test_bad_input_is_one_line(folder, capsys, line, words):
    np.save("x.npy", np.eye(3))
    (folder / "names.csv").write_text("name\n" + "\n".join(chr(97 + i % 26) * (1 + i // 26) for i in range(90)) + "\n")
    OutlierVAE(epochs=1, hidden=(2,), samples=5, backend="numpy", random_state=0).fit(
        np.arange(30.0).reshape(10, 3) ** 0.5
    ).save("d.npz")
    import re

    assert main(line.split()) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1 and said[0].startswith("npvae: ") and re.search(words, said[0]), said


def test_other_tables_than_the_detectors_name_file_and_line(folder, capsys):
    assert main(["score", "table.csv", "--save", "d.npz", "--epochs", "1", "--quiet", *QUICK]) == 0
    (folder / "lacking.csv").write_text("id;first\n1;2\n")
    (folder / "unseen.csv").write_text("id;first;second;colour\n1;2;3;red\n2;2;3;green\n")
    assert (
        main(["score", "lacking.csv", "--model", "d.npz"]) == 2
        and "'second', 'colour' missing" in capsys.readouterr().err
    )
    assert main(["score", "unseen.csv", "--model", "d.npz"]) == 2
    assert "unseen.csv: column 'colour' holds 'green' in line 3" in capsys.readouterr().err
    assert (
        main(["score", "unseen.csv", "--model", "d.npz", "--unseen", "missing", "--quiet", "--backend", "numpy"]) == 0
    )
    assert float(read("scores.csv")[1]["contribution_colour"]) == 0.0
