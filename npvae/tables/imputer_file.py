"""What of a table's imputer goes into its file, and back."""

from __future__ import annotations

import numpy as np

from npvae import backend as backends
from npvae import check, io, registry
from npvae.errors import ModelFileError, NpvaeError
from npvae.impute import Normal
from npvae.model import Architecture, Model
from npvae.tables.member import Member, Standard
from npvae.tables.schema import Schema


def save(imputer, path) -> None:
    """Write a fitted imputer. NotFittedError: it is not fitted. OSError: it cannot be written."""
    if not hasattr(imputer, "members_"):
        raise imputer._not_fitted_error("this TableImputer is not fitted yet: call fit or load first")
    decided = dict.fromkeys(("kinds", "backend", "threads", "random_state"))  # what they said is in the schema and the seed
    arrays = {}
    for i, member in enumerate(imputer.members_):
        arrays[f"theta_{i}"] = member.theta
        arrays[f"mean_{i}"], arrays[f"covariance_{i}"] = member.normal.mean, member.normal.covariance
    header = {
        "parameters": registry.plain({**imputer.get_params(), **decided}),
        "schema": imputer.schema_.config(), "seed": imputer.seed_,
        "architecture": imputer.members_[0].model.architecture.config(),
        "members": [{"error": m.error, "normal_error": m.normal_error, "epoch": m.epoch} for m in imputer.members_],
    }
    io.save(path, "imputer", header, arrays)


def load(cls, path, backend):
    """The imputer of a file, ready to use on ``backend``.

    FileNotFoundError: no such file. ModelFileError: damaged, of another kind or version, or incomplete.
    """
    header, arrays = io.load(path, "imputer")
    try:
        imputer = cls(**{**header["parameters"], "backend": backend})
        schema = Schema.from_config(header["schema"])
        model = Model(Architecture.from_config(header["architecture"]), backends.get(backend))
        if model.architecture.n_features != schema.width or model.likelihood != schema.likelihood():
            raise ModelFileError(f"{path}: its columns are not those of its model")
        members = []
        for i, entry in enumerate(header["members"]):
            theta, mean, covariance = (arrays[f"{name}_{i}"] for name in ("theta", "mean", "covariance"))
            shapes = (theta.shape, mean.shape, covariance.shape)
            if shapes != ((model.layout.size,), (schema.width,), (schema.width,) * 2) or theta.dtype != np.float32:
                raise ModelFileError(f"{path}: member {i} does not fit its architecture")
            if not all(np.isfinite(array).all() for array in (theta, mean, covariance)):
                raise ModelFileError(f"{path}: the parameters of member {i} are not all finite")
            standard = Standard(schema.center, schema.scale)
            members.append(Member(
                model, theta, Normal(mean, covariance), standard, entry["error"], entry["normal_error"], entry["epoch"]
            ))
        imputer._keep(schema, members, check.whole_number("seed", header["seed"], 0))
    except ModelFileError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError, IndexError, NpvaeError) as error:
        raise ModelFileError(f"{path} lacks or contradicts what an imputer must hold: {error!r}") from error
    return imputer
