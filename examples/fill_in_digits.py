"""Missing pixels: a band, half a picture, pixels at random; what four methods make of them, and several draws.

Trains on the embedded digits, black and white, and writes fill_in_digits.png. The band is the study note's: pixels 300
to 399, whose code put zeros there and looked at one pass through the network.
"""

from __future__ import annotations

import argparse

import numpy as np

from npvae import VAE, load_dataset, plots


def holes(x: np.ndarray, kind: str, generator) -> np.ndarray:
    """x (N, 28, 28) with NaN for what is missing."""
    flat = x.reshape(len(x), -1).copy()
    if kind == "band":
        flat[:, 300:400] = np.nan
    elif kind == "half":
        flat[:, 392:] = np.nan
    else:
        flat[generator.random(flat.shape) < 0.7] = np.nan
    return flat.reshape(x.shape)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=150)
    parser.add_argument("--steps", type=int, default=200, help="of the chains")
    options = parser.parse_args()
    digits = load_dataset("digits")
    train, test = ((x.reshape(-1, 28, 28) > 127).astype(np.float32) for x in (digits.x_train, digits.x_test))
    vae = VAE(
        latent_dim=20,
        hidden=(200, 200),
        optimizer="adam",
        schedule="cosine",
        epochs=options.epochs,
        output_bias="data",
        random_state=0,
        verbose=True,
    ).fit(train)
    shown = test[np.linspace(0, len(test) - 1, 10).astype(int)]
    methods = {
        "single pass": "single_pass",
        "pseudo-Gibbs": "pseudo_gibbs",
        "Metropolis": "metropolis",
        "importance": "importance",
    }
    rows, lines, generator = {}, [], np.random.default_rng(0)
    for kind in ("band", "half", "random"):
        given = holes(shown, kind, generator)
        missing = np.isnan(given)
        rows[f"{kind}: original"], rows[f"{kind}: given"] = shown, given
        for name, method in methods.items():
            found = vae.impute(given, method=method, steps=options.steps)
            rows[f"{kind}: {name}"] = found.mean
            wrong = np.mean((found.mean > 0.5)[missing] != (shown > 0.5)[missing])
            print(f"{kind:>7}, {name:<13} {100 * wrong:5.2f} % of the missing pixels wrong")
        for i, draw in enumerate(vae.impute(given, 3, method="metropolis", steps=options.steps).draws, start=1):
            rows[f"{kind}: draw {i}"] = draw
        lines.append(len(rows))
    plots.save(plots.plot_rows(rows, lines=lines[:-1]), "fill_in_digits.png")
    print("wrote fill_in_digits.png")


if __name__ == "__main__":
    main()
