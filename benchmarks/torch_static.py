"""The published static-MNIST protocol in PyTorch, and log p(x) of what it finds by npvae's importance sampling.

    NPVAE_DATA=... python benchmarks/torch_static.py [--epochs 500]

784-400-40, ReLU, Adam at 1e-4, a fifth of a decade less after 200 and 350 epochs, batch 100, PyTorch's own initial
weights: the script of Pythae that states -89.78 (Chadebec, Vincent & Allassonniere 2022). It tells whether a difference
from that figure is ours.
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from npvae import Architecture, Model, backend, evaluation, load_dataset


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=500)
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = load_dataset("binarized-mnist")
    train, test = (np.asarray(x).reshape(-1, 784).astype(np.float32) for x in (data.x_train, data.x_test))
    torch.manual_seed(123)
    names = ("encoder/0", "encoder/mean", "encoder/logvar", "decoder/0", "decoder/logits")
    sizes = ((784, 400), (400, 40), (400, 40), (40, 400), (400, 784))
    layers = [nn.Linear(*size) for size in sizes]
    hidden, mean, log_variance, decoder, logits = layers
    optimizer = torch.optim.Adam([p for layer in layers for p in layer.parameters()], lr=1e-4)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones=[200, 350], gamma=10**-0.2)

    def loss(x):
        h = functional.relu(hidden(x))
        mu, logvar = mean(h), log_variance(h)
        z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
        nll = functional.binary_cross_entropy_with_logits(logits(functional.relu(decoder(z))), x, reduction="sum")
        return (nll - 0.5 * torch.sum(1 + logvar - mu**2 - logvar.exp())) / len(x)

    x, held = torch.tensor(train), torch.tensor(test)
    started = time.perf_counter()
    for epoch in range(1, options.epochs + 1):
        order, total = torch.randperm(len(x)), 0.0
        for i in range(0, len(x), 100):
            optimizer.zero_grad(set_to_none=True)
            value = loss(x[order[i : i + 100]])
            value.backward()
            optimizer.step()
            total += value.item()
        schedule.step()
        if epoch % 10 == 0 or epoch == 1:
            with torch.no_grad():
                other = np.mean([loss(held[i : i + 1000]).item() for i in range(0, len(held), 1000)])
            seconds = time.perf_counter() - started
            print(f"epoch {epoch}: {total / 500:.3f}, test {other:.3f}, {seconds:.0f} s", flush=True)
    model = Model(Architecture(784, 40, (400,)), backend.get("auto"))
    theta = model.initial_parameters(0)
    for name, layer in zip(names, layers, strict=True):
        model.views(theta)[f"{name}/W"][...] = layer.weight.detach().numpy().T
        model.views(theta)[f"{name}/b"][...] = layer.bias.detach().numpy()
    found = evaluation.log_likelihood(model, theta, test, 0, samples=200)
    print(f"log p(x), 200 samples: {found.mean:.2f} +- {found.standard_error:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
