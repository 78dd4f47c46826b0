"""``npvae classify``: few labels in files, classes in files."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from small import grey_rows
from test_semi_supervised import patterns

from npvae import VAE, LatentClassifier, SemiSupervisedVAE
from npvae.cli import main

QUICK = [
    "--epochs", "30", "--hidden", "10", "--latent-dim", "2", "--batch-size", "50", "--learning-rate", "0.01", "--schedule", "constant",
    "--backend", "numpy",
]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


NAMES = np.array(["oak", "elm", "ash"])


def write_table(path, x, labels):
    """A table with a column of labels in its middle."""
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*(f"a{i}" for i in range(3)), "tree", *(f"b{i}" for i in range(x.shape[1] - 3))])
        writer.writerows([*row[:3], label, *row[3:]] for row, label in zip(x, labels, strict=True))


def read_table(path):
    with open(path, newline="") as file:
        return list(csv.reader(file))


def test_a_table_of_names(tmp_path, capsys):
    x, y, truth = patterns(0, 300)
    write_table("trees.csv", x, [NAMES[c] if c >= 0 else ("", "?", "-1")[i % 3] for i, c in enumerate(y)])
    assert main(["classify", "--data", "trees.csv", "--label-column", "tree", "--save", "model.npz", *QUICK]) == 0
    printed = capsys.readouterr().out
    assert "300 rows, 3 of them with a label" in printed and "wrote model.npz, classes.csv" in printed
    rows = read_table("classes.csv")
    assert rows[0] == ["class", "p(ash)", "p(elm)", "p(oak)"] and len(rows) == 301
    assert np.mean([row[0] for row in rows[1:]] == NAMES[truth]) > 0.9
    assert all(abs(sum(map(float, row[1:])) - 1) < 1e-4 for row in rows[1:])
    # The same model on rows of another file, with labels to be judged by and without their column.
    write_table("more.csv", x[:40], NAMES[truth[:40]])
    assert main(["sample", "model.npz", "--label", "ash", "-n", "3", "--out", "ash.csv"]) == 0
    assert np.loadtxt("ash.csv", delimiter=",", skiprows=1).shape == (3, 30)
    assert main(["sample", "model.npz", "--label", "fir", "-n", "3", "--out", "fir.csv"]) == 2
    assert "'fir' is not among the classes ash, elm, oak" in capsys.readouterr().err
    assert main(["info", "model.npz"]) == 0 and "classes     ash, elm, oak" in capsys.readouterr().out
    again = ["classify", "--model", "model.npz", "--backend", "numpy", "--label-column", "tree"]
    assert main([*again, "--data", "more.csv", "--out", "more-classes.csv"]) == 0
    assert "of 40 rows with a label" in capsys.readouterr().out
    more = read_table("more-classes.csv")
    assert [row[0] for row in more] == [row[0] for row in rows[:41]]
    numbers = [[list(map(float, row[1:])) for row in table[1:]] for table in (more, rows[:41])]
    np.testing.assert_allclose(*numbers, atol=1e-5)  # products of other sizes round otherwise
    with open("bare.csv", "w", newline="") as file:
        csv.writer(file).writerows([[*(f"a{i}" for i in range(3)), *(f"b{i}" for i in range(27))], *x[:40]])
    for column in ("tree", "3", "-28"):  # a file that lacks it has no labels
        for where in (["--data", "bare.csv"], ["--data", "more.csv", "--predict", "bare.csv"]):
            assert main([*again[:-1], column, *where, "--out", "bare-classes.csv"]) == 0
            assert read_table("bare-classes.csv") == more


def test_numbers_are_numbers_also_beside_empty_cells(capsys):
    x, y, truth = patterns(0, 120, labels=30)
    write_table("some.csv", x, [c if c >= 0 else "" for c in y])
    write_table("all.csv", x, truth)
    assert main(["classify", "--data", "some.csv", "--label-column", "tree", "--predict", "all.csv", *QUICK, "--save", "m.npz"]) == 0
    assert "of 120 rows with a label" in capsys.readouterr().out
    assert SemiSupervisedVAE.load("m.npz").classes_.tolist() == [0, 1, 2]
    write_table("names.csv", x, NAMES[truth])
    assert main(["classify", "--data", "names.csv", "--label-column", "tree", "--model", "m.npz", "--out", "n.csv"]) == 2
    assert "cannot be compared" in capsys.readouterr().err


def test_counts_are_not_standardised():
    x, y, _ = patterns(0, 120, labels=30)
    np.savez("counts.npz", x=3.0 * x, y=y)
    assert main(["classify", "--data", "counts.npz", "--likelihood", "poisson", *QUICK]) == 0


@pytest.mark.parametrize(("likelihood", "more", "expected"), [
    ("bernoulli", [], (3e-3, "cosine", 50)), ("gaussian_decoder", [], (1e-3, "constant", 100)),
    ("bernoulli", ["--method", "m1+m2"], (1e-3, "constant", 100)),
    ("bernoulli", ["--learning-rate", "0.02", "--schedule", "steps:1=0.5", "--batch-size", "30"], (0.02, "steps", 30)),
])
def test_steps_are_those_that_the_likelihood_bears(likelihood, more, expected):
    x, y, _ = patterns(0, 300, labels=9)
    np.savez("rows.npz", x=x, y=y)
    quick = ["--epochs", "2", "--hidden", "5", "--latent-dim", "2", "--backend", "numpy", "--save", "m.npz"]
    assert main(["classify", "--data", "rows.npz", "--likelihood", likelihood, *quick, *more]) == 0
    found = SemiSupervisedVAE.load("m.npz", backend="numpy").get_params()
    rate, schedule, batch = expected
    assert (found["learning_rate"], found["batch_size"]) == (rate, batch)
    given = found["schedule"]
    assert (given if isinstance(given, str) else given["name"]) == schedule


@pytest.mark.parametrize("method", ["m1", "m1+m2"])
def test_the_other_methods_on_numpy_s_files(method, capsys):
    x, y, truth = patterns(0, 300, flipped=0.1, labels=9)
    np.savez("rows.npz", x=x, y=y)
    arguments = ["classify", "--data", "rows.npz", "--method", method, "--out", "classes.npz", "--save", "m.npz", *QUICK]
    assert main([*arguments, "--latent-dim", "3"]) == 0
    found = np.load("classes.npz")
    assert np.mean(found["y"] == truth) > 0.9
    np.testing.assert_allclose(found["probabilities"].sum(axis=1), 1.0, rtol=1e-5)
    assert found["classes"].tolist() == [0, 1, 2]
    np.savez("bare.npz", x=x[:20])
    assert main(["classify", "--model", "m.npz", "--data", "bare.npz", "--out", "bare.csv", "--backend", "numpy"]) == 0
    assert [int(row[0]) for row in read_table("bare.csv")[1:]] == found["y"][:20].tolist()
    assert "another class" not in capsys.readouterr().out.splitlines()[-2]
    assert main(["info", "m.npz"]) == 0
    described = capsys.readouterr().out
    assert "latent dimensions of VAE(" in described and "classes     0, 1, 2" in described and "rows of shape (30,)" in described


def test_columns_of_all_sizes_are_standardised(capsys):
    x, y, truth = patterns(1, 300, flipped=0.1, labels=30)
    rng = np.random.default_rng(0)
    np.savez("rows.npz", x=1000 * (x + 0.1 * rng.standard_normal(x.shape)) - 200, y=y)
    assert main(["classify", "--data", "rows.npz", "--save", "m.npz", *QUICK]) == 0
    assert np.mean(np.array([row[0] for row in read_table("classes.csv")[1:]], int) == truth) > 0.9
    assert SemiSupervisedVAE.load("m.npz").standardize
    assert main(["classify", "--data", "rows.npz", "--method", "m1", "--out", "n.csv", *QUICK]) == 2
    assert "use m2, which standardises" in capsys.readouterr().err


def test_the_embedded_digits_and_pictures(capsys):
    pytest.importorskip("matplotlib")
    quick = ["--epochs", "1", "--hidden", "8", "--latent-dim", "2", "--batch-size", "500", "--labels", "50"]
    assert main(["classify", *quick, "--pictures", "pictures", "--save", "m.npz"]) == 0
    printed = capsys.readouterr().out
    assert "4000 rows, 50 of them with a label" in printed and "of 1000 rows with a label" in printed
    for name in ("classes.png", "analogies.png"):
        with open(f"pictures/{name}", "rb") as file:
            assert file.read(4) == b"\x89PNG"
    assert main(["classify", "--model", "m.npz", "--out", "again.csv"]) == 0
    assert read_table("again.csv") == read_table("classes.csv")
    assert main(["evaluate", "m.npz"]) == 2
    assert "holds a SemiSupervisedVAE, but" in capsys.readouterr().err
    assert main(["encode", "m.npz", "--out", "z.npy"]) == 0 and np.load("z.npy").shape == (1000, 2)


@pytest.mark.parametrize(("arguments", "words"), [
    (["--data", "rows.npz"], "rows.npz has no labels"),
    (["--out", "x.png"], "must end in .csv or .npz"),
    (["--out", "nowhere/x.csv"], "the folder of --out nowhere/x.csv does not exist"),
    (["--out", "rows.npz", "--data", "rows.npz"], "rows.npz is read from"),
    (["--out", "x.npz", "--save", "x.npz"], "x.npz would be written twice"),
    (["--model", "m.npz", "--labels", "10"], "leave out --save and --labels"),
    (["--labels", "5"], "fewer than the 10 classes"),
    (["--labels", "100000"], "need"),
    (["--method", "m1", "--pictures", "p"], "makes no rows of a class"),
    (["--data", "labelled.npz", "--predict", "missing.csv"], "missing.csv"),
    (["--data", "labelled.npz", "--predict", "narrow.npz"], "has 5 numbers, but the model's have 30"),
    (["--data", "labelled.npz", "--predict", "wrong.npz"], "wrong.npz: Unknown label type"),
    (["--data", "labelled.npz", "--pictures", "p"], "rows of shape (30,) are not pictures"),
    (["--data", "pictures.npz", "--pictures", "rows.npz"], "rows.npz is a file, not a folder"),
    (["--data", "labelled.npz", "--save", "m.csv"], "must end in .npz"),
    (["--data", "labelled.npz", "--divide-by", "0"], "--divide-by must be finite and above 0"),
    (["--data", "pictures.npz", "--model", "m1.npz", "--pictures", "p"], "makes no rows of a class"),
    (["--data", "wrong.npz"], "continuous"),
    (["--data", "short.npz"], "rows"),
    (["--model", "rows.npz"], "npvae"),
    (["--model", "vae.npz"], "vae.npz holds a VAE, but --model of 'npvae classify' needs a SemiSupervisedVAE or a LatentClassifier"),
])
def test_what_is_refused_says_why_in_one_line(arguments, words, capsys, tmp_path):
    x, y, _ = patterns(0, 30)
    np.savez("rows.npz", x=x)
    np.savez("labelled.npz", x=x, y=y)
    np.savez("wrong.npz", x=x, y=y + 0.5)
    VAE(2, (3,), epochs=1, random_state=0).fit(x).save("vae.npz")
    np.savez("narrow.npz", x=x[:, :5])
    np.savez("pictures.npz", x=x.reshape(30, 5, 6), y=y)
    LatentClassifier(VAE.load("vae.npz")).fit(x, y).save("m1.npz")
    np.savez("short.npz", x=x, y=y[:-1])
    assert main(["classify", *arguments, *QUICK, "--epochs", "1", "--quiet"]) == 2
    error = capsys.readouterr().err
    assert not {"classes.csv", "m.csv"} & {path.name for path in tmp_path.iterdir()}
    assert words in error and len(error.strip().splitlines()) == 1, error


def label_table(name: str, labels) -> None:
    lines = [",".join([*(f"{value:.4f}" for value in row), str(label)]) for row, label in zip(grey_rows(len(labels)), labels, strict=True)]
    Path(name).write_text("a,b,c,d,e,f,y\n" + "\n".join(lines) + "\n")


@pytest.mark.parametrize("gaps", [[], ["", "NA"]])
@pytest.mark.parametrize(("values", "words"), [
    ([20 + i % 61 for i in range(90)], "different numbers from 20 to 80"), ([f"{i / 7:.3f}" for i in range(90)], "not whole, such as 0.143"),
    ([f"person {i}" for i in range(90)], "90 different values in 90 rows"), ([10**6 + 17 * i for i in range(90)], "90 different numbers"),
])
def test_a_column_that_looks_continuous_is_refused_unless_it_holds_classes(tmp_path, monkeypatch, capsys, values, gaps, words):
    monkeypatch.chdir(tmp_path)
    label_table("t.csv", [*values, *gaps])
    line = ["classify", "--data", "t.csv", "--label-column", "y", "--epochs", "1", "--hidden", "3", "--latent-dim", "1", "--backend", "numpy"]
    assert main(line) == 2
    out, err = capsys.readouterr()
    assert words in err and "--label-column y looks continuous" in err and "say --classes" in err and err.count("\n") == 1, err
    assert not Path("classes.csv").exists()
    assert main([*line, "--classes"]) == 0
    assert "trained" not in capsys.readouterr().err and Path("classes.csv").exists()


def test_missing_labels_in_any_spelling(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for labels, classes in ((["cat", "NA", "dog", "?", "", "nan", "cat", "dog", "-1"], {"cat", "dog"}), (["1", "NA", "2", "", "2", "1"], {"1", "2"}),
                            ([str(2**70), "b", "NA", "b"], {str(2**70), "b"}), (["9" * 5000, "1", "9" * 5000, "1"], {"9" * 5000, "1"})):
        label_table("t.csv", labels)
        code = main(["classify", "--data", "t.csv", "--label-column", "y", "--epochs", "1", "--hidden", "3", "--latent-dim", "1", "--quiet"])
        assert code == 0, capsys.readouterr().err
        assert {line.split(",")[0] for line in Path("classes.csv").read_text().splitlines()[1:]} <= classes
