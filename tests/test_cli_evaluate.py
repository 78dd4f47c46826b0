"""``npvae evaluate`` and ``npvae train --preset``, as a user runs them."""

import json
import math

import numpy as np
import pytest
from small import grey_rows, small_vae

from npvae import VAE, load_dataset
from npvae.cli import main, parse, presets
from npvae.errors import InputError
from npvae.estimators.preparation import training_settings
from npvae.evaluation import report
from npvae.mathematics import optimizers


@pytest.fixture
def model(tmp_path):
    vae = small_vae(binarize="static").fit(grey_rows())
    vae.save(tmp_path / "m.npz")
    np.save(tmp_path / "x.npy", grey_rows(12, seed=9))
    return vae, str(tmp_path / "m.npz"), str(tmp_path / "x.npy"), tmp_path


def test_a_table_and_json_with_the_same_numbers(model, capsys):
    vae, path, data, folder = model
    assert main(["evaluate", path, "--data", data, "--samples", "50", "--json", str(folder / "e.json")]) == 0
    said = capsys.readouterr()
    found = json.loads((folder / "e.json").read_text())
    x = grey_rows(12, seed=9)
    wanted = vae.log_likelihood(x, samples=50)
    assert found["log_likelihood"] == pytest.approx(wanted.mean, rel=1e-6) and found["rows"] == 12
    assert found["standard_error"] == pytest.approx(wanted.standard_error, rel=1e-5)
    assert found["sampling_error"] == pytest.approx(wanted.sampling_error, rel=1e-4)
    assert found["neighbour_accuracy"] is None and found["data"] == data
    assert f"{found['log_likelihood']:.3f}" in said.out and f"{found['squared_error']:.3f}" in said.out
    assert "active units" in said.out and "over samples" in said.out and "12 of 12 rows" in said.err


def test_the_measures_are_their_definitions(model):
    vae, _, _, _ = model
    x = grey_rows(30, seed=2)
    found = report.evaluate_model(vae, x, samples=0)
    seen = vae.model_.ops.to_numpy(vae.model_input(x))
    assert set(np.unique(seen)) == {0.0, 1.0}  # the model was trained on zeros and ones
    mean = vae.reconstruct(seen)
    assert found["squared_error"] == pytest.approx(np.mean(np.sum((seen - mean) ** 2, axis=1)), rel=1e-5)
    assert found["elbo"] == pytest.approx(-(found["reconstruction"] + found["kl"]))
    assert found["kl"] == pytest.approx(sum(found["kl_per_dimension"]))
    assert found["log_likelihood"] is None and "log_likelihood" not in found["seconds"]
    assert found["aggregate_kl"] + found["mutual_information"] == pytest.approx(found["kl"], rel=1e-5)
    json.dumps(found)
    assert (
        report.evaluate_model(vae, x, samples=20, random_state=5)["log_likelihood"]
        == report.evaluate_model(vae, x, samples=20, random_state=5)["log_likelihood"]
    )


def test_units_of_the_data_do_not_matter(tmp_path):
    images = (255 * grey_rows(40)).astype(np.uint8)
    vae = small_vae(divide_by=255).fit(images)
    found = report.evaluate_model(vae, images, samples=0)
    wanted = np.mean(np.sum(((images - vae.reconstruct(images)) / 255) ** 2, axis=1))
    assert found["squared_error"] == pytest.approx(wanted, rel=1e-4)


def test_neighbours_of_a_known_data_set(tmp_path, capsys):
    digits = load_dataset("digits")
    VAE(epochs=1, divide_by=255, random_state=0).fit(digits.x_train[:500]).save(tmp_path / "m.npz")
    command = [
        "evaluate",
        str(tmp_path / "m.npz"),
        "--data",
        "digits",
        "--rows",
        "100",
        "--samples",
        "0",
        "--json",
        str(tmp_path / "e.json"),
    ]
    assert main(command) == 0
    found = json.loads((tmp_path / "e.json").read_text())
    assert 0.1 < found["neighbour_accuracy"] < 1 and "15-NN accuracy" in capsys.readouterr().out


def test_one_row_has_no_error_and_json_no_nan(model):
    _, path, data, folder = model
    command = ["evaluate", path, "--data", data, "--rows", "1", "--samples", "1", "--quiet"]
    assert main([*command, "--json", str(folder / "e.json")]) == 0
    found = json.loads((folder / "e.json").read_text(), parse_constant=lambda name: pytest.fail(name))
    assert (
        found["standard_error"] is None and found["sampling_error"] is None and math.isfinite(found["log_likelihood"])
    )


@pytest.mark.parametrize("backend", ["numpy", "auto"])
def test_threads_change_no_number_by_more_than_rounding(model, backend):
    _, path, data, folder = model
    found = []
    for more in ([], ["--threads", "1"]):
        command = ["evaluate", path, "--data", data, "--samples", "20", "--quiet", "--backend", backend, *more]
        assert main([*command, "--json", str(folder / "e.json")]) == 0
        found.append(json.loads((folder / "e.json").read_text())["log_likelihood"])
    assert found[0] == pytest.approx(found[1], rel=1e-6)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--threads", "0"], "--threads must be at least 1"),
        (["--samples", "-1"], "--samples must be at least 0"),
        (["--rows", "13"], "--rows is 13, but the data have 12 rows"),
        (["--at-once", "2"], "--at-once must be at least 4, got 2"),
        (["--json", "no/such/folder/e.json"], "the folder of --json no/such/folder/e.json does not exist"),
    ],
)
def test_bad_options_are_refused_in_one_line(model, capsys, options, words):
    _, path, data, _ = model
    assert main(["evaluate", path, "--data", data, *options]) == 2
    assert words in capsys.readouterr().err


def test_half_of_what_neighbours_need_is_refused(model):
    vae, _, _, _ = model
    with pytest.raises(InputError, match="neighbours need y, X_train and y_train"):
        report.evaluate_model(vae, grey_rows(5), X_train=grey_rows(), samples=0)
    labels = np.zeros(40)
    with pytest.raises(InputError, match="X has 5 rows, but there are 4 labels for them"):
        report.evaluate_model(vae, grey_rows(5), labels[:4], grey_rows(), labels)
    with pytest.raises(InputError, match="15 neighbours need as many training rows, got 9"):
        report.evaluate_model(vae, grey_rows(5), labels[:5], grey_rows(9), labels[:9])


# Presets


@pytest.mark.parametrize("name", presets.PRESETS)
def test_a_preset_is_a_run_that_can_start(name):
    options = parse(["train", "--preset", name])
    from npvae.cli import choices

    assert all(getattr(options, key) == value for key, value in presets.PRESETS[name].options.items())
    said = {
        name: choices.parse_choice(getattr(options, name))
        for name in ("optimizer", "objective")
        if getattr(options, name) is not None
    }
    settings = training_settings(
        VAE(
            epochs=options.epochs,
            batch_size=options.batch_size,
            learning_rate=options.learning_rate,
            kl_warmup=choices.parse_warmup(options.kl_warmup),
            schedule=choices.parse_schedule(options.schedule),
            random_state=0,
            **said,
        )
    )
    assert (settings.epochs, settings.batch_size) == (
        options.epochs,
        options.batch_size,
    ) and settings.learning_rate == presets.PRESETS[name].options.get("learning_rate", 1e-3)
    assert repr(settings.optimizer) == repr(optimizers.get(said.get("optimizer", "rmsprop")))


def test_the_presets_are_what_the_papers_did():
    """Written out: data, widths, and how each is trained; the stairs of learning rates are checked below."""
    binarised = {"data": "mnist", "activation": "tanh", "binarize": "dynamic", "learning_rate": 1e-3}
    burda = {
        **binarised,
        "hidden": "200,200",
        "latent_dim": 50,
        "batch_size": 20,
        "output_bias": "data",
        "optimizer": "adam:epsilon=5e-6,initial_accumulator=0.0025",
    }
    wanted = {
        "note": {"data": "mnist", "hidden": "256", "latent_dim": 2, "epochs": 50, "batch_size": 100},
        "aevb": {**binarised, "hidden": "500", "latent_dim": 20, "batch_size": 100, "optimizer": "adam", "epochs": 200},
        "iwae": {**burda, "epochs": 3280},
        "iwae-364": {**burda, "epochs": 1 + 3 + 9 + 27 + 4 * 81},
        "static-mnist": {
            "data": "binarized-mnist",
            "hidden": "400",
            "latent_dim": 40,
            "batch_size": 100,
            "optimizer": "adam",
            "learning_rate": 1e-4,
            "epochs": 500,
            "schedule": "steps:200=0.630957,350=0.398107",
        },
    }
    assert set(presets.PRESETS) == set(wanted)
    found = {}
    for name in wanted:
        options = vars(parse(["train", "--preset", name]))
        found[name] = {key: options[key] for key in presets.PRESETS[name].options}
        assert {key: options[key] for key in wanted[name]} == wanted[name]
    stairs = [found[name].pop("schedule") for name in ("iwae", "iwae-364")]
    assert found == wanted
    assert stairs[1] == "steps:" + ",".join(
        f"{epoch}={10 ** (-i / 7):.6g}" for i, epoch in enumerate((1, 4, 13, 40, 121, 202, 283), start=1)
    )


def test_burda_s_stairs():
    from npvae.cli import choices
    from npvae.mathematics.schedules import get

    options = presets.PRESETS["iwae"].options
    assert options["epochs"] == sum(3**i for i in range(8)) == 3280
    stairs = get(choices.parse_schedule(options["schedule"]))
    passed = 0
    for i in range(8):
        assert stairs.factor(passed, 3280) == pytest.approx(10 ** (-i / 7), rel=1e-5)
        passed += 3**i
        assert stairs.factor(passed - 0.01, 3280) == pytest.approx(10 ** (-i / 7), rel=1e-5)
    assert presets.PRESETS["iwae-364"].options["epochs"] == 364


@pytest.mark.parametrize("order", [1, -1])
def test_an_option_beside_a_preset_goes_first(order):
    parts = [["--preset", "iwae"], ["--latent-dim", "7"], ["--epochs", "50"]][::order]
    options = parse(["train", *sum(parts, [])])
    assert options.latent_dim == 7 and options.epochs == 50 and options.batch_size == 20
    assert parse(["train"]).batch_size is None  # nothing is left of it


def test_the_objective_and_the_warm_up_of_the_command_line(tmp_path):
    np.save(tmp_path / "x.npy", grey_rows())
    command = [
        "train",
        "--data",
        str(tmp_path / "x.npy"),
        "--out",
        str(tmp_path / "run"),
        "--epochs",
        "4",
        "--hidden",
        "4",
        "--objective",
        "importance_weighted:samples=3,estimator=dreg",
        "--kl-warmup",
        "cyclic:period=2",
        "--quiet",
        "--no-plots",
    ]
    assert main(command) == 0
    vae = VAE.load(tmp_path / "run" / "model.npz")
    assert vae.objective == {"name": "importance_weighted", "samples": 3, "estimator": "dreg"}
    assert vae.kl_warmup == {"name": "cyclic", "period": 2} and "bound" in vae.history_
