"""npvae beside the frameworks on the CPU: time of a training step, and cost of a whole process.

    NPVAE_DATA=... python benchmarks/cpu.py [--rounds 9] [--threads 2] [--only 784-256-2] [--peers ...]
        [--busy 1] [--against PYTHON]

Every competitor that is installed runs in a process of its own, and they take turns of a second, so that
all meet the same minutes of the machine. All train the same model from the same weights on the same data, with the
same batch size and update; their losses are compared. "floor" is the step's matrix products alone, through NumPy's
BLAS and at the peak rate of the processor's multiply-adds.

``--busy N``: then all turns are taken again, beside N processes that are busy all the time. ``--against PYTHON``: npvae
of another environment, such as one with an earlier commit installed, takes part too, and is compared with this one turn
by turn.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import os
import re
import resource  # noqa: F401  (so that systems without it fail before the long run)
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from peers.competitor import TURN, take_turns  # noqa: E402
from peers.products import operations  # noqa: E402
from peers.spec import SPECS  # noqa: E402

#: Module in peers/, what must be installed, name in the table.
PEERS = {
    "npvae_numba": ("numba", "npvae, Numba"),
    "npvae_numpy": ("numpy", "npvae, NumPy"),
    "jax_scan": ("jax", "JAX, scan over the epoch"),
    "jax_step": ("jax", "JAX, step by step"),
    "keras_fit": ("keras", "Keras on JAX"),
    "torch_eager": ("torch", "PyTorch, eager"),
    "torch_compiled": ("torch", "PyTorch, torch.compile"),
    "products": ("numpy", "floor: products alone, BLAS"),
}
#: Packages whose installation each needs, dependencies included.
PACKAGES = {
    "npvae_numba": ["npvae", "numba"],
    "npvae_numpy": ["npvae"],
    "jax_scan": ["jax"],
    "jax_step": ["jax"],
    "keras_fit": ["keras", "jax"],
    "torch_eager": ["torch"],
    "torch_compiled": ["torch"],
}


def label(name: str) -> str:
    """A competitor's name in the tables."""
    module, _, python = name.partition("@")
    return PEERS[module][1] + (", the other" if python else "")


def ratio(ours, theirs) -> float:
    """Their time over ours: the median of the ratios turn by turn."""
    return statistics.median(b / a for a, b in zip(ours, theirs, strict=True))


def steps_table(spec: str, peers, rounds: int, threads: int, busy: int) -> None:
    """Time a step of every competitor, in turns."""
    workers = take_turns(peers, spec, rounds, pause=0.3, busy=busy)
    from peak import gigaflops

    floor = operations(SPECS[spec]) / gigaflops("float32", threads) / 1e6
    frameworks = [w for name, w in workers.items() if not name.startswith(("npvae", "products"))]
    fastest = min(frameworks, key=lambda w: statistics.median(w.times), default=None)
    each = SPECS[spec]
    print(f"\n{spec}, batch {each.batch}, {each.activation}; {rounds} rounds of {TURN:g} s")
    print(f"{'':<30} {'version':<12} {'ms a step':>9} {'fastest':>9} {'slowest':>9} {'loss':>9} {'Numba is':>10}")
    ours = workers.get("npvae_numba")
    for name, worker in workers.items():
        against = ""
        if ours is not None and worker is not ours:
            against = f"{ratio(ours.times, worker.times):9.2f}x"
        mark = " *" if worker is fastest else ""
        print(
            f"{label(name):<30} {worker.version:<12} {statistics.median(worker.times):9.3f} {min(worker.times):9.3f} "
            f"{max(worker.times):9.3f} {worker.loss:9.2f} {against:>10}{mark}"
        )
    print(f"{'floor: products, peak rate':<30} {'':<12} {floor:9.3f}")
    losses = [w.loss for name, w in workers.items() if name != "products"]
    if max(losses) > 1.03 * min(losses):
        print(f"THE LOSSES DIFFER by more than 3 %: {min(losses):.2f} to {max(losses):.2f}")
    if busy:
        busy_table(workers, busy)
    for name, worker in workers.items():
        if "@" in name and (now := workers.get(name.partition("@")[0])):
            print(f"{label(name)}, over this one, turn by turn: {ratio(now.times, worker.times):.3f}x", end="")
            print(f", beside the busy {ratio(now.busy_times, worker.busy_times):.3f}x" if busy else "")


def busy_table(workers, busy: int) -> None:
    """The turns beside busy processes."""
    ours = workers.get("npvae_numba")
    print(f"\nbeside {busy} busy process{'es' if busy > 1 else ''}")
    print(f"{'':<30} {'':<12} {'ms a step':>9} {'fastest':>9} {'slowest':>9} {'slowed by':>9} {'Numba is':>10}")
    for name, worker in workers.items():
        against = ""
        if ours is not None and worker is not ours:
            against = f"{ratio(ours.busy_times, worker.busy_times):9.2f}x"
        times = worker.busy_times
        print(
            f"{label(name):<30} {'':<12} {statistics.median(times):9.3f} {min(times):9.3f} {max(times):9.3f} "
            f"{ratio(worker.times, times):8.2f}x {against:>10}"
        )


def processes_table(peers, rounds: int) -> None:
    """Whole processes, from start to one trained epoch: seconds, memory, and what must be installed."""
    peers = [peer for peer in peers if peer != "products"]
    seconds, memory = {peer: [] for peer in peers}, {}
    for turn in range(rounds + 1):
        for peer in peers:
            started = time.perf_counter()
            process = subprocess.run(
                [sys.executable, str(HERE / "peers" / "first_epoch.py"), peer],
                capture_output=True,
                text=True,
                check=False,
            )
            if turn and process.returncode == 0:  # the first fills caches
                seconds[peer].append(time.perf_counter() - started)
                memory[peer] = float(process.stdout.split()[-1])
    print(f"\nwhole process: start, import, compile or cache, one epoch on the embedded digits; {rounds} rounds, warm")
    print(f"{'':<30} {'seconds':>8} {'fastest':>8} {'peak MiB':>9} {'installed MiB':>14} {'Numba is':>9}")
    for peer in peers:
        if not seconds[peer]:
            print(f"{PEERS[peer][1]:<30} did not run")
            continue
        against = ""
        if peer != "npvae_numba" and seconds.get("npvae_numba"):
            against = f"{statistics.median(seconds[peer]) / statistics.median(seconds['npvae_numba']):8.2f}x"
        print(
            f"{PEERS[peer][1]:<30} {statistics.median(seconds[peer]):8.2f} {min(seconds[peer]):8.2f} "
            f"{memory[peer]:9.0f} "
            f"{installed_mebibytes(PACKAGES[peer]):14.0f} {against:>9}"
        )


def installed_mebibytes(packages) -> float:
    """The size on disk of packages and all they depend on."""
    seen, total, waiting = set(), 0, list(packages)
    while waiting:
        name = re.split(r"[^\w.-]", waiting.pop())[0].lower().replace("_", "-")
        if name in seen:
            continue
        seen.add(name)
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        for file in distribution.files or []:
            path = file.locate()
            total += path.stat().st_size if path.is_file() else 0
        waiting += [line for line in distribution.requires or [] if "extra ==" not in line]
    return total / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=[*SPECS, "processes"], nargs="*", default=[*SPECS, "processes"])
    parser.add_argument("--peers", choices=PEERS, nargs="*", default=list(PEERS))
    parser.add_argument("--busy", type=int, default=0, metavar="N", help="take all turns again beside N busy processes")
    parser.add_argument("--against", metavar="PYTHON", help="an interpreter with another npvae, which takes part too")
    options = parser.parse_args()
    for name in ("NPVAE_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(options.threads)
    peers = [name for name in options.peers if importlib.util.find_spec(PEERS[name][0]) is not None]
    others = [f"{name}@{options.against}" for name in peers if options.against and name.startswith("npvae")]
    for spec in SPECS:
        if spec in options.only:
            steps_table(spec, [*peers, *others], options.rounds, options.threads, options.busy)
    if "processes" in options.only:
        processes_table(peers, options.rounds)


if __name__ == "__main__":
    main()
