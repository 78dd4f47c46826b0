"""What several kinds of npvae's files hold: architectures, histories, likelihoods and labels, declared once."""

from __future__ import annotations

import math

from npvae.errors import InputError, ModelFileError
from npvae.mathematics.layers import activations
from npvae.mathematics.model import MOST_LAYERS
from npvae.support.fields import Anything, Digest, Either, Field, Flag, ListOf, Maybe, OneOf, Real, Record, Text, Whole

WIDTHS = ListOf(Whole(1), longest=MOST_LAYERS)
#: A class of rows.
LABEL = Either(Whole(-(2**63)), Flag(), Text(1000))
COLUMN_NAMES = Maybe(ListOf(Text(10_000), shortest=1))
SEED = Whole(0)
#: What the command line trained a model on: the name of a known data set, or of a file, and the column of its labels;
#: and a digest of all that decides what the model is.
TRAINED_ON = Maybe(Record({"data": Text(10_000), "label_column": Maybe(Text(10_000))}, {"run": Digest()}))
#: Said by the program, about the end of training.
REASON = Maybe(Text(1000, plain=True))


def plain_reason(reason) -> str | None:
    """Why training ended, in so many characters that a terminal shows."""
    return None if reason is None else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(reason))[:1000]


class Configuration(Field):
    """``{"name": ..., argument: value}``, bounded; what the class makes of it is seen when it is built."""

    expected = 'an object with a "name"'
    _bounds = Anything()

    def read(self, name, value):
        if not isinstance(value, dict) or not isinstance(value.get("name"), str):
            raise self.refuse(name, value)
        return self._bounds.read(name, value)


ARCHITECTURE = {
    "n_features": Whole(1),
    "latent_dim": Whole(1),
    "hidden": WIDTHS,
    "decoder_hidden": WIDTHS,
    "activation": OneOf(activations.NAMES),
    "likelihood": Configuration(),
}
ARCHITECTURE_OPTIONS = {"missing": Flag(), "linear_path": Flag(), "completed": Flag()}
#: What a model with classes has beside.
CLASSES_OF_ARCHITECTURE = {"n_classes": Whole(2), "classifier_hidden": WIDTHS, "class_prior": ListOf(Real(above=0.0))}


class HistoryField(Field):
    """The columns of a history: equally long, an entry an epoch, the epochs counted from 1."""

    _size, _measured = Real(minimum=0.0), Real()
    _measures = {
        **dict.fromkeys(("loss", "elbo", "reconstruction", "kl"), ListOf(_measured)),
        "active_units": ListOf(Whole(0)),
        "kl_per_dimension": ListOf(ListOf(_measured)),
    }
    # Of an epoch without a labelled row there is neither error nor cross-entropy.
    _more = {
        "bound": ListOf(_measured),
        **dict.fromkeys(("error", "cross_entropy"), ListOf(Real(minimum=0.0, nan=True))),
    }
    _columns = Record(
        {
            "epoch": ListOf(Whole(1)),
            **_measures,
            "gradient_norm": ListOf(_measured),
            "beta": ListOf(_size),
            "learning_rate": ListOf(_size),
            "seconds": ListOf(_size),
        },
        {**_more, **{f"val_{name}": field for name, field in {**_measures, **_more}.items()}},
    )
    expected = _columns.expected

    def read(self, name, value):
        if value == {}:
            return value
        columns = self._columns.read(name, value)
        epochs = len(columns["epoch"])
        for column, entries in columns.items():
            if len(entries) != epochs:
                raise InputError(f"{name}.{column} has {len(entries)} entries for {epochs} epochs")
        if columns["epoch"] != list(range(1, epochs + 1)):
            raise InputError(f"{name}.epoch must be 1, 2, ..., {epochs}")
        for column in ("kl_per_dimension", "val_kl_per_dimension"):
            if len(set(map(len, columns.get(column, [])))) > 1:
                raise InputError(f"{name}.{column} must have equally many entries in every epoch")
        return columns


HISTORY = HistoryField()


def check_latent_dim(history: dict, latent_dim: int) -> None:
    """ModelFileError: the history is of a model with another number of latent dimensions."""
    for column in ("kl_per_dimension", "val_kl_per_dimension"):
        if history.get(column) and len(history[column][0]) != latent_dim:
            raise ModelFileError(f"its history has {len(history[column][0])} latent dimensions, its model {latent_dim}")


def build_architecture(cls, config: dict, parameters: int):
    """The architecture of a declared configuration, for a model of so many parameters; nothing that it would need is
    made before it is known to fit. ModelFileError.
    """
    likelihood = config["likelihood"]
    widths = [config["n_features"], config["latent_dim"], *config["hidden"], *config["decoder_hidden"]]
    widths += [config.get("n_classes", 0), *(config.get("classifier_hidden") or [])]
    parts = [len(entry) for entry in likelihood.values() if isinstance(entry, (list, dict))]
    if max(widths) > parameters or sum(widths) > 2 * parameters or max(parts, default=0) > config["n_features"]:
        raise ModelFileError(f"its architecture is too large for its {parameters} parameters")
    architecture = cls.from_config(config)
    heads = architecture.likelihood.heads(architecture.n_features)
    needed = sum(math.prod(shape) for layer in architecture.all_layers() for shape in layer.shapes().values())
    if needed > parameters or sum(heads.values()) > parameters:
        raise ModelFileError(f"its architecture needs at least {needed} parameters, but it has {parameters}")
    return architecture
