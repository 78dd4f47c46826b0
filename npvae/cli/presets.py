"""The protocols of papers as defaults of ``npvae train``: ``--preset NAME``.

Any option given beside it, before or after, goes first.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Preset:
    """Options by their names, and where they come from."""

    words: str
    source: str
    options: dict

    def describe(self) -> str:
        """What it is and whose."""
        return f"{self.words} ({self.source})"


def _stairs(passes: list[int]) -> str:
    """Burda's learning rates, passes[i] at 10^(-i/7) times the first, as a schedule."""
    return "steps:" + ",".join(f"{sum(passes[:i])}={10 ** (-i / 7):.6g}" for i in range(1, len(passes)))


def _iwae(passes: list[int]) -> dict:
    epochs, schedule = sum(passes), _stairs(passes)
    return {
        "data": "mnist",
        "hidden": "200,200",
        "latent_dim": 50,
        "activation": "tanh",
        "binarize": "dynamic",
        "batch_size": 20,
        # The authors' code has epsilon 1e-4, and v starting at 1, for gradients summed over the 20 rows; ours are
        # averaged.
        "optimizer": "adam:epsilon=5e-6,initial_accumulator=0.0025",
        "output_bias": "data",
        "learning_rate": 1e-3,
        "epochs": epochs,
        "schedule": schedule,
    }


PRESETS = {
    "note": Preset(
        "784-256-2 on grey MNIST, 50 epochs of RMSprop",
        "the Keras example variational_autoencoder.py",
        {"data": "mnist", "hidden": "256", "latent_dim": 2, "epochs": 50, "batch_size": 100},
    ),
    "aevb": Preset(
        "784-500-20 on binarised MNIST, tanh, batch 100; Adam in the place of Adagrad",
        "Kingma & Welling (2014), section 5",
        {
            "data": "mnist",
            "hidden": "500",
            "latent_dim": 20,
            "activation": "tanh",
            "binarize": "dynamic",
            "batch_size": 100,
            "optimizer": "adam",
            "learning_rate": 1e-3,
            "epochs": 200,
        },
    ),
    "iwae": Preset(
        "784-200-200-50 on MNIST binarised anew every step, 3280 passes; K by --objective",
        "Burda, Grosse & Salakhutdinov (2016), section 5",
        _iwae([3**i for i in range(8)]),
    ),
    "iwae-364": Preset(
        "the same in 364 passes: the same learning rates, 1e-3 to 1e-4, on stairs of 1, 3, 9, 27, 81, 81, 81, 81 "
        "passes",
        "the same",
        _iwae([1, 3, 9, 27, 81, 81, 81, 81]),
    ),
    "static-mnist": Preset(
        "784-400-40 on MNIST binarised once, 500 epochs of Adam from 1e-4",
        "Chadebec, Vincent & Allassonniere (2022), Pythae's reproduction of Rezende & Mohamed (2015)",
        {
            "data": "binarized-mnist",
            "hidden": "400",
            "latent_dim": 40,
            "batch_size": 100,
            "optimizer": "adam",
            "learning_rate": 1e-4,
            "epochs": 500,
            "schedule": f"steps:200={10**-0.2:.6g},350={10**-0.4:.6g}",
        },
    ),
}


def help_text() -> str:
    """Every preset in a line."""
    return "; ".join(f"{name}: {preset.describe()}" for name, preset in PRESETS.items())
