"""Files that a command is to write: which names are refused before anything is done."""

import pytest

from npvae.cli.common import check_outputs
from npvae.errors import InputError


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    for name in ("data.npz", "model.npz", "run/model.npz"):
        (tmp_path / name).touch()


def test_new_names_and_none_at_all():
    check_outputs(["out.csv", None, "run/other.npz"], ["data.npz", None, "run"])
    check_outputs([None, "out.csv"])


@pytest.mark.parametrize(("written", "read", "words"), [
    (["run"], [], "run is a folder"),
    (["out.csv", "./out.csv"], [], "out.csv would be written twice"),
    (["data.npz"], ["data.npz"], "data.npz is read from; choose another name$"),
    (["out.csv", "run/../data.npz"], ["data.npz"], "data.npz is read from"),
    (["run/model.npz"], ["data.npz", "run"], "run/model.npz is read from"),
])
def test_what_is_refused(written, read, words):
    with pytest.raises(InputError, match=words):
        check_outputs(written, read)


def test_a_folder_that_is_not_there():
    with pytest.raises(FileNotFoundError, match="the folder of nowhere/out.csv does not exist"):
        check_outputs(["out.csv", "nowhere/out.csv"])


def test_only_the_first_may_replace_and_only_what_it_was_allowed_to():
    check_outputs(["data.npz"], ["data.npz", "model.npz"], "data.npz", replace=True)
    with pytest.raises(InputError, match="or say --overwrite"):
        check_outputs(["data.npz"], ["data.npz", "model.npz"], "data.npz")
    for written in (["model.npz"], ["out.npz", "data.npz"], ["out.npz", "model.npz"]):
        with pytest.raises(InputError, match="is read from; choose another name$"):
            check_outputs(written, ["data.npz", "model.npz"], "data.npz", replace=True)
