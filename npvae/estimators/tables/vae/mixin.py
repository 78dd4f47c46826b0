"""The hooks of an estimator for tables: with ``likelihood="auto"`` rows are those of a table; in every other case
nothing changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from npvae.errors import InputError, ModelFileError
from npvae.estimators import inputs
from npvae.estimators.fitted import FittedVAE
from npvae.estimators.tables.vae import convergence, nearness
from npvae.estimators.tables.vae import given as given_columns
from npvae.estimators.tables.vae import table as tables
from npvae.estimators.tables.vae.choices import DEFAULTS
from npvae.estimators.tables.vae.configuration import Auto
from npvae.estimators.tables.vae.nearness import Nearness
from npvae.estimators.tables.vae.preparation import TablePreparation
from npvae.mathematics import random
from npvae.support import check
from npvae.support.fields import Real, Record, Whole
from npvae.support.memory_need import refuse_too_many_samples

#: Synthetic rows whose nearness to rows trained on is measured after training, and rows held out that it takes at
#: least.
ROWS_CHECKED, FEWEST_HELD_OUT = 2000, 20


class TableHooks(FittedVAE):
    """Comes before an estimator among the bases of a class.

    Attributes, of a fitted model: ``table_``, a :class:`npvae.estimators.tables.vae.table.FittedTable`, None of a model
    of arrays; ``schema_``, ``carried_``, ``nearness_``.
    """

    _header_options = {
        "table": tables.DECLARATION,
        "nearness": Record(
            {
                "share": Real(minimum=0.0, maximum=1.0),
                "quantile": Real(minimum=0.0),
                "rows": Whole(1),
                "copies": Whole(0),
                "held_out": Whole(1),
            }
        ),
    }

    @property
    def schema_(self):
        """The columns of the table, each with its kind: a :class:`npvae.data.tables.schema.Schema`."""
        return self._fitted_table("schema_").schema

    @property
    def carried_(self) -> dict[str, str]:
        """Of the table's columns that are not modelled, the reason, by name."""
        return dict(self._fitted_table("carried_").schema.carried)

    @property
    def latent_dim_(self) -> int:
        """The number of latent dimensions of the fitted model, given or chosen."""
        return self._fitted("latent_dim_").architecture.latent_dim

    @property
    def hidden_(self) -> tuple[int, ...]:
        """The widths of its encoder's hidden layers, given or chosen."""
        return self._fitted("hidden_").architecture.hidden

    @property
    def batch_size_(self) -> int:
        """Rows a step of its training, given or chosen by the size of the table."""
        return self._fitted_table("batch_size_").batch_size

    @property
    def epochs_(self) -> int:
        """Passes over the data that its training would have made at most, given or chosen by the size of the table."""
        return self._fitted_table("epochs_").epochs

    def _fitted(self, name: str):
        if not hasattr(self, "theta_"):
            raise AttributeError(f"{name} is an attribute of fitted models")
        return self.model_

    def _fitted_table(self, name: str):
        found = getattr(self, "table_", None)
        if found is None:
            raise AttributeError(f'{name} is an attribute of models of tables, fitted with likelihood="auto"')
        return found

    # training

    def argument(self, name):
        value = getattr(self, name)
        if value is None and name in DEFAULTS and Auto.of(self.likelihood) is not None:
            return DEFAULTS[name]
        return super().argument(name)

    def rows_for_training(self):
        auto = Auto.of(self.likelihood)
        return self if auto is None else TablePreparation(self, auto)

    def _keep_rows(self, run):
        self.table_ = getattr(run.rows, "table", None)
        self.nearness_ = None
        if self.table_ is None:
            return
        self.table_.learn_to_sample(self.model_, self.device_theta(), run.x, self.seed_)
        if run.x_valid is not None and len(run.x_valid) >= FEWEST_HELD_OUT and self.table_.latents is not None:
            self.nearness_ = self._nearness(run.x, run.x_valid)
        convergence.warn(self.history_.columns(), self.schema_.width, self.stop_reason_, self.best_epoch_, stacklevel=5)

    def _nearness(self, x, x_valid) -> Nearness | None:
        """Of rows drawn now, to the rows x of the model, beside those of x_valid; None: the model draws nothing
        finite.
        """
        width = self.schema_.width
        draws = self.sample(ROWS_CHECKED, random_state=random.seed_for_part(self.seed_, "posterior of a row", 2))
        drawn = self.table_.rows.beside(self.table_.read(draws, x.dtype))
        return nearness.nearness(drawn[:, width:], x[:, width:], x_valid[:, width:])

    # a fitted model

    def _input(self, X, missing=False):
        if self._of_arrays():
            return super()._input(X, missing)
        return self.table_.read(X, self.theta_.dtype)

    def _checked_input(self, X, missing=False, draw=0):
        return super()._checked_input(X, missing, draw) if self._of_arrays() else self._input(X)

    def _of_arrays(self) -> bool:
        """Whether the model is one of arrays. NotFittedError."""
        self._check_fitted()
        return self.table_ is None

    def inverse_transform(self, Z: ArrayLike) -> Any:
        """E[x|z] for Z (N, latent_dim), in the data's units and shape; of a table a table of the best guesses."""
        if self._of_arrays():
            return super().inverse_transform(Z)
        z = inputs.as_rows(Z, str(self.theta_.dtype), name="Z", n_features=self.model_.architecture.latent_dim).values
        return self.table_.table(self.table_.expected_values(self.model_, self.device_theta(), z))

    def reconstruct(self, X: ArrayLike | Mapping[str, Any], *, sample: bool = False, random_state: Any = None) -> Any:
        """E[x|z] at z = mu(x), in the data's units and shape, of a table a table; with ``sample=True`` at z drawn
        from q(z|x).
        """
        found = super().reconstruct(X, sample=sample, random_state=random_state)
        if hasattr(found, "index") and hasattr(X, "index") and hasattr(found, "iloc"):
            found.index = X.index
        return found

    def sample(
        self, n: int = 1, *, mean: bool | None = None, given: Mapping[str, Any] | None = None, random_state: Any = None
    ) -> Any:
        """``n`` new samples: z from the prior N(0, I), then E[x|z], or a draw from p(x|z) if ``mean=False``.

        Of a model of a table a table of synthetic rows, of the kind that was fitted, with its names, types, units and
        categories, and without gaps: z from the aggregate posterior (tables/vae/latents.py), and then a draw;
        ``mean=True`` for what is expected. given: values of some columns by name, ``{"region": "North"}``, which all
        rows then have. Columns that are carried are left out.

        With ``random_state=None`` the model's own seed is used, so the call repeats itself. InputError: given of a
        model of arrays, or columns and values that the table has not. FewSamplesWarning: rows with the given values are
        rare.
        """
        if self._of_arrays():
            if given is not None:
                raise InputError('given is for models of tables: fit one with VAE(likelihood="auto")')
            return super().sample(n, mean=True if mean is None else mean, random_state=random_state)
        n, seed, fitted = check.whole_number("n", n, 1), self.seed_of(random_state), self.table_
        refuse_too_many_samples(self.model_, n)
        if fitted.latents is None:
            raise InputError(
                "this model cannot be sampled from: its training ended with posteriors that are not finite"
            )
        theta, fixed, exchange = self.device_theta(), {}, None
        if given is None:
            z = fitted.latents.draw(n, seed)
        else:
            row = given_columns.row_of(given_columns.values_of(given, fitted.schema), fitted)
            fixed = fitted.given_values(row)
            z, exchange = given_columns.latents_given(self.model_, theta, fitted, row, n, seed)
        z = z.astype(self.theta_.dtype)
        with np.errstate(all="ignore"):  # what is not finite is refused in words
            if mean:
                values = fitted.expected_values(self.model_, theta, z)
            else:
                x = self.model_.draw(self.model_.views(theta), z, random.Stream(seed, "data sample", 0))
                values = fitted.drawn_values(x, seed, fixed, exchange)
        for i, value in fixed.items():
            values[i] = np.repeat(value, n)
        return fitted.table(values)

    def impute(
        self,
        X: ArrayLike | Mapping[str, Any],
        draws: int = 0,
        *,
        method: str = "auto",
        samples: int = 1000,
        steps: int = 200,
        warm_up: int = 50,
        chains: int = 1,
        proposals: int = 10,
        random_state: Any = None,
        verbose: bool = False,
    ) -> Any:
        """As of a model of arrays, see :meth:`npvae.estimators.fitted.FittedVAE.impute`. Of a table the gaps are filled
        in as :class:`npvae.TableImputer` does, by this one model: a
        :class:`npvae.estimators.tables.TableImputation`."""
        if self._of_arrays():
            return super().impute(
                X,
                draws,
                method=method,
                samples=samples,
                steps=steps,
                warm_up=warm_up,
                chains=chains,
                proposals=proposals,
                random_state=random_state,
                verbose=verbose,
            )
        if method not in ("auto", "importance"):
            raise InputError(
                f"a model of a table fills in by importance sampling: method must be 'auto' or 'importance', got "
                f"{method!r}"
            )
        return self._imputer(samples, verbose).impute(X, draws, random_state=self.seed_of(random_state))

    def _imputer(self, samples: int, verbose):
        """A TableImputer of this one model."""
        from npvae.estimators.tables.imputer import TableImputer
        from npvae.estimators.tables.member import Member

        fitted, auto = self.table_, Auto.of(self.likelihood) or Auto()
        imputer = TableImputer(
            missing=auto.missing, unseen=fitted.unseen, members=1, imputation_samples=samples, verbose=verbose
        )
        imputer._sklearn_output_config = {"transform": "default"}
        member = Member(
            self.model_, self.theta_, fitted.rows.normal, fitted.schema.view, np.nan, np.nan, self.best_epoch_ or 0
        )
        imputer._keep(fitted.schema, [member], self.seed_)
        imputer.calibration_ = None  # a VAE holds no cells out to calibrate by
        return imputer

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        if Auto.of(self.likelihood) is not None:
            tags.input_tags.allow_nan = tags.input_tags.string = tags.input_tags.categorical = True
        return tags

    # its file

    def _widths_of(self, architecture):
        fitted = getattr(self, "table_", None)
        return super()._widths_of(architecture) if fitted is None else (fitted.schema.width, len(fitted.schema.names))

    def is_described(self, architecture):
        fitted = getattr(self, "table_", None)
        if fitted is None:
            return super().is_described(architecture)
        if fitted.latents is not None:
            fitted.latents.check(architecture.latent_dim)
        whole = architecture.missing and architecture.completed and architecture.n_features == fitted.schema.width
        return whole and architecture.likelihood == fitted.schema.likelihood()

    def arguments_as_fitted(self):
        if self.table_ is None:
            return super().arguments_as_fitted()
        auto = Auto.of(self.likelihood) or Auto(missing=self.table_.rows.missing, unseen=self.table_.unseen)
        return {"divide_by": 1.0, "binarize": "none", "dtype": str(self.theta_.dtype), "likelihood": auto.config()}

    def _describe_view(self):
        return super()._describe_view() if self.table_ is None else {}

    def _restore_view(self, header, architecture):
        return super()._restore_view(header, architecture) if self.table_ is None else self.table_.rows

    def _more_for_file(self):
        if self.table_ is None:
            return super()._more_for_file()
        entry, arrays = self.table_.describe()
        return {"table": entry, **({} if self.nearness_ is None else {"nearness": self.nearness_.config()})}, arrays

    def _restore_more(self, header, arrays, backend, threads):
        self.table_, self.nearness_ = None, None
        if "table" not in header:
            return super()._restore_more(header, arrays, backend, threads)
        auto = Auto.of(self.likelihood)
        if auto is None:
            raise ModelFileError('it is of a table, but its likelihood is another than "auto"')
        self.table_ = tables.FittedTable.restore(header["table"], arrays, auto)
        if "nearness" in header:
            self.nearness_ = Nearness(**header["nearness"])
