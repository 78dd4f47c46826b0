"""Few labels on MNIST: npvae's M1, M2 and M1+M2, and the usual tools on the same labels.

    NPVAE_DATA=... python benchmarks/semi_supervised.py EXPERIMENT [--labels 100] [--draws 0 1 2] [--epochs 300]
    [--threads 1] NPVAE_DATA=... python benchmarks/semi_supervised.py table

EXPERIMENT: m1 (a kernel SVM of scikit-learn, and softmax regression, on the features), m2 (on pixels), m1m2 (stacked),
rivals (of scikit-learn, on pixels). 50,000 training rows, of which ``--labels`` keep their label, as many of every
class, at the choice of the draw's number, which is also the seed; errors are of the 10,000 test rows. M1 is trained
once, from seed 0, and kept in the folder. No run chooses anything by the test rows; rate, batch size and alpha, the
same for all, were found by trying (RESULTS.md says how). Every result is kept in the folder (default semi_supervised/),
so an ended run goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np

from npvae import VAE, LatentClassifier, SemiSupervisedVAE, load_dataset
from npvae.estimators.semisupervised import features as latent_features
from npvae.estimators.semisupervised import inference
from npvae.estimators.semisupervised.labels import balanced_choice
from npvae.support.files import write_text_atomically

TRAINING_ROWS = 50_000
#: Epochs at which the learning curve is taken.
CURVE = (1, 2, 3, 5, 10, 15, 20, 30, 40, 50, 60, 70, 80, 90, 100, 120, 140, 160, 180, 200, 225, 250, 275, 300, 400, 500)


def load(labels: int, draw: int):
    """``(x, y, x_test, y_test)``: bytes, and labels of which all but so many are -1."""
    data = load_dataset("mnist")
    y = balanced_choice(data.y_train[:TRAINING_ROWS].astype(int), labels, draw)
    return data.x_train[:TRAINING_ROWS], y, data.x_test, data.y_test.astype(int)


def features(options) -> VAE:
    """M1, trained or read from the folder."""
    path = options.folder / "m1.npz"
    if not path.exists():
        x = load_dataset("mnist").x_train[:TRAINING_ROWS]
        vae = VAE(
            latent_dim=50,
            hidden=(600, 600),
            activation="softplus",
            optimizer="adam",
            learning_rate=3e-4,
            batch_size=100,
            epochs=options.m1_epochs,
            binarize="dynamic",
            output_bias="data",
            divide_by=255,
            random_state=0,
            backend=options.backend,
            threads=options.threads,
        )
        started = time.perf_counter()
        vae.fit(x).save(path)
        print(
            f"M1: {options.m1_epochs} epochs, {time.perf_counter() - started:.0f} s, ELBO "
            f"{vae.history_['elbo'][-1]:.2f}",
            flush=True,
        )
    return VAE.load(path)


def m1(options, labels: int, draw: int) -> dict:
    """A classifier on the features: softmax regression, and kernel SVMs: with C and gamma by cross-validation on the
    labels; as they come, on ten samples of q(z|x) of each labelled row; and that one trained further on what it says of
    unlabelled rows."""
    from sklearn.model_selection import GridSearchCV
    from sklearn.svm import SVC

    x, y, x_test, y_test = load(labels, draw)
    vae = features(options)
    search = GridSearchCV(SVC(), {"C": [1, 3, 10, 30], "gamma": [0.01, 0.02, 0.05, 0.1]}, cv=5)
    result = {}
    for name, classifier, samples in (
        ("M1 + softmax regression", None, 0),
        ("M1 + SVM", search, 0),
        ("M1 + SVM, 10 samples a row", SVC(), 10),
    ):
        started = time.perf_counter()
        model = LatentClassifier(vae, classifier, samples).fit(x, y)
        result[name] = {"error": 100 * (1 - model.score(x_test, y_test)), "seconds": time.perf_counter() - started}
    svm = self_trained(model, x, y, draw)
    wrong = np.mean(svm.predict(model.transform(x_test)) != y_test)
    result["M1 + SVM, 10 samples a row, self-trained"] = {
        "error": 100 * float(wrong),
        "seconds": time.perf_counter() - started,
    }
    return result


def self_trained(model: LatentClassifier, x, y, seed: int):
    """The model's SVM fitted again and again, to the labelled rows and those of 8,000 unlabelled ones whose class it is
    surest of: a growing share of every class, in the end all of them. The unlabelled rows' features do what those of a
    transductive SVM do."""
    from sklearn.svm import SVC

    features, rng = model.transform(x), np.random.default_rng(seed)
    known, pool = features[y >= 0], features[rng.permutation(np.flatnonzero(y < 0))[:8000]]
    labels, svm = y[y >= 0], model.classifier_
    for share in (0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0, 1.0):
        scores = svm.decision_function(pool)
        best, second = np.sort(scores, axis=1)[:, [-1, -2]].T
        guess = scores.argmax(axis=1)
        sure = []
        for label in range(10):
            rows = np.flatnonzero(guess == label)
            sure.extend(rows[np.argsort(second[rows] - best[rows])[: int(share * len(rows))]])
        weights = np.concatenate([np.full(len(known), 10.0), np.ones(len(sure))])
        svm = SVC().fit(
            np.concatenate([known, pool[sure]]), np.concatenate([labels, guess[sure]]), sample_weight=weights
        )
    return svm


def m2(options, labels: int, draw: int) -> dict:
    """M2 on the grey pixels."""
    model = SemiSupervisedVAE(hidden=(500,), output_bias="data", divide_by=255, **arguments(options, draw))
    return {"M2": learn(options, model, labels, draw)}


def m1m2(options, labels: int, draw: int) -> dict:
    """M2 on a fresh sample of M1's features at every step; widths as in the authors' code."""
    hidden = (300,) if labels <= 100 else (500,)
    model = SemiSupervisedVAE(features(options), hidden=hidden, **arguments(options, draw))
    return {"M1+M2": learn(options, model, labels, draw)}


def arguments(options, draw: int) -> dict:
    """What both are trained with."""
    return {
        "latent_dim": 50,
        "alpha": options.alpha,
        "learning_rate": options.rate,
        "schedule": options.schedule,
        "batch_size": options.batch_size,
        "epochs": options.epochs,
        "backend": options.backend,
        "threads": options.threads,
        "random_state": draw,
    }


def learn(options, model: SemiSupervisedVAE, labels: int, draw: int) -> dict:
    """Train; the error at the end, the learning curve, and the seconds of an epoch."""
    x, y, x_test, y_test = load(labels, draw)
    checkpoint = options.folder / f"{options.experiment}-{labels}-{draw}{options.name}.checkpoint.npz"
    run = model.prepare(x, y)
    seen = x_test.astype(np.float32) / 255
    if model.features_ is not None:
        seen = latent_features.mean_and_deviation(model.features_, x_test, model.used_dimensions_)[0]
    curve_file = checkpoint.with_suffix(".json")
    curve = json.loads(curve_file.read_text()) if curve_file.exists() else {}

    def watch(state):
        if state.epoch in CURVE or state.epoch == options.epochs:
            predicted = inference.log_probabilities(run.model, state.theta, seen).argmax(axis=1)
            curve[str(state.epoch)] = 100 * float(np.mean(predicted != y_test))
            write_text_atomically(curve_file, json.dumps(curve))
            print(
                f"{options.experiment} {labels} labels, draw {draw}, epoch {state.epoch}: "
                f"{curve[str(state.epoch)]:.2f} %, bound "
                f"{state.history['bound'][-1]:.2f}, {np.median(state.history['seconds']):.2f} s an epoch",
                flush=True,
            )

    model.fit_prepared(run, callbacks=[watch], checkpoint=checkpoint, checkpoint_seconds=60, resume=True)
    seconds = model.history_["seconds"]
    return {
        "error": 100 * (1 - model.score(x_test, y_test)),
        "curve": curve,
        "epochs": model.history_.epochs,
        "seconds": sum(seconds),
        "seconds_an_epoch": float(np.median(seconds)),
        "backend": run.model.ops.name,
    }


def rivals(options, labels: int, draw: int) -> dict:
    """scikit-learn on the grey pixels; numbers to choose are chosen by cross-validation on the labels."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier
    from sklearn.svm import SVC

    x, y, x_test, y_test = load(labels, draw)
    x, x_test = x.astype(np.float32) / 255, x_test.astype(np.float32) / 255
    known = y >= 0
    logistic = GridSearchCV(LogisticRegression(max_iter=300), {"C": [0.01, 0.03, 0.1, 0.3, 1.0]}, cv=5)
    found = {
        "logistic regression": (logistic, False),
        "nearest neighbours": (GridSearchCV(KNeighborsClassifier(), {"n_neighbors": [1, 3, 5]}, cv=5), False),
        "SVM": (GridSearchCV(SVC(), {"C": [1, 3, 10, 30], "gamma": [0.005, 0.01, 0.02, 0.05]}, cv=5), False),
        "label spreading": (LabelSpreading(kernel="knn", n_neighbors=7, alpha=0.2, max_iter=100), True),
    }
    result, chosen = {}, None
    for name, (model, semi) in found.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            started = time.perf_counter()
            model.fit(x if semi else x[known], y if semi else y[known])
            result[name] = {"error": 100 * (1 - model.score(x_test, y_test)), "seconds": time.perf_counter() - started}
        chosen = chosen or model.best_params_["C"]
        print(f"{labels} labels, draw {draw}, {name}: {result[name]}", flush=True)
    started = time.perf_counter()
    trained = SelfTrainingClassifier(LogisticRegression(C=chosen, max_iter=100), threshold=0.9, max_iter=5).fit(x, y)
    result["self-training, logistic"] = {
        "error": 100 * (1 - trained.score(x_test, y_test)),
        "seconds": time.perf_counter() - started,
    }
    return result


EXPERIMENTS = {"m1": m1, "m2": m2, "m1m2": m1m2, "rivals": rivals}


def table(folder: Path) -> None:
    """Mean and standard deviation over the draws, of everything in the folder."""
    found: dict = {}
    for path in sorted(folder.glob("*.result.json")):
        result = json.loads(path.read_text())
        for name, entry in result["results"].items():
            found.setdefault((name + result["name"], result["labels"]), []).append(entry)
    for (name, labels), entries in sorted(found.items()):
        errors = np.array([entry["error"] for entry in entries])
        spread = f" ({errors.std(ddof=1):.2f})" if len(errors) > 1 else ""
        more = (
            f"{entries[0]['epochs']} epochs, {np.mean([e['seconds_an_epoch'] for e in entries]):.2f} s each, "
            f"{entries[0]['backend']}"
            if "epochs" in entries[0]
            else f"{np.mean([e['seconds'] for e in entries]):.1f} s"
        )
        print(
            f"{name:<32} {labels:>5} labels: {errors.mean():6.2f} %{spread}  of {len(errors)} draws: "
            f"{', '.join(f'{e:.2f}' for e in errors)};  {more}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", choices=(*EXPERIMENTS, "table"))
    parser.add_argument("--labels", type=int, default=100)
    parser.add_argument("--draws", type=int, nargs="+", default=[0, 1, 2], help="their numbers (default 0 1 2)")
    parser.add_argument("--epochs", type=int, default=300)
    parser.add_argument("--alpha", type=float, default=1.0)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--schedule", default="cosine")
    parser.add_argument("--batch-size", type=int, default=200)
    parser.add_argument("--m1-epochs", type=int, default=500)
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--threads", type=int, help="of the CPU (default: all)")
    parser.add_argument("--name", default="", help="added to the files' names, for runs with other options")
    parser.add_argument("--folder", type=Path, default=Path("semi_supervised"))
    options = parser.parse_args()
    options.folder.mkdir(exist_ok=True)
    if options.experiment == "table":
        table(options.folder)
        return
    for draw in options.draws:
        path = options.folder / f"{options.experiment}-{options.labels}-{draw}{options.name}.result.json"
        if path.exists():
            continue
        found = EXPERIMENTS[options.experiment](options, options.labels, draw)
        said = {key: str(value) for key, value in vars(options).items()}
        write_text_atomically(
            path,
            json.dumps(
                {"labels": options.labels, "draw": draw, "name": options.name, "options": said, "results": found},
                indent=1,
            ),
        )
        print(
            f"{options.experiment}, {options.labels} labels, draw {draw}: "
            + ", ".join(f"{name} {entry['error']:.2f} %" for name, entry in found.items()),
            flush=True,
        )


if __name__ == "__main__":
    main()
