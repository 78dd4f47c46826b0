"""The digits that come with the package."""

import hashlib

import numpy as np
import pytest

from npvae.data import DATASETS, Dataset, load_dataset
from npvae.errors import UnknownNameError


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits")


def test_shapes_types_and_scale(digits):
    assert isinstance(digits, Dataset) and digits.name == "digits"
    assert digits.x_train.shape == (4000, 784) and digits.x_test.shape == (1000, 784)
    arrays = (digits.x_train, digits.x_test, digits.y_train, digits.y_test)
    assert all(array.dtype == np.uint8 for array in arrays)
    assert digits.x_valid is None and digits.image_shape == (28, 28)
    assert digits.divide_by == 255.0 == digits.x_train.max()


def test_the_notice_names_the_hashes_of_the_arrays(digits):
    from importlib import resources

    notice = resources.files("npvae.data").joinpath("digits.NOTICE.md").read_text(encoding="utf-8")
    for parts in [(digits.x_train, digits.x_test), (digits.y_train, digits.y_test)]:
        assert hashlib.sha256(np.concatenate(parts).tobytes()).hexdigest() in notice
    assert "Copyright (c) 2014-2026, Sebastian Raschka" in notice and "MNIST" in notice


@pytest.mark.parametrize("rows", [1, 10, 37, 128, 1000, 3999])
def test_every_prefix_is_balanced(digits, rows):
    counts = np.bincount(digits.y_train[:rows], minlength=10)
    assert counts.max() - counts.min() <= 1


def test_both_parts_are_balanced(digits):
    assert np.bincount(digits.y_train).tolist() == [400] * 10
    assert np.bincount(digits.y_test).tolist() == [100] * 10


def test_no_image_is_in_both_parts_or_twice(digits):
    rows = {row.tobytes() for part in (digits.x_train, digits.x_test) for row in part}
    assert len(rows) == 5000


def test_images_are_upright_and_labels_belong_to_them(digits):
    images = digits.x_train.reshape(-1, 28, 28).astype(float)
    mean = np.stack([images[digits.y_train == c].mean(axis=0) for c in range(10)])
    assert mean[0, 13:16, 13:16].mean() < 40 < mean[0, 13, 7:10].max()  # a ring: empty in the middle
    assert mean[1].sum(axis=0).argmax() in (13, 14)  # a stroke from top to bottom
    assert mean[1, :, 12:16].sum() > 2 * mean[1, 12:16, :].sum()
    assert mean[7, 4:12].sum() > 1.3 * mean[7, 16:24].sum()  # the bar of the seven is on top, not at a side
    assert mean[6, 14:24].sum() > 1.3 * mean[6, 4:14].sum()  # the loop of the six is below
    assert mean[9, 4:14].sum() > 1.0 * mean[9, 18:28].sum()  # the loop of the nine is above


def test_nearest_class_mean_recognises_the_test_part(digits):
    # Labels shifted against images, or a shuffled split, would give about 10 %.
    x = digits.x_train.astype(float)
    means = np.stack([x[digits.y_train == c].mean(axis=0) for c in range(10)])
    distance = (means**2).sum(axis=1) - 2.0 * digits.x_test.astype(float) @ means.T
    assert (distance.argmin(axis=1) == digits.y_test).mean() > 0.75


def test_each_call_gives_fresh_arrays():
    first = load_dataset("digits")
    for part in (first.x_train, first.y_train, first.x_test, first.y_test):  # none keeps the memory of the others
        assert part.base is None and part.flags.c_contiguous
    first.x_train[:] = 7
    assert load_dataset("digits").x_train.max() == 255


def test_no_network_and_no_folder_is_needed(monkeypatch):
    monkeypatch.setattr("socket.socket.connect", lambda *args: pytest.fail("the network was used"))
    assert load_dataset("digits", download=False, folder="/nowhere").x_train.shape == (4000, 784)


def test_record_is_frozen_and_prints_in_one_line(digits):
    with pytest.raises(AttributeError):
        digits.name = "other"
    assert repr(digits) == "Dataset('digits': x_train (4000, 784), x_test (1000, 784), labels, divide_by 255.0)"
    x = np.zeros((3, 2), np.uint8)
    assert (
        repr(Dataset("own", x, None, x[:1], None, x[:2]))
        == "Dataset('own': x_train (3, 2), x_valid (2, 2), x_test (1, 2), no labels, divide_by 1.0)"
    )


@pytest.mark.parametrize("name", ["Digits", "mnist ", "", None, 3])
def test_unknown_names_are_refused_with_the_known_ones(name):
    with pytest.raises(UnknownNameError, match="unknown data set") as caught:
        load_dataset(name)
    assert all(repr(known) in str(caught.value) for known in DATASETS)
    assert DATASETS == ("digits", "mnist", "fashion-mnist", "binarized-mnist")
