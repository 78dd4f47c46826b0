"""PyTorch on the GPU, a whole step captured as one CUDA graph: rows, noise, forward, backward and update."""

from __future__ import annotations

import torch

from peers import gpu_torch_eager
from peers.gpu_torch_eager import between, record, version  # noqa: F401
from peers.spec import EPSILON, RATE, RHO


class Runner(gpu_torch_eager.Runner):
    """A replay a step."""

    def __init__(self, spec, x) -> None:
        super().__init__(spec, x)
        self.optimizer = torch.optim.RMSprop(
            self.network.parameters(), lr=RATE, alpha=RHO, eps=EPSILON, capturable=True
        )
        self.indices = torch.arange(spec.batch, device=self.device)
        self.total = torch.zeros((), device=self.device)
        before = [p.detach().clone() for p in self.network.parameters()]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                self.step()
        torch.cuda.current_stream().wait_stream(stream)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.step()
        with torch.no_grad():  # begin where the others begin
            for parameter, value in zip(self.network.parameters(), before, strict=True):
                parameter.copy_(value)
            for state in self.optimizer.state.values():
                state["square_avg"].zero_()

    def step(self) -> None:
        """One step on the rows ``indices``."""
        self.optimizer.zero_grad(set_to_none=False)
        noise = torch.randn(self.spec.batch, self.spec.latent, device=self.device)
        loss = self.loss(self.x[self.indices], noise)
        loss.backward()
        self.optimizer.step()
        self.total += loss.detach()

    def epoch(self) -> float:
        self.total.zero_()
        for indices in self.order():
            self.indices.copy_(indices)
            self.graph.replay()
        return float(self.total) / self.spec.steps
