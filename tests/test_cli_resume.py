"""``npvae classify``, ``npvae impute`` and ``npvae score`` are ended at any moment, and go on to the bits of a run
that was not.
"""

from __future__ import annotations

import signal

import numpy as np
import pytest
from ended import ended_in_epoch
from small import grey_rows

from npvae.cli import main
from npvae.estimators.tables import imputer_checkpoint
from npvae.training.checkpoint import CheckpointFile


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x = grey_rows(60)
    np.savez("d.npz", x=x, y=np.where(np.arange(60) < 20, x[:, 0] > 0.5, -1))
    rng = np.random.default_rng(4)
    rows = np.where(rng.random((50, 3)) < 0.2, np.nan, x[:50, :3])
    names = rng.choice(["a", "b", ""], 50)
    lines = [
        ",".join(["" if np.isnan(v) else repr(float(v)) for v in row] + [name])
        for row, name in zip(rows, names, strict=True)
    ]
    (tmp_path / "t.csv").write_text("\n".join(["one,two,three,name", *lines]) + "\n")


CLASSIFY = [
    "classify",
    "--data",
    "d.npz",
    "--hidden",
    "5",
    "--latent-dim",
    "2",
    "--batch-size",
    "20",
    "--epochs",
    "4",
    "--quiet",
]
IMPUTE = [
    "impute",
    "--data",
    "t.csv",
    "--epochs",
    "4",
    "--members",
    "2",
    "--quiet",
    "--draws",
    "1",
    "--intervals",
    "i.csv",
]
COMMANDS = {
    "m1": [*CLASSIFY, "--method", "m1", "--out", "o.csv", "--save", "m.npz"],
    "m2": [*CLASSIFY, "--method", "m2", "--out", "o.npz", "--save", "m.npz"],
    "m1+m2": [*CLASSIFY, "--method", "m1+m2", "--out", "o.csv", "--save", "m.npz", "--seed", "5"],
    "impute": [*IMPUTE, "--kind", "one=positive", "--out", "o.csv", "--save", "m.npz"],
    "score": [
        "score",
        "--data",
        "t.csv",
        "--epochs",
        "4",
        "--samples",
        "20",
        "--out",
        "o.csv",
        "--save",
        "m.npz",
        "--quiet",
    ],
}


def outputs(folder) -> dict:
    """Files by name, without checkpoints; models as their arrays."""
    found = {}
    for path in folder.iterdir():
        if path.suffix == ".npz":
            with np.load(path) as file:
                found[path.name] = {name: file[name].tobytes() for name in file if name != "header"}
        else:
            found[path.name] = path.read_bytes()
    return {name: value for name, value in found.items() if not name.startswith("c")}


@pytest.mark.parametrize(
    ("command", "epoch", "number"),
    [
        ("m1", 2, signal.SIGKILL),
        ("m1", 0, signal.SIGINT),
        ("m2", 0, signal.SIGKILL),
        ("m2", 3, signal.SIGINT),
        ("m1+m2", 6, signal.SIGKILL),
        ("m1+m2", 2, signal.SIGINT),
        ("m1+m2", 5, signal.SIGINT),
        ("impute", 0, signal.SIGKILL),
        ("impute", 6, signal.SIGKILL),
        ("impute", 3, signal.SIGINT),
        ("score", 2, signal.SIGKILL),
        ("score", 0, signal.SIGINT),
    ],
)
def test_a_run_that_is_ended_goes_on_to_the_same_bits(tmp_path, monkeypatch, command, epoch, number):
    """Checkpoints are due, or not: Ctrl-C keeps what it can. --resume alone knows data, options and outputs."""
    words = COMMANDS[command]
    monkeypatch.chdir(tmp_path)
    assert main(words) == 0
    whole = outputs(tmp_path)
    for path in tmp_path.iterdir():
        if path.name not in ("d.npz", "t.csv"):
            path.unlink()
    seconds = ["--checkpoint-seconds", "0"] if number == signal.SIGKILL else []
    said = ended_in_epoch(epoch, number, [*words, "--checkpoint", "c.npz", *seconds])
    if number == signal.SIGINT:
        assert f"'npvae {words[0]} --checkpoint c.npz --resume' goes on" in said
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert main([words[0], "--checkpoint", "../c.npz", "--resume"]) == 0
    (tmp_path / "elsewhere").rmdir()
    assert outputs(tmp_path) == whole
    assert {path.name for path in tmp_path.iterdir()} <= {*whole, "c.npz", "c-features.npz"}
    assert main([words[0], "--checkpoint", str(tmp_path / "c.npz"), "--resume"]) == 0  # a whole run, once more
    assert outputs(tmp_path) == whole


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([*CLASSIFY, "--resume"], "--resume needs --checkpoint"),
        (["impute", "--resume-anyway"], "--resume needs --checkpoint"),
        (["impute", "--out", "o.csv"], "--data is required"),
        ([*CLASSIFY, "--checkpoint", "c.csv"], "--checkpoint c.csv must end in .npz"),
        ([*CLASSIFY, "--checkpoint", "m.npz"], "--checkpoint m.npz holds a checkpoint of npvae"),
        (
            [*CLASSIFY, "--checkpoint", "m.npz", "--resume", "--alpha", "3"],
            "--alpha 3.0: the run in m.npz was begun with 1.0",
        ),
        (
            [*CLASSIFY, "--checkpoint", "m.npz", "--resume", "--method", "m1"],
            "--method m1: the run in m.npz was begun with m2",
        ),
        (
            ["impute", "--checkpoint", "m.npz", "--resume"],
            "m.npz holds a checkpoint of training, but --checkpoint of 'npvae impute' needs a checkpoint of a "
            "TableImputer",
        ),
        (
            ["classify", "--model", "m.npz"],
            "m.npz holds a checkpoint of training, but --model of 'npvae classify' needs a SemiSupervisedVAE or a "
            "LatentClassifier",
        ),
        (
            ["score", "t.csv", "--checkpoint", "i.npz", "--resume"],
            "i.npz holds a checkpoint of a TableImputer, but --checkpoint of 'npvae score' needs a checkpoint of "
            "training",
        ),
        (["score", "--data", "-", "--checkpoint", "c.npz"], "standard input cannot be read again"),
        (["train", "--out", "run", "--resume"], "belongs to a run of npvae classify, not of npvae train"),
        (
            [*IMPUTE, "--out", "o.csv", "--checkpoint", "i.npz", "--resume", "--kind", "one=counts"],
            "--kind ['one=counts']: the run in i.npz was begun with []",
        ),
        ([*IMPUTE, "--out", "t.csv", "--checkpoint", "i.npz", "--resume"], "is read from"),
        (["classify", "--model", "model.npz", "--checkpoint", "c.npz"], "leave out --checkpoint"),
    ],
)
def test_what_cannot_be_resumed_is_said_in_a_line(tmp_path, capsys, words, said):
    assert main([*CLASSIFY, "--checkpoint", "m.npz"]) == 0
    assert main([*IMPUTE, "--out", "o.csv", "--checkpoint", "i.npz"]) == 0
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoint.npz").write_bytes((tmp_path / "m.npz").read_bytes())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    capsys.readouterr()
    assert main(words) == 2
    found = capsys.readouterr().err
    assert found.startswith("npvae: ") and found.count("\n") == 1 and said in found, found
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


def test_the_checkpoint_of_an_imputer_is_described(tmp_path, capsys):
    assert main([*IMPUTE, "--out", "o.csv", "--checkpoint", "c.npz"]) == 0
    assert main(["info", "c.npz"]) == 0
    assert "2 members are trained, and 0 epochs of the next" in capsys.readouterr().out
    assert imputer_checkpoint.command_of(CheckpointFile.of("c.npz"))[0] == "impute"


@pytest.mark.parametrize("method", ["m1", "m2"])
def test_the_same_run_may_save_its_model_anew_and_no_other(tmp_path, capsys, method):
    """A command that was ended while it wrote its outputs can be given once more; a model of other data or options
    stays.
    """
    words = [*CLASSIFY, "--method", method, "--save", "m.npz"]
    assert main(words) == 0
    before = outputs(tmp_path)
    assert main([*words, "--threads", "1", "--out", "classes.csv"]) == 0 and outputs(tmp_path) == before
    with np.load("d.npz") as file:
        x, y = file["x"], file["y"]
    np.savez("other.npz", x=x * 0.5, y=y)
    capsys.readouterr()
    for more in (
        ["--seed", "4"],
        ["--epochs", "5"],
        ["--latent-dim", "3"],
        ["--data", "other.npz"],
        ["--out", "m.npz"],
    ):
        assert main([*words, *more]) == 2, more
        assert "m.npz" in capsys.readouterr().err
    assert {name: value for name, value in outputs(tmp_path).items() if name != "other.npz"} == before
    assert main([*words, "--seed", "4", "--overwrite"]) == 0 and outputs(tmp_path)["m.npz"] != before["m.npz"]
