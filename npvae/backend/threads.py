"""How many threads to run: what was asked for, else the environment, else the cores this process may use."""

from __future__ import annotations

import math
import os

from npvae.backend import blas
from npvae.errors import InputError
from npvae.support import cgroup, check

#: Looked at in this order.
VARIABLES = ("NPVAE_NUM_THREADS", "NUMBA_NUM_THREADS", "OMP_NUM_THREADS")


def number_of_threads(threads: int | None = None) -> int:
    """Threads of the compiled backend. InputError, InputTypeError: ``threads`` is not a whole number from 1."""
    return explain(threads)[0]


def explain(threads: int | None = None) -> tuple[int, str]:
    """The number, and in words where it comes from."""
    if threads is not None:
        return check.whole_number("threads", threads, 1), "asked for"
    for name in VARIABLES:
        number = _number_in(name)
        if number is not None:
            return min(number, available_cores()), f"{name}={number}"
    return available_cores(), "the cores this process may use"


def _number_in(name: str) -> int | None:
    """The whole number from 1 that an environment variable holds, the first of a list; None where it holds nothing."""
    text = os.environ.get(name, "").split(",")[0].strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0):
        raise InputError(f"the environment variable {name} must be a whole number from 1, got {text!r}")
    return int(text)


def available_cores() -> int:
    """Cores that this process may run on: its affinity, bounded by its container's quota."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on this system
        cores = os.cpu_count() or 1
    return min([cores, *_quotas()])


def _quotas() -> list[int]:
    """The shares of the processors that the control groups around this process have, in whole cores from 1."""
    found = []
    names = ("cpu.cfs_quota_us", "cpu.cfs_period_us"), ("cpu.max",)
    for _, texts in cgroup.limits("cpu", *names):
        try:
            quota, period = map(int, " ".join(texts).split())  # microseconds; without a limit "max" or -1
        except ValueError:
            continue
        if quota > 0 and period > 0:
            found.append(max(1, math.ceil(quota / period)))
    return found


def asked_of_blas(threads: int | None) -> int | None:
    """The number of threads that NumPy's BLAS is to run on: ``threads``, else ``NPVAE_NUM_THREADS``; None: as it
    comes.
    """
    if threads is not None:
        return check.whole_number("threads", threads, 1)
    return _number_in(VARIABLES[0])  # what other programs' variables say, a BLAS reads for itself


def limit_blas(threads: int) -> bool:
    """Limit NumPy's BLAS to so many threads for this process; False where its number cannot be set: see blas.py."""
    return blas.held.limit(threads)
