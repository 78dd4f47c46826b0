"""Everything that defines a training run besides the model and the data."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from npvae import check, optim, registry, schedules
from npvae.errors import InputError
from npvae.optim import Optimizer
from npvae.schedules import Schedule

BINARIZE = ("none", "static", "dynamic")


@dataclass(frozen=True)
class TrainingSettings:
    """The run's constants, checked.

    seed            of every random number of the run
    epochs          passes over the data
    batch_size      rows a step; the last of an epoch may have fewer, and one larger than the data is cut
    learning_rate   times ``schedule``'s factor
    beta            weight of the KL term, reached in a line over ``kl_warmup`` epochs
    clip_norm       longest gradient allowed, None for any
    patience        epochs without a better validation ELBO before the run stops, None for never
    min_delta       nats by which the validation ELBO must be better to count
    binarize        "none"; "static": each pixel drawn once; "dynamic": drawn anew every step

    InputError, InputTypeError, UnknownNameError: a value that cannot be, or a schedule that would not fit
    in the run.
    """

    seed: int
    epochs: int = 50
    batch_size: int = 100
    learning_rate: float = 1e-3
    optimizer: Optimizer = field(default_factory=optim.RMSprop)
    schedule: Schedule = field(default_factory=schedules.Constant)
    beta: float = 1.0
    kl_warmup: float = 0.0
    clip_norm: float | None = None
    patience: int | None = None
    min_delta: float = 0.0
    binarize: str = "none"

    def __post_init__(self) -> None:
        check.whole_number("seed", self.seed, 0)
        check.whole_number("epochs", self.epochs, 1)
        check.whole_number("batch_size", self.batch_size, 1)
        check.real_number("learning_rate", self.learning_rate, above=0.0)
        object.__setattr__(self, "optimizer", optim.get(self.optimizer))
        object.__setattr__(self, "schedule", schedules.get(self.schedule))
        check.real_number("beta", self.beta, minimum=0.0)
        check.real_number("kl_warmup", self.kl_warmup, minimum=0.0)
        if self.clip_norm is not None:
            check.real_number("clip_norm", self.clip_norm, above=0.0)
        if self.patience is not None:
            check.whole_number("patience", self.patience, 1)
        check.real_number("min_delta", self.min_delta, minimum=0.0)
        check.one_of("binarize", self.binarize, BINARIZE)
        self.schedule.check_length(self.epochs)
        if self.kl_warmup > self.epochs:
            raise InputError(
                f"kl_warmup is {self.kl_warmup:g} epochs, but the run has {self.epochs}: "
                f"beta would never reach {self.beta:g}"
            )

    def config(self) -> dict:
        """The fields, JSON-able; :meth:`from_config` is the inverse."""
        config = asdict(self)
        config["optimizer"] = registry.to_config(self.optimizer)
        config["schedule"] = registry.to_config(self.schedule)
        return config

    @classmethod
    def from_config(cls, config) -> TrainingSettings:
        """The settings of :meth:`config`."""
        return cls(**config)
