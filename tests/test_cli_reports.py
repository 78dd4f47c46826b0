"""What commands print and write of their results, word for word, against small results written by hand."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from npvae.cli import choices, classify, common, gradcheck, impute, info, output, outputs, resuming
from npvae.errors import InputError, ModelFileError
from npvae.training.history import History


def rows(codes=None, classes=None, what="with a label"):
    return classify._Rows(np.zeros((4, 2)), codes, classes, None, None, what)


def test_the_report_of_classify():
    def report(classes, predicted, judged):
        lines = []
        classify._report(lines.append, np.array(classes), np.array(predicted), judged)
        return lines

    assert report(["a", "b"], ["a", "a", "b", "a"], rows()) == ["classes of 4 rows: a 3, b 1"]
    known = rows(np.array([0, 1, 1, -1]), np.array(["a", "b"]))
    assert report(["a", "b"], ["a", "a", "b", "a"], known)[1:] == ["of 3 rows with a label, 33.33 % are taken for another class"]
    nobody = rows(np.array([-1] * 4), np.array(["a", "b"]))
    assert len(report(["a", "b"], ["a"] * 4, nobody)) == 1
    hidden = known.without(np.array([True, False, False, False]))
    assert report(["a", "b"], ["b", "a", "b", "a"], hidden)[1:] == ["of 2 rows whose label was not given, 50.00 % are taken for another class"]
    counts = ", ".join(f"{i} {int(i == 0)}" for i in range(12))
    assert report(range(12), [0], rows()) == [f"classes of 1 rows: {counts}"]
    assert report(range(13), [0], rows()) == [f"classes of 1 rows: {counts}, ..."]


def test_the_classes_of_rows_as_they_are_written(tmp_path):
    p, classes = np.array([[0.25, 0.75], [2 / 3, 1 / 3]]), np.array(["a", "b"])
    classify._write(tmp_path / "c.csv", classes, p)
    assert (tmp_path / "c.csv").read_bytes() == b"class,p(a),p(b)\nb,0.25,0.75\na,0.666667,0.333333\n"
    classify._write(tmp_path / "c.npz", classes, p)
    with np.load(tmp_path / "c.npz") as file:
        assert sorted(file) == ["classes", "probabilities", "y"]
        assert file["y"].tolist() == ["b", "a"] and file["classes"].tolist() == ["a", "b"] and np.array_equal(file["probabilities"], p)


@pytest.mark.parametrize(("labels", "expected"), [
    (["1", "", "-3"], [1, None, -3]), (["1", "x", ""], ["1", "x", None]), (["9007199254740991", ""], [2**53 - 1, None]),
    (["9007199254740992", "1"], ["9007199254740992", "1"]), (["-9007199254740992", "1"], ["-9007199254740992", "1"]), (["", "?"], [None, None]),
])
def test_labels_of_files(labels, expected):
    options = Namespace(observed=[])
    assert classify._without_missing(options, np.array([3, -1])) == ([3, None], "1 of -1 (if that is a class: --observed=-1)")
    assert classify._without_missing(options, np.array(labels))[0] == expected
    assert classify._without_missing(Namespace(observed=["NA"]), np.array(["NA", "?", "-1"])) == (
        ["NA", None, None], "1 missing, 1 of -1 (if that is a class: --observed=-1)")
    assert classify._without_missing(Namespace(observed=["-1"]), np.array([1, -1])) == ([1, -1], "")
    assert classify._without_missing(options, np.array(["-1", "0", "+1"])) == (["-1", "0", "+1"], "")


def test_the_report_of_impute(capsys):
    column = lambda name, kind, values=(): SimpleNamespace(name=name, kind=kind, values=values)  # noqa: E731
    imputer = SimpleNamespace(
        schema_=SimpleNamespace(columns=[column("a", "continuous"), column("b", "categorical", tuple("uvwxyz")), column("c", "counts", tuple(range(7)))]),
        members_=[SimpleNamespace(error=0.5, normal_error=1.0), SimpleNamespace(error=0.25, normal_error=2.0)], imputation_samples=50,
    )
    observed = np.array([[1, 1, 1], [1, 0, 1], [1, 0, 0], [1, 1, 1]], bool)
    for sizes, few in (([1.0, 5.0, 5.0, 1.0], None), ([9, 4.9, 5, 9], "1 rests"), ([9, 1, 4, 1], "2 rest")):
        for text, words in ((None, ""), *((SimpleNamespace(form=SimpleNamespace(has_names=has), columns="abc"), words) for has, words in (
            (True, ", names in the first row"), (False, ", no names in the first row")))):
            chosen = [SimpleNamespace(name=name, missing=~observed[:, i], spellings={"": int((~observed[:, i]).sum())}) for i, name in enumerate("abc")]
            found = SimpleNamespace(filled_in=~observed, columns=["a", "b", "c"], effective_sample_size=np.array(sizes))
            impute._report(imputer, found, text, SimpleNamespace(chosen=chosen), ["o.csv", "-"])
            empty = " (empty)" if text else ""
            assert capsys.readouterr().out.splitlines() == [
                f"4 rows, 3 columns{words}; 3 cells filled in",
                "  a: continuous, 0 missing", f"  b: categorical (u, v, w, x, y, z), 2 missing{empty}", f"  c: counts (0, 1, 2, 3, 4, 5, ...), 1 missing{empty}",
                "squared error of cells held out, standardised (of names: of their probabilities): 0.375; of a normal distribution: 1.500",
                *([] if few is None else [f"of the rows filled in, {few} on fewer than 5 of 50 samples: unlike the others, or with a wild cell"]),
                "wrote o.csv",
            ]


def test_names_of_drawn_tables_and_kinds():
    assert impute._numbered("folder/t.v1.csv", 12) == str(Path("folder/t.v1-12.csv"))
    assert impute._kind("a=b=counts") == ("a=b", "counts")
    for entry in ("counts", "=counts"):
        with pytest.raises(InputError, match=f"--kind must be COLUMN=KIND, got '{entry}'"):
            impute._kind(entry)


def test_the_last_losses_of_a_file():
    columns = {name: [9.0, number] for name, number in (
        ("loss", 1.5), ("reconstruction", 1.25), ("kl", 0.25), ("val_loss", 2.5), ("val_reconstruction", 2.0), ("val_kl", 0.5),
    )}
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
    assert f"programs    {tmp_path / 'kernels'}" in lines and f"  cache       {tmp_path}" in lines and "  NPVAE_DATA  not set" in lines
    assert "data sets   digits, mnist, fashion-mnist, binarized-mnist" in lines
    monkeypatch.setattr(info, "cache_folder", lambda: None)
    monkeypatch.setenv("NPVAE_DATA", "here")
    monkeypatch.delenv("ONE_NUM_THREADS")
    monkeypatch.delenv("THREE_NUM_THREADS")
    lines = info._installation_info().splitlines()
    kept = "not kept: there is no home folder; the environment variable NPVAE_HOME can name another folder"
    assert f"programs    {kept}" in lines and f"  cache       {kept}" in lines and "  NPVAE_DATA  here" in lines and "_THREADS" not in lines[2]


def test_a_download_on_a_terminal(monkeypatch, capsys):
    assert common._download_progress() is None  # no terminal
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    show = common._download_progress()
    for done, total in ((1, 4), (4, 4), (2_500_000, None)):
        show(done, total, "f.gz")
    assert capsys.readouterr().err == "\rfetching f.gz:  25%\rfetching f.gz: 100%\n\rfetching f.gz: 2.5 MB"
    monkeypatch.setattr(sys, "stderr", None)
    assert common._download_progress() is None


def test_folders_and_models_by_their_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert [str(common.next_free_folder("r")) for _ in range(3)] == ["r", "r-2", "r-3"]
    assert common.model_path("r") == Path("r/model.npz") and common.model_path("m.npz") == Path("m.npz")
    assert common.writable_folder("a/b") == Path("a/b") and Path("a/b").is_dir() and common.writable_folder("a/b") == Path("a/b")
    Path("file").write_text("")
    with pytest.raises(NotADirectoryError, match="^file is a file, not a folder$"):
        common.writable_folder("file")


def test_text_that_would_command_a_terminal_is_shown():
    assert output.printable("a\x1b[2J\x07\x9b\u202e\u00e4\n\tb") == "a\\x1b[2J\\x07\\x9b\\u202e\u00e4\n\tb"


@pytest.mark.parametrize(("names", "words"), [
    ([], ""), (["-"], ""), (["a", "-", "b"], "a, b"), (list("abcd"), "a, b, c, d"), (list("abcde"), "a, b, ..., e"),
])
def test_files_that_were_written_in_a_line(names, words):
    assert outputs.written_words(names) == words


def test_the_suffix_says_the_form_and_a_stream_has_one_given(tmp_path):
    assert outputs.suffix_of("a.NPY") == ".npy" and outputs.suffix_of("-") == ".csv" and outputs.suffix_of("-", ".json") == ".json"
    assert outputs.suffix_of("a") == "" and outputs.target("a.npy") == "a.npy"
    assert str(outputs.target("-", ".tsv").__fspath__()) == "-.tsv"


def options(*words):
    from npvae.cli import parse

    return parse(list(words))


def test_the_command_line_that_a_checkpoint_keeps(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = resuming.words_of(options("impute", "--data", "t.csv", "--out", "-", "--kind", "a=counts", "--kind", "b=binary", "--quiet", "--resume"))
    assert found[0] == "impute" and {"--kind=a=counts", "--kind=b=binary", "--quiet", f"--data={tmp_path / 't.csv'}", "--out=-"} <= set(found)
    assert not any(word.startswith(("--resume", "--run", "--words", "--command", "--save", "--overwrite")) for word in found)
    assert resuming._parsed("c.npz", found, "impute").kind == ["a=counts", "b=binary"]
    assert "--data=digits" in resuming.words_of(options("train"))
    assert resuming.words_of(options("train", "--out", "\ud800")) is None
    of_length = lambda n: resuming.words_of(Namespace(command="impute", kind=["a"] * n))  # noqa: E731
    assert len(of_length(resuming.MOST_WORDS - 1)) == resuming.MOST_WORDS and of_length(resuming.MOST_WORDS) is None


@pytest.mark.parametrize(("words", "message"), [
    (["impute"], "c.npz belongs to a run of npvae impute, not of npvae train"),
    (["\x1b[2J"], "c.npz belongs to a run of npvae \\x1b[2J, not of npvae train"),
    (["train", "--epochs=\x1b"], "c.npz keeps a command line that npvae train does not take: --epochs must be a whole number, got '\\\\x1b'"),
    (["train", "--help"], "c.npz keeps a command line that npvae train does not take: 0"),
])
def test_a_command_line_of_a_checkpoint_that_is_none(words, message):
    with pytest.raises(ModelFileError) as error:
        resuming._parsed("c.npz", words, "train")
    assert str(error.value).startswith(message)


def test_how_a_run_goes_on():
    assert resuming.how_to_go_on(Namespace(checkpoint=None, command="impute")) == ""
    assert resuming.how_to_go_on(Namespace(checkpoint="c.npz", command="impute")) == "; 'npvae impute --checkpoint c.npz --resume' goes on"
    for resume, anyway, expected in ((False, False, False), (True, False, True), (True, True, "anyway")):
        assert resuming.mode(Namespace(resume=resume, resume_anyway=anyway)) == expected


def test_the_end_of_a_check_of_gradients(monkeypatch, capsys):
    def row(name, shape, error, passed):
        return SimpleNamespace(name=name, shape=shape, checked="all", error=error, passed=passed, where="[0]", analytic=1.5, numeric=-2.0)

    def case(title, *found):
        report = SimpleNamespace(rows=found, worst=max(found, key=lambda each: each.error))
        return SimpleNamespace(title=title, rtol=1e-6, check=lambda seed: report)

    right, scalar, wrong = row("a", (2, 3), 1e-9, True), row("b", (), 2e-9, True), row("c", (4,), 0.5, False)
    for cases, code, end in (
        ([case("one", right), case("two", scalar)], 0, "2 tensors checked on the numpy backend, worst relative error 2.0e-09: every gradient is right"),
        ([case("one", right, wrong), case("two", scalar)], 1, "3 tensors checked on the numpy backend, worst relative error 5.0e-01: 1 GRADIENTS ARE WRONG"),
    ):
        monkeypatch.setattr(gradcheck.selfcheck, "cases", lambda ops, seed, cases=cases: cases)
        assert gradcheck.run_command(options("gradcheck", "--backend", "numpy")) == code
        lines = capsys.readouterr().out.splitlines()
        assert lines[1] == "one (bound 1e-06)" and lines[-1].startswith(end)
        assert f"{'a':<24} {'2x3':<12} {'all':<26} {'1.0e-09':>20}  ok" in lines and f"{'b':<24} {'scalar':<12} {'all':<26} {'2.0e-09':>20}  ok" in lines
        failed = f"{'c':<24} {'4':<12} {'all':<26} {'5.0e-01':>20}  FAIL"
        assert (failed in lines) == ("    at [0]: by hand 1.5, by differences -2" in lines) == (code == 1)


@pytest.mark.parametrize(("text", "value"), [
    ("true", True), ("FALSE", False), ("3", 3), ("-3", -3), ("0.5", 0.5), ("1+2", [1, 2]), ("1+x", "1+x"), ("x", "x"), ("9e149", 9e149), ("", ""),
])
def test_values_of_choices(text, value):
    found = choices.parse_choice(f"name:key={text}")["key"]
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize("text", ["1e150", "-1e150", "inf", "-Infinity", "nan", "1" * 41])
def test_values_of_choices_that_are_too_large(text):
    with pytest.raises(InputError, match="has a number that is not finite or far too large"):
        choices.parse_choice(f"name:key={text}")


@pytest.mark.parametrize(("error", "line"), [
    (OSError(28, "No space left on device", "a/b"), "a/b: No space left on device"), (OSError(28, "No space left on device"), "[Errno 28] No space left on device"),
    (OSError("in words"), "in words"), (FileNotFoundError("no model at 'a'"), "no model at 'a'"), (OSError(9, "it is closed", 3), "[Errno 9] it is closed: 3"),
    (MemoryError("8 GB"), "there is not enough memory: 8 GB"), (InputError("two\n  lines"), "two lines"), (OSError(), "OSError"), ("interrupted", "interrupted"),
])
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
