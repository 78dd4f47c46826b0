"""What the bits of NumPy's results depend on beside their operands: versions, the processor, the threads of BLAS."""

from __future__ import annotations

import numpy as np

from npvae.backend import blas


def of_numpy(blas_threads: bool) -> dict[str, str]:
    """By name: NumPy, the instructions it uses, its BLAS; and, if they matter, how many threads that runs on."""
    found = {"NumPy": np.__version__, "instructions": " ".join(_instructions()), "BLAS": blas.name()}
    if blas_threads:
        known = blas.threads()
        found["threads of BLAS"] = "unknown" if known is None else str(blas.held.usual())
    return found


def _instructions() -> list[str]:
    try:
        simd = np.show_config(mode="dicts")["SIMD Extensions"]
        return [*simd.get("baseline", []), *simd.get("found", [])]
    except (KeyError, TypeError):
        return []
