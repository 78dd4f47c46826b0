"""Labels as users give them: what is a label, what is none, and what is refused by name."""

from __future__ import annotations

import numpy as np
import pytest

from npvae.errors import DataConversionWarning, InputError, InputTypeError, ManyClassesWarning
from npvae.estimators.semisupervised.continuous import why_continuous
from npvae.estimators.semisupervised.labels import (
    balanced_choice,
    frequencies,
    read_labels,
    refuse_unusable,
    warn_of_many_classes,
)


@pytest.mark.parametrize(
    ("y", "codes", "classes"),
    [
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
        (["cat", "NA", "ant", "?", "nan", "NaN", " NA ", -1, None], [1, -1, 0, -1, -1, -1, -1, -1, -1], ["ant", "cat"]),
        (np.array([7.0, np.nan, 3.0, -1.0]), [1, -1, 0, -1], [3, 7]),
        (np.array(["a", np.nan, "b"], object), [0, -1, 1], ["a", "b"]),
        (np.array([5, np.nan, 2], object), [1, -1, 0], [2, 5]),
        (["1.5", "NA", "b", "-1"], [0, -1, 1, -1], ["1.5", "b"]),  # texts, whatever they look like
        (np.array(["b", "NA"]), [0, -1], ["b"]),
        ([True, None, np.bool_(False)], [1, -1, 0], [False, True]),
        ([2.0, 1.0, -1.0], [1, 0, -1], [1, 2]),
        ([2.0, None, np.float32(1)], [1, -1, 0], [1, 2]),
        ((7, 3), [1, 0], [3, 7]),
        ([None, None], [-1, -1], []),
    ],
)
def test_labels_are_read(y, codes, classes):
    found, names = read_labels(y, len(y))
    assert found.tolist() == codes and found.dtype == np.int64
    assert names.tolist() == classes and [type(name) for name in names.tolist()] == [type(name) for name in classes]
    assert names.dtype == np.int64 or names.dtype.kind in "bU" and classes


def test_the_order_of_given_classes_is_kept():
    codes, classes = read_labels(["b", "a", None], 3, ["b", "c", "a"])
    assert codes.tolist() == [0, 2, -1] and classes.tolist() == ["b", "c", "a"]


@pytest.mark.parametrize(
    ("y", "kind", "words"),
    [
        (None, InputError, "requires y to be passed"),
        ([0, 1, 2], InputError, "X has 2 rows, y has 3"),
        ([[0, 1], [1, 0]], InputError, r"shape \(rows,\)"),
        ([0.5, 1.0], InputError, "continuous, it holds 0.5"),
        ([np.inf, 1.0], InputError, "holds inf"),
        (["a", 1], InputTypeError, "must all be whole numbers or all texts, got int, str"),
        (["a", 1.5], InputTypeError, "must all be whole numbers or all texts, got float, str"),
        (["a", True], InputTypeError, "got bool, str"),
        (np.array([1, True], object), InputTypeError, "got bool, int"),
        ([1.5, None], InputTypeError, "must all be whole numbers or all texts, got float"),
        (["a", ["b"]], InputError, "label"),
        (["a", {}], InputTypeError, "must all be"),
        (np.array([1 + 2j, 1]), InputTypeError, "complex"),
        (np.array(["2020-01-01", "2020-01-02"], "datetime64[D]"), InputTypeError, "datetime64"),
    ],
)
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
    with pytest.raises(InputError, match="means no label"):
        read_labels(["a"], 1, ["a", ""])


def test_what_is_among_the_classes_is_a_label_whatever_it_is():
    codes, classes = read_labels(["NA", "", "-1", None, "ZA", "?"], 6, ["NA", "ZA", "-1"])
    assert codes.tolist() == [0, -1, 2, -1, 1, -1] and classes.tolist() == ["NA", "ZA", "-1"]
    assert read_labels([-1, 1, 0, -1], 4, [-1, 0, 1])[0].tolist() == [0, 2, 1, 0]


def test_a_column_is_a_list_with_a_warning():
    with pytest.warns(DataConversionWarning, match="A column-vector y"):
        assert read_labels(np.array([[1], [-1]]), 2)[0].tolist() == [0, -1]


@pytest.mark.parametrize(
    ("y", "classes", "words"),
    [
        ([-1, -1], None, "no labelled row"),
        ([4, -1], None, "only one class is present: y holds 4"),
        ([1, 2, -1], [1, 2, 3, 4], "classes 3, 4"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused(y, classes, words):
    with pytest.raises(InputError, match=words):
        refuse_unusable(*read_labels(y, len(y), classes))


def test_pandas_words_for_nothing():
    pandas = pytest.importorskip("pandas")
    for y in (
        pandas.Series(["a", pandas.NA, "b"], dtype="string"),
        pandas.Series(["a", None, "b"], dtype="category"),
        np.array(["a", pandas.NA, "b"], object),
        np.array(["a", pandas.NaT, "b"], object),
        pandas.Series(["a", "NA", "b"]),
    ):
        codes, classes = read_labels(y, 3)
        assert codes.tolist() == [0, -1, 1] and classes.tolist() == ["a", "b"]
    codes, classes = read_labels(pandas.Series([4, pandas.NA, 2], dtype="Int64"), 3)
    assert codes.tolist() == [1, -1, 0] and classes.tolist() == [2, 4]


RINGS = [*range(1, 28), 29]


@pytest.mark.parametrize(
    ("labels", "rows", "words"),
    [
        (list(range(10)) * 6, 60, None),
        (list(range(1, 27)) * 20, 520, None),  # digits, letters
        (list(range(40)) * 2, 400, None),
        (list(range(40)), 400, None),  # faces, two of each labelled, or one
        (list(range(100)) * 50, 5000, None),
        ([3, 4, 5, 6, 7, 8, 9] * 5, 35, None),  # CIFAR-100, wine's quality
        (["a", "b"] * 9, 18, None),
        ([True, False] * 9, 18, None),
        (list("abcdefghijklmnopqrstuvwxyz") * 2, 52, None),
        ([], 5, None),
        ([1, 2, 3, 4, 5], 5, None),
        ([7], 5, None),
        (["0", "1"] * 5, 10, None),
        (RINGS * 150, 4200, "28 different numbers from 1 to 29"),
        (list(range(17, 90)) * 400, 29200, "73 different numbers from 17 to 89"),
        ([0.5, 1.5] * 30, 60, "not whole, such as 0.5"),
        (["1", "2", "2.5"] * 30, 90, "not whole, such as 2.5"),
        (list(range(50)), 50, "50 different values in 50 rows"),
        ([f"name {i}" for i in range(30)], 60, "30 different values in 30 rows"),
        ([str(100 * i) for i in range(30)] * 9, 270, "30 different numbers from 0 to 2900"),
        ([2**70, -5, 1e300] * 9, 27, None),
    ],
)
def test_numbers_that_name_no_classes(labels, rows, words):
    found = why_continuous(labels, rows)
    assert found is None if words is None else words in found, found


def test_many_classes_in_few_rows_draw_a_warning():
    with pytest.warns(ManyClassesWarning, match="11 classes in 20 labelled rows"):
        warn_of_many_classes(np.repeat([np.arange(11)], 2, axis=0).ravel()[:20], np.arange(11))
    warn_of_many_classes(np.arange(10), np.arange(10))
    warn_of_many_classes(np.tile(np.arange(11), 2), np.arange(11))


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


@pytest.mark.parametrize("y", [[10**30, 1], np.array([10**30, 1], object), [-(10**30), 1, None], [2**53, 1, None]])
def test_whole_numbers_that_no_float_holds_are_no_labels(y):
    with pytest.raises(InputError, match=r"y holds -?[0-9.e+]+: labels must be less than 2\^53, or texts"):
        read_labels(y, len(y))


@pytest.mark.parametrize(
    ("labels", "rows", "words"),
    [
        # Numbers with gaps, or not from 0 or 1: at most 20 different ones.
        (list(range(0, 40, 2)) * 5, 100, None),
        (list(range(0, 42, 2)) * 5, 105, "21 different numbers from 0 to 40"),
        (list(range(2, 22)) * 5, 100, None),
        (list(range(2, 23)) * 5, 105, "21 different numbers from 2 to 22"),
        (list(range(-1, 20)) * 5, 105, "21 different numbers from -1 to 19"),
        (list(range(21)) * 5, 105, None),
        (list(range(1, 22)) * 5, 105, None),
        # Different values: at most 10, or half as many as labels.
        (list("abcdefghij"), 10, None),
        (list("abcdefghijk"), 11, "11 different values in 11 rows"),
        (list("abcdefghijk") * 2, 22, None),
        ((list("abcdefghijk") * 2)[:21], 21, "11 different values in 21 rows"),
        # Numbered, one row each: classes where other rows have no label, and else rows.
        (list(range(11)), 11, "11 different values in 11 rows"),
        (list(range(11)), 12, None),
        (list(range(1, 12)), 12, None),
        (list(range(2, 13)), 13, "11 different values in 11 rows"),
        (list("abcdefghijk"), 99, "11 different values in 11 rows"),
        # Truth values and what no finite number is are names.
        ([True, False, True], 3, None),
        (["inf"] * 3 + ["nan", "1.5"], 5, None),
        ([None, 1.5], 2, None),
        ([3, 2.5, 1.25], 3, "such as 2.5"),
    ],
)
def test_limits_of_numbers_that_name_no_classes(labels, rows, words):
    found = why_continuous(labels, rows)
    assert found is None if words is None else words in found, found


@pytest.mark.parametrize(("count", "shown"), [(10, ", 9, which"), (11, ", 9, ..., which")])
def test_at_most_ten_labels_are_listed(count, shown):
    with pytest.raises(InputError, match=f"y holds 0, 1, .*{shown} are not among the classes 50, 51$"):
        read_labels(list(range(count)), count, [50, 51])


@pytest.mark.parametrize(
    ("codes", "classes", "words"),
    [
        ([0, 0], ["a"], "only one class is present: y holds 'a' alone$"),
        ([0, -1], ["a"], "holds 'a' alone, and -1, which means no label: give that class another number$"),
        ([0, 1, -1], [5, 6, 7], "no labelled row of the class 7 is left"),
        ([2, 2], [5, 6, 7], "no labelled row of the classes 5, 6 is left"),
    ],
)
def test_what_cannot_be_learnt_from_in_words(codes, classes, words):
    with pytest.raises(InputError, match=words):
        refuse_unusable(np.array(codes), np.array(classes))
    refuse_unusable(np.array([1, 0]), np.array([5, 6]))


@pytest.mark.parametrize(
    ("value", "fits"), [(2.0**53, True), (2.0**53 + 2, False), (-(2.0**53), True), (-(2.0**53) - 2, False)]
)
def test_numbers_of_labels_have_a_largest(value, fits):
    if fits:
        assert read_labels(np.array([value, 0.0]), 2)[1].tolist() == sorted([int(value), 0])
    else:
        with pytest.raises(InputError, match=r"y holds 9\.0072e\+15: labels must be at most 2\^53"):
            read_labels(np.array([value, 0.0]), 2)
    assert read_labels([2**53 - 1, 0, None], 3)[1].tolist() == [0, 2**53 - 1]


def test_shapes_of_labels():
    for shape in ((2, 2), (1, 2, 1), ()):
        with pytest.raises(InputError, match=r"y_valid must have shape \(rows,\), got \(" + ", ".join(map(str, shape))):
            read_labels(np.zeros(shape, int), 2, name="y_valid")
    with pytest.raises(InputError, match="labels must be one a row, got lists of several lengths"):
        read_labels([[1], [1, 2]], 2)
    with pytest.raises(InputTypeError, match="classes must be a list of labels, got 'ab'"):
        read_labels(["a", "b"], 2, "ab")
    with pytest.raises(InputError, match="5.5"):
        read_labels(np.array([1.0, 5.5, 6.5]), 3)


def test_a_balanced_choice_is_the_first_of_a_permutation_by_class():
    from npvae.mathematics import random

    codes = np.tile([0, 1, -1, 2], 20)
    kept, wanted = balanced_choice(codes, 8, 5), np.full(80, -1)
    for c, count in enumerate((3, 3, 2)):
        members = np.flatnonzero(codes == c)
        wanted[members[random.permutation(5, "label choice", c, 20)[:count]]] = c
    np.testing.assert_array_equal(kept, wanted)
    assert len({tuple(np.flatnonzero(kept == c) // 4) for c in range(2)}) == 2
    with pytest.raises(InputError, match="^63 labels need 21 rows of class cat, but it has 20$"):
        balanced_choice(codes, 63, 0, ["cat", "dog", "hen"])
    for nothing in (np.full(4, -1), np.zeros(0, np.int64)):
        np.testing.assert_array_equal(balanced_choice(nothing, 0, 5), nothing)
    assert (balanced_choice(codes, 60, 0) == codes).all() and (balanced_choice(codes, 3, 0) >= 0).sum() == 3
