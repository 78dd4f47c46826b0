"""What commands write: never over what they read or over a model, to streams as they are, in one piece or not at
all.
"""

from __future__ import annotations

import argparse
import json
import os
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import processes
import pytest
from small import grey_rows

from npvae import VAE, OutlierVAE, SemiSupervisedVAE, TableImputer
from npvae.cli import build_parser, main, outputs
from npvae.errors import InputError

#: Every input of every command, by its option, and how the command is called to read it.
COMMANDS = {
    "train": (["--data", "x.npy", "--out", "run"], {"--data": "x.npy"}),
    "classify": (["--data", "labelled.npz", "--predict", "x.npy"], {"--data": "labelled.npz", "--predict": "x.npy"}),
    "classify --model": (["--data", "x.npy", "--model", "m2.npz"], {"--data": "x.npy", "--model": "m2.npz"}),
    "impute": (["--data", "gaps.npy"], {"--data": "gaps.npy"}),
    "table": (["--data", "table.csv"], {"--data": "table.csv"}),
    "impute --model": (
        ["--data", "gaps.npy", "--model", "imputer.npz"],
        {"--data": "gaps.npy", "--model": "imputer.npz"},
    ),
    "sample": (["model"], {"the model": "model/model.npz"}),
    "encode": (["model", "--data", "x.npy"], {"the model": "model/model.npz", "--data": "x.npy"}),
    "reconstruct": (["model", "--data", "x.npy"], {"the model": "model/model.npz", "--data": "x.npy"}),
    "evaluate": (["model", "--data", "x.npy"], {"the model": "model/model.npz", "--data": "x.npy"}),
    "gradcheck": (["--model", "model"], {"--model": "model/model.npz"}),
    "info": (["model"], {"model": "model/model.npz"}),
    "score": (["--data", "x.npy"], {"--data": "x.npy"}),
    "score --model": (["--data", "x.npy", "--model", "outliers.npz"], {"--data": "x.npy", "--model": "outliers.npz"}),
    "warmup": ([], {}),
}
#: What an output option does to the file that is in danger: the option's value, if not the file itself.
FILES_OF = {
    "--draws": (["--draws", "1", "--out", "o.npy"], "o-1.npy"),
    "--pictures": (["--pictures", "pictures"], "pictures/analogies.png"),
}
#: Options whose text is no file that is written. One that is not here, and has not the type of a file to write, fails a
#: test.
NOT_WRITTEN = {
    "--activation",
    "--backend",
    "--binarize",
    "--data",
    "--decoder-hidden",
    "--dtype",
    "--hidden",
    "--initial-weights",
    "--kind",
    "--kl-warmup",
    "--label",
    "--label-column",
    "--likelihood",
    "--missing",
    "--model",
    "--objective",
    "--optimizer",
    "--output-bias",
    "--predict",
    "--schedule",
    "model",
    "data_word",
    "--encoding",
    "--separator",
    "--comment",
    "--observed",
    "--ignore",
    "--sheet",
    "--given",
}


def asked(command: str, option: str, stem: str) -> tuple[list[str], str]:
    """Arguments that ask for the output, and the file that it goes to, of that stem where the user names it."""
    if command == "train":
        return [], "run/history.csv"
    if option in FILES_OF:
        return FILES_OF[option]
    of_its_own = {
        "--intervals": ".csv",
        "--json": ".json",
        "--save": ".npz",
        "--checkpoint": ".npz",
        "--report": ".json",
    }
    name = stem + of_its_own.get(option, ".npy" if command == "impute" else ".csv")
    return [option, name] + ([] if option == "--out" or command != "impute" else ["--out", "new.npy"]), name


def parsers() -> dict[str, argparse.ArgumentParser]:
    commands = next(action for action in build_parser()._actions if isinstance(action, argparse._SubParsersAction))
    return commands.choices


def name_of(action) -> str:
    return action.option_strings[-1] if action.option_strings else action.dest


WRITTEN = sorted(
    (command, name_of(action))
    for command, parser in parsers().items()
    for action in parser._actions
    if action.type in (outputs.output_file, outputs.output_folder)
) + [("impute", "--draws")]


def test_every_option_with_a_text_is_known_to_be_written_or_not():
    assert {command.split()[0] for command in COMMANDS} == set(parsers())
    for command, parser in parsers().items():
        for action in parser._actions:
            if action.type in (None, str) and action.choices is None and action.nargs != 0:
                assert name_of(action) in NOT_WRITTEN, f"{command} {name_of(action)}: is it a file that is written?"
    assert len(WRITTEN) >= 11


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a model, an M2, an imputer and their data."""
    folder = tmp_path_factory.mktemp("made")
    x = grey_rows(40)
    quick = {"latent_dim": 2, "hidden": (4,), "epochs": 1, "backend": "numpy", "random_state": 0}
    (folder / "model").mkdir()
    VAE(**quick).fit(x).save(folder / "model" / "model.npz")
    y = np.arange(40) % 2
    SemiSupervisedVAE(**quick).fit(x, y).save(folder / "m2.npz")
    np.save(folder / "x.npy", x)
    np.savez(folder / "labelled.npz", x=x, y=y)
    gaps = x.astype(float)
    gaps[::3, 1] = np.nan
    np.save(folder / "gaps.npy", gaps)
    (folder / "table.csv").write_text("a,b\n1,2\n3,\n", encoding="utf-8")
    TableImputer(members=1, epochs=1, backend="numpy", imputation_samples=10, random_state=0).fit(gaps).save(
        folder / "imputer.npz"
    )
    OutlierVAE(epochs=1, backend="numpy", random_state=0).fit(x).save(folder / "outliers.npz")
    return folder


@pytest.fixture
def here(made, tmp_path, monkeypatch):
    """Links to what was made would be links: the files themselves, anew for every test."""
    monkeypatch.chdir(tmp_path)
    for path in made.rglob("*"):
        if path.is_file():
            copy = tmp_path / path.relative_to(made)
            copy.parent.mkdir(exist_ok=True)
            copy.write_bytes(path.read_bytes())
    (tmp_path / "pictures").mkdir()
    (tmp_path / "run").mkdir()
    return tmp_path


def contents(folder: Path) -> dict:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def inputs():
    for call, (_, read) in COMMANDS.items():
        for command, option in WRITTEN:
            if command == call.split()[0]:
                yield from ((call, option, flag) for flag in read)


@pytest.mark.parametrize("link", ["the file", "a symbolic link", "a hard link", "a link to a link"])
@pytest.mark.parametrize(("call", "option", "flag"), list(inputs()))
def test_no_output_is_written_over_an_input(here, capsys, call, option, flag, link):
    arguments, read = COMMANDS[call]
    command, victim = call.split()[0], here / read[flag]
    more, danger = asked(command, option, "link")
    if link == "the file":
        if more[:1] != [option] or option in FILES_OF or victim.suffix != Path(danger).suffix:
            return  # it cannot be named: the command chooses the name, or needs another suffix
        more[1] = str(victim.relative_to(here))
    elif link == "a symbolic link":
        os.symlink(victim, here / danger)
    elif link == "a hard link":
        os.link(victim, here / danger)
    else:
        os.symlink(victim, here / "first")
        os.symlink("../first" if "/" in danger else "first", here / danger)
    before = contents(here)
    assert main([command, *arguments, *more]) == 2
    out, err = capsys.readouterr()
    assert contents(here) == before and out == ""
    if (call.split()[1:], option) == (["--model"], "--checkpoint"):  # they do not go together at all
        assert "leave out --checkpoint" in err
        return
    assert (
        err.startswith(f"npvae: {option} ") and f"{flag}: " in err and "is read from" in err and err.count("\n") == 1
    ), err


@pytest.mark.parametrize(
    ("command", "default"),
    [
        ("sample", "samples.csv"),
        ("encode", "latent.csv"),
        ("reconstruct", "reconstructions.csv"),
        ("classify", "classes.csv"),
    ],
)
def test_no_default_output_is_written_over_an_input(here, capsys, command, default):
    arguments, read = COMMANDS[command]
    os.symlink(here / next(iter(read.values())), default)
    before = contents(here)
    assert main([command, *arguments]) == 2
    assert f"--out {default} is the file of" in capsys.readouterr().err and contents(here) == before


@pytest.mark.parametrize(
    ("call", "option"),
    [(call, option) for call in COMMANDS for command, option in WRITTEN if command == call.split()[0]],
)
def test_no_output_is_written_over_another_model(here, capsys, call, option):
    arguments, _ = COMMANDS[call]
    command = call.split()[0]
    more, danger = (["--overwrite"], "run/loss.png") if command == "train" else asked(command, option, "old")
    (here / danger).write_bytes((here / "imputer.npz").read_bytes())
    before = contents(here)
    assert main([command, *arguments, *more]) == 2
    err = capsys.readouterr().err
    assert contents(here) == before
    if (call.split()[1:], option) == (["--model"], "--checkpoint"):
        assert "leave out --checkpoint" in err
        return
    assert f"npvae: {option} {danger} " in err and "holds an imputer of npvae" in err, err
    assert ("say --overwrite" in err) == (option == "--save"), err
    if option == "--checkpoint":  # whatever the user says
        assert main([command, *arguments, *more, "--overwrite"]) == 2 and contents(here) == before
        assert "holds an imputer of npvae, not a checkpoint" in capsys.readouterr().err


def test_a_checkpoint_is_no_stream(here, capsys):
    before = contents(here)
    for command in ("classify", "impute"):
        assert main([command, "--data", "x.npy", "--out", "o.npy", "--checkpoint", "-"]) == 2
        assert "--checkpoint -: a checkpoint is read back from an ordinary file" in capsys.readouterr().err
    assert contents(here) == before


def test_a_damaged_model_is_a_model(here, capsys):
    whole = (here / "m2.npz").read_bytes()
    (here / "old.npz").write_bytes(whole[: len(whole) // 2])
    assert main(["encode", "model", "--data", "x.npy", "--out", "old.npz"]) == 2
    assert "holds a model of npvae" in capsys.readouterr().err
    np.savez_compressed("other.npz", header=np.frombuffer(b'{"x": 1, "format": "npvae-checkpoint"}', np.uint8))
    assert outputs.npvae_format("other.npz") == "checkpoint"
    np.savez("mine.npz", header=np.zeros(3))
    for name in ("x.npy", "labelled.npz", "mine.npz", "nowhere", "."):
        assert outputs.npvae_format(name) == ""


def test_overwrite_says_what_may_be_replaced(here, capsys):
    quick = ["--epochs", "1", "--quiet", "--backend", "numpy"]
    impute = ["impute", "--data", "gaps.npy", "--members", "1", *quick, "--save", "imputer.npz", "--out", "gaps.npy"]
    assert main(impute) == 2
    assert (
        "--out gaps.npy is the file of --data: gaps.npy is read from; choose another name, or say --overwrite"
        in capsys.readouterr().err
    )
    assert main([*impute, "--overwrite"]) == 0
    assert not np.isnan(np.load("gaps.npy")).any()
    classify = ["classify", "--data", "labelled.npz", "--latent-dim", "2", "--hidden", "4", *quick, "--save", "m2.npz"]
    before = (here / "m2.npz").read_bytes()
    assert main(classify) == 2
    assert "say --overwrite" in capsys.readouterr().err and (here / "m2.npz").read_bytes() == before
    assert main([*classify, "--overwrite"]) == 0
    assert (here / "m2.npz").read_bytes() != before and SemiSupervisedVAE.load(
        "m2.npz", backend="numpy"
    ).n_features_in_ == 6
    assert (
        main([*classify, "--overwrite", "--out", "labelled.csv", "--predict", "labelled.csv"]) == 2
    )  # not what it reads


def test_two_outputs_are_two_files(here, capsys):
    os.symlink("a.npz", "b.npz")
    assert main(["classify", "--data", "labelled.npz", "--out", "a.npz", "--save", "b.npz"]) == 2
    assert "--out a.npz and --save b.npz are one file" in capsys.readouterr().err
    assert main(["impute", "--data", "gaps.npy", "--out", "-", "--intervals", "/dev/stdout"]) == 2
    assert "--out - and --intervals /dev/stdout are one stream" in capsys.readouterr().err
    assert main(["impute", "--data", "gaps.npy", "--out", "o.npy", "--draws", "2", "--intervals", "./o-2.npy"]) == 2


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("", "expected the name of a file"),
        ("model", "is a folder"),
        ("no/such.csv", "does not exist"),
        ("x.doc", "must end in"),
        ("x.csv/y.csv", "does not exist"),
    ],
)
def test_names_that_cannot_be_written(here, capsys, out, words):
    assert main(["encode", "model", "--data", "x.npy", "--out", out]) == 2
    err = capsys.readouterr().err
    assert "--out" in err and words in err and err.count("\n") == 1, err


def test_files_of_a_known_data_set_are_inputs(tmp_path, monkeypatch):
    from npvae import data

    digits = Path(data.__file__).parent / "digits.npz"
    monkeypatch.setenv("NPVAE_DATA", str(tmp_path))
    (tmp_path / "mnist").mkdir()
    mine = tmp_path / "mnist" / "t10k-images-idx3-ubyte.gz"
    mine.touch()
    os.symlink(mine, tmp_path / "x.csv")
    for out, name in ((digits, "digits"), (tmp_path / "x.csv", "mnist")):
        with pytest.raises(InputError, match=f"of --data: {name} is read from"):
            outputs.refuse([outputs.Output("--out", out)], [("--data", name)])


@pytest.mark.parametrize("command", ["encode", "reconstruct", "evaluate"])
def test_a_model_of_a_file_asks_for_data_and_one_of_a_data_set_knows_it(here, capsys, command):
    out = "--json" if command == "evaluate" else "--out"
    assert main([command, "model", out, "o.csv"]) == 2
    assert capsys.readouterr().err == "npvae: --data is needed: model does not say what it was trained on\n"
    lines = [",".join([*map(str, row), "k"]) for row in np.load("x.npy")]
    Path("mine.csv").write_text("a,b,c,d,e,f,kind\n" + "\n".join(lines) + "\n")
    train = ["train", "--quiet", "--no-plots", "--epochs", "1", "--hidden", "4", "--backend", "numpy"]
    assert main([*train, "--data", "mine.csv", "--label-column", "kind", "--out", "own"]) == 0
    assert main([command, "own", out, "o.csv"]) == 2
    err = capsys.readouterr().err
    assert (
        "--data is needed: own was trained on the file mine.csv" in err and "--data mine.csv --label-column kind" in err
    ), err
    assert err.count("\n") == 1 and not Path("o.csv").exists()
    assert main([*train, "--out", "digits"]) == 0
    assert (
        main([command, "digits", out, "o.csv", *(["--samples", "0", "--rows", "5"] if command == "evaluate" else [])])
        == 0
    )
    assert Path("o.csv").exists()
    again = VAE.load("digits/model.npz", backend="numpy")
    assert again.trained_on_ == {"data": "digits", "label_column": None}
    again.set_params(epochs=1).fit(np.load("x.npy"))
    assert not hasattr(again, "trained_on_")


def test_cross_entropies_of_grey_values_are_called_so_wherever_they_are_printed(here, capsys):
    train = ["train", "--no-plots", "--epochs", "1", "--hidden", "4", "--backend", "numpy", "--data"]
    np.save("bits.npy", (np.load("x.npy") > 0.5).astype("float32"))
    for data, folder, grey in (("x.npy", "grey", True), ("bits.npy", "bits", False)):
        assert main([*train, data, "--out", folder]) == 0
        assert main(["evaluate", folder, "--data", data, "--samples", "3", "--json", "e.json"]) == 0
        assert main(["reconstruct", folder, "--data", data, "--out", "r.csv"]) == 0
        out = capsys.readouterr().out
        assert out.count("note: of grey values the bernoulli likelihood gives cross-entropies") == 3 * grey
        assert out.count("a cross-entropy of grey values, not a log-likelihood") == grey
        assert json.loads(Path("e.json").read_text())["is_log_likelihood"] == (not grey)
    assert main(["info", "grey"]) == 0
    assert "gives a cross-entropy, not a log-likelihood" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["reconstruct", "evaluate", "encode", "train"])
def test_whole_numbers_are_said_to_be_converted_once(here, capsys, command):
    np.save("bits.npy", (np.load("x.npy") > 0.5).astype(int))
    more = {
        "evaluate": ["model", "--samples", "3", "--quiet"],
        "train": ["--out", "t", "--quiet", "--no-plots", "--epochs", "1", "--validation-fraction", "0.3"],
    }.get(command, ["model", "--out", "o.csv"])
    assert main([command, *more, "--data", "bits.npy"]) == 0
    assert capsys.readouterr().err.count("converted") == 1


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("evaluate m2.npz", "m2.npz holds a SemiSupervisedVAE, but 'npvae evaluate' needs a VAE"),
        (
            "encode imputer.npz",
            "imputer.npz holds a TableImputer, but 'npvae encode' needs a VAE or a SemiSupervisedVAE",
        ),
        ("reconstruct m2.npz", "needs a VAE"),
        ("encode x.npy", "x.npy holds an array, but"),
        ("evaluate pictures", "pictures/model.npz"),
        ("reconstruct gaps.csv", "gaps.csv"),
    ],
)
def test_what_is_no_model_of_the_command_is_refused_in_one_line(here, capsys, command, words):
    Path("gaps.csv").write_text("a,b\n1,2\n")
    data = [] if command.startswith("sample") else ["--data", "x.npy"]
    assert main([*command.split(), *data]) == 2
    out, err = capsys.readouterr()
    assert words in err and err.startswith("npvae: ") and err.count("\n") == 1 and out == "", err


def refused(*written, read=(), **more) -> str:
    with pytest.raises((InputError, OSError)) as error:
        outputs.refuse(written, read, **more)
    return str(error.value)


def test_the_words_of_a_refusal(here, monkeypatch):
    out, save = outputs.Output("--out", "x.npy"), outputs.Output("--save", "m2.npz", model=True)
    is_read = "--out x.npy is the file of --data: ./x.npy is read from; choose another name"
    for more, way in (
        ({}, ""),
        ({"replaceable": ("--out", "--data")}, ""),
        ({"overwrite": False}, ""),
        ({"overwrite": True}, ""),
        ({"overwrite": True, "replaceable": ("--out", "--model")}, ""),
        ({"overwrite": False, "replaceable": ("--out", "--data")}, ", or say --overwrite"),
    ):
        assert refused(None, out, read=[("--model", None), ("--data", "./x.npy")], **more) == is_read + way
    outputs.refuse([out], [("--data", "./x.npy")], overwrite=True, replaceable=("--out", "--data"))
    there = "m2.npz holds a model of npvae, which is not written over; choose another name"
    assert (
        refused(save) == f"--save {there}" and refused(save, overwrite=False) == f"--save {there}, or say --overwrite"
    )
    assert refused(outputs.Output("--out", "m2.npz"), overwrite=True) == f"--out {there}"
    outputs.refuse([save], overwrite=True)
    checkpoint = outputs.Output("--checkpoint", "m2.npz", model=True)
    assert (
        refused(checkpoint, overwrite=True)
        == "--checkpoint m2.npz holds a model of npvae, not a checkpoint; choose another name"
    )
    assert refused(outputs.Output("--checkpoint", "imputer.npz", model=True)).startswith(
        "--checkpoint imputer.npz holds an imputer of npvae, not a"
    )
    np.savez("c.npz", header=np.frombuffer(b'{"format": "npvae-imputer-checkpoint"}', np.uint8))
    assert (
        refused(outputs.Output("--checkpoint", "c.npz", model=True), overwrite=False)
        == "--checkpoint c.npz holds an imputer-checkpoint of npvae, which is not written over; choose another name, "
        "or say --overwrite"
    )
    outputs.refuse([outputs.Output("--checkpoint", "c.npz", model=True)], overwrite=True)
    twice = "--out new.csv and --json ./new.csv are one file: ./new.csv would be written twice; choose other names"
    assert (
        refused(outputs.Output("--out", "new.csv"), outputs.Output("--a", "b"), outputs.Output("--json", "./new.csv"))
        == twice
    )
    outputs.refuse(
        [outputs.Output("--out", "/dev/null"), outputs.Output("--json", "/dev/null"), outputs.Output("--b", here / "b")]
    )


def test_what_cannot_be_written_to(here, monkeypatch):
    assert refused(outputs.Output("--out", "")) == "--out is empty: it must name a file"
    assert (
        refused(outputs.Output("--save", "/dev/null", model=True))
        == "--save /dev/null is no ordinary file, and a model is read back from one; choose another name"
    )
    assert refused(outputs.Output("--out", "pictures")) == "--out pictures is a folder; choose another name"
    os.symlink("no/such.csv", "link.csv")
    for name in ("no/such.csv", "link.csv"):
        assert refused(outputs.Output("--out", name)) == f"the folder of --out {name} does not exist"
    if hasattr(os, "mknod"):
        os.mknod("socket", 0o600 | stat.S_IFSOCK)
        assert (
            refused(outputs.Output("--out", "socket"))
            == "--out socket is neither a file nor a stream; choose another name"
        )
    Path("old.csv").touch()
    for closed, mode, words in (
        (here, os.W_OK, "the folder of --out old.csv cannot be written to"),
        (here, os.X_OK, "the folder of --out old.csv cannot be written to"),
        (Path("old.csv"), os.W_OK, "--out old.csv is write-protected"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(
                os, "access", lambda path, asked, closed=closed, mode=mode: not (path == closed and asked & mode)
            )
            assert refused(outputs.Output("--out", "old.csv")) == words
            outputs.refuse([outputs.Output("--out", "pictures/new.csv")])
    monkeypatch.setattr(sys, "stdout", None)
    assert refused(outputs.Output("--out", "-")) == "--out - is standard output, which is closed"


def test_whether_two_names_are_of_one_file(here, monkeypatch):
    os.symlink("new.csv", "link.csv")
    os.link("x.npy", "hard.npy")
    for one, other, same in (
        ("x.npy", "./x.npy", True),
        ("x.npy", "hard.npy", True),
        ("x.npy", "gaps.npy", False),
        ("new.csv", "link.csv", True),
        ("new.csv", "pictures/../new.csv", True),
        ("new.csv", "x.npy", False),
        ("new.csv", "newer.csv", False),
        ("-", "/dev/stdout", True),
        ("-", "x.npy", False),
        ("/dev/null", "/dev/null", False),
    ):
        assert outputs._same_file(one, other) is same and outputs._same_file(other, one) is same, (one, other)
    with monkeypatch.context() as patch:  # a standard output that is no open file
        patch.setattr(sys, "stdout", None)
        assert outputs._same_file("-", "./-") is False and outputs._same_file("-", "/dev/stdout") is True
    with monkeypatch.context() as patch:  # where the names of files have no capitals
        patch.setattr(os.path, "normcase", str.lower)
        assert outputs._same_file("New.csv", "new.csv") is True
    for null in ("nowhere", "x.npy"):  # a system without a null device, or with a file in its place
        monkeypatch.setattr(os, "devnull", null)
        assert outputs._same_file("x.npy", "hard.npy") is True and outputs._same_file("/dev/zero", "/dev/zero") is True


def test_how_far_the_name_of_a_format_is_looked_for(here):
    """In the first 64 KiB of a file, and of the header that is packed in it."""
    name = b'"format": "npvae-model"'
    for more, found in ((0, "model"), (1, "")):
        Path("f.npz").write_bytes(b"PK" + bytes(2**16 - len(name) - 2 + more) + name)
        assert outputs.npvae_format("f.npz") == found
        with zipfile.ZipFile("packed.npz", "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("header.npy", bytes(2**16 - len(name) + more) + name)
        assert outputs.npvae_format("packed.npz") == found
    Path("f.npz").write_bytes(b"PK")
    assert (
        outputs.npvae_format("f.npz") == ""
        and outputs.npvae_format(Path("m2.npz")) == "model"
        and outputs.npvae_format("imputer.npz") == "imputer"
    )


def test_the_form_of_an_array_goes_by_its_name(here, capsysbinary):
    x = np.arange(12.0).reshape(2, 3, 2)
    outputs.write_array("a.CSV", x, list("abcdef"))
    outputs.write_array("a.npy", x, list("abcdef"))
    assert (
        Path("a.CSV").read_text() == "a,b,c,d,e,f\n0.0,1.0,2.0,3.0,4.0,5.0\n6.0,7.0,8.0,9.0,10.0,11.0\n"
        and np.load("a.npy").tolist() == x.tolist()
    )
    outputs.write_array("-", x, list("abcdef"))
    assert capsysbinary.readouterr().out == Path("a.CSV").read_bytes().partition(b"\n")[2]
    for name, refusal in (
        ("a.csv", None),
        ("a.CSV", None),
        ("-", None),
        ("/dev/null", None),
        ("pictures", None),
        ("a.doc", "--out a.doc must be new, and end in .csv or .npz"),
    ):
        if refusal is None:
            outputs.refuse_suffix(outputs.Output("--out", name), (".csv", ".npz"), "be new, and ")
        else:
            with pytest.raises(InputError, match=f"^{refusal}$"):
                outputs.refuse_suffix(outputs.Output("--out", name), (".csv", ".npz"), "be new, and ")
    assert outputs.output_file("a") == outputs.output_folder("a") == "a"
    for kind, text in ((outputs.output_file, ""), (outputs.output_folder, ""), (outputs.output_folder, "-")):
        with pytest.raises(argparse.ArgumentTypeError, match="expected the name of a f"):
            kind(text)


# streams


def npvae(*arguments, shell: str = "", unbuffered: str = ""):
    """Run the command in a shell, in which ``shell`` stands behind it."""
    words = " ".join([sys.executable, "-m", "npvae", *arguments, shell])
    environment = {**os.environ, "NPVAE_NUM_THREADS": "1", "PYTHONWARNINGS": "error", "PYTHONUNBUFFERED": unbuffered}
    return processes.run(["bash", "-c", words], env=environment)


def test_every_table_goes_to_standard_output_and_nothing_else_does(here, capsys):
    quick = ["--epochs", "1", "--backend", "numpy"]
    calls = {
        "sample": (["model", "-n", "3"], 3, 6),
        "encode": (["model", "--data", "x.npy"], 40, 2),
        "reconstruct": (["model", "--data", "x.npy"], 40, 6),
        "classify": (
            ["--data", "labelled.npz", "--latent-dim", "2", "--hidden", "4", "--save", "s.npz", *quick],
            None,
            3,
        ),
        "impute": (["--data", "gaps.csv", "--members", "1", *quick], None, 6),
    }
    np.savetxt("gaps.csv", np.load("gaps.npy"), delimiter=",", header="a,b,c,d,e,f", comments="")
    for command, (arguments, rows, columns) in calls.items():
        assert main([command, *arguments, "--out", "-"]) == 0
        out, err = capsys.readouterr()
        lines = out.splitlines()
        assert {line.count(",") + 1 for line in lines} == {columns}, command
        if rows is not None:
            assert len(lines) == rows and np.isfinite(np.loadtxt(lines, delimiter=",")).all()
        assert command not in ("classify", "impute") or "rows" in err
        assert (
            main([command, *arguments, "--out", "same.csv", *(["--overwrite"] if command == "classify" else [])]) == 0
        )
        written = (here / "same.csv").read_text().splitlines()
        assert written[len(written) - len(lines) :] == lines, command
        capsys.readouterr()
    assert main(["evaluate", "model", "--data", "x.npy", "--samples", "2", "--json", "-"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["rows"] == 40 and "ELBO" in err


@pytest.mark.skipif(not os.path.exists("/dev/fd"), reason="no names for open files here")
def test_a_stream_is_written_to_and_nothing_is_renamed(here):
    encode = ["encode", "model", "--data", "x.npy", "--backend", "numpy", "--out"]
    (here / "table").write_text("before\n")
    number = (here / "table").stat().st_ino
    for name in ("-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "via"):
        if name == "via":
            os.symlink("/dev/stdout", "via")
        done = npvae(*encode, name, shell=">> table")
        assert done.returncode == 0 and done.stderr == "", (name, done.stderr)
    lines = (here / "table").read_text().splitlines()
    assert (
        lines[0] == "before"
        and len(lines) == 201
        and all(lines[1 + i : 201 : 40] == 5 * [lines[1 + i]] for i in range(40))
    )
    assert (here / "table").stat().st_ino == number
    assert npvae(*encode, "/dev/null").returncode == 0 and not Path("/dev/null").is_file()
    done = npvae(*encode, "/dev/full")
    assert done.returncode == 2 and done.stderr == "npvae: /dev/full: No space left on device\n"
    done = npvae(*encode, "-", shell=">&-")
    assert done.returncode == 2 and done.stderr == "npvae: --out - is standard output, which is closed\n"


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_all_of_it_goes_through_a_pipe(here, unbuffered):
    np.save("long.npy", np.tile(np.load("x.npy"), (500, 1)))
    done = npvae(
        "encode", "model", "--data", "long.npy", "--out", "-", shell="| (sleep 0.2; cat) | wc -l", unbuffered=unbuffered
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "20000", "")


def test_a_named_pipe_takes_an_array_by_its_suffix(here):
    os.mkfifo("pipe.npz")
    with subprocess.Popen(["cat", "pipe.npz"], stdout=subprocess.PIPE, start_new_session=True) as reader:
        done = npvae("encode", "model", "--data", "x.npy", "--out", "pipe.npz")
        (here / "read.npz").write_bytes(processes.finish(reader)[0])
    assert done.returncode == 0, done.stderr
    assert np.load("read.npz")["x"].shape == (40, 2)


def test_a_stream_that_goes_into_an_input_is_refused(here):
    np.savetxt("x.csv", np.load("x.npy"), delimiter=",")
    before = (here / "x.csv").read_bytes()
    done = npvae("encode", "model", "--data", "x.csv", "--out", "-", shell=">> x.csv")
    assert done.returncode == 2 and "--out - is the file of --data: x.csv is read from" in done.stderr
    assert (here / "x.csv").read_bytes() == before


@pytest.mark.parametrize("command", ["encode", "sample", "reconstruct"])
def test_a_closed_pipe_ends_quietly(here, command):
    more = ["-n", "30000"] if command == "sample" else ["--data", "long.npy"]
    np.save("long.npy", np.tile(np.load("x.npy"), (500, 1)))
    for out in ("-", "/dev/stdout", "/dev/fd/1"):
        done = npvae(command, "model", *more, "--out", out, shell="| head -n 2; exit ${PIPESTATUS[0]}")
        assert (done.returncode, done.stderr, done.stdout.count("\n")) == (141, "", 2)
