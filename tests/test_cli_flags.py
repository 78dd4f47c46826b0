"""Every option of every command: set to a value that is not its default, it arrives where it is meant to, and nowhere
else.

A command is run twice, without the option and with it; what it hands to the estimators, the loaders and the files is
recorded both times, and the two records may differ in nothing but what ``FLAGS`` says of the option. Training is cut to
one epoch. An option that is not in the table fails the last test.
"""

from __future__ import annotations

import argparse
import inspect
import os
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from npvae import VAE, LatentClassifier, OutlierVAE, SemiSupervisedVAE, TableImputer, backend, evaluation, plots
from npvae.cli import build_parser, choices, classify_rows, columns, common, impute, main, outputs, score, train_data
from npvae.cli import table as table_command
from npvae.data import own_files
from npvae.data.dataset import Dataset
from npvae.errors import FitWarning
from npvae.estimators import base
from npvae.estimators.base import Estimator
from npvae.estimators.fitted import FittedVAE
from npvae.estimators.semisupervised.classifier import Classifier
from npvae.estimators.tables.imputer import TableImputation
from npvae.evaluation import report
from npvae.gradcheck import own_gradients

ROWS, TEST_ROWS, SIDE = 240, 40, 8


@dataclass(frozen=True)
class Flag:
    """An option as it is written, and how the record of the command then differs.

    beside: options that it needs. before: a command line that is run first, in the same folder. replaces: what of the
    command's ordinary line it takes the place of. loose: other differences are allowed too. code: with which it ends.
    """

    command: str
    words: str
    changes: dict
    beside: str = ""
    before: str = ""
    replaces: str = ""
    loose: bool = False
    code: int = 0


#: Each command's ordinary line, which every option is added to.
LINES = {
    "train": "train",
    "evaluate": "evaluate vae.npz",
    "sample": "sample vae.npz",
    "encode": "encode vae.npz",
    "reconstruct": "reconstruct vae.npz",
    "table": "table table.csv",
    "impute": "impute --data table.csv --out filled.csv",
    "classify": "classify",
    "score": "score table.csv",
    "gradcheck": "gradcheck",
    "info": "info",
    "warmup": "warmup",
}

#: Of the record what belongs to a command: names that begin so.
RECORDED = {
    "train": ("data", "table", "VAE", "fit", "prepared", "plots"),
    "evaluate": ("data", "table", "loaded", "evaluate"),
    "sample": ("loaded", "sample", "plots", "written"),
    "encode": ("data", "table", "loaded", "encode", "written"),
    "reconstruct": ("data", "table", "loaded", "reconstruct", "elbo", "plots", "written"),
    "table": ("table",),
    "impute": ("table", "TableImputer", "fit", "impute", "interval", "loaded"),
    "classify": ("data", "table", "fit", "VAE", "M2", "M1", "labels", "fitted", "predict", "loaded", "plots"),
    "score": ("data", "table", "OutlierVAE", "loaded", "modelled", "contributions", "fit"),
    "gradcheck": ("cases", "case", "check", "loaded"),
    "info": ("loaded",),
    "warmup": ("compiled",),
}
EVERYWHERE = ("backend", "code", "printed", "said", "files")


def vae(**changes) -> dict:
    """What changes of the VAE's arguments."""
    return {f"VAE.{name}": value for name, value in changes.items()}


def m2(**changes) -> dict:
    return {f"M2.{name}": value for name, value in changes.items()}


def imputer(**changes) -> dict:
    return {f"TableImputer.{name}": value for name, value in changes.items()}


def detector(**changes) -> dict:
    return {f"OutlierVAE.{name}": value for name, value in changes.items()}


def table_of(path: str) -> dict:
    """How a table is read without options."""
    nothing = ("encoding", "separator", "decimal", "skip", "comment", "header", "header_rows", "sheet")
    return {
        "table.path": path,
        **{f"table.{name}": None for name in nothing},
        **{f"table.{name}": () for name in ("missing", "observed", "ignore")},
    }


ON_NUMPY, ON_TWO = [("numpy", None)], [("auto", 2)]
OWN = {"name": "numba", "products": "own"}
QUIET = {"printed": False, "said": False}
#: The commands that leave a model of rows.csv, one of classes, or an imputer, for others to use.
KEPT_ROWS = "train --out run --data rows.csv --label-column kind --quiet --no-plots"
KEPT_DETECTOR = "score table.csv --out o.csv --save d.npz --quiet"
KEPT_M2, KEPT_IMPUTER = (
    "classify --save m2.npz --quiet",
    "impute --data table.csv --out o.csv --save imputer.npz --quiet",
)

FLAGS = [
    # train
    Flag(
        "train",
        "--preset aevb",
        {
            "data.name": "mnist",
            **vae(
                hidden=(500,),
                latent_dim=20,
                activation="tanh",
                binarize="dynamic",
                optimizer="adam",
                epochs=200,
                batch_size=100,
                learning_rate=1e-3,
            ),
        },
        beside="--no-plots",
    ),
    Flag("train", "--data mnist", {"data.name": "mnist"}),
    Flag(
        "train",
        "--label-column kind",
        {"data.label_column": "kind", "prepared.x": (30, 6), "plots.latent": (30,)},
        beside="--data rows.csv",
        loose=True,
    ),
    Flag(
        "train",
        "--out run",
        {
            "fit.checkpoint": "run/checkpoint.npz",
            "files": {
                "run/model.npz",
                "run/history.csv",
                "run/checkpoint.npz",
                "run/loss.png",
                "run/latent.png",
                "run/reconstructions.png",
                "run/manifold.png",
            },
        },
    ),
    Flag(
        "train",
        "--resume",
        {"fit.resume": True, "code": 0, "VAE.latent_dim": None},
        before="train --out run --quiet --batch-size 500",
        beside="--out run --batch-size 500",
        loose=True,
    ),
    Flag(
        "train",
        "--resume-anyway",
        {"fit.resume": "anyway", "code": 0},
        before="train --out run --quiet --batch-size 500",
        beside="--out run --batch-size 500",
        loose=True,
    ),
    Flag(
        "train",
        "--overwrite",
        {"fit.resume": False, "code": 0, "fit.checkpoint": "run/checkpoint.npz"},
        before="train --out run --quiet",
        beside="--out run",
        loose=True,
    ),
    Flag("train", "--latent-dim 3", vae(latent_dim=3), beside="--no-plots"),
    Flag("train", "--hidden 30,20", vae(hidden=(30, 20))),
    Flag("train", "--decoder-hidden 12,13", vae(decoder_hidden=(12, 13))),
    Flag("train", "--activation softplus", vae(activation="softplus")),
    Flag("train", "--likelihood gaussian:variance=0.5", vae(likelihood={"name": "gaussian", "variance": 0.5})),
    Flag(
        "train",
        "--kind s=categorical",
        vae(likelihood={"name": "auto", "kinds": {"s": "categorical"}}),
        beside="--data table.csv --no-plots",
    ),
    Flag("train", "--allow-missing", vae(missing=True)),
    Flag("train", "--linear-path", vae(linear_path=True)),
    Flag("train", "--dtype float64", vae(dtype="float64")),
    Flag(
        "train",
        "--objective importance_weighted:samples=3",
        vae(objective={"name": "importance_weighted", "samples": 3}),
    ),
    Flag("train", "--epochs 7", vae(epochs=7)),
    Flag("train", "--batch-size 60", vae(batch_size=60)),
    Flag("train", "--optimizer sgd:momentum=0.5", vae(optimizer={"name": "sgd", "momentum": 0.5})),
    Flag("train", "--learning-rate 0.004", vae(learning_rate=0.004)),
    Flag("train", "--schedule steps:3=0.5", vae(schedule={"name": "steps", "factors": {"3": 0.5}})),
    Flag("train", "--clip-norm 2.5", vae(clip_norm=2.5)),
    Flag("train", "--beta 1.5", vae(beta=1.5)),
    Flag("train", "--kl-warmup 9", vae(kl_warmup=9)),
    Flag(
        "train",
        "--validation-fraction 0.25",
        {**vae(validation_fraction=0.25), "prepared.x_valid": None, "plots.latent": (ROWS,)},
    ),
    Flag("train", "--patience 6", vae(patience=6), beside="--validation-fraction 0.25"),
    Flag("train", "--min-delta 0.125", vae(min_delta=0.125)),
    Flag("train", "--binarize static", vae(binarize="static")),
    Flag("train", "--initial-weights he", vae(initial_weights="he")),
    Flag("train", "--output-bias data", vae(output_bias="data")),
    Flag("train", "--divide-by 300", vae(divide_by=300.0)),
    Flag("train", "--checkpoint-seconds 3", {"fit.checkpoint_seconds": 3.0}),
    Flag("train", "--seed 11", vae(random_state=11)),
    Flag("train", "--backend numpy", {**vae(backend="numpy"), "backend": ON_NUMPY}),
    Flag("train", "--backend numba:products=own", {**vae(backend=OWN), "backend": [(OWN, None)]}),
    Flag("train", "--threads 2", {**vae(threads=2), "backend": ON_TWO}),
    Flag("train", "--quiet", {**vae(verbose=False), **QUIET}),
    Flag(
        "train",
        "--no-plots",
        {
            "plots.latent": None,
            "plots.loss": None,
            "plots.manifold": None,
            "plots.reconstructions": None,
            "files": {"npvae-run/model.npz", "npvae-run/history.csv", "npvae-run/checkpoint.npz"},
        },
    ),
    # evaluate
    Flag("evaluate", "other.npz", {"loaded.path": "other.npz"}, replaces="vae.npz"),
    Flag("evaluate", "--data mnist", {"data.name": "mnist"}),
    Flag(
        "evaluate",
        "--label-column kind",
        {"data.label_column": "kind"},
        beside="run --data rows.csv",
        replaces="vae.npz",
        before=KEPT_ROWS,
        loose=True,
    ),
    Flag(
        "evaluate",
        "--part train",
        {"evaluate.X": (ROWS, SIDE, SIDE), "evaluate.y": None, "evaluate.X_train": None, "evaluate.y_train": None},
    ),
    Flag("evaluate", "--rows 7", {"evaluate.X": (7, SIDE, SIDE), "evaluate.y": (7,)}),
    Flag("evaluate", "--samples 12", {"evaluate.samples": 12}),
    Flag("evaluate", "--at-once 64", {"evaluate.at_once": 64}),
    Flag("evaluate", "--json e.json", {"files": {"e.json"}}),
    Flag("evaluate", "--seed 11", {"evaluate.random_state": 11}),
    Flag("evaluate", "--backend numpy", {"backend": ON_NUMPY}),
    Flag("evaluate", "--threads 2", {"backend": ON_TWO}),
    Flag("evaluate", "--quiet", {"evaluate.verbose": False, "printed": False}),
    # sample
    Flag("sample", "other.npz", {"loaded.path": "other.npz"}, replaces="vae.npz"),
    Flag("sample", "--number 9", {"sample.n": 9, "plots.images": (9, SIDE, SIDE)}),
    Flag(
        "sample",
        "--out s.npy",
        {"plots.images": None, "written": ("s.npy", (100, SIDE, SIDE), None), "files": {"s.npy"}},
    ),
    Flag("sample", "--label 3", {"sample.label": 3}, replaces="vae.npz", beside="m2.npz", before=KEPT_M2),
    Flag("sample", "--noise", {"sample.mean": False}),
    Flag("sample", "--given s=y", {"sample.given": {"s": "y"}}, replaces="vae.npz", beside="of-table.npz"),
    Flag("sample", "--report r.json", {"files": {"samples.csv", "r.json"}}, replaces="vae.npz", beside="of-table.npz"),
    Flag("sample", "--seed 11", {"sample.random_state": 11}),
    Flag("sample", "--backend numpy", {"backend": ON_NUMPY}),
    # encode
    Flag("encode", "other.npz", {"loaded.path": "other.npz"}, replaces="vae.npz"),
    Flag("encode", "--data mnist", {"data.name": "mnist"}),
    Flag(
        "encode",
        "--label-column kind",
        {"data.label_column": "kind"},
        beside="run --data rows.csv",
        replaces="vae.npz",
        before=KEPT_ROWS,
        loose=True,
    ),
    Flag(
        "encode",
        "--part train",
        {"encode.X": (ROWS, SIDE, SIDE), "written": ("latent.csv", (ROWS, 2), ("mean_0", "mean_1"))},
    ),
    Flag("encode", "--out z.npy", {"written": ("z.npy", (TEST_ROWS, 2), ("mean_0", "mean_1")), "files": {"z.npy"}}),
    Flag(
        "encode", "--logvar", {"written": ("latent.csv", (TEST_ROWS, 4), ("mean_0", "mean_1", "logvar_0", "logvar_1"))}
    ),
    Flag("encode", "--backend numpy", {"backend": ON_NUMPY}),
    # reconstruct
    Flag("reconstruct", "other.npz", {"loaded.path": "other.npz"}, replaces="vae.npz"),
    Flag("reconstruct", "--data mnist", {"data.name": "mnist"}),
    Flag(
        "reconstruct",
        "--label-column kind",
        {"data.label_column": "kind"},
        beside="run --data rows.csv",
        replaces="vae.npz",
        before=KEPT_ROWS,
        loose=True,
    ),
    Flag(
        "reconstruct",
        "--part train",
        {
            "elbo.X": (ROWS, SIDE, SIDE),
            "reconstruct.X": (ROWS, SIDE, SIDE),
            "written": ("r.npy", (ROWS, SIDE, SIDE), None),
        },
        beside="--out r.npy",
    ),
    Flag(
        "reconstruct",
        "--out r.npy",
        {
            "plots.reconstructions": None,
            "plots.how": None,
            "files": {"r.npy"},
            "written": ("r.npy", (TEST_ROWS, SIDE, SIDE), None),
            "reconstruct.X": (TEST_ROWS, SIDE, SIDE),
            "reconstruct.sample": False,
            "reconstruct.random_state": 0,
        },
    ),
    Flag("reconstruct", "--sample", {"reconstruct.sample": True}, beside="--out r.npy"),
    Flag("reconstruct", "--sample", {"plots.how": {"sample": True, "random_state": 0}}),
    Flag("reconstruct", "--seed 11", {"reconstruct.random_state": 11, "elbo.random_state": 11}, beside="--out r.npy"),
    Flag("reconstruct", "--seed 11", {"plots.how": {"sample": False, "random_state": 11}, "elbo.random_state": 11}),
    Flag("reconstruct", "--backend numpy", {"backend": ON_NUMPY}),
    # of a model of a table
    *(
        Flag(
            command,
            "--unseen missing",
            {"code": 0},
            beside=f"of-table.npz --data unseen.csv{more}",
            replaces="vae.npz",
            loose=True,
        )
        for command, more in (("evaluate", " --samples 5"), ("encode", ""), ("reconstruct", ""))
    ),
    # impute
    Flag("impute", "--data other.csv", {"table.path": "other.csv"}, replaces="--data table.csv"),
    Flag("impute", "--out elsewhere.csv", {"files": {"elsewhere.csv"}}, replaces="--out filled.csv"),
    Flag("impute", "--draws 2", {"impute.draws": 2, "files": {"filled.csv", "filled-1.csv", "filled-2.csv"}}),
    Flag("impute", "--intervals i.csv", {"impute.draws": 200, "interval.level": 0.9, "files": {"filled.csv", "i.csv"}}),
    Flag("impute", "--kind price=positive", imputer(kinds={"price": "positive"})),
    Flag(
        "impute",
        "--kind price=positive --kind height=continuous",
        imputer(kinds={"price": "positive", "height": "continuous"}),
    ),
    Flag("impute", "--unseen missing", imputer(unseen="missing")),
    Flag("impute", "--time 60", imputer(time=60.0)),
    Flag("impute", "--header no", {"table.header": False}, replaces="--data table.csv", beside="--data bare.csv"),
    Flag("impute", "--report r.json", {"files": {"filled.csv", "r.json"}}),
    # table
    Flag("table", "--data other.csv", {"table.path": "other.csv"}, replaces="table.csv"),
    Flag("table", "other.csv", {"table.path": "other.csv"}, replaces="table.csv"),
    Flag("table", "--report r.txt", {"files": {"r.txt"}}),
    # every command that reads a table
    *(
        Flag(
            command,
            words,
            {f"table.{name}": value},
            beside,
            before,
            replaces,
            loose=command != "table" or name == "sheet",
            code=2 if name == "sheet" else 0,
        )
        for command, before, beside, replaces in (
            ("table", "", "", ""),
            ("impute", "", "--kind s=binary", ""),
            ("score", "", "", ""),
            ("train", "", "--data plain.csv --no-plots", ""),
            ("classify", "", "--data rows.csv --label-column kind --quiet", ""),
            *(
                (name, KEPT_ROWS, f"run --data rows.csv --label-column kind{more}", "vae.npz")
                for name, more in (("evaluate", ""), ("encode", ""), ("reconstruct", " --out r.npy"))
            ),
        )
        for words, name, value in (
            ("--encoding latin-1", "encoding", "latin-1"),
            (
                f"--separator {';' if command in ('table', 'impute', 'score') else ','}",
                "separator",
                ";" if command in ("table", "impute", "score") else ",",
            ),
            ("--decimal .", "decimal", "."),
            ("--skip 0", "skip", 0),
            ("--comment //", "comment", "//"),
            ("--header yes", "header", True),
            ("--header-rows 1", "header_rows", 1),
            ("--sheet 2", "sheet", "2"),
            ("--missing=-999 --missing=none", "missing", ["-999", "none"]),
            ("--observed NA", "observed", ["NA"]),
            (
                "--ignore s" if command in ("table", "impute", "score") else "--ignore f",
                "ignore",
                ["s"] if command in ("table", "impute", "score") else ["f"],
            ),
        )
        if not (name == "ignore" and command in ("impute", "evaluate", "encode", "reconstruct"))
    ),
    Flag("impute", "--ignore s", {"table.ignore": ["s"]}, loose=True),
    *(
        Flag(
            command,
            "--ignore kind",
            {"table.ignore": ["kind"]},
            before=KEPT_ROWS,
            beside=f"run --data rows.csv{more}",
            replaces="vae.npz",
            loose=True,
        )
        for command, more in (("evaluate", ""), ("encode", ""), ("reconstruct", " --out r.npy"))
    ),
    *(  # the data without the option's name
        Flag(command, words, {"data.name": "mnist"})
        for command, words in (
            ("train", "mnist"),
            ("classify", "mnist"),
            ("evaluate", "mnist"),
            ("encode", "mnist"),
            ("reconstruct", "mnist"),
        )
    ),
    Flag("impute", "other.csv", {"table.path": "other.csv"}, replaces="--data table.csv"),
    Flag(
        "impute",
        "--model imputer.npz",
        {"loaded.path": "imputer.npz", "TableImputer.members": 5},
        before=KEPT_IMPUTER,
        loose=True,
    ),
    Flag("impute", "--save i.npz", {"files": {"filled.csv", "i.npz"}}),
    Flag("impute", "--members 3", imputer(members=3)),
    Flag("impute", "--epochs 70", imputer(epochs=70)),
    Flag(
        "impute",
        "--overwrite",
        {"code": 0, "files": {"table.csv"}},
        replaces="--out filled.csv",
        beside="--out table.csv",
        loose=True,
    ),
    Flag("impute", "--seed 11", {**imputer(random_state=11), "impute.random_state": 11}),
    Flag("impute", "--backend numpy", {**imputer(backend="numpy"), "backend": ON_NUMPY}),
    Flag("impute", "--threads 2", {**imputer(threads=2), "backend": ON_TWO}),
    Flag("impute", "--quiet", {**imputer(verbose=False), **QUIET}),
    # classify
    Flag("classify", "--data mnist", {"data.name": "mnist"}),
    Flag(
        "classify",
        "--label-column kind",
        {"data.label_column": "kind", "fitted.X": (30, 6)},
        beside="--data rows.csv",
        loose=True,
    ),
    Flag("classify", "--labels 50", {"labels.count": 50}),
    Flag("classify", "--predict bare.npy", {"predict.X": (7, SIDE, SIDE)}, loose=True),
    Flag("classify", "--out c.npz", {"files": {"c.npz"}}),
    Flag("classify", "--save m.npz", {"files": {"classes.csv", "m.npz"}}),
    Flag(
        "classify",
        "--model m2.npz",
        {"loaded.path": "m2.npz", "labels.count": None, "fitted.X": None},
        before=KEPT_M2,
        loose=True,
    ),
    Flag(
        "classify",
        "--classes",
        {"code": 0, "files": {"classes.csv"}},
        beside="--data measured.csv --label-column y",
        loose=True,
    ),
    Flag(
        "classify",
        "--overwrite",
        {"code": 0, "files": {"classes.csv", "m2.npz"}},
        before=f"{KEPT_M2} --seed 1",
        replaces="classify",
        beside="classify --save m2.npz",
        loose=True,
    ),
    Flag(
        "classify",
        "--pictures p",
        {"plots.classes": 0, "plots.analogies": (10, SIDE, SIDE)},
        before="classify --pictures p --quiet",
    ),
    Flag(
        "classify",
        "--pictures p",
        {
            "plots.classes": 0,
            "plots.analogies": (10, SIDE, SIDE),
            "files": {"classes.csv", "p/classes.png", "p/analogies.png"},
        },
    ),
    Flag(
        "classify", "--seed 11", {**m2(random_state=11), "labels.seed": 11, "plots.classes": 11}, beside="--pictures p"
    ),
    Flag(
        "classify",
        "--method m1",
        {
            **vae(latent_dim=50, hidden=(500,), learning_rate=1e-3, schedule="constant", batch_size=100),
            "M1.samples": 0,
            "M2.latent_dim": None,
        },
        loose=True,
    ),
    Flag("classify", "--latent-dim 6", m2(latent_dim=6)),
    Flag("classify", "--hidden 30,20", m2(hidden=(30, 20))),
    Flag(
        "classify",
        "--likelihood squared_error",
        m2(likelihood="squared_error", learning_rate=1e-3, schedule="constant", batch_size=100),
    ),
    Flag("classify", "--alpha 0.25", m2(alpha=0.25)),
    Flag("classify", "--epochs 7", m2(epochs=7)),
    Flag("classify", "--batch-size 70", m2(batch_size=70)),
    Flag("classify", "--learning-rate 0.004", m2(learning_rate=0.004)),
    Flag("classify", "--schedule steps:3=0.5", m2(schedule={"name": "steps", "factors": {"3": 0.5}})),
    Flag("classify", "--divide-by 300", m2(divide_by=300.0)),
    Flag(
        "classify",
        "--kind a=counts",
        m2(kinds={"a": "counts"}),
        beside="--data mixed.csv --label-column kind",
        loose=True,
    ),
    Flag(
        "classify", "--unseen missing", m2(unseen="missing"), beside="--data mixed.csv --label-column kind", loose=True
    ),
    *(
        Flag(
            command,
            words,
            changes,
            before=f"{begun} --checkpoint c.npz --quiet" if "c.npz" in beside else "",
            beside=beside,
            loose=bool(beside),
        )
        for command, begun in (
            ("classify", "classify --batch-size 500"),
            ("impute", "impute --data table.csv --out filled.csv"),
            ("score", "score table.csv"),
        )
        for words, changes, beside in (
            (
                "--checkpoint k.npz",
                {
                    "fit.checkpoint": "k.npz",
                    "files": {
                        "k.npz",
                        {"classify": "classes.csv", "impute": "filled.csv", "score": "scores.csv"}[command],
                    },
                },
                "",
            ),
            ("--checkpoint-seconds 3", {"fit.checkpoint_seconds": 3.0}, ""),
            ("--resume", {"fit.resume": True, "code": 0, "fit.checkpoint": "c.npz"}, "--checkpoint c.npz"),
            ("--resume-anyway", {"fit.resume": "anyway", "code": 0}, "--checkpoint c.npz"),
        )
    ),
    Flag("classify", "--seed 11", {**m2(random_state=11), "labels.seed": 11}),
    Flag("classify", "--backend numpy", {**m2(backend="numpy"), "backend": ON_NUMPY}),
    Flag("classify", "--threads 2", {**m2(threads=2), "backend": ON_TWO}),
    Flag("classify", "--quiet", {**m2(verbose=False), **QUIET}),
    *(  # of m1 and m1+m2 the VAE of features has them too
        Flag("classify", words, {f"{kind}.{name}": value for kind in kinds}, beside=f"--method {method}")
        for method, kinds in (("m1", ("VAE",)), ("m1+m2", ("VAE", "M2")))
        for words, name, value in (
            ("--latent-dim 6", "latent_dim", 6),
            ("--hidden 30,20", "hidden", (30, 20)),
            ("--epochs 7", "epochs", 7),
            ("--batch-size 70", "batch_size", 70),
            ("--learning-rate 0.004", "learning_rate", 0.004),
        )
    ),
    Flag("classify", "--threads 2", {**vae(threads=2), "backend": ON_TWO}, beside="--method m1"),
    Flag("classify", "--threads 2", {**vae(threads=2), **m2(threads=2), "backend": ON_TWO}, beside="--method m1+m2"),
    Flag("classify", "--alpha 0.25", m2(alpha=0.25), beside="--method m1+m2"),
    Flag("classify", "--divide-by 300", vae(divide_by=300.0), beside="--method m1"),
    Flag(
        "classify",
        "--likelihood squared_error",
        {**vae(likelihood="squared_error", binarize="none")},
        beside="--method m1+m2",
    ),
    # score
    Flag("score", "--data other.csv", {"table.path": "other.csv"}, replaces="table.csv"),
    Flag("score", "other.csv", {"table.path": "other.csv"}, replaces="table.csv"),
    Flag("score", "--label-column s", {"modelled.without": 1, "contributions.x": (30, 4)}),
    Flag(
        "score",
        "--part train",
        {"contributions.x": (ROWS, SIDE * SIDE)},
        replaces="table.csv",
        beside="--model vae.npz",
    ),
    Flag(
        "score", "--model d.npz", {"loaded.path": "d.npz", "modelled.without": None}, before=KEPT_DETECTOR, loose=True
    ),
    Flag("score", "--out elsewhere.csv", {"files": {"elsewhere.csv"}}),
    Flag("score", "--contamination 0.25", detector(contamination=0.25)),
    Flag("score", "--support-fraction 0.75", detector(support_fraction=0.75)),
    Flag("score", "--epochs 70", detector(epochs=70)),
    Flag("score", "--samples 30", {**detector(samples=30), "contributions.samples": 30}),
    Flag("score", "--save d.npz", {"files": {"scores.csv", "d.npz"}}),
    Flag(
        "score",
        "--overwrite",
        {"code": 0, "files": {"scores.csv", "d.npz"}},
        before=f"{KEPT_DETECTOR} --seed 1",
        replaces="table.csv",
        beside="table.csv --save d.npz",
        loose=True,
    ),
    Flag("score", "--kind price=positive", {**detector(kinds={"price": "positive"})}, loose=True),
    Flag("score", "--unseen missing", detector(unseen="missing")),
    Flag("score", "--seed 11", {**detector(random_state=11), "contributions.seed": 11}),
    Flag("score", "--backend numpy", {**detector(backend="numpy"), "backend": ON_NUMPY}),
    Flag("score", "--threads 2", {**detector(threads=2), "backend": ON_TWO}),
    Flag("score", "--quiet", {**detector(verbose=False), **QUIET}),
    # gradcheck
    Flag("gradcheck", "--model vae.npz", {"loaded.path": "vae.npz", "case.rows": 16, "cases.seed": None}, loose=True),
    Flag("gradcheck", "--seed 11", {"cases.seed": 11, "check.seed": 11}),
    Flag("gradcheck", "--backend numpy", {"backend": ON_NUMPY}),
    # info
    Flag("info", "vae.npz", {"loaded.path": "vae.npz"}, loose=True),
]

#: What the ordinary lines hand over: the defaults, written out.
DEFAULTS = {
    "train": {
        "data.name": "digits",
        "prepared.x": (ROWS, SIDE, SIDE),
        "prepared.x_valid": (TEST_ROWS, SIDE, SIDE),
        **vae(
            latent_dim=None,
            hidden=None,
            decoder_hidden=None,
            activation=None,
            missing=False,
            linear_path=None,
            likelihood="bernoulli",
            objective=None,
            beta=1.0,
            kl_warmup=0,
            optimizer=None,
            learning_rate=None,
            schedule="constant",
            clip_norm=None,
            batch_size=None,
            epochs=None,
            validation_fraction=None,
            patience=None,
            min_delta=0.0,
            binarize="none",
            initial_weights="glorot",
            output_bias="auto",
            divide_by=255.0,
            backend="auto",
            threads=None,
            dtype="float32",
            random_state=0,
            verbose=True,
        ),
        "fit.checkpoint": "npvae-run/checkpoint.npz",
        "fit.checkpoint_seconds": 10.0,
        "fit.resume": False,
        "plots.loss": 1,
        "plots.latent": (TEST_ROWS,),
        "plots.reconstructions": (20, SIDE, SIDE),
        "plots.manifold": 2,
    },
    "evaluate": {
        "data.name": "digits",
        "loaded.path": "vae.npz",
        "evaluate.X": (TEST_ROWS, SIDE, SIDE),
        "evaluate.y": (TEST_ROWS,),
        "evaluate.X_train": (ROWS, SIDE, SIDE),
        "evaluate.y_train": (ROWS,),
        "evaluate.samples": 1000,
        "evaluate.at_once": None,
        "evaluate.random_state": None,
        "evaluate.verbose": True,
        "files": set(),
    },
    "sample": {
        "loaded.path": "vae.npz",
        "sample.n": 100,
        "sample.mean": True,
        "sample.random_state": 0,
        "plots.images": (100, SIDE, SIDE),
        "files": {"samples.png"},
    },
    "encode": {
        "data.name": "digits",
        "loaded.path": "vae.npz",
        "encode.X": (TEST_ROWS, SIDE, SIDE),
        "written": ("latent.csv", (TEST_ROWS, 2), ("mean_0", "mean_1")),
        "files": {"latent.csv"},
    },
    "reconstruct": {
        "data.name": "digits",
        "loaded.path": "vae.npz",
        "plots.reconstructions": (40, SIDE, SIDE),
        "plots.how": {"sample": False, "random_state": 0},
        "elbo.X": (TEST_ROWS, SIDE, SIDE),
        "elbo.random_state": 0,
        "files": {"reconstructions.png"},
    },
    "table": {**table_of("table.csv"), "files": set()},
    "impute": {
        **table_of("table.csv"),
        "impute.draws": 0,
        "impute.random_state": 0,
        **imputer(
            kinds={},
            ignore=(),
            missing=(),
            unseen="error",
            continuous_likelihood="gaussian_decoder",
            latent_dim=None,
            hidden=(128, 128),
            members=5,
            samples=5,
            learning_rate=2e-3,
            batch_size=64,
            epochs=None,
            held_out=0.1,
            every=None,
            patience=6,
            imputation_samples=2000,
            backend="auto",
            threads=None,
            random_state=0,
            verbose=True,
        ),
        "fit.checkpoint_seconds": 10.0,
        "fit.resume": False,
        "files": {"filled.csv"},
    },
    "classify": {
        "data.name": "digits",
        "labels.count": 200,
        "labels.seed": 0,
        "fitted.X": (ROWS, SIDE, SIDE),
        "predict.X": (TEST_ROWS, SIDE, SIDE),
        **m2(
            features=None,
            latent_dim=50,
            hidden=(500,),
            decoder_hidden=None,
            classifier_hidden=None,
            activation="softplus",
            likelihood="bernoulli",
            kinds=None,
            ignore=(),
            missing=(),
            unseen="error",
            alpha=1.0,
            classes=None,
            class_prior=None,
            standardize=False,
            beta=1.0,
            kl_warmup=0,
            optimizer="adam",
            learning_rate=3e-3,
            schedule="cosine",
            clip_norm=None,
            batch_size=50,
            epochs=50,
            validation_fraction=0.0,
            patience=None,
            min_delta=0.0,
            binarize="none",
            initial_weights="glorot",
            output_bias="auto",
            divide_by=255.0,
            backend="auto",
            threads=None,
            dtype="float32",
            random_state=0,
            verbose=True,
        ),
        "fit.checkpoint_seconds": 10.0,
        "fit.resume": False,
        "files": {"classes.csv"},
    },
    "score": {
        **table_of("table.csv"),
        "modelled.without": 0,
        "contributions.x": (30, 6),
        "contributions.seed": 0,
        "contributions.samples": 200,
        "files": {"scores.csv"},
        "fit.checkpoint_seconds": 10.0,
        "fit.resume": False,
        **detector(
            contamination=0.1,
            kinds={},
            ignore=(),
            missing=(),
            unseen="error",
            support_fraction=0.5,
            latent_dim=5,
            hidden=(64,),
            samples=200,
            learning_rate=1e-3,
            batch_size=128,
            epochs=None,
            validation_fraction=0.1,
            backend="auto",
            threads=None,
            random_state=0,
            verbose=True,
        ),
    },
    "gradcheck": {"cases.seed": 0, "check.seed": 0, "files": set()},
    "info": {"files": set()},
    "warmup": {"compiled": ["float32", "float64"], "files": set()},
}


# recording


class Record(dict):
    """What a command handed over, by names of our own: the first call of each kind."""

    def take(self, label: str, arguments: dict) -> None:
        for name, value in arguments.items():
            self.setdefault(f"{label}.{name}", plain(value))

    def watch(self, monkeypatch, owner, name: str, label: str, *wanted: str, of=object) -> None:
        """Record the arguments of a function, those ``wanted`` or all of them, and let it do its work."""
        function = inspect.getattr_static(owner, name)
        bare = function.__func__ if isinstance(function, classmethod) else function
        signature = inspect.signature(bare)

        def watched(*args, **kwargs):
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            given = {
                key: value for key, value in bound.arguments.items() if (key in wanted if wanted else key != "self")
            }
            if not args or isinstance(args[0], of):
                self.take(label, given)
            return bare(*args, **kwargs)

        watched.__signature__ = signature
        monkeypatch.setattr(owner, name, classmethod(watched) if isinstance(function, classmethod) else watched)


def plain(value):
    """An array as its shape, a path as its text, an estimator as its kind; everything else as it is."""
    if hasattr(value, "get_params"):
        return type(value).__name__
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, dict) and any(isinstance(entry, np.ndarray) for entry in value.values()):
        return {name: np.shape(entry) for name, entry in value.items()}
    if isinstance(value, (np.ndarray, common.NamedColumns)):
        return np.shape(value)
    return value


def pictures(name: str = "digits") -> Dataset:
    """A data set in the place of a known one: rows of every class, of two brightnesses."""
    generator = np.random.default_rng(5)

    def rows(count):
        labels = (np.arange(count) % 10).astype(np.uint8)
        x = generator.integers(0, 120, (count, SIDE * SIDE)) + 13 * labels[:, None]
        return x.astype(np.uint8), labels

    return Dataset(name, *rows(ROWS), *rows(TEST_ROWS), image_shape=(SIDE, SIDE), divide_by=255.0)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Two files of a VAE of such pictures."""
    folder, x = tmp_path_factory.mktemp("models"), pictures().x_train.reshape(-1, SIDE, SIDE)
    for name, seed in (("vae.npz", 0), ("other.npz", 1)):
        model = VAE(hidden=(5,), epochs=1, divide_by=255.0, random_state=seed, backend="numpy").fit(x)
        model.trained_on_ = {"data": "digits", "label_column": None}
        model.save(folder / name)
    table = {"height": np.arange(30.0) ** 1.5, "s": np.array(["y", "z"] * 15, object)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        VAE(2, (5,), likelihood="auto", epochs=1, random_state=0, backend="numpy").fit(table).save(
            folder / "of-table.npz"
        )
    return folder


@pytest.fixture(scope="module")
def kept():
    """Records of lines that many options are compared with."""
    return {}


@pytest.fixture
def record_of(models, kept, tmp_path, monkeypatch, capsys):
    """A function of a command line: its record. Every call starts in a folder of its own."""

    def record_of(line: str, before: str = "", keep: bool = False) -> Record:
        if keep and (line, before) in kept:
            return kept[line, before]
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        write_inputs(folder, models)
        with monkeypatch.context() as patch:
            patch.chdir(folder)
            watch_everything(patch, Record())
            if before:
                assert main(before.split()) == 0, capsys.readouterr().err
        there = contents(folder)
        capsys.readouterr()
        record = Record()
        with monkeypatch.context() as patch:
            patch.chdir(folder)
            watch_everything(patch, record)
            record["code"] = main(line.split())
        said = capsys.readouterr()
        record["printed"], record["said"] = bool(said.out), bool(said.err)
        record["files"] = {name for name, data in contents(folder).items() if data != there.get(name)}
        record["error"] = said.err
        if keep:
            kept[line, before] = record
        return record

    return record_of


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def write_inputs(folder: Path, models: Path) -> None:
    for name in ("vae.npz", "other.npz", "of-table.npz"):
        (folder / name).write_bytes((models / name).read_bytes())
    generator = np.random.default_rng(4)
    rows = ["a,b,c,d,e,f,kind"] + [
        ",".join(f"{v:.3f}" for v in generator.random(6)) + f",{'xyz'[i % 3]}" for i in range(30)
    ]
    (folder / "rows.csv").write_text("\n".join(rows) + "\n")
    (folder / "measured.csv").write_text(
        "\n".join(["a,b,y", *(f"0.{i % 7},0.{i % 3},{i // 2 + 0.5}" for i in range(30))]) + "\n"
    )
    (folder / "plain.csv").write_text("\n".join(row.rpartition(",")[0] for row in rows) + "\n")
    cells = [f"{1.5 + 0.01 * v:.3f};{'' if v % 5 == 0 else 20 + v};{'yz'[v % 2]}" for v in generator.permutation(30)]
    for name, names in (("table.csv", ["height;price;s"]), ("other.csv", ["length;price;s"]), ("bare.csv", [])):
        (folder / name).write_text("\n".join([*names, *cells]) + "\n")
    mixed = [
        "a,b,kind",
        *(
            f"{v % 4},{'' if v % 5 == 0 else 'uv'[v % 2]},{'xy'[i % 2]}"
            for i, v in enumerate(generator.permutation(30))
        ),
    ]
    (folder / "unseen.csv").write_text("s,height\nw,1.5\ny,2.0\n")
    (folder / "mixed.csv").write_text("\n".join(mixed) + "\n")
    np.save(folder / "bare.npy", pictures().x_test[:7].reshape(-1, SIDE, SIDE))


def watch_everything(patch, record: Record) -> None:
    """Record at the boundaries of the command line, with little data and one epoch of training."""
    patch.setattr(common, "load_dataset", lambda name, **how: record.take("data", {"name": name}) or pictures(name))
    record.watch(patch, common, "load_file", "data", "path", "label_column")
    record.watch(patch, own_files, "labels_of", "data", "label_column")
    record.watch(patch, VAE, "__init__", "VAE")
    record.watch(patch, SemiSupervisedVAE, "__init__", "M2")
    record.watch(patch, LatentClassifier, "__init__", "M1", "samples")
    record.watch(patch, TableImputer, "__init__", "TableImputer")
    record.watch(patch, OutlierVAE, "__init__", "OutlierVAE")
    record.watch(patch, evaluation, "contributions", "contributions", "x", "seed", "samples")
    modelled = columns.modelled
    patch.setattr(
        columns,
        "modelled",
        lambda table, also=(), without=(): (
            record.take("modelled", {"without": len(without)}) or modelled(table, also, without)
        ),
    )
    record.watch(patch, Estimator, "fit_prepared", "fit", "checkpoint", "checkpoint_seconds", "resume")
    record.watch(patch, Estimator, "load", "loaded", "path")
    record.watch(patch, LatentClassifier, "load", "loaded", "path")
    record.watch(patch, TableImputer, "load", "loaded", "path")
    for name in ("sample", "encode", "reconstruct", "elbo"):
        arguments = {
            "sample": ("n", "mean", "random_state"),
            "encode": ("X",),
            "reconstruct": ("X", "sample", "random_state"),
            "elbo": ("X", "random_state"),
        }[name]
        record.watch(patch, FittedVAE, name, name, *arguments)
    record.watch(patch, VAE, "sample", "sample", "given")
    record.watch(patch, SemiSupervisedVAE, "sample", "sample", "label", "n", "mean", "random_state")
    for kind in (SemiSupervisedVAE, LatentClassifier):
        record.watch(patch, kind, "fit", "fitted", "X")
    record.watch(patch, Classifier, "predict_proba", "predict", "X")
    record.watch(patch, classify_rows, "balanced_choice", "labels", "count", "seed")
    record.watch(patch, classify_rows, "labels_of", "data", "label_column")
    for module in (impute, own_files, table_command, classify_rows, train_data, score):
        record.watch(patch, module, "read_table", "table")
    record.watch(patch, TableImputer, "impute", "impute", "draws", "random_state")
    record.watch(patch, TableImputation, "interval", "interval", "level")
    watch_training(patch, record)
    watch_backends(patch, record)
    watch_evaluation(patch, record)
    watch_files_and_pictures(patch, record)


def watch_training(patch, record: Record) -> None:
    train, prepare, fit = base.train, base.preparation.prepare, TableImputer.fit

    def briefly(model, settings, x, x_valid=None, *rest, **more):
        settings = replace(settings, epochs=1, patience=None, schedule="constant", kl_warmup=0)
        return train(model, settings, x[:20], None if x_valid is None else x_valid[:10], *rest, **more)

    def prepared(estimator, X, X_valid=None, *rest, **more):
        record.take("prepared", {"x": X, "x_valid": X_valid})
        return prepare(estimator, X, X_valid, *rest, **more)

    def one_small_member(self, *rest, **more):
        given = self.get_params()
        self.set_params(members=1, epochs=1, hidden=(3,), imputation_samples=20, samples=2)
        record.take("fit", {name: more[name] for name in ("checkpoint", "checkpoint_seconds", "resume")})
        fit(self, *rest, **more)
        return self.set_params(**{**given, "imputation_samples": 20})

    patch.setattr(base, "train", briefly)
    patch.setattr(base.preparation, "prepare", prepared)
    patch.setattr(TableImputer, "fit", one_small_member)


def watch_backends(patch, record: Record) -> None:
    get = backend.get

    def on_numpy(choice="auto", threads=None):
        if isinstance(choice, backend.Ops):
            return choice
        calls = record.setdefault("backend", [])
        if (choice, threads) not in calls:
            calls.append((choice, threads))
        ops = get("numpy")
        ops.program = lambda dtype: record.setdefault("compiled", []).append(dtype) or argparse.Namespace(origin="none")
        return ops

    patch.setattr(backend, "get", on_numpy)


def watch_evaluation(patch, record: Record) -> None:
    names = ("X", "y", "X_train", "y_train", "samples", "at_once", "random_state", "verbose")
    evaluation = report.evaluate_model

    def fewer_samples(*args, samples=0, **more):
        return evaluation(*args, **{**more, "samples": min(samples, 5), "verbose": False})

    fewer_samples.__signature__ = inspect.signature(evaluation)
    patch.setattr(report, "evaluate_model", fewer_samples)
    record.watch(patch, report, "evaluate_model", "evaluate", *names)
    worst = argparse.Namespace(error=0.0)

    class Case:
        title, rtol = "none", 1.0

        def check(self, seed):
            record.take("check", {"seed": seed})
            return argparse.Namespace(rows=[], worst=worst)

    patch.setattr(own_gradients, "cases", lambda ops, seed: record.take("cases", {"seed": seed}) or [Case()])
    patch.setattr(
        own_gradients, "model_case", lambda *args, rows, **more: record.take("case", {"rows": rows}) or Case()
    )


def watch_files_and_pictures(patch, record: Record) -> None:
    write = outputs.write_array

    def written(path, x, column_names=None):
        record["written"] = (path, np.shape(x), None if column_names is None else tuple(column_names))
        write(path, x, column_names)

    patch.setattr(outputs, "write_array", written)
    drawn = {
        "plot_loss": lambda history: {"loss": history.epochs},
        "plot_latent": lambda mu, labels=None: {"latent": None if labels is None else labels.shape},
        "plot_manifold": lambda model: {"manifold": model.model_.architecture.latent_dim},
        "plot_reconstructions": lambda model, x, **how: {"reconstructions": x.shape, **({"how": how} if how else {})},
        "plot_samples": lambda images: {"images": images.shape},
        "plot_classes": lambda model, random_state=None: {"classes": random_state},
        "plot_analogies": lambda model, x: {"analogies": x.shape},
    }
    for name, describe in drawn.items():

        def draw(*args, describe=describe, **more):
            record.take("plots", describe(*args, **more))

        patch.setattr(plots, name, draw)
    patch.setattr(plots, "save", lambda ax, path: Path(path).write_text("drawn"))


# the tests


def of_command(command: str, record: Record) -> dict:
    """What of a record belongs to the command, without what is None."""
    mine = (*RECORDED[command], *EVERYWHERE)
    return {name: value for name, value in record.items() if name.partition(".")[0] in mine and value is not None}


@pytest.mark.parametrize(
    "flag", FLAGS, ids=lambda flag: f"{flag.command} {flag.beside} {flag.words}".replace("  ", " ")
)
def test_an_option_arrives_where_it_is_meant_to_and_changes_nothing_else(flag, record_of):
    ordinary = LINES[flag.command]
    line = f"{ordinary.replace(flag.replaces, '') if flag.replaces else ordinary} {flag.beside}"
    # An option that takes a needed one's place is compared with the ordinary line.
    without = of_command(flag.command, record_of(line if flag.beside else ordinary, flag.before, keep=True))
    found = record_of(f"{line} {flag.words}", flag.before)
    assert found["code"] == flag.code, found["error"]
    found = of_command(flag.command, found)
    wanted = {name: value for name, value in flag.changes.items() if value is not None}
    gone = {name for name, value in flag.changes.items() if value is None}
    assert {name: found.get(name) for name in flag.changes} == flag.changes
    if flag.loose:
        assert found != without
    else:
        assert found == {**{name: value for name, value in without.items() if name not in gone}, **wanted}
        assert all(without.get(name) != value for name, value in flag.changes.items()), (
            "a value that is the default shows nothing"
        )


@pytest.mark.parametrize("command", LINES)
def test_without_options_the_defaults_arrive(command, record_of):
    record = record_of(LINES[command])
    found = of_command(command, record)
    assert record["code"] == 0, record["error"]
    assert found.pop("printed")
    found.pop("said"), found.pop("code")
    assert found.pop("backend", [("auto", None)])[0] in (("auto", None), ("numba", None))
    files = {
        f"npvae-run/{name}"
        for name in (
            "model.npz",
            "history.csv",
            "checkpoint.npz",
            "loss.png",
            "latent.png",
            "reconstructions.png",
            "manifold.png",
        )
    }
    wanted = {"files": files, **DEFAULTS[command]}
    assert found == {name: value for name, value in wanted.items() if value is not None}


def options_of_the_parser() -> dict[str, set[str]]:
    """By command the names of its options and arguments, without --help."""
    commands = next(action for action in build_parser()._actions if isinstance(action, argparse._SubParsersAction))
    return {
        name: {action.dest for action in parser._actions if action.dest != "help"}
        for name, parser in commands.choices.items()
    }


def test_every_option_of_every_command_is_in_the_table():
    wanted, parser = options_of_the_parser(), build_parser()
    assert set(LINES) == set(wanted)
    for command, names in wanted.items():
        commands = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
        by_word = {word: action.dest for action in commands.choices[command]._actions for word in action.option_strings}
        words = [word.partition("=")[0] for flag in FLAGS if flag.command == command for word in flag.words.split()[:1]]
        bare = {"data_word" if word in ("mnist", "other.csv") else "model" for word in words if word not in by_word}
        assert {by_word[word] for word in words if word in by_word} | bare == names, (
            f"options of {command} that FLAGS lacks, or that there are not"
        )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("2.5", 2.5),
        ("cyclic:period=4", {"name": "cyclic", "period": 4}),
        ("cyclic:period=4,rise=0.5", {"name": "cyclic", "period": 4, "rise": 0.5}),
    ],
)
def test_warm_ups_as_text(text, value):
    found = choices.parse_warmup(text)
    assert found == value and type(found) is type(value)


def test_a_model_of_a_file_asks_for_it_with_its_column_of_labels(record_of):
    for labels in (" --label-column kind", ""):
        data = "rows.csv" if labels else "plain.csv"
        found = record_of("evaluate run", before=f"train --out run --data {data}{labels} --quiet --no-plots")
        assert found["code"] == 2
        assert (
            found["error"].rstrip().endswith(f"trained on the file {data}; for that file, say --data {data}{labels}")
        ), found["error"]
