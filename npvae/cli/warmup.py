"""``npvae warmup``: compile now what the compiled backends would compile at their first use."""

from __future__ import annotations

import time
from typing import Any

from npvae import backend as backends
from npvae.cli import output
from npvae.estimators import inputs


def add_parser(commands) -> None:
    parser = commands.add_parser(
        "warmup",
        help="compile the Numba and CuPy backends now, and not at their first use",
        description="Compile what the Numba backend and, where there is a GPU, the CuPy backend need on this machine, "
        "or "
        "find that it is kept already.",
    )
    parser.set_defaults(run=run_command)


def run_command(options) -> int:
    on_gpu = backends.reason_against("cupy") is None
    if on_gpu:
        from npvae.kernels.gpu import sources

        gpu: Any = backends.get("cupy")
        for file in sources.files():
            started = time.perf_counter()
            gpu.kernels.compile(file)
            output.say(f"{file}: loaded, {time.perf_counter() - started:.2f} s")
    if on_gpu and backends.reason_against("numba") is not None:
        return 0
    ops: Any = backends.get("numba")
    for dtype in inputs.DTYPES:
        started = time.perf_counter()
        program = ops.program(dtype)
        output.say(f"{dtype}: {program.origin}, {time.perf_counter() - started:.2f} s")
    return 0
