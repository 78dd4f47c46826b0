"""PyTorch on the GPU with ``torch.compile(mode="reduce-overhead")``, which captures CUDA graphs."""

from __future__ import annotations

import torch

from peers import gpu_torch_eager
from peers.gpu_torch_eager import between, record, version  # noqa: F401


class Runner(gpu_torch_eager.Runner):
    """As eager, through the compiler."""

    def __init__(self, spec, x) -> None:
        super().__init__(spec, x)
        self.loss = torch.compile(self.network, mode="reduce-overhead")
