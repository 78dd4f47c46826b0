"""Missing pixels of MNIST, black and white at half of 255: what each method fills in, and training on half of the pixels.

    NPVAE_DATA=... python benchmarks/missing_pixels.py [--images 1000] [--steps 200] [--folder pixels]

784-400-400-20, relu, Adam, 40 epochs. Pixels are hidden at random; a filled one is black if its expected value is above
1/2. F1 of black, over the pixels that were missing, and over whole pictures, as it is also reported. Then the same model
trained on pictures of whose pixels half are missing, for good: log p(x) of complete test pictures with 200 samples, and F1.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

from npvae import VAE, load_dataset

SHARES = (0.4, 0.5, 0.6, 0.7, 0.8)
METHODS = {
    "single pass": {"method": "single_pass"}, "pseudo-Gibbs": {"method": "pseudo_gibbs"},
    "Metropolis, 1 proposal": {"method": "metropolis", "proposals": 1}, "Metropolis, 10": {"method": "metropolis"},
    "importance, 1,000": {"method": "importance"},
}


def black_and_white(pictures) -> np.ndarray:
    return (np.asarray(pictures).reshape(-1, 784) > 127).astype(np.float32)


def f1(found: np.ndarray, wanted: np.ndarray) -> float:
    """2 |found and wanted| / (|found| + |wanted|), of what is black."""
    found, wanted = found > 0.5, wanted > 0.5
    return 2.0 * (found & wanted).sum() / (found.sum() + wanted.sum())


def trained(name: str, x: np.ndarray, options, **more) -> VAE:
    """The model, trained or read from the folder."""
    path = options.folder / f"{name}.npz"
    if path.exists():
        return VAE.load(path)
    started = time.perf_counter()
    vae = VAE(
        latent_dim=20, hidden=(400, 400), optimizer="adam", schedule="cosine", epochs=40, output_bias="data", random_state=0,
        threads=options.threads, **more,
    ).fit(x)
    vae.save(path)
    print(f"{name}: trained in {time.perf_counter() - started:.0f} s", file=sys.stderr)
    return vae


def hide(x: np.ndarray, share: float, seed: int) -> np.ndarray:
    return np.where(np.random.default_rng(seed).random(x.shape) < share, np.nan, x).astype(np.float32)


def fills(vae, x, options) -> None:
    """F1 by method and share."""
    print("| missing | " + " | ".join(METHODS) + " |")
    print("| --- |" + " --- |" * len(METHODS))
    for share in SHARES:
        given = hide(x, share, seed=1)
        missing, cells = np.isnan(given), []
        for arguments in METHODS.values():
            started = time.perf_counter()
            found = vae.impute(given, steps=options.steps, **arguments)
            seconds = time.perf_counter() - started
            cells.append(f"{f1(found.mean[missing], x[missing]):.3f}, {f1(found.mean, x):.3f} ({seconds:.0f} s)")
        print(f"| {100 * share:.0f} % | " + " | ".join(cells) + " |", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--folder", type=Path, default=Path("pixels"))
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    data = load_dataset("mnist")
    train, test = black_and_white(data.x_train), black_and_white(data.x_test)[:options.images]
    complete = trained("complete", train, options)
    print(f"F1 of the missing pixels, of whole pictures (seconds); {options.images} pictures, {options.steps} steps")
    fills(complete, test, options)
    half = trained("half", hide(train, 0.5, seed=2), options, missing=True)
    given = hide(test, 0.5, seed=1)
    missing = np.isnan(given)
    print("\n| trained on | log p(x), nats, 200 samples | F1 of missing pixels at 50 %, by importance |")
    print("| --- | --- | --- |")
    for name, vae in (("complete pictures", complete), ("half of the pixels", half)):
        found = vae.log_likelihood(test, samples=200)
        filled = vae.impute(given, method="importance")
        print(f"| {name} | {found.mean:.2f} | {f1(filled.mean[missing], test[missing]):.3f} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
