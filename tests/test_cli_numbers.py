"""Numbers on the command line: what is no number, or out of an option's range, is named in one line."""

from __future__ import annotations

import argparse
import re

import numpy as np
import pytest

from npvae.cli import build_parser, choices, common, main, numbers
from npvae.errors import InputError
from npvae.support import machine_memory

NO_NUMBERS = ["\u00b2", "\u0663", "1_000", " 5", "0x10", "", "many", "1e", "\u2160"]
TOO_LARGE = ["9" * 400, "9" * 5000, str(10**20), "-" + "9" * 5000]
NOT_FINITE = ["inf", "-Infinity", "nan", "1e400", "9" * 400]


def numeric_options():
    """Every option of every command with a number, and whether it is whole."""
    commands = next(action for action in build_parser()._actions if isinstance(action, argparse._SubParsersAction))
    for command, parser in commands.choices.items():
        for action in parser._actions:
            if callable(action.type) and action.type.__module__ == numbers.__name__:
                yield command, action.option_strings[-1], "whole." in action.type.__qualname__


def needed(command: str) -> list[str]:
    return {"impute": ["--data", "x.csv", "--out", "y.csv"]}.get(
        command, ["model"] if command in ("sample", "encode", "reconstruct", "evaluate") else []
    )


def one_line(capsys, arguments: list[str], longest: int = 400) -> str:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert (
        out == ""
        and err.startswith("npvae: ")
        and err.count("\n") == 1
        and "Traceback" not in err
        and len(err) < longest
    ), err
    return err


@pytest.mark.filterwarnings("error")
def test_every_numeric_option_refuses_what_is_no_number_in_its_range(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    seen = 0
    for command, option, whole in numeric_options():
        for text in (
            NO_NUMBERS + (TOO_LARGE if whole else TOO_LARGE[:2]) + (NOT_FINITE if not whole else ["inf", "1.5", "1e3"])
        ):
            err = one_line(capsys, [command, *needed(command), f"{option}={text}"])
            assert err.startswith(f"npvae: {option} must be "), (text, err)
            seen += 1
    assert seen > 300 and list(tmp_path.iterdir()) == []


def test_no_option_takes_a_number_of_pythons():
    commands = next(action for action in build_parser()._actions if isinstance(action, argparse._SubParsersAction))
    for parser in commands.choices.values():
        assert all(action.type not in (int, float, complex, eval) for action in parser._actions)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (numbers.whole(1), "12", 12),
        (numbers.whole(-3), "-3", -3),
        (numbers.seed, str(2**63 - 1), 2**63 - 1),
        (numbers.whole(), "+7", 7),
        (numbers.real(), "-.5", -0.5),
        (numbers.real(minimum=0.0), "1e-3", 1e-3),
        (numbers.real(), "2.", 2.0),
        (numbers.real(), "007", 7.0),
    ],
)
def test_numbers_are_read(kind, text, value):
    assert kind(text) == value and type(kind(text)) is type(value)


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        (numbers.whole(2), "1", "must be at least 2, got '1'"),
        (numbers.seed, str(2**63), "must be at most 9223372036854775807"),
        (numbers.real(above=0.0), "0", "must be finite and above 0, got '0'"),
        (numbers.real(above=0.0), "1e-400", "above 0"),
        (numbers.real(minimum=0.0, below=1.0), "1", "must be finite and at least 0 and below 1"),
    ],
)
def test_ranges(kind, text, words):
    with pytest.raises(argparse.ArgumentTypeError, match=words.replace("+", r"\+")):
        kind(text)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--hidden", "\u00b2"],
        ["--hidden", "9" * 5000],
        ["--hidden", "3,,4"],
        ["--hidden", "1_0"],
        ["--hidden", "0"],
        ["--decoder-hidden", "-4"],
        ["--optimizer", "adam:epsilon=" + "9" * 400],
        ["--optimizer", "adam:epsilon=" + "9" * 5000],
        ["--optimizer", "adam:epsilon=nan"],
        ["--optimizer", "adam:epsilon=1e400"],
        ["--optimizer", "adam:epsilon=\u00b2"],
        ["--optimizer", "sgd:momentum=" + str(10**20)],
        ["--schedule", "steps:\u00b2=0.5"],
        ["--schedule", "steps:" + "9" * 5000 + "=0.5"],
        ["--schedule", f"steps:{10**20}=0.5"],
        ["--kl-warmup", "9" * 400],
        ["--kl-warmup", "\u00b2"],
        ["--kl-warmup", str(10**20)],
        ["--kl-warmup", "cyclic:period=" + "9" * 400],
        ["--likelihood", "categorical:sizes=\u00b2+3"],
        ["--likelihood", "categorical:sizes=" + "9" * 5000 + "+3"],
        ["--likelihood", f"categorical:sizes={10**20}+3"],
        ["--likelihood", "gaussian:variance=" + "9" * 400],
        ["--objective", "importance_weighted:samples=" + "9" * 400],
        ["--objective", f"importance_weighted:samples={10**20}"],
        ["--objective", "elbo:free_bits=inf"],
        ["--backend", "cupy:device=" + "9" * 400],
        ["--backend", "numba:products=" + "9" * 5000],
        ["--data", "table.csv", "--label-column", "\u00b2"],
        ["--data", "table.csv", "--label-column", "9" * 5000],
        ["--data", "table.csv", "--label-column", str(10**20)],
        ["--data", "table.csv", "--label-column", "-" + "9" * 400],
    ],
)
def test_numbers_inside_of_texts(capsys, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    np.savetxt("table.csv", np.eye(4), delimiter=",")
    data = [] if "--data" in arguments else ["--data", "table.csv"]
    one_line(capsys, ["train", *data, "--no-plots", "--quiet", *arguments], longest=6000)
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


def test_choices_keep_texts_and_numbers_apart():
    assert choices.parse_choice("a:x=007,y=1e3,z=v1.2,w=3+4,b=true") == {
        "name": "a",
        "x": 7,
        "y": 1000.0,
        "z": "v1.2",
        "w": [3, 4],
        "b": True,
    }
    for text in ("a:x=inf", "a:x=" + "1" * 400, "a:x=1e200"):
        with pytest.raises(InputError, match="not finite or far too large"):
            choices.parse_choice(text)


CHOICES = (
    "activation",
    "backend",
    "binarize",
    "dtype",
    "initial-weights",
    "kl-warmup",
    "likelihood",
    "objective",
    "optimizer",
    "output-bias",
    "schedule",
)


def options_with_a_value():
    """Every option of every command that takes a value."""
    commands = next(action for action in build_parser()._actions if isinstance(action, argparse._SubParsersAction))
    for command, parser in commands.choices.items():
        for action in parser._actions:
            if action.option_strings and action.nargs is None:
                yield command, action.option_strings[-1]


def test_no_option_takes_the_end_of_the_options_for_a_value(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    seen = list(options_with_a_value())
    for command, option in seen:
        assert one_line(capsys, [command, *needed(command), f"{option}=--"]).startswith(
            f"npvae: {option}: expected a value, got '--'"
        )
    assert len(seen) > 80 and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "nothing", "\x1b[31m", "nothing:a=1", "=", "gaussian:variance=nan"])
def test_every_choice_that_is_none_is_refused_by_its_option(capsys, tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    seen = [(command, option) for command, option in options_with_a_value() if option[2:] in CHOICES]
    for command, option in seen:
        assert one_line(capsys, [command, *needed(command), f"{option}={text}"], 500).startswith(f"npvae: {option}: ")
    assert {option[2:] for _, option in seen} == set(CHOICES) and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--kl-warmup", "6"], "--kl-warmup is 6 epochs, but the run has 5"),
        (["--schedule", "steps:9=0.1"], "--schedule=steps changes after epoch 9, but the run has 5 epochs"),
        (["--validation-fraction", "0.999"], "--validation-fraction=0.999 of 4 rows leaves"),
        (["--patience", "3"], "--patience needs --validation-fraction"),
        (["--data", "grey_levels.csv", "--hidden", "3", "--likelihood", "bernoulli"], "(--divide-by=255)"),
        (["--latent-dim", "2147483647"], "choose less than --latent-dim=2147483647 or --hidden=4"),
        (["--hidden", "99999,99999,99999"], "choose less than --latent-dim=2 or --hidden=99999,99999,99999"),
        (["--decoder-hidden", "2147483647"], "or --hidden=4 or --decoder-hidden=2147483647"),
        (["--data", ""], "--data '' is neither"),
        (["--label-column", "x:batch_size=1"], "--label-column: unknown column 'x:batch_size=1'; known: 'a', 'b'"),
    ],
)
def test_messages_of_the_library_name_the_options(capsys, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(machine_memory, "available_bytes", lambda: 2**30)
    (tmp_path / "batch_size=1.csv").write_text("a,b\n0,1\n1,0\n1,1\n0.5,0\n")
    (tmp_path / "grey_levels.csv").write_text("a,b\n0,255\n128,0\n")
    err = one_line(
        capsys,
        [
            "train",
            "--data",
            "batch_size=1.csv",
            "--epochs",
            "5",
            "--hidden",
            "4",
            "--backend",
            "numpy",
            "--quiet",
            *arguments,
        ],
        600,
    )
    assert words in err and not re.search(r"(?<![-\w])(kl_warmup|latent_dim|divide_by|validation_fraction)", err), err


def test_what_is_quoted_or_part_of_a_name_keeps_its_spelling():
    options = argparse.Namespace(batch_size=1, missing=[], allow_missing=False, hidden="4", run=None)
    assert (
        common.with_flags("kinds names a, n=4 and random_state", argparse.Namespace(kind=[], number=1, seed=0))
        == "--kind names a, --number=4 and --seed"
    )
    text = (
        "batch_size of 'batch_size' and 'x:hidden=3' in /tmp/batch_size.csv and batch_size.npz: "
        "missing=True, missing rows, hidden=3, my_batch_size, or set batch_size."
    )
    expected = (
        "--batch-size of 'batch_size' and 'x:hidden=3' in /tmp/batch_size.csv and batch_size.npz: "
        "--allow-missing, missing rows, --hidden=3, my_batch_size, or set --batch-size."
    )
    assert common.with_flags(text, options) == expected


def test_an_empty_name_of_a_model_is_none(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert (
        main(["train", "--epochs", "1", "--hidden", "3", "--backend", "numpy", "--no-plots", "--quiet", "--out", "."])
        == 0
    )
    for command in ("sample", "encode", "reconstruct", "evaluate"):
        assert "the name of the model is empty" in one_line(capsys, [command, ""])


@pytest.mark.parametrize(
    ("kind", "inside", "outside"),
    [
        (numbers.threads, ["1", "1024"], ["0", "1025"]),
        (numbers.seed, ["0", str(2**63 - 1)], ["-1", str(2**63)]),
        (numbers.whole(), ["0", "2147483647", "0" * 39 + "1"], ["-1", "2147483648", "1" * 41]),
        (numbers.whole(2, 3), ["2", "3"], ["1", "4"]),
        (numbers.real(minimum=0.5, maximum=2.0), ["0.5", "2"], ["0.49", "2.01"]),
        (numbers.real(above=0.5, below=2.0), ["0.51", "1.99"], ["0.5", "2"]),
        (numbers.real(), ["1e308", "0" * 40], ["1e309", "inf", "-nan", "1" * 41]),
    ],
)
def test_just_inside_and_just_outside_of_every_range(kind, inside, outside):
    for text in inside:
        assert kind(text) == (int(text) if text.isdigit() and len(text) < 40 else float(text))
    for text in outside:
        with pytest.raises(argparse.ArgumentTypeError, match="^must be (at least|at most|finite)"):
            kind(text)


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        (numbers.whole(1), "1" * 41, f"must be at most 2147483647, got '{'1' * 41}'"),
        (numbers.whole(1), "-" + "1" * 41, f"must be at least 1, got '-{'1' * 41}'"),
        (numbers.real(minimum=0.0, below=1.0), "1", "must be finite and at least 0 and below 1, got '1'"),
        (numbers.real(), "x", "must be a number, got 'x'"),
        (numbers.whole(), "x" * 41, f"must be a whole number, got '{'x' * 41}'"),
        (numbers.real(above=0.5, maximum=2.0), "-Inf", "must be finite and above 0.5 and at most 2, got '-Inf'"),
    ],
)
def test_ranges_word_for_word(kind, text, message):
    with pytest.raises(argparse.ArgumentTypeError) as error:
        kind(text)
    assert str(error.value) == message


#: The least whole number that an option takes, in every command that has it, and the largest where it is not that of
#: all.
LEAST = {
    "--skip": (0, 2**31 - 1),
    "--header-rows": (0, 100),
    **dict.fromkeys(
        ("--latent-dim", "--epochs", "--batch-size", "--patience", "--number", "--rows", "--at-once", "--members"),
        (1, 2**31 - 1),
    ),
    "--samples": (0, 2**31 - 1),
    "--labels": (2, 2**31 - 1),
    "--draws": (0, 100_000),
    "--threads": (1, 1024),
    "--seed": (0, 2**63 - 1),
}
#: Where a command's range is another.
OF_A_COMMAND = {("score", "--samples"): (1, 2**31 - 1)}
#: Whether a real number may be 0, and whether it may be 1.
REAL = {
    **dict.fromkeys(("--learning-rate", "--clip-norm", "--divide-by", "--time"), (False, True)),
    **dict.fromkeys(("--beta", "--min-delta", "--alpha", "--checkpoint-seconds"), (True, True)),
    "--validation-fraction": (True, False),
    "--contamination": (False, False),
    "--support-fraction": (False, True),
}


def test_every_option_has_its_range_in_every_command():
    commands = next(action for action in build_parser()._actions if isinstance(action, argparse._SubParsersAction))
    seen = set()
    for command, action in (
        (command, action) for command, parser in commands.choices.items() for action in parser._actions
    ):
        flag = next((flag for flag in action.option_strings if flag.startswith("--")), None)
        if flag in LEAST:
            least, most = OF_A_COMMAND.get((command, flag), LEAST[flag])
            inside, outside = [least, most], [least - 1, most + 1]
        elif flag in REAL:
            inside = [1e-9, *(value for value, may_be in zip((0.0, 1.0), REAL[flag], strict=True) if may_be)]
            outside = [-1e-9, *(value for value, may_be in zip((0.0, 1.0), REAL[flag], strict=True) if not may_be)]
        else:
            assert (
                action.type is None
                or "whole" not in action.type.__qualname__
                and "real" not in action.type.__qualname__
            ), flag
            continue
        seen.add(flag)
        assert [action.type(str(value)) for value in inside] == inside, flag
        for value in outside:
            with pytest.raises(argparse.ArgumentTypeError):
                action.type(str(value))
    assert seen == {*LEAST, *REAL}
