"""Missing pixels of MNIST, black and white at half of 255: what each method fills in, and training on half of the
pixels.

    NPVAE_DATA=... python benchmarks/missing_pixels.py [--images 1000] [--steps 200] [--folder pixels]

784-400-400-20, relu, Adam, 40 epochs. Pixels are hidden at random; a filled one is black if its expected value is above
1/2. F1 of black, over the pixels that were missing, and over whole pictures, observed pixels too, as others report it.

Then the same model trained on pictures of whose pixels half are missing, for good, by the ELBO and by the bound of 20
samples, beside one of complete pictures: log p of the observed half of test pictures; log p of complete ones; F1. An
encoder that saw half pictures alone proposes badly for complete ones, which says nothing of the model, p(z) p(x|z); so
for complete pictures every decoder gets a new encoder, trained for 10 epochs on complete pictures while the decoder
stays as it is.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

from npvae import VAE, Architecture, Model, TrainingSettings, backend, evaluation, load_dataset, train
from npvae.imputation.chains import chain_imputation
from npvae.imputation.methods import OnIncompleteRows
from npvae.training import TrainingState

#: Of z, for log-likelihoods.
SAMPLES = 1000
SHARES = (0.4, 0.5, 0.6, 0.7, 0.8)
METHODS = {
    "single pass": {"method": "single_pass"},
    "pseudo-Gibbs": {"method": "pseudo_gibbs"},
    "Metropolis, 1 proposal": {"method": "metropolis", "proposals": 1},
    "Metropolis, 10": {"method": "metropolis"},
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
        latent_dim=20,
        hidden=(400, 400),
        optimizer="adam",
        schedule="cosine",
        epochs=40,
        output_bias="data",
        random_state=0,
        threads=options.threads,
        **more,
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


# Training on half of the pixels


class FrozenDecoder(Model):
    """A model whose gradient is zero but for the encoder."""

    def decode(self, parameters, z):
        outputs, backward = super().decode(parameters, z)

        def backward_to_z(doutputs, gradient):
            dz = backward(doutputs, gradient)
            for name, tensor in gradient.items():
                if not name.startswith("encoder/"):
                    tensor[...] = 0.0
            return dz

        return outputs, backward_to_z


def with_new_encoder(vae, x, threads):
    """``(model, theta)``: the decoder of vae, and an encoder of complete rows trained for it on x."""
    # NumPy's backend goes by operations: a compiled program would not ask FrozenDecoder.
    architecture = Architecture.from_config({**vae.model_.architecture.config(), "missing": False})
    model = FrozenDecoder(architecture, backend.get("numpy", threads))
    settings = TrainingSettings(seed=1, epochs=10, batch_size=100, optimizer="adam", schedule="cosine")
    theta = model.initial_parameters(settings.seed)
    for name, tensor in model.views(theta).items():
        if not name.startswith("encoder/"):
            tensor[...] = vae.parameters_[name]
    train(model, settings, x, state=TrainingState(theta, settings.optimizer.initial_state(model.ops, theta)))
    return model, theta


def log_likelihood_of_observed(vae, given, samples) -> float:
    """log p(x_observed); a model of complete rows proposes from rows that it completes by pseudo-Gibbs."""
    if vae.model_.architecture.missing:
        return vae.log_likelihood(given, samples=samples).mean
    model, theta = vae.model_, vae.device_theta()
    start = np.full_like(given, 0.5)
    found = chain_imputation(model, theta, given, start, 0, metropolis=False, steps=20, warm_up=20)
    rows = np.concatenate([given, found.mean.astype(np.float32)], axis=1)
    asked = OnIncompleteRows(model.architecture, model.ops)
    return evaluation.log_likelihood(asked, theta, model.ops.asarray(rows), 0, samples).mean


def half_of_the_pixels(x, test, options) -> None:
    """Trained on half of the pixels, beside on all."""
    given, bound = hide(test, 0.5, seed=1), {"name": "importance_weighted", "samples": 20}
    missing, incomplete = np.isnan(given), hide(x, 0.5, seed=2)
    print(f"\nlog p in nats, {SAMPLES} samples; F1 of missing pixels at 50 %, by importance")
    print("| trained on, by | log p(x observed) | log p(x), new encoder | log p(x), own encoder | F1 |")
    print("| --- | --- | --- | --- | --- |")
    for name, rows, arguments in (
        ("complete", x, {}),
        ("half", incomplete, {"missing": True}),
        ("complete20", x, {"objective": bound}),
        ("half20", incomplete, {"missing": True, "objective": bound}),
    ):
        vae = trained(name, rows, options, **arguments)
        model, theta = with_new_encoder(vae, x, options.threads)
        cells = (
            log_likelihood_of_observed(vae, given, SAMPLES),
            evaluation.log_likelihood(model, theta, test, 0, SAMPLES).mean,
            vae.log_likelihood(test, samples=SAMPLES).mean,
        )
        filled = vae.impute(given, method="importance").mean
        print(
            f"| {name} | "
            + " | ".join(f"{cell:.2f}" for cell in cells)
            + f" | {f1(filled[missing], test[missing]):.3f} |",
            flush=True,
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--folder", type=Path, default=Path("pixels"))
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    data = load_dataset("mnist")
    x, test = black_and_white(data.x_train), black_and_white(data.x_test)[: options.images]
    complete = trained("complete", x, options)
    print(f"F1 of the missing pixels, of whole pictures (seconds); {options.images} pictures, {options.steps} steps")
    fills(complete, test, options)
    half_of_the_pixels(x, test, options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
