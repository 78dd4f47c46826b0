"""PyTorch, eager: modules, autograd and its own RMSprop."""

from __future__ import annotations

import torch
from torch import nn

from peers.spec import EPSILON, RATE, RHO, initial_weights


def version() -> str:
    return torch.__version__


class Network(nn.Module):
    """The dense VAE; ``forward(x, eps)`` is the negative ELBO, mean over rows."""

    def __init__(self, spec) -> None:
        super().__init__()
        weights = [torch.from_numpy(W) for W in initial_weights(spec)]
        layers = [nn.Linear(*W.shape) for W in weights]
        with torch.no_grad():
            for layer, W in zip(layers, weights, strict=True):
                layer.weight.copy_(W.T)
                layer.bias.zero_()
        depth = len(spec.hidden)
        self.encoder = nn.ModuleList(layers[:depth])
        self.mean, self.logvar = layers[depth : depth + 2]
        self.decoder = nn.ModuleList(layers[depth + 2 : -1])
        self.logits = layers[-1]
        self.f = {"relu": torch.relu, "tanh": torch.tanh}[spec.activation]

    def forward(self, x, eps):
        h = x
        for layer in self.encoder:
            h = self.f(layer(h))
        mu, logvar = self.mean(h), self.logvar(h)
        h = mu + torch.exp(0.5 * logvar) * eps
        for layer in self.decoder:
            h = self.f(layer(h))
        nll = nn.functional.binary_cross_entropy_with_logits(self.logits(h), x, reduction="sum")
        kl = 0.5 * torch.sum(mu**2 + torch.exp(logvar) - 1 - logvar)
        return (nll + kl) / x.shape[0]


class Runner:
    """Forward, backward and update, each called from Python."""

    device = "cpu"

    def __init__(self, spec, x) -> None:
        torch.manual_seed(0)
        self.spec, self.x = spec, torch.from_numpy(x).to(self.device)
        self.network = Network(spec).to(self.device)
        self.loss = self.network
        self.optimizer = torch.optim.RMSprop(self.network.parameters(), lr=RATE, alpha=RHO, eps=EPSILON)

    def order(self):
        """The rows of every step of an epoch."""
        order = torch.randperm(self.x.shape[0], device=self.device)
        return order.reshape(self.spec.steps, self.spec.batch)

    def epoch(self) -> float:
        total = torch.zeros((), device=self.device)
        for indices in self.order():
            self.optimizer.zero_grad(set_to_none=True)
            loss = self.loss(self.x[indices], torch.randn(self.spec.batch, self.spec.latent, device=self.device))
            loss.backward()
            self.optimizer.step()
            total += loss.detach()
        return float(total) / self.spec.steps
