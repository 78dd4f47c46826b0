"""The command line: what it writes, what it prints, how it ends."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import processes
import pytest
from ended import ended_in_epoch
from small import grey_rows, small_vae

from npvae import VAE, plots
from npvae import backend as backends
from npvae.backend.numpy_ops import NumpyOps
from npvae.cli import choices, main, train
from npvae.errors import NonFiniteError, TrainingInterrupted
from npvae.support.files import Stream

QUICK = ["--epochs", "1", "--hidden", "8", "--batch-size", "500"]
#: Beside it: the parameters are not finite after the first steps.
DIVERGES = ["--optimizer", "sgd", "--learning-rate", "1e30"]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "run"
    assert main(["train", "--out", str(folder), "--quiet", "--no-plots", *QUICK]) == 0
    return folder


@pytest.fixture
def trained(trained_once, tmp_path):
    return Path(shutil.copytree(trained_once, tmp_path / "run"))


@pytest.fixture
def table(tmp_path):
    rows = grey_rows(60)
    lines = ["a,b,c,d,e,f,kind"] + [",".join(map(repr, map(float, row))) + ",k" for row in rows]
    (tmp_path / "table.csv").write_text("\n".join(lines) + "\n")
    return rows


def output(capsys):
    captured = capsys.readouterr()
    return captured.out, captured.err


# train


def test_train_alone_leaves_model_history_and_pictures(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    assert main(["train", "--epochs", "2"]) == 0
    out, err = output(capsys)
    folder = tmp_path / "npvae-run"
    assert {path.name for path in folder.iterdir()} == {
        "model.npz",
        "history.csv",
        "checkpoint.npz",
        "loss.png",
        "latent.png",
        "manifold.png",
        "reconstructions.png",
    }
    for word in ("encoder/0", "404,244 parameters", "cross-entropy", "4000 rows", "wrote npvae-run/"):
        assert word in out
    assert err.count("epoch ") == 2  # no terminal: a line an epoch
    with open(folder / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    vae = VAE.load(folder / "model.npz")
    assert [float(row["loss"]) for row in rows] == vae.history_["loss"]
    assert {"kl_0", "kl_1", "val_kl_1", "gradient_norm", "active_units"} <= rows[0].keys()
    assert (folder / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_the_next_run_takes_the_next_free_folder(tmp_path):
    for name in ("npvae-run", "npvae-run-2"):
        assert main(["train", "--quiet", "--no-plots", *QUICK]) == 0
        assert (tmp_path / name / "model.npz").exists()


def test_a_model_is_not_overwritten_unless_asked(trained, capsys):
    before = (trained / "model.npz").read_bytes()
    again = ["train", "--out", "run", "--quiet", "--no-plots", *QUICK, "--seed", "7"]
    assert main(again) == 2
    assert "already holds" in output(capsys)[1] and (trained / "model.npz").read_bytes() == before
    assert main([*again, "--overwrite"]) == 0
    assert (trained / "model.npz").read_bytes() != before


def test_same_seed_same_model(trained, tmp_path):
    assert main(["train", "--out", "other", "--quiet", "--no-plots", *QUICK]) == 0
    np.testing.assert_array_equal(
        VAE.load(trained / "model.npz").theta_, VAE.load(tmp_path / "other" / "model.npz").theta_
    )


def test_resume_goes_on_to_the_same_bits(tmp_path):
    common = ["train", "--quiet", "--no-plots", "--hidden", "8", "--batch-size", "500"]
    assert main([*common, "--epochs", "4", "--out", "whole"]) == 0
    assert main([*common, "--epochs", "2", "--out", "parts"]) == 0
    assert main([*common, "--epochs", "4", "--out", "parts", "--resume"]) == 0
    whole, parts = (VAE.load(tmp_path / name / "model.npz") for name in ("whole", "parts"))
    np.testing.assert_array_equal(whole.theta_, parts.theta_)
    assert whole.history_["loss"] == parts.history_["loss"]


@pytest.mark.parametrize("epoch", [0, 2])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_resume_alone_goes_on_with_what_was_begun(tmp_path, epoch, number):
    """From the first epoch too, in which there is no model yet; data, options and all come from the folder, wherever it
    is said from. Checkpoints are not due: what Ctrl-C could keep it keeps."""
    np.save("x.npy", grey_rows(200))
    begun = [
        "train",
        "--data",
        "x.npy",
        "--epochs",
        "4",
        "--hidden",
        "5",
        "--no-plots",
        "--quiet",
        "--optimizer",
        "adam:beta1=0.8",
        "--schedule",
        "cosine",
        "--latent-dim",
        "3",
        "--allow-missing",
        "--binarize",
        "dynamic",
        "--batch-size",
        "20",
    ]
    assert main([*begun, "--out", "whole"]) == 0
    said = ended_in_epoch(epoch, number, [*begun, "--out", "parts"])
    model = tmp_path / "parts" / "model.npz"
    assert model.exists() == (number == signal.SIGINT and epoch > 0)
    if number == signal.SIGINT:
        assert f"interrupted after {epoch} of 4 epochs" in said and "--resume" in said
    if model.exists():
        so_far = VAE.load(model)
        assert so_far.stop_reason_ == "interrupted" and so_far.history_.epochs == 2 and np.isfinite(so_far.theta_).all()
    (tmp_path / "elsewhere").mkdir()
    os.chdir("elsewhere")
    seen = processes.run([sys.executable, "-m", "npvae", "train", "--out", "../parts", "--resume"])
    assert seen.returncode == 0, seen.stderr
    if number == signal.SIGINT:  # from the last whole epoch on
        assert f"epoch {epoch}/4" not in seen.stderr
    a, b = (VAE.load(tmp_path / name / "model.npz") for name in ("whole", "parts"))
    np.testing.assert_array_equal(a.theta_, b.theta_)
    assert a.history_["loss"] == b.history_["loss"] and a.history_.epochs == 4
    assert main(["train", "--out", "../parts", "--resume"]) == 0  # a whole run is not trained to 50 epochs
    np.testing.assert_array_equal(VAE.load(model).theta_, a.theta_)
    assert {path.name for path in model.parent.iterdir()} == {"model.npz", "history.csv", "checkpoint.npz"}


def test_what_may_be_said_anew_where_a_run_is_resumed(trained, tmp_path, capsys):
    quiet = ["train", "--out", "run", "--resume", "--no-plots", "--quiet"]
    np.save("x.npy", grey_rows())
    assert main(["train", "--data", "x.npy", "--out", "own", "--epochs", "1", "--no-plots", "--quiet"]) == 0
    assert main([*quiet, "--epochs", "4", "--threads", "1", "--checkpoint-seconds", "3"]) == 0
    assert VAE.load(trained / "model.npz").history_.epochs == 4
    assert main([*quiet]) == 0
    assert VAE.load(trained / "model.npz").history_.epochs == 4  # what was asked for last
    output(capsys)
    for flags, words in (
        (["--hidden", "9"], "--hidden 9: the run in run"),
        (["--allow-missing"], "begun without it; leave --allow-missing out"),
        (["--epochs", "1"], "is of epoch 4"),
        (["--backend", "cupy"], "or give --resume-anyway"),
    ):
        assert main([*quiet, *flags]) == 2
        assert words in output(capsys)[1]
    own = ["train", "--out", "own", "--resume", "--no-plots", "--quiet"]
    (tmp_path / "x.npy").rename("moved.npy")
    assert main(own) == 2 and "which is gone" in output(capsys)[1]
    assert main([*own, "--data", "moved.npy", "--epochs", "2"]) == 0
    np.save("moved.npy", grey_rows(seed=5))
    assert main(own) == 2 and "not those it was made with" in output(capsys)[1]


def test_a_run_that_is_resumed_on_another_backend(tmp_path, capsys):
    """Refused, where its bits depend on it, and gone on with by --resume-anyway, which is said."""
    begun = ["train", "--out", "run", "--no-plots", "--quiet", *QUICK, "--backend", "numpy"]
    assert main(begun) == 0
    resumed = ["train", "--out", "run", "--resume", "--no-plots", "--quiet", "--epochs", "3"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(NumpyOps, "bits_depend_on", lambda self: {"NumPy": "9.9", "instructions": "none"})
        assert main(resumed) == 2
        said = output(capsys)[1]
        assert (
            f"NumPy was {np.__version__}, here 9.9" in said and "instructions was" in said and "--resume-anyway" in said
        )
        assert main([*resumed, "--resume-anyway"]) == 0
        assert "is resumed elsewhere, not to the same bits: NumPy was" in output(capsys)[1]
        assert VAE.load(tmp_path / "run" / "model.npz").history_.epochs == 3
    if backends.reason_against("numba") is None:
        assert main([*resumed, "--backend", "numba"]) == 2 and "or give --resume-anyway" in output(capsys)[1]
        assert main([*resumed, "--backend", "numba", "--resume-anyway", "--epochs", "4"]) == 0
        assert "backend was numpy, here numba" in output(capsys)[1]


def test_resume_refuses_another_run(trained, capsys):
    assert main(["train", "--out", "run", "--quiet", "--no-plots", *QUICK, "--resume", "--beta", "2"]) == 2
    assert "--beta 2.0: the run in run" in output(capsys)[1]


def test_train_on_a_table(tmp_path, table, capsys):
    code = main(
        [
            "train",
            "--data",
            "table.csv",
            "--label-column",
            "kind",
            "--out",
            "t",
            "--likelihood",
            "gaussian_per_feature:floor=1e-4",
            "--optimizer",
            "adam:epsilon=1e-6",
            "--schedule",
            "steps:1=0.5",
            "--epochs",
            "3",
            "--hidden",
            "8,4",
            "--latent-dim",
            "3",
            "--validation-fraction",
            "0.2",
            "--patience",
            "2",
        ]
    )
    assert code == 0, output(capsys)
    vae = VAE.load(tmp_path / "t" / "model.npz")
    assert vae.feature_names_in_.tolist() == list("abcdef")
    assert vae.model_.architecture.hidden == (8, 4) and vae.model_.likelihood.floor == 1e-4
    names = {path.name for path in (tmp_path / "t").iterdir()}
    assert "manifold.png" not in names  # a row of six numbers is no picture


def test_whole_numbers_are_converted_and_said_once(tmp_path, capsys):
    np.save("x.npy", np.eye(9, dtype=int))
    assert main(["train", "--data", "x.npy", "--out", "i", "--no-plots", "--quiet", "--epochs", "2"]) == 0
    assert output(capsys)[1].count("converted to float32") == 1


def test_without_matplotlib_everything_but_the_pictures(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert main(["train", "--out", "run", *QUICK]) == 0
    out = output(capsys)[0]
    assert out.count("no pictures") == 1 and "pip install" in out
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"model.npz", "history.csv", "checkpoint.npz"}


def test_a_run_that_blows_up_says_why_and_leaves_no_model_of_step_0(tmp_path, capsys):
    assert main(["train", "--out", "run", "--quiet", "--no-plots", *QUICK, *DIVERGES]) == 1
    assert "epoch 1, step" in output(capsys)[1]
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["checkpoint.npz"]


def test_the_last_good_model_of_a_run_that_blows_up_says_so(tmp_path, capsys):
    """The learning rate is small for two epochs, and then 1e30."""
    diverges_later = [
        *QUICK,
        "--epochs",
        "5",
        "--optimizer",
        "sgd",
        "--learning-rate",
        "1e-3",
        "--schedule",
        "steps:2=1e33",
    ]
    assert main(["train", "--out", "run", "--no-plots", *diverges_later]) == 1
    out, err = output(capsys)
    assert "epoch 3, step" in err and out.splitlines()[-1] == f"the last good parameters are in {Path('run/model.npz')}"
    vae = VAE.load(tmp_path / "run" / "model.npz")
    assert np.isfinite(vae.theta_).all() and vae.history_.epochs == 2 and vae.stop_reason_ == "a number was not finite"
    assert main(["encode", "run", "--out", "z.csv"]) == 0
    assert "did not end well, after 2 epochs: a number was not finite" in output(capsys)[1]


def test_a_model_that_was_never_trained_says_so(tmp_path, capsys):
    vae = small_vae(learning_rate=1e30, optimizer="sgd")
    with pytest.raises(NonFiniteError):
        vae.fit(grey_rows())
    vae.save("m.npz")
    np.save("x.npy", grey_rows())
    assert main(["encode", "m.npz", "--data", "x.npy", "--out", "z.csv"]) == 0
    assert "did not end well, after 0 epochs" in output(capsys)[1]


def test_resume_without_a_checkpoint_loses_no_model(trained, capsys):
    (trained / "checkpoint.npz").unlink()
    before = (trained / "model.npz").read_bytes()
    assert main(["train", "--out", "run", "--quiet", "--no-plots", *QUICK, "--resume", "--seed", "9"]) == 2
    assert "no checkpoint.npz" in output(capsys)[1] and (trained / "model.npz").read_bytes() == before


def test_overwrite_leaves_nothing_of_the_old_run(trained):
    (trained / "manifold.png").write_text("old")
    for name in ("model.npz", "loss.png"):
        (trained / f".{name}.1234abcd.part").write_text("half")
    assert main(["train", "--out", "run", "--quiet", "--no-plots", *QUICK, "--overwrite", "--seed", "3"]) == 0
    assert {path.name for path in trained.iterdir()} == {"model.npz", "history.csv", "checkpoint.npz"}
    assert VAE.load(trained / "model.npz").seed_ == 3


def contents(folder, but=()):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name not in but}


def test_overwrite_keeps_the_old_run_until_the_new_one_is_whole(trained, tmp_path, capsys):
    """A run that diverges, or is killed or interrupted in its third epoch, leaves every file but the checkpoint; with
    --resume alone the new run is gone on with, to the bits of one that was not ended, and takes the old one's place."""
    before = contents(trained, ["checkpoint.npz"])
    assert main(["train", "--out", "run", "--quiet", *QUICK, "--overwrite", *DIVERGES]) == 1
    assert contents(trained, ["checkpoint.npz"]) == before

    new = ["--quiet", "--no-plots", "--hidden", "16", "--epochs", "4", "--checkpoint-seconds", "0"]
    for number in (signal.SIGKILL, signal.SIGINT):
        ended_in_epoch(2, number, ["train", "--out", "run", "--overwrite", *new])
        assert contents(trained, ["checkpoint.npz", ".checkpoint.npz.lock"]) == before
    assert main(["train", "--out", "run", "--resume"]) == 0
    assert main(["train", "--out", "whole", *new]) == 0
    assert set(contents(trained)) == {"model.npz", "history.csv", "checkpoint.npz"}
    a, b = VAE.load(trained / "model.npz"), VAE.load(tmp_path / "whole" / "model.npz")
    np.testing.assert_array_equal(a.theta_, b.theta_)


@pytest.mark.parametrize("redirect", ["2>&-", ">&-", "2>&1 | head -1 > HERE", "> /dev/full"])
def test_a_dead_terminal_does_not_stop_a_run(tmp_path, redirect):
    if "full" in redirect and not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    redirect = redirect.replace("HERE", str(tmp_path / "head"))
    words = f"{sys.executable} -m npvae train --out run --epochs 3 --hidden 8 --no-plots {redirect}"
    done = processes.run(["bash", "-o", "pipefail", "-c", words])
    assert done.returncode == 0 and "Traceback" not in done.stderr + done.stdout
    assert VAE.load(tmp_path / "run" / "model.npz").history_.epochs == 3


def test_names_that_the_terminal_cannot_show(tmp_path):
    np.save(tmp_path / "üñï 漢.npy", grey_rows())
    done = processes.run(
        [sys.executable, "-m", "npvae", "train", "--data", "üñï 漢.npy", "--out", "run", "--epochs", "1", "--no-plots"],
        text=False,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert done.returncode == 0 and b"Traceback" not in done.stderr, done.stderr


ON_ROWS = ["train", "--data", "x.npy", "--hidden", "3", "--epochs", "2", "--backend", "numpy", "--out", "run"]


def test_what_a_training_says(capsys, monkeypatch):
    """Line by line; the clock stands at 10 s, and at 12.5 s when the training has ended."""
    np.save("x.npy", (grey_rows() > 0.5).astype(float))
    times = []
    monkeypatch.setattr("npvae.cli.train.time", SimpleNamespace(perf_counter=lambda: times.pop(0)))

    def said(*more):
        times[:] = [10.0, 12.5]
        assert main([*ON_ROWS, "--no-plots", *more]) == 0
        out, err = output(capsys)
        assert "interrupted" not in err
        return out.splitlines()

    first = said("--validation-fraction", "0.25", "--patience", "1")
    assert first[0] == "data: x.npy, 40 rows of shape (6,), validated on 0.25 of them, held out" and first[
        1
    ].startswith("layer ")
    assert (
        first[-5].startswith("training    loss ")
        and first[-4].startswith("validation  loss ")
        and first[-3].endswith("of 2 latent dimensions active; 2.5 s")
    )
    assert (
        first[-2].startswith("kept the parameters of epoch ")
        and first[-1] == "wrote run/: model.npz, history.csv, checkpoint.npz"
    )
    complete = "the run was complete already: nothing was left to train"
    assert complete in said("--resume", "--validation-fraction", "0.25", "--patience", "1", "--no-plots")
    begun = said("--overwrite")
    assert (
        begun[0] == "data: x.npy, 40 rows of shape (6,)"
        and begun[-3].startswith("training ")
        and "2 latent dim" in begun[-2]
        and complete not in begun
    )
    longer = said("--resume", "--epochs", "3")
    assert (
        complete not in longer
        and len(longer) == len(begun)
        and not any("starts anew" in line for line in (*first, *begun, *longer))
    )
    Path("run/checkpoint.npz").unlink(), Path("run/model.npz").unlink()
    assert "run holds no checkpoint: the run starts anew" in said("--resume") and complete in said("--resume")
    assert said("--resume", "--quiet") == []
    assert (
        said("--preset", "note", "--overwrite")[0]
        == "preset note: 784-256-2 on grey MNIST, 50 epochs of RMSprop (the Keras example variational_autoencoder.py)"
    )


def test_overwrite_replaces_links_and_not_what_they_lead_to(tmp_path, capsys):
    np.save("x.npy", grey_rows())
    elsewhere = tmp_path / "elsewhere"
    assert main([*ON_ROWS, "--no-plots", "--quiet", "--seed", "1"]) == 0
    Path("run").rename(elsewhere)
    (elsewhere / "loss.png").write_text("picture")
    before = contents(elsewhere, but=[".checkpoint.npz.lock"])
    Path("run").mkdir()
    for name in before:
        Path("run", name).symlink_to(elsewhere / name)
    assert main([*ON_ROWS, "--no-plots", "--quiet"]) == 2  # no --overwrite
    assert (
        output(capsys)[1] == "npvae: run already holds model.npz: choose another --out, or --resume, or --overwrite\n"
    )
    assert main([*ON_ROWS, "--no-plots", "--quiet", "--overwrite"]) == 0
    assert contents(elsewhere, but=[".checkpoint.npz.lock"]) == before and not any(
        path.is_symlink() for path in Path("run").iterdir()
    )
    assert set(contents(Path("run"), but=[".checkpoint.npz.lock"])) == {"model.npz", "history.csv", "checkpoint.npz"}
    Path("run/model.npz").unlink()
    assert (
        main([*ON_ROWS, "--no-plots", "--quiet"]) == 2
        and "run already holds checkpoint.npz: choose" in output(capsys)[1]
    )
    Path("run/checkpoint.npz").rename("moved.npz")
    Path("run/checkpoint.npz").symlink_to(tmp_path / "moved.npz")
    for more, epochs in (([], 3), (["--overwrite"], 4)):  # it goes on from where the link leads to
        moved = Path("moved.npz").read_bytes()
        assert main([*ON_ROWS, "--no-plots", "--quiet", "--resume", "--epochs", str(epochs), *more]) == 0
        assert VAE.load("run/model.npz", backend="numpy").history_.epochs == epochs
        assert Path("run/checkpoint.npz").is_symlink() and Path("moved.npz").read_bytes() != moved
    Path("new").mkdir()
    Path("new/checkpoint.npz").symlink_to(tmp_path / "kept.npz")
    assert (
        main([*ON_ROWS, "--no-plots", "--quiet", "--out", "new"]) == 0
        and Path("new/checkpoint.npz").is_symlink()
        and Path("kept.npz").exists()
    )


def test_a_model_that_is_there_is_seen_before_and_after_the_folder_is_held(capsys, monkeypatch):
    np.save("x.npy", grey_rows())
    Path("run").mkdir()
    folder_of = train._folder

    def meanwhile(options):
        """Another run ends there in between."""
        found = folder_of(options)
        Path("run/model.npz").touch()
        return found

    monkeypatch.setattr(train, "_folder", meanwhile)
    for _ in range(2):
        assert main([*ON_ROWS, "--quiet"]) == 2 and "run already holds model.npz" in output(capsys)[1]
        assert [path.name for path in Path("run").iterdir()] == ["model.npz"]
        monkeypatch.setattr(train.common, "writable_folder", lambda path: pytest.fail("it is not looked at"))


def test_data_inside_the_folder_of_a_run_are_no_product_of_it(capsys):
    Path("run").mkdir()
    np.save("run/x.npy", grey_rows())
    Path("run/history.csv").write_text("a,b\n" + "0.5,0.25\n" * 20)
    for data, code in (("run/history.csv", 2), ("run/x.npy", 0)):
        assert main([*ON_ROWS, "--no-plots", "--quiet", "--overwrite", "--data", data]) == code
    assert output(capsys)[1].startswith(
        "npvae: --out run/history.csv is the file of --data: run/history.csv is read from"
    )


def test_pictures_of_more_than_two_latent_dimensions_and_those_of_a_run_before(capsys, monkeypatch):
    for name in ("loss", "latent", "reconstructions", "samples", "manifold"):
        monkeypatch.setattr(plots, f"plot_{name}", lambda *of, name=name: name)
    monkeypatch.setattr(plots, "save", lambda ax, path: path.write_text(ax))
    np.save("x.npy", grey_rows(30, 16).reshape(30, 4, 4))
    names = {"model.npz", "history.csv", "checkpoint.npz", "loss.png", "latent.png", "reconstructions.png"}
    for latent_dim, last in (("3", "samples.png"), ("2", "manifold.png")):
        assert main([*ON_ROWS, "--latent-dim", latent_dim, "--overwrite"]) == 0
        assert set(contents(Path("run"), but=[".checkpoint.npz.lock"])) == {*names, last}
        wrote = f"wrote run/: model.npz, history.csv, checkpoint.npz, loss.png, latent.png, reconstructions.png, {last}"
        assert output(capsys)[0].splitlines()[-1] == wrote
    assert main([*ON_ROWS, "--resume"]) == 0
    out = output(capsys)[0].splitlines()
    assert (
        out[-1] == wrote
        and "the run was complete already: nothing was left to train" in out
        and not any("starts anew" in line for line in out)
    )


def test_ctrl_c_as_the_training_ends_leaves_a_whole_model(capsys, monkeypatch):
    np.save("x.npy", grey_rows())
    fit = VAE.fit_prepared

    def interrupted(self, run, **more):
        fit(self, run, **more)
        raise TrainingInterrupted("training interrupted", self)

    monkeypatch.setattr(VAE, "fit_prepared", interrupted)
    assert main([*ON_ROWS, "--no-plots"]) == 130
    out, err = output(capsys)
    assert "npvae: interrupted as the training ended; the model is whole\n" in err and out.splitlines()[-1].startswith(
        "wrote run/: model.npz"
    )
    assert VAE.load("run/model.npz", backend="numpy").history_.epochs == 2


# the other commands


def test_what_evaluate_and_reconstruct_say_of_a_few_rows(capsys):
    """Of zeros and 255 that are divided by 255 nothing is grey, also where they were not seen in training."""
    x = 255.0 * (grey_rows(12) > 0.5)
    np.save("x.npy", x)
    vae = small_vae(divide_by=255.0, backend="numpy").fit(x)
    vae.save("m.npz")
    assert main(["reconstruct", "m.npz", "--data", "x.npy", "--backend", "numpy"]) == 0
    elbo = vae.elbo(x, random_state=0)
    assert output(capsys)[0] == f"wrote reconstructions.csv; ELBO of the 12 rows: {elbo:.3f} nats a row\n"
    assert np.allclose(np.loadtxt("reconstructions.csv", delimiter=","), vae.reconstruct(x), rtol=1e-6)
    np.save("grey.npy", 255.0 * grey_rows(12))
    assert main(["reconstruct", "m.npz", "--data", "grey.npy", "--out", "grey.csv"]) == 0
    assert (
        output(capsys)[0]
        .splitlines()[1]
        .startswith("note: of grey values the bernoulli likelihood gives cross-entropies")
    )
    evaluate = ["evaluate", "m.npz", "--data", "x.npy", "--samples", "2", "--backend", "numpy", "--seed", "3"]
    assert main([*evaluate, "--rows", "12", "--json", "e.json"]) == 0
    lines = output(capsys)[0].splitlines()
    assert (
        lines[0] == "x.npy, 12 rows; nats a row"
        and lines[-2].endswith("on the numpy backend, seed 3")
        and lines[-1] == "wrote e.json"
    )
    assert Path("e.json").read_text().startswith('{\n  "data": "x.npy",\n  "') and Path("e.json").read_text().endswith(
        "\n}\n"
    )
    assert main([*evaluate, "--json", "e.json", "--quiet"]) == 0 and output(capsys)[0] == ""
    assert main([*evaluate, "--rows", "5", "--json", "-"]) == 0
    out, err = output(capsys)
    assert '"rows": 5' in out and "x.npy, 5 rows; nats a row\n" in err and "wrote" not in err
    assert (
        main(["evaluate", "m.npz", "--data", "x.npy", "--rows", "13"]) == 2
        and "--rows is 13, but the data have 12 rows" in output(capsys)[1]
    )
    assert main(["encode", "m.npz", "--data", "x.npy", "--logvar"]) == 0
    assert output(capsys)[0] == "wrote latent.csv: 12 rows, mean_0, mean_1, logvar_0, logvar_1\n"
    assert main(["sample", "m.npz", "-n", "3"]) == 0 and output(capsys)[0] == "wrote samples.csv: 3 samples\n"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_pictures_of_rows_that_are_squares_and_pictures_for_a_pipe(monkeypatch):
    """Rows of 64 numbers are pictures of 8 x 8; what is written to a pipe is not renamed."""
    small_vae(backend="numpy").fit(grey_rows(12, 64)).save("m.npz")
    np.save("x.npy", grey_rows(12, 64))
    os.mkfifo("p.png")
    saved = []
    monkeypatch.setattr(plots, "plot_samples", lambda images: images.shape)
    monkeypatch.setattr(plots, "plot_reconstructions", lambda vae, x, **how: x.shape)
    monkeypatch.setattr(plots, "save", lambda ax, path: saved.append((ax, type(path), os.fspath(path))))
    for out, kind in (("p.png", Stream), ("q.png", str)):
        assert (
            main(["sample", "m.npz", "-n", "3", "--out", out]) == 0
            and main(["reconstruct", "m.npz", "--data", "x.npy", "--out", out]) == 0
        )
        assert saved[-2:] == [((3, 8, 8), kind, out), ((12, 64), kind, out)]


def test_sample_encode_reconstruct(trained, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    assert main(["sample", "run", "-n", "5", "--out", "s.npy"]) == 0
    assert np.load("s.npy").shape == (5, 28, 28)
    assert main(["sample", "run", "-n", "5", "--noise", "--out", "noise.npy"]) == 0
    assert set(np.unique(np.load("noise.npy"))) <= {0.0, 255.0}
    assert main(["sample", "run"]) == 0
    assert (tmp_path / "samples.png").exists()
    assert main(["encode", "run", "--logvar", "--out", "z.csv"]) == 0
    from npvae.data import load_dataset, load_file

    loaded = load_file("z.csv")
    assert loaded.column_names == ["mean_0", "mean_1", "logvar_0", "logvar_1"]
    vae, digits = VAE.load(trained / "model.npz"), load_dataset("digits")
    np.testing.assert_array_equal(loaded.x[:, :2].astype("float32"), vae.transform(digits.x_test))
    assert main(["reconstruct", "run/model.npz", "--out", "r.npy", "--part", "train"]) == 0
    assert np.load("r.npy").shape == (4000, 28, 28)
    out = output(capsys)[0]
    assert "ELBO of the 4000 rows: -" in out
    assert main(["reconstruct", "run", "--out", "r.png"]) == 0
    assert (tmp_path / "r.png").exists()


def test_text_output_goes_to_standard_output(trained, capsys):
    output(capsys)
    assert main(["sample", "run", "-n", "2", "--out", "-"]) == 0
    rows = output(capsys)[0].splitlines()
    assert len(rows) == 2 and len(rows[0].split(",")) == 784


def test_info(trained, capsys):
    assert main(["info"]) == 0
    out = output(capsys)[0]
    for word in ("npvae", "numpy", "BLAS", "backends", "matplotlib", "digits"):
        assert word in out
    assert main(["info", "run"]) == 0
    assert "parameters; p(x|z)" in output(capsys)[0]


def test_gradcheck_passes_and_prints_a_row_a_tensor(trained, capsys):
    assert main(["gradcheck", "--model", "run"]) == 0
    out = output(capsys)[0]
    assert "decoder/logits/W" in out and "every gradient is right" in out and "10 tensors" in out


def test_gradcheck_exits_1_if_a_gradient_is_wrong(trained, capsys, monkeypatch):
    from npvae.backend.numpy_ops import NumpyOps

    monkeypatch.setattr(NumpyOps, "sample_backward", lambda self, dz, logvar, eps: (dz, dz * eps))
    assert main(["gradcheck", "--model", "run", "--backend", "numpy"]) == 1
    out = output(capsys)[0]
    assert "FAIL" in out and "GRADIENTS ARE WRONG" in out and "encoder/logvar/W" in out


# bad usage: exit code 2, one line, nothing written

BAD = {
    "no such data": ["train", "--data", "nothing"],
    "no such file": ["train", "--data", "nothing.csv"],
    "unknown file type": ["train", "--data", "file.xyz"],
    "bad hidden": ["train", "--hidden", "2,x"],
    "bad choice": ["train", "--optimizer", "adam:lr"],
    "unknown optimizer": ["train", "--optimizer", "adagrad"],
    "unknown argument": ["train", "--optimizer", "adam:alpha=3"],
    "bad steps": ["train", "--schedule", "steps:x=2"],
    "schedule too long": ["train", "--epochs", "5", "--schedule", "steps:9=0.1"],
    "warm-up too long": ["train", "--epochs", "5", "--kl-warmup", "6"],
    "zero epochs": ["train", "--epochs", "0"],
    "latent size 0": ["train", "--latent-dim", "0"],
    "bad likelihood": ["train", "--likelihood", "gamma"],
    "bad dtype": ["train", "--dtype", "float16"],
    "bad backend": ["train", "--backend", "tpu"],
    "negative seed": ["train", "--seed", "-1"],
    "test data choose": ["train", "--patience", "3"],
    "no such model": ["sample", "nowhere"],
    "not a model": ["encode", "text.npz"],
    "zero samples": ["sample", "run", "-n", "0"],
    "bad output": ["sample", "run", "--out", "x.doc"],
    "output in no folder": ["sample", "run", "--out", "no/such/x.npy"],
    "wrong width": ["encode", "run", "--data", "narrow.npy"],
    "NaN": ["train", "--data", "nan.csv", "--likelihood", "bernoulli"],
    "resume what": ["train", "--resume"],
    "empty folder name": ["train", "--out", ""],
    "twice": ["train", "--schedule", "steps:1=0.5,1=0.1"],
    "seed of the check": ["gradcheck", "--seed", "-1"],
    "checkpoint time": ["train", "--out", "new", "--checkpoint-seconds", "nan"],
    "a folder as data": ["train", "--data", "run"],
    "a folder is a file": ["train", "--out", "text.npz"],
    "a file for a folder": ["train", "--out", "text.npz/run"],
}


@pytest.mark.parametrize("name", BAD)
def test_bad_usage_is_one_line_and_exit_code_2(trained, tmp_path, capsys, name):
    (tmp_path / "text.npz").write_text("no model")
    (tmp_path / "file.xyz").write_text("1")
    (tmp_path / "nan.csv").write_text("a,b\n0.5,\n0.25,1\n")
    np.save("narrow.npy", np.zeros((3, 5)))
    output(capsys)
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    assert main(BAD[name]) == 2
    out, err = output(capsys)
    assert err.startswith("npvae: ") and err.count("\n") == 1 and "Traceback" not in err, err
    assert out == "" and sorted(str(path) for path in tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "required: COMMAND"),
        (["fly"], "COMMAND: invalid choice: 'fly'"),
        (["train", "--epochs", "many"], "--epochs must be a whole number, got 'many'"),
        (["train", "--fly"], "--fly"),
        (["sample"], "required: model"),
        (["impute", "--data", "x.csv"], "--out"),
    ],
)
def test_argument_errors_are_one_line_and_exit_code_2(capsys, arguments, words):
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert err.startswith("npvae: ") and words in err and "--help'" in err and err.count("\n") == 1 and out == ""


def test_a_closed_pipe_is_no_traceback(trained):
    command = f"{sys.executable} -m npvae sample run -n 3000 --out - | head -1 > {os.devnull}"
    done = processes.run(["bash", "-c", command])
    assert "Traceback" not in done.stderr and "Exception" not in done.stderr


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("adam", "adam"),
        ("adam:epsilon=1e-4,beta1=0.5", {"name": "adam", "epsilon": 1e-4, "beta1": 0.5}),
        ("bounded:low=none,high=-1.5", {"name": "bounded", "low": None, "high": -1.5}),
        ("ordinal:sizes=3+4", {"name": "ordinal", "sizes": [3, 4]}),
        ("rmsprop:epsilon_inside=false,rho=1", {"name": "rmsprop", "epsilon_inside": False, "rho": 1}),
    ],
)
def test_choices(text, choice):
    assert choices.parse_choice(text) == choice


def test_schedules_and_widths():
    assert choices.parse_schedule("steps:10=0.5,20=0.1") == {"name": "steps", "factors": {"10": 0.5, "20": 0.1}}
    assert choices.parse_schedule("cosine:final=0.1") == {"name": "cosine", "final": 0.1}
    assert choices.parse_widths("500,200") == (500, 200) and choices.parse_widths("none") == ()
