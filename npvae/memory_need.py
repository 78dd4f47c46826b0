"""Whether samples of z fit into memory: how many bytes they need, and how many there are.

An estimate to refuse what cannot go well, in words, before anything is computed: it counts arrays, not allocations.
"""

from __future__ import annotations

from npvae.errors import InputError


def numbers_a_decoded_sample(architecture, gradient: bool) -> int:
    """Numbers that one decoded sample holds on to: z and noise, layers, outputs, its row of data; twice with gradient."""
    hidden, heads = architecture.decoder()
    layers = sum(layer.outputs for layer in (*hidden, *heads))
    return 4 * architecture.latent_dim + (2 if gradient else 1) * layers + 3 * architecture.n_features


def numbers_a_sample(architecture) -> int:
    """Numbers that every sample of a batch needs, decoded or not: noise, as it is drawn in float64, and weights."""
    return 6 * architecture.latent_dim + 8


def refuse_what_does_not_fit(ops, argument: str, value: int, bytes_of_one: int, why: str) -> None:
    """InputError if ``value`` times ``bytes_of_one`` is more than is free; it names the bytes and a value that fits."""
    free = ops.available_bytes()
    needed = value * bytes_of_one
    if free is None or needed <= free:
        return
    fits = free // 2 // bytes_of_one  # half: others need memory too
    advice = f"try {argument}={fits}" if fits >= 1 else "not even one fits: use a smaller model or batch"
    raise InputError(f"{argument}={value} needs about {needed:,} bytes {why}, but {free:,} are free; {advice}")
