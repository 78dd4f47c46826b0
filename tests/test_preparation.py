"""From arguments and data to a run: which rows are held out, what is checked before anything is trained, and what is
warned of.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from small import grey_rows, small_vae

from npvae import SemiSupervisedVAE
from npvae.errors import DataScaleWarning, InputError
from npvae.estimators.preparation import prepare, with_labels
from npvae.mathematics import random


def test_rows_held_out_are_the_first_of_the_seed_s_order():
    x, labels = grey_rows(11), np.arange(11)
    run = prepare(
        small_vae(validation_fraction=0.26, random_state=5, dtype="float64"), x, labels=labels
    )  # 2.86 rows: 3
    order = random.permutation(5, "validation split", 0, 11)
    np.testing.assert_array_equal(run.x_valid, np.column_stack([x, labels])[order[:3]])
    np.testing.assert_array_equal(run.x, np.column_stack([x, labels])[order[3:]])
    assert run.settings.seed == 5 and run.sample_shape == (6,) and run.column_names is None


def test_without_validation_all_rows_are_trained_on():
    x, labels = grey_rows(9), np.arange(9) % 3
    plain = prepare(small_vae(dtype="float64"), x)
    np.testing.assert_array_equal(plain.x, x)
    assert plain.x_valid is None
    labelled = prepare(small_vae(dtype="float64"), x, labels=labels)
    np.testing.assert_array_equal(labelled.x, np.column_stack([x, labels]))
    assert labelled.x_valid is None
    both = prepare(
        small_vae(dtype="float64"), x, X_valid=grey_rows(4, seed=8), labels=labels, labels_valid=np.array([2, 1, 0, 2])
    )
    np.testing.assert_array_equal(both.x_valid, np.column_stack([grey_rows(4, seed=8), [2, 1, 0, 2]]))
    assert len(both.x) == 9


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rows_end_in_their_labels(dtype):
    rows = with_labels(np.ones((2, 3), dtype), np.array([4, -1]))
    assert rows.dtype == dtype and rows.tolist() == [[1, 1, 1, 4], [1, 1, 1, -1]]


@pytest.mark.parametrize(
    ("fraction", "rows", "held_out"),
    [(0.05, 10, None), (0.06, 10, 1), (0.94, 10, 9), (0.96, 10, None), (0.5, 2, 1), (0.5, 1, None)],
)
def test_each_part_keeps_a_row(fraction, rows, held_out):
    vae = small_vae(validation_fraction=fraction)
    if held_out is None:
        with pytest.raises(
            InputError, match=f"validation_fraction={fraction:g} of {rows} rows leaves a part without rows"
        ):
            prepare(vae, grey_rows(rows))
    else:
        run = prepare(vae, grey_rows(rows))
        assert (len(run.x_valid), len(run.x)) == (held_out, rows - held_out)


@pytest.mark.parametrize("fraction", [-0.5, 1.0, 1.5])
def test_fractions_are_from_0_to_below_1(fraction):
    with pytest.raises(InputError, match="validation_fraction must be finite and at least 0 and below 1, got"):
        prepare(small_vae(validation_fraction=fraction), grey_rows())


def test_patience_needs_rows_to_validate_on():
    with pytest.raises(InputError, match="patience needs validation data: set validation_fraction, or give X_valid"):
        prepare(small_vae(patience=2), grey_rows())
    assert prepare(small_vae(patience=2), grey_rows(), X_valid=grey_rows(3)).settings.patience == 2
    assert prepare(small_vae(patience=2, validation_fraction=0.5), grey_rows()).settings.patience == 2


@pytest.mark.parametrize("value", [-0.25, 1.25])
@pytest.mark.parametrize("valid", [False, True])
def test_all_rows_and_those_to_validate_on_are_looked_at(value, valid):
    """The wrong value is far down: in row 30 of column 4."""
    x = grey_rows()
    x[30, 4] = value
    data = {"X": grey_rows(), "X_valid": x} if valid else {"X": x, "X_valid": grey_rows()}
    for arguments, words in (({}, "bernoulli"), ({"binarize": "static", "likelihood": "gaussian"}, "to binarize")):
        with pytest.raises(InputError, match=f"{value} in column 4 \\(row 30\\), but .*{words}"):
            prepare(small_vae(**arguments), **data)
    prepare(small_vae(binarize="static", likelihood="gaussian"), np.where(grey_rows() > 0.5, 1.0, 0.0))
    with pytest.raises(InputError, match="X_valid has 5 features, but VAE is expecting 6"):
        prepare(small_vae(), grey_rows(), X_valid=grey_rows(columns=5))


def test_messages_name_the_estimator_and_advise_what_it_can_do():
    x, y = grey_rows(), np.arange(40) % 2
    model = SemiSupervisedVAE(latent_dim=2, hidden=(5,), epochs=1)
    with pytest.raises(InputError, match="X_valid has 5 features, but SemiSupervisedVAE is expecting 6"):
        model.fit(x, y, X_valid=grey_rows(columns=5), y_valid=y)
    x[0, 0] = np.inf
    for estimator in (model, small_vae()):
        with pytest.raises(InputError, match="X contains NaN or infinity: 0 NaN and 1 infinite") as error:
            estimator.fit(x, y)
        assert "VAE(missing=True)" not in str(error.value)
    x[0, 0] = np.nan
    with pytest.raises(InputError, match=r"X contains NaN or infinity: 1 NaN.*VAE\(missing=True\)"):
        small_vae().fit(x, y)


def test_a_column_of_which_nothing_is_observed():
    x = grey_rows()
    x[1:, 2] = np.nan
    assert np.isnan(prepare(small_vae(missing=True), x).x).sum() == 39
    x[0, 2] = np.nan
    with pytest.raises(
        InputError, match="column 2 of X holds nothing but NaN: nothing can be learnt of it; remove it first"
    ):
        prepare(small_vae(missing=True), x)
    with pytest.raises(InputError, match="column 2 of X"):  # also where others are empty too, and where rows are
        prepare(small_vae(missing=True), np.where(np.arange(6) >= 2, np.nan, grey_rows()))
    x = grey_rows()
    x[3] = np.nan
    prepare(small_vae(missing=True), x)


@pytest.mark.parametrize(
    ("value", "missing", "size"),
    [(20.0, False, None), (20.01, False, "20"), (1e25, False, "1e+25"), (30.0, True, "30")],
)
def test_data_of_a_root_mean_square_above_20_draw_a_warning(value, missing, size):
    x = value * np.where(np.arange(12).reshape(4, 3) % 2, 1.0, -1.0)
    if missing:
        x[0, 0] = np.nan
    vae = small_vae(likelihood="gaussian_per_feature", missing=missing)
    if size is None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            prepare(vae, x)
    else:
        with pytest.warns(DataScaleWarning) as caught:
            prepare(vae, x)
        assert f"the data are of the size {size} (root mean square)" in str(caught[0].message)
