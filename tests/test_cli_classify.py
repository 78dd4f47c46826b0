"""``npvae classify``: few labels in files, classes in files."""

from __future__ import annotations

import csv
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from small import grey_rows
from test_semi_supervised import patterns

from npvae import VAE, LatentClassifier, SemiSupervisedVAE, TableImputer, plots
from npvae.cli import classes_out, classify, classify_rows, classify_train, common, main, parse
from npvae.errors import DataFileError, InputError, InputTypeError, TrainingInterrupted

QUICK = [
    "--epochs",
    "30",
    "--hidden",
    "10",
    "--latent-dim",
    "2",
    "--batch-size",
    "50",
    "--learning-rate",
    "0.01",
    "--schedule",
    "constant",
    "--backend",
    "numpy",
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
    assert (
        main(
            [
                "classify",
                "--data",
                "some.csv",
                "--label-column",
                "tree",
                "--predict",
                "all.csv",
                *QUICK,
                "--save",
                "m.npz",
            ]
        )
        == 0
    )
    assert "of 120 rows with a label" in capsys.readouterr().out
    assert SemiSupervisedVAE.load("m.npz").classes_.tolist() == [0, 1, 2]
    write_table("names.csv", x, NAMES[truth])
    assert (
        main(["classify", "--data", "names.csv", "--label-column", "tree", "--model", "m.npz", "--out", "n.csv"]) == 2
    )
    assert "cannot be compared" in capsys.readouterr().err


def test_counts_are_not_standardised():
    x, y, _ = patterns(0, 120, labels=30)
    np.savez("counts.npz", x=3.0 * x, y=y)
    assert main(["classify", "--data", "counts.npz", "--likelihood", "poisson", *QUICK]) == 0


@pytest.mark.parametrize(
    ("likelihood", "more", "expected"),
    [
        ("bernoulli", [], (3e-3, "cosine", 50)),
        ("gaussian_decoder", [], (1e-3, "constant", 100)),
        ("bernoulli", ["--method", "m1+m2"], (1e-3, "constant", 100)),
        (
            "bernoulli",
            ["--learning-rate", "0.02", "--schedule", "steps:1=0.5", "--batch-size", "30"],
            (0.02, "steps", 30),
        ),
    ],
)
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
    arguments = [
        "classify",
        "--data",
        "rows.npz",
        "--method",
        method,
        "--out",
        "classes.npz",
        "--save",
        "m.npz",
        *QUICK,
    ]
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
    assert (
        "latent dimensions of VAE(" in described
        and "classes     0, 1, 2" in described
        and "rows of shape (30,)" in described
    )


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


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
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
        (
            ["--model", "vae.npz"],
            "vae.npz holds a VAE, but --model of 'npvae classify' needs a SemiSupervisedVAE or a LatentClassifier",
        ),
    ],
)
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
    lines = [
        ",".join([*(f"{value:.4f}" for value in row), str(label)])
        for row, label in zip(grey_rows(len(labels)), labels, strict=True)
    ]
    Path(name).write_text("a,b,c,d,e,f,y\n" + "\n".join(lines) + "\n")


@pytest.mark.parametrize("gaps", [[], ["", "NA"]])
@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([20 + i % 61 for i in range(90)], "different numbers from 20 to 80"),
        ([f"{i / 7:.3f}" for i in range(90)], "not whole, such as 0.143"),
        ([f"person {i}" for i in range(90)], "90 different values in 90 rows"),
        ([10**6 + 17 * i for i in range(90)], "90 different numbers"),
    ],
)
def test_a_column_that_looks_continuous_is_refused_unless_it_holds_classes(
    tmp_path, monkeypatch, capsys, values, gaps, words
):
    monkeypatch.chdir(tmp_path)
    label_table("t.csv", [*values, *gaps])
    line = [
        "classify",
        "--data",
        "t.csv",
        "--label-column",
        "y",
        "--epochs",
        "1",
        "--hidden",
        "3",
        "--latent-dim",
        "1",
        "--backend",
        "numpy",
    ]
    assert main(line) == 2
    out, err = capsys.readouterr()
    assert (
        words in err and "--label-column y looks continuous" in err and "say --classes" in err and err.count("\n") == 1
    ), err
    assert not Path("classes.csv").exists()
    assert main([*line, "--classes"]) == 0
    assert "trained" not in capsys.readouterr().err and Path("classes.csv").exists()


def test_missing_labels_in_any_spelling(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for labels, classes in (
        (["cat", "NA", "dog", "?", "", "nan", "cat", "dog", "-1"], {"cat", "dog"}),
        (["1", "NA", "2", "", "2", "1"], {"1", "2"}),
        ([str(2**70), "b", "NA", "b"], {str(2**70), "b"}),
        (["9" * 5000, "1", "9" * 5000, "1"], {"9" * 5000, "1"}),
    ):
        label_table("t.csv", labels)
        code = main(
            [
                "classify",
                "--data",
                "t.csv",
                "--label-column",
                "y",
                "--epochs",
                "1",
                "--hidden",
                "3",
                "--latent-dim",
                "1",
                "--quiet",
            ]
        )
        assert code == 0, capsys.readouterr().err
        assert {line.split(",")[0] for line in Path("classes.csv").read_text().splitlines()[1:]} <= classes


# its steps, one by one, without training


def rows_of(x, codes=None, classes=None, divide_by=None):
    return classify_rows.Rows(
        np.asarray(x, float), codes, None if classes is None else np.array(classes), None, divide_by
    )


@pytest.fixture
def made(monkeypatch):
    """What the estimators are made of and fitted to, in the order of their making; nothing is trained."""
    made = []

    class Estimator:
        def __init__(self, features=None, **arguments):
            made.append((type(self).__name__, features, arguments))

        def fit(self, x, y, **how):
            made.append(("fit", x, y, how))
            if self.error is not None:
                raise TrainingInterrupted("training interrupted in epoch 3 of 9", self if self.error == "own" else None)

        error, history_, features_ = (
            None,
            SimpleNamespace(epochs=2),
            SimpleNamespace(history_=SimpleNamespace(epochs=1)),
        )

    for name in ("VAE", "SemiSupervisedVAE", "LatentClassifier"):
        monkeypatch.setattr(classify_train, name, type(name, (Estimator,), {}))
    made.append(Estimator)
    return made


BERNOULLI = {"learning_rate": 3e-3, "schedule": "cosine", "batch_size": 50}
OTHER = {"learning_rate": 1e-3, "schedule": "constant", "batch_size": 100}


@pytest.mark.parametrize(
    ("words", "x", "of_the_data", "likelihood", "divide_by", "standardize", "steps"),
    [
        ("", [0.0, 1.0], None, "bernoulli", 1.0, False, BERNOULLI),
        ("", [-0.001, 1.0], None, "gaussian_decoder", 1.0, True, OTHER),
        ("", [0.0, 1.001], None, "gaussian_decoder", 1.0, True, OTHER),
        ("", [0, 255], 255.0, "bernoulli", 255.0, False, BERNOULLI),
        ("", [0, 256], 255.0, "gaussian_decoder", 255.0, True, OTHER),
        ("--divide-by 256", [0, 256], 255.0, "bernoulli", 256.0, False, BERNOULLI),
        ("--divide-by 2", [0, 3], None, "gaussian_decoder", 2.0, False, OTHER),
        ("--likelihood gaussian_decoder", [0, 1], None, "gaussian_decoder", 1.0, False, OTHER),
        ("--likelihood squared_error", [0, 3], None, "squared_error", 1.0, True, OTHER),
        ("--likelihood student_t", [0, 3], None, "student_t", 1.0, True, OTHER),
        ("--likelihood poisson", [0, 3], None, "poisson", 1.0, False, OTHER),
        ("--likelihood bernoulli", [0, 3], None, "bernoulli", 1.0, False, BERNOULLI),
        ("--likelihood gaussian:variance=2", [0, 3], None, {"name": "gaussian", "variance": 2}, 1.0, True, OTHER),
        (
            "--batch-size 7 --schedule exponential:decay=0.5 --learning-rate 0.5",
            [0, 1],
            None,
            "bernoulli",
            1.0,
            False,
            {"learning_rate": 0.5, "schedule": {"name": "exponential", "decay": 0.5}, "batch_size": 7},
        ),
    ],
)
def test_what_m2_is_trained_with(made, words, x, of_the_data, likelihood, divide_by, standardize, steps):
    rows = rows_of([x], np.array([0]), ["a", "b"], of_the_data)
    model, code = classify_train.train(
        parse(["classify", *words.split(), "--quiet", "--alpha", "3", "--seed", "4"]), rows, np.array([1])
    )
    (kind, features, arguments), (_, fitted, y, how) = made[1:]
    assert (
        (kind, features, code) == ("SemiSupervisedVAE", None, 0) and type(model).__name__ == kind and fitted is rows.x
    )
    assert y == ["b"] and type(y[0]) is str and how == {"checkpoint": None, "checkpoint_seconds": 10.0, "resume": False}
    assert arguments == {
        "likelihood": likelihood,
        "alpha": 3.0,
        "classes": None,
        "divide_by": divide_by,
        "standardize": standardize,
        "backend": "auto",
        "threads": None,
        "random_state": 4,
        "verbose": False,
        "latent_dim": 50,
        "hidden": (500,),
        "activation": "softplus",
        "optimizer": "adam",
        "epochs": 50,
        **steps,
    }


@pytest.mark.parametrize(
    ("words", "x", "likelihood", "binarize"),
    [
        ("", [0, 1], "bernoulli", "dynamic"),
        ("--likelihood squared_error", [0, 3], "squared_error", "none"),
        ("--likelihood bernoulli", [0, 3], "bernoulli", "dynamic"),
        ("--divide-by 3", [0, 3], "bernoulli", "dynamic"),
    ],
)
def test_what_the_methods_on_features_are_trained_with(made, words, x, likelihood, binarize):
    rows, words = rows_of([x, x], np.array([0, -1]), [7, 9]), f"{words} --backend numba:products=own"
    for method, second, alpha in (
        ("m1", "LatentClassifier", {}),
        ("m1+m2", "SemiSupervisedVAE", {"alpha": 0.5, "classes": None}),
    ):
        del made[1:]
        model, _ = classify_train.train(
            parse(["classify", "--method", method, *words.split(), "--alpha", "0.5"]), rows, np.array([0, -1])
        )
        (first, _, of_features), (kind, features, arguments), (_, _, y, _) = made[1:]
        assert (first, kind, type(features).__name__, type(model).__name__) == ("VAE", second, "VAE", second) and y == [
            7,
            None,
        ]
        shared = {
            name: value for name, value in of_features.items() if name not in ("likelihood", "divide_by", "binarize")
        }
        assert shared.items() >= {**OTHER, "backend": {"name": "numba", "products": "own"}}.items() and arguments == (
            {**shared, **alpha} if alpha else {"classes": None}
        )
        assert (of_features["likelihood"], of_features["divide_by"], of_features["binarize"]) == (
            likelihood,
            3.0 if "--divide" in words else 1.0,
            binarize,
        )
    for x in ([0, 3], [-1, 0]):
        with pytest.raises(InputError, match="m1 and m1.m2 need data from 0 to 1, --divide-by, or a --likelihood"):
            classify_train.train(
                parse(["classify", "--method", "m1"]), rows_of([x], np.array([-1]), ["a"]), np.array([-1])
            )


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        (["b", "NA"], ["b", "NA"]),
        (["-1", "0"], ["-1", "0"]),
        ([0, -1], [0, -1]),
        (["None"], ["None"]),
        (["b", "-2"], None),
        ([0, 1], None),
    ],
)
def test_classes_that_look_like_no_label_are_said_to_the_model(made, classes, said):
    """--observed made labels of them; the model would take them for none."""
    rows = rows_of([[0.0, 1.0]] * 2, np.array([0, -1]), classes)
    for method, places in (("m2", [1]), ("m1", [2]), ("m1+m2", [2])):
        del made[1:]
        classify_train.train(parse(["classify", "--method", method]), rows, np.array([0, -1]))
        for place in places:
            assert made[place][0] in ("SemiSupervisedVAE", "LatentClassifier") and made[place][2].get("classes") == said
        assert made[-1][2] == [classes[0], None]


def test_an_interrupt_of_a_classifier_and_of_its_features(made, capsys):
    rows, estimator = rows_of([[0, 1]], np.array([-1]), ["a"]), made[0]
    for method, epochs in (("m2", 2), ("m1", 1), ("m1+m2", 2)):
        options = parse(["classify", "--method", method, "--epochs", "9", "--checkpoint", "c.npz"])
        estimator.error = "own"
        model, code = classify_train.train(options, rows, np.array([-1]))
        assert code == 130 and isinstance(model, estimator)
        goes_on = "; 'npvae classify --checkpoint c.npz --resume' goes on"
        assert (
            capsys.readouterr().err
            == f"npvae: interrupted after {epochs} of 9 epochs; classifying by the model so far{goes_on}\n"
        )
        estimator.error = "of its features"
        with pytest.raises(KeyboardInterrupt) as error:
            classify_train.train(options, rows, np.array([-1]))
        assert (
            str(error.value)
            == f"training interrupted in epoch 3 of 9, of the VAE of features: there is no classifier yet{goes_on}"
        )


def test_rows_with_and_without_their_column_of_labels(tmp_path):
    Path("t.csv").write_text("a,b,y\n1,2,oak\n3,4,\n5,6,elm\n")
    Path("numbers.csv").write_text("a,b,y\n1,2,0\n3,4,1\n5,6,1\n")
    Path("bare.csv").write_text("a,b\n1,2\n3,4\n5,6\n")
    Path("gaps.csv").write_text("a,b,y\n1,2,0\n3,4,\n5,6,1\n")
    for name in ("d.npz", "D.NPZ"):
        with open(name, "wb") as file:
            np.savez(file, x=[[1.0, 2.0], [3.0, 4.0]], y=[1, -1])
    np.savez("flat.npz", x=np.arange(3.0))
    np.savez("many.npz", x=np.zeros((90, 2)), y=10**6 + 17 * np.arange(90))
    options = parse(["classify", "--label-column", "y"])

    def found(source, part="train", width=None):
        rows = classify_rows.read_rows(options, source, part, width)
        labels = (
            None if rows.codes is None else [None if code < 0 else rows.classes.tolist()[code] for code in rows.codes]
        )
        return np.asarray(rows.x).shape, labels, rows.x.columns if rows.table is not None else rows.names

    for width in (None, 2):  # of what is predicted, the number of columns decides
        assert found("t.csv", width=width) == ((3, 2), ["oak", None, "elm"], ["a", "b"])
        assert found("numbers.csv", width=width) == ((3, 2), [0, 1, 1], ["a", "b"])
        assert found("gaps.csv", width=width) == ((3, 2), [0, None, 1], ["a", "b"])
        assert found("d.npz", width=width) == found("D.NPZ", width=width) == ((2, 2), [1, None], None)
    assert len(found("many.npz", "test", 2)[1]) == 90  # only what is learned from must not look continuous
    with pytest.raises(InputError, match="^many.npz: --label-column y looks continuous"):
        found("many.npz")
    assert found("numbers.csv", width=3) == ((3, 3), None, ["a", "b", "y"]) and found("bare.csv", width=2) == (
        (3, 2),
        None,
        ["a", "b"],
    )
    for source, width, words in (
        ("numbers.csv", 4, "a row of numbers.csv has 2 numbers, but the model's have 4"),
        ("d.npz", 3, "a row of d.npz has 2 numbers, but the model's have 3"),
        ("flat.npz", 3, "a row of flat.npz has 1 numbers, but the model's have 3"),
    ):
        with pytest.raises(InputError, match=f"^{words}$"):
            classify_rows.read_rows(options, source, "test", width)
    with pytest.raises(InputError, match="--label-column: unknown column 'y'"):
        found("bare.csv")
    with pytest.raises(DataFileError, match="t.csv: line 2, column 3 .'y'.: expected a number, got 'oak'"):
        classify_rows.read_rows(parse(["classify"]), "t.csv", "test", 3)
    digits = classify_rows.read_rows(parse(["classify"]), "digits", "test", 784)
    assert (
        digits.x.shape == (1000, 28, 28)
        and digits.width() == 784
        and digits.divide_by == 255.0
        and digits.classes.tolist() == list(range(10))
    )
    np.savez("short.npz", x=np.eye(3), y=[1, 2, 0.5])
    with pytest.raises(InputError, match="^short.npz: Unknown label type: y is continuous"):
        classify_rows.read_rows(options, "short.npz", "test")


def test_which_labels_are_given():
    rows = rows_of(np.zeros((6, 1)), np.array([0, 1, 0, 1, -1, 0]), ["a", "b"])
    assert classify_rows.given_labels(parse(["classify", "--data", "d.npz"]), rows).tolist() == [0, 1, 0, 1, -1, 0]
    for words in (["--data", "d.npz", "--labels", "3"], ["--data", "digits", "--labels", "3"]):
        given = classify_rows.given_labels(parse(["classify", *words]), rows)
        assert [int((given == code).sum()) for code in (0, 1)] == [2, 1] and (
            given == np.where(given >= 0, rows.codes, -1)
        ).all()
    by_seed = [
        classify_rows.given_labels(
            parse(["classify", "--data", "d.npz", "--labels", "2", "--seed", str(seed)]), rows
        ).tolist()
        for seed in range(9)
    ]
    assert any(given != by_seed[0] for given in by_seed)
    many = rows_of(np.zeros((500, 1)), np.arange(500) % 2, ["a", "b"])
    assert (classify_rows.given_labels(parse(["classify"]), many) >= 0).sum() == 200
    with pytest.raises(InputError, match="^8 labels need 4 rows of class a, but it has 3$"):
        classify_rows.given_labels(parse(["classify", "--labels", "8"]), rows)
    with pytest.raises(
        InputError, match="^digits has no labels: name their column with --label-column, or put them in an .npz as y$"
    ):
        classify_rows.given_labels(parse(["classify"]), rows_of([[0]]))
    with pytest.raises(InputError, match="^y has no labelled row"):
        classify_rows.given_labels(parse(["classify", "--data", "d.npz"]), rows_of([[0]], np.array([-1]), []))


def test_measured_numbers_are_names_if_the_command_says_so():
    labels = [None, *(i + 0.5 for i in range(30)), 0.1]
    for words, column in (([], "the array y"), (["--label-column", "c"], "--label-column c")):
        with pytest.raises(InputError, match=f"^{column} looks continuous, not like a class: "):
            classify_rows.names_of_classes(parse(["classify", *words]), labels)
    options = parse(["classify", "--classes"])
    assert classify_rows.names_of_classes(options, labels) == [None, *(f"{i}.5" for i in range(30)), "0.1"]
    texts, numbers = [f"person {i}" for i in range(30)], [3, 4, None, 3]
    assert (
        classify_rows.names_of_classes(options, texts) is texts
        and classify_rows.names_of_classes(parse(["classify"]), numbers) is numbers
    )
    for judged, classes in ((["a"], [1]), ([1], ["a"])):
        with pytest.raises(InputTypeError, match="cannot be compared"):
            classify_rows.refuse_other_labels(rows_of([[0]], np.array([0]), judged), np.array(classes))
    classify_rows.refuse_other_labels(rows_of([[0]]), np.array(["a"]))


def test_the_run_that_left_a_model():
    x, y = grey_rows(20), np.arange(20) % 2
    quick = {"latent_dim": 2, "hidden": (3,), "epochs": 1, "backend": "numpy", "random_state": 0}
    vae = VAE(**quick).fit(x)
    m1, m2 = LatentClassifier(vae).fit(x, y), SemiSupervisedVAE(**quick).fit(x, y)
    for model, part, name in ((m1, m1.features_, "m1.npz"), (m2, m2, "m2.npz"), (vae, vae, "vae.npz")):
        model.save(name)
        assert classify._run_that_left(name) is None
        part.trained_on_ = {"data": "x.npy", "label_column": None, "run": "ab" * 32}
        model.save(name)
        assert classify._run_that_left(name) == (None if model is vae else "ab" * 32)
    whole = Path("m2.npz").read_bytes()
    Path("m2.npz").write_bytes(whole[:-200])
    assert classify._run_that_left("m2.npz") is None and classify._run_that_left("nowhere.npz") is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--out o.csv", None),
        ("--out o.npz", None),
        ("--out o.npy", "--out o.npy must end in .csv or .npz"),
        ("--save s.csv", "--save s.csv must end in .npz"),
        ("--checkpoint c.csv", "--checkpoint c.csv must end in .npz"),
        ("--save s.npz --checkpoint c.csv", "--checkpoint c.csv must end in .npz"),
        ("--save s.npz --checkpoint s.npz", "--save s.npz and --checkpoint s.npz are one file"),
        (
            "--checkpoint c.npz",
            "--checkpoint c.npz holds a checkpoint of npvae, which is not written over; choose another name, or say "
            "--overwrite",
        ),
        (
            "--checkpoint new.npz --method m1+m2",
            "--checkpoint new-features.npz holds a checkpoint of npvae, which is not written over",
        ),
        ("--checkpoint c.npz --resume", None),
        ("--checkpoint new.npz --method m1+m2 --resume", None),
        ("--checkpoint new.npz --method m2", None),
        (
            "--checkpoint k.npz --method m1+m2",
            "--checkpoint k-features.npz holds an imputer of npvae, not a checkpoint",
        ),
        ("--checkpoint k.npz --method m1", None),
        (
            "--save imputer.npz",
            "--save imputer.npz holds an imputer of npvae, which is not written over; choose another name, or say "
            "--overwrite",
        ),
        ("--save imputer.npz --overwrite", None),
        ("--save imputer.npz --resume", None),
        ("--out imputer.npz --overwrite", "--out imputer.npz holds an imputer"),
        ("--pictures p", None),
        ("--pictures there", "--pictures there/classes.png is a folder"),
        ("--pictures p --method m1", classify.NO_PICTURES),
        ("--pictures p --method m1+m2", None),
        ("--model m.npz --pictures p --method m1", None),
        ("--data d.npz --out d.npz", "--out d.npz is the file of --data: d.npz is read from"),
        ("--predict d.npz --out d.npz", "--out d.npz is the file of --predict"),
        ("--model d.npz --out d.npz", "--out d.npz is the file of --model"),
        ("--model m.npz", None),
        *(
            (
                f"--model m.npz {more}",
                "--model uses a trained model as it is; leave out --save and --labels, and --classes",
            )
            for more in ("--save s.npz", "--labels 20", "--classes")
        ),
        ("--data d.npz --save run.npz", None),
        ("--data run.npz --save run.npz", "--save run.npz is the file of --data"),
        (
            "--save run.npz --out run.npz",
            "--out run.npz holds a model of npvae, which is not written over; choose another name",
        ),
    ],
)
def test_what_is_refused_before_anything_is_read(monkeypatch, words, message):
    gaps = grey_rows(12)
    gaps[::3, 1] = np.nan
    imputer = TableImputer(members=1, epochs=1, hidden=(3,), backend="numpy", imputation_samples=5, random_state=0).fit(
        gaps
    )
    for name in ("imputer.npz", "k-features.npz"):
        imputer.save(name)
    for name in ("c.npz", "new-features.npz"):
        np.savez(name, header=np.frombuffer(b'{"format": "npvae-checkpoint"}', np.uint8))
    Path("d.npz").write_bytes(b"data")
    Path("there/classes.png").mkdir(parents=True)
    if "run.npz" in words:
        model = SemiSupervisedVAE(latent_dim=2, hidden=(3,), epochs=1, backend="numpy", random_state=0).fit(
            grey_rows(12), np.arange(12) % 2
        )
        model.trained_on_ = {"data": "d.npz", "label_column": None, "run": "ab" * 32}
        model.save("run.npz")
    options = parse(["classify", *words.split()])
    if message is None:
        classify._check(options)
    else:
        with pytest.raises(InputError) as error:
            classify._check(options)
        assert str(error.value).startswith(message), error.value


@pytest.mark.parametrize(("method", "overwrite"), [("m2", False), ("m2", True), ("m1+m2", False)])
def test_what_a_run_says_writes_and_keeps(monkeypatch, capsys, method, overwrite):
    """A model of three classes that gives every row the class of its number of the largest column."""
    x = np.eye(3)[[0, 1, 2, 0, 1]]
    np.savez("d.npz", x=x, y=np.array([0, 1, 2, 1, -1]))
    np.savez("p.npz", x=x[:2], y=np.array([0, 2]))
    model = SimpleNamespace(
        classes_=np.arange(3),
        predict_proba=lambda x: np.asarray(x) * 0.8 + 0.1,
        save=lambda path: Path(path).write_text("model"),
    )
    if method == "m1+m2":
        model.features_ = SimpleNamespace()
    monkeypatch.setattr(classify_train, "train", lambda options, rows, given: (model, 130))
    monkeypatch.setattr(classify, "_run_that_left", lambda path: None)
    line = ["classify", "--data", "d.npz", "--save", "m.npz", "--method", method]
    assert main(line) == 130
    without = "; without: 1 of -1 (if that is a class: --observed=-1)"
    counts = [
        "classes of 5 rows: 0 2, 1 2, 2 1",
        "wrote m.npz, classes.csv",
    ]  # every label was given: nothing is left to judge by
    assert capsys.readouterr() == ("\n".join([f"5 rows, 4 of them with a label{without}", *counts, ""]), "")
    for part in filter(None, (model, getattr(model, "features_", None))):
        assert (
            part.trained_on_.keys() == {"data", "label_column", "run"}
            and part.trained_on_["data"] == "d.npz"
            and len(part.trained_on_["run"]) == 64
        )
    assert [row[0] for row in read_table("classes.csv")] == ["class", "0", "1", "2", "0", "1"]
    assert main([*line, "--labels", "3", "--predict", "p.npz", "--out", "-"]) == 130
    said = capsys.readouterr()
    assert said.out == "class,p(0),p(1),p(2)\n0,0.9,0.1,0.1\n1,0.1,0.9,0.1\n"
    judged = [
        "classes of 2 rows: 0 1, 1 1, 2 0",
        "of 2 rows with a label, 50.00 % are taken for another class",
        "wrote m.npz",
    ]
    assert said.err.splitlines() == [f"5 rows, 3 of them with a label{without}", *judged]
    assert main([*line, "--labels", "3", "--quiet"]) == 130 and capsys.readouterr() == ("", "")
    assert (
        main([*line[:3], "--labels", "3"]) == 130 and "of 1 rows whose label was not given, " in capsys.readouterr().out
    )
    x[0], names = 0.5, np.array(["a", "b"])
    np.savez("texts.npz", x=x[:2], y=names)
    assert main([*line, "--predict", "texts.npz"]) == 2 and "cannot be compared" in capsys.readouterr().err


def test_pictures_of_rows_are_refused_before_the_classes_are_written(monkeypatch, capsys):
    x, y = grey_rows(20), np.arange(20) % 2
    SemiSupervisedVAE(latent_dim=2, hidden=(3,), epochs=1, backend="numpy", random_state=0).fit(x, y).save("m2.npz")
    np.save("x.npy", x)
    assert main(["classify", "--data", "x.npy", "--model", "m2.npz", "--pictures", "p"]) == 2
    assert (
        "--pictures: rows of shape (6,) are not pictures" in capsys.readouterr().err
        and not Path("classes.csv").exists()
        and not Path("p").exists()
    )
    np.save("p.npy", x[:3])
    for more, rows in (([], 20), (["--predict", "p.npy"], 3)):
        assert (
            main(["classify", "--data", "x.npy", "--model", "m2.npz", "--quiet", *more]) == 0
            and len(read_table("classes.csv")) == 1 + rows
        )
    drawn = []
    monkeypatch.setattr(plots, "plot_classes", lambda model, random_state: ("classes", random_state))
    monkeypatch.setattr(plots, "plot_analogies", lambda model, x: ("analogies", len(x)))
    monkeypatch.setattr(plots, "save", lambda ax, path: drawn.append((*ax, str(path))))
    found = classes_out.pictures(None, x, parse(["classify", "--pictures", "p", "--seed", "4"]))
    assert drawn == [("classes", 4, "p/classes.png"), ("analogies", 10, "p/analogies.png")] and list(
        map(str, found)
    ) == [name for _, _, name in drawn]
    assert common.writable_folder("p") == classes_out.picture_folder(parse(["classify", "--pictures", "p"]), (2, 3))
