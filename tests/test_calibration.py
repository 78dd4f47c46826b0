"""Levels of intervals and sets by cells held out: the ranks' quantiles, shrunk, and what imputers do with them."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest

from npvae import TableImputer
from npvae.data.tables.kinds import from_config
from npvae.errors import InputError, ModelFileError
from npvae.estimators.tables import TableImputation, calibration, imputer_file
from npvae.estimators.tables.calibration import SHARES, scores_of_ends, scores_of_sets, share_of_draws, shrunk_quantiles


def test_scores_of_ends_are_ranks_and_ties_are_on_both_sides():
    drawn = np.array([[1.0, 5.0], [2.0, 5.0], [3.0, 5.0], [4.0, 5.0]])
    below, above = scores_of_ends(np.array([2.5, 5.0]), drawn, np.array([0.25, 0.5]))
    assert below.tolist() == [2.25 / 5, 4.5 / 5] and above.tolist() == [2.25 / 5, 4.5 / 5]


def test_scores_of_sets_by_hand():
    drawn = np.array([0] * 5 + [1] * 3 + [2] * 2)[:, None].repeat(4, axis=1)
    found = scores_of_sets(np.array([0, 1, 2, 3]), drawn, np.array([0.5, 0.5, 1.0, 0.3]))
    np.testing.assert_allclose(found, [1 - 0.25, 1 - 0.65, 0.0, 0.0], atol=1e-12)


def test_a_member_that_is_right_keeps_its_levels():
    generator = np.random.default_rng(0)
    u = (np.arange(20_000) + 0.5) / 20_000
    np.testing.assert_allclose(shrunk_quantiles([generator.permutation(u)])[0], SHARES, atol=1e-4)
    cells, drawn = generator.standard_normal(20_000), generator.standard_normal((100, 20_000))
    for scores in scores_of_ends(cells, drawn, generator.random(20_000)):
        np.testing.assert_allclose(shrunk_quantiles([scores])[0], SHARES, atol=0.012)


def test_quantiles_of_known_scores():
    """Scores are u^2: the share a of them is below a^2, whatever the shrinkage to a few uniform ones leaves."""
    u = (np.arange(50_000) + 0.5) / 50_000
    found, same = shrunk_quantiles([u**2, u])
    np.testing.assert_allclose(found, np.square(SHARES), atol=1e-3)
    np.testing.assert_allclose(same, SHARES, atol=1e-3)
    assert (np.diff(found) >= 0.0).all() and found[0] == 0.0 and found[-1] == 1.0


def test_few_cells_are_shrunk_and_none_have_the_tables_levels():
    u = (np.arange(10_000) + 0.5) / 10_000
    table, none, one, few = shrunk_quantiles([u**2, np.zeros(0), np.array([1.0]), np.full(50, 1.0)])
    np.testing.assert_allclose(none, np.square(SHARES), atol=0.01)
    np.testing.assert_allclose(one[:10], none[:10], atol=0.02)
    # Half of the weight is the column's, none of it below 1: its share a is the table's share 2 a.
    np.testing.assert_allclose(few[SHARES.index(0.1)], 0.2**2, atol=5e-3)
    alone = shrunk_quantiles([np.zeros(0)])[0]
    np.testing.assert_allclose(alone, SHARES, atol=1e-9)
    hardly = shrunk_quantiles([np.full(2, 0.001)])[0]  # two cells say little against what was asked for
    np.testing.assert_allclose(hardly, SHARES, atol=0.09)
    assert shrunk_quantiles([]) == []


def test_levels_between_the_kept_ones_are_monotone():
    column = {"below": list(np.square(SHARES)), "above": None, "sets": list(SHARES)}
    shares = np.linspace(0.0, 1.0, 301)
    found = [share_of_draws(column, "below", share) for share in shares]
    assert (np.diff(found) >= 0.0).all() and abs(found[30] - 0.01) < 1e-12
    assert share_of_draws(column, "above", 0.03) == share_of_draws(None, "sets", 0.03) == 0.03


def imputation(drawn, observed, columns):
    return TableImputation(drawn[0], drawn, np.ones(len(observed)), ["a"], [True], observed, ~observed, columns)


def test_intervals_take_each_sides_own_share_and_no_more_than_the_draws_there_are():
    drawn = [np.array([[float(i)], [7.0]]) for i in np.random.default_rng(0).permutation(199)]
    observed = np.array([[False], [True]])

    def ends(below, above, level=0.9, draws=199):
        column = {
            "below": [share * below for share in SHARES],
            "above": [share * above for share in SHARES],
            "sets": None,
        }
        low, high = imputation(drawn[:draws], observed, {0: column}).interval(level)
        assert low[1, 0] == high[1, 0] == 7.0
        return low[0, 0], high[0, 0]

    assert ends(1.0, 1.0) == (9.0, 189.0)
    assert ends(0.5, 0.2) == (4.0, 197.0)
    assert ends(0.001, 0.0) == (0.0, 198.0)
    assert ends(1.0, 1.0, level=0.5) == (49.0, 149.0)
    low, high = ends(1.9, 1.9, level=0.01)  # never past the middle
    assert low == high == 99.0


def test_sets_take_the_calibrated_part_of_the_draws():
    drawn = [np.array([[value]]) for value in [1.0] * 12 + [2.0] * 5 + [3.0] * 3]
    observed = np.array([[False]])
    for part, wanted in ((0.5, (1.0,)), (0.8, (1.0, 2.0)), (0.9, (1.0, 2.0, 3.0))):
        shares = np.interp(SHARES, [0.0, 0.1, 1.0], [0.0, 1.0 - part, 1.0]).tolist()
        found = imputation(drawn, observed, {0: {"below": None, "above": None, "sets": shares}}).smallest_sets(0.9)
        assert found == {"a": [wanted]}


class _Saying:
    """A member whose draws are normal with the mean 0 and half of the deviation that cells have."""

    def __init__(self, width, number):
        self._width, self._number = width, number

    def impute(self, x, seed, samples, draws, members):
        generator = np.random.default_rng(self._number)
        return SimpleNamespace(draws=0.5 * generator.standard_normal((draws, len(x), self._width)))


def test_members_that_are_too_sure_are_found_out_by_what_they_held_out():
    """Draws half as wide as cells: 90 % of the cells are inside when it is the interval of 99.9 %; the share beyond
    1.645 is Phi(-3.29).
    """
    generator = np.random.default_rng(1)
    x = generator.standard_normal((4000, 2))
    x[:, 1] *= 0.5  # of this one they are right
    columns = [from_config({"name": name, "kind": "continuous"}) for name in "ab"]
    schema = SimpleNamespace(columns=columns, slices=[slice(0, 1), slice(1, 2)])
    masks = [generator.random((4000, 2)) < 0.5 for _ in range(2)]

    def all_of_it(most_rows=None):
        return calibration.calibrate(x, schema, [_Saying(2, 1), _Saying(2, 2)], lambda i: masks[i], [11, 12], most_rows)

    narrow, right = all_of_it()
    assert all_of_it() == [narrow, right] and narrow["sets"] is None
    for side in ("below", "above"):
        assert share_of_draws(narrow, side, 0.2) == pytest.approx(0.046, abs=0.015)  # Phi(2 * Phi^-1(.2))
        assert share_of_draws(narrow, side, 0.05) < 0.008
        assert share_of_draws(right, side, 0.05) == pytest.approx(0.05, abs=0.015)
    assert all_of_it(100) != [narrow, right]


def table():
    generator = np.random.default_rng(3)
    z = generator.standard_normal(150)
    x = np.stack([z, np.exp(z + 0.3 * generator.standard_normal(150)), np.rint(z + 3.0)], axis=1)
    return np.where(generator.random(x.shape) < 0.2, np.nan, x)


@pytest.fixture(scope="module")
def fitted():
    return TableImputer(**QUICK).fit(table())


QUICK = {"members": 2, "epochs": 2, "hidden": (4,), "imputation_samples": 50, "random_state": 0, "backend": "numpy"}


def test_an_imputer_keeps_its_levels_in_its_file(tmp_path, fitted):
    x, imputer = table(), fitted
    assert TableImputer(**QUICK).fit(x).calibration_ == imputer.calibration_
    assert [column["sets"] is None for column in imputer.calibration_] == [True, True, False]
    found = imputer.impute(x, draws=39)
    low, high = found.interval(0.9)
    assert low[:, 1].min() >= 0.0 and (low <= high).all()
    narrow_low, narrow_high = found.interval(0.5)
    assert (low <= narrow_low).all() and (narrow_high <= high).all()
    file = tmp_path / "i.npz"
    imputer.save(file)
    again = TableImputer.load(file, backend="numpy").impute(x, draws=39)
    np.testing.assert_array_equal(again.interval(0.9), (low, high))
    assert again.smallest_sets() == found.smallest_sets()
    # Columns in another order have their own levels.
    frame = {name: x[:, i] for i, name in enumerate("abc")}
    named = TableImputer(**QUICK).fit(frame)
    turned = named.impute({name: frame[name] for name in "cab"}, draws=39).calibration
    assert turned == {place: named.calibration_[i] for i, place in enumerate((1, 2, 0))}


@pytest.mark.parametrize(
    ("change", "words", "written"),
    [
        (lambda columns: columns.pop(), "calibration of 2 columns, but 3 columns", True),
        (lambda columns: columns[0]["below"].reverse(), "column '0' is not in order", True),
        (lambda columns: columns[0]["below"].pop(), r"calibration\[0\].below must be", False),
        (lambda columns: columns[0].pop("above"), r"calibration\[0\].*above", False),
        (lambda columns: columns[0]["above"].__setitem__(3, 1.5), "at most 1, got 1.5", False),
    ],
)
def test_files_with_other_levels_are_refused(tmp_path, monkeypatch, fitted, change, words, written):
    imputer = copy.copy(fitted)
    imputer.calibration_ = copy.deepcopy(fitted.calibration_)
    change(imputer.calibration_)
    if not written:  # what is declared is checked when it is written, and when it is read
        with pytest.raises(InputError, match=words):
            imputer.save(tmp_path / "i.npz")
        monkeypatch.setattr(imputer_file, "DECLARATION", SimpleNamespace(read=lambda name, value: value))
    imputer.save(tmp_path / "i.npz")
    monkeypatch.undo()
    with pytest.raises(ModelFileError, match=words):
        TableImputer.load(tmp_path / "i.npz", backend="numpy")


def test_what_two_members_say_better_than_one_is_known():
    """Normal scores of two are 1 - b times those of one; of more members by the share 1 - 1 / J that they do not
    have in common.
    """
    generator = np.random.default_rng(5)
    u = (generator.permutation(4000) + 0.5) / 4000
    z = calibration._normal_scores(u)
    half = np.array([calibration.normal_quantiles.quantile(np.array([p]))[0] for p in (0.05, 0.2)])
    one = np.stack([u, u])
    narrower = calibration.among_more(u, np.ones(4000), 2, 0.1)  # at b = 0.1 those of two are 0.9 times as far out
    np.testing.assert_allclose(calibration._normal_scores(narrower), 0.9 * z, atol=1e-5)
    assert calibration.gain_of_two(one, narrower) == pytest.approx(0.1, abs=0.002)
    assert calibration.gain_of_two(one[:, :5], narrower[:5]) < 0.02  # of few cells nothing is believed
    assert calibration.gain_of_two(one, u) == calibration.gain_of_two(np.zeros((2, 0)), np.zeros(0)) == 0.0
    assert calibration.gain_of_two(narrower[None], u) == 0.0  # never wider
    five = calibration.among_more(np.array([0.05, 0.2]), np.array([1.0, 2.0]), 5, 0.1)
    np.testing.assert_allclose(calibration._normal_scores(five), half * [0.84, 0.84 / 0.9], atol=1e-5)
    np.testing.assert_allclose(calibration.among_more(u, np.full(4000, 5.0), 5, 0.2), u, atol=1e-6)
