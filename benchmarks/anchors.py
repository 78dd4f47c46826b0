"""Published and exact anchors: train a model by a known protocol and compare its loss with a known number.

    python benchmarks/anchors.py linear            exact optimum of a linear VAE on MNIST, 47.036 nats
    python benchmarks/anchors.py 784-400-20        a well-known example, 10 epochs: test 105.6
    python benchmarks/anchors.py cross-entropy     784-256-2, RMSprop, batch 100, 50 epochs: 150.2 / 152.7
    python benchmarks/anchors.py squared-error     the same with 784 x mse: 37.4 / 37.8

Needs the MNIST files (see ``npvae.load_dataset``). One line a seed, then mean and standard deviation.
"Train" is the mean over the last epoch while the parameters change, "test" the test set at its end with
one noise draw a row: what Keras prints as loss and val_loss. With --out the lines are kept in a file, and
seeds already in it are not run again.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np

from npvae import VAE, load_dataset

PROTOCOLS = {
    "linear": {
        "latent_dim": 2,
        "hidden": (),
        "likelihood": "squared_error",
        "optimizer": "adam",
        "schedule": "cosine",
        "epochs": 30,
    },
    "784-400-20": {"latent_dim": 20, "hidden": (400,), "optimizer": "adam", "batch_size": 128, "epochs": 10},
    "cross-entropy": {},
    "squared-error": {"likelihood": "squared_error"},
}


def run(name: str, seed: int, data, epochs: int | None) -> dict:
    """Train one model; the figures."""
    settings = dict(PROTOCOLS[name])
    if epochs:
        settings["epochs"] = epochs
    vae = VAE(divide_by=255, random_state=seed, verbose=True, **settings)
    started = time.perf_counter()
    vae.fit(data.x_train, X_valid=data.x_test)
    row = vae.history_.row(-1)
    result = {
        "seed": seed,
        "train": row["loss"],
        "test": row["val_loss"],
        "epochs": row["epoch"],
        "seconds": time.perf_counter() - started,
    }
    if name == "linear":
        # The optimum is one of the training set's expected loss: average the noise out.
        result["train after training, 20 draws"] = -vae.elbo(data.x_train, draws=20)
    return result


def exact_linear_optimum(x: np.ndarray, latent_dim: int) -> float:
    """The least squared error + KL of a linear encoder and decoder: probabilistic PCA with variance 1/2.

        sum_i lambda_i - sum_j [lambda_j - 1/2 - log(2 lambda_j) / 2],  over the kept lambda_j > 1/2

    with lambda the eigenvalues of the data's covariance. Source: Lucas et al. (2019), "Don't blame the ELBO!".
    """
    values = np.linalg.eigvalsh(np.cov(x, rowvar=False, bias=True))[::-1]
    kept = values[:latent_dim]
    kept = kept[kept > 0.5]
    return float(values.sum() - np.sum(kept - 0.5 - 0.5 * np.log(2.0 * kept)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", choices=PROTOCOLS)
    parser.add_argument("--seeds", type=int, default=1, help="run seeds 0 .. SEEDS-1")
    parser.add_argument("--epochs", type=int, help="other than the protocol's, for a trial")
    parser.add_argument("--out", type=Path, help="JSON lines to add to, and to go on from")
    options = parser.parse_args()
    data = load_dataset("mnist")
    if options.experiment == "linear":
        print(f"exact optimum {exact_linear_optimum(data.x_train / 255.0, 2):.4f}")
    lines = options.out.read_text().splitlines() if options.out and options.out.exists() else []
    done = {result["seed"]: result for result in map(json.loads, lines)}
    for seed in range(options.seeds):
        if seed not in done:
            done[seed] = run(options.experiment, seed, data, options.epochs)
            if options.out:
                with options.out.open("a") as file:
                    file.write(json.dumps(done[seed]) + "\n")
        print({key: round(value, 4) for key, value in done[seed].items()}, flush=True)
    for key in ("train", "test"):
        values = [result[key] for result in done.values()]
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        print(f"{options.experiment} {key}: mean {statistics.mean(values):.3f}, sd {spread:.3f}, {len(values)} seeds")


if __name__ == "__main__":
    main()
