"""The honest files that are damaged, and how every kind of them is loaded and used."""

from __future__ import annotations

import contextlib
import functools
import gzip
import importlib.util
import struct
import warnings
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np

from npvae import VAE, LatentClassifier, SemiSupervisedVAE, TableImputer
from npvae.data import load_file
from npvae.data.formats import read_idx, read_labels
from npvae.data.tables.read import read_table
from npvae.data.tables.table import Selection
from npvae.data.tables.write import fill
from npvae.estimators.semisupervised import labels
from npvae.estimators.tables import imputer_checkpoint
from npvae.estimators.tables.imputer_checkpoint import ImputerCheckpoint
from npvae.evaluation.summary import model_summary
from npvae.mathematics.semi_supervised import SemiSupervisedArchitecture
from npvae.training.checkpoint import inspect_checkpoint


@dataclass(frozen=True)
class Kind:
    """A kind of file: how it is loaded, and what is done with it, which gives numbers. ``sealed``: whether its own
    checksums cover its numbers."""

    load: object
    use: object
    sealed: bool = True


def rows(count: int = 40, columns: int = 6) -> np.ndarray:
    """Grey values of two kinds of rows."""
    rng = np.random.default_rng(3)
    kind = rng.integers(0, 2, count)[:, None]
    return np.clip(
        0.5 + 0.4 * (2 * kind - 1) * np.sign(np.arange(columns) - 2.5) + 0.05 * rng.standard_normal((count, columns)),
        0,
        1,
    )


def classes(count: int = 40) -> np.ndarray:
    """Labels of the rows, half of them unknown."""
    y = np.random.default_rng(3).integers(0, 2, count)
    y[::2] = -1
    y[:4] = 0, 1, 0, 1
    return y


def table(count: int = 40) -> np.ndarray:
    """A table of five kinds of columns with holes."""
    rng = np.random.default_rng(5)
    cells = np.empty((count, 5), object)
    cells[:, 0], cells[:, 1] = rng.normal(size=count), rng.poisson(2.0, count)
    cells[:, 2], cells[:, 3] = rng.choice(["a", "b", "c"], count), rng.integers(0, 2, count)
    cells[:, 4] = np.exp(rng.normal(size=count))
    cells[rng.random(cells.shape) < 0.1] = None
    return cells


#: The honest files, in the order in which they are damaged.
KINDS = (
    "vae.npz",
    "vae-table.npz",
    "m2.npz",
    "m1.npz",
    "m1+m2.npz",
    "imputer.npz",
    "checkpoint.npz",
    "checkpoint-m2.npz",
    "checkpoint-imputer.npz",
    "x.npy",
    "x.npz",
    "packed.npz",
    "x.csv",
    "table.csv",
    "images.gz",
    "labels.idx",
)


def form_of(name: str) -> str:
    """How a file is made: npz, npy, csv, gz or idx."""
    return name.rpartition(".")[2]


X, Y, TABLE = rows(), classes(), table()
SMALL = {"latent_dim": 2, "hidden": (4,), "epochs": 2, "batch_size": 10, "random_state": 1, "backend": "numpy"}
MIXED = {"name": "table", "columns": [["gaussian_decoder", 2], ["student_t", 1], ["categorical", 3]]}


def mixed_rows() -> np.ndarray:
    """Rows of three numbers and one category."""
    return np.concatenate([X[:, :3], np.eye(3)[np.arange(len(X)) % 3]], axis=1)


def with_holes(x: np.ndarray) -> np.ndarray:
    """Some rows with something missing."""
    x = x[:4].copy()
    x[0, 0] = x[2, 1] = np.nan
    return x


#: Compiled code takes a checkpoint's arrays by their addresses.
GOES_ON = "numba" if importlib.util.find_spec("numba") else "numpy"


def checkpointed(backend: str) -> VAE:
    """The run that is gone on with: early stopping and Adam, so that there are all arrays that a checkpoint may
    have.
    """
    return VAE(
        **{**SMALL, "epochs": 3, "backend": backend}, threads=1, optimizer="adam", validation_fraction=0.25, patience=9
    )


def m2(features=None, **changes) -> SemiSupervisedVAE:
    """A small M2."""
    return SemiSupervisedVAE(features, **{**SMALL, "latent_dim": 2, **changes})


def imputer_of_two(backend: str) -> TableImputer:
    """The run of an imputer that is gone on with."""
    return TableImputer(
        members=2,
        epochs=2,
        every=1,
        hidden=(4,),
        random_state=1,
        backend=backend,
        threads=1,
        samples=5,
        imputation_samples=10,
    )


def end_in_the_second_member(keeper, member, done=ImputerCheckpoint.done) -> None:
    """In the place of what keeps a member: ends the run when the second would be done, so that its last epoch is
    what was kept.
    """
    if keeper._done:
        raise InterruptedError
    done(keeper, member)


def write_all(folder: Path, goes_on: str = GOES_ON) -> None:
    """Write every honest file into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    vae = VAE(**SMALL).fit(X)
    vae.save(folder / "vae.npz")
    VAE(**SMALL, likelihood=MIXED, missing=True, linear_path=True, dtype="float64").fit(mixed_rows()).save(
        folder / "vae-table.npz"
    )
    m2(standardize=True, class_prior="labels").fit(X, Y).save(folder / "m2.npz")
    wide = VAE(**{**SMALL, "epochs": 15, "learning_rate": 1e-2}).fit(X)
    LatentClassifier(wide).fit(X, Y).save(folder / "m1.npz")
    m2(wide).fit(X, Y).save(folder / "m1+m2.npz")
    TableImputer(members=2, epochs=2, hidden=(4,), random_state=1, backend="numpy", imputation_samples=20).fit(
        TABLE
    ).save(folder / "imputer.npz")
    checkpointed(goes_on).fit(X, checkpoint=folder / "checkpoint.npz")
    m2(backend=goes_on, threads=1).fit(X, Y, checkpoint=folder / "checkpoint-m2.npz")
    with mock.patch.object(ImputerCheckpoint, "done", end_in_the_second_member), contextlib.suppress(InterruptedError):
        imputer_of_two(goes_on).fit(TABLE, checkpoint=folder / "checkpoint-imputer.npz", checkpoint_seconds=0.0)
    np.save(folder / "x.npy", X.astype("f4"))
    np.savez(folder / "x.npz", x=X, y=np.maximum(Y, 0))
    np.savez_compressed(folder / "packed.npz", x=X.astype("f4"), y=np.array(["a", "b"])[np.maximum(Y, 0)])
    lines = [",".join(f"f{i}" for i in range(6)) + ",class"] + [
        ",".join(map(repr, [*row.tolist(), int(y)])) for row, y in zip(X, Y, strict=True)
    ]
    (folder / "x.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    lines = ["a,b,c,d,e"] + [",".join("" if cell is None else str(cell) for cell in row) for row in TABLE]
    (folder / "table.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    images = np.random.default_rng(2).integers(0, 256, (5, 28, 28), dtype=np.uint8)
    (folder / "images.gz").write_bytes(
        gzip.compress(b"\0\0\x08\x03" + struct.pack(">III", 5, 28, 28) + images.tobytes(), mtime=0)
    )
    (folder / "labels.idx").write_bytes(b"\0\0\x08\x01" + struct.pack(">I", 5) + bytes([0, 9, 3, 3, 1]))


def use_vae(vae) -> list:
    """What a VAE is for."""
    x = X if vae.theta_.dtype == np.float32 else mixed_rows()
    numbers = [
        *vae.encode(x[:5]),
        vae.sample(2, mean=False),
        vae.reconstruct(x[:3]),
        vae.score_samples(x[:3], samples=4),
    ]
    numbers.append(vae.impute(with_holes(x), method="single_pass").mean)
    describe(vae, vae.model_)
    return [*numbers, vae.theta_, np.array(vae.history_.get("loss", []), float)]


def describe(estimator, model) -> None:
    """What is printed of it."""
    repr(estimator), model_summary(model)


def use_m2(model) -> list:
    """What a semi-supervised VAE is for."""
    numbers = [
        model.predict_proba(X[:5]),
        *model.encode(X[:5]),
        model.transform(X[:5]),
        model.sample(n=3, mean=False),
        model.analogies(X[:2]),
    ]
    model.predict(X[:5])
    describe(model, model.model_)
    return [*numbers, model.theta_, np.array(model.history_.get("loss", []), float)]


def use_m1(model) -> list:
    """What a classifier of latent features is for."""
    describe(model, model.features_.model_)
    model.predict(X[:5])
    return [model.transform(X[:5]), model.predict_proba(X[:5]), *use_vae(model.features_)]


def use_imputer(imputer) -> list:
    """What an imputer is for."""
    found = imputer.impute(TABLE[:6], draws=2)
    describe(imputer, imputer.members_[0].model)

    def numbers(table):
        """Floats, and whole numbers that were filled in."""
        return np.array(
            [
                [
                    float(cell) if type(cell) is float or (type(cell) is int and gone) else 0.0
                    for cell, gone in zip(*both, strict=True)
                ]
                for both in zip(table, found.filled_in, strict=True)
            ]
        )

    return [numbers(table) for table in (found.filled, *found.draws)]


def resume_vae(path: Path, backend: str = GOES_ON):
    """One epoch more, wherever it began."""
    vae = checkpointed(backend).set_params(epochs=4)
    return vae.fit(X, checkpoint=path, resume="anyway")


def resume_m2(path: Path, backend: str = GOES_ON):
    """One epoch more, wherever it began."""
    return m2(epochs=3, backend=backend, threads=1).fit(X, Y, checkpoint=path, resume="anyway")


def looked_at(path: Path, resume, backend: str):
    """A checkpoint as ``npvae info`` sees it, and how a run goes on from it."""
    inspect_checkpoint(path, SemiSupervisedArchitecture)
    return resume, path, backend


def imputers_looked_at(path: Path, backend: str):
    """The same of an imputer's."""
    imputer_checkpoint.inspect(path)
    return path, backend


def use_imputers_checkpoint(loaded) -> list:
    """The run that goes on."""
    path, backend = loaded
    imputer = imputer_of_two(backend).fit(TABLE, checkpoint=path, resume="anyway")
    return [
        array for member in imputer.members_ for array in (member.theta, member.normal.mean, member.normal.covariance)
    ]


def use_checkpoint(loaded) -> list:
    """The run that goes on."""
    resume, path, backend = loaded
    model = resume(path, backend)
    return [model.theta_, np.array(model.history_["loss"], float)]


def read_csv(path: Path):
    """A table with labels, which it may have lost."""
    return [load_file(path, label_column="class")]


def use_data(loaded) -> list:
    """Rows of a file in the place of those that a model was trained on."""
    model = VAE(**{**SMALL, "epochs": 1, "hidden": (2,)})
    for file in loaded:
        model.build(file.x)
        if file.y is not None:
            labels.read_labels(file.y, len(file.x))
    return [np.asarray(file.x, float) for file in loaded]


def use_text_table(loaded) -> list:
    """The table to be filled in by an imputer that fits it, and written; what is in it may not."""
    loaded.describe()
    assert fill(loaded, [], np.empty((len(loaded), 0))) == loaded.form.cells.text
    columns = [column for column in loaded.columns if column.name in "abcde"]
    if [column.name for column in columns] != list("abcde"):
        return []
    found = imputer_of_names().impute(Selection(columns))
    fill(loaded, columns, np.asarray(found.filled, object))
    return [found.effective_sample_size]


class Named:
    """The table with names."""

    columns = list("abcde")

    def __array__(self, dtype=None, copy=None):
        return TABLE.copy()

    def __len__(self):
        return len(TABLE)


@functools.cache
def imputer_of_names() -> TableImputer:
    """An imputer of the table with names."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        small = {
            "members": 1,
            "epochs": 1,
            "hidden": (4,),
            "random_state": 1,
            "backend": "numpy",
            "imputation_samples": 10,
        }
        return TableImputer(**small).fit(Named())


def kinds(goes_on: str = GOES_ON) -> dict[str, Kind]:
    """Every kind by the name of its honest file."""
    return {
        "vae.npz": Kind(lambda path: VAE.load(path, backend="numpy"), use_vae),
        "vae-table.npz": Kind(lambda path: VAE.load(path, backend="numpy"), use_vae),
        "m2.npz": Kind(lambda path: SemiSupervisedVAE.load(path, backend="numpy"), use_m2),
        "m1.npz": Kind(lambda path: LatentClassifier.load(path, backend="numpy"), use_m1),
        "m1+m2.npz": Kind(lambda path: SemiSupervisedVAE.load(path, backend="numpy"), use_m2),
        "imputer.npz": Kind(lambda path: TableImputer.load(path, backend="numpy"), use_imputer),
        "checkpoint.npz": Kind(lambda path: looked_at(path, resume_vae, goes_on), use_checkpoint),
        "checkpoint-m2.npz": Kind(lambda path: looked_at(path, resume_m2, goes_on), use_checkpoint),
        "checkpoint-imputer.npz": Kind(lambda path: imputers_looked_at(path, goes_on), use_imputers_checkpoint),
        "x.npy": Kind(lambda path: [load_file(path)], use_data, sealed=False),
        "x.npz": Kind(lambda path: [load_file(path)], use_data),
        "packed.npz": Kind(lambda path: [load_file(path)], use_data),
        "x.csv": Kind(read_csv, use_data, sealed=False),
        "table.csv": Kind(lambda path: read_table(path), use_text_table, sealed=False),
        "images.gz": Kind(lambda path: read_idx(path, (5, 28, 28)), lambda x: [x.astype(float)]),
        "labels.idx": Kind(lambda path: read_labels(path, 5), lambda y: [y.astype(float)], sealed=False),
    }
