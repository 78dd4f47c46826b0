"""Matrices of counts: held-out log p(x) of a VAE by its defaults beside the usual models of counts, on the same rows.

    pip download lda scanpy --no-deps -d FOLDER; pip install h5py scipy scikit-learn
    python benchmarks/counts.py FOLDER [--matrices reuters pbmc stdlib] [--models ...] [--seeds 3]

Matrices, rows x columns, each split by ``default_rng(0).permutation(rows)``, the first rows to train; the columns are
those with the largest totals in the training rows, ties to the first, and none without a count there:

    reuters     articles x words       lda's ``reuters.ldac``: its 395 articles; 300 and 95 rows, 1,000 words
    pbmc        cells x genes          scanpy's ``10x_pbmc68k_reduced.h5ad``: counts = round((exp(raw.X) - 1) n_counts
                                       / 10^4), which are whole numbers to 0.1 %; 550 and 150 rows, 765 genes
    stdlib      modules x words        this Python's .py files outside site-packages with at least 100 words,
                                       [A-Za-z]{3,} in lower case, in order of their paths; of those the first 1,431 of
                                       ``default_rng(0).permutation``; 1,100 and 331 rows, 800 words. It is of Python
                                       3.11.7; another has other files, and another hash

Models, none of which sees a test row; p(x) is of the whole row of counts, its total included:

    npvae        VAE(likelihood="negative_binomial", random_state=seed), nothing else said; log p(x) by 1,000 importance
                 samples
    dirichlet_multinomial, multinomial, poisson   the same with another likelihood
    lda          scikit-learn's LatentDirichletAllocation, 5, 10, 20, 40 or 80 topics by a fifth of the training rows,
                 held out; p(x | total) by 1,000 importance samples from its approximate posterior (its own bound is
                 below by far), times p(total)
    independent  a negative binomial distribution a column, of the mean and the maximum-likelihood size
    dirichlet    a Dirichlet-multinomial distribution, by maximum likelihood, times p(total)

p(total) is a negative binomial distribution of the training rows' totals, by maximum likelihood. Results are kept in
the folder, so that an ended run goes on where it was; the last lines are the table.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import re
import sysconfig
import time
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import digamma, gammaln, logsumexp

from npvae import VAE

SAMPLES = 1000


def wheel_member(folder: Path, package: str, name: str) -> bytes:
    """A file of a package's wheel."""
    wheels = sorted(folder.glob(f"{package}-*.whl"))
    if not wheels:
        raise SystemExit(f"{folder} holds no wheel of {package}: pip download {package} --no-deps -d {folder}")
    with zipfile.ZipFile(wheels[-1]) as wheel:
        return wheel.read(name)


def reuters(folder: Path) -> np.ndarray:
    lines = wheel_member(folder, "lda", "lda/tests/reuters.ldac").decode().splitlines()
    words = len(wheel_member(folder, "lda", "lda/tests/reuters.tokens").decode().splitlines())
    x = np.zeros((len(lines), words), np.int64)
    for row, line in enumerate(lines):
        for entry in line.split()[1:]:
            word, count = map(int, entry.split(":"))
            x[row, word] += count
    return x


def pbmc(folder: Path) -> np.ndarray:
    import h5py

    with h5py.File(io.BytesIO(wheel_member(folder, "scanpy", "scanpy/datasets/10x_pbmc68k_reduced.h5ad"))) as file:
        total, raw = file["obs"]["n_counts"].astype(np.float64), file["raw.X"]
        data, indices, ends = raw["data"][:].astype(np.float64), raw["indices"][:], raw["indptr"][:]
    x = np.zeros((len(total), indices.max() + 1), np.int64)
    for row in range(len(total)):
        part = slice(ends[row], ends[row + 1])
        counts = np.expm1(data[part]) * total[row] / 1e4
        if (np.abs(counts - counts.round()) > 1e-3 * counts).any():
            raise SystemExit("these are no counts")
        x[row, indices[part]] = counts.round()
    return x


def stdlib(_: Path) -> np.ndarray:
    root = Path(sysconfig.get_paths()["stdlib"])
    paths = sorted(path for path in root.rglob("*.py") if "site-packages" not in path.parts)
    texts = (path.read_bytes().decode("utf-8", "replace") for path in paths)
    found = [Counter(word.lower() for word in re.findall("[A-Za-z]{3,}", text)) for text in texts]
    found = [counter for counter in found if counter.total() >= 100]
    found = [found[row] for row in np.sort(np.random.default_rng(0).permutation(len(found))[:1431])]
    place = {word: i for i, word in enumerate(sorted({word for counter in found for word in counter}))}
    x = np.zeros((len(found), len(place)), np.int64)
    for row, counter in enumerate(found):
        for word, count in counter.items():
            x[row, place[word]] = count
    return x


#: How each is made, rows to train on, columns.
MATRICES = {"reuters": (reuters, 300, 1000), "pbmc": (pbmc, 550, 765), "stdlib": (stdlib, 1100, 800)}


def load(name: str, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Training and test rows, float64."""
    make, rows, columns = MATRICES[name]
    x = make(folder)
    order = np.random.default_rng(0).permutation(len(x))
    train, test = x[order[:rows]], x[order[rows:]]
    totals = train.sum(axis=0)
    kept = np.sort(np.argsort(-totals, kind="stable")[:columns])
    kept = kept[totals[kept] > 0]
    return train[:, kept].astype(np.float64), test[:, kept].astype(np.float64)


def digest(*parts: np.ndarray) -> str:
    """Of the matrices' shapes and numbers: SHA-256, 16 digits."""
    words = hashlib.sha256()
    for part in parts:
        words.update(f"{part.shape}".encode() + part.astype("<i8").tobytes())
    return words.hexdigest()[:16]


# Models: training and test rows and a seed in, log p(x) of the test rows and a word out


def log_negative_binomial(x, mean, size):
    return (
        gammaln(x + size)
        - gammaln(size)
        - gammaln(x + 1.0)
        + size * np.log(size / (size + mean))
        + x * np.log(mean / (size + mean))
    )


def fit_negative_binomial(x):
    """``(mean, size)`` of each column: the maximum-likelihood size is between e^-7 and e^12."""
    mean = x.mean(axis=0)
    sizes = [
        minimize_scalar(
            lambda k, j=j: -log_negative_binomial(x[:, j], mean[j], np.exp(k)).sum(),
            bounds=(-7.0, 12.0),
            method="bounded",
        ).x
        for j in range(x.shape[1])
    ]
    return mean, np.exp(sizes)


def of_totals(train, test):
    mean, size = fit_negative_binomial(train.sum(axis=1, keepdims=True))
    return log_negative_binomial(test.sum(axis=1), mean[0], size[0])


def log_coefficient(x):
    """Of the multinomial distribution."""
    return gammaln(x.sum(axis=1) + 1.0) - gammaln(x + 1.0).sum(axis=1)


def independent(train, test, seed):
    return log_negative_binomial(test, *fit_negative_binomial(train)).sum(axis=1), ""


def dirichlet(train, test, seed):
    def log_p(x, a):
        return (
            gammaln(a.sum())
            - gammaln(x.sum(axis=1) + a.sum())
            + (gammaln(x + a) - gammaln(a)).sum(axis=1)
            + log_coefficient(x)
        )

    def loss(log_a):
        a, total = np.exp(log_a), train.sum(axis=1)
        slope = (
            len(train) * digamma(a.sum())
            - digamma(total + a.sum()).sum()
            + (digamma(train + a) - digamma(a)).sum(axis=0)
        )
        return -log_p(train, a).mean(), -slope * a / len(train)

    start = np.log(50.0 * train.sum(axis=0) / train.sum())
    fitted = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 1000})
    return log_p(test, np.exp(fitted.x)) + of_totals(train, test), f"concentration {np.exp(fitted.x).sum():.0f}"


def log_p_of_topics(model, x, seed):
    """log p(x | total) of scikit-learn's LDA, theta drawn from its approximate posterior, a Dirichlet distribution."""
    rng = np.random.default_rng(seed)
    topics = model.components_ / model.components_.sum(axis=1, keepdims=True)
    prior = np.full(model.n_components, model.doc_topic_prior_)
    posterior = model.transform(x) * (x.sum(axis=1, keepdims=True) + prior.sum())

    def log_density(log_theta, a):
        return gammaln(a.sum()) - gammaln(a).sum() + log_theta @ (a - 1.0)

    result = log_coefficient(x)
    for row, a in enumerate(posterior):
        # The logarithm of a gamma number of a small shape: of one of shape a + 1, and log(u) / a beside it.
        noise = np.log(rng.gamma(a + 1.0, size=(SAMPLES, len(a)))) + np.log(rng.random((SAMPLES, len(a)))) / a
        log_theta = noise - logsumexp(noise, axis=1, keepdims=True)
        there = x[row] > 0
        log_p = np.log(np.exp(log_theta) @ topics[:, there]) @ x[row, there]
        result[row] += logsumexp(log_p + log_density(log_theta, prior) - log_density(log_theta, a)) - np.log(SAMPLES)
    return result


def lda(train, test, seed):
    from sklearn.decomposition import LatentDirichletAllocation

    def fitted(rows, topics):
        return LatentDirichletAllocation(topics, max_iter=30, random_state=seed).fit(rows)

    order = np.random.default_rng(seed).permutation(len(train))
    held, rest = np.split(order, [len(train) // 5])
    scores = {
        topics: log_p_of_topics(fitted(train[rest], topics), train[held], seed).mean() for topics in (5, 10, 20, 40, 80)
    }
    best = max(scores, key=scores.get)
    return log_p_of_topics(fitted(train, best), test, seed) + of_totals(train, test), f"{best} topics"


def vae(likelihood: str):
    def model(train, test, seed):
        fitted = VAE(likelihood=likelihood, random_state=seed).fit(train)
        found = fitted.log_likelihood(test, samples=SAMPLES)
        return found.rows, (
            f"{len(fitted.history_['epoch'])} epochs, best {fitted.best_epoch_}, ELBO {fitted.elbo(test):.1f}, "
            f"sampling error "
            f"{found.sampling_error:.2f}"
        )

    return model


MODELS = {
    "npvae": vae("negative_binomial"),
    "dirichlet_multinomial": vae("dirichlet_multinomial"),
    "multinomial": vae("multinomial"),
    "poisson": vae("poisson"),
    "lda": lda,
    "independent": independent,
    "dirichlet": dirichlet,
}
#: Those that draw no random numbers.
CERTAIN = ("independent", "dirichlet")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--matrices", nargs="+", choices=MATRICES, default=[*MATRICES])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=[*MODELS])
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    kept = options.folder / "counts.json"
    results = json.loads(kept.read_text()) if kept.exists() else {}
    for name in options.matrices:
        train, test = load(name, options.folder)
        hashed = digest(train, test)
        print(
            f"{name}: {train.shape[0]} and {test.shape[0]} rows, {train.shape[1]} columns, sha256 {hashed}", flush=True
        )
        for model in options.models:
            for seed in range(1 if model in CERTAIN else options.seeds):
                key = f"{name} {hashed} {model} {seed}"
                if key not in results:
                    started = time.process_time()
                    rows, word = MODELS[model](train, test, seed)
                    results[key] = [
                        float(rows.mean()),
                        float(rows.std(ddof=1) / len(rows) ** 0.5),
                        time.process_time() - started,
                        word,
                    ]
                    kept.write_text(json.dumps(results, indent=1))
                mean, error, seconds, word = results[key]
                print(f"  {model} {seed}: {mean:.2f} +- {error:.2f} nats a row, {seconds:.0f} s, {word}", flush=True)
    print("\n| model | " + " | ".join(options.matrices) + " |\n| --- |" + " ---: |" * len(options.matrices))
    for model in options.models:
        means = [
            [value[0] for key, value in results.items() if key.split()[0::2] == [name, model]]
            for name in options.matrices
        ]
        print(f"| {model} | " + " | ".join(f"{np.mean(values):.1f}" for values in means) + " |")


if __name__ == "__main__":
    main()
