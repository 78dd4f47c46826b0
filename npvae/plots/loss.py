"""The loss by epoch."""

from __future__ import annotations

from npvae.plots.canvas import new_axes


def plot_loss(history, ax=None):
    """The loss by epoch, in nats: training and, if there is any, validation."""
    ax = new_axes(ax, (6, 4))
    epochs = history["epoch"]
    ax.plot(epochs, history["loss"], label="training (mean over the epoch)", color="C0")
    if "val_loss" in history:
        ax.plot(epochs, history["val_loss"], label="validation (at its end)", color="C1")
    ax.set_xlabel("epoch")
    ax.xaxis.get_major_locator().set_params(integer=True)
    if "error" in history:
        words = "labelled, unlabelled and classifier's term"
    else:
        words = "minus the importance-weighted bound" if "bound" in history else "-log p(x|z) + KL"
    ax.set_ylabel(f"loss: {words}, nats a row")
    ax.grid(alpha=0.3)
    ax.legend(frameon=False)
    return ax
