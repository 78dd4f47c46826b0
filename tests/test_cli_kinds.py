"""What a file is, as ``npvae info`` says it, and which command a file of another kind is for."""

from __future__ import annotations

import gzip
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

from npvae import TableImputer
from npvae.cli import kinds, main

GOLDEN = Path(__file__).parent / "golden" / "version-2"
PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBB", 13, b"IHDR", 30, 20, 8, 2, 0, 0, 0) + bytes(20)
VAE_COMMANDS = (
    "'npvae sample vae.npz', 'npvae encode vae.npz', 'npvae reconstruct vae.npz', 'npvae evaluate vae.npz' or "
    "'npvae score --model vae.npz'"
)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a file of every kind."""
    monkeypatch.chdir(tmp_path)
    for name in ("vae", "m2", "m1", "imputer", "checkpoint", "checkpoint-imputer"):
        shutil.copy(GOLDEN / f"{name}.npz", f"{name}.npz")
    np.save("x.npy", np.zeros((3, 4), np.float32))
    np.savez("d.npz", a=np.zeros(3), b=np.ones((2, 2), np.int16))
    Path("t.csv").write_text("a,b\n1,2\n")
    Path("t.csv.gz").write_bytes(gzip.compress(b"a,b\n1,2\n"))
    Path("p.png").write_bytes(PNG)
    Path("w.xlsx").write_bytes(b"PK\x03\x04" + bytes(22) + struct.pack("<HH", 19, 0) + b"[Content_Types].xml")
    Path("pickle.bin").write_bytes(b"\x80\x04\x95" + bytes(20))
    Path("unknown.bin").write_bytes(b"\x01\x02\x00\x03")
    Path("nothing.csv").write_bytes(b"")
    return tmp_path


@pytest.mark.parametrize(
    ("file", "name", "what"),
    [
        ("vae.npz", "VAE", "a VAE"),
        ("m2.npz", "SemiSupervisedVAE", "a SemiSupervisedVAE"),
        ("m1.npz", "LatentClassifier", "a LatentClassifier"),
        ("imputer.npz", "imputer", "a TableImputer"),
        ("checkpoint.npz", "checkpoint", "a checkpoint of training"),
        ("checkpoint-imputer.npz", "imputer-checkpoint", "a checkpoint of a TableImputer"),
        ("x.npy", "data", "an array"),
        ("d.npz", "data", "arrays"),
        ("t.csv", "data", "text"),
        ("t.csv.gz", "data", "data compressed by gzip"),
        ("w.xlsx", "data", "an Excel workbook"),
        ("p.png", "other", "a PNG picture of 30 x 20 pixels"),
        ("pickle.bin", "other", "pickled data"),
        ("unknown.bin", "other", "a binary file of a kind that npvae does not know"),
    ],
)
def test_kinds_of_files(here, file, name, what):
    found = kinds.kind_of(file)
    assert (found.name, found.what) == (name, what) and bool(found.commands) == (name != "other")


def test_what_is_damaged_or_empty_is_left_to_whoever_reads_it(here):
    whole = Path("vae.npz").read_bytes()
    Path("cut.npz").write_bytes(whole[: len(whole) // 2])
    assert (
        kinds.kind_of("cut.npz") is None
        and kinds.kind_of("nothing.csv") is None
        and kinds.kind_of("there is none") is None
    )


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            "encode imputer.npz --data x.npy --out o.npy",
            "imputer.npz holds a TableImputer, but 'npvae encode' needs a VAE or a SemiSupervisedVAE; it is for 'npvae "
            "impute --model imputer.npz' or 'npvae sample imputer.npz'",
        ),
        (
            "encode checkpoint.npz --data x.npy --out o.csv",
            "checkpoint.npz holds a checkpoint of training, but 'npvae encode' needs",
        ),
        ("evaluate m1.npz --data x.npy", "but 'npvae evaluate' needs a VAE; it is for 'npvae classify --model m1.npz'"),
        (
            "reconstruct t.csv --data x.npy --out o.png",
            "t.csv holds text, but 'npvae reconstruct' needs a VAE; it is for 'npvae table t.csv', 'npvae train --data "
            "t.csv' or 'npvae impute --data t.csv'",
        ),
        (
            "sample p.png --out o.npy",
            "p.png holds a PNG picture of 30 x 20 pixels, but 'npvae sample' needs a VAE or a SemiSupervisedVAE or a "
            "TableImputer; npvae has no use for it",
        ),
        (
            "impute --data t.csv --out o.csv --model vae.npz",
            f"vae.npz holds a VAE, but --model of 'npvae impute' needs a TableImputer; it is for {VAE_COMMANDS}",
        ),
        (
            "impute --data t.csv --out o.csv --model checkpoint-imputer.npz",
            "it is for 'npvae impute --checkpoint checkpoint-imputer.npz --resume'",
        ),
        (
            "impute --checkpoint checkpoint.npz --resume",
            "but --checkpoint of 'npvae impute' needs a checkpoint of a TableImputer",
        ),
        (
            "impute --data vae.npz --out o.npz",
            f"vae.npz holds a VAE, but --data of 'npvae impute' needs data; it is for {VAE_COMMANDS}",
        ),
        (
            "train --data imputer.npz --out o",
            "imputer.npz holds a TableImputer, but --data of 'npvae train' needs data; it is for",
        ),
        ("train --data pickle.bin --out o", "pickle.bin holds pickled data, but --data of 'npvae train' needs data"),
        ("table vae.npz", "vae.npz holds a VAE, but --data of 'npvae table' needs data"),
        (
            "classify --model imputer.npz --data x.npy --out o.csv",
            "but --model of 'npvae classify' needs a SemiSupervisedVAE or a LatentClassifier",
        ),
        (
            "classify --model m2.npz --data x.npy --predict vae.npz --out o.csv",
            "but --predict of 'npvae classify' needs data",
        ),
        (
            "gradcheck --model m2.npz",
            "but --model of 'npvae gradcheck' needs a VAE; it is for 'npvae classify --model m2.npz'",
        ),
        ("evaluate folder --data x.npy", "folder holds a TableImputer, but 'npvae evaluate' needs a VAE"),
        ("info nothing.csv", "nothing.csv is empty"),
    ],
)
def test_a_file_of_another_kind_is_refused_with_the_command_that_takes_it(here, capsys, line, words):
    Path("folder").mkdir()
    shutil.copy("imputer.npz", "folder/model.npz")
    before = {path: path.stat().st_mtime_ns for path in here.rglob("*")}
    assert main(line.split()) == 2
    out, err = capsys.readouterr()
    assert words in err and err.startswith("npvae: ") and err.count("\n") == 1 and out == ""
    assert {path: path.stat().st_mtime_ns for path in here.rglob("*")} == before


@pytest.mark.parametrize(
    ("file", "lines"),
    [
        (
            "x.npy",
            [
                "x.npy: an array, 176 bytes",
                "float32 of shape (3, 4)",
                "for         'npvae train --data x.npy' or 'npvae impute --data x.npy'",
            ],
        ),
        ("d.npz", ["d.npz: arrays, ", "a: float64 of shape (3,)", "b: int16 of shape (2, 2)", "for         "]),
        ("t.csv", ["t.csv: text, 8 bytes", "begins with 'a,b'", "for         "]),
        ("w.xlsx", ["w.xlsx: an Excel workbook, ", "for         "]),
        ("p.png", ["p.png: a PNG picture of 30 x 20 pixels, ", "npvae has no use for it"]),
        ("digits", ["digits: a data set that npvae knows by its name"]),
    ],
)
def test_info_of_what_is_not_npvae_s_own(here, capsys, file, lines):
    assert main(["info", file]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == len(lines) and all(a.startswith(b) for a, b in zip(printed, lines, strict=True)), printed


@pytest.mark.parametrize("name", ["vae", "m2", "m1", "imputer", "checkpoint", "checkpoint-imputer"])
def test_info_says_what_npvae_s_own_files_are_for(here, capsys, name):
    assert main(["info", f"{name}.npz"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[-2] == f"for         {kinds.kind_of(f'{name}.npz').commands}" and printed[-1].startswith("verified")


def test_info_lists_an_imputer_s_columns(tmp_path, capsys):
    x = np.random.default_rng(0).normal(size=30)
    frame = {
        "a": x,
        "when": np.datetime64("2024-01-01") + np.arange(30) % 9,
        "kind": np.array(["u", "v", "w"])[np.arange(30) % 3],
        "one": np.ones(30),
    }
    TableImputer(ignore="one", members=1, epochs=1, hidden=(4,), backend="numpy", random_state=0).fit(frame).save(
        tmp_path / "i.npz"
    )
    assert main(["info", str(tmp_path / "i.npz")]) == 0
    printed = capsys.readouterr().out
    for line in (
        "columns     3: 2 continuous, 1 categorical",
        "  a: continuous",
        "  when: continuous of dates",
        "  kind: categorical (u, v, w)",
        "carried     1: one (ignored, as was said)",
    ):
        assert f"\n{line}\n" in printed


def test_arrays_with_the_members_of_a_model_are_a_damaged_one(tmp_path, capsys):
    np.savez(tmp_path / "m.npz", theta=np.zeros(3), header=np.zeros(5, np.uint8))
    assert main(["info", str(tmp_path / "m.npz")]) == 2 and "m.npz" in capsys.readouterr().err
    np.savez(tmp_path / "a.npz", theta=np.zeros(3))
    assert main(["info", str(tmp_path / "a.npz")]) == 0 and "a.npz: arrays" in capsys.readouterr().out
