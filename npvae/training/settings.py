"""Everything that defines a training run besides the model and the data."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from npvae.mathematics import kl_warmup, objectives, optimizers, schedules
from npvae.mathematics.kl_warmup import Warmup
from npvae.mathematics.layers import initial
from npvae.mathematics.objectives import ELBO, Objective
from npvae.mathematics.optimizers import Optimizer
from npvae.mathematics.schedules import Schedule
from npvae.support import check, registry

BINARIZE = ("none", "static", "dynamic")
OUTPUT_BIAS = ("zero", "data")


@dataclass(frozen=True)
class TrainingSettings:
    """The run's constants, checked.

    seed            of every random number of the run
    epochs          passes over the data
    batch_size      rows a step; the last of an epoch may have fewer, and one larger than the data is cut
    learning_rate   times ``schedule``'s factor
    beta            weight of the KL term, reached by ``kl_warmup``: epochs, or a Warmup (kl_warmup.py)
    clip_norm       longest gradient allowed, None for any
    patience        epochs without a better validation ELBO before the run stops, None for never
    min_delta       nats by which the validation ELBO must be better to count
    initial_weights the rule by which weights and biases start: see npvae/mathematics/layers/initial.py
    output_bias     where the biases of the decoder's outputs start: at 0, or where they fit the data's columns
    objective       what is minimised: see npvae/mathematics/objectives
    noisy_features  rows of data are means and standard deviations of the features, which are drawn anew every step
    binarize        "none"; "static": each pixel drawn once; "dynamic": drawn anew every step

    InputError, InputTypeError, UnknownNameError: a value that cannot be, or a schedule that would not fit
    in the run.
    """

    seed: int
    epochs: int = 50
    batch_size: int = 100
    learning_rate: float = 1e-3
    optimizer: Optimizer = field(default_factory=optimizers.RMSprop)
    schedule: Schedule = field(default_factory=schedules.Constant)
    beta: float = 1.0
    kl_warmup: Warmup = field(default_factory=kl_warmup.Linear)
    clip_norm: float | None = None
    patience: int | None = None
    min_delta: float = 0.0
    binarize: str = "none"
    initial_weights: str = "glorot"
    output_bias: str = "zero"
    objective: Objective = field(default_factory=ELBO)
    noisy_features: bool = False

    def __post_init__(self) -> None:
        for name, minimum in (("seed", 0), ("epochs", 1), ("batch_size", 1), ("patience", 1)):
            self._set(name, check.whole_number, minimum=minimum)
        for name in ("learning_rate", "clip_norm"):
            self._set(name, check.real_number, above=0.0)
        for name in ("beta", "min_delta"):
            self._set(name, check.real_number, minimum=0.0)
        object.__setattr__(self, "optimizer", optimizers.get(self.optimizer))
        object.__setattr__(self, "schedule", schedules.get(self.schedule))
        object.__setattr__(self, "objective", objectives.get(self.objective))
        check.one_of("binarize", self.binarize, BINARIZE)
        check.one_of("initial_weights", self.initial_weights, initial.RULES)
        check.one_of("output_bias", self.output_bias, OUTPUT_BIAS)
        check.true_or_false("noisy_features", self.noisy_features)
        object.__setattr__(self, "kl_warmup", kl_warmup.get(self.kl_warmup))
        self.schedule.check_length(self.epochs)
        self.kl_warmup.check_length(self.epochs)

    def _set(self, name: str, checked, **bounds) -> None:
        """Replace a number by its checked, plain form; None stays where None means none."""
        value = getattr(self, name)
        if value is not None or name not in ("patience", "clip_norm"):
            object.__setattr__(self, name, checked(name, value, **bounds))

    def config(self) -> dict:
        """The fields, JSON-able; :meth:`from_config` is the inverse."""
        config = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        for name in ("optimizer", "schedule", "objective", "kl_warmup"):
            config[name] = registry.to_config(config[name])
        if not self.noisy_features:
            del config["noisy_features"]  # checkpoints from before there was such a thing can be resumed
        return config

    @classmethod
    def from_config(cls, config) -> TrainingSettings:
        """The settings of :meth:`config`."""
        return cls(**config)
