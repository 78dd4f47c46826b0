"""All that a trained model is judged by, on one set of data: what ``npvae evaluate`` prints and writes."""

from __future__ import annotations

import math
import time

import numpy as np

from npvae import evaluation
from npvae.errors import InputError
from npvae.mathematics.likelihoods import Bernoulli
from npvae.support import check
from npvae.support.batches import batches

#: Neighbours that vote: the number of the literature on latent spaces.
NEIGHBOURS = 15


def evaluate_model(
    vae,
    X,
    y=None,
    X_train=None,
    y_train=None,
    *,
    samples: int = 5000,
    at_once: int | None = None,
    random_state=None,
    verbose: bool = False,
) -> dict:
    """The measures of a fitted VAE on X (N, ...), JSON-able; in nats, means over rows, of the data as the model sees
    them.

    is_log_likelihood: False where a Bernoulli likelihood is given grey values, so that elbo and log_likelihood are
    cross-entropies. rows, samples, seed; elbo, reconstruction, kl, kl_per_dimension, active_units: one noise draw a
    row. log_likelihood, with its standard_error (over rows), sampling_error (of the samples) and effective sample
    sizes: importance sampling with ``samples`` samples a row; None for 0 samples. squared_error: of the reconstruction
    from the posterior mean, summed over features. aggregate_kl, mutual_information, with aggregate_standard_error, and
    mutual_information_estimate, what it was before it was held to its bounds: see evaluation/aggregate_posterior.py.
    neighbour_accuracy: of a vote of 15 nearest training means, where labels y (N,) and X_train, y_train are given, else
    None. notes: sentences about figures that are not what they seem. seconds: of each measure.

    The same seed gives the same numbers. NotFittedError; InputError, InputTypeError: as ``VAE.fit`` about data.
    InputError: a figure is not finite, or outside its bounds.
    """
    seconds: dict[str, float] = {}

    def timed(name, function):
        started = time.perf_counter()
        result = function()
        seconds[name] = time.perf_counter() - started
        return result

    seed = vae.seed_of(random_state)
    samples = check.whole_number("samples", samples, 0)
    x = vae.model_input(X)
    theta = vae.device_theta()
    labels = (y, X_train, y_train)
    if any(part is None for part in labels) and any(part is not None for part in labels[1:]):
        raise InputError("neighbours need y, X_train and y_train: give all three, or none of the last two")
    if X_train is not None:
        for name, rows, labelled in (("X", X, y), ("X_train", X_train, y_train)):
            if len(rows) != len(labelled):
                raise InputError(f"{name} has {len(rows)} rows, but there are {len(labelled)} labels for them")
        if len(X_train) < NEIGHBOURS:
            raise InputError(f"{NEIGHBOURS} neighbours need as many training rows, got {len(X_train)}")
    elbo = timed("elbo", lambda: evaluation.evaluate_elbo(vae.model_, theta, x, seed))
    mu, logvar = timed("encode", lambda: evaluation.posterior(vae.model_, theta, x))
    result = {
        "rows": len(mu),
        "samples": samples,
        "seed": seed,
        **{name: elbo[name] for name in ("elbo", "reconstruction", "kl", "active_units", "kl_per_dimension")},
    }
    result["active_units"] = int((mu.var(axis=0, dtype=np.float64) > evaluation.ACTIVE_VARIANCE).sum())
    result.update(_log_likelihood(vae, X, samples, at_once, seed, verbose, timed) if samples else _no_log_likelihood())
    result["squared_error"] = timed("squared_error", lambda: _squared_error(vae, x, mu))
    aggregate = timed("aggregate_posterior", lambda: evaluation.aggregate_posterior(mu, logvar, seed))
    result.update(
        aggregate_kl=aggregate.kl,
        mutual_information=aggregate.mutual_information,
        mutual_information_estimate=aggregate.estimate,
        aggregate_standard_error=aggregate.standard_error,
        neighbour_accuracy=None,
    )
    if all(part is not None for part in labels):
        result["neighbour_accuracy"] = timed(
            "neighbour_accuracy",
            lambda: evaluation.neighbour_accuracy(
                evaluation.posterior(vae.model_, theta, vae.model_input(X_train, draw=1))[0], y_train, mu, y, NEIGHBOURS
            ),
        )
    _refuse_impossible(result)
    grey, table = cross_entropy_note(vae, x), getattr(vae, "table_", None)
    of_table = (
        None
        if table is None
        else "of a table: of the observed cells alone; squared errors of numbers standardised, of names one-hot"
    )
    result["is_log_likelihood"] = grey is None
    return {**result, "notes": [note for note in (grey, aggregate.note, of_table) if note], "seconds": seconds}


def cross_entropy_note(vae, x) -> str | None:
    """What is to be said beside every figure with log p(x|z) in it, of rows as the model sees them; None: that it is
    one.
    """
    if vae.binarize_ != "none" or not isinstance(vae.model_.likelihood, Bernoulli):
        return None
    x = vae.model_.ops.asarray(x)
    if bool(vae.model_.ops.xp.any((x > 0.0) & (x < 1.0))):
        return (
            "of grey values the bernoulli likelihood gives cross-entropies: what is called ELBO and log p(x) is no "
            "log-likelihood"
        )
    return None


def _refuse_impossible(result: dict) -> None:
    """InputError naming the first figure that is not finite, or outside its bounds."""
    none, size = (0.0, math.inf), (1.0, result["samples"])
    bounds = {
        "kl": none,
        "kl_per_dimension": none,
        "active_units": (0, len(result["kl_per_dimension"])),
        "standard_error": none,
        "sampling_error": (0.0, 1.0),
        "effective_sample_size_median": size,
        "effective_sample_size_smallest": size,
        "squared_error": none,
        "aggregate_kl": none,
        "aggregate_standard_error": none,
        "mutual_information": (0.0, math.log(result["rows"])),
        "neighbour_accuracy": (0.0, 1.0),
    }
    for name, value in result.items():
        low, high = bounds.get(name, (-math.inf, math.inf))
        for number in value if isinstance(value, list) else [value]:
            slack = 1e-6 * max(1.0, abs(number or 0.0))  # the rounding of float32
            if number is not None and not (math.isfinite(number) and low - slack <= number <= high + slack):
                raise InputError(
                    f"the figure {name} comes to {number:g}, but must be finite and from {low:g} to {high:g}: the "
                    f"model's parameters "
                    "or the data are out of the range that can be computed with"
                )


def _log_likelihood(vae, X, samples, at_once, seed, verbose, timed) -> dict:
    found = timed(
        "log_likelihood",
        lambda: vae.log_likelihood(X, samples=samples, at_once=at_once, random_state=seed, verbose=verbose),
    )
    sizes = found.effective_sample_size
    return {
        "log_likelihood": found.mean,
        "standard_error": _number(found.standard_error),
        "sampling_error": _number(found.sampling_error),
        "effective_sample_size_median": float(np.median(sizes)),
        "effective_sample_size_smallest": float(sizes.min()),
    }


def _no_log_likelihood() -> dict:
    names = (
        "log_likelihood",
        "standard_error",
        "sampling_error",
        "effective_sample_size_median",
        "effective_sample_size_smallest",
    )
    return dict.fromkeys(names)


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return value if np.isfinite(value) else None


def _squared_error(vae, x, mu) -> float:
    """Of E[x|z] at z = mu, against the data as the model sees them."""
    total, x = 0.0, vae.model_.ops.to_numpy(x)[:, : vae.model_.architecture.n_features]
    if getattr(vae, "table_", None) is not None:
        return _squared_error_of_table(vae, x, mu)
    for part in batches(len(mu), 1000):
        mean = vae.inverse_transform(mu[part]).reshape(x[part].shape) / vae.divide_by_
        total += float(np.sum(np.square(mean - x[part], dtype=np.float64)))
    return total / len(mu)


def _squared_error_of_table(vae, x, mu) -> float:
    """The same of the observed cells of a table, in the encoder's units: numbers standardised, names one-hot."""
    model, view, views = vae.model_, vae.table_.schema.view, vae.model_.views(vae.device_theta())
    expected = [
        model.ops.to_numpy(model.expected(views, model.ops.asarray(mu[part]))) for part in batches(len(mu), 1000)
    ]
    return float(np.nansum(np.square(view.of(np.concatenate(expected)) - view.of(x))) / len(mu))


def describe(result: dict) -> str:
    """The measures in a table, one a line."""

    def error(name, what):
        return "" if result[name] is None else f"+- {result[name]:.3f} {what}"

    active = f"{result['active_units']} of {len(result['kl_per_dimension'])}"
    lines = [
        ("ELBO", f"{result['elbo']:.3f}", "nats a row"),
        ("  -log p(x|z)", f"{result['reconstruction']:.3f}", ""),
        ("  KL(q(z|x) || p(z))", f"{result['kl']:.3f}", ""),
        ("active units", active, "latent dimensions whose posterior mean has a variance above 0.01"),
    ]
    if result["log_likelihood"] is not None:
        lines += [
            (
                "log p(x)",
                f"{result['log_likelihood']:.3f}",
                ", ".join(
                    filter(
                        None,
                        (
                            error("standard_error", "over rows"),
                            error("sampling_error", "over samples"),
                            ""
                            if result["is_log_likelihood"]
                            else "a cross-entropy of grey values, not a log-likelihood",
                        ),
                    )
                ),
            ),
            (
                "  samples of z",
                str(result["samples"]),
                f"effective {result['effective_sample_size_median']:.0f} in the median row, "
                f"{result['effective_sample_size_smallest']:.1f} in the worst",
            ),
        ]
    lines += [
        ("squared error", f"{result['squared_error']:.3f}", "summed over features"),
        ("KL(q(z) || p(z))", f"{result['aggregate_kl']:.3f}", error("aggregate_standard_error", "")),
        ("I(row; z)", f"{result['mutual_information']:.3f}", f"at most log N = {np.log(result['rows']):.2f}"),
    ]
    if result["neighbour_accuracy"] is not None:
        lines.append(
            (f"{NEIGHBOURS}-NN accuracy", f"{100 * result['neighbour_accuracy']:.2f} %", "in the latent space")
        )
    table = [f"{name:<22} {value:>12}  {more}".rstrip() for name, value, more in lines]
    return "\n".join([*table, *(f"note: {note}" for note in result.get("notes", []))])
