"""Tables number by number: how columns are scaled and guessed, which cells are held out, when training looks and stops,
what members and draws become."""

from __future__ import annotations

import re
import warnings
from types import SimpleNamespace

import gpu_backends
import numpy as np
import pytest

from npvae import TableImputer
from npvae.data.tables.carried import why_carried
from npvae.data.tables.frames import as_cells
from npvae.data.tables.kinds import Column, fit_column
from npvae.data.tables.schema import Schema
from npvae.errors import InputError, InputTypeError, NonFiniteError
from npvae.estimators.tables import TableImputation
from npvae.estimators.tables import member as member_module
from npvae.estimators.tables.member import Member, Recipe, hide, train_member
from npvae.imputation import Imputation
from npvae.mathematics import random
from npvae.mathematics.encoder_view import EncoderView


def fitted(values, kind=None) -> tuple[Column, np.ndarray]:
    """The column of some values, None for a missing one, and its numbers."""
    cells = np.array(values, dtype=object)
    observed = np.array([value is not None for value in values])
    column = fit_column("c", cells, observed, kind)
    return column, column.encode(cells, observed)[:, 0]


# scaling


def test_a_column_is_scaled_by_its_own_mean_and_deviation():
    column, x = fitted([-1.5, 3.0, None, 6.5, 12.0])
    v = np.array([-1.5, 3.0, 6.5, 12.0])
    assert (column.mean, column.deviation) == pytest.approx(
        (5.0, np.sqrt(np.mean((v - 5.0) ** 2)))
    ) and not column.is_curved
    np.testing.assert_allclose(x[[0, 1, 3, 4]], (v - 5.0) / column.deviation, rtol=1e-14)
    assert np.isnan(x[2]) and column.decimals == 1 and (column.center, column.scale) == (0.0, 1.0)
    np.testing.assert_allclose(column.decode(x[:, None])[[0, 1, 3, 4]], v, rtol=1e-14)


def test_a_positive_column_is_scaled_by_its_logarithms():
    column, x = fitted([1.0, np.e, np.e**5, None], "positive")
    assert (column.mean, column.deviation) == pytest.approx((2.0, np.sqrt((4 + 1 + 9) / 3)))
    np.testing.assert_allclose(x[:3], (np.array([0.0, 1.0, 5.0]) - 2.0) / column.deviation, rtol=1e-14)
    np.testing.assert_allclose(
        column.decode(np.array([[0.0], [1.0]])), [np.exp(2.0), np.exp(2.0 + column.deviation)], rtol=1e-14
    )
    assert column.decimals is None
    with pytest.raises(InputError, match="0 in row 1; a positive column needs values above 0"):
        fitted([1.0, 0.0, 2.0], "positive")


def test_counts_are_themselves_and_only_the_encoder_s_numbers_are_scaled():
    column, x = fitted([0.0, 2.0, 4.0, 6.0], "counts")
    np.testing.assert_array_equal(x, [0.0, 2.0, 4.0, 6.0])
    logarithms = np.log1p([0.0, 2.0, 4.0, 6.0])
    assert (
        (column.center, column.scale) == pytest.approx((logarithms.mean(), logarithms.std()))
        and column.whole
        and column.log1p
    )
    np.testing.assert_array_equal(column.decode(np.array([[2.4], [2.6], [-0.7]])), [2.0, 3.0, 0.0])


@pytest.mark.parametrize(
    ("values", "decimals", "rounded"),
    [
        ([10.0, 20.0, 35.0], 0, [1.0, 2.0]),
        ([10.0, 20.0, 35.5], 1, [1.4, 1.6]),
        ([0.285, 1.0, 2.5], 3, [1.444, 1.556]),
        ([1e-8, 1.0], 8, [1.44444444, 1.55555556]),
        ([1e-9, 1.0], None, [1.44444444444, 1.5555555555555]),
        ([np.pi, 1.0], None, [1.44444444444, 1.5555555555555]),
        ([1e15, -3.0], 0, [1.0, 2.0]),
    ],
)
def test_values_have_as_many_decimals_as_the_column(values, decimals, rounded):
    column, _ = fitted(values, "continuous")
    assert column.decimals == decimals and column.whole == (decimals == 0)
    np.testing.assert_array_equal(column.rounded(np.array([1.44444444444, 1.5555555555555])), rounded)


def test_a_positive_number_is_never_rounded_to_0():
    np.testing.assert_array_equal(fitted([1.0, 2.0, 8.0], "positive")[0].rounded(np.array([0.2, 2.6])), [1.0, 3.0])
    np.testing.assert_array_equal(fitted([0.5, 2.0, 8.0], "positive")[0].rounded(np.array([0.01, 2.63])), [0.1, 2.6])


def test_values_of_binary_and_categorical_columns_have_an_order():
    column, x = fitted(["b", "a", None, "b"])
    assert column.values == ("a", "b") and x.tolist()[:2] == [1.0, 0.0] and column.width == 1
    assert list(column.decode(np.array([[0.4], [0.6], [0.5]]))) == ["a", "b", "a"]
    cells = np.array(["c", "a", "b", "a"], dtype=object)
    column = fit_column("c", cells, np.ones(4, bool))
    np.testing.assert_array_equal(column.encode(cells, np.ones(4, bool)), np.eye(3)[[2, 0, 1, 0]])
    assert list(column.decode(np.array([[0.2, 0.5, 0.3], [0.4, 0.3, 0.3]]))) == ["b", "a"] and column.width == 3
    assert (
        fitted([5.0, 3.0, 5.0])[0].is_numeric
        and not fitted(["x", "y"])[0].is_numeric
        and not fitted([True, False])[0].is_numeric
    )


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([0.0, 1.0, 2.0, 1000.0], "continuous"),
        ([*([998.0, 999.0, 1000.0] * 2)], "continuous"),
        ([999.0, 1000.0, 1001.0], "continuous"),
        ([0.0, 3.0, 6.0], "counts"),  # variance 6, mean 3
        ([0.0, 0.0, 0.0, 8.0, 2.0], "continuous"),  # variance 9.6, mean 2
        ([0.0, 0.0, 6.0, 2.0], "counts"),  # variance 6, mean 2: three times it
        ([-1.0, 0.0, 1.0], "continuous"),
        ([0.0, 1.0, 2.5], "continuous"),
    ],
)
def test_counts_are_told_from_numbers_by_size_and_spread(values, kind):
    assert fitted(values)[0].kind == kind


@pytest.mark.parametrize(
    ("different", "rows", "refused"),
    [(100, 400, False), (101, 400, True), (20, 40, False), (20, 21, True), (21, 41, True), (21, 42, False)],
)
def test_too_many_names_are_no_category(different, rows, refused):
    values = [f"n{i % different}" for i in range(rows)]
    reason = why_carried("", np.array(values, object), np.ones(rows, bool))
    if refused:
        assert reason == f"names or free text: {different} different ones in {rows} cells, such as 'n0'"
    else:
        assert reason is None and fitted(values)[0].kind == "categorical"


def test_a_few_numbers_among_names_are_names():
    assert fitted([*map(float, range(10)), "x"])[0].kind == "categorical"
    for values, reason in (
        ([*map(float, range(11)), "x"], None),
        ([*map(float, range(11)), "x", "y"], "numbers with 2 other texts among them: 'x'"),
    ):
        found = why_carried("", np.array(values, object), np.ones(len(values), bool))
        assert found is None if reason is None else found.startswith(reason)


def test_cells_become_what_python_has():
    """Numbers and bools of NumPy's as Python's, by which a file, a message and a filled table are written; scales
    too.
    """
    column, _ = fitted([np.str_("b"), "a", np.str_("c"), None])
    assert column.values == ("a", "b", "c") and {type(value) for value in column.values} == {str}
    assert {type(value) for value in fitted([np.bool_(True), False])[0].values} == {bool}
    assert {type(value) for value in fitted([np.int64(3), np.float32(4)])[0].values} == {float}
    column, _ = fitted([np.int64(3), np.float32(4), 5, 9.0])
    assert type(column.mean) is type(column.deviation) is float and type(column.whole) is bool
    assert {type(value) for value in fitted([1.5, 2.5, 9.0])[0].config().values()} == {str, int, float}
    narrow = np.float32([16777216.0, 1.0, 1.0, -2.0])  # whose sum float32 does not hold
    assert fit_column("c", narrow, np.ones(4, bool)).mean == 16777216.0 / 4
    assert np.isnan(fit_column("c", narrow, np.ones(4, bool)).encode(narrow, np.arange(4) > 0)[0, 0])


def test_logarithms_that_are_equal_are_not_divided_by_their_deviation():
    column, x = fitted([1e300, np.nextafter(1e300, 2e300)], "positive")
    assert column.deviation == 1.0 and x.tolist() == [0.0, 0.0]
    with pytest.raises(InputError, match="column 'c' holds 1e.16 in row 2; too far from all others"):
        fitted([1.0, 2.0, 1e16], "counts")


@pytest.mark.parametrize(
    ("X", "cells", "observed"),
    [
        ([["a", 1.5], ["b", float("nan")]], [["a", 1.5], ["b", None]], [[1, 1], [1, 0]]),  # numbers stay numbers
        ((("a", 1), ("nan", 2)), [["a", 1.0], ["nan", 2.0]], [[1, 1], [1, 1]]),
        (
            np.array([["a", np.nan], ["b", 1.5]]),
            [["a", None], ["b", "1.5"]],
            [[1, 0], [1, 1]],
        ),  # NumPy made text of them
        (
            np.array([["nan", np.float32("nan"), None, np.nan]], dtype=object),
            [["nan", None, None, None]],
            [[1, 0, 0, 0]],
        ),
        (np.array([[1, 2], [3, 4]]), [[1.0, 2.0], [3.0, 4.0]], [[1, 1], [1, 1]]),
        (np.array([[True], [False]]), [[True], [False]], [[1], [1]]),
        (np.float32([[1.5, np.nan]]), [[1.5, None]], [[1, 0]]),
    ],
)
def test_what_cells_are_and_which_are_observed(X, cells, observed):
    found = as_cells(X)
    np.testing.assert_array_equal(found.observed, np.array(observed, bool))
    assert found.observed.dtype == bool and found.names == [str(i) for i in range(len(cells[0]))]
    for column, wanted in zip(found.columns, zip(*cells, strict=True), strict=True):
        values = [None if gone else value for value, gone in zip(column.cells.tolist(), column.missing, strict=True)]
        assert values == list(wanted) and list(map(type, values)) == list(map(type, wanted))
        there = {type(value) for value in values if value is not None}
        assert not there or column.cells.dtype == (
            np.float64 if there == {float} else object
        )  # also of float32: what the model reads


def test_tables_of_other_libraries_and_types():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"n": [1.5, None], "t": ["a", pandas.NA], "d": [pandas.NaT, pandas.NaT], 7: [1, 2]})
    found = as_cells(frame)
    assert found.names == ["n", "t", "d", "7"] and found.observed.tolist() == [
        [True, True, False, True],
        [False, False, False, True],
    ]
    assert [
        column.form for column in Schema.fit(as_cells(np.array([["2020-01-01"], ["2021-01-01"]], "M8[D]"))).columns
    ] == ["date"]
    with pytest.raises(
        InputError, match="^no column of the table of 2 samples can be modelled: '0': cells of the type bytes$"
    ):
        Schema.fit(as_cells(np.array([[b"x"], [b"y"]])))
    with pytest.raises(InputTypeError, match="^column '0' holds b'x' of type bytes; cells are numbers, text or bools$"):
        Schema.fit(as_cells(np.array([[b"x"], [b"y"]])), {"0": "categorical"})
    with pytest.raises(InputError, match="^Complex data not supported: X has dtype "):
        as_cells(np.array([[1j], [2j]]))
    named = fitted(["a", "b", "c"])[0]
    with pytest.raises(InputTypeError, match="^column 'c' holds 1j of type complex"):
        named.encode(np.array([1j], dtype=object), np.array([True]))
    for shape in ((0, 3), (3, 0), (3,), (2, 2, 2)):
        nothing = (
            f"Found array with 0 {'sample' if shape[0] == 0 else 'feature'}(s) (shape={shape}) while a minimum of 1 is "
            "required: X must have rows"
        )
        with pytest.raises(
            InputError,
            match=f"^{re.escape(nothing if 0 in shape else f'X must have rows and columns, got shape {shape}')}",
        ):
            as_cells(np.zeros(shape))
    with pytest.raises(InputError, match="^the table is not a rectangular table: "):
        as_cells([[1.0, 2.0], [3.0]], "the table")
    with pytest.raises(InputError, match="^two columns of X are named 'a'; rename one of them$"):
        as_cells(pandas.DataFrame(np.zeros((2, 4)), columns=["b", "a", "c", "a"]))
    with pytest.raises(InputTypeError, match="got a sparse matrix or masked array: MaskedArray$"):
        as_cells(np.ma.masked_array([[1.0]]))
    with pytest.raises(
        InputTypeError, match="X must be a dense table with NaN or None for what is missing, got .*: Sparse$"
    ):
        as_cells(type("Sparse", (), {"toarray": lambda self: np.zeros((2, 2))})())


def test_columns_may_be_named_by_number_and_have_likelihoods_of_their_own():
    generator = np.random.default_rng(0)
    x = np.column_stack(
        [generator.standard_normal(20), generator.lognormal(size=20), np.arange(20) % 4, np.arange(20) % 3]
    )
    kinds = {
        1: {"kind": "positive", "likelihood": "student_t"},
        2: "counts",
        3: {"kind": "categorical", "likelihood": "categorical"},
    }
    schema = Schema.fit(as_cells(x), kinds)
    assert [column.kind for column in schema.columns] == ["continuous", "positive", "counts", "categorical"]
    named = [entry["likelihood"]["name"] for entry in schema.likelihood().config()["columns"]]
    assert named == ["gaussian_decoder", "student_t", "negative_binomial", "categorical"] and type(schema.width) is int
    other = Schema.fit(as_cells(x[:, :2]), {"1": "positive"}, "student_t")
    assert [(entry["likelihood"]["name"], entry["columns"]) for entry in other.likelihood().config()["columns"]] == [
        ("student_t", 2)
    ]


# a table's columns together


def test_columns_of_a_likelihood_are_neighbours_and_categories_their_own():
    rows = 12
    frame = np.empty((rows, 7), dtype=object)
    generator = np.random.default_rng(0)
    frame[:, 0], frame[:, 1] = generator.standard_normal(rows), generator.standard_normal(rows) * 1e3
    frame[:, 2] = [float(i % 5) for i in range(rows)]
    for column in (3, 4):
        frame[:, column] = ["abc"[(i + column) % 3] for i in range(rows)]
    frame[:, 5], frame[:, 6] = [float(i % 2) for i in range(rows)], ["uv"[i % 2] for i in range(rows)]
    table = as_cells(frame)
    schema = Schema.fit(table)
    assert [column.kind for column in schema.columns] == ["continuous"] * 2 + ["counts"] + ["categorical"] * 2 + [
        "binary"
    ] * 2
    assert [(s.start, s.stop) for s in schema.slices] == [
        (0, 1),
        (1, 2),
        (2, 3),
        (3, 6),
        (6, 9),
        (9, 10),
        (10, 11),
    ] and schema.width == 11
    named = [(entry["likelihood"]["name"], entry["columns"]) for entry in schema.likelihood().config()["columns"]]
    assert named == [
        ("gaussian_decoder", 2),
        ("negative_binomial", 1),
        ("categorical", 3),
        ("categorical", 3),
        ("bernoulli", 2),
    ]
    counts = schema.columns[2]
    np.testing.assert_allclose(schema.view.center, [0, 0, counts.mean, *[0] * 8])
    np.testing.assert_allclose(schema.view.scale, [1, 1, counts.deviation, *[1] * 8])
    assert schema.view.log1p.tolist() == [False, False, True, *[False] * 8]
    np.testing.assert_array_equal(
        EncoderView(np.array([1.0, 2.0]), np.array([2.0, 4.0])).of(np.array([[5.0, 4.0]])), [[2.0, 0.5]]
    )
    by_kind = Schema.fit(table, {"2": "continuous"}, "student_t")
    assert [c.kind for c in by_kind.columns[:3]] == ["continuous"] * 3
    assert {c.likelihood["name"] for c in by_kind.columns if c.kind == "continuous"} == {"student_t"}


# cells held out


def held_out_by_definition(x, blocks, share: float, seed: int) -> np.ndarray:
    """As ``hide`` says of itself, cell by cell."""
    rows, columns = len(x), len(blocks)
    u = random.uniform(seed, "held-out cells", 0, (rows, columns))
    watched = set(random.permutation(seed, "held-out cells", 1, rows)[:1000].tolist())
    seen = {(r, c) for r in range(rows) for c in range(columns) if not np.isnan(x[r, blocks[c].start])}
    hidden = {(r, c) for r, c in seen if r in watched and u[r, c] < share}
    for r in range(rows):
        mine = {(r, c) for c in range(columns)} & seen
        if mine and mine <= hidden:
            hidden -= mine
    for c in range(columns):
        there = [cell for cell in seen if cell[1] == c]
        gone = sorted((cell for cell in hidden if cell[1] == c), key=lambda cell: u[cell])
        hidden -= set(gone[max(0, min(len(there) // 2, len(there) - 2)) :])
    found = np.zeros(x.shape, bool)
    for r, c in hidden:
        found[r, blocks[c]] = True
    return found


@pytest.mark.parametrize(
    ("rows", "share", "missing"), [(60, 0.1, 0.3), (8, 0.5, 0.2), (40, 0.5, 0.6), (1500, 0.3, 0.1)]
)
def test_cells_held_out_are_those_of_the_definition(rows, share, missing):
    generator = np.random.default_rng(2)
    x = generator.standard_normal((rows, 5))
    x[generator.random(x.shape) < missing] = np.nan
    x[:, 3:] = x[:, 3:4]
    blocks = [slice(0, 1), slice(1, 2), slice(2, 3), slice(3, 5)]
    for seed in (0, 1):
        found = hide(x, blocks, share, seed)
        np.testing.assert_array_equal(found, held_out_by_definition(x, blocks, share, seed))
        assert found.any()
    assert rows <= 1000 or found.any(axis=1).sum() <= 1000


# training of a member

RECIPE = {
    "latent_dim": 2,
    "hidden": (4,),
    "samples": 3,
    "learning_rate": 0.01,
    "batch_size": 8,
    "epochs": 12,
    "held_out": 0.3,
    "every": 2,
    "patience": 2,
}


def small_table(rows: int = 30):
    """Numbers with missing cells, their likelihood, blocks, and how they are standardised."""
    generator = np.random.default_rng(6)
    cells = generator.standard_normal((rows, 3)) @ generator.standard_normal((3, 3)) + np.array([0.0, 5.0, 9.0])
    cells[:, 2] = np.maximum(np.rint(cells[:, 2]), 0.0)
    cells[generator.random(cells.shape) < 0.2] = np.nan
    schema = Schema.fit(as_cells(cells), {"2": "counts"})
    return schema.encode(as_cells(cells)), schema, schema.view


@pytest.fixture
def looks(monkeypatch):
    """The watch's errors are given one by one; by epoch, which parameters were looked at."""
    seen = {"errors": [], "epochs": []}

    def imputed(model, theta, data, seed, samples, **purpose):
        seen["samples"] = samples
        seen["rows"] = model.ops.to_numpy(data)
        seen["epochs"].append(float(model.ops.to_numpy(theta)[0]))
        seen["call"] = len(seen["epochs"]) - 1
        return SimpleNamespace(mean=None)

    def error_of(self, filled):
        if filled is None:
            return seen["errors"][seen["call"]]
        return original(self, filled)

    original = member_module._Watch.error_of
    monkeypatch.setattr(member_module, "importance_imputation", imputed)
    monkeypatch.setattr(member_module._Watch, "error_of", error_of)

    def train(model, settings, data, state, callbacks, enough):
        seen["settings"], seen["architecture"], seen["data"] = settings, model.architecture, model.ops.to_numpy(data)
        for epoch in range(1, settings.epochs + 1):
            state.epoch = epoch
            state.theta[0] = float(epoch)
            callbacks[0](state)
            if state.stop_reason:
                break
        return state

    monkeypatch.setattr(member_module, "train", train)
    return seen


@pytest.mark.parametrize(
    ("errors", "looked", "kept"),
    [
        ([9, 8, 7, 6, 5, 4, 3], [2, 4, 6, 8, 10, 12], 12),  # always better: to the end
        ([9, 5, 6, 7, 1], [2, 4, 6], 2),  # two looks without a better one
        ([9, 5, 6, 4, 7, 8, 1], [2, 4, 6, 8, 10], 6),
        ([1, 1, 1, 1], [2, 4], 0),  # as good is not better: what training began with
    ],
)
def test_training_looks_every_so_often_keeps_the_best_and_stops(looks, errors, looked, kept):
    from npvae import backend

    looks["errors"] = errors
    x, schema, standard = small_table()
    reported = []
    member, state = train_member(
        x,
        schema.likelihood(),
        schema.slices,
        standard,
        Recipe(**RECIPE),
        backend.get("numpy"),
        5,
        lambda state: reported.append(state.epoch),
    )
    assert looks["epochs"][1:] == looked and member.epoch == kept and not state.interrupted
    assert reported == list(range(looked[-1] + 1))  # also of what it begins with
    assert member.error == errors[looked.index(kept) + 1 if kept else 0]
    assert kept == 0 or member.theta[0] == kept
    assert looks["samples"] == 100


def test_a_start_of_which_nothing_can_be_said_is_kept_where_nothing_better_comes(looks):
    """An error that is no number is not better than any, and two looks without a better one end it."""
    from npvae import backend

    looks["errors"] = [np.nan] * 7
    x, schema, standard = small_table()
    member, _ = train_member(x, schema.likelihood(), schema.slices, standard, Recipe(**RECIPE), backend.get("numpy"), 5)
    assert (
        looks["epochs"][1:] == [2, 4]
        and member.epoch == 0
        and member.error == np.inf
        and member.theta[0] == looks["epochs"][0]
    )


def test_a_last_epoch_between_two_looks_is_looked_at(looks):
    from npvae import backend

    looks["errors"] = [9.0, 8.0, 7.0, 6.0]
    x, schema, standard = small_table()
    recipe = Recipe(**{**RECIPE, "epochs": 7, "every": 3})
    member, _ = train_member(x, schema.likelihood(), schema.slices, standard, recipe, backend.get("numpy"), 5)
    assert looks["epochs"][1:] == [3, 6, 7] and member.epoch == 7


def test_columns_that_have_nothing_in_common_are_no_accident():
    """Training says of a VAE that its posterior has collapsed; of columns that know nothing of each other it is as
    it should be.
    """
    from npvae import backend
    from npvae.errors import PosteriorCollapseWarning
    from npvae.training import collapse

    x = np.stack([np.tile([-1.0, 1.0], 32), np.tile([-1.0, -1.0, 1.0, 1.0], 16)], axis=1)
    schema = Schema.fit(as_cells(x), {"0": "continuous", "1": "continuous"})
    arguments = schema.likelihood(), schema.slices, schema.view
    quick = {
        **RECIPE,
        "latent_dim": 1,
        "held_out": 0.01,
        "batch_size": 64,
        "epochs": collapse.PATIENCE,
        "learning_rate": 1e-9,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error", PosteriorCollapseWarning)
        _, state = train_member(x, *arguments, Recipe(**quick), backend.get("numpy"), 5)
    with pytest.warns(PosteriorCollapseWarning):  # as training itself would say of this history
        collapse.warn(None, state)


def test_how_a_member_is_trained(looks):
    from npvae import backend
    from npvae.imputation import fit_normal

    looks["errors"] = [1.0] * 20
    x, schema, standard = small_table()
    member, _ = train_member(x, schema.likelihood(), schema.slices, standard, Recipe(**RECIPE), backend.get("numpy"), 5)
    settings, architecture = looks["settings"].config(), looks["architecture"].config()
    wanted = {
        "seed": 5,
        "epochs": 12,
        "batch_size": 8,
        "learning_rate": 0.01,
        "clip_norm": 100.0,
        "beta": 1.0,
        "patience": None,
    }
    assert {name: settings[name] for name in wanted} == wanted
    assert settings["optimizer"]["name"] == "adam"
    assert (settings["objective"]["name"], settings["objective"]["samples"]) == ("importance_weighted", 3)
    wanted = {
        "n_features": 3,
        "latent_dim": 2,
        "hidden": [4],
        "activation": "relu",
        "missing": True,
        "completed": True,
        "linear_path": True,
    }
    assert {name: architecture[name] for name in wanted} == wanted
    # What it is trained on: the observed cells that are not hidden, and beside them what the normal distribution
    # completes.
    hidden = hide(x, schema.slices, 0.3, 5)
    rest = np.where(hidden, np.nan, x)
    normal = fit_normal(standard.of(rest))
    np.testing.assert_allclose(
        looks["data"], np.concatenate([rest, np.clip(normal.complete(standard.of(rest)), -20, 20)], axis=1), rtol=1e-5
    )
    rows = hidden.any(axis=1)
    np.testing.assert_allclose(looks["rows"], looks["data"][rows], rtol=1e-6)
    difference = (normal.complete(standard.of(rest)) - standard.of(x))[hidden]
    assert member.normal_error == pytest.approx(np.mean(difference**2), rel=1e-12)
    np.testing.assert_allclose(member.normal.mean, normal.mean)
    wild = np.array([[np.nan, 1e9, 3.0]])
    assert np.abs(member.data(wild)[0, 3:]).max() == 20.0


def test_a_member_on_the_device_s_own_arrays():
    """Which no function of NumPy takes, and whose functions take none of NumPy's."""
    from npvae import backend

    if gpu_backends.NO_GPU is not None and gpu_backends.NO_STANDIN is not None:
        pytest.skip(gpu_backends.NO_STANDIN)
    x, schema, standard = small_table(12)
    arguments = (
        x,
        schema.likelihood(),
        schema.slices,
        standard,
        Recipe(**{**RECIPE, "samples": 2, "batch_size": 12, "epochs": 1, "every": 1}),
    )
    (here, _), (there, _) = (
        train_member(*arguments, ops, 5) for ops in (backend.get("numpy"), gpu_backends.on_gpu_or_standin())
    )
    assert (
        there.epoch == here.epoch > 0
        and there.error == pytest.approx(here.error, rel=1e-3)
        and type(there.theta) is np.ndarray
    )
    np.testing.assert_allclose(there.theta, here.theta, atol=1e-3)
    found, wanted = (member.impute(x, 7, 20, 1) for member in (there, here))
    np.testing.assert_allclose(found.mean, wanted.mean, rtol=1e-2)
    assert found.draws.shape == (1, *x.shape)


# what members and draws become


def members_that_say(monkeypatch, imputer, answers, sizes, dtype=float):
    """Each member fills in its answer, with its effective sample size; draws count up from it."""

    def answer(self, x, seed, samples, draws, progress=None, curves=None, members=1):
        i = next(i for i, member in enumerate(imputer.members_) if member is self)
        drawn = (
            np.stack([np.broadcast_to(answers[i] + 0.01 * (k + 1), x.shape) for k in range(draws)]) if draws else None
        )
        return Imputation(
            np.broadcast_to(answers[i], x.shape).astype(dtype), drawn, {"effective_sample_size": sizes[i]}
        )

    monkeypatch.setattr(Member, "impute", answer)


def test_members_are_averaged_and_the_fewest_samples_are_reported(monkeypatch):
    x = np.random.default_rng(0).standard_normal((30, 2)) + 0.5
    x[0, 0] = x[7, 1] = np.nan
    imputer = TableImputer(members=3, epochs=1, hidden=(3,), random_state=0, backend="numpy").fit(x)
    sizes = [np.arange(30.0), np.full(30, 10.0), 40.0 - np.arange(30.0)]
    members_that_say(monkeypatch, imputer, [np.array([0.0, 1.0]), np.array([3.0, 1.0]), np.array([6.0, 4.0])], sizes)
    found = imputer.impute(x, 5)
    np.testing.assert_array_equal(found.effective_sample_size, np.min(sizes, axis=0))
    a, b = imputer.schema_.columns
    assert found.filled[0, 0] == pytest.approx(3.0 * a.deviation + a.mean)
    assert found.filled[7, 1] == pytest.approx(2.0 * b.deviation + b.mean)
    drawn = [(draw[0, 0] - a.mean) / a.deviation for draw in found.draws]
    np.testing.assert_allclose(drawn, [0.01, 3.01, 6.01, 0.02, 3.02], atol=1e-12)
    large = [np.array([2.0**24, 0.0]), np.array([1.0, 0.0]), np.array([1.0, 0.0])]  # whose sum float32 does not hold
    members_that_say(monkeypatch, imputer, large, sizes, np.float32)
    assert imputer.transform(x)[0, 0] == pytest.approx((2.0**24 + 2.0) / 3 * a.deviation + a.mean, rel=1e-14)
    np.testing.assert_array_equal(found.observed, ~np.isnan(x))
    assert found.columns == ["0", "1"] and found.is_numeric == [True, True]


def test_names_of_columns_and_their_number_are_remembered():
    x = np.random.default_rng(0).standard_normal((12, 2))
    named, turned, other = (
        type("Named", (), {"columns": names, "__array__": lambda self, dtype=None, copy=None, x=x: x})()
        for names, x in ((["a", "b"], x), (["b", "a"], x[:, ::-1]), (["a", "c"], x))
    )
    quick = {"members": 1, "epochs": 1, "hidden": (3,), "imputation_samples": 5, "random_state": 0, "backend": "numpy"}
    imputer = TableImputer(**quick).fit(named)
    assert (
        imputer.n_features_in_ == 2 and list(imputer.feature_names_in_) == ["a", "b"] and imputer.interrupted_ is False
    )
    with pytest.raises(
        InputError, match="^the columns should be those of the fitted table: 'b' missing; 'c' not seen in fit$"
    ):
        imputer.transform(other)
    holes = x.copy()
    holes[0, 0] = np.nan
    # A table without names is taken by place, one with names by them.
    type(named).__array__ = lambda self, dtype=None, copy=None: holes
    type(turned).__array__ = lambda self, dtype=None, copy=None: holes[:, ::-1]
    wanted = imputer.transform(named)
    np.testing.assert_array_equal(imputer.transform(holes), wanted)
    np.testing.assert_array_equal(imputer.transform(turned), wanted[:, ::-1])
    assert not hasattr(imputer.fit(x), "feature_names_in_")


def test_answers_that_are_not_finite_are_refused(monkeypatch):
    """Also where only what becomes of them is not: a number in a column's own units."""
    x = np.random.default_rng(0).lognormal(size=(30, 2)) * 1e100
    x[3, 1] = np.nan
    quick = {"members": 1, "epochs": 1, "hidden": (3,), "random_state": 0, "backend": "numpy"}
    for kind, answer in (("continuous", np.nan), ("continuous", np.inf), ("positive", 1e300)):
        imputer = TableImputer({"1": kind}, **quick).fit(x)
        members_that_say(
            monkeypatch, imputer, [np.array([np.nan, answer])], [np.ones(30)]
        )  # of the first nothing is asked
        with np.errstate(over="ignore"), pytest.raises(NonFiniteError, match="^column '1' would not be finite"):
            imputer.transform(x)
        members_that_say(monkeypatch, imputer, [np.array([np.nan, 0.0])], [np.ones(30)])
        assert np.isfinite(imputer.transform(x)).all()
        monkeypatch.undo()


def test_probabilities_that_are_not_finite_are_refused(monkeypatch):
    table = np.array([["abc"[i % 3], float(i)] for i in range(30)], dtype=object)
    table[4, 0] = None
    imputer = TableImputer(members=1, epochs=1, hidden=(3,), random_state=0, backend="numpy").fit(table)
    members_that_say(monkeypatch, imputer, [np.array([np.nan, 0.5, 0.5, 0.0])], [np.ones(30)])
    with pytest.raises(NonFiniteError, match="^column '0' would not be finite"):
        imputer.transform(table)


def test_tables_keep_their_type_and_are_not_changed():
    x = np.random.default_rng(0).standard_normal((30, 2))
    quick = {"members": 1, "epochs": 1, "hidden": (3,), "imputation_samples": 5, "random_state": 0, "backend": "numpy"}
    imputer = TableImputer(**quick).fit(x)
    whole = np.array([[1, 2], [3, 4]])
    found = imputer.transform(whole)
    assert found.dtype == whole.dtype and found.tolist() == [[1, 2], [3, 4]] and not np.shares_memory(found, whole)
    narrow = x.astype(np.float32)
    found = imputer.transform(narrow)
    assert found.dtype == np.float32 and not np.shares_memory(found, narrow)


def test_of_names_the_members_probabilities_are_averaged(monkeypatch):
    table = np.empty((30, 2), dtype=object)
    table[:, 0], table[:, 1] = ["abc"[i % 3] for i in range(30)], list(np.random.default_rng(0).standard_normal(30))
    table[4, 0] = None
    imputer = TableImputer(members=2, epochs=1, hidden=(3,), random_state=0, backend="numpy").fit(table)
    answers = [np.array([0.5, 0.4, 0.1, 0.0]), np.array([0.1, 0.5, 0.4, 0.0])]
    members_that_say(monkeypatch, imputer, answers, [np.ones(30)] * 2)
    found = imputer.impute(table)
    assert found.filled[4, 0] == "b" and found.is_numeric == [False, True] and found.draws == []


@pytest.mark.parametrize(
    ("draws", "level", "k"),
    [
        (19, 0.9, 1),
        (38, 0.9, 1),
        (39, 0.9, 2),
        (200, 0.9, 10),
        (200, 0.5, 50),
        (3, 0.5, 1),
        (199, 0.99, 1),
        (13, 0.85, 1),
        (26, 0.85, 2),
    ],
)
def test_ends_of_intervals_are_draws_in_order(draws, level, k):
    generator = np.random.default_rng(1)
    drawn = [generator.permutation(4).astype(float)[:, None] + 10.0 * i for i in generator.permutation(draws)]
    observed = np.array([[False], [False], [True], [False]])
    for draw in drawn:
        draw[2] = 7.0
    found = TableImputation(drawn[0], drawn, np.ones(4), ["a"], [True], observed)
    low, high = found.interval(level)
    ordered = np.sort(np.array(drawn)[:, :, 0], axis=0)
    np.testing.assert_array_equal(low[:, 0], ordered[k - 1])
    np.testing.assert_array_equal(high[:, 0], ordered[draws - k])
    assert low[2, 0] == high[2, 0] == 7.0


@pytest.mark.parametrize(
    ("draws", "level", "words"),
    [
        (18, 0.9, "must be at least 19, got 18"),
        (12, 0.85, "must be at least 13, got 12"),
        (2, 0.5, "must be at least 3"),
        (98, 0.98, "must be at least 99"),
        (50, 1.0, "level"),
        (50, 0.0, "level"),
    ],
)
def test_intervals_that_there_are_not(draws, level, words):
    drawn = [np.zeros((2, 1))] * draws
    with pytest.raises(InputError, match=words):
        TableImputation(drawn[0], drawn, np.ones(2), ["a"], [True], np.zeros((2, 1), bool)).interval(level)
    assert TableImputation(
        drawn[0], [np.zeros((2, 1))] * 19, np.ones(2), ["a"], [True], np.zeros((2, 1), bool)
    ).interval()[0].shape == (2, 1)


@pytest.mark.parametrize(("operations", "iterations"), [(80, 10), (87, 10), (88, 11), (8, 3), (10**9, 50)])
def test_steps_of_em_are_as_many_as_their_cost_allows(monkeypatch, operations, iterations):
    """h^3 multiplications a step for a row with h missing entries; at least 3 steps, at most 50."""
    from npvae.imputation import normal

    x = np.random.default_rng(0).standard_normal((12, 4))
    x[0, :2] = np.nan  # 2^3 = 8 a step
    steps = []
    expect = normal.Normal._expect
    monkeypatch.setattr(normal, "OPERATIONS", operations)
    monkeypatch.setattr(normal.Normal, "_expect", lambda self, x: steps.append(1) or expect(self, x))
    normal.fit_normal(x)
    assert len(steps) == iterations
    steps.clear()
    normal.fit_normal(x, iterations=4)
    assert len(steps) == 4


def test_fitting_a_table_of_hundreds_of_columns_takes_as_many_steps_as_about_a_minute_allows(monkeypatch):
    """3e11 multiplications: 19 steps of 560 rows with 300 missing entries."""
    from npvae.imputation import normal

    steps, x = [], np.full((560, 301), np.nan)
    x[np.arange(560), np.arange(560) % 301] = np.arange(560.0)
    monkeypatch.setattr(
        normal.Normal, "_expect", lambda self, x: steps.append(1) or (np.zeros(x.shape), np.zeros((301, 301)))
    )
    normal.fit_normal(x)
    assert len(steps) == int(3e11 / (560 * 300**3)) == 19
