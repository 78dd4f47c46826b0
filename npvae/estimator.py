"""The public face: a variational autoencoder with scikit-learn's conventions, without scikit-learn.

The constructor only stores its arguments; ``fit`` learns, and what it learns ends in an underscore.
"""

from __future__ import annotations

import warnings

import numpy as np

from npvae import backend as backends
from npvae import check, evaluate, inputs, model_file, optim, random, schedules
from npvae.errors import (
    InputError,
    InputTypeError,
    NonFiniteError,
    TrainingInterruptedWarning,
)
from npvae.likelihoods.base import refuse_outside
from npvae.model import Architecture, Model
from npvae.sklearn_protocol import SklearnProtocol
from npvae.training import TrainingSettings, train
from npvae.training.checkpoint import Checkpointer, data_fingerprint, read_checkpoint
from npvae.training.loop import INTERRUPTED, initial_state
from npvae.training.progress import progress_reporter


class VAE(SklearnProtocol):
    """A variational autoencoder.

    Training maximises the ELBO, in nats, summed over features and averaged over rows:

        elbo = E_q(z|x)[log p(x|z)] - KL(q(z|x) || p(z))  <=  log p(x)

    with q(z|x) = N(mu(x), diag(exp(logvar(x)))) and p(z) = N(0, I).

    Parameters
    ----------
    latent_dim : number of latent dimensions, Z.
    hidden : widths of the encoder's hidden layers; () makes it linear.
    decoder_hidden : widths of the decoder's, from z on; None mirrors the encoder.
    activation : "relu", "tanh", "softplus" or "identity".
    likelihood : "bernoulli", "squared_error", "gaussian", "gaussian_one_variance",
        "gaussian_per_feature", "gaussian_decoder"; ``{"name": ..., argument: value}``; or a Likelihood.
    beta, kl_warmup : weight of the KL term, and the epochs over which it rises to it.
    optimizer : "rmsprop", "adam", "sgd"; a mapping with arguments; or an Optimizer.
    learning_rate, schedule : the rate, and how it changes ("constant", "cosine", a mapping, or a Schedule).
    clip_norm : longest gradient allowed; None for any.
    batch_size, epochs : rows a step, passes over the data.
    validation_fraction : part of the rows held out from training, at the seed's choice.
    patience, min_delta : early stopping on the validation ELBO; None for none.
    binarize : "none", "static" or "dynamic": draw zeros and ones from grey values, once or every step.
    divide_by : what raw data are divided by first, and outputs multiplied by (255 for 8-bit images).
    backend : "auto", "numpy", or an object of npvae.backend.
    dtype : "float32" or "float64".
    random_state : the seed; None for a fresh one, kept in ``seed_``.
    verbose : show progress.

    Attributes
    ----------
    theta_ : the parameters, a flat NumPy vector. parameters_ : the same by name, as views.
    model_ : the Model. history_ : a mapping of equally long columns, an entry an epoch.
    seed_, n_features_in_, sample_shape_, divide_by_, binarize_. stop_reason_ : why training ended. best_epoch_ : the epoch whose
    parameters early stopping kept, None without it.

    Examples
    --------
    >>> from npvae import VAE, load_dataset
    >>> digits = load_dataset("digits")
    >>> vae = VAE(latent_dim=2, epochs=1, divide_by=255, random_state=0).fit(digits.x_train[:500])
    >>> vae.transform(digits.x_test[:3]).shape
    (3, 2)
    """

    def __init__(
        self, latent_dim=2, hidden=(256,), *, decoder_hidden=None, activation="relu", likelihood="bernoulli",
        beta=1.0, kl_warmup=0, optimizer="rmsprop", learning_rate=1e-3, schedule="constant", clip_norm=None,
        batch_size=100, epochs=50, validation_fraction=0.0, patience=None, min_delta=0.0, binarize="none",
        divide_by=1.0, backend="auto", dtype="float32", random_state=None, verbose=False,
    ):
        self.latent_dim = latent_dim
        self.hidden = hidden
        self.decoder_hidden = decoder_hidden
        self.activation = activation
        self.likelihood = likelihood
        self.beta = beta
        self.kl_warmup = kl_warmup
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.clip_norm = clip_norm
        self.batch_size = batch_size
        self.epochs = epochs
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.min_delta = min_delta
        self.binarize = binarize
        self.divide_by = divide_by
        self.backend = backend
        self.dtype = dtype
        self.random_state = random_state
        self.verbose = verbose

    # learning

    def build(self, X, X_valid=None) -> Model:
        """Check the arguments and the data as ``fit`` would, and return the untrained model it would train."""
        return self._prepare(X, X_valid)[-1]

    def fit(
        self, X, y=None, *, X_valid=None, callbacks=(), checkpoint=None, checkpoint_seconds=10.0, resume=False
    ):
        """Train on X (N, I) or (N, ...); y is ignored. Return self.

        X_valid: rows to validate on, in the place of ``validation_fraction``. callbacks: functions called
        with the TrainingState after every epoch. checkpoint: a path to write checkpoints to, at most every
        ``checkpoint_seconds``; with ``resume=True`` the run goes on from it, if it exists, to the same bits as
        one never interrupted.

        Ctrl-C ends training after the current step, with a TrainingInterruptedWarning; the model is usable.
        NonFiniteError: a number became infinite or NaN; the model keeps the last good parameters.
        InputError, InputTypeError: an argument or the data are not what they must be.
        """
        settings, rows, x, x_valid, model = self._prepare(X, X_valid)
        if not all(map(callable, callbacks)):
            raise InputTypeError("callbacks must be a list of functions")
        state, hooks = None, list(callbacks)
        if checkpoint is not None:
            fingerprints = {"x": data_fingerprint(x)}
            if x_valid is not None:
                fingerprints["x_valid"] = data_fingerprint(x_valid)
            if resume:
                try:
                    state = read_checkpoint(checkpoint, model, settings, fingerprints)
                except FileNotFoundError:
                    state = None
            hooks.append(Checkpointer(checkpoint, model, settings, fingerprints, checkpoint_seconds))

        state = state or initial_state(model, settings, self.dtype)
        asarray = model.ops.asarray
        try:
            with progress_reporter(self.verbose, settings.epochs, state) as report:
                train(
                    model, settings, asarray(x), None if x_valid is None else asarray(x_valid), state,
                    [report, *hooks],
                )
        except BaseException as error:
            state.stop("a number was not finite" if isinstance(error, NonFiniteError) else f"ended by {error!r}")
            raise
        finally:
            self._keep(model, settings.seed, state, rows)
        if state.stop_reason == INTERRUPTED:
            warnings.warn(
                f"training interrupted in epoch {state.epoch + 1} of {settings.epochs}",
                TrainingInterruptedWarning, stacklevel=2,
            )
        return self

    def _prepare(self, X, X_valid):
        """``(settings, rows, x, x_valid, model)``: everything checked, the validation rows held out."""
        settings = self._settings()
        rows = self._rows(X, n_features=None)
        x, x_valid = rows.values, None
        if X_valid is not None:
            x_valid = self._rows(X_valid, n_features=x.shape[1], name="X_valid").values
        elif held_out := self._validation_rows(len(x)):
            order = random.permutation(settings.seed, "validation split", 0, len(x))
            x, x_valid = x[order[held_out:]], x[order[:held_out]]
        if settings.patience is not None and x_valid is None:
            raise InputError("patience needs validation data: set validation_fraction, or give X_valid")
        model = self._build(x.shape[1])
        for values in (x, x_valid):
            if values is not None:
                if self.binarize != "none":
                    refuse_outside(
                        values, 0.0, 1.0, "to binarize", "scale the data, or leave binarize='none'", rows.column_names
                    )
                model.likelihood.check_data(values, rows.column_names)
        return settings, rows, x, x_valid, model

    def _settings(self) -> TrainingSettings:
        check.one_of("dtype", self.dtype, inputs.DTYPES)
        check.real_number("divide_by", self.divide_by, above=0.0)
        check.real_number("validation_fraction", self.validation_fraction, minimum=0.0, below=1.0)
        return TrainingSettings(
            seed=random.seed_from(self.random_state), epochs=self.epochs, batch_size=self.batch_size,
            learning_rate=self.learning_rate, optimizer=optim.get(self.optimizer),
            schedule=schedules.get(self.schedule), beta=self.beta, kl_warmup=self.kl_warmup,
            clip_norm=self.clip_norm, patience=self.patience, min_delta=self.min_delta, binarize=self.binarize,
        )

    def _validation_rows(self, rows: int) -> int:
        """How many rows to hold out: at least one of each part if any are."""
        if self.validation_fraction == 0.0:
            return 0
        held_out = round(rows * self.validation_fraction)
        if not 0 < held_out < rows:
            raise InputError(
                f"validation_fraction={self.validation_fraction:g} of {rows} rows leaves a part without rows"
            )
        return held_out

    def _build(self, n_features: int) -> Model:
        architecture = Architecture(
            n_features, self.latent_dim, self.hidden, self.decoder_hidden, self.activation, self.likelihood
        )
        return Model(architecture, backends.get(self.backend))

    def _keep(self, model, seed, state, rows) -> None:
        self.model_ = model
        self.theta_ = model.ops.to_numpy(state.theta)
        self.history_ = state.history
        self.seed_ = seed
        self.divide_by_ = float(self.divide_by)
        self.binarize_ = self.binarize
        self.stop_reason_ = state.stop_reason
        self.best_epoch_ = state.best_epoch or None
        self.n_features_in_ = model.architecture.n_features
        self.sample_shape_ = tuple(rows.sample_shape)
        if rows.column_names is not None:
            self.feature_names_in_ = np.array(rows.column_names, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_

    # using the model

    @property
    def parameters_(self) -> dict:
        """The parameters by name, as views of ``theta_``."""
        self._check_fitted()
        return self.model_.layout.views(np, self.theta_)

    def encode(self, X):
        """``(mu, logvar)`` of q(z|x), each (N, Z), of the model's dtype.

        NotFittedError, and the errors of ``fit`` about data; the same for every method that takes X.
        """
        x = self._input(X)
        views = self._views()
        parts = [self._encode(views, x[part]) for part in evaluate.batches(len(x), 1000)]
        return tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))

    def transform(self, X):
        """The posterior means, (N, Z): the same every call."""
        return self.encode(X)[0]

    def fit_transform(self, X, y=None, **arguments):
        """``fit`` and then ``transform``."""
        return self.fit(X, y, **arguments).transform(X)

    def inverse_transform(self, Z):
        """E[x|z] for Z (N, latent_dim), in the data's units and shape."""
        self._check_fitted()
        z = inputs.as_rows(
            Z, str(self.theta_.dtype), name="Z", n_features=self.model_.architecture.latent_dim
        ).values
        views = self._views()
        own = self.model_.likelihood_parameters(views)
        parts = [self._to_numpy(self.model_.likelihood.mean(self.model_.ops, self._decode(views, z[part]), own))
                 for part in evaluate.batches(len(z), 1000)]
        return self._output(np.concatenate(parts))

    def reconstruct(self, X, *, sample=False, random_state=None):
        """E[x|z] at z = mu(x), in the data's units and shape; with ``sample=True`` at z drawn from q(z|x)."""
        mu, logvar = self.encode(X)
        if not sample:
            return self.inverse_transform(mu)
        eps = random.normal(self._seed(random_state), "reconstruction noise", 0, mu.shape, mu.dtype)
        return self.inverse_transform(mu + np.exp(0.5 * logvar) * eps)

    def sample(self, n=1, *, mean=True, random_state=None):
        """``n`` new samples: z from the prior N(0, I), then E[x|z], or a draw from p(x|z) if ``mean=False``.

        With ``random_state=None`` the model's own seed is used, so the call repeats itself.
        """
        self._check_fitted()
        n = check.whole_number("n", n, 1)
        seed = self._seed(random_state)
        shape = (n, self.model_.architecture.latent_dim)
        z = random.normal(seed, "prior sample", 0, shape, self.theta_.dtype)
        if mean:
            return self.inverse_transform(z)
        views = self._views()
        own = {k: self._to_numpy(v) for k, v in self.model_.likelihood_parameters(views).items()}
        outputs = tuple(self._to_numpy(output) for output in self._decode(views, z))
        return self._output(self.model_.likelihood.draw(outputs, own, random.Stream(seed, "data sample", 0)))

    def elbo(self, X, *, draws=1, random_state=None) -> float:
        """The mean ELBO of the rows of X, in nats, with ``draws`` noise draws a row.

        It is of the data as the model sees them: divided by ``divide_by``, and binarised if training was. With
        "squared_error" it lacks the constant (I/2) log(pi); of grey values with "bernoulli" it is not a bound
        on a log-likelihood (see the likelihoods).
        """
        x = self._likelihood_input(X)
        draws = check.whole_number("draws", draws, 1)
        rows = evaluate.elbo_rows(self.model_, self._device_theta(), x, self._seed(random_state), draws)
        return float(rows.mean())

    def score_samples(self, X, *, samples=100, random_state=None):
        """log p(x) of each row, (N,) float64, in nats, by importance sampling with ``samples`` draws a row.

        In expectation a lower bound; larger ``samples`` bring it nearer. The density is that of the data as
        the model sees them; what :meth:`elbo` says of constants holds here too. See
        :func:`npvae.evaluate.log_likelihood_rows`.
        """
        x = self._likelihood_input(X)
        samples = check.whole_number("samples", samples, 1)
        return evaluate.log_likelihood_rows(
            self.model_, self._device_theta(), x, self._seed(random_state), samples
        )

    def score(self, X, y=None) -> float:
        """The mean of ``score_samples(X)``."""
        return float(self.score_samples(X).mean())

    # files

    def save(self, path) -> None:
        """Write the model to one .npz file, without pickle. OSError: it cannot be written."""
        model_file.save(self, path)

    @classmethod
    def load(cls, path, *, backend="auto") -> VAE:
        """The model of a file written by ``save``. FileNotFoundError, ModelFileError: it cannot be read."""
        return model_file.load(cls, path, backend)

    # helpers

    def _check_fitted(self) -> None:
        if not hasattr(self, "theta_"):
            raise self._not_fitted_error(
                f"this {type(self).__name__} is not fitted yet: call fit or load first"
            )

    def _rows(self, X, n_features, name="X") -> inputs.Rows:
        """Data to train on, as the arguments say."""
        return inputs.as_rows(
            X, self.dtype, name=name, n_features=n_features, divide_by=self.divide_by, model=type(self).__name__
        )

    def _input(self, X) -> np.ndarray:
        """Data for the fitted model, as it was fitted: arguments may have been changed since."""
        self._check_fitted()
        rows = inputs.as_rows(
            X, str(self.theta_.dtype), n_features=self.n_features_in_, divide_by=self.divide_by_,
            model=type(self).__name__,
        )
        fitted = getattr(self, "feature_names_in_", None)
        if fitted is not None and rows.column_names is not None and rows.column_names != list(fitted):
            raise InputError(
                "The feature names should match those that were passed during fit, in the same order; "
                f"expected {list(fitted)}, got {rows.column_names}"
            )
        return rows.values

    def _likelihood_input(self, X):
        """X on the device, checked against the likelihood, and binarised if the model was trained so."""
        x = self._input(X)
        names = getattr(self, "feature_names_in_", None)
        self.model_.likelihood.check_data(x, None if names is None else list(names))
        if self.binarize_ != "none":
            x = random.bernoulli(self.seed_, "evaluation binarize", 0, x)
        return self.model_.ops.asarray(x)

    def _device_theta(self):
        self._check_fitted()
        return self.model_.ops.asarray(self.theta_)

    def _views(self) -> dict:
        return self.model_.views(self._device_theta())

    def _to_numpy(self, array) -> np.ndarray:
        return self.model_.ops.to_numpy(array)

    def _encode(self, views, x):
        (mu, logvar), _ = self.model_.encode(views, self.model_.ops.asarray(x))
        return self._to_numpy(mu), self._to_numpy(logvar)

    def _decode(self, views, z):
        return self.model_.decode(views, self.model_.ops.asarray(z))[0]

    def _output(self, x) -> np.ndarray:
        """Model output in the data's units and shape."""
        return (x * np.asarray(self.divide_by_, x.dtype)).reshape(len(x), *self.sample_shape_)

    def _seed(self, random_state) -> int:
        self._check_fitted()
        return self.seed_ if random_state is None else random.seed_from(random_state)
