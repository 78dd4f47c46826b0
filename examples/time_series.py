"""A time series, denoised and with its gaps filled in: every window of it is a row, and windows overlap.

Without a file it makes one whose truth is known, and says how far off it is; of a CSV file, the last column of numbers
(empty cells are gaps) is taken, or --column. Writes time_series.csv: as recorded, denoised with gaps filled in.
"""

from __future__ import annotations

import argparse

import numpy as np

from npvae import VAE, read_table


def windows(series: np.ndarray, length: int) -> np.ndarray:
    """Every stretch of ``length`` values, a row each, (N - length + 1, length)."""
    return np.lib.stride_tricks.sliding_window_view(series, length)


def averaged(rows: np.ndarray, keep: slice = slice(None)) -> np.ndarray:
    """The series of which ``rows`` are estimates of the windows: at each time the mean of all that say something of it.

    ``keep`` is the part of each window that counts; times that it never reaches, at the ends, take the whole windows.
    """
    n, length = rows.shape
    total, count = np.zeros((2, n + length - 1)), np.zeros((2, n + length - 1))
    for i in range(length):
        part = int(i in range(length)[keep])
        for which in range(part + 1):
            total[which, i : i + n] += rows[:, i]
            count[which, i : i + n] += 1
    return np.where(count[1] > 0, total[1] / np.maximum(count[1], 1), total[0] / count[0])


def fit_windows(
    series: np.ndarray, length: int = 64, latent_dim: int = 8, steps: int = 2000, seed: int = 0, **arguments
):
    """``(vae, rows, mean, deviation)``: a VAE of the standardised windows."""
    mean, deviation = np.nanmean(series), np.nanstd(series)
    rows = windows((series - mean) / deviation, length)
    rows = rows[~np.isnan(rows).all(axis=1)]
    settings = {
        "hidden": (64,),
        "activation": "tanh",
        "linear_path": True,
        "likelihood": "gaussian_one_variance",
        "optimizer": "adam",
        "learning_rate": 3e-3,
        "schedule": "cosine",
        "missing": bool(np.isnan(rows).any()),
        "backend": "numpy",
        "epochs": max(1, round(steps * 100 / len(rows))),
    }
    return VAE(latent_dim, random_state=seed, **{**settings, **arguments}).fit(rows), rows, mean, deviation


def smooth(series: np.ndarray, length: int = 64, **arguments) -> np.ndarray:
    """The series without its noise, gaps filled in: E[x|z] of every window at z = E[z|x], averaged."""
    vae, rows, mean, deviation = fit_windows(series, length, **arguments)
    return mean + deviation * averaged(vae.reconstruct(rows))


def made(seed: int, n: int = 2000, noise: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """``(truth, series)``: two sines whose phases drift by a random walk, and the same with noise."""
    generator = np.random.default_rng(seed)
    t, drift = np.arange(n), 0.05 * generator.normal(size=(2, n)).cumsum(axis=1)
    truth = np.sin(2 * np.pi * t / 40 + drift[0]) + 0.5 * np.sin(2 * np.pi * t / 13 + drift[1])
    return truth, truth + noise * generator.normal(size=n)


def with_gaps(series: np.ndarray, seed: int, longest: int = 20, share: float = 0.2) -> np.ndarray:
    """The series with NaN in stretches of 1 to ``longest`` values, at least ``share`` of it."""
    generator, found = np.random.default_rng([seed, 1]), series.astype(float)
    while np.isnan(found).mean() < share:
        start = generator.integers(0, len(series))
        found[start : start + generator.integers(1, longest + 1)] = np.nan
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("csv", nargs="?")
    parser.add_argument("--column")
    parser.add_argument("--length", type=int, default=64, help="of the windows")
    parser.add_argument("--latent-dim", type=int, default=8)
    parser.add_argument("--epochs", type=int)
    options = parser.parse_args()
    arguments = {"length": options.length, "latent_dim": options.latent_dim}
    if options.epochs:
        arguments["epochs"] = options.epochs
    if options.csv:
        series = column(options.csv, options.column)
        if not 2 <= options.length <= len(series) // 2:
            raise SystemExit(
                f"--length {options.length}: from 2 to {len(series) // 2}, half of the {len(series)} values"
            )
    else:
        truth, recorded = made(0)
        series = with_gaps(recorded, 1)
    found = smooth(series, **arguments)
    print(
        f"{len(series)} values, {np.isnan(series).sum()} of them missing, noise {np.nanstd(series - found):.3f} by the "
        f"model"
    )
    if not options.csv:
        for name, these in (("recorded", ~np.isnan(series)), ("missing", np.isnan(series))):
            wrong = np.sqrt(np.mean((found - truth)[these] ** 2))
            print(f"RMSE against the truth where {name}: {wrong:.3f}; the noise is 0.500")
    np.savetxt(
        "time_series.csv", np.column_stack([series, found]), "%.6g", ",", header="recorded,denoised", comments=""
    )
    print("wrote time_series.csv")


def column(path: str, name: str | None) -> np.ndarray:
    """A column of numbers of a file, by default the last; cells that are missing are NaN."""
    table = read_table(path).to_dict()
    if name is not None and name not in table:
        raise SystemExit(f"--column {name}: {path} has the columns {', '.join(table)}")
    numbers = [key for key, values in table.items() if np.asarray(values).dtype.kind in "iuf"]
    if not numbers or name not in (None, *numbers):
        raise SystemExit(f"{'--column ' + name if name else path}: no column of numbers")
    return np.asarray(table[name or numbers[-1]], dtype=float)


if __name__ == "__main__":
    main()
