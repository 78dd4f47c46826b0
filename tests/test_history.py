"""The history of a run, as other programs read it."""

import csv
import io
import json

import numpy as np
import pytest
from small import grey_rows, small_vae

from npvae.training.history import History


@pytest.fixture(scope="module")
def history():
    return small_vae(epochs=3).fit(grey_rows(), X_valid=grey_rows(9, seed=4)).history_


def test_a_data_frame_has_a_row_an_epoch_and_a_column_a_name(history):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(history)
    assert list(frame.columns) == list(history) and frame.shape == (3, len(history))
    assert frame["epoch"].tolist() == [1, 2, 3] and frame["loss"].tolist() == history["loss"]
    assert frame["loss"].dtype == np.float64 and len(frame["kl_per_dimension"][0]) == 2
    assert pandas.DataFrame(history.to_dict()).equals(frame)


def test_other_readers_of_mappings(history):
    polars = pytest.importorskip("polars")
    assert polars.DataFrame(history).shape == (3, len(history))
    assert json.loads(json.dumps(history)) == history.to_dict() == dict(history)


def test_a_history_is_a_dict_that_grows_by_rows(history, tmp_path):
    assert isinstance(history, dict) and "loss" in history and history.get("nothing") is None
    copy = History(history)
    copy.append(copy.row(-1))
    assert copy.epochs == 4 and history.epochs == 3 and copy.row(3) == history.row(2)
    with pytest.raises(ValueError, match="differ from"):
        copy.append({"loss": 1.0})
    assert repr(copy).startswith("History(4 epochs: epoch, loss") and History().epochs == 0
    copy.write_csv(tmp_path / "h.csv")
    assert b"\r" not in (tmp_path / "h.csv").read_bytes() and (tmp_path / "h.csv").read_text().count("\n") == 5
    rows = list(csv.DictReader(io.StringIO((tmp_path / "h.csv").read_text())))
    assert [row["loss"] for row in rows] == list(map(repr, copy["loss"])) and [row["epoch"] for row in rows] == [
        "1",
        "2",
        "3",
        "3",
    ]
    assert copy.columns(2) == {
        name: values[:2] for name, values in copy.items()
    } and copy.columns() == copy.to_dict() == dict(copy)
    assert float(rows[0]["kl_1"]) == copy["kl_per_dimension"][0][1]
