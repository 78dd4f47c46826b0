"""Filling in tables: npvae's imputer beside the usual tools, on the same masks, in the same run.

    NPVAE_DATA=... python benchmarks/imputation.py [--missing 0.5|0.2|0.8|self] [--masks 5] [--tables ...]

Six tables of UCI (in $NPVAE_DATA/uci, under the names they have there), each column standardised by its mean and deviation
before anything is hidden. ``--missing 0.5`` hides exactly half of all cells at random; ``self`` hides what is above the mean
in the first half of the columns. Mean squared error over the hidden cells; coverage of 90 % intervals; seconds. Nothing is
chosen by looking at hidden cells: neighbours and components are, like npvae's stopping, by a tenth of the observed ones.
Every result is kept in the folder, so an ended run goes on where it was, and only what is missing is run.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
import time
import warnings
from pathlib import Path

import numpy as np

from npvae import TableImputer
from npvae.impute import fit_normal

FOLDER = Path(os.environ.get("NPVAE_DATA", "data")) / "uci"
#: File, its delimiter (None for runs of spaces), lines before the data, columns.
TABLES = {
    "banknote": ("data_banknote_authentication.txt", ",", 0, slice(0, 4)),
    "breast": ("wdbc.data", ",", 0, slice(2, 32)),
    "concrete": ("Concrete_Data.csv", ",", 1, slice(0, 8)),
    "red": ("winequality-red.csv", ";", 1, slice(0, 11)),
    "white": ("winequality-white.csv", ";", 1, slice(0, 11)),
    "yeast": ("yeast.data", None, 0, slice(1, 9)),
}


def load(name: str) -> np.ndarray:
    """A table, standardised."""
    file, delimiter, skip, columns = TABLES[name]
    with open(FOLDER / file, newline="") as lines:
        rows = list(csv.reader(lines, delimiter=delimiter)) if delimiter else [line.split() for line in lines]
    x = np.array([[float(cell) for cell in row[columns]] for row in rows[skip:] if row])
    return (x - x.mean(axis=0)) / x.std(axis=0)


def hide(x: np.ndarray, missing: str, seed: int) -> np.ndarray:
    """Which cells are hidden."""
    if missing == "self":
        hidden = np.zeros(x.shape, bool)
        half = x.shape[1] // 2
        hidden[:, :half] = x[:, :half] > 0.0
        return hidden
    hidden = np.zeros(x.size, bool)
    hidden[np.random.default_rng(seed).permutation(x.size)[:round(float(missing) * x.size)]] = True
    return hidden.reshape(x.shape)


# Rivals: a table with NaN in, a completed one out


def by_mean(x):
    return np.where(np.isnan(x), np.nanmean(x, axis=0), x)


def by_normal(x):
    return fit_normal(x).complete(x)


def chosen(candidates, x):
    """The candidate that best fills in a tenth of the observed cells, on the whole table."""
    observed = ~np.isnan(x)
    held = observed & (np.random.default_rng(0).random(x.shape) < 0.1)
    rest = np.where(held, np.nan, x)
    errors = [np.square(candidate(rest) - x)[held].mean() for candidate in candidates]
    return candidates[int(np.argmin(errors))](x)


def by_neighbours(x):
    from sklearn.impute import KNNImputer

    return chosen([KNNImputer(n_neighbors=k).fit_transform for k in (5, 10, 20, 40)], x)


def _components(x, count, iterations=200):
    """Regularised iterative PCA (Josse & Husson 2012): complete, decompose, shrink by the noise of the rest, again."""
    observed, completed = ~np.isnan(x), by_mean(x)
    for _ in range(iterations):
        mean = completed.mean(axis=0)
        u, s, vt = np.linalg.svd(completed - mean, full_matrices=False)
        noise = np.mean(s[count:] ** 2)
        kept = np.maximum(s[:count] ** 2 - noise, 0.0) / s[:count]
        completed = np.where(observed, x, (u[:, :count] * kept) @ vt[:count] + mean)
    return completed


def by_components(x):
    counts = [k for k in (1, 2, 3, 5, 8) if k < x.shape[1]]
    return chosen([lambda y, k=k: _components(y, k) for k in counts], x)


def by_regression(x):
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer

    return IterativeImputer(random_state=0).fit_transform(x)


def by_trees(x):
    from sklearn.ensemble import ExtraTreesRegressor
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer

    trees = ExtraTreesRegressor(n_estimators=100, random_state=0)
    return IterativeImputer(trees, max_iter=5, random_state=0).fit_transform(x)


RIVALS = {
    "mean": by_mean, "neighbours": by_neighbours, "PCA": by_components, "normal, EM": by_normal, "regression": by_regression,
    "extra trees": by_trees,
}
OURS = "npvae"


def run(name: str, mask: int, options, result: dict) -> dict:
    """Errors, seconds and coverage for one table and mask, of what ``result`` has not yet."""
    x = load(name)
    hidden = hide(x, options.missing, mask)
    incomplete = np.where(hidden, np.nan, x)
    for rival, fill in RIVALS.items():
        if rival in result["errors"]:
            continue
        started = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that ten rounds were too few, most of all
            filled = fill(incomplete)
        result["seconds"][rival] = time.perf_counter() - started
        result["errors"][rival] = float(np.square(filled - x)[hidden].mean())
    if OURS in result["errors"]:
        return result
    started = time.perf_counter()
    # A column of which one value is left is refused, and is filled with it.
    least = np.nanmin(incomplete, axis=0)
    filled, varied = np.where(hidden, least, x), least < np.nanmax(incomplete, axis=0)
    imputer = TableImputer(random_state=mask, threads=options.threads, backend=options.backend).fit(incomplete[:, varied])
    filled[:, varied] = imputer.transform(incomplete[:, varied])
    result["seconds"][OURS] = time.perf_counter() - started
    result["errors"][OURS] = float(np.square(filled - x)[hidden].mean())
    low, high = filled.copy(), filled.copy()
    low[:, varied], high[:, varied] = imputer.impute(incomplete[:, varied], draws=200).interval(0.9)
    result["coverage"] = float(((low <= x) & (x <= high))[hidden].mean())
    result["epochs"] = [member.epoch for member in imputer.members_]
    return result


def report(results: dict, missing: str) -> None:
    """The whole table: mean and standard error over masks."""
    methods = [*RIVALS, OURS]
    print(f"\nmissing: {missing}; mean squared error, standardised columns (standard error over masks)")
    print("| table | " + " | ".join(methods) + " | 90 % intervals cover | best, or within one standard error |")
    print("| --- |" + " --- |" * (len(methods) + 2))
    for name, runs in results.items():
        errors = {method: np.array([run["errors"][method] for run in runs]) for method in methods}
        means = {method: values.mean() for method, values in errors.items()}
        deviation = {m: v.std(ddof=1) / len(v) ** 0.5 if len(v) > 1 else 0.0 for m, v in errors.items()}
        best = min(means, key=means.get)
        near = best == OURS or means[OURS] - means[best] <= max(deviation[OURS], deviation[best])
        cells = [f"{means[m]:.3f}" + (f" ({deviation[m]:.3f})" if len(runs) > 1 else "") for m in methods]
        cover = np.mean([run["coverage"] for run in runs])
        print(f"| {name} | " + " | ".join(cells) + f" | {100 * cover:.1f} % | {'yes' if near else 'no, ' + best} |")
    print("\nseconds a mask")
    print("| table | " + " | ".join(methods) + " |")
    print("| --- |" + " --- |" * len(methods))
    for name, runs in results.items():
        print(f"| {name} | " + " | ".join(f"{np.median([r['seconds'][m] for r in runs]):.2f}" for m in methods) + " |")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--missing", default="0.5")
    parser.add_argument("--masks", type=int, default=5)
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--folder", type=Path, default=Path("imputation"))
    parser.add_argument("--threads", type=int)
    parser.add_argument("--backend", default="auto")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    results: dict[str, list] = {}
    for mask in range(1 if options.missing == "self" else options.masks):
        for name in options.tables:
            kept = options.folder / f"{name}-{options.missing}-{mask}.json"
            found = json.loads(kept.read_text()) if kept.exists() else {"errors": {}, "seconds": {}}
            if any(method not in found["errors"] for method in (*RIVALS, OURS)):
                found = run(name, mask, options, found)
                kept.write_text(json.dumps(found) + "\n")
                errors = ", ".join(f"{m} {e:.3f}" for m, e in found["errors"].items())
                print(f"{name}, mask {mask}: {errors}; cover {found['coverage']:.3f}", file=sys.stderr, flush=True)
            results.setdefault(name, []).append(json.loads(kept.read_text()))
    report(results, options.missing)
    return 0


if __name__ == "__main__":
    sys.exit(main())
