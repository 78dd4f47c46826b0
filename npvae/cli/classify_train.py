"""The training of ``npvae classify``: the model that the options describe."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from npvae.cli import choices, columns, output, resuming
from npvae.cli.classify_rows import Rows
from npvae.errors import CarriedColumnsWarning, InputError, TrainingInterrupted
from npvae.estimators.semisupervised import LatentClassifier, SemiSupervisedVAE
from npvae.estimators.semisupervised.labels import is_unlabelled
from npvae.estimators.tables.rows import TableRows
from npvae.estimators.vae import VAE

METHODS = ("m1", "m2", "m1+m2")
#: How m2 is trained on a Bernoulli likelihood, and everything else: with these steps it classifies rows without a label
#: better; m1 does not, and Gaussians with variances of their own do not bear them.
BERNOULLI_STEPS = {"learning_rate": 3e-3, "schedule": "cosine", "batch_size": 50}
OTHER_STEPS = {"learning_rate": 1e-3, "schedule": "constant", "batch_size": 100}


def train(options, rows: Rows, given):
    """``(model, exit code)``."""
    hidden, seed, quiet = choices.parse_widths(options.hidden), options.seed, options.quiet
    divide_by = options.divide_by if options.divide_by is not None else (rows.divide_by or 1.0)
    of_table = rows.table is not None or bool(
        options.likelihood is None and rows.x.dtype.kind == "f" and np.isnan(rows.x).any()
    )
    grey = not of_table and np.min(rows.x) >= 0.0 and np.max(rows.x) <= divide_by
    likelihood = choices.parse_choice(options.likelihood or ("bernoulli" if grey else "gaussian_decoder"))
    steps = BERNOULLI_STEPS if (options.method, likelihood) == ("m2", "bernoulli") else OTHER_STEPS
    common_arguments = {
        "backend": choices.parse_choice(options.backend),
        "threads": options.threads,
        "random_state": seed,
        "verbose": not quiet,
        "latent_dim": options.latent_dim,
        "hidden": hidden,
        "activation": "softplus",
        "optimizer": "adam",
        "epochs": options.epochs,
        **{
            name: default if getattr(options, name) is None else getattr(options, name)
            for name, default in steps.items()
        },
    }
    common_arguments["schedule"] = choices.parse_schedule(common_arguments["schedule"])
    assert rows.classes is not None  # of the codes given
    y: list[Any] = [rows.classes[code].item() if code >= 0 else None for code in given]
    classes = rows.classes.tolist() if any(map(is_unlabelled, rows.classes.tolist())) else None
    standardize = (
        not grey
        and options.divide_by is None
        and any(
            word in str(options.likelihood or "gaussian_decoder") for word in ("gaussian", "student_t", "squared_error")
        )
    )
    of_columns = {"kinds": columns.kinds_said(options), "unseen": options.unseen}
    model: LatentClassifier | SemiSupervisedVAE
    if of_table and options.method == "m2":
        model = SemiSupervisedVAE(
            likelihood="auto", alpha=options.alpha, classes=classes, **of_columns, **common_arguments
        )
    elif options.method == "m2":
        model = SemiSupervisedVAE(
            likelihood=likelihood,
            alpha=options.alpha,
            divide_by=divide_by,
            standardize=standardize,
            classes=classes,
            **common_arguments,
        )
    else:
        if options.likelihood is None and not (grey or of_table):
            raise InputError(
                "m1 and m1+m2 need data from 0 to 1, --divide-by, or a --likelihood; of other arrays use m2, which "
                "standardises them"
            )
        if of_table:
            where = {
                name: common_arguments[name] for name in ("backend", "threads", "random_state", "verbose", "epochs")
            }
            vae = VAE(likelihood={"name": "auto", **of_columns}, **where)
        else:
            binarize = "dynamic" if likelihood == "bernoulli" else "none"
            vae = VAE(likelihood=likelihood, divide_by=divide_by, binarize=binarize, **common_arguments)
        model = (
            LatentClassifier(vae, classes=classes)
            if options.method == "m1"
            else SemiSupervisedVAE(vae, alpha=options.alpha, classes=classes, **common_arguments)
        )
    try:
        with columns.naming_lines(rows.table):
            model.fit(
                rows.data(),
                y,
                checkpoint=resuming.file_of(options),
                checkpoint_seconds=options.checkpoint_seconds,
                resume=resuming.mode(options),
            )
    except TrainingInterrupted as error:
        if error.estimator is not model:  # but its features
            raise KeyboardInterrupt(
                f"{error}, of the VAE of features: there is no classifier yet{resuming.how_to_go_on(options)}"
            ) from None
        epochs = (model if isinstance(model, SemiSupervisedVAE) else model.features_).history_.epochs
        output.tell(
            f"npvae: interrupted after {epochs} of {options.epochs} epochs; classifying by the model so "
            f"far{resuming.how_to_go_on(options)}"
        )
        return model, 130
    return model, 0


def table_of(options, rows: Rows) -> TableRows:
    """What the model that is to be trained will know of its table, but for what completes its rows. InputError:
    there is nothing to learn from.
    """
    with warnings.catch_warnings(), columns.naming_lines(rows.table):
        warnings.simplefilter("ignore", CarriedColumnsWarning)  # it is said where the model is fitted
        return TableRows.fit(rows.x, columns.kinds_said(options))
