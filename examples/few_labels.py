"""Few labels: M1+M2 on the embedded digits with 20 labels a class, beside softmax regression; samples of every class,
and analogies.

Writes classes.png and analogies.png.
"""

from __future__ import annotations

import argparse

from npvae import VAE, LatentClassifier, SemiSupervisedVAE, SoftmaxRegression, load_dataset, plots


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=100, help="of M2; M1 takes as many, at least 20")
    parser.add_argument("--labels", type=int, default=20, help="of every class")
    options = parser.parse_args()
    digits = load_dataset("digits")
    x, x_test, y_test = digits.x_train, digits.x_test, digits.y_test.astype(int)
    y = digits.y_train.astype(int)
    for label in range(10):  # only the first of each class keep their label
        y[(y == label).nonzero()[0][options.labels :]] = -1

    features = VAE(
        latent_dim=30,
        hidden=(400, 400),
        activation="softplus",
        optimizer="adam",
        schedule="cosine",
        binarize="dynamic",
        kl_warmup=10,
        epochs=max(20, options.epochs),
        output_bias="data",
        divide_by=255,
        random_state=0,
        verbose=True,
    ).fit(x)
    model = SemiSupervisedVAE(
        features,
        latent_dim=20,
        hidden=(300,),
        learning_rate=3e-3,
        schedule="cosine",
        batch_size=50,
        epochs=options.epochs,
        random_state=0,
        verbose=True,
    ).fit(x, y)

    pixels = SoftmaxRegression(l2=0.01).fit(x / 255.0, y)
    for name, error in (
        ("softmax regression on the labelled pixels", 1 - pixels.score(x_test / 255.0, y_test)),
        ("M1: softmax regression on the features", 1 - LatentClassifier(features).fit(x, y).score(x_test, y_test)),
        ("M1+M2", 1 - model.score(x_test, y_test)),
    ):
        print(f"{name}: {100 * error:.1f} % of the test digits wrong")
    plots.save(plots.plot_classes(model), "classes.png")
    plots.save(plots.plot_analogies(model, x_test[:10]), "analogies.png")
    print("wrote classes.png, analogies.png")


if __name__ == "__main__":
    main()
