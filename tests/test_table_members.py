"""How a table's models are trained: cells held out, when training stops, and what the members are to each other."""

import numpy as np
import pytest

from npvae import TableImputer
from npvae.errors import InputError, TrainingInterrupted
from npvae.estimators.tables import imputer as imputer_module
from npvae.estimators.tables import member as member_module
from npvae.estimators.tables.member import Member, enough_of, hide
from npvae.imputation import Imputation

QUICK = {"members": 1, "epochs": 20, "hidden": (16,), "imputation_samples": 200, "random_state": 0, "every": 5}


def test_held_out_cells_are_whole_cells_of_what_is_observed(rng):
    x = np.where(rng.random((400, 5)) < 0.5, np.nan, 1.0)
    x[:, 3:] = x[:, 3:4]
    blocks = [slice(0, 1), slice(1, 2), slice(2, 3), slice(3, 5)]
    hidden = hide(x, blocks, 0.2, seed=1)
    assert not (hidden & np.isnan(x)).any() and (hidden[:, 3] == hidden[:, 4]).all()
    seen = ~np.isnan(x)
    assert 0.1 < hidden.sum() / seen.sum() < 0.25
    assert ((seen & ~hidden).any(axis=1) == seen.any(axis=1)).all()


def test_members_take_turns_and_are_averaged(rng, monkeypatch):
    x = rng.standard_normal((30, 2))
    x[0, 0] = np.nan
    imputer = TableImputer(**{**QUICK, "members": 3}).fit(x)
    assert len({member.theta.tobytes() for member in imputer.members_}) == 3
    neighbour = TableImputer(**{**QUICK, "members": 3, "random_state": 1}).fit(x)
    assert not {m.theta.tobytes() for m in imputer.members_} & {m.theta.tobytes() for m in neighbour.members_}
    column = imputer.schema_.columns[0]

    def constant(self, x, seed, samples, draws, progress=None, curves=None, members=1):
        assert members == 3  # so that each needs fewer samples
        value = float(next(i for i, member in enumerate(imputer.members_) if member is self))
        return Imputation(
            np.full(x.shape, value), np.full((draws, *x.shape), value), {"effective_sample_size": np.ones(len(x))}
        )

    monkeypatch.setattr(Member, "impute", constant)
    found = imputer.impute(x, draws=7)
    numbers = [(draw[0, 0] - column.mean) / column.deviation for draw in found.draws]
    np.testing.assert_allclose(numbers, [0, 1, 2, 0, 1, 2, 0], atol=1e-9)
    assert (found.filled[0, 0] - column.mean) / column.deviation == pytest.approx(1.0)


def test_members_that_are_averaged_share_the_samples_that_are_enough():
    assert [enough_of(members) for members in (1, 2, 4, 10)] == [100, 100, 50, 20]


def test_the_best_parameters_are_kept_and_training_stops(rng):
    x = rng.standard_normal((120, 3)) @ rng.standard_normal((3, 3))
    x[rng.random(x.shape) < 0.3] = np.nan
    quick = {**QUICK, "every": 1, "patience": 2, "epochs": 300, "learning_rate": 0.05}
    member = TableImputer(**quick).fit(x).members_[0]
    assert member.epoch < 200 and member.error <= member.normal_error * 1.3
    short = TableImputer(**{**QUICK, "epochs": 3, "every": 10, "learning_rate": 1e-3}).fit(x).members_[0]
    assert short.epoch in (0, 3)


def test_columns_of_few_cells_keep_them(rng):
    x = np.where(rng.random((40, 3)) < 0.2, np.nan, rng.standard_normal((40, 3)))
    x[2:, 2] = np.nan
    x[:2, 2] = [0.0, 1.0]
    blocks = [slice(i, i + 1) for i in range(3)]
    for seed in range(30):
        hidden = hide(x, blocks, 0.5, seed)
        left = (~np.isnan(x) & ~hidden).sum(axis=0)
        assert left[2] == 2 and (2 * left >= (~np.isnan(x)).sum(axis=0)).all()
    with pytest.raises(InputError, match="2 rows and 1 columns that can be modelled is too small"):
        TableImputer(**QUICK).fit(np.array([[1.0], [2.0]]))


def test_a_single_column_is_filled_in_by_what_is_usual_in_it(rng):
    x = 50.0 + rng.standard_normal((80, 1))
    x[:9] = np.nan
    found = TableImputer(**{**QUICK, "epochs": 20}).fit(x).impute(x, draws=60)
    np.testing.assert_allclose(found.filled[:9], np.nanmean(x), atol=0.3)
    assert 0.5 < np.std([draw[:9] for draw in found.draws]) < 2.0


def can_be_hidden(observed) -> bool:
    """Whether a cell can be hidden that leaves its row one, if there are more columns, and its column two."""
    return any(
        observed[row, column] and observed[row].sum() >= min(2, observed.shape[1]) and observed[:, column].sum() >= 3
        for row in range(observed.shape[0])
        for column in range(observed.shape[1])
    )


@pytest.mark.parametrize("missing", [0.0, 0.3, 0.6, 0.8])
def test_the_table_and_not_the_draw_decides_whether_a_cell_can_be_held_out(rng, missing):
    accepted = set()
    for _ in range(30):
        rows, columns = rng.integers(2, 7), rng.integers(1, 5)
        x = np.where(rng.random((rows, columns)) < missing, np.nan, 1.0)
        observed, possible = ~np.isnan(x), can_be_hidden(~np.isnan(x))
        accepted.add(possible)
        for seed in range(10):
            if not possible:
                with pytest.raises(InputError, match="is too small: no observed cell can be held out"):
                    hide(x, [slice(i, i + 1) for i in range(columns)], 0.1, seed)
                continue
            hidden = hide(x, [slice(i, i + 1) for i in range(columns)], 0.1, seed)
            left = observed & ~hidden
            assert hidden.any() and not (hidden & ~observed).any()
            assert columns == 1 or (left.any(axis=1) == observed.any(axis=1)).all()
            assert (left.sum(axis=0) >= np.minimum(observed.sum(axis=0), 2)).all()
    assert True in accepted


def test_in_a_long_table_the_one_cell_that_can_be_held_out_is():
    x = np.full((3000, 2), np.nan)
    x[:, 0] = 1.0
    x[[5, 1500, 2999], 1] = 1.0  # rows with another cell; at most one of them is watched by chance
    for seed in range(5):
        assert 1 <= hide(x, [slice(0, 1), slice(1, 2)], 1e-9, seed).sum() <= 3


def test_a_table_of_six_rows_is_fitted_with_every_seed(rng):
    x = rng.standard_normal((6, 2))
    x[0, 1] = np.nan
    for seed in range(8):
        assert np.isfinite(
            TableImputer(**{**QUICK, "epochs": 1, "every": 1, "random_state": seed}).fit_transform(x)
        ).all()


def test_ctrl_c_ends_the_training_of_all_members(rng, monkeypatch):
    def interrupted(model, settings, x, state, callbacks, enough):
        state.interrupted = True

    monkeypatch.setattr(member_module, "train", interrupted)
    x = rng.standard_normal((30, 2))
    with pytest.raises(TrainingInterrupted, match="model 1 of 3") as caught:
        TableImputer(**{**QUICK, "members": 3}).fit(x)
    imputer = caught.value.estimator
    x[0, 0] = np.nan
    assert len(imputer.members_) == 1 and np.isfinite(imputer.transform(x)).all()


@pytest.mark.parametrize(
    ("rows", "given", "epochs", "every"),
    [
        (600, {}, 400, 10),
        (64_000, {}, 40, 1),
        (1_000_000, {}, 10, 1),
        (600, {"epochs": 30}, 30, 1),
        (600, {"every": 7}, 400, 7),
    ],
)
def test_long_tables_have_fewer_epochs(rng, monkeypatch, rows, given, epochs, every):
    class Seen(Exception):
        pass

    def seen(x, likelihood, blocks, standard, recipe, ops, seed, report, checkpoint, first, enough):
        raise Seen(recipe.epochs, recipe.every)

    monkeypatch.setattr(imputer_module, "train_member", seen)
    with pytest.raises(Seen) as found:
        TableImputer(**given).fit(rng.standard_normal((rows, 1)))
    assert found.value.args == (epochs, every)


def test_a_wild_cell_neither_drives_the_rest_anywhere_nor_leaves_the_dtype(rng):
    cause = rng.standard_normal((200, 1))
    x = np.concatenate([50.0 + 10.0 * cause, 170.0 + 8.0 * cause, rng.poisson(np.exp(0.3 + 0.5 * cause))], axis=1)
    x[:, :2] += rng.standard_normal((200, 2))
    imputer = TableImputer({"2": "counts"}, **QUICK).fit(x)
    for column, value in ((0, 1e6), (0, -1e12), (1, 1e4), (2, 500.0)):
        given = x[:3].copy()
        given[:, (column + 1) % 3] = np.nan
        calm = imputer.transform(given)[1:]
        given[0, column] = value
        found = imputer.impute(given, draws=20)
        assert np.isfinite([found.filled, *found.draws]).all() and found.filled[0, column] == value
        np.testing.assert_array_equal(found.filled[1:], calm)
        if column != 1:  # the logarithm of the rate of a count may grow in a line
            assert (np.abs(found.filled[0] - x.mean(axis=0)) / x.std(axis=0))[(column + 1) % 3] < 1000.0
    with pytest.raises(InputError, match="column '0' holds 1e.30 in row 1; too far"):
        imputer.transform(np.array([[50.0, np.nan, 1.0], [1e30, np.nan, 1.0]]))


def test_training_that_leaves_the_numbers_keeps_the_best_until_then(rng):
    x = rng.standard_normal((120, 3))
    x[rng.random(x.shape) < 0.2] = np.nan
    with np.errstate(all="ignore"):
        imputer = TableImputer(**{**QUICK, "learning_rate": 1e30}).fit(x)
    (member,) = imputer.members_
    assert (
        member.epoch == 0
        and np.isfinite(member.theta).all()
        and member.error == pytest.approx(member.normal_error, rel=0.2)
    )
    assert np.isfinite(imputer.transform(x)).all()


def test_counts_far_from_poisson_start_no_worse_than_the_normal_distribution(rng):
    cause = rng.standard_normal((400, 1))
    x = np.concatenate([cause + 0.3 * rng.standard_normal((400, 2)), rng.poisson(np.exp(1.5 + 2.0 * cause))], axis=1)
    x[rng.random(x.shape) < 0.2] = np.nan
    (member,) = (
        TableImputer({"2": "counts"}, **{**QUICK, "epochs": 1, "every": 1, "learning_rate": 1e-12}).fit(x).members_
    )
    assert member.error < 1.1 * member.normal_error


def test_progress_counts_epochs_and_rows_of_all_members(capsys, rng):
    x = np.where(rng.random((25, 3)) < 0.2, np.nan, rng.standard_normal((25, 3)))
    x[-1, 0] = np.nan
    imputer = TableImputer(
        members=2,
        epochs=5,
        patience=9,
        imputation_samples=5,
        hidden=(3,),
        random_state=1,
        backend="numpy",
        verbose=True,
    ).fit(x)
    said = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in said if "start" not in line] == [
        *(
            line
            for i in (1, 2)
            for line in (f"member {i} of 2", *(f"member {i} of 2: {epoch} of 5 epochs" for epoch in (0, 1, 2, 5)))
        ),
        "intervals of cells held out",
    ]
    assert [line for line in said if "start" in line] == [
        f"member {i} of 2: start, a normal distribution of 25 rows of 3 numbers" for i in (1, 2)
    ]
    imputer.impute(x)
    said = capsys.readouterr().err.splitlines()
    assert [line for line in said if "25 of 25" in line][0].startswith(
        "filling in, member 1 of 2: 25 of 25 rows, at most 0:0"
    )
    assert said[-1] == "filling in, member 2 of 2: 25 of 25 rows"
