"""The public face: a variational autoencoder with scikit-learn's conventions, without scikit-learn.

The constructor only stores its arguments; ``fit`` learns, and what it learns ends in an underscore.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from npvae import check, evaluate, inputs, model_file, preparation, random
from npvae.batches import batches
from npvae.errors import (
    InputError,
    InputTypeError,
    NonFiniteError,
    TrainingInterruptedWarning,
)
from npvae.model import Model
from npvae.progress import progress_bar, progress_reporter
from npvae.sklearn_protocol import SklearnProtocol
from npvae.training import TrainingState, train
from npvae.training.checkpoint import Checkpointer, data_fingerprints, read_checkpoint
from npvae.training.loop import INTERRUPTED, initial_state


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
    missing : whether NaN in the data is a missing entry; training is then on what is observed.
    linear_path : linear layers beside the hidden ones, to the posterior's mean and variance and the decoder's mean.
    likelihood : "bernoulli", "continuous_bernoulli", "squared_error", "gaussian", "gaussian_one_variance",
        "gaussian_per_feature", "gaussian_decoder", "student_t", "categorical", "poisson", "table";
        ``{"name": ..., argument: value}``; or a Likelihood.
    beta, kl_warmup : weight of the KL term, and the epochs over which it rises to it in a line; or ``{"name": "cyclic",
        "period": 10}``; or a Warmup.
    objective : what training maximises: "elbo"; ``{"name": "elbo", "free_bits": 0.5}``; ``{"name": "importance_weighted",
        "samples": 5, "estimator": "dreg"}``; or an Objective.
    optimizer : "rmsprop", "adam", "sgd"; a mapping with arguments; or an Optimizer.
    learning_rate, schedule : the rate, and how it changes ("constant", "cosine", a mapping, or a Schedule).
    clip_norm : longest gradient allowed; None for any.
    batch_size, epochs : rows a step, passes over the data.
    validation_fraction : part of the rows held out from training, at the seed's choice.
    patience, min_delta : early stopping on the validation ELBO; None for none.
    binarize : "none", "static" or "dynamic": draw zeros and ones from grey values, once or every step.
    initial_weights : "glorot", "he" or "fan_in": how weights and biases start (npvae/layers/initial.py).
    output_bias : "zero", or "data": start the biases of the decoder's outputs where they fit the data's columns.
    divide_by : what raw data are divided by first, and outputs multiplied by (255 for 8-bit images).
    backend : "auto", "cupy", "numba", "numpy", a mapping with arguments, or an object of npvae.backend.
    threads : how many to run on, at most; None for what the environment says, or all cores.
    dtype : "float32" or "float64".
    random_state : the seed; None for a fresh one, kept in ``seed_``.
    verbose : show progress.

    Attributes
    ----------
    theta_ : the parameters, a flat NumPy vector. parameters_ : the same by name, as views.
    model_ : the Model. history_ : a mapping of equally long columns, an entry an epoch.
    seed_, n_features_in_, sample_shape_, divide_by_, binarize_.
    stop_reason_ : why training ended. best_epoch_ : the epoch whose parameters early stopping kept, or None.

    Examples
    --------
    >>> from npvae import VAE, load_dataset
    >>> digits = load_dataset("digits")
    >>> vae = VAE(latent_dim=2, epochs=1, divide_by=255, random_state=0).fit(digits.x_train[:500])
    >>> vae.transform(digits.x_test[:3]).shape
    (3, 2)
    """

    def __init__(
        self, latent_dim=2, hidden=(256,), *, decoder_hidden=None, activation="relu", missing=False, linear_path=False,
        likelihood="bernoulli", objective="elbo", beta=1.0, kl_warmup=0, optimizer="rmsprop", learning_rate=1e-3,
        schedule="constant",
        clip_norm=None, batch_size=100, epochs=50, validation_fraction=0.0, patience=None, min_delta=0.0, binarize="none",
        initial_weights="glorot", output_bias="zero", divide_by=1.0, backend="auto", threads=None, dtype="float32",
        random_state=None, verbose=False,
    ):
        self.latent_dim = latent_dim
        self.hidden = hidden
        self.decoder_hidden = decoder_hidden
        self.activation = activation
        self.missing = missing
        self.linear_path = linear_path
        self.likelihood = likelihood
        self.beta = beta
        self.kl_warmup = kl_warmup
        self.objective = objective
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
        self.initial_weights = initial_weights
        self.output_bias = output_bias
        self.divide_by = divide_by
        self.backend = backend
        self.threads = threads
        self.dtype = dtype
        self.random_state = random_state
        self.verbose = verbose

    # learning

    def build(self, X, X_valid=None) -> Model:
        """Check the arguments and the data as ``fit`` would, and return the untrained model it would train."""
        return preparation.prepare(self, X, X_valid).model

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
        return self.fit_prepared(
            preparation.prepare(self, X, X_valid), callbacks=callbacks, checkpoint=checkpoint,
            checkpoint_seconds=checkpoint_seconds, resume=resume,
        )

    def fit_prepared(
        self, run: preparation.Run, *, callbacks=(), checkpoint=None, checkpoint_seconds=10.0, resume=False
    ):
        """``fit`` on what :func:`npvae.preparation.prepare` made of this estimator and its data."""
        settings, x, x_valid, model = run.settings, run.x, run.x_valid, run.model
        if not all(map(callable, callbacks)):
            raise InputTypeError("callbacks must be a list of functions")
        state, hooks = None, list(callbacks)
        if checkpoint is not None:
            fingerprints = data_fingerprints(x, x_valid)
            hooks.append(Checkpointer(checkpoint, model, settings, fingerprints, checkpoint_seconds))
            if resume and Path(checkpoint).exists():
                state = read_checkpoint(checkpoint, model, settings, fingerprints)
        x, x_valid = model.ops.asarray(x), None if x_valid is None else model.ops.asarray(x_valid)
        state = state or initial_state(model, settings, x)
        try:
            with progress_reporter(self.verbose, settings.epochs, state) as report:
                train(model, settings, x, x_valid, state, [report, *hooks])
        except BaseException as error:
            state.stop("a number was not finite" if isinstance(error, NonFiniteError) else f"ended by {error!r}")
            raise
        finally:
            self._keep(run, state)
        if state.stop_reason == INTERRUPTED:
            warnings.warn(
                f"training interrupted in epoch {state.epoch + 1} of {settings.epochs}",
                TrainingInterruptedWarning, stacklevel=2,
            )
        return self

    def _keep(self, run: preparation.Run, state: TrainingState) -> None:
        self.model_ = run.model
        self.theta_ = run.model.ops.to_numpy(state.theta)
        self.history_ = state.history
        self.seed_ = run.settings.seed
        self.divide_by_ = float(self.divide_by)
        self.binarize_ = self.binarize
        self.stop_reason_ = state.stop_reason
        self.best_epoch_ = state.best_epoch or None
        self.n_features_in_ = run.model.architecture.n_features
        self.sample_shape_ = run.sample_shape
        if run.column_names is not None:
            self.feature_names_in_ = np.array(run.column_names, dtype=object)
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
        return evaluate.posterior(self.model_, self.device_theta(), x)

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
                 for part in batches(len(z), 1000)]
        return self._output(np.concatenate(parts))

    def reconstruct(self, X, *, sample=False, random_state=None):
        """E[x|z] at z = mu(x), in the data's units and shape; with ``sample=True`` at z drawn from q(z|x)."""
        mu, logvar = self.encode(X)
        if not sample:
            return self.inverse_transform(mu)
        eps = random.normal(self.seed_of(random_state), "reconstruction noise", 0, mu.shape, mu.dtype)
        return self.inverse_transform(mu + np.exp(0.5 * logvar) * eps)

    def sample(self, n=1, *, mean=True, random_state=None):
        """``n`` new samples: z from the prior N(0, I), then E[x|z], or a draw from p(x|z) if ``mean=False``.

        With ``random_state=None`` the model's own seed is used, so the call repeats itself.
        """
        self._check_fitted()
        n = check.whole_number("n", n, 1)
        seed = self.seed_of(random_state)
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
        x = self.model_input(X)
        draws = check.whole_number("draws", draws, 1)
        rows = evaluate.elbo_rows(self.model_, self.device_theta(), x, self.seed_of(random_state), draws)
        return float(rows.mean())

    def score_samples(self, X, *, samples=100, random_state=None):
        """log p(x) of each row, (N,) float64, in nats, by importance sampling with ``samples`` draws a row.

        In expectation a lower bound; larger ``samples`` bring it nearer. A row's noise depends on its place
        among the rows, so its score in other company differs by the estimate's own noise. The density is that
        of the data as the model sees them; what :meth:`elbo` says of constants holds here too. See :meth:`log_likelihood`
        for how far off it may be.
        """
        return self.log_likelihood(X, samples=samples, random_state=random_state).rows

    def log_likelihood(self, X, *, samples=5000, at_once=None, random_state=None, verbose=False):
        """log p(x) by importance sampling: a :class:`npvae.evaluate.LogLikelihood` with the rows' values, their mean with
        its standard error, sampling errors and effective sample sizes, in nats.

        at_once: samples decoded at a time, 1024 by default: the memory, not the result. verbose: show progress.
        """
        x = self.model_input(X)
        more = {} if at_once is None else {"at_once": at_once}
        with progress_bar(verbose, x.shape[0], "row") as progress:
            return evaluate.log_likelihood(
                self.model_, self.device_theta(), x, self.seed_of(random_state), samples, progress=progress, **more
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

    def _input(self, X) -> np.ndarray:
        """Data for the fitted model, as it was fitted: arguments may have been changed since."""
        self._check_fitted()
        rows = inputs.as_rows(
            X, str(self.theta_.dtype), n_features=self.n_features_in_, divide_by=self.divide_by_,
            model=type(self).__name__, missing=self.model_.architecture.missing,
        )
        fitted = getattr(self, "feature_names_in_", None)
        if fitted is not None and rows.column_names is not None and rows.column_names != list(fitted):
            raise InputError(
                "The feature names should match those that were passed during fit, in the same order; "
                f"expected {list(fitted)}, got {rows.column_names}"
            )
        return rows.values

    def model_input(self, X):
        """X on the device, checked against the likelihood, and binarised if the model was trained so."""
        x = self._input(X)
        names = getattr(self, "feature_names_in_", None)
        self.model_.likelihood.check_data(x, None if names is None else list(names))
        if self.binarize_ != "none":
            x = random.bernoulli(self.seed_, "evaluation binarize", 0, x)
        return self.model_.ops.asarray(x)

    def device_theta(self):
        """The fitted parameters in the backend's memory, (P,)."""
        self._check_fitted()
        return self.model_.ops.asarray(self.theta_)

    def _views(self) -> dict:
        return self.model_.views(self.device_theta())

    def _to_numpy(self, array) -> np.ndarray:
        return self.model_.ops.to_numpy(array)

    def _decode(self, views, z):
        return self.model_.decode(views, self.model_.ops.asarray(z))[0]

    def _output(self, x) -> np.ndarray:
        """Model output in the data's units and shape."""
        return (x * np.asarray(self.divide_by_, x.dtype)).reshape(len(x), *self.sample_shape_)

    def seed_of(self, random_state) -> int:
        """The seed that ``random_state`` means: the model's own for None."""
        self._check_fitted()
        return self.seed_ if random_state is None else random.seed_from(random_state)
