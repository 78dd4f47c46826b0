"""All that a trained model is judged by, on one set of data: what ``npvae evaluate`` prints and writes."""

from __future__ import annotations

import time

import numpy as np

from npvae import check, evaluate
from npvae.batches import batches
from npvae.errors import InputError

#: Neighbours that vote: the number of the literature on latent spaces.
NEIGHBOURS = 15


def evaluate_model(
    vae, X, y=None, X_train=None, y_train=None, *, samples: int = 5000, at_once: int | None = None, random_state=None,
    verbose: bool = False,
) -> dict:
    """The measures of a fitted VAE on X (N, ...), JSON-able; in nats, means over rows, of the data as the model sees them.

    rows, samples, seed; elbo, reconstruction, kl, kl_per_dimension, active_units: one noise draw a row. log_likelihood,
    with its standard_error (over rows), sampling_error (of the samples) and effective sample sizes: importance sampling
    with ``samples`` samples a row; None for 0 samples. squared_error: of the reconstruction from the posterior mean, summed over
    features. aggregate_kl, mutual_information, with aggregate_standard_error: see evaluate/aggregate_posterior.py.
    neighbour_accuracy: of a vote of 15 nearest training means, where labels y (N,) and X_train, y_train are given, else
    None. seconds: of each measure.

    The same seed gives the same numbers. NotFittedError; InputError, InputTypeError: as ``VAE.fit`` about data.
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
    elbo = timed("elbo", lambda: evaluate.evaluate_elbo(vae.model_, theta, x, seed))
    mu, logvar = timed("encode", lambda: evaluate.posterior(vae.model_, theta, x))
    result = {"rows": len(mu), "samples": samples, "seed": seed, **{
        name: elbo[name] for name in ("elbo", "reconstruction", "kl", "active_units", "kl_per_dimension")
    }}
    result.update(_log_likelihood(vae, X, samples, at_once, seed, verbose, timed) if samples else _no_log_likelihood())
    result["squared_error"] = timed("squared_error", lambda: _squared_error(vae, x, mu))
    aggregate = timed("aggregate_posterior", lambda: evaluate.aggregate_posterior(mu, logvar, seed))
    result.update(
        aggregate_kl=aggregate.kl, mutual_information=aggregate.mutual_information,
        aggregate_standard_error=aggregate.standard_error, neighbour_accuracy=None,
    )
    if all(part is not None for part in labels):
        result["neighbour_accuracy"] = timed("neighbour_accuracy", lambda: evaluate.neighbour_accuracy(
            evaluate.posterior(vae.model_, theta, vae.model_input(X_train))[0], y_train, mu, y, NEIGHBOURS
        ))
    return {**result, "seconds": seconds}


def _log_likelihood(vae, X, samples, at_once, seed, verbose, timed) -> dict:
    found = timed("log_likelihood", lambda: vae.log_likelihood(
        X, samples=samples, at_once=at_once, random_state=seed, verbose=verbose
    ))
    sizes = found.effective_sample_size
    return {
        "log_likelihood": found.mean, "standard_error": _number(found.standard_error),
        "sampling_error": _number(found.sampling_error), "effective_sample_size_median": float(np.median(sizes)),
        "effective_sample_size_smallest": float(sizes.min()),
    }


def _no_log_likelihood() -> dict:
    names = ("log_likelihood", "standard_error", "sampling_error", "effective_sample_size_median",
             "effective_sample_size_smallest")
    return dict.fromkeys(names)


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return value if np.isfinite(value) else None


def _squared_error(vae, x, mu) -> float:
    """Of E[x|z] at z = mu, against the data as the model sees them."""
    total, x = 0.0, vae.model_.ops.to_numpy(x)
    for part in batches(len(mu), 1000):
        mean = vae.inverse_transform(mu[part]).reshape(x[part].shape) / vae.divide_by_
        total += float(np.sum(np.square(mean - x[part], dtype=np.float64)))
    return total / len(mu)


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
            ("log p(x)", f"{result['log_likelihood']:.3f}",
             ", ".join(filter(None, (error("standard_error", "over rows"), error("sampling_error", "over samples"))))),
            ("  samples of z", str(result["samples"]),
             f"effective {result['effective_sample_size_median']:.0f} in the median row, "
             f"{result['effective_sample_size_smallest']:.1f} in the worst"),
        ]
    lines += [
        ("squared error", f"{result['squared_error']:.3f}", "summed over features"),
        ("KL(q(z) || p(z))", f"{result['aggregate_kl']:.3f}", error("aggregate_standard_error", "")),
        ("I(row; z)", f"{result['mutual_information']:.3f}", f"at most log N = {np.log(result['rows']):.2f}"),
    ]
    if result["neighbour_accuracy"] is not None:
        lines.append((f"{NEIGHBOURS}-NN accuracy", f"{100 * result['neighbour_accuracy']:.2f} %", "in the latent space"))
    return "\n".join(f"{name:<22} {value:>12}  {more}".rstrip() for name, value, more in lines)
