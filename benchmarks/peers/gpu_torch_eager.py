"""PyTorch on the GPU, eager."""

from __future__ import annotations

import torch

from peers import torch_eager
from peers.torch_eager import version  # noqa: F401


def record():
    """An event on the device, now."""
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


def between(first, last) -> float:
    """Milliseconds between two events."""
    last.synchronize()
    return first.elapsed_time(last)


class Runner(torch_eager.Runner):
    """As on the CPU, with everything on the GPU."""

    device = "cuda"
