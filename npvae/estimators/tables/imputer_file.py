"""What of a table's imputer goes into its file, and back."""

from __future__ import annotations

import contextlib
import dataclasses

import numpy as np

from npvae import backend as backends
from npvae.data.tables.carried import MOST_OTHERS
from npvae.data.tables.cells import FORMS
from npvae.data.tables.kinds import KINDS, from_config
from npvae.data.tables.missing import values_of
from npvae.data.tables.schema import UNSEEN, Schema
from npvae.errors import InputError, ModelFileError, NpvaeError
from npvae.estimators.tables import calibration
from npvae.estimators.tables.member import Member
from npvae.imputation import FactorAnalysis, Normal
from npvae.mathematics.model import Architecture, Model
from npvae.support import npz_file, registry
from npvae.support.fields import Anything, Either, Field, Flag, ListOf, MapOf, Maybe, OneOf, Real, Record, Text, Whole
from npvae.training import declared

_NAME_OR_CONFIGURATION = Either(Text(100, plain=True), declared.Configuration())


_REQUIRED = {"name": Text(), "kind": OneOf(tuple(KINDS)), "likelihood": _NAME_OR_CONFIGURATION}
_OPTIONAL = {
    "form": OneOf(FORMS),
    "words": ListOf(Text(), longest=MOST_OTHERS),
    "why": Text(),
    "rivals": ListOf(OneOf(tuple(KINDS)), longest=len(KINDS)),
}


class ColumnField(Field):
    """A column's configuration: entries that all kinds have, and those of its own; see npvae/data/tables/kinds/."""

    _entries = Record(
        _REQUIRED, _OPTIONAL | {name: field for each in KINDS.values() for name, field in each.entries.items()}
    )
    _by_kind = {kind: Record(_REQUIRED, _OPTIONAL | each.entries) for kind, each in KINDS.items()}
    expected = _entries.expected

    def read(self, name, value):
        kind = self._entries.read(name, value)["kind"]
        column = self._by_kind[kind].read(name, value)
        if "values" in KINDS[kind].entries:
            column["values"] = [float(v) if type(v) is int else v for v in column.get("values", [])]
        try:
            from_config(column).check()
        except InputError as error:
            raise InputError(f"{name}: {error}") from None
        return column


#: A table's schema: what a header has of it, and what it may have.
SCHEMA = (
    {"schema": ListOf(ColumnField(), shortest=1)},
    {"columns": ListOf(Text(), shortest=1), "carried": MapOf(Text())},
)
#: What is kept of a member beside its arrays.
MEMBER = Record({"error": Real(minimum=0.0, nan=True), "normal_error": Real(minimum=0.0, nan=True), "epoch": Whole(0)})

DECLARATION = Record(
    {
        "parameters": Record(
            {
                "kinds": Maybe(Anything()),
                "continuous_likelihood": Maybe(_NAME_OR_CONFIGURATION),
                "latent_dim": Maybe(Whole(1)),
                "hidden": Either(Whole(1), declared.WIDTHS),
                "members": Whole(1),
                "samples": Whole(1),
                "learning_rate": Real(above=0.0),
                "batch_size": Whole(1),
                "epochs": Maybe(Whole(1)),
                "held_out": Real(above=0.0, maximum=0.5),
                "every": Maybe(Whole(1)),
                "patience": Whole(1),
                "imputation_samples": Whole(1),
                "backend": Maybe(Anything()),
                "threads": Maybe(Whole(1)),
                "random_state": Maybe(Whole(0)),
                "verbose": Anything(1),
            },
            {
                "ignore": Maybe(Anything()),
                "missing": ListOf(Either(Text(), Real())),
                "unseen": OneOf(UNSEEN),
                "time": Maybe(Real(above=0.0)),
            },
        ),
        **SCHEMA[0],
        "seed": declared.SEED,
        "architecture": Record(declared.ARCHITECTURE, declared.ARCHITECTURE_OPTIONS),
        "members": ListOf(MEMBER, shortest=1, longest=3000),
    },
    {**SCHEMA[1], "out_of_time": Flag(), "calibration": Maybe(ListOf(calibration.COLUMN))},
)


def save(imputer, path) -> None:
    """Write a fitted imputer. NotFittedError: it is not fitted. OSError: it cannot be written."""
    if not hasattr(imputer, "members_"):
        raise imputer._not_fitted_error("this TableImputer is not fitted yet: call fit or load first")
    decided = dict.fromkeys(
        ("kinds", "ignore", "backend", "threads", "random_state")
    )  # what they said is in the schema and the seed
    decided["missing"] = [value.item() if hasattr(value, "item") else value for value in values_of(imputer.missing)]
    members, arrays = described(imputer.members_)
    header = {
        "parameters": registry.plain({**imputer.get_params(), **decided}),
        "schema": imputer.schema_.config(),
        "columns": imputer.schema_.names,
        "carried": imputer.schema_.carried,
        "seed": imputer.seed_,
        "architecture": imputer.members_[0].model.architecture.config(),
        "members": members,
        "out_of_time": imputer.out_of_time_,
        "calibration": imputer.calibration_,
    }
    npz_file.save(path, "imputer", header, arrays, DECLARATION)


def described(members: list[Member]) -> tuple[list[dict], dict]:
    """``(entries, arrays)`` of members in a file."""
    arrays = {}
    for i, member in enumerate(members):
        arrays[f"theta_{i}"] = member.theta
        for field in dataclasses.fields(member.normal):
            arrays[f"{field.name}_{i}"] = getattr(member.normal, field.name)
    return [{"error": m.error, "normal_error": m.normal_error, "epoch": m.epoch} for m in members], arrays


def load(cls, path, backend, threads=None):
    """The imputer of a file, ready to use on ``backend``.

    FileNotFoundError: no such file. ModelFileError: damaged, of another kind or version, or incomplete.
    """
    ops = backends.for_use(backend, threads)
    header, arrays = npz_file.load(path, "imputer", DECLARATION)
    with refusing(path):
        return _restore(cls, header, arrays, {"backend": backend, "threads": threads}, ops)


@contextlib.contextmanager
def refusing(path):
    """A context in which what contradicts itself becomes a ModelFileError that names the file."""
    try:
        yield
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from None
    except NpvaeError as error:
        raise ModelFileError(f"{path} contradicts itself: {str(error)[:500]}") from error


def _restore(cls, header: dict, arrays: dict, where: dict, ops):
    parameters = header["parameters"]
    told = {"ignore": (), "missing": tuple(parameters.get("missing", ()))}
    imputer = cls(**{**parameters, **told, **where})
    if "theta_0" not in arrays:
        raise ModelFileError("the parameters of its members are missing")
    schema = schema_of(header)
    architecture = declared.build_architecture(Architecture, header["architecture"], arrays["theta_0"].size)
    if architecture.n_features != schema.width or architecture.likelihood != schema.likelihood():
        raise ModelFileError("its columns are not those of its model")
    if not (architecture.missing and architecture.completed):
        raise ModelFileError("its model knows of no missing entries")
    members = members_of(header["members"], arrays, Model(architecture, ops), schema.view)
    imputer._keep(schema, members, header["seed"])
    imputer.calibration_ = calibration.checked(header.get("calibration"), schema.columns)
    imputer.out_of_time_ = header.get("out_of_time", False)
    return imputer


def schema_of(header: dict) -> Schema:
    """The schema that a header has, as ``SCHEMA`` declares it. ModelFileError: it does not fit together."""
    modelled, carried = [column["name"] for column in header["schema"]], header.get("carried", {})
    names = header.get("columns", modelled)
    if len(set(names)) != len(names):
        raise ModelFileError("two of its columns have one name")
    if [name for name in names if name not in carried] != modelled or not carried.keys() <= set(names):
        raise ModelFileError("its columns are not those that are modelled or carried")
    return Schema.from_config(header["schema"], names, carried)


def normal_of(kind, arrays: list[np.ndarray], width: int, of: str) -> Normal | FactorAnalysis:
    """The normal distribution of so many numbers, of the kind that has these arrays. ModelFileError: they do not
    fit, or are none.
    """
    factors = len(arrays[1]) if arrays[1].ndim else 0
    shapes = [(width,), *([(width, width)] if kind is Normal else [(factors, width), (width,)])]
    if [array.shape for array in arrays] != shapes or {str(array.dtype) for array in arrays} != {"float64"}:
        raise ModelFileError(f"{of} does not fit its architecture")
    if not all(np.isfinite(array).all() for array in arrays):
        raise ModelFileError(f"the parameters of {of} are not all finite")
    if kind is Normal and not _is_covariance(arrays[1]):
        raise ModelFileError(f"the covariance of {of} is none: it is not symmetric and positive definite")
    if kind is FactorAnalysis and not (factors and (arrays[2] > 0.0).all()):
        raise ModelFileError(f"the factors of {of} are none, or their noise is not positive")
    return kind(*arrays)


def members_of(entries: list[dict], arrays: dict, model, standard) -> list[Member]:
    """The members that :func:`described` described. ModelFileError: they do not fit the model, or their arrays are
    others.
    """
    members, kind = [], Normal if "covariance_0" in arrays else FactorAnalysis
    parts = ["theta", *(field.name for field in dataclasses.fields(kind))]
    if sorted(f"{part}_{i}" for i in range(len(entries)) for part in parts) != sorted(arrays):
        raise ModelFileError(f"it has {len(entries)} members, but not their arrays and no others")
    for i, entry in enumerate(entries):
        theta, *linear = (arrays[f"{part}_{i}"] for part in parts)
        if theta.shape != (model.layout.size,) or str(theta.dtype) != "float32":
            raise ModelFileError(f"member {i} does not fit its architecture")
        if not np.isfinite(theta).all():
            raise ModelFileError(f"the parameters of member {i} are not all finite")
        normal = normal_of(kind, linear, model.architecture.n_features, f"member {i}")
        members.append(Member(model, theta, normal, standard, entry["error"], entry["normal_error"], entry["epoch"]))
    return members


def _is_covariance(matrix: np.ndarray) -> bool:
    """Whether a matrix is symmetric, but for rounding, and positive definite."""
    if np.abs(matrix - matrix.T).max() > 1e-8 * np.abs(np.diag(matrix)).max():
        return False
    try:
        np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return False
    return True
