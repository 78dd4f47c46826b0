"""M2 on tables: every column by its own kind, cells that are missing left out of the likelihood and completed for
both networks.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import numpy as np

from npvae.data.tables.schema import UNSEEN
from npvae.errors import InputError, ModelFileError, PosteriorCollapseWarning
from npvae.estimators import inputs
from npvae.estimators.base import Estimator
from npvae.estimators.preparation import refuse_empty_columns
from npvae.estimators.tables import rows
from npvae.estimators.tables.rows import TableRows, is_plain, is_table
from npvae.estimators.tables.vae import frame
from npvae.estimators.tables.vae.frame import FrameKind
from npvae.mathematics import random
from npvae.mathematics.likelihoods import Table
from npvae.support import check, npz_file
from npvae.support.batches import batches

#: Rows that are decoded together.
ROWS_AT_ONCE = 1000


class TakesTables(Estimator):
    """The base of an estimator whose rows may be those of a table: while it is prepared and once it is fitted,
    ``table_`` has the schema and what completes rows; None: the rows are plain numbers."""

    features: Any
    kinds: Mapping[Any, Any] | None
    ignore: Any
    unseen: str
    table_: TableRows | None = None
    later_arguments = ("kinds", "ignore", "missing", "unseen")
    frame_: FrameKind | None = None  #: of which kind the table was
    _header_options = {"table": rows.DECLARATION, "frame": frame.DECLARATION}

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        of_tables = self.likelihood is None or isinstance(self.likelihood, str) and self.likelihood == "auto"
        if self.features is None and of_tables and not self._said_of_numbers():
            tags.input_tags.allow_nan = tags.input_tags.string = tags.input_tags.categorical = True
        return tags

    def _said_of_numbers(self) -> list[str]:
        """The arguments that are for plain numbers alone, and say anything."""
        return [
            name
            for name, default in (("divide_by", 1.0), ("binarize", "none"), ("standardize", False))
            if getattr(self, name) != default
        ]

    def _said_of_tables(self) -> list[str]:
        """The arguments that are for tables alone, and say anything."""
        given = {name: getattr(self, name) for name in ("kinds", "ignore", "missing")}
        return [
            name
            for name, value in given.items()
            if value is not None and not (hasattr(value, "__len__") and len(value) == 0)
        ]

    def _table_of(self, X) -> TableRows | None:
        """The schema of X, if it is a table; None: it is plain numbers, or for a VAE of features. InputError:
        arguments exclude each other.
        """
        if self.features is not None:
            return None
        said, of_numbers = self._said_of_tables(), self._said_of_numbers()
        automatic = isinstance(self.likelihood, str) and self.likelihood == "auto"
        if self.likelihood is not None and not automatic:
            of_numbers = ["likelihood", *of_numbers]
        if not (said or automatic) and (not is_table(X) or (of_numbers and is_plain(X))):
            return None
        if of_numbers:
            why = (
                f"{said[0]} is for tables"
                if said
                else "likelihood='auto' is for tables"
                if automatic
                else "X is a table with text, dates or gaps (NaN)"
            )
            raise InputError(
                f"{why}, of which every column is scaled and modelled by its own kind: leave out "
                f"{', '.join(of_numbers)}"
            )
        found = TableRows.fit(X, self.kinds, self.ignore, self.missing)
        self.frame_ = FrameKind.of(X, found.schema)
        return found

    def read_rows(self, X, name, n_features=None):
        if self.table_ is None:
            return super().read_rows(X, name, n_features)
        return inputs.Rows(
            self._numbers_of(X, self.dtype, name), (len(self.table_.schema.names),), self.table_.names_of_numbers
        )

    def learn_scale(self, x):
        super().learn_scale(x)
        if self.table_ is not None:
            refuse_empty_columns(x, self.table_.names_of_numbers)

    def choose_model(self, settings, x, x_valid, ops):
        model, settings = super().choose_model(settings, x, x_valid, ops)
        fits_data = self.table_ is not None and self.output_bias == "auto"
        return model, replace(settings, output_bias="data") if fits_data else settings

    def learn_view(self, model, x):
        if self.table_ is None:
            return super().learn_view(model, x)
        self.table_ = self.table_.fitted(x)
        return self.table_

    def fit_prepared(self, run, **arguments):
        if self.table_ is None:
            return super().fit_prepared(run, **arguments)
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", PosteriorCollapseWarning
            )  # latent dimensions that a table has no use for are no accident
            return super().fit_prepared(run, **arguments)

    def _keep_rows(self, run):
        super()._keep_rows(run)
        if self.table_ is not None:
            self._set_feature_names(self.table_.names)

    def _input(self, X, missing=False):
        self._check_fitted()
        return super()._input(X, missing) if self.table_ is None else self._numbers_of(X, str(self.theta_.dtype))

    def _numbers_of(self, X, dtype: str, name: str = "X"):
        """The cells of a table in the likelihoods' numbers, (N, D), NaN where one is missing. InputError: another
        table than the fitted one.
        """
        assert self.table_ is not None
        x = self.table_.read(X, check.one_of("unseen", self.unseen, UNSEEN), name)
        return x.astype(dtype)

    def _table_given(self, seen: np.ndarray, draw_seed: int | None):
        """A table of the kind that was fitted, of what the decoder makes of ``seen`` (N, Z + C): best guesses, or a
        draw.
        """
        assert self.table_ is not None and self.frame_ is not None
        model, views, schema = self.model_, self.model_.views(self.device_theta()), self.table_.schema
        if draw_seed is None:
            ops, own, parts = model.ops, model.likelihood_parameters(views), []
            likelihood = cast(Table, model.likelihood)
            for part in batches(len(seen), ROWS_AT_ONCE):
                outputs, _ = model.decode(views, ops.asarray(seen[part]))
                parts.append(ops.to_numpy(likelihood.mean(ops, outputs, own, curves=schema.curves)))
            x, decode = np.concatenate(parts), "guess"
        else:
            x, decode = model.draw(views, seen, random.Stream(draw_seed, "data sample", 0)), "decode"
        check.finite_result("the result", x)
        values = [
            getattr(column, decode)(x[:, block]) for column, block in zip(schema.columns, schema.slices, strict=True)
        ]
        return self.frame_.table(schema.columns, values)

    # its file

    def arguments_as_fitted(self):
        said = (
            {} if self.table_ is None else {"kinds": None, "ignore": None, "likelihood": "auto"}
        )  # what they said is in the schema
        missing = [] if self.table_ is None else list(self.table_.missing)
        return {**super().arguments_as_fitted(), **said, "missing": missing}

    def _describe_view(self):
        if self.table_ is None:
            return super()._describe_view()
        return {"table": self.table_.described()[0], "frame": self.frame_.config()}

    def _arrays_of_table(self) -> dict:
        """The arrays of the table in a file, if there is one."""
        return {} if self.table_ is None else npz_file.within("table", self.table_.described()[1])

    def _restore_table(self, header: dict, arrays: dict) -> list[str]:
        """Take back the table of a file, if it has one; the names of its arrays. ModelFileError: they do not fit
        together.
        """
        self.table_ = None
        if "table" not in header:
            return []
        inner = npz_file.taken_out("table", arrays)
        self.table_ = TableRows.restored(header["table"], inner, header["parameters"].get("missing", ()))
        found = header.get(
            "frame", {"container": "dict", "types": [{"type": "list"}] * len(self.table_.schema.columns)}
        )
        if len(found["types"]) != len(self.table_.schema.columns):
            raise ModelFileError("the types of its columns are not as many as its columns")
        self.frame_ = FrameKind(found["container"], tuple(found["types"]))
        return [*npz_file.within("table", inner)]

    def _restore_view(self, header, architecture):
        if self.table_ is None:
            return super()._restore_view(header, architecture)
        if "encoder_view" in header:
            raise ModelFileError("it has a table and another view of the encoder's")
        return self.table_
