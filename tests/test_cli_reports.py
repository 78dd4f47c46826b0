"""What commands print and write of their results, word for word, against small results written by hand."""

from __future__ import annotations

import importlib.metadata
import io
import os
import re
import stat
import sys
import warnings
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from small import grey_rows, small_vae

from npvae import LatentClassifier, SemiSupervisedVAE, plots
from npvae.cli import (
    choices,
    classes_out,
    columns,
    common,
    gradcheck,
    impute,
    info,
    main,
    output,
    outputs,
    resuming,
    train,
)
from npvae.cli.classify_rows import Rows, without_missing
from npvae.data.tables.kinds import KINDS
from npvae.errors import (
    DataConversionWarning,
    DataScaleWarning,
    InputError,
    ManyClassesWarning,
    ModelFileError,
    PosteriorCollapseWarning,
    ResumedElsewhereWarning,
)
from npvae.training.history import History


@pytest.fixture(autouse=True)
def prepared():
    """As a command begins, whatever was printed by one before."""
    output.prepare()


def rows(codes=None, classes=None, what="with a label"):
    return Rows(np.zeros((4, 2)), codes, classes, None, None, what)


def test_the_report_of_classify():
    def report(classes, predicted, judged):
        lines = []
        classes_out.report(lines.append, np.array(classes), np.array(predicted), judged)
        return lines

    assert report(["a", "b"], ["a", "a", "b", "a"], rows()) == ["classes of 4 rows: a 3, b 1"]
    known = rows(np.array([0, 1, 1, -1]), np.array(["a", "b"]))
    assert report(["a", "b"], ["a", "a", "b", "a"], known)[1:] == [
        "of 3 rows with a label, 33.33 % are taken for another class"
    ]
    nobody = rows(np.array([-1] * 4), np.array(["a", "b"]))
    assert len(report(["a", "b"], ["a"] * 4, nobody)) == 1
    hidden = known.without(np.array([True, False, False, False]))
    assert hidden.codes.tolist() == [-1, 1, 1, -1]
    assert report(["a", "b"], ["b", "a", "b", "a"], hidden)[1:] == [
        "of 2 rows whose label was not given, 50.00 % are taken for another class"
    ]
    counts = ", ".join(f"{i} {int(i == 0)}" for i in range(12))
    assert report(range(12), [0], rows()) == [f"classes of 1 rows: {counts}"]
    assert report(range(13), [0], rows()) == [f"classes of 1 rows: {counts}, ..."]


def test_the_classes_of_rows_as_they_are_written(tmp_path):
    p, classes = np.array([[0.25, 0.75], [2 / 3, 1 / 3]]), np.array(["a", "b"])
    classes_out.write(tmp_path / "c.csv", classes, p)
    assert (tmp_path / "c.csv").read_bytes() == b"class,p(a),p(b)\nb,0.25,0.75\na,0.666667,0.333333\n"
    classes_out.write(tmp_path / "c.npz", classes, p)
    with np.load(tmp_path / "c.npz") as file:
        assert sorted(file) == ["classes", "probabilities", "y"]
        assert (
            file["y"].tolist() == ["b", "a"]
            and file["classes"].tolist() == ["a", "b"]
            and np.array_equal(file["probabilities"], p)
        )


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["1", "", "-3"], [1, None, -3]),
        (["1", "x", ""], ["1", "x", None]),
        (["9007199254740991", ""], [2**53 - 1, None]),
        (["9007199254740992", "1"], ["9007199254740992", "1"]),
        (["-9007199254740992", "1"], ["-9007199254740992", "1"]),
        (["", "?"], [None, None]),
    ],
)
def test_labels_of_files(labels, expected):
    options = Namespace(observed=[])
    assert without_missing(options, np.array([3, -1])) == ([3, None], "1 of -1 (if that is a class: --observed=-1)")
    assert without_missing(options, np.array(labels))[0] == expected
    assert without_missing(Namespace(observed=["NA"]), np.array(["NA", "?", "-1"])) == (
        ["NA", None, None],
        "1 missing, 1 of -1 (if that is a class: --observed=-1)",
    )
    assert without_missing(Namespace(observed=["-1"]), np.array([1, -1])) == ([1, -1], "")
    assert without_missing(options, np.array(["-1", "0", "+1"])) == (["-1", "0", "+1"], "")


def test_the_report_of_impute(capsys):
    column = lambda name, kind, values=(): SimpleNamespace(name=name, kind=kind, values=values)  # noqa: E731
    imputer = SimpleNamespace(
        schema_=SimpleNamespace(
            columns=[
                column("a", "continuous"),
                column("b", "categorical", tuple("uvwxyz")),
                column("c", "counts", tuple(range(7))),
            ]
        ),
        members_=[SimpleNamespace(error=0.5, normal_error=1.0), SimpleNamespace(error=0.25, normal_error=2.0)],
        imputation_samples=50,
    )
    observed = np.array([[1, 1, 1], [1, 0, 1], [1, 0, 0], [1, 1, 1]], bool)
    for sizes, few in (([1.0, 5.0, 5.0, 1.0], None), ([9, 4.9, 5, 9], "1 rests"), ([9, 1, 4, 1], "2 rest")):
        for text, words in (
            (None, ""),
            *(
                (SimpleNamespace(form=SimpleNamespace(has_names=has, names_line=3), columns="abc"), words)
                for has, words in ((True, ", names in line 3"), (False, ", no names"))
            ),
        ):
            chosen = [
                SimpleNamespace(name=name, missing=~observed[:, i], spellings={"": int((~observed[:, i]).sum())})
                for i, name in enumerate("abc")
            ]
            found = SimpleNamespace(filled_in=~observed, columns=["a", "b", "c"], effective_sample_size=np.array(sizes))
            impute._report(imputer, found, text, SimpleNamespace(chosen=chosen), ["o.csv", "-"])
            empty = " (empty)" if text else ""
            assert capsys.readouterr().out.splitlines() == [
                f"4 rows, 3 columns{words}; 3 cells filled in",
                "  a: continuous, 0 missing",
                f"  b: categorical (u, v, w, x, y, z), 2 missing{empty}",
                f"  c: counts (0, 1, 2, 3, 4, 5, ...), 1 missing{empty}",
                "squared error of cells held out, standardised (of names: of their probabilities): 0.375; of a normal "
                "distribution: 1.500",
                *(
                    []
                    if few is None
                    else [
                        f"of the rows filled in, {few} on fewer than 5 effective samples of z: unlike the others, or "
                        f"with a wild cell"
                    ]
                ),
                "wrote o.csv",
            ]


def test_names_of_drawn_tables_and_kinds():
    assert impute._numbered("folder/t.v1.csv", 12) == str(Path("folder/t.v1-12.csv"))
    assert columns._kind("a=b=counts") == ("a=b", "counts")
    for entry in ("counts", "=counts"):
        with pytest.raises(InputError, match=f"--kind must be COLUMN=KIND, got '{entry}'"):
            columns._kind(entry)


def test_the_last_losses_of_a_file():
    columns = {
        name: [9.0, number]
        for name, number in (
            ("loss", 1.5),
            ("reconstruction", 1.25),
            ("kl", 0.25),
            ("val_loss", 2.5),
            ("val_reconstruction", 2.0),
            ("val_kl", 0.5),
        )
    }
    history = SimpleNamespace(epochs=2, row=lambda i: {name: entries[i] for name, entries in columns.items()})
    training = "training    loss 1.500, reconstruction 1.250, KL 0.250"
    assert info._history_info(history) == [training, "validation  loss 2.500, reconstruction 2.000, KL 0.500"]
    for name in ("val_loss", "val_reconstruction", "val_kl"):
        del columns[name]
    assert info._history_info(history) == [training]
    assert info._history_info(History({})) == []


def test_what_is_installed(monkeypatch, tmp_path):
    monkeypatch.setattr(info, "THREAD_VARIABLES", ("ONE_NUM_THREADS", "TWO_NUM_THREADS", "THREE_NUM_THREADS"))
    monkeypatch.setenv("ONE_NUM_THREADS", "3")
    monkeypatch.setenv("THREE_NUM_THREADS", "")
    monkeypatch.setenv("NPVAE_HOME", str(tmp_path))
    monkeypatch.delenv("NPVAE_DATA", raising=False)
    lines = info._installation_info().splitlines()
    assert lines[2].endswith(", ONE_NUM_THREADS=3, THREE_NUM_THREADS=")
    assert (
        f"programs    {tmp_path / 'kernels'}" in lines
        and f"  cache       {tmp_path}" in lines
        and "  NPVAE_DATA  not set" in lines
    )
    assert "data sets   digits, mnist, fashion-mnist, binarized-mnist" in lines
    monkeypatch.setattr(info, "cache_folder", lambda: None)
    monkeypatch.setenv("NPVAE_DATA", "here")
    monkeypatch.delenv("ONE_NUM_THREADS")
    monkeypatch.delenv("THREE_NUM_THREADS")
    lines = info._installation_info().splitlines()
    kept = "not kept: there is no home folder; the environment variable NPVAE_HOME can name another folder"
    assert (
        f"programs    {kept}" in lines
        and f"  cache       {kept}" in lines
        and "  NPVAE_DATA  here" in lines
        and "_NUM_THREADS" not in lines[2]
    )


def test_a_download_on_a_terminal(monkeypatch, capsys):
    assert common._download_progress() is None  # no terminal
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    show = common._download_progress()
    for done, total in ((1, 4), (4, 4), (2_500_000, None)):
        show(done, total, "f.gz")
    assert capsys.readouterr().err == "\rfetching f.gz:  25%\rfetching f.gz: 100%\n\rfetching f.gz: 2.5 MB"
    monkeypatch.setattr(sys, "stderr", None)
    assert common._download_progress() is None


def test_where_a_command_runs(monkeypatch):
    own = {"name": "numba", "products": "own"}
    for words, where in (
        (["evaluate", "m.npz", "--threads", "2", "--backend", "numba:products=own"], {"backend": own, "threads": 2}),
        (["encode", "m.npz"], {"backend": "auto", "threads": None}),
        (["info", "m.npz"], {"backend": "auto", "threads": None}),
    ):
        assert common.where_to_run(options(*words)) == where
    asked = []
    monkeypatch.setattr(gradcheck.backends, "get", lambda choice: asked.append(choice))
    monkeypatch.setattr(gradcheck.own_gradients, "cases", lambda ops, seed: 1 // 0)  # no further
    with pytest.raises(ZeroDivisionError):
        gradcheck.run_command(options("gradcheck", "--backend", "numba:products=own"))
    assert asked == [own]


def test_the_part_of_a_data_set_and_how_it_is_fetched(monkeypatch):
    load, asked = common.load_dataset, []
    monkeypatch.setattr(common, "_download_progress", lambda: "a callback")
    monkeypatch.setattr(
        common, "load_dataset", lambda name, progress=None: asked.append((name, progress)) or load(name)
    )
    for part, rows in (("train", 4000), ("test", 1000)):
        x, y, names, divide_by = common.read_data(options("train"), part)
        assert x.shape == (rows, 28, 28) and y.shape == (rows,) and (names, divide_by) == (None, 255.0)
    assert asked == [("digits", "a callback")] * 2


def test_whether_the_data_of_a_model_are_taken():
    model = SimpleNamespace(trained_on_={"data": "digits", "label_column": None})
    given, chosen = options("encode", "m.npz", "--data", "x.npy"), options("encode", "m.npz")
    assert common.choose_data(given, model) is False and given.data == "x.npy"
    assert common.choose_data(chosen, model) is True and chosen.data == "digits"


def test_folders_and_models_by_their_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert [str(common.next_free_folder("r")) for _ in range(3)] == ["r", "r-2", "r-3"]
    assert common.model_path("r") == Path("r/model.npz") and common.model_path("m.npz") == Path("m.npz")
    assert (
        common.writable_folder("a/b") == Path("a/b")
        and Path("a/b").is_dir()
        and common.writable_folder("a/b") == Path("a/b")
    )
    Path("file").write_text("")
    with pytest.raises(NotADirectoryError, match="^file is a file, not a folder$"):
        common.writable_folder("file")


def test_text_that_would_command_a_terminal_is_shown():
    assert output.printable("a\x1b[2J\x07\x9b\u202e\u00e4\n\tb") == "a\\x1b[2J\\x07\\x9b\\u202e\u00e4\n\tb"


@pytest.mark.parametrize(
    ("names", "words"),
    [([], ""), (["-"], ""), (["a", "-", "b"], "a, b"), (list("abcd"), "a, b, c, d"), (list("abcde"), "a, b, ..., e")],
)
def test_files_that_were_written_in_a_line(names, words):
    assert outputs.written_words(names) == words


def test_the_suffix_says_the_form_and_a_stream_has_one_given(tmp_path):
    assert (
        outputs.suffix_of("a.NPY") == ".npy"
        and outputs.suffix_of("-") == ".csv"
        and outputs.suffix_of("-", ".json") == ".json"
    )
    assert outputs.suffix_of("a") == "" and outputs.target("a.npy") == "a.npy"
    assert str(outputs.target("-", ".tsv").__fspath__()) == "-.tsv"


def options(*words):
    from npvae.cli import parse

    return parse(list(words))


def test_the_command_line_that_a_checkpoint_keeps(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = resuming.words_of(
        options(
            "impute", "--data", "t.csv", "--out", "-", "--kind", "a=counts", "--kind", "b=binary", "--quiet", "--resume"
        )
    )
    assert found[0] == "impute" and {
        "--kind=a=counts",
        "--kind=b=binary",
        "--quiet",
        f"--data={tmp_path / 't.csv'}",
        "--out=-",
    } <= set(found)
    assert not any(
        word.startswith(("--resume", "--run", "--words", "--command", "--save", "--overwrite")) for word in found
    )
    assert resuming._parsed("c.npz", found, options("impute", "--data", "t.csv")).kind == ["a=counts", "b=binary"]
    assert "--data=digits" in resuming.words_of(options("train"))
    assert resuming.words_of(options("train", "--out", "\ud800")) is None
    of_length = lambda n: resuming.words_of(Namespace(command="impute", kind=["a"] * n))  # noqa: E731
    assert len(of_length(999)) == 1000 and of_length(1000) is None
    given = options("classify", "--alpha", "2", "--classes")
    assert resuming.words_of(Namespace(**dict(reversed(vars(given).items())))) == resuming.words_of(given)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["impute"], "c.npz belongs to a run of npvae impute, not of npvae train"),
        (["\x1b[2J"], "c.npz belongs to a run of npvae \\x1b[2J, not of npvae train"),
        (
            ["train", "--epochs=\x1b"],
            "c.npz keeps a command line that npvae train does not take: --epochs must be a whole number, got '\\\\x1b'",
        ),
        (["train", "--help"], "c.npz keeps a command line that npvae train does not take: 0"),
    ],
)
def test_a_command_line_of_a_checkpoint_that_is_none(words, message):
    with pytest.raises(ModelFileError) as error:
        resuming._parsed("c.npz", words, options("train"))
    assert str(error.value).startswith(message)


def test_what_a_run_is_made_of():
    """Its identity: everything that decides what is trained, and nothing else."""
    x, y = np.arange(6.0).reshape(2, 3), np.array([0, 1])
    given = ["classify", "--data", "d.npz"]

    def identity(*words, arrays=(x, y)):
        return resuming.identity(options(*given, *words), *arrays)

    same = (
        ["--data", "e.npz"],
        ["--out", "o.csv"],
        ["--save", "m.npz"],
        ["--overwrite"],
        ["--threads", "2"],
        ["--quiet"],
        ["--checkpoint", "c.npz"],
        ["--checkpoint-seconds", "3"],
        ["--resume"],
        ["--resume-anyway"],
        ["--pictures", "p"],
        ["--predict", "p.npz"],
    )
    assert {identity(), *(identity(*words) for words in same), identity(arrays=(np.asfortranarray(x), y))} == {
        identity()
    }
    other = (
        ["--epochs", "9"],
        ["--seed", "1"],
        ["--backend", "numpy"],
        ["--alpha", "2"],
        ["--method", "m1"],
        ["--labels", "2"],
        ["--classes"],
        ["--hidden", "3"],
        ["--label-column", "y"],
        ["--likelihood", "poisson"],
        ["--divide-by", "2"],
        ["--batch-size", "3"],
        ["--schedule", "cosine"],
    )
    arrays = ((x + 1, y), (x, 1 - y), (x.astype("float32"), y), (y, x), (x, y, y))
    found = [identity(), *(identity(*words) for words in other), *(identity(arrays=more) for more in arrays)]
    turned = Namespace(**dict(reversed(vars(options(*given)).items())))
    assert resuming.identity(turned, x, y) == found[0]
    assert len(set(found)) == len(found) and all(re.fullmatch("[0-9a-f]{64}", each) for each in found)


@pytest.mark.parametrize(
    ("begun", "now", "changed"),
    [
        ("--hidden 9", "", {}),
        ("--hidden 9", "--hidden 9", {}),
        ("--alpha 2 --labels 30", "--epochs 7 --threads 2 --quiet", {"epochs": 7, "threads": 2, "quiet": True}),
        (
            "--save s.npz --out o.csv",
            "--save t.npz --overwrite --predict digits --pictures p --checkpoint-seconds 3 --out -",
            {
                "save": "t.npz",
                "overwrite": True,
                "predict": "digits",
                "pictures": "p",
                "checkpoint_seconds": 3.0,
                "out": "-",
            },
        ),
        ("--backend numpy", "--backend numba --resume-anyway", {"backend": "numba"}),
        (
            "--hidden 9",
            "--hidden 8",
            "--hidden 8: the run in c.npz was begun with 9; leave --hidden out, or begin another run",
        ),
        (
            "",
            "--classes",
            "--classes True: the run in c.npz was begun without it; leave --classes out, or begin another run",
        ),
        (
            "",
            "--labels 3",
            "--labels 3: the run in c.npz was begun without it; leave --labels out, or begin another run",
        ),
        (
            "",
            "--backend numpy",
            "--backend numpy: the run in c.npz was begun with auto; leave --backend out, or give --resume-anyway, or "
            "begin another run",
        ),
        (
            "--data gone.npz",
            "",
            "the run in c.npz was begun on HERE/gone.npz, which is gone: put it back, or say with --data where it is",
        ),
        ("--data gone.npz", "--data there.npz", {"data": "there.npz"}),
    ],
)
def test_the_options_of_a_run_that_is_resumed(tmp_path, monkeypatch, begun, now, changed):
    monkeypatch.chdir(tmp_path)
    Path("c.npz").touch(), Path("there.npz").touch()
    kept = resuming.words_of(options("classify", *begun.split(), "--checkpoint", "c.npz"))
    given = options("classify", "--checkpoint", "c.npz", "--resume", *now.split())
    asked = []

    def command_of(path):
        asked.append(str(path))
        return kept

    if isinstance(changed, str):
        with pytest.raises(InputError) as error:
            resuming.of_checkpoint(given, "features", command_of=command_of)
        assert str(error.value) == changed.replace("HERE", str(tmp_path))
        return
    found = vars(resuming.of_checkpoint(given, "features", command_of=command_of))
    before = vars(options(*kept))
    expected = {
        **before,
        "checkpoint": "c.npz",
        "resume": True,
        "resume_anyway": "--resume-anyway" in now,
        "words": given.words,
        **changed,
    }
    parsers = {found.pop("parser"), expected.pop("parser")}
    assert found == expected and len(parsers) == 2 and asked == ["c.npz"]


def test_the_checkpoint_beside_and_options_that_need_each_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = options("classify", "--checkpoint", "c.npz", "--resume")
    asked = []
    for there in ((), ("c-features.npz",), ("c-features.npz", "c.npz")):
        for name in there:
            Path(name).touch()
        assert resuming.of_checkpoint(given, "features", command_of=lambda path: asked.append(str(path))) is given
    assert asked == ["c-features.npz", "c.npz"]
    for words in ([], ["--checkpoint", "c.npz"]):  # nothing is resumed
        plain = options("classify", *words)
        assert resuming.of_checkpoint(plain, "features", command_of=None) is plain
    for words, message in (
        (["--resume"], "--resume needs --checkpoint: the file of the run to go on with"),
        (["--resume-anyway"], "--resume needs --checkpoint"),
        (
            ["--model", "m.npz", "--checkpoint", "c.npz"],
            "--model uses a trained model as it is; leave out --checkpoint",
        ),
        (["--checkpoint", "-"], "--checkpoint -: a checkpoint is read back from an ordinary file; give it a name"),
    ):
        with pytest.raises(InputError, match=f"^{message}"):
            resuming.of_checkpoint(options("classify", *words))
    anyway = resuming.of_checkpoint(options("classify", "--checkpoint", "new.npz", "--resume-anyway"))
    assert anyway.resume is True and resuming.mode(anyway) == "anyway"
    file = resuming.file_of(given)
    assert (
        file.path == Path("c.npz")
        and file.command == resuming.words_of(given)
        and resuming.file_of(options("classify")) is None
    )


def test_how_a_run_goes_on():
    assert resuming.how_to_go_on(Namespace(checkpoint=None, command="impute")) == ""
    assert (
        resuming.how_to_go_on(Namespace(checkpoint="c.npz", command="impute"))
        == "; 'npvae impute --checkpoint c.npz --resume' goes on"
    )
    for resume, anyway, expected in ((False, False, False), (True, False, True), (True, True, "anyway")):
        assert resuming.mode(Namespace(resume=resume, resume_anyway=anyway)) == expected


def test_the_end_of_a_check_of_gradients(monkeypatch, capsys):
    def row(name, shape, error, passed):
        return SimpleNamespace(
            name=name, shape=shape, checked="all", error=error, passed=passed, where="[0]", analytic=1.5, numeric=-2.0
        )

    def case(title, *found):
        report = SimpleNamespace(rows=found, worst=max(found, key=lambda each: each.error))
        return SimpleNamespace(title=title, rtol=1e-6, check=lambda seed: report)

    right, scalar, wrong = row("a", (2, 3), 1e-9, True), row("b", (), 2e-9, True), row("c", (4,), 0.5, False)
    for cases, code, end in (
        (
            [case("one", right), case("two", scalar)],
            0,
            "2 tensors checked on the numpy backend, worst relative error 2.0e-09: every gradient is right",
        ),
        (
            [case("one", right, wrong), case("two", scalar)],
            1,
            "3 tensors checked on the numpy backend, worst relative error 5.0e-01: 1 GRADIENTS ARE WRONG",
        ),
    ):
        monkeypatch.setattr(gradcheck.own_gradients, "cases", lambda ops, seed, cases=cases: cases)
        assert gradcheck.run_command(options("gradcheck", "--backend", "numpy")) == code
        lines = capsys.readouterr().out.splitlines()
        assert lines[1] == "one (bound 1e-06)" and lines[-1].startswith(end)
        assert (
            f"{'a':<24} {'2x3':<12} {'all':<26} {'1.0e-09':>20}  ok" in lines
            and f"{'b':<24} {'scalar':<12} {'all':<26} {'2.0e-09':>20}  ok" in lines
        )
        failed = f"{'c':<24} {'4':<12} {'all':<26} {'5.0e-01':>20}  FAIL"
        assert (failed in lines) == ("    at [0]: by hand 1.5, by differences -2" in lines) == (code == 1)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("FALSE", False),
        ("3", 3),
        ("-3", -3),
        ("0.5", 0.5),
        ("1+2", [1, 2]),
        ("1+x", "1+x"),
        ("x", "x"),
        ("9e149", 9e149),
        ("", ""),
    ],
)
def test_values_of_choices(text, value):
    found = choices.parse_choice(f"name:key={text}")["key"]
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize("text", ["1e150", "-1e150", "inf", "-Infinity", "nan", "1" * 41])
def test_values_of_choices_that_are_too_large(text):
    with pytest.raises(InputError, match="has a number that is not finite or far too large"):
        choices.parse_choice(f"name:key={text}")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(28, "No space left on device", "a/b"), "a/b: No space left on device"),
        (OSError(28, "No space left on device"), "[Errno 28] No space left on device"),
        (OSError("in words"), "in words"),
        (FileNotFoundError("no model at 'a'"), "no model at 'a'"),
        (OSError(9, "it is closed", 3), "[Errno 9] it is closed: 3"),
        (MemoryError("8 GB"), "there is not enough memory: 8 GB"),
        (InputError("two\n  lines"), "two lines"),
        (OSError(), "OSError"),
        ("interrupted", "interrupted"),
    ],
)
def test_an_error_in_a_line(capsys, error, line):
    from npvae.cli import _fail

    assert _fail(error, 2) == 2 and _fail(error, 130) == 130
    assert capsys.readouterr().err == f"npvae: {line}\n" * 2


def test_what_is_said_leaves_standard_output_to_data(capsys):
    output.prepare()
    output.say("one")
    output.tell("two")
    output.keep_stdout_for_data()
    output.say("three")
    output.prepare()  # the next command
    output.say("four")
    assert capsys.readouterr() == ("one\nfour\n", "two\nthree\n")


# train


def trained(stop_reason="finished", best_epoch=None, **columns):
    """What a report needs of a trained VAE: the last row of its history, and how it ended."""
    row = {"loss": 1.5, "reconstruction": 1.25, "kl": 0.25, "active_units": 3, **columns}
    likelihood = SimpleNamespace(reconstruction_label="cross-entropy")
    return SimpleNamespace(
        history_=SimpleNamespace(row=lambda i: {-1: row}[i], epochs=2),
        stop_reason_=stop_reason,
        best_epoch_=best_epoch,
        epochs=4,
        model_=SimpleNamespace(likelihood=likelihood, architecture=SimpleNamespace(latent_dim=5)),
    )


def test_the_report_of_a_training():
    training = "training    loss     1.500  cross-entropy     1.250  KL   0.250  nats a row"
    validation = "validation  loss     2.500  cross-entropy     2.000  KL   0.500  nats a row"
    validated = {"val_loss": 2.5, "val_reconstruction": 2.0, "val_kl": 0.5, "val_active_units": 4}
    active, of_validation = "3 of 5 latent dimensions active; 2.0 s", "4 of 5 latent dimensions active; 2.0 s"
    kept = "kept the parameters of epoch 7, of the best validation ELBO"
    for vae, lines in (
        (trained(), [training, active]),
        (trained(**validated), [training, validation, of_validation]),
        (trained("interrupted"), [training, active]),
        (trained("no better ELBO for 2 epochs"), [training, active, "stopped: no better ELBO for 2 epochs"]),
        (trained(best_epoch=7, **validated), [training, validation, of_validation, kept]),
        (trained("interrupted", 7, **validated), [training, validation, of_validation, kept]),
    ):
        assert train._result(vae, 2.0).splitlines() == lines


def test_the_model_of_a_run_that_ctrl_c_ended(tmp_path, capsys):
    vae = trained("interrupted")
    goes_on = f"'npvae train --out {tmp_path} --resume' goes on"
    for epochs, overwrite, there, kept, words in (
        (0, False, False, False, "after 0 of 4 epochs: there is no model of it yet"),
        (2, False, False, True, "after 2 of 4 epochs; the model so far is kept"),
        (2, True, False, True, "after 2 of 4 epochs; the model so far is kept"),
        (2, False, True, True, "after 2 of 4 epochs; the model so far is kept"),
        (2, True, True, False, f"after 2 of 4 epochs: {tmp_path / 'model.npz'} is still what it was before"),
    ):
        vae.history_.epochs = epochs
        (tmp_path / "model.npz").touch() if there else (tmp_path / "model.npz").unlink(missing_ok=True)
        assert train._is_kept(vae, 4, Namespace(overwrite=overwrite), tmp_path) is kept
        assert capsys.readouterr().err == f"npvae: interrupted {words}; {goes_on}\n"


def test_the_pictures_of_a_training_show_its_first_rows(tmp_path, monkeypatch):
    """10,000 codes, 20 reconstructions, 100 samples; of pictures alone the last two, and of two latent dimensions
    their plane.
    """
    drawn = {}
    monkeypatch.setattr(plots, "plot_loss", lambda history: drawn.update(loss=history) or "loss")
    monkeypatch.setattr(
        plots,
        "plot_latent",
        lambda mu, labels: drawn.update(latent=(len(mu), None if labels is None else labels[-1])) or "latent",
    )
    monkeypatch.setattr(
        plots, "plot_reconstructions", lambda vae, x: drawn.update(reconstructions=x.tolist()) or "reconstructions"
    )
    monkeypatch.setattr(plots, "plot_samples", lambda images: drawn.update(samples=images.shape) or "samples")
    monkeypatch.setattr(plots, "plot_manifold", lambda vae: drawn.update(manifold=True) or "manifold")
    monkeypatch.setattr(plots, "save", lambda ax, path: path.write_text(ax))
    vae = trained()
    vae.transform, vae.sample = np.asarray, lambda n: np.zeros((n, 6))
    shown = np.arange(10_002)
    for shape, latent_dim, labels, more in (
        ((6,), 2, None, []),
        ((2, 3), 2, shown, ["reconstructions.png", "manifold.png"]),
        ((2, 3), 3, shown, ["reconstructions.png", "samples.png"]),
    ):
        drawn.clear()
        vae.sample_shape_, vae.model_.architecture.latent_dim = shape, latent_dim
        names = train._pictures(
            vae,
            SimpleNamespace(
                first_rows=lambda count, labels=labels: (shown[:count], labels if labels is None else labels[:count]),
                is_table=False,
            ),
            tmp_path,
        )
        assert names == ["loss.png", "latent.png", *more] and all(
            (tmp_path / name).read_text() == name[:-4] for name in names
        )
        expected = {"loss": vae.history_, "latent": (10_000, None if labels is None else 9_999)}
        if more:
            expected["reconstructions"] = list(range(20))
            expected |= {"manifold": True} if latent_dim == 2 else {"samples": (100, 2, 3)}
        assert drawn == expected


# info


def test_what_is_in_the_file_of_a_model(monkeypatch):
    """Of M1 the training of its features is told, and of M1+M2 how their data were scaled."""
    monkeypatch.setattr(info, "model_summary", lambda model: f"summary of {model.architecture.latent_dim}")
    x, y = grey_rows(40), np.arange(40) % 2
    quick = {"latent_dim": 2, "hidden": (4,), "epochs": 1, "backend": "numpy"}
    vae = small_vae(latent_dim=4, divide_by=2.0, backend="numpy", random_state=5).fit(2.0 * x)
    pictures = small_vae(latent_dim=2, binarize="static", backend="numpy").fit(x.reshape(40, 2, 3))
    m2 = SemiSupervisedVAE(**quick, likelihood="gaussian_decoder", standardize=True, random_state=6).fit(x, y)
    m1, m1_m2 = LatentClassifier(vae).fit(2.0 * x, y), SemiSupervisedVAE(vae, **quick, random_state=7).fit(2.0 * x, y)

    def losses(model):
        row = model.history_.row(-1)
        return f"training    loss {row['loss']:.3f}, reconstruction {row['reconstruction']:.3f}, KL {row['kl']:.3f}"

    note = ["note        of grey values a bernoulli likelihood gives a cross-entropy, not a log-likelihood"]
    scaled = "data        rows of shape (6,), divided by 2"
    classes = "classes     0, 1"
    features = [f"features    {len(m1.used_dimensions_)} latent dimensions of {vae!r}"]
    of_features = [f"features    {len(m1_m2.used_dimensions_)} latent dimensions of {m1_m2.features_!r}"]
    for model, size, lines in (
        (vae, 4, [scaled, "run         3 epochs, finished; seed 5", losses(vae), *note]),
        (
            pictures,
            2,
            [
                "data        pictures of shape (2, 3), divided by 1",
                "run         3 epochs, finished; seed 1",
                losses(pictures),
            ],
        ),
        (
            m2,
            2,
            [
                "data        rows of shape (6,), divided by 1, standardised",
                "run         1 epochs, finished; seed 6",
                classes,
                losses(m2),
            ],
        ),
        (m1, 4, [scaled, "run         3 epochs, finished; seed 5", classes, *features, losses(m1.features_), *note]),
        (m1_m2, 2, [scaled, "run         1 epochs, finished; seed 7", classes, *of_features, losses(m1_m2)]),
    ):
        assert info._model_info(model) == [repr(model), "", f"summary of {size}", "", *lines]


def test_what_is_in_a_checkpoint_and_in_an_imputer(monkeypatch):
    monkeypatch.setattr(info, "model_summary", lambda model: f"summary of {model}")
    history = SimpleNamespace(epochs=0)
    for reason, epoch, end in (
        (None, 2, "goes on"),
        (None, 3, "finished"),
        ("no better ELBO", 2, "no better ELBO"),
        ("finished", 3, "finished"),
    ):
        state = SimpleNamespace(stop_reason=reason, epoch=epoch, step=8, history=history)
        monkeypatch.setattr(
            info, "inspect_checkpoint", lambda path, kind, state=state: (state, path, SimpleNamespace(epochs=3, seed=7))
        )
        assert info._checkpoint_info("c.npz") == [
            "checkpoint of a run of 3 epochs; --resume, or fit(resume=True), goes on from it",
            "",
            "summary of c.npz",
            "",
            f"run         {epoch} epochs, 8 steps, {end}; seed 7",
        ]

    class Imputer(SimpleNamespace):
        def __repr__(self):
            return "TableImputer()"

    columns = [
        KINDS["counts"]("a"),
        KINDS["binary"]("b", values=(0.0, 1.0)),
        KINDS["categorical"]("c", values=tuple("stuvwxy")),
        KINDS["continuous"]("d", form="date"),
    ]
    members = [SimpleNamespace(model="one", error=0.25), SimpleNamespace(model="two", error=0.5)]
    listed = [
        "  a: counts",
        "  b: binary (0.0, 1.0)",
        "  c: categorical (s, t, u, v, w, x, ...)",
        "  d: continuous of dates",
    ]
    for carried, lines in (
        ({}, []),
        ({"id": "identifiers", "x": "empty"}, ["carried     2: id (identifiers), x (empty)"]),
    ):
        assert info._imputer_info(
            Imputer(
                schema_=SimpleNamespace(columns=columns),
                members_=members,
                seed_=9,
                carried_=carried,
                out_of_time_=False,
            )
        ) == [
            "TableImputer()",
            "",
            "summary of one",
            "",
            "columns     4: 1 continuous, 1 counts, 1 binary, 1 categorical",
            *listed,
            *lines,
            "members     2, errors of hidden cells 0.250, 0.500; seed 9",
        ]
    many = Imputer(
        schema_=SimpleNamespace(columns=columns[:1] * 31),
        members_=members,
        seed_=9,
        carried_={f"c{i}": "empty" for i in range(31)},
        out_of_time_=False,
    )
    lines = info._imputer_info(many)
    assert (
        lines.count("  a: counts") == 30
        and lines[-3] == "  ... and 1 more"
        and lines[-2].startswith("carried     31: c0 (empty), ")
        and "c30" not in lines[-2]
    )
    many.schema_.columns = columns[:1] * 30
    assert not any("more" in line for line in info._imputer_info(many))


def test_versions_of_packages(monkeypatch):
    there = {"tqdm": "4.1", "cupy-cuda13x": "13.5", "cupy": "12.0"}

    def version(name):
        if name not in there:
            raise importlib.metadata.PackageNotFoundError(name)
        return there[name]

    monkeypatch.setattr(importlib.metadata, "version", version)
    for name in info.THREAD_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert [info._version(name) for name in ("tqdm", "numba", "cupy")] == ["4.1", "not installed", "13.5"]
    monkeypatch.setattr(info.backends, "KNOWN", {"numpy": info.backends.KNOWN["numpy"], "other": None})
    monkeypatch.setattr(info.backends, "reason_against", {"numpy": None, "other": "no such thing"}.get)
    assert info._backend("numpy").startswith("NumPy") and info._backend("other") == "cannot run here: no such thing"
    monkeypatch.setattr(info.blas, "name", lambda: "some BLAS")
    lines = info._installation_info().splitlines()
    assert [line for line in lines if line.startswith("  ")][:2] == [
        f"  numpy       {info._backend('numpy')}",
        "  other       cannot run here: no such thing",
    ]
    assert (
        "  matplotlib  not installed (pictures)" in lines
        and "  cupy        13.5 (CUDA kernels)" in lines
        and lines[2].endswith("BLAS: some BLAS")
    )


def test_the_gradients_of_a_model_are_checked_at_its_own_parameters(tmp_path, monkeypatch):
    vae = small_vae(backend="numpy").fit(grey_rows())
    vae.save(tmp_path / "m.npz")
    found = {}
    monkeypatch.setattr(
        gradcheck.own_gradients,
        "model_case",
        lambda ops, architecture, generator, **more: found.update(
            more, latent_dim=architecture.latent_dim, drawn=generator.random()
        ),
    )
    gradcheck._model_case(options("gradcheck", "--model", str(tmp_path / "m.npz"), "--seed", "3"), None)
    theta = found.pop("theta")
    assert theta.dtype == np.float64 and np.array_equal(theta, vae.theta_)
    assert found == {
        "rows": 16,
        "title": f"negative ELBO of {tmp_path / 'm.npz'}",
        "latent_dim": 2,
        "drawn": np.random.default_rng(3).random(),
    }


# what commands share


def test_columns_with_names_are_an_array():
    values = np.ones((3, 2), np.float32)
    named = common.with_names(values, ["a", "b"])
    assert named.columns == ["a", "b"] and len(named) == 3 and common.with_names(values, None) is values
    assert np.asarray(named) is values and np.asarray(named, dtype="float64").dtype == np.float64


def test_a_model_that_was_not_trained_to_its_end_is_told_of(capsys):
    whole = SimpleNamespace(stop_reason_="finished", history_=SimpleNamespace(epochs=1))
    for reason, epochs, words in (
        ("finished", 2, None),
        ("interrupted", 1, None),
        ("a number was not finite", 1, "after 1 epoch: a number was not finite"),
        (None, 2, "after 2 epochs: None"),
        ("interrupted", 0, "after 0 epochs: interrupted"),
    ):
        part = SimpleNamespace(stop_reason_=reason, history_=SimpleNamespace(epochs=epochs))
        for model in (part, SimpleNamespace(features_=part), SimpleNamespace(**vars(whole), features_=part)):
            common._say_if_untrained(model, "m.npz")
            assert capsys.readouterr().err == (
                "" if words is None else f"npvae: the training of m.npz did not end well, {words}\n"
            )


def test_a_folder_that_cannot_be_written_to(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(os, "access", lambda path, mode: asked.append((path, mode)))
    with pytest.raises(PermissionError, match=f"the folder {re.escape(str(tmp_path))} cannot be written to"):
        common.writable_folder(str(tmp_path))
    assert asked == [(tmp_path, os.W_OK)]


@pytest.mark.parametrize(
    "kind", [DataConversionWarning, DataScaleWarning, PosteriorCollapseWarning, ResumedElsewhereWarning]
)
def test_warnings_of_the_library_are_lines_each_once(capsys, kind):
    for _ in range(2):  # two commands
        with warnings.catch_warnings():
            common.say_conversions_once(Namespace(batch_size=3))
            for text in ("X holds integers: batch_size", "X_valid holds integers: batch_size", "X_valid_holds"):
                warnings.warn(kind(text), stacklevel=1)
            warnings.warn(ManyClassesWarning("many"), stacklevel=1)
        assert capsys.readouterr().err == "npvae: X holds integers: --batch-size\nnpvae: X_valid_holds\n"


def test_options_without_long_names_change_nothing():
    assert (
        common.with_flags("beta (of z)", Namespace(beta=1.0)) == "beta (of z)"
        and common.with_flags("no_plots", Namespace(no_plots=1)) == "--no-plots"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "--data", "nothing.csv"], "nothing.csv: No such file or directory"),
        (["train", "--data", "plain"], "unknown file type ''; known: "),
        (
            ["train", "--data", "nothing"],
            "--data 'nothing' is neither a known data set (digits, mnist, fashion-mnist, binarized-mnist) nor a file",
        ),
        (["train", "--data", "."], "--data '.' is neither a known data set"),
        (["classify", "--predict", "nothing"], "--predict 'nothing' is neither a known"),
        (["train", "--data", "x.npy", "--label-column", "3"], "--label-column: for text tables, not for .npy files\n"),
        (
            ["train", "--data", "x.csv", "--label-column", "3"],
            "--label-column 3 is outside a table of 2 columns (0 to 1)",
        ),
        (["train", "--data", "x.csv", "--label-column", "c"], "--label-column: unknown column 'c'; known: 'a', 'b'"),
        (
            ["train", "--data", "x.csv", "--patience", "2"],
            "--patience needs --validation-fraction: what it waits for is a better validation ELBO",
        ),
        (
            ["train", "--patience", "2"],
            "--patience needs --validation-fraction: the test part must not choose the model",
        ),
        (["sample", "vae.npz", "--label", "3"], "--label needs a model of 'npvae classify': this one knows no classes"),
        (
            ["sample", "vae.npz", "--out", "s.png"],
            "--out s.png: samples of shape (6,) are not pictures; give it a .csv or .npy name",
        ),
        (
            ["reconstruct", "vae.npz", "--data", "x.npy", "--out", "s.png"],
            "--out s.png: rows of shape (6,) are not pictures; give it a .csv or .npy name",
        ),
        (["sample", "nowhere", "--out", "x.doc"], "--out x.doc must end in .png or .npy or .npz or .csv"),
        (["reconstruct", "nowhere", "--out", "x.doc"], "--out x.doc must end in .png or .npy or .npz or .csv"),
        (["encode", "nowhere", "--out", "x.doc"], "--out x.doc must end in .npy or .npz or .csv"),
        (["evaluate", "nowhere", "--json", "no/e.json"], "the folder of --json no/e.json does not exist"),
        (["train", "--fly", "--epochs", "3"], "unrecognized arguments: --fly; see 'npvae --help'"),
        (["train", "--epochs"], "--epochs: expected one argument; see 'npvae train --help'"),
        (["sample", "m", "-n", "0"], "--number must be at least 1, got '0'; see 'npvae sample --help'"),
    ],
)
def test_the_line_of_a_bad_usage(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    Path("plain").write_text("1,2\n")
    Path("x.csv").write_text("a,b\n0,1\n1,0\n")
    np.save("x.npy", grey_rows())
    if "vae.npz" in words:
        small_vae(backend="numpy").fit(grey_rows()).save("vae.npz")
    assert main(words) == 2
    assert capsys.readouterr().err.startswith(f"npvae: {message}")


@pytest.mark.parametrize("command", ["encode", "reconstruct", "evaluate"])
def test_the_file_of_a_data_set_that_the_model_remembers_is_an_input(tmp_path, monkeypatch, capsys, command):
    monkeypatch.chdir(tmp_path)
    vae = small_vae(backend="numpy").fit(grey_rows())
    vae.trained_on_ = {"data": "digits", "label_column": None}
    vae.save("vae.npz")
    os.symlink(Path(common.load_dataset.__code__.co_filename).parent / "digits.npz", "o.npz")
    flag = "--json" if command == "evaluate" else "--out"
    assert main([command, "vae.npz", flag, "o.npz"]) == 2
    assert (
        capsys.readouterr().err
        == f"npvae: {flag} o.npz is the file of --data: digits is read from; choose another name\n"
    )


def test_choices_word_for_word():
    assert choices.parse_choice("a:") == {"name": "a"} and choices.parse_choice("a:x=1,,y=TRUE,") == {
        "name": "a",
        "x": 1,
        "y": True,
    }
    for text, part in (("a:x", "x"), ("a:=3", "=3"), ("a:x=1,y", "y")):
        with pytest.raises(
            InputError, match=f"^'{text}' is not of the form name:key=value,key=value \\(at '{part}'\\)$"
        ):
            choices.parse_choice(text)
    for text, key in (("a:x=1,x=1", "x"), ("a:name=b", "name")):
        with pytest.raises(InputError, match=f"^'{text}' gives '{key}' twice$"):
            choices.parse_choice(text)
    assert (
        choices.parse_schedule("steps:1=0.5") == {"name": "steps", "factors": {"1": 0.5}}
        and choices.parse_schedule("steps") == "steps"
    )
    for text in ("steps:", "steps:0=0.5", "steps:x=0.5", "steps:2=0.5,-1=0.1"):
        with pytest.raises(InputError, match=f"^'{text}' is not of the form steps:EPOCH=FACTOR,EPOCH=FACTOR$"):
            choices.parse_schedule(text)
    assert choices.parse_widths("NONE") == choices.parse_widths("") == () and choices.parse_widths(
        " 1, 2147483647"
    ) == (1, 2**31 - 1)
    for text in ("0", "3,0", "2147483648", "x,3"):
        with pytest.raises(
            InputError, match=f"^--wide must be widths of at least 1 such as 256 or 500,200, or none, got '{text}'$"
        ):
            choices.parse_widths(text, "--wide")
    with pytest.raises(InputError, match="^--hidden must be widths"):
        choices.parse_widths("0")


# the program itself

#: Every option of every command that has a default, as its help tells it, and those that have none.
BACKEND, SEED, LABELLED = {"backend": "auto"}, {"seed": 0}, {"label_column": None}
RESUMED = {"resume": False, "resume_anyway": False, "checkpoint_seconds": 10.0}
READ = {
    **dict.fromkeys(("encoding", "separator", "decimal", "skip", "comment", "header", "header_rows", "sheet")),
    "missing": [],
    "observed": [],
    "ignore": [],
}
OF_A_MODEL = {"model": "m.npz", "data": None, "part": "test", **LABELLED, **READ, "unseen": "error", **BACKEND}
PARSED = {
    "train": {
        "preset": None,
        "data": "digits",
        **LABELLED,
        **READ,
        "out": None,
        **RESUMED,
        "overwrite": False,
        "latent_dim": None,
        "hidden": None,
        "decoder_hidden": None,
        "activation": None,
        "likelihood": None,
        "allow_missing": False,
        "linear_path": False,
        "kind": [],
        "dtype": "float32",
        "objective": None,
        "epochs": None,
        "batch_size": None,
        "optimizer": None,
        "learning_rate": None,
        "schedule": "constant",
        "clip_norm": None,
        "beta": 1.0,
        "kl_warmup": "0",
        "validation_fraction": None,
        "patience": None,
        "min_delta": 0.0,
        "binarize": "none",
        "initial_weights": "glorot",
        "output_bias": "auto",
        "divide_by": None,
        **SEED,
        **BACKEND,
        "threads": None,
        "quiet": False,
        "no_plots": False,
    },
    "evaluate m.npz": {
        **OF_A_MODEL,
        "rows": None,
        "samples": 1000,
        "at_once": None,
        "json": None,
        "seed": None,
        "threads": None,
        "quiet": False,
    },
    "sample m.npz": {
        "model": "m.npz",
        "number": 100,
        "out": None,
        "label": None,
        "noise": False,
        "given": [],
        "report": None,
        **SEED,
        **BACKEND,
    },
    "encode m.npz": {**OF_A_MODEL, "out": "latent.csv", "logvar": False},
    "reconstruct m.npz": {**OF_A_MODEL, "out": None, "sample": False, **SEED},
    "impute": {
        "data": None,
        "out": None,
        "draws": 0,
        "intervals": None,
        "kind": [],
        "unseen": "error",
        **READ,
        "report": None,
        "model": None,
        "save": None,
        "time": None,
        "members": None,
        "epochs": None,
        "overwrite": False,
        "checkpoint": None,
        **RESUMED,
        **SEED,
        **BACKEND,
        "threads": None,
        "quiet": False,
    },
    "classify": {
        "data": "digits",
        **LABELLED,
        **READ,
        "labels": None,
        "classes": False,
        "predict": None,
        "out": "classes.csv",
        "save": None,
        "overwrite": False,
        "model": None,
        "pictures": None,
        "method": "m2",
        "kind": [],
        "unseen": "error",
        "latent_dim": 50,
        "hidden": "500",
        "likelihood": None,
        "alpha": 1.0,
        "epochs": 50,
        "batch_size": None,
        "learning_rate": None,
        "schedule": None,
        "divide_by": None,
        "checkpoint": None,
        **RESUMED,
        **SEED,
        **BACKEND,
        "threads": None,
        "quiet": False,
    },
    "table": {"data": None, **READ, "report": None},
    "gradcheck": {"model": None, **SEED, **BACKEND},
    "info": {"model": None, **BACKEND},
    "info m.npz": {"model": "m.npz", **BACKEND},
    "warmup": {},
}


@pytest.mark.parametrize("line", PARSED)
def test_what_a_command_line_without_options_means(line):
    found = vars(options(*line.split()))
    assert found.pop("command") == line.split()[0] and found.pop("words") == line.split()
    assert found.pop("make_parser").__name__ == "build_parser"
    assert found.pop("run").__module__ == f"npvae.cli.{line.split()[0]}"
    assert found.pop("parser", None) is None or line.split()[0] in ("train", "impute", "classify")
    assert found == PARSED[line] and {name: type(value) for name, value in found.items()} == {
        name: type(value) for name, value in PARSED[line].items()
    }


def test_the_program_s_own_options_and_end(capsys, monkeypatch):
    from npvae import __version__

    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0 and capsys.readouterr().out == f"npvae {__version__}\n"
    ready = []
    assert main(["info"], ready=lambda: ready.append("once")) == 0 and ready == ["once"]
    assert main(["info", "--fly"], ready=lambda: ready.append("never")) == 2 and ready == ["once"]
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", ["npvae", "fly", "info"])
    assert main() == 2 and "invalid choice: 'fly'" in capsys.readouterr().err
    for error, code, line in (
        (KeyboardInterrupt(), 130, "npvae: interrupted\n"),
        (KeyboardInterrupt("in epoch 2"), 130, "npvae: in epoch 2\n"),
        (BrokenPipeError(), 141, ""),
        (InputError("batch_size\n and more"), 2, "npvae: batch_size and more\n"),
    ):

        def fails(options, error=error):
            raise error

        class Counted(io.StringIO):
            flushed = 0

            def flush(self):
                self.flushed += 1

        monkeypatch.setattr(info, "run_command", fails)
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", Counted())
            assert main(["info"]) == code and sys.stdout.flushed == 1  # as the command ends
        assert capsys.readouterr().err == line
        assert main(["info"]) == code and capsys.readouterr().err == line


class Stream(io.TextIOWrapper):
    """A terminal that shows ASCII, or one that has gone."""

    gone, flushed = False, 0

    def __init__(self, path):
        super().__init__(open(path, "wb"), encoding="ascii", write_through=True)

    def flush(self):
        self.flushed += 1
        if self.gone:
            raise OSError("nobody reads")
        super().flush()


def test_what_a_terminal_cannot_show_is_escaped(tmp_path, monkeypatch):
    with Stream(tmp_path / "out") as out, Stream(tmp_path / "err") as err:
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        assert main(["sample", "gr\u00f6\u00dfe"]) == 2
        output.say("\u00e4")
        monkeypatch.undo()
    assert (tmp_path / "out").read_text() == "\\xe4\n" and (tmp_path / "err").read_text().startswith(
        "npvae: no model file at 'gr\\xf6\\xdfe'"
    )


def test_a_stream_that_has_gone_is_left_to_nobody(tmp_path, monkeypatch):
    """What Python would still write there at its exit goes to the null device."""
    gone, there = Stream(tmp_path / "gone"), io.StringIO()
    for stdout, stderr in ((gone, there), (None, there), (there, gone)):
        monkeypatch.setattr(sys, "stdout", stdout)
        monkeypatch.setattr(sys, "stderr", stderr)
        gone.gone = False
        output.prepare()
        gone.gone = True
        output.say("lost" if stdout is gone else "kept")
        output.finish()
    monkeypatch.undo()
    gone.gone = False
    assert there.getvalue() == "kept\n"
    assert os.path.samestat(os.fstat(gone.fileno()), os.stat(os.devnull)) and stat.S_ISCHR(
        os.fstat(gone.fileno()).st_mode
    )
    gone.close()
