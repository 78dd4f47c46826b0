"""Files of a table's imputer and its checkpoints: what they hold comes back, and what contradicts itself is refused
by name.
"""

from __future__ import annotations

import copy

import numpy as np
import pytest

from npvae import TableImputer
from npvae.errors import InputError, ModelFileError, NotFittedError, ResumedElsewhereWarning
from npvae.estimators.tables import imputer_checkpoint, imputer_file
from npvae.estimators.tables.imputer_checkpoint import ImputerCheckpoint
from npvae.support import npz_file

MADE = {
    "members": 2,
    "epochs": 3,
    "every": 1,
    "hidden": (3,),
    "batch_size": 16,
    "imputation_samples": 5,
    "random_state": 4,
    "backend": "numpy",
}


def table() -> np.ndarray:
    """A column of each of four kinds."""
    generator = np.random.default_rng(8)
    rows = np.empty((24, 4), dtype=object)
    rows[:, 0], rows[:, 1] = generator.standard_normal(24), np.exp(generator.standard_normal(24))
    rows[:, 2], rows[:, 3] = ["abc"[i % 3] for i in range(24)], [float(i % 2) for i in range(24)]
    rows[generator.random(rows.shape) < 0.1] = None
    return rows


class Ended(Exception):
    """The end of a process."""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """An imputer's file, and the checkpoint of a run that was ended when its second member was to be written down."""
    folder = tmp_path_factory.mktemp("files")
    imputer = TableImputer({"1": "positive"}, **MADE).fit(table())
    imputer.save(folder / "imputer.npz")
    done = ImputerCheckpoint.done

    def ended(self, member):
        if self._done:
            raise Ended
        done(self, member)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ImputerCheckpoint, "done", ended)
        with pytest.raises(Ended):
            TableImputer({"1": "positive"}, **MADE).fit(table(), checkpoint=folder / "c.npz", checkpoint_seconds=0.0)
    return imputer, folder


def changed(path, kind: str, declaration, change, to) -> None:
    """A file with header and arrays changed by a function."""
    header, arrays = npz_file.load(path, kind, declaration)
    header = copy.deepcopy(header)
    change(header, arrays)
    header = {
        name: value
        for name, value in header.items()
        if name not in ("format", "format_version", "library_version", "arrays")
    }
    npz_file.save(to, kind, header, arrays, declaration)


def test_an_imputer_comes_back(files):
    imputer, folder = files
    again = TableImputer.load(folder / "imputer.npz", backend="numpy")
    given, wanted = again.get_params(), imputer.get_params()
    assert (given.pop("kinds"), given.pop("random_state")) == (None, None) and tuple(given.pop("hidden")) == wanted[
        "hidden"
    ]
    assert given == {name: value for name, value in wanted.items() if name in given}
    assert again.seed_ == imputer.seed_ == 4 and again.n_features_in_ == imputer.n_features_in_ == 4
    assert not hasattr(again, "feature_names_in_") and again.schema_.columns == imputer.schema_.columns
    assert again.schema_.columns[3].values == (0.0, 1.0) and type(again.schema_.width) is int
    assert len(again.members_) == 2
    for mine, theirs in zip(again.members_, imputer.members_, strict=True):
        assert (mine.error, mine.normal_error, mine.epoch) == (theirs.error, theirs.normal_error, theirs.epoch)
        assert type(theirs.error) is type(theirs.normal_error) is float
        np.testing.assert_array_equal(mine.normal.mean, theirs.normal.mean)
        np.testing.assert_array_equal(mine.normal.covariance, theirs.normal.covariance)
        np.testing.assert_array_equal(mine.standard.center, theirs.standard.center)
    found, wanted = again.impute(table(), 2), imputer.impute(table(), 2)
    assert (found.filled == wanted.filled).all() and all(
        (a == b).all() for a, b in zip(found.draws, wanted.draws, strict=True)
    )
    with pytest.raises(NotFittedError, match="this TableImputer is not fitted yet: call fit or load first"):
        TableImputer().save(folder / "nothing.npz")


def _rename(header, arrays):
    header["schema"][0]["name"] = header["columns"][0] = header["schema"][1]["name"]


def _fewer(header, arrays):
    del header["schema"][0], header["columns"][0]


def _set(path, value):
    def change(header, arrays):
        *folder, name = path.split(".")
        for each in folder:
            header = header[each] if isinstance(header, dict) else header[int(each)]
        header[name] = value

    return change


def _array(name, function):
    def change(header, arrays):
        arrays[name] = function(arrays[name])

    return change


def _gone(*names):
    def change(header, arrays):
        for name in names:
            del arrays[name]

    return change


def _without(field):
    def change(header, arrays):
        del header[field]

    return change


def _first_nan(array):
    array = array.copy()
    array.flat[0] = np.nan
    return array


OF_FILES = [
    (_gone("theta_0"), "the parameters of its members are missing"),
    (_rename, "two of its columns have one name"),
    (_fewer, "its columns are not those of its model"),
    (lambda header, arrays: header["schema"].pop(0), "its columns are not those that are modelled or carried"),
    (_set("schema.0.name", "x"), "its columns are not those that are modelled or carried"),
    (_set("carried", {"0": "constant"}), "its columns are not those that are modelled or carried"),
    (_set("carried", {"x": "constant"}), "its columns are not those that are modelled or carried"),
    (_set("schema.0.likelihood", {"name": "squared_error"}), "its columns are not those of its model"),
    (_set("architecture.completed", False), "contradicts itself|its model knows of no missing entries|parameters"),
    (_gone("theta_1"), "it has 2 members, but not their arrays and no others"),
    (
        lambda header, arrays: arrays.update(theta_2=arrays["theta_1"]),
        "it has 2 members, but not their arrays and no others",
    ),
    (lambda header, arrays: header["members"].pop(), "it has 1 members, but not their arrays and no others"),
    (_array("theta_1", lambda a: a[:-1]), "member 1 does not fit its architecture"),
    (_array("theta_1", lambda a: a.astype(np.float64)), "member 1 does not fit its architecture"),
    (_array("mean_0", lambda a: a[:-1]), "member 0 does not fit its architecture"),
    (_array("mean_0", lambda a: a.astype(np.float32)), "member 0 does not fit its architecture"),
    (_array("covariance_1", lambda a: a[:-1]), "member 1 does not fit its architecture"),
    (_array("covariance_1", lambda a: a.astype(np.float32)), "member 1 does not fit its architecture"),
    *(
        (_array(f"{name}_1", _first_nan), "the parameters of member 1 are not all finite")
        for name in ("theta", "mean", "covariance")
    ),
    (
        _array("covariance_1", lambda a: -a),
        "the covariance of member 1 is none: it is not symmetric and positive definite",
    ),
]


@pytest.mark.parametrize(("change", "words"), OF_FILES)
def test_an_imputer_s_file_that_contradicts_itself(files, tmp_path, change, words):
    path = tmp_path / "x.npz"
    changed(files[1] / "imputer.npz", "imputer", imputer_file.DECLARATION, change, path)
    with pytest.raises(ModelFileError, match=words) as caught:
        TableImputer.load(path)
    assert str(caught.value).startswith((f"{path}: ", f"{path} contradicts itself: "))


@pytest.mark.parametrize(("missing", "completed"), [(False, False), (True, False)])
def test_a_model_that_knows_nothing_of_missing_entries_is_no_imputer_s(files, tmp_path, missing, completed):
    """Its parameters fit the architecture, as another program might write it."""
    from npvae.backend.base import Ops
    from npvae.mathematics.model import Architecture, Model

    of = files[0].members_[0].model.architecture
    other = Architecture(
        of.n_features,
        of.latent_dim,
        of.hidden,
        activation="tanh",
        likelihood=of.likelihood,
        missing=missing,
        completed=completed,
    )
    theta = Model(other, Ops(np)).initial_parameters(0, "float32")

    def change(header, arrays):
        header["architecture"] = other.config()
        arrays.update(theta_0=theta, theta_1=theta)

    changed(files[1] / "imputer.npz", "imputer", imputer_file.DECLARATION, change, tmp_path / "x.npz")
    with pytest.raises(ModelFileError, match="its model knows of no missing entries"):
        TableImputer.load(tmp_path / "x.npz")


# checkpoints


@pytest.mark.parametrize(("seconds", "states"), [(0.0, True), (1e9, False)])
def test_states_are_written_as_often_as_is_asked_and_members_when_they_are_done(tmp_path, monkeypatch, seconds, states):
    written, save = [], npz_file.save
    monkeypatch.setattr(
        npz_file, "save", lambda path, kind, header, *more: written.append(header) or save(path, kind, header, *more)
    )
    TableImputer({"1": "positive"}, **MADE).fit(table(), checkpoint=tmp_path / "c.npz", checkpoint_seconds=seconds)
    assert [len(header["members"]) for header in written if header["state"] is None] == [0, 1, 2]
    epochs = [(len(header["members"]), header["state"]["epoch"]) for header in written if header["state"] is not None]
    assert epochs == ([(member, epoch) for member in (0, 1) for epoch in (1, 2, 3)] if states else [])


def test_a_run_goes_on_where_it_was_ended_and_ends_as_one_that_was_not(files, tmp_path):
    imputer, folder = files
    assert (
        imputer_checkpoint.inspect(folder / "c.npz") == (1, 3)
        and imputer_checkpoint.command_of(folder / "c.npz") is None
    )
    path = tmp_path / "c.npz"
    path.write_bytes((folder / "c.npz").read_bytes())
    again = TableImputer({"1": "positive"}, **MADE).fit(table(), checkpoint=path, resume=True)
    for mine, theirs in zip(again.members_, imputer.members_, strict=True):
        np.testing.assert_array_equal(mine.theta, theirs.theta)
        assert (mine.error, mine.normal_error, mine.epoch) == (theirs.error, theirs.normal_error, theirs.epoch)
    assert imputer_checkpoint.inspect(path) == (2, 0)
    fewer = TableImputer({"1": "positive"}, **{**MADE, "members": 1}).fit(table(), checkpoint=path, resume=True)
    assert len(fewer.members_) == 1 and not fewer.interrupted_
    more = TableImputer({"1": "positive"}, **{**MADE, "members": 3}).fit(table(), checkpoint=path, resume=True)
    np.testing.assert_array_equal(more.members_[1].theta, imputer.members_[1].theta)
    assert len(more.members_) == 3 and imputer_checkpoint.inspect(path) == (3, 0)
    TableImputer({"1": "positive"}, **{**MADE, "members": 1}).fit(table(), checkpoint=path)  # anew
    assert imputer_checkpoint.inspect(path) == (1, 0)
    new = TableImputer({"1": "positive"}, **{**MADE, "members": 1}).fit(
        table(), checkpoint=tmp_path / "new.npz", resume=True
    )  # none is there
    np.testing.assert_array_equal(new.members_[0].theta, imputer.members_[0].theta)
    with pytest.raises(InputError, match="resume"):
        TableImputer(**MADE).fit(table(), resume="perhaps")


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"latent_dim": 3}, "its model has latent_dim"),
        ({"hidden": (4,)}, "its model has decoder_hidden"),
        ({"learning_rate": 0.5}, "its recipe has learning_rate"),
        ({"random_state": 5}, "its recipe has seed = 4, this run has 5"),
        ({"epochs": 4}, "its recipe has epochs = 3, this run has 4"),
        ({"kinds": {"1": "continuous"}}, "the training data are not those it was made with"),
        ({"continuous_likelihood": "student_t"}, "its model has"),
    ],
)
def test_another_run_does_not_go_on_from_a_checkpoint(files, tmp_path, parameters, words):
    path = tmp_path / "c.npz"
    path.write_bytes((files[1] / "c.npz").read_bytes())
    with pytest.raises(InputError, match=f"cannot be resumed: {words}"):
        TableImputer(**{"kinds": {"1": "positive"}, **MADE, **parameters}).fit(table(), checkpoint=path, resume=True)


def test_names_of_columns_belong_to_the_table_of_a_checkpoint(files, tmp_path):
    changed(
        files[1] / "c.npz",
        imputer_checkpoint.KIND,
        imputer_checkpoint.DECLARATION,
        _set("schema.0.name", "x"),
        tmp_path / "c.npz",
    )
    with pytest.raises(InputError, match="cannot be resumed: its table has 0 = None"):
        TableImputer({"1": "positive"}, **MADE).fit(table(), checkpoint=tmp_path / "c.npz", resume=True)


def test_a_run_from_elsewhere_goes_on_only_if_it_is_told_to(files, tmp_path):
    path = tmp_path / "c.npz"
    changed(
        files[1] / "c.npz",
        imputer_checkpoint.KIND,
        imputer_checkpoint.DECLARATION,
        _set("environment.numpy", "0.1"),
        path,
    )
    with pytest.raises(InputError, match="cannot be resumed to the same bits: numpy was 0.1"):
        TableImputer({"1": "positive"}, **MADE).fit(table(), checkpoint=path, resume=True)
    with pytest.warns(ResumedElsewhereWarning, match="numpy was 0.1"):
        found = TableImputer({"1": "positive"}, **MADE).fit(table(), checkpoint=path, resume="anyway")
    np.testing.assert_array_equal(found.members_[1].theta, files[0].members_[1].theta)


OF_CHECKPOINTS = [
    (_set("state", None), "it has arrays of a state, but no state"),
    (_gone("hidden_theta"), "the parameters that were best for the hidden cells do not fit the model"),
    (
        _array("hidden_theta", lambda a: a[:-1]),
        "the parameters that were best for the hidden cells do not fit the model",
    ),
    (
        _array("hidden_theta", lambda a: a.astype(np.float64)),
        "the parameters that were best for the hidden cells do not fit the model",
    ),
    (_array("hidden_theta", _first_nan), "the parameters that were best for the hidden cells do not fit the model"),
    (_set("state.hidden_epoch", 4), "epoch 4 of 3, of 3 at most, cannot be"),
    (_gone("theta"), "the array 'theta' is missing"),
    (
        lambda header, arrays: header["members"].append(header["members"][0]),
        "it has 2 members, but not their arrays and no others",
    ),
    (_array("covariance_0", lambda a: -a), "the covariance of member 0 is none"),
]
OF_PARTS = [
    (_set("recipe.epochs", 2), "epoch . of 3, of 2 at most, cannot be"),
    (lambda header, arrays: arrays.clear(), "its parameters are missing"),
    (lambda header, arrays: (arrays.clear(), header.update(state=None)), "its parameters are missing"),
    (lambda header, arrays: (arrays.clear(), header.update(members=[])), "its parameters are missing"),
    (
        lambda header, arrays: (
            arrays.clear(),
            arrays.update(other=np.zeros(2)),
            header.update(members=[], state=None),
        ),
        "its parameters are missing",
    ),
]


@pytest.mark.parametrize(("change", "words"), [*OF_CHECKPOINTS, *OF_PARTS])
def test_a_checkpoint_that_contradicts_itself(files, tmp_path, change, words):
    path = tmp_path / "c.npz"
    changed(files[1] / "c.npz", imputer_checkpoint.KIND, imputer_checkpoint.DECLARATION, change, path)
    with pytest.raises(ModelFileError, match=words) as caught:
        imputer_checkpoint.inspect(path)
    assert str(caught.value).startswith(f"{path}: ")
    if (change, words) in OF_CHECKPOINTS:
        with pytest.raises(ModelFileError, match=words):
            TableImputer({"1": "positive"}, **MADE).fit(table(), checkpoint=path, resume=True)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda header, arrays: (arrays.clear(), header.update(members=[], state=None)), (0, 0)),  # as it begins
        (
            lambda header, arrays: (
                [arrays.pop(name) for name in [*arrays] if not name.endswith("_0")],
                header.update(state=None),
            ),
            (1, 0),
        ),
        (
            lambda header, arrays: (
                [arrays.pop(name) for name in [*arrays] if name.endswith("_0")],
                header.update(members=[]),
            ),
            (0, 3),
        ),
        (_set("state.hidden_epoch", 0), (1, 3)),
        (_set("state.hidden_epoch", 3), (1, 3)),
        (_set("state.hidden_error", None), (1, 3)),
    ],
)
def test_checkpoints_as_they_may_be(files, tmp_path, change, found):
    changed(files[1] / "c.npz", imputer_checkpoint.KIND, imputer_checkpoint.DECLARATION, change, tmp_path / "c.npz")
    assert imputer_checkpoint.inspect(tmp_path / "c.npz") == found


def test_what_was_seen_of_hidden_cells_is_remembered(files, tmp_path):
    """The best parameters, their epoch and error: here those of an error that no later epoch undercuts, and one that
    any does.
    """
    best = np.full_like(files[0].members_[0].theta, 0.25)
    for error, kept in ((0.0, True), (None, False)):

        def change(header, arrays, error=error):
            header["state"].update(hidden_error=error, hidden_epoch=1)
            arrays["hidden_theta"] = best
            header["state"].update(stop_reason=None)

        changed(files[1] / "c.npz", imputer_checkpoint.KIND, imputer_checkpoint.DECLARATION, change, tmp_path / "c.npz")
        header, arrays = npz_file.load(tmp_path / "c.npz", imputer_checkpoint.KIND, imputer_checkpoint.DECLARATION)
        assert header["state"]["hidden_error"] == error
        member = (
            TableImputer({"1": "positive"}, **MADE).fit(table(), checkpoint=tmp_path / "c.npz", resume=True).members_[1]
        )
        assert member.epoch == 1 and member.error == (0.0 if kept else np.inf)
        np.testing.assert_array_equal(member.theta, best)
