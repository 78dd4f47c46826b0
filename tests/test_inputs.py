"""Users' data made rows: what is converted, what is refused, and in which words."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from npvae.errors import DataConversionWarning, InputError, InputTypeError
from npvae.estimators.inputs import as_rows, refuse_non_finite, rows_of


class Table:
    def __init__(self, values, columns):
        self._values, self.columns = np.asarray(values), columns

    def __array__(self, dtype=None, copy=None):
        return self._values


class Sparse:
    def toarray(self):
        return np.ones((2, 2))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rows_of_every_form(dtype):
    x = np.arange(12.0).reshape(2, 3, 2)
    found = as_rows(x, dtype)
    assert (
        found.values.dtype == dtype
        and found.values.tolist() == x.reshape(2, 6).tolist()
        and found.sample_shape == (3, 2)
    )
    assert found.column_names is None and not np.shares_memory(found.values, x)
    assert as_rows([[1.5, 2.5]], dtype).values.tolist() == [[1.5, 2.5]] and rows_of(x) == 2
    assert as_rows(Table([[1.5, 2.5]], ["a", "b"]), dtype).column_names == ["a", "b"]
    assert as_rows(Table([[1.5, 2.5]], ("a", "b")), dtype).column_names == ["a", "b"]
    assert as_rows(Table([[1.5, 2.5]], ["a", 1]), dtype).column_names is None
    assert found.values.flags.c_contiguous and found.values.flags.owndata and rows_of(x[:1]) == 1
    assert np.isnan(as_rows([[1.5, np.nan]], dtype, missing=True).values).tolist() == [[False, True]]


@pytest.mark.parametrize("kind", ["u1", "i4", "?"])
def test_whole_numbers_are_converted_in_words_unless_they_are_divided(kind):
    x = np.array([[1, 0]], kind)
    with pytest.warns(DataConversionWarning, match=f"^X holds {x.dtype} numbers; they are converted to float32$"):
        as_rows(x, "float32")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert as_rows(x, "float32", divide_by=2.0).values.tolist() == [[0.5, 0.0]]
        assert as_rows(np.array([[2.0]]), "float64", divide_by=4.0).values.tolist() == [[0.5]]


@pytest.mark.parametrize(
    ("x", "kind", "message"),
    [
        (Sparse(), InputTypeError, "Z is a sparse matrix; pass dense data, for instance Z.toarray()"),
        (
            np.ma.masked_array([[1.0, 2.0]], [[True, False]]),
            InputTypeError,
            "Z is a masked array, whose mask would be lost; fill it first",
        ),
        (np.array([[1j]]), InputError, "Complex data not supported: Z has dtype complex128"),
        (np.array([["a"]]), InputTypeError, "Z must hold numbers, got dtype <U1"),
        (
            np.array([1.0, 2.0]),
            InputError,
            "Z must have shape (rows, features) or (rows, ...), got (2,). Reshape your data: Z.reshape(1, -1) if it is "
            "one "
            "row, Z.reshape(-1, 1) if it is one feature",
        ),
        (
            np.zeros((0, 3)),
            InputError,
            "Found array with 0 sample(s) (shape=(0, 3)) while a minimum of 1 is required: Z",
        ),
        (
            np.zeros((3, 0)),
            InputError,
            "Found array with 0 feature(s) (shape=(3, 0)) while a minimum of 1 is required: Z",
        ),
        (
            np.zeros((3, 2, 0)),
            InputError,
            "Found array with 0 feature(s) (shape=(3, 2, 0)) while a minimum of 1 is required: Z",
        ),
        (Table([[1.0, 2.0]], ["a"]), InputError, "Z has 1 column names for 2 columns"),
        (np.zeros((2, 4)), InputError, "Z has 4 features, but M is expecting 2 features as input"),
    ],
)
def test_what_is_no_data(x, kind, message):
    with pytest.raises(kind) as error:
        as_rows(x, "float64", name="Z", n_features=2, model="M")
    assert str(error.value) == message


def test_what_is_no_rectangle():
    with pytest.raises(InputError, match="^X is not a rectangular array of numbers: "):
        as_rows([[1.0], [1.0, 2.0]], "float64")


@pytest.mark.parametrize(
    ("values", "how", "message"),
    [
        (
            [[0, 1], [2, np.nan], [np.inf, np.nan]],
            {},
            "2 NaN and 1 infinite (or too large for float64), the first in row 1, column 1; fill or remove them first, "
            "or train on what is observed: VAE(missing=True)",
        ),
        (
            [[np.nan]],
            {"advise": False},
            "1 NaN and 0 infinite (or too large for float64), the first in row 0, column 0; fill or remove them first",
        ),
        (
            [[0, -np.inf]],
            {"column_names": ["a", "b"]},
            "0 NaN and 1 infinite (or too large for float64), the first in row 0, column 'b'; fill or remove them "
            "first",
        ),
        (
            [[np.nan, 0], [np.inf, 0]],
            {"missing": True},
            "0 NaN and 1 infinite (or too large for float64), the first in row 1, column 0; fill or remove them first",
        ),
    ],
)
def test_numbers_that_are_not_finite_are_counted_and_placed(values, how, message):
    with pytest.raises(InputError) as error:
        refuse_non_finite(np.array(values, float), "Z", **how)
    assert str(error.value) == f"Z contains NaN or infinity: {message}"


def test_numbers_too_large_for_the_dtype():
    with pytest.raises(InputError, match=r"0 NaN and 1 infinite \(or too large for float32\)"):
        as_rows(np.array([[1e300]]), "float32")


def test_nan_is_refused_unless_it_may_be_missing_and_only_a_vae_is_advised_to_train_on_the_rest():
    for model, advised in (("VAE", True), ("LatentClassifier", False)):
        with pytest.raises(InputError, match="1 NaN and 0 infinite") as error:
            as_rows([[np.nan]], "float32", model=model)
        assert str(error.value).endswith("VAE(missing=True)") == advised
