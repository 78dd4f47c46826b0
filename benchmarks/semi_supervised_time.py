"""npvae beside JAX and PyTorch on the semi-supervised model M2: time of a training step and of an epoch.

    NPVAE_DATA=... python benchmarks/semi_supervised_time.py [--rounds 9] [--threads 1] [--only m2] [--device gpu]
    [--peers ...]

"m2": on MNIST's pixels. "m1m2": on 21 latent features, drawn anew every step. Batches of 100 rows, 2 of them labelled;
all of 10 classes are looked at for an unlabelled row. First all losses are computed at the same parameters, batch and
noise: they must agree. Then every competitor that is installed trains in a process of its own, in turns of a second,
from the same parameters, with the same update, and the losses that they come to are compared. An epoch is 50,000 rows.

On the CPU the processes are kept on as many cores as there are threads: JAX takes all that it may use.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from peers.competitor import TURN, take_turns  # noqa: E402
from peers.m2_spec import EPOCH_STEPS, M2_SPECS  # noqa: E402

#: Module in peers/, what must be installed, by device; name in the table.
PEERS = {
    "m2_npvae": ({"cpu": "numba", "gpu": "cupy"}, "npvae, Numba or CuPy"),
    "m2_npvae_numpy": ({"cpu": "numpy"}, "npvae, NumPy"),
    "m2_jax": ({"cpu": "jax", "gpu": "jax"}, "JAX, step by step"),
    "m2_torch": ({"cpu": "torch", "gpu": "torch"}, "PyTorch, eager"),
}
REFERENCE = "m2_npvae_numpy"
#: Relative difference of losses at the same parameters, batch and noise, in float32; and of losses after the warm-up.
AGREEMENT, TRAINED_ALIKE = 1e-5, 0.03


def loss_of(peer: str, spec: str) -> float:
    """The loss at the fixed problem, from a process of its own. RuntimeError: it has none, with its last complaint."""
    command = [sys.executable, str(HERE / "peers" / "m2_loss.py"), peer, spec]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    if process.returncode:
        raise RuntimeError((process.stderr.strip().splitlines() or ["nothing was said"])[-1])
    return float(process.stdout)


def agreeing(peers, spec: str) -> list[str]:
    """Those of the peers that can run here. SystemExit: one of them computes another loss than npvae."""
    expected, found = loss_of(REFERENCE, spec), []
    print(f"\n{spec}: losses at the same parameters, batch and noise; {PEERS[REFERENCE][1]}: {expected:.6f}")
    for peer in peers:
        if peer == REFERENCE:
            found.append(peer)
            continue
        try:
            loss = loss_of(peer, spec)
        except RuntimeError as error:
            print(f"left out: {peer}: {error}")
            continue
        difference = abs(loss - expected) / abs(expected)
        print(f"{PEERS[peer][1]:<20} {loss:.6f}, relative difference {difference:.1e}", flush=True)
        if not difference <= AGREEMENT:
            raise SystemExit(f"{peer} computes another loss: the difference is above {AGREEMENT:g}")
        found.append(peer)
    return found


def table(name: str, peers, rounds: int) -> None:
    """Time a step of every competitor, in turns; ratios are medians over the turns."""
    spec, workers = M2_SPECS[name], take_turns(peers, name, rounds, pause=0.3)
    ours = workers.get("m2_npvae")
    print(
        f"{name}, batch {spec.batch}, {spec.labelled} labelled, {spec.classes} classes; {rounds} rounds of {TURN:g} s"
    )
    print(
        f"{'':<20} {'version':<14} {'ms a step':>9} {'fastest':>9} {'slowest':>9} {'s an epoch':>10} {'loss':>9} "
        f"{'npvae is':>9}"
    )
    for peer, worker in workers.items():
        step, ratio = statistics.median(worker.times), ""
        if ours is not None and worker is not ours:
            ratio = f"{statistics.median(b / a for a, b in zip(ours.times, worker.times, strict=True)):8.2f}x"
        print(
            f"{PEERS[peer][1]:<20} {worker.version:<14} {step:9.3f} {min(worker.times):9.3f} {max(worker.times):9.3f} "
            f"{step * EPOCH_STEPS / 1e3:10.2f} {worker.loss:9.3f} {ratio:>9}"
        )
    losses = [worker.loss for worker in workers.values()]
    if losses and max(losses) - min(losses) > TRAINED_ALIKE * abs(min(losses)):
        print(f"THE LOSSES DIFFER by more than {TRAINED_ALIKE:.0%}: {min(losses):.3f} to {max(losses):.3f}")


def keep_to(threads: int) -> None:
    """Let this process's children use so many threads, on as many cores."""
    for name in ("NPVAE_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, choices=(1, 2), default=1, help="of the CPU")
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--only", choices=("m2", "m1m2"), nargs="*", default=["m2", "m1m2"])
    parser.add_argument("--peers", choices=PEERS, nargs="*", default=list(PEERS))
    options = parser.parse_args()
    if options.device == "cpu":
        keep_to(options.threads)
    peers = []
    for peer in options.peers:
        needed = PEERS[peer][0].get(options.device)
        if needed is not None and importlib.util.find_spec(needed) is not None:
            peers.append(peer)
    for name in options.only:
        name = name if options.device == "cpu" else f"{name}-gpu"
        if able := agreeing(peers, name):
            table(name, able, options.rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
