"""Kinds of a table's columns: numbers and back, which kind the evidence speaks for, and what comes out of a model of
each.
"""

import json
import math
import statistics

import numpy as np
import pytest

from npvae import TableImputer
from npvae.backend.base import Ops
from npvae.cli import main
from npvae.data.tables.frames import as_cells
from npvae.data.tables.kinds import KINDS, evidence, fit_column, from_config, normal_quantiles, predicted
from npvae.data.tables.kinds.ends import ends_of
from npvae.data.tables.kinds.ordinal import Ordinal
from npvae.data.tables.schema import Schema
from npvae.errors import InputError
from npvae.estimators.tables import TableImputation
from npvae.estimators.tables.imputer_file import ColumnField
from npvae.mathematics.encoder_view import EncoderView
from npvae.mathematics.likelihoods import Bounded, Gaussian, GaussianDecoder, StudentT, Table

QUICK = {"members": 1, "epochs": 16, "hidden": (16,), "imputation_samples": 200, "random_state": 0, "every": 8}


def columns_of_every_kind(rows: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Columns with two hidden causes, under the name of the kind, or the two kinds, that they are of."""
    g = np.random.default_rng(seed)
    a, b = g.standard_normal((2, rows))
    noise = g.standard_normal((8, rows))
    return {
        "continuous": np.round(5.0 * a + 2.0 * noise[0], 2),
        "positive": np.round(np.exp(2.0 + 0.9 * a + 0.5 * noise[1]), 2),
        "counts": g.negative_binomial(2, 2 / (2 + np.exp(2.5 - 0.5 * a + 0.6 * b))).astype(float),
        "ordinal": np.clip(np.rint(2.0 * (3.5 + 0.7 * b + 0.6 * noise[2])) / 2.0, 0.5, 5.0),
        "bounded": np.round(np.clip(50.0 + 35.0 * b + 12.0 * noise[3], 0.0, 100.0), 1),
        "bounded or shaped": np.round(np.maximum(0.0, 3.0 * a + 2.0 * noise[4] - 1.0), 1),
        "shaped": np.round(np.where(a > 0.0, 20.0 + 2.0 * b, -5.0 + b) + 0.5 * noise[5], 1),
        "ordinal or categorical": np.array([1.0, 2.0, 5.0, 9.0])[np.clip((b + 0.5 * noise[6] + 2.0).astype(int), 0, 3)],
        "binary": (a + noise[7] > 0.0).astype(float),
    }


# evidence


def test_the_kinds_of_columns_of_every_kind():
    columns = columns_of_every_kind(500)
    x = np.column_stack([*columns.values()])
    x[np.random.default_rng(1).random(x.shape) < 0.2] = np.nan
    found = Schema.fit(as_cells(x)).columns
    for wanted, column in zip(columns, found, strict=True):
        assert column.kind in wanted.split(" or "), f"{wanted} is taken for {column.kind}: {column.why}"
        assert column.why and column.kind not in column.rivals and set(column.rivals) <= set(KINDS)


@pytest.mark.parametrize(
    ("make", "kinds"),
    [
        (lambda g: g.poisson(1.0, 300), {"counts"}),
        (lambda g: g.poisson(900.0, 300), {"continuous", "counts"}),
        (
            lambda g: g.binomial(40, 0.9, 300),
            {"continuous", "ordinal"},
        ),  # under-dispersed: a Poisson distribution would run away
        (lambda g: 1900 + g.integers(0, 100, 300), {"continuous", "shaped", "bounded"}),  # years
        (lambda g: g.choice([1.0, 2.0, 3.0, 4.0], 300, p=[0.4, 0.08, 0.44, 0.08]), {"ordinal", "categorical"}),
        (lambda g: g.standard_normal(300), {"continuous"}),
        (lambda g: 1e6 + g.standard_normal(300), {"continuous"}),
        (lambda g: np.exp(2.0 * g.standard_normal(300)), {"positive"}),
        (lambda g: np.rint(np.exp(8.0 + 1.5 * g.standard_normal(300))), {"positive"}),
        (lambda g: np.where(g.random(300) < 0.4, 0.0, np.exp(3.0 + g.standard_normal(300))), {"shaped", "bounded"}),
        (
            lambda g: np.rint(2013.0 - 43.0 * g.beta(1, 3, 300)),
            {"shaped", "continuous"},
        ),  # grows towards its end, which few are at
        (lambda g: np.concatenate([np.full(299, 7.0), [7.5, 8.0]]), {"continuous", "ordinal"}),
        (lambda g: g.standard_cauchy(300), {"shaped"}),
    ],
)
def test_the_kind_of_a_column_alone(make, kinds):
    v = np.asarray(make(np.random.default_rng(5)), float)
    assert fit_column("c", v, np.ones(len(v), bool)).kind in kinds


def test_ties_go_to_the_plainer_and_the_others_are_named():
    g = np.random.default_rng(0)
    level, ahead = np.zeros(400), np.full(400, 0.04)
    chosen = evidence._chosen({"continuous": level, "positive": ahead, "shaped": level - 1.0}, {})
    assert chosen == evidence.Decision("continuous", "1 nats a cell ahead of shaped", ("positive",))
    assert evidence._chosen({"continuous": level, "positive": level + 0.06}, {}) == evidence.Decision(
        "positive", "0.06 nats a cell ahead of continuous"
    )
    noisy = level + 0.3 + 4.0 * g.standard_normal(400)  # a standard error of 0.2
    assert evidence._chosen({"continuous": level, "positive": noisy}, {}).kind == "continuous"
    assert (
        evidence._chosen({"ordinal": level, "continuous": level + 0.1}, {"continuous": 0.2}).why
        == "about as good as continuous, and answers by its own values alone"
    )
    assert evidence._chosen({"continuous": level, "shaped": level + 0.1}, {"shaped": 0.06}) == evidence.Decision(
        "continuous", "the plainest of those that fit", ("shaped",)
    )
    assert evidence._chosen({"continuous": level}, {}) == evidence.Decision(
        "continuous", "the only one that is possible"
    )


def test_others_columns_speak_and_what_is_predicted_has_not_been_seen():
    g = np.random.default_rng(0)
    x = g.standard_normal((400, 3))
    x[:, 1] = np.exp(x[:, 0] + 0.1 * g.standard_normal(400))
    numbers = [predicted.entries_of(v) for v in x.T]
    towns = predicted.indicators_of((x[:, 2] > 0).astype(int), np.ones(400, bool))
    found = predicted.predictions(numbers, [towns])
    correlations = [[np.corrcoef(found[i][:, j], numbers[i][:, j])[0, 1] for j in (0, 1)] for i in range(3)]
    assert correlations[1][1] > 0.98 > correlations[1][0] and min(correlations[0]) > 0.6 and min(correlations[2]) > 0.7
    alone = predicted.predictions([numbers[0], numbers[2]], [])
    assert (
        max(abs(np.corrcoef(a[:, 0], n[:, 0])[0, 1]) for a, n in zip(alone, (numbers[0], numbers[2]), strict=True))
        < 0.2
    )
    wide = [
        predicted.entries_of(g.standard_normal(30)) for _ in range(150)
    ]  # more columns than rows: nothing is learnt by heart
    errors = [np.mean((p - entries) ** 2) for p, entries in zip(predicted.predictions(wide, []), wide, strict=True)]
    assert len(errors) == 150 and np.mean(errors) < 2.0
    gone = x[:, 0].copy()
    gone[:100] = np.nan
    entries = predicted.entries_of(gone)
    assert (
        (entries[:100] == 0.0).all()
        and np.allclose(entries[100:].mean(axis=0), 0.0, atol=1e-9)
        and np.allclose(entries[100:].std(axis=0), 1.0, atol=1e-9)
    )


@pytest.mark.parametrize("kind", ["continuous", "positive", "shaped", "bounded", "counts", "ordinal", "categorical"])
def test_probabilities_of_all_cells_that_can_be_recorded_add_up_to_one(kind):
    """Of one row, for a column fitted to others: a cell stands for what is rounded to it."""
    g = np.random.default_rng(3)
    z = np.concatenate([np.ones((200, 1)), g.standard_normal((200, 1))], axis=1)
    v = np.round(np.exp(1.0 + 0.5 * z[:, 1] + 0.4 * g.standard_normal(200)), 1)
    step, last = 0.1, 60.0
    ends = (-np.inf, np.inf)
    if kind == "continuous":
        v = np.round(v - 4.0, 1)
    elif kind in ("counts", "ordinal", "categorical"):
        v, step = np.floor(np.minimum(v, 5.0)), 1.0
    elif kind == "bounded":
        v, last = np.clip(v, 1.0, 8.0), 8.0
        ends = (1.0, 8.0)
    elif kind == "shaped":
        v = np.where(g.random(200) < 0.3, 0.0, v)
    values = np.unique(v)
    grid = (
        values
        if kind in ("ordinal", "categorical")
        else np.round(np.arange(-30.0 if kind == "continuous" else max(ends[0], 0.0), last + step / 2, step), 1)
    )
    both, train = np.concatenate([v, grid]), np.arange(200 + len(grid)) < 200
    for row in (0, 1):
        of_row = np.concatenate([z, np.repeat(z[row : row + 1], len(grid), axis=0)])
        log_p = evidence._log_probabilities(kind, both, 0.5 * step, of_row, train, ends, values)[200:]
        assert np.exp(log_p).sum() == pytest.approx(1.0, abs=5e-3)


def test_columns_about_which_nothing_is_asked():
    v = np.arange(5.0)
    assert evidence.without_evidence(np.array([1.0, 3.0, 1.0])).kind == "binary"
    assert evidence.without_evidence(v).kind == "counts" and "too few" in evidence.without_evidence(v).why
    assert (
        evidence.without_evidence(v + 3.0).kind == "continuous" and evidence.without_evidence(-v).kind == "continuous"
    )
    assert evidence.without_evidence(np.arange(40.0)) is None and evidence.without_evidence(np.arange(39.0)) is not None


@pytest.mark.parametrize(
    ("v", "ends"),
    [
        ([0.0] * 3 + [*range(1, 98)], (0.0, 100.0)),
        ([0.0] + [*range(1, 80)], (None, None)),
        ([0.1, 0.5, 0.97, 0.2], (0.1, 0.97)),
        ([*np.linspace(0.03, 0.97, 80)], (0.0, 1.0)),
        ([*np.linspace(-1, 0.97, 80)], (None, None)),
        ([-1.0] * 5 + [*np.linspace(0, 30, 95)], (-1.0, None)),
        ([*np.linspace(3, 99, 90)], (0.0, 100.0)),
        ([*np.linspace(30, 99, 90)], (None, None)),
        ([*np.linspace(0.01, 40.0, 95)] + [60.0] * 5, (None, 60.0)),
    ],
)
def test_where_columns_end(v, ends):
    assert ends_of(np.array(v)) == ends


# normal distribution


def test_the_normal_distribution_is_that_of_the_standard_library():
    normal = statistics.NormalDist()
    p = np.array([1e-12, 1e-6, 0.001, 0.02, 0.03, 0.3, 0.5, 0.7, 0.98, 0.9999])
    np.testing.assert_allclose(normal_quantiles.quantile(p), [normal.inv_cdf(each) for each in p], atol=1e-7)
    pairs = [
        (-1.0, 1.0),
        (0.5, 0.75),
        (-9.0, -8.0),
        (8.0, 9.0),
        (-40.0, 40.0),
        (1.0, 1.0 + 1e-9),
        (-3.0, -3.0 + 1e-4),
        (2.0, np.inf),
        (-np.inf, -2.0),
        (-np.inf, 3.0),
    ]

    def exactly(low, high):
        low, high = (-high, -low) if low + high < 0.0 else (low, high)
        if high - low < 1e-3:
            return math.log(high - low) - 0.125 * (low + high) ** 2 - 0.5 * math.log(2.0 * math.pi)
        return math.log(0.5 * (math.erfc(low / math.sqrt(2.0)) - math.erfc(high / math.sqrt(2.0))))

    found = normal_quantiles.log_between(*np.array(pairs).T)
    np.testing.assert_allclose(found, [exactly(*pair) for pair in pairs], atol=2e-6)
    assert normal_quantiles.log_between(np.array([-np.inf]), np.array([np.inf]))[0] == 0.0


# numbers and back


@pytest.mark.parametrize("kind", ["continuous", "positive", "bounded", "shaped", "counts"])
def test_numbers_of_columns_from_0_and_back(kind):
    g = np.random.default_rng(0)
    v = np.round(np.exp(g.standard_normal(300)), 0 if kind == "counts" else 1)
    v[:30] = 0.1 if kind == "positive" else 0.0
    v = np.maximum(v, 0.1) if kind == "positive" else v
    column = fit_column("c", v, np.ones(300, bool), kind)
    x = column.encode(v, np.ones(300, bool))
    np.testing.assert_allclose(column.decode(x), v, atol=1e-9)
    assert np.isnan(column.encode(v, np.arange(300) > 0)[0, 0])
    # What is beyond its ends, or negative, the likelihood of a bounded column, or of counts, never draws.
    far = column.decode(np.linspace(-60.0 if column.is_curved else x.min(), 60.0, 500)[:, None])
    assert (np.diff(far) >= 0.0).all() and far.min() >= 0.0 and (far.min() > 0.0 or kind != "positive")
    np.testing.assert_array_equal(far, np.round(far, 0 if kind == "counts" else 1))
    again = from_config(json.loads(json.dumps(column.config())))
    assert again == column and ColumnField().read("c", {**column.config(), "likelihood": "x"})
    if column.is_curved:
        np.testing.assert_allclose(column.curve(np, x.astype(np.float32)), column.curve(np, x), atol=1e-5)


def test_a_column_is_a_straight_line_but_near_0():
    g = np.random.default_rng(0)
    v = 10.0 + 3.0 * np.abs(g.standard_normal(500))
    v[0] = 0.2
    column = fit_column("c", v, np.ones(500, bool), "continuous")
    x = np.linspace(0.0, 3.0, 50)
    values = column.shift + column.unit * column.curve(np, x)
    np.testing.assert_allclose(np.diff(values) / np.diff(x), column.deviation, rtol=1e-6)
    assert 0.0 <= column.decode(np.array([[-80.0]]))[0] < 1e-9 and column.decode(np.array([[40.0]]))[0] > 80.0
    far = fit_column("c", 1000.0 + g.standard_normal(500), np.ones(500, bool), "continuous")
    negative = fit_column("c", g.standard_normal(500), np.ones(500, bool), "continuous")
    assert not far.is_curved and not negative.is_curved
    zero = np.where(np.arange(500) < 5, 0.0, np.pi * (1.0 + np.arange(500)))  # of no decimals to round to
    column = fit_column("c", zero, np.ones(500, bool), "continuous")
    assert (
        column.decode(np.array([[-20.0], [-8.0]])).tolist() == [0.0, 0.0]
        and column.decode(column.encode(zero, np.ones(500, bool)))[:5].tolist() == [0.0] * 5
    )


def test_beyond_the_largest_number_a_positive_column_grows_like_its_tangent():
    v = np.exp(np.linspace(0.0, 3.0, 50))
    column = fit_column("c", v, np.ones(50, bool), "positive")
    step = 1e-6
    top = column.top
    inner, outer = (
        (column.curve(np, np.array(top + side * step)) - column.curve(np, np.array(top))) / (side * step)
        for side in (-1, 1)
    )
    assert inner == pytest.approx(outer, rel=1e-5)
    assert column.unit * column.curve(np, np.array(top + 2.0)) == pytest.approx(
        v.max() * (1.0 + 2.0 * column.deviation)
    )
    beyond = np.array([v.max() * 5.0])
    np.testing.assert_allclose(column.decode(column.encode(beyond, np.array([True]))), beyond)


@pytest.mark.parametrize(
    "make",
    [
        lambda g: np.where(g.random(3000) < 0.3, 0.0, np.exp(g.standard_normal(3000))),
        lambda g: np.concatenate([g.standard_normal(1500), 9.0 + g.standard_normal(1500)]),
        lambda g: np.minimum(g.exponential(size=3000), 2.0),
        lambda g: np.rint(3.0 * g.standard_normal(3000)),
    ],
)
def test_normal_scores_come_back_as_the_column_is_distributed(make):
    g = np.random.default_rng(0)
    v = make(g)
    column = fit_column("c", v, np.ones(len(v), bool), "shaped")
    drawn = column.decode(g.standard_normal((20000, 1)))
    grid = np.quantile(v, np.linspace(0.01, 0.99, 60))
    assert abs((v[:, None] <= grid).mean(axis=0) - (drawn[:, None] <= grid).mean(axis=0)).max() < 0.03
    for value in (v.min(), v.max()):
        assert (drawn == value).mean() <= 2.0 * (v == value).mean()
    assert tuple(column.ends) == tuple((v == end).mean() >= 0.02 for end in (v.min(), v.max()))
    said = column.modelled_by("gaussian_decoder")
    if any(column.ends):  # all that is at an end is there in the likelihood's numbers, too
        x = column.encode(v, np.ones(len(v), bool))
        Bounded(**{name: value for name, value in said.items() if name != "name"}).check_data(x)
        for end, value, bound in zip(column.ends, (v.min(), v.max()), (said["low"], said["high"]), strict=True):
            assert (bound is not None) == end and (not end or ((x[:, 0] == bound) == (v == value)).all())
    else:
        assert said == "gaussian_decoder"


def test_levels_in_order():
    v = np.array([0.5, 1.0, 2.5, 1.0, 0.5])
    column = fit_column("c", v, np.ones(5, bool), "ordinal")
    np.testing.assert_array_equal(
        column.encode(v, np.arange(5) != 3), [[0, 0], [1, 0], [1, 1], [np.nan, np.nan], [0, 0]]
    )
    np.testing.assert_array_equal(column.decode(np.array([[0, 0], [1, 0], [1, 1]], np.float32)), [0.5, 1.0, 2.5])
    np.testing.assert_array_equal(
        column.guess(np.array([[0.6, 0.55], [0.6, 0.1]])), [2.5, 1.0]
    )  # of 0.4, 0.05, 0.55; 0.4, 0.5, 0.1
    np.testing.assert_allclose(column.probabilities(np.array([[0.6, 0.55]])), [[0.4, 0.05, 0.55]])
    many = fit_column("c", np.arange(11.0), np.ones(11, bool), "ordinal")
    expected = np.array([[0.5] * 10, [1.0] * 7 + [0.4, 0.0, 0.0]])
    np.testing.assert_array_equal(many.guess(expected), [5.0, 7.0])
    assert column.is_numeric and column.width == 2 and from_config(column.config()) == column
    with pytest.raises(InputError, match="column 'c' holds 'b', but the values of an ordinal column are numbers"):
        fit_column("c", np.array([1.0, "b", 2.0], object), np.ones(3, bool), "ordinal")
    with pytest.raises(InputError, match="column 'c' holds the text 'b' in row 1, but it is a column of numbers"):
        column.encode(np.array([7.0, "b"], object), np.ones(2, bool))


def test_a_bounded_column_takes_what_is_beyond_for_the_end():
    column = fit_column("c", np.array([0.0, 0.0, 30.0, 100.0, 100.0]), np.ones(5, bool), "bounded")
    assert (column.low, column.high) == (0.0, 100.0)
    np.testing.assert_allclose(
        column.decode(column.encode(np.array([-4.0, 120.0, 7.0]), np.ones(3, bool))), [0.0, 100.0, 7.0]
    )
    said = fit_column("c", np.array([1.0, 2.5, 9.0, 3.0, 4.0] * 20), np.ones(100, bool), "bounded")
    assert said.low == 1.0 and said.high == 9.0
    no_end = fit_column("c", np.linspace(3.0, 40.0, 90), np.ones(90, bool), "bounded")
    assert (no_end.low, no_end.high) == (0.0, 40.0)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"kind": "bounded", "low": 1.0, "high": 0.0}, "low must be below high"),
        ({"kind": "ordinal", "values": [2, 1]}, "not in order"),
        ({"kind": "shaped", "scores": [0.0, 1.0], "quantiles": [1.0, 0.0]}, "in order"),
        ({"kind": "shaped", "scores": [0.0, 1.0, 2.0], "quantiles": [1.0, 2.0]}, "as many"),
        ({"kind": "shaped", "scores": [0.0, 1.0], "quantiles": [1.0, 1.0]}, "in order"),
        ({"kind": "ordinal", "values": ["a", "b"]}, "are numbers"),
        ({"kind": "positive", "low": 0.0}, "unknown entry"),
        ({"kind": "counts", "mean": float("inf")}, "mean"),
        ({"kind": "continuous", "soft": 0.0}, "soft"),
        ({"kind": "shaped", "ends": [True]}, "ends"),
        ({"kind": "continuous", "rivals": ["no kind"]}, "rivals"),
        ({"kind": "ordinal", "values": [1]}, "1 values"),
    ],
)
def test_entries_of_files_that_do_not_fit_together(entry, words):
    with pytest.raises(InputError, match=words):
        ColumnField().read("schema[0]", {"name": "c", "likelihood": "x", **entry})


# expected in a column's own units


def test_expectations_of_curves_are_those_of_draws():
    ops, rng = Ops(np), np.random.default_rng(0)
    mean, raw = np.array([[0.4, -0.3], [1.5, 0.0]]), np.log(np.array([[0.5, 0.2], [0.1, 1.0]]))
    table = Table([(GaussianDecoder(floor=0.0), 2), ("gaussian_per_feature", 1)])
    outputs = mean, raw, np.zeros((2, 1))
    own = {"part1_raw_logvar": np.zeros(1)}
    found = table.mean(ops, outputs, own, {0: lambda xp, x: xp.exp(x)})
    np.testing.assert_allclose(found[:, 0], np.exp(mean[:, 0] + 0.5 * np.exp(raw[:, 0])), rtol=1e-3)
    np.testing.assert_array_equal(found[:, 1], mean[:, 1])
    np.testing.assert_array_equal(table.mean(ops, outputs, own), np.concatenate([mean, np.zeros((2, 1))], axis=1))
    some = table.mean(ops, (mean, raw, np.ones((2, 1))), own, wanted=np.array([False, False, True]))
    np.testing.assert_array_equal(some, [[0.0, 0.0, 1.0]] * 2)
    for likelihood, own in (
        (Gaussian(0.3), {}),
        (Bounded(-1.0, 1.0, 0.001), {}),
        (Bounded(0.0, None, 0.001), {}),
        (Bounded(None, 0.5, 0.001), {}),
    ):
        outputs = tuple(np.array([[0.3, -0.8]]) for _ in likelihood.heads(2))
        drawn = likelihood.draw(tuple(np.repeat(o, 200_000, axis=0) for o in outputs), own, Noise(rng))
        for f in (
            lambda x: np.clip(x, -3.0, 3.0),
            lambda x: np.exp(np.minimum(x, 2.0)),
            lambda x: np.clip(x, 0.2, 3.0),
        ):
            quadrature = sum(weight * f(points) for weight, points in likelihood.quadrature(ops, outputs, own))
            np.testing.assert_allclose(quadrature[0], f(drawn).mean(axis=0), rtol=0.06, atol=0.03)
    plain = list(StudentT().quadrature(ops, tuple(np.zeros((1, 1)) for _ in range(3)), {}))
    assert [weight for weight, _ in plain] == [1.0]


class Noise:
    """As npvae.random.Stream, of NumPy's generator."""

    def __init__(self, rng) -> None:
        self._rng = rng

    def uniform(self, shape):
        return self._rng.random(shape)

    def normal(self, shape, dtype="float64"):
        return self._rng.standard_normal(shape).astype(dtype)


def test_a_skewed_column_is_guessed_by_its_mean_and_not_by_its_median():
    g = np.random.default_rng(0)
    x = np.column_stack([np.exp(g.standard_normal(600)), g.standard_normal(600)])
    x[::6, 0] = np.nan
    imputer = TableImputer({"0": "positive"}, **QUICK).fit(x)
    found = imputer.impute(x, draws=40)
    guesses, drawn = found.filled[::6, 0], np.array([draw[::6, 0] for draw in found.draws])
    assert guesses.mean() == pytest.approx(drawn.mean(), rel=0.1) and guesses.mean() > 1.25 * np.median(drawn)
    assert (drawn > 0.0).all()


def test_moments_of_counts_from_those_of_their_logarithms():
    g = np.random.default_rng(0)
    view = EncoderView(np.array([1.5, 2.0]), np.array([0.5, 3.0]), np.array([True, False]))
    mean, V, noise = np.array([0.3, -1.0]), np.array([[0.6, 0.2], [0.5, 1.0]]), np.array([0.2, 0.4])
    seen = mean + g.standard_normal((400_000, 2)) @ V + np.sqrt(noise) * g.standard_normal((400_000, 2))
    x = view.inverse(seen)
    of_x, of_V, of_noise = view.moments(mean, V, noise)
    np.testing.assert_allclose(of_x, x.mean(axis=0), rtol=0.02)
    np.testing.assert_allclose((of_V**2).sum(axis=0) + of_noise, x.var(axis=0), rtol=0.03)
    plain = EncoderView(view.center, view.scale).moments(mean, V, noise)
    np.testing.assert_allclose(plain[1], V * view.scale)
    assert np.isfinite(
        np.concatenate([np.ravel(part) for part in view.moments(100.0 * mean, 100.0 * V, 100.0 * noise)])
    ).all()


# what comes out


def test_nothing_impossible_comes_out_of_a_table_of_every_kind(tmp_path):
    columns = columns_of_every_kind(300)
    x = np.column_stack([*columns.values()])
    hidden = np.random.default_rng(1).random(x.shape) < 0.25
    holed = np.where(hidden, np.nan, x)
    imputer = TableImputer(**QUICK).fit(holed)
    found = imputer.impute(holed, draws=39)
    tables = np.array([found.filled, *found.draws])
    decimals = {"continuous": 2, "positive": 2, "counts": 0, "bounded": 1, "bounded or shaped": 1, "shaped": 1}
    for j, name in enumerate(columns):
        cells, seen = tables[:, hidden[:, j], j], holed[~hidden[:, j], j]
        if name in decimals:
            np.testing.assert_array_equal(cells, np.round(cells, decimals[name]))
        else:
            assert set(np.unique(cells)) <= set(seen)
        if seen.min() >= 0.0:
            assert cells.min() >= 0.0
        if name == "bounded":
            assert cells.max() <= 100.0
        for value in (seen.min(), seen.max()):
            share = (seen == value).mean()
            assert (cells[1:] == value).mean() <= 2.0 * share + 0.03, (
                f"{name}: {value} in {(cells[1:] == value).mean():.3f} of the draws, {share:.3f} of the cells"
            )
    low, high = found.interval(0.9)
    for j in (0, 1, 4, 6):
        assert 0.75 < ((low <= x) & (x <= high))[hidden[:, j], j].mean() < 0.99
    imputer.save(tmp_path / "i.npz")
    again = TableImputer.load(tmp_path / "i.npz")
    assert (
        again.schema_.columns == imputer.schema_.columns and again.schema_.likelihood() == imputer.schema_.likelihood()
    )
    np.testing.assert_array_equal(again.impute(holed, draws=2).draws[1], imputer.impute(holed, draws=2).draws[1])


def test_smallest_sets_of_values():
    answers = [["a", 3.0, 1.0]] * 10 + [["b", 1.0, 2.0]] * 7 + [["a", 1.0, 3.0]] * 2
    drawn = [np.array([row, ["c", 2.0, 10.0 + i]], dtype=object) for i, row in enumerate(answers)]
    observed = np.array([[False, False, False], [True, False, False]])
    found = TableImputation(drawn[0], drawn, np.ones(2), ["x", "y", "z"], [False, True, True], observed, ~observed)
    sets = found.smallest_sets(0.9)
    assert sets == {"x": [("a", "b"), ("c",)], "y": [(3.0, 1.0), (2.0,)]}  # z has 22 values
    assert found.smallest_sets(0.5)["x"] == [("a",), ("c",)]
    with pytest.raises(InputError, match="the number of draws must be"):
        TableImputation(
            drawn[0], drawn[:18], np.ones(2), ["x", "y", "z"], [False, True, True], observed
        ).smallest_sets()
    carried = TableImputation(
        drawn[0], drawn, np.ones(2), ["x", "y", "z"], [False, True, True], observed, ~observed & [True, False, False]
    )
    assert [*carried.smallest_sets()] == ["x"]


def test_commands_say_the_kinds_and_take_others(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    columns = columns_of_every_kind(120)
    rows = np.column_stack([columns["positive"], columns["ordinal"], columns["bounded"]])
    lines = [",".join("" if (i + j) % 9 == 0 else f"{v:g}" for j, v in enumerate(row)) for i, row in enumerate(rows)]
    (tmp_path / "t.csv").write_text("price,stars,share\n" + "\n".join(lines) + "\n")
    assert main(["table", "t.csv", "--report", "r.json"]) == 0
    out = capsys.readouterr().out
    assert (
        "modelled as ordinal: " in out
        and "modelled as positive: " in out
        and out.rstrip().endswith("another is said by --kind NAME=KIND")
    )
    assert [
        column["modelled"].split(":")[0] for column in json.loads((tmp_path / "r.json").read_text())["columns"]
    ] == ["positive", "ordinal", "bounded"]
    line = ["impute", "t.csv", "--out", "o.csv", "--epochs", "2", "--members", "1", "--backend", "numpy", "--seed", "0"]
    said = ["--kind", "price=bounded", "--kind", "stars=categorical", "--kind", "share=shaped"]
    assert main([*line, *said, "--intervals", "i.csv", "--report", "r.json"]) == 0
    out = capsys.readouterr().out
    assert "price: bounded" in out and "stars: categorical" in out and "share: shaped" in out
    assert [column["modelled"] for column in json.loads((tmp_path / "r.json").read_text())["columns"]] == [
        f"{kind}: as was said" for kind in ("bounded", "categorical", "shaped")
    ]
    header, first, *_ = (tmp_path / "i.csv").read_text().splitlines()
    assert header == "price low,price high,stars set,share low,share high" and first.split(",")[2] == f"{rows[0, 1]:g}"
    assert (
        main([*line, "--kind", "price=bound"]) == 2
        and "unknown kind of column 'price' 'bound'" in capsys.readouterr().err
    )


def test_a_number_that_an_ordinal_column_had_not_is_the_nearest_level():
    column = Ordinal.fit("stars", np.array([1.0, 2.0, 4.0, 5.0]), np.ones(4, bool))
    cells = np.array([-7.0, 1.4, 1.6, 3.1, 4.4, 99.0, np.nan])
    observed = ~np.isnan(cells)
    nearest = np.array([1.0, 1.0, 2.0, 4.0, 4.0, 5.0, np.nan])
    np.testing.assert_array_equal(column.encode(cells, observed), column.encode(nearest, observed))
    assert not column.unseen(cells, observed).any() and column.unseen(
        np.array([1.0, "x"], object), np.ones(2, bool)
    ).tolist() == [False, True]
    np.testing.assert_array_equal(column.decode(column.encode(nearest[:6], observed[:6])), nearest[:6])
    with pytest.raises(InputError, match="infinity is not a value"):
        column.encode(np.array([np.inf, 1.0]), np.ones(2, bool))
