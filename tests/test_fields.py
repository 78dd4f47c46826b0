"""What the header of a file may hold: every kind of field just inside and just outside of its limits, and what its
messages say.
"""

from __future__ import annotations

import math

import pytest

from npvae.errors import InputError, ModelFileError
from npvae.mathematics.model import MOST_LAYERS, Architecture
from npvae.support.fields import (
    COMMANDS,
    Anything,
    Built,
    Digest,
    Either,
    Flag,
    ListOf,
    MapOf,
    Maybe,
    OneOf,
    Real,
    Record,
    Text,
    Whole,
    shown,
)
from npvae.training import declared
from npvae.training.checkpoint_fields import COMMAND, ENVIRONMENT


def refused(field, value) -> str:
    with pytest.raises(InputError) as error:
        field.read("place", value)
    return str(error.value)


@pytest.mark.parametrize(
    ("field", "inside", "outside"),
    [
        (Whole(), [0, 2**63 - 1], [-1, 2**63, True, 1.0, "1", None]),
        (Whole(2, 4), [2, 4], [1, 5]),
        (Real(), [1e308, -1e308, 0, -2.5], [1.1e308, -1.1e308, 2 * 10**308, math.nan, math.inf, True, "1", None]),
        (Real(minimum=1.0, maximum=2.0), [1.0, 2.0, 1], [0.999, 2.001]),
        (Real(above=1.0), [1.001, 2], [1.0, 1]),
        (Flag(), [True, False], [0, 1, None, "true"]),
        (Text(3), ["", "abc", "\n\x1b", "\U0001f600", "\ud7ff\ue000"], ["abcd", 3, None, "\ud800", "\udfff"]),
        (Text(3, plain=True), ["", "abc", "\u00e4"], ["a\n", "\x1b", "\x7f", "\u200e"]),
        (OneOf(("a", "b")), ["a", "b"], ["c", "", None, ["a"]]),
        (Digest(), ["0123456789abcdef" * 4], ["0" * 63, "0" * 65, "A" * 64, "g" * 64, 0, None]),
        (Maybe(Whole(1)), [None, 1], [0, "1"]),
        (Either(Whole(1), Flag()), [1, True, False], [0, None]),
        (ListOf(Whole(1), shortest=1, longest=2), [[1], [1, 2]], [[], [1, 2, 3], "1", (1,), None, [0]]),
        (MapOf(Whole(1), longest=1), [{}, {"a": 1}], [{"a": 1, "b": 1}, {"a": 0}, [], None, {"a" * 1001: 1}]),
        (MapOf(Whole(1)), [{"a" * 1000: 1}], []),
        (
            Record({"a": Whole()}, {"b": Flag()}),
            [{"a": 1}, {"a": 1, "b": True}],
            [{}, {"b": True}, {"a": -1}, {"a": 1, "c": 1}, [], None],
        ),
        (Built("a number", int, Text(2)), ["1", "12"], ["x", "123", 1, None]),
        (
            Anything(),
            [0.5, 2**63 - 1, 1 - 2**63, None, {"a": [True, "x"]}],
            [math.nan, -math.inf, 2**63, -(2**63), [[math.nan]], {"a": {"b": 2**63}}],
        ),
        (COMMAND, [None, ["x"], ["x" * 10_000], ["x"] * 10_000], [[], ["x" * 10_001], ["x"] * 10_001, "x"]),
        (
            ENVIRONMENT,
            [{}, {"a": "x" * 1000}, {str(i): "" for i in range(100)}],
            [{"a": "x" * 1001}, {"a": "\n"}, {str(i): "" for i in range(101)}],
        ),
        (declared.LABEL, [0, 2**63 - 1, -(2**63), True, "x" * 1000], [2**63, -(2**63) - 1, 0.5, None, "x" * 1001]),
        (declared.REASON, [None, "x" * 1000], ["x" * 1001, "\x1b[2J"]),
        (declared.COLUMN_NAMES, [None, ["x" * 10_000]], [[], ["x" * 10_001], [1]]),
        (declared.SEED, [0], [-1]),
        (declared.WIDTHS, [[], [1] * MOST_LAYERS], [[0], [1] * (MOST_LAYERS + 1)]),
        (
            declared.TRAINED_ON,
            [
                None,
                {"data": "x" * 10_000, "label_column": None},
                {"data": "", "label_column": "y" * 10_000},
                {"data": "", "label_column": None, "run": "0" * 64},
            ],
            [
                {},
                {"data": ""},
                {"data": "x" * 10_001, "label_column": None},
                {"data": "", "label_column": "y" * 10_001},
                {"data": "", "label_column": None, "run": ""},
            ],
        ),
        (
            declared.Configuration(),
            [{"name": "a"}, {"name": "", "sizes": [1]}],
            [{}, {"name": 1}, {"name": None}, "a", {"name": "a", "b": math.inf}],
        ),
    ],
    ids=lambda value: type(value).__name__ if hasattr(value, "read") else None,
)
def test_a_field_takes_what_is_inside_of_its_limits(field, inside, outside):
    for value in inside:
        assert field.read("place", value) == value
    for value in outside:
        assert "place" in refused(field, value), value


def test_json_of_any_form_is_bounded_in_depth_and_number():
    assert Anything(3, 4).read("place", [[1], 2]) == [[1], 2]  # three deep, four values
    for value in ([[[1]]], [[1], 2, 3]):
        assert (
            refused(Anything(3, 4), value)
            == f"place must be JSON of at most 4 values, 3 deep, its numbers finite, got {value}"
        )


def test_limits_that_nobody_states():
    assert Text().read("place", "x" * 10_000) and refused(Text(), "x" * 10_001)
    assert MapOf(Flag()).read("place", dict.fromkeys(map(str, range(100_000)), True))
    assert refused(MapOf(Flag()), dict.fromkeys(map(str, range(100_001)), True))
    assert Anything().expected == "JSON of at most 1000000 values, 10 deep, its numbers finite"
    assert ListOf(Flag()).expected == "a list of 0 to 10000000 entries"


def test_nan_is_null_in_a_file_where_it_may_be():
    assert math.isnan(Real(nan=True).read("place", None))
    assert refused(Real(nan=True), math.nan)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        (Whole(), "x", "place must be a whole number of at least 0, got 'x'"),
        (Whole(2, 4), 5, "place must be a whole number of at least 2 and at most 4, got 5"),
        (
            Real(minimum=0.5, above=0.25, maximum=2.0),
            3,
            "place must be a finite number and at least 0.5 and above 0.25 and at most 2, got 3",
        ),
        (Real(), None, "place must be a finite number, got None"),
        (Flag(), 1, "place must be true or false, got 1"),
        (Text(3), "abcd", "place must be a text of at most 3 characters, got 'abcd'"),
        (
            Text(3, plain=True),
            "\x1b",
            "place must be a text of at most 3 characters without control characters, got '\\x1b'",
        ),
        (OneOf(("a", "b")), "c", "place must be one of 'a', 'b', got 'c'"),
        (Digest(), 1, "place must be a SHA-256 of 64 hexadecimal digits, got 1"),
        (Maybe(Flag()), 1, "place must be true or false, got 1"),
        (Maybe(ListOf(Maybe(Flag()))), [True, 1], "place[1] must be true or false, got 1"),
        (
            Either(Flag(), Maybe(Whole())),
            -1,
            "place must be true or false, or a whole number of at least 0, or null, got -1",
        ),
        (ListOf(Whole(), 1, 2), [], "place must be a list of 1 to 2 entries, got []"),
        (MapOf(Flag()), [], "place must be an object, got []"),
        (MapOf(Flag()), {"a": 1}, "place['a'] must be true or false, got 1"),
        (
            MapOf(Flag()),
            {"a" * 1001: True},
            f"a name in place must be a text of at most 1000 characters, got {repr('a' * 1001)[:60]}...",
        ),
        (Record({"a": Flag()}), 1, "place must be an object with a, got 1"),
        (Record({"b": Flag(), "a": Flag()}), {}, "place.a is missing"),
        (Record({"a": Record({"b": Flag()})}), {"a": {"b": 1}}, "place.a.b must be true or false, got 1"),
        (Record({"a": Flag()}), {"a": True, "b\n": 1}, "place has the unknown entry 'b\\n'"),
        (Built("a number", int), "x", "place must be the configuration of a number, got 'x'"),
        (declared.Configuration(), {}, 'place must be an object with a "name", got {}'),
        (
            declared.HISTORY,
            1,
            "place must be an object with epoch, loss, elbo, reconstruction, kl, active_units, kl_per_dimension, "
            "gradient_norm, beta, learning_rate, seconds, got 1",
        ),
    ],
)
def test_a_refusal_says_the_place_what_was_expected_and_what_came(field, value, message):
    assert refused(field, value) == message


def test_the_header_itself_has_no_name():
    for value, message in (
        ({}, "a is missing"),
        ({"a": 1}, "a must be true or false, got 1"),
        ({"a": True, "b": 1}, "the header has the unknown entry 'b'"),
    ):
        with pytest.raises(InputError) as error:
            Record({"a": Flag()}).read("", value)
        assert str(error.value) == message


def test_what_a_class_says_of_its_configuration_is_passed_on_in_part():
    def build(value):
        raise InputError(value)

    assert refused(Built("a thing", build), "x" * 400) == f"place must be the configuration of a thing: {'x' * 300}"


def test_a_value_is_shown_short_and_in_plain_characters():
    assert shown("x" * 58) == repr("x" * 58)
    assert shown("x" * 59) == "'" + "x" * 59 + "..."
    assert shown([1, 2], 3) == "[1,..."
    assert shown("\x1b\u00e9") == "'\\x1b\\xe9'"


def test_the_characters_that_are_commands():
    assert {c for c in COMMANDS if c < 160} == {*range(0x00, 0x20), *range(0x7F, 0xA0)}
    # Marks of direction, embeddings and overrides, isolates: Unicode Standard Annex 9, section 2.
    assert {c for c in COMMANDS if c >= 160} == {
        0x200E,
        0x200F,
        0x202A,
        0x202B,
        0x202C,
        0x202D,
        0x202E,
        0x2066,
        0x2067,
        0x2068,
        0x2069,
    }


def test_a_reason_is_made_plain_and_short():
    assert declared.plain_reason(None) is None
    assert declared.plain_reason("loss is nan\x1b[2J \u00e9'") == "loss is nan\\x1b[2J \u00e9'"
    assert declared.plain_reason("x" * 1001) == "x" * 1000
    assert declared.plain_reason(ValueError("x")) == "x"


def history(**changed) -> dict:
    numbers = ("loss", "elbo", "reconstruction", "kl", "gradient_norm", "beta", "learning_rate", "seconds")
    columns = {
        "epoch": [1, 2],
        **{name: [0.5, 0.25] for name in numbers},
        "active_units": [0, 2],
        "kl_per_dimension": [[1.0, 0.0], [2.0, -1.0]],
    }
    return {name: entries for name, entries in {**columns, **changed}.items() if entries is not None}


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"loss": [-1.0, 0]},
        {"beta": [0, 0], "learning_rate": [0, 0], "seconds": [0, 0]},
        {"bound": [-1.0, 1.0]},
        {"error": [0.0, 1.0], "cross_entropy": [0.0, 3.0], "val_error": [0.0, 1.0], "val_bound": [-1.0, 1.0]},
        {
            "val_loss": [-1.0, 0],
            "val_elbo": [1.0, 0],
            "val_reconstruction": [1.0, 0],
            "val_kl": [1.0, 0],
            "val_active_units": [1, 0],
            "val_kl_per_dimension": [[1.0], [1.0]],
        },
    ],
)
def test_histories(changed):
    columns = history(**changed)
    assert declared.HISTORY.read("history", columns) == columns


def test_a_history_without_an_epoch_and_epochs_without_labels():
    assert declared.HISTORY.read("history", {}) == {}
    found = declared.HISTORY.read("history", history(error=[None, 0.5]))
    assert math.isnan(found["error"][0]) and found["error"][1] == 0.5


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"loss": None}, "history.loss is missing"),
        ({"val_loss": [1.0]}, "history.val_loss has 1 entries for 2 epochs"),
        ({"epoch": [2, 1]}, "history.epoch must be 1, 2, ..., 2"),
        ({"epoch": [0, 1]}, "history.epoch[0] must be a whole number of at least 1, got 0"),
        ({"beta": [0, -1]}, "history.beta[1] must be a finite number and at least 0, got -1"),
        ({"learning_rate": [-1, 1]}, "history.learning_rate[0] must be a finite number and at least 0, got -1"),
        ({"seconds": [-1, 1]}, "history.seconds[0] must be a finite number and at least 0, got -1"),
        ({"error": [-1, 1]}, "history.error[0] must be a finite number and at least 0, got -1"),
        ({"loss": [None, 1]}, "history.loss[0] must be a finite number, got None"),
        (
            {"kl_per_dimension": [[1.0], [1.0, 2.0]]},
            "history.kl_per_dimension must have equally many entries in every epoch",
        ),
        (
            {"val_kl_per_dimension": [[1.0], [1.0, 2.0]]},
            "history.val_kl_per_dimension must have equally many entries in every epoch",
        ),
        ({"active_units": [-1, 0]}, "history.active_units[0] must be a whole number of at least 0, got -1"),
        ({"more": [1, 2]}, "history has the unknown entry 'more'"),
    ],
)
def test_histories_that_are_none(changed, message):
    with pytest.raises(InputError) as error:
        declared.HISTORY.read("history", history(**changed))
    assert str(error.value) == message


@pytest.mark.parametrize("column", ["kl_per_dimension", "val_kl_per_dimension"])
def test_a_history_has_as_many_latent_dimensions_as_its_model(column):
    declared.check_latent_dim({column: [[1.0, 2.0]]}, 2)
    declared.check_latent_dim({column: []}, 2)
    with pytest.raises(ModelFileError, match="its history has 2 latent dimensions, its model 3"):
        declared.check_latent_dim({column: [[1.0, 2.0]]}, 3)


CONFIG = {
    "n_features": 4,
    "latent_dim": 2,
    "hidden": [3],
    "decoder_hidden": [3],
    "activation": "tanh",
    "likelihood": {"name": "bernoulli"},
}
#: Weights and biases: 4-3, 3-2 twice, 2-3, 3-4.
PARAMETERS = 15 + 2 * 8 + 9 + 16


def test_an_architecture_needs_its_parameters():
    assert (
        declared.build_architecture(Architecture, CONFIG, PARAMETERS).config()
        == Architecture.from_config(CONFIG).config()
    )
    with pytest.raises(
        ModelFileError, match=f"its architecture needs at least {PARAMETERS} parameters, but it has {PARAMETERS - 1}"
    ):
        declared.build_architecture(Architecture, CONFIG, PARAMETERS - 1)


@pytest.mark.parametrize(
    "changed",
    [
        {"n_features": PARAMETERS + 1},
        {"latent_dim": PARAMETERS + 1},
        {"hidden": [PARAMETERS + 1]},
        {"decoder_hidden": [3, PARAMETERS + 1]},
        {"n_classes": PARAMETERS + 1},
        {"classifier_hidden": [PARAMETERS + 1]},  # too wide
        {"hidden": [PARAMETERS] * 3},  # too wide together
        {"likelihood": {"name": "categorical", "sizes": [1] * 5}},  # more blocks than columns
    ],
)
def test_an_architecture_too_large_for_its_parameters_is_never_made(changed):
    class Never:
        def from_config(config):
            raise AssertionError("it is made")

    with pytest.raises(ModelFileError, match=f"its architecture is too large for its {PARAMETERS} parameters"):
        declared.build_architecture(Never, {**CONFIG, **changed}, PARAMETERS)
    limits = {
        "n_features": 4,
        "hidden": [PARAMETERS],
        "decoder_hidden": [PARAMETERS - 6],
        "likelihood": {"name": "categorical", "sizes": [1] * 4},
    }
    with pytest.raises(AssertionError, match="it is made"):  # within all limits
        declared.build_architecture(Never, {**CONFIG, **limits}, PARAMETERS)
