"""How many threads to run: what was asked for, else the environment, else the cores this process may use."""

from __future__ import annotations

import math
import os
from pathlib import Path

from npvae import check
from npvae.errors import InputError

#: Looked at in this order.
VARIABLES = ("NPVAE_NUM_THREADS", "NUMBA_NUM_THREADS", "OMP_NUM_THREADS")

#: Where Linux keeps a container's share of the processors: "quota period" in microseconds, or "max period".
QUOTA = Path("/sys/fs/cgroup/cpu.max")


def number_of_threads(threads: int | None = None) -> int:
    """Threads of the compiled backend. InputError, InputTypeError: ``threads`` is not a whole number from 1."""
    return explain(threads)[0]


def explain(threads: int | None = None) -> tuple[int, str]:
    """The number, and in words where it comes from."""
    if threads is not None:
        return check.whole_number("threads", threads, 1), "asked for"
    for name in VARIABLES:
        text = os.environ.get(name, "").split(",")[0].strip()
        if text:
            if not text.isdigit() or int(text) < 1:
                raise InputError(f"the environment variable {name} must be a whole number from 1, got {text!r}")
            return min(int(text), available_cores()), f"{name}={text}"
    return available_cores(), "the cores this process may use"


def available_cores() -> int:
    """Cores that this process may run on: its affinity, bounded by its container's quota."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on this system
        cores = os.cpu_count() or 1
    try:
        quota, period = QUOTA.read_text().split()
        if quota != "max":
            cores = min(cores, max(1, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):
        pass
    return cores


def limit_blas(threads: int) -> bool:
    """Limit NumPy's BLAS to so many threads for this process; False where threadpoolctl is not installed."""
    try:
        import threadpoolctl
    except ImportError:
        return False
    threadpoolctl.threadpool_limits(threads, user_api="blas")
    return True
