"""The mathematics without the estimator: the ELBO as one function of one vector, and gradient descent on it."""

import argparse

import numpy as np

from npvae import Architecture, Model, backend, load_dataset, value_and_gradient
from npvae.mathematics import random

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--epochs", type=int, default=5)
epochs = parser.parse_args().epochs

digits = load_dataset("digits")
x = (digits.x_train / 255.0).astype("float32")
model = Model(Architecture(n_features=784, latent_dim=2, hidden=(256,)), backend.get("numpy"))
theta = model.initial_parameters(seed=0)  # 404,244 numbers in one vector
print({name: view.shape for name, view in model.views(theta).items()})

step = 0
for epoch in range(epochs):
    losses = []
    for rows in random.permutation(0, "shuffle", epoch, len(x)).reshape(-1, 100):
        eps = random.normal(0, "latent noise", step, (100, 2), "float32")
        loss, dtheta = value_and_gradient(model, theta, x[rows], eps)
        theta -= 0.002 * dtheta
        losses.append(float(loss))
        step += 1
    print(f"epoch {epoch + 1}: loss {np.mean(losses):.2f} nats")
