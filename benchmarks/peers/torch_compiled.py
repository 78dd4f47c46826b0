"""PyTorch with ``torch.compile`` on the loss (and so its backward) and on the optimiser's step."""

from __future__ import annotations

import torch

from peers import torch_eager
from peers.torch_eager import version  # noqa: F401


class Runner(torch_eager.Runner):
    """As eager, through the compiler."""

    def __init__(self, spec, x) -> None:
        super().__init__(spec, x)
        self.loss = torch.compile(self.network)
