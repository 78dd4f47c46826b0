"""``OutlierVAE``: which rows of a table are unlike the others, how much, and by which columns."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from npvae import evaluation
from npvae.data.tables.schema import UNSEEN
from npvae.errors import ModelFileError, PosteriorCollapseWarning
from npvae.estimators import model_file, preparation
from npvae.estimators.base import Estimator
from npvae.estimators.outliers.preparation import FARTHEST, SupportPreparation, architecture_of
from npvae.estimators.outliers.scores import OutlierScores, medians
from npvae.estimators.tables import rows as table_rows
from npvae.estimators.tables.rows import TableRows
from npvae.mathematics.objectives import ImportanceWeighted
from npvae.support import check, npz_file
from npvae.support.fields import Real
from npvae.support.progress import progress_bar

#: The largest share of outliers.
MOST_CONTAMINATED = 0.5


class OutlierVAE(Estimator):
    """Finds outliers by a variational autoencoder that is trained on the less unusual half of the rows, with
    scikit-learn's conventions.

        score = -log p(x)                       by importance sampling; in nats: large where a row is unlike the others
        outlier where log p(x) < offset_        the ``contamination`` quantile of log p of the fitted rows

    A table is a frame, a mapping of columns, a list of records, an array or a list of rows, of numbers, dates, text and
    truth values, with gaps, as :class:`npvae.TableImputer` takes; nothing needs to be scaled, encoded or filled in
    first. Numbers are modelled as they are, by Student's t (outliers/columns.py). The rows may hold outliers: training
    is on the half of them that fit each other best, found by concentration steps (outliers/support.py). What is missing
    of a row is left out of its score.

    Parameters
    ----------
    contamination : the share of outliers, above 0 and at most 0.5: it sets ``offset_``, and has no part in training or
        scores.
    kinds, ignore, missing, unseen : as of TableImputer; kinds: of columns that shall be modelled by another kind.
    support_fraction : the share of rows to train on; 1 for all, where they are known to hold no outliers.
    latent_dim, hidden : of the network: tanh, with linear paths beside the hidden layers.
    samples : of z for each row, in scores.
    learning_rate, batch_size, epochs, validation_fraction : of training on the importance-weighted bound, K = 5, by
        Adam. epochs, at most; None: as many as make 300 steps, at most 200. validation_fraction: of the support, to
        stop early by.
    backend, threads, random_state, verbose : as for VAE.

    Attributes
    ----------
    offset_ : log p(x) below which a row is an outlier. typical_ : (C + 1,), see :class:`OutlierScores`.
    support_ : after fit, which rows were trained on or held out, (N,), booleans.
    schema_ ; carried_ : of columns that are not modelled, the reason; n_features_in_, feature_names_in_, model_,
        theta_, history_, seed_.

    Examples
    --------
    >>> import numpy as np
    >>> from npvae import OutlierVAE
    >>> x = np.random.default_rng(0).normal(size=(200, 1)) * [1.0, -1.0, 2.0]
    >>> x[7] = [2.0, 2.0, 4.0]
    >>> detector = OutlierVAE(contamination=0.005, latent_dim=1, random_state=0).fit(x)
    >>> np.flatnonzero(detector.predict(x) == -1)
    array([7])
    >>> detector.explain(x[7:8]).largest
    ['1']
    """

    #: Arguments of training that are no arguments here.
    divide_by, binarize, output_bias, dtype, optimizer, schedule = 1.0, "none", "zero", "float32", "adam", "constant"
    beta, kl_warmup, clip_norm, patience, min_delta, initial_weights = 1.0, 0, 100.0, None, 0.0, "glorot"
    objective = ImportanceWeighted(5)
    #: What stands for None until the rows are known: see preparation.py.
    _defaults = {"epochs": 1}

    _more_header = {"table": table_rows.DECLARATION, "offset": Real()}

    def __init__(
        self,
        contamination: float = 0.1,
        *,
        kinds: Mapping[Any, Any] | None = None,
        ignore: Iterable[Any] = (),
        missing: Any = (),
        unseen: str = "error",
        support_fraction: float = 0.5,
        latent_dim: int | None = 5,
        hidden: int | Sequence[int] | None = (64,),
        samples: int = 200,
        learning_rate: float | None = 1e-3,
        batch_size: int | None = 128,
        epochs: int | None = None,
        validation_fraction: float | None = 0.1,
        backend: Any = "auto",
        threads: int | None = None,
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.contamination = contamination
        self.kinds = kinds
        self.ignore = ignore
        self.missing = missing
        self.unseen = unseen
        self.support_fraction = support_fraction
        self.latent_dim = latent_dim
        self.hidden = hidden
        self.samples = samples
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.epochs = epochs
        self.validation_fraction = validation_fraction
        self.backend = backend
        self.threads = threads
        self.random_state = random_state
        self.verbose = verbose

    # learning

    def fit(
        self,
        X: ArrayLike | Mapping[str, Any],
        y: ArrayLike | None = None,
        *,
        callbacks: Iterable[Callable[..., Any]] = (),
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_seconds: float = 10.0,
        resume: bool | str = False,
    ) -> OutlierVAE:
        """Learn from a table X of N rows and C columns, which may hold outliers. Return self; y is ignored.

        callbacks, checkpoint, checkpoint_seconds, resume, Ctrl-C: as of :meth:`npvae.VAE.fit`. InputError,
        InputTypeError: an argument or the table is not what it must be; the message names column and row.
        """
        self._check_numbers()
        run = preparation.prepare(self, X)
        with warnings.catch_warnings():
            # A latent dimension that a table has no use for is no accident here.
            warnings.simplefilter("ignore", PosteriorCollapseWarning)
            return self.fit_prepared(
                run, callbacks=callbacks, checkpoint=checkpoint, checkpoint_seconds=checkpoint_seconds, resume=resume
            )

    def fit_predict(self, X, y=None, **fit_arguments) -> np.ndarray:
        """``fit`` and then ``predict``."""
        return self.fit(X, y, **fit_arguments).predict(X)

    def rows_for_training(self):
        return SupportPreparation(self)

    def _keep_rows(self, run):
        by = run.rows
        self.table_ = by.table
        self.support_ = np.isin(np.arange(len(by.x)), by.support)
        found = self._contributions(by.x)
        self.offset_ = float(np.percentile(-found.score, 100.0 * self.contamination))
        parts = np.concatenate([found.by_variable, found.latent[:, None]], axis=1)
        self.typical_ = medians(parts[self.support_], self._observed(by.x[self.support_]))

    def _check_numbers(self) -> None:
        check.real_number("contamination", self.contamination, above=0.0, maximum=MOST_CONTAMINATED)
        check.one_of("unseen", self.unseen, UNSEEN)
        for name in ("samples", "latent_dim"):
            check.whole_number(name, getattr(self, name), 1)

    # scores

    @property
    def schema_(self):
        """The columns that are modelled: a :class:`npvae.data.tables.schema.Schema`."""
        self._check_fitted()
        return self.table_.schema

    @property
    def carried_(self) -> dict[str, str]:
        """Of columns that are not modelled, the reason, by name."""
        return dict(self.schema_.carried)

    def score_samples(self, X: ArrayLike | Mapping[str, Any]) -> np.ndarray:
        """log p(x) of each row, (N,) float64, in nats: the larger, the more usual. With ``samples`` samples of z a row.

        NotFittedError. InputError: other columns than the fitted table's, names that it did not have, text among
        numbers.
        """
        x = self._input(X)
        with progress_bar(self.verbose, len(x), "row") as progress:
            rows, samples = self._on_device(x), check.whole_number("samples", self.samples, 1)
            return evaluation.log_likelihood(
                self.model_, self.device_theta(), rows, self.seed_, samples, progress=progress
            ).rows

    def decision_function(self, X: ArrayLike | Mapping[str, Any]) -> np.ndarray:
        """``score_samples(X) - offset_``, (N,): below 0 for outliers."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: ArrayLike | Mapping[str, Any]) -> np.ndarray:
        """-1 for outliers and 1 for other rows, (N,)."""
        return np.where(self.decision_function(X) < 0.0, -1, 1)

    def explain(self, X: ArrayLike | Mapping[str, Any]) -> OutlierScores:
        """The scores of the rows, their standard errors, and what each column contributes: see
        :class:`OutlierScores`.
        """
        x = self._input(X)
        with progress_bar(self.verbose, len(x), "row") as progress:
            found = self._contributions(x, progress)
        return OutlierScores.of(
            found, [column.name for column in self.schema_.columns], self._observed(x), self.typical_
        )

    def _contributions(self, x, progress=None):
        return evaluation.contributions(
            self.model_, self.device_theta(), self._on_device(x), self.seed_, self.samples, progress
        )

    def _on_device(self, x):
        return self.model_.ops.asarray(self._rows(x))

    def _observed(self, x) -> np.ndarray:
        """Which cells of rows x (N, D) are there, (N, C)."""
        return ~np.isnan(x[:, [block.start for block in self.table_.schema.slices]])

    def _input(self, X, missing=False):
        self._check_fitted()
        return self.table_.read(X, check.one_of("unseen", self.unseen, UNSEEN)).astype(self.dtype)

    def __sklearn_tags__(self):
        from sklearn.utils import InputTags, Tags, TargetTags

        return Tags(
            estimator_type="outlier_detector",
            target_tags=TargetTags(required=False),
            input_tags=InputTags(allow_nan=True, string=True, categorical=True),
        )

    # its file

    def arguments_as_fitted(self):
        return {
            "kinds": None,
            "ignore": None,
            "missing": list(self.table_.missing),
        }  # what kinds and ignore said is in the schema

    def _widths_of(self, architecture):
        return self.table_.schema.width, len(self.table_.schema.names)

    def is_described(self, architecture):
        described = architecture_of(self.table_.schema, self.latent_dim, self.hidden)
        return described.config() == architecture.config()

    def _more_for_file(self):
        entry, arrays = self.table_.described()
        return {"table": entry, "offset": self.offset_}, {**npz_file.within("table", arrays), "typical": self.typical_}

    def _describe_view(self):
        return {}

    def _restore_view(self, header, architecture):
        return self.table_

    def _restore_more(self, header, arrays, backend, threads):
        inner = npz_file.taken_out("table", arrays)
        model_file.refuse_other_arrays(arrays, ("theta", "typical", *npz_file.within("table", inner)))
        self.ignore, self.missing, self.hidden = (
            (),
            tuple(self.missing),
            self.hidden if isinstance(self.hidden, int) else tuple(self.hidden),
        )
        self.table_ = replace(TableRows.restored(header["table"], inner, self.missing), farthest=FARTHEST)
        self.offset_, self.typical_ = header["offset"], arrays["typical"]
        if self.typical_.shape != (len(self.table_.schema.columns) + 1,) or not np.isfinite(self.typical_).all():
            raise ModelFileError("what is typical of its columns does not fit them")
