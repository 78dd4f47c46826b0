"""``npvae warmup``: compile now what the Numba backend would compile at its first use."""

from __future__ import annotations

import time

from npvae import backend as backends
from npvae import inputs
from npvae.cli import output


def add_parser(commands) -> None:
    parser = commands.add_parser(
        "warmup", help="compile the Numba backend now, and not at its first use",
        description="Compile the Numba backend's programs for this machine, or find that they are kept already.",
    )
    parser.set_defaults(run=run_command)


def run_command(options) -> int:
    ops = backends.get("numba")
    for dtype in inputs.DTYPES:
        started = time.perf_counter()
        program = ops.program(dtype)
        output.say(f"{dtype}: {program.origin}, {time.perf_counter() - started:.2f} s")
    return 0
