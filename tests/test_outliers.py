"""OutlierVAE: planted outliers, the share that contamination sets, contributions, tables of every kind, its file."""

from __future__ import annotations

import datetime

import numpy as np
import pytest

from npvae import OutlierVAE
from npvae.data.tables.frames import as_cells
from npvae.errors import CarriedColumnsWarning, InputError, ModelFileError, NotFittedError
from npvae.estimators.outliers.columns import fit_schema
from npvae.estimators.outliers.support import support_rows
from npvae.estimators.tables.rows import TableRows
from npvae.mathematics.model import Architecture, Model

SHORT = {"epochs": 3, "hidden": (8,), "samples": 50, "backend": "numpy", "random_state": 0}


def ordinary(rows: int, seed: int = 0) -> np.ndarray:
    """Three columns that one number decides, but for a little noise."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((rows, 1)) * [1.0, -1.0, 2.0] + 0.1 * rng.standard_normal((rows, 3))


def mixed(rows: int) -> dict:
    """Numbers, dates, text and truth values that depend on one another, with gaps and a column of identifiers."""
    rng = np.random.default_rng(1)
    z = rng.standard_normal(rows)
    size = np.round(50.0 + 10.0 * z + rng.standard_normal(rows), 1)
    size[::9] = np.nan
    colour = np.where(z > 0.0, "red", "blue").astype(object)
    colour[4] = None
    day = [datetime.date(2020, 1, 1) + datetime.timedelta(days=int(100 * abs(v))) for v in z]
    return {"id": np.arange(rows), "size": size, "colour": colour, "day": day, "large": [bool(v > 0.5) for v in z]}


def test_planted_outliers_are_found_with_the_column_that_makes_them_so():
    """Each value alone is ordinary for one of them; all together they are not."""
    x = ordinary(200)
    x[7], x[50, 2] = [2.0, 2.0, 4.0], 60.0
    detector = OutlierVAE(contamination=0.01, latent_dim=1, **SHORT).fit(x)
    assert np.flatnonzero(detector.predict(x) == -1).tolist() == [7, 50]
    found = detector.explain(x)
    assert found.columns == ["0", "1", "2", "latent"]
    assert found.largest[7] == "1" and found.largest[50] == "2"
    assert np.argsort(found.score)[-2:].tolist() in ([7, 50], [50, 7])
    assert not detector.support_[[7, 50]].any() and detector.support_.sum() == 100


def test_contributions_sum_to_the_score_and_scores_are_those_of_score_samples():
    x = ordinary(40)
    x[3, 1] = np.nan
    detector = OutlierVAE(**SHORT).fit(x)
    found = detector.explain(x)
    np.testing.assert_allclose(found.contributions.sum(axis=1), found.score, rtol=1e-12)
    np.testing.assert_allclose(-found.score, detector.score_samples(x), rtol=1e-6)
    assert found.contributions[3, 1] == 0.0 and found.excess[3, 1] == 0.0
    np.testing.assert_allclose(
        found.typical, np.median(found.contributions[detector.support_ & ~np.isnan(x).any(axis=1)], axis=0), atol=0.1
    )
    assert (found.standard_error > 0.0).all() and (found.effective_sample_size > 1.0).all()
    # The densities of x are those of the standardised columns, by the chain rule.
    assert found.score.shape == (40,) and found.excess.shape == (40, 4)


@pytest.mark.parametrize("contamination", [0.02, 0.25])
def test_contamination_sets_the_share_of_outliers(contamination):
    x = ordinary(100)
    detector = OutlierVAE(contamination, **SHORT)
    labels = detector.fit_predict(x)
    assert set(labels) == {-1, 1} and (labels == -1).sum() == round(100 * contamination)
    np.testing.assert_array_equal(labels == -1, detector.decision_function(x) < 0.0)
    np.testing.assert_allclose(detector.decision_function(x), detector.score_samples(x) - detector.offset_)


def test_a_group_of_outliers_does_not_draw_the_model_towards_it():
    """A third of the rows, far away together: the half that is kept has none of them."""
    x = np.concatenate([ordinary(120), 4.0 + np.random.default_rng(2).standard_normal((60, 3))])
    schema = fit_schema(as_cells(x))
    table = TableRows(schema)
    model = Model(
        Architecture(3, 2, (8,), likelihood=schema.likelihood(), missing=True, completed=True, linear_path=True),
        OutlierVAE(**SHORT).fit(ordinary(30)).model_.ops,
    )
    chosen = support_rows(table, model, schema.encode(as_cells(x)), 0.5, seed=0)
    assert len(chosen) == 90 and chosen.max() < 120
    assert np.array_equal(support_rows(table, model, schema.encode(as_cells(x)), 1.0, seed=0), np.arange(180))


def test_columns_that_are_hardly_observed_are_in_the_support():
    x = ordinary(60)
    x[:, 1] = np.nan
    x[[5, 17, 40], 1] = [1.0, 50.0, -80.0]
    detector = OutlierVAE(**SHORT).fit(x)
    assert (~np.isnan(x[detector.support_, 1])).sum() >= 2 and np.isfinite(detector.score_samples(x)).all()


def test_one_wild_value_does_not_set_the_scale_of_its_column():
    x = ordinary(300)
    x[0, 0], x[1, 0] = 1e12, 40.0
    detector = OutlierVAE(contamination=0.01, **SHORT).fit(x)
    (column, _, _) = detector.schema_.columns
    assert column.deviation == pytest.approx(np.std(x[2:, 0]), rel=0.1)
    assert set(np.flatnonzero(detector.predict(x) == -1)) >= {0, 1}
    sparse = x.copy()
    sparse[:, 0] = 0.0
    sparse[:6, 0] = np.arange(6)
    assert OutlierVAE(**SHORT).fit(sparse).schema_.columns[0].deviation == pytest.approx(sparse[:, 0].std())


@pytest.mark.parametrize("library", ["dict", "pandas", "polars", "records"])
def test_tables_of_every_kind_with_text_dates_and_gaps(library):
    table = mixed(60)
    if library == "records":
        table = [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
    elif library != "dict":
        module = pytest.importorskip(library)
        table = module.DataFrame(
            {name: [None if cell != cell else cell for cell in column] for name, column in table.items()},
            **({"strict": False} if library == "polars" else {}),
        )
    with pytest.warns(CarriedColumnsWarning, match="'id' .identifiers"):
        detector = OutlierVAE(**SHORT).fit(table)
    assert [column.kind for column in detector.schema_.columns] == ["continuous", "binary", "continuous", "binary"]
    assert list(detector.carried_) == ["id"] and detector.feature_names_in_.tolist() == [
        "id",
        "size",
        "colour",
        "day",
        "large",
    ]
    reference = OutlierVAE(**SHORT, ignore="id").fit(mixed(60))
    np.testing.assert_allclose(detector.score_samples(table), reference.score_samples(mixed(60)), rtol=1e-5)
    swapped = mixed(60)
    swapped["colour"][1] = {"red": "blue", "blue": "red"}[swapped["colour"][1]]
    assert detector.explain(swapped).excess[1, 1] > reference.explain(mixed(60)).excess[1, 1] + 1.0


def test_a_file_gives_back_the_same_detector(tmp_path):
    table = mixed(50)
    table["size"][3] = -999.0
    detector = OutlierVAE(
        0.2, missing=-999.0, ignore=["id"], kinds={"size": "continuous"}, unseen="missing", **SHORT
    ).fit(table)
    detector.save(tmp_path / "detector.npz")
    again = OutlierVAE.load(tmp_path / "detector.npz", backend="numpy")
    table["colour"][0] = "green"  # a colour that was not seen in fit
    np.testing.assert_array_equal(again.score_samples(table), detector.score_samples(table))
    np.testing.assert_array_equal(again.predict(table), detector.predict(table))
    np.testing.assert_array_equal(again.explain(table).typical, detector.typical_)
    assert (
        again.contamination == 0.2
        and again.missing == (-999.0,)
        and again.carried_ == detector.carried_
        and again.ignore == ()
    )
    with pytest.raises(ModelFileError, match="it holds an? OutlierVAE, not a VAE"):
        type("VAE", (OutlierVAE,), {}).load(tmp_path / "detector.npz")
    again.typical_ = again.typical_[:-1]
    again.save(tmp_path / "other.npz")
    with pytest.raises(ModelFileError, match="typical of its columns does not fit them"):
        OutlierVAE.load(tmp_path / "other.npz")


def test_it_is_scikit_learns_outlier_detector():
    pytest.importorskip("sklearn")
    from sklearn.base import clone, is_outlier_detector
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x = ordinary(60)
    detector = OutlierVAE(0.2, **SHORT)
    assert is_outlier_detector(detector) and clone(detector).get_params() == detector.get_params()
    labels = make_pipeline(StandardScaler(), clone(detector)).fit_predict(x)
    assert (labels == -1).sum() == 12


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"contamination": 0.0}, "contamination must be .*above 0"),
        ({"contamination": 0.6}, "contamination must be .*at most 0.5"),
        ({"support_fraction": 0.0}, "support_fraction must be"),
        ({"samples": 0}, "samples must be at least 1"),
        ({"latent_dim": 0}, "latent_dim must be at least 1"),
        ({"unseen": "drop"}, "unseen"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"kinds": {"other": "continuous"}}, "kinds names the column 'other'"),
    ],
)
def test_arguments_that_cannot_be_are_refused(change, words):
    with pytest.raises(InputError, match=words):
        OutlierVAE(**{**SHORT, **change}).fit(ordinary(30))


def test_tables_that_do_not_fit_are_refused():
    detector = OutlierVAE(ignore="id", **SHORT).fit(mixed(40))
    with pytest.raises(InputError, match="'colour' missing"):
        detector.predict({name: column for name, column in mixed(40).items() if name != "colour"})
    other = mixed(40)
    other["colour"][0] = "green"
    with pytest.raises(InputError, match="column 'colour' holds 'green' in row 0"):
        detector.predict(other)
    with pytest.raises(NotFittedError, match="this OutlierVAE is not fitted yet"):
        OutlierVAE().predict(mixed(40))
    with pytest.raises(InputError, match="no column of the table of 5 samples can be modelled"):
        OutlierVAE(**SHORT).fit({"name": list("abcde")})


def test_every_argument_is_explained_and_none_that_is_not_there():
    import inspect
    import re

    text = OutlierVAE.__doc__.split("Parameters")[1].split("Attributes")[0]
    explained = {name for line in re.findall(r"^    ([\w, ]+) :", text, flags=re.M) for name in line.split(", ")}
    assert explained == set(inspect.signature(OutlierVAE.__init__).parameters) - {"self"}
