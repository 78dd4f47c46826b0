"""Labels as users give them: what is a label, what is none, and what is refused by name."""

from __future__ import annotations

import numpy as np
import pytest

from npvae.errors import DataConversionWarning, InputError, InputTypeError
from npvae.semisupervised.labels import balanced_choice, frequencies, read_labels, refuse_unusable


@pytest.mark.parametrize(("y", "codes", "classes"), [
    ([3, -1, 7, 3], [0, -1, 1, 0], [3, 7]),
    (np.array([3, -1, 7], np.int8), [0, -1, 1], [3, 7]),
    (np.array([2, 9], np.uint8), [0, 1], [2, 9]),
    (np.array([1.0, -1.0, 0.0]), [1, -1, 0], [0, 1]),
    (np.array([True, False]), [1, 0], [False, True]),
    (["cat", None, "ant", -1], [1, -1, 0, -1], ["ant", "cat"]),
    (np.array(["cat", "ant", "", "-1"]), [1, 0, -1, -1], ["ant", "cat"]),
    (np.array(["cat", "ant", None], object), [1, 0, -1], ["ant", "cat"]),
    (np.array([4, None, 5, -1], object), [0, -1, 1, -1], [4, 5]),
    (np.arange(8)[::-2], [3, 2, 1, 0], [1, 3, 5, 7]),  # with a negative stride
    ([-1, -1], [-1, -1], []),
])
def test_labels_are_read(y, codes, classes):
    found, names = read_labels(y, len(y))
    assert found.tolist() == codes and found.dtype == np.int64
    assert names.tolist() == classes


def test_the_order_of_given_classes_is_kept():
    codes, classes = read_labels(["b", "a", None], 3, ["b", "c", "a"])
    assert codes.tolist() == [0, 2, -1] and classes.tolist() == ["b", "c", "a"]


@pytest.mark.parametrize(("y", "kind", "words"), [
    (None, InputError, "requires y to be passed"),
    ([0, 1, 2], InputError, "X has 2 rows, y has 3"),
    ([[0, 1], [1, 0]], InputError, r"shape \(rows,\)"),
    ([0.0, np.nan], InputError, "NaN, first in row 1"),
    (np.array(["a", np.nan], object), InputError, "NaN"),
    ([0.5, 1.0], InputError, "continuous, it holds 0.5"),
    ([np.inf, 1.0], InputError, "holds inf"),
    (["a", 1], InputTypeError, "must all be whole numbers or all texts, got int, str"),
    (np.array([1 + 2j, 1]), InputTypeError, "complex"),
    (np.array(["2020-01-01", "2020-01-02"], "datetime64[D]"), InputTypeError, "datetime64"),
])
def test_what_is_no_label_is_refused(y, kind, words):
    with pytest.raises(kind, match=words):
        read_labels(y, 2)


def test_classes_that_are_not_there_are_named():
    with pytest.raises(InputError, match=r"y holds 5, 8, which are not among the classes 1, 2"):
        read_labels([1, 5, 8, -1, 5], 5, [1, 2])
    with pytest.raises(InputError, match=r"holds 'x', which is not among"):
        read_labels(["x"], 1, ["a", "b"])
    with pytest.raises(InputError, match="twice"):
        read_labels([1], 1, [1, 1])
    with pytest.raises(InputError, match="mean no label"):
        read_labels([1], 1, [-1, 1])


def test_a_column_is_a_list_with_a_warning():
    with pytest.warns(DataConversionWarning, match="A column-vector y"):
        assert read_labels(np.array([[1], [-1]]), 2)[0].tolist() == [0, -1]


@pytest.mark.parametrize(("y", "classes", "words"), [
    ([-1, -1], None, "no labelled row"),
    ([4, -1], None, "only one class is present: y holds 4"),
    ([1, 2, -1], [1, 2, 3, 4], "classes 3, 4"),
])
def test_what_cannot_be_learnt_from_is_refused(y, classes, words):
    with pytest.raises(InputError, match=words):
        refuse_unusable(*read_labels(y, len(y), classes))


def test_shares_and_balanced_choices():
    codes = np.repeat([0, 1, 2], [10, 20, 30])
    assert frequencies(np.array([0, -1, 1, 1, -1, 1]), 2).tolist() == [0.25, 0.75]
    kept = balanced_choice(codes, 10, seed=3)
    assert np.bincount(kept[kept >= 0]).tolist() == [4, 3, 3]
    assert (codes[kept >= 0] == kept[kept >= 0]).all()
    assert (balanced_choice(codes, 10, 3) == kept).all() and (balanced_choice(codes, 10, 4) != kept).any()
    with pytest.raises(InputError, match="fewer than the 3 classes"):
        balanced_choice(codes, 2, 0)
    with pytest.raises(InputError, match="12 rows of class 0, but it has 10"):
        balanced_choice(codes, 36, 0)
