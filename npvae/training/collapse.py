"""Posterior collapse: the decoder ignores z, and q(z|x) is the prior for every x.

It is a local optimum of the ELBO wherever the decoder does well without z: the KL term is then 0, and no small change
of the encoder helps the decoder. A latent dimension is counted active if the variance of its posterior mean over the
data is above 0.01 (evaluation/elbo.py).
"""

from __future__ import annotations

import warnings

from npvae.errors import PosteriorCollapseWarning

#: Epochs in a row without an active dimension that are called a collapse; a run's first may have none.
PATIENCE = 3


def warn(settings, state) -> None:
    """PosteriorCollapseWarning when no latent dimension has been active for ``PATIENCE`` epochs; not again before
    one was.
    """
    active = state.history["active_units"][-PATIENCE - 1 :]
    if len(active) < PATIENCE or any(active[-PATIENCE:]) or (len(active) > PATIENCE and not active[0]):
        return
    kl = state.history["kl"][-1]
    warnings.warn(
        f"posterior collapse: in epochs {state.epoch - PATIENCE + 1} to {state.epoch} none of the "
        f"{len(state.history['kl_per_dimension'][-1])} latent dimensions was active (KL {kl:.2g} nats a row), so the "
        "decoder ignores z; try kl_warmup, an objective with free_bits, or a smaller beta, and whether the data are "
        "scaled",
        PosteriorCollapseWarning,
        stacklevel=2,
    )
