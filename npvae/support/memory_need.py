"""Whether a model, and samples of z, fit into memory: how many bytes they need, and how many there are.

An estimate to refuse what cannot go well, in words, before anything is computed: it counts arrays, not allocations.
"""

from __future__ import annotations

from npvae.errors import InputError
from npvae.support import machine_memory


def numbers_a_decoded_sample(architecture, gradient: bool) -> int:
    """Numbers that one decoded sample holds on to: z and noise, layers, outputs, its row of data; twice with
    gradient.
    """
    hidden, heads = architecture.decoder()
    layers = sum(layer.outputs for layer in (*hidden, *heads))
    return 4 * architecture.latent_dim + (2 if gradient else 1) * layers + 3 * architecture.n_features


def numbers_a_sample(architecture) -> int:
    """Numbers that every sample of a batch needs, decoded or not: noise, as it is drawn in float64, and weights."""
    return 6 * architecture.latent_dim + 8


def refuse_large_model(model, itemsize: int) -> None:
    """InputError if what training needs at least, for every parameter, is more memory than is free.

    That is, in the run's dtype, the parameter, its gradient and one state of the optimiser; a start value in float64
    beside the parameter, before there is a gradient, is no more than that.
    """
    free, parameters = model.ops.available_bytes(), model.layout.size
    needed = 3 * itemsize * parameters
    if free is None or needed <= free:
        return
    architecture = model.architecture
    sizes = {"hidden": architecture.hidden}
    if architecture.decoder_hidden != architecture.hidden[::-1]:
        sizes["decoder_hidden"] = architecture.decoder_hidden
    widths = "".join(f" or {name}={','.join(map(str, each)) or 'none'}" for name, each in sizes.items())
    raise InputError(
        f"a model of {parameters:,} parameters needs at least {needed:,} bytes, but {free:,} are free; choose less "
        f"than "
        f"latent_dim={architecture.latent_dim}{widths}"
    )


def refuse_too_many_samples(model, n: int) -> None:
    """InputError if ``n`` rows of a model with their z need more than the machine's memory, whatever the backend:
    they end there.
    """
    architecture = model.architecture
    numbers = 3 * architecture.latent_dim + architecture.n_features  # z is made of whole numbers of 8 bytes
    refuse_what_does_not_fit(machine_memory, "n", n, 4 * numbers, "for the samples")


def refuse_what_does_not_fit(where, argument: str, value: int, bytes_of_one: int, why: str) -> None:
    """InputError if ``value`` times ``bytes_of_one`` is more than is free; it names the bytes and a value that fits.

    where: a backend, or whatever else knows its ``available_bytes``.
    """
    free = where.available_bytes()
    needed = value * bytes_of_one
    if free is None or needed <= free:
        return
    fits = free // 2 // bytes_of_one  # half: others need memory too
    advice = f"try {argument}={fits}" if fits >= 1 else "not even one fits: use a smaller model or batch"
    raise InputError(f"{argument}={value} needs about {needed:,} bytes {why}, but {free:,} are free; {advice}")
