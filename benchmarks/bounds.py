"""What the K-sample bound costs: time of a training step for K up to 50, beside JAX on the same work; and L_5000.

    NPVAE_DATA=... python benchmarks/bounds.py [--rounds 7] [--peers ...] [--rows 100]

784-200-200-50, tanh, batch 20, the standard gradient, the encoder once a row: every competitor in a process of its own,
in turns of a second, their losses compared. Then log p(x) with 5,000 samples a row, beside the time that its matrix
products alone take at this machine's measured peak and in NumPy's BLAS.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import sys
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from cpu import PEERS as ALL_PEERS  # noqa: E402
from peers.competitor import TURN, take_turns  # noqa: E402
from peers.spec import BOUNDS, shapes  # noqa: E402

PEERS = {name: ALL_PEERS[name] for name in ("npvae_numba", "npvae_numpy", "jax_scan", "jax_step")}


def threads_here() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0))


def operations(spec) -> float:
    """Multiplications and additions of a step's products: the encoder for B rows, the decoder for K B."""
    layers, encoder = shapes(spec), len(spec.hidden) + 2
    forward = sum(2.0 * a * b * spec.batch * (1 if i < encoder else spec.samples) for i, (a, b) in enumerate(layers))
    first = 2.0 * layers[0][0] * layers[0][1] * spec.batch  # the gradient by the data is not needed
    return 3.0 * forward - first


def steps_table(peers, rounds: int) -> None:
    """Milliseconds a step by K."""
    from peak import gigaflops

    peak = gigaflops("float32", threads_here())
    print(f"milliseconds a step, median of {rounds} turns of {TURN:g} s (fastest, slowest)")
    print(f"{'K':>3}  {'floor':>7}  " + "  ".join(f"{PEERS[peer][1]:<26}" for peer in peers) + "  losses")
    for name, spec in BOUNDS.items():
        workers = take_turns(peers, name, rounds, pause=0.3)
        cells = [
            f"{statistics.median(w.times):7.3f} ({min(w.times):.3f}, {max(w.times):.3f})" for w in workers.values()
        ]
        losses = " ".join(f"{w.loss:.1f}" for w in workers.values())
        floor = operations(spec) / peak / 1e6
        print(f"{spec.samples:>3}  {floor:7.3f}  " + "  ".join(f"{c:<26}" for c in cells) + f"  {losses}", flush=True)


def likelihood_table(rows: int, samples: int = 5000) -> None:
    """Milliseconds a row of log p(x), beside its products."""
    from peak import gigaflops

    from npvae import Architecture, Model, backend, evaluation, load_dataset
    from npvae.evaluation.log_likelihood import AT_ONCE

    spec = BOUNDS["bound-1"]
    x = (load_dataset("mnist").x_test[:rows] > 127).astype(np.float32)
    decoder = shapes(spec)[len(spec.hidden) + 2 :]
    flops = samples * sum(2.0 * a * b for a, b in decoder)
    threads = threads_here()
    h = [np.ones((AT_ONCE, a), np.float32) for a, _ in decoder]
    weights = [np.ones(shape, np.float32) for shape in decoder]

    def products():
        for _ in range(-(-samples * rows // AT_ONCE)):
            for left, right in zip(h, weights, strict=True):
                left @ right

    runs = {"products alone, NumPy's BLAS": products}
    for name in ("numba", "numpy"):
        if backend.reason_against(name) is None:
            model = Model(Architecture(784, 50, (200, 200), activation="tanh"), backend.get(name))
            theta = model.initial_parameters(0)
            runs[f"npvae, {name}"] = lambda model=model, theta=theta: evaluation.log_likelihood(
                model, theta, x, 0, samples
            )
    times = {name: [] for name in runs}
    for turn in range(6):
        for name, run in runs.items():
            started = time.perf_counter()
            run()
            if turn:
                times[name].append((time.perf_counter() - started) / rows * 1e3)
    print(f"\nlog p(x) with {samples} samples, {rows} rows at a time: milliseconds a row, minutes for 10,000 rows")
    print(f"{'floor: products, peak rate':<30} {flops / gigaflops('float32', threads) / 1e6:8.2f}")
    for name, values in times.items():
        median = statistics.median(values)
        print(f"{name:<30} {median:8.2f} ({min(values):.2f}, {max(values):.2f}) {median / 6:8.1f}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--rows", type=int, default=100)
    parser.add_argument("--peers", choices=PEERS, nargs="*", default=list(PEERS))
    options = parser.parse_args()
    peers = [peer for peer in options.peers if importlib.util.find_spec(PEERS[peer][0]) is not None]
    steps_table(peers, options.rounds)
    likelihood_table(options.rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
