"""The public face: a variational autoencoder with scikit-learn's conventions, without scikit-learn.

The constructor only stores its arguments; ``fit`` learns, and what it learns ends in an underscore.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from numpy.typing import ArrayLike, DTypeLike

from npvae.estimators import preparation
from npvae.estimators.fitted import FittedVAE
from npvae.estimators.tables.vae import TableHooks
from npvae.estimators.tables.vae.configuration import Auto
from npvae.mathematics import likelihoods
from npvae.mathematics.likelihoods import Likelihood
from npvae.mathematics.model import Model
from npvae.mathematics.objectives.base import Objective
from npvae.mathematics.optimizers import Optimizer
from npvae.mathematics.schedules import Schedule

#: What arguments that are None stand for, unless the likelihood is "auto": the study note's model.
DEFAULTS = {
    "latent_dim": 2,
    "hidden": (256,),
    "activation": "relu",
    "linear_path": False,
    "objective": "elbo",
    "optimizer": "rmsprop",
    "learning_rate": 1e-3,
    "batch_size": 100,
    "epochs": 50,
    "validation_fraction": 0.0,
}
#: ... and what they stand for where the likelihood is one of counts. Matrices of counts have more columns than rows,
#: often: a decoder that is linear up to the likelihood's logarithm learns no row by heart. Chosen on held-out training
#: rows of three: docs/counts.md.
COUNTS = {"latent_dim": 10, "decoder_hidden": (), "activation": "tanh", "optimizer": "adam", "learning_rate": 3e-3}
#: Steps of training on counts, and the fewest and most epochs for them.
STEPS, FEWEST_EPOCHS, MOST_EPOCHS = 1200, 20, 400


class VAE(TableHooks, FittedVAE):
    """A variational autoencoder.

    Training maximises the ELBO, in nats, summed over features and averaged over rows:

        elbo = E_q(z|x)[log p(x|z)] - KL(q(z|x) || p(z))  <=  log p(x)

    with q(z|x) = N(mu(x), diag(exp(logvar(x)))) and p(z) = N(0, I).

    Parameters
    ----------
    latent_dim : number of latent dimensions, Z; None: 2, of counts ("poisson", "negative_binomial", "multinomial",
        "dirichlet_multinomial") 10.
    hidden : widths of the encoder's hidden layers; () makes it linear; None: one of 256.
    decoder_hidden : widths of the decoder's, from z on; None mirrors the encoder, but of counts is (): linear.
    activation : "relu" (also for None, but of counts "tanh"), "tanh", "softplus" or "identity".
    missing : whether NaN in the data is a missing entry; training is then on what is observed.
    linear_path : linear layers beside the hidden ones, to the posterior's mean and variance and the decoder's mean;
        None: none.
    likelihood : "bernoulli", "continuous_bernoulli", "squared_error", "gaussian", "gaussian_one_variance",
        "gaussian_per_feature", "gaussian_decoder", "student_t", "bounded", "categorical", "ordinal", "poisson",
        "negative_binomial", "multinomial", "dirichlet_multinomial", "table"; ``{"name": ..., argument: value}``; or a
        Likelihood. "auto": X is a table of columns of any kind, with gaps perhaps, each with the likelihood that suits
        it; or ``{"name": "auto", "kinds": {...}, "ignore": [...], "missing": [...], "unseen": "missing"}``, as of
        TableImputer. Columns are scaled inside, and arguments that are None are then chosen by the table: see
        npvae/estimators/tables/vae/choices.py.
    beta, kl_warmup : weight of the KL term, and the epochs over which it rises to it in a line; or ``{"name": "cyclic",
        "period": 10}``; or a Warmup.
    objective : what training maximises: "elbo" (also for None); ``{"name": "elbo", "free_bits": 0.5}``; ``{"name":
        "importance_weighted", "samples": 5, "estimator": "dreg"}``; or an Objective.
    optimizer : "rmsprop" (also for None, but of counts "adam"), "adam", "sgd"; a mapping with arguments; or an
        Optimizer.
    learning_rate, schedule : the rate, None: 0.001, of counts 0.003; and how it changes ("constant", "cosine", a
        mapping, or a Schedule).
    clip_norm : longest gradient allowed; None for any.
    batch_size, epochs : rows a step, passes over the data; None: 100 and 50, of counts as many as make 1,200 steps,
        from 20 to 400.
    validation_fraction : part of the rows held out from training, at the seed's choice; None: none.
    patience, min_delta : early stopping on the validation ELBO; None for none.
    binarize : "none", "static" or "dynamic": draw zeros and ones from grey values, once or every step.
    initial_weights : "glorot", "he" or "fan_in": how weights and biases start (npvae/mathematics/layers/initial.py).
    output_bias : "data": start the biases of the decoder's outputs where they fit the data's columns; "zero"; "auto":
        the first for likelihoods of counts, the second for others.
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
    encoder_view_ : what the encoder sees of counts, their logarithms standardised (npvae/mathematics/encoder_view.py);
        None: the data themselves.
    latent_dim_, hidden_ : of the fitted model, given or chosen. Of a table also epochs_, batch_size_, schema_ (its
        columns), carried_ (columns that are not modelled, and why), nearness_ (how near synthetic rows are to rows
        trained on), table_.
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
        self,
        latent_dim: int | None = None,
        hidden: int | Sequence[int] | None = None,
        *,
        decoder_hidden: int | Sequence[int] | None = None,
        activation: str | None = None,
        missing: Any = False,
        linear_path: bool | None = None,
        likelihood: str | Mapping[str, Any] | Likelihood | None = "bernoulli",
        objective: str | Mapping[str, Any] | Objective | None = None,
        beta: float = 1.0,
        kl_warmup: Any = 0,
        optimizer: str | Mapping[str, Any] | Optimizer | None = None,
        learning_rate: float | None = None,
        schedule: str | Mapping[str, Any] | Schedule = "constant",
        clip_norm: float | None = None,
        batch_size: int | None = None,
        epochs: int | None = None,
        validation_fraction: float | None = None,
        patience: int | None = None,
        min_delta: float = 0.0,
        binarize: str = "none",
        initial_weights: str = "glorot",
        output_bias: str = "auto",
        divide_by: float = 1.0,
        backend: Any = "auto",
        threads: int | None = None,
        dtype: DTypeLike = "float32",
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
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

    _defaults = DEFAULTS

    def argument(self, name):
        """A constructor's argument, or what it stands for where it is None."""
        if name in COUNTS and getattr(self, name) is None and self._is_of_counts():
            return COUNTS[name]
        return super().argument(name)

    def choose_model(self, settings, x, x_valid, ops):
        """``(model, settings)`` to train on the scaled rows x (N, columns)."""
        model, settings = super().choose_model(settings, x, x_valid, ops)
        if self.epochs is None and self._is_of_counts():
            epochs = round(STEPS / -(-len(x) // settings.batch_size))
            settings = replace(settings, epochs=min(max(epochs, FEWEST_EPOCHS), MOST_EPOCHS))
        return model, settings

    def _is_of_counts(self) -> bool:
        """Whether all features are counts."""
        return self.binarize == "none" and Auto.of(self.likelihood) is None and likelihoods.get(self.likelihood).counts

    # learning

    def build(self, X, X_valid=None) -> Model:
        """Check the arguments and the data as ``fit`` would, and return the untrained model it would train."""
        return preparation.prepare(self, X, X_valid).model

    def fit(
        self,
        X: ArrayLike | Mapping[str, Any],
        y: ArrayLike | None = None,
        *,
        X_valid: ArrayLike | Mapping[str, Any] | None = None,
        callbacks: Iterable[Callable[..., Any]] = (),
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_seconds: float = 10.0,
        resume: bool | str = False,
    ) -> VAE:
        """Train on X (N, I) or (N, ...); y is ignored. Return self.

        X_valid: rows to validate on, in the place of ``validation_fraction``. callbacks: functions called with the
        TrainingState after every epoch. checkpoint: a path to write checkpoints to, at the start, then at most every
        ``checkpoint_seconds``, and at the end; with ``resume=True`` the run goes on from it, if it exists, to the same
        bits as one never interrupted. Where it could not, on another backend, processor or NumPy, it is refused;
        ``resume="anyway"`` goes on with a ResumedElsewhereWarning.

        Ctrl-C ends training after the current step: the model is kept, and usable, and a TrainingInterrupted is raised,
        which is a KeyboardInterrupt, so that it ends loops around ``fit`` too. NonFiniteError: a number became infinite
        or NaN; the model keeps the last good parameters, and ``stop_reason_`` says so. InputError, InputTypeError: an
        argument or the data are not what they must be, or another run writes to ``checkpoint``.
        """
        return self.fit_prepared(
            preparation.prepare(self, X, X_valid),
            callbacks=callbacks,
            checkpoint=checkpoint,
            checkpoint_seconds=checkpoint_seconds,
            resume=resume,
        )
