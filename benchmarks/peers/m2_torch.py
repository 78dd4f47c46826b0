"""M2 in PyTorch, eager: modules, autograd and its own fused Adam."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from peers import m2_spec
from peers.m2_spec import BETAS, EPSILON, FLOOR, RATE

#: What PyTorch calls the device of a spec.
DEVICES = {"cpu": "cpu", "gpu": "cuda"}


def version() -> str:
    return torch.__version__


def linear(tensors, name: str) -> nn.Linear:
    """A layer with npvae's W and b."""
    W, b = (torch.from_numpy(tensors[f"{name}/{part}"].copy()) for part in "Wb")
    layer = nn.Linear(*W.shape)
    with torch.no_grad():
        layer.weight.copy_(W.T)
        layer.bias.copy_(b)
    return layer


class Network(nn.Module):
    """M2; ``forward(x, labels, eps)`` is the loss of rows of which the first have the labels."""

    def __init__(self, spec, tensors) -> None:
        super().__init__()
        tensors = m2_spec.split(spec, tensors)
        self.spec = spec
        self.encoder, self.mean, self.logvar = (linear(tensors, f"encoder/{name}") for name in ("0", "mean", "logvar"))
        self.decoder = linear(tensors, "decoder/0")
        self.encoder_class, self.decoder_class = (
            nn.Parameter(torch.from_numpy(tensors[f"{name}/0/Wy"].copy())) for name in ("encoder", "decoder")
        )
        heads = {"bernoulli": ("logits",), "gaussian_decoder": ("mean", "raw_logvar")}[spec.likelihood]
        self.heads = nn.ModuleList(linear(tensors, f"decoder/{head}") for head in heads)
        self.classifier = nn.Sequential(
            linear(tensors, "classifier/0"), nn.Softplus(), linear(tensors, "classifier/logits")
        )

    def forward(self, x, labels, eps):
        """x W_x is computed once a row."""
        known = len(labels)
        log_q = functional.log_softmax(self.classifier(x), dim=1)
        by_row, of_class = self.encoder(x), (self.encoder_class, self.decoder_class)
        labelled = self.cost(x[:known], by_row[:known], *(W[labels] for W in of_class), eps[:known])
        every = self.cost(x[known:], by_row[known:], *(W[:, None, :] for W in of_class), eps[known:])
        log_q_every = log_q[known:].T
        free = torch.sum(torch.exp(log_q_every) * (every + log_q_every))
        cross_entropy = functional.nll_loss(log_q[:known], labels, reduction="sum")
        return (labelled.sum() + free + self.spec.weight * cross_entropy) / len(x)

    def cost(self, x, by_row, encoder_class, decoder_class, eps):
        """-L(x, y): (L,) for a class a row, (C, U) for classes (C, 1, H) that are broadcast over rows (U, H)."""
        h = functional.softplus(by_row + encoder_class)
        mu, logvar = self.mean(h), self.logvar(h)
        z = mu + torch.exp(0.5 * logvar) * eps
        h = functional.softplus(self.decoder(z) + decoder_class)
        kl = 0.5 * torch.sum(mu**2 + torch.exp(logvar) - 1 - logvar, dim=-1)
        return self.nll(h, x) + kl + math.log(self.spec.classes)

    def nll(self, h, x):
        """-log p(x|h) of each pair; a variance is above the floor: log(floor + exp(raw))."""
        outputs = [head(h) for head in self.heads]
        if self.spec.likelihood == "bernoulli":
            (logits,) = outputs
            x = x.expand_as(logits)
            return functional.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(dim=-1)
        mean, raw = outputs
        logvar = math.log(FLOOR) + functional.softplus(raw - math.log(FLOOR))
        return 0.5 * torch.sum((x - mean) ** 2 * torch.exp(-logvar) + logvar + math.log(2 * math.pi), dim=-1)


def loss_at(spec, tensors, x, labels, eps) -> float:
    """See ``m2_npvae.loss_at``."""
    device = DEVICES[spec.device]
    with torch.no_grad():
        return (
            Network(spec, tensors)
            .to(device)(*(torch.from_numpy(array).to(device) for array in (x, labels, eps)))
            .item()
        )


class Runner:
    """Forward, backward and update, each called from Python."""

    def __init__(self, spec, images) -> None:
        torch.manual_seed(0)
        self.spec, self.device = spec, DEVICES[spec.device]
        rows = torch.from_numpy(m2_spec.rows(spec, images)).to(self.device)
        self.x, self.labels = rows[:, :-1].contiguous(), rows[:, -1].long()
        self.known, self.unknown = (torch.nonzero(which)[:, 0] for which in (self.labels >= 0, self.labels < 0))
        self.network = Network(spec, m2_spec.initial(spec)).to(self.device)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=RATE, betas=BETAS, eps=EPSILON, fused=True)

    def order(self):
        """The rows of every step of an epoch, the labelled ones first."""
        shuffled = (part[torch.randperm(len(part), device=self.device)] for part in (self.known, self.unknown))
        return torch.cat([part.reshape(self.spec.steps, -1) for part in shuffled], dim=1)

    def batch(self, rows):
        """Features, labels of the first rows, and noise."""
        spec, x = self.spec, self.x[rows]
        if spec.noisy:
            x = x[:, : spec.inputs] + x[:, spec.inputs :] * torch.randn(spec.batch, spec.inputs, device=self.device)
        return x, self.labels[rows[: spec.labelled]], torch.randn(spec.batch, spec.latent, device=self.device)

    def epoch(self) -> float:
        total = torch.zeros((), device=self.device)
        for rows in self.order():
            self.optimizer.zero_grad(set_to_none=True)
            loss = self.network(*self.batch(rows))
            loss.backward()
            self.optimizer.step()
            total += loss.detach()
        return float(total) / self.spec.steps
