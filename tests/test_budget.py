"""A table's imputer with a limit of time: by a clock that the test moves."""

import numpy as np
import pytest

from npvae import TableImputer
from npvae.cli import main
from npvae.errors import InputError
from npvae.estimators.tables import budget as budget_module
from npvae.estimators.tables import imputer as imputer_module
from npvae.estimators.tables.budget import Budget, is_good_enough
from npvae.support.progress import Stages, clock

QUICK = {
    "members": 3,
    "epochs": 20,
    "hidden": (8,),
    "imputation_samples": 100,
    "random_state": 0,
    "backend": "numpy",
    "batch_size": 10,
}


class Clock:
    """Time that passes only when it is told to."""

    def __init__(self, each: float = 0.0) -> None:
        self.now, self.each = 100.0, each

    def __call__(self) -> float:
        self.now += self.each
        return self.now


class Fitted:
    def __init__(self, error: float, normal_error: float = 1.0) -> None:
        self.error, self.normal_error = error, normal_error


@pytest.fixture
def table(rng):
    x = rng.standard_normal((40, 1)) + 0.3 * rng.standard_normal((40, 4))
    return np.where(rng.random(x.shape) < 0.2, np.nan, x)


def test_how_the_seconds_are_shared_out():
    now = Clock()
    budget = Budget(60.0, now)
    assert (
        budget.left() == 60.0
        and budget.left_for_training() == 45.0
        and budget.begins_another(89.0)
        and not budget.begins_another(90.0)
    )
    now.now += 44.0
    assert budget.left() == 16.0 and budget.left_for_training() == pytest.approx(1.0) and not budget.training_is_over()
    now.now += 1.0
    assert budget.training_is_over() and not budget.begins_another(0.0)
    now.now += 100.0
    assert budget.left() == 0.0
    endless = Budget(None, now)
    assert not endless.is_limited and not endless.training_is_over() and endless.begins_another(1e9)


@pytest.mark.parametrize(
    ("each", "members", "samples"), [(0.0, 5, 2000), (1e-5, 5, 180), (5e-5, 5, 36), (2e-4, 2, 22), (1e-3, 1, 20)]
)
def test_samples_of_z_are_as_many_as_there_is_time_for(each, members, samples):
    """9 s of 10 are left after a trial; a sample of a row takes ``each``."""
    now, tried = Clock(), []

    def fill(rows, samples):
        tried.append((rows, samples))
        now.now += 1.0 if not each else each * rows * samples

    budget = Budget(9.001 + max(each * 1000, 1.0 if not each else 0.0), now)
    if not each:
        now.each = 0.0
        budget.seconds = 1e9
    assert budget.samples(fill, 1000, 5, 2000) == (members, samples)
    assert tried == [(50, 20)]
    assert Budget(None, now).samples(None, 1000, 5, 2000) == (5, 2000)
    assert Budget(1e9, now).samples(lambda rows, samples: None, 3, 5, 7) == (5, 7)


def test_a_member_cut_short_counts_if_it_is_about_as_good_as_the_others():
    others = [Fitted(0.5), Fitted(1.2, 2.0)]
    assert (
        is_good_enough(Fitted(9.0), [])
        and is_good_enough(Fitted(0.62), others)
        and not is_good_enough(Fitted(0.64), others)
    )
    assert is_good_enough(Fitted(0.0, 0.0), [Fitted(0.0, 0.0)])


def limited(monkeypatch, each: float) -> Clock:
    now = Clock(each)
    monkeypatch.setattr(imputer_module, "Budget", lambda seconds: Budget(seconds, now))
    return now


def test_whatever_the_time_there_is_an_answer(table, monkeypatch, tmp_path):
    limited(monkeypatch, 1.0)  # every look at the clock takes a second
    table = np.tile(table, (3, 1))
    imputer = TableImputer(**QUICK, time=1.0).fit(table)
    (member,) = imputer.members_
    assert (
        imputer.out_of_time_ and member.epoch == 0 and member.error == member.normal_error
    )  # the normal distribution's start
    covariance = (
        member.normal.covariance
    )  # by no step of EM: of independent columns, whose gaps are filled in with their means
    np.testing.assert_array_equal(covariance, np.diag(np.diag(covariance)))
    assert {column.why for column in imputer.schema_.columns} == {"no time for evidence"}
    assert np.isfinite(imputer.transform(table)).all()
    imputer.save(tmp_path / "imputer.npz")
    loaded = TableImputer.load(tmp_path / "imputer.npz")
    assert loaded.out_of_time_ and loaded.time == 1.0
    longer = TableImputer(**QUICK, time=30.0).fit(table)  # in the middle of EM
    assert (
        longer.out_of_time_
        and len(longer.members_) == 1
        and np.count_nonzero(longer.members_[0].normal.covariance) == 16
    )
    wide = TableImputer(**QUICK, time=30.0).fit(np.tile(table[:40], 11) + np.arange(44.0))
    assert wide.out_of_time_ and np.isfinite(wide.members_[0].normal.loadings).all()


def test_with_time_enough_it_is_as_without_a_limit(table, monkeypatch):
    limited(monkeypatch, 0.0)
    ample, endless = TableImputer(**QUICK, time=1e6).fit(table), TableImputer(**QUICK).fit(table)
    assert not ample.out_of_time_ and not endless.out_of_time_ and len(ample.members_) == 3
    np.testing.assert_array_equal(ample.transform(table), endless.transform(table))


def test_a_member_that_runs_out_of_time_may_be_left_out(table, monkeypatch):
    """50 steps of EM, 20 epochs of 4 steps and a few looks at the clock beside: the second of three ends early."""
    for keeps in (True, False):
        limited(monkeypatch, 1.0)
        monkeypatch.setattr(imputer_module, "is_good_enough", lambda member, others, keeps=keeps: keeps or not others)
        imputer = TableImputer(**QUICK, patience=99, time=320.0).fit(table)
        assert imputer.out_of_time_ and len(imputer.members_) == 1 + keeps


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan"), "soon"])
def test_what_is_no_time(table, wrong):
    with pytest.raises((InputError, TypeError), match="time"):
        TableImputer(time=wrong).fit(table)


def test_on_the_command_line(table, tmp_path, capsys, monkeypatch):
    limited(monkeypatch, 1.0)
    path = tmp_path / "table.csv"
    path.write_text(
        "\n".join(["a,b,c,d", *(",".join("" if np.isnan(v) else f"{v:.3f}" for v in row) for row in table)]) + "\n"
    )
    arguments = [
        "impute",
        str(path),
        "--out",
        str(tmp_path / "filled.csv"),
        "--time",
        "5",
        "--seed",
        "0",
        "--backend",
        "numpy",
    ]
    assert main(arguments) == 0
    said = capsys.readouterr()
    assert (
        "--time 5 ended training in member 1 of 5" in said.err
        and "member 1 of 5: start" in said.err
        and "filling in" in said.err
    )
    assert "nan" not in (tmp_path / "filled.csv").read_text() and ",," not in (tmp_path / "filled.csv").read_text()


def test_stages_say_what_is_done_and_how_long_it_may_last(capsys):
    now = Clock()
    with Stages(True, None, now) as stages:
        stages.begin("start")
        stages.begin("member 1 of 2", 10, "epoch", after=10)
        now.now += 3.0
        stages.report(1)
        now.now += 60.0
        stages.report(10)
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "start",
        "member 1 of 2",
        "member 1 of 2: 1 of 10 epochs, at most 0:57 left",
        "member 1 of 2: 10 of 10 epochs, at most 1:03 left",
    ]
    with Stages(True, lambda: 5.0, now) as stages:
        stages.begin("filling in", 10, "row", done=2)
        stages.report(2)
        now.now += 60.0
        stages.report(3)
    assert capsys.readouterr().err.splitlines()[1:] == [
        "filling in: 2 of 10 rows",
        "filling in: 3 of 10 rows, at most 0:05 left",
    ]
    with Stages(False) as stages:
        stages.begin("quiet", 3, "row")
        stages.report(3)
    assert capsys.readouterr().err == ""
    assert [clock(s) for s in (0.4, 59.6, 3599, 3725)] == ["0:00", "1:00", "59:59", "1:02:05"]


def test_the_trial_needs_no_rows(table, monkeypatch):
    """A table without gaps is filled in at once."""
    monkeypatch.setattr(budget_module, "TRIAL_ROWS", 10**9)
    imputer = TableImputer(**{**QUICK, "members": 1}, time=1000.0).fit(table)
    np.testing.assert_array_equal(imputer.transform(np.ones((2, 4))), 1.0)
